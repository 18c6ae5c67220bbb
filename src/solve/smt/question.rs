//! A [`Model`] and rows -> z3's word on the whole of it: refuted, satisfied by a plan, or neither.
//!
//! One Boolean per option. Rows are shifted by the least of every step, and where they exceed z3's integers they are divided
//! and floored on both sides: a relaxation, so that *unsat* stays a proof, while every model that z3 returns is checked in exact
//! integers and shut out if it only satisfies the rounded rows. Paths are added as they are violated.

use z3::ast::Bool;
use z3::{SatResult, Solver};

use super::super::model::{Domain, Model, Origin, Row};
use super::super::presolve::{ANY, Coupling};
use super::{Ask, Linear, Scaled, Verdict, at_most, exactly_one, one_of, solver};

/// A solver loaded with a model.
pub struct Question<'m> {
    model: &'m Model<'m>,
    domain: Domain,
    solver: Solver,
    /// One Boolean per column of the domain, in its order.
    taken: Vec<Bool>,
}

impl<'m> Question<'m> {
    /// Loads a solver with the model, of which only `domain` is left, and price rows over `domain`.
    pub fn new(model: &'m Model<'m>, domain: Domain, paths: &[Row], prices: &[Linear], ask: &Ask) -> Option<Self> {
        let solver = solver(ask)?;
        let taken = (0..domain.all().len()).map(|place| Bool::new_const(place as u32)).collect();
        let question = Question { model, domain, solver, taken };
        if model.broken {
            question.solver.assert(Bool::from_bool(false));
        }
        for step in 0..question.domain.steps() {
            question.solver.assert(exactly_one(question.bools(question.domain.of(step)).collect()));
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
        Some(question)
    }

    /// Asks until z3 has refuted the model or found a plan of it, but `most` times; also the number of checks.
    pub fn answer(&self, ask: &Ask, most: u32) -> (Verdict, u32) {
        for round in 0..most {
            if ask.clock.is_some_and(|clock| clock()) {
                return (Verdict::Unknown, round);
            }
            let checks = round + 1;
            match self.solver.check() {
                SatResult::Unsat => return (Verdict::Refuted, checks),
                SatResult::Unknown => return (Verdict::Unknown, checks),
                SatResult::Sat => (),
            }
            match self.plan() {
                None => return (Verdict::Unknown, checks),
                Some(columns) if self.model.admits(&columns) => return (Verdict::Satisfied(columns), checks),
                Some(columns) => self.refine(&columns),
            }
        }
        (Verdict::Unknown, most)
    }

    fn bool(&self, column: u32) -> Option<&Bool> {
        self.domain.all().binary_search(&column).ok().map(|place| &self.taken[place])
    }

    fn bools<'a>(&'a self, columns: &'a [u32]) -> impl Iterator<Item = &'a Bool> {
        columns.iter().filter_map(|&column| self.bool(column))
    }

    /// An option implies that the other step takes one of the class that it assumes.
    fn couple(&self, coupling: &Coupling) {
        let space = self.model.space;
        let first = space.start[coupling.down];
        for &column in self.domain.of(coupling.down) {
            let need = coupling.need[column as usize - first];
            let Some(bool) = self.bool(column).filter(|_| need != ANY) else { continue };
            let of_class = |other: &&u32| space.class[**other as usize] == need;
            let options: Vec<u32> = self.domain.of(coupling.up).iter().filter(of_class).copied().collect();
            let mut clause = vec![bool.not()];
            clause.extend(self.bools(&options).cloned());
            self.solver.assert(Bool::or(&clause));
        }
    }

    /// Asserts a row of the model; one that asks for any of some options as a plain clause.
    fn row(&self, row: &Row) {
        if let Origin::AnyOf(_) = row.origin {
            let listed = self.domain.all().iter().copied().filter(|&column| row.coef[column as usize] < 0);
            let listed: Vec<u32> = listed.collect();
            self.solver.assert(one_of(self.bools(&listed).cloned().collect()));
            return;
        }
        let coef = self.domain.all().iter().map(|&column| i128::from(row.coef[column as usize])).collect();
        self.price(&Linear { coef, rhs: i128::from(row.rhs) });
    }

    /// Asserts a row over the domain, or a relaxation of it that z3's integers can hold.
    fn price(&self, price: &Linear) {
        let steps = self.domain.steps();
        let groups: Vec<usize> = (0..steps).map(|step| self.domain.of(step).len()).collect();
        let scaled = Scaled::new(&price.coef, price.rhs, &groups);
        self.solver.assert(at_most(&self.taken.iter().collect::<Vec<_>>(), &scaled));
    }

    fn plan(&self) -> Option<Vec<u32>> {
        let model = self.solver.get_model()?;
        let holds = |column: &&u32| {
            let value = self.bool(**column).and_then(|bool| model.eval(bool, true));
            value.and_then(|value| value.as_bool()) == Some(true)
        };
        (0..self.domain.steps()).map(|step| self.domain.of(step).iter().find(holds).copied()).collect()
    }

    /// Shuts out a plan that the model does not admit: by the paths that are too long, and by itself.
    fn refine(&self, columns: &[u32]) {
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
        self.solver.assert(one_of(self.bools(columns).map(Bool::not).collect()));
    }
}
