//! Expressions of the tree → size expressions: what work there is and how large results are, in terms of the sizes of the
//! arguments and the knobs.

use super::errors;
use crate::diag::Diagnostics;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::types::{Size, Type};
use crate::units::{self, Dimension};
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An arithmetic expression over sizes and knobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SizeExpr {
    /// A constant, in base units.
    Number(Decimal),
    /// A size of a parameter: `frames` and `count`; `videos` and `item.duration`.
    Size(#[schemars(with = "String")] EcoString, #[schemars(with = "String")] EcoString),
    /// The value of a knob.
    Knob(#[schemars(with = "String")] EcoString),
    /// An operation.
    Apply(SizeOp, Vec<SizeExpr>),
}

/// The operations on sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SizeOp {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Ceil,
}

impl SizeExpr {
    /// The expression with knobs replaced by their values.
    pub fn with_knobs(&self, knobs: &dyn Fn(&str) -> Option<Decimal>) -> SizeExpr {
        match self {
            SizeExpr::Knob(name) => knobs(name).map_or_else(|| self.clone(), SizeExpr::Number),
            SizeExpr::Apply(op, args) => SizeExpr::Apply(*op, args.iter().map(|a| a.with_knobs(knobs)).collect()),
            other => other.clone(),
        }
    }

    /// Whether a knob changes it.
    pub fn uses_knob(&self) -> bool {
        match self {
            SizeExpr::Knob(_) => true,
            SizeExpr::Apply(_, args) => args.iter().any(SizeExpr::uses_knob),
            _ => false,
        }
    }
}

/// Applies an operation; `None` where it has no value (division by zero, overflow).
pub fn apply(op: SizeOp, args: &[Decimal]) -> Option<Decimal> {
    let (a, b) = (*args.first()?, args.get(1).copied());
    match op {
        SizeOp::Add => a.checked_add(b?),
        SizeOp::Sub => a.checked_sub(b?).map(|d| d.max(Decimal::ZERO)),
        SizeOp::Mul => a.checked_mul(b?),
        SizeOp::Div => a.checked_div(b?),
        SizeOp::Min => Some(a.min(b?)),
        SizeOp::Max => Some(a.max(b?)),
        SizeOp::Ceil => Some(a.ceil()),
    }
}

/// What names mean inside a size expression.
pub struct Scope<'a> {
    /// The parameters.
    pub params: &'a [(EcoString, Type)],
    /// The knobs, with their values.
    pub knobs: &'a [(EcoString, Vec<EcoString>)],
}

/// Reads a size expression; reports what is wrong with it and yields `None`.
pub fn lower(expr: &Expr, scope: &Scope, cx: &mut Diagnostics) -> Option<(SizeExpr, Dimension)> {
    match &expr.kind {
        ExprKind::Number(quantity) => {
            let measure = crate::check::quantity::measure(quantity, cx)?;
            Some((SizeExpr::Number(measure.value), measure.dimension))
        }
        ExprKind::Name(name) => {
            if let Some((_, values)) = scope.knobs.iter().find(|(n, _)| n == name) {
                if values.iter().any(|v| v.parse::<Decimal>().is_err()) {
                    cx.push(errors::knob_is_no_number(expr.span, name));
                    return None;
                }
                return Some((SizeExpr::Knob(name.clone()), Dimension::NONE));
            }
            cx.push(errors::unknown_size(expr.span, name, scope));
            None
        }
        ExprKind::Field(..) => {
            let (param, path) = path_of(expr)?;
            let Some((_, ty)) = scope.params.iter().find(|(n, _)| *n == param) else {
                cx.push(errors::unknown_size(expr.span, &param, scope));
                return None;
            };
            match size_of(ty, &path) {
                Some(size) => Some((SizeExpr::Size(param, path), dimension_of(size))),
                None => {
                    cx.push(errors::no_such_size(expr.span, &param, &path, ty));
                    None
                }
            }
        }
        ExprKind::Binary(op, x, y) => {
            let ((a, da), (b, db)) = (lower(x, scope, cx)?, lower(y, scope, cx)?);
            let (op, dimension) = match op {
                BinaryOp::Add => (SizeOp::Add, da),
                BinaryOp::Sub => (SizeOp::Sub, da),
                BinaryOp::Mul => (SizeOp::Mul, da.times(db)),
                BinaryOp::Div => (SizeOp::Div, da.per(db)),
                _ => {
                    cx.push(errors::not_a_size(expr.span));
                    return None;
                }
            };
            if matches!(op, SizeOp::Add | SizeOp::Sub) && da != db {
                cx.push(errors::dimensions_differ(expr.span, x.span, da, y.span, db));
                return None;
            }
            Some((SizeExpr::Apply(op, vec![a, b]), dimension))
        }
        ExprKind::Call(call) => {
            let op = match (call.callee.text.as_str(), call.args.len()) {
                ("min", 2) => SizeOp::Min,
                ("max", 2) => SizeOp::Max,
                ("ceil", 1) => SizeOp::Ceil,
                _ => {
                    cx.push(errors::not_a_size(expr.span));
                    return None;
                }
            };
            let args: Option<Vec<_>> = call.args.iter().map(|(_, a)| lower(a, scope, cx)).collect();
            let args = args?;
            let dimension = args[0].1;
            if let Some((i, (_, other))) = args.iter().enumerate().find(|(_, (_, d))| *d != dimension) {
                cx.push(errors::dimensions_differ(
                    expr.span,
                    call.args[0].1.span,
                    dimension,
                    call.args[i].1.span,
                    *other,
                ));
                return None;
            }
            Some((SizeExpr::Apply(op, args.into_iter().map(|(e, _)| e).collect()), dimension))
        }
        ExprKind::Unary(UnaryOp::Neg, _) => {
            cx.push(errors::not_a_size(expr.span));
            None
        }
        ExprKind::Error => None,
        _ => {
            cx.push(errors::not_a_size(expr.span));
            None
        }
    }
}

/// `a.b.c` as `a` and `b.c`.
fn path_of(expr: &Expr) -> Option<(EcoString, EcoString)> {
    match &expr.kind {
        ExprKind::Field(inner, name) => match &inner.kind {
            ExprKind::Name(param) => Some((param.clone(), name.text.clone())),
            _ => path_of(inner).map(|(param, path)| (param, eco_format!("{path}.{}", name.text))),
        },
        _ => None,
    }
}

/// The size behind a path in a value of a type: `count`, `item.duration`, `frames.count`.
pub fn size_of(ty: &Type, path: &str) -> Option<Size> {
    if let Type::Optional(inner) = ty {
        return size_of(inner, path);
    }
    if let Some((_, size)) = ty.sizes().iter().find(|(n, _)| *n == path) {
        return Some(*size);
    }
    let (head, rest) = path.split_once('.')?;
    match ty {
        Type::List(item) if head == "item" => size_of(item, rest),
        Type::Record(_, fields) => fields.iter().find(|(n, _)| n == head).and_then(|(_, t)| size_of(t, rest)),
        _ => None,
    }
}

/// The dimension of a size.
pub fn dimension_of(size: Size) -> Dimension {
    match size {
        Size::Seconds => units::Dimension::TIME,
        Size::Tokens => units::Dimension::TOKENS,
        Size::Count => units::Dimension::NONE,
    }
}
