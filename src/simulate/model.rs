//! What is simulated: jobs, kinds of instances with how fast they are, and who carries out which step. Nothing here knows a plan.

use super::Micros;
use rust_decimal::Decimal;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Devices of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// The device.
    pub name: String,
    /// How many there are.
    pub units: i64,
    /// Whether they are GPUs.
    pub gpu: bool,
    /// What one of them costs, dollars an hour.
    pub usd_per_hour: Decimal,
}

/// Instances that are alike, with one queue in front of all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// Its place among all kinds that a simulation may see.
    pub id: usize,
    /// For people.
    pub name: String,
    /// The pool that its replicas stand on.
    pub pool: usize,
    /// Devices of one replica.
    pub units: i64,
    /// What a replica does with so many calls at once; at least one entry. Its length is how many calls it takes at once.
    pub pace: Vec<Pace>,
    /// What a replica draws with nothing to do, watts.
    pub idle_w: f64,
    /// From when a replica is asked for until it takes calls: the machine, and loading the model.
    pub start: Micros,
    /// What a replica needs of its devices' memory, gigabytes.
    pub memory_gb: f64,
}

/// A replica with a certain number of calls under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How fast each of them goes on, where 1 is the pace with as many calls as it takes.
    pub speed: f64,
    /// What the replica draws, watts.
    pub watts: f64,
}

/// Who carries out a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum To {
    /// A kind of instance, by its id.
    Kind(usize),
    /// A provider that takes so many calls a second at most, all jobs together.
    Account {
        /// Its place among the accounts.
        account: usize,
        /// The share of what it takes in a second that one call is.
        share: f64,
    },
    /// A provider without a limit.
    Free,
}

/// How a step is carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// By whom.
    pub to: To,
    /// Calls of one run; what is behind the point is the chance of one more.
    pub calls: f64,
    /// How many of them one run has under way at once.
    pub window: u32,
    /// Seconds of a call, with as many calls at once as an instance takes: what no size changes.
    pub fixed_s: f64,
    /// What grows with what goes in.
    pub input_s: f64,
    /// What grows with what comes out.
    pub output_s: f64,
    /// What a call costs beside instances, dollars.
    pub fee_usd: f64,
}

/// A job's steps, and who waits for whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// By step: those that wait for it.
    pub next: Vec<Vec<usize>>,
    /// By step: how many it waits for.
    pub waits: Vec<u16>,
    /// What a run should take at most.
    pub limit: Option<Limit>,
}

/// What a run should take at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// As written.
    pub text: String,
    /// The time.
    pub time: Micros,
    /// The share of runs that may take longer.
    pub allowed: f64,
}

/// Jobs whose figures are also wanted together.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// The places of its jobs.
    pub jobs: BTreeSet<usize>,
}

impl Job {
    /// A job of so many steps with these edges, `(before, after)`.
    pub fn new(name: &str, steps: usize, edges: &[(usize, usize)], limit: Option<Limit>) -> Job {
        let (mut next, mut waits) = (vec![Vec::new(); steps], vec![0; steps]);
        for (before, after) in edges {
            next[*before].push(*after);
            waits[*after] += 1;
        }
        Job { name: name.to_string(), next, waits, limit }
    }
}

/// What a job is carried out with.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// By step.
    pub routes: Vec<Route>,
    /// The quality of a run, as planned.
    pub quality: f64,
}

/// Who carries out what, and on how many replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Kinds with the replicas that are to be there.
    pub placed: Vec<(Rc<Kind>, i64)>,
    /// By job.
    pub jobs: Rc<Vec<Carried>>,
}

impl Deployment {
    /// Devices of each pool that all replicas hold.
    pub fn held(&self, pools: usize) -> Vec<i64> {
        let mut held = vec![0; pools];
        for (kind, replicas) in &self.placed {
            held[kind.pool] += kind.units * replicas;
        }
        held
    }
}
