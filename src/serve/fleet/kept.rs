//! What of the fleet survives its server, in the store: the deployments, the plan in force, and why plans were made.

use super::{InForce, in_force};
use crate::fleet::model::JointPlan;
use crate::fleet::paces::Paces;
use crate::fleet::verify::faults;
use crate::run::fault::{Fault, FaultKind};
use crate::serve::api::deployed::Replanned;
use crate::serve::api::refusal::Refusal;
use crate::serve::deploy::{Ordered, Workflow};
use crate::serve::planning::Planner;
use crate::serve::store::Store;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Under which name it is kept.
const NAME: &str = "fleet";
/// The version of the format.
const VERSION: u32 = 1;

/// What is kept.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    version: u32,
    number: u64,
    workflows: Vec<Ordered>,
    force: Option<Force>,
    /// The times that were measured, with which the plan was made.
    #[serde(default, skip_serializing_if = "Paces::is_empty")]
    paces: Paces,
    replans: VecDeque<Replanned>,
}

#[derive(Serialize, Deserialize)]
struct Force {
    number: u64,
    since_ms: i64,
    joint: JointPlan,
}

/// What is taken over.
pub struct Restored {
    pub workflows: BTreeMap<String, Arc<Workflow>>,
    pub number: u64,
    /// None where the plan is not what the library of today says, or cannot be run any more.
    pub force: Option<InForce>,
    /// The times that were measured.
    pub paces: Paces,
    /// The runs a second that the plan provided for, by workflow.
    pub rates: BTreeMap<String, Decimal>,
    pub replans: VecDeque<Replanned>,
}

impl Kept {
    /// What is to be kept.
    pub fn of(
        number: u64,
        workflows: &BTreeMap<String, Arc<Workflow>>,
        (force, paces): (Option<&InForce>, &Paces),
        replans: &VecDeque<Replanned>,
    ) -> Kept {
        let workflows = workflows.values().map(|workflow| workflow.kept()).collect();
        let force = force.map(|force| {
            let InForce { number, since_ms, joint, .. } = force;
            Force { number: *number, since_ms: *since_ms, joint: joint.clone() }
        });
        let (paces, replans) = (paces.clone(), replans.clone());
        Kept { version: VERSION, number, workflows, force, paces, replans }
    }

    /// Puts it on the disk; for threads that may wait.
    pub fn write(&self, store: &Store) -> Result<(), Fault> {
        let text = serde_json::to_string(self).map_err(|e| Fault::new(FaultKind::Storage, e.to_string()))?;
        store.writer().keep_now(NAME, text)
    }

    /// What an earlier server kept.
    pub fn read(store: &Store) -> Result<Option<Kept>, Fault> {
        let Some(text) = store.kept(NAME)? else { return Ok(None) };
        let kept: Kept = serde_json::from_str(&text)
            .map_err(|e| Fault::new(FaultKind::Storage, format!("the deployed workflows cannot be read: {e}")))?;
        Ok(Some(kept))
    }

    /// It with its sources read again.
    pub fn restored(self, planner: &Planner) -> Result<Restored, Fault> {
        let Kept { version, number, workflows, force, paces, replans } = self;
        if version != VERSION {
            let message = format!("the deployed workflows have format {version}, and this mkbc knows format {VERSION}");
            return Err(Fault::new(FaultKind::Storage, message).help("use the mkbc that wrote it"));
        }
        let again = |ordered: Ordered| {
            let name = ordered.name.clone();
            let workflow = Workflow::again(planner, ordered).map_err(|why| gone(&name, &why))?;
            Ok((workflow.key.clone(), Arc::new(workflow)))
        };
        let workflows = workflows.into_iter().map(again).collect::<Result<BTreeMap<_, _>, Fault>>()?;
        let jobs = force.iter().flat_map(|force| &force.joint.jobs);
        let rates = jobs.map(|job| (job.plan.job.clone(), job.rate)).collect();
        let library = paces.with(planner.library());
        let force = force.filter(|force| faults(&force.joint, &library).is_empty());
        let force =
            force.and_then(|Force { number, since_ms, joint }| in_force(planner, number, since_ms, joint, &paces).ok());
        Ok(Restored { workflows, number, force, paces, rates, replans })
    }
}

fn gone(name: &str, why: &Refusal) -> Fault {
    let message =
        format!("the deployed workflow `{name}` cannot be read with the library of this server: {}", why.message());
    Fault::new(FaultKind::Plan, message).help("start the server with the library that it had then (`--library`)")
}
