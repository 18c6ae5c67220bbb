//! What is to be stored -> the database: one thread, one transaction for all that wait. What is acknowledged is on the disk; after the first
//! error nothing more is taken, since a file that failed once cannot be trusted to hold what it took later.

use super::{State, failed};
use crate::run::fault::{Fault, FaultKind};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Most entries of one transaction.
const GROUP: usize = 512;

/// A run that is to be accepted.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Whose it is.
    pub tenant: String,
    /// The tenant's key.
    pub key: Option<String>,
    /// Digest of what was submitted.
    pub digest: String,
    /// The job.
    pub job: String,
    /// 0 to 9.
    pub priority: u8,
    /// What it takes of a worker's time, as planned, milliseconds.
    pub cost_ms: u64,
    /// The plan's digest and text.
    pub plan: (String, String),
    /// The inputs, as JSON.
    pub inputs: String,
    /// What is kept of the tenant's budget for it, millionths of a dollar.
    pub held_micro: u64,
    /// The deployed workflow that it is of.
    pub workflow: Option<String>,
    /// Now, milliseconds since 1970.
    pub at_ms: i64,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The run's number.
    pub id: u64,
    /// Whether it is new: else it is the run that has the key.
    pub new: bool,
    /// Digest of what that run was submitted as.
    pub digest: String,
}

/// A change of a run's state.
#[derive(Clone, Debug)]
pub struct Turned {
    /// Which run.
    pub run: u64,
    /// From one of these; else nothing is changed.
    pub from: &'static [State],
    /// To what.
    pub to: State,
    /// Now, milliseconds since 1970.
    pub at_ms: i64,
    /// What is said about it; of a failure, why.
    pub note: Option<String>,
    /// Its number in the journal, where it has one from now on.
    pub journal: Option<u64>,
    /// What it cost, millionths of a dollar, where it ended.
    pub spent_micro: Option<u64>,
}

enum Entry {
    Submit(Submitted, oneshot::Sender<Result<Outcome, Fault>>),
    Turn(Turned, oneshot::Sender<Result<bool, Fault>>),
    Blob { tenant: String, digest: String, bytes: u64, ack: oneshot::Sender<Result<(), Fault>> },
    Keep { name: &'static str, body: String, ack: oneshot::Sender<Result<(), Fault>> },
}

/// The way to the writer's thread, which ends when this is dropped, after what was sent is written.
#[derive(Debug)]
pub struct Writer {
    entries: Mutex<Option<Sender<Entry>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(db: Connection) -> Result<Writer, Fault> {
        let (entries, inbox) = channel();
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || work(db, &inbox));
        let thread = thread.map_err(|e| Fault::new(FaultKind::Storage, format!("the store has no thread: {e}")))?;
        Ok(Writer { entries: Mutex::new(Some(entries)), thread: Some(thread) })
    }

    fn send(&self, entry: Entry) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = entries.as_ref() {
            // A writer that is gone drops the answer's other end, which the waiting side sees.
            let _ = entries.send(entry);
        }
    }

    /// Accepts a run, or finds the one that has its key.
    pub async fn submit(&self, run: Submitted) -> Result<Outcome, Fault> {
        let (ack, answer) = oneshot::channel();
        self.send(Entry::Submit(run, ack));
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Changes a run's state; whether it was in one of the states that it had to be in.
    pub async fn turn(&self, turned: Turned) -> Result<bool, Fault> {
        let (ack, answer) = oneshot::channel();
        self.send(Entry::Turn(turned, ack));
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// The same, for threads that may wait.
    pub fn turn_now(&self, turned: Turned) -> Result<bool, Fault> {
        let (ack, answer) = oneshot::channel();
        self.send(Entry::Turn(turned, ack));
        answer.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Notes what a tenant has uploaded.
    pub async fn blob(&self, tenant: &str, digest: &str, bytes: u64) -> Result<(), Fault> {
        let (ack, answer) = oneshot::channel();
        self.send(Entry::Blob { tenant: tenant.to_owned(), digest: digest.to_owned(), bytes, ack });
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Keeps a text under a name, in place of what is kept there.
    pub fn keep(&self, name: &'static str, body: String) -> Keeping {
        let (ack, answer) = oneshot::channel();
        self.send(Entry::Keep { name, body, ack });
        Keeping(answer)
    }

    /// The same, for threads that may wait.
    pub fn keep_now(&self, name: &'static str, body: String) -> Result<(), Fault> {
        self.keep(name, body).wait()
    }
}

/// A text that is about to be kept.
#[derive(Debug)]
#[must_use = "it is on the disk only once it was waited for"]
pub struct Keeping(oneshot::Receiver<Result<(), Fault>>);

impl Keeping {
    /// Waits until it is on the disk; for threads that may wait.
    pub fn wait(self) -> Result<(), Fault> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        *self.entries.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn gone() -> Fault {
    Fault::new(FaultKind::Storage, "the store has ended")
}

fn work(mut db: Connection, inbox: &Receiver<Entry>) {
    let mut broken = db.pragma_update(None, "synchronous", "FULL").map_err(failed).err();
    while let Ok(first) = inbox.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(entry) = inbox.try_recv()
        {
            group.push(entry);
        }
        // What cannot be written is dropped with its group: the waiting sides are told why.
        match &broken {
            Some(fault) => group.into_iter().for_each(|entry| refuse(entry, fault)),
            None => broken = commit(&mut db, group).err(),
        }
    }
}

fn commit(db: &mut Connection, group: Vec<Entry>) -> Result<(), Fault> {
    let written = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed).and_then(|tx| {
        let results = group.iter().map(|entry| write(&tx, entry)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        tx.commit().map_err(failed)?;
        Ok(results)
    });
    match written {
        Ok(results) => {
            group.into_iter().zip(results).for_each(|(entry, result)| tell(entry, result));
            Ok(())
        }
        Err(fault) => {
            group.into_iter().for_each(|entry| refuse(entry, &fault));
            Err(fault)
        }
    }
}

/// What came of writing an entry.
enum Written {
    Submit(Outcome),
    Turn(bool),
    Done,
}

fn tell(entry: Entry, written: Written) {
    // Nobody may be waiting any more.
    match (entry, written) {
        (Entry::Submit(_, ack), Written::Submit(outcome)) => drop(ack.send(Ok(outcome))),
        (Entry::Turn(_, ack), Written::Turn(done)) => drop(ack.send(Ok(done))),
        (Entry::Blob { ack, .. } | Entry::Keep { ack, .. }, Written::Done) => drop(ack.send(Ok(()))),
        // Each entry is written as what it is.
        _ => {}
    }
}

fn refuse(entry: Entry, fault: &Fault) {
    match entry {
        Entry::Submit(_, ack) => drop(ack.send(Err(fault.clone()))),
        Entry::Turn(_, ack) => drop(ack.send(Err(fault.clone()))),
        Entry::Blob { ack, .. } | Entry::Keep { ack, .. } => drop(ack.send(Err(fault.clone()))),
    }
}

fn write(tx: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<Written> {
    match entry {
        Entry::Submit(run, _) => submit(tx, run).map(Written::Submit),
        Entry::Turn(turned, _) => turn(tx, turned).map(Written::Turn),
        Entry::Blob { tenant, digest, bytes, .. } => {
            tx.prepare_cached("INSERT OR REPLACE INTO blobs (tenant, digest, bytes) VALUES (?1, ?2, ?3)")?
                .execute(params![tenant, digest, bytes])?;
            Ok(Written::Done)
        }
        Entry::Keep { name, body, .. } => {
            tx.prepare_cached("INSERT OR REPLACE INTO kept (name, body) VALUES (?1, ?2)")?
                .execute(params![name, body])?;
            Ok(Written::Done)
        }
    }
}

fn submit(tx: &Transaction<'_>, run: &Submitted) -> rusqlite::Result<Outcome> {
    if let Some(key) = &run.key {
        let mut select = tx.prepare_cached("SELECT id, digest FROM runs WHERE tenant = ?1 AND key = ?2")?;
        let found = select.query_row([&run.tenant, key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((id, digest)) = found {
            return Ok(Outcome { id, new: false, digest });
        }
    }
    let (digest, body) = &run.plan;
    tx.prepare_cached("INSERT OR IGNORE INTO plans (tenant, digest, body) VALUES (?1, ?2, ?3)")?.execute([
        &run.tenant,
        digest,
        body,
    ])?;
    let queued = State::Queued.text();
    tx.prepare_cached(
        "INSERT INTO runs (tenant, key, digest, job, priority, cost_ms, plan, inputs, state, submitted_ms, changed_ms, held_micro,
           workflow)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12)",
    )?
    .execute(params![
        run.tenant,
        run.key,
        run.digest,
        run.job,
        run.priority,
        run.cost_ms,
        digest,
        run.inputs,
        queued,
        run.at_ms,
        run.held_micro,
        run.workflow
    ])?;
    let id = tx.last_insert_rowid().unsigned_abs();
    change(tx, id, State::Queued, run.at_ms, None)?;
    Ok(Outcome { id, new: true, digest: run.digest.clone() })
}

fn turn(tx: &Transaction<'_>, turned: &Turned) -> rusqlite::Result<bool> {
    let mut select = tx.prepare_cached("SELECT state FROM runs WHERE id = ?1")?;
    let state: Option<String> = select.query_row([turned.run], |row| row.get(0)).optional()?;
    if !turned.from.iter().any(|from| state.as_deref() == Some(from.text())) {
        return Ok(false);
    }
    let error = turned.note.as_ref().filter(|_| turned.to == State::Failed);
    tx.prepare_cached(
        "UPDATE runs SET state = ?2, changed_ms = ?3, journal = coalesce(?4, journal), spent_micro = coalesce(?5, spent_micro),
         error = ?6 WHERE id = ?1",
    )?
    .execute(params![turned.run, turned.to.text(), turned.at_ms, turned.journal, turned.spent_micro, error])?;
    change(tx, turned.run, turned.to, turned.at_ms, turned.note.as_deref())?;
    Ok(true)
}

fn change(tx: &Transaction<'_>, run: u64, state: State, at_ms: i64, note: Option<&str>) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO changes (run, n, state, at_ms, note)
         VALUES (?1, (SELECT coalesce(max(n) + 1, 0) FROM changes WHERE run = ?1), ?2, ?3, ?4)",
    )?
    .execute(params![run, state.text(), at_ms, note])?;
    Ok(())
}
