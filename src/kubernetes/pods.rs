//! A server → the pod that it is: its command line, what it needs, how one knows that it is there.

use super::objects::*;
use super::{COMPONENT, PART_OF, SERVES, Scene, Server, Setup, Unfit, Weights, nodes};
use crate::run::servers::Patience;
use crate::run::servers::command::{CommandLine, LEADER, Launch, Place, Span, command};
use crate::run::servers::ledger::RAM;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// The port of every server; its name is `http`.
pub const PORT: u16 = 8000;
const HTTP: &str = "http";
/// Where weights are in a container.
const FOLDER: &str = "/models";
/// What Kubernetes calls a GPU.
pub const GPU: &str = "nvidia.com/gpu";
/// What a server takes of its node beside each GPU: cores, and gibibytes. The plan does not know.
pub const BESIDE_GPU: (u32, u32) = (4, 16);
/// The share of a GPU's memory that a server fills which has it for itself.
const SHARE: f64 = 0.9;
/// Bytes that the hub gives in a second at least.
const FETCH: u64 = 50_000_000;
/// Memory that processes on several GPUs share.
const SHARED_MEMORY: &str = "8Gi";

/// Images with servers: on GPUs, on cores (none where nobody publishes one), and the program in them. `--image` gives others.
const IMAGES: [(&str, Option<&str>, Option<&str>, &str); 5] = [
    ("vllm", Some("vllm/vllm-openai:v0.33.0"), None, "vllm"),
    ("sglang", Some("lmsysorg/sglang:v0.5.23"), None, "python3"),
    (
        "llama_cpp",
        Some("ghcr.io/ggml-org/llama.cpp:server-cuda"),
        Some("ghcr.io/ggml-org/llama.cpp:server"),
        "/app/llama-server",
    ),
    ("ollama", Some("ollama/ollama:latest"), Some("ollama/ollama:latest"), "ollama"),
    ("transformers", None, None, "transformers"),
];

/// Which pod of a server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The only one.
    Whole,
    /// The one that answers, of so many.
    Leader(u32),
    /// One of the others.
    Worker(u32),
}

impl Part {
    fn nodes(self) -> u32 {
        match self {
            Part::Whole => 1,
            Part::Leader(nodes) | Part::Worker(nodes) => nodes,
        }
    }

    fn answers(self) -> bool {
        !matches!(self, Part::Worker(_))
    }
}

/// Whether a server is on GPUs.
pub fn on_gpus(server: &Server) -> bool {
    server.device != RAM
}

/// The nodes that a server spans.
pub fn nodes_of(server: &Server, setup: &Setup) -> Result<u32, Unfit> {
    let (units, node) = (server.units, setup.gpus_per_node);
    if !on_gpus(server) || units <= node {
        return Ok(1);
    }
    if units % node != 0 {
        return Err(Unfit::Uneven { server: server.name.clone(), units, node });
    }
    Ok(units / node)
}

/// The secret with the servers' keys.
pub fn keys(setup: &Setup) -> String {
    format!("{}-keys", setup.name)
}

/// The image with a server, and its program there.
pub fn image(server: &Server, setup: &Setup) -> Result<(String, &'static str), Unfit> {
    let kind = server.serve.server.as_str();
    let Some((_, gpus, cores, program)) = IMAGES.iter().find(|(name, ..)| *name == kind) else {
        return Err(Unfit::Server { why: format!("no server `{kind}` is known that a container could run") });
    };
    let published = if on_gpus(server) { *gpus } else { *cores };
    match setup.images.get(kind).cloned().or(published.map(str::to_owned)) {
        Some(image) => Ok((image, *program)),
        None => Err(Unfit::Image { kind: kind.to_owned() }),
    }
}

/// The weights as a server in a container finds them.
pub fn weights(server: &Server, setup: &Setup) -> Result<String, Unfit> {
    let (kind, weights) = (server.serve.server.as_str(), server.serve.weights.as_str());
    let refuse = |why, help| Err(Unfit::Weights { weights: weights.to_owned(), why, help });
    let local = weights.starts_with(['.', '/']) || weights.contains("..");
    if local && kind != "ollama" {
        return refuse("are a path, which a container does not have", "give the model's name, as it is in the volume");
    }
    match (&setup.weights, kind) {
        (Weights::Hub(_), "llama_cpp") => {
            refuse("are a file, which llama.cpp is not told to fetch", "put it into a volume: `--weights-claim CLAIM`")
        }
        (Weights::Hub(_), "ollama") => refuse(
            "are fetched by `ollama pull`, which no server does by itself",
            "pull them into a volume: `--weights-claim CLAIM`",
        ),
        (Weights::Claim(_), "llama_cpp") if !weights.ends_with(".gguf") => refuse(
            "may have several files, of which llama.cpp takes one",
            "say which with `weights \"FILE.gguf\"` in the model's engine",
        ),
        (Weights::Claim(_), "ollama") | (Weights::Hub(_), _) => Ok(weights.to_owned()),
        (Weights::Claim(_), _) => Ok(format!("{FOLDER}/{weights}")),
    }
}

/// What starts a part of a server.
pub fn line(server: &Server, setup: &Setup, part: Part) -> Result<CommandLine, Unfit> {
    let (_, program) = image(server, setup)?;
    let weights = weights(server, setup)?;
    let own = if on_gpus(server) { server.units / part.nodes() } else { 0 };
    // Inside a container its GPUs are all that there are.
    let gpus: Vec<String> = (0..own).map(|gpu| gpu.to_string()).collect();
    // Variables that the controller of the group sets in each of its pods.
    let leader = "$(LWS_LEADER_ADDRESS)";
    let span = match part {
        Part::Whole | Part::Leader(1) | Part::Worker(1) => None,
        Part::Leader(nodes) => Some(Span { nodes, rank: LEADER, leader }),
        Part::Worker(nodes) => Some(Span { nodes, rank: "$(LWS_WORKER_INDEX)", leader }),
    };
    let launch = Launch {
        serve: &server.serve,
        model: &server.model,
        api: &server.api,
        program,
        weights: &weights,
        port: PORT,
        gpus: &gpus,
        threads: if on_gpus(server) { 0 } else { server.units },
        share: SHARE,
        cache: 0,
        sleeps: false,
        place: Place::Container { fetches: matches!(setup.weights, Weights::Hub(_)), span },
    };
    let line = command(&launch).map_err(|fault| Unfit::Server { why: fault.message })?;
    if line.model != server.model {
        return Err(Unfit::Renamed { asked: server.model.clone(), known: line.model });
    }
    Ok(line)
}

/// The pod of a part of a server.
pub fn template(server: &Server, scene: &Scene<'_>, part: Part) -> Result<PodTemplate, Unfit> {
    let setup = scene.setup;
    let line = line(server, setup, part)?;
    let (image, _) = image(server, setup)?;
    let env = env(server, setup, &line);
    let (startup, readiness, liveness) = probes(server, setup, &line);
    let container = Container {
        command: line.argv.iter().take(1).cloned().collect(),
        args: line.argv.iter().skip(1).cloned().collect(),
        env,
        ports: if part.answers() { vec![ContainerPort { name: HTTP, container_port: PORT }] } else { Vec::new() },
        resources: resources(server, part.nodes()),
        startup_probe: part.answers().then_some(startup),
        readiness_probe: part.answers().then_some(readiness),
        liveness_probe: part.answers().then_some(liveness),
        volume_mounts: mounts(server, setup),
        ..Container::new(SERVES, image)
    };
    let labels = labels(server, scene, part);
    Ok(PodTemplate {
        metadata: Meta { name: None, labels, annotations: scene.annotations() },
        spec: pod(server, setup, container)?,
    })
}

/// A pod on the nodes of a server.
pub fn pod(server: &Server, setup: &Setup, container: Container) -> Result<PodSpec, Unfit> {
    Ok(PodSpec {
        node_selector: nodes::selector(&server.device, setup)?,
        tolerations: if on_gpus(server) { vec![Toleration::gpus()] } else { Vec::new() },
        volumes: volumes(server, setup),
        ..PodSpec::new(container)
    })
}

/// The label that says whether a pod of a group answers.
const ROLE: &str = "mkbc-role";

fn labels(server: &Server, scene: &Scene<'_>, part: Part) -> BTreeMap<String, String> {
    let mut labels = scene.labels(&server.name, SERVES);
    if part != Part::Whole {
        let role = if part.answers() { "leader" } else { "worker" };
        labels.insert(ROLE.to_owned(), role.to_owned());
    }
    labels
}

/// The labels by which the pods of a server that answer are known.
pub fn answering(server: &Server, scene: &Scene<'_>, part: Part) -> BTreeMap<String, String> {
    let known = ["app.kubernetes.io/name", PART_OF, COMPONENT, ROLE];
    labels(server, scene, part).into_iter().filter(|(key, _)| known.contains(&key.as_str())).collect()
}

/// The name under which a server is found.
pub fn service(server: &Server, scene: &Scene<'_>, part: Part) -> Object<Spec<Service>> {
    let port = ServicePort { name: HTTP.to_owned(), port: PORT, target_port: HTTP.to_owned() };
    let spec = Service { selector: answering(server, scene, part), ports: vec![port] };
    Object::with_spec("v1", "Service", scene.meta_of(server), spec)
}

impl Scene<'_> {
    /// The name and labels of a server's objects.
    pub fn meta_of(&self, server: &Server) -> Meta {
        let labels = self.labels(&server.name, SERVES);
        let mut annotations = self.annotations();
        let steps: Vec<&str> = server.steps.iter().map(String::as_str).collect();
        annotations.insert("mkbc-steps".to_owned(), steps.join(", "));
        Meta { name: Some(self.name(server)), labels, annotations }
    }
}

/// The variables of a server: its own, its key, and the hub's token.
pub fn env(server: &Server, setup: &Setup, line: &CommandLine) -> Vec<EnvVar> {
    let mut env: Vec<EnvVar> = line.env.iter().map(|(name, value)| EnvVar::plain(name, value)).collect();
    if let (Some(name), false) = (line.key, server.key_env.is_empty()) {
        env.push(EnvVar::secret(name, &keys(setup), &server.key_env, false));
    }
    match &setup.weights {
        Weights::Hub(token) => {
            env.push(EnvVar::plain("HF_HOME", FOLDER));
            env.push(EnvVar::secret("HF_TOKEN", token, "token", true));
        }
        Weights::Claim(_) if server.serve.server == "ollama" => env.push(EnvVar::plain("OLLAMA_MODELS", FOLDER)),
        Weights::Claim(_) => {}
    }
    env
}

fn gibibytes(gigabytes: Decimal) -> Option<u64> {
    let bytes = gigabytes.checked_mul(Decimal::from(1_000_000_000))?;
    (bytes / Decimal::from(1_u64 << 30)).ceil().to_u64().filter(|gib| *gib > 0)
}

/// What a pod of a server on so many nodes needs.
pub fn resources(server: &Server, nodes: u32) -> Resources {
    if on_gpus(server) {
        let gpus = server.units / nodes;
        let (cores, memory) = BESIDE_GPU;
        let requests =
            [("cpu", (cores * gpus).to_string()), ("memory", format!("{}Gi", memory * gpus)), (GPU, gpus.to_string())];
        // Devices are never lent: what is asked for is also the most.
        return Resources { requests: requests.into(), limits: [(GPU, gpus.to_string())].into() };
    }
    let mut requests = BTreeMap::from([("cpu", server.units.to_string())]);
    requests.extend(gibibytes(server.memory_gb).map(|gib| ("memory", format!("{gib}Gi"))));
    // More threads than the plan gives it would take the cores of others.
    Resources { requests, limits: [("cpu", server.units.to_string())].into() }
}

fn probes(server: &Server, setup: &Setup, line: &CommandLine) -> (Probe, Probe, Probe) {
    let bytes = gibibytes(server.memory_gb).unwrap_or(0) << 30;
    let fetching = match setup.weights {
        Weights::Hub(_) => bytes / FETCH,
        Weights::Claim(_) => 0,
    };
    let within = Patience::default().within(bytes).as_secs() + fetching;
    let probe = |period: u32, failures: u64| Probe {
        http_get: HttpGet { path: format!("/{}", line.health), port: HTTP },
        period_seconds: period,
        failure_threshold: failures,
        timeout_seconds: 5,
    };
    (probe(10, within.div_ceil(10)), probe(5, 2), probe(10, 6))
}

/// Where volumes are in the container of a server.
pub fn mounts(server: &Server, setup: &Setup) -> Vec<VolumeMount> {
    let read_only = matches!(setup.weights, Weights::Claim(_));
    let mut mounts = vec![VolumeMount { name: "weights", mount_path: FOLDER, read_only }];
    if on_gpus(server) {
        mounts.push(VolumeMount { name: "shared-memory", mount_path: "/dev/shm", read_only: false });
    }
    mounts
}

fn volumes(server: &Server, setup: &Setup) -> Vec<Volume> {
    let weights = Volume::new("weights");
    let weights = match &setup.weights {
        Weights::Hub(_) => Volume { empty_dir: Some(EmptyDir::default()), ..weights },
        Weights::Claim(claim) => {
            let claim = Claim { claim_name: claim.clone(), read_only: true };
            Volume { persistent_volume_claim: Some(claim), ..weights }
        }
    };
    let mut volumes = vec![weights];
    if on_gpus(server) {
        let memory = EmptyDir { medium: Some("Memory"), size_limit: Some(SHARED_MEMORY) };
        volumes.push(Volume { empty_dir: Some(memory), ..Volume::new("shared-memory") });
    }
    volumes
}
