//! Questions about a prepared problem -> the same answers as the changed problem gets.

use proptest::prelude::*;

use super::super::outcome::Outcome;
use super::super::prepared::{Question, Reply, prepare};
use super::super::problem::{Bound, Clause, Figure, Problem, Wish};
use super::super::{Certify, Limits, solve};
use super::{figure, over, small};

fn wish() -> impl Strategy<Value = Wish> {
    (figure(), over()).prop_map(|(figure, over)| Wish { figure, over })
}

/// The problem that a question is about, written out.
fn changed(problem: &Problem, question: &Question) -> Problem {
    let mut problem = problem.clone();
    for (clause, limit) in &question.limits {
        if let Bound::AtMost { limit: stated, .. } = &mut problem.clauses[*clause].bound {
            *stated = limit.unwrap_or(i64::MAX);
        }
    }
    for &(Wish { figure, over }, limit) in &question.bounds {
        problem.clauses.push(Clause { bound: Bound::AtMost { figure, over, limit } });
    }
    problem.wishes.clone_from(&question.wishes);
    problem
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn questions_get_the_answers_of_changed_problems(
        problem in small(),
        limits in prop::collection::vec(prop::option::of(prop::option::of(0i64..45)), 4),
        bounds in prop::collection::vec((wish(), 0i64..60), 0..2),
        wishes in prop::collection::vec(wish(), 0..3),
        plan in prop::collection::vec(0usize..5, 5),
    ) {
        let numeric = |clause: &usize| matches!(problem.clauses.get(*clause).map(|c| &c.bound), Some(Bound::AtMost { .. }));
        let limits = limits.into_iter().enumerate().filter(|pair| numeric(&pair.0));
        let limits = limits.filter_map(|(clause, limit)| Some((clause, limit?))).collect();
        let known = vec![plan[..problem.steps.len().min(5)].to_vec()];
        let question = Question { limits, bounds, wishes, known };
        let native = Limits { certify: Certify::Off, ..Limits::default() };
        let prepared = prepare(&problem, &Figure::ALL).map_err(TestCaseError::fail)?;
        match (prepared.solve(&question, &native), solve(&changed(&problem, &question), &native)) {
            (Reply::Solved(reply), Outcome::Solved(solution)) => {
                prop_assert_eq!(reply.values, solution.values);
                prop_assert_eq!(reply.proof.status, solution.proof.status);
            }
            (Reply::Infeasible, Outcome::Conflict(_)) => (),
            (reply, outcome) => prop_assert!(false, "reply: {:?}, changed problem: {:?}", reply, outcome),
        }
    }
}

#[test]
fn malformed_questions_are_refused_in_words() {
    let problem = Problem { clauses: vec![Clause { bound: Bound::Rule }], ..Problem::default() };
    let prepared = prepare(&problem, &[]).unwrap_or_else(|words| panic!("{words}"));
    let words = |question: Question| match prepared.solve(&question, &Limits::default()) {
        Reply::Unknown(words) => words,
        other => format!("{other:?}"),
    };
    assert!(words(Question { limits: vec![(0, None)], ..Question::default() }).contains("no limit"));
    assert!(words(Question { limits: vec![(7, Some(1))], ..Question::default() }).contains("clause 7"));
    let wish = Wish { figure: Figure::Cost, over: super::Aggregate::Sum };
    assert!(words(Question { wishes: vec![wish], ..Question::default() }).contains("not announced"));
}
