//! Names and texts of others → names and texts that `.mkb` can hold.

pub use crate::syntax::token::is_name;
use std::collections::BTreeSet;

/// The longest name that is made.
const LONGEST: usize = 60;

/// `getForecast-v2` → `get_forecast_v2`.
pub fn snake(text: &str) -> String {
    let mut out = String::new();
    let mut before = '_';
    for c in text.chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            out.push('_');
        }
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        before = c;
    }
    let out: String = out.trim_end_matches('_').chars().take(LONGEST).collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) { format!("_{out}") } else { out }
}

/// `get_forecast` → `GetForecast`.
pub fn pascal(text: &str) -> String {
    let part = |part: &str| {
        let mut chars = part.chars();
        chars.next().map_or(String::new(), |c| c.to_ascii_uppercase().to_string() + chars.as_str())
    };
    snake(text).split('_').map(part).collect()
}

/// Names that are taken; each new one differs from all before.
#[derive(Default)]
pub struct Taken(BTreeSet<String>);

impl Taken {
    /// The name itself where it can be one and is free, else with a number; `otherwise` where nothing is left of it.
    pub fn fresh(&mut self, wanted: &str, otherwise: &str) -> String {
        let wanted = if wanted.is_empty() { otherwise } else { wanted };
        let first = if is_name(wanted) { wanted.to_string() } else { format!("{wanted}_") };
        let numbered = (2u32..).map(|n| format!("{wanted}_{n}"));
        let free = std::iter::once(first).chain(numbered).find(|name| !self.0.contains(name)).unwrap_or_default();
        self.0.insert(free.clone());
        free
    }
}

/// A text in quotes, as the language reads it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_become_names() {
        assert_eq!(snake("getForecast-v2"), "get_forecast_v2");
        assert_eq!(snake("  ../etc/passwd "), "etc_passwd");
        assert_eq!(snake("9lives"), "_9lives");
        assert_eq!(snake("日本"), "");
        assert_eq!(pascal("get-forecast"), "GetForecast");
        let mut taken = Taken::default();
        assert_eq!(taken.fresh("type", "x"), "type_");
        assert_eq!([taken.fresh("a", "x"), taken.fresh("a", "x"), taken.fresh("", "x")], ["a", "a_2", "x"]);
        assert!(is_name("word") && !is_name("for") && !is_name("two words") && !is_name("a-b") && !is_name(""));
    }

    #[test]
    fn texts_of_others_stay_on_their_line() {
        assert_eq!(quoted("a\"\\\n\u{7}"), "\"a\\\"\\\\\\n\"");
    }
}
