//! A [`Model`] and a goal -> lower bounds, as integer combinations of rows that every plan satisfies.
//!
//! The linear program proposes multipliers in floats. They are floored to integers (over a power of two) and the combination
//! is recomputed in `i128`: any non-negative multipliers give a valid bound, so that no float is trusted.

use super::model::{Ceiling, Domain, Model, Row};
use super::presolve::ANY;
use super::price::{Bound, Cases, Goal, Hints, Multipliers};
use super::problem::Figure;
use super::simplex::{Answer, Basis, Lp, LpRow};

/// More rows than this in the linear program cost more than they save.
const MOST_ROWS: usize = 160;
/// Multipliers have at most this many bits, so that a combination fits in `i128`.
const BITS: i32 = 50;

/// The linear relaxation of a model, grown row by row.
pub struct Relaxation<'m> {
    model: &'m Model<'m>,
    goal: Goal,
    /// The root's domain: rows are shifted and scaled by it, wherever they are found.
    root: Domain,
    /// The linear program.
    pub lp: Lp,
    rows: Vec<Row>,
    scale: Vec<f64>,
    cost_scale: f64,
    cost_base: f64,
    row_in: Vec<bool>,
    link_in: Vec<Vec<bool>>,
    paths: Vec<(Ceiling, Vec<usize>)>,
}

impl<'m> Relaxation<'m> {
    /// The relaxation without any rows; `domain` is the root's, for scaling.
    pub fn new(model: &'m Model<'m>, goal: Goal, domain: &Domain) -> Self {
        let space = model.space;
        let mut cost = vec![0.0; space.columns()];
        let (mut cost_scale, mut cost_base) = (1.0, 0.0);
        match goal {
            Goal::Sum(figure) => {
                (cost_base, cost_scale) =
                    spread(domain, |column| space.sum(column as usize, figure), |column, c| cost[column] = c);
            }
            Goal::Path(figure) => {
                (_, cost_scale) = spread(domain, |column| space.figure(column as usize, figure), |_, _| ());
            }
            // Any plan will do: prefer options that use little of every row.
            Goal::Any => {
                for row in &model.rows {
                    spread(domain, |column| row.coef[column as usize], |column, c| cost[column] += c);
                }
                for ceiling in &model.ceilings {
                    spread(domain, |c| space.figure(c as usize, ceiling.figure), |column, c| cost[column] += c);
                }
            }
        }
        let lp = Lp { steps: domain.steps(), step: space.step.clone(), cost, rows: Vec::new() };
        let link_in = space.couplings.iter().map(|coupling| vec![false; coupling.classes]).collect();
        let row_in = vec![false; model.rows.len()];
        let (rows, scale, paths) = (Vec::new(), Vec::new(), Vec::new());
        Relaxation { model, goal, root: domain.clone(), lp, rows, scale, cost_scale, cost_base, row_in, link_in, paths }
    }

    /// Solves the linear program on a domain.
    pub fn solve(&self, basis: &mut Basis, domain: &Domain, cutoff: Option<i64>, max_pivots: usize) -> Answer {
        let limit = match (self.goal, cutoff) {
            (Goal::Any, _) | (_, None) => f64::INFINITY,
            (_, Some(cutoff)) => {
                let scaled = (cutoff as f64 + 1e-3 - self.cost_base) / self.cost_scale;
                scaled + 1e-9 * (1.0 + scaled.abs())
            }
        };
        self.lp.solve(basis, domain, limit, max_pivots)
    }

    /// Adds rows that the point violates; says whether there are any.
    pub fn separate(&mut self, point: &[(u32, f64)], target: f64) -> bool {
        let (model, space) = (self.model, self.model.space);
        let before = self.rows.len();
        for place in 0..model.rows.len() {
            let row = &model.rows[place];
            if !self.row_in[place] && over(row, point) {
                self.row_in[place] = true;
                self.add(row.clone(), false);
            }
        }
        let mut ceilings: Vec<(Ceiling, bool)> = model.ceilings.iter().map(|&ceiling| (ceiling, false)).collect();
        if let Goal::Path(figure) = self.goal {
            ceilings.push((Ceiling { figure, limit: 0 }, true));
        }
        for (ceiling, on_target) in ceilings {
            let mut weight = vec![0.0; self.lp.steps];
            for &(column, x) in point {
                weight[space.step[column as usize]] += x * space.figure(column as usize, ceiling.figure) as f64;
            }
            let (length, path) = space.longest(&weight);
            let limit = if on_target { target * self.cost_scale } else { ceiling.limit as f64 };
            if length > limit + 1e-6 * (1.0 + limit.abs()) {
                // A target row and a ceiling of the same figure may run along the same path: both are kept.
                let key = (Ceiling { limit: if on_target { -1 } else { ceiling.limit }, ..ceiling }, path);
                if !self.paths.contains(&key) {
                    self.add(Row::along(space, &key.1, ceiling.figure, ceiling.limit), on_target);
                    self.paths.push(key);
                }
            }
        }
        for (coupling, added) in space.couplings.iter().zip(0..) {
            let mut excess = vec![0.0; coupling.classes];
            for &(column, x) in point {
                let column = column as usize;
                if space.step[column] == coupling.up {
                    excess[space.class[column] as usize] -= x;
                } else if space.step[column] == coupling.down {
                    let need = coupling.need[column - space.start[coupling.down]];
                    if need != ANY {
                        excess[need as usize] += x;
                    }
                }
            }
            for (class, &excess) in excess.iter().enumerate() {
                if excess > 1e-6 && !self.link_in[added][class] {
                    self.link_in[added][class] = true;
                    self.add(Row::link(space, coupling, class as u32), false);
                }
            }
        }
        self.rows.len() > before
    }

    fn add(&mut self, row: Row, on_target: bool) {
        if self.rows.len() >= MOST_ROWS {
            return;
        }
        let mut coef = vec![0.0; row.coef.len()];
        let (base, mut scale) = spread(&self.root, |column| row.coef[column as usize], |column, a| coef[column] = a);
        if on_target {
            coef.iter_mut().for_each(|a| *a *= scale / self.cost_scale);
            scale = self.cost_scale;
        }
        self.lp.rows.push(LpRow { coef, rhs: (row.rhs as f64 - base) / scale, on_target });
        self.scale.push(scale);
        self.rows.push(row);
    }

    /// The columns of the heaviest class of a step, where others assume its class and the support has several.
    pub fn class_split(&self, columns: &[u32], support: &[(u32, f64)], step: usize) -> Option<Vec<u32>> {
        let space = self.model.space;
        let classes = space.couplings.iter().find(|coupling| coupling.up == step)?.classes;
        let mut weight = vec![0.0; classes];
        support.iter().for_each(|&(column, x)| weight[space.class[column as usize] as usize] += x);
        let heaviest = (0..classes).max_by(|&a, &b| weight[a].total_cmp(&weight[b]))?;
        let of_class = |column: &u32| space.class[*column as usize] as usize == heaviest;
        let divided = !support.iter().all(|pair| of_class(&pair.0));
        divided.then(|| columns.iter().copied().filter(of_class).collect())
    }

    /// The multipliers of a basis, floored to integers.
    pub fn round(&self, basis: &Basis) -> Option<Multipliers> {
        if self.goal == Goal::Any {
            return None;
        }
        let scaled = self.lp.multipliers(basis);
        let raw: Vec<f64> = scaled.iter().zip(&self.scale).map(|(y, scale)| y * self.cost_scale / scale).collect();
        let bits = BITS - raw.iter().fold(1.0, |most: f64, &y| most.max(y)).log2().ceil() as i32;
        let unit = f64::powi(2.0, bits.max(0));
        let mut rows = integers(&raw, unit);
        let slope = unit as i128;
        if let Goal::Path(_) = self.goal {
            // The rows on the target bound the longest path by a convex combination of paths: their weights sum to at most 1.
            let mut left = slope;
            for (place, y) in &mut rows {
                if self.lp.rows[*place].on_target {
                    *y = (*y).min(left);
                    left -= *y;
                }
            }
        }
        Some(Multipliers { rows, slope })
    }

    /// Multipliers that show that a domain holds nothing, floored to integers.
    pub fn round_ray(&self, ray: &[f64]) -> Multipliers {
        let pairs = ray.iter().zip(&self.scale).zip(&self.lp.rows);
        let raw: Vec<f64> = pairs.map(|((y, scale), row)| if row.on_target { 0.0 } else { y / scale }).collect();
        let most = raw.iter().fold(0.0, |most: f64, &y| most.max(y));
        let rows = if most > 0.0 { integers(&raw, f64::powi(2.0, BITS - 1) / most) } else { Vec::new() };
        Multipliers { rows, slope: 0 }
    }

    /// Evaluates a combination on a domain, in exact integers.
    pub fn bound(&self, multipliers: &Multipliers, domain: &Domain) -> Bound {
        let mut excess = self.combine(multipliers, domain.all());
        let mut least = -self.constant(multipliers);
        let mut place = 0;
        for step in 0..domain.steps() {
            let part = &mut excess[place..place + domain.of(step).len()];
            place += part.len();
            let min = part.iter().copied().min().unwrap_or(0);
            part.iter_mut().for_each(|value| *value -= min);
            least += min;
        }
        Bound { least, excess, slope: multipliers.slope }
    }

    /// What the search and the rows of the linear program say.
    pub fn hints(self, cases: Cases) -> Hints {
        let mut paths: Vec<(Figure, Vec<usize>)> = Vec::new();
        for (ceiling, path) in &self.paths {
            let named = (ceiling.figure, path.clone());
            if !paths.contains(&named) {
                paths.push(named);
            }
        }
        let rows = self.rows.into_iter().zip(self.lp.rows.iter().map(|row| row.on_target)).collect();
        Hints { goal: self.goal, rows, cases, paths }
    }

    fn combine(&self, multipliers: &Multipliers, columns: &[u32]) -> Vec<i128> {
        let mut sum: Vec<i128> = match self.goal {
            Goal::Sum(figure) if multipliers.slope > 0 => {
                let cost = |&column: &u32| i128::from(self.model.space.sum(column as usize, figure));
                columns.iter().map(|column| multipliers.slope * cost(column)).collect()
            }
            _ => vec![0; columns.len()],
        };
        for &(place, y) in &multipliers.rows {
            let coef = &self.rows[place].coef;
            sum.iter_mut().zip(columns).for_each(|(sum, &column)| *sum += y * i128::from(coef[column as usize]));
        }
        sum
    }

    fn constant(&self, multipliers: &Multipliers) -> i128 {
        let fixed = multipliers.rows.iter().filter(|pair| !self.lp.rows[pair.0].on_target);
        fixed.map(|&(place, y)| y * i128::from(self.rows[place].rhs)).sum()
    }
}

fn integers(raw: &[f64], unit: f64) -> Vec<(usize, i128)> {
    let floored = raw.iter().map(|y| (y * unit).floor().min(f64::powi(2.0, BITS)) as i128);
    floored.enumerate().filter(|pair| pair.1 > 0).collect()
}

fn over(row: &Row, point: &[(u32, f64)]) -> bool {
    let (mut sum, mut size) = (0.0, 1.0);
    for &(column, x) in point {
        let term = row.coef[column as usize] as f64 * x;
        sum += term;
        size += term.abs();
    }
    sum > row.rhs as f64 + 1e-7 * size
}

/// Sets every column of the domain to its excess over its step's least, over the largest excess. Returns the sum of the
/// least values and that scale.
fn spread(domain: &Domain, weight: impl Fn(u32) -> i64, mut set: impl FnMut(usize, f64)) -> (f64, f64) {
    let least = |step: usize| domain.of(step).iter().map(|&column| weight(column)).min().unwrap_or(0);
    let min: Vec<i64> = (0..domain.steps()).map(least).collect();
    let mut scale = 1i64;
    for (step, &min) in min.iter().enumerate() {
        scale = domain.of(step).iter().map(|&column| weight(column) - min).max().unwrap_or(0).max(scale);
    }
    for (step, &min) in min.iter().enumerate() {
        domain.of(step).iter().for_each(|&c| set(c as usize, (weight(c) - min) as f64 / scale as f64));
    }
    (min.iter().sum::<i64>() as f64, scale as f64)
}
