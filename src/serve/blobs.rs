//! Files that tenants upload ↔ files of the server under their SHA-256, each tenant's in a folder of its own.

use super::store::Store;
use crate::digest::hex;
use crate::run::fault::Fault;
use crate::run::store::folder;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The uploads of a service.
#[derive(Debug)]
pub struct Blobs {
    folder: PathBuf,
    unique: AtomicU64,
}

impl Blobs {
    /// Those in a folder.
    pub fn new(folder: PathBuf) -> Blobs {
        Blobs { folder, unique: AtomicU64::new(0) }
    }

    /// The file of a tenant's blob.
    pub fn of(&self, store: &Store, tenant: &str, digest: &str) -> Option<PathBuf> {
        // What the store knows is a digest: nothing else becomes a part of a path.
        store.has_blob(tenant, digest).ok().filter(|there| *there)?;
        Some(self.folder.join(tenant).join(digest)).filter(|path| path.is_file())
    }

    /// Begins to write one.
    pub fn begin(&self, tenant: &str) -> Result<Upload, Fault> {
        let folder_of = self.folder.join(tenant);
        folder(&folder_of)?;
        let unique = self.unique.fetch_add(1, Ordering::Relaxed);
        let part = folder_of.join(format!("{}-{unique}.part", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
        let file = file.map_err(|e| Fault::storage("write", &part, &e))?;
        Ok(Upload { file, part, folder: folder_of, hash: Sha256::new(), bytes: 0, kept: false })
    }

    /// Removes what uploads left that a server's end cut off.
    pub fn sweep(&self) {
        let tenants = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for file in tenants.flat_map(|tenant| std::fs::read_dir(tenant.path()).into_iter().flatten().flatten()) {
            if file.path().extension().is_some_and(|ending| ending == "part") {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}

/// A blob that is being written; nothing is left of it where it is not finished.
#[derive(Debug)]
pub struct Upload {
    file: File,
    part: PathBuf,
    folder: PathBuf,
    hash: Sha256,
    bytes: u64,
    kept: bool,
}

impl Upload {
    /// Writes a part.
    pub fn write(&mut self, part: &[u8]) -> Result<(), Fault> {
        self.file.write_all(part).map_err(|e| Fault::storage("write", &self.part, &e))?;
        self.hash.update(part);
        self.bytes += part.len() as u64;
        Ok(())
    }

    /// What is written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of what is written so far, lower-case hex.
    pub fn digest(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// Puts it, and its name, on the disk.
    pub fn finish(mut self) -> Result<(), Fault> {
        let path = self.folder.join(self.digest());
        let sync = |path: &Path| File::open(path)?.sync_all();
        let finish = || {
            self.file.sync_all()?;
            std::fs::rename(&self.part, &path)?;
            sync(&self.folder)
        };
        finish().map_err(|e| Fault::storage("write", &path, &e))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
