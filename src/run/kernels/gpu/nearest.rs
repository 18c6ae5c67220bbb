//! Vectors and a query -> the nearest vectors, by the kernel `nearest`.

use super::compile::NEAREST;
use super::lane::Lanes;
use super::{Gpu, Kernel, guarded};
use crate::run::fault::Fault;
use crate::run::kernels::nearest::{Rows, best, sums};
use cudarc::driver::{CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg};
use std::sync::Arc;

/// Rows that a block compares.
const ROWS: usize = 512;
/// Bytes that are copied at once.
const PIECE: usize = 32 << 20;
const THREADS: u32 = 256;

/// One launch of the kernel.
struct Call {
    count: u32,
    length: u32,
    first: u32,
    square: f32,
    most: u32,
}

impl Call {
    #[allow(unsafe_code)]
    fn launch(
        &self,
        stream: &CudaStream,
        function: &CudaFunction,
        rows: &CudaSlice<f32>,
        query: &CudaSlice<f32>,
        keys: &mut CudaSlice<u64>,
    ) -> Result<(), DriverError> {
        let config = LaunchConfig {
            grid_dim: (self.count.div_ceil(ROWS as u32), 1, 1),
            block_dim: (THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = stream.launch_builder(function);
        launch.arg(rows).arg(query).arg(&self.count).arg(&self.length).arg(&self.first).arg(&self.square);
        launch.arg(&self.most).arg(keys);
        // SAFETY: the arguments are those of `nearest` in their order; `rows` holds `count` rows of `length`, `query` one, and `keys` has
        // `most` places for each block.
        unsafe { launch.launch(config) }.map(drop)
    }
}

/// As the twin's: positions and cosines of the `most` nearest rows, nearest first. Rows are copied in pieces, each compared while the
/// next one is copied.
pub fn nearest(gpu: &Gpu, rows: Rows<'_>, query: &[f32], most: usize) -> Result<Vec<(usize, f32)>, Fault> {
    guarded(&gpu.name, || {
        let of_block = most.clamp(1, ROWS);
        let length = rows.length.max(1);
        let each = (PIECE / (length * 4)).clamp(1, rows.count().max(1)).next_multiple_of(ROWS);
        let kernel = gpu.kernel(&NEAREST, "nearest")?;
        let mut lanes: Lanes<f32, u64> = Lanes::new(gpu, kernel, each * length, each / ROWS * of_block)?;
        let query_there = gpu.stream()?.clone_htod(query).map_err(|e| gpu.fault("copying the query", e))?;
        let mut keys = Vec::new();
        let mut take = |found: &[u64], _: usize| keys.extend(found.iter().copied().filter(|key| *key != 0));
        for (i, part) in rows.values.chunks(each * length).enumerate() {
            lanes.input(&mut take)?[..part.len()].copy_from_slice(part);
            let call = Call {
                count: (part.len() / length) as u32,
                length: length as u32,
                first: (i * each) as u32,
                square: sums(query, query).0,
                most: of_block as u32,
            };
            lanes.send(part.len() / length, |stream, function, piece, result| {
                call.launch(stream, function, piece, &query_there, result)
            })?;
        }
        lanes.finish(&mut take)?;
        Ok(best(keys, most))
    })
}

/// Rows that stay on a GPU, to be asked many times.
pub struct Resident {
    gpu: Arc<Gpu>,
    kernel: Kernel,
    stream: Arc<CudaStream>,
    rows: CudaSlice<f32>,
    length: usize,
}

impl Resident {
    /// Copies rows to a GPU.
    pub fn new(gpu: &Arc<Gpu>, rows: Rows<'_>) -> Result<Resident, Fault> {
        guarded(&gpu.name, || {
            let kernel = gpu.kernel(&NEAREST, "nearest")?;
            let stream = gpu.stream()?;
            let there = stream.clone_htod(rows.values).map_err(|e| gpu.fault("copying the rows", e))?;
            Ok(Resident { gpu: gpu.clone(), kernel, stream, rows: there, length: rows.length.max(1) })
        })
    }

    /// The nearest rows to a query, as [`nearest`] gives them.
    pub fn nearest(&self, query: &[f32], most: usize) -> Result<Vec<(usize, f32)>, Fault> {
        let count = self.rows.len() / self.length;
        let of_block = most.clamp(1, ROWS);
        let call = Call {
            count: count as u32,
            length: self.length as u32,
            first: 0,
            square: sums(query, query).0,
            most: of_block as u32,
        };
        guarded(&self.gpu.name, || {
            let asked = || {
                let query = self.stream.clone_htod(query)?;
                let mut keys = self.stream.alloc_zeros::<u64>(count.div_ceil(ROWS).max(1) * of_block)?;
                call.launch(&self.stream, &self.kernel.function, &self.rows, &query, &mut keys)?;
                let keys = self.stream.clone_dtoh(&keys)?;
                self.stream.synchronize().map(|()| keys)
            };
            let keys = asked().map_err(|e| self.kernel.fault(e))?;
            Ok(best(keys.into_iter().filter(|key| *key != 0).collect(), most))
        })
    }
}
