//! Jobs of a file → their signatures; and jobs that call themselves.

use super::program::{Job, Program};
use super::{errors, types};
use crate::diag::Diagnostics;
use crate::diag::source::Span;
use crate::library::Library;
use crate::syntax::ast::{self, ItemKind};
use crate::types::Type;
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};

/// What a job takes and yields.
#[derive(PartialEq)]
pub struct Signature {
    /// Its inputs.
    pub params: Vec<(EcoString, Type)>,
    /// Its result.
    pub result: Type,
}

/// The signatures of a file's jobs.
pub fn signatures(file: &ast::File, library: &Library, cx: &mut Diagnostics) -> BTreeMap<EcoString, Signature> {
    let mut signatures = BTreeMap::new();
    let mut spans: BTreeMap<EcoString, Span> = BTreeMap::new();
    for item in &file.items {
        let ItemKind::Job(job) = &item.kind else { continue };
        let first = library.tasks.get(&job.name.text).map(|t| t.span).or_else(|| spans.get(&job.name.text).copied());
        if let Some(first) = first {
            cx.push(crate::library::errors::declared_twice(job.name.span, "job", &job.name.text, first));
            continue;
        }
        let of_type = library.types.get(&job.name.text).map(|(_, span)| *span);
        if let Some(first) = of_type.filter(|span| span.file == job.name.span.file) {
            cx.push(crate::library::errors::declared_twice(job.name.span, "name", &job.name.text, first));
        }
        spans.insert(job.name.text.clone(), job.name.span);
        let params = types::params(&job.params, &library.types, cx);
        let result = types::resolve(&job.result, &library.types, cx);
        signatures.insert(job.name.text.clone(), Signature { params, result });
    }
    signatures
}

/// Reports jobs that call themselves, by way of others.
pub fn check_cycles(program: &Program, cx: &mut Diagnostics) {
    let by_name: BTreeMap<&str, &Job> = program.jobs.iter().map(|j| (j.name.as_str(), j)).collect();
    for job in &program.jobs {
        let mut path: Vec<&str> = vec![&job.name];
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        if reaches(&job.name, &job.name, &by_name, &mut path, &mut seen) {
            cx.push(errors::cycle(job.span, &path));
        }
    }
}

fn reaches<'a>(
    from: &str,
    to: &str,
    jobs: &BTreeMap<&'a str, &'a Job>,
    path: &mut Vec<&'a str>,
    seen: &mut BTreeSet<&'a str>,
) -> bool {
    let Some(job) = jobs.get(from) else { return false };
    for called in job.calls.keys() {
        path.push(called);
        if called == to || (seen.insert(called) && reaches(called, to, jobs, path, seen)) {
            return true;
        }
        path.pop();
    }
    false
}
