//! The pages of the diagnostic codes: each code has one, and each example does what its page says. Drives the real program.

use murakkab::diag::codes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The lines of a page, beyond which nobody reads it in a terminal.
const MAX_LINES: usize = 45;
/// The command of an example that names none.
const CHECK: &str = "mkbc check job.mkb";

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut said = BTreeSet::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut said);
    let pages: BTreeSet<String> = codes::PAGES.iter().map(|(code, _)| code.to_string()).collect();
    let without_page: Vec<_> = said.difference(&pages).collect();
    let without_code: Vec<_> = pages.difference(&said).collect();
    assert!(without_page.is_empty(), "codes without a page: {without_page:?}");
    assert!(without_code.is_empty(), "pages without a code in the source: {without_code:?}");
    assert!(codes::PAGES.is_sorted_by_key(|(code, _)| &code[1..]), "the pages are not in order");
}

#[test]
fn every_page_has_its_form_and_is_shown() {
    let mut wrong = Vec::new();
    for (code, page) in codes::PAGES {
        let mut demand = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{code}: {what}"));
            }
        };
        demand(page.starts_with(&format!("# {code}: ")), "the first line is not `# CODE: title`");
        demand(page.lines().count() <= MAX_LINES, "the page is too long");
        demand(page.ends_with('\n') && !page.ends_with("\n\n"), "the page does not end with one newline");
        demand(page.contains("\n## Fails\n") && page.contains("\n## Passes\n"), "a section is missing");
        let shown = mkbc(Path::new("."), &["explain", code]);
        demand(shown.status.success() && shown.stdout == page.as_bytes(), "`mkbc explain` does not show the page");
    }
    assert!(wrong.is_empty(), "{} pages are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_example_does_what_its_page_says() {
    let mut wrong = Vec::new();
    for (code, page) in codes::PAGES {
        if page.contains("<!-- no-test: ") {
            continue;
        }
        let Some((fails, passes)) = page.split_once("\n## Passes\n") else { continue };
        let fails = Example::read(fails);
        let passes = Example::read(passes).after(&fails);
        wrong.extend(fails.run().wrong_as_failing(code));
        wrong.extend(passes.run().wrong_as_passing(code));
    }
    assert!(wrong.is_empty(), "{} examples are wrong:\n\n{}", wrong.len(), wrong.join("\n"));
}

/// The fix that a diagnostic offers for a page's example leaves nothing of that code behind.
#[test]
fn every_fix_mends() {
    let mut wrong = Vec::new();
    for (code, page) in codes::PAGES {
        let Some((fails, _)) = page.split_once("\n## Passes\n") else { continue };
        let example = Example::read(fails);
        if page.contains("<!-- no-test: ") || !example.commands.is_empty() {
            continue;
        }
        let fixable = example.run().said.iter().any(|d| d.code == *code && d.has_fix);
        if !fixable {
            continue;
        }
        let mended = Example { commands: vec![format!("{CHECK} --fix")], ..example };
        wrong.extend(mended.run().wrong_as_passing(code));
    }
    assert!(wrong.is_empty(), "{} fixes do not mend:\n\n{}", wrong.len(), wrong.join("\n"));
}

/// An example of a page: files by name, and what is done with them.
#[derive(Default)]
struct Example {
    files: BTreeMap<String, String>,
    commands: Vec<String>,
}

impl Example {
    /// Reads the fenced blocks and `Command:` lines of a section. A block without file name is the job.
    fn read(section: &str) -> Example {
        let mut example = Example::default();
        let mut open: Option<(Option<String>, String)> = None;
        for line in section.lines() {
            open = match (open.take(), line.strip_prefix("```")) {
                (None, Some(info)) => {
                    let name = match info.split_once(' ') {
                        Some((_, name)) => Some(name.to_string()),
                        None => (info == "mkb").then(|| "job.mkb".to_string()),
                    };
                    Some((name, String::new()))
                }
                (Some((name, text)), Some(_)) => {
                    example.files.extend(name.map(|n| (n, text)));
                    None
                }
                (Some((name, text)), None) => Some((name, text + line + "\n")),
                (None, None) => {
                    example.commands.extend(line.strip_prefix("Command: ").map(str::to_string));
                    None
                }
            };
        }
        example
    }

    /// The files and commands of another example where this one says nothing of its own.
    fn after(mut self, other: &Example) -> Example {
        for (name, text) in &other.files {
            self.files.entry(name.clone()).or_insert_with(|| text.clone());
        }
        if self.commands.is_empty() {
            self.commands = other.commands.clone();
        }
        self
    }

    /// Writes the files into a new folder and runs the commands there.
    fn run(&self) -> Ran {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in &self.files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let mut ran = Ran { said: Vec::new(), succeeded: true, shown: String::new() };
        let check = [CHECK.to_string()];
        for command in if self.commands.is_empty() { &check } else { self.commands.as_slice() } {
            let mut words: Vec<&str> = command.split_whitespace().skip(1).collect();
            let as_json = words.first() == Some(&"check");
            if as_json {
                words.extend(["--format", "json"]);
            }
            let output = mkbc(folder.path(), &words);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            let said = if as_json { said_as_json(&out) } else { said_as_text(&err) };
            let lines: Vec<&str> = said.iter().map(|d| d.line.as_str()).collect();
            ran.shown += &format!("$ {command}\n  {}\n", lines.join("\n  "));
            if as_json || !output.status.success() {
                ran.shown += &err;
            }
            ran.said.extend(said);
            ran.succeeded &= output.status.success();
        }
        ran
    }
}

/// What became of an example.
struct Ran {
    said: Vec<Said>,
    succeeded: bool,
    shown: String,
}

/// A diagnostic.
struct Said {
    code: String,
    has_fix: bool,
    /// For people.
    line: String,
}

impl Ran {
    /// The example must yield its code, and no other error or warning.
    fn wrong_as_failing(&self, code: &str) -> Option<String> {
        let yields = self.said.iter().any(|d| d.code == code);
        let others = self.said.iter().any(|d| d.code != code && !d.code.starts_with('I'));
        let stops = code.starts_with('E') != self.succeeded;
        (!yields || others || !stops).then(|| format!("{code}, Fails: it must yield this code alone\n{}", self.shown))
    }

    /// The example must yield neither its code nor any error.
    fn wrong_as_passing(&self, code: &str) -> Option<String> {
        let bad = self.said.iter().any(|d| d.code == code || d.code.starts_with('E'));
        (bad || !self.succeeded)
            .then(|| format!("{code}: there must be neither this code nor an error\n{}", self.shown))
    }
}

fn said_as_json(out: &str) -> Vec<Said> {
    let list: Vec<Value> = serde_json::from_str(out).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let said = list.iter().map(|d| Said {
        code: text(&d["code"]),
        has_fix: !d["fix"].is_null(),
        line: format!("{}:{}: {}", text(&d["code"]), d["primary"]["place"]["line"], text(&d["message"])),
    });
    said.collect()
}

/// The diagnostics behind lines like `error[E0710]: …`.
fn said_as_text(err: &str) -> Vec<Said> {
    let said = err.lines().filter_map(|line| {
        let (_, rest) = line.split_once('[')?;
        let (code, _) = rest.split_once("]: ").filter(|(code, _)| is_code(code))?;
        Some(Said { code: code.to_string(), has_fix: false, line: line.to_string() })
    });
    said.collect()
}

fn mkbc(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mkbc")).args(words).current_dir(folder).output().expect("mkbc runs")
}

/// The codes in the string literals of a folder's Rust files, the table of pages aside.
fn collect(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, codes);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("diag/codes.rs") {
            let text = fs::read_to_string(&path).expect("a source");
            codes.extend(text.split('"').filter(|part| is_code(part)).map(str::to_string));
        }
    }
}

/// Whether a text is a code: `E0203`, `W0210`, `I0501`.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix(['E', 'W', 'I']);
    digits.is_some_and(|d| d.len() == 4 && d.starts_with('0') && d.bytes().all(|b| b.is_ascii_digit()))
}
