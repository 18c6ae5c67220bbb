//! A problem and what the solver says of it -> a certificate, from the record of a search that is made again for it.

use std::collections::BTreeMap;

use super::super::Limits;
use super::super::budget::Budget;
use super::super::outcome::{Conflict, Solution, Status};
use super::super::presolve::{Space, reduce};
use super::super::problem::{Origin, Problem, Wish};
use super::super::record::Record;
use super::super::wish::minimise;
use super::{Certificate, Part, Split, Stage, refute};

/// Nodes that a checker may have to visit; more make no proof that is worth storing.
const MOST_NODES: u64 = 2_000_000;

/// A certificate that the solution is optimal; `None` where it is not, or where the limits do not suffice to see it again.
pub fn certify(problem: &Problem, solution: &Solution, limits: &Limits) -> Option<Certificate> {
    if solution.proof.status != Status::Optimal || solution.values.len() != problem.wishes.len() {
        return None;
    }
    let space = reduce(problem, &[]).ok()?;
    let budget = recording(limits);
    let clauses: Vec<usize> = (0..problem.clauses.len()).collect();
    let known = columns(&space, &solution.choice);
    let (mut bounds, mut stages, mut left): (Vec<(Wish, i64)>, _, _) = (Vec::new(), Vec::new(), MOST_NODES);
    for (&wish, &value) in problem.wishes.iter().zip(&solution.values) {
        if value == 0 {
            stages.push(Stage::default());
        } else {
            let found = minimise(&space, &clauses, &bounds, Some(wish), known.clone(), &budget);
            if !found.exhausted || found.best.is_none_or(|best| best.1 != value) {
                return None;
            }
            let stage = stage(&space, &found.hints.record)?;
            let mut claimed = bounds.clone();
            claimed.push((wish, value - 1));
            refute(problem, &clauses, &claimed, &stage, &mut left).ok()?;
            stages.push(stage);
        }
        bounds.push((wish, value));
    }
    Some(Certificate { stages, nodes: MOST_NODES - left })
}

/// A certificate that the core of the conflict cannot be kept; `None` where the limits do not suffice to see it again.
pub fn certify_conflict(problem: &Problem, conflict: &Conflict, limits: &Limits) -> Option<Certificate> {
    let space = reduce(problem, &[]).ok()?;
    let found = minimise(&space, &conflict.core, &[], None, None, &recording(limits));
    if !found.exhausted || found.best.is_some() {
        return None;
    }
    let (stage, mut left) = (stage(&space, &found.hints.record)?, MOST_NODES);
    refute(problem, &conflict.core, &[], &stage, &mut left).ok()?;
    Some(Certificate { stages: vec![stage], nodes: MOST_NODES - left })
}

fn recording<'a>(limits: &Limits<'a>) -> Budget<'a> {
    let mut budget = Budget::new(limits.nodes, limits.out_of_time);
    budget.prices.set(0);
    budget.record = true;
    budget
}

/// The columns of a choice, where all are left.
fn columns(space: &Space, choice: &[usize]) -> Option<Vec<u32>> {
    let mut columns = Vec::with_capacity(space.start.len());
    for step in 0..space.start.len() - 1 {
        let option = choice.get(step).copied().unwrap_or(1);
        let mut of_step = space.start[step]..space.start[step + 1];
        columns.push(of_step.find(|&column| space.option[column] == option)? as u32);
    }
    space.close(&mut columns);
    Some(columns)
}

/// The record in the words of the problem.
fn stage(space: &Space, record: &Record) -> Option<Stage> {
    let cases = &record.cases;
    if cases.leaves().is_none() {
        // What is small is looked at as a whole.
        return Some(Stage::default());
    }
    let mut stage = Stage::default();
    let mut names: BTreeMap<Origin, usize> = BTreeMap::new();
    let mut combined: BTreeMap<usize, usize> = BTreeMap::new();
    let mut halves: Vec<Vec<usize>> = vec![Vec::new(); cases.list.len()];
    cases.list.iter().enumerate().skip(1).for_each(|(place, case)| halves[case.parent].push(place));
    let step_of = |step: usize| match step.checked_sub(space.stated()) {
        Some(instance) => space.stated() + space.instances[instance],
        None => step,
    };
    for (case, halves) in cases.list.iter().zip(&halves) {
        let mut part = Part::default();
        for &proof in &case.by {
            let known = combined.get(&proof).copied();
            let place = known.unwrap_or_else(|| {
                let mut terms = Vec::new();
                for (origin, times) in record.terms(&cases.proofs[proof]) {
                    let next = names.len();
                    let row = *names.entry(origin).or_insert(next);
                    terms.extend(i64::try_from(times).ok().map(|times| (row, times)));
                }
                stage.combinations.push(terms);
                combined.insert(proof, stage.combinations.len() - 1);
                stage.combinations.len() - 1
            });
            part.by.push(place);
        }
        if let &[a, b] = halves.as_slice() {
            let side = cases.list[a].side.as_ref()?;
            let options = side.columns.iter().map(|&column| space.option[column as usize]).collect();
            let parts = if side.inside { [a, b] } else { [b, a] };
            part.split = Some(Split { step: step_of(side.step), options, parts });
        }
        stage.parts.push(part);
    }
    let mut rows: Vec<(Origin, usize)> = names.into_iter().collect();
    rows.sort_by_key(|row| row.1);
    stage.rows = rows.into_iter().map(|row| row.0).collect();
    Some(stage)
}
