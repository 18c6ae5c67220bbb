//! The open nodes of a search, in little room.

use std::collections::BTreeMap;

use super::super::model::{Domain, Packed};
use super::super::presolve::Space;
use super::Node;

/// Bytes that open nodes hold before the search turns to those that hold least, and before it gives up.
const MOST_HELD: usize = 48 << 20;
const FULL: usize = 2 * MOST_HELD;

/// Open nodes by their order of visits: what the relaxation says, then their age.
pub struct Open<'s> {
    space: &'s Space<'s>,
    nodes: BTreeMap<(i64, u64), (Node, Packed)>,
    seen: u64,
    held: usize,
}

impl<'s> Open<'s> {
    /// None yet.
    pub fn new(space: &'s Space<'s>) -> Self {
        Open { space, nodes: BTreeMap::new(), seen: 0, held: 0 }
    }

    /// How many there were.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether they hold too much to go on.
    pub fn is_full(&self) -> bool {
        self.held > FULL
    }

    /// No plan of any of them has a smaller value.
    pub fn least(&self) -> i64 {
        self.nodes.values().map(|(node, _)| node.bound).min().unwrap_or(i64::MAX)
    }

    /// Keeps a node for later.
    pub fn put(&mut self, mut node: Node) {
        if let Some(basis) = &mut node.basis {
            basis.pack();
        }
        let packed = std::mem::take(&mut node.domain).pack(self.space.columns());
        self.held += bytes(&node, &packed);
        self.nodes.insert((node.guess, self.seen), (node, packed));
        self.seen += 1;
    }

    /// The node with the lowest guess. Where they hold too much, the dearest are settled first: they are close to the limit and leave
    /// little.
    pub fn take(&mut self) -> Option<Node> {
        let taken = if self.held > MOST_HELD { self.nodes.pop_last() } else { self.nodes.pop_first() };
        let (_, (node, packed)) = taken?;
        self.held -= bytes(&node, &packed);
        Some(Node { domain: Domain::unpack(&packed, &self.space.start), ..node })
    }
}

fn bytes(node: &Node, packed: &Packed) -> usize {
    size_of::<(Node, Packed)>() + packed.bytes() + node.basis.as_ref().map_or(0, |basis| basis.bytes())
}
