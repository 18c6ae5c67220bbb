//! Another name for what the file, or a library of one's own, declares. A rename is tried before it is answered: every name must mean
//! then what it means now, and nothing may be wrong that is right now.

use super::names::{Occurrence, Target};
use super::references::{Home, home, in_tables, tables_of};
use super::{Analysis, Beside, Edit, analyse};
use crate::compile::Base;
use crate::diag::Severity;
use crate::diag::source::Span;
use crate::library::placeholders::OWN;
use crate::library::profile::table::{COLUMNS, RESERVED};
use crate::syntax::ast::ItemKind;
use crate::syntax::token::{Token, lex};
use crate::types::Type;
use ecow::EcoString;

/// The name at a place that can be given another, or why it cannot.
pub fn prepare(analysis: &Analysis, base: &Base, at: u32) -> Result<Span, String> {
    let name = analysis.names().at(at).ok_or("there is no name here")?;
    let text = analysis.slice(name.span);
    match (home(analysis, base, &name.target), &name.target) {
        (Home::Language, _) => Err(format!("`{text}` is a word of the language")),
        (_, Target::Module(_)) => Err(format!("`{text}` is called as its file is")),
        (Home::Library(file), _) if base.texts().is_standard(file) => {
            Err(format!("`{text}` belongs to the standard library"))
        }
        (Home::Nobody, Target::Part(_)) => Err(format!(
            "`{text}` belongs to a result that has no name of its own: declare a `type` for it, and its fields can be renamed"
        )),
        (Home::Nobody, _) => Err(format!("nothing declares `{text}`")),
        (Home::File | Home::Library(_), _) => Ok(name.span),
    }
}

/// The edits that give a name that is the file's own another one.
pub fn rename(analysis: &Analysis, base: &mut Base, at: u32, to: &str, beside: Beside) -> Result<Vec<Edit>, String> {
    prepare(analysis, base, at)?;
    is_a_name(to)?;
    let name = analysis.names().at(at).ok_or("there is no name here")?;
    let edits = edits(analysis, &name.target, to)?;
    let after = analyse(base, "renamed", applied(&analysis.text, &edits).into(), beside);
    means_the_same(analysis, &after, &edits, &name.target, to)?;
    Ok(edits)
}

/// Whether a text can be a name, or why it cannot.
pub fn is_a_name(to: &str) -> Result<(), String> {
    let lexed = lex(to, Default::default(), &mut Default::default());
    match lexed.tokens.as_slice() {
        [(_, Token::Ident, end)] if *end as usize == to.len() => Ok(()),
        [(_, word, _)] if word.is_keyword() => Err(format!("`{to}` is a word of the language")),
        _ => Err(format!("`{to}` is no name: a letter, then letters, digits and `_`")),
    }
}

/// The edits of a file that give a name another one, or what stands in the way.
pub fn edits(analysis: &Analysis, target: &Target, to: &str) -> Result<Vec<Edit>, String> {
    let places: Vec<&Occurrence> = analysis.names().of(target).collect();
    if let Some(other) = (!places.is_empty()).then(|| taken(analysis, target, to)).flatten() {
        return Err(format!("`{to}` is already the name of {other}"));
    }
    // `{text}` in the engine of two tasks stands for a parameter of each.
    let shared = |o: &&Occurrence| o.target != *target && places.iter().any(|place| place.span == o.span);
    if let Some(other) = analysis.names().iter().find(shared) {
        let (text, line) = (analysis.slice(other.span), line_of(analysis, other.span));
        return Err(format!("`{text}` on line {line} stands for {} as well", described(&other.target)));
    }
    Ok(places.into_iter().map(|o| Edit { span: o.span, insert: to.to_string() }).collect())
}

/// The same of the library's tables of figures.
pub fn table_edits(base: &Base, target: &Target, to: &str) -> Result<Vec<Edit>, String> {
    let texts = base.texts();
    if let Target::Implementation(name) = target
        && texts.measured.contains_key(name)
    {
        return Err(format!("figures that were measured of `{name}` are in a file of its name"));
    }
    let places = in_tables(base, target);
    for place in &places {
        let table = &texts.sources.get(place.file).name;
        if texts.is_standard(place.file) {
            return Err(format!("`{table}` says it too, and belongs to the standard library"));
        }
        let Target::Knob(of, knob) = target else { continue };
        let has = |i: &&crate::library::Implementation| i.name != *of && i.knobs.iter().any(|(n, _)| n == knob);
        let mut others = base.library().implementations.values().filter(has);
        if let Some(other) = others.find(|other| tables_of(base, &other.name).contains(&place.file)) {
            return Err(format!("`{table}` has a column of this name for `{}` as well", other.name));
        }
    }
    Ok(places.into_iter().map(|span| Edit { span, insert: to.to_string() }).collect())
}

/// A text with edits made in it.
pub fn applied(text: &str, edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort();
    let mut out = text.to_string();
    for edit in edits.into_iter().rev() {
        if out.get(edit.span.range()).is_some() {
            out.replace_range(edit.span.range(), &edit.insert);
        }
    }
    out
}

/// Whether every name of a file means after a rename what it meant before, and nothing new is wrong; else what is.
pub fn means_the_same(
    before: &Analysis,
    after: &Analysis,
    edits: &[Edit],
    target: &Target,
    to: &str,
) -> Result<(), String> {
    let errors = |analysis: &Analysis| -> Vec<String> {
        let all = analysis.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        all.map(|d| d.message.clone()).collect()
    };
    let (old, new) = (errors(before), errors(after));
    if new.len() > old.len() {
        let why = new.iter().find(|message| !old.contains(message)).or(new.first());
        return Err(format!("with `{to}`, {}", why.map_or("something is wrong", String::as_str)));
    }
    let at = |at: u32| {
        let behind = edits.iter().filter(|e| e.span.end <= at);
        behind.fold(at, |at, e| at + e.insert.len() as u32 - (e.span.end - e.span.start))
    };
    let place = |span: Span| match span.file == before.file {
        true => Span::new(after.file, at(span.start), at(span.end)),
        false => span,
    };
    let wanted = before.names().iter().map(|o| Occurrence {
        span: place(o.span),
        target: match o.target.renamed(target, to) {
            Target::Local(span) => Target::Local(place(span)),
            other => other,
        },
        definition: o.definition,
    });
    let (wanted, found): (Vec<Occurrence>, Vec<&Occurrence>) = (wanted.collect(), after.names().iter().collect());
    let differs = wanted.iter().zip(&found).find(|(a, b)| a != *b).map(|(_, b)| *b);
    let beyond = wanted.get(found.len()).or(found.get(wanted.len()).copied());
    match differs.or(beyond) {
        None => Ok(()),
        Some(other) => {
            Err(format!("`{to}` would be mistaken for something else on line {}", line_of(after, other.span)))
        }
    }
}

fn line_of(analysis: &Analysis, span: Span) -> usize {
    analysis.text.get(..span.start as usize).unwrap_or("").matches('\n').count() + 1
}

/// What a name is, in words.
fn described(target: &Target) -> String {
    match target {
        Target::Parameter(of, _) => format!("a parameter of `{of}`"),
        Target::Knob(of, _) => format!("a knob of `{of}`"),
        _ => "something else".to_string(),
    }
}

/// What has a name already that would be mistaken for the renamed one.
fn taken(analysis: &Analysis, target: &Target, to: &str) -> Option<String> {
    let library = &analysis.library;
    let has = |is: bool, what: &str| is.then(|| what.to_string());
    let given = || has(OWN.contains(&to), "what an engine is given by itself");
    match target {
        Target::Local(span) => {
            let item = analysis.tree.items.iter().find(|i| i.span.start <= span.start && span.end <= i.span.end)?;
            let of = if matches!(item.kind, ItemKind::Job(_)) { "job" } else { "composition" };
            let inside = |o: &&Occurrence| item.span.start <= o.span.start && o.span.end <= item.span.end;
            let mut others = analysis.names().iter().filter(|o| o.definition && o.target != *target).filter(inside);
            has(others.any(|o| analysis.slice(o.span) == to), &format!("another value of the {of}"))
        }
        Target::Job(_) | Target::Task(_) | Target::Type(_) => {
            let job = analysis.program.jobs.iter().any(|j| j.name == to);
            let known = library.types.contains_key(to) || Type::built_in(to).is_some();
            has(job, "a job").or(has(library.tasks.contains_key(to), "a task")).or(has(known, "a type"))
        }
        Target::Implementation(_) => has(library.implementations.contains_key(to), "a model or tool"),
        Target::Device(_) => has(library.devices.contains_key(to), "a device"),
        Target::Cluster(_) => has(library.clusters.contains_key(to), "a cluster"),
        Target::Parameter(task, _) => {
            let other = library.tasks.get(task).is_some_and(|t| t.params.iter().any(|(n, _)| n == to));
            let knob = library.implementing(task).find(|i| i.knobs.iter().any(|(n, _)| n == to));
            has(other, &format!("another parameter of `{task}`"))
                .or_else(|| knob.map(|i| format!("a knob of `{}`", i.name)))
                .or_else(given)
        }
        Target::Knob(of, _) => {
            let entry = library.implementations.get(of);
            let other = entry.is_some_and(|i| i.knobs.iter().any(|(n, _)| n == to));
            let mut tasks = entry.into_iter().flat_map(|i| &i.tasks).filter_map(|t| library.tasks.get(t));
            let param = tasks.find(|t| t.params.iter().any(|(n, _)| n == to));
            has(other, &format!("another knob of `{of}`"))
                .or_else(|| param.map(|t| format!("a parameter of `{}`", t.name)))
                .or_else(|| has(COLUMNS.contains(&to) || RESERVED.contains(&to), "a column of all profiles"))
                .or_else(given)
        }
        Target::Field(of, _) => match library.types.get(of) {
            Some((Type::Record(_, fields), _)) => {
                has(fields.iter().any(|(n, _)| n == to), &format!("another field of `{of}`"))
            }
            _ => None,
        },
        Target::Value(..) => has(value_named(analysis, to), "a value of an enum"),
        Target::Part(_) | Target::Module(_) | Target::Metric(_) => None,
    }
}

/// Whether some enum has a value of this name.
fn value_named(analysis: &Analysis, name: &str) -> bool {
    analysis
        .library
        .types
        .values()
        .any(|(ty, _)| matches!(ty, Type::Enum(_, values) if values.iter().any(|v| v == name)))
}

impl Target {
    /// What it is once `old` is called `to`; values of jobs are known by their places, and stay.
    fn renamed(&self, old: &Target, to: &str) -> Target {
        let to = EcoString::from(to);
        match (old, self) {
            (Target::Task(name), Target::Parameter(of, param)) if name == of => Target::Parameter(to, param.clone()),
            (Target::Implementation(name), Target::Knob(of, knob)) if name == of => Target::Knob(to, knob.clone()),
            (Target::Type(name), Target::Field(of, field)) if name == of => Target::Field(to, field.clone()),
            (Target::Type(name), Target::Value(of, value)) if name == of => Target::Value(to, value.clone()),
            _ if self != old => self.clone(),
            (_, Target::Job(_)) => Target::Job(to),
            (_, Target::Task(_)) => Target::Task(to),
            (_, Target::Implementation(_)) => Target::Implementation(to),
            (_, Target::Knob(of, _)) => Target::Knob(of.clone(), to),
            (_, Target::Parameter(of, _)) => Target::Parameter(of.clone(), to),
            (_, Target::Field(of, _)) => Target::Field(of.clone(), to),
            (_, Target::Device(_)) => Target::Device(to),
            (_, Target::Cluster(_)) => Target::Cluster(to),
            (_, Target::Type(_)) => Target::Type(to),
            (_, Target::Value(of, _)) => Target::Value(of.clone(), to),
            (_, Target::Local(_) | Target::Part(_) | Target::Module(_) | Target::Metric(_)) => self.clone(),
        }
    }
}
