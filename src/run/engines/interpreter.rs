//! `mkbc-python` -> the interpreter that holds the packages of the offline tools, and what it lacks.
//!
//! Tools that need Python packages do not use the system's Python: its packages are the user's. They name the program
//! `mkbc-python`, which stands for the one in `MKBC_PYTHON`, else for that of the virtual environment in the user's cache.

use super::child::{self, Command, Limits};
use crate::run::fault::{Fault, FaultKind};
use crate::run::probe::Env;
use crate::run::store::cache;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The program's name in a tool's command.
pub const NAME: &str = "mkbc-python";

/// Where the interpreter is, or should be.
pub fn path(env: Env<'_>) -> PathBuf {
    match env("MKBC_PYTHON").filter(|v| !v.is_empty()) {
        Some(named) => named.into(),
        None => cache(env).join("tools/bin/python"),
    }
}

/// What is missing for a tool that needs these packages (names as on PyPI, parted by spaces), if anything is.
pub fn lacking(packages: &str, env: Env<'_>) -> Option<Fault> {
    let interpreter = path(env);
    let help =
        "run `.ci/setup tools` in mkbc's repository, or see docs/tools.md; MKBC_PYTHON names another interpreter";
    if !crate::run::preflight::installed(&interpreter.to_string_lossy(), env) {
        let message = format!("the offline tools' Python is not installed (`{}`)", interpreter.display());
        return Some(Fault::new(FaultKind::Program, message).help(help));
    }
    let installed = distributions(&interpreter)?;
    let missing: Vec<&str> = packages.split_whitespace().filter(|p| !installed.contains(&plain(p))).collect();
    (!missing.is_empty()).then(|| {
        let message = format!("`{}` lacks the package {}", interpreter.display(), missing.join(", "));
        let help =
            "install it there, or name another interpreter in MKBC_PYTHON: docs/tools.md says what each tool needs";
        Fault::new(FaultKind::Program, message).help(help)
    })
}

/// The packages of a virtual environment; none where the interpreter is in none, since only it knows then.
fn distributions(interpreter: &Path) -> Option<Vec<String>> {
    let home = interpreter.parent()?.parent()?;
    let settings = std::fs::read_to_string(home.join("pyvenv.cfg")).ok()?;
    // One that sees the system's packages as well has more than lies in its folders.
    let own = |line: &str| line.replace(' ', "") != "include-system-site-packages=true";
    settings.lines().all(own).then_some(())?;
    let versions = std::fs::read_dir(home.join("lib")).ok()?.filter_map(Result::ok);
    let folders = versions.filter_map(|v| std::fs::read_dir(v.path().join("site-packages")).ok());
    let names = folders.flatten().filter_map(Result::ok).filter_map(|e| e.file_name().into_string().ok());
    Some(names.filter_map(|n| Some(plain(n.strip_suffix(".dist-info")?.split('-').next()?))).collect())
}

/// A package's name in the one form that packages are compared in.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '.'], "_")
}

/// The program behind a name on the PATH, absolute. A script that stands for an interpreter (as version managers install them) is asked
/// which one: in a sandbox it could start nothing.
pub async fn resolved(program: &str, folder: &Path, env: Env<'_>) -> Result<String, Fault> {
    let found = crate::run::preflight::found(program, env)
        .ok_or_else(|| child::unstarted(program, &std::io::Error::from(std::io::ErrorKind::NotFound)))?;
    let mut start = [0; 2];
    let script = std::fs::File::open(&found).and_then(|mut f| f.read_exact(&mut start)).is_ok() && start == *b"#!";
    let found = found.to_string_lossy().into_owned();
    if !script {
        return Ok(found);
    }
    let argv = [found, "-I".into(), "-c".into(), "import sys; print(sys.executable)".into()];
    let limits = Limits { output: 64 << 10, ..Limits::default() };
    let said = child::run(Command { argv: &argv, folder, env, threads: 1, limits }).await?.stdout;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let unclear = || Fault::new(FaultKind::Program, format!("`{program}` does not say which interpreter it starts"));
    Path::new(&said).is_absolute().then_some(said).ok_or_else(unclear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_environment_lacks_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("bin");
        let packages = folder.path().join("lib/python3.11/site-packages/Some_Thing-1.0.dist-info");
        std::fs::create_dir_all(&bin).expect("a folder");
        std::fs::create_dir_all(packages).expect("a folder");
        std::fs::write(folder.path().join("pyvenv.cfg"), "").expect("a file");
        let python = bin.join("python").to_string_lossy().into_owned();
        let env = |name: &str| (name == "MKBC_PYTHON").then(|| python.clone());
        let absent = lacking("some-thing", &env).expect("nothing is there");
        assert!(absent.message.contains("is not installed"), "{}", absent.message);
        std::os::unix::fs::symlink("/bin/sh", &python).expect("a link");
        assert!(lacking("some-thing", &env).is_none());
        assert!(lacking("some-thing other", &env).is_some_and(|f| f.message.ends_with("lacks the package other")));
    }

    #[test]
    fn the_environment_says_where() {
        let cache = |name: &str| (name == "XDG_CACHE_HOME").then(|| "/c".to_owned());
        assert_eq!(path(&cache), Path::new("/c/mkbc/tools/bin/python"));
        let home = |name: &str| (name == "HOME").then(|| "/h".to_owned());
        assert_eq!(path(&home), Path::new("/h/.cache/mkbc/tools/bin/python"));
    }
}
