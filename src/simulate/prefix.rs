//! What a replica keeps of the inputs that it has read: blocks of prefixes, the least recently used of which go first.

use std::collections::{BTreeMap, HashMap};

/// Says which blocks the input of a run begins with; a block's name stands for it and all before it.
pub type Prefixes<'a> = dyn Fn(u32) -> Option<&'a [u64]> + 'a;

/// The blocks that one replica holds.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    most: usize,
    clock: u64,
    /// By block: when it was used last.
    used: HashMap<u64, u64>,
    /// The same, the longest ago first.
    order: BTreeMap<u64, u64>,
}

impl Cache {
    /// Of at most so many blocks.
    pub fn of(most: usize) -> Cache {
        Cache { most, ..Cache::default() }
    }

    /// Reads an input: the share of it that was there. What is behind the last block that was there is read, and that block itself where it
    /// is all of the input, since a model needs something to go on from.
    pub fn read(&mut self, blocks: &[u64]) -> f64 {
        if self.most == 0 || blocks.is_empty() {
            return 0.0;
        }
        let there = blocks.iter().take_while(|block| self.used.contains_key(block)).count();
        // From behind, so that beginnings outlive what comes after them.
        for block in blocks.iter().take(self.most).rev() {
            if let Some(former) = self.used.insert(*block, self.clock) {
                self.order.remove(&former);
            }
            self.order.insert(self.clock, *block);
            self.clock += 1;
        }
        while self.used.len() > self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.used.remove(&oldest);
        }
        there.min(blocks.len() - 1) as f64 / blocks.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_last_is_kept_longest_and_beginnings_outlive_ends() {
        let mut cache = Cache::of(4);
        assert_eq!(cache.read(&[1, 2, 3, 4]), 0.0);
        assert_eq!(cache.read(&[1, 2, 5, 6]), 0.5);
        // 3 and 4 went for 5 and 6; then 6 goes for 7, and 5 for 8.
        assert_eq!(cache.read(&[1, 2, 3, 4, 9, 9, 9, 9]), 0.25);
        assert_eq!(cache.read(&[1, 7]), 0.5);
        // All of it: the last block is read all the same.
        assert_eq!(cache.read(&[1, 7]), 0.5);
        assert_eq!(cache.read(&[7]), 0.0);
        assert_eq!(Cache::of(0).read(&[1, 2]), 0.0);
        assert_eq!(cache.used.len(), cache.order.len());
    }
}
