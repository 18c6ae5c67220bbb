//! Recovery, measured: how much of a file is still read after one random edit, and how much is said of it
//! ([`murakkab::bench::recovery`] has the rules; `mkbc bench recovery` measures as many files as are wanted).

use murakkab::bench::recovery::{Edited, edit, measure};
use murakkab::compile::{Texts, check_file};
use murakkab::diag::fixes::apply;
use murakkab::diag::source::FileId;
use murakkab::diag::{Diagnostics, Severity};
use murakkab::syntax::parse::parse_text;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const FILES: usize = 4_000;

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in ["examples", "stdlib"] {
        for entry in fs::read_dir(root.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|e| e == "mkb") {
                sources.push((path.display().to_string(), fs::read_to_string(&path).expect("a text")));
            }
        }
    }
    sources.sort();
    sources
}

#[test]
fn a_broken_file_still_works() {
    let sources = sources();
    let texts: Vec<String> = sources.iter().map(|(_, text)| text.clone()).collect();
    let mut worst: Vec<(usize, usize, String)> = Vec::new();
    let (sums, total) = measure(&texts, FILES, 20_260, &mut |edited: &Edited| {
        let (name, before) = &sources[edited.source];
        let what = format!("{} in {name}:\n{}", edited.kind, context(before, &edited.text));
        worst.push((edited.all - edited.kept, edited.said, what));
    });
    println!("{sums:#?}\n{total:?}");
    if std::env::var_os("WORST").is_some() {
        worst.sort_by_key(|(lost, said, _)| std::cmp::Reverse((*lost, *said)));
        worst.iter().take(25).for_each(|(lost, said, what)| println!("\n{lost} lost, {said} said: {what}"));
        worst.sort_by_key(|(_, said, _)| std::cmp::Reverse(*said));
        worst.iter().take(25).for_each(|(lost, said, what)| println!("\n{said} said, {lost} lost: {what}"));
    }
    assert!(total.share() >= 0.94, "{:.4} of the statements are kept", total.share());
    assert!(total.mean() <= 2.0, "{:.2} diagnostics a file", total.mean());
}

/// The examples, the library, and the files with mistakes of the tests.
fn with_mistakes() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts: Vec<String> = sources().into_iter().map(|(_, text)| text).collect();
    for folder in ["tests/check", "tests/toolchain/mistakes"] {
        let entries = fs::read_dir(root.join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "mkb")).collect();
        paths.sort();
        texts.extend(paths.iter().filter_map(|path| fs::read_to_string(path).ok()));
    }
    texts
}

/// However a file is broken, one thing is said of a line at most.
#[test]
fn of_a_line_one_thing_is_said() {
    let texts = with_mistakes();
    let mut rng = fastrand::Rng::with_seed(20_262);
    let stray = ["&", "'", "#", "@ ;", "\\", ")]", "{(", "((", "] }", "\"\"\"", "“", "elif", ":\n"];
    let (mut broken, mut lines_said) = (0, 0);
    for _ in 0..4_000 {
        let mut text = rng.choice(&texts).expect("a text").clone();
        for _ in 0..rng.usize(1..4) {
            text = edit(&text, &mut rng).1;
            if rng.bool() {
                let at = text.floor_char_boundary(rng.usize(..=text.len()));
                text.insert_str(at, rng.choice(stray).expect("some"));
            }
        }
        let mut cx = Diagnostics::default();
        parse_text(&text, FileId(0), &mut cx);
        let mut lines = BTreeSet::new();
        for d in cx.iter() {
            let line = text[..d.primary.span.start as usize].matches('\n').count();
            assert!(lines.insert(line), "line {} has two errors, {} is one of them:\n{text}", line + 1, d.message);
        }
        broken += usize::from(!lines.is_empty());
        lines_said += lines.len();
    }
    assert!(broken > 3_000 && lines_said > broken, "{broken} files are broken, in {lines_said} lines");
}

/// However a file is broken, the fixes of what is said of it leave no more errors than there were. Where a bracket is missing besides,
/// a line may be read as one of another kind: that is so in one file of a thousand.
#[test]
fn fixes_leave_no_more_errors() {
    let texts = with_mistakes();
    let said = |text: &str| {
        let mut cx = Diagnostics::default();
        parse_text(text, FileId(0), &mut cx);
        cx
    };
    let mut rng = fastrand::Rng::with_seed(20_263);
    let (mut mended, mut worse) = (0, Vec::new());
    for _ in 0..4_000 {
        let text = edit(rng.choice(&texts).expect("a text"), &mut rng).1;
        let cx = said(&text);
        let (fixed, applied) = apply(&text, cx.iter().filter_map(|d| d.sure_fix()));
        if applied.is_empty() {
            continue;
        }
        mended += 1;
        let (before, after) = (cx.count(Severity::Error), said(&fixed).count(Severity::Error));
        if after > before {
            worse.push(format!("{before} errors become {after}:\n{text}\n->\n{fixed}"));
        }
    }
    println!("{} of {mended} files have more errors once they are mended", worse.len());
    assert!(mended > 1_000 && worse.len() * 200 < mended, "{}", worse.join("\n"));
}

/// What a user sees of a broken example: the errors of the syntax, and what checking adds to them.
#[test]
fn a_broken_file_is_not_scolded() {
    let sources: Vec<(String, String)> = sources().into_iter().filter(|(name, _)| name.contains("examples")).collect();
    let mut rng = fastrand::Rng::with_seed(20_261);
    let (mut syntax, mut all, mut most, files) = (0, 0, (0, String::new()), 120);
    for _ in 0..files {
        let (name, source) = rng.choice(&sources).expect("an example");
        let (kind, text, _) = edit(source, &mut rng);
        let mut cx = Diagnostics::default();
        parse_text(&text, FileId(0), &mut cx);
        syntax += cx.sorted().len();
        let mut texts = Texts::with_stdlib();
        let file = texts.sources.add("any.mkb", text.as_str());
        let mut cx = Diagnostics::default();
        check_file(&texts, file, &mut cx);
        let said = cx.sorted().len();
        all += said;
        if said > most.0 {
            most = (said, format!("{kind} in {name}:\n{}", context(source, &text)));
        }
    }
    let (syntax, all) = (syntax as f64 / f64::from(files), all as f64 / f64::from(files));
    println!(
        "examples: {syntax:.2} diagnostics of the syntax a file, {all:.2} with checking; most {}: {}",
        most.0, most.1
    );
    assert!(all <= 4.0, "{all:.2} diagnostics a file");
}

/// The line of an edit, before and after.
fn context(before: &str, after: &str) -> String {
    let at = before.lines().zip(after.lines()).position(|(a, b)| a != b).unwrap_or(0);
    let line = |text: &str| text.lines().nth(at).unwrap_or("(end)").to_string();
    format!("  {}: {}\n  {}: {}", at + 1, line(before), at + 1, line(after))
}
