//! `mkbc bench lsp`: this program as a language server, typed at over its pipes; from the keystroke's message to the diagnostics, and,
//! once the typing rests, to the hints that say what a plan chose.

use crate::cli::{Failure, print};
use crate::lsp::wire::{Frame, body, understand, write};
use clap::Args;
use lsp_server::Message;
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::{BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct LspOptions {
    /// Lines of the file
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub lines: usize,
    /// All lines in one job, not in jobs of ten lines each
    #[arg(long)]
    pub one_job: bool,
    /// Keystrokes
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub keys: usize,
    /// Keystrokes after which the typing rests until the plan's hints are there
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub rests: usize,
    /// The cluster that is planned for
    #[arg(long, value_name = "NAME", default_value = "azure_mixed")]
    pub cluster: String,
}

const URI: &str = "file:///bench.mkb";

/// The lines of a job beside those that only make it longer.
const SHORTEST: usize = 10;

/// Half the lines of an editor's page.
const PAGE: usize = 30;

/// A file of jobs of ten lines each, or of one job with as many values as there are lines left.
fn source(lines: usize, one_job: bool) -> String {
    let mut out = String::from("use std.speech\nuse std.llm\n\n");
    let (jobs, more) = if one_job { (1, lines.saturating_sub(SHORTEST)) } else { (lines.div_ceil(SHORTEST), 0) };
    for i in 0..jobs {
        let _ = write!(
            out,
            "/// Says what is said.\njob job_{i}(audio: Audio, question: Text) -> Text {{\n  slo {{\n    cost <= 2 usd\n  }}\n  \
             minimize cost\n  expect audio of 60 s\n  let words = speech_to_text(audio)\n"
        );
        for n in 0..more {
            let _ = writeln!(out, "  let text_{n} = question + \"{n}\"");
        }
        out.push_str("  summarise(question)\n}\n");
    }
    out
}

/// Measures, and shows percentiles.
pub fn lsp(options: &LspOptions) -> Result<(), Failure> {
    let failed = |e: std::io::Error| format!("the server cannot be spoken to: {e}");
    let program = std::env::current_exe().map_err(failed)?;
    let mut server = Command::new(program)
        .args(["lsp", "--cluster", &options.cluster])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(mut to), Some(from)) = (server.stdin.take(), server.stdout.take()) else {
        return Err(Failure::Message("the server has no pipes".into()));
    };
    let mut from = BufReader::new(from);
    let mut say = |message: Value| {
        write(&mut to, &message.to_string()).and_then(|()| to.flush()).map_err(|e| Failure::Message(failed(e)))
    };
    let can = json!({"workspace": {"inlayHint": {"refreshSupport": true}}});
    say(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": can}}))?;
    say(json!({"jsonrpc": "2.0", "method": "initialized", "params": {}}))?;
    let text = source(options.lines, options.one_job);
    let lines = text.lines().count();
    say(json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument":
        {"uri": URI, "languageId": "mkb", "version": 0, "text": text}}}))?;
    diagnosed(&mut from, 0)?;
    let line = text.lines().position(|l| l.contains("summarise")).unwrap_or(0);
    let mut times: Vec<Duration> = Vec::new();
    for key in 1..=options.keys {
        // A letter comes, and goes again with the next key.
        let (end, letter) = if key % 2 == 1 { (2, "x") } else { (3, "") };
        let range = json!({"start": {"line": line, "character": 2}, "end": {"line": line, "character": end}});
        let started = Instant::now();
        say(json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"textDocument":
            {"uri": URI, "version": key}, "contentChanges": [{"range": range, "text": letter}]}}))?;
        times.push(diagnosed(&mut from, key as i64)?.duration_since(started));
        // People type no faster than this.
        std::thread::sleep(Duration::from_millis(5));
    }
    // The last key of these may have left its letter.
    let whole = json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"textDocument":
        {"uri": URI, "version": options.keys + 1}, "contentChanges": [{"text": text}]}});
    say(whole)?;
    planned(&mut from)?;
    let digit = text.lines().position(|l| l.contains("expect audio of 60 s")).unwrap_or(0);
    let column = text.lines().nth(digit).and_then(|l| l.find("60 s")).map_or(0, |at| at + 1);
    let mut hinted: Vec<Duration> = Vec::new();
    for rest in 1..=options.rests {
        let range =
            json!({"start": {"line": digit, "character": column}, "end": {"line": digit, "character": column + 1}});
        let started = Instant::now();
        say(json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"textDocument":
            {"uri": URI, "version": options.keys + 1 + rest},
            "contentChanges": [{"range": range, "text": (rest % 10).to_string()}]}}))?;
        planned(&mut from)?;
        // A page of an editor, with a step on it that is planned.
        let first = line.saturating_sub(PAGE);
        let shown = json!({"start": {"line": first, "character": 0}, "end": {"line": line + PAGE, "character": 0}});
        let id = 1_000 + rest as i32;
        say(json!({"jsonrpc": "2.0", "id": id, "method": "textDocument/inlayHint",
            "params": {"textDocument": {"uri": URI}, "range": shown}}))?;
        let (answer, there) = until(&mut from, &|m| matches!(m, Message::Response(r) if r.id == id.into()))?;
        hinted.push(there.duration_since(started));
        let chosen = matches!(answer, Message::Response(r) if r.response_result.as_ref().is_ok_and(says_a_choice));
        if !chosen {
            return Err(Failure::Message(format!("there is no plan on `{}`", options.cluster)));
        }
    }
    say(json!({"jsonrpc": "2.0", "id": 2, "method": "shutdown"}))?;
    say(json!({"jsonrpc": "2.0", "method": "exit"}))?;
    let _ = server.wait();
    print(&format!("{lines} lines, {} keystrokes to diagnostics: {}\n", times.len(), percentiles(times)));
    if !hinted.is_empty() {
        print(&format!("{} keystrokes to the plan's hints: {}\n", hinted.len(), percentiles(hinted)));
    }
    Ok(())
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)));
    let ms = |t: Option<&Duration>| t.map_or(f64::NAN, |t| t.as_secs_f64() * 1e3);
    format!("p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms", ms(at(0.5)), ms(at(0.99)), ms(times.last()))
}

type Pipe = BufReader<std::process::ChildStdout>;

/// Reads until the diagnostics of a version are there, and says when they were.
fn diagnosed(from: &mut Pipe, version: i64) -> Result<Instant, Failure> {
    let published = |m: &Message| match m {
        Message::Notification(note) => {
            note.method == "textDocument/publishDiagnostics" && note.params["version"] == version
        }
        _ => false,
    };
    until(from, &published).map(|(_, there)| there)
}

/// Reads until the server has planned what was typed.
fn planned(from: &mut Pipe) -> Result<(), Failure> {
    until(from, &|m| matches!(m, Message::Request(r) if r.method == "workspace/inlayHint/refresh")).map(drop)
}

/// Whether hints say a model, what it runs on and what that costs.
fn says_a_choice(hints: &Value) -> bool {
    let labels = hints.as_array().into_iter().flatten().filter_map(|hint| hint["label"].as_str());
    labels.into_iter().any(|label| label.contains(" on ") && label.contains('$'))
}

/// Reads until a message is one of some kind, and says when its last byte was there: what a client makes of it is its own time.
fn until(from: &mut Pipe, wanted: &dyn Fn(&Message) -> bool) -> Result<(Message, Instant), Failure> {
    loop {
        let body = body(from);
        let there = Instant::now();
        match body.map_or_else(Frame::from, |body| understand(&body)) {
            Frame::Message(message) if wanted(&message) => return Ok((message, there)),
            Frame::End => return Err(Failure::Message("the server went away".into())),
            _ => {}
        }
    }
}
