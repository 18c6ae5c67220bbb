//! Joint plan + library → what is wrong with it. Knows nothing of the engine: every load, price and total is computed again
//! from the jobs' plans, and those are verified like any plan.

use super::instance::{Carried, Instance, dearest, fees, millionths, up};
use super::model::{JOINT_VERSION, JointJob, JointPlan};
use crate::library::Library;
use crate::plan::model::PlanStep;
use crate::plan::verify::{verify_against, works};
use crate::units::counted;
use ecow::EcoString;
use rust_decimal::Decimal;
use rust_decimal::dec;

/// How far a share may be from the computed one.
const TOLERANCE: Decimal = dec!(0.000001);
/// No figure of a joint plan is beyond this.
const MOST: Decimal = dec!(1e15);

/// Checks a joint plan against the library that it was compiled with. Empty where all is well.
pub fn faults(joint: &JointPlan, library: &Library) -> Vec<String> {
    if joint.joint_version != JOINT_VERSION {
        let version = joint.joint_version;
        return vec![format!("the joint plan has version {version}, and this mkbc reads {JOINT_VERSION}: plan again")];
    }
    let mut wrong = insane(joint);
    for job in &joint.jobs {
        let name = &job.plan.job;
        if job.plan.cluster != joint.cluster {
            wrong.push(format!("the plan of `{name}` is for another cluster"));
        }
        wrong.extend(verify_against(&job.plan, library).into_iter().map(|w| format!("`{name}`: {w}")));
    }
    if !wrong.is_empty() {
        return wrong;
    }
    let mut loads = vec![0i64; joint.instances.len()];
    let mut memory = vec![Decimal::ZERO; joint.instances.len()];
    let mut fees = 0i64;
    for job in &joint.jobs {
        let works = works(&job.plan, library);
        if job.routes.len() != job.plan.steps.len() {
            wrong.push(format!("`{}` has not one route per step", job.plan.job));
            continue;
        }
        let paid_for = dearest(&job.plan.steps);
        for (at, step) in job.plan.steps.iter().enumerate() {
            match route(joint, job, (at, step, paid_for.contains(&at)), &works, library) {
                Ok((instance, load, fee)) => {
                    if let Some(sum) = instance.and_then(|instance| loads.get_mut(instance)) {
                        *sum = sum.saturating_add(load);
                    }
                    if let Some(most) = instance.and_then(|instance| memory.get_mut(instance)) {
                        *most = step.predicted.memory_gb.max(*most);
                    }
                    fees = fees.saturating_add(fee);
                }
                Err(why) => wrong.push(format!("step `{}` of `{}` {why}", step.name, job.plan.job)),
            }
        }
    }
    let by_memory = !joint.switching.per_gb.is_zero();
    for (used, memory) in
        joint.instances.iter().zip(memory).filter(|(used, memory)| by_memory && used.memory_gb < *memory)
    {
        wrong.push(format!("{} fills {memory} GB, and the plan says {}", used.instance.shown(), used.memory_gb));
    }
    if wrong.is_empty() {
        wrong.extend(shares(joint, &loads));
        wrong.extend(sums(joint, &loads, fees, library));
    }
    wrong
}

/// Figures with which nothing can be computed.
fn insane(joint: &JointPlan) -> Vec<String> {
    let mut wrong = Vec::new();
    let outside = |value: Decimal| value.is_sign_negative() && !value.is_zero() || value > MOST;
    if joint.utilisation <= Decimal::ZERO || joint.utilisation > Decimal::ONE {
        wrong.push("the utilisation is not between 0 and 1".to_string());
    }
    let priced = joint.cluster.pools.values().map(|pool| pool.usd_per_hour);
    let figures = priced.chain([joint.switching.start, joint.switching.stop, joint.switching.per_gb]);
    let figures = figures.chain(joint.instances.iter().map(|used| used.memory_gb));
    let figures = figures.chain(joint.jobs.iter().map(|job| job.rate));
    if figures.into_iter().any(|value| outside(value) || value > dec!(1e9)) {
        wrong.push("a price, rate or share is negative or beyond reason".to_string());
    }
    if joint.instances.iter().any(|i| i.replicas.min(i.running) < 0 || i.replicas.max(i.running) > 1 << 40) {
        wrong.push("a number of replicas is negative or beyond reason".to_string());
    }
    if joint.jobs.is_empty() {
        wrong.push("it has no jobs".to_string());
    }
    wrong
}

/// The instance, load and charges of a step, computed again and compared with what the plan says.
fn route(
    joint: &JointPlan,
    job: &JointJob,
    (at, step, paid_for): (usize, &PlanStep, bool),
    works: &[Vec<(EcoString, Decimal)>],
    library: &Library,
) -> Result<(Option<usize>, i64, i64), String> {
    let route = &job.routes[at];
    let entry = library.implementations.get(step.implementation.as_str()).ok_or("uses what the library lacks")?;
    let candidate = step.candidate();
    let own = Instance::of(entry, &candidate);
    let stated = route.instance.map(|at| joint.instances.get(at));
    match (&own, stated) {
        (None, None) => {}
        (Some(own), Some(Some(stated))) if *own == stated.instance => {}
        _ => return Err("is routed to another instance than its plan chooses".to_string()),
    }
    let too_large = "has a load beyond reason";
    let work = works.get(at).map_or(&[][..], Vec::as_slice);
    let (any, either) = fees(&step.hardware.device, &step.predicted, job.rate).ok_or(too_large)?;
    let paid = if paid_for { any.saturating_add(either) } else { any };
    let step = Carried { entry, candidate: &candidate, calls: step.calls, work, predicted: &step.predicted };
    let carried = if own.is_some() { step.load(job.rate).ok_or(too_large)? } else { 0 };
    if millionths(i128::from(carried)) != route.load {
        return Err(format!(
            "loads its instance with {}, and the plan says {}",
            millionths(i128::from(carried)),
            route.load
        ));
    }
    if millionths(i128::from(paid)) != route.fees_usd_per_hour {
        return Err(format!(
            "costs {} usd/h by the call, and the plan says {}",
            millionths(i128::from(paid)),
            route.fees_usd_per_hour
        ));
    }
    Ok((route.instance, carried, paid))
}

fn shares(joint: &JointPlan, loads: &[i64]) -> Vec<String> {
    let mut wrong = Vec::new();
    for job in &joint.jobs {
        for route in &job.routes {
            let Some(all) = route.instance.and_then(|instance| loads.get(instance)) else { continue };
            let share =
                route.load.checked_mul(Decimal::from(1_000_000)).and_then(|load| load.checked_div(Decimal::from(*all)));
            if (share.unwrap_or_default() - route.share).abs() > TOLERANCE {
                wrong.push(format!("the routing shares of `{}` are not those of the loads", job.plan.job));
            }
        }
    }
    wrong
}

/// Replicas, pools, money and the proof's own arithmetic.
fn sums(joint: &JointPlan, loads: &[i64], fees: i64, library: &Library) -> Vec<String> {
    let mut wrong = Vec::new();
    let micro = |value: Decimal| i128::from(up(value).unwrap_or(i64::MAX));
    let mut cost = i128::from(fees);
    let (mut gpus, mut held) = (0i64, std::collections::BTreeMap::new());
    for (at, used) in joint.instances.iter().enumerate() {
        let (shown, hardware) = (used.instance.shown(), &used.instance);
        let units = i64::from(hardware.units);
        if joint.instances[..at].iter().any(|other| other.instance == used.instance) {
            wrong.push(format!("{shown} is there twice"));
        }
        if millionths(i128::from(loads[at])) != used.load {
            wrong.push(format!(
                "{shown} carries {}, and the plan says {}",
                millionths(i128::from(loads[at])),
                used.load
            ));
        }
        // A provider takes all that it says it takes.
        let share = if used.instance.is_account() { Decimal::ONE } else { joint.utilisation };
        let carried = share * Decimal::from(used.replicas);
        if used.instance.is_account() && used.replicas > 1 {
            wrong.push(format!("{shown} is there {} times: its limits are those of one account", used.replicas));
        }
        if used.load > carried {
            wrong.push(format!(
                "{shown} is overloaded: {} can carry {carried}, and its load is {}",
                counted(used.replicas, "replica"),
                used.load
            ));
        }
        *held.entry(hardware.device.as_str()).or_insert(0i64) += used.replicas.saturating_mul(units);
        let hourly = joint.cluster.pools.get(&hardware.device).map_or(Decimal::ZERO, |pool| pool.usd_per_hour);
        let price = hourly * Decimal::from(units);
        let switched = joint.instances.iter().any(|other| other.running > 0);
        let part = |share: Decimal| if switched { micro(price * share) } else { 0 };
        let rent = micro(price) * i128::from(used.replicas);
        let (more, less) = ((used.replicas - used.running).max(0), (used.running - used.replicas).max(0));
        let start = part(joint.switching.starting(used.memory_gb));
        let switching = start * i128::from(more) + part(joint.switching.stop) * i128::from(less);
        if millionths(rent) != used.usd_per_hour || millionths(switching) != used.switching_usd {
            wrong.push(format!("{shown} costs {} usd/h and {} for switching", millionths(rent), millionths(switching)));
        }
        cost += rent + switching;
        if library.devices.get(hardware.device.as_str()).is_some_and(|device| device.gpu) {
            gpus += used.replicas.saturating_mul(units);
        }
    }
    for (device, held) in held {
        let has = joint.cluster.pools.get(device).map_or(0, |pool| i64::from(pool.units));
        if held > has {
            wrong.push(format!("the replicas hold {held} `{device}`, and `{}` has {has}", joint.cluster.name));
        }
    }
    let alone: Decimal = joint.jobs.iter().map(|job| job.alone_usd_per_hour).sum();
    if millionths(cost) != joint.total.usd_per_hour {
        wrong.push(format!("the total is {} usd/h, and the plan says {}", millionths(cost), joint.total.usd_per_hour));
    }
    if alone.normalize() != joint.total.alone_usd_per_hour {
        wrong.push("the cost of all jobs alone is not the sum of theirs".to_string());
    }
    if gpus != joint.total.gpus {
        wrong.push(format!("the replicas hold {}, and the plan says {}", counted(gpus, "GPU"), joint.total.gpus));
    }
    let (bound, total) = (joint.proof.bound_usd_per_hour, joint.total.usd_per_hour);
    if bound > total || joint.proof.optimal != (bound == total) {
        wrong.push("the bound and the total contradict each other".to_string());
    }
    wrong
}
