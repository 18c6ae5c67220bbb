//! Text → pieces: everything that the text holds, in order, with what the layout pass made of it.

use super::BLANKS;
use crate::diag::Diagnostics;
use crate::diag::source::FileId;
use crate::syntax::layout::layout;
use crate::syntax::token::{Spanned, Token, lex};
use logos::Logos;

/// A token, comment, line end or text that is no token.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// What it is: [`Token::Newline`] for a line end outside of groups, [`Token::Comment`] for every comment.
    pub kind: Token,
    /// Its first byte.
    pub start: u32,
    /// One past its last byte; a bracket that the layout pass made up is empty.
    pub end: u32,
    /// The partner of a bracket: an index into the pieces.
    pub partner: u32,
    /// Of an opener: it stands open over several lines, since there is a line end (`{`) or a comment in it.
    pub open_lines: bool,
    /// Of a comment: it has a line for itself. Of a line end: an empty line follows.
    pub alone: bool,
    /// The lexer or the layout pass left it out.
    pub stray: bool,
    /// Its line stays as it is written.
    pub verbatim: bool,
}

impl Piece {
    fn new(kind: Token, start: u32, end: u32) -> Piece {
        let (partner, open_lines, alone, stray, verbatim) = (u32::MAX, false, false, false, false);
        Piece { kind, start, end, partner, open_lines, alone, stray, verbatim }
    }

    /// Its text.
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        let text = &source[self.start as usize..self.end as usize];
        if matches!(self.kind, Token::Comment | Token::Str) { text.trim_end_matches(BLANKS) } else { text }
    }
}

/// Takes a text apart.
pub fn pieces(source: &str) -> Vec<Piece> {
    let mut cx = Diagnostics::default();
    let lexed = lex(source, FileId(0), &mut cx);
    let kept = layout(source, &lexed.tokens, FileId(0), &mut cx);
    let mut pass = Pass {
        source,
        out: Vec::with_capacity(lexed.tokens.len() + lexed.comments.len() + 4),
        open: Vec::new(),
        comments: &lexed.comments,
        kept: &kept,
        at: 0,
        line_end_after_number: false,
    };
    for &(start, token, end) in &lexed.tokens {
        // What a longer token took in already: the word of a unit.
        if start >= pass.at {
            pass.before(start);
            pass.token(start, token, end);
        }
    }
    pass.before(source.len() as u32);
    pass.out
}

struct Pass<'a> {
    source: &'a str,
    out: Vec<Piece>,
    /// Open brackets: indices into `out`.
    open: Vec<u32>,
    comments: &'a [Spanned],
    /// What the layout pass kept and made up, but for what was passed already.
    kept: &'a [Spanned],
    /// Where the last piece ends.
    at: u32,
    line_end_after_number: bool,
}

impl Pass<'_> {
    /// Takes what stands before a place, or was made up there: text that is no token, comments, brackets.
    fn before(&mut self, place: u32) {
        while let Some((&(start, _, end), rest)) = self.comments.split_first()
            && start < place
        {
            self.gap(start);
            self.made_up(start);
            self.comments = rest;
            self.comment(start, end);
        }
        self.gap(place);
        self.made_up(place);
    }

    fn made_up(&mut self, place: u32) {
        while let Some((&(start, token, end), rest)) = self.kept.split_first()
            && start == end
            && start <= place
        {
            self.kept = rest;
            match token {
                Token::Newline => self.line_end(start, end),
                Token::OpenBrace => {
                    self.open.push(self.out.len() as u32);
                    self.out.push(Piece { verbatim: true, ..Piece::new(token, start, end) });
                }
                _ => self.close(Piece::new(token, start, end)),
            }
        }
    }

    fn gap(&mut self, place: u32) {
        let gap = &self.source.as_bytes()[self.at as usize..place.max(self.at) as usize];
        if gap.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
            return;
        }
        let text = &self.source[self.at as usize..place as usize];
        let start = self.at + (text.len() - text.trim_start_matches(BLANKS).len()) as u32;
        let end = self.at + text.trim_end_matches(BLANKS).len() as u32;
        self.out.push(Piece { stray: true, verbatim: true, ..Piece::new(Token::Ident, start, end) });
        self.at = end;
    }

    fn comment(&mut self, start: u32, end: u32) {
        let line = self.source[..start as usize].rfind('\n').map_or(0, |at| at + 1);
        let alone = self.source[line..start as usize].trim_matches(BLANKS).is_empty();
        if self.in_group() {
            self.mark_open();
        }
        self.out.push(Piece { alone, ..Piece::new(Token::Comment, start, end) });
        self.at = end;
    }

    /// Whether a text reaches to the end of its line, so that nothing can stand behind it.
    fn has_no_end(&self, start: u32, end: u32) -> bool {
        let ends_line = self.source.as_bytes().get(end as usize).is_none_or(|b| *b == b'\n');
        ends_line && Token::lexer(&self.source[start as usize..end as usize]).next() == Some(Ok(Token::OpenStr))
    }

    fn in_group(&self) -> bool {
        self.open.last().is_some_and(|at| self.out[*at as usize].kind != Token::OpenBrace)
    }

    /// Every open bracket has several lines.
    fn mark_open(&mut self) {
        for at in self.open.iter().rev() {
            let opener = &mut self.out[*at as usize];
            if opener.open_lines {
                break;
            }
            opener.open_lines = true;
        }
    }

    fn line_end(&mut self, start: u32, end: u32) {
        self.at = end;
        if self.in_group() {
            self.line_end_after_number = self.out.last().is_some_and(|p| p.kind == Token::Number);
            return;
        }
        self.mark_open();
        match self.out.last_mut() {
            Some(last) if last.kind == Token::Newline => last.alone |= start < end,
            _ => self.out.push(Piece::new(Token::Newline, start, end)),
        }
    }

    fn close(&mut self, closer: Piece) {
        let at = self.out.len() as u32;
        let mut closer = closer;
        if let Some(opener) = self.open.pop() {
            closer.partner = opener;
            let missing = closer.start == closer.end;
            let opener = &mut self.out[opener as usize];
            opener.partner = at;
            opener.verbatim |= missing && opener.kind != Token::OpenBrace;
            if missing && opener.kind == Token::OpenBrace {
                opener.open_lines = true;
                self.mark_open();
            }
        }
        self.out.push(closer);
    }

    fn token(&mut self, start: u32, token: Token, end: u32) {
        let kept = self.kept.first().copied().filter(|(at, ..)| *at == start);
        if kept.is_some() {
            self.kept = &self.kept[1..];
        }
        if token == Token::Newline {
            return self.line_end(start, end);
        }
        let Some((_, token, end)) = kept else {
            self.out.push(Piece { stray: true, verbatim: true, ..Piece::new(token, start, end) });
            self.at = end;
            return;
        };
        // An `else` goes on with what the `}` in front of it ended.
        if token == Token::Else
            && let [.., Piece { kind: Token::CloseBrace, .. }, Piece { kind: Token::Newline, .. }] = self.out[..]
        {
            self.out.pop();
        }
        // In a group, a line end keeps a number and the word behind it apart; on one line the word would be its unit.
        let apart = std::mem::take(&mut self.line_end_after_number) && matches!(token, Token::Ident | Token::Percent);
        let verbatim = apart || (token == Token::Str && self.in_group() && self.has_no_end(start, end));
        let piece = Piece { verbatim, ..Piece::new(token, start, end) };
        self.at = end;
        match token {
            Token::OpenBrace | Token::OpenParen | Token::OpenBracket => {
                self.open.push(self.out.len() as u32);
                self.out.push(piece);
            }
            Token::CloseBrace | Token::CloseParen | Token::CloseBracket => self.close(piece),
            _ => self.out.push(piece),
        }
    }
}
