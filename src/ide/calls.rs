//! Who calls what: tasks and jobs called by jobs.

use super::Analysis;
use super::cursor::expressions;
use super::names::Target;
use crate::diag::source::Span;
use crate::syntax::ast::ExprKind;
use ecow::EcoString;

/// A job or task in a hierarchy of calls, with the places of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// The job's or task's name.
    pub name: EcoString,
    /// Whether it is a job of the file.
    pub is_job: bool,
    /// The whole of a job; the first call of a task of the library.
    pub span: Span,
    /// Its name's place.
    pub name_span: Span,
    /// Where the calls are.
    pub places: Vec<Span>,
}

/// The job or task at a place.
pub fn prepare(analysis: &Analysis, at: u32) -> Option<Calls> {
    let name = analysis.names().at(at)?;
    match &name.target {
        Target::Job(job) => of_job(analysis, job),
        Target::Task(task) => {
            Some(Calls { name: task.clone(), is_job: false, span: name.span, name_span: name.span, places: Vec::new() })
        }
        _ => None,
    }
}

fn of_job(analysis: &Analysis, name: &str) -> Option<Calls> {
    let (span, job, _) = analysis.jobs().find(|(_, job, _)| job.name.text == name)?;
    Some(Calls { name: job.name.text.clone(), is_job: true, span, name_span: job.name.span, places: Vec::new() })
}

/// The jobs that call something.
pub fn incoming(analysis: &Analysis, name: &str) -> Vec<Calls> {
    let mut out = Vec::new();
    for (_, job, _) in analysis.jobs() {
        let places = made(analysis, &job.name.text).into_iter().filter(|(n, _)| n == name).map(|(_, s)| s);
        let places: Vec<Span> = places.collect();
        if !places.is_empty() {
            out.extend(of_job(analysis, &job.name.text).map(|calls| Calls { places, ..calls }));
        }
    }
    out
}

/// What a job calls, in order of the first call.
pub fn outgoing(analysis: &Analysis, name: &str) -> Vec<Calls> {
    let mut out: Vec<Calls> = Vec::new();
    for (callee, place) in made(analysis, name) {
        match out.iter_mut().find(|c| c.name == callee) {
            Some(calls) => calls.places.push(place),
            None => {
                let job = of_job(analysis, &callee);
                let task = Calls { name: callee, is_job: false, span: place, name_span: place, places: Vec::new() };
                out.push(Calls { places: vec![place], ..job.unwrap_or(task) });
            }
        }
    }
    out
}

/// The calls that a job makes, with their places.
fn made(analysis: &Analysis, name: &str) -> Vec<(EcoString, Span)> {
    let mut out = Vec::new();
    if let Some((_, job, _)) = analysis.jobs().find(|(_, job, _)| job.name.text == name) {
        expressions(&job.body, &mut |e| {
            if let ExprKind::Call(call) = &e.kind {
                out.push((call.callee.text.clone(), call.callee.span));
            }
        });
    }
    out.sort_by_key(|(_, span)| *span);
    out
}
