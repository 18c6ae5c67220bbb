//! A [`Model`], a cutoff and a [`Domain`] -> the domain without the options that a single row, path or coupling excludes.
//!
//! Exact integers throughout: what goes here is never part of a better plan.

use super::model::{Ceiling, Domain, Model, Row};
use super::presolve::{ANY, Coupling, Space};

/// What a plan must beat: the goal of the search, bounded by one less than the best value so far.
#[derive(Default)]
pub struct Cutoff {
    /// A bound on a sum.
    pub row: Option<Row>,
    /// A bound on the longest path.
    pub ceiling: Option<Ceiling>,
}

/// Narrows the domain to a fixpoint; `false` when some step has nothing left.
pub fn propagate(model: &Model, cutoff: &Cutoff, domain: &mut Domain) -> bool {
    if model.broken || domain.is_empty() {
        return false;
    }
    let rows: Vec<&Row> = model.rows.iter().chain(&cutoff.row).collect();
    let ceilings: Vec<Ceiling> = model.ceilings.iter().chain(&cutoff.ceiling).copied().collect();
    let couplings = &model.space.couplings;
    let all = rows.len() + ceilings.len() + couplings.len();
    // A rule that has narrowed the domain narrows it no further by itself: only the others are asked again.
    let (mut next, mut asked) = (0, 0);
    while asked < all {
        let narrowed = if let Some(row) = rows.get(next) {
            by_row(row, domain)
        } else if let Some(&ceiling) = ceilings.get(next - rows.len()) {
            by_ceiling(model.space, ceiling, domain)
        } else {
            let narrowed = by_coupling(model.space, &couplings[next - rows.len() - ceilings.len()], domain);
            if narrowed && domain.is_empty() { None } else { Some(narrowed) }
        };
        match narrowed {
            None => return false,
            Some(true) => asked = 1,
            Some(false) => asked += 1,
        }
        next = (next + 1) % all;
    }
    !domain.is_empty()
}

/// The least and the largest weight of a step's columns.
pub fn extent(domain: &Domain, step: usize, weight: impl Fn(u32) -> i64) -> (i64, i64) {
    let weights = domain.of(step).iter().map(|&column| weight(column));
    weights.fold((i64::MAX, i64::MIN), |(least, most), weight| (least.min(weight), most.max(weight)))
}

/// `None`: the row cannot hold.
fn by_row(row: &Row, domain: &mut Domain) -> Option<bool> {
    let mut sum = 0;
    let mut extents = vec![(0, 0); domain.steps()];
    for &step in &row.steps {
        extents[step] = extent(domain, step, |column| row.coef[column as usize]);
        sum += extents[step].0;
    }
    let slack = row.rhs.checked_sub(sum).filter(|&slack| slack >= 0)?;
    let narrows = |step: usize| extents[step].1 - extents[step].0 > slack;
    if !row.steps.iter().any(|&step| narrows(step)) {
        return Some(false);
    }
    Some(domain.retain_of(narrows, |step, column| row.coef[column as usize] - extents[step].0 <= slack))
}

/// `None`: some path is too long with the least of every step.
fn by_ceiling(space: &Space, ceiling: Ceiling, domain: &mut Domain) -> Option<bool> {
    let weight = |column: u32| space.figure(column as usize, ceiling.figure);
    let extents: Vec<(i64, i64)> = (0..domain.steps()).map(|step| extent(domain, step, weight)).collect();
    // The longest path that ends before a step, and the longest that starts after it.
    let (mut head, mut tail) = (vec![0; extents.len()], vec![0; extents.len()]);
    for &step in &space.order {
        head[step] = space.before[step].iter().map(|&before| head[before] + extents[before].0).max().unwrap_or(0);
    }
    for &step in space.order.iter().rev() {
        tail[step] = space.after[step].iter().map(|&after| tail[after] + extents[after].0).max().unwrap_or(0);
    }
    if extents.iter().enumerate().any(|(step, extent)| head[step] + extent.0 + tail[step] > ceiling.limit) {
        return None;
    }
    let narrows = |step: usize| head[step] + extents[step].1 + tail[step] > ceiling.limit;
    let keep = |step: usize, column: u32| head[step] + weight(column) + tail[step] <= ceiling.limit;
    Some((0..extents.len()).any(narrows) && domain.retain_of(narrows, keep))
}

fn by_coupling(space: &Space, coupling: &Coupling, domain: &mut Domain) -> bool {
    let need = |column: u32| coupling.need[column as usize - space.start[coupling.down]];
    let class = |column: u32| space.class[column as usize] as usize;
    let (mut there, mut needed) = (Flags::new(coupling.classes), Flags::new(coupling.classes));
    domain.of(coupling.up).iter().for_each(|&column| there.set(class(column)));
    let (mut any, mut denied) = (false, false);
    for &column in domain.of(coupling.down) {
        match need(column) {
            ANY => any = true,
            class if there.get(class as usize) => needed.set(class as usize),
            _ => denied = true,
        }
    }
    let unneeded = !any && domain.of(coupling.up).iter().any(|&column| !needed.get(class(column)));
    (denied || unneeded)
        && domain.retain(|step, column| {
            if step == coupling.down {
                need(column) == ANY || there.get(need(column) as usize)
            } else if step == coupling.up {
                any || needed.get(class(column))
            } else {
                true
            }
        })
}

/// A set of small numbers: most couplings have few classes.
struct Flags(u64, Vec<bool>);

impl Flags {
    fn new(size: usize) -> Self {
        Flags(0, if size > 64 { vec![false; size] } else { Vec::new() })
    }

    fn set(&mut self, place: usize) {
        match self.1.get_mut(place) {
            Some(flag) => *flag = true,
            None => self.0 |= 1 << place,
        }
    }

    fn get(&self, place: usize) -> bool {
        self.1.get(place).map_or_else(|| self.0 >> place & 1 == 1, |&flag| flag)
    }
}
