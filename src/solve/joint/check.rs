//! A fleet, one option per step of each job and replicas per kind -> the cost by the hour, or the first thing that is broken.
//!
//! This judges every joint plan, whoever found it, and shares no code with the engine.

use super::problem::Fleet;
use crate::solve::check;
use crate::solve::problem::Problem;

/// Why options and replicas are no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Not one list of options per job, or not one number of replicas per kind.
    Length,
    /// A job's options break its own problem.
    Job(usize, check::Violation),
    /// A kind is loaded beyond its replicas: the kind, its load, what its replicas carry.
    Overloaded(usize, i128, i128),
    /// A kind has fewer than no replicas or more than it may have.
    Replicas(usize, i64),
    /// The replicas hold more of a pool than there is: the pool, units held.
    Pool(usize, i128),
}

/// What a joint plan costs, and the loads of its kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Micro-dollars an hour, switching included.
    pub cost: i128,
    /// By kind.
    pub loads: Vec<i128>,
}

/// Checks a joint plan in exact integers.
pub fn check(fleet: &Fleet, choice: &[Vec<usize>], replicas: &[i64]) -> Result<Value, Violation> {
    if choice.len() != fleet.jobs.len() || replicas.len() != fleet.kinds.len() {
        return Err(Violation::Length);
    }
    let (mut cost, mut loads) = (0i128, vec![0i128; fleet.kinds.len()]);
    for (at, (job, chosen)) in fleet.jobs.iter().zip(choice).enumerate() {
        check::check(&alone(&job.problem), chosen).map_err(|broken| Violation::Job(at, broken))?;
        for ((step, fees), &option) in job.problem.steps.iter().zip(&job.fees).zip(chosen) {
            cost += i128::from(fees[option]);
            if let Some(kind) = step.choices[option].instance {
                loads[kind] += i128::from(step.choices[option].load);
            }
        }
    }
    let mut held = vec![0i128; fleet.pools.len()];
    for (at, (kind, &replicas)) in fleet.kinds.iter().zip(replicas).enumerate() {
        if replicas < 0 || kind.most.is_some_and(|most| replicas > most) {
            return Err(Violation::Replicas(at, replicas));
        }
        let carried = i128::from(kind.capacity) * i128::from(replicas);
        if loads[at] > carried {
            return Err(Violation::Overloaded(at, loads[at], carried));
        }
        cost += kind.cost(replicas);
        for &(pool, units) in &kind.uses {
            held[pool] += i128::from(units) * i128::from(replicas);
        }
    }
    match fleet.pools.iter().zip(&held).position(|(pool, held)| *held > i128::from(pool.units)) {
        Some(pool) => Err(Violation::Pool(pool, held[pool])),
        None => Ok(Value { cost, loads }),
    }
}

/// The problem of a job without what the fleet decides.
pub fn alone(problem: &Problem) -> Problem {
    let mut alone = Problem {
        steps: problem.steps.clone(),
        edges: problem.edges.clone(),
        clauses: problem.clauses.clone(),
        ..Problem::default()
    };
    for choice in alone.steps.iter_mut().flat_map(|step| &mut step.choices) {
        (choice.instance, choice.load) = (None, 0);
        choice.uses.clear();
    }
    alone
}
