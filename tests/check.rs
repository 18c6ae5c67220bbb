//! Golden tests of `check`: `tests/check/NAME.mkb` says in comments what is to be reported and where, `NAME.txt` is how that
//! looks. `BLESS=1 cargo test --test check` writes the `.txt` files again.
//!
//! An expectation is `//~ CODE part of what is said` on the line where the problem starts; each `^` behind `//~` goes one line
//! up. What is said is the message, the label or the help. A first line `// known: WHY` marks a case that is not yet as it
//! should be: it must differ, and the mark must go when it no longer does.

use murakkab::check::hole::report_holes;
use murakkab::compile::{Texts, check_file};
use murakkab::diag::fixes::apply;
use murakkab::diag::render::{json, text};
use murakkab::diag::source::{FileId, Sources};
use murakkab::diag::{Diagnostic, Diagnostics, Severity};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A comment that says what is to be reported.
#[derive(Debug)]
struct Expected {
    line: usize,
    code: String,
    part: String,
}

/// A text, checked.
struct Case {
    texts: Texts,
    file: FileId,
    cx: Diagnostics,
}

impl Case {
    fn of(name: &str, source: &str) -> Case {
        let mut texts = Texts::with_stdlib();
        let file = texts.sources.add(name, source);
        let mut cx = Diagnostics::default();
        let checked = check_file(&texts, file, &mut cx);
        for job in &checked.program.jobs {
            report_holes(job, &checked.library, &mut cx);
        }
        Case { texts, file, cx }
    }

    fn codes(&self) -> Vec<&'static str> {
        self.cx.sorted().iter().map(|d| d.code).collect()
    }

    fn errors(&self) -> usize {
        self.cx.count(Severity::Error)
    }

    /// The text, and the case that its fixes make of it, one round after the other.
    fn mended(&self) -> (String, usize) {
        let mut text = self.texts.sources.get(self.file).text.clone();
        let mut most = 0;
        let mut case = None;
        for _ in 0..ROUNDS {
            let now: &Case = case.as_ref().unwrap_or(self);
            let fixes = now.cx.iter().filter_map(|d| d.sure_fix()).filter(|fix| fix.span.file == now.file);
            let (fixed, _) = apply(&text, fixes);
            if fixed == text {
                break;
            }
            let next = Case::of("mended.mkb", &fixed);
            most = most.max(next.errors());
            (text, case) = (fixed, Some(next));
        }
        (text, most)
    }

    fn rendered(&self) -> String {
        text(&self.cx, &self.texts.sources, false)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check")
}

fn expectations(source: &str) -> Vec<Expected> {
    let mut expected = Vec::new();
    for (number, line) in source.lines().enumerate() {
        for comment in line.split("//~").skip(1) {
            let words = comment.trim_start_matches('^');
            let up = comment.len() - words.len();
            let (code, part) = words.trim().split_once(' ').unwrap_or((words.trim(), ""));
            expected.push(Expected { line: number + 1 - up, code: code.to_string(), part: part.trim().to_string() });
        }
    }
    expected
}

/// What is reported and not expected, expected and not reported.
fn compare(case: &Case, expected: &[Expected]) -> Vec<String> {
    let line = |d: &Diagnostic| case.texts.sources.line_column(d.primary.span).0;
    let mut left: Vec<&Diagnostic> = case.cx.sorted();
    let mut wrong = Vec::new();
    for e in expected {
        let says = |d: &Diagnostic| {
            let help = d.help.as_deref().unwrap_or("");
            [d.message.as_str(), d.primary.text.as_str(), help].iter().any(|t| t.contains(&e.part))
        };
        let found = left
            .iter()
            .position(|d| d.primary.span.file == case.file && line(d) == e.line && d.code == e.code && says(d));
        match found {
            Some(i) => drop(left.remove(i)),
            None => wrong.push(format!("line {}: {} is not reported: {}", e.line, e.code, e.part)),
        }
    }
    for d in left {
        let name = &case.texts.sources.get(d.primary.span.file).name;
        wrong.push(format!("{name}: line {}: {} is not expected: {} ({})", line(d), d.code, d.message, d.primary.text));
    }
    wrong
}

/// What must hold of every diagnostic: its places are places, it says what to do, and its fix mends it.
fn sound(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for d in case.cx.sorted() {
        let spans = std::iter::once(d.primary.span)
            .chain(d.secondary.iter().map(|l| l.span))
            .chain(d.fix.iter().map(|f| f.span));
        for span in spans {
            if case.texts.sources.get(span.file).text.get(span.range()).is_none() {
                wrong.push(format!("{}: {span:?} is no place in the text", d.code));
            }
        }
        // A label that says what was expected is enough where the grammar speaks; E0209 should say more and does not.
        if d.help.is_none() && !["E0105", "E0209"].contains(&d.code) {
            wrong.push(format!("{}: it does not say what to do: {}", d.code, d.message));
        }
        if let Some(fix) = &d.fix {
            let mut mended = case.texts.sources.get(fix.span.file).text.clone();
            if mended.get(fix.span.range()).is_none() {
                continue;
            }
            mended.replace_range(fix.span.range(), &fix.insert);
            let again = Case::of("mended.mkb", &mended);
            let same = |other: &&&Diagnostic| {
                other.code == d.code && other.message == d.message && other.primary.text == d.primary.text
            };
            let count = |case: &Case| case.cx.sorted().iter().filter(same).count();
            if count(&again) >= count(case) {
                wrong.push(format!("{}: the fix `{}` does not mend it: {}", d.code, fix.title, d.message));
            }
        }
    }
    let (mended, most) = case.mended();
    if most > case.errors() {
        wrong.push(format!("its {} errors become {most} by fixes:\n{mended}", case.errors()));
    }
    wrong
}

/// How often fixes are applied, as `check --fix` does.
const ROUNDS: usize = 8;

#[test]
fn cases_are_reported_as_they_say() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder()).expect("tests/check").map(|e| e.expect("an entry").path()).collect();
    cases.sort();
    let (sources, texts): (Vec<PathBuf>, Vec<PathBuf>) =
        cases.into_iter().partition(|p| p.extension().is_some_and(|e| e == "mkb"));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let chunks = sources.chunks(sources.len().div_ceil(workers));
        let threads: Vec<_> =
            chunks.map(|c| scope.spawn(move || c.iter().filter_map(|p| one(p, bless)).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|t| t.join().expect("a case does not panic")).collect()
    });
    let mut failures = wrong.concat();
    for path in texts.iter().filter(|p| p.extension().is_some_and(|e| e == "txt")) {
        if !path.with_extension("mkb").exists() {
            write!(failures, "\n{}: nothing makes this text", path.display()).expect("a text can be written to");
        }
    }
    assert!(sources.len() >= 45, "{} cases", sources.len());
    assert!(failures.is_empty(), "{failures}");
}

/// What is wrong with one case.
fn one(path: &Path, bless: bool) -> Option<String> {
    let source = fs::read_to_string(path).expect("a text");
    let name = path.file_name().expect("a name").to_string_lossy();
    let case = Case::of(&name, &source);
    let mut wrong = compare(&case, &expectations(&source));
    wrong.append(&mut sound(&case));
    match source.lines().next().and_then(|l| l.strip_prefix("// known: ")) {
        Some(why) if wrong.is_empty() => {
            wrong.push(format!("it is as it should be now: remove the mark `known: {why}`, and bless it"));
        }
        Some(why) => {
            println!("{name}: known: {why}\n  {}", wrong.join("\n  "));
            wrong.clear();
        }
        None => wrong.extend(golden(&path.with_extension("txt"), &case.rendered(), bless)),
    }
    (!wrong.is_empty()).then(|| format!("\n{name}\n  {}\n", wrong.join("\n  ")))
}

fn golden(path: &Path, rendered: &str, bless: bool) -> Option<String> {
    if bless {
        fs::write(path, rendered).expect("a golden text can be written");
        return None;
    }
    let golden = fs::read_to_string(path).unwrap_or_default();
    let at = golden
        .lines()
        .zip(rendered.lines())
        .position(|(a, b)| a != b)
        .unwrap_or(golden.lines().count().min(rendered.lines().count()));
    (golden != rendered)
        .then(|| format!("it does not look as in the golden text from its line {} on:\n{rendered}", at + 1))
}

/// CPU time of this thread: what other tests do at the same time does not count.
fn worked() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("nanoseconds"))
}

/// Checks a text that is too large to stand in a file; nothing may take long.
fn large(source: &str) -> Case {
    let before = worked();
    let case = Case::of("large.mkb", source);
    let rendered = case.rendered();
    json(&case.cx, &case.texts.sources);
    let took = worked() - before;
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    let longest = source.lines().map(str::len).max().unwrap_or(0);
    let bound = (1 + case.codes().len()) * (4 * longest + 2048);
    assert!(rendered.len() < bound, "{} bytes are said of {}", rendered.len(), source.len());
    case
}

fn job(statement: &str) -> String {
    format!("job same(text: Text) -> Text {{\n  let a = {statement}\n  let _a = a\n  text\n}}\n")
}

#[test]
fn deep_nesting_is_refused_and_never_overflows() {
    let deep = 10_000;
    let parens = |n: usize| job(&format!("{}text{}", "(".repeat(n), ")".repeat(n)));
    assert_eq!(large(&parens(100)).codes(), [""; 0]);
    assert_eq!(large(&parens(deep)).codes(), ["E0106"]);
    assert_eq!(large(&job(&format!("{}text{}", "[".repeat(deep), "]".repeat(deep)))).codes(), ["E0106"]);
    let open = large(&job(&"(".repeat(2_000)));
    assert!(open.codes().contains(&"E0106"), "{:?}", open.codes());
    let blocks = large(&job(&format!("{}text{}", "if true { ".repeat(deep), " } else { text }".repeat(deep))));
    assert!(blocks.codes().contains(&"E0106"), "{:?}", blocks.codes());
}

#[test]
fn many_errors_are_said_in_time() {
    let clauses = "    cost 3\n".repeat(2_000);
    let many = large(&format!("job same(text: Text) -> Text {{\n  slo {{\n{clauses}  }}\n  text\n}}\n"));
    assert_eq!(many.codes().len(), 2_000);
}

#[test]
fn a_line_of_a_megabyte_is_a_line() {
    let long = "x".repeat(1 << 20);
    assert_eq!(large(&job(&format!("\"{long}\""))).codes(), [""; 0]);
    assert_eq!(large(&format!("// {long}\n{}", job("text"))).codes(), [""; 0]);
    assert_eq!(large(&job(&long)).codes(), ["E0201"]);
    assert_eq!(large(&job(&format!("\"{long}"))).codes(), ["E0102"]);
    assert_eq!(large(&job(&"ü".repeat(1 << 19))).codes().first(), Some(&"E0101"));
}

#[test]
fn a_long_sum_is_a_sum() {
    assert_eq!(large(&job(&format!("text{}", " + text".repeat(100)))).codes(), [""; 0]);
}

#[test]
fn long_chains_are_refused_and_never_overflow() {
    let n = 20_000;
    large(&job(&format!("text{}", " + text".repeat(n))));
    large(&job(&format!("true{}", " or true".repeat(n))));
    large(&job(&format!("{}true", "not ".repeat(n))));
    large(&job(&format!("{}1", "-".repeat(n))));
    large(&job(&format!("text{}", ".a".repeat(n))));
    large(&job(&format!("if true {{ text }}{} else {{ text }}", " else if true { text }".repeat(n))));
    large(&format!("job same(text: Text{}) -> Text\n", "?".repeat(n)));
}

#[test]
fn an_empty_text_has_no_diagnostics() {
    for source in ["", "\n", "\r\n", "\u{feff}", "\u{feff}\n", " \t", "// x", "//"] {
        assert_eq!(Case::of("empty.mkb", source).codes(), [""; 0], "{source:?}");
    }
}

#[test]
fn examples_and_library_have_no_errors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join("examples")).expect("examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "mkb") {
            let source = fs::read_to_string(&path).expect("a text");
            let case = Case::of(&path.to_string_lossy(), &source);
            assert!(case.codes().iter().all(|c| c.starts_with('I')), "{}", case.rendered());
        }
    }
}

#[test]
fn expectations_are_read() {
    let read = expectations("a //~ E0201 not here //~ W0210\n\n//~^^ E0102\n");
    let read: Vec<(usize, &str, &str)> = read.iter().map(|e| (e.line, e.code.as_str(), e.part.as_str())).collect();
    assert_eq!(read, [(1, "E0201", "not here"), (1, "W0210", ""), (1, "E0102", "")]);
    assert_eq!(Sources::default().text(Default::default()), "");
}
