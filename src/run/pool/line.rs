//! So much of something that is scarce -> permits, in the order of ranks: of the calls that wait, the one with the longest way behind it goes
//! first, since the run can end no sooner; of equal ones, the one that stands first in the source, then the earlier item, then who asked first.

use crate::ir::workflow::StepId;
use crate::run::fault::Fault;
use rust_decimal::Decimal;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::sync::oneshot;

/// Where a call stands among those that wait for the same; the least goes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Seconds from the beginning of its step to the end of the run, as planned.
    pub behind: Reverse<Decimal>,
    /// Its step: steps are numbered in the order of the source.
    pub step: StepId,
    /// The items of maps and rounds of loops that it is in.
    pub items: Vec<usize>,
}

/// A rank, and who asked first.
type Turn = (Rank, u64);

/// So many permits, and those who wait for some.
#[derive(Debug)]
pub struct Line {
    size: u32,
    free: Cell<u32>,
    asked: Cell<u64>,
    waiting: RefCell<BTreeMap<Turn, (u32, oneshot::Sender<Permit>)>>,
}

/// What is held until this is dropped.
#[derive(Debug)]
pub struct Permit {
    line: Rc<Line>,
    units: u32,
}

impl Line {
    /// So many units, at least one.
    pub fn of(size: u32) -> Rc<Line> {
        let size = size.max(1);
        Rc::new(Line { size, free: Cell::new(size), asked: Cell::default(), waiting: RefCell::default() })
    }

    /// All units, those that are held included.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Waits for so many units, or for all where there are not as many. Who needs many is not passed by who needs few and ranks behind.
    pub async fn hold(self: &Rc<Line>, units: u32, rank: impl FnOnce() -> Rank) -> Result<Permit, Fault> {
        let units = units.clamp(1, self.size);
        if units <= self.free.get() && self.waiting.borrow().is_empty() {
            self.free.set(self.free.get() - units);
            return Ok(Permit { line: self.clone(), units });
        }
        let number = self.asked.replace(self.asked.get() + 1);
        let turn = (rank(), number);
        let (tell, told) = oneshot::channel();
        self.waiting.borrow_mut().insert(turn.clone(), (units, tell));
        let _leaves = Leaves { line: self, turn };
        self.serve();
        told.await.map_err(|_| Fault::plan("a pool of devices was closed"))
    }

    /// Gives what is free to those whose turn it is.
    fn serve(self: &Rc<Line>) {
        loop {
            let mut waiting = self.waiting.borrow_mut();
            let Some(first) = waiting.first_entry().filter(|first| first.get().0 <= self.free.get()) else { return };
            let (units, tell) = first.remove();
            drop(waiting);
            self.free.set(self.free.get() - units);
            if let Err(mut unheard) = tell.send(Permit { line: self.clone(), units }) {
                // Whoever waited is gone. Given back here, so that many such permits do not serve one inside another.
                unheard.units = 0;
                self.free.set(self.free.get() + units);
            }
        }
    }

    /// What is free, and how many wait.
    #[cfg(test)]
    pub fn seen(&self) -> (u32, usize) {
        (self.free.get(), self.waiting.borrow().len())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.units > 0 {
            self.line.free.set(self.line.free.get() + self.units);
            self.line.serve();
        }
    }
}

/// Takes a call that waits no longer out of the line.
struct Leaves<'a> {
    line: &'a Rc<Line>,
    turn: Turn,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if self.line.waiting.borrow_mut().remove(&self.turn).is_some() {
            // It may have stood in the way of one that needs less.
            self.line.serve();
        }
    }
}
