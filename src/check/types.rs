//! Types as written → types.

use super::errors;
use crate::diag::source::Span;
use crate::diag::{Diagnostics, nearest};
use crate::library::errors::declared_twice;
use crate::syntax::ast::{Item, ItemKind, Name, Param, TypeExpr, TypeKind};
use crate::types::Type;
use ecow::EcoString;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Records and enums by name, with their place.
pub type Declared = BTreeMap<EcoString, (Type, Span)>;

/// Declares the records and enums of some items, in whatever order they stand; a record cannot contain itself.
pub fn declare<'a>(items: impl Iterator<Item = &'a Item>, declared: &mut Declared, cx: &mut Diagnostics) {
    for item in in_order(items) {
        let (name, ty) = match &item.kind {
            ItemKind::Record(name, fields) => (name, record(name, fields, declared, cx)),
            ItemKind::Enum(name, values) => {
                let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
                for value in values {
                    match seen.entry(&value.text) {
                        Entry::Vacant(new) => _ = new.insert(value.span),
                        Entry::Occupied(first) => {
                            cx.push(declared_twice(value.span, "value", &value.text, *first.get()));
                        }
                    }
                }
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

/// The most values that a record holds, those of the records in it included, and the most records inside each other: every pass
/// walks them.
const MOST_PARTS: usize = 4_096;
const MOST_DEPTH: usize = 64;

/// A record; its size is found before the types of its fields are copied into it.
fn record(name: &Name, fields: &[Param], declared: &Declared, cx: &mut Diagnostics) -> Type {
    let mut names = Vec::new();
    fields.iter().for_each(|field| named(&field.ty, &mut names));
    let inner = names.iter().filter_map(|name| declared.get(*name)).map(|(ty, _)| extent(ty));
    let (parts, depth) = inner.fold((fields.len(), 0), |(parts, depth), (p, d)| (parts + p, depth.max(d)));
    if parts > MOST_PARTS || depth >= MOST_DEPTH {
        cx.push(errors::record_too_large(name.span, &name.text, MOST_PARTS, MOST_DEPTH));
        return Type::Unknown;
    }
    Type::Record(name.text.clone(), params(fields, declared, cx))
}

/// The values in a type, and how many records stand inside each other.
fn extent(ty: &Type) -> (usize, usize) {
    match ty {
        Type::List(inner) | Type::Optional(inner) => extent(inner),
        Type::Record(_, fields) => {
            let inner = fields.iter().map(|(_, ty)| extent(ty));
            let (parts, depth) = inner.fold((0, 0), |(parts, depth), (p, d)| (parts + p, depth.max(d)));
            (parts + fields.len(), depth + 1)
        }
        _ => (0, 0),
    }
}

/// Records and enums, each behind those that it uses; the others of a ring as they stand.
fn in_order<'a>(items: impl Iterator<Item = &'a Item>) -> Vec<&'a Item> {
    let items: Vec<(&'a EcoString, &'a Item)> = items
        .filter_map(|item| match &item.kind {
            ItemKind::Record(name, _) | ItemKind::Enum(name, _) => Some((&name.text, item)),
            _ => None,
        })
        .collect();
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, (name, _)) in items.iter().enumerate() {
        place.entry(name.as_str()).or_insert(at);
    }
    let uses = |at: usize| {
        let mut names = Vec::new();
        if let ItemKind::Record(_, fields) = &items[at].1.kind {
            fields.iter().for_each(|field| named(&field.ty, &mut names));
        }
        names.into_iter().filter_map(|name| place.get(name.as_str()).copied()).collect::<Vec<usize>>()
    };
    let (mut order, mut seen) = (Vec::with_capacity(items.len()), vec![false; items.len()]);
    for first in 0..items.len() {
        // A stack of its own: a long chain of records must not use up that of the process.
        let mut open = vec![(first, 0)];
        while let Some((at, next)) = open.pop() {
            if next == 0 && std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match uses(at).get(next) {
                Some(used) => open.extend([(at, next + 1), (*used, 0)]),
                None => order.push(items[at].1),
            }
        }
    }
    order
}

/// The names in a type.
fn named<'a>(ty: &'a TypeExpr, names: &mut Vec<&'a EcoString>) {
    match &ty.kind {
        TypeKind::Name(name) => names.push(name),
        TypeKind::Applied(_, inner) | TypeKind::Optional(inner) => named(inner, names),
        TypeKind::Tuple(fields) => fields.iter().for_each(|field| named(&field.ty, names)),
        TypeKind::Error => {}
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
