//! z3 in this process.

use std::collections::BTreeMap;

use z3::ast::Bool;
use z3::{Config, Params, SatResult, Solver, with_z3_config};

use super::super::judge::{Constraint, Judge, Terms, Trial, Word};

/// z3 as it is linked to this program. What it cannot survive, the program does not.
pub struct Here;

struct Loaded {
    solver: Solver,
    /// The Booleans that were named.
    bools: BTreeMap<u32, Bool>,
}

/// Runs with a fresh context of z3: what a context has seen before sways which model it finds, and the same problem is to get
/// the same answer whatever was solved before it.
pub fn isolated<R: Send + Sync>(run: impl FnOnce() -> R + Send + Sync) -> R {
    with_z3_config(&Config::new(), run)
}

impl Judge for Here {
    /// Freshness is up to who asks: see [`isolated`].
    fn begin(&self, terms: Terms) -> Option<Box<dyn Trial>> {
        let solver = Solver::new_for_logic("QF_FD")?;
        let mut params = Params::new();
        params.set_u32("timeout", terms.ms.max(1));
        params.set_u32("rlimit", terms.work);
        params.set_u32("max_memory", terms.megabytes);
        params.set_u32("random_seed", 0);
        solver.set_params(&params);
        Some(Box::new(Loaded { solver, bools: BTreeMap::new() }))
    }

    fn warm_up(&self) {
        let terms = Terms { ms: 1_000, work: 1_000_000, megabytes: 100, fresh: false };
        let Some(mut trial) = self.begin(terms) else { return };
        trial.assert(Constraint::One((0..4).collect()));
        trial.assert(Constraint::AtMost((0..4).zip(1..).collect(), 3));
        trial.decide();
    }
}

impl Loaded {
    fn bool(&mut self, number: u32) -> Bool {
        self.bools.entry(number).or_insert_with(|| Bool::new_const(number)).clone()
    }
}

impl Trial for Loaded {
    fn assert(&mut self, constraint: Constraint) {
        let said = match constraint {
            Constraint::One(list) if list.is_empty() => Bool::from_bool(false),
            Constraint::One(list) => {
                let bools: Vec<Bool> = list.into_iter().map(|number| self.bool(number)).collect();
                Bool::pb_eq(&bools.iter().map(|bool| (bool, 1)).collect::<Vec<_>>(), 1)
            }
            Constraint::AtMost(_, limit) if limit < 0 => Bool::from_bool(false),
            Constraint::AtMost(list, _) if list.is_empty() => Bool::from_bool(true),
            Constraint::AtMost(list, limit) => {
                let terms: Vec<(Bool, i32)> =
                    list.into_iter().map(|(number, weight)| (self.bool(number), weight)).collect();
                Bool::pb_le(&terms.iter().map(|(bool, weight)| (bool, *weight)).collect::<Vec<_>>(), limit)
            }
            Constraint::Any(list) if list.is_empty() => Bool::from_bool(false),
            Constraint::Any(list) => {
                let literal = |(number, holds): (u32, bool)| {
                    let bool = self.bool(number);
                    if holds { bool } else { bool.not() }
                };
                Bool::or(&list.into_iter().map(literal).collect::<Vec<_>>())
            }
        };
        self.solver.assert(said);
    }

    fn decide(&mut self) -> Word {
        match self.solver.check() {
            SatResult::Unsat => return Word::Refuted,
            SatResult::Unknown => return Word::Unknown,
            SatResult::Sat => (),
        }
        let Some(model) = self.solver.get_model() else { return Word::Unknown };
        let holds = |bool: &Bool| model.eval(bool, true).and_then(|value| value.as_bool()) == Some(true);
        Word::Satisfied(self.bools.iter().filter(|pair| holds(pair.1)).map(|pair| *pair.0).collect())
    }
}
