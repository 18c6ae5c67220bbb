//! The program as mkbc uses it: started with two pipes, asked, and left.

use mkbc_candle::frame::Pipe;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

fn fixture(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).display().to_string()
}

struct Worker {
    child: Child,
    pipe: Pipe<File, File>,
}

fn started(model: &str, options: &[&str]) -> (Worker, Value) {
    let ((theirs_in, ours_out), (ours_in, theirs_out)): ((PipeReader, PipeWriter), (PipeReader, PipeWriter)) =
        (pipe().expect("a pipe"), pipe().expect("a pipe"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkbc-candle"));

    let (read, write) = (theirs_in.as_raw_fd(), theirs_out.as_raw_fd());
    command.args(["serve", &read.to_string(), &write.to_string(), model, "100000"]).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).env("MKBC_WEIGHTS", fixture(""));
    keep(&mut command, [read, write]);
    let child = command.spawn().expect("the program");
    drop((theirs_in, theirs_out));
    let mut pipe = Pipe::new(File::from(OwnedFd::from(ours_in)), File::from(OwnedFd::from(ours_out)), 100_000);
    let ready = pipe.receive().expect("a frame").expect("an answer");
    (Worker { child, pipe }, ready)
}

/// Has the program keep two descriptors.
#[allow(unsafe_code)]
fn keep(command: &mut Command, fds: [i32; 2]) {
    // SAFETY: between fork and exec only fcntl(2) is called, on descriptors that are open.
    unsafe {
        command.pre_exec(move || match fds.iter().all(|fd| libc::fcntl(*fd, libc::F_SETFD, 0) == 0) {
            true => Ok(()),
            false => Err(std::io::Error::last_os_error()),
        });
    }
}

#[test]
fn a_worker_answers_call_after_call_and_ends_with_its_pipe() {
    let (mut worker, ready) = started("bert", &[]);
    assert_eq!(ready, json!({"ready": ["embed"], "device": "cpu"}));
    let mut ask = |request: Value| {
        worker.pipe.send(&request).expect("it is sent");
        worker.pipe.receive().expect("a frame").expect("an answer")
    };
    let good =
        ask(json!({"function": "embed", "arguments": {"texts": ["a", "b c"]}, "folder": "/", "mark": "-- 1 --"}));
    assert_eq!(good["value"].as_array().map(Vec::len), Some(2));
    let bad = ask(json!({"function": "embed", "arguments": {"texts": 1}, "folder": "/", "mark": "-- 2 --"}));
    assert_eq!(bad["error"]["type"], "InputError");
    let none = ask(json!({"function": "dance", "mark": "-- 3 --"}));
    assert!(none["error"]["message"].as_str().is_some_and(|m| m.contains("`dance`") && m.contains("embed")));
    assert_eq!(ask(json!({"function": "embed", "arguments": {"texts": []}, "mark": "-- 4 --"})), json!({"value": []}));
    let again = ask(json!({"function": "embed", "arguments": {"texts": ["a", "b c"]}, "mark": "-- 5 --"}));
    assert_eq!(again, good);
    let Worker { mut child, pipe } = worker;
    drop(pipe);
    assert!(child.wait().expect("it ends").success());
    let mut log = String::new();
    child.stderr.take().expect("a log").read_to_string(&mut log).expect("text");
    assert!((1..=5).all(|i| log.contains(&format!("\n-- {i} --\n"))), "{log}");
}

#[test]
fn what_keeps_a_worker_from_starting_is_its_first_answer() {
    let said = |model: &str, options: &[&str]| {
        let (mut worker, ready) = started(model, options);
        worker.child.wait().expect("it ends");
        (ready["error"]["type"].clone(), ready["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let (kind, message) = said("no/such-model", &[]);
    assert_eq!(kind, "WeightsError");
    assert!(message.contains("mkbc-candle check no/such-model --download"), "{message}");
    let (kind, message) = said("bert", &["--sha256", "0000"]);
    assert_eq!(kind, "WeightsError");
    assert!(message.contains("SHA-256"), "{message}");
    // On a machine with a GPU, a build with CUDA would be ready instead.
    if !cfg!(feature = "cuda") {
        let (kind, message) = said("bert", &["--device", "h100"]);
        assert_eq!(kind, "DeviceError");
        assert!(message.contains("h100"), "{message}");
    }
}

#[test]
fn check_says_what_a_model_is() {
    let check = |arguments: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_mkbc-candle"))
            .args(arguments)
            .env("MKBC_WEIGHTS", fixture(""))
            .output()
            .expect("it runs");
        (
            out.status.success(),
            String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr),
        )
    };
    let (good, said) = check(&["check", "clip"]);
    assert!(good && said.contains("functions: label, similarity") && said.contains("device: cpu"), "{said}");
    let sum = said.lines().find_map(|l| l.strip_prefix("sha256: ")).expect("a digest").to_owned();
    assert!(check(&["check", "clip", "--sha256", &sum]).0);
    assert!(!check(&["check", "bert", "--sha256", &sum]).0);
    assert!(check(&["dance"]).1.contains("usage:"));
    assert!(check(&["check", "bert", "--bits", "32"]).0);
    assert!(check(&["check", "bert", "--bits", "12"]).1.contains("--bits 32"));
    let (good, said) = check(&["check", "bert", "--device", "h100"]);
    assert!(good || said.contains("the plan is for `h100`") && !said.contains("panicked"), "{said}");
}
