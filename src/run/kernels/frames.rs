//! Pictures -> smaller ones, and whether two show the same.

use super::{Place, Shape, gpu, shared};
use crate::run::fault::Fault;

/// Pictures are compared at so many by so many pixels.
pub const SIDE: u32 = 16;

/// Pictures of one shape brought to another.
pub fn at(place: &Place, pictures: &[&[u8]], from: Shape, to: Shape) -> Result<Vec<Vec<u8>>, Fault> {
    match place {
        Place::Cpu { threads } => Ok(shared(pictures, *threads, |picture| resized(picture, from, to))),
        Place::Gpu { kind } => gpu::frames::resized(&*gpu::open(kind)?, pictures, from, to),
    }
}

/// A picture brought to another size: every pixel is the mean of the area it covers, rounded. The twin of `resize_area`.
pub fn resized(picture: &[u8], from: Shape, to: Shape) -> Vec<u8> {
    let (columns, rows) = (Spans::new(from.width, to.width), Spans::new(from.height, to.height));
    let area = from.pixels() as u64;
    let width = from.width as usize * 3;
    let mut out = Vec::with_capacity(to.bytes());
    // A source row is narrowed once for each row of the result that it is part of, at most twice when shrinking.
    let mut narrow = vec![0_u32; to.width as usize * 3];
    let mut sums = vec![0_u64; narrow.len()];
    for y in 0..to.height {
        sums.fill(0);
        for (source, high) in rows.of(y) {
            narrowed(&picture[source * width..][..width], &columns, &mut narrow);
            sums.iter_mut().zip(&narrow).for_each(|(sum, part)| *sum += u64::from(high) * u64::from(*part));
        }
        out.extend(sums.iter().map(|sum| ((sum + area / 2) / area) as u8));
    }
    out
}

fn narrowed(row: &[u8], columns: &Spans, narrow: &mut [u32]) {
    for (x, out) in (0..).zip(narrow.chunks_exact_mut(3)) {
        let mut sums = [0_u32; 3];
        for (source, wide) in columns.of(x) {
            let pixel = &row[source * 3..][..3];
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += wide * u32::from(*value));
        }
        out.copy_from_slice(&sums);
    }
}

/// Which pixels of a line each pixel of a resized line covers, and how much of each, in parts of a source pixel.
struct Spans {
    from: u32,
    to: u32,
}

impl Spans {
    fn new(from: u32, to: u32) -> Spans {
        Spans { from, to: to.max(1) }
    }

    fn of(&self, position: u32) -> impl Iterator<Item = (usize, u32)> + use<> {
        let (begin, end, part) = (position * self.from, (position + 1) * self.from, self.to);
        (begin / part..end.div_ceil(part)).map(move |i| {
            let covered = ((i + 1) * part).min(end) - (i * part).max(begin);
            (i as usize, covered)
        })
    }
}

/// What a picture of [`SIDE`] by [`SIDE`] pixels is compared by: its lightness, brought to mean 0 and length 1, so that neither brightness
/// nor contrast counts. A picture of one colour has length 0.
pub fn normalised(picture: &[u8]) -> Vec<f32> {
    let light: Vec<f32> = picture
        .chunks_exact(3)
        .map(|p| (77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2])) as f32)
        .collect();
    let mean = light.iter().sum::<f32>() / light.len().max(1) as f32;
    let length = light.iter().map(|l| (l - mean) * (l - mean)).sum::<f32>().sqrt();
    light.iter().map(|l| if length > 0.0 { (l - mean) / length } else { 0.0 }).collect()
}

/// How alike two pictures are by what [`normalised`] says of them, from -1 to 1. Two of one colour each are alike.
pub fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let plain = |v: &[f32]| v.iter().all(|x| *x == 0.0);
    if plain(a) && plain(b) { 1.0 } else { a.iter().zip(b).map(|(x, y)| x * y).sum() }
}
