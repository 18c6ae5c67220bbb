//! One server: stopped, loading, ready, asleep or given up; whoever needs it brings it to `ready`, one at a time.

mod start;

use super::command::CommandLine;
use super::health;
use super::ledger::{Holder, Need, RAM};
use super::process::Process;
use super::{Force, Room, ServerEvent, ServerState, Servers, locked, tell};
use crate::plan::model::Serve;
use crate::run::devices::nvml;
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::fault::Fault;
use crate::run::observer::Observer;
use crate::run::probe::Env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long falling asleep or waking up may take.
const NAP: Duration = Duration::from_secs(120);
/// How long a server may take to be gone after its connections broke.
const GOING: Duration = Duration::from_secs(2);
/// The longest wait before a server is started again.
const LONGEST: Duration = Duration::from_secs(30);

/// A server as the plan wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// How people are told of it: `vllm of summarise`.
    pub name: String,
    /// The server.
    pub serve: Serve,
    /// What the plan calls the model.
    pub model: String,
    /// The API that it is asked by.
    pub api: String,
    /// Where an address of one could be given.
    pub url_env: String,
    /// The kind of device.
    pub device: String,
    /// How many of it.
    pub units: u32,
    /// The devices of its kind that the plan places it on, by their number; empty where the plan leaves that open.
    pub placed: Vec<u32>,
    /// Gigabytes that the plan counts with, of all devices together; 0 where it does not know.
    pub memory_gb: f64,
    /// Whether nothing else of the plan needs its devices' memory.
    pub alone: bool,
}

impl Wanted {
    fn on_gpu(&self) -> bool {
        self.device != RAM
    }
}

/// A server that was started.
struct Live {
    process: Process,
    endpoint: Endpoint,
    line: CommandLine,
    devices: Vec<String>,
    sleeps: bool,
    /// Bytes of its weights.
    weights: u64,
    /// After the process, which is gone when its memory is given back.
    _room: Room,
}

enum State {
    Stopped,
    Ready(Live),
    Asleep(Live),
    Failed(Fault),
}

/// What is known of a server without waiting for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The devices that it is or was on.
    pub devices: Vec<String>,
    /// Whether these are the plan's.
    pub as_planned: bool,
    /// Bytes that are or were set aside for it.
    pub reserved: u64,
    /// The most that it held, bytes.
    pub peak: u64,
    /// How often it was started.
    pub starts: u32,
    /// How often it died.
    pub crashes: u32,
    /// Seconds until it answered, the last time.
    pub load_s: f64,
    /// Its log.
    pub log: PathBuf,
    /// Bytes of its GPUs that were used before it started.
    used: Option<u64>,
}

/// A server, whatever state it is in.
pub struct Instance {
    /// Its number, by which it holds memory.
    pub number: Holder,
    /// What it is.
    pub wanted: Wanted,
    state: tokio::sync::Mutex<State>,
    known: Mutex<Known>,
    active: AtomicU32,
    /// Whether nothing that is still to come needs it.
    spare: AtomicBool,
    used: AtomicU64,
    crashed_in_a_row: AtomicU32,
}

/// What a call asks.
pub struct Address {
    /// Where.
    pub endpoint: Endpoint,
    /// What the model is called there.
    pub model: String,
    /// Its process.
    pub process: u32,
}

/// What a server needs of the run that starts it.
pub struct Setting<'a> {
    /// All servers.
    pub servers: &'a Servers,
    /// Our environment.
    pub env: Env<'a>,
    /// Where a library's files are.
    pub folders: &'a [PathBuf],
    /// The folder for servers of this run.
    pub folder: &'a Path,
    /// Who watches.
    pub watch: &'a dyn Observer,
}

/// Counts somebody who needs a server, until dropped.
pub struct Needed {
    instance: Arc<Instance>,
    servers: Servers,
    quiet: bool,
}

impl Needed {
    /// Nobody takes the server's memory from now on.
    pub fn new(instance: &Arc<Instance>, servers: &Servers) -> Needed {
        instance.active.fetch_add(1, Ordering::SeqCst);
        Needed { instance: instance.clone(), servers: servers.clone(), quiet: false }
    }

    /// The server.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// It was needed, and could not be had: nothing changed that anybody waits for.
    pub fn forget(mut self) {
        self.quiet = true;
    }
}

impl Drop for Needed {
    fn drop(&mut self) {
        self.instance.used.store(self.servers.tick(), Ordering::SeqCst);
        self.instance.active.fetch_sub(1, Ordering::SeqCst);
        if !self.quiet {
            self.servers.changed();
        }
    }
}

impl Instance {
    /// One that is not started yet.
    pub fn new(number: Holder, wanted: Wanted) -> Instance {
        Instance {
            number,
            wanted,
            state: tokio::sync::Mutex::new(State::Stopped),
            known: Mutex::default(),
            active: AtomicU32::new(0),
            spare: AtomicBool::new(false),
            used: AtomicU64::new(0),
            crashed_in_a_row: AtomicU32::new(0),
        }
    }

    /// Whether nobody needs it at this moment.
    pub fn idle(&self) -> bool {
        self.active() == 0
    }

    /// How many need it at this moment.
    pub fn active(&self) -> u32 {
        self.active.load(Ordering::SeqCst)
    }

    /// Whether nothing that is still to come needs it.
    pub fn spare(&self) -> bool {
        self.spare.load(Ordering::SeqCst)
    }

    /// Says whether something still to come needs it.
    pub fn set_spare(&self, spare: bool) {
        self.spare.store(spare, Ordering::SeqCst);
    }

    /// When it was used last, on a clock that counts uses.
    pub fn last_used(&self) -> u64 {
        self.used.load(Ordering::SeqCst)
    }

    /// The id of its guard, while it runs.
    pub fn process(&self) -> Option<u32> {
        match &*self.state.try_lock().ok()? {
            State::Ready(live) | State::Asleep(live) => Some(live.process.id()),
            _ => None,
        }
    }

    /// What is known of it.
    pub fn known(&self) -> Known {
        locked(&self.known).clone()
    }

    fn event(&self, state: ServerState, said: Option<String>) -> ServerEvent {
        let known = locked(&self.known);
        ServerEvent {
            server: self.wanted.name.clone(),
            state,
            devices: known.devices.clone(),
            memory_gb: known.reserved as f64 / 1e9,
            as_planned: known.as_planned,
            said,
        }
    }

    /// Brings the server to where it answers. Those who need it at the same time wait for the first.
    pub(super) async fn ready(&self, setting: &Setting<'_>, force: Force) -> Result<Option<Address>, Fault> {
        let watch = &setting.watch;
        let mut state = self.state.lock().await;
        loop {
            let now = std::mem::replace(&mut *state, State::Stopped);
            *state = match now {
                State::Failed(fault) => {
                    let told = fault.clone();
                    *state = State::Failed(fault);
                    return Err(told);
                }
                State::Ready(live) if live.process.runs() => State::Ready(live),
                State::Ready(live) | State::Asleep(live) if !live.process.runs() => {
                    let fault = live.process.death(&self.wanted.name);
                    drop(live);
                    self.crashed(fault, setting).await
                }
                State::Ready(live) => State::Ready(live),
                State::Asleep(live) => match self.wake(live, setting, force).await? {
                    Some(state) => state,
                    None => return Ok(None),
                },
                State::Stopped => match self.start(setting, force).await {
                    Ok(Some(live)) => {
                        tell(*watch, &self.event(ServerState::Ready, None));
                        State::Ready(live)
                    }
                    Ok(None) => return Ok(None),
                    Err((fault, true)) => self.crashed(fault, setting).await,
                    Err((fault, false)) => State::Failed(fault),
                },
            };
            if let State::Ready(live) = &*state {
                let (endpoint, model) = (live.endpoint.clone(), live.line.model.clone());
                return Ok(Some(Address { endpoint, model, process: live.process.id() }));
            }
        }
    }

    /// It died: another start after a while, or none any more.
    async fn crashed(&self, fault: Fault, setting: &Setting<'_>) -> State {
        let patience = setting.servers.patience();
        let row = self.crashed_in_a_row.fetch_add(1, Ordering::SeqCst) + 1;
        locked(&self.known).crashes += 1;
        tell(setting.watch, &self.event(ServerState::Crashed, Some(fault.message.clone())));
        // One that never worked may have lost its port to somebody else, once; what else ends it would end it again.
        let most = if locked(&self.known).load_s > 0.0 { patience.crashes } else { patience.crashes.min(1) };
        if row > most {
            let message = format!("{}, {row} times in a row", fault.message);
            let log = self.known().log;
            let help = format!("its log is {}", log.display());
            return State::Failed(Fault { message, ..fault }.help(help));
        }
        let wait = patience.backoff.saturating_mul(1 << (row - 1).min(10)).min(LONGEST);
        tokio::time::sleep(wait).await;
        State::Stopped
    }

    /// Looks at how much memory it holds.
    fn weigh(&self, live: &Live) {
        let mut known = locked(&self.known);
        let held = if self.wanted.on_gpu() {
            let used: Option<u64> = live.devices.iter().map(|gpu| nvml::used(gpu)).sum();
            used.zip(known.used).map_or(0, |(now, before)| now.saturating_sub(before))
        } else {
            live.process.resident()
        };
        known.peak = known.peak.max(held);
    }

    /// A call got its answer: the server works, and holds so much memory.
    pub async fn answered(&self) {
        self.crashed_in_a_row.store(0, Ordering::SeqCst);
        if let State::Ready(live) = &*self.state.lock().await {
            self.weigh(live);
        }
    }

    /// Whether a call failed because its server is gone; one that hangs is made to go.
    pub async fn lost(&self, process: u32, hangs: bool) -> bool {
        let state = self.state.lock().await;
        match &*state {
            State::Ready(live) if live.process.id() == process => {
                if hangs && live.process.runs() && !health::answers(&live.endpoint, &live.line).await {
                    live.process.kill();
                }
                // The connection breaks before the process is gone: the memory of a large one is given back first.
                let gone = async {
                    while live.process.runs() {
                        tokio::time::sleep(GOING / 400).await;
                    }
                };
                tokio::time::timeout(GOING, gone).await.is_ok()
            }
            // Somebody else saw it first.
            _ => true,
        }
    }

    /// Gives its memory to others, if nobody needs it: asleep where it can, else stopped.
    pub(super) async fn yield_memory(&self, servers: &Servers, watch: &dyn Observer) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return false };
        if !self.idle() {
            return false;
        }
        let now = std::mem::replace(&mut *state, State::Stopped);
        *state = match now {
            State::Ready(live) if live.sleeps => self.sleep(live, servers, watch).await,
            State::Ready(live) | State::Asleep(live) => {
                self.end(live, false, watch).await;
                State::Stopped
            }
            other => other,
        };
        true
    }

    async fn sleep(&self, live: Live, servers: &Servers, watch: &dyn Observer) -> State {
        // Level 1 keeps the weights in the machine's memory, where there must be room for them.
        let need = Need { kind: RAM.into(), devices: 1, each: live.weights, chosen: None };
        let fits = {
            let mut ledger = servers.ledger();
            ledger.give_back(self.number);
            ledger.take(self.number, &need).is_some()
        };
        if fits && health::said(&live.endpoint, "sleep?level=1", NAP).await {
            servers.changed();
            tell(watch, &self.event(ServerState::Asleep, None));
            return State::Asleep(live);
        }
        self.end(live, false, watch).await;
        State::Stopped
    }

    async fn wake(&self, live: Live, setting: &Setting<'_>, force: Force) -> Result<Option<State>, Fault> {
        let Setting { servers, watch, .. } = setting;
        let each = self.known().reserved / live.devices.len().max(1) as u64;
        let devices = live.devices.len() as u32;
        let chosen = Some(live.devices.clone());
        let need = Need { kind: self.wanted.device.clone(), devices, each, chosen };
        servers.ledger().give_back(self.number);
        match servers.make_room(self.number, &need, force, *watch).await? {
            // It ends with `live`, and starts anew when it is needed.
            None => Ok(None),
            Some(_) if health::said(&live.endpoint, "wake_up", NAP).await => {
                tell(*watch, &self.event(ServerState::Ready, Some("awake again".to_owned())));
                Ok(Some(State::Ready(live)))
            }
            Some(_) => {
                self.end(live, false, *watch).await;
                Ok(Some(State::Stopped))
            }
        }
    }

    async fn end(&self, live: Live, at_once: bool, watch: &dyn Observer) {
        self.weigh(&live);
        if at_once {
            live.process.kill();
        } else {
            live.process.stop().await;
        }
        drop(live);
        tell(watch, &self.event(ServerState::Stopped, None));
    }

    /// Ends it.
    pub async fn stop(&self, at_once: bool, watch: &dyn Observer) {
        let mut state = self.state.lock().await;
        if let State::Ready(live) | State::Asleep(live) = std::mem::replace(&mut *state, State::Stopped) {
            self.end(live, at_once, watch).await;
        }
    }
}
