//! A linear program with one-of-n rows -> its optimal basis, by a dense revised dual simplex that starts from any dual
//! feasible basis (the root's, or the parent node's).
//!
//! Floats only: nothing here is trusted. The multipliers become a proof in [`super::relax`], in integers.

use super::model::Domain;

/// An inequality `Σ coef · x (− target) <= rhs`, scaled to coefficients around 1.
pub struct LpRow {
    /// One coefficient per column.
    pub coef: Vec<f64>,
    /// The right-hand side.
    pub rhs: f64,
    /// Whether the row bounds the target variable instead of a constant.
    pub on_target: bool,
}

/// Minimise `cost · x` (or the target variable), one column per step, under the rows.
pub struct Lp {
    /// How many steps.
    pub steps: usize,
    /// The step of each column.
    pub step: Vec<usize>,
    /// The cost of each column.
    pub cost: Vec<f64>,
    /// The rows, which may grow; they never shrink.
    pub rows: Vec<LpRow>,
}

/// How a solve ended.
pub enum Answer {
    /// Primal and dual feasible.
    Optimal,
    /// The objective has passed the cutoff.
    Cutoff,
    /// No solution; non-negative multipliers of the rows that show it.
    Infeasible(Vec<f64>),
    /// Too many pivots, or numerical trouble. The multipliers are still worth something.
    Stalled,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Var {
    Column(u32),
    Slack(u32),
    Target,
}

/// A basis with its inverse.
#[derive(Clone)]
pub struct Basis {
    var: Vec<Var>,
    inverse: Vec<f64>,
    value: Vec<f64>,
    dual: Vec<f64>,
    pivots: usize,
}

impl Basis {
    /// Forgets the inverse, which is most of the memory; the next solve rebuilds it.
    pub fn pack(&mut self) {
        self.inverse = Vec::new();
        self.pivots = usize::MAX;
    }
}

const FEASIBLE: f64 = 1e-8;
const PIVOT: f64 = 1e-7;
const REFACTOR: usize = 60;

impl Lp {
    /// The basis of the cheapest column of each step, which is dual feasible.
    pub fn start(&self, domain: &Domain) -> Basis {
        let cheapest = |step: usize| {
            let by_cost = |a: &&u32, b: &&u32| self.cost[**a as usize].total_cmp(&self.cost[**b as usize]);
            domain.of(step).iter().min_by(by_cost).copied().unwrap_or(0)
        };
        let var: Vec<Var> = (0..self.steps).map(|step| Var::Column(cheapest(step))).collect();
        let dual = var.iter().map(|&var| self.cost_of(var)).collect();
        let mut inverse = vec![0.0; self.steps * self.steps];
        (0..self.steps).for_each(|i| inverse[i * self.steps + i] = 1.0);
        let mut basis = Basis { var, inverse, value: vec![1.0; self.steps], dual, pivots: 0 };
        self.extend(&mut basis);
        basis
    }

    /// The multipliers of the rows, non-negative.
    pub fn multipliers(&self, basis: &Basis) -> Vec<f64> {
        basis.dual[self.steps..].iter().map(|&dual| (-dual).max(0.0)).collect()
    }

    /// The columns with a positive value.
    pub fn primal(&self, basis: &Basis) -> Vec<(u32, f64)> {
        let mut found = Vec::new();
        for (&var, &value) in basis.var.iter().zip(&basis.value) {
            if let Var::Column(column) = var
                && value > 1e-6
            {
                found.push((column, value));
            }
        }
        found.sort_unstable_by_key(|pair| pair.0);
        found
    }

    /// The value of the target variable.
    pub fn target(&self, basis: &Basis) -> f64 {
        basis.var.iter().position(|&var| var == Var::Target).map_or(0.0, |place| basis.value[place])
    }

    /// The objective.
    pub fn objective(&self, basis: &Basis) -> f64 {
        let constant = basis.dual[..self.steps].iter().sum::<f64>();
        constant + basis.dual[self.steps..].iter().zip(&self.rows).map(|(dual, row)| dual * row.rhs).sum::<f64>()
    }

    fn cost_of(&self, var: Var) -> f64 {
        match var {
            Var::Column(column) => self.cost[column as usize],
            Var::Slack(_) => 0.0,
            Var::Target => 1.0,
        }
    }

    fn entry(&self, row: &LpRow, place: usize, var: Var) -> f64 {
        match var {
            Var::Column(column) => row.coef[column as usize],
            Var::Slack(slack) => f64::from(u8::from(slack as usize == place)),
            Var::Target => -f64::from(u8::from(row.on_target)),
        }
    }

    /// Makes the slacks of rows that are newer than the basis basic.
    fn extend(&self, basis: &mut Basis) {
        let (old, new) = (basis.var.len(), self.steps + self.rows.len());
        if old == new {
            return;
        }
        let mut inverse = vec![0.0; new * new];
        for i in 0..old {
            inverse[i * new..i * new + old].copy_from_slice(&basis.inverse[i * old..(i + 1) * old]);
        }
        for place in old - self.steps..self.rows.len() {
            let row = &self.rows[place];
            let at = self.steps + place;
            let mut value = row.rhs;
            for i in 0..old {
                let entry = self.entry(row, place, basis.var[i]);
                if entry != 0.0 {
                    value -= entry * basis.value[i];
                    (0..old).for_each(|c| inverse[at * new + c] -= entry * basis.inverse[i * old + c]);
                }
            }
            inverse[at * new + at] = 1.0;
            basis.var.push(Var::Slack(place as u32));
            basis.value.push(value);
            basis.dual.push(0.0);
        }
        basis.inverse = inverse;
    }

    /// Rebuilds the inverse from the basic variables, against drift; `false` when they are dependent.
    fn refactor(&self, basis: &mut Basis) -> bool {
        let size = basis.var.len();
        let width = 2 * size;
        // The basis may be older than the newest rows.
        let rows = &self.rows[..size - self.steps];
        basis.inverse.resize(size * size, 0.0);
        let mut grid = vec![0.0; size * width];
        for (c, &var) in basis.var.iter().enumerate() {
            if let Var::Column(column) = var {
                grid[self.step[column as usize] * width + c] = 1.0;
            }
            for (place, row) in rows.iter().enumerate() {
                grid[(self.steps + place) * width + c] = self.entry(row, place, var);
            }
        }
        (0..size).for_each(|i| grid[i * width + size + i] = 1.0);
        for c in 0..size {
            let best = (c..size).max_by(|&a, &b| grid[a * width + c].abs().total_cmp(&grid[b * width + c].abs()));
            let Some(best) = best.filter(|&r| grid[r * width + c].abs() > 1e-11) else {
                return false;
            };
            if best != c {
                (0..width).for_each(|k| grid.swap(best * width + k, c * width + k));
            }
            let scale = 1.0 / grid[c * width + c];
            (c..width).for_each(|k| grid[c * width + k] *= scale);
            let pivot: Vec<f64> = grid[c * width + c..(c + 1) * width].to_vec();
            for r in (0..size).filter(|&r| r != c) {
                let factor = grid[r * width + c];
                if factor != 0.0 {
                    let row = &mut grid[r * width + c..(r + 1) * width];
                    row.iter_mut().zip(&pivot).for_each(|(a, b)| *a -= factor * b);
                }
            }
        }
        basis.dual.fill(0.0);
        for i in 0..size {
            let row = &grid[i * width + size..(i + 1) * width];
            basis.inverse[i * size..(i + 1) * size].copy_from_slice(row);
            let rhs = row[self.steps..].iter().zip(&self.rows).map(|(a, lp_row)| a * lp_row.rhs).sum::<f64>();
            basis.value[i] = row[..self.steps].iter().sum::<f64>() + rhs;
            let cost = self.cost_of(basis.var[i]);
            basis.dual.iter_mut().zip(row).for_each(|(dual, a)| *dual += cost * a);
        }
        basis.pivots = 0;
        true
    }

    /// `c · A_j` for every column in the list, `c` being one factor per row of the basis.
    fn products(&self, factor: &[f64], columns: &[u32], out: &mut Vec<f64>) {
        out.clear();
        out.extend(columns.iter().map(|&column| factor[self.step[column as usize]]));
        for (row, &factor) in self.rows.iter().zip(&factor[self.steps..]) {
            if factor != 0.0 {
                out.iter_mut().zip(columns).for_each(|(sum, &column)| *sum += factor * row.coef[column as usize]);
            }
        }
    }

    /// Pivots until the domain's optimum, or until the objective passes the cutoff.
    pub fn solve(&self, basis: &mut Basis, domain: &Domain, cutoff: f64, max_pivots: usize) -> Answer {
        if basis.pivots > REFACTOR && !self.refactor(basis) {
            return Answer::Stalled;
        }
        self.extend(basis);
        let columns = domain.all();
        let size = basis.var.len();
        let has_target = self.rows.iter().any(|row| row.on_target);
        let alive = |column: u32| domain.of(self.step[column as usize]).binary_search(&column).is_ok();
        let mut dead: Vec<bool> =
            basis.var.iter().map(|var| matches!(var, Var::Column(column) if !alive(*column))).collect();
        let mut inside = vec![false; self.cost.len()];
        for var in &basis.var {
            if let Var::Column(column) = var {
                inside[*column as usize] = true;
            }
        }
        let (mut reduced, mut alpha) = (Vec::new(), Vec::new());
        self.products(&basis.dual, columns, &mut reduced);
        reduced.iter_mut().zip(columns).for_each(|(d, &column)| *d = self.cost[column as usize] - *d);
        for _ in 0..max_pivots {
            if self.objective(basis) > cutoff {
                return Answer::Cutoff;
            }
            let Some((r, sign)) = leaving(basis, &dead) else {
                return Answer::Optimal;
            };
            let rho = basis.inverse[r * size..(r + 1) * size].to_vec();
            self.products(&rho, columns, &mut alpha);
            // Ratio test: the entering variable keeps every reduced cost non-negative; on a tie the larger pivot is safer.
            let mut best: Option<(Var, f64, f64, f64)> = None;
            let mut offer = |var: Var, alpha: f64, reduced: f64| {
                if sign * alpha > PIVOT {
                    let ratio = reduced.max(0.0) / alpha.abs();
                    let better = best.is_none_or(|(_, least, pivot, _)| {
                        ratio < least - 1e-12 || (ratio <= least + 1e-12 && alpha.abs() > pivot.abs() * 1.001)
                    });
                    if better {
                        best = Some((var, ratio, alpha, reduced.max(0.0)));
                    }
                }
            };
            for ((&column, &alpha), &reduced) in columns.iter().zip(&alpha).zip(&reduced) {
                if !inside[column as usize] {
                    offer(Var::Column(column), alpha, reduced);
                }
            }
            for place in 0..self.rows.len() {
                if !basis.var.contains(&Var::Slack(place as u32)) {
                    offer(Var::Slack(place as u32), rho[self.steps + place], -basis.dual[self.steps + place]);
                }
            }
            if has_target && !basis.var.contains(&Var::Target) {
                let along = |factor: &[f64]| -> f64 {
                    let pairs = self.rows.iter().zip(&factor[self.steps..]);
                    pairs.filter(|pair| pair.0.on_target).map(|pair| pair.1).sum()
                };
                offer(Var::Target, -along(&rho), 1.0 + along(&basis.dual));
            }
            let Some((entering, _, pivot, cost)) = best else {
                return Answer::Infeasible(rho[self.steps..].iter().map(|&a| (-sign * a).max(0.0)).collect());
            };
            let step = cost / pivot;
            reduced.iter_mut().zip(&alpha).for_each(|(d, a)| *d -= step * a);
            basis.dual.iter_mut().zip(&rho).for_each(|(dual, a)| *dual += step * a);
            if let Var::Column(column) = basis.var[r] {
                inside[column as usize] = false;
            }
            if let Var::Column(column) = entering {
                inside[column as usize] = true;
            }
            dead[r] = false;
            if !self.replace(basis, r, entering) {
                return Answer::Stalled;
            }
            if basis.pivots > REFACTOR {
                if !self.refactor(basis) {
                    return Answer::Stalled;
                }
                self.products(&basis.dual, columns, &mut reduced);
                reduced.iter_mut().zip(columns).for_each(|(d, &column)| *d = self.cost[column as usize] - *d);
            }
        }
        Answer::Stalled
    }

    /// Puts `entering` in the basis in place of the variable of row `r`.
    fn replace(&self, basis: &mut Basis, r: usize, entering: Var) -> bool {
        let size = basis.var.len();
        let mut entries: Vec<(usize, f64)> = Vec::new();
        if let Var::Column(column) = entering {
            entries.push((self.step[column as usize], 1.0));
        }
        for (place, row) in self.rows.iter().enumerate() {
            let entry = self.entry(row, place, entering);
            if entry != 0.0 {
                entries.push((self.steps + place, entry));
            }
        }
        let along = |row: &[f64]| entries.iter().map(|&(place, entry)| row[place] * entry).sum::<f64>();
        let direction: Vec<f64> = basis.inverse.chunks_exact(size).map(along).collect();
        if direction[r].abs() < PIVOT * 0.1 {
            return false;
        }
        let length = basis.value[r] / direction[r];
        let scale = 1.0 / direction[r];
        let pivot: Vec<f64> = basis.inverse[r * size..(r + 1) * size].iter().map(|a| a * scale).collect();
        for (i, row) in basis.inverse.chunks_exact_mut(size).enumerate() {
            if i == r {
                row.copy_from_slice(&pivot);
                basis.value[i] = length;
            } else if direction[i] != 0.0 {
                row.iter_mut().zip(&pivot).for_each(|(a, b)| *a -= direction[i] * b);
                basis.value[i] -= direction[i] * length;
            }
        }
        basis.var[r] = entering;
        basis.pivots += 1;
        true
    }
}

/// The row whose variable violates its bounds most, and the sign its pivot must have. A dead column must come down to 0.
fn leaving(basis: &Basis, dead: &[bool]) -> Option<(usize, f64)> {
    let mut worst: Option<(usize, f64)> = None;
    let mut most = FEASIBLE;
    for (r, &value) in basis.value.iter().enumerate() {
        let violation = if dead[r] { value.abs() } else { -value };
        if violation > most {
            most = violation;
            worst = Some((r, if value < 0.0 { -1.0 } else { 1.0 }));
        }
    }
    worst
}
