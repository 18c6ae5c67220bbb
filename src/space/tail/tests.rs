use super::*;
use fastrand::Rng;
use rust_decimal::dec;

#[test]
fn the_normal_distribution_is_that_of_the_tables() {
    let table = [(0.5, 0.0), (0.05, 1.6448536269514722), (0.01, 2.3263478740408408), (1e-6, 4.753424308822899)];
    for (beyond, z) in table {
        assert!((quantile(beyond) - z).abs() < 1e-9, "{beyond}: {}", quantile(beyond));
        assert!((upper(z) / beyond - 1.0).abs() < 1e-9, "{z}: {}", upper(z));
    }
    assert!((upper(-1.0) - 0.841344746068543).abs() < 1e-12);
    // Both ways of computing the tail meet.
    assert!((upper(2.5 - 1e-12) / upper(2.5) - 1.0).abs() < 1e-9);
}

#[test]
fn one_call_of_one_part_has_its_exact_quantile() {
    let part = Part { median: dec!(2), sigma: sigma(1.5, 0.05) };
    let calls = Calls { count: dec!(1), width: dec!(1), in_turn: dec!(1) };
    let p95 = step(&[vec![part]], calls, Level::P95, Combine::Steps(1)).expect("in range");
    assert!(p95 >= dec!(3) && p95 < dec!(3.00001), "{p95}");
}

#[test]
fn paths_are_counted_and_split_the_share_where_they_are_fewer_than_steps() {
    let chain: Vec<(usize, usize)> = (0..9).map(|i| (i, i + 1)).collect();
    assert_eq!(Combine::of(&Dag::from_edges(10, &chain), 10), Combine::Paths(1));
    assert_eq!(Combine::of(&Dag::from_edges(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]), 4), Combine::Paths(2));
    assert_eq!(Combine::of(&Dag::from_edges(3, &[]), 3), Combine::Steps(3));
    // 40 diamonds in a row have 2⁴⁰ paths.
    let diamonds: Vec<_> =
        (0..40).flat_map(|d| [(0, 1), (0, 2), (1, 3), (2, 3)].map(|(a, b)| (a + 3 * d, b + 3 * d))).collect();
    assert_eq!(Combine::of(&Dag::from_edges(121, &diamonds), 121), Combine::Steps(121));
}

/// How the parts of all calls of all steps hang together.
#[derive(Clone, Copy, Debug)]
enum Together {
    Independent,
    Comonotone,
    /// Half of each logarithm's variance is common to all.
    Mixed,
}

struct Run {
    dag: Dag,
    steps: Vec<(Vec<Vec<Part>>, Calls)>,
}

impl Run {
    fn random(rng: &mut Rng) -> Run {
        let n = rng.usize(1..=10);
        let edges: Vec<(usize, usize)> =
            (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).filter(|_| rng.f64() < 0.35).collect();
        let steps = (0..n).map(|_| {
            let parts: Vec<Vec<Part>> = (0..rng.usize(1..=3))
                .map(|_| {
                    vec![Part {
                        median: Decimal::from(rng.u32(1..=40)) / dec!(10),
                        sigma: sigma(1.0 + rng.f64() * 1.5, 0.05),
                    }]
                })
                .collect();
            let (count, width) = (rng.u32(1..=6), if rng.bool() { 1 } else { rng.u32(2..=4) });
            (parts, Calls { count: count.into(), width: width.into(), in_turn: dec!(1) })
        });
        Run { dag: Dag::from_edges(n, &edges), steps: steps.collect() }
    }

    fn bound(&self, level: Level) -> f64 {
        let combine = Combine::of(&self.dag, self.steps.len());
        let at = |i: usize| step(&self.steps[i].0, self.steps[i].1, level, combine).expect("in range");
        self.dag.longest(&at).0.to_f64().expect("a number")
    }

    /// One run: calls start as soon as one of `width` places is free.
    fn sample(&self, together: Together, rng: &mut Rng) -> f64 {
        let common = normal(rng);
        let mut z = || match together {
            Together::Independent => normal(rng),
            Together::Comonotone => common,
            Together::Mixed => common * 0.5f64.sqrt() + normal(rng) * 0.5f64.sqrt(),
        };
        let times: Vec<f64> = self
            .steps
            .iter()
            .map(|(parts, calls)| {
                let mut free = vec![0.0f64; calls.width.to_usize().expect("small")];
                for _ in 0..calls.count.to_usize().expect("small") {
                    let call: f64 =
                        parts.iter().flatten().map(|p| p.median.to_f64().expect("small") * (p.sigma * z()).exp()).sum();
                    let first = (0..free.len()).min_by(|a, b| free[*a].total_cmp(&free[*b])).expect("a place");
                    free[first] += call;
                }
                free.into_iter().fold(0.0, f64::max)
            })
            .collect();
        self.dag.longest(&|i| times[i]).0
    }
}

fn normal(rng: &mut Rng) -> f64 {
    let (a, b) = (1.0 - rng.f64(), rng.f64());
    (-2.0 * a.ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()
}

/// `cargo test --lib tail::tests::coverage -- --nocapture` prints how far the bounds lie above what is simulated.
#[test]
fn coverage_of_simulated_runs_is_at_least_the_level() {
    const RUNS: usize = 2_000;
    let mut rng = Rng::with_seed(0x5eed);
    let dags: Vec<Run> = (0..40).map(|_| Run::random(&mut rng)).collect();
    for together in [Together::Independent, Together::Comonotone, Together::Mixed] {
        for level in [Level::P95, Level::P99] {
            let (mut least, mut sum, mut ratios) = (1.0f64, 0.0, Vec::new());
            for run in &dags {
                let bound = run.bound(level);
                let mut times: Vec<f64> = (0..RUNS).map(|_| run.sample(together, &mut rng)).collect();
                times.sort_by(f64::total_cmp);
                let within = times.iter().filter(|t| **t <= bound).count() as f64 / RUNS as f64;
                least = least.min(within);
                sum += within;
                ratios.push(bound / times[((1.0 - level.beyond()) * RUNS as f64) as usize]);
            }
            ratios.sort_by(f64::total_cmp);
            let (median, most) = (ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
            println!(
                "{together:?} {level:?}: within the bound {:.4} of runs, least {least:.4}; bound / simulated quantile: median {median:.2}, most {most:.2}",
                sum / dags.len() as f64
            );
            // Three standard errors of the share that a simulation of so many runs finds.
            let error = 3.0 * (level.beyond() * (1.0 - level.beyond()) / RUNS as f64).sqrt();
            assert!(least >= 1.0 - level.beyond() - error, "{together:?} {level:?}: {least}");
        }
    }
}

/// Steps of one call that hang together in the worst way for two of them: one is long exactly where the other is not.
#[test]
fn steps_against_each_other_stay_within_the_bound() {
    let part = Part { median: dec!(1), sigma: 0.8 };
    let calls = Calls { count: dec!(1), width: dec!(1), in_turn: dec!(1) };
    let dag = Dag::from_edges(2, &[(0, 1)]);
    let bound =
        2.0 * step(&[vec![part]], calls, Level::P95, Combine::of(&dag, 2)).and_then(|b| b.to_f64()).expect("a number");
    // The worst that is known for two alike: within the largest 5 %, the one's order is the other's turned round.
    let runs = 200_000;
    let time = |u: f64| (0.8 * if u < 0.5 { -quantile(u) } else { quantile(1.0 - u) }).exp();
    let beyond = (0..runs).filter(|i| {
        let u = (*i as f64 + 0.5) / runs as f64;
        let turned = if u >= 0.95 { 1.95 - u } else { u };
        time(u) + time(turned) > bound
    });
    let share = beyond.count() as f64 / runs as f64;
    assert!(share <= 0.05, "{share}");
    // Adding the quantiles up would not have been enough.
    let naive = 2.0 * (0.8 * quantile(0.05)).exp();
    assert!(
        (0..runs)
            .filter(|i| {
                let u = (*i as f64 + 0.5) / runs as f64;
                let turned = if u >= 0.94 { 1.94 - u } else { u };
                time(u) + time(turned) > naive
            })
            .count() as f64
            / runs as f64
            > 0.05
    );
}

#[test]
fn rounds_of_a_loop_wait_for_one_another() {
    let rounds = |count: Decimal, width: u32, in_turn: u32| {
        Calls { count, width: width.into(), in_turn: in_turn.into() }.rounds()
    };
    assert_eq!(rounds(dec!(16), 8, 1), dec!(2));
    // Four rounds of a call each; of four calls each; of ten each.
    assert_eq!([rounds(dec!(4), 8, 4), rounds(dec!(16), 8, 4), rounds(dec!(40), 8, 4)], [dec!(4), dec!(4), dec!(8)]);
    // Three in ten of four rounds.
    assert_eq!(rounds(dec!(1.2), 8, 4), dec!(2));
    assert_eq!(rounds(Decimal::MAX, 1, 7), Decimal::MAX);
}
