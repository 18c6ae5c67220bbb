//! Tokens → tokens as they were meant: what people write who come from Python, TypeScript, Rust or YAML is read as what stands for it
//! here, so that nothing else follows from it. Each is said once, with the edit that writes it where its meaning is certain.
//!
//! A text without such spellings goes through as it is.

mod blocks;
mod heads;
mod lines;
mod parts;
mod within;
mod words;

use crate::diag::source::{FileId, Span};
use crate::diag::{Diagnostic, Diagnostics};
use crate::syntax::errors;
use crate::syntax::layout::is_name;
use crate::syntax::token::{Spanned, Token};
use std::borrow::Cow;
use std::cell::OnceCell;

/// The tokens of a text as they were meant.
pub(super) fn as_meant<'t>(
    source: &str,
    tokens: Cow<'t, [Spanned]>,
    file: FileId,
    cx: &mut Diagnostics,
) -> Cow<'t, [Spanned]> {
    let (edits, parts) = {
        let mut pass = Pass {
            source,
            file,
            tokens: &tokens,
            cx,
            open: Vec::new(),
            head: None,
            no_item: false,
            parts: Vec::new(),
            read: 0,
            returns: OnceCell::new(),
            edits: Vec::new(),
        };
        pass.read();
        (pass.edits, pass.parts)
    };
    say_parts(parts, cx);
    if edits.is_empty() { tokens } else { Cow::Owned(edited(&tokens, edits)) }
}

/// Says of each part that goes over several lines what it is. What the lexer said of its lines follows from that.
fn say_parts(parts: Vec<(Span, Diagnostic)>, cx: &mut Diagnostics) {
    if parts.is_empty() {
        return;
    }
    cx.retain(|d| {
        let at = d.primary.span.start;
        let before = parts.partition_point(|(part, _)| part.start <= at);
        before.checked_sub(1).is_none_or(|last| at >= parts[last].0.end)
    });
    cx.extend(parts.into_iter().map(|(_, d)| d));
}

/// Tokens that stand in the place of others.
struct Edit {
    from: usize,
    to: usize,
    tokens: Vec<Spanned>,
}

/// Of edits of the same tokens the first counts.
fn edited(tokens: &[Spanned], mut edits: Vec<Edit>) -> Vec<Spanned> {
    edits.sort_by_key(|edit| edit.from);
    let mut out = Vec::with_capacity(tokens.len() + edits.len());
    let mut at = 0;
    for edit in edits.into_iter().filter(|edit| edit.to <= tokens.len()) {
        if edit.from >= at {
            out.extend_from_slice(&tokens[at..edit.from]);
            out.extend(edit.tokens);
            at = edit.to;
        }
    }
    out.extend_from_slice(&tokens[at..]);
    out
}

/// What the lines of a block are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Items,
    Flow,
    Limits,
    Fields,
    Library,
}

/// Something that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    /// `{`
    Block,
    /// A `:` with indented lines behind it: which token, and how far its head is indented.
    Indented(usize, usize),
    /// `(` or `[`
    Group(Group),
}

/// The longest part of a text that a fix writes again, or that is looked through for the end of something, in bytes and in tokens.
const LONGEST: usize = 4_096;
const MOST_TOKENS: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// The arguments of a call.
    Arguments,
    /// The parameters of a head.
    Parameters,
    /// A `{` that is read as a group.
    Brace,
    Other,
}

struct Pass<'a> {
    source: &'a str,
    file: FileId,
    tokens: &'a [Spanned],
    cx: &'a mut Diagnostics,
    /// What is open, each with what the lines are that stand in it.
    open: Vec<(Open, Place)>,
    /// The word that begins the item.
    head: Option<Token>,
    /// Whether the lines are of another kind of file, which was said.
    no_item: bool,
    /// Texts and comments of several lines, and what is said of each.
    parts: Vec<(Span, Diagnostic)>,
    /// Up to where the last of them reaches.
    read: u32,
    /// Whether its lines end with carriage returns.
    returns: OnceCell<bool>,
    edits: Vec<Edit>,
}

impl<'a> Pass<'a> {
    fn read(&mut self) {
        let mut from = 0;
        while from < self.tokens.len() {
            if self.tokens[from].0 < self.read {
                from += 1;
                continue;
            }
            let end = self.line_end(from);
            if end > from {
                self.line(from, end);
            }
            from = end + 1;
        }
        self.close_indented(0, self.tokens.len());
    }

    fn line(&mut self, from: usize, end: usize) {
        let (first, next) = (self.tokens[from].1, self.token(from + 1));
        if first.begins_item() && !is_name(first, next) {
            self.close_indented(0, from);
            self.open.clear();
        } else if first.begins_statement() && !is_name(first, next) {
            self.open.truncate(self.blocks());
        }
        let begins = !self.in_group();
        let indent = self.indent(from);
        if begins {
            self.close_indented(indent, from);
            match self.place() {
                Place::Items => self.item(from, end),
                Place::Flow => self.statement(from, end),
                Place::Limits => self.limits(from, end),
                Place::Fields | Place::Library => {}
            }
        }
        for at in from..end {
            if self.tokens[at].0 >= self.read {
                self.token_within(at, end);
                self.bracket(at);
            }
        }
        if begins && !self.in_group() {
            self.colon_block(from, end, indent);
        }
    }

    /// Follows the brackets.
    fn bracket(&mut self, at: usize) {
        match self.tokens[at].1 {
            Token::OpenBrace if self.is_edited(at) => self.open.push((Open::Group(Group::Brace), self.place())),
            Token::OpenBrace => {
                self.open.truncate(self.blocks());
                let place = match (self.place(), self.before(at)) {
                    (Place::Items, _) => place_below(self.head),
                    (_, Some(Token::Slo)) => Place::Limits,
                    (Place::Library, _) => Place::Library,
                    _ => Place::Flow,
                };
                self.open.push((Open::Block, place));
            }
            Token::OpenParen | Token::OpenBracket => {
                let called = self.before(at) == Some(Token::Ident) && self.tokens[at].1 == Token::OpenParen;
                let group = match self.place() {
                    Place::Items if called => Group::Parameters,
                    Place::Flow if called => Group::Arguments,
                    _ => Group::Other,
                };
                self.open.push((Open::Group(group), self.place()));
            }
            Token::CloseParen | Token::CloseBracket if self.in_group() => drop(self.open.pop()),
            Token::CloseBrace if self.group() == Some(Group::Brace) => drop(self.open.pop()),
            Token::CloseBrace => {
                self.open.truncate(self.blocks());
                while let Some((Open::Indented(..), _)) = self.open.last() {
                    self.close_one(at);
                }
                self.open.pop();
            }
            _ => {}
        }
    }

    /// How many of what is open is not a group inside of the innermost block.
    fn blocks(&self) -> usize {
        self.open.iter().rposition(|(open, _)| !matches!(open, Open::Group(_))).map_or(0, |last| last + 1)
    }

    /// The group that the next token stands in, where no block is open inside of it.
    fn group(&self) -> Option<Group> {
        if let Some((Open::Group(group), _)) = self.open.last() { Some(*group) } else { None }
    }

    fn in_group(&self) -> bool {
        self.group().is_some()
    }

    fn place(&self) -> Place {
        self.open.last().map_or(Place::Items, |(_, place)| *place)
    }

    /// The token at a place, ends of lines included.
    fn token(&self, at: usize) -> Option<Token> {
        self.tokens.get(at).map(|(_, token, _)| *token)
    }

    fn before(&self, at: usize) -> Option<Token> {
        at.checked_sub(1).and_then(|before| self.token(before))
    }

    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).and_then(|(start, _, end)| self.slice(*start, *end)).unwrap_or_default()
    }

    fn slice(&self, start: u32, end: u32) -> Option<&'a str> {
        self.source.get(start as usize..end as usize)
    }

    /// The text of some tokens and of what stands between them.
    fn texts(&self, from: usize, to: usize) -> &'a str {
        let span = self.span(from, to);
        self.slice(span.start, span.end).unwrap_or_default()
    }

    /// Whether nothing stands between a token and the next one.
    fn touches(&self, at: usize) -> bool {
        matches!((self.tokens.get(at), self.tokens.get(at + 1)), (Some((_, _, end)), Some((start, ..))) if start == end)
    }

    /// The place of the tokens from one up to another, which is left out.
    fn span(&self, from: usize, to: usize) -> Span {
        let start = self.tokens.get(from).map_or(self.source.len() as u32, |(start, ..)| *start);
        let end = to.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(start, |(.., end)| *end);
        Span::new(self.file, start, end.max(start))
    }

    /// From a token up to the start of another one.
    fn up_to(&self, from: usize, to: usize) -> Span {
        let span = self.span(from, from + 1);
        self.tokens.get(to).map_or(span, |(start, ..)| Span { end: *start, ..span })
    }

    fn line_end(&self, from: usize) -> usize {
        let end = self.tokens[from..].iter().position(|(_, token, _)| *token == Token::Newline);
        end.map_or(self.tokens.len(), |end| from + end)
    }

    /// How far the line of a token is indented, in bytes.
    fn indent(&self, at: usize) -> usize {
        self.indentation(at).len()
    }

    /// The white space that the line of a token begins with.
    fn indentation(&self, at: usize) -> &'a str {
        let start = self.tokens.get(at).map_or(self.source.len(), |(start, ..)| *start as usize);
        let line = self.source.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let line = self.source.get(line..).unwrap_or_default();
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    /// How the text ends its lines.
    fn new_line(&self) -> &'static str {
        let returns = *self.returns.get_or_init(|| self.source.contains("\r\n"));
        if returns { "\r\n" } else { "\n" }
    }

    fn replace(&mut self, from: usize, to: usize, tokens: impl Into<Vec<Spanned>>) {
        self.edits.push(Edit { from, to, tokens: tokens.into() });
    }

    /// Reads a token as another one.
    fn read_as(&mut self, at: usize, token: Token) {
        if let Some(&(start, _, end)) = self.tokens.get(at) {
            self.replace(at, at + 1, [(start, token, end)]);
        }
    }

    /// Nothing reads the line as what it looks like: behind this token stands a `%`, which the grammar has nowhere.
    fn spoil(&mut self, at: usize) {
        if let Some(&(_, _, end)) = self.tokens.get(at) {
            self.replace(at + 1, at + 1, [(end, Token::Percent, end)]);
        }
    }

    fn is_edited(&self, at: usize) -> bool {
        self.edits.iter().rev().take_while(|edit| edit.to > at).any(|edit| edit.from <= at)
    }

    /// Says of some tokens what stands there instead, with the edit that does what the help says.
    fn instead(&mut self, at: Span, expected: &str, help: impl Into<String>, edit: Option<(Span, String)>) {
        let found = self.slice(at.start, at.end).unwrap_or_default();
        let help = help.into();
        let d = errors::instead(at, found, expected, help.clone());
        self.cx.push(match edit {
            Some((span, insert)) => d.fix(help, span, insert),
            None => d,
        });
    }
}

/// An edit of the text.
fn edit(at: Span, insert: impl Into<String>) -> Option<(Span, String)> {
    Some((at, insert.into()))
}

/// What stands in the block of an item.
fn place_below(head: Option<Token>) -> Place {
    match head {
        Some(Token::Type) => Place::Fields,
        Some(Token::Task | Token::Model | Token::Tool | Token::Cluster | Token::Device | Token::Enum) => Place::Library,
        _ => Place::Flow,
    }
}
