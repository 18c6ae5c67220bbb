//! Files → texts; diagnostics → the terminal.

use super::args::{Format, Source};
use super::fleet::arrivals;
use super::{Failure, count, note, print};
use crate::compile::{Texts, table_names};
use crate::diag::source::{FileId, Span};
use crate::diag::{Diagnostics, Severity, render};
use crate::fleet::load::{Window, rates};
use crate::library::Load;
use crate::syntax::parse::parse;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file larger than this is no source.
pub const MAX_BYTES: u64 = 64 << 20;

/// The texts of a compilation: the library and the job's file.
pub fn load(source: &Source) -> Result<(Texts, FileId), Failure> {
    let mut texts = library(&source.library)?;
    let text = read(&source.file)?;
    // A file of the library stands for itself, and is not there twice.
    let named = |module: FileId| PathBuf::from(&texts.sources.get(module).name);
    let own = texts.modules.iter().position(|(_, module)| same(&named(*module), &source.file));
    if let Some(at) = own {
        texts.modules.remove(at);
        texts.own_is_module = true;
    }
    let file = texts.sources.add(source.file.display().to_string(), text);
    tables(&mut texts, file, &source.file)?;
    Ok((texts, file))
}

/// Adds the tables beside a job's file that its jobs take their rule of quality from, and what its traces of arrivals say. One that is missing
/// is the check's to report.
fn tables(texts: &mut Texts, file: FileId, path: &Path) -> Result<(), Failure> {
    let tree = parse(file, &texts.sources, &mut Diagnostics::default());
    for name in table_names(&tree) {
        if let Some((shown, text)) = table(path, &name)? {
            let table = texts.sources.add(shown, text);
            texts.tables.insert(name, table);
        }
    }
    texts.read_traces(&tree, &|name| traced(path, name));
    Ok(())
}

/// What a trace beside a job's file says, if there is one of that name: the rule of its busiest minute is that of `--load`.
pub fn traced(path: &Path, name: &str) -> Option<Load> {
    let beside = folder_of(path).join(name);
    if beside.metadata().is_ok_and(|about| !about.is_file()) {
        return Some(Err("it is no regular file".to_string()));
    }
    beside.exists().then(|| arrivals(&beside).and_then(|arrivals| rates(&arrivals, Window::default())))
}

/// The table of that name beside a job's file: its path and text.
pub fn table(path: &Path, name: &str) -> Result<Option<(String, String)>, Failure> {
    let beside = folder_of(path).join(name);
    match beside.is_file() {
        true => Ok(Some((beside.display().to_string(), read(&beside)?))),
        false => Ok(None),
    }
}

/// The standard library, and what folders add to it.
pub fn library(folders: &[PathBuf]) -> Result<Texts, Failure> {
    let mut texts = Texts::with_stdlib();
    for folder in folders {
        for path in files(folder, "mkb")? {
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_string();
            let text = read(&path)?;
            let file = texts.sources.add(path.display().to_string(), text);
            texts.modules.push((stem.into(), file));
        }
        for (within, measured) in [("profiles", false), ("measured", true)] {
            let folder = folder.join(within);
            for path in if folder.is_dir() { files(&folder, "csv")? } else { Vec::new() } {
                let name = path.file_name().and_then(|s| s.to_str()).unwrap_or_default().to_string();
                let text = read(&path)?;
                let file = texts.sources.add(path.display().to_string(), text);
                if measured {
                    texts.add_measured(&name, file);
                } else {
                    texts.profiles.insert(name.into(), file);
                }
            }
        }
    }
    Ok(texts)
}

/// The folders that the library of a file has: those that are given, and the `library` that stands beside the file, or that it is in.
pub fn libraries(file: &Path, given: &[PathBuf]) -> Vec<PathBuf> {
    let own = folder_of(file);
    let inside = own.canonicalize().is_ok_and(|whole| whole.ends_with("library"));
    let beside = if inside { own.to_path_buf() } else { own.join("library") };
    let is_new = beside.is_dir() && !given.iter().any(|given| same(given, &beside));
    given.iter().cloned().chain(is_new.then_some(beside)).collect()
}

/// The files of a folder with an ending, in order of name.
pub fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let entries =
        std::fs::read_dir(folder).map_err(|e| format!("cannot read the folder `{}`: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == ending));
    paths.sort();
    Ok(paths)
}

/// Files as they are named, each once, and the `.mkb` files of folders, at any depth and in order of name; hidden folders are left out.
pub fn sources(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let mut folders = vec![path.clone()];
        let mut inside = Vec::new();
        while let Some(folder) = folders.pop() {
            let unreadable = |e| format!("cannot read the folder `{}`: {e}", folder.display());
            for entry in std::fs::read_dir(&folder).map_err(unreadable)?.flatten() {
                let path = entry.path();
                let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                // A link may lead back to where it stands.
                let kind = entry.file_type().map_err(unreadable)?;
                if kind.is_dir() && !hidden {
                    folders.push(path);
                } else if !kind.is_dir() && path.extension().is_some_and(|e| e == "mkb") {
                    inside.push(path);
                }
            }
        }
        if inside.is_empty() {
            return Err(format!("the folder `{}` holds no .mkb file", path.display()).into());
        }
        inside.sort();
        found.append(&mut inside);
    }
    Ok(once_each(found))
}

/// Files without those that are named a second time.
pub fn once_each(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    paths
}

/// The text of a file.
pub fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    if path == Path::new("-") {
        return Err("standard input is no file of a job here: `mkbc fmt -` alone takes one from there"
            .to_string()
            .into());
    }
    let about = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file `{shown}`{}", near(path)),
        _ => format!("cannot read `{shown}`: {e}"),
    })?;
    if about.is_dir() {
        return Err(format!("`{shown}` is a directory").into());
    }
    if !about.is_file() {
        return Err(format!("`{shown}` is no regular file").into());
    }
    if about.len() > MAX_BYTES {
        return Err(format!("`{shown}` has {} MB: a source has 64 MB at most", about.len() >> 20).into());
    }
    let bytes = std::fs::read(path).map_err(|e| format!("cannot read `{shown}`: {e}"))?;
    String::from_utf8(bytes).map_err(|e| {
        format!("`{shown}` is not UTF-8 text: byte {} cannot be read", e.utf8_error().valid_up_to()).into()
    })
}

/// `: did you mean …?` where a file beside has nearly this name.
fn near(path: &Path) -> String {
    let folder = folder_of(path);
    let names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    let wanted = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    match crate::diag::nearest(wanted, names.iter().map(String::as_str)) {
        Some(name) => {
            let near = if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) };
            format!(": did you mean `{}`?", near.display())
        }
        None => String::new(),
    }
}

/// The lock file beside a job file.
pub fn lock_path(file: &Path) -> PathBuf {
    let mut name: OsString = file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The time that `--time-limit` allows.
pub fn time_limit(seconds: f64) -> Result<Duration, Failure> {
    match seconds {
        0.0..=86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(Failure::Usage("`--time-limit` takes seconds, from 0 to 86400".into())),
    }
}

/// Refuses a path that cannot be written, before work is done for it.
pub fn writable(path: &Path) -> Result<(), Failure> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(format!("cannot write `{}`: there is no folder `{}`", path.display(), folder.display()).into());
    }
    if path.is_dir() {
        return Err(format!("cannot write `{}`: it is a folder", path.display()).into());
    }
    Ok(())
}

/// Whether two paths lead to the same file or folder.
pub fn same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file whole or not at all. What is no file, such as a pipe, is written to; a link stays one.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    writable(path)?;
    // The error of the temporary file names a path that means nothing to people.
    let failed = |e: std::io::Error| format!("cannot write `{}`: {}", path.display(), e.kind());
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let before = std::fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|about| !about.is_file()) {
        let mut open = std::fs::OpenOptions::new().write(true).open(&target).map_err(failed)?;
        return Ok(open.write_all(text.as_bytes()).map_err(failed)?);
    }
    let folder = folder_of(&target);
    // Plans and lock files are meant to be read by others; a temporary file is not by default. A file that is there keeps its own.
    let readable = || std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let permissions = before.map_or_else(readable, |about| about.permissions());
    let mut file = tempfile::Builder::new().permissions(permissions.clone()).tempfile_in(folder).map_err(failed)?;
    // What the process takes from new files (`umask`) is no part of that.
    file.as_file().set_permissions(permissions).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Shows what was found in a file and what ended the command, which for programs is an error among the others: they read one array.
pub fn show_with(failure: Failure, cx: &mut Diagnostics, file: FileId, texts: &Texts, format: Format) -> Failure {
    let ends = matches!(failure, Failure::Message(_) | Failure::Usage(_));
    if format == Format::Json && ends {
        cx.push(failure.diagnostic(Span::new(file, 0, 0)));
        note(&failure.to_string());
    }
    show(cx, texts, format);
    if format == Format::Json { failure.said() } else { failure }
}

/// Shows diagnostics: JSON on standard output, text on standard error.
pub fn show(cx: &Diagnostics, texts: &Texts, format: Format) {
    match format {
        Format::Json => print(&format!("{:#}\n", render::json(cx, &texts.sources))),
        Format::Text => {
            let plain = std::env::var_os("NO_COLOR").is_some() || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
            let colour = std::io::stderr().is_terminal() && !plain;
            let text = render::text(cx, &texts.sources, colour);
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
            let (errors, warnings) = (cx.count(Severity::Error), cx.count(Severity::Warning));
            if errors + warnings > 0 {
                let _ = writeln!(std::io::stderr(), "{}, {}", count(errors, "error"), count(warnings, "warning"));
            }
        }
    }
}
