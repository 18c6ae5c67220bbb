//! Plan + records of a run → all that there is to show of it, on one clock.

use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use crate::run::journal::record::{CallId, Record, Source, Stored};
use crate::run::journal::replay::{End, Replay};
use crate::run::journal::view::{StepView, measures, steps};
use crate::run::meter::{Basis, StepMeasure, Usage};
use crate::run::report;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A run, as pages show it.
pub struct Story {
    /// Its plan, with what was planned again; none where it cannot be read any more.
    pub plan: Option<Plan>,
    /// Its inputs.
    pub inputs: BTreeMap<String, Value>,
    /// What its runtimes recorded.
    pub records: Vec<Record>,
    /// What the records come to.
    pub replay: Replay,
    /// How far each step is, in the order of the plan.
    pub steps: Vec<StepView>,
    /// What each step took.
    pub measures: BTreeMap<StepId, StepMeasure>,
    /// Every call that was begun, in that order.
    pub calls: Vec<CallFacts>,
    /// When its first runtime began, milliseconds since 1970; times of calls count from there.
    pub begun_ms: Option<i64>,
    /// Its folder.
    pub folder: Option<PathBuf>,
    /// Whether somebody works on it now.
    pub under_way: bool,
    /// Whether nothing more comes of it, as things stand.
    pub ended: bool,
    /// Seconds of its runtimes so far.
    pub took_s: f64,
    /// Seconds that it waited in a queue before it was first begun.
    pub waited_s: f64,
}

/// A call of a run. Times are seconds since the run's first runtime began.
#[derive(Clone, Debug)]
pub struct CallFacts {
    /// Which.
    pub call: CallId,
    /// Digest of its arguments.
    pub input: String,
    /// Its place in the journal.
    pub place: usize,
    /// Attempts over all runtimes.
    pub attempts: u32,
    /// When it was begun.
    pub from_s: f64,
    /// When it ended.
    pub to_s: Option<f64>,
    /// What it gave, what that used, how long it took and whence it is.
    pub done: Option<(Stored, Usage, f64, Source)>,
    /// What went wrong, in order; of an attempt that was followed by another, the journal knows the step alone.
    pub troubles: Vec<String>,
    /// Whether it failed for good.
    pub failed: bool,
    /// What stood in for the plan's choice.
    pub by: Option<String>,
}

/// An attempt that failed and was followed by another.
#[derive(Clone, Copy, Debug)]
pub struct Retry<'a> {
    /// The step.
    pub step: StepId,
    /// Which attempt of a call it was.
    pub attempt: u32,
    /// Why it failed.
    pub message: &'a str,
    /// When, seconds since the run's first runtime began.
    pub at_s: f64,
    /// How long the next one was to wait, seconds.
    pub wait_s: f64,
}

impl Story {
    /// Of a run that has ended; `changes` are steps that were planned again.
    pub fn of(
        plan: Option<Plan>,
        changes: &[PlanStep],
        inputs: BTreeMap<String, Value>,
        records: Vec<Record>,
        folder: Option<PathBuf>,
    ) -> Story {
        let (replay, begun_ms) = (Replay::of(&records), begun(&records));
        let mut story = Story {
            plan,
            inputs,
            steps: Vec::new(),
            measures: BTreeMap::new(),
            calls: calls(&records, begun_ms),
            begun_ms,
            folder,
            under_way: false,
            ended: true,
            took_s: replay.took_s,
            waited_s: 0.0,
            replay,
            records,
        };
        if let Some(plan) = &story.plan {
            story.measures = measures(plan, changes, &story.replay);
            story.steps = steps(plan, changes, &story.records, &story.replay, &story.measures);
            story.timed();
        }
        story.plan = story.plan.map(|plan| plan.with_steps(changes));
        story
    }

    /// Notes when steps ran.
    fn timed(&mut self) {
        for (id, measure) in &mut self.measures {
            let ran = self.calls.iter().filter(|c| c.call.step == *id);
            let from = ran.clone().map(|c| c.from_s).fold(f64::INFINITY, f64::min);
            let to = ran.filter_map(|c| c.to_s).fold(0.0, f64::max);
            (measure.from_s, measure.to_s, measure.wall_s) = (from, to, (to - from).max(0.0));
        }
    }

    /// Notes what only the report that the run left in its folder knows: counters of energy, and what calls waited for devices.
    pub fn reported(&mut self) {
        // The run's programs can write there: what is no file is not opened.
        let path = self.folder.as_ref().map(|folder| folder.join("report.json"));
        let path = path.filter(|path| path.symlink_metadata().is_ok_and(|about| about.is_file()));
        let report = path.and_then(|path| std::fs::read(path).ok());
        let report: Value = report.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        for (id, measure) in &mut self.measures {
            let said = report["steps"].as_array().into_iter().flatten().find(|s| s["step"] == id.0);
            measure.queue_s = said.and_then(|s| s["queue_s"].as_f64()).unwrap_or(0.0);
            if let Some(wh) = said.filter(|s| s["energy_basis"] == "measured").and_then(|s| s["energy_wh"].as_f64()) {
                (measure.energy_wh, measure.energy_basis) = (Some(wh), Some(Basis::Measured));
            }
        }
    }

    /// Attempts that failed and were followed by another: the step, which attempt, why, and when on the clock of calls.
    pub fn retries(&self) -> Vec<Retry<'_>> {
        let mut runtime_s = 0.0;
        let mut found = Vec::new();
        for record in &self.records {
            if let Some((opened, begun)) = opened(record).zip(self.begun_ms) {
                runtime_s = (opened - begun) as f64 / 1e3;
            }
            if let Record::Retried { step, attempt, message, wait_s, t } = record {
                found.push(Retry { step: *step, attempt: *attempt, message, at_s: runtime_s + t, wait_s: *wait_s });
            }
        }
        found
    }

    /// A step's state, in the word that pages use.
    pub fn state_of(&self, view: &StepView) -> &'static str {
        match view.state {
            "unfinished" | "failed" if self.under_way => "running",
            "unfinished" => "stopped",
            "waiting" if self.ended => "not begun",
            other => other,
        }
    }

    /// A call's state, in the same words.
    pub fn state_of_call(&self, call: &CallFacts) -> &'static str {
        match (&call.done, call.failed, self.under_way) {
            (Some(_), ..) => "done",
            (None, true, _) => "failed",
            (None, false, true) => "running",
            (None, false, false) => "stopped",
        }
    }

    /// A step of the plan with its view.
    pub fn step(&self, id: StepId) -> Option<(&PlanStep, &StepView)> {
        let at = self.plan.as_ref()?.steps.iter().position(|s| s.id == id)?;
        Some((&self.plan.as_ref()?.steps[at], self.steps.get(at)?))
    }

    /// What a step took of the time that was predicted of it, seconds, and by what share that is off.
    pub fn measured(&self, step: &PlanStep) -> Option<(f64, Option<f64>)> {
        let measure = self.measures.get(&step.id).filter(|m| m.calls > 0)?;
        let ended = matches!(self.replay.end, End::Answered(_));
        Some((report::measured_s(measure, step), report::error(measure, step).filter(|_| ended)))
    }

    /// The name of a step.
    pub fn name(&self, id: StepId) -> &str {
        self.step(id).map_or("a step", |(step, _)| step.name.as_str())
    }

    /// A value for people: files of the run by their names in its folder, others by their last name. No path of the server is in it.
    pub fn shown(&self, value: &Value) -> Value {
        let name = |file: &str| {
            let path = std::path::Path::new(file);
            let own = self.folder.as_ref().and_then(|folder| path.strip_prefix(folder).ok());
            own.or(path.file_name().map(std::path::Path::new)).map_or(String::new(), |p| p.display().to_string())
        };
        crate::run::value::with_files(value, &name)
    }
}

/// When the first runtime began.
fn begun(records: &[Record]) -> Option<i64> {
    records.iter().find_map(opened)
}

fn opened(record: &Record) -> Option<i64> {
    match record {
        Record::Opened { at, .. } => at.parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond()),
        _ => None,
    }
}

/// The calls of records, all on one clock.
fn calls(records: &[Record], begun_ms: Option<i64>) -> Vec<CallFacts> {
    let mut calls: Vec<CallFacts> = Vec::new();
    let mut at: BTreeMap<&str, usize> = BTreeMap::new();
    let mut runtime_s = 0.0;
    for (place, record) in records.iter().enumerate() {
        if let Some(opened) = opened(record) {
            runtime_s = (opened - begun_ms.unwrap_or(opened)) as f64 / 1e3;
        }
        let t = runtime_s + record.t();
        let Some(id) = record.call() else { continue };
        let index = *at.entry(&id.path).or_insert_with(|| {
            calls.push(CallFacts {
                call: id.clone(),
                input: String::new(),
                place,
                attempts: 0,
                from_s: t,
                to_s: None,
                done: None,
                troubles: Vec::new(),
                failed: false,
                by: None,
            });
            calls.len() - 1
        });
        let call = &mut calls[index];
        match record {
            Record::Intent { attempt, input, .. } => {
                call.attempts = call.attempts.max(*attempt);
                input.clone_into(&mut call.input);
                (call.to_s, call.failed) = (None, false);
            }
            Record::Result { value, usage, wall_s, source, input, .. } if call.done.is_none() => {
                input.clone_into(&mut call.input);
                // A result from the cache was never begun; one that was made is drawn as long as it took.
                call.from_s = if *source == Source::Made { (t - wall_s).max(0.0) } else { t };
                // Attempts within a runtime are in what the call used; those of earlier runtimes were begun by themselves.
                call.attempts = call.attempts.saturating_sub(1) + usage.attempts.max(1);
                call.done = Some((value.clone(), *usage, *wall_s, *source));
                (call.to_s, call.failed) = (Some(t), false);
            }
            Record::Failed { message, .. } => {
                call.troubles.push(message.clone());
                (call.to_s, call.failed) = (Some(t), true);
            }
            Record::Left { to, message, .. } => {
                call.troubles.push(format!("{to} stands in: {message}"));
                (call.by, call.failed) = (Some(to.clone()), false);
            }
            _ => {}
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_share_a_clock_and_their_attempts_add_up() {
        let opened = |at: &str| Record::Opened { fence: 1, pid: 1, at: at.into(), compiler: "c".into() };
        let call = CallId { path: "v1".into(), step: StepId(0), number: 0 };
        let intent =
            |attempt, t| Record::Intent { call: call.clone(), attempt, idempotency: "k".into(), input: "i".into(), t };
        let records = [
            opened("2026-01-01T00:00:00Z"),
            intent(1, 0.5),
            Record::Retried { step: StepId(0), attempt: 1, message: "no".into(), wait_s: 0.1, t: 0.7 },
            Record::Failed { call: call.clone(), message: "gone".into(), unsent: false, t: 1.0 },
            opened("2026-01-01T00:01:00Z"),
            intent(2, 1.0),
        ];
        let found = calls(&records, begun(&records));
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((one.attempts, one.from_s, one.to_s, one.failed), (2, 0.5, None, false));
        assert_eq!(one.troubles, ["gone"]);
        let usage = Usage { attempts: 3, ..Usage::default() };
        let (value, source) = (Stored::Inline(Value::Null), Source::Made);
        let result =
            Record::Result { call: call.clone(), input: "i".into(), value, usage, wall_s: 0.5, source, t: 2.0 };
        let done = [&records[..], &[result]].concat();
        let done = &calls(&done, begun(&done))[0];
        assert_eq!((done.attempts, done.from_s, done.to_s), (4, 61.5, Some(62.0)));
        let more = [&records[..], &[Record::Failed { call, message: "again".into(), unsent: false, t: 3.0 }]].concat();
        assert_eq!(calls(&more, begun(&more))[0].to_s, Some(63.0));
    }
}
