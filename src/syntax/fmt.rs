//! Text → the same text in the one layout. Works on tokens, so a file that does not parse is formatted too; what the lexer or
//! the layout pass could not make sense of stays as it is written.

mod align;
mod lines;
mod pieces;
mod space;
mod wrap;

use crate::diag::Diagnostics;
use crate::diag::source::FileId;
use crate::syntax::layout::layout;
use crate::syntax::token::{Spanned, Token, lex};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::ops::Range;

/// Lines are wrapped at brackets where they would be wider, in characters.
pub const WIDTH: usize = 120;

/// What stands at the end of a line and means nothing.
const BLANKS: [char; 3] = [' ', '\t', '\r'];

const BYTE_ORDER_MARK: char = '\u{feff}';

/// One replacement in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced, in bytes of the old text; whole lines.
    pub range: Range<usize>,
    /// By what.
    pub insert: String,
}

/// Formats a text. A file keeps its byte order mark, and the line ends of its first line.
pub fn format(text: &str) -> String {
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    if body.len() == text.len() && text.trim_start().starts_with(BYTE_ORDER_MARK) {
        // A mark behind spaces is stray text; without the spaces it would be one.
        return text.to_string();
    }
    let pieces = pieces::pieces(body);
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    if body.len() < text.len() {
        out.push(BYTE_ORDER_MARK);
    }
    align::write(&lines::lines(body, &pieces), &mut out);
    let first_line = body.find('\n').and_then(|at| body.get(..at));
    if first_line.is_some_and(|line| line.ends_with('\r')) {
        out = out.replace('\n', "\r\n");
    }
    // What is made up of a broken text may go by its indentation: where the layout would say something else, all stays as it is written.
    let broken = pieces.iter().any(|piece| piece.stray || piece.start == piece.end);
    if broken && !same_tokens(text, &out) { text.to_string() } else { out }
}

/// The edits that format the lines which a range of bytes touches; none where the tokens would not stay the same.
pub fn format_range(text: &str, range: Range<usize>) -> Vec<Edit> {
    let formatted = format(text);
    if !same_tokens(text, &formatted) {
        return Vec::new();
    }
    let old: Vec<&str> = text.split_inclusive('\n').collect();
    let new: Vec<&str> = formatted.split_inclusive('\n').collect();
    let starts = |lines: &[&str]| -> Vec<usize> {
        std::iter::once(0)
            .chain(lines.iter().scan(0, |at, line| {
                *at += line.len();
                Some(*at)
            }))
            .collect()
    };
    let (old_at, new_at) = (starts(&old), starts(&new));
    let edits = |by_line: bool| {
        let mut edits = Vec::new();
        for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
            let (before, after) = (op.old_range(), op.new_range());
            if matches!(op, DiffOp::Equal { .. }) {
                continue;
            }
            let pairs = by_line.then(|| pairs(&old, &new, before.clone(), after.clone())).flatten();
            let pairs = pairs.unwrap_or_else(|| vec![(before, after)]);
            for (before, after) in pairs {
                let place = old_at[before.start]..old_at[before.end];
                let touched =
                    place.start < range.end.max(range.start + 1) && range.start < place.end.max(place.start + 1);
                if touched {
                    let insert = formatted[new_at[after.start]..new_at[after.end]].to_string();
                    edits.push(Edit { range: place, insert });
                }
            }
        }
        edits
    };
    // Lines that were cut or joined belong together: a part of them would say something else.
    [true, false].map(edits).into_iter().find(|edits| same_tokens(text, &apply(text, edits))).unwrap_or_default()
}

/// The lines of a difference that say the same, in pairs; empty lines have no partner. None where others have none either.
fn pairs(
    old: &[&str],
    new: &[&str],
    mut before: Range<usize>,
    mut after: Range<usize>,
) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let said = |line: &str| line.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let mut pairs = Vec::new();
    while !before.is_empty() || !after.is_empty() {
        let (i, j) = (before.start, after.start);
        let a = before.clone().next().map(|i| said(old[i]));
        let b = after.clone().next().map(|j| said(new[j]));
        let (takes, gives) = match (&a, &b) {
            (Some(a), Some(b)) if a == b => (1, 1),
            (Some(a), _) if a.is_empty() => (1, 0),
            (_, Some(b)) if b.is_empty() => (0, 1),
            _ => return None,
        };
        pairs.push((i..i + takes, j..j + gives));
        before.start += takes;
        after.start += gives;
    }
    Some(pairs)
}

/// A text with edits, in order of their places, made.
pub fn apply(text: &str, edits: &[Edit]) -> String {
    let mut out = text.to_string();
    edits.iter().rev().for_each(|edit| out.replace_range(edit.range.clone(), &edit.insert));
    out
}

/// Whether two texts have the same tokens, as the grammar sees them, and the same comments in the same order.
pub fn same_tokens(a: &str, b: &str) -> bool {
    let (a, b) = (Seen::of(a), Seen::of(b));
    let equal = |xs: &[Spanned], ys: &[Spanned]| {
        xs.len() == ys.len()
            && xs.iter().zip(ys).all(|(x, y)| x.1 == y.1 && (x.1 == Token::Newline || a.text(*x) == b.text(*y)))
    };
    equal(&a.tokens, &b.tokens) && equal(&a.comments, &b.comments) && a.other == b.other
}

/// What the grammar sees of a text, and what it does not.
struct Seen<'a> {
    source: &'a str,
    tokens: Vec<Spanned>,
    comments: Vec<Spanned>,
    /// What is no token, and tokens that the layout pass leaves out.
    other: Vec<&'a str>,
}

impl<'a> Seen<'a> {
    fn of(source: &'a str) -> Seen<'a> {
        let source = source.strip_prefix(BYTE_ORDER_MARK).unwrap_or(source);
        let pieces = pieces::pieces(source);
        let other = pieces.iter().filter(|p| p.stray).map(|p| p.text(source)).collect();
        let mut cx = Diagnostics::default();
        let lexed = lex(source, FileId(0), &mut cx);
        let tokens = without_line_ends_in_lists(layout(source, &lexed.tokens, FileId(0), &mut cx));
        Seen { source, tokens, comments: lexed.comments, other }
    }

    fn text(&self, (start, _, end): Spanned) -> &'a str {
        self.source[start as usize..end as usize].trim_end_matches(BLANKS)
    }
}

/// Between `{` and `}` of an engine, a type or an enum, a line end behind a comma says nothing.
fn without_line_ends_in_lists(tokens: Vec<Spanned>) -> Vec<Spanned> {
    let mut blocks: Vec<bool> = Vec::new();
    let (mut leader, mut last) = (None, Token::Newline);
    let mut kept = Vec::with_capacity(tokens.len());
    for spanned in tokens {
        let token = spanned.1;
        if token == Token::Newline && last == Token::Comma && blocks.last() == Some(&true) {
            continue;
        }
        match token {
            Token::Newline => leader = None,
            Token::OpenBrace => {
                blocks.push(matches!(leader, Some(Token::Engine | Token::Type | Token::Enum)));
                leader = None;
            }
            Token::CloseBrace => drop(blocks.pop()),
            _ => drop(leader.get_or_insert(token)),
        }
        last = token;
        kept.push(spanned);
    }
    kept
}
