//! What a machine does to a run: files that grow no further, clocks that jump, too few descriptors, children that are killed, other users.

use super::*;
use std::process::Command;

/// The program under limits of the shell, which are those of a system that runs out.
fn limited(mkbc: &Mkbc, limits: &str, arguments: &[String]) -> Done {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}; exec \"$0\" \"$@\""), mkbc::BINARY]).args(arguments);
    let usual = mkbc.command(arguments.iter().cloned());
    command.current_dir(mkbc.path("")).env_clear().stdin(Stdio::null());
    command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    mkbc.end(&mut command)
}

fn untouched(items: usize) -> Value {
    let mkbc = counting("0");
    let done = mkbc.run(&arguments(items).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(done.code, Some(0), "{}", done.err);
    answer_of(&done)
}

/// The run failed and said why; without the limit it goes on to the answer, and few calls are made twice.
fn goes_on(mkbc: &Mkbc, failed: &Done, why: &[&str], items: usize) {
    assert_eq!(failed.code, Some(1), "{} {}", failed.out, failed.err);
    assert!(why.iter().any(|why| failed.err.contains(why)), "{}", failed.err);
    let begun = counted(mkbc).len();
    assert!(begun < calls(items), "it came to its end");
    let resumed = mkbc.run(&["resume", "--json"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(answer_of(&resumed), untouched(items));
    assert_eq!(mkbc.run(&["journal", "verify"]).code, Some(0));
    let counts = counted(mkbc);
    assert_eq!(counts.len(), calls(items));
    let twice = counts.values().filter(|(begins, _)| *begins > 1).count();
    assert!(twice <= 8 && counts.values().all(|(begins, _)| *begins <= 2), "{twice} calls were made again");
}

#[test]
fn what_cannot_be_written_does_not_count_and_the_run_goes_on_later() {
    let mkbc = counting("0");
    // A file that may grow no further, like a disk that is full, from somewhere in the run on.
    let failed = limited(&mkbc, "trap '' XFSZ; ulimit -f 500", &arguments(40));
    goes_on(&mkbc, &failed, &["full", "write", "disk I/O", "too large"], 40);
}

#[test]
fn too_few_descriptors_are_an_error_and_no_hang() {
    let mkbc = counting("0");
    for limit in [14, 20, 28] {
        let done = limited(&mkbc, &format!("ulimit -n {limit}"), &arguments(3));
        assert!(matches!(done.code, Some(0 | 1)), "{limit}: {:?} {}", done.code, done.err);
        assert!(done.code == Some(0) || done.err.contains("error"), "{limit}: {}", done.err);
        assert!(!done.err.contains("panicked"), "{}", done.err);
    }
    let done = mkbc.run(&arguments(3).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(done.code, Some(0), "{}", done.err);
}

/// A library that makes the clock of the day jump a day back and forth each time that it is read.
const JUMPING: &str = "#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static int reads;
int clock_gettime(clockid_t id, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, \"clock_gettime\");
  int result = real(id, t);
  if (id == CLOCK_REALTIME) t->tv_sec += __sync_fetch_and_add(&reads, 1) % 2 ? -86400 : 86400;
  return result;
}
";

#[test]
fn a_clock_that_jumps_changes_nothing_but_dates() {
    let mkbc = counting("0.01");
    mkbc.write("jumping.c", JUMPING);
    let mut compiler = Command::new("cc");
    let (library, source) = (mkbc.path("jumping.so"), mkbc.path("jumping.c"));
    compiler.args(["-shared", "-fPIC", "-o"]).arg(library).arg(source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler").success());
    let jumping = |arguments: &[String]| {
        mkbc.end(mkbc.command(arguments.iter().cloned()).env("LD_PRELOAD", mkbc.path("jumping.so")))
    };
    let done = jumping(&arguments(4));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(answer_of(&done), untouched(4));
    let report: Value = serde_json::from_str(&done.out).expect("JSON");
    let seconds = |value: &Value| value.as_f64().is_none_or(|s| (0.0..3600.0).contains(&s));
    assert!(seconds(&report["wall_s"]), "{}", report["wall_s"]);
    for step in report["steps"].as_array().into_iter().flatten() {
        assert!(["wall_s", "busy_s", "queue_s", "from_s", "to_s"].iter().all(|name| seconds(&step[*name])), "{step:#}");
    }
    let times: Vec<f64> = records(&mkbc, 1).iter().map(Record::t).collect();
    assert!(times.iter().all(|t| (0.0..3600.0).contains(t)), "{times:?}");
    let listed = jumping(&["runs".to_owned()]);
    assert!(listed.code == Some(0) && listed.out.contains("done"), "{} {}", listed.out, listed.err);
    assert_eq!(mkbc.run(&["journal", "verify"]).code, Some(0));
}

#[test]
fn a_child_that_is_killed_is_called_again_and_leaves_nobody() {
    let mkbc = counting("0");
    // The first of all calls waits to be killed, with a child of its own.
    mkbc.write(
        "counter.sh",
        COUNTER
            .replace("sleep $3", "mkdir \"$1.first\" 2>/dev/null && { sleep 300 & echo $! $$ > \"$1.pids\"; wait; }"),
    );
    let job = mkbc.read("job.mkb");
    let again = |job: String, call: &str| job.replace(call, &format!("{call} retry 2"));
    mkbc.write("job.mkb", again(again(job, "let a = count(x)"), "let next = count(t)"));
    let child = spawn(&mkbc, &arguments(1));
    wait_for("its pids", || mkbc.path("count.txt.pids").exists() && mkbc.read("count.txt.pids").contains('\n'));
    let pids: Vec<String> = mkbc.read("count.txt.pids").split_whitespace().map(str::to_owned).collect();
    assert!(Command::new("kill").args(["-9", &pids[1]]).status().expect("kill").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let alive = |pid: &String| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    wait_for("the orphan's end", || !alive(&pids[0]));
}

#[test]
fn what_does_not_wait_for_a_failure_can_come_to_its_end() {
    let mkbc = counting("0");
    mkbc.write("counter.sh", COUNTER.replace("sleep $3", "[ \"$2\" = x1 ] && { echo poison >&2; exit 3; }"));
    let mut words = arguments(5);
    words.insert(2, "--keep-going".to_owned());
    let failed = mkbc.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(failed.code, Some(1), "{}", failed.out);
    assert!(failed.err.contains("poison"), "{}", failed.err);
    // All but the three calls that wait for one another behind that item.
    assert_eq!(Replay::of(&records(&mkbc, 1)).done.len(), calls(5) - 3);
    mkbc.write("counter.sh", COUNTER);
    let resumed = mkbc.run(&["resume", "--json"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(answer_of(&resumed), untouched(5));
    assert_eq!(counted(&mkbc).values().filter(|(begins, _)| *begins > 1).count(), 1, "only what failed ran twice");
}

#[test]
fn a_pinned_program_is_run_and_no_other() {
    let mkbc = counting("0");
    let plan =
        ["plan", "job.mkb", "--library", "lib", "--cluster", "here", "--pin", "--out", "plan.json", "--xs", "x0"];
    let done = mkbc.run(&plan);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let text: Value = serde_json::from_str(&mkbc.read("plan.json")).expect("JSON");
    let pinned: Vec<&String> = text["programs"].as_object().expect("pins").keys().collect();
    assert!(pinned.iter().any(|p| p.ends_with("counter.sh")) && pinned.iter().any(|p| p.ends_with("sh")), "{pinned:?}");
    let run = ["run", "job.mkb", "--library", "lib", "--plan", "plan.json", "--json", "--xs", "x0"];
    assert_eq!(mkbc.run(&run).code, Some(0));
    let before = counted(&mkbc).len();
    mkbc.write("counter.sh", format!("{COUNTER}# one more line\n"));
    let refused = mkbc.run(&run);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(refused.err.contains("counter.sh` is not the program that the plan pins"), "{}", refused.err);
    assert_eq!(counted(&mkbc).len(), before, "nothing was run");
}

#[test]
fn no_other_user_reads_what_a_run_leaves() {
    use std::os::unix::fs::PermissionsExt;
    let mkbc = counting("0");
    let done = mkbc.run(&arguments(2).iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let files = walk(&project(&mkbc));
    assert!(files.len() > 20);
    for file in &files {
        let mode = file.symlink_metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
    // And really not, where we may become somebody else.
    fs::set_permissions(mkbc.path(""), fs::Permissions::from_mode(0o755)).expect("opened");
    let nobody = |file: &Path| {
        let program = ["--reuid=65534", "--regid=65534", "--clear-groups", "cat"];
        Command::new("setpriv").args(program).arg(file).output()
    };
    if let Ok(seen) = nobody(&mkbc.path("job.mkb"))
        && seen.status.success()
    {
        for file in &files {
            let seen = nobody(file).expect("setpriv");
            assert!(!seen.status.success() && seen.stdout.is_empty(), "{}", file.display());
        }
    }
}

#[test]
fn the_page_of_a_run_holds_texts_and_no_markup_of_others() {
    let mkbc = counting("0");
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>";
    let words = ["run", "job.mkb", "--library", "lib", "--report", "run.html", "--xs", hostile];
    let done = mkbc.run(&words);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let page = mkbc.read("run.html");
    assert!(page.contains("&lt;script&gt;alert(1)"), "the text is shown");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("onerror=alert(2)>"));
    // Nothing but its own sheet may be loaded or run, should anything slip through.
    assert!(
        page.contains("Content-Security-Policy\" content=\"default-src &#39;none&#39;; style-src &#39;sha256-"),
        "{page}"
    );
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org/2000/svg").count()
    );
    for part in [
        "Run 1, begun ",
        "id=\"flow\"",
        "is-done",
        "class=\"timeline\"",
        "as planned",
        "Whole run",
        "id=\"step-0\"",
        "<h3>Input</h3>",
        "<h3>Output</h3>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("≈") || page.contains("by the plan"), "what a sign means is said where it stands");
}
