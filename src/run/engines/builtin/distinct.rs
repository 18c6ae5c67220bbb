//! Frames -> the same at one width at most, without those that show what the frame kept before them shows.

use super::Given;
use crate::run::engines::arguments::file;
use crate::run::fault::Fault;
use crate::run::kernels::frames::{SIDE, at, likeness, normalised};
use crate::run::kernels::{Place, Shape, shared};
use crate::run::picture::Picture;
use serde_json::{Value, json};
use std::path::Path;

/// Its name in `engine builtin`.
pub const NAME: &str = "distinct_frames";
/// Frames that are held in memory at a time.
const AT_ONCE: usize = 32;
/// Pictures that are more alike show the same, unless the setting `likeness` says otherwise.
const ALIKE: f64 = 0.98;
/// The usual width, pixels.
const WIDTH: f64 = 640.0;

/// `frames` -> those that show something new, in their order and with their times and scenes. Frames wider than the setting `width` are
/// made smaller; the others stay the files that they are.
pub fn distinct_frames(given: &Given) -> Result<Value, Fault> {
    let most = given.number("width", WIDTH)?.clamp(f64::from(SIDE), 8192.0) as u32;
    let alike = given.number("likeness", ALIKE)? as f32;
    let whole = given.value("frames");
    let frames = whole["frames"].as_array().map_or(&[][..], Vec::as_slice);
    let threads = match given.place {
        Place::Cpu { threads } => threads,
        // Reading and writing pictures is the CPU's also where a GPU works on them.
        Place::Gpu { .. } => crate::run::devices::cpu::cores() as usize,
    };
    let mut kept: Vec<Value> = Vec::new();
    let mut last: Option<Vec<f32>> = None;
    let mut largest = 0;
    for part in frames.chunks(AT_ONCE) {
        let read = |frame: &Value| Picture::read(Path::new(&file("frames", frame)?));
        let pictures = shared(part, threads, read).into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut new: Vec<(Value, Option<Picture>)> = Vec::new();
        let numbered: Vec<(&Value, Picture)> = part.iter().zip(pictures).collect();
        for group in numbered.chunk_by(|a, b| a.1.shape == b.1.shape) {
            for (frame, smaller, light) in worked(&given.place, group, most)? {
                if last.as_ref().is_some_and(|last| likeness(last, &light) >= alike) {
                    continue;
                }
                last = Some(light);
                largest = largest.max(smaller.as_ref().map_or(group[0].1.shape, |p| p.shape).pixels());
                new.push((frame.clone(), smaller));
            }
        }
        let first = kept.len();
        let numbered: Vec<(usize, (Value, Option<Picture>))> = (first..).zip(new).collect();
        let written = shared(&numbered, threads, |(number, (frame, smaller))| {
            let mut frame = frame.clone();
            if let Some(picture) = smaller {
                let at = given.out.join(format!("{number:06}.png"));
                picture.write(&at)?;
                frame["file"] = json!(at);
            }
            Ok::<_, Fault>(frame)
        });
        kept.extend(written.into_iter().collect::<Result<Vec<_>, _>>()?);
    }
    let mut found = whole.clone();
    found["count"] = json!(kept.len());
    found["frames"] = Value::Array(kept);
    if largest > 0 {
        found["pixels"] = json!(largest);
    }
    Ok(found)
}

/// A frame, its smaller picture where it was too wide, and what it is compared by.
type Worked<'a> = (&'a Value, Option<Picture>, Vec<f32>);

/// Each picture of a group of one shape made smaller, where it is too wide, and what it is compared by.
fn worked<'a>(place: &Place, group: &[(&'a Value, Picture)], most: u32) -> Result<Vec<Worked<'a>>, Fault> {
    let from = group[0].1.shape;
    let whole: Vec<&[u8]> = group.iter().map(|(_, picture)| picture.rgb.as_slice()).collect();
    let to = narrower(from, most);
    let smaller = if to == from { None } else { Some(at(place, &whole, from, to)?) };
    let compared: Vec<&[u8]> = smaller.as_ref().map_or(whole, |s| s.iter().map(Vec::as_slice).collect());
    let light = at(place, &compared, to, Shape { width: SIDE, height: SIDE })?;
    let light: Vec<Vec<f32>> = light.iter().map(|picture| normalised(picture)).collect();
    let mut smaller = smaller.unwrap_or_default().into_iter().map(|rgb| Picture { shape: to, rgb });
    Ok(group.iter().zip(light).map(|((frame, _), light)| (*frame, smaller.next(), light)).collect())
}

/// The shape at most so wide, with the same proportions.
fn narrower(shape: Shape, most: u32) -> Shape {
    if shape.width <= most {
        return shape;
    }
    let height = (u64::from(shape.height) * u64::from(most) + u64::from(shape.width) / 2) / u64::from(shape.width);
    Shape { width: most, height: (height as u32).max(1) }
}
