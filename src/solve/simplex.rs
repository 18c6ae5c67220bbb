//! A linear program with one-of-n rows -> its optimal basis, by a dual simplex over a working basis of the active rows, that
//! starts from any dual feasible basis (the root's, or the parent node's).
//!
//! Floats only: nothing here is trusted. The multipliers become a proof in [`super::relax`], in integers.

use super::basis::{Basis, Var};
use super::coefs::Coefs;
use super::model::Domain;
use super::near::Near;

/// An inequality `Σ coef · x (− target) <= rhs`, scaled to coefficients around 1.
pub struct LpRow {
    /// The coefficients of its steps.
    pub coef: Coefs<f64>,
    /// The right-hand side.
    pub rhs: f64,
    /// Whether the row bounds the target variable instead of a constant.
    pub on_target: bool,
    /// The steps with a coefficient other than 0.
    pub steps: Vec<usize>,
}

impl LpRow {
    /// What a point leaves of the right-hand side.
    pub fn slack(&self, point: &Point, target: f64) -> f64 {
        let taken = self.steps.iter().map(|&step| self.coef.dot(step, point.of(step))).sum::<f64>();
        self.rhs - taken + if self.on_target { target } else { 0.0 }
    }
}

/// The columns that a relaxed point takes, with their weights, by step.
pub struct Point {
    taken: Vec<(u32, f64)>,
    start: Vec<u32>,
}

impl Point {
    /// The point that takes some columns, ascending; `step` says whose each column is.
    pub fn new(taken: Vec<(u32, f64)>, step: &[u32], steps: usize) -> Self {
        let mut start = Vec::with_capacity(steps + 1);
        for (place, &(column, _)) in (0u32..).zip(&taken) {
            start.extend((start.len()..=step[column as usize] as usize).map(|_| place));
        }
        start.extend((start.len()..=steps).map(|_| taken.len() as u32));
        Point { taken, start }
    }

    /// What it takes, ascending.
    pub fn all(&self) -> &[(u32, f64)] {
        &self.taken
    }

    /// What it takes of a step.
    pub fn of(&self, step: usize) -> &[(u32, f64)] {
        &self.taken[self.start[step] as usize..self.start[step + 1] as usize]
    }
}

/// Sums that are kept side by side, so that none waits for the one before.
const LANES: usize = 4;

/// The scalar product.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

/// Minimise `cost · x` (or the target variable), one column per step, under the rows.
pub struct Lp {
    /// The step of each column.
    pub step: Vec<u32>,
    /// The cost of each column.
    pub cost: Vec<f64>,
    /// The rows, which may grow; they never shrink.
    pub rows: Vec<LpRow>,
    /// The reduced cost of each column at hand, without end for those that the domain lacks, and the row of the tableau that is priced.
    reduced: Vec<f64>,
    alpha: Vec<f64>,
    near: Near,
    /// The objective so far.
    gained: f64,
    /// The basic columns that the domain lacks.
    dead: Vec<u32>,
    /// What is basic in each step beside its key.
    beside: Vec<Option<f64>>,
    /// The row and the column of the inverse that a pivot is made of.
    rho: Vec<f64>,
    direction: Vec<f64>,
}

/// How a solve ended.
pub enum Answer {
    /// Primal and dual feasible.
    Optimal,
    /// The objective has passed the cutoff.
    Cutoff,
    /// No solution; rows and positive multipliers that show it.
    Infeasible(Vec<(u32, f64)>),
    /// Too many pivots, or numerical trouble. The multipliers are still worth something.
    Stalled,
}

const FEASIBLE: f64 = 1e-8;
const PIVOT: f64 = 1e-7;
const REFACTOR: usize = 50;
/// More than any ratio, and less than what columns cost that are not there.
const FAR: f64 = 1e250;
/// Columns whose ratios are looked at together.
const AT_ONCE: usize = 16;

/// What leaves the basis.
enum Leaving {
    /// A variable of the working basis.
    Working(usize),
    /// The key of a step without other basic columns.
    Key(usize),
}

impl Lp {
    /// A program without rows.
    pub fn new(step: Vec<u32>, cost: Vec<f64>) -> Self {
        Lp {
            step,
            cost,
            rows: Vec::new(),
            reduced: Vec::new(),
            alpha: Vec::new(),
            near: Near::default(),
            gained: 0.0,
            dead: Vec::new(),
            beside: Vec::new(),
            rho: Vec::new(),
            direction: Vec::new(),
        }
    }

    /// The rows with a positive multiplier.
    pub fn multipliers(&self, basis: &Basis) -> Vec<(u32, f64)> {
        let pairs = basis.rows.iter().zip(&basis.dual);
        pairs.filter(|pair| *pair.1 < 0.0).map(|(&row, &dual)| (row, -dual)).collect()
    }

    /// The columns with a positive value, ascending.
    pub fn primal(&self, basis: &Basis) -> Vec<(u32, f64)> {
        let mut found: Vec<(u32, f64)> = basis.key.iter().map(|&key| (key, 1.0)).collect();
        for (&var, &value) in basis.var.iter().zip(&basis.value) {
            if let Var::Column(column) = var {
                found[self.step[column as usize] as usize].1 -= value;
                found.push((column, value));
            }
        }
        found.retain(|pair| pair.1 > 1e-6);
        found.sort_unstable_by_key(|pair| pair.0);
        found
    }

    /// The same, by step.
    pub fn point(&self, basis: &Basis) -> Point {
        Point::new(self.primal(basis), &self.step, basis.key.len())
    }

    /// The value of the target variable.
    pub fn target(&self, basis: &Basis) -> f64 {
        basis.var.iter().position(|&var| var == Var::Target).map_or(0.0, |place| basis.value[place])
    }

    /// The objective.
    pub fn objective(&self, basis: &Basis) -> f64 {
        let keys: f64 = basis.key.iter().map(|&key| self.cost[key as usize]).sum();
        keys + basis.var.iter().zip(&basis.value).map(|(&var, value)| basis.cost_of(self, var) * value).sum::<f64>()
    }

    /// `factor · (a_j − a_key)` for every column at hand.
    fn products(&self, factor: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.near.columns().all().len(), 0.0);
        self.near.combine(factor, out);
    }

    fn price(&mut self, basis: &Basis) {
        let mut reduced = std::mem::take(&mut self.reduced);
        self.products(&basis.dual, &mut reduced);
        let at_hand = self.near.columns();
        for (step, &key) in basis.key.iter().enumerate() {
            let base = self.cost[key as usize];
            for (reduced, &column) in reduced[at_hand.range(step)].iter_mut().zip(at_hand.of(step)) {
                *reduced = self.cost[column as usize] - base - *reduced;
            }
        }
        self.near.lacking().iter().for_each(|&place| reduced[place as usize] = f64::INFINITY);
        self.reduced = reduced;
    }

    /// Pivots until the domain's optimum over the active rows, or until the objective passes the cutoff.
    pub fn solve(&mut self, basis: &mut Basis, domain: &Domain, cutoff: f64, max_pivots: usize) -> Answer {
        if basis.pivots > REFACTOR && !basis.refactor(self) {
            return Answer::Stalled;
        }
        self.near.gather(&self.rows, basis, domain);
        self.price(basis);
        self.gained = self.objective(basis);
        self.dead.clear();
        let lacks = |column: &u32| domain.of(self.step[*column as usize] as usize).binary_search(column).is_err();
        let dead: Vec<u32> = basis.columns().filter(lacks).collect();
        self.dead = dead;
        for _ in 0..max_pivots {
            if self.gained > cutoff {
                return Answer::Cutoff;
            }
            match self.leaving(basis) {
                None => return Answer::Optimal,
                Some(Leaving::Key(step)) => {
                    if !self.rekey(basis, step) {
                        return Answer::Stalled;
                    }
                }
                Some(Leaving::Working(r)) => {
                    if let Some(answer) = self.pivot(basis, r) {
                        return answer;
                    }
                }
            }
            if basis.pivots > REFACTOR {
                if !basis.refactor(self) {
                    return Answer::Stalled;
                }
                self.price(basis);
            }
        }
        Answer::Stalled
    }

    /// The variable that violates its bounds most, by the length of its row (steepest edge). A column outside the domain must come down to 0. A key that leaves first
    /// changes places with another basic column of its step, where there is one.
    fn leaving(&mut self, basis: &mut Basis) -> Option<Leaving> {
        let dead = |column: u32| self.dead.contains(&column);
        let mut most = 0.0;
        let mut worst = None;
        // What the basic columns beside a step's key come to, where there are any.
        let mut beside = std::mem::take(&mut self.beside);
        beside.clear();
        beside.resize(basis.key.len(), None);
        for (r, (&var, &value)) in basis.var.iter().zip(&basis.value).enumerate() {
            let mut violation = -value;
            if let Var::Column(column) = var {
                *beside[self.step[column as usize] as usize].get_or_insert(0.0) += value;
                if value > FEASIBLE && dead(column) {
                    violation = value;
                }
            }
            if violation > FEASIBLE {
                let length = dot(basis.line(r), basis.line(r));
                let score = violation * violation / length.max(1e-9);
                if score > most {
                    most = score;
                    worst = Some(Leaving::Working(r));
                }
            }
        }
        for (step, (&key, others)) in basis.key.iter().zip(&beside).enumerate() {
            let value = 1.0 - others.unwrap_or(0.0);
            let violation = if value > FEASIBLE && dead(key) { value } else { -value };
            if violation > FEASIBLE {
                let length = if others.is_some() { self.key_length(basis, step as u32) } else { 1.0 };
                let score = violation * violation / length.max(1e-9);
                if score > most {
                    most = score;
                    worst = Some(Leaving::Key(step));
                }
            }
        }
        self.beside = beside;
        let Some(Leaving::Key(step)) = worst else {
            return worst;
        };
        let of_step = |var: &Var| matches!(var, Var::Column(column) if self.step[*column as usize] as usize == step);
        let others: Vec<usize> = (0..basis.var.len()).filter(|&r| of_step(&basis.var[r])).collect();
        let best = others.iter().copied().max_by(|&a, &b| basis.value[a].total_cmp(&basis.value[b]));
        let Some(best) = best else {
            return Some(Leaving::Key(step));
        };
        let size = basis.size();
        let value = 1.0 - others.iter().map(|&r| basis.value[r]).sum::<f64>();
        for c in 0..size {
            basis.inverse[best * size + c] = -others.iter().map(|&r| basis.inverse[r * size + c]).sum::<f64>();
        }
        if let Var::Column(column) = basis.var[best] {
            basis.var[best] = Var::Column(std::mem::replace(&mut basis.key[step], column));
        }
        basis.value[best] = value;
        self.near.rekey(&self.rows, basis, step);
        Some(Leaving::Working(best))
    }

    /// The squared length of the row that says how much of a step is on its key.
    fn key_length(&self, basis: &Basis, step: u32) -> f64 {
        let of_step = |var: &Var| matches!(var, Var::Column(column) if self.step[*column as usize] == step);
        let mut sum = vec![0.0; basis.size()];
        for (r, _) in basis.var.iter().enumerate().filter(|pair| of_step(pair.1)) {
            sum.iter_mut().zip(basis.line(r)).for_each(|(sum, a)| *sum += a);
        }
        dot(&sum, &sum)
    }

    /// Gives a step whose only basic column leaves another key.
    fn rekey(&mut self, basis: &mut Basis, step: usize) -> bool {
        let columns = self.near.columns().of(step);
        let reduced = &mut self.reduced[self.near.columns().range(step)];
        let Some(best) = (0..columns.len()).min_by(|&a, &b| reduced[a].total_cmp(&reduced[b])) else {
            return false;
        };
        let raise = reduced[best];
        if raise == f64::INFINITY {
            return false;
        }
        reduced.iter_mut().for_each(|d| *d -= raise);
        self.gained += raise;
        let (old, new) = (basis.key[step], columns[best]);
        for (i, &row) in basis.rows.iter().enumerate() {
            let coef = &self.rows[row as usize].coef;
            let change = coef.at(step, new) - coef.at(step, old);
            if change != 0.0 {
                let size = basis.rows.len();
                let values = basis.value.iter_mut().enumerate();
                values.for_each(|(r, value)| *value -= basis.inverse[r * size + i] * change);
            }
        }
        basis.key[step] = new;
        self.near.rekey(&self.rows, basis, step);
        true
    }

    /// Drives a variable out of the working basis; says how the solve ends, where it does.
    fn pivot(&mut self, basis: &mut Basis, r: usize) -> Option<Answer> {
        let mut rho = std::mem::take(&mut self.rho);
        rho.clear();
        rho.extend_from_slice(basis.line(r));
        let sign = if basis.value[r] < 0.0 { -1.0 } else { 1.0 };
        let mut alpha = std::mem::take(&mut self.alpha);
        self.products(&rho, &mut alpha);
        // Ratio test: the entering variable keeps every reduced cost non-negative; on a tie the larger pivot is safer.
        let mut best: Option<(Var, f64, f64, f64)> = None;
        let mut offer = |var: Var, alpha: f64, reduced: f64| {
            let ratio = reduced.max(0.0) / alpha.abs();
            let better = best.is_none_or(|(_, least, pivot, _)| {
                ratio < least - 1e-12 || (ratio <= least + 1e-12 && alpha.abs() > pivot.abs() * 1.001)
            });
            if better {
                best = Some((var, ratio, alpha, reduced.max(0.0)));
            }
        };
        // Most columns are far from the least ratio, which a product says as well as a quotient, of several at once.
        let mut least = FAR;
        let near = |least: f64, alpha: f64, reduced: f64| (sign * alpha > PIVOT) & (reduced <= least * (sign * alpha));
        for (chunk, (alphas, costs)) in alpha.chunks(AT_ONCE).zip(self.reduced.chunks(AT_ONCE)).enumerate() {
            if !alphas.iter().zip(costs).fold(false, |any, (&alpha, &reduced)| any | near(least, alpha, reduced)) {
                continue;
            }
            for (place, (&alpha, &reduced)) in (chunk * AT_ONCE..).zip(alphas.iter().zip(costs)) {
                if near(least, alpha, reduced) {
                    offer(Var::Column(self.near.columns().all()[place]), alpha, reduced);
                    least = least.min(reduced.max(0.0) / (sign * alpha) + 1e-12);
                }
            }
        }
        let (mut along, mut through, mut has_target) = (0.0, 0.0, false);
        for (i, &row) in basis.rows.iter().enumerate() {
            if sign * rho[i] > PIVOT {
                offer(Var::Slack(row), rho[i], -basis.dual[i]);
            }
            if self.rows[row as usize].on_target {
                has_target = true;
                along += rho[i];
                through += basis.dual[i];
            }
        }
        if has_target && -sign * along > PIVOT {
            offer(Var::Target, -along, 1.0 + through);
        }
        let Some((entering, _, pivot, cost)) = best else {
            self.alpha = alpha;
            let pairs = basis.rows.iter().zip(&rho).map(|(&row, a)| (row, -sign * a));
            return Some(Answer::Infeasible(pairs.filter(|pair| pair.1 > 0.0).collect()));
        };
        let step = cost / pivot;
        self.gained += step * basis.value[r];
        self.reduced.iter_mut().zip(&alpha).for_each(|(d, a)| *d -= step * a);
        basis.dual.iter_mut().zip(&rho).for_each(|(dual, a)| *dual += step * a);
        self.alpha = alpha;
        self.rho = rho;
        if self.replace(basis, r, entering) { None } else { Some(Answer::Stalled) }
    }

    /// Puts `entering` in the working basis in place of the variable of row `r`.
    fn replace(&mut self, basis: &mut Basis, r: usize, entering: Var) -> bool {
        let size = basis.size();
        let mut entries = std::mem::take(&mut self.rho);
        entries.clear();
        entries.extend(basis.rows.iter().map(|&row| self.rows[row as usize].entry(self, &basis.key, row, entering)));
        let mut direction = std::mem::take(&mut self.direction);
        direction.clear();
        // A column has entries in few rows: those of sums and paths, and where its class is linked.
        let some: Vec<(usize, f64)> = entries.iter().copied().enumerate().filter(|entry| entry.1 != 0.0).collect();
        if 2 * some.len() < size {
            let along = |line: &[f64]| some.iter().map(|&(i, entry)| line[i] * entry).sum::<f64>();
            direction.extend(basis.inverse.chunks_exact(size).map(along));
        } else {
            direction.extend(basis.inverse.chunks_exact(size).map(|line| dot(line, &entries)));
        }
        if direction[r].abs() < PIVOT * 0.1 {
            return false;
        }
        let length = basis.value[r] / direction[r];
        let scale = 1.0 / direction[r];
        let mut pivot = entries;
        pivot.clear();
        pivot.extend(basis.line(r).iter().map(|a| a * scale));
        for (i, line) in basis.inverse.chunks_exact_mut(size).enumerate() {
            if i == r {
                line.copy_from_slice(&pivot);
                basis.value[i] = length;
            } else if direction[i] != 0.0 {
                line.iter_mut().zip(&pivot).for_each(|(a, b)| *a -= direction[i] * b);
                basis.value[i] -= direction[i] * length;
            }
        }
        (self.rho, self.direction) = (pivot, direction);
        basis.var[r] = entering;
        basis.pivots += 1;
        true
    }
}
