//! Documents ↔ files of this machine: what lies beside a document, and the library's texts as files that an editor can open.

use super::files::Files;
use crate::compile::{Texts, library_digest};
use crate::diag::source::FileId;
use crate::digest::digest;
use crate::expand::lock::Lock;
use crate::library::Load;
use reqwest::Url;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

/// The most files of a workspace that are read for one answer, and the most bytes of each.
const MOST_FILES: usize = 2_000;
const MOST_BYTES: u64 = 1 << 20;

/// The library's folders of a file, none where a document has no file.
pub type Libraries = dyn Fn(Option<&Path>) -> Vec<PathBuf> + Send + Sync;
/// The library of folders, or why it cannot be read.
pub type ReadLibrary = dyn Fn(&[PathBuf]) -> Result<Texts, String> + Send + Sync;

/// What a trace of a name beside a file says; none where there is no such file.
pub type ReadTrace = dyn Fn(&Path, &str) -> Option<Load> + Send + Sync;

/// The files of this machine.
pub struct Disk {
    libraries: Box<Libraries>,
    load: Box<ReadLibrary>,
    /// The library's digest: it names the folder of the library's texts.
    digest: OnceLock<String>,
    /// The addresses of pages of codes, once they are written.
    pages: Mutex<BTreeMap<&'static str, Option<String>>>,
    read_trace: Box<ReadTrace>,
    /// What traces say, by document and name, while they have the size and time that they had: a keystroke reads none again.
    traces: Mutex<BTreeMap<(PathBuf, String), Said>>,
}

/// Bytes of a file, and when it was changed.
type Stamp = (u64, SystemTime);
/// What a trace said when its file had a size and time.
type Said = (Option<Stamp>, Option<Load>);

impl Files for Disk {
    fn table(&self, uri: &str, name: &str) -> Option<String> {
        std::fs::read_to_string(path_of(uri)?.parent()?.join(name)).ok()
    }

    fn trace(&self, uri: &str, name: &str) -> Option<Load> {
        let path = path_of(uri)?;
        let about = path.parent()?.join(name).metadata().ok();
        let stamp = about.and_then(|about| Some((about.len(), about.modified().ok()?)));
        let key = (path.clone(), name.to_string());
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, said)) = traces.get(&key)
            && *known == stamp
        {
            return said.clone();
        }
        let said = (self.read_trace)(&path, name);
        traces.insert(key, (stamp, said.clone()));
        said
    }

    fn lock(&self, uri: &str) -> Option<Result<Lock, String>> {
        let mut lock = path_of(uri)?.into_os_string();
        lock.push(".lock");
        match std::fs::read_to_string(lock) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            text => Some(text.map_err(|e| e.to_string()).and_then(|text| Lock::read(&text))),
        }
    }

    fn beside(&self, uri: &str, names: &[String]) -> Option<String> {
        let folder = path_of(uri)?.parent()?.to_path_buf();
        uri_of(&names.iter().map(|name| folder.join(name)).find(|path| path.is_file())?)
    }

    fn text(&self, uri: &str) -> Option<String> {
        std::fs::read_to_string(path_of(uri)?).ok()
    }

    fn same(&self, uri: &str, other: &str) -> bool {
        uri == other || path_of(uri).is_some_and(|path| path_of(other) == Some(path))
    }

    fn inside(&self, folders: &[String]) -> Vec<(String, String)> {
        let folders: Vec<PathBuf> = folders.iter().filter_map(|uri| path_of(uri)).collect();
        let mut files = jobs_in(folders);
        files.sort();
        let small = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|about| about.len() <= MOST_BYTES);
        let read = |path: PathBuf| Some((uri_of(&path)?, std::fs::read_to_string(&path).ok()?));
        files.into_iter().filter(small).filter_map(read).collect()
    }

    fn libraries(&self, uri: &str) -> Vec<PathBuf> {
        (self.libraries)(path_of(uri).as_deref())
    }

    fn load(&self, folders: &[PathBuf]) -> Result<Texts, String> {
        (self.load)(folders)
    }

    fn within(&self, folders: &[PathBuf], uri: &str) -> bool {
        let path = path_of(uri).filter(|path| path.extension().is_some_and(|end| end == "mkb" || end == "csv"));
        let Some(own) = path.as_deref().and_then(Path::parent).and_then(|own| own.canonicalize().ok()) else {
            return false;
        };
        let of = |folder: &PathBuf| [folder.clone(), folder.join("profiles"), folder.join("measured")];
        folders.iter().flat_map(of).any(|folder| folder.canonicalize().is_ok_and(|folder| folder == own))
    }

    fn page(&self, code: &'static str, page: &str) -> Option<String> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let written = || uri_of(&copied(&format!("pages/{}/{code}.md", digest([page]).get(..12)?), page)?);
        pages.entry(code).or_insert_with(written).clone()
    }

    fn library(&self, texts: &Texts, file: FileId) -> Option<String> {
        uri_of(&self.library_file(texts, file)?)
    }
}

impl Disk {
    /// The files of this machine, with what says which libraries they have and what reads traces.
    pub fn new(libraries: Box<Libraries>, load: Box<ReadLibrary>, read_trace: Box<ReadTrace>) -> Disk {
        let (pages, traces) = (Mutex::default(), Mutex::default());
        Disk { libraries, load, digest: OnceLock::new(), pages, read_trace, traces }
    }

    /// A text's own path, or that of a copy of an embedded text.
    fn library_file(&self, texts: &Texts, file: FileId) -> Option<PathBuf> {
        let source = texts.sources.get(file);
        if !texts.is_standard(file) {
            return std::fs::canonicalize(&source.name).ok();
        }
        let library = self.digest.get_or_init(|| library_digest(texts));
        copied(&format!("{}/{}", library.get(..12)?, source.name), &source.text)
    }
}

/// A copy of an embedded text in the user's cache folder.
fn copied(name: &str, text: &str) -> Option<PathBuf> {
    let path = cache().join("mkbc").join(name);
    if std::fs::read_to_string(&path).is_ok_and(|known| known == text) {
        return Some(path);
    }
    let folder = path.parent()?;
    std::fs::create_dir_all(folder).ok()?;
    // Read-only: an edit there would change nothing.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
    let mut copy = tempfile::Builder::new().permissions(mode).tempfile_in(folder).ok()?;
    std::io::Write::write_all(&mut copy, text.as_bytes()).ok()?;
    copy.persist(&path).ok()?;
    Some(path)
}

/// The `.mkb` files of folders at any depth, as many as one answer may take. Hidden folders, links, and what builds put there are
/// left out.
fn jobs_in(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            let Ok(kind) = entry.file_type() else { continue };
            let skipped = name.as_encoded_bytes().starts_with(b".") || name == "node_modules" || name == "target";
            if kind.is_dir() && !skipped {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|e| e == "mkb") {
                files.push(path);
                if files.len() == MOST_FILES {
                    return files;
                }
            }
        }
    }
    files
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
