//! Columns and covering rows -> an optimal basis: `min c·x, A x >= b, x >= 0`, by the revised simplex method with an explicit
//! inverse. Rows, columns, costs and right sides may change between calls, each of which goes on from the last basis.
//!
//! Floating point, and trusted by nobody: its multipliers are floored to integers, and every bound is computed from those.

const ZERO: f64 = 1e-9;
/// Pivots after which the inverse is computed anew.
const REFRESH: u32 = 400;
/// By how much the costs of columns are kept apart, in parts of what a job costs.
const NUDGE: f64 = 1e-6;
/// Pivots between two looks at the clock.
const LOOK: u32 = 32;

/// A column: its cost and where it stands.
#[derive(Clone, Debug)]
pub struct Column {
    /// What one unit costs.
    pub cost: f64,
    /// `(row, coefficient)`.
    pub entries: Vec<(u32, f64)>,
}

/// A linear program with a basis.
pub struct Lp {
    /// The columns, surpluses among them.
    pub columns: Vec<Column>,
    rhs: Vec<f64>,
    basis: Vec<u32>,
    basic: Vec<bool>,
    inverse: Vec<Vec<f64>>,
    x: Vec<f64>,
    /// The multiplier of each row.
    pub y: Vec<f64>,
    since: u32,
    /// A measure of the work done so far, about a nanosecond each.
    pub work: u64,
}

impl Lp {
    /// No rows and no columns.
    pub fn new() -> Lp {
        Lp {
            columns: Vec::new(),
            rhs: Vec::new(),
            basis: Vec::new(),
            basic: Vec::new(),
            inverse: Vec::new(),
            x: Vec::new(),
            y: Vec::new(),
            since: 0,
            work: 0,
        }
    }

    /// Adds a column.
    pub fn column(&mut self, cost: f64, entries: Vec<(u32, f64)>) -> u32 {
        self.columns.push(Column { cost, entries });
        self.basic.push(false);
        self.columns.len() as u32 - 1
    }

    /// Adds a row over existing columns; its surplus is basic.
    pub fn row(&mut self, rhs: f64, entries: &[(u32, f64)]) -> u32 {
        let row = self.rhs.len() as u32;
        for (column, value) in entries {
            self.columns[*column as usize].entries.push((row, *value));
        }
        let mut last = vec![0.0; self.rhs.len()];
        for (at, column) in self.basis.iter().enumerate() {
            if let Some((_, value)) = entries.iter().find(|entry| entry.0 == *column) {
                for (sum, part) in last.iter_mut().zip(&self.inverse[at]) {
                    *sum += value * part;
                }
            }
        }
        last.push(-1.0);
        self.inverse.iter_mut().for_each(|row| row.push(0.0));
        self.inverse.push(last);
        let surplus = self.column(0.0, vec![(row, -1.0)]);
        self.basic[surplus as usize] = true;
        self.basis.push(surplus);
        self.rhs.push(rhs);
        self.x.push(0.0);
        self.y.push(0.0);
        row
    }

    /// Changes a right side.
    pub fn set_rhs(&mut self, row: u32, rhs: f64) {
        self.rhs[row as usize] = rhs;
    }

    /// The value of each basic column.
    pub fn values(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.basis.iter().copied().zip(self.x.iter().copied())
    }

    /// The least cost.
    pub fn value(&self) -> f64 {
        self.y.iter().zip(&self.rhs).map(|(y, b)| y * b).sum()
    }

    /// What a column costs beyond what its rows pay.
    pub fn reduced(&self, column: u32) -> f64 {
        let Column { cost, entries } = &self.columns[column as usize];
        cost - entries.iter().map(|(row, value)| self.y[*row as usize] * value).sum::<f64>()
    }

    /// Removes columns that are not basic; `keep` says which stay. Returns the new index of each.
    pub fn purge(&mut self, keep: &dyn Fn(u32) -> bool) -> Vec<Option<u32>> {
        let mut moved = vec![None; self.columns.len()];
        let mut next = 0u32;
        for (at, moved) in moved.iter_mut().enumerate() {
            if self.basic[at] || keep(at as u32) {
                self.columns.swap(next as usize, at);
                self.basic.swap(next as usize, at);
                *moved = Some(next);
                next += 1;
            }
        }
        self.columns.truncate(next as usize);
        self.basic.truncate(next as usize);
        for column in &mut self.basis {
            *column = moved[*column as usize].unwrap_or(0);
        }
        moved
    }

    /// Whether a row's surplus is in the basis, so that it does not bind.
    pub fn is_slack(&self, row: u32) -> bool {
        self.basis.iter().any(|column| is_surplus(&self.columns[*column as usize], row))
    }

    /// Removes rows that do not bind, with their surpluses. Returns the new place of each row and of each column.
    pub fn remove(&mut self, rows: &[u32]) -> (Vec<Option<u32>>, Vec<Option<u32>>) {
        let gone = |row: u32| rows.contains(&row);
        let m = self.rhs.len() as u32;
        let mut next = 0;
        let place: Vec<Option<u32>> = (0..m)
            .map(|row| {
                let at = (!gone(row)).then_some(next);
                next += u32::from(at.is_some());
                at
            })
            .collect();
        let out: Vec<bool> =
            self.columns.iter().map(|column| rows.iter().any(|row| is_surplus(column, *row))).collect();
        let basis: Vec<bool> = self.basis.iter().map(|column| !out[*column as usize]).collect();
        let mut keep = basis.iter();
        self.inverse.retain(|_| keep.next().copied().unwrap_or(true));
        let mut keep = basis.iter();
        self.x.retain(|_| keep.next().copied().unwrap_or(true));
        let mut keep = basis.iter();
        self.basis.retain(|_| keep.next().copied().unwrap_or(true));
        for line in &mut self.inverse {
            let mut row = 0..m;
            line.retain(|_| row.next().is_none_or(|row| !gone(row)));
        }
        for values in [&mut self.rhs, &mut self.y] {
            let mut row = 0..m;
            values.retain(|_| row.next().is_none_or(|row| !gone(row)));
        }
        let mut next = 0;
        let columns: Vec<Option<u32>> = out
            .iter()
            .map(|out| {
                let at = (!out).then_some(next);
                next += u32::from(at.is_some());
                at
            })
            .collect();
        let mut at = out.iter();
        self.columns.retain(|_| at.next().is_some_and(|out| !out));
        let mut at = out.iter();
        self.basic.retain(|_| at.next().is_some_and(|out| !out));
        for column in &mut self.basis {
            *column = columns[*column as usize].unwrap_or(0);
        }
        for column in &mut self.columns {
            column.entries.retain_mut(|(row, _)| match place[*row as usize] {
                Some(at) => {
                    *row = at;
                    true
                }
                None => false,
            });
        }
        (place, columns)
    }

    /// Goes on to an optimal basis; `false` where it was stopped by the number of pivots, by the clock or by rounding.
    pub fn optimise(&mut self, most: u32, late: &dyn Fn() -> bool) -> bool {
        self.settle();
        let mut left = most;
        let mut dual = true;
        if self.x.iter().any(|x| *x < -1e-7) {
            // Costs are raised to where the basis is dual feasible, so that the dual method can restore the primal one, and a little
            // beyond, each by another amount: where many columns cost nothing more, the method would go round in circles.
            let shifts: Vec<(u32, f64)> = (0..self.columns.len() as u32)
                .filter(|c| !self.basic[*c as usize])
                .map(|c| (c, self.reduced(c) - NUDGE * (1.0 + (f64::from(c) * 0.618_033_988_75).fract())))
                .filter(|(_, reduced)| *reduced < 0.0)
                .collect();
            for (column, reduced) in &shifts {
                self.columns[*column as usize].cost -= reduced;
            }
            dual = self.dual(&mut left, late);
            for (column, reduced) in &shifts {
                self.columns[*column as usize].cost += reduced;
            }
            self.settle();
        }
        dual && self.primal(&mut left, late)
    }

    /// Values and multipliers of the basis.
    fn settle(&mut self) {
        if self.since >= REFRESH {
            self.refresh();
        }
        for (x, row) in self.x.iter_mut().zip(&self.inverse) {
            *x = row.iter().zip(&self.rhs).map(|(a, b)| a * b).sum();
        }
        self.y.iter_mut().for_each(|y| *y = 0.0);
        for (column, row) in self.basis.iter().zip(&self.inverse) {
            let cost = self.columns[*column as usize].cost;
            if cost != 0.0 {
                self.y.iter_mut().zip(row).for_each(|(y, part)| *y += cost * part);
            }
        }
    }

    fn primal(&mut self, left: &mut u32, late: &dyn Fn() -> bool) -> bool {
        loop {
            let mut best: Option<(f64, u32)> = None;
            for column in 0..self.columns.len() as u32 {
                if !self.basic[column as usize] {
                    let reduced = self.reduced(column);
                    if reduced < best.map_or(-1e-7, |b| b.0) {
                        best = Some((reduced, column));
                    }
                }
            }
            let Some((reduced, entering)) = best else { return true };
            if *left == 0 || (left.is_multiple_of(LOOK) && late()) {
                return false;
            }
            *left -= 1;
            let step = self.direction(entering);
            let mut leaving: Option<(f64, usize)> = None;
            for (at, rate) in step.iter().enumerate().filter(|(_, rate)| **rate > 1e-7) {
                let ratio = self.x[at].max(0.0) / rate;
                let better = leaving
                    .is_none_or(|(least, row)| ratio < least - ZERO || (ratio < least + ZERO && step[row] < *rate));
                if better {
                    leaving = Some((ratio, at));
                }
            }
            let Some((_, row)) = leaving else { return false };
            self.pivot(row, entering, &step, reduced);
        }
    }

    fn dual(&mut self, left: &mut u32, late: &dyn Fn() -> bool) -> bool {
        loop {
            let worst = self.x.iter().enumerate().fold(None, |worst: Option<(f64, usize)>, (at, x)| match worst {
                Some((least, _)) if *x >= least => worst,
                _ if *x < -1e-7 => Some((*x, at)),
                _ => worst,
            });
            let Some((_, row)) = worst else { return true };
            if *left == 0 || (left.is_multiple_of(LOOK) && late()) {
                return false;
            }
            *left -= 1;
            let mut best: Option<(f64, f64, u32, f64)> = None;
            for column in 0..self.columns.len() as u32 {
                if self.basic[column as usize] {
                    continue;
                }
                let entries = &self.columns[column as usize].entries;
                let rate: f64 = entries.iter().map(|(r, v)| self.inverse[row][*r as usize] * v).sum();
                if rate < -1e-7 {
                    let reduced = self.reduced(column).max(0.0);
                    let ratio = reduced / -rate;
                    if best
                        .is_none_or(|(least, most, ..)| ratio < least - ZERO || (ratio < least + ZERO && -rate > most))
                    {
                        best = Some((ratio, -rate, column, reduced));
                    }
                }
            }
            let Some((_, _, entering, reduced)) = best else { return false };
            let step = self.direction(entering);
            if step[row].abs() < 1e-8 {
                return false;
            }
            self.pivot(row, entering, &step, reduced);
        }
    }

    /// How the basic columns change with one unit less of a column.
    fn direction(&self, column: u32) -> Vec<f64> {
        let entries = &self.columns[column as usize].entries;
        self.inverse.iter().map(|row| entries.iter().map(|(at, value)| row[*at as usize] * value).sum()).collect()
    }

    fn pivot(&mut self, row: usize, entering: u32, step: &[f64], reduced: f64) {
        let rate = step[row];
        let mut pivot = std::mem::take(&mut self.inverse[row]);
        pivot.iter_mut().for_each(|value| *value /= rate);
        let gain = self.x[row] / rate;
        // Often most of the inverse is zero, and so is most of this row.
        let parts: Vec<(u32, f64)> = pivot
            .iter()
            .enumerate()
            .filter(|(_, part)| part.abs() > 1e-14)
            .map(|(at, part)| (at as u32, *part))
            .collect();
        let dense = parts.len() * 4 > pivot.len();
        for (at, other) in self.inverse.iter_mut().enumerate() {
            let factor = step[at];
            if at == row || factor.abs() < 1e-12 {
                continue;
            }
            self.x[at] -= factor * gain;
            if dense {
                other.iter_mut().zip(&pivot).for_each(|(value, part)| *value -= factor * part);
                continue;
            }
            for &(column, part) in &parts {
                other[column as usize] -= factor * part;
            }
        }
        parts.iter().for_each(|(at, part)| self.y[*at as usize] += reduced * part);
        self.x[row] = gain;
        self.inverse[row] = pivot;
        self.basic[self.basis[row] as usize] = false;
        self.basic[entering as usize] = true;
        self.basis[row] = entering;
        self.since += 1;
        let (m, n) = (self.rhs.len() as u64, self.columns.len() as u64);
        self.work += m * m / 4 + n * 12;
    }

    /// Computes the inverse from the basis again; a column that has become dependent makes room for a surplus.
    fn refresh(&mut self) {
        let m = self.rhs.len();
        self.since = 0;
        let mut inverse: Vec<Vec<f64>> =
            (0..m).map(|i| (0..m).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect();
        let mut placed: Vec<Option<u32>> = vec![None; m];
        let mut columns = std::mem::take(&mut self.basis);
        columns.sort_by_key(|c| (self.columns[*c as usize].entries.len(), *c));
        let pivot =
            |inverse: &mut Vec<Vec<f64>>, placed: &mut Vec<Option<u32>>, column: u32, entries: &[(u32, f64)]| {
                let step: Vec<f64> =
                    inverse.iter().map(|r| entries.iter().map(|(a, v)| r[*a as usize] * v).sum()).collect();
                let free = (0..m).filter(|r| placed[*r].is_none());
                let row = free.fold(None, |best: Option<usize>, r| match best {
                    Some(b) if step[b].abs() >= step[r].abs() => best,
                    _ => Some(r),
                });
                let Some(row) = row.filter(|r| step[*r].abs() > 1e-8) else { return false };
                let mut line = std::mem::take(&mut inverse[row]);
                line.iter_mut().for_each(|value| *value /= step[row]);
                for (at, other) in inverse.iter_mut().enumerate() {
                    if at != row && step[at] != 0.0 {
                        other.iter_mut().zip(&line).for_each(|(value, part)| *value -= step[at] * part);
                    }
                }
                inverse[row] = line;
                placed[row] = Some(column);
                true
            };
        for column in columns {
            if !pivot(&mut inverse, &mut placed, column, &self.columns[column as usize].entries) {
                self.basic[column as usize] = false;
            }
        }
        // Each row has a surplus of its own, so that the rest can always be filled.
        for column in 0..self.columns.len() as u32 {
            if placed.iter().all(Option::is_some) {
                break;
            }
            let own = &self.columns[column as usize].entries;
            if !self.basic[column as usize] && own.len() == 1 && pivot(&mut inverse, &mut placed, column, own) {
                self.basic[column as usize] = true;
            }
        }
        self.basis = placed.into_iter().flatten().collect();
        self.inverse = inverse;
    }
}

fn is_surplus(column: &Column, row: u32) -> bool {
    column.cost == 0.0 && column.entries.len() == 1 && column.entries[0] == (row, -1.0)
}
