//! What can be written at a place.

mod items;
mod value;
mod words;

use super::cursor::{Cursor, visible};
use super::{Analysis, Edit};
use crate::diag::source::Span;
use crate::syntax::token::Token;

/// What a completion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CompletionKind {
    Keyword,
    Variable,
    Task,
    Job,
    Implementation,
    Knob,
    Value,
    Unit,
    Field,
    Module,
    Type,
    Device,
    Cluster,
    Metric,
    Fill,
}

/// Something that can be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// As it is listed, and found by.
    pub label: String,
    /// What it is.
    pub kind: CompletionKind,
    /// A type or a few words.
    pub detail: String,
    /// In Markdown.
    pub docs: String,
    /// What is replaced.
    pub span: Span,
    /// By what; `$1` and `$0` are places of a snippet where `snippet` says so.
    pub insert: String,
    /// Whether `insert` is a snippet.
    pub snippet: bool,
    /// Edits elsewhere: the `use` line that it needs.
    pub more: Vec<Edit>,
    /// The lower, the earlier in the list.
    pub rank: u32,
}

/// What can be written at a place, the best first.
pub fn completions(analysis: &Analysis, at: u32) -> Vec<Completion> {
    let Some(cursor) = Cursor::at(analysis, at) else { return Vec::new() };
    let mut list = List { analysis, span: cursor.word, at, out: Vec::new() };
    list.fill(&cursor);
    let mut out = list.out;
    out.sort_by(|a, b| (a.rank, &a.label).cmp(&(b.rank, &b.label)));
    out.dedup_by(|a, b| a.label == b.label && a.kind == b.kind);
    out
}

struct List<'a> {
    analysis: &'a Analysis,
    span: Span,
    at: u32,
    out: Vec<Completion>,
}

impl List<'_> {
    /// The last entry inserts a text with a place for the cursor.
    fn snippet(&mut self, insert: impl Into<String>) {
        if let Some(last) = self.out.last_mut() {
            last.insert = insert.into();
            last.snippet = true;
        }
    }

    fn add(
        &mut self,
        label: &str,
        kind: CompletionKind,
        detail: impl Into<String>,
        docs: impl Into<String>,
        rank: u32,
    ) {
        self.out.push(Completion {
            label: label.to_string(),
            kind,
            detail: detail.into(),
            docs: docs.into(),
            span: self.span,
            insert: label.to_string(),
            snippet: false,
            more: Vec::new(),
            rank,
        });
    }

    fn fill(&mut self, cursor: &Cursor) {
        let line = cursor.line();
        let previous = cursor.previous().map(|t| t.1);
        let first = line.first().map(|t| t.1);
        if first == Some(Token::Use) {
            return self.modules(cursor);
        }
        let bracket = cursor.bracket();
        let on_line = !line.is_empty();
        if previous == Some(Token::Dot) {
            return self.fields(cursor);
        }
        if previous == Some(Token::Number) && on_line {
            return self.units(line);
        }
        if let Some((Token::OpenParen, Some(name), Some((_, Token::Using, _)))) = bracket {
            return self.knobs(cursor, cursor.text(name));
        }
        if let Some((Token::OpenParen, Some(_), Some((_, Token::On, _)))) = bracket
            && matches!(previous, Some(Token::OpenParen | Token::Comma))
        {
            return self.conditions();
        }
        if let Some((Token::OpenBracket, Some(name), _)) = bracket
            && cursor.text(name) == "List"
        {
            return self.types();
        }
        if self.item(cursor) {
            return;
        }
        match previous.filter(|_| on_line) {
            Some(Token::Using) => return self.implementations(self.pinned_task(line, cursor)),
            Some(Token::Fallback) => return self.implementations(self.pinned_task(line, cursor)),
            Some(Token::Implements) => return self.tasks(false),
            Some(Token::On) => return if line.len() == 1 { self.clusters() } else { self.devices() },
            Some(Token::Runs | Token::Let | Token::Goal | Token::Job | Token::Task) => return,
            Some(Token::Arrow) => return self.types(),
            Some(Token::Minimize | Token::Maximize) => return self.metrics(""),
            Some(Token::Then) => {
                self.keywords(&["minimize", "maximize"]);
                return self.metrics("");
            }
            Some(Token::Cache) => return self.reuses(),
            Some(Token::Retry | Token::Timeout) => return,
            Some(Token::GreaterEq) if self.limits_quality(line, cursor) => return self.tiers(),
            Some(Token::Prefer) => {
                self.keywords(&["using", "avoid", "only"]);
                return self.metrics(" ");
            }
            Some(Token::Expect) if line.len() == 1 => {
                self.inputs();
                return self.trace();
            }
            Some(Token::Colon) if self.wants_type(cursor) => return self.types(),
            Some(Token::Ident) if line.len() == 1 && cursor.text(&line[0]) == "avoid" => {
                return self.implementations(None);
            }
            Some(Token::Ident) if line.len() == 1 && cursor.text(&line[0]) == "pii" => return self.inputs(),
            Some(Token::Ident) if line.len() == 1 && self.rule(cursor.text(&line[0])) => return,
            Some(Token::Ident) if line.len() == 2 && first == Some(Token::Expect) => {
                return self.words("of the input", &["*", "of"]);
            }
            Some(Token::CloseParen) if bracket.is_none_or(|(t, ..)| t == Token::OpenBrace) => {
                return self.keywords(&["using", "on", "retry", "timeout", "fallback", "cache"]);
            }
            _ => {}
        }
        match bracket {
            None if !on_line => {
                self.keywords(&["use", "job", "task", "model", "tool", "compose", "cluster", "device", "type", "enum"]);
            }
            None => {}
            Some((Token::OpenBrace, Some((_, Token::Slo, _)), _))
                if !on_line || matches!(previous, Some(Token::OpenBrace | Token::Comma)) =>
            {
                self.metrics(" ");
            }
            Some((Token::OpenBrace, Some((_, Token::Slo, _)), _)) => {
                if let [.., (_, Token::Newline | Token::OpenBrace, _), metric] = cursor.before
                    && metric.1 == Token::Ident
                {
                    let sign = if cursor.text(metric) == "quality" { ">=" } else { "<=" };
                    self.words("comparison", &[sign]);
                }
            }
            Some((Token::OpenParen, ..)) if self.in_head(cursor) => {}
            Some((kind, ..)) => {
                let statement = kind == Token::OpenBrace && (!on_line || previous == Some(Token::OpenBrace));
                if statement {
                    self.statements();
                }
                if let Some((callee, _, None)) = cursor.call() {
                    self.parameters(callee);
                }
                self.values(cursor, !statement);
            }
        }
    }

    /// Whether the `:` before the cursor is that of a parameter, a `let` or a hole.
    fn wants_type(&self, cursor: &Cursor) -> bool {
        let line = cursor.line();
        let hole = line.iter().rev().skip(1).take(2).any(|t| t.1 == Token::Question);
        line.first().is_some_and(|t| t.1 == Token::Let) && cursor.call().is_none() || hole || self.in_head(cursor)
    }

    /// Whether the cursor is between the brackets of a job's or task's head, or of a record.
    fn in_head(&self, cursor: &Cursor) -> bool {
        matches!(
            cursor.bracket(),
            Some(
                (Token::OpenParen, _, Some((_, Token::Job | Token::Task, _)))
                    | (Token::OpenBrace, _, Some((_, Token::Type, _)))
            )
        )
    }

    /// Whether the comparison that ends here is that of a limit on quality.
    fn limits_quality(&self, line: &[crate::syntax::token::Spanned], cursor: &Cursor) -> bool {
        let inside = matches!(cursor.bracket(), Some((Token::OpenBrace, Some((_, Token::Slo, _)), _)));
        let prefers = line.first().is_some_and(|t| t.1 == Token::Prefer);
        (inside || prefers) && line.iter().rev().nth(1).is_some_and(|t| cursor.text(t) == "quality")
    }

    /// The task of the call that a `using` on this line is for.
    fn pinned_task(&self, line: &[crate::syntax::token::Spanned], cursor: &Cursor) -> Option<String> {
        let called = line.windows(2).filter(|w| w[0].1 == Token::Ident && w[1].1 == Token::OpenParen);
        let names = called.map(|w| cursor.text(&w[0])).filter(|n| self.analysis.library.tasks.contains_key(*n));
        names.last().map(str::to_string)
    }

    fn visible(&self) -> Vec<(String, Span)> {
        let Some((job, _)) = self.analysis.job_at(self.at) else { return Vec::new() };
        visible(job, self.span.start).into_iter().map(|n| (n.text.to_string(), n.span)).collect()
    }
}
