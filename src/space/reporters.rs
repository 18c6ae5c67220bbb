//! By whom the qualities are that are compared for a step: two people may have measured differently.

use super::encode::{breaks_pin, matches_pin, wishes};
use super::ends::Ends;
use super::{Candidate, Space};
use crate::check::program::{Job, Metric, Rule, RuleKind};
use crate::ir::workflow::{Step, Workflow};
use crate::library::Library;
use crate::library::evidence::EvidenceKind;
use crate::library::profile::{Figure, Setting};
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a plan of a job is chosen by quality: it limits or wishes it, or says nothing of what it wishes.
pub fn compares(job: &Job) -> bool {
    let limits = job.clauses.iter().chain(&job.preferred).map(|clause| clause.metric);
    // What is wished behind the job's own wishes only settles between equals.
    let wished = wishes(job).into_iter().take(job.wishes.len().max(1));
    limits.chain(wished).any(|metric| metric == Metric::Quality)
}

/// How good a candidate is: as a judge says where there is one who says it, else as its profile does.
fn quality<'l>(library: &'l Library, candidate: &Candidate, judge: Option<&str>) -> Option<&'l Figure> {
    let entry = library.implementations.get(&candidate.implementation)?;
    let Candidate { task, knobs, device, units, .. } = candidate;
    entry.profile.figure("quality", &Setting { task, knobs, device, units: *units, work: &[], by: judge })
}

/// Who says how good a candidate is: empty where nobody is named, none where nobody says it.
pub fn reporter(library: &Library, candidate: &Candidate, judge: Option<&str>) -> Option<EcoString> {
    quality(library, candidate, judge).map(|figure| figure.by().into())
}

/// A reporter, for people.
pub fn named(by: &str) -> &str {
    if by.is_empty() { "nobody named" } else { by }
}

/// Whether the pins at a step's call and those of the job leave a candidate: of what is pinned, nothing else is compared.
pub fn is_allowed(candidate: &Candidate, called: &Step, job: &Job, library: &Library) -> bool {
    let breaks = |rule: &Rule| matches!(&rule.kind, RuleKind::Pin(pin) if breaks_pin(pin, called, candidate, library));
    called.pins.iter().all(|pin| matches_pin(candidate, pin, library)) && !job.rules.iter().any(breaks)
}

/// What somebody judged of a step's models and tools.
#[derive(Default)]
struct Judged<'a> {
    /// With their knobs.
    settings: BTreeSet<(&'a EcoString, &'a [(EcoString, EcoString)])>,
    entries: BTreeSet<&'a EcoString>,
    /// Whether anything of it is not their own measurement.
    taken_over: bool,
}

impl Judged<'_> {
    /// How much it is worth: a measurement of one's own that compares anything stands before what is published, and then it is the one of
    /// who judged most.
    fn weight(&self, by: &str) -> (bool, usize, usize) {
        let own = !by.is_empty() && !self.taken_over && self.settings.len() > 1;
        (own, self.entries.len(), self.settings.len())
    }
}

/// Compares in each step what is judged by one reporter, and leaves the others' out; who judges something beside others has their own say
/// counted.
pub fn restrict(space: &mut Space, job: &Job, workflow: &Workflow, library: &Library) {
    if library.demand.mixed {
        return;
    }
    for index in 0..space.steps.len() {
        let (step, called) = (&space.steps[index], &workflow.steps[index]);
        let said: Vec<Option<&Figure>> = step.candidates.iter().map(|c| quality(library, c, None)).collect();
        let mut judged: BTreeMap<&str, Judged> = BTreeMap::new();
        for at in step.options.iter().map(|option| option.candidate) {
            let candidate = &step.candidates[at];
            let Some(figure) = said[at].filter(|_| is_allowed(candidate, called, job, library)) else { continue };
            let of = judged.entry(figure.by()).or_default();
            of.settings.insert((&candidate.implementation, &candidate.knobs));
            of.entries.insert(&candidate.implementation);
            of.taken_over |= figure.evidence != EvidenceKind::Measured;
        }
        // Of those with as many, the first by name.
        let most = judged.iter().rev().max_by_key(|(by, judged)| judged.weight(by)).map(|(by, _)| *by);
        let Some(judge) = most.filter(|_| judged.len() > 1).map(EcoString::from) else { continue };
        let counts = |figure: &Figure| figure.by() == judge && figure.evidence >= library.demand.least;
        let theirs = |c: &Candidate| quality(library, c, Some(&judge)).is_none_or(counts);
        let theirs: Vec<bool> = step.candidates.iter().map(theirs).collect();
        let out: BTreeSet<(EcoString, String)> = step
            .options
            .iter()
            .filter(|option| !theirs[option.candidate])
            .map(|option| {
                let other = said[option.candidate].map_or("", Figure::by);
                let (other, judge) = (named(other), named(&judge));
                let why =
                    format!("its `quality` is by {other}, and those that it would be compared with are by {judge}");
                (step.candidates[option.candidate].implementation.clone(), why)
            })
            .collect();
        let step = &mut space.steps[index];
        step.options.retain(|option| theirs[option.candidate]);
        step.excluded.extend(out);
        space.judge(index, judge, library);
    }
}

impl Space {
    /// Counts the qualities of a step that somebody states, where they state one.
    pub fn judge(&mut self, index: usize, judge: EcoString, library: &Library) {
        self.steps[index].judge = Some(judge.clone());
        for option in 0..self.steps[index].options.len() {
            let step = &self.steps[index];
            let candidate = &step.candidates[step.options[option].candidate];
            let (own, theirs) = (quality(library, candidate, None), quality(library, candidate, Some(&judge)));
            if own.map(|figure| figure.at) == theirs.map(|figure| figure.at) {
                continue;
            }
            let Some(figures) = self.figures_at(library, index, option, &Ends::all(self.terms.end)) else { continue };
            let evidence = self.evidence(library, index, option);
            let figured = &mut self.steps[index].options[option];
            (figured.figures, figured.evidence) = (figures, evidence.into());
        }
    }
}
