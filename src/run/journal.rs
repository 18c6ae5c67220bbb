//! What runs do -> a database that survives them: a finished call is never made again, and an answer is recorded once.
//!
//! One database a project, `.mkbc/journal.db` (SQLite, WAL). Each record and each run has a checksum over its bytes and its place; the
//! number of a run's records is kept beside it, so that none can be missing unseen. `docs/journal.md` says what is promised.

pub mod alive;
mod append;
pub mod arguments;
pub mod asked;
pub mod blobs;
pub mod lock;
pub mod record;
pub mod recorder;
pub mod replay;
mod rows;
pub mod said;
pub mod seal;
pub mod verify;
pub mod view;
pub mod writer;

use super::fault::{Fault, FaultKind};
use super::store;
use crate::library::evidence::EvidenceKind;
use blobs::{Blobs, damaged};
use record::{Record, Stored, checksum};
use rows::{all, count_checksum, failed, of_key, one, record_of, run_of};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The folder of a project's journal, runs and values, in the folder that mkbc is called in.
pub const PROJECT: &str = ".mkbc";
/// `mkbc` in the database's header.
const APPLICATION: i32 = 0x6d6b_6263;
/// The version of the format. A journal of another version is refused.
const VERSION: i32 = 4;
/// The versions before, whose records this one knows as well: such a journal is taken over as it is.
const BEFORE: std::ops::Range<i32> = 1..VERSION;
/// The place of a run's own description, which is no record's.
const DESCRIPTION: u64 = u64::MAX;

const SCHEMA: &str = "
CREATE TABLE runs (id INTEGER PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL,
  fence INTEGER NOT NULL, count INTEGER NOT NULL, count_crc INTEGER NOT NULL) STRICT;
CREATE TABLE records (run INTEGER NOT NULL, n INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
  PRIMARY KEY (run, n)) STRICT, WITHOUT ROWID;
CREATE TABLE answers (run INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
";

/// How the keys of a service's runs begin.
const SERVICE: &str = "service:";

/// The key of a service's run. `store` is the id of the service's store, which no other store has: the numbers of a new store begin at 1
/// again, and its runs are others.
pub fn service_key(store: &str, id: u64) -> String {
    match store {
        // Stores of earlier versions have none.
        "" => format!("{SERVICE}{id}"),
        store => format!("{SERVICE}{store}:{id}"),
    }
}

/// A key that a user gives a run.
pub fn user_key(key: &str) -> Result<String, String> {
    match key {
        "" => Err("a key has a character at least".to_owned()),
        key if key.starts_with(SERVICE) => {
            Err(format!("keys that begin with `{SERVICE}` are those of a service's runs"))
        }
        key => Ok(key.to_owned()),
    }
}

/// What a run is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInfo {
    /// The job.
    pub job: String,
    /// The user's key, which no other run has.
    pub key: Option<String>,
    /// Digest of plan and inputs.
    pub identity: String,
    /// The plan, under its digest in the store of values.
    pub plan: String,
    /// The inputs, by name.
    pub inputs: Stored,
    /// The run folder, where it was asked for; else it is `.mkbc/runs/ID`.
    pub folder: Option<PathBuf>,
    /// Where modules that a library brings along are looked for.
    pub folders: Vec<PathBuf>,
    /// When it was begun, for people.
    pub at: String,
    /// What its plan was made from; none where the rest is not to be planned again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_of: Option<MadeOf>,
    /// Whether it takes over no result of another run, and keeps none, whoever goes on with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_cache: bool,
}

/// What a plan was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeOf {
    /// The job's file.
    pub file: PathBuf,
    /// Folders that were added to the library.
    pub library: Vec<PathBuf>,
    /// Lines that counted as if the job said them.
    pub slo: Vec<String>,
    /// The weakest evidence that counts.
    pub least: EvidenceKind,
    /// Whether a figure may be used for work that it is not for.
    pub beyond: bool,
    /// Whether qualities by several people may be compared.
    #[serde(default)]
    pub mixed: bool,
}

impl RunInfo {
    /// Whether a service carries it out, which also goes on with it.
    pub fn of_service(&self) -> bool {
        self.key.as_deref().is_some_and(|key| key.starts_with(SERVICE))
    }
}

/// A run in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number.
    pub id: u64,
    /// What it is of.
    pub info: RunInfo,
    /// How many runtimes worked on it.
    pub fence: u64,
    /// Records that it has.
    pub count: u64,
}

/// Whoever wants to know that records were written.
#[derive(Clone)]
pub struct Told(pub Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

/// Whoever has records as well before they count: given the number of the first one and all of them, in order. What it refuses ends the run.
#[derive(Clone)]
pub struct Mirror(pub Arc<MirrorTo>);

/// What a [`Mirror`] does.
pub type MirrorTo = dyn Fn(u64, &[&Record]) -> Result<(), Fault> + Send + Sync;

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mirror")
    }
}

/// Who hears of a run's records.
#[derive(Clone, Debug, Default)]
pub struct Ears {
    told: Option<Told>,
    mirror: Option<Mirror>,
}

/// The journal of a project.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    project: PathBuf,
    blobs: Blobs,
    ears: Ears,
}

impl Journal {
    /// Opens a project's journal, and makes it where there is none.
    pub fn open(project: &Path) -> Result<Journal, Fault> {
        Journal::opened(project, true)
    }

    /// The same for a journal of no use to anybody once this process is gone: nothing of it waits for the disk.
    pub fn passing(project: &Path) -> Result<Journal, Fault> {
        Journal::opened(project, false)
    }

    fn opened(project: &Path, lasting: bool) -> Result<Journal, Fault> {
        store::folder(project)?;
        let project = project.canonicalize().map_err(|e| Fault::storage("find the folder", project, &e))?;
        let (path, made) = (project.join("journal.db"), project.join("journal.made"));
        let expected = made.exists();
        if expected && !path.metadata().is_ok_and(|about| about.len() > 0) {
            return Err(damaged(&format!("`{}` is gone or empty", path.display())));
        }
        // SQLite gives its other files the mode of this one.
        let create = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        drop(create.map_err(|e| Fault::storage("open", &path, &e))?);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&path, flags).map_err(failed)?;
        db.busy_timeout(Duration::from_secs(30)).map_err(failed)?;
        // A file of somebody else's must not run code by its schema.
        db.pragma_update(None, "trusted_schema", false).map_err(failed)?;
        db.pragma_update(None, "cell_size_check", true).map_err(failed)?;
        if !lasting {
            db.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
        }
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(failed)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let number = |name| tx.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed);
        match (number("application_id")?, number("user_version")?) {
            (APPLICATION, VERSION) => drop(tx),
            (APPLICATION, before) if BEFORE.contains(&before) => {
                tx.pragma_update(None, "user_version", VERSION).map_err(failed)?;
                tx.commit().map_err(failed)?;
            }
            (0, 0) if !expected => {
                tx.execute_batch(SCHEMA).map_err(failed)?;
                tx.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
                tx.pragma_update(None, "user_version", VERSION).map_err(failed)?;
                tx.commit().map_err(failed)?;
                store::write(&made, b"")?;
            }
            (APPLICATION, other) => {
                let message = format!("the journal has format {other}, and this mkbc knows format {VERSION}");
                return Err(Fault::new(FaultKind::Storage, message)
                    .help("use the mkbc that wrote it, or move `.mkbc/journal.*` away to begin a new journal"));
            }
            _ => return Err(damaged(&format!("`{}` is no journal", path.display()))),
        }
        let blobs = Blobs::new(project.join("blobs"));
        Ok(Journal { db, project, blobs, ears: Ears::default() })
    }

    /// Opens a project's journal, if it has one.
    pub fn existing(project: &Path) -> Result<Option<Journal>, Fault> {
        let there = ["journal.db", "journal.made"].iter().any(|name| project.join(name).exists());
        if there { Journal::open(project).map(Some) } else { Ok(None) }
    }

    /// The same; once a run is worked on, somebody is told after each commit.
    pub fn telling(self, told: Told) -> Journal {
        Journal { ears: Ears { told: Some(told), ..self.ears }, ..self }
    }

    /// The same; once a run is worked on, somebody else has its records before they count.
    pub fn mirrored(self, mirror: Mirror) -> Journal {
        Journal { ears: Ears { mirror: Some(mirror), ..self.ears }, ..self }
    }

    /// The store of large values.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// A run's folder.
    pub fn folder(&self, run: &Run) -> PathBuf {
        run.info.folder.clone().unwrap_or_else(|| self.project.join("runs").join(run.id.to_string()))
    }

    /// Begins a run, or finds the one with its key.
    pub fn begin(&mut self, info: &RunInfo) -> Result<Run, Fault> {
        let runs = self.project.join("runs");
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        if let Some(key) = &info.key
            && let Some(run) = of_key(&tx, key)?
        {
            return Ok(run);
        }
        let last: u64 = tx.query_row("SELECT coalesce(max(id), 0) FROM runs", [], |row| row.get(0)).map_err(failed)?;
        // Folders of runs that no journal knows keep their numbers.
        let folders = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        let taken = folders.filter_map(|e| e.file_name().to_str()?.parse::<u64>().ok()).max().unwrap_or(0);
        let id = last.max(taken.min(1 << 40)) + 1;
        let body = serde_json::to_vec(info).map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?;
        let crc = checksum(id, DESCRIPTION, &body);
        tx.execute(
            "INSERT INTO runs (id, body, crc, fence, count, count_crc) VALUES (?1, ?2, ?3, 0, 0, ?4)",
            params![id, body, crc, count_checksum(id, 0, 0)],
        )
        .map_err(failed)?;
        tx.commit().map_err(failed)?;
        let run = Run { id, info: info.clone(), fence: 0, count: 0 };
        store::folder(&self.folder(&run))?;
        Ok(run)
    }

    /// All runs, in order.
    pub fn runs(&self) -> Result<Vec<Run>, Fault> {
        all(&self.db)
    }

    /// All runs that can be read, in order, and the numbers of those that cannot: one that is damaged does not hide the others.
    pub fn readable(&self) -> Result<(Vec<Run>, Vec<u64>), Fault> {
        let text = "SELECT id, body, crc, fence, count, count_crc FROM runs ORDER BY id";
        let mut select = self.db.prepare_cached(text).map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        let (mut runs, mut damaged) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next().map_err(failed)? {
            match run_of(row) {
                Ok(run) => runs.push(run),
                Err(_) => damaged.push(row.get(0).map_err(failed)?),
            }
        }
        Ok((runs, damaged))
    }

    /// The run with a key.
    pub fn of_key(&self, key: &str) -> Result<Option<Run>, Fault> {
        of_key(&self.db, key)
    }

    /// A run by its number.
    pub fn run(&self, id: u64) -> Result<Option<Run>, Fault> {
        one(&self.db, id)
    }

    /// A run's records from number `from` on, `most` of them at most, each checked; that none is missing further back is not.
    pub fn records_from(&self, id: u64, from: u64, most: usize) -> Result<Vec<Record>, Fault> {
        let text = "SELECT n, body, crc FROM records WHERE run = ?1 AND n >= ?2 ORDER BY n LIMIT ?3";
        let mut select = self.db.prepare_cached(text).map_err(failed)?;
        let mut rows = select.query(params![id, from, most as u64]).map_err(failed)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            records.push(record_of(row, id, from + records.len() as u64)?);
        }
        Ok(records)
    }

    /// A run's records, in order: all that were written, or an error.
    pub fn records(&self, id: u64) -> Result<Vec<Record>, Fault> {
        let mut select =
            self.db.prepare_cached("SELECT n, body, crc FROM records WHERE run = ?1 ORDER BY n").map_err(failed)?;
        let mut rows = select.query([id]).map_err(failed)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            records.push(record_of(row, id, records.len() as u64)?);
        }
        let count = self.run(id)?.map_or(0, |run| run.count);
        if count != records.len() as u64 {
            return Err(damaged(&format!("run {id} has {} records of {count}", records.len())));
        }
        Ok(records)
    }

    /// The record of a run's answer, if it has one.
    pub fn answer(&self, id: u64) -> Result<Option<Record>, Fault> {
        let n = self.db.query_row("SELECT n FROM answers WHERE run = ?1", [id], |row| row.get(0)).optional();
        let Some(n) = n.map_err(failed)? else { return Ok(None) };
        Ok(self.records_from(id, n, 1)?.pop().filter(|record| matches!(record, Record::Answer { .. })))
    }

    /// SQLite's own check of the whole file.
    pub fn check(&self) -> Result<(), Fault> {
        let said: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if said == "ok" { Ok(()) } else { Err(damaged(&said)) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn info(key: Option<&str>) -> RunInfo {
        RunInfo {
            job: "j".into(),
            key: key.map(str::to_owned),
            identity: "i".into(),
            plan: "p".into(),
            inputs: Stored::Inline(serde_json::json!({})),
            folder: None,
            folders: Vec::new(),
            at: "2026-01-01T00:00:00Z".into(),
            made_of: None,
            no_cache: false,
        }
    }

    pub fn paused(message: &str) -> Record {
        Record::Paused { stopped: true, message: message.to_owned(), cost_usd: None, t: 0.5 }
    }

    /// A journal with one run.
    pub fn begun() -> (tempfile::TempDir, Journal, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::open(folder.path()).expect("a journal");
        let run = journal.begin(&info(None)).expect("a run");
        (folder, journal, run.id)
    }

    #[test]
    fn runs_have_numbers_and_keys_are_theirs_alone() {
        let (folder, mut journal, first) = begun();
        std::fs::create_dir(folder.path().join("runs/7")).expect("a folder of nobody's");
        let eighth = journal.begin(&info(Some("k"))).expect("a run");
        assert_eq!((first, eighth.id), (1, 8));
        assert_eq!(journal.begin(&info(Some("k"))).expect("the same"), eighth);
        assert_eq!(journal.runs().expect("runs").len(), 2);
        assert_eq!(journal.run(8).expect("read"), Some(eighth));
        assert_eq!(journal.run(2).expect("read"), None);
        assert_ne!(journal.begin(&info(Some("\"k"))).expect("another").id, 8);
    }

    #[test]
    fn another_format_and_no_journal_at_all_are_refused() {
        let (folder, journal, _) = begun();
        journal.db.pragma_update(None, "user_version", 9).expect("set");
        drop(journal);
        assert!(Journal::open(folder.path()).expect_err("format 9").message.contains("format 9"));
        std::fs::write(folder.path().join("journal.db"), "This is no database.\n".repeat(99)).expect("written");
        assert!(Journal::open(folder.path()).expect_err("no database").message.contains("damaged"));
        std::fs::write(folder.path().join("journal.db"), "").expect("written");
        assert!(Journal::open(folder.path()).expect_err("empty").message.contains("gone or empty"));
        assert!(Journal::existing(&folder.path().join("none")).expect("no error").is_none());
    }
}
