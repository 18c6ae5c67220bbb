//! Choices, clauses, steps → what people call them.

use super::Asked;
use super::answer::{Carrier, Line, StepName};
use super::why::is_soft;
use crate::compile::Prepared;
use crate::diag::nearest;
use crate::diag::source::Span;
use crate::plan::compose;
use crate::plan::model::{Hardware, Plan};
use crate::space::encode::Origin;
use crate::space::sharing::Carries;
use crate::space::{Candidate, Figured};
use ecow::EcoString;

/// A candidate as data.
pub fn carrier(candidate: &Candidate) -> Carrier {
    Carrier {
        implementation: candidate.implementation.to_string(),
        knobs: candidate.knobs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        hardware: Hardware { device: candidate.device.to_string(), units: candidate.units, replicas: 1 },
    }
}

/// A carrier in a few words: `whisper(variant: small) on a100 * 1`.
pub fn shown(carrier: &Carrier) -> String {
    let knobs: Vec<String> = carrier.knobs.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let knobs = if knobs.is_empty() { String::new() } else { format!("({})", knobs.join(", ")) };
    let Hardware { device, units, .. } = &carrier.hardware;
    let units = if *units > 0 { format!(" * {units}") } else { String::new() };
    match (carrier.implementation.as_str(), device.as_str()) {
        ("", _) => "nothing".to_string(),
        (composition, "") => format!("{composition}{knobs}"),
        (implementation, _) => format!("{implementation}{knobs} on {device}{units}"),
    }
}

/// The step of a name; else a message with the nearest one.
pub fn step(asked: &Asked, name: &str) -> Result<usize, String> {
    let steps = &asked.prepared.workflow.steps;
    steps.iter().position(|s| s.name == name).ok_or_else(|| {
        let names = || steps.iter().map(|s| s.name.as_str());
        match nearest(name, names()) {
            Some(near) => format!("the plan has no step `{name}`: did you mean `{near}`?"),
            None => format!("the plan has no step `{name}`; its steps are {}", names().collect::<Vec<_>>().join(", ")),
        }
    })
}

/// The options that a plan of the same job took.
pub fn choice(prepared: &Prepared, plan: &Plan) -> Result<Vec<usize>, String> {
    let workflow = &prepared.workflow;
    let found = |name: &str| plan.steps.iter().find(|step| step.name == name);
    let taken = workflow.steps.iter().enumerate().zip(&prepared.space.steps).map(|((index, called), space)| {
        let gone = || called.name.clone();
        let way = compose::pick(plan, workflow, index).map_err(|_| gone())?.map(|way| &called.ways[way]);
        let is_taken = |c: &Candidate| match (&way, found(&called.name)) {
            (Some(way), _) => c.goes(way),
            (None, Some(step)) => carrier(c).is_of(step),
            // A plan has no step for a part that it leaves out.
            (None, None) => c.is_absent(),
        };
        space.candidates.iter().position(is_taken).ok_or_else(gone)
    });
    let taken: Result<Vec<usize>, EcoString> = taken.collect();
    let taken = taken.map_err(|step| format!("what the plan has for `{step}` cannot be had any more: plan again"))?;
    let carries = |at: &usize| matches!(prepared.space.instances[*at].carries, Carries::Models { .. });
    let hosts: Vec<usize> = (0..prepared.space.instances.len()).filter(carries).collect();
    let is_host = |instance: usize| plan.instances.get(instance).is_some_and(|i| i.implementation.is_none());
    let class = |step: usize| prepared.space.steps[step].candidates[taken[step]].class;
    let option = |step: usize| {
        let options = prepared.space.steps[step].options.iter();
        let planned = found(&workflow.steps[step].name);
        let shared = planned.is_some_and(|step| step.instance.is_some());
        let device = planned.map_or("", |step| step.hardware.device.as_str());
        let instance = |o: &Figured| match o.shared {
            Some(at) if hosts.contains(&at) => {
                // GPUs that are shared are alike: the first of the plan's is the first of the space's.
                let of = |i: &usize| plan.instances[*i].hardware.device == device && is_host(*i);
                let at_plan = planned.and_then(|p| p.instance).filter(|i| is_host(*i));
                let first = hosts.iter().find(|h| prepared.space.instances[**h].device.as_str() == device);
                at_plan.is_some_and(|i| first.is_some_and(|f| at - f == (0..i).filter(of).count()))
            }
            Some(at) => {
                let own = planned.and_then(|p| p.instance).is_some_and(|i| !is_host(i));
                shared && own && planned.is_some_and(|p| prepared.space.instances[at].replicas == p.hardware.replicas)
            }
            None => !shared,
        };
        let fits = |o: &Figured| {
            instance(o) && o.candidate == taken[step] && o.needs.iter().all(|(of, needed)| class(*of) == *needed)
        };
        options.into_iter().position(fits).ok_or_else(|| format!("step {step} of the plan has no figures: plan again"))
    };
    (0..taken.len()).map(option).collect()
}

/// A step's name and place.
pub fn step_name(asked: &Asked, step: usize) -> StepName {
    let called = &asked.prepared.workflow.steps[step];
    StepName {
        name: called.name.to_string(),
        task: called.task.to_string(),
        line: called.span.and_then(|span| line_of(asked, span)).unwrap_or(0),
    }
}

/// The line of a place in the job's file.
pub fn line_of(asked: &Asked, span: Span) -> Option<u32> {
    let compiled = &asked.prepared.compiled;
    (span.file == compiled.file).then(|| compiled.texts.sources.line_column(span).0 as u32)
}

/// The line behind a clause of the problem.
pub fn line(asked: &Asked, origin: &Origin) -> Line {
    let source = |span: Span| asked.prepared.compiled.texts.sources.text(span);
    let words = |span: Span| source(span).split_whitespace().collect::<Vec<_>>().join(" ");
    let (text, span) = match origin {
        Origin::Clause(c) => (format!("{}{}", if is_soft(asked, origin) { "prefer " } else { "" }, c.text), c.span),
        Origin::Rule(r) | Origin::Called(r, _) => (r.text.to_string(), r.span),
        Origin::StepPin(_, pin) => (words(pin.span), pin.span),
        Origin::AgentCost(_, _, span) => (format!("cost: {}", words(*span)), *span),
        Origin::EnergyKnown(text, span) => (text.to_string(), *span),
    };
    Line { text, line: line_of(asked, span) }
}

/// `` `latency <= 60 s` (line 7) ``
pub fn said(line: &Line) -> String {
    match line.line {
        Some(number) => format!("`{}` (line {number})", line.text),
        None => format!("`{}`", line.text),
    }
}
