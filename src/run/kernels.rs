//! Frames and vectors -> what tells them apart: computed on a CPU's cores or on a GPU, with the same result.
//!
//! Each of the three has a twin in Rust and a kernel in CUDA C++ (`cuda/`). Frames are counted in integers, so that both give the same to
//! the last bit; cosines are sums of floats in another order, and agree to some 1e-6.

pub mod frames;
pub mod gpu;
pub mod nearest;
pub mod scenes;

use crate::plan::model::Hardware;

/// Where something is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On so many of the CPU's cores.
    Cpu {
        /// At least 1.
        threads: usize,
    },
    /// On a GPU of this kind, as the library names it: `h100`; or on the one that has this UUID.
    Gpu {
        /// Part of the name that the driver gives it, or its UUID.
        kind: String,
    },
}

impl Default for Place {
    fn default() -> Place {
        Place::Cpu { threads: 1 }
    }
}

impl Place {
    /// Where a plan says; never on more cores than there are.
    pub fn of(hardware: &Hardware) -> Place {
        match hardware.device.as_str() {
            "cpu" | "api" => {
                let cores = super::devices::cpu::cores();
                Place::Cpu { threads: hardware.units.clamp(1, cores) as usize }
            }
            kind => Place::Gpu { kind: kind.to_owned() },
        }
    }

    /// Where a plan says, on the GPU that was chosen for a call.
    pub fn on(hardware: &Hardware, gpus: &[String]) -> Place {
        gpus.first().map_or_else(|| Place::of(hardware), |uuid| Place::Gpu { kind: uuid.clone() })
    }
}

/// Width and height of pictures, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Shape {
    /// Pixels of one picture.
    pub fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Bytes of one picture, three a pixel.
    pub fn bytes(self) -> usize {
        self.pixels() * 3
    }
}

/// Works on the items on so many threads, and returns what came out in their order.
pub fn shared<T: Sync, O: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> O + Sync) -> Vec<O> {
    let each = items.len().div_ceil(threads.max(1)).max(1);
    if items.len() <= each {
        return items.iter().map(work).collect();
    }
    std::thread::scope(|scope| {
        let work = &work;
        let parts: Vec<_> =
            items.chunks(each).map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<O>>())).collect();
        let joined = parts.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect()
    })
}
