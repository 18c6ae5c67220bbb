//! Hosts, as the API and the pages show them.

use super::Hosts;
use crate::run::devices::Gpus;
use crate::run::devices::sensors::Load;
use crate::serve::api::deployed::HostStatus;
use crate::serve::api::types::moment;

impl Hosts {
    /// A host says what its machine does.
    pub(super) fn see(&self, host: &str, load: &Load) {
        if let Some(host) = self.inside().hosts.get_mut(host) {
            host.load = load.clone();
        }
    }
}

/// All hosts, by name.
pub fn statuses(hosts: &Hosts) -> Vec<HostStatus> {
    let inside = hosts.inside();
    let leases = |key: &str| {
        let own = inside.leases.values().filter(|(lease, _)| lease.host == key);
        own.map(|(lease, _)| lease.id).collect()
    };
    let shown = |(key, host): (&String, &super::Host)| HostStatus {
        name: key.clone(),
        address: host.from.to_string(),
        cores: host.has.inventory.cpu.cores,
        memory_gb: host.has.inventory.cpu.memory.map(|bytes| bytes as f64 / 1e9),
        gpus: match &host.has.inventory.gpus {
            Gpus::Devices(gpus) => gpus.iter().map(|gpu| gpu.name.clone()).collect(),
            Gpus::NoDriver | Gpus::Unusable(_) => Vec::new(),
        },
        places: host.runs,
        runs: leases(key),
        heard: moment(host.heard_ms),
        lost: host.lost,
        load: host.load.clone(),
    };
    inside.hosts.iter().map(shown).collect()
}
