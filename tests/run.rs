//! Jobs run for real: video, speech and documents through ffmpeg, PocketSphinx and Tesseract; bad media; missing programs;
//! interruption. Providers are FAKES that answer from a script (`tests/run/provider.rs`): no model is asked anything here.

#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "run/provider.rs"]
mod provider;

use mkbc::{Done, Mkbc, have, repository};
use provider::{Act, KEY, Provider, Seen, chat, say};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Programs that the jobs on video need.
const VIDEO: [&str; 4] = ["bash", "ffmpeg", "ffprobe", "pocketsphinx_continuous"];
/// Programs that the jobs on documents need.
const PAGES: [&str; 5] = ["bash", "ffmpeg", "tesseract", "pdftoppm", "pdfinfo"];

/// The media of the examples, made once; `make.sh` makes again only what is out of date.
fn media(file: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| made("media", NAME)).join(file)
}

/// The same with another name in it.
fn renamed(file: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| made("media-renamed", OTHER_NAME)).join(file)
}

/// Who wears the red dress.
const NAME: &str = "Susan";
/// Who wears it in the second video.
const OTHER_NAME: &str = "Rebecca";

fn made(folder: &str, name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let mut make = Command::new("bash");
    make.arg(repository().join("examples/media/make.sh")).arg(&folder).args(["--name", name, "--quiet"]);
    let output = make.output().expect("bash starts");
    assert!(output.status.success(), "make.sh: {}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// A folder with an example in it.
fn example(name: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    for file in [format!("{name}.mkb"), format!("{name}.mkb.lock")] {
        let from = repository().join("examples").join(&file);
        if from.exists() {
            fs::copy(from, mkbc.path(&file)).expect("a copy");
        }
    }
    mkbc
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The answer of a run that must succeed, in lower case.
fn answer(mkbc: &Mkbc, arguments: &[&str]) -> String {
    let done = mkbc.run(&[arguments, &["--quiet", "--folder", "out"]].concat());
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
    assert_eq!(done.out.trim(), mkbc_text(mkbc, "out/result.json").trim(), "what is printed is what is kept");
    nothing_half_written(&mkbc.path("out"));
    done.out.to_lowercase()
}

fn mkbc_text(mkbc: &Mkbc, file: &str) -> String {
    let value: Value = serde_json::from_str(&mkbc.read(file)).expect("JSON");
    value.as_str().expect("a text").to_string()
}

/// All files under a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Whatever JSON a run leaves is whole, and no file is between two states.
fn nothing_half_written(folder: &Path) {
    for file in walk(folder) {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(!name.ends_with(".part") && !name.starts_with(".tmp"), "{} is left", file.display());
        if name.ends_with(".json") {
            let parsed = serde_json::from_slice::<Value>(&fs::read(&file).expect("a file"));
            assert!(parsed.is_ok(), "{} is no JSON", file.display());
        }
    }
}

/// A run that failed as it should: status, a message that names all of `parts`, no result, nothing half-written.
fn failed(mkbc: &Mkbc, done: &Done, parts: &[&str]) {
    assert_eq!(done.code, Some(1), "out: {}\nerr: {}", done.out, done.err);
    assert_eq!(done.out, "", "a failed run has no answer");
    for part in parts {
        assert!(done.err.contains(part), "no `{part}` in: {}", done.err);
    }
    assert!(!done.err.contains("panicked"), "{}", done.err);
    assert!(!mkbc.path("out/result.json").exists(), "a failed run has no result");
    nothing_half_written(&mkbc.path("out"));
}

const RED_DRESS: &str = "What is the name of the person wearing the red dress?";

// ---- real jobs on real media ----

#[test]
fn the_main_job_finds_the_name() {
    if have(&VIDEO) {
        let mkbc = example("road_trip");
        let found = answer(&mkbc, &["run", "road_trip.mkb", "--videos", text(&media("road_trip.mp4"))]);
        assert!(found.contains(&NAME.to_lowercase()), "{found}");
        // What it took is measured, step by step.
        let report: Value = serde_json::from_str(&mkbc.read("out/report.json")).expect("a report");
        let steps = report["steps"].as_array().expect("steps");
        assert!(steps.len() >= 4 && steps.iter().all(|s| s["wall_s"].as_f64().is_some_and(|t| t > 0.0)), "{report:#}");
    }
}

#[test]
fn another_video_gives_another_name() {
    if have(&VIDEO) {
        let mkbc = example("road_trip");
        let found = answer(&mkbc, &["run", "road_trip.mkb", "--videos", text(&renamed("road_trip.mp4"))]);
        assert!(found.contains(&OTHER_NAME.to_lowercase()) && !found.contains(&NAME.to_lowercase()), "{found}");
    }
}

#[test]
fn a_question_about_a_video() {
    if have(&VIDEO) {
        let mkbc = example("video_qa");
        let video = media("road_trip.mp4");
        let found = answer(&mkbc, &["run", "video_qa.mkb", "--question", RED_DRESS, "--videos", text(&video)]);
        assert!(found.contains(&NAME.to_lowercase()), "{found}");
    }
}

#[test]
fn another_video_and_question_give_another_answer() {
    if have(&VIDEO) {
        let mkbc = example("video_qa");
        let (video, question) = (media("kitchen.mp4"), "What is the hot soup served with?");
        let found = answer(&mkbc, &["run", "video_qa.mkb", "--question", question, "--videos", text(&video)]);
        assert!(found.contains("white bread"), "{found}");
        assert!(!found.contains(&NAME.to_lowercase()), "{found}");
    }
}

#[test]
fn a_question_about_a_document() {
    if !have(&PAGES) {
        return;
    }
    for file in ["letter.pdf", "letter.png"] {
        for (question, wanted) in
            [("What is the invoice number?", "2047"), ("What is the telephone number?", "555 0142")]
        {
            let mkbc = example("document_qa");
            let found =
                answer(&mkbc, &["run", "document_qa.mkb", "--question", question, "--document", text(&media(file))]);
            assert!(found.contains(wanted), "{file}, {question}: {found}");
        }
    }
}

#[test]
fn a_plan_that_was_made_is_run_as_it_is() {
    if !have(&PAGES) {
        return;
    }
    let mkbc = example("document_qa");
    let letter = media("letter.png");
    let job = ["document_qa.mkb", "--question", "What is the invoice number?", "--document", text(&letter)];
    let made = mkbc.run(&[&["plan"], &job[..], &["--cluster", "here", "--out", "a.plan.json"]].concat());
    assert_eq!(made.code, Some(0), "{}", made.err);
    let found = answer(&mkbc, &[&["run"], &job[..], &["--plan", "a.plan.json"]].concat());
    assert!(found.contains("2047"), "{found}");
    assert_eq!(mkbc.read("out/plan.json"), mkbc.read("a.plan.json"));
}

// ---- bad media ----

#[test]
fn a_video_without_sound_fails_where_sound_is_needed() {
    if have(&VIDEO) {
        let mkbc = example("road_trip");
        let silent = media("silent.mp4");
        let done = mkbc.run(&["run", "road_trip.mkb", "--videos", text(&silent), "--folder", "out"]);
        failed(&mkbc, &done, &["speech_to_text", "silent.mp4", "has no sound", "out"]);
        // What was done before is kept, and the report says what failed.
        assert!(mkbc.path("out/steps/00-scene_detection/0000/output.json").is_file());
        let report: Value = serde_json::from_str(&mkbc.read("out/report.json")).expect("a report");
        assert_eq!(report["result"]["error"]["site"]["step"], "speech_to_text", "{report:#}");
    }
}

#[test]
fn what_is_no_video_is_refused_before_anything_runs() {
    if !have(&VIDEO) {
        return;
    }
    let mkbc = example("road_trip");
    mkbc.write("empty.mp4", "");
    mkbc.write("text.mp4", "This is no video.\n".repeat(100));
    mkbc.write("noise.mp4", (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>());
    fs::create_dir(mkbc.path("folder.mp4")).expect("a folder");
    symlink("nowhere.mp4", mkbc.path("link.mp4")).expect("a link");
    let pipe = Command::new("mkfifo").arg(mkbc.path("pipe.mp4")).status().expect("mkfifo");
    assert!(pipe.success());
    let cases = [
        ("empty.mp4", "is empty"),
        ("text.mp4", "is no Video that ffprobe can read"),
        ("noise.mp4", "is no Video that ffprobe can read"),
        ("folder.mp4", "is a directory"),
        ("link.mp4", "does not exist"),
        ("pipe.mp4", "is no regular file"),
        ("none.mp4", "does not exist"),
        ("/dev/zero", "is no regular file"),
    ];
    for (file, why) in cases {
        let done = mkbc.run(&["run", "road_trip.mkb", "--videos", file, "--folder", "out"]);
        failed(&mkbc, &done, &["--videos", file.trim_end_matches(".mp4"), why]);
        assert!(!mkbc.path("out").exists(), "{file}: a run folder was made");
    }
    // One bad video among good ones is named.
    let done =
        mkbc.run(&["run", "road_trip.mkb", "--videos", text(&media("kitchen.mp4")), "text.mp4", "--folder", "out"]);
    failed(&mkbc, &done, &["text.mp4"]);
}

#[test]
fn a_video_that_breaks_off_is_an_error() {
    if !have(&VIDEO) {
        return;
    }
    let mkbc = example("road_trip");
    let whole = fs::read(media("road_trip.mp4")).expect("a video");
    mkbc.write("half.mp4", &whole[..whole.len() / 5]);
    let done = mkbc.run(&["run", "road_trip.mkb", "--videos", "half.mp4", "--folder", "out"]);
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!(done.err.contains("breaks off"), "{}", done.err);
    nothing_half_written(&mkbc.path("out"));
}

#[test]
fn a_document_that_is_none_is_refused() {
    if !have(&PAGES) {
        return;
    }
    let mkbc = example("document_qa");
    mkbc.write("broken.pdf", "%PDF-1.7\nand then nothing of the kind\n");
    mkbc.write("text.png", "no picture\n");
    for file in ["broken.pdf", "text.png"] {
        let done = mkbc.run(&["run", "document_qa.mkb", "--question", "Who?", "--document", file, "--folder", "out"]);
        failed(&mkbc, &done, &[file.trim_end_matches(".png")]);
        let _ = fs::remove_dir_all(mkbc.path("out"));
    }
}

// ---- missing programs ----

/// A folder with links to everything on the PATH but some programs.
fn path_without(mkbc: &Mkbc, missing: &[&str]) -> PathBuf {
    let folder = mkbc.path("bin");
    fs::create_dir(&folder).expect("a folder");
    for program in ["ffmpeg", "ffprobe", "pocketsphinx_continuous", "tesseract", "pdftoppm", "pdfinfo", "python3"] {
        let all = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&all).map(|f| f.join(program)).find(|p| p.is_file());
        if let Some(found) = found.filter(|_| !missing.contains(&program)) {
            symlink(found, folder.join(program)).expect("a link");
        }
    }
    folder
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    if !have(&VIDEO) || !have(&PAGES) {
        return;
    }
    let letter = media("letter.png");
    let video = media("silent.mp4");
    let document = ["run", "document_qa.mkb", "--question", "Who?", "--document", text(&letter), "--folder", "out"];
    let road_trip = ["run", "road_trip.mkb", "--videos", text(&video), "--folder", "out"];
    type Words<'a> = &'a [&'a str];
    let cases: [(&str, Words, Words, Words); 4] = [
        ("document_qa", &["tesseract"], &document, &["E0701", "document_text", "`tesseract` is not installed"]),
        ("road_trip", &["ffmpeg"], &road_trip, &["E0701", "scene_detection", "`ffmpeg` is not installed"]),
        (
            "road_trip",
            &["pocketsphinx_continuous"],
            &road_trip,
            &["E0701", "speech_to_text", "`pocketsphinx_continuous` is not installed"],
        ),
        ("road_trip", &["ffprobe"], &road_trip, &["`ffprobe` is not installed", "apt-get install ffmpeg"]),
    ];
    for (job, missing, arguments, parts) in cases {
        let mkbc = example(job);
        let path = path_without(&mkbc, missing);
        let done = mkbc.end(mkbc.command(arguments).env("PATH", path));
        failed(&mkbc, &done, parts);
    }
    // A plan that was made where the program is.
    let mkbc = example("document_qa");
    let made = mkbc.run(&[&["plan"], &document[1..6], &["--cluster", "here", "--out", "a.plan.json"]].concat());
    assert_eq!(made.code, Some(0), "{}", made.err);
    let path = path_without(&mkbc, &["tesseract"]);
    let done = mkbc.end(mkbc.command([&document[..], &["--plan", "a.plan.json"]].concat()).env("PATH", path));
    failed(&mkbc, &done, &["cannot run the plan", "`tesseract` is not installed", "apt-get install tesseract-ocr"]);
}

// ---- a provider that answers from a script ----

/// Runs with the fake provider; the key must show up nowhere.
fn with_provider(mkbc: &Mkbc, url: &str, arguments: &[&str]) -> Done {
    let mut command = mkbc.command([arguments, &["--folder", "out"]].concat());
    let done = mkbc.end(command.env("OPENAI_BASE_URL", url).env("OPENAI_API_KEY", KEY));
    let mut shown = format!("{}{}", done.out, done.err);
    for file in walk(&mkbc.path("")) {
        shown.push_str(&String::from_utf8_lossy(&fs::read(file).unwrap_or_default()));
    }
    // As it is, in base64, in percent escapes.
    for form in ["canary-4d1f8e", "c2stY2FuYXJ5LTRkMWY4ZSsvPQ", "sk%2Dcanary"] {
        assert!(!shown.contains(form), "the key is in what the run shows or leaves");
    }
    done
}

const WRONG_CODE: &str = "def add(a, b):\n    return a - b\n";
const RIGHT_CODE: &str = "def add(a, b):\n    return a + b\n";
/// Tests as the example's `run_tests` wants them: code and tests become one file.
const TESTS: &str =
    "import unittest\n\nclass T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(2, 3), 5)\n";

#[test]
fn code_is_written_until_its_tests_pass() {
    if !have(&["python3"]) {
        return;
    }
    let provider = Provider::start(|_, request| {
        let prompt = request.prompt();
        match () {
            () if prompt.contains("You review") => chat("nothing"),
            // What the tests said of the first attempt came back.
            () if prompt.contains("AssertionError: -1 != 5") => chat(RIGHT_CODE),
            () => chat(WRONG_CODE),
        }
    });
    let mkbc = example("code_generation");
    let job = ["run", "code_generation.mkb", "--request", "Write add(a, b).", "--tests", TESTS];
    let done = with_provider(&mkbc, &provider.url, &[&job[..], &["--quiet"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.out.trim(), RIGHT_CODE.trim());
    let seen = provider.seen();
    let (written, reviewed): (Vec<&Seen>, Vec<&Seen>) = seen.iter().partition(|s| s.prompt().contains("You write"));
    assert_eq!((written.len(), reviewed.len()), (2, 2), "two rounds");
    assert!(seen.iter().all(|s| s.key && s.path == "/v1/chat/completions"));
    // The tests were run, by Python: once in vain, once not.
    let outcome = |n: &str| -> Value {
        let step = walk(&mkbc.path("out"))
            .into_iter()
            .find(|p| text(p).contains("run_tests") && text(p).ends_with(&format!("{n}/output.json")));
        serde_json::from_slice(&fs::read(step.expect("an output")).expect("a file")).expect("JSON")
    };
    assert_eq!(outcome("0000")["passed"], false);
    assert_eq!(outcome("0001")["passed"], true);
    assert!(outcome("0000")["report"].as_str().is_some_and(|r| r.contains("AssertionError")));
}

#[test]
fn a_loop_ends_when_its_rounds_are_used_up() {
    if !have(&["python3"]) {
        return;
    }
    let provider =
        Provider::start(|_, request| chat(if request.prompt().contains("You review") { "wrong" } else { WRONG_CODE }));
    let mkbc = example("code_generation");
    let job = ["run", "code_generation.mkb", "--request", "Write add(a, b).", "--tests", TESTS, "--quiet"];
    let done = with_provider(&mkbc, &provider.url, &job);
    // The last attempt is the answer; the job says no more than `up to 4`.
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.out.trim(), WRONG_CODE.trim());
    assert_eq!(provider.seen().len(), 8, "four rounds of two requests");
}

#[test]
fn a_solution_is_tried_again_until_it_is_judged_correct() {
    let provider = Provider::start(|_, request| {
        let prompt = request.prompt();
        match () {
            () if prompt.contains("You check") && prompt.contains("x = 4") => {
                chat(&json!({"correct": true, "reason": "It is."}).to_string())
            }
            () if prompt.contains("You check") => {
                chat(&json!({"correct": false, "reason": "The sign is wrong."}).to_string())
            }
            () if prompt.contains("The sign is wrong.") => chat("x = 4"),
            () => chat("x = -4"),
        }
    });
    let mkbc = example("math_qa");
    let done = with_provider(&mkbc, &provider.url, &["run", "math_qa.mkb", "--problem", "Solve x + 1 = 5.", "--quiet"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(done.out.trim(), "x = 4");
    let seen = provider.seen();
    assert_eq!(seen.len(), 4, "two rounds of two requests");
    for request in &seen {
        let format = &request.body["response_format"];
        if !request.prompt().contains("You check") {
            assert!(format.is_null(), "a text needs no schema: {format}");
            continue;
        }
        assert_eq!(format["type"], "json_schema");
        assert_eq!(format["json_schema"]["strict"], true);
        let schema = &format["json_schema"]["schema"];
        assert_eq!(schema["properties"]["correct"]["type"], "boolean", "{schema}");
        assert_eq!(schema["properties"]["reason"]["type"], "string", "{schema}");
        assert_eq!(schema["required"], json!(["correct", "reason"]));
        assert_eq!(schema["additionalProperties"], false);
    }
    let report: Value = serde_json::from_str(&mkbc.read("out/report.json")).expect("a report");
    let tokens: u64 = report["steps"].as_array().into_iter().flatten().filter_map(|s| s["tokens_in"].as_u64()).sum();
    assert_eq!(tokens, 44, "eleven for each request: {report:#}");
    // What it cost is what the provider says it used, at the plan's prices.
    let plan: Value = serde_json::from_str(&mkbc.read("out/plan.json")).expect("a plan");
    for (step, measured) in
        plan["steps"].as_array().into_iter().flatten().zip(report["steps"].as_array().into_iter().flatten())
    {
        let price =
            |of: &str| step["engine"]["prices"][of].as_str().and_then(|p| p.parse::<f64>().ok()).expect("a price");
        let used = |of: &str| measured[of].as_f64().expect("tokens");
        let cost = used("tokens_in") * price("input") + used("tokens_out") * price("output");
        let told = measured["cost_usd"].as_f64().expect("a cost");
        assert!(cost > 0.0 && (told - cost).abs() < 1e-12, "{told} for {cost}");
    }
}

#[test]
fn a_verdict_that_is_none_is_an_error() {
    for broken in ["yes", "{\"correct\": \"yes\", \"reason\": \"so\"}", "{\"correct\": true}"] {
        let provider = Provider::start(move |_, request| {
            chat(if request.prompt().contains("You check") { broken } else { "x = 4" })
        });
        let mkbc = example("math_qa");
        let done = with_provider(&mkbc, &provider.url, &["run", "math_qa.mkb", "--problem", "Solve x + 1 = 5."]);
        failed(&mkbc, &done, &["check_solution", "Verdict"]);
    }
}

/// A job of one request; with a number of retries.
fn one_request(retries: u32) -> Mkbc {
    let mkbc = Mkbc::new();
    let retry = if retries > 0 { format!(" retry {retries}") } else { String::new() };
    let job = format!(
        "use std.llm\n\njob short(text: Text) -> Text {{\n  expect text of 100 tok\n\n  summarise(text) using openai_chat(variant: \"gpt-4o-mini\"){retry}\n}}\n"
    );
    mkbc.write("short.mkb", job);
    mkbc
}

#[test]
fn refusals_are_clear_errors() {
    type Answer = fn() -> Act;
    let cases: [(&str, Answer, &[&str]); 9] = [
        (
            "401",
            || say(401, json!({"error": {"message": format!("Incorrect API key provided: {KEY}")}})),
            &["status 401", "OPENAI_API_KEY", "not accepted"],
        ),
        ("403", || say(403, json!({"error": {"message": "not for you"}})), &["status 403", "not for you"]),
        ("404", || say(404, json!({"error": {"message": "no such model"}})), &["no such model", "model's name"]),
        ("429", || say(429, json!({"error": {"message": "slow down"}})), &["status 429", "too many requests", "retr"]),
        ("500", || say(500, json!({"error": {"message": "oops"}})), &["status 500", "the provider failed", "oops"]),
        (
            "HTML",
            || say(200, "<!DOCTYPE html><html><body>Welcome</body></html>"),
            &["a web page instead of JSON", "/v1"],
        ),
        ("truncated", || say(200, "{\"choices\": [{\"message\": {\"content\": \"a"), &["no valid JSON"]),
        ("broken off", || say(200, "{\"choices\": [").cut(), &["broke off"]),
        ("empty", || say(200, json!({"choices": []})), &["no answer"]),
    ];
    for (name, act, parts) in cases {
        let provider = Provider::start(move |_, _| act());
        let mkbc = one_request(0);
        let done = with_provider(&mkbc, &provider.url, &["run", "short.mkb", "--text", "A text."]);
        failed(&mkbc, &done, &[&["summarise", "openai_chat", "127.0.0.1"], parts].concat());
        assert_eq!(provider.seen().len(), 1, "{name}: asked again though the job says nothing of retries");
    }
}

#[test]
fn a_redirect_does_not_take_the_key_elsewhere() {
    let other = Provider::start(|_, _| chat("stolen"));
    let target: &'static str = Box::leak(format!("{}/chat/completions", other.url).into_boxed_str());
    let provider = Provider::start(move |_, _| say(307, "").header("location", target));
    let mkbc = one_request(0);
    let done = with_provider(&mkbc, &provider.url, &["run", "short.mkb", "--text", "A text."]);
    failed(&mkbc, &done, &["redirects"]);
    assert!(other.seen().is_empty(), "the redirect was followed");
}

#[test]
fn no_server_is_a_clear_error() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mkbc = one_request(0);
    let done = with_provider(&mkbc, &format!("http://{free}/v1"), &["run", "short.mkb", "--text", "A text."]);
    failed(&mkbc, &done, &["summarise", "cannot be reached", "is the server running?"]);
}

#[test]
fn no_key_and_no_address_leave_nothing_to_run() {
    let mkbc = one_request(0);
    let done = mkbc.run(&["run", "short.mkb", "--text", "A text.", "--folder", "out"]);
    failed(&mkbc, &done, &["`openai_chat`: `OPENAI_API_KEY` is not set"]);
    assert!(!mkbc.path("out").exists());
}

#[test]
fn what_may_pass_is_tried_again_as_often_as_the_job_says() {
    let busy = |n: usize, _: &Seen| match n {
        0 => say(429, json!({"error": {"message": "slow down"}})).header("retry-after", "0"),
        1 => say(503, "busy"),
        _ => chat("A short text."),
    };
    let provider = Provider::start(busy);
    let mkbc = one_request(2);
    let done = with_provider(&mkbc, &provider.url, &["run", "short.mkb", "--text", "A text.", "--quiet"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "A short text."), "{}", done.err);
    assert_eq!(provider.seen().len(), 3);
    // To come again when the provider says so is no retry; after that, the job allows none.
    let provider = Provider::start(busy);
    let mkbc = one_request(0);
    let done = with_provider(&mkbc, &provider.url, &["run", "short.mkb", "--text", "A text."]);
    failed(&mkbc, &done, &["status 503", "attempt 2"]);
    // A key that is wrong stays wrong.
    let provider = Provider::start(|_, _| say(401, ""));
    let mkbc = one_request(2);
    failed(&mkbc, &with_provider(&mkbc, &provider.url, &["run", "short.mkb", "--text", "A text."]), &["status 401"]);
    assert_eq!(provider.seen().len(), 1);
}

// ---- stopping ----

/// Processes that have a path on their command line or as their working folder.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.canonicalize().expect("the folder");
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").expect("Linux").flatten() {
        let here = fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder) && cwd != folder);
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if here && !line.is_empty() {
            found.push(line);
        }
    }
    found
}

/// Waits until something holds, however slow the machine is; what never comes hangs the test, and `goes_on` says that it cannot come.
fn wait_for(what: &str, mut goes_on: impl FnMut() -> bool, holds: impl Fn() -> bool) {
    while !holds() {
        assert!(goes_on(), "{what}: it cannot come any more");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A run whose speech recognition is under way.
fn listening(mkbc: &Mkbc) -> Child {
    let video = media("road_trip.mp4");
    let job = ["run", "road_trip.mkb", "--videos", text(&video), "--folder", "out", "--grace", "1"];
    let mut command = mkbc.command(job);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let listens = || processes_in(&mkbc.path("")).iter().any(|line| line.contains("pocketsphinx"));
    wait_for("speech recognition starts", || child.try_wait().expect("a status").is_none(), listens);
    child
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", child.id())).status().expect("sh");
    assert!(sent.success());
}

#[test]
fn ctrl_c_stops_a_run_and_everything_it_started() {
    if !have(&VIDEO) {
        return;
    }
    let mkbc = example("road_trip");
    let child = listening(&mkbc);
    signal(&child, "INT");
    let output = child.wait_with_output().expect("it ends");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains("stopped") && error.contains("kept"), "{error}");
    let heard = "stopping: nothing more is begun, and what is under way has 1 s to end; Ctrl-C again stops at once";
    assert!(error.contains(heard), "{error}");
    assert!(output.stdout.is_empty());
    wait_for("its children end", || true, || processes_in(&mkbc.path("")).is_empty());
    nothing_half_written(&mkbc.path("out"));
    assert!(mkbc.path("out/steps/00-scene_detection/0000/output.json").is_file(), "finished steps are kept");
    assert!(!mkbc.path("out/result.json").exists());
    let listened =
        walk(&mkbc.path("out")).into_iter().any(|p| text(&p).contains("speech_to_text") && p.ends_with("output.json"));
    assert!(!listened, "what was under way was not waited for");
    let report: Value = serde_json::from_str(&mkbc.read("out/report.json")).expect("a report");
    assert_eq!(report["result"]["error"]["fault"]["kind"], "cancelled", "{report:#}");
}

#[test]
fn a_run_that_only_waits_for_a_provider_ends_when_it_is_told_to() {
    let mkbc = one_request(2);
    let asked = mkbc.path("asked");
    let provider = Provider::start(move |_, _| {
        fs::write(&asked, "").expect("a file");
        say(429, json!({"error": {"message": "slow down"}})).header("retry-after", "60")
    });
    let mut command = mkbc.command(["run", "short.mkb", "--text", "A text.", "--quiet", "--grace", "600"]);
    command.env("OPENAI_BASE_URL", &provider.url).env("OPENAI_API_KEY", KEY);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    wait_for("a request", || child.try_wait().expect("a status").is_none(), || mkbc.path("asked").exists());
    signal(&child, "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    assert_eq!(provider.seen().len(), 1, "it did not wait to ask again");
}

#[test]
fn children_die_with_a_run_that_is_killed() {
    if have(&VIDEO) {
        let mkbc = example("road_trip");
        let mut child = listening(&mkbc);
        signal(&child, "KILL");
        child.wait().expect("it ends");
        wait_for("its children end", || true, || processes_in(&mkbc.path("")).is_empty());
    }
}

#[test]
fn a_medium_of_another_kind_is_refused() {
    if have(&VIDEO) {
        let refused = |job: &str, input: &str, file: &str, why: &str| {
            let mkbc = example(job);
            let file = media(file);
            let done = mkbc.run(&["run", &format!("{job}.mkb"), input, text(&file), "--question", "Who?"]);
            assert!(done.code == Some(1) && done.err.contains(why), "{}", done.err);
        };
        refused("video_qa", "--videos", "letter.pdf", "is a picture or a document, and no video");
        refused("document_qa", "--document", "road_trip.mp4", "is neither a PDF nor a picture of a page");
    }
}

#[test]
fn an_answer_is_printed_while_it_is_written() {
    let event = |w: &&str| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": w}}]}));
    let broken: String =
        ["Something ", "that breaks off, and is long enough ", "to be seen before it does"].iter().map(event).collect();
    // The key, in pieces, in the middle of the answer: neither the pieces nor their sum is shown.
    let (head, tail) = KEY.split_at(7);
    let whole: String =
        ["First, ", "the \u{1b}[31mkey is ", head, tail, ". ", "Then ", "more."].iter().map(event).collect();
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let whole = format!("{whole}data: {end}\n\ndata: [DONE]\n\n");
    let provider = Provider::start(move |n, _| match n {
        0 => say(200, &broken).header("content-type", "text/event-stream").cut(),
        _ => say(200, &whole).header("content-type", "text/event-stream"),
    });
    let mkbc = one_request(1);
    let done = with_provider(&mkbc, &provider.url, &["run", "short.mkb", "--text", "A text.", "--stream", "--quiet"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(provider.seen().len(), 2);
    let (first, second) = done.out.split_once('\n').expect("two attempts");
    assert!(first.starts_with("Something that breaks off"), "{}", done.out);
    assert_eq!(second, "First, the [31mkey is [key]. Then more.\n");
    assert!(done.err.contains("the answer begins anew"), "{}", done.err);
}

#[test]
fn what_may_be_absent_has_something_that_stands_in() {
    let mkbc = Mkbc::new();
    mkbc.write(
        "job.mkb",
        "job greeted(name: Text?, kind: Text?) -> Text {\n  \"Hello \" + (name or kind or \"nobody\")\n}\n",
    );
    let said = |more: &[&str]| {
        let done = mkbc.run(&[&["run", "job.mkb", "--quiet"], more].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
        done.out.trim().to_string()
    };
    assert_eq!(said(&[]), "Hello nobody");
    assert_eq!(said(&["--kind", "cat"]), "Hello cat");
    assert_eq!(said(&["--kind", "cat", "--name", "Ada"]), "Hello Ada");
}
