//! The settings of an engine that reaches models or tools of others → errors where one is missing, or is none of that engine's.

use super::errors;
use crate::diag::{Diagnostics, nearest};
use crate::syntax::ast::{Name, Property};

/// Of an engine: the settings that it must have (any one of each group), and those that it may have.
type Settings = (&'static [&'static [&'static str]], &'static [&'static str]);

fn settings(engine: &str) -> Option<Settings> {
    Some(match engine {
        "openai" => (&[], &["api", "model", "named", "reasoning", "url", "url_env", "key"]),
        "anthropic" | "bedrock" => (&[], &["model", "named", "reasoning", "url", "url_env", "key"]),
        "server" => (
            &[&["serve", "url"]],
            &["api", "model", "named", "reasoning", "url", "url_env", "key", "weights", "context", "arguments"],
        ),
        "python" => (&[&["module"], &["function"]], &["interpreter"]),
        "worker" => (
            &[&["serve"], &["model", "named"], &["function"]],
            &["sha256", "language", "mode", "labels", "least", "max_tokens", "temperature", "top_p", "seed", "stop"],
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
    // A line that did not parse has no name, and was reported.
    for p in given.iter().filter(|p| !p.name.text.is_empty() && !known().any(|k| k == p.name.text)) {
        cx.push(errors::unknown_setting(p.name.span, &kind.text, &p.name.text, nearest(&p.name.text, known())));
    }
}
