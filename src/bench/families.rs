//! A [`Recipe`] and a seed -> a [`Problem`], the same bytes on every machine.
//!
//! Floats are only added, multiplied, divided and rooted, which IEEE 754 rounds in one way; nothing here asks the solver.

use super::limits::limit;
use super::recipe::{Dag, Kind, Recipe};
use super::rng::{Rng, round};
use crate::solve::problem::{Aggregate, Choice, FIGURES, Figure, Instance, Problem, Step, Wish, beginning};

/// Makes the problem of a recipe and a seed.
pub fn generate(recipe: &Recipe, seed: u64) -> Problem {
    let mut rng = Rng(seed ^ 0x6D75_726B_6162);
    let series_parallel = match recipe.dag {
        Dag::Mixed => seed % 2 == 1,
        Dag::Layered => false,
        Dag::SeriesParallel => true,
    };
    let mut edges = Vec::new();
    if series_parallel {
        compose(0, recipe.steps, &mut edges, &mut rng);
    } else {
        edges = layered(recipe.steps, &mut rng);
    }
    let keys = if recipe.kind == Kind::Shared { keys(recipe.steps, &mut rng) } else { Vec::new() };
    let ancestors = ancestors(recipe.steps, &edges);
    let knob_of =
        |step: usize| (0..step).rev().find(|&up| is_knob(up) && ancestors[step][up]).filter(|_| recipe.coupled);
    let mut steps = Vec::new();
    for step in 0..recipe.steps {
        let choices = match recipe.kind {
            Kind::Adversarial => trade_off(recipe.options, &mut rng),
            Kind::Realistic | Kind::Shared => profile(recipe, step, knob_of(step), &keys, &mut rng),
        };
        steps.push(Step { choices });
    }
    let wishes =
        [Wish { figure: Figure::Cost, over: Aggregate::Sum }, Wish { figure: Figure::Latency, over: Aggregate::Path }];
    let wishes = wishes[..if recipe.single { 1 } else { 2 }].to_vec();
    let instances = keys.into_iter().map(|key| key.1).collect();
    let mut problem = Problem { steps, edges, wishes, instances, ..Problem::default() };
    limit(&mut problem, recipe, &ancestors, &mut rng);
    problem
}

/// Every fifth step has a knob whose setting others see.
const fn is_knob(step: usize) -> bool {
    step.is_multiple_of(5)
}

fn layered(steps: usize, rng: &mut Rng) -> Vec<(usize, usize)> {
    let (mut edges, mut before, mut next) = (Vec::new(), 0..0, 0);
    while next < steps {
        let layer = next..(next + 1 + rng.below(4)).min(steps);
        for to in layer.clone().filter(|_| !before.is_empty()) {
            for _ in 0..1 + rng.below(3) {
                edges.push((before.start + rng.below(before.len()), to));
            }
        }
        // Nobody but the last layer is without a successor.
        edges.extend(
            before
                .filter(|from| !edges.iter().any(|e| e.0 == *from))
                .map(|from| (from, layer.start))
                .collect::<Vec<_>>(),
        );
        next = layer.end;
        before = layer;
    }
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Composes the steps of a range in series or in parallel; returns its first and its last steps.
fn compose(from: usize, to: usize, edges: &mut Vec<(usize, usize)>, rng: &mut Rng) -> (Vec<usize>, Vec<usize>) {
    if to - from == 1 {
        return (vec![from], vec![from]);
    }
    let middle = from + 1 + rng.below(to - from - 1);
    // Wide parts are put in series more often, so that no step waits for dozens.
    let series = to - from > 6 || rng.below(2) == 0;
    let (mut first, mut last) = compose(from, middle, edges, rng);
    let (second_first, second_last) = compose(middle, to, edges, rng);
    if series {
        edges.extend(last.iter().flat_map(|&a| second_first.iter().map(move |&b| (a, b))));
        return (first, second_last);
    }
    first.extend(second_first);
    last.extend(second_last);
    (first, last)
}

/// Which steps come before which: edges run from lower to higher indices.
fn ancestors(steps: usize, edges: &[(usize, usize)]) -> Vec<Vec<bool>> {
    let mut of = vec![vec![false; steps]; steps];
    for to in 0..steps {
        for &(from, _) in edges.iter().filter(|edge| edge.1 == to) {
            let above = of[from].clone();
            of[to].iter_mut().zip(above).for_each(|(own, above)| *own |= above);
            of[to][from] = true;
        }
    }
    of
}

/// Billions of weights; the price of errors falls with their fourth root.
const MODELS: [f64; 8] = [1.5, 3.0, 8.0, 14.0, 27.0, 32.0, 72.0, 123.0];
/// Dollars an hour, terabytes a second, watts, gigabytes: in the proportions of data centre GPUs of three generations and a CPU.
const DEVICES: [(f64, f64, f64, f64); 5] = [
    (6.9, 3.35, 620.0, 80.0),
    (4.1, 2.0, 360.0, 80.0),
    (1.9, 0.86, 300.0, 48.0),
    (1.0, 0.6, 150.0, 24.0),
    (0.4, 0.2, 180.0, 256.0),
];
/// How many of a device work together, and how much faster they are than one.
const PARALLEL: [(i64, f64); 4] = [(1, 1.0), (2, 1.75), (4, 3.0), (8, 4.9)];
/// Share of the full input that the knob leaves.
const DETAIL: [f64; 4] = [0.25, 0.5, 1.0, 2.0];

/// Where an option runs: model, device, how many.
#[derive(Clone, Copy)]
struct Place(f64, usize, usize);

fn place(rng: &mut Rng) -> Place {
    loop {
        let place = Place(rng.pick(&MODELS), rng.below(DEVICES.len()), rng.below(PARALLEL.len()));
        if 2.2 * place.0 <= DEVICES[place.1].3 * PARALLEL[place.2].0 as f64 {
            return place;
        }
    }
}

/// Instances that steps may share, and where they run. What they may be loaded with is settled with the limits.
fn keys(steps: usize, rng: &mut Rng) -> Vec<(Place, Instance)> {
    let mut keys = Vec::new();
    for _ in 0..(steps / 2).max(4) {
        let place = place(rng);
        let (price, _, watts, _) = DEVICES[place.1];
        let units = PARALLEL[place.2].0;
        let hours = units as f64 * (60.0 + 3.0 * place.0) / 3_600.0;
        let mut figures = [0; FIGURES];
        figures[Figure::Cost.index()] = round(price * hours * 1e6);
        figures[Figure::Energy.index()] = round(watts * hours * 1e3);
        figures[Figure::Gpus.index()] = units;
        keys.push((place, Instance { figures, uses: vec![(0, units)], capacity: None }));
    }
    keys
}

/// Options of a step as profiles give them. With a knob upstream, every option assumes one of its settings.
fn profile(recipe: &Recipe, step: usize, up: Option<usize>, keys: &[(Place, Instance)], rng: &mut Rng) -> Vec<Choice> {
    let (output, calls) = (rng.between(50.0, 1_500.0), 1.0 + rng.below(30) as f64);
    let difficulty = rng.between(0.03, 0.25);
    let mut choices = Vec::new();
    for option in 0..recipe.options {
        let instance = (!keys.is_empty()).then(|| rng.below(keys.len()));
        let Place(billions, device, parallel) = instance.map_or_else(|| place(rng), |key| keys[key].0);
        let (price, bandwidth, watts, _) = DEVICES[device];
        let (units, speed) = PARALLEL[parallel];
        let batch = rng.pick(&[1.0, 4.0, 16.0]);
        // A setting upstream and one's own take turns, so that every pair of settings is there.
        let (above, own) = (option % DETAIL.len(), option / DETAIL.len() % DETAIL.len());
        let own = if up.is_some() || (recipe.coupled && is_knob(step)) { own } else { rng.below(DETAIL.len()) };
        let detail = DETAIL[own] * up.map_or(1.0, |_| DETAIL[above]);
        let seconds = calls * (0.03 + detail * output * 2.0 * billions / (1_000.0 * bandwidth * speed));
        let latency = seconds * (1.0 + 0.06 * (batch - 1.0)) * rng.between(0.85, 1.15);
        let busy = latency / batch * units as f64 * rng.between(0.9, 1.1);
        let error = difficulty * (8.0 / (billions * detail)).sqrt().sqrt() * rng.between(0.85, 1.15);
        // -ln(1 - error), as far as it matters: a logarithm is not the same on every machine.
        let loss = error * (1.0 + error * (0.5 + error * (1.0 / 3.0 + error / 4.0)));
        // On a shared instance a step pays for the power it adds; the instance itself is paid once.
        let cost = price * busy / 3_600.0 * if instance.is_some() { 0.2 } else { 1.0 };
        let held = if device == DEVICES.len() - 1 || instance.is_some() { 0 } else { units };
        choices.push(Choice {
            figures: beginning([
                round(cost * 1e6),
                round(watts * busy / 3_600.0 * 1e3),
                round(loss * 1e7),
                round(latency * 1e3),
                held,
                round(latency * 1.3e3),
                round(latency * 1.7e3),
            ]),
            uses: if recipe.pools && held > 0 { vec![(0, held)] } else { Vec::new() },
            class: own as u32,
            needs: up.map(|up| (up, above as u32)).into_iter().collect(),
            breaks: Vec::new(),
            instance,
            load: if instance.is_some() { round(busy / units as f64 * 1e3) } else { 0 },
            opens: Vec::new(),
        });
    }
    choices
}

/// Points near a plane on which cost falls as latency, loss or energy grows: of two, neither is better in everything.
fn trade_off(options: usize, rng: &mut Rng) -> Vec<Choice> {
    let (time, price) = (rng.between(500.0, 5_000.0), rng.between(5_000.0, 20_000.0));
    let (loss, power) = (rng.between(1e4, 1e5), rng.between(100.0, 1_000.0));
    // The weights of latency, loss and energy in the cost.
    let weights = [rng.between(0.5, 1.5), rng.between(0.5, 1.5), rng.between(0.5, 1.5)];
    let mut choices: Vec<Choice> = Vec::new();
    for _ in 0..options {
        let mut point = || {
            let [slow, bad, hungry] = [rng.unit(), rng.unit(), rng.unit()];
            let saved = weights[0] * slow + weights[1] * bad + weights[2] * hungry;
            let latency = time * (1.0 + 4.0 * slow);
            beginning([
                round(price * (6.0 - saved) * rng.between(0.99, 1.01)),
                round(power * (1.0 + 4.0 * hungry)),
                round(loss * (1.0 + 4.0 * bad)),
                round(latency),
                1,
                round(latency * 1.3),
                round(latency * 1.7),
            ])
        };
        let beats = |a: &[i64], b: &[i64]| a.iter().zip(b).all(|(a, b)| a <= b);
        let mut figures = point();
        for _ in 0..REDRAWS {
            if !choices.iter().any(|c| beats(&c.figures, &figures) || beats(&figures, &c.figures)) {
                break;
            }
            figures = point();
        }
        choices.push(Choice { figures, ..Choice::default() });
    }
    choices
}

/// How often a point that dominates another, or is dominated, is drawn again.
const REDRAWS: usize = 64;
