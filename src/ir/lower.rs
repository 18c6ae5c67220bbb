//! Typed job → workflow. Calls of other jobs become part of it, and the rules of those jobs hold for the steps that come from them.

mod agent;
mod called;

use super::answers::shares;
use super::workflow::{Node, Op, Operand, Part, Region, Step, StepId, ValueId, Way, Workflow};
use crate::check::program::{Block, Composition, Count, Expr, ExprKind, Job, LocalId, Program, Reuse, TaskCall};
use crate::diag::source::Span;
use crate::syntax::ast::{BinaryOp, UnaryOp};
use crate::types::Type;
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;

use std::collections::BTreeMap;

/// Lowers a job whose holes are filled; `None` where it still has holes or did not check.
pub fn lower(job: &Job, program: &Program) -> Option<Workflow> {
    // Under a rate everything stands ready at once, shared instances among it, and a measured rule of quality speaks of the steps
    // that were measured: calls are then taken as they stand.
    let composes = job.rate.is_none() && job.quality_rule.table().is_none();
    let (steps, names) = Default::default();
    let mut pass = Lower { composes, agents: 0, program, steps, values: 0, names, inside: None };
    let mut scope = Scope::new();
    let mut inputs = Vec::new();
    for id in &job.params {
        let value = pass.value();
        let local = job.local(*id);
        inputs.push((local.name.clone(), local.ty.clone(), value));
        scope.insert(*id, Operand::Value(value));
    }
    let body = pass.region(&job.body, job, &scope)?;
    let mut workflow = Workflow { inputs, result: job.result.clone(), body, steps: pass.steps };
    workflow.steps.iter_mut().for_each(|step| step.cache = step.cache.or(job.cache));
    super::passes::merge_equal(&mut workflow);
    super::passes::drop_dead(&mut workflow);
    Some(workflow)
}

type Scope = BTreeMap<LocalId, Operand>;

struct Lower<'p> {
    program: &'p Program,
    steps: Vec<Step>,
    values: u32,
    names: BTreeMap<EcoString, u32>,
    /// Whether compositions are offered.
    composes: bool,
    /// Agents so far.
    agents: u32,
    /// The composition that is being put in place. Calls in it are plain: compositions do not nest.
    inside: Option<Inside>,
}

/// A composition in the place of a call.
struct Inside {
    name: EcoString,
    span: Span,
    retries: u32,
    timeout: Option<Decimal>,
    cache: Option<Reuse>,
    way: Way,
    of: (StepId, usize),
}

impl<'p> Lower<'p> {
    fn value(&mut self) -> ValueId {
        self.values += 1;
        ValueId(self.values - 1)
    }

    fn region(&mut self, block: &Block, job: &Job, scope: &Scope) -> Option<Region> {
        let mut nodes = Vec::new();
        let mut scope = scope.clone();
        let result = self.block(block, job, &mut scope, &mut nodes)?;
        Some(Region { nodes, result })
    }

    /// Lowers a block into the nodes around it; afterwards `scope` knows what the block defined.
    fn block(&mut self, block: &Block, job: &Job, scope: &mut Scope, nodes: &mut Vec<Node>) -> Option<Operand> {
        for binding in &block.lets {
            let value = self.expr(&binding.value, job, scope, nodes)?;
            match (binding.names.as_slice(), &binding.value.ty) {
                ([], _) => {}
                ([one], _) => {
                    scope.insert(*one, value);
                }
                (names, Type::Record(_, fields)) => {
                    for (name, (field, _)) in names.iter().zip(fields) {
                        let part = self.compute(Op::Field(field.to_string()), vec![value.clone()], nodes);
                        scope.insert(*name, part);
                    }
                }
                _ => return None,
            }
        }
        match &block.result {
            Some(result) => self.expr(result, job, scope, nodes),
            None => Some(Operand::Literal(serde_json::Value::Null)),
        }
    }

    fn compute(&mut self, op: Op, args: Vec<Operand>, nodes: &mut Vec<Node>) -> Operand {
        let output = self.value();
        nodes.push(Node::Compute { op, args, output });
        Operand::Value(output)
    }

    fn expr(&mut self, expr: &Expr, job: &Job, scope: &Scope, nodes: &mut Vec<Node>) -> Option<Operand> {
        match &expr.kind {
            ExprKind::Local(id) => scope.get(id).cloned(),
            ExprKind::Literal(value) => Some(Operand::Literal(value.clone())),
            ExprKind::Hole(_) | ExprKind::Error => None,
            ExprKind::Task(call) => self.call(call, job, scope, nodes),
            ExprKind::Job(name, args) => {
                let called = self.program.jobs.iter().find(|j| j.name == *name)?;
                let mut inner = Scope::new();
                for (param, arg) in called.params.iter().zip(args) {
                    inner.insert(*param, self.expr(arg, job, scope, nodes)?);
                }
                let (given, step, node) = (inner.clone(), self.steps.len(), nodes.len());
                let result = self.block(&called.body, called, &mut inner, nodes)?;
                self.hold(called, &given, step, &nodes[node..]);
                Some(result)
            }
            ExprKind::Record(fields) => {
                let names = fields.iter().map(|(n, _)| n.to_string()).collect();
                let args = self.all(fields.iter().map(|(_, e)| e), job, scope, nodes)?;
                Some(self.compute(Op::Record(names), args, nodes))
            }
            ExprKind::Field(inner, name) => {
                let inner = self.expr(inner, job, scope, nodes)?;
                Some(self.compute(Op::Field(name.to_string()), vec![inner], nodes))
            }
            ExprKind::List(items) => {
                let args = self.all(items.iter(), job, scope, nodes)?;
                Some(self.compute(Op::List, args, nodes))
            }
            ExprKind::Unary(op, inner) => {
                let inner = self.expr(inner, job, scope, nodes)?;
                let op = match op {
                    UnaryOp::Neg => Op::Neg,
                    UnaryOp::Not => Op::Not,
                };
                Some(self.compute(op, vec![inner], nodes))
            }
            ExprKind::Binary(op, left, right) => {
                let args = vec![self.expr(left, job, scope, nodes)?, self.expr(right, job, scope, nodes)?];
                let op = match (op, &left.ty) {
                    (BinaryOp::Or, Type::Optional(_)) => Op::Otherwise,
                    (op, _) => binary(*op),
                };
                Some(self.compute(op, args, nodes))
            }
            ExprKind::If(branch) => {
                let when = self.expr(&branch.condition, job, scope, nodes)?;
                let then = self.region(&branch.then, job, scope)?;
                let otherwise = self.region(&branch.otherwise, job, scope)?;
                let output = self.value();
                nodes.push(Node::Branch { when, share: branch.share, then, otherwise, output });
                Some(Operand::Value(output))
            }
            ExprKind::For(id, list, body) => {
                let over = self.expr(list, job, scope, nodes)?;
                let item = self.value();
                let mut scope = scope.clone();
                scope.insert(*id, Operand::Value(item));
                let body = self.region(body, job, &scope)?;
                let output = self.value();
                nodes.push(Node::Map { over, item, body, output });
                Some(Operand::Value(output))
            }
            ExprKind::Range(from, to) => {
                let numbers: Vec<u32> = (count(*from, scope)?..=count(*to, scope)?).collect();
                Some(Operand::Literal(serde_json::json!(numbers)))
            }
            ExprKind::Repeat(repeat) => {
                let limit = count(repeat.limit, scope)?;
                let mut scope = scope.clone();
                let carry = match &repeat.carry {
                    Some((id, first)) => {
                        let first = self.expr(first, job, &scope, nodes)?;
                        let item = self.value();
                        scope.insert(*id, Operand::Value(item));
                        Some((item, first))
                    }
                    None => None,
                };
                let mut inner = Vec::new();
                let result = self.block(&repeat.body, job, &mut scope, &mut inner)?;
                let until = self.expr(&repeat.until, job, &scope, &mut inner)?;
                let output = self.value();
                let body = Region { nodes: inner, result };
                let expected = repeat.expected.map(|rounds| rounds.clamp(1, limit));
                nodes.push(Node::Repeat { limit, expected, carry, body, until, output });
                Some(Operand::Value(output))
            }
            ExprKind::Block(block) => self.block(block, job, &mut scope.clone(), nodes),
            ExprKind::Agent(agent) => self.agent(agent, &expr.ty, job, scope, nodes),
        }
    }

    fn all<'e>(
        &mut self,
        exprs: impl Iterator<Item = &'e Expr>,
        job: &Job,
        scope: &Scope,
        nodes: &mut Vec<Node>,
    ) -> Option<Vec<Operand>> {
        exprs.map(|e| self.expr(e, job, scope, nodes)).collect()
    }

    fn call(&mut self, call: &TaskCall, job: &Job, scope: &Scope, nodes: &mut Vec<Node>) -> Option<Operand> {
        let mut args = Vec::with_capacity(call.args.len());
        for (name, value) in &call.args {
            args.push((name.to_string(), self.expr(value, job, scope, nodes)?));
        }
        // An optional argument that the call of a composition leaves out is left out inside it as well.
        args.retain(|(_, value)| *value != Operand::Literal(serde_json::Value::Null));
        let name = match &self.inside {
            Some(inside) => self.unique(eco_format!("{}.{}", inside.name, call.task)),
            None => self.unique(call.task.clone()),
        };
        let step = StepId(self.steps.len() as u32);
        let ways: Vec<(Way, &Composition)> =
            if self.composes && self.inside.is_none() { self.ways(&call.task) } else { Vec::new() };
        let inside = self.inside.as_ref();
        self.steps.push(Step {
            task: call.task.clone(),
            name,
            span: Some(inside.map_or(call.span, |inside| inside.span)),
            pins: call.pins.clone(),
            rules: Vec::new(),
            retries: inside.map_or(0, |inside| inside.retries).max(call.retries),
            timeout: call.timeout.or(inside.and_then(|inside| inside.timeout)),
            fallbacks: call.fallbacks.clone(),
            cache: call.cache.or(inside.and_then(|inside| inside.cache)),
            ways: ways.iter().map(|(way, _)| way.clone()).collect(),
            part: inside.map(|inside| Part { way: inside.way.clone(), answers: None, of: Some(inside.of) }),
            agent: None,
        });
        let mut regions = Vec::with_capacity(ways.len());
        for (number, (way, composition)) in ways.into_iter().enumerate() {
            regions.push(self.way(call, &args, step, (number, way), composition)?);
        }
        let output = self.value();
        nodes.push(match regions.is_empty() {
            true => Node::Call { step, args, output },
            false => Node::Choose { step, args, ways: regions, output },
        });
        Some(Operand::Value(output))
    }

    /// A name that no other step has.
    fn unique(&mut self, name: EcoString) -> EcoString {
        let times = self.names.entry(name.clone()).or_insert(0);
        *times += 1;
        if *times == 1 { name } else { eco_format!("{name}_{times}") }
    }

    /// The compositions of a task, under every setting of their knobs, the last knob's value changing fastest.
    fn ways(&self, task: &EcoString) -> Vec<(Way, &'p Composition)> {
        let mut ways = Vec::new();
        for (name, composition) in self.program.compositions.iter().filter(|(_, c)| c.task == *task) {
            let mut settings: Vec<Vec<(EcoString, EcoString)>> = vec![Vec::new()];
            for (knob, _, values) in &composition.knobs {
                let with = |set: Vec<(EcoString, EcoString)>| {
                    values.iter().map(move |v| [set.as_slice(), &[(knob.clone(), v.clone())]].concat())
                };
                settings = settings.into_iter().flat_map(with).collect();
            }
            ways.extend(settings.into_iter().map(|knobs| (Way { composition: name.clone(), knobs }, &**composition)));
        }
        ways
    }

    /// The data flow of a composition in the place of a call.
    fn way(
        &mut self,
        call: &TaskCall,
        args: &[(String, Operand)],
        of: StepId,
        (number, way): (usize, Way),
        composition: &Composition,
    ) -> Option<Region> {
        let job = &composition.job;
        let mut scope = Scope::new();
        for param in &job.params {
            let given = args.iter().find(|(name, _)| *name == job.local(*param).name.as_str());
            scope.insert(*param, given.map_or(Operand::Literal(serde_json::Value::Null), |(_, a)| a.clone()));
        }
        for ((_, id, _), (_, value)) in composition.knobs.iter().zip(&way.knobs) {
            let literal = match (&job.local(*id).ty, value.parse::<u32>()) {
                (Type::Int, Ok(number)) => serde_json::json!(number),
                _ => serde_json::json!(value.as_str()),
            };
            scope.insert(*id, Operand::Literal(literal));
        }
        let knobs: String = way.knobs.iter().map(|(_, value)| format!("_{value}")).collect();
        let name = self.unique(eco_format!("{}{knobs}", way.composition));
        let (span, retries, timeout, cache) = (call.span, call.retries, call.timeout, call.cache);
        self.inside = Some(Inside { name, span, retries, timeout, cache, way, of: (of, number) });
        let region = self.region(&job.body, job, &scope);
        self.inside = None;
        let region = region?;
        let shares = shares(&region, &|step| self.steps[step.0 as usize].task == composition.answers);
        for (index, step) in self.steps.iter_mut().enumerate() {
            if let Some(part) = step.part.as_mut().filter(|part| part.of == Some((of, number))) {
                // Where none of its steps answers, all of them count as if they did.
                let all = shares.is_empty().then_some(Decimal::ONE);
                part.answers = shares.get(&StepId(index as u32)).copied().or(all);
            }
        }
        Some(region)
    }
}

/// A number that a knob may say.
fn count(count: Count, scope: &Scope) -> Option<u32> {
    match count {
        Count::Number(number) => Some(number),
        Count::Knob(id) => match scope.get(&id)? {
            Operand::Literal(value) => value.as_u64().and_then(|n| u32::try_from(n).ok()),
            Operand::Value(_) => None,
        },
    }
}

fn binary(op: BinaryOp) -> Op {
    match op {
        BinaryOp::Add => Op::Add,
        BinaryOp::Sub => Op::Sub,
        BinaryOp::Mul => Op::Mul,
        BinaryOp::Div => Op::Div,
        BinaryOp::Eq => Op::Eq,
        BinaryOp::Ne => Op::Ne,
        BinaryOp::Lt => Op::Lt,
        BinaryOp::Le => Op::Le,
        BinaryOp::Gt => Op::Gt,
        BinaryOp::Ge => Op::Ge,
        BinaryOp::And => Op::And,
        BinaryOp::Or => Op::Or,
    }
}
