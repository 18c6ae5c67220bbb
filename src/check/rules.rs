//! Pins and rules: `using`, `avoid`, `only open_models`, `region`, `license`, data rules, the rule of quality.

use super::program::{Job, LocalId, Pin, QualityRule, Rule, RuleKind};
use super::{Context, errors, quantity, reuse};
use crate::diag::source::Span;
use crate::diag::{Diagnostics, nearest};
use crate::library::declare::{least_memory, text_of};
use crate::library::end_to_end;
use crate::library::{Implementation, Library};
use crate::syntax::ast::{self, AtomKind, Preference, Property, StmtKind, Using};
use crate::units::Dimension;
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The words that begin rules, each with a rule that it begins.
const WORDS: [(&str, &str); 9] = [
    ("avoid", "avoid whisper"),
    ("only", "only open_models"),
    ("region", "region eu"),
    ("license", "license permissive"),
    ("retention", "retention 30 d"),
    ("quality", "quality product"),
    ("pii", "pii videos"),
    ("no", "no pii to closed models"),
    ("cache", "cache off"),
];

/// A rule that begins with this word, if any does.
pub fn example(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(begins, _)| *begins == word).map(|(_, example)| *example)
}

/// Reads the pins and rules of a job.
pub fn check_rules(body: &[ast::Stmt], job: &mut Job, context: &Context, cx: &mut Diagnostics) {
    said_twice(body, cx);
    for p in personal_data(body) {
        let named: Vec<LocalId> = p.values.iter().filter_map(|v| input(v, job, cx)).collect();
        job.personal.extend(named);
    }
    let inputs = job.holding_personal_data();
    for stmt in body {
        let text: EcoString = context.sources.text(stmt.span).split_whitespace().collect::<Vec<_>>().join(" ").into();
        let (kind, soft) = match &stmt.kind {
            StmtKind::Pin(using) => (pin(using, None, context.library, cx).map(RuleKind::Pin), false),
            StmtKind::Prefer(Preference::Using(using)) => {
                (pin(using, None, context.library, cx).map(RuleKind::Pin), true)
            }
            StmtKind::Rule(p) => (rule(p, job, &inputs, context, cx), false),
            StmtKind::Prefer(Preference::Rule(p)) => (rule(p, job, &inputs, context, cx), true),
            StmtKind::On(name) => {
                if !context.library.clusters.contains_key(&name.text) && name.text != "here" {
                    let near = nearest(&name.text, context.library.clusters.keys().map(|k| k.as_str()));
                    cx.push(errors::unknown_choice(name.span, "cluster", &name.text, near));
                }
                job.cluster = Some((name.text.clone(), name.span));
                continue;
            }
            _ => continue,
        };
        job.rules.extend(kind.map(|kind| Rule { kind, soft, span: stmt.span, text }));
    }
}

fn personal_data(body: &[ast::Stmt]) -> impl Iterator<Item = &Property> {
    let rules = body.iter().filter_map(|s| if let StmtKind::Rule(p) = &s.kind { Some(p) } else { None });
    rules.filter(|p| p.name.text == "pii")
}

/// Warns of `pii` where nothing says where personal data may go.
pub fn check_personal(body: &[ast::Stmt], job: &Job, cx: &mut Diagnostics) {
    // A rule that is said wrongly was reported.
    let tried = body.iter().any(|s| matches!(&s.kind, StmtKind::Rule(p) if p.name.text == "no"));
    let ruled = tried || job.rules.iter().any(|rule| matches!(rule.kind, RuleKind::NoPiiToClosed { .. }));
    for p in personal_data(body).filter(|_| !ruled) {
        let help = "write `no pii to closed models` as well";
        cx.push(errors::no_effect(p.span, "`pii` alone protects nothing", "no rule is about it", help));
    }
}

/// Reports what a job says of itself a second time, where only one can count.
fn said_twice(body: &[ast::Stmt], cx: &mut Diagnostics) {
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    for stmt in body {
        let word = match &stmt.kind {
            StmtKind::On(_) => "on",
            StmtKind::Goal(..) => "goal",
            StmtKind::Rule(p) if p.name.text == "quality" => "quality",
            StmtKind::Rule(p) if p.name.text == "cache" => "cache",
            _ => continue,
        };
        match first.entry(word) {
            Entry::Occupied(before) => cx.push(errors::said_twice(stmt.span, word, *before.get())),
            Entry::Vacant(place) => drop(place.insert(stmt.span)),
        }
    }
}

/// A region of the library, as the library writes it.
fn region(name: &str, at: Span, library: &Library, cx: &mut Diagnostics) -> Option<EcoString> {
    let known: BTreeSet<&EcoString> = library.implementations.values().filter_map(|i| i.region.as_ref()).collect();
    let found = known.iter().find(|region| region.eq_ignore_ascii_case(name));
    if found.is_none() {
        cx.push(errors::unknown_region(at, name, &known));
    }
    found.map(|region| (*region).clone())
}

fn input(atom: &ast::Atom, job: &Job, cx: &mut Diagnostics) -> Option<LocalId> {
    let name = text_of(atom)?;
    let found = job.params.iter().copied().find(|p| job.local(*p).name == name);
    if found.is_none() {
        let near = nearest(&name, job.params.iter().map(|p| job.local(*p).name.as_str()));
        cx.push(errors::unknown_name(atom.span, &name, near));
    }
    found
}

fn rule(
    p: &Property,
    job: &mut Job,
    personal: &[LocalId],
    context: &Context,
    cx: &mut Diagnostics,
) -> Option<RuleKind> {
    let words: Vec<EcoString> = p.values.iter().filter_map(text_of).collect();
    let words: Vec<&str> = words.iter().map(|w| w.as_str()).collect();
    match (p.name.text.as_str(), words.as_slice()) {
        ("avoid", [name]) => {
            if !context.library.implementations.contains_key(*name) {
                cx.push(errors::unknown_entry(p.values[0].span, name, None, context.library));
                return None;
            }
            Some(RuleKind::Avoid((*name).into()))
        }
        ("only", ["open_models"]) => Some(RuleKind::OnlyOpen),
        ("region", [name]) => region(name, p.values[0].span, context.library, cx).map(RuleKind::Region),
        ("license", ["permissive"]) => Some(RuleKind::Permissive),
        ("quality", ["product"]) => {
            job.quality_rule = QualityRule::Product;
            None
        }
        ("quality", ["min"]) => {
            job.quality_rule = QualityRule::Min;
            None
        }
        ("quality", ["from", table]) => {
            match context.library.tables.get(*table) {
                None => cx.push(errors::no_table(p.values[1].span, table, context.library.alone)),
                Some(file) => {
                    let text = &context.sources.get(*file).text;
                    let rule = end_to_end::read(table, text, *file, cx);
                    job.quality_rule = rule.map_or(QualityRule::Product, |rule| QualityRule::Measured(Arc::new(rule)));
                }
            }
            None
        }
        ("pii", [_, ..]) => None,
        ("cache", _) if p.values.len() == 1 => {
            job.cache = reuse::reuse(&p.values[0], cx);
            None
        }
        ("retention", [_]) => match &p.values[0].kind {
            AtomKind::Quantity(most) => {
                quantity::of_dimension(most, Dimension::TIME, "retention", "30 d", cx).map(RuleKind::Retention)
            }
            _ => {
                cx.push(errors::bad_rule(p.span, "retention", "retention 30 d"));
                None
            }
        },
        ("no", ["training", "on", "inputs"]) => Some(RuleKind::NoTraining),
        ("no", ["pii", "to", "closed", "models"]) => Some(RuleKind::NoPiiToClosed { inputs: personal.to_vec() }),
        (word, _) => {
            if let Some(example) = example(word) {
                cx.push(errors::bad_rule(p.span, word, example));
                return None;
            }
            if job.locals.iter().any(|local| local.name == word) {
                cx.push(errors::value_as_rule(p.name.span, word));
                return None;
            }
            let is_text = matches!(p.values.first().map(|atom| &atom.kind), Some(ast::AtomKind::Text(_)));
            if is_text && matches!(word, "f" | "r" | "b") {
                cx.push(errors::prefixed_text(p.name.span, word));
                return None;
            }
            let rules = WORDS.iter().map(|(word, _)| *word);
            let near = nearest(word, rules.chain(["minimize", "maximize", "expect", "prefer", "using", "goal"]));
            cx.push(errors::unknown_rule(p.name.span, word, near));
            None
        }
    }
}

/// Reads a pin; `task` is the step's task where the pin stands on a call.
pub fn pin(using: &Using, task: Option<&str>, library: &Library, cx: &mut Diagnostics) -> Option<Pin> {
    let mut pin = Pin {
        implementation: None,
        knobs: Vec::new(),
        device: None,
        memory_gb: None,
        units: Vec::new(),
        span: using.span,
    };
    if let Some(name) = &using.implementation {
        let Some(entry) = library.implementations.get(&name.text) else {
            cx.push(errors::unknown_entry(name.span, &name.text, task, library));
            return None;
        };
        if let Some(task) = task
            && !entry.tasks.iter().any(|t| t == task)
        {
            cx.push(errors::wrong_implementation(name.span, &name.text, task));
            return None;
        }
        pin.implementation = Some(name.text.clone());
        for (knob, value) in &using.knobs {
            pin.knobs.extend(pinned_knob(entry, knob, value, cx));
        }
    }
    if let Some(hardware) = &using.hardware {
        let device = &hardware.device.text;
        if device != "gpu" && device != "api" && !library.devices.contains_key(device) {
            let near = nearest(device, library.devices.keys().map(|k| k.as_str()));
            cx.push(errors::unknown_choice(hardware.device.span, "device", device, near));
            return None;
        }
        pin.device = Some(device.clone());
        pin.memory_gb = least_memory(hardware, cx);
        if let (Some(least), Some(first), Some(last)) =
            (pin.memory_gb, hardware.conditions.first(), hardware.conditions.last())
            && let Some(why) = lacks(device, least, library)
        {
            cx.push(errors::no_such_memory(first.span.to(last.span), &why));
            return None;
        }
        pin.units = hardware.units.iter().filter_map(|q| quantity::whole(q, "the number of devices", cx)).collect();
    }
    Some(pin)
}

/// Why nothing of the library that a device or kind of device names has so many gigabytes; none where something has.
fn lacks(named: &str, least: Decimal, library: &Library) -> Option<String> {
    let meant = library.devices.values().filter(|d| d.name == named || (named == "gpu" && d.gpu));
    match meant.filter_map(|d| Some((d.memory_gb?, d))).max_by_key(|(gb, _)| *gb) {
        None => Some(format!("the library states no memory of `{named}`")),
        Some((most, _)) if most >= least => None,
        Some((most, device)) if named == "gpu" => {
            Some(format!("no GPU of the library has it: `{}` has the most, {} GB", device.name, most.normalize()))
        }
        Some((most, _)) => Some(format!("`{named}` has {} GB", most.normalize())),
    }
}

fn pinned_knob(
    entry: &Implementation,
    knob: &ast::Name,
    value: &ast::Atom,
    cx: &mut Diagnostics,
) -> Option<(EcoString, EcoString)> {
    let Some((_, values)) = entry.knobs.iter().find(|(n, _)| *n == knob.text) else {
        let near = nearest(&knob.text, entry.knobs.iter().map(|(n, _)| n.as_str()));
        cx.push(errors::unknown_choice(knob.span, "knob", &knob.text, near));
        return None;
    };
    let text = match &value.kind {
        AtomKind::List(_) => None,
        _ => text_of(value),
    };
    match text {
        Some(text) if values.contains(&text) => Some((knob.text.clone(), text)),
        text => {
            let text = text.unwrap_or_default();
            let near = nearest(&text, values.iter().map(|v| v.as_str()));
            // A value that is no word keeps its quotes.
            let near = near.map(|n| if n.contains(['-', '.', '/']) { format!("\"{n}\"") } else { n.to_string() });
            cx.push(errors::unknown_value(value.span, &knob.text, &text, values, near.as_deref()));
            None
        }
    }
}
