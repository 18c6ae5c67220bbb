//! The joint optimum, planned anew for each epoch: from the rates seen so far to a forecast, from that to a joint plan that counts what
//! it costs to start replicas, and from that to the next deployment, so early that it is there when the epoch begins. Forecast and planning
//! are those of a real fleet (`adapt::forecast`, `adapt::epochs`).

use super::{Policy, Seen};
use crate::adapt::epochs::{self, Cause, Now, devices, left, replan};
use crate::adapt::forecast::{Forecasting, forecast};
use crate::fleet::join::Unjoined;
use crate::fleet::model::JointPlan;
use crate::fleet::translate::Member;
use crate::simulate::deploy::Catalogue;
use crate::simulate::model::{Deployment, Pool};
use crate::simulate::{Micros, seconds};
use crate::solve::joint::Limits;
use crate::space::Machines;
use rust_decimal::Decimal;
use std::rc::Rc;

/// A job's rates, epoch by epoch, oldest first → its rate in the next one. There is at least one.
pub type Forecast<'a> = dyn Fn(&[f64]) -> f64 + 'a;

/// By whichever method would have foreseen the rates so far best, days and weeks of such epochs among them, with room for its errors.
pub fn foreseen(epoch: Micros) -> impl Fn(&[f64]) -> f64 {
    let day = (86_400.0 / seconds(epoch)).round() as usize;
    let asked = Forecasting { periods: vec![day, 7 * day], ..Forecasting::default() };
    move |rates| forecast(rates, &asked).map_or(0.0, |foreseen| foreseen.provision)
}

/// The jobs prepared for other machines, at the rates that they have now; the words why that cannot be.
pub type Prepare<'a, 'c> = dyn Fn(&Machines) -> Result<Vec<Member<'a>>, String> + 'c;

/// Replans by epoch.
pub struct Adaptive<'a, 'c> {
    /// The jobs; their rates are those planned for last.
    pub members: &'c mut Vec<Member<'a>>,
    /// The cluster, as it is now.
    pub machines: Machines,
    /// Prepares the jobs for what the cluster has become.
    pub prepare: &'c Prepare<'a, 'c>,
    /// When a change is worth what switching costs.
    pub policy: epochs::Policy,
    /// Rounds of the joint solver: what makes a plan the same on every machine.
    pub rounds: u64,
    /// What deployments use.
    pub catalogue: &'c mut Catalogue<'a>,
    /// Where it begins, and what is in force.
    pub plan: JointPlan,
    /// The length of an epoch.
    pub epoch: Micros,
    /// How long before an epoch its plan is made.
    pub lead: Micros,
    /// How rates are foreseen.
    pub forecast: &'c Forecast<'c>,
    /// What is deployed.
    pub deployed: Option<Rc<Deployment>>,
    /// Epochs for which there was no plan; the former one went on.
    pub refused: u64,
}

impl Adaptive<'_, '_> {
    fn again(&mut self, seen: &Seen) -> Option<JointPlan> {
        for (job, member) in self.members.iter_mut().enumerate() {
            let history = seen.peaks(job, self.epoch);
            let foreseen = if history.is_empty() { return None } else { (self.forecast)(&history) };
            // A job that is expected to rest still has somewhere to run: one run an epoch.
            let least = 1.0 / seconds(self.epoch);
            let rate = Decimal::from_f64_retain(foreseen.max(least)).map(|rate| rate.round_dp(6));
            member.rate = rate.filter(|rate| *rate > Decimal::ZERO).unwrap_or(member.rate);
        }
        self.planned(vec![Cause::Schedule])
    }

    /// A plan for the rates and machines of now.
    fn planned(&mut self, causes: Vec<Cause>) -> Option<JointPlan> {
        let limits = Limits { rounds: self.rounds, out_of_time: None, any: false };
        let running = left(&self.plan, &self.machines);
        // Nobody asks here what a job costs alone.
        let now = Now { members: self.members, machines: &self.machines, running: &running, late: &|_| true };
        match replan(&self.plan, &now, causes, &self.policy, &limits) {
            Ok(next) => Some(next.plan),
            Err(Unjoined::Refused(_) | Unjoined::Unknown(_)) => {
                self.refused += 1;
                None
            }
        }
    }

    /// The deployment of a plan, where it is another one than that of now.
    fn switch(&mut self, joint: &JointPlan) -> Result<Option<Rc<Deployment>>, String> {
        let former = self.deployed.clone();
        let next = self.run(joint)?;
        Ok(former.is_none_or(|former| *former != *next).then_some(next))
    }

    fn run(&mut self, joint: &JointPlan) -> Result<Rc<Deployment>, String> {
        let mut deployment = self.catalogue.deploy(&[joint])?;
        // What does not change is the same thing: calls then need not wait for new places.
        if let Some(former) = self.deployed.as_ref().filter(|former| former.jobs == deployment.jobs) {
            deployment.jobs = former.jobs.clone();
        }
        self.plan = joint.clone();
        let deployment = Rc::new(deployment);
        self.deployed = Some(deployment.clone());
        Ok(deployment)
    }
}

impl Policy for Adaptive<'_, '_> {
    fn name(&self) -> &str {
        "adaptive"
    }

    fn start(&mut self) -> Result<Rc<Deployment>, String> {
        let first = self.plan.clone();
        self.run(&first)
    }

    fn asked(&self) -> Option<(Micros, Micros)> {
        Some(((self.epoch - self.lead).max(1), self.epoch))
    }

    fn at(&mut self, seen: &Seen) -> Result<Option<Rc<Deployment>>, String> {
        match self.again(seen) {
            Some(joint) => self.switch(&joint),
            None => Ok(None),
        }
    }

    fn changed(&mut self, _: &Seen, pools: &[Pool]) -> Result<Option<Rc<Deployment>>, String> {
        for pool in pools {
            let (units, price) = (u32::try_from(pool.units).unwrap_or(u32::MAX), pool.usd_per_hour);
            self.machines.pools.insert(pool.name.as_str().into(), (units, price));
        }
        let causes = devices(&self.plan, &self.machines, &self.policy);
        if causes.is_empty() {
            return Ok(None);
        }
        let rates: Vec<Decimal> = self.members.iter().map(|member| member.rate).collect();
        match (self.prepare)(&self.machines) {
            Ok(members) => {
                for ((old, new), rate) in self.members.iter_mut().zip(members).zip(rates) {
                    *old = Member { rate, ..new };
                }
            }
            // A job that cannot be carried out at all on what is left.
            Err(_) => {
                self.refused += 1;
                return Ok(None);
            }
        }
        match self.planned(causes) {
            Some(joint) => self.switch(&joint),
            None => Ok(None),
        }
    }
}
