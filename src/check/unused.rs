//! Warns of what nothing depends on.

use super::errors;
use super::program::{Job, Pin, Program, RuleKind};
use crate::diag::Diagnostics;
use crate::diag::source::Span;
use crate::library::Library;
use crate::syntax::ast::{File, ItemKind};
use ecow::EcoString;
use std::collections::BTreeSet;

/// Warns of inputs and values of a job that nothing uses. A job with holes may still use them.
pub fn check_unused(job: &Job, cx: &mut Diagnostics) {
    if !job.holes.is_empty() || job.broken {
        return;
    }
    for (i, local) in job.locals.iter().enumerate() {
        if !local.used && !local.name.starts_with('_') {
            let is_input = job.params.iter().any(|p| p.0 as usize == i);
            cx.push(errors::unused(local.span, if is_input { "input" } else { "value" }, &local.name));
        }
    }
}

/// Warns of pins of jobs to what can carry out none of their steps: they hold whatever is chosen.
pub fn check_pins(program: &Program, library: &Library, cx: &mut Diagnostics) {
    for job in &program.jobs {
        let Some(tasks) = tasks_of(job, program) else { continue };
        for rule in &job.rules {
            if let RuleKind::Pin(Pin { implementation: Some(name), .. }) = &rule.kind
                && let Some(entry) = library.implementations.get(name)
                && !entry.tasks.iter().any(|task| tasks.contains(task))
            {
                cx.push(errors::idle_pin(rule.span, name, &entry.tasks));
            }
        }
    }
}

/// The tasks of all steps that a job may have, those of the compositions that may carry them out included; `None` where that is not known.
fn tasks_of<'p>(job: &'p Job, program: &'p Program) -> Option<BTreeSet<&'p EcoString>> {
    let (mut tasks, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![job]);
    while let Some(job) = open.pop() {
        if !job.holes.is_empty() || job.broken {
            return None;
        }
        tasks.extend(&job.tasks);
        let called = program.jobs.iter().filter(|other| job.calls.contains_key(&other.name));
        let composed = program.compositions.values().filter(|c| job.tasks.contains(&c.task)).map(|c| &c.job);
        open.extend(called.chain(composed).filter(|other| seen.insert(other.span)));
    }
    Some(tasks)
}

/// Warns of modules that no job takes a task from.
pub fn check_imports(file: &File, program: &Program, used: &BTreeSet<EcoString>, cx: &mut Diagnostics) {
    let has_library_items = file.items.iter().any(|i| {
        matches!(i.kind, ItemKind::Task(_) | ItemKind::Implementation(_) | ItemKind::Composition(_) | ItemKind::Error)
    });
    if has_library_items || program.jobs.is_empty() || program.jobs.iter().any(|j| !j.holes.is_empty() || j.broken) {
        return;
    }
    for item in &file.items {
        let ItemKind::Use(path) = &item.kind else { continue };
        let name: EcoString = path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".").into();
        if used.contains(&name) && !program.jobs.iter().any(|j| j.modules.contains(&name)) {
            // The fix takes the line with it.
            let line = Span { end: item.span.end + 1, ..item.span };
            cx.push(errors::unused_module(item.span, line, &name));
        }
    }
}
