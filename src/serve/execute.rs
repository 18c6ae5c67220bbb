//! A run that was taken from the queue -> its outcome, by the runtime that `mkbc run` uses too, with the project's journal.
//!
//! Workers are threads of the server, each with a runtime of its own, and not processes: model servers and the cache are then shared by
//! runs, and a small run takes milliseconds. What a run really does (programs, Python, models, browsers) is in child processes anyway, which
//! die with it. Stopping a run drops its future, which kills them; it counts as stopped once its thread has come back. A panic is the run's
//! own failure. What threads do not give: a run whose values fill the memory takes the server along, and the next start goes on with it.

use super::fleet::gates::OnFleet;
use super::store::writer::Turned;
use super::store::{Accepted, State};
use super::{Service, micro, now_ms};
use crate::eval::measure::now;
use crate::plan::model::Plan;
use crate::ray::Ray;
use crate::run::cache::{Cache, MOST, Policy};
use crate::run::cancel::Cancel;
use crate::run::fault::{Fault, FaultKind, RunError, printable};
use crate::run::journal::recorder::Recording;
use crate::run::journal::{Journal, Run, RunInfo, Told, service_key};
use crate::run::observer::Silent;
use crate::run::places::Places;
use crate::run::remote::Remote;
use crate::run::{RunContext, RunReport, block_on, run, store};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Why a run ended as it did.
pub enum End {
    /// It has an answer.
    Done,
    /// It failed; why.
    Failed(String),
    /// It was stopped, by somebody or by the end of the server.
    Stopped,
    /// Another host gave it back, or was lost; what is said about it. It waits again.
    Back(String),
}

/// Works on a run until it ends or is stopped.
pub fn work(service: &Arc<Service>, id: u64, cancel: &Cancel) {
    let worked = catch_unwind(AssertUnwindSafe(|| carry_out(service, id, cancel)));
    let (end, spent) = match worked {
        Ok(Ok(done)) => done,
        Ok(Err(fault)) => (End::Failed(RunError::from(fault).to_string()), None),
        Err(_) => (End::Failed("the server's own fault: the run's thread panicked".to_owned()), None),
    };
    conclude(service, id, end, spent);
}

/// Stores how a run ended, and queues it where it is to go on.
pub fn conclude(service: &Service, id: u64, end: End, spent: Option<u64>) {
    let asked = service.dispatch.done(id);
    let again = matches!(end, End::Back(_)) && !asked;
    let (to, note) = match end {
        End::Done => (State::Done, None),
        End::Failed(why) => (State::Failed, Some(printable(&why))),
        End::Stopped | End::Back(_) if asked => (State::Cancelled, None),
        End::Stopped => (State::Queued, Some("the server stopped; the run goes on when it starts again".to_owned())),
        End::Back(why) => (State::Queued, Some(printable(&why))),
    };
    let spent_micro = to.is_final().then_some(spent).flatten();
    service.turn(Turned {
        run: id,
        from: &[State::Running, State::Cancelling],
        to,
        at_ms: now_ms(),
        note,
        journal: None,
        spent_micro,
    });
    if again {
        service.queue(id);
    }
}

/// A run that is about to be carried out.
pub struct Begun {
    /// What was accepted.
    pub accepted: Accepted,
    /// The plan's text.
    pub plan: String,
    /// The inputs.
    pub inputs: BTreeMap<String, Value>,
    /// The run in the project's journal.
    pub run: Run,
    /// The journal.
    pub journal: Journal,
}

/// Whether a run is to be carried out.
pub enum Start {
    /// It is.
    Begun(Box<Begun>),
    /// Somebody stopped it before; what it cost, where that is known.
    Stopped(Option<u64>),
}

/// Begins to carry a run out, or goes on with it: the store says that it runs, with `note`.
pub fn begin(service: &Service, id: u64, note: Option<String>) -> Result<Start, Fault> {
    let gone = || Fault::new(FaultKind::Storage, "the run is not in the store any more");
    let accepted = service.store.run(id)?.ok_or_else(gone)?;
    let plan = service.store.plan(&accepted.tenant, &accepted.plan)?.ok_or_else(gone)?;
    let inputs = service.store.inputs(id)?.ok_or_else(gone)?;
    let inputs: BTreeMap<String, Value> =
        serde_json::from_str(&inputs).map_err(|e| Fault::plan(format!("the inputs cannot be read: {e}")))?;
    let mut journal = Journal::open(&service.settings.project)?;
    let blobs = journal.blobs().clone();
    let run = journal.begin(&RunInfo {
        job: accepted.job.clone(),
        // The same after a restart, so that a run is one run of the journal.
        key: Some(service_key(&service.store.id, id)),
        identity: accepted.digest.clone(),
        plan: blobs.put(&plan)?,
        inputs: blobs.keep(&json!(inputs))?,
        folder: None,
        folders: service.settings.libraries.clone(),
        at: now(),
        made_of: None,
        no_cache: false,
    })?;
    if run.info.identity != accepted.digest {
        // Its answer would be that of another submission.
        let message =
            format!("run {} of the journal has this run's key, and is of another plan or other inputs", run.id);
        return Err(Fault::new(FaultKind::Storage, message).help("submit it again: the journal's run stays as it is"));
    }
    let running = Turned {
        run: id,
        from: &[State::Queued, State::Running],
        to: State::Running,
        at_ms: now_ms(),
        note,
        journal: Some(run.id),
        spent_micro: None,
    };
    if !service.store.writer().turn_now(running)? {
        // Somebody stopped it before it began.
        return Ok(Start::Stopped(accepted.journal.is_none().then_some(0)));
    }
    service.bells.ring(id);
    Ok(Start::Begun(Box::new(Begun { accepted, plan, inputs, run, journal })))
}

fn carry_out(service: &Arc<Service>, id: u64, cancel: &Cancel) -> Result<(End, Option<u64>), Fault> {
    let Begun { accepted, plan: text, inputs, run: begun, journal } = match begin(service, id, None)? {
        Start::Begun(begun) => *begun,
        Start::Stopped(spent) => return Ok((End::Stopped, spent)),
    };
    let plan: Plan = serde_json::from_str(&text).map_err(|e| Fault::plan(format!("the plan cannot be read: {e}")))?;
    let bells = service.clone();
    let told = Told(Arc::new(move || bells.bells.ring(id)));
    let env = |name: &str| std::env::var(name).ok();
    let ray = service.settings.ray.as_ref();
    let ray = ray.map(|(at, program)| Ray::at(at, program, service.settings.libraries.clone(), &env)).transpose()?;
    if let Some(ray) = &ray {
        let ready = block_on(async {
            tokio::select! {
                ready = ray.ready(&plan) => Some(ready),
                () = cancel.draining() => None,
            }
        });
        let ready = ready.map_err(unable)?;
        if !matches!(ready, Some(Ok(()))) {
            let _ = block_on(ray.stop());
        }
        match ready {
            Some(ready) => ready?,
            None => return Ok((End::Stopped, None)),
        }
    }
    let recorder = journal.telling(told).attach(&begun, jiff::Timestamp::now().to_string())?;
    store::write(&recorder.folder().join("plan.json"), text.as_bytes())?;
    let recording = Recording { recorder: &recorder, inner: &Silent };
    // A cache of its own for each tenant: else one could tell by the time it takes what another has asked.
    let cache = Cache::of(&service.folder.join("tenants").join(&accepted.tenant), Policy::Usual);
    // A run of a workflow takes its places on the instances of the joint plan; others are none of the fleet's.
    let workflow = accepted.workflow.as_deref();
    let places = workflow.map(|workflow| {
        let (gates, library) = (&service.fleet.gates, service.planner.library());
        OnFleet { gates, workflow, library, priority: accepted.priority }
    });
    let mut cx = RunContext {
        cancel: cancel.clone(),
        remote: ray.as_ref().map(|ray| ray as &dyn Remote),
        folders: service.settings.libraries.clone(),
        recorder: Some(&recorder),
        cache: Some(&cache),
        servers: Some(service.servers.clone()),
        most_usd: most_usd(accepted.held_micro),
        places: places.as_ref().map(|places| places as &dyn Places),
        ..RunContext::new(recorder.folder(), &recording, &env)
    };
    if ray.is_some() {
        // What this machine takes is not what the work takes.
        cx.powercap = PathBuf::new();
    }
    let report = block_on(async {
        tokio::select! {
            report = run(&plan, inputs, &cx) => report,
            never = stop_late(cancel.clone(), service.settings.grace) => match never {},
        }
    });
    if let Some(ray) = &ray {
        let _ = block_on(ray.stop());
    }
    let report = report.map_err(unable)?;
    cache.collect(MOST, None, SystemTime::now());
    Ok(ended(&report))
}

fn unable(error: std::io::Error) -> Fault {
    Fault::new(FaultKind::Storage, format!("the run has no runtime: {error}"))
}

/// What a run may spend, in dollars, of what is kept for it in millionths; nothing is said where nothing is kept.
pub fn most_usd(held_micro: u64) -> Option<Decimal> {
    (held_micro > 0).then(|| Decimal::from(held_micro) / Decimal::from(1_000_000))
}

/// Turns a gentle stop into one at once, after so long.
pub async fn stop_late(cancel: Cancel, grace: std::time::Duration) -> std::convert::Infallible {
    cancel.draining().await;
    tokio::time::sleep(grace).await;
    cancel.cancel();
    std::future::pending().await
}

/// How a run ended, and what it cost in millionths of a dollar, where that is known.
pub fn ended(report: &RunReport) -> (End, Option<u64>) {
    let spent = report.steps.iter().map(|step| step.cost_usd).sum::<Option<f64>>();
    let end = match &report.result {
        Ok(_) => End::Done,
        Err(error) if error.fault.kind == FaultKind::Cancelled => End::Stopped,
        Err(error) => End::Failed(error.to_string()),
    };
    (end, spent.map(micro))
}
