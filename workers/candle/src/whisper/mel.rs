//! Samples -> the log-mel spectrogram that Whisper was trained on.
//!
//! A Hann window of 400 samples every 160, the recording mirrored by 200 at its start (and followed by a window of silence, as OpenAI's
//! code has it), powers of 201 frequencies, Slaney's mel scale with areas of one, log10, at most 8 below the loudest, scaled to about -1 to 1.
//! In 64 bits: with 32 the quiet bins of a loud frame lose their second digit.

use crate::failure::Failure;
use candle_core::{DType, Device, Tensor};
use std::f64::consts::PI;

/// Samples between two frames.
pub const HOP: usize = 160;
const WINDOW: usize = 400;
const BINS: usize = WINDOW / 2 + 1;
const HIGHEST_HZ: f64 = 8000.0;
/// Frames that are computed at once.
const CHUNK: usize = 3000;

/// What a spectrogram is computed with.
pub struct Mel {
    bands: usize,
    /// Window times cosine, and window times sine, side by side: `[400, 402]`.
    waves: Tensor,
    /// `[201, bands]`.
    filters: Tensor,
}

/// A spectrogram, followed by silence.
pub struct Spectrogram {
    bands: usize,
    frames: usize,
    /// Frame after frame.
    values: Vec<f32>,
}

impl Mel {
    /// For so many bands (80, or 128 from large-v3 on).
    pub fn new(bands: usize) -> Result<Mel, Failure> {
        let wave = |sample: usize, bin: usize| {
            let window = 0.5 - 0.5 * (2.0 * PI * sample as f64 / WINDOW as f64).cos();
            // The angle is periodic: reduced, its cosine is exact to the last bit.
            let angle = 2.0 * PI * ((sample * (bin % BINS)) % WINDOW) as f64 / WINDOW as f64;
            window * if bin < BINS { angle.cos() } else { angle.sin() }
        };
        let waves: Vec<f64> = (0..WINDOW).flat_map(|s| (0..2 * BINS).map(move |b| wave(s, b))).collect();
        let waves = Tensor::from_vec(waves, (WINDOW, 2 * BINS), &Device::Cpu)?;
        let filters = Tensor::from_vec(filters(bands), (BINS, bands), &Device::Cpu)?;
        Ok(Mel { bands, waves, filters })
    }

    /// The spectrogram of a recording, followed by so many frames of silence.
    pub fn of(&self, samples: &[f32], silence: usize) -> Result<Spectrogram, Failure> {
        let frames = samples.len() / HOP + silence;
        let at = |i: isize| {
            let mirrored = i.unsigned_abs();
            samples.get(mirrored).map_or(0.0, |s| f64::from(*s))
        };
        let mut values = Vec::with_capacity(frames * self.bands);
        for first in (0..frames).step_by(CHUNK) {
            let count = CHUNK.min(frames - first);
            let start = |frame: usize| (frame * HOP) as isize - (WINDOW / 2) as isize;
            let cut = (first..first + count).flat_map(|f| (0..WINDOW as isize).map(move |i| start(f) + i)).map(at);
            let cut = Tensor::from_iter(cut, &Device::Cpu)?.reshape((count, WINDOW))?;
            let waves = cut.matmul(&self.waves)?.sqr()?;
            let powers = (waves.narrow(1, 0, BINS)? + waves.narrow(1, BINS, BINS)?)?;
            let mel = powers.contiguous()?.matmul(&self.filters)?;
            values.extend(mel.flatten_all()?.to_vec1::<f64>()?.into_iter().map(|v| v.max(1e-10).log10() as f32));
        }
        let loudest = values.iter().copied().fold(f32::MIN, f32::max);
        values.iter_mut().for_each(|v| *v = (v.max(loudest - 8.0) + 4.0) / 4.0);
        Ok(Spectrogram { bands: self.bands, frames, values })
    }
}

impl Spectrogram {
    /// `[1, bands, frames]` from a frame on.
    pub fn window(&self, from: usize, frames: usize, dtype: DType, device: &Device) -> Result<Tensor, Failure> {
        let end = (from + frames).min(self.frames);
        let values = self.values[from * self.bands..end * self.bands].to_vec();
        let there = Tensor::from_vec(values, (end - from, self.bands), &Device::Cpu)?;
        Ok(there.t()?.unsqueeze(0)?.contiguous()?.to_dtype(dtype)?.to_device(device)?)
    }
}

/// Triangles over frequencies, `[201, bands]` row by row.
fn filters(bands: usize) -> Vec<f64> {
    let top = to_mel(HIGHEST_HZ);
    let corners: Vec<f64> = (0..bands + 2).map(|i| to_hz(top * i as f64 / (bands + 1) as f64)).collect();
    let weight = |bin: usize, band: usize| {
        let hz = HIGHEST_HZ * bin as f64 / (BINS - 1) as f64;
        let [low, mid, high] = [corners[band], corners[band + 1], corners[band + 2]];
        let (rise, fall) = ((hz - low) / (mid - low), (high - hz) / (high - mid));
        rise.min(fall).max(0.0) * 2.0 / (high - low)
    };
    (0..BINS).flat_map(|bin| (0..bands).map(move |band| (bin, band))).map(|(bin, band)| weight(bin, band)).collect()
}

/// Slaney's scale: even steps up to 1000 Hz, even ratios above.
const LINEAR_HZ: f64 = 1000.0;
const LINEAR_MEL: f64 = 15.0;

fn step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn to_mel(hz: f64) -> f64 {
    if hz < LINEAR_HZ { hz * 3.0 / 200.0 } else { LINEAR_MEL + (hz / LINEAR_HZ).ln() / step() }
}

fn to_hz(mel: f64) -> f64 {
    if mel < LINEAR_MEL { mel * 200.0 / 3.0 } else { LINEAR_HZ * ((mel - LINEAR_MEL) * step()).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_goes_there_and_back() {
        for hz in [0.0, 440.0, 999.0, 1000.0, 1001.0, 8000.0] {
            assert!((to_hz(to_mel(hz)) - hz).abs() < 1e-9, "{hz}");
        }
    }

    #[test]
    fn a_recording_is_followed_by_silence() {
        let mel = Mel::new(80).expect("tables");
        let spectrogram = mel.of(&[0.5; 1600], 3000).expect("a spectrogram");
        let window = |from: usize| spectrogram.window(from, 3000, DType::F32, &Device::Cpu).expect("a window");
        assert_eq!(window(10).dims(), [1, 80, 3000]);
        assert_eq!(window(3000).dims(), [1, 80, 10]);
        let last = window(3009).flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("numbers");
        let loudest = window(0).max_all().and_then(|t| t.to_scalar::<f32>()).expect("a number");
        // 8 powers of ten below the loudest, where there is nothing.
        assert!(last.iter().all(|v| (v - (loudest - 2.0)).abs() < 1e-6));
    }
}
