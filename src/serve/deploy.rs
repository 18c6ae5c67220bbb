//! Deployed workflows: a job that was submitted once, with a rate, and that has an endpoint of its own from then on.
//!
//! A [`Workflow`] is the source as it was read and what its callers need of it; [`schema`] publishes what it takes and answers, [`slo`] holds
//! its runs against its limits. What workflows run on, they share: [`super::fleet`].

pub mod schema;
pub mod slo;

use super::api::deployed::Deployment;
use super::api::refusal::Refusal;
use super::now_ms;
use super::planning::{Opened, Order, Planner};
use super::store::Ended;
use super::tenants::LOCAL;
use crate::check::select;
use crate::fleet::load::rate;
use crate::plan::model::PlanClause;
use crate::types::Type;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Characters of a name.
const NAME: usize = 64;

/// A deployment as it is kept: what a workflow is made of again when the server starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    /// Whose it is.
    pub tenant: String,
    /// What it is called; another tenant's may be called the same.
    pub name: String,
    /// The text of a `.mkb` file.
    pub source: String,
    /// What the file is called, where its owner said so.
    #[serde(default)]
    pub file: Option<String>,
    /// The job in it.
    pub job: String,
    /// The text of its lock file.
    pub lock: Option<String>,
    /// Runs a second for which it was admitted.
    pub rate: Decimal,
    /// When, milliseconds since 1970.
    pub deployed_ms: i64,
    /// Whether it is taken down, once what it has accepted is carried out.
    pub draining: bool,
}

impl Ordered {
    /// Whether another deployment asks for the same.
    pub fn is_again(&self, other: &Ordered) -> bool {
        let Ordered { tenant, name, source, job, lock, rate, .. } = self;
        let same = tenant == &other.tenant && name == &other.name && source == &other.source;
        same && job == &other.job && lock == &other.lock && rate == &other.rate
    }
}

/// A deployed workflow.
pub struct Workflow {
    /// What it is called on this server: its name, behind its tenant's where there are tenants. Plans and runs have it as their job.
    pub key: String,
    /// How it was deployed.
    pub ordered: Ordered,
    /// Its source, checked.
    pub opened: Opened,
    /// The job's documentation.
    pub docs: String,
    /// Its inputs.
    pub inputs: Vec<(String, Type)>,
    /// Its answer.
    pub result: Type,
    draining: AtomicBool,
    /// How many runs broke each limit since the server was started, by the limit's text.
    broken: Mutex<BTreeMap<String, u64>>,
}

impl Workflow {
    /// Reads what a tenant wants deployed.
    pub fn of(planner: &Planner, tenant: &str, deployment: Deployment) -> Result<Workflow, Refusal> {
        let Deployment { source, file, job, lock, name, rate: asked } = deployment;
        let order = Order { source, file, job, lock, ..Order::default() };
        let opened = planner.open(&order, false)?;
        let Order { source, file, lock, .. } = order;
        let job = select(&opened.checked.program, Some(&opened.job)).map_err(|why| Refusal::invalid("no_job", why))?;
        let stated = match asked {
            Some(text) => Some(rate(&text).map_err(|why| Refusal::invalid("bad_rate", why))?),
            None => job.rate_per_s(),
        };
        let missing = || {
            Refusal::invalid("bad_rate", "how often is it run?")
                .help("give a rate (`--rate 30/s`, `rate` over HTTP), or write `expect 30 requests/s` in the job")
        };
        let (job, rate) = (job.name.to_string(), stated.ok_or_else(missing)?.normalize());
        let name = name.unwrap_or_else(|| job.clone());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > NAME || !name.chars().all(plain) {
            return Err(Refusal::invalid("bad_name", "a name has 1 to 64 letters, digits, `-`, `_` and `.`"));
        }
        let (tenant, deployed_ms) = (tenant.to_owned(), now_ms());
        let ordered = Ordered { tenant, name, source, file, job, lock, rate, deployed_ms, draining: false };
        Ok(Workflow::opened(ordered, opened))
    }

    /// A workflow of an earlier server.
    pub fn again(planner: &Planner, ordered: Ordered) -> Result<Workflow, Refusal> {
        let Ordered { source, file, job, lock, .. } = ordered.clone();
        let opened = planner.open(&Order { source, file, job: Some(job), lock, ..Order::default() }, false)?;
        Ok(Workflow::opened(ordered, opened))
    }

    fn opened(ordered: Ordered, mut opened: Opened) -> Workflow {
        // A fleet places the calls of a job as they stand: what composes them is chosen for a job by itself.
        opened.checked.program.compositions.clear();
        let job = opened.checked.program.jobs.iter().find(|job| job.name == ordered.job.as_str());
        let local = |job: &crate::check::program::Job| {
            let params = job.params.iter().map(|param| job.local(*param));
            params.map(|local| (local.name.to_string(), local.ty.clone())).collect()
        };
        let key = key(&ordered.tenant, &ordered.name);
        let (docs, inputs) = (job.map(|job| job.docs.to_string()), job.map(local));
        let (result, draining) = (job.map(|job| job.result.clone()), AtomicBool::new(ordered.draining));
        Workflow {
            docs: docs.unwrap_or_default(),
            inputs: inputs.unwrap_or_default(),
            result: result.unwrap_or(Type::Json),
            key,
            ordered,
            opened,
            draining,
            broken: Mutex::default(),
        }
    }

    /// Whether it only ends what it has accepted.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on it takes no more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// What is to be kept of it.
    pub fn kept(&self) -> Ordered {
        Ordered { draining: self.is_draining(), ..self.ordered.clone() }
    }

    /// Counts a run that has ended against the limits of its plan; the limits that it broke.
    pub fn count(&self, clauses: &[PlanClause], ended: &Ended) -> Vec<String> {
        let broke = clauses.iter().filter(|clause| slo::breaks(clause, ended) == Some(true));
        let broke: Vec<String> = broke.map(|clause| clause.text.clone()).collect();
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broke.iter().for_each(|text| *broken.entry(text.clone()).or_default() += 1);
        broke
    }

    /// How many runs broke each limit since the server was started, by the limit's text.
    pub fn broken(&self) -> BTreeMap<String, u64> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The key of a tenant's workflow.
pub fn key(tenant: &str, name: &str) -> String {
    if tenant == LOCAL { name.to_owned() } else { format!("{tenant}/{name}") }
}
