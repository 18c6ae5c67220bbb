//! A prompt with placeholders, and arguments -> what a model is sent: text, and pictures where the prompt names them.
//!
//! The prompt is read once: braces in what is put in are text.

use super::http::load;
use crate::run::engines::Args;
use crate::run::engines::builtin::passages::clock;
use crate::run::engines::template::{Piece, pieces};
use crate::run::fault::{Fault, FaultKind};
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::Path;

/// Pictures in one request, and bytes of each.
const MOST_PICTURES: usize = 16;
const MOST_BYTES: u64 = 5 << 20;
/// Bytes of all pictures in one request together, as they are sent.
pub const MOST_ALL: usize = 24 << 20;

/// The content of the user's message.
pub async fn content(prompt: &str, args: &Args) -> Result<Value, Fault> {
    let mut text = String::new();
    let mut pictures: Vec<Value> = Vec::new();
    for piece in pieces(prompt) {
        let path = match piece {
            Piece::Text(plain) => {
                text.push_str(plain);
                continue;
            }
            Piece::Slot(path) => path,
        };
        let missing =
            || Fault::plan(format!("the prompt names `{{{}}}`, which the step does not have", path.join(".")));
        let mut value = args.get(path[0]).ok_or_else(missing)?.as_ref();
        for field in &path[1..] {
            value = value.get(*field).ok_or_else(missing)?;
        }
        match files(value) {
            Some(files) => {
                let kept = spread(&files, MOST_PICTURES.saturating_sub(pictures.len()));
                text.push_str(&caption(&kept, files.len()));
                for (file, _) in kept {
                    pictures.push(picture(file).await?);
                }
            }
            None => text.push_str(&readable(value)?),
        }
    }
    if pictures.is_empty() {
        return Ok(Value::from(text));
    }
    let size: usize = pictures.iter().filter_map(|p| p["image_url"]["url"].as_str()).map(str::len).sum();
    if size > MOST_ALL {
        let message = format!("{} pictures of {} MB together are too much for one request", pictures.len(), size >> 20);
        return Err(Fault::new(FaultKind::Input, message).help("choose fewer frames, or a smaller size of frame"));
    }
    pictures.insert(0, json!({"type": "text", "text": text}));
    Ok(Value::Array(pictures))
}

/// The pictures that a value stands for, with their times: frames, or one image.
fn files(value: &Value) -> Option<Vec<(&str, Option<f64>)>> {
    if let Some(frames) = value.get("frames").and_then(Value::as_array) {
        return frames
            .iter()
            .map(|f| Some((f.get("file")?.as_str()?, f.get("time").and_then(Value::as_f64))))
            .collect();
    }
    // An image has no duration, a sound or video has; a document has pages.
    let medium = value.as_object()?;
    let is_image = medium.contains_key("file") && !medium.contains_key("duration") && !medium.contains_key("pages");
    is_image.then(|| medium["file"].as_str().map(|file| vec![(file, None)]))?
}

/// A picture of a value that is one, or of what has some in it, and what is said of it: of frames the middle one. None where there
/// is none that can be sent.
pub async fn one_picture(value: &Value) -> Option<(String, Value)> {
    let (file, of) = seen(value)?;
    Some((caption(&[file], of), picture(file.0).await.ok()?))
}

/// One file of the first pictures in a value, and how many they are.
fn seen(value: &Value) -> Option<((&str, Option<f64>), usize)> {
    if let Some(files) = files(value) {
        return files.get(files.len() / 2).map(|file| (*file, files.len()));
    }
    match value {
        Value::Object(fields) => fields.values().find_map(seen),
        Value::Array(items) => items.iter().find_map(seen),
        _ => None,
    }
}

/// So many of the items, evenly spread.
fn spread<'a>(files: &[(&'a str, Option<f64>)], most: usize) -> Vec<(&'a str, Option<f64>)> {
    if files.len() <= most {
        return files.to_vec();
    }
    (0..most).map(|i| files[i * files.len() / most]).collect()
}

fn caption(kept: &[(&str, Option<f64>)], of: usize) -> String {
    let times: Vec<String> = kept.iter().filter_map(|(_, time)| time.map(clock)).collect();
    let times = if times.is_empty() { String::new() } else { format!(", taken at {}", times.join(", ")) };
    let of = if kept.len() < of { format!(" of {of}") } else { String::new() };
    format!("[{}{of} pictures are attached{times}]", kept.len())
}

async fn picture(file: &str) -> Result<Value, Fault> {
    let bytes = load(Path::new(file), MOST_BYTES).await?;
    let kind = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpeg",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        _ => {
            return Err(Fault::new(FaultKind::Input, format!("`{file}` is no PNG, JPEG or WebP picture")));
        }
    };
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    Ok(json!({"type": "image_url", "image_url": {"url": format!("data:image/{kind};base64,{data}")}}))
}

/// A value as a person would write it down.
fn readable(value: &Value) -> Result<String, Fault> {
    if let Some(segments) = value.get("segments").and_then(Value::as_array) {
        let line = |s: &Value| {
            let time = |key: &str| s[key].as_f64().map(clock).unwrap_or_default();
            format!("[{}-{}] {}", time("start"), time("end"), s["text"].as_str().unwrap_or_default().trim())
        };
        let lines: Vec<String> = segments.iter().map(line).collect();
        return Ok(if lines.is_empty() { "(no speech)".to_owned() } else { lines.join("\n") });
    }
    match value {
        Value::Null => Ok("(none)".to_owned()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(items) if items.is_empty() => Ok("(none)".to_owned()),
        Value::Array(items) => {
            let line = |(i, item): (usize, &Value)| Ok(format!("{}. {}", i + 1, readable(item)?));
            Ok(items.iter().enumerate().map(line).collect::<Result<Vec<_>, Fault>>()?.join("\n"))
        }
        Value::Object(o) if o.contains_key("file") => {
            Err(Fault::plan("the prompt names a file that is no picture; models are sent text and pictures"))
        }
        Value::Object(o) => match (o.get("time").and_then(Value::as_f64), o.get("text").and_then(Value::as_str)) {
            (Some(time), Some(text)) => Ok(format!("[{}] {text}", clock(time))),
            _ => Ok(value.to_string()),
        },
        other => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn args(args: Value) -> Args {
        args.as_object().into_iter().flatten().map(|(n, v)| (n.clone(), Arc::new(v.clone()))).collect()
    }

    #[tokio::test]
    async fn data_are_text_and_read_once() {
        let args = args(json!({
            "question": "what is {secret}? {{x}}", "secret": "no",
            "transcript": {"segments": [{"start": 12.0, "end": 15.4, "text": " Hello. "}]},
            "seen": [{"time": 61.0, "text": "EXIT", "score": 0.9}], "none": null}));
        let text = content("Q: {question}\n{transcript}\n{seen}\n{none} {\"a\": 1}", &args).await.expect("content");
        assert_eq!(text, "Q: what is {secret}? {{x}}\n[0:12-0:15] Hello.\n1. [1:01] EXIT\n(none) {\"a\": 1}");
        assert!(content("{nobody}", &args).await.is_err());
    }

    #[tokio::test]
    async fn frames_are_attached_within_bounds() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.png");
        std::fs::write(&file, b"\x89PNG\r\n").expect("write");
        let frames: Vec<Value> = (0..40).map(|i| json!({"file": file, "time": i})).collect();
        let args = args(json!({"frames": {"frames": frames, "count": 40}, "bad": {"file": "/etc/hostname"}}));
        let content_of = content("Look: {frames}.", &args).await.expect("content");
        assert_eq!(content_of.as_array().map(Vec::len), Some(17));
        assert!(
            content_of[0]["text"]
                .as_str()
                .is_some_and(|t| t.starts_with("Look: [16 of 40 pictures are attached, taken at 0:00, 0:02"))
        );
        assert!(
            content_of[1]["image_url"]["url"].as_str().is_some_and(|u| u.starts_with("data:image/png;base64,iVBORw0K"))
        );
        assert!(content("{bad}", &args).await.is_err());
    }
}
