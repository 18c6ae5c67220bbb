//! Trees of the library and of the job's own file → library.

mod composition;
mod hardware;
mod implementation;
mod machines;
mod provider;

pub use composition::COMPOSITION_WORDS;
pub use hardware::least_memory;
pub use implementation::IMPLEMENTATION_WORDS;
pub use machines::{CLUSTER_WORDS, DEVICE_WORDS};

use super::place::{Place, Places};
use super::placeholders;
use super::size::{self, Scope, SizeExpr};
use super::{Library, Task, errors};
use crate::check::{quantity, types};
use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Sources};
use crate::syntax::ast::{self, Atom, AtomKind, ItemKind, LibraryLineKind, Name};
use crate::types::Type;
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};

/// A parsed module.
pub struct Module<'a> {
    /// `std.video`; empty for the job's own file.
    pub name: EcoString,
    /// Its tree.
    pub tree: &'a ast::File,
    /// Whether its types are the library's, which all modules see; those of a job's own file are its own.
    pub of_library: bool,
}

/// Profiles by file name.
pub type Profiles = BTreeMap<EcoString, FileId>;

/// Measured profiles by implementation; later ones stand before earlier ones, and all before the profiles that it names.
pub type Measured = BTreeMap<EcoString, Vec<FileId>>;

/// The words that lead a plain clause of a task.
pub const TASK_WORDS: [&str; 9] =
    ["quality", "prompt", "system", "max_tokens", "functions", "reaches", "executes", "plain", "gives"];

/// When the profiles of the standard library's entries are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// When a figure is asked for; a test reads them all and finds no mistake.
    Late,
    /// At once, like those of anybody else, with what is wrong in them.
    Now,
}

/// Builds the library from its modules. Later modules see the types and tasks of all.
pub fn declare(
    modules: &[Module],
    (profiles, measured): (&Profiles, &Measured),
    (sources, reading): (&Sources, Reading),
    cx: &mut Diagnostics,
) -> Library {
    let names = modules.iter().map(|m| m.name.clone()).filter(|n| !n.is_empty()).collect();
    let mut library = Library { modules: names, ..Library::default() };
    let (own, others): (Vec<&Module>, Vec<&Module>) = modules.iter().partition(|m| !m.of_library);
    types::declare(others.iter().flat_map(|m| &m.tree.items), &mut library.types, cx);
    let mut hidden = false;
    for module in others.into_iter().chain(own.iter().copied()) {
        // The file's own items come last: the library's tasks keep their types, whatever the file calls its own.
        if !module.of_library && !std::mem::replace(&mut hidden, true) {
            hide(&own, modules, &mut library.types);
            types::declare(own.iter().flat_map(|m| &m.tree.items), &mut library.types, cx);
        }
        for item in &module.tree.items {
            match &item.kind {
                ItemKind::Task(task) => declare_task(task, &module.name, &item.docs, &mut library, cx),
                ItemKind::Device(device) => machines::device(device, &item.docs, &mut library, cx),
                // Of two types of one name, the one that counts.
                ItemKind::Record(name, _) | ItemKind::Enum(name, _)
                    if library.types.get(&name.text).is_some_and(|(_, at)| *at == name.span) =>
                {
                    library.type_docs.insert(name.text.clone(), item.docs.clone());
                }
                _ => {}
            }
        }
    }
    let mut read = implementation::Read::new(&library, reading);
    let items = || modules.iter().flat_map(|m| m.tree.items.iter().map(|item| (&m.name, item)));
    for (_, item) in items() {
        match &item.kind {
            ItemKind::Implementation(i) => {
                let pass = implementation::ImplementationPass { library: &library, profiles, measured, sources };
                let entry = pass.read(i, &item.docs, &mut read, cx);
                if let Some(first) = library.implementations.get(&entry.name) {
                    cx.push(errors::declared_twice(i.name.span, "implementation", &entry.name, first.span));
                } else {
                    library.implementations.insert(entry.name.clone(), entry);
                }
            }
            ItemKind::Cluster(cluster) => machines::cluster(cluster, &mut library, cx),
            _ => {}
        }
    }
    // A composition's profile may have a column for a knob of a model: they come when all models are known.
    for (module, item) in items() {
        let ItemKind::Composition(c) = &item.kind else { continue };
        let pass = implementation::ImplementationPass { library: &library, profiles, measured, sources };
        let Some(entry) = composition::read(c, (module, &item.docs), &pass, &mut read, cx) else { continue };
        if let Some(first) = library.implementations.get(&entry.name) {
            cx.push(errors::declared_twice(c.name.span, "implementation", &entry.name, first.span));
        } else {
            library.implementations.insert(entry.name.clone(), entry);
        }
    }
    read.report_unasked(sources, cx);
    library
}

/// Takes away the types of modules that a file does not use, where it declares one of the same name: whoever adds a type to the library breaks
/// no file with it.
fn hide(own: &[&Module], modules: &[Module], types: &mut types::Declared) {
    let items = || own.iter().flat_map(|m| &m.tree.items);
    let used: BTreeSet<String> = items()
        .filter_map(|item| match &item.kind {
            ItemKind::Use(path) => Some(path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".")),
            _ => None,
        })
        .collect();
    let unused = modules.iter().filter(|m| !m.name.is_empty() && !used.contains(m.name.as_str()));
    let hideable: BTreeSet<FileId> = unused.filter_map(|m| Some(m.tree.items.first()?.span.file)).collect();
    for item in items() {
        let (ItemKind::Record(name, _) | ItemKind::Enum(name, _)) = &item.kind else { continue };
        if types.get(&name.text).is_some_and(|(_, at)| hideable.contains(&at.file)) {
            types.remove(&name.text);
        }
    }
}

fn declare_task(task: &ast::Task, module: &EcoString, docs: &EcoString, library: &mut Library, cx: &mut Diagnostics) {
    let params: Vec<(EcoString, Type)> = types::params(&task.params, &library.types, cx);
    let result = types::resolve(&task.result, &library.types, cx);
    let scope = Scope { params: &params, knobs: &[] };
    let (mut work, mut sizes) = (Vec::new(), Vec::new());
    let (mut prompt, mut system, mut max_tokens) = (EcoString::new(), EcoString::new(), 512);
    let (mut benchmark, mut functions) = (None, EcoString::new());
    let (mut places, mut gives_code) = (Places::new(), false);
    for line in &task.lines {
        match &line.kind {
            LibraryLineKind::Work(name, expr) => work.extend(read_work(name.as_ref(), expr, &scope, cx)),
            LibraryLineKind::Size(path, expr) => sizes.extend(read_size(path, expr, &result, &scope, cx)),
            LibraryLineKind::Property(p) => {
                if let ("prompt" | "system", [text]) = (p.name.text.as_str(), p.values.as_slice()) {
                    placeholders::check_atom(text, &params.iter().map(|(n, _)| n.as_str()).collect(), cx);
                }
                match (p.name.text.as_str(), p.values.as_slice()) {
                    ("quality", [from, name]) if text_of(from).as_deref() == Some("from") => benchmark = text_of(name),
                    ("quality", _) => cx.push(errors::bad_value(p.span, "quality", "`from` and a benchmark")),
                    ("prompt", [Atom { kind: AtomKind::Text(t), .. }]) => prompt = t.clone(),
                    ("system", [Atom { kind: AtomKind::Text(t), .. }]) => system = t.clone(),
                    ("max_tokens", [value]) => max_tokens = whole(value, "max_tokens", cx).unwrap_or(max_tokens),
                    ("functions", [param]) if params.iter().any(|(n, _)| text_of(param).as_ref() == Some(n)) => {
                        functions = text_of(param).unwrap_or_default();
                    }
                    ("gives", [what]) if text_of(what).as_deref() == Some("code") => gives_code = true,
                    ("gives", _) => cx.push(errors::bad_value(p.span, "gives", "`code`")),
                    ("reaches" | "executes" | "plain", [_, ..]) => {
                        let place = match p.name.text.as_str() {
                            "reaches" => Place::Reached,
                            "executes" => Place::Executed,
                            _ => Place::Plain,
                        };
                        for param in &p.values {
                            match text_of(param).filter(|name| params.iter().any(|(n, _)| n == name)) {
                                Some(name) => _ = places.insert(name, place),
                                None => cx.push(errors::bad_value(param.span, &p.name.text, "parameters of the task")),
                            }
                        }
                    }
                    ("functions", _) => cx.push(errors::bad_value(p.span, "functions", "a parameter of the task")),
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
        Task {
            name,
            module,
            docs,
            span,
            params,
            result,
            work,
            sizes,
            prompt,
            system,
            max_tokens,
            functions,
            places,
            gives_code,
            benchmark,
        },
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

#[cfg(test)]
#[path = "declare/tests.rs"]
mod tests;
