//! A problem without clauses -> the same with limits, pools and side constraints where a recipe wants them.
//!
//! Limits come from a *planted* plan: the one that is cheapest when latency and loss have a price. It satisfies every clause of a loose
//! or tight problem, so that those are feasible whatever the solver says. An infeasible one gets a cost limit under the Lagrangian
//! bound at those prices, which no plan can be under.

use super::recipe::{Kind, Recipe, Tightness};
use super::rng::{Rng, round};
use crate::solve::problem::{Aggregate, Bound, Capacity, Choice, Clause, Figure, Problem};

/// What a unit of energy, of loss and, along paths, of latency costs, in cost units of which [`UNIT`] make one.
type Prices = [i128; 3];

/// The figures that can have a price.
const PRICED: [Figure; 3] = [Figure::Energy, Figure::Loss, Figure::Latency];

const UNIT: i128 = 1 << 24;
/// Paths whose mean is the share of latency's price that each step bears.
const PATHS: usize = 8;

/// The options that a plan may take, per step.
type Allowed = Vec<Vec<usize>>;

/// A plan, and the Lagrangian bound on cost that its prices prove, before limits are paid for: `Σ min(cost + prices)`.
struct Planted {
    choice: Vec<usize>,
    bound: i128,
    prices: Prices,
}

fn figure(problem: &Problem, step: usize, option: usize, figure: Figure) -> i64 {
    problem.steps[step].choices[option].figures[figure.index()]
}

fn sum(problem: &Problem, choice: &[usize], of: Figure) -> i64 {
    choice.iter().enumerate().map(|(step, &option)| figure(problem, step, option, of)).sum()
}

/// The longest path of a plan, and whether each step is on it. Edges run upwards and are sorted by their second step here.
fn longest(problem: &Problem, choice: &[usize]) -> (i64, Vec<bool>) {
    let steps = choice.len();
    let (mut finish, mut from) = (vec![0; steps], vec![None; steps]);
    for step in 0..steps {
        for &(before, _) in problem.edges.iter().filter(|edge| edge.1 == step) {
            if finish[before] > finish[step] {
                (finish[step], from[step]) = (finish[before], Some(before));
            }
        }
        finish[step] += figure(problem, step, choice[step], Figure::Latency);
    }
    let mut at = (0..steps).max_by_key(|&step| finish[step]);
    let length = at.map_or(0, |step| finish[step]);
    let mut on = vec![false; steps];
    while let Some(step) = at {
        on[step] = true;
        at = from[step];
    }
    (length, on)
}

/// The cheapest plan at these prices, each step alone. Latency is paid for along the mean of [`PATHS`] paths, each the longest of
/// the plan before: no plan within a limit on latency pays more than that limit times the price.
fn cheapest(problem: &Problem, allowed: &Allowed, prices: Prices) -> Planted {
    let (paths, mut times) = (PATHS as i128, vec![0i128; problem.steps.len()]);
    let mut planted = Planted { choice: Vec::new(), bound: 0, prices };
    for met in 0..=paths {
        planted.bound = 0;
        planted.choice.clear();
        for (step, allowed) in allowed.iter().enumerate() {
            let share = if met == 0 { paths / 2 } else { times[step] * paths / met };
            let score = |&option: &usize| {
                let of = |read| i128::from(figure(problem, step, option, read));
                UNIT * of(Figure::Cost)
                    + prices[0] * of(Figure::Energy)
                    + prices[1] * of(Figure::Loss)
                    + prices[2] * share * of(Figure::Latency) / paths
            };
            let best = allowed.iter().map(|option| (score(option), *option)).min().unwrap_or_default();
            planted.bound += best.0;
            planted.choice.push(best.1);
        }
        if met < paths {
            let on = longest(problem, &planted.choice).1;
            times.iter_mut().zip(on).for_each(|(times, on)| *times += i128::from(on));
        }
    }
    planted
}

/// The rungs of the ladder on which prices are looked for; each is half as much again as the one below.
const RUNGS: u32 = 48;

/// The cheapest plan at the lowest prices at which energy, loss and latency come to `share` of the way from their best to their worst.
fn plant(problem: &Problem, allowed: &Allowed, priced: &[Figure], share: f64) -> Planted {
    let cost = |choice: &[usize]| i128::from(sum(problem, choice, Figure::Cost));
    let worst = cheapest(problem, allowed, [0; 3]).choice;
    // What each figure may come to, and what a unit of it costs on the whole way there.
    let (mut most, mut unit) = ([0; 3], [0; 3]);
    let places = (0..PRICED.len()).filter(|&place| priced.contains(&PRICED[place]));
    for place in places.clone() {
        let figure = PRICED[place];
        let mut prices = [0; 3];
        prices[place] = UNIT << 40;
        let best = cheapest(problem, allowed, prices).choice;
        let (low, high) = (total(problem, &best, figure), total(problem, &worst, figure));
        most[place] = low + round((high - low).max(0) as f64 * share);
        unit[place] = UNIT * (cost(&best) - cost(&worst)).max(1) / i128::from((high - low).max(1));
    }
    let mut prices = [0; 3];
    for _ in 0..3 {
        for place in places.clone().rev() {
            let at = |rung| {
                let mut tried = prices;
                tried[place] = price(unit[place], rung);
                tried
            };
            let value = |rung| total(problem, &cheapest(problem, allowed, at(rung)).choice, PRICED[place]);
            prices = at(lowest(|rung| value(rung) <= most[place]));
        }
    }
    cheapest(problem, allowed, prices)
}

/// What a plan comes to: along the longest path for latency.
fn total(problem: &Problem, choice: &[usize], figure: Figure) -> i64 {
    if figure == Figure::Latency { longest(problem, choice).0 } else { sum(problem, choice, figure) }
}

/// The price on a rung of the ladder: 0, then from a 16,000th of the middle upwards.
fn price(middle: i128, rung: u32) -> i128 {
    let mut price = (middle >> 14).max(1);
    (1..rung).for_each(|_| price += price / 2 + 1);
    if rung == 0 { 0 } else { price }
}

/// The lowest rung that is enough, or the highest.
fn lowest(enough: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, RUNGS);
    while low < high {
        let middle = low.midpoint(high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Gives a problem its clauses, pools and instance capacities, all of which the planted plan keeps.
pub fn limit(problem: &mut Problem, recipe: &Recipe, ancestors: &[Vec<bool>], rng: &mut Rng) {
    let allowed = allowed(problem, rng);
    let share = if recipe.tightness == Tightness::Loose { 0.7 } else { 0.25 };
    // Energy and cost move together in profiles: a price on energy would leave nothing to trade.
    let priced = if recipe.kind == Kind::Adversarial { &PRICED[..] } else { &PRICED[1..] };
    let planted = plant(problem, &allowed, priced, share);
    let choice = &planted.choice;
    // A little more than the planted plan needs, so that the relaxation's plan is none. Where the bound is to be broken it is sharp.
    let most = if recipe.tightness == Tightness::Infeasible { 0.0 } else { 0.02 };
    let room = |value: i64, rng: &mut Rng| value + round(value as f64 * rng.between(most / 10.0, most));
    let time = room(longest(problem, choice).0, rng);
    let loss = room(sum(problem, choice, Figure::Loss), rng);
    let energy = room(sum(problem, choice, Figure::Energy), rng);
    for (step, &option) in choice.iter().enumerate() {
        let Choice { instance, load, .. } = problem.steps[step].choices[option];
        if let Some(shared) = instance.and_then(|instance| problem.instances.get_mut(instance)) {
            shared.capacity = Some(shared.capacity.unwrap_or(0) + load);
        }
    }
    let total: i64 = problem.instances.iter().filter_map(|instance| instance.capacity).sum();
    let opened = problem.instances.iter().filter(|instance| instance.capacity.is_some()).count().max(1) as i64;
    let energy = energy
        + problem
            .instances
            .iter()
            .filter(|i| i.capacity.is_some())
            .map(|i| i.figures[Figure::Energy.index()])
            .sum::<i64>();
    let held: i64 =
        problem.instances.iter().filter(|i| i.capacity.is_some()).flat_map(|i| &i.uses).map(|used| used.1).sum();
    for instance in &mut problem.instances {
        instance.capacity =
            Some(instance.capacity.unwrap_or(0).max(round(total as f64 / opened as f64 * rng.between(0.5, 1.5))));
    }
    if !problem.instances.is_empty() {
        problem.capacities.push(Capacity { units: held, together: vec![(0..recipe.steps).collect()] });
    } else if recipe.pools {
        let together = antichains(ancestors, rng);
        let uses =
            |&step: &usize| problem.steps[step].choices[choice[step]].uses.iter().map(|used| used.1).sum::<i64>();
        let units = together.iter().map(|set| set.iter().map(uses).sum()).max().unwrap_or(0);
        problem.capacities.push(Capacity { units, together });
    }
    let mut at_most =
        |figure, over, limit| problem.clauses.push(Clause { bound: Bound::AtMost { figure, over, limit } });
    at_most(Figure::Latency, Aggregate::Path, time);
    at_most(Figure::Loss, Aggregate::Sum, loss);
    if recipe.tightness != Tightness::Loose {
        at_most(Figure::Energy, Aggregate::Sum, energy);
    }
    if recipe.tightness == Tightness::Infeasible {
        let all: Allowed = problem.steps.iter().map(|step| (0..step.choices.len()).collect()).collect();
        let Planted { bound, prices, .. } = cheapest(problem, &all, planted.prices);
        let paid: i128 = [energy, loss, time].iter().zip(prices).map(|(&limit, price)| i128::from(limit) * price).sum();
        let limit = (bound - paid).div_euclid(UNIT) - 1;
        let limit = i64::try_from(limit.max(0)).unwrap_or(0);
        problem.clauses.push(Clause { bound: Bound::AtMost { figure: Figure::Cost, over: Aggregate::Sum, limit } });
    }
    for _ in 0..recipe.sides {
        let clause = side(problem, choice, rng);
        problem.clauses.push(clause);
    }
}

/// Settles the knobs and the instances that the planted plan may use, at random, and says which options that leaves.
fn allowed(problem: &Problem, rng: &mut Rng) -> Allowed {
    let open: Vec<bool> = problem.instances.iter().map(|_| rng.below(5) < 2).collect();
    let (mut classes, mut allowed) = (Vec::new(), Vec::new());
    for step in &problem.steps {
        let fits = |choice: &Choice| choice.needs.iter().all(|&(up, class)| classes.get(up) == Some(&class));
        let fitting: Vec<usize> = (0..step.choices.len()).filter(|&o| fits(&step.choices[o])).collect();
        let is_open = |o: &usize| step.choices[*o].instance.is_none_or(|instance| open[instance]);
        let opened: Vec<usize> = fitting.iter().copied().filter(is_open).collect();
        let mut left = if opened.is_empty() { fitting } else { opened };
        let class = left.get(rng.below(left.len().max(1))).map_or(0, |&o| step.choices[o].class);
        if problem.steps.iter().flat_map(|s| &s.choices).any(|c| c.needs.iter().any(|need| need.0 == classes.len())) {
            left.retain(|&o| step.choices[o].class == class);
        }
        classes.push(class);
        allowed.push(left);
    }
    allowed
}

/// Sets of steps none of which waits for another, one around each step, as wide as taking them in a random order makes them.
fn antichains(ancestors: &[Vec<bool>], rng: &mut Rng) -> Vec<Vec<usize>> {
    let mut sets = Vec::new();
    for start in 0..ancestors.len() {
        let mut set = vec![start];
        let turn = rng.below(ancestors.len());
        for step in (turn..ancestors.len()).chain(0..turn) {
            if set.iter().all(|&other| other != step && !ancestors[other][step] && !ancestors[step][other]) {
                set.push(step);
            }
        }
        set.sort_unstable();
        sets.push(set);
    }
    sets.sort_unstable();
    sets.dedup();
    sets
}

/// Asks that one of two or three steps takes one of about a quarter of its options; the plan keeps it.
fn side(problem: &Problem, choice: &[usize], rng: &mut Rng) -> Clause {
    let mut any: Vec<(usize, Vec<usize>)> = Vec::new();
    for _ in 0..2 + rng.below(2) {
        let step = rng.below(choice.len());
        if any.iter().all(|(other, _)| *other != step) {
            let options = (0..problem.steps[step].choices.len()).filter(|_| rng.below(4) == 0).collect();
            any.push((step, options));
        }
    }
    if !any.iter().any(|(step, options)| options.contains(&choice[*step])) {
        let (step, options) = &mut any[0];
        options.push(choice[*step]);
        options.sort_unstable();
    }
    Clause { bound: Bound::AnyOf(any) }
}
