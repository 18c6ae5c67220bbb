//! A run of the journal -> what there is to show of it: its state, and what each step took so far.

use super::alive;
use super::lock::Lock;
use super::record::{Record, Source};
use super::replay::{Done, End, Replay};
use super::{Journal, Run};
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use crate::run::devices::cpu;
use crate::run::fault::Fault;
use crate::run::meter::{Meter, StepMeasure};
use crate::run::report::clauses::{Kept, Taken, clauses};
use serde::Serialize;
use std::collections::BTreeMap;
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
    /// Money, dollars, where it is known.
    pub cost_usd: Option<f64>,
    /// What requests of which nobody knows the end may have cost besides, at most, dollars; of a run that goes on, those under way.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown_usd: f64,
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

fn is_zero(n: &f64) -> bool {
    *n == 0.0
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepView {
    /// Its name.
    pub step: String,
    /// What the plan has for it.
    pub implementation: String,
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
    /// Calls that others than the plan's choice carried out, by implementation.
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
        let plan = self.plan(&run.info)?;
        let replay = Replay::of(&records).worked(alive::seconds(&self.folder(run), run.fence));
        let state = state(self, run, &replay);
        let finished = matches!(replay.end, End::Answered(_));
        let error = match &replay.end {
            End::Paused { message, .. } => Some(message.clone()),
            _ => None,
        };
        let measures = measures(&plan, &replay);
        // The steps that nobody needed took nothing.
        let energy_wh = measures.values().map(|m| m.energy_wh).sum();
        let taken = Taken {
            latency_s: replay.took_s,
            cost_usd: replay.cost(),
            unknown_usd: replay.unknown_usd(),
            quality: None,
            energy_wh,
            whole: finished,
        };
        Ok(RunView {
            id: run.id,
            job: run.info.job.clone(),
            key: run.info.key.clone(),
            state,
            started: run.info.at.clone(),
            took_s: replay.took_s,
            cost_usd: replay.cost(),
            unknown_usd: replay.unknown_usd(),
            runtimes: replay.runtimes,
            error,
            adapted: replay.adapted.iter().map(|(_, said)| said.clone()).collect(),
            clauses: clauses(&plan, &taken),
            folder: self.folder(run),
            steps: steps(&plan, &records, &replay, &measures, finished),
        })
    }
}

/// What each step took so far, by the calls that are done. From when to when it ran is not known here.
pub fn measures(plan: &Plan, replay: &Replay) -> BTreeMap<StepId, StepMeasure> {
    let meter = Meter::new(plan, cpu::cores(), Path::new(cpu::POWERCAP));
    for (path, done) in &replay.done {
        let Some(step) = plan.steps.iter().find(|s| s.id == done.call.step) else { continue };
        if done.source == Source::Cached {
            meter.cached(step);
            continue;
        }
        let by = replay.stand_ins.get(path).and_then(|by| step.fallbacks.iter().find(|f| f.implementation == *by));
        let by = by.map(|by| step.standing_in(by));
        let wall = Duration::try_from_secs_f64(done.wall_s).unwrap_or_default();
        meter.earlier(by.as_ref().unwrap_or(step), wall, done.usage);
    }
    meter.measures().into_iter().map(|m| (m.step, m)).collect()
}

/// How far each step is, in the order of the plan; of a run that is `finished`, nothing more is begun.
pub fn steps(
    plan: &Plan,
    records: &[Record],
    replay: &Replay,
    measures: &BTreeMap<StepId, StepMeasure>,
    finished: bool,
) -> Vec<StepView> {
    let of = |step: &PlanStep| {
        let shown = StepRecords::of(step, records, replay, finished);
        let m = measures.get(&step.id);
        StepView {
            step: step.name.clone(),
            implementation: step.implementation.clone(),
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
    fn of(step: &PlanStep, records: &[Record], replay: &Replay, finished: bool) -> StepRecords {
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
            (_, 0) => "done",
            _ if error.is_some() => "failed",
            _ => "unfinished",
        };
        StepRecords { state, calls, open, attempts, recovered, error }
    }
}
