//! Blocks by indentation: a `:` at the end of a head, with the lines that stand deeper than it.

use super::{LONGEST, Open, Pass, Place, edit, place_below, words};
use crate::diag::Diagnostic;
use crate::diag::source::Span;
use crate::syntax::errors;
use crate::syntax::token::Token;

impl Pass<'_> {
    /// A head that ends with `:`, or that has its only statement behind it.
    pub(super) fn colon_block(&mut self, from: usize, end: usize, indent: usize) {
        let place = match (self.place(), self.block_head(from)) {
            (_, None) => return,
            (Place::Items, Some(_)) => place_below(self.head),
            (Place::Flow, Some(Token::Slo)) => Place::Limits,
            (Place::Flow, Some(_)) => Place::Flow,
            _ => return,
        };
        let mut depth = 0usize;
        let mut colon = None;
        for at in from..end {
            match self.tokens[at].1 {
                Token::OpenParen | Token::OpenBracket => depth += 1,
                Token::CloseParen | Token::CloseBracket => depth = depth.saturating_sub(1),
                // A hole says its type behind a `:`.
                Token::Question => return,
                Token::OpenBrace if colon.is_some_and(|colon| colon + 1 == at) => {
                    let behind = self.span(at - 1, at);
                    let help = "leave out the `:` in front of `{`";
                    self.instead(behind, "expected `{`", help, edit(behind, ""));
                    return self.replace(at - 1, at, []);
                }
                Token::OpenBrace => return,
                Token::Colon if depth == 0 => colon = colon.or(Some(at)),
                _ => {}
            }
        }
        let Some(colon) = colon.filter(|_| depth == 0) else { return };
        if colon + 1 < end {
            if !place_of_result(self, colon) {
                self.one_line(colon, end);
            }
            return;
        }
        let next = (end..self.tokens.len()).find(|at| self.tokens[*at].1 != Token::Newline);
        if next.is_some_and(|next| self.indent(next) > indent) {
            self.read_as(colon, Token::OpenBrace);
            self.open.push((Open::Indented(colon, indent), place));
        }
    }

    /// The word that a block stands behind, if the line begins with one.
    fn block_head(&self, from: usize) -> Option<Token> {
        match self.tokens[from].1 {
            Token::CloseBrace => self.block_head_behind(from),
            token @ (Token::If | Token::Else | Token::For | Token::Repeat | Token::Slo) => Some(token),
            token if self.place() == Place::Items && (token.begins_item() && token != Token::Use) => Some(token),
            Token::Ident if self.place() == Place::Items => self.head,
            Token::Ident if words::is_else_if(self.text(from)) || self.text(from) == "while" => Some(Token::Else),
            _ => None,
        }
    }

    fn block_head_behind(&self, from: usize) -> Option<Token> {
        self.tokens.get(from + 1).map(|(_, token, _)| *token).filter(|token| *token == Token::Else)
    }

    /// `if x: y`
    fn one_line(&mut self, colon: usize, end: usize) {
        let at = self.span(colon, colon + 1);
        let behind = self.up_to(colon, colon + 1);
        let rest = self.span(colon + 1, end);
        let text = self.texts(colon + 1, end).to_string();
        self.read_as(colon, Token::OpenBrace);
        self.replace(end, end, [(rest.end, Token::CloseBrace, rest.end)]);
        self.say_block(at, Span { end: rest.end, ..behind }, format!(" {{ {text} }}"));
    }

    /// Closes the blocks whose heads are indented so far or further; the line that closes them begins at a token.
    pub(super) fn close_indented(&mut self, indent: usize, at: usize) {
        while let Some((Open::Indented(_, head), _)) = self.open.last()
            && *head >= indent
        {
            self.close_one(at);
        }
    }

    /// Closes the innermost block in front of a token.
    pub(super) fn close_one(&mut self, at: usize) {
        let Some((Open::Indented(colon, _), _)) = self.open.pop() else { return };
        let last = (colon..at).rev().find(|at| self.tokens[*at].1 != Token::Newline).unwrap_or(colon);
        let end = self.tokens[last].2;
        self.replace(last + 1, last + 1, [(end, Token::CloseBrace, end)]);
        let line_end = self.source.get(end as usize..).map_or(0, |rest| rest.find(['\r', '\n']).unwrap_or(rest.len()));
        let colon_at = self.span(colon, colon + 1);
        let whole = Span { end: end + line_end as u32, ..colon_at };
        let body = self.slice(colon_at.end, whole.end).unwrap_or_default();
        let text = format!(" {{{body}{}{}}}", self.new_line(), self.indentation(colon));
        self.say_block(colon_at, whole, text);
    }

    fn say_block(&mut self, colon: Span, whole: Span, text: String) {
        let d = errors::colon_for_brace(colon);
        // Of a long block each one around it would write all lines again.
        self.cx.push(match text.len() <= LONGEST {
            true => d.fix("write the block between `{` and `}`", whole, text),
            false => Diagnostic { fix: None, ..d },
        });
    }
}

/// Whether the `:` gives the type of a result: `job f(text: Text): Text {`
fn place_of_result(pass: &Pass, colon: usize) -> bool {
    pass.place() == Place::Items && pass.before(colon) == Some(Token::CloseParen)
}
