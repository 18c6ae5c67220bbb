//! Machines that carry runs out, this server's own and its hosts' → what plans are made for, and who may have a run.
//!
//! A run is carried out by one machine as a whole. Where a plan needs devices, a machine that has them takes it; where nobody has them (a
//! cluster that only stands in a file), everybody may. Who lacks a program of a plan says so when it is given the run.

use crate::library::{Implementation, Library};
use crate::plan::model::Plan;
use crate::run::servers::ledger::RAM;
use crate::space::Machines;
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a machine has.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its devices, as a cluster.
    pub machines: Machines,
    /// Implementations that it can run, as it says.
    pub usable: BTreeSet<String>,
}

/// What a run needs of the machine that carries it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Devices beside processors, and how many of each a step holds at most.
    pub devices: BTreeMap<EcoString, u32>,
    /// Whether the server's own machine lacks a program or key for it.
    pub elsewhere: bool,
}

impl Needs {
    /// What a plan needs, by what a library calls a GPU.
    pub fn of(plan: &Plan, library: &Library) -> Needs {
        let mut devices: BTreeMap<EcoString, u32> = BTreeMap::new();
        for hardware in plan.steps.iter().map(|step| &step.hardware) {
            let name = EcoString::from(hardware.device.as_str());
            if name != RAM && library.devices.get(&name).is_some_and(|device| device.gpu) {
                let most = devices.entry(name).or_default();
                *most = (*most).max(hardware.units.max(1));
            }
        }
        Needs { devices, elsewhere: false }
    }

    fn fit(&self, machines: &Machines) -> bool {
        let has = |device: &EcoString| machines.pools.get(device).map_or(0, |(units, _)| *units);
        self.devices.iter().all(|(device, units)| has(device) >= *units)
    }
}

/// All machines of a server.
#[derive(Debug, Default)]
pub struct Sites {
    /// Its own; none where it carries nothing out itself.
    own: Option<Machines>,
    hosts: Mutex<BTreeMap<String, Arc<Site>>>,
}

impl Sites {
    /// The server's own machine, where it carries runs out.
    pub fn new(own: Option<Machines>) -> Sites {
        Sites { own, hosts: Mutex::default() }
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Site>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A host is there. Whether it was not, or had something else.
    pub fn come(&self, host: &str, site: Site) -> bool {
        let mut hosts = self.hosts();
        let same = hosts.get(host).is_some_and(|there| there.machines.pools == site.machines.pools);
        hosts.insert(host.to_owned(), Arc::new(site));
        !same
    }

    /// A host is there no longer. Whether it was.
    pub fn go(&self, host: &str) -> bool {
        self.hosts().remove(host).is_some()
    }

    /// Whether the server's own machine carries runs out; where nobody does yet, plans are made for it all the same.
    pub fn counts_own(&self) -> bool {
        self.own.is_some() || self.hosts().is_empty()
    }

    /// Hosts that differ in what they have, by name.
    pub fn kinds(&self) -> Vec<Arc<Site>> {
        let mut kinds: Vec<Arc<Site>> = Vec::new();
        for site in self.hosts().values() {
            if !kinds.iter().any(|k| k.machines.pools == site.machines.pools && k.usable == site.usable) {
                kinds.push(site.clone());
            }
        }
        kinds
    }

    /// Whether some host says that it can run an implementation.
    pub fn can(&self, entry: &Implementation) -> bool {
        self.hosts().values().any(|site| site.usable.contains(entry.name.as_str()))
    }

    /// Whether some host with the devices of a plan can run all of it.
    pub fn can_all(&self, plan: &Plan, needs: &Needs) -> bool {
        let all = |site: &Site| plan.steps.iter().all(|step| site.usable.contains(&step.implementation));
        self.hosts().values().any(|site| needs.fit(&site.machines) && all(site))
    }

    /// The devices of all, together: `here` are those of the server's machine.
    pub fn together(&self, here: Machines) -> Machines {
        let mut pools: BTreeMap<EcoString, (u32, Decimal)> =
            if self.counts_own() { here.pools } else { BTreeMap::new() };
        for site in self.hosts().values() {
            for (device, (units, price)) in &site.machines.pools {
                pools.entry(device.clone()).or_insert((0, *price)).0 += units;
            }
        }
        Machines { name: here.name, pools }
    }

    /// Whether one machine has what a run needs.
    pub fn any(&self, needs: &Needs) -> bool {
        let own = !needs.elsewhere && self.own.as_ref().is_some_and(|own| needs.fit(own));
        own || self.hosts().values().any(|site| needs.fit(&site.machines))
    }

    /// Whether the server's own machine may have a run.
    pub fn own_may(&self, needs: &Needs) -> bool {
        !needs.elsewhere && (self.own.as_ref().is_some_and(|own| needs.fit(own)) || !self.any(needs))
    }

    /// Whether a host may have a run.
    pub fn may(&self, host: &str, needs: &Needs) -> bool {
        let fits = self.hosts().get(host).is_none_or(|site| needs.fit(&site.machines));
        fits || !self.any(needs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machines(pools: &[(&str, u32)]) -> Machines {
        let pools = pools.iter().map(|(device, units)| ((*device).into(), (*units, Decimal::ONE)));
        Machines { name: "here".into(), pools: pools.collect() }
    }

    fn site(pools: &[(&str, u32)], usable: &[&str]) -> Site {
        Site { machines: machines(pools), usable: usable.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn needs(devices: &[(&str, u32)], elsewhere: bool) -> Needs {
        Needs { devices: devices.iter().map(|(device, units)| ((*device).into(), *units)).collect(), elsewhere }
    }

    #[test]
    fn a_run_goes_to_a_machine_that_has_what_it_needs() {
        let sites = Sites::new(Some(machines(&[("cpu", 4)])));
        let (plain, large) = (needs(&[], false), needs(&[("h100", 2)], false));
        // Nobody has it: it stands in a file, and everybody may.
        assert!(sites.own_may(&plain) && sites.own_may(&large) && !sites.any(&large));
        assert!(sites.come("a", site(&[("cpu", 8), ("h100", 1)], &[])));
        assert!(sites.may("a", &large) && sites.own_may(&large), "one is too few for anybody");
        assert!(sites.come("b", site(&[("cpu", 8), ("h100", 2)], &[])));
        assert!(!sites.come("b", site(&[("cpu", 8), ("h100", 2)], &[])), "it is the same as before");
        assert!(!sites.may("a", &large) && sites.may("b", &large) && !sites.own_may(&large));
        assert!(sites.may("a", &plain) && sites.own_may(&plain));
        assert!(!sites.own_may(&needs(&[], true)), "a program is missing here");
        assert!(sites.go("b") && !sites.go("b"));
        assert!(sites.may("a", &large) && sites.own_may(&large));
    }

    #[test]
    fn devices_of_all_machines_are_planned_with() {
        let own = machines(&[("cpu", 4)]);
        let (works, only_serves) = (Sites::new(Some(own.clone())), Sites::new(None));
        for sites in [&works, &only_serves] {
            assert_eq!(sites.together(own.clone()).pools["cpu"].0, 4, "nobody else is there yet");
            sites.come("a", site(&[("cpu", 8), ("h100", 1)], &[]));
            sites.come("b", site(&[("cpu", 8), ("h100", 1)], &[]));
            assert_eq!(sites.kinds().len(), 1);
        }
        let units = |sites: &Sites, device: &str| sites.together(own.clone()).pools[device].0;
        assert_eq!((units(&works, "cpu"), units(&works, "h100")), (20, 2));
        assert_eq!((units(&only_serves, "cpu"), units(&only_serves, "h100")), (16, 2));
    }
}
