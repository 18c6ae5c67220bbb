//! `mkbc why`, `why-not`, `what-if`, `pareto`, `sensitivity`: plan, ask, show.

use super::args::{
    Format, ParetoOptions, Planning, SensitivityOptions, Shape, WhatIfOptions, WhyNotOptions, WhyOptions,
};
use super::expand::{Filled, Open, filled};
use super::here::machines;
use super::inputs::Inputs;
use super::load::{show, show_with, writable, write};
use super::plan::{Terms, demand, read_plan, terms, usable_on};
use super::{Failure, print, width};
use crate::ask::answer::{ANSWER_VERSION, Answer, Kind, Line, Why};
use crate::ask::front::{MOST_POINTS, Wanted, front, metrics};
use crate::ask::question::{self, Replaced, Unread};
use crate::ask::render::{self, front::csv, html::page, svg::plot};
use crate::ask::sensitivity::{self, Work};
use crate::ask::{Asked, names, what_if, why, why_not};
use crate::check::about;
use crate::check::program::Metric;
use crate::compile::{Changes, Compiled, Decision, Prepared, Target, Undecided, decide, prepare_job};
use crate::diag::Diagnostics;
use crate::solve::{Certify, Limits};
use std::sync::Arc;
use std::time::Instant;

/// Nodes that a single question may visit: each asks many.
const NODES: u64 = 500_000;

/// Says why a step is carried out as it is.
pub fn why(options: &WhyOptions, inputs: &Inputs) -> Result<(), Failure> {
    let (filled, mut terms) = open(&options.planning, inputs)?;
    let plan = match &options.plan {
        None => None,
        Some(path) => {
            let plan = read_plan(path)?;
            let wrong = super::verify::against_source(&plan, &options.planning.source)?;
            if !wrong.is_empty() {
                return Err(format!("`{}` does not hold:\n  {}", path.display(), wrong.join("\n  ")).into());
            }
            terms.of_plan(&plan);
            Some(plan)
        }
    };
    ask(&options.planning, filled, &terms, |prepared, target, cx| {
        let limits = uncertified(target);
        let decision = decided(prepared, &limits, cx)?;
        let choice = match &plan {
            None => decision.solution.choice.clone(),
            Some(plan) => names::choice(prepared, plan)?,
        };
        let asked = Asked { choice: &choice, ..Asked::of(prepared, &decision, limits) };
        let step = names::step(&asked, &options.step).map_err(Failure::Usage)?;
        let better = why::better(&asked, &decision.solution.choice);
        Ok(Kind::Why(Box::new(Why { better, ..why::why(&asked, step) })))
    })
}

/// Says why a model or tool was not chosen.
pub fn why_not(options: &WhyNotOptions, inputs: &Inputs) -> Result<(), Failure> {
    let (mut filled, terms) = open(&options.planning, inputs)?;
    let Filled { texts, checked, cx, .. } = &mut filled;
    let pin = match question::pin(&options.model, &terms.job, &checked.library, &mut texts.sources, cx) {
        Ok(pin) => pin,
        Err(unread) => return Err(refused(unread, &filled, &options.planning)),
    };
    ask(&options.planning, filled, &terms, |prepared, target, cx| {
        let limits = uncertified(target);
        let decision = decided(prepared, &limits, cx)?;
        let asked = Asked::of(prepared, &decision, limits);
        let step = options.step.as_ref().map(|name| names::step(&asked, name)).transpose().map_err(Failure::Usage)?;
        let answer = why_not::why_not(&asked, &decision.plan, &pin, &options.model, step).map_err(Failure::Usage)?;
        Ok(Kind::WhyNot(answer))
    })
}

/// Plans a job as it is and as a question changes it, and compares.
pub fn what_if(options: &WhatIfOptions, inputs: &Inputs) -> Result<(), Failure> {
    if options.changes.is_empty() && options.drop.is_empty() {
        let example = "`mkbc what-if job.mkb \"latency <= 30 s\"`, or `--drop quality`";
        return Err(Failure::Usage(format!("say what to change: {example}")));
    }
    let (mut filled, terms) = open(&options.planning, inputs)?;
    let (mut changed, mut replaced) = (terms.job.clone(), Replaced::new());
    for what in &options.drop {
        replaced.extend(question::drop(what, &mut changed).map_err(Failure::Usage)?);
    }
    for text in &options.changes {
        let Filled { texts, checked, cx, .. } = &mut filled;
        match question::change(question::WHAT_IF, text, &mut changed, &checked.library, &mut texts.sources, cx) {
            Ok(more) => replaced.extend(more),
            Err(unread) => return Err(refused(unread, &filled, &options.planning)),
        }
    }
    // A question that names a cluster means it, whatever the command line says for the job as it is.
    let moved = changed.cluster != terms.job.cluster;
    let elsewhere = match changed.cluster.as_ref().filter(|_| moved) {
        Some((name, _)) => machines(name, &filled.checked.library)?,
        None => terms.machines.clone(),
    };
    let usable = usable_on(&elsewhere);
    let asked: Vec<String> =
        options.changes.iter().cloned().chain(options.drop.iter().map(|d| format!("--drop {d}"))).collect();
    ask(&options.planning, filled, &terms, |prepared, target, cx| {
        // Where the job as it is has no plan, the question may be how to get one.
        let before = match decide(prepared, &Changes::default(), &uncertified(target)) {
            Ok(decision) => Some(decision),
            Err(Undecided::Clash(_)) => None,
            Err(Undecided::Unknown(why)) => {
                return Err(Failure::Message(format!(
                    "of the job as it is: {why}, so that there is nothing to compare with"
                )));
            }
        };
        let there = Target { machines: &elsewhere, usable: &usable, ..*target };
        let changed = prepare_job(prepared.compiled, changed, &there, cx).map_err(Failure::Message)?;
        let decision = decided(&changed, &target.limits, cx)?;
        let asked_of = Asked::of(&changed, &decision, target.limits);
        let line = |(span, text): &(_, String)| Line { text: text.clone(), line: names::line_of(&asked_of, *span) };
        let replaced: Vec<Line> = replaced.iter().map(line).collect();
        let before = before.as_ref().map(|d| &d.plan);
        Ok(Kind::WhatIf(Box::new(what_if::what_if(&asked, replaced, before, &decision.plan))))
    })
}

/// Shows what is to be had for what.
pub fn pareto(options: &ParetoOptions, inputs: &Inputs) -> Result<(), Failure> {
    let metrics = metrics(&options.metrics).map_err(Failure::Usage)?;
    if options.points == 0 || options.points > MOST_POINTS {
        return Err(Failure::Usage(format!("`--points` takes a number from 1 to {MOST_POINTS}")));
    }
    if let Some(out) = &options.out {
        writable(out)?;
    }
    let planning = options.planning();
    let (filled, terms) = open(&planning, inputs)?;
    let answer = answer(&planning, filled, &terms, |prepared, target, cx| {
        let wanted = Wanted { metrics: &metrics, points: options.points, beyond: options.beyond };
        let limits = Limits { nodes: u64::MAX, ..uncertified(target) };
        let compared = metrics.contains(&Metric::Quality).then(|| prepared.comparing()).flatten();
        let prepared = compared.as_ref().unwrap_or(prepared);
        let decision = decide(prepared, &Changes::default(), &limits);
        let asked = decision.as_ref().ok().map(|decision| Asked::of(prepared, decision, limits));
        let found = front(prepared, &wanted, asked, &limits).map_err(|why| undecided(prepared, cx, why))?;
        Ok(Kind::Pareto(found))
    })?;
    let Kind::Pareto(front) = &answer.answer else { return Ok(()) };
    let (job, cluster) = (&answer.job, &answer.cluster);
    let text = match options.format {
        Shape::Table => render::text(&answer, width()),
        Shape::Json => json(&answer)?,
        Shape::Csv => csv(front)?,
        Shape::Svg => plot(front, &format!("{} of {job} on {cluster}", front.metrics.join(", ")))?.svg,
        Shape::Html => page(front, job, cluster)?,
    };
    match &options.out {
        None => print(&text),
        Some(out) => {
            write(out, &text)?;
            let extent = render::front::extent(front);
            print(&format!("{extent}\nwritten to {}\n", out.display()));
        }
    }
    Ok(())
}

/// Says what a plan hangs on.
pub fn sensitivity(options: &SensitivityOptions, inputs: &Inputs) -> Result<(), Failure> {
    let (filled, terms) = open(&options.planning, inputs)?;
    ask(&options.planning, filled, &terms, |prepared, target, cx| {
        let limits = uncertified(target);
        let decision = decided(prepared, &limits, cx)?;
        let asked = Asked::of(prepared, &decision, limits);
        Ok(Kind::Sensitivity(sensitivity::sensitivity(&asked, &Work::of(options.solves))))
    })
}

/// Loads and checks what a question is about, and measures its inputs.
fn open(planning: &Planning, inputs: &Inputs) -> Result<(Filled, Terms), Failure> {
    let mut filled = filled(&planning.source, Open::unless(planning.locked))?;
    Arc::make_mut(&mut filled.checked.library).demand = demand(planning.evidence);
    let terms = terms(planning, inputs, None, &filled)?;
    Ok((filled, terms))
}

/// Answers a question and shows the answer.
fn ask<Q>(planning: &Planning, filled: Filled, terms: &Terms, question: Q) -> Result<(), Failure>
where
    Q: FnOnce(&Prepared, &Target, &mut Diagnostics) -> Result<Kind, Failure>,
{
    let answer = answer(planning, filled, terms, question)?;
    match planning.source.format {
        Format::Json => print(&json(&answer)?),
        Format::Text => print(&render::text(&answer, width())),
    }
    Ok(())
}

fn answer<Q>(planning: &Planning, mut filled: Filled, terms: &Terms, question: Q) -> Result<Answer, Failure>
where
    Q: FnOnce(&Prepared, &Target, &mut Diagnostics) -> Result<Kind, Failure>,
{
    let mut cx = std::mem::take(&mut filled.cx);
    about(&filled.checked.tree, &filled.checked.program, &terms.job, &mut cx);
    let started = Instant::now();
    let out_of_time = move || started.elapsed() >= terms.limit;
    let target = terms.target(&out_of_time);
    let compiled =
        Compiled { texts: &filled.texts, file: filled.file, checked: &filled.checked, lock: filled.lock.as_deref() };
    let prepared = prepare_job(compiled, terms.job.clone(), &target, &mut cx).map_err(Failure::Message);
    let answered = prepared.and_then(|prepared| {
        let kind = question(&prepared, &target, &mut cx)?;
        let (job, cluster) = (prepared.job.name.to_string(), prepared.machines.name.to_string());
        Ok(Answer { version: ANSWER_VERSION, job, cluster, answer: kind })
    });
    let format = planning.source.format;
    match answered {
        Ok(answer) => {
            if format == Format::Text {
                show(&cx, &filled.texts, format);
            }
            Ok(answer)
        }
        // What was found on the way is the reason.
        Err(failure) if cx.has_errors() => {
            show(&cx, &filled.texts, format);
            Err(failure.said())
        }
        Err(failure) => Err(show_with(failure, &mut cx, filled.file, &filled.texts, format)),
    }
}

/// A question that cannot be read.
fn refused(unread: Unread, filled: &Filled, planning: &Planning) -> Failure {
    match unread {
        Unread::Because(why) => Failure::Usage(why),
        Unread::Said => {
            show(&filled.cx, &filled.texts, planning.source.format);
            Failure::Misused
        }
    }
}

/// The limits of questions that ask the solver many times: the native search is exact, and z3 would only slow it down.
fn uncertified<'a>(target: &Target<'a>) -> Limits<'a> {
    Limits { nodes: NODES, certify: Certify::Off, ..target.limits }
}

fn decided(prepared: &Prepared, limits: &Limits, cx: &mut Diagnostics) -> Result<Decision, Failure> {
    decide(prepared, &Changes::default(), limits).map_err(|why| undecided(prepared, cx, why))
}

fn undecided(prepared: &Prepared, cx: &mut Diagnostics, why: Undecided) -> Failure {
    match why {
        Undecided::Unknown(why) => Failure::Message(why),
        Undecided::Clash(clash) => {
            cx.push(clash.diagnostic(prepared));
            Failure::Said
        }
    }
}

fn json(answer: &Answer) -> Result<String, Failure> {
    Ok(format!("{}\n", serde_json::to_string_pretty(answer).map_err(|e| e.to_string())?))
}
