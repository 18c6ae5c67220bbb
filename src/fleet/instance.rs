//! What carries out a step → the instance that jobs can share, what a run puts on it, and what the run costs beside it.

use crate::library::Implementation;
use crate::library::size::SizeExpr;
use crate::plan::model::{Hardware, Predicted};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds of an hour.
const HOUR: Decimal = Decimal::from_parts(3600, 0, 0, false, 0);
/// Millionths.
const MILLION: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

/// A model or tool, set up in one way on some hardware. Requests of several jobs can share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The model or tool.
    pub implementation: String,
    /// The knobs that are settings of the instance. A knob that the work or the sizes of a request follow (how many frames are
    /// sent) is the request's, and requests that differ in it share an instance.
    pub knobs: BTreeMap<String, String>,
    /// What one replica holds.
    pub hardware: Hardware,
}

impl Instance {
    /// The instance of an implementation with its knobs set; `None` where a provider runs it.
    pub fn of<'k>(
        entry: &Implementation,
        knobs: impl Iterator<Item = (&'k str, &'k str)>,
        hardware: &Hardware,
    ) -> Option<Instance> {
        if hardware.device == "api" {
            return None;
        }
        let of_request = |name: &str| entry.work.iter().chain(&entry.sizes).any(|(_, expr)| mentions(expr, name));
        let knobs = knobs.filter(|(name, _)| !of_request(name)).map(|(n, v)| (n.to_string(), v.to_string()));
        Some(Instance { implementation: entry.name.to_string(), knobs: knobs.collect(), hardware: hardware.clone() })
    }

    /// For people: `whisper(variant: small) on a100 * 1`.
    pub fn shown(&self) -> String {
        let knobs: Vec<String> = self.knobs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let knobs = if knobs.is_empty() { String::new() } else { format!("({})", knobs.join(", ")) };
        format!("{}{knobs} on {} * {}", self.implementation, self.hardware.device, self.hardware.units)
    }
}

fn mentions(expr: &SizeExpr, knob: &str) -> bool {
    match expr {
        SizeExpr::Knob(name) => name == knob,
        SizeExpr::Apply(_, args) => args.iter().any(|arg| mentions(arg, knob)),
        SizeExpr::Number(_) | SizeExpr::Size(..) => false,
    }
}

/// Seconds for which all calls of a run keep one slot of an instance busy. The latency of a step is that of its calls one
/// after the other, `concurrency` of them at once.
fn busy(entry: &Implementation, calls: Decimal, predicted: &Predicted) -> Option<Decimal> {
    let rounds = (calls / Decimal::from(entry.concurrency.max(1))).ceil();
    if rounds.is_zero() { Some(Decimal::ZERO) } else { predicted.latency_s.checked_mul(calls)?.checked_div(rounds) }
}

/// What a job's step puts on its instance: millionths of a replica that is busy all the time, rounded up. `None` where that is
/// too large to plan with.
pub fn load(entry: &Implementation, calls: Decimal, predicted: &Predicted, rate: Decimal) -> Option<i64> {
    let slots = Decimal::from(entry.concurrency.max(1));
    let busy = busy(entry, calls, predicted)?.checked_mul(rate)?.checked_div(slots)?;
    up(busy)
}

/// What a job's step costs by the hour beside replicas (a provider's charges), in micro-dollars, rounded up.
pub fn fee(
    entry: &Implementation,
    calls: Decimal,
    predicted: &Predicted,
    hardware: &Hardware,
    hourly: Decimal,
    rate: Decimal,
) -> Option<i64> {
    let mut cost = predicted.cost_usd;
    if hardware.device != "api" {
        // The cost of a run has the rent of its busy time, which replicas pay for here.
        let rent = busy(entry, calls, predicted)?.checked_mul(hourly)?.checked_mul(Decimal::from(hardware.units))?;
        let fee = (cost - rent / HOUR).max(Decimal::ZERO);
        // What is left of figures with nine digits after that subtraction is rounding.
        cost = if fee < Decimal::new(1, 7) { Decimal::ZERO } else { fee };
    }
    up(cost.checked_mul(rate)?.checked_mul(HOUR)?)
}

/// Millionths, rounded up.
pub fn up(value: Decimal) -> Option<i64> {
    value.checked_mul(MILLION)?.ceil().to_i64().filter(|value| (0..=crate::solve::joint::problem::MOST).contains(value))
}

/// Millionths as a decimal.
pub fn millionths(value: i128) -> Decimal {
    Decimal::try_from_i128_with_scale(value, 6).unwrap_or(Decimal::MAX).normalize()
}
