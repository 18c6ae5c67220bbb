//! Rate + busy time → how often hardware must be there to keep up, and what a provider takes.

use super::Candidate;
use crate::library::{Concurrency, Implementation, RateLimit};
use ecow::EcoString;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, dec};

/// How much of its time hardware may be busy: what is beyond it waits ever longer.
pub const BUSY: Decimal = dec!(0.8);

/// How many calls of a candidate are under way at once.
pub fn width(entry: &Implementation, candidate: &Candidate) -> Decimal {
    width_at(entry, |name| super::shape::knob(candidate, name))
}

/// The same, with the values of knobs that are numbers.
pub fn width_at(entry: &Implementation, knob: impl Fn(&str) -> Option<Decimal>) -> Decimal {
    match &entry.concurrency {
        Concurrency::Fixed(calls) => Decimal::from((*calls).max(1)),
        Concurrency::Knob(name) => knob(name).unwrap_or(Decimal::ONE).max(Decimal::ONE),
    }
}

/// How often hardware that a run keeps busy for so many seconds must be there; `None` for more than can be counted.
pub fn replicas(rate: Option<Decimal>, busy: Decimal) -> Option<u32> {
    let Some(rate) = rate else { return Some(1) };
    let needed = rate.checked_mul(busy)?.checked_div(BUSY)?.ceil().to_u32()?;
    Some(needed.max(1))
}

/// Dollars of a run for hardware that stands ready for so many runs a second.
pub fn standing(units: u32, replicas: u32, hourly: Decimal, rate: Decimal) -> Option<Decimal> {
    let held = Decimal::from(u64::from(units) * u64::from(replicas)).checked_div(rate)?;
    Some(held.checked_mul(hourly)? / Decimal::from(3600))
}

/// The largest share of any of a provider's limits that so many runs a second take; `None` where it states none, or beyond the range
/// of exact decimals.
pub fn taken(
    (entry, candidate): (&Implementation, &Candidate),
    rate: Decimal,
    calls: Decimal,
    work: &[(EcoString, Decimal)],
) -> Option<Decimal> {
    let share =
        |limit: &RateLimit| rate.checked_mul(calls)?.checked_mul(each(limit, work))?.checked_div(limit.per_second);
    let shares: Option<Vec<Decimal>> = entry.limits_at(&candidate.knobs).map(share).collect();
    shares?.into_iter().max()
}

/// How long after the first of so many calls a provider takes the last one, in seconds; zero where it states no limits, `None` beyond
/// the range of exact decimals.
pub fn spread(
    (entry, candidate): (&Implementation, &Candidate),
    calls: Decimal,
    work: &[(EcoString, Decimal)],
) -> Option<Decimal> {
    let behind = (calls.ceil() - Decimal::ONE).max(Decimal::ZERO);
    let last = |limit: &RateLimit| behind.checked_mul(each(limit, work))?.checked_div(limit.per_second);
    let all: Option<Vec<Decimal>> = entry.limits_at(&candidate.knobs).map(last).collect();
    Some(all?.into_iter().max().unwrap_or_default())
}

/// What a call counts as.
fn each(limit: &RateLimit, work: &[(EcoString, Decimal)]) -> Decimal {
    if limit.tokens { tokens(work) } else { Decimal::ONE }
}

/// The tokens of a call, in and out.
fn tokens(work: &[(EcoString, Decimal)]) -> Decimal {
    work.iter().filter(|(n, _)| n == "input" || n == "output").map(|(_, amount)| *amount).sum()
}

/// Why a provider does not take the calls of so many runs a second; `None` where it does.
pub fn refused(
    (entry, candidate): (&Implementation, &Candidate),
    rate: Decimal,
    calls: Decimal,
    work: &[(EcoString, Decimal)],
) -> Option<String> {
    entry.limits_at(&candidate.knobs).find_map(|limit| {
        let sent = rate.checked_mul(calls).and_then(|c| c.checked_mul(each(limit, work)));
        let over = sent.is_none_or(|sent| sent > limit.per_second);
        let shown = sent.map_or("too much".to_string(), |s| crate::units::shown(s, 2));
        let what = if limit.tokens { "tok/s" } else { "requests/s" };
        over.then(|| format!("the load sends {shown} {what}, and it takes {}", limit.text))
    })
}
