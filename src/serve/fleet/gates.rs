//! Instances of the plan → as many places for calls as they have, for all runs together; how many are taken is measured.
//!
//! A replica of an instance takes so many calls at once (its slots). Runs are threads with a runtime each; what they share is here. Of the calls
//! that wait for a place, those of runs with a higher priority go first, of equal ones who asked first; whoever has waited longest is passed over
//! so often at most. Where the plan gets fewer replicas, calls under way end, and the places that are too many go as they come back. An instance that leaves the plan
//! keeps its places: runs that were accepted under the plan before still use them. How long calls take is held against the plan.

use crate::fleet::instance::{Carried, Instance};
use crate::fleet::model::JointPlan;
use crate::library::Library;
use crate::plan::model::PlanStep;
use crate::run::places::{Entering, Place, Places};
use crate::serve::fleet::room::{Room, Seat};
use crate::serve::planning::Planner;
use crate::space::load::width;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// More calls than this are never under way on one instance.
const MOST: u64 = 1 << 20;

/// The places of all instances.
#[derive(Debug, Default)]
pub struct Gates(Mutex<BTreeMap<Instance, Arc<Gate>>>);

#[derive(Debug)]
struct Gate {
    room: Arc<Room>,
    count: Mutex<Count>,
    /// Seconds of the latest calls that gave a value, by workflow and step.
    took: Mutex<Took>,
}

type Took = BTreeMap<(String, String), VecDeque<f64>>;

/// Calls whose times are remembered, and without which nothing is said of them.
pub const LATEST: usize = 20;
/// The standard errors by which a mean must differ from what is planned.
const SURE: f64 = 2.0;

#[derive(Clone, Copy, Debug)]
struct Count {
    slots: u64,
    under_way: u64,
    calls: u64,
    /// Seconds × calls under way, and seconds × slots, until `at`.
    busy: f64,
    offered: f64,
    at: Instant,
}

/// What is seen of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Calls that it takes at once.
    pub slots: u64,
    /// Calls under way.
    pub under_way: u64,
    /// Calls that began.
    pub calls: u64,
    /// Seconds × calls under way so far.
    pub busy: f64,
    /// Seconds × slots so far.
    pub offered: f64,
}

impl Count {
    /// Counts what was under way until now.
    fn advance(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.busy += seconds * self.under_way as f64;
        self.offered += seconds * self.slots as f64;
        self.at = now;
    }
}

impl Gate {
    fn of(slots: u64, now: Instant) -> Gate {
        let count = Count { slots, under_way: 0, calls: 0, busy: 0.0, offered: 0.0, at: now };
        Gate { room: Room::of(slots), count: Mutex::new(count), took: Mutex::default() }
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resize(&self, slots: u64, now: Instant) {
        let mut count = self.count();
        count.advance(now);
        // Where there are fewer now, those that are taken are waited for.
        self.room.grow(slots as i64 - count.slots as i64);
        count.slots = slots;
    }
}

impl Gates {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Instance, Arc<Gate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the instances of a plan the places that their replicas have.
    pub fn set(&self, planner: &Planner, joint: &JointPlan) {
        self.resize(slots(planner.library(), joint));
    }

    fn resize(&self, slots: BTreeMap<Instance, u64>) {
        let (mut all, now) = (self.all(), Instant::now());
        for (instance, slots) in slots {
            all.entry(instance).or_insert_with(|| Arc::new(Gate::of(slots, now))).resize(slots, now);
        }
    }

    /// What is seen of every instance that ever had places.
    pub fn seen(&self) -> BTreeMap<Instance, Seen> {
        let now = Instant::now();
        let seen = |gate: &Gate| {
            let mut count = gate.count();
            count.advance(now);
            let Count { slots, under_way, calls, busy, offered, .. } = *count;
            Seen { slots, under_way, calls, busy, offered }
        };
        self.all().iter().map(|(instance, gate)| (instance.clone(), seen(gate))).collect()
    }

    /// How many times as long as planned the latest calls of each instance took: of those of which enough were seen, 1 where that may be
    /// chance. A call's time is held against what the plan says of its step now, whichever plan it was made under.
    pub fn paces(&self, library: &Library, joint: &JointPlan) -> BTreeMap<Instance, Decimal> {
        let mut shares: BTreeMap<&Instance, Vec<f64>> = BTreeMap::new();
        let gates = self.all().clone();
        for job in &joint.jobs {
            for (step, route) in job.plan.steps.iter().zip(&job.routes) {
                let used = route.instance.and_then(|at| joint.instances.get(at)).map(|used| &used.instance);
                let (Some(instance), Some(planned)) = (used, once(library, step)) else { continue };
                let Some(gate) = gates.get(instance) else { continue };
                let took = gate.took.lock().unwrap_or_else(PoisonError::into_inner);
                let seen = took.get(&(job.plan.job.clone(), step.name.clone()));
                let share = |seconds: &f64| seconds / planned;
                shares.entry(instance).or_default().extend(seen.into_iter().flatten().map(share));
            }
        }
        let enough = shares.into_iter().filter(|(_, shares)| shares.len() >= LATEST);
        enough.map(|(instance, shares)| (instance.clone(), pace(&shares))).collect()
    }

    /// Waits for a place for a call of a workflow's step, higher priorities first; none where nothing bounds it.
    pub async fn enter(&self, library: &Library, workflow: &str, step: &PlanStep, priority: u8) -> Option<Taken> {
        let gate = self.gate(library, step)?;
        let seat = gate.room.enter(priority).await?;
        let of = (workflow.to_owned(), step.name.clone());
        Some(Taken { gate, of, _seat: seat, begun: Cell::new(false) })
    }

    fn gate(&self, library: &Library, step: &PlanStep) -> Option<Arc<Gate>> {
        let candidate = step.candidate();
        let entry = library.implementations.get(&candidate.implementation)?;
        let instance = Instance::of(entry, &candidate)?;
        self.all().get(&instance).cloned()
    }
}

/// Seconds that a plan says one call of a step takes.
fn once(library: &Library, step: &PlanStep) -> Option<f64> {
    let candidate = &step.candidate();
    let entry = library.implementations.get(&candidate.implementation)?;
    let carried = Carried { entry, candidate, calls: step.calls, work: &[], predicted: &step.predicted };
    carried.once()?.to_f64().filter(|seconds| *seconds > 0.0)
}

/// The mean, where it differs from 1 by more than chance would have it.
fn pace(shares: &[f64]) -> Decimal {
    let count = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / count;
    let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let sure = (mean - 1.0).abs() > SURE * (variance / count).sqrt();
    let mean = Decimal::from_f64_retain(mean).filter(|_| sure).unwrap_or(Decimal::ONE);
    mean.round_dp(3).normalize()
}

/// How many calls the replicas of each instance of a plan take at once. A provider's account has no places here.
fn slots(library: &Library, joint: &JointPlan) -> BTreeMap<Instance, u64> {
    let mut all = BTreeMap::new();
    for job in &joint.jobs {
        for (step, route) in job.plan.steps.iter().zip(&job.routes) {
            let used = route.instance.and_then(|at| joint.instances.get(at));
            let Some(used) = used.filter(|used| !used.instance.is_account()) else { continue };
            let candidate = step.candidate();
            let each = library.implementations.get(&candidate.implementation).map(|entry| width(entry, &candidate));
            let slots = each.unwrap_or(Decimal::ONE) * Decimal::from(used.replicas);
            all.insert(used.instance.clone(), slots.to_u64().unwrap_or(1).clamp(1, MOST));
        }
    }
    all
}

/// The places of the calls of a workflow's run.
pub struct OnFleet<'a> {
    /// The gates.
    pub gates: &'a Gates,
    /// The workflow.
    pub workflow: &'a str,
    /// What the steps' entries stand in.
    pub library: &'a Library,
    /// The run's priority: higher ones go first.
    pub priority: u8,
}

impl Places for OnFleet<'_> {
    fn enter<'a>(&'a self, step: &'a PlanStep) -> Entering<'a> {
        Box::pin(async move {
            let taken = self.gates.enter(self.library, self.workflow, step, self.priority).await?;
            Some(Box::new(taken) as Box<dyn Place>)
        })
    }
}

/// A place that is taken.
#[derive(Debug)]
pub struct Taken {
    gate: Arc<Gate>,
    /// The workflow and the step that it is for.
    of: (String, String),
    _seat: Seat,
    begun: Cell<bool>,
}

impl Place for Taken {
    fn begin(&self) {
        if !self.begun.replace(true) {
            let mut count = self.gate.count();
            count.advance(Instant::now());
            count.under_way += 1;
            count.calls += 1;
        }
    }

    fn done(&self, took: Duration) {
        let mut all = self.gate.took.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = all.entry(self.of.clone()).or_default();
        if latest.len() >= LATEST {
            latest.pop_front();
        }
        latest.push_back(took.as_secs_f64());
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut count = self.gate.count();
        count.advance(Instant::now());
        if self.begun.get() {
            count.under_way -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::block_on;
    use futures_util::FutureExt;

    fn instance() -> Instance {
        let (implementation, device) = ("t".to_owned(), "cpu".to_owned());
        Instance { implementation, knobs: BTreeMap::new(), device, units: 1 }
    }

    /// Waits for a place of the instance, as a call does.
    async fn enter(gates: &Gates) -> Taken {
        let gate = gates.all()[&instance()].clone();
        let seat = gate.room.enter(4).await.expect("open");
        let of = ("w".to_owned(), "s".to_owned());
        let taken = Taken { gate, of, _seat: seat, begun: Cell::new(false) };
        taken.begin();
        taken
    }

    #[test]
    fn places_grow_at_once_and_shrink_as_calls_end() {
        let gates = Gates::default();
        let sized = |slots| gates.resize(BTreeMap::from([(instance(), slots)]));
        let seen = || gates.seen()[&instance()];
        block_on(async {
            sized(2);
            let (first, second) = (enter(&gates).await, enter(&gates).await);
            assert!(enter(&gates).now_or_never().is_none(), "both are taken");
            assert_eq!((seen().slots, seen().under_way, seen().calls), (2, 2, 2));
            sized(1);
            drop(first);
            assert!(enter(&gates).now_or_never().is_none(), "the place that came back was one too many");
            sized(3);
            let more = [enter(&gates).await, enter(&gates).await];
            assert!(enter(&gates).now_or_never().is_none());
            sized(1);
            sized(2);
            drop(second);
            drop(more);
            assert_eq!(seen().under_way, 0);
            let two = [enter(&gates).await, enter(&gates).await];
            assert!(enter(&gates).now_or_never().is_none(), "as many as there are in the end");
            drop(two);
        })
        .expect("a runtime");
        let seen = seen();
        assert!(seen.busy >= 0.0 && seen.offered >= 0.0);
    }

    #[test]
    fn what_may_be_chance_is_as_planned() {
        let noisy = |mean: f64, spread: f64| -> Vec<f64> {
            (0..LATEST).map(|n| mean + if n % 2 == 0 { spread } else { -spread }).collect()
        };
        let shown = |shares: &[f64]| pace(shares).to_string();
        assert_eq!(shown(&noisy(2.0, 0.5)), "2");
        assert_eq!(shown(&noisy(0.5, 0.1)), "0.5");
        assert_eq!(shown(&noisy(1.2, 0.8)), "1", "within two standard errors");
    }
}
