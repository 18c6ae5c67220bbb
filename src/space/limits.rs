//! Clauses + data flow, library, sizes of inputs → the limits of a run that tiers of quality and limits per item stand for.

use super::sizes::InputSizes;
use super::tier;
use crate::check::errors::unsupported;
use crate::check::program::{Clause, Job, Stands};
use crate::diag::Diagnostics;
use crate::ir::workflow::Workflow;
use crate::library::Library;
use crate::units::counted;
use ecow::eco_format;
use rust_decimal::Decimal;

/// Sets the limits of a job whose lines say them in another way than as that of a run.
pub fn settle(job: &mut Job, workflow: &Workflow, library: &Library, sizes: &InputSizes, cx: &mut Diagnostics) {
    let Job { clauses, preferred, quality_rule, .. } = job;
    for clause in clauses.iter_mut().chain(preferred) {
        match &clause.stands {
            Stands::Itself => {}
            Stands::Tier(tier) => match tier::limit(*tier, workflow, library, quality_rule) {
                Some(limit) => {
                    clause.limit = limit;
                    let shown = (limit * Decimal::ONE_HUNDRED).normalize();
                    clause.text = eco_format!("quality >= {} ({shown} %)", tier.name());
                }
                None => cx.push(unsupported(
                    clause.limit_span,
                    "a tier of quality under a measured rule",
                    "the rule was fitted for some ways to carry the job out, and a tier is a place among all",
                    "write a percentage: `quality >= 80 %`",
                )),
            },
            Stands::PerItem { input, limit, unit, text } => {
                let count = sizes.get(input).and_then(|sizes| sizes.get("count")).copied().unwrap_or_default();
                // A limit that is too large to be written is none.
                let times = |value: Decimal| value.checked_mul(count).unwrap_or(Decimal::MAX);
                let whole = times(*limit);
                let (shown, items) = ((whole / unit.1).normalize(), counted(count.normalize(), "item"));
                let text = eco_format!("{text} ({shown} {} for {items})", unit.0);
                // What a repair divides by is never nothing, of no items either.
                let unit = (clause.unit.0.clone(), times(unit.1).max(unit.1));
                *clause = Clause { limit: whole, unit, text, ..clause.clone() };
            }
        }
    }
}
