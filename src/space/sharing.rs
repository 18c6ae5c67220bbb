//! Options under a load + who could carry out several steps → instances that steps share: one server, paid once, kept busy by
//! all its users together.

use super::load::BUSY;
use super::{Candidate, Figured, Space};
use crate::library::size::SizeExpr;
use crate::library::{Implementation, Library};
use ecow::EcoString;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// More replicas of one instance are not tried.
const MOST: u32 = 64;

/// A served model, set up in one way on some hardware.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setup {
    /// The implementation's name.
    pub implementation: EcoString,
    /// Its knobs without those that only change what a request asks.
    pub knobs: Vec<(EcoString, EcoString)>,
    /// The device.
    pub device: EcoString,
    /// How many of them one replica holds.
    pub units: u32,
}

/// Devices that stand ready for several steps of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The device.
    pub device: EcoString,
    /// How many of them one replica holds.
    pub units: u32,
    /// How often it is there.
    pub replicas: u32,
    /// What runs on them.
    pub carries: Carries,
}

/// What runs on devices that several steps share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carries {
    /// One served model that all of them use.
    Model {
        /// The implementation's name.
        implementation: EcoString,
        /// The knobs that are the instance's.
        knobs: Vec<(EcoString, EcoString)>,
    },
    /// A model of each step, side by side.
    Models {
        /// The memory of one device, in gigabytes.
        memory_gb: Decimal,
    },
}

/// The setup behind a candidate; `None` where a provider runs it, or nothing stays between two calls.
pub fn setup(entry: &Implementation, candidate: &Candidate) -> Option<Setup> {
    let kind = entry.engine.as_ref().map_or("", |e| e.kind.as_str());
    let passing = ["process", "builtin", "openai", "anthropic", "bedrock"];
    if candidate.is_idle() || candidate.device == "api" || passing.contains(&kind) {
        return None;
    }
    let knobs = settings(entry, candidate).cloned().collect();
    let (implementation, device) = (entry.name.clone(), candidate.device.clone());
    Some(Setup { implementation, knobs, device, units: candidate.units })
}

/// The knobs that belong to an instance. One that the work or the sizes of a request follow (how many frames are sent) is the
/// request's, and requests that differ in it share an instance.
pub fn settings<'a>(
    entry: &'a Implementation,
    candidate: &'a Candidate,
) -> impl Iterator<Item = &'a (EcoString, EcoString)> {
    let of_request = |name: &EcoString| entry.work.iter().chain(&entry.sizes).any(|(_, expr)| mentions(expr, name));
    candidate.knobs.iter().filter(move |(name, _)| !of_request(name))
}

fn mentions(expr: &SizeExpr, knob: &EcoString) -> bool {
    match expr {
        SizeExpr::Knob(name) => name == knob,
        SizeExpr::Apply(_, args) => args.iter().any(|arg| mentions(arg, knob)),
        SizeExpr::Number(_) | SizeExpr::Size(..) => false,
    }
}

/// Adds, behind a step's own options, those that use an instance together with other steps. Only under a load: without one,
/// a step holds hardware while it runs.
pub fn share(space: &mut Space, library: &Library) {
    let Some(rate) = space.terms.rate else { return };
    let setup_of = |candidate: &Candidate| setup(library.implementations.get(&candidate.implementation)?, candidate);
    // By setup: by step, the largest share of time that any option keeps it busy.
    let mut users: BTreeMap<Setup, BTreeMap<usize, Decimal>> = BTreeMap::new();
    for (index, step) in space.steps.iter().enumerate() {
        for option in &step.options {
            if let Some(setup) = setup_of(&step.candidates[option.candidate])
                && let Some(busy) = option.figures.busy.checked_mul(rate)
            {
                let most = users.entry(setup).or_default().entry(index).or_default();
                *most = busy.max(*most);
            }
        }
    }
    for (setup, users) in users.into_iter().filter(|(_, users)| users.len() > 1) {
        let has = space.terms.pools.get(&setup.device).map_or(0, |(units, _)| *units);
        let all = users.values().try_fold(Decimal::ZERO, |sum, busy| sum.checked_add(*busy));
        let most = all.and_then(|all| (all / BUSY).ceil().to_u32()).unwrap_or(MOST).max(1);
        for replicas in 1..=most.min(has / setup.units.max(1)).min(MOST) {
            let hourly = space.terms.pools.get(&setup.device).map_or(Decimal::ZERO, |(_, price)| *price);
            if !super::load::standing(setup.units, replicas, hourly, rate).is_some_and(super::encode::holds_cost) {
                break;
            }
            let at = space.instances.len();
            let mut used = false;
            for index in users.keys() {
                let step = &mut space.steps[*index];
                let fits = |o: &&Figured| {
                    o.shared.is_none()
                        && o.figures.replicas <= replicas
                        && setup_of(&step.candidates[o.candidate]).as_ref() == Some(&setup)
                };
                let more: Vec<Figured> =
                    step.options.iter().filter(fits).map(|o| Figured { shared: Some(at), ..o.clone() }).collect();
                used |= !more.is_empty();
                step.options.extend(more);
            }
            if used {
                let Setup { implementation, knobs, device, units } = setup.clone();
                let carries = Carries::Model { implementation, knobs };
                space.instances.push(Instance { device, units, replicas, carries });
            }
        }
    }
}

impl Instance {
    /// Dollars that it costs a run, whoever uses it; `None` beyond the range of exact decimals.
    pub fn cost(&self, pools: &BTreeMap<EcoString, (u32, Decimal)>, rate: Decimal) -> Option<Decimal> {
        let hourly = pools.get(&self.device).map_or(Decimal::ZERO, |(_, price)| *price);
        super::load::standing(self.units, self.replicas, hourly, rate)
    }
}

impl Figured {
    /// Dollars of a run beside what a shared instance costs.
    pub fn cost(&self) -> Decimal {
        if self.shared.is_some() { self.figures.cost - self.figures.standing } else { self.figures.cost }
    }
}
