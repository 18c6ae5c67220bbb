//! Placeholders in commands and prompts → errors where they stand for nothing.

use super::errors;
use crate::diag::{Diagnostics, nearest};
use crate::syntax::ast::{Atom, AtomKind, Property};
use std::collections::BTreeSet;

/// What the runtime fills in by itself.
pub const OWN: [&str; 6] = ["units", "device", "out", "rate", "script", "calls"];

/// Reports placeholders of some settings that name neither a parameter, nor a knob, nor what the runtime fills in.
pub fn check(settings: &[Property], known: &BTreeSet<&str>, cx: &mut Diagnostics) {
    for atom in settings.iter().flat_map(|s| &s.values) {
        check_atom(atom, known, cx);
    }
}

/// The same for one value.
pub fn check_atom(atom: &Atom, known: &BTreeSet<&str>, cx: &mut Diagnostics) {
    match &atom.kind {
        AtomKind::List(items) => items.iter().for_each(|a| check_atom(a, known, cx)),
        AtomKind::Text(text) => {
            for name in names(text).filter(|n| !known.contains(n)) {
                cx.push(errors::unknown_placeholder(atom.span, name, nearest(name, known.iter().copied())));
            }
        }
        _ => {}
    }
}

/// The first parts of `{name}` and `{name.part}` in a text; braces around anything else are text.
fn names(text: &str) -> impl Iterator<Item = &str> {
    places(text).map(|(_, name)| name)
}

/// The same, each with the byte that it begins at.
pub fn places(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let behind = text.match_indices('{').map(move |(at, _)| (at + 1, &text[at + 1..]));
    let inside = behind.filter_map(|(at, rest)| Some((at, rest.split_once('}')?.0)));
    let path = |(_, t): &(usize, &str)| {
        t.starts_with(|c: char| c.is_ascii_lowercase())
            && t.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
    };
    inside.filter(path).map(|(at, t)| (at, t.split('.').next().unwrap_or(t)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_names_in_braces_are_placeholders() {
        let found: Vec<&str> = super::names("{video.file} {x} {} {1} {'a': 2} {A} {a b} {").collect();
        assert_eq!(found, ["video", "x"]);
    }
}
