//! A plan's totals, added up from its steps alone.

use super::super::model::{Plan, Predicted, Streamed, Totals};
use crate::ir::dag::Dag;
use crate::ir::stream::{Role, roles};
use crate::types::Type;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// The totals of a plan, added up here once more: what builds plans is not asked.
pub(super) fn recompute(plan: &Plan, dag: &Dag, quality: Decimal) -> Totals {
    // Edges go from lower to higher numbers and are sorted, so that each step's end is settled before it is used.
    let edges = dag.edges();
    let longest = |of: &dyn Fn(&Predicted) -> Decimal| {
        let times: Vec<Decimal> = plan.steps.iter().map(|s| of(&s.predicted)).collect();
        let mut ends = times.clone();
        for (before, after) in &edges {
            ends[*after] = ends[*after].max(ends[*before] + times[*after]);
        }
        ends.into_iter().max().unwrap_or_default()
    };
    let (mut cost, mut energy, mut known) = (Decimal::ZERO, Decimal::ZERO, true);
    cost += plan.instances.iter().map(|i| i.cost_usd).sum::<Decimal>();
    // An agent calls one of its tools a round: what grows with the calls counts once, where it is dearest.
    let mut dearest: BTreeMap<u32, Decimal> = BTreeMap::new();
    for step in &plan.steps {
        cost += step.predicted.cost_usd - step.predicted.either_usd;
        if let Some(agent) = &step.agent {
            let most = dearest.entry(agent.number).or_default();
            *most = step.predicted.either_usd.max(*most);
        }
        energy += step.predicted.energy_wh.unwrap_or_default();
        known &= step.predicted.energy_wh.is_some();
    }
    cost += dearest.into_values().sum::<Decimal>();
    Totals {
        latency_s: longest(&|p| p.latency_s),
        latency_p95_s: longest(&|p| p.latency_p95_s),
        latency_p99_s: longest(&|p| p.latency_p99_s),
        cost_usd: cost,
        energy_wh: energy,
        energy_known: known,
        quality,
        gpus: plan.total.gpus,
        streamed: streamed(plan, dag),
    }
}

/// How the tokens of the result come, added up from the plan's data flow and figures.
fn streamed(plan: &Plan, dag: &Dag) -> Streamed {
    let text: Vec<bool> = plan.steps.iter().map(|s| s.output == Type::Text).collect();
    let roles = roles(&plan.body, dag, &text);
    let edges = dag.edges();
    let first = |whole: &dyn Fn(&Predicted) -> Decimal, of: &dyn Fn(&Streamed) -> Decimal| {
        let added = |at: usize| match roles[at] {
            Role::Aside => Decimal::ZERO,
            Role::Gives { last: true } if let Some(own) = &plan.steps[at].predicted.streamed => of(own),
            Role::Gives { .. } | Role::Before => whole(&plan.steps[at].predicted),
        };
        let mut ends: Vec<Decimal> = (0..plan.steps.len()).map(added).collect();
        for (before, after) in &edges {
            ends[*after] = ends[*after].max(ends[*before] + added(*after));
        }
        ends.into_iter().max().unwrap_or_default()
    };
    let slowest = |of: &dyn Fn(&Streamed) -> Decimal| {
        let all = plan.steps.iter().filter_map(|s| s.predicted.streamed.as_ref());
        all.map(of).fold(Decimal::ZERO, Decimal::max)
    };
    Streamed {
        ttft_s: first(&|p| p.latency_s, &|s| s.ttft_s),
        ttft_p95_s: first(&|p| p.latency_p95_s, &|s| s.ttft_p95_s),
        ttft_p99_s: first(&|p| p.latency_p99_s, &|s| s.ttft_p99_s),
        tpot_s: slowest(&|s| s.tpot_s),
        tpot_p95_s: slowest(&|s| s.tpot_p95_s),
        tpot_p99_s: slowest(&|s| s.tpot_p99_s),
    }
}

/// The times of tokens, for checks that hold for all of them.
pub(super) fn times(streamed: &Streamed) -> [Decimal; 6] {
    let Streamed { ttft_s, ttft_p95_s, ttft_p99_s, tpot_s, tpot_p95_s, tpot_p99_s } = streamed;
    [*ttft_s, *ttft_p95_s, *ttft_p99_s, *tpot_s, *tpot_p95_s, *tpot_p99_s]
}
