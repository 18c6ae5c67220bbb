//! Large values <-> files under their digests: whole or not there, and checked whenever they are read.

use super::record::Stored;
use crate::digest::{digest, digest_of_written};
use crate::run::fault::{Fault, FaultKind};
use crate::run::store;
use crate::run::value::held::Held;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
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

    /// The same of a value as a run has it; a long list is not read as a whole for it.
    pub fn keep_held(&self, value: &Held) -> Result<Stored, Fault> {
        let Some(bytes) = value.json_bytes() else { return self.keep(value.whole()?.as_ref()) };
        let hash = digest_of_written(bytes, |to| value.write(to));
        let hash = hash.map_err(|e| Fault::storage("read a list for", &self.0, &e))?;
        self.place(&hash, &|file| {
            let mut file = BufWriter::new(file);
            value.write(&mut file)?;
            file.flush()
        })?;
        Ok(Stored::Blob(hash))
    }

    /// Keeps a text under its digest.
    pub fn put(&self, text: &str) -> Result<String, Fault> {
        let hash = digest([text]);
        // One that is damaged is written again.
        if std::fs::read(self.path(&hash)).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(hash);
        }
        self.place(&hash, &|file| file.write_all(text.as_bytes()))?;
        Ok(hash)
    }

    /// Writes a file, whole or not at all, and on the disk before this returns.
    fn place(&self, hash: &str, write_to: &dyn Fn(&mut File) -> std::io::Result<()>) -> Result<(), Fault> {
        static UNIQUE: AtomicU64 = AtomicU64::new(0);
        let path = self.path(hash);
        let folder = path.parent().unwrap_or(&self.0).to_path_buf();
        store::folder(&folder)?;
        let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
        let part = folder.join(format!("{}-{unique}.part", std::process::id()));
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            write_to(&mut file)?;
            file.sync_all()?;
            std::fs::rename(&part, &path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(|e| {
            let _ = std::fs::remove_file(&part);
            Fault::storage("write", &path, &e)
        })
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
    use crate::run::value::held::LONG;
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

    #[test]
    fn a_long_list_is_kept_as_if_it_were_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::new(folder.path().join("blobs"));
        let whole: Value = (0..LONG + 1).map(|n| json!([n, "x"])).collect();
        let long = Held::from(whole.clone()).short(folder.path()).expect("a list");
        assert!(matches!(long, Held::Long(_)));
        let stored = blobs.keep_held(&long).expect("kept");
        assert_eq!(stored, blobs.keep(&whole).expect("kept"));
        assert_eq!(blobs.value(&stored).expect("there"), whole);
    }
}
