//! The device that a plan names -> candle's, or why not. There is no silent change to another one.

use crate::failure::Failure;
use candle_core::Device;

/// `cpu`, or whatever else for the first GPU that is visible (mkbc shows a worker the ones that it may use).
pub fn open(name: &str) -> Result<Device, Failure> {
    if name == "cpu" { Ok(Device::Cpu) } else { gpu(name) }
}

#[cfg(not(feature = "cuda"))]
fn gpu(name: &str) -> Result<Device, Failure> {
    let how = "build it on a machine with CUDA: cargo build --release --features cuda --manifest-path workers/candle/Cargo.toml";
    Err(Failure::device(format!(
        "the plan is for `{name}`, and this `mkbc-candle` is built for processors alone; {how}"
    )))
}

#[cfg(feature = "cuda")]
fn gpu(name: &str) -> Result<Device, Failure> {
    // Without a driver, the first call into CUDA panics.
    let opened = std::panic::catch_unwind(|| Device::new_cuda(0));
    let why = match opened {
        Ok(Ok(device)) => return Ok(device),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "there is no CUDA driver".to_owned(),
    };
    Err(Failure::device(format!("the plan is for `{name}`, and no GPU can be used: {why}")))
}

/// What a device is called in the first answer.
pub fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

#[cfg(test)]
mod tests {
    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_is_refused_by_a_build_for_processors() {
        assert_eq!(super::name(&super::open("cpu").expect("a processor")), "cpu");
        let said = super::open("h100").expect_err("no CUDA in this build");
        assert!(said.message.contains("--features cuda"), "{said}");
    }
}
