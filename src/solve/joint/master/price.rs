//! The multipliers of a master's relaxation -> prices of every option in integers, each job's answer to them, and the Lagrangian bound.

use super::super::best::NEVER;
use super::super::cut::Cut;
use super::super::menu::{Dish, OWN};
use super::{Master, Node};

/// Integer multipliers, scaled by 2^shift.
pub(super) struct Prices {
    pub(super) load: Vec<i64>,
    pub(super) cut: Vec<i64>,
    pub(super) pool: Vec<i64>,
}

/// Multipliers of a Lagrangian bound, in integers.
pub struct Lagrange {
    /// Multipliers are in micro-dollars an hour, divided by two so many times.
    pub shift: u32,
    /// By kind.
    pub load: Vec<i64>,
    /// The cuts with theirs.
    pub cuts: Vec<(Cut, i64)>,
    /// By pool.
    pub pools: Vec<i64>,
}

impl Master<'_> {
    /// What a unit of load costs on a full replica, scaled.
    pub(super) fn unit_price(&self, kind: usize) -> i64 {
        let kind = &self.fleet.kinds[kind];
        let price = if kind.running > 0 { kind.price - kind.stop } else { kind.price + kind.start };
        let scaled = (i128::from(price) << self.shift) / i128::from(kind.capacity.max(1));
        i64::try_from(scaled).unwrap_or(i64::MAX)
    }

    /// The prices of a job's options.
    pub(super) fn table(&self, job: usize, prices: &Prices, node: &Node) -> Vec<Vec<i64>> {
        let cap = i128::from(i64::MAX / 4 / self.menus[job].steps.len().max(1) as i64);
        let mut table = Vec::with_capacity(self.menus[job].steps.len());
        for (place, step) in self.menus[job].steps.iter().enumerate() {
            let price = |(at, dish): (usize, &Dish)| {
                if node.barred.contains(&(job as u32, place as u32, at as u32)) {
                    return NEVER;
                }
                let mut sum = i128::from(dish.fee) << self.shift;
                if dish.kind != OWN {
                    let kind = dish.kind as usize;
                    let carried = i128::from(node.range[kind].1) * i128::from(self.fleet.kinds[kind].capacity);
                    if i128::from(dish.load) > carried {
                        return NEVER;
                    }
                    sum += i128::from(prices.load[kind]) * i128::from(dish.load);
                    for ((_, cut), price) in self.cuts.iter().zip(&prices.cut) {
                        if cut.kind == kind && *price > 0 {
                            let coefficient = cut.coefficient((job as u32, place as u32), dish.load);
                            sum += i128::from(*price) * i128::from(coefficient);
                        }
                    }
                }
                // Less than the multipliers say is a weaker bound and still one.
                sum.min(cap) as i64
            };
            table.push(step.iter().enumerate().map(price).collect());
        }
        table
    }

    /// The multipliers, floored to integers.
    pub(super) fn prices(&self) -> Prices {
        let scale = self.unit * (1u64 << self.shift) as f64;
        let floor = |row: u32, over: f64| -> i64 {
            let value = (self.lp.y[row as usize].max(0.0) * scale / over).floor();
            if value < 4e18 { value as i64 } else { 0 }
        };
        let pool: Vec<i64> = self.pool_rows.iter().map(|row| floor(*row, 1.0)).collect();
        // A kind that no column loads asks for as much as its replicas cost: more would pay for them, less would say that it is cheaper.
        let idle = |at: usize| -> i64 {
            let kind = &self.fleet.kinds[at];
            let devices: i128 = kind.uses.iter().map(|(at, units)| i128::from(pool[*at]) * i128::from(*units)).sum();
            let price = (i128::from(kind.price + kind.start) << self.shift) + devices;
            i64::try_from(price / i128::from(kind.capacity.max(1))).unwrap_or(i64::MAX)
        };
        let load = |(at, row): (usize, &Option<u32>)| match row {
            Some(row) => floor(*row, self.fleet.kinds[at].capacity.max(1) as f64),
            None => idle(at),
        };
        Prices {
            load: self.kind_rows.iter().enumerate().map(load).collect(),
            cut: self.cuts.iter().map(|(row, cut)| floor(*row, cut.over as f64)).collect(),
            pool,
        }
    }

    /// The prices with what they are of.
    pub(super) fn at(&self, prices: &Prices) -> Lagrange {
        let cuts = self.cuts.iter().map(|(_, cut)| cut.clone()).zip(prices.cut.iter().copied());
        Lagrange { shift: self.shift, load: prices.load.clone(), cuts: cuts.collect(), pools: prices.pool.clone() }
    }

    /// The Lagrangian bound at some multipliers, and how many new columns the jobs' solves gave.
    pub(super) fn price(&mut self, prices: &Prices, node: &Node) -> (i128, u32) {
        let mut sum: i128 = 0;
        let mut added = 0;
        for job in 0..self.menus.len() {
            let table = self.table(job, prices, node);
            let found = self.chefs[job].best(&table, self.warm[job].as_deref());
            self.solves += 1;
            match found.best {
                None if found.exact => return (i128::MAX, added),
                None => {}
                Some(best) => {
                    let pays = self.lp.y[self.job_rows[job] as usize] * self.unit * (1u64 << self.shift) as f64;
                    if (best.price as f64) < pays * (1.0 - 1e-9) - 1.0 && self.config(job, best.dishes.clone()) {
                        added += 1;
                    }
                    self.warm[job] = Some(best.dishes);
                }
            }
            sum += i128::from(found.bound);
        }
        for (at, kind) in self.fleet.kinds.iter().enumerate() {
            let mut credit = i128::from(prices.load[at]) * i128::from(kind.capacity);
            for ((_, cut), price) in self.cuts.iter().zip(&prices.cut).filter(|((_, cut), _)| cut.kind == at) {
                credit += i128::from(*price) * i128::from(cut.over);
            }
            for (pool, units) in &kind.uses {
                credit -= i128::from(prices.pool[*pool]) * i128::from(*units);
            }
            let (least, most) = node.range[at];
            let ends = [least, most, kind.running.clamp(least, most)];
            let value = |replicas: i64| (kind.cost(replicas) << self.shift) - credit * i128::from(replicas);
            sum += ends.into_iter().map(value).min().unwrap_or(0);
        }
        for (pool, price) in self.fleet.pools.iter().zip(&prices.pool) {
            sum -= i128::from(*price) * i128::from(pool.units);
        }
        for ((_, cut), price) in self.cuts.iter().zip(&prices.cut) {
            sum += i128::from(*price) * i128::from(cut.rhs);
        }
        // Costs are whole, so that the bound may be rounded up.
        let whole = 1i128 << self.shift;
        (sum.div_euclid(whole) + i128::from(sum.rem_euclid(whole) != 0), added)
    }
}
