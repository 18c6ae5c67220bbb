//! Tree → names with their meanings. Works on what parsed, whatever else is wrong with the file.

mod entries;

use super::names::{Names, Occurrence, Target};
use crate::check::agents::AGENT;
use crate::check::program::Program;
use crate::diag::source::Span;
use crate::library::Library;
use crate::syntax::ast::*;
use crate::types::Type;
use ecow::EcoString;
use std::collections::BTreeMap;

/// The names of a file. What a value is, the checked program knows; what stands in quotes, the text.
pub(super) fn names(tree: &File, text: &str, library: &Library, program: &Program) -> Names {
    let jobs = tree.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Job(job) => Some((job.name.text.clone(), job)),
        _ => None,
    });
    let composed = program.compositions.values().map(|c| &c.job);
    let owners = program.jobs.iter().chain(composed).flat_map(|job| &job.owners).map(|(at, of)| (*at, of));
    let mut walk = Walk {
        library,
        text,
        jobs: jobs.collect(),
        owners: owners.collect(),
        scope: Vec::new(),
        params: Vec::new(),
        out: Vec::new(),
    };
    tree.items.iter().for_each(|item| walk.item(item));
    Names::new(walk.out)
}

/// Names in scope with what they mean, innermost last.
type Scope = Vec<(EcoString, Target)>;

struct Walk<'a> {
    library: &'a Library,
    text: &'a str,
    jobs: BTreeMap<EcoString, &'a Job>,
    /// The record of each field that the program reads and the enum of each value that it names, by the place of the name.
    owners: BTreeMap<Span, &'a EcoString>,
    scope: Scope,
    /// The inputs of the job.
    params: Scope,
    out: Vec<Occurrence>,
}

impl Walk<'_> {
    fn push(&mut self, span: Span, target: Target) {
        self.out.push(Occurrence { span, target, definition: false });
    }

    fn define(&mut self, span: Span, target: Target) {
        self.out.push(Occurrence { span, target, definition: true });
    }

    fn local(&mut self, name: &Name) {
        self.define(name.span, Target::Local(name.span));
        self.scope.push((name.text.clone(), Target::Local(name.span)));
    }

    fn parameters(&self, task: &EcoString) -> Scope {
        let params = self.library.tasks.get(task).into_iter().flat_map(|t| &t.params);
        params.map(|(name, _)| (name.clone(), Target::Parameter(task.clone(), name.clone()))).collect()
    }

    fn item(&mut self, item: &Item) {
        match &item.kind {
            ItemKind::Use(path) => {
                let name: EcoString = path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".").into();
                if let (Some(first), Some(last)) = (path.first(), path.last()) {
                    self.push(first.span.to(last.span), Target::Module(name));
                }
            }
            ItemKind::Job(job) => self.job(job),
            ItemKind::Task(task) => self.task(task),
            ItemKind::Implementation(entry) => self.implementation(entry),
            ItemKind::Composition(composition) => self.composition(composition),
            ItemKind::Cluster(cluster) => {
                self.define(cluster.name.span, Target::Cluster(cluster.name.text.clone()));
                cluster.pools.iter().for_each(|(d, ..)| self.push(d.span, Target::Device(d.text.clone())));
            }
            ItemKind::Device(device) => self.define(device.name.span, Target::Device(device.name.text.clone())),
            ItemKind::Record(name, fields) => {
                self.define(name.span, Target::Type(name.text.clone()));
                for field in fields {
                    self.define(field.name.span, Target::Field(name.text.clone(), field.name.text.clone()));
                    self.ty(&field.ty);
                }
            }
            ItemKind::Enum(name, values) => {
                self.define(name.span, Target::Type(name.text.clone()));
                values.iter().for_each(|v| self.define(v.span, Target::Value(name.text.clone(), v.text.clone())));
            }
            ItemKind::Error => {}
        }
    }

    fn composition(&mut self, composition: &Composition) {
        let name = &composition.name.text;
        self.define(composition.name.span, Target::Implementation(name.clone()));
        self.push(composition.task.span, Target::Task(composition.task.text.clone()));
        self.scope = self.parameters(&composition.task.text);
        for stmt in &composition.body {
            if let StmtKind::Knob(knob, _) = &stmt.kind {
                let target = Target::Knob(name.clone(), knob.text.clone());
                self.define(knob.span, target.clone());
                self.scope.push((knob.text.clone(), target));
            }
        }
        self.stmts(&composition.body, None);
        self.scope.clear();
    }

    fn job(&mut self, job: &Job) {
        self.define(job.name.span, Target::Job(job.name.text.clone()));
        self.scope.clear();
        for param in &job.params {
            self.local(&param.name);
            self.ty(&param.ty);
        }
        self.params = self.scope.clone();
        self.ty(&job.result);
        self.stmts(&job.body, None);
        self.scope.clear();
        self.params.clear();
    }

    fn ty(&mut self, ty: &TypeExpr) {
        match &ty.kind {
            TypeKind::Name(name) => self.push(ty.span, Target::Type(name.clone())),
            TypeKind::Applied(name, inner) => {
                self.push(name.span, Target::Type(name.text.clone()));
                self.ty(inner);
            }
            TypeKind::Optional(inner) => self.ty(inner),
            TypeKind::Tuple(fields) => {
                for field in fields {
                    self.define(field.name.span, Target::Part(field.name.text.clone()));
                    self.ty(&field.ty);
                }
            }
            TypeKind::Error => {}
        }
    }

    /// Statements in a scope of their own; `until` sees what they define.
    fn stmts(&mut self, stmts: &[Stmt], until: Option<&Expr>) {
        let depth = self.scope.len();
        stmts.iter().for_each(|s| self.stmt(s));
        until.iter().for_each(|u| self.expr(u));
        self.scope.truncate(depth);
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let(names, ty, value) => {
                self.expr(value);
                ty.iter().for_each(|t| self.ty(t));
                names.iter().for_each(|n| self.local(n));
            }
            StmtKind::Expr(value) => self.expr(value),
            StmtKind::Slo(clauses) => clauses.iter().for_each(|c| self.clause(c)),
            StmtKind::Wish(wishes) => wishes.iter().for_each(|w| self.metric(&w.metric)),
            StmtKind::Prefer(Preference::Clause(clause)) => self.clause(clause),
            StmtKind::Prefer(Preference::Using(using)) | StmtKind::Pin(using) => self.using(using),
            StmtKind::Prefer(Preference::Rule(rule)) | StmtKind::Rule(rule) => self.rule(rule),
            StmtKind::Expect(Expectation::Input { path, .. }) => {
                if let Some((input, sizes)) = path.split_first() {
                    self.input(&input.text, input.span);
                    sizes.iter().for_each(|s| self.push(s.span, Target::Part(s.text.clone())));
                }
            }
            StmtKind::On(name) => self.push(name.span, Target::Cluster(name.text.clone())),
            StmtKind::Expect(_) | StmtKind::Goal(..) | StmtKind::Knob(..) | StmtKind::Profile(..) => {}
            StmtKind::Error => {}
        }
    }

    fn input(&mut self, name: &EcoString, span: Span) {
        if let Some((_, target)) = self.params.iter().find(|(n, _)| n == name).cloned() {
            self.push(span, target);
        }
    }

    fn rule(&mut self, rule: &Property) {
        for value in &rule.values {
            let AtomKind::Word(word) = &value.kind else { continue };
            match rule.name.text.as_str() {
                "pii" => self.input(word, value.span),
                "avoid" => self.push(value.span, Target::Implementation(word.clone())),
                // In a composition.
                "answers" => self.push(value.span, Target::Task(word.clone())),
                _ => {}
            }
        }
    }

    fn metric(&mut self, path: &[Name]) {
        if let (Some(first), Some(last)) = (path.first(), path.last()) {
            let name = path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".");
            self.push(first.span.to(last.span), Target::Metric(name.into()));
        }
    }

    fn clause(&mut self, clause: &Clause) {
        self.metric(&clause.metric);
        self.expr(&clause.limit);
    }

    fn using(&mut self, using: &Using) {
        if let Some(name) = &using.implementation {
            self.push(name.span, Target::Implementation(name.text.clone()));
            using.knobs.iter().for_each(|(k, _)| self.push(k.span, Target::Knob(name.text.clone(), k.text.clone())));
        }
        if let Some(hardware) = &using.hardware {
            self.push(hardware.device.span, Target::Device(hardware.device.text.clone()));
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Name(name) => {
                let found = self.scope.iter().rev().find(|(n, _)| n == name).map(|(_, t)| t.clone());
                let of = || self.owners.get(&expr.span).copied().cloned().or_else(|| self.enum_of(name));
                let value = || of().map(|of| Target::Value(of, name.clone()));
                if let Some(target) = found.or_else(value) {
                    self.push(expr.span, target);
                }
            }
            ExprKind::Hole(_, ty) => ty.iter().for_each(|t| self.ty(t)),
            ExprKind::Field(inner, field) => {
                self.expr(inner);
                let of = self.owners.get(&field.span).copied().cloned().or_else(|| self.record_of(inner));
                self.push(field.span, field_of(of, &field.text));
            }
            ExprKind::Call(call) => self.call(call),
            ExprKind::List(items) => items.iter().for_each(|i| self.expr(i)),
            ExprKind::Tuple(parts) => parts.iter().for_each(|(name, part)| {
                self.push(name.span, Target::Part(name.text.clone()));
                self.expr(part);
            }),
            ExprKind::Unary(_, inner) => self.expr(inner),
            ExprKind::Binary(_, left, right) | ExprKind::Range(left, right) => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::If(branch) => {
                self.expr(&branch.condition);
                self.stmts(&branch.then, None);
                branch.otherwise.iter().for_each(|o| self.stmts(o, None));
            }
            ExprKind::For(name, list, body) => {
                self.expr(list);
                let depth = self.scope.len();
                self.local(name);
                self.stmts(body, None);
                self.scope.truncate(depth);
            }
            ExprKind::Repeat(repeat) => {
                let depth = self.scope.len();
                self.expr(&repeat.limit);
                if let Some((name, first)) = &repeat.carry {
                    self.expr(first);
                    self.local(name);
                }
                self.stmts(&repeat.body, Some(&repeat.until));
                self.scope.truncate(depth);
            }
            ExprKind::Block(stmts) => self.stmts(stmts, None),
            ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Bool(_) | ExprKind::Error => {}
        }
    }

    /// The tasks that an agent is given.
    fn tools(&mut self, value: &Expr) {
        match &value.kind {
            ExprKind::List(items) => items.iter().for_each(|item| self.tools(item)),
            ExprKind::Name(task) if self.library.tasks.contains_key(task) => {
                self.push(value.span, Target::Task(task.clone()));
            }
            _ => self.expr(value),
        }
    }

    /// An enum that has a value of this name, where the checker does not say which is meant.
    fn enum_of(&self, name: &EcoString) -> Option<EcoString> {
        let has = |ty: &Type| matches!(ty, Type::Enum(_, values) if values.contains(name));
        self.library.types.iter().find(|(_, (ty, _))| has(ty)).map(|(n, _)| n.clone())
    }

    fn call(&mut self, call: &Call) {
        let name = &call.callee.text;
        let job = self.jobs.get(name).copied().filter(|_| !self.library.tasks.contains_key(name));
        let target = match job {
            Some(_) => Target::Job(name.clone()),
            None if self.library.types.contains_key(name) => Target::Type(name.clone()),
            None => Target::Task(name.clone()),
        };
        for (given, value) in &call.args {
            if let Some(given) = given {
                let param = job.and_then(|j| j.params.iter().find(|p| p.name.text == given.text));
                let meant = match (&target, param) {
                    (Target::Job(_), Some(param)) => Target::Local(param.name.span),
                    (Target::Type(of), _) => Target::Field(of.clone(), given.text.clone()),
                    _ => Target::Parameter(name.clone(), given.text.clone()),
                };
                self.push(given.span, meant);
            }
            let tools = given.as_ref().is_some_and(|given| name == AGENT && given.text == "tools");
            if tools { self.tools(value) } else { self.expr(value) }
        }
        self.push(call.callee.span, target);
        for suffix in &call.suffixes {
            match suffix {
                Suffix::Using(using) => self.using(using),
                Suffix::Fallback(name) => self.push(name.span, Target::Implementation(name.text.clone())),
                Suffix::Retry(_) | Suffix::Timeout(_) | Suffix::Cache(_) => {}
            }
        }
    }
}

/// A field of a record, if the record has a name.
fn field_of(record: Option<EcoString>, field: &EcoString) -> Target {
    match record.filter(|record| !record.is_empty()) {
        Some(record) => Target::Field(record, field.clone()),
        None => Target::Part(field.clone()),
    }
}
