//! A call of a local model -> its typed result, by a worker of this project (`workers/`) that loaded the model and is kept for the next call.
//!
//! The worker speaks the pipe of the Python workers (`framed.rs`). A call that fails is an answer; a worker that hangs or crashes is killed, and
//! the next call starts another.

use super::Call;
use super::batch::{self, Each};
use super::framed::{Start, Worker, answers, said};
use crate::run::devices::cpu::cores;
use crate::run::devices::{cuda, nvml};
use crate::run::fault::{Fault, FaultKind};
use crate::run::preflight::found;
use crate::run::probe::Env;
use crate::run::servers::find::{variable, weights_of};
use crate::run::store;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the system looks for libraries besides its own folders.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// The workers: their name in a library, and their program.
pub const WORKERS: [(&str, &str); 1] = [("candle", "mkbc-candle")];

/// A model, as a plan names it.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// The worker.
    pub worker: &'a str,
    /// The weights.
    pub model: &'a str,
    /// What it is asked for.
    pub function: &'a str,
    /// Settings and knobs.
    pub options: &'a BTreeMap<String, String>,
}

/// One attempt of a call. Dropping the future kills the worker that it holds.
pub async fn call(call: &Call<'_>, model: &Local<'_>, out: &Path) -> Result<Value, Fault> {
    let models = &call.kept.models;
    let (key, mut worker) = worker(call, model).await?;
    let mut request = models.request(model.function, &call.args, out);
    request["options"] = json!(model.options);
    let (reply, log) = worker.exchange(&request).await.map_err(|fault| within(fault, model))?;
    if !log.is_empty() {
        store::write(&out.join("log.txt"), &log)?;
    }
    let held = held(&worker, call.gpus);
    call.used(|u| u.peak_bytes = u.peak_bytes.max(held));
    models.put(key, worker);
    answered(reply, model)
}

/// One attempt of several calls, which the worker is sent as one. A worker of an older version takes them one by one.
pub async fn together(calls: &[Call<'_>], model: &Local<'_>, outs: &[PathBuf]) -> Each {
    let Some(first) = calls.first() else { return Ok(Vec::new()) };
    let models = &first.kept.models;
    let (key, mut worker) = worker(first, model).await?;
    if !worker.together {
        models.put(key, worker);
        let mut values = Vec::with_capacity(calls.len());
        for (one, out) in calls.iter().zip(outs) {
            values.push(call(one, model, out).await);
        }
        return Ok(values);
    }
    let mut request = models.request_of(model.function, batch::told(calls, outs), batch::folder(outs));
    request["options"] = json!(model.options);
    let (reply, log) = worker.exchange(&request).await.map_err(|fault| within(fault, model))?;
    if !log.is_empty() {
        outs.iter().try_for_each(|out| store::write(&out.join("log.txt"), &log))?;
    }
    let held = held(&worker, first.gpus);
    calls.iter().for_each(|call| call.used(|u| u.peak_bytes = u.peak_bytes.max(held)));
    models.put(key, worker);
    let answers = answers(reply, calls.len()).map_err(|fault| within(fault, model))?;
    Ok(answers.into_iter().map(|answer| answered(answer, model)).collect())
}

/// A worker for a call, and what it is kept by.
async fn worker(call: &Call<'_>, model: &Local<'_>) -> Result<(Vec<String>, Worker), Fault> {
    let hardware = &call.step.hardware;
    let cpu = hardware.device == "cpu";
    let threads = if cpu { hardware.units.clamp(1, cores()) } else { 1 };
    let program = program(model.worker, call.cx.env)?;
    let weights = weights_of(model.worker, model.model, call.cx.env, &call.cx.folders)?.path;
    let mut behind = vec!["--device".to_owned(), hardware.device.clone()];
    if let Some(sum) = model.options.get("sha256") {
        behind.extend(["--sha256".to_owned(), sum.clone()]);
    }
    let own = [program.clone(), weights.clone(), threads.to_string()];
    let key = [own.as_slice(), behind.as_slice(), call.gpus].concat();
    let models = &call.kept.models;
    let worker = match models.take(&key) {
        Some(worker) => worker,
        None => {
            let mut variables: Vec<(&str, OsString)> = vec![("RAYON_NUM_THREADS", threads.to_string().into())];
            if !cpu {
                // Where CUDA's libraries are is no secret, and known to nobody else.
                variables.extend((call.cx.env)(LIBRARIES).map(|folders| (LIBRARIES, folders.into())));
            }
            if !call.gpus.is_empty() {
                variables.extend(cuda::visible(call.gpus).map(|(name, value)| (name, value.into())));
            }
            let start = Start {
                program: &program,
                before: &["serve"],
                subject: &weights,
                behind: &behind,
                folder: models.folder()?,
                variables: &variables,
            };
            started(&start, call, model, threads).await?
        }
    };
    Ok((key, worker))
}

/// The most memory that a worker held: of its GPU what is in use there more than before it started, of this machine where that is not known.
fn held(worker: &Worker, gpus: &[String]) -> u64 {
    let now = worker.gpu_before.and_then(|before| Some(nvml::used(gpus.first()?)?.saturating_sub(before)));
    now.unwrap_or_else(|| worker.peak())
}

async fn started(start: &Start<'_>, call: &Call<'_>, model: &Local<'_>, threads: u32) -> Result<Worker, Fault> {
    let gpu_before = call.gpus.first().and_then(|gpu| nvml::used(gpu));
    let (mut worker, reply) = Worker::start(start, call.cx.env, threads).await.map_err(|fault| within(fault, model))?;
    match (reply.get("error"), elsewhere(&reply, call.gpus)) {
        (Some(error), _) => Err(refused(error, model)),
        (None, Some(fault)) => Err(within(fault, model)),
        (None, None) => {
            worker.gpu_before = gpu_before;
            worker.together = reply["together"] == true;
            Ok(worker)
        }
    }
}

/// The fault that a worker is on another device than the call's: it says which it is on by what the driver tells it.
fn elsewhere(ready: &Value, gpus: &[String]) -> Option<Fault> {
    let hex = |uuid: &str| uuid.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
    let wanted = gpus.first()?;
    let found = match (ready["gpu"].as_str(), ready["device"].as_str()) {
        (Some(gpu), _) if hex(gpu) == hex(wanted) => return None,
        (Some(gpu), _) => format!("the GPU {gpu}"),
        (None, Some("cpu")) => "a processor".to_owned(),
        (None, _) => return None,
    };
    Some(Fault::new(FaultKind::Device, format!("computes on {found}, and its call is placed on {wanted}")))
}

fn answered(mut reply: Value, model: &Local<'_>) -> Result<Value, Fault> {
    match (reply.get_mut("value").map(Value::take), reply.get("error")) {
        (Some(value), _) => Ok(value),
        (None, Some(error)) => Err(refused(error, model)),
        (None, None) => Err(within(Fault::new(FaultKind::Answer, "sent neither a value nor an error"), model)),
    }
}

/// An error that a worker answered with: the same call would fail again.
fn refused(error: &Value, model: &Local<'_>) -> Fault {
    let kind = match error["type"].as_str().unwrap_or_default() {
        "InputError" => FaultKind::Input,
        "WeightsError" => FaultKind::Program,
        "DeviceError" => FaultKind::Device,
        _ => FaultKind::Process,
    };
    Fault::new(kind, format!("`{}` of the model `{}` failed with {}", model.function, model.model, said(error)))
}

fn within(fault: Fault, model: &Local<'_>) -> Fault {
    let message = format!("the worker of the model `{}`, in `{}`, {}", model.model, model.function, fault.message);
    Fault { message, ..fault }
}

/// The program of a worker: what `MKBC_CANDLE` names, or the one on the PATH.
pub fn program(worker: &str, env: Env<'_>) -> Result<String, Fault> {
    let Some((_, usual)) = WORKERS.iter().find(|(name, _)| *name == worker) else {
        let names: Vec<&str> = WORKERS.iter().map(|(name, _)| *name).collect();
        let message = format!("there is no worker `{worker}` for local models; there is {}", names.join(", "));
        return Err(Fault::new(FaultKind::Unsupported, message));
    };
    let variable = variable(worker);
    let named = env(&variable).filter(|name| !name.trim().is_empty());
    if let Some(path) = found(named.as_deref().unwrap_or(usual), env) {
        let path = std::path::absolute(&path).unwrap_or(path);
        return Ok(path.to_string_lossy().into_owned());
    }
    let message = match named {
        Some(named) => format!("{variable} names `{named}`, which is no program here"),
        None => format!("the program `{usual}`, which runs local models, is not installed"),
    };
    let help = format!(
        "in mkbc's repository, `cargo install --locked --path workers/{worker}` builds it (docs/workers.md); {variable} names a program elsewhere"
    );
    Err(Fault::new(FaultKind::Program, message).help(help))
}

/// What a model lacks on this machine.
pub fn lacks(model: &Local<'_>, folders: &[PathBuf], env: Env<'_>) -> Vec<Fault> {
    let program = program(model.worker, env).err();
    let weights = weights_of(model.worker, model.model, env, folders).err();
    program.into_iter().chain(weights).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_not_where_its_call_is_placed_is_a_fault() {
        let on = ["GPU-8e2c4b5f-0011-2233-4455-66778899aabb".to_owned()];
        let ready = |gpu: &str| json!({"ready": [], "device": "cuda", "gpu": gpu});
        assert_eq!(elsewhere(&ready("8e2c4b5f00112233445566778899aabb"), &on), None);
        let fault = elsewhere(&ready("00000000000000000000000000000000"), &on).expect("another one");
        assert!(fault.kind == FaultKind::Device && fault.message.contains(&on[0]), "{fault:?}");
        assert!(elsewhere(&json!({"ready": [], "device": "cpu"}), &on).is_some());
        // Without a placement, or from a worker that does not say, there is nothing to hold against each other.
        assert_eq!(elsewhere(&ready("0"), &[]), None);
        assert_eq!(elsewhere(&json!({"ready": []}), &on), None);
    }
}
