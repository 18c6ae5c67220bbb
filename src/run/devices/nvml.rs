//! NVML, if it is there -> power, memory in use and energy of the GPUs; whatever it cannot tell is absent.

use super::Gpu;
use nvml_wrapper::Nvml;

/// Fills in what NVML knows of devices that the driver listed.
pub fn refine(devices: &mut [Gpu]) {
    let Ok(nvml) = Nvml::init() else { return };
    for device in devices {
        let Ok(found) = nvml.device_by_uuid(device.uuid.as_str()) else {
            continue;
        };
        device.used = found.memory_info().ok().map(|m| m.used);
        device.power_w = found.power_usage().ok().map(|mw| f64::from(mw) / 1000.0);
    }
}

/// The energy counters of all GPUs.
#[derive(Debug)]
pub struct Meters(Nvml);

impl Meters {
    /// The counters, where there are any.
    pub fn open() -> Option<Meters> {
        let meters = Meters(Nvml::init().ok()?);
        meters.joules().is_some().then_some(meters)
    }

    /// Joules of all GPUs together, since the driver was loaded: steps that run at the same time share what is measured.
    pub fn joules(&self) -> Option<f64> {
        let count = self.0.device_count().ok().filter(|n| *n > 0)?;
        let counter = |i| self.0.device_by_index(i).ok()?.total_energy_consumption().ok();
        let millijoules = (0..count).map(counter).sum::<Option<u64>>()?;
        Some(millijoules as f64 / 1000.0)
    }
}
