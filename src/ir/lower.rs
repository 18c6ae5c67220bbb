//! Typed job → workflow. Calls of other jobs become part of it.

use super::workflow::{Node, Op, Operand, Region, Step, StepId, ValueId, Workflow};
use crate::check::program::{Block, Expr, ExprKind, Job, LocalId, Program, TaskCall};
use crate::syntax::ast::{BinaryOp, UnaryOp};
use crate::types::Type;
use ecow::{EcoString, eco_format};

use std::collections::BTreeMap;

/// Lowers a job whose holes are filled; `None` where it still has holes or did not check.
pub fn lower(job: &Job, program: &Program) -> Option<Workflow> {
    let mut pass = Lower { program, steps: Vec::new(), values: 0, names: BTreeMap::new() };
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
    super::passes::merge_equal(&mut workflow);
    super::passes::drop_dead(&mut workflow);
    Some(workflow)
}

type Scope = BTreeMap<LocalId, Operand>;

struct Lower<'a> {
    program: &'a Program,
    steps: Vec<Step>,
    values: u32,
    names: BTreeMap<EcoString, u32>,
}

impl Lower<'_> {
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
                self.block(&called.body, called, &mut inner, nodes)
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
                Some(self.compute(binary(*op), args, nodes))
            }
            ExprKind::If(condition, then, otherwise) => {
                let when = self.expr(condition, job, scope, nodes)?;
                let then = self.region(then, job, scope)?;
                let otherwise = self.region(otherwise, job, scope)?;
                let output = self.value();
                nodes.push(Node::Branch { when, then, otherwise, output });
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
            ExprKind::Repeat(repeat) => {
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
                nodes.push(Node::Repeat { limit: repeat.limit, expected: repeat.expected, carry, body, until, output });
                Some(Operand::Value(output))
            }
            ExprKind::Block(block) => self.block(block, job, &mut scope.clone(), nodes),
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
        let times = self.names.entry(call.task.clone()).or_insert(0);
        *times += 1;
        let name = if *times == 1 { call.task.clone() } else { eco_format!("{}_{times}", call.task) };
        let step = StepId(self.steps.len() as u32);
        self.steps.push(Step {
            task: call.task.clone(),
            name,
            span: Some(call.span),
            pins: call.pins.clone(),
            retries: call.retries,
            timeout: call.timeout,
        });
        let output = self.value();
        nodes.push(Node::Call { step, args, output });
        Some(Operand::Value(output))
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
