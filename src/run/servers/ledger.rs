//! Devices with memory, and who holds how much of it -> who fits where, and who must go for somebody to fit.

use crate::run::devices::{Gpus, Inventory};
use std::collections::{BTreeMap, BTreeSet};

/// The account of the machine's memory.
pub const RAM: &str = "cpu";
/// The part of a GPU's memory that is given away, in percent: its driver and every process on it take some of their own.
const FULL: u64 = 95;
/// The same of the machine's memory: mkbc and other programs run beside.
const FULL_RAM: u64 = 90;

/// Who holds memory: a number that nobody else has.
pub type Holder = u64;

/// The memory of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What the plan calls a device like this, or the name by which its driver knows it.
    pub kind: String,
    /// Bytes that can be given away.
    pub room: u64,
    /// Bytes of all of it.
    pub size: u64,
    held: BTreeMap<Holder, u64>,
    /// What local models hold beside: nobody waits for that, and who can goes elsewhere.
    beside: BTreeMap<Holder, u64>,
}

impl Account {
    fn free(&self) -> u64 {
        self.room.saturating_sub(self.held.values().sum())
    }

    fn left(&self) -> u64 {
        self.free().saturating_sub(self.beside.values().sum())
    }
}

/// What somebody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The kind of device; [`RAM`] for none.
    pub kind: String,
    /// How many of it.
    pub devices: u32,
    /// Bytes of each.
    pub each: u64,
    /// The devices that it must be, where somebody has chosen already.
    pub chosen: Option<Vec<String>>,
}

/// Memory of all devices. Never gives away more than there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    accounts: BTreeMap<String, Account>,
    /// Names of the GPUs in the machine's order, which is what a plan's indices mean.
    order: Vec<String>,
}

impl Ledger {
    /// The memory of a machine, less what others use of its GPUs now.
    pub fn of(machine: &Inventory) -> Ledger {
        let mut ledger = Ledger::default();
        let size = machine.cpu.memory.unwrap_or(u64::MAX / 100);
        ledger.add(RAM, RAM, size, size / 100 * FULL_RAM);
        if let Gpus::Devices(gpus) = &machine.gpus {
            for gpu in gpus {
                let size = gpu.memory.unwrap_or(0);
                let room = (size / 100 * FULL).min(size.saturating_sub(gpu.used.unwrap_or(0)));
                // An instance of a parted GPU is found by its UUID alone, as `Gpu::is` has it.
                let kind = if gpu.part { &gpu.uuid } else { &gpu.name };
                ledger.add(&gpu.uuid, &kind.to_lowercase(), size, room);
                ledger.order.push(gpu.uuid.clone());
            }
        }
        ledger
    }

    fn add(&mut self, device: &str, kind: &str, size: u64, room: u64) {
        self.accounts.insert(
            device.into(),
            Account { kind: kind.into(), room, size, held: BTreeMap::new(), beside: BTreeMap::new() },
        );
    }

    /// The devices of a kind, in the machine's order.
    pub fn devices(&self, kind: &str) -> Vec<String> {
        if kind == RAM {
            return vec![RAM.to_owned()];
        }
        self.order.iter().filter(|d| self.accounts.get(*d).is_some_and(|a| a.kind.contains(kind))).cloned().collect()
    }

    /// Bytes of a device, all of it.
    pub fn size(&self, device: &str) -> u64 {
        self.accounts.get(device).map_or(0, |a| a.size)
    }

    /// Bytes of a device that nobody holds, no server and no local model.
    pub fn left(&self, device: &str) -> u64 {
        self.accounts.get(device).map_or(0, Account::left)
    }

    /// A local model holds so much of a device from now on.
    pub fn beside(&mut self, holder: Holder, device: &str, bytes: u64) {
        if let Some(account) = self.accounts.get_mut(device) {
            account.beside.insert(holder, bytes);
        }
    }

    /// The most that could be held of each device of a kind, were nobody else there.
    pub fn room(&self, kind: &str) -> u64 {
        self.devices(kind).iter().filter_map(|d| Some(self.accounts.get(d)?.room)).max().unwrap_or(0)
    }

    fn candidates(&self, need: &Need) -> Vec<String> {
        need.chosen.clone().unwrap_or_else(|| self.devices(&need.kind))
    }

    /// Gives somebody memory, if it is free: of the devices that have most of it.
    pub fn take(&mut self, holder: Holder, need: &Need) -> Option<Vec<String>> {
        let free = |device: &String| self.accounts.get(device).map_or(0, Account::free);
        let mut fit: Vec<String> = self.candidates(need).into_iter().filter(|d| free(d) >= need.each).collect();
        // Stable, so that of equal devices the first are taken.
        fit.sort_by_key(|d| std::cmp::Reverse(self.left(d)));
        fit.truncate(need.devices as usize);
        if fit.len() < need.devices as usize {
            return None;
        }
        for device in &fit {
            if let Some(account) = self.accounts.get_mut(device) {
                *account.held.entry(holder).or_default() += need.each;
            }
        }
        fit.sort_by_key(|d| self.order.iter().position(|o| o == d));
        Some(fit)
    }

    /// Gives back what somebody holds.
    pub fn give_back(&mut self, holder: Holder) {
        self.accounts.values_mut().for_each(|a| {
            a.held.remove(&holder);
            a.beside.remove(&holder);
        });
    }

    /// Whether somebody would fit, if nobody else were there.
    pub fn possible(&self, need: &Need) -> bool {
        let fits = |d: &&String| self.accounts.get(*d).is_some_and(|a| a.room >= need.each);
        self.candidates(need).iter().filter(fits).count() >= need.devices as usize
    }

    /// Who must go for somebody to fit, of those that may (in the order in which they go first); none where that is not enough.
    /// Nobody goes in vain: what is left out of the answer is not needed.
    pub fn victims(&self, need: &Need, idle: &[Holder]) -> Option<Vec<Holder>> {
        let mut going: Vec<Holder> = Vec::new();
        let fits = |gone: &BTreeSet<Holder>| {
            let left = |a: &Account| {
                let held: u64 = a.held.iter().filter(|(h, _)| !gone.contains(h)).map(|(_, bytes)| bytes).sum();
                a.room.saturating_sub(held)
            };
            let enough = |d: &&String| self.accounts.get(*d).is_some_and(|a| left(a) >= need.each);
            self.candidates(need).iter().filter(enough).count() >= need.devices as usize
        };
        let set = |who: &[Holder]| who.iter().copied().collect::<BTreeSet<_>>();
        for holder in idle {
            if fits(&set(&going)) {
                break;
            }
            going.push(*holder);
        }
        if !fits(&set(&going)) {
            return None;
        }
        let mut at = 0;
        while at < going.len() {
            let mut fewer = going.clone();
            fewer.remove(at);
            if fits(&set(&fewer)) { going = fewer } else { at += 1 }
        }
        Some(going)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.add(RAM, RAM, 100, 90);
        for (name, kind) in [("a", "nvidia h100"), ("b", "nvidia h100"), ("c", "nvidia l4")] {
            ledger.add(name, kind, 80, 76);
            ledger.order.push(name.to_owned());
        }
        ledger
    }

    fn need(kind: &str, devices: u32, each: u64) -> Need {
        Need { kind: kind.into(), devices, each, chosen: None }
    }

    #[test]
    fn the_freest_devices_are_taken_and_given_back() {
        let mut ledger = ledger();
        assert_eq!(ledger.take(1, &need("h100", 1, 40)), Some(vec!["a".into()]));
        assert_eq!(ledger.take(2, &need("h100", 1, 40)), Some(vec!["b".into()]));
        // Two of them side by side on one device.
        assert_eq!(ledger.take(3, &need("h100", 1, 36)), Some(vec!["a".into()]));
        assert_eq!(ledger.take(4, &need("h100", 1, 40)), None);
        assert_eq!(ledger.take(4, &need("h100", 2, 1)), None);
        assert!(ledger.possible(&need("h100", 2, 76)) && !ledger.possible(&need("h100", 3, 1)));
        assert!(!ledger.possible(&need("h100", 1, 77)));
        ledger.give_back(1);
        assert_eq!(ledger.take(5, &need("h100", 2, 36)), Some(vec!["a".into(), "b".into()]));
        let chosen = Need { chosen: Some(vec!["b".into()]), ..need("h100", 1, 1) };
        assert_eq!(ledger.take(6, &chosen), None);
        assert_eq!(ledger.take(6, &need(RAM, 1, 90)), Some(vec![RAM.into()]));
    }

    #[test]
    fn servers_go_where_no_local_model_is_and_wait_for_none() {
        let mut ledger = ledger();
        ledger.beside(9, "a", 60);
        assert_eq!(ledger.take(1, &need("h100", 1, 40)), Some(vec!["b".into()]));
        assert_eq!(ledger.take(2, &need("h100", 1, 40)), Some(vec!["a".into()]));
        assert_eq!(ledger.left("a"), 0);
        ledger.give_back(9);
        assert_eq!(ledger.left("a"), 36);
    }

    #[test]
    fn only_those_go_that_must() {
        let mut ledger = ledger();
        ledger.take(1, &need("h100", 1, 30));
        ledger.take(2, &need("h100", 1, 60));
        ledger.take(3, &need("l4", 1, 60));
        assert_eq!(ledger.victims(&need("h100", 1, 40), &[]), Some(Vec::new()));
        // 3 lies elsewhere, and would go in vain.
        assert_eq!(ledger.victims(&need("h100", 1, 60), &[3, 1, 2]), Some(vec![1]));
        assert_eq!(ledger.victims(&need("h100", 2, 60), &[3, 1]), None);
        assert_eq!(ledger.victims(&need("h100", 2, 60), &[3, 1, 2]), Some(vec![1, 2]));
    }

    proptest! {
        /// Whatever is taken and given back, nothing is given away twice, and who goes makes room.
        #[test]
        fn no_device_is_ever_overfull(
            steps in prop::collection::vec((0..6_u64, 0..3_usize, 1..3_u32, 1..80_u64, any::<bool>()), 1..40)
        ) {
            let mut ledger = ledger();
            for (holder, kind, devices, each, back) in steps {
                if back {
                    ledger.give_back(holder);
                }
                let need = need(["h100", "l4", RAM][kind], devices, each);
                let victims = ledger.victims(&need, &[0, 1, 2, 3, 4, 5]);
                prop_assert_eq!(victims.is_some(), ledger.possible(&need));
                if ledger.take(holder, &need).is_none() && let Some(victims) = victims {
                    prop_assert!(!victims.is_empty());
                    victims.into_iter().for_each(|v| ledger.give_back(v));
                    prop_assert!(ledger.take(holder, &need).is_some());
                }
                for account in ledger.accounts.values() {
                    prop_assert!(account.held.values().sum::<u64>() <= account.room);
                }
            }
        }
    }
}
