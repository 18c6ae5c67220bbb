//! A combination of rows in integers -> what it excludes: plans, options, everything.
//!
//! The vocabulary that the relaxation, the search and z3 share.

use super::model::{Domain, Origin, Row};
use super::presolve::Space;
use super::problem::Figure;

/// What a search minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Nothing: any plan will do.
    Any,
    /// The sum of a figure.
    Sum(Figure),
    /// The longest path of a figure.
    Path(Figure),
}

/// `Σ coef · x <= rhs`: a combination of rows that every plan with a good enough goal satisfies.
#[derive(Clone, Debug)]
pub struct Price {
    /// One coefficient per column that was asked for, in their order.
    pub coef: Vec<i128>,
    /// The limit.
    pub rhs: i128,
}

/// One half of the options of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The step.
    pub step: usize,
    /// Some of its columns, ascending.
    pub columns: Vec<u32>,
    /// Whether these are meant, or all others.
    pub inside: bool,
}

impl Side {
    /// Whether the column of the step belongs to it.
    pub fn has(&self, column: u32) -> bool {
        self.columns.binary_search(&column).is_ok() == self.inside
    }
}

/// A part of a search: one half of its parent's, and the combinations that exclude options of it or all of it.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The case that it is a part of; the first has itself.
    pub parent: usize,
    /// Which half; `None` for the first case.
    pub side: Option<Side>,
    /// Indices into [`Cases::proofs`].
    pub by: Vec<usize>,
}

/// What a search did, as far as a proof needs it: every case is excluded by its combinations, or has two parts listed.
#[derive(Clone, Debug, Default)]
pub struct Cases {
    /// The combinations.
    pub proofs: Vec<Multipliers>,
    /// The cases, each after the one that it is a part of.
    pub list: Vec<Case>,
    /// There were too many to record.
    pub cut: bool,
}

/// Combinations that a record holds at most.
const MOST_PROOFS: usize = 20_000;

impl Cases {
    /// Adds a part of a case (or the first); its index.
    pub fn open(&mut self, parent: usize, side: Option<Side>, by: Vec<Multipliers>) -> usize {
        let case = self.list.len();
        if case >= MOST_PROOFS {
            self.cut = true;
            return parent;
        }
        self.list.push(Case { parent, side, by: Vec::new() });
        by.into_iter().for_each(|proof| self.by(case, proof));
        case
    }

    /// Records that a combination excludes something of a case.
    pub fn by(&mut self, case: usize, proof: Multipliers) {
        let place = match self.proofs.last() {
            Some(last) if *last == proof => self.proofs.len() - 1,
            _ if self.proofs.len() >= MOST_PROOFS => {
                self.cut = true;
                return;
            }
            _ => {
                self.proofs.push(proof);
                self.proofs.len() - 1
            }
        };
        if !self.list[case].by.contains(&place) {
            self.list[case].by.push(place);
        }
    }
}

/// What a search learned that makes a proof short.
#[derive(Clone, Debug)]
pub struct Hints {
    /// What was minimised.
    pub goal: Goal,
    /// The rows that combinations speak of; those on the target are paths that the goal bounds.
    pub rows: Vec<(Row, bool)>,
    /// The search itself.
    pub cases: Cases,
    /// Paths that were critical.
    pub paths: Vec<(Figure, Vec<usize>)>,
}

impl Default for Hints {
    fn default() -> Self {
        Hints { goal: Goal::Any, rows: Vec::new(), cases: Cases::default(), paths: Vec::new() }
    }
}

impl Hints {
    /// A combination as a row over the given columns, for plans whose goal is at most `value`.
    pub fn price(&self, space: &Space, proof: &Multipliers, columns: &[u32], value: i64) -> Price {
        let mut coef: Vec<i128> = match self.goal {
            Goal::Sum(figure) if proof.slope > 0 => {
                let cost = |&column: &u32| proof.slope * i128::from(space.sum(column as usize, figure));
                columns.iter().map(cost).collect()
            }
            _ => vec![0; columns.len()],
        };
        let mut rhs = proof.slope * i128::from(value);
        for &(place, y) in &proof.rows {
            let (row, on_target) = &self.rows[place];
            coef.iter_mut().zip(columns).for_each(|(sum, &column)| *sum += y * i128::from(row.coef[column as usize]));
            if !on_target {
                rhs += y * i128::from(row.rhs);
            }
        }
        Price { coef, rhs }
    }

    /// The rows of the problem that a combination takes, and how often, the goal's among them.
    pub fn terms(&self, proof: &Multipliers) -> Vec<(Origin, i128)> {
        let mut terms: Vec<(Origin, i128)> =
            proof.rows.iter().map(|&(place, y)| (self.rows[place].0.origin.clone(), y)).collect();
        if let (Goal::Sum(figure), 1..) = (self.goal, proof.slope) {
            terms.push((Origin::Sum(figure), proof.slope));
        }
        terms
    }
}

/// Integer multipliers of the rows, and the weight of the goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipliers {
    /// The rows of the relaxation with a multiplier above 0.
    pub rows: Vec<(usize, i128)>,
    /// The weight of the goal.
    pub slope: i128,
}

/// A combination of rows, evaluated on a domain.
pub struct Bound {
    /// The least that the left-hand side exceeds the constant part by.
    pub least: i128,
    /// How much worse than its step's best each column of the domain is, in the order of [`Domain::all`].
    pub excess: Vec<i128>,
    /// The weight of the goal.
    pub slope: i128,
}

impl Bound {
    /// Whether no plan of the domain has a goal of at most `cutoff` (`None`: whether there is no plan at all).
    pub fn excludes(&self, cutoff: Option<i64>) -> bool {
        self.beyond(self.least, cutoff)
    }

    /// The proved lower bound of the goal.
    pub fn value(&self) -> i64 {
        if self.slope == 0 {
            return 0;
        }
        let up = self.least.div_euclid(self.slope) + i128::from(self.least.rem_euclid(self.slope) != 0);
        i64::try_from(up.max(0)).unwrap_or(i64::MAX)
    }

    /// Drops the columns that no plan with a goal of at most `cutoff` takes; says whether any went.
    pub fn fix(&self, domain: &mut Domain, cutoff: Option<i64>) -> bool {
        let mut excess = self.excess.iter();
        domain.retain(|_, _| excess.next().is_none_or(|&more| !self.beyond(self.least + more, cutoff)))
    }

    fn beyond(&self, least: i128, cutoff: Option<i64>) -> bool {
        match cutoff {
            _ if self.slope == 0 => least > 0,
            Some(cutoff) => least > self.slope * i128::from(cutoff),
            None => false,
        }
    }
}
