//! This machine -> what it has: cores, memory, GPUs. Starts, and says so, where there is no CUDA at all.

pub mod cpu;
pub mod cuda;
pub mod nvml;

use serde::Serialize;

/// What this machine has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inventory {
    /// Processors.
    pub cpu: cpu::Cpu,
    /// GPUs.
    pub gpus: Gpus,
}

/// The GPUs of this machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gpu {
    /// Its name, as the driver gives it.
    pub name: String,
    /// Its UUID: CUDA and NVML number devices differently, so that this is the only safe name.
    pub uuid: String,
    /// Memory, bytes.
    pub memory: Option<u64>,
    /// Compute capability: `9.0`.
    pub capability: Option<String>,
    /// Memory in use, bytes.
    pub used: Option<u64>,
    /// Power at this moment, watts.
    pub power_w: Option<f64>,
}

/// Looks at this machine.
pub fn inventory() -> Inventory {
    let mut gpus = cuda::gpus();
    if let Gpus::Devices(devices) = &mut gpus {
        nvml::refine(devices);
    }
    Inventory { cpu: cpu::cpu(), gpus }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_taken_on_any_machine() {
        let found = inventory();
        assert!(found.cpu.cores >= 1);
        if let Gpus::Devices(devices) = &found.gpus {
            assert!(devices.iter().all(|d| d.uuid.starts_with("GPU-")));
        }
    }
}
