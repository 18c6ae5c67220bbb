//! A job that another one calls: its rules and its word on the cache, on the steps that come from it.

use super::{Lower, Scope};
use crate::check::program::{Job, LocalId, RuleKind};
use crate::ir::reach::reached;
use crate::ir::workflow::{Node, Operand, ValueId};
use std::collections::BTreeSet;

impl Lower<'_> {
    /// Holds the steps from a number on, which are those of `nodes`, to the rules of the job that they come from.
    pub(super) fn hold(&mut self, called: &Job, given: &Scope, first: usize, nodes: &[Node]) {
        for rule in called.rules.iter().filter(|rule| !rule.soft) {
            let touched = match &rule.kind {
                RuleKind::NoPiiToClosed { inputs } => sources(inputs, given).map(|from| reached(nodes, from)),
                _ => None,
            };
            for (at, step) in self.steps.iter_mut().enumerate().skip(first) {
                if touched.as_ref().is_none_or(|steps| steps.contains(&at)) {
                    step.rules.push(rule.clone());
                }
            }
        }
        for step in self.steps.iter_mut().skip(first) {
            step.cache = step.cache.or(called.cache);
        }
    }
}

/// The values that hold personal data; `None` where one is a constant, whose way through the steps is not seen.
fn sources(inputs: &[LocalId], given: &Scope) -> Option<BTreeSet<ValueId>> {
    let values = inputs.iter().map(|id| match given.get(id) {
        Some(Operand::Value(value)) => Some(*value),
        _ => None,
    });
    values.collect()
}
