//! A node's relaxed point -> the splits worth trying, and the plan that the point is closest to.
//!
//! Heuristics only: any split is correct.

use super::basis::Basis;
use super::model::Domain;
use super::record::Side;
use super::relax::Relaxation;

/// Steps that a search looks at, and instances.
const CANDIDATES: usize = 4;
const INSTANCES: usize = 2;

/// Two parts of a step's columns.
pub struct Split {
    step: usize,
    left: Vec<u32>,
    /// Whether it divides classes.
    class: bool,
}

impl Split {
    /// One part of the step's columns, as a record names it; `keep` gives the names of the columns.
    pub fn half(&self, left: bool, keep: &[u32]) -> Side {
        let mut columns: Vec<u32> = self.left.iter().map(|&column| keep[column as usize]).collect();
        columns.sort_unstable();
        Side { step: self.step, columns, inside: left }
    }

    /// Splits of the same step and kind have the same place, below twice the number of steps.
    pub fn place(&self) -> usize {
        2 * self.step + usize::from(self.class)
    }

    /// The domain with one part of the step only.
    pub fn side(&self, domain: &Domain, left: bool) -> Domain {
        let mut side = domain.clone();
        side.retain(|step, column| step != self.step || self.left.contains(&column) == left);
        side
    }
}

/// Splits worth trying: of classes that others assume, as long as the relaxation divides any, since whatever assumes them follows; then
/// of the steps that it divides most evenly.
pub fn splits(relaxation: &Relaxation, domain: &Domain, basis: &Basis, point: &[(u32, f64)]) -> Vec<Split> {
    let lp = &relaxation.lp;
    let mut support: Vec<Vec<(u32, f64)>> = vec![Vec::new(); domain.steps()];
    for &(column, x) in point {
        if domain.of(lp.step[column as usize] as usize).binary_search(&column).is_ok() {
            support[lp.step[column as usize] as usize].push((column, x));
        }
    }
    let mut divided: Vec<(f64, usize)> = Vec::new();
    for (step, support) in support.iter().enumerate() {
        let most = support.iter().map(|pair| pair.1).fold(0.0, f64::max);
        if support.len() > 1 {
            divided.push((most, step));
        }
    }
    divided.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let of_classes = divided.iter().filter_map(|&(_, step)| {
        let left = relaxation.class_split(domain.of(step), &support[step], step)?;
        Some(Split { step, left, class: true })
    });
    // A look costs as much as a node here, so that few are worth it: one at a step of the problem, some at an instance, which has two classes only.
    let mut found: Vec<Split> = of_classes.take(INSTANCES).collect();
    if let Some(at) = found.iter().position(|split| split.step < relaxation.stated()) {
        return vec![found.swap_remove(at)];
    }
    if !found.is_empty() {
        return found;
    }
    let multipliers = lp.multipliers(basis);
    for &(_, step) in divided.iter().take(CANDIDATES) {
        let left = mean_split(relaxation, &multipliers, domain.of(step), &support[step]);
        found.push(Split { step, left, class: false });
    }
    if found.is_empty() {
        // The relaxation does not divide any step: take the step with the fewest columns, and the one that it leans to.
        let steps = (0..domain.steps()).filter(|&step| domain.of(step).len() > 1);
        if let Some(step) = steps.min_by_key(|&step| domain.of(step).len()) {
            let lean = support[step].first().map_or(domain.of(step)[0], |pair| pair.0);
            found.push(Split { step, left: vec![lean], class: false });
        }
    }
    found
}

/// Divides a step's columns at the mean of what its support disagrees on most: the cost, or a priced row.
fn mean_split(
    relaxation: &Relaxation,
    multipliers: &[(u32, f64)],
    columns: &[u32],
    support: &[(u32, f64)],
) -> Vec<u32> {
    let lp = &relaxation.lp;
    let extent = |weight: &[f64]| {
        let values = support.iter().map(|pair| weight[pair.0 as usize]);
        values.clone().fold(f64::MIN, f64::max) - values.fold(f64::MAX, f64::min)
    };
    let mut weight = &lp.cost;
    let mut widest = extent(weight);
    for &(row, y) in multipliers {
        let row = &lp.rows[row as usize];
        if y * extent(&row.coef) > widest {
            widest = y * extent(&row.coef);
            weight = &row.coef;
        }
    }
    let total: f64 = support.iter().map(|pair| pair.1).sum();
    let mean = support.iter().map(|pair| pair.1 * weight[pair.0 as usize]).sum::<f64>() / total.max(1e-9);
    let left: Vec<u32> = columns.iter().copied().filter(|&column| weight[column as usize] <= mean).collect();
    if left.is_empty() || left.len() == columns.len() {
        support.iter().take(1).map(|pair| pair.0).collect()
    } else {
        left
    }
}

/// The column of each step that the point gives the most weight to.
pub fn round(point: &[(u32, f64)], domain: &Domain) -> Vec<u32> {
    let mut weights = point.iter().peekable();
    let mut heaviest = |step: usize| {
        let columns = domain.of(step);
        let (mut best, mut most) = (columns.first().copied().unwrap_or(0), 0.0);
        let last = columns.last().copied().unwrap_or(0);
        while let Some(&(column, x)) = weights.next_if(|pair| pair.0 <= last) {
            if x > most && columns.binary_search(&column).is_ok() {
                (best, most) = (column, x);
            }
        }
        best
    };
    (0..domain.steps()).map(&mut heaviest).collect()
}
