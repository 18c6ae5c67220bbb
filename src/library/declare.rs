//! Trees of the library and of the job's own file → library.

use super::placeholders;
use super::profile::{self, Profile};
use super::size::{self, Scope, SizeExpr};
use super::{
    Cluster, Concurrency, Device, Engine, HardwareOption, Implementation, Library, RateLimit, Setting, Task, errors,
};
use crate::check::{quantity, types};
use crate::diag::source::{FileId, Sources, Span};
use crate::diag::{Diagnostics, nearest};
use crate::syntax::ast::{self, Atom, AtomKind, ItemKind, LibraryLineKind, Name, Property};
use crate::types::Type;
use crate::units::Dimension;
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// A parsed module.
pub struct Module<'a> {
    /// `std.video`; empty for the job's own file.
    pub name: EcoString,
    /// Its tree.
    pub tree: &'a ast::File,
}

/// Profiles by file name.
pub type Profiles = BTreeMap<EcoString, FileId>;

/// The words that lead a plain clause of a model or tool.
const IMPLEMENTATION_WORDS: [&str; 6] = ["label", "license", "access", "region", "concurrency", "limit"];
/// The words that lead a plain clause of a task.
const TASK_WORDS: [&str; 4] = ["quality", "prompt", "system", "max_tokens"];

/// Builds the library from its modules. Later modules see the types and tasks of all.
pub fn declare(modules: &[Module], profiles: &Profiles, sources: &Sources, cx: &mut Diagnostics) -> Library {
    let names = modules.iter().map(|m| m.name.clone()).filter(|n| !n.is_empty()).collect();
    let mut library = Library { modules: names, ..Library::default() };
    types::declare(modules.iter().flat_map(|m| &m.tree.items), &mut library.types, cx);
    for module in modules {
        for item in &module.tree.items {
            match &item.kind {
                ItemKind::Task(task) => declare_task(task, &module.name, &item.docs, &mut library, cx),
                ItemKind::Device(device) => declare_device(device, &item.docs, &mut library, cx),
                _ => {}
            }
        }
    }
    for item in modules.iter().flat_map(|m| &m.tree.items) {
        match &item.kind {
            ItemKind::Implementation(i) => {
                let entry = ImplementationPass { library: &library, profiles, sources }.read(i, &item.docs, cx);
                if let Some(first) = library.implementations.get(&entry.name) {
                    cx.push(errors::declared_twice(i.name.span, "implementation", &entry.name, first.span));
                } else {
                    library.implementations.insert(entry.name.clone(), entry);
                }
            }
            ItemKind::Cluster(cluster) => declare_cluster(cluster, &mut library, cx),
            _ => {}
        }
    }
    library
}

fn declare_task(task: &ast::Task, module: &EcoString, docs: &EcoString, library: &mut Library, cx: &mut Diagnostics) {
    let params: Vec<(EcoString, Type)> = types::params(&task.params, &library.types, cx);
    let result = types::resolve(&task.result, &library.types, cx);
    let scope = Scope { params: &params, knobs: &[] };
    let (mut work, mut sizes) = (Vec::new(), Vec::new());
    let (mut prompt, mut system, mut max_tokens) = (EcoString::new(), EcoString::new(), 512);
    for line in &task.lines {
        match &line.kind {
            LibraryLineKind::Work(name, expr) => work.extend(read_work(name.as_ref(), expr, &scope, cx)),
            LibraryLineKind::Size(path, expr) => sizes.extend(read_size(path, expr, &result, &scope, cx)),
            LibraryLineKind::Property(p) => {
                if let ("prompt" | "system", [text]) = (p.name.text.as_str(), p.values.as_slice()) {
                    placeholders::check_atom(text, &params.iter().map(|(n, _)| n.as_str()).collect(), cx);
                }
                match (p.name.text.as_str(), p.values.as_slice()) {
                    ("quality", _) => {}
                    ("prompt", [Atom { kind: AtomKind::Text(t), .. }]) => prompt = t.clone(),
                    ("system", [Atom { kind: AtomKind::Text(t), .. }]) => system = t.clone(),
                    ("max_tokens", [value]) => max_tokens = whole(value, "max_tokens", cx).unwrap_or(max_tokens),
                    (word, _) if TASK_WORDS.contains(&word) => {
                        cx.push(errors::bad_value(p.span, word, "one text in quotes"))
                    }
                    (word, _) => cx.push(errors::unknown_property(p.name.span, word, &TASK_WORDS)),
                }
            }
            LibraryLineKind::Error => {}
            _ => cx.push(errors::bad_value(
                line.span,
                "a task",
                "`work`, `size`, `prompt`, `system` or `max_tokens`: the rest belongs to models and tools",
            )),
        }
    }
    let name = task.name.text.clone();
    if let Some(first) = library.tasks.get(&name) {
        cx.push(errors::declared_twice(task.name.span, "task", &name, first.span));
        return;
    }
    let (module, docs, span) = (module.clone(), docs.clone(), task.name.span);
    library.tasks.insert(
        name.clone(),
        Task { name, module, docs, span, params, result, work, sizes, prompt, system, max_tokens },
    );
}

fn read_work(
    name: Option<&Name>,
    expr: &ast::Expr,
    scope: &Scope,
    cx: &mut Diagnostics,
) -> Option<(EcoString, SizeExpr)> {
    let (read, _) = size::lower(expr, scope, cx)?;
    let name = match (name, &read) {
        (Some(name), _) => name.text.clone(),
        (None, SizeExpr::Size(_, path)) => path.rsplit('.').next().unwrap_or(path).into(),
        (None, _) => {
            cx.push(errors::bad_value(expr.span, "work", "a name where it is more than one size: `work input = …`"));
            return None;
        }
    };
    Some((name, read))
}

fn read_size(
    path: &[Name],
    expr: &ast::Expr,
    result: &Type,
    scope: &Scope,
    cx: &mut Diagnostics,
) -> Option<(EcoString, SizeExpr)> {
    let (read, dimension) = size::lower(expr, scope, cx)?;
    let text: EcoString = path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".").into();
    let at = path.first()?.span.to(path.last()?.span);
    match size::size_of(result, &text) {
        None => {
            cx.push(errors::no_such_size(at, "the result", &text, result));
            None
        }
        Some(size) if size::dimension_of(size) != dimension => {
            cx.push(errors::dimensions_differ(at.to(expr.span), at, size::dimension_of(size), expr.span, dimension));
            None
        }
        Some(_) => Some((text, read)),
    }
}

fn declare_device(device: &ast::Device, docs: &EcoString, library: &mut Library, cx: &mut Diagnostics) {
    let mut entry = Device {
        name: device.name.text.clone(),
        docs: docs.clone(),
        span: device.name.span,
        gpu: false,
        memory_gb: None,
    };
    for p in &device.properties {
        match (p.name.text.as_str(), p.values.as_slice()) {
            ("kind", [Atom { kind: AtomKind::Word(w), .. }]) if w == "cpu" || w == "gpu" => entry.gpu = w == "gpu",
            ("memory", [Atom { kind: AtomKind::Quantity(q), .. }]) => {
                entry.memory_gb = quantity::of_dimension(q, Dimension::BYTES, "memory", "80 GB", cx);
            }
            ("", _) => {}
            ("kind", _) => cx.push(errors::bad_value(p.span, "kind", "`cpu` or `gpu`")),
            ("memory", _) => cx.push(errors::bad_value(p.span, "memory", "a quantity, `80 GB` say")),
            (word, _) => cx.push(errors::unknown_property(p.name.span, word, &["kind", "memory"])),
        }
    }
    if let Some(first) = library.devices.get(&entry.name) {
        cx.push(errors::declared_twice(device.name.span, "device", &entry.name, first.span));
        return;
    }
    library.devices.insert(entry.name.clone(), entry);
}

fn declare_cluster(cluster: &ast::Cluster, library: &mut Library, cx: &mut Diagnostics) {
    let mut pools = Vec::new();
    for (device, count, price) in &cluster.pools {
        if !library.devices.contains_key(&device.text) {
            cx.push(unknown_device(device, library));
            continue;
        }
        let hourly = Dimension::MONEY.per(Dimension::TIME);
        let price = price.as_ref().and_then(|p| quantity::of_dimension(p, hourly, "a price", "3.40 usd/h", cx));
        let usd_per_hour = price.map_or(Decimal::ZERO, |p| (p * Decimal::from(3600)).round_dp(12));
        pools.extend(
            quantity::whole(count, "the number of devices", cx).map(|n| (device.text.clone(), n, usd_per_hour)),
        );
    }
    let name = cluster.name.text.clone();
    if let Some(first) = library.clusters.get(&name) {
        cx.push(errors::declared_twice(cluster.name.span, "cluster", &name, first.span));
        return;
    }
    let span = cluster.name.span;
    library.clusters.insert(name.clone(), Cluster { name, span, pools });
}

fn unknown_device(name: &Name, library: &Library) -> crate::diag::Diagnostic {
    errors::unknown_device(name.span, &name.text, nearest(&name.text, library.devices.keys().map(|k| k.as_str())))
}

struct ImplementationPass<'a> {
    library: &'a Library,
    profiles: &'a Profiles,
    sources: &'a Sources,
}

impl ImplementationPass<'_> {
    fn read(&self, i: &ast::Implementation, docs: &EcoString, cx: &mut Diagnostics) -> Implementation {
        let mut tasks = Vec::new();
        for name in &i.tasks {
            if self.library.tasks.contains_key(&name.text) {
                tasks.push(name.text.clone());
            } else {
                let near = nearest(&name.text, self.library.tasks.keys().map(|k| k.as_str()));
                cx.push(errors::unknown_task(name.span, &name.text, near));
            }
        }
        let mut entry = Implementation {
            name: i.name.text.clone(),
            tasks,
            docs: docs.clone(),
            span: i.name.span,
            knobs: Vec::new(),
            hardware: Vec::new(),
            engine: None,
            profile: Profile::default(),
            work: Vec::new(),
            sizes: Vec::new(),
            label: None,
            license: None,
            open: true,
            region: None,
            concurrency: Concurrency::Fixed(1),
            limits: Vec::new(),
        };
        // Knobs come first: sizes and engines may use them, wherever they stand.
        for line in &i.lines {
            if let LibraryLineKind::Knob(name, values) = &line.kind {
                let values: Vec<EcoString> = values.iter().filter_map(text_of).collect();
                if entry.knobs.iter().any(|(n, _)| *n == name.text) {
                    cx.push(errors::declared_twice(name.span, "knob", &name.text, name.span));
                } else if values.is_empty() {
                    cx.push(errors::bad_value(line.span, &name.text, "at least one value"));
                } else {
                    entry.knobs.push((name.text.clone(), values));
                }
            }
        }
        let mut has_profile = false;
        for line in &i.lines {
            match &line.kind {
                LibraryLineKind::Knob(..) | LibraryLineKind::Error => {}
                LibraryLineKind::Work(name, expr) => self.with_scope(&entry.clone(), |scope, _| {
                    entry.work.extend(read_work(name.as_ref(), expr, scope, cx));
                }),
                LibraryLineKind::Size(path, expr) => self.with_scope(&entry.clone(), |scope, result| {
                    entry.sizes.extend(read_size(path, expr, result, scope, cx));
                }),
                LibraryLineKind::Runs(hardware) => entry.hardware.extend(self.hardware(hardware, cx)),
                LibraryLineKind::Engine(kind, settings) => {
                    for price in settings.iter().filter(|s| s.name.text == "price") {
                        let instead = "give it in the profile, with its source: `cost.per.WORK`";
                        cx.push(crate::check::errors::unsupported(price.span, "a price in an engine", instead));
                    }
                    let of_tasks = entry.tasks.iter().filter_map(|t| self.library.tasks.get(t)).flat_map(|t| &t.params);
                    let known = of_tasks.map(|(n, _)| n.as_str()).chain(entry.knobs.iter().map(|(n, _)| n.as_str()));
                    placeholders::check(settings, &known.chain(placeholders::OWN).collect(), cx);
                    entry.engine = Some(engine(kind, settings));
                }
                LibraryLineKind::Profile(path, span) => {
                    has_profile = true;
                    match self.profiles.get(path) {
                        Some(file) => {
                            entry.profile = profile::read(&self.sources.get(*file).text, *file, cx);
                            self.check_profile(&entry, *span, cx);
                        }
                        None => cx.push(errors::profile_missing(*span, path)),
                    }
                }
                LibraryLineKind::Property(p) => property(p, &mut entry, cx),
            }
        }
        let name = &entry.name;
        if !i.lines.iter().any(|l| matches!(l.kind, LibraryLineKind::Runs(_) | LibraryLineKind::Error)) {
            cx.push(errors::missing_part(i.name.span, name, "hardware", "runs on cpu * 1"));
        }
        if entry.engine.is_none() {
            cx.push(errors::missing_part(i.name.span, name, "engine", "engine process { command [\"…\"] }"));
        }
        if !has_profile {
            cx.push(errors::missing_part(i.name.span, name, "profile", "profile \"….csv\""));
        }
        entry
    }

    /// A profile must speak of the entry's knobs and of devices that exist, or its rows would never be asked for.
    fn check_profile(&self, entry: &Implementation, at: Span, cx: &mut Diagnostics) {
        for column in entry.profile.knobs.iter().filter(|c| !entry.knobs.iter().any(|(n, _)| n == *c)) {
            let message = format!("the profile has a column `{column}`, and `{}` has no such knob", entry.name);
            cx.push(errors::bad_figure(at, message, "name the column after a knob, or add the knob"));
        }
        let unknown = entry.profile.devices().find(|d| *d != "api" && !self.library.devices.contains_key(*d));
        if let Some(device) = unknown {
            let message = format!("the profile names the device `{device}`, which is declared nowhere");
            cx.push(errors::bad_figure(at, message, "correct the name, or declare the device"));
        }
    }

    fn with_scope(&self, entry: &Implementation, f: impl FnOnce(&Scope, &Type)) {
        if let Some(task) = entry.tasks.first().and_then(|t| self.library.tasks.get(t)) {
            f(&Scope { params: &task.params, knobs: &entry.knobs }, &task.result);
        }
    }

    fn hardware(&self, h: &ast::HardwareExpr, cx: &mut Diagnostics) -> Option<HardwareOption> {
        let device = &h.device.text;
        if device != "gpu" && device != "api" && !self.library.devices.contains_key(device) {
            cx.push(unknown_device(&h.device, self.library));
            return None;
        }
        let mut memory_gb = None;
        for condition in &h.conditions {
            let metric: Vec<&str> = condition.metric.iter().map(|n| n.text.as_str()).collect();
            match (&metric[..], &condition.limit.kind) {
                (["memory"], ast::ExprKind::Number(q)) => {
                    memory_gb = quantity::of_dimension(q, Dimension::BYTES, "memory", "6 GB", cx);
                }
                ([], _) => {}
                _ => cx.push(errors::bad_value(condition.span, device, "a condition like `memory >= 6 GB`")),
            }
        }
        let mut units: Vec<u32> =
            h.units.iter().filter_map(|q| quantity::whole(q, "the number of devices", cx)).collect();
        if units.is_empty() {
            units.push(if device == "api" { 0 } else { 1 });
        }
        Some(HardwareOption { device: device.clone(), memory_gb, units, span: h.device.span })
    }
}

fn property(p: &Property, entry: &mut Implementation, cx: &mut Diagnostics) {
    let word = p.name.text.as_str();
    let value = match p.values.as_slice() {
        [one] => text_of(one),
        _ => None,
    };
    match (word, value) {
        ("label", Some(v)) => entry.label = Some(v),
        ("license", Some(v)) => entry.license = Some(v),
        ("region", Some(v)) => entry.region = Some(v),
        ("access", Some(v)) if v == "open" || v == "closed" => entry.open = v == "open",
        ("concurrency", Some(name)) if entry.knobs.iter().any(|(n, _)| *n == name) => {
            let counts = |v: &EcoString| v.parse::<u32>().is_ok_and(|n| n > 0);
            let values = entry.knobs.iter().filter(|(n, _)| *n == name).flat_map(|(_, values)| values);
            match values.clone().all(counts) {
                true => entry.concurrency = Concurrency::Knob(name),
                false => cx.push(errors::bad_value(p.span, word, "a knob whose values are whole numbers from 1 on")),
            }
        }
        ("concurrency", _) => {
            let calls = p.values.first().and_then(|v| whole(v, word, cx)).unwrap_or(1).max(1);
            entry.concurrency = Concurrency::Fixed(calls);
        }
        ("limit", Some(text)) => {
            let atom = p.values.first().map(|v| &v.kind);
            let read = match atom {
                Some(AtomKind::Quantity(q)) => quantity::measure(q, cx),
                _ => None,
            };
            let per_second = |of: Dimension| of.per(Dimension::TIME);
            match read {
                Some(m)
                    if m.dimension == per_second(Dimension::NONE) || m.dimension == per_second(Dimension::TOKENS) =>
                {
                    let tokens = m.dimension == per_second(Dimension::TOKENS);
                    entry.limits.push(RateLimit { tokens, per_second: m.value, text });
                }
                _ => cx.push(errors::bad_value(p.span, word, "a rate, `500 requests/min` or `200 ktok/min` say")),
            }
        }
        ("access", _) => cx.push(errors::bad_value(p.span, word, "`open` or `closed`")),
        (word, _) if IMPLEMENTATION_WORDS.contains(&word) => cx.push(errors::bad_value(p.span, word, "one value")),
        (word, _) => cx.push(errors::unknown_property(p.name.span, word, &IMPLEMENTATION_WORDS)),
    }
}

fn engine(kind: &Name, settings: &[Property]) -> Engine {
    let value = |atom: &Atom| match &atom.kind {
        AtomKind::List(items) => Setting::List(items.iter().filter_map(text_of).collect()),
        _ => Setting::Text(text_of(atom).unwrap_or_default()),
    };
    let settings = settings.iter().map(|p| (p.name.text.clone(), p.values.iter().map(value).collect())).collect();
    Engine { kind: kind.text.clone(), span: kind.span, settings }
}

/// A scalar atom as text.
pub fn text_of(atom: &Atom) -> Option<EcoString> {
    match &atom.kind {
        AtomKind::Word(t) | AtomKind::Text(t) => Some(t.clone()),
        AtomKind::Quantity(q) => Some(match &q.unit {
            None => q.number.clone(),
            Some(unit) => ecow::eco_format!("{} {}", q.number, unit.text),
        }),
        AtomKind::Bool(b) => Some(if *b { "true".into() } else { "false".into() }),
        AtomKind::List(_) => None,
    }
}

fn whole(atom: &Atom, what: &str, cx: &mut Diagnostics) -> Option<u32> {
    match &atom.kind {
        AtomKind::Quantity(q) => quantity::whole(q, what, cx),
        _ => {
            cx.push(errors::bad_value(atom.span, what, "a whole number"));
            None
        }
    }
}
