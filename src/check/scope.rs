//! The names that a place of a data flow sees. A job may have many thousand values: a name is found without a look at all others.

use super::program::LocalId;
use crate::diag::source::Span;
use ecow::EcoString;
use std::collections::BTreeMap;

/// The name of what is not spoken of: as many values as one likes may have it.
pub const NOBODY: &str = "_";

/// The values in scope, innermost last, and the names that the blocks around define further down.
#[derive(Default)]
pub struct Scope {
    ids: Vec<(EcoString, LocalId)>,
    named: BTreeMap<EcoString, Vec<LocalId>>,
    coming: BTreeMap<EcoString, Vec<Span>>,
}

impl Scope {
    /// Brings a value into scope.
    pub fn push(&mut self, name: EcoString, id: LocalId) {
        self.named.entry(name.clone()).or_default().push(id);
        self.ids.push((name, id));
    }

    /// The outermost value of a name.
    pub fn first(&self, name: &str) -> Option<LocalId> {
        self.named.get(name)?.first().copied()
    }

    /// The innermost value of a name.
    pub fn last(&self, name: &str) -> Option<LocalId> {
        self.named.get(name)?.last().copied()
    }

    /// All that can be spoken of, innermost last.
    pub fn ids(&self) -> impl Iterator<Item = LocalId> {
        self.ids.iter().filter(|(name, _)| name != NOBODY).map(|(_, id)| *id)
    }

    /// The names of all of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(|(name, _)| name.as_str())
    }

    /// How many there are.
    pub fn depth(&self) -> usize {
        self.ids.len()
    }

    /// Takes those behind the first ones out of scope.
    pub fn leave(&mut self, depth: usize) {
        for (name, id) in self.ids.split_off(depth.min(self.ids.len())) {
            without(&mut self.named, &name, &id);
        }
    }

    /// Says that a block defines a name at a place further down.
    pub fn expect(&mut self, name: EcoString, at: Span) {
        self.coming.entry(name).or_default().push(at);
    }

    /// Says that a name is defined, or that its block is done.
    pub fn arrived(&mut self, name: &str, at: Span) {
        without(&mut self.coming, name, &at);
    }

    /// Where a block around defines a name further down.
    pub fn coming(&self, name: &str) -> Option<Span> {
        self.coming.get(name)?.first().copied()
    }
}

/// Takes one of a name's entries away, and the name where it was the last one.
fn without<T: PartialEq>(of: &mut BTreeMap<EcoString, Vec<T>>, name: &str, gone: &T) {
    let Some(list) = of.get_mut(name) else { return };
    if let Some(at) = list.iter().rposition(|one| one == gone) {
        list.remove(at);
    }
    if list.is_empty() {
        of.remove(name);
    }
}
