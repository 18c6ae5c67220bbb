//! Holes → their fills in the order in which they are offered: by what the best plan with each would cost, take and be worth.

use super::Analysis;
use super::planning::Planner;
use crate::compile::predict::{Filling, compared_by, predict};
use crate::compile::{Base, Checked};
use crate::diag::source::Span;
use crate::expand::lock::Lock;
use crate::expand::rank::{Candidate, Predicted, rank};
use crate::expand::search::search;
use crate::space::sizes::InputSizes;
use crate::types::Type;

/// A file with more holes than this has predictions for the first ones only.
const MAX_HOLES: usize = 6;

/// The fills of a hole, ranked.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The hole.
    pub hole: Span,
    /// Each fill's text, and its plan's figures in words, or why it has none.
    pub fills: Vec<(String, String)>,
}

/// Ranks the fills of a file's holes. `lock` has a fill for each of them.
pub fn ranked(base: &mut Base, analysis: &Analysis, checked: &Checked, lock: &Lock, planner: &Planner) -> Vec<Ranked> {
    let program = &checked.program;
    let holes = program.jobs.iter().flat_map(|job| job.holes.iter().map(move |hole| (job, hole)));
    let mut out = Vec::new();
    for (job, hole) in holes.filter(|(_, hole)| hole.ty != Type::Unknown).take(MAX_HOLES) {
        let named = job.cluster.as_ref().map(|(name, _)| name.as_str());
        let Ok(machines) = (planner.machines)(named, &checked.library) else { continue };
        let usable = &(planner.usable)(&machines);
        let (file, machines, stop) = (analysis.file, &machines, Some(planner.stop));
        let measured = &InputSizes::new();
        let filling = Filling { file, checked, lock, job, machines, usable, measured, stop };
        let mut candidates = Vec::new();
        for found in search(hole, job, program, &checked.library) {
            if (planner.stop)() {
                return out;
            }
            let predicted = predict(base.texts_mut(), &filling, hole, &found.text);
            candidates.push(Candidate { found, by: String::new(), predicted });
        }
        rank(&mut candidates, compared_by(job));
        let fills = candidates.into_iter().map(|c| {
            let words = match c.predicted {
                Predicted::Unknown => String::new(),
                Predicted::Plan(_, figures) => figures.to_string(),
                Predicted::NoPlan(why) => format!("no plan: {why}"),
            };
            (c.found.text, words)
        });
        out.push(Ranked { hole: hole.span, fills: fills.collect() });
    }
    out
}
