//! The CUDA driver, if there is one -> its devices.
//!
//! cudarc opens the driver's library at the first call and panics where it is absent: every call is behind [`gpus`], which looks
//! first.

use super::{Gpu, Gpus};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use std::fmt::Write;

/// What is called below. A driver that is too old lacks some, which cudarc answers with a panic.
const NEEDED: [&str; 7] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceGetUuid_v2",
    "cuDeviceTotalMem_v2",
    "cuDeviceGetAttribute",
];

/// The variable that names the GPUs which a program may use, and the one that has them numbered as NVML does.
pub const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
/// See [`VISIBLE`].
pub const ORDER: &str = "CUDA_DEVICE_ORDER";

/// What a program's environment holds for it to see these GPUs and no others. By UUID, since CUDA and NVML number devices differently.
pub fn visible(gpus: &[String]) -> [(&'static str, String); 2] {
    [(ORDER, "PCI_BUS_ID".to_owned()), (VISIBLE, gpus.join(","))]
}

/// The devices that the driver offers, and the newest CUDA that it can carry.
pub fn gpus() -> (Gpus, Option<String>) {
    if !installed() {
        return (Gpus::NoDriver, None);
    }
    if let Some(lacking) = NEEDED.into_iter().find(|name| !offers(name)) {
        return (Gpus::Unusable(format!("the driver is too old: it has no `{lacking}`")), None);
    }
    let cuda = newest();
    // What the list above misses must not end the process.
    let gpus = match std::panic::catch_unwind(devices) {
        Ok(Ok(devices)) if devices.is_empty() => Gpus::Unusable("the driver offers no device".to_owned()),
        Ok(Ok(devices)) => Gpus::Devices(devices),
        Ok(Err(error)) => Gpus::Unusable(words(error)),
        Err(_) => Gpus::Unusable("the driver is too old".to_owned()),
    };
    (gpus, cuda)
}

#[allow(unsafe_code)]
fn installed() -> bool {
    // SAFETY: opens the library by its usual names and closes it; the driver's own initialisers are trusted as everywhere.
    unsafe { sys::is_culib_present() }
}

#[allow(unsafe_code)]
fn offers(name: &str) -> bool {
    // SAFETY: the library is there; the function is looked up and not called.
    unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()).is_ok() }
}

#[allow(unsafe_code)]
fn newest() -> Option<String> {
    let mut version = 0;
    // SAFETY: writes one int to a valid place, and may be called before the driver is initialised.
    let answer = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    answer.result().ok()?;
    (version > 0).then(|| format!("{}.{}", version / 1000, version % 1000 / 10))
}

fn devices() -> Result<Vec<Gpu>, DriverError> {
    result::init()?;
    (0..result::device::get_count()?).map(device).collect()
}

#[allow(unsafe_code)]
fn device(ordinal: i32) -> Result<Gpu, DriverError> {
    let device = result::device::get(ordinal)?;
    // SAFETY: `device` was just returned by `get`, which is what these functions ask for.
    let (memory, major, minor) = unsafe {
        (
            result::device::total_mem(device).ok(),
            result::device::get_attribute(device, Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR).ok(),
            result::device::get_attribute(device, Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR).ok(),
        )
    };
    let name = result::device::get_name(device)?;
    // The driver lists instances like GPUs: `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
    let part = name.contains(" MIG ");
    Ok(Gpu {
        uuid: uuid(&result::device::get_uuid(device)?.bytes, part),
        name,
        memory: memory.map(|m| m as u64),
        capability: major.zip(minor).map(|(major, minor)| format!("{major}.{minor}")),
        used: None,
        power_w: None,
        power_limit_w: None,
        pci: None,
        mig: None,
        nvlinks: None,
        part,
    })
}

/// As NVML writes it: `GPU-8e2c4b5f-…`, and `MIG-…` for an instance.
fn uuid(bytes: &[std::ffi::c_char; 16], part: bool) -> String {
    let mut text = String::from(if part { "MIG-" } else { "GPU-" });
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{:02x}", *byte as u8);
    }
    text
}

/// What the driver says of an error.
pub fn words(error: DriverError) -> String {
    // The words of an error come from the driver as well.
    if !["cuGetErrorName", "cuGetErrorString"].into_iter().all(offers) {
        return format!("the driver answers {:?}", error.0);
    }
    let said = error.error_string().map(|s| s.to_string_lossy().into_owned());
    said.unwrap_or_else(|_| format!("the driver answers {:?}", error.0))
}
