//! Pictures of workflows: what they hold, that they are well-formed whatever the job says, and that they are the same every time.

use crate::mkbc::{Bless, Mkbc, at_once, have, repository};
use std::path::Path;
use std::process::Command;

/// Branches, loops and lists in each other, and texts that mean something to every language a picture is written in.
const HOSTILE: &str = r##"use std.llm
use std.text

/// "Quotes", <tags> & more.
job hostile(texts: List[Text], name: Text) -> List[Text] {
  expect texts * 3 of 100 tok
  expect name of 5 tok

  for text in texts {
    if name == "<script>alert(\"1\")</script> & ]];--> #quot; \\ %" {
      repeat draft = summarise(text) up to 3 until draft == "ok" {
        summarise(draft)
      }
    } else {
      text
    }
  }
}
"##;

/// Name, file, arguments.
fn cases() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    vec![
        ("video_qa", "examples/video_qa.mkb", vec!["--cluster", "azure_mixed"]),
        ("video_qa_unplanned", "examples/video_qa.mkb", vec!["--no-plan"]),
        ("math_qa_unplanned", "examples/math_qa.mkb", vec!["--no-plan"]),
        ("code_generation_unplanned", "examples/code_generation.mkb", vec!["--no-plan"]),
        ("if_else_unplanned", "tests/plan/if_else.mkb", vec!["--no-plan"]),
        ("map_items_unplanned", "tests/plan/map_items.mkb", vec!["--no-plan"]),
        ("hostile", "hostile.mkb", vec!["--no-plan"]),
    ]
}

#[test]
fn pictures_are_as_they_were() {
    let (cases, bless) = (cases(), Bless::default());
    at_once(&cases, |(name, file, arguments)| {
        let mkbc = Mkbc::new();
        let file = match *file {
            "hostile.mkb" => HOSTILE.to_string(),
            file => std::fs::read_to_string(repository().join(file)).expect("a job"),
        };
        mkbc.write("job.mkb", file);
        for (format, ending) in [("dot", "dot"), ("mermaid", "mmd"), ("svg", "svg")] {
            let words = [&["graph", "job.mkb", "--format", format], arguments.as_slice()].concat();
            let done = mkbc.run(&words);
            assert_eq!(done.code, Some(0), "{name}: {}", done.err);
            bless.golden(&repository().join(format!("tests/toolchain/graph/{name}.{ending}")), &done.out);
            if format == "svg" {
                assert_eq!(mkbc.run(&words).out, done.out, "{name}: other bytes the second time");
                well_formed(name, &done.out);
            }
        }
    });
    bless.end();
}

/// Tags are closed in order, and nothing between them could begin one.
fn well_formed(name: &str, svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "{name}: `>` in a text");
        for entity in rest[..at].match_indices('&').map(|(at, _)| &rest[at..]) {
            assert!(
                ["&lt;", "&gt;", "&amp;", "&quot;", "&#39;"].iter().any(|e| entity.starts_with(e)),
                "{name}: {entity:.20}"
            );
        }
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        let word = |tag: &'_ str| tag.split([' ', '/']).next().map_or(0, str::len);
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "{name}"),
            None if tag.ends_with('/') => {}
            None => open.push(&tag[..word(tag)]),
        }
        assert!(tag.matches('"').count().is_multiple_of(2), "{name}: {tag}");
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{name}: {open:?}");
}

/// Graphviz reads what is written for it.
#[test]
fn graphviz_draws_them() {
    if !have(&["dot"]) {
        return;
    }
    for (name, ..) in cases() {
        let file = repository().join(format!("tests/toolchain/graph/{name}.dot"));
        let done = Command::new("dot").arg("-Tsvg").arg(&file).output().expect("dot starts");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && !said.contains("rror"), "{name}: {said}");
    }
}

#[test]
fn the_ending_says_how_it_is_drawn() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", HOSTILE);
    for (file, begins) in [("a.svg", "<svg "), ("a.mmd", "---\n"), ("a.dot", "digraph "), ("a", "digraph ")] {
        let done = mkbc.run(&["graph", "job.mkb", "--no-plan", "-o", file]);
        assert_eq!((done.code, done.out.as_str()), (Some(0), ""), "{}", done.err);
        assert!(mkbc.read(file).starts_with(begins), "{file}");
    }
    let done = mkbc.run(&["graph", "job.mkb", "--no-plan", "-o", "a.png"]);
    assert!(done.code == Some(2) && done.err.contains("nothing is drawn that ends in `.png`"), "{}", done.err);
    assert!(!mkbc.path("a.png").exists());
    let done = mkbc.run(&["graph", "job.mkb", "--no-plan", "-o", "nowhere/a.svg"]);
    assert!(done.code == Some(1) && !Path::new("nowhere").exists(), "{}", done.err);
}

#[test]
fn what_has_no_plan_is_drawn_without_one() {
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        HOSTILE.replace("  expect name of 5 tok\n", "  expect name of 5 tok\n  slo { cost <= 0 usd }\n"),
    );
    let planned = mkbc.run(&["graph", "job.mkb", "--cluster", "cpu_only", "--format", "dot"]);
    if planned.err.contains("there is no plan") {
        let drawn = mkbc.run(&["graph", "job.mkb", "--no-plan", "--format", "dot"]);
        assert_eq!((planned.code, planned.out), (Some(0), drawn.out));
    }
    let done = mkbc.run(&["graph", "job.mkb", "--cluster", "nowhere"]);
    assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{}", done.err);
    mkbc.write("job.mkb", "job broken(");
    let done = mkbc.run(&["graph", "job.mkb"]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{}", done.err);
}

/// A picture changes no file but its own: holes are filled for it, and nothing is written down of that.
#[test]
fn a_picture_of_a_job_with_a_hole_writes_no_lock_file() {
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        "use std.llm\n\njob brief(text: Text) -> Text {\n  expect text of 100 tok\n  ? \"a short summary\"\n}\n",
    );
    for arguments in [&["graph", "job.mkb"][..], &["graph", "job.mkb", "--no-plan"]] {
        let done = mkbc.run(arguments);
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert!(done.out.contains("summarise"), "the hole is filled: {}", done.out);
        assert!(!mkbc.path("job.mkb.lock").exists(), "{arguments:?} wrote a lock file");
    }
    assert_eq!(mkbc.run(&["graph", "job.mkb", "--locked"]).code, Some(1));
}
