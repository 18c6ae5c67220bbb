//! The queue and the runs under way: workers of this process and other hosts wait for the next run, and whoever stops a run finds its switch.

use super::queue::{Full, Queue, Share, Waiting};
use crate::run::cancel::Cancel;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What became of the wish to stop a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It waited, and does not any more.
    Waiting,
    /// What is under way may still end.
    Drained,
    /// It was to stop already, and stops now.
    AtOnce,
    /// Nobody works on it.
    Unknown,
}

/// A run under way.
#[derive(Clone, Debug, Default)]
struct UnderWay {
    cancel: Cancel,
    /// Whether somebody asked for it to stop; else it is the server that stops.
    asked: bool,
    /// Whether another host carries it out: the end of this server is no end of it.
    elsewhere: bool,
}

#[derive(Debug)]
struct Inside {
    queue: Queue,
    under_way: BTreeMap<u64, UnderWay>,
    /// Workers of this process that wait for a run.
    idle: usize,
    closed: bool,
}

impl Inside {
    fn begin(&mut self, id: u64, elsewhere: bool) -> Cancel {
        let under_way = UnderWay { elsewhere, ..UnderWay::default() };
        let cancel = under_way.cancel.clone();
        self.under_way.insert(id, under_way);
        cancel
    }

    /// What this process works on.
    fn here(&self) -> impl Iterator<Item = &UnderWay> {
        self.under_way.values().filter(|run| !run.elsewhere)
    }
}

/// The queue and the runs under way.
#[derive(Debug)]
pub struct Dispatch {
    inside: Mutex<Inside>,
    more: Condvar,
    /// The same for those that wait in tasks.
    news: Notify,
}

impl Dispatch {
    /// For so many waiting runs.
    pub fn new(most: usize) -> Dispatch {
        let inside = Inside { queue: Queue::new(most), under_way: BTreeMap::new(), idle: 0, closed: false };
        Dispatch { inside: Mutex::new(inside), more: Condvar::new(), news: Notify::new() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the queue.
    pub fn queue<T>(&self, look: impl FnOnce(&Queue) -> T) -> T {
        look(&self.inside().queue)
    }

    /// Runs under way.
    pub fn under_way(&self) -> usize {
        self.inside().under_way.len()
    }

    /// Promises a place, which goes back where the promise is dropped.
    pub fn promise<'a>(&'a self, tenant: &str, share: Share) -> Result<Promise<'a>, Full> {
        self.inside().queue.promise(tenant, share)?;
        Ok(Promise { dispatch: self, tenant: Some(tenant.to_owned()) })
    }

    /// Takes in a run that was accepted earlier.
    pub fn restore(&self, run: Waiting, weight: u32) {
        self.inside().queue.restore(run, Some(weight));
        self.tell();
    }

    /// Says that there is more to do.
    fn tell(&self) {
        self.more.notify_one();
        self.news.notify_waiters();
    }

    /// Says that others may do what there is to do than before.
    pub fn tell_all(&self) {
        self.more.notify_all();
        self.news.notify_waiters();
    }

    /// Notices that there may be more to do, from when it is [enabled](tokio::sync::futures::Notified::enable).
    pub fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    /// Takes the next run that another host may carry out, if there is one, with its switch; `may` is told whether a worker of this process
    /// has nothing to do.
    pub fn take_elsewhere(&self, may: &dyn Fn(&Waiting, bool) -> bool) -> Option<(Waiting, Cancel)> {
        let mut inside = self.inside();
        if inside.closed {
            return None;
        }
        let idle = inside.idle > 0;
        let run = inside.queue.take_of(&|run| may(run, idle))?;
        let cancel = inside.begin(run.id, true);
        Some((run, cancel))
    }

    /// A run that another host carries out since an earlier server; its switch.
    pub fn adopt(&self, id: u64) -> Cancel {
        self.inside().begin(id, true)
    }

    /// Waits for the next run that this machine may carry out and takes it, with its switch; none once this is closed.
    pub fn next(&self, may: &dyn Fn(&Waiting) -> bool) -> Option<(Waiting, Cancel)> {
        let mut inside = self.inside();
        loop {
            if inside.closed {
                return None;
            }
            if let Some(run) = inside.queue.take_of(may) {
                let cancel = inside.begin(run.id, false);
                // What was left to this worker may be another host's now.
                self.news.notify_waiters();
                return Some((run, cancel));
            }
            inside.idle += 1;
            inside = self.more.wait(inside).unwrap_or_else(PoisonError::into_inner);
            inside.idle -= 1;
        }
    }

    /// Nobody works on a run any more; whether somebody had asked for it to stop.
    pub fn done(&self, id: u64) -> bool {
        self.inside().under_way.remove(&id).is_some_and(|run| run.asked)
    }

    /// Stops a run: one that waits at once, one under way gently, and at once where it is asked again.
    pub fn stop(&self, id: u64) -> Stopped {
        let mut inside = self.inside();
        if inside.queue.remove(id) {
            return Stopped::Waiting;
        }
        let Some(run) = inside.under_way.get_mut(&id) else { return Stopped::Unknown };
        if std::mem::replace(&mut run.asked, true) {
            run.cancel.cancel();
            return Stopped::AtOnce;
        }
        run.cancel.drain();
        Stopped::Drained
    }

    /// Begins nothing more, and lets what is under way here end gently.
    pub fn close(&self) {
        let mut inside = self.inside();
        inside.closed = true;
        inside.here().for_each(|run| run.cancel.drain());
        self.more.notify_all();
        self.news.notify_waiters();
    }

    /// Stops what is under way here at once.
    pub fn stop_all(&self) {
        self.inside().here().for_each(|run| run.cancel.cancel());
    }
}

/// A place in the queue, as long as it is not taken.
#[derive(Debug)]
pub struct Promise<'a> {
    dispatch: &'a Dispatch,
    tenant: Option<String>,
}

impl Promise<'_> {
    /// Takes the place.
    pub fn put(mut self, run: Waiting) {
        self.tenant = None;
        self.dispatch.inside().queue.put(run);
        self.dispatch.tell();
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if let Some(tenant) = &self.tenant {
            self.dispatch.inside().queue.release(tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const SHARE: Share = Share { most: 1, weight: 1 };

    fn run(id: u64) -> Waiting {
        Waiting { id, tenant: "a".into(), priority: 0, cost: 1, placed: false, needs: Arc::default() }
    }

    #[test]
    fn a_promise_that_is_dropped_is_given_back() {
        let dispatch = Dispatch::new(9);
        drop(dispatch.promise("a", SHARE).expect("room"));
        let promise = dispatch.promise("a", SHARE).expect("room again");
        assert_eq!(dispatch.promise("a", SHARE).err(), Some(Full::Tenant));
        promise.put(run(1));
        assert_eq!(dispatch.queue(Queue::len), 1);
    }

    #[test]
    fn the_end_of_the_server_is_no_end_of_what_others_carry_out() {
        let dispatch = Dispatch::new(9);
        (1..=3).for_each(|id| dispatch.restore(run(id), 1));
        let (taken, elsewhere) = dispatch.take_elsewhere(&|run, _| run.id != 1).expect("one");
        let (_, here) = dispatch.next(&|_| true).expect("one");
        let adopted = dispatch.adopt(9);
        dispatch.close();
        dispatch.stop_all();
        assert_eq!(taken.id, 2);
        assert!(here.is_cancelled() && !elsewhere.is_draining() && !adopted.is_draining());
        assert!(dispatch.take_elsewhere(&|_, _| true).is_none());
        assert_eq!(dispatch.stop(9), Stopped::Drained);
    }

    #[test]
    fn a_run_is_stopped_gently_and_then_at_once() {
        let dispatch = Dispatch::new(9);
        dispatch.restore(run(1), 1);
        dispatch.restore(run(2), 1);
        let (first, cancel) = dispatch.next(&|_| true).expect("one");
        assert_eq!(dispatch.stop(2), Stopped::Waiting);
        assert_eq!(dispatch.stop(2), Stopped::Unknown);
        assert_eq!(dispatch.stop(first.id), Stopped::Drained);
        assert!(cancel.is_draining() && !cancel.is_cancelled());
        assert_eq!(dispatch.stop(first.id), Stopped::AtOnce);
        assert!(cancel.is_cancelled());
        assert!(dispatch.done(first.id));
        dispatch.close();
        assert!(dispatch.next(&|_| true).is_none());
    }
}
