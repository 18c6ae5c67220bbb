//! A plan and all servers -> those that its steps need, for one run: what a call holds, what is started beforehand, what came of it.

mod measure;

pub use measure::ServerMeasure;
use measure::measure;

use super::find::managed;
use super::instance::{Address, Instance, Needed, Setting, Wanted};
use super::ledger::RAM;
use super::seats::{Seat, Seats, seated};
use super::{Force, Servers};
use crate::ir::workflow::{Node, Region, StepId};
use crate::plan::model::{Engine, Plan, PlanStep, Provider, Serve};
use crate::run::RunContext;
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::fault::{Fault, FaultKind};
use crate::run::pool::Pools;
use crate::run::pool::line::{Line, Permit};
use rust_decimal::prelude::ToPrimitive;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How often a call may lose its server and be made again; the server itself is given up after a few deaths in a row.
const MOST_LOST: u32 = 8;

/// Steps that use one server, or its replicas.
struct Users {
    steps: Vec<StepId>,
    /// None where mkbc starts none, since somebody gave an address.
    replicas: Vec<Arc<Instance>>,
    /// As many calls as are to be under way at once.
    slots: Rc<Line>,
    /// The devices, which all calls under way hold together.
    devices: Mutex<Weak<Permit>>,
    /// Steps that are done.
    done: Cell<usize>,
}

/// The servers of one run.
pub struct Serving<'a> {
    servers: Servers,
    /// Whether they end with the run.
    own: bool,
    cx: &'a RunContext<'a>,
    folder: PathBuf,
    users: Vec<Rc<Users>>,
    /// By step: the engine that the plan has for it, and those it shares a server with.
    of_step: BTreeMap<StepId, (Engine, Rc<Users>)>,
    /// Steps that are certain to be needed, in the order of the data flow.
    certain: Vec<StepId>,
    /// GPUs of the steps that no server answers.
    seats: Rc<Seats>,
    /// Where the plan has such steps on numbered devices.
    placed: BTreeMap<StepId, Vec<u32>>,
}

/// What a call holds while it is made.
pub struct Holding<'s> {
    lease: Option<Lease<'s>>,
    _slot: Option<Permit>,
    _devices: Rc<Permit>,
    seat: Option<Seat>,
}

/// A server that answers, and that nobody else's memory goes to while a call needs it.
pub struct Lease<'s> {
    needed: Needed,
    serving: &'s Serving<'s>,
}

/// Steps that are to share a server: what they want, by a key that is the same for the same server.
struct Sharers<'p> {
    wanted: Wanted,
    replicas: u32,
    managed: bool,
    placed: Vec<u32>,
    steps: Vec<&'p PlanStep>,
}

impl<'a> Serving<'a> {
    /// The servers that a plan needs; none is started.
    pub fn new(plan: &Plan, cx: &'a RunContext<'a>, folder: &Path) -> Serving<'a> {
        let servers = cx.servers.clone().unwrap_or_default();
        let sharers = sharers(plan, cx);
        let mut users = Vec::new();
        let mut of_step = BTreeMap::new();
        for (key, group) in &sharers {
            let device = &group.wanted.device;
            let loads = |s: &PlanStep| s.hardware.device == *device && matches!(s.engine, Engine::Worker { .. });
            let servers_there = sharers.values().filter(|s| s.managed && s.wanted.device == *device).count();
            let alone = servers_there == 1 && !plan.steps.iter().any(loads);
            let one = Rc::new(group.users(key, alone, &servers));
            for step in &group.steps {
                of_step.insert(step.id, (step.engine.clone(), one.clone()));
            }
            users.push(one);
        }
        let mut certain = Vec::new();
        surely(&plan.body, &mut certain);
        let folder = servers.0.folder.clone().unwrap_or_else(|| folder.join("servers"));
        let placed = plan.steps.iter().filter(|s| seated(s)).map(|s| (s.id, placed(plan, s))).collect();
        let (own, seats) = (cx.servers.is_none(), Rc::default());
        Serving { servers, own, cx, folder, users, of_step, certain, seats, placed }
    }

    /// Those a step shares a server with; none where somebody stands in for the plan's choice.
    fn users(&self, step: &PlanStep) -> Option<&Rc<Users>> {
        self.of_step.get(&step.id).filter(|(engine, _)| *engine == step.engine).map(|(_, users)| users)
    }

    fn setting(&self) -> Setting<'_> {
        Setting {
            servers: &self.servers,
            env: self.cx.env,
            folders: &self.cx.folders,
            folder: &self.folder,
            watch: self.cx.observer,
        }
    }

    /// Waits for what a call of a step needs: a place among those that its server answers at once, the server, and its devices.
    /// The path says which items it is in.
    pub async fn hold(&self, step: &PlanStep, path: &str, pools: &Pools) -> Result<Holding<'_>, Fault> {
        match self.users(step) {
            None => {
                let devices = Rc::new(pools.hold(step, path).await?);
                let seat = if seated(step) { self.seat(step)? } else { None };
                Ok(Holding { lease: None, _slot: None, _devices: devices, seat })
            }
            // In a box: starting a server is a large future, which calls without one need not carry.
            Some(users) => Box::pin(self.hold_server(users, (step, path), pools)).await,
        }
    }

    fn seat(&self, step: &PlanStep) -> Result<Option<Seat>, Fault> {
        let placed = self.placed.get(&step.id).map_or(&[][..], Vec::as_slice);
        self.seats.take(step, placed, &self.servers)
    }

    async fn hold_server<'s>(
        &'s self,
        users: &'s Users,
        (step, path): (&PlanStep, &str),
        pools: &Pools,
    ) -> Result<Holding<'s>, Fault> {
        let slot = users.slots.hold(1, || pools.rank(step.id, path)).await?;
        let lease = match users.next() {
            None => None,
            Some(instance) => {
                let needed = Needed::new(instance, &self.servers);
                instance.ready(&self.setting(), Force::Idle).await?;
                Some(Lease { needed, serving: self })
            }
        };
        let mut shared = users.devices.lock().await;
        let devices = match shared.upgrade() {
            Some(held) => held,
            None => {
                let held = Rc::new(pools.hold(step, path).await?);
                *shared = Rc::downgrade(&held);
                held
            }
        };
        drop(shared);
        Ok(Holding { lease, _slot: Some(slot), _devices: devices, seat: None })
    }

    /// Starts servers before they are needed, where there is memory that nobody needs; does not end.
    pub async fn preload(&self) -> Infallible {
        let of = |step: &StepId| self.of_step.get(step).and_then(|(_, users)| users.replicas.first());
        let mut first: Vec<&Arc<Instance>> = Vec::new();
        for instance in self.certain.iter().filter_map(of) {
            if !first.iter().any(|i| Arc::ptr_eq(i, instance)) {
                first.push(instance);
            }
        }
        let load = |instance: &'_ Arc<Instance>| {
            let instance = instance.clone();
            async move {
                loop {
                    let changed = self.servers.0.changed.notified();
                    tokio::pin!(changed);
                    changed.as_mut().enable();
                    let needed = Needed::new(&instance, &self.servers);
                    // What goes wrong is said by the call that needs it.
                    let loaded = instance.ready(&self.setting(), Force::Spare).await;
                    if !matches!(loaded, Ok(None)) || instance.spare() {
                        return;
                    }
                    needed.forget();
                    changed.await;
                }
            }
        };
        futures_util::future::join_all(first.into_iter().map(load)).await;
        std::future::pending().await
    }

    /// A step is done: a server whose steps are all done is the first to go.
    pub fn finished(&self, step: StepId) {
        let Some((_, users)) = self.of_step.get(&step) else { return };
        users.done.set(users.done.get() + 1);
        if users.done.get() >= users.steps.len() {
            users.replicas.iter().for_each(|i| i.set_spare(true));
            self.servers.changed();
        }
    }

    /// The devices that a call's server is on, where mkbc started it, or that the call was given, and whether these are the plan's.
    pub fn devices(&self, step: &PlanStep, held: &Holding<'_>) -> Option<(Vec<String>, bool)> {
        if let Some(seat) = &held.seat {
            // They were chosen among the plan's; a worker that finds itself elsewhere is a fault.
            return Some((seat.devices.clone(), true));
        }
        let known = self.users(step)?.replicas.first()?.known();
        Some((known.devices, known.as_planned)).filter(|(devices, _)| !devices.is_empty())
    }

    /// Ends the servers of this run, unless others may need them.
    pub async fn close(&self) {
        if self.own {
            self.servers.stop(self.cx.cancel.is_cancelled(), self.cx.observer).await;
        }
    }

    /// What the servers of this run took.
    pub fn measures(&self) -> Vec<ServerMeasure> {
        self.users
            .iter()
            .flat_map(|users| users.replicas.iter().map(move |i| measure(&users.steps, i)))
            .filter(|m| m.starts > 0)
            .collect()
    }
}

impl Users {
    /// The replica that has least to do; one that is not started yet only where all others are busy.
    fn next(&self) -> Option<&Arc<Instance>> {
        let cold = |i: &&Arc<Instance>| if i.known().starts == 0 { i.wanted.serve.parallel.max(1) } else { 0 };
        self.replicas.iter().min_by_key(|i| i.active() + cold(i))
    }
}

impl Sharers<'_> {
    fn users(&self, key: &str, alone: bool, servers: &Servers) -> Users {
        let names: Vec<&str> = self.steps.iter().map(|s| s.name.as_str()).collect();
        let name = format!("{} of {}", self.wanted.serve.server, names.join(", "));
        let replica = |r: u32| {
            let name =
                if self.replicas > 1 { format!("{name} ({} of {})", r + 1, self.replicas) } else { name.clone() };
            let from = (r * self.wanted.units) as usize;
            let placed = self.placed.iter().skip(from).take(self.wanted.units as usize).copied().collect();
            let wanted = Wanted { name, placed, alone, ..self.wanted.clone() };
            let instance = servers.instance(&format!("{key} {r}"), &wanted);
            instance.set_spare(false);
            instance
        };
        let replicas = if self.managed { (0..self.replicas).map(replica).collect() } else { Vec::new() };
        let places = self.wanted.serve.parallel.max(1).saturating_mul(self.replicas);
        Users {
            steps: self.steps.iter().map(|s| s.id).collect(),
            replicas,
            slots: Line::of(places),
            devices: Mutex::default(),
            done: Cell::new(0),
        }
    }
}

/// Groups the steps that servers of one's own carry out, by what they need.
fn sharers<'p>(plan: &'p Plan, cx: &RunContext<'_>) -> BTreeMap<String, Sharers<'p>> {
    let mut all: BTreeMap<String, Sharers<'_>> = BTreeMap::new();
    for step in &plan.steps {
        let Some((provider, serve)) = step.engine.provider().and_then(|p| Some((p, p.serve.as_ref()?))) else {
            continue;
        };
        let managed = managed(provider, cx.env).is_some();
        // Of a server elsewhere only a batch is ours to say.
        if !managed && serve.parallel <= 1 {
            continue;
        }
        let placed = placed(plan, step);
        let replicas = if managed { step.hardware.replicas.max(1) } else { 1 };
        let key = key(provider, serve, step, &placed, managed);
        let memory_gb = step.predicted.memory_gb.to_f64().unwrap_or(0.0);
        let group = all.entry(key).or_insert_with(|| Sharers {
            wanted: wanted(provider, serve, step),
            replicas,
            managed,
            placed,
            steps: Vec::new(),
        });
        group.wanted.memory_gb = group.wanted.memory_gb.max(memory_gb);
        group.steps.push(step);
    }
    all
}

/// The GPUs of its kind that a plan places a step on, by number; none where it leaves that open, and on cores.
pub fn placed(plan: &Plan, step: &PlanStep) -> Vec<u32> {
    match step.hardware.device.as_str() {
        RAM => Vec::new(),
        _ => plan.placement.iter().filter(|p| p.steps.contains(&step.id)).map(|p| p.index).collect(),
    }
}

/// What is the same for the steps that share a server.
pub fn key(provider: &Provider, serve: &Serve, step: &PlanStep, placed: &[u32], managed: bool) -> String {
    let Provider { api, model, url_env, .. } = provider;
    let hardware = &step.hardware;
    serde_json::json!([managed, url_env, serve, api, model, hardware.device, hardware.units, placed]).to_string()
}

fn wanted(provider: &Provider, serve: &Serve, step: &PlanStep) -> Wanted {
    Wanted {
        name: String::new(),
        serve: serve.clone(),
        model: provider.model.clone(),
        api: provider.api.clone(),
        url_env: provider.url_env.clone(),
        device: step.hardware.device.clone(),
        units: step.hardware.units.max(1),
        placed: Vec::new(),
        memory_gb: 0.0,
        alone: false,
    }
}

/// Steps of a region that are called whatever the data say, in order.
fn surely(region: &Region, steps: &mut Vec<StepId>) {
    for node in &region.nodes {
        match node {
            Node::Call { step, .. } => steps.push(*step),
            Node::Map { body, .. } | Node::Repeat { body, .. } => surely(body, steps),
            _ => {}
        }
    }
}

impl<'s> Holding<'s> {
    /// The server, where mkbc started it.
    pub fn lease(&self) -> Option<&Lease<'s>> {
        self.lease.as_ref()
    }

    /// The GPUs that the call is to use, by UUID; none where a server has them, and where there are none.
    pub fn gpus(&self) -> &[String] {
        self.seat.as_ref().map_or(&[], |seat| seat.devices.as_slice())
    }
}

impl Lease<'_> {
    async fn address(&self) -> Result<Address, Fault> {
        let address = self.needed.instance().ready(&self.serving.setting(), Force::Idle).await?;
        address.ok_or_else(|| Fault::new(FaultKind::Process, "a server was not started"))
    }

    /// Asks the server; again where it died over it, until it is given up.
    pub async fn asking<T>(
        &self,
        provider: &Provider,
        ask: impl AsyncFn(&Provider, &Endpoint) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let instance = self.needed.instance();
        let mut lost = 0;
        loop {
            let Address { endpoint, model, process } = self.address().await?;
            let own = Provider { model, ..provider.clone() };
            match ask(&own, &endpoint).await {
                Ok(value) => {
                    instance.answered().await;
                    return Ok(value);
                }
                Err(fault) => {
                    let hangs = fault.kind == FaultKind::Timeout;
                    let unheard = hangs || fault.kind == FaultKind::Provider;
                    lost += 1;
                    if !unheard || lost > MOST_LOST || !instance.lost(process, hangs).await || hangs {
                        return Err(fault);
                    }
                }
            }
        }
    }

    /// The most memory that the server held so far, bytes; 0 where nothing was measured.
    pub fn peak(&self) -> u64 {
        self.needed.instance().known().peak
    }
}
