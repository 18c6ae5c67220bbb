//! Source → tree. The only file that knows lalrpop.

use crate::diag::source::{FileId, Sources, Span};
use crate::diag::{Diagnostic, Diagnostics};
use crate::syntax::ast::{self, *};
use crate::syntax::errors;
use crate::syntax::foreign;
use crate::syntax::grammar::FileParser;
use crate::syntax::layout::layout;
use crate::syntax::token::{Lexed, Spanned, Token, escapes, lex};
use ecow::EcoString;
use lalrpop_util::{ErrorRecovery, ParseError};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Reads a source.
pub fn parse(file: FileId, sources: &Sources, cx: &mut Diagnostics) -> ast::File {
    parse_text(&sources.get(file).text, file, cx)
}

/// Reads the text of a source.
pub fn parse_text(source: &str, file: FileId, cx: &mut Diagnostics) -> ast::File {
    if source.len() > u32::MAX as usize / 2 {
        cx.push(errors::too_large(Span::new(file, 0, 0)));
        return ast::File::default();
    }
    let mut said = Diagnostics::default();
    if let Some(at) = source.find('\r').filter(|_| !source.contains('\n') && source.trim_end().contains('\r')) {
        said.push(errors::carriage_returns(Span::new(file, at as u32, at as u32 + 1)));
    }
    let lexed = match has_mark(source) {
        // Offsets stay those of the whole file, so that edits and editors agree.
        true => lex(&format!("   {}", &source[3..]), file, &mut said),
        false => lex(source, file, &mut said),
    };
    let tree = parse_lexed(source, &lexed, file, &mut said);
    cx.append(said);
    tree
}

/// Whether a text begins with a byte order mark.
pub(super) fn has_mark(source: &str) -> bool {
    source.starts_with('\u{feff}')
}

/// Reads the tokens of a source that ends where they end; they may begin at any of its lines where an item begins. `said` is what was
/// said of them; of each line it keeps the first thing alone, in the order of the passes: that is the cause, and the rest its echo.
pub(super) fn parse_lexed(source: &str, lexed: &Lexed, file: FileId, said: &mut Diagnostics) -> ast::File {
    let meant = foreign::as_meant(source, lexed.as_meant(), file, said);
    let tokens = layout(source, &meant, file, said);
    let builder = Builder { source, file, docs: &lexed.comments, errors: RefCell::new(Vec::new()) };
    let parsed = FileParser::new().parse(&builder, tokens.iter().map(|t| Ok::<_, ()>(*t)));
    let mut tree = ast::File::default();
    match parsed {
        Ok(file) => tree = file,
        Err(error) => builder.errors.borrow_mut().push(error),
    }
    let errors = builder.errors.into_inner();
    if said.iter().next().is_some() || !errors.is_empty() {
        let ends: Vec<usize> = source.match_indices('\n').map(|(at, _)| at).collect();
        let line_of = |at: u32| ends.partition_point(|end| *end < at as usize);
        // What is left out since it is nested too deep is more than one line: whoever reads parts of the text again asks for it.
        let cut = |d: &Diagnostic| d.code == errors::TOO_DEEP;
        let cuts: BTreeSet<usize> = said.iter().filter(|d| cut(d)).map(|d| line_of(d.primary.span.start)).collect();
        let mut spoken_of = BTreeSet::new();
        said.retain(|d| {
            let line = line_of(d.primary.span.start);
            (cut(d) || !cuts.contains(&line)) && spoken_of.insert(line)
        });
        let mut first_of_line = |at: u32| spoken_of.insert(line_of(at));
        report(errors, &mut first_of_line, source, file, said);
    }
    tree
}

/// Reports what the parser recovered from, where nothing was said of the line.
fn report(
    errors: Vec<Failure>,
    first_of_line: &mut dyn FnMut(u32) -> bool,
    source: &str,
    file: FileId,
    cx: &mut Diagnostics,
) {
    for error in errors {
        let (start, found, end, expected) = match error {
            ParseError::UnrecognizedToken { token: (start, token, end), expected } => {
                (start, Some(token), end, expected)
            }
            ParseError::UnrecognizedEof { location, expected } => (location, None, location, expected),
            ParseError::ExtraToken { token: (start, token, end) } => (start, Some(token), end, Vec::new()),
            ParseError::InvalidToken { location } => (location, None, location, Vec::new()),
            ParseError::User { error: () } => continue,
        };
        if !first_of_line(start) {
            continue;
        }
        let text = source.get(start as usize..end as usize).unwrap_or("");
        let line = source.get(..start as usize).map_or("", |s| s.rsplit('\n').next().unwrap_or(""));
        let behind = source.get(end as usize..).map_or("", |s| s.split('\n').next().unwrap_or(""));
        cx.push(errors::unexpected(Span::new(file, start, end), found, text, &expected, (line, behind)));
    }
}

/// How lalrpop reports that it is lost.
pub type Failure = ParseError<u32, Token, ()>;

/// What the grammar's actions need: the source, and a place for errors.
pub struct Builder<'s> {
    source: &'s str,
    file: FileId,
    docs: &'s [Spanned],
    errors: RefCell<Vec<Failure>>,
}

impl Builder<'_> {
    /// A place.
    pub fn span(&self, l: u32, r: u32) -> Span {
        Span::new(self.file, l, r.max(l))
    }

    /// The text of a place.
    pub fn text(&self, l: u32, r: u32) -> EcoString {
        self.source.get(l as usize..r as usize).unwrap_or("").into()
    }

    /// The text inside quotes, escapes resolved.
    pub fn unquote(&self, l: u32, r: u32) -> EcoString {
        let quoted = self.source.get(l as usize..r as usize).unwrap_or("");
        let quote = if quoted.starts_with('\'') { '\'' } else { '"' };
        let inner = quoted.strip_prefix(quote).unwrap_or(quoted);
        let inner = inner.strip_suffix(quote).unwrap_or(inner);
        if !inner.contains('\\') {
            return inner.into();
        }
        let (mut out, mut from) = (EcoString::with_capacity(inner.len()), 0);
        for (at, sign) in escapes(inner) {
            out.push_str(&inner[from..at.start]);
            // What stands for nothing was reported: it stays as it is.
            match sign {
                Ok(sign) => out.push(sign),
                Err(()) => out.push_str(&inner[at.clone()]),
            }
            from = at.end;
        }
        out.push_str(&inner[from..]);
        out
    }

    /// Notes what lalrpop recovered from.
    pub fn recovered(&self, recovery: ErrorRecovery<u32, Token, ()>) {
        self.errors.borrow_mut().push(recovery.error);
    }

    /// Notes a value that is named without `let`.
    pub fn no_let(&self, l: u32, r: u32) {
        let expected = vec!["let".to_string()];
        self.errors.borrow_mut().push(ParseError::UnrecognizedToken { token: (l, Token::Eq, r), expected });
    }

    /// Notes `Text[]`, which is read as a list.
    pub fn empty_brackets(&self, l: u32, r: u32) {
        let token = (l, Token::CloseBracket, r);
        self.errors.borrow_mut().push(ParseError::UnrecognizedToken { token, expected: Vec::new() });
    }

    /// An item, with the doc comment right above it.
    pub fn item(&self, l: u32, kind: ItemKind, r: u32) -> Item {
        Item { span: self.span(l, r), docs: self.docs_above(l), kind }
    }

    fn docs_above(&self, at: u32) -> EcoString {
        let mut first = self.docs.partition_point(|(start, ..)| *start < at);
        let last = first;
        let mut above = at;
        while let Some(&(start, Token::Doc, end)) = first.checked_sub(1).and_then(|i| self.docs.get(i)) {
            let between = self.source.get(end as usize..above as usize).unwrap_or("x");
            if !between.trim().is_empty() || between.matches('\n').count() > 1 {
                break;
            }
            above = start;
            first -= 1;
        }
        let mut docs = EcoString::new();
        for &(start, _, end) in &self.docs[first..last] {
            let line = self.source.get(start as usize + 3..end as usize).unwrap_or("");
            if !docs.is_empty() {
                docs.push('\n');
            }
            docs.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        }
        docs
    }

    /// A type.
    pub fn ty(&self, l: u32, kind: TypeKind, r: u32) -> TypeExpr {
        TypeExpr { span: self.span(l, r), kind }
    }

    /// An expression.
    pub fn expr(&self, l: u32, kind: ExprKind, r: u32) -> Expr {
        Expr { span: self.span(l, r), kind }
    }

    /// A binary expression.
    pub fn binary(&self, l: u32, x: Expr, op: BinaryOp, y: Expr, r: u32) -> Expr {
        self.expr(l, ExprKind::Binary(op, Box::new(x), Box::new(y)), r)
    }

    /// A clause that did not parse.
    pub fn broken_clause(&self, l: u32, r: u32) -> Clause {
        let span = self.span(l, r);
        let limit = Expr { span, kind: ExprKind::Error };
        Clause { span, metric: Vec::new(), op: (BinaryOp::Le, span), limit, per: None }
    }

    /// A property that did not parse; its name is empty.
    pub fn broken_property(&self, l: u32, r: u32) -> Property {
        let span = self.span(l, r);
        Property { span, name: Name { text: EcoString::new(), span }, values: Vec::new() }
    }
}
