//! A plan and inputs -> the answer and what it took; outputs of finished steps are on disk, whatever happens.
//!
//! Executes what the plan says and never chooses. Knows nothing of solvers.

pub mod budget;
pub mod cache;
pub mod cancel;
pub mod carriers;
pub mod chat;
pub mod devices;
pub mod engines;
pub mod fault;
pub mod input;
pub mod journal;
pub mod kernels;
pub mod meter;
pub mod observer;
pub mod ops;
pub mod picture;
pub mod pins;
pub mod places;
pub mod pool;
pub mod preflight;
pub mod probe;
pub mod remote;
pub mod report;
pub mod scheduler;
pub mod secret;
pub mod servers;
pub mod shown;
pub mod steer;
pub mod store;
pub mod trace;
pub mod under_way;
pub mod value;

use crate::plan::model::{PLAN_VERSION, Plan, PlanStep};
use crate::plan::verify::quality;
use crate::syntax::room;
use crate::types::Type;
use budget::Unsettled;
use cache::Cache;
use cancel::Cancel;
use devices::cpu::POWERCAP;
use engines::chat::stream::Deadlines;
use fault::{Fault, FaultKind, RunError, Site};
use journal::recorder::Recorder;
use meter::energy::DeviceEnergy;
use meter::{Meter, StepMeasure};
use observer::{Event, Observer};
use places::Places;
use probe::Env;
use remote::Remote;
use report::clauses::{Kept, Taken, clauses};
use rust_decimal::Decimal;
use scheduler::{Failure, Scheduler, Scope};
use serde::{Serialize, Serializer};
use serde_json::Value;
use servers::Servers;
use servers::serving::{ServerMeasure, Serving};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steer::Steer;
use value::held::Held;

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
    /// How long a provider that answers in pieces may take.
    pub deadlines: Deadlines,
    /// Items of one map that are under way at a time.
    pub fan_out: usize,
    /// Whether what does not wait for a step that failed goes on.
    pub keep_going: bool,
    /// Calls to providers at a time.
    pub api_calls: u32,
    /// How long a call waits at most for others that can be made with it as one, where the plan has the time; of zero, those that are ready
    /// at the same moment still come together.
    pub gather: Duration,
    /// Where Python modules and programs that a library brings along are looked for, in this order: the job's folder, the
    /// libraries'.
    pub folders: Vec<PathBuf>,
    /// Whether what built-in functions give is written to the run folder, where no journal holds it.
    pub outputs: bool,
    /// The journal; none for what is measured and thrown away.
    pub recorder: Option<&'a Recorder>,
    /// Model servers that outlive the run; without, those that it starts end with it.
    pub servers: Option<Servers>,
    /// The folder of the processor's energy counters.
    pub powercap: PathBuf,
    /// Results of other runs.
    pub cache: Option<&'a Cache>,
    /// Who plans the rest again where it does not fit any more.
    pub steer: Option<&'a dyn Steer>,
    /// What the run may spend at most, in dollars, whatever its plan allows.
    pub most_usd: Option<Decimal>,
    /// Who carries out programs' calls elsewhere; without, this machine does.
    pub remote: Option<&'a dyn Remote>,
    /// Who gives calls their places on instances that other runs use too.
    pub places: Option<&'a dyn Places>,
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
            deadlines: Deadlines::default(),
            fan_out: 64,
            keep_going: false,
            api_calls: 8,
            gather: Duration::from_millis(5),
            folders: vec![PathBuf::from(".")],
            outputs: true,
            recorder: None,
            servers: None,
            powercap: PathBuf::from(POWERCAP),
            cache: None,
            steer: None,
            most_usd: None,
            remote: None,
            places: None,
        }
    }
}

/// What came of a run; `A` is how its answer is held.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport<A: Serialize = Value> {
    /// The job's name.
    pub job: String,
    /// The answer, or why there is none.
    #[serde(serialize_with = "outcome")]
    pub result: Result<A, RunError>,
    /// Wall time, seconds.
    pub wall_s: f64,
    /// Wall time of the runtimes that worked on it before, seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub earlier_s: f64,
    /// What each step that began took.
    pub steps: Vec<StepMeasure>,
    /// The model servers that it started: where they were, and whether that is what the plan says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerMeasure>,
    /// The energy of each device that has a counter, and how much of it no step used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub energy: Vec<DeviceEnergy>,
    /// What was said of changes of the plan, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adapted: Vec<String>,
    /// Steps as they were planned again.
    #[serde(skip)]
    pub changes: Vec<PlanStep>,
    /// Requests that no step's money counts, since nobody knows their end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Unsettled>,
    /// The job's limits, and what was measured of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<Kept>,
    /// Where the outputs are: `steps/<id>-<name>/<call>/output.json`, `result.json`, `report.json`.
    pub folder: PathBuf,
}

impl RunReport<Held> {
    /// The same, with all of the answer in memory.
    pub fn whole(self) -> RunReport {
        let RunReport { job, result, wall_s, earlier_s, steps, servers, energy, .. } = self;
        let RunReport { adapted, changes, unsettled, clauses, folder, .. } = self;
        let result = result.and_then(|held| held.into_value().map_err(RunError::from));
        RunReport {
            job,
            result,
            wall_s,
            earlier_s,
            steps,
            servers,
            energy,
            adapted,
            changes,
            unsettled,
            clauses,
            folder,
        }
    }
}

fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

fn outcome<A: Serialize, S: Serializer>(result: &Result<A, RunError>, s: S) -> Result<S::Ok, S::Error> {
    match result {
        Ok(value) => BTreeMap::from([("ok", value)]).serialize(s),
        Err(error) => BTreeMap::from([("error", error)]).serialize(s),
    }
}

/// Runs a plan. Drop the future, or use the context's switch, to stop it: children are killed.
pub async fn run(plan: &Plan, inputs: BTreeMap<String, Value>, cx: &RunContext<'_>) -> RunReport {
    run_held(plan, inputs.into_iter().map(|(name, value)| (name, value.into())).collect(), cx).await.whole()
}

/// The same, where inputs and answer may be long lists, of which memory holds little.
pub async fn run_held(plan: &Plan, inputs: BTreeMap<String, Held>, cx: &RunContext<'_>) -> RunReport<Held> {
    // Elsewhere there are as many as the plan says.
    let cores = if cx.remote.is_some() { u32::MAX } else { devices::cpu::cores() };
    let meter = Meter::new(plan, cores, &cx.powercap);
    let (mut servers, mut wall) = (Vec::new(), None);
    let (folder, result) = match store::run_folder(&cx.folder) {
        Err(fault) => (cx.folder.clone(), Err(Failure::from(fault))),
        Ok(folder) => {
            let serving = Serving::new(plan, cx, &folder);
            let result = execute(plan, inputs, cx, &meter, &folder, &serving, cores).await;
            // How long servers take to end is no part of the answer's time.
            wall = Some((meter.elapsed(), meter.devices()));
            serving.close().await;
            servers = serving.measures();
            (folder, result)
        }
    };
    let result = result.map_err(|Failure { step, fault }| {
        let step = step.and_then(|id| plan.steps.iter().find(|s| s.id == id));
        cx.observer.event(&Event::Failed { step, fault: &fault });
        RunError { site: step.map(|s| Box::new(Site::of(s))), fault }
    });
    let (elapsed, energy) = wall.unwrap_or_else(|| (meter.elapsed(), Vec::new()));
    let wall_s = elapsed.as_secs_f64();
    let earlier = cx.recorder.into_iter().flat_map(|r| r.replay().adapted.iter().map(|(_, said)| said.clone()));
    let (adapted, changes) = (earlier.chain(meter.adapted()).collect(), meter.changes());
    let steps = meter.measures();
    let result = recorded(result, cx, cost(&steps)).await;
    let earlier_s = cx.recorder.map_or(0.0, |r| r.replay().took_s);
    let unsettled = cx.recorder.and_then(|r| r.unsettled());
    let clauses = clauses(
        plan,
        &Taken {
            latency_s: wall_s + earlier_s,
            cost_usd: cost(&steps),
            unsettled,
            quality: meter.as_carried_out().and_then(|plan| quality(&plan)),
            energy_wh: steps.iter().map(|m| m.energy_wh).sum(),
            whole: result.is_ok(),
        },
    );
    let job = plan.job.clone();
    let mut report = RunReport {
        job,
        result,
        wall_s,
        earlier_s,
        steps,
        servers,
        energy,
        adapted,
        changes,
        unsettled,
        clauses,
        folder,
    };
    if let Err(fault) = record(&report) {
        // A result that is not recorded is not reported; an earlier error says more than this one.
        if report.result.is_ok() {
            report.result = Err(fault.into());
        }
    }
    report
}

/// The outcome, once the journal holds it: an answer that is not recorded is not reported, and an earlier error says more than this one.
async fn recorded(result: Result<Held, RunError>, cx: &RunContext<'_>, cost: Option<f64>) -> Result<Held, RunError> {
    let Some(recorder) = cx.recorder else { return result };
    match result {
        Ok(value) => recorder.answer(&value, cost).await.map(|()| value).map_err(RunError::from),
        Err(error) => {
            let _ = recorder.paused(&error.fault, cost).await;
            Err(error)
        }
    }
}

/// Money of all steps, if that of each is known.
fn cost(steps: &[StepMeasure]) -> Option<f64> {
    // A sum of nothing is -0 by itself.
    steps.iter().map(|m| m.cost_usd).sum::<Option<f64>>().map(|usd| usd + 0.0)
}

async fn execute(
    plan: &Plan,
    inputs: BTreeMap<String, Held>,
    cx: &RunContext<'_>,
    meter: &Meter<'_>,
    folder: &Path,
    serving: &Serving<'_>,
    cores: u32,
) -> Result<Held, Failure> {
    if plan.version != PLAN_VERSION {
        let message = format!("the plan has version {}, and this mkbc executes version {PLAN_VERSION}", plan.version);
        return Err(Fault::plan(message).into());
    }
    for name in ["result.json", "report.json"] {
        store::forget(&folder.join(name))?;
    }
    let scope = admit(plan, inputs, folder)?;
    let scheduler = Scheduler::new(plan, cx, folder, meter, serving, cores)?;
    let value = tokio::select! {
        biased;
        () = cx.cancel.cancelled() => return Err(stopped().into()),
        result = scheduler.run(&scope) => result?,
        () = drained(cx, &scheduler) => return Err(stopped().into()),
        never = serving.preload() => match never {},
    };
    value.check(&plan.result).map_err(|m| Fault::plan(format!("the result is no {}: {m}", plan.result)))?;
    Ok(value)
}

fn stopped() -> Fault {
    Fault::new(FaultKind::Cancelled, "the run was stopped").help("outputs of finished steps are kept")
}

/// Returns once the run is to end gently, and nothing is under way.
async fn drained(cx: &RunContext<'_>, scheduler: &Scheduler<'_>) {
    cx.cancel.draining().await;
    scheduler.idle().await;
}

/// The inputs as values of the data flow, each of its type.
fn admit(plan: &Plan, mut inputs: BTreeMap<String, Held>, folder: &Path) -> Result<Scope<'static>, Fault> {
    let scope = Scope::default();
    for input in &plan.inputs {
        let value = match (inputs.remove(&input.name), &input.ty) {
            (Some(value), _) => value,
            (None, Type::Optional(_)) => Value::Null.into(),
            (None, ty) => {
                let message = format!("the input `{}` ({ty}) is missing", input.name);
                return Err(Fault::new(FaultKind::Input, message).help(format!("give it with --{}", input.name)));
            }
        };
        value.check(&input.ty).map_err(|m| Fault::new(FaultKind::Input, format!("the input `{}`: {m}", input.name)))?;
        scope.set(input.value, value.short(folder)?);
    }
    match inputs.keys().next() {
        None => Ok(scope),
        Some(extra) => Err(Fault::new(FaultKind::Input, format!("the job has no input `{extra}`"))),
    }
}

fn record(report: &RunReport<Held>) -> Result<(), Fault> {
    let pretty = |file: &mut File, value: &dyn Fn(&mut dyn Write) -> serde_json::Result<()>| {
        let mut file = BufWriter::new(file);
        value(&mut file)?;
        file.flush()
    };
    if let Ok(value) = &report.result {
        store::write_with(&report.folder.join("result.json"), |file| {
            pretty(file, &|to| serde_json::to_writer_pretty(to, value))?;
            file.write_all(b"\n")
        })?;
    }
    store::write_with(&report.folder.join("report.json"), |file| {
        pretty(file, &|to| serde_json::to_writer_pretty(to, report))
    })
}

/// Runs a plan to its end on this thread. The first Ctrl-C or SIGTERM lets what is under way end, for so long at most; the second stops
/// the run at once, and a third ends the process. Returns also the exit status of the first signal, if there was one.
pub fn run_to_end(
    plan: &Plan,
    inputs: BTreeMap<String, Held>,
    cx: &RunContext<'_>,
    grace: Duration,
) -> std::io::Result<(RunReport<Held>, Option<u8>)> {
    let first = Arc::new(std::sync::OnceLock::new());
    let report = block_on(async {
        // Listened for before anything is begun that a signal could catch.
        let signals = Signals::new();
        let signals = tokio::spawn(drain_on_signals(signals, cx.cancel.clone(), grace, first.clone()));
        let report = tokio::select! {
            report = run_held(plan, inputs, cx) => report,
            never = heard(cx, grace) => match never {},
        };
        signals.abort();
        report
    })?;
    Ok((report, first.get().copied()))
}

/// Says once that a signal was heard, and what comes of it.
async fn heard(cx: &RunContext<'_>, grace: Duration) -> Infallible {
    cx.cancel.draining().await;
    cx.observer.event(&Event::Draining { grace });
    std::future::pending().await
}

async fn drain_on_signals(
    signals: Option<Signals>,
    cancel: Cancel,
    grace: Duration,
    first: Arc<std::sync::OnceLock<u8>>,
) {
    let Some(mut signals) = signals else { return };
    let status = signals.next().await;
    let _ = first.set(status);
    cancel.drain();
    tokio::select! {
        _ = signals.next() => {}
        () = tokio::time::sleep(grace) => {}
    }
    cancel.cancel();
    std::process::exit(signals.next().await.into());
}

/// The signals that ask a program to end.
pub(crate) struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

impl Signals {
    pub(crate) fn new() -> Option<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Signals(signal(SignalKind::interrupt()).ok()?, signal(SignalKind::terminate()).ok()?))
    }

    /// Waits for one. Returns the exit status that goes with it.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.0.recv() => 130,
            _ = self.1.recv() => 143,
        }
    }
}

/// Waits for a future on this thread, with the runtime that runs need.
pub fn block_on<T>(future: impl Future<Output = T>) -> std::io::Result<T> {
    // A service reads and plans jobs on the blocking pool.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .thread_stack_size(room::STACK)
        .on_thread_start(room::has_room)
        .enable_all()
        .build()?;
    let value = runtime.block_on(future);
    // Work on the blocking pool cannot be interrupted; nobody waits for it.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(value)
}

/// Turns the first signal into a stop and the second into the end of the process.
pub async fn stop_on_signals(cancel: Cancel) {
    let Some(mut signals) = Signals::new() else { return };
    loop {
        let status = signals.next().await;
        if cancel.is_cancelled() {
            std::process::exit(status.into());
        }
        cancel.cancel();
    }
}

#[cfg(test)]
pub(crate) mod tests;
