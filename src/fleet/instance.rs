//! What carries out a step → the instance that jobs can share, what a run puts on it, and what the run costs beside it.

use crate::library::Implementation;
use crate::plan::model::{PlanStep, Predicted};
use crate::space::Candidate;
use crate::space::load::{taken, width};
use crate::space::sharing::settings;
use ecow::EcoString;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds of an hour.
const HOUR: Decimal = Decimal::from_parts(3600, 0, 0, false, 0);
/// Millionths.
const MILLION: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// A model or tool, set up in one way on some hardware. Requests of several jobs can share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The model or tool.
    pub implementation: String,
    /// The knobs that belong to it: [`settings`].
    pub knobs: BTreeMap<String, String>,
    /// The device of one replica: `cpu` or a GPU's name.
    pub device: String,
    /// How many of them one replica holds.
    pub units: u32,
}

impl Instance {
    /// The instance of a candidate. Of a provider that states limits, one account: every job's requests count against them. `None`
    /// where a provider states none.
    pub fn of(entry: &Implementation, candidate: &Candidate) -> Option<Instance> {
        if candidate.device == "api" {
            let (implementation, device) = (entry.name.to_string(), "api".to_string());
            let own = |value: &EcoString| entry.limits_at(&candidate.knobs).any(|l| l.of.as_ref() == Some(value));
            // What has a limit of its own is an account of its own.
            let knobs = candidate.knobs.iter().filter(|(_, value)| own(value));
            let knobs = knobs.map(|(name, value)| (name.to_string(), value.to_string())).collect();
            let account = Instance { implementation, knobs, device, units: 0 };
            return entry.limits_at(&candidate.knobs).next().is_some().then_some(account);
        }
        let knobs = settings(entry, candidate);
        Some(Instance {
            implementation: entry.name.to_string(),
            knobs: knobs.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            device: candidate.device.to_string(),
            units: candidate.units,
        })
    }

    /// Whether it is a provider's account: nothing of it runs on devices of one's own.
    pub fn is_account(&self) -> bool {
        self.device == "api"
    }

    /// For people: `whisper(variant: small) on a100 * 1`.
    pub fn shown(&self) -> String {
        let knobs: Vec<String> = self.knobs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let knobs = if knobs.is_empty() { String::new() } else { format!("({})", knobs.join(", ")) };
        if self.is_account() {
            return format!("{}{knobs}, limited", self.implementation);
        }
        format!("{}{knobs} on {} * {}", self.implementation, self.device, self.units)
    }
}

/// A step as it is carried out: what decides its load.
pub struct Carried<'a> {
    /// The model or tool.
    pub entry: &'a Implementation,
    /// How it is set up.
    pub candidate: &'a Candidate,
    /// Calls in one run.
    pub calls: Decimal,
    /// The work of one call, by dimension.
    pub work: &'a [(EcoString, Decimal)],
    /// Figures of all calls of one run.
    pub predicted: &'a Predicted,
}

impl Carried<'_> {
    /// Seconds of an instance that a run takes, all slots busy. The latency of a step is that of its calls one after the other,
    /// so many at once as the instance has slots.
    fn busy(&self) -> Option<Decimal> {
        let slots = width(self.entry, self.candidate);
        let rounds = self.calls.checked_div(slots)?.ceil();
        if rounds.is_zero() {
            return Some(Decimal::ZERO);
        }
        self.predicted.latency_s.checked_mul(self.calls)?.checked_div(rounds)?.checked_div(slots)
    }

    /// Seconds of one call; none where it is never called.
    pub fn once(&self) -> Option<Decimal> {
        let rounds = self.calls.checked_div(width(self.entry, self.candidate))?.ceil();
        self.predicted.latency_s.checked_div(rounds)
    }

    /// What the step puts on its instance: millionths of a replica that is busy all the time, or of what a provider takes at most,
    /// rounded up. `None` where that is too large to plan with.
    pub fn load(&self, rate: Decimal) -> Option<i64> {
        if self.candidate.device == "api" {
            return up(taken((self.entry, self.candidate), rate, self.calls, self.work)?);
        }
        up(self.busy()?.checked_mul(rate)?)
    }
}

/// What a step costs by the hour beside replicas, in micro-dollars, rounded up: what a provider charges in any case, and what it charges for
/// calls of which an agent makes one a round. What runs on devices of one's own costs its replicas and no more.
pub fn fees(device: &str, predicted: &Predicted, rate: Decimal) -> Option<(i64, i64)> {
    if device != "api" {
        return Some((0, 0));
    }
    let hourly = |usd: Decimal| up(usd.checked_mul(rate)?.checked_mul(HOUR)?);
    Some((hourly(predicted.cost_usd - predicted.either_usd)?, hourly(predicted.either_usd)?))
}

/// The tools of agents that are paid for: of each agent's, the one for whose calls a provider takes most.
pub fn dearest(steps: &[PlanStep]) -> BTreeSet<usize> {
    let mut dearest: BTreeMap<u32, usize> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| step.hardware.device == "api") {
        let Some(agent) = step.agent.as_ref().filter(|_| !step.predicted.either_usd.is_zero()) else { continue };
        let most = dearest.entry(agent.number).or_insert(at);
        if step.predicted.either_usd > steps[*most].predicted.either_usd {
            *most = at;
        }
    }
    dearest.into_values().collect()
}

/// Millionths, rounded up.
pub fn up(value: Decimal) -> Option<i64> {
    value.checked_mul(MILLION)?.ceil().to_i64().filter(|value| (0..=crate::solve::joint::problem::MOST).contains(value))
}

/// Millionths as a decimal.
pub fn millionths(value: i128) -> Decimal {
    Decimal::try_from_i128_with_scale(value, 6).unwrap_or(Decimal::MAX).normalize()
}
