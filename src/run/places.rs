//! Instances that several runs share → a place for each call, so that together they never ask more of an instance than it takes at once.

use crate::plan::model::PlanStep;
use std::pin::Pin;
use std::time::Duration;

/// A place that is waited for; none where nothing bounds the step.
pub type Entering<'a> = Pin<Box<dyn Future<Output = Option<Box<dyn Place>>> + 'a>>;

/// Somebody who gives places.
pub trait Places {
    /// Waits for a place for a call of a step. Dropped before it is there, nothing is taken.
    fn enter<'a>(&'a self, step: &'a PlanStep) -> Entering<'a>;
}

/// A place on an instance, until it is dropped.
pub trait Place {
    /// The call begins: from now on the place counts as busy.
    fn begin(&self);

    /// It gave a value, so long after it began.
    fn done(&self, took: Duration);
}
