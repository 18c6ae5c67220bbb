//! Inputs at the edge of what is allowed -> answers or words, never a panic.

use super::super::check::{Violation, check};
use super::super::outcome::Outcome;
use super::super::problem::{Aggregate, Bound, Capacity, Choice, Clause, Figure, Problem, Step, Wish};
use super::super::{Certify, Limits, solve};

fn option(cost: i64, latency: i64) -> Choice {
    Choice { figures: [cost, 0, 0, latency, 0, 0, 0], ..Choice::default() }
}

fn at_most(figure: Figure, over: Aggregate, limit: i64) -> Clause {
    Clause { bound: Bound::AtMost { figure, over, limit } }
}

fn one_step(choices: Vec<Choice>) -> Problem {
    let wishes = vec![Wish { figure: Figure::Cost, over: Aggregate::Sum }];
    Problem { steps: vec![Step { choices }], wishes, ..Problem::default() }
}

fn core(outcome: Outcome) -> Option<Vec<usize>> {
    match outcome {
        Outcome::Conflict(conflict) => Some(conflict.core),
        Outcome::Solved(_) | Outcome::Unknown(_) => None,
    }
}

fn words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unknown(words) => words,
        other => format!("{other:?}"),
    }
}

#[test]
fn no_steps_cost_nothing() {
    let mut problem = one_step(Vec::new());
    problem.steps.clear();
    problem.wishes.push(Wish { figure: Figure::Latency, over: Aggregate::Path });
    problem.wishes.push(Wish { figure: Figure::Latency, over: Aggregate::Max });
    let Outcome::Solved(solution) = solve(&problem, &Limits::default()) else { panic!("no plan") };
    assert_eq!((solution.choice, solution.values), (Vec::new(), vec![0, 0, 0]));
    for over in [Aggregate::Sum, Aggregate::Max, Aggregate::Path] {
        problem.clauses = vec![at_most(Figure::Cost, over, -1)];
        assert_eq!(core(solve(&problem, &Limits::default())), Some(vec![0]));
    }
}

#[test]
fn a_step_without_options_is_nobodys_fault() {
    let mut problem = one_step(Vec::new());
    problem.clauses = vec![at_most(Figure::Cost, Aggregate::Sum, 3)];
    assert_eq!(core(solve(&problem, &Limits::default())), Some(Vec::new()));
}

#[test]
fn a_machine_without_units_is_nobodys_fault() {
    let mut problem = one_step(vec![Choice { uses: vec![(0, 1)], ..option(1, 1) }]);
    problem.capacities = vec![Capacity { units: 0, together: vec![vec![0]] }];
    assert_eq!(core(solve(&problem, &Limits::default())), Some(Vec::new()));
    problem.steps[0].choices.push(option(9, 9));
    let Outcome::Solved(solution) = solve(&problem, &Limits::default()) else { panic!("no plan") };
    assert_eq!((solution.choice, solution.values), (vec![1], vec![9]));
}

#[test]
fn zero_limits_are_limits() {
    let mut problem = one_step(vec![option(4, 0), option(0, 4), option(5, 0)]);
    problem.clauses = vec![at_most(Figure::Latency, Aggregate::Path, 0), at_most(Figure::Cost, Aggregate::Sum, 0)];
    let Outcome::Conflict(conflict) = solve(&problem, &Limits::default()) else { panic!("a plan") };
    assert_eq!(conflict.core, [0, 1]);
    assert!(conflict.confirmed);
    assert_eq!(conflict.reachable, [(0, Some(4)), (1, Some(4))]);
    let repairs: Vec<_> = conflict.repairs.iter().map(|repair| repair.changes.as_slice()).collect();
    assert_eq!(repairs, [[(0, 4)], [(1, 4)]]);
    assert!(conflict.others.is_empty() && conflict.alone.is_empty());
}

#[test]
fn figures_out_of_range_are_refused_in_words() {
    let limits = Limits::default();
    assert!(words(solve(&one_step(vec![option(i64::MAX, 1)]), &limits)).contains("2^50"));
    assert!(words(solve(&one_step(vec![option(i64::MIN, 1)]), &limits)).contains("negative"));
    let held = Choice { uses: vec![(0, i64::MAX), (0, i64::MAX)], ..option(1, 1) };
    let mut problem = one_step(vec![held]);
    assert!(words(solve(&problem, &limits)).contains("no resource 0"));
    problem.capacities = vec![Capacity { units: i64::MAX, together: vec![vec![0]] }];
    assert!(words(solve(&problem, &limits)).contains("2^50"));
    problem = one_step(vec![option(1, 1)]);
    problem.clauses =
        vec![at_most(Figure::Cost, Aggregate::Sum, i64::MAX), at_most(Figure::Cost, Aggregate::Path, i64::MIN)];
    assert_eq!(core(solve(&problem, &limits)), Some(vec![1]));
}

#[test]
fn malformed_problems_are_refused_in_words() {
    let limits = Limits::default();
    let mut problem = one_step(vec![option(1, 1)]);
    problem.edges = vec![(0, 0)];
    assert!(words(solve(&problem, &limits)).contains("cycle"));
    assert_eq!(
        check(
            &Problem { wishes: vec![Wish { figure: Figure::Latency, over: Aggregate::Path }], ..problem.clone() },
            &[0]
        ),
        Err(Violation::Cycle)
    );
    problem.edges = vec![(0, 7)];
    assert!(words(solve(&problem, &limits)).contains("only 1 steps"));
    problem = one_step(vec![Choice { needs: vec![(7, 0)], ..option(1, 1) }]);
    assert!(words(solve(&problem, &limits)).contains("step 7"));
    problem = one_step(vec![Choice { breaks: vec![3], ..option(1, 1) }]);
    assert!(words(solve(&problem, &limits)).contains("no rule"));
    problem = one_step(vec![option(1, 1)]);
    problem.capacities = vec![Capacity { units: 1, together: vec![vec![9]] }];
    assert!(words(solve(&problem, &limits)).contains("step 9"));
}

#[test]
fn out_of_everything_says_so() {
    let never = || true;
    let limits = Limits { nodes: 10, out_of_time: Some(&never), z3_ms: 1, certify: Certify::Core };
    assert!(words(solve(&one_step(vec![option(1, 1)]), &limits)).contains("limits"));
}
