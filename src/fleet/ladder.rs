//! Tools of an agent in a fleet → what they come to together. The engine of fleets knows steps and clauses alone: what the dearest tool takes
//! becomes a step that nothing carries, whose options are rungs, and clauses let an option of a tool stand only with a rung as high as it.

use crate::solve::joint::problem::Job;
use crate::solve::problem::{Bound, Choice, Clause, Figure, Figures, Problem, Step};
use std::collections::BTreeSet;

/// What a ladder's rungs are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rungs {
    /// Micro-dollars of a run: they count against the job's limits.
    Run,
    /// Micro-dollars of an hour: they are paid.
    Hour,
}

/// A tool: its step, and by option what only the dearest tool of its agent adds.
pub(super) type Tool = (usize, Vec<i64>);

/// Adds the ladder of an agent's tools behind the steps of a job.
pub(super) fn add(job: &mut Job, tools: &[Tool], rungs: Rungs) {
    let heights: BTreeSet<i64> = tools.iter().flat_map(|(_, takes)| takes.iter().copied()).chain([0]).collect();
    if heights.len() == 1 {
        return;
    }
    let heights: Vec<i64> = heights.into_iter().collect();
    let ladder = job.problem.steps.len();
    let rung = |height: &i64| {
        let mut figures = Figures::default();
        figures[Figure::Cost.index()] = if rungs == Rungs::Run { *height } else { 0 };
        Choice { figures, ..Choice::default() }
    };
    job.problem.steps.push(Step { choices: heights.iter().map(rung).collect() });
    job.fees.push(heights.iter().map(|height| if rungs == Rungs::Hour { *height } else { 0 }).collect());
    for (tool, takes) in tools {
        let own: BTreeSet<i64> = takes.iter().copied().filter(|takes| *takes > 0).collect();
        for height in own {
            let below = (0..takes.len()).filter(|option| takes[*option] < height).collect();
            let high = (0..heights.len()).filter(|rung| heights[*rung] >= height).collect();
            job.problem.clauses.push(Clause { bound: Bound::AnyOf(vec![(*tool, below), (ladder, high)]) });
        }
    }
}

/// Options of a job's own steps, and of its ladders the lowest rungs that go with them.
pub fn completed(problem: &Problem, own: &[usize]) -> Vec<usize> {
    let mut choice = own.to_vec();
    for step in own.len()..problem.steps.len() {
        let stands = |any: &[(usize, Vec<usize>)], rung: usize| {
            !any.iter().any(|(at, _)| *at == step)
                || any.iter().any(|(at, options)| match *at == step {
                    true => options.contains(&rung),
                    false => choice.get(*at).is_some_and(|option| options.contains(option)),
                })
        };
        let fits = |rung: &usize| {
            problem.clauses.iter().all(|clause| match &clause.bound {
                Bound::AnyOf(any) => stands(any, *rung),
                Bound::AtMost { .. } | Bound::Rule => true,
            })
        };
        let lowest = (0..problem.steps[step].choices.len()).find(fits).unwrap_or_default();
        choice.push(lowest);
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::joint::problem::Fleet;
    use crate::solve::joint::{Limits, Outcome, check, solve};

    /// A job of tools whose options cost this by the hour, of which the dearest counts, and this each beside it.
    fn job(tools: &[Vec<(i64, i64)>]) -> Job {
        let choice = || Choice::default();
        let step = |options: &Vec<(i64, i64)>| Step { choices: options.iter().map(|_| choice()).collect() };
        let problem = Problem { steps: tools.iter().map(step).collect(), ..Problem::default() };
        let fees = tools.iter().map(|options| options.iter().map(|(_, own)| *own).collect()).collect();
        let mut job = Job { name: "j".into(), problem, fees };
        let either = |(step, options): (usize, &Vec<(i64, i64)>)| (step, options.iter().map(|(e, _)| *e).collect());
        let tools: Vec<Tool> = tools.iter().enumerate().map(either).collect();
        add(&mut job, &tools, Rungs::Hour);
        job
    }

    #[test]
    fn of_an_agents_tools_the_dearest_is_paid() {
        let mut rng = fastrand::Rng::with_seed(11);
        for case in 0..60 {
            let tools: Vec<Vec<(i64, i64)>> =
                (0..3).map(|_| (0..3).map(|_| (rng.i64(0..40), rng.i64(0..12))).collect()).collect();
            let fleet = Fleet { jobs: vec![job(&tools)], ..Fleet::default() };
            let cost = |chosen: [usize; 3]| {
                let taken: Vec<(i64, i64)> = tools.iter().zip(chosen).map(|(options, at)| options[at]).collect();
                let dearest = taken.iter().map(|(either, _)| *either).max().unwrap_or(0);
                dearest + taken.iter().map(|(_, own)| *own).sum::<i64>()
            };
            let every = (0..27usize).map(|n| [n % 3, n / 3 % 3, n / 9]);
            for chosen in every.clone() {
                let whole = completed(&fleet.jobs[0].problem, &chosen);
                let value = check::check(&fleet, &[whole], &[]).expect("keeps every clause");
                assert_eq!(value.cost, i128::from(cost(chosen)), "case {case}: {tools:?} {chosen:?}");
            }
            let Outcome::Planned(planned) = solve(&fleet, &Limits::default()) else { panic!("case {case}: no plan") };
            let best = every.map(cost).min().map(i128::from);
            assert_eq!((Some(planned.cost), planned.optimal()), (best, true), "case {case}: {tools:?}");
        }
    }
}
