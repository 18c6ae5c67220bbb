//! Lines of jobs and compositions, and those of `slo`.

use super::{Pass, edit, words};
use crate::diag::source::Span;
use crate::syntax::token::{Spanned, Token};

impl Pass<'_> {
    /// A line of a job.
    pub(super) fn statement(&mut self, from: usize, end: usize) {
        let next = self.token(from + 1);
        match self.tokens[from].1 {
            Token::Ident => self.word(from, end),
            Token::CloseBrace if next == Some(Token::Ident) && words::is_else_if(self.text(from + 1)) => {
                self.else_if(from + 1);
            }
            Token::Let => self.pattern(from, end),
            Token::For => self.loop_head(from, end),
            Token::Goal if matches!(next, Some(Token::Colon | Token::Eq)) => {
                let at = self.span(from + 1, from + 2);
                let whole = if self.touches(from) { at } else { self.without(from + 1, end) };
                self.instead(at, "expected a text in quotes", "write `goal \"…\"`", edit(whole, ""));
                self.replace(from + 1, from + 2, []);
            }
            Token::Slo if next == Some(Token::Ident) && !self.has(from, end, Token::OpenBrace) => {
                let limits = self.span(from + 1, end);
                let text = format!("{{ {} }}", self.texts(from + 1, end));
                let at = self.span(from + 1, from + 2);
                self.instead(at, "expected `{`", "write the limits between `{` and `}`", edit(limits, text));
                let (start, _, slo) = self.tokens[from];
                self.replace(from + 1, from + 1, [(start, Token::OpenBrace, slo)]);
                self.replace(end, end, [(limits.end, Token::CloseBrace, limits.end)]);
            }
            Token::Dot if self.is_dots(from, end) => self.placeholder(from, end),
            first if leads_nothing(first) && !self.is_comment(from) => self.operator(from),
            _ => {}
        }
    }

    fn has(&self, from: usize, end: usize, token: Token) -> bool {
        self.tokens[from..end].iter().any(|(_, t, _)| *t == token)
    }

    fn is_dots(&self, from: usize, end: usize) -> bool {
        end == from + 3 && self.tokens[from..end].iter().all(|(_, token, _)| *token == Token::Dot)
    }

    /// A token with the space behind it.
    fn without(&self, at: usize, end: usize) -> Span {
        if at + 1 < end { self.up_to(at, at + 1) } else { self.span(at, at + 1) }
    }

    /// Whether a line is the last one of its block, so that it says what the block's value is.
    fn ends_block(&self, from: usize, end: usize) -> bool {
        let next = (end..self.tokens.len()).find(|at| self.tokens[*at].1 != Token::Newline);
        next.is_none_or(|next| self.tokens[next].1 == Token::CloseBrace || self.indent(next) < self.indent(from))
    }

    /// A line that begins with a word.
    fn word(&mut self, from: usize, end: usize) {
        let word = self.text(from);
        let next = self.token(from + 1).filter(|_| from + 1 < end);
        let at = self.span(from, from + 1);
        match (word, next) {
            (_, Some(Token::Ident | Token::OpenBrace | Token::OpenBracket))
                if words::names_a_value(word) && self.has(from, end, Token::Eq) =>
            {
                self.instead(at, "expected `let`", "write `let`", edit(at, "let"));
                self.read_as(from, Token::Let);
                self.pattern(from, end);
            }
            ("return", Some(next)) if begins_value(next) || (next == Token::OpenParen && !self.touches(from)) => {
                let last = self.ends_block(from, end);
                let help = "leave out `return`: the last line of a block is its value";
                self.instead(at, "no word of the language", help, edit(self.without(from, end), "").filter(|_| last));
                self.replace(from, from + 1, []);
            }
            (_, Some(next)) if words::is_else_if(word) && begins_value(next) => {
                self.else_if(from);
            }
            (_, Some(next)) => {
                let Some(token) = words::in_lower_case(word) else { return };
                let sure = match token {
                    Token::If | Token::For | Token::Repeat => self.tokens[end - 1].1 == Token::OpenBrace,
                    Token::Let | Token::Prefer | Token::Expect | Token::Using | Token::Minimize | Token::Maximize => {
                        next == Token::Ident
                    }
                    Token::Slo => next == Token::OpenBrace,
                    Token::Goal => next == Token::Str,
                    _ => false,
                };
                if sure {
                    let here = token.text();
                    self.instead(at, &format!("expected `{here}`"), format!("write `{here}`"), edit(at, here));
                    self.read_as(from, token);
                }
            }
            _ => {}
        }
    }

    fn else_if(&mut self, at: usize) {
        let (start, _, end) = self.tokens[at];
        let span = self.span(at, at + 1);
        self.instead(span, "expected `else if`", "write `else if`", edit(span, "else if"));
        self.replace(at, at + 1, [(start, Token::Else, end), (end, Token::If, end)]);
    }

    /// `...`: something that is yet to come.
    fn placeholder(&mut self, from: usize, end: usize) {
        let at = self.span(from, end);
        let last = self.ends_block(from, end);
        self.instead(
            at,
            "expected a value",
            "write a hole for what is yet to come: `?`",
            edit(at, "?").filter(|_| last),
        );
        self.replace(from, end, [(at.start, Token::Question, at.end)]);
    }

    /// `let a, b = …`, `let [a, b] = …`, `let {a, b} = …`, `let mut a = …`
    fn pattern(&mut self, from: usize, end: usize) {
        let Some(eq) = (from..end).find(|at| self.tokens[*at].1 == Token::Eq) else { return };
        let (first, last) = (from + 1, eq.saturating_sub(1));
        let is_list = |pass: &Self, from: usize, to: usize| {
            (from..to).all(|at| pass.tokens[at].1 == if (at - from) % 2 == 1 { Token::Comma } else { Token::Ident })
                && (to - from) % 2 == 1
        };
        let help = "write the names in brackets: `let (a, b) = …`";
        match self.tokens[first].1 {
            Token::Ident if self.text(first) == "mut" && last > first => {
                let at = self.span(first, first + 1);
                self.instead(
                    at,
                    "expected a name",
                    "leave out `mut`: values never change",
                    edit(self.up_to(first, first + 1), ""),
                );
                self.replace(first, first + 1, []);
            }
            Token::Ident if eq > first + 2 && is_list(self, first, eq) => {
                let names = self.span(first, eq);
                let text = format!("({})", self.texts(first, eq));
                self.instead(names, "expected one name, or several in brackets", help, edit(names, text));
                self.replace(first, first, [(names.start, Token::OpenParen, names.start)]);
                self.replace(eq, eq, [(names.end, Token::CloseParen, names.end)]);
            }
            open @ (Token::OpenBracket | Token::OpenBrace) if last > first && is_list(self, first + 1, last) => {
                let names = self.span(first, eq);
                let text = format!("({})", self.texts(first + 1, last).trim());
                // Between `{` and `}`, others name the fields: here the places count.
                let places = open == Token::OpenBracket;
                self.instead(
                    names,
                    "expected one name, or several in brackets",
                    help,
                    edit(names, text).filter(|_| places),
                );
                self.read_as(first, Token::OpenParen);
                self.read_as(last, Token::CloseParen);
            }
            _ => {}
        }
    }

    /// `for (const x of xs) {`, `for x of xs {`
    fn loop_head(&mut self, from: usize, end: usize) {
        let opened = self.token(from + 1) == Some(Token::OpenParen);
        let first = from + 1 + usize::from(opened);
        let declared = self.token(first) == Some(Token::Let) || words::names_a_value(self.text(first));
        let name = first + usize::from(declared);
        if self.token(name) != Some(Token::Ident) || !matches!(self.token(name + 1), Some(Token::In | Token::Of)) {
            return;
        }
        let list_end = match opened {
            false => name + 2,
            true => {
                let Some(close) = (name..end).rev().find(|at| self.tokens[*at].1 == Token::CloseParen) else { return };
                close
            }
        };
        if !opened && !declared && self.token(name + 1) == Some(Token::In) {
            return;
        }
        let help = "write `for item in list { … }`";
        match opened {
            true => {
                let whole = self.span(from + 1, list_end + 1);
                let list = self.texts(name + 2, list_end);
                let text = format!("{} in {list}", self.text(name));
                self.instead(whole, "expected a name, `in` and a list", help, edit(whole, text));
                self.replace(list_end, list_end + 1, []);
            }
            false => {
                let whole = self.span(from + 1, name + 2);
                let text = format!("{} in", self.text(name));
                self.instead(whole, "expected a name and `in`", help, edit(whole, text));
            }
        }
        self.replace(from + 1, name, []);
        self.read_as(name + 1, Token::In);
    }

    /// A line that goes on with what the line before ended.
    fn operator(&mut self, from: usize) {
        let Some(last) = (0..from).rev().find(|at| self.tokens[*at].1 != Token::Newline) else { return };
        let ends = matches!(
            self.tokens[last].1,
            Token::Ident
                | Token::Str
                | Token::Number
                | Token::True
                | Token::False
                | Token::CloseParen
                | Token::CloseBracket
        );
        if !ends {
            return;
        }
        let sign = self.text(from);
        let (before, at) = (self.tokens[last].2, self.span(from, from + 1));
        let between = Span { start: before, end: at.start, ..at };
        let empty = self.slice(before, at.start).is_some_and(|text| text.trim().is_empty());
        let help = format!(
            "a line ends a statement: write `{sign}` and what follows on the line before, or all of it in brackets"
        );
        let space = if self.tokens[from].1 == Token::Dot { "" } else { " " };
        self.instead(at, "the statement ended with the line before", help, edit(between, space).filter(|_| empty));
        self.replace(last + 1, from, []);
    }

    /// A line of `slo`.
    pub(super) fn limits(&mut self, from: usize, end: usize) {
        let mut depth = 0usize;
        let compares = |(_, token, _): &Spanned| compares(*token);
        let first = self.tokens[from..end].iter().position(compares).map_or(end, |first| from + first);
        let last = self.tokens[from..end].iter().rposition(compares).map_or(from, |last| from + last);
        for at in from..end {
            let behind = self.token(at + 1).filter(|_| at + 1 < end);
            match self.tokens[at].1 {
                Token::OpenParen | Token::OpenBracket => depth += 1,
                Token::CloseParen | Token::CloseBracket => depth = depth.saturating_sub(1),
                Token::CloseBrace => return,
                Token::Comma if self.is_decimal(at) => self.decimal_comma(at),
                Token::Comma if depth == 0 && matches!(behind, None | Some(Token::CloseBrace)) => {
                    let comma = self.span(at, at + 1);
                    self.instead(comma, "expected the end of the line", "remove the `,`", edit(comma, ""));
                    self.replace(at, at + 1, []);
                }
                Token::Comma | Token::And if depth == 0 => {
                    let word = self.span(at, at + 1);
                    let before = at.checked_sub(1).map_or(word.start, |last| self.tokens[last].2);
                    let between = Span { start: before, ..self.up_to(at, at + 1) };
                    let line = format!("{}{}", self.new_line(), self.indentation(from));
                    let alone = (from == 0 || self.before(from) == Some(Token::Newline))
                        && first < at
                        && last > at
                        && behind == Some(Token::Ident);
                    self.instead(
                        word,
                        "expected the end of the line",
                        "write each limit on a line of its own",
                        edit(between, line).filter(|_| alone),
                    );
                    self.replace(at, at + 1, [(word.start, Token::Newline, word.end)]);
                }
                _ => {}
            }
        }
    }

    fn is_decimal(&self, at: usize) -> bool {
        at > 0
            && self.before(at) == Some(Token::Number)
            && self.token(at + 1) == Some(Token::Number)
            && self.touches(at - 1)
            && self.touches(at)
    }

    /// `2,50`
    fn decimal_comma(&mut self, at: usize) {
        let whole = self.span(at - 1, at + 2);
        let (units, rest) = (self.text(at - 1), self.text(at + 1));
        // `1,000` may be a thousand.
        let sure = rest.len() != 3;
        let here = format!("{units}.{rest}");
        let help = format!("write `.` in front of decimals: `{here}`");
        self.instead(whole, "expected one number", help, edit(whole, here).filter(|_| sure));
        self.replace(at, at + 2, []);
    }
}

/// What begins a value, so that a word in front of it is none. A `(` may make a call of it, a `-` a difference.
fn begins_value(token: Token) -> bool {
    use Token::*;
    matches!(token, Ident | Not | Str | Number | True | False | Question | OpenBracket | If | For | Repeat)
}

/// What stands between a metric and its limit.
fn compares(token: Token) -> bool {
    use Token::*;
    matches!(token, Less | LessEq | Greater | GreaterEq | EqEq | Eq | Colon)
}

/// What no statement begins with. A `-` may begin one.
fn leads_nothing(token: Token) -> bool {
    use Token::*;
    matches!(token, Plus | Star | Slash | And | Or | EqEq | NotEq | LessEq | GreaterEq | Less | Greater | Dot)
}
