//! Tools that run on any machine, by the real program: retrieval, texts, PDFs, scenes by OpenCV, the browser. Where a tool is missing
//! a test says so and passes, but not in CI.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Done, Mkbc, have, repository};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The offline tools' Python: the commands under test have a home of their own.
fn python() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let own = cache.unwrap_or_else(home).join("mkbc/tools/bin/python");
    std::env::var_os("MKBC_PYTHON").map_or(own, PathBuf::from)
}

/// Whether it is installed; in CI it must be.
fn have_python() -> bool {
    let there = python().is_file();
    if !there {
        assert!(std::env::var_os("MKBC_REQUIRE_TOOLS").is_none(), "the offline tools' Python is not installed");
        eprintln!("skipped: the offline tools' Python is not installed (.ci/setup tools)");
    }
    there
}

/// What came of running a job.
fn ran(job: &str, arguments: &[&str], env: &[(&str, &str)]) -> (Mkbc, Done) {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", job);
    let mut command = mkbc.command([&["run", "job.mkb", "--quiet", "--folder", "out"], arguments].concat());
    command.env("MKBC_PYTHON", python()).envs(env.iter().copied());
    let done = mkbc.end(&mut command);
    (mkbc, done)
}

/// The answer of a job that must succeed.
fn answer(job: &str, arguments: &[&str], env: &[(&str, &str)]) -> Value {
    let (mkbc, done) = ran(job, arguments, env);
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
    serde_json::from_str(&mkbc.read("out/result.json")).expect("JSON")
}

/// What a job that must fail says.
fn refusal(job: &str, arguments: &[&str], env: &[(&str, &str)]) -> String {
    let (_, done) = ran(job, arguments, env);
    assert_eq!(done.code, Some(1), "{arguments:?}: {}", done.out);
    done.err
}

const PAGES: [&str; 3] =
    ["The bakery sells bread. It was founded by Clara.", "On Sunday the shop closes at noon.", "The harbour is deep."];

#[test]
fn words_and_meaning_find_passages() {
    let example = std::fs::read_to_string(repository().join("examples/retrieval_qa.mkb")).expect("the example");
    let pages: Vec<&str> = ["--pages"].into_iter().chain(PAGES).collect();
    let said = answer(&example, &[&["--question", "When does the shop close?"], &pages[..]].concat(), &[]);
    assert!(
        said.as_str().is_some_and(|s| s.starts_with("\"On Sunday the shop closes at noon.\" (passage 2, ")),
        "{said}"
    );
    if !have_python() {
        return;
    }
    // No word of the question stands in the passage.
    let vectors = "use std.retrieval\n\njob vectors(question: Text, pages: List[Text]) -> List[Passage] {\n  using minilm\n\
                   \n  let passages = split_passages(pages)\n  let texts = for p in passages { p.text }\n  \
                   let index = index_passages(passages, embed(texts))\n  search_index(embed([question]), index)\n}\n";
    let asked = ["--question", "Who started the company that makes loaves?"];
    let found = answer(vectors, &[&asked[..], &pages[..]].concat(), &[]);
    assert_eq!(found[0]["source"], "1", "{found}");
    let whole = "use std.retrieval\n\njob whole(question: Text, pages: List[Text]) -> List[Passage] {\n  using minilm_search(top: 3)\n\
                 \n  search(question, split_passages(pages))\n}\n";
    let by_search = answer(whole, &[&asked[..], &pages[..]].concat(), &[]);
    assert_eq!(by_search[0]["text"], found[0]["text"]);
    // Two ways to one cosine.
    let score = |v: &Value| v[0]["score"].as_f64().expect("a score");
    assert!((score(&by_search) - score(&found)).abs() < 1e-4, "{by_search} {found}");
}

#[test]
fn texts_are_classified_extracted_and_translated() {
    let fields = "use std.text\n\njob fields(text: Text, schema: Json) -> Json { extract(text, schema) }\n";
    let schema = r#"{"properties": {"total": {"type": "number"}, "due": {"type": "string", "format": "date"}, "vat": {"type": "number"}}}"#;
    let found = answer(fields, &["--text", "Total: 12.50 euros, due 3 May 2026", "--schema", schema], &[]);
    assert_eq!(found, serde_json::json!({"total": 12.5, "due": "2026-05-03", "vat": null}));
    let value = "use std.arithmetic\n\njob value(x: Text) -> Text { calculate(x) }\n";
    assert_eq!(answer(value, &["--x", "2^64 - 1"], &[]), "18446744073709551615");
    if have(&["apertium"]) {
        let spanish = "use std.text\n\njob spanish(text: Text) -> Text { translate(text, eng, spa) }\n";
        assert_eq!(answer(spanish, &["--text", "The house is big."], &[]), "La casa es grande.");
        let thai = "use std.text\n\njob polish(text: Text) -> Text { translate(text, eng, pol) }\n";
        assert!(refusal(thai, &["--text", "The house is big."], &[]).contains("Mode eng-pol does not exist"));
    }
    if have_python() {
        let labels = "use std.text\n\njob label(text: Text) -> Classification {\n  classify(text, [\"a complaint about delivery\", \"praise for a product\"])\n}\n";
        assert_eq!(answer(labels, &["--text", "My parcel never came."], &[])["label"], "a complaint about delivery");
    }
}

fn media(file: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("media-tools");
    let made =
        Command::new("bash").arg(repository().join("examples/media/make.sh")).args([&folder]).arg("--quiet").status();
    assert!(made.expect("bash starts").success());
    folder.join(file)
}

#[test]
fn documents_and_videos_by_packages_with_their_weights() {
    if !have(&["bash", "ffmpeg", "ffprobe", "pdftoppm", "pdftotext", "pdfinfo"]) {
        return;
    }
    let letter = media("letter.pdf");
    let letter = letter.to_str().expect("UTF-8");
    // A scan has no text, and is not taken for an empty document.
    let text = "use std.document\n\njob text(document: Document) -> List[Text] { pdf_text(document) }\n";
    assert!(refusal(text, &["--document", letter], &[]).contains("the PDF holds no text"));
    if !have_python() {
        return;
    }
    let ocr = "use std.document\n\njob ocr(document: Document) -> List[Text] {\n  using rapidocr_pages\n\n  document_text(document)\n}\n";
    let read = answer(ocr, &["--document", letter], &[]);
    assert!(read[0].as_str().is_some_and(|t| t.contains("Invoice number: 2047")), "{read}");
    let scenes = "use std.video\n\njob scenes(video: Video) -> Int {\n  using opencv_scenes(frames: 1)\n\n  let (frames, _) = scene_detection(video)\n  frames.count\n}\n";
    // Five scenes, a frame of each.
    let video = media("road_trip.mp4");
    assert_eq!(answer(scenes, &["--video", video.to_str().expect("UTF-8")], &[]), 5);
    let silent = media("silent.mp4");
    assert_eq!(answer(scenes, &["--video", silent.to_str().expect("UTF-8")], &[]), 2);
}

// ---- the browser ----

const OPEN: &str = "use std.web\n\njob page(url: Text) -> Page { open_page(url) }\n";
const CLICK: &str = "use std.web\n\njob page(url: Text, target: Text) -> Page {\n  let first = open_page(url)\n  click(first, target)\n}\n";

/// A folder of pages, what allows it, and the address of one page.
fn site(pages: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in pages {
        std::fs::write(folder.path().join(name), text).expect("a page");
    }
    let allow = folder.path().to_str().expect("UTF-8").to_owned();
    (folder, allow)
}

fn have_browser() -> bool {
    have(&["chromium"])
}

#[test]
fn a_browser_opens_reads_clicks_and_takes_pictures() {
    if !have_browser() {
        return;
    }
    let pages = repository().join("examples/media/site");
    let (allow, url) = (pages.to_str().expect("UTF-8"), format!("file://{}/index.html", pages.display()));
    let env = [("MKBC_WEB_ALLOW", allow)];
    let example = std::fs::read_to_string(repository().join("examples/web_qa.mkb")).expect("the example");
    let asked = ["--question", "When does the shop open on weekdays?", "--url", &url, "--link", "Opening hours"];
    let said = answer(&example, &asked, &env);
    assert!(said.as_str().is_some_and(|s| s.contains("half past six")), "{said}");
    // A button whose script changes the page.
    let changed = answer(CLICK, &["--url", &url, "--target", "bread of the day"], &env);
    assert!(changed["text"].as_str().is_some_and(|t| t.contains("rye bread")), "{changed}");
    assert_eq!(changed["clicks"], serde_json::json!(["bread of the day"]));
    let nothing = refusal(CLICK, &["--url", &url, "--target", "Imprint"], &env);
    assert!(nothing.contains("bears the text `Imprint`") && nothing.contains("opening hours"), "{nothing}");
    let picture = "use std.web\n\njob picture(url: Text) -> Int {\n  let page = open_page(url)\n  let shot = screenshot(page)\n  shot.pixels\n}\n";
    assert_eq!(answer(picture, &["--url", &url], &env), 1024 * 768);
}

#[test]
fn a_page_reaches_nothing_but_its_own() {
    if !have_browser() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    listener.set_nonblocking(true).expect("a socket");
    let hostile = format!(
        "<title>x</title><p id=p>start</p><img src=http://127.0.0.1:{port}/i><iframe src=file:///etc/hostname></iframe>\
         <script>fetch('http://127.0.0.1:{port}/f').catch(e => document.getElementById('p').textContent = 'kept in');\
         new WebSocket('ws://127.0.0.1:{port}/w'); alert('x'); window.open('http://127.0.0.1:{port}/o');\
         navigator.sendBeacon('http://127.0.0.1:{port}/b', 'x')</script>"
    );
    let away = format!("<a href=http://127.0.0.1:{port}/>away</a>");
    let (folder, allow) = site(&[("hostile.html", &hostile), ("away.html", &away)]);
    let env = [("MKBC_WEB_ALLOW", allow.as_str())];
    let at = |page: &str| format!("file://{}/{page}", folder.path().display());
    let page = answer(OPEN, &["--url", &at("hostile.html")], &env);
    assert!(page["text"].as_str().is_some_and(|t| t.contains("kept in")), "{page}");
    let led = refusal(CLICK, &["--url", &at("away.html"), "--target", "away"], &env);
    assert!(led.contains("leads to another place"), "{led}");
    assert!(listener.accept().is_err(), "the page reached a machine that is not its own");
    // Not allowed at all: a file, an own machine.
    assert!(
        refusal(OPEN, &["--url", &at("away.html")], &[]).contains("files are opened only in folders that you allow")
    );
    let own = format!("http://127.0.0.1:{port}/");
    assert!(refusal(OPEN, &["--url", &own], &[]).contains("private address"));
}

#[test]
fn a_page_that_never_ends_or_is_huge_is_bounded() {
    if !have_browser() {
        return;
    }
    let endless = "<p>there</p><script>setInterval(() => document.body.append('x'.repeat(100)), 5)</script>";
    let huge = "<script>document.write('<p>' + 'word '.repeat(1000000))</script>";
    let (folder, allow) = site(&[("endless.html", endless), ("huge.html", huge)]);
    let env = [("MKBC_WEB_ALLOW", allow.as_str())];
    for page in ["endless.html", "huge.html"] {
        let read = answer(OPEN, &["--url", &format!("file://{}/{page}", folder.path().display())], &env);
        assert!(read["text"].as_str().is_some_and(|t| !t.is_empty() && t.len() <= 200_000), "{page}");
    }
}

/// The Python that has PyTorch and transformers; in CI it must be there.
fn vision_python() -> Option<PathBuf> {
    let place = python();
    let vision = place.ancestors().nth(3).expect("…/mkbc/tools/bin/python").join("vision/bin/python");
    let there = vision.is_file();
    if !there {
        assert!(std::env::var_os("MKBC_REQUIRE_TOOLS").is_none(), "the tests' PyTorch is not installed");
        eprintln!("skipped: the tests' PyTorch is not installed (.ci/setup all)");
    }
    there.then_some(vision)
}

/// Weights of no worth: that the models run, are given words and frames, and answer in the task's type is what is seen here.
#[test]
fn zero_shot_models_run_with_weights_from_a_folder() {
    let Some(vision) = vision_python().filter(|_| have(&["ffmpeg"])) else { return };
    let weights = tempfile::tempdir().expect("a folder");
    let script = repository().join("tests/tools/random_weights.py");
    let made = Command::new(&vision).arg(script).arg(weights.path()).arg("tiny").output().expect("Python");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let video = weights.path().join("scenes.mp4");
    let source = "color=c=red:s=128x96:d=2[a];color=c=blue:s=128x96:d=2[b];[a][b]concat=n=2";
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", source])
        .arg(&video)
        .status();
    assert!(made.expect("ffmpeg").success());
    let (video, folder) = (video.display().to_string(), weights.path().display().to_string());
    let python = vision.display().to_string();
    let job = |model: &str| {
        format!(
            "use std.video\nuse std.vision\n\njob seen(video: Video) -> List[Observation] {{\n  using {model}\n  using even_frames(frames: 5)\n\n  \
             let (frames, _audio) = scene_detection(video)\n  object_detection(frames, looking_for: \"a red wall, a boat\")\n}}\n"
        )
    };
    let mut answered = 0;
    for model in ["clip(variant: vit_b_32)", "omdet(variant: omdet_turbo_tiny)", "grounding_dino"] {
        let env = [("MKBC_PYTHON", python.as_str()), ("MKBC_WEIGHTS", folder.as_str())];
        let found = answer(&job(model), &["--video", &video], &env);
        let found = found.as_array().expect("observations");
        assert!(
            found.iter().all(|o| o["score"].as_f64().is_some_and(|s| (0.0..=1.0).contains(&s))),
            "{model}: {found:?}"
        );
        answered += usize::from(!found.is_empty());
    }
    assert!(answered > 0, "no model saw anything at all");
    // Without weights, what to do is said.
    let env = [("MKBC_PYTHON", python.as_str()), ("HF_HOME", "/nonexistent")];
    let said = refusal(&job("clip(variant: vit_b_16)"), &["--video", &video], &env);
    assert!(said.contains("huggingface-cli download openai/clip-vit-base-patch16"), "{said}");
}

/// Goals in words that the library does not have: what is near in meaning is found where words find less.
#[test]
fn meaning_finds_goals_in_other_words() {
    if !have_python() {
        return;
    }
    let corpus = repository().join("tests/expand/corpus").display().to_string();
    let right = |more: &[&str]| -> (f64, f64) {
        let mkbc = Mkbc::new();
        let arguments = [&["bench", "expand", &corpus, "--reworded"][..], more].concat();
        let done = mkbc.end(mkbc.command(arguments).env("MKBC_PYTHON", python()));
        assert_eq!(done.code, Some(0), "{}", done.err);
        let half = |what: &str| -> f64 {
            let line = done.out.lines().find(|line| line.trim_start().starts_with(what)).expect("a half");
            line.split_whitespace().find_map(|word| word.parse().ok()).expect("a number")
        };
        (half("tuned on"), half("held out"))
    };
    let (by_words, by_meaning) = (right(&[]), right(&["--meaning"]));
    assert!(by_meaning.0 > by_words.0 && by_meaning.1 > by_words.1, "{by_words:?} by words, {by_meaning:?} by meaning");
}
