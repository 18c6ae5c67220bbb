//! The body of a job → typed data flow.

use super::jobs::Signature;
use super::program::{Block, Expr, ExprKind, Job, Let, Local, LocalId, Metric, QualityRule};
use super::scope::{NOBODY, Scope};
use super::{Context, compose, errors, quantity, rules, types};
use crate::diag::source::{FileId, Span};
use crate::diag::{Diagnostics, nearest};
use crate::syntax::ast::{self, StmtKind, UnaryOp};
use crate::types::{Size, Type};
use ecow::EcoString;
use rust_decimal::prelude::ToPrimitive;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Checks the data flow of a job.
pub fn check_job(
    job: &ast::Job,
    signature: &Signature,
    signatures: &BTreeMap<EcoString, Signature>,
    used: &BTreeSet<EcoString>,
    context: &Context,
    cx: &mut Diagnostics,
) -> Job {
    check_flow(job, signature, None, signatures, used, context, cx)
}

/// Checks the data flow of a job or composition; a composition's knobs are values in it, right behind its parameters.
pub(super) fn check_flow(
    job: &ast::Job,
    signature: &Signature,
    knobs: Option<&[(EcoString, Vec<EcoString>)]>,
    signatures: &BTreeMap<EcoString, Signature>,
    used: &BTreeSet<EcoString>,
    context: &Context,
    cx: &mut Diagnostics,
) -> Job {
    let typed = Job {
        name: job.name.text.clone(),
        span: job.name.span,
        docs: EcoString::new(),
        params: Vec::new(),
        locals: Vec::new(),
        result: signature.result.clone(),
        goal: job.body.iter().find_map(|s| match &s.kind {
            StmtKind::Goal(text, span) => Some((text.clone(), *span)),
            _ => None,
        }),
        body: Block::default(),
        holes: Vec::new(),
        owners: BTreeMap::new(),
        calls: BTreeMap::new(),
        modules: BTreeSet::new(),
        tasks: BTreeSet::new(),
        broken: false,
        clauses: Vec::new(),
        preferred: Vec::new(),
        wishes: Vec::new(),
        rules: Vec::new(),
        personal: Vec::new(),
        quality_rule: QualityRule::Product,
        cache: None,
        expectations: Vec::new(),
        rate: None,
        cluster: None,
    };
    let mut pass = BodyPass {
        job: typed,
        scope: Scope::default(),
        signatures,
        used,
        context,
        cx,
        free_imports: knobs.is_some(),
        knobs: Vec::new(),
    };
    for (i, (name, ty)) in signature.params.iter().enumerate() {
        let span = job.params.get(i).map_or(job.name.span, |p| p.name.span);
        let id = pass.define(name.clone(), span, ty.clone());
        pass.job.params.push(id);
    }
    for (name, values) in knobs.into_iter().flatten() {
        let id = pass.define(name.clone(), job.name.span, compose::knob_type(values));
        pass.knobs.push((id, values.clone()));
    }
    let body = if super::is_one_hole(job) {
        let goal = pass.job.goal.as_ref().map_or(EcoString::new(), |(text, _)| text.clone());
        let hole = pass.hole("result".into(), job.name.span, goal, signature.result.clone());
        Block { lets: Vec::new(), result: Some(Box::new(hole)) }
    } else {
        pass.block(&job.body, Some(&signature.result), job.name.span)
    };
    let mut typed = pass.job;
    typed.body = body;
    typed
}

pub(super) struct BodyPass<'a> {
    pub(super) job: Job,
    pub(super) scope: Scope,
    pub(super) signatures: &'a BTreeMap<EcoString, Signature>,
    pub(super) used: &'a BTreeSet<EcoString>,
    pub(super) context: &'a Context<'a>,
    pub(super) cx: &'a mut Diagnostics,
    /// Inside the fill of a hole, and inside a composition, every module is in scope.
    pub(super) free_imports: bool,
    /// The knobs of a composition, with their values.
    pub(super) knobs: Vec<(LocalId, Vec<EcoString>)>,
}

impl BodyPass<'_> {
    pub(super) fn define(&mut self, name: EcoString, span: Span, ty: Type) -> LocalId {
        if let Some(first) = self.scope.first(&name).filter(|_| name != NOBODY) {
            self.cx.push(errors::shadows(span, &name, self.job.local(first).span));
        }
        let id = LocalId(self.job.locals.len() as u32);
        self.scope.arrived(&name, span);
        self.scope.push(name.clone(), id);
        self.job.locals.push(Local { name, span, ty, hole: None, used: false });
        id
    }

    pub(super) fn hole(&mut self, name: EcoString, span: Span, goal: EcoString, ty: Type) -> Expr {
        let id = super::program::HoleId(self.job.holes.len() as u32);
        self.job.holes.push(super::program::Hole {
            name,
            span,
            goal,
            ty: ty.clone(),
            scope: self.scope.ids().collect(),
        });
        Expr { span, ty, kind: ExprKind::Hole(id) }
    }

    pub(super) fn block(&mut self, stmts: &[ast::Stmt], wanted: Option<&Type>, at: Span) -> Block {
        let depth = self.scope.depth();
        let defined =
            stmts.iter().filter_map(|stmt| if let StmtKind::Let(names, ..) = &stmt.kind { Some(names) } else { None });
        let defined = defined.flatten();
        defined.clone().for_each(|name| self.scope.expect(name.text.clone(), name.span));
        let last_value = stmts.iter().rposition(|s| matches!(s.kind, StmtKind::Expr(_) | StmtKind::Let(..)));
        let broken = stmts.iter().any(|s| match &s.kind {
            StmtKind::Error => true,
            StmtKind::Let(_, _, value) => matches!(value.kind, ast::ExprKind::Error),
            _ => false,
        });
        let mut block = Block::default();
        for (i, stmt) in stmts.iter().enumerate() {
            match &stmt.kind {
                StmtKind::Let(names, ty, value) => block.lets.push(self.binding(names, ty.as_ref(), value)),
                StmtKind::Expr(value) if Some(i) == last_value => {
                    block.result = Some(Box::new(self.named_hole_or(value, wanted, "result")));
                }
                StmtKind::Expr(value) => {
                    let value = self.expr(value, None);
                    // The rest of a line that broke off looks like a value of its own.
                    if !broken && !matches!(value.kind, ExprKind::Error) {
                        self.cx.push(errors::value_not_used(value.span));
                    }
                    block.lets.push(Let { names: Vec::new(), value });
                }
                StmtKind::Knob(..) | StmtKind::Profile(..) => self.cx.push(errors::of_compositions(stmt.span)),
                _ => {}
            }
        }
        self.job.broken |= broken;
        if let (None, Some(ty), false) = (&block.result, wanted, broken) {
            self.job.broken = true;
            let end = stmts.last().map_or(at, |s| s.span);
            self.cx.push(errors::no_result(end, ty));
        }
        self.scope.leave(depth);
        defined.for_each(|name| self.scope.arrived(&name.text, name.span));
        block
    }

    fn binding(&mut self, names: &[ast::Name], ty: Option<&ast::TypeExpr>, value: &ast::Expr) -> Let {
        let wanted = ty.map(|t| types::resolve(t, &self.context.library.types, self.cx));
        let hole_name = names.first().map_or("value", |n| n.text.as_str()).to_string();
        let value = self.named_hole_or(value, wanted.as_ref(), &hole_name);
        let value_type = wanted.unwrap_or_else(|| value.ty.clone());
        let parts: Vec<Type> = match (names.len(), &value_type) {
            (0, _) => Vec::new(),
            (1, ty) => vec![ty.clone()],
            (n, Type::Record(_, fields)) if fields.len() == n => fields.iter().map(|(_, t)| t.clone()).collect(),
            (n, Type::Unknown) => vec![Type::Unknown; n],
            (n, ty) => {
                let at = names.first().map_or(value.span, |f| f.span.to(names[n - 1].span));
                self.cx.push(errors::bad_pattern(at, n, ty));
                vec![Type::Unknown; n]
            }
        };
        let hole = match value.kind {
            ExprKind::Hole(id) if names.len() == 1 => Some(id),
            _ => None,
        };
        let ids: Vec<LocalId> =
            names.iter().zip(parts).map(|(name, ty)| self.define(name.text.clone(), name.span, ty)).collect();
        if let Some(first) = ids.first() {
            self.job.locals[first.0 as usize].hole = hole;
        }
        Let { names: ids, value }
    }

    /// A hole gets the name of what it defines; anything else is an expression like any other.
    fn named_hole_or(&mut self, value: &ast::Expr, wanted: Option<&Type>, name: &str) -> Expr {
        match &value.kind {
            ast::ExprKind::Hole(goal, ty) => {
                let taken =
                    self.job.holes.iter().filter(|h| h.name == name || h.name.starts_with(&format!("{name}_"))).count();
                let name = if taken == 0 { name.into() } else { ecow::eco_format!("{name}_{}", taken + 1) };
                let ty = ty.as_ref().map(|t| types::resolve(t, &self.context.library.types, self.cx));
                let ty = ty.or_else(|| wanted.cloned()).unwrap_or(Type::Unknown);
                self.hole(name, value.span, goal.clone().unwrap_or_default(), ty)
            }
            _ => self.expr(value, wanted),
        }
    }

    /// Checks an expression against the type that is wanted of it.
    pub(super) fn expr(&mut self, expr: &ast::Expr, wanted: Option<&Type>) -> Expr {
        self.expr_because(expr, wanted, None)
    }

    pub(super) fn expr_because(
        &mut self,
        expr: &ast::Expr,
        wanted: Option<&Type>,
        why: Option<(Span, String)>,
    ) -> Expr {
        let typed = self.infer(expr, wanted);
        self.fitting(typed, wanted, why)
    }

    /// Holds an expression against the type that is wanted of it.
    pub(super) fn fitting(&mut self, typed: Expr, wanted: Option<&Type>, why: Option<(Span, String)>) -> Expr {
        // The type of a hole follows from the first use that wants one.
        if let (ExprKind::Local(id), Some(wanted)) = (&typed.kind, wanted)
            && let Some(hole) = self.job.local(*id).hole
            && self.job.holes[hole.0 as usize].ty == Type::Unknown
        {
            self.job.holes[hole.0 as usize].ty = wanted.clone();
            self.job.locals[id.0 as usize].ty = wanted.clone();
            return Expr { ty: wanted.clone(), ..typed };
        }
        match wanted {
            Some(wanted) if !typed.ty.fits(wanted) => {
                self.cx.push(errors::wrong_type(typed.span, wanted, &typed.ty, why));
                Expr { ty: Type::Unknown, kind: ExprKind::Error, span: typed.span }
            }
            _ => typed,
        }
    }

    pub(super) fn infer(&mut self, expr: &ast::Expr, wanted: Option<&Type>) -> Expr {
        let span = expr.span;
        let make = |ty: Type, kind: ExprKind| Expr { span, ty, kind };
        match &expr.kind {
            ast::ExprKind::Name(name) => self.name(name, span, wanted),
            ast::ExprKind::Text(text) => make(Type::Text, ExprKind::Literal(json!(text.as_str()))),
            ast::ExprKind::Bool(b) => make(Type::Bool, ExprKind::Literal(json!(b))),
            ast::ExprKind::Number(q) => match quantity::measure(q, self.cx) {
                None => make(Type::Unknown, ExprKind::Error),
                Some(m) if m.value.fract().is_zero() && q.unit.is_none() => match m.value.to_i64() {
                    Some(whole) => make(Type::Int, ExprKind::Literal(json!(whole))),
                    None => {
                        self.cx.push(errors::int_too_large(span));
                        make(Type::Unknown, ExprKind::Error)
                    }
                },
                Some(m) => make(Type::Float, ExprKind::Literal(json!(m.value.to_f64().unwrap_or(f64::MAX)))),
            },
            ast::ExprKind::Hole(..) => {
                let name = format!("hole_{}", self.job.holes.len() + 1);
                self.named_hole_or(expr, wanted, &name)
            }
            ast::ExprKind::Field(inner, name) => self.field(inner, name, span),
            ast::ExprKind::Call(call) if self.is_agent(call) => self.agent(call, wanted, span),
            ast::ExprKind::Call(call) => self.call(call, span),
            ast::ExprKind::List(items) => {
                let item_wanted = match wanted {
                    Some(Type::List(t)) => Some((**t).clone()),
                    _ => None,
                };
                let mut typed: Vec<Expr> = Vec::with_capacity(items.len());
                for item in items {
                    let expected = item_wanted.clone().or_else(|| typed.first().map(|f| f.ty.clone()));
                    typed.push(self.expr(item, expected.as_ref()));
                }
                let item = item_wanted.or_else(|| typed.first().map(|f| f.ty.clone())).unwrap_or(Type::Unknown);
                make(Type::List(Box::new(item)), ExprKind::List(typed))
            }
            ast::ExprKind::Tuple(parts) => self.tuple(parts, wanted, span),
            ast::ExprKind::Unary(op, inner) => {
                let inner = match op {
                    UnaryOp::Not => self.expr(inner, Some(&Type::Bool)),
                    UnaryOp::Neg => self.expr(inner, None),
                };
                if *op == UnaryOp::Neg && !matches!(inner.ty, Type::Int | Type::Float | Type::Unknown) {
                    self.cx.push(errors::wrong_type(inner.span, &Type::Float, &inner.ty, None));
                    return make(Type::Unknown, ExprKind::Error);
                }
                make(inner.ty.clone(), ExprKind::Unary(*op, Box::new(inner)))
            }
            ast::ExprKind::Binary(op, left, right) => self.binary(*op, left, right, span),
            ast::ExprKind::If(branch) => self.branches(branch, wanted, span),
            ast::ExprKind::For(name, list, body) => self.for_each(name, list, body, wanted, span),
            ast::ExprKind::Range(from, to) => self.range(from, to, span),
            ast::ExprKind::Repeat(repeat) => self.repeat(repeat, wanted, span),
            ast::ExprKind::Block(stmts) => {
                let before = std::mem::replace(&mut self.free_imports, true);
                let block = self.block(stmts, wanted, span);
                self.free_imports = before;
                let ty = block.result.as_ref().map_or(Type::Unknown, |r| r.ty.clone());
                make(ty, ExprKind::Block(block))
            }
            ast::ExprKind::Error => make(Type::Unknown, ExprKind::Error),
        }
    }

    fn name(&mut self, name: &EcoString, span: Span, wanted: Option<&Type>) -> Expr {
        if let Some(id) = self.scope.last(name) {
            let local = &mut self.job.locals[id.0 as usize];
            local.used = true;
            return Expr { span, ty: local.ty.clone(), kind: ExprKind::Local(id) };
        }
        if let Some(ty) = self.enum_of(name, wanted).cloned() {
            if let Type::Enum(of, _) = &ty {
                self.job.owners.insert(span, of.clone());
            }
            return Expr { span, ty, kind: ExprKind::Literal(json!(name.as_str())) };
        }
        self.job.broken = true;
        if let Some(defined) = self.scope.coming(name) {
            self.cx.push(errors::used_before(span, name, defined));
        } else if Metric::ALL.iter().any(|(_, metric)| *metric == name.as_str()) {
            self.cx.push(errors::metric_outside(span, name, rules::example(name)));
        } else if let Some(example) = rules::example(name) {
            // A rule without its words looks like a value.
            self.cx.push(errors::bad_rule(span, name, example));
        } else {
            self.cx.push(errors::unknown_name(span, name, nearest(name, self.scope.names())));
        }
        Expr { span, ty: Type::Unknown, kind: ExprKind::Error }
    }

    /// The enum that a value is of: the one that is wanted, else one of this file, of a module that it uses, of any other.
    fn enum_of(&self, name: &EcoString, wanted: Option<&Type>) -> Option<&Type> {
        let library = self.context.library;
        let own = self.job.span.file;
        let used = |file: FileId| library.tasks.values().any(|t| t.span.file == file && self.used.contains(&t.module));
        let holds = |ty: &Type| matches!(ty, Type::Enum(_, values) if values.contains(name));
        let wanted = match wanted {
            Some(Type::Optional(inner)) => Some(&**inner),
            other => other,
        };
        let rank = |ty: &Type, file: FileId| match file {
            _ if Some(ty) == wanted => 0,
            file if file == own => 1,
            file if used(file) => 2,
            _ => 3,
        };
        let all = library.types.values().filter(|(ty, _)| holds(ty));
        all.min_by_key(|(ty, span)| rank(ty, span.file)).map(|(ty, _)| ty)
    }

    pub(super) fn in_scope(&self, name: &EcoString) -> bool {
        self.scope.first(name).is_some()
    }

    fn field(&mut self, inner: &ast::Expr, name: &ast::Name, span: Span) -> Expr {
        let inner = self.expr(inner, None);
        if let Type::Record(record, _) = &inner.ty {
            self.job.owners.insert(name.span, record.clone());
        }
        let ty = match &inner.ty {
            Type::Record(_, fields) => fields.iter().find(|(n, _)| *n == name.text).map(|(_, t)| t.clone()),
            Type::Json | Type::Unknown => Some(if inner.ty == Type::Json { Type::Json } else { Type::Unknown }),
            // A run knows the durations and counts of its media; tokens are the planner's.
            other => other.sizes().iter().find(|(n, _)| *n == name.text).and_then(|(_, size)| match size {
                Size::Seconds => Some(Type::Float),
                Size::Count => Some(Type::Int),
                Size::Tokens => None,
            }),
        };
        match ty {
            Some(ty) => Expr { span, ty, kind: ExprKind::Field(Box::new(inner), name.text.clone()) },
            None => {
                let names: Vec<&str> = match &inner.ty {
                    Type::Record(_, fields) => fields.iter().map(|(n, _)| n.as_str()).collect(),
                    other => other.sizes().iter().filter(|(_, s)| *s != Size::Tokens).map(|(n, _)| *n).collect(),
                };
                self.cx.push(errors::unknown_field(name.span, &inner.ty, &name.text, nearest(&name.text, names)));
                Expr { span, ty: Type::Unknown, kind: ExprKind::Error }
            }
        }
    }
}
