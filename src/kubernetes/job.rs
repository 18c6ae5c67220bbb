//! A run of a plan → a Job that runs it in the cluster, against the servers there, and a ConfigMap with the files that it is made from.

use super::objects::*;
use super::pods::{GPU, keys};
use super::{Scene, Unfit, addresses_name, nodes};
use crate::plan::model::{Engine, Plan};
use crate::run::servers::ledger::RAM;
use std::collections::{BTreeMap, BTreeSet};

/// What mkbc is called among images.
const IMAGE: &str = "mkbc";
/// The most that a ConfigMap holds, bytes.
const MOST: usize = 1 << 20;
/// Where the files of a run are in its container, where inputs are, and where it works.
const FILES: &str = "/job";
const INPUTS: &str = "/inputs";
const WORK: &str = "/work";
/// How often a run that failed goes on from its journal.
const AGAIN: u32 = 3;

/// A run of a plan.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The files that it is made from, by their path: `plan.json`, the job's, its lock's and its libraries'.
    pub files: BTreeMap<String, String>,
    /// The job's file among them.
    pub job: String,
    /// The folders of libraries among them.
    pub libraries: Vec<String>,
    /// The job's inputs, as arguments.
    pub inputs: Vec<String>,
    /// A claim with files that inputs name, as `/inputs/…`.
    pub claim: Option<String>,
}

/// The path of the plan among a run's files.
pub const PLAN: &str = "plan.json";

/// Writes a run.
pub fn write(run: &Run<'_>, scene: &Scene<'_>) -> Result<String, Unfit> {
    let bytes: usize = run.files.iter().map(|(path, text)| path.len() + text.len()).sum();
    if bytes > MOST {
        return Err(Unfit::TooMuch { bytes, most: MOST });
    }
    let name = format!("{}-run", scene.setup.name);
    let meta = scene.meta(&name, "run");
    let data = keyed(run).map(|(key, _, text)| (key, text.clone())).collect();
    let files = Object::new("v1", "ConfigMap", meta.clone(), ConfigMap { data });
    let spec = Job { backoff_limit: AGAIN, template: template(run, scene, &name)? };
    Ok([files.yaml(), Object::with_spec("batch/v1", "Job", meta, spec).yaml()].join("---\n"))
}

/// Files with the keys that they have in a ConfigMap, which takes no `/` in one.
fn keyed<'r>(run: &'r Run<'_>) -> impl Iterator<Item = (String, &'r String, &'r String)> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    run.files.iter().enumerate().map(move |(number, (path, text))| {
        // Numbered, since two paths may differ in such a letter alone.
        let key = format!("{number}.{}", path.chars().map(plain).collect::<String>());
        (key, path, text)
    })
}

fn template(run: &Run<'_>, scene: &Scene<'_>, name: &str) -> Result<PodTemplate, Unfit> {
    let setup = scene.setup;
    let image = setup.images.get(IMAGE).cloned().ok_or_else(|| Unfit::Image { kind: IMAGE.to_owned() })?;
    let here = here(run.plan);
    let container = Container {
        env: secrets(run.plan).into_iter().map(|name| EnvVar::secret(&name, &keys(setup), &name, false)).collect(),
        env_from: vec![EnvFrom { config_map_ref: Named { name: addresses_name(setup) } }],
        args: arguments(run),
        command: vec![IMAGE.to_owned()],
        working_dir: Some(WORK),
        resources: here.resources(),
        volume_mounts: mounts(run),
        ..Container::new(IMAGE, image)
    };
    let on = here.gpus.as_ref().map(|(device, _)| nodes::selector(device, setup)).transpose()?;
    Ok(PodTemplate {
        metadata: Meta { name: None, labels: scene.labels(name, "run"), annotations: scene.annotations() },
        spec: PodSpec {
            // In the same pod, so that its journal is still there.
            restart_policy: Some("OnFailure"),
            node_selector: on.unwrap_or_default(),
            tolerations: if here.gpus.is_some() { vec![Toleration::gpus()] } else { Vec::new() },
            volumes: volumes(run, name),
            ..PodSpec::new(container)
        },
    })
}

fn arguments(run: &Run<'_>) -> Vec<String> {
    let mut words: Vec<String> = vec!["run".into(), format!("{FILES}/{}", run.job), format!("--plan={FILES}/{PLAN}")];
    // With a key, a container that is started again goes on with the run, and does nothing twice.
    words.extend(["--key=run".to_owned(), "--json".to_owned()]);
    words.extend(run.libraries.iter().map(|folder| format!("--library={FILES}/{folder}")));
    // Kubernetes puts variables into arguments: `$(NAME)`, but not where there are two `$`.
    words.extend(run.inputs.iter().map(|word| word.replace("$(", "$$(")));
    words
}

/// What steps need that no server carries out: all of it is in the run's own container.
struct Here {
    cores: u32,
    gpus: Option<(String, u32)>,
}

fn here(plan: &Plan) -> Here {
    let own = plan.steps.iter().filter(|step| step.engine.provider().is_none());
    let mut here = Here { cores: 1, gpus: None };
    for hardware in own.map(|step| &step.hardware) {
        if hardware.device == RAM {
            here.cores = here.cores.max(hardware.held());
        } else if hardware.units > 0 {
            let most = here.gpus.get_or_insert_with(|| (hardware.device.clone(), 0));
            most.1 = most.1.max(hardware.held());
        }
    }
    here
}

impl Here {
    fn resources(&self) -> Resources {
        let mut resources = Resources { requests: [("cpu", self.cores.to_string())].into(), ..Resources::default() };
        if let Some((_, gpus)) = &self.gpus {
            resources.limits.insert(GPU, gpus.to_string());
        }
        resources
    }
}

/// The keys that steps need, by the names of their variables.
pub fn secrets(plan: &Plan) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for step in &plan.steps {
        match &step.engine {
            Engine::Openai(provider) | Engine::Anthropic(provider) | Engine::Bedrock(provider) => {
                names.insert(provider.key_env.clone())
            }
            Engine::Http(request) => names.insert(request.key_env.clone()),
            Engine::Mcp { server, .. } => {
                names.extend(server.env.iter().cloned());
                names.insert(server.key_env.clone())
            }
            _ => false,
        };
    }
    names.remove("");
    names
}

fn mounts(run: &Run<'_>) -> Vec<VolumeMount> {
    let mut mounts = vec![
        VolumeMount { name: "files", mount_path: FILES, read_only: true },
        VolumeMount { name: "work", mount_path: WORK, read_only: false },
    ];
    if run.claim.is_some() {
        mounts.push(VolumeMount { name: "inputs", mount_path: INPUTS, read_only: true });
    }
    mounts
}

fn volumes(run: &Run<'_>, name: &str) -> Vec<Volume> {
    let items = keyed(run).map(|(key, path, _)| Item { key, path: path.clone() }).collect();
    let files = ConfigMapVolume { name: name.to_owned(), items };
    let mut volumes = vec![
        Volume { config_map: Some(files), ..Volume::new("files") },
        Volume { empty_dir: Some(EmptyDir::default()), ..Volume::new("work") },
    ];
    if let Some(claim) = &run.claim {
        let claim = Claim { claim_name: claim.clone(), read_only: true };
        volumes.push(Volume { persistent_volume_claim: Some(claim), ..Volume::new("inputs") });
    }
    volumes
}
