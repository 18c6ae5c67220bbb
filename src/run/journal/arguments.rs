//! Plan + inputs + results in the journal → what a call was given. Arguments are not recorded, their digest is: the data flow is gone through
//! again, calls answer what they answered, and the digest says whether these are the arguments.

use super::Journal;
use super::record::Stored;
use super::recorder::input_digest;
use crate::ir::workflow::{Node, Operand, Region, ValueId};
use crate::plan::model::Plan;
use crate::run::engines::Args;
use crate::run::ops::compute;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values that are made for one call's arguments at most; a call that needs more is not shown.
const MOST: usize = 200_000;

/// A run whose data flow is gone through again.
pub struct Past<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The inputs, by name.
    pub inputs: &'a BTreeMap<String, Value>,
    /// What calls gave, by path.
    pub results: BTreeMap<&'a str, &'a Stored>,
    /// Where large values are.
    pub journal: &'a Journal,
}

impl Past<'_> {
    /// The arguments of the call at a path (`m4[7]/v2`), if the data flow gives those of a digest.
    pub fn arguments(&self, path: &str, digest: &str) -> Option<Args> {
        let mut frames = vec![Frame { region: &self.plan.body, path: String::new(), known: self.given() }];
        let mut walk = Walk { past: self, left: MOST };
        let mut rest = path;
        while let Some((part, more)) = rest.split_once('/') {
            let (of, index) = part.get(1..)?.strip_suffix(']')?.split_once('[')?;
            walk.enter(&mut frames, ValueId(of.parse().ok()?), index.parse().ok()?)?;
            rest = more;
        }
        let of = ValueId(rest.strip_prefix('v')?.parse().ok()?);
        // A branch is no frame of a path: the call may stand in one.
        let (step, args) = calls(frames.last()?.region, of)?;
        let step = self.plan.steps.iter().find(|s| s.id == *step)?;
        let mut given: Args = step.params.iter().map(|(name, _)| (name.clone(), Arc::new(Value::Null))).collect();
        for (name, operand) in args {
            given.insert(name.clone(), walk.value(&mut frames, operand)?);
        }
        (input_digest(&given).ok()? == digest).then_some(given)
    }

    fn given(&self) -> BTreeMap<ValueId, Arc<Value>> {
        let value = |name: &str| Arc::new(self.inputs.get(name).cloned().unwrap_or(Value::Null));
        self.plan.inputs.iter().map(|input| (input.value, value(&input.name))).collect()
    }
}

/// The call in a region, or in its branches, that defines a value.
fn calls(region: &Region, of: ValueId) -> Option<(&crate::ir::workflow::StepId, &[(String, Operand)])> {
    region.nodes.iter().find_map(|node| match node {
        Node::Call { step, args, output } if *output == of => Some((step, args.as_slice())),
        Node::Branch { then, otherwise, .. } => calls(then, of).or_else(|| calls(otherwise, of)),
        _ => None,
    })
}

/// The node of a region, or of its branches, that defines a value.
fn node(region: &Region, of: ValueId) -> Option<&Node> {
    region.nodes.iter().find_map(|one| match one {
        one if one.output() == of => Some(one),
        Node::Branch { then, otherwise, .. } => node(then, of).or_else(|| node(otherwise, of)),
        _ => None,
    })
}

/// A region that is gone through: the whole, an item of a map, a round of a loop.
struct Frame<'a> {
    region: &'a Region,
    path: String,
    known: BTreeMap<ValueId, Arc<Value>>,
}

struct Walk<'a> {
    past: &'a Past<'a>,
    left: usize,
}

impl<'a> Walk<'a> {
    /// Goes into an item of a map, or a round of a loop.
    fn enter(&mut self, frames: &mut Vec<Frame<'a>>, of: ValueId, index: usize) -> Option<()> {
        let outer = frames.last()?.path.clone();
        match node(frames.last()?.region, of)? {
            Node::Map { over, item, body, .. } => {
                let list = self.value(frames, over)?;
                let known = BTreeMap::from([(*item, Arc::new(list.get(index)?.clone()))]);
                frames.push(Frame { region: body, path: format!("{outer}m{}[{index}]/", of.0), known });
            }
            Node::Repeat { carry, body, .. } => {
                let mut known = BTreeMap::new();
                if let Some((id, first)) = carry {
                    let mut last = self.value(frames, first)?;
                    for round in 0..index {
                        let path = format!("{outer}r{}[{round}]/", of.0);
                        last = self.inside(frames, body, path, BTreeMap::from([(*id, last)]), &body.result)?;
                    }
                    known.insert(*id, last);
                }
                frames.push(Frame { region: body, path: format!("{outer}r{}[{index}]/", of.0), known });
            }
            _ => return None,
        }
        Some(())
    }

    /// An operand in a region of its own.
    fn inside(
        &mut self,
        frames: &mut Vec<Frame<'a>>,
        region: &'a Region,
        path: String,
        known: BTreeMap<ValueId, Arc<Value>>,
        operand: &'a Operand,
    ) -> Option<Arc<Value>> {
        frames.push(Frame { region, path, known });
        let value = self.value(frames, operand);
        frames.pop();
        value
    }

    /// The value behind an operand, in the innermost frame that defines it.
    fn value(&mut self, frames: &mut Vec<Frame<'a>>, operand: &Operand) -> Option<Arc<Value>> {
        self.left = self.left.checked_sub(1)?;
        let id = match operand {
            Operand::Literal(value) => return Some(Arc::new(value.clone())),
            Operand::Value(id) => *id,
        };
        let at = (0..frames.len())
            .rev()
            .find(|at| frames[*at].known.contains_key(&id) || node(frames[*at].region, id).is_some())?;
        if let Some(value) = frames[at].known.get(&id) {
            return Some(value.clone());
        }
        // What an outer frame defines sees nothing of the inner ones.
        let inner = frames.split_off(at + 1);
        let value = node(frames[at].region, id).and_then(|node| self.made(frames, node));
        if let Some(value) = &value {
            frames[at].known.insert(id, value.clone());
        }
        frames.extend(inner);
        value
    }

    fn made(&mut self, frames: &mut Vec<Frame<'a>>, node: &'a Node) -> Option<Arc<Value>> {
        let path = frames.last()?.path.clone();
        match node {
            Node::Call { output, .. } => {
                let stored = self.past.results.get(format!("{path}v{}", output.0).as_str())?;
                self.past.journal.blobs().value(stored).ok().map(Arc::new)
            }
            Node::Compute { op, args, .. } => {
                let args = args.iter().map(|a| self.value(frames, a)).collect::<Option<Vec<_>>>()?;
                compute(op, &args.iter().map(Arc::as_ref).collect::<Vec<_>>()).ok().map(Arc::new)
            }
            Node::Map { over, item, body, output } => {
                let list = self.value(frames, over)?;
                let mut all = Vec::new();
                for (index, value) in list.as_array()?.iter().enumerate() {
                    let path = format!("{path}m{}[{index}]/", output.0);
                    let known = BTreeMap::from([(*item, Arc::new(value.clone()))]);
                    all.push(Arc::unwrap_or_clone(self.inside(frames, body, path, known, &body.result)?));
                }
                Some(Arc::new(Value::Array(all)))
            }
            Node::Branch { when, then, otherwise, .. } => {
                let taken = if self.value(frames, when)?.as_bool()? { then } else { otherwise };
                self.value(frames, &taken.result)
            }
            Node::Repeat { limit, carry, body, until, output, .. } => {
                let mut last = match carry {
                    Some((_, first)) => self.value(frames, first)?,
                    None => Arc::new(Value::Null),
                };
                for round in 0..(*limit).max(1) {
                    let path = format!("{path}r{}[{round}]/", output.0);
                    let known = carry.iter().map(|(id, _)| (*id, last.clone())).collect();
                    frames.push(Frame { region: body, path, known });
                    let made = self.value(frames, &body.result);
                    let ended = self.value(frames, until).and_then(|value| value.as_bool());
                    frames.pop();
                    last = made?;
                    if ended? {
                        break;
                    }
                }
                Some(last)
            }
            Node::Choose { .. } => None,
        }
    }
}
