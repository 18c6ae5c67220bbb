//! What the search keeps in other shapes -> the same as the plain shape says.

use proptest::prelude::*;

use super::super::coefs::Coefs;
use super::super::model::Domain;
use super::super::presolve::reduce;
use super::super::problem::{Choice, Figure, Problem, Step, beginning};
use super::super::relax::Pool;
use super::super::simplex::{Lp, LpRow, Point};

/// Columns that no other replaces: cost rises while latency falls.
fn problem(sizes: &[usize]) -> Problem {
    let option =
        |at: usize| Choice { figures: beginning([at as i64, 0, 0, 1_000 - at as i64, 0, 0, 0]), ..Choice::default() };
    let steps = sizes.iter().map(|&size| Step { choices: (0..size).map(option).collect() }).collect();
    Problem { steps, ..Problem::default() }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..40, 1..12)
}

proptest! {
    #[test]
    fn a_packed_domain_is_the_same_again(sizes in sizes(), gone in prop::collection::vec(prop::bool::ANY, 480)) {
        let problem = problem(&sizes);
        let space = reduce(&problem, &[Figure::Cost, Figure::Latency]).unwrap();
        let mut domain = Domain::full(&space);
        domain.retain(|_, column| !gone[column as usize]);
        let packed = domain.clone().pack(space.columns());
        let back = Domain::unpack(&packed, &space.start);
        prop_assert_eq!(back.steps(), domain.steps());
        for step in 0..domain.steps() {
            prop_assert_eq!(back.of(step), domain.of(step));
        }
    }

    #[test]
    fn what_some_steps_lose_leaves_the_others_alone(sizes in sizes(), gone in prop::collection::vec(prop::bool::ANY, 480)) {
        let problem = problem(&sizes);
        let space = reduce(&problem, &[Figure::Cost, Figure::Latency]).unwrap();
        let (mut some, mut all) = (Domain::full(&space), Domain::full(&space));
        let narrows = |step: usize| step.is_multiple_of(3);
        let went = some.retain_of(narrows, |_, column| !gone[column as usize]);
        prop_assert_eq!(went, all.retain(|step, column| !narrows(step) || !gone[column as usize]));
        for step in 0..all.steps() {
            prop_assert_eq!(some.of(step), all.of(step));
        }
    }

    #[test]
    fn coefficients_of_touched_steps_are_those_of_all(
        sizes in sizes(),
        values in prop::collection::vec(-50i64..50, 480),
        gone in prop::collection::vec(prop::bool::weighted(0.3), 480),
    ) {
        let problem = problem(&sizes);
        let space = reduce(&problem, &[Figure::Cost, Figure::Latency]).unwrap();
        let steps: Vec<usize> = (0..sizes.len()).filter(|step| step % 2 == 1).collect();
        let coefs = Coefs::new(&space.start, &steps, |list: &mut Vec<i64>, columns| list.extend(&values[columns]));
        let mut domain = Domain::full(&space);
        domain.retain(|_, column| !gone[column as usize]);
        for step in 0..domain.steps() {
            let columns = domain.of(step);
            let plain = |&column: &u32| if step % 2 == 1 { values[column as usize] } else { 0 };
            let expected: Vec<i64> = columns.iter().map(plain).collect();
            prop_assert_eq!(coefs.of(step, columns).collect::<Vec<i64>>(), expected.clone());
            prop_assert!(columns.iter().zip(&expected).all(|(&column, &a)| coefs.at(step, column) == a));
            prop_assert!(coefs.run(step, columns).is_none_or(|run| run == expected));
        }
    }

    #[test]
    fn a_pool_suspects_every_row_that_a_point_violates(
        sizes in sizes(),
        rows in prop::collection::vec((prop::collection::vec(0f64..1.0, 480), 0f64..6.0), 1..200),
        taken in prop::collection::vec(0usize..40, 12),
        kept in prop::collection::vec(prop::bool::weighted(0.7), 200),
    ) {
        let problem = problem(&sizes);
        let space = reduce(&problem, &[Figure::Cost, Figure::Latency]).unwrap();
        let domain = Domain::full(&space);
        let step: Vec<u32> = space.step.iter().map(|&step| step as u32).collect();
        let mut lp = Lp::new(step, vec![0.0; space.columns()]);
        let mut pool = Pool::default();
        for (place, (values, rhs)) in rows.iter().enumerate() {
            let steps: Vec<usize> = (0..sizes.len()).filter(|step| (step + place) % 3 > 0).collect();
            let coef = Coefs::new(&space.start, &steps, |list: &mut Vec<f64>, columns| list.extend(&values[columns]));
            lp.rows.push(LpRow { coef, rhs: *rhs, on_target: false, steps });
            pool.push(place as u32, &lp, &domain);
        }
        pool.retain(&lp, &domain, |row| kept[row as usize]);
        let weights = sizes.iter().zip(&space.start).zip(&taken).map(|((size, start), at)| ((start + at % size) as u32, 1.0));
        let point = Point::new(weights.collect(), &lp.step, sizes.len());
        let suspects = pool.suspects(&lp, point.all(), 0.0);
        for (place, row) in lp.rows.iter().enumerate().filter(|pair| kept[pair.0]) {
            prop_assert!(row.slack(&point, 0.0) > -1e-6 || suspects.contains(&(place as u32)));
        }
    }
}
