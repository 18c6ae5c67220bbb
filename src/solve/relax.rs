//! A [`Model`] and a goal -> lower bounds, as integer combinations of rows that every plan satisfies.
//!
//! The linear program proposes multipliers in floats. They are floored to integers (over a power of two) and the combination
//! is recomputed in `i128`: any non-negative multipliers give a valid bound, so that no float is trusted.

mod pool;
mod separate;

use std::collections::BTreeMap;

pub use self::pool::Pool;
use super::basis::Basis;
use super::coefs::Coefs;
use super::enumerate::Line;
use super::model::{Ceiling, Domain, Model, Row};
use super::price::{Bound, Goal, Hints, Multipliers, Price};
use super::problem::{Charges, Figure};
use super::record::{Cases, Record};
use super::simplex::{Answer, Lp, LpRow};

/// How long a row counts as needed of late.
const LATELY: u64 = 40;
/// Multipliers have at most this many bits, so that a combination fits in `i128`.
const BITS: i32 = 50;

/// What a row of the relaxation says, whatever columns are left.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// A row of the model.
    Stated(usize),
    /// A path is under a ceiling, or under the target (whose ceiling has no limit).
    Path(Ceiling, Vec<usize>, bool),
    /// So is a thick path.
    Levels(Ceiling, Vec<Charges>, bool),
    /// A class of a coupling, as indices.
    Link(usize, usize),
}

impl Said {
    /// Whether the goal bounds it instead of a constant.
    fn on_target(&self) -> bool {
        matches!(self, Said::Path(_, _, true) | Said::Levels(_, _, true))
    }

    fn row(&self, model: &Model) -> Row {
        let space = model.space;
        match self {
            Said::Stated(place) => model.rows[*place].clone(),
            Said::Path(ceiling, path, _) => Row::along(space, path, ceiling.figure, ceiling.limit),
            Said::Levels(ceiling, path, _) => Row::thick(space, path, ceiling.figure, ceiling.limit),
            Said::Link(place, class) => Row::link(space, &space.couplings[*place], *class as u32),
        }
    }
}

/// The linear relaxation of a model, grown row by row.
pub struct Relaxation<'m> {
    model: &'m Model<'m>,
    goal: Goal,
    /// The root's domain: rows are shifted and scaled by it, wherever they are found.
    root: Domain,
    /// The linear program.
    pub lp: Lp,
    /// The rows of the linear program before they were scaled, and their limits.
    exact: Vec<(Coefs<i64>, i64)>,
    /// How many coefficients that are.
    held: usize,
    said: Vec<Said>,
    /// Where each row is: points find the same rows again and again, among thousands.
    places: BTreeMap<Said, u32>,
    scale: Vec<f64>,
    cost_scale: f64,
    cost_base: f64,
    link_in: Vec<Vec<bool>>,
    /// The rows that points are held against: the others have not been needed for long.
    pool: Pool,
    /// When each row was last part of a basis, in calls of [`Relaxation::separate`].
    used: Vec<u64>,
    calls: u64,
    /// When rows were last dropped from the pool.
    sifted: u64,
}

impl<'m> Relaxation<'m> {
    /// The relaxation with the rows of the model and those that earlier ones, of the same model with other columns, have found.
    pub fn new(model: &'m Model<'m>, goal: Goal, domain: &Domain, said: &[Said]) -> Self {
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
        let lp = Lp::new(space.step.iter().map(|&step| step as u32).collect(), cost);
        let link_in = space.couplings.iter().map(|coupling| vec![false; coupling.classes]).collect();
        let root = domain.clone();
        let mut relaxation = Relaxation {
            model,
            goal,
            root,
            lp,
            exact: Vec::new(),
            held: 0,
            said: Vec::new(),
            places: BTreeMap::new(),
            scale: Vec::new(),
            cost_scale,
            cost_base,
            link_in,
            pool: Pool::default(),
            used: Vec::new(),
            calls: 0,
            sifted: 0,
        };
        if said.is_empty() {
            (0..model.rows.len()).for_each(|place| relaxation.say(Said::Stated(place)));
        }
        said.iter().for_each(|said| relaxation.say(said.clone()));
        relaxation
    }

    /// What the rows say, in order.
    pub fn said(&self) -> &[Said] {
        &self.said
    }

    /// The rows of the model and along paths that were needed of late, those that are bounded by a constant, on a domain.
    pub fn plain(&self, domain: &Domain) -> impl Iterator<Item = Line> {
        let rows = self.pool.rows().iter().map(|&row| row as usize);
        let rows =
            rows.filter(|&row| self.used[row] + LATELY >= self.calls || matches!(self.said[row], Said::Stated(_)));
        let plain = |row: &usize| !self.said[*row].on_target() && !matches!(self.said[*row], Said::Link(..));
        rows.filter(plain).map(|row| {
            let (exact, rhs) = &self.exact[row];
            let mut coef = vec![0; domain.all().len()];
            for &step in &self.lp.rows[row].steps {
                let values = exact.of(step, domain.of(step));
                coef[domain.range(step)].iter_mut().zip(values).for_each(|(a, value)| *a = value);
            }
            Line { coef, rhs: *rhs }
        })
    }

    /// Solves the linear program on a domain.
    pub fn solve(&mut self, basis: &mut Basis, domain: &Domain, cutoff: Option<i64>, max_pivots: usize) -> Answer {
        let limit = match (self.goal, cutoff) {
            (Goal::Any, _) | (_, None) => f64::INFINITY,
            (_, Some(cutoff)) => {
                let scaled = (cutoff as f64 + 1e-3 - self.cost_base) / self.cost_scale;
                scaled + 1e-9 * (1.0 + scaled.abs())
            }
        };
        self.lp.solve(basis, domain, limit, max_pivots)
    }

    /// An objective of the linear program as a value of the goal.
    pub fn value(&self, objective: f64) -> i64 {
        match self.goal {
            Goal::Any => 0,
            Goal::Sum(_) | Goal::Path(_) => (objective * self.cost_scale + self.cost_base - 1e-3).ceil() as i64,
        }
    }

    fn say(&mut self, said: Said) {
        let row = said.row(self.model);
        let on_target = said.on_target();
        if let Said::Link(place, class) = said {
            self.link_in[place][class] = true;
        }
        let space = self.model.space;
        let extent = |&step: &usize| minmax(&row.coef[space.start[step]..space.start[step + 1]]);
        let extents: Vec<(i64, i64)> = row.steps.iter().map(extent).collect();
        let base: i64 = extents.iter().map(|extent| extent.0).sum();
        let scale = extents.iter().map(|extent| extent.1 - extent.0).fold(1, i64::max) as f64;
        let scale = if on_target { self.cost_scale } else { scale };
        let mut least = extents.iter().map(|extent| extent.0);
        let coef = Coefs::new(&space.start, &row.steps, |values, columns| {
            let least = least.next().unwrap_or(0);
            values.extend(row.coef[columns].iter().map(|a| (a - least) as f64 / scale));
        });
        let rhs = if on_target { 0 } else { row.rhs };
        let rhs = (rhs as f64 - base as f64) / scale;
        let place = self.exact.len() as u32;
        let exact =
            Coefs::new(&space.start, &row.steps, |values, columns| values.extend_from_slice(&row.coef[columns]));
        self.held += exact.len();
        self.exact.push((exact, row.rhs));
        self.lp.rows.push(LpRow { coef, rhs, on_target, steps: row.steps });
        self.scale.push(scale);
        self.used.push(self.calls);
        self.pool.push(place, &self.lp, &self.root);
        self.places.insert(said.clone(), place);
        self.said.push(said);
    }

    /// The figure that a row sums along a path.
    pub fn path_of(&self, row: u32) -> Option<Figure> {
        match self.said[row as usize] {
            Said::Path(ceiling, ..) | Said::Levels(ceiling, ..) => Some(ceiling.figure),
            Said::Stated(_) | Said::Link(..) => None,
        }
    }

    /// How many steps come before the instances.
    pub fn stated(&self) -> usize {
        self.model.space.stated()
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
        let raw: Vec<(u32, f64)> = self
            .lp
            .multipliers(basis)
            .into_iter()
            .map(|(row, y)| (row, self.unscaled(row, y) * self.cost_scale))
            .collect();
        let bits = BITS - raw.iter().fold(1.0, |most: f64, pair| most.max(pair.1)).log2().ceil() as i32;
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
    pub fn round_ray(&self, ray: &[(u32, f64)]) -> Multipliers {
        let stated = ray.iter().filter(|pair| !self.lp.rows[pair.0 as usize].on_target);
        let raw: Vec<(u32, f64)> = stated.map(|&(row, y)| (row, self.unscaled(row, y))).collect();
        let most = raw.iter().fold(0.0, |most: f64, pair| most.max(pair.1));
        let rows = if most > 0.0 { integers(&raw, f64::powi(2.0, BITS - 1) / most) } else { Vec::new() };
        Multipliers { rows, slope: 0 }
    }

    fn unscaled(&self, row: u32, y: f64) -> f64 {
        y / self.scale[row as usize]
    }

    /// Evaluates a combination on a domain, in exact integers.
    pub fn bound(&self, multipliers: &Multipliers, domain: &Domain) -> Bound {
        let mut excess = self.combine(multipliers, domain);
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

    /// What the given proofs and the rows of the linear program say.
    pub fn hints(model: &'m Model<'m>, goal: Goal, said: &'m [Said], proofs: &[Multipliers], cases: Cases) -> Hints {
        let mut paths: Vec<(Figure, Vec<usize>)> = Vec::new();
        for said in said {
            let Said::Path(ceiling, path, _) = said else { continue };
            let named = (ceiling.figure, path.clone());
            if !paths.contains(&named) {
                paths.push(named);
            }
        }
        let mut rows = Rows { model, goal, said, rows: vec![None; said.len()] };
        let prices = proofs.iter().map(|proof| rows.price(proof)).collect();
        for &(place, _) in cases.proofs.iter().flat_map(|proof| &proof.rows) {
            rows.row(place);
        }
        let rows = rows.rows.into_iter().zip(said).map(|(row, said)| (row, said.on_target())).collect();
        Hints { prices, record: Record { goal, rows, cases }, paths }
    }

    fn combine(&self, multipliers: &Multipliers, domain: &Domain) -> Vec<i128> {
        // Multipliers have far fewer than 64 bits, so that one wide product per coefficient is enough.
        let wide = |y: i128, a: i64| i128::from(y as i64) * i128::from(a);
        let mut sum: Vec<i128> = match self.goal {
            Goal::Sum(figure) if multipliers.slope > 0 => {
                let cost = |&column: &u32| self.model.space.sum(column as usize, figure);
                domain.all().iter().map(|column| wide(multipliers.slope, cost(column))).collect()
            }
            _ => vec![0; domain.all().len()],
        };
        for &(place, y) in &multipliers.rows {
            let exact = &self.exact[place].0;
            for &step in &self.lp.rows[place].steps {
                let coef = exact.of(step, domain.of(step));
                sum[domain.range(step)].iter_mut().zip(coef).for_each(|(sum, a)| *sum += wide(y, a));
            }
        }
        sum
    }

    fn constant(&self, multipliers: &Multipliers) -> i128 {
        let fixed = multipliers.rows.iter().filter(|pair| !self.lp.rows[pair.0].on_target);
        fixed.map(|&(place, y)| y * i128::from(self.exact[place].1)).sum()
    }
}

/// The rows of a model that what was found says, made when a proof takes them.
struct Rows<'m> {
    model: &'m Model<'m>,
    goal: Goal,
    said: &'m [Said],
    rows: Vec<Option<Row>>,
}

impl Rows<'_> {
    fn row(&mut self, place: usize) -> &Row {
        let (said, model): (&Said, &Model) = (&self.said[place], self.model);
        self.rows[place].get_or_insert_with(|| said.row(model))
    }

    /// A combination as a row over all columns.
    fn price(&mut self, multipliers: &Multipliers) -> Price {
        let space = self.model.space;
        let wide = |y: i128, a: i64| i128::from(y as i64) * i128::from(a);
        let (mut coef, mut rhs) = (vec![0; space.columns()], 0);
        for &(place, y) in &multipliers.rows {
            let on_target = self.said[place].on_target();
            let row = self.row(place);
            coef.iter_mut().zip(&row.coef).for_each(|(sum, &a)| *sum += wide(y, a));
            if !on_target {
                rhs += y * i128::from(row.rhs);
            }
        }
        if let Goal::Sum(figure) = self.goal
            && multipliers.slope > 0
        {
            let sums = (0..space.columns()).map(|column| space.sum(column, figure));
            coef.iter_mut().zip(sums).for_each(|(sum, a)| *sum += wide(multipliers.slope, a));
        }
        Price { coef, rhs, slope: multipliers.slope }
    }
}

/// The least and the largest of some values; 0 where there are none.
fn minmax(values: &[i64]) -> (i64, i64) {
    let all = values.iter().copied();
    (all.clone().min().unwrap_or(0), all.max().unwrap_or(0))
}

fn integers(raw: &[(u32, f64)], unit: f64) -> Vec<(usize, i128)> {
    let floored = raw.iter().map(|&(row, y)| (row as usize, (y * unit).floor().min(f64::powi(2.0, BITS)) as i128));
    floored.filter(|pair| pair.1 > 0).collect()
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
