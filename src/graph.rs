//! Workflow, and its plan where there is one → a picture of who waits for whom, as data; [`dot`], [`mermaid`] and [`svg`] draw it.

pub mod dot;
mod flow;
mod layout;
pub mod mermaid;
pub mod svg;

use crate::diag::source::Span;
use crate::ir::dag::Dag;
use crate::ir::workflow::Workflow;
use crate::plan::model::{Hardware, Plan, PlanStep};
use crate::plan::render::{carried_out_by, dollars, hardware, percent, seconds};
use crate::units::shown;
use flow::{Flow, Made};
use rust_decimal::Decimal;
use std::collections::BTreeSet;

/// The picture of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The job's name.
    pub title: String,
    /// Where it is planned for, and the totals of a run; empty without a plan.
    pub summary: String,
    /// Inputs, steps and the result, each after what it waits for.
    pub boxes: Vec<Shape>,
    /// What is drawn around boxes, outer ones first.
    pub groups: Vec<Group>,
    /// Who waits for whom, sorted.
    pub arrows: Vec<Arrow>,
    /// What carries steps out, by colour; empty without a plan.
    pub legend: Vec<String>,
}

/// A box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What it stands for.
    pub kind: ShapeKind,
    /// What is written in it, a name first.
    pub lines: Vec<String>,
    /// Its line in the source, from 1; 0 where there is none.
    pub line: u32,
    /// The call that it stands for, where its place is known.
    pub call: Option<Span>,
    /// Whether it lies on the longest path of a plan, which is what a run takes.
    pub critical: bool,
    /// The innermost group around it.
    pub group: Option<usize>,
    /// The place in the legend of what carries it out.
    pub colour: Option<usize>,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeKind {
    /// An input of the job.
    Input,
    /// A call of a task.
    Step,
    /// The answer.
    Result,
}

/// A part of the workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What it is, in words.
    pub title: String,
    /// The group around it.
    pub parent: Option<usize>,
}

/// One box waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The box that is waited for.
    pub from: usize,
    /// The one that waits.
    pub to: usize,
    /// It waits to be started, and takes nothing: the condition of a branch.
    pub control: bool,
    /// Whether it lies on the longest path of a plan.
    pub critical: bool,
}

/// The picture of a plan: what was chosen for each step, by colour and in words, and what that is predicted to take. `call` knows the
/// places of steps' calls, which a plan does not hold.
pub fn of_plan(plan: &Plan, call: &dyn Fn(&PlanStep) -> Option<Span>) -> Picture {
    let (_, longest) = Dag::of(&plan.body, plan.steps.len()).longest(&|step| plan.steps[step].predicted.latency_s);
    let kinds: BTreeSet<String> = plan.steps.iter().map(choice).collect();
    let legend: Vec<String> = kinds.into_iter().collect();
    let made = |at: usize| {
        let step = &plan.steps[at];
        Made {
            name: step.name.clone(),
            lines: vec![carried_out_by(step), hardware(step), figures(step)],
            line: step.line,
            call: call(step),
            critical: longest.contains(&at),
            colour: legend.iter().position(|kind| *kind == choice(step)),
            composition: step.part.as_ref().map(|part| part.composition),
        }
    };
    let steps: Vec<Made> = (0..plan.steps.len()).map(made).collect();
    let compositions = plan.compositions.iter().map(|c| {
        let knobs: Vec<String> = c.knobs.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let knobs = if knobs.is_empty() { String::new() } else { format!(" ({})", knobs.join(", ")) };
        format!("{} by {}{knobs}", c.call, c.composition)
    });
    let mut flow = Flow::new(&steps, compositions.collect());
    plan.inputs.iter().for_each(|input| flow.input(&input.name, &input.ty, input.value));
    let (boxes, groups, arrows) = flow.finish(&plan.body, &plan.result, &longest);
    let total = &plan.total;
    let summary = format!(
        "on {}: {} · {} · quality {}",
        plan.cluster.name,
        seconds(total.latency_s),
        dollars(total.cost_usd),
        percent(total.quality)
    );
    Picture { title: plan.job.clone(), summary, boxes, groups, arrows, legend }
}

/// The picture of a workflow that is not planned. A call that compositions can carry out too is one step, and names them; `line` knows the
/// lines of places, from 1, and 0 for one in another file.
pub fn of_workflow(job: &str, workflow: &Workflow, line: &dyn Fn(Span) -> u32) -> Picture {
    let made = |step: &crate::ir::workflow::Step| {
        let mut ways: Vec<&str> = step.ways.iter().map(|way| way.composition.as_str()).collect();
        ways.dedup();
        let lines = if ways.is_empty() { Vec::new() } else { vec![format!("or by {}", ways.join(", "))] };
        let (call, line) = (step.span, step.span.map_or(0, line));
        Made { name: step.name.to_string(), lines, line, call, critical: false, colour: None, composition: None }
    };
    let steps: Vec<Made> = workflow.steps.iter().map(made).collect();
    let mut flow = Flow::new(&steps, Vec::new());
    workflow.inputs.iter().for_each(|(name, ty, value)| flow.input(name, ty, *value));
    let (boxes, groups, arrows) = flow.finish(&workflow.body, &workflow.result, &[]);
    Picture { title: job.to_string(), boxes, groups, arrows, ..Picture::default() }
}

/// What colours tell apart: the device, or whose machines they are.
fn choice(step: &PlanStep) -> String {
    match (&step.hardware, step.engine.provider()) {
        (Hardware { units: 0, .. }, Some(provider)) => {
            let host = provider.url.split("://").last().and_then(|rest| rest.split(['/', ':']).next());
            match host.filter(|host| !host.is_empty()) {
                Some(host) => format!("provider {host}"),
                None => "provider".to_string(),
            }
        }
        (hardware, _) => hardware.device.clone(),
    }
}

/// What a step is predicted to take, for all its calls in a run.
fn figures(step: &PlanStep) -> String {
    let p = &step.predicted;
    let mut parts = vec![seconds(p.latency_s), dollars(p.cost_usd)];
    // What votes, checks or joins in a composition is in the quality of the steps that answer.
    if step.part.as_ref().is_none_or(|part| part.answers.is_some()) {
        parts.push(percent(p.quality));
    }
    if step.calls != Decimal::ONE {
        parts.push(format!("{} calls", shown(step.calls, 2)));
    }
    parts.join(" · ")
}

/// Fill and line of each colour of the legend, told apart by people who see red and green alike; then again from the first.
const COLOURS: [(&str, &str); 8] = [
    ("#dbe9f6", "#0072b2"),
    ("#fde8c8", "#c77700"),
    ("#d6f0e6", "#008060"),
    ("#f6dcea", "#b5488c"),
    ("#fbf6c4", "#8f8500"),
    ("#fadccd", "#c04a00"),
    ("#e1f3fc", "#2f8fc4"),
    ("#e4e0f4", "#5b4bb0"),
];

/// What is nobody's choice.
const PLAIN: (&str, &str) = ("#f4f4f4", "#777777");

/// Fill and line of a box.
fn colours(colour: Option<usize>) -> (&'static str, &'static str) {
    colour.map_or(PLAIN, |at| COLOURS[at % COLOURS.len()])
}
