//! `&str` → tokens, by logos. Comments go to a side table; what is no token is reported and left out.

use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Span};
use crate::syntax::errors;
use logos::Logos;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

macro_rules! tokens {
    ($($(#[$meta:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// A token; its text is in the source.
        #[derive(Logos, Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[logos(skip r"[ \t\r]+")]
        pub enum Token {
            $($(#[$meta])* #[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Token {
            /// As people write it.
            pub fn text(self) -> &'static str {
                match self { $(Token::$name => $text,)* }
            }
        }
    };
}

tokens! {
    #[token("\n")] Newline = "end of line",
    #[regex(r"//[^\n]*", allow_greedy = true)] Comment = "comment",
    #[regex(r"///[^\n]*", priority = 20, allow_greedy = true)] Doc = "doc comment",
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*")] Ident = "name",
    #[regex(r"[0-9][0-9_]*(\.[0-9]+)?")] Number = "number",
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)] Str = "text",
    #[regex(r#""([^"\\\n]|\\[^\n])*"#)] OpenStr = "unclosed text",
    #[regex(r"'([^'\\\n]|\\[^\n])*'")] SingleStr = "text in single quotes",
    #[regex(r"#[^\n]*", allow_greedy = true)] Hash = "comment behind `#`",
    /// Made by the layout pass from what follows a number; never by logos.
    Unit = "unit",
    #[token("use")] Use = "use",
    #[token("job")] Job = "job",
    #[token("compose")] Compose = "compose",
    #[token("task")] Task = "task",
    #[token("model")] Model = "model",
    #[token("tool")] Tool = "tool",
    #[token("implements")] Implements = "implements",
    #[token("cluster")] Cluster = "cluster",
    #[token("device")] Device = "device",
    #[token("type")] Type = "type",
    #[token("enum")] Enum = "enum",
    #[token("let")] Let = "let",
    #[token("for")] For = "for",
    #[token("in")] In = "in",
    #[token("if")] If = "if",
    #[token("else")] Else = "else",
    #[token("repeat")] Repeat = "repeat",
    #[token("up")] Up = "up",
    #[token("to")] To = "to",
    #[token("until")] Until = "until",
    #[token("goal")] Goal = "goal",
    #[token("slo")] Slo = "slo",
    #[token("minimize")] Minimize = "minimize",
    #[token("maximize")] Maximize = "maximize",
    #[token("then")] Then = "then",
    #[token("prefer")] Prefer = "prefer",
    #[token("expect")] Expect = "expect",
    #[token("of")] Of = "of",
    #[token("using")] Using = "using",
    #[token("on")] On = "on",
    #[token("at")] At = "at",
    #[token("per")] Per = "per",
    #[token("retry")] Retry = "retry",
    #[token("timeout")] Timeout = "timeout",
    #[token("fallback")] Fallback = "fallback",
    #[token("cache")] Cache = "cache",
    #[token("and")] And = "and",
    #[token("or")] Or = "or",
    #[token("not")] Not = "not",
    #[token("true")] True = "true",
    #[token("false")] False = "false",
    #[token("work")] Work = "work",
    #[token("size")] Size = "size",
    #[token("knob")] Knob = "knob",
    #[token("runs")] Runs = "runs",
    #[token("engine")] Engine = "engine",
    #[token("profile")] Profile = "profile",
    #[token("{")] OpenBrace = "{",
    #[token("}")] CloseBrace = "}",
    #[token("(")] OpenParen = "(",
    #[token(")")] CloseParen = ")",
    #[token("[")] OpenBracket = "[",
    #[token("]")] CloseBracket = "]",
    #[token("->")] Arrow = "->",
    #[token("==")] EqEq = "==",
    #[token("!=")] NotEq = "!=",
    #[token("<=")] LessEq = "<=",
    #[token(">=")] GreaterEq = ">=",
    #[token("<")] Less = "<",
    #[token(">")] Greater = ">",
    #[token("=")] Eq = "=",
    #[token(":")] Colon = ":",
    #[token(",")] Comma = ",",
    #[token(".")] Dot = ".",
    #[token("?")] Question = "?",
    #[token("+")] Plus = "+",
    #[token("-")] Minus = "-",
    #[token("*")] Star = "*",
    #[token("/")] Slash = "/",
    #[token("%")] Percent = "%",
}

impl Token {
    /// Whether this keyword begins an item, so that it can stand inside no bracket at the start of a line.
    pub fn begins_item(self) -> bool {
        use Token::*;
        matches!(self, Use | Job | Compose | Task | Model | Tool | Cluster | Device | Type | Enum)
    }

    /// Whether this keyword begins a statement or clause, so that it can stand inside no `(` or `[` at the start of a line.
    pub fn begins_statement(self) -> bool {
        use Token::*;
        self.begins_item()
            || matches!(
                self,
                Let | For
                    | If
                    | Repeat
                    | Goal
                    | Slo
                    | Minimize
                    | Maximize
                    | Prefer
                    | Expect
                    | Knob
                    | Runs
                    | Engine
                    | Profile
            )
    }

    /// Whether this is a word that the language keeps for itself.
    pub fn is_keyword(self) -> bool {
        self.text().as_bytes()[0].is_ascii_lowercase()
            && !matches!(
                self,
                Token::Newline
                    | Token::Comment
                    | Token::Doc
                    | Token::Ident
                    | Token::Number
                    | Token::Str
                    | Token::OpenStr
                    | Token::SingleStr
                    | Token::Hash
                    | Token::Unit
            )
    }

    /// Whether this is a name, or a word that everybody may use as one.
    pub fn may_be_a_name(self) -> bool {
        use Token::*;
        matches!(self, Ident | Work | Size | Knob | Runs | Engine | Profile | Compose)
    }

    /// The bracket that closes this one.
    pub fn closer(self) -> Option<Token> {
        match self {
            Token::OpenBrace => Some(Token::CloseBrace),
            Token::OpenParen => Some(Token::CloseParen),
            Token::OpenBracket => Some(Token::CloseBracket),
            _ => None,
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A token with its place: `(start, token, end)` in bytes.
pub type Spanned = (u32, Token, u32);

/// What the lexer makes of a source.
#[derive(Debug, Default)]
pub struct Lexed {
    /// Every token but comments.
    pub tokens: Vec<Spanned>,
    /// Plain and doc comments, in order.
    pub comments: Vec<Spanned>,
    /// What signs of other languages stand for, in order; they were reported.
    meant: Vec<Spanned>,
}

impl Lexed {
    /// The tokens as they were meant: signs of other languages are read as what they stand for, so that nothing follows from them.
    pub fn as_meant(&self) -> Cow<'_, [Spanned]> {
        if self.meant.is_empty() {
            return Cow::Borrowed(&self.tokens);
        }
        let mut all: Vec<Spanned> = self.tokens.iter().chain(&self.meant).copied().collect();
        all.sort_by_key(|(start, ..)| *start);
        Cow::Owned(all)
    }

    /// Reports what is no token.
    fn bad(&mut self, start: u32, end: u32, (source, file): (&str, FileId), cx: &mut Diagnostics) {
        cx.push(errors::no_token(Span::new(file, start, end), source));
        let meant = source.get(start as usize..end as usize).and_then(errors::elsewhere);
        if let Some(Ok(token)) = meant.and_then(|word| Token::lexer(word).next()) {
            self.meant.push((start, token, end));
        }
    }
}

/// Turns text into tokens. Text that is no token is reported and left out.
pub fn lex(source: &str, file: FileId, cx: &mut Diagnostics) -> Lexed {
    lex_from(source, 0, file, cx)
}

/// The same from the start of a line on: no token goes over a line's end.
pub fn lex_from(source: &str, from: usize, file: FileId, cx: &mut Diagnostics) -> Lexed {
    let mut lexed =
        Lexed { tokens: Vec::with_capacity((source.len() - from) / 4), comments: Vec::new(), meant: Vec::new() };
    let mut bad: Option<(u32, u32)> = None;
    for (token, range) in Token::lexer(&source[from..]).spanned() {
        let range = range.start + from..range.end + from;
        let (start, end) = (range.start as u32, range.end as u32);
        match token {
            Ok(Token::Comment | Token::Doc) => lexed.comments.push((start, doc_or_comment(source, start, end), end)),
            Ok(Token::OpenStr) => {
                let before = source.get(..start as usize).unwrap_or_default();
                let several = before.ends_with("\"\"").then(|| Span::new(file, start - 2, start + 1));
                cx.push(
                    several.map_or_else(|| errors::unclosed_text(Span::new(file, start, end)), errors::several_quotes),
                );
                lexed.tokens.push((start, Token::Str, end));
            }
            Ok(Token::Str) => {
                let bad = escapes(&source[range]).filter(|(_, c)| c.is_err());
                for (at, _) in bad {
                    cx.push(errors::no_escape(Span::new(file, start + at.start as u32, start + at.end as u32), source));
                }
                lexed.tokens.push((start, Token::Str, end));
            }
            // What others write for a text or a comment is read as one: the line has no further errors.
            Ok(Token::SingleStr) => {
                let text = &source[range];
                cx.push(errors::single_quotes(Span::new(file, start, end), text));
                lexed.tokens.push((start, Token::Str, end));
            }
            Ok(Token::Hash) => {
                let text = &source[range];
                cx.push(errors::hash_comment(Span::new(file, start, end), text));
                lexed.comments.push((start, Token::Comment, end));
            }
            Ok(token) => lexed.tokens.push((start, token, end)),
            Err(()) => match &mut bad {
                Some((_, last)) if *last == start => *last = end,
                other => {
                    if let Some((s, e)) = other.replace((start, end)) {
                        lexed.bad(s, e, (source, file), cx);
                    }
                }
            },
        }
    }
    if let Some((s, e)) = bad {
        lexed.bad(s, e, (source, file), cx);
    }
    lexed
}

/// Whether a line begins, without indentation, with an item's keyword and a name: whatever is open before it ends there.
pub fn begins_item(line: &str) -> bool {
    let mut tokens = Token::lexer(line);
    line.starts_with(|c: char| c.is_ascii_lowercase())
        && tokens.next().is_some_and(|first| first.is_ok_and(Token::begins_item))
        && tokens.next() == Some(Ok(Token::Ident))
}

/// The escapes of a text, each with its place in it and the sign that it stands for; an error where it stands for none.
pub fn escapes(text: &str) -> impl Iterator<Item = (Range<usize>, Result<char, ()>)> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text.get(from..)?.find('\\')?;
        let sign = text[start + 1..].chars().next()?;
        let end = start + 1 + sign.len_utf8();
        let (end, meant) = match sign {
            'n' => (end, Ok('\n')),
            'r' => (end, Ok('\r')),
            't' => (end, Ok('\t')),
            '"' | '\'' | '\\' => (end, Ok(sign)),
            'u' => code_point(&text[end..]).map_or((end, Err(())), |(c, len)| (end + len, Ok(c))),
            _ => (end, Err(())),
        };
        from = end;
        Some((start..end, meant))
    })
}

/// The sign of `{41}`, a number in hexadecimal, and how long it is written.
fn code_point(text: &str) -> Option<(char, usize)> {
    let (digits, _) = text.strip_prefix('{')?.split_once('}')?;
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() <= 6 && !digits.starts_with('+'))?;
    Some((char::from_u32(number)?, digits.len() + 2))
}

/// The longest text that is taken for a name, in bytes.
const LONGEST_NAME: usize = 60;

/// Whether a text is a name as it stands: letters, digits and `_`, and no word of the language.
pub fn is_name(text: &str) -> bool {
    let mut tokens = Token::lexer(text);
    tokens.next() == Some(Ok(Token::Ident)) && tokens.next().is_none() && text.len() <= LONGEST_NAME
}

/// Whether a word stands in a text by itself.
pub fn has_word(text: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let alone = |at: usize| !part(text[..at].chars().next_back()) && !part(text[at + word.len()..].chars().next());
    !word.is_empty() && text.match_indices(word).any(|(at, _)| alone(at))
}

/// `////` and more is a ruler, not documentation.
fn doc_or_comment(source: &str, start: u32, end: u32) -> Token {
    let text = &source[start as usize..end as usize];
    if text.starts_with("///") && !text.starts_with("////") { Token::Doc } else { Token::Comment }
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn a_word_stands_by_itself() {
        assert!(has_word("é.text(text)", "text") && has_word("text", "text"));
        assert!(!has_word("texts, a_text, Text", "text") && !has_word("", ""));
    }
}
