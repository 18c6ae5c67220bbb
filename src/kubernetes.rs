//! A plan, or a joint plan → manifests for Kubernetes: its model servers, each with the replicas, the GPUs and the flags that the plan
//! gives it, and the addresses by which a run finds them.
//!
//! Manifests are written from typed objects ([`objects`]) and never applied: operating a cluster is its own tools' work. What a plan says
//! and Kubernetes cannot promise (two models side by side on one GPU) is refused ([`Unfit`]), not written otherwise. The same plan gives
//! the same bytes. A secret is a reference to one that is there already.

pub mod objects;

mod deployment;
mod group;
mod job;
mod nodes;
mod pods;
mod ray;
mod servers;
mod unfit;

use crate::digest::digest;
use crate::run::servers::find::own_address;
use objects::{ConfigMap, Ingress, NetworkPolicy, Object, Peer, Selector, ToYaml};
use std::collections::{BTreeMap, BTreeSet};

pub use job::{PLAN, Run};
pub use servers::{Server, of_joint, of_plan};
pub use unfit::Unfit;

/// What carries the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Deployments: a server is one pod.
    Deployments,
    /// LeaderWorkerSets: a server is a group of pods, one on each of its machines.
    Groups,
    /// One RayService that serves vLLM's models, and Deployments for other servers.
    Ray,
}

/// How servers are set up in the cluster, where the plan leaves that open.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The name that every object's begins with.
    pub name: String,
    /// Container images by server (`vllm`, `ray`), instead of the usual ones.
    pub images: BTreeMap<String, String>,
    /// The label by which nodes with a device are found, by the device's name.
    pub nodes: BTreeMap<String, (String, String)>,
    /// GPUs of a node.
    pub gpus_per_node: u32,
    /// Where weights come from.
    pub weights: Weights,
}

/// Where servers take weights from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Weights {
    /// From the Hugging Face hub, by name, with the token of this secret (key `token`) if it is there.
    Hub(String),
    /// From this volume claim: the folder of a model has its name.
    Claim(String),
}

/// A file of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its name: `qwen3-8b.yaml`.
    pub file: String,
    /// YAML, of one or several documents.
    pub text: String,
}

/// The longest name that objects may begin with: the names that controllers make from it have at most 63 letters.
pub const LONGEST_NAME: usize = 24;

/// The label that all objects of one export share.
const PART_OF: &str = "app.kubernetes.io/part-of";
const COMPONENT: &str = "app.kubernetes.io/component";
const SERVES: &str = "model-server";

/// Writes the manifests of servers, and of a run that uses them. The digest is of the plan that they are from.
pub fn export(
    servers: &[Server],
    run: Option<&Run<'_>>,
    target: Target,
    setup: &Setup,
    digest: &str,
) -> Result<Vec<Manifest>, Unfit> {
    if servers.is_empty() && run.is_none() {
        return Err(Unfit::NoServer);
    }
    checked(setup)?;
    let addresses = addressed(servers)?;
    let scene = Scene { setup, digest };
    let (of_ray, others): (Vec<&Server>, Vec<&Server>) =
        servers.iter().partition(|server| target == Target::Ray && ray::serves(server));
    let mut manifests = Vec::new();
    for server in others {
        let text = match target {
            Target::Groups => group::write(server, &scene)?,
            Target::Deployments | Target::Ray => deployment::write(server, &scene)?,
        };
        manifests.push(Manifest { file: format!("{}.yaml", server.name), text });
    }
    if !of_ray.is_empty() {
        manifests.push(Manifest { file: "rayservice.yaml".into(), text: ray::write(&of_ray, &scene)? });
    }
    let text = [scene.addresses(&addresses, target).yaml(), scene.network().yaml()].join("---\n");
    // No server's name has a dot in it.
    manifests.push(Manifest { file: "run.addresses.yaml".into(), text });
    if let Some(run) = run {
        manifests.push(Manifest { file: "run.job.yaml".into(), text: job::write(run, &scene)? });
    }
    Ok(manifests)
}

/// The digest of a plan's text, as objects bear it.
pub fn plan_digest(text: &str) -> String {
    digest([text])
}

/// Servers by the variable that tells a run where each is.
fn addressed(servers: &[Server]) -> Result<BTreeMap<String, &Server>, Unfit> {
    let mut by_variable = BTreeMap::new();
    for server in servers {
        let model = server.model.clone();
        let variable = own_address(&server.url_env, &model);
        if variable.is_empty() {
            return Err(Unfit::NoAddress { model });
        }
        if by_variable.insert(variable, server).is_some() {
            return Err(Unfit::Twice { model });
        }
    }
    Ok(by_variable)
}

fn checked(setup: &Setup) -> Result<(), Unfit> {
    let name = &setup.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
    if name.len() > LONGEST_NAME || !name.chars().all(plain) || !ends {
        return Err(Unfit::Name { name: name.clone() });
    }
    if setup.gpus_per_node == 0 {
        return Err(Unfit::NoGpus);
    }
    Ok(())
}

/// The ConfigMap with the addresses of servers.
fn addresses_name(setup: &Setup) -> String {
    format!("{}-addresses", setup.name)
}

/// A name as Kubernetes takes it, of at most so many letters: `qwen3-8b` for `Qwen/Qwen3-8B`.
pub fn plain_name(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).collect();
    let name: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    let mut name = name.join("-");
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, "m-");
    }
    name.truncate(most);
    name.trim_end_matches('-').to_owned()
}

/// What all objects of an export are made with.
struct Scene<'a> {
    setup: &'a Setup,
    digest: &'a str,
}

impl Scene<'_> {
    /// The name of a server's objects.
    fn name(&self, server: &Server) -> String {
        format!("{}-{}", self.setup.name, server.name)
    }

    /// The labels of an object.
    fn labels(&self, name: &str, component: &str) -> BTreeMap<String, String> {
        let labels = [
            ("app.kubernetes.io/name", name),
            (PART_OF, &self.setup.name),
            (COMPONENT, component),
            ("app.kubernetes.io/managed-by", "mkbc"),
        ];
        labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Which plan an object is from.
    fn annotations(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("mkbc-plan-sha256".to_owned(), self.digest.to_owned())])
    }

    /// Where a run finds each model: environment variables for whoever runs the plan in the cluster.
    fn addresses(&self, servers: &BTreeMap<String, &Server>, target: Target) -> Object<ConfigMap> {
        let at = |server: &Server| match target == Target::Ray && ray::serves(server) {
            true => ray::address(self),
            false => format!("http://{}:{}/v1", self.name(server), pods::PORT),
        };
        let data = servers.iter().map(|(variable, server)| (variable.clone(), at(server))).collect();
        let name = addresses_name(self.setup);
        Object::new("v1", "ConfigMap", self.meta(&name, "addresses"), ConfigMap { data })
    }

    /// Servers answer pods of the same export alone: most of them ask for no key.
    fn network(&self) -> Object<objects::Spec<NetworkPolicy>> {
        let own = |pairs: &[(&str, &str)]| Selector {
            match_labels: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let policy = NetworkPolicy {
            pod_selector: own(&[(COMPONENT, SERVES), (PART_OF, &self.setup.name)]),
            policy_types: vec!["Ingress".to_owned()],
            ingress: vec![Ingress { from: vec![Peer { pod_selector: own(&[(PART_OF, &self.setup.name)]) }] }],
        };
        let name = format!("{}-servers", self.setup.name);
        Object::with_spec("networking.k8s.io/v1", "NetworkPolicy", self.meta(&name, "network"), policy)
    }

    fn meta(&self, name: &str, component: &str) -> objects::Meta {
        let labels = self.labels(name, component);
        objects::Meta { name: Some(name.to_owned()), labels, annotations: self.annotations() }
    }
}

/// The devices that the servers hold, all replicas together, by kind.
pub fn held(servers: &[Server]) -> BTreeMap<&str, u32> {
    let mut held = BTreeMap::new();
    for server in servers {
        let one = server.units.saturating_mul(server.replicas);
        let sum: &mut u32 = held.entry(server.device.as_str()).or_default();
        *sum = sum.saturating_add(one);
    }
    held
}

/// The secret that manifests refer to and that must be there, with its keys.
pub fn secrets(
    servers: &[Server],
    run: Option<&Run<'_>>,
    target: Target,
    setup: &Setup,
) -> Option<(String, BTreeSet<String>)> {
    let asking = servers.iter().filter(|server| !(target == Target::Ray && ray::serves(server)));
    let of_servers = asking.map(|server| server.key_env.clone()).filter(|key| !key.is_empty());
    let of_run = run.into_iter().flat_map(|run| job::secrets(run.plan));
    let all: BTreeSet<String> = of_servers.chain(of_run).collect();
    (!all.is_empty()).then(|| (pods::keys(setup), all))
}
