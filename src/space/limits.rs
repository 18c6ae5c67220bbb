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
                    "write a percentage: `quality >= 80 %`",
                )),
            },
            Stands::PerItem { input, limit, unit, text } => {
                let count = sizes.get(input).and_then(|sizes| sizes.get("count")).copied().unwrap_or_default();
                // A limit that is too large to be written is none.
                let times = |value: Decimal| value.checked_mul(count).unwrap_or(Decimal::MAX);
                let (whole, name) = (times(*limit), &clause.unit.0);
                let shown = (whole / *unit).normalize();
                let items = counted(count.normalize(), "item");
                let text = eco_format!("{text} ({shown} {name} for {items})");
                // What a repair divides by is no nothing, of no items either.
                let unit = (name.clone(), times(*unit).max(*unit));
                *clause = Clause { limit: whole, unit, text, ..clause.clone() };
            }
        }
    }
}
