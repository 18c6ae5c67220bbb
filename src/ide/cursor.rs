//! What stands before the cursor, as tokens: enough to know what can follow, in a file that is being typed.

use super::Analysis;
use crate::diag::source::Span;
use crate::syntax::ast::{Expr, ExprKind, Job, Name, Stmt, StmtKind, Suffix};
use crate::syntax::token::{Spanned, Token};

/// The tokens before a cursor.
pub struct Cursor<'a> {
    analysis: &'a Analysis,
    /// The word that is being typed; empty where none is.
    pub word: Span,
    /// The tokens before that word.
    pub before: &'a [Spanned],
    /// The brackets that are open there: indices into `before`.
    pub open: Vec<usize>,
}

impl<'a> Cursor<'a> {
    /// `None` inside a text or a comment.
    pub fn at(analysis: &'a Analysis, at: u32) -> Option<Cursor<'a>> {
        let lexed = analysis.lexed();
        let inside =
            |&&(s, t, e): &&Spanned| s < at && (at < e || (at == e && matches!(t, Token::Comment | Token::Doc)));
        if lexed.comments.iter().any(|c| inside(&c)) || lexed.tokens.iter().any(|t| t.1 == Token::Str && inside(&t)) {
            return None;
        }
        let mut count = lexed.tokens.partition_point(|(start, ..)| *start < at);
        let mut word = analysis.span(at as usize, at as usize);
        if let Some(&(start, token, end)) = count.checked_sub(1).and_then(|i| lexed.tokens.get(i))
            && at <= end
            && (token == Token::Ident || token.is_keyword())
        {
            word = analysis.span(start as usize, end as usize);
            count -= 1;
        }
        let before = &lexed.tokens[..count];
        let mut open: Vec<usize> = Vec::new();
        for (i, (_, token, _)) in before.iter().enumerate() {
            if token.closer().is_some() {
                open.push(i);
            } else if matches!(token, Token::CloseBrace | Token::CloseParen | Token::CloseBracket)
                && let Some(at) = open.iter().rposition(|o| before[*o].1.closer() == Some(*token))
            {
                open.truncate(at);
            } else if token.begins_item() && i.checked_sub(1).is_none_or(|p| before[p].1 == Token::Newline) {
                // An item begins on a new line: what was left open before it stays there.
                let start = before[i].0 as usize;
                if analysis.text.get(..start).is_some_and(|t| t.is_empty() || t.ends_with('\n')) {
                    open.clear();
                }
            }
        }
        Some(Cursor { analysis, word, before, open })
    }

    /// The text of a token.
    pub fn text(&self, token: &Spanned) -> &'a str {
        self.analysis.text.get(token.0 as usize..token.2 as usize).unwrap_or("")
    }

    /// The token right before the word, line ends left out.
    pub fn previous(&self) -> Option<&'a Spanned> {
        self.before.iter().rev().find(|(_, t, _)| *t != Token::Newline)
    }

    /// The tokens of the cursor's line before the word.
    pub fn line(&self) -> &'a [Spanned] {
        let from = self.before.iter().rposition(|(_, t, _)| *t == Token::Newline).map_or(0, |i| i + 1);
        &self.before[from..]
    }

    /// The innermost open bracket: what it is, and the two tokens before it.
    pub fn bracket(&self) -> Option<(Token, Option<&'a Spanned>, Option<&'a Spanned>)> {
        let open = *self.open.last()?;
        let back = |n: usize| open.checked_sub(n).map(|i| &self.before[i]);
        Some((self.before[open].1, back(1), back(2)))
    }

    /// The call whose brackets the cursor is in: what is called, and how many arguments stand before the cursor.
    pub fn call(&self) -> Option<(&'a str, usize, Option<&'a str>)> {
        let open = *self.open.iter().rev().find(|o| self.before[**o].1 != Token::OpenBracket)?;
        let callee = self.before.get(open.checked_sub(1)?)?;
        let lead = open.checked_sub(2).map(|i| self.before[i].1);
        let heads = matches!(lead, Some(Token::Using | Token::Job | Token::Task | Token::On | Token::Runs));
        if self.before[open].1 != Token::OpenParen || callee.1 != Token::Ident || heads {
            return None;
        }
        let (mut depth, mut commas, mut last) = (0i32, 0, open);
        for (i, (_, token, _)) in self.before.iter().enumerate().skip(open + 1) {
            match token {
                t if t.closer().is_some() => depth += 1,
                Token::CloseBrace | Token::CloseParen | Token::CloseBracket => depth -= 1,
                Token::Comma if depth == 0 => {
                    commas += 1;
                    last = i;
                }
                _ => {}
            }
        }
        let words: Vec<&Spanned> = self.before[last + 1..].iter().filter(|t| t.1 != Token::Newline).collect();
        let named = match words.as_slice() {
            [name, (_, Token::Colon, _), ..] => Some(self.text(name)),
            _ => None,
        };
        Some((self.text(callee), commas, named))
    }
}

/// The names that a place in a job sees, innermost last.
pub fn visible(job: &Job, at: u32) -> Vec<&Name> {
    let mut names: Vec<&Name> = job.params.iter().map(|p| &p.name).collect();
    block(&job.body, at, &mut names);
    names
}

fn block<'a>(stmts: &'a [Stmt], at: u32, names: &mut Vec<&'a Name>) {
    for stmt in stmts {
        if stmt.span.start > at {
            break;
        }
        let value = match &stmt.kind {
            StmtKind::Let(_, _, value) | StmtKind::Expr(value) => value,
            _ => continue,
        };
        if stmt.span.end < at {
            if let StmtKind::Let(bound, ..) = &stmt.kind {
                names.extend(bound);
            }
        } else {
            expr(value, at, names);
        }
    }
}

fn expr<'a>(value: &'a Expr, at: u32, names: &mut Vec<&'a Name>) {
    if at < value.span.start || value.span.end < at {
        return;
    }
    match &value.kind {
        ExprKind::For(name, list, body) => {
            if at > list.span.end {
                names.push(name);
                block(body, at, names);
            }
        }
        ExprKind::If(branch) => {
            let last = branch.then.last().map_or(u32::MAX, |s| s.span.end);
            match &branch.otherwise {
                Some(otherwise) if at > last => block(otherwise, at, names),
                _ => block(&branch.then, at, names),
            }
        }
        ExprKind::Repeat(repeat) => {
            names.extend(repeat.carry.iter().map(|(name, _)| name));
            block(&repeat.body, at, names);
            if repeat.until.span.start <= at && at <= repeat.until.span.end {
                names.extend(
                    repeat
                        .body
                        .iter()
                        .flat_map(|s| if let StmtKind::Let(bound, ..) = &s.kind { bound.as_slice() } else { &[] }),
                );
            }
        }
        _ => children(value).into_iter().for_each(|e| expr(e, at, names)),
    }
}

/// The expressions right inside an expression, blocks left out.
pub fn children(value: &Expr) -> Vec<&Expr> {
    match &value.kind {
        ExprKind::Field(inner, _) | ExprKind::Unary(_, inner) => vec![inner],
        ExprKind::Call(call) => call.args.iter().map(|(_, a)| a).collect(),
        ExprKind::List(items) => items.iter().collect(),
        ExprKind::Tuple(parts) => parts.iter().map(|(_, part)| part).collect(),
        ExprKind::Binary(_, left, right) | ExprKind::Range(left, right) => vec![left, right],
        ExprKind::If(branch) => vec![&branch.condition],
        ExprKind::For(_, list, _) => vec![list],
        ExprKind::Repeat(r) => r.carry.iter().map(|(_, f)| f).chain([&r.limit, &r.until]).collect(),
        _ => Vec::new(),
    }
}

/// Shows every expression of statements, outer ones first.
pub fn expressions<'a>(stmts: &'a [Stmt], see: &mut dyn FnMut(&'a Expr)) {
    fn one<'a>(value: &'a Expr, see: &mut dyn FnMut(&'a Expr)) {
        see(value);
        children(value).into_iter().for_each(|e| one(e, see));
        match &value.kind {
            ExprKind::For(_, _, body) | ExprKind::Block(body) => expressions(body, see),
            ExprKind::If(branch) => {
                expressions(&branch.then, see);
                branch.otherwise.iter().for_each(|o| expressions(o, see));
            }
            ExprKind::Repeat(repeat) => expressions(&repeat.body, see),
            _ => {}
        }
    }
    for stmt in stmts {
        if let StmtKind::Let(_, _, value) | StmtKind::Expr(value) = &stmt.kind {
            one(value, see);
        }
    }
}

/// Whether a call says already what carries it out.
pub fn is_pinned(suffixes: &[Suffix]) -> bool {
    suffixes.iter().any(|s| matches!(s, Suffix::Using(_)))
}
