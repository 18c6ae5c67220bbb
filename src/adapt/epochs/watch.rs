//! A plan in force + what is seen → the causes to plan again, if any.

use super::{Busy, Cause, Policy};
use crate::fleet::instance::Instance;
use crate::fleet::model::{JointPlan, Replicas};
use crate::space::Machines;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// What is seen of a fleet.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Seconds since the plan is in force.
    pub since_s: u64,
    /// Runs a second by job, over the last while; a job that is not named runs as planned.
    pub rates: &'a BTreeMap<String, Decimal>,
    /// How many times as long as planned calls take, by instance; one that is not named takes as long.
    pub paces: &'a BTreeMap<Instance, Decimal>,
    /// The machines that are there, with their prices.
    pub machines: &'a Machines,
}

/// Watches a plan; a new plan is watched anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// How often in a row each drift was seen.
    drifts: BTreeMap<Drift, u32>,
}

/// What may drift.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Drift {
    /// The load of the instance at this place of the plan.
    Instance(usize),
    /// The times of its calls.
    Pace(usize),
    /// The rate of a job that the plan has nothing for.
    Job(String),
    /// The fleet as a whole.
    Idle,
}

impl Watch {
    /// Takes a look; nothing to be done where no cause is named.
    pub fn look(&mut self, plan: &JointPlan, seen: &Seen, policy: &Policy) -> Vec<Cause> {
        let mut causes = devices(plan, seen.machines, policy);
        let drifts = drifts(plan, seen, policy);
        let before = std::mem::take(&mut self.drifts);
        for (drift, cause) in drifts {
            let looks = before.get(&drift).copied().unwrap_or(0).saturating_add(1);
            self.drifts.insert(drift, looks);
            if looks >= policy.looks && !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        if seen.since_s >= u64::from(policy.epoch_s) {
            causes.push(Cause::Schedule);
        } else if seen.since_s < u64::from(policy.rest_s) && !causes.iter().any(Cause::urgent) {
            causes.clear();
        }
        causes
    }
}

/// Devices and prices that are not those of the plan. Devices that the plan does not hold may go without a word.
pub fn devices(plan: &JointPlan, machines: &Machines, policy: &Policy) -> Vec<Cause> {
    let mut held: BTreeMap<&str, i64> = BTreeMap::new();
    for used in &plan.instances {
        *held.entry(used.instance.device.as_str()).or_default() += used.replicas * i64::from(used.instance.units);
    }
    let planned = plan.cluster.pools.keys().map(String::as_str);
    let names: BTreeSet<&str> = planned.chain(machines.pools.keys().map(|name| name.as_str())).collect();
    let mut causes = Vec::new();
    for name in names {
        let was = plan.cluster.pools.get(name);
        let now = machines.pools.get(name);
        let (had, has) = (was.map_or(0, |pool| pool.units), now.map_or(0, |(units, _)| *units));
        let device = name.to_string();
        if held.get(name).is_some_and(|held| *held > i64::from(has)) {
            causes.push(Cause::Lost { device, had, has });
        } else if has > had {
            causes.push(Cause::Gained { device, had, has });
        }
        if let (Some(was), Some((_, is))) = (was.map(|pool| pool.usd_per_hour), now)
            && (is - was).abs() > policy.price * was
        {
            causes.push(Cause::Price { device: name.to_string(), was, is: *is });
        }
    }
    causes
}

/// Loads that have left the room of the plan, and idle replicas.
fn drifts(plan: &JointPlan, seen: &Seen, policy: &Policy) -> Vec<(Drift, Cause)> {
    let mut found = Vec::new();
    // What each job puts on each instance at the rate that is seen, and what that is more than planned.
    let mut on: Vec<Vec<(usize, Decimal, Decimal)>> = vec![Vec::new(); plan.instances.len()];
    for (at, job) in plan.jobs.iter().enumerate() {
        let measured = seen.rates.get(&job.plan.job).copied().unwrap_or(job.rate).max(Decimal::ZERO);
        let Some(times) = measured.checked_div(job.rate) else {
            if !measured.is_zero() {
                let (job, planned) = (job.plan.job.clone(), job.rate);
                found.push((Drift::Job(job.clone()), Cause::Rate { job, planned, measured, busy: None }));
            }
            continue;
        };
        for route in &job.routes {
            if let Some(loads) = route.instance.and_then(|instance| on.get_mut(instance)) {
                let load = route.load.saturating_mul(times);
                loads.push((at, load, load - route.load));
            }
        }
    }
    let (mut rent, mut needed) = (Decimal::ZERO, Decimal::ZERO);
    for (place, (used, loads)) in plan.instances.iter().zip(&on).enumerate() {
        let pace = seen.paces.get(&used.instance).copied().unwrap_or(Decimal::ONE).max(Decimal::ZERO);
        let at_rates: Decimal = loads.iter().map(|(_, load, _)| load).sum();
        let load = at_rates.saturating_mul(pace);
        // A provider takes all that it says it takes.
        let may = if used.instance.is_account() { Decimal::ONE } else { plan.utilisation };
        rent += used.usd_per_hour;
        needed += least(used, load, may);
        let most = may * (Decimal::ONE + policy.over) * Decimal::from(used.replicas);
        let instance = used.instance.clone();
        if load <= most {
            // What has room for slower calls may still have been chosen for their times.
            let bound = Decimal::ONE + policy.pace;
            if pace > bound || pace.saturating_mul(bound) < Decimal::ONE {
                found.push((Drift::Pace(place), Cause::Pace { instance, times: pace, busy: None }));
            }
            continue;
        }
        let is = load.checked_div(Decimal::from(used.replicas)).unwrap_or(load);
        let busy = Busy { instance: used.instance.shown(), is: is.round_dp(6).normalize(), may };
        let grown = loads.iter().filter(|(.., more)| *more > Decimal::ZERO).max_by_key(|(.., more)| *more);
        let cause = match grown.and_then(|(job, ..)| plan.jobs.get(*job)) {
            Some(job) if at_rates > most || pace <= Decimal::ONE => {
                let measured = seen.rates.get(&job.plan.job).copied().unwrap_or(job.rate);
                Cause::Rate { job: job.plan.job.clone(), planned: job.rate, measured, busy: Some(busy) }
            }
            _ => Cause::Pace { instance, times: pace, busy: Some(busy) },
        };
        found.push((Drift::Instance(place), cause));
    }
    if rent - needed > policy.idle * rent {
        found.push((Drift::Idle, Cause::Idle { usd_per_hour: (rent - needed).normalize(), of: rent.normalize() }));
    }
    found
}

/// What the replicas that a load needs cost by the hour; one always stays.
fn least(used: &Replicas, load: Decimal, may: Decimal) -> Decimal {
    let needed = load.checked_div(may).unwrap_or_default().ceil().max(Decimal::ONE);
    let each = used.usd_per_hour.checked_div(Decimal::from(used.replicas)).unwrap_or_default();
    each.saturating_mul(needed.min(Decimal::from(used.replicas)))
}
