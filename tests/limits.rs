//! Limits at their edge, and plans that claim to keep what they do not: the real binary on real files.

use murakkab::apart::Apart;
use murakkab::bench::families::generate;
use murakkab::solve::judge::Judge;
use murakkab::solve::outcome::Outcome;
use murakkab::solve::{Limits, solve};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

fn mkbc(folder: &Path, words: &str) -> Output {
    let words = words.split_whitespace();
    Command::new(env!("CARGO_BIN_EXE_mkbc")).args(words).current_dir(folder).output().expect("mkbc starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Three settings: one that is just too dear, one that is exactly at the limit of quality, one that is good and slow.
fn edge() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write(
        "lib/edge.mkb",
        "task shorten(text: Text) -> Text { work text.tokens }\n\
         tool cut implements shorten {\n  knob v in [a, b, c]\n  runs on cpu * 1\n\
         engine process { command [\"echo\", \"{text}\"] }\n  profile \"cut.csv\"\n}\n",
    );
    write(
        "lib/profiles/cut.csv",
        "v,device,units,figure,value,unit,low,high,evidence,source\n\
         a,cpu,,cost,0.0010005,usd,,,estimated,made for this test\n,cpu,,cost,0.0005,usd,,,estimated,made for this test\n\
         a,cpu,,latency,1,s,,,estimated,made for this test\nb,cpu,,latency,2,s,,,estimated,made for this test\n\
         c,cpu,,latency,30,s,,,estimated,made for this test\na,cpu,,quality,95,%,,,estimated,made for this test\n\
         b,cpu,,quality,90,%,,,estimated,made for this test\nc,cpu,,quality,91,%,,,estimated,made for this test\n",
    );
    write(
        "job.mkb",
        "use edge\njob j(text: Text) -> Text {\n  slo {\n    cost    <= 0.001 usd\n    quality >= 90 %\n  }\n\
         minimize latency\n  expect text of 20 tok\n  shorten(text)\n}\n",
    );
    folder
}

#[test]
fn a_choice_exactly_at_a_limit_is_kept_though_another_breaks_one_by_rounding() {
    let folder = edge();
    // Rent comes on top of the fee: the cluster here costs nothing.
    std::fs::write(folder.path().join("lib/free.mkb"), "cluster free { cpu * 4 }\n").expect("a file");
    let done = mkbc(folder.path(), "plan job.mkb --library lib --cluster free --json");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let plan: Value = serde_json::from_slice(&done.stdout).expect("a plan");
    assert_eq!(plan["steps"][0]["knobs"]["v"], "b");
    assert_eq!(plan["proof"]["status"], "optimal");
}

/// The plan of a job with a soft limit that one choice breaks by less than rounding shows.
fn soft(more: &str) -> Value {
    let folder = edge();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("lib/free.mkb", "cluster free { cpu * 4 }\n");
    write(
        "job.mkb",
        "use edge\njob j(text: Text) -> Text {\n  prefer cost <= 0.001 usd\n  minimize latency\n  expect text of 20 tok\n  shorten(text)\n}\n",
    );
    let done = mkbc(folder.path(), &format!("plan job.mkb --library lib --cluster free --json {more}"));
    serde_json::from_slice(&done.stdout).expect("a plan")
}

#[test]
fn a_soft_limit_that_can_be_kept_is_kept_though_another_choice_breaks_it_by_rounding() {
    let plan = soft("");
    assert_eq!(plan["steps"][0]["knobs"]["v"], "b", "{plan:#}");
    assert_eq!(plan["proof"]["status"], "optimal");
    assert_eq!(plan["clauses"][0]["holds"], true, "{}", plan["clauses"]);
}

#[test]
fn soft_lines_that_there_was_no_time_for_leave_no_plan_called_optimal() {
    let plan = soft("--time-limit 0");
    assert!(plan["proof"]["status"]["feasible"].is_object(), "{}", plan["proof"]);
}

#[test]
fn a_bound_is_said_of_the_wish_that_it_is_of() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let done = mkbc(folder, "plan examples/video_qa.mkb --cluster azure_mixed --time-limit 0 --json");
    let plan: Value = serde_json::from_slice(&done.stdout).expect("a plan");
    let open = &plan["proof"]["status"]["feasible"];
    let (wish, bound) = (open["wish"].as_u64().expect("a wish"), open["bound"].as_i64().expect("a bound"));
    // Which wish is open depends on how far the first look goes; it is named, and what was settled before it.
    let named = plan["wishes"][wish as usize]["text"].as_str().expect("the wish that is open").to_owned();
    let said = text(&mkbc(folder, "plan examples/video_qa.mkb --cluster azure_mixed --time-limit 0").stdout);
    let (_, metric) = named.split_once(' ').expect("a metric");
    assert!(
        bound > 0 && said.contains(&format!("no plan has a {metric} ")) && said.contains("(gap "),
        "{named}: {said}"
    );
    assert_eq!(wish > 0, said.contains(" is proved, and then "), "{said}");
}

#[test]
fn knobs_with_more_combinations_than_can_be_looked_at_are_an_error_in_the_library() {
    let folder = edge();
    let values: Vec<String> = (0..10).map(|n| format!("v{n}")).collect();
    let knobs: String = (0..8).map(|n| format!("  knob k{n} in [{}]\n", values.join(", "))).collect();
    let library = format!(
        "task shorten(text: Text) -> Text {{ work text.tokens }}\ntool cut implements shorten {{\n{knobs}  knob v in [a, b, c]\n  \
         runs on cpu * 1\n  engine process {{ command [\"echo\", \"{{text}}\"] }}\n  profile \"cut.csv\"\n}}\n"
    );
    std::fs::write(folder.path().join("lib/edge.mkb"), library).expect("a library");
    let done = mkbc(folder.path(), "plan job.mkb --library lib");
    let said = text(&done.stderr);
    assert!(!done.status.success() && said.contains("10000 combinations of values at most"), "{said}");
}

#[test]
fn the_flagship_has_five_steps_with_fifty_candidates_each() {
    let done =
        mkbc(Path::new(env!("CARGO_MANIFEST_DIR")), "plan examples/video_qa.mkb --cluster azure_mixed --choices");
    let out = text(&done.stdout);
    let counts: Vec<u32> =
        out.lines().filter_map(|l| l.split_once(": ")?.1.split_once(" candidates")?.0.parse().ok()).collect();
    assert_eq!(counts.len(), 5, "{out}");
    assert!(counts.iter().all(|n| *n >= 50), "{counts:?}");
}

/// A plan of a job that avoids a tool and limits cost, changed in some way that it hides.
fn tampered(change: impl Fn(&mut Value)) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let job = "use std.llm\njob brief(text: Text) -> Text {\n  slo { cost <= 2 usd }\n  avoid openai_chat\n  summarise(text)\n}\n";
    std::fs::write(folder.path().join("job.mkb"), job).expect("a file");
    let done = mkbc(folder.path(), "plan job.mkb --cluster cpu_only --out plan.json");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let honest = mkbc(folder.path(), "verify plan.json --source job.mkb");
    assert!(honest.status.success(), "{}", text(&honest.stderr));
    let path = folder.path().join("plan.json");
    let mut plan: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a plan")).expect("JSON");
    change(&mut plan);
    std::fs::write(&path, plan.to_string()).expect("a file");
    let verified = mkbc(folder.path(), "verify plan.json --source job.mkb");
    let run = mkbc(folder.path(), "run job.mkb --plan plan.json --text hello");
    assert!(!verified.status.success() && !run.status.success(), "{}{}", text(&verified.stdout), text(&run.stdout));
    (text(&verified.stderr), text(&run.stderr))
}

#[test]
fn a_plan_without_the_jobs_clauses_is_refused() {
    let (verified, run) = tampered(|plan| plan["clauses"] = json!([]));
    assert!(verified.contains("`cost <= 2 usd` of the job is not a clause of the plan"), "{verified}");
    assert!(run.contains("is not run"), "{run}");
}

#[test]
fn a_plan_with_a_looser_limit_is_refused() {
    let (verified, _) = tampered(|plan| {
        let value: f64 = plan["clauses"][0]["value"].as_str().and_then(|v| v.parse().ok()).expect("a value");
        plan["clauses"][0]["limit"] = json!("100");
        plan["clauses"][0]["slack"] = json!(format!("{}", 100.0 - value));
    });
    assert!(verified.contains("`cost <= 2 usd`"), "{verified}");
}

#[test]
fn a_plan_that_breaks_a_rule_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = |rule: &str| format!("use std.llm\njob brief(text: Text) -> Text {{\n  {rule}\n  summarise(text)\n}}\n");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("job.mkb"), job("minimize cost")).expect("a file");
    assert!(mkbc(folder.path(), "plan job.mkb --cluster cpu_only --out plan.json").status.success());
    // The same plan under a job that forbids its tool, with the digest and the clause that such a plan would have.
    std::fs::write(at("other.mkb"), job("minimize cost\n  avoid extractive_summary")).expect("a file");
    let mut plan: Value =
        serde_json::from_str(&std::fs::read_to_string(at("plan.json")).expect("a plan")).expect("JSON");
    plan["hashes"]["source"] =
        json!(murakkab::digest::digest([std::fs::read_to_string(at("other.mkb")).expect("text").as_str()]));
    plan["clauses"] = json!([{"text": "avoid extractive_summary", "line": 4, "metric": "rule", "limit": "0", "value": "0",
                              "slack": "0", "soft": false, "holds": true}]);
    std::fs::write(at("plan.json"), plan.to_string()).expect("a file");
    let done = mkbc(folder.path(), "verify plan.json --source other.mkb");
    assert!(
        text(&done.stderr).contains("breaks `avoid extractive_summary`"),
        "{}{}",
        text(&done.stdout),
        text(&done.stderr)
    );
}

/// Plans a problem with somebody who decides in the place of z3: what the wishes come to, and who proved it.
fn solved(judge: Option<&dyn Judge>) -> (Vec<i64>, String) {
    let problem = generate(&"realistic-8x20-tight".parse().expect("a recipe"), 3);
    match solve(&problem, &Limits { judge, ..Limits::default() }) {
        Outcome::Solved(found) => (found.values, found.proof.by),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_z3_that_dies_takes_its_word_along_and_nothing_else() {
    let (values, by) = solved(None);
    assert!(by.starts_with("z3"), "{by}");
    let apart = Apart::new(env!("CARGO_BIN_EXE_mkbc"), &["judge"]);
    assert_eq!(solved(Some(&apart)), (values.clone(), by));
    assert_eq!(apart.ended(), None);
    let program = env!("CARGO_BIN_EXE_mkbc");
    for (script, how) in [
        ("read a; read b; kill -SEGV $$", "ended by signal 11"),
        ("kill -ABRT $$", "ended by signal 6"),
        ("exit 3", "ended with code 3"),
        // It has no room to be loaded.
        ("ulimit -v 20000; exec \"$0\" judge", ""),
        ("read a; echo '{}'; exec sleep 60", "gave no word and was stopped"),
    ] {
        let apart = Apart::new("sh", &["-c", script, program]);
        assert_eq!(solved(Some(&apart)), (values.clone(), "native".to_owned()), "{script}");
        let ended = apart.ended().expect("a process that ended");
        assert!(ended.contains(how), "{script}: {ended}");
    }
    let nobody = Apart::new("/nowhere/mkbc", &[]);
    assert_eq!(solved(Some(&nobody)).1, "native");
    assert!(nobody.ended().is_some_and(|how| how.starts_with("did not start")));
}

#[test]
fn without_time_a_job_has_a_plan_that_says_how_far_it_is_proved() {
    let folder = edge();
    std::fs::write(folder.path().join("lib/free.mkb"), "cluster free { cpu * 4 }\n").expect("a file");
    let done = mkbc(folder.path(), "plan job.mkb --library lib --cluster free --time-limit 0 --json");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let plan: Value = serde_json::from_slice(&done.stdout).expect("a plan");
    let status = &plan["proof"]["status"];
    assert!(*status == "optimal" || status["feasible"].is_object(), "{status}");
    for wrong in ["-1", "NaN", "inf", "1e300"] {
        let done = mkbc(folder.path(), &format!("plan job.mkb --library lib --cluster free --time-limit={wrong}"));
        assert!(!done.status.success() && !text(&done.stderr).contains("panicked"), "{wrong}: {}", text(&done.stderr));
    }
}
