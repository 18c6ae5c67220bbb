//! A [`Space`], clauses, bounds on earlier wishes and one wish -> its best value, by the native search alone.

use super::budget::Budget;
use super::model::Model;
use super::presolve::{Space, value};
use super::price::{Goal, Hints, Price};
use super::problem::{Aggregate, Wish};
use super::propagate::{Cutoff, propagate};
use super::search::{Found, search};

/// Minimises one wish (`None`: finds any plan) under the clauses and the bounds. `known` is a plan to start from.
pub fn minimise(
    space: &Space,
    clauses: &[usize],
    bounds: &[(Wish, i64)],
    wish: Option<Wish>,
    known: Option<Vec<u32>>,
    budget: &Budget,
) -> Found {
    minimise_under(space, clauses, bounds, wish, known, &[], budget)
}

/// Minimises with rows that the bounds imply, which drop options before anything else is done.
pub fn minimise_under(
    space: &Space,
    clauses: &[usize],
    bounds: &[(Wish, i64)],
    wish: Option<Wish>,
    known: Option<Vec<u32>>,
    carried: &[Price],
    budget: &Budget,
) -> Found {
    let goal = match wish {
        None => Goal::Any,
        Some(Wish { figure, over: Aggregate::Sum }) => Goal::Sum(figure),
        Some(Wish { figure, over: Aggregate::Path }) => Goal::Path(figure),
        Some(wish @ Wish { over: Aggregate::Max, .. }) => {
            return least_max(space, clauses, bounds, wish, known, carried, budget);
        }
    };
    search(&Model::new(space, clauses, bounds), goal, known, carried, budget)
}

/// The relaxation says little about the largest of many figures, while a bound on it just drops options: bisect it.
fn least_max(
    space: &Space,
    clauses: &[usize],
    bounds: &[(Wish, i64)],
    wish: Wish,
    known: Option<Vec<u32>>,
    carried: &[Price],
    budget: &Budget,
) -> Found {
    let model = Model::new(space, clauses, bounds);
    let mut domain = model.domain.clone();
    if !propagate(&model, &Cutoff::default(), &mut domain) {
        return Found { best: None, bound: i64::MAX, exhausted: true, hints: Hints::default() };
    }
    let figure = |column: &u32| space.figure(*column as usize, wish.figure);
    let least = |step: usize| domain.of(step).iter().map(figure).min().unwrap_or(0);
    let bound = (0..domain.steps()).map(least).max().unwrap_or(0);
    let mut found = search(&model, Goal::Any, known, carried, budget);
    found.bound = found.bound.max(bound);
    let Some((columns, _)) = found.best.take() else {
        return found;
    };
    let mut best = (columns.clone(), value(space, &columns, wish.figure, wish.over));
    // Only the figure of some option can be the largest.
    let mut values: Vec<i64> = domain.all().iter().map(figure).filter(|&v| v >= bound && v < best.1).collect();
    values.sort_unstable();
    values.dedup();
    let (mut low, mut hints, mut exhausted) = (0, Hints::default(), true);
    while low < values.len() {
        let middle = low + (values.len() - low) / 2;
        let mut tighter = bounds.to_vec();
        tighter.push((wish, values[middle]));
        let half = search(&Model::new(space, clauses, &tighter), Goal::Any, None, carried, budget);
        match half.best {
            Some((columns, _)) => {
                best = (columns.clone(), value(space, &columns, wish.figure, wish.over));
                values.retain(|&value| value < best.1);
            }
            None if half.exhausted => {
                low = middle + 1;
                hints = half.hints;
            }
            None => {
                exhausted = false;
                break;
            }
        }
    }
    let bound = values.get(low).copied().unwrap_or(best.1);
    Found { best: Some(best), bound, exhausted, hints }
}
