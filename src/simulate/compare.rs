//! Jobs on a cluster + arrivals + policies → an outcome for each, of the same arrivals.

use super::SECOND;
use super::arrivals::{Arrivals, Source};
use super::deploy::{Catalogue, Starting, job, limit};
use super::engine::{Settings, simulate};
use super::measure::Outcome;
use super::model::{Job, Limit};
use super::policy::{Adaptive, Autoscaled, Fixed, Forecast, Policy, Prepare, Watched};
use crate::adapt::epochs;
use crate::diag::Diagnostic;
use crate::fleet::join::{Unjoined, join};
use crate::fleet::model::JointPlan;
use crate::fleet::refuse::explain;
use crate::fleet::translate::{Member, Settings as Planning, Translated};
use crate::solve::joint::Limits;
use crate::space::Machines;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::ops::Range;
use std::rc::Rc;

/// A policy of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One configuration by hand for each job, each on instances of its own, enough of them for its peak.
    Static,
    /// The same with replicas that follow the load.
    Autoscaled,
    /// Each job's own optimum for its peak, each on instances of its own.
    PerJob,
    /// The optimum of all jobs together, for all their peaks.
    Joint,
    /// The same, planned anew for each epoch.
    Adaptive,
}

impl Kind {
    /// All of them with their names, in the order in which they are shown.
    pub const ALL: [(Kind, &'static str); 5] = [
        (Kind::Static, "static"),
        (Kind::Autoscaled, "autoscaled"),
        (Kind::PerJob, "per-job"),
        (Kind::Joint, "joint"),
        (Kind::Adaptive, "adaptive"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Kind::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// A policy that is to be simulated.
pub enum Wanted {
    /// One of ours; with a plan, that one takes the place of what it would plan itself.
    Own(Kind, Option<JointPlan>),
    /// A plan by hand under a name of its own, for all the time.
    Plan(String, JointPlan),
}

impl Wanted {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Wanted::Own(kind, _) => kind.name(),
            Wanted::Plan(name, _) => name,
        }
    }
}

/// What is compared.
pub struct Study<'a> {
    /// The jobs at their peaks.
    pub members: Vec<Member<'a>>,
    /// The same jobs as somebody sets them up by hand.
    pub by_hand: Vec<Member<'a>>,
    /// The cluster.
    pub machines: &'a Machines,
    /// How plans are made.
    pub planning: Planning,
    /// Minutes of its price that starting a replica costs.
    pub start_minutes: Decimal,
    /// Rounds of the joint solver for one plan.
    pub rounds: u64,
    /// What it takes until a replica is there.
    pub starting: Starting,
    /// Where arrivals come from.
    pub sources: &'a [Source<'a>],
    /// How the simulation goes.
    pub settings: &'a Settings,
    /// How rates are foreseen.
    pub forecast: &'a Forecast<'a>,
    /// Prepares the jobs for machines that the cluster becomes.
    pub prepare: &'a Prepare<'a, 'a>,
    /// Plans that several policies begin with.
    pub made: Made,
}

/// Plans, or why there are none: those of the jobs set up by hand, and that of all jobs together.
#[derive(Default)]
pub struct Made {
    by_hand: Option<Result<Vec<JointPlan>, Unfit>>,
    joint: Option<Result<Vec<JointPlan>, Unfit>>,
}

/// Why a policy cannot be deployed.
#[derive(Clone)]
pub struct Unfit {
    /// In words.
    pub why: String,
    /// Where there is no plan: the problem that has none.
    pub refused: Option<Refused>,
}

/// Jobs for which there is no plan on the cluster.
#[derive(Clone)]
pub struct Refused {
    /// Which of them: places among the jobs.
    pub jobs: Range<usize>,
    /// Whether as they are set up by hand.
    pub by_hand: bool,
    /// What was solved.
    pub problem: Rc<Translated>,
}

impl From<String> for Unfit {
    fn from(why: String) -> Unfit {
        Unfit { why, refused: None }
    }
}

/// What came of a policy.
pub struct Compared {
    /// Its figures, or why it cannot be deployed.
    pub outcome: Result<Outcome, Unfit>,
    /// Energy that is not in the figures, for people.
    pub unknown: Vec<String>,
    /// How often there was no plan for what was foreseen.
    pub refused: u64,
}

impl<'a> Study<'a> {
    /// Simulates one policy. An error is one of the arrivals; a policy that does not fit the cluster is an outcome.
    pub fn run(&mut self, wanted: &Wanted) -> Result<Compared, String> {
        let planned = match wanted {
            Wanted::Own(_, Some(plan)) | Wanted::Plan(_, plan) => Ok(vec![plan.clone()]),
            Wanted::Own(Kind::Static | Kind::Autoscaled, None) => {
                let made = self.made.by_hand.take();
                let made = made.unwrap_or_else(|| self.each(true));
                self.made.by_hand.insert(made).clone()
            }
            Wanted::Own(Kind::PerJob, None) => self.each(false),
            Wanted::Own(Kind::Joint | Kind::Adaptive, None) => {
                let made = self.made.joint.take();
                let all = 0..self.members.len();
                let made = made.unwrap_or_else(|| self.planned(all, false).map(|joint| vec![joint]));
                self.made.joint.insert(made).clone()
            }
        };
        let none = |why: Unfit| Compared { outcome: Err(why), unknown: Vec::new(), refused: 0 };
        let plans = match planned {
            Ok(plans) => plans,
            Err(why) => return Ok(none(why)),
        };
        let frame = self.settings;
        let names: Vec<String> = self.members.iter().map(|member| member.prepared.job.name.to_string()).collect();
        let limits: Vec<Option<Limit>> = self.members.iter().map(|member| limit(&member.alone.plan)).collect();
        let mut jobs: Vec<Option<Job>> = vec![None; names.len()];
        for of in plans.iter().flat_map(|plan| &plan.jobs) {
            if let Some(place) = names.iter().position(|name| *name == of.plan.job) {
                jobs[place] = Some(job(&of.plan, limits[place].clone()));
            }
        }
        let jobs: Vec<Job> = jobs.into_iter().flatten().collect();
        let by_hand = matches!(wanted, Wanted::Own(Kind::Static | Kind::Autoscaled, None));
        let own = if by_hand { &self.by_hand } else { &self.members };
        let libraries = own.iter().map(|member| member.prepared.library).collect();
        let mut catalogue = Catalogue::new(&frame.pools, self.starting, &names, libraries);
        let all: Vec<&JointPlan> = plans.iter().collect();
        let deployment = match catalogue.deploy(&all).map(Rc::new) {
            Ok(deployment) => deployment,
            Err(why) => return Ok(none(why.into())),
        };
        for (pool, held) in frame.pools.iter().zip(deployment.held(frame.pools.len())) {
            if held > pool.units {
                let why = format!("it needs {held} `{}`, and `{}` has {}", pool.name, self.machines.name, pool.units);
                return Ok(none(why.into()));
            }
        }
        let mut arrivals = Arrivals::of(self.sources, frame.seed)?;
        let mut go = |policy: &mut dyn Policy| simulate(frame, &jobs, &mut arrivals, policy);
        let mut refused = 0;
        let outcome = match wanted {
            Wanted::Own(Kind::Autoscaled, _) => {
                let target = self.planning.utilisation.to_f64().unwrap_or(0.8);
                go(&mut Autoscaled::of(deployment, target))?
            }
            Wanted::Own(Kind::Adaptive, _) => {
                let epoch = frame.epoch;
                let policy = epochs::Policy {
                    start_s: self.start_minutes * Decimal::from(60),
                    load_gb_per_s: Decimal::from_f64_retain(self.starting.load_gb_s).unwrap_or_default(),
                    ..epochs::Policy::every((epoch / SECOND) as u32)
                };
                let lead = deployment.placed.iter().map(|(kind, _)| kind.start).max().unwrap_or(0).min(epoch / 2);
                let peaks: Vec<Decimal> = self.members.iter().map(|member| member.rate).collect();
                let mut policy = Adaptive {
                    members: &mut self.members,
                    machines: self.machines.clone(),
                    prepare: self.prepare,
                    policy,
                    rounds: self.rounds,
                    catalogue: &mut catalogue,
                    plan: plans[0].clone(),
                    epoch,
                    lead,
                    forecast: self.forecast,
                    deployed: None,
                    refused: 0,
                    watched: Watched::default(),
                };
                let outcome = go(&mut policy);
                refused = policy.refused;
                if policy.machines != *self.machines {
                    *policy.members = (self.prepare)(self.machines)?;
                }
                self.members.iter_mut().zip(peaks).for_each(|(member, peak)| member.rate = peak);
                outcome?
            }
            _ => go(&mut Fixed { name: wanted.name().to_string(), deployment })?,
        };
        Ok(Compared { outcome: Ok(outcome), unknown: catalogue.unknown.into_iter().collect(), refused })
    }

    /// Why there is no plan, and what would let the jobs fit, as `plan` says it, with the job in whose source that is. `late` ends the search.
    pub fn explained(&self, refused: &Refused, late: &(dyn Fn() -> bool + Sync)) -> (&Member<'a>, Diagnostic) {
        let members = &self.all(refused.by_hand)[refused.jobs.clone()];
        let (job, diagnostic) = explain(members, &refused.problem, &self.machines.name, late);
        (&members[job], diagnostic)
    }

    fn all(&self, by_hand: bool) -> &[Member<'a>] {
        if by_hand { &self.by_hand } else { &self.members }
    }

    fn each(&self, by_hand: bool) -> Result<Vec<JointPlan>, Unfit> {
        (0..self.members.len()).map(|job| self.planned(job..job + 1, by_hand)).collect()
    }

    fn planned(&self, jobs: Range<usize>, by_hand: bool) -> Result<JointPlan, Unfit> {
        let limits = Limits { rounds: self.rounds, ..Limits::default() };
        let members = &self.all(by_hand)[jobs.clone()];
        // What jobs would cost alone is not shown here, and not looked for.
        join(members, self.machines, &self.planning, &limits, &|_| true).map_err(|unjoined| match unjoined {
            Unjoined::Unknown(why) | Unjoined::Open(_, why) => why.into(),
            Unjoined::Refused(problem) => {
                let names: Vec<String> =
                    members.iter().map(|member| format!("`{}`", member.prepared.job.name)).collect();
                let (verb, whose) = if members.len() == 1 { ("does", "its peak") } else { ("do", "their peaks") };
                let why = format!("{} {verb} not fit on `{}` at {whose}", names.join(", "), self.machines.name);
                Unfit { why, refused: Some(Refused { jobs, by_hand, problem: Rc::from(problem) }) }
            }
        })
    }
}
