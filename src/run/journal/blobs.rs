//! Large values <-> files under their digests: whole or not there, and checked whenever they are read.

use super::record::Stored;
use crate::digest::digest;
use crate::run::fault::{Fault, FaultKind};
use crate::run::store;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of JSON from which on a value stands in a file of its own.
pub const INLINE: usize = 16 << 10;

/// The store of large values of a project.
#[derive(Clone, Debug)]
pub struct Blobs(PathBuf);

impl Blobs {
    /// The store in a folder.
    pub fn new(folder: PathBuf) -> Blobs {
        Blobs(folder)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.0.join(hash.get(..2).unwrap_or("00")).join(hash)
    }

    /// Keeps a value: on the disk, if it is large, before this returns.
    pub fn keep(&self, value: &Value) -> Result<Stored, Fault> {
        let text = value.to_string();
        if text.len() <= INLINE { Ok(Stored::Inline(value.clone())) } else { self.put(&text).map(Stored::Blob) }
    }

    /// Keeps a text under its digest.
    pub fn put(&self, text: &str) -> Result<String, Fault> {
        static UNIQUE: AtomicU64 = AtomicU64::new(0);
        let hash = digest([text]);
        let path = self.path(&hash);
        // One that is damaged is written again.
        if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(hash);
        }
        let folder = path.parent().unwrap_or(&self.0).to_path_buf();
        store::folder(&folder)?;
        let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
        let part = folder.join(format!("{}-{unique}.part", std::process::id()));
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, &path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(|e| {
            let _ = std::fs::remove_file(&part);
            Fault::storage("write", &path, &e)
        })?;
        Ok(hash)
    }

    /// A value that was kept.
    pub fn value(&self, stored: &Stored) -> Result<Value, Fault> {
        match stored {
            Stored::Inline(value) => Ok(value.clone()),
            Stored::Blob(hash) => {
                let text = self.text(hash)?;
                serde_json::from_str(&text).map_err(|e| damaged(&format!("the value {hash} is no JSON: {e}")))
            }
        }
    }

    /// A text by its digest, if it is what was written.
    pub fn text(&self, hash: &str) -> Result<String, Fault> {
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(damaged(&format!("`{hash}` is no digest")));
        }
        let path = self.path(hash);
        let text = std::fs::read_to_string(&path)
            .map_err(|e| damaged(&format!("the value `{}` cannot be read: {e}", path.display())))?;
        if digest([text.as_str()]) == hash {
            Ok(text)
        } else {
            Err(damaged(&format!("the value `{}` is not what was written", path.display())))
        }
    }
}

/// The journal, or what belongs to it, is not what was written.
pub fn damaged(what: &str) -> Fault {
    Fault::new(FaultKind::Storage, format!("the journal is damaged: {what}")).help(
        "`mkbc journal verify` says what is lost; move `.mkbc/journal.*` away to begin a new journal (outputs in run folders stay)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_that_changed_is_refused_and_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::new(folder.path().join("blobs"));
        let value = json!("x".repeat(INLINE));
        let stored = blobs.keep(&value).expect("kept");
        let Stored::Blob(hash) = &stored else { panic!("{stored:?} is no file") };
        assert_eq!(blobs.value(&stored).expect("there"), value);
        std::fs::write(blobs.path(hash), "\"y\"").expect("changed");
        assert!(blobs.value(&stored).expect_err("changed").message.contains("is not what was written"));
        blobs.keep(&value).expect("kept again");
        assert_eq!(blobs.value(&stored).expect("there"), value);
        assert!(blobs.value(&Stored::Blob("../../etc/passwd".into())).is_err());
        assert!(matches!(blobs.keep(&json!(1)), Ok(Stored::Inline(_))));
    }
}
