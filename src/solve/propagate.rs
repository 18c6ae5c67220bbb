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
    loop {
        let mut changed = false;
        for row in model.rows.iter().chain(&cutoff.row) {
            let Some(narrowed) = by_row(row, domain) else {
                return false;
            };
            changed |= narrowed;
        }
        for &ceiling in model.ceilings.iter().chain(&cutoff.ceiling) {
            let Some(narrowed) = by_ceiling(model.space, ceiling, domain) else {
                return false;
            };
            changed |= narrowed;
        }
        for coupling in &model.space.couplings {
            changed |= by_coupling(model.space, coupling, domain);
        }
        if domain.is_empty() {
            return false;
        }
        if !changed {
            return true;
        }
    }
}

fn least(domain: &Domain, step: usize, weight: impl Fn(u32) -> i64) -> i64 {
    domain.of(step).iter().map(|&column| weight(column)).min().unwrap_or(0)
}

/// `None`: the row cannot hold.
fn by_row(row: &Row, domain: &mut Domain) -> Option<bool> {
    let mut min = vec![0; domain.steps()];
    for &step in &row.steps {
        min[step] = least(domain, step, |column| row.coef[column as usize]);
    }
    let slack = row.rhs.checked_sub(min.iter().sum()).filter(|&slack| slack >= 0)?;
    Some(domain.retain(|step, column| row.coef[column as usize] - min[step] <= slack))
}

/// `None`: some path is too long with the least of every step.
fn by_ceiling(space: &Space, ceiling: Ceiling, domain: &mut Domain) -> Option<bool> {
    let weight = |column: u32| space.figure(column as usize, ceiling.figure);
    let min: Vec<i64> = (0..domain.steps()).map(|step| least(domain, step, weight)).collect();
    // The longest path that ends before a step, and the longest that starts after it.
    let (mut head, mut tail) = (vec![0; min.len()], vec![0; min.len()]);
    for &step in &space.order {
        head[step] = space.before[step].iter().map(|&before| head[before] + min[before]).max().unwrap_or(0);
    }
    for &step in space.order.iter().rev() {
        tail[step] = space.after[step].iter().map(|&after| tail[after] + min[after]).max().unwrap_or(0);
    }
    let longest = (0..min.len()).map(|step| head[step] + min[step] + tail[step]).max().unwrap_or(0);
    if longest > ceiling.limit {
        return None;
    }
    Some(domain.retain(|step, column| head[step] + weight(column) + tail[step] <= ceiling.limit))
}

fn by_coupling(space: &Space, coupling: &Coupling, domain: &mut Domain) -> bool {
    let need = |column: u32| coupling.need[column as usize - space.start[coupling.down]];
    let (mut there, mut needed) = (vec![false; coupling.classes], vec![false; coupling.classes]);
    for &column in domain.of(coupling.up) {
        there[space.class[column as usize] as usize] = true;
    }
    let mut any = false;
    for &column in domain.of(coupling.down) {
        match need(column) {
            ANY => any = true,
            class => needed[class as usize] |= there[class as usize],
        }
    }
    domain.retain(|step, column| {
        if step == coupling.down {
            need(column) == ANY || there[need(column) as usize]
        } else if step == coupling.up {
            any || needed[space.class[column as usize] as usize]
        } else {
            true
        }
    })
}
