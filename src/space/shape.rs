//! Workflow + candidates → the sizes of every value, as tables over upstream classes: a knob upstream changes the work
//! downstream.

use super::table::Table;
use super::{Candidate, Input, StepSpace, errors};
use crate::check::agents::TURN;
use crate::diag::Diagnostics;
use crate::ir::agent::MOST_SHOWN;
use crate::ir::dag::steps;
use crate::ir::workflow::{Node, Op, Operand, Region, StepId, ValueId};
use crate::library::size::{SizeExpr, SizeOp, apply};
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Loops in one another beyond this number are refused: what grows in them is looked at twice at each level.
const MOST_NESTED: u32 = 8;

/// The sizes of a value by path: `duration`, `count`, `item.tokens`, `frames.count`.
pub type Shape = BTreeMap<EcoString, Table>;

/// What the figures of a step depend on.
#[derive(Clone, Debug)]
pub struct StepShape {
    /// The sizes of its arguments.
    pub args: BTreeMap<EcoString, Shape>,
    /// Its calls in one run.
    pub calls: Table,
    /// The share of runs that come to it at all, as the branches around it expect.
    pub share: Decimal,
}

/// Computes the shapes of all steps' arguments, and gives each candidate its class.
pub fn propagate(input: &Input, steps: &mut [StepSpace], cx: &mut Diagnostics) -> Vec<Option<StepShape>> {
    let mut values: BTreeMap<ValueId, Shape> = BTreeMap::new();
    for (name, _, id) in &input.workflow.inputs {
        let sizes = input.sizes.get(name).into_iter().flatten();
        values.insert(*id, sizes.map(|(path, value)| (path.clone(), Table::constant(*value))).collect());
    }
    let mut pass = Pass { input, steps, values, out: vec![None; input.workflow.steps.len()], nested: 0, cx };
    pass.region(
        &input.workflow.body,
        &Times { calls: Table::constant(Decimal::ONE), in_turn: Decimal::ONE, share: Decimal::ONE },
    );
    pass.out
}

/// How often a region is carried out in one run.
#[derive(Clone)]
struct Times {
    calls: Table,
    /// Into how many parts loops divide these.
    in_turn: Decimal,
    /// The share of runs in which it is carried out at all.
    share: Decimal,
}

impl Times {
    /// The same so many times; as it was where that cannot be said.
    fn often(&self, times: Option<Table>) -> Times {
        let Times { in_turn, share, .. } = *self;
        Times { calls: times.unwrap_or_else(|| self.calls.clone()), in_turn, share }
    }
}

type SizeRule = Vec<(EcoString, SizeExpr)>;

/// How the sizes of a step's result come about.
#[derive(PartialEq)]
enum Class {
    /// By these rules.
    Sizes(SizeRule),
    /// As the data flow of this way has it.
    Way(usize),
}

impl Class {
    fn rule(&self) -> Option<&SizeRule> {
        match self {
            Class::Sizes(rule) => Some(rule),
            Class::Way(_) => None,
        }
    }
}

struct Pass<'a, 'b> {
    input: &'a Input<'a>,
    steps: &'b mut [StepSpace],
    values: BTreeMap<ValueId, Shape>,
    out: Vec<Option<StepShape>>,
    /// In how many loops it is.
    nested: u32,
    cx: &'b mut Diagnostics,
}

impl Pass<'_, '_> {
    fn region(&mut self, region: &Region, times: &Times) -> Shape {
        for node in &region.nodes {
            let shape = match node {
                Node::Call { step, args, .. } => self.call(*step, args, times),
                Node::Choose { step, args, ways, .. } => self.choose(*step, args, ways, times),
                Node::Compute { op, args, .. } => self.compute(op, args),
                Node::Map { over, item, body, .. } => {
                    let list = self.shape(over);
                    let count = list.get("count").cloned().unwrap_or_else(|| Table::constant(Decimal::ONE));
                    let each =
                        list.iter().filter_map(|(path, t)| Some((path.strip_prefix("item.")?.into(), t.clone())));
                    self.values.insert(*item, each.collect());
                    let inner = times.often(times.calls.zip(&count, &|a, b| a.checked_mul(b)));
                    let mut shape = prefixed("item.", &self.region(body, &inner));
                    shape.insert("count".into(), count);
                    shape
                }
                Node::Branch { share, then, otherwise, .. } => {
                    let often = |share: Decimal| Times {
                        share: times.share.checked_mul(share).unwrap_or(times.share),
                        ..times.often(times.calls.map(&|t| t.checked_mul(share)))
                    };
                    let sides = share.map(|s| (often(s), often(Decimal::ONE - s)));
                    let (first, second) = sides.unwrap_or_else(|| (times.clone(), times.clone()));
                    let (a, b) = (self.region(then, &first), self.region(otherwise, &second));
                    larger(&a, &b)
                }
                Node::Repeat { body, .. } if self.nested == MOST_NESTED => {
                    let first = steps(body).first().and_then(|step| self.input.workflow.steps.get(*step));
                    // It comes here again and again.
                    if let Some((step, span)) = first.and_then(|step| Some((step, step.span?)))
                        && !self.cx.iter().any(|d| d.code == "E0705")
                    {
                        self.cx.push(errors::nested_too_deep(span, &step.task, MOST_NESTED));
                    }
                    Shape::new()
                }
                Node::Repeat { limit, expected, carry, body, .. } => {
                    self.nested += 1;
                    let rounds = Decimal::from(expected.unwrap_or(*limit));
                    let mut inner = times.often(times.calls.map(&|t| t.checked_mul(rounds)));
                    inner.in_turn = inner.in_turn.checked_mul(rounds.max(Decimal::ONE)).unwrap_or(inner.in_turn);
                    if let Some((item, first)) = carry {
                        // The second pass sees what the first leaves behind, so that later rounds are not taken too small.
                        let first = self.shape(first);
                        self.values.insert(*item, first.clone());
                        let after = self.region(body, &inner);
                        let both = larger(&first, &after);
                        // Where nothing grew, the second pass would say the same; loops in loops would double it at each level.
                        if both == first {
                            self.nested -= 1;
                            self.values.insert(node.output(), after);
                            continue;
                        }
                        self.values.insert(*item, both);
                    }
                    let shape = self.region(body, &inner);
                    self.nested -= 1;
                    shape
                }
            };
            self.values.insert(node.output(), shape);
        }
        self.shape(&region.result)
    }

    fn shape(&self, operand: &Operand) -> Shape {
        match operand {
            Operand::Value(id) => self.values.get(id).cloned().unwrap_or_default(),
            Operand::Literal(value) => literal(value),
        }
    }

    fn compute(&self, op: &Op, args: &[Operand]) -> Shape {
        let shapes: Vec<Shape> = args.iter().map(|a| self.shape(a)).collect();
        match op {
            Op::Field(name) => {
                let prefix = format!("{name}.");
                let inside = shapes.first().into_iter().flatten();
                inside.filter_map(|(path, t)| Some((path.strip_prefix(prefix.as_str())?.into(), t.clone()))).collect()
            }
            Op::Record(names) => {
                let mut shape: Shape =
                    names.iter().zip(&shapes).flat_map(|(n, s)| prefixed(&format!("{n}."), s)).collect();
                let tokens: Vec<&Table> = shapes.iter().filter_map(|s| s.get("tokens")).collect();
                if let Some(sum) = sum(&tokens) {
                    shape.insert("tokens".into(), sum);
                }
                shape
            }
            Op::List => {
                let mut item = Shape::new();
                for shape in &shapes {
                    item = larger(&item, shape);
                }
                let mut list = prefixed("item.", &item);
                list.insert("count".into(), Table::constant(Decimal::from(shapes.len())));
                list
            }
            Op::Note { rounds } => {
                let (list, entry) = (shapes.first(), shapes.get(1));
                let noted = entry.map_or_else(|| Table::constant(Decimal::ZERO), |e| noted(e, rounds.is_some()));
                // What a round notes is read in all that follow: on average in half of them.
                let often = rounds.map_or(Decimal::ONE, |n| Decimal::from(n.saturating_sub(1)) / Decimal::TWO);
                let noted = noted.map(&|t| t.checked_mul(often)).unwrap_or(noted);
                let before =
                    list.and_then(|l| l.get("tokens")).cloned().unwrap_or_else(|| Table::constant(Decimal::ZERO));
                Shape::from([("tokens".into(), sum(&[&before, &noted]).unwrap_or(noted))])
            }
            Op::Said(name) => {
                let (said, pointed) = shapes.split_first().map_or((Shape::new(), &[][..]), |(s, p)| (s.clone(), p));
                let prefix = format!("{name}.");
                let own = said.iter().filter_map(|(path, t)| Some((path.strip_prefix(&prefix)?.into(), t.clone())));
                let mut shape: Shape = own.collect();
                // A part is no larger than the whole, and neither is an item of it.
                let whole = said.get("tokens").cloned().unwrap_or_else(|| Table::constant(Decimal::ZERO));
                let tokens = shape.entry("tokens".into()).or_insert(whole).clone();
                shape.entry("item.tokens".into()).or_insert(tokens);
                pointed.iter().fold(shape, |all, one| larger(&all, one))
            }
            Op::Otherwise => shapes.iter().fold(Shape::new(), |all, one| larger(&all, one)),
            Op::Add => {
                let mut paths: Shape = shapes.iter().flat_map(|s| s.clone()).collect();
                for (path, table) in paths.iter_mut() {
                    let parts: Vec<&Table> = shapes.iter().filter_map(|s| s.get(path)).collect();
                    let combined = if path.starts_with("item.") { max(&parts) } else { sum(&parts) };
                    *table = combined.unwrap_or_else(|| table.clone());
                }
                paths
            }
            _ => Shape::new(),
        }
    }

    fn call(&mut self, id: StepId, args: &[(String, Operand)], times: &Times) -> Shape {
        self.choose(id, args, &[], times)
    }

    /// A call, or one of several ways to carry it out: each way has a class of its own behind those of the call.
    fn choose(&mut self, id: StepId, args: &[(String, Operand)], ways: &[Region], times: &Times) -> Shape {
        let index = id.0 as usize;
        let Some(step) = self.input.workflow.steps.get(index) else { return Shape::new() };
        let Some(task) = self.input.library.tasks.get(&step.task) else { return Shape::new() };
        let args: BTreeMap<EcoString, Shape> = args.iter().map(|(n, a)| (n.as_str().into(), self.shape(a))).collect();
        let composed: Vec<(usize, Shape)> =
            ways.iter().enumerate().map(|(number, way)| (number, self.region(way, times))).collect();
        let rules = self.classify(index, &task.sizes);
        let mut paths: Vec<EcoString> =
            rules.iter().filter_map(Class::rule).flat_map(|r| r.iter().map(|(p, _)| p.clone())).collect();
        paths.extend(composed.iter().flat_map(|(_, shape)| shape.keys().cloned()));
        paths.sort();
        paths.dedup();
        let mut shape = Shape::new();
        for path in paths {
            let mut by_class = Vec::with_capacity(rules.len());
            for class in &rules {
                let own = |rule: &SizeRule| rule.iter().find(|(p, _)| *p == path).map(|(_, expr)| expr.clone());
                let expr = match class {
                    Class::Sizes(rule) => own(rule),
                    // Where a way does not say a size, the task does.
                    Class::Way(number) => match composed.get(*number).and_then(|(_, shape)| shape.get(&path)) {
                        Some(table) => {
                            by_class.push(table.clone());
                            continue;
                        }
                        None => own(&task.sizes),
                    },
                };
                let Some(expr) = expr else { continue };
                match evaluate(&expr, &args, &|_| None) {
                    Ok(table) => by_class.push(table),
                    Err(missing) => self.report(index, missing),
                }
            }
            if by_class.len() == rules.len() {
                match Table::choose(index, &by_class) {
                    Some(table) => {
                        shape.insert(path, table);
                    }
                    None => self.report(index, Missing::TooMany),
                }
            }
        }
        (self.steps[index].in_turn, self.steps[index].share) = (times.in_turn, times.share);
        self.out[index] = Some(StepShape { args, calls: self.calls_of(index, times), share: times.share });
        shape
    }

    /// How often a step is called in one run. An agent's tools are called in all rounds but the last, in which its model must answer.
    fn calls_of(&self, index: usize, times: &Times) -> Table {
        let step = &self.input.workflow.steps[index];
        let Some(agent) = step.agent.as_ref().filter(|_| step.task != TURN) else { return times.calls.clone() };
        let (rounds, tools) = (Decimal::from(agent.steps), Decimal::from(agent.steps.saturating_sub(1).max(1)));
        let calls = times.calls.map(&|calls| calls.checked_mul(tools)?.checked_div(rounds));
        calls.unwrap_or_else(|| times.calls.clone())
    }

    /// Gives each candidate the class of its size rules, and each way a class of its own; returns the classes.
    fn classify(&mut self, index: usize, of_task: &[(EcoString, SizeExpr)]) -> Vec<Class> {
        let mut rules: Vec<Class> = Vec::new();
        let ways = &self.input.workflow.steps[index].ways;
        // The ways stand behind everything else.
        for candidate in &mut self.steps[index].candidates {
            // What is left out has the first class: nothing that is there depends on it.
            if candidate.is_absent() {
                continue;
            }
            let class = match ways.iter().position(|way| candidate.goes(way)) {
                Some(number) => Class::Way(number),
                None => {
                    let entry = self.input.library.implementations.get(&candidate.implementation);
                    let mut rule: SizeRule = Vec::new();
                    for (path, expr) in entry.map_or(&[][..], |i| &i.sizes).iter().chain(of_task) {
                        if !rule.iter().any(|(p, _)| p == path) {
                            rule.push((path.clone(), expr.with_knobs(&|name| knob(candidate, name))));
                        }
                    }
                    Class::Sizes(rule)
                }
            };
            let number = rules.iter().position(|r| *r == class).unwrap_or_else(|| {
                rules.push(class);
                rules.len() - 1
            });
            candidate.class = number as u32;
        }
        self.steps[index].classes = rules.len().max(1) as u32;
        if rules.is_empty() {
            rules.push(Class::Sizes(of_task.to_vec()));
        }
        rules
    }

    fn report(&mut self, index: usize, missing: Missing) {
        let step = &self.input.workflow.steps[index];
        if let Some(span) = step.span {
            self.cx.push(missing.diagnostic(span, &step.task));
        }
    }
}

/// The value of a candidate's knob, where it is a number.
pub fn knob(candidate: &Candidate, name: &str) -> Option<Decimal> {
    candidate.knobs.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse().ok())
}

/// Why a size expression has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing says this size of this parameter.
    Size(EcoString, EcoString),
    /// Too many combinations of upstream knobs.
    TooMany,
}

impl Missing {
    /// As a diagnostic at a call.
    pub fn diagnostic(self, at: crate::diag::source::Span, task: &str) -> crate::diag::Diagnostic {
        match self {
            Missing::Size(param, path) => errors::unknown_size(at, task, &param, &path),
            Missing::TooMany => errors::too_many_couplings(at, task),
        }
    }
}

/// Evaluates a size expression over the arguments' shapes. An absent optional argument has size zero.
pub fn evaluate(
    expr: &SizeExpr,
    args: &BTreeMap<EcoString, Shape>,
    knobs: &dyn Fn(&str) -> Option<Decimal>,
) -> Result<Table, Missing> {
    match expr {
        SizeExpr::Number(value) => Ok(Table::constant(*value)),
        SizeExpr::Knob(name) => {
            knobs(name).map(Table::constant).ok_or_else(|| Missing::Size("knob".into(), name.clone()))
        }
        SizeExpr::Size(param, path) => {
            let Some(shape) = args.get(param) else { return Ok(Table::constant(Decimal::ZERO)) };
            size_in(shape, path).ok_or_else(|| Missing::Size(param.clone(), path.clone()))
        }
        SizeExpr::Apply(op, operands) => {
            let tables: Result<Vec<Table>, Missing> = operands.iter().map(|o| evaluate(o, args, knobs)).collect();
            let tables = tables?;
            let result = match tables.as_slice() {
                [one] => one.map(&|a| apply(*op, &[a])),
                [a, b] => a.zip(b, &|x, y| apply(*op, &[x, y])),
                _ => None,
            };
            // Division by a size of zero leaves no work.
            result.or_else(|| (*op == SizeOp::Div).then(|| Table::constant(Decimal::ZERO))).ok_or(Missing::TooMany)
        }
    }
}

/// The value of a size expression for arguments of these sizes.
pub fn amount(
    expr: &SizeExpr,
    sizes: &BTreeMap<EcoString, BTreeMap<EcoString, Decimal>>,
    knobs: &dyn Fn(&str) -> Option<Decimal>,
) -> Result<Decimal, Missing> {
    let shape = |sizes: &BTreeMap<EcoString, Decimal>| -> Shape {
        sizes.iter().map(|(path, size)| (path.clone(), Table::constant(*size))).collect()
    };
    let args = sizes.iter().map(|(name, sizes)| (name.clone(), shape(sizes))).collect();
    Ok(evaluate(expr, &args, knobs)?.at(&BTreeMap::new()))
}

/// A size of a shape; the tokens of a list are those of its items.
fn size_in(shape: &Shape, path: &str) -> Option<Table> {
    if let Some(table) = shape.get(path) {
        return Some(table.clone());
    }
    let (count, each) = (shape.get("count")?, shape.get(eco_format!("item.{path}").as_str())?);
    count.zip(each, &|a, b| a.checked_mul(b))
}

fn prefixed(prefix: &str, shape: &Shape) -> Shape {
    shape.iter().map(|(path, t)| (eco_format!("{prefix}{path}"), t.clone())).collect()
}

fn sum(tables: &[&Table]) -> Option<Table> {
    let (first, rest) = tables.split_first()?;
    rest.iter().try_fold((*first).clone(), |a, b| a.zip(b, &|x, y| x.checked_add(y)))
}

fn max(tables: &[&Table]) -> Option<Table> {
    let (first, rest) = tables.split_first()?;
    rest.iter().try_fold((*first).clone(), |a, b| a.zip(b, &|x, y| Some(x.max(y))))
}

/// The larger of both in every size.
fn larger(a: &Shape, b: &Shape) -> Shape {
    let mut out = a.clone();
    for (path, table) in b {
        let both = a.get(path).and_then(|own| max(&[own, table])).unwrap_or_else(|| table.clone());
        out.insert(path.clone(), both);
    }
    out
}

/// Tokens of what an agent's model is shown: of a round, its call and what came of it; before the first one, of each thing that is given. What
/// nothing says the size of counts as the most that is shown.
fn noted(entry: &Shape, in_round: bool) -> Table {
    let most = Table::constant(Decimal::from(MOST_SHOWN));
    let mut parts: Vec<EcoString> = match in_round {
        true => vec!["turn".into(), "result".into()],
        false => {
            entry.keys().filter_map(|path| path.match_indices('.').nth(1).map(|(at, _)| path[..at].into())).collect()
        }
    };
    parts.dedup();
    parts.iter().fold(Table::constant(Decimal::ZERO), |all, part| {
        let tokens = entry.get(eco_format!("{part}.tokens").as_str()).unwrap_or(&most);
        let shown = tokens.zip(&most, &|a, b| Some(a.min(b))).unwrap_or_else(|| most.clone());
        sum(&[&all, &shown]).unwrap_or(shown)
    })
}

/// The sizes of a constant: a token is about four characters.
fn literal(value: &serde_json::Value) -> Shape {
    match value {
        serde_json::Value::String(text) => {
            let tokens = text.chars().count().div_ceil(4);
            Shape::from([("tokens".into(), Table::constant(Decimal::from(tokens)))])
        }
        serde_json::Value::Array(items) => {
            let item = items.iter().fold(Shape::new(), |all, item| larger(&all, &literal(item)));
            let mut list = prefixed("item.", &item);
            list.insert("count".into(), Table::constant(Decimal::from(items.len())));
            list
        }
        serde_json::Value::Object(_) => {
            let tokens = value.to_string().chars().count().div_ceil(4);
            Shape::from([("tokens".into(), Table::constant(Decimal::from(tokens)))])
        }
        _ => Shape::new(),
    }
}
