//! Runs that have ended + the limits of their job → how the limits were kept. Time counts from acceptance to answer, so that what a run waits
//! for counts; a run that failed is within no limit on time.

use crate::plan::model::PlanClause;
use crate::serve::api::deployed::{ClauseStatus, Quantiles, Slo};
use crate::serve::store::Ended;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// What runs are measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measured {
    Latency,
    Cost,
}

fn measured(metric: &str) -> Option<Measured> {
    match metric.split('.').next() {
        Some("latency") => Some(Measured::Latency),
        Some("cost") => Some(Measured::Cost),
        _ => None,
    }
}

/// The share of runs that a limit on this metric promises; none where it is one on the mean.
fn promised(metric: &str) -> Option<f64> {
    match metric.rsplit_once('.') {
        Some((_, "p95")) => Some(0.95),
        Some((_, "p99")) => Some(0.99),
        _ => None,
    }
}

/// Whether a run broke a limit; none where that was not measured.
pub fn breaks(clause: &PlanClause, ended: &Ended) -> Option<bool> {
    let limit = clause.limit.to_f64()?;
    match measured(&clause.metric)? {
        Measured::Latency => Some(!ended.done || seconds(ended) > limit),
        Measured::Cost => ended.spent_micro.map(|micro| micro as f64 / 1e6 > limit),
    }
}

/// How the limits were kept by runs that have ended; `since_start` counts those that broke each, by its text.
pub fn slo(ended: &[Ended], clauses: &[PlanClause], since_start: &BTreeMap<String, u64>) -> Slo {
    let mut times: Vec<f64> = ended.iter().filter(|run| run.done).map(seconds).collect();
    times.sort_by(f64::total_cmp);
    let costs: Vec<f64> = ended.iter().filter_map(|run| run.spent_micro).map(|micro| micro as f64 / 1e6).collect();
    let status = |clause: &PlanClause| {
        let judged: Vec<bool> = ended.iter().filter_map(|run| breaks(clause, run)).collect();
        let broken = judged.iter().filter(|broken| **broken).count() as u64;
        let within = (!judged.is_empty()).then(|| 1.0 - broken as f64 / judged.len() as f64);
        let (promised, kind) = (promised(&clause.metric), measured(&clause.metric));
        let of = match kind {
            Some(Measured::Latency) => mean(&times),
            Some(Measured::Cost) => mean(&costs),
            None => None,
        };
        let limit = clause.limit.to_f64().unwrap_or(f64::INFINITY);
        let holds = match promised {
            Some(promised) => within.map(|within| within >= promised),
            // Nothing but failures has no mean, and is not within.
            None => within.map(|_| of.is_some_and(|mean| mean <= limit)),
        };
        ClauseStatus {
            text: clause.text.clone(),
            soft: clause.soft,
            measured: kind.is_some(),
            within,
            promised,
            broken,
            broken_since_start: since_start.get(&clause.text).copied().unwrap_or(0),
            holds,
        }
    };
    Slo {
        runs: ended.len() as u64,
        failed: ended.iter().filter(|run| !run.done).count() as u64,
        latency_s: quantiles(&times),
        cost_usd: mean(&costs),
        clauses: clauses.iter().filter(|clause| clause.metric != "rule").map(status).collect(),
    }
}

fn seconds(ended: &Ended) -> f64 {
    ended.took_ms as f64 / 1e3
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Of values in order: the least that so many of them do not exceed.
fn quantiles(sorted: &[f64]) -> Option<Quantiles> {
    let at = |share: f64| {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    };
    Some(Quantiles { mean: mean(sorted)?, p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::{Decimal, dec};

    fn clause(metric: &str, limit: Decimal) -> PlanClause {
        let (text, metric) = (format!("{metric} <= {limit}"), metric.to_owned());
        let (value, slack) = (Decimal::ZERO, limit);
        PlanClause { text, line: 1, metric, limit, value, slack, soft: false, holds: true, price: None }
    }

    fn run(done: bool, took_ms: u64, spent_micro: Option<u64>) -> Ended {
        Ended { done, took_ms, spent_micro }
    }

    #[test]
    fn a_share_is_held_against_what_is_promised() {
        let mut runs: Vec<Ended> = (1..=95).map(|n| run(true, n * 10, Some(100))).collect();
        runs.extend((0..5).map(|_| run(true, 5_000, None)));
        let clauses = [
            clause("latency.p95", dec!(0.95)),
            clause("latency.p99", dec!(0.95)),
            clause("latency", dec!(1)),
            clause("cost", dec!(0.00005)),
            clause("quality", dec!(0.9)),
        ];
        let slo = slo(&runs, &clauses, &BTreeMap::from([(clauses[0].text.clone(), 7)]));
        let seen: Vec<_> = slo.clauses.iter().map(|c| (c.broken, c.holds, c.measured)).collect();
        assert_eq!(
            seen,
            [
                (5, Some(true), true),
                (5, Some(false), true),
                (5, Some(true), true),
                (95, Some(false), true),
                (0, None, false)
            ]
        );
        assert_eq!((slo.clauses[0].broken_since_start, slo.clauses[1].broken_since_start), (7, 0));
        let latency = slo.latency_s.expect("runs");
        assert_eq!((latency.p50, latency.p95, latency.p99), (0.5, 0.95, 5.0));
        assert_eq!((slo.runs, slo.failed), (100, 0));
        assert!(slo.cost_usd.is_some_and(|usd| (usd - 0.0001).abs() < 1e-12));
    }

    #[test]
    fn a_run_that_failed_is_within_no_limit_on_time() {
        let clauses = [clause("latency.p95", dec!(1)), clause("latency", dec!(1))];
        let failed = slo(&[run(false, 1, None)], &clauses, &BTreeMap::new());
        assert!(failed.clauses.iter().all(|clause| clause.holds == Some(false) && clause.broken == 1));
        assert_eq!((failed.failed, failed.latency_s), (1, None));
        let none = slo(&[], &clauses, &BTreeMap::new());
        assert!(none.clauses.iter().all(|clause| clause.holds.is_none() && clause.within.is_none()));
    }
}
