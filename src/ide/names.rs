//! What the names of a file mean.

use super::Analysis;
use crate::check::program::Job;
use crate::diag::source::Span;
use crate::types::Type;
use ecow::EcoString;

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A named value of a job, by the place that names it.
    Local(Span),
    /// A job of the file.
    Job(EcoString),
    /// A task.
    Task(EcoString),
    /// A model, tool or composition.
    Implementation(EcoString),
    /// A knob of an implementation.
    Knob(EcoString, EcoString),
    /// A parameter of a task.
    Parameter(EcoString, EcoString),
    /// A field of a record, by the record's name.
    Field(EcoString, EcoString),
    /// A size, or a field of a value whose type has no name or is not known.
    Part(EcoString),
    /// A device.
    Device(EcoString),
    /// A cluster.
    Cluster(EcoString),
    /// A record or enum, or a built-in type.
    Type(EcoString),
    /// A value of an enum.
    Value(EcoString, EcoString),
    /// A module.
    Module(EcoString),
    /// What can be limited or wished.
    Metric(EcoString),
}

/// A name in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The place.
    pub span: Span,
    /// What it means.
    pub target: Target,
    /// Whether this is where it is defined.
    pub definition: bool,
}

/// The names of a file, in order of their places.
#[derive(Debug, Default)]
pub struct Names {
    list: Vec<Occurrence>,
}

impl Names {
    /// Sorts names by their places.
    pub fn new(mut list: Vec<Occurrence>) -> Names {
        list.retain(|o| o.span.start < o.span.end);
        list.sort_by_key(|o| (o.span.start, o.span.end));
        list.dedup();
        Names { list }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Occurrence> {
        self.list.iter()
    }

    /// The name that a place touches; of two that touch, the one that begins there.
    pub fn at(&self, at: u32) -> Option<&Occurrence> {
        let behind = self.list.partition_point(|o| o.span.start <= at);
        self.list[..behind].iter().rev().take(4).find(|o| at <= o.span.end)
    }

    /// Every place that means the same.
    pub fn of<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Occurrence> {
        self.list.iter().filter(move |o| o.target == *target)
    }
}

impl Analysis {
    /// The type of a named value, as the checker knows it.
    pub fn type_of(&self, definition: Span) -> Option<&Type> {
        let jobs = &self.program.jobs;
        let all = || {
            let of = |(at, job): (usize, &Job)| {
                let places = job.locals.iter().enumerate().map(|(local, l)| (l.span, (at, local)));
                places.collect::<Vec<_>>()
            };
            jobs.iter().enumerate().flat_map(of).collect()
        };
        if let Some((job, local)) = self.locals.get_or_init(all).get(&definition) {
            return Some(&jobs[*job].locals[*local].ty);
        }
        let composed = self.program.compositions.values().flat_map(|c| &c.job.locals);
        composed.into_iter().find(|l| l.span == definition).map(|l| &l.ty)
    }
}
