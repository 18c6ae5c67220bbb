//! A node's relaxed point -> the splits worth trying, and the plan that the point is closest to.
//!
//! Heuristics only: any split is correct.

use super::basis::Basis;
use super::model::Domain;
use super::problem::Figure;
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
        side.retain_of(|step| step == self.step, |_, column| self.left.contains(&column) == left);
        side
    }
}

/// Splits worth trying: of classes that others assume, as long as the relaxation divides any, since whatever assumes them follows; then
/// of the steps where dividing it is worth most.
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
    let mut ranked: Vec<(f64, Split)> = Vec::new();
    for &(_, step) in &divided {
        let (spread, left) = mean_split(relaxation, &multipliers, domain.of(step), &support[step]);
        ranked.push((spread, Split { step, left, class: false }));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.step.cmp(&b.1.step)));
    found.extend(ranked.into_iter().take(CANDIDATES).map(|(_, split)| split));
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

/// Divides a step's columns at the mean of the priced row, or of the figure along priced paths, that its support disagrees on most; by
/// how much of the goal it does.
///
/// A step is divided because what it pays in rows it saves in cost. Dividing it by a row instead of by its cost leaves no column of
/// either half to pay with in the same way.
fn mean_split(
    relaxation: &Relaxation,
    multipliers: &[(u32, f64)],
    columns: &[u32],
    support: &[(u32, f64)],
) -> (f64, Vec<u32>) {
    let lp = &relaxation.lp;
    let step = lp.step[support[0].0 as usize] as usize;
    let total = support.iter().map(|pair| pair.1).sum::<f64>().max(1e-9);
    let touches = |pair: &&(u32, f64)| lp.rows[pair.0 as usize].steps.binary_search(&step).is_ok();
    let priced: Vec<(u32, f64)> = multipliers.iter().filter(touches).copied().collect();
    // Paths of one figure share its price.
    let kind = |row: u32| relaxation.path_of(row).ok_or(row);
    let mut kinds = Vec::new();
    priced.iter().map(|pair| kind(pair.0)).for_each(|kind| {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    });
    let weight = |of: Option<Result<Figure, u32>>, column: u32| match of {
        Some(of) => {
            let rows = priced.iter().filter(|pair| kind(pair.0) == of);
            rows.map(|&(row, y)| y * lp.rows[row as usize].coef.at(step, column)).sum()
        }
        None => lp.cost[column as usize],
    };
    let stats = |of| {
        let mean = support.iter().map(|pair| pair.1 * weight(of, pair.0)).sum::<f64>() / total;
        (support.iter().map(|pair| pair.1 * (weight(of, pair.0) - mean).abs()).sum::<f64>(), mean)
    };
    let (mut of, mut widest): (_, Option<(f64, f64)>) = (None, None);
    for &kind in &kinds {
        let (spread, mean) = stats(Some(kind));
        if widest.is_none_or(|(most, _)| spread > most) {
            (of, widest) = (Some(kind), Some((spread, mean)));
        }
    }
    let (spread, mean) = widest.unwrap_or_else(|| stats(None));
    let left: Vec<u32> = columns.iter().copied().filter(|&column| weight(of, column) <= mean).collect();
    if left.is_empty() || left.len() == columns.len() {
        (spread, support.iter().take(1).map(|pair| pair.0).collect())
    } else {
        (spread, left)
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
