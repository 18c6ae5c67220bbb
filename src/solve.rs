//! A [`Problem`] -> an [`Outcome`]: one choice per step with its proof, or the clauses that clash.
//!
//! Who decides: the native branch and bound ([`search`]) finds the plan, wish by wish, and its exhaustion in exact integers
//! decides that nothing is better. Who certifies: z3 is then asked to refute `wish <= value - 1` ([`smt`] says what it is given at
//! which level); a plan says `z3` only if z3 refuted every wish. When the native search runs out of nodes or time, z3 goes on
//! from its bound, in slices.
//!
//! What z3 does not audit: the dominance of [`presolve`] and the `i128` arithmetic that adds rows up to price rows; at
//! [`Certify::Core`], also that each case that the search closed is closed. What nobody has to trust: every plan, whoever found
//! it, is judged by [`check`] on the problem as stated, and [`proof`] writes the whole refutation down for a checker that shares no code
//! with what made it.

mod basis;
mod branch;
mod budget;
pub mod check;
mod coefs;
mod conflict;
mod dominance;
mod enumerate;
pub mod export;
pub mod joint;
pub mod judge;
mod levels;
mod model;
mod near;
pub mod outcome;
pub mod pareto;
mod presolve;
mod price;
pub mod problem;
pub mod proof;
mod propagate;
mod record;
mod relax;
mod search;
mod simplex;
#[cfg_attr(target_family = "wasm", path = "solve/smt/absent.rs")]
mod smt;
#[cfg(test)]
mod tests;
mod validate;
mod wish;

use self::budget::Budget;
use self::judge::Judge;
use self::model::Model;
use self::outcome::{Conflict, Outcome, Proof, Solution, Status};
use self::presolve::{Space, value};
use self::price::Price;
use self::problem::{Problem, Wish};
use self::propagate::{Cutoff, propagate};
use self::search::Found;
pub use self::smt::isolated;
use self::smt::{Oracle, Verdict};
use self::validate::HUGE;
use self::wish::minimise_under;

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
    /// Who answers in place of the z3 in this process.
    pub judge: Option<&'a dyn Judge>,
}

/// What z3 is given to refute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Certify {
    /// Every option that no other one dominates: z3 itself excludes what the price rows exclude.
    Full,
    /// Whether the cases that the search closed in exact integers leave anything out; where rows alone close everything, the
    /// options and rows that do.
    #[default]
    Core,
    /// Nothing.
    Off,
}

impl Default for Limits<'_> {
    fn default() -> Self {
        Limits { nodes: 200_000, out_of_time: None, z3_ms: 5_000, certify: Certify::Core, judge: None }
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
    Session::new(&space, &limits).run()
}

/// Words on what is malformed, if anything is: an index out of range, a negative figure, totals too large, a cycle.
pub fn well_formed(problem: &Problem) -> Result<(), String> {
    validate::validate(problem)?;
    presolve::order(problem).map(drop)
}

/// Loads z3 for this process, so that the first problem does not pay for it.
pub fn warm_up() {
    smt::Here.warm_up();
}

/// z3 in this process.
pub fn z3_here() -> impl Judge {
    smt::Here
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

/// How all wishes ended.
enum Decided {
    /// The best plan, how far it is proved, and whether z3 agreed with all of it.
    Plan { columns: Vec<u32>, status: Status, certified: bool },
    /// There is no plan.
    Infeasible,
    /// Nothing is known.
    Unknown,
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
        let oracle = Oracle::of(limits);
        let mut budget = Budget::new(limits.nodes, limits.out_of_time);
        budget.prices.set(MOST_CARRIED);
        budget.record = oracle.is_some();
        Session { space, clauses: (0..space.problem.clauses.len()).collect(), budget, oracle }
    }

    fn run(&self) -> Outcome {
        let problem = self.space.problem;
        let (columns, status, certified) = match self.decide(&problem.wishes, Vec::new(), None) {
            Decided::Plan { columns, status, certified } => (columns, status, certified),
            Decided::Infeasible => return Outcome::Conflict(self.explain()),
            Decided::Unknown => {
                return Outcome::Unknown("no plan was found within the limits, and none was excluded".to_owned());
            }
        };
        let choice = self.space.choices(&columns);
        match check::check(problem, &choice) {
            Ok(values) => {
                Outcome::Solved(Solution { choice, values: values.wishes, proof: self.proof(status, certified) })
            }
            Err(violation) => Outcome::Unknown(format!("the plan found does not check: {violation}")),
        }
    }

    /// Settles one wish after the other, under bounds that are given.
    fn decide(&self, wishes: &[Wish], mut bounds: Vec<(Wish, i64)>, mut known: Option<Vec<u32>>) -> Decided {
        let wishes: Vec<Option<Wish>> = match wishes {
            [] => vec![None],
            wishes => wishes.iter().copied().map(Some).collect(),
        };
        let (mut carried, mut certified, mut status) = (Vec::new(), self.oracle.is_some(), Status::Optimal);
        for (place, &wish) in wishes.iter().enumerate() {
            if place + 1 == wishes.len() && self.oracle.is_none() {
                // Nobody asks for what the last wish taught.
                self.budget.prices.set(0);
            }
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
                Settled::Infeasible => return Decided::Infeasible,
                Settled::Unknown => return Decided::Unknown,
            }
        }
        Decided::Plan { columns: known.unwrap_or_default(), status, certified }
    }

    fn proof(&self, status: Status, certified: bool) -> Proof {
        let by_z3 = certified && status == Status::Optimal;
        let model = Model::new(self.space, &self.clauses, &[]);
        let mut domain = model.domain.clone();
        propagate(&model, &Cutoff::default(), &mut domain);
        Proof {
            status,
            by: if by_z3 { smt::name() } else { outcome::NATIVE.to_owned() },
            z3_checks: self.oracle.as_ref().map_or(0, Oracle::checks),
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
        let found = minimise_under(self.space, &self.clauses, bounds, wish, known, carried, &self.budget);
        let prices = found.hints.prices.clone();
        // To open z3 for a question that it has no time for would only take more.
        let late = found.best.is_some() && self.budget.out_of_time();
        let settled = match (self.oracle.as_ref().filter(|_| !late), found) {
            (_, Found { best: None, exhausted: true, .. }) => Settled::Infeasible,
            (None, Found { best: Some((plan, value)), exhausted: true, .. }) => {
                Settled::Best { plan, value, certified: false }
            }
            (None, Found { best: Some((plan, _)), bound, .. }) => Settled::Open { plan, bound },
            (None, Found { best: None, .. }) => Settled::Unknown,
            (Some(oracle), found) => {
                let known = Known { space: self.space, clauses: &self.clauses, bounds, carried };
                let searched = !found.exhausted;
                let decide = || with_z3(&known, oracle, wish, found);
                if searched { smt::isolated(decide) } else { decide() }
            }
        };
        if let Settled::Best { value, .. } = settled {
            carried.extend(prices.into_iter().map(|price| price.at(value)));
        }
        settled
    }

    fn explain(&self) -> Conflict {
        conflict::explain(self.space, &self.clauses, &self.budget, self.oracle.as_ref())
    }
}

/// What is settled before a wish.
struct Known<'a> {
    space: &'a Space<'a>,
    clauses: &'a [usize],
    bounds: &'a [(Wish, i64)],
    carried: &'a [Price],
}

/// Has z3 refute anything better than what the native search found, or go on where that search stopped.
fn with_z3(known: &Known, oracle: &Oracle, wish: Option<Wish>, found: Found) -> Settled {
    let Found { best, bound: mut low, exhausted, hints } = found;
    let &Known { space, clauses, bounds, carried } = known;
    let under = |limit: Option<(Wish, i64)>| {
        let tighter: Vec<(Wish, i64)> = bounds.iter().copied().chain(limit).collect();
        Model::new(space, clauses, &tighter)
    };
    let Some(wish) = wish else {
        return match best {
            Some((plan, value)) => Settled::Best { plan, value, certified: true },
            None => match oracle.search(&under(None), &hints, carried, None) {
                Verdict::Refuted => Settled::Infeasible,
                Verdict::Unknown => Settled::Unknown,
                Verdict::Satisfied(plan) => Settled::Best { plan, value: 0, certified: true },
            },
        };
    };
    // A proof is asked for in one piece; a search goes upwards in slices, each half as wide again, until one has a plan.
    let mut best = best;
    let mut refuted = i64::MIN;
    let first = best.as_ref().map_or(low, |best| best.1.saturating_sub(low)) / 64;
    let mut width = if exhausted { i64::MAX } else { first.max(1) };
    loop {
        let ask = low.saturating_add(width - 1).min(best.as_ref().map_or(HUGE as i64, |best| best.1 - 1));
        if refuted >= ask {
            break;
        }
        let model = under(Some((wish, ask)));
        let verdict = if exhausted {
            oracle.refute(&model, &hints, carried, Some(ask))
        } else {
            oracle.search(&model, &hints, carried, Some(ask))
        };
        match (verdict, best.take()) {
            (Verdict::Refuted, kept) => {
                best = kept;
                refuted = ask;
                low = ask + 1;
                width = width.saturating_add(width / 2 + 1);
            }
            (Verdict::Satisfied(plan), _) => {
                let value = value(space, &plan, wish.figure, wish.over);
                best = Some((plan, value));
            }
            (Verdict::Unknown, Some((plan, value))) if exhausted => {
                return Settled::Best { plan, value, certified: false };
            }
            (Verdict::Unknown, Some((plan, _))) => return Settled::Open { plan, bound: low },
            (Verdict::Unknown, None) => return Settled::Unknown,
        }
    }
    match best {
        Some((plan, value)) => Settled::Best { plan, value, certified: true },
        None => Settled::Infeasible,
    }
}
