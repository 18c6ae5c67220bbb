//! Commands with placeholders, and arguments -> the typed result, by running them one after the other and reading what they wrote.

use super::Call;
use super::arguments::{Slots, argv};
use super::child::{self, Captured, Command, Limits};
use super::readers::{self, Reading, habits};
use super::{interpreter, sandbox};
use crate::run::devices::cuda;
use crate::run::fault::{Fault, FaultKind, tail};
use crate::run::store;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Where a program may write its log, which is read if it fails and thrown away if not.
const LOG: &str = "log.txt";

/// The reader of test runs, which are carried out in a sandbox.
pub const TESTS: &str = "python_tests";
/// Bytes that tests may write.
const MOST_WRITTEN: u64 = 64 << 20;

/// Runs a step's commands and reads the result.
pub async fn call(
    call: &Call<'_>,
    commands: &[Vec<String>],
    reader: &str,
    options: &BTreeMap<String, String>,
    out: &Path,
) -> Result<Value, Fault> {
    if habits::nothing_to_do(reader, &call.args) {
        return Ok(Value::Array(Vec::new()));
    }
    let units = call.step.hardware.units.clamp(1, crate::run::devices::cpu::cores());
    let device = call.step.hardware.device.as_str();
    let slots = Slots { args: &call.args, out, reader, options, units, device };
    let mut captured = Vec::new();
    for command in commands.iter().filter(|c| !habits::left_out(reader, c, options, &call.args)) {
        let mut argv = argv(command, &slots)?;
        habits::shorten(reader, &mut argv, &call.args);
        let program = argv[0].clone();
        if program == interpreter::NAME {
            argv[0] = interpreter::path(call.cx.env).to_string_lossy().into_owned();
        }
        let done = if reader == TESTS {
            match tests(call, &argv, options, out).await? {
                Ok(done) => done,
                Err(late) => return Ok(late),
            }
        } else {
            let visible = cuda::visible(call.gpus);
            let env = |name: &str| match (name, call.asked) {
                (child::IDEMPOTENCY, Some(asked)) => Some(asked.idempotency().to_owned()),
                (cuda::ORDER | cuda::VISIBLE, _) if !call.gpus.is_empty() => {
                    visible.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
                }
                _ => (call.cx.env)(name),
            };
            let command = Command {
                argv: &argv,
                folder: out,
                env: &env,
                threads: threads(&program, units),
                limits: Limits::default(),
            };
            let done = child::run_any(command).await?;
            if habits::excused(reader, captured.len(), &done) {
                done
            } else {
                done.good(&program).map_err(|fault| explained(fault, &out.join(LOG)))?
            }
        };
        call.used(|u| u.peak_bytes = u.peak_bytes.max(done.peak));
        // A log of thousands of lines that nobody will read; what failed was read above.
        let _ = std::fs::remove_file(out.join(LOG));
        captured.push(done);
        keep(out, captured.len(), &captured[captured.len() - 1])?;
    }
    let reading = Reading { out, captured: &captured, options, args: &call.args, ty: &call.step.output };
    readers::read(reader, &reading)
}

/// Runs code that a model wrote, in a sandbox and with less of everything; being late or filling the disk is a result.
async fn tests(
    call: &Call<'_>,
    argv: &[String],
    options: &BTreeMap<String, String>,
    out: &Path,
) -> Result<Result<Captured, Value>, Fault> {
    let seconds = options.get("timeout_s").and_then(|s| s.parse().ok()).unwrap_or(60.0_f64).clamp(1.0, 3600.0);
    let cpu = Some(seconds as u64 * 4 + 1);
    if let Some(fault) = sandbox::lacking(call.cx.env) {
        return Err(fault);
    }
    let sandboxed = sandbox::offered();
    let mut argv = argv.to_vec();
    argv[0] = interpreter::resolved(&argv[0], out, call.cx.env).await?;
    let limits = Limits { output: 4 << 20, errors: 1 << 20, file: MOST_WRITTEN, memory: Some(2 << 30), cpu, sandboxed };
    let run = child::run_any(Command { argv: &argv, folder: out, env: call.cx.env, threads: 1, limits });
    tokio::select! {
        done = tokio::time::timeout(Duration::from_secs_f64(seconds), run) => match done {
            Ok(done) => done.map(Ok),
            Err(_) => Ok(Err(readers::tests_report(false, &format!("the tests did not end within {seconds} s")))),
        },
        () = filled(out) => {
            let report = format!("the tests were stopped: they wrote more than {} MB", MOST_WRITTEN >> 20);
            Ok(Err(readers::tests_report(false, &report)))
        }
    }
}

/// Returns once the files below a folder hold more than they may. Many small files pass every limit of a process.
async fn filled(folder: &Path) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if size(folder) > MOST_WRITTEN {
            return;
        }
    }
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    // A file takes a block at least, and a name takes space too.
    let of = |e: std::fs::DirEntry| match e.metadata() {
        Ok(about) if about.is_dir() => size(&e.path()) + 4096,
        Ok(about) => about.len().max(4096),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

/// Threads that a program may use by itself. Those with an option of their own get it in their command (`-threads {units}`), and their
/// libraries none besides; scripts have only libraries.
fn threads(program: &str, units: u32) -> u32 {
    if program == interpreter::NAME { units } else { 1 }
}

/// With what a program wrote to its log about its failure, where it said nothing else.
fn explained(fault: Fault, log: &Path) -> Fault {
    let Ok(bytes) = std::fs::read(log) else { return fault };
    let text = String::from_utf8_lossy(&bytes);
    let telling: Vec<&str> = text.lines().filter(|l| l.contains("ERROR") || l.contains("FATAL")).collect();
    if fault.kind == FaultKind::Process && !telling.is_empty() {
        fault.detail(tail(&telling.join("\n"), 2000))
    } else {
        fault
    }
}

/// What a command said is kept beside its files: the first place to look when a result surprises.
fn keep(out: &Path, number: usize, captured: &Captured) -> Result<(), Fault> {
    for (name, bytes) in [("stdout", &captured.stdout), ("stderr", &captured.stderr)] {
        if !bytes.is_empty() {
            store::write(&out.join(format!("command-{number}.{name}")), bytes)?;
        }
    }
    Ok(())
}
