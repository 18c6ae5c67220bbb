//! Places and what is executed: which parameters take such a thing, and which texts are one. One account for typed search, models'
//! fills, agents and imports: nothing that a model says by itself, and nothing that a document says, goes there.

use ecow::EcoString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// An address, a file, a recipient.
    Reached,
    /// A command, or code.
    Executed,
    /// A text like any other, whatever it is called.
    Plain,
}

/// What a task declares of its parameters.
pub type Places = BTreeMap<EcoString, Place>;

/// Words of names of what is reached.
const REACHED: &[&str] = &[
    "url",
    "uri",
    "iri",
    "href",
    "link",
    "address",
    "endpoint",
    "host",
    "hostname",
    "domain",
    "server",
    "ip",
    "proxy",
    "webhook",
    "callback",
    "site",
    "website",
    "webpage",
    "homepage",
    "path",
    "pathname",
    "file",
    "filename",
    "filepath",
    "dir",
    "directory",
    "folder",
    "target",
    "destination",
    "dest",
    "source",
    "src",
    "recipient",
    "to",
    "cc",
    "bcc",
    "repo",
    "repository",
    "bucket",
    "glob",
    "socket",
    "mount",
];

/// Words of names of what is executed.
const EXECUTED: &[&str] = &[
    "code",
    "test",
    "script",
    "command",
    "cmd",
    "shell",
    "exec",
    "sql",
    "argv",
    "program",
    "executable",
    "binary",
    "snippet",
    "check",
];

/// What stands around an address in a sentence.
const AROUND: [char; 15] = ['"', '\'', '`', '(', ')', '<', '>', '[', ']', '{', '}', ',', ';', '“', '”'];

/// What a parameter takes: as its task declares, else as its name says; `None` where neither says that it is no plain text.
pub fn taken(declared: &Places, param: &str) -> Option<Place> {
    match declared.get(param) {
        Some(Place::Plain) => None,
        Some(place) => Some(*place),
        None => named(param),
    }
}

/// What a name says that it is: `page_url`, `filePath`, `addresses`.
pub fn named(name: &str) -> Option<Place> {
    let words = words(name);
    // A name that says both is of what is executed: `script_path` is carried out.
    let says = |list: &[&str]| words.iter().any(|word| list.iter().any(|known| is_form_of(word, known)));
    let glued = words.iter().any(|word| ["url", "uri", "href"].iter().any(|end| word.ends_with(end)));
    if says(EXECUTED) { Some(Place::Executed) } else { (glued || says(REACHED)).then_some(Place::Reached) }
}

/// The words of a name, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = c.is_uppercase() && (before.is_lowercase() || before.is_numeric());
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

/// Whether a word is another, or several of it.
fn is_form_of(word: &str, known: &str) -> bool {
    let several = |ending: &str| word.strip_suffix(ending) == Some(known);
    word == known
        || several("s")
        || several("es")
        || known.strip_suffix('y').is_some_and(|stem| word.strip_suffix("ies") == Some(stem))
}

/// Whether a description of a parameter says that it takes a place: by its first sentence, in which the name's words count as well.
pub fn described(text: &str) -> Option<Place> {
    let first = text.split(['\n', '.', ';']).next().unwrap_or_default();
    let telling =
        |known: &str| !matches!(known, "to" | "source" | "target" | "check" | "test" | "program" | "link" | "site");
    let words = words(first);
    let says =
        |list: &[&str]| list.iter().any(|known| telling(known) && words.iter().any(|word| is_form_of(word, known)));
    if says(EXECUTED) { Some(Place::Executed) } else { says(REACHED).then_some(Place::Reached) }
}

/// Whether a text is an address or a file, and nothing else.
pub fn is_one(text: &str) -> bool {
    let text = text.trim();
    let begins = |starts: &[&str]| {
        let small = text.get(..text.len().min(12)).unwrap_or(text).to_lowercase();
        starts.iter().any(|start| small.starts_with(start))
    };
    let drive = text.get(1..3).is_some_and(|rest| matches!(rest, ":\\" | ":/"))
        && text.starts_with(|c: char| c.is_ascii_alphabetic());
    let alone = !text.contains(char::is_whitespace);
    alone
        && text.len() > 1
        && (text.contains("://")
            || drive
            || begins(&["www.", "/", "~", "../", "./", "\\\\", "file:", "javascript:", "data:", "mailto:"]))
}

/// The addresses and files that a text names.
pub fn within(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || AROUND.contains(&c))
        .map(|word| word.trim_end_matches(['.', '!', '?', ':']))
        .filter(|word| is_one(word))
}

/// Whether a sentence says a text as a whole, and not as the beginning or middle of another: `http://a.co` is not said by
/// `http://a.company/`.
pub fn says_whole(sentence: &str, text: &str) -> bool {
    let edge = |c: char| c.is_whitespace() || AROUND.contains(&c);
    let ends = |rest: &str| {
        let rest = rest.strip_prefix(['.', '!', '?', ':']).unwrap_or(rest);
        rest.chars().next().is_none_or(edge)
    };
    let whole = |(at, _): (usize, &str)| {
        sentence[..at].chars().next_back().is_none_or(edge) && ends(&sentence[at + text.len()..])
    };
    !text.trim().is_empty() && sentence.match_indices(text).any(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_descriptions_say_what_is_a_place() {
        for name in [
            "url",
            "uri",
            "page_urls",
            "pageURL",
            "baseurl",
            "href",
            "addresses",
            "directories",
            "filePath",
            "filename",
            "destinationFolder",
            "to_",
            "paths",
            "link",
            "endpoint",
            "dir",
        ] {
            assert_eq!(named(name), Some(Place::Reached), "{name}");
        }
        for name in ["cmd", "sql", "source_code", "tests", "shellCommand", "script_path"] {
            assert_eq!(named(name), Some(Place::Executed), "{name}");
        }
        for name in ["text", "mountain", "question", "profile", "total", "decode_it", "barcode", "pathetic", "hosting"]
        {
            assert_eq!(named(name), None, "{name}");
        }
        assert_eq!(described("The directory to list, from the root."), Some(Place::Reached));
        assert_eq!(described("SQL that is run."), Some(Place::Executed));
        assert_eq!(described("The name of a mountain. Its file is looked up."), None);
        let plain = Places::from([("to".into(), Place::Plain)]);
        assert_eq!((taken(&plain, "to"), taken(&plain, "url")), (None, Some(Place::Reached)));
    }

    #[test]
    fn only_whole_addresses_are_said() {
        let goal = "Summarise http://intranet.company.com/wiki, then (see www.b.example).";
        assert!(says_whole(goal, "http://intranet.company.com/wiki") && says_whole(goal, "www.b.example"));
        for part in ["http://intranet.co", "//intranet.company.com/wiki", "company.com", "b.example", "", " "] {
            assert!(!says_whole(goal, part), "{part}");
        }
        assert_eq!(within(goal).collect::<Vec<_>>(), ["http://intranet.company.com/wiki", "www.b.example"]);
        for one in ["file:///etc/passwd", "/etc/passwd", "~/.ssh", "C:\\x", "javascript:x()", "..//x"] {
            assert!(is_one(one), "{one}");
        }
        for none in ["a text", "3/4", "and/or", "/", "x: y", "12:30"] {
            assert!(!is_one(none), "{none}");
        }
    }
}
