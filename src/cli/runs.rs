//! `mkbc runs`, `mkbc show`, `mkbc logs`

use super::resume::find;
use super::run::journal;
use super::{Failure, print};
use crate::plan::model::{Plan, PlanStep};
use crate::run::devices::cpu;
use crate::run::fault::printable;
use crate::run::journal::record::{Record, Source};
use crate::run::journal::replay::{End, Replay};
use crate::run::journal::{Journal, Run, lock::Lock};
use crate::run::meter::Meter;
use crate::run::servers::{ServerEvent, ServerState};
use clap::Args;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

#[derive(Args)]
pub struct RunsOptions {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct OneRun {
    /// The run's number
    pub run: u64,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What state a run is in, in a word.
fn state(journal: &Journal, run: &Run, replay: &Replay) -> &'static str {
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

/// Lists the runs of the project.
pub fn runs(options: &RunsOptions) -> Result<(), Failure> {
    let journal = journal()?;
    let mut rows = Vec::new();
    for run in journal.runs()? {
        // One damaged run does not hide the others.
        let replay = journal.records(run.id).map(|records| Replay::of(&records));
        let (state, took, cost) = match &replay {
            Ok(replay) => (state(&journal, &run, replay), Some(replay.took_s), replay.cost_usd),
            Err(_) => ("damaged", None, None),
        };
        rows.push((run, state, took, cost));
    }
    if options.json {
        let row = |(run, state, took, cost): &(Run, &str, Option<f64>, Option<f64>)| {
            json!({
                "id": run.id, "job": run.info.job, "key": run.info.key, "state": state, "started": run.info.at,
                "took_s": took, "cost_usd": cost, "folder": journal.folder(run),
            })
        };
        let all: Vec<Value> = rows.iter().map(row).collect();
        print(&format!("{:#}\n", Value::from(all)));
        return Ok(());
    }
    let mut table = table(&["run", "job", "state", "started", "took s", "usd", "key"]);
    for (run, state, took, cost) in &rows {
        let key = run.info.key.as_deref().unwrap_or("-");
        table.add_row([
            run.id.to_string(),
            printable(&run.info.job),
            (*state).to_owned(),
            printable(&run.info.at),
            figure(*took, 2),
            figure(*cost, 6),
            printable(key),
        ]);
    }
    print(&format!("{}\n", table.trim_fmt()));
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(header);
    table
}

fn figure(n: Option<f64>, digits: usize) -> String {
    n.map_or_else(|| "-".to_owned(), |n| format!("{n:.digits$}"))
}

struct StepState {
    state: &'static str,
    calls: u64,
    open: u64,
    attempts: u64,
    recovered: u64,
    error: Option<String>,
}

fn step_state(step: &PlanStep, records: &[Record], replay: &Replay, finished: bool) -> StepState {
    let done = replay.done.values().filter(|d| d.call.step == step.id);
    let calls = done.clone().count() as u64;
    let recovered = done.filter(|d| d.source == Source::Recovered).count() as u64;
    let open = replay.begun.iter().filter(|(path, b)| b.call.step == step.id && !replay.done.contains_key(*path));
    let open = open.count() as u64;
    let (mut attempts, mut error) = (0, None);
    for record in records {
        match record {
            Record::Intent { call, .. } if call.step == step.id => attempts += 1,
            Record::Failed { call, message, .. } if call.step == step.id => error = Some(message.clone()),
            Record::Retried { step: of, message, .. } if *of == step.id => {
                attempts += 1;
                error = Some(message.clone());
            }
            Record::Result { call, .. } if call.step == step.id => error = None,
            _ => {}
        }
    }
    let state = match (calls, open) {
        (0, 0) if finished => "not needed",
        (0, 0) => "waiting",
        (_, 0) => "done",
        _ if error.is_some() => "failed",
        _ => "unfinished",
    };
    StepState { state, calls, open, attempts, recovered, error }
}

/// Shows a run, step by step.
pub fn show(options: &OneRun) -> Result<(), Failure> {
    let journal = journal()?;
    let run = find(&journal, options.run)?;
    let records = journal.records(run.id)?;
    let plan: Plan = journal.plan(&run.info)?;
    let replay = Replay::of(&records);
    let meter = Meter::new(&plan, cpu::cores(), Path::new(cpu::POWERCAP));
    for done in replay.done.values() {
        if let Some(step) = plan.steps.iter().find(|s| s.id == done.call.step) {
            meter.earlier(step, Duration::try_from_secs_f64(done.wall_s).unwrap_or_default(), done.usage);
        }
    }
    let measures: BTreeMap<_, _> = meter.measures().into_iter().map(|m| (m.step, m)).collect();
    let state = state(&journal, &run, &replay);
    let finished = matches!(replay.end, End::Answered(_));
    let error = match &replay.end {
        End::Paused { message, .. } => Some(message.as_str()),
        _ => None,
    };
    let steps = plan.steps.iter().map(|s| (s, step_state(s, &records, &replay, finished), measures.get(&s.id)));
    if options.json {
        let row = |(step, s, m): (&PlanStep, StepState, Option<&crate::run::meter::StepMeasure>)| {
            json!({
                "step": step.name, "implementation": step.implementation, "state": s.state, "calls": s.calls,
                "unfinished": s.open, "attempts": s.attempts, "recovered": s.recovered,
                "busy_s": m.map(|m| m.busy_s), "cost_usd": m.and_then(|m| m.cost_usd), "error": s.error,
            })
        };
        let steps: Vec<Value> = steps.map(row).collect();
        let shown = json!({
            "id": run.id, "job": run.info.job, "key": run.info.key, "state": state, "started": run.info.at,
            "took_s": replay.took_s, "cost_usd": replay.cost_usd, "runtimes": replay.runtimes, "error": error,
            "folder": journal.folder(&run), "steps": steps,
        });
        print(&format!("{shown:#}\n"));
        return Ok(());
    }
    let mut table = table(&["step", "by", "state", "calls", "attempts", "time s", "usd", "error"]);
    for (step, s, m) in steps {
        let calls = if s.open == 0 { s.calls.to_string() } else { format!("{} of {}", s.calls, s.calls + s.open) };
        table.add_row([
            printable(&step.name),
            printable(&step.implementation),
            s.state.to_owned(),
            calls,
            s.attempts.to_string(),
            figure(m.map(|m| m.busy_s), 3),
            figure(m.and_then(|m| m.cost_usd), 6),
            s.error.as_deref().map(one_line).unwrap_or_default(),
        ]);
    }
    let mut text = format!(
        "run {} of `{}`: {state}; begun {}; {:.2} s in {} runtime{}\n",
        run.id,
        printable(&run.info.job),
        printable(&run.info.at),
        replay.took_s,
        replay.runtimes,
        if replay.runtimes == 1 { "" } else { "s" }
    );
    if let Some(error) = error {
        text.push_str(&format!("{}\n", one_line(error)));
    }
    print(&format!("{text}{}\n", table.trim_fmt()));
    Ok(())
}

fn one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints a run's records in order.
pub fn logs(options: &OneRun) -> Result<(), Failure> {
    let journal = journal()?;
    let run = find(&journal, options.run)?;
    if options.json {
        return super::journal::export(&journal, &run);
    }
    let plan = journal.plan(&run.info)?;
    let name = |id| plan.steps.iter().find(|s| s.id == id).map_or("a step", |s| s.name.as_str());
    let mut text = String::new();
    for record in journal.records(run.id)? {
        let call = record.call().map(|c| format!("{} {:04} ({})", name(c.step), c.number, c.path)).unwrap_or_default();
        let said = match &record {
            Record::Opened { fence, pid, at, compiler } => {
                format!("runtime {fence} (process {pid}, {compiler}) took over at {at}")
            }
            Record::Intent { attempt, .. } => format!("{call}: attempt {attempt}"),
            Record::Result { wall_s, source, .. } => {
                let whence = match source {
                    Source::Made => "",
                    Source::Cached => ", from the cache",
                    Source::Recovered => ", recovered from its folder",
                };
                format!("{call}: done, {wall_s:.3} s{whence}")
            }
            Record::Failed { message, .. } => format!("{call}: failed: {message}"),
            Record::Retried { step, attempt, message, .. } => {
                format!("{}: attempt {attempt} failed, again: {message}", name(*step))
            }
            Record::Server { event, .. } => server(event),
            Record::Paused { stopped: true, message, .. } => format!("stopped: {message}"),
            Record::Paused { message, .. } => format!("failed: {message}"),
            Record::Answer { .. } => "answered".to_owned(),
        };
        text.push_str(&format!("{:>10.3}  {}\n", record.t(), one_line(&said)));
    }
    print(&text);
    Ok(())
}

/// What happened to a server, in one line.
fn server(event: &ServerEvent) -> String {
    let ServerEvent { server, state, devices, memory_gb, as_planned, said } = event;
    let what = match state {
        ServerState::Starting => "starting",
        ServerState::Ready => "ready",
        ServerState::Crashed => "died, and is started again",
        ServerState::Asleep => "asleep",
        ServerState::Stopped => "stopped",
    };
    let elsewhere = if *as_planned { "" } else { ", not where the plan says" };
    let said = said.as_deref().map(|said| format!(": {said}")).unwrap_or_default();
    format!("server {server}: {what} on {} with {memory_gb:.2} GB{elsewhere}{said}", devices.join(", "))
}
