//! Records -> the database: one thread, one transaction for all that wait. What is acknowledged is written; after the first error nothing
//! more is, since a file that failed once cannot be trusted to hold what it took later.

use super::record::{Record, checksum, encode};
use super::{Told, failed, put_count};
use crate::run::fault::{Fault, FaultKind};
use rusqlite::{Connection, TransactionBehavior, params};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Most records of one transaction.
const GROUP: usize = 512;

/// What the writer says of a record: written, or why not.
pub type Ack = oneshot::Receiver<Result<(), Fault>>;

struct Entry {
    record: Record,
    /// Whether it must be on the disk, and not only with the system, before it counts.
    durable: bool,
    ack: oneshot::Sender<Result<(), Fault>>,
}

/// The way to the writer's thread, which ends when this is dropped, after what was sent is written.
#[derive(Debug)]
pub struct Writer {
    entries: Option<Sender<Entry>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// A writer for a run, as the runtime with this fence; `next` is the number of its next record.
    pub fn start(db: Connection, run: u64, fence: u64, next: u64, told: Option<Told>) -> Result<Writer, Fault> {
        let (entries, inbox) = channel();
        let state = State { db, run, fence, next, full: None, broken: None, told };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || state.work(&inbox));
        let thread = thread.map_err(|e| Fault::new(FaultKind::Storage, format!("the journal has no thread: {e}")))?;
        Ok(Writer { entries: Some(entries), thread: Some(thread) })
    }

    /// Sends a record. It is written in the order of sending; who needs to know waits for the answer.
    pub fn send(&self, record: Record, durable: bool) -> Ack {
        let (ack, answer) = oneshot::channel();
        if let Some(entries) = &self.entries {
            // A writer that is gone drops the answer's other end, which the waiting side sees.
            let _ = entries.send(Entry { record, durable, ack });
        }
        answer
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.entries = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct State {
    db: Connection,
    run: u64,
    fence: u64,
    next: u64,
    /// What `synchronous` is set to.
    full: Option<bool>,
    broken: Option<Fault>,
    told: Option<Told>,
}

impl State {
    fn work(mut self, inbox: &Receiver<Entry>) {
        while let Ok(first) = inbox.recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(entry) = inbox.try_recv()
            {
                group.push(entry);
            }
            let done = match &self.broken {
                Some(fault) => Err(fault.clone()),
                None => self.commit(&group),
            };
            if let Err(fault) = &done {
                self.broken = Some(fault.clone());
            }
            for entry in group {
                let _ = entry.ack.send(done.clone());
            }
            if let Some(Told(told)) = &self.told {
                told();
            }
        }
    }

    fn commit(&mut self, group: &[Entry]) -> Result<(), Fault> {
        let full = group.iter().any(|e| e.durable);
        if self.full != Some(full) {
            self.db.pragma_update(None, "synchronous", if full { "FULL" } else { "NORMAL" }).map_err(failed)?;
            self.full = Some(full);
        }
        let (run, mut next) = (self.run, self.next);
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        {
            let mut fence = tx.prepare_cached("SELECT fence FROM runs WHERE id = ?1").map_err(failed)?;
            let now: u64 = fence.query_row([run], |row| row.get(0)).map_err(failed)?;
            if now != self.fence {
                let message = format!("run {run} was taken over by another runtime, and this one writes no more");
                return Err(Fault::new(FaultKind::Storage, message));
            }
            let mut insert =
                tx.prepare_cached("INSERT INTO records (run, n, body, crc) VALUES (?1, ?2, ?3, ?4)").map_err(failed)?;
            for entry in group {
                let body = encode(&entry.record).map_err(|e| Fault::new(FaultKind::Storage, e))?;
                insert.execute(params![run, next, body, checksum(run, next, &body)]).map_err(failed)?;
                if matches!(entry.record, Record::Answer { .. }) {
                    // The key is the run: a second answer is an error.
                    tx.execute("INSERT INTO answers (run, n) VALUES (?1, ?2)", params![run, next]).map_err(failed)?;
                }
                next += 1;
            }
            put_count(&tx, run, self.fence, next)?;
        }
        tx.commit().map_err(failed)?;
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::journal::tests::{begun, paused};

    #[test]
    fn a_runtime_with_an_old_fence_writes_nothing() {
        let (folder, mut journal, run) = begun();
        let old = journal.take_over(run).expect("ours").fence;
        let mut other = crate::run::journal::Journal::open(folder.path()).expect("a journal");
        let new = other.take_over(run).expect("theirs").fence;
        let old = Writer::start(journal.db, run, old, 0, None).expect("a writer");
        let refused = old.send(paused("late"), true).blocking_recv().expect("an answer");
        assert!(refused.expect_err("fenced off").message.contains("taken over"));
        drop(old);
        assert_eq!(other.records(run).expect("records"), []);
        let new = Writer::start(other.db, run, new, 0, None).expect("a writer");
        assert_eq!(new.send(paused("mine"), true).blocking_recv().expect("an answer"), Ok(()));
    }

    #[test]
    fn after_the_disk_was_full_nothing_is_acknowledged() {
        let (_folder, journal, run) = begun();
        let pages: u32 = journal.db.pragma_query_value(None, "page_count", |r| r.get(0)).expect("a count");
        journal.db.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).expect("set");
        let writer = Writer::start(journal.db, run, 0, 0, None).expect("a writer");
        let large = "x".repeat(4000);
        let answers: Vec<bool> =
            (0..20).map(|_| writer.send(paused(&large), false).blocking_recv().expect("an answer").is_ok()).collect();
        let first = answers.iter().position(|good| !good).expect("it is full at some time");
        assert!(answers[first..].iter().all(|good| !good), "{answers:?}");
        let fault = writer.send(paused("small"), true).blocking_recv().expect("an answer").expect_err("broken");
        assert!(fault.message.contains("full"), "{fault:?}");
    }
}
