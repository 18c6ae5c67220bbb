//! Workflow → smaller workflow: equal steps merged, dead nodes dropped.

use super::workflow::{Node, Operand, Region, Step, StepId, ValueId, Workflow};
use std::collections::{BTreeMap, BTreeSet};

/// Merges calls of the same task with the same arguments and conditions in one region: steps are pure, so one run serves both.
pub fn merge_equal(workflow: &mut Workflow) {
    let steps = workflow.steps.clone();
    let same = |a: StepId, b: StepId| {
        let (a, b) = (&steps[a.0 as usize], &steps[b.0 as usize]);
        let rules = |s: &Step| s.rules.iter().map(|rule| rule.span).collect::<Vec<_>>();
        let said = |s: &Step| (s.retries, s.timeout, s.cache, s.fallbacks.clone(), rules(s));
        a.task == b.task && a.pins.is_empty() && b.pins.is_empty() && said(a) == said(b)
    };
    merge_region(&mut workflow.body, &same, &mut BTreeMap::new());
}

fn merge_region(region: &mut Region, same: &dyn Fn(StepId, StepId) -> bool, renamed: &mut BTreeMap<ValueId, ValueId>) {
    let mut seen: Vec<Node> = Vec::new();
    let nodes = std::mem::take(&mut region.nodes);
    for mut node in nodes {
        rename(&mut node, renamed);
        let twin = seen.iter().find(|other| match (&node, other) {
            (Node::Call { step: a, args: x, .. }, Node::Call { step: b, args: y, .. })
            | (Node::Choose { step: a, args: x, .. }, Node::Choose { step: b, args: y, .. }) => x == y && same(*a, *b),
            (Node::Compute { op: a, args: x, .. }, Node::Compute { op: b, args: y, .. }) => a == b && x == y,
            _ => false,
        });
        match twin {
            Some(twin) => {
                renamed.insert(node.output(), twin.output());
            }
            None => {
                match &mut node {
                    Node::Map { body, .. } | Node::Repeat { body, .. } => merge_region(body, same, renamed),
                    Node::Branch { then, otherwise, .. } => {
                        merge_region(then, same, renamed);
                        merge_region(otherwise, same, renamed);
                    }
                    Node::Choose { ways, .. } => ways.iter_mut().for_each(|way| merge_region(way, same, renamed)),
                    Node::Call { .. } | Node::Compute { .. } => {}
                }
                if let Node::Repeat { until, .. } = &mut node {
                    rename_operand(until, renamed);
                }
                seen.push(node);
            }
        }
    }
    rename_operand(&mut region.result, renamed);
    region.nodes = seen;
}

fn rename_operand(operand: &mut Operand, renamed: &BTreeMap<ValueId, ValueId>) {
    if let Operand::Value(id) = operand
        && let Some(to) = renamed.get(id)
    {
        *id = *to;
    }
}

fn rename(node: &mut Node, renamed: &BTreeMap<ValueId, ValueId>) {
    match node {
        Node::Call { args, .. } | Node::Choose { args, .. } => {
            args.iter_mut().for_each(|(_, a)| rename_operand(a, renamed));
        }
        Node::Compute { args, .. } => args.iter_mut().for_each(|a| rename_operand(a, renamed)),
        Node::Map { over, .. } => rename_operand(over, renamed),
        Node::Branch { when, .. } => rename_operand(when, renamed),
        Node::Repeat { carry, .. } => {
            if let Some((_, first)) = carry {
                rename_operand(first, renamed);
            }
        }
    }
}

/// Drops what nothing depends on, and numbers the remaining steps anew.
pub fn drop_dead(workflow: &mut Workflow) {
    let mut live = BTreeSet::new();
    mark_region(&workflow.body, &mut live);
    let mut kept = Vec::new();
    sweep(&mut workflow.body, &live, &mut kept);
    let old = std::mem::take(&mut workflow.steps);
    workflow.steps = kept.iter().map(|id| old[id.0 as usize].clone()).collect();
    // A step that chooses is live wherever a part of one of its ways is.
    let now = |old: StepId| kept.iter().position(|id| *id == old).map_or(old, |at| StepId(at as u32));
    for part in workflow.steps.iter_mut().filter_map(|s| s.part.as_mut()) {
        part.of = part.of.map(|(step, way)| (now(step), way));
    }
}

/// Marks the values that the region's result needs; nodes stand after what they use, so one walk backwards is enough.
fn mark_region(region: &Region, live: &mut BTreeSet<ValueId>) {
    mark(&region.result, live);
    for node in region.nodes.iter().rev() {
        if !live.contains(&node.output()) {
            continue;
        }
        match node {
            Node::Call { args, .. } => args.iter().for_each(|(_, a)| mark(a, live)),
            Node::Choose { args, ways, .. } => {
                args.iter().for_each(|(_, a)| mark(a, live));
                ways.iter().for_each(|way| mark_region(way, live));
            }
            Node::Compute { args, .. } => args.iter().for_each(|a| mark(a, live)),
            Node::Map { over, body, .. } => {
                mark(over, live);
                mark_region(body, live);
            }
            Node::Branch { when, then, otherwise, .. } => {
                mark(when, live);
                mark_region(then, live);
                mark_region(otherwise, live);
            }
            Node::Repeat { carry, body, until, .. } => {
                carry.iter().for_each(|(_, first)| mark(first, live));
                mark(until, live);
                mark_region(body, live);
            }
        }
    }
}

fn mark(operand: &Operand, live: &mut BTreeSet<ValueId>) {
    if let Operand::Value(id) = operand {
        live.insert(*id);
    }
}

fn sweep(region: &mut Region, live: &BTreeSet<ValueId>, kept: &mut Vec<StepId>) {
    region.nodes.retain(|n| live.contains(&n.output()));
    for node in &mut region.nodes {
        match node {
            Node::Call { step, .. } => {
                kept.push(*step);
                *step = StepId(kept.len() as u32 - 1);
            }
            Node::Choose { step, ways, .. } => {
                kept.push(*step);
                *step = StepId(kept.len() as u32 - 1);
                ways.iter_mut().for_each(|way| sweep(way, live, kept));
            }
            Node::Map { body, .. } | Node::Repeat { body, .. } => sweep(body, live, kept),
            Node::Branch { then, otherwise, .. } => {
                sweep(then, live, kept);
                sweep(otherwise, live, kept);
            }
            Node::Compute { .. } => {}
        }
    }
}
