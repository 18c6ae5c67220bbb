//! Media inputs -> the same with their sizes (seconds, pixels, pages, whether there is sound), by ffprobe and pdfinfo.

use super::engines::child::{self, Command, Limits};
use super::fault::{Fault, FaultKind, tail};
use crate::types::Type;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// Environment reader: secrets and settings come by name from here and nowhere else.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Measures the media in a value, in place. What is no medium is left alone.
pub async fn measure(value: &mut Value, ty: &Type, env: Env<'_>) -> Result<(), Fault> {
    match (ty, value) {
        (Type::Optional(_), Value::Null) => Ok(()),
        (Type::Optional(inner), value) => Box::pin(measure(value, inner, env)).await,
        (Type::List(item), Value::Array(items)) => {
            for v in items {
                Box::pin(measure(v, item, env)).await?;
            }
            Ok(())
        }
        (Type::Record(_, fields), Value::Object(object)) => {
            for (name, field) in fields {
                if let Some(v) = object.get_mut(name.as_str()) {
                    Box::pin(measure(v, field, env)).await?;
                }
            }
            Ok(())
        }
        (Type::Video | Type::Audio | Type::Image, Value::Object(medium)) => streams(medium, ty, env).await,
        (Type::Document, Value::Object(medium)) => pages(medium, env).await,
        _ => Ok(()),
    }
}

fn path(medium: &Map<String, Value>) -> Result<String, Fault> {
    let file = medium.get("file").and_then(Value::as_str);
    file.map(str::to_owned).ok_or_else(|| Fault::new(FaultKind::Input, "a medium without a file"))
}

async fn probe(program: &str, arguments: &[&str], file: &str, env: Env<'_>) -> Result<child::Captured, Fault> {
    ask(program, &[arguments, &[file]].concat(), file, env).await
}

/// Runs a program over a file.
async fn ask(program: &str, arguments: &[&str], file: &str, env: Env<'_>) -> Result<child::Captured, Fault> {
    let argv: Vec<String> = [&[program], arguments].concat().into_iter().map(str::to_owned).collect();
    let limits = Limits { output: 4 << 20, ..Limits::default() };
    let folder = std::env::temp_dir();
    let run = child::run(Command { argv: &argv, folder: Path::new(&folder), env, threads: 1, limits });
    match tokio::time::timeout(Duration::from_secs(60), run).await {
        Ok(captured) => captured,
        Err(_) => Err(Fault::new(FaultKind::Timeout, format!("`{program}` took more than 60 s over `{file}`"))),
    }
}

async fn streams(medium: &mut Map<String, Value>, ty: &Type, env: Env<'_>) -> Result<(), Fault> {
    let file = path(medium)?;
    // Only `file`: a playlist that poses as a video must not make ffprobe open network addresses.
    let arguments =
        ["-v", "error", "-protocol_whitelist", "file", "-print_format", "json", "-show_format", "-show_streams"];
    let captured = probe("ffprobe", &arguments, &file, env).await.map_err(|mut fault| {
        if fault.kind == FaultKind::Process {
            fault.kind = FaultKind::Input;
            fault.message = format!("`{file}` is no {ty} that ffprobe can read");
        }
        fault
    })?;
    let about: Value = serde_json::from_slice(&captured.stdout).unwrap_or(Value::Null);
    let unreadable = |why: &str| {
        Fault::new(FaultKind::Input, format!("`{file}` {why}"))
            .detail(tail(&String::from_utf8_lossy(&captured.stderr), 500))
    };
    let streams = about["streams"].as_array().cloned().unwrap_or_default();
    // A cover picture in a sound file is a video stream to ffprobe, and no video.
    let is = |s: &Value, kind: &str| s["codec_type"] == kind && s["disposition"]["attached_pic"] != 1;
    let picture = streams.iter().find(|s| is(s, "video"));
    let sound = streams.iter().any(|s| is(s, "audio"));
    if *ty == Type::Audio && !sound {
        return Err(unreadable("holds no sound"));
    }
    if *ty != Type::Audio && picture.is_none() {
        return Err(unreadable("holds no pictures"));
    }
    // ffprobe reads a PDF or a picture as a film of one frame.
    let format = about["format"]["format_name"].as_str().unwrap_or_default();
    if *ty == Type::Video && (is_pdf(&file) || format == "image2" || format.ends_with("_pipe")) {
        return Err(unreadable("is a picture or a document, and no video"));
    }
    if *ty != Type::Image {
        let number = |v: &Value| v.as_str().and_then(|s| s.parse::<f64>().ok()).filter(|s| s.is_finite() && *s > 0.0);
        let longest = || streams.iter().filter_map(|s| number(&s["duration"])).reduce(f64::max);
        // Some streams do not say how long they are; the plan's assumption stands then.
        if let Some(duration) = number(&about["format"]["duration"]).or_else(longest) {
            medium.insert("duration".to_owned(), json!(duration));
        }
    }
    if *ty == Type::Video {
        medium.insert("has_audio".to_owned(), json!(sound));
    }
    if let Some(picture) = picture.filter(|_| *ty != Type::Audio) {
        let side = |key: &str| picture[key].as_u64().unwrap_or(0);
        medium.insert("pixels".to_owned(), json!(side("width").saturating_mul(side("height"))));
    }
    Ok(())
}

/// Whether a document is a PDF; anything else is a picture of one page.
pub fn is_pdf(file: &str) -> bool {
    begins(file, &[b"%PDF-"])
}

/// Whether a document holds text, and not only pictures of it, on its first pages; `None` where that cannot be told.
pub async fn holds_text(file: &str, env: Env<'_>) -> Option<bool> {
    /// How many pages are looked at: a book is no scan because its cover is one.
    const PAGES: &str = "20";
    if !is_pdf(file) {
        return is_picture(file).then_some(false);
    }
    // A path that begins with a dash is no option, and one that is `-` is a file.
    let path = std::path::absolute(file).ok()?;
    let arguments = ["-q", "-enc", "UTF-8", "-l", PAGES, path.to_str()?, "-"];
    let captured = ask("pdftotext", &arguments, file, env).await.ok()?;
    Some(!String::from_utf8_lossy(&captured.stdout).trim().is_empty())
}

/// Whether a file is a picture of a kind that is read as a page.
fn is_picture(file: &str) -> bool {
    const KINDS: [&[u8]; 10] =
        [b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"RIFF", b"GIF8", b"P4", b"P5", b"P6"];
    begins(file, &KINDS)
}

fn begins(file: &str, kinds: &[&[u8]]) -> bool {
    let mut start = Vec::new();
    let read =
        std::fs::File::open(file).and_then(|f| std::io::Read::read_to_end(&mut std::io::Read::take(f, 8), &mut start));
    read.is_ok() && kinds.iter().any(|kind| start.starts_with(kind))
}

async fn pages(medium: &mut Map<String, Value>, env: Env<'_>) -> Result<(), Fault> {
    let file = path(medium)?;
    if !is_pdf(&file) {
        if !is_picture(&file) {
            let fault = Fault::new(FaultKind::Input, format!("`{file}` is neither a PDF nor a picture of a page"));
            return Err(fault.help("give a PDF, PNG, JPEG, TIFF, BMP, GIF, WebP or PNM file"));
        }
        medium.insert("pages".to_owned(), json!(1));
        return Ok(());
    }
    let captured = probe("pdfinfo", &[], &file, env).await.map_err(|mut fault| {
        if fault.kind == FaultKind::Process {
            fault.kind = FaultKind::Input;
            fault.message = format!("`{file}` is no PDF that pdfinfo can read");
        }
        fault
    })?;
    let text = String::from_utf8_lossy(&captured.stdout);
    let count = text.lines().find_map(|l| l.strip_prefix("Pages:")?.trim().parse::<u64>().ok());
    let count =
        count.ok_or_else(|| Fault::new(FaultKind::Input, format!("`{file}`: pdfinfo names no number of pages")))?;
    medium.insert("pages".to_owned(), json!(count));
    Ok(())
}
