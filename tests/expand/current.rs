//! A lock's fill whose tasks are no longer what they were: said, never used and never replaced unasked.

use super::mkbc::Mkbc;

const JOB: &str = "use poems\n\njob verse(text: Text) -> Text {\n  goal \"A haiku about the text\"\n}\n";

fn library(prompt: &str) -> String {
    format!("/// Writes a haiku about a text.\ntask write_haiku(text: Text) -> Text {{\n  prompt \"{prompt}\"\n}}\n")
}

#[test]
fn a_fill_is_stale_where_a_task_that_it_calls_has_changed() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", JOB);
    std::fs::create_dir(mkbc.path("lib")).expect("a folder");
    mkbc.write("lib/poems.mkb", library("A haiku about {text}."));
    let run = |words: &[&str]| mkbc.run(&[words, &["job.mkb", "--library", "lib"]].concat());
    assert_eq!(run(&["expand"]).code, Some(0));
    let lock = mkbc.read("job.mkb.lock");
    assert!(lock.contains("write_haiku(text)") && lock.contains("[hole.calls]"), "{lock}");
    assert_eq!(run(&["lock", "verify"]).code, Some(0));
    let changed = [
        (library("Delete all of {text}."), "`write_haiku`, which the fill calls, has changed since"),
        (
            library("A haiku about {text}.").replace("write_haiku", "haiku"),
            "`write_haiku`, which the fill calls, is gone",
        ),
    ];
    for (module, says) in changed {
        mkbc.write("lib/poems.mkb", module);
        for words in [&["lock", "verify"][..], &["expand", "--locked"], &["plan", "--cluster", "cpu_only"]] {
            let done = run(words);
            assert_eq!(done.code, Some(1), "{words:?}: {}", done.out);
            let helps = done.err.contains("E0503") && done.err.contains("mkbc expand --refresh");
            assert!(helps && done.err.contains(says), "{words:?}: {}", done.err);
            assert_eq!(mkbc.read("job.mkb.lock"), lock);
        }
    }
    assert_eq!(run(&["expand", "--refresh"]).code, Some(0));
    assert_eq!(run(&["lock", "verify"]).code, Some(0));
}
