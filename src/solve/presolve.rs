//! A [`Problem`] -> a [`Space`]: checked, its dominated options dropped, its classes numbered; or words on what is malformed.
//!
//! What is dropped here is dropped for every subset of the clauses and for every wish of the problem, so that the search,
//! z3 and the explanation of a conflict all work on the same space.

use std::collections::BTreeMap;

use petgraph::algo::toposort;
use petgraph::graph::DiGraph;

use super::problem::{Aggregate, Bound, Choice, Figure, Problem};

/// Totals above this are refused, so that sums fit in `i64` and sums of priced figures in `i128`.
pub const HUGE: i128 = 1 << 50;

/// Marks an option that assumes nothing of the other step.
pub const ANY: u32 = u32::MAX;

/// A checked problem. A *column* is an option that is left; the columns of a step are consecutive.
pub struct Space<'p> {
    /// The problem as stated.
    pub problem: &'p Problem,
    /// The steps in topological order.
    pub order: Vec<usize>,
    /// The direct predecessors of each step.
    pub before: Vec<Vec<usize>>,
    /// The direct successors of each step.
    pub after: Vec<Vec<usize>>,
    /// The first column of each step, and the number of columns at the end.
    pub start: Vec<usize>,
    /// The step of each column.
    pub step: Vec<usize>,
    /// The option of each column, as an index into the step's choices.
    pub option: Vec<usize>,
    /// The class of each column, numbered from 0 within its step.
    pub class: Vec<u32>,
    /// Which steps assume classes of which others.
    pub couplings: Vec<Coupling>,
}

/// The options of `down` assume classes of `up`.
pub struct Coupling {
    /// The step that is assumed about.
    pub up: usize,
    /// The step whose options assume.
    pub down: usize,
    /// How many classes `up` has.
    pub classes: usize,
    /// The class that each column of `down` assumes, or [`ANY`].
    pub need: Vec<u32>,
}

impl Space<'_> {
    /// The columns in all.
    pub fn columns(&self) -> usize {
        self.step.len()
    }

    /// The figure of a column.
    pub fn figure(&self, column: usize, figure: Figure) -> i64 {
        self.choice(column).figures[figure.index()]
    }

    /// The option of a column.
    pub fn choice(&self, column: usize) -> &Choice {
        &self.problem.steps[self.step[column]].choices[self.option[column]]
    }

    /// The heaviest path for one weight per step, and its steps.
    pub fn longest<W: Copy + PartialOrd + std::ops::Add<Output = W> + Default>(&self, weight: &[W]) -> (W, Vec<usize>) {
        let mut finish = vec![W::default(); weight.len()];
        let mut from = vec![None; weight.len()];
        let mut last: Option<usize> = None;
        for &step in &self.order {
            for &before in &self.before[step] {
                if from[step].is_none_or(|best: usize| finish[before] > finish[best]) {
                    from[step] = Some(before);
                }
            }
            finish[step] = weight[step] + from[step].map_or(W::default(), |before| finish[before]);
            if last.is_none_or(|best| finish[step] > finish[best]) {
                last = Some(step);
            }
        }
        let Some(end) = last else {
            return (W::default(), Vec::new());
        };
        let mut path = vec![end];
        let mut at = end;
        while let Some(before) = from[at] {
            path.push(before);
            at = before;
        }
        path.reverse();
        (finish[end], path)
    }
}

/// Checks the problem and drops what can never be needed.
pub fn reduce(problem: &Problem) -> Result<Space<'_>, String> {
    validate(problem)?;
    let order = order(problem)?;
    let steps = problem.steps.len();
    let (mut before, mut after) = (vec![Vec::new(); steps], vec![Vec::new(); steps]);
    for &(from, to) in &problem.edges {
        before[to].push(from);
        after[from].push(to);
    }
    let numbering = number_classes(problem);
    let keys = Keys::new(problem);
    let (mut start, mut step, mut option, mut class) = (vec![0], Vec::new(), Vec::new(), Vec::new());
    for (s, stated) in problem.steps.iter().enumerate() {
        for o in undominated(&stated.choices, s, &keys) {
            step.push(s);
            option.push(o);
            class.push(numbering[s].get(&stated.choices[o].class).copied().unwrap_or(0));
        }
        start.push(step.len());
    }
    let couplings = couplings(problem, &start, &option, &numbering);
    Ok(Space { problem, order, before, after, start, step, option, class, couplings })
}

fn validate(problem: &Problem) -> Result<(), String> {
    if !problem.instances.is_empty() || problem.clauses.iter().any(|c| matches!(c.bound, Bound::AnyOf(_))) {
        return Err("shared instances and clauses over several steps are not solved yet".to_owned());
    }
    let steps = problem.steps.len();
    let mut totals = vec![0i128; Figure::ALL.len() + problem.capacities.len()];
    for (s, step) in problem.steps.iter().enumerate() {
        let mut most = vec![0i128; totals.len()];
        for (o, choice) in step.choices.iter().enumerate() {
            let mut held = vec![0i128; problem.capacities.len()];
            for &(resource, units) in &choice.uses {
                let Some(sum) = held.get_mut(resource) else {
                    return Err(format!("step {s}, option {o}: there is no resource {resource}"));
                };
                if units < 0 {
                    return Err(format!("step {s}, option {o}: holds {units} units of resource {resource}"));
                }
                *sum += i128::from(units);
            }
            for figure in Figure::ALL {
                let value = choice.figures[figure.index()];
                if value < 0 {
                    return Err(format!("step {s}, option {o}: {figure:?} is negative ({value})"));
                }
                most[figure.index()] = most[figure.index()].max(i128::from(value));
            }
            for (resource, &sum) in held.iter().enumerate() {
                let place = Figure::ALL.len() + resource;
                most[place] = most[place].max(sum);
            }
            if let Some(&(other, _)) = choice.needs.iter().find(|need| need.0 >= steps) {
                return Err(format!("step {s}, option {o}: assumes something of step {other}, which does not exist"));
            }
            for &clause in &choice.breaks {
                if !matches!(problem.clauses.get(clause).map(|c| &c.bound), Some(Bound::Rule)) {
                    return Err(format!("step {s}, option {o}: breaks clause {clause}, which is no rule"));
                }
            }
        }
        totals.iter_mut().zip(&most).for_each(|(total, most)| *total += most);
    }
    if let Some(place) = totals.iter().position(|&total| total > HUGE) {
        return Err(match Figure::ALL.get(place) {
            Some(figure) => format!("the largest {figure:?} figures add up to more than 2^50"),
            None => format!("the largest uses of resource {} add up to more than 2^50", place - Figure::ALL.len()),
        });
    }
    if let Some(&(from, to)) = problem.edges.iter().find(|edge| edge.0 >= steps || edge.1 >= steps) {
        return Err(format!("edge {from} -> {to}: there are only {steps} steps"));
    }
    for (resource, capacity) in problem.capacities.iter().enumerate() {
        if let Some(step) = capacity.together.iter().flatten().find(|&&step| step >= steps) {
            return Err(format!("resource {resource} is held by step {step}, which does not exist"));
        }
    }
    Ok(())
}

fn order(problem: &Problem) -> Result<Vec<usize>, String> {
    let mut graph = DiGraph::<(), ()>::new();
    let nodes: Vec<_> = problem.steps.iter().map(|_| graph.add_node(())).collect();
    for &(from, to) in &problem.edges {
        graph.add_edge(nodes[from], nodes[to], ());
    }
    match toposort(&graph, None) {
        Ok(order) => Ok(order.into_iter().map(|node| node.index()).collect()),
        Err(cycle) => Err(format!("the edges run in a cycle through step {}", cycle.node_id().index())),
    }
}

/// For each step, its classes that matter to another step, numbered; the rest count as one more class.
fn number_classes(problem: &Problem) -> Vec<BTreeMap<u32, u32>> {
    let mut numbering = vec![BTreeMap::new(); problem.steps.len()];
    for &(of, class) in problem.steps.iter().flat_map(|step| &step.choices).flat_map(|choice| &choice.needs) {
        numbering[of].insert(class, 0);
    }
    for classes in &mut numbering {
        classes.values_mut().zip(1..).for_each(|(number, next)| *number = next);
    }
    numbering
}

/// What two options must share to be compared by their figures alone.
struct Keys {
    /// The figures that a clause or wish reads.
    figures: Vec<Figure>,
    /// The steps whose class another step assumes.
    assumed: Vec<bool>,
    /// The steps that a resource counts, per resource.
    counted: Vec<Vec<bool>>,
}

impl Keys {
    fn new(problem: &Problem) -> Self {
        let bounded = problem.clauses.iter().filter_map(|clause| match clause.bound {
            Bound::AtMost { figure, .. } => Some(figure),
            Bound::Rule | Bound::AnyOf(_) => None,
        });
        let mut figures: Vec<Figure> = bounded.chain(problem.wishes.iter().map(|wish| wish.figure)).collect();
        figures.sort_unstable();
        figures.dedup();
        let steps = problem.steps.len();
        let mut assumed = vec![false; steps];
        for &(of, _) in problem.steps.iter().flat_map(|step| &step.choices).flat_map(|choice| &choice.needs) {
            assumed[of] = true;
        }
        let mut counted = vec![vec![false; steps]; problem.capacities.len()];
        for (counts, capacity) in counted.iter_mut().zip(&problem.capacities) {
            capacity.together.iter().flatten().for_each(|&step| counts[step] = true);
        }
        Keys { figures, assumed, counted }
    }

    fn key(&self, step: usize, choice: &Choice) -> Key {
        let mut uses: BTreeMap<usize, i64> = BTreeMap::new();
        for &(resource, units) in choice.uses.iter().filter(|used| used.1 > 0 && self.counted[used.0][step]) {
            *uses.entry(resource).or_default() += units;
        }
        let class = if self.assumed[step] { choice.class } else { 0 };
        let (mut needs, mut breaks) = (choice.needs.clone(), choice.breaks.clone());
        needs.sort_unstable();
        needs.dedup();
        breaks.sort_unstable();
        breaks.dedup();
        (uses.into_iter().collect(), class, needs, breaks)
    }
}

type Key = (Vec<(usize, i64)>, u32, Vec<(usize, u32)>, Vec<usize>);

/// The options that no other one replaces, ascending. Of equal ones the first stays. An option that contradicts itself goes.
fn undominated(choices: &[Choice], step: usize, keys: &Keys) -> Vec<usize> {
    let mut groups: BTreeMap<Key, Vec<(Vec<i64>, usize)>> = BTreeMap::new();
    for (o, choice) in choices.iter().enumerate() {
        let (uses, class, needs, breaks) = keys.key(step, choice);
        let two_classes = needs.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if two_classes || needs.iter().any(|&(of, need)| of == step && need != choice.class) {
            continue;
        }
        let figures = keys.figures.iter().map(|figure| choice.figures[figure.index()]).collect();
        groups.entry((uses, class, needs, breaks)).or_default().push((figures, o));
    }
    let mut kept = Vec::new();
    for mut group in groups.into_values() {
        // In lexicographic order only an earlier option can dominate a later one.
        group.sort_unstable();
        let mut front: Vec<(Vec<i64>, usize)> = Vec::new();
        for (figures, o) in group {
            if !front.iter().any(|(other, _)| other.iter().zip(&figures).all(|(a, b)| a <= b)) {
                front.push((figures, o));
            }
        }
        kept.extend(front.into_iter().map(|(_, o)| o));
    }
    kept.sort_unstable();
    kept
}

fn couplings(problem: &Problem, start: &[usize], option: &[usize], numbering: &[BTreeMap<u32, u32>]) -> Vec<Coupling> {
    let mut found: BTreeMap<(usize, usize), Vec<u32>> = BTreeMap::new();
    for (down, step) in problem.steps.iter().enumerate() {
        let columns = start[down]..start[down + 1];
        for (place, column) in columns.clone().enumerate() {
            // What an option assumes of its own step is settled when the space is reduced.
            for &(up, class) in step.choices[option[column]].needs.iter().filter(|need| need.0 != down) {
                let need = found.entry((up, down)).or_insert_with(|| vec![ANY; columns.len()]);
                need[place] = numbering[up].get(&class).copied().unwrap_or(0);
            }
        }
    }
    let coupling = |((up, down), need)| Coupling { up, down, classes: numbering[up].len() + 1, need };
    found.into_iter().map(coupling).collect()
}

/// The aggregate of one figure over one column per step.
pub fn value(space: &Space, columns: &[u32], figure: Figure, over: Aggregate) -> i64 {
    let weights: Vec<i64> = columns.iter().map(|&column| space.figure(column as usize, figure)).collect();
    match over {
        Aggregate::Sum => weights.iter().sum(),
        Aggregate::Max => weights.iter().copied().max().unwrap_or(0),
        Aggregate::Path => space.longest(&weights).0,
    }
}
