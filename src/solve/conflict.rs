//! A [`Space`] whose clauses clash -> a minimal set that clashes, what each of its clauses could reach, and single repairs.
//!
//! The native search is the oracle of the deletion, for z3's own cores are not minimal and slow near the edge; z3 then
//! confirms the one core that is reported.

use super::budget::Budget;
use super::model::Model;
use super::outcome::Conflict;
use super::presolve::Space;
use super::price::Hints;
use super::problem::{Bound, Wish};
use super::smt::{Oracle, Verdict};
use super::wish::minimise;

/// Explains why no plan exists under the clauses.
///
/// A budget that runs out leaves the core a conflict, but perhaps not a minimal one.
pub fn explain(space: &Space, clauses: &[usize], budget: &Budget, oracle: Option<&Oracle>) -> Conflict {
    let mut core = clauses.to_vec();
    let mut hints = Hints::default();
    // From the last to the first, so that the core keeps the clauses that were stated first.
    for &clause in clauses.iter().rev() {
        let without = except(&core, clause);
        let found = minimise(space, &without, &[], None, None, budget);
        if found.best.is_none() && found.exhausted {
            core = without;
            hints = found.hints;
        }
    }
    if core.len() == clauses.len() {
        hints = minimise(space, &core, &[], None, None, budget).hints;
    }
    let refuted = |oracle: &Oracle| oracle.refute(&Model::new(space, &core, &[]), &hints, &[], None);
    let confirmed = oracle.is_some_and(|oracle| matches!(refuted(oracle), Verdict::Refuted));
    let (mut reachable, mut repairs) = (Vec::new(), Vec::new());
    for &clause in &core {
        let others = except(clauses, clause);
        match space.problem.clauses[clause].bound {
            Bound::AtMost { figure, over, .. } => {
                let found = minimise(space, &others, &[], Some(Wish { figure, over }), None, budget);
                let value = found.best.filter(|_| found.exhausted).map(|best| best.1);
                reachable.push((clause, value));
                repairs.extend(value.map(|value| (clause, value)));
            }
            Bound::Rule | Bound::AnyOf(_) => {
                let found = minimise(space, &others, &[], None, None, budget);
                repairs.extend(found.best.map(|_| (clause, 0)));
            }
        }
    }
    Conflict { core, confirmed, reachable, repairs }
}

fn except(clauses: &[usize], dropped: usize) -> Vec<usize> {
    clauses.iter().copied().filter(|&clause| clause != dropped).collect()
}
