//! What was measured so far → which configurations to measure next, on which items: successive halving towards the Pareto front
//! of quality and cost.
//!
//! All configurations that are left have been measured on the same items, so that two of them are compared item by item: what
//! makes an item hard for both cancels out. A round ends with half of those dropped that another one most surely beats, fewer where
//! the budget measures more of them on all items, and never one of the front so far.

use super::front::{Worth, front};
use super::interval::{Random, average};
use std::collections::BTreeMap;

/// Items in the first round: fewer drop what an unlucky item made look bad.
const FIRST: usize = 3;
/// The least standard deviation of a difference in quality, or of a ratio of costs, that is believed: a few equal items are no proof.
const DOUBT: f64 = 0.05;

/// What was measured: by configuration and item.
pub type Seen = BTreeMap<(usize, usize), Worth>;

/// A search.
#[derive(Clone, Debug)]
pub struct Halving {
    alive: Vec<usize>,
    order: Vec<usize>,
    done: usize,
    rounds: usize,
    budget: usize,
    spent: usize,
}

impl Halving {
    /// A search among so many configurations over so many items that measures at most `budget` pairs of them.
    pub fn new(configurations: usize, items: usize, budget: usize, seed: u64) -> Result<Halving, String> {
        let least = configurations * FIRST.min(items);
        if budget < least {
            return Err(format!(
                "a budget of {budget} runs is too small: the first round takes {} items for each of {configurations} configurations, {least} runs",
                FIRST.min(items)
            ));
        }
        let rounds = (configurations.max(2) as f64).log2().ceil() as usize;
        let order = Random(seed).order(items);
        Ok(Halving { alive: (0..configurations).collect(), order, done: 0, rounds, budget, spent: 0 })
    }

    /// Those that are left.
    pub fn alive(&self) -> &[usize] {
        &self.alive
    }

    /// How many pairs were asked for.
    pub fn spent(&self) -> usize {
        self.spent
    }

    /// The pairs to measure next, all of them; none when the search is over. `seen` holds all that was asked for before.
    pub fn next(&mut self, seen: &Seen) -> Option<Vec<(usize, usize)>> {
        if self.done > 0 && self.rounds > 0 {
            self.drop_half(seen);
            self.rounds -= 1;
        }
        let left = self.order.len() - self.done;
        let share = match self.done {
            // An even share: what a large budget does not spend here, no later round can give to those that this one drops.
            0 => FIRST.max(self.budget / (self.rounds + 1) / self.alive.len()),
            // What is left of the budget, spread over the rounds that are left.
            _ => (self.budget - self.spent) / self.rounds.max(1) / self.alive.len(),
        };
        let affordable = (self.budget - self.spent) / self.alive.len();
        let count = share.max(1).min(left).min(affordable);
        if count == 0 || self.alive.len() == 1 {
            return None;
        }
        let items = &self.order[self.done..self.done + count];
        let batch: Vec<(usize, usize)> = items.iter().flat_map(|i| self.alive.iter().map(|c| (*c, *i))).collect();
        self.done += count;
        self.spent += batch.len();
        Some(batch)
    }

    /// The front of those that are left, by what was measured.
    pub fn front(&self, seen: &Seen) -> Vec<usize> {
        let worths: Vec<Worth> = self.alive.iter().map(|c| worth(seen, *c, &self.order[..self.done])).collect();
        front(&worths).into_iter().map(|i| self.alive[i]).collect()
    }

    fn drop_half(&mut self, seen: &Seen) {
        let kept = self.front(seen);
        let mut others: Vec<(f64, usize)> = self
            .alive
            .iter()
            .filter(|c| !kept.contains(c))
            .map(|c| {
                let beaten = self.alive.iter().filter(|d| *d != c).map(|d| self.evidence(seen, *d, *c));
                (beaten.fold(f64::NEG_INFINITY, f64::max), *c)
            })
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        // So many can be measured on all items that are left: none of them is dropped to save what nothing else needs.
        let affordable = (self.budget - self.spent).checked_div(self.order.len() - self.done).unwrap_or(usize::MAX);
        others.truncate((others.len() / 2).max(affordable.saturating_sub(kept.len())));
        self.alive = kept.into_iter().chain(others.into_iter().map(|(_, c)| c)).collect();
        self.alive.sort_unstable();
    }

    /// How sure it is that one beats another: the lesser of the two t statistics over the common items.
    fn evidence(&self, seen: &Seen, better: usize, worse: usize) -> f64 {
        let pairs =
            self.order[..self.done].iter().filter_map(|i| Some((seen.get(&(better, *i))?, seen.get(&(worse, *i))?)));
        // Costs are compared as ratios: a large item costs all configurations more.
        let ratio = |b: f64, w: f64| w.max(1e-12).ln() - b.max(1e-12).ln();
        let (quality, cost): (Vec<f64>, Vec<f64>) =
            pairs.map(|(b, w)| (b.quality - w.quality, ratio(b.cost, w.cost))).unzip();
        t(&quality, DOUBT).min(t(&cost, DOUBT))
    }
}

fn t(differences: &[f64], doubt: f64) -> f64 {
    let (mean, n) = (average(differences), differences.len().max(1) as f64);
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    mean / ((variance + doubt * doubt) / n).sqrt()
}

fn worth(seen: &Seen, configuration: usize, items: &[usize]) -> Worth {
    let found: Vec<Worth> = items.iter().filter_map(|i| seen.get(&(configuration, *i)).copied()).collect();
    let mean = |of: fn(&Worth) -> f64| average(&found.iter().map(of).collect::<Vec<_>>());
    Worth { quality: mean(|w| w.quality), cost: mean(|w| w.cost) }
}

/// What a search over a recorded grid found, against the whole grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The front of the whole grid.
    pub full: Vec<usize>,
    /// The front that the search found.
    pub found: Vec<usize>,
    /// The runs that it took.
    pub runs: usize,
    /// The runs of the grid.
    pub of: usize,
}

/// Searches a recorded grid: what a search asks for is looked up.
pub fn replay(grid: &Seen, configurations: usize, items: usize, budget: usize, seed: u64) -> Result<Replay, String> {
    let missing =
        (0..configurations).flat_map(|c| (0..items).map(move |i| (c, i))).find(|pair| !grid.contains_key(pair));
    if let Some((c, i)) = missing {
        return Err(format!("the recording lacks configuration {} on item {}", c + 1, i + 1));
    }
    let all: Vec<usize> = (0..items).collect();
    let worths: Vec<Worth> = (0..configurations).map(|c| worth(grid, c, &all)).collect();
    let mut search = Halving::new(configurations, items, budget, seed)?;
    let mut seen = Seen::new();
    while let Some(batch) = search.next(&seen) {
        seen.extend(batch.into_iter().filter_map(|pair| Some((pair, *grid.get(&pair)?))));
    }
    Ok(Replay { full: front(&worths), found: search.front(&seen), runs: search.spent(), of: configurations * items })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid without noise: quality rises with cost, and every second configuration wastes.
    fn grid(configurations: usize, items: usize) -> Seen {
        let mut grid = Seen::new();
        for c in 0..configurations {
            for i in 0..items {
                let step = (c / 2) as f64 / configurations as f64;
                let (hard, waste) = (0.3 * (i % 3) as f64 / 3.0, (c % 2) as f64);
                let quality = (0.5 + step - hard - 0.1 * waste).max(0.0);
                grid.insert((c, i), Worth { quality, cost: 1.0 + step + 0.5 * waste });
            }
        }
        grid
    }

    #[test]
    fn the_front_is_found_within_the_budget() {
        let found = replay(&grid(16, 40), 16, 40, 400, 0).expect("a replay");
        assert_eq!(found.found, found.full);
        assert!(found.runs <= 400 && found.full == [0, 2, 4, 6, 8, 10, 12, 14], "{found:?}");
    }

    /// Noise that makes every order of a few items look different: only all items tell.
    fn noisy(configurations: usize, items: usize) -> Seen {
        let mut random = Random(5);
        let mut unit = || random.below(1000) as f64 / 1000.0;
        let pairs = (0..configurations).flat_map(|c| (0..items).map(move |i| (c, i)));
        pairs.map(|pair| (pair, Worth { quality: unit(), cost: 1.0 + unit() })).collect()
    }

    #[test]
    fn a_budget_for_the_whole_grid_finds_the_front_of_the_whole_grid() {
        for (configurations, items) in [(2, 1), (9, 12), (24, 40)] {
            let grid = noisy(configurations, items);
            for seed in 0..5 {
                let budget = configurations * items.max(FIRST);
                let found = replay(&grid, configurations, items, budget, seed).expect("a replay");
                assert!(found.found == found.full && found.runs == found.of, "{found:?}");
            }
        }
    }

    #[test]
    fn budgets_hold_and_too_small_ones_are_refused() {
        let grid = grid(9, 12);
        for budget in 27..=108 {
            for seed in 0..3 {
                let found = replay(&grid, 9, 12, budget, seed).expect("a replay");
                assert!(found.runs <= budget && !found.found.is_empty(), "{found:?}");
            }
        }
        assert!(Halving::new(9, 12, 26, 0).is_err());
        assert!(replay(&Seen::new(), 1, 1, 1, 0).is_err());
    }
}
