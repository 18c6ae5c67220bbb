//! Vectors and a query -> the vectors that point most nearly where it does; all are compared.

use super::{Place, gpu};
use crate::run::fault::Fault;

/// Vectors of one length, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// Numbers of one vector; at least 1.
    pub length: usize,
}

impl Rows<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.values.len() / self.length.max(1)
    }
}

/// The positions of the `most` rows with the largest cosine, nearest first, with it; of equals the earlier row first.
pub fn at(place: &Place, rows: Rows<'_>, query: &[f32], most: usize) -> Result<Vec<(usize, f32)>, Fault> {
    match place {
        Place::Cpu { threads } => Ok(nearest(rows, query, most, *threads)),
        Place::Gpu { kind } => gpu::nearest::nearest(&*gpu::open(kind)?, rows, query, most),
    }
}

/// Numbers that are added up side by side, as processors do.
const LANES: usize = 16;
/// Below so many numbers another thread costs more than it saves.
const LEAST_OF_A_THREAD: usize = 1 << 16;

/// [`at`] on a CPU: the twin of the kernel `nearest`.
pub fn nearest(rows: Rows<'_>, query: &[f32], most: usize, threads: usize) -> Vec<(usize, f32)> {
    let threads = threads.min(rows.values.len() / LEAST_OF_A_THREAD).max(1);
    let each = rows.count().div_ceil(threads).max(1);
    let square = sums(query, query).0;
    let parts: Vec<(usize, &[f32])> =
        rows.values.chunks(each * rows.length.max(1)).enumerate().map(|(i, part)| (i * each, part)).collect();
    let keys = super::shared(&parts, threads, |(first, part)| {
        let keys = part.chunks_exact(rows.length.max(1)).zip(*first..).map(|(row, position)| {
            let (own, dot) = sums(row, query);
            let both = (own * square).sqrt();
            key(if both > 0.0 { dot / both } else { 0.0 }, position as u32)
        });
        largest(keys.collect(), most)
    });
    best(keys.concat(), most)
}

/// Of keys the `most` largest, as positions and cosines, nearest first.
pub fn best(keys: Vec<u64>, most: usize) -> Vec<(usize, f32)> {
    let mut keys = largest(keys, most);
    keys.sort_unstable_by(|a, b| b.cmp(a));
    keys.into_iter().map(|key| (!(key as u32) as usize, cosine(key))).collect()
}

fn largest(mut keys: Vec<u64>, most: usize) -> Vec<u64> {
    if keys.len() > most && most > 0 {
        keys.select_nth_unstable_by(most - 1, |a, b| b.cmp(a));
    }
    keys.truncate(most);
    keys
}

/// A number that orders rows: larger is nearer, and of equal cosines the earlier row's is larger.
fn key(cosine: f32, row: u32) -> u64 {
    // So that -0 and 0 are equal.
    let bits = (cosine + 0.0).to_bits();
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(!row)
}

fn cosine(key: u64) -> f32 {
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 0 { !ordered } else { ordered & !(1 << 31) })
}

/// a·a and a·b.
pub fn sums(a: &[f32], b: &[f32]) -> (f32, f32) {
    let (mut square, mut dot) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (a_whole, a_rest) = a.as_chunks::<LANES>();
    let (b_whole, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_whole.iter().zip(b_whole) {
        for lane in 0..LANES {
            square[lane] += x[lane] * x[lane];
            dot[lane] += x[lane] * y[lane];
        }
    }
    for (lane, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        square[lane] += x * x;
        dot[lane] += x * y;
    }
    (square.iter().sum(), dot.iter().sum())
}
