//! Jobs of a fleet + a cluster → the joint plan, verified; or the problem in which nothing fits.

use super::give_way::solved;
use super::instance::millionths;
use super::model::{JOINT_VERSION, JointJob, JointPlan, JointProof, JointTotals, Replicas, Route};
use super::translate::{Member, Settings, Translated};
use super::verify::faults;
use crate::check::program::Pin;
use crate::compile::{Changes, Decision, Prepared, Undecided, decide};
use crate::plan::model::{ClusterSpec, Plan, Pool};
use crate::solve::joint::problem::{Fleet, Kind};
use crate::solve::joint::{self, Outcome, Planned};
use crate::solve::{Certify, Limits};
use crate::space::{Candidate, Machines};
use rust_decimal::Decimal;
use std::borrow::Borrow;

/// Rounds of looking for what a job costs alone.
const ALONE: u64 = 2_000;

/// Says whether the time to find out what a job costs alone is out, by its number.
pub type AloneLate<'a> = &'a (dyn Fn(usize) -> bool + Sync);

/// Why there is no joint plan.
pub enum Unjoined {
    /// Nothing fits: what was solved.
    Refused(Box<Translated>),
    /// In words.
    Unknown(String),
}

/// Makes the joint plan. Each job has a plan alone already, so that its own clauses can be kept on machines of its own.
pub fn join(
    members: &[Member],
    machines: &Machines,
    settings: &Settings,
    limits: &joint::Limits,
    late: AloneLate,
) -> Result<JointPlan, Unjoined> {
    let (translated, outcome) = solved(members, machines, settings, limits).map_err(Unjoined::Unknown)?;
    match outcome {
        Outcome::Planned(planned) => described(members, machines, settings, &translated, &planned, late),
        Outcome::Refused(_) => Err(Unjoined::Refused(Box::new(translated))),
        Outcome::Unknown(why) => Err(Unjoined::Unknown(why)),
    }
}

/// The joint plan that an answer of the engine is, verified.
pub fn described(
    members: &[Member],
    machines: &Machines,
    settings: &Settings,
    translated: &Translated,
    planned: &Planned,
    late: AloneLate,
) -> Result<JointPlan, Unjoined> {
    let (fleet, instances) = (&translated.fleet, &translated.instances);
    // Kinds that nothing uses and nothing used are not part of the plan.
    let shown: Vec<usize> =
        (0..instances.len()).filter(|kind| planned.replicas[*kind] > 0 || fleet.kinds[*kind].running > 0).collect();
    let mut loads = vec![0i64; instances.len()];
    for (job, choice) in fleet.jobs.iter().zip(&planned.choice) {
        for (step, option) in job.problem.steps.iter().zip(choice) {
            if let Some(kind) = step.choices[*option].instance {
                loads[kind] += step.choices[*option].load;
            }
        }
    }
    let mut jobs = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let plan = part(member, &planned.choice[at]).map_err(Unjoined::Unknown)?;
        let job = &fleet.jobs[at];
        let routes = planned.choice[at].iter().zip(&job.problem.steps).zip(&job.fees).map(|((option, step), fees)| {
            let choice = &step.choices[*option];
            let all = choice.instance.map_or(0, |kind| loads[kind]);
            let share = Decimal::from(choice.load).checked_div(Decimal::from(all)).unwrap_or_default();
            Route {
                instance: choice.instance.and_then(|kind| shown.iter().position(|s| *s == kind)),
                load: millionths(i128::from(choice.load)),
                share: share.round_dp(6).normalize(),
                fees_usd_per_hour: millionths(i128::from(fees[*option])),
            }
        });
        let alone = alone(fleet, at, &|| late(at)).map_err(Unjoined::Unknown)?;
        jobs.push(JointJob {
            file: member.file.clone(),
            rate: member.rate,
            routes: routes.collect(),
            alone_usd_per_hour: millionths(alone),
            plan,
        });
    }
    let used: Vec<Replicas> = shown.iter().map(|kind| replicas(*kind, planned, &loads, translated)).collect();
    let library = members.first().map(|member| member.prepared.library);
    let gpu =
        |kind: &&Replicas| library.is_some_and(|l| l.devices.get(kind.instance.device.as_str()).is_some_and(|d| d.gpu));
    let joint = JointPlan {
        joint_version: JOINT_VERSION,
        compiler: concat!("mkbc ", env!("CARGO_PKG_VERSION")).to_string(),
        cluster: cluster(machines),
        utilisation: settings.utilisation.normalize(),
        switching: settings.switching.clone(),
        total: JointTotals {
            usd_per_hour: millionths(planned.cost),
            alone_usd_per_hour: jobs.iter().map(|job| job.alone_usd_per_hour).sum::<Decimal>().normalize(),
            gpus: used.iter().filter(gpu).map(|kind| kind.replicas * i64::from(kind.instance.units)).sum(),
        },
        instances: used,
        jobs,
        proof: JointProof {
            bound_usd_per_hour: millionths(planned.bound),
            optimal: planned.optimal(),
            by: "native".to_string(),
            nodes: planned.nodes,
        },
    };
    match library.map(|library| faults(&joint, library)).unwrap_or_default().as_slice() {
        [] => Ok(joint),
        wrong => {
            let wrong = wrong.join("; ");
            Err(Unjoined::Unknown(format!(
                "the joint plan does not pass verification, which is a fault of mkbc: {wrong}"
            )))
        }
    }
}

/// The machines as a plan shows them.
pub fn cluster(machines: &Machines) -> ClusterSpec {
    let pools = machines.pools.iter();
    let pools = pools.map(|(n, (units, price))| (n.to_string(), Pool { units: *units, usd_per_hour: *price }));
    ClusterSpec { name: machines.name.to_string(), pools: pools.collect() }
}

fn replicas(kind: usize, planned: &Planned, loads: &[i64], translated: &Translated) -> Replicas {
    let (of, replicas): (&Kind, i64) = (&translated.fleet.kinds[kind], planned.replicas[kind]);
    let rent = i128::from(of.price) * i128::from(replicas);
    Replicas {
        instance: translated.instances[kind].clone(),
        memory_gb: translated.memory[kind],
        replicas,
        running: of.running,
        load: millionths(i128::from(loads[kind])),
        usd_per_hour: millionths(rent),
        switching_usd: millionths(of.cost(replicas) - rent),
    }
}

/// A job's own plan with the options that the fleet has chosen: each step is pinned to its option.
fn part(member: &Member, choice: &[usize]) -> Result<Plan, String> {
    let prepared = &member.prepared;
    let chosen = choice.iter().enumerate().map(|(step, option)| {
        let space = &prepared.space.steps[step];
        &space.candidates[space.options[*option].candidate]
    });
    match pinned(prepared, chosen) {
        Ok(decision) => {
            let mut plan = decision.plan;
            for step in &mut plan.steps {
                step.reason = "chosen with the other jobs of the fleet".to_string();
            }
            Ok(plan)
        }
        Err(Undecided::Clash(_)) => {
            Err(format!("the part of `{}` breaks one of its own limits by rounding", prepared.job.name))
        }
        Err(Undecided::Unknown(why)) => Err(why),
    }
}

/// A job decided with each step's candidate given, in the order of the steps.
pub fn pinned<C: Borrow<Candidate>>(
    prepared: &Prepared,
    candidates: impl Iterator<Item = C>,
) -> Result<Decision, Undecided> {
    let pin = |(step, candidate): (usize, C)| {
        let Candidate { implementation, knobs, device, units, .. } = candidate.borrow();
        let implementation = Some(implementation.clone());
        let (knobs, device, units) = (knobs.clone(), Some(device.clone()), vec![*units]);
        (step, Pin { implementation, knobs, device, units, span: prepared.job.span })
    };
    let pins = candidates.enumerate().map(pin).collect();
    let limits = Limits { certify: Certify::Off, ..Limits::default() };
    decide(prepared, &Changes { pins, ..Changes::default() }, &limits)
}

/// What the cheapest fleet of one job costs by the hour at least; every replica is its own, and none runs yet.
fn alone(fleet: &Fleet, job: usize, late: &(dyn Fn() -> bool + Sync)) -> Result<i128, String> {
    let kinds = fleet.kinds.iter().map(|kind| Kind { running: 0, start: 0, stop: 0, ..kind.clone() });
    let one = Fleet { pools: fleet.pools.clone(), kinds: kinds.collect(), jobs: vec![fleet.jobs[job].clone()] };
    // The bound counts where it is not proved: what sharing saves is then more than what is said.
    let limits = joint::Limits { rounds: ALONE, out_of_time: Some(late), any: false };
    match joint::solve(&one, &limits) {
        Outcome::Planned(planned) => Ok(planned.bound),
        Outcome::Refused(_) => Err(format!("`{}` does not fit alone", fleet.jobs[job].name)),
        // It costs something at least; how much was not found out in time.
        Outcome::Unknown(_) if late() => Ok(0),
        Outcome::Unknown(why) => Err(why),
    }
}
