//! Fronts against all plans of random small problems.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::pareto::{Answer, Extent, front};
use super::super::problem::{Aggregate, Figure, Problem, Wish};
use super::super::{Certify, Limits, check::check};
use super::{figure, limit, over, small, structural};

fn limits() -> Limits<'static> {
    Limits { certify: Certify::Off, ..Limits::default() }
}

/// A small problem that trades two or three different wishes off.
fn traded() -> impl Strategy<Value = (Problem, usize)> {
    (small(), prop::collection::vec((figure(), over()), 2..=3)).prop_map(|(mut problem, wishes)| {
        let mut different: Vec<Wish> = Vec::new();
        for (figure, over) in wishes {
            let wish = Wish { figure, over };
            if !different.contains(&wish) {
                different.push(wish);
            }
        }
        problem.wishes = different;
        let metrics = problem.wishes.len();
        (problem, metrics)
    })
}

/// The values that no plan beats, by trying every plan.
fn brute_force(problem: &Problem) -> BTreeSet<Vec<i64>> {
    let holds = |clauses: &[i64]| problem.clauses.iter().zip(clauses).all(|(clause, &value)| value <= limit(clause));
    let all: BTreeSet<Vec<i64>> =
        structural(problem).into_iter().filter(|(clauses, _)| holds(clauses)).map(|(_, wishes)| wishes).collect();
    let beaten = |one: &Vec<i64>| all.iter().any(|other| other != one && other.iter().zip(one).all(|(a, b)| a <= b));
    all.iter().filter(|one| !beaten(one)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_front_is_that_of_trying_every_plan((problem, metrics) in traded()) {
        let expected = brute_force(&problem);
        match front(&problem, metrics, 1_000, &limits()) {
            Answer::Front(found) => {
                let values: BTreeSet<Vec<i64>> = found.points.iter().map(|p| p.values.clone()).collect();
                prop_assert_eq!(found.extent, Extent::Complete);
                prop_assert_eq!(values.len(), found.points.len());
                prop_assert_eq!(values, expected);
                for point in &found.points {
                    prop_assert_eq!(check(&problem, &point.choice).map(|v| v.wishes), Ok(point.values.clone()));
                }
            }
            Answer::Conflict(_) => prop_assert!(expected.is_empty()),
            Answer::Unknown(why) => prop_assert!(false, "{why}"),
        }
    }

    #[test]
    fn part_of_a_front_is_exact_and_says_that_it_is_a_part((problem, metrics) in traded(), most in 1usize..6) {
        let expected = brute_force(&problem);
        if let Answer::Front(found) = front(&problem, metrics, most, &limits()) {
            prop_assert!(found.points.iter().all(|point| expected.contains(&point.values)));
            prop_assert_eq!(found.points.len(), most.min(expected.len()));
            prop_assert_eq!(found.extent == Extent::Complete, expected.len() <= most);
        } else {
            prop_assert!(expected.is_empty());
        }
    }
}

#[test]
fn without_nodes_nothing_is_claimed() {
    let wish = |figure| Wish { figure, over: Aggregate::Sum };
    let choice = |cost: i64, loss: i64| {
        let mut choice = super::Choice::default();
        (choice.figures[Figure::Cost.index()], choice.figures[Figure::Loss.index()]) = (cost, loss);
        choice
    };
    let problem = Problem {
        wishes: vec![wish(Figure::Cost), wish(Figure::Loss)],
        steps: vec![super::Step { choices: vec![choice(1, 2), choice(2, 1)] }],
        ..Problem::default()
    };
    let extent = |nodes: u64| match front(&problem, 2, 5, &Limits { nodes, ..limits() }) {
        Answer::Front(front) => Some((front.points.len(), front.extent)),
        _ => None,
    };
    assert_eq!(extent(0), None);
    assert_eq!(extent(1_000), Some((2, Extent::Complete)));
    assert!(matches!(front(&problem, 3, 5, &limits()), Answer::Unknown(_)));
}
