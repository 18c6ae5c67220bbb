//! What can be folded: brackets over several lines, comments and `use` lines that follow each other.

use super::Analysis;
use crate::diag::source::Span;
use crate::syntax::ast::ItemKind;
use crate::syntax::token::Token;

/// What a fold holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoldKind {
    /// A bracket's inside.
    Region,
    /// Comments.
    Comment,
    /// `use` lines.
    Imports,
}

/// The folds of a file, in order.
pub fn folds(analysis: &Analysis) -> Vec<(Span, FoldKind)> {
    let mut out = Vec::new();
    let lexed = analysis.lexed();
    let several =
        |start: u32, end: u32| analysis.text.get(start as usize..end as usize).is_some_and(|t| t.contains('\n'));
    let mut open: Vec<(Token, u32)> = Vec::new();
    for &(start, token, end) in &lexed.tokens {
        if let Some(closer) = token.closer() {
            open.push((closer, end));
        } else if let Some(at) = open.iter().rposition(|(closer, _)| *closer == token) {
            let (_, from) = open[at];
            open.truncate(at);
            if several(from, start) {
                out.push((analysis.span(from as usize, start as usize), FoldKind::Region));
            }
        }
    }
    let mut run: Option<(u32, u32)> = None;
    let mut runs = Vec::new();
    for &(start, _, end) in &lexed.comments {
        let adjacent = run.is_some_and(|(_, last)| {
            let between = analysis.text.get(last as usize..start as usize).unwrap_or("x");
            between.trim().is_empty() && between.matches('\n').count() == 1
        });
        match &mut run {
            Some((_, last)) if adjacent => *last = end,
            _ => runs.extend(run.replace((start, end))),
        }
    }
    runs.extend(run);
    out.extend(
        runs.into_iter()
            .filter(|(s, e)| several(*s, *e))
            .map(|(s, e)| (analysis.span(s as usize, e as usize), FoldKind::Comment)),
    );
    let uses = analysis.tree.items.iter().filter(|i| matches!(i.kind, ItemKind::Use(_))).map(|i| i.span);
    let uses: Vec<Span> = uses.collect();
    if let [first, .., last] = uses.as_slice() {
        out.push((first.to(*last), FoldKind::Imports));
    }
    out.sort_by_key(|(span, kind)| (span.start, span.end, *kind));
    out
}
