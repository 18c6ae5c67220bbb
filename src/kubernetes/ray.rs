//! vLLM's models → one RayService: Ray Serve has an address for all of them and routes by the model's name; each server has nodes of its
//! own, which a resource with its name marks, so that no other server takes their GPUs.

use super::objects::*;
use super::pods::{BESIDE_GPU, GPU, PORT, Part, env, line, mounts, nodes_of, on_gpus, pod, resources, weights};
use super::{Scene, Server, Setup, Unfit};
use crate::run::servers::command::CommandLine;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The image of Ray with vLLM, and Ray's version in it.
const IMAGE: &str = "rayproject/ray-llm:2.52.0-py311-cu128";
const VERSION: &str = "2.52.0";
/// Cores and gibibytes of the head, which serves no model.
const HEAD: (u32, u32) = (2, 8);
/// APIs that Ray Serve answers.
const APIS: [&str; 3] = ["chat", "embeddings", "transcription"];

/// Whether Ray Serve can have a server: vLLM on GPUs.
pub fn serves(server: &Server) -> bool {
    server.serve.server == "vllm" && on_gpus(server) && APIS.contains(&server.api.as_str())
}

/// Where a run finds the models.
pub fn address(scene: &Scene<'_>) -> String {
    format!("http://{}-serve-svc:{PORT}/v1", scene.setup.name)
}

/// Ray Serve's configuration.
#[derive(Serialize)]
struct ServeConfig {
    applications: Vec<Application>,
}

#[derive(Serialize)]
struct Application {
    name: String,
    import_path: &'static str,
    route_prefix: &'static str,
    args: Args,
}

#[derive(Serialize)]
struct Args {
    llm_configs: Vec<Llm>,
}

#[derive(Serialize)]
struct Llm {
    model_loading_config: Loading,
    deployment_config: Replicated,
    placement_group_config: Placement,
    engine_kwargs: Map<String, Value>,
}

#[derive(Serialize)]
struct Loading {
    model_id: String,
    model_source: String,
}

#[derive(Serialize)]
struct Replicated {
    autoscaling_config: Between,
    max_ongoing_requests: u32,
}

/// Ray Serve takes bounds; ours are one number, the plan's.
#[derive(Serialize)]
struct Between {
    min_replicas: u32,
    max_replicas: u32,
}

#[derive(Serialize)]
struct Placement {
    bundles: Vec<BTreeMap<String, u32>>,
    strategy: &'static str,
}

/// Writes servers as a RayService.
pub fn write(servers: &[&Server], scene: &Scene<'_>) -> Result<String, Unfit> {
    let llm_configs = servers.iter().map(|server| llm(server, scene.setup)).collect::<Result<_, _>>()?;
    let application = Application {
        name: scene.setup.name.clone(),
        import_path: "ray.serve.llm:build_openai_app",
        route_prefix: "/",
        args: Args { llm_configs },
    };
    let spec = RayService {
        serve_config_v2: ServeConfig { applications: vec![application] }.yaml(),
        ray_cluster_config: RayCluster {
            ray_version: VERSION.to_owned(),
            // Whoever may submit to a Ray cluster may run anything on it.
            auth_options: AuthOptions { mode: "token" },
            head_group_spec: head(scene),
            worker_group_specs: servers.iter().map(|server| group(server, scene)).collect::<Result<_, _>>()?,
        },
    };
    let meta = scene.meta(&scene.setup.name, "ray");
    Ok(Object::with_spec("ray.io/v1", "RayService", meta, spec).yaml())
}

fn llm(server: &Server, setup: &Setup) -> Result<Llm, Unfit> {
    let nodes = nodes_of(server, setup)?;
    let line = line(server, setup, Part::Whole)?;
    let mut engine_kwargs = settings(&line);
    // As a group of machines splits a model: tensors within one, layers over several.
    engine_kwargs.insert("tensor_parallel_size".into(), (server.units / nodes).into());
    if nodes > 1 {
        engine_kwargs.insert("pipeline_parallel_size".into(), nodes.into());
    }
    let bundle: BTreeMap<String, u32> = [("CPU".to_owned(), 1), ("GPU".to_owned(), 1), (resource(server), 1)].into();
    Ok(Llm {
        model_loading_config: Loading { model_id: server.model.clone(), model_source: weights(server, setup)? },
        deployment_config: Replicated {
            autoscaling_config: Between { min_replicas: server.replicas, max_replicas: server.replicas },
            max_ongoing_requests: server.serve.parallel.max(1),
        },
        placement_group_config: Placement { bundles: vec![bundle; server.units as usize], strategy: "PACK" },
        engine_kwargs,
    })
}

/// What Ray calls the GPUs of a server.
fn resource(server: &Server) -> String {
    format!("gpu-of-{}", server.name)
}

/// Flags of `vllm serve` → the settings of its engine, which have the same names. Where it listens, and as what the model is known, is
/// Ray's to say.
fn settings(line: &CommandLine) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut words = line.argv.iter().peekable();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else { continue };
        let (flag, given) = match flag.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (flag, words.next_if(|word| !word.starts_with("--")).cloned()),
        };
        let (name, value) = match (flag.strip_prefix("no-"), given) {
            (Some(off), None) => (off, Value::Bool(false)),
            (_, None) => (flag, Value::Bool(true)),
            // A number, or JSON; else a word.
            (_, Some(value)) => (flag, serde_json::from_str(&value).unwrap_or(Value::String(value))),
        };
        if !["host", "port", "served-model-name"].contains(&name) {
            settings.insert(name.replace('-', "_"), value);
        }
    }
    settings
}

fn image(setup: &Setup) -> String {
    setup.images.get("ray").cloned().unwrap_or_else(|| IMAGE.to_owned())
}

/// The head: it serves nobody, so that no model dies with a request that is too large for it.
fn head(scene: &Scene<'_>) -> HeadGroup {
    let (cores, memory) = HEAD;
    let ports = [("gcs", 6379), ("dashboard", 8265), ("client", 10001), ("serve", PORT)];
    let size: BTreeMap<&'static str, String> = [("cpu", cores.to_string()), ("memory", format!("{memory}Gi"))].into();
    let container = Container {
        ports: ports.iter().map(|(name, port)| ContainerPort { name, container_port: *port }).collect(),
        resources: Resources { requests: size.clone(), limits: size },
        ..Container::new("ray-head", image(scene.setup))
    };
    let labels = scene.labels("ray-head", "ray");
    HeadGroup {
        ray_start_params: BTreeMap::from([("num-cpus".to_owned(), "0".to_owned())]),
        template: PodTemplate {
            metadata: Meta { name: None, labels, annotations: scene.annotations() },
            spec: PodSpec::new(container),
        },
    }
}

/// The nodes of a server.
fn group(server: &Server, scene: &Scene<'_>) -> Result<WorkerGroup, Unfit> {
    let setup = scene.setup;
    let nodes = nodes_of(server, setup)?;
    let gpus = server.units / nodes;
    let replicas = server.replicas.saturating_mul(nodes);
    // Ray Serve asks nobody for a key.
    let line = CommandLine { key: None, ..line(server, setup, Part::Whole)? };
    let mut needs = resources(server, nodes);
    // Ray counts the limits of its container.
    needs.limits.extend(needs.requests.iter().filter(|(name, _)| **name != GPU).map(|(k, v)| (*k, v.clone())));
    let container = Container {
        env: env(server, setup, &line),
        resources: needs,
        volume_mounts: mounts(server, setup),
        ..Container::new("ray-worker", image(setup))
    };
    // A JSON object within the quotes of a shell, as KubeRay hands it on.
    let marked = format!("'{{\"{}\": {gpus}}}'", resource(server));
    let params =
        [("num-cpus", (BESIDE_GPU.0 * gpus).to_string()), ("num-gpus", gpus.to_string()), ("resources", marked)];
    let labels = scene.labels(&server.name, "ray");
    Ok(WorkerGroup {
        group_name: server.name.clone(),
        replicas,
        min_replicas: replicas,
        max_replicas: replicas,
        ray_start_params: params.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        template: PodTemplate {
            metadata: Meta { name: None, labels, annotations: scene.annotations() },
            spec: pod(server, setup, container)?,
        },
    })
}
