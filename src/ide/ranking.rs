//! Holes → their fills in the order in which they are offered: by what the best plan with each would cost, take and be worth.

use super::Analysis;
use super::planning::Planner;
use crate::check::program::{Hole, Job};
use crate::compile::predict::{Filling, compared_by, predict};
use crate::compile::{Base, Checked};
use crate::diag::source::Span;
use crate::expand::SEARCH;
use crate::expand::lock::{Entry, Lock};
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
    let holes: Vec<(&Job, &Hole)> =
        checked.program.jobs.iter().flat_map(|job| job.holes.iter().map(move |hole| (job, hole))).collect();
    let holes: Vec<(&Job, &Hole)> =
        holes.into_iter().filter(|(_, hole)| hole.ty != Type::Unknown).take(MAX_HOLES).collect();
    let mut lock = lock.clone();
    // As on the command line: what a fill comes to depends on the other holes', which are by words the first time.
    let rounds = if holes.len() > 1 { 2 } else { 1 };
    let mut out = Vec::new();
    for _ in 0..rounds {
        out.clear();
        for (job, hole) in &holes {
            let Some(ranked) = ranked_hole(base, analysis, (checked, &lock), (job, hole), planner) else { continue };
            if (planner.stop)() {
                return out;
            }
            // What the lock file holds is what the hole has.
            let held = matches!(&analysis.lock, Some(Ok(lock)) if lock.find(&job.name, &hole.name).is_some());
            if let Some((best, _)) = ranked.fills.first().filter(|_| !held) {
                lock.put(Entry::plain(job, hole, &checked.library, best, SEARCH));
            }
            out.push(ranked);
        }
    }
    out
}

/// The fills of one hole, where there are machines for its job.
fn ranked_hole(
    base: &mut Base,
    analysis: &Analysis,
    (checked, lock): (&Checked, &Lock),
    (job, hole): (&Job, &Hole),
    planner: &Planner,
) -> Option<Ranked> {
    let named = job.cluster.as_ref().map(|(name, _)| name.as_str());
    let machines = &(planner.machines)(named, &checked.library).ok()?;
    let usable = &(planner.usable)(machines);
    let (file, stop, measured) = (analysis.file, Some(planner.stop), &InputSizes::new());
    let filling = Filling { file, checked, lock, job, machines, usable, measured, stop };
    let mut candidates = Vec::new();
    for found in search(hole, job, &checked.program, &checked.library) {
        if (planner.stop)() {
            return None;
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
    Some(Ranked { hole: hole.span, fills: fills.collect() })
}
