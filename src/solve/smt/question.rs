//! A [`Model`] and rows -> z3's word on the whole of it: refuted, satisfied by a plan, or neither.
//!
//! One Boolean per option. Rows are shifted by the least of every step, and where they exceed z3's integers they are divided
//! and floored on both sides: a relaxation, so that *unsat* stays a proof, while every model that z3 returns is checked in exact
//! integers and shut out if it only satisfies the rounded rows. Paths are added as they are violated.

use super::super::budget::Clock;
use super::super::judge::{Constraint, Trial, Word};
use super::super::model::{Domain, Model, Origin, Row};
use super::super::presolve::{ANY, Coupling};
use super::{Linear, Scaled, Verdict};

/// A trial loaded with a model: the Booleans are the columns of the domain, by their places in it.
pub struct Question<'m> {
    model: &'m Model<'m>,
    domain: Domain,
    trial: Box<dyn Trial + 'm>,
}

impl<'m> Question<'m> {
    /// Loads a trial with the model, of which only `domain` is left, and price rows over `domain`.
    pub fn new(
        model: &'m Model<'m>,
        domain: Domain,
        paths: &[Row],
        prices: &[Linear],
        trial: Box<dyn Trial + 'm>,
    ) -> Self {
        let mut question = Question { model, domain, trial };
        if model.broken {
            question.trial.assert(Constraint::Any(Vec::new()));
        }
        for step in 0..question.domain.steps() {
            let taken = question.domain.range(step).map(|place| place as u32).collect();
            question.trial.assert(Constraint::One(taken));
        }
        for coupling in &model.space.couplings {
            question.couple(coupling);
        }
        for row in model.rows.iter().chain(paths) {
            question.row(row);
        }
        for price in prices {
            question.price(price);
        }
        question
    }

    /// Asks until z3 has refuted the model or found a plan of it, but `most` times; also the number of checks.
    pub fn answer(&mut self, clock: Clock, most: u32) -> (Verdict, u32) {
        for round in 0..most {
            if clock.is_some_and(|clock| clock()) {
                return (Verdict::Unknown, round);
            }
            let checks = round + 1;
            let taken = match self.trial.decide() {
                Word::Refuted => return (Verdict::Refuted, checks),
                Word::Unknown => return (Verdict::Unknown, checks),
                Word::Satisfied(taken) => taken,
            };
            match self.plan(&taken) {
                None => return (Verdict::Unknown, checks),
                Some(columns) if self.model.admits(&columns) => return (Verdict::Satisfied(columns), checks),
                Some(columns) => self.refine(&columns),
            }
        }
        (Verdict::Unknown, most)
    }

    /// The Boolean of a column, where it is left.
    fn taken(&self, column: u32) -> Option<u32> {
        self.domain.all().binary_search(&column).ok().map(|place| place as u32)
    }

    /// An option implies that the other step takes one of the class that it assumes.
    fn couple(&mut self, coupling: &Coupling) {
        let space = self.model.space;
        let first = space.start[coupling.down];
        for (place, &column) in self.domain.range(coupling.down).zip(self.domain.of(coupling.down)) {
            let need = coupling.need[column as usize - first];
            if need == ANY {
                continue;
            }
            let up = self.domain.range(coupling.up).zip(self.domain.of(coupling.up));
            let of_class = up.filter(|pair| space.class[*pair.1 as usize] == need).map(|pair| (pair.0 as u32, true));
            self.trial.assert(Constraint::Any(std::iter::once((place as u32, false)).chain(of_class).collect()));
        }
    }

    /// Asserts a row of the model; one that asks for any of some options as a plain clause.
    fn row(&mut self, row: &Row) {
        let columns = self.domain.all().iter();
        if let Origin::AnyOf(_) = row.origin {
            let listed = (0u32..).zip(columns).filter(|pair| row.coef[*pair.1 as usize] < 0);
            let listed = listed.map(|(place, _)| (place, true)).collect();
            self.trial.assert(Constraint::Any(listed));
            return;
        }
        let coef = columns.map(|&column| i128::from(row.coef[column as usize])).collect();
        self.price(&Linear { coef, rhs: i128::from(row.rhs) });
    }

    /// Asserts a row over the domain, or a relaxation of it that z3's integers can hold.
    fn price(&mut self, price: &Linear) {
        let steps = self.domain.steps();
        let groups: Vec<usize> = (0..steps).map(|step| self.domain.of(step).len()).collect();
        let Scaled { coef, limit } = Scaled::new(&price.coef, price.rhs, &groups);
        let terms = (0u32..).zip(coef).filter(|term| term.1 > 0).collect();
        self.trial.assert(Constraint::AtMost(terms, limit));
    }

    /// The column of each step among those that are taken, ascending.
    fn plan(&self, taken: &[u32]) -> Option<Vec<u32>> {
        let of = |step: usize| {
            let range = self.domain.range(step);
            let place = taken.iter().map(|&place| place as usize).find(|place| range.contains(place))?;
            Some(self.domain.all()[place])
        };
        (0..self.domain.steps()).map(of).collect()
    }

    /// Shuts out a plan that the model does not admit: by the paths that are too long, and by itself.
    fn refine(&mut self, columns: &[u32]) {
        let space = self.model.space;
        for ceiling in &self.model.ceilings {
            let weight: Vec<i64> =
                columns.iter().map(|&column| space.figure(column as usize, ceiling.figure)).collect();
            let (length, path) = space.longest(&weight);
            if length > ceiling.limit {
                self.row(&Row::along(space, &path, ceiling.figure, ceiling.limit));
            }
        }
        // A rounded row may let the same plan pass again, so that it is named as well.
        let others = columns.iter().filter_map(|&column| self.taken(column)).map(|place| (place, false)).collect();
        self.trial.assert(Constraint::Any(others));
    }
}
