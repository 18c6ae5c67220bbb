//! A combination of rows in integers -> what it excludes: plans, options, everything.
//!
//! The vocabulary that the relaxation, the search and z3 share.

use super::model::Domain;
use super::problem::Figure;
use super::record::Record;

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

/// `Σ coef · x <= rhs + slope · value` for every plan whose goal is at most `value`: the price row that z3 is given.
#[derive(Clone, Debug)]
pub struct Price {
    /// One coefficient per column.
    pub coef: Vec<i128>,
    /// The constant part of the limit.
    pub rhs: i128,
    /// The weight of the goal's value; 0 when the rows contradict each other without it.
    pub slope: i128,
}

impl Price {
    /// Drops the columns that a row without the goal's value excludes, whatever the others are; `false` when it cannot hold.
    pub fn fix(&self, domain: &mut Domain) -> bool {
        let least = |step: usize| domain.of(step).iter().map(|&c| self.coef[c as usize]).min().unwrap_or(0);
        let min: Vec<i128> = (0..domain.steps()).map(least).collect();
        let slack = self.rhs - min.iter().sum::<i128>();
        if slack >= 0 && self.slope == 0 {
            domain.retain(|step, column| self.coef[column as usize] - min[step] <= slack);
        }
        slack >= 0 || self.slope != 0
    }

    /// The row that is left once the goal's value is settled.
    pub fn at(self, value: i64) -> Price {
        Price { rhs: self.rhs + self.slope * i128::from(value), slope: 0, ..self }
    }
}

/// What a search learned that makes z3's proof short.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// Price rows, most useful first.
    pub prices: Vec<Price>,
    /// What the search did.
    pub record: Record,
    /// Paths that were critical.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "only z3 is told"))]
    pub paths: Vec<(Figure, Vec<usize>)>,
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
#[derive(Clone)]
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
