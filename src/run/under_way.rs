//! Calls under way -> how many: a run that is to end gently waits for these, and for nothing that only waits itself.

use std::cell::Cell;
use std::rc::Rc;

/// A call that counts as under way, until dropped.
pub struct UnderWay(Rc<Cell<usize>>);

impl UnderWay {
    /// One more.
    pub fn new(count: &Rc<Cell<usize>>) -> UnderWay {
        count.set(count.get() + 1);
        UnderWay(count.clone())
    }

    /// The call waits for its next attempt, and does not count, until this is dropped.
    pub fn rest(&self) -> Rest<'_> {
        self.0.set(self.0.get() - 1);
        Rest(self)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A call under way that waits.
pub struct Rest<'a>(&'a UnderWay);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let count = &self.0.0;
        count.set(count.get() + 1);
    }
}
