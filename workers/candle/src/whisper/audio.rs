//! A file with sound -> samples at 16 kHz in one channel: WAV at that rate is read here, everything else by FFmpeg.

use crate::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// Samples of a second.
pub const RATE: usize = 16_000;
/// Seconds of a recording, most: 6 hours are 1.4 GB of samples and 0.7 GB of spectrogram.
const MOST_S: usize = 6 * 3600;

/// The samples of a file, from -1 to 1.
pub fn read(path: &Path) -> Result<Vec<f32>, Failure> {
    let failed =
        |e: &dyn std::fmt::Display| Failure::input(format!("the sound `{}` cannot be read: {e}", path.display()));
    let mut head = [0; 12];
    let mut file = File::open(path).map_err(|e| failed(&e))?;
    let wave = file.read_exact(&mut head).is_ok() && &head[..4] == b"RIFF" && &head[8..] == b"WAVE";
    if wave {
        let mut bytes = Vec::new();
        let most = (MOST_S * RATE * 16) as u64;
        file.take(most).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        if let Some(samples) = wav(&bytes) {
            return bounded(samples, path);
        }
    }
    bounded(decoded(path).map_err(|e| failed(&e))?, path)
}

fn bounded(samples: Vec<f32>, path: &Path) -> Result<Vec<f32>, Failure> {
    if samples.len() > MOST_S * RATE {
        return Err(Failure::input(format!(
            "`{}` has more than {} hours of sound: cut it",
            path.display(),
            MOST_S / 3600
        )));
    }
    Ok(samples)
}

/// The chunks of a WAV file behind its head; none unless they are PCM of 16 bits, or floats of 32, at 16 kHz.
fn wav(mut bytes: &[u8]) -> Option<Vec<f32>> {
    let mut format = None;
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let size = u32::from_le_bytes(head[4..].try_into().ok()?) as usize;
        let body = &rest[..size.min(rest.len())];
        match &head[..4] {
            b"fmt " => format = Format::of(body),
            // A file that was written to a pipe says nothing true of its size: all that is there is taken.
            b"data" => return format.filter(|f| f.rate == RATE)?.mixed(body),
            _ => {}
        }
        bytes = rest.get(size + size % 2..)?;
    }
    None
}

struct Format {
    float: bool,
    bits: usize,
    channels: usize,
    rate: usize,
}

impl Format {
    fn of(body: &[u8]) -> Option<Format> {
        let short = |at: usize| Some(u16::from_le_bytes(body.get(at..at + 2)?.try_into().ok()?));
        let rate = u32::from_le_bytes(body.get(4..8)?.try_into().ok()?) as usize;
        // 0xfffe: the real kind stands in the extension.
        let kind = match short(0)? {
            0xfffe => short(24)?,
            kind => kind,
        };
        let format = Format { float: kind == 3, bits: short(14)?.into(), channels: short(2)?.into(), rate };
        let known = matches!((kind, format.bits), (1, 16) | (3, 32)) && (1..=8).contains(&format.channels);
        known.then_some(format)
    }

    /// The mean of all channels.
    fn mixed(&self, body: &[u8]) -> Option<Vec<f32>> {
        let width = self.bits / 8;
        let sample = |b: &[u8]| match self.float {
            true => b.try_into().map_or(0.0, f32::from_le_bytes),
            false => b.try_into().map_or(0.0, |b| f32::from(i16::from_le_bytes(b)) / 32768.0),
        };
        let frames = body.chunks_exact(width * self.channels);
        Some(frames.map(|f| f.chunks_exact(width).map(sample).sum::<f32>() / self.channels as f32).collect())
    }
}

fn decoded(path: &Path) -> Result<Vec<f32>, String> {
    let name = std::path::absolute(path).map_err(|e| e.to_string())?;
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-i"])
        // A name with a colon is no protocol.
        .arg(format!("file:{}", name.display()))
        .args(["-vn", "-ac", "1", "-ar", "16000", "-t"])
        .arg((MOST_S + 1).to_string())
        .args(["-f", "s16le", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("it is no WAV file at 16 kHz, and `ffmpeg` cannot be started: {e}"))?;
    let mut bytes = Vec::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    if !status.success() {
        return Err(format!("ffmpeg {status}"));
    }
    Ok(bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut fmt = Vec::new();
        fmt.extend(kind.to_le_bytes());
        fmt.extend(channels.to_le_bytes());
        fmt.extend(rate.to_le_bytes());
        fmt.extend([0; 6]);
        fmt.extend(bits.to_le_bytes());
        let chunk = |name: &[u8], body: &[u8]| [name, &(body.len() as u32).to_le_bytes(), body].concat();
        [chunk(b"LIST", b"abc\0"), chunk(b"fmt ", &fmt), chunk(b"data", data)].concat()
    }

    #[test]
    fn channels_are_mixed_and_other_formats_left_to_ffmpeg() {
        let stereo: Vec<u8> = [16384_i16, 0, -32768, -32768].iter().flat_map(|s| s.to_le_bytes()).collect();
        assert_eq!(wav(&file(1, 2, 16000, 16, &stereo)), Some(vec![0.25, -1.0]));
        assert_eq!(wav(&file(3, 1, 16000, 32, &0.5_f32.to_le_bytes())), Some(vec![0.5]));
        assert_eq!(wav(&file(1, 1, 44100, 16, &[0, 0])), None);
        assert_eq!(wav(&file(1, 1, 16000, 8, &[0])), None);
        assert_eq!(wav(&file(1, 0, 16000, 16, &[0, 0])), None);
        assert_eq!(wav(b"fmt \xff\xff\xff\xff"), None);
    }
}
