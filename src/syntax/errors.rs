//! The diagnostics of lexer, layout and parser: E01xx.

mod elsewhere;
mod hints;

pub use elsewhere::{instead, no_item};

use crate::diag::source::Span;
use crate::diag::{Diagnostic, nearest};
use crate::syntax::token::Token;
use logos::Logos;

/// E0101: a place of a source that is no token.
pub fn no_token(at: Span, source: &str) -> Diagnostic {
    let text = source.get(at.range()).unwrap_or_default();
    let shown: String = text.chars().take(20).collect();
    let d = Diagnostic::error(
        "E0101",
        format!("`{}` means nothing here", shown.escape_debug()),
        at,
        "not part of the language",
    );
    if text.contains('\'') {
        return d.help("write texts in double quotes");
    }
    if text.starts_with(TYPOGRAPHIC) {
        return typographic(d, at, source);
    }
    if text == "|" && source.get(at.end as usize..).is_some_and(|behind| behind.starts_with('>')) {
        return d.help("call the task with the value: `summarise(text)`");
    }
    if text.chars().all(char::is_alphabetic) {
        return d.help("write names with the letters a to z, digits and `_`; texts stand in quotes");
    }
    if let Some(word) = elsewhere(text) {
        let before = source.get(..at.start as usize).and_then(|s| s.chars().next_back());
        let behind = source.get(at.end as usize..).and_then(|s| s.chars().next());
        let touches = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_)]}\"([".contains(c));
        let left = if touches(before) && !matches!(before, Some('(' | '[')) { " " } else { "" };
        let right = if touches(behind) { " " } else { "" };
        let (title, insert) = (format!("write `{word}`"), format!("{left}{word}{right}"));
        let d = d.help(title.clone());
        // Behind a value `not` has no place.
        return if word == "not" && !left.is_empty() { d.guess(title, at, insert) } else { d.fix(title, at, insert) };
    }
    if let Some((_, unit)) = CURRENCIES.iter().find(|(sign, _)| text == sign.to_string()) {
        let behind = source.get(at.end as usize..).unwrap_or_default();
        let digits = behind.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(behind.len());
        let number = behind.get(..digits).unwrap_or_default();
        let alone = !number.is_empty() && !number.ends_with('.') && behind[digits..].starts_with(['\n', '\r']);
        let d = d.help(format!("write the currency behind the number: `2 {unit}`"));
        if alone {
            let whole = Span { end: at.end + digits as u32, ..at };
            return d.fix(format!("write `{number} {unit}`"), whole, format!("{number} {unit}"));
        }
        return d;
    }
    // What stands there may have a meaning for whoever wrote it: only a `;` surely has none.
    if text.chars().all(|c| c == ';') {
        return d.help("remove it").fix("remove it", at, "");
    }
    d.help("remove it, or put it in quotes where it belongs to a text")
}

/// Signs of currencies, with the unit behind the number that stands for them here. They are those of which a unit is known.
pub const CURRENCIES: [(char, &str); 2] = [('€', "eur"), ('$', "usd")];

/// Signs of other languages, with what stands for them here.
const ELSEWHERE: [(&str, &str); 7] =
    [("!", "not"), ("&&", "and"), ("||", "or"), ("≤", "<="), ("≥", ">="), ("≠", "!="), ("×", "*")];

/// What a sign of another language stands for here.
pub fn elsewhere(sign: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(other, _)| *other == sign).map(|(_, word)| *word)
}

/// The quotes of word processors, and those of texts with placeholders.
const TYPOGRAPHIC: [char; 4] = ['“', '”', '„', '`'];

/// A text between the quotes of a word processor: both are mended at once.
fn typographic(d: Diagnostic, at: Span, source: &str) -> Diagnostic {
    let rest = source.get(at.start as usize..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let mut quotes = line.match_indices(TYPOGRAPHIC).map(|(at, quote)| (at, at + quote.len())).skip(1);
    if line.starts_with('`') && line.contains("${") {
        return d.help("write texts in double quotes, and join them with `+`: a text has no placeholders");
    }
    let d = d.help("write texts in double quotes: `\"`");
    let Some((closes, end)) = quotes.next() else { return d };
    let inner = line.trim_start_matches(TYPOGRAPHIC);
    let inner = inner.get(..closes.saturating_sub(line.len() - inner.len())).unwrap_or_default();
    if inner.contains(['"', '\\']) || inner.contains("//") {
        return d;
    }
    let whole = Span { end: at.start + end as u32, ..at };
    d.fix("write `\"`", whole, format!("\"{inner}\""))
}

/// E0101: a `\` in a text with something behind it that it does not go with.
pub fn no_escape(at: Span, source: &str) -> Diagnostic {
    let shown = source.get(at.range()).unwrap_or_default();
    Diagnostic::error("E0101", format!("`{shown}` means nothing in a text"), at, "stands for no sign")
        .help("write `\\\\` for a backslash; there are `\\\"`, `\\n`, `\\r`, `\\t` and `\\u{41}` besides")
}

/// E0101: a file of one line, since its line ends are those of very old programs.
pub fn carriage_returns(at: Span) -> Diagnostic {
    Diagnostic::error("E0101", "a carriage return alone ends no line", at, "the file is one line")
        .help("save the file with line ends of `\\n` or `\\r\\n`")
}

/// E0101: a text in single quotes.
pub fn single_quotes(at: Span, text: &str) -> Diagnostic {
    let inner = text.trim_matches('\'').replace("\\'", "'").replace('"', "\\\"");
    Diagnostic::error("E0101", "a text stands in double quotes", at, "in single quotes")
        .help("write texts in double quotes")
        .fix("write double quotes", at, format!("\"{inner}\""))
}

/// E0101: a comment behind `#`.
pub fn hash_comment(at: Span, text: &str) -> Diagnostic {
    let sign = text.len() - text.trim_start_matches('#').len();
    let sign = Span { end: at.start + sign as u32, ..at };
    Diagnostic::error("E0101", "`#` begins no comment", sign, "not part of the language")
        .help("a comment begins with `//`")
        .fix("write `//`", sign, "//")
}

/// E0105: `=` where two values are compared.
pub fn assign_for_compare(at: Span) -> Diagnostic {
    Diagnostic::error("E0105", "`=` cannot stand here", at, "expected `==`").help("write `==` to compare").fix(
        "write `==`",
        at,
        "==",
    )
}

/// E0105: a block without its `{`.
pub fn no_opening_brace(at: Span) -> Diagnostic {
    Diagnostic::error("E0105", "the end of the line cannot stand here", at, "expected `{`")
        .help("a block begins with `{` at the end of its head's line")
        .fix("add `{`", at, " {")
}

/// E0105: a block behind a `:`.
pub fn colon_for_brace(at: Span) -> Diagnostic {
    Diagnostic::error("E0105", "`:` begins no block", at, "expected `{`")
        .help("a block stands between `{`, at the end of its head's line, and `}`")
        .fix("write `{`", at, " {")
}

/// E0105: a `=` between the name of a type and its `{`.
pub fn equals_behind_a_type(at: Span) -> Diagnostic {
    Diagnostic::error("E0105", "`=` cannot stand here", at, "expected `{`").help("remove it").fix("remove it", at, "")
}

/// E0105: a `{` that does not stand on the line of its head; `between` is what parts them.
pub fn brace_on_its_own_line(at: Span, between: Span) -> Diagnostic {
    Diagnostic::error("E0105", "the end of the line cannot stand here", at, "expected `{`")
        .because(between.after(), "it stands here")
        .help("write the `{` at the end of its head's line")
}

/// E0102: a text without its second quote.
pub fn unclosed_text(at: Span) -> Diagnostic {
    Diagnostic::error("E0102", "this text has no end", at, "the closing `\"` is missing")
        .help("close the text on the same line; write `\\n` for a line break")
        .fix("add the closing quote", at.after(), "\"")
}

/// E0102: a text in three quotes, as others write one of several lines.
pub fn several_quotes(at: Span) -> Diagnostic {
    Diagnostic::error("E0102", "a text stands on one line, between two quotes", at, "three quotes")
        .help("write `\\n` for a line break, or join texts with `+`")
}

/// How many brackets beside the innermost are shown where several are never closed.
const SHOWN_BRACKETS: usize = 3;

/// E0103: brackets without their partners, which the same place closes; the innermost comes first.
pub fn unclosed_brackets(openers: &[(Span, Token)], closed_at: Span) -> Option<Diagnostic> {
    let ((first, token), others) = openers.split_first()?;
    let closer = |token: &Token| token.closer().map_or("", Token::text);
    let missing: String = openers.iter().map(|(_, token)| closer(token)).collect();
    let d = Diagnostic::error("E0103", format!("`{token}` is never closed"), *first, "opened here")
        .because(closed_at, format!("`{missing}` expected before this"));
    let d = others.iter().take(SHOWN_BRACKETS).fold(d, |d, (at, _)| d.because(*at, "not closed either"));
    Some(d.help(format!("add the missing `{missing}`")))
}

/// E0104: a closing bracket that nothing opened.
pub fn unopened_bracket(at: Span, token: Token) -> Diagnostic {
    Diagnostic::error("E0104", format!("`{token}` closes nothing"), at, "nothing is open here")
        .help("remove it, or add the bracket that it should close")
        .guess(format!("remove `{token}`"), at, "")
}

/// E0105: the parser expected something else.
pub fn unexpected(
    at: Span,
    found: Option<Token>,
    text: &str,
    expected: &[String],
    (line_before, behind): (&str, &str),
) -> Diagnostic {
    let what = match found {
        None => "the end of the file".to_string(),
        Some(Token::Newline) => "the end of the line".to_string(),
        Some(Token::Ident) => format!("the name `{text}`"),
        Some(Token::Str) => "a text".to_string(),
        Some(Token::Unit) => format!("the unit `{text}`"),
        Some(token) if token.is_keyword() => format!("the keyword `{token}`"),
        Some(token) if text.is_empty() => format!("`{token}`"),
        Some(_) => format!("`{text}`"),
    };
    let wanted = wanted(expected);
    let label = if wanted.is_empty() { "not expected here".to_string() } else { format!("expected {wanted}") };
    let d = Diagnostic::error("E0105", format!("{what} cannot stand here"), at, label);
    let expects = |t: &str| expected.iter().any(|e| e.trim_matches('"') == t);
    let place = hints::Place { at, found, text, before: line_before, behind, expects: &expects };
    if let Some(hints::Mend { help, fix }) = hints::mend(&place) {
        let d = d.help(help.clone());
        return match fix {
            Some((span, insert)) => d.fix(help, span, insert),
            None => d,
        };
    }
    if let Some(colon) = colon_of_a_value(line_before).filter(|_| expects("=") || line_before.trim_end().ends_with(':'))
    {
        let start = at.start - (line_before.len() - colon) as u32;
        let colon = Span { start, end: start + 1, ..at };
        let d = Diagnostic::error("E0105", "`:` gives a type, and no value", colon, "expected `=`");
        return d.help("write `=` to give a value").fix("write `=`", colon, " =");
    }
    if found == Some(Token::Colon) && expects("=") {
        return d.help("write `=` to give a value").fix("write `=`", at, " =");
    }
    let name = line_before.trim();
    let mut words = Token::lexer(name);
    let only_a_name = words.next() == Some(Ok(Token::Ident)) && words.next().is_none();
    if found == Some(Token::Eq) && only_a_name {
        let start = at.start - (line_before.len() - (line_before.len() - line_before.trim_start().len())) as u32;
        let before = Span { start, end: start, ..at };
        return d.help(format!("write `let {name} = …` to name a value")).fix("add `let`", before, "let ");
    }
    if found == Some(Token::Eq) && expects("==") {
        return d.help("write `==` to compare").fix("write `==`", at, "==");
    }
    if let Some(help) = hints::of_other_languages(&place) {
        return d.help(help);
    }
    if found == Some(Token::OpenBrace)
        && only_a_name
        && let Some(near) = nearest(name, ["slo", "repeat", "else", "for", "if"])
    {
        return d.help(format!("did you mean `{near}`?"));
    }
    if found == Some(Token::Number) && expects("<=") && expects(">=") {
        return d.help("write `<=` or `>=` in front of the limit: `latency <= 30 s`");
    }
    if found == Some(Token::Greater) && line_before.ends_with('<') {
        let both = Span { start: at.start - 1, ..at };
        return d.help("write `!=`").fix("write `!=`", both, "!=");
    }
    if found == Some(Token::Minus) && !expects("-") {
        let name = line_before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let negative = !name && behind.starts_with(|c: char| c.is_ascii_digit());
        return match negative {
            true => d.help("write a number of zero or more: this is never less"),
            false => d.help("put a name with `-` in it in quotes: `\"gpt-4o\"`"),
        };
    }
    if found == Some(Token::OpenBrace) && expects("->") {
        return d.help("say what the result is: `-> Text`").fix(
            "add `-> Text`",
            Span { end: at.start, ..at },
            "-> Text ",
        );
    }
    if found == Some(Token::Ident) && expects("->") {
        let before = Span { end: at.start, ..at };
        return d.help("write `->` in front of the result").fix("add `->`", before, "-> ");
    }
    if found == Some(Token::Ident) {
        let keywords = expected
            .iter()
            .map(|e| e.trim_matches('"'))
            .filter(|e| e.as_bytes().first().is_some_and(u8::is_ascii_lowercase));
        let keywords: Vec<&str> = keywords.filter(|k| !matches!(*k, "ident" | "number" | "text" | "unit")).collect();
        let one = text.strip_suffix("ies").map(|stem| format!("{stem}y"));
        if let Some(one) = keywords.iter().find(|keyword| one.as_deref() == Some(keyword)) {
            return d.help(format!("write `{one}`")).fix(format!("write `{one}`"), at, *one);
        }
        if let Some(near) = nearest(text, keywords) {
            return d.near(at, text, near);
        }
    }
    match found.filter(|token| token.is_keyword() && expects("ident")) {
        Some(token) => match hints::misplaced(token, line_before) {
            Some(help) => d.help(help),
            None => d.help(format!("`{text}` is a word of the language: choose another name, `{text}_` say")),
        },
        None => d,
    }
}

/// Where the `:` stands in `let a: summarise`, behind which there is no type: types begin with capitals.
fn colon_of_a_value(line: &str) -> Option<usize> {
    let colon = line.find(':').filter(|_| line.trim_start().starts_with("let "))?;
    let behind = line[colon + 1..].trim_start();
    let is_type = behind.starts_with(|c: char| c.is_ascii_uppercase() || c == '(');
    (!is_type && !line.contains('=')).then_some(colon)
}

/// The expected tokens, in groups that people know.
fn wanted(expected: &[String]) -> String {
    let has = |t: &str| expected.iter().any(|e| e.trim_matches('"') == t);
    let mut groups: Vec<String> = Vec::new();
    if has("?") && has("[") && has("ident") && has("number") {
        groups.push("a value".into());
    } else {
        let names = [("ident", "a name"), ("number", "a number"), ("text", "a text in quotes"), ("unit", "a unit")];
        groups.extend(names.iter().filter(|(t, _)| has(t)).map(|(_, n)| n.to_string()));
    }
    if has("+") && has("==") {
        groups.push("an operator".into());
    }
    let shown =
        ["->", "=", ":", "{", "}", "(", ")", "[", "]", ",", "in", "up", "to", "until", "on", "implements", "at"];
    let any_value = groups.iter().any(|g| g == "a value");
    // A limit may be read with `=` or `:`, and is not to be written so.
    let limit = has("<=") && !has("+");
    if limit {
        groups.push("`<=` or `>=`".into());
    }
    let left_out = |t: &str| (any_value && ["[", "("].contains(&t)) || (limit && ["=", ":"].contains(&t));
    groups.extend(shown.iter().filter(|t| has(t) && !left_out(t)).map(|t| format!("`{t}`")));
    if has("job") && has("task") {
        groups = vec![
            "an item (`job`, `task`, `model`, `tool`, `compose`, `cluster`, `device`, `type`, `enum`, `use`)".into(),
        ];
    }
    if has("Newline") && groups.len() < 5 {
        groups.push("the end of the line".into());
    }
    groups.truncate(6);
    match groups.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// The code of what is nested too deeply, so that the rest of it is left out.
pub const TOO_DEEP: &str = "E0106";

/// E0106: brackets nested too deeply.
pub fn too_deep(at: Span, limit: usize) -> Diagnostic {
    Diagnostic::error(TOO_DEEP, format!("this is nested more than {limit} deep"), at, "left out from here on")
        .help("split the expression with `let`")
}

/// E0106: more operators in a statement than there is room for.
pub fn too_long(at: Span, limit: usize) -> Diagnostic {
    Diagnostic::error(TOO_DEEP, format!("this statement has more than {limit} operators"), at, "left out from here on")
        .help("split the expression with `let`")
}

/// E0107: a file that is too large.
pub fn too_large(at: Span) -> Diagnostic {
    Diagnostic::error("E0107", "the file is larger than 2 GB", at, "not read").help("split the file")
}
