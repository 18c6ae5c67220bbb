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
