//! `check --watch` as a real process over real files, changed as editors change them.

use crate::mkbc::Mkbc;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const FINE: &str = "job same(text: Text) -> Text {\n  text\n}\n";
const BROKEN: &str = "job same(text: Text) -> Text {\n  txet\n}\n";

/// Far more than a check takes; a test that waits for so long has failed.
const HANGS: Duration = Duration::from_secs(60);

struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn of(mkbc: &Mkbc, arguments: &[&str]) -> Watching {
        let words = [&["check", "--watch"], arguments].concat();
        let mut child = mkbc.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mkbc starts");
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let other = sender.clone();
        std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| other.send(l)));
        std::thread::spawn(move || BufReader::new(err).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Watching { child, lines }
    }

    /// What is said until it waits, which must hold a part.
    fn says(&self, part: &str) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(HANGS) {
                Ok(line) => said.push(line),
                Err(_) => panic!("`{part}` is not said: {said:?}"),
            }
            let waits = said.iter().any(|line| line.contains("waiting for changes"));
            // The two outputs are read by two threads, and the last lines may come in any order.
            if waits && said.iter().any(|line| line.contains(part)) {
                return said;
            }
        }
    }

    /// Asks it to stop; its exit status.
    fn stop(mut self, signal: i32) -> Option<i32> {
        let id = self.child.id().to_string();
        let done = std::process::Command::new("kill").args([format!("-{signal}"), id]).status().expect("kill starts");
        assert!(done.success());
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn a_change_is_checked_and_a_signal_ends_it() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", FINE);
    let watching = Watching::of(&mkbc, &["job.mkb"]);
    let said = watching.says("no errors");
    assert!(!said.iter().any(|line| line.contains('\u{1b}')), "{said:?}");
    // As a plain write.
    mkbc.write("job.mkb", BROKEN);
    watching.says("txet");
    // As a new file in the place of the old one.
    mkbc.write("job.mkb~", FINE);
    fs::rename(mkbc.path("job.mkb~"), mkbc.path("job.mkb")).expect("renamed");
    watching.says("no errors");
    // Gone, and there again.
    fs::remove_file(mkbc.path("job.mkb")).expect("removed");
    watching.says("there is no file");
    mkbc.write("job.mkb", BROKEN);
    watching.says("txet");
    assert_eq!(watching.stop(2), Some(130));
}

#[test]
fn a_folder_is_watched_at_any_depth_and_a_library_too() {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("jobs/deep")).expect("folders");
    fs::create_dir_all(mkbc.path("lib")).expect("a folder");
    mkbc.write("jobs/deep/a.mkb", FINE);
    mkbc.write("lib/mine.mkb", "task mine(text: Text) -> Text {\n  work text.tokens\n}\n");
    let watching = Watching::of(&mkbc, &["jobs", "--library", "lib"]);
    watching.says("a.mkb: no errors");
    mkbc.write("jobs/deep/b.mkb", BROKEN);
    watching.says("b.mkb");
    mkbc.write("jobs/deep/b.mkb", FINE);
    watching.says("b.mkb: no errors");
    mkbc.write("lib/mine.mkb", "task mine(text: Txet) -> Text {\n  work text.tokens\n}\n");
    watching.says("Txet");
    assert_eq!(watching.stop(15), Some(143));
}

#[test]
fn what_is_not_there_from_the_start_is_a_mistake() {
    let mkbc = Mkbc::new();
    let done = mkbc.run(&["check", "--watch", "none.mkb"]);
    assert!(done.code == Some(1) && done.err.contains("there is no file"), "{}", done.err);
    mkbc.write("job.mkb", FINE);
    assert_eq!(mkbc.run(&["check", "--watch", "--fix", "job.mkb"]).code, Some(2));
}
