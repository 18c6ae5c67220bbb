//! A basis of the linear program in [`super::simplex`]: its variables, the inverse of its working part, its values and duals.
//!
//! Every step has a *key* column, which its one-of-n row makes basic and which is eliminated from the other rows. What is left,
//! the *working* basis, has one variable per active row, so that it stays small however many steps there are.

use super::model::Domain;
use super::simplex::{Lp, LpRow};

/// A variable of the working basis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Var {
    /// A column, beside its step's key.
    Column(u32),
    /// What a row leaves below its right-hand side.
    Slack(u32),
    /// The variable that the rows on the target bound from below.
    Target,
}

/// A basis.
#[derive(Clone, Default)]
pub struct Basis {
    /// The key column of each step.
    pub key: Vec<u32>,
    /// The active rows; the others are left out until a point violates them.
    pub rows: Vec<u32>,
    /// The variables of the working basis, one per active row.
    pub var: Vec<Var>,
    /// The inverse of the working basis, by rows.
    pub inverse: Vec<f64>,
    /// The value of each variable of the working basis.
    pub value: Vec<f64>,
    /// The multiplier of each active row, at most 0.
    pub dual: Vec<f64>,
    /// Pivots since the inverse was computed afresh.
    pub pivots: usize,
}

impl LpRow {
    /// The entry of a variable, a column's being relative to the key of its step.
    pub fn entry(&self, lp: &Lp, key: &[u32], row: u32, var: Var) -> f64 {
        match var {
            Var::Column(column) => {
                let step = lp.step[column as usize] as usize;
                self.coef.at(step, column) - self.coef.at(step, key[step])
            }
            Var::Slack(slack) => f64::from(u8::from(slack == row)),
            Var::Target => -f64::from(u8::from(self.on_target)),
        }
    }
}

impl Basis {
    /// The basis of the cheapest column of each step, without rows, which is dual feasible.
    pub fn cheapest(lp: &Lp, domain: &Domain) -> Self {
        let cheapest = |step: usize| {
            let by_cost = |a: &&u32, b: &&u32| lp.cost[**a as usize].total_cmp(&lp.cost[**b as usize]);
            domain.of(step).iter().min_by(by_cost).copied().unwrap_or(0)
        };
        Basis { key: (0..domain.steps()).map(cheapest).collect(), ..Basis::default() }
    }

    /// Forgets what the next solve computes afresh, which is most of the memory.
    pub fn pack(&mut self) {
        (self.inverse, self.value, self.dual) = Default::default();
        self.pivots = usize::MAX;
    }

    /// The room that it takes when packed.
    pub fn bytes(&self) -> usize {
        4 * (self.key.len() + self.rows.len()) + size_of::<Var>() * self.var.len()
    }

    /// The same basis where columns have other names; its inverse is forgotten.
    pub fn renamed(mut self, name: impl Fn(u32) -> u32) -> Self {
        self.key.iter_mut().for_each(|key| *key = name(*key));
        for var in &mut self.var {
            if let Var::Column(column) = var {
                *column = name(*column);
            }
        }
        self.pack();
        self
    }

    /// Its columns, the keys first.
    pub fn columns(&self) -> impl Iterator<Item = u32> {
        let working =
            self.var.iter().filter_map(|&var| if let Var::Column(column) = var { Some(column) } else { None });
        self.key.iter().copied().chain(working)
    }

    /// How many rows are active.
    pub fn size(&self) -> usize {
        self.rows.len()
    }

    /// A row of the inverse.
    pub fn line(&self, r: usize) -> &[f64] {
        &self.inverse[r * self.size()..(r + 1) * self.size()]
    }

    /// The cost of a variable above its key's.
    pub fn cost_of(&self, lp: &Lp, var: Var) -> f64 {
        match var {
            Var::Column(column) => {
                lp.cost[column as usize] - lp.cost[self.key[lp.step[column as usize] as usize] as usize]
            }
            Var::Slack(_) => 0.0,
            Var::Target => 1.0,
        }
    }

    /// What a row leaves of its right-hand side.
    pub fn slack(&self, lp: &Lp, row: u32) -> f64 {
        let stated = &lp.rows[row as usize];
        let keys: f64 = stated.steps.iter().map(|&step| stated.coef.at(step, self.key[step])).sum();
        let along = self.var.iter().zip(&self.value).filter(|pair| !matches!(pair.0, Var::Slack(_)));
        stated.rhs - keys - along.map(|(&var, value)| stated.entry(lp, &self.key, row, var) * value).sum::<f64>()
    }

    /// Makes rows active, with their slacks as the variables.
    pub fn activate(&mut self, lp: &Lp, rows: &[u32]) {
        let (old, new) = (self.size(), self.size() + rows.len());
        let mut inverse = vec![0.0; new * new];
        for (r, line) in inverse.chunks_exact_mut(new.max(1)).enumerate().take(old) {
            line[..old].copy_from_slice(self.line(r));
        }
        for (place, &row) in (old..).zip(rows) {
            let value = self.slack(lp, row);
            let (above, below) = inverse.split_at_mut(place * new);
            let added = &mut below[..new];
            added[place] = 1.0;
            for (line, &var) in above.chunks_exact(new).zip(&self.var[..old]) {
                let entry = lp.rows[row as usize].entry(lp, &self.key, row, var);
                if entry != 0.0 {
                    added[..old].iter_mut().zip(line).for_each(|(a, b)| *a -= entry * b);
                }
            }
            self.value.push(value);
        }
        self.inverse = inverse;
        self.rows.extend_from_slice(rows);
        self.var.extend(rows.iter().map(|&row| Var::Slack(row)));
        self.dual.resize(new, 0.0);
    }

    /// Leaves out the active rows that are not tight.
    pub fn relax(&mut self) {
        let size = self.size();
        let loose = |var: &Var, value: f64| matches!(var, Var::Slack(_)) && value > 1e-7;
        let stay: Vec<bool> = self.var.iter().zip(&self.value).map(|(var, &value)| !loose(var, value)).collect();
        if stay.iter().all(|&stay| stay) {
            return;
        }
        let mut gone: Vec<u32> = Vec::new();
        for (&var, _) in self.var.iter().zip(&stay).filter(|pair| !pair.1) {
            if let Var::Slack(row) = var {
                gone.push(row);
            }
        }
        let tight: Vec<bool> = self.rows.iter().map(|row| !gone.contains(row)).collect();
        let mut inverse = Vec::with_capacity(size * size);
        for (r, _) in stay.iter().enumerate().filter(|pair| *pair.1) {
            let line = &self.inverse[r * size..(r + 1) * size];
            inverse.extend(line.iter().zip(&tight).filter(|pair| *pair.1).map(|pair| pair.0));
        }
        self.inverse = inverse;
        pick(&mut self.var, &stay);
        pick(&mut self.value, &stay);
        pick(&mut self.rows, &tight);
        pick(&mut self.dual, &tight);
    }

    /// Computes inverse, values and duals from the variables, against drift; `false` when they are dependent.
    pub fn refactor(&mut self, lp: &Lp) -> bool {
        let size = self.size();
        let mut grid = vec![0.0; size * size];
        for (&row, line) in self.rows.iter().zip(grid.chunks_exact_mut(size.max(1))) {
            let stated = &lp.rows[row as usize];
            line.iter_mut().zip(&self.var).for_each(|(a, &var)| *a = stated.entry(lp, &self.key, row, var));
        }
        // Gauss and Jordan in place: the columns of the inverse come in the order that the rows were taken in.
        let mut taken = Vec::with_capacity(size);
        for c in 0..size {
            let best = (c..size).max_by(|&a, &b| grid[a * size + c].abs().total_cmp(&grid[b * size + c].abs()));
            let Some(best) = best.filter(|&r| grid[r * size + c].abs() > 1e-11) else {
                return false;
            };
            if best != c {
                (0..size).for_each(|k| grid.swap(best * size + k, c * size + k));
            }
            taken.push(best);
            let (above, rest) = grid.split_at_mut(c * size);
            let (pivot, below) = rest.split_at_mut(size);
            let scale = 1.0 / std::mem::replace(&mut pivot[c], 1.0);
            pivot.iter_mut().for_each(|a| *a *= scale);
            for row in above.chunks_exact_mut(size).chain(below.chunks_exact_mut(size)) {
                let factor = std::mem::take(&mut row[c]);
                if factor != 0.0 {
                    row.iter_mut().zip(&*pivot).for_each(|(a, b)| *a -= factor * b);
                }
            }
        }
        for (c, best) in taken.into_iter().enumerate().rev().filter(|(c, best)| c != best) {
            grid.chunks_exact_mut(size).for_each(|row| row.swap(c, best));
        }
        self.inverse = grid;
        self.pivots = 0;
        self.revalue(lp);
        true
    }

    /// Computes values and duals from the inverse.
    fn revalue(&mut self, lp: &Lp) {
        let free = |&row: &u32| {
            let stated = &lp.rows[row as usize];
            stated.rhs - stated.steps.iter().map(|&step| stated.coef.at(step, self.key[step])).sum::<f64>()
        };
        let free: Vec<f64> = self.rows.iter().map(free).collect();
        self.value.clear();
        self.dual.clear();
        self.dual.resize(free.len(), 0.0);
        for (r, &var) in self.var.iter().enumerate() {
            let line = &self.inverse[r * free.len()..(r + 1) * free.len()];
            self.value.push(line.iter().zip(&free).map(|(a, b)| a * b).sum());
            let cost = match var {
                Var::Column(column) => {
                    lp.cost[column as usize] - lp.cost[self.key[lp.step[column as usize] as usize] as usize]
                }
                Var::Slack(_) => 0.0,
                Var::Target => 1.0,
            };
            if cost != 0.0 {
                self.dual.iter_mut().zip(line).for_each(|(dual, a)| *dual += cost * a);
            }
        }
    }
}

fn pick<T>(list: &mut Vec<T>, stay: &[bool]) {
    let mut stay = stay.iter();
    list.retain(|_| stay.next().is_some_and(|&stay| stay));
}
