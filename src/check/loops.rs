//! `if`, `for`, and `repeat`: what is carried from round to round, and `until` in the scope of a round.

use super::body::BodyPass;
use super::program::{Block, Count, Expr, ExprKind, If, Repeat};
use super::{compose, errors, quantity};
use crate::diag::source::Span;
use crate::syntax::ast::{self, StmtKind};
use crate::types::Type;

impl BodyPass<'_> {
    pub(super) fn branches(&mut self, branch: &ast::If, wanted: Option<&Type>, span: Span) -> Expr {
        let condition = self.expr(&branch.condition, Some(&Type::Bool));
        let share = branch.share.as_ref().and_then(|q| compose::share(q, self.cx));
        let then = self.block(&branch.then, wanted, span);
        let ty = wanted.cloned().or_else(|| then.result.as_ref().map(|r| r.ty.clone())).unwrap_or(Type::Unknown);
        let Some(otherwise) = &branch.otherwise else {
            self.job.broken = true;
            self.cx.push(errors::no_else(span));
            return Expr { span, ty, kind: ExprKind::Error };
        };
        let otherwise = self.block(otherwise, Some(&ty), span);
        Expr { span, ty, kind: ExprKind::If(Box::new(If { condition, share, then, otherwise })) }
    }

    pub(super) fn for_each(
        &mut self,
        name: &ast::Name,
        list: &ast::Expr,
        body: &[ast::Stmt],
        wanted: Option<&Type>,
        span: Span,
    ) -> Expr {
        let list = self.expr(list, None);
        let item = match &list.ty {
            Type::List(item) => (**item).clone(),
            Type::Unknown => Type::Unknown,
            other => {
                self.cx.push(errors::not_a_list(list.span, other));
                Type::Unknown
            }
        };
        let wanted = if let Some(Type::List(item)) = wanted { Some((**item).clone()) } else { None };
        let depth = self.scope.depth();
        let id = self.define(name.text.clone(), name.span, item);
        let body = self.block(body, wanted.as_ref(), span);
        self.scope.leave(depth);
        let item = body.result.as_ref().map_or(Type::Unknown, |r| r.ty.clone());
        Expr { span, ty: Type::List(Box::new(item)), kind: ExprKind::For(id, Box::new(list), body) }
    }

    pub(super) fn repeat(&mut self, repeat: &ast::Repeat, wanted: Option<&Type>, span: Span) -> Expr {
        let limit = self.count(&repeat.limit, "the number of rounds").unwrap_or(Count::Number(1));
        if self.least(limit) == 0 {
            self.cx.push(errors::no_rounds(repeat.limit.span));
        }
        let expected = repeat.expected.as_ref().and_then(|q| quantity::whole(q, "the usual number of rounds", self.cx));
        if let (Some(q), Some(usual), Count::Number(most)) = (&repeat.expected, expected, limit)
            && !(1..=most.max(1)).contains(&usual)
        {
            let message = format!("`expect {usual}` counts as `expect {}`", usual.clamp(1, most.max(1)));
            let help = format!("write a number from 1 to {most}");
            self.cx.push(errors::no_effect(q.span, message, "not a number of rounds that there can be", &help));
        }
        let depth = self.scope.depth();
        let carry = repeat.carry.as_ref().map(|(name, first)| {
            let first = self.expr(first, wanted);
            (self.define(name.text.clone(), name.span, first.ty.clone()), first)
        });
        let wanted = carry.as_ref().map(|(_, first)| first.ty.clone()).or_else(|| wanted.cloned());
        // `until` sees what the body defines.
        let until_stmt =
            ast::Stmt { span: repeat.until.span, kind: StmtKind::Let(Vec::new(), None, repeat.until.clone()) };
        let mut body = self.round(&repeat.body, until_stmt, wanted.as_ref(), span);
        let until = body.lets.pop().map_or(Expr { span, ty: Type::Unknown, kind: ExprKind::Error }, |l| l.value);
        if !until.ty.fits(&Type::Bool) {
            self.cx.push(errors::wrong_type(until.span, &Type::Bool, &until.ty, None));
        }
        self.scope.leave(depth);
        let ty = body.result.as_ref().map_or(Type::Unknown, |r| r.ty.clone());
        let repeat = Repeat { carry, limit, expected, body, until };
        Expr { span, ty, kind: ExprKind::Repeat(Box::new(repeat)) }
    }

    /// A round's block with its `until` checked in the block's own scope; `until` becomes the last `let`.
    fn round(&mut self, stmts: &[ast::Stmt], until: ast::Stmt, wanted: Option<&Type>, at: Span) -> Block {
        let last_value = stmts.iter().rposition(|s| matches!(s.kind, StmtKind::Expr(_)));
        let mut ordered: Vec<ast::Stmt> = stmts.to_vec();
        match last_value {
            Some(i) => ordered.insert(i, until),
            None => ordered.push(until),
        }
        let mut block = self.block(&ordered, wanted, at);
        // Statements behind the result do not exist; the `until` is the last binding without names.
        if let Some(i) = block.lets.iter().rposition(|l| l.names.is_empty()) {
            let until = block.lets.remove(i);
            block.lets.push(until);
        }
        block
    }
}
