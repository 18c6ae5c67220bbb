//! The integer problem of several jobs that share instances: one option per step of each job and a number of replicas per
//! kind of instance, so that every clause of every job holds, every load is carried and the fleet costs least by the hour.
//!
//! Written as JSON (`serde`), it is also the format of the benchmark's files.

use crate::solve::problem::Problem;
use serde::{Deserialize, Serialize};

/// Devices of a kind that all replicas share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name, `a100` say.
    pub name: String,
    /// How many units there are. A unit is a whole device, or a slice of one: slices must divide the device by powers of
    /// two, since only then does whatever fits in sum also fit device by device.
    pub units: i64,
}

/// Instances that are alike: one model, set up one way, on so many devices.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kind {
    /// Its name, for people.
    pub name: String,
    /// What one replica costs by the hour, in micro-dollars.
    pub price: i64,
    /// Units of each pool that one replica holds: `(pool, units)`.
    pub uses: Vec<(usize, i64)>,
    /// The load that one replica carries, in any unit that options use as well. A utilisation cap is already taken off.
    pub capacity: i64,
    /// The most replicas there may be; as many as the pools hold where absent. A provider's rate limit is a kind with price 0,
    /// whose capacity is the limit and of which there is one.
    pub most: Option<i64>,
    /// Replicas that run now.
    pub running: i64,
    /// What starting one more replica than now costs, spread over the hours until the next plan: micro-dollars an hour.
    pub start: i64,
    /// What stopping one costs, likewise; at most the price, since nobody stops what is cheaper to keep.
    pub stop: i64,
}

impl Kind {
    /// What so many replicas cost by the hour, switching included.
    pub fn cost(&self, replicas: i64) -> i128 {
        let (more, less) = ((replicas - self.running).max(0), (self.running - replicas).max(0));
        i128::from(self.price) * i128::from(replicas)
            + i128::from(self.start) * i128::from(more)
            + i128::from(self.stop) * i128::from(less)
    }
}

/// A job at its rate.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Steps, DAG and clauses, with the figures of one run. [`instance`](crate::solve::problem::Choice::instance) of a choice
    /// is a [`Kind`], `load` what the choice puts on it at the job's rate. Wishes, pools and instances of it play no part.
    pub problem: Problem,
    /// What an option costs beside replicas at the job's rate, per step and option: micro-dollars an hour.
    pub fees: Vec<Vec<i64>>,
}

/// Several jobs on one fleet.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// The pools.
    pub pools: Vec<Pool>,
    /// The kinds of instances.
    pub kinds: Vec<Kind>,
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// No figure, load, price or number of units may be larger: sums of products then stay within `i128`.
pub const MOST: i64 = 1 << 44;

/// What is wrong with a fleet as such, in words; a fleet that passes never makes the solver overflow.
pub fn faults(fleet: &Fleet) -> Result<(), String> {
    let within = |value: i64, what: &str, of: &str| match value {
        0..=MOST => Ok(()),
        _ => Err(format!("{what} of {of} is {value}: it must be from 0 to {MOST}")),
    };
    for pool in &fleet.pools {
        within(pool.units, "the number of units", &format!("the pool `{}`", pool.name))?;
    }
    for kind in &fleet.kinds {
        let of = format!("the instance `{}`", kind.name);
        let all = [(kind.price, "the price"), (kind.running, "the number running"), (kind.start, "the start")];
        all.iter().try_for_each(|(value, what)| within(*value, what, &of))?;
        within(kind.stop, "the stop", &of)?;
        within(kind.most.unwrap_or(0), "the most", &of)?;
        if kind.stop > kind.price {
            return Err(format!("stopping {of} costs more than keeping it"));
        }
        within(kind.capacity, "the capacity", &of)?;
        for (pool, units) in &kind.uses {
            within(*units, "the units", &of)?;
            if *pool >= fleet.pools.len() {
                return Err(format!("{of} uses the pool {pool}, which does not exist"));
            }
        }
        if kind.most.is_none() && kind.uses.iter().all(|used| used.1 == 0) && kind.price == 0 && kind.start == 0 {
            return Err(format!("{of} costs nothing and is not limited: it is no instance"));
        }
    }
    for job in &fleet.jobs {
        let (of, steps) = (format!("the job `{}`", job.name), &job.problem.steps);
        if job.fees.len() != steps.len() || steps.iter().zip(&job.fees).any(|(s, f)| s.choices.len() != f.len()) {
            return Err(format!("{of} has not one fee per option"));
        }
        for (step, fees) in steps.iter().zip(&job.fees) {
            for (choice, fee) in step.choices.iter().zip(fees) {
                within(*fee, "a fee", &of)?;
                within(choice.load, "a load", &of)?;
                choice.figures.iter().try_for_each(|figure| within(*figure, "a figure", &of))?;
                if choice.instance.is_some_and(|kind| kind >= fleet.kinds.len()) {
                    return Err(format!("{of} uses an instance that does not exist"));
                }
                if choice.needs.iter().any(|need| need.0 >= steps.len()) {
                    return Err(format!("{of} needs a class of a step that does not exist"));
                }
            }
        }
        if job.problem.edges.iter().any(|edge| edge.0.max(edge.1) >= steps.len()) {
            return Err(format!("{of} has an edge to a step that does not exist"));
        }
    }
    Ok(())
}
