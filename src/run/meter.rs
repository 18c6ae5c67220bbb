//! Calls of a run -> what each step took: time, tokens, money, energy, and how each figure was obtained.

pub mod energy;

use super::devices::cpu::Rapl;
use super::devices::nvml::Meters;
use super::servers::ledger::RAM;
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use energy::{DeviceEnergy, Energy, Held};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
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

impl Usage {
    /// What was used before and after, added up.
    pub fn and(self, more: Usage) -> Usage {
        let cost = self.cost_usd.into_iter().chain(more.cost_usd).reduce(|a, b| a.saturating_add(b));
        Usage {
            attempts: self.attempts.saturating_add(more.attempts),
            tokens_in: self.tokens_in.saturating_add(more.tokens_in),
            tokens_out: self.tokens_out.saturating_add(more.tokens_out),
            tokens_cached: self.tokens_cached.saturating_add(more.tokens_cached),
            cost_usd: cost,
            first: self.first.saturating_add(more.first),
            firsts: self.firsts.saturating_add(more.firsts),
            peak_bytes: self.peak_bytes.max(more.peak_bytes),
        }
    }
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
    /// The GPUs that its calls were on, by UUID, where mkbc chose them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Whether these are where the plan places it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_planned: Option<bool>,
    /// What carries it out since the rest of the run was planned again, where that is another than planned at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_again: Option<String>,
    /// Calls that fallbacks carried out, since the choice had failed for good, by implementation.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stood_in: BTreeMap<String, u64>,
    /// Calls whose results were those of other runs.
    #[serde(skip_serializing_if = "is_zero")]
    pub cached: u64,
    /// Calls that were made as one with others, by this runtime.
    #[serde(skip_serializing_if = "is_zero")]
    pub together: u64,
}

impl StepMeasure {
    /// What is to carry it out: the plan's choice, or that of the plan for the rest.
    pub fn choice(&self) -> &str {
        self.planned_again.as_deref().unwrap_or(&self.implementation)
    }
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

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Collects what the calls of a run took.
pub struct Meter<'a> {
    plan: &'a Plan,
    begun: Instant,
    energy: Energy,
    /// The devices that a step's call is on, or its server, where mkbc chose them, and whether they are the plan's.
    placed: RefCell<BTreeMap<StepId, (Vec<String>, bool)>>,
    steps: RefCell<BTreeMap<StepId, StepMeasure>>,
    /// Watt-hours of a step's calls that no counter was read for.
    estimated: RefCell<BTreeMap<StepId, f64>>,
    /// What was said of changes of the plan.
    adapted: RefCell<Vec<String>>,
    /// Steps as they were planned again.
    changed: RefCell<BTreeMap<StepId, PlanStep>>,
    /// Times to first tokens of a step, added up, and how many.
    firsts: RefCell<BTreeMap<StepId, (Duration, u32)>>,
    /// What hardware of one's own cost in all, dollars.
    rented: Cell<f64>,
    /// By step, of those who carried calls out the one that is planned to do it worst.
    worst: RefCell<BTreeMap<StepId, PlanStep>>,
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
        let (steps, estimated, adapted, changed, firsts, placed, rented, worst) = Default::default();
        let begun = Instant::now();
        Meter { plan, begun, energy, placed, steps, estimated, adapted, changed, firsts, rented, worst }
    }

    /// The step's next call is on these devices, or its server is, and whether the plan says so.
    pub fn placed(&self, step: StepId, devices: Option<(Vec<String>, bool)>) {
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

    /// What the plan has for a step.
    fn planned<'s>(&'s self, step: &'s PlanStep) -> &'s PlanStep {
        self.plan.steps.iter().find(|s| s.id == step.id).unwrap_or(step)
    }

    /// The rest of the run was planned again, with these steps carried out otherwise, or could not be.
    pub fn adapt(&self, message: &str, steps: &[PlanStep]) {
        self.adapted.borrow_mut().push(message.to_owned());
        self.changed(steps);
    }

    /// These steps are carried out otherwise from now on.
    pub fn changed(&self, steps: &[PlanStep]) {
        let mut changed = self.changed.borrow_mut();
        for step in steps {
            let planned = Some(step).filter(|step| step.implementation != self.planned(step).implementation);
            if let Some(measure) = self.steps.borrow_mut().get_mut(&step.id) {
                measure.planned_again = planned.map(|step| step.implementation.clone());
            }
            changed.insert(step.id, step.clone());
        }
    }

    /// The steps that are carried out otherwise than planned at first.
    pub fn changes(&self) -> Vec<PlanStep> {
        self.changed.borrow().values().cloned().collect()
    }

    /// What was said of changes of the plan, in order.
    pub fn adapted(&self) -> Vec<String> {
        self.adapted.borrow().clone()
    }

    /// A call has its devices, after waiting for them; `first` where it was not made before, with others.
    pub fn start(&self, step: &PlanStep, queued: Duration, first: bool) -> Reading {
        let mut steps = self.steps.borrow_mut();
        let from_s = self.begun.elapsed().as_secs_f64();
        let choice = &self.planned(step).implementation;
        let changed = self.changed.borrow();
        let again = changed.get(&step.id);
        let measure = steps.entry(step.id).or_insert_with(|| StepMeasure {
            step: step.id,
            name: step.name.clone(),
            implementation: choice.clone(),
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
            planned: Planned::of(again.unwrap_or(self.planned(step))),
            devices: Vec::new(),
            as_planned: None,
            planned_again: again.map(|s| s.implementation.clone()).filter(|by| by != choice),
            stood_in: BTreeMap::new(),
            cached: 0,
            together: 0,
        });
        measure.started += u64::from(first);
        measure.queue_s += queued.as_secs_f64();
        let (device, units) = (step.hardware.device.as_str(), step.hardware.units);
        let placed = self.placed.borrow();
        let on = placed.get(&step.id).map(|(devices, _)| devices.as_slice());
        if let Some((devices, as_planned)) = placed.get(&step.id) {
            let gpus = devices.iter().filter(|d| *d != RAM);
            for gpu in gpus {
                if !measure.devices.contains(gpu) {
                    measure.devices.push(gpu.clone());
                }
                measure.as_planned = Some(measure.as_planned.unwrap_or(true) && *as_planned);
            }
        }
        let held = (device != "api").then(|| self.energy.begin(step.id, device, units, on, from_s));
        Reading { begun: Instant::now(), held }
    }

    /// A call ended, which gave a value or not, and was made as one with so many. Returns its share of the time that they took.
    pub fn stop(&self, step: &PlanStep, reading: &Reading, usage: Usage, (good, among): (bool, u32)) -> Duration {
        let took = reading.begun.elapsed() / among.max(1);
        if let Some(m) = self.steps.borrow_mut().get_mut(&step.id).filter(|_| among > 1 && good) {
            m.together += 1;
        }
        if let Some(held) = &reading.held {
            self.energy.end(step.id, held, self.begun.elapsed().as_secs_f64());
        }
        let counted = reading.held.is_some() && self.energy.joules(step.id).is_some();
        self.add(step, took, counted, usage, good);
        took
    }

    /// A call's result was that of another run, which costs nothing.
    pub fn cached(&self, step: &PlanStep) {
        self.earlier(step, Duration::ZERO, Usage { cost_usd: Some(Decimal::ZERO), ..Usage::default() });
        if let Some(m) = self.steps.borrow_mut().get_mut(&step.id) {
            m.cached += 1;
        }
    }

    /// A call was made by an earlier runtime of this run: what it took counts, and happens before this runtime's beginning.
    pub fn earlier(&self, step: &PlanStep, took: Duration, usage: Usage) {
        let mut reading = self.start(step, Duration::ZERO, true);
        if let Some(held) = reading.held.take() {
            self.energy.end(step.id, &held, self.begun.elapsed().as_secs_f64());
        }
        self.add(step, took, false, usage, true);
    }

    /// Adds a call to its step's figures. `counted` says that a counter was read for it.
    fn add(&self, step: &PlanStep, took: Duration, counted: bool, usage: Usage, good: bool) {
        let mut steps = self.steps.borrow_mut();
        let Some(m) = steps.get_mut(&step.id) else { return };
        m.calls += u64::from(good);
        m.attempts += u64::from(usage.attempts);
        m.tokens_in = m.tokens_in.saturating_add(usage.tokens_in);
        m.tokens_out = m.tokens_out.saturating_add(usage.tokens_out);
        m.tokens_cached = m.tokens_cached.saturating_add(usage.tokens_cached);
        if good {
            self.carried(step);
        }
        if good && step.implementation != m.choice() {
            *m.stood_in.entry(step.implementation.clone()).or_default() += 1;
        }
        let rent = if usage.cost_usd.is_none() { self.rent(step, took) } else { None };
        self.rented.set(self.rented.get() + rent.unwrap_or(0.0));
        if let Some(cost) = usage.cost_usd.and_then(|usd| usd.to_f64()).or(rent) {
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
        let mut estimated = self.estimated.borrow_mut();
        if !counted && let Some(power) = power_w(step) {
            *estimated.entry(step.id).or_default() += power * took.as_secs_f64();
        }
        let part = estimated.get(&step.id).copied();
        if counted || part.is_some() {
            let joules = self.energy.joules(step.id).unwrap_or(0.0);
            m.energy_wh = Some(joules / 3600.0 + part.unwrap_or(0.0));
            // One part that is estimated makes the sum so.
            m.energy_basis = Some(if part.is_some() { Basis::Estimated } else { Basis::Measured });
        }
    }

    /// A step gave a value.
    fn carried(&self, step: &PlanStep) {
        let mut worst = self.worst.borrow_mut();
        if worst.get(&step.id).is_none_or(|known| step.predicted.quality < known.predicted.quality) {
            worst.insert(step.id, step.clone());
        }
    }

    /// The plan with those in it who are planned to do worst of all who carried its steps out; none where these are its own choices.
    pub fn as_carried_out(&self) -> Option<Plan> {
        let worst = self.worst.borrow();
        let other = |by: &PlanStep| {
            let planned = self.planned(by);
            (&by.implementation, &by.knobs, &by.hardware)
                != (&planned.implementation, &planned.knobs, &planned.hardware)
        };
        if !worst.values().any(other) {
            return None;
        }
        let mut plan = self.plan.clone();
        plan.steps.iter_mut().for_each(|step| *step = worst.get(&step.id).unwrap_or(step).clone());
        Some(plan)
    }

    /// What hardware of one's own costs for a time, dollars; of a provider, each call was counted.
    fn rent(&self, step: &PlanStep, took: Duration) -> Option<f64> {
        let pool = self.plan.cluster.pools.get(&step.hardware.device).filter(|_| step.hardware.device != "api")?;
        Some(pool.usd_per_hour.to_f64()? * f64::from(step.hardware.units) * took.as_secs_f64() / 3600.0)
    }

    /// What hardware of one's own cost so far, dollars.
    pub fn rented(&self) -> Decimal {
        Decimal::try_from(self.rented.get()).unwrap_or(Decimal::MAX)
    }

    /// What each step took so far, in the order of the plan.
    pub fn measures(&self) -> Vec<StepMeasure> {
        self.steps.borrow().values().cloned().collect()
    }
}

/// By the plan's figures, for where no counter can be read: watt-hours of a second.
fn power_w(step: &PlanStep) -> Option<f64> {
    let latency = step.predicted.latency_s.to_f64().filter(|s| *s > 0.0)?;
    Some(step.predicted.energy_wh?.to_f64()? / latency)
}
