//! Values → the steps that their data reaches, through records, loops and branches.

use super::workflow::{Node, Operand, Region, ValueId};
use std::collections::BTreeSet;

/// The steps that the data of some values reaches, by index.
pub fn reached(nodes: &[Node], mut from: BTreeSet<ValueId>) -> BTreeSet<usize> {
    let mut steps = BTreeSet::new();
    spread(nodes, &mut from, &mut steps);
    steps
}

fn hit(operand: &Operand, from: &BTreeSet<ValueId>) -> bool {
    matches!(operand, Operand::Value(id) if from.contains(id))
}

/// Whether the data reaches what a region yields.
fn walk(region: &Region, from: &mut BTreeSet<ValueId>, steps: &mut BTreeSet<usize>) -> bool {
    spread(&region.nodes, from, steps);
    hit(&region.result, from)
}

fn spread(nodes: &[Node], from: &mut BTreeSet<ValueId>, steps: &mut BTreeSet<usize>) {
    for node in nodes {
        let reached = match node {
            Node::Call { step, args, .. } => {
                let reached = args.iter().any(|(_, a)| hit(a, from));
                if reached {
                    steps.insert(step.0 as usize);
                }
                reached
            }
            Node::Choose { step, args, ways, .. } => {
                let mut reached = args.iter().any(|(_, a)| hit(a, from));
                if reached {
                    steps.insert(step.0 as usize);
                }
                for way in ways {
                    reached |= walk(way, from, steps);
                }
                reached
            }
            Node::Compute { args, .. } => args.iter().any(|a| hit(a, from)),
            Node::Map { over, item, body, .. } => {
                let over = hit(over, from);
                if over {
                    from.insert(*item);
                }
                walk(body, from, steps) || over
            }
            Node::Branch { when, then, otherwise, .. } => {
                let inner = [walk(then, from, steps), walk(otherwise, from, steps)];
                hit(when, from) || inner[0] || inner[1]
            }
            Node::Repeat { carry, body, .. } => {
                if let Some((item, first)) = carry
                    && hit(first, from)
                {
                    from.insert(*item);
                }
                // What a round leaves behind reaches the next one.
                let left = walk(body, from, steps);
                // Only what is reached anew can reach more.
                match carry {
                    Some((item, _)) if left && from.insert(*item) => walk(body, from, steps),
                    _ => left,
                }
            }
        };
        if reached {
            from.insert(node.output());
        }
    }
}
