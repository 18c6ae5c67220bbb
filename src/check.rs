//! Tree → typed program: names, types, units, clauses, rules, holes. Every problem is a diagnostic.

pub mod agents;
pub mod body;
pub mod called;
pub mod calls;
pub mod clauses;
pub mod compose;
pub mod errors;
pub mod hole;
pub mod jobs;
pub mod kept;
pub mod load;
mod loops;
mod operators;
pub mod program;
pub mod quantity;
pub mod reuse;
pub mod rules;
pub mod scope;
pub mod types;
pub mod unused;

use crate::diag::source::{Sources, Span};
use crate::diag::{Diagnostics, Severity};
use crate::library::Library;
use crate::syntax::ast::{File, ItemKind, Name, StmtKind};
use ecow::EcoString;
use kept::{Earlier, Trail};
use program::{Composition, Job, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a job's file may name.
pub struct Context<'a> {
    /// The library, the file's own items included.
    pub library: &'a Library,
    /// The sources, for the text of clauses.
    pub sources: &'a Sources,
    /// The compositions of the modules that the file uses, where they were checked before.
    pub composed: Option<&'a BTreeMap<EcoString, Arc<Composition>>>,
    /// Whether holes are reported.
    pub holes: bool,
}

impl<'a> Context<'a> {
    /// A context in which nothing was checked before.
    pub fn new(library: &'a Library, sources: &'a Sources) -> Context<'a> {
        Context { library, sources, composed: None, holes: false }
    }
}

/// Checks the jobs of a file.
pub fn check(file: &File, context: &Context, cx: &mut Diagnostics) -> Program {
    check_after(file, context, None, cx).0
}

/// The same; a job that was checked before, and follows from the same, is not checked again. Also what the check after this one needs.
pub fn check_after(file: &File, context: &Context, earlier: Option<Earlier>, cx: &mut Diagnostics) -> (Program, Trail) {
    let used = imports(file, context.library, cx);
    let signatures = jobs::signatures(file, context.library, cx);
    let compositions = context.composed.cloned().unwrap_or_else(|| compose::offered(&used, context, cx));
    let mut program = Program { compositions, used: used.clone(), ..Program::default() };
    let mut earlier = earlier.filter(|earlier| earlier.follows_from(&signatures, &used)).unwrap_or_default();
    let mut trail = Vec::new();
    for item in &file.items {
        if let ItemKind::Job(job) = &item.kind {
            let Some(signature) = signatures.get(&job.name.text) else { continue };
            let (typed, said) = earlier.take(job.name.span).unwrap_or_else(|| {
                let mut said = Diagnostics::default();
                let mut typed = body::check_job(job, signature, &signatures, &used, context, &mut said);
                typed.docs = item.docs.clone();
                clauses::check_clauses(&job.body, &mut typed, context, &mut said);
                rules::check_rules(&job.body, &mut typed, context, &mut said);
                rules::check_personal(&job.body, &typed, &mut said);
                unused::check_unused(&typed, &mut said);
                if context.holes {
                    hole::report_holes(&typed, context.library, &mut said);
                }
                (typed, said)
            });
            program.jobs.push(typed);
            trail.push(kept::inside(item.span, &said).then(|| said.clone()));
            cx.append(said);
        }
    }
    jobs::check_cycles(&program, cx);
    called::check_called(&program, cx);
    unused::check_pins(&program, context.library, cx);
    unused::check_imports(file, &program, &used, cx);
    (program, Trail::new(signatures, used, trail))
}

/// The modules of the library that a file uses.
pub fn used_modules(file: &File, library: &Library) -> BTreeSet<EcoString> {
    let uses =
        file.items.iter().filter_map(|item| if let ItemKind::Use(path) = &item.kind { Some(path) } else { None });
    uses.map(|path| dotted(path)).filter(|name| library.modules.contains(name)).collect()
}

fn dotted(path: &[Name]) -> EcoString {
    path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".").into()
}

/// The modules that a file uses.
fn imports(file: &File, library: &Library, cx: &mut Diagnostics) -> BTreeSet<EcoString> {
    let mut used = BTreeSet::new();
    for item in &file.items {
        let ItemKind::Use(path) = &item.kind else { continue };
        let name = dotted(path);
        let at = path[0].span.to(path[path.len() - 1].span);
        if library.modules.contains(&name) {
            if !used.insert(name.clone()) {
                let line = Span { end: item.span.end + 1, ..item.span };
                cx.push(errors::used_twice(at, line, &name));
            }
        } else {
            // What all modules share says nothing of how near two names are.
            let last = |m: &str| m.rsplit('.').next().unwrap_or_default().to_string();
            let lasts: Vec<String> = library.modules.iter().map(|m| last(m)).collect();
            let near = crate::diag::nearest(&last(&name), lasts.iter().map(String::as_str));
            let near = near.and_then(|n| library.modules.iter().find(|m| last(m) == n)).map(|m| m.as_str());
            cx.push(errors::unknown_module(at, &name, near));
        }
    }
    used
}

/// Whether a job says nothing of how: no statement computes anything.
pub fn is_one_hole(job: &crate::syntax::ast::Job) -> bool {
    !job.body.iter().any(|s| matches!(s.kind, StmtKind::Let(..) | StmtKind::Expr(_) | StmtKind::Error))
}

/// The job of a program that a command is about: the only one, or the one that is named.
pub fn select<'a>(program: &'a Program, name: Option<&str>) -> Result<&'a Job, String> {
    let names = || program.jobs.iter().map(|j| format!("`{}`", j.name)).collect::<Vec<_>>().join(", ");
    match (name, program.jobs.as_slice()) {
        (_, []) => Err("the file has no job".to_string()),
        (None, [only]) => Ok(only),
        // A job that another one calls is a part; the one that nobody calls is the whole.
        (None, jobs) => {
            let called: BTreeSet<&EcoString> = jobs.iter().flat_map(|j| j.calls.keys()).collect();
            let roots: Vec<&Job> = jobs.iter().filter(|j| !called.contains(&j.name)).collect();
            match roots.as_slice() {
                [only] => Ok(only),
                _ => Err(format!("the file has several jobs: choose one of {} with `--job`", names())),
            }
        }
        (Some(name), jobs) => jobs
            .iter()
            .find(|j| j.name == name)
            .ok_or_else(|| format!("there is no job `{name}`; the file has {}", names())),
    }
}

/// Leaves out the warnings of jobs that neither are this one nor are called by it, however far down.
pub fn about(file: &File, program: &Program, job: &Job, cx: &mut Diagnostics) {
    let (mut part, mut open) = (BTreeSet::from([&job.name]), vec![job]);
    while let Some(job) = open.pop() {
        for called in program.jobs.iter().filter(|j| job.calls.contains_key(&j.name)) {
            if part.insert(&called.name) {
                open.push(called);
            }
        }
    }
    let others = file.items.iter().filter(|i| matches!(&i.kind, ItemKind::Job(j) if !part.contains(&j.name.text)));
    let others: Vec<Span> = others.map(|item| item.span).collect();
    let within = |at: Span, item: &Span| at.file == item.file && item.start <= at.start && at.end <= item.end;
    cx.retain(|d| d.severity == Severity::Error || !others.iter().any(|item| within(d.primary.span, item)));
}
