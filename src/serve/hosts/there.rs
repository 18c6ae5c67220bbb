//! Hosts that come and go → the machines that plans are made for. Who was there when the server ended is waited for as long as its runs are.

use super::Hosts;
use super::lease::Lease;
use crate::run::devices::Inventory;
use crate::run::fault::Fault;
use crate::serve::Service;
use crate::serve::audit::Act;
use crate::serve::planning::Planner;
use crate::serve::sites::Site;
use crate::serve::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Under which name it is kept in the store which hosts there are.
const NAME: &str = "hosts";

/// What a host has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Has {
    /// Its devices.
    pub inventory: Inventory,
    /// Implementations that it can run.
    pub usable: BTreeSet<String>,
}

/// Hosts of the server before, and until when they are waited for.
pub type Awaited = Option<(Instant, BTreeSet<String>)>;

impl Hosts {
    /// Counts on the hosts that the server before had.
    pub fn await_again(&self, store: &Store, planner: &Planner) -> Result<(), Fault> {
        // What cannot be read was written by a later version: those hosts count once they are back.
        let kept: BTreeMap<String, Has> =
            serde_json::from_str(&store.kept(NAME)?.unwrap_or_default()).unwrap_or_default();
        for (host, has) in &kept {
            planner.sites().come(host, site(planner, has));
        }
        if !kept.is_empty() {
            let names = kept.into_keys().collect();
            *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now() + self.lease, names));
        }
        Ok(())
    }

    /// A host is there, perhaps again.
    pub(super) fn came(&self, service: &Service, host: &str) {
        let has = self.inside().hosts.get(host).map(|host| host.has.clone());
        let Some(has) = has else { return };
        if service.planner.sites().come(host, site(&service.planner, &has)) {
            self.unkept.store(true, Ordering::Relaxed);
            service.machines_changed();
        }
    }

    /// A host is there no longer.
    pub(super) fn went(&self, service: &Service, host: &str) {
        // It may be back by now.
        let there = self.inside().hosts.get(host).is_some_and(|host| !host.lost);
        if !there && service.planner.sites().go(host) {
            self.unkept.store(true, Ordering::Relaxed);
            service.machines_changed();
        }
    }

    /// Gives up hosts of the server before that did not come back.
    pub(super) fn give_up_awaited(&self, service: &Service) {
        let late = {
            let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
            awaited.take_if(|(until, _)| *until <= Instant::now())
        };
        for host in late.into_iter().flat_map(|(_, names)| names) {
            self.went(service, &host);
        }
    }

    /// Ends the leases of hosts that were silent for too long, and writes who is there where that has changed.
    pub fn sweep(&self, service: &Arc<Service>) {
        let now = Instant::now();
        let (late, silent): (Vec<Arc<Lease>>, Vec<String>) = {
            let mut inside = self.inside();
            let late = inside.leases.values().filter(|(_, until)| *until <= now);
            let late = late.map(|(lease, _)| lease.clone()).collect();
            let silent = inside.hosts.iter_mut().filter(|(_, host)| !host.lost && host.heard + self.lease <= now);
            let silent = silent.map(|(key, host)| {
                host.lost = true;
                key.clone()
            });
            (late, silent.collect())
        };
        self.give_up_awaited(service);
        for key in silent {
            self.went(service, &key);
            service.audit.note(Act { what: "host_lost", tenant: None, from: None, run: None, note: &key });
        }
        for lease in late {
            self.lose(service, &lease, "was not heard of for too long");
        }
        if self.unkept.swap(false, Ordering::Relaxed) {
            self.keep_hosts(service);
        }
    }

    /// A host goes away, with nothing under way.
    pub(super) fn leave(&self, service: &Arc<Service>, key: &str) {
        let left: Vec<Arc<Lease>> = {
            let mut inside = self.inside();
            inside.hosts.remove(key);
            let own = inside.leases.values().filter(|(lease, _)| lease.host == key);
            own.map(|(lease, _)| lease.clone()).collect()
        };
        self.went(service, key);
        service.audit.note(Act { what: "host_left", tenant: None, from: None, run: None, note: key });
        for lease in left {
            self.lose(service, &lease, "left");
        }
    }

    fn keep_hosts(&self, service: &Service) {
        let there: BTreeMap<String, Has> = {
            let inside = self.inside();
            let there = inside.hosts.iter().filter(|(_, host)| !host.lost);
            there.map(|(key, host)| (key.clone(), host.has.clone())).collect()
        };
        // What cannot be written is waited for once too little or too much; a full disk says so elsewhere.
        let _ = service.store.writer().keep_now(NAME, serde_json::json!(there).to_string());
    }
}

fn site(planner: &Planner, has: &Has) -> Site {
    Site { machines: planner.has(&has.inventory), usable: has.usable.clone() }
}
