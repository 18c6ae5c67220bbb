//! Holes of a text → their fills with what plans say of them: in the editor too, the limits choose the workflow.

use super::Analysis;
use super::planning::Planner;
use crate::check::program::{Hole, Job, Metric};
use crate::compile::{Base, Checked, Compiled, Target, plan, with_fills};
use crate::diag::Diagnostics;
use crate::expand::lock::{Foreseen, Lock};
use crate::expand::rank::{Candidate, Predicted, rank};
use crate::expand::search::search;
use crate::plan::build::total_of;
use crate::solve::{Certify, Limits};
use crate::space::ends::End;
use crate::space::sizes::InputSizes;

/// Fills that are planned: of a hole, and of a text.
const MAX_OF_HOLE: usize = 3;
const MAX_OF_TEXT: usize = 9;

/// A hole's fills, those that were planned first, in the order in which they are offered.
#[derive(Clone, Debug)]
pub struct Foretold {
    /// The job.
    pub job: String,
    /// The hole.
    pub hole: String,
    /// The fills.
    pub fills: Vec<Candidate>,
}

/// Plans the best fills of every hole; `lock` fills the others.
pub(super) fn foretell(base: &mut Base, analysis: &Analysis, lock: &Lock, planner: &Planner) -> Vec<Foretold> {
    let checked = Checked {
        tree: analysis.tree.clone(),
        library: (*analysis.library).clone(),
        program: analysis.program.clone(),
    };
    let mut left = MAX_OF_TEXT;
    let mut out = Vec::new();
    for job in &checked.program.jobs {
        for hole in &job.holes {
            let found = search(hole, job, &checked.program, &checked.library);
            let mut fills = Vec::new();
            for found in found.into_iter().take(MAX_OF_HOLE.min(left)) {
                if (planner.stop)() {
                    return out;
                }
                left -= 1;
                let predicted = predict(base, analysis, &checked, (job, hole), &found.text, lock, planner);
                fills.push(Candidate { found, by: String::new(), predicted });
            }
            rank(&mut fills, job.wishes.first().map_or(Metric::Cost, |w| w.metric));
            out.push(Foretold { job: job.name.to_string(), hole: hole.name.to_string(), fills });
        }
    }
    out
}

fn predict(
    base: &mut Base,
    analysis: &Analysis,
    checked: &Checked,
    (job, hole): (&Job, &Hole),
    fill: &str,
    lock: &Lock,
    planner: &Planner,
) -> Predicted {
    let mut lock = lock.clone();
    let Some(entry) = lock.holes.iter_mut().find(|e| e.job == job.name.as_str() && e.hole == hole.name.as_str()) else {
        return Predicted::Unknown;
    };
    entry.fill = fill.to_string();
    let Ok(machines) = (planner.machines)(job.cluster.as_ref().map(|(n, _)| n.as_str()), &checked.library) else {
        return Predicted::Unknown;
    };
    let mut said = Diagnostics::default();
    let Some(filled) = with_fills(base.texts_mut(), checked, &lock, &mut said) else { return Predicted::Unknown };
    let (usable, measured) = ((planner.usable)(&machines), InputSizes::new());
    let limits = Limits { nodes: 50_000, out_of_time: Some(planner.stop), z3_ms: 500, certify: Certify::Off };
    let (machines, usable, measured) = (&machines, &usable, &measured);
    let target = Target { job: Some(&job.name), machines, measured, usable, limits, end: End::Typical };
    let text = lock.write().ok();
    let compiled = Compiled { texts: base.texts(), file: analysis.file, checked: &filled, lock: text.as_deref() };
    match plan(compiled, &target, &mut said) {
        Ok((_, decision)) => {
            let wish = job.wishes.first().map_or(Metric::Cost, |w| w.metric);
            let total = &decision.plan.total;
            Predicted::Plan(
                total_of(wish, total),
                Foreseen::of(&machines.name, total.cost_usd, total.latency_s, total.quality),
            )
        }
        Err(why) => {
            let first = said.sorted().into_iter().find(|d| d.severity == crate::diag::Severity::Error);
            Predicted::NoPlan(first.map_or(why, |d| d.message.clone()))
        }
    }
}
