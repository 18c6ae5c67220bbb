//! Tokens → tokens that the grammar can read: newlines only where they end a statement, units after numbers, and brackets
//! that always match. With the last, a broken line breaks no more than itself.

use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Span};
use crate::syntax::errors;
use crate::syntax::token::{Spanned, Token};

/// Deeper nesting than this is refused, so that no pass over the tree can run out of stack.
pub const MAX_DEPTH: usize = 128;

/// Reads the layout: newlines, units, brackets.
pub fn layout(source: &str, tokens: &[Spanned], file: FileId, cx: &mut Diagnostics) -> Vec<Spanned> {
    let mut pass =
        Layout { source, file, cx, out: Vec::with_capacity(tokens.len() + 8), open: Vec::new(), skipped: None };
    let mut at = 0;
    let mut line_start = true;
    while at < tokens.len() {
        let (start, token, end) = tokens[at];
        at += 1;
        if token == Token::Newline {
            line_start = true;
            pass.newline(start, end);
            continue;
        }
        if line_start {
            let next = tokens.get(at).map(|t| t.1);
            pass.repair_at_line_start(start, token, next);
        }
        line_start = false;
        match token {
            Token::OpenBrace | Token::OpenParen | Token::OpenBracket => pass.open(start, token, end),
            Token::CloseBrace | Token::CloseParen | Token::CloseBracket => pass.close(start, token, end),
            Token::Else => {
                pass.drop_newline();
                pass.out.push((start, token, end));
            }
            Token::Number => {
                pass.out.push((start, token, end));
                at = pass.unit(tokens, at);
            }
            _ => pass.out.push((start, token, end)),
        }
    }
    pass.finish(source.len() as u32);
    pass.out
}

struct Layout<'a> {
    source: &'a str,
    file: FileId,
    cx: &'a mut Diagnostics,
    out: Vec<Spanned>,
    open: Vec<Spanned>,
    /// Brackets beyond [`MAX_DEPTH`] that are left out, so that their closers are left out too.
    skipped: Option<usize>,
}

impl Layout<'_> {
    fn newline(&mut self, start: u32, end: u32) {
        let inside_group = matches!(self.open.last(), Some((_, Token::OpenParen | Token::OpenBracket, _)));
        let ends_something = !matches!(self.out.last(), None | Some((_, Token::Newline | Token::OpenBrace, _)));
        if !inside_group && ends_something {
            self.out.push((start, Token::Newline, end));
        }
    }

    fn drop_newline(&mut self) {
        if matches!(self.out.last(), Some((_, Token::Newline, _))) {
            self.out.pop();
        }
    }

    /// A line that starts with a keyword which cannot stand inside the open bracket closes it; the error stands at the opener.
    fn repair_at_line_start(&mut self, at: u32, token: Token, next: Option<Token>) {
        // `type: x` or `for, ` inside a group is a wrong name, not a new statement; an item's keyword has a name behind it.
        let is_name = matches!(next, Some(Token::Colon | Token::Comma | Token::CloseParen | Token::CloseBracket));
        if is_name || (token.begins_item() && next != Some(Token::Ident)) {
            return;
        }
        let mut closed = false;
        while let Some(&(start, opener, end)) = self.open.last() {
            let cannot_stay = match opener {
                Token::OpenBrace => token.begins_item(),
                _ => token.begins_statement(),
            };
            if !cannot_stay {
                break;
            }
            self.cx.push(errors::unclosed_bracket(
                Span::new(self.file, start, end),
                opener,
                Span::new(self.file, at, at),
            ));
            self.insert_closer(at);
            closed = true;
        }
        if closed {
            self.newline(at, at);
        }
    }

    fn insert_closer(&mut self, at: u32) {
        if let Some((_, opener, _)) = self.open.pop() {
            if opener == Token::OpenBrace {
                self.drop_newline();
            }
            if let Some(closer) = opener.closer() {
                self.out.push((at, closer, at));
            }
        }
    }

    fn open(&mut self, start: u32, token: Token, end: u32) {
        if self.open.len() >= MAX_DEPTH {
            if self.skipped.is_none() {
                self.cx.push(errors::too_deep(Span::new(self.file, start, end), MAX_DEPTH));
            }
            *self.skipped.get_or_insert(0) += 1;
            return;
        }
        self.open.push((start, token, end));
        self.out.push((start, token, end));
    }

    fn close(&mut self, start: u32, token: Token, end: u32) {
        if let Some(n) = self.skipped.filter(|n| *n > 0) {
            self.skipped = Some(n - 1);
            return;
        }
        let matching = self.open.iter().rposition(|(_, opener, _)| opener.closer() == Some(token));
        let Some(matching) = matching else {
            self.cx.push(errors::unopened_bracket(Span::new(self.file, start, end), token));
            return;
        };
        // A `)` never reaches over a `{`: it is the stray one.
        let crosses_brace = self.open[matching + 1..].iter().any(|(_, opener, _)| *opener == Token::OpenBrace);
        if token != Token::CloseBrace && crosses_brace {
            self.cx.push(errors::unopened_bracket(Span::new(self.file, start, end), token));
            return;
        }
        while self.open.len() > matching + 1 {
            let (s, opener, e) = self.open[self.open.len() - 1];
            self.cx.push(errors::unclosed_bracket(
                Span::new(self.file, s, e),
                opener,
                Span::new(self.file, start, end),
            ));
            self.insert_closer(start);
        }
        self.open.pop();
        if token == Token::CloseBrace {
            self.drop_newline();
        }
        self.out.push((start, token, end));
    }

    /// What follows a number is its unit: a word that is no keyword, or `%`, and `/word` right behind it for a rate.
    fn unit(&mut self, tokens: &[Spanned], mut at: usize) -> usize {
        let Some(&(start, token, mut end)) = tokens.get(at) else { return at };
        if !matches!(token, Token::Ident | Token::Percent) {
            return at;
        }
        at += 1;
        if let (Some(&(s, Token::Slash, e)), Some(&(s2, Token::Ident, e2))) = (tokens.get(at), tokens.get(at + 1))
            && s == end
            && s2 == e
        {
            end = e2;
            at += 2;
        }
        debug_assert!(self.source.is_char_boundary(start as usize));
        self.out.push((start, Token::Unit, end));
        at
    }

    fn finish(&mut self, at: u32) {
        while let Some(&(start, opener, end)) = self.open.last() {
            self.cx.push(errors::unclosed_bracket(
                Span::new(self.file, start, end),
                opener,
                Span::new(self.file, at, at),
            ));
            self.insert_closer(at);
        }
        self.drop_newline();
    }
}
