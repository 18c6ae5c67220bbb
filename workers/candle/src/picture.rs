//! A picture file -> the numbers that CLIP wants: the shorter edge to its size, the middle cut out, mean and deviation taken.
//!
//! Resizing is Pillow's bicubic filter to the last bit (fixed point, first along rows, then along columns), since that is what the models
//! were trained and measured with; others differ by a step or two of 255, which shows in an embedding's third digit.

use crate::failure::Failure;
use image::{ImageReader, Limits};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Edges of a picture, most.
const MOST_EDGE: u32 = 16384;
/// Bytes that decoding may take.
const MOST_BYTES: u64 = 1 << 30;
/// Bits behind the point of Pillow's coefficients.
const PRECISION: u32 = 32 - 8 - 2;

/// Rows of pixels, three bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` bytes: red, green, blue.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// Reads a PNG or JPEG file.
    pub fn read(path: &Path) -> Result<Picture, Failure> {
        let failed = |e: String| Failure::input(format!("the picture `{}` cannot be read: {e}", path.display()));
        let mut reader =
            ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|e| failed(e.to_string()))?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(MOST_EDGE);
        limits.max_image_height = Some(MOST_EDGE);
        limits.max_alloc = Some(MOST_BYTES);
        reader.limits(limits);
        let image = reader.decode().map_err(|e| failed(e.to_string()))?.into_rgb8();
        let (width, height) = (image.width() as usize, image.height() as usize);
        if width == 0 || height == 0 {
            return Err(failed("it is empty".to_owned()));
        }
        Ok(Picture { width, height, pixels: image.into_raw() })
    }

    /// The same in another size.
    pub fn resized(&self, width: usize, height: usize) -> Picture {
        let along = Weighted::new(self.width, width);
        let mut rows = vec![0; self.height * width * 3];
        for (from, to) in self.pixels.chunks_exact(self.width * 3).zip(rows.chunks_exact_mut(width * 3)) {
            for (x, pixel) in to.chunks_exact_mut(3).enumerate() {
                for (channel, value) in pixel.iter_mut().enumerate() {
                    *value = along.sum(x, |i| from[i * 3 + channel]);
                }
            }
        }
        let down = Weighted::new(self.height, height);
        let mut pixels = vec![0; height * width * 3];
        for (y, to) in pixels.chunks_exact_mut(width * 3).enumerate() {
            for (column, value) in to.iter_mut().enumerate() {
                *value = down.sum(y, |i| rows[i * width * 3 + column]);
            }
        }
        Picture { width, height, pixels }
    }

    /// The middle of it; what lies beyond its edges is black.
    pub fn middle(&self, width: usize, height: usize) -> Picture {
        let mut pixels = vec![0; height * width * 3];
        // Where the new picture begins in this one; Python's division rounds down, also below 0.
        let top = (self.height as isize - height as isize).div_euclid(2);
        let left = (self.width as isize - width as isize).div_euclid(2);
        for y in 0..height {
            for x in 0..width {
                let (from_y, from_x) = (y as isize + top, x as isize + left);
                if (0..self.height as isize).contains(&from_y) && (0..self.width as isize).contains(&from_x) {
                    let from = (from_y as usize * self.width + from_x as usize) * 3;
                    let to = (y * width + x) * 3;
                    pixels[to..to + 3].copy_from_slice(&self.pixels[from..from + 3]);
                }
            }
        }
        Picture { width, height, pixels }
    }
}

/// For each new pixel, which old ones it is made of, and with which weights.
struct Weighted {
    parts: Vec<(usize, Vec<i32>)>,
}

impl Weighted {
    fn new(from: usize, to: usize) -> Weighted {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let support = 2.0 * stretch;
        let part = |x: usize| {
            let centre = (x as f64 + 0.5) * scale;
            let first = ((centre - support + 0.5) as i64).max(0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..end).map(|i| cubic((i as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |w: &f64| {
                let scaled = w / sum * f64::from(1 << PRECISION);
                (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
            };
            (first, weights.iter().map(fixed).collect())
        };
        Weighted { parts: (0..to).map(part).collect() }
    }

    fn sum(&self, at: usize, old: impl Fn(usize) -> u8) -> u8 {
        let (first, weights) = &self.parts[at];
        let half = 1_i64 << (PRECISION - 1);
        let sum: i64 = weights.iter().enumerate().map(|(i, w)| i64::from(*w) * i64::from(old(first + i))).sum();
        ((sum + half) >> PRECISION).clamp(0, 255) as u8
    }
}

/// Keys' cubic with a = -1/2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// What `preprocessor_config.json` says.
#[derive(Clone, Debug, PartialEq)]
pub struct Preparation {
    shortest: usize,
    width: usize,
    height: usize,
    mean: [f32; 3],
    deviation: [f32; 3],
}

#[derive(Deserialize)]
struct Given {
    size: Value,
    crop_size: Value,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    #[serde(default = "bicubic")]
    resample: u32,
}

fn bicubic() -> u32 {
    3
}

impl Preparation {
    /// Reads it.
    pub fn of(given: Value) -> Result<Preparation, Failure> {
        let unclear = || Failure::weights("`preprocessor_config.json` is of a kind that is not known");
        let given: Given = serde_json::from_value(given).map_err(|_| unclear())?;
        let edge = |value: &Value, name: &str| {
            value.as_u64().or_else(|| value[name].as_u64()).filter(|n| (1..=4096).contains(n))
        };
        if given.resample != bicubic() {
            return Err(Failure::weights("the weights want pictures resized by another filter than the bicubic one"));
        }
        Ok(Preparation {
            shortest: edge(&given.size, "shortest_edge").ok_or_else(unclear)? as usize,
            width: edge(&given.crop_size, "width").ok_or_else(unclear)? as usize,
            height: edge(&given.crop_size, "height").ok_or_else(unclear)? as usize,
            mean: given.image_mean,
            deviation: given.image_std,
        })
    }

    /// Rows and columns of what comes out.
    pub fn shape(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// `[3, height, width]` numbers of a picture.
    pub fn prepared(&self, picture: &Picture) -> Vec<f32> {
        let (short, long) = (picture.width.min(picture.height), picture.width.max(picture.height));
        let longer = (self.shortest * long / short).max(1);
        let (width, height) =
            if picture.width <= picture.height { (self.shortest, longer) } else { (longer, self.shortest) };
        let resized = if (width, height) == (picture.width, picture.height) {
            picture.clone()
        } else {
            picture.resized(width, height)
        };
        let cut = resized.middle(self.width, self.height);
        let plane = |channel: usize| {
            let values = cut.pixels.iter().skip(channel).step_by(3);
            values.map(move |v| (f32::from(*v) * (1.0 / 255.0) - self.mean[channel]) / self.deviation[channel])
        };
        (0..3).flat_map(plane).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_cut_out_or_framed_in_black() {
        let picture = Picture { width: 3, height: 1, pixels: vec![1, 1, 1, 2, 2, 2, 3, 3, 3] };
        assert_eq!(picture.middle(1, 1).pixels, [2, 2, 2]);
        assert_eq!(picture.middle(5, 1).pixels, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0]);
    }

    #[test]
    fn one_colour_stays_what_it_is() {
        let picture = Picture { width: 7, height: 5, pixels: [9, 200, 77].repeat(35) };
        assert_eq!(picture.resized(3, 11).pixels, [9, 200, 77].repeat(33));
    }
}
