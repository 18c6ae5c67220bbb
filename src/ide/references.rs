//! Where a name is used: in a file, and in the tables of figures that speak of it.

use super::Analysis;
use super::definition::defined;
use super::names::{Occurrence, Target};
use crate::check::agents::AGENT;
use crate::compile::Base;
use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Span};
use crate::library::profile::table;
use crate::syntax::ast::{ItemKind, LibraryLineKind, StmtKind};
use crate::types::Type;
use ecow::EcoString;

/// Whose a name is: where else it may stand, and whether it can be another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// The language's.
    Language,
    /// The file's own: nothing else sees it.
    File,
    /// That of a file of the library: whatever builds on the library may say it.
    Library(FileId),
    /// Nobody's that is known: nothing declares it, or what does has no name.
    Nobody,
}

/// Whose a name of a file is.
pub fn home(analysis: &Analysis, base: &Base, target: &Target) -> Home {
    let language = match target {
        Target::Metric(_) => true,
        Target::Type(name) => Type::built_in(name).is_some() || name == "List",
        Target::Parameter(task, _) => task == AGENT && !analysis.library.tasks.contains_key(AGENT),
        Target::Part(name) => is_size(name),
        Target::Device(name) => name == "gpu" || name == "api",
        _ => false,
    };
    match defined(analysis, base, target) {
        _ if language => Home::Language,
        // Results without a name of their own may have fields of the same name.
        _ if matches!(target, Target::Part(_)) => Home::Nobody,
        Some(place) if place.file == analysis.file && !analysis.is_library => Home::File,
        Some(place) => Home::Library(place.file),
        None => Home::Nobody,
    }
}

/// Whether some type has a size of this name.
fn is_size(name: &str) -> bool {
    let item = Type::List(Box::new(Type::Unknown));
    let types = Type::BUILT_IN.iter().map(|(_, ty)| ty).chain([&item]);
    types.flat_map(Type::sizes).any(|(size, _)| *size == name)
}

/// Every use of the name at a place in the file, its definition where it is in the file and `definition` asks for it.
pub fn references(analysis: &Analysis, at: u32, definition: bool) -> Vec<&Occurrence> {
    let Some(name) = analysis.names().at(at) else { return Vec::new() };
    analysis.names().of(&name.target).filter(|o| definition || !o.definition).collect()
}

/// The uses of a name in the library's tables of figures: a knob is a column of the tables that its entry names and of those that were
/// measured of it, a task or a device stands in cells.
pub fn in_tables(base: &Base, target: &Target) -> Vec<Span> {
    let texts = base.texts();
    let files: Vec<FileId> = match target {
        Target::Knob(of, _) => tables_of(base, of),
        Target::Task(_) | Target::Device(_) => {
            texts.profiles.values().copied().chain(texts.measured.values().flatten().copied()).collect()
        }
        _ => return Vec::new(),
    };
    let mut out = Vec::new();
    for file in files {
        let table = table::read(&texts.sources.get(file).text, file, &mut Diagnostics::default());
        let named = |cell: &Option<(EcoString, Span)>, name: &EcoString| {
            cell.as_ref().filter(|(text, _)| text == name).map(|(_, place)| *place)
        };
        match target {
            Target::Knob(_, knob) => out.extend(table.knobs.iter().filter(|(n, _)| n == knob).map(|(_, place)| *place)),
            Target::Task(name) => out.extend(table.rows.iter().filter_map(|row| named(&row.task, name))),
            Target::Device(name) => out.extend(table.rows.iter().filter_map(|row| named(&row.device, name))),
            _ => {}
        }
    }
    out.sort();
    out.dedup();
    out
}

/// The tables that an entry of the library takes its figures from.
pub fn tables_of(base: &Base, entry: &str) -> Vec<FileId> {
    let texts = base.texts();
    let named = base.items().flat_map(|(_, item)| match &item.kind {
        ItemKind::Implementation(i) if i.name.text == entry => {
            let lines = i.lines.iter();
            lines
                .filter_map(|l| if let LibraryLineKind::Profile(path, _) = &l.kind { Some(path) } else { None })
                .collect()
        }
        ItemKind::Composition(c) if c.name.text == entry => {
            let body = c.body.iter();
            body.filter_map(|s| if let StmtKind::Profile(path, _) = &s.kind { Some(path) } else { None }).collect()
        }
        _ => Vec::new(),
    });
    let files =
        named.filter_map(|path| texts.profiles.get(path)).chain(texts.measured.get(entry).into_iter().flatten());
    files.copied().collect()
}
