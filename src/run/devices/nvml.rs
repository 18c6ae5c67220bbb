//! NVML, if it is there -> power, memory in use and energy of the GPUs; whatever it cannot tell is absent.

use super::Gpu;
use super::sensors::GpuLoad;
use nvml_wrapper::{Device, Nvml};
use std::sync::OnceLock;

/// Looked for as `libnvidia-ml.so.1`: containers have it under no other name.
fn open() -> Option<Nvml> {
    Nvml::init().ok()
}

/// A GPU has at most so many NVLinks (Blackwell: 18).
const LINKS: u32 = 18;

fn watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) / 1000.0
}

/// Fills in what NVML knows of devices that the driver listed. Yields the driver's version.
pub fn refine(devices: &mut [Gpu]) -> Option<String> {
    let nvml = open()?;
    for device in devices {
        let Ok(found) = nvml.device_by_uuid(device.uuid.as_str()) else {
            continue;
        };
        device.used = found.memory_info().ok().map(|m| m.used);
        device.power_w = found.power_usage().ok().map(watts);
        device.power_limit_w = found.enforced_power_limit().ok().map(watts);
        device.pci = found.pci_info().ok().map(|p| p.bus_id);
        device.mig = found.mig_mode().ok().map(|m| m.current == 1);
        let links: Vec<bool> = (0..LINKS).map_while(|link| found.link_wrapper_for(link).is_active().ok()).collect();
        device.nvlinks = u32::try_from(links.iter().filter(|up| **up).count()).ok().filter(|_| !links.is_empty());
    }
    nvml.sys_driver_version().ok()
}

/// A GPU, by a library that stays open: to open it takes longer than many a call.
fn device(uuid: &str) -> Option<Device<'static>> {
    static NVML: OnceLock<Option<Nvml>> = OnceLock::new();
    NVML.get_or_init(open).as_ref()?.device_by_uuid(uuid).ok()
}

/// Bytes of a GPU that are in use, by whomever.
pub fn used(uuid: &str) -> Option<u64> {
    device(uuid)?.memory_info().ok().map(|m| m.used)
}

/// What a GPU does at this moment.
pub fn load(gpu: &Gpu) -> GpuLoad {
    let (name, memory_gb) = (gpu.name.clone(), gpu.memory.map(|bytes| bytes as f64 / 1e9));
    let Some(device) = device(&gpu.uuid) else { return GpuLoad { name, memory_gb, ..GpuLoad::default() } };
    GpuLoad {
        name,
        busy: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu) / 100.0),
        memory_used_gb: device.memory_info().ok().map(|memory| memory.used as f64 / 1e9),
        memory_gb,
        power_w: device.power_usage().ok().map(watts),
        power_limit_w: device.enforced_power_limit().ok().map(watts),
    }
}

/// The energy counters of GPUs.
#[derive(Debug)]
pub struct Meters(Nvml);

impl Meters {
    /// NVML, where it is there.
    pub fn open() -> Option<Meters> {
        open().map(Meters)
    }

    /// UUIDs and names of the GPUs.
    pub fn gpus(&self) -> Vec<(String, String)> {
        let device = |i| self.0.device_by_index(i).ok();
        let count = self.0.device_count().unwrap_or(0);
        (0..count).filter_map(device).filter_map(|d| Some((d.uuid().ok()?, d.name().ok()?))).collect()
    }

    /// Joules of a GPU since the driver was loaded; GPUs before Volta do not count them.
    pub fn joules(&self, uuid: &str) -> Option<f64> {
        let millijoules = self.0.device_by_uuid(uuid).ok()?.total_energy_consumption().ok()?;
        Some(millijoules as f64 / 1000.0)
    }
}
