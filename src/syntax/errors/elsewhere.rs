//! What is said where something is written as in another language.

use crate::diag::Diagnostic;
use crate::diag::source::Span;

/// How much of what stands in the wrong place is shown, in characters.
const SHOWN: usize = 30;

/// E0105: something for which something else stands here.
pub fn instead(at: Span, found: &str, expected: &str, help: impl Into<String>) -> Diagnostic {
    let shown: String = found.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
    Diagnostic::error("E0105", format!("`{shown}` cannot stand here"), at, expected).help(help)
}

/// E0105: a line of a file of another kind.
pub fn no_item(at: Span) -> Diagnostic {
    Diagnostic::error("E0105", "this line begins no item", at, "a list of keys, as in YAML")
        .help("write the file as items: `job NAME(input: Text) -> Text { … }`")
}
