//! The nodes of a region -> who waits for whom.

use crate::ir::workflow::{Node, Operand, Region, StepId, ValueId};
use std::collections::{BTreeMap, BTreeSet};

fn regions(node: &Node) -> Vec<&Region> {
    match node {
        Node::Map { body, .. } | Node::Repeat { body, .. } => vec![body],
        Node::Branch { then, otherwise, .. } => vec![then, otherwise],
        Node::Choose { ways, .. } => ways.iter().collect(),
        Node::Call { .. } | Node::Compute { .. } => Vec::new(),
    }
}

/// The steps in a node, its inner regions included.
pub fn steps_in(node: &Node, steps: &mut BTreeSet<StepId>) {
    if let Node::Call { step, .. } = node {
        steps.insert(*step);
    }
    for inner in regions(node).into_iter().flat_map(|r| &r.nodes) {
        steps_in(inner, steps);
    }
}

/// Every value that a node mentions, its inner regions included. Ids are unique in a workflow, so that values defined inside
/// cannot be mistaken for values of the region around it.
fn uses(node: &Node, used: &mut BTreeSet<ValueId>) {
    let mut add = |operand: &Operand| {
        if let Operand::Value(id) = operand {
            used.insert(*id);
        }
    };
    match node {
        Node::Call { args, .. } | Node::Choose { args, .. } => args.iter().for_each(|(_, a)| add(a)),
        Node::Map { over, .. } => add(over),
        Node::Branch { when, .. } => add(when),
        Node::Repeat { carry, until, .. } => {
            add(until);
            carry.iter().for_each(|(_, first)| add(first));
        }
        Node::Compute { args, .. } => args.iter().for_each(&mut add),
    }
    for region in regions(node) {
        add(&region.result);
    }
    for inner in regions(node).into_iter().flat_map(|r| &r.nodes) {
        uses(inner, used);
    }
}

/// For each node, how many nodes of the region it waits for, and which wait for it.
pub fn dependencies(region: &Region) -> (Vec<usize>, Vec<Vec<usize>>) {
    let defined: BTreeMap<ValueId, usize> = region.nodes.iter().enumerate().map(|(i, n)| (n.output(), i)).collect();
    let mut missing = vec![0; region.nodes.len()];
    let mut dependents = vec![Vec::new(); region.nodes.len()];
    for (i, node) in region.nodes.iter().enumerate() {
        let mut used = BTreeSet::new();
        uses(node, &mut used);
        for &on in used.iter().filter_map(|id| defined.get(id)) {
            missing[i] += 1;
            dependents[on].push(i);
        }
    }
    (missing, dependents)
}

/// The steps of which no second call comes in this region's one round: they are called once in it, or somebody has `begun` who waits for
/// all of their calls.
pub fn ended(region: &Region, begun: &BTreeSet<StepId>) -> BTreeSet<StepId> {
    let (_, dependents) = dependencies(region);
    let inside = |node: &Node| {
        let mut steps = BTreeSet::new();
        steps_in(node, &mut steps);
        steps
    };
    let steps: Vec<BTreeSet<StepId>> = region.nodes.iter().map(inside).collect();
    let mut used: Vec<bool> = vec![false; steps.len()];
    // What waits may itself be waited for by somebody who has begun.
    loop {
        let by = |d: &usize| used[*d] || !steps[*d].is_disjoint(begun);
        let more: Vec<usize> = (0..used.len()).filter(|i| !used[*i] && dependents[*i].iter().any(by)).collect();
        if more.is_empty() {
            break;
        }
        more.into_iter().for_each(|i| used[i] = true);
    }
    let whole = region.nodes.iter().zip(steps).zip(used).filter(|((node, _), used)| *used || !repeats(node));
    whole.flat_map(|((_, steps), _)| steps).collect()
}

/// Whether a node may call a step of it more than once.
fn repeats(node: &Node) -> bool {
    let inner = || regions(node).into_iter().flat_map(|region| &region.nodes).any(repeats);
    matches!(node, Node::Map { .. } | Node::Repeat { .. }) || inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::samples::{call, value};

    #[test]
    fn a_step_of_a_map_is_whole_once_somebody_uses_what_the_map_gives() {
        let body = Region { nodes: vec![call(0, value(1), 2)], result: value(2) };
        let map = Node::Map { over: value(0), item: ValueId(1), body, output: ValueId(3) };
        let count = Node::Compute {
            op: crate::ir::workflow::Op::Field("count".into()),
            args: vec![value(3)],
            output: ValueId(4),
        };
        let region = Region { nodes: vec![map, count, call(1, value(4), 5)], result: value(5) };
        let of = |steps: &[u32]| steps.iter().map(|step| StepId(*step)).collect::<BTreeSet<_>>();
        assert_eq!(ended(&region, &of(&[0])), of(&[1]), "more items may come; the other is called once");
        assert_eq!(ended(&region, &of(&[0, 1])), of(&[0, 1]));
    }
}
