//! The engine against brute force on tiny fleets, and bad input.

use super::check::{Value, check};
use super::problem::{Fleet, Job, Kind, MOST, Pool};
use super::proof::{Certificate, certify, verify};
use super::{Limits, Outcome, least, solve};
use crate::solve::problem::{Aggregate, Bound, Choice, Clause, Figure, Problem, Step};
use crate::solve::{Certify, Limits as OfJobs};
use proptest::prelude::*;

/// Numbers that decide what a fleet looks like, drawn one after the other.
struct Dice<'a>(std::slice::Iter<'a, u16>);

impl Dice<'_> {
    fn below(&mut self, n: i64) -> i64 {
        i64::from(*self.0.next().unwrap_or(&0)) % n
    }
}

fn tiny(dice: &[u16]) -> Fleet {
    let mut dice = Dice(dice.iter());
    let pools: Vec<Pool> =
        (0..1 + dice.below(2)).map(|at| Pool { name: format!("pool {at}"), units: dice.below(7) }).collect();
    let kinds: Vec<Kind> = (0..2 + dice.below(2))
        .map(|at| Kind {
            name: format!("kind {at}"),
            price: 20 + dice.below(40),
            uses: vec![(dice.below(pools.len() as i64) as usize, dice.below(3))],
            capacity: dice.below(12),
            most: (dice.below(3) == 0).then(|| dice.below(4)),
            running: if dice.below(3) == 0 { dice.below(3) } else { 0 },
            start: dice.below(2) * dice.below(20),
            stop: dice.below(2) * dice.below(20),
        })
        .collect();
    let jobs = (0..1 + dice.below(3))
        .map(|at| {
            let (mut steps, mut fees) = (Vec::new(), Vec::new());
            for step in 0..2 {
                let options = 1 + dice.below(3);
                let choice = |dice: &mut Dice| {
                    let mut choice = Choice::default();
                    if dice.below(4) > 0 {
                        choice.instance = Some(dice.below(kinds.len() as i64) as usize);
                        choice.load = dice.below(10);
                    }
                    choice.figures[Figure::Latency.index()] = dice.below(20);
                    choice.figures[Figure::Loss.index()] = dice.below(20);
                    choice.class = dice.below(2) as u32;
                    if step == 1 && dice.below(3) == 0 {
                        choice.needs = vec![(0, dice.below(2) as u32)];
                    }
                    if dice.below(9) == 0 {
                        choice.breaks = vec![2];
                    }
                    choice
                };
                steps.push(Step { choices: (0..options).map(|_| choice(&mut dice)).collect() });
                fees.push((0..options).map(|_| dice.below(3) * dice.below(30)).collect());
            }
            let limit = |figure, over, dice: &mut Dice| Clause {
                bound: Bound::AtMost { figure, over, limit: 5 + dice.below(30) },
            };
            let mut clauses = vec![
                limit(Figure::Latency, Aggregate::Path, &mut dice),
                limit(Figure::Loss, Aggregate::Sum, &mut dice),
                Clause { bound: Bound::Rule },
                limit(Figure::Loss, Aggregate::Max, &mut dice),
            ];
            if dice.below(4) == 0 {
                clauses.push(Clause { bound: Bound::AnyOf(vec![(0, vec![0]), (1, vec![0])]) });
            }
            let edges = if dice.below(2) == 0 { vec![(0, 1)] } else { Vec::new() };
            Job { name: format!("job {at}"), problem: Problem { steps, edges, clauses, ..Problem::default() }, fees }
        })
        .collect();
    Fleet { pools, kinds, jobs }
}

/// The cheapest plan by trying all.
fn brute(fleet: &Fleet) -> Option<i128> {
    let sizes: Vec<usize> =
        fleet.jobs.iter().flat_map(|job| job.problem.steps.iter().map(|s| s.choices.len())).collect();
    let mut best: Option<i128> = None;
    for number in 0..sizes.iter().product::<usize>() {
        let mut rest = number;
        let mut flat = sizes.iter().map(|size| {
            let option = rest % size;
            rest /= size;
            option
        });
        let choice: Vec<Vec<usize>> =
            fleet.jobs.iter().map(|job| flat.by_ref().take(job.problem.steps.len()).collect()).collect();
        let mut loads = vec![0; fleet.kinds.len()];
        for (job, chosen) in fleet.jobs.iter().zip(&choice) {
            for (step, option) in job.problem.steps.iter().zip(chosen) {
                if let Some(kind) = step.choices[*option].instance {
                    loads[kind] += step.choices[*option].load;
                }
            }
        }
        let needed: Vec<i64> = fleet
            .kinds
            .iter()
            .zip(&loads)
            .map(|(kind, load)| {
                if *load == 0 {
                    0
                } else if kind.capacity == 0 {
                    1 << 20
                } else {
                    (load + kind.capacity - 1) / kind.capacity
                }
            })
            .collect();
        if let Ok(Value { cost, .. }) = check(fleet, &choice, &needed) {
            best = Some(best.map_or(cost, |b| b.min(cost)));
        }
    }
    best
}

/// A certificate with some of its numbers changed.
fn perturbed(certificate: &Certificate, seed: u64) -> Certificate {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut changed = certificate.clone();
    let Certificate { load, pools, cuts, jobs, shift } = &mut changed;
    let prices = load.iter_mut().chain(pools).chain(cuts.iter_mut().map(|cut| &mut cut.price));
    for price in prices {
        match rng.usize(..4) {
            0 => *price = rng.i64(-5..1 << 44),
            1 => *price = price.saturating_add(*price / 4),
            _ => (),
        }
    }
    for (_, step, load) in cuts.iter_mut().flat_map(|cut| &mut cut.set) {
        match rng.usize(..4) {
            0 => *load = rng.i64(-2..20),
            1 => *step = rng.usize(..3),
            _ => (),
        }
    }
    for least in jobs.iter_mut() {
        if rng.usize(..4) == 0 {
            least.cost = least.cost.saturating_add(rng.i64(1..1 << 40));
        }
        least.refutation.nodes = least.refutation.nodes.max(rng.u64(..100));
    }
    if rng.usize(..6) == 0 {
        *shift = rng.u32(..70);
    }
    changed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_certificate_proves_more_than_the_best_costs(
        dice in proptest::collection::vec(any::<u16>(), 220),
        seed in any::<u64>(),
    ) {
        let fleet = tiny(&dice);
        if let Some(best) = brute(&fleet) {
            let of_jobs = OfJobs { certify: Certify::Off, ..OfJobs::default() };
            let Some(made) = certify(&fleet, best, &Limits::default(), &of_jobs) else {
                return Err(TestCaseError::fail("no certificate"));
            };
            prop_assert_eq!(verify(&fleet, &made.certificate), Ok(made.bound));
            prop_assert!(made.bound <= best, "{} where the best is {best}", made.bound);
            for place in 0..20 {
                let wrong = verify(&fleet, &perturbed(&made.certificate, seed.wrapping_add(place)));
                prop_assert!(wrong.clone().unwrap_or(0) <= best, "{wrong:?} where the best is {best}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tiny_fleets_are_solved_as_by_trying_all(dice in proptest::collection::vec(any::<u16>(), 220)) {
        let fleet = tiny(&dice);
        match (solve(&fleet, &Limits::default()), brute(&fleet)) {
            (Outcome::Planned(planned), Some(best)) => {
                prop_assert!(planned.optimal(), "not proved: {planned:?}, best {best}");
                prop_assert_eq!(planned.cost, best);
                let apart: Option<i128> = (0..fleet.jobs.len()).map(|job| least(&fleet, job)).sum();
                prop_assert!(apart.is_some_and(|apart| apart <= best), "{apart:?}, best {best}");
            }
            (Outcome::Refused(_), None) => {}
            (outcome, best) => prop_assert!(false, "{outcome:?} where the best is {best:?}"),
        }
    }

    #[test]
    fn a_bound_is_never_wrong_however_early_the_search_ends(
        dice in proptest::collection::vec(any::<u16>(), 220),
        rounds in 0u64..4,
        any in any::<bool>(),
    ) {
        let fleet = tiny(&dice);
        let late = || rounds == 0;
        let limits = Limits { rounds: rounds * 60, out_of_time: Some(&late), any, enough: 0 };
        match (solve(&fleet, &limits), brute(&fleet)) {
            (Outcome::Planned(planned), Some(best)) => {
                prop_assert!(planned.bound <= best && best <= planned.cost, "{planned:?}, best {best}");
            }
            (Outcome::Planned(planned), None) => prop_assert!(false, "{planned:?} where there is none"),
            (Outcome::Refused(_), best) => prop_assert_eq!(best, None),
            (Outcome::Unknown(_), _) => {}
        }
    }
}

#[test]
fn the_same_fleet_has_the_same_answer() {
    let fleet = crate::bench::joint_families::fleet(6, crate::bench::joint_families::Sharing::Dense, 3);
    let limits = Limits { rounds: 400, ..Limits::default() };
    let first = solve(&fleet, &limits);
    assert!(matches!(first, Outcome::Planned(_)), "{first:?}");
    assert_eq!(first, solve(&fleet, &limits));
}

#[test]
fn figures_beyond_reason_are_refused_in_words() {
    let good = tiny(&[7; 220]);
    let mut bad: Vec<Fleet> = vec![good.clone(); 6];
    bad[0].kinds[0].price = -1;
    bad[1].kinds[0].capacity = MOST + 1;
    bad[2].jobs[0].fees[0].push(1);
    bad[3].jobs[0].problem.steps[0].choices[0].instance = Some(99);
    bad[4].jobs[0].problem.edges = vec![(0, 9)];
    bad[5].kinds[0].uses = vec![(9, 1)];
    for fleet in bad {
        assert!(matches!(solve(&fleet, &Limits::default()), Outcome::Unknown(_)), "{fleet:?}");
    }
}

#[test]
fn a_cycle_or_a_step_without_options_names_the_job() {
    let mut fleet = tiny(&[7; 220]);
    fleet.jobs[0].problem.edges = vec![(0, 1), (1, 0)];
    assert_eq!(solve(&fleet, &Limits::default()), Outcome::Refused(vec![0]));
    fleet.jobs[0].problem.edges.clear();
    fleet.jobs[0].problem.steps[1].choices.clear();
    fleet.jobs[0].fees[1].clear();
    assert_eq!(solve(&fleet, &Limits::default()), Outcome::Refused(vec![0]));
}

#[test]
fn the_largest_figures_do_not_overflow() {
    let mut fleet = tiny(&[5; 220]);
    for kind in &mut fleet.kinds {
        (kind.price, kind.start, kind.stop, kind.running, kind.capacity) = (MOST, MOST, MOST, MOST, 1);
    }
    for job in &mut fleet.jobs {
        job.fees.iter_mut().flatten().for_each(|fee| *fee = MOST);
        for choice in job.problem.steps.iter_mut().flat_map(|step| &mut step.choices) {
            choice.load = MOST;
        }
    }
    fleet.pools.iter_mut().for_each(|pool| pool.units = MOST);
    // Whatever it says, it says it without a panic, and a plan has been checked.
    let _ = solve(&fleet, &Limits { rounds: 100, ..Limits::default() });
}

#[test]
fn no_jobs_cost_nothing() {
    let fleet = Fleet { jobs: Vec::new(), ..tiny(&[0; 220]) };
    let fleet = Fleet { kinds: fleet.kinds.into_iter().map(|k| Kind { running: 0, ..k }).collect(), ..fleet };
    assert!(matches!(solve(&fleet, &Limits::default()), Outcome::Planned(p) if p.cost == 0 && p.optimal()));
}
