//! The files that a file names: profiles and tables of quality.

use super::Analysis;
use crate::diag::source::Span;
use crate::syntax::ast::{AtomKind, Expectation, ItemKind, LibraryLineKind, Property, Stmt, StmtKind};

/// A file that a text names, relative to the file's own folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The text in its quotes.
    pub span: Span,
    /// Where the file may be, in order.
    pub paths: Vec<String>,
}

/// The links of a file, in order.
pub fn links(analysis: &Analysis) -> Vec<Link> {
    let mut out = Vec::new();
    let mut profile = |name: &str, whole: Span| {
        // The span is the line's or the text's: the quotes are inside.
        let text = analysis.slice(whole);
        if let Some(at) = text.find(&format!("\"{name}\"")) {
            let start = whole.start as usize + at;
            let span = analysis.span(start, start + name.len() + 2);
            out.push(Link { span, paths: vec![format!("profiles/{name}"), name.to_string()] });
        }
    };
    for item in &analysis.tree.items {
        match &item.kind {
            ItemKind::Implementation(entry) => {
                for line in &entry.lines {
                    if let LibraryLineKind::Profile(name, _) = &line.kind {
                        profile(name, line.span);
                    }
                }
            }
            ItemKind::Composition(composition) => of_body(&composition.body, &mut profile),
            ItemKind::Job(job) => of_body(&job.body, &mut profile),
            _ => {}
        }
    }
    out.sort_by_key(|l| l.span);
    out
}

fn of_body(stmts: &[Stmt], see: &mut dyn FnMut(&str, Span)) {
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Profile(name, _) => see(name, stmt.span),
            StmtKind::Expect(Expectation::Trace(_, name, _)) => see(name, stmt.span),
            StmtKind::Rule(rule) => of_rule(rule, see),
            _ => {}
        }
    }
}

fn of_rule(rule: &Property, see: &mut dyn FnMut(&str, Span)) {
    for value in &rule.values {
        if let AtomKind::Text(name) = &value.kind
            && rule.name.text == "quality"
        {
            see(name, value.span);
        }
    }
}
