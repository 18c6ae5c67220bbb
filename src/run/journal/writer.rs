//! Records -> the database: one thread, one transaction for all that wait. What is acknowledged is written; after the first error nothing
//! more is, since a file that failed once cannot be trusted to hold what it took later.
//!
//! Records are written in the order of sending, so that an acknowledgement holds for all before it too. What nobody waits for is written with
//! the next that somebody waits for, or a millisecond later.

use super::alive::{Alive, BEAT};
use super::append::write;
use super::record::Record;
use super::rows::failed;
use super::{Ears, Mirror, Told};
use crate::run::fault::{Fault, FaultKind};
use rusqlite::{Connection, TransactionBehavior};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Records that are written at once, though nobody waits for them.
const GROUP: usize = 512;
/// How long what nobody waits for is kept for others to share its transaction.
const LINGER: Duration = Duration::from_millis(1);

/// What the writer says of a record: written, or why not.
pub type Ack = oneshot::Receiver<Result<(), Fault>>;

#[derive(Debug)]
struct Entry {
    record: Record,
    /// Whether it must be on the disk, and not only with the system, before it counts.
    durable: bool,
    /// Who waits for it, if somebody does.
    ack: Option<oneshot::Sender<Result<(), Fault>>>,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
    /// Records that were written, or refused.
    done: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<Entry>,
    sent: u64,
    /// Whether somebody waits for one of them, or they are many.
    urgent: bool,
    /// Nothing more is sent.
    closed: bool,
    /// The thread is no more, and nothing is written.
    gone: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Entry) {
        let mut waiting = self.lock();
        if waiting.gone {
            // The answer's other end is dropped with the entry, which the waiting side sees.
            return;
        }
        let (first, urgent) = (waiting.entries.is_empty(), waiting.urgent);
        waiting.urgent |= entry.ack.is_some() || waiting.entries.len() + 1 >= GROUP;
        waiting.entries.push(entry);
        waiting.sent += 1;
        let tell = first || waiting.urgent && !urgent;
        drop(waiting);
        if tell {
            self.news.notify_one();
        }
    }

    /// What is to be written next, together; none once all is written and nothing more comes.
    fn next(&self, alive: &mut Alive) -> Option<Vec<Entry>> {
        let mut waiting = self.lock();
        while waiting.entries.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.news.wait_timeout(waiting, BEAT).unwrap_or_else(PoisonError::into_inner).0;
            if waiting.entries.is_empty() {
                drop(waiting);
                alive.beat();
                waiting = self.lock();
            }
        }
        let calm = |waiting: &mut Waiting| !waiting.urgent && !waiting.closed;
        let late = self.news.wait_timeout_while(waiting, LINGER, calm);
        waiting = late.unwrap_or_else(PoisonError::into_inner).0;
        waiting.urgent = false;
        Some(std::mem::take(&mut waiting.entries))
    }
}

/// The way to the writer's thread, which ends when this is dropped, after what was sent is written.
#[derive(Debug)]
pub struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// A writer for a run, as the runtime with this fence, which it says is alive; `next` is the number of its next record.
    pub fn start(
        db: Connection,
        (run, fence, next): (u64, u64, u64),
        ears: Ears,
        mut alive: Alive,
    ) -> Result<Writer, Fault> {
        let queue = Arc::new(Queue::default());
        let mut state = State { db, run, fence, next, full: None, broken: None, ears };
        let inbox = Inbox(queue.clone());
        let thread =
            std::thread::Builder::new().name("journal".to_owned()).spawn(move || state.work(&inbox.0, &mut alive));
        let thread = thread.map_err(|e| Fault::new(FaultKind::Storage, format!("the journal has no thread: {e}")))?;
        Ok(Writer { queue, thread: Some(thread) })
    }

    /// Sends a record whose writing somebody waits for.
    pub fn send(&self, record: Record, durable: bool) -> Ack {
        let (ack, answer) = oneshot::channel();
        self.queue.push(Entry { record, durable, ack: Some(ack) });
        answer
    }

    /// Sends a record that nobody waits for: should it not be written, nothing later is either, and that is noticed.
    pub fn note(&self, record: Record, durable: bool) {
        self.queue.push(Entry { record, durable, ack: None });
    }

    /// How many records are not written yet.
    pub fn behind(&self) -> u64 {
        self.queue.lock().sent.saturating_sub(self.queue.done.load(Ordering::Relaxed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.news.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's end of the queue: once it is gone, whoever waits is told, also where the thread broke down.
struct Inbox(Arc<Queue>);

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.gone = true;
        waiting.entries.clear();
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
    ears: Ears,
}

impl State {
    fn work(&mut self, queue: &Queue, alive: &mut Alive) {
        while let Some(group) = queue.next(alive) {
            alive.beat();
            let done = match &self.broken {
                Some(fault) => Err(fault.clone()),
                None => self.commit(&group),
            };
            if let Err(fault) = &done {
                self.broken = Some(fault.clone());
            }
            queue.done.fetch_add(group.len() as u64, Ordering::Relaxed);
            for ack in group.into_iter().filter_map(|entry| entry.ack) {
                let _ = ack.send(done.clone());
            }
            if let Some(Told(told)) = &self.ears.told {
                told();
            }
        }
    }

    fn commit(&mut self, group: &[Entry]) -> Result<(), Fault> {
        let full = group.iter().any(|e| e.durable);
        // What a mirror has is on the disk there, before it counts.
        if self.ears.mirror.is_none() && self.full != Some(full) {
            self.db.pragma_update(None, "synchronous", if full { "FULL" } else { "NORMAL" }).map_err(failed)?;
            self.full = Some(full);
        }
        let records: Vec<&Record> = group.iter().map(|entry| &entry.record).collect();
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let next = write(&tx, self.run, self.fence, self.next, &records)?;
        tx.commit().map_err(failed)?;
        if let Some(Mirror(mirror)) = &self.ears.mirror {
            mirror(self.next, &records)?;
        }
        self.next = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::journal::tests::{begun, paused};
    use std::path::Path;

    /// A sign of life that nobody reads.
    fn nobody() -> Alive {
        Alive::new(Path::new("/nonexistent"), 0)
    }

    #[test]
    fn a_runtime_with_an_old_fence_writes_nothing() {
        let (folder, mut journal, run) = begun();
        let old = journal.take_over(run).expect("ours").fence;
        let mut other = crate::run::journal::Journal::open(folder.path()).expect("a journal");
        let new = other.take_over(run).expect("theirs").fence;
        let old = Writer::start(journal.db, (run, old, 0), Ears::default(), nobody()).expect("a writer");
        let refused = old.send(paused("late"), true).blocking_recv().expect("an answer");
        assert!(refused.expect_err("fenced off").message.contains("taken over"));
        drop(old);
        assert_eq!(other.records(run).expect("records"), []);
        let new = Writer::start(other.db, (run, new, 0), Ears::default(), nobody()).expect("a writer");
        assert_eq!(new.send(paused("mine"), true).blocking_recv().expect("an answer"), Ok(()));
    }

    #[test]
    fn what_nobody_waits_for_is_written_in_order_with_what_somebody_waits_for() {
        let (folder, journal, run) = begun();
        let writer = Writer::start(journal.db, (run, 0, 0), Ears::default(), nobody()).expect("a writer");
        writer.note(paused("a"), false);
        writer.note(paused("b"), true);
        assert_eq!(writer.send(paused("c"), false).blocking_recv().expect("an answer"), Ok(()));
        assert_eq!(writer.behind(), 0);
        let reader = crate::run::journal::Journal::open(folder.path()).expect("a journal");
        let all = ["a", "b", "c", "d"].map(paused);
        assert_eq!(reader.records(run).expect("records"), all[..3]);
        writer.note(paused("d"), false);
        drop(writer);
        assert_eq!(reader.records(run).expect("records"), all, "what was sent is written before the end");
    }

    #[test]
    fn what_a_mirror_refuses_does_not_count() {
        let (_folder, journal, run) = begun();
        let mirror = |first: u64, records: &[&Record]| match first + records.len() as u64 {
            0..=2 => Ok(()),
            _ => Err(Fault::new(FaultKind::Storage, "no more")),
        };
        let ears = Ears { mirror: Some(Mirror(Arc::new(mirror))), ..Ears::default() };
        let writer = Writer::start(journal.db, (run, 0, 0), ears, nobody()).expect("a writer");
        let say = |text: &str| writer.send(paused(text), true).blocking_recv().expect("an answer");
        assert_eq!((say("a"), say("b")), (Ok(()), Ok(())));
        assert!(say("c").is_err() && say("d").is_err());
    }

    #[test]
    fn nothing_waits_for_the_disk_twice() {
        let synchronous = |passing: bool| {
            let folder = tempfile::tempdir().expect("a folder");
            let open = if passing { crate::run::journal::Journal::passing } else { crate::run::journal::Journal::open };
            let mut journal = open(folder.path()).expect("a journal");
            let run = crate::run::journal::tests::info(None);
            let run = journal.begin(&run).expect("a run").id;
            let mirror = passing.then(|| Mirror(Arc::new(|_: u64, _: &[&Record]| Ok(()))));
            let ears = Ears { mirror, ..Ears::default() };
            let mut state = State { db: journal.db, run, fence: 0, next: 0, full: None, broken: None, ears };
            state.commit(&[Entry { record: paused("a"), durable: true, ack: None }]).expect("written");
            state.db.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).expect("a number")
        };
        // 2 is FULL, 0 is OFF: what a mirror has is on its disk.
        assert_eq!((synchronous(false), synchronous(true)), (2, 0));
    }

    #[test]
    fn whoever_waits_for_a_thread_that_is_gone_is_told() {
        let queue = Arc::new(Queue::default());
        let (ack, answer) = oneshot::channel();
        queue.push(Entry { record: paused("before"), durable: false, ack: Some(ack) });
        drop(Inbox(queue.clone()));
        assert!(answer.blocking_recv().is_err());
        let (ack, answer) = oneshot::channel();
        queue.push(Entry { record: paused("after"), durable: false, ack: Some(ack) });
        assert!(answer.blocking_recv().is_err());
    }

    #[test]
    fn after_the_disk_was_full_nothing_is_acknowledged() {
        let (_folder, journal, run) = begun();
        let pages: u32 = journal.db.pragma_query_value(None, "page_count", |r| r.get(0)).expect("a count");
        journal.db.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).expect("set");
        let writer = Writer::start(journal.db, (run, 0, 0), Ears::default(), nobody()).expect("a writer");
        let large = "x".repeat(4000);
        let answers: Vec<bool> =
            (0..20).map(|_| writer.send(paused(&large), false).blocking_recv().expect("an answer").is_ok()).collect();
        let first = answers.iter().position(|good| !good).expect("it is full at some time");
        assert!(answers[first..].iter().all(|good| !good), "{answers:?}");
        let fault = writer.send(paused("small"), true).blocking_recv().expect("an answer").expect_err("broken");
        assert!(fault.message.contains("full"), "{fault:?}");
    }
}
