//! `mkbc export`. (What `mkbc plan --export` writes for other solvers is in `export.rs`.)

use super::args::{Format, Source};
use super::fleet::{is_joint, read_joint};
use super::inputs::{Inputs, known, missing};
use super::load::{files as list, load, lock_path, read, write};
use super::plan::read_plan;
use super::verify::against_source;
use super::{Failure, note, print};
use crate::kubernetes::{
    LONGEST_NAME, Manifest, PLAN, Run, Setup, Target, Unfit, Weights, export as written, held, of_joint, of_plan,
    plain_name, plan_digest, secrets,
};
use crate::plan::model::Plan;
use crate::run::servers::command::PROGRAMS;
use crate::units::counted;
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct ExportOptions {
    /// For what
    #[arg(value_enum)]
    pub what: Exported,
    /// The plan, of `mkbc plan -o`: of one job, or of several
    pub plan: PathBuf,
    /// The folder that files are written to; made if it is not there [default: all of them on standard output]
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What the names of all objects begin with [default: the job's name; `fleet` for several]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// GPUs that a node has; a server that needs more spans several nodes
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub gpus_per_node: u32,
    /// The label of the nodes that have a device (repeatable) [default: NVIDIA's product label]
    #[arg(long, value_name = "DEVICE=LABEL=VALUE")]
    pub node: Vec<String>,
    /// A container image: of a server (vllm, sglang, llama_cpp, ollama, transformers), of ray, of mkbc for --run (repeatable)
    #[arg(long, value_name = "SERVER=IMAGE")]
    pub image: Vec<String>,
    /// A PersistentVolumeClaim that has the weights, each model's in the folder of its name [default: fetched from Hugging Face]
    #[arg(long, value_name = "CLAIM")]
    pub weights_claim: Option<String>,
    /// Run the plan in the cluster as well: the job file that it was made from; the job's inputs are options
    #[arg(long, value_name = "FILE")]
    pub run: Option<PathBuf>,
    /// A folder of the library that the plan was made with, for --run (repeatable)
    #[arg(long, value_name = "DIR", requires = "run")]
    pub library: Vec<PathBuf>,
    /// A PersistentVolumeClaim with files that inputs name, as /inputs/…
    #[arg(long, value_name = "CLAIM", requires = "run")]
    pub inputs_claim: Option<String>,
    /// The secret whose key `token` is for Hugging Face, where it is there
    #[arg(long, default_value = "hugging-face", value_name = "SECRET", conflicts_with = "weights_claim")]
    pub hub_secret: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Exported {
    /// A RayService of KubeRay for vLLM's models, Deployments for other servers
    Kuberay,
    /// A Deployment for each server: vLLM and others
    Vllm,
    /// A LeaderWorkerSet for each server, over several nodes where one has too few GPUs
    Lws,
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Failure {
        Failure::Message(unfit.to_string())
    }
}

/// Writes the manifests of a plan.
pub fn export(options: &ExportOptions, inputs: &Inputs) -> Result<(), Failure> {
    let plan = if is_joint(&options.plan) { None } else { Some(read_plan(&options.plan)?) };
    let servers = match &plan {
        Some(plan) => of_plan(plan)?,
        None => of_joint(&read_joint(&options.plan)?)?,
    };
    let run = run(options, plan.as_ref(), inputs)?;
    let job = plan.as_ref().map_or("fleet", |plan| plan.job.as_str());
    let setup = setup(options, job)?;
    let target = match options.what {
        Exported::Kuberay => Target::Ray,
        Exported::Vllm => Target::Deployments,
        Exported::Lws => Target::Groups,
    };
    let manifests = written(&servers, run.as_ref(), target, &setup, &plan_digest(&read(&options.plan)?))?;
    match &options.out {
        None => print(&manifests.iter().map(|m| m.text.as_str()).collect::<Vec<_>>().join("---\n")),
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .map_err(|e| format!("cannot make the folder `{}`: {e}", folder.display()))?;
            for Manifest { file, text } in &manifests {
                write(&folder.join(file), text)?;
            }
            let files = counted(manifests.len(), "file");
            note(&format!("{files} in {0}: kubectl apply -f {0}", folder.display()));
        }
    }
    let devices: Vec<String> = held(&servers).iter().map(|(device, units)| format!("{units} {device}")).collect();
    if !servers.is_empty() {
        let (hold, they) = if servers.len() == 1 { ("holds", "it stands") } else { ("hold", "they stand") };
        let servers = counted(servers.len(), "server");
        note(&format!("{servers}, which {hold} {} as long as {they}", devices.join(", ")));
    }
    if let Some((secret, keys)) = secrets(&servers, run.as_ref(), target, &setup) {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        note(&format!("the secret `{secret}` must be there, with {}", keys.join(", ")));
    }
    Ok(())
}

/// The run that is asked for, with all files that it needs.
fn run<'p>(options: &ExportOptions, plan: Option<&'p Plan>, inputs: &Inputs) -> Result<Option<Run<'p>>, Failure> {
    let (file, plan) = match (&options.run, plan) {
        (Some(file), Some(plan)) => (file, plan),
        (Some(_), None) => return Err(Failure::Usage("`--run` takes the plan of one job, not a joint plan".into())),
        (None, _) if !inputs.is_empty() => return Err(Failure::Usage("inputs are for a run: `--run JOB.mkb`".into())),
        (None, _) => return Ok(None),
    };
    let names: Vec<&str> = plan.inputs.iter().map(|input| input.name.as_str()).collect();
    known(inputs, &names)?;
    missing(plan.inputs.iter().map(|i| (i.name.as_str(), &i.ty)), &|name| inputs.contains_key(name))?;
    let source = Source { file: file.clone(), library: options.library.clone(), format: Format::Text };
    match against_source(plan, &source)?.as_slice() {
        [] => {}
        wrong => return Err(format!("the plan could not be run there:\n  {}", wrong.join("\n  ")).into()),
    }
    let mut files = BTreeMap::from([(PLAN.to_owned(), read(&options.plan)?)]);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let job = name(file);
    files.insert(job.clone(), read(file)?);
    let lock = lock_path(file);
    if lock.is_file() {
        files.insert(name(&lock), read(&lock)?);
    }
    let beside = load(&source)?.0;
    for name in beside.tables.keys().chain(beside.loads.keys()) {
        files.insert(name.to_string(), read(&file.with_file_name(name.as_str()))?);
    }
    let mut libraries = Vec::new();
    for (number, folder) in options.library.iter().enumerate() {
        let library = format!("library-{number}");
        for (within, ending) in [("", "mkb"), ("profiles", "csv"), ("measured", "csv")] {
            let from = folder.join(within);
            for path in if from.is_dir() { list(&from, ending)? } else { Vec::new() } {
                let to = Path::new(&library).join(within).join(name(&path));
                files.insert(to.to_string_lossy().into_owned(), read(&path)?);
            }
        }
        libraries.push(library);
    }
    let words = inputs.iter().flat_map(|(name, values)| values.iter().map(move |value| format!("--{name}={value}")));
    let (inputs, claim) = (words.collect(), options.inputs_claim.clone());
    Ok(Some(Run { plan, files, job, libraries, inputs, claim }))
}

/// What images can be given of.
fn servers() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _)| *name).chain(["ray", "mkbc"])
}

fn setup(options: &ExportOptions, job: &str) -> Result<Setup, Failure> {
    let mut nodes = BTreeMap::new();
    for given in &options.node {
        let parts: Vec<&str> = given.splitn(3, '=').collect();
        let [device, label, value] = parts[..] else {
            return Err(Failure::Usage(format!("`--node {given}`: it takes DEVICE=LABEL=VALUE")));
        };
        nodes.insert(device.to_owned(), (label.to_owned(), value.to_owned()));
    }
    let mut images = BTreeMap::new();
    for given in &options.image {
        let Some((server, image)) = given.split_once('=') else {
            return Err(Failure::Usage(format!("`--image {given}`: it takes SERVER=IMAGE")));
        };
        if !servers().any(|known| known == server) {
            let known: Vec<&str> = servers().collect();
            return Err(Failure::Usage(format!("`--image {given}`: it is for one of {}", known.join(", "))));
        }
        images.insert(server.to_owned(), image.to_owned());
    }
    let weights = match &options.weights_claim {
        Some(claim) => Weights::Claim(claim.clone()),
        None => Weights::Hub(options.hub_secret.clone()),
    };
    let name = options.name.clone().unwrap_or_else(|| plain_name(job, LONGEST_NAME));
    Ok(Setup { name, images, nodes, gpus_per_node: options.gpus_per_node, weights })
}
