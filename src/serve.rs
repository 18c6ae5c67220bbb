//! Plans and sources over HTTP → runs, for several tenants, on this machine (`mkbc serve`).
//!
//! [`api`] knows HTTP, and [`page`] makes pages of it for people; [`tenants`] who may what; [`planning`] and [`inputs`] what may be run;
//! [`store`] what was accepted, on the disk before anybody is told; [`queue`] (pure) and [`dispatch`] who is next; [`execute`] carries a run
//! out with the project's journal, or [`hosts`] has another machine do it. [`deploy`] is about jobs with an endpoint of their own, [`fleet`] about the joint plan that they share.
//! `docs/service.md` says what is promised.

pub mod api;
pub mod audit;
pub mod bells;
pub mod blobs;
pub mod deploy;
pub mod dispatch;
pub mod execute;
pub mod fleet;
pub mod hosts;
pub mod inputs;
pub mod life;
pub mod listen;
pub mod owner;
pub mod page;
pub mod planning;
pub mod queue;
pub mod sites;
pub mod sources;
pub mod store;
pub mod tenants;
pub mod tls;

use crate::run::devices::sensors::Sensors;
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::lock::Lock;
use crate::run::journal::{Journal, Run};
use crate::run::servers::Servers;
use api::metrics::Counters;
use audit::Audit;
use bells::Bells;
use blobs::Blobs;
use dispatch::Dispatch;
use fleet::Fleet;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hosts::Hosts;
use hosts::lease::{Kept, Lease};
pub use life::serve;
use listen::Patience;
use page::session::Sessions;
use planning::Planner;
use queue::Waiting;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::writer::Turned;
use store::{Accepted, State, Store};
use tenants::{Money, Tenants};
use tls::Tls;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Requests without a right to be made that are answered in a second.
const WRONG_REQUESTS: NonZeroU32 = NonZeroU32::new(20).expect("not zero");

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// Names that it is asked by, beside its address.
    pub hosts: Vec<String>,
    /// The project's folder `.mkbc`.
    pub project: PathBuf,
    /// Folders of the library, absolute.
    pub libraries: Vec<PathBuf>,
    /// The Ray cluster on which programs of this machine's runs are carried out: its address, and what goes there.
    pub ray: Option<(String, PathBuf)>,
    /// Runs at a time.
    pub workers: usize,
    /// Runs that may wait, of all tenants.
    pub queue: usize,
    /// Event streams at a time.
    pub streams: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Jobs that are planned at a time; four times as many may wait for that.
    pub planners: usize,
    /// Bytes of a request that is JSON.
    pub body_bytes: usize,
    /// Bytes of a blob, and of all blobs of a tenant.
    pub blob_bytes: u64,
    /// Bytes of all blobs of a tenant.
    pub blobs_bytes: u64,
    /// The folder below which inputs may name files.
    pub allow_files: Option<PathBuf>,
    /// How long what is under way has to end, where a run or the server is stopped.
    pub grace: Duration,
    /// When somebody whom a full queue turned away is to come back.
    pub retry_after: Duration,
    /// How long connections may stand still.
    pub patience: Patience,
    /// How long a host may be silent before its runs go to others.
    pub lease: Duration,
    /// How it speaks TLS; without, it does not.
    pub tls: Option<Tls>,
}

/// A server at work.
pub struct Service {
    /// How it is set up.
    pub settings: Settings,
    /// `.mkbc/service`.
    pub folder: PathBuf,
    /// What was accepted.
    pub store: Store,
    /// What waits, and what is under way.
    pub dispatch: Dispatch,
    /// Who may what.
    pub tenants: Tenants,
    /// What may be run.
    pub planner: Planner,
    /// What was uploaded.
    pub blobs: Blobs,
    /// Who did what.
    pub audit: Audit,
    /// Who is told when something happens to a run.
    pub bells: Bells,
    /// Who is signed in to its pages.
    pub sessions: Sessions,
    /// Model servers, which runs share.
    pub servers: Servers,
    /// What deployed workflows share.
    pub fleet: Fleet,
    /// Other machines that carry runs out.
    pub hosts: Hosts,
    /// What this machine does.
    pub sensors: Sensors,
    /// Event streams that may still be opened.
    pub streams: Arc<Semaphore>,
    /// What is counted.
    pub counters: Counters,
    /// Names that it is asked by, in lower case.
    pub names: Vec<String>,
    journal: Mutex<Journal>,
    planning: Arc<Semaphore>,
    to_be_planned: AtomicUsize,
    wrong: DefaultDirectRateLimiter,
    stop: watch::Sender<bool>,
    // Last, so that it is given back when everything else is closed.
    _lock: Lock,
}

impl Service {
    /// Opens the store, and queues what was accepted and has not ended.
    pub fn open(settings: Settings, tenants: Tenants, planner: Planner, fleet: Fleet) -> Result<Arc<Service>, Fault> {
        let mutual = settings.tls.as_ref().is_some_and(|tls| tls.mutual);
        refuse_openness(settings.address.ip(), tenants.ask_for_tokens() || mutual)?;
        let journal = Journal::open(&settings.project)?;
        let folder = settings.project.join("service");
        crate::run::store::folder(&folder)?;
        let lock = Lock::take(&folder).map_err(|fault| {
            Fault::new(FaultKind::Storage, format!("another server is at work in this project ({})", fault.message))
                .help("stop it, or give another folder (`--project`)")
        })?;
        let store = Store::open(&folder)?;
        let (dispatch, blobs, audit) =
            (Dispatch::new(settings.queue), Blobs::new(folder.join("blobs")), Audit::open(&folder)?);
        blobs.sweep();
        let service = Service {
            servers: Servers::kept_in(&folder.join("servers")),
            streams: Arc::new(Semaphore::new(settings.streams)),
            planning: Arc::new(Semaphore::new(settings.planners)),
            names: names(&settings),
            hosts: Hosts::new(settings.lease),
            sensors: Sensors::default(),
            journal: Mutex::new(journal),
            to_be_planned: AtomicUsize::new(0),
            wrong: RateLimiter::direct(Quota::per_second(WRONG_REQUESTS)),
            stop: watch::Sender::new(false),
            bells: Bells::default(),
            counters: Counters::default(),
            sessions: Sessions::default(),
            settings,
            folder,
            store,
            dispatch,
            tenants,
            planner,
            blobs,
            audit,
            fleet,
            _lock: lock,
        };
        service.hosts.await_again(&service.store, &service.planner)?;
        service.fleet.restore(&service)?;
        service.restore()?;
        Ok(Arc::new(service))
    }

    /// Goes on with what an earlier server accepted: what was begun first, and what was to stop stops.
    fn restore(&self) -> Result<(), Fault> {
        for (name, (spent, held)) in self.store.money()? {
            if let Some(tenant) = self.tenants.named(&name) {
                tenant.restore(Money { spent, held });
            }
        }
        let mut kept = Hosts::kept(self)?;
        for run in self.store.open_runs()? {
            if let Some(kept) = kept.remove(&run.id).filter(|_| run.state != State::Queued)
                && let Some(journal) = run.journal
                && self.resume(&kept, journal, run.state)?
            {
                continue;
            }
            let to = if run.state == State::Cancelling { State::Cancelled } else { State::Queued };
            if run.state != State::Queued {
                let note = Some("the server that worked on it ended".to_owned());
                let (from, at_ms) = (&[State::Running, State::Cancelling][..], now_ms());
                self.turn(Turned { run: run.id, from, to, at_ms, note, journal: None, spent_micro: None });
            }
            if to == State::Queued {
                self.wait(&run);
            }
        }
        Ok(())
    }

    /// Goes on with the lease of a run that a host works on since an earlier server; whether it is one.
    fn resume(&self, kept: &Kept, journal: u64, state: State) -> Result<bool, Fault> {
        let cancel = self.dispatch.adopt(kept.run);
        if state == State::Cancelling {
            self.dispatch.stop(kept.run);
        }
        let lease = Lease::resume(self, kept, journal, cancel)?;
        let found = lease.is_some();
        match lease {
            Some(lease) => self.hosts.adopt(lease),
            None => drop(self.dispatch.done(kept.run)),
        }
        Ok(found)
    }

    fn wait(&self, run: &Accepted) {
        let weight = self.tenants.named(&run.tenant).map_or(1, |tenant| tenant.share.weight);
        self.dispatch.restore(self.waiting(run), weight);
    }

    /// A run that waits, with what it needs of the machine that takes it.
    pub fn waiting(&self, run: &Accepted) -> Waiting {
        let text = || self.store.plan(&run.tenant, &run.plan).ok().flatten();
        Waiting { needs: self.planner.needs(&run.plan, text), ..Waiting::from(run) }
    }

    /// A host came, went or has something else now: more may be carried out, or less.
    pub fn machines_changed(&self) {
        self.dispatch.tell_all();
        self.fleet.machines_changed();
    }

    /// Queues a run that waits again.
    pub fn queue(&self, id: u64) {
        if let Ok(Some(run)) = self.store.run(id)
            && run.state == State::Queued
        {
            self.wait(&run);
        }
    }

    /// Changes a run's state and tells who waits; for threads that may wait.
    pub fn turn(&self, turned: Turned) {
        let (turned, held) = self.with_money(turned);
        let done = self.store.writer().turn_now(turned.clone());
        self.after(&turned, held, done.unwrap_or(false));
    }

    /// The same, for those that may not.
    pub async fn turned(&self, turned: Turned) -> Result<bool, Fault> {
        let (turned, held) = self.with_money(turned);
        let done = self.store.writer().turn(turned.clone()).await?;
        self.after(&turned, held, done);
        Ok(done)
    }

    /// A run that ends costs something: all that is kept for it where nobody knows. Returns whose it is, and what is kept.
    fn with_money(&self, turned: Turned) -> (Turned, Option<(String, u64)>) {
        if !turned.to.is_final() {
            return (turned, None);
        }
        let Ok(Some(run)) = self.store.run(turned.run) else { return (turned, None) };
        let spent_micro = turned.spent_micro.or((run.held_micro > 0).then_some(run.held_micro));
        (Turned { spent_micro, ..turned }, Some((run.tenant, run.held_micro)))
    }

    fn after(&self, turned: &Turned, held: Option<(String, u64)>, done: bool) {
        if let Some((tenant, held)) = held.filter(|_| done)
            && let Some(tenant) = self.tenants.named(&tenant)
        {
            tenant.settle(held, turned.spent_micro.unwrap_or(held));
        }
        self.bells.ring(turned.run);
        if done && turned.to.is_final() {
            self.fleet.ended(self, turned.run);
        }
    }

    /// Reads in the project's journal.
    pub fn journal<T>(&self, read: impl FnOnce(&Journal) -> Result<T, Fault>) -> Result<T, Fault> {
        read(&self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The folder of a run of the journal.
    pub fn run_folder(&self, journal: u64) -> PathBuf {
        let folder = self.journal(|db| Ok(db.run(journal)?.map(|run: Run| db.folder(&run)))).ok().flatten();
        folder.unwrap_or_else(|| self.folder.join("none"))
    }

    /// Waits for a turn to plan; none where too many wait.
    pub async fn planning_turn(&self) -> Option<OwnedSemaphorePermit> {
        let counted = Counted::one(&self.to_be_planned, self.settings.planners * 5)?;
        let turn = self.planning.clone().acquire_owned().await.ok();
        drop(counted);
        turn
    }

    /// Counts a request that had no right to be made; how long to wait where there were too many.
    pub fn wrong_requests(&self) -> Result<(), Duration> {
        self.wrong.check().map_err(|not| not.wait_time_from(DefaultClock::default().now()))
    }

    /// Changes once the server is about to stop.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }
}

/// One of those that are counted, as long as it is there.
struct Counted<'a>(&'a AtomicUsize);

impl Counted<'_> {
    fn one(count: &AtomicUsize, most: usize) -> Option<Counted<'_>> {
        let counted = Counted(count);
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(counted)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Refuses an address that others reach where anybody could use it.
fn refuse_openness(ip: IpAddr, asks_who: bool) -> Result<(), Fault> {
    if ip.is_loopback() || asks_who {
        return Ok(());
    }
    let message = format!("`{ip}` can be reached from other machines, and everybody there could run jobs on this one");
    Err(Fault::new(FaultKind::Input, message)
        .help("give `--tokens FILE` or `--client-ca FILE`, or listen on 127.0.0.1; `mkbc serve --new-token NAME` begins a tokens file"))
}

/// The names of a server, in lower case.
fn names(settings: &Settings) -> Vec<String> {
    let ip = settings.address.ip();
    let own = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    let local = ["localhost", "127.0.0.1", "[::1]"].into_iter().filter(|_| ip.is_loopback());
    let given = settings.hosts.iter().map(|host| host.to_ascii_lowercase());
    [own].into_iter().chain(local.map(str::to_owned)).chain(given).collect()
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Dollars as millionths, up.
pub fn micro(usd: f64) -> u64 {
    (usd.max(0.0) * 1e6).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_asks_without_a_token() {
        for ip in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert!(refuse_openness(ip.parse().expect("an address"), false).is_ok(), "{ip}");
        }
        for ip in ["0.0.0.0", "::", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"] {
            assert!(refuse_openness(ip.parse().expect("an address"), false).is_err(), "{ip}");
        }
    }

    #[test]
    fn money_is_rounded_against_who_spends_it() {
        assert_eq!((micro(0.000_000_1), micro(1.5), micro(-1.0), micro(f64::NAN)), (1, 1_500_000, 0, 0));
    }
}
