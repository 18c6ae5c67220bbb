//! Model servers of one's own -> started where the plan places them, shared by steps and runs, gone when nobody needs them.
//!
//! A server starts when it is first needed, or before where its memory is free; it is asked only once it has answered a real request; it
//! is started again when it dies, a bounded number of times; it sleeps or stops where another needs its memory. What is started lies
//! below a guard ([`guard`]), so that nothing of it outlives us. The flags are in [`command`] and nowhere else.

pub mod command;
pub mod find;
mod guard;
mod health;
pub mod instance;
pub mod ledger;
mod process;
pub mod seats;
pub mod serving;

use super::devices::{Inventory, inventory};
use super::fault::{Fault, FaultKind};
use super::observer::{Event, Observer};
use instance::{Instance, Wanted};
use ledger::{Holder, Ledger, Need};
use process::Spawner;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// What happened to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// Its process was started.
    Starting,
    /// It answered a request.
    Ready,
    /// It ended by itself, and is started again.
    Crashed,
    /// It gave its GPU memory away, and kept its weights.
    Asleep,
    /// It was stopped.
    Stopped,
}

/// Something that happened to a server, and where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerEvent {
    /// Which server: `vllm of summarise`.
    pub server: String,
    /// What happened.
    pub state: ServerState,
    /// The devices that it is on: `cpu`, or UUIDs.
    pub devices: Vec<String>,
    /// What is set aside for it, gigabytes.
    pub memory_gb: f64,
    /// Whether it is where the plan says.
    pub as_planned: bool,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// How patient we are with servers.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a server may take until it answers, whatever its size; larger ones have longer.
    pub start: Duration,
    /// How often a server may die before it is given up, and the first wait before it is started again; doubles each time.
    pub crashes: u32,
    /// The first wait.
    pub backoff: Duration,
}

/// Bytes of weights that a server reads in a second at least.
const READ: u64 = 200_000_000;

impl Patience {
    /// How long a server with so many bytes of weights may take until it answers.
    pub fn within(&self, weights: u64) -> Duration {
        self.start + Duration::from_secs(weights / READ)
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { start: Duration::from_secs(300), crashes: 3, backoff: Duration::from_millis(500) }
    }
}

/// The model servers that this process has started; clones share them. They end with the last clone.
#[derive(Clone, Default)]
pub struct Servers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    machine: OnceLock<Inventory>,
    ledger: OnceLock<Mutex<Ledger>>,
    spawner: Mutex<Option<Arc<Spawner>>>,
    instances: Mutex<BTreeMap<String, Arc<Instance>>>,
    /// Memory was given back, or somebody became idle.
    changed: Notify,
    /// Counts uses, which tells who was used last.
    uses: AtomicU64,
    patience: Patience,
    /// Where they work, where they outlive a run.
    folder: Option<PathBuf>,
}

/// How much may be taken from others for a server to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Force {
    /// Only what nobody needs any more; else there is no start now.
    Spare,
    /// Whoever is idle goes; else we wait.
    Idle,
}

/// Memory that is set aside for somebody, until dropped.
struct Room {
    // Weak, since all servers hold this one.
    servers: Weak<Inner>,
    number: Holder,
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(inner) = self.servers.upgrade() {
            let servers = Servers(inner);
            servers.ledger().give_back(self.number);
            servers.changed();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Servers {
    /// None yet; the machine is looked at when the first one starts.
    pub fn new() -> Servers {
        Servers::default()
    }

    /// Those of several runs; they work in a folder that outlives these.
    pub fn kept_in(folder: &Path) -> Servers {
        Servers(Arc::new(Inner { folder: Some(folder.to_path_buf()), ..Inner::default() }))
    }

    /// On a machine of which somebody else says what it has.
    pub fn on(machine: Inventory, patience: Patience) -> Servers {
        let inner = Inner { patience, ..Inner::default() };
        let _ = inner.machine.set(machine);
        Servers(Arc::new(inner))
    }

    /// What this machine has.
    fn machine(&self) -> &Inventory {
        self.0.machine.get_or_init(inventory)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(self.0.ledger.get_or_init(|| Mutex::new(Ledger::of(self.machine()))))
    }

    fn patience(&self) -> Patience {
        self.0.patience
    }

    fn spawner(&self) -> Result<Arc<Spawner>, Fault> {
        let mut spawner = locked(&self.0.spawner);
        if let Some(spawner) = spawner.as_ref() {
            return Ok(spawner.clone());
        }
        Ok(spawner.insert(Arc::new(Spawner::new()?)).clone())
    }

    /// The server of a key, made by whoever asks first.
    fn instance(&self, key: &str, wanted: &Wanted) -> Arc<Instance> {
        let mut instances = locked(&self.0.instances);
        let number = instances.len() as Holder;
        instances.entry(key.to_owned()).or_insert_with(|| Arc::new(Instance::new(number, wanted.clone()))).clone()
    }

    fn all(&self) -> Vec<Arc<Instance>> {
        locked(&self.0.instances).values().cloned().collect()
    }

    /// The next of the numbers that uses have.
    fn tick(&self) -> u64 {
        self.0.uses.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// What somebody has taken from the ledger, to be given back.
    fn room(&self, number: Holder) -> Room {
        Room { servers: Arc::downgrade(&self.0), number }
    }

    /// Somebody became idle, or gave memory back.
    fn changed(&self) {
        self.0.changed.notify_waiters();
    }

    /// Sets memory aside for a server; idle ones go where that is needed and allowed. None where it is not allowed, and there is none.
    async fn make_room(
        &self,
        holder: Holder,
        need: &Need,
        force: Force,
        watch: &dyn Observer,
    ) -> Result<Option<Vec<String>>, Fault> {
        loop {
            // Heard from here on, so that nothing that changes while we look is missed.
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let victims = {
                let mut ledger = self.ledger();
                if let Some(devices) = ledger.take(holder, need) {
                    return Ok(Some(devices));
                }
                if !ledger.possible(need) {
                    return Err(impossible(need, &ledger));
                }
                let mut idle: Vec<Arc<Instance>> = self.all();
                idle.retain(|i| i.idle() && (force == Force::Idle || i.spare()));
                idle.sort_by_key(|i| (!i.spare(), i.last_used()));
                let order: Vec<Holder> = idle.iter().map(|i| i.number).collect();
                ledger
                    .victims(need, &order)
                    .map(|v| idle.into_iter().filter(|i| v.contains(&i.number)).collect::<Vec<_>>())
            };
            match victims {
                Some(victims) => {
                    let mut gone = false;
                    for victim in victims {
                        gone |= victim.yield_memory(self, watch).await;
                    }
                    if !gone {
                        // It was taken into use in between.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                None if force == Force::Spare => return Ok(None),
                None => changed.await,
            }
        }
    }

    /// Stops every server; gently, or at once.
    pub async fn stop(&self, at_once: bool, watch: &dyn Observer) {
        let all = self.all();
        futures_util::future::join_all(all.iter().map(|i| i.stop(at_once, watch))).await;
    }

    /// Processes of servers that run now: ids of their guards.
    pub fn processes(&self) -> Vec<u32> {
        self.all().iter().filter_map(|i| i.process()).collect()
    }
}

fn impossible(need: &Need, ledger: &Ledger) -> Fault {
    let gb = |bytes: u64| format!("{:.1}", bytes as f64 / 1e9);
    let has = ledger.devices(&need.kind).len();
    let message = if has < need.devices as usize {
        format!("the plan places a server on {} `{}`, and this machine has {has}", need.devices, need.kind)
    } else {
        let room = gb(ledger.room(&need.kind));
        format!("the plan places a server of {} GB on `{}`, of which {room} GB can be had", gb(need.each), need.kind)
    };
    Fault::new(FaultKind::Unsupported, message)
        .help("plan for this machine (`--cluster here`), or give the address of a server that runs elsewhere")
}

fn tell(watch: &dyn Observer, event: &ServerEvent) {
    watch.event(&Event::Server(event));
}
