//! Calls of a run -> what each step took: time, tokens, money, energy, and how each figure was obtained.

pub mod energy;

use super::devices::cpu::Rapl;
use super::devices::nvml::Meters;
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use energy::{DeviceEnergy, Energy, Held};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Attempts.
    pub attempts: u32,
    /// Tokens that a provider read.
    pub tokens_in: u64,
    /// Tokens that it wrote.
    pub tokens_out: u64,
    /// Of the tokens read, those from a provider's cache.
    pub tokens_cached: u64,
    /// Money that a provider was paid, dollars; none where it charges by nothing that is counted.
    pub cost_usd: Option<Decimal>,
    /// From requests to the first pieces of their answers, added up, and how many these were.
    pub first: Duration,
    /// Requests that were answered in pieces.
    pub firsts: u32,
    /// The most memory that its programs held at once, bytes; 0 where nothing was measured.
    pub peak_bytes: u64,
}

/// How a figure was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// By a counter of the device.
    Measured,
    /// By the plan's figures and the measured time.
    Estimated,
}

/// What a step took in one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepMeasure {
    /// The step.
    pub step: StepId,
    /// Its display name.
    pub name: String,
    /// What carried it out.
    pub implementation: String,
    /// Calls begun.
    pub started: u64,
    /// Calls that gave a result.
    pub calls: u64,
    /// Attempts of all calls.
    pub attempts: u64,
    /// From the first call's beginning to the last one's end, seconds.
    pub wall_s: f64,
    /// Time of all calls added up, seconds.
    pub busy_s: f64,
    /// Time that calls waited for devices, added up, seconds.
    pub queue_s: f64,
    /// When the first call began, seconds after the run did.
    pub from_s: f64,
    /// When the last call ended, seconds after the run began.
    pub to_s: f64,
    /// Tokens read by a provider.
    pub tokens_in: u64,
    /// Tokens written by a provider.
    pub tokens_out: u64,
    /// Of the tokens read, those from a provider's cache.
    pub tokens_cached: u64,
    /// From a request to the first token of its answer, seconds: the mean of all that were answered in pieces.
    pub ttft_s: Option<f64>,
    /// Money, dollars; none where it cannot be derived; for a provider, its prices times the tokens it reports, and the most that a call
    /// could cost where it reports none or more than there can be.
    pub cost_usd: Option<f64>,
    /// Energy, watt-hours.
    pub energy_wh: Option<f64>,
    /// How the energy was obtained.
    pub energy_basis: Option<Basis>,
    /// The most memory that the programs of one call, or the server that mkbc started for it, held at once, gigabytes; none where it
    /// runs inside mkbc or elsewhere.
    pub memory_gb: Option<f64>,
    /// What the plan says of it.
    pub planned: Option<Planned>,
}

/// What a plan says of a step, for all its calls in one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Planned {
    /// Time, seconds.
    pub latency_s: f64,
    /// Money, dollars.
    pub cost_usd: f64,
    /// Energy, watt-hours; none where nobody knows.
    pub energy_wh: Option<f64>,
    /// Peak memory, gigabytes.
    pub memory_gb: f64,
}

impl Planned {
    fn of(step: &PlanStep) -> Option<Planned> {
        let predicted = &step.predicted;
        Some(Planned {
            latency_s: predicted.latency_s.to_f64()?,
            cost_usd: predicted.cost_usd.to_f64()?,
            energy_wh: predicted.energy_wh.and_then(|wh| wh.to_f64()),
            memory_gb: predicted.memory_gb.to_f64()?,
        })
    }
}

/// Collects what the calls of a run took.
pub struct Meter<'a> {
    plan: &'a Plan,
    begun: Instant,
    energy: Energy,
    /// The devices that a step's server is on, where mkbc started one.
    placed: RefCell<BTreeMap<StepId, Vec<String>>>,
    steps: RefCell<BTreeMap<StepId, StepMeasure>>,
    /// Times to first tokens of a step, added up, and how many.
    firsts: RefCell<BTreeMap<StepId, (Duration, u32)>>,
}

/// A call that is being measured.
pub struct Reading {
    begun: Instant,
    held: Option<Held>,
}

impl<'a> Meter<'a> {
    /// A meter for one run; the folder is the one of the processor's counters. Counters of devices that no step uses are not opened.
    pub fn new(plan: &'a Plan, cores: u32, powercap: &Path) -> Meter<'a> {
        let energy = Energy::default();
        let uses = |wanted: fn(&str) -> bool| plan.steps.iter().any(|s| wanted(&s.hardware.device));
        if let Some(gpus) = uses(|d| d != "cpu" && d != "api").then(Meters::open).flatten().map(Rc::new) {
            for (uuid, name) in gpus.gpus() {
                let (gpus, of) = (gpus.clone(), uuid.clone());
                energy.add(&uuid, &name, None, Box::new(move || gpus.joules(&of)), 0.0);
            }
        }
        if let Some(cpu) = uses(|d| d == "cpu").then(|| Rapl::open(powercap)).flatten() {
            energy.add("cpu", "cpu", Some(cores), Box::new(move || cpu.joules()), 0.0);
        }
        let (steps, firsts, placed) = Default::default();
        Meter { plan, begun: Instant::now(), energy, placed, steps, firsts }
    }

    /// A step's server is on these devices.
    pub fn placed(&self, step: StepId, devices: Option<Vec<String>>) {
        if let Some(devices) = devices {
            self.placed.borrow_mut().insert(step, devices);
        }
    }

    /// The energy of each device that has a counter.
    pub fn devices(&self) -> Vec<DeviceEnergy> {
        self.energy.devices(self.begun.elapsed().as_secs_f64())
    }

    /// Time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A call has its devices, after waiting for them.
    pub fn start(&self, step: &PlanStep, queued: Duration) -> Reading {
        let mut steps = self.steps.borrow_mut();
        let from_s = self.begun.elapsed().as_secs_f64();
        let measure = steps.entry(step.id).or_insert_with(|| StepMeasure {
            step: step.id,
            name: step.name.clone(),
            implementation: step.implementation.clone(),
            started: 0,
            calls: 0,
            attempts: 0,
            wall_s: 0.0,
            busy_s: 0.0,
            queue_s: 0.0,
            from_s,
            to_s: from_s,
            tokens_in: 0,
            tokens_out: 0,
            tokens_cached: 0,
            ttft_s: None,
            cost_usd: None,
            energy_wh: None,
            energy_basis: None,
            memory_gb: None,
            planned: Planned::of(step),
        });
        measure.started += 1;
        measure.queue_s += queued.as_secs_f64();
        let (device, units) = (step.hardware.device.as_str(), step.hardware.units);
        let placed = self.placed.borrow();
        let on = placed.get(&step.id).map(Vec::as_slice);
        let held = (device != "api").then(|| self.energy.begin(step.id, device, units, on, from_s));
        Reading { begun: Instant::now(), held }
    }

    /// A call ended. Returns how long it took.
    pub fn stop(&self, step: &PlanStep, reading: &Reading, usage: Usage, good: bool) -> Duration {
        let took = reading.begun.elapsed();
        if let Some(held) = &reading.held {
            self.energy.end(step.id, held, self.begun.elapsed().as_secs_f64());
        }
        let joules = reading.held.as_ref().and_then(|_| self.energy.joules(step.id));
        if let Some(m) = self.steps.borrow_mut().get_mut(&step.id) {
            m.calls += u64::from(good);
            m.attempts += u64::from(usage.attempts);
            m.tokens_in = m.tokens_in.saturating_add(usage.tokens_in);
            m.tokens_out = m.tokens_out.saturating_add(usage.tokens_out);
            m.tokens_cached = m.tokens_cached.saturating_add(usage.tokens_cached);
            if let Some(cost) = usage.cost_usd.and_then(|usd| usd.to_f64()) {
                m.cost_usd = Some(m.cost_usd.unwrap_or(0.0) + cost);
            }
            if usage.firsts > 0 {
                let mut firsts = self.firsts.borrow_mut();
                let (sum, count) = firsts.entry(step.id).or_default();
                (*sum, *count) = (*sum + usage.first, *count + usage.firsts);
                m.ttft_s = Some(sum.as_secs_f64() / f64::from(*count));
            }
            m.busy_s += took.as_secs_f64();
            if usage.peak_bytes > 0 {
                m.memory_gb = Some(m.memory_gb.unwrap_or(0.0).max(usage.peak_bytes as f64 / 1e9));
            }
            m.to_s = self.begun.elapsed().as_secs_f64();
            m.wall_s = m.to_s - m.from_s;
            if let Some(joules) = joules {
                m.energy_wh = Some(joules / 3600.0);
                m.energy_basis = Some(Basis::Measured);
            }
        }
        took
    }

    /// A call was made by an earlier runtime of this run: what it took counts, and happens before this runtime's beginning.
    pub fn earlier(&self, step: &PlanStep, took: Duration, usage: Usage) {
        let mut reading = self.start(step, Duration::ZERO);
        if let Some(held) = reading.held.take() {
            self.energy.end(step.id, &held, self.begun.elapsed().as_secs_f64());
        }
        self.stop(step, &reading, usage, true);
        if let Some(m) = self.steps.borrow_mut().get_mut(&step.id) {
            m.busy_s += took.as_secs_f64();
        }
    }

    /// What each step took, in the order of the plan.
    pub fn measures(&self) -> Vec<StepMeasure> {
        let mut measures: Vec<StepMeasure> = self.steps.borrow().values().cloned().collect();
        for m in &mut measures {
            if let Some(step) = self.plan.steps.iter().find(|s| s.id == m.step) {
                derive(m, step, self.plan);
            }
        }
        measures
    }
}

/// Money and energy that no counter gives: own devices cost their time; energy by the plan's power, and said to be estimated.
fn derive(m: &mut StepMeasure, step: &PlanStep, plan: &Plan) {
    let pool = plan.cluster.pools.get(&step.hardware.device).filter(|_| step.hardware.device != "api");
    // Of a provider, each call was counted.
    m.cost_usd = m.cost_usd.or_else(|| {
        let hourly = pool?.usd_per_hour.to_f64()? * f64::from(step.hardware.units);
        Some(hourly * m.busy_s / 3600.0)
    });
    if m.energy_wh.is_none() {
        let latency = step.predicted.latency_s.to_f64().filter(|s| *s > 0.0);
        let power = latency.zip(step.predicted.energy_wh.and_then(|wh| wh.to_f64())).map(|(s, wh)| wh / s);
        m.energy_wh = power.map(|p| p * m.busy_s);
        m.energy_basis = m.energy_wh.map(|_| Basis::Estimated);
    }
}
