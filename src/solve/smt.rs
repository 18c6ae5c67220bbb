//! A [`Model`] and price rows -> z3's word: refuted, satisfied by a plan, or neither.
//!
//! One Boolean per option under QF_FD. Rows are shifted by the least of every step, and where they exceed z3's integers
//! they are divided and floored on both sides: a relaxation, so that *unsat* stays a proof, while every model that z3 returns
//! is checked in exact integers and shut out if it only satisfies the rounded rows. Paths are added as they are violated.

use std::cell::Cell;

use z3::ast::Bool;
use z3::{Config, Params, SatResult, Solver, with_z3_config};

use super::budget::Clock;
use super::model::{Domain, Model, Row};
use super::presolve::{ANY, Coupling};
use super::price::Hints;

/// z3's word on a model.
pub enum Verdict {
    /// No plan exists.
    Refuted,
    /// A plan, one column per step, that the model admits in exact integers.
    Satisfied(Vec<u32>),
    /// No answer in time.
    Unknown,
}

/// How often z3 may be asked, and how it was.
pub struct Oracle<'a> {
    /// Milliseconds that one check may take.
    pub ms: u32,
    /// Says when time is out.
    pub clock: Clock<'a>,
    /// Checks made.
    pub checks: Cell<u32>,
}

/// Models of rounded rows that are shut out before giving up.
const MOST_ROUNDS: u32 = 400;

/// z3's name and version, as it is written into plans.
pub fn name() -> String {
    let version = z3::full_version();
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    format!("z3 {}", number.unwrap_or(version).trim_end_matches(".0"))
}

/// Runs with a fresh context of z3: what a context has seen before sways its search, and the same problem is to get the same
/// answer whatever was solved before it.
pub fn isolated<R: Send + Sync>(run: impl FnOnce() -> R + Send + Sync) -> R {
    with_z3_config(&Config::new(), run)
}

/// Has z3 answer a small question, since its first answer on a thread takes the longest.
pub fn warm_up() {
    let Some(solver) = Solver::new_for_logic("QF_FD") else {
        return;
    };
    let taken: Vec<Bool> = (0..4u32).map(Bool::new_const).collect();
    let terms: Vec<(&Bool, i32)> = taken.iter().zip(1..).collect();
    solver.assert(Bool::pb_eq(&terms, 1));
    solver.assert(Bool::pb_le(&terms, 3));
    solver.check();
}

impl Oracle<'_> {
    /// Asks whether the model has a plan. `value` is the bound of the goal that the price rows speak of.
    pub fn ask(&self, model: &Model, hints: &Hints, value: i64) -> Verdict {
        let (verdict, checks) = answer(model, &rows(model, hints, value), self.ms, self.clock);
        self.checks.set(self.checks.get() + checks);
        verdict
    }
}

/// Everything that z3 is told in numbers: the model's rows, critical paths, and price rows.
fn rows(model: &Model, hints: &Hints, value: i64) -> Vec<Wide> {
    let mut rows: Vec<Wide> = model.rows.iter().map(Wide::from).collect();
    for ceiling in &model.ceilings {
        let paths = hints.paths.iter().filter(|path| path.0 == ceiling.figure);
        rows.extend(paths.map(|path| Wide::from(&Row::along(model.space, &path.1, ceiling.figure, ceiling.limit))));
    }
    for price in &hints.prices {
        let rhs = price.rhs + price.slope * i128::from(value);
        rows.push(Wide { coef: price.coef.clone(), rhs });
    }
    rows
}

fn answer(model: &Model, rows: &[Wide], ms: u32, clock: Clock) -> (Verdict, u32) {
    let Some(question) = Question::new(model, rows, ms) else {
        return (Verdict::Unknown, 0);
    };
    for round in 0..MOST_ROUNDS {
        if clock.is_some_and(|clock| clock()) {
            return (Verdict::Unknown, round);
        }
        let checks = round + 1;
        match question.solver.check() {
            SatResult::Unsat => return (Verdict::Refuted, checks),
            SatResult::Unknown => return (Verdict::Unknown, checks),
            SatResult::Sat => (),
        }
        match question.plan() {
            None => return (Verdict::Unknown, checks),
            Some(columns) if model.admits(&columns) => return (Verdict::Satisfied(columns), checks),
            Some(columns) => question.refine(&columns),
        }
    }
    (Verdict::Unknown, MOST_ROUNDS)
}

/// A row whose coefficients are too large for z3.
struct Wide {
    coef: Vec<i128>,
    rhs: i128,
}

impl From<&Row> for Wide {
    fn from(row: &Row) -> Self {
        Wide { coef: row.coef.iter().map(|&a| i128::from(a)).collect(), rhs: i128::from(row.rhs) }
    }
}

impl Wide {
    /// The least coefficient of every step, and what the right-hand side leaves above them.
    fn slack(&self, domain: &Domain) -> (Vec<i128>, i128) {
        let least = |step: usize| domain.of(step).iter().map(|&c| self.coef[c as usize]).min().unwrap_or(0);
        let min: Vec<i128> = (0..domain.steps()).map(least).collect();
        let slack = self.rhs - min.iter().sum::<i128>();
        (min, slack)
    }
}

/// Leaves out the options that one row excludes whatever the other steps take, which is most of them: the row itself says so,
/// in integers of any size, and z3 is spared the variables.
fn thin(domain: &mut Domain, rows: &[Wide]) {
    while rows.iter().fold(false, |changed, row| {
        let (min, slack) = row.slack(domain);
        changed | domain.retain(|step, column| row.coef[column as usize] - min[step] <= slack)
    }) {}
}

/// A solver loaded with a model.
struct Question<'m> {
    model: &'m Model<'m>,
    domain: Domain,
    solver: Solver,
    taken: Vec<Bool>,
    /// The largest coefficient, so that a row's sum stays within 31 bits.
    largest: i128,
}

impl<'m> Question<'m> {
    fn new(model: &'m Model<'m>, rows: &[Wide], ms: u32) -> Option<Self> {
        let solver = Solver::new_for_logic("QF_FD")?;
        let mut params = Params::new();
        params.set_u32("timeout", ms.max(1));
        params.set_u32("random_seed", 0);
        solver.set_params(&params);
        let mut domain = model.domain.clone();
        thin(&mut domain, rows);
        let taken = (0..model.space.columns()).map(|column| Bool::new_const(column as u32)).collect();
        let room = 30 - (domain.steps() as u64 + 1).next_power_of_two().trailing_zeros().min(20);
        let question = Question { model, domain, solver, taken, largest: (1 << room.min(24)) - 1 };
        if model.broken {
            question.solver.assert(Bool::from_bool(false));
        }
        for step in 0..question.domain.steps() {
            let one: Vec<(&Bool, i32)> = question.bools(question.domain.of(step)).map(|bool| (bool, 1)).collect();
            question.solver.assert(if one.is_empty() { Bool::from_bool(false) } else { Bool::pb_eq(&one, 1) });
        }
        for coupling in &model.space.couplings {
            question.couple(coupling);
        }
        for row in rows {
            question.row(row);
        }
        Some(question)
    }

    fn bools<'a>(&'a self, columns: &'a [u32]) -> impl Iterator<Item = &'a Bool> {
        columns.iter().map(|&column| &self.taken[column as usize])
    }

    /// An option implies that the other step takes one of the class that it assumes.
    fn couple(&self, coupling: &Coupling) {
        let space = self.model.space;
        let first = space.start[coupling.down];
        for &column in self.domain.of(coupling.down) {
            let need = coupling.need[column as usize - first];
            if need == ANY {
                continue;
            }
            let mut clause = vec![self.taken[column as usize].not()];
            let of_class = |other: &&u32| space.class[**other as usize] == need;
            let options = self.domain.of(coupling.up).iter().filter(of_class);
            clause.extend(options.map(|&other| self.taken[other as usize].clone()));
            self.solver.assert(Bool::or(&clause));
        }
    }

    /// Asserts a row, or a relaxation of it that z3's integers can hold.
    fn row(&self, row: &Wide) {
        let (min, slack) = row.slack(&self.domain);
        if slack < 0 {
            self.solver.assert(Bool::from_bool(false));
            return;
        }
        let step = &self.model.space.step;
        let columns = self.domain.all().iter();
        let terms = columns.map(|&column| (column, row.coef[column as usize] - min[step[column as usize]]));
        let divisor = slack / self.largest + 1;
        let limit = slack / divisor;
        // What exceeds the limit alone is forbidden alone, whatever its size.
        let scaled = terms.map(|(column, a)| (column, if a > slack { limit + 1 } else { a / divisor }));
        let mut row: Vec<(&Bool, i32)> = Vec::new();
        for (column, a) in scaled.filter(|term| term.1 > 0) {
            row.push((&self.taken[column as usize], i32::try_from(a).unwrap_or(i32::MAX)));
        }
        if !row.is_empty() {
            self.solver.assert(Bool::pb_le(&row, i32::try_from(limit).unwrap_or(i32::MAX)));
        }
    }

    fn plan(&self) -> Option<Vec<u32>> {
        let model = self.solver.get_model()?;
        let holds = |column: &&u32| {
            let value = model.eval(&self.taken[**column as usize], true);
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
                self.row(&Wide::from(&Row::along(space, &path, ceiling.figure, ceiling.limit)));
            }
        }
        // A rounded row may let the same plan pass again, so that it is named as well.
        let different: Vec<Bool> = self.bools(columns).map(Bool::not).collect();
        self.solver.assert(if different.is_empty() { Bool::from_bool(false) } else { Bool::or(&different) });
    }
}
