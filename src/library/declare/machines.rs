//! Devices and clusters, and what is said of what they are and cost → library.

use super::text_of;
use crate::check::quantity;
use crate::diag::source::Span;
use crate::diag::{Diagnostics, nearest};
use crate::library::evidence::EvidenceKind;
use crate::library::roofline::chip::Architecture;
use crate::library::{Cluster, Device, Facts, Library, Stated, errors};
use crate::syntax::ast::{self, Atom, AtomKind, Name, Property};
use crate::units::Dimension;
use ecow::EcoString;
use rust_decimal::Decimal;

/// The words that lead a property of a device.
pub const DEVICE_WORDS: [&str; 11] = [
    "kind",
    "memory",
    "architecture",
    "tflops",
    "bandwidth",
    "link",
    "power",
    "idle",
    "measured",
    "published",
    "estimated",
];

/// The words that lead what a cluster's prices rest on.
pub const CLUSTER_WORDS: [&str; 3] = ["measured", "published", "estimated"];

/// Adds a device.
pub fn device(device: &ast::Device, docs: &EcoString, library: &mut Library, cx: &mut Diagnostics) {
    let (mut gpu, mut memory_gb, mut facts) = (false, None, Facts::default());
    let (mut stated, mut sources) = (Vec::new(), Vec::new());
    for p in &device.properties {
        let word = p.name.text.as_str();
        let field = match word {
            "memory" => Some((&mut memory_gb, Dimension::BYTES, "80 GB")),
            "tflops" => Some((&mut facts.tflops, Dimension::NONE, "989")),
            "bandwidth" => Some((&mut facts.bandwidth, Dimension::BYTES.per(Dimension::TIME), "3350 GB/s")),
            "link" => Some((&mut facts.link, Dimension::BYTES.per(Dimension::TIME), "450 GB/s")),
            "power" => Some((&mut facts.power, Dimension::POWER, "700 W")),
            "idle" => Some((&mut facts.idle, Dimension::POWER, "70 W")),
            _ => None,
        };
        match (field, p.values.as_slice()) {
            (Some((field, dimension, example)), [Atom { kind: AtomKind::Quantity(q), .. }]) => {
                *field = quantity::of_dimension(q, dimension, word, example, cx);
                // Power is kept in watts, which is a rate of the base unit of energy.
                if dimension == Dimension::POWER {
                    *field = field.map(|w| (w * Decimal::from(3600)).round_dp(12).normalize());
                }
                stated.extend(field.is_some().then(|| Stated::unsupported(word.into(), p.span)));
            }
            (Some((_, _, example)), _) => {
                cx.push(errors::bad_value(p.span, word, &format!("a quantity, `{example}` say")));
            }
            (None, [Atom { kind: AtomKind::Word(w), .. }]) if word == "kind" && (w == "cpu" || w == "gpu") => {
                gpu = w == "gpu";
            }
            (None, [Atom { kind: AtomKind::Word(w), .. }]) if word == "architecture" => {
                facts.architecture = Architecture::parse(w);
                if facts.architecture.is_none() {
                    let known = format!("one of {}", Architecture::ALL.map(|(name, _)| format!("`{name}`")).join(", "));
                    cx.push(errors::bad_value(p.span, word, &known));
                }
            }
            (None, _) if word.is_empty() => {}
            (None, _) if word == "kind" => cx.push(errors::bad_value(p.span, "kind", "`cpu` or `gpu`")),
            (None, _) if word == "architecture" => cx.push(errors::bad_value(p.span, word, "one word")),
            (None, _) => match EvidenceKind::parse(word) {
                Some(kind) => sources.push((kind, p)),
                None => cx.push(errors::unknown_property(p.name.span, word, &DEVICE_WORDS)),
            },
        }
    }
    support(&mut stated, &sources, "facts of the device", cx);
    let (name, docs, span) = (device.name.text.clone(), docs.clone(), device.name.span);
    if let Some(first) = library.devices.get(&name) {
        cx.push(errors::declared_twice(span, "device", &name, first.span));
        return;
    }
    library.devices.insert(name.clone(), Device { name, docs, span, gpu, memory_gb, facts, stated });
}

/// Adds a cluster.
pub fn cluster(cluster: &ast::Cluster, library: &mut Library, cx: &mut Diagnostics) {
    let (mut pools, mut spans) = (Vec::new(), Vec::<(EcoString, Span)>::new());
    let (mut stated, mut sources) = (Vec::new(), Vec::new());
    for (device, count, price) in &cluster.pools {
        if !library.devices.contains_key(&device.text) {
            cx.push(unknown_device(device, library));
            continue;
        }
        if let Some((_, first)) = spans.iter().find(|(name, _)| *name == device.text) {
            cx.push(errors::declared_twice(device.span, "pool", &device.text, *first));
            continue;
        }
        spans.push((device.text.clone(), device.span));
        if price.is_none() {
            cx.push(errors::no_price(device.span, &device.text));
        }
        let hourly = Dimension::MONEY.per(Dimension::TIME);
        let usd = price.as_ref().and_then(|p| quantity::of_dimension(p, hourly, "a price", "3.40 usd/h", cx));
        let usd_per_hour = usd.map_or(Decimal::ZERO, |p| (p * Decimal::from(3600)).round_dp(12));
        // What is free has nothing to rest on.
        let priced = price.as_ref().filter(|_| !usd_per_hour.is_zero());
        stated.extend(priced.map(|p| Stated::unsupported(device.text.clone(), p.span)));
        pools.extend(
            quantity::whole(count, "the number of devices", cx).map(|n| (device.text.clone(), n, usd_per_hour)),
        );
    }
    for p in &cluster.properties {
        match (EvidenceKind::parse(&p.name.text), p.values.as_slice()) {
            (Some(kind), _) => sources.push((kind, p)),
            (None, [count @ Atom { kind: AtomKind::Quantity(_), .. }, ..]) => {
                cx.push(errors::no_times(p.span, count.span, &p.name.text));
            }
            (None, _) => cx.push(errors::unknown_property(p.name.span, &p.name.text, &CLUSTER_WORDS)),
        }
    }
    support(&mut stated, &sources, "devices with a price", cx);
    let name = cluster.name.text.clone();
    if let Some(first) = library.clusters.get(&name) {
        cx.push(errors::declared_twice(cluster.name.span, "cluster", &name, first.span));
        return;
    }
    let span = cluster.name.span;
    library.clusters.insert(name.clone(), Cluster { name, span, pools, stated });
}

/// Gives what is stated its evidence: `published tflops power "https://…"`, or without names for all that no other line names.
fn support(stated: &mut [Stated], sources: &[(EvidenceKind, &Property)], what: &str, cx: &mut Diagnostics) {
    let mut rest: Option<(EvidenceKind, &EcoString, Span)> = None;
    for (kind, p) in sources {
        let Some((Atom { kind: AtomKind::Text(source), .. }, names)) = p.values.split_last() else {
            cx.push(errors::bad_value(p.span, kind.text(), "a source in quotes, behind the names of what it is for"));
            continue;
        };
        if names.is_empty() {
            match rest {
                Some((_, _, first)) => cx.push(errors::declared_twice(p.span, "source for", "the rest", first)),
                None => rest = Some((*kind, source, p.span)),
            }
        }
        for name in names {
            let text = text_of(name).unwrap_or_default();
            match stated.iter_mut().find(|s| s.name == text) {
                Some(Stated { evidence: Some((.., first)), .. }) => {
                    cx.push(errors::declared_twice(name.span, "source for", &text, *first));
                }
                Some(fact) => fact.evidence = Some((*kind, source.clone(), name.span)),
                None => {
                    let known: Vec<&str> = stated.iter().map(|s| s.name.as_str()).collect();
                    cx.push(errors::not_stated(name.span, &text, what, &known));
                }
            }
        }
    }
    if let Some((kind, source, at)) = rest {
        for fact in stated.iter_mut().filter(|fact| fact.evidence.is_none()) {
            fact.evidence = Some((kind, source.clone(), at));
        }
    }
}

/// E0409, with the nearest device that there is.
pub fn unknown_device(name: &Name, library: &Library) -> crate::diag::Diagnostic {
    errors::unknown_device(name.span, &name.text, nearest(&name.text, library.devices.keys().map(|k| k.as_str())))
}
