//! A run of the journal -> what there is to show of it: its state, and what each step took so far.

use super::lock::Lock;
use super::record::{Record, Source};
use super::replay::{Done, End, Replay};
use super::{Journal, Run};
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use crate::plan::verify::quality;
use crate::run::budget::Unsettled;
use crate::run::devices::cpu;
use crate::run::fault::Fault;
use crate::run::meter::{Meter, StepMeasure};
use crate::run::report::clauses::{Kept, Taken, clauses};
use crate::run::scheduler::flow::ended;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunView {
    /// Its number.
    pub id: u64,
    /// The job.
    pub job: String,
    /// The user's key.
    pub key: Option<String>,
    /// `running`, `done`, `stopped`, `failed` or `interrupted`.
    pub state: &'static str,
    /// When it was begun, for people.
    pub started: String,
    /// Seconds of all runtimes that worked on it.
    pub took_s: f64,
    /// Money, dollars, as far as it is known.
    pub cost_usd: Option<f64>,
    /// Requests that the money does not count, since nobody knows their end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Unsettled>,
    /// Runtimes that worked on it.
    pub runtimes: u64,
    /// Why it failed or stopped.
    pub error: Option<String>,
    /// What was said of changes of the plan.
    pub adapted: Vec<String>,
    /// The job's limits, and what was measured of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<Kept>,
    /// Where its outputs are.
    pub folder: PathBuf,
    /// Step by step, in the order of the plan.
    pub steps: Vec<StepView>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepView {
    /// Its name.
    pub step: String,
    /// What the plan has for it.
    pub implementation: String,
    /// What was to carry it out since the rest of the run was planned again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_again: Option<String>,
    /// `waiting`, `done`, `failed`, `unfinished` or `not needed`.
    pub state: &'static str,
    /// Calls that are done.
    pub calls: u64,
    /// Calls that were begun and are not done.
    pub unfinished: u64,
    /// Attempts of all calls.
    pub attempts: u64,
    /// Calls whose results the journal had lost, and their folders had not.
    pub recovered: u64,
    /// Calls whose results were those of other runs.
    pub cached: u64,
    /// Calls that fallbacks carried out, since the choice had failed for good, by implementation.
    pub stood_in: BTreeMap<String, u64>,
    /// Time of all calls added up, seconds.
    pub busy_s: Option<f64>,
    /// Money, dollars.
    pub cost_usd: Option<f64>,
    /// Tokens read by a provider.
    pub tokens_in: u64,
    /// Tokens written by a provider.
    pub tokens_out: u64,
    /// What went wrong last, where it was not mended.
    pub error: Option<String>,
}

impl StepView {
    /// What carried it out, in a few words.
    pub fn by(&self) -> String {
        by(&self.implementation, self.planned_again.as_deref(), &self.stood_in)
    }
}

/// What carries a step out: the plan's choice or, where the rest was planned again, another for it; then those that stood in.
pub fn by(planned: &str, again: Option<&str>, stood_in: &BTreeMap<String, u64>) -> String {
    let choice = again.map_or_else(|| planned.to_owned(), |again| format!("{again} for {planned}"));
    let others: Vec<&str> = stood_in.keys().map(String::as_str).collect();
    if others.is_empty() { choice } else { format!("{choice}, then {}", others.join(", ")) }
}

/// What state a run is in, in a word.
pub fn state(journal: &Journal, run: &Run, replay: &Replay) -> &'static str {
    if Lock::held(&journal.folder(run)).is_some() {
        return "running";
    }
    match &replay.end {
        End::Answered(_) => "done",
        End::Paused { stopped: true, .. } => "stopped",
        End::Paused { stopped: false, .. } => "failed",
        End::Open => "interrupted",
    }
}

impl Journal {
    /// What there is to show of a run.
    pub fn view(&self, run: &Run) -> Result<RunView, Fault> {
        let records = self.records(run.id)?;
        let replay = self.replay(run, &records);
        let plan = self.plan(&run.info)?.with_limits(&replay.limits);
        let changes = replay.changes(self.blobs())?;
        let state = state(self, run, &replay);
        let finished = matches!(replay.end, End::Answered(_));
        let error = match &replay.end {
            End::Paused { message, .. } => Some(message.clone()),
            _ => None,
        };
        let meter = metered(&plan, &changes, &replay);
        let measures = by_step(&meter);
        let quality = meter.as_carried_out().and_then(|plan| quality(&plan));
        // The steps that nobody needed took nothing.
        let energy_wh = measures.values().map(|m| m.energy_wh).sum();
        let live = state == "running";
        let (cost_usd, unsettled) = (cost(&replay, &measures), replay.unsettled(live));
        let took_s = took(&replay, live);
        let taken = Taken { latency_s: took_s, cost_usd, unsettled, quality, energy_wh, whole: finished };
        Ok(RunView {
            id: run.id,
            job: run.info.job.clone(),
            key: run.info.key.clone(),
            state,
            started: run.info.at.clone(),
            took_s,
            cost_usd,
            unsettled,
            runtimes: replay.runtimes,
            error,
            adapted: replay.adapted.iter().map(|(_, said)| said.clone()).collect(),
            clauses: clauses(&plan, &taken),
            folder: self.folder(run),
            steps: steps(&plan, &changes, &records, &replay, &measures),
        })
    }
}

/// Seconds of all runtimes that worked on a run; of one that is worked on now (`live`), up to now.
pub fn took(replay: &Replay, live: bool) -> f64 {
    let opened = replay.last_opened.as_ref().filter(|_| live);
    let since = opened.and_then(|(before, at)| {
        let at: jiff::Timestamp = at.parse().ok()?;
        Some(before + jiff::Timestamp::now().duration_since(at).as_secs_f64())
    });
    since.unwrap_or(0.0).max(replay.took_s)
}

/// Money of a run, dollars; of one without an answer as far as it is known, what its finished calls took of hardware included.
fn cost(replay: &Replay, measures: &BTreeMap<StepId, StepMeasure>) -> Option<f64> {
    if let End::Answered(_) = replay.end {
        return replay.cost();
    }
    let known = measures.values().filter_map(|m| m.cost_usd).reduce(|a, b| a + b);
    replay.cost().into_iter().chain(known).reduce(f64::max)
}

/// What each step took so far, by the calls that are done; `changes` are steps that were planned again. From when to when it ran is not
/// known here.
pub fn measures(plan: &Plan, changes: &[PlanStep], replay: &Replay) -> BTreeMap<StepId, StepMeasure> {
    by_step(&metered(plan, changes, replay))
}

fn by_step(meter: &Meter<'_>) -> BTreeMap<StepId, StepMeasure> {
    meter.measures().into_iter().map(|m| (m.step, m)).collect()
}

/// A meter that has seen the calls that are done.
fn metered<'a>(plan: &'a Plan, changes: &[PlanStep], replay: &Replay) -> Meter<'a> {
    let meter = Meter::new(plan, cpu::cores(), Path::new(cpu::POWERCAP));
    meter.changed(changes);
    let carried = plan.clone().with_steps(changes);
    for (path, done) in &replay.done {
        let Some(step) = carried.steps.iter().find(|s| s.id == done.call.step) else { continue };
        if done.source == Source::Cached {
            meter.cached(step);
            continue;
        }
        let by = replay.stand_ins.get(path).and_then(|by| step.fallbacks.iter().find(|f| f.implementation == *by));
        let by = by.map(|by| step.standing_in(by));
        let wall = Duration::try_from_secs_f64(done.wall_s).unwrap_or_default();
        meter.earlier(by.as_ref().unwrap_or(step), wall, done.usage);
    }
    meter
}

/// How far each step is, in the order of the plan; `changes` are steps that were planned again.
pub fn steps(
    plan: &Plan,
    changes: &[PlanStep],
    records: &[Record],
    replay: &Replay,
    measures: &BTreeMap<StepId, StepMeasure>,
) -> Vec<StepView> {
    let finished = matches!(replay.end, End::Answered(_));
    let begun: BTreeSet<StepId> = plan.steps.iter().map(|s| s.id).filter(|id| replay.has_begun(*id)).collect();
    let ended = ended(&plan.body, &begun);
    let of = |step: &PlanStep| {
        let whole = finished || ended.contains(&step.id);
        let shown = StepRecords::of(step, records, replay, (finished, whole));
        let m = measures.get(&step.id);
        let again = changes.iter().rfind(|changed| changed.id == step.id).map(|changed| &changed.implementation);
        StepView {
            step: step.name.clone(),
            implementation: step.implementation.clone(),
            planned_again: again.filter(|by| **by != step.implementation).cloned(),
            state: shown.state,
            calls: shown.calls,
            unfinished: shown.open,
            attempts: shown.attempts,
            recovered: shown.recovered,
            cached: m.map_or(0, |m| m.cached),
            stood_in: m.map(|m| m.stood_in.clone()).unwrap_or_default(),
            busy_s: m.map(|m| m.busy_s),
            cost_usd: m.and_then(|m| m.cost_usd),
            tokens_in: m.map_or(0, |m| m.tokens_in),
            tokens_out: m.map_or(0, |m| m.tokens_out),
            error: shown.error,
        }
    };
    plan.steps.iter().map(of).collect()
}

struct StepRecords {
    state: &'static str,
    calls: u64,
    open: u64,
    attempts: u64,
    recovered: u64,
    error: Option<String>,
}

impl StepRecords {
    /// Of a run that is `finished`, nothing more is begun; of a step that is `whole`, no further call.
    fn of(step: &PlanStep, records: &[Record], replay: &Replay, (finished, whole): (bool, bool)) -> StepRecords {
        let done = replay.done.values().filter(|d| d.call.step == step.id);
        let calls = done.clone().count() as u64;
        let recovered = done.filter(|d| d.source == Source::Recovered).count() as u64;
        let open = replay.begun.iter().filter(|(path, b)| b.call.step == step.id && !replay.done.contains_key(*path));
        let open = open.count() as u64;
        // Of a brief call there is nothing but its result.
        let brief = |(path, d): &(&String, &Done)| {
            d.call.step == step.id && d.source == Source::Made && !replay.begun.contains_key(*path)
        };
        let mut attempts = replay.done.iter().filter(brief).count() as u64;
        // By call: that others are done mends none of these. Of an attempt that failed nobody says which call's it was.
        let (mut failed, mut retried) = (BTreeMap::new(), None);
        for record in records {
            match record {
                Record::Intent { call, .. } if call.step == step.id => {
                    attempts += 1;
                    failed.remove(&call.path);
                }
                Record::Failed { call, message, .. } if call.step == step.id => {
                    failed.insert(&call.path, message);
                }
                Record::Retried { step: of, message, .. } if *of == step.id => {
                    attempts += 1;
                    retried = Some(message);
                }
                Record::Result { call, .. } if call.step == step.id => {
                    failed.remove(&call.path);
                    retried = None;
                }
                _ => {}
            }
        }
        let error = failed.into_values().last().or(retried).cloned();
        let state = match (calls, open) {
            (0, 0) if finished => "not needed",
            (0, 0) => "waiting",
            (_, 0) if whole => "done",
            _ if error.is_some() => "failed",
            _ => "unfinished",
        };
        StepRecords { state, calls, open, attempts, recovered, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_worked_on_takes_time_by_the_clock() {
        let opened = Record::Opened { fence: 1, pid: 1, at: "2026-01-01T00:00:00Z".into(), compiler: "c".into() };
        let replay = Replay::of(&[opened]);
        assert_eq!(took(&replay, false), 0.0);
        assert!(took(&replay, true) > 3600.0, "since the first of January of 2026");
    }
}
