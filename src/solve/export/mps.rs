//! A [`Problem`] and a [`Question`] -> free MPS, which HiGHS, CBC, SCIP, Gurobi and CPLEX read.
//!
//! Every number is an integer below 2^53 and so exact as a double. A solver works within its tolerances all the same.

use std::fmt::Write;

use super::Question;
use super::linear::{Kind, Linear, Sense, linear};
use crate::solve::problem::Problem;

/// Writes the program. Ends of steps are left continuous: at an optimum they are integers of their own accord.
pub fn mps(problem: &Problem, question: &Question) -> String {
    let program = linear(problem, question);
    let mut out = String::from("NAME murakkab\nROWS\n N objective\n");
    for row in &program.rows {
        let sense = match row.sense {
            Sense::Le => 'L',
            Sense::Eq => 'E',
            Sense::Ge => 'G',
        };
        let _ = writeln!(out, " {sense} {}", row.name);
    }
    columns(&program, &mut out);
    out.push_str("RHS\n");
    for row in program.rows.iter().filter(|row| row.rhs != 0) {
        let _ = writeln!(out, " rhs {} {}", row.name, row.rhs);
    }
    out.push_str("BOUNDS\n");
    for column in program.columns.iter().filter(|column| column.kind == Kind::Binary) {
        let _ = writeln!(out, " UP bound {} 1", column.name);
    }
    out.push_str("ENDATA\n");
    out
}

fn columns(program: &Linear, out: &mut String) {
    let mut of: Vec<Vec<(&str, i64)>> = vec![Vec::new(); program.columns.len()];
    program.objective.iter().for_each(|&(column, coefficient)| of[column].push(("objective", coefficient)));
    for row in &program.rows {
        row.terms.iter().for_each(|&(column, coefficient)| of[column].push((&row.name, coefficient)));
    }
    out.push_str("COLUMNS\n");
    let mut marked = false;
    for (column, entries) in program.columns.iter().zip(&of) {
        let binary = column.kind == Kind::Binary;
        if binary != marked {
            let _ = writeln!(out, " marker 'MARKER' {}", if binary { "'INTORG'" } else { "'INTEND'" });
            marked = binary;
        }
        // A column without entries has to be named all the same.
        for &(row, coefficient) in if entries.is_empty() { &[("objective", 0)][..] } else { entries } {
            let _ = writeln!(out, " {} {row} {coefficient}", column.name);
        }
    }
    if marked {
        out.push_str(" marker 'MARKER' 'INTEND'\n");
    }
}
