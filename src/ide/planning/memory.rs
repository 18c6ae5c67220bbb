//! Plans from one version of a text to the next: while another job is typed at, the plan of a job stays, and only its places move.

use super::JobPlan;
use crate::check::program::Job;
use crate::diag::Diagnostic;
use crate::diag::shift::{Shift, Shifts};
use crate::ide::Analysis;
use crate::library::Library;
use crate::space::Machines;
use crate::syntax::ast::ItemKind;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The plans of documents' jobs.
#[derive(Default)]
pub struct Memory {
    documents: BTreeMap<String, Remembered>,
}

#[derive(Default)]
struct Remembered {
    /// How often the document had been saved.
    saved: u64,
    jobs: BTreeMap<String, Kept>,
}

/// What the plan of a job follows from. What programs this machine has is left out: that is looked at again once the document is saved.
pub struct Basis {
    /// Where the job begins, and on which line.
    start: (u32, u32),
    text: String,
    uses: Vec<String>,
    library: Arc<Library>,
    machines: Machines,
}

struct Kept {
    basis: Basis,
    plan: JobPlan,
    /// What planning said of the file.
    said: Vec<Diagnostic>,
}

impl Memory {
    /// Forgets a document that was saved since: what lies beside it, and what this machine can do, may be other things now.
    pub fn since(&mut self, document: &str, saved: u64) {
        let known = self.documents.entry(document.to_string()).or_default();
        if known.saved != saved {
            *known = Remembered { saved, jobs: BTreeMap::new() };
        }
    }

    /// The plan of a job that is as it was, in its place of now, and what planning said then.
    pub(super) fn recall(
        &self,
        document: &str,
        job: &str,
        basis: &Basis,
        analysis: &Analysis,
    ) -> Option<(JobPlan, Vec<Diagnostic>)> {
        let kept = self.documents.get(document)?.jobs.get(job)?;
        let same = kept.basis.text == basis.text
            && kept.basis.uses == basis.uses
            && kept.basis.machines == basis.machines
            && Arc::ptr_eq(&kept.basis.library, &basis.library);
        same.then(|| moved(kept, basis.start, analysis))
    }

    /// Keeps the plan of a job.
    pub(super) fn keep(&mut self, document: &str, basis: Basis, plan: JobPlan, said: Vec<Diagnostic>) {
        let known = self.documents.entry(document.to_string()).or_default();
        known.jobs.insert(plan.job.clone(), Kept { basis, plan, said });
    }
}

impl Basis {
    /// What the plan of a job follows from. Nothing for a job with holes or with calls of other jobs: their texts count too.
    pub(super) fn of(job: &Job, analysis: &Analysis, machines: &Machines) -> Option<Basis> {
        let (item, _, typed) = analysis.jobs().find(|(_, tree, _)| tree.name.span == job.span)?;
        typed.filter(|job| job.holes.is_empty() && job.calls.is_empty())?;
        let uses = analysis.tree.items.iter().filter(|item| matches!(item.kind, ItemKind::Use(_)));
        Some(Basis {
            start: (item.start, super::line_of(&analysis.text, item.start)),
            text: analysis.slice(item).to_string(),
            uses: uses.map(|item| analysis.slice(item.span).to_string()).collect(),
            library: analysis.library.clone(),
            machines: machines.clone(),
        })
    }
}

/// What was kept of a job that begins elsewhere now, in bytes and lines.
fn moved(kept: &Kept, to: (u32, u32), analysis: &Analysis) -> (JobPlan, Vec<Diagnostic>) {
    let from = kept.basis.start;
    let shift = Shift { file: analysis.file, by: i64::from(to.0) - i64::from(from.0) };
    let mut plan = kept.plan.clone();
    plan.span.shift(shift);
    for step in &mut plan.steps {
        step.at = step.at - from.0 + to.0;
        step.call.shift(shift);
        step.pin.iter_mut().for_each(|pin| pin.span.shift(shift));
    }
    for shape in plan.graph.iter_mut().flat_map(|picture| &mut picture.boxes) {
        if shape.call.is_some_and(|call| call.file == analysis.file) {
            shape.line = shape.line - from.1 + to.1;
        }
        shape.call.shift(shift);
    }
    let mut said = kept.said.clone();
    said.shift(shift);
    (plan, said)
}
