//! Other machines that carry runs out: who is there, and which runs are theirs.
//!
//! A run goes to a host as a whole, for as long as the host says that it is there: a lease. Its records come here before they count there, so
//! that this server's journal stays the truth, and each lease has a fence: whoever lost a run writes nothing of it any more. A host that is
//! silent for too long loses its runs to others, which go on behind what the journal holds. `docs/service.md` says what is promised.

pub mod lease;
mod places;
pub mod protocol;
pub mod routes;
mod seen;
pub mod table;
mod there;

use super::Service;
use super::api::refusal::Refusal;
use super::audit::Act;
use super::execute::{self, End, Start};
use super::now_ms;
use super::queue::Waiting;
use super::store::writer::Keeping;
use super::tenants::plain_name;
use crate::run::cancel::Cancel;
use crate::run::devices::sensors::Load;
use crate::run::fault::Fault;
use crate::run::secret::random;
use lease::{Kept, Lease};
use protocol::{Ask, Ended, Grant, Held, Hello, News, Outcome, Stop, Welcome, Wish};
pub use seen::statuses;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use there::{Awaited, Has};

/// Hosts that are known at a time, lost ones among them.
const MOST: usize = 1_000;
/// How often a run may lose its host before it fails: what takes down every machine that touches it must not go on for ever.
const LOSSES: u32 = 3;
/// Under which name leases are kept in the store.
const NAME: &str = "leases";

/// A machine that carries runs out.
#[derive(Clone, Debug)]
struct Host {
    session: String,
    /// Which process it is.
    process: String,
    /// Whose token it came with.
    owner: String,
    has: Has,
    /// Runs at a time.
    runs: u32,
    from: IpAddr,
    heard: Instant,
    heard_ms: i64,
    lost: bool,
    /// What its machine did when it asked last.
    load: Load,
}

#[derive(Debug, Default)]
struct Inside {
    hosts: BTreeMap<String, Host>,
    /// By run, with the moment at which it ends unless the host is heard.
    leases: BTreeMap<u64, (Arc<Lease>, Instant)>,
    /// Hosts that cannot carry a run out.
    refused: BTreeMap<u64, BTreeSet<String>>,
    /// How often a run lost its host.
    losses: BTreeMap<u64, u32>,
}

/// All hosts of a service.
#[derive(Debug)]
pub struct Hosts {
    inside: Mutex<Inside>,
    /// One at a time writes which leases there are.
    keeping: Mutex<()>,
    awaited: Mutex<Awaited>,
    /// Whether other hosts are there than the store says.
    unkept: AtomicBool,
    lease: Duration,
}

impl Hosts {
    /// None yet; a host may be silent for so long.
    pub fn new(lease: Duration) -> Hosts {
        Hosts {
            inside: Mutex::default(),
            keeping: Mutex::default(),
            awaited: Mutex::default(),
            unkept: AtomicBool::new(false),
            lease,
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with a lease that an earlier server gave, for as long as its host takes to come back.
    pub fn adopt(&self, lease: Lease) {
        let until = Instant::now() + self.lease;
        self.inside().leases.insert(lease.id, (Arc::new(lease), until));
    }

    /// Writes which leases there are, for the next server. What is sent is written in the order of sending; whoever waits for the answer
    /// knows it on the disk.
    fn keep(&self, service: &Service) -> Keeping {
        let _one = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<Kept> = self.inside().leases.values().map(|(lease, _)| lease.kept()).collect();
        service.store.writer().keep(NAME, serde_json::json!(kept).to_string())
    }

    /// Which leases an earlier server gave, by run.
    pub fn kept(service: &Service) -> Result<BTreeMap<u64, Kept>, Fault> {
        let text = service.store.kept(NAME)?.unwrap_or_default();
        // What cannot be read was written by a later version: those runs are given anew.
        let all: Vec<Kept> = serde_json::from_str(&text).unwrap_or_default();
        Ok(all.into_iter().map(|kept| (kept.run, kept)).collect())
    }

    /// Takes a host in. One with the same name and the same token is it: what it has not brought along goes to others.
    fn register(&self, service: &Arc<Service>, owner: &str, from: IpAddr, hello: Hello) -> Result<Welcome, Refusal> {
        let Hello { name, version, process, again, runs, inventory, usable, leases } = hello;
        if version != env!("CARGO_PKG_VERSION") {
            let message = format!("the host has mkbc {version}, and this server {}", env!("CARGO_PKG_VERSION"));
            return Err(Refusal::conflict("other_version", message).help("both must be the same"));
        }
        if !plain_name(&name) {
            return Err(Refusal::invalid("bad_name", "a host's name has 1 to 64 letters, digits, `-`, `_` and `.`"));
        }
        let (key, now) = (format!("{owner}/{name}"), Instant::now());
        let session = random::<16>()?;
        let dropped: Vec<Arc<Lease>> = {
            let mut inside = self.inside();
            if again && inside.hosts.get(&key).is_some_and(|there| there.process != process) {
                // Who began later has the name: else two processes would take it from each other for ever.
                let message = format!("another process has registered as `{key}` since");
                return Err(Refusal::conflict("name_taken", message).help("give each its own `--name`"));
            }
            if inside.hosts.len() >= MOST && !inside.hosts.contains_key(&key) {
                inside.hosts.retain(|_, host| !host.lost);
                if inside.hosts.len() >= MOST {
                    return Err(Refusal::later(
                        "hosts_full",
                        "as many hosts are known as this server takes",
                        self.lease,
                    ));
                }
            }
            let owner = owner.to_owned();
            let host = Host {
                session: session.clone(),
                process,
                owner,
                has: Has { inventory, usable },
                runs,
                from,
                heard: now,
                heard_ms: now_ms(),
                lost: false,
                load: Load::default(),
            };
            inside.hosts.insert(key.clone(), host);
            let brought = |lease: &Lease| leases.iter().any(|held| held.run == lease.id && held.fence == lease.fence);
            let own = inside.leases.values_mut().filter(|(lease, _)| lease.host == key);
            let (kept, dropped): (Vec<_>, Vec<_>) = own.partition(|(lease, _)| brought(lease));
            kept.into_iter().for_each(|(_, until)| *until = now + self.lease);
            dropped.into_iter().map(|(lease, _)| lease.clone()).collect()
        };
        service.audit.note(Act { what: "host", tenant: None, from: Some(from), run: None, note: &key });
        self.came(service, &key);
        for lease in dropped {
            self.lose(service, &lease, "began anew");
        }
        Ok(Welcome { host: key, session, lease_s: self.lease.as_secs_f64() })
    }

    /// The host of a session, which was heard just now.
    fn heard(&self, service: &Service, owner: &str, session: &str, leases: &[Held]) -> Result<String, Refusal> {
        let mut inside = self.inside();
        let unknown = || Refusal::new(404, "unknown_host", "the host is not registered, or has registered again since");
        let found = inside.hosts.iter_mut().find(|(_, host)| host.session == session && host.owner == owner);
        let (key, host) = found.ok_or_else(unknown)?;
        let back = std::mem::replace(&mut host.lost, false);
        (host.heard, host.heard_ms) = (Instant::now(), now_ms());
        let (key, until) = (key.clone(), host.heard + self.lease);
        for held in leases {
            if let Some((lease, end)) = inside.leases.get_mut(&held.run)
                && lease.fence == held.fence
                && lease.host == key
            {
                *end = until;
            }
        }
        drop(inside);
        if back {
            self.came(service, &key);
        }
        Ok(key)
    }

    /// What a host is to know, as far as its leases go; and whether it may take another run.
    fn news(&self, service: &Service, host: &str, ask: &Ask) -> Result<(News, bool), Fault> {
        let (own, runs) = {
            let inside = self.inside();
            let own = inside.leases.values().filter(|(lease, _)| lease.host == host);
            let runs = inside.hosts.get(host).map_or(0, |host| host.runs);
            (own.map(|(lease, _)| lease.clone()).collect::<Vec<_>>(), runs)
        };
        let held = |lease: &Lease| ask.leases.iter().find(|held| held.run == lease.id && held.fence == lease.fence);
        let unheard = own.iter().find(|lease| held(lease).is_none());
        let grant = unheard.map(|lease| lease.grant(service)).transpose()?.map(Box::new);
        let told = own.iter().filter_map(|lease| Some((lease, held(lease)?)));
        let stop = told.filter(|(lease, held)| wish(&lease.cancel) > held.told);
        let stop = stop.map(|(lease, _)| Stop { run: lease.id, wish: wish(&lease.cancel) }).collect();
        let is_own = |held: &Held| own.iter().any(|lease| lease.id == held.run && lease.fence == held.fence);
        let lost = ask.leases.iter().filter(|held| !is_own(held)).map(|held| held.run).collect();
        let room = ask.free > 0 && own.len() < runs as usize;
        Ok((News { grant, stop, lost }, room))
    }

    /// The leases of a host with what it was told.
    fn told(&self, host: &str, ask: &Ask) -> Vec<(Cancel, Wish)> {
        let inside = self.inside();
        let own = inside.leases.values().filter(|(lease, _)| lease.host == host);
        let told =
            |lease: &Lease| ask.leases.iter().find(|held| held.run == lease.id).map_or(Wish::Go, |held| held.told);
        own.map(|(lease, _)| (lease.cancel.clone(), told(lease))).collect()
    }

    /// Whether a host may carry a run out. A workflow's stays here where a worker of this process has nothing to do: its calls ask this
    /// server for places.
    fn may(&self, service: &Service, host: &str, run: &Waiting, idle: bool) -> bool {
        let sites = service.planner.sites();
        let stays = run.placed && idle && sites.own_may(&run.needs);
        !stays
            && sites.may(host, &run.needs)
            && !self.inside().refused.get(&run.id).is_some_and(|hosts| hosts.contains(host))
    }

    /// Gives a run to a host; none where it has ended meanwhile.
    fn give(&self, service: &Arc<Service>, host: &str, id: u64, cancel: &Cancel) -> Option<Grant> {
        let given = match execute::begin(service, id, Some(format!("on {host}"))) {
            Ok(Start::Begun(begun)) => Lease::take(*begun, host, cancel.clone()),
            Ok(Start::Stopped(spent)) => {
                execute::conclude(service, id, End::Stopped, spent);
                return None;
            }
            Err(fault) => Err(fault),
        };
        let granted = given.and_then(|lease| {
            let lease = Arc::new(lease);
            let until = Instant::now() + self.lease;
            self.inside().leases.insert(id, (lease.clone(), until));
            // On the disk before the host knows: the next server waits for it.
            self.keep(service).wait()?;
            lease.grant(service)
        });
        match granted {
            Ok(grant) => {
                let note = format!("{host} {}", grant.fence);
                service.audit.note(Act { what: "lease", tenant: None, from: None, run: Some(id), note: &note });
                Some(grant)
            }
            Err(fault) => {
                if let Some((lease, _)) = self.inside().leases.remove(&id) {
                    lease.release();
                }
                execute::conclude(service, id, End::Failed(fault.message), None);
                None
            }
        }
    }

    /// The lease of a run, if it is the one with this fence, of a host with this token; it is heard of just now.
    fn lease(&self, service: &Service, owner: &str, run: u64, fence: u64) -> Result<Arc<Lease>, Refusal> {
        let lost = Lease::lost;
        let mut inside = self.inside();
        let Inside { hosts, leases, .. } = &mut *inside;
        let (lease, until) = leases.get_mut(&run).filter(|(lease, _)| lease.fence == fence).ok_or_else(lost)?;
        // Before its host is registered with a new server, the name alone says whose it is.
        let whose = lease.host.split_once('/').map(|(owner, _)| owner);
        if whose != Some(owner) {
            return Err(lost());
        }
        *until = Instant::now() + self.lease;
        let lease = lease.clone();
        let back = hosts.get_mut(&lease.host).is_some_and(|host| {
            (host.heard, host.heard_ms) = (Instant::now(), now_ms());
            std::mem::replace(&mut host.lost, false)
        });
        drop(inside);
        if back {
            self.came(service, &lease.host);
        }
        Ok(lease)
    }

    /// Ends a lease: it is nobody's from now on. Whether it was there.
    fn remove(&self, service: &Service, lease: &Lease) -> bool {
        let removed = {
            let mut inside = self.inside();
            let same = inside.leases.get(&lease.id).is_some_and(|(there, _)| there.fence == lease.fence);
            same && inside.leases.remove(&lease.id).is_some()
        };
        if removed {
            lease.release();
            // Nobody waits: one that stays there is that of no run that goes on, which the next server sees by the fence.
            drop(self.keep(service));
        }
        removed
    }

    /// A host says how a run ended.
    fn end(&self, service: &Arc<Service>, lease: &Lease, ended: Ended) -> Result<(), Refusal> {
        if ended.outcome == Outcome::Done && !lease.answered()? {
            return Err(Refusal::invalid("no_answer", "the run has no answer in the journal"));
        }
        // What an earlier runtime spent, or kept for a request whose end nobody knows, counts as well.
        let all = super::micro(rust_decimal::prelude::ToPrimitive::to_f64(&lease.spent()?).unwrap_or_default());
        let spent = ended.spent_micro.map(|spent| spent.max(all));
        for (file, text) in &ended.reports {
            // They are for people: one that cannot be written takes no answer away.
            let _ = crate::run::store::write(&lease.folder.join(file.name()), text.as_bytes());
        }
        if !self.remove(service, lease) {
            return Err(Lease::lost());
        }
        let (word, end) = match ended.outcome {
            Outcome::Done => ("done", End::Done),
            Outcome::Failed(why) => ("failed", End::Failed(why)),
            Outcome::Stopped if lease.cancel.is_draining() => ("stopped", End::Stopped),
            Outcome::Stopped => ("returned", End::Back(format!("{} stopped; the run goes on elsewhere", lease.host))),
            Outcome::Refused(why) => {
                self.inside().refused.entry(lease.id).or_default().insert(lease.host.clone());
                ("refused", End::Back(format!("{} cannot carry it out: {why}", lease.host)))
            }
        };
        if !matches!(end, End::Back(_)) {
            self.forget(lease.id);
        }
        let note = format!("{} {} {word}", lease.host, lease.fence);
        service.audit.note(Act { what: "lease_end", tenant: None, from: None, run: Some(lease.id), note: &note });
        execute::conclude(service, lease.id, end, spent);
        Ok(())
    }

    /// Nothing is to be remembered of a run.
    fn forget(&self, run: u64) {
        let mut inside = self.inside();
        inside.refused.remove(&run);
        inside.losses.remove(&run);
    }

    /// A run has lost its host, and goes to another.
    fn lose(&self, service: &Arc<Service>, lease: &Lease, how: &str) {
        if !self.remove(service, lease) {
            return;
        }
        let note = format!("{} {} {how}", lease.host, lease.fence);
        service.audit.note(Act { what: "lease_lost", tenant: None, from: None, run: Some(lease.id), note: &note });
        let losses = {
            let mut inside = self.inside();
            let losses = inside.losses.entry(lease.id).or_default();
            *losses += 1;
            *losses
        };
        let end = if losses < LOSSES {
            End::Back(format!("{} {how}; the run goes on elsewhere", lease.host))
        } else {
            self.forget(lease.id);
            End::Failed(format!(
                "{losses} hosts were lost while they worked on the run, the last of them {}",
                lease.host
            ))
        };
        execute::conclude(service, lease.id, end, None);
    }
}

/// How far a run is to go.
fn wish(cancel: &Cancel) -> Wish {
    match (cancel.is_cancelled(), cancel.is_draining()) {
        (true, _) => Wish::Stop,
        (false, true) => Wish::Drain,
        (false, false) => Wish::Go,
    }
}
