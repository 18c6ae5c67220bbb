//! Submissions -> a database that survives the server: a run is on the disk before anybody is told that it was accepted.
//!
//! `.mkbc/service/service.db` (SQLite, WAL) holds what was submitted and what became of it; how a run is carried out stands in the project's
//! journal. One thread writes ([`writer`]); readers share a connection.

mod workflows;
pub mod writer;

use crate::run::fault::{Fault, FaultKind};
use crate::run::secret::random;
use crate::run::store;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
pub use workflows::Ended;
use writer::Writer;

/// `mkbs` in the database's header.
const APPLICATION: i32 = 0x6d6b_6273;
/// The version of the format. A store of another version is refused.
const VERSION: i32 = 2;

const SCHEMA: &str = "
CREATE TABLE plans (tenant TEXT NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, digest))
  STRICT, WITHOUT ROWID;
CREATE TABLE runs (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, key TEXT, digest TEXT NOT NULL, job TEXT NOT NULL,
  priority INTEGER NOT NULL, cost_ms INTEGER NOT NULL, plan TEXT NOT NULL, inputs TEXT NOT NULL, state TEXT NOT NULL,
  submitted_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, journal INTEGER, held_micro INTEGER NOT NULL,
  spent_micro INTEGER, error TEXT) STRICT;
CREATE UNIQUE INDEX runs_key ON runs (tenant, key) WHERE key IS NOT NULL;
CREATE INDEX runs_tenant ON runs (tenant, id);
CREATE INDEX runs_state ON runs (state, id);
CREATE TABLE changes (run INTEGER NOT NULL, n INTEGER NOT NULL, state TEXT NOT NULL, at_ms INTEGER NOT NULL, note TEXT,
  PRIMARY KEY (run, n)) STRICT, WITHOUT ROWID;
CREATE TABLE blobs (tenant TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (tenant, digest))
  STRICT, WITHOUT ROWID;
";

/// What version 2 adds: the workflow that a run is of, what the fleet keeps, and a name of the store's own, drawn when it is made.
const SECOND: &str = "
ALTER TABLE runs ADD COLUMN workflow TEXT;
CREATE INDEX runs_workflow ON runs (workflow, submitted_ms) WHERE workflow IS NOT NULL;
CREATE TABLE kept (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE store (id TEXT NOT NULL) STRICT;
";

/// A query of runs: our own words only, put together when this is compiled.
macro_rules! runs {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, key, digest, job, priority, cost_ms, plan, state, submitted_ms, changed_ms, journal, ",
            "held_micro, spent_micro, error, workflow FROM runs ",
            $rest
        )
    };
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for a worker; it may have been carried out in part before.
    Queued,
    /// A worker carries it out.
    Running,
    /// Somebody stops it: what is under way may still end.
    Cancelling,
    /// It has an answer.
    Done,
    /// It failed.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] =
        [State::Queued, State::Running, State::Cancelling, State::Done, State::Failed, State::Cancelled];

    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Running => "running",
            State::Cancelling => "cancelling",
            State::Done => "done",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens to the run.
    pub fn is_final(self) -> bool {
        matches!(self, State::Done | State::Failed | State::Cancelled)
    }

    fn read(text: &str) -> Result<State, Fault> {
        let known = State::ALL.into_iter().find(|state| state.text() == text);
        known.ok_or_else(|| damaged(&format!("`{text}` is no state of a run")))
    }
}

/// A run that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Its number, larger than those of earlier ones.
    pub id: u64,
    /// Whose it is.
    pub tenant: String,
    /// The tenant's key, which no other run of the tenant's has.
    pub key: Option<String>,
    /// Digest of what was submitted.
    pub digest: String,
    /// The job.
    pub job: String,
    /// 0 to 9.
    pub priority: u8,
    /// What it takes of a worker's time, as planned, milliseconds.
    pub cost_ms: u64,
    /// The plan's digest.
    pub plan: String,
    /// How far it is.
    pub state: State,
    /// When it was submitted, milliseconds since 1970.
    pub submitted_ms: i64,
    /// When its state changed last, milliseconds since 1970.
    pub changed_ms: i64,
    /// Its number in the project's journal, once a worker has begun.
    pub journal: Option<u64>,
    /// What is kept of the tenant's budget for it, millionths of a dollar.
    pub held_micro: u64,
    /// What it cost, millionths of a dollar, once it has ended.
    pub spent_micro: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// The deployed workflow that it is of.
    pub workflow: Option<String>,
}

/// A change of a run's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// To what.
    pub state: State,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What is said about it.
    pub note: Option<String>,
}

/// What is listed.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Runs of this tenant; of all without.
    pub tenant: Option<&'a str>,
    /// In this state.
    pub state: Option<State>,
    /// Of this job.
    pub job: Option<&'a str>,
    /// With smaller numbers than this.
    pub before: Option<u64>,
    /// So many at most.
    pub most: usize,
}

/// The store of a service.
#[derive(Debug)]
pub struct Store {
    /// What no other store is called; empty for those of earlier versions.
    pub id: String,
    reader: Mutex<Connection>,
    writer: Writer,
}

impl Store {
    /// Opens the store in a folder, and makes it where there is none.
    pub fn open(folder: &Path) -> Result<Store, Fault> {
        let path = folder.join("service.db");
        store::folder(folder)?;
        // SQLite gives its other files the mode of this one.
        let create = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        drop(create.map_err(|e| Fault::storage("open", &path, &e))?);
        let mut db = connection(&path)?;
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(failed)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let number = |name| tx.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed);
        let found = (number("application_id")?, number("user_version")?);
        match found {
            (APPLICATION, VERSION) => drop(tx),
            (0, 0) | (APPLICATION, 1) => {
                if found == (0, 0) {
                    tx.execute_batch(SCHEMA).map_err(failed)?;
                    tx.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
                }
                tx.execute_batch(SECOND).map_err(failed)?;
                tx.execute("INSERT INTO store (id) VALUES (?1)", [random::<8>()?]).map_err(failed)?;
                tx.pragma_update(None, "user_version", VERSION).map_err(failed)?;
                tx.commit().map_err(failed)?;
            }
            (APPLICATION, other) => {
                let message = format!("the service's store has format {other}, and this mkbc knows format {VERSION}");
                return Err(Fault::new(FaultKind::Storage, message).help("use the mkbc that wrote it"));
            }
            _ => return Err(damaged(&format!("`{}` is no store of a service", path.display()))),
        }
        let said: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if said != "ok" {
            return Err(damaged(&said));
        }
        let id = db.query_row("SELECT id FROM store", [], |row| row.get(0)).map_err(failed)?;
        let reader = Mutex::new(connection(&path)?);
        Ok(Store { id, reader, writer: Writer::start(db)? })
    }

    /// The thread that writes.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Fault> {
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner)).map_err(failed)
    }

    fn rows(&self, text: &'static str, given: impl rusqlite::Params) -> Result<Vec<Accepted>, Fault> {
        let rows = self.read(|db| {
            let mut select = db.prepare_cached(text)?;
            select.query_map(given, |row| Ok(accepted(row)))?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        rows.into_iter().collect()
    }

    /// A run by its number.
    pub fn run(&self, id: u64) -> Result<Option<Accepted>, Fault> {
        Ok(self.rows(runs!("WHERE id = ?1"), [id])?.pop())
    }

    /// The run of a tenant with a key.
    pub fn of_key(&self, tenant: &str, key: &str) -> Result<Option<Accepted>, Fault> {
        Ok(self.rows(runs!("WHERE tenant = ?1 AND key = ?2"), [tenant, key])?.pop())
    }

    /// Runs, the latest first.
    pub fn list(&self, filter: &Filter<'_>) -> Result<Vec<Accepted>, Fault> {
        let before = filter.before.map_or(i64::MAX, |id| i64::try_from(id).unwrap_or(i64::MAX));
        let state = filter.state.map(State::text);
        let Filter { tenant, job, most, .. } = filter;
        match tenant {
            Some(tenant) => self.rows(
                runs!("WHERE tenant = ?1 AND id < ?2 AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR job = ?4) ORDER BY id DESC LIMIT ?5"),
                params![tenant, before, state, job, *most as u64],
            ),
            None => self.rows(
                runs!("WHERE id < ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR job = ?3) ORDER BY id DESC LIMIT ?4"),
                params![before, state, job, *most as u64],
            ),
        }
    }

    /// Runs that have not ended, in the order in which they are to go on: those that were begun first.
    pub fn open_runs(&self) -> Result<Vec<Accepted>, Fault> {
        self.rows(runs!("WHERE state IN ('queued', 'running', 'cancelling') ORDER BY journal IS NULL, id"), [])
    }

    /// The text of a plan that a tenant has submitted, by its digest.
    pub fn plan(&self, tenant: &str, digest: &str) -> Result<Option<String>, Fault> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT body FROM plans WHERE tenant = ?1 AND digest = ?2")?;
            select.query_row([tenant, digest], |row| row.get(0)).optional()
        })
    }

    /// The inputs of a run, as JSON.
    pub fn inputs(&self, id: u64) -> Result<Option<String>, Fault> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT inputs FROM runs WHERE id = ?1")?;
            select.query_row([id], |row| row.get(0)).optional()
        })
    }

    /// The changes of a run's state, in order: few, since each is the beginning or the end of something.
    pub fn changes(&self, id: u64) -> Result<Vec<Change>, Fault> {
        let rows = self.read(|db| {
            let mut select = db.prepare_cached("SELECT state, at_ms, note FROM changes WHERE run = ?1 ORDER BY n")?;
            let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
            select.query_map([id], row)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let change = |(state, at_ms, note): (String, i64, Option<String>)| {
            Ok(Change { state: State::read(&state)?, at_ms, note })
        };
        rows.into_iter().map(change).collect()
    }

    /// What each tenant's runs that ended cost, and what is kept for those that have not, in millionths of a dollar.
    pub fn money(&self) -> Result<BTreeMap<String, (u64, u64)>, Fault> {
        self.read(|db| {
            let mut select = db.prepare(
                "SELECT tenant, sum(coalesce(spent_micro, 0)), sum(CASE WHEN spent_micro IS NULL THEN held_micro ELSE 0 END)
                 FROM runs GROUP BY tenant",
            )?;
            select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?.collect()
        })
    }

    /// How many runs are in each state, of a tenant or of all.
    pub fn counts(&self, tenant: Option<&str>) -> Result<BTreeMap<String, u64>, Fault> {
        self.read(|db| {
            let mut select =
                db.prepare_cached("SELECT state, count(*) FROM runs WHERE ?1 IS NULL OR tenant = ?1 GROUP BY state")?;
            select.query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Whether a tenant has uploaded a blob.
    pub fn has_blob(&self, tenant: &str, digest: &str) -> Result<bool, Fault> {
        self.read(|db| {
            let mut select =
                db.prepare_cached("SELECT EXISTS (SELECT 1 FROM blobs WHERE tenant = ?1 AND digest = ?2)")?;
            select.query_row([tenant, digest], |row| row.get(0))
        })
    }

    /// Bytes of all that a tenant has uploaded.
    pub fn blob_bytes(&self, tenant: &str) -> Result<u64, Fault> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT coalesce(sum(bytes), 0) FROM blobs WHERE tenant = ?1")?;
            select.query_row([tenant], |row| row.get(0))
        })
    }
}

fn connection(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(failed)?;
    db.busy_timeout(Duration::from_secs(30)).map_err(failed)?;
    db.set_prepared_statement_cache_capacity(32);
    db.pragma_update(None, "trusted_schema", false).map_err(failed)?;
    Ok(db)
}

fn accepted(row: &Row<'_>) -> Result<Accepted, Fault> {
    let read = || {
        let state: String = row.get(8)?;
        let run = Accepted {
            id: row.get(0)?,
            tenant: row.get(1)?,
            key: row.get(2)?,
            digest: row.get(3)?,
            job: row.get(4)?,
            priority: row.get(5)?,
            cost_ms: row.get(6)?,
            plan: row.get(7)?,
            state: State::Queued,
            submitted_ms: row.get(9)?,
            changed_ms: row.get(10)?,
            journal: row.get(11)?,
            held_micro: row.get(12)?,
            spent_micro: row.get(13)?,
            error: row.get(14)?,
            workflow: row.get(15)?,
        };
        Ok((run, state))
    };
    let (run, state) = read().map_err(failed)?;
    Ok(Accepted { state: State::read(&state)?, ..run })
}

/// What SQLite says, in our words.
fn failed(error: rusqlite::Error) -> Fault {
    Fault::new(FaultKind::Storage, format!("the service's store cannot be read or written: {error}"))
        .help("mend that and start the server again: accepted runs are kept")
}

fn damaged(what: &str) -> Fault {
    Fault::new(FaultKind::Storage, format!("the service's store is damaged: {what}"))
        .help("move `.mkbc/service` away to begin a new one; runs in the journal stay")
}

#[cfg(test)]
mod tests;
