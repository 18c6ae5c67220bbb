//! A [`Problem`] -> an [`Outcome`]: one choice per step with its proof, or the clauses that clash.
//!
//! Who decides: the native branch and bound ([`search`]) finds the plan, wish by wish, and its exhaustion in exact integers
//! decides that nothing is better. Who certifies: z3 is then asked to refute `wish <= value - 1` ([`smt`]), with price rows
//! from the linear relaxation that tell it where to look; a plan says `z3` only if z3 refuted every wish. When the native
//! search runs out of nodes or time, z3 goes on from its bound, in slices.
//!
//! What z3 does not audit: the dominance of [`presolve`], the `i128` arithmetic that adds rows up to price rows, and the
//! options that such a row excludes alone, which are left out before z3 sees them. What nobody has to trust: every plan,
//! whoever found it, is judged by [`check`] on the problem as stated.

mod branch;
mod budget;
pub mod check;
mod conflict;
pub mod joint;
mod dominance;
pub mod export;
mod model;
pub mod outcome;
pub mod pareto;
mod presolve;
mod price;
pub mod problem;
mod propagate;
mod relax;
mod search;
mod simplex;
mod smt;
#[cfg(test)]
mod tests;
mod validate;
mod wish;

use std::cell::Cell;

use self::budget::Budget;
use self::model::Model;
use self::outcome::{Conflict, Outcome, Proof, Solution, Status};
use self::presolve::{Space, value};
use self::price::{Hints, Price};
use self::problem::{Problem, Wish};
use self::propagate::{Cutoff, propagate};
use self::search::Found;
use self::smt::{Oracle, Verdict};
use self::wish::minimise;

/// How long to look, and whether z3 must agree.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Nodes that the native search may visit in all.
    pub nodes: u64,
    /// Says when time is out; asked every few nodes and between calls to z3.
    pub out_of_time: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Milliseconds that one call to z3 may take.
    pub z3_ms: u32,
    /// What z3 is asked. Without it the native search has the only word.
    pub certify: Certify,
}

/// What z3 is given to refute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Certify {
    /// Every option that no other one dominates: z3 itself excludes what the price rows exclude.
    Full,
    /// The options that are left once each row and price row, alone and in exact integers, has excluded what it can.
    #[default]
    Core,
    /// Nothing.
    Off,
}

impl Default for Limits<'_> {
    fn default() -> Self {
        Limits { nodes: 200_000, out_of_time: None, z3_ms: 5_000, certify: Certify::Core }
    }
}

/// Finds one choice per step such that every clause holds and the wishes, in order, are smallest.
///
/// The same problem and node limit give the same choice, as long as the native search is not cut short by the clock.
pub fn solve(problem: &Problem, limits: &Limits) -> Outcome {
    let space = match presolve::reduce(problem, &[]) {
        Ok(space) => space,
        Err(words) => return Outcome::Unknown(words),
    };
    let limits = *limits;
    let run = || Session::new(&space, &limits).run();
    if limits.certify != Certify::Off { smt::isolated(run) } else { run() }
}

/// Words on what is malformed, if anything is: an index out of range, a negative figure, totals too large, a cycle.
pub fn well_formed(problem: &Problem) -> Result<(), String> {
    validate::validate(problem)?;
    presolve::order(problem).map(drop)
}

/// Loads z3 for this process, so that the first problem does not pay for it.
pub fn warm_up() {
    smt::warm_up();
}

/// Price rows of one wish that later wishes are given as well.
const MOST_CARRIED: usize = 8;

/// One problem being solved.
struct Session<'a> {
    space: &'a Space<'a>,
    clauses: Vec<usize>,
    budget: Budget<'a>,
    oracle: Option<Oracle<'a>>,
}

/// How one wish ended.
enum Settled {
    /// The best plan and its value; whether z3 agreed.
    Best { plan: Vec<u32>, value: i64, certified: bool },
    /// A plan, and what its value cannot be under.
    Open { plan: Vec<u32>, bound: i64 },
    /// There is no plan; whether z3 agreed.
    Infeasible,
    /// Nothing is known.
    Unknown,
}

impl<'a> Session<'a> {
    fn new(space: &'a Space<'a>, limits: &Limits<'a>) -> Self {
        let oracle = Oracle { ms: limits.z3_ms, clock: limits.out_of_time, checks: Cell::new(0) };
        Session {
            space,
            clauses: (0..space.problem.clauses.len()).collect(),
            budget: Budget::new(limits.nodes, limits.out_of_time),
            oracle: (limits.certify != Certify::Off).then_some(oracle),
        }
    }

    fn run(&self) -> Outcome {
        let problem = self.space.problem;
        let wishes: Vec<Option<Wish>> = match problem.wishes.as_slice() {
            [] => vec![None],
            wishes => wishes.iter().copied().map(Some).collect(),
        };
        let (mut bounds, mut known, mut certified) = (Vec::new(), None, self.oracle.is_some());
        let mut carried = Vec::new();
        let mut status = Status::Optimal;
        for (place, &wish) in wishes.iter().enumerate() {
            match self.settle(&bounds, wish, known.clone(), &mut carried) {
                Settled::Best { plan, value, certified: agreed } => {
                    bounds.extend(wish.map(|wish| (wish, value)));
                    certified &= agreed;
                    known = Some(plan);
                }
                Settled::Open { plan, bound } => {
                    status = Status::Feasible { wish: place, bound };
                    known = Some(plan);
                    break;
                }
                Settled::Infeasible => return Outcome::Conflict(self.explain()),
                Settled::Unknown => {
                    return Outcome::Unknown("no plan was found within the limits, and none was excluded".to_owned());
                }
            }
        }
        let choice: Vec<usize> = known.map(|columns| self.space.choices(&columns)).unwrap_or_default();
        match check::check(problem, &choice) {
            Ok(values) => {
                Outcome::Solved(Solution { choice, values: values.wishes, proof: self.proof(status, certified) })
            }
            Err(violation) => Outcome::Unknown(format!("the plan found does not check: {violation:?}")),
        }
    }

    fn proof(&self, status: Status, certified: bool) -> Proof {
        let by_z3 = certified && status == Status::Optimal;
        let model = Model::new(self.space, &self.clauses, &[]);
        let mut domain = model.domain.clone();
        propagate(&model, &Cutoff::default(), &mut domain);
        Proof {
            status,
            by: if by_z3 { smt::name() } else { "native".to_owned() },
            z3_checks: self.oracle.as_ref().map_or(0, |oracle| oracle.checks.get()),
            nodes: self.budget.spent(),
            kept: (
                (0..self.space.stated()).map(|step| domain.of(step).len()).sum(),
                self.space.problem.steps.iter().map(|step| step.choices.len()).sum(),
            ),
        }
    }

    /// Finds the best value of one wish under the values of the earlier ones.
    ///
    /// `carried` holds price rows of the earlier wishes, which their values have made rows like any other.
    fn settle(
        &self,
        bounds: &[(Wish, i64)],
        wish: Option<Wish>,
        known: Option<Vec<u32>>,
        carried: &mut Vec<Price>,
    ) -> Settled {
        let found = minimise(self.space, &self.clauses, bounds, wish, known, &self.budget);
        match (&self.oracle, found) {
            (_, Found { best: None, exhausted: true, .. }) => Settled::Infeasible,
            (None, Found { best: Some((plan, value)), exhausted: true, .. }) => {
                Settled::Best { plan, value, certified: false }
            }
            (None, Found { best: Some((plan, _)), bound, .. }) => Settled::Open { plan, bound },
            (None, Found { best: None, .. }) => Settled::Unknown,
            (Some(oracle), mut found) => {
                let own = found.hints.prices.len().min(MOST_CARRIED);
                found.hints.prices.extend(carried.iter().cloned());
                let prices = found.hints.prices[..own].to_vec();
                let settled = self.with_z3(oracle, bounds, wish, found);
                if let Settled::Best { value, .. } = settled {
                    carried.extend(prices.into_iter().map(|price| price.at(value)));
                }
                settled
            }
        }
    }

    /// Has z3 refute anything better than what the native search found, or go on where that search stopped.
    fn with_z3(&self, oracle: &Oracle, bounds: &[(Wish, i64)], wish: Option<Wish>, found: Found) -> Settled {
        let Found { best, bound: mut low, exhausted, hints } = found;
        let (mut plan, mut high) = match best {
            Some((plan, value)) => (plan, value),
            None => match oracle.ask(&Model::new(self.space, &self.clauses, bounds), &no_goal(&hints), 0) {
                Verdict::Refuted => return Settled::Infeasible,
                Verdict::Unknown => return Settled::Unknown,
                Verdict::Satisfied(plan) => {
                    let high = wish.map_or(0, |wish| value(self.space, &plan, wish.figure, wish.over));
                    (plan, high)
                }
            },
        };
        let Some(wish) = wish else {
            return Settled::Best { plan, value: high, certified: true };
        };
        // A proof is asked for in one piece; a search goes upwards in slices that double.
        let mut refuted = i64::MIN;
        let mut width = if exhausted { i64::MAX } else { (high.saturating_sub(low) / 64).max(1) };
        while refuted < high - 1 {
            let ask = low.saturating_add(width - 1).min(high - 1);
            let mut tighter = bounds.to_vec();
            tighter.push((wish, ask));
            match oracle.ask(&Model::new(self.space, &self.clauses, &tighter), &hints, ask) {
                Verdict::Refuted => {
                    refuted = ask;
                    low = ask + 1;
                    width = width.saturating_mul(2);
                }
                Verdict::Satisfied(better) => {
                    high = value(self.space, &better, wish.figure, wish.over);
                    plan = better;
                }
                Verdict::Unknown if exhausted => {
                    return Settled::Best { plan, value: high, certified: false };
                }
                Verdict::Unknown => return Settled::Open { plan, bound: low },
            }
        }
        Settled::Best { plan, value: high, certified: true }
    }

    fn explain(&self) -> Conflict {
        conflict::explain(self.space, &self.clauses, &self.budget, self.oracle.as_ref())
    }
}

/// The hints that hold whatever the goal's value.
fn no_goal(hints: &Hints) -> Hints {
    let prices = hints.prices.iter().filter(|price| price.slope == 0).cloned().collect();
    Hints { prices, paths: hints.paths.clone() }
}
