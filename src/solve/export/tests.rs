//! What z3 says of an export, read by z3's own parser, is what the solver says.

use std::collections::BTreeSet;

use z3::ast::Bool;
use z3::{Optimize, SatResult, Solver};

use super::Question;
use super::mps::mps;
use super::reduced::reduced;
use super::smtlib::smtlib;
use crate::bench::families::generate;
use crate::solve::check::check;
use crate::solve::outcome::Outcome;
use crate::solve::problem::{Aggregate, Figure, Problem, Wish};
use crate::solve::{Certify, Limits, solve};

/// Small problems with everything that problems can have.
const NAMES: [&str; 8] = [
    "realistic-4x6-tight",
    "realistic-5x8-loose-coupled",
    "realistic-4x6-tight-pools",
    "realistic-4x6-tight-side3",
    "realistic-3x6-infeasible",
    "adversarial-4x6-tight",
    "shared-5x6-tight",
    "shared-4x6-loose-side2",
];

fn problems() -> impl Iterator<Item = (String, Problem)> {
    let of = |name: &'static str| {
        (0..6).map(move |seed| (format!("{name} {seed}"), generate(&name.parse().expect("a recipe"), seed)))
    };
    NAMES.into_iter().flat_map(of).map(|(name, mut problem)| {
        let turn = problem.edges.len() % 3;
        problem.wishes = vec![
            Wish { figure: Figure::Cost, over: Aggregate::Sum },
            Wish { figure: Figure::Latency, over: [Aggregate::Path, Aggregate::Max, Aggregate::Sum][turn] },
        ];
        (name, problem)
    })
}

fn best(problem: &Problem) -> Option<Vec<i64>> {
    match solve(problem, &Limits { certify: Certify::Off, ..Limits::default() }) {
        Outcome::Solved(solution) => Some(solution.values),
        Outcome::Conflict(_) => None,
        Outcome::Unknown(why) => panic!("{why}"),
    }
}

fn asked(problem: &Problem, bounds: &[(Wish, i64)]) -> SatResult {
    let solver = Solver::new();
    solver.from_string(smtlib(problem, &Question { wish: None, bounds }));
    solver.check()
}

#[test]
fn the_optimum_of_each_wish_is_satisfiable_and_one_less_is_not() {
    let (mut solved, mut refused) = (0, 0);
    for (name, problem) in problems() {
        let Some(values) = best(&problem) else {
            assert_eq!(asked(&problem, &[]), SatResult::Unsat, "{name}");
            refused += 1;
            continue;
        };
        let bounds: Vec<(Wish, i64)> = problem.wishes.iter().copied().zip(values).collect();
        assert_eq!(asked(&problem, &bounds), SatResult::Sat, "{name}");
        for wish in 0..bounds.len() {
            let mut better = bounds[..=wish].to_vec();
            better[wish].1 -= 1;
            assert_eq!(asked(&problem, &better), SatResult::Unsat, "{name}, wish {wish}");
        }
        solved += 1;
    }
    assert!(solved >= 30 && refused >= 3, "{solved} solved, {refused} refused");
}

#[test]
fn a_script_with_a_wish_leads_to_the_optimum() {
    for (name, problem) in problems() {
        let Some(values) = best(&problem) else { continue };
        let optimize = Optimize::new();
        optimize.from_string(smtlib(&problem, &Question { wish: Some(problem.wishes[0]), bounds: &[] }));
        assert_eq!(optimize.check(&[]), SatResult::Sat, "{name}");
        let model = optimize.get_model().expect("a model");
        let taken = |s: usize, o: usize| {
            let named = Bool::new_const(format!("x_{s}_{o}"));
            model.eval(&named, true).and_then(|value| value.as_bool()).expect("a value")
        };
        let one = |(s, step): (usize, &crate::solve::problem::Step)| {
            (0..step.choices.len()).find(|&o| taken(s, o)).expect("an option of each step")
        };
        let choice: Vec<usize> = problem.steps.iter().enumerate().map(one).collect();
        assert_eq!(check(&problem, &choice).expect("a plan").wishes[0], values[0], "{name}");
    }
}

#[test]
fn a_reduced_problem_has_the_same_optimum() {
    let options = |problem: &Problem| problem.steps.iter().map(|step| step.choices.len()).sum::<usize>();
    let mut dropped = 0;
    for (name, problem) in problems() {
        let smaller = reduced(&problem).expect("a well-formed problem");
        dropped += options(&problem) - options(&smaller);
        assert_eq!(best(&smaller), best(&problem), "{name}");
    }
    assert!(dropped > 0);
}

#[test]
fn an_mps_file_names_every_column_and_row_once() {
    for (name, problem) in problems() {
        let text = mps(&problem, &Question { wish: Some(problem.wishes[1]), bounds: &[(problem.wishes[0], 7)] });
        let section = |from: &str, to: &str| {
            let rest = text.split_once(&format!("\n{from}\n")).and_then(|(_, rest)| rest.split_once(to));
            let lines = rest.expect("a section").0.lines();
            lines.map(|line| line.split_whitespace().collect()).collect::<Vec<Vec<&str>>>()
        };
        let rows = section("ROWS", "COLUMNS");
        let unique: BTreeSet<&str> = rows.iter().map(|row| row[1]).collect();
        assert_eq!(rows.len(), unique.len(), "{name}");
        for entry in section("COLUMNS", "RHS").iter().filter(|entry| entry[1] != "'MARKER'") {
            assert!(unique.contains(entry[1]), "{name}: {entry:?}");
        }
        let binaries = section("BOUNDS", "ENDATA").iter().filter(|bound| bound[2].starts_with("x_")).count();
        assert_eq!(binaries, problem.steps.iter().map(|step| step.choices.len()).sum::<usize>(), "{name}");
    }
}
