//! Types as written → types.

use super::errors;
use crate::diag::source::Span;
use crate::diag::{Diagnostics, nearest};
use crate::library::errors::declared_twice;
use crate::syntax::ast::{Item, ItemKind, Param, TypeExpr, TypeKind};
use crate::types::Type;
use ecow::EcoString;
use std::collections::BTreeMap;

/// Records and enums by name, with their place.
pub type Declared = BTreeMap<EcoString, (Type, Span)>;

/// Declares the records and enums of some items; records may use those declared before them.
pub fn declare<'a>(items: impl Iterator<Item = &'a Item>, declared: &mut Declared, cx: &mut Diagnostics) {
    for item in items {
        let (name, ty) = match &item.kind {
            ItemKind::Record(name, fields) => (name, Type::Record(name.text.clone(), params(fields, declared, cx))),
            ItemKind::Enum(name, values) => {
                (name, Type::Enum(name.text.clone(), values.iter().map(|v| v.text.clone()).collect()))
            }
            _ => continue,
        };
        if let Some((_, first)) = declared.get(&name.text) {
            cx.push(declared_twice(name.span, "type", &name.text, *first));
        } else if Type::built_in(&name.text).is_some() || name.text == "List" {
            cx.push(errors::built_in_type(name.span, &name.text));
        } else {
            declared.insert(name.text.clone(), (ty, name.span));
        }
    }
}

/// Resolves parameters or fields; a name given twice is reported.
pub fn params(params: &[Param], declared: &Declared, cx: &mut Diagnostics) -> Vec<(EcoString, Type)> {
    let mut resolved: Vec<(EcoString, Type)> = Vec::with_capacity(params.len());
    for (i, param) in params.iter().enumerate() {
        if let Some(first) = params[..i].iter().find(|p| p.name.text == param.name.text) {
            cx.push(declared_twice(param.name.span, "name", &param.name.text, first.name.span));
            continue;
        }
        resolved.push((param.name.text.clone(), resolve(&param.ty, declared, cx)));
    }
    resolved
}

/// Resolves a type.
pub fn resolve(ty: &TypeExpr, declared: &Declared, cx: &mut Diagnostics) -> Type {
    match &ty.kind {
        TypeKind::Name(name) => match Type::built_in(name).or_else(|| declared.get(name).map(|(t, _)| t.clone())) {
            Some(ty) => ty,
            None if name == "List" => {
                cx.push(errors::list_of_what(ty.span));
                Type::Unknown
            }
            None => {
                let names = Type::BUILT_IN.iter().map(|(n, _)| *n).chain(declared.keys().map(|k| k.as_str()));
                cx.push(errors::unknown_type(ty.span, name, nearest(name, names)));
                Type::Unknown
            }
        },
        TypeKind::Applied(name, item) if name.text == "List" => Type::List(Box::new(resolve(item, declared, cx))),
        TypeKind::Applied(name, _) if name.text.eq_ignore_ascii_case("list") => {
            cx.push(errors::unknown_type(name.span, &name.text, Some("List")));
            Type::Unknown
        }
        TypeKind::Applied(name, _) => {
            cx.push(errors::takes_no_type(name.span, &name.text));
            Type::Unknown
        }
        TypeKind::Optional(inner) => match resolve(inner, declared, cx) {
            already @ Type::Optional(_) => already,
            inner => Type::Optional(Box::new(inner)),
        },
        TypeKind::Tuple(fields) => Type::Record(EcoString::new(), params(fields, declared, cx)),
        TypeKind::Error => Type::Unknown,
    }
}
