//! This machine -> what it has: cores, memory, GPUs. Starts, and says so, where there is no CUDA at all.

pub mod cpu;
pub mod cuda;
pub mod nvml;
pub mod sensors;

use serde::{Deserialize, Serialize};

/// What this machine has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Processors.
    pub cpu: cpu::Cpu,
    /// NVIDIA's driver, where one answers.
    pub driver: Option<Driver>,
    /// GPUs.
    pub gpus: Gpus,
}

/// NVIDIA's driver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Driver {
    /// The newest CUDA that it can carry: `13.0`.
    pub cuda: Option<String>,
    /// Its own version, by NVML: `580.95.05`.
    pub version: Option<String>,
}

/// The GPUs of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gpus {
    /// No NVIDIA driver is installed.
    NoDriver,
    /// A driver is there, and no device can be used; why.
    Unusable(String),
    /// The devices, in CUDA's order.
    Devices(Vec<Gpu>),
}

/// A GPU. What neither driver nor NVML tells is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its name, as the driver gives it.
    pub name: String,
    /// Its UUID (`GPU-…`, of an instance `MIG-…`): CUDA and NVML number devices differently, so that this is the only safe name.
    pub uuid: String,
    /// Memory, bytes.
    pub memory: Option<u64>,
    /// Compute capability: `9.0`.
    pub capability: Option<String>,
    /// Memory in use, bytes.
    pub used: Option<u64>,
    /// Power at this moment, watts.
    pub power_w: Option<f64>,
    /// The power that it is kept below, watts.
    pub power_limit_w: Option<f64>,
    /// Its place on the PCI bus: `00000000:17:00.0`.
    pub pci: Option<String>,
    /// Whether it is parted into instances (MIG).
    pub mig: Option<bool>,
    /// NVLinks that are up.
    pub nvlinks: Option<u32>,
    /// Whether it is an instance of a GPU that is parted (MIG).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
}

impl Gpu {
    /// Whether it is one of those that a plan or a library calls by this name: a part of what its driver calls it. An instance of a parted
    /// GPU is none, though it bears its name: it has neither its memory nor its speed.
    pub fn is(&self, device: &str) -> bool {
        !self.part && self.name.to_lowercase().contains(device)
    }
}

/// Looks at this machine.
pub fn inventory() -> Inventory {
    let (mut gpus, cuda) = cuda::gpus();
    let mut driver = None;
    if gpus != Gpus::NoDriver {
        let devices = if let Gpus::Devices(devices) = &mut gpus { devices.as_mut_slice() } else { &mut [] };
        driver = Some(Driver { cuda, version: nvml::refine(devices) });
    }
    Inventory { cpu: cpu::cpu(), driver, gpus }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_taken_on_any_machine() {
        let found = inventory();
        assert!(found.cpu.cores >= 1);
        if let Gpus::Devices(devices) = &found.gpus {
            assert!(devices.iter().all(|d| d.uuid.starts_with(if d.part { "MIG-" } else { "GPU-" })));
        }
    }
}
