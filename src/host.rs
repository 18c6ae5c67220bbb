//! This machine as a host of a service: runs that the service leases to it → carried out here by the runtime that `mkbc run` uses too, with
//! their records and files there.
//!
//! What counts is what the service has: a record counts here once it is on the disk there, so that a call that may cost something begins only
//! while the run is still this host's. Secrets are read from the environment of this machine, and cross no network.

mod carry;
mod fetch;
mod mirror;
mod paths;
mod places;
pub mod tie;

use crate::run::cancel::Cancel;
use crate::run::devices::inventory;
use crate::run::devices::sensors::Sensors;
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::lock::Lock;
use crate::run::secret::random;
use crate::run::servers::Servers;
use crate::run::store::{folder, fresh_folder};
use crate::run::{Signals, block_on};
use crate::serve::hosts::protocol::{Ask, Grant, HOSTS, Held, Hello, News, Outcome, Welcome, Wish};
use carry::carry;
use reqwest::Method;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tie::{No, Service, Tie};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The longest pause between two attempts to reach the service.
const PAUSE: Duration = Duration::from_secs(2);
/// How long an answer may take beyond the time for which the service waits for news.
const ANSWER: Duration = Duration::from_secs(15);

/// How a host is set up.
pub struct Settings {
    /// The service.
    pub service: Service,
    /// What the host calls itself.
    pub name: String,
    /// Runs at a time.
    pub runs: u32,
    /// A folder of its own.
    pub folder: PathBuf,
    /// Where modules and programs that a library brings along are looked for.
    pub libraries: Vec<PathBuf>,
    /// Implementations that this machine can run.
    pub usable: BTreeSet<String>,
}

/// What all runs of a host share.
struct Machine {
    service: Service,
    folder: PathBuf,
    libraries: Vec<PathBuf>,
    servers: Servers,
}

/// A run under way here.
struct Active {
    held: Held,
    cancel: Cancel,
}

/// A run has ended here: which, and how.
type Done = (u64, Outcome);

/// Carries out what the service has to do, until a signal: then what is under way may end, or goes back. Returns the signal's exit status.
pub fn work(settings: &Settings, say: &dyn Fn(&str)) -> Result<u8, Fault> {
    folder(&settings.folder)?;
    let _lock = Lock::take(&settings.folder).map_err(|fault| {
        Fault::new(FaultKind::Storage, format!("another worker has this name and folder ({})", fault.message))
            .help("give another `--name`, or another `--project`")
    })?;
    // What an earlier process left of its runs is of no use: their records are with the service.
    fresh_folder(&settings.folder.join("leases"))?;
    let machine = Arc::new(Machine {
        service: settings.service.clone(),
        folder: settings.folder.clone(),
        libraries: settings.libraries.clone(),
        servers: Servers::kept_in(&settings.folder.join("servers")),
    });
    let worked = block_on(async {
        let signals = Signals::new().ok_or_else(|| Fault::new(FaultKind::Process, "signals cannot be listened for"))?;
        Host {
            process: random::<8>()?,
            settings,
            say,
            tie: settings.service.tie()?,
            machine,
            sensors: Sensors::default(),
            runs: BTreeMap::new(),
            session: None,
            registered: false,
            away: false,
        }
        .work(signals)
        .await
    });
    worked.map_err(|e| Fault::new(FaultKind::Process, format!("the worker has no runtime: {e}")))?
}

struct Host<'a> {
    /// A word that tells this process from others of its name.
    process: String,
    settings: &'a Settings,
    say: &'a dyn Fn(&str),
    tie: Tie,
    machine: Arc<Machine>,
    sensors: Sensors,
    runs: BTreeMap<u64, Active>,
    session: Option<Welcome>,
    /// Whether the service knows the session, as far as is known here.
    registered: bool,
    /// Whether the service could not be reached the last time.
    away: bool,
}

impl Host<'_> {
    async fn work(mut self, mut signals: Signals) -> Result<u8, Fault> {
        let (done, mut ended) = unbounded_channel::<Done>();
        let (mut status, mut pause) = (None, PAUSE / 20);
        loop {
            if let Some(status) = status.filter(|_| self.runs.is_empty()) {
                self.leave().await;
                return Ok(status);
            }
            let turn = tokio::select! {
                turn = self.turn(status.is_some()) => turn,
                Some((run, outcome)) = ended.recv() => {
                    self.runs.remove(&run);
                    (self.say)(&format!("run {run} {}", shown(&outcome)));
                    continue;
                }
                signal = signals.next() => {
                    match status {
                        None => self.runs.values().for_each(|run| run.cancel.drain()),
                        Some(_) if self.runs.values().any(|run| !run.cancel.is_cancelled()) => {
                            self.runs.values().for_each(|run| run.cancel.cancel());
                        }
                        Some(_) => std::process::exit(signal.into()),
                    }
                    status.get_or_insert(signal);
                    continue;
                }
            };
            match turn {
                Ok(news) => {
                    pause = PAUSE / 20;
                    self.away = false;
                    self.take(news, &done).await?;
                }
                Err(No::Away(why)) => {
                    if !std::mem::replace(&mut self.away, true) {
                        (self.say)(&format!(
                            "the server cannot be asked ({why}); it is tried again, and runs go on meanwhile"
                        ));
                    }
                    tokio::time::sleep(pause).await;
                    pause = PAUSE.min(pause * 2);
                }
                Err(No::Refused { code, .. }) if code == "unknown_host" => self.registered = false,
                Err(No::Refused { message, help, .. }) => {
                    // Whatever it still does counts for nobody.
                    self.runs.values().for_each(|run| run.cancel.cancel());
                    let fault = Fault::new(FaultKind::Process, format!("the server refuses this worker: {message}"));
                    return Err(match help {
                        Some(help) => fault.help(help),
                        None => fault,
                    });
                }
            }
        }
    }

    /// Registers where that is needed, and asks what there is to do.
    async fn turn(&self, ending: bool) -> Result<Turn, No> {
        let leases: Vec<Held> = self.runs.values().map(|run| run.held).collect();
        let Some(known) = self.session.as_ref().filter(|_| self.registered) else {
            let hello = Hello {
                name: self.settings.name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                process: self.process.clone(),
                again: self.session.is_some(),
                runs: self.settings.runs,
                inventory: inventory(),
                usable: self.settings.usable.clone(),
                leases,
            };
            let request = self.tie.request(Method::POST, HOSTS).json(&hello).timeout(ANSWER);
            return self.tie.ask(request).await.map(Turn::Welcome);
        };
        let room = self.settings.runs.saturating_sub(u32::try_from(leases.len()).unwrap_or(u32::MAX));
        let ask = Ask { free: if ending { 0 } else { room }, leases, load: self.sensors.read() };
        let wait = Duration::from_secs_f64(known.lease_s / 3.0) + ANSWER;
        let path = format!("{HOSTS}/{}/ask", known.session);
        let request = self.tie.request(Method::POST, &path).json(&ask).timeout(wait);
        self.tie.ask(request).await.map(Turn::News)
    }

    /// Does what the service says.
    async fn take(&mut self, turn: Turn, done: &UnboundedSender<Done>) -> Result<(), Fault> {
        let News { grant, stop, lost } = match turn {
            Turn::News(news) => news,
            Turn::Welcome(welcome) => {
                (self.say)(&format!("registered as {}", welcome.host));
                (self.session, self.registered) = (Some(welcome), true);
                return Ok(());
            }
        };
        for stop in stop {
            let Some(run) = self.runs.get_mut(&stop.run) else { continue };
            run.held.told = run.held.told.max(stop.wish);
            match stop.wish {
                Wish::Go => {}
                Wish::Drain => run.cancel.drain(),
                Wish::Stop => run.cancel.cancel(),
            }
        }
        for run in lost.iter().filter_map(|run| self.runs.get(run)) {
            run.cancel.cancel();
        }
        let Some(grant) = grant else { return Ok(()) };
        if self.runs.contains_key(&grant.run) {
            // It was lost and is ours again. What is left of it ends first; the service says it once more.
            tokio::time::sleep(PAUSE / 20).await;
            return Ok(());
        }
        self.begin(*grant, done)
    }

    fn begin(&mut self, grant: Grant, done: &UnboundedSender<Done>) -> Result<(), Fault> {
        let held = Held { run: grant.run, fence: grant.fence, told: Wish::Go };
        let cancel = Cancel::new();
        (self.say)(&format!("run {} of `{}` begins here", grant.run, crate::run::fault::printable(&grant.info.job)));
        self.runs.insert(grant.run, Active { held, cancel: cancel.clone() });
        let (machine, done) = (self.machine.clone(), done.clone());
        let work = move || {
            let outcome = carry(&machine, &grant, &cancel);
            // A host that has ended waits for nothing.
            let _ = done.send((grant.run, outcome));
        };
        let thread = std::thread::Builder::new().name("run".to_owned()).spawn(work);
        thread.map(drop).map_err(|e| Fault::new(FaultKind::Process, format!("a run has no thread: {e}")))
    }

    /// Says good-bye; a service that does not hear it notices the silence.
    async fn leave(&self) {
        if let Some(known) = &self.session {
            let path = format!("{HOSTS}/{}", known.session);
            let _ = self.tie.send(self.tie.request(Method::DELETE, &path).timeout(PAUSE)).await;
        }
    }
}

/// What the service answers.
enum Turn {
    Welcome(Welcome),
    News(News),
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "is done".to_owned(),
        Outcome::Failed(why) => format!("failed: {}", crate::run::fault::printable(why)),
        Outcome::Stopped => "was stopped".to_owned(),
        Outcome::Refused(why) => format!("cannot be carried out here: {}", crate::run::fault::printable(why)),
    }
}
