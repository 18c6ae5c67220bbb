//! Data in pieces -> through a GPU in lanes that take turns: while one lane's piece is copied and worked on, the next is filled.

use super::{Gpu, Kernel};
use crate::run::fault::Fault;
use cudarc::driver::{CudaFunction, CudaSlice, CudaStream, DeviceRepr, DriverError, PinnedHostSlice, ValidAsZeroBits};
use std::collections::VecDeque;
use std::sync::Arc;

/// Lanes that take turns.
const LANES: usize = 2;

/// What can lie in memory that a GPU shares: plain numbers.
pub trait Plain: DeviceRepr + ValidAsZeroBits + Copy {}
impl<T: DeviceRepr + ValidAsZeroBits + Copy> Plain for T {}

/// Memory for one piece on both sides, and a stream. The host's is pinned, since only such memory is copied while the host goes on.
struct Lane<I, O> {
    stream: Arc<CudaStream>,
    input: PinnedHostSlice<I>,
    piece: CudaSlice<I>,
    result: CudaSlice<O>,
    output: PinnedHostSlice<O>,
}

impl<I: Plain, O: Plain> Lane<I, O> {
    fn new(gpu: &Gpu, input: usize, output: usize) -> Result<Lane<I, O>, DriverError> {
        let stream = gpu.context().new_stream()?;
        let (piece, result) = (stream.alloc_zeros(input)?, stream.alloc_zeros(output)?);
        Ok(Lane { input: pinned(gpu, input)?, piece, result, output: pinned(gpu, output)?, stream })
    }
}

/// Pinned memory that holds zeros.
#[allow(unsafe_code)]
fn pinned<T: Plain>(gpu: &Gpu, count: usize) -> Result<PinnedHostSlice<T>, DriverError> {
    // SAFETY: the memory is unset until it is zeroed here, `count` numbers long, and zeros are valid for every `Plain`. It is not
    // write-combined, since results are read from it.
    unsafe {
        let mut memory = gpu.context().alloc_pinned_with_flags::<T>(count, 0)?;
        memory.as_mut_ptr()?.write_bytes(0, count);
        Ok(memory)
    }
}

/// Lanes for a kernel, with pieces and results of a fixed size.
pub struct Lanes<I, O> {
    kernel: Kernel,
    free: Vec<Lane<I, O>>,
    /// Those under way with how many items their pieces hold, the first that began first.
    under_way: VecDeque<(Lane<I, O>, usize)>,
}

/// Takes a result, and how many items its piece held.
pub type Taker<'a, O> = &'a mut dyn FnMut(&[O], usize);

impl<I: Plain, O: Plain> Lanes<I, O> {
    /// Lanes for pieces of `input` numbers and results of `output`; their memory is taken at once.
    pub fn new(gpu: &Gpu, kernel: Kernel, input: usize, output: usize) -> Result<Lanes<I, O>, Fault> {
        let lanes = (0..LANES).map(|_| Lane::new(gpu, input.max(1), output.max(1))).collect::<Result<Vec<_>, _>>();
        Ok(Lanes { kernel, free: lanes.map_err(|e| gpu.fault("taking memory", e))?, under_way: VecDeque::new() })
    }

    /// Where the next piece goes. If all lanes are under way, the oldest is waited for and its result handed on first.
    pub fn input(&mut self, take: Taker<'_, O>) -> Result<&mut [I], Fault> {
        if self.free.is_empty() {
            self.oldest(take)?;
        }
        let Some(lane) = self.free.last_mut() else { return Ok(&mut []) };
        lane.input.as_mut_slice().map_err(|e| self.kernel.fault(e))
    }

    /// Sends the piece that [`Lanes::input`] was filled with, of so many items, on its way; `launch` begins the kernel. The result is
    /// zero before it.
    pub fn send(
        &mut self,
        items: usize,
        launch: impl FnOnce(&CudaStream, &CudaFunction, &CudaSlice<I>, &mut CudaSlice<O>) -> Result<(), DriverError>,
    ) -> Result<(), Fault> {
        let Some(mut lane) = self.free.pop() else { return Ok(()) };
        let Lane { stream, input, piece, result, output } = &mut lane;
        let sent = stream
            .memcpy_htod(input, piece)
            .and_then(|()| stream.memset_zeros(result))
            .and_then(|()| launch(stream, &self.kernel.function, piece, result))
            .and_then(|()| stream.memcpy_dtoh(result, output));
        sent.map_err(|e| self.kernel.fault(e))?;
        self.under_way.push_back((lane, items));
        Ok(())
    }

    /// Waits for all that is under way.
    pub fn finish(&mut self, take: Taker<'_, O>) -> Result<(), Fault> {
        while !self.under_way.is_empty() {
            self.oldest(take)?;
        }
        Ok(())
    }

    fn oldest(&mut self, take: Taker<'_, O>) -> Result<(), Fault> {
        if let Some((lane, items)) = self.under_way.pop_front() {
            // A kernel that failed says so when its stream is waited for.
            lane.stream.synchronize().map_err(|e| self.kernel.fault(e))?;
            take(lane.output.as_slice().map_err(|e| self.kernel.fault(e))?, items);
            self.free.push(lane);
        }
        Ok(())
    }
}
