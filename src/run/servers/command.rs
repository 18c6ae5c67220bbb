//! A model server as the plan has it, and where it is to run -> its command line, environment, and how it is asked.
//!
//! The one place that knows servers' flags. Nothing is ever downloaded by a server that we start, and no key stands in an argument, where
//! every user of the machine could read it. `src/kubernetes` has the same servers started by others, in containers.

use crate::plan::model::Serve;
use crate::run::devices::cuda::{VISIBLE, visible};
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
    /// The GPUs that it uses, by UUID, of one machine; empty for none.
    pub gpus: &'a [String],
    /// Threads, where it runs on cores.
    pub threads: u32,
    /// The share of each GPU's memory that it may fill.
    pub share: f64,
    /// Bytes of the machine's memory for what it keeps of its calls, on cores; 0 where that is its own affair.
    pub cache: u64,
    /// Whether it is to be able to sleep.
    pub sleeps: bool,
    /// Who starts it.
    pub place: Place<'a>,
}

/// Who starts a server, and so who may reach it and what it may fetch.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// We, for ourselves alone: on the loopback interface, with the GPUs that are named, and with weights that are there.
    Here,
    /// Somebody who puts it into a container: on all of its interfaces, with the GPUs that the container has.
    Container {
        /// Whether it fetches weights that are not there.
        fetches: bool,
        /// The machines that it spans; none for one.
        span: Option<Span<'a>>,
    },
}

/// A server on several machines.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// How many machines.
    pub nodes: u32,
    /// Which of them this is, from 0, as it is written on the command line: it may stand for a variable.
    pub rank: &'a str,
    /// Where the first one is.
    pub leader: &'a str,
}

/// The rank of the machine that answers.
pub const LEADER: &str = "0";
/// The port on which SGLang's machines find each other.
const MEET: u16 = 20_000;

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

/// The servers that can span several machines.
const SPANNING: [&str; 2] = ["vllm", "sglang"];

/// Whether a program is an interpreter, of which the server is a module.
fn is_python(program: &str) -> bool {
    program.rsplit('/').next().is_some_and(|name| name.starts_with("python"))
}

/// Builds a command line.
pub fn command(launch: &Launch<'_>) -> Result<CommandLine, Fault> {
    let Launch { serve, model, .. } = launch;
    let mut line =
        CommandLine { argv: vec![launch.program.to_owned()], model: (*model).to_owned(), ..Default::default() };
    line.set("DO_NOT_TRACK", 1);
    if !launch.fetches() {
        line.set("HF_HUB_OFFLINE", 1);
        line.set("TRANSFORMERS_OFFLINE", 1);
    }
    if let Place::Here = launch.place {
        // With none, a server must not take a GPU that the plan did not give it.
        visible(launch.gpus).into_iter().for_each(|(name, value)| line.set(name, value));
    }
    if launch.span().is_some() && !SPANNING.contains(&serve.server.as_str()) {
        let message = format!("`{}` does not span several machines; {} do", serve.server, SPANNING.join(" and "));
        return Err(Fault::new(FaultKind::Unsupported, message));
    }
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

impl Launch<'_> {
    fn fetches(&self) -> bool {
        matches!(self.place, Place::Container { fetches: true, .. })
    }

    fn span(&self) -> Option<Span<'_>> {
        match self.place {
            Place::Container { span, .. } => span,
            Place::Here => None,
        }
    }

    /// The address that it listens on.
    fn host(&self) -> &'static str {
        match self.place {
            Place::Here => "127.0.0.1",
            Place::Container { .. } => "0.0.0.0",
        }
    }
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

    fn listen(&mut self, launch: &Launch<'_>) {
        self.add(&["--host", launch.host(), "--port", &launch.port.to_string()]);
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
    line.listen(launch);
    if !launch.gpus.is_empty() {
        line.option("--tensor-parallel-size", launch.gpus.len() as u64);
        // A share of the whole card, whatever else lies there: two servers on one card get theirs from the ledger.
        line.add(&["--gpu-memory-utilization", &share(launch)]);
    } else if let Place::Here = launch.place {
        // Else it wants 92 % of the machine's memory, and does not start where somebody else has some of it.
        line.set("VLLM_CPU_KVCACHE_SPACE", (launch.cache >> 30).max(1));
        // Else it sits on cores of its own choice, those that another server has chosen as well.
        line.set("VLLM_CPU_OMP_THREADS_BIND", "nobind");
    }
    if let Some(Span { nodes, rank, leader }) = launch.span() {
        // Tensors are split over the GPUs of a machine, which are near each other, and layers over the machines.
        line.option("--pipeline-parallel-size", nodes.into());
        line.add(&["--nnodes", &nodes.to_string(), "--node-rank", rank, "--master-addr", leader]);
        if rank != LEADER {
            line.add(&["--headless"]);
        }
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
    line.listen(launch);
    if launch.gpus.is_empty() {
        line.add(&["--device", "cpu"]);
    } else {
        let nodes = launch.span().map_or(1, |span| u64::from(span.nodes));
        line.option("--tp-size", launch.gpus.len() as u64 * nodes);
        line.add(&["--mem-fraction-static", &share(launch)]);
    }
    if let Some(Span { nodes, rank, leader }) = launch.span() {
        let meet = format!("{leader}:{MEET}");
        line.add(&["--nnodes", &nodes.to_string(), "--node-rank", rank, "--dist-init-addr", &meet]);
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
    line.listen(launch);
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
    line.listen(launch);
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
    line.set("OLLAMA_HOST", format!("{}:{}", launch.host(), launch.port));
    line.set("OLLAMA_NUM_PARALLEL", launch.serve.parallel.max(1));
    line.set("OLLAMA_MAX_LOADED_MODELS", 1);
    line.set("OLLAMA_KEEP_ALIVE", -1);
    line.set("OLLAMA_NOPRUNE", 1);
    if launch.serve.context > 0 {
        line.set("OLLAMA_CONTEXT_LENGTH", launch.serve.context);
    }
    if launch.gpus.is_empty() {
        // It takes an empty list for all of them.
        line.set(VISIBLE, -1);
    }
    line.model = launch.weights.to_owned();
    line.health = "api/version";
}

fn transformers(launch: &Launch<'_>, line: &mut CommandLine) {
    line.add(&["serve"]);
    line.listen(launch);
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
