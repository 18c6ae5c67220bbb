//! `mkbc ask`: a question and files on the command line, by the real program, on media that are made for it (examples/media/make.sh).

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Mkbc, have, repository};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const VIDEO: [&str; 4] = ["bash", "ffmpeg", "ffprobe", "pocketsphinx_continuous"];
const QUESTION: &str = "What is the name of the person wearing the red dress?";

fn road_trip() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("media");
        let make =
            Command::new("bash").arg(repository().join("examples/media/make.sh")).arg(&folder).arg("--quiet").output();
        let output = make.expect("bash starts");
        assert!(output.status.success(), "make.sh: {}", String::from_utf8_lossy(&output.stderr));
        folder
    });
    made.join("road_trip.mp4")
}

#[test]
fn a_question_about_a_video_is_answered_after_a_yes() {
    if !have(&VIDEO) {
        return;
    }
    let mkbc = Mkbc::new();
    let video = road_trip();
    let video = video.to_str().expect("UTF-8");
    let done = mkbc.run(&["ask", QUESTION, video, "--cost", "2usd", "--yes", "--save", "dress.mkb"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    for part in [
        "job asked(video: Video) -> Text {",
        "cost <= 2 usd",
        "scene_detection(video)",
        "plan for `asked`",
        "susan is the woman in the red dress",
    ] {
        assert!(done.out.contains(part), "no {part} in {}", done.out);
    }
    // The job is a job like any other.
    assert_eq!(mkbc.run(&["expand", "dress.mkb", "--locked"]).code, Some(0));
    assert!(mkbc.path("dress.plan.json").exists());
    let again = mkbc.run(&["ask", QUESTION, video, "--yes", "--save", "dress.mkb"]);
    assert_eq!(again.code, Some(2), "what is there stays");
}

#[test]
fn without_a_yes_nothing_is_run_and_nothing_is_lost() {
    if !have(&VIDEO) {
        return;
    }
    let mkbc = Mkbc::new();
    let video = road_trip();
    let done = mkbc.run(&["ask", QUESTION, video.to_str().expect("UTF-8")]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.err.contains("there is no terminal to ask on") && done.err.contains("nothing was run"),
        "{}",
        done.err
    );
    assert!(done.out.contains("plan for `asked`"), "{}", done.out);
    for file in ["1.mkb", "1.mkb.lock", "1.plan.json"] {
        assert!(mkbc.path(".mkbc/asked").join(file).exists(), "no {file}");
    }
    assert!(!mkbc.path(".mkbc/runs").exists(), "nothing was run");
    // What it says to do runs it.
    let help = done
        .err
        .lines()
        .find_map(|l| l.split_once("`mkbc "))
        .map(|(_, rest)| rest.split('`').next().unwrap_or_default());
    let words: Vec<&str> = help.expect("a command").split(' ').collect();
    let done = mkbc.run(&[words.as_slice(), &["--quiet"]].concat());
    assert_eq!(done.code, Some(0), "{words:?} {}", done.err);
    assert!(done.out.contains("susan"), "{}", done.out);
}

#[test]
fn what_cannot_be_asked_is_said_before_anything_is_done() {
    let mkbc = Mkbc::new();
    mkbc.write("bytes.bin", [0_u8, 1, 2, 3]);
    let cases: [(&[&str], i32, &str); 7] = [
        (&["Who?", "missing.mp4"], 1, "there is no file `missing.mp4`"),
        (&["Who?", "."], 2, "is a folder"),
        (&["Who?", "bytes.bin"], 1, "is of no known kind"),
        (&["", "some text"], 2, "a question has from 1"),
        (&["Who?", "some text", "--cost", "2 usd } on x"], 2, "a number and a unit"),
        (&["Who?", "some text", "--cost", "lots"], 2, "a number and a unit"),
        (&["Who?", "some text", "--result", "Text { }"], 2, "is no type"),
    ];
    for (words, code, says) in cases {
        let done = mkbc.run(&[&["ask"], words].concat());
        assert_eq!(done.code, Some(code), "{words:?} {}", done.err);
        assert!(done.err.contains(says), "{words:?} {}", done.err);
        assert!(!mkbc.path(".mkbc/asked/1.mkb").exists(), "{words:?}");
    }
    // Text that would be source is text, and where there is no plan the job stays.
    let done =
        mkbc.run(&["ask", "Say \"hi\" }\njob evil() -> Text {", "some text", "--cost", "2usd", "--quality", "99.9%"]);
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("the job is kept in .mkbc/asked/1.mkb"), "{}", done.err);
    let job = mkbc.read(".mkbc/asked/1.mkb");
    assert_eq!(job.matches("\njob ").count(), 1, "{job}");
}

#[test]
fn on_a_terminal_it_asks_and_only_a_yes_runs() {
    if !have(&["script"]) {
        return;
    }
    let mkbc = Mkbc::new();
    mkbc.write("note.txt", "The meeting is on Tuesday.\nThe total is 12.50 EUR.\nLunch is at noon.\n");
    let asked = |says: &str| {
        let command = format!("'{}' ask 'What is the total?' note.txt --quiet", mkbc::BINARY);
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]).current_dir(mkbc.path(""));
        script.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", mkbc.path(""));
        let mut terminal = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a terminal");
        terminal.stdin.take().expect("its keys").write_all(says.as_bytes()).expect("typed");
        let output = terminal.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).replace('\r', ""))
    };
    let (code, no) = asked("n\n");
    assert_eq!(code, Some(1), "{no}");
    assert!(no.contains("plan for `asked`") && no.contains("nothing was run"), "{no}");
    assert!(!mkbc.path(".mkbc/runs").exists());
    let (code, yes) = asked("y\n");
    assert_eq!(code, Some(0), "{yes}");
    assert!(yes.contains("12.50 EUR") && !yes.contains("nothing was run"), "{yes}");
}

#[test]
fn a_scan_is_read_by_its_pictures_and_quiet_is_the_answer_alone() {
    if !have(&["pdftotext", "pdftoppm", "pdfinfo", "tesseract"]) || !have(&VIDEO) {
        return;
    }
    let mkbc = Mkbc::new();
    let letter = road_trip().with_file_name("letter.pdf");
    let letter = letter.to_str().expect("UTF-8");
    let asked = mkbc.run(&["ask", "what does it say?", letter]);
    assert!(asked.err.contains("holds no text but pictures of it"), "{}", asked.err);
    assert!(asked.out.contains("document_text(document)") && !asked.out.contains("pdf_text("), "{}", asked.out);
    let done = mkbc.run(&["ask", "what does it say?", letter, "--yes", "--quiet"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let told: Vec<&str> = done.out.lines().filter(|line| !line.is_empty()).collect();
    let read = std::fs::read_to_string(road_trip().with_file_name("letter.txt"));
    assert!(!told.is_empty() && !done.out.contains("job asked") && !done.out.contains("plan for"), "{}", done.out);
    assert!(done.err.is_empty(), "{}", done.err);
    // Every line of it stands on the page.
    let page = read.unwrap_or_default();
    assert!(page.is_empty() || told.iter().any(|line| page.contains(line.trim())), "{told:?} is not in {page}");
}

#[test]
fn a_fill_that_the_question_does_not_speak_for_is_said_to_be_one() {
    let mkbc = Mkbc::new();
    let done = mkbc.run(&["ask", "Book a flight to Rome", "Dear all, this is a note."]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("W0508") && done.err.contains("little of the goal speaks for"), "{}", done.err);
    let plain = mkbc.run(&["ask", "A short summary of the text", "Dear all, this is a note."]);
    assert!(!plain.err.contains("W0508"), "{}", plain.err);
}
