//! Texts and comments that go over several lines elsewhere.

use super::{LONGEST, Pass};
use crate::diag::source::Span;
use crate::syntax::errors;
use crate::syntax::token::{Spanned, Token, begins_item};

/// What a text of several lines stands between elsewhere.
const QUOTES: &str = "\"\"\"";
/// What ends a comment of several lines elsewhere.
const END_OF_COMMENT: &str = "*/";

impl Pass<'_> {
    /// What stands from a place up to a mark; an item ends it, as it ends whatever is open.
    fn up_to_mark(&self, from: u32, mark: &str) -> Option<&str> {
        let rest = self.source.get(from as usize..)?;
        let most = (LONGEST..rest.len()).find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
        let rest = &rest[..most];
        let body = &rest[..rest.find(mark)?];
        (!body.split_inclusive('\n').skip(1).any(begins_item)).then_some(body)
    }

    /// Reads the tokens up to a place as others.
    fn read_up_to(&mut self, at: usize, end: u32, tokens: impl Into<Vec<Spanned>>) {
        let last = at + self.tokens[at..].iter().take_while(|(start, ..)| *start < end).count();
        self.read = end;
        self.replace(at, last, tokens);
    }

    /// `"""`, with lines between it and the next one.
    pub(super) fn several_lines(&mut self, at: usize) {
        if self.text(at) != "\"\"" || !self.touches(at) || self.token(at + 1) != Some(Token::Str) {
            return;
        }
        let start = self.tokens[at].0;
        let Some(body) = self.up_to_mark(start + QUOTES.len() as u32, QUOTES) else { return };
        let end = start + (2 * QUOTES.len() + body.len()) as u32;
        let text = body.replace('\r', "").replace('"', "\\\"").replace('\n', "\\n");
        let whole = Span::new(self.file, start, end);
        let d = errors::several_quotes(Span { end: start + QUOTES.len() as u32, ..whole });
        // What a `\` means there, other languages see in different ways.
        let d = if body.contains('\\') { d } else { d.fix("write it on one line", whole, format!("\"{text}\"")) };
        self.parts.push((whole, d));
        self.read_up_to(at, end, [(start, Token::Str, end)]);
    }

    pub(super) fn is_comment(&self, at: usize) -> bool {
        self.token(at) == Some(Token::Slash) && self.token(at + 1) == Some(Token::Star) && self.touches(at)
    }

    /// `/* … */`
    pub(super) fn comment(&mut self, at: usize) {
        let start = self.tokens[at].0;
        let begins = Span::new(self.file, start, start + 2);
        let Some(body) = self.up_to_mark(begins.end, END_OF_COMMENT) else { return };
        let end = begins.end + (body.len() + END_OF_COMMENT.len()) as u32;
        let behind = self.source.get(end as usize..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let lines = body.lines().map(|line| line.trim().trim_start_matches('*').trim());
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(|line| format!("// {line}")).collect();
        let text = match lines.as_slice() {
            [] => String::new(),
            [line] => line.clone(),
            _ => lines.join(&format!("{}{}", self.new_line(), self.indentation(at))),
        };
        let d = errors::instead(begins, "/*", "no comment", "write a comment behind `//`, up to the end of its line");
        let whole = Span { end, ..begins };
        let d = if behind.trim().is_empty() { d.fix("write `//`", whole, text) } else { d };
        self.parts.push((whole, d));
        self.read_up_to(at, end, []);
    }
}
