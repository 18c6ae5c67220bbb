//! Documents ↔ files of this machine: what lies beside a document, and the library's texts as files that an editor can open.

use super::files::Files;
use crate::compile::{Texts, library_digest};
use crate::diag::source::FileId;
use crate::expand::lock::Lock;
use reqwest::Url;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The files of this machine.
#[derive(Default)]
pub struct Disk {
    /// The library's digest: it names the folder of the library's texts.
    digest: OnceLock<String>,
}

impl Files for Disk {
    fn table(&self, uri: &str, name: &str) -> Option<String> {
        std::fs::read_to_string(path_of(uri)?.parent()?.join(name)).ok()
    }

    fn lock(&self, uri: &str) -> Option<Lock> {
        let mut lock = path_of(uri)?.into_os_string();
        lock.push(".lock");
        Lock::read(&std::fs::read_to_string(lock).ok()?).ok()
    }

    fn beside(&self, uri: &str, names: &[String]) -> Option<String> {
        let folder = path_of(uri)?.parent()?.to_path_buf();
        uri_of(&names.iter().map(|name| folder.join(name)).find(|path| path.is_file())?)
    }

    fn library(&self, texts: &Texts, file: FileId) -> Option<String> {
        uri_of(&self.library_file(texts, file)?)
    }
}

impl Disk {
    /// A text's own path, or a copy of an embedded text in the user's cache folder.
    fn library_file(&self, texts: &Texts, file: FileId) -> Option<PathBuf> {
        let source = texts.sources.get(file);
        if !source.name.starts_with("std/") {
            return std::fs::canonicalize(&source.name).ok();
        }
        let digest = self.digest.get_or_init(|| library_digest(texts));
        let path = cache().join(format!("mkbc/{}", digest.get(..12)?)).join(&source.name);
        if std::fs::read_to_string(&path).is_ok_and(|text| text == source.text) {
            return Some(path);
        }
        let folder = path.parent()?;
        std::fs::create_dir_all(folder).ok()?;
        // Read-only: an edit there would change nothing.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        let mut copy = tempfile::Builder::new().permissions(mode).tempfile_in(folder).ok()?;
        std::io::Write::write_all(&mut copy, source.text.as_bytes()).ok()?;
        copy.persist(&path).ok()?;
        Some(path)
    }
}

/// The file of a document; none for one that was never saved.
fn path_of(uri: &str) -> Option<PathBuf> {
    Url::parse(uri).ok().filter(|u| u.scheme() == "file")?.to_file_path().ok()
}

/// The address of a file.
fn uri_of(path: &Path) -> Option<String> {
    Url::from_file_path(path).ok().map(|u| u.to_string())
}

/// The user's cache folder.
fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .filter(|path| path.is_absolute())
        .unwrap_or_else(std::env::temp_dir)
}
