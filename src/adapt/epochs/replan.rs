//! A plan in force + jobs, machines and replicas of now → the plan to go on with.

use super::today::{as_it_runs, choices, scaled};
use super::{Cause, Change, Policy, Replan, Saves, Verdict};
use crate::fleet::give_way::solved;
use crate::fleet::instance::{Instance, millionths};
use crate::fleet::join::{AloneLate, Unjoined, described};
use crate::fleet::model::JointPlan;
use crate::fleet::translate::{Member, Settings};
use crate::plan::reason::shown;
use crate::solve::joint::{Limits, Outcome, Planned};
use crate::space::Machines;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};

/// What a fleet is planned for now.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// The jobs, prepared for these machines with figures as they are measured, each at the rate that is forecast for it.
    pub members: &'a [Member<'a>],
    /// The machines that are there, with their prices.
    pub machines: &'a Machines,
    /// The replicas that run: [`JointPlan::running`], less what was lost.
    pub running: &'a BTreeMap<Instance, i64>,
    /// Whether the time to find out what each job costs alone is out, which only people want to know.
    pub late: AloneLate<'a>,
}

/// Plans again. `Err` where the jobs do not fit what is there, as for a first plan: the plan in force then goes on as far as it can.
pub fn replan(
    today: &JointPlan,
    now: &Now,
    causes: Vec<Cause>,
    policy: &Policy,
    limits: &Limits,
) -> Result<Replan, Unjoined> {
    let Now { members, machines, running, late } = *now;
    let (utilisation, switching) = (today.utilisation, policy.switching());
    let settings = Settings { utilisation, switching, running: running.clone() };
    // What is left to save below this would not be worth a change.
    let enough = (policy.worth * Decimal::from(1_000_000)).to_u32().unwrap_or(0);
    let limits = Limits { enough, ..*limits };
    let (translated, outcome) = solved(members, machines, &settings, &limits).map_err(Unjoined::Unknown)?;
    let as_today = choices(today, members);
    let going_on = as_today.as_ref().map_err(String::clone).and_then(|c| as_it_runs(c, &translated, members));
    let fewest = as_today.ok().and_then(|choice| scaled(&choice, &translated, members).ok());
    let (found, bound, unknown) = match outcome {
        Outcome::Planned(planned) => {
            let bound = planned.bound;
            (Some(planned), bound, None)
        }
        Outcome::Refused(_) => return Err(Unjoined::Refused(Box::new(translated))),
        Outcome::Unknown(why) => (None, 0, Some(why)),
    };
    // Each of them may be cheaper than what the search came to in its time.
    let known = [going_on.as_ref().ok(), fewest.as_ref(), found.as_ref()];
    let Some(cheapest) = known.into_iter().flatten().map(|planned| planned.cost).min() else {
        return Err(Unjoined::Unknown(unknown.unwrap_or_default()));
    };
    let pays = |from: &Planned| {
        let saved = millionths(from.cost - cheapest);
        saved > Decimal::ZERO && saved >= policy.worth * millionths(from.cost)
    };
    let least_change = known.into_iter().flatten().find(|planned| !pays(planned));
    let Some(taken) = least_change else { return Err(Unjoined::Unknown("no plan is left".to_string())) };
    let taken = Planned { bound: bound.min(taken.cost), ..taken.clone() };
    let plan = described(members, machines, &settings, &translated, &taken, late)?;
    let changes = changes(today, &plan, running);
    let verdict = match changes.iter().any(|change| matches!(change, Change::Step { .. })) {
        true => Verdict::Changed,
        false if changes.is_empty() => Verdict::Kept,
        false => Verdict::Scaled,
    };
    let saves = Saves {
        going_on: going_on.as_ref().ok().map(|planned| millionths(planned.cost)),
        broken: going_on.err(),
        cheapest: millionths(cheapest),
        taken: plan.total.usd_per_hour,
        switching: plan.instances.iter().map(|used| used.switching_usd).sum::<Decimal>().normalize(),
    };
    Ok(Replan { causes, verdict, changes, saves, plan })
}

/// The replicas of a plan that run on the machines that are left.
pub fn left(joint: &JointPlan, machines: &Machines) -> BTreeMap<Instance, i64> {
    let mut running = joint.running();
    let mut free: BTreeMap<&str, i64> =
        machines.pools.iter().map(|(name, (units, _))| (name.as_str(), i64::from(*units))).collect();
    for (instance, replicas) in &mut running {
        let units = i64::from(instance.units.max(1));
        let free = free.entry(instance.device.as_str()).or_default();
        *replicas = (*replicas).min(*free / units);
        *free -= *replicas * units;
    }
    running.retain(|_, replicas| *replicas > 0);
    running
}

/// What a plan changes: steps that something else carries out, then replicas.
fn changes(today: &JointPlan, plan: &JointPlan, running: &BTreeMap<Instance, i64>) -> Vec<Change> {
    let mut changes = Vec::new();
    for job in &plan.jobs {
        let Some(before) = today.jobs.iter().find(|other| other.plan.job == job.plan.job) else { continue };
        for step in &job.plan.steps {
            let Some(old) = before.plan.steps.iter().find(|old| old.name == step.name) else { continue };
            let (from, to) = (shown(&old.candidate()), shown(&step.candidate()));
            if from != to {
                changes.push(Change::Step { job: job.plan.job.clone(), step: step.name.clone(), from, to });
            }
        }
    }
    let to_run = plan.running();
    let kinds: BTreeSet<&Instance> = running.keys().chain(to_run.keys()).collect();
    for kind in kinds {
        let count = |of: &BTreeMap<Instance, i64>| of.get(kind).copied().unwrap_or(0);
        let (from, to) = (count(running), count(&to_run));
        if from != to {
            changes.push(Change::Replicas { instance: kind.shown(), from, to });
        }
    }
    changes
}
