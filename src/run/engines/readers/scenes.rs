//! What ffmpeg cut out of a video (`000000.png`… at a fixed rate, `cuts.txt`, `audio.wav`) -> frames by scene, and the sound.

use super::{Reading, habits};
use crate::run::fault::{Fault, FaultKind};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The record `{frames, audio}`: `frames` (a setting) pictures of each scene, evenly spread over it. A video without sound has an
/// audio whose file is null; only a step that needs it fails.
pub fn ffmpeg_scenes(reading: &Reading<'_>) -> Result<Value, Fault> {
    let each = reading.number("frames", 1.0)?.clamp(1.0, 1000.0) as usize;
    let rate = habits::rate(reading.options)?;
    let pictures = pictures(reading.out);
    if pictures.is_empty() {
        return Err(reading.unread("ffmpeg found no picture in the video"));
    }
    let video = reading.args.values().find(|v| v.get("file").is_some_and(Value::is_string));
    let video = video.map_or(&Value::Null, AsRef::as_ref);
    let last = pictures.len() as f64 / rate;
    let duration = video["duration"].as_f64().unwrap_or(last);
    let audio = audio(reading.out, video);
    let read = audio["duration"].as_f64().unwrap_or(0.0).max(last);
    if broken_off(read, duration, rate) {
        let why = format!("the video breaks off: {read:.0} s of {duration:.0} s can be read");
        // Nobody else reads more of it.
        let fault = Fault { kind: FaultKind::Input, ..reading.unread(&why) };
        return Err(fault.help("give the whole file: a download or a copy of it was not finished"));
    }
    let mut starts = vec![0.0];
    if reading.options.contains_key("window") {
        // No scenes were looked for: windows of so many seconds stand in for them.
        let window = reading.number("window", 15.0)?.max(1.0);
        starts.extend((1..100_000).map(|i| f64::from(i) * window).take_while(|t| *t < duration));
    } else {
        starts.extend(cuts(&reading.file("cuts.txt")?).into_iter().filter(|t| *t > 0.0 && *t < duration));
    }
    let mut scenes = Vec::new();
    let mut frames = Vec::new();
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(duration.max(start));
        scenes.push(json!({"start": start, "end": end}));
        let times = (0..pictures.len()).map(|n| (n, n as f64 / rate));
        // A time that falls just short of an edge by rounding belongs behind it.
        let inside: Vec<(usize, f64)> = times.filter(|(_, t)| (start..end).contains(&(t + 1e-6))).collect();
        for n in thin(&inside, start, end, each) {
            frames.push(json!({"file": pictures[n], "time": n as f64 / rate, "scene": i}));
        }
    }
    // A video shorter than one step of the rate has its single picture at 0.
    if frames.is_empty() {
        frames.push(json!({"file": pictures[0], "time": 0.0, "scene": 0}));
    }
    tidy(&pictures, &frames);
    let count = frames.len();
    let mut value = json!({"frames": frames, "count": count, "scenes": scenes});
    if let Some(pixels) = pixels(&pictures_kept(&value)) {
        value["pixels"] = json!(pixels);
    }
    Ok(json!({"frames": value, "audio": audio}))
}

fn pictures(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(Result::ok).map(|e| e.path());
    let mut paths: Vec<PathBuf> = paths.filter(|p| p.extension().is_some_and(|e| e == "png")).collect();
    paths.sort();
    paths
}

/// At most so many of the pictures with these times: of as many equal parts of the scene, the picture nearest to the middle of each.
/// One picture is then the middle of its scene, and not its first, which may still show the cut.
fn thin(inside: &[(usize, f64)], start: f64, end: f64, most: usize) -> Vec<usize> {
    if inside.len() <= most {
        return inside.iter().map(|(n, _)| *n).collect();
    }
    let middle = |part: usize| start + (part as f64 + 0.5) * (end - start) / most as f64;
    let nearest = |at: f64| inside.iter().min_by(|a, b| (a.1 - at).abs().total_cmp(&(b.1 - at).abs())).map(|(n, _)| *n);
    let mut kept: Vec<usize> = (0..most).filter_map(|part| nearest(middle(part))).collect();
    kept.dedup();
    kept
}

/// Whether what was read of a video is less than it says to have. Pictures are `1 / rate` apart, and no stream need be as long as the
/// longest.
fn broken_off(read_s: f64, duration_s: f64, rate: f64) -> bool {
    read_s + 1.0 / rate + 1.0 < 0.9 * duration_s
}

/// The times of the cuts, from ffmpeg's `metadata=print`.
pub fn cuts(text: &str) -> Vec<f64> {
    let times = text.lines().filter_map(|l| l.split("pts_time:").nth(1)?.trim().parse::<f64>().ok());
    let mut times: Vec<f64> = times.filter(|t| t.is_finite()).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    times
}

/// Removes pictures that were not chosen: at two a second they would fill a disk.
fn tidy(pictures: &[PathBuf], frames: &[Value]) {
    for picture in pictures {
        if !frames.iter().any(|f| f["file"].as_str() == picture.to_str()) {
            // One that stays costs space and nothing else.
            let _ = std::fs::remove_file(picture);
        }
    }
}

fn pictures_kept(frames: &Value) -> PathBuf {
    PathBuf::from(frames["frames"][0]["file"].as_str().unwrap_or_default())
}

/// Width times height of a PNG, from its first 24 bytes.
fn pixels(file: &Path) -> Option<u64> {
    let mut start = [0; 24];
    File::open(file).ok()?.read_exact(&mut start).ok()?;
    let side = |at: usize| Some(u64::from(u32::from_be_bytes(start.get(at..at + 4)?.try_into().ok()?)));
    side(16)?.checked_mul(side(20)?)
}

fn audio(out: &Path, video: &Value) -> Value {
    let file = out.join("audio.wav");
    // A WAV file without samples is its header of 44 to 78 bytes.
    let size = std::fs::metadata(&file).map_or(0, |m| m.len());
    if size <= 78 {
        return json!({"file": null, "of": video["file"], "duration": 0.0});
    }
    // 16 bits, 16 kHz, one channel: 32,000 bytes a second.
    json!({"file": file, "of": video["file"], "duration": size.saturating_sub(44) as f64 / 32_000.0})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_and_the_middles_of_scenes() {
        let text = "frame:0    pts:147456  pts_time:12\nlavfi.scene_score=0.409744\nframe:1    pts:294912  pts_time:24.5\nrubbish\n";
        assert_eq!(cuts(text), [12.0, 24.5]);
        let times: Vec<(usize, f64)> = (0..6).map(|n| (n, n as f64)).collect();
        assert_eq!(thin(&times, 0.0, 6.0, 1), [3]);
        assert_eq!(thin(&times, 0.0, 6.0, 2), [1, 4]);
        assert_eq!(thin(&times[..1], 0.0, 1.0, 5), [0]);
    }

    #[test]
    fn a_video_that_breaks_off_is_told_from_one_that_ends() {
        for (read, duration, rate, broken) in
            [(1.0, 60.0, 1.0, true), (52.0, 60.0, 1.0, false), (45.0, 60.0, 1.0 / 15.0, false), (1.0, 3.0, 1.0, false)]
        {
            assert_eq!(broken_off(read, duration, rate), broken, "{read} s of {duration} s");
        }
    }
}
