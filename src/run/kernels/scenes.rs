//! Frames one after the other -> where the picture changes: colours and edges are counted, and neighbours compared.

use super::{Place, Shape, gpu};
use crate::run::fault::{Fault, FaultKind};
use std::io::Read;

/// Counts of colours, 3 bits a channel.
pub const BINS: usize = 512;
/// Edges are counted in so many by so many cells.
pub const GRID: usize = 16;
/// Counts of a frame: colours, then edges.
pub const FEATURES: usize = BINS + GRID * GRID;
/// A pixel lies on an edge where Sobel's |gx| + |gy| (0 to 2040) is above it.
const EDGE: i32 = 128;
/// How much of a frame's difference is that of colours; the rest is that of edges. Colours say most, edges tell scenes of like colours apart.
const COLOURS: f64 = 0.7;
/// The least difference that is a cut, and how much larger it must be than the differences around it: something that moves all the time
/// differs all the time.
const LEAST: f64 = 0.25;
const ABOVE_OTHERS: f64 = 2.5;
/// Seconds around a difference that it is compared with, and the shortest scene.
const AROUND: f64 = 0.6;

/// Reads frames of this shape to their end, and hands on the counts of each in their order.
pub fn count(place: &Place, shape: Shape, frames: &mut dyn Read, each: &mut dyn FnMut(&[u32])) -> Result<(), Fault> {
    match place {
        Place::Cpu { threads } => {
            let mut piece = vec![0; 4 * threads * shape.bytes()];
            loop {
                let whole = fill(frames, &mut piece, shape)?;
                features(&piece[..whole * shape.bytes()], shape, *threads).chunks_exact(FEATURES).for_each(&mut *each);
                if whole < 4 * threads {
                    return Ok(());
                }
            }
        }
        Place::Gpu { kind } => {
            let mut counter = gpu::scenes::Counter::new(&*gpu::open(kind)?, shape)?;
            let mut take =
                |counts: &[u32], frames: usize| counts.chunks_exact(FEATURES).take(frames).for_each(&mut *each);
            loop {
                let piece = counter.input(&mut take)?;
                let room = piece.len() / shape.bytes().max(1);
                let whole = fill(frames, piece, shape)?;
                if whole > 0 {
                    counter.send(whole)?;
                }
                if whole < room || room == 0 {
                    return counter.finish(&mut take);
                }
            }
        }
    }
}

/// Reads as many frames as there are and fit; a frame that is cut off at the end is none.
fn fill(from: &mut dyn Read, piece: &mut [u8], shape: Shape) -> Result<usize, Fault> {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Fault::new(FaultKind::Process, format!("decoded frames cannot be read: {e}"))),
        }
    }
    Ok(filled / shape.bytes().max(1))
}

/// The counts of frames, [`FEATURES`] each; `frames` holds pictures of this shape, three bytes a pixel. The twin of `frame_features`.
pub fn features(frames: &[u8], shape: Shape, threads: usize) -> Vec<u32> {
    let frames: Vec<&[u8]> = frames.chunks_exact(shape.bytes().max(1)).collect();
    super::shared(&frames, threads, |frame| of_frame(frame, shape)).concat()
}

fn of_frame(frame: &[u8], shape: Shape) -> Vec<u32> {
    let (width, height) = (shape.width as usize, shape.height as usize);
    let mut counts = vec![0; FEATURES];
    let mut light = vec![0_u8; shape.pixels()];
    for (pixel, light) in frame.chunks_exact(3).zip(&mut light) {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(usize::from);
        counts[(r >> 5) << 6 | (g >> 5) << 3 | b >> 5] += 1;
        *light = ((77 * r + 150 * g + 29 * b + 128) >> 8) as u8;
    }
    let cells: Vec<usize> = (0..width).map(|x| x * GRID / width).collect();
    for y in 1..height.saturating_sub(1) {
        let row = |y: usize| &light[y * width..(y + 1) * width];
        let (above, here, below) = (row(y - 1), row(y), row(y + 1));
        let cell_row = &mut counts[BINS + y * GRID / height * GRID..][..GRID];
        for (((x, a), h), b) in (1..).zip(above.windows(3)).zip(here.windows(3)).zip(below.windows(3)) {
            let at = |three: &[u8], k: usize| i32::from(three[k]);
            let gx = at(a, 2) + 2 * at(h, 2) + at(b, 2) - at(a, 0) - 2 * at(h, 0) - at(b, 0);
            let gy = at(b, 0) + 2 * at(b, 1) + at(b, 2) - at(a, 0) - 2 * at(a, 1) - at(a, 2);
            cell_row[cells[x]] += u32::from(gx.abs() + gy.abs() > EDGE);
        }
    }
    counts
}

/// How much two frames differ by their counts, from 0 to 1.
pub fn difference(a: &[u32], b: &[u32]) -> f64 {
    let (colours_a, edges_a) = a.split_at(BINS);
    let (colours_b, edges_b) = b.split_at(BINS);
    let pixels: u64 = colours_a.iter().chain(colours_b).map(|n| u64::from(*n)).sum();
    let other: u64 = colours_a.iter().zip(colours_b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    // Cell by cell: in a plain picture a caption has most of all edges, and still lies in few cells.
    let changed = |(a, b): (&u32, &u32)| f64::from(a.abs_diff(*b)) / f64::from((*a).max(*b).max(1));
    let edges = edges_a.iter().zip(edges_b).map(changed).sum::<f64>() / (GRID * GRID) as f64;
    COLOURS * other as f64 / pixels.max(1) as f64 + (1.0 - COLOURS) * edges
}

/// Positions of the frames that begin a new scene; `differences[i]` is that between frames i and i + 1, `rate` frames a second.
pub fn cuts(differences: &[f64], rate: f64) -> Vec<usize> {
    let around = ((AROUND * rate).round() as usize).max(1);
    let is_cut = |i: usize| {
        let (from, to) = (i.saturating_sub(around), (i + around + 1).min(differences.len()));
        let (before, after) = (&differences[from..i], &differences[i + 1..to]);
        let others = before.len() + after.len();
        let mean = before.iter().chain(after).sum::<f64>() / others.max(1) as f64;
        // Of equal neighbours the first is the cut.
        let largest = before.iter().all(|d| *d < differences[i]) && after.iter().all(|d| *d <= differences[i]);
        largest && differences[i] >= LEAST && differences[i] >= ABOVE_OTHERS * mean
    };
    (0..differences.len()).filter(|i| is_cut(*i)).map(|i| i + 1).collect()
}
