//! Frames -> their counts of colours and edges, by the kernel `frame_features`.

use super::compile::SCENES;
use super::lane::{Lanes, Taker};
use super::{Gpu, guarded};
use crate::run::fault::Fault;
use crate::run::kernels::Shape;
use crate::run::kernels::scenes::FEATURES;
use cudarc::driver::{LaunchConfig, PushKernelArg};

/// Bytes that are copied at once: enough that a copy is worth its call.
const PIECE: usize = 32 << 20;
/// Pixels of a tile, and tiles that a block works on, before it adds its counts to those of the frame.
const TILE: (u32, u32) = (64, 8);
const TILES: u32 = 16;
const THREADS: u32 = 256;

/// Counts frames of one shape.
pub struct Counter {
    lanes: Lanes<u8, u32>,
    shape: Shape,
    name: String,
}

impl Counter {
    /// For frames of this shape.
    pub fn new(gpu: &Gpu, shape: Shape) -> Result<Counter, Fault> {
        guarded(&gpu.name, || {
            let each = (PIECE / shape.bytes().max(1)).clamp(1, 256);
            let kernel = gpu.kernel(&SCENES, "frame_features")?;
            let lanes = Lanes::new(gpu, kernel, each * shape.bytes(), each * FEATURES)?;
            Ok(Counter { lanes, shape, name: gpu.name.clone() })
        })
    }

    /// Where the next frames go, as many whole ones as fit.
    pub fn input(&mut self, take: Taker<'_, u32>) -> Result<&mut [u8], Fault> {
        guarded(&self.name, || self.lanes.input(take))
    }

    /// Counts so many frames of those that [`Counter::input`] holds.
    #[allow(unsafe_code)]
    pub fn send(&mut self, frames: usize) -> Result<(), Fault> {
        let Shape { width, height } = self.shape;
        let tiles = width.div_ceil(TILE.0) * height.div_ceil(TILE.1);
        let config = LaunchConfig {
            grid_dim: (tiles.div_ceil(TILES), frames as u32, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        guarded(&self.name, || {
            self.lanes.send(frames, |stream, function, piece, result| {
                let mut launch = stream.launch_builder(function);
                launch.arg(piece).arg(&width).arg(&height).arg(result);
                // SAFETY: the arguments are those of `frame_features` in their order; piece and result hold `frames` frames and counts.
                unsafe { launch.launch(config) }.map(drop)
            })
        })
    }

    /// Waits for what is under way.
    pub fn finish(&mut self, take: Taker<'_, u32>) -> Result<(), Fault> {
        guarded(&self.name, || self.lanes.finish(take))
    }
}
