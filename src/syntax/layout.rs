//! Tokens → tokens that the grammar can read: newlines only where they end a statement, units after numbers, and brackets
//! that always match. With the last, a broken line breaks no more than itself.

use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Span};
use crate::syntax::errors;
use crate::syntax::room::most_links;
use crate::syntax::token::{Spanned, Token};

/// Deeper nesting than this is refused, and longer chains than a thread has room for: no pass over the tree can run out of stack then.
pub const MAX_DEPTH: usize = 128;

/// Reads the layout: newlines, units, brackets.
pub fn layout(source: &str, tokens: &[Spanned], file: FileId, cx: &mut Diagnostics) -> Vec<Spanned> {
    let mut pass = Layout {
        source,
        file,
        cx,
        out: Vec::with_capacity(tokens.len() + 8),
        open: Vec::new(),
        slo: None,
        borrowed: 0,
        chains: vec![Chain::default()],
        cutting: false,
        skipped: None,
        condition: false,
        line: 0,
        line_open: 0,
        awaits_block: None,
    };
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
            pass.begin_line(start, token, next);
        }
        line_start = false;
        if pass.too_deep(start, token, end) {
            continue;
        }
        match token {
            Token::OpenBrace | Token::OpenParen | Token::OpenBracket => pass.open(start, token, end),
            Token::CloseBrace | Token::CloseParen | Token::CloseBracket => pass.close(start, token, end),
            Token::Else => {
                pass.drop_newline();
                pass.head();
                pass.out.push((start, token, end));
            }
            Token::Number => {
                pass.out.push((start, token, end));
                at = pass.unit(tokens, at);
            }
            Token::If | Token::Until => {
                pass.condition = true;
                pass.head();
                pass.out.push((start, token, end));
            }
            Token::Slo | Token::For | Token::Repeat | Token::Engine => {
                pass.head();
                pass.out.push((start, token, end));
            }
            Token::Eq if pass.condition => {
                pass.cx.push(errors::assign_for_compare(Span::new(file, start, end)));
                pass.out.push((start, Token::EqEq, end));
            }
            Token::Eq if matches!(pass.out[..], [.., (_, Token::Type | Token::Enum, _), (_, Token::Ident, _)]) => {
                pass.cx.push(errors::equals_behind_a_type(Span::new(file, start, end)));
            }
            Token::Arrow => {
                // No result stands inside a group: the group was never closed.
                pass.close_groups(start);
                pass.out.push((start, token, end));
            }
            _ => pass.out.push((start, token, end)),
        }
    }
    pass.finish(source.len() as u32);
    pass.out
}

/// Whether a word at the start of a line is a name, whatever it is elsewhere: `type: x` or `for, ` inside a group is a wrong name,
/// not a new statement, and an item's keyword has a name behind it.
pub(super) fn is_name(token: Token, next: Option<Token>) -> bool {
    matches!(next, Some(Token::Colon | Token::Comma | Token::CloseParen | Token::CloseBracket))
        || (token.begins_item() && next != Some(Token::Ident))
}

/// The operators of a statement so far.
#[derive(Clone, Copy, Default)]
struct Chain {
    /// Those that nest.
    nested: usize,
    /// Those that stand between two operands.
    links: usize,
}

struct Layout<'a> {
    source: &'a str,
    file: FileId,
    cx: &'a mut Diagnostics,
    out: Vec<Spanned>,
    open: Vec<Spanned>,
    /// The last `{` behind `slo`, which holds limits alone. None stands in another one.
    slo: Option<u32>,
    /// How many written `}` closed a `{` that was made up, and are missed by the bracket that they were written for.
    borrowed: usize,
    /// Operators of the statement so far, for the file and for each open `{`.
    chains: Vec<Chain>,
    /// Whether the rest of a statement is left out.
    cutting: bool,
    /// Brackets beyond [`MAX_DEPTH`] that are left out, so that their closers are left out too.
    skipped: Option<usize>,
    /// Between `if` or `until` and the end of the condition behind it.
    condition: bool,
    /// Where the first token of the line stands.
    line: u32,
    /// How many brackets are open where the line begins.
    line_open: usize,
    /// The line of a head whose `{` has not come yet, and whether the indentation of the next line may stand for it.
    awaits_block: Option<(u32, bool)>,
}

impl Layout<'_> {
    fn newline(&mut self, start: u32, end: u32) {
        let inside_group = matches!(self.open.last(), Some((_, Token::OpenParen | Token::OpenBracket, _)));
        let ends_something = !matches!(self.out.last(), None | Some((_, Token::Newline | Token::OpenBrace, _)));
        if !inside_group {
            self.cutting = false;
            self.condition = false;
            if let Some(chain) = self.chains.last_mut() {
                *chain = Chain::default();
            }
        }
        if !inside_group && ends_something {
            self.out.push((start, Token::Newline, end));
        }
    }

    /// Counts what nests without a bracket (`a.b.c`, `not not a`, `else if`) and what is only long (`a + b + c`); beyond the limit of either
    /// the rest of the statement is left out, but for the brackets that others need.
    fn too_deep(&mut self, start: u32, token: Token, end: u32) -> bool {
        use Token::*;
        if let Some(chain) = self.chains.last_mut() {
            match token {
                Plus | Minus | Star | Slash | And | Or => chain.links += 1,
                Not | Dot | Question | Else => chain.nested += 1,
                _ => {}
            }
        }
        let at = Span::new(self.file, start, end);
        let depth = || self.open.len() + self.chains.iter().map(|chain| chain.nested).sum::<usize>();
        let links = || self.chains.iter().map(|chain| chain.links).sum::<usize>();
        match token {
            _ if self.cutting => {}
            Not | Dot | Question | Else if depth() > MAX_DEPTH => {
                self.cx.push(errors::too_deep(at, MAX_DEPTH));
                self.cutting = true;
            }
            Plus | Minus | Star | Slash | And | Or if links() > most_links() => {
                self.cx.push(errors::too_long(at, most_links()));
                self.cutting = true;
            }
            _ => {}
        }
        self.cutting && !matches!(token, OpenBrace | CloseBrace | OpenParen | CloseParen | OpenBracket | CloseBracket)
    }

    fn drop_newline(&mut self) {
        if matches!(self.out.last(), Some((_, Token::Newline, _))) {
            self.out.pop();
        }
    }

    /// A line that starts with a keyword which cannot stand inside the open bracket closes it; the error stands at the opener.
    fn repair_at_line_start(&mut self, at: u32, token: Token, next: Option<Token>) {
        if is_name(token, next) {
            return;
        }
        let can_stay = |&(start, opener, _): &Spanned| match opener {
            Token::OpenBrace if self.slo == Some(start) => !token.begins_statement(),
            Token::OpenBrace => !token.begins_item(),
            _ => !token.begins_statement(),
        };
        let depth = self.open.iter().rposition(can_stay).map_or(0, |last| last + 1);
        if depth < self.open.len() {
            self.never_closed(depth, at, Span::new(self.file, at, at));
            self.newline(at, at);
        }
        if token.begins_item() {
            self.borrowed = 0;
        }
    }

    /// A line that is indented below a head without its `{` is the first of the block: the `{` is made up.
    fn begin_line(&mut self, at: u32, token: Token, next: Option<Token>) {
        if matches!(self.open.last(), Some((_, Token::OpenParen | Token::OpenBracket, _))) {
            return;
        }
        let head = self.awaits_block.take();
        self.line = at;
        self.line_open = self.open.len() - usize::from(token == Token::CloseBrace && !self.open.is_empty());
        if token.begins_item() && token != Token::Use && !is_name(token, next) && self.open.is_empty() {
            self.awaits_block = Some((at, true));
            return;
        }
        // A line end that is made up has had its error.
        let ends = self.out.last().is_some_and(|(start, token, end)| *token == Token::Newline && start < end);
        let Some((head, indented)) = head.filter(|_| ends) else { return };
        let closes = matches!(token, Token::CloseBrace | Token::CloseParen | Token::CloseBracket);
        let deeper = indented && self.indentation(at) > self.indentation(head);
        if closes || self.open.len() >= MAX_DEPTH || !(deeper || token == Token::OpenBrace) {
            return;
        }
        self.out.pop();
        let colon = self.out.pop_if(|(_, token, _)| *token == Token::Colon);
        let Some(&(_, _, end)) = self.out.last() else { return };
        let here = Span::new(self.file, end, end);
        if token == Token::OpenBrace {
            self.cx.push(errors::brace_on_its_own_line(here, Span::new(self.file, end, at)));
            return;
        }
        self.cx.push(match colon {
            Some((start, _, end)) => errors::colon_for_brace(Span::new(self.file, start, end)),
            None => errors::no_opening_brace(here),
        });
        self.open_brace((end, Token::OpenBrace, end));
    }

    fn open_brace(&mut self, brace: Spanned) {
        if matches!(self.out.last(), Some((_, Token::Slo, _))) {
            self.slo = Some(brace.0);
        }
        self.chains.push(Chain::default());
        self.open.push(brace);
        self.out.push(brace);
    }

    /// A keyword with a block behind it. Behind a `{` of the same line, a line that is indented may belong to that one.
    fn head(&mut self) {
        if !matches!(self.open.last(), Some((_, Token::OpenParen | Token::OpenBracket, _))) {
            self.awaits_block = Some((self.line, self.open.len() == self.line_open));
        }
    }

    /// How far the line of a place is indented, in bytes.
    fn indentation(&self, at: u32) -> usize {
        let line = self.source.get(..at as usize).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let line = self.source.get(line..).unwrap_or_default();
        line.len() - line.trim_start_matches([' ', '\t']).len()
    }

    /// Closes all but the first `depth` open brackets at a place. That they are not closed is said once: it has one cause. That a
    /// bracket which was made up is not, or took the partner of another one, is not said.
    fn never_closed(&mut self, depth: usize, at: u32, here: Span) {
        let mut written: Vec<(Span, Token)> = Vec::new();
        for &(start, opener, end) in self.open[depth..].iter().rev().filter(|(start, _, end)| start < end) {
            if opener == Token::OpenBrace && self.borrowed > 0 {
                self.borrowed -= 1;
            } else {
                written.push((Span::new(self.file, start, end), opener));
            }
        }
        self.cx.extend(errors::unclosed_brackets(&written, here));
        while self.open.len() > depth {
            self.insert_closer(at);
        }
    }

    fn insert_closer(&mut self, at: u32) {
        if let Some((_, opener, _)) = self.open.pop() {
            if opener == Token::OpenBrace {
                self.chains.pop();
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
        if token == Token::OpenBrace {
            // No block stands inside a group.
            self.close_groups(start);
            self.condition = false;
            self.awaits_block = None;
            return self.open_brace((start, token, end));
        }
        self.open.push((start, token, end));
        self.out.push((start, token, end));
    }

    /// Closes the groups that are open where nothing inside a group can stand.
    fn close_groups(&mut self, at: u32) {
        let depth = self.open.iter().rposition(|(_, opener, _)| *opener == Token::OpenBrace).map_or(0, |last| last + 1);
        self.never_closed(depth, at, Span::new(self.file, at, at));
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
        self.never_closed(matching + 1, start, Span::new(self.file, start, end));
        if let Some((opened, Token::OpenBrace, end)) = self.open.pop() {
            self.borrowed += usize::from(opened == end);
        }
        if token == Token::CloseBrace {
            self.awaits_block = None;
            self.line_open = self.line_open.min(self.open.len());
            self.drop_newline();
            self.chains.pop();
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
        self.never_closed(0, at, Span::new(self.file, at, at));
        self.drop_newline();
    }
}
