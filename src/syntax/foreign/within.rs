//! Spellings within a line: types, arguments, operators, values.

use super::{Group, MOST_TOKENS, Pass, Place, edit, words};
use crate::diag::source::Span;
use crate::syntax::token::Token;
use rust_decimal::Decimal;

impl Pass<'_> {
    /// A token and what stands around it on its line.
    pub(super) fn token_within(&mut self, at: usize, end: usize) {
        let place = self.place();
        match self.tokens[at].1 {
            Token::Less if place != Place::Library => self.less(at, end),
            Token::Question if place != Place::Library => self.question(at, end),
            Token::Eq => self.equals(at, end),
            Token::Ident if place == Place::Flow => self.name_within(at, end),
            Token::Number if matches!(place, Place::Flow | Place::Limits) => self.number(at, end),
            sign @ (Token::EqEq | Token::NotEq)
                if place == Place::Flow && self.touches(at) && self.token(at + 1) == Some(Token::Eq) =>
            {
                self.sign(at, at + 2, sign);
            }
            Token::OpenBrace if place == Place::Flow => self.record(at, end),
            Token::OpenBracket if place == Place::Flow => self.index(at, end),
            Token::Dot if place == Place::Flow => self.method(at, end),
            Token::For if place == Place::Flow && self.in_group() => {
                let help = "write the loop as a value of its own: `let all = for item in list { … }`";
                self.instead(self.span(at, at + 1), "no loop stands in brackets", help, None);
                self.spoil(at);
            }
            Token::Using if self.token(at + 1) == Some(Token::Str) && at + 1 < end => {
                let help = "name a model or tool of the library, what it is to use in brackets: \
                            `using openai_chat(model: \"gpt-4o\")`";
                self.instead(self.span(at + 1, at + 2), "expected a name", help, None);
                self.spoil(at);
            }
            Token::Str => self.several_lines(at),
            Token::Slash if self.is_comment(at) => self.comment(at),
            _ => {}
        }
    }

    /// Several signs that are one here.
    fn sign(&mut self, from: usize, to: usize, token: Token) {
        let whole = self.span(from, to);
        let here = token.text();
        self.instead(whole, &format!("expected `{here}`"), format!("write `{here}`"), edit(whole, here));
        self.replace(from, to, [(whole.start, token, whole.end)]);
    }

    /// `List<Text>`, and `<>` for `!=`.
    fn less(&mut self, at: usize, end: usize) {
        if self.touches(at) && self.token(at + 1) == Some(Token::Greater) {
            return self.sign(at, at + 2, Token::NotEq);
        }
        let named = at > 0 && self.touches(at - 1) && words::is_list(self.text(at - 1));
        if !named || self.is_edited(at) {
            return;
        }
        let (mut depth, mut close) = (0usize, None);
        for i in at..end.min(at + MOST_TOKENS) {
            match self.tokens[i].1 {
                Token::Less => depth += 1,
                Token::Greater if depth == 1 => {
                    close = Some(i);
                    break;
                }
                Token::Greater => depth -= 1,
                Token::Ident | Token::Question => {}
                _ => break,
            }
        }
        let Some(close) = close else { return };
        let whole = self.span(at - 1, close + 1);
        let item = self.texts(at + 1, close).replace('<', "[").replace('>', "]");
        let here = format!("List[{item}]");
        self.instead(whole, "expected the item's type in `[` and `]`", format!("write `{here}`"), edit(whole, here));
        for i in at..=close {
            match self.tokens[i].1 {
                Token::Less => self.read_as(i, Token::OpenBracket),
                Token::Greater => self.read_as(i, Token::CloseBracket),
                _ => {}
            }
        }
    }

    fn parameters(&self) -> bool {
        self.group() == Some(Group::Parameters) || (self.place() == Place::Fields && !self.in_group())
    }

    /// Where what is given for a parameter ends.
    fn part_end(&self, from: usize, end: usize) -> usize {
        let mut depth = 0usize;
        let end = end.min(from + MOST_TOKENS);
        for at in from..end {
            match self.tokens[at].1 {
                Token::OpenParen | Token::OpenBracket => depth += 1,
                Token::CloseParen | Token::CloseBracket if depth > 0 => depth -= 1,
                Token::CloseParen | Token::CloseBracket | Token::CloseBrace => return at,
                Token::Comma | Token::Eq if depth == 0 => return at,
                _ => {}
            }
        }
        end
    }

    /// `name?: Text`, `?name`
    fn question(&mut self, at: usize, end: usize) {
        let named = self.before(at) == Some(Token::Ident);
        if self.parameters() && named && self.token(at + 1) == Some(Token::Colon) && at + 2 < end {
            let type_end = self.part_end(at + 2, end);
            let whole = self.span(at, type_end);
            let ty = self.texts(at + 2, type_end);
            let at_sign = self.span(at, at + 1);
            self.instead(at_sign, "expected `:`", "write the `?` behind the type", edit(whole, format!(": {ty}?")));
            self.replace(at, at + 1, []);
            self.replace(type_end, type_end, [(whole.end, Token::Question, whole.end)]);
        } else if self.place() == Place::Flow && self.touches(at) && self.token(at + 1) == Some(Token::Ident) && !named
        {
            let word = self.span(at + 1, at + 2);
            let text = format!(" \"{}\"", self.text(at + 1));
            self.instead(word, "expected a text in quotes", "say in quotes what is wanted", edit(word, text));
            self.read_as(at + 1, Token::Str);
        }
    }

    /// `f(name = value)`, `name: Text = "a"` of an input
    fn equals(&mut self, at: usize, end: usize) {
        if self.touches(at) && self.token(at + 1) == Some(Token::Greater) {
            let help = "there are no functions without a name: write `for item in list { … }`, or a job";
            self.instead(self.span(at, at + 2), "no sign of the language", help, None);
            return self.spoil(at);
        }
        let Some(group @ (Group::Arguments | Group::Parameters)) = self.group() else { return };
        let first = at >= 2 && matches!(self.tokens[at - 2].1, Token::OpenParen | Token::Comma);
        let eq = self.span(at, at + 1);
        if first && self.before(at) == Some(Token::Ident) && !self.touches_eq(at) {
            let name_end = self.tokens[at - 1].2;
            let behind = self.tokens.get(at + 1).map_or(eq.end, |(start, ..)| *start);
            let whole = Span { start: name_end, end: behind.max(eq.end), ..eq };
            let help = match group {
                Group::Arguments => "write `:` between the name of an argument and its value",
                _ => "write `:` between the name of an input and its type",
            };
            self.instead(eq, "expected `:`", help, edit(whole, ": "));
            self.read_as(at, Token::Colon);
        } else if group == Group::Parameters {
            let help = "an input has no value of its own: write `name: Text?`, and say with `or` what stands in for it";
            self.instead(eq, "expected `)` or `,`", help, None);
            self.replace(at, self.part_end(at + 1, end), []);
        }
    }

    /// `==` in two.
    fn touches_eq(&self, at: usize) -> bool {
        self.touches(at) && self.token(at + 1) == Some(Token::Eq)
    }

    /// `new Box(…)`, `await f(…)`, `f"…"`
    fn name_within(&mut self, at: usize, end: usize) {
        let next = self.token(at + 1).filter(|_| at + 1 < end);
        let behind = self.token(at + 2).filter(|_| at + 2 < end);
        let word = self.text(at);
        let span = self.span(at, at + 1);
        match (word, next, behind) {
            ("new" | "await", Some(Token::Ident), Some(Token::OpenParen)) => {
                let help = format!("leave out `{word}`");
                self.instead(span, "no word of the language", help, edit(self.up_to(at, at + 1), ""));
                self.replace(at, at + 1, []);
            }
            (_, Some(Token::Str), _) if words::is_prefix(word) && self.touches(at) => {
                let plain = !self.text(at + 1).contains(['{', '\\']);
                let help = "a text has no placeholders: join texts with `+`";
                let help = if plain { "leave it out" } else { help };
                self.instead(span, "means nothing in front of a text", help, edit(span, "").filter(|_| plain));
                self.replace(at, at + 1, []);
            }
            _ => {}
        }
    }

    /// `1e3`
    fn number(&mut self, at: usize, end: usize) {
        if at + 1 >= end || !self.touches(at) || self.token(at + 1) != Some(Token::Ident) {
            return;
        }
        let word = self.text(at + 1);
        let Some(power) = word.strip_prefix(['e', 'E']) else { return };
        // `1e-3`
        let signed = power.is_empty()
            && matches!(self.token(at + 2), Some(Token::Minus | Token::Plus))
            && self.token(at + 3) == Some(Token::Number)
            && self.touches(at + 1)
            && self.touches(at + 2);
        let last = if signed { at + 4 } else { at + 2 };
        if !signed && (power.is_empty() || !power.bytes().all(|b| b.is_ascii_digit())) {
            return;
        }
        let whole = self.span(at, last);
        let text = self.texts(at, last).replace('_', "");
        let plain = Decimal::from_scientific(&text).ok().map(|number| number.normalize().to_string());
        let help = match &plain {
            Some(plain) => format!("write `{plain}`"),
            None => "write the number with all of its digits".to_string(),
        };
        let plain = plain.and_then(|plain| edit(whole, plain));
        self.instead(whole, "expected a number without a power", help, plain);
        self.replace(at + 1, last, []);
    }

    /// `texts[0]`
    fn index(&mut self, at: usize, end: usize) {
        let indexed = at > 0
            && self.touches(at - 1)
            && matches!(self.tokens[at - 1].1, Token::Ident | Token::CloseParen | Token::CloseBracket)
            && matches!(self.token(at + 1), Some(Token::Number | Token::Minus | Token::Colon | Token::Str))
            && at + 1 < end;
        if indexed {
            let list = self.span(at, at + 1);
            let help = "take the items of a list one by one: `for item in list { … }`";
            self.instead(list, "a list has no places to ask for", help, None);
            self.spoil(at);
        }
    }

    /// `text.summarise()`
    fn method(&mut self, at: usize, end: usize) {
        let named = at > 0 && self.before(at) == Some(Token::Ident) && self.token(at + 1) == Some(Token::Ident);
        if !named || at + 2 >= end || self.token(at + 2) != Some(Token::OpenParen) || self.is_edited(at) {
            return;
        }
        let (value, task) = (self.text(at - 1), self.text(at + 1));
        let alone = at < 2 || self.tokens[at - 2].1 != Token::Dot;
        let plain = alone && self.token(at + 3) == Some(Token::CloseParen);
        let whole = self.span(at - 1, at + 4);
        let help = format!("give the value to the task: `{task}({value})`");
        let call = edit(whole, format!("{task}({value})")).filter(|_| plain);
        self.instead(self.span(at, at + 3), "a value has no functions of its own", help, call);
        self.spoil(at);
    }

    /// `{ label: text }` in the place of a value
    fn record(&mut self, at: usize, end: usize) {
        let value = matches!(
            self.before(at),
            Some(Token::Eq | Token::OpenParen | Token::Comma | Token::OpenBracket | Token::Colon | Token::Plus)
        );
        let field =
            matches!(self.token(at + 1), Some(Token::Ident | Token::Str)) && self.token(at + 2) == Some(Token::Colon);
        if !value || !field {
            return;
        }
        let close = self.partner(at);
        let line =
            (at.saturating_sub(6)..at).rev().take_while(|i| self.tokens[*i].1 != Token::Newline).last().unwrap_or(at);
        // `let b: Box = {` says of which type it is.
        let ty = (self.tokens[line].1 == Token::Let && at == line + 5 && self.tokens[line + 3].1 == Token::Ident)
            .then(|| self.tokens[line + 3]);
        let brace = self.span(at, at + 1);
        let Some(close) = close else { return };
        let name = ty.map_or("NAME", |_| self.text(line + 3));
        let help = format!("a record is made by a call of its type: `{name}(field: …)`");
        let body = self.texts(at + 1, close).trim();
        let text = format!("{name}({})", body.trim_end_matches(','));
        let sure = ty.is_some() && close < end && self.all_named(at, close);
        self.instead(brace, "expected a value", help, edit(self.span(at, close + 1), text).filter(|_| sure));
        let (start, _, stop) = self.tokens[at];
        match ty {
            Some(ty) => self.replace(at, at + 1, [(ty.0, Token::Ident, ty.2), (start, Token::OpenParen, stop)]),
            None => self.replace(at, at + 1, [(start, Token::OpenParen, stop), (stop, Token::Percent, stop)]),
        }
        self.read_as(close, Token::CloseParen);
    }

    /// Whether each part between two brackets has a name in front of it.
    fn all_named(&self, open: usize, close: usize) -> bool {
        let mut depth = 0usize;
        (open..close).all(|at| {
            let starts = at == open || (self.tokens[at].1 == Token::Comma && depth == 0);
            match self.tokens[at].1 {
                Token::OpenParen | Token::OpenBracket => depth += 1,
                Token::CloseParen | Token::CloseBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            !starts || (self.token(at + 1) == Some(Token::Ident) && self.token(at + 2) == Some(Token::Colon))
        })
    }

    /// The bracket that closes a `{`, if it stands before the next item.
    fn partner(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for at in open..self.tokens.len().min(open + MOST_TOKENS) {
            match self.tokens[at].1 {
                Token::OpenBrace => depth += 1,
                Token::CloseBrace if depth == 1 => return Some(at),
                Token::CloseBrace => depth -= 1,
                token if token.begins_statement() => return None,
                _ => {}
            }
        }
        None
    }
}
