//! A fractional use of replicas -> rounded cuts that it breaks.
//!
//! A kind's replicas carry its load: `capacity · y >= Σ a x`. For any set of (job, step) with a load `b` each, put `1 - x̄` for
//! `x` there, divide by the capacity and round (mixed-integer rounding). With `r` what is left of `Σ b` over whole replicas and
//! `w(t) = r ⌊t / capacity⌋ + min(t mod capacity, r)`, every plan has
//!
//! `r y - Σ (w(b) - w(b - a)) x >= r ⌈Σ b / capacity⌉ - Σ w(b)`,
//!
//! where steps outside the set have `b = 0`. All of it is in whole numbers.

use super::master::Lean;
use super::menu::{Menu, OWN};
use super::problem::Fleet;
use std::collections::BTreeMap;

/// A step of a job.
pub type Place = (u32, u32);

/// A cut on one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The kind.
    pub kind: usize,
    capacity: i64,
    /// `r`, which multiplies the replicas.
    pub over: i64,
    set: BTreeMap<Place, i64>,
    /// The right side.
    pub rhs: i64,
}

impl Cut {
    fn new(kind: usize, capacity: i64, set: BTreeMap<Place, i64>) -> Option<Cut> {
        let sum = set.values().try_fold(0i64, |sum, load| sum.checked_add(*load))?;
        let over = sum.checked_rem(capacity)?;
        if over == 0 {
            return None;
        }
        let mut cut = Cut { kind, capacity, over, set, rhs: 0 };
        let held: i128 = cut.set.values().map(|load| i128::from(cut.weight(*load))).sum();
        cut.rhs = i64::try_from(i128::from(over) * i128::from(sum / capacity + 1) - held).ok()?;
        Some(cut)
    }

    /// The steps whose load is rounded, by their places in the menu, and that load.
    pub fn set(&self) -> &BTreeMap<Place, i64> {
        &self.set
    }

    fn weight(&self, load: i64) -> i64 {
        let whole = i128::from(load.div_euclid(self.capacity)) * i128::from(self.over);
        let sum = whole + i128::from(load.rem_euclid(self.capacity).min(self.over));
        i64::try_from(sum).unwrap_or(0)
    }

    /// What an option of a step takes of the replicas, times `over`.
    pub fn coefficient(&self, place: Place, load: i64) -> i64 {
        let base = self.set.get(&place).copied().unwrap_or(0);
        self.weight(base) - self.weight(base - load)
    }
}

/// How many steps a set may have.
const LARGEST: usize = 80;

/// For each kind the cut that is broken most, and the best one of few steps.
pub fn separate(fleet: &Fleet, menus: &[Menu], lean: &Lean) -> Vec<Cut> {
    // By kind and step: the share that is on the kind, by load.
    let mut on: Vec<BTreeMap<Place, Vec<(i64, f64)>>> = vec![BTreeMap::new(); fleet.kinds.len()];
    for (job, shares) in lean.shares.iter().enumerate() {
        for (share, dishes) in shares {
            for (place, dish) in dishes.iter().enumerate() {
                let dish = &menus[job].steps[place][*dish as usize];
                if dish.kind != OWN && dish.load > 0 {
                    let loads = on[dish.kind as usize].entry((job as u32, place as u32)).or_default();
                    match loads.iter_mut().find(|(load, _)| *load == dish.load) {
                        Some((_, sum)) => *sum += share,
                        None => loads.push((dish.load, *share)),
                    }
                }
            }
        }
    }
    let mut cuts = Vec::new();
    for (kind, on) in on.iter().enumerate() {
        let capacity = fleet.kinds[kind].capacity;
        let replicas = lean.replicas[kind];
        if (replicas - replicas.round()).abs() < 1e-6 || capacity <= 0 {
            continue;
        }
        // Steps that are on the kind for certain come first.
        let mut order: Vec<(f64, i64, Place)> = on
            .iter()
            .map(|(place, loads)| {
                let main = loads.iter().fold((0, 0.0), |best, l| if l.1 > best.1 { *l } else { best });
                (loads.iter().map(|l| l.1).sum::<f64>(), main.0, *place)
            })
            .collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (b.1, a.2).cmp(&(a.1, b.2))));
        let mut best: [Option<(f64, Cut)>; 2] = [None, None];
        let mut set = BTreeMap::new();
        for (size, (share, load, place)) in order.iter().enumerate() {
            set.insert(*place, *load);
            let last_of_its_share = order.get(size + 1).is_none_or(|next| next.0 < share - 1e-9);
            if size >= LARGEST && !last_of_its_share {
                continue;
            }
            let Some(cut) = Cut::new(kind, capacity, set.clone()) else { continue };
            let used: f64 = on
                .iter()
                .map(|(place, loads)| {
                    loads.iter().map(|(load, share)| cut.coefficient(*place, *load) as f64 * share).sum::<f64>()
                })
                .sum();
            let broken = (cut.rhs as f64 + used) / cut.over as f64 - replicas;
            let slot = &mut best[usize::from(size < 3)];
            if broken > 1e-4 && slot.as_ref().is_none_or(|(most, _)| broken > *most) {
                *slot = Some((broken, cut));
            }
        }
        cuts.extend(best.into_iter().flatten().map(|(_, cut)| cut));
    }
    cuts
}
