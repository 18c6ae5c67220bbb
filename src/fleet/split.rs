//! Many jobs → a joint plan, made for a part of the jobs at a time: memory and time then grow no faster than their number.
//!
//! Each part is planned on top of what the parts before it have put on instances, so that it fills what they left of whole replicas. What no
//! part can do is to move the jobs of another one: the gap says what that may cost at most, against a bound on all jobs at once.

use super::instance::{Instance, millionths};
use super::join::{AloneLate, Unjoined, Whole, carried};
use super::model::{JointJob, JointPlan, Replicas, Switching};
use super::translate::{Member, Settings, Translated, translate};
use crate::library::Library;
use crate::solve::joint::problem::{Job, Kind};
use crate::solve::joint::{self, Outcome, least};
use crate::solve::problem::{Choice, Problem, Step};
use crate::space::Machines;
use indexmap::IndexMap;
use rust_decimal::Decimal;
use std::collections::BTreeSet;

/// Jobs that are planned one part after another.
pub struct Split<'m> {
    machines: &'m Machines,
    /// The share of its time that a replica may be busy.
    utilisation: Decimal,
    jobs: Vec<JointJob>,
    put: IndexMap<Instance, Put>,
    /// Micro-dollars an hour.
    fees: i128,
    bound: i128,
    nodes: u64,
}

/// What jobs have put on the instances of a kind.
struct Put {
    load: i64,
    memory: Decimal,
    kind: Kind,
}

impl<'m> Split<'m> {
    /// No jobs yet, on these machines; a replica may be busy for this share of its time.
    pub fn new(machines: &'m Machines, utilisation: Decimal) -> Split<'m> {
        Split { machines, utilisation, jobs: Vec::new(), put: IndexMap::new(), fees: 0, bound: 0, nodes: 0 }
    }

    /// Plans some more jobs.
    pub fn add(&mut self, members: &[Member], limits: &joint::Limits, late: AloneLate) -> Result<(), Unjoined> {
        let kept = BTreeSet::new();
        let mut translated = translate(members, self.machines, &self.settings(), &kept).map_err(Unjoined::Unknown)?;
        translated.fleet.jobs.push(self.ballast(&translated));
        let planned = match joint::solve(&translated.fleet, limits) {
            Outcome::Planned(planned) => planned,
            Outcome::Unknown(why) => return Err(Unjoined::Unknown(why)),
            Outcome::Refused(_) => {
                let names: Vec<String> = members.iter().map(|m| format!("`{}`", m.prepared.job.name)).collect();
                let before = self.jobs.len();
                return Err(Unjoined::Unknown(format!(
                    "beside {before} others, there is no room for {}",
                    names.join(", ")
                )));
            }
        };
        self.nodes += planned.nodes;
        for at in 0..members.len() {
            let job = &translated.fleet.jobs[at];
            self.bound += least(&translated.fleet, at).unwrap_or(0);
            for ((step, fees), option) in job.problem.steps.iter().zip(&job.fees).zip(&planned.choice[at]) {
                self.fees += i128::from(fees[*option]);
                let Some(kind) = step.choices[*option].instance else { continue };
                let put = self.put.entry(translated.instances[kind].clone());
                let put = put.or_insert_with(|| Put {
                    load: 0,
                    memory: Decimal::ZERO,
                    kind: translated.fleet.kinds[kind].clone(),
                });
                put.load += step.choices[*option].load;
                put.memory = put.memory.max(translated.memory[kind]);
            }
        }
        let place = |kind: usize| self.put.get_index_of(&translated.instances[kind]);
        let jobs = carried(members, &translated, &planned.choice, &place, late)?;
        self.jobs.extend(jobs);
        Ok(())
    }

    /// The plan of all jobs.
    pub fn plan(self, library: &Library) -> Result<JointPlan, Unjoined> {
        let settings = Settings { running: [].into(), ..self.settings() };
        let replicas = |(instance, put): (Instance, Put)| {
            let capacity = put.kind.capacity.max(1);
            let replicas = put.load.saturating_add(capacity - 1).div_euclid(capacity);
            // An account is there once, whether it is loaded or not.
            let replicas = if instance.is_account() { 1 } else { replicas };
            let rent = i128::from(put.kind.price) * i128::from(replicas);
            let used = Replicas {
                instance,
                memory_gb: put.memory,
                replicas,
                running: 0,
                load: millionths(i128::from(put.load)),
                usd_per_hour: millionths(rent),
                switching_usd: Decimal::ZERO,
            };
            (used, rent)
        };
        let (used, rents): (Vec<Replicas>, Vec<i128>) = self.put.into_iter().map(replicas).unzip();
        let cost = self.fees + rents.iter().sum::<i128>();
        let (jobs, bound, nodes) = (self.jobs, self.bound.min(cost), self.nodes);
        Whole { jobs, used, cost, bound, nodes, library: Some(library) }.plan(self.machines, &settings)
    }

    /// Nothing runs yet; the kinds that earlier parts use are known.
    fn settings(&self) -> Settings {
        let switching = Switching { start: Decimal::ZERO, stop: Decimal::ZERO, per_gb: Decimal::ZERO };
        let running = self.put.keys().map(|instance| (instance.clone(), 0)).collect();
        Settings { utilisation: self.utilisation, switching, running }
    }

    /// A job with nothing to choose, which puts on instances what the earlier parts have put there.
    fn ballast(&self, translated: &Translated) -> Job {
        let choice = |(kind, instance): (usize, &Instance)| {
            let load = self.put.get(instance)?.load;
            Some(Choice { instance: Some(kind), load, ..Choice::default() })
        };
        let choices = translated.instances.iter().enumerate().filter_map(choice);
        let steps: Vec<Step> = choices.map(|choice| Step { choices: vec![choice] }).collect();
        let fees = vec![vec![0]; steps.len()];
        Job { name: "earlier jobs".to_string(), problem: Problem { steps, ..Problem::default() }, fees }
    }
}
