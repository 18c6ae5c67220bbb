//! What people write who know other languages, or who put a word of this one in the wrong place → what to write instead.

use crate::diag::source::Span;
use crate::syntax::token::Token;

/// A token that cannot stand where it does.
pub struct Place<'a> {
    /// Where.
    pub at: Span,
    /// The token; none at the end of the file.
    pub found: Option<Token>,
    /// Its text.
    pub text: &'a str,
    /// Its line up to it.
    pub before: &'a str,
    /// Its line from there on.
    pub behind: &'a str,
    /// Whether the parser expected this.
    pub expects: &'a dyn Fn(&str) -> bool,
}

/// What to write instead, as an instruction, and the edit where it is plain.
pub struct Mend {
    /// The instruction.
    pub help: String,
    /// What is replaced by what.
    pub fix: Option<(Span, String)>,
}

fn say(help: impl Into<String>) -> Option<Mend> {
    Some(Mend { help: help.into(), fix: None })
}

fn write(help: impl Into<String>, at: Span, insert: impl Into<String>) -> Option<Mend> {
    Some(Mend { help: help.into(), fix: Some((at, insert.into())) })
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Place<'_> {
    fn expects(&self, token: &str) -> bool {
        (self.expects)(token)
    }

    /// The token, with so many bytes in front of it and behind it.
    fn around(&self, before: usize, behind: usize) -> Span {
        Span { start: self.at.start - before as u32, end: self.at.end + behind as u32, ..self.at }
    }

    /// The word right in front of the token.
    fn word_before(&self) -> &str {
        let before = self.before.trim_end();
        &before[before.trim_end_matches(in_name).len()..]
    }
}

/// What other languages, or a slip, have in this place.
pub fn mend(place: &Place) -> Option<Mend> {
    // Behind the end of a line stands the next one.
    if matches!(place.found, None | Some(Token::Newline)) {
        return None;
    }
    let (before, behind) = (place.before, place.behind);
    match place.found? {
        Token::Colon if place.expects("=") && behind.trim_start().starts_with(char::is_uppercase) => {
            say("a field stands in the block of its type: `type NAME { field: Text }`")
        }
        Token::CloseBracket if before.ends_with('[') => {
            let item = before.trim_end_matches('[');
            let item = &item[item.trim_end_matches(in_name).len()..];
            let list = format!("List[{item}]");
            let is_type = item.starts_with(char::is_uppercase);
            is_type.then(|| write(format!("write `{list}`"), place.around(item.len() + 1, 0), list))?
        }
        Token::Comma if behind.trim().is_empty() && place.expects("Newline") => write("remove the `,`", place.at, ""),
        Token::Question if behind.contains(':') => say("write `if … { … } else { … }`"),
        Token::If if !before.trim().is_empty() && place.expects("Newline") => say("write `if … { … } else { … }`"),
        Token::Number if before.trim() == "repeat" => {
            say("write `repeat up to 3 until … { … }`: a loop says when it ends, and how often it may go round")
        }
        _ => None,
    }
}

/// The way to say it here, where the text around a token that cannot stand there is of another language.
pub fn of_other_languages(place: &Place) -> Option<&'static str> {
    let (before, behind) = (place.before, place.behind);
    let line = before.trim_start().trim_start_matches('}').trim_start();
    let line = if line.is_empty() { place.text } else { line };
    let first = line.split(|c: char| !in_name(c)).next().unwrap_or_default();
    match (first, place.found) {
        ("while", _) => return Some("write `repeat up to 4 until … { … }`: a loop says how often it may go round"),
        ("return", _) => return Some("leave out `return`: the last line of a block is its value"),
        ("def" | "fn" | "func" | "function" | "async", _) => {
            return Some("write `job NAME(input: Text) -> Text { … }`");
        }
        ("class" | "struct" | "record" | "interface" | "dataclass", _) => {
            return Some("write `type NAME { field: Text }`");
        }
        ("var" | "const" | "val", _) => return Some("write `let`"),
        ("minimise", _) => return Some("write `minimize`"),
        ("maximise", _) => return Some("write `maximize`"),
        _ => {}
    }
    match place.found? {
        Token::OpenBracket if before.ends_with(in_name) => {
            Some("a list is taken item by item: write `for item in list { … }`")
        }
        Token::OpenParen if place.word_before() == "for" => Some("write `for item in list { … }`, without brackets"),
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
