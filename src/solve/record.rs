//! What a search did, as far as a proof needs it: the cases that it told apart and the combinations that closed them.

use super::model::{Origin, Row};
use super::presolve::Space;
use super::price::{Goal, Multipliers};

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

/// A part of a search: one half of its parent's, and the combinations that exclude options of it or all of it.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The case that it is a part of; the first has itself.
    pub parent: usize,
    /// Which half; `None` for the first case.
    pub side: Option<Side>,
    /// Indices into [`Cases::proofs`], the latest last.
    pub by: Vec<usize>,
    /// Nothing of it is left, and it has no parts.
    pub closed: bool,
}

/// The cases of a search. All of it is searched when every case is closed or has both its halves listed.
#[derive(Clone, Debug, Default)]
pub struct Cases {
    /// The combinations.
    pub proofs: Vec<Multipliers>,
    /// The cases, each after the one that it is a part of.
    pub list: Vec<Case>,
    /// There were too many to record, or nobody asked.
    pub cut: bool,
}

/// Combinations and cases that a record holds at most.
const MOST: usize = 20_000;

impl Cases {
    /// Adds a part of a case (or the first); its index.
    pub fn open(&mut self, parent: usize, side: Option<Side>) -> usize {
        if self.list.len() >= MOST {
            self.cut = true;
            return parent;
        }
        self.list.push(Case { parent, side, ..Case::default() });
        self.list.len() - 1
    }

    /// Records that a combination excludes something of a case.
    pub fn by(&mut self, case: usize, proof: &Multipliers) {
        if self.proofs.last() != Some(proof) {
            if self.proofs.len() >= MOST {
                self.cut = true;
                return;
            }
            self.proofs.push(proof.clone());
        }
        let place = self.proofs.len() - 1;
        if self.list[case].by.last() != Some(&place) {
            self.list[case].by.push(place);
        }
    }

    /// Records that nothing of a case is left.
    pub fn close(&mut self, case: usize) {
        self.list[case].closed = true;
    }

    /// The closed cases, if they are all that there is.
    pub fn leaves(&self) -> Option<Vec<usize>> {
        let mut parts = vec![0u8; self.list.len()];
        self.list.iter().skip(1).for_each(|case| parts[case.parent] = parts[case.parent].saturating_add(1));
        let whole = |place: usize| (parts[place] == 0 && self.list[place].closed) || parts[place] == 2;
        let complete = !self.cut && !self.list.is_empty() && (0..parts.len()).all(whole);
        complete.then(|| (0..parts.len()).filter(|&place| parts[place] == 0).collect())
    }

    /// What a case leaves to each step that it or a case around it divides.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "only z3 is told"))]
    pub fn sides(&self, case: usize) -> Vec<&Side> {
        let (mut sides, mut at) = (Vec::new(), case);
        while let Some(side) = &self.list[at].side {
            sides.push(side);
            at = self.list[at].parent;
        }
        sides
    }
}

/// The cases with what their combinations speak of.
#[derive(Clone, Debug)]
pub struct Record {
    /// What was minimised.
    pub goal: Goal,
    /// The rows that combinations speak of (the others are left out), and whether they are paths that the goal bounds.
    pub rows: Vec<(Option<Row>, bool)>,
    /// The cases.
    pub cases: Cases,
}

impl Default for Record {
    fn default() -> Self {
        Record { goal: Goal::Any, rows: Vec::new(), cases: Cases::default() }
    }
}

impl Record {
    /// A combination as a row over the given columns, for plans whose goal is at most `value`: coefficients and limit.
    #[cfg_attr(target_family = "wasm", expect(dead_code, reason = "only z3 is told"))]
    pub fn price(&self, space: &Space, proof: &Multipliers, columns: &[u32], value: i64) -> (Vec<i128>, i128) {
        // Multipliers have far fewer than 64 bits, so that one wide product per coefficient is enough.
        let wide = |y: i128, a: i64| i128::from(y as i64) * i128::from(a);
        let mut coef: Vec<i128> = match self.goal {
            Goal::Sum(figure) if proof.slope > 0 => {
                columns.iter().map(|&column| wide(proof.slope, space.sum(column as usize, figure))).collect()
            }
            _ => vec![0; columns.len()],
        };
        let mut rhs = proof.slope * i128::from(value);
        for &(place, y) in &proof.rows {
            let (Some(row), on_target) = &self.rows[place] else { continue };
            coef.iter_mut().zip(columns).for_each(|(sum, &column)| *sum += wide(y, row.coef[column as usize]));
            if !on_target {
                rhs += wide(y, row.rhs);
            }
        }
        (coef, rhs)
    }

    /// The rows of the problem that a combination takes, and how often, the goal's among them.
    pub fn terms(&self, proof: &Multipliers) -> Vec<(Origin, i128)> {
        let mut terms: Vec<(Origin, i128)> = proof
            .rows
            .iter()
            .filter_map(|&(place, y)| Some((self.rows[place].0.as_ref()?.origin.clone(), y)))
            .collect();
        if let (Goal::Sum(figure), 1..) = (self.goal, proof.slope) {
            terms.push((Origin::Sum(figure), proof.slope));
        }
        terms
    }
}
