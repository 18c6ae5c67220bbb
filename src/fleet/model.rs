//! The joint plan: what `mkbc plan a.mkb b.mkb` writes. Money is dollars an hour, loads are replicas that are busy all the
//! time; decimals are strings.

use super::instance::Instance;
use crate::plan::model::{ClusterSpec, Plan};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format. A joint plan of another version is refused.
pub const JOINT_VERSION: u32 = 2;

/// Several jobs on one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JointPlan {
    /// [`JOINT_VERSION`] of the compiler that wrote it.
    pub joint_version: u32,
    /// The compiler's name and version.
    pub compiler: String,
    /// The cluster.
    pub cluster: ClusterSpec,
    /// The share of its time that a replica may be busy.
    pub utilisation: Decimal,
    /// What starting and stopping a replica costs, as a share of its price by the hour.
    pub switching: Switching,
    /// The instances that have replicas, or had.
    pub instances: Vec<Replicas>,
    /// The jobs.
    pub jobs: Vec<JointJob>,
    /// Totals.
    pub total: JointTotals,
    /// How far this is proved.
    pub proof: JointProof,
}

impl JointPlan {
    /// The replicas that run once this plan is in force, by instance.
    pub fn running(&self) -> BTreeMap<Instance, i64> {
        let own = self.instances.iter().filter(|i| i.replicas > 0 && !i.instance.is_account());
        own.map(|i| (i.instance.clone(), i.replicas)).collect()
    }
}

/// What switching costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Switching {
    /// Starting a replica, as a share of its price by the hour.
    pub start: Decimal,
    /// Stopping one, likewise.
    pub stop: Decimal,
    /// Loading the models of a started replica, likewise, for each gigabyte that they fill. Where it is left out, that is in
    /// `start`.
    #[serde(default, skip_serializing_if = "Decimal::is_zero")]
    pub per_gb: Decimal,
}

impl Switching {
    /// Starting a replica whose models fill so many gigabytes, as a share of its price by the hour.
    pub fn starting(&self, memory_gb: Decimal) -> Decimal {
        self.start + self.per_gb * memory_gb
    }
}

/// Replicas of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replicas {
    /// Which instance.
    pub instance: Instance,
    /// Replicas.
    pub replicas: i64,
    /// Replicas that ran before.
    pub running: i64,
    /// The gigabytes that the models of a replica fill, where starting one depends on that.
    #[serde(default, skip_serializing_if = "Decimal::is_zero")]
    pub memory_gb: Decimal,
    /// The load of all jobs, in replicas that are busy all the time.
    pub load: Decimal,
    /// What the replicas cost by the hour.
    pub usd_per_hour: Decimal,
    /// What starting and stopping costs, spread over an hour.
    pub switching_usd: Decimal,
}

/// A job of a joint plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JointJob {
    /// The job's file, as it was given.
    pub file: String,
    /// Runs a second.
    pub rate: Decimal,
    /// Where each step's requests go. An instance's requests are spread evenly over its replicas.
    pub routes: Vec<Route>,
    /// What the cheapest fleet for this job alone costs by the hour at least, with whole replicas of its own.
    pub alone_usd_per_hour: Decimal,
    /// Its plan: choices, figures of one run, clauses with their slack.
    pub plan: Plan,
}

/// Where a step's requests go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Index into [`JointPlan::instances`]; none where a provider carries it out.
    pub instance: Option<usize>,
    /// What the step puts on the instance, in replicas that are busy all the time.
    pub load: Decimal,
    /// The share of the instance's load that this is.
    pub share: Decimal,
    /// What is paid by the call, dollars an hour.
    pub fees_usd_per_hour: Decimal,
}

/// Totals of a joint plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JointTotals {
    /// Replicas, charges by the call, and switching.
    pub usd_per_hour: Decimal,
    /// The same for each job alone, in sum: what the jobs would cost without sharing.
    pub alone_usd_per_hour: Decimal,
    /// GPUs held.
    pub gpus: i64,
}

/// How far a joint plan is proved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JointProof {
    /// No plan costs less by the hour.
    pub bound_usd_per_hour: Decimal,
    /// Whether this is the cheapest plan.
    pub optimal: bool,
    /// Who proved the bound.
    pub by: String,
    /// Nodes of the branch and bound.
    pub nodes: u64,
}

/// The schema of joint plans, as published in `docs/joint.schema.json`.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(JointPlan).to_value()
}
