//! The thread that plans: it takes the newest text of each document, plans it against its lock, and says what it found.

use super::{Setup, Wanted, guarded};
use crate::compile::{Base, Texts};
use crate::ide::planning::{Memory, Plans};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a text must stand still before it is planned.
const STILL: Duration = Duration::from_millis(40);
/// Of more libraries than this, the one that was not used longest is made again.
const MOST: usize = 4;
/// How long a plan for a hint may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Plans what is wanted until nobody can want anything any more.
pub fn work(setup: &Setup, texts: Arc<Texts>, wanted: &Receiver<Wanted>, done: &dyn Fn(String, i64, Plans)) {
    let mut bases = vec![(texts.clone(), Base::new((*texts).clone()))];
    let mut memory = Memory::default();
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
        let stop = || text.stale() || started.elapsed() > LIMIT;
        if text.stale() {
            continue;
        }
        let known = bases.iter().position(|(texts, _)| Arc::ptr_eq(texts, &text.library));
        let (texts, mut base) = known.map(|at| bases.remove(at)).unwrap_or_else(|| {
            let texts = text.library.clone();
            (texts.clone(), Base::new((*texts).clone()))
        });
        // A fault of ours loses one hint, not the thread.
        let made = guarded(|| setup.plans(&mut base, &mut memory, &text, &stop));
        bases.push((texts, base));
        if bases.len() > MOST {
            bases.remove(0);
        }
        if let (Ok(plans), false) = (made, text.stale()) {
            done(text.uri, text.version, plans);
        }
    }
}
