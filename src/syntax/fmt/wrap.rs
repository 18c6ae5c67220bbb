//! Lines that are too wide: a bracket's contents get lines of their own, one a parameter, as many as fit of a list.

use super::WIDTH;
use super::lines::{INDENT, Pass};
use crate::syntax::token::Token;
use std::ops::Range;

impl Pass<'_> {
    /// Whether a comment stands where no line can be ended, or a wrapped line would begin with a word that ends the group.
    pub(super) fn comment_in_the_way(&self, line: Range<usize>) -> bool {
        let mut open: Vec<usize> = Vec::new();
        for at in line {
            let piece = &self.pieces[at];
            match piece.kind {
                Token::OpenParen | Token::OpenBracket => open.push(at),
                Token::CloseParen | Token::CloseBracket => {
                    let opener = open.pop().map(|o| self.pieces[o]);
                    if opener.is_some_and(|o| o.open_lines && self.begins_statement(o.partner, at)) {
                        return true;
                    }
                }
                Token::Comment if !open.is_empty() => {
                    let ends = |kind: Token| matches!(kind, Token::Comma | Token::Comment) || kind.closer().is_some();
                    let before = at.checked_sub(1).is_some_and(|b| ends(self.pieces[b].kind));
                    let behind = self.pieces[at + 1..].iter().map(|p| p.kind).find(|k| *k != Token::Comment);
                    if !before && !matches!(behind, Some(Token::CloseParen | Token::CloseBracket)) {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }

    /// Whether anything in a group begins with a word that would close the group at the start of a line.
    fn begins_statement(&self, close: u32, at: usize) -> bool {
        let close = if close == u32::MAX { at } else { close as usize };
        let open = self.pieces[close].partner as usize;
        self.elements(open).iter().any(|e| self.pieces[e.start].kind.begins_statement())
    }

    /// What the commas of a group part, each with its comma; comments by themselves.
    fn elements(&self, open: usize) -> Vec<Range<usize>> {
        let close = self.pieces[open].partner as usize;
        let (mut found, mut from, mut at) = (Vec::new(), open + 1, open + 1);
        while at < close {
            let piece = &self.pieces[at];
            let next = if piece.kind.closer().is_some() { piece.partner as usize + 1 } else { at + 1 };
            if piece.kind == Token::Comment && from < at {
                found.push(from..at);
                from = at;
            }
            if matches!(piece.kind, Token::Comma | Token::Comment) {
                found.push(from..next);
                from = next;
            }
            at = next;
        }
        if from < close {
            found.push(from..close);
        }
        found
    }

    /// The group to open: the first with a comment, else the widest; one with a single element hands on to those in it.
    fn group(&self, line: Range<usize>) -> Option<usize> {
        let mut best: Option<(u32, usize)> = None;
        let mut at = line.start;
        while at < line.end {
            let piece = &self.pieces[at];
            if !matches!(piece.kind, Token::OpenParen | Token::OpenBracket) {
                at += 1;
                continue;
            }
            let close = piece.partner as usize;
            if piece.open_lines {
                return Some(at);
            }
            let wide: u32 = self.pieces[at..close].iter().map(|p| p.end - p.start).sum();
            let opens = match self.elements(at).as_slice() {
                [] => None,
                [one] => self.group(one.clone()),
                many => (!many.iter().any(|e| self.pieces[e.start].kind.begins_statement())).then_some(at),
            };
            if let Some(opens) = opens
                && best.is_none_or(|(w, _)| wide > w)
            {
                best = Some((wide, opens));
            }
            at = close + 1;
        }
        best.map(|(_, at)| at)
    }

    /// Writes pieces with as many groups opened as it takes; where there is none to open, they stay too wide.
    pub(super) fn wrapped(&mut self, line: Range<usize>, depth: usize) {
        let Some(open) = self.group(line.clone()) else { return self.flat(line, |_, _, _| {}) };
        let close = self.pieces[open].partner as usize;
        self.flat(line.start..open + 1, |_, _, _| {});
        let fill = self.pieces[open].kind == Token::OpenBracket;
        let margin = (depth + 1) * INDENT;
        // Where the last element of a list ends, while another may stand behind it.
        let mut column: Option<usize> = None;
        let mut behind_comment = false;
        for element in self.elements(open) {
            let first = &self.pieces[element.start];
            if first.kind == Token::Comment {
                if first.alone || behind_comment {
                    self.next_line(depth + 1);
                } else {
                    self.out.text.push_str("  ");
                }
                self.out.text.push_str(first.text(self.source));
                (column, behind_comment) = (None, true);
                continue;
            }
            behind_comment = false;
            let from = self.out.text.len();
            self.flat(element.clone(), |_, _, _| {});
            let wide = self.out.text[from..].chars().count();
            self.out.text.truncate(from);
            let has_comment = self.pieces[element.clone()].iter().any(|p| p.kind == Token::Comment);
            if has_comment || margin + wide > WIDTH {
                self.next_line(depth + 1);
                self.wrapped(element, depth + 1);
                column = None;
                continue;
            }
            match column.filter(|c| fill && c + 1 + wide <= WIDTH) {
                Some(at) => {
                    self.out.text.push(' ');
                    column = Some(at + 1 + wide);
                }
                None => {
                    self.next_line(depth + 1);
                    column = Some(margin + wide);
                }
            }
            self.flat(element, |_, _, _| {});
        }
        self.next_line(depth);
        let rest = close..line.end;
        let from = self.out.text.len();
        let has_comment = self.pieces[rest.clone()].iter().any(|p| p.kind == Token::Comment);
        self.flat(rest.clone(), |_, _, _| {});
        if has_comment || self.out.text[from..].chars().count() + depth * INDENT > WIDTH {
            self.out.text.truncate(from);
            self.wrapped(rest, depth);
        }
    }

    fn next_line(&mut self, depth: usize) {
        self.out.text.push('\n');
        for _ in 0..depth * INDENT {
            self.out.text.push(' ');
        }
    }
}
