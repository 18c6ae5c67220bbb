//! The thread that plans: it takes the newest text of each document, plans it against its lock, and says what it found.

use super::Setup;
use super::files::{beside_lock, beside_table};
use crate::compile::Base;
use crate::ide::Beside;
use crate::ide::planning::{Planner, Plans, plans};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a text must stand still before it is planned.
const STILL: Duration = Duration::from_millis(40);
/// How long a plan for a hint may take.
const LIMIT: Duration = Duration::from_secs(3);

/// A text to be planned.
pub struct Wanted {
    /// The document.
    pub uri: String,
    /// Its version.
    pub version: i64,
    /// The document's newest version.
    pub newest: Arc<AtomicI64>,
    /// The text.
    pub text: Arc<str>,
    /// Its file, where it has one.
    pub path: Option<PathBuf>,
}

/// Plans what is wanted until nobody can want anything any more.
pub fn work(setup: &Setup, wanted: &Receiver<Wanted>, done: &dyn Fn(String, i64, Plans)) {
    let Ok(texts) = (setup.texts)() else { return };
    let mut base = Base::new(texts);
    let mut queue: BTreeMap<String, Wanted> = BTreeMap::new();
    loop {
        if queue.is_empty() {
            match wanted.recv() {
                Ok(text) => queue.insert(text.uri.clone(), text),
                Err(_) => return,
            };
        }
        loop {
            match wanted.recv_timeout(STILL) {
                Ok(text) => queue.insert(text.uri.clone(), text),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            };
        }
        let Some((_, text)) = queue.pop_first() else { continue };
        let started = Instant::now();
        let stale = || text.newest.load(Ordering::Relaxed) != text.version;
        let stop = || stale() || started.elapsed() > LIMIT;
        if stale() {
            continue;
        }
        let path = text.path.as_deref();
        let beside = Beside { table: &|name| beside_table(path, name), lock: beside_lock(path) };
        let planner = Planner {
            machines: setup.machines.as_ref(),
            reports: &|machines| (setup.reports)(machines),
            usable: &|machines| (setup.usable)(machines),
            stop: &stop,
        };
        // A fault of ours loses one hint, not the thread.
        let made = catch_unwind(AssertUnwindSafe(|| plans(&mut base, &text.uri, text.text.clone(), beside, &planner)));
        if let (Ok(plans), false) = (made, stale()) {
            done(text.uri, text.version, plans);
        }
    }
}
