//! Calls that were made -> their results, for other runs: beside the journal, under a digest of all that a result follows from.
//!
//! An entry is a file with a checksum over its text; it names the files of its value with their digests. One that is not what was written,
//! or whose files are gone or changed, is no entry. Failures are never kept. Files of a result stay where the run that made them has them,
//! and become links in the folder of the run that uses them.

use super::RunContext;
use super::engines::Args;
use super::pins::programs;
use super::store;
use super::value::{files, with_files};
use crate::digest::{digest, file_digest};
use crate::plan::model::{Engine, PlanStep};
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
            (Some(said), _) => said,
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

    /// The result under a key, its files linked into a folder; files that are among the arguments are those.
    pub async fn find(&self, key: &str, args: &Args, folder: &Path) -> Option<Value> {
        let (cache, path, folder, args) = (self.clone(), self.path(key), folder.join("cached"), args.clone());
        tokio::task::spawn_blocking(move || cache.read(&path, &args, &folder)).await.ok()?
    }

    /// Keeps a result; what cannot be kept is no loss.
    pub async fn keep(&self, key: &str, step: &PlanStep, value: &Value) {
        let (cache, path, value) = (self.clone(), self.path(key), value.clone());
        let (task, implementation) = (step.task.clone(), step.implementation.clone());
        let work = move || -> Option<()> {
            let named: Vec<String> = files(&value).into_iter().map(str::to_owned).collect();
            let mut digests = BTreeMap::new();
            for file in named {
                let sum = cache.digest(Path::new(&file))?;
                digests.insert(file, sum);
            }
            let entry = serde_json::to_string(&Entry { task, implementation, value, files: digests }).ok()?;
            let sealed = serde_json::to_string(&Sealed { sum: digest([entry.as_str()]), entry }).ok()?;
            store::folder(path.parent()?).ok()?;
            store::write(&path, sealed.as_bytes()).ok()
        };
        let _ = tokio::task::spawn_blocking(work).await;
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key.get(..2).unwrap_or("00")).join(key)
    }

    fn read(&self, path: &Path, args: &Args, folder: &Path) -> Option<Value> {
        let entry = entry(path)?;
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

/// The entry in a file, if it is what was written.
fn entry(path: &Path) -> Option<Entry> {
    // None is longer than all that are kept.
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    let sealed: Sealed = serde_json::from_slice(&bytes).ok()?;
    let whole = digest([sealed.entry.as_str()]) == sealed.sum;
    serde_json::from_str(&sealed.entry).ok().filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::observer::Silent;
    use crate::run::tests::samples::{environment, process, step};
    use crate::types::Type;
    use serde_json::json;

    fn parts() -> (tempfile::TempDir, Cache, PlanStep) {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::of(folder.path(), Policy::Usual);
        (folder, cache, step(0, process(&[&["cat", "{x}"]], "lines"), &[("x", Type::Text)], Type::Text))
    }

    fn args(value: Value) -> Args {
        Args::from([("x".to_owned(), Arc::new(value))])
    }

    fn wait<T>(work: impl Future<Output = T>) -> T {
        crate::run::block_on(work).expect("a runtime")
    }

    #[test]
    fn a_key_follows_contents_and_knobs_and_not_names_of_files() {
        let (folder, cache, step) = parts();
        let cx = RunContext::new(folder.path(), &Silent, &environment);
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            args(json!({"file": path, "bytes": 1}))
        };
        let key = |step: &PlanStep, args: &Args| wait(cache.key(step, args, &cx));
        let (a, same, other) = (at("a", "one"), at("b", "one"), at("c", "two"));
        assert_eq!(key(&step, &a), key(&step, &same));
        assert_ne!(key(&step, &a), key(&step, &other));
        let knobs = PlanStep { knobs: BTreeMap::from([("k".into(), "v".into())]), ..step.clone() };
        assert_ne!(key(&step, &a), key(&knobs, &a));
        assert_eq!(key(&step, &args(json!({"file": folder.path().join("none")}))), None);
    }

    #[test]
    fn what_is_kept_is_found_until_it_or_its_files_change() {
        let (folder, cache, step) = parts();
        let made = folder.path().join("made.txt");
        std::fs::write(&made, "made").expect("written");
        let (key, given) = ("ab".repeat(32), args(json!("x")));
        wait(cache.keep(&key, &step, &json!([{"file": made}])));
        let call = folder.path().join("call");
        let value = wait(cache.find(&key, &given, &call)).expect("kept");
        let file = value[0]["file"].as_str().expect("a file");
        assert!(file.ends_with("call/cached/0000-made.txt"), "{file}");
        assert_eq!(std::fs::read_to_string(file).expect("linked"), "made");
        assert_eq!(cache.list()[0].implementation.as_deref(), Some("tool"));
        // A file that changed makes the entry none.
        std::fs::remove_file(&made).expect("gone");
        std::fs::write(&made, "MADE!").expect("written");
        assert_eq!(wait(cache.find(&key, &given, &call)), None);
        // So does a flipped byte of the entry itself.
        wait(cache.keep(&key, &step, &json!("plain")));
        assert_eq!(wait(cache.find(&key, &given, &call)), Some(json!("plain")));
        let mut bytes = std::fs::read(cache.path(&key)).expect("an entry");
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(cache.path(&key), bytes).expect("written");
        assert_eq!(wait(cache.find(&key, &given, &call)), None);
        assert_eq!(cache.collect(MOST, None, SystemTime::now()).0, 1, "what cannot be read goes");
    }

    #[test]
    fn what_is_no_entry_goes_first_and_a_link_is_followed_nowhere() {
        let (folder, cache, step) = parts();
        let key = "ab".repeat(32);
        wait(cache.keep(&key, &step, &json!(["a"])));
        let shard = folder.path().join("cache").join(&key[..2]);
        std::fs::write(shard.join(".half"), vec![0; 10_000]).expect("a stray file");
        assert_eq!(cache.collect(5_000, None, SystemTime::now()), (1, 10_000));
        assert_eq!(cache.list().len(), 1);
        let other = folder.path().join("other");
        std::fs::rename(folder.path().join("cache"), &other).expect("moved");
        std::os::unix::fs::symlink(&other, folder.path().join("cache")).expect("a link");
        assert_eq!((cache.list().len(), cache.collect(0, None, SystemTime::now())), (0, (0, 0)));
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (_folder, cache, step) = parts();
        for n in 0..4_u64 {
            let key = format!("{n:02}").repeat(32);
            wait(cache.keep(&key, &step, &json!(n)));
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - n);
            let file = std::fs::File::options().append(true).open(cache.path(&key)).expect("an entry");
            file.set_modified(used).expect("set");
        }
        let each = cache.list()[0].bytes;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1001);
        assert_eq!(cache.collect(each * 3, None, now).0, 1);
        assert!(cache.list().iter().all(|e| !e.key.starts_with("03")));
        assert_eq!(cache.collect(MOST, Some(Duration::from_millis(2500)), now).0, 1);
        assert!(cache.list().iter().all(|e| !e.key.starts_with("02")));
    }
}
