//! Hole → fill: a sub-graph of library tasks whose result has the hole's type. A fill is source: checked like any other,
//! kept in the lock file for people to review.

mod chart;
pub mod corpus;
pub mod current;
pub mod errors;
pub mod fill;
pub mod form;
mod literals;
pub mod lock;
pub mod meaning;
mod offer;
mod parts;
pub mod planner;
pub mod rank;
pub mod reach;
pub mod search;
mod term;
mod words;
mod write;

use crate::check::program::{Hole, Job, Program};
use crate::diag::Diagnostics;
use crate::library::Library;
use crate::types::Type;
use current::change;
use lock::{Entry, Lock};
use search::{Found, search};

/// How typed search is called where it is said who made a fill.
pub const SEARCH: &str = "typed search";

/// A fill for every hole: the lock's where it has one that still fits, else the search's. `None` where a hole stays open.
pub fn fills(program: &Program, library: &Library, lock: &Lock, locked: bool, cx: &mut Diagnostics) -> Option<Lock> {
    let mut find = |hole: &Hole, job: &Job| search(hole, job, program, library).into_iter().next();
    fills_by(program, library, lock, locked, &mut find, cx)
}

/// The same, where a caller searches.
pub fn fills_by(
    program: &Program,
    library: &Library,
    lock: &Lock,
    locked: bool,
    find: &mut dyn FnMut(&Hole, &Job) -> Option<Found>,
    cx: &mut Diagnostics,
) -> Option<Lock> {
    let mut out = Lock::default();
    let mut open = false;
    for job in &program.jobs {
        for hole in &job.holes {
            if hole.ty == Type::Unknown {
                cx.push(crate::check::errors::hole_without_type(hole.span));
                open = true;
                continue;
            }
            let entry = lock.find(&job.name, &hole.name);
            match entry.map(|entry| (entry, change(entry, hole, job, library))) {
                Some((entry, None)) => out.holes.push(entry.clone()),
                Some((_, Some(change))) => {
                    cx.push(errors::stale(hole.span, &job.name, &hole.name, &change));
                    open = true;
                }
                None if locked => {
                    cx.push(errors::not_locked(hole.span, &job.name, &hole.name));
                    open = true;
                }
                None => match find(hole, job) {
                    Some(found) => {
                        if found.is_doubtful() {
                            cx.push(errors::doubtful(hole.span, &job.name, &hole.name, &found.because));
                        }
                        let entry = Entry::plain(job, hole, library, &found.text, SEARCH);
                        out.holes.push(Entry { because: found.because, ..entry });
                    }
                    None => {
                        cx.push(errors::nothing_fits(hole.span, &hole.ty));
                        open = true;
                    }
                },
            }
        }
    }
    (!open).then_some(out)
}
