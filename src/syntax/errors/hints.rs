//! What people write who know other languages, or who put a word of this one in the wrong place → what to write instead.

use crate::syntax::token::Token;

/// The way to say it here, where the text around a token that cannot stand there is of another language.
pub fn of_other_languages(found: Option<Token>, before: &str, behind: &str) -> Option<&'static str> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    let line = before.trim_start().trim_start_matches('}').trim_start();
    let first = line.split(|c: char| !in_name(c)).next().unwrap_or_default();
    match (first, found) {
        ("while", _) => return Some("write `repeat up to 4 until … { … }`: a loop says how often it may go round"),
        ("elif" | "elsif" | "elseif", _) => return Some("write `else if`"),
        ("return", _) => return Some("leave out `return`: the last line of a block is its value"),
        ("import" | "from" | "include", _) => return Some("write `use`, with the module: `use std.llm`"),
        ("def" | "fn" | "func" | "function", _) => return Some("write `job NAME(input: Text) -> Text { … }`"),
        ("var" | "const" | "val", _) => return Some("write `let`"),
        ("minimise", _) => return Some("write `minimize`"),
        ("maximise", _) => return Some("write `maximize`"),
        _ => {}
    }
    match found? {
        Token::OpenBracket if before.ends_with(in_name) => {
            Some("a list is taken item by item: write `for item in list { … }`")
        }
        Token::Dot if before.ends_with('.') => Some("write a range as `1 to 5`"),
        Token::Star if before.ends_with('/') => Some("write a comment behind `//`, up to the end of its line"),
        Token::Slash if behind.starts_with('*') => Some("write a comment behind `//`, up to the end of its line"),
        _ => None,
    }
}

/// Where a word of the language belongs that stands in the place of a name and is none.
pub fn misplaced(token: Token, before: &str) -> Option<&'static str> {
    let before = before.trim();
    match token {
        Token::Minimize | Token::Maximize if before.ends_with("prefer") => {
            Some("write the wish on a line of its own, without `prefer`: wishes may be missed")
        }
        Token::Retry | Token::Timeout | Token::Fallback if before.is_empty() => {
            Some("write it behind the call, on the same line: `summarise(text) retry 2`")
        }
        Token::Then if before.is_empty() => {
            Some("write it on the line of the first wish: `minimize cost, then latency`")
        }
        Token::Else if before.is_empty() => Some("write `else` behind the `}` of its `if`"),
        _ => None,
    }
}
