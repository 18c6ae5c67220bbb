//! Lines on which items begin.

use super::{Pass, edit, words};
use crate::syntax::errors;
use crate::syntax::token::Token;

impl Pass<'_> {
    /// A line outside of all items.
    pub(super) fn item(&mut self, from: usize, end: usize) {
        let word = self.text(from);
        let first = self.tokens[from].1;
        let behind = (from..end).find(|at| !words::is_modifier(self.text(*at))).unwrap_or(from);
        let is_named = |pass: &Self, at: usize| pass.token(at + 1) == Some(Token::Ident);
        let head = match self.tokens[behind].1 {
            token if token.begins_item() => Some(token),
            Token::Ident if is_named(self, behind) => {
                words::item(self.text(behind)).or_else(|| words::in_lower_case(self.text(behind)))
            }
            _ => None,
        };
        let imports = first == Token::Use || (first == Token::Ident && words::imports(word));
        match head.filter(|token| token.begins_item()) {
            _ if imports => return self.import(from, end),
            Some(head) if self.tokens[behind].1 != head || behind > from => {
                let whole = self.span(from, behind + 1);
                let here = head.text();
                self.instead(whole, &format!("expected `{here}`"), format!("write `{here}`"), edit(whole, here));
                let (start, _, end) = self.tokens[behind];
                self.replace(from, behind + 1, [(start, head, end)]);
                self.head = Some(head);
            }
            Some(head) => self.head = Some(head),
            None => return self.no_item(from, end),
        }
        self.no_item = false;
        if matches!(self.head, Some(Token::Type | Token::Enum))
            && self.token(behind + 2) == Some(Token::Eq)
            && self.token(behind + 3) == Some(Token::OpenBrace)
        {
            let at = self.span(behind + 2, behind + 3);
            self.instead(at, "expected `{`", "remove the `=`", edit(self.up_to(behind + 2, behind + 3), ""));
            self.replace(behind + 2, behind + 3, []);
        }
        if matches!(self.head, Some(Token::Job | Token::Task)) && self.token(behind + 2) == Some(Token::OpenBrace) {
            let name = self.text(behind + 1);
            let help =
                format!("say what goes in and what comes out: `{} {name}(text: Text) -> Text`", self.text(behind));
            self.instead(self.span(behind + 2, behind + 3), "expected `(`", help, None);
        }
        self.result(behind, end);
    }

    /// `): Text {`
    fn result(&mut self, from: usize, end: usize) {
        if !matches!(self.head, Some(Token::Job | Token::Task)) {
            return;
        }
        let colon = (from..end).find(|at| {
            self.token(*at) == Some(Token::Colon)
                && self.before(*at) == Some(Token::CloseParen)
                && *at + 1 < end
                && matches!(self.token(*at + 1), Some(Token::Ident | Token::OpenParen))
        });
        // A record in brackets has such a place too: `(a: (b: Text), c: Text)`.
        let opened = |at: usize| {
            let depth = |token: Token| match token {
                Token::OpenParen => 1,
                Token::CloseParen => -1,
                _ => 0,
            };
            self.tokens[from..at].iter().map(|(_, token, _)| depth(*token)).sum::<i32>()
        };
        if let Some(colon) = colon.filter(|at| opened(*at) == 0) {
            let at = self.span(colon, colon + 1);
            self.instead(at, "expected `->`", "write `->` in front of the result", edit(at, " ->"));
            self.read_as(colon, Token::Arrow);
        }
    }

    /// A line that takes a module, as others write it.
    fn import(&mut self, from: usize, end: usize) {
        self.no_item = false;
        let is_path = |pass: &Self, until: usize| {
            (from + 1..until).all(|at| {
                let name = (at - from) % 2 == 1;
                if name { pass.tokens[at].1.may_be_a_name() } else { pass.tokens[at].1 == Token::Dot }
            }) && (until - from) % 2 != 1
        };
        if self.tokens[from].1 == Token::Use && is_path(self, end) {
            return;
        }
        let whole = self.span(from, end);
        let modules = modules(self.texts(from + 1, end));
        let help = match &modules {
            Some(modules) => format!("write `use {}`", modules.join("`, `use ")),
            None => "write a line for each module: `use std.llm`".to_string(),
        };
        let lines = modules.map(|all| all.iter().map(|m| format!("use {m}")).collect::<Vec<_>>());
        let new_line = self.new_line();
        let lines = lines.and_then(|lines| edit(whole, lines.join(new_line)));
        self.instead(whole, "a module is taken by its name", help, lines);
        // `import std.llm`, `from std.llm import x`: the path is there.
        let path = (from + 1..end).take_while(|at| matches!(self.tokens[*at].1, Token::Ident | Token::Dot));
        let path = path.take_while(|at| self.text(*at) != "import" && self.text(*at) != "as").count();
        if self.tokens[from].1 == Token::Ident && path > 0 && is_path(self, from + 1 + path) {
            self.read_as(from, Token::Use);
            self.replace(from + 1 + path, end, []);
        }
    }

    /// A line that begins no item: of a file of another kind, that is said once.
    fn no_item(&mut self, from: usize, end: usize) {
        self.head = None;
        let yaml = match self.tokens[from].1 {
            Token::Minus => true,
            Token::Ident => self.token(from + 1) == Some(Token::Colon),
            _ => false,
        };
        if (!yaml && !self.no_item)
            || self.tokens[from..end].iter().any(|(_, t, _)| matches!(t, Token::OpenBrace | Token::CloseBrace))
        {
            return;
        }
        if !self.no_item {
            self.cx.push(errors::no_item(self.span(from, end)));
        }
        self.no_item = true;
        self.replace(from, end, []);
    }
}

/// The modules that a line of another language takes: `std/llm`, `std::{llm, video}`, `std.llm import x`.
fn modules(text: &str) -> Option<Vec<String>> {
    let text = text.split(" import ").next()?.split(" as ").next()?;
    let text = text.trim().trim_matches(['"', '\'', ';', '(', ')', '<', '>']);
    let text = text.replace("::", ".").replace('/', ".");
    let (root, names) = match text.split_once('{') {
        Some((root, names)) => (root.trim().trim_end_matches('.'), names.trim_end().strip_suffix('}')?),
        None => ("", text.as_str()),
    };
    let is_path = |path: &String| {
        let name = |n: &str| {
            n.starts_with(|c: char| c.is_ascii_alphabetic()) && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        path.split('.').all(name)
    };
    let of = |name: &str| if root.is_empty() { name.trim().to_string() } else { format!("{root}.{}", name.trim()) };
    let paths: Vec<String> = names.split(',').map(of).collect();
    paths.iter().all(is_path).then_some(paths)
}

#[cfg(test)]
mod tests {
    use super::modules;

    #[test]
    fn modules_are_read_as_others_write_them() {
        let of = |text| modules(text).map(|all| all.join(" "));
        for text in ["std.llm", "std::llm", "\"std/llm\"", "std.llm import summarise", "std.llm as l", "std.{llm}"] {
            assert_eq!(of(text).as_deref(), Some("std.llm"), "{text}");
        }
        assert_eq!(of("std::{llm, video}").as_deref(), Some("std.llm std.video"));
        assert_eq!((of("std.*"), of("\"./x-y\""), of("")), (None, None, None));
    }
}
