//! Semantic tokens as the protocol's numbers, five a token: all of them, those of a part, or what changed since the last answer.

use super::Server;
use crate::diag::source::Span;
use crate::ide::Analysis;
use crate::ide::tokens::{self, TokenKind};
use serde_json::{Value, json};

/// An answer that the client may name later.
pub struct Sent {
    id: u64,
    data: Vec<u32>,
}

impl Server {
    /// The tokens of a document, or those that touch a part of it.
    pub(super) fn semantic(&self, uri: &str, analysis: &Analysis, part: Option<Span>) -> Vec<u32> {
        let mut data = Vec::new();
        let (mut line, mut column) = (0, 0);
        let touches = |span: Span| part.is_none_or(|p| span.start < p.end && p.start < span.end);
        for token in tokens::semantic(analysis).into_iter().filter(|t| touches(t.span)) {
            let Some(range) = self.range(uri, token.span) else { continue };
            if range.start.line != range.end.line {
                continue;
            }
            let kind = TokenKind::ALL.iter().position(|(k, _)| *k == token.kind).unwrap_or(0) as u32;
            let length = range.end.character - range.start.character;
            let moved = range.start.line - line;
            let right = if moved == 0 { range.start.character.saturating_sub(column) } else { range.start.character };
            data.extend([moved, right, length, kind, u32::from(token.definition) | u32::from(token.library) << 1]);
            (line, column) = (range.start.line, range.start.character);
        }
        data
    }

    /// All tokens, or, where the client names the answer before this one, the difference to it.
    pub(super) fn semantic_since(&mut self, uri: &str, analysis: &Analysis, previous: Option<&str>) -> Value {
        let data = self.semantic(uri, analysis, None);
        let Some(document) = self.documents.get_mut(uri) else { return Value::Null };
        let id = document.sent.as_ref().map_or(0, |sent| sent.id) + 1;
        let before = document.sent.as_ref().filter(|sent| previous == Some(sent.id.to_string().as_str()));
        let answer = match before {
            Some(before) => {
                let edit = difference(&before.data, &data)
                    .map(|(start, count, insert)| json!({"start": start, "deleteCount": count, "data": insert}));
                json!({"resultId": id.to_string(), "edits": edit.into_iter().collect::<Vec<_>>()})
            }
            None => json!({"resultId": id.to_string(), "data": data}),
        };
        document.sent = Some(Sent { id, data });
        answer
    }
}

/// The one piece in which two lists differ: where it starts, how many numbers go, and which come.
fn difference<'a>(old: &[u32], new: &'a [u32]) -> Option<(usize, usize, &'a [u32])> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (rest_old, rest_new) = (&old[start..], &new[start..]);
    let same = rest_old.iter().rev().zip(rest_new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (gone, come) = (rest_old.len() - same, &rest_new[..rest_new.len() - same]);
    (gone > 0 || !come.is_empty()).then_some((start, gone, come))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_applied_to_the_old_gives_the_new() {
        let lists: [&[u32]; 6] = [&[], &[1], &[1, 2, 3], &[1, 3], &[2, 2, 2], &[1, 2, 2, 3]];
        for (old, new) in lists.iter().flat_map(|a| lists.iter().map(move |b| (*a, *b))) {
            let mut list = old.to_vec();
            if let Some((start, gone, come)) = difference(old, new) {
                list.splice(start..start + gone, come.iter().copied());
            } else {
                assert_eq!(old, new, "nothing is said only where nothing changed");
            }
            assert_eq!(list, new);
        }
    }
}
