//! Jobs from the check of one text to that of the next: while another job is typed at, a job stays, and only its places move.

use super::jobs::Signature;
use super::program::{Job, Program};
use crate::diag::shift::{Shift, Shifts};
use crate::diag::source::Span;
use crate::diag::{Diagnostic, Diagnostics};
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};

/// What a check leaves for the next one.
#[derive(Default)]
pub struct Trail {
    signatures: BTreeMap<EcoString, Signature>,
    used: BTreeSet<EcoString>,
    /// What was said of each job of the program; none where that names places outside of the job.
    said: Vec<Option<Diagnostics>>,
}

impl Trail {
    pub(super) fn new(
        signatures: BTreeMap<EcoString, Signature>,
        used: BTreeSet<EcoString>,
        said: Vec<Option<Diagnostics>>,
    ) -> Trail {
        Trail { signatures, used, said }
    }
}

/// Jobs that were checked, at their places of now. What a job means follows from its text, the library, the modules that are used and
/// the signatures of all jobs.
#[derive(Default)]
pub struct Earlier {
    signatures: BTreeMap<EcoString, Signature>,
    used: BTreeSet<EcoString>,
    jobs: BTreeMap<Span, (Job, Diagnostics)>,
}

impl Earlier {
    /// The jobs of a program whose text is as it was; `moved` is asked how far the places of a job moved.
    pub fn of(program: Program, trail: Trail, moved: &dyn Fn(Span) -> Option<Shift>) -> Earlier {
        let Trail { signatures, used, said } = trail;
        let kept = program.jobs.into_iter().zip(said).filter_map(|(job, said)| Some((moved(job.span)?, job, said?)));
        let at_its_place = |(shift, mut job, mut said): (Shift, Job, Diagnostics)| {
            if shift.by != 0 {
                job.shift(shift);
                said.shift(shift);
            }
            (job.span, (job, said))
        };
        Earlier { signatures, used, jobs: kept.map(at_its_place).collect() }
    }

    pub(super) fn follows_from(&self, signatures: &BTreeMap<EcoString, Signature>, used: &BTreeSet<EcoString>) -> bool {
        self.signatures == *signatures && self.used == *used
    }

    /// The job whose name stands at a place, and what was said of it.
    pub(super) fn take(&mut self, name: Span) -> Option<(Job, Diagnostics)> {
        self.jobs.remove(&name)
    }
}

/// Whether all that was said names places of the item alone, or of the library. A place at the top of the file is no item's.
pub(super) fn inside(item: Span, said: &Diagnostics) -> bool {
    let top = |at: Span| at.start == 0 && at.end == 0;
    let within = |at: Span| {
        at.file < item.file || (at.file == item.file && item.start <= at.start && at.end <= item.end && !top(at))
    };
    let places = |d: &Diagnostic| {
        let others = d.secondary.iter().map(|label| label.span).chain(d.fix.iter().map(|fix| fix.span));
        let others = others.chain(d.ways.iter().flat_map(|way| way.edits.iter().map(|(at, _)| *at)));
        std::iter::once(d.primary.span).chain(others).all(within)
    };
    said.iter().all(places)
}
