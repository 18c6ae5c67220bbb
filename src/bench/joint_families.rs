//! A number of jobs, how much they share, and a seed -> a [`Fleet`], the same bytes on every machine.
//!
//! A catalogue of models on three kinds of hardware; a job is a chain with a fork of three to six steps, each a task that some
//! models carry out, well or less so. Every model on every hardware is a kind of instance. A step's load follows from its
//! work and the job's rate: from some hundredths of a replica to more than one.

use super::rng::{Rng, round};
use crate::solve::joint::problem::{Fleet, Job, Kind, Pool};
use crate::solve::problem::{Aggregate, Bound, Choice, Clause, Figure, Problem, Step};

/// How much the jobs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every task can be carried out by most models, so that all jobs could meet on a few instances.
    Dense,
    /// A task has few models of its own.
    Sparse,
}

/// What one replica carries: shares of it are in millionths.
const WHOLE: i64 = 1_000_000;
/// Pool, price of a device by the hour in micro-dollars, devices of one replica, speed.
const HARDWARE: [(usize, i64, i64, f64); 3] = [(0, 805_000, 1, 1.0), (1, 3_430_000, 1, 4.6), (2, 6_880_000, 2, 19.0)];
const MODELS: usize = 14;
const TASKS: usize = 9;

/// Makes the fleet of a seed; every job of it can be carried out.
pub fn fleet(jobs: usize, sharing: Sharing, seed: u64) -> Fleet {
    let mut rng = Rng(seed ^ 0x666c_6565_7473);
    let sizes: Vec<f64> = (0..MODELS).map(|_| rng.between(1.0, 12.0)).collect();
    let mut kinds = Vec::new();
    for model in 0..MODELS {
        for (pool, price, devices, _) in HARDWARE {
            kinds.push(Kind {
                name: format!("model {model} on {pool}"),
                price: price * devices,
                uses: vec![(pool, devices)],
                capacity: WHOLE,
                ..Kind::default()
            });
        }
    }
    let share = if sharing == Sharing::Dense { 0.6 } else { 0.2 };
    let able: Vec<Vec<usize>> = (0..TASKS)
        .map(|task| (0..MODELS).filter(|model| (model + task) % MODELS < 2 || rng.unit() < share).collect())
        .collect();
    // How much a model loses at a task: small models lose more, each a little differently.
    let losses: Vec<Vec<i64>> = (0..TASKS)
        .map(|_| sizes.iter().map(|size| round(4e6 / (size + 1.0) * rng.between(0.6, 1.4))).collect())
        .collect();
    let catalogue = Catalogue { sizes, able, losses };
    let jobs: Vec<Job> = (0..jobs).map(|at| job(at, &catalogue, &mut rng)).collect();
    let pools = ["l4", "a100", "h100"];
    let units = |at: usize| -> i64 {
        let most = |step: &Step| -> i64 {
            let on = step.choices.iter().filter(|c| c.instance.is_some_and(|kind| kind % HARDWARE.len() == at));
            on.map(|choice| choice.load).max().unwrap_or(0)
        };
        let all: i64 = jobs.iter().flat_map(|job| &job.problem.steps).map(most).sum();
        (all / WHOLE + 1) * HARDWARE[at].2
    };
    let pools = pools.iter().enumerate().map(|(at, name)| Pool { name: (*name).to_owned(), units: units(at) });
    Fleet { pools: pools.collect(), kinds, jobs }
}

struct Catalogue {
    sizes: Vec<f64>,
    able: Vec<Vec<usize>>,
    losses: Vec<Vec<i64>>,
}

fn job(at: usize, catalogue: &Catalogue, rng: &mut Rng) -> Job {
    let steps = 3 + rng.below(4);
    // Rates spread over a factor of 30, most of them small.
    let spread = rng.unit();
    let rate = 0.02 + 0.58 * spread * spread * spread;
    let mut problem = Problem { edges: edges(steps), ..Problem::default() };
    let mut fees = Vec::new();
    for _ in 0..steps {
        let task = rng.below(TASKS);
        let work = rng.between(0.3, 1.5);
        let (mut choices, mut own) = (Vec::new(), Vec::new());
        for &model in &catalogue.able[task] {
            let size = catalogue.sizes[model];
            for (pool, (.., speed)) in HARDWARE.iter().enumerate() {
                let noise = rng.between(0.9, 1.1);
                let mut choice = Choice { instance: Some(model * HARDWARE.len() + pool), ..Choice::default() };
                // A replica of the slowest hardware does so much of the smallest model's work.
                choice.load = round(rate * work * (1.0 + size / 2.0) * noise / speed * 1.5 * WHOLE as f64).max(1);
                choice.figures[Figure::Latency.index()] = round(400.0 * work * (1.0 + size) / speed.min(8.0) * noise);
                choice.figures[Figure::Loss.index()] = catalogue.losses[task][model];
                choices.push(choice);
                own.push(0);
            }
        }
        // A provider: good, quick and dear by the call.
        let mut choice = Choice::default();
        choice.figures[Figure::Latency.index()] = round(900.0 * work);
        choice.figures[Figure::Loss.index()] = 250_000;
        choices.push(choice);
        own.push(round(rate * work * 14e6));
        problem.steps.push(Step { choices });
        fees.push(own);
    }
    for (figure, over) in [(Figure::Loss, Aggregate::Sum), (Figure::Latency, Aggregate::Path)] {
        let least: i64 = problem.steps.iter().map(|s| ends(s, figure).0).sum();
        let most: i64 = problem.steps.iter().map(|s| ends(s, figure).1).sum();
        // Enough for the provider at every step, so that there is a plan.
        let closed: i64 =
            problem.steps.iter().filter_map(|s| s.choices.last()).map(|c| c.figures[figure.index()]).sum();
        let limit = round(least as f64 + rng.between(0.15, 0.6) * (most - least) as f64).max(closed);
        problem.clauses.push(Clause { bound: Bound::AtMost { figure, over, limit } });
    }
    Job { name: format!("job {at}"), problem, fees }
}

/// A chain, whose second and third steps stand side by side where there are four steps or more.
fn edges(steps: usize) -> Vec<(usize, usize)> {
    if steps < 4 {
        return (1..steps).map(|to| (to - 1, to)).collect();
    }
    let mut edges = vec![(0, 1), (0, 2), (1, 3), (2, 3)];
    edges.extend((4..steps).map(|to| (to - 1, to)));
    edges
}

fn ends(step: &Step, figure: Figure) -> (i64, i64) {
    let values = || step.choices.iter().map(|choice| choice.figures[figure.index()]);
    (values().min().unwrap_or(0), values().max().unwrap_or(0))
}
