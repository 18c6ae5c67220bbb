//! A plan -> the programs that carry it out on this machine with the digests of their bytes, and whether they are still those that it pins.

use super::engines::{interpreter, worker};
use super::fault::{Fault, FaultKind};
use super::preflight::found;
use super::probe::Env;
use crate::digest::file_digest;
use crate::plan::model::{Engine, Plan};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The programs and modules that carry an engine's calls out, as far as they are files that can be found: another version of one is
/// another implementation. `folders` is where files of a library are looked for.
pub fn programs(engine: &Engine, folders: &[PathBuf], env: Env<'_>) -> Vec<PathBuf> {
    match engine {
        Engine::Process { commands, .. } => {
            let words = commands.iter().flat_map(|command| {
                let program = command.first().and_then(|name| match name.as_str() {
                    interpreter::NAME => Some(interpreter::path(env)).filter(|p| p.is_file()),
                    name => found(name, env),
                });
                // A script that is handed to an interpreter is the program.
                let scripts = command.iter().skip(1).filter(|a| !a.contains('{')).map(PathBuf::from);
                program.into_iter().chain(scripts.filter(|p| p.is_file()))
            });
            words.collect()
        }
        Engine::Python { module, .. } => {
            folders.iter().map(|f| f.join(module)).find(|p| p.is_file()).into_iter().collect()
        }
        Engine::Worker { worker, .. } => worker::program(worker, env).ok().map(PathBuf::from).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The programs of a plan on this machine, by path, with the SHA-256 of their bytes.
pub fn pinned(plan: &Plan, folders: &[PathBuf], env: Env<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let all = plan.steps.iter().flat_map(|step| {
        let others = step.fallbacks.iter().map(|fallback| &fallback.engine);
        std::iter::once(&step.engine).chain(others).flat_map(|engine| programs(engine, folders, env))
    });
    let digest = |path: PathBuf| {
        let sum = file_digest(&path).map_err(|e| Fault::storage("read the program", &path, &e))?;
        Ok((path.display().to_string(), sum))
    };
    all.map(digest).collect()
}

/// What is not as the plan pins it; empty where it pins nothing.
pub fn changed(plan: &Plan, folders: &[PathBuf], env: Env<'_>) -> Vec<Fault> {
    if plan.programs.is_empty() {
        return Vec::new();
    }
    let here = match pinned(plan, folders, env) {
        Ok(here) => here,
        Err(fault) => return vec![fault],
    };
    let wrong = here.iter().filter_map(|(path, sum)| match plan.programs.get(path) {
        Some(pinned) if pinned == sum => None,
        Some(_) => Some(format!("`{path}` is not the program that the plan pins: its bytes are others")),
        None => Some(format!("`{path}` would be run, and the plan pins no such program")),
    });
    let help = "make the plan again with `mkbc plan --pin` if this is meant";
    wrong.map(|message| Fault::new(FaultKind::Program, message).help(help)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::samples::{environment, plan, process, step, value};
    use crate::types::Type;

    #[test]
    fn one_byte_is_noticed_and_so_is_another_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = folder.path().join("tool.sh");
        std::fs::write(&script, "echo a").expect("a script");
        let words = ["sh", script.to_str().expect("UTF-8"), "{x}"];
        let steps = vec![step(0, process(&[&words], "lines"), &[], Type::Text)];
        let mut plan = plan(Type::Text, Vec::new(), (value(0), Type::Text), steps);
        assert_eq!(changed(&plan, &[], &environment), [], "nothing is pinned");
        plan.programs = pinned(&plan, &[], &environment).expect("readable");
        assert_eq!(plan.programs.len(), 2);
        assert_eq!(changed(&plan, &[], &environment), []);
        std::fs::write(&script, "echo b").expect("a script");
        let faults = changed(&plan, &[], &environment);
        assert!(faults.len() == 1 && faults[0].message.contains("tool.sh` is not the program"), "{faults:?}");
        let elsewhere = |name: &str| if name == "PATH" { None } else { environment(name) };
        plan.programs.retain(|path, _| path.ends_with("tool.sh"));
        assert!(changed(&plan, &[], &elsewhere).iter().any(|f| f.message.contains("pins no such program")));
    }
}
