//! A call of a Python function -> its typed result, in a worker process that is kept for the next call.
//!
//! A worker that raised is as good as new; one that hung, crashed or sent too much is killed, and the next call starts another.

mod package;

use super::Call;
use super::batch::{self, Each};
use super::framed::{Start, Worker, answers, said};
use super::kept::{find, not_found};
use crate::run::devices::cuda;
use crate::run::fault::{Fault, FaultKind, tail};
use crate::run::probe::{self, Env};
use crate::run::store;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub use package::write as write_package;

/// A module, as a plan names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Module<'a> {
    /// A file, or an importable name.
    pub module: &'a str,
    /// The interpreter.
    pub interpreter: &'a str,
}

/// One attempt of a call. Dropping the future kills the worker that it holds.
pub async fn call(call: &Call<'_>, module: &Module<'_>, function: &str, out: &Path) -> Result<Value, Fault> {
    let workers = &call.kept.python;
    let (key, mut worker) = worker(call, module).await?;
    let request = workers.request(function, &call.args, out);
    let (reply, log) = worker.exchange(&request).await.map_err(|fault| within(fault, function, module))?;
    if !log.is_empty() {
        store::write(&out.join("log.txt"), &log)?;
    }
    workers.put(key, worker);
    value(reply, call, function, module).await
}

/// One attempt of several calls, which the worker is sent as one.
pub async fn together(calls: &[Call<'_>], module: &Module<'_>, function: &str, outs: &[PathBuf]) -> Each {
    let Some(first) = calls.first() else { return Ok(Vec::new()) };
    let workers = &first.kept.python;
    let (key, mut worker) = worker(first, module).await?;
    let request = workers.request_of(function, batch::told(calls, outs), batch::folder(outs));
    let (reply, log) = worker.exchange(&request).await.map_err(|fault| within(fault, function, module))?;
    if !log.is_empty() {
        outs.iter().try_for_each(|out| store::write(&out.join("log.txt"), &log))?;
    }
    workers.put(key, worker);
    let answers = answers(reply, calls.len()).map_err(|fault| within(fault, function, module))?;
    let mut values = Vec::with_capacity(calls.len());
    for (answer, call) in answers.into_iter().zip(calls) {
        values.push(value(answer, call, function, module).await);
    }
    Ok(values)
}

/// A worker for a call, and what it is kept by.
async fn worker(call: &Call<'_>, module: &Module<'_>) -> Result<(Vec<String>, Worker), Fault> {
    let threads = call.step.hardware.units.clamp(1, crate::run::devices::cpu::cores());
    let own = [module.interpreter.to_owned(), module.module.to_owned(), threads.to_string()];
    let key = [own.as_slice(), call.gpus].concat();
    let worker = match call.kept.python.take(&key) {
        Some(worker) => worker,
        None => start(call, module, threads).await?,
    };
    Ok((key, worker))
}

/// The value of an answer.
async fn value(answer: Value, call: &Call<'_>, function: &str, module: &Module<'_>) -> Result<Value, Fault> {
    let mut value = answered(answer, function, module)?;
    if !call.step.output.is_data() {
        probe::measure(&mut value, &call.step.output, call.cx.env).await?;
    }
    Ok(value)
}

async fn start(call: &Call<'_>, module: &Module<'_>, threads: u32) -> Result<Worker, Fault> {
    let folder = call.kept.python.folder()?;
    package::write(folder)?;
    let (module_path, interpreter) = located(module, &call.cx.folders)?;
    let path = std::iter::once(folder.to_path_buf()).chain(call.cx.folders.iter().map(|f| absolute(f)));
    let path = std::env::join_paths(path).map_err(|e| {
        let fault = Fault::new(FaultKind::Process, format!("cannot be started: {e}"));
        within(fault.help("give folders without `:` in their names"), "", module)
    })?;
    let mut variables = vec![("PYTHONPATH", path), ("PYTHONSAFEPATH", "1".into())];
    if !call.gpus.is_empty() {
        variables.extend(cuda::visible(call.gpus).map(|(name, value)| (name, value.into())));
    }
    let start = Start {
        program: &interpreter,
        before: &["-m", "murakkab.worker"],
        subject: &module_path,
        behind: &[],
        folder,
        variables: &variables,
    };
    let (worker, reply) = Worker::start(&start, call.cx.env, threads).await.map_err(|f| within(f, "", module))?;
    match reply.get("error") {
        None => Ok(worker),
        Some(error) => {
            let what = format!("`{}` cannot be imported: {}", module.module, said(error));
            let fault = Fault::new(FaultKind::Process, what).detail(traceback(error));
            Err(if error["type"] == "ModuleNotFoundError" {
                let help = format!("install it for `{}`, or give the engine another `interpreter`", module.interpreter);
                fault.help(help)
            } else {
                fault
            })
        }
    }
}

/// The module as the worker is told it, and the interpreter to start; both absolute where they are files of a library.
fn located(module: &Module<'_>, folders: &[PathBuf]) -> Result<(String, String), Fault> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let file = module.module.ends_with(".py");
    let path = match file.then(|| find(module.module, folders)) {
        None => module.module.to_owned(),
        Some(Some(path)) => text(path),
        Some(None) => return Err(not_found(module.module, folders)),
    };
    let own = module.interpreter.contains('/').then(|| find(module.interpreter, folders)).flatten();
    Ok((path, own.map_or_else(|| module.interpreter.to_owned(), text)))
}

/// What a module lacks on this machine.
pub fn lacks(module: &Module<'_>, folders: &[PathBuf], env: Env<'_>) -> Option<Fault> {
    match located(module, folders) {
        Err(fault) => Some(fault),
        Ok((_, interpreter)) => crate::run::preflight::absent(&interpreter, env),
    }
}

fn answered(reply: Value, function: &str, module: &Module<'_>) -> Result<Value, Fault> {
    let Value::Object(mut reply) = reply else {
        return Err(within(Fault::new(FaultKind::Answer, "sent no object"), function, module));
    };
    match (reply.remove("value"), reply.get("error")) {
        (Some(value), _) => Ok(value),
        (None, Some(error)) => {
            let message = format!("`{function}` of `{}` raised {}", module.module, said(error));
            Err(Fault::new(FaultKind::Process, message).detail(traceback(error)).transient())
        }
        (None, None) => {
            Err(within(Fault::new(FaultKind::Answer, "sent neither a value nor an error"), function, module))
        }
    }
}

fn within(fault: Fault, function: &str, module: &Module<'_>) -> Fault {
    let of = if function.is_empty() { String::new() } else { format!(", in `{function}`,") };
    Fault { message: format!("the Python worker of `{}`{of} {}", module.module, fault.message), ..fault }
}

fn traceback(error: &Value) -> &str {
    tail(error["traceback"].as_str().unwrap_or_default(), 2000)
}

fn absolute(folder: &Path) -> PathBuf {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(here).unwrap_or_else(|_| here.to_path_buf())
}
