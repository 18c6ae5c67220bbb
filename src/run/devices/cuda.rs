//! The CUDA driver, if there is one -> its devices.
//!
//! cudarc opens the driver's library at the first call and panics where it is absent: every call is behind [`gpus`], which looks
//! first.

use super::{Gpu, Gpus};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use std::fmt::Write;

/// The devices that the driver offers.
pub fn gpus() -> Gpus {
    if !installed() {
        return Gpus::NoDriver;
    }
    // A driver that is too old lacks functions, which cudarc answers with a panic; it must not end the process.
    match std::panic::catch_unwind(devices) {
        Ok(Ok(devices)) if devices.is_empty() => Gpus::Unusable("the driver offers no device".to_owned()),
        Ok(Ok(devices)) => Gpus::Devices(devices),
        Ok(Err(error)) => Gpus::Unusable(words(error)),
        Err(_) => Gpus::Unusable("the driver is too old".to_owned()),
    }
}

#[allow(unsafe_code)]
fn installed() -> bool {
    // SAFETY: opens the library by its usual names and closes it; the driver's own initialisers are trusted as everywhere.
    unsafe { sys::is_culib_present() }
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
    Ok(Gpu {
        name: result::device::get_name(device)?,
        uuid: uuid(&result::device::get_uuid(device)?.bytes),
        memory: memory.map(|m| m as u64),
        capability: major.zip(minor).map(|(major, minor)| format!("{major}.{minor}")),
        used: None,
        power_w: None,
    })
}

/// As NVML writes it: `GPU-8e2c4b5f-…`.
fn uuid(bytes: &[std::ffi::c_char; 16]) -> String {
    let mut text = String::from("GPU-");
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{:02x}", *byte as u8);
    }
    text
}

fn words(error: DriverError) -> String {
    let said = error.error_string().map(|s| s.to_string_lossy().into_owned());
    said.unwrap_or_else(|_| format!("the driver answers {:?}", error.0))
}
