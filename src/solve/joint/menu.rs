//! A job -> its menu: the options that some plan could use, and its clauses as rows, made for solving it again and again
//! at changing prices.

use super::problem::Job;
use crate::solve::problem::{Aggregate, Bound};

/// No kind.
pub const OWN: u32 = u32::MAX;

/// An option that is left.
#[derive(Clone, Debug)]
pub struct Dish {
    /// Its index in the problem.
    pub option: u32,
    /// What it costs beside replicas.
    pub fee: i64,
    /// The kind that carries it, or [`OWN`].
    pub kind: u32,
    /// What it puts on that kind.
    pub load: i64,
    /// What downstream steps see of it.
    pub class: u32,
    /// The classes of other steps that it assumes, steps by their place in the menu.
    pub needs: Vec<(u32, u32)>,
    /// By row: what it takes of the limit.
    pub takes: Vec<i64>,
    /// By clause that asks for one of several options: whether it is one.
    pub serves: Vec<bool>,
}

/// A clause over all steps.
#[derive(Clone, Debug)]
pub struct Row {
    /// What steps may take in all.
    pub limit: i64,
    /// Whether that is along any path, not in sum.
    pub path: bool,
}

/// A job, made for solving again and again.
#[derive(Clone, Debug)]
pub struct Menu {
    /// Options by step; steps stand in topological order.
    pub steps: Vec<Vec<Dish>>,
    /// The step of the problem at each place.
    pub order: Vec<usize>,
    /// By place: the places before it.
    pub before: Vec<Vec<u32>>,
    /// By place: the places after it.
    pub after: Vec<Vec<u32>>,
    /// The clauses.
    pub rows: Vec<Row>,
    /// How many clauses ask for one of several options.
    pub any_of: usize,
    /// Whether options assume classes of other steps.
    pub coupled: bool,
}

/// Makes the menu of a job; `None` where a step has no option left or the edges are no DAG.
pub fn menu(job: &Job) -> Option<Menu> {
    let problem = &job.problem;
    let order = topological(problem.steps.len(), &problem.edges)?;
    let mut place = vec![0u32; order.len()];
    order.iter().enumerate().for_each(|(at, step)| place[*step] = at as u32);
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    let mut single = Vec::new();
    let mut any_of = Vec::new();
    for clause in &problem.clauses {
        match &clause.bound {
            &Bound::AtMost { figure, over: Aggregate::Max, limit } => single.push((figure, limit)),
            &Bound::AtMost { figure, over, limit } => {
                rows.push(Row { limit, path: over == Aggregate::Path });
                figures.push(figure);
            }
            Bound::Rule => {}
            Bound::AnyOf(any) => any_of.push(any),
        }
    }
    if rows.iter().any(|row| row.limit < 0) || single.iter().any(|(_, limit)| *limit < 0) {
        return None;
    }
    let mut steps = Vec::with_capacity(order.len());
    for &step in &order {
        let mut dishes = Vec::new();
        for (option, choice) in problem.steps[step].choices.iter().enumerate() {
            let value = |figure: crate::solve::problem::Figure| choice.figures[figure.index()];
            if !choice.breaks.is_empty() || single.iter().any(|(figure, limit)| value(*figure) > *limit) {
                continue;
            }
            let takes: Vec<i64> = figures.iter().map(|figure| value(*figure)).collect();
            if takes.iter().zip(&rows).any(|(takes, row)| *takes > row.limit) {
                continue;
            }
            dishes.push(Dish {
                option: option as u32,
                fee: job.fees[step][option],
                kind: choice.instance.map_or(OWN, |kind| kind as u32),
                load: choice.load,
                class: choice.class,
                needs: choice.needs.iter().map(|(of, class)| (place[*of], *class)).collect(),
                takes,
                serves: any_of
                    .iter()
                    .map(|any| any.iter().any(|(at, options)| *at == step && options.contains(&option)))
                    .collect(),
            });
        }
        let kept = undominated(dishes);
        if kept.is_empty() {
            return None;
        }
        steps.push(kept);
    }
    let (mut before, mut after) = (vec![Vec::new(); order.len()], vec![Vec::new(); order.len()]);
    for &(from, to) in &problem.edges {
        before[place[to] as usize].push(place[from]);
        after[place[from] as usize].push(place[to]);
    }
    let coupled = steps.iter().flatten().any(|dish| !dish.needs.is_empty());
    Some(Menu { steps, order, before, after, rows, any_of: any_of.len(), coupled })
}

/// Drops what another option beats whatever the prices: on the same kind (or on none), with the same coupling.
fn undominated(dishes: Vec<Dish>) -> Vec<Dish> {
    let beats = |a: &Dish, b: &Dish| {
        (a.kind == b.kind || a.kind == OWN)
            && (a.kind != b.kind || a.load <= b.load)
            && a.fee <= b.fee
            && (a.class, &a.needs, &a.serves) == (b.class, &b.needs, &b.serves)
            && a.takes.iter().zip(&b.takes).all(|(a, b)| a <= b)
    };
    let mut kept: Vec<Dish> = Vec::with_capacity(dishes.len());
    for dish in dishes {
        if !kept.iter().any(|other| beats(other, &dish)) {
            kept.retain(|other| !beats(&dish, other));
            kept.push(dish);
        }
    }
    kept
}

fn topological(steps: usize, edges: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut waits = vec![0usize; steps];
    edges.iter().for_each(|edge| waits[edge.1] += 1);
    let mut ready: std::collections::BTreeSet<usize> = (0..steps).filter(|s| waits[*s] == 0).collect();
    let mut order = Vec::with_capacity(steps);
    while let Some(step) = ready.pop_first() {
        order.push(step);
        for edge in edges.iter().filter(|edge| edge.0 == step) {
            waits[edge.1] -= 1;
            if waits[edge.1] == 0 {
                ready.insert(edge.1);
            }
        }
    }
    (order.len() == steps).then_some(order)
}
