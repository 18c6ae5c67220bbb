//! Joint plans + the libraries that they were made with → deployments: the figures of the plans as paces, times and prices.

use super::model::{Carried, Deployment, Job, Kind, Limit, Pace, Pool, Route, To};
use super::{Micros, micros};
use crate::fleet::instance::Instance;
use crate::fleet::model::{JointJob, JointPlan};
use crate::ir::dag::Dag;
use crate::ir::stream::Role;
use crate::library::profile::Setting;
use crate::library::{Concurrency, Implementation, Library};
use crate::plan::model::{Plan, PlanStep};
use crate::plan::verify::works;
use crate::space::ends::{End, Ends, Row, Rows};
use crate::space::figures::{Called, figures_with};
use crate::space::load::{taken, width};
use crate::space::{Candidate, Machines, Terms};
use ecow::EcoString;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The most calls at once that a replica is followed with.
const MOST_SLOTS: u32 = 4096;

/// What it takes until a replica is there.
#[derive(Clone, Copy, Debug)]
pub struct Starting {
    /// The machine.
    pub machine: Micros,
    /// How fast a model is loaded onto it, gigabytes a second.
    pub load_gb_s: f64,
}

/// The pools of machines, in order of name.
pub fn pools(machines: &Machines, library: &Library) -> Vec<Pool> {
    let gpu = |name: &str| library.devices.get(name).is_some_and(|device| device.gpu);
    let pool = |(name, (units, price)): (&EcoString, &(u32, Decimal))| Pool {
        name: name.to_string(),
        units: i64::from(*units),
        gpu: gpu(name),
        usd_per_hour: *price,
    };
    machines.pools.iter().map(pool).collect()
}

/// The limit on the latency of a job's runs that counts: that on the highest percentile, of the hard ones.
pub fn limit(plan: &Plan) -> Option<Limit> {
    [("latency.p99", 0.01), ("latency.p95", 0.05), ("latency", 1.0)].iter().find_map(|(metric, allowed)| {
        let clause = plan.clauses.iter().find(|clause| clause.metric == *metric && !clause.soft)?;
        Some(Limit { text: clause.text.clone(), time: micros(float(clause.limit)), allowed: *allowed })
    })
}

/// A job's steps and who waits for whom, as a plan says.
pub fn job(plan: &Plan, limit: Option<Limit>) -> Job {
    let edges = Dag::of(&plan.body, plan.steps.len()).edges();
    Job::new(&plan.job, plan.steps.len(), &edges, limit)
}

/// Everything that the deployments of one simulation use.
pub struct Catalogue<'a> {
    pools: &'a [Pool],
    starting: Starting,
    libraries: Vec<&'a Library>,
    names: Vec<String>,
    kinds: BTreeMap<(Option<usize>, Instance), Rc<Kind>>,
    accounts: BTreeMap<Instance, usize>,
    /// What is not in the energy, for people.
    pub unknown: BTreeSet<String>,
}

impl<'a> Catalogue<'a> {
    /// For jobs with these names, each with its library.
    pub fn new(pools: &'a [Pool], starting: Starting, names: &[String], libraries: Vec<&'a Library>) -> Catalogue<'a> {
        Catalogue {
            pools,
            starting,
            libraries,
            names: names.to_vec(),
            kinds: BTreeMap::new(),
            accounts: BTreeMap::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// The deployment of plans that together carry out every job once. Each plan has its instances for itself.
    pub fn deploy(&mut self, plans: &[&JointPlan]) -> Result<Deployment, String> {
        let mut carried: Vec<Option<Carried>> = vec![None; self.names.len()];
        let mut placed = Vec::new();
        for (number, joint) in plans.iter().enumerate() {
            let owner = (plans.len() > 1).then_some(number);
            let mut kinds: Vec<Option<Rc<Kind>>> = vec![None; joint.instances.len()];
            for job in &joint.jobs {
                let place = self.names.iter().position(|name| *name == job.plan.job);
                let place = place
                    .ok_or_else(|| format!("the plan is of a job `{}`, which is not among these", job.plan.job))?;
                if carried[place].is_some() {
                    return Err(format!("`{}` is planned twice", job.plan.job));
                }
                carried[place] = Some(self.carried(joint, owner, job, place, &mut kinds)?);
            }
            for (kind, used) in kinds.into_iter().zip(&joint.instances) {
                placed.extend(kind.map(|kind| (kind, used.replicas)));
            }
        }
        let missing = carried.iter().position(Option::is_none).and_then(|place| self.names.get(place));
        if let Some(name) = missing {
            return Err(format!("no plan carries out `{name}`"));
        }
        Ok(Deployment { placed, jobs: Rc::new(carried.into_iter().flatten().collect()) })
    }

    fn carried(
        &mut self,
        joint: &JointPlan,
        owner: Option<usize>,
        job: &JointJob,
        place: usize,
        kinds: &mut [Option<Rc<Kind>>],
    ) -> Result<Carried, String> {
        let library = self.libraries[place];
        let works = works(&job.plan, library);
        let mut routes = Vec::new();
        for (at, step) in job.plan.steps.iter().enumerate() {
            let lacking = || format!("the library has no `{}` as `{}` uses it", step.implementation, step.name);
            let entry = library.implementations.get(step.implementation.as_str()).ok_or_else(lacking)?;
            let work = works.get(at).map_or(&[][..], Vec::as_slice);
            let used = Used { step, entry, candidate: step.candidate(), work, library };
            let instance = job.routes.get(at).and_then(|route| route.instance);
            let to = match instance.and_then(|at| Some((at, &joint.instances.get(at)?.instance))) {
                None => To::Free,
                Some((_, instance)) if instance.is_account() => {
                    let next = self.accounts.len();
                    let account = *self.accounts.entry(instance.clone()).or_insert(next);
                    let share = taken((entry, &used.candidate), Decimal::ONE, Decimal::ONE, work).map_or(0.0, float);
                    To::Account { account, share }
                }
                Some((at, instance)) => {
                    let kind = match &kinds[at] {
                        Some(kind) => kind.clone(),
                        None => self.kind(owner, instance, &used)?,
                    };
                    kinds[at] = Some(kind.clone());
                    To::Kind(kind.id)
                }
            };
            routes.push(used.route(to).ok_or_else(lacking)?);
        }
        Ok(Carried { routes, quality: float(job.plan.total.quality) })
    }

    fn kind(&mut self, owner: Option<usize>, instance: &Instance, used: &Used) -> Result<Rc<Kind>, String> {
        let key = (owner, instance.clone());
        if let Some(kind) = self.kinds.get(&key) {
            return Ok(kind.clone());
        }
        let pool = self.pools.iter().position(|pool| pool.name == instance.device);
        let pool = pool.ok_or_else(|| format!("{} needs a device that the cluster lacks", instance.shown()))?;
        let memory = float(used.step.predicted.memory_gb);
        let device = used.library.devices.get(instance.device.as_str());
        let has = device.and_then(|device| device.memory_gb).map(|memory| float(memory) * f64::from(instance.units));
        if has.is_some_and(|has| memory > has) {
            let has = has.unwrap_or_default();
            return Err(format!("{} needs {memory} GB, and its devices have {has} GB", instance.shown()));
        }
        let pace =
            used.paces().ok_or_else(|| format!("{} has figures too large to simulate with", instance.shown()))?;
        if pace.iter().all(|pace| pace.watts == 0.0) {
            self.unknown.insert(format!("{} while busy", instance.shown()));
        }
        let idle_w = used.idle();
        if idle_w.is_none() {
            self.unknown.insert(format!("{} with nothing to do", instance.device));
        }
        let kind = Rc::new(Kind {
            id: self.kinds.len(),
            name: match owner.and_then(|owner| self.names.get(owner)) {
                Some(job) => format!("{} of {job}", instance.shown()),
                None => instance.shown(),
            },
            pool,
            units: i64::from(instance.units),
            pace,
            idle_w: idle_w.unwrap_or(0.0),
            start: self.starting.machine + micros(memory / self.starting.load_gb_s),
            memory_gb: memory,
        });
        self.kinds.insert(key, kind.clone());
        Ok(kind)
    }
}

/// A step with all that its figures come from.
struct Used<'a> {
    step: &'a PlanStep,
    entry: &'a Implementation,
    candidate: Candidate,
    work: &'a [(EcoString, Decimal)],
    library: &'a Library,
}

impl Used<'_> {
    fn slots(&self) -> u32 {
        width(self.entry, &self.candidate).to_u32().unwrap_or(1).clamp(1, MOST_SLOTS)
    }

    /// Seconds and watts of a call with so many at once as a candidate's knobs say.
    fn at(&self, candidate: &Candidate) -> Option<(f64, f64)> {
        let (terms, ends) = (Terms::default(), Ends::all(End::Typical));
        let one = Decimal::ONE;
        let called = Called { calls: one, in_turn: one, share: one, role: Role::Aside, either: false };
        let figures = figures_with(self.entry, candidate, self.work, called, &terms, &ends)?;
        let (seconds, energy) = (float(figures.latency), figures.energy.map_or(0.0, float));
        Some((seconds, if seconds > 0.0 { energy * 3600.0 / seconds } else { 0.0 }))
    }

    /// How fast a call is with so many at once, for every number up to what a replica takes: between the batches that the library has
    /// figures for, time and power are taken to be on a straight line; below the smallest of them, as with that.
    fn paces(&self) -> Option<Vec<Pace>> {
        let slots = self.slots();
        let full = self.at(&self.candidate)?;
        let mut known: BTreeMap<u32, (f64, f64)> = BTreeMap::from([(slots, full)]);
        if let Concurrency::Knob(knob) = &self.entry.concurrency {
            let values = self.entry.knobs.iter().filter(|(name, _)| name == knob).flat_map(|(_, values)| values);
            for value in values {
                let Some(batch) = value.parse::<u32>().ok().filter(|batch| (1..slots).contains(batch)) else {
                    continue;
                };
                let mut smaller = self.candidate.clone();
                smaller.knobs.iter_mut().filter(|(name, _)| name == knob).for_each(|(_, own)| *own = value.clone());
                known.extend(self.at(&smaller).map(|figures| (batch, figures)));
            }
        }
        let at = |calls: u32| {
            let above = known.range(calls..).next().map_or((&slots, &full), |above| above);
            let below = known.range(..=calls).next_back().unwrap_or(above);
            let way = if above.0 > below.0 { f64::from(calls - below.0) / f64::from(above.0 - below.0) } else { 0.0 };
            let between = |low: f64, high: f64| low + (high - low) * way;
            (between(below.1.0, above.1.0), between(below.1.1, above.1.1))
        };
        let pace = |calls| {
            let (seconds, watts) = at(calls);
            Pace { speed: if seconds > 0.0 { full.0 / seconds } else { 1.0 }, watts }
        };
        Some((1..=slots).map(pace).collect())
    }

    /// What a replica draws with nothing to do: what the profile says, else what its devices draw.
    fn idle(&self) -> Option<f64> {
        let Candidate { task, knobs, device, units, .. } = &self.candidate;
        let setting = Setting { task, knobs, device, units: *units, work: self.work, by: None };
        let own = self.entry.profile.row("idle.power", &setting).map(|(_, figure)| float(figure.value));
        own.or_else(|| {
            let idle = self.library.devices.get(device)?.facts.idle?;
            Some(float(idle) * f64::from(*units))
        })
    }

    fn route(&self, to: To) -> Option<Route> {
        let ends = Ends::all(End::Typical);
        let rows = Rows::of(self.entry, &self.candidate, self.work, None)?;
        let value = |row: &Row| float(ends.value(&row.0, row.1));
        let (mut input_s, mut output_s) = (0.0, 0.0);
        for (timed, amount) in &rows.latency_per {
            let part = value(&timed.typical) * float(*amount);
            if timed.typical.0.figure == "latency.per.output" { output_s += part } else { input_s += part }
        }
        let calls = float(self.step.calls);
        let fees = self.step.hardware.device == "api" && calls > 0.0;
        Some(Route {
            to,
            calls,
            window: self.slots(),
            fixed_s: value(&rows.latency.typical),
            input_s,
            output_s,
            fee_usd: if fees { float(self.step.predicted.cost_usd) / calls } else { 0.0 },
        })
    }
}

fn float(value: Decimal) -> f64 {
    value.to_f64().unwrap_or(0.0)
}
