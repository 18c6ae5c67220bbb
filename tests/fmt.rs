//! The formatter. `tests/fmt/<name>.mkb` → `<name>.out` (`BLESS=1` rewrites); and what holds for every text: tokens and
//! comments stay, and what is formatted stays as it is.

use murakkab::syntax::fmt::{apply, format, format_range, same_tokens};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.mkb` file below a folder, in order of name.
fn below(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "mkb") {
                let text = fs::read(&path).expect("a file");
                found.push((path, String::from_utf8_lossy(&text).into_owned()));
            }
        }
    }
    found.sort();
    found
}

/// What holds for every text; the formatted text.
fn holds(text: &str) -> Result<String, String> {
    let once = format(text);
    if !same_tokens(text, &once) {
        return Err(format!("other tokens:\n{text}\n--- became\n{once}"));
    }
    let twice = format(&once);
    if twice != once {
        return Err(format!("formatted again, it changes:\n{text}\n--- once\n{once}\n--- twice\n{twice}"));
    }
    // The check of the tokens is the formatter's own; that no letter is lost is seen without it.
    let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace() && *c != '\u{feff}').collect::<String>();
    if letters(text) != letters(&once) {
        return Err(format!("other letters:\n{text}\n--- became\n{once}"));
    }
    Ok(once)
}

#[test]
fn cases() {
    let bless = std::env::var_os("BLESS").is_some_and(|v| !v.is_empty() && v != "0");
    let cases = below("tests/fmt");
    assert!(!cases.is_empty());
    let mut faults = Vec::new();
    for (path, text) in cases {
        match holds(&text) {
            Err(why) => faults.push(format!("{}: {why}", path.display())),
            Ok(found) => {
                let golden = path.with_extension("out");
                if bless {
                    fs::write(&golden, &found).expect("a golden");
                } else if fs::read_to_string(&golden).unwrap_or_default() != found {
                    faults.push(format!("{} is now\n{found}", golden.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_of_the_repository_are_formatted() {
    let mut faults = Vec::new();
    for (path, text) in below("examples").into_iter().chain(below("stdlib")) {
        if holds(&text).is_ok_and(|f| f == text) {
            continue;
        }
        faults.push(format!("{} (mkbc fmt)", path.display()));
    }
    assert!(faults.is_empty(), "not formatted: {}", faults.join(", "));
}

#[test]
fn every_test_file_keeps_its_tokens() {
    let faults: Vec<String> = below("tests")
        .into_iter()
        .filter_map(|(path, text)| holds(&text).err().map(|why| format!("{}: {why}", path.display())))
        .collect();
    assert!(faults.is_empty(), "{} files: {}", faults.len(), faults[0]);
}

#[test]
fn a_range_is_formatted_alone() {
    let text = "job a( x:Text )->Text {\n  let   y = f(x)\n  let   z = g(y)\n\n\n  z\n}\n";
    let at = text.find("let   z").expect("a line");
    let changed = apply(text, &format_range(text, at..at + 3));
    assert!(changed.starts_with("job a( x:Text )->Text {\n"), "{changed}");
    assert!(changed.contains("  let z = g(y)\n"), "{changed}");
    assert_eq!(apply(text, &format_range(text, 0..text.len())), format(text));
    assert!(format_range(&format(text), 0..1).is_empty());
}

#[test]
fn marks_and_line_ends_stay() {
    assert_eq!(format("\u{feff}use   std.llm\r\njob a() -> Text"), "\u{feff}use std.llm\r\njob a() -> Text\r\n");
    assert_eq!(format(""), "");
    assert_eq!(format("\n\n"), "");
}

/// A file of the repository with up to four edits: something inserted, a piece cut, a piece doubled, white space changed.
fn edited() -> impl Strategy<Value = String> {
    let texts: Vec<String> =
        ["examples", "stdlib", "tests"].iter().flat_map(|f| below(f)).map(|(_, text)| text).collect();
    let inserted = [
        "(", ")", "[", "]", "{", "}", ":", "=", ",", "->", "\"", ".", "?", "-", "\n", "\n\n", "// c\n", "/// d\n", " ",
        "\t", "let", "job a", "else", "5", "usd", "/min", "%", "'", "\r\n", "é", "<", "engine", "slo {", "type T {",
    ];
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..12, 0u8..4);
    (prop::sample::select(texts), prop::collection::vec(edit, 0..5)).prop_map(move |(text, edits)| {
        let mut chars: Vec<char> = text.chars().take(1_200).collect();
        for (at, what, long, kind) in edits {
            let at = at.index(chars.len() + 1);
            let end = (at + long).min(chars.len());
            match kind {
                0 | 1 => {
                    chars.splice(at..at, what.get(&inserted).chars());
                }
                2 => {
                    chars.drain(at..end);
                }
                _ => {
                    let again: Vec<char> = chars[at..end].to_vec();
                    chars.splice(at..at, again);
                }
            }
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edited_files_keep_their_tokens(text in edited()) {
        if let Err(why) = holds(&text) {
            prop_assert!(false, "{}", why);
        }
    }

    #[test]
    fn any_text_keeps_its_tokens(text in "([(){}\\[\\]?:,.=<>+*/%-]|[a-c]|[0-9]|\"|//|\n| |\r|let |job |else |for |usd|é|slo|engine |enum ){0,60}") {
        if let Err(why) = holds(&text) {
            prop_assert!(false, "{}", why);
        }
    }
}
