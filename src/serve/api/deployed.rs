//! What goes in and out over HTTP of deployed workflows and of the fleet that they share.

use crate::run::devices::sensors::Load;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A job that is to be deployed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The text of a `.mkb` file.
    pub source: String,
    /// What its file is called where something is said about it; `job.mkb` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The job, where the source has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The text of the source's lock file. Holes that it does not fill are filled by typed search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// What the workflow is called; the job's name where it is left out. Letters, digits, `-`, `_` and `.`, 64 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How often it is run, for which it is admitted: `30/s`, `5/min`, `2/h`. The job's `expect … requests/s` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
}

/// A deployed workflow.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowStatus {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// The job in its source.
    pub job: String,
    /// What the job's documentation says.
    pub docs: String,
    /// Whether it takes runs, or only ends those that it has.
    pub state: WorkflowState,
    /// Where it is run: `POST` the inputs there.
    pub endpoint: String,
    /// Runs a second for which it was admitted.
    pub rate_per_s: f64,
    /// Runs a second that the plan in force provides for.
    pub planned_per_s: f64,
    /// Runs a second that were measured over the last while; none before there was one.
    pub measured_per_s: Option<f64>,
    /// When it was deployed (RFC 3339).
    pub deployed: String,
    /// The digest of the plan that its runs follow.
    pub plan: String,
    /// Runs that wait or are under way.
    pub open: u64,
    /// The JSON schema of its inputs.
    pub inputs: Value,
    /// The JSON schema of its answer.
    pub result: Value,
    /// What its runs took, against its limits.
    pub slo: Slo,
}

/// Whether a workflow takes runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowState {
    /// It does.
    Serving,
    /// It is taken down: it takes no more, and what it has accepted is carried out.
    Draining,
}

/// What the latest runs took, from acceptance to answer, waiting included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Slo {
    /// Runs that have an answer or failed, the latest 10,000 at most: of these the figures below are.
    pub runs: u64,
    /// Those that failed.
    pub failed: u64,
    /// Seconds; none without a run.
    pub latency_s: Option<Quantiles>,
    /// Dollars a run, over those whose cost is known.
    pub cost_usd: Option<f64>,
    /// The job's limits.
    pub clauses: Vec<ClauseStatus>,
}

/// Quantiles of runs that have an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// The mean.
    pub mean: f64,
    /// Half of the runs take no longer.
    pub p50: f64,
    /// 95 % of them.
    pub p95: f64,
    /// 99 % of them.
    pub p99: f64,
}

/// A limit of a job and how its runs kept it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClauseStatus {
    /// As in the source: `latency.p95 <= 2 s`.
    pub text: String,
    /// Whether it was a wish that may be broken.
    pub soft: bool,
    /// Whether runs are measured against it: those on latency and cost are.
    pub measured: bool,
    /// The share of runs within the limit, a run that failed being outside.
    pub within: Option<f64>,
    /// The share that the clause promises; none for one on the mean.
    pub promised: Option<f64>,
    /// Runs that broke it, of the latest ones.
    pub broken: u64,
    /// Runs that broke it since the server was started.
    pub broken_since_start: u64,
    /// Whether it holds over the latest runs.
    pub holds: Option<bool>,
}

/// The workflows of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowList {
    /// By name.
    pub workflows: Vec<WorkflowStatus>,
}

/// How long a run's answer is waited for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    /// Seconds to wait for the answer, 60 at most and where it is left out; 0 only accepts.
    pub wait_s: Option<u32>,
}

/// The machines, and what runs on them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// The cluster: a name of the library, or `here`.
    pub cluster: String,
    /// Why the machines cannot be looked at now, where they cannot; what is shown is then what was seen last.
    pub unseen: Option<String>,
    /// Devices by name.
    pub devices: BTreeMap<String, DeviceStatus>,
    /// Instances of the plan in force, and those that still end what they have.
    pub instances: Vec<InstanceStatus>,
    /// The caller's workflows, by name.
    pub workflows: Vec<String>,
    /// What the plan in force costs; none where nothing is deployed.
    pub plan: Option<FleetPlan>,
    /// What the server's own machine does; shown to tenants that see all.
    #[serde(default)]
    pub load: Option<Load>,
    /// Other machines that carry runs out; shown to tenants that see all.
    #[serde(default)]
    pub hosts: Vec<HostStatus>,
    /// Plans that were made, the latest first, a hundred at most; shown to tenants that see all.
    pub replans: Vec<Replanned>,
}

/// A machine that carries runs out for the server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HostStatus {
    /// Its name: that of its token's entry, and the one that it gives itself.
    pub name: String,
    /// From where it asks.
    pub address: String,
    /// Its cores.
    pub cores: u32,
    /// Gigabytes of its memory.
    pub memory_gb: Option<f64>,
    /// Its GPUs, as their driver calls them.
    pub gpus: Vec<String>,
    /// Runs that it takes at a time.
    pub places: u32,
    /// Runs that it works on.
    pub runs: Vec<u64>,
    /// When it was heard of last (RFC 3339).
    pub heard: String,
    /// Whether that is too long ago.
    pub lost: bool,
    /// What its machine did then.
    #[serde(default)]
    pub load: Load,
}

/// Devices of one kind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeviceStatus {
    /// How many there are.
    pub units: u32,
    /// How many the plan holds.
    pub held: i64,
    /// Dollars an hour for each.
    pub usd_per_hour: f64,
    /// Gigabytes of memory of each, where the library says.
    pub memory_gb: Option<f64>,
}

/// An instance: a model or tool, set up in one way, which workflows share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStatus {
    /// What it is, for people.
    pub instance: String,
    /// Its device.
    pub device: String,
    /// Replicas that the plan has.
    pub replicas: i64,
    /// Calls that they take at once, all of them together.
    pub slots: u64,
    /// Calls under way; none where other tenants' workflows use it too, as of the share that was busy, the pace and the calls.
    pub under_way: Option<u64>,
    /// Gigabytes that the models of a replica fill, as planned.
    pub memory_gb: f64,
    /// The share of their time that the replicas are busy as planned, with the workflows that the caller sees; more than the plan allows only
    /// for accounts.
    pub planned_busy: f64,
    /// The share of their slots that was busy over the last while; none before there was one.
    pub busy: Option<f64>,
    /// How many times as long as planned the latest calls took, where that is more than chance; none before there were enough.
    pub pace: Option<f64>,
    /// Calls since the server was started.
    pub calls: Option<u64>,
    /// Workflows that use it, as far as the caller sees them.
    pub workflows: Vec<String>,
    /// Whether other tenants' workflows use it too.
    #[serde(default)]
    pub shared: bool,
}

/// A joint plan in force.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FleetPlan {
    /// Which one, from 1.
    pub number: u64,
    /// Since when (RFC 3339).
    pub since: String,
    /// Dollars an hour.
    pub usd_per_hour: f64,
    /// What the workflows would cost alone, in sum, at least.
    pub alone_usd_per_hour: f64,
    /// Whether it is proved that no plan costs less.
    pub optimal: bool,
}

/// A plan that was made, or could not be: why, what it changed and what that saves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Replanned {
    /// Which plan it led to; where it led to none, the one that goes on.
    pub plan: u64,
    /// When (RFC 3339).
    pub at: String,
    /// What came of it: `first`, `kept`, `scaled`, `changed`, `emptied`, `refused`.
    pub verdict: String,
    /// Why it was made.
    pub because: Vec<String>,
    /// How the rates that it is for were foreseen, by workflow.
    pub foreseen: BTreeMap<String, String>,
    /// What it changed.
    pub changes: Vec<String>,
    /// Dollars an hour of the plan that is in force after it.
    pub usd_per_hour: f64,
    /// Dollars an hour that it saves against going on, where going on is a choice.
    pub saves_usd_per_hour: Option<f64>,
    /// Why the plan before does not hold any more, or why there is none in its place.
    pub broken: Option<String>,
}
