//! Clock, arrivals and machines → looks at the plan in force; where one names a cause, the fleet is planned again for the rates that are
//! foreseen. A thread of its own, so that planning holds nobody up: runs and requests go on under the plan in force meanwhile.

use super::gates::LATEST;
use super::plans::{AtRate, Case, at_rates};
use super::{Fleet, InForce, said};
use crate::adapt::epochs::{Cause, Seen, Watch};
use crate::adapt::forecast::{Forecasting, forecast};
use crate::fleet::instance::Instance;
use crate::fleet::paces::Paces;
use crate::run::fault::{Fault, FaultKind};
use crate::serve::deploy::Workflow;
use crate::serve::{Service, now_ms};
use crate::space::Machines;
use crate::syntax::room;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Epochs of a workflow's past that are looked at when the server starts.
const PAST: i64 = 400;

/// Starts the thread; it ends when the fleet is closed.
pub fn spawn(service: Arc<Service>) -> Result<JoinHandle<()>, Fault> {
    let thread = std::thread::Builder::new().name("fleet".to_owned()).stack_size(room::STACK);
    let started = thread.spawn(move || {
        room::has_room();
        Watching::new().until_closed(&service)
    });
    started.map_err(|e| Fault::new(FaultKind::Process, format!("the fleet has no thread: {e}")))
}

/// What a watcher remembers.
struct Watching {
    began_ms: i64,
    /// The plan that is watched, and how.
    number: u64,
    watch: Watch,
    /// When there was last no plan in the place of the one in force.
    refused_ms: Option<i64>,
    /// Whether it did not pay, when it was last looked for, to stop what stands idle: until another cause comes, it does not now.
    idle_kept: bool,
    past: BTreeMap<String, Past>,
    marks: VecDeque<Mark>,
}

/// Seconds × calls under way and seconds × slots of each instance, until a moment.
type Mark = (Instant, BTreeMap<Instance, (f64, f64)>);

/// The rates of a workflow's closed epochs, up to the one before `next`.
struct Past {
    next: i64,
    rates: Vec<f64>,
}

impl Watching {
    fn new() -> Watching {
        Watching {
            began_ms: now_ms(),
            number: 0,
            watch: Watch::default(),
            refused_ms: None,
            idle_kept: false,
            past: BTreeMap::new(),
            marks: VecDeque::new(),
        }
    }

    fn until_closed(mut self, service: &Service) {
        let fleet = &service.fleet;
        let mut next = Instant::now();
        // The first reading looks for GPUs, which takes a while: no request is to wait for it.
        service.sensors.read();
        // Of what the server before was taking down, all may have ended.
        let _ = fleet.sweep(service);
        while let Some(nudged) = fleet.wait(next) {
            if nudged {
                // What cannot be written is said by the store; the next run that ends comes by here again.
                let _ = fleet.sweep(service);
            }
            let due = fleet.is_due();
            if due || Instant::now() >= next {
                self.look(service, due);
                next = Instant::now() + fleet.terms.look;
            }
        }
    }

    /// Looks once, and plans again where there is a cause.
    fn look(&mut self, service: &Service, due: bool) {
        let (fleet, now) = (&service.fleet, now_ms());
        let idle = fleet.state().workflows.is_empty();
        // A server on which nothing is deployed knows what it has, and does not ask its devices again and again.
        if idle && !due && fleet.sight().machines.is_some() {
            return;
        }
        let Ok(machines) = fleet.look(&service.planner) else { return };
        let rates = self.measure(service, now);
        let Some(force) = fleet.in_force() else { return };
        let paces = fleet.gates.paces(service.planner.library(), &force.joint);
        fleet.state().sight.paces = paces.clone();
        if self.number != force.number {
            (self.number, self.watch, self.refused_ms) = (force.number, Watch::default(), None);
        }
        let policy = &fleet.terms.policy;
        let since = |ms: i64| (now - ms).max(0).unsigned_abs() / 1_000;
        // What had no plan a moment ago has none now.
        if self.refused_ms.is_some_and(|refused| since(refused) < u64::from(policy.rest_s)) {
            return;
        }
        let seen_rates = rates.iter().map(|(key, rate)| (key.clone(), decimal(*rate))).collect();
        let since_s = since(self.refused_ms.unwrap_or(force.since_ms));
        let seen = Seen { since_s, rates: &seen_rates, paces: &paces, machines: &machines };
        let mut causes = self.watch.look(&force.joint, &seen, policy);
        if self.idle_kept && causes.iter().all(Cause::is_idle) {
            causes.clear();
        }
        if !causes.is_empty() {
            self.plan(service, &machines, causes, &rates);
        }
    }

    /// Plans again, for the causes that were seen.
    fn plan(&mut self, service: &Service, machines: &Machines, causes: Vec<Cause>, measured: &BTreeMap<String, f64>) {
        let fleet = &service.fleet;
        let _one = fleet.changing();
        // Meanwhile somebody may have deployed something: the new plan is looked at anew.
        let Some(force) = fleet.in_force().filter(|force| force.number == self.number) else { return };
        let all = fleet.state().workflows.clone();
        let (rates, foreseen) = self.foresee(service, &all, &force, &causes, measured);
        let paces = paced(fleet.paces(), &causes);
        let (causes, foreseen) = (&causes, &foreseen);
        let case = Case { force: &force, machines, paces: &paces, causes: causes.clone(), foreseen: foreseen.clone() };
        let planned = fleet.again(service, &case, &rates);
        self.idle_kept =
            causes.iter().all(Cause::is_idle) && planned.as_ref().is_ok_and(|(_, said)| said.verdict == "kept");
        let next = |(joint, said)| fleet.enact(service, all, (Some(joint), paces), said);
        if let Err(why) = planned.and_then(next) {
            let help = why.hint().map(|help| format!("\n{help}")).unwrap_or_default();
            let why = Some(format!("{}{help}", why.message()));
            // What cannot be kept is still in the log, and shown as long as this server is there.
            let said = said::none("refused", causes, foreseen.clone(), Some(&force.joint), why);
            let _ = fleet.note(service, said);
            self.refused_ms = Some(now_ms());
        }
    }

    /// The rates to provide for, and how they were foreseen. Where something has drifted, what is seen now is part of the past.
    fn foresee(
        &mut self,
        service: &Service,
        all: &BTreeMap<String, Arc<Workflow>>,
        force: &InForce,
        causes: &[Cause],
        measured: &BTreeMap<String, f64>,
    ) -> (Vec<AtRate>, said::Foreseen) {
        let epoch_s = i64::from(service.fleet.terms.policy.epoch_s.max(1));
        let day = usize::try_from(86_400 / epoch_s).unwrap_or(0);
        let asked = Forecasting { periods: vec![day, 7 * day], ..Forecasting::default() };
        // A workflow that is expected to rest still has somewhere to run: one run an epoch.
        let least = Decimal::ONE / Decimal::from(epoch_s);
        let drifted = causes.iter().any(|cause| !matches!(cause, Cause::Schedule));
        let mut foreseen = said::Foreseen::new();
        let mut rates = at_rates(all, Some(force));
        for (workflow, rate) in &mut rates {
            let key = &workflow.key;
            let mut history = self.past(service, workflow, epoch_s * 1_000);
            history.extend(measured.get(key).filter(|_| drifted));
            let Some(forecast) = forecast(&history, &asked) else {
                foreseen.insert(key.clone(), "as planned before: nothing was measured yet".to_owned());
                continue;
            };
            // A forecast knows the past. What is seen already is not less.
            let seen = causes.iter().find_map(|cause| match cause {
                Cause::Rate { job, measured, .. } if job == key => Some(*measured),
                _ => None,
            });
            *rate = forecast.rate().max(least).max(seen.unwrap_or_default());
            foreseen.insert(key.clone(), forecast.to_string());
        }
        (rates, foreseen)
    }

    /// The rates of a workflow's closed epochs, oldest first: whole ones since it was deployed.
    fn past(&mut self, service: &Service, workflow: &Workflow, epoch_ms: i64) -> Vec<f64> {
        let (now, deployed) = (now_ms().div_euclid(epoch_ms), workflow.ordered.deployed_ms);
        let first = (deployed.div_euclid(epoch_ms) + 1).max(now - PAST);
        let past = self.past.entry(workflow.key.clone()).or_insert(Past { next: first, rates: Vec::new() });
        if past.next < first {
            // It was taken down and deployed again.
            *past = Past { next: first, rates: Vec::new() };
        }
        while past.next < now {
            let (from, to) = (past.next * epoch_ms, (past.next + 1) * epoch_ms);
            let Ok(count) = service.store.arrived(&workflow.key, from, to) else { break };
            past.rates.push(count as f64 * 1e3 / epoch_ms as f64);
            past.next += 1;
        }
        past.rates.clone()
    }

    /// What was seen over the last window: rates of workflows that were there all the time, busy shares of instances.
    fn measure(&mut self, service: &Service, now: i64) -> BTreeMap<String, f64> {
        let (fleet, window) = (&service.fleet, service.fleet.terms.window);
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX).max(1);
        let mut rates = BTreeMap::new();
        for workflow in fleet.workflows() {
            let from = now.saturating_sub(window_ms);
            if workflow.ordered.deployed_ms.max(self.began_ms) > from {
                continue;
            }
            if let Ok(count) = service.store.arrived(&workflow.key, from, now) {
                rates.insert(workflow.key.clone(), count as f64 * 1e3 / window_ms as f64);
            }
        }
        let busy = self.busy(fleet, window);
        let mut state = fleet.state();
        (state.sight.rates, state.sight.busy) = (rates.clone(), busy);
        rates
    }

    fn busy(&mut self, fleet: &Fleet, window: Duration) -> BTreeMap<Instance, f64> {
        let at = Instant::now();
        let sums: BTreeMap<Instance, (f64, f64)> =
            fleet.gates.seen().into_iter().map(|(instance, seen)| (instance, (seen.busy, seen.offered))).collect();
        // The latest mark that is a window old is where the window begins.
        while self.marks.get(1).is_some_and(|(then, _)| at.saturating_duration_since(*then) >= window) {
            self.marks.pop_front();
        }
        let before = self.marks.front().filter(|(then, _)| at.saturating_duration_since(*then) >= window);
        let share = |(instance, (busy, offered)): (&Instance, &(f64, f64))| {
            let (then_busy, then_offered) = before?.1.get(instance).copied()?;
            let offered = offered - then_offered;
            (offered > 0.0).then(|| (instance.clone(), (busy - then_busy) / offered))
        };
        let shares = sums.iter().filter_map(share).collect();
        self.marks.push_back((at, sums));
        shares
    }
}

impl Fleet {
    /// Whether the machines are to be looked at now; asked again, they are not.
    fn is_due(&self) -> bool {
        std::mem::take(&mut self.state().due)
    }

    /// Waits until a moment, or until there is something to do; whether somebody said so. None once the fleet is closed.
    fn wait(&self, until: Instant) -> Option<bool> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if std::mem::take(&mut state.nudged) {
                return Some(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(false);
            }
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The measured times to plan with: others only of calls whose times are a cause, so that no plan changes by noise.
fn paced(before: Paces, causes: &[Cause]) -> Paces {
    let seen = causes.iter().filter_map(|cause| match cause {
        Cause::Pace { instance, times, .. } => Some((instance, *times)),
        _ => None,
    });
    seen.fold(before, |paces, (instance, times)| paces.seen(instance, times, LATEST as u64))
}

fn decimal(rate: f64) -> Decimal {
    Decimal::from_f64_retain(rate).unwrap_or_default().round_dp(6).normalize()
}
