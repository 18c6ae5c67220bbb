//! Prepared job + its plan + a question → an answer as data: why this, why not that, what if, what is to be had for what, what
//! a plan hangs on. Every answer rests on exact re-solves. Nothing here reads, prints or has a clock; [`render`] makes text.

pub mod answer;
pub mod figures;
pub mod front;
pub mod names;
pub mod prices;
pub mod question;
pub mod render;
pub mod resolve;
pub mod sensitivity;
pub mod what_if;
pub mod why;
pub mod why_not;

use crate::compile::{Decision, Prepared};
use crate::diag::source::Span;
use crate::solve::Limits;
use crate::space::Candidate;
use crate::space::encode::Encoded;
use std::collections::BTreeSet;

/// A plan that questions are asked of.
#[derive(Clone, Copy)]
pub struct Asked<'p, 'a> {
    /// The job on its machines.
    pub prepared: &'p Prepared<'a>,
    /// The problem that the plan solves; its clauses hold the soft lines that are kept.
    pub encoded: &'p Encoded,
    /// The lines whose limits the problem takes as they are, not looser by what rounding may add.
    pub strict: &'p BTreeSet<Span>,
    /// The plan: one option per step.
    pub choice: &'p [usize],
    /// How long to look for each answer.
    pub limits: Limits<'p>,
}

impl<'p, 'a> Asked<'p, 'a> {
    /// Asks of the plan that was decided on.
    pub fn of(prepared: &'p Prepared<'a>, decision: &'p Decision, limits: Limits<'p>) -> Self {
        let Decision { encoded, solution, strict, .. } = decision;
        Asked { prepared, encoded, strict, choice: &solution.choice, limits }
    }

    /// What carries out a step in a choice.
    pub fn candidate(&self, step: usize, choice: &[usize]) -> &'p Candidate {
        let space = &self.prepared.space.steps[step];
        &space.candidates[space.options[choice[step]].candidate]
    }
}
