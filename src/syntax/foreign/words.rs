//! The words of other languages.

use crate::syntax::token::Token;
use logos::Logos;

/// Words that begin an item elsewhere, and the word that begins it here.
const ITEMS: [(&[&str], Token); 2] = [
    (&["def", "fn", "func", "function", "proc", "workflow", "pipeline", "flow"], Token::Job),
    (&["class", "struct", "interface", "record", "dataclass"], Token::Type),
];

/// Words in front of an item that say nothing here.
const MODIFIERS: [&str; 8] = ["async", "export", "default", "public", "private", "pub", "static", "abstract"];

/// Words that name a value elsewhere.
const NAMING: [&str; 4] = ["const", "var", "val", "auto"];

/// Words that take a module elsewhere.
const IMPORTING: [&str; 4] = ["import", "from", "include", "require"];

/// What a list is called elsewhere.
const LISTS: [&str; 8] = ["List", "list", "Array", "array", "Vec", "Sequence", "Iterable", "Set"];

/// `else if` in one word.
const ELSE_IF: [&str; 3] = ["elif", "elsif", "elseif"];

/// Letters in front of a text that say how it is read.
const PREFIXES: [&str; 8] = ["f", "F", "r", "R", "b", "u", "rf", "fr"];

/// What a word that begins an item elsewhere stands for.
pub(super) fn item(word: &str) -> Option<Token> {
    ITEMS.iter().find(|(words, _)| words.contains(&word)).map(|(_, token)| *token)
}

pub(super) fn is_modifier(word: &str) -> bool {
    MODIFIERS.contains(&word)
}

pub(super) fn names_a_value(word: &str) -> bool {
    NAMING.contains(&word)
}

pub(super) fn imports(word: &str) -> bool {
    IMPORTING.contains(&word)
}

pub(super) fn is_list(word: &str) -> bool {
    LISTS.contains(&word)
}

pub(super) fn is_else_if(word: &str) -> bool {
    ELSE_IF.contains(&word)
}

pub(super) fn is_prefix(word: &str) -> bool {
    PREFIXES.contains(&word)
}

/// The word of the language that another one is but for its capitals.
pub(super) fn in_lower_case(word: &str) -> Option<Token> {
    if !word.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    let mut tokens = Token::lexer(&lower);
    let token = tokens.next()?.ok()?;
    (token.is_keyword() && tokens.next().is_none()).then_some(token)
}
