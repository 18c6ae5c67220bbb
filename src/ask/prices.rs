//! Plan → the shadow price of each of its limits: exact differences to the best plans where it is tighter and looser.

use super::Asked;
use super::resolve::{Resolved, Twist, resolve};
use super::why::is_soft;
use crate::check::program::{Clause, Metric};
use crate::compile::{Changes, Undecided, decide};
use crate::plan::build::total_of;
use crate::plan::model::{Plan, PriceChange, ShadowPrice, Totals};
use crate::solve::outcome::Status;
use crate::space::encode::{Origin, wishes};
use rust_decimal::{Decimal, MathematicalOps, dec};

/// Limits beyond this number are not priced.
const MOST: usize = 24;

/// Prices the limits of a plan, in place.
pub fn price(asked: &Asked, plan: &mut Plan) {
    let job = &asked.prepared.job;
    let wished = wishes(job);
    let first = wished.first().copied().unwrap_or(Metric::Cost);
    // Money is settled by the wishes up to it.
    let money = wished.iter().position(|m| *m == Metric::Cost).map_or(wished.len(), |at| at + 1);
    let soft = job.preferred.len() + job.rules.iter().filter(|r| r.soft).count();
    let kept = asked.encoded.origins.iter().filter(|o| is_soft(asked, o)).count();
    let (preferring, breaks_some) = (soft > 0, kept < soft);
    let limits = asked.encoded.origins.iter().enumerate();
    let limits = limits.filter_map(|(at, o)| if let Origin::Clause(c) = o { Some((at, c)) } else { None });
    for (at, clause) in limits.take(MOST) {
        let soft = job.preferred.iter().any(|c| c.span == clause.span);
        let text = if soft { format!("prefer {}", clause.text) } else { clause.text.to_string() };
        let total = plan.total.clone();
        let Some(stated) = plan.clauses.iter_mut().find(|c| c.text == text && c.holds && c.price.is_none()) else {
            continue;
        };
        let step = step(clause);
        let side = |tighter: bool| -> Result<Option<PriceChange>, ()> {
            let limit = moved(clause, step, tighter).ok_or(())?;
            // A limit that the plan keeps when it is tighter leaves it the best one.
            if tighter && super::resolve::keeps(clause.metric, limit, &total) {
                return Ok(Some(difference(first, &total, &total)));
            }
            let found = resolve(asked, &Twist { limit: Some((at, limit)), wishes: Some(money), ..Twist::default() });
            // Another limit may change which of the preferred lines can be kept: a tighter one takes some away where it clashes
            // with them, a looser one may give some back.
            let other_lines = if tighter { matches!(found, Resolved::Conflict(_)) && preferring } else { breaks_some };
            if other_lines {
                let changes = Changes { moved: vec![(clause.span, limit)], ..Changes::default() };
                return match decide(asked.prepared, &changes, &asked.limits) {
                    Ok(d) if d.plan.proof.status == Status::Optimal => {
                        Ok(Some(difference(first, &total, &d.plan.total)))
                    }
                    Err(Undecided::Clash(_)) => Ok(None),
                    _ => Err(()),
                };
            }
            match found {
                Resolved::Plan(p) if p.optimal => Ok(Some(difference(first, &total, &p.total))),
                Resolved::Conflict(_) => Ok(None),
                _ => Err(()),
            }
        };
        if let (Ok(tighter), Ok(looser)) = (side(true), side(false)) {
            stated.price = Some(ShadowPrice { step, tighter, looser });
        }
    }
}

fn difference(metric: Metric, before: &Totals, after: &Totals) -> PriceChange {
    PriceChange {
        metric: metric.name().to_string(),
        change: (total_of(metric, after) - total_of(metric, before)).normalize(),
        cost_usd: (after.cost_usd - before.cost_usd).normalize(),
    }
}

/// By how much a limit is moved: one per cent of quality, one GPU, else a tenth of its power of ten (1 s of 60 s).
fn step(clause: &Clause) -> Decimal {
    match clause.metric {
        Metric::Quality => dec!(0.01),
        Metric::Gpus => Decimal::ONE,
        _ => {
            let written = clause.limit / clause.unit.1;
            let power = written.checked_log10().map_or(Decimal::ZERO, |l| l.floor());
            let tenth = Decimal::TEN.checked_powd(power - Decimal::ONE).unwrap_or(Decimal::ONE);
            (tenth.round_sf(1).unwrap_or(tenth) * clause.unit.1).normalize()
        }
    }
}

/// The moved limit; `None` where there is no such limit.
fn moved(clause: &Clause, step: Decimal, tighter: bool) -> Option<Decimal> {
    let up = tighter == (clause.metric == Metric::Quality);
    let limit = if up { clause.limit.checked_add(step)? } else { clause.limit.checked_sub(step)? };
    let most = if clause.metric == Metric::Quality { Decimal::ONE } else { Decimal::MAX };
    (Decimal::ZERO..=most).contains(&limit).then_some(limit)
}
