//! Outputs of steps -> files in the run folder that only their owner can read, whole or not at all.

use super::fault::Fault;
use super::probe::Env;
use crate::plan::model::PlanStep;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file of a finished call's value, in its folder.
pub const OUTPUT: &str = "output.json";

/// Makes a folder (and those above it) that only its owner can enter.
pub fn folder(path: &Path) -> Result<(), Fault> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Fault::storage("create the folder", path, &e))
}

/// Makes a folder for one attempt. What an earlier run left there would pass for this one's output, and goes.
pub fn fresh_folder(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Fault::storage("clear the folder", path, &e)),
        _ => folder(path),
    }
}

/// Where mkbc keeps what can be had again: the folder `mkbc` of the user's cache.
pub fn cache(env: Env<'_>) -> PathBuf {
    let set = |name: &str| env(name).filter(|v| !v.is_empty());
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let cache = cache.unwrap_or_else(|| Path::new(&set("HOME").unwrap_or_else(|| "/".into())).join(".cache"));
    cache.join("mkbc")
}

/// Removes a file of an earlier run, if there is one.
pub fn forget(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Fault::storage("remove", path, &e)),
        _ => Ok(()),
    }
}

/// Makes the run folder. One that was there before stays as open as it was: what is written into it is closed by itself.
pub fn run_folder(path: &Path) -> Result<PathBuf, Fault> {
    folder(path)?;
    // Absolute, since programs run in folders of their own.
    path.canonicalize().map_err(|e| Fault::storage("find the folder", path, &e))
}

/// Writes a file that only its owner can read; whoever reads it sees all of it or what was there before.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    write_with(path, |file| file.write_all(bytes))
}

/// The same for what is written piece by piece.
pub fn write_with(path: &Path, write_to: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Fault> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
    let written = written.and_then(|mut file| write_to(&mut file)).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|e| Fault::storage("write", path, &e))
}

/// The folder of one call of a step: `steps/03-speech_to_text/0007`.
pub fn call_folder(run: &Path, step: &PlanStep, number: u64) -> PathBuf {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = step.name.chars().take(60).map(safe).collect();
    run.join("steps").join(format!("{:02}-{name}", step.id.0)).join(format!("{number:04}"))
}
