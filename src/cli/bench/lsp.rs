//! `mkbc bench lsp`: this program as a language server, typed at over its pipes; from the keystroke's message to the diagnostics.

use crate::cli::{Failure, print};
use crate::lsp::wire::{Frame, read, write};
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
    /// Keystrokes
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub keys: usize,
}

const URI: &str = "file:///bench.mkb";

/// A file of jobs of ten lines each.
fn source(lines: usize) -> String {
    let mut out = String::from("use std.speech\nuse std.llm\n\n");
    for i in 0..lines.div_ceil(10) {
        let _ = write!(
            out,
            "/// Says what is said.\njob job_{i}(audio: Audio, question: Text) -> Text {{\n  slo {{\n    cost <= 2 usd\n  }}\n  \
             minimize cost\n  expect audio of 60 s\n  let words = speech_to_text(audio)\n  summarise(question)\n}}\n"
        );
    }
    out
}

/// Measures, and shows percentiles.
pub fn lsp(options: &LspOptions) -> Result<(), Failure> {
    let failed = |e: std::io::Error| format!("the server cannot be spoken to: {e}");
    let program = std::env::current_exe().map_err(failed)?;
    let mut server =
        Command::new(program).arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let (Some(mut to), Some(from)) = (server.stdin.take(), server.stdout.take()) else {
        return Err(Failure::Message("the server has no pipes".into()));
    };
    let mut from = BufReader::new(from);
    let mut say =
        |message: Value| write(&mut to, &message).and_then(|()| to.flush()).map_err(|e| Failure::Message(failed(e)));
    say(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}))?;
    say(json!({"jsonrpc": "2.0", "method": "initialized", "params": {}}))?;
    let text = source(options.lines);
    let lines = text.lines().count();
    say(json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument":
        {"uri": URI, "languageId": "mkb", "version": 0, "text": text}}}))?;
    until(&mut from, 0)?;
    let line = text.lines().position(|l| l.contains("summarise")).unwrap_or(0);
    let mut times: Vec<Duration> = Vec::new();
    for key in 1..=options.keys {
        // A letter comes, and goes again with the next key.
        let (end, letter) = if key % 2 == 1 { (2, "x") } else { (3, "") };
        let range = json!({"start": {"line": line, "character": 2}, "end": {"line": line, "character": end}});
        let started = Instant::now();
        say(json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"textDocument":
            {"uri": URI, "version": key}, "contentChanges": [{"range": range, "text": letter}]}}))?;
        until(&mut from, key as i64)?;
        times.push(started.elapsed());
        // People type no faster than this.
        std::thread::sleep(Duration::from_millis(5));
    }
    say(json!({"jsonrpc": "2.0", "id": 2, "method": "shutdown"}))?;
    say(json!({"jsonrpc": "2.0", "method": "exit"}))?;
    let _ = server.wait();
    times.sort();
    let at = |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1)));
    let ms = |t: Option<&Duration>| t.map_or(f64::NAN, |t| t.as_secs_f64() * 1e3);
    print(&format!(
        "{lines} lines, {} keystrokes: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms\n",
        times.len(),
        ms(at(0.5)),
        ms(at(0.99)),
        ms(times.last())
    ));
    Ok(())
}

/// Reads until the diagnostics of a version are there.
fn until(from: &mut BufReader<std::process::ChildStdout>, version: i64) -> Result<(), Failure> {
    loop {
        match read(from) {
            Frame::Message(Message::Notification(note))
                if note.method == "textDocument/publishDiagnostics" && note.params["version"] == version =>
            {
                return Ok(());
            }
            Frame::End => return Err(Failure::Message("the server went away".into())),
            _ => {}
        }
    }
}
