//! Where a name is defined.

use super::Analysis;
use super::names::Target;
use crate::compile::Base;
use crate::diag::source::Span;
use crate::syntax::ast::{ItemKind, LibraryLineKind, StmtKind};

/// The place that defines the name at a place: in the file, or in a file of the library.
pub fn definition(analysis: &Analysis, base: &Base, at: u32) -> Option<(Span, Span)> {
    let name = analysis.names().at(at)?;
    Some((name.span, defined(analysis, base, &name.target)?))
}

/// Where something is defined.
pub fn defined(analysis: &Analysis, base: &Base, target: &Target) -> Option<Span> {
    if let Some(own) = analysis.names().of(target).find(|o| o.definition) {
        return Some(own.span);
    }
    let library = &analysis.library;
    match target {
        Target::Task(name) => library.tasks.get(name).map(|t| t.span),
        Target::Implementation(name) => library.implementations.get(name).map(|i| i.span),
        Target::Device(name) => library.devices.get(name).map(|d| d.span),
        Target::Cluster(name) => library.clusters.get(name).map(|c| c.span),
        Target::Type(name) => library.types.get(name).map(|(_, span)| *span),
        Target::Module(name) => {
            let module = base.texts().modules.iter().find(|(n, _)| n == name);
            module.map(|(_, file)| Span::new(*file, 0, 0))
        }
        Target::Parameter(task, param) => base.items().find_map(|(_, item)| match &item.kind {
            ItemKind::Task(t) if t.name.text == *task => {
                t.params.iter().find(|p| p.name.text == *param).map(|p| p.name.span)
            }
            _ => None,
        }),
        Target::Knob(of, knob) => base.items().find_map(|(_, item)| match &item.kind {
            ItemKind::Implementation(entry) if entry.name.text == *of => {
                entry.lines.iter().find_map(|l| match &l.kind {
                    LibraryLineKind::Knob(name, _) if name.text == *knob => Some(name.span),
                    _ => None,
                })
            }
            ItemKind::Composition(entry) if entry.name.text == *of => entry.body.iter().find_map(|s| match &s.kind {
                StmtKind::Knob(name, _) if name.text == *knob => Some(name.span),
                _ => None,
            }),
            _ => None,
        }),
        Target::Value(of, value) => base.items().find_map(|(_, item)| match &item.kind {
            ItemKind::Enum(name, values) if name.text == *of => {
                values.iter().find(|v| v.text == *value).map(|v| v.span)
            }
            _ => None,
        }),
        Target::Field(of, field) => base.items().find_map(|(_, item)| match &item.kind {
            ItemKind::Record(name, fields) if name.text == *of => {
                fields.iter().find(|f| f.name.text == *field).map(|f| f.name.span)
            }
            _ => None,
        }),
        Target::Local(_) | Target::Job(_) | Target::Part(_) | Target::Metric(_) => None,
    }
}
