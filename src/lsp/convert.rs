//! Answers of [`crate::ide`] → the protocol's JSON.

use super::Server;
use crate::diag::codes::{page, title};
use crate::diag::source::Span;
use crate::diag::{Diagnostic, Severity};
use crate::ide::Edit;
use crate::ide::completion::{Completion, CompletionKind};
use crate::ide::outline::{Entry, EntryKind};
use crate::lsp::document::Lines;
use gen_lsp_types::Range;
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// A diagnostic as the protocol has it. A file has hundreds, which are published anew with each key: they are written as they are,
/// without a [`Value`] in between.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Problem<'a> {
    range: Option<Range>,
    severity: u8,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_description: Option<Page>,
    source: &'static str,
    message: String,
    related_information: Vec<Related<'a>>,
    tags: &'static [u8],
}

/// Where the page of a code is.
#[derive(Serialize)]
struct Page {
    href: String,
}

#[derive(Serialize)]
struct Related<'a> {
    location: Place<'a>,
    message: Cow<'a, str>,
}

#[derive(Serialize)]
struct Place<'a> {
    uri: Cow<'a, str>,
    range: Option<Range>,
}

impl Server {
    /// A range of an open document.
    pub(super) fn range(&self, uri: &str, span: Span) -> Option<Range> {
        Some(self.documents.get(uri)?.lines.range(span, self.encoding))
    }

    /// A place as an address and a range: in the document, or in a file of the library.
    pub(super) fn location(&self, uri: &str, span: Span) -> Option<(String, Range)> {
        let analysis = self.documents.get(uri)?.analysis.as_ref()?;
        if span.file == analysis.file {
            return Some((uri.to_string(), self.range(uri, span)?));
        }
        let texts = self.shelf.base.texts();
        if span.file.0 as usize >= texts.sources.count() {
            return None;
        }
        let uri = self.setup.files.library(texts, span.file)?;
        let lines = Lines::new(texts.sources.get(span.file).text.as_str().into());
        Some((uri, lines.range(span, self.encoding)))
    }

    pub(super) fn diagnostic<'a>(&self, uri: &'a str, d: &'a Diagnostic, source: &'static str) -> Problem<'a> {
        self.problem(uri, d, source, self.range(uri, d.primary.span), &|at| self.location(uri, at))
    }

    /// A problem of the file at an address; `place` says where other places are.
    pub(super) fn problem<'a>(
        &self,
        uri: &'a str,
        d: &'a Diagnostic,
        source: &'static str,
        range: Option<Range>,
        place: &dyn Fn(Span) -> Option<(String, Range)>,
    ) -> Problem<'a> {
        let mut message = d.message.clone();
        if !d.primary.text.is_empty() {
            message.push('\n');
            message.push_str(&d.primary.text);
        }
        if let Some(help) = &d.help {
            message.push_str("\nhelp: ");
            message.push_str(help);
        }
        let related = d.secondary.iter().filter_map(|label| {
            let (uri, range) = place(label.span)?;
            let location = Place { uri: uri.into(), range: Some(range) };
            Some(Related { location, message: label.text.as_str().into() })
        });
        let of_code = page(d.code);
        let linked = of_code.filter(|_| self.client.links_codes).and_then(|page| self.setup.files.page(d.code, page));
        let page = of_code.map(|page| Related {
            location: Place { uri: uri.into(), range },
            message: format!("{}: `mkbc explain {}`", title(page), d.code).into(),
        });
        Problem {
            severity: match d.severity {
                Severity::Error => 1,
                Severity::Warning => 2,
                Severity::Info => 3,
            },
            code: d.code,
            code_description: linked.map(|href| Page { href }),
            source,
            message,
            related_information: related.chain(page).collect(),
            tags: if matches!(d.code, "W0210" | "W0211" | "W0212") { &[1] } else { &[] },
            range,
        }
    }

    pub(super) fn edits(&self, uri: &str, edits: &[Edit]) -> Vec<Value> {
        let text = |insert: &str| self.with_line_ends(uri, insert);
        edits.iter().map(|e| json!({"range": self.range(uri, e.span), "newText": text(&e.insert)})).collect()
    }

    /// A text with the line ends of the document that it goes into.
    fn with_line_ends(&self, uri: &str, insert: &str) -> String {
        let windows = self.documents.get(uri).is_some_and(|document| document.lines.text.contains("\r\n"));
        if windows { insert.replace("\r\n", "\n").replace('\n', "\r\n") } else { insert.to_string() }
    }

    pub(super) fn completion(&self, uri: &str, c: &Completion) -> Value {
        let kind = match c.kind {
            CompletionKind::Keyword => 14,
            CompletionKind::Variable => 6,
            CompletionKind::Task | CompletionKind::Job => 3,
            CompletionKind::Implementation | CompletionKind::Device | CompletionKind::Cluster => 7,
            CompletionKind::Knob | CompletionKind::Field | CompletionKind::Metric => 5,
            CompletionKind::Value => 12,
            CompletionKind::Unit => 11,
            CompletionKind::Module => 9,
            CompletionKind::Type => 22,
            CompletionKind::Fill => 15,
        };
        let snippet = c.snippet && self.client.snippets;
        let insert = if c.snippet && !snippet { plain(&c.insert) } else { c.insert.clone() };
        json!({
            "label": c.label,
            "kind": kind,
            "detail": c.detail,
            "documentation": {"kind": "markdown", "value": c.docs},
            "sortText": format!("{:03}{}", c.rank, c.label),
            "filterText": c.label,
            "insertTextFormat": if snippet { 2 } else { 1 },
            "textEdit": {"range": self.range(uri, c.span), "newText": self.with_line_ends(uri, &insert)},
            "additionalTextEdits": self.edits(uri, &c.more),
        })
    }

    pub(super) fn symbol(&self, uri: &str, entry: &Entry) -> Value {
        json!({
            "name": entry.name,
            "detail": entry.detail,
            "kind": symbol_kind(entry.kind),
            "range": self.range(uri, entry.span),
            "selectionRange": self.range(uri, entry.name_span),
            "children": entry.children.iter().map(|c| self.symbol(uri, c)).collect::<Vec<_>>(),
        })
    }
}

/// The protocol's number for a kind of symbol.
pub(super) fn symbol_kind(kind: EntryKind) -> u32 {
    match kind {
        EntryKind::Job | EntryKind::Composition => 12,
        EntryKind::Task => 11,
        EntryKind::Model | EntryKind::Tool => 5,
        EntryKind::Cluster | EntryKind::Device => 19,
        EntryKind::Record => 23,
        EntryKind::Enum => 10,
        EntryKind::Value => 22,
        EntryKind::Field => 8,
        EntryKind::Local => 13,
        EntryKind::Knob => 7,
    }
}

/// A snippet as plain text: its places are empty, or hold what they suggest.
fn plain(snippet: &str) -> String {
    let mut out = String::new();
    let mut rest = snippet;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(inside) = rest.strip_prefix('{') {
            let end = inside.find('}').unwrap_or(inside.len());
            out.push_str(inside[..end].split_once(':').map_or("", |(_, text)| text));
            rest = inside.get(end + 1..).unwrap_or("");
        } else {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_snippet_has_a_plain_form() {
        assert_eq!(plain("for ${1:item} in ${2:items} {\n  $0\n}"), "for item in items {\n  \n}");
        assert_eq!(plain("f($0)"), "f()");
    }
}
