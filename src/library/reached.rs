//! The settings of an engine that reaches models or tools of others → errors where one is missing, or is none of that engine's.

use super::{CALLS, TOGETHER, errors};
use crate::diag::{Diagnostics, nearest};
use crate::syntax::ast::{Atom, AtomKind, Name, Property};
use ecow::EcoString;

/// Of an engine: the settings that it must have (any one of each group), and those that it may have.
type Settings = (&'static [&'static [&'static str]], &'static [&'static str]);

fn settings(engine: &str) -> Option<Settings> {
    Some(match engine {
        "openai" => (&[], &["api", "model", "named", "reasoning", "url", "url_env", "key", "together"]),
        "anthropic" | "bedrock" => (&[], &["model", "named", "reasoning", "url", "url_env", "key"]),
        "server" => (
            &[&["serve", "url"]],
            &[
                "api",
                "model",
                "named",
                "reasoning",
                "url",
                "url_env",
                "key",
                "weights",
                "context",
                "arguments",
                "together",
            ],
        ),
        "python" => (&[&["module"], &["function"]], &["interpreter", "together"]),
        "worker" => (
            &[&["serve"], &["model", "named"], &["function"]],
            &[
                "sha256",
                "language",
                "mode",
                "labels",
                "least",
                "max_tokens",
                "temperature",
                "top_p",
                "seed",
                "stop",
                "together",
            ],
        ),
        "mcp" => (&[&["command", "url"], &["tool"], &["schema"]], &["env", "url_env", "key", "name", "null", "answer"]),
        "http" => (
            &[&["method"], &["url"], &["path"]],
            &["url_env", "query", "header", "field", "body", "key", "key_in", "answer"],
        ),
        _ => return None,
    })
}

/// Checks the settings of an engine, where it is one of these.
pub fn check(kind: &Name, given: &[Property], cx: &mut Diagnostics) {
    let Some((needed, further)) = settings(&kind.text) else { return };
    for group in needed {
        if !given.iter().any(|p| group.contains(&p.name.text.as_str())) {
            cx.push(errors::missing_setting(kind.span, &kind.text, group));
        }
    }
    let known = || needed.iter().flat_map(|group| group.iter()).chain(further).copied();
    // The label is not on its line, which is not to be shown.
    if given.iter().any(|p| p.name.text == "key" && !names_variable(p)) {
        cx.push(errors::literal_key(kind.span, &kind.text));
    }
    // A line that did not parse has no name, and was reported.
    for p in given.iter().filter(|p| !p.name.text.is_empty() && !known().any(|k| k == p.name.text)) {
        cx.push(errors::unknown_setting(p.name.span, &kind.text, &p.name.text, nearest(&p.name.text, known())));
    }
}

/// Whether a key is given as `env NAME`: the name of a variable of the environment.
fn names_variable(key: &Property) -> bool {
    let word = |atom: &Atom| match &atom.kind {
        AtomKind::Word(word) => Some(word.clone()),
        _ => None,
    };
    let name = |word: &str| {
        !word.starts_with(|c: char| c.is_ascii_digit()) && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match key.values.as_slice() {
        [env, variable] => word(env).is_some_and(|w| w == "env") && word(variable).is_some_and(|w| name(&w)),
        _ => false,
    }
}

/// Checks how many calls an engine takes as one: a whole number, or a knob of whole numbers; and that a program is told which.
pub fn check_together(kind: &Name, given: &[Property], knobs: &[(EcoString, Vec<EcoString>)], cx: &mut Diagnostics) {
    let Some(p) = given.iter().find(|p| p.name.text == TOGETHER) else { return };
    let counts = |text: &str| text.parse::<u32>().is_ok_and(|calls| calls > 0);
    let said = match p.values.as_slice() {
        [Atom { kind: AtomKind::Quantity(q), .. }] => q.unit.is_none() && counts(&q.number),
        [Atom { kind: AtomKind::Word(name), .. }] => {
            knobs.iter().any(|(knob, values)| knob == name && values.iter().all(|value| counts(value)))
        }
        _ => false,
    };
    if !said {
        let wanted = "a whole number of calls from 1 on, or a knob of such";
        cx.push(errors::bad_value(p.span, TOGETHER, wanted));
    }
    if kind.text == "process" && !given.iter().flat_map(|p| &p.values).any(names_calls) {
        cx.push(errors::bad_value(p.span, TOGETHER, &format!("`{CALLS}` in the command, the file with the calls")));
    }
}

fn names_calls(atom: &Atom) -> bool {
    match &atom.kind {
        AtomKind::Text(text) => text.contains(CALLS),
        AtomKind::List(items) => items.iter().any(names_calls),
        _ => false,
    }
}
