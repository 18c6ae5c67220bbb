//! Commands with placeholders, and arguments -> the typed result, by running them one after the other and reading what they wrote.

use super::Call;
use super::arguments::{FILE_OF_CALLS, Slots, argv};
use super::batch::{self, Each};
use super::child::{self, Captured, Command, Limits};
use super::readers::{self, Reading, habits};
use super::{interpreter, sandbox};
use crate::plan::model::takes_calls;
use crate::run::devices::cuda;
use crate::run::fault::{Fault, FaultKind, head, printable, tail};
use crate::run::store;
use crate::types::Type;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    if takes_calls(commands) {
        // Also the only one is told by the file.
        let calls = std::slice::from_ref(call);
        let values = together(calls, commands, (reader, options), &[out.to_path_buf()]).await?;
        return values.into_iter().next().unwrap_or_else(|| Err(Fault::plan("no call was made")));
    }
    if habits::nothing_to_do(reader, &call.args) {
        return Ok(Value::Array(Vec::new()));
    }
    let captured = match ran(call, commands, (reader, options), out).await? {
        Ok(captured) => captured,
        Err(late) => return Ok(late),
    };
    let reading = Reading { out, captured: &captured, options, args: &call.args, ty: &call.step.output };
    readers::read(reader, &reading)
}

/// Runs the commands once for several calls, which are in a file: a list of objects with `arguments`, `folder` and `key`. What they wrote is
/// read as a list, with an object for each: its `value`, or an `error` with a `message`.
pub async fn together(
    calls: &[Call<'_>],
    commands: &[Vec<String>],
    (reader, options): (&str, &BTreeMap<String, String>),
    outs: &[PathBuf],
) -> Each {
    let (Some(first), out) = (calls.first(), batch::folder(outs)) else { return Ok(Vec::new()) };
    store::write(&out.join(FILE_OF_CALLS), batch::told(calls, outs).to_string().as_bytes())?;
    let captured = match ran(first, commands, (reader, options), out).await? {
        Ok(captured) => captured,
        Err(late) => return Ok(calls.iter().map(|_| Ok(late.clone())).collect()),
    };
    let list = Type::List(Box::new(Type::Json));
    let reading = Reading { out, captured: &captured, options, args: &first.args, ty: &list };
    let wanted = || reading.unread(&format!("the program wrote no list of {} answers", calls.len()));
    let answers = batch::answers(readers::read(reader, &reading)?, calls.len()).ok_or_else(wanted)?;
    Ok(answers.into_iter().map(|answer| of_one(answer, &reading)).collect())
}

/// What a program answered to one of several calls.
fn of_one(mut answer: Value, reading: &Reading<'_>) -> Result<Value, Fault> {
    match (answer.get_mut("value").map(Value::take), answer.get("error")) {
        (Some(value), _) => Ok(value),
        (None, Some(error)) => {
            let said = error["message"].as_str().or(error.as_str()).unwrap_or_default();
            Err(Fault::new(FaultKind::Process, format!("the program failed with {}", head(&printable(said), 500)))
                .transient())
        }
        (None, None) => Err(reading.unread("the program wrote neither a `value` nor an `error` of a call")),
    }
}

/// What a step's commands wrote, run one after the other; or the result, where they have one by not ending.
async fn ran(
    call: &Call<'_>,
    commands: &[Vec<String>],
    (reader, options): (&str, &BTreeMap<String, String>),
    out: &Path,
) -> Result<Result<Vec<Captured>, Value>, Fault> {
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
                Err(late) => return Ok(Err(late)),
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
    Ok(Ok(captured))
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
