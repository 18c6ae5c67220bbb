//! The plainest way to compute what the kernels and their twins compute.

use murakkab::run::kernels::Shape;
use murakkab::run::kernels::scenes::{BINS, FEATURES, GRID};

/// Counts of colours and edges of one picture.
pub fn features(picture: &[u8], shape: Shape) -> Vec<u32> {
    let (width, height) = (shape.width as i64, shape.height as i64);
    let pixel = |x: i64, y: i64| -> [i64; 3] {
        std::array::from_fn(|c| i64::from(picture[((y * width + x) * 3) as usize + c]))
    };
    let light = |x: i64, y: i64| {
        let [r, g, b] = pixel(x, y);
        (77 * r + 150 * g + 29 * b + 128) / 256
    };
    let mut counts = vec![0; FEATURES];
    for y in 0..height {
        for x in 0..width {
            let [r, g, b] = pixel(x, y).map(|v| v / 32);
            counts[(r * 64 + g * 8 + b) as usize] += 1;
            if x == 0 || y == 0 || x == width - 1 || y == height - 1 {
                continue;
            }
            let (mut across, mut down) = (0, 0);
            for (k, weight) in [(-1, 1), (0, 2), (1, 1)] {
                across += weight * (light(x + 1, y + k) - light(x - 1, y + k));
                down += weight * (light(x + k, y + 1) - light(x + k, y - 1));
            }
            if across.abs() + down.abs() > 128 {
                let grid = GRID as i64;
                counts[BINS + (y * grid / height * grid + x * grid / width) as usize] += 1;
            }
        }
    }
    counts
}

/// Every pixel the mean of what it covers, by every source pixel's share in it.
pub fn resized(picture: &[u8], from: Shape, to: Shape) -> Vec<u8> {
    let covered = |position: u32, source: u32, from: u32, to: u32| {
        let (begin, end) = (position * from, (position + 1) * from);
        u64::from(((source + 1) * to).min(end).saturating_sub((source * to).max(begin)))
    };
    let mut out = Vec::new();
    for y in 0..to.height {
        for x in 0..to.width {
            for c in 0..3 {
                let mut sum = 0;
                for v in 0..from.height {
                    for u in 0..from.width {
                        let share = covered(x, u, from.width, to.width) * covered(y, v, from.height, to.height);
                        sum += share * u64::from(picture[((v * from.width + u) * 3 + c) as usize]);
                    }
                }
                let area = from.pixels() as u64;
                out.push(((2 * sum + area) / (2 * area)) as u8);
            }
        }
    }
    out
}

/// Cosines with a query, in double precision.
pub fn cosines(values: &[f32], query: &[f32]) -> Vec<f64> {
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    values
        .chunks_exact(query.len())
        .map(|row| {
            let length = (product(row, row) * product(query, query)).sqrt();
            if length > 0.0 { product(row, query) / length } else { 0.0 }
        })
        .collect()
}
