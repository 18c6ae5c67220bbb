//! Tier of quality + data flow + library → the limit that it stands for.

use crate::check::program::{QualityRule, Tier};
use crate::ir::workflow::Workflow;
use crate::library::Library;
use crate::library::end_to_end::Form;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::BTreeMap;

/// The grid on which losses of quality are added up: −ln q in ten-thousandths, so that a limit is exact to 0.01 % of itself a step.
const GRID: f64 = 1e4;
/// A loss from here on is that of a quality of nothing: below 0.01 %.
const LOST: usize = 92_104;
/// Digits of a limit below `best`, rounded down: tenths of a per cent.
const DIGITS: u32 = 3;
/// Digits of the limit that `best` is, rounded down.
const DIGITS_OF_BEST: u32 = 6;

/// The least quality that is in a tier: of all ways to carry the steps out that the library knows a quality of, whatever is at hand
/// here. `None` where a rule was measured for some settings only.
pub fn limit(tier: Tier, workflow: &Workflow, library: &Library, rule: &QualityRule) -> Option<Decimal> {
    if matches!(rule, QualityRule::Measured(_)) {
        return None;
    }
    // What a composition is made of is not a step of its own: the call that it may carry out is.
    let tasks = workflow.steps.iter().filter(|step| step.part.is_none()).map(|step| step.task.as_str());
    let known: Vec<Vec<Decimal>> = tasks.map(|task| qualities(task, library)).filter(|all| !all.is_empty()).collect();
    let best = rule.total(known.iter().filter_map(|all| all.iter().max()).copied());
    let Some(share) = tier.share() else {
        return Some(best.round_dp_with_strategy(DIGITS_OF_BEST, RoundingStrategy::ToZero).normalize());
    };
    let least = match rule.form() {
        Form::Product => of_product(&known, share),
        Form::Min => of_least(&known, share),
    };
    Some(least.min(best).round_dp_with_strategy(DIGITS, RoundingStrategy::ToZero).normalize())
}

/// The qualities that the library states for a task, one for each statement.
fn qualities(task: &str, library: &Library) -> Vec<Decimal> {
    let entries = library.implementing(task).filter(|entry| entry.flow.is_none());
    let rows = entries.flat_map(|entry| entry.profile.rows("quality").iter().filter(|row| row.is_for(task)));
    rows.map(|row| row.figure.value.clamp(Decimal::ZERO, Decimal::ONE)).collect()
}

/// The largest product that at least a share of all combinations reaches.
fn of_product(known: &[Vec<Decimal>], share: f64) -> Decimal {
    let mut shares = vec![1.0];
    for all in known {
        let mut counts: BTreeMap<usize, f64> = BTreeMap::new();
        for quality in all {
            *counts.entry(loss(*quality)).or_default() += 1.0 / all.len() as f64;
        }
        let longest = counts.keys().last().map_or(0, |last| (shares.len() + last).min(LOST + 1));
        let mut next = vec![0.0; longest];
        for (more, weight) in &counts {
            for (at, before) in shares.iter().enumerate().filter(|(_, before)| **before > 0.0) {
                next[(at + more).min(longest - 1)] += before * weight;
            }
        }
        shares = next;
    }
    let mut reached = 0.0;
    // Sums of shares are a little off.
    let enough = |reached: f64| reached >= share - 1e-9;
    let at = shares.iter().position(|more| {
        reached += more;
        enough(reached)
    });
    let at = at.unwrap_or(LOST);
    if at >= LOST { Decimal::ZERO } else { quality(at) }
}

/// The largest quality that in at least a share of all combinations no step is below.
fn of_least(known: &[Vec<Decimal>], share: f64) -> Decimal {
    let mut values: Vec<Decimal> = known.iter().flatten().copied().collect();
    values.sort_unstable_by(|a, b| b.cmp(a));
    values.dedup();
    let reached = |least: &Decimal| {
        let of = |all: &Vec<Decimal>| all.iter().filter(|q| *q >= least).count() as f64 / all.len() as f64;
        known.iter().map(of).product::<f64>() >= share - 1e-9
    };
    values.into_iter().find(reached).unwrap_or(Decimal::ONE)
}

/// A quality's loss on the grid, rounded up: the limit is on the side of what can be reached.
fn loss(quality: Decimal) -> usize {
    let loss = -quality.to_f64().unwrap_or(0.0).ln() * GRID;
    if loss.is_finite() { (loss - 1e-6).ceil().clamp(0.0, LOST as f64) as usize } else { LOST }
}

fn quality(loss: usize) -> Decimal {
    Decimal::from_f64_retain((-(loss as f64) / GRID).exp()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute(known: &[Vec<Decimal>], share: f64, rule: &QualityRule) -> Decimal {
        let mut all = vec![Vec::new()];
        for step in known {
            all = all.iter().flat_map(|so_far| step.iter().map(move |q| [&so_far[..], &[*q]].concat())).collect();
        }
        let mut totals: Vec<Decimal> = all.into_iter().map(|one| rule.total(one.into_iter())).collect();
        totals.sort_unstable_by(|a, b| b.cmp(a));
        let place = (totals.len() as f64 * share - 1e-6).ceil().max(1.0) as usize;
        totals[place - 1]
    }

    proptest! {
        #[test]
        fn a_limit_is_that_of_all_combinations(
            known in prop::collection::vec(prop::collection::vec(1u32..=100, 1..6), 0..5),
            tier in 1usize..4,
        ) {
            let known: Vec<Vec<Decimal>> =
                known.into_iter().map(|all| all.into_iter().map(|q| Decimal::new(q.into(), 2)).collect()).collect();
            let share = Tier::ALL[tier].share().expect("not the best");
            let (product, least) = (of_product(&known, share), of_least(&known, share));
            prop_assert_eq!(least, brute(&known, share, &QualityRule::Min));
            let exact = brute(&known, share, &QualityRule::Product).to_f64().unwrap();
            let (product, off) = (product.to_f64().unwrap(), (known.len() as f64 / GRID).exp());
            // Products that are equal to the grid may change places; a quality below the grid's end is none.
            prop_assert!(product <= exact * (1.0 + 1e-9) && (product * off >= exact - 1e-12 || exact < 2e-4));
        }
    }
}
