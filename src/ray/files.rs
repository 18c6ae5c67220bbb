//! Files of a call's arguments and of its value, on the way to a worker and back: by content, and never outside of the folders meant for
//! them.

use crate::digest::file_digest;
use crate::run::engines::Args;
use crate::run::fault::{Fault, FaultKind};
use crate::run::store;
use crate::run::value::{files, with_files};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// How a file that a worker was given is called in its value, and one that it made.
pub const GIVEN: &str = "given/";
pub const MADE: &str = "made/";

/// Files that go along with a call: their names there, and where they are here.
pub struct Sent(pub BTreeMap<String, PathBuf>);

/// Arguments whose files are called by their content, and these files.
pub fn named(args: &Args) -> Result<(Map<String, Value>, Sent), Fault> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut sent = BTreeMap::new();
    for file in args.values().flat_map(|value| files(value)) {
        let path = Path::new(file);
        let digest = file_digest(path).map_err(|e| Fault::storage("read", path, &e))?;
        // Programs tell what a file is by how its name ends.
        let plain = |ending: &&str| ending.len() < 9 && ending.chars().all(|c| c.is_ascii_alphanumeric());
        let ending = path.extension().and_then(|e| e.to_str()).filter(plain);
        let name = ending.map_or_else(|| digest.clone(), |ending| format!("{digest}.{ending}"));
        names.insert(file.to_owned(), name.clone());
        sent.insert(name, path.to_path_buf());
    }
    let name = |file: &str| names.get(file).cloned().unwrap_or_default();
    Ok((args.iter().map(|(key, value)| (key.clone(), with_files(value, &name))).collect(), Sent(sent)))
}

/// A path below a folder, whatever somebody else says it is.
pub fn below(folder: &Path, name: &str) -> Result<PathBuf, Fault> {
    let path = Path::new(name);
    if name.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
        let message = format!("the other side of the Ray cluster names the file `{name}`, which is nowhere");
        return Err(Fault::new(FaultKind::Answer, message));
    }
    Ok(folder.join(path))
}

/// Writes the files that a worker made: `[[name, size], …]`, one behind the other.
pub fn write(list: &Value, body: &[u8], out: &Path) -> Result<(), Fault> {
    let mut rest = body;
    for file in list.as_array().into_iter().flatten() {
        let (name, size) = (file[0].as_str().unwrap_or_default(), file[1].as_u64().unwrap_or(0));
        let path = below(out, name)?;
        let Some((bytes, more)) = rest.split_at_checked(size as usize) else {
            return Err(Fault::new(FaultKind::Answer, format!("the file `{name}` of a worker is cut off")));
        };
        if let Some(folder) = path.parent() {
            store::folder(folder)?;
        }
        store::write(&path, bytes)?;
        rest = more;
    }
    Ok(())
}

/// A worker's value with its files as they are called here.
pub fn renamed(value: Value, sent: &Sent, out: &Path) -> Result<Value, Fault> {
    let here = |name: &str| -> Result<PathBuf, Fault> {
        if let Some(given) = name.strip_prefix(GIVEN) {
            let unknown = || Fault::new(FaultKind::Answer, format!("a worker was given no file `{given}`"));
            return sent.0.get(given).cloned().ok_or_else(unknown);
        }
        below(out, name.strip_prefix(MADE).unwrap_or_default())
    };
    let named = files(&value);
    if named.is_empty() {
        return Ok(value);
    }
    named.into_iter().try_for_each(|file| here(file).map(drop))?;
    Ok(with_files(&value, &|name| here(name).unwrap_or_default().to_string_lossy().into_owned()))
}

/// A fault as it was told.
pub fn fault(told: &Value) -> Fault {
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    let kind = serde_json::from_value(told["kind"].clone()).unwrap_or(FaultKind::Process);
    Fault {
        kind,
        message: text("message").unwrap_or_else(|| "a worker on the Ray cluster failed".to_owned()),
        help: text("help"),
        detail: text("detail"),
        transient: told["transient"].as_bool().unwrap_or(false),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_written_outside_of_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["../a", "/etc/a", "", "a/../../b", "./a/.."] {
            assert!(write(&json!([[name, 1]]), b"x", folder.path()).is_err(), "{name}");
            let value = json!({ "file": format!("{MADE}{name}") });
            assert!(renamed(value, &Sent(BTreeMap::new()), folder.path()).is_err(), "{name}");
        }
        assert!(write(&json!([["a/b", 2]]), b"x", folder.path()).is_err());
        write(&json!([["a/b", 1], ["c", 2]]), b"xyz", folder.path()).expect("files");
        assert_eq!(std::fs::read(folder.path().join("c")).expect("c"), b"yz");
        let sent = Sent(BTreeMap::from([("h.txt".to_owned(), PathBuf::from("/here.txt"))]));
        let value = json!([{ "file": "given/h.txt" }, { "file": "made/c" }]);
        let here = renamed(value, &sent, Path::new("/out")).expect("names");
        assert_eq!(here, json!([{ "file": "/here.txt" }, { "file": "/out/c" }]));
        assert!(renamed(json!({ "file": "given/other" }), &sent, Path::new("/out")).is_err());
    }
}
