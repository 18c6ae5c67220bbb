//! Spreads of figures + shape of the DAG → times that a share of the runs stays within: no step is independent of another by
//! assumption, so that the longest path of these times bounds the run's.

use crate::ir::dag::Dag;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Digits of a factor behind the point; the last one is rounded up.
const DIGITS: u32 = 6;
/// No spread is taken wider, and no tail thinner: beyond it lies no figure that anybody has measured.
const WIDEST: f64 = 8.0;
const THINNEST: f64 = 1e-12;

/// A share of all runs that may take longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 5 %.
    P95,
    /// 1 %.
    P99,
}

impl Level {
    /// The share of runs that may take longer.
    pub fn beyond(self) -> f64 {
        match self {
            Level::P95 => 0.05,
            Level::P99 => 0.01,
        }
    }
}

/// How the tails of steps make that of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Expected shortfalls add up along each of so many paths, and each path gets its part of the share.
    Paths(u64),
    /// Each of so many steps gets its part of the share.
    Steps(u64),
}

impl Default for Combine {
    fn default() -> Combine {
        Combine::Steps(1)
    }
}

impl Combine {
    /// What splits the share into fewer parts.
    pub fn of(dag: &Dag, steps: usize) -> Combine {
        // Edges go from lower to higher numbers and are sorted by their start.
        let mut paths = vec![0u64; steps];
        let edges = dag.edges();
        for step in 0..steps {
            if !edges.iter().any(|(_, after)| *after == step) {
                paths[step] = 1;
            }
            for (_, after) in edges.iter().filter(|(before, _)| *before == step) {
                paths[*after] = paths[*after].saturating_add(paths[step]);
            }
        }
        let ends = (0..steps).filter(|step| !edges.iter().any(|(before, _)| before == step));
        let paths = ends.fold(0u64, |sum, step| sum.saturating_add(paths[step]));
        let steps = steps as u64;
        if paths < steps { Combine::Paths(paths.max(1)) } else { Combine::Steps(steps.max(1)) }
    }
}

/// A part of a call's time, lognormal about its median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Its median, in seconds.
    pub median: Decimal,
    /// The standard deviation of its logarithm.
    pub sigma: f64,
}

/// The spread whose share `1 − beyond` lies at `ratio` times the median; none for a ratio of at most 1.
pub fn sigma(ratio: f64, beyond: f64) -> f64 {
    if ratio > 1.0 { (ratio.ln() / quantile(beyond)).min(WIDEST) } else { 0.0 }
}

/// The calls of a step in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calls {
    /// How many.
    pub count: Decimal,
    /// How many can be under way at once.
    pub width: Decimal,
    /// Into how many equal parts a loop divides them, of which each waits for the one before; at least 1.
    pub in_turn: Decimal,
}

impl Calls {
    /// How often calls are started, if all that run at once start together.
    pub fn rounds(self) -> Decimal {
        let each = (self.count / self.in_turn / self.width).ceil();
        // Calls on one side of a branch may be fewer than the loop's rounds.
        let most = self.count.ceil();
        each.checked_mul(self.in_turn).map_or(most, |rounds| rounds.min(most))
    }

    /// How many are under way at once at most.
    pub fn at_once(self) -> Decimal {
        self.width.min((self.count / self.in_turn).ceil()).max(Decimal::ONE)
    }
}

/// The time of a step for the longest path of a run: seconds for all its calls; `None` beyond the range of exact decimals. A part
/// that may be one of several counts as the longest of them.
pub fn step(parts: &[Vec<Part>], calls: Calls, level: Level, combine: Combine) -> Option<Decimal> {
    until(parts, parts, calls, level, combine)
}

/// The same where the last calls only count so many of their parts, as up to the first token of an answer.
pub fn until(parts: &[Vec<Part>], last: &[Vec<Part>], calls: Calls, level: Level, combine: Combine) -> Option<Decimal> {
    if calls.rounds().is_zero() {
        return Some(Decimal::ZERO);
    }
    let before = calls.rounds() - Decimal::ONE;
    let count = calls.count.ceil().max(Decimal::ONE).to_f64()?;
    let width = calls.at_once().to_f64()?;
    let sum =
        |tail: Tail| -> Option<Decimal> { total(parts, tail)?.checked_mul(before)?.checked_add(total(last, tail)?) };
    // Of so many calls at once the longest counts; they are alike, so that its expected shortfall is that of one of them at a
    // share so many times smaller.
    let of_sums = |share: f64| sum(Tail::Shortfall(share / width));
    match combine {
        Combine::Paths(paths) => of_sums(level.beyond() / paths as f64),
        Combine::Steps(steps) => {
            // Nothing is added up beyond the step, so that quantiles will do: every part of every call gets its part of the share.
            let share = level.beyond() / steps as f64;
            let widest = if before.is_zero() { last } else { parts };
            let spread = widest.iter().filter(|either| either.iter().any(|p| p.sigma > 0.0)).count().max(1) as f64;
            let each = quantile(share / (count * spread));
            Some(of_sums(share)?.min(sum(Tail::Quantile(each))?))
        }
    }
}

/// What the largest of a step's calls keeps, where so many steps share the runs that may take longer.
pub fn largest(either: &[Part], calls: Calls, level: Level, among: u64) -> Option<Decimal> {
    let count = calls.count.ceil().max(Decimal::ONE).to_f64()?;
    let each = quantile(level.beyond() / among as f64 / count);
    total(&[either.to_vec()], Tail::Quantile(each))
}

/// What stands for a part in place of its median.
#[derive(Clone, Copy)]
enum Tail {
    /// The mean of its largest share.
    Shortfall(f64),
    /// Its value so many standard deviations of its logarithm above the median.
    Quantile(f64),
}

impl Tail {
    /// By what the median of a part of this spread is multiplied, rounded up.
    fn factor(self, sigma: f64) -> Option<Decimal> {
        let (kind, at) = match self {
            Tail::Shortfall(share) => (0, share),
            Tail::Quantile(deviations) => (1, deviations),
        };
        FACTORS.with(|known| {
            remembered(known, (kind, at.to_bits(), sigma.to_bits()), || {
                let factor = match self {
                    Tail::Shortfall(share) => shortfall(sigma, share),
                    Tail::Quantile(deviations) => (sigma * deviations).exp(),
                };
                let exact = Decimal::from_f64(factor)?;
                Some(exact.round_dp_with_strategy(DIGITS, RoundingStrategy::ToPositiveInfinity))
            })
        })
    }
}

/// A sum of parts, each times its factor; a part that may be one of several counts as the longest of them.
fn total(parts: &[Vec<Part>], tail: Tail) -> Option<Decimal> {
    parts.iter().try_fold(Decimal::ZERO, |sum, either| {
        let mut longest = Decimal::ZERO;
        for part in either {
            let factor = if part.sigma > 0.0 { tail.factor(part.sigma)? } else { Decimal::ONE };
            longest = longest.max(part.median.checked_mul(factor)?);
        }
        sum.checked_add(longest)
    })
}

/// The mean of the largest `beyond` of a lognormal with median 1.
fn shortfall(sigma: f64, beyond: f64) -> f64 {
    let beyond = beyond.max(THINNEST);
    (sigma * sigma / 2.0).exp() * upper(quantile(beyond) - sigma) / beyond
}

/// The value that a standard normal exceeds with probability `beyond`, from ½ down to [`THINNEST`].
fn quantile(beyond: f64) -> f64 {
    let beyond = beyond.clamp(THINNEST, 0.5);
    QUANTILES.with(|known| remembered(known, beyond.to_bits(), || root(beyond)))
}

/// No more answers of one kind are kept.
const MOST_KNOWN: usize = 4_096;

thread_local! {
    /// Quantiles by the bits of their share: every candidate of a step asks for the same few.
    static QUANTILES: RefCell<BTreeMap<u64, f64>> = const { RefCell::new(BTreeMap::new()) };
    /// Factors by the kind of tail and the bits of where it begins and of the spread.
    static FACTORS: RefCell<BTreeMap<(u8, u64, u64), Option<Decimal>>> = const { RefCell::new(BTreeMap::new()) };
}

/// What is known for a key, or is found and kept.
fn remembered<K: Ord, V: Copy>(known: &RefCell<BTreeMap<K, V>>, key: K, find: impl FnOnce() -> V) -> V {
    if let Some(found) = known.borrow().get(&key) {
        return *found;
    }
    let found = find();
    let mut known = known.borrow_mut();
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(key, found);
    found
}

fn root(beyond: f64) -> f64 {
    // The logarithm of the tail is concave, and the start lies beyond the root: Newton's steps do not overshoot.
    let mut z = (-2.0 * (2.0 * beyond).ln()).sqrt();
    for _ in 0..64 {
        let tail = upper(z);
        let step = (tail / beyond).ln() * tail / density(z);
        z += step;
        if step.abs() < 1e-13 {
            break;
        }
    }
    z
}

fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The probability that a standard normal exceeds `x`.
fn upper(x: f64) -> f64 {
    if x < 0.0 {
        return 1.0 - upper(-x);
    }
    if x < 2.5 {
        // ½ − φ(x) (x + x³/3 + x⁵/15 + …)
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= x * x / (2 * n + 1) as f64;
            // What comes behind a term that adds nothing is smaller.
            if sum + term == sum {
                break;
            }
            sum += term;
        }
        return 0.5 - density(x) * sum;
    }
    // φ(x) / (x + 1/(x + 2/(x + 3/(x + …))))
    density(x) / (1..120).rev().fold(x, |below, n| x + n as f64 / below)
}

#[cfg(test)]
#[path = "tail/tests.rs"]
mod tests;
