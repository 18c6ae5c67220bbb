//! Jobs of a fleet + a cluster → the joint plan, verified; or the problem in which nothing fits.

use super::give_way::solved;
use super::instance::{dearest, fees, millionths};
use super::model::{JOINT_VERSION, JointJob, JointPlan, JointProof, JointTotals, Replicas, Route};
use super::translate::{Member, Settings, Translated};
use super::verify::faults;
use crate::check::program::Pin;
use crate::compile::{Changes, Decision, Prepared, Undecided, decide};
use crate::library::Library;
use crate::plan::fallback::named;
use crate::plan::model::{COMPILER, ClusterSpec, Plan, Pool};
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
    /// Nothing was found in the time that there was, and nothing excluded: what was to be solved, and so in words.
    Open(Box<Translated>, String),
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
    joined(members, machines, settings, limits, late).map(|joined| joined.0)
}

/// The same, with the problem that the plan answers.
pub fn joined(
    members: &[Member],
    machines: &Machines,
    settings: &Settings,
    limits: &joint::Limits,
    late: AloneLate,
) -> Result<(JointPlan, Translated), Unjoined> {
    let (translated, outcome) = solved(members, machines, settings, limits).map_err(Unjoined::Unknown)?;
    match outcome {
        Outcome::Planned(mut planned) => {
            // A search that ended early may know less than what the jobs say one by one.
            if !planned.optimal() {
                let apart: i128 = (0..members.len()).filter_map(|job| joint::least(&translated.fleet, job)).sum();
                planned.bound = planned.bound.max(apart).min(planned.cost);
            }
            let plan = described(members, machines, settings, &translated, &planned, late)?;
            Ok((plan, translated))
        }
        Outcome::Refused(_) => Err(Unjoined::Refused(Box::new(translated))),
        Outcome::Unknown(why) => Err(Unjoined::Open(Box::new(translated), why)),
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
    let place = |kind: usize| shown.iter().position(|s| *s == kind);
    let whole = Whole {
        jobs: carried(members, translated, &planned.choice, &place, late)?,
        used: shown.iter().map(|kind| replicas(*kind, planned, &loads, translated)).collect(),
        cost: planned.cost,
        bound: planned.bound,
        nodes: planned.nodes,
        library: members.first().map(|member| member.prepared.library),
    };
    whole.plan(machines, settings)
}

/// The jobs of a plan as they are carried out; `place` says where in the plan a kind stands. The shares of loads are not known yet.
pub(super) fn carried(
    members: &[Member],
    translated: &Translated,
    choice: &[Vec<usize>],
    place: &dyn Fn(usize) -> Option<usize>,
    late: AloneLate,
) -> Result<Vec<JointJob>, Unjoined> {
    let fleet = &translated.fleet;
    let mut jobs = Vec::with_capacity(members.len());
    for (at, member) in members.iter().enumerate() {
        let job = &fleet.jobs[at];
        // Behind the steps stand the ladders of agents.
        let own = choice[at].get(..member.prepared.space.steps.len()).unwrap_or(&choice[at]);
        let plan = part(member, own).map_err(Unjoined::Unknown)?;
        let paid_for = dearest(&plan.steps);
        let mut routes = Vec::with_capacity(own.len());
        for (step, option) in own.iter().enumerate() {
            let choice = &job.problem.steps[step].choices[*option];
            let carried = &plan.steps[step];
            let either = fees(&carried.hardware.device, &carried.predicted, member.rate)
                .map_or(0, |(_, either)| if paid_for.contains(&step) { either } else { 0 });
            routes.push(Route {
                instance: choice.instance.and_then(place),
                load: millionths(i128::from(choice.load)),
                share: Decimal::ZERO,
                fees_usd_per_hour: millionths(i128::from(job.fees[step][*option]) + i128::from(either)),
            });
        }
        let alone = alone(fleet, at, &|| late(at)).map_err(Unjoined::Unknown)?;
        jobs.push(JointJob {
            file: member.file.clone(),
            rate: member.rate,
            routes,
            alone_usd_per_hour: millionths(alone),
            plan,
        });
    }
    Ok(jobs)
}

/// All that a joint plan is of.
pub(super) struct Whole<'a> {
    /// The jobs.
    pub jobs: Vec<JointJob>,
    /// The instances, with the loads of all jobs.
    pub used: Vec<Replicas>,
    /// Micro-dollars an hour, switching included.
    pub cost: i128,
    /// No plan costs less.
    pub bound: i128,
    /// Nodes of the branch and bound.
    pub nodes: u64,
    /// The library that the jobs are from.
    pub library: Option<&'a Library>,
}

impl Whole<'_> {
    /// The joint plan, verified.
    pub fn plan(self, machines: &Machines, settings: &Settings) -> Result<JointPlan, Unjoined> {
        let Whole { mut jobs, used, cost, bound, nodes, library } = self;
        for route in jobs.iter_mut().flat_map(|job| &mut job.routes) {
            let all = route.instance.and_then(|at| used.get(at)).map_or(Decimal::ZERO, |used| used.load);
            route.share = route.load.checked_div(all).unwrap_or_default().round_dp(6).normalize();
        }
        let gpu = |kind: &&Replicas| {
            library.is_some_and(|l| l.devices.get(kind.instance.device.as_str()).is_some_and(|d| d.gpu))
        };
        let joint = JointPlan {
            joint_version: JOINT_VERSION,
            compiler: COMPILER.to_string(),
            cluster: cluster(machines),
            utilisation: settings.utilisation.normalize(),
            switching: settings.switching.clone(),
            total: JointTotals {
                usd_per_hour: millionths(cost),
                alone_usd_per_hour: jobs.iter().map(|job| job.alone_usd_per_hour).sum::<Decimal>().normalize(),
                gpus: used.iter().filter(gpu).map(|kind| kind.replicas * i64::from(kind.instance.units)).sum(),
            },
            instances: used,
            jobs,
            proof: JointProof {
                bound_usd_per_hour: millionths(bound),
                optimal: bound >= cost,
                by: crate::solve::outcome::NATIVE.to_string(),
                nodes,
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
    let decided = if named(&prepared.workflow) {
        // What stands in for a step is looked for among all that could carry it out.
        let chosen = choice.iter().zip(&prepared.space.steps).map(|(option, space)| space.taken(*option).0);
        pinned(prepared, chosen)
    } else {
        decide(&prepared.narrowed(choice), &Changes::default(), &settled())
    };
    match decided {
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
        (step, Pin { implementation, knobs, device, memory_gb: None, units, span: prepared.job.span })
    };
    let pins = candidates.enumerate().map(pin).collect();
    decide(prepared, &Changes { pins, ..Changes::default() }, &settled())
}

/// Next to nothing is left to be searched.
fn settled() -> Limits<'static> {
    Limits { certify: Certify::Off, ..Limits::default() }
}

/// What the cheapest fleet of one job costs by the hour at least; every replica is its own, and none runs yet.
fn alone(fleet: &Fleet, job: usize, late: &(dyn Fn() -> bool + Sync)) -> Result<i128, String> {
    // What its share of replicas costs is known without a search.
    let least = joint::least(fleet, job).unwrap_or(0);
    if late() {
        return Ok(least);
    }
    let kinds = fleet.kinds.iter().map(|kind| Kind { running: 0, start: 0, stop: 0, ..kind.clone() });
    let one = Fleet { pools: fleet.pools.clone(), kinds: kinds.collect(), jobs: vec![fleet.jobs[job].clone()] };
    // The bound counts where it is not proved: what sharing saves is then more than what is said.
    let limits = joint::Limits { rounds: ALONE, out_of_time: Some(late), ..joint::Limits::default() };
    match joint::solve(&one, &limits) {
        Outcome::Planned(planned) => Ok(planned.bound.max(least)),
        Outcome::Refused(_) => Err(format!("`{}` does not fit alone", fleet.jobs[job].name)),
        Outcome::Unknown(_) if late() => Ok(least),
        Outcome::Unknown(why) => Err(why),
    }
}
