//! A menu and a price per option -> the cheapest options that keep the job's clauses, exactly.
//!
//! Depth-first over the steps in topological order. What bounds a node is, per clause, a table: the least that the steps to
//! come can cost when they may still take so many parts of the limit. A clause on paths has the table of one long path, so that
//! every table is a relaxation and the search stays exact.

use super::menu::{Menu, Row};

/// The price of an option that must not be taken.
pub const NEVER: i64 = i64::MAX;
/// Clauses that get a table.
const TABLES: usize = 3;

/// The cheapest options of a job at some prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Best {
    /// The place of the option in the menu, by step of the menu.
    pub dishes: Vec<u32>,
    /// What it costs.
    pub price: i64,
}

/// What is known when the search ends.
#[derive(Clone, Debug)]
pub struct Found {
    /// The best that was found; `None` where nothing keeps the clauses (or nothing was found, if not `exact`).
    pub best: Option<Best>,
    /// No choice costs less than this.
    pub bound: i64,
    /// Whether the search was exhausted.
    pub exact: bool,
}

#[derive(Clone, Debug, Default)]
struct Open {
    price: i64,
    dish: u32,
}

/// A job's solver with its memory.
pub struct Chef<'a> {
    /// The job.
    pub menu: &'a Menu,
    open: Vec<Vec<Open>>,
    rest: Vec<i64>,
    /// By row, place: the least that the steps from here can take (sum), or the least time from here to the end (path).
    least: Vec<Vec<i64>>,
    tables: Vec<Table>,
    finish: Vec<Vec<i64>>,
    used: Vec<Vec<i64>>,
    chosen: Vec<u32>,
    best: Option<Best>,
    limit: i64,
    nodes: u64,
    most: u64,
    parts: usize,
}

#[derive(Default)]
struct Table {
    row: usize,
    /// Whether a place counts.
    counts: Vec<bool>,
    /// By place and parts left: the least price of the steps from there on.
    price: Vec<i64>,
}

impl<'a> Chef<'a> {
    /// A solver of a menu that visits at most so many nodes a call, and whose tables divide a limit into so many parts.
    pub fn new(menu: &'a Menu, most: u64, parts: usize) -> Chef<'a> {
        let (n, r) = (menu.steps.len(), menu.rows.len());
        let tables = (0..r.min(TABLES)).map(|row| Table { row, counts: on_path(menu, row), price: Vec::new() });
        Chef {
            menu,
            open: vec![Vec::new(); n],
            rest: vec![0; n + 1],
            least: vec![vec![0; n + 1]; r],
            tables: tables.collect(),
            finish: vec![vec![0; n]; r],
            used: vec![vec![0; n + 1]; r.min(TABLES)],
            chosen: vec![0; n],
            best: None,
            limit: i64::MAX,
            nodes: 0,
            most,
            parts,
        }
    }

    /// Finds the cheapest options. `price[place][dish]` is at least 0, or [`NEVER`]; `warm` is a choice to start from.
    pub fn best(&mut self, price: &[Vec<i64>], warm: Option<&[u32]>) -> Found {
        let n = self.menu.steps.len();
        (self.best, self.nodes, self.limit) = (None, 0, i64::MAX);
        for place in 0..n {
            self.fill(place, &price[place]);
            if self.open[place].is_empty() {
                return Found { best: None, bound: i64::MAX, exact: true };
            }
        }
        if let Some(warm) = warm
            && let Some(cost) = self.value(warm, price)
        {
            self.best = Some(Best { dishes: warm.to_vec(), price: cost });
            self.limit = cost;
        }
        for place in (0..n).rev() {
            self.rest[place] = self.rest[place + 1] + self.open[place][0].price;
        }
        self.bound_rows();
        for table in 0..self.tables.len() {
            self.fill_table(table);
        }
        let root = self.bound(0);
        if root < self.limit {
            self.visit(0, 0);
        }
        let exact = self.nodes < self.most;
        let bound = if exact { self.best.as_ref().map_or(i64::MAX, |best| best.price) } else { root.min(self.limit) };
        Found { best: self.best.take(), bound, exact }
    }

    /// What a choice costs; `None` where it breaks a clause or a price forbids it.
    pub fn value(&self, dishes: &[u32], price: &[Vec<i64>]) -> Option<i64> {
        let mut sum = 0i64;
        for (place, dish) in dishes.iter().enumerate() {
            match price[place][*dish as usize] {
                NEVER => return None,
                cost => sum = sum.saturating_add(cost),
            }
        }
        keeps(self.menu, dishes).then_some(sum)
    }

    /// The options of a step at these prices, cheapest first, without those that another one beats.
    fn fill(&mut self, place: usize, price: &[i64]) {
        let dishes = &self.menu.steps[place];
        let open = &mut self.open[place];
        open.clear();
        open.extend((0..dishes.len()).filter_map(|dish| {
            let price = price[dish];
            (price != NEVER).then_some(Open { price, dish: dish as u32 })
        }));
        open.sort_unstable_by_key(|open| (open.price, open.dish));
        let mut kept = 0;
        for at in 0..open.len() {
            let this = &dishes[open[at].dish as usize];
            let beaten = open[..kept].iter().any(|other| {
                let other = &dishes[other.dish as usize];
                other.takes.iter().zip(&this.takes).all(|(a, b)| a <= b)
                    && (other.class, &other.needs, &other.serves) == (this.class, &this.needs, &this.serves)
            });
            if !beaten {
                open.swap(kept, at);
                kept += 1;
            }
        }
        open.truncate(kept);
    }

    /// The least that the steps from each place on take of each row.
    fn bound_rows(&mut self) {
        let n = self.menu.steps.len();
        for (row, stated) in self.menu.rows.iter().enumerate() {
            for place in (0..n).rev() {
                let takes = self.open[place].iter().map(|o| self.menu.steps[place][o.dish as usize].takes[row]);
                let own = takes.min().unwrap_or(0);
                let later = if stated.path {
                    self.menu.after[place].iter().map(|after| self.least[row][*after as usize]).max().unwrap_or(0)
                } else {
                    self.least[row][place + 1]
                };
                self.least[row][place] = own + later;
            }
        }
    }

    fn fill_table(&mut self, table: usize) {
        let (n, all) = (self.menu.steps.len(), self.parts);
        let Table { row, counts, price } = &mut self.tables[table];
        let limit = self.menu.rows[*row].limit;
        price.clear();
        price.resize((n + 1) * (all + 1), 0);
        for place in (0..n).rev() {
            let (head, tail) = price.split_at_mut((place + 1) * (all + 1));
            let now = &mut head[place * (all + 1)..];
            now.fill(NEVER);
            for open in &self.open[place] {
                let takes = if counts[place] { self.menu.steps[place][open.dish as usize].takes[*row] } else { 0 };
                let parts = part(takes, limit, all);
                for left in parts..=all {
                    let cost = tail[left - parts].saturating_add(open.price);
                    now[left] = now[left].min(cost);
                }
            }
        }
    }

    /// No way to choose the steps from `place` on costs less.
    fn bound(&self, place: usize) -> i64 {
        let mut bound = self.rest[place];
        for (at, table) in self.tables.iter().enumerate() {
            let limit = self.menu.rows[table.row].limit;
            let left = part(limit - self.used[at][place], limit, self.parts);
            bound = bound.max(table.price[place * (self.parts + 1) + left]);
        }
        bound
    }

    fn visit(&mut self, place: usize, spent: i64) {
        self.nodes += 1;
        if place == self.menu.steps.len() {
            if self.served() {
                self.limit = spent;
                self.best = Some(Best { dishes: self.chosen.clone(), price: spent });
            }
            return;
        }
        for at in 0..self.open[place].len() {
            if self.nodes >= self.most {
                return;
            }
            let Open { price, dish } = self.open[place][at];
            let cost = spent.saturating_add(price);
            if cost.saturating_add(self.rest[place + 1]) >= self.limit {
                return;
            }
            if !self.fits(place, dish) {
                continue;
            }
            if cost.saturating_add(self.bound(place + 1)) < self.limit {
                self.chosen[place] = dish;
                self.visit(place + 1, cost);
            }
        }
    }

    /// Whether an option keeps the rows with what is chosen so far; settles what it takes.
    fn fits(&mut self, place: usize, dish: u32) -> bool {
        let menu = self.menu;
        let taken = &menu.steps[place][dish as usize];
        if menu.coupled && !self.agrees(place, dish) {
            return false;
        }
        for (row, Row { limit, path }) in menu.rows.iter().enumerate() {
            let takes = taken.takes[row];
            if *path {
                let start = menu.before[place].iter().map(|b| self.finish[row][*b as usize]).max().unwrap_or(0);
                self.finish[row][place] = start + takes;
                let later = menu.after[place].iter().map(|a| self.least[row][*a as usize]).max().unwrap_or(0);
                if start + takes + later > *limit {
                    return false;
                }
            } else {
                let before = if place == 0 { 0 } else { self.finish[row][place - 1] };
                self.finish[row][place] = before + takes;
                if before + takes + self.least[row][place + 1] > *limit {
                    return false;
                }
            }
        }
        for (at, table) in self.tables.iter().enumerate() {
            let takes = if table.counts[place] { taken.takes[table.row] } else { 0 };
            self.used[at][place + 1] = self.used[at][place] + takes;
        }
        true
    }

    fn agrees(&self, place: usize, dish: u32) -> bool {
        let menu = self.menu;
        let this = &menu.steps[place][dish as usize];
        let class = |at: usize| match at {
            _ if at == place => Some(this.class),
            _ if at < place => Some(menu.steps[at][self.chosen[at] as usize].class),
            _ => None,
        };
        let own = this.needs.iter().all(|(of, wanted)| class(*of as usize).is_none_or(|c| c == *wanted));
        let earlier = || {
            (0..place).all(|at| {
                let needs = &menu.steps[at][self.chosen[at] as usize].needs;
                needs.iter().all(|(of, wanted)| *of as usize != place || *wanted == this.class)
            })
        };
        own && earlier()
    }

    fn served(&self) -> bool {
        served(self.menu, &self.chosen)
    }
}

/// Which parts of a limit an amount fills, rounded down.
fn part(amount: i64, limit: i64, all: usize) -> usize {
    if limit == 0 {
        return 0;
    }
    let parts = i128::from(amount) * all as i128 / i128::from(limit);
    usize::try_from(parts).unwrap_or(0).min(all)
}

fn served(menu: &Menu, dishes: &[u32]) -> bool {
    (0..menu.any_of).all(|any| dishes.iter().enumerate().any(|(p, d)| menu.steps[p][*d as usize].serves[any]))
}

/// Whether a choice keeps every clause and the coupling.
pub fn keeps(menu: &Menu, dishes: &[u32]) -> bool {
    if dishes.len() != menu.steps.len() {
        return false;
    }
    let dish = |place: usize| &menu.steps[place][dishes[place] as usize];
    let coupled = !menu.coupled
        || (0..dishes.len()).all(|p| dish(p).needs.iter().all(|(of, class)| dish(*of as usize).class == *class));
    let rows = menu.rows.iter().enumerate().all(|(row, stated)| {
        let mut finish = vec![0i64; dishes.len()];
        for place in 0..dishes.len() {
            let start = menu.before[place].iter().map(|b| finish[*b as usize]).max().unwrap_or(0);
            finish[place] = dish(place).takes[row] + if stated.path { start } else { 0 };
        }
        let total = if stated.path { finish.iter().copied().max().unwrap_or(0) } else { finish.iter().sum() };
        total <= stated.limit
    });
    coupled && rows && served(menu, dishes)
}

/// The places that a row's table counts: all for a sum; for paths, those of one that is longest when all options are at their
/// least.
fn on_path(menu: &Menu, row: usize) -> Vec<bool> {
    let n = menu.steps.len();
    if !menu.rows[row].path {
        return vec![true; n];
    }
    let own = |place: usize| menu.steps[place].iter().map(|dish| dish.takes[row]).min().unwrap_or(0) + 1;
    let mut longest = vec![0i64; n];
    for place in (0..n).rev() {
        longest[place] = own(place) + menu.after[place].iter().map(|a| longest[*a as usize]).max().unwrap_or(0);
    }
    let mut counts = vec![false; n];
    let mut at = (0..n).max_by_key(|place| (longest[*place], std::cmp::Reverse(*place)));
    while let Some(place) = at {
        counts[place] = true;
        at = menu.after[place].iter().map(|a| *a as usize).max_by_key(|a| (longest[*a], std::cmp::Reverse(*a)));
    }
    counts
}
