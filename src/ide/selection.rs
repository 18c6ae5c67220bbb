//! What a selection grows to: the word, the insides and the wholes of its brackets, the line, the item, the file.

use super::Analysis;
use crate::diag::source::Span;
use crate::syntax::token::Token;

/// The places around a place, the smallest first; each holds the one before.
pub fn selections(analysis: &Analysis, at: u32) -> Vec<Span> {
    let lexed = analysis.lexed();
    let mut around: Vec<(u32, u32)> = Vec::new();
    let touching =
        lexed.tokens.iter().chain(&lexed.comments).filter(|(s, t, e)| *s <= at && at <= *e && *t != Token::Newline);
    around.extend(touching.map(|(s, _, e)| (*s, *e)).max_by_key(|(s, _)| *s));
    let mut open: Vec<(Token, u32, u32)> = Vec::new();
    for &(start, token, end) in &lexed.tokens {
        if let Some(closer) = token.closer() {
            open.push((closer, start, end));
        } else if let Some(i) = open.iter().rposition(|(closer, ..)| *closer == token) {
            let (_, outer, inner) = open[i];
            open.truncate(i);
            if outer <= at && at <= end {
                around.push((inner, start));
                around.push((outer, end));
            }
        }
    }
    let text = &analysis.text;
    let before = text.get(..at as usize).unwrap_or("");
    let line = before.rfind('\n').map_or(0, |i| i + 1);
    let line_end = text.get(at as usize..).and_then(|t| t.find('\n')).map_or(text.len(), |i| at as usize + i);
    let shown = text.get(line..line_end).unwrap_or("");
    let indent = shown.len() - shown.trim_start().len();
    around.push(((line + indent) as u32, (line + shown.trim_end().len()).max(line + indent) as u32));
    around.extend(analysis.tree.items.iter().map(|i| (i.span.start, i.span.end)));
    around.push((0, text.len() as u32));
    around.retain(|(s, e)| *s <= at && at <= *e && s < e);
    around.sort_by_key(|(s, e)| (e - s, *s));
    // Each holds the one before: what overlaps only in part is no step.
    let mut out: Vec<(u32, u32)> = Vec::new();
    for (s, e) in around {
        if out.last().is_none_or(|(ls, le)| s <= *ls && *le <= e && (s, e) != (*ls, *le)) {
            out.push((s, e));
        }
    }
    out.into_iter().map(|(s, e)| analysis.span(s as usize, e as usize)).collect()
}
