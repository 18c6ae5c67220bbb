//! Pictures -> the same at another size, by the kernel `resize_area`.

use super::compile::FRAMES;
use super::lane::Lanes;
use super::{Gpu, guarded};
use crate::run::fault::Fault;
use crate::run::kernels::Shape;
use cudarc::driver::{LaunchConfig, PushKernelArg};

/// Bytes that are copied at once.
const PIECE: usize = 32 << 20;
const THREADS: u32 = 256;

/// The pictures, all of the shape `from`, brought to the shape `to`. The sides of both multiply to less than 2^32.
#[allow(unsafe_code)]
pub fn resized(gpu: &Gpu, pictures: &[&[u8]], from: Shape, to: Shape) -> Result<Vec<Vec<u8>>, Fault> {
    let config = |pictures: usize| LaunchConfig {
        grid_dim: ((to.pixels() as u32).div_ceil(THREADS), pictures as u32, 1),
        block_dim: (THREADS, 1, 1),
        shared_mem_bytes: 0,
    };
    guarded(&gpu.name, || {
        let each = (PIECE / from.bytes().max(1)).clamp(1, pictures.len().max(1));
        let kernel = gpu.kernel(&FRAMES, "resize_area")?;
        let mut lanes: Lanes<u8, u8> = Lanes::new(gpu, kernel, each * from.bytes(), each * to.bytes())?;
        let mut found = Vec::with_capacity(pictures.len());
        let mut take = |bytes: &[u8], pictures: usize| {
            found.extend(bytes.chunks_exact(to.bytes()).take(pictures).map(<[u8]>::to_vec));
        };
        for part in pictures.chunks(each) {
            let input = lanes.input(&mut take)?;
            for (place, picture) in input.chunks_exact_mut(from.bytes()).zip(part) {
                place.copy_from_slice(picture);
            }
            lanes.send(part.len(), |stream, function, piece, result| {
                let mut launch = stream.launch_builder(function);
                launch.arg(piece).arg(&from.width).arg(&from.height).arg(result).arg(&to.width).arg(&to.height);
                // SAFETY: the arguments are those of `resize_area` in their order; piece and result hold as many pictures as the grid.
                unsafe { launch.launch(config(part.len())) }.map(drop)
            })?;
        }
        lanes.finish(&mut take)?;
        Ok(found)
    })
}
