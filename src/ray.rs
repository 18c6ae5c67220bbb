//! A run's calls → a Ray cluster: a driver job with a pool of workers there, started by Ray's Job API, and asked over one connection.
//!
//! The scheduler and the journal stay here ([`crate::run::remote`]). The driver ([`DRIVER`], Python, since Ray is) keeps an actor for each
//! set of resources that calls need at a time; an actor keeps one `mkbc worker` between calls ([`worker`]), which is told a step once
//! ([`defined`]) and takes short calls in batches. What goes up and comes back are texts and files by their content. A worker that dies is
//! replaced, and the call is made again; a driver that dies is submitted again, as the next generation, and the calls under way are made
//! again. Nothing that the journal has is done twice.

mod channel;
mod defined;
mod files;
pub mod jobs;
mod package;
pub mod worker;

use crate::plan::model::{Hardware, Plan, PlanStep};
use crate::run::engines::Args;
use crate::run::fault::{Fault, FaultKind};
use crate::run::probe::Env;
use crate::run::remote::{Remote, Working, portable};
use crate::run::secret::random;
use crate::run::servers::ledger::RAM;
use channel::{Channel, Lost};
use defined::Steps;
use jobs::Jobs;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The driver's files.
const DRIVER: &[(&str, &str)] = &[
    ("driver.py", include_str!("ray/driver.py")),
    ("mkbc_hand.py", include_str!("ray/mkbc_hand.py")),
    ("mkbc_pool.py", include_str!("ray/mkbc_pool.py")),
    ("mkbc_room.py", include_str!("ray/mkbc_room.py")),
];
/// How long a driver may take until it listens.
const START: Duration = Duration::from_secs(60);
/// How often it is looked whether it listens.
const LOOK: Duration = Duration::from_millis(100);
/// How often a call is made again because whoever worked on it is gone.
const MOST_LOST: u32 = 4;
/// How often a driver is submitted again.
const MOST_GENERATIONS: u32 = 8;

/// What a driver says of itself once it listens.
#[derive(Clone, Debug, Deserialize)]
struct Hello {
    /// Its port, on the cluster's head.
    port: u16,
    /// What the cluster has in all: `CPU`, `GPU`, ….
    resources: BTreeMap<String, f64>,
}

/// A Ray cluster that works for a run.
pub struct Ray {
    jobs: Jobs,
    host: String,
    /// What every generation's name begins with.
    name: String,
    /// What a driver wants to hear before it works.
    secret: String,
    /// Where Python files are looked for.
    folders: Vec<PathBuf>,
    steps: Steps,
    generation: Cell<u32>,
    hello: RefCell<Option<Hello>>,
    channel: Mutex<Option<Rc<Channel>>>,
}

impl Ray {
    /// The cluster at `ray://HOST:PORT`, the address of its dashboard; the token is in RAY_AUTH_TOKEN. Python tools are looked for in
    /// `folders`. Nothing is started yet.
    pub fn at(address: &str, program: &Path, folders: Vec<PathBuf>, env: Env<'_>) -> Result<Ray, Fault> {
        let wrong = |why: &str| {
            Fault::new(FaultKind::Input, format!("`--engine {address}`: {why}"))
                .help("give the address of the cluster's dashboard: `--engine ray://127.0.0.1:8265`")
        };
        let rest = address.strip_prefix("ray://").ok_or_else(|| wrong("an engine is `ray://HOST:PORT`"))?;
        let url = reqwest::Url::parse(&format!("http://{rest}")).map_err(|e| wrong(&e.to_string()))?;
        let host = url.host_str().ok_or_else(|| wrong("no host is named"))?.to_owned();
        let token = env("RAY_AUTH_TOKEN").map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let loopback = matches!(host.as_str(), "localhost" | "[::1]") || host.starts_with("127.");
        if token.is_none() && !loopback {
            let message = format!("`{host}` is another machine, and RAY_AUTH_TOKEN is not set");
            let help = "whoever reaches a Ray cluster without a token can run anything on it: start it with \
                        RAY_AUTH_MODE=token, and export RAY_AUTH_TOKEN";
            return Err(Fault::new(FaultKind::Key, message).help(help));
        }
        let secret = random::<24>()?;
        let name = format!("mkbc-{}", random::<6>()?);
        let bytes = package::package(DRIVER, program)?;
        let jobs = Jobs::new(url, token, bytes)?;
        Ok(Ray {
            jobs,
            host,
            name,
            secret,
            folders,
            steps: Steps::default(),
            generation: Cell::new(0),
            hello: RefCell::new(None),
            channel: Mutex::new(None),
        })
    }

    /// Starts the driver, and refuses a plan that the cluster could never carry out.
    pub async fn ready(&self, plan: &Plan) -> Result<(), Fault> {
        let steps = || plan.steps.iter().filter(|step| portable(&step.engine));
        steps().try_for_each(|step| self.steps.defined(step, &self.folders).map(drop))?;
        let hello = self.start().await?;
        for step in steps() {
            for (resource, needed) in needs(&step.hardware) {
                let has = hello.resources.get(resource).copied().unwrap_or(0.0);
                if has < needed {
                    let message =
                        format!("step `{}` needs {needed} `{resource}`, and the Ray cluster has {has}", step.name);
                    return Err(Fault::new(FaultKind::Unsupported, message)
                        .help("plan for a cluster like it: `--cluster FILE.mkb`"));
                }
            }
        }
        Ok(())
    }

    /// Submits the next generation of the driver, and waits until it listens.
    async fn start(&self) -> Result<Hello, Fault> {
        let generation = self.generation.get() + 1;
        if generation > MOST_GENERATIONS {
            let message = format!("the driver on the Ray cluster ended {MOST_GENERATIONS} times");
            return Err(Fault::new(FaultKind::Process, message).help("`ray job logs` has what it said"));
        }
        self.generation.set(generation);
        let job = self.job();
        let package = package::name(&job);
        self.jobs.upload(&package).await?;
        let env = json!({ "MKBC_SECRET": self.secret, "MKBC_HOST": self.host });
        self.jobs.submit(&job, "python driver.py", &package, &env).await?;
        let listens = async {
            loop {
                let logs = self.jobs.logs(&job).await?;
                let said = logs.lines().find_map(|line| line.strip_prefix("mkbc-driver "));
                if let Some(hello) = said.and_then(|text| serde_json::from_str::<Hello>(text).ok()) {
                    return Ok(hello);
                }
                if let Some(why) = self.jobs.ended(&job).await? {
                    let fault = Fault::new(FaultKind::Process, format!("the driver on the Ray cluster ended: {why}"));
                    return Err(fault.detail(crate::run::fault::tail(&logs, 2000)));
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let late = || Fault::new(FaultKind::Timeout, format!("the driver does not listen after {} s", START.as_secs()));
        let hello: Hello = tokio::time::timeout(START, listens).await.map_err(|_| late())??;
        *self.hello.borrow_mut() = Some(hello.clone());
        Ok(hello)
    }

    fn job(&self) -> String {
        format!("{}-{}", self.name, self.generation.get())
    }

    /// The connection to a driver that works.
    async fn channel(&self) -> Result<Rc<Channel>, Fault> {
        let mut held = self.channel.lock().await;
        if let Some(channel) = held.as_ref().filter(|channel| channel.works()) {
            return Ok(channel.clone());
        }
        let first = if held.is_none() { self.hello.borrow().clone() } else { None };
        let opened = match first {
            // Where no program was needed for long, the driver has ended by now.
            Some(hello) => Channel::open(&self.host, hello.port, &self.secret).await.ok(),
            None => None,
        };
        let channel = match opened {
            Some(channel) => channel,
            None => Channel::open(&self.host, self.start().await?.port, &self.secret).await?,
        };
        let channel = Rc::new(channel);
        *held = Some(channel.clone());
        Ok(channel)
    }

    /// Ends the driver.
    pub async fn stop(&self) {
        if self.generation.get() > 0 {
            let _ = tokio::time::timeout(Duration::from_secs(5), self.jobs.stop(&self.job())).await;
        }
    }

    async fn work(&self, step: &PlanStep, args: &Args, out: &Path) -> Result<Value, Fault> {
        let defined = self.steps.defined(step, &self.folders)?;
        let mut lost = 0;
        loop {
            let channel = self.channel().await?;
            match channel.call(&defined, args, out).await {
                Ok(result) => return result,
                Err(Lost) if lost < MOST_LOST => lost += 1,
                Err(Lost) => {
                    let message = format!("the worker of `{}` died {} times over it", step.name, lost + 1);
                    return Err(Fault::new(FaultKind::Process, message));
                }
            }
        }
    }
}

impl Remote for Ray {
    fn call<'a>(&'a self, step: &'a PlanStep, args: &'a Args, out: &'a Path) -> Working<'a> {
        Box::pin(self.work(step, args, out))
    }
}

/// What Ray is to set aside for a call.
fn needs(hardware: &Hardware) -> BTreeMap<&str, f64> {
    let units = f64::from(hardware.units.max(1));
    match hardware.device.as_str() {
        RAM => BTreeMap::from([("CPU", units)]),
        // A GPU by its kind: a resource that whoever starts the nodes gives them.
        kind => BTreeMap::from([("CPU", 1.0), ("GPU", units), (kind, units)]),
    }
}
