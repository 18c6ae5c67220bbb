//! A [`Problem`] and a [`Question`] -> an SMT-LIB 2 script over Booleans and integers (`QF_LIA`).
//!
//! The wish becomes `(minimize …)`, an extension that z3 and OptiMathSAT read. Without a wish the script is plain SMT-LIB: to have any
//! solver confirm an optimum, ask once with the wish bounded by its value (`sat`) and once by one less (`unsat`).

use std::fmt::Write;

use super::Question;
use super::linear::{Column, Kind, Sense, linear};
use crate::solve::problem::Problem;

/// Writes the script, up to `(check-sat)`.
pub fn smtlib(problem: &Problem, question: &Question) -> String {
    let program = linear(problem, question);
    let mut out = String::new();
    // Solvers without objectives know no logic for them.
    if program.objective.is_empty() {
        out.push_str("(set-logic QF_LIA)\n");
    }
    for column in &program.columns {
        match column.kind {
            Kind::Binary => _ = writeln!(out, "(declare-const {} Bool)", column.name),
            Kind::Integer => _ = writeln!(out, "(declare-const {0} Int)\n(assert (>= {0} 0))", column.name),
        }
    }
    for row in &program.rows {
        let sense = match row.sense {
            Sense::Le => "<=",
            Sense::Eq => "=",
            Sense::Ge => ">=",
        };
        let sum = sum(&row.terms, &program.columns);
        let _ = writeln!(out, "(assert (! ({sense} {sum} {}) :named {}))", number(row.rhs), row.name);
    }
    if !program.objective.is_empty() {
        let _ = writeln!(out, "(minimize {})", sum(&program.objective, &program.columns));
    }
    out.push_str("(check-sat)\n");
    out
}

fn sum(terms: &[(usize, i64)], columns: &[Column]) -> String {
    let term = |&(column, coefficient): &(usize, i64)| {
        let Column { name, kind } = &columns[column];
        match kind {
            Kind::Binary => format!("(ite {name} {} 0)", number(coefficient)),
            Kind::Integer if coefficient == 1 => name.clone(),
            Kind::Integer => format!("(* {} {name})", number(coefficient)),
        }
    };
    match terms {
        [] => "0".to_owned(),
        [one] => term(one),
        terms => format!("(+ {})", terms.iter().map(term).collect::<Vec<_>>().join(" ")),
    }
}

fn number(value: i64) -> String {
    if value < 0 { format!("(- {})", value.unsigned_abs()) } else { value.to_string() }
}
