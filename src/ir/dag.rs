//! Workflow → DAG of its steps: who waits for whom, the critical path, who may run at once.

use super::workflow::{Node, Operand, Region, ValueId};
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};

/// The steps as a DAG; node weights are step indices.
#[derive(Clone, Debug)]
pub struct Dag {
    graph: DiGraph<usize, ()>,
    reach: Vec<BTreeSet<usize>>,
    results: BTreeSet<usize>,
    /// Pairs of steps of which one runs at a time, though neither waits for the other.
    apart: BTreeSet<(usize, usize)>,
}

impl Dag {
    /// The DAG of a body with so many steps.
    pub fn of(body: &Region, steps: usize) -> Dag {
        let mut edges = BTreeSet::new();
        let mut producers = Producers::default();
        let results = walk(body, &BTreeSet::new(), &mut producers, &mut edges);
        let mut apart = BTreeSet::new();
        ways_apart(body, &mut apart);
        Dag { results, apart, ..Dag::from_edges(steps, &edges.into_iter().collect::<Vec<_>>()) }
    }

    /// A DAG with these edges; an edge that would close a cycle is left out (a body has none).
    pub fn from_edges(steps: usize, edges: &[(usize, usize)]) -> Dag {
        let mut graph = DiGraph::new();
        let nodes: Vec<NodeIndex> = (0..steps).map(|i| graph.add_node(i)).collect();
        for (a, b) in edges {
            if a < b && *b < steps {
                graph.add_edge(nodes[*a], nodes[*b], ());
            }
        }
        let mut reach = vec![BTreeSet::new(); steps];
        for node in toposort(&graph, None).unwrap_or_default().into_iter().rev() {
            let mut set = BTreeSet::new();
            for next in graph.neighbors(node) {
                set.insert(next.index());
                set.extend(reach[next.index()].iter().copied());
            }
            reach[node.index()] = set;
        }
        Dag { graph, reach, results: BTreeSet::new(), apart: BTreeSet::new() }
    }

    /// The steps that the body's result is made of or waits for directly; none for a DAG that was made from edges.
    pub fn results(&self) -> &BTreeSet<usize> {
        &self.results
    }

    /// The steps that wait for a step, directly or not.
    pub fn after(&self, step: usize) -> &BTreeSet<usize> {
        &self.reach[step]
    }

    /// `(before, after)`, sorted.
    pub fn edges(&self) -> Vec<(usize, usize)> {
        let mut edges: Vec<_> =
            self.graph.raw_edges().iter().map(|e| (e.source().index(), e.target().index())).collect();
        edges.sort_unstable();
        edges
    }

    /// The largest sum of weights along a path, and the path.
    pub fn longest<T>(&self, weight: &dyn Fn(usize) -> T) -> (T, Vec<usize>)
    where
        T: Copy + PartialOrd + std::ops::Add<Output = T> + Default,
    {
        let mut best: Vec<(T, Option<usize>)> = vec![(T::default(), None); self.reach.len()];
        let mut end: Option<usize> = None;
        for node in toposort(&self.graph, None).unwrap_or_default() {
            let i = node.index();
            let mut before: Vec<usize> =
                self.graph.neighbors_directed(node, petgraph::Direction::Incoming).map(|n| n.index()).collect();
            before.sort_unstable();
            let mut longest: Option<usize> = None;
            for b in before {
                if longest.is_none_or(|l| best[b].0 > best[l].0) {
                    longest = Some(b);
                }
            }
            best[i] = (longest.map_or(T::default(), |l| best[l].0) + weight(i), longest);
            if end.is_none_or(|e| best[i].0 > best[e].0) {
                end = Some(i);
            }
        }
        let total = end.map_or(T::default(), |e| best[e].0);
        let mut path = Vec::new();
        while let Some(i) = end {
            path.push(i);
            end = best[i].1;
        }
        path.reverse();
        (total, path)
    }

    /// For each step, the largest sum of weights along a path that begins with it.
    pub fn behind<T>(&self, weight: &dyn Fn(usize) -> T) -> Vec<T>
    where
        T: Copy + PartialOrd + std::ops::Add<Output = T> + Default,
    {
        let mut behind = vec![T::default(); self.reach.len()];
        for node in toposort(&self.graph, None).unwrap_or_default().into_iter().rev() {
            let longest = self
                .graph
                .neighbors(node)
                .map(|next| behind[next.index()])
                .fold(T::default(), |a, b| if b > a { b } else { a });
            behind[node.index()] = longest + weight(node.index());
        }
        behind
    }

    /// The maximal sets of steps that may run at once: none waits for another, or stands in the other way of an `if`. At most `limit` of them; `None` beyond that.
    pub fn antichains(&self, limit: usize) -> Option<Vec<Vec<usize>>> {
        let n = self.reach.len();
        let unrelated = |a: usize, b: usize| {
            !self.reach[a].contains(&b) && !self.reach[b].contains(&a) && !self.apart.contains(&(a.min(b), a.max(b)))
        };
        let mut out = Vec::new();
        let mut stack: Vec<(Vec<usize>, usize)> = vec![(Vec::new(), 0)];
        let mut work = 0usize;
        while let Some((set, next)) = stack.pop() {
            work += 1;
            if work > limit * 64 || out.len() > limit {
                return None;
            }
            if next == n {
                let maximal = (0..n).all(|i| set.contains(&i) || set.iter().any(|s| !unrelated(*s, i)));
                if maximal && !set.is_empty() {
                    out.push(set);
                }
                continue;
            }
            stack.push((set.clone(), next + 1));
            if set.iter().all(|s| unrelated(*s, next)) {
                let mut with = set;
                with.push(next);
                stack.push((with, next + 1));
            }
        }
        out.sort();
        Some(out)
    }
}

/// The steps behind each value.
type Producers = BTreeMap<ValueId, BTreeSet<usize>>;

/// The steps of a way; nothing is chosen inside it.
pub fn steps(region: &Region) -> Vec<usize> {
    let inside = |node: &Node| match node {
        Node::Call { step, .. } | Node::Choose { step, .. } => vec![step.0 as usize],
        Node::Map { body, .. } | Node::Repeat { body, .. } => steps(body),
        Node::Branch { then, otherwise, .. } => [steps(then), steps(otherwise)].concat(),
        Node::Compute { .. } => Vec::new(),
    };
    region.nodes.iter().flat_map(inside).collect()
}

/// Pairs of steps in the two ways of an `if`, of which one is taken at a time. What stands in a `for` is left out: it may be under way for
/// several items, each in its own way.
fn ways_apart(region: &Region, pairs: &mut BTreeSet<(usize, usize)>) {
    for node in &region.nodes {
        match node {
            Node::Branch { then, otherwise, .. } => {
                for a in steps(then) {
                    pairs.extend(steps(otherwise).into_iter().map(|b| (a.min(b), a.max(b))));
                }
                ways_apart(then, pairs);
                ways_apart(otherwise, pairs);
            }
            Node::Repeat { body, .. } => ways_apart(body, pairs),
            Node::Call { .. } | Node::Choose { .. } | Node::Compute { .. } | Node::Map { .. } => {}
        }
    }
}

/// Everything in a region waits for `gate`: the list of a map, the condition of a branch.
fn walk(
    region: &Region,
    gate: &BTreeSet<usize>,
    producers: &mut Producers,
    edges: &mut BTreeSet<(usize, usize)>,
) -> BTreeSet<usize> {
    let of = |operand: &Operand, producers: &Producers| match operand {
        Operand::Value(id) => producers.get(id).cloned().unwrap_or_default(),
        Operand::Literal(_) => BTreeSet::new(),
    };
    for node in &region.nodes {
        let made = match node {
            Node::Call { step, args, .. } => {
                let after = step.0 as usize;
                let before: BTreeSet<usize> =
                    args.iter().flat_map(|(_, a)| of(a, producers)).chain(gate.iter().copied()).collect();
                edges.extend(before.into_iter().filter(|b| *b != after).map(|b| (b, after)));
                BTreeSet::from([after])
            }
            Node::Choose { step, args, ways, .. } => {
                let after = step.0 as usize;
                let before: BTreeSet<usize> =
                    args.iter().flat_map(|(_, a)| of(a, producers)).chain(gate.iter().copied()).collect();
                edges.extend(before.iter().map(|b| (*b, after)));
                // Of all the ways, one is there: put behind each other, they hold nothing at once and take no longer.
                let mut inner: BTreeSet<usize> = gate.iter().copied().chain([after]).collect();
                let mut made = BTreeSet::from([after]);
                for way in ways {
                    let all = steps(way);
                    made.extend(walk(way, &inner, producers, edges));
                    inner.extend(all);
                }
                made
            }
            Node::Compute { args, .. } => args.iter().flat_map(|a| of(a, producers)).collect(),
            Node::Map { over, item, body, .. } => {
                let over = of(over, producers);
                producers.insert(*item, over.clone());
                let inner: BTreeSet<usize> = gate.union(&over).copied().collect();
                let mut made = walk(body, &inner, producers, edges);
                made.extend(over);
                made
            }
            Node::Branch { when, then, otherwise, .. } => {
                let when = of(when, producers);
                let inner: BTreeSet<usize> = gate.union(&when).copied().collect();
                let mut made = walk(then, &inner, producers, edges);
                made.extend(walk(otherwise, &inner, producers, edges));
                made.extend(when);
                made
            }
            Node::Repeat { carry, body, until, .. } => {
                let first = carry.as_ref().map(|(_, first)| of(first, producers)).unwrap_or_default();
                if let Some((item, _)) = carry {
                    producers.insert(*item, first.clone());
                }
                let mut made = walk(body, gate, producers, edges);
                made.extend(of(until, producers));
                made.extend(first);
                made
            }
        };
        producers.insert(node.output(), made);
    }
    of(&region.result, producers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_critical_path_is_the_heaviest_not_the_longest() {
        let dag = Dag::from_edges(4, &[(0, 1), (1, 3), (0, 2), (2, 3)]);
        let (total, path) = dag.longest(&|i| [1u64, 1, 5, 1][i]);
        assert_eq!((total, path), (7, vec![0, 2, 3]));
        assert_eq!(dag.behind(&|i| [1u64, 1, 5, 1][i]), [7, 2, 6, 1]);
    }

    #[test]
    fn antichains_are_what_may_run_at_once() {
        let dag = Dag::from_edges(4, &[(0, 1), (1, 3), (0, 2), (2, 3)]);
        assert_eq!(dag.antichains(16), Some(vec![vec![0], vec![1, 2], vec![3]]));
    }
}
