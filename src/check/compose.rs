//! Compositions of the library → typed data flow; and what only they have: numbers from knobs, shares of branches.

use super::body::{BodyPass, check_flow};
use super::jobs::Signature;
use super::program::{Composition, Count, Expr, ExprKind};
use super::{Context, errors, quantity};
use crate::diag::Diagnostics;
use crate::diag::source::Span;
use crate::library::Implementation;
use crate::syntax::ast::{self, Quantity, StmtKind, TypeExpr, TypeKind};
use crate::types::Type;
use crate::units::Dimension;
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// No loop over a range is longer.
const LONGEST: u32 = 1000;

/// The compositions that a file's jobs may be carried out by: those of the modules that it uses, and its own.
pub fn offered(
    used: &BTreeSet<EcoString>,
    context: &Context,
    cx: &mut Diagnostics,
) -> BTreeMap<EcoString, Arc<Composition>> {
    let mut all = BTreeMap::new();
    for entry in context.library.implementations.values() {
        let Some(flow) = &entry.flow else { continue };
        if (flow.module.is_empty() || used.contains(&flow.module))
            && let Some(composition) = check(entry, &flow.stmts, used, context, cx)
        {
            all.insert(entry.name.clone(), Arc::new(composition));
        }
    }
    all
}

fn check(
    entry: &Implementation,
    stmts: &[ast::Stmt],
    used: &BTreeSet<EcoString>,
    context: &Context,
    cx: &mut Diagnostics,
) -> Option<Composition> {
    let task = entry.tasks.first().and_then(|name| context.library.tasks.get(name))?;
    let mut body = Vec::new();
    for stmt in stmts {
        match stmt.kind {
            StmtKind::Let(..) | StmtKind::Expr(_) | StmtKind::Error => body.push(stmt.clone()),
            _ => cx.push(errors::not_in_composition(stmt.span, &entry.name)),
        }
    }
    let signature = Signature { params: task.params.clone(), result: task.result.clone() };
    let name = ast::Name { text: entry.name.clone(), span: entry.span };
    if body.is_empty() {
        cx.push(errors::no_result(entry.span, &task.result));
        return None;
    }
    let result = TypeExpr { span: entry.span, kind: TypeKind::Error };
    let job = ast::Job { name, params: Vec::new(), result, body };
    // A composition calls tasks, not jobs: it belongs to no file's jobs.
    let mut typed = check_flow(&job, &signature, Some(&entry.knobs), &BTreeMap::new(), used, context, cx);
    typed.docs = entry.docs.clone();
    for hole in &typed.holes {
        cx.push(errors::hole_in_composition(hole.span, &entry.name));
    }
    // A task's parameters are given: a composition need not look at all of them.
    for param in typed.params.clone() {
        typed.locals[param.0 as usize].used = true;
    }
    super::unused::check_unused(&typed, cx);
    let first = typed.params.len();
    let locals = (first..).map(|at| super::program::LocalId(at as u32));
    let named = entry.knobs.iter().zip(locals).map(|((name, values), id)| (name.clone(), id, values.clone()));
    let answers = entry.flow.as_ref().map_or_else(|| task.name.clone(), |flow| flow.answers.clone());
    Some(Composition { job: typed, task: task.name.clone(), answers, knobs: named.collect() })
}

/// The type of a knob's values in the data flow.
pub(super) fn knob_type(values: &[EcoString]) -> Type {
    if values.iter().all(|v| v.parse::<u32>().is_ok()) { Type::Int } else { Type::Text }
}

/// The share of `if c expect 30 % { … }`.
pub(super) fn share(q: &Quantity, cx: &mut Diagnostics) -> Option<Decimal> {
    let share = quantity::of_dimension(q, Dimension::NONE, "a share of the runs", "30 %", cx)?;
    if share > Decimal::ONE {
        cx.push(errors::not_a_share(q.span));
        return None;
    }
    Some(share)
}

impl BodyPass<'_> {
    /// A whole number, or a knob whose values are.
    pub(super) fn count(&mut self, expr: &ast::Expr, what: &str) -> Option<Count> {
        match &expr.kind {
            ast::ExprKind::Number(q) => quantity::whole(q, what, self.cx).map(Count::Number),
            ast::ExprKind::Error => None,
            ast::ExprKind::Name(name) => {
                let knob = self.knobs.iter().map(|(id, _)| *id).find(|id| self.job.local(*id).name == *name);
                if let Some(id) = knob {
                    self.job.locals[id.0 as usize].used = true;
                }
                match knob {
                    Some(id) if self.job.local(id).ty == Type::Int => Some(Count::Knob(id)),
                    _ => {
                        // Whatever else is wrong with it is said as of any expression, and its names are used.
                        self.expr(expr, None);
                        self.cx.push(errors::not_known_before(expr.span, what));
                        None
                    }
                }
            }
            _ => {
                self.expr(expr, None);
                self.cx.push(errors::not_known_before(expr.span, what));
                None
            }
        }
    }

    fn values(&self, count: Count) -> Vec<u32> {
        match count {
            Count::Number(n) => vec![n],
            Count::Knob(id) => {
                let knob = self.knobs.iter().find(|(knob, _)| *knob == id);
                knob.map_or(Vec::new(), |(_, values)| values.iter().filter_map(|v| v.parse().ok()).collect())
            }
        }
    }

    /// The smallest that a number can be.
    pub(super) fn least(&self, count: Count) -> u32 {
        self.values(count).into_iter().min().unwrap_or(1)
    }

    pub(super) fn range(&mut self, from: &ast::Expr, to: &ast::Expr, span: Span) -> Expr {
        let ends = (self.count(from, "an end of a range"), self.count(to, "an end of a range"));
        let (Some(from), Some(to)) = ends else {
            return Expr { span, ty: Type::List(Box::new(Type::Int)), kind: ExprKind::Error };
        };
        let (least, most) = (self.values(from), self.values(to));
        let backwards = least.iter().max() > most.iter().min();
        let long =
            most.iter().max().zip(least.iter().min()).is_some_and(|(to, from)| to.saturating_sub(*from) >= LONGEST);
        if backwards || long {
            self.cx.push(errors::bad_range(span, LONGEST));
        }
        Expr { span, ty: Type::List(Box::new(Type::Int)), kind: ExprKind::Range(from, to) }
    }
}
