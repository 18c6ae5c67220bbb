//! Seeded synthetic problems -> CPU time of 50 exact Pareto points: `cargo bench --bench pareto -- [seeds]`.

use murakkab::solve::pareto::{Answer, front};
use murakkab::solve::problem::{Aggregate, Choice, Figure, Problem, Step, Wish};
use murakkab::solve::{Certify, Limits};

/// Options that trade quality, cost and latency against one another, in steps that wait for up to two of the four before.
fn generate(steps: usize, options: usize, metrics: &[Wish], seed: u64) -> Problem {
    let mut rng = fastrand::Rng::with_seed(seed);
    let step = |rng: &mut fastrand::Rng| {
        let (work, price) = (200.0 + 3_000.0 * rng.f64(), 500.0 + 20_000.0 * rng.f64());
        let choice = |rng: &mut fastrand::Rng| {
            let (quality, speed): (f64, f64) = (rng.f64(), [1.0, 2.0, 4.0, 8.0][rng.usize(..4)]);
            let noise = |rng: &mut fastrand::Rng| 0.7 + 0.6 * rng.f64();
            let mut choice = Choice::default();
            let cost = price * (0.1 + quality.powi(2)) * speed.powf(0.35) * noise(rng);
            let latency = work * (0.3 + quality) / speed.powf(0.8) * noise(rng);
            let loss = 9_000.0 * (1.0 - quality).powf(1.5) * noise(rng);
            choice.figures[Figure::Cost.index()] = cost as i64;
            choice.figures[Figure::Latency.index()] = latency as i64;
            choice.figures[Figure::Loss.index()] = loss as i64;
            choice
        };
        Step { choices: (0..options).map(|_| choice(rng)).collect() }
    };
    let steps: Vec<Step> = (0..steps).map(|_| step(&mut rng)).collect();
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for to in 1..steps.len() {
        for _ in 0..2 {
            let from = rng.usize(to.saturating_sub(4)..to);
            if !edges.contains(&(from, to)) {
                edges.push((from, to));
            }
        }
    }
    Problem { steps, edges, wishes: metrics.to_vec(), ..Problem::default() }
}

/// CPU time of this process, in milliseconds.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e6
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let seeds: u64 = args.first().and_then(|n| n.parse().ok()).unwrap_or(5);
    let wish = |figure, over| Wish { figure, over };
    let cost = wish(Figure::Cost, Aggregate::Sum);
    let loss = wish(Figure::Loss, Aggregate::Sum);
    let latency = wish(Figure::Latency, Aggregate::Path);
    let limits = Limits { certify: Certify::Off, nodes: u64::MAX, ..Limits::default() };
    let shapes: [(&str, &[Wish]); 3] =
        [("cost, quality", &[cost, loss]), ("cost, latency", &[cost, latency]), ("all three", &[cost, latency, loss])];
    for (name, metrics) in shapes {
        for seed in 0..seeds {
            let problem = generate(20, 100, metrics, seed);
            let before = cpu_ms();
            let answer = front(&problem, metrics.len(), 50, &limits);
            let took = cpu_ms() - before;
            match answer {
                Answer::Front(f) => println!(
                    "20 x 100  {name:<14} seed {seed}: {took:8.1} ms, {} points, {:?}, {} nodes",
                    f.points.len(),
                    f.extent,
                    f.nodes
                ),
                other => println!("20 x 100  {name:<14} seed {seed}: {other:?}"),
            }
        }
    }
}
