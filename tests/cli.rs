//! The command line as people meet it: every bad input, with its message and exit status in `tests/cli/<case>.txt`.
//! `BLESS=1 cargo test --test cli` rewrites them.

#![recursion_limit = "256"]

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Bless, Done, Mkbc, at_once, have, repository};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// A job that needs no program and no key here: the sentences are picked by `mkbc` itself.
const SUMMARY: &str = "use std.llm

/// A summary.
job summary(text: Text) -> Text {
  expect text of 100 tok

  summarise(text)
}
";

/// The same with its figures pinned to a profile that seldom changes.
const PINNED: &str = "use std.llm

/// A summary.
job summary(text: Text) -> Text {
  slo { cost <= 1 usd }
  using openai_chat(variant: \"gpt-4o-mini\")
  expect text of 100 tok

  summarise(text)
}

/// Another summary.
job other(text: Text) -> Text {
  using openai_chat(variant: \"gpt-4o-mini\")
  expect text of 100 tok

  summarise(text)
}
";

const HOLE: &str = "use std.llm

/// A summary.
job summary(text: Text) -> Text {
  expect text of 100 tok

  ? \"a short summary\"
}
";

/// Files of a case, and the arguments.
struct Case {
    name: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    arguments: Vec<OsString>,
}

fn case(name: &'static str, files: &[(&'static str, &str)], arguments: &[&str]) -> Case {
    let files = files.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
    Case { name, files, arguments: arguments.iter().map(OsString::from).collect() }
}

/// The lock of [`HOLE`] with something replaced.
fn lock(from: &str, to: &str) -> String {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", HOLE);
    assert_eq!(mkbc.run(&["expand", "job.mkb"]).code, Some(0));
    let text = mkbc.read("job.mkb.lock");
    assert!(text.contains(from), "the lock has no `{from}`:\n{text}");
    text.replacen(from, to, 1)
}

fn cases() -> Vec<Case> {
    let job: &[(&str, &str)] = &[("job.mkb", SUMMARY)];
    let pinned: &[(&str, &str)] = &[("job.mkb", PINNED)];
    let video = fs::read_to_string(repository().join("examples/video_qa.mkb")).expect("an example");
    let video: &[(&str, &str)] = &[("video_qa.mkb", &video)];
    let changed_goal = lock("a short summary", "another goal");
    let with_lock = |lock: &str, name: &'static str, arguments: &[&str]| {
        let mut made = case(name, &[("job.mkb", HOLE)], arguments);
        made.files.push(("job.mkb.lock", lock.as_bytes().to_vec()));
        made
    };
    let cpu = ["plan", "job.mkb", "--cluster", "cpu_only"];
    let with_library: [(&str, &str); 3] = [
        ("job.mkb", "use words\n\njob shout(text: Text) -> Text {\n  loud(text)\n}\n"),
        ("library/words.mkb", LOUD),
        ("library/profiles/louder.csv", "device,units,figure,value,unit,low,high,evidence,source\n"),
    ];
    let mut all = vec![
        // Files.
        case("file_missing", video, &["check", "video_q.mkb"]),
        case("file_missing_no_near_name", video, &["plan", "nothing_like_it.mkb"]),
        case("file_in_missing_folder", video, &["check", "nowhere/video_qa.mkb"]),
        case("file_is_directory", job, &["check", "."]),
        case("file_is_device", job, &["check", "/dev/zero"]),
        case("file_empty", &[("job.mkb", "")], &["check", "job.mkb"]),
        case("file_empty_planned", &[("job.mkb", "")], &["plan", "job.mkb"]),
        case("file_without_job", &[("job.mkb", "type A { b: Int }\n")], &["plan", "job.mkb"]),
        Case {
            name: "file_not_utf8",
            files: vec![("job.mkb", b"job a\xff\xfe() -> Text\n".to_vec())],
            arguments: vec!["check".into(), "job.mkb".into()],
        },
        Case {
            name: "argument_not_utf8",
            files: Vec::new(),
            arguments: vec!["check".into(), OsString::from_vec(b"a\xff.mkb".to_vec())],
        },
        case("library_missing", job, &["plan", "job.mkb", "--library", "nowhere"]),
        case(
            "library_broken",
            &[("job.mkb", SUMMARY), ("lib/mine.mkb", "task broken(text: Txt) -> Text\n")],
            &["check", "job.mkb", "--library", "lib"],
        ),
        // Options.
        case("option_unknown", job, &["check", "job.mkb", "--fxi"]),
        case("option_unknown_of_plan", video, &["plan", "video_qa.mkb", "--clutser", "azure_mixed"]),
        case("option_bad_value", job, &["check", "job.mkb", "--format", "xml"]),
        case("option_slo", job, &["plan", "job.mkb", "--cluster", "cpu_only", "--slo", "cost < 0.1 usd"]),
        case("option_slo_broken", job, &["plan", "job.mkb", "--cluster", "cpu_only", "--slo", "cost <= 0.1 s"]),
        case("option_no_number", &[], &["show", "abc"]),
        case("compare_no_numbers", &[], &["compare", "1", "last"]),
        case("option_number_whole", job, &["pareto", "job.mkb", "cost,quality", "--points", "few"]),
        case("option_number_negative", job, &["pareto", "job.mkb", "cost,quality", "--points=-3"]),
        case("option_number", job, &["plan", "job.mkb", "--time-limit", "long"]),
        case("no_server", job, &["submit", "job.mkb", "--to", "http://127.0.0.1:1", "--text", "a"]),
        case("option_without_value", job, &["plan", "job.mkb", "--cluster"]),
        case("option_negative_time", job, &["plan", "job.mkb", "--cluster", "cpu_only", "--time-limit=-1"]),
        case("option_conflict", job, &["expand", "job.mkb", "--locked", "--refresh"]),
        case("command_unknown", &[], &["frobnicate"]),
        case("command_without_file", &[], &["plan"]),
        case("version", &[], &["--version"]),
        // Inputs.
        case("input_unknown", video, &["plan", "video_qa.mkb", "--vidoes", "a.mp4"]),
        case("input_unknown_no_near_name", video, &["plan", "video_qa.mkb", "--zzz", "1"]),
        case("input_unknown_as_written", job, &["run", "job.mkb", "--the-text", "a"]),
        // Nothing is said of what is given while something is missing.
        case(
            "inputs_missing",
            &[(
                "job.mkb",
                "use std.llm\n\njob a(text: Text, labels: List[Text], n: Int) -> Text {\n  summarise(text)\n}\n",
            )],
            &["run", "job.mkb", "--text", "job.mkb"],
        ),
        case("input_missing", job, &["run", "job.mkb", "--cluster", "cpu_only"]),
        case("input_without_value", job, &["run", "job.mkb", "--text"]),
        case("input_twice", job, &["plan", "job.mkb", "--text", "a", "--text", "b"]),
        case("input_no_such_text", job, &["plan", "job.mkb", "--text", "@none.txt"]),
        case("input_no_such_file", video, &["plan", "video_qa.mkb", "--videos", "nothing.mp4"]),
        case(
            "input_no_number",
            &[("job.mkb", "job a(n: Int) -> Int {\n  n\n}\n")],
            &["plan", "job.mkb", "--n", "three"],
        ),
        // Machines and jobs.
        case("cluster_unknown", job, &["plan", "job.mkb", "--cluster", "azure_mixd"]),
        case("cluster_unknown_no_near_name", job, &["plan", "job.mkb", "--cluster", "moon"]),
        case(
            "cluster_unknown_in_file",
            &[("job.mkb", &SUMMARY.replace("expect", "on azure\n  expect"))],
            &["plan", "job.mkb"],
        ),
        case("job_unknown", pinned, &["plan", "job.mkb", "--job", "sumary"]),
        case("job_not_chosen", pinned, &["plan", "job.mkb"]),
        case(
            "nothing_here",
            &[("job.mkb", &PINNED.replace("job other", "job summary_too"))],
            &["run", "job.mkb", "--job", "summary", "--text", "a"],
        ),
        // Locks.
        with_lock("version = 1\n[[hole]\n", "lock_broken", &cpu),
        with_lock("version = 2\n", "lock_of_other_version", &cpu),
        with_lock(&lock("wants", "wishes"), "lock_with_unknown_field", &cpu),
        with_lock(&lock("signature = \"", "signature = \"0"), "lock_stale", &cpu),
        with_lock(
            &lock("signature = \"", "signature = \"0"),
            "lock_stale_locked",
            &["plan", "job.mkb", "--cluster", "cpu_only", "--locked"],
        ),
        with_lock(&lock("summarise(text)", "sumarise(text)"), "lock_fill_broken", &cpu),
        with_lock(&lock("summarise(text)", "summarise(text"), "lock_fill_unreadable", &cpu),
        with_lock(&changed_goal, "lock_goal_edited", &["expand", "job.mkb", "--locked"]),
        case("locked_without_lock", &[("job.mkb", HOLE)], &["plan", "job.mkb", "--locked"]),
        case("lock_verify_nothing", job, &["lock", "verify", "job.mkb"]),
        case("expand_nothing", job, &["expand", "job.mkb"]),
        case("expand", &[("job.mkb", HOLE)], &["expand", "job.mkb"]),
        case("expand_accept_missing", &[], &["expand", "job.mkb", "--accept", "2"]),
        // Plans.
        case("plan_out_unwritable", job, &["plan", "job.mkb", "--cluster", "cpu_only", "--out", "nowhere/a.plan.json"]),
        case("verify_missing", job, &["verify", "job.plan.json"]),
        case("verify_no_plan", job, &["verify", "job.mkb"]),
        case("verify_other_json", &[("a.json", "{\"version\": 1}")], &["verify", "a.json"]),
        case("run_plan_missing", job, &["run", "job.mkb", "--plan", "none.json", "--text", "a"]),
        case("run_plan_no_plan", job, &["run", "job.mkb", "--plan", "job.mkb", "--text", "a"]),
        // Checks.
        case("check_fine", job, &["check", "job.mkb"]),
        case("check_hole", &[("job.mkb", HOLE)], &["check", "job.mkb"]),
        case("check_warning", &[("job.mkb", &format!("use std.video\n{SUMMARY}"))], &["check", "job.mkb"]),
        case("check_errors", &[("job.mkb", BROKEN)], &["check", "job.mkb"]),
        case("check_errors_json", &[("job.mkb", BROKEN)], &["check", "job.mkb", "--format", "json"]),
        case("check_errors_sarif", &[("job.mkb", BROKEN)], &["check", "job.mkb", "--format", "sarif"]),
        case("check_errors_github", &[("job.mkb", BROKEN)], &["check", "job.mkb", "--format", "github"]),
        case("check_errors_concise", &[("job.mkb", BROKEN)], &["check", "job.mkb", "--format", "concise"]),
        case(
            "check_several",
            &[("a.mkb", SUMMARY), ("b.mkb", BROKEN)],
            &["check", "a.mkb", "b.mkb", "c.mkb", "--format", "concise"],
        ),
        case("check_folder", &[("a.mkb", SUMMARY), ("more/b.mkb", SUMMARY)], &["check", "."]),
        case("check_folder_library", &with_library, &["check", "."]),
        case("check_folder_library_given", &with_library, &["check", ".", "--library", "library"]),
        case("check_file_library", &with_library, &["check", "job.mkb"]),
        case(
            "check_library_types",
            &[
                ("library/mine.mkb", "/// How loud.\nenum Loudness { low, high }\n"),
                (
                    "library/other.mkb",
                    "use mine\n\n/// Says it.\ntask say(text: Text, how: Loudness) -> Text {\n  work text.tokens\n  size tokens = text.tokens\n}\n",
                ),
            ],
            &["check", "library"],
        ),
        case("plan_missing_json", job, &["plan", "nothing.mkb", "--format", "json"]),
        case("cluster_unknown_json", job, &["plan", "job.mkb", "--cluster", "azure_mixd", "--format", "json"]),
        case("check_twice", job, &["check", "job.mkb", "./job.mkb", "job.mkb"]),
        case("help_of_a_job", &[("job.mkb", INPUTS)], &["graph", "job.mkb", "-h"]),
        case("check_missing_json", job, &["check", "nothing.mkb", "--format", "json"]),
        case("check_missing_sarif", job, &["check", "nothing.mkb", "--format", "sarif"]),
        case("file_is_standard_input", job, &["check", "-"]),
        case("check_folder_empty", &[("more/a.txt", "")], &["check", "more"]),
        case("new", &[], &["new", "mine"]),
        case("new_no_name", &[], &["new", "for"]),
        case("new_there", &[("mine.mkb", SUMMARY)], &["new", "mine"]),
        case("check_fix", &[("job.mkb", BROKEN)], &["check", "job.mkb", "--fix"]),
        case(
            "check_fix_leaves_the_rest",
            &[("job.mkb", &BROKEN.replace("summarise(txt)", "nonsense(txt)"))],
            &["check", "job.mkb", "--fix"],
        ),
        // Formatting.
        case("fmt", &[("job.mkb", UNTIDY), ("more/job.mkb", UNTIDY)], &["fmt", "."]),
        case("fmt_broken", &[("job.mkb", "job a(x: Text -> Text {\n  let   y = x\n")], &["fmt", "job.mkb"]),
        case("fmt_check", &[("job.mkb", UNTIDY)], &["fmt", "--check", "job.mkb"]),
        case("fmt_check_broken", &[("job.mkb", "job a( -> Text {\n}\n")], &["fmt", "--check", "job.mkb"]),
        case("fmt_check_fine", job, &["fmt", "--check", "job.mkb"]),
        case("fmt_no_file", &[], &["fmt", "."]),
        case("fmt_missing", job, &["fmt", "jb.mkb"]),
        case("fmt_two_inputs", job, &["fmt", "-", "job.mkb"]),
        case("explain_unknown", &[], &["explain", "X0000"]),
    ];
    all.sort_by_key(|c| c.name);
    all
}

/// A job with inputs of many kinds.
const INPUTS: &str = "use std.text

enum Tone { dry, warm }

/// A greeting.
job greeting(names: List[Text], tone: Tone, sure: Bool, voice: Audio?, n: Int) -> Text {
  ?
}
";

/// A module with a tool of its own.
const LOUD: &str = "task loud(text: Text) -> Text { size tokens = 200 tok }

tool louder implements loud {
  runs on cpu * 1
  engine process { command [\"echo\", \"{text}\"] }
  profile \"louder.csv\"
}
";

/// What the formatter changes.
const UNTIDY: &str = "use std.llm
/// A summary.
job summary( text:Text )->Text {
    slo { cost<=1usd }


    expect text of 100tok
    summarise( text ) // short

}
";

/// A word that is nearly right in every line, each with its fix.
const BROKEN: &str = "use std.lm

job summary(text: Text) -> Text {
  slo {
    cost    >= 2 usd
    quality >= 80
    latncy  <= 60 s
  }
  avoid extractive_sumary
  expect txt of 100 tok

  summarise(txt)
}
";

fn set_up(case: &Case) -> Mkbc {
    let mkbc = Mkbc::new();
    for (name, bytes) in &case.files {
        let path = mkbc.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    mkbc
}

/// What no message may hold, whatever went wrong.
fn sane(name: &str, done: &Done, bless: &Bless) {
    let both = format!("{}{}", done.out, done.err);
    for bad in ["panicked", "RUST_BACKTRACE", "\u{1b}", "Some(", "Err(", ".rs:", "os error 2) at path"] {
        if both.contains(bad) {
            bless.wrong(format!("{name}: `{bad}` is in the output: {both}"));
        }
    }
    if !matches!(done.code, Some(0..=2)) {
        bless.wrong(format!("{name}: exit status {:?}", done.code));
    }
    // A report in a form for others goes to standard output, whole.
    let reported = done.arguments.iter().any(|a| a == "--format") && !done.out.is_empty();
    if done.code != Some(0) && done.err.is_empty() && !reported {
        bless.wrong(format!("{name}: it failed and said nothing"));
    }
}

#[test]
fn bad_inputs() {
    let (cases, bless) = (cases(), Bless::default());
    at_once(&cases, |case| {
        let mkbc = set_up(case);
        let done = mkbc.end(&mut mkbc.command(case.arguments.clone()));
        sane(case.name, &done, &bless);
        let mut text = done.shown(&mkbc);
        // What a command wrote is part of what it did.
        for (name, before) in &case.files {
            let after = fs::read(mkbc.path(name)).expect("the file");
            if after != *before {
                text.push_str(&format!("--- {name}\n{}", String::from_utf8_lossy(&after)));
            }
        }
        bless.golden(&repository().join(format!("tests/cli/{}.txt", case.name)), &text);
    });
    let mut names: Vec<&str> = cases.iter().map(|c| c.name).collect();
    names.push(MUTATIONS);
    bless.no_strangers(&repository().join("tests/cli"), &names);
    bless.end();
}

#[test]
fn exit_statuses() {
    let status = |name: &str| {
        let all = cases();
        let case = all.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no case {name}"));
        let mkbc = set_up(case);
        mkbc.end(&mut mkbc.command(case.arguments.clone())).code
    };
    for name in ["check_fine", "check_hole", "check_warning", "check_fix", "expand", "version"] {
        assert_eq!(status(name), Some(0), "{name}");
    }
    for name in [
        "file_missing",
        "file_not_utf8",
        "check_errors",
        "lock_broken",
        "lock_stale",
        "verify_no_plan",
        "input_no_such_file",
    ] {
        assert_eq!(status(name), Some(1), "{name}");
    }
    for name in [
        "option_unknown",
        "command_unknown",
        "input_unknown",
        "input_missing",
        "cluster_unknown",
        "explain_unknown",
        "argument_not_utf8",
        "job_unknown",
        "option_slo_broken",
        "compare_no_numbers",
    ] {
        assert_eq!(status(name), Some(2), "{name}");
    }
}

/// The table of docs/plan.md and what `mkbc --help` says are the same words.
#[test]
fn exit_statuses_are_said_alike() {
    let help = Mkbc::new().run(&["--help"]).out;
    let (_, said) = help.split_once("Exit codes:\n").expect("exit codes");
    let page = fs::read_to_string(repository().join("docs/plan.md")).expect("a page");
    let rows: Vec<String> = said
        .split("\n  ")
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    // Lines that a narrow terminal broke begin with a letter.
    let mut whole: Vec<String> = Vec::new();
    for row in rows {
        match whole.last_mut() {
            Some(last) if !row.starts_with(|c: char| c.is_ascii_digit()) => *last = format!("{last} {row}"),
            _ => whole.push(row),
        }
    }
    assert_eq!(whole.len(), 5, "{help}");
    for row in whole {
        let (status, when) = row.split_once(' ').expect("a status and when");
        assert!(page.contains(&format!("| {status} | {when} |")), "docs/plan.md does not say: {row}");
    }
}

/// As `curl -d @-`: one text comes from standard input, whole.
#[test]
fn a_text_comes_from_standard_input() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", "job same(text: Text, more: Text?) -> Text {\n  text\n}\n");
    let fed = |arguments: &[&str]| {
        mkbc.write("in.txt", "one\ntwo ü");
        let file = fs::File::open(mkbc.path("in.txt")).expect("a file");
        mkbc.end(mkbc.command(arguments.iter().copied()).stdin(file))
    };
    let done = fed(&["run", "job.mkb", "-q", "--text", "@-"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "one\ntwo ü\n"), "{}", done.err);
    let done = fed(&["run", "job.mkb", "-q", "--text", "@@-"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "@-\n"), "{}", done.err);
    for twice in [&["--text", "@-", "--more", "@-"][..], &["--text", "@-", "--inputs", "-"]] {
        let done = fed(&[&["run", "job.mkb", "-q"][..], twice].concat());
        assert_eq!(done.code, Some(2), "{}", done.err);
        assert!(done.err.contains("standard input"), "{}", done.err);
    }
}

/// Where a lock cannot be kept, no plan is made with fills that nobody can review.
#[test]
fn a_lock_that_cannot_be_written_is_said() {
    let mkbc = Mkbc::new();
    fs::create_dir(mkbc.path("jobs")).expect("a folder");
    mkbc.write("jobs/job.mkb", HOLE);
    let closed = |mode| fs::set_permissions(mkbc.path("jobs"), fs::Permissions::from_mode(mode)).expect("permissions");
    closed(0o555);
    // Whoever may write everywhere is kept from nothing.
    let bound = fs::write(mkbc.path("jobs/probe"), "").is_err();
    for command in ["plan", "expand"].into_iter().filter(|_| bound) {
        let done = mkbc.run(&[command, "jobs/job.mkb", "--cluster", "cpu_only"]);
        assert_eq!(done.code, Some(1), "{}", done.err);
        for part in ["cannot write `jobs/job.mkb.lock`: permission denied", "help: ", "make `jobs` writable"] {
            assert!(done.err.contains(part), "{command}: {}", done.err);
        }
    }
    assert_eq!(mkbc.run(&["check", "jobs/job.mkb"]).code, Some(0));
    closed(0o755);
}

/// Another job's file has nothing to say of a plan.
#[test]
fn a_plan_is_of_its_own_file() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", SUMMARY);
    mkbc.write("other.mkb", HOLE.replace("summary(", "another("));
    assert_eq!(mkbc.run(&["plan", "job.mkb", "--cluster", "cpu_only", "-o", "plan.json"]).code, Some(0));
    let done = mkbc.run(&["verify", "plan.json", "--source", "other.mkb"]);
    assert_eq!(done.code, Some(1));
    assert_eq!(done.err, "mkbc: the plan is for the job `summary`, and `other.mkb` has `another`\n");
}

/// A chain is no nesting: its tree is as deep as it is long, and nothing runs out of stack.
#[test]
fn long_chains_are_checked_planned_and_run() {
    let mkbc = Mkbc::new();
    let job = |n: usize| format!("job long(n: Int) -> Int {{\n  {}\n}}\n", vec!["n"; n].join(" + "));
    mkbc.write("job.mkb", job(1_500));
    for arguments in
        [&["check", "job.mkb"][..], &["fmt", "--check", "job.mkb"], &["plan", "job.mkb", "-o", "plan.json"]]
    {
        let done = mkbc.run(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
    }
    for plan in [&[][..], &["--plan", "plan.json"]] {
        let done = mkbc.run(&[&["run", "job.mkb", "-q", "--n", "2"][..], plan].concat());
        assert_eq!((done.code, done.out.trim()), (Some(0), "3000"), "{}", done.err);
    }
    let texts = vec!["text"; 1_500].join(" + ");
    mkbc.write("job.mkb", SUMMARY.replace("summarise(text)", &format!("summarise({texts})")));
    let done = mkbc.run(&["plan", "job.mkb", "--cluster", "cpu_only"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    mkbc.write("job.mkb", job(2_500));
    let done = mkbc.run(&["check", "job.mkb"]);
    assert!(done.code == Some(1) && done.err.contains("this statement has more than 2000 operators"), "{}", done.err);
}

#[test]
fn fixes_mend_the_file() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", BROKEN);
    assert_eq!(mkbc.run(&["check", "job.mkb"]).code, Some(1));
    assert_eq!(mkbc.run(&["check", "job.mkb", "--fix"]).code, Some(0));
    let mended = mkbc.read("job.mkb");
    for part in [
        "use std.llm",
        "cost    <= 2 usd",
        "quality >= 80 %",
        "latency  <= 60 s",
        "avoid extractive_summary",
        "expect text",
        "summarise(text)",
    ] {
        assert!(mended.contains(part), "no `{part}` in\n{mended}");
    }
    assert_eq!(mended.matches("use std.llm").count(), 1, "one line for a module in\n{mended}");
    // What is mended stays as it is.
    assert_eq!(mkbc.run(&["check", "job.mkb", "--fix"]).code, Some(0));
    assert_eq!(mkbc.read("job.mkb"), mended);
}

#[test]
fn templates_check_and_plan() {
    let mkbc = Mkbc::new();
    for template in ["goal", "video", "document", "retrieval", "web", "code"] {
        let name = format!("my_{template}");
        let file = format!("{name}.mkb");
        assert_eq!(mkbc.run(&["new", &name, "--template", template]).code, Some(0));
        assert!(mkbc.read(&file).contains(&format!("job {name}(")));
        assert_eq!(mkbc.run(&["check", &file]).code, Some(0), "{template}");
        let planned = mkbc.run(&["plan", &file, "--no-prices"]);
        assert_eq!(planned.code, Some(0), "{template}: {}", planned.err);
    }
}

#[test]
fn a_sarif_log_holds_what_the_standard_requires() {
    let mkbc = Mkbc::new();
    mkbc.write("a job.mkb", BROKEN);
    let done = mkbc.run(&["check", "a job.mkb", "--format", "sarif"]);
    let log: Value = serde_json::from_str(&done.out).expect("JSON");
    // What version 2.1.0 requires of each object that is written here.
    let place = json!({
        "type": "object", "required": ["physicalLocation"],
        "properties": {"physicalLocation": {
            "required": ["artifactLocation", "region"],
            "properties": {
                "artifactLocation": {"required": ["uri"], "properties": {"uri": {"type": "string", "pattern": "^[^ ]+$"}}},
                "region": {"required": ["startLine"], "additionalProperties": {"type": "integer", "minimum": 1}},
            },
        }},
    });
    let schema = json!({
        "type": "object", "required": ["version", "runs"],
        "properties": {
            "version": {"const": "2.1.0"},
            "runs": {"type": "array", "minItems": 1, "items": {
                "required": ["tool"],
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {"required": ["driver"], "properties": {"driver": {"required": ["name"], "properties": {
                        "rules": {"type": "array", "uniqueItems": true, "items": {"required": ["id"]}},
                    }}}},
                    "results": {"type": "array", "minItems": 6, "items": {
                        "required": ["message", "ruleId"],
                        "properties": {
                            "level": {"enum": ["none", "note", "warning", "error"]},
                            "message": {"required": ["text"]},
                            "locations": {"type": "array", "minItems": 1, "items": place},
                            "relatedLocations": {"type": "array", "items": place},
                            "fixes": {"type": "array", "items": {"required": ["artifactChanges"], "properties": {
                                "artifactChanges": {"minItems": 1, "items": {"required": ["artifactLocation", "replacements"], "properties": {
                                    "replacements": {"minItems": 1, "items": {"required": ["deletedRegion"]}},
                                }}},
                            }}},
                        },
                    }},
                },
            }},
        },
    });
    if let Err(error) = jsonschema::validate(&schema, &log) {
        panic!("{error}");
    }
    assert_eq!(
        log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "a%20job.mkb"
    );
}

#[test]
fn what_others_read_is_whole() {
    let mkbc = Mkbc::new();
    for (shell, word) in [("bash", "_mkbc()"), ("zsh", "#compdef mkbc"), ("fish", "complete -c mkbc")] {
        let done = mkbc.run(&["completions", shell]);
        assert_eq!(done.code, Some(0));
        assert!(done.out.contains(word), "{shell}");
    }
    assert_eq!(mkbc.run(&["man", "-o", "man"]).code, Some(0));
    assert!(mkbc.read("man/mkbc.1").contains(".TH mkbc 1"));
    assert!(mkbc.path("man/mkbc-check.1").is_file());
    let all: Value = serde_json::from_str(&mkbc.run(&["describe", "--json"]).out).expect("JSON");
    for part in ["language", "units", "library", "codes"] {
        assert!(!all[part].is_null(), "no {part}");
    }
    assert!(all["library"]["tasks"].as_array().is_some_and(|tasks| tasks.len() > 10));
}

#[test]
fn standard_input_is_formatted() {
    use std::io::Write;
    let mkbc = Mkbc::new();
    let mut child =
        mkbc.command(["fmt", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("mkbc starts");
    child.stdin.take().expect("a pipe").write_all(b"use   std.llm\r\n").expect("it reads");
    let done = child.wait_with_output().expect("it ends");
    assert_eq!((done.status.code(), done.stdout.as_slice()), (Some(0), b"use std.llm\r\n".as_slice()));
}

#[test]
fn diagnostics_as_json() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", BROKEN);
    let done = mkbc.run(&["check", "job.mkb", "--format", "json"]);
    assert_eq!((done.code, done.err.as_str()), (Some(1), ""));
    let all: Value = serde_json::from_str(&done.out).expect("JSON");
    let all = all.as_array().expect("an array");
    assert!(all.len() >= 6, "{all:?}");
    for diagnostic in all {
        let code = diagnostic["code"].as_str().expect("a code");
        assert!(code.len() == 5 && code[1..].chars().all(|c| c.is_ascii_digit()), "{code}");
        assert!(["error", "warning", "info"].contains(&diagnostic["severity"].as_str().expect("a severity")));
        assert!(diagnostic["message"].as_str().is_some_and(|m| !m.is_empty()));
        let place = &diagnostic["primary"]["place"];
        assert_eq!(place["file"], "job.mkb");
        let number = |name: &str| place[name].as_u64().unwrap_or_else(|| panic!("no `{name}` in {place}")) as usize;
        assert!(number("start") <= number("end") && number("end") <= BROKEN.len());
        // Lines and columns say the same as the offsets; the file is plain ASCII.
        let before = &BROKEN[..number("start")];
        assert_eq!(number("line"), before.matches('\n').count() + 1);
        assert_eq!(number("column"), before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1);
    }
    let fine = |arguments: &[&str]| -> Value {
        mkbc.write("job.mkb", SUMMARY);
        let done = mkbc.run(arguments);
        assert_eq!(done.code, Some(0), "{}", done.err);
        serde_json::from_str(&done.out).expect("JSON")
    };
    assert_eq!(fine(&["check", "job.mkb", "--format", "json"]), json!([]));
    assert!(fine(&["plan", "job.mkb", "--cluster", "cpu_only", "--json"])["steps"].is_array());
    assert!(fine(&["library", "--json"])[0]["implementations"].is_array());
    assert!(fine(&["devices", "--json"]).is_object());
    let run = fine(&["run", "job.mkb", "--text", "One. Two. Three.", "--json"]);
    assert!(run["result"]["ok"].is_string(), "{run}");
}

#[test]
fn a_run_keeps_its_folder_to_itself() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", SUMMARY);
    let run =
        |more: &[&str]| mkbc.run(&[&["run", "job.mkb", "--text", "The cat sleeps. It is a black cat."], more].concat());
    let first = run(&["--quiet"]);
    assert_eq!((first.code, first.err.as_str()), (Some(0), ""));
    assert!(first.out.contains("cat"), "{}", first.out);
    assert_eq!(run(&[]).code, Some(0));
    for n in ["1", "2"] {
        let folder = mkbc.path(".mkbc/runs").join(n);
        assert_eq!(folder.metadata().expect("a run folder").permissions().mode() & 0o077, 0, "others can look into it");
        for file in ["plan.json", "report.json", "result.json"] {
            assert!(folder.join(file).is_file(), "no {file}");
        }
    }
    // A folder of the user's stays as open as it was.
    fs::create_dir(mkbc.path("here")).expect("a folder");
    fs::set_permissions(mkbc.path("here"), fs::Permissions::from_mode(0o755)).expect("opened");
    assert_eq!(run(&["--folder", "here"]).code, Some(0));
    assert_eq!(mkbc.path("here").metadata().expect("there").permissions().mode() & 0o777, 0o755);
    let again = run(&["--folder", "here"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("earlier run"), "{}", again.err);
    // A plan that was made is run as it is.
    assert_eq!(mkbc.run(&["plan", "job.mkb", "--cluster", "here", "--out", "a.plan.json"]).code, Some(0));
    let planned = run(&["--plan", "a.plan.json", "--quiet"]);
    assert_eq!((planned.code, planned.err.as_str()), (Some(0), ""));
    assert_eq!(planned.out, first.out);
}

/// A job whose inputs are called as options of `run` are.
const NAMED: &str = "use std.llm

job named(report: Text, key: List[Text]) -> Text {
  expect report of 100 tok

  summarise(report)
}
";

#[test]
fn inputs_may_be_called_as_options_are_and_stand_in_a_file() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", NAMED);
    let lost = mkbc.run(&["run", "job.mkb", "--report", "Q3"]);
    assert_eq!(lost.code, Some(2));
    assert!(
        lost.err.contains("give them behind `--`, since `--report` is an option: `-- --report … --key …`"),
        "{}",
        lost.err
    );
    let given = mkbc.run(&["run", "job.mkb", "--quiet", "--", "--report", "One cat. One dog.", "--key", "a", "b"]);
    assert_eq!(given.code, Some(0), "{}", given.err);
    assert!(given.out.contains("One cat"), "{}", given.out);
    // What a file holds, where the text names it.
    mkbc.write("Q3.txt", "One cow. One hen.");
    let named = mkbc.run(&["run", "job.mkb", "--quiet", "--", "--report", "@Q3.txt", "--key", "a"]);
    assert!(named.code == Some(0) && named.out.contains("One cow"), "{}{}", named.out, named.err);
    let literal = mkbc.run(&["run", "job.mkb", "--quiet", "--", "--report", "@@Q3. One owl.", "--key", "a"]);
    assert!(literal.code == Some(0) && literal.out.contains("@Q3"), "{}{}", literal.out, literal.err);
    let meant = mkbc.run(&["run", "job.mkb", "--quiet", "--", "--report", "Q3.txt", "--key", "a"]);
    assert!(meant.err.contains("`--report @Q3.txt` gives what the file"), "{}", meant.err);
    // Longer than an argument may be, and a list of nothing.
    let report = "The cat sleeps. ".repeat(10_000);
    mkbc.write("in.json", serde_json::json!({"report": report, "key": []}).to_string());
    let filed = mkbc.run(&["run", "job.mkb", "--quiet", "--inputs", "in.json"]);
    assert_eq!(filed.code, Some(0), "{}", filed.err);
    let mut command = mkbc.command(["run", "job.mkb", "--quiet", "--inputs", "-"]);
    let piped = mkbc.end(command.stdin(fs::File::open(mkbc.path("in.json")).expect("a file")));
    assert_eq!((piped.code, piped.out), (Some(0), filed.out), "{}", piped.err);
    for (text, more, says) in [
        ("{\"report\": 3, \"key\": []}", &[][..], "the input `report`"),
        ("{\"reports\": \"a\"}", &[], "did you mean `report`?"),
        ("{\"report\": \"a\", \"key\": []}", &["--", "--key", "a"], "given twice"),
        ("[]", &[], "no JSON object"),
    ] {
        mkbc.write("in.json", text);
        let done = mkbc.run(&[&["run", "job.mkb", "--inputs", "in.json"], more].concat());
        assert!(matches!(done.code, Some(1 | 2)) && done.err.contains(says), "{text}: {}", done.err);
    }
}

#[test]
fn what_an_option_cannot_be_is_said_before_anything_is_done() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", SUMMARY);
    for more in [&["--grace=-1"][..], &["--key", ""], &["--key", "service:1"]] {
        let done = mkbc.run(&[&["run", "job.mkb", "--text", "a"], more].concat());
        assert_eq!(done.code, Some(2), "{more:?}: {}", done.err);
        assert!(!mkbc.path(".mkbc").exists(), "{more:?}: a run was recorded");
    }
    let big = "9999999999999999999";
    for more in [
        &["--streams", big][..],
        &["--connections", big],
        &["--workers", "100000"],
        &["--body", "18014398509481984"],
        &["--blobs", "18014398509481984"],
        &["--addr", "no.such.name.invalid:1"],
    ] {
        let done = mkbc.run(&[&["serve"], more].concat());
        assert_eq!(done.code, Some(2), "{more:?}: {}", done.err);
    }
}

#[test]
fn limits_that_a_run_broke_are_said() {
    let mkbc = Mkbc::new();
    let slow = "task wait(text: Text) -> Text\ntool waits implements wait {\n  runs on cpu * 1\n  \
                engine process {\n    command [\"sleep\", \"0.5\"]\n    command [\"echo\", \"{text}\"]\n  }\n  profile \"waits.csv\"\n}\n";
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    mkbc.write("lib/waits.mkb", slow);
    mkbc.write(
        "lib/profiles/waits.csv",
        "device,units,figure,value,unit,low,high,evidence,source\ncpu,,latency,0.01,s,,,estimated,far too little\n,,quality,99,%,,,estimated,a test\n",
    );
    mkbc.write("job.mkb", "use waits\n\njob late(text: Text) -> Text {\n  slo { latency <= 0.3 s }\n  wait(text)\n}\n");
    let run = |more: &[&str]| mkbc.run(&[&["run", "job.mkb", "--library", "lib", "--text", "a"], more].concat());
    let done = run(&["--report", "r.html", "--key", "k"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains("latency <= 0.3 s: BROKEN, "), "{}", done.err);
    assert!(done.err.contains("warning: the run broke what its job demands"), "{}", done.err);
    assert!(mkbc.read("r.html").contains("BROKEN") && mkbc.run(&["show", "1"]).out.contains("BROKEN"));
    let strict = run(&["--json", "--strict-slo"]);
    assert_eq!(strict.code, Some(1), "{}", strict.err);
    let report: serde_json::Value = serde_json::from_str(&strict.out).expect("JSON");
    assert_eq!(report["clauses"][0]["holds"], false);
    assert_eq!(run(&["--key", "k", "--strict-slo"]).code, Some(1), "the answer of before is no better");
}

#[test]
fn a_limit_out_of_reach_names_what_is_not_here_and_a_line_of_the_command_line_its_option() {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    let tool = |name: &str, program: &str| {
        format!(
            "tool {name} implements loud {{\n  runs on cpu * 1\n  engine process {{ command [\"{program}\", \"{{text}}\"] }}\n  \
             profile \"{name}.csv\"\n}}\n"
        )
    };
    let head = "task loud(text: Text) -> Text { size tokens = 200 tok }\n";
    mkbc.write("lib/words.mkb", format!("{head}{}{}", tool("louder", "echo"), tool("loudest", "no-such-program")));
    for (name, quality) in [("louder", 50), ("loudest", 99)] {
        let rows = format!("cpu,,latency,1,s,,,estimated,made up\n,,quality,{quality},%,,,estimated,made up\n");
        let head = "device,units,figure,value,unit,low,high,evidence,source\n";
        mkbc.write(&format!("lib/profiles/{name}.csv"), format!("{head}{rows}"));
    }
    let job = "use words\n\njob shout(text: Text) -> Text {\n  slo { quality >= 90 % }\n  expect text of 9 tok\n  loud(text)\n}\n";
    mkbc.write("job.mkb", job);
    let words = ["plan", "job.mkb", "--library", "lib"];
    let done = mkbc.run(&words);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("Left out, since it cannot run here: `loudest`"), "{}", done.err);
    let looser = mkbc.run(&[&words[..], &["--slo", "quality >= 10 %"]].concat());
    assert_eq!(looser.code, Some(0), "{}", looser.err);
    assert!(looser.out.contains("  --slo     quality >= 10 %: holds"), "{}", looser.out);
}

#[test]
fn planning_again_says_what_changed() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", PINNED);
    let plan = || mkbc.run(&["plan", "job.mkb", "--job", "summary", "--cluster", "cpu_only", "--out", "a.json"]);
    assert!(plan().out.contains("written to a.json"));
    assert!(plan().out.contains("changed since the last plan: nothing"));
    mkbc.write("job.mkb", PINNED.replace("gpt-4o-mini", "gpt-4o"));
    let changed = plan().out;
    assert!(changed.contains("~ summarise: knobs variant gpt-4o-mini → variant gpt-4o"), "{changed}");
    assert!(changed.contains("~ cost: "), "{changed}");
}

/// The golden of [`edited_plans_are_refused`].
const MUTATIONS: &str = "edited_plans";

/// A change of a plan, by name.
type Mutation = (&'static str, fn(&mut Value));

#[test]
fn edited_plans_are_refused() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", PINNED);
    let made = mkbc.run(&["plan", "job.mkb", "--job", "summary", "--cluster", "cpu_only", "--out", "good.json"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let good: Value = serde_json::from_str(&mkbc.read("good.json")).expect("a plan");
    let mutations: Vec<Mutation> = vec![
        ("version", |p| p["version"] = json!(99)),
        ("the compiler", |p| p["compiler"] = json!("mkbc 0.0.9")),
        ("an unknown field", |p| p["surprise"] = json!(1)),
        ("a field gone", |p| drop(p.as_object_mut().expect("an object").remove("steps"))),
        ("the cost of a step", |p| p["steps"][0]["predicted"]["cost_usd"] = json!("0.000001")),
        ("the cost of a step and of all", |p| {
            p["steps"][0]["predicted"]["cost_usd"] = json!("0.000001");
            p["total"]["cost_usd"] = json!("0.000001");
            p["clauses"][0]["value"] = json!("0.000001");
            p["clauses"][0]["slack"] = json!("0.999999");
            p["wishes"][0]["value"] = json!("0.000001");
        }),
        ("a negative cost", |p| p["steps"][0]["predicted"]["cost_usd"] = json!("-1")),
        ("quality over 1", |p| p["steps"][0]["predicted"]["quality"] = json!("1.5")),
        ("a total", |p| p["total"]["latency_s"] = json!("0.001")),
        ("a limit", |p| p["clauses"][0]["limit"] = json!("0.0000001")),
        ("what a clause says", |p| p["clauses"][0]["slack"] = json!("5")),
        ("a metric", |p| p["clauses"][0]["metric"] = json!("beauty")),
        ("a wish's value", |p| p["wishes"][0]["value"] = json!("123")),
        ("the implementation", |p| p["steps"][0]["implementation"] = json!("chat")),
        ("a knob", |p| p["steps"][0]["knobs"]["variant"] = json!("gpt-4o")),
        ("the hardware", |p| p["steps"][0]["hardware"]["units"] = json!(4)),
        ("the number of calls", |p| p["steps"][0]["calls"] = json!("17")),
        ("the prompt", |p| p["steps"][0]["engine"]["prompt"] = json!("Say yes.")),
        ("the address", |p| p["steps"][0]["engine"]["url"] = json!("https://example.com/v1")),
        ("the engine", |p| {
            p["steps"][0]["engine"] =
                json!({"kind": "process", "commands": [["touch", "canary"]], "reader": "lines", "options": {}})
        }),
        ("the parameters", |p| p["steps"][0]["params"] = json!([])),
        ("the output", |p| p["steps"][0]["output"] = json!("int")),
        ("the evidence", |p| p["steps"][0]["evidence"][0]["kind"] = json!("measured")),
        ("the task", |p| p["steps"][0]["task"] = json!("combine_answers")),
        ("the number of a step", |p| p["steps"][0]["id"] = json!(3)),
        ("a step that nothing calls", |p| p["body"]["nodes"] = json!([])),
        ("a step twice", |p| {
            let node = p["body"]["nodes"][0].clone();
            p["body"]["nodes"] = json!([node.clone(), node]);
        }),
        ("the result", |p| p["body"]["result"] = json!({"value": 99})),
        ("the rule of quality", |p| p["quality_rule"] = json!("none")),
        ("the GPUs", |p| p["total"]["gpus"] = json!(7)),
        ("the library", |p| p["hashes"]["library"] = json!("0")),
        ("the source", |p| p["hashes"]["source"] = json!("0")),
    ];
    let bless = Bless::default();
    let mut shown = String::new();
    let key = |command: &mut Command| {
        // A server of the user's own that is not there: whatever gets past the checks is refused at once.
        command.env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    };
    for (name, mutate) in mutations {
        let mut plan = good.clone();
        mutate(&mut plan);
        assert_ne!(plan, good, "{name} changes nothing");
        mkbc.write("bad.json", format!("{plan:#}"));
        let verify = mkbc.run(&["verify", "bad.json"]);
        let mut run =
            mkbc.command(["run", "job.mkb", "--job", "summary", "--plan", "bad.json", "--text", "a", "--quiet"]);
        key(&mut run);
        let run = mkbc.end(&mut run);
        for done in [&verify, &run] {
            sane(name, done, &bless);
        }
        let accepted = if verify.code == Some(0) { " ACCEPTED" } else { "" };
        shown.push_str(&format!("=== {name}\nverify:{accepted} {}", mkbc.masked(&verify.err)));
        let started = run.err.contains("failed: ");
        let accepted = if started { "ACCEPTED\n".to_string() } else { mkbc.masked(&run.err) };
        shown.push_str(&format!("{}run --plan: {accepted}", if verify.err.ends_with('\n') { "" } else { "\n" }));
        assert!(run.code != Some(0) && !mkbc.path("canary").exists(), "{name}: it ran");
        if verify.code == Some(0) && name != "the source" {
            bless.wrong(format!("`mkbc verify` accepts a plan in which {name} was changed"));
        }
        if started {
            bless.wrong(format!("`mkbc run --plan` accepts a plan in which {name} was changed"));
        }
    }
    // Machines that do not have what a step holds.
    mkbc.write("small.mkb", SUMMARY);
    let made = mkbc.run(&["plan", "small.mkb", "--cluster", "cpu_only", "--out", "small.json"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let mut small: Value = serde_json::from_str(&mkbc.read("small.json")).expect("a plan");
    small["cluster"]["pools"]["cpu"]["units"] = json!(0);
    small["steps"][0]["hardware"]["device"] = json!("cpu");
    mkbc.write("small.json", small.to_string());
    assert_eq!(mkbc.run(&["verify", "small.json"]).code, Some(1), "steps on no core");
    // A plan of another job of the same file.
    assert_eq!(
        mkbc.run(&["plan", "job.mkb", "--job", "other", "--cluster", "cpu_only", "--out", "other.json"]).code,
        Some(0)
    );
    let mut other =
        mkbc.command(["run", "job.mkb", "--job", "summary", "--plan", "other.json", "--text", "a", "--quiet"]);
    key(&mut other);
    let other = mkbc.end(&mut other);
    shown.push_str(&format!("=== the plan of another job\nrun --plan: {}", mkbc.masked(&other.err)));
    if other.err.contains("failed: ") {
        bless.wrong("`mkbc run --plan` runs the plan of another job".to_string());
    }
    // A source that has changed since.
    mkbc.write("job.mkb", PINNED.replace("A summary", "One summary"));
    let changed = mkbc.run(&["run", "job.mkb", "--job", "summary", "--plan", "good.json", "--text", "a"]);
    shown.push_str(&format!("=== the source is another one\nrun --plan: {}", mkbc.masked(&changed.err)));
    assert!(changed.err.contains("an earlier version"), "{}", changed.err);
    bless.golden(&repository().join(format!("tests/cli/{MUTATIONS}.txt")), &shown);
    bless.end();
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", PINNED);
    for arguments in
        [&["library"][..], &["schema"], &["plan", "job.mkb", "--job", "summary", "--cluster", "cpu_only"], &["explain"]]
    {
        let mut child =
            mkbc.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let done = child.wait_with_output().expect("it ends");
        assert_eq!(done.status.code(), Some(0), "{arguments:?}");
        assert!(!String::from_utf8_lossy(&done.stderr).contains("panicked"), "{arguments:?}");
    }
}

/// A file that is written again keeps who may read it.
#[test]
fn permissions_stay() {
    let mkbc = Mkbc::new();
    for (mode, arguments) in [(0o600, &["fmt"][..]), (0o640, &["check", "--fix"][..])] {
        mkbc.write("job.mkb", "job  same(text: Text) -> Text {\n  text;\n}\n");
        fs::set_permissions(mkbc.path("job.mkb"), fs::Permissions::from_mode(mode)).expect("a file of our own");
        mkbc.run(&[arguments, &["job.mkb"][..]].concat());
        let after = fs::metadata(mkbc.path("job.mkb")).expect("the file is there").permissions().mode() & 0o777;
        assert_eq!(after, mode, "{arguments:?}");
        assert!(
            !mkbc.read("job.mkb").contains("job  same(text: Text) -> Text {\n  text;"),
            "{arguments:?} wrote nothing"
        );
    }
}

/// A text of very many mistakes is answered with some of them, and how many more there are.
#[test]
fn of_many_mistakes_some_are_shown() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", format!("job same(text: Text) -> Text {{\n{}  text\n}}\n", "  let a =\n".repeat(1_000)));
    let done = mkbc.run(&["check", "job.mkb"]);
    assert_eq!(done.code, Some(1));
    assert_eq!(done.err.matches("error[").count(), 100);
    assert!(done.err.contains("and 900 more") && done.err.contains("1000 errors"), "{}", done.err);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has /dev/full");
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", HOLE);
    let done = mkbc.command(["expand", "job.mkb"]).stderr(full()).output().expect("it starts");
    assert_eq!(done.status.code(), Some(0), "messages are not the result");
    let done = mkbc
        .command(["plan", "job.mkb", "--cluster", "cpu_only", "--json"])
        .stdout(full())
        .output()
        .expect("it starts");
    assert_eq!(done.status.code(), Some(1), "a result that is lost is no success");
    assert!(!String::from_utf8_lossy(&done.stderr).contains("panicked"));
}

#[test]
fn colours_only_on_a_terminal_and_only_if_wanted() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", BROKEN);
    assert!(!mkbc.run(&["check", "job.mkb"]).err.contains('\u{1b}'), "colours in a pipe");
    if !have(&["script"]) {
        return;
    }
    // `script` gives the command a terminal.
    let on_terminal = |no_color: Option<&str>, terminal: &str| {
        let mut command = Command::new("script");
        let line = format!("'{}' check job.mkb", mkbc::BINARY);
        command
            .args(["-q", "-e", "-c", &line, "/dev/null"])
            .current_dir(mkbc.path(""))
            .env_remove("NO_COLOR")
            .env("TERM", terminal)
            .stdin(Stdio::null());
        command.envs(no_color.map(|v| ("NO_COLOR", v)));
        String::from_utf8_lossy(&command.output().expect("script").stdout).into_owned()
    };
    assert!(on_terminal(None, "xterm").contains("\u{1b}["), "no colours on a terminal");
    for plain in [on_terminal(Some("1"), "xterm"), on_terminal(None, "dumb")] {
        assert!(plain.contains("error[") && !plain.contains("\u{1b}["), "{plain}");
    }
}

/// The `library` folder beside a job is its library for every command, from wherever it is named, and is given once.
#[test]
fn every_command_takes_the_library_beside_a_job() {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("jobs/library/profiles")).expect("folders");
    mkbc.write("jobs/job.mkb", "use words\n\njob shout(text: Text) -> Text {\n  loud(text)\n}\n");
    mkbc.write("jobs/library/words.mkb", LOUD);
    mkbc.write("jobs/library/profiles/louder.csv", "device,units,figure,value,unit,low,high,evidence,source\n");
    for arguments in [
        &["check", "jobs/job.mkb"][..],
        &["check", "jobs"],
        &["inputs", "jobs/job.mkb"],
        &["graph", "jobs/job.mkb", "--no-plan"],
        &["expand", "jobs/job.mkb"],
        &["validate", "jobs/job.mkb", "--text", "a"],
        &["check", "jobs/job.mkb", "--library", "jobs/library"],
    ] {
        let done = mkbc.run(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
    }
    for command in ["plan", "run", "why-not"] {
        let done = mkbc.run(&[command, "jobs/job.mkb", "--text", "a"]);
        assert!(!done.err.contains("there is no module"), "{command}: {}", done.err);
    }
}

#[test]
fn a_proof_is_of_its_plan_and_its_job_alone() {
    let mkbc = Mkbc::new();
    for (name, limit) in [("a", "0.5"), ("b", "0.4")] {
        mkbc.write(
            &format!("{name}.mkb"),
            SUMMARY
                .replace("  summ", &format!("  slo {{\n    cost <= {limit} usd\n  }}\n  minimize latency\n\n  summ")),
        );
        let (job, plan, proof) = (format!("{name}.mkb"), format!("{name}.json"), format!("{name}.proof"));
        let made = mkbc.run(&["plan", &job, "--cluster", "cpu_only", "--out", &plan, "--proof", &proof]);
        assert_eq!(made.code, Some(0), "{}", made.err);
    }
    let verify = |proof: &str| mkbc.run(&["verify", "a.json", "--source", "a.mkb", "--proof", proof]);
    let fine = verify("a.proof");
    assert_eq!(fine.code, Some(0), "{}", fine.err);
    assert!(fine.out.contains("proved to be the best"), "{}", fine.out);
    // What a proof must not pass without is for the properties of the checker; a job of one step needs no combinations.
    let good: Value = serde_json::from_str(&mkbc.read("a.proof")).expect("a proof");
    let edits: [Mutation; 3] = [
        ("version.proof", |p| p["version"] = json!(99)),
        ("stages.proof", |p| p["certificate"]["stages"] = json!([])),
        ("text.proof", |p| *p = json!("proved")),
    ];
    for (name, edit) in edits {
        let mut edited = good.clone();
        edit(&mut edited);
        mkbc.write(name, edited.to_string());
        assert_eq!(verify(name).code, Some(1), "{name}");
    }
    assert_eq!(verify("b.proof").code, Some(1), "the proof of another job");
    assert_eq!(mkbc.run(&["verify", "a.json", "--proof", "a.proof"]).code, Some(2), "a proof without its job");
}

/// Two lines that no plan keeps at once: what answers in a millisecond quotes and never composes.
const CLASH: &str = "use std.llm

/// A summary.
job summary(text: Text) -> Text {
  slo {
    latency <= 1 ms
    quality >= 90 %
    cost <= 1 usd
  }
  expect text of 100 tok

  summarise(text)
}
";

#[test]
fn a_proof_that_there_is_no_plan_is_checked_without_one() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", CLASH);
    mkbc.write("fine.mkb", CLASH.replace("1 ms", "60 s"));
    let refused = mkbc.run(&["plan", "job.mkb", "--cluster", "cpu_only", "--proof", "good.proof"]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    let made = mkbc.run(&["plan", "fine.mkb", "--cluster", "cpu_only", "--out", "fine.json", "--proof", "best.proof"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let good: Value = serde_json::from_str(&mkbc.read("good.proof")).expect("a proof");
    let edits: [Mutation; 6] = [
        ("core.proof", |p| p["clash"]["core"] = json!([0])),
        ("lines.proof", |p| p["clash"]["core"] = json!([0, 99])),
        ("machines.proof", |p| p["clash"]["cluster"]["pools"]["cpu"]["units"] = json!(1)),
        ("rows.proof", |p| p["certificate"]["stages"][0]["rows"] = json!([{ "path": ["latency", [0, 0]] }])),
        ("stages.proof", |p| p["certificate"]["stages"] = json!([])),
        ("claim.proof", |p| _ = p.as_object_mut().expect("an object").remove("clash")),
    ];
    let (bless, mut shown) = (Bless::default(), String::new());
    let mut verify = |arguments: &[&str], code: i32| {
        let done = mkbc.run(arguments);
        sane("no plan", &done, &bless);
        assert_eq!(done.code, Some(code), "{arguments:?}: {}{}", done.out, done.err);
        shown.push_str(&done.shown(&mkbc));
    };
    verify(&["verify", "--source", "job.mkb", "--proof", "good.proof"], 0);
    for (name, edit) in edits {
        let mut edited = good.clone();
        edit(&mut edited);
        assert_ne!(edited, good, "{name} changes nothing");
        mkbc.write(name, edited.to_string());
        verify(&["verify", "--source", "job.mkb", "--proof", name], 1);
    }
    verify(&["verify", "--source", "fine.mkb", "--proof", "good.proof"], 1);
    verify(&["verify", "--source", "fine.mkb", "--proof", "best.proof"], 1);
    verify(&["verify", "fine.json", "--source", "fine.mkb", "--proof", "good.proof"], 1);
    verify(&["verify", "--proof", "good.proof"], 2);
    bless.golden(&repository().join("tests/proofs/no_plan.txt"), &shown);
    bless.end();
}

#[test]
fn outputs_that_are_no_files_are_written_to() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", SUMMARY);
    mkbc.write("real.json", "old");
    std::os::unix::fs::symlink("real.json", mkbc.path("link.json")).expect("a link");
    let plan = |out: &str| mkbc.run(&["plan", "job.mkb", "--cluster", "cpu_only", "--out", out]);
    assert_eq!(plan("link.json").code, Some(0));
    assert!(fs::symlink_metadata(mkbc.path("link.json")).expect("a link").is_symlink(), "the link is gone");
    assert!(mkbc.read("real.json").contains("\"steps\""));
    assert_eq!(plan("/dev/null").code, Some(0));
    assert!(!fs::metadata("/dev/null").expect("a device").is_file());
    let twice = mkbc.run(&["plan", "job.mkb", "--cluster", "cpu_only", "--out", "x", "--proof", "x"]);
    assert_eq!(twice.code, Some(2), "{}", twice.err);
}

#[test]
fn a_plan_with_a_line_beside_its_job_is_verified_with_that_line() {
    let mkbc = Mkbc::new();
    let job = "use std.llm\n\njob brief(text: Text) -> Text {\n  slo { cost <= 1 usd }\n  expect text of 100 tok\n\n  summarise(text)\n}\n";
    mkbc.write("job.mkb", job);
    let line = "cost <= 0.25 usd";
    let plan = ["plan", "job.mkb", "--cluster", "azure_mixed", "--no-prices", "--slo", line, "--out", "plan.json"];
    let done = mkbc.run(&plan);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let verify = |more: &[&str]| mkbc.run(&[&["verify", "plan.json", "--source", "job.mkb"], more].concat());
    let done = verify(&[]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.contains("with `--slo \"cost <= 0.25 usd\"`"), "{}", done.out);
    assert_eq!(verify(&["--slo", line]).code, Some(0));
    let other = verify(&["--slo", "cost <= 0.5 usd"]);
    assert_eq!(other.code, Some(1), "{}", other.out);
    assert!(other.err.contains("it was made with `--slo"), "{}", other.err);
    // Without its line it is not the job's.
    let mut edited: Value = serde_json::from_str(&mkbc.read("plan.json")).expect("JSON");
    edited.as_object_mut().expect("a plan").remove("beside");
    mkbc.write("plan.json", edited.to_string());
    assert_eq!(verify(&[]).code, Some(1));
}
