//! Semantic tokens: what each word of a file is, for colours that follow the meaning.

use super::Analysis;
use super::names::Target;
use crate::diag::source::Span;
use crate::syntax::token::Token;

/// The kinds, in the order of the server's legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TokenKind {
    Namespace,
    Type,
    Class,
    EnumMember,
    Parameter,
    Variable,
    Property,
    Function,
    Method,
    Keyword,
    Comment,
    String,
    Number,
    Operator,
}

impl TokenKind {
    /// All kinds with their names in the protocol, in the order of the legend.
    pub const ALL: [(TokenKind, &'static str); 14] = [
        (TokenKind::Namespace, "namespace"),
        (TokenKind::Type, "type"),
        (TokenKind::Class, "class"),
        (TokenKind::EnumMember, "enumMember"),
        (TokenKind::Parameter, "parameter"),
        (TokenKind::Variable, "variable"),
        (TokenKind::Property, "property"),
        (TokenKind::Function, "function"),
        (TokenKind::Method, "method"),
        (TokenKind::Keyword, "keyword"),
        (TokenKind::Comment, "comment"),
        (TokenKind::String, "string"),
        (TokenKind::Number, "number"),
        (TokenKind::Operator, "operator"),
    ];
}

/// A word and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemanticToken {
    /// The place; on one line.
    pub span: Span,
    /// What it is.
    pub kind: TokenKind,
    /// Whether it is defined here.
    pub definition: bool,
    /// Whether it belongs to the library.
    pub library: bool,
}

/// The words of a file, in order; no two overlap.
pub fn semantic(analysis: &Analysis) -> Vec<SemanticToken> {
    let lexed = analysis.lexed();
    let names: Vec<_> = analysis.names().iter().collect();
    let params: std::collections::BTreeSet<Span> =
        analysis.jobs().flat_map(|(_, job, _)| job.params.iter().map(|p| p.name.span)).collect();
    let mut out = Vec::new();
    let mut next = 0;
    let mut after_number = false;
    for &(start, token, end) in &lexed.tokens {
        let span = analysis.span(start as usize, end as usize);
        while names.get(next).is_some_and(|n| n.span.end <= start) {
            next += 1;
        }
        let named = names.get(next).filter(|n| n.span.start <= start && end <= n.span.end);
        let plain = |kind| Some((kind, false, false));
        let what = match (named, token) {
            (_, Token::Dot | Token::Newline) => None,
            (Some(name), _) => {
                let own = || analysis.names().of(&name.target).any(|o| o.definition);
                let (kind, library) = match &name.target {
                    Target::Local(at) if params.contains(at) => (TokenKind::Parameter, false),
                    Target::Local(_) => (TokenKind::Variable, false),
                    Target::Job(_) => (TokenKind::Function, false),
                    Target::Task(_) => (TokenKind::Function, !own()),
                    Target::Implementation(_) | Target::Device(_) | Target::Cluster(_) => (TokenKind::Class, !own()),
                    Target::Knob(..) | Target::Field(..) | Target::Part(_) => (TokenKind::Property, false),
                    Target::Parameter(..) => (TokenKind::Parameter, false),
                    Target::Type(_) => (TokenKind::Type, !own()),
                    Target::Value(..) => (TokenKind::EnumMember, false),
                    Target::Module(_) => (TokenKind::Namespace, true),
                    Target::Metric(_) => (TokenKind::Property, true),
                };
                Some((kind, name.definition, library))
            }
            (None, Token::Str) => plain(TokenKind::String),
            (None, Token::Number) => plain(TokenKind::Number),
            (None, Token::Ident | Token::Percent) if after_number => plain(TokenKind::Number),
            (None, word) if word.is_keyword() => plain(TokenKind::Keyword),
            (None, Token::Question | Token::Arrow) => plain(TokenKind::Operator),
            (None, Token::Ident) if is_word_of_the_language(analysis, start) => plain(TokenKind::Keyword),
            _ => None,
        };
        after_number = token == Token::Number;
        out.extend(what.map(|(kind, definition, library)| SemanticToken { span, kind, definition, library }));
    }
    out.extend(lexed.comments.iter().map(|&(start, _, end)| SemanticToken {
        span: analysis.span(start as usize, end as usize),
        kind: TokenKind::Comment,
        definition: false,
        library: false,
    }));
    out.sort_by_key(|t| t.span.start);
    out
}

/// Whether a name begins its line, as `only`, `avoid`, `license` and other rules and properties do.
fn is_word_of_the_language(analysis: &Analysis, start: u32) -> bool {
    let line = analysis.text.get(..start as usize).unwrap_or("").rsplit('\n').next().unwrap_or("");
    line.trim().is_empty() || line.trim() == "prefer"
}
