//! A [`Problem`] -> the same without the options that another one dominates, for solvers whose licence bounds the size.

use std::collections::BTreeMap;

use crate::solve::presolve::reduce;
use crate::solve::problem::{Bound, Problem, Step};

/// Drops dominated options: the optimum of every wish stays, indices of options do not. The error says what is malformed.
pub fn reduced(problem: &Problem) -> Result<Problem, String> {
    let space = reduce(problem, &[])?;
    let mut kept: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut smaller = Problem { steps: vec![Step::default(); problem.steps.len()], ..problem.clone() };
    for column in 0..space.columns() {
        if let Some(choice) = space.choice(column) {
            let options = &mut smaller.steps[space.step[column]].choices;
            kept.insert((space.step[column], space.option[column]), options.len());
            options.push(choice.clone());
        }
    }
    for clause in &mut smaller.clauses {
        if let Bound::AnyOf(any) = &mut clause.bound {
            for (step, options) in any {
                *options = options.iter().filter_map(|&option| kept.get(&(*step, option)).copied()).collect();
            }
        }
    }
    Ok(smaller)
}
