//! Operators on two values: what goes with what, and what comes of it.

use super::body::BodyPass;
use super::errors;
use super::program::{Expr, ExprKind};
use crate::diag::source::Span;
use crate::syntax::ast::{self, BinaryOp};
use crate::types::Type;
use crate::units::{self, Dimension};

impl BodyPass<'_> {
    /// Both sides of a comparison: the value of an enum is one of what the other side is.
    fn compared(&mut self, left: &ast::Expr, right: &ast::Expr) -> (Expr, Expr) {
        let free = |pass: &Self, e: &ast::Expr| matches!(&e.kind, ast::ExprKind::Name(n) if !pass.in_scope(n));
        if free(self, left) && !free(self, right) {
            let right = self.expr(right, None);
            let ty = right.ty.clone();
            return (self.infer(left, Some(&ty)), right);
        }
        let left = self.expr(left, None);
        let right = match free(self, right) {
            true => self.infer(right, Some(&left.ty.clone())),
            false => self.expr(right, None),
        };
        (left, right)
    }

    pub(super) fn binary(&mut self, op: BinaryOp, left: &ast::Expr, right: &ast::Expr, span: Span) -> Expr {
        let compares = !matches!(op, BinaryOp::Mul | BinaryOp::Div | BinaryOp::And | BinaryOp::Or);
        if let (true, Some(a), Some(b)) = (compares, dimension(left), dimension(right))
            && a != b
        {
            self.cx.push(crate::library::errors::dimensions_differ(span, left.span, a, right.span, b));
        }
        if op == BinaryOp::Or {
            return self.either(left, right, span);
        }
        let wanted = (op == BinaryOp::And).then_some(Type::Bool);
        let (left, right) = match op {
            BinaryOp::Eq | BinaryOp::Ne => self.compared(left, right),
            BinaryOp::Add => {
                let left = self.expr(left, None);
                // A list of values of an enum, behind one of the same.
                let of_enum = matches!(&left.ty, Type::List(item) if matches!(**item, Type::Enum(..)));
                let hint = Some(&left.ty).filter(|_| of_enum && matches!(right.kind, ast::ExprKind::List(_)));
                let right = self.expr(right, hint);
                (left, right)
            }
            _ => (self.expr(left, wanted.as_ref()), self.expr(right, wanted.as_ref())),
        };
        let number = |t: &Type| matches!(t, Type::Int | Type::Float | Type::Unknown);
        let (a, b) = (&left.ty, &right.ty);
        let arithmetic = || if *a == Type::Int && *b == Type::Int { Type::Int } else { Type::Float };
        let ty = match op {
            BinaryOp::And => Some(Type::Bool),
            BinaryOp::Add if *a == Type::Text && *b == Type::Text => Some(Type::Text),
            BinaryOp::Add if matches!(a, Type::List(_)) && b.fits(a) => Some(a.clone()),
            BinaryOp::Add if matches!(b, Type::List(_)) && a.fits(b) => Some(b.clone()),
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul if number(a) && number(b) => Some(arithmetic()),
            BinaryOp::Div if number(a) && number(b) => Some(Type::Float),
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge if number(a) && number(b) => Some(Type::Bool),
            BinaryOp::Eq | BinaryOp::Ne if (a.fits(b) || b.fits(a)) && a.is_data() => Some(Type::Bool),
            _ => None,
        };
        match ty {
            _ if left.ty == Type::Unknown || right.ty == Type::Unknown => Expr {
                span,
                ty: ty.filter(|t| *t == Type::Bool).unwrap_or(Type::Unknown),
                kind: ExprKind::Binary(op, Box::new(left), Box::new(right)),
            },
            Some(ty) => Expr { span, ty, kind: ExprKind::Binary(op, Box::new(left), Box::new(right)) },
            None => {
                self.cx.push(errors::bad_operands(span, op.text(), (left.span, &left.ty), (right.span, &right.ty)));
                Expr { span, ty: Type::Unknown, kind: ExprKind::Error }
            }
        }
    }
}

impl BodyPass<'_> {
    /// `a or b`: of two truths whether one holds; of a value that may be absent, it or what stands in for it.
    fn either(&mut self, left: &ast::Expr, right: &ast::Expr, span: Span) -> Expr {
        let make = |ty, left, right| {
            let kind = ExprKind::Binary(BinaryOp::Or, Box::new(left), Box::new(right));
            Expr { span, ty, kind }
        };
        let left = self.infer(left, Some(&Type::Bool));
        let Type::Optional(inner) = left.ty.clone() else {
            let left = self.fitting(left, Some(&Type::Bool), None);
            let right = self.expr(right, Some(&Type::Bool));
            return make(Type::Bool, left, right);
        };
        // Where what stands in may be absent too, so may be what comes of it.
        let right = self.infer(right, Some(&inner));
        if matches!(right.ty, Type::Optional(_)) {
            let right = self.fitting(right, Some(&left.ty), None);
            return make(left.ty.clone(), left, right);
        }
        let right = self.fitting(right, Some(&inner), None);
        make(*inner, left, right)
    }
}

/// What an expression measures, where its unit or the size that it names says so.
fn dimension(expr: &ast::Expr) -> Option<Dimension> {
    match &expr.kind {
        ast::ExprKind::Number(q) => {
            q.unit.as_ref().and_then(|u| units::resolve(&u.text)).map(|(dimension, _)| dimension)
        }
        ast::ExprKind::Field(_, name) if name.text == "duration" => Some(Dimension::TIME),
        ast::ExprKind::Unary(_, inner) => dimension(inner),
        ast::ExprKind::Binary(BinaryOp::Add | BinaryOp::Sub, left, right) => {
            dimension(left).or_else(|| dimension(right))
        }
        _ => None,
    }
}
