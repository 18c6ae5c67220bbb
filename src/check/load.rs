//! How often a job is run: `expect 30 requests/s`, `expect trace "arrivals.csv"`.

use super::program::{Job, Rate};
use super::{errors, quantity};
use crate::diag::Diagnostics;
use crate::diag::source::Span;
use crate::library::Library;
use crate::syntax::ast::{Expectation, Name, Quantity};
use crate::units::Dimension;
use ecow::EcoString;
use rust_decimal::Decimal;

/// The word before the name of a trace of arrivals: `expect trace "arrivals.csv"`.
pub const TRACE: &str = "trace";

/// Reads how often a job is run; it is said once.
pub(super) fn read(said: &Expectation, span: Span, job: &mut Job, library: &Library, cx: &mut Diagnostics) {
    let (rate, trace) = match said {
        Expectation::Rate(q) => (read_rate(q, cx), None),
        Expectation::Trace(word, trace, at) => (read_trace((word, trace, *at), job, library, cx), Some(trace)),
        Expectation::Input { .. } => return,
    };
    let Some(per_s) = rate else { return };
    match &job.rate {
        Some(first) => cx.push(errors::said_twice(span, "expect", first.span)),
        None => job.rate = Some(Rate { per_s, span, trace: trace.cloned() }),
    }
}

/// `expect 30 requests/s`: runs a second.
fn read_rate(q: &Quantity, cx: &mut Diagnostics) -> Option<Decimal> {
    let wanted = Dimension::NONE.per(Dimension::TIME);
    let rate = quantity::of_dimension(q, wanted, "a load", "30 requests/s", cx)?;
    if rate <= Decimal::ZERO {
        cx.push(errors::no_load(q.span));
        return None;
    }
    Some(rate)
}

/// `expect trace "arrivals.csv"`: runs a second in the trace's busiest minute. A trace that names jobs is asked for this one's.
fn read_trace(
    (word, trace, at): (&Name, &EcoString, Span),
    job: &Job,
    library: &Library,
    cx: &mut Diagnostics,
) -> Option<Decimal> {
    if word.text != TRACE {
        cx.push(errors::no_trace_word(word, trace));
        return None;
    }
    match library.loads.get(trace) {
        None => cx.push(errors::no_trace(at, trace, library.alone)),
        Some(Err(why)) => cx.push(errors::bad_trace(at, trace, why)),
        Some(Ok(rates)) => {
            let nobody = EcoString::new();
            let of_all = rates.get(&nobody).filter(|_| rates.len() == 1);
            match rates.get(&job.name).or(of_all) {
                Some(rate) => return Some(*rate),
                None => cx.push(errors::not_in_trace(at, trace, &job.name, rates.keys())),
            }
        }
    }
    None
}
