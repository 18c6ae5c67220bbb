//! Seeded synthetic problems -> solve times: `cargo bench --bench solver -- [seeds] [shape]`.

use std::time::Instant;

use murakkab::solve::outcome::Outcome;
use murakkab::solve::problem::{Aggregate, Bound, Capacity, Choice, Clause, Figure, Problem, Step, Wish};
use murakkab::solve::{Certify, Limits, solve, warm_up};

struct Shape {
    name: &'static str,
    steps: usize,
    options: usize,
    classes: u32,
    share: f64,
    pools: bool,
    flat: bool,
    clash: bool,
}

/// Options trade quality, cost and latency against one another; `share` places the limits between best and worst.
fn generate(shape: &Shape, seed: u64) -> Problem {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut steps = Vec::new();
    for s in 0..shape.steps {
        let work = 200.0 + 3_000.0 * rng.f64();
        let price = 500.0 + 20_000.0 * rng.f64();
        let mut choices = Vec::new();
        for o in 0..shape.options {
            let class = o as u32 % shape.classes.max(1);
            let detail = 0.4 + f64::from(class);
            let quality = rng.f64();
            let speed: f64 = [1.0, 2.0, 4.0, 8.0][rng.usize(..4)];
            let noise = |rng: &mut fastrand::Rng| {
                if shape.flat { 0.98 + 0.04 * rng.f64() } else { 0.7 + 0.6 * rng.f64() }
            };
            let cost = price * (0.1 + quality.powi(2)) * speed.powf(0.35) * detail.powf(0.5) * noise(&mut rng);
            let latency = work * (0.3 + quality) / speed.powf(0.8) * detail.powf(0.7) * noise(&mut rng);
            let loss = 9_000.0 * (1.0 - quality).powf(1.5) / detail.powf(0.3) * noise(&mut rng);
            let energy = cost * (0.2 + rng.f64());
            // The first step's class is the knob that the others assume.
            let needs = if shape.classes > 1 && s > 0 { vec![(0, class)] } else { Vec::new() };
            choices.push(Choice {
                figures: [cost as i64, energy as i64, loss as i64, latency as i64, speed as i64, 0, 0],
                uses: if shape.pools { vec![(0, speed as i64)] } else { Vec::new() },
                class,
                needs,
                breaks: if rng.f64() < 0.1 { vec![2] } else { Vec::new() },
                ..Choice::default()
            });
        }
        steps.push(Step { choices });
    }
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for to in 1..shape.steps {
        for _ in 0..2 {
            let from = rng.usize(to.saturating_sub(4)..to);
            if !edges.contains(&(from, to)) {
                edges.push((from, to));
            }
        }
    }
    let clauses = vec![Clause { bound: Bound::Rule }; 3];
    let cheapest = Wish { figure: Figure::Cost, over: Aggregate::Sum };
    let wishes = vec![cheapest, Wish { figure: Figure::Latency, over: Aggregate::Path }];
    let together = (0..shape.steps.saturating_sub(2)).map(|s| vec![s, s + 1, s + 2]).collect();
    let capacities = if shape.pools { vec![Capacity { units: 10, together }] } else { Vec::new() };
    let mut problem = Problem { steps, edges, clauses, wishes, capacities, ..Problem::default() };
    // The limits lie between what is best for the figure and what the cheapest plan gives.
    let range = |figure: Figure, over: Aggregate, problem: &Problem| {
        let best = Problem { wishes: vec![Wish { figure, over }], ..problem.clone() };
        let low = match solve(&best, &Limits { certify: Certify::Off, ..Limits::default() }) {
            Outcome::Solved(solution) => solution.values[0],
            _ => 0,
        };
        let worst = Problem { wishes: vec![cheapest, Wish { figure, over }], ..problem.clone() };
        let high = match solve(&worst, &Limits { certify: Certify::Off, ..Limits::default() }) {
            Outcome::Solved(solution) => solution.values[1],
            _ => 0,
        };
        low + ((high - low) as f64 * shape.share) as i64
    };
    let latency = range(Figure::Latency, Aggregate::Path, &problem);
    problem.clauses[0] =
        Clause { bound: Bound::AtMost { figure: Figure::Latency, over: Aggregate::Path, limit: latency } };
    let loss = range(Figure::Loss, Aggregate::Sum, &problem);
    problem.clauses[1] = Clause { bound: Bound::AtMost { figure: Figure::Loss, over: Aggregate::Sum, limit: loss } };
    if shape.clash
        && let Outcome::Solved(best) = solve(&problem, &Limits { certify: Certify::Off, ..Limits::default() })
    {
        let limit = best.values[0] - best.values[0] / 200;
        problem.clauses.push(Clause { bound: Bound::AtMost { figure: Figure::Cost, over: Aggregate::Sum, limit } });
    }
    problem
}

fn main() {
    // `cargo bench` adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let seeds: u64 = args.first().and_then(|n| n.parse().ok()).unwrap_or(3);
    let start = Instant::now();
    warm_up();
    println!("warm-up {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let shape = |name, steps, options, classes| Shape {
        name,
        steps,
        options,
        classes,
        share: 0.3,
        pools: false,
        flat: false,
        clash: false,
    };
    let shapes = [
        shape("5 x 300 coupled", 5, 300, 6),
        Shape { pools: true, ..shape("5 x 300 coupled, pools", 5, 300, 6) },
        shape("10 x 100", 10, 100, 1),
        shape("20 x 100", 20, 100, 1),
        shape("20 x 100 coupled", 20, 100, 4),
        Shape { pools: true, ..shape("20 x 100 pools", 20, 100, 1) },
        Shape { flat: true, ..shape("10 x 100 adversarial", 10, 100, 1) },
        Shape { share: 0.3, clash: true, ..shape("20 x 100 infeasible", 20, 100, 1) },
    ];
    let only = args.get(1).cloned().unwrap_or_default();
    for shape in shapes.iter().filter(|shape| shape.name.starts_with(&only)) {
        for seed in args.get(3).and_then(|n| n.parse().ok()).unwrap_or(0)..seeds {
            let problem = generate(shape, seed);
            let time = |limits: &Limits| {
                let start = Instant::now();
                let outcome = solve(&problem, limits);
                (start.elapsed().as_secs_f64() * 1e3, outcome)
            };
            let (native, _) = time(&Limits { certify: Certify::Off, ..Limits::default() });
            let certify = if args.get(2).is_none() { Certify::Core } else { Certify::Off };
            let (both, outcome) = time(&Limits { certify, ..Limits::default() });
            let told = match &outcome {
                Outcome::Solved(s) => format!(
                    "{:?} {:?} by {}, {} checks, {} nodes, kept {:?}",
                    s.values, s.proof.status, s.proof.by, s.proof.z3_checks, s.proof.nodes, s.proof.kept
                ),
                other => format!("{other:?}"),
            };
            println!("{:<24} seed {seed}: native {native:8.1} ms, with z3 {both:8.1} ms  {told}", shape.name);
        }
    }
}
