//! A plan and inputs -> the answer and what it took; outputs of finished steps are on disk, whatever happens.
//!
//! Executes what the plan says and never chooses. Knows nothing of solvers.

pub mod cancel;
pub mod chat;
pub mod devices;
pub mod engines;
pub mod fault;
pub mod input;
pub mod meter;
pub mod observer;
pub mod ops;
pub mod pool;
pub mod preflight;
pub mod probe;
pub mod report;
pub mod scheduler;
pub mod store;
pub mod value;

use crate::plan::model::{PLAN_VERSION, Plan};
use crate::types::Type;
use cancel::Cancel;
use fault::{Fault, FaultKind, RunError, Site};
use meter::{Meter, StepMeasure};
use observer::{Event, Observer};
use probe::Env;
use scheduler::{Failure, Scheduler, Scope};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a run needs besides the plan.
pub struct RunContext<'a> {
    /// The run folder; made if it is not there, closed to other users.
    pub folder: PathBuf,
    /// Who watches.
    pub observer: &'a dyn Observer,
    /// Stops the run.
    pub cancel: Cancel,
    /// Reads the environment: keys and addresses come by name from here and nowhere else.
    pub env: Env<'a>,
    /// Seed of the jitter between attempts.
    pub seed: u64,
    /// The first wait between attempts; doubles with each.
    pub backoff: Duration,
    /// Items of one map that are under way at a time.
    pub fan_out: usize,
    /// Calls to providers at a time.
    pub api_calls: u32,
    /// Where Python modules and programs that a library brings along are looked for, in this order: the job's folder, the
    /// libraries'.
    pub folders: Vec<PathBuf>,
}

impl<'a> RunContext<'a> {
    /// The usual settings.
    pub fn new(folder: impl Into<PathBuf>, observer: &'a dyn Observer, env: Env<'a>) -> RunContext<'a> {
        let backoff = Duration::from_millis(500);
        RunContext {
            folder: folder.into(),
            observer,
            cancel: Cancel::new(),
            env,
            seed: 0,
            backoff,
            fan_out: 64,
            api_calls: 8,
            folders: vec![PathBuf::from(".")],
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The job's name.
    pub job: String,
    /// The answer, or why there is none.
    #[serde(serialize_with = "outcome")]
    pub result: Result<Value, RunError>,
    /// Wall time, seconds.
    pub wall_s: f64,
    /// What each step that began took.
    pub steps: Vec<StepMeasure>,
    /// Where the outputs are: `steps/<id>-<name>/<call>/output.json`, `result.json`, `report.json`.
    pub folder: PathBuf,
}

fn outcome<S: Serializer>(result: &Result<Value, RunError>, s: S) -> Result<S::Ok, S::Error> {
    match result {
        Ok(value) => BTreeMap::from([("ok", value)]).serialize(s),
        Err(error) => BTreeMap::from([("error", error)]).serialize(s),
    }
}

/// Runs a plan. Drop the future, or use the context's switch, to stop it: children are killed.
pub async fn run(plan: &Plan, inputs: BTreeMap<String, Value>, cx: &RunContext<'_>) -> RunReport {
    let cores = devices::cpu::cores();
    let meter = Meter::new(plan, cores);
    let (folder, result) = match store::run_folder(&cx.folder) {
        Err(fault) => (cx.folder.clone(), Err(Failure::from(fault))),
        Ok(folder) => {
            let result = execute(plan, inputs, cx, &meter, &folder, cores).await;
            (folder, result)
        }
    };
    let result = result.map_err(|Failure { step, fault }| {
        let step = step.and_then(|id| plan.steps.iter().find(|s| s.id == id));
        cx.observer.event(&Event::Failed { step, fault: &fault });
        RunError { site: step.map(|s| Box::new(Site::of(s))), fault }
    });
    let wall_s = meter.elapsed().as_secs_f64();
    let mut report = RunReport { job: plan.job.clone(), result, wall_s, steps: meter.measures(), folder };
    if let Err(fault) = record(&report) {
        // A result that is not recorded is not reported; an earlier error says more than this one.
        if report.result.is_ok() {
            report.result = Err(fault.into());
        }
    }
    report
}

async fn execute(
    plan: &Plan,
    inputs: BTreeMap<String, Value>,
    cx: &RunContext<'_>,
    meter: &Meter<'_>,
    folder: &Path,
    cores: u32,
) -> Result<Value, Failure> {
    if plan.version != PLAN_VERSION {
        let message = format!("the plan has version {}, and this mkbc executes version {PLAN_VERSION}", plan.version);
        return Err(Fault::plan(message).into());
    }
    for name in ["result.json", "report.json"] {
        store::forget(&folder.join(name))?;
    }
    let scope = admit(plan, inputs)?;
    let scheduler = Scheduler::new(plan, cx, folder, meter, cores);
    let value = tokio::select! {
        biased;
        () = cx.cancel.cancelled() => {
            return Err(Fault::new(FaultKind::Cancelled, "the run was stopped").help("outputs of finished steps are kept").into());
        }
        result = scheduler.run(&scope) => Arc::unwrap_or_clone(result?),
    };
    value::check(&value, &plan.result).map_err(|m| Fault::plan(format!("the result is no {}: {m}", plan.result)))?;
    Ok(value)
}

/// The inputs as values of the data flow, each of its type.
fn admit(plan: &Plan, mut inputs: BTreeMap<String, Value>) -> Result<Scope<'static>, Fault> {
    let scope = Scope::default();
    for input in &plan.inputs {
        let value = match (inputs.remove(&input.name), &input.ty) {
            (Some(value), _) => value,
            (None, Type::Optional(_)) => Value::Null,
            (None, ty) => {
                let message = format!("the input `{}` ({ty}) is missing", input.name);
                return Err(Fault::new(FaultKind::Input, message).help(format!("give it with --{}", input.name)));
            }
        };
        value::check(&value, &input.ty)
            .map_err(|m| Fault::new(FaultKind::Input, format!("the input `{}`: {m}", input.name)))?;
        scope.set(input.value, Arc::new(value));
    }
    match inputs.keys().next() {
        None => Ok(scope),
        Some(extra) => Err(Fault::new(FaultKind::Input, format!("the job has no input `{extra}`"))),
    }
}

fn record(report: &RunReport) -> Result<(), Fault> {
    if let Ok(value) = &report.result {
        store::write(&report.folder.join("result.json"), format!("{value:#}\n").as_bytes())?;
    }
    let text = serde_json::to_string_pretty(report).map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?;
    store::write(&report.folder.join("report.json"), text.as_bytes())
}

/// Runs a plan to its end on this thread. The first Ctrl-C or SIGTERM stops it; the second ends the process at once.
pub fn run_to_end(plan: &Plan, inputs: BTreeMap<String, Value>, cx: &RunContext<'_>) -> std::io::Result<RunReport> {
    block_on(async {
        let signals = tokio::spawn(stop_on_signals(cx.cancel.clone()));
        let report = run(plan, inputs, cx).await;
        signals.abort();
        report
    })
}

/// Waits for a future on this thread, with the runtime that runs need.
pub fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let value = runtime.block_on(future);
    // Work on the blocking pool cannot be interrupted; nobody waits for it.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(value)
}

/// Turns the first signal into a stop and the second into the end of the process.
pub async fn stop_on_signals(cancel: Cancel) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        let status = tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        };
        if cancel.is_cancelled() {
            std::process::exit(status);
        }
        cancel.cancel();
    }
}

#[cfg(test)]
pub(crate) mod tests;
