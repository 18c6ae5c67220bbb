//! The instance families of the benchmark -> CPU time of 50 exact Pareto points: `cargo bench --bench pareto -- [seeds] [recipe]`.
//!
//! The limits on what is traded off are dropped; every other clause of the instance holds.

use murakkab::bench::families::generate;
use murakkab::bench::recipe::Recipe;
use murakkab::solve::pareto::{Answer, front};
use murakkab::solve::problem::{Aggregate, Bound, Figure, Problem, Wish};
use murakkab::solve::{Certify, Limits};

const POINTS: usize = 50;

fn traded(mut problem: Problem, metrics: &[Wish]) -> Problem {
    problem.wishes = metrics.to_vec();
    for clause in &mut problem.clauses {
        if let Bound::AtMost { figure, limit, .. } = &mut clause.bound
            && metrics.iter().any(|wish| wish.figure == *figure)
        {
            *limit = 1 << 50;
        }
    }
    problem
}

/// CPU time of this thread, in milliseconds: what the search runs in.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
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
    let named = ["realistic-20x100-tight", "realistic-20x100-tight-coupled", "adversarial-20x100-tight"];
    let recipes = args.get(1).map_or(named.to_vec(), |name| vec![name.as_str()]);
    let fronts: [(&str, &[Wish]); 3] =
        [("cost, quality", &[cost, loss]), ("cost, latency", &[cost, latency]), ("all three", &[cost, latency, loss])];
    for name in recipes {
        let Ok(recipe) = name.parse::<Recipe>() else {
            println!("`{name}` is no recipe");
            continue;
        };
        for (front_of, metrics) in fronts {
            let mut took: Vec<f64> = Vec::new();
            let mut said = String::new();
            for seed in 0..seeds {
                let problem = traded(generate(&recipe, seed), metrics);
                let before = cpu_ms();
                let answer = front(&problem, metrics.len(), POINTS, &limits);
                took.push(cpu_ms() - before);
                said.push_str(&match answer {
                    Answer::Front(f) => format!(" {} {:?},", f.points.len(), f.extent),
                    other => format!(" {other:?},"),
                });
            }
            took.sort_by(f64::total_cmp);
            let (median, most) = (took.get(took.len() / 2), took.last());
            let ms = |t: Option<&f64>| t.map_or("–".to_string(), |t| format!("{t:.0}"));
            println!("{name} {front_of}: {} ms median, {} ms at most; points:{said}", ms(median), ms(most));
        }
    }
}
