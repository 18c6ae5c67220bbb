//! Nodes and a clock -> whether the search may go on.

use std::cell::Cell;

/// Says when time is out; the core has no clock of its own.
pub type Clock<'a> = Option<&'a (dyn Fn() -> bool + Sync)>;

/// Nodes and time, shared by all searches for one problem.
pub struct Budget<'a> {
    spent: Cell<u64>,
    limit: u64,
    clock: Clock<'a>,
    out: Cell<bool>,
    /// How many price rows a search hands back.
    pub prices: Cell<usize>,
    /// Whether searches record what they did.
    pub record: bool,
}

impl<'a> Budget<'a> {
    /// At most `limit` nodes, and none once the clock says that time is out.
    pub fn new(limit: u64, clock: Clock<'a>) -> Self {
        Budget { spent: Cell::new(0), limit, clock, out: Cell::new(false), prices: Cell::new(40), record: false }
    }

    /// The nodes visited.
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// Whether the clock says that time is out.
    pub fn out_of_time(&self) -> bool {
        self.clock.is_some_and(|clock| clock())
    }

    /// Whether all nodes are visited.
    pub fn is_spent(&self) -> bool {
        self.spent.get() >= self.limit
    }

    /// Takes one node; `false` when none is left.
    pub fn spend(&self) -> bool {
        if self.is_spent() || (self.spent.get().is_multiple_of(8) && self.out_of_time()) {
            self.out.set(true);
        }
        if !self.out.get() {
            self.spent.set(self.spent.get() + 1);
        }
        !self.out.get()
    }
}
