//! The fleet that deployed workflows share: the joint plan in force, the machines it is for, and what is measured of it.
//!
//! [`plans`] admits a workflow by a joint plan of all and takes one down; [`watch`] looks at rates and machines and plans again
//! (`crate::adapt` decides when and how); [`gates`] keeps calls to the places that the plan's instances have; [`kept`] is what survives the
//! server. One change is made at a time ([`Fleet::changing`]); a change is on the disk before it counts. Runs follow the plan that was in
//! force when they were accepted, to their end.

pub mod gates;
mod kept;
mod plans;
mod room;
mod said;
mod watch;

use super::Service;
use super::api::deployed::Replanned;
use super::api::refusal::Refusal;
use super::audit::Act;
use super::deploy::{Workflow, key};
use super::planning::{Planner, Trusted};
use super::store::Accepted;
use crate::adapt::epochs::Policy;
use crate::fleet::instance::Instance;
use crate::fleet::model::{JointJob, JointPlan};
use crate::fleet::paces::Paces;
use crate::library::Library;
use crate::run::fault::Fault;
use crate::space::Machines;
use gates::Gates;
use kept::{Kept, Restored};
use plans::at_rates;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use watch::spawn;

/// Plans that are remembered with why they were made.
const REMEMBERED: usize = 100;

/// Looks at the machines, with their prices.
pub type Look = Box<dyn Fn(&Library) -> Result<Machines, String> + Send + Sync>;

/// What a fleet is run under.
pub struct Terms {
    /// Looks at the machines that there are now.
    pub machines: Look,
    /// Whether hosts' devices come to these: those of a cluster are all that there are.
    pub with_hosts: bool,
    /// When plans are made again, and which change is worth it.
    pub policy: Policy,
    /// The share of its time that a replica may be busy.
    pub utilisation: Decimal,
    /// How often it is looked at.
    pub look: Duration,
    /// Over how long rates and busy shares are measured.
    pub window: Duration,
    /// How long a joint plan is looked for, where a workflow is to be admitted.
    pub limit: Duration,
    /// The same where all are planned again; less where they do not fit, and a part is looked for that does.
    pub limit_again: Duration,
}

/// A joint plan that runs follow.
pub struct InForce {
    /// Which one, from 1.
    pub number: u64,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    /// It.
    pub joint: JointPlan,
    /// Each workflow's part, by its key.
    pub parts: BTreeMap<String, Arc<Trusted>>,
}

impl InForce {
    /// The part of a workflow.
    pub fn job(&self, key: &str) -> Option<&JointJob> {
        self.joint.jobs.iter().find(|job| job.plan.job == key)
    }
}

/// What is seen of the fleet.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The machines, as they were seen last.
    pub machines: Option<Machines>,
    /// Why they cannot be looked at now.
    pub unseen: Option<String>,
    /// Runs a second over the last window, by workflow; none before there was a whole one.
    pub rates: BTreeMap<String, f64>,
    /// The share of its slots that was busy over the last window, by instance.
    pub busy: BTreeMap<Instance, f64>,
    /// How many times as long as planned the latest calls took, by instance; none before there were enough.
    pub paces: BTreeMap<Instance, Decimal>,
}

#[derive(Default)]
struct State {
    workflows: BTreeMap<String, Arc<Workflow>>,
    force: Option<Arc<InForce>>,
    /// The times that were measured, with which the plan in force was made.
    paces: Paces,
    number: u64,
    replans: VecDeque<Replanned>,
    sight: Sight,
    /// Whether the watcher is to look at what drains, and whether it is to end.
    nudged: bool,
    /// Whether it is to look at the machines without waiting.
    due: bool,
    closed: bool,
}

/// The fleet of a server.
pub struct Fleet {
    terms: Terms,
    /// Places on the plan's instances.
    pub gates: Gates,
    state: Mutex<State>,
    wake: Condvar,
    changing: Mutex<()>,
}

impl Fleet {
    /// A fleet on which nothing is deployed.
    pub fn new(terms: Terms) -> Fleet {
        Fleet {
            terms,
            gates: Gates::default(),
            state: Mutex::default(),
            wake: Condvar::new(),
            changing: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only one change is made at a time: each begins where the one before has ended.
    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All workflows, by key.
    pub fn workflows(&self) -> Vec<Arc<Workflow>> {
        self.state().workflows.values().cloned().collect()
    }

    /// A tenant's workflow; one of another tenant is as absent as one that never was.
    pub fn workflow(&self, tenant: &str, name: &str) -> Result<Arc<Workflow>, Refusal> {
        let found = self.state().workflows.get(&key(tenant, name)).cloned();
        found.ok_or_else(|| Refusal::absent(format!("no workflow `{name}` is deployed")))
    }

    /// The measured times with which the plan in force was made.
    fn paces(&self) -> Paces {
        self.state().paces.clone()
    }

    /// The plan in force.
    pub fn in_force(&self) -> Option<Arc<InForce>> {
        self.state().force.clone()
    }

    /// What is seen of the fleet.
    pub fn sight(&self) -> Sight {
        self.state().sight.clone()
    }

    /// Plans that were made, the latest first.
    pub fn replans(&self) -> Vec<Replanned> {
        self.state().replans.iter().cloned().collect()
    }

    /// How many plans were made.
    pub fn number(&self) -> u64 {
        self.state().number
    }

    /// A run has ended: where it was one of a workflow, it is held against its limits, and a workflow that drains may be empty now.
    pub fn ended(&self, service: &Service, run: u64) {
        if self.state().workflows.is_empty() {
            return;
        }
        let Ok(Some(run)) = service.store.run(run) else { return };
        let Some(workflow) = run.workflow.as_ref().and_then(|key| self.state().workflows.get(key).cloned()) else {
            return;
        };
        if let Some(ended) = ended(&run)
            && let Some(part) = self.in_force().and_then(|force| force.parts.get(&workflow.key).cloned())
        {
            // Plans differ in their figures; the limits are the job's.
            let broke = workflow.count(&part.plan.clauses, &ended);
            if !broke.is_empty() {
                let note = format!("`{}` took {:.3} s: {}", workflow.key, ended.took_ms as f64 / 1e3, broke.join(", "));
                let (tenant, id) = (Some(run.tenant.as_str()), Some(run.id));
                service.audit.note(Act { what: "broken", tenant, from: None, run: id, note: &note });
            }
        }
        if workflow.is_draining() {
            self.nudge();
        }
    }

    /// Has the watcher see whether what drains is empty.
    fn nudge(&self) {
        self.state().nudged = true;
        self.wake.notify_all();
    }

    /// Has the watcher look at the machines now.
    pub fn machines_changed(&self) {
        self.state().due = true;
        self.nudge();
    }

    /// Ends the watcher.
    pub fn close(&self) {
        self.state().closed = true;
        self.wake.notify_all();
    }

    /// The machines that there are; what was seen last where they cannot be looked at.
    fn look(&self, planner: &Planner) -> Result<Machines, String> {
        let looked = (self.terms.machines)(planner.library());
        let looked = if self.terms.with_hosts { looked.map(|here| planner.sites().together(here)) } else { looked };
        let mut state = self.state();
        match looked {
            Ok(machines) => {
                state.sight.unseen = None;
                state.sight.machines = Some(machines.clone());
                Ok(machines)
            }
            Err(why) => {
                state.sight.unseen = Some(why.clone());
                state.sight.machines.clone().ok_or(why)
            }
        }
    }

    /// Puts a plan in force, or none where nothing is deployed any more: verified and kept before it counts. Runs that were accepted keep
    /// theirs.
    fn enact(
        &self,
        service: &Service,
        workflows: BTreeMap<String, Arc<Workflow>>,
        (joint, paces): (Option<JointPlan>, Paces),
        said: Replanned,
    ) -> Result<(), Refusal> {
        let number = self.state().number + 1;
        let since_ms = super::now_ms();
        let force = joint.map(|joint| in_force(&service.planner, number, since_ms, joint, &paces)).transpose()?;
        self.carried(service, force.as_ref())?;
        let said = Replanned { plan: number, ..said };
        let mut replans = self.state().replans.clone();
        replans.push_front(said.clone());
        replans.truncate(REMEMBERED);
        Kept::of(number, &workflows, (force.as_ref(), &paces), &replans).write(&service.store)?;
        if let Some(force) = &force {
            self.gates.set(&service.planner, &force.joint);
        }
        let mut state = self.state();
        (state.workflows, state.number, state.replans) = (workflows, number, replans);
        (state.force, state.paces) = (force.map(Arc::new), paces);
        drop(state);
        let note = said::line(&said);
        service.audit.note(Act { what: "replan", tenant: None, from: None, run: None, note: &note });
        Ok(())
    }

    /// Refuses a plan by which a run would need devices of several machines.
    fn carried(&self, service: &Service, force: Option<&InForce>) -> Result<(), Refusal> {
        let sites = service.planner.sites();
        if !self.terms.with_hosts || sites.kinds().is_empty() {
            return Ok(());
        }
        let apart = force.into_iter().flat_map(|force| force.parts.values()).find(|part| !sites.any(&part.needs));
        let Some(part) = apart else { return Ok(()) };
        let devices: Vec<String> = part.needs.devices.iter().map(|(name, units)| format!("{units} `{name}`")).collect();
        let message = format!("a run needs {}, and no machine has all of it", devices.join(" and "));
        Err(Refusal::conflict("no_machine", message).help("a run is carried out by one machine as a whole"))
    }

    /// Notes why there is no plan in the place of the one in force, which goes on.
    fn note(&self, service: &Service, said: Replanned) -> Result<(), Fault> {
        let mut state = self.state();
        let said = Replanned { plan: state.number, ..said };
        state.replans.push_front(said.clone());
        state.replans.truncate(REMEMBERED);
        let force = (state.force.as_deref(), &state.paces);
        let kept = Kept::of(state.number, &state.workflows, force, &state.replans);
        drop(state);
        let note = said::line(&said);
        service.audit.note(Act { what: "replan", tenant: None, from: None, run: None, note: &note });
        kept.write(&service.store)
    }

    /// Takes over what an earlier server kept.
    pub fn restore(&self, service: &Service) -> Result<(), Fault> {
        let Some(kept) = Kept::read(&service.store)? else { return Ok(()) };
        let Restored { workflows, number, force, paces, rates, replans } = kept.restored(&service.planner)?;
        let lost = force.is_none() && !workflows.is_empty();
        if let Some(force) = &force {
            self.gates.set(&service.planner, &force.joint);
        }
        let mut state = self.state();
        (state.workflows, state.number, state.replans) = (workflows.clone(), number, replans);
        (state.force, state.paces) = (force.map(Arc::new), paces.clone());
        drop(state);
        if lost {
            let mut wanted = at_rates(&workflows, None);
            for (workflow, rate) in &mut wanted {
                *rate = rates.get(&workflow.key).copied().unwrap_or(*rate);
            }
            let joint = self.afresh(service, &wanted, &paces)?;
            let because = vec!["the plan of the server before is not what the library of this one says".to_owned()];
            let said = Replanned { because, ..said::first("changed", &[], &joint) };
            self.enact(service, workflows, (Some(joint), paces), said)?;
        }
        Ok(())
    }
}

/// A joint plan with the parts that runs follow, if this server may run them.
fn in_force(
    planner: &Planner,
    number: u64,
    since_ms: i64,
    joint: JointPlan,
    paces: &Paces,
) -> Result<InForce, Refusal> {
    let library = paces.with(planner.library());
    let part = |job: &JointJob| {
        let text = serde_json::to_string(&job.plan).map_err(|e| Refusal::broken(&e.to_string()))?;
        Ok((job.plan.job.clone(), planner.trust_by(text, &library)?))
    };
    let parts: BTreeMap<String, Arc<Trusted>> = joint.jobs.iter().map(part).collect::<Result<_, Refusal>>()?;
    Ok(InForce { number, since_ms, joint, parts })
}

/// What became of a run that has an answer or failed.
fn ended(run: &Accepted) -> Option<super::store::Ended> {
    use super::store::State as Of;
    let done = match run.state {
        Of::Done => true,
        Of::Failed => false,
        _ => return None,
    };
    let took_ms = (run.changed_ms - run.submitted_ms).max(0).unsigned_abs();
    Some(super::store::Ended { done, took_ms, spent_micro: run.spent_micro })
}
