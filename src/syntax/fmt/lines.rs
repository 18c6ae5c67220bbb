//! Pieces → lines. A line ends where the text ends it, behind the `{` of an open block and in front of its `}`; one that is too
//! wide is wrapped.

use super::pieces::Piece;
use super::space::space;
use super::{BLANKS, WIDTH};
use crate::syntax::layout::is_name;
use crate::syntax::token::Token;
use std::ops::Range;

/// Spaces a level.
pub const INDENT: usize = 2;

/// What lines have in columns where they follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Lines led by this keyword, at their `=` or `in`.
    Keyword(Token),
    /// Limits, at the comparison.
    Limit,
    /// Machines of a cluster, at `*` and `at`.
    Pool,
}

/// A line, or several where it was wrapped or stays as it is written.
#[derive(Debug)]
pub struct Line {
    /// Levels of indentation.
    pub depth: usize,
    /// Whether an empty line stands in front.
    pub blank: bool,
    /// Its text in [`Lines::text`].
    pub text: Range<usize>,
    /// What it is in columns with, if anything.
    pub column: Option<Column>,
    /// Where spaces may be added: places in [`Lines::text`]; the end of the text where there is no second one.
    pub stops: [usize; 2],
    /// A comment behind it, in [`Lines::text`]; empty where there is none.
    pub comment: Range<usize>,
}

/// Lines, and their text.
#[derive(Debug, Default)]
pub struct Lines {
    /// The text of all lines, one behind the other.
    pub text: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// Makes lines of pieces.
pub fn lines(source: &str, pieces: &[Piece]) -> Lines {
    let out = Lines { text: String::with_capacity(source.len()), lines: Vec::with_capacity(pieces.len() / 6) };
    let mut pass = Pass { source, pieces, out, heads: Vec::new(), blank: false, line: 0..0, depth: 0 };
    for at in 0..pieces.len() {
        pass.piece(at);
    }
    pass.flush();
    pass.out
}

pub(super) struct Pass<'a> {
    pub(super) source: &'a str,
    pub(super) pieces: &'a [Piece],
    pub(super) out: Lines,
    /// What leads the lines that the open blocks belong to.
    heads: Vec<Token>,
    blank: bool,
    /// The pieces of the line so far.
    line: Range<usize>,
    /// How many blocks were open where it begins.
    depth: usize,
}

impl Pass<'_> {
    fn piece(&mut self, at: usize) {
        let piece = self.pieces[at];
        let block = |of: usize| self.pieces.get(of).is_some_and(|p| p.kind == Token::OpenBrace && p.open_lines);
        let (opens, closes) = (block(at), piece.kind == Token::CloseBrace && block(piece.partner as usize));
        let behind_block_open = !self.line.is_empty() && block(self.line.end - 1);
        match piece.kind {
            Token::Newline => {
                let opened = self.last_but_comment(self.line.clone()).is_some_and(block);
                self.flush();
                self.blank = piece.alone && !opened && !self.out.lines.is_empty();
                return;
            }
            Token::Comment if behind_block_open && !piece.alone => {}
            _ if closes || (behind_block_open && !self.closes_block(self.line.end - 1, at)) => self.flush(),
            _ => {}
        }
        if closes {
            self.heads.pop();
            self.blank = false;
        }
        if piece.start == piece.end {
            // Made up: there is nothing to write.
            if opens {
                self.heads.push(self.leader(self.line.clone()));
            }
            return;
        }
        if self.line.is_empty() {
            self.line = at..at;
            self.depth = self.heads.len();
        }
        self.line.end = at + 1;
        if opens {
            self.heads.push(self.leader(self.line.clone()));
        }
    }

    /// Whether the piece behind a `{` would close it, were it the first of its line.
    fn closes_block(&self, open: usize, first: usize) -> bool {
        let Piece { kind: token, stray, .. } = self.pieces[first];
        let next = self.pieces.get(first + 1).map(|p| p.kind);
        let means = |p: &&Piece| !p.stray && !matches!(p.kind, Token::Newline | Token::Comment);
        let before = self.pieces[..open].iter().rev().find(means);
        let is_slo = before.is_some_and(|p| p.kind == Token::Slo);
        // The layout pass does not see what is stray: the word behind it would come first.
        if stray {
            return true;
        }
        (token.begins_item() || (is_slo && token.begins_statement())) && !is_name(token, next)
    }

    fn last_but_comment(&self, line: Range<usize>) -> Option<usize> {
        line.rev().find(|at| self.pieces[*at].kind != Token::Comment)
    }

    /// What leads a line; `} else {` belongs to what is behind the bracket.
    fn leader(&self, line: Range<usize>) -> Token {
        let first = self.pieces[line].iter().map(|p| p.kind).find(|k| *k != Token::CloseBrace);
        first.unwrap_or(Token::OpenBrace)
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return;
        }
        let depth = self.depth;
        let head = depth.checked_sub(1).and_then(|at| self.heads.get(at).copied());
        self.line(line, depth, head);
    }

    /// Writes a line; one that is too wide and has a block in it is opened there.
    fn line(&mut self, line: Range<usize>, depth: usize, head: Option<Token>) {
        if self.pieces[line.clone()].iter().any(|p| p.verbatim) || self.comment_in_the_way(line.clone()) {
            return self.as_written(line, depth);
        }
        let (code, comment) = match self.pieces[line.end - 1] {
            last if last.kind == Token::Comment => (line.start..line.end - 1, Some(last)),
            _ => (line.clone(), None),
        };
        let from = self.out.text.len();
        let column = column_of(self.pieces, code.clone(), head);
        let mut stops = [usize::MAX; 2];
        let mut fits = true;
        if !code.is_empty() {
            fits = !self.pieces[code.clone()].iter().any(|p| p.kind == Token::Comment);
            self.flat(code.clone(), |kind, deep, place| {
                if column.is_some_and(|c| stops_at(c, kind, deep)) {
                    let free = stops.iter().position(|s| *s == usize::MAX);
                    free.into_iter().for_each(|i| stops[i] = place);
                }
            });
            fits &= self.out.text.len() - from + depth * INDENT <= WIDTH
                || self.out.text[from..].chars().count() + depth * INDENT <= WIDTH;
        }
        if !fits {
            self.out.text.truncate(from);
            if let Some(open) = self.block_in(code.clone()) {
                return self.opened(line, open, depth, head);
            }
            self.wrapped(code.clone(), depth);
        }
        let end = self.out.text.len();
        stops.iter_mut().for_each(|s| *s = (*s).min(end));
        let column = column.filter(|_| fits && stops[0] < end);
        if let Some(comment) = comment {
            self.out.text.push_str(comment.text(self.source));
        }
        let (text, comment) = (from..end, end..self.out.text.len());
        self.push(Line { depth, blank: false, text, column, stops, comment });
    }

    /// A block on one line that is too wide: `{`, what is in it and `}` get lines.
    fn opened(&mut self, line: Range<usize>, open: usize, depth: usize, head: Option<Token>) {
        let close = self.pieces[open].partner as usize;
        let own = self.leader(line.clone());
        self.line(line.start..open + 1, depth, head);
        let inside = open + 1..close;
        let mut from = inside.start;
        if matches!(own, Token::Engine | Token::Type | Token::Enum) {
            let mut at = inside.start;
            while at < inside.end {
                let piece = self.pieces[at];
                at = if piece.kind.closer().is_some() { piece.partner as usize } else { at } + 1;
                let fills = own == Token::Enum && self.fits(from..at + 1, depth + 1);
                if piece.kind == Token::Comma && !fills && !self.closes_block(open, at) {
                    self.line(from..at, depth + 1, Some(own));
                    from = at;
                }
            }
        }
        if from < inside.end {
            self.line(from..inside.end, depth + 1, Some(own));
        }
        // `} else {`: its block is opened too.
        match self.block_in(close..line.end) {
            Some(next) => self.opened(close..line.end, next, depth, head),
            None => self.line(close..line.end, depth, head),
        }
    }

    /// Whether pieces fit on a line with one more, all with a space behind them.
    fn fits(&self, line: Range<usize>, depth: usize) -> bool {
        let end = (line.end + 1).min(self.pieces.len());
        let wide: u32 = self.pieces[line.start..end].iter().map(|p| p.end - p.start + 1).sum();
        wide as usize + depth * INDENT <= WIDTH
    }

    /// The first block of a line that does not end it.
    fn block_in(&self, line: Range<usize>) -> Option<usize> {
        let end = line.end;
        let block = |at: &usize| self.pieces[*at].kind == Token::OpenBrace && at + 1 < end;
        line.into_iter().find(block).filter(|at| !self.pieces[*at].open_lines && !self.closes_block(*at, at + 1))
    }

    fn as_written(&mut self, line: Range<usize>, depth: usize) {
        let (first, last) = (self.pieces[line.start], self.pieces[line.end - 1]);
        let from = self.out.text.len();
        for (nth, written) in self.source[first.start as usize..last.end as usize].split('\n').enumerate() {
            if nth > 0 {
                self.out.text.push('\n');
            }
            self.out.text.push_str(written.trim_end_matches(BLANKS));
        }
        let end = self.out.text.len();
        self.push(Line { depth, blank: false, text: from..end, column: None, stops: [end; 2], comment: end..end });
    }

    fn push(&mut self, line: Line) {
        let blank = std::mem::take(&mut self.blank);
        self.out.lines.push(Line { blank, ..line });
    }

    /// Writes pieces on one line; tells of each but the first its kind, how many brackets it is in, and the place in front of it.
    pub(super) fn flat(&mut self, line: Range<usize>, mut seen: impl FnMut(Token, usize, usize)) {
        let mut deep = 0;
        for at in line.clone() {
            let piece = &self.pieces[at];
            if at > line.start {
                let before = at.checked_sub(2).filter(|b| *b >= line.start).map(|b| self.pieces[b].kind);
                let place = self.out.text.len();
                if space(before, &self.pieces[at - 1], piece) {
                    self.out.text.push(' ');
                }
                seen(piece.kind, deep, place);
            }
            match piece.kind {
                Token::OpenBrace | Token::OpenParen | Token::OpenBracket => deep += 1,
                Token::CloseBrace | Token::CloseParen | Token::CloseBracket => deep = deep.saturating_sub(1),
                _ => {}
            }
            self.out.text.push_str(piece.text(self.source));
        }
    }
}

fn column_of(pieces: &[Piece], code: Range<usize>, head: Option<Token>) -> Option<Column> {
    let first = pieces.get(code.start).filter(|_| !code.is_empty())?.kind;
    if pieces[code.end - 1].kind == Token::OpenBrace {
        return None;
    }
    match (first, head) {
        (_, Some(Token::Slo)) => Some(Column::Limit),
        (_, Some(Token::Cluster)) => Some(Column::Pool),
        (Token::Let | Token::Knob | Token::Work | Token::Size, _) => Some(Column::Keyword(first)),
        _ => None,
    }
}

fn stops_at(column: Column, kind: Token, deep: usize) -> bool {
    use Token::*;
    deep == 0
        && match column {
            Column::Keyword(Knob) => kind == In,
            Column::Keyword(_) => kind == Eq,
            Column::Limit => matches!(kind, EqEq | NotEq | LessEq | GreaterEq | Less | Greater),
            Column::Pool => matches!(kind, Star | At),
        }
}
