//! A plan, or a joint plan → the model servers that it needs, each once, with its replicas.
//!
//! What makes two steps users of one server is the runtime's to say ([`key`]). How often the server is there is the plan's: an instance
//! that steps share counts once, and without a rate steps use a server one after the other.

use super::{Unfit, plain_name};
use crate::fleet::model::JointPlan;
use crate::plan::model::{Plan, PlanStep, Provider, Serve};
use crate::run::servers::serving::{key, placed};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a server, beside that of the export.
const LONGEST: usize = 26;

/// A model server that stands ready.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Its name, unique in the export: that of the model.
    pub name: String,
    /// What is started.
    pub serve: Serve,
    /// What the plan asks for the model as.
    pub model: String,
    /// The API that it is asked by.
    pub api: String,
    /// The variable that holds the addresses of servers of its kind.
    pub url_env: String,
    /// The variable that holds its key; empty for none.
    pub key_env: String,
    /// `cpu`, or a GPU's name.
    pub device: String,
    /// How many of it one replica holds.
    pub units: u32,
    /// How often it is there.
    pub replicas: u32,
    /// Memory of one replica, of all its devices together, in gigabytes; 0 where the plan does not know.
    pub memory_gb: Decimal,
    /// The steps that use it, as `job: step`.
    pub steps: BTreeSet<String>,
}

/// Who holds replicas of a server: an instance by its number, or a step by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Instance(usize),
    Step(usize, u32),
    Anybody,
}

/// Servers by what makes them one.
#[derive(Default)]
struct Found {
    servers: BTreeMap<String, (Server, BTreeMap<Holder, u32>)>,
    /// In the order in which the plan comes upon them.
    order: Vec<String>,
}

/// The servers of a plan.
pub fn of_plan(plan: &Plan) -> Result<Vec<Server>, Unfit> {
    let mut found = Found::default();
    for step in &plan.steps {
        let holder = match (plan.rate_per_s, step.instance) {
            (None, _) => Holder::Anybody,
            (Some(_), Some(instance)) => Holder::Instance(instance),
            (Some(_), None) => Holder::Step(0, step.id.0),
        };
        found.add(plan, step, holder, step.hardware.replicas);
    }
    found.alone(plan)?;
    Ok(found.all())
}

/// The servers of a joint plan.
pub fn of_joint(joint: &JointPlan) -> Result<Vec<Server>, Unfit> {
    let mut found = Found::default();
    for (number, job) in joint.jobs.iter().enumerate() {
        for (step, route) in job.plan.steps.iter().zip(&job.routes) {
            let instance = route.instance.and_then(|at| Some((at, joint.instances.get(at)?)));
            let (holder, replicas) = match instance {
                Some((at, instance)) => (Holder::Instance(at), u32::try_from(instance.replicas).unwrap_or(1)),
                None => (Holder::Step(number, step.id.0), step.hardware.replicas),
            };
            found.add(&job.plan, step, holder, replicas);
        }
    }
    Ok(found.all())
}

fn served(step: &PlanStep) -> Option<(&Provider, &Serve)> {
    step.engine.provider().and_then(|provider| Some((provider, provider.serve.as_ref()?)))
}

fn key_of(plan: &Plan, step: &PlanStep) -> Option<String> {
    let (provider, serve) = served(step)?;
    Some(key(provider, serve, step, &placed(plan, step), true))
}

impl Found {
    fn add(&mut self, plan: &Plan, step: &PlanStep, holder: Holder, replicas: u32) {
        let (Some((provider, serve)), Some(key)) = (served(step), key_of(plan, step)) else { return };
        if !self.servers.contains_key(&key) {
            self.order.push(key.clone());
        }
        let new = || Server {
            name: String::new(),
            serve: serve.clone(),
            model: provider.model.clone(),
            api: provider.api.clone(),
            url_env: provider.url_env.clone(),
            key_env: provider.key_env.clone(),
            device: step.hardware.device.clone(),
            units: step.hardware.units.max(1),
            replicas: 0,
            memory_gb: Decimal::ZERO,
            steps: BTreeSet::new(),
        };
        let (server, holders) = self.servers.entry(key).or_insert_with(|| (new(), BTreeMap::new()));
        server.memory_gb = server.memory_gb.max(step.predicted.memory_gb);
        server.steps.insert(format!("{}: {}", plan.job, step.name));
        let most = holders.entry(holder).or_default();
        *most = replicas.max(1).max(*most);
    }

    /// Refuses a plan in which something lies on a server's GPU beside it.
    fn alone(&self, plan: &Plan) -> Result<(), Unfit> {
        for placed in &plan.placement {
            let on: Vec<&PlanStep> = plan.steps.iter().filter(|step| placed.steps.contains(&step.id)).collect();
            let keys: BTreeSet<Option<String>> = on.iter().map(|step| key_of(plan, step)).collect();
            if keys.len() > 1 && keys.iter().any(Option::is_some) {
                let gpu = format!("{} {}", placed.device, placed.index);
                return Err(Unfit::Shared { gpu, steps: on.iter().map(|step| step.name.clone()).collect() });
            }
        }
        Ok(())
    }

    /// All of them, named.
    fn all(mut self) -> Vec<Server> {
        let mut taken = BTreeSet::new();
        let mut servers = Vec::new();
        for key in &self.order {
            let Some((server, holders)) = self.servers.remove(key) else { continue };
            let model = server.model.rsplit('/').next().unwrap_or(&server.model);
            let mut name = plain_name(model, LONGEST);
            let mut number = 1;
            while !taken.insert(name.clone()) {
                number += 1;
                let end = format!("-{number}");
                name = format!("{}{end}", plain_name(model, LONGEST - end.len()));
            }
            let replicas = holders.values().fold(0_u32, |sum, replicas| sum.saturating_add(*replicas));
            servers.push(Server { name, replicas, ..server });
        }
        servers
    }
}
