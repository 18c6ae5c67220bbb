//! `smt` where z3 cannot be linked (WebAssembly): no oracle exists, so that nothing is certified and every plan says `native`.

use std::convert::Infallible;

use super::Limits;
use super::judge::{Judge, Terms, Trial};
use super::model::Model;
use super::price::{Hints, Price};

/// z3's word on a model.
#[expect(dead_code, reason = "nobody is there to say it")]
pub enum Verdict {
    /// No plan exists.
    Refuted,
    /// A plan, one column per step.
    Satisfied(Vec<u32>),
    /// No answer.
    Unknown,
}

/// An oracle that cannot be.
pub struct Oracle<'a> {
    never: Infallible,
    _limits: std::marker::PhantomData<&'a ()>,
}

/// The name of what is absent; no plan says it.
pub fn name() -> String {
    "z3".to_owned()
}

/// Runs as it is: there are no contexts to keep apart.
pub fn isolated<R>(run: impl FnOnce() -> R) -> R {
    run()
}

/// Nobody, who decides nothing.
pub struct Here;

impl Judge for Here {
    fn begin(&self, _: Terms) -> Option<Box<dyn Trial>> {
        None
    }
}

impl<'a> Oracle<'a> {
    /// None, whatever limits want.
    pub fn of(_: &Limits<'a>) -> Option<Oracle<'a>> {
        None
    }

    /// Checks made.
    pub fn checks(&self) -> u32 {
        match self.never {}
    }

    /// See `smt`.
    pub fn refute(&self, _: &Model, _: &Hints, _: &[Price], _: Option<i64>) -> Verdict {
        match self.never {}
    }

    /// See `smt`.
    pub fn search(&self, _: &Model, _: &Hints, _: &[Price], _: Option<i64>) -> Verdict {
        match self.never {}
    }
}
