//! Tree + fills → tree without holes.

use super::errors;
use super::lock::Lock;
use crate::check::program::{Job, Program};
use crate::diag::Diagnostics;
use crate::diag::source::Sources;
use crate::syntax::ast::{self, Expr, ExprKind, File, ItemKind, Stmt, StmtKind};
use crate::syntax::parse::parse;

/// Puts the fills into the tree. Fills are parsed like any source, each from a source of its own, so that errors show it.
pub fn apply(tree: &File, program: &Program, fills: &Lock, sources: &mut Sources, cx: &mut Diagnostics) -> File {
    let mut tree = tree.clone();
    for item in &mut tree.items {
        let ItemKind::Job(job) = &mut item.kind else { continue };
        let Some(typed) = program.jobs.iter().find(|j| j.name == job.name.text) else { continue };
        let mut pass = Pass { typed, fills, sources, cx, within: false, holey: false };
        if crate::check::is_one_hole(job) {
            let span = job.name.span;
            if let Some(stmts) = pass.fill_at(span) {
                job.body.push(Stmt { span, kind: StmtKind::Expr(Expr { span, kind: ExprKind::Block(stmts) }) });
            }
        } else {
            pass.stmts(&mut job.body);
        }
    }
    tree
}

struct Pass<'a> {
    typed: &'a Job,
    fills: &'a Lock,
    sources: &'a mut Sources,
    cx: &'a mut Diagnostics,
    /// Whether this looks through a fill, and whether it has met a hole there.
    within: bool,
    holey: bool,
}

impl Pass<'_> {
    /// The statements that fill the hole at a place.
    fn fill_at(&mut self, at: crate::diag::source::Span) -> Option<Vec<Stmt>> {
        let hole = self.typed.holes.iter().find(|h| h.span == at)?;
        let entry = self.fills.find(&self.typed.name, &hole.name)?;
        // A fill is a job's body; what is not one leaves the parser in another shape than this, and is refused.
        let text = format!("job fill() -> Text {{\n{}\n}}\n", entry.fill);
        let file = self.sources.add(format!("{}.{} (lock file)", self.typed.name, hole.name), text);
        let before = self.cx.has_errors();
        let parsed = parse(file, self.sources, self.cx);
        match parsed.items.as_slice() {
            [ast::Item { kind: ItemKind::Job(job), .. }] if before || !self.cx.has_errors() => {
                let computes = |s: &Stmt| matches!(s.kind, StmtKind::Let(..) | StmtKind::Expr(_));
                let mut body = job.body.clone();
                // A hole in a fill would stay open for good.
                if body.iter().all(computes) && !self.holey(&mut body) {
                    return Some(body);
                }
                self.cx.push(errors::bad_fill(at, &self.typed.name, &hole.name));
                None
            }
            _ => {
                self.cx.push(errors::bad_fill(at, &self.typed.name, &hole.name));
                None
            }
        }
    }

    /// Whether a fill has holes of its own.
    fn holey(&mut self, body: &mut [Stmt]) -> bool {
        (self.within, self.holey) = (true, false);
        self.stmts(body);
        self.within = false;
        self.holey
    }

    fn stmts(&mut self, stmts: &mut [Stmt]) {
        for stmt in stmts {
            match &mut stmt.kind {
                StmtKind::Let(_, _, value) | StmtKind::Expr(value) => self.expr(value),
                _ => {}
            }
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Hole(..) if self.within => self.holey = true,
            ExprKind::Hole(..) => {
                if let Some(stmts) = self.fill_at(expr.span) {
                    expr.kind = ExprKind::Block(stmts);
                }
            }
            ExprKind::Field(inner, _) | ExprKind::Unary(_, inner) => self.expr(inner),
            ExprKind::Call(call) => call.args.iter_mut().for_each(|(_, a)| self.expr(a)),
            ExprKind::List(items) => items.iter_mut().for_each(|i| self.expr(i)),
            ExprKind::Tuple(parts) => parts.iter_mut().for_each(|(_, part)| self.expr(part)),
            ExprKind::Binary(_, left, right) => {
                self.expr(left);
                self.expr(right);
            }
            ExprKind::If(branch) => {
                self.expr(&mut branch.condition);
                self.stmts(&mut branch.then);
                branch.otherwise.iter_mut().for_each(|o| self.stmts(o));
            }
            ExprKind::Range(from, to) => {
                self.expr(from);
                self.expr(to);
            }
            ExprKind::For(_, list, body) => {
                self.expr(list);
                self.stmts(body);
            }
            ExprKind::Repeat(repeat) => {
                repeat.carry.iter_mut().for_each(|(_, first)| self.expr(first));
                self.stmts(&mut repeat.body);
                self.expr(&mut repeat.until);
            }
            ExprKind::Block(stmts) => self.stmts(stmts),
            ExprKind::Name(_) | ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Bool(_) | ExprKind::Error => {}
        }
    }
}
