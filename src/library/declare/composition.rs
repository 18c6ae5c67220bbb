//! The tree of a composition → what it composes, its knobs and its profile; its data flow stays a tree until a job uses it.

use super::implementation::{ImplementationPass, Read};
use super::text_of;
use crate::diag::{Diagnostics, nearest};
use crate::library::{Flow, Implementation, errors};
use crate::syntax::ast::{self, StmtKind};
use ecow::EcoString;

/// The words that lead a plain clause of a composition.
pub const COMPOSITION_WORDS: [&str; 3] = ["answers", "label", "license"];

/// Reads one: an implementation without hardware and engine of its own.
pub(super) fn read(
    composition: &ast::Composition,
    (module, docs): (&EcoString, &EcoString),
    pass: &ImplementationPass,
    known: &mut Read,
    cx: &mut Diagnostics,
) -> Option<Implementation> {
    let library = pass.library;
    let task = &composition.task;
    if !library.tasks.contains_key(&task.text) {
        let near = nearest(&task.text, library.tasks.keys().map(|k| k.as_str()));
        cx.push(errors::unknown_task(task.span, &task.text, near));
        return None;
    }
    let mut entry = Implementation {
        // What composes adds nothing that could be closed: its steps are judged one by one.
        license: Some("permissive".into()),
        ..Implementation::named(&composition.name, vec![task.text.clone()], docs)
    };
    let (mut files, mut profile_at) = (Vec::new(), None);
    let (mut stmts, mut answers) = (Vec::new(), task.text.clone());
    for stmt in &composition.body {
        match &stmt.kind {
            StmtKind::Knob(name, values) => {
                let values: Vec<EcoString> = values.iter().filter_map(text_of).collect();
                if entry.knobs.iter().any(|(n, _)| *n == name.text) {
                    cx.push(errors::declared_twice(name.span, "knob", &name.text, name.span));
                } else if values.is_empty() {
                    cx.push(errors::bad_value(stmt.span, &name.text, "at least one value"));
                } else {
                    entry.knobs.push((name.text.clone(), values));
                }
            }
            StmtKind::Profile(path, span) => match pass.profiles.get(path) {
                Some(file) => {
                    files.push(*file);
                    profile_at = Some(*span);
                }
                None => cx.push(errors::profile_missing(*span, path)),
            },
            StmtKind::Rule(p) => match (p.name.text.as_str(), p.values.as_slice()) {
                ("answers", [value]) => match text_of(value).filter(|name| library.tasks.contains_key(name)) {
                    Some(name) => answers = name,
                    None => cx.push(errors::bad_value(p.span, "answers", "the name of a task")),
                },
                ("label", [value]) => entry.label = text_of(value),
                ("license", [value]) => entry.license = text_of(value),
                (word, _) if COMPOSITION_WORDS.contains(&word) => cx.push(errors::bad_value(p.span, word, "one value")),
                (word, _) => cx.push(errors::unknown_property(p.name.span, word, &COMPOSITION_WORDS)),
            },
            _ => stmts.push(stmt.clone()),
        }
    }
    entry.flow = Some(Flow { module: module.clone(), answers, stmts });
    // A column may be named after a knob of what answers inside: what a vote is worth may depend on who votes.
    let inner = library.implementing(&entry.flow.as_ref()?.answers).flat_map(|i| &i.knobs);
    let mut asked = entry.clone();
    for (name, values) in inner {
        match asked.knobs.iter_mut().find(|(own, _)| own == name) {
            Some((_, all)) => all.extend(values.iter().filter(|v| !all.contains(v)).cloned().collect::<Vec<_>>()),
            None => asked.knobs.push((name.clone(), values.clone())),
        }
    }
    entry.profile = pass.profile(&asked, &files, known, cx).into();
    let at = profile_at.unwrap_or(composition.name.span);
    if let Some(figure) = entry.profile.names().find(|name| *name != "errors") {
        let message = format!("the profile of the composition `{}` has the figure `{figure}`", entry.name);
        cx.push(errors::bad_figure(at, message, "give `errors` alone: the steps inside have figures of their own"));
    }
    Some(entry)
}
