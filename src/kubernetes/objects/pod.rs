//! Pods: what all that runs is made of.

use super::Meta;
use serde::Serialize;
use std::collections::BTreeMap;

/// What pods are.
#[derive(Clone, Debug, Serialize)]
pub struct PodTemplate {
    /// Labels.
    pub metadata: Meta,
    /// Containers.
    pub spec: PodSpec,
}

/// What a pod is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// What happens where a container ends; Kubernetes starts it again by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<&'static str>,
    /// Whether it may talk to Kubernetes.
    pub automount_service_account_token: bool,
    /// Labels of the nodes that it may be on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Marks of nodes that it bears.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Containers.
    pub containers: Vec<Container>,
    /// What they can mount.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
}

impl PodSpec {
    /// A pod of one container, anywhere.
    pub fn new(container: Container) -> PodSpec {
        PodSpec {
            restart_policy: None,
            automount_service_account_token: false,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            containers: vec![container],
            volumes: Vec::new(),
        }
    }
}

/// A mark of nodes that keeps others away.
#[derive(Clone, Debug, Serialize)]
pub struct Toleration {
    /// Its key.
    pub key: &'static str,
    /// `Exists`.
    pub operator: &'static str,
    /// `NoSchedule`.
    pub effect: &'static str,
}

impl Toleration {
    /// The mark of nodes with NVIDIA's GPUs.
    pub fn gpus() -> Toleration {
        Toleration { key: "nvidia.com/gpu", operator: "Exists", effect: "NoSchedule" }
    }
}

/// A container.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The program, instead of the image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The folder that it begins in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<&'static str>,
    /// Environment variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Where there are more of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFrom>,
    /// Ports that it listens on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    /// What it needs.
    pub resources: Resources,
    /// Whether it has started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    /// Whether it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// Whether it is worth keeping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// What it may not do.
    pub security_context: SecurityContext,
    /// Where volumes are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
}

impl Container {
    /// A container in which the image's own program is run.
    pub fn new(name: &str, image: String) -> Container {
        Container {
            name: name.to_owned(),
            image,
            command: Vec::new(),
            args: Vec::new(),
            working_dir: None,
            env: Vec::new(),
            env_from: Vec::new(),
            ports: Vec::new(),
            resources: Resources::default(),
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            security_context: SecurityContext { allow_privilege_escalation: false },
            volume_mounts: Vec::new(),
        }
    }
}

/// Variables that stand elsewhere.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvFrom {
    /// In a ConfigMap.
    pub config_map_ref: Named,
}

/// An object by its name.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// Its name.
    pub name: String,
}

/// An environment variable.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

impl EnvVar {
    /// A variable with a value.
    pub fn plain(name: &str, value: &str) -> EnvVar {
        EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
    }

    /// A variable whose value is in a secret.
    pub fn secret(name: &str, secret: &str, key: &str, optional: bool) -> EnvVar {
        let secret_key_ref = SecretKey { name: secret.to_owned(), key: key.to_owned(), optional };
        EnvVar { name: name.to_owned(), value: None, value_from: Some(ValueFrom { secret_key_ref }) }
    }
}

/// Where a value is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// In a secret.
    pub secret_key_ref: SecretKey,
}

/// A value of a secret.
#[derive(Clone, Debug, Serialize)]
pub struct SecretKey {
    /// The secret.
    pub name: String,
    /// Which of its values.
    pub key: String,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// A port of a container.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPort {
    /// Its name.
    pub name: &'static str,
    /// Its number.
    pub container_port: u16,
}

/// What a container needs, as quantities.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Resources {
    /// At least.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<&'static str, String>,
    /// At most.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<&'static str, String>,
}

/// A question that is asked again and again.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// What is asked.
    pub http_get: HttpGet,
    /// Seconds between two questions.
    pub period_seconds: u32,
    /// How often no answer counts as none.
    pub failure_threshold: u64,
    /// Seconds that an answer may take.
    pub timeout_seconds: u32,
}

/// A request.
#[derive(Clone, Debug, Serialize)]
pub struct HttpGet {
    /// Its path.
    pub path: String,
    /// The port, by name.
    pub port: &'static str,
}

/// What a container may not do.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityContext {
    /// Whether it may gain rights.
    pub allow_privilege_escalation: bool,
}

/// Where a volume is in a container.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeMount {
    /// The volume.
    pub name: &'static str,
    /// Where.
    pub mount_path: &'static str,
    /// Whether it is not written to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// What containers can mount.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name.
    pub name: &'static str,
    /// A folder that goes with the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDir>,
    /// A claim that is there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<Claim>,
    /// Files of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolume>,
}

impl Volume {
    /// A volume of which nothing is said yet.
    pub fn new(name: &'static str) -> Volume {
        Volume { name, empty_dir: None, persistent_volume_claim: None, config_map: None }
    }
}

/// Files of a ConfigMap.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigMapVolume {
    /// Its name.
    pub name: String,
    /// Which of its entries, and where they go.
    pub items: Vec<Item>,
}

/// An entry of a ConfigMap as a file.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// The entry.
    pub key: String,
    /// The file.
    pub path: String,
}

/// A folder that goes with the pod.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// `Memory`, or nothing for the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<&'static str>,
    /// The most that is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<&'static str>,
}

/// A claim.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Its name.
    pub claim_name: String,
    /// Whether it is not written to.
    pub read_only: bool,
}
