//! Where a space stands between two tokens of a line.

use super::pieces::Piece;
use crate::syntax::token::Token::{self, *};

/// Whether a space stands between two pieces; `before` is the one in front of both.
pub fn space(before: Option<Token>, a: &Piece, b: &Piece) -> bool {
    let as_written = b.start > a.end;
    match (a.kind, b.kind) {
        (OpenBrace, CloseBrace) => false,
        (OpenParen | OpenBracket, _) | (_, CloseParen | CloseBracket | Comma) => false,
        // A hole's type: `? : Text`.
        (Question, Colon) => !before.is_some_and(ends_value),
        (_, Colon) => false,
        // `1 .5` and `1.5` are not the same.
        (Number, Dot) | (Dot, Number) => as_written,
        (Dot, _) | (_, Dot) => false,
        (Minus, _) if !before.is_some_and(ends_value) => !(ends_value(b.kind) || b.kind == OpenParen),
        (Ident, OpenParen) => false,
        // `List[Text]`, but `command ["ls"]`; `work (a + b)`, but a function may be called `work`.
        (Ident, OpenBracket) => as_written,
        (Work | Size | Knob | Runs | Engine | Profile | Compose, OpenParen | OpenBracket) => as_written,
        // `Text?`, but `= ?`.
        (_, Question) if ends_value(a.kind) => as_written,
        _ => true,
    }
}

/// Whether a value may end with this token, so that a `-` behind it has two sides.
fn ends_value(token: Token) -> bool {
    matches!(
        token,
        Ident
            | Number
            | Unit
            | Str
            | True
            | False
            | CloseParen
            | CloseBracket
            | Question
            | Work
            | Size
            | Knob
            | Runs
            | Engine
            | Profile
            | Compose
    )
}
