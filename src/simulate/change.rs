//! What is to happen to the devices of a fleet → each change with what there is from then on, in order of time: stated ones, and spot
//! devices that their provider takes away and that come back.

use super::model::Pool;
use super::{HOUR, Micros};
use crate::bench::rng::Rng;
use crate::space::Machines;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// What a pool is from a moment on.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When.
    pub at: Micros,
    /// Which pool.
    pub pool: usize,
    /// How many devices there are.
    pub units: i64,
    /// What one of them costs, dollars an hour.
    pub usd_per_hour: Decimal,
    /// Which of those that were there is taken away, those in use counted first; none: one that is not in use, if there is one.
    pub taken: Option<i64>,
}

/// A change that is stated.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    /// When.
    pub at: Micros,
    /// Which pool.
    pub pool: usize,
    /// How many devices there are from then on, those that were taken away among them; none: as many as before.
    pub units: Option<i64>,
    /// What one of them costs from then on, dollars an hour; none: as before.
    pub usd_per_hour: Option<Decimal>,
}

/// Devices of a pool that are taken away now and then, each for itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// Which pool.
    pub pool: usize,
    /// How often a device is taken away, times an hour.
    pub per_hour: f64,
    /// How long until it is back.
    pub back: Micros,
}

/// What happens to a pool at one moment.
#[derive(Clone, Copy, Debug)]
enum Happens<'a> {
    Stated(&'a Stated),
    /// The provider may take a device: the draw decides which of the most that the pool ever has, and whether that one is there.
    Taken {
        draw: f64,
        back: Micros,
    },
    Back,
}

/// All changes until the end, in order of time. Draws hang on the seed alone, so that every policy sees the same.
pub fn changes(pools: &[Pool], stated: &[Stated], spots: &[Spot], end: Micros, seed: u64) -> Vec<Change> {
    let mut all = Vec::new();
    for (place, pool) in pools.iter().enumerate() {
        let own = stated.iter().filter(|stated| stated.pool == place);
        let most = own.clone().filter_map(|stated| stated.units).fold(pool.units, i64::max);
        // Ties in the order in which they were announced.
        let mut queue: BTreeMap<(Micros, u64), Happens> = BTreeMap::new();
        let mut announced = 0;
        let mut announce = |queue: &mut BTreeMap<_, _>, at: Micros, what| {
            queue.insert((at, announced), what);
            announced += 1;
        };
        own.for_each(|stated| announce(&mut queue, stated.at, Happens::Stated(stated)));
        for spot in spots.iter().filter(|spot| spot.pool == place && spot.per_hour > 0.0) {
            let mut rng = Rng(seed ^ 0x5907 ^ (place as u64 + 1).wrapping_mul(0x9FB2_1C65_1E98_DF25));
            let mean = HOUR as f64 / (spot.per_hour * most.max(1) as f64);
            let mut at = 0.0;
            loop {
                at += -(1.0 - rng.unit()).ln() * mean;
                if at >= end as f64 {
                    break;
                }
                announce(&mut queue, at as Micros, Happens::Taken { draw: rng.unit(), back: spot.back });
            }
        }
        let (mut units, mut price, mut taken) = (pool.units, pool.usd_per_hour, 0);
        while let Some(((at, _), happens)) = queue.pop_first() {
            if at >= end {
                break;
            }
            let mut which = None;
            match happens {
                Happens::Stated(stated) => {
                    units = stated.units.unwrap_or(units);
                    price = stated.usd_per_hour.unwrap_or(price);
                }
                Happens::Taken { draw, .. } if draw * most as f64 >= (units - taken) as f64 => continue,
                Happens::Taken { draw, back } => {
                    which = Some((draw * most as f64) as i64);
                    taken += 1;
                    announce(&mut queue, at.saturating_add(back), Happens::Back);
                }
                Happens::Back => taken -= 1,
            }
            all.push(Change { at, pool: place, units: (units - taken).max(0), usd_per_hour: price, taken: which });
        }
    }
    all.sort_by_key(|change| (change.at, change.pool));
    all
}

/// The machines after each moment at which something happens to them, each state once.
pub fn machines(first: &Machines, pools: &[Pool], changes: &[Change]) -> Vec<Machines> {
    let (mut now, mut all) = (first.clone(), Vec::new());
    for (place, change) in changes.iter().enumerate() {
        let units = u32::try_from(change.units).unwrap_or(u32::MAX);
        now.pools.insert(pools[change.pool].name.as_str().into(), (units, change.usd_per_hour));
        let last = changes.get(place + 1).is_none_or(|next| next.at > change.at);
        if last && !all.contains(&now) {
            all.push(now.clone());
        }
    }
    all
}

impl Pool {
    /// What devices cost, dollars an hour.
    pub fn price(&self, units: i64) -> f64 {
        (self.usd_per_hour * Decimal::from(units)).to_f64().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    fn pools() -> Vec<Pool> {
        let pool = |name: &str, units| Pool { name: name.into(), units, gpu: true, usd_per_hour: dec!(2) };
        vec![pool("a", 10), pool("b", 4)]
    }

    #[test]
    fn what_is_stated_holds_from_then_on() {
        let stated = [
            Stated { at: 2 * HOUR, pool: 0, units: Some(6), usd_per_hour: None },
            Stated { at: HOUR, pool: 1, units: None, usd_per_hour: Some(dec!(1.5)) },
            Stated { at: 3 * HOUR, pool: 0, units: None, usd_per_hour: Some(dec!(3)) },
            Stated { at: 9 * HOUR, pool: 0, units: Some(1), usd_per_hour: None },
        ];
        let of = |at, pool, units, usd_per_hour| Change { at: at * HOUR, pool, units, usd_per_hour, taken: None };
        let expected = [of(1, 1, 4, dec!(1.5)), of(2, 0, 6, dec!(2)), of(3, 0, 6, dec!(3))];
        assert_eq!(changes(&pools(), &stated, &[], 9 * HOUR, 0), expected);
    }

    #[test]
    fn spot_devices_are_away_for_the_share_of_time_that_their_rate_says() {
        // Each is there for 5 h in the mean and away for 1 h.
        let spots = [Spot { pool: 0, per_hour: 0.2, back: HOUR }];
        let end = 5_000 * HOUR;
        let all = changes(&pools(), &[], &spots, end, 3);
        assert_eq!(all, changes(&pools(), &[], &spots, end, 3));
        assert_ne!(all, changes(&pools(), &[], &spots, end, 4));
        let (mut there, mut since, mut units) = (0.0, 0, 10);
        for change in &all {
            assert!((0..=10).contains(&change.units) && change.pool == 0 && (change.units - units).abs() == 1);
            assert_eq!(change.taken.is_some(), change.units < units);
            assert!(change.taken.is_none_or(|which| (0..units).contains(&which)));
            there += (change.at - since) as f64 * units as f64;
            (since, units) = (change.at, change.units);
        }
        there += (end - since) as f64 * units as f64;
        let share = there / (end as f64 * 10.0);
        assert!((share * 6.0 / 5.0 - 1.0).abs() < 0.01, "{share}");
    }
}
