//! A model server as the plan has it, and where it is to run -> its command line, environment, and how it is asked.
//!
//! The one place that knows servers' flags. Nothing is ever downloaded by a server that we start, and no key stands in an argument, where
//! every user of the machine could read it.

use crate::plan::model::Serve;
use crate::run::fault::{Fault, FaultKind};
use std::collections::BTreeMap;

/// Where and how a server is to run.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The server.
    pub serve: &'a Serve,
    /// The name that the plan asks for the model by.
    pub model: &'a str,
    /// The API that it is asked by: `chat`, `embeddings`, `rerank`, `transcription`.
    pub api: &'a str,
    /// Its program; where that is a Python interpreter, the server is a module of it.
    pub program: &'a str,
    /// The weights: a file, a folder, or Ollama's name.
    pub weights: &'a str,
    /// The port on the loopback interface.
    pub port: u16,
    /// UUIDs of the GPUs that it sees; empty for none.
    pub gpus: &'a [String],
    /// Threads, where it runs on cores.
    pub threads: u32,
    /// The share of each GPU's memory that it may fill.
    pub share: f64,
    /// Whether it is to be able to sleep.
    pub sleeps: bool,
}

/// What starts a server, and how it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The variable that its key goes into; none where it takes no key but as an argument.
    pub key: Option<&'static str>,
    /// What the model is asked for as.
    pub model: String,
    /// The path that says whether it is there; below `/v1` where it begins with `v1/`.
    pub health: &'static str,
}

/// The servers that can be started, and the program that each is.
pub const PROGRAMS: [(&str, &str); 5] = [
    ("vllm", "vllm"),
    ("sglang", "sglang"),
    ("llama_cpp", "llama-server"),
    ("ollama", "ollama"),
    ("transformers", "transformers"),
];

/// Whether a program is an interpreter, of which the server is a module.
fn is_python(program: &str) -> bool {
    program.rsplit('/').next().is_some_and(|name| name.starts_with("python"))
}

/// Builds a command line.
pub fn command(launch: &Launch<'_>) -> Result<CommandLine, Fault> {
    let Launch { serve, model, .. } = launch;
    let mut line =
        CommandLine { argv: vec![launch.program.to_owned()], model: (*model).to_owned(), ..Default::default() };
    for (name, value) in [("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "1"), ("DO_NOT_TRACK", "1")] {
        line.env.insert(name.into(), value.into());
    }
    // By UUID, since CUDA and NVML number devices differently; with none, a server must not take a GPU that the plan did not give it.
    line.env.insert("CUDA_DEVICE_ORDER".into(), "PCI_BUS_ID".into());
    line.env.insert("CUDA_VISIBLE_DEVICES".into(), launch.gpus.join(","));
    match serve.server.as_str() {
        "vllm" => vllm(launch, &mut line),
        "sglang" => sglang(launch, &mut line),
        "llama_cpp" if is_python(launch.program) => llama_cpp_python(launch, &mut line),
        "llama_cpp" => llama_cpp(launch, &mut line),
        "ollama" => ollama(launch, &mut line),
        "transformers" => transformers(launch, &mut line),
        other => {
            let known: Vec<&str> = PROGRAMS.iter().map(|(name, _)| *name).collect();
            let message = format!("this version cannot start the server `{other}`; it starts {}", known.join(", "));
            return Err(Fault::new(FaultKind::Unsupported, message).help("start it yourself, and give its address"));
        }
    }
    line.argv.extend(serve.arguments.iter().cloned());
    Ok(line)
}

impl CommandLine {
    fn add(&mut self, arguments: &[&str]) {
        self.argv.extend(arguments.iter().map(|a| (*a).to_owned()));
    }

    /// An option, where there is something to say.
    fn option(&mut self, name: &str, value: u64) {
        if value > 0 {
            self.add(&[name, &value.to_string()]);
        }
    }

    fn listen(&mut self, port: u16) {
        self.add(&["--host", "127.0.0.1", "--port", &port.to_string()]);
    }

    fn set(&mut self, name: &str, value: impl ToString) {
        self.env.insert(name.to_owned(), value.to_string());
    }
}

fn share(launch: &Launch<'_>) -> String {
    format!("{:.2}", launch.share.clamp(0.02, 0.95))
}

fn vllm(launch: &Launch<'_>, line: &mut CommandLine) {
    line.add(&["serve", launch.weights, "--served-model-name", launch.model]);
    line.listen(launch.port);
    if !launch.gpus.is_empty() {
        line.option("--tensor-parallel-size", launch.gpus.len() as u64);
        // A share of the whole card, whatever else lies there: two servers on one card get theirs from the ledger.
        line.add(&["--gpu-memory-utilization", &share(launch)]);
    }
    line.option("--max-num-seqs", launch.serve.parallel.into());
    line.option("--max-model-len", launch.serve.context.into());
    if launch.sleeps {
        line.add(&["--enable-sleep-mode"]);
        // Without it, nothing answers `/sleep`.
        line.set("VLLM_SERVER_DEV_MODE", 1);
    }
    line.set("VLLM_NO_USAGE_STATS", 1);
    line.key = Some("VLLM_API_KEY");
    line.health = "health";
}

fn sglang(launch: &Launch<'_>, line: &mut CommandLine) {
    if is_python(launch.program) {
        line.add(&["-m", "sglang.launch_server"]);
    } else {
        line.add(&["serve"]);
    }
    line.add(&["--model-path", launch.weights, "--served-model-name", launch.model]);
    line.listen(launch.port);
    if launch.gpus.is_empty() {
        line.add(&["--device", "cpu"]);
    } else {
        line.option("--tp-size", launch.gpus.len() as u64);
        line.add(&["--mem-fraction-static", &share(launch)]);
    }
    line.option("--max-running-requests", launch.serve.parallel.into());
    line.option("--context-length", launch.serve.context.into());
    if launch.api == "embeddings" {
        line.add(&["--is-embedding"]);
    }
    line.health = "health";
}

fn llama_cpp(launch: &Launch<'_>, line: &mut CommandLine) {
    let parallel = launch.serve.parallel.max(1);
    line.add(&["--model", launch.weights, "--alias", launch.model]);
    line.listen(launch.port);
    line.option("--parallel", parallel.into());
    // Its context is that of all calls together.
    line.option("--ctx-size", u64::from(launch.serve.context) * u64::from(parallel));
    line.option("--threads", launch.threads.into());
    line.add(&["--n-gpu-layers", if launch.gpus.is_empty() { "0" } else { "999" }]);
    match launch.api {
        "embeddings" => line.add(&["--embeddings"]),
        "rerank" => line.add(&["--reranking"]),
        _ => {}
    }
    line.key = Some("LLAMA_API_KEY");
    line.health = "health";
}

fn llama_cpp_python(launch: &Launch<'_>, line: &mut CommandLine) {
    line.add(&["-m", "llama_cpp.server", "--model", launch.weights, "--model_alias", launch.model]);
    line.listen(launch.port);
    // 0: the model's own.
    line.add(&["--n_ctx", &launch.serve.context.to_string()]);
    line.option("--n_threads", launch.threads.into());
    line.option("--n_threads_batch", launch.threads.into());
    line.add(&["--n_gpu_layers", if launch.gpus.is_empty() { "0" } else { "-1" }]);
    // Else a call ends the one before it.
    line.add(&["--interrupt_requests", "false"]);
    if launch.api == "embeddings" {
        line.add(&["--embedding", "true"]);
    }
    line.key = Some("API_KEY");
    line.health = "v1/models";
}

fn ollama(launch: &Launch<'_>, line: &mut CommandLine) {
    line.add(&["serve"]);
    line.set("OLLAMA_HOST", format!("127.0.0.1:{}", launch.port));
    line.set("OLLAMA_NUM_PARALLEL", launch.serve.parallel.max(1));
    line.set("OLLAMA_MAX_LOADED_MODELS", 1);
    line.set("OLLAMA_KEEP_ALIVE", -1);
    line.set("OLLAMA_NOPRUNE", 1);
    if launch.serve.context > 0 {
        line.set("OLLAMA_CONTEXT_LENGTH", launch.serve.context);
    }
    if launch.gpus.is_empty() {
        // It takes an empty list for all of them.
        line.set("CUDA_VISIBLE_DEVICES", -1);
    }
    line.model = launch.weights.to_owned();
    line.health = "api/version";
}

fn transformers(launch: &Launch<'_>, line: &mut CommandLine) {
    line.add(&["serve"]);
    line.listen(launch.port);
    line.add(&["--device", if launch.gpus.is_empty() { "cpu" } else { "auto" }]);
    // Seconds after which an idle model is dropped: when a server ends is ours to say.
    line.add(&["--model-timeout", "1000000"]);
    if launch.serve.parallel > 1 {
        line.add(&["--continuous-batching"]);
    }
    // It loads what it is asked for.
    line.model = launch.weights.to_owned();
    line.health = "health";
}
