//! A text after an edit → its tree, from the tree before the edit: what the edit touches is read again, and what stands behind it
//! moves. The result is what [`super::parse`] gives.
//!
//! A line that begins with an item's keyword and a name closes all that is open before it (`layout.rs`), and no token goes over a
//! line's end. So a text falls into pieces that begin at such lines, with the comments above them, and a piece without a syntax error
//! means the same whatever the pieces around it say. A piece with one, or in which something was typed, is read together with its
//! neighbours, since what is said of its last line may name the line behind it.

use super::ast::{File, Item};
use super::errors;
use super::parse::{has_mark, parse_lexed, parse_text};
use super::token::{begins_item, lex_from};
use crate::diag::Diagnostics;
use crate::diag::shift::{Shift, Shifts};
use crate::diag::source::{FileId, Span};
use std::ops::Range;

/// How a text falls into pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    start: u32,
    end: u32,
    /// How many items begin in it.
    items: usize,
    /// Whether nothing in it is wrong for lexer, layout pass and parser.
    clean: bool,
}

/// A text that was read.
pub struct Read {
    /// Its tree.
    pub tree: File,
    /// Its pieces.
    pub pieces: Pieces,
    /// What of the text before was not read again: its places in that text, and how far they moved.
    pub stayed: Vec<(Range<u32>, Shift)>,
}

impl Read {
    /// How far a place of the text before moved, where it was not read again.
    pub fn moved(&self, before: Span) -> Option<Shift> {
        let stayed = self.stayed.iter().find(|(part, _)| part.start <= before.start && before.end <= part.end);
        stayed.map(|(_, shift)| *shift)
    }
}

/// Reads a text.
pub fn read(source: &str, file: FileId, cx: &mut Diagnostics) -> Read {
    let mut said = Diagnostics::default();
    let tree = parse_text(source, file, &mut said);
    let pieces = match has_mark(source) || cuts_deep(&said) {
        // What is left out beyond the limit of nesting is left out of the pieces behind it as well.
        true => Pieces(vec![Piece { start: 0, end: source.len() as u32, items: tree.items.len(), clean: false }]),
        false => pieces(source, 0..source.len(), &tree.items, &said),
    };
    cx.append(said);
    Read { tree, pieces, stayed: Vec::new() }
}

/// Reads a text whose text before was read.
pub fn reread(source: &str, file: FileId, before: (&str, File, &Pieces), cx: &mut Diagnostics) -> Read {
    let (old, tree, known) = before;
    let mut said = Diagnostics::default();
    // A text of one line is read as a whole, as one with a mark is.
    let whole = has_mark(source) || !source.contains('\n') || source.len() > u32::MAX as usize / 2;
    let again = match whole {
        true => None,
        false => Edit::between(old, source).and_then(|edit| edit.read(source, file, tree, &known.0, &mut said)),
    };
    let Some(again) = again else { return read(source, file, cx) };
    cx.append(said);
    again
}

/// The one place in which two texts differ.
struct Edit {
    /// Where they begin to.
    start: u32,
    /// Where that ends in the text before.
    end: u32,
    /// By how much the rest moves.
    by: i64,
}

impl Edit {
    fn between(old: &str, new: &str) -> Option<Edit> {
        let (a, b) = (old.as_bytes(), new.as_bytes());
        let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let (a, b) = (&a[start..], &b[start..]);
        let same = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
        let end = start + a.len() - same;
        Some(Edit {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
            by: new.len() as i64 - old.len() as i64,
        })
    }

    fn touches(&self, piece: &Piece) -> bool {
        piece.start <= self.end && self.start <= piece.end
    }

    /// Where a piece that is read again, or stays, ends in the new text.
    fn moved_end(&self, at: u32) -> u32 {
        if at >= self.end { (i64::from(at) + self.by) as u32 } else { at }
    }

    /// Where one begins.
    fn moved_start(&self, at: u32) -> u32 {
        if at <= self.start { at } else { (i64::from(at) + self.by) as u32 }
    }

    /// `None` where the text must be read as a whole.
    fn read(&self, source: &str, file: FileId, tree: File, known: &[Piece], cx: &mut Diagnostics) -> Option<Read> {
        let mut again = vec![false; known.len()];
        for (i, piece) in known.iter().enumerate() {
            if self.touches(piece) || !piece.clean {
                again[i.saturating_sub(1)..(i + 2).min(known.len())].fill(true);
            }
        }
        let mut out = Read { tree: File::default(), pieces: Pieces::default(), stayed: Vec::new() };
        let mut items = tree.items.into_iter();
        let mut at = 0;
        while at < known.len() {
            let same = again[at..].iter().take_while(|a| **a == again[at]).count();
            let (run, first) = (&known[at..at + same], at);
            at += same;
            let old = run[0].start..run[same - 1].end;
            let of_run: Vec<Item> = items.by_ref().take(run.iter().map(|piece| piece.items).sum()).collect();
            if !again[first] {
                let shift = Shift { file, by: i64::from(self.moved_start(old.start)) - i64::from(old.start) };
                let moved = |at: u32| (i64::from(at) + shift.by) as u32;
                out.tree.items.extend(of_run);
                let from = out.tree.items.len() - run.iter().map(|piece| piece.items).sum::<usize>();
                if shift.by != 0 {
                    out.tree.items[from..].iter_mut().for_each(|item| item.shift(shift));
                }
                out.pieces.0.extend(run.iter().map(|piece| Piece {
                    start: moved(piece.start),
                    end: moved(piece.end),
                    ..piece.clone()
                }));
                out.stayed.push((old, shift));
                continue;
            }
            let part = self.moved_start(old.start) as usize..self.moved_end(old.end) as usize;
            let mut said = Diagnostics::default();
            let lexed = lex_from(&source[..part.end], part.start, file, &mut said);
            let tree = parse_lexed(&source[..part.end], &lexed, file, &mut said);
            let read = pieces(source, part, &tree.items, &said).0;
            // What stands behind it is as it was only if its last piece is.
            let last = run.last().zip(read.last()).is_some_and(|(old, new)| new.clean && new.items == old.items);
            if cuts_deep(&said) || (at < known.len() && !last) {
                return None;
            }
            cx.append(said);
            out.tree.items.extend(tree.items);
            out.pieces.0.extend(read);
        }
        Some(out)
    }
}

/// Whether something was left out since it is nested too deep.
fn cuts_deep(said: &Diagnostics) -> bool {
    said.iter().any(|d| d.code == errors::TOO_DEEP)
}

/// The pieces of a part of a text, which begins where one does.
fn pieces(source: &str, part: Range<usize>, items: &[Item], said: &Diagnostics) -> Pieces {
    let mut pieces: Vec<Piece> = Vec::new();
    let piece = |start: usize| Piece { start: start as u32, end: part.end as u32, items: 0, clean: true };
    // What follows the last line that is neither empty nor a comment, and whether that line may end in one: it would be the next item's.
    let (mut behind, mut line, mut comments) = (part.start, part.start, false);
    for text in source[part.clone()].split_inclusive('\n') {
        let begins = begins_item(text) && !comments;
        if begins || (pieces.is_empty() && !is_between(text)) {
            if let Some(last) = pieces.last_mut() {
                last.end = behind as u32;
            }
            pieces.push(piece(behind));
        }
        line += text.len();
        if begins || !is_between(text) {
            (behind, comments) = (line, text.contains("//"));
        }
    }
    if pieces.is_empty() {
        pieces.push(piece(part.start));
    }
    let mut starts = items.iter().map(|item| item.span.start).peekable();
    let last = pieces.len() - 1;
    for (i, piece) in pieces.iter_mut().enumerate() {
        while starts.next_if(|start| *start < piece.end || i == last).is_some() {
            piece.items += 1;
        }
    }
    for at in said.iter().map(|d| d.primary.span.start) {
        let of = pieces.partition_point(|piece| piece.start <= at).saturating_sub(1);
        pieces[of].clean = false;
    }
    Pieces(pieces)
}

/// Whether a line holds nothing but a comment, or nothing.
fn is_between(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '\t', '\r', '\n']);
    line.is_empty() || line.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(source: &str) -> Vec<&str> {
        let read = read(source, FileId(0), &mut Diagnostics::default());
        read.pieces.0.iter().map(|piece| &source[piece.start as usize..piece.end as usize]).collect()
    }

    #[test]
    fn pieces_begin_with_the_comments_above_an_item() {
        let source =
            "// about\n\n/// Says.\njob a() -> Text {\n  \"\"\n}\n// b\n\n// c\njob b() -> Text {\n  \"\"\n}\n";
        assert_eq!(parts(source), [&source[..source.find("// b").unwrap()], &source[source.find("// b").unwrap()..]]);
        assert_eq!(parts("use std.llm\nuse std.vision\n"), ["use std.llm\n", "use std.vision\n"]);
        assert_eq!(parts("x\njob a() -> Text { \"\" }\n"), ["x\n", "job a() -> Text { \"\" }\n"]);
        assert_eq!(parts(""), [""]);
    }

    #[test]
    fn what_is_not_touched_is_not_read_again() {
        let job = |n: usize| format!("job j{n}(a: Text) -> Text {{\n  a\n}}\n\n");
        let before: String = (0..20).map(job).collect();
        let after = before.replacen("  a\n", "  a + \"x\"\n", 1);
        let mut cx = Diagnostics::default();
        let old = read(&before, FileId(0), &mut cx);
        let new = reread(&after, FileId(0), (&before, old.tree, &old.pieces), &mut cx);
        let whole = read(&after, FileId(0), &mut cx);
        assert!((&new.tree, &new.pieces) == (&whole.tree, &whole.pieces));
        let stayed: usize = new.stayed.iter().map(|(part, _)| part.len()).sum();
        assert!(stayed > before.len() / 2, "{stayed} of {} bytes stayed", before.len());
    }
}
