//! Real media through ffmpeg; where it is not installed the tests say so and pass.

use super::samples::{Diary, call, environment, go, plan, process, step, value};
use crate::ir::workflow::{Node, Op, Operand, StepId, ValueId};
use crate::plan::model::Engine;
use crate::run::fault::{Fault, FaultKind};
use crate::run::input::parse_input;
use crate::run::probe::measure;
use crate::run::report::table;
use crate::run::{block_on, value};
use crate::types::Type;
use serde_json::{Value, json};
use std::path::Path;

/// Makes a file with ffmpeg; none where there is no ffmpeg.
fn make(folder: &Path, name: &str, arguments: &[&str]) -> Option<String> {
    let path = folder.join(name);
    let made = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .arg(&path)
        .status();
    match made {
        Ok(status) if status.success() => Some(path.to_string_lossy().into_owned()),
        other => {
            eprintln!("skipped: ffmpeg cannot make {name}: {other:?}");
            None
        }
    }
}

const PICTURES: [&str; 4] = ["-f", "lavfi", "-i", "testsrc=d=2:s=160x90:r=10"];
const SOUND: [&str; 4] = ["-f", "lavfi", "-i", "sine=d=2:r=16000"];

fn measured(path: &str, ty: &Type) -> Result<Value, Fault> {
    let mut medium = parse_input(&[path.to_owned()], ty)?;
    block_on(measure(&mut medium, ty, &environment)).expect("a runtime")?;
    Ok(medium)
}

#[test]
fn media_are_measured_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(film) = make(folder.path(), "a film.mp4", &[PICTURES, SOUND].concat()) else {
        return;
    };
    let Some(sound) = make(folder.path(), "sound.wav", &SOUND) else {
        return;
    };
    let video = measured(&film, &Type::Video).expect("a video");
    assert_eq!((&video["pixels"], &video["has_audio"]), (&json!(14400), &json!(true)));
    assert!(value::sizes(&video, &Type::Video)["duration"] > 1.9);
    assert!(measured(&sound, &Type::Audio).is_ok());
    assert!(measured(&sound, &Type::Video).expect_err("no pictures").message.ends_with("holds no pictures"));
    let text = folder.path().join("text.mp4");
    std::fs::write(&text, "this is no video").expect("write");
    let fault = measured(&text.to_string_lossy(), &Type::Video).expect_err("no video");
    assert_eq!(fault.kind, FaultKind::Input);
    assert!(fault.message.ends_with("is no Video that ffprobe can read"), "{}", fault.message);
    let half = folder.path().join("half.mp4");
    let bytes = std::fs::read(&film).expect("read");
    std::fs::write(&half, &bytes[..bytes.len() / 2]).expect("write");
    assert_eq!(measured(&half.to_string_lossy(), &Type::Video).expect_err("cut off").kind, FaultKind::Input);
    let mut medium = parse_input(&[film], &Type::Video).expect("a file");
    let nowhere = |_: &str| Some("/nonexistent".to_owned());
    let fault = block_on(measure(&mut medium, &Type::Video, &nowhere)).expect("a runtime").expect_err("no ffprobe");
    assert_eq!(fault.help.as_deref(), Some("on Debian and Ubuntu: apt-get install ffmpeg"));
}

/// The commands of the library, as measured.
fn scenes(each: &str) -> Engine {
    let graph = "[0:v:0]split=2[s][f];[s]scale='min(320,iw)':-2,format=gbrp,select='gt(scene,0.3)',\
                 metadata=mode=print:file=cuts.txt[cuts];[f]fps={rate}:start_time=0:round=up,scale='min(640,iw)':-2[frames]";
    let quiet = ["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-loglevel", "error", "-y", "-threads", "{units}"];
    let cut = ["-i", "{x.file}", "-filter_complex", graph, "-map", "[cuts]", "-f", "null", "-"];
    let frames = ["-map", "[frames]", "-c:v", "png", "-f", "image2", "-start_number", "0", "%06d.png"];
    let sound = ["-map", "0:a:0", "-vn", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", "audio.wav"];
    let Engine::Process { commands, reader, mut options } =
        process(&[&[&quiet[..], &cut[..], &frames[..], &sound[..]].concat()], "ffmpeg_scenes")
    else {
        unreachable!("process() makes a process");
    };
    options.insert("frames".into(), each.into());
    Engine::Process { commands, reader, options }
}

fn found(film: &str, folder: &Path) -> Value {
    let output = Type::Record("".into(), vec![("frames".into(), Type::Frames), ("audio".into(), Type::Audio)]);
    let s = step(0, scenes("2"), &[("x", Type::Video)], output.clone());
    let plan = plan(Type::Video, vec![call(0, value(0), 1)], (value(1), output), vec![s]);
    let video = measured(film, &Type::Video).expect("a video");
    go(&plan, video, folder, &Diary::default()).result.expect("scenes")
}

#[test]
fn a_video_becomes_scenes_and_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let colours = "color=c=red:d=3:s=160x90:r=10[r];color=c=blue:d=3:s=160x90:r=10[b];[r][b]concat[out0]";
    let pictures = ["-f", "lavfi", "-i", colours];
    let sound = ["-f", "lavfi", "-i", "sine=d=6:r=16000"];
    let Some(film) = make(folder.path(), "it's a [film], 1:2.mp4", &[pictures, sound].concat()) else {
        return;
    };
    let Some(silent) = make(folder.path(), "silent.mp4", &pictures) else {
        return;
    };
    let value = found(&film, folder.path());
    let times: Vec<&Value> = value["frames"]["frames"].as_array().into_iter().flatten().map(|f| &f["time"]).collect();
    assert_eq!(times, [&json!(1.0), &json!(2.0), &json!(4.0), &json!(5.0)], "{value}");
    assert_eq!(value["frames"]["scenes"], json!([{"start": 0.0, "end": 3.0}, {"start": 3.0, "end": 6.0}]));
    assert_eq!((&value["frames"]["count"], &value["frames"]["pixels"]), (&json!(4), &json!(14400)));
    assert!(value["audio"]["duration"].as_f64().is_some_and(|d| (5.5..6.5).contains(&d)));
    let value = found(&silent, &folder.path().join("silent"));
    assert_eq!((&value["audio"]["file"], &value["audio"]["of"]), (&Value::Null, &json!(silent)));
}

fn record(fields: &[(&str, Type)]) -> Type {
    Type::Record("Observation".into(), fields.iter().map(|(n, t)| ((*n).into(), t.clone())).collect())
}

fn tesseract_frames() -> Engine {
    let negate = [
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-y",
        "-threads",
        "1",
        "-f",
        "concat",
        "-safe",
        "0",
        "-i",
        "{x.concat}",
    ];
    let to = ["-vf", "negate", "-vsync", "passthrough", "-start_number", "0", "-c:v", "pgm", "n%05d.pgm"];
    let read = ["tesseract", "{x.list}", "stdout", "--psm", "11", "-c", "thresholding_method=2", "tsv"];
    let Engine::Process { commands, reader, mut options } =
        process(&[&[&negate[..], &to[..]].concat(), &read], "tesseract_frames")
    else {
        unreachable!("process() makes a process");
    };
    options.insert("passes".into(), "2".into());
    Engine::Process { commands, reader, options }
}

fn pocketsphinx() -> Engine {
    let listen = ["pocketsphinx_continuous", "-infile", "{x.file}", "-time", "yes", "-logfn", "log.txt"];
    process(&[&[&listen[..], &["-fwdflat", "no", "-bestpath", "no"]].concat()], "pocketsphinx")
}

/// The whole lowest tier over the example film: half a minute of computing, so only where MKBC_MEDIA names the folder of
/// `examples/media/make.sh`.
#[test]
fn the_offline_tier_names_the_person_in_the_red_dress() {
    let Ok(media) = std::env::var("MKBC_MEDIA") else {
        return eprintln!("skipped: MKBC_MEDIA is not set");
    };
    let scene = Type::Record("".into(), vec![("frames".into(), Type::Frames), ("audio".into(), Type::Audio)]);
    let observations =
        Type::List(Box::new(record(&[("time", Type::Float), ("text", Type::Text), ("score", Type::Float)])));
    let bm25 = Engine::Builtin { function: "bm25_answer".into(), options: Default::default() };
    let steps = vec![
        step(0, scenes("10"), &[("x", Type::Video)], scene),
        step(1, pocketsphinx(), &[("x", Type::Audio)], Type::Transcript),
        step(2, tesseract_frames(), &[("x", Type::Frames)], observations.clone()),
        step(
            3,
            bm25,
            &[("question", Type::Text), ("transcript", Type::Transcript), ("observations", observations)],
            Type::Text,
        ),
    ];
    let field = |name: &str, output| Node::Compute {
        op: Op::Field(name.into()),
        args: vec![value(1)],
        output: ValueId(output),
    };
    let question = Operand::Literal(json!("What is the name of the person wearing the red dress?"));
    let args = vec![("question".into(), question), ("transcript".into(), value(4)), ("observations".into(), value(5))];
    let answer = Node::Call { step: StepId(3), args, output: ValueId(6) };
    let nodes = vec![
        call(0, value(0), 1),
        field("audio", 2),
        field("frames", 3),
        call(1, value(2), 4),
        call(2, value(3), 5),
        answer,
    ];
    let plan = plan(Type::Video, nodes, (value(6), Type::Text), steps);
    let folder = tempfile::tempdir().expect("a folder");
    let video = measured(&format!("{media}/road_trip.mp4"), &Type::Video).expect("a video");
    let report = go(&plan, video, folder.path(), &Diary::default());
    let said = report.result.clone().expect("an answer");
    eprintln!("{said}\n{}", table(&plan, &report));
    assert!(said.as_str().is_some_and(|s| s.to_lowercase().contains("maria")), "{said}");
}

#[test]
fn a_scanned_letter_is_read() {
    let Ok(media) = std::env::var("MKBC_MEDIA") else {
        return eprintln!("skipped: MKBC_MEDIA is not set");
    };
    let draw = ["pdftoppm", "-r", "150", "-gray", "-png", "{x.file}", "page"];
    let read = ["tesseract", "{x.pages}", "stdout", "--psm", "6", "tsv"];
    let pages = Type::List(Box::new(record(&[("page", Type::Int), ("text", Type::Text)])));
    let s = step(0, process(&[&draw, &read], "tesseract_pages"), &[("x", Type::Document)], pages.clone());
    let plan = plan(Type::Document, vec![call(0, value(0), 1)], (value(1), pages), vec![s]);
    for file in ["letter.pdf", "letter.png"] {
        let document = measured(&format!("{media}/{file}"), &Type::Document).expect("a document");
        assert_eq!(document["pages"], json!(1));
        let folder = tempfile::tempdir().expect("a folder");
        let text = go(&plan, document, folder.path(), &Diary::default()).result.expect("pages")[0]["text"].clone();
        assert!(text.as_str().is_some_and(|t| t.contains("Invoice number: 2047")), "{text}");
    }
}
