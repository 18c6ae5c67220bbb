//! The joint optimum, planned anew for each epoch: from the rates seen so far to a forecast, from that to a joint plan that counts what
//! it costs to start replicas, and from that to the next deployment, so early that it is there when the epoch begins. Between epochs it is
//! planned anew where loads or devices have left the plan. Watch, forecast and planning are those of a real fleet (`adapt::epochs`,
//! `adapt::forecast`).

use super::{Policy, Seen};
use crate::adapt::epochs::{self, Cause, LOOKS, Now, Verdict, WINDOWS, Watch, left, replan};
use crate::adapt::forecast::{Forecasting, forecast};
use crate::fleet::model::JointPlan;
use crate::fleet::translate::Member;
use crate::simulate::deploy::Catalogue;
use crate::simulate::model::{Deployment, Pool};
use crate::simulate::{Micros, SECOND, seconds};
use crate::solve::joint::Limits;
use crate::space::Machines;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
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
    /// How often there was no plan, and the former one went on.
    pub refused: u64,
    /// How the plan in force is watched.
    pub watched: Watched,
}

/// What is known of the plan in force.
#[derive(Default)]
pub struct Watched {
    watch: Watch,
    /// Since when it is in force, or nothing was found in its place.
    since: Micros,
    /// Whether nothing was found in its place when one was looked for last.
    in_vain: bool,
    /// Whether it did not pay, when it was last looked for, to stop what stands idle: until another cause comes, it does not now.
    idle_kept: bool,
    /// How many epochs have been planned for.
    epochs: Micros,
}

impl Adaptive<'_, '_> {
    /// How long from one look to the next; epochs of seconds have fewer.
    fn look(&self) -> Micros {
        self.epoch / (self.epoch / SECOND).clamp(1, Micros::from(LOOKS))
    }

    /// Looks at the plan in force as a service does, and plans anew where there is a cause.
    fn drifted(&mut self, seen: &Seen) -> Option<JointPlan> {
        let since_s = ((seen.now - self.watched.since) / SECOND).unsigned_abs();
        // What had no plan a moment ago has none now.
        if self.watched.in_vain && since_s < u64::from(self.policy.rest_s) {
            return None;
        }
        let measured = |(job, member): (usize, &Member)| {
            let rate = seen.rate(job, self.epoch / Micros::from(WINDOWS)).and_then(Decimal::from_f64_retain)?;
            Some((member.prepared.job.name.to_string(), rate.round_dp(6)))
        };
        let (rates, paces) = (self.members.iter().enumerate().filter_map(measured).collect(), BTreeMap::new());
        // The plan of an epoch is due before it begins, however old the one before is.
        let since_s = since_s.min(u64::from(self.policy.epoch_s).saturating_sub(1));
        let now = epochs::Seen { since_s, rates: &rates, paces: &paces, machines: &self.machines };
        let causes = self.watched.watch.look(&self.plan, &now, &self.policy);
        // Who has not seen a whole epoch does not know what stands idle for long.
        let stays = self.watched.idle_kept || seen.now < self.epoch;
        if causes.is_empty() || stays && causes.iter().all(Cause::is_idle) {
            return None;
        }
        self.again(seen, causes)
    }

    /// A plan for the rates that are foreseen. Where more comes than was planned for, or devices are others, what is seen now is part of the
    /// past; a lull is not: the peak of the last epoch says more of the next one.
    fn again(&mut self, seen: &Seen, causes: Vec<Cause>) -> Option<JointPlan> {
        let drifted = causes.iter().any(|cause| !cause.is_idle() && *cause != Cause::Schedule);
        for (job, member) in self.members.iter_mut().enumerate() {
            let mut history = seen.peaks(job, self.epoch);
            let lately = seen.peaks(job, self.epoch / Micros::from(WINDOWS)).last().copied();
            history.extend(lately.filter(|_| drifted));
            if history.is_empty() {
                continue;
            }
            // A job that is expected to rest still has somewhere to run: one run an epoch.
            let least = 1.0 / seconds(self.epoch);
            let rate = Decimal::from_f64_retain((self.forecast)(&history).max(least)).map(|rate| rate.round_dp(6));
            // A forecast knows the past. What is seen already is not less.
            let now = causes.iter().find_map(|cause| match cause {
                Cause::Rate { job, measured, .. } if member.prepared.job.name == *job => Some(*measured),
                _ => None,
            });
            let rate = rate.max(now).filter(|rate| *rate > Decimal::ZERO);
            member.rate = rate.unwrap_or(member.rate);
        }
        let idle = causes.iter().all(Cause::is_idle);
        let next = self.planned(causes);
        self.refused += u64::from(next.is_none());
        let kept = next.as_ref().is_some_and(|(_, verdict)| *verdict == Verdict::Kept);
        self.watched = Watched {
            watch: Watch::default(),
            since: seen.now,
            in_vain: next.is_none(),
            idle_kept: idle && kept,
            epochs: self.watched.epochs,
        };
        next.map(|(joint, _)| joint)
    }

    /// Has the jobs prepared for the devices of now, where they are for others: a plan of theirs would not be one for these.
    fn refresh(&mut self) -> Result<(), String> {
        if self.members.iter().all(|member| *member.prepared.machines == self.machines) {
            return Ok(());
        }
        let members = (self.prepare)(&self.machines)?;
        for (old, new) in self.members.iter_mut().zip(members) {
            *old = Member { rate: old.rate, ..new };
        }
        Ok(())
    }

    /// A plan for the rates and machines of now, and how far it differs; none where a job cannot be carried out on what is left, or all together.
    fn planned(&mut self, causes: Vec<Cause>) -> Option<(JointPlan, Verdict)> {
        self.refresh().ok()?;
        let limits = Limits { rounds: self.rounds, ..Limits::default() };
        let running = left(&self.plan, &self.machines);
        // Nobody asks here what a job costs alone.
        let now = Now { members: self.members, machines: &self.machines, running: &running, late: &|_| true };
        let next = replan(&self.plan, &now, causes, &self.policy, &limits).ok()?;
        Some((next.plan, next.verdict))
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
        // So that there is a look at the moment at which a plan is due.
        let look = self.look();
        let first = (self.epoch - self.lead) % look;
        Some((if first > 0 { first } else { look }, look))
    }

    fn at(&mut self, seen: &Seen) -> Result<Option<Rc<Deployment>>, String> {
        let due = self.epoch * (self.watched.epochs + 1) - self.lead;
        let joint = if seen.now + self.look() > due {
            self.watched.epochs += 1;
            self.again(seen, vec![Cause::Schedule])
        } else {
            self.drifted(seen)
        };
        joint.map_or(Ok(None), |joint| self.switch(&joint))
    }

    fn changed(&mut self, seen: &Seen, pools: &[Pool]) -> Result<Option<Rc<Deployment>>, String> {
        for pool in pools {
            let (units, price) = (u32::try_from(pool.units).unwrap_or(u32::MAX), pool.usd_per_hour);
            self.machines.pools.insert(pool.name.as_str().into(), (units, price));
        }
        self.drifted(seen).map_or(Ok(None), |joint| self.switch(&joint))
    }
}
