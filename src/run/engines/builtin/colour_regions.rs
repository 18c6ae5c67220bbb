//! Frames -> the colours in each, by share of its pixels. These are colours and not objects, and the text says so.

use super::Given;
use crate::run::fault::Fault;
use crate::run::picture::Picture;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The least share of a picture that is named, percent.
const LEAST: u64 = 3;

/// What every observation of colours begins with, so that nobody takes it for more.
pub const LABEL: &str = "colours, not objects";

/// `frames` and, if given, `looking_for` -> a list of observations `{time, text, score}`; frames that show the same as the one before
/// are left out, as are those without a colour that is looked for.
pub fn colour_regions(given: &Given) -> Result<Value, Fault> {
    let frames = given.value("frames")["frames"].as_array();
    let wanted = asked(given.text("looking_for")?);
    let most = given.number("colours", NAMES.len() as f64)?.clamp(1.0, NAMES.len() as f64) as usize;
    let mut seen: Vec<Value> = Vec::new();
    let mut before = String::new();
    for frame in frames.into_iter().flatten() {
        let file = frame["file"].as_str().unwrap_or_default();
        let shares = shares(file)?;
        let shares: Vec<_> =
            shares.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name)).take(most).collect();
        let Some((_, largest)) = shares.first().copied() else {
            continue;
        };
        let named: Vec<String> = shares.iter().map(|(name, percent)| format!("{name} {percent} %")).collect();
        let text = format!("{LABEL}: {}", named.join(", "));
        if text != before {
            let time = frame.get("time").cloned().unwrap_or(json!(0.0));
            seen.push(json!({"time": time, "text": text, "score": largest as f64 / 100.0}));
            before = text;
        }
    }
    Ok(Value::Array(seen))
}

/// The colours that a text names.
fn asked(looking_for: &str) -> Vec<&'static str> {
    let text = looking_for.to_lowercase().replace("gray", "grey");
    let words: Vec<&str> = text.split(|c: char| !c.is_alphabetic()).collect();
    NAMES.into_iter().filter(|name| words.contains(name)).collect()
}

const NAMES: [&str; 11] =
    ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "white", "grey", "black"];

/// The colours of a PNG and their shares in percent, largest first.
fn shares(file: &str) -> Result<Vec<(&'static str, u64)>, Fault> {
    let picture = Picture::read(Path::new(file))?;
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for pixel in picture.rgb.chunks_exact(3) {
        *counts.entry(name(pixel[0], pixel[1], pixel[2])).or_default() += 1;
    }
    let total = picture.shape.pixels().max(1) as u64;
    let mut shares: Vec<(&'static str, u64)> =
        counts.into_iter().map(|(n, count)| (n, (count * 100 + total / 2) / total)).collect();
    shares.retain(|(_, percent)| *percent >= LEAST);
    shares.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    Ok(shares)
}

/// The everyday name of a colour: by lightness where it is nearly grey, by hue elsewhere.
fn name(r: u8, g: u8, b: u8) -> &'static str {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let chroma = max - min;
    if max < 40 {
        return "black";
    }
    if chroma * 5 < max {
        return match max {
            200.. => "white",
            60.. => "grey",
            _ => "black",
        };
    }
    let hue = match max {
        m if m == r => (60 * (g - b) / chroma).rem_euclid(360),
        m if m == g => 120 + 60 * (b - r) / chroma,
        _ => 240 + 60 * (r - g) / chroma,
    };
    match hue {
        15..=40 => "orange",
        41..=69 => "yellow",
        70..=164 => "green",
        165..=194 => "cyan",
        195..=259 => "blue",
        260..=299 => "purple",
        300..=344 => "pink",
        _ => "red",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::sync::Arc;

    fn picture(at: &std::path::Path, left: [u8; 3], right: [u8; 3]) {
        let mut encoder = png::Encoder::new(File::create(at).expect("a file"), 4, 2);
        encoder.set_color(png::ColorType::Rgb);
        let row = [left, right, right, right].concat();
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&[row.clone(), row].concat()).expect("pixels");
    }

    #[test]
    fn colours_are_named_counted_and_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |i: u32| folder.path().join(format!("{i}.png"));
        picture(&path(0), [220, 20, 20], [10, 10, 200]);
        picture(&path(1), [220, 20, 20], [10, 10, 200]);
        picture(&path(2), [255, 255, 255], [0, 0, 0]);
        let frames: Vec<Value> = (0..3).map(|i| json!({"file": path(i), "time": f64::from(i)})).collect();
        let mut given = Given {
            args: BTreeMap::from([("frames".into(), Arc::new(json!({"frames": frames})))]),
            ..Given::default()
        };
        let seen = colour_regions(&given).expect("colours");
        assert_eq!(seen[0]["text"], "colours, not objects: blue 75 %, red 25 %");
        assert_eq!(
            seen[1],
            json!({"time": 2.0, "text": "colours, not objects: black 75 %, white 25 %", "score": 0.75})
        );
        assert_eq!(seen.as_array().map(Vec::len), Some(2));
        given.args.insert("looking_for".into(), Arc::new(json!("a red dress")));
        assert_eq!(colour_regions(&given).expect("colours")[0]["text"], "colours, not objects: red 25 %");
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        let frames = json!({"frames": [{"file": "/etc/hostname", "time": 0.0}]});
        let given = Given { args: BTreeMap::from([("frames".into(), Arc::new(frames))]), ..Given::default() };
        assert!(colour_regions(&given).is_err());
    }
}
