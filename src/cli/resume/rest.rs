//! A run that is resumed → whoever plans its rest again: with the job that it was planned from, as long as that is the same.

use super::super::args::{EvidenceOptions, Format, Planning, Source};
use super::super::expand::{Filled, Open, filled};
use super::super::load::load;
use super::super::plan::{change, of_plan};
use super::super::{Failure, note};
use crate::adapt::{Adapt, Mode};
use crate::ask::names::choice;
use crate::compile::{Changes, Compiled, Decision, Target, decide, library_digest, prepare};
use crate::digest::digest;
use crate::library::Library;
use crate::library::evidence::Demand;
use crate::plan::model::Plan;
use crate::run::journal::MadeOf;
use crate::run::steer::Steer;
use crate::solve::outcome::Solution;
use crate::solve::{Certify, Limits};
use std::sync::Arc;

/// Nodes that the search for the plan that there was may visit.
const NODES: u64 = 500_000;

/// Goes on with whoever plans the rest again; without, where that cannot be, which is said.
pub fn with_rest(
    made_of: &MadeOf,
    plan: &Plan,
    mode: Mode,
    go: impl FnOnce(Option<&dyn Steer>, Option<&Library>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut filled = match unchanged(made_of, plan) {
        Ok(filled) => filled,
        Err(why) => return without(&why, go),
    };
    let (machines, measured, usable, end) = of_plan(plan);
    let limits = Limits { nodes: NODES, certify: Certify::Off, ..Limits::default() };
    let target =
        Target { job: Some(&plan.job), machines: &machines, measured: &measured, usable: &usable, limits, end };
    let compiled =
        Compiled { texts: &filled.texts, file: filled.file, checked: &filled.checked, lock: filled.lock.as_deref() };
    let prepared = match prepare(compiled, &target, &mut filled.cx) {
        Ok(prepared) => prepared,
        Err(_) => return without("the job cannot be planned any more", go),
    };
    let Ok(decision) = decide(&prepared, &Changes::default(), &limits) else {
        return without("the job has no plan here any more", go);
    };
    // What is there now may be as good as what was chosen then: the run's own plan is the one that is changed.
    let choice = match choice(&prepared, plan) {
        Ok(choice) => choice,
        Err(why) => return without(&why, go),
    };
    let solution = Solution { choice, ..decision.solution };
    let decision = Decision { plan: plan.clone(), solution, ..decision };
    go(Some(&Adapt::new(&prepared, &decision, mode)), Some(prepared.library))
}

fn without(
    why: &str,
    go: impl FnOnce(Option<&dyn Steer>, Option<&Library>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    note(&format!("the rest is carried out as it was planned, whatever it comes to: {why}"));
    go(None, None)
}

/// The job that a run was planned from, checked; why not, where it is another one now.
fn unchanged(made_of: &MadeOf, plan: &Plan) -> Result<Filled, String> {
    let MadeOf { file, library, slo, least, beyond, mixed } = made_of;
    let shown = file.display();
    let source = Source { file: file.clone(), library: library.clone(), format: Format::Text };
    let (texts, id) = load(&source).map_err(|_| format!("`{shown}` or its library cannot be read any more"))?;
    if digest([texts.sources.get(id).text.as_str()]) != plan.hashes.source {
        return Err(format!("`{shown}` has changed since"));
    }
    if library_digest(&texts) != plan.hashes.library {
        return Err("the library has changed since".to_string());
    }
    let mut filled = filled(&source, Open::Refused).map_err(|_| format!("the holes of `{shown}` are not filled"))?;
    if filled.lock.as_ref().map(|text| digest([text.as_str()])) != plan.hashes.lock {
        return Err(format!("the lock file of `{shown}` has changed since"));
    }
    Arc::make_mut(&mut filled.checked.library).demand = Demand { least: *least, beyond: *beyond, mixed: *mixed };
    let planning = Planning {
        source,
        job: Some(plan.job.clone()),
        cluster: None,
        locked: true,
        time_limit: 0.0,
        robust: false,
        evidence: EvidenceOptions::default(),
    };
    change(&planning, slo, &mut filled)
        .map_err(|_| "the lines that were given beside the job cannot be read".to_string())?;
    Ok(filled)
}
