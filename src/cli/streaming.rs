//! An answer that is printed while a model writes it.

use super::{note, print};
use crate::ir::workflow::StepId;
use crate::run::fault::printable;
use crate::run::observer::{Event, Observer};
use std::cell::{Cell, RefCell};

/// Prints pieces of the answer as they come, and hands everything on.
pub struct Streaming<'a> {
    /// Who watches besides.
    pub inner: &'a dyn Observer,
    /// The step that writes it, once it began.
    by: Cell<Option<StepId>>,
    /// What stands on standard output since the answer last began.
    said: RefCell<String>,
}

impl<'a> Streaming<'a> {
    /// Nothing is printed so far.
    pub fn new(inner: &'a dyn Observer) -> Streaming<'a> {
        Streaming { inner, by: Cell::default(), said: RefCell::default() }
    }

    /// What has yet to be printed of an answer.
    pub fn rest(&self, answer: &str) -> String {
        let said = self.said.borrow();
        // A model's answer ends where its text does; what stands around it was printed as it came.
        match answer.strip_prefix(said.trim_start()).or((said.trim() == answer).then_some("")) {
            Some(rest) => format!("{rest}\n"),
            None if said.is_empty() => format!("{answer}\n"),
            None => format!("\n{answer}\n"),
        }
    }

    /// What was printed is no answer, and there is none: an error begins on a line of its own.
    pub fn broken_off(&self) {
        if !self.said.take().is_empty() {
            print("\n");
        }
    }

    /// What was printed is no answer: the next attempt begins on a line of its own.
    fn again(&self, why: &str) {
        if !self.said.take().is_empty() {
            print("\n");
            note(&format!("the answer begins anew: {}", printable(why)));
        }
    }
}

impl Observer for Streaming<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Piece { step, text } => {
                self.by.set(Some(step.id));
                let text = printable(text);
                print(&text);
                self.said.borrow_mut().push_str(&text);
            }
            Event::Retried { step, fault, .. } | Event::Left { step, fault, .. } if self.by.get() == Some(step.id) => {
                self.again(&fault.message);
            }
            _ => {}
        }
        self.inner.event(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::observer::Silent;

    #[test]
    fn what_is_printed_is_not_printed_again() {
        let said = |text: &str| Streaming { said: RefCell::new(text.to_owned()), ..Streaming::new(&Silent) };
        assert_eq!(said("").rest("all of it"), "all of it\n");
        assert_eq!(said("all of").rest("all of it"), " it\n");
        assert_eq!(said("\nall of it\n").rest("all of it"), "\n");
        assert_eq!(said("something else").rest("all of it"), "\nall of it\n");
    }
}
