//! Instances and limits -> what the solver makes of each and how long it takes; the clocks are handed in.

use std::time::Duration;

use serde::Serialize;

use super::instance::Instance;
use crate::solve::outcome::{NATIVE, Outcome, Status};
use crate::solve::{Certify, Limits, solve};

/// What is measured of this process.
pub struct Meters<'a> {
    /// CPU time spent so far.
    pub cpu: &'a (dyn Fn() -> Duration + Sync),
    /// Starts the high-water mark of memory anew.
    pub reset_memory: &'a dyn Fn(),
    /// The high-water mark of memory in bytes, where it is known.
    pub memory: &'a dyn Fn() -> Option<u64>,
}

/// How hard the solver tries on one instance.
#[derive(Clone, Copy)]
pub struct Effort {
    /// CPU time of a run.
    pub time: Duration,
    /// Milliseconds that one call to z3 may take.
    pub z3_ms: u32,
    /// What z3 is asked.
    pub certify: Certify,
    /// Nodes of the native search, from which on z3 searches.
    pub nodes: u64,
}

/// What came of an instance; written to JSON as `docs/instances.md` says.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The instance's name.
    pub name: String,
    /// Its seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The file that it was read from or written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What was found.
    #[serde(flatten)]
    pub answer: Answer,
    /// Milliseconds of CPU time, in the median of the runs.
    pub cpu_ms: f64,
    /// The same without z3, where z3 was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_ms: Option<f64>,
    /// How often it was solved.
    pub runs: usize,
    /// The high-water mark of memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// The solver's answer, for JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Answer {
    /// The best choice, proved.
    Optimal {
        /// The value of each wish.
        values: Vec<i64>,
        /// The option of each step.
        choice: Vec<usize>,
        /// Who proved it.
        by: String,
        /// Nodes of the branch and bound.
        nodes: u64,
    },
    /// A choice, and a bound on the first wish that is not proved.
    Feasible {
        /// The value of each wish.
        values: Vec<i64>,
        /// The option of each step.
        choice: Vec<usize>,
        /// The first wish that is not proved.
        wish: usize,
        /// What it cannot be under.
        bound: i64,
        /// Nodes of the branch and bound.
        nodes: u64,
    },
    /// Clauses that clash.
    Infeasible {
        /// A minimal set of them.
        core: Vec<usize>,
        /// Whether z3 confirmed it.
        confirmed: bool,
    },
    /// Neither within the limits, or the problem is refused.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Answer {
    /// Whether the answer is the last word.
    pub fn is_proved(&self) -> bool {
        matches!(self, Answer::Optimal { .. } | Answer::Infeasible { .. })
    }

    /// Whether z3 refuted everything better.
    pub fn is_certified(&self) -> bool {
        match self {
            Answer::Optimal { by, .. } => by != NATIVE,
            Answer::Infeasible { confirmed, .. } => *confirmed,
            _ => false,
        }
    }

    /// Nodes of the branch and bound, where they are told.
    pub fn nodes(&self) -> Option<u64> {
        match self {
            Answer::Optimal { nodes, .. } | Answer::Feasible { nodes, .. } => Some(*nodes),
            _ => None,
        }
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Solved(found) => match found.proof.status {
                Status::Optimal => Answer::Optimal {
                    values: found.values,
                    choice: found.choice,
                    by: found.proof.by,
                    nodes: found.proof.nodes,
                },
                Status::Feasible { wish, bound } => {
                    let nodes = found.proof.nodes;
                    Answer::Feasible { values: found.values, choice: found.choice, wish, bound, nodes }
                }
            },
            Outcome::Conflict(found) => Answer::Infeasible { core: found.core, confirmed: found.confirmed },
            Outcome::Unknown(why) => Answer::Unknown { why },
        }
    }
}

/// An instance is solved again until this much time has gone or it was solved [`MOST_RUNS`] times.
const ENOUGH: Duration = Duration::from_millis(50);
const MOST_RUNS: usize = 5;

/// Solves one instance, more than once where that takes little: a single short run says little.
pub fn measure(instance: &Instance, effort: Effort, meters: &Meters) -> Measured {
    (meters.reset_memory)();
    let (answer, cpu_ms, runs) = timed(instance, effort, meters);
    let native = Effort { certify: Certify::Off, ..effort };
    Measured {
        name: instance.name.clone(),
        seed: instance.seed,
        file: None,
        answer,
        cpu_ms,
        native_ms: (effort.certify != Certify::Off).then(|| timed(instance, native, meters).1),
        runs,
        memory: (meters.memory)(),
    }
}

fn timed(instance: &Instance, effort: Effort, meters: &Meters) -> (Answer, f64, usize) {
    let (mut times, mut answer) = (Vec::new(), None);
    while times.len() < MOST_RUNS && times.iter().sum::<Duration>() < ENOUGH {
        let start = (meters.cpu)();
        let out_of_time = || (meters.cpu)().saturating_sub(start) >= effort.time;
        let Effort { z3_ms, certify, nodes, .. } = effort;
        let limits = Limits { nodes, out_of_time: Some(&out_of_time), z3_ms, certify, judge: None };
        let outcome = solve(&instance.problem, &limits);
        times.push((meters.cpu)().saturating_sub(start));
        answer = Some(outcome.into());
    }
    times.sort_unstable();
    let runs = times.len();
    let answer = answer.unwrap_or(Answer::Unknown { why: "it was not solved".to_owned() });
    (answer, times.get(runs / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3), runs)
}

/// One line of the table: a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The instances' common name.
    pub name: String,
    /// How many there are.
    pub count: usize,
    /// Milliseconds of CPU time: median, 95th percentile, largest.
    pub cpu_ms: [f64; 3],
    /// The share of answers that are proved, and that z3 certified.
    pub proved: [f64; 2],
    /// Nodes in the median of the instances that tell them.
    pub nodes: Option<u64>,
    /// The share of the time that z3 took, over all instances; `None` where it was not asked.
    pub z3: Option<f64>,
    /// The highest mark of memory in bytes.
    pub memory: Option<u64>,
}

/// Sums results up by name, in the order in which names come first.
pub fn summarise(results: &[Measured]) -> Vec<Summary> {
    let mut names: Vec<&str> = Vec::new();
    for result in results {
        if !names.contains(&result.name.as_str()) {
            names.push(&result.name);
        }
    }
    let of = |name: &str| summary(name, &results.iter().filter(|r| r.name == name).collect::<Vec<_>>());
    names.into_iter().map(of).collect()
}

fn summary(name: &str, of: &[&Measured]) -> Summary {
    let mut times: Vec<f64> = of.iter().map(|result| result.cpu_ms).collect();
    times.sort_unstable_by(f64::total_cmp);
    let mut nodes: Vec<u64> = of.iter().filter_map(|result| result.answer.nodes()).collect();
    nodes.sort_unstable();
    let share = |holds: fn(&Answer) -> bool| of.iter().filter(|r| holds(&r.answer)).count() as f64 / of.len() as f64;
    let both: Vec<(f64, f64)> = of.iter().filter_map(|r| Some((r.native_ms?, r.cpu_ms))).collect();
    let (native, all) = both.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    Summary {
        name: name.to_owned(),
        count: of.len(),
        cpu_ms: [0.5, 0.95, 1.0].map(|share| at(&times, share)),
        proved: [share(Answer::is_proved), share(Answer::is_certified)],
        nodes: nodes.get(nodes.len().saturating_sub(1) / 2).copied(),
        z3: (!both.is_empty() && all > 0.0).then(|| (1.0 - native / all).max(0.0)),
        memory: of.iter().filter_map(|result| result.memory).max(),
    }
}

/// The smallest value that at least `share` of the values do not exceed.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!([0.5, 0.95, 1.0].map(|share| at(&sorted, share)), [10.0, 19.0, 20.0]);
        assert_eq!([0.5, 0.95, 1.0].map(|share| at(&[7.0], share)), [7.0; 3]);
        assert_eq!(at(&[], 0.5), 0.0);
    }
}
