//! A video -> frames by scene, and the sound: ffmpeg decodes, cuts are found here by colours and edges, on a CPU or a GPU.

use super::Call;
use crate::run::engines::arguments::file;
use crate::run::engines::child::{Command, Limits, piped};
use crate::run::engines::readers::{Reading, habits, scenes};
use crate::run::fault::Fault;
use crate::run::kernels::scenes::{count, cuts, difference};
use crate::run::kernels::{Place, Shape};
use crate::run::store;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The function's name in a library.
pub const NAME: &str = "histogram_scenes";
/// Frames a second that are compared: a cut is found to half of their distance.
const RATE: f64 = 12.5;
/// The size at which frames are compared; the settings `width` and `height` say another.
const SHAPE: (f64, f64) = (320.0, 180.0);

/// `video` -> `{frames, audio}`, as the reader of ffmpeg's own scenes has it.
pub async fn call(
    call: &Call<'_>,
    options: &BTreeMap<String, String>,
    place: Place,
    out: &Path,
) -> Result<Value, Fault> {
    let reading = Reading { out, captured: &[], options, args: &call.args, ty: &call.step.output };
    let side = |name: &str, otherwise: f64| Ok::<_, Fault>(reading.number(name, otherwise)?.clamp(16.0, 8192.0) as u32);
    let shape = Shape { width: side("width", SHAPE.0)?, height: side("height", SHAPE.1)? };
    let none = || Fault::plan("no parameter `video`");
    let video = file("video", call.args.get("video").ok_or_else(none)?)?;
    let units = match place {
        Place::Cpu { threads } => threads as u32,
        // Decoding needs cores as well; how many is in no plan.
        Place::Gpu { .. } => crate::run::devices::cpu::cores(),
    };
    let mut argv = command(&video, shape, habits::rate(options)?, units);
    habits::shorten("ffmpeg_scenes", &mut argv, &call.args);
    let command = Command { argv: &argv, folder: out, env: call.cx.env, threads: 1, limits: Limits::default() };
    let (differences, done) = piped(command, move |mut frames| differences(&place, shape, &mut frames)).await?;
    call.used(|u| u.peak_bytes = u.peak_bytes.max(done.peak));
    done.good("ffmpeg")?;
    // A cut lies between two frames that were compared.
    let times = cuts(&differences, RATE).into_iter().map(|i| format!("pts_time:{}\n", (i as f64 - 0.5) / RATE));
    store::write(&out.join("cuts.txt"), times.collect::<String>().as_bytes())?;
    scenes::ffmpeg_scenes(&reading)
}

/// How much each frame differs from the one before.
fn differences(place: &Place, shape: Shape, frames: &mut dyn std::io::Read) -> Result<Vec<f64>, Fault> {
    let mut found = Vec::new();
    let mut last: Option<Vec<u32>> = None;
    count(place, shape, frames, &mut |counts| {
        found.extend(last.as_ref().map(|last| difference(last, counts)));
        last = Some(counts.to_vec());
    })?;
    Ok(found)
}

/// One decoding for all: frames to compare, frames at the rate that is asked for, sound for speech.
fn command(video: &str, shape: Shape, rate: f64, units: u32) -> Vec<String> {
    let Shape { width, height } = shape;
    let units = units.to_string();
    let graph = format!(
        "[0:v:0]split=2[s][f];[s]fps={RATE}:start_time=0:round=up,scale={width}:{height}:flags=area,format=rgb24[raw];\
         [f]fps={rate}:start_time=0:round=up,scale='min(640,iw)':-2[frames]"
    );
    let quiet = ["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-y"];
    let input = ["-threads", &units, "-filter_complex_threads", &units, "-i", video, "-filter_complex", &graph];
    let raw = ["-map", "[raw]", "-f", "rawvideo", "pipe:1"];
    let frames = ["-map", "[frames]", "-c:v", "png", "-compression_level", "1", "-threads", &units];
    let files = ["-f", "image2", "-start_number", "0", "%06d.png"];
    let sound = ["-map", "0:a:0", "-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", "audio.wav"];
    [&quiet[..], &input, &raw, &frames, &files, &sound].concat().into_iter().map(str::to_owned).collect()
}
