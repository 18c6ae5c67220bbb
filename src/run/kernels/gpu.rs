//! A kind of GPU -> one that is open, with its kernels; what goes wrong names the kernel and the device.
//!
//! cudarc panics where the driver's library or a function of it is missing: everything stands behind [`open`], which looks first, and
//! [`guarded`].

pub mod compile;
pub mod frames;
pub mod lane;
pub mod nearest;
pub mod scenes;

use crate::run::devices::{self, Gpus, cuda};
use crate::run::fault::{Fault, FaultKind};
use compile::{SOURCES, Source};
use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, DriverError};
use cudarc::nvrtc::Ptx;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A GPU that is open.
#[derive(Debug)]
pub struct Gpu {
    context: Arc<CudaContext>,
    /// Its name, as the driver gives it.
    pub name: String,
    /// What code is compiled for: `sm_90`.
    pub arch: String,
    modules: Mutex<BTreeMap<&'static str, Arc<CudaModule>>>,
}

/// A kernel that is loaded.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What is launched.
    pub function: CudaFunction,
    /// Its name.
    pub name: &'static str,
    device: String,
}

impl Kernel {
    /// What went wrong with it.
    pub fn fault(&self, error: DriverError) -> Fault {
        let message = format!("the kernel `{}` failed on {}: {}", self.name, self.device, cuda::words(error));
        Fault::new(FaultKind::Device, message)
    }
}

/// The GPU of this kind (part of its name, whatever the case; empty for any), the first of several, or the one with this UUID. It stays open
/// until the process ends.
pub fn open(kind: &str) -> Result<Arc<Gpu>, Fault> {
    static OPEN: OnceLock<Mutex<BTreeMap<usize, Arc<Gpu>>>> = OnceLock::new();
    let ordinal = ordinal(kind)?;
    let mut all = OPEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gpu) = all.get(&ordinal) {
        return Ok(gpu.clone());
    }
    let gpu = guarded(&format!("GPU {ordinal}"), || Gpu::new(ordinal))?;
    Ok(all.entry(ordinal).or_insert(Arc::new(gpu)).clone())
}

fn ordinal(kind: &str) -> Result<usize, Fault> {
    let lacks = |why: &str| {
        Fault::new(FaultKind::Device, format!("the plan needs a GPU ({kind}): {why}"))
            .help("plan for the machines that there are: `mkbc plan --cluster here`")
    };
    match cuda::gpus().0 {
        Gpus::NoDriver => Err(lacks("no NVIDIA driver is installed here")),
        Gpus::Unusable(why) => Err(lacks(&why)),
        Gpus::Devices(gpus) => {
            let wanted = kind.to_lowercase();
            let fits = |gpu: &devices::Gpu| wanted.is_empty() || gpu.uuid == kind || gpu.is(&wanted);
            let of_kind = gpus.iter().position(fits);
            let there = || gpus.iter().map(|gpu| gpu.name.as_str()).collect::<Vec<_>>().join(", ");
            of_kind.ok_or_else(|| lacks(&format!("there is {}", there())))
        }
    }
}

/// What keeps a step from being computed on a GPU of this kind here, if anything does.
pub fn lacking(kind: &str) -> Option<Fault> {
    let sources = || SOURCES.iter().try_for_each(|source| open(kind)?.code(source).map(drop));
    sources().err()
}

impl Gpu {
    fn new(ordinal: usize) -> Result<Gpu, Fault> {
        let fault = |error| {
            Fault::new(FaultKind::Device, format!("GPU {ordinal} cannot be opened: {}", cuda::words(error))).transient()
        };
        let context = CudaContext::new(ordinal).map_err(fault)?;
        let name = context.name().map_err(fault)?;
        let (major, minor) = context.compute_capability().map_err(fault)?;
        Ok(Gpu { context, name, arch: format!("sm_{major}{minor}"), modules: Mutex::default() })
    }

    /// A kernel, compiled at its first use, or taken from the cache.
    pub fn kernel(&self, source: &'static Source, name: &'static str) -> Result<Kernel, Fault> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let module = match modules.get(source.name) {
            Some(module) => module.clone(),
            None => {
                let code = Ptx::from_binary(self.code(source)?);
                let module = self.context.load_module(code).map_err(|e| self.fault(&format!("loading `{name}`"), e))?;
                modules.entry(source.name).or_insert(module).clone()
            }
        };
        let function = module.load_function(name).map_err(|e| self.fault(&format!("loading `{name}`"), e))?;
        Ok(Kernel { function, name, device: self.name.clone() })
    }

    fn code(&self, source: &Source) -> Result<Vec<u8>, Fault> {
        compile::cached(source, &self.arch, &compile::cache_folder())
    }

    /// A stream of its own: what is put into it is done in order, and beside what is in others.
    pub fn stream(&self) -> Result<Arc<CudaStream>, Fault> {
        self.context.new_stream().map_err(|e| self.fault("making a stream", e))
    }

    /// The context, for memory and events.
    pub fn context(&self) -> &Arc<CudaContext> {
        &self.context
    }

    /// What its memory can give at most, bytes a second, from clock and width of its bus: both edges of the clock count.
    pub fn bandwidth(&self) -> Result<f64, Fault> {
        let of =
            |attribute| self.context.attribute(attribute).map_err(|e| self.fault("asking for the memory's speed", e));
        let khz = of(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?;
        let bits = of(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?;
        Ok(2.0 * f64::from(khz) * 1e3 * f64::from(bits) / 8.0)
    }

    /// What went wrong beside a kernel.
    pub fn fault(&self, doing: &str, error: DriverError) -> Fault {
        Fault::new(FaultKind::Device, format!("{doing} failed on {}: {}", self.name, cuda::words(error)))
    }
}

/// Calls what may panic where a driver is older than cudarc thinks; then it is a fault.
pub fn guarded<T>(device: &str, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
        let message = format!("{device} cannot be used: its driver is too old, or a library of CUDA is missing");
        Err(Fault::new(FaultKind::Device, message).detail(&said))
    })
}
