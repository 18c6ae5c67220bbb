//! A [`Problem`] -> a [`Space`]: checked, its dominated options dropped, its classes numbered; or words on what is malformed.
//!
//! What is dropped here is dropped for every subset of the clauses and for every wish of the problem, so that the search,
//! z3 and the explanation of a conflict all work on the same space.
//!
//! An instance becomes one more step with two columns, closed (class 0) and open (class 1). Using it assumes that it is open,
//! which is a coupling like any other, so that nothing else needs to know instances.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use petgraph::algo::toposort;
use petgraph::graph::DiGraph;

use super::dominance::Keys;
use super::levels::Sets;
use super::problem::{Aggregate, Choice, FIGURES, Figure, Figures, Problem};
use super::validate::validate;

/// Marks an option that assumes nothing of the other step.
pub const ANY: u32 = u32::MAX;

/// The class of the column of an instance that is there.
pub const OPEN: u32 = 1;

/// A checked problem. A *column* is an option that is left; the columns of a step are consecutive.
#[derive(Clone)]
pub struct Space<'p> {
    /// The problem as stated.
    pub problem: &'p Problem,
    /// The steps in topological order, then the instances.
    pub order: Vec<usize>,
    /// The direct predecessors of each step.
    pub before: Vec<Vec<usize>>,
    /// The direct successors of each step.
    pub after: Vec<Vec<usize>>,
    /// The first column of each step, and the number of columns at the end.
    pub start: Vec<usize>,
    /// The step of each column.
    pub step: Vec<usize>,
    /// The option of each column, as an index into the step's choices; 0 or 1 for an instance that is closed or open.
    pub option: Vec<usize>,
    /// The class of each column, numbered from 0 within its step.
    pub class: Vec<u32>,
    /// Which steps assume classes of which others.
    pub couplings: Vec<Coupling>,
    /// The instances that became steps: that of step `problem.steps.len()` first.
    pub instances: Vec<usize>,
    /// The sets of steps that thick paths are made of, found when they are first asked for.
    sets: Arc<OnceLock<Sets>>,
    /// The figures along a path, one list of columns per figure; 0 for instances.
    along: [Vec<i64>; FIGURES],
    /// The figures in a sum, where instances have any; otherwise those along a path.
    sums: Option<[Vec<i64>; FIGURES]>,
}

/// The options of `down` assume classes of `up`.
#[derive(Clone)]
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

    /// The figure of a column along a path, or on its own; 0 for an instance.
    pub fn figure(&self, column: usize, figure: Figure) -> i64 {
        self.along[figure.index()][column]
    }

    /// The figure of a column in a sum.
    pub fn sum(&self, column: usize, figure: Figure) -> i64 {
        self.sums.as_ref().unwrap_or(&self.along)[figure.index()][column]
    }

    /// The steps of the problem, without the instances.
    pub fn stated(&self) -> usize {
        self.problem.steps.len()
    }

    /// The option of a column; `None` for an instance.
    pub fn choice(&self, column: usize) -> Option<&Choice> {
        self.problem.steps.get(self.step[column])?.choices.get(self.option[column])
    }

    /// The units of a resource that a column holds.
    pub fn units(&self, column: usize, resource: usize) -> i64 {
        let uses = match self.choice(column) {
            Some(choice) => &choice.uses,
            None if self.class[column] == OPEN => {
                &self.problem.instances[self.instances[self.step[column] - self.stated()]].uses
            }
            None => return 0,
        };
        uses.iter().filter(|used| used.0 == resource).map(|used| used.1).sum()
    }

    /// The option of each step, of one column per step and instance.
    pub fn choices(&self, columns: &[u32]) -> Vec<usize> {
        columns[..self.stated()].iter().map(|&column| self.option[column as usize]).collect()
    }

    /// Closes the instances that no column uses.
    pub fn close(&self, columns: &mut [u32]) {
        for step in self.stated()..self.start.len() - 1 {
            let used = |coupling: &Coupling| {
                coupling.up == step && coupling.need[columns[coupling.down] as usize - self.start[coupling.down]] != ANY
            };
            if !self.couplings.iter().any(used) {
                columns[step] = self.start[step] as u32;
            }
        }
    }

    /// The sets of steps that thick paths are made of.
    pub fn sets(&self) -> &Sets {
        self.sets.get_or_init(|| Sets::new(self))
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

/// Checks the problem and drops what can never be needed; `asked` are figures that only later questions will read.
pub fn reduce<'p>(problem: &'p Problem, asked: &[Figure]) -> Result<Space<'p>, String> {
    validate(problem)?;
    let order = order(problem)?;
    let steps = problem.steps.len();
    let (mut before, mut after) = (vec![Vec::new(); steps], vec![Vec::new(); steps]);
    for &(from, to) in &problem.edges {
        before[to].push(from);
        after[from].push(to);
    }
    let numbering = number_classes(problem);
    let keys = Keys::new(problem, asked);
    let mut space = Space {
        problem,
        order,
        before,
        after,
        start: vec![0],
        step: Vec::new(),
        option: Vec::new(),
        class: Vec::new(),
        couplings: Vec::new(),
        instances: Vec::new(),
        sets: Arc::default(),
        along: Default::default(),
        sums: None,
    };
    for (s, stated) in problem.steps.iter().enumerate() {
        for o in keys.undominated(s) {
            let choice = &stated.choices[o];
            space.push(s, o, numbering[s].get(&choice.class).copied().unwrap_or(0), &choice.figures);
        }
        space.start.push(space.step.len());
    }
    space.couplings = couplings(problem, &space.start, &space.option, &numbering);
    space.add_instances();
    Ok(space)
}

impl Space<'_> {
    fn push(&mut self, step: usize, option: usize, class: u32, figures: &Figures) {
        self.step.push(step);
        self.option.push(option);
        self.class.push(class);
        self.along.iter_mut().zip(figures).for_each(|(list, &value)| list.push(value));
    }

    /// Makes a step of every instance that an option uses and that is not free of charge.
    fn add_instances(&mut self) {
        let mut users: BTreeMap<usize, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
        for column in 0..self.columns() {
            for instance in self.choice(column).into_iter().flat_map(Choice::instances) {
                users.entry(instance).or_default().entry(self.step[column]).or_default().push(column);
            }
        }
        users.retain(|&instance, _| {
            let stated = &self.problem.instances[instance];
            stated.capacity.is_some() || stated.figures != [0; FIGURES] || stated.uses.iter().any(|used| used.1 > 0)
        });
        if users.is_empty() {
            return;
        }
        let mut sums = self.along.clone();
        for (instance, users) in users {
            let up = self.start.len() - 1;
            let figures = &self.problem.instances[instance].figures;
            for (class, figures) in [(0, &[0; FIGURES]), (OPEN, figures)] {
                self.push(up, class as usize, class, &[0; FIGURES]);
                sums.iter_mut().zip(figures).for_each(|(list, &value)| list.push(value));
            }
            self.start.push(self.columns());
            self.order.push(up);
            self.before.push(Vec::new());
            self.after.push(Vec::new());
            self.instances.push(instance);
            for (down, columns) in users {
                let first = self.start[down];
                let mut need = vec![ANY; self.start[down + 1] - first];
                columns.iter().for_each(|column| need[column - first] = OPEN);
                self.couplings.push(Coupling { up, down, classes: 2, need });
            }
        }
        self.sums = Some(sums);
    }

    /// The space with the columns that pass; `original` of a column that is left is its number here.
    pub fn restrict(&self, keep: &[u32]) -> Self {
        let mut space = self.clone();
        let pick = |list: &[i64]| keep.iter().map(|&column| list[column as usize]).collect::<Vec<i64>>();
        space.step = keep.iter().map(|&column| self.step[column as usize]).collect();
        space.option = keep.iter().map(|&column| self.option[column as usize]).collect();
        space.class = keep.iter().map(|&column| self.class[column as usize]).collect();
        space.along = std::array::from_fn(|figure| pick(&self.along[figure]));
        space.sums = self.sums.as_ref().map(|sums| std::array::from_fn(|figure| pick(&sums[figure])));
        space.start = vec![0];
        space.start.extend((0..self.start.len() - 1).map(|s| space.step.partition_point(|&step| step <= s)));
        for (old, new) in self.couplings.iter().zip(&mut space.couplings) {
            let columns = &keep[space.start[old.down]..space.start[old.down + 1]];
            new.need = columns.iter().map(|&column| old.need[column as usize - self.start[old.down]]).collect();
        }
        space
    }
}

/// The steps in topological order, or words on a cycle.
pub fn order(problem: &Problem) -> Result<Vec<usize>, String> {
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

/// The aggregate of one figure over one column per step and instance.
pub fn value(space: &Space, columns: &[u32], figure: Figure, over: Aggregate) -> i64 {
    let own = columns.iter().map(|&column| space.figure(column as usize, figure));
    match over {
        Aggregate::Sum => columns.iter().map(|&column| space.sum(column as usize, figure)).sum(),
        Aggregate::Max => own.max().unwrap_or(0),
        Aggregate::Path => space.longest(&own.collect::<Vec<i64>>()).0,
    }
}
