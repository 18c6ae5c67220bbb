//! What a plan says beside a text: the choice, its cost and its time at each step, and what stands in the way of a plan.

mod memory;

pub use memory::Memory;

use super::cursor::{expressions, is_pinned};
use super::ranking::{Ranked, ranked};
use super::{Analysis, Beside, Edit, analyse};
use crate::compile::{Base, Checked, Compiled, Target, fill, plan};
use crate::diag::source::Span;
use crate::diag::{Diagnostic, Diagnostics, Severity};
use crate::expand::errors::unreadable_lock;
use crate::graph::{self, Picture};
use crate::ir::lower::lower;
use crate::legible::plain;
use crate::library::{Implementation, Library};
use crate::plan::model::{Plan, PlanStep};
use crate::plan::render::{dollars, hardware, percent, seconds};
use crate::solve::{Certify, Limits};
use crate::space::Machines;
use crate::space::ends::End;
use crate::space::sizes::InputSizes;
use crate::syntax::ast::{self, ExprKind};
use memory::Basis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A file with more jobs than this has plans for the first ones only.
const MAX_JOBS: usize = 8;

/// What plans say of a text.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// One a job.
    pub jobs: Vec<JobPlan>,
    /// What planning found wrong: clauses that clash, mostly.
    pub diagnostics: Vec<Diagnostic>,
    /// The fills of holes, ranked by their plans.
    pub fills: Vec<Ranked>,
}

impl Plans {
    /// What was chosen at each call, with the job whose plan says so where several have that call.
    pub fn steps(&self) -> impl Iterator<Item = (Option<&str>, &StepPlan)> {
        let mut jobs: BTreeMap<Span, BTreeSet<&str>> = BTreeMap::new();
        for job in &self.jobs {
            for call in job.steps.iter().filter_map(|step| step.call) {
                jobs.entry(call).or_default().insert(&job.job);
            }
        }
        let all = self.jobs.iter().flat_map(|job| job.steps.iter().map(move |step| (job.job.as_str(), step)));
        all.map(move |(job, step)| {
            let shared = step.call.is_some_and(|call| jobs.get(&call).is_some_and(|jobs| jobs.len() > 1));
            (shared.then_some(job), step)
        })
    }
}

/// What a plan says of a job.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// The job.
    pub job: String,
    /// Its name's place.
    pub span: Span,
    /// The totals of a run, or why there is no plan.
    pub summary: String,
    /// What was chosen at each call.
    pub steps: Vec<StepPlan>,
    /// The data flow, holes filled, with what was chosen where there is a plan; none for a job that is not whole.
    pub graph: Option<Picture>,
}

/// What was chosen at a call.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// Where the hint stands: behind the call, or behind the job's name for a step of a fill.
    pub at: u32,
    /// The choice, its cost and its time.
    pub label: String,
    /// Why, and what the figures rest on, in Markdown.
    pub tooltip: String,
    /// The call as a whole, where the text has one.
    pub call: Option<Span>,
    /// The edit that pins the choice; none where the call has a pin.
    pub pin: Option<Edit>,
}

/// The machines of a job that names a cluster, or of one that names none.
pub type MachinesOf = dyn Fn(Option<&str>, &Library) -> Result<Machines, String> + Send + Sync;

/// What can be used on machines.
pub type Usability = fn(&Implementation) -> Result<(), String>;

/// Where and how plans are made.
pub struct Planner<'a> {
    /// The machines of a job that names a cluster, or of one that names none.
    pub machines: &'a MachinesOf,
    /// Whether what clashes on these machines is a mistake of the job; else it is information on what the machines lack.
    pub reports: &'a dyn Fn(&Machines) -> bool,
    /// What can be used on them.
    pub usable: &'a dyn Fn(&Machines) -> Usability,
    /// Says when the text is stale or time is out.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

/// Plans every job of a text against its lock. A job that is as it was when it was planned last keeps that plan.
pub fn plans(
    base: &mut Base,
    name: &str,
    text: Arc<str>,
    beside: Beside,
    planner: &Planner,
    memory: &mut Memory,
) -> Plans {
    let lock = beside.lock.clone().transpose();
    let analysis = analyse(base, name, text.clone(), beside);
    let mut out = Plans::default();
    if analysis.program.jobs.is_empty() || analysis.diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return out;
    }
    let checked =
        Checked { tree: analysis.tree.clone(), library: analysis.library.clone(), program: analysis.program.clone() };
    let open = (checked.program.jobs.iter().any(|j| !j.holes.is_empty())).then(|| Checked {
        tree: checked.tree.clone(),
        library: checked.library.clone(),
        program: checked.program.clone(),
    });
    let mut cx = Diagnostics::default();
    let holes = || checked.program.jobs.iter().flat_map(|job| &job.holes);
    let lock = match (lock, holes().next()) {
        // As on the command line: what is there is not passed over.
        (Err(why), Some(hole)) => {
            out.diagnostics = vec![unreadable_lock(hole.span, &plain(&why, 200))];
            return out;
        }
        (lock, _) => lock.ok().flatten().unwrap_or_default(),
    };
    let Some((checked, filled)) = fill(base.texts_mut(), checked, &lock, false, &mut cx) else {
        out.diagnostics = own(&cx, &analysis);
        return out;
    };
    let lock = filled.write().ok().filter(|_| !filled.holes.is_empty());
    for job in checked.program.jobs.iter().take(MAX_JOBS) {
        if (planner.stop)() {
            break;
        }
        let span = job.span;
        let machines = (planner.machines)(job.cluster.as_ref().map(|(n, _)| n.as_str()), &checked.library);
        let basis = machines.as_ref().ok().and_then(|machines| Basis::of(job, &analysis, machines));
        let lacking = machines.as_ref().ok().filter(|machines| !(planner.reports)(machines)).map(|m| m.name.clone());
        let reported = |said: Vec<Diagnostic>| said.into_iter().map(|d| lowered(d, lacking.as_deref()));
        let known = basis.as_ref().and_then(|basis| memory.recall(name, &job.name, basis, &analysis));
        if let Some((plan, said)) = known {
            out.jobs.push(plan);
            out.diagnostics.extend(reported(said));
            continue;
        }
        let workflow = lower(job, &checked.program);
        let line = |call: Span| if call.file == analysis.file { line_of(&analysis.text, call.start) } else { 0 };
        let mut drawn = workflow.as_ref().map(|workflow| graph::of_workflow(&job.name, workflow, &line));
        let mut add = |summary, steps, graph| {
            out.jobs.push(JobPlan { job: job.name.to_string(), span, summary, steps, graph });
        };
        let machines = match machines {
            Ok(machines) => machines,
            Err(why) => {
                add(format!("no plan: {why}"), Vec::new(), drawn);
                continue;
            }
        };
        let usable = (planner.usable)(&machines);
        let measured = InputSizes::new();
        let limits =
            Limits { nodes: 200_000, out_of_time: Some(planner.stop), z3_ms: 500, certify: Certify::Off, judge: None };
        let target = Target {
            job: Some(&job.name),
            machines: &machines,
            measured: &measured,
            usable: &usable,
            limits,
            end: End::Typical,
        };
        let compiled = Compiled { texts: base.texts(), file: analysis.file, checked: &checked, lock: lock.as_deref() };
        let mut said = Diagnostics::default();
        let mut whole = false;
        match plan(compiled, &target, &mut said) {
            Ok((prepared, decision)) => {
                let plan = &decision.plan;
                let calls: BTreeMap<&str, Option<Span>> =
                    prepared.workflow.steps.iter().map(|step| (step.name.as_str(), step.span)).collect();
                drawn = Some(graph::of_plan(plan, &|step| calls.get(step.name.as_str()).copied().flatten()));
                add(summary(plan), steps(plan, &analysis, &job.name), drawn);
                whole = !(planner.stop)();
            }
            Err(why) => {
                let first = said.sorted().into_iter().find(|d| d.severity == Severity::Error);
                let why = first.map_or(why.clone(), |d| d.message.clone());
                add(format!("no plan on {}: {why}", machines.name), Vec::new(), drawn);
            }
        }
        let said = own(&said, &analysis);
        if let (true, Some(basis), Some(plan)) = (whole, basis, out.jobs.last()) {
            memory.keep(name, basis, plan.clone(), said.clone());
        }
        out.diagnostics.extend(reported(said));
    }
    if let Some(open) = open {
        out.fills = ranked(base, &analysis, &open, &filled, planner);
    }
    out.diagnostics.retain(|d| !analysis.diagnostics.contains(d));
    out.diagnostics.dedup();
    out
}

/// A clash on machines that the job does not name is no mistake of it: it is said where it is, as information.
fn lowered(mut said: Diagnostic, lacking: Option<&str>) -> Diagnostic {
    if let (Some(machines), Severity::Error) = (lacking, said.severity) {
        said.severity = Severity::Info;
        let place = format!("on `{machines}`");
        if !said.message.contains(&place) {
            said.message = format!("{place}, {}", said.message);
        }
    }
    said
}

/// What was said of the file itself.
fn own(cx: &Diagnostics, analysis: &Analysis) -> Vec<Diagnostic> {
    cx.sorted().into_iter().filter(|d| d.primary.span.file == analysis.file).cloned().collect()
}

fn summary(plan: &Plan) -> String {
    let total = &plan.total;
    format!(
        "{} · {} · quality {} on {}",
        dollars(total.cost_usd),
        seconds(total.latency_s),
        percent(total.quality),
        plan.cluster.name
    )
}

/// The choices of a plan beside the calls that they are for. Steps of fills stand behind the hole, or behind the job's name.
fn steps(plan: &Plan, analysis: &Analysis, job: &str) -> Vec<StepPlan> {
    let mut calls: BTreeMap<(u32, &str), Vec<(Span, &ast::Call)>> = BTreeMap::new();
    let mut holes = Vec::new();
    let mut name = None;
    for (_, tree, _) in analysis.jobs() {
        if tree.name.text == job {
            name = Some(tree.name.span);
        }
        expressions(&tree.body, &mut |e| match &e.kind {
            ExprKind::Call(call) => {
                let line = line_of(&analysis.text, call.callee.span.start);
                calls.entry((line, call.callee.text.as_str())).or_default().push((e.span, call));
            }
            ExprKind::Hole(..) if tree.name.text == job => holes.push(e.span),
            _ => {}
        });
    }
    let fallback = match holes.as_slice() {
        [only] => Some(*only),
        _ => name,
    };
    let mut out = Vec::new();
    for step in &plan.steps {
        let found = calls.get_mut(&(step.line, step.task.as_str())).and_then(|list| {
            // Two calls of a task on a line come in the order in which they stand.
            if list.len() > 1 { Some(list.remove(0)) } else { list.first().copied() }
        });
        let Some(at) = found.map(|(span, _)| span.end).or(fallback.map(|s| s.end)) else { continue };
        let pin = found.filter(|(_, call)| !is_pinned(&call.suffixes) && step.part.is_none());
        let pin = pin.map(|(span, _)| Edit { span: span.after(), insert: format!(" {}", pinned(step)) });
        let choice = chosen(step);
        let of_fill = if found.is_none() { format!("{}: ", step.name) } else { String::new() };
        let p = &step.predicted;
        let label = format!("{of_fill}{choice} · {} · {}", dollars(p.cost_usd), seconds(p.latency_s));
        out.push(StepPlan { at, label, tooltip: tooltip(step), call: found.map(|(span, _)| span), pin });
    }
    out
}

fn chosen(step: &PlanStep) -> String {
    let knobs: Vec<String> = step.knobs.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let knobs = if knobs.is_empty() { String::new() } else { format!("({})", knobs.join(", ")) };
    format!("{}{knobs} on {}", step.implementation, hardware(step))
}

fn tooltip(step: &PlanStep) -> String {
    let label = step.label.as_ref().map_or(String::new(), |l| format!("**{l}**\n\n"));
    let mut out = format!("{label}{}\n\nQuality {}", step.reason, percent(step.predicted.quality));
    for evidence in &step.evidence {
        out.push_str(&format!("\n- {}: {}, {}", evidence.figure, evidence.kind, evidence.source));
        if let Some(outside) = &evidence.outside {
            out.push_str(&format!(" ({outside})"));
        }
    }
    out
}

/// `using whisper(variant: small) on a100 * 1`, as the language writes it.
fn pinned(step: &PlanStep) -> String {
    let plain = |v: &str| {
        let number = v.parse::<f64>().is_ok();
        number
            || v.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !v.starts_with(|c: char| c.is_ascii_digit())
    };
    let value = |v: &str| if plain(v) { v.to_string() } else { format!("\"{v}\"") };
    let knobs: Vec<String> = step.knobs.iter().map(|(n, v)| format!("{n}: {}", value(v))).collect();
    let knobs = if knobs.is_empty() { String::new() } else { format!("({})", knobs.join(", ")) };
    let h = &step.hardware;
    let units = if h.units > 0 { format!(" * {}", h.units) } else { String::new() };
    format!("using {}{knobs} on {}{units}", step.implementation, h.device)
}

fn line_of(text: &str, at: u32) -> u32 {
    text.as_bytes()[..(at as usize).min(text.len())].iter().filter(|b| **b == b'\n').count() as u32 + 1
}
