//! A [`Fleet`] and a [`Certificate`] -> the cost that no plan of the fleet is under, or why the certificate proves nothing.
//!
//! A certificate states prices: of load, by kind, of rounded cuts, and of pools. At prices that are not negative, these together bound
//! what the fleet costs (Lagrange): what every job costs at least where it pays for its load by them, what replicas cost at least where they are paid for
//! it, and less what the pools are worth. Everything but the jobs is added up here anew; what a job costs at least is refuted by a certificate of its own,
//! by the rules of [`crate::solve::proof`]. The checker shares no code with the search and the relaxation: wrong
//! prices make the bound weaker, and nothing else.

mod make;

use serde::{Deserialize, Serialize};

pub use self::make::{Certified, certify};
use super::check::alone;
use super::problem::{Fleet, Kind, MOST, faults};
use crate::solve::problem::{Aggregate, Bound, Clause, Figure, Problem, Wish};
use crate::solve::proof::{Certificate as Refutation, verify_least};

/// Prices, and what every job costs at them at least.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Prices are in micro-dollars an hour, divided by two so many times.
    pub shift: u32,
    /// By kind: the price of a unit of load.
    pub load: Vec<i64>,
    /// Rounded cuts with their prices.
    pub cuts: Vec<Rounded>,
    /// By pool: the price of a unit.
    pub pools: Vec<i64>,
    /// By job: what it costs at least.
    pub jobs: Vec<Least>,
}

/// A rounded cut: what steps put on a kind, rounded to whole replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rounded {
    /// The kind.
    pub kind: usize,
    /// Its price.
    pub price: i64,
    /// Job, step and load: the load that the cut is rounded at.
    pub set: Vec<(usize, usize, i64)>,
}

/// What a job costs at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Least {
    /// That cost, in the unit of [`Priced`].
    pub cost: i64,
    /// The refutation of anything cheaper.
    pub refutation: Refutation,
}

/// The largest price, and the longest scale: sums of products of prices and loads then stay within `i128`.
const MOST_PRICE: i64 = 1 << 60;
const MOST_SHIFT: u32 = 60;
/// Cuts and places in them that are read, at most.
const MOST_CUTS: usize = 1 << 14;
/// Bits of what the options of a job may cost in sum, so that a refutation can add them up.
const BITS: u32 = 48;

/// A job where it pays for its load by prices.
pub struct Priced {
    /// Its problem, alone, with the price of an option as a figure that no clause reads.
    pub problem: Problem,
    /// The sum of that figure.
    pub wish: Wish,
    /// By how many bits that figure is shorter than the prices.
    pub dropped: u32,
}

/// Checks a certificate: the cost, in micro-dollars an hour, that no plan of the fleet is under.
pub fn verify(fleet: &Fleet, certificate: &Certificate) -> Result<i128, String> {
    faults(fleet)?;
    certificate.fits(fleet)?;
    let mut jobs: i128 = 0;
    for (at, least) in certificate.jobs.iter().enumerate() {
        let job = &fleet.jobs[at].name;
        let priced = certificate.priced(fleet, at).ok_or_else(|| format!("the prices of `{job}` cannot be read"))?;
        verify_least(&priced.problem, priced.wish, least.cost, &least.refutation)
            .map_err(|why| format!("what `{job}` costs at least: {why}"))?;
        jobs += i128::from(least.cost) << priced.dropped;
    }
    certificate.bound(fleet, jobs).ok_or_else(|| "its sums are beyond reason".to_owned())
}

impl Certificate {
    /// Whether it is about such a fleet, and its numbers are small enough to add up.
    fn fits(&self, fleet: &Fleet) -> Result<(), String> {
        let sizes = (self.load.len(), self.pools.len(), self.jobs.len());
        if sizes != (fleet.kinds.len(), fleet.pools.len(), fleet.jobs.len()) {
            return Err("it has not one price per kind and pool and one cost per job".to_owned());
        }
        let cuts = self.cuts.iter();
        let mut prices = self.load.iter().chain(&self.pools).chain(cuts.clone().map(|cut| &cut.price));
        let places: usize = cuts.clone().map(|cut| 1 + cut.set.len()).sum();
        if !prices.all(|price| (0..=MOST_PRICE).contains(price)) || self.shift > MOST_SHIFT || places > MOST_CUTS {
            return Err("a price is negative or beyond reason".to_owned());
        }
        let step = |&(job, step, load): &(usize, usize, i64)| {
            let steps = fleet.jobs.get(job).map_or(0, |job| job.problem.steps.len());
            step < steps && (0..=MOST).contains(&load)
        };
        let sound = |cut: &Rounded| {
            let distinct = cut.set.windows(2).all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1));
            fleet.kinds.get(cut.kind).is_some_and(|kind| kind.capacity > 0) && distinct && cut.set.iter().all(step)
        };
        if cuts.clone().all(sound) { Ok(()) } else { Err("a cut is about what the fleet does not have".to_owned()) }
    }

    /// A job where it pays for its load; `None` where every figure is read by some clause.
    pub fn priced(&self, fleet: &Fleet, job: usize) -> Option<Priced> {
        let stated = &fleet.jobs[job];
        let reads = |figure: Figure| {
            let mut bounds = stated.problem.clauses.iter().map(|clause| &clause.bound);
            bounds.any(|bound| matches!(bound, Bound::AtMost { figure: read, .. } if *read == figure))
        };
        let free = Figure::ALL.into_iter().find(|&figure| !reads(figure))?;
        let mut problem = alone(&stated.problem);
        // Which options no replicas that there may be can carry.
        let never = problem.clauses.len();
        problem.clauses.push(Clause { bound: Bound::Rule });
        let mut costs: Vec<Vec<i128>> = Vec::with_capacity(stated.fees.len());
        for (step, fees) in stated.fees.iter().enumerate() {
            let mut own = Vec::with_capacity(fees.len());
            for (option, &fee) in fees.iter().enumerate() {
                let choice = &stated.problem.steps[step].choices[option];
                let taken = &mut problem.steps[step].choices[option];
                Figure::ALL.into_iter().filter(|&f| !reads(f)).for_each(|f| taken.figures[f.index()] = 0);
                taken.opens.clear();
                let mut cost = i128::from(fee) << self.shift;
                if let Some(kind) = choice.instance {
                    let of = &fleet.kinds[kind];
                    cost = cost.checked_add(i128::from(self.load[kind]) * i128::from(choice.load))?;
                    for cut in self.cuts.iter().filter(|cut| cut.kind == kind) {
                        let part = cut.coefficient(of, (job, step), choice.load);
                        cost = cost.checked_add(i128::from(cut.price).checked_mul(part)?)?;
                    }
                    if i128::from(choice.load) > i128::from(of.capacity) * i128::from(most(fleet, kind)) {
                        taken.breaks.push(never);
                    }
                }
                own.push(cost);
            }
            costs.push(own);
        }
        let all = costs.iter().flatten().try_fold(0i128, |sum, &cost| sum.checked_add(cost))?;
        // Less than the prices say is a weaker bound and still one.
        let dropped = (i128::BITS - all.leading_zeros()).saturating_sub(BITS);
        for (step, costs) in problem.steps.iter_mut().zip(costs) {
            for (choice, cost) in step.choices.iter_mut().zip(costs) {
                choice.figures[free.index()] = (cost >> dropped) as i64;
            }
        }
        let wish = Wish { figure: free, over: Aggregate::Sum };
        problem.wishes = vec![wish];
        Some(Priced { problem, wish, dropped })
    }

    /// The bound, where the jobs cost so much at least.
    fn bound(&self, fleet: &Fleet, jobs: i128) -> Option<i128> {
        let mut sum = jobs;
        for (at, kind) in fleet.kinds.iter().enumerate() {
            let mut credit = i128::from(self.load[at]) * i128::from(kind.capacity);
            for cut in self.cuts.iter().filter(|cut| cut.kind == at) {
                credit = credit.checked_add(i128::from(cut.price) * i128::from(cut.rest(kind)))?;
            }
            for &(pool, units) in &kind.uses {
                credit = credit.checked_sub(i128::from(self.pools[pool]) * i128::from(units))?;
            }
            let value = |replicas: i64| {
                let paid = credit.checked_mul(i128::from(replicas))?;
                kind.cost(replicas).checked_mul(1 << self.shift)?.checked_sub(paid)
            };
            // Between none, those that run, and the most, what they cost is on a line.
            let most = most(fleet, at);
            let ends = [value(0)?, value(most)?, value(kind.running.min(most))?];
            sum = sum.checked_add(ends.into_iter().min()?)?;
        }
        for (pool, price) in fleet.pools.iter().zip(&self.pools) {
            sum = sum.checked_sub(i128::from(*price) * i128::from(pool.units))?;
        }
        for cut in &self.cuts {
            sum = sum.checked_add(i128::from(cut.price).checked_mul(cut.rhs(&fleet.kinds[cut.kind]))?)?;
        }
        // Costs are whole, so that the bound may be rounded up.
        Some(-((-sum) >> self.shift))
    }
}

/// The most replicas of a kind that any plan needs: what the options with the largest loads need, as far as pools leave room. More cost
/// more and carry nothing.
fn most(fleet: &Fleet, kind: usize) -> i64 {
    let of = &fleet.kinds[kind];
    let steps = fleet.jobs.iter().flat_map(|job| &job.problem.steps);
    let loads = steps.map(|step| {
        let on = step.choices.iter().filter(|choice| choice.instance == Some(kind));
        i128::from(on.map(|choice| choice.load).max().unwrap_or(0))
    });
    let capacity = i128::from(of.capacity);
    let needed = if capacity == 0 { 0 } else { -(-loads.sum::<i128>()).div_euclid(capacity) };
    let fit = of.uses.iter().filter(|used| used.1 > 0).map(|&(pool, units)| fleet.pools[pool].units / units);
    let most = of.most.into_iter().chain(fit).min().unwrap_or(i64::MAX);
    i64::try_from(needed).unwrap_or(i64::MAX).min(most)
}

/// Of `capacity · y >= Σ a x`, `1 - x` put for `x` in the set, and divided by the capacity: every plan has
/// `rest · y - Σ coefficient · x >= rhs`, as [`super::cut`] derives it.
impl Rounded {
    fn sum(&self) -> i128 {
        self.set.iter().map(|&(_, _, load)| i128::from(load)).sum()
    }

    /// What the loads of the set leave over whole replicas.
    fn rest(&self, kind: &Kind) -> i64 {
        self.sum().rem_euclid(i128::from(kind.capacity)) as i64
    }

    /// The rounded weight of a load.
    fn weight(&self, kind: &Kind, load: i128) -> i128 {
        let (capacity, rest) = (i128::from(kind.capacity), i128::from(self.rest(kind)));
        rest * load.div_euclid(capacity) + load.rem_euclid(capacity).min(rest)
    }

    fn coefficient(&self, kind: &Kind, (job, step): (usize, usize), load: i64) -> i128 {
        let stated = self.set.binary_search_by_key(&(job, step), |&(job, step, _)| (job, step));
        let base = stated.map_or(0, |at| i128::from(self.set[at].2));
        self.weight(kind, base) - self.weight(kind, base - i128::from(load))
    }

    fn rhs(&self, kind: &Kind) -> i128 {
        let held: i128 = self.set.iter().map(|&(_, _, load)| self.weight(kind, i128::from(load))).sum();
        let whole = -(-self.sum()).div_euclid(i128::from(kind.capacity));
        i128::from(self.rest(kind)) * whole - held
    }
}
