//! Calls: of library tasks, of jobs, of records; with their conditions.

use super::body::BodyPass;
use super::program::{Expr, ExprKind, Pin, Reuse, TaskCall};
use super::{errors, quantity, reuse, rules};
use crate::diag::nearest;
use crate::diag::source::Span;
use crate::syntax::ast::{self, Suffix};
use crate::types::Type;
use crate::units::Dimension;
use ecow::EcoString;

/// The conditions of a call, read.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) pins: Vec<Pin>,
    pub(super) retries: u32,
    pub(super) timeout: Option<rust_decimal::Decimal>,
    pub(super) fallbacks: Vec<EcoString>,
    pub(super) cache: Option<Reuse>,
}

/// The most attempts after the first.
const MOST_RETRIES: u32 = 10;

impl BodyPass<'_> {
    pub(super) fn call(&mut self, call: &ast::Call, span: Span) -> Expr {
        let name = &call.callee.text;
        let library = self.context.library;
        if let Some(task) = library.tasks.get(name) {
            let in_scope = task.module.is_empty() || self.used.contains(&task.module) || self.free_imports;
            if !in_scope {
                let source = &self.context.sources.get(call.callee.span.file).text;
                self.cx.push(errors::not_imported(call.callee.span, name, &task.module, source));
            }
            self.job.modules.insert(task.module.clone());
            self.job.tasks.insert(name.clone());
            let composed = library.composing(name).map(|flow| &flow.module);
            self.job.modules.extend(composed.filter(|module| self.used.contains(*module)).cloned());
            let args = self.arguments(call, &task.params, span);
            let conditions = self.conditions(&call.suffixes, name);
            let kind = ExprKind::Task(Box::new(TaskCall {
                task: name.clone(),
                span: call.callee.span,
                args,
                pins: conditions.pins,
                retries: conditions.retries,
                timeout: conditions.timeout,
                fallbacks: conditions.fallbacks,
                cache: conditions.cache,
            }));
            return Expr { span, ty: task.result.clone(), kind };
        }
        let signatures = self.signatures;
        if let Some(signature) = signatures.get(name) {
            self.job.calls.entry(name.clone()).or_insert(call.callee.span);
            let args = self.arguments(call, &signature.params, span);
            if let Some(suffix) = call.suffixes.first() {
                let at = suffix_span(suffix, span);
                self.cx.push(errors::unsupported(
                    at,
                    "a condition on the call of a job",
                    "its steps have conditions of their own",
                    "put it on the steps inside that job",
                ));
            }
            return Expr {
                span,
                ty: signature.result.clone(),
                kind: ExprKind::Job(name.clone(), args.into_iter().map(|(_, e)| e).collect()),
            };
        }
        if let Some((Type::Record(_, fields), _)) = library.types.get(name) {
            let fields = fields.clone();
            let ty = Type::Record(name.clone(), fields.clone());
            let args = self.arguments(call, &fields, span);
            return Expr { span, ty, kind: ExprKind::Record(args) };
        }
        let names = library.tasks.keys().chain(self.signatures.keys()).map(|k| k.as_str());
        self.job.broken = true;
        self.cx.push(errors::unknown_task(call.callee.span, name, nearest(name, names)));
        for (_, arg) in &call.args {
            self.expr(arg, None);
        }
        Expr { span, ty: Type::Unknown, kind: ExprKind::Error }
    }

    /// Values side by side, in the order in which their names are wanted: the type says what a part is by its place.
    pub(super) fn tuple(&mut self, parts: &[(ast::Name, ast::Expr)], wanted: Option<&Type>, span: Span) -> Expr {
        let fields = match wanted {
            Some(Type::Record(_, fields)) => fields.as_slice(),
            _ => &[],
        };
        let mut typed: Vec<(EcoString, Expr)> = Vec::with_capacity(parts.len());
        let mut twice = false;
        for (name, part) in parts {
            let ty = fields.iter().find(|(field, _)| *field == name.text).map(|(_, ty)| ty);
            let value = self.expr(part, ty);
            if typed.iter().any(|(seen, _)| *seen == name.text) {
                twice = true;
                self.cx.push(errors::unknown_argument(name.span, "(…)", &name.text, Some(&name.text)));
            } else {
                typed.push((name.text.clone(), value));
            }
        }
        typed.sort_by_key(|(name, _)| fields.iter().position(|(field, _)| field == name).unwrap_or(fields.len()));
        if twice {
            return Expr { span, ty: Type::Unknown, kind: ExprKind::Error };
        }
        let ty = Type::Record(EcoString::new(), typed.iter().map(|(n, e)| (n.clone(), e.ty.clone())).collect());
        Expr { span, ty, kind: ExprKind::Record(typed) }
    }

    fn arguments(&mut self, call: &ast::Call, params: &[(EcoString, Type)], span: Span) -> Vec<(EcoString, Expr)> {
        let name = &call.callee.text;
        let shown = || params.iter().map(|(n, t)| format!("{n}: {t}")).collect::<Vec<_>>();
        let mut given: Vec<Option<Expr>> = params.iter().map(|_| None).collect();
        let mut next = 0;
        let (mut too_many, mut misspelt) = (false, false);
        for (arg_name, arg) in &call.args {
            let place = match arg_name {
                Some(n) => params.iter().position(|(p, _)| *p == n.text).filter(|i| given[*i].is_none()),
                None => {
                    while given.get(next).is_some_and(Option::is_some) {
                        next += 1;
                    }
                    (next < params.len()).then_some(next)
                }
            };
            match (place, arg_name) {
                (Some(i), _) => {
                    let (param, ty) = &params[i];
                    let why = (call.callee.span, format!("`{name}` takes `{param}: {ty}`"));
                    given[i] = Some(self.expr_because(arg, Some(ty), Some(why)));
                }
                (None, Some(n)) => {
                    misspelt = true;
                    let near = nearest(&n.text, params.iter().map(|(p, _)| p.as_str()));
                    self.cx.push(errors::unknown_argument(n.span, name, &n.text, near));
                    self.expr(arg, None);
                }
                (None, None) => {
                    too_many = true;
                    self.expr(arg, None);
                }
            }
        }
        if too_many {
            self.cx.push(errors::wrong_arity(span, name, &shown(), call.args.len()));
        }
        let mut args = Vec::with_capacity(params.len());
        for ((param, ty), value) in params.iter().zip(given) {
            match value {
                Some(value) => args.push((param.clone(), value)),
                None if matches!(ty, Type::Optional(_)) => {}
                None if too_many || misspelt => {}
                None => self.cx.push(errors::missing_argument(call.callee.span, name, param, ty)),
            }
        }
        args
    }

    pub(super) fn conditions(&mut self, suffixes: &[Suffix], task: &str) -> Conditions {
        let mut out = Conditions::default();
        for suffix in suffixes {
            match suffix {
                Suffix::Using(using) => {
                    out.pins.extend(rules::pin(using, Some(task), self.context.library, self.cx));
                }
                Suffix::Retry(q) => {
                    let asked = quantity::whole(q, "the number of retries", self.cx).unwrap_or(0);
                    out.retries = asked.min(MOST_RETRIES);
                    if asked > MOST_RETRIES {
                        let message = format!("`retry {asked}` counts as `retry {MOST_RETRIES}`");
                        let help = format!("write a number up to {MOST_RETRIES}");
                        self.cx.push(errors::no_effect(q.span, message, "more attempts than are made", &help));
                    }
                }
                Suffix::Timeout(q) => {
                    out.timeout = quantity::of_dimension(q, Dimension::TIME, "a timeout", "30 s", self.cx)
                }
                Suffix::Fallback(name) => {
                    let named = Some(ast::Name { text: name.text.clone(), span: name.span });
                    let using =
                        ast::Using { span: name.span, implementation: named, knobs: Vec::new(), hardware: None };
                    let pin = rules::pin(&using, Some(task), self.context.library, self.cx);
                    out.fallbacks.extend(pin.and_then(|pin| pin.implementation));
                }
                Suffix::Cache(how) => out.cache = reuse::reuse(how, self.cx),
            }
        }
        out
    }
}

fn suffix_span(suffix: &Suffix, call: Span) -> Span {
    match suffix {
        Suffix::Using(u) => u.span,
        Suffix::Retry(q) | Suffix::Timeout(q) => q.span,
        Suffix::Fallback(n) => n.span,
        Suffix::Cache(how) => how.span,
    }
    .to(call)
}
