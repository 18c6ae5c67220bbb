//! Figures of a plan: what steps and the whole run are predicted to take, and what the job's clauses and wishes make of it.

use super::Streamed;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Predicted figures of a step, for all its calls in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predicted {
    /// Wall time, seconds.
    pub latency_s: Decimal,
    /// Such times that 95 % of all runs stay within the longest path of them, seconds.
    pub latency_p95_s: Decimal,
    /// The same for 99 %, seconds.
    pub latency_p99_s: Decimal,
    /// Money, dollars.
    pub cost_usd: Decimal,
    /// Of a tool of an agent: what of the money grows with its calls. A round calls one tool, so that the total has of all tools of an agent
    /// the largest of these, and what is left of each.
    #[serde(default, skip_serializing_if = "Decimal::is_zero")]
    pub either_usd: Decimal,
    /// Energy, watt-hours; `None` where a provider's machines do the work and nobody knows.
    pub energy_wh: Option<Decimal>,
    /// Quality, 0 to 1.
    pub quality: Decimal,
    /// Peak memory, gigabytes.
    pub memory_gb: Decimal,
    /// Of a step whose tokens are the result's: how fast they come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streamed: Option<Streamed>,
}

/// Totals for one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// The critical path, seconds.
    pub latency_s: Decimal,
    /// What 95 % of all runs stay within, seconds.
    pub latency_p95_s: Decimal,
    /// What 99 % of all runs stay within, seconds.
    pub latency_p99_s: Decimal,
    /// Money, dollars.
    pub cost_usd: Decimal,
    /// Energy, watt-hours, of the steps whose energy is known.
    pub energy_wh: Decimal,
    /// Whether the energy of every step is known.
    pub energy_known: bool,
    /// End-to-end quality, 0 to 1.
    pub quality: Decimal,
    /// GPUs.
    pub gpus: u32,
    /// From the start of the run to the first token of its result, and how fast further ones come: a result that comes whole has its
    /// first token with its last one, and none after it.
    pub streamed: Streamed,
}

/// A clause of the job, with what the plan makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanClause {
    /// As in the source: `cost <= 2 usd`.
    pub text: String,
    /// Its line in the source, 1-based; 0 where the command line says it (`--slo`).
    pub line: u32,
    /// What is bounded: `cost`, `latency`, `latency.p95`, `latency.p99`, `quality`, `energy`, `gpus`, `ttft`, `tpot` and their percentiles; `rule` for pins and data rules.
    pub metric: String,
    /// The limit, in the metric's unit (usd, s, ratio, Wh, devices).
    pub limit: Decimal,
    /// The plan's value, in the same unit.
    pub value: Decimal,
    /// What is left until the clause breaks, in the same unit; never negative for a hard clause.
    pub slack: Decimal,
    /// Whether it was a wish (`prefer`) that may be broken.
    pub soft: bool,
    /// Whether it holds.
    pub holds: bool,
    /// What the limit costs, by exact plans for a tighter and a looser one; `None` for rules, and where it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<ShadowPrice>,
}

/// What a limit costs: the best plans where it is a little tighter and a little looser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowPrice {
    /// By how much the limit is moved, in the metric's unit.
    pub step: Decimal,
    /// With a limit tighter by that: `None` where there is then no plan.
    pub tighter: Option<PriceChange>,
    /// With a limit looser by that.
    pub looser: Option<PriceChange>,
}

/// What a plan for another limit changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceChange {
    /// The metric of the first wish.
    pub metric: String,
    /// Its change, in its unit.
    pub change: Decimal,
    /// The change of the cost of a run, in dollars.
    pub cost_usd: Decimal,
}

/// A wish of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanWish {
    /// `minimize cost`.
    pub text: String,
    /// The plan's value, in the metric's unit.
    pub value: Decimal,
}
