//! The objects of Kubernetes' API, of LeaderWorkerSet and of KubeRay that are written, as far as they are used; field names are theirs.

mod pod;

pub use pod::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// An object, with what it holds beside its names.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object<B> {
    /// `apps/v1`.
    pub api_version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// Its name and labels.
    pub metadata: Meta,
    /// What it holds.
    #[serde(flatten)]
    pub body: B,
}

/// The body of most objects.
#[derive(Clone, Debug, Serialize)]
pub struct Spec<S> {
    /// What is wanted.
    pub spec: S,
}

impl<B> Object<B> {
    /// An object.
    pub fn new(api_version: &'static str, kind: &'static str, metadata: Meta, body: B) -> Object<B> {
        Object { api_version, kind, metadata, body }
    }
}

impl<S> Object<Spec<S>> {
    /// An object with a `spec`.
    pub fn with_spec(api_version: &'static str, kind: &'static str, metadata: Meta, spec: S) -> Object<Spec<S>> {
        Object::new(api_version, kind, metadata, Spec { spec })
    }
}

/// What is written as YAML.
pub trait ToYaml: Serialize {
    /// As YAML, ending in a line's end.
    fn yaml(&self) -> String {
        // Maps have texts as keys, and no value here can fail to be written.
        yaml_serde::to_string(self).unwrap_or_default()
    }
}

impl<T: Serialize> ToYaml for T {}

/// Names and labels.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Meta {
    /// The object's name; none in a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Notes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Pods by their labels.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Labels that they have.
    pub match_labels: BTreeMap<String, String>,
}

/// Settings by name.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigMap {
    /// The settings.
    pub data: BTreeMap<String, String>,
}

/// A name and an address for pods.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    /// Which pods.
    pub selector: BTreeMap<String, String>,
    /// Ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a service.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name.
    pub name: String,
    /// Its number.
    pub port: u16,
    /// The port of the pods, by name.
    pub target_port: String,
}

/// Who may reach pods.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// The pods.
    pub pod_selector: Selector,
    /// `Ingress`.
    pub policy_types: Vec<String>,
    /// What may come in.
    pub ingress: Vec<Ingress>,
}

/// What may come in.
#[derive(Clone, Debug, Serialize)]
pub struct Ingress {
    /// From whom.
    pub from: Vec<Peer>,
}

/// Pods that may come in.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Which.
    pub pod_selector: Selector,
}

/// Pods that are all alike.
#[derive(Clone, Debug, Serialize)]
pub struct Deployment {
    /// How many.
    pub replicas: u32,
    /// Which pods are its own.
    pub selector: Selector,
    /// How they are replaced.
    pub strategy: Strategy,
    /// What they are.
    pub template: PodTemplate,
}

/// How pods are replaced.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// `RollingUpdate`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How many at once.
    pub rolling_update: RollingUpdate,
}

/// How many pods are replaced at once.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RollingUpdate {
    /// Pods beyond the number that is wanted.
    pub max_surge: u32,
    /// Pods that may be away.
    pub max_unavailable: u32,
}

/// A pod that is to end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// How often it may fail.
    pub backoff_limit: u32,
    /// What it is.
    pub template: PodTemplate,
}

/// Groups of pods: a leader and its workers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderWorkerSet {
    /// Groups.
    pub replicas: u32,
    /// What they are.
    pub leader_worker_template: LeaderWorkerTemplate,
}

/// A leader and its workers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderWorkerTemplate {
    /// Pods of a group.
    pub size: u32,
    /// What happens to a group where a pod of it dies.
    pub restart_policy: &'static str,
    /// The pod that answers.
    pub leader_template: PodTemplate,
    /// The others.
    pub worker_template: PodTemplate,
}

/// Models that a Ray cluster serves.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RayService {
    /// Ray Serve's own configuration, as YAML.
    pub serve_config_v2: String,
    /// The cluster.
    pub ray_cluster_config: RayCluster,
}

/// A Ray cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RayCluster {
    /// Ray's version: that of the images.
    pub ray_version: String,
    /// How it is known who may give it orders.
    pub auth_options: AuthOptions,
    /// Its head.
    pub head_group_spec: HeadGroup,
    /// Its other nodes.
    pub worker_group_specs: Vec<WorkerGroup>,
}

/// Who may give a Ray cluster orders.
#[derive(Clone, Debug, Serialize)]
pub struct AuthOptions {
    /// `token`.
    pub mode: &'static str,
}

/// The head of a Ray cluster.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadGroup {
    /// Options of `ray start`.
    pub ray_start_params: BTreeMap<String, String>,
    /// Its pod.
    pub template: PodTemplate,
}

/// Nodes of a Ray cluster that are alike.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerGroup {
    /// Its name.
    pub group_name: String,
    /// How many.
    pub replicas: u32,
    /// How few.
    pub min_replicas: u32,
    /// How many at most.
    pub max_replicas: u32,
    /// Options of `ray start`.
    pub ray_start_params: BTreeMap<String, String>,
    /// Their pods.
    pub template: PodTemplate,
}
