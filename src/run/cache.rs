//! Calls that were made -> their results, for other runs: beside the journal, under a digest of all that a result follows from.
//!
//! An entry is a file with a checksum over its text; it names the files of its value with their digests. One that is not what was written,
//! or whose files are gone or changed, is no entry, and one that is older than a step's `cache 24 h` is none for it. Failures are never
//! kept. Files of a result stay where the run that made them has them, and become links in the folder of the run that uses them.

#[cfg(test)]
mod tests;

use super::RunContext;
use super::engines::Args;
use super::pins::programs;
use super::store;
use super::value::{files, with_files};
use crate::digest::{digest, file_digest};
use crate::plan::model::{Age, Engine, PlanStep, Reuse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The format of entries, which is part of every key.
const FORMAT: &str = "mkbc cache 1";
/// Bytes of all entries, beyond which the least recently used go.
pub const MOST: u64 = 256 << 20;

/// Whose results are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Those of programs of the standard library, which follow from their arguments, and what a job says with `cache on`.
    Usual,
    /// Those of models and tools of one's own as well.
    All,
}

/// Results of other runs of a project.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    policy: Policy,
    digests: Arc<Mutex<Digests>>,
}

/// Digests of files, by path, size and time of change.
type Digests = BTreeMap<(PathBuf, u64, Option<SystemTime>), String>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    task: String,
    implementation: String,
    value: Value,
    /// The files of the value, with their digests.
    files: BTreeMap<String, String>,
    /// When the call began, in milliseconds since 1970: what it read is no newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_ms: Option<u64>,
}

impl Entry {
    /// Whether it is new enough at this time. What has no time, or one that is still to come, is of no known age.
    fn serves(&self, said: Option<Reuse>, now: SystemTime) -> bool {
        let Some(Reuse::While(Age { at_most_ms })) = said else { return true };
        let age = self.made_ms.and_then(|made| millis(now)?.checked_sub(made));
        age.is_some_and(|age| age <= at_most_ms)
    }
}

/// Milliseconds since 1970.
fn millis(at: SystemTime) -> Option<u64> {
    at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis().try_into().ok()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    sum: String,
    entry: String,
}

/// An entry, for people.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// The task; none of an entry that cannot be read.
    pub task: Option<String>,
    /// What gave it.
    pub implementation: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// When its call began, where that is known.
    #[serde(skip)]
    pub made: Option<SystemTime>,
    /// When it was used last.
    #[serde(skip)]
    pub used: SystemTime,
    #[serde(skip)]
    path: PathBuf,
}

impl Cache {
    /// The cache of a project.
    pub fn of(project: &Path, policy: Policy) -> Cache {
        Cache { folder: project.join("cache"), policy, digests: Arc::default() }
    }

    /// Whether results of a step are kept; `usual` is what holds where nobody says anything of it.
    pub fn wants(&self, step: &PlanStep, usual: bool) -> bool {
        match (step.conditions.cache, self.policy) {
            (Some(said), _) => said != Reuse::Always(false),
            (None, Policy::All) => !matches!(step.engine, Engine::Builtin { .. }),
            (None, Policy::Usual) => usual,
        }
    }

    /// What a call's result follows from: the implementation, its knobs and programs, the arguments and the contents of their files. None
    /// where a file cannot be read.
    pub async fn key(&self, step: &PlanStep, args: &Args, cx: &RunContext<'_>) -> Option<String> {
        let mut texts = vec![FORMAT.to_owned(), env!("CARGO_PKG_VERSION").to_owned(), step.task.clone()];
        texts.extend([step.implementation.clone(), step.hardware.device.clone()]);
        texts.push(serde_json::to_string(&(&step.knobs, &step.engine, &step.output)).ok()?);
        let programs = programs(&step.engine, &cx.folders, cx.env);
        let (cache, args) = (self.clone(), args.clone());
        let work = move || {
            for program in programs {
                texts.push(cache.digest(&program)?);
            }
            for (name, value) in &args {
                texts.push(name.clone());
                texts.push(cache.nameless(value)?.to_string());
            }
            Some(digest(texts.iter().map(String::as_str)))
        };
        tokio::task::spawn_blocking(work).await.ok()?
    }

    /// The result under a key, if it is new enough for the step at this time. Its files are linked into a folder; those that are among the
    /// arguments are those.
    pub async fn find(
        &self,
        key: &str,
        (step, args): (&PlanStep, &Args),
        folder: &Path,
        now: SystemTime,
    ) -> Option<Value> {
        let (cache, path, folder, args) = (self.clone(), self.path(key), folder.join("cached"), args.clone());
        let said = step.conditions.cache;
        let work = move || {
            let entry = entry(&path).filter(|entry| entry.serves(said, now))?;
            cache.read(entry, &path, &args, &folder)
        };
        tokio::task::spawn_blocking(work).await.ok()?
    }

    /// Keeps the result of a call that began then; what cannot be kept is no loss.
    pub async fn keep(&self, key: &str, step: &PlanStep, value: &Value, began: SystemTime) {
        let (cache, path, value) = (self.clone(), self.path(key), value.clone());
        let (task, implementation, made_ms) = (step.task.clone(), step.implementation.clone(), millis(began));
        let work = move || -> Option<()> {
            let named: Vec<String> = files(&value).into_iter().map(str::to_owned).collect();
            let mut digests = BTreeMap::new();
            for file in named {
                let sum = cache.digest(Path::new(&file))?;
                digests.insert(file, sum);
            }
            let entry = serde_json::to_string(&Entry { task, implementation, value, files: digests, made_ms }).ok()?;
            let sealed = serde_json::to_string(&Sealed { sum: digest([entry.as_str()]), entry }).ok()?;
            store::folder(path.parent()?).ok()?;
            store::write(&path, sealed.as_bytes()).ok()
        };
        let _ = tokio::task::spawn_blocking(work).await;
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key.get(..2).unwrap_or("00")).join(key)
    }

    fn read(&self, entry: Entry, path: &Path, args: &Args, folder: &Path) -> Option<Value> {
        let given: BTreeMap<String, String> = args
            .values()
            .flat_map(|value| files(value))
            .filter_map(|file| Some((self.digest(Path::new(file))?, file.to_owned())))
            .collect();
        let mut names = BTreeMap::new();
        for (n, (file, sum)) in entry.files.iter().enumerate() {
            if let Some(own) = given.get(sum) {
                names.insert(file.clone(), own.clone());
                continue;
            }
            let from = Path::new(file);
            if self.digest(from).as_ref() != Some(sum) {
                return None;
            }
            store::folder(folder).ok()?;
            let to = folder.join(format!("{n:04}-{}", from.file_name()?.to_str()?));
            let _ = std::fs::remove_file(&to);
            std::fs::hard_link(from, &to).or_else(|_| std::fs::copy(from, &to).map(drop)).ok()?;
            names.insert(file.clone(), to.to_str()?.to_owned());
        }
        let used = std::fs::File::options().append(true).open(path);
        let _ = used.and_then(|file| file.set_modified(SystemTime::now()));
        Some(with_files(&entry.value, &|file| names.get(file).cloned().unwrap_or_else(|| file.to_owned())))
    }

    /// A value in which files go by what is in them, so that it does not matter where they are.
    fn nameless(&self, value: &Value) -> Option<Value> {
        let mut sums = BTreeMap::new();
        for file in files(value) {
            sums.insert(file.to_owned(), self.digest(Path::new(file))?);
        }
        Some(with_files(value, &|file| sums.get(file).cloned().unwrap_or_default()))
    }

    fn digest(&self, path: &Path) -> Option<String> {
        let about = path.metadata().ok().filter(|about| about.is_file())?;
        let key = (path.to_path_buf(), about.len(), about.modified().ok());
        let known = |cache: &Cache| cache.digests.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(sum) = known(self) {
            return Some(sum);
        }
        let sum = file_digest(path).ok()?;
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(key, sum.clone());
        Some(sum)
    }

    /// All entries, the least recently used first.
    pub fn list(&self) -> Vec<Listed> {
        // A link is followed nowhere: what it leads to is not ours to list, and still less to remove.
        let folder = |path: &Path| path.symlink_metadata().is_ok_and(|about| about.is_dir());
        let entries =
            |path: &Path| folder(path).then(|| std::fs::read_dir(path)).into_iter().flatten().flatten().flatten();
        let mut all: Vec<Listed> = entries(&self.folder)
            .flat_map(|shard| entries(&shard.path()).collect::<Vec<_>>())
            .filter_map(|file| {
                let about = file.path().symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
                let read = entry(&file.path());
                Some(Listed {
                    key: file.file_name().to_string_lossy().into_owned(),
                    task: read.as_ref().map(|e| e.task.clone()),
                    made: read.as_ref().and_then(|e| e.made_ms).and_then(since_1970),
                    implementation: read.map(|e| e.implementation),
                    bytes: about.len(),
                    used: about.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    path: file.path(),
                })
            })
            .collect();
        all.sort_by(|a, b| (a.used, &a.key).cmp(&(b.used, &b.key)));
        all
    }

    /// Removes entries that cannot be read, that nobody used for so long, and the least recently used until the rest has so many bytes at
    /// most. Returns how many went, and their bytes.
    pub fn collect(&self, most: u64, unused: Option<Duration>, now: SystemTime) -> (usize, u64) {
        // What is no entry goes first: nothing that is of use goes for its size.
        let mut all = self.list();
        all.sort_by_key(|entry| entry.task.is_some());
        let mut total: u64 = all.iter().map(|e| e.bytes).sum();
        let mut gone = (0, 0);
        for entry in all {
            let old = unused.is_some_and(|most| now.duration_since(entry.used).is_ok_and(|for_s| for_s > most));
            if (entry.task.is_none() || old || total > most) && std::fs::remove_file(&entry.path).is_ok() {
                total -= entry.bytes;
                gone = (gone.0 + 1, gone.1 + entry.bytes);
            }
        }
        gone
    }
}

fn since_1970(ms: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))
}

/// The entry in a file, if it is what was written.
fn entry(path: &Path) -> Option<Entry> {
    // None is longer than all that are kept.
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    let sealed: Sealed = serde_json::from_slice(&bytes).ok()?;
    let whole = digest([sealed.entry.as_str()]) == sealed.sum;
    serde_json::from_str(&sealed.entry).ok().filter(|_| whole)
}
