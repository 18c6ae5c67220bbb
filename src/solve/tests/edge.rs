//! Inputs at the edge of what is allowed -> answers or words, never a panic.

use super::super::check::{Violation, check};
use super::super::outcome::{Outcome, Status};
use super::super::problem::{
    Aggregate, Bound, Capacity, Choice, Clause, Figure, Instance, Problem, Step, Wish, beginning,
};
use super::super::{Certify, Limits, solve};
use crate::bench::families::generate;
use crate::bench::rng::Rng;

fn option(cost: i64, latency: i64) -> Choice {
    Choice { figures: beginning([cost, 0, 0, latency, 0, 0, 0]), ..Choice::default() }
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
fn malformed_instances_and_clauses_over_steps_are_refused_in_words() {
    let limits = Limits::default();
    let on = |instance| Choice { instance: Some(instance), ..option(1, 1) };
    let mut problem = one_step(vec![on(0)]);
    assert!(words(solve(&problem, &limits)).contains("instance 0"));
    problem.instances = vec![Instance { uses: vec![(3, 1)], ..Instance::default() }];
    assert!(words(solve(&problem, &limits)).contains("no resource 3"));
    problem.instances = vec![Instance { figures: beginning([-1, 0, 0, 0, 0, 0, 0]), ..Instance::default() }];
    assert!(words(solve(&problem, &limits)).contains("negative"));
    problem.instances = vec![Instance { figures: beginning([i64::MAX, 0, 0, 0, 0, 0, 0]), ..Instance::default() }];
    assert!(words(solve(&problem, &limits)).contains("2^50"));
    problem.instances = vec![Instance::default()];
    problem.steps[0].choices[0].load = -1;
    assert!(words(solve(&problem, &limits)).contains("load is negative"));
    problem.steps[0].choices[0].load = i64::MAX;
    assert!(words(solve(&problem, &limits)).contains("2^50"));
    problem = one_step(vec![option(1, 1)]);
    problem.clauses = vec![Clause { bound: Bound::AnyOf(vec![(1, vec![0])]) }];
    assert!(words(solve(&problem, &limits)).contains("names step 1"));
    problem.clauses = vec![Clause { bound: Bound::AnyOf(vec![(0, vec![1])]) }];
    assert!(words(solve(&problem, &limits)).contains("names option 1"));
}

#[test]
fn a_clause_that_names_nothing_cannot_hold() {
    let mut problem = one_step(vec![option(1, 1)]);
    problem.clauses = vec![Clause { bound: Bound::AnyOf(Vec::new()) }];
    assert_eq!(core(solve(&problem, &Limits::default())), Some(vec![0]));
}

#[test]
fn an_instance_is_paid_once_and_holds_no_more_than_fits() {
    let on = |load| Choice { instance: Some(0), load, ..option(1, 1) };
    let mut problem = one_step(vec![on(3), option(9, 9)]);
    problem.steps = vec![problem.steps[0].clone(); 3];
    problem.instances =
        vec![Instance { figures: beginning([10, 0, 0, 0, 0, 0, 0]), capacity: Some(9), ..Instance::default() }];
    let values = |problem: &Problem| match solve(problem, &Limits::default()) {
        Outcome::Solved(solution) => solution.values,
        other => panic!("{other:?}"),
    };
    assert_eq!(values(&problem), [13]);
    problem.instances[0].capacity = Some(8);
    assert_eq!(values(&problem), [21]);
    problem.instances[0].capacity = Some(-1);
    assert_eq!(values(&problem), [27]);
}

#[test]
fn without_nodes_the_best_so_far_has_its_gap() {
    // Both plans of the two steps that are cheap are too slow together, so that the relaxation's plan is none.
    let mut problem = one_step((0..40).map(|k| option(1000 - k * k / 2, 100 + 7 * k)).collect());
    problem.steps = vec![problem.steps[0].clone(); 6];
    problem.clauses = vec![at_most(Figure::Latency, Aggregate::Sum, 1_000)];
    for nodes in [0, 1, 2] {
        match solve(&problem, &Limits { nodes, certify: Certify::Off, ..Limits::default() }) {
            Outcome::Solved(solution) => {
                if let Status::Feasible { wish: 0, bound } = solution.proof.status {
                    assert!(bound <= solution.values[0]);
                }
            }
            Outcome::Unknown(words) => assert!(words.contains("limits")),
            Outcome::Conflict(conflict) => panic!("{conflict:?}"),
        }
    }
}

#[test]
fn out_of_everything_says_so() {
    let never = || true;
    let limits = Limits { nodes: 0, out_of_time: Some(&never), z3_ms: 1, certify: Certify::Core, judge: None };
    assert!(words(solve(&one_step(vec![option(1, 1)]), &limits)).contains("limits"));
}

#[test]
fn without_time_there_is_still_a_plan_with_its_gap() {
    let never = || true;
    for seed in 0..20 {
        let problem = generate(&"realistic-20x20-tight".parse().expect("a recipe"), seed);
        for certify in [Certify::Off, Certify::Core] {
            let limits = Limits { nodes: u64::MAX, out_of_time: Some(&never), z3_ms: 1, certify, judge: None };
            let Outcome::Solved(solution) = solve(&problem, &limits) else { panic!("no plan of seed {seed}") };
            if let Status::Feasible { wish: 0, bound } = solution.proof.status {
                assert!(bound > 0 && bound <= solution.values[0], "{bound} of {:?}", solution.values);
            }
        }
    }
}

/// Clauses over two or three steps that each ask for one of about half of their options; `kept` says which plan keeps all of them.
fn sides(problem: &Problem, kept: Option<&[usize]>, count: usize) -> Vec<Clause> {
    let mut rng = Rng(11);
    let mut side = || {
        let first = rng.below(problem.steps.len());
        let mut any = Vec::new();
        for step in [first, (first + 1 + rng.below(problem.steps.len() - 1)) % problem.steps.len()] {
            let drawn = |option: &usize| rng.below(2) == 0 || kept.is_some_and(|kept| kept[step] == *option);
            any.push((step, (0..problem.steps[step].choices.len()).filter(drawn).collect::<Vec<usize>>()));
        }
        Clause { bound: Bound::AnyOf(any) }
    };
    (0..count).map(|_| side()).collect()
}

#[test]
fn thousands_of_clauses_end_with_a_plan_and_its_gap_or_with_a_conflict() {
    let mut problem = generate(&"realistic-10x20-tight".parse().expect("a recipe"), 1);
    let limits = Limits { nodes: 300, z3_ms: 100, ..Limits::default() };
    let Outcome::Solved(free) = solve(&problem, &limits) else { panic!("no plan") };
    let before = problem.clauses.len();
    problem.clauses.extend(sides(&problem, Some(&free.choice), 4_000));
    let Outcome::Solved(kept) = solve(&problem, &limits) else { panic!("the plan of before keeps all") };
    assert!(kept.values >= free.values);
    if let Status::Feasible { wish, bound } = kept.proof.status {
        assert!(bound <= kept.values[wish]);
    }
    problem.clauses.truncate(before);
    problem.clauses.extend(sides(&problem, None, 4_000));
    let Outcome::Conflict(conflict) = solve(&problem, &limits) else { panic!("4,000 clauses at random agree") };
    assert!(!conflict.core.is_empty() && conflict.core.len() < 400, "{}", conflict.core.len());
}
