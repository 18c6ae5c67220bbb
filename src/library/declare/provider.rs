//! What a provider takes at most, and what it does with what it is sent.

use super::text_of;
use crate::check::quantity;
use crate::diag::{Diagnostics, nearest};
use crate::library::evidence::EvidenceKind;
use crate::library::{Handling, Implementation, RateLimit, Stated, errors};
use crate::syntax::ast::{Atom, AtomKind, Property};
use crate::units::Dimension;
use ecow::EcoString;

/// `limit 500 requests/min`, or `limit "gpt-4o" 500 requests/min` for one value of a knob.
pub fn limit(p: &Property, entry: &mut Implementation, cx: &mut Diagnostics) {
    let (of, rate) = match p.values.as_slice() {
        [rate] => (None, rate),
        [of, rate] => (text_of(of), rate),
        _ => return cx.push(errors::bad_value(p.span, "limit", LIMIT)),
    };
    if !has(entry, of.as_ref(), p, cx) {
        return;
    }
    let read = match &rate.kind {
        AtomKind::Quantity(q) => quantity::measure(q, cx),
        _ => None,
    };
    let per_second = |of: Dimension| of.per(Dimension::TIME);
    let tokens = read.as_ref().is_some_and(|m| m.dimension == per_second(Dimension::TOKENS));
    match read {
        Some(m) if tokens || m.dimension == per_second(Dimension::NONE) => {
            entry.limits.push(RateLimit { of, tokens, per_second: m.value, text: text_of(rate).unwrap_or_default() });
        }
        _ => cx.push(errors::bad_value(p.span, "limit", LIMIT)),
    }
}

/// What a limit is.
const LIMIT: &str = "a rate, `500 requests/min` or `200 ktok/min` say";

/// `retention 30 d published "https://…"` and `training no published "https://…"`, each also for one value of a knob (`retention "gpt-5" 0 d …`).
pub fn handling(p: &Property, entry: &mut Implementation, cx: &mut Diagnostics) {
    let word = p.name.text.clone();
    let (told, evidence) = match p.values.as_slice() {
        [told @ .., Atom { kind: AtomKind::Word(kind), .. }, Atom { kind: AtomKind::Text(source), .. }]
            if EvidenceKind::parse(kind).is_some() && !told.is_empty() =>
        {
            (told, EvidenceKind::parse(kind).map(|kind| (kind, source.clone(), p.span)))
        }
        told => (told, None),
    };
    let wanted = if word == "retention" { "a time, `30 d` say" } else { "`yes` or `no`" };
    let (of, value) = match told {
        [value] => (None, value),
        [of, value] => (text_of(of), value),
        _ => return cx.push(errors::bad_value(p.span, &word, wanted)),
    };
    if !has(entry, of.as_ref(), p, cx) {
        return;
    }
    let handling = match (&value.kind, word.as_str()) {
        (AtomKind::Quantity(q), "retention") => match quantity::of_dimension(q, Dimension::TIME, &word, "30 d", cx) {
            Some(kept) => Handling { of, kept: Some(kept), trains: None },
            None => return,
        },
        (AtomKind::Word(w), "training") if w == "yes" || w == "no" => {
            Handling { of, kept: None, trains: Some(w == "yes") }
        }
        _ => return cx.push(errors::bad_value(value.span, &word, wanted)),
    };
    let before = entry.handling.iter().position(|h| h.of == handling.of && h.kept.is_some() == handling.kept.is_some());
    if let Some(place) = before {
        return cx.push(errors::declared_twice(p.span, "clause", &word, entry.stated[place].at));
    }
    entry.handling.push(handling);
    entry.stated.push(Stated { name: word, at: p.span, evidence });
}

/// Whether a value is one of a knob, where one is named: it stands first.
fn has(entry: &Implementation, of: Option<&EcoString>, p: &Property, cx: &mut Diagnostics) -> bool {
    let Some(of) = of.filter(|of| !entry.knobs.iter().any(|(_, values)| values.contains(*of))) else { return true };
    let near = nearest(of, entry.knobs.iter().flat_map(|(_, values)| values).map(|v| v.as_str()));
    cx.push(errors::unknown_value(p.values[0].span, of, near));
    false
}
