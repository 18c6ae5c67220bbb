//! The device that a plan names -> candle's, or why not. There is no silent change to another one.

use crate::failure::Failure;
use candle_core::Device;

/// `cpu`, or whatever else for the first GPU that is visible (mkbc shows a worker the one that it may use).
pub fn open(name: &str) -> Result<Device, Failure> {
    if name == "cpu" { Ok(Device::Cpu) } else { gpu(name) }
}

#[cfg(not(feature = "cuda"))]
fn gpu(name: &str) -> Result<Device, Failure> {
    let how = "`workers/cuda.sh` builds one with CUDA (docs/workers.md)";
    Err(Failure::device(format!(
        "the plan is for `{name}`, and this `mkbc-candle` is built for processors alone; {how}"
    )))
}

#[cfg(feature = "cuda")]
fn gpu(name: &str) -> Result<Device, Failure> {
    quietly(|| Device::new_cuda(0))
        .map_err(|why| Failure::device(format!("the plan is for `{name}`, and no GPU can be used: {why}")))
}

/// Does what may panic: the crate that opens CUDA's libraries does so where one is missing, and nothing of that is for people to see.
#[cfg(feature = "cuda")]
fn quietly<T>(work: impl FnOnce() -> candle_core::Result<T> + std::panic::UnwindSafe) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = std::panic::catch_unwind(work);
    std::panic::set_hook(hook);
    match done {
        Ok(done) => done.map_err(|e| e.to_string()),
        Err(panic) => Err(lacking(crate::serve::words(panic.as_ref()).unwrap_or("its driver is too old"))),
    }
}

/// The library that such a panic is about.
#[cfg_attr(not(feature = "cuda"), allow(dead_code))]
fn lacking(panic: &str) -> String {
    let named = panic.split_once("dynamically load the \"").and_then(|(_, rest)| Some(rest.split_once('"')?.0));
    match named {
        Some("cuda") => "there is no NVIDIA driver here".to_owned(),
        Some(library) => {
            format!("CUDA's library `lib{library}` is not here: LD_LIBRARY_PATH may name the folder that it is in")
        }
        None => panic.to_owned(),
    }
}

/// What a device is called in the first answer.
pub fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

/// Which GPU a device is, 32 hexadecimal digits: what the driver says, not what was asked for.
pub fn gpu_of(device: &Device) -> Option<String> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(cuda) = device {
        let uuid = cuda.cuda_stream().context().uuid().ok()?;
        return Some(uuid.bytes.iter().map(|byte| format!("{:02x}", *byte as u8)).collect());
    }
    let _ = device;
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_is_refused_by_a_build_for_processors() {
        assert_eq!(name(&open("cpu").expect("a processor")), "cpu");
        let said = open("h100").expect_err("no CUDA in this build");
        assert!(said.message.contains("workers/cuda.sh"), "{said}");
    }

    #[test]
    fn a_missing_library_is_named_without_the_words_of_a_panic() {
        let panic = |name: &str| format!("Unable to dynamically load the \"{name}\" shared library - searched for");
        assert_eq!(lacking(&panic("cuda")), "there is no NVIDIA driver here");
        assert!(lacking(&panic("cublas")).starts_with("CUDA's library `libcublas` is not here"));
        assert_eq!(lacking("index out of bounds"), "index out of bounds");
    }
}
