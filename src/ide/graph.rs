//! A job's data flow as a picture shows it: inputs, steps with what a plan chose for them, the result, and who waits for whom.

use crate::diag::source::{FileId, Span};
use crate::ir::dag::{Flow, flow};
use crate::ir::workflow::{Node, Region, ValueId, Workflow};
use crate::plan::model::Plan;
use crate::plan::render::{dollars, hardware, seconds};
use std::collections::{BTreeMap, BTreeSet};

/// What a node of the picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An input of the job.
    Input,
    /// A call of a task.
    Step,
    /// What the job yields.
    Result,
}

/// A node of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphNode {
    /// What it is.
    pub kind: Kind,
    /// The input's or step's name.
    pub name: String,
    /// An input's or the result's type; what a plan chose for a step.
    pub detail: String,
    /// A step's cost and time in a run, where it is planned.
    pub figures: String,
    /// How it is carried out: `each`, `if` and `repeat`, from outside in.
    pub inside: Vec<&'static str>,
    /// The step's call, where it stands in the file.
    pub call: Option<Span>,
    /// Whether it lies on the longest path of a plan.
    pub critical: bool,
}

/// A picture: nodes in an order in which each stands behind what it waits for, and edges between their numbers. An edge that follows
/// from others is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<GraphNode>,
    /// `(before, after)`, sorted.
    pub edges: Vec<(usize, usize)>,
}

/// The picture of a data flow that is not planned; calls that compositions could carry out are calls.
pub fn of_workflow(workflow: &Workflow, file: FileId) -> Graph {
    let inputs: Vec<(String, String, ValueId)> =
        workflow.inputs.iter().map(|(name, ty, value)| (name.to_string(), ty.to_string(), *value)).collect();
    let inside = surroundings(&workflow.body);
    let steps = workflow.steps.iter().enumerate().map(|(at, step)| {
        let own = step.part.as_ref().is_none_or(|part| part.of.is_none());
        own.then(|| GraphNode {
            kind: Kind::Step,
            name: step.name.to_string(),
            detail: String::new(),
            figures: String::new(),
            inside: inside.get(&at).cloned().unwrap_or_default(),
            call: step.span.filter(|span| span.file == file),
            critical: false,
        })
    });
    let steps: Vec<Option<GraphNode>> = steps.collect();
    picture(&workflow.body, &inputs, steps, workflow.result.to_string())
}

/// The picture of a plan. `workflow` is what it was made from: it knows where the calls stand.
pub fn of_plan(plan: &Plan, workflow: &Workflow, file: FileId) -> Graph {
    let calls: BTreeMap<&str, Span> = workflow
        .steps
        .iter()
        .filter_map(|s| Some((s.name.as_str(), s.span.filter(|span| span.file == file)?)))
        .collect();
    let inputs: Vec<(String, String, ValueId)> =
        plan.inputs.iter().map(|input| (input.name.clone(), input.ty.to_string(), input.value)).collect();
    let inside = surroundings(&plan.body);
    let dag = crate::ir::dag::Dag::of(&plan.body, plan.steps.len());
    let (_, longest) = dag.longest(&|step| plan.steps[step].predicted.latency_s);
    let steps = plan.steps.iter().enumerate().map(|(at, step)| {
        Some(GraphNode {
            kind: Kind::Step,
            name: step.name.clone(),
            detail: format!("{} on {}", step.implementation, hardware(step)),
            figures: format!("{} · {}", dollars(step.predicted.cost_usd), seconds(step.predicted.latency_s)),
            inside: inside.get(&at).cloned().unwrap_or_default(),
            call: calls.get(step.name.as_str()).copied(),
            critical: longest.contains(&at),
        })
    });
    let steps: Vec<Option<GraphNode>> = steps.collect();
    picture(&plan.body, &inputs, steps, plan.result.to_string())
}

/// Inputs, steps that are shown and the result, with the edges between them.
fn picture(
    body: &Region,
    inputs: &[(String, String, ValueId)],
    steps: Vec<Option<GraphNode>>,
    result: String,
) -> Graph {
    let count = steps.len();
    let values: Vec<ValueId> = inputs.iter().map(|(.., value)| *value).collect();
    let Flow { edges, results } = flow(body, &values, count);
    let end = |name: &str, detail: String, kind| GraphNode {
        kind,
        name: name.to_string(),
        detail,
        figures: String::new(),
        inside: Vec::new(),
        call: None,
        critical: false,
    };
    let mut graph = Graph::default();
    let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, (name, ty, _)) in inputs.iter().enumerate() {
        numbers.insert(count + at, graph.nodes.len());
        graph.nodes.push(end(name, ty.clone(), Kind::Input));
    }
    for (at, step) in steps.into_iter().enumerate() {
        if let Some(step) = step {
            numbers.insert(at, graph.nodes.len());
            graph.nodes.push(step);
        }
    }
    let last = graph.nodes.len();
    graph.nodes.push(end("result", result, Kind::Result));
    let shown = |at: &usize| numbers.get(at).copied();
    let between = edges.iter().filter_map(|(a, b)| Some((shown(a)?, shown(b)?)));
    let all: BTreeSet<(usize, usize)> = between.chain(results.iter().filter_map(|r| Some((shown(r)?, last)))).collect();
    graph.edges = reduced(&all, graph.nodes.len());
    graph
}

/// The edges that do not follow from others. Each goes from a smaller number to a larger one.
fn reduced(edges: &BTreeSet<(usize, usize)>, nodes: usize) -> Vec<(usize, usize)> {
    let mut reach: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes];
    for from in (0..nodes).rev() {
        let next: Vec<usize> =
            edges.range((from, 0)..(from + 1, 0)).map(|(_, to)| *to).filter(|to| *to > from).collect();
        let mut all: BTreeSet<usize> = next.iter().copied().collect();
        next.iter().for_each(|to| all.extend(reach[*to].iter().copied()));
        reach[from] = all;
    }
    let follows = |from: usize, to: usize| {
        edges.range((from, 0)..(from + 1, 0)).any(|(_, by)| *by != to && reach[*by].contains(&to))
    };
    edges.iter().copied().filter(|(from, to)| from < to && !follows(*from, *to)).collect()
}

/// What stands around each step, from outside in.
fn surroundings(body: &Region) -> BTreeMap<usize, Vec<&'static str>> {
    fn walk(region: &Region, around: &mut Vec<&'static str>, out: &mut BTreeMap<usize, Vec<&'static str>>) {
        for node in &region.nodes {
            let (word, regions): (&'static str, Vec<&Region>) = match node {
                Node::Map { body, .. } => ("each", vec![body]),
                Node::Branch { then, otherwise, .. } => ("if", vec![then, otherwise]),
                Node::Repeat { body, .. } => ("repeat", vec![body]),
                Node::Call { step, .. } | Node::Choose { step, .. } => {
                    out.insert(step.0 as usize, around.clone());
                    continue;
                }
                Node::Compute { .. } => continue,
            };
            around.push(word);
            regions.into_iter().for_each(|region| walk(region, around, out));
            around.pop();
        }
    }
    let mut out = BTreeMap::new();
    walk(body, &mut Vec::new(), &mut out);
    out
}
