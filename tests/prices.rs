//! What providers charge by other than tokens, and capacity that is bought by the hour: the plan's cost to the cent.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

const LIBRARY: &str = r#"
task hear(audio: Audio) -> Text {
  work audio.duration
  size tokens = 100 tok
}
task look(frames: Frames) -> Text {
  work frames = frames.count
  size tokens = 20 tok
  prompt "What is there? {frames}"
}
task leaf(document: Document) -> Text {
  work document.pages
  size tokens = 50 tok
}
task say(about: Text) -> Text {
  work input  = about.tokens
  work output = 100 tok
  size tokens = 100 tok
  prompt "Say something about {about}"
}
model ears implements hear {
  access closed
  license "proprietary"
  runs on api
  engine openai {
    api transcription
    model "ears"
    url "https://example.org/v1"
    key env EARS_API_KEY
  }
  profile "ears.csv"
}
model eyes implements look {
  access closed
  license "proprietary"
  runs on api
  engine openai {
    model "eyes"
    url "https://example.org/v1"
    key env EYES_API_KEY
  }
  profile "eyes.csv"
}
tool leafing implements leaf {
  license "MIT"
  runs on cpu * 1
  engine process { command ["true", "{document.file}"] }
  profile "leafing.csv"
}
device ptu {
  kind gpu
}
cluster bought {
  cpu * 2 at 0 usd/h
  ptu * 100 at 2 usd/h
}
model bought_chat implements say {
  access closed
  license "proprietary"
  runs on ptu * 50
  engine openai {
    model "chat"
    url "https://example.org/v1"
    key env CHAT_API_KEY
  }
  profile "bought_chat.csv"
}
"#;
const HEADER: &str = "device,units,figure,value,unit,low,high,evidence,source\n";

/// What a run of a job of these lines is planned to cost, in dollars.
fn cost(parameter: &str, expected: &str, call: &str) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("lib/priced.mkb", LIBRARY);
    let profile = |name: &str, rows: &str| {
        let rows = rows.lines().map(|row| format!("{row},,,estimated,made for this test\n")).collect::<String>();
        write(&format!("lib/profiles/{name}.csv"), &format!("{HEADER}{rows}"));
    };
    profile("ears", "api,,latency,2,s\napi,,quality,90,%\napi,,cost.per.duration,0.006,usd/min");
    profile("eyes", "api,,latency,2,s\napi,,quality,90,%\napi,,cost.per.frames,0.002,usd/image\napi,,cost,0.01,usd");
    profile("leafing", "cpu,,latency,2,s\ncpu,,quality,90,%\ncpu,,cost.per.pages,1.5,usd/page");
    profile("bought_chat", "ptu,50,latency,36,s\nptu,50,quality,90,%");
    write("job.mkb", &format!("use priced\n\njob j({parameter}) -> Text {{\n  {expected}\n  {call}\n}}\n"));
    planned(folder.path())
}

fn planned(folder: &Path) -> f64 {
    let words = ["plan", "job.mkb", "--library", "lib", "--cluster", "bought", "--json"];
    let done = Command::new(env!("CARGO_BIN_EXE_mkbc")).args(words).current_dir(folder).output().expect("mkbc starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let plan: Value = serde_json::from_slice(&done.stdout).expect("a plan");
    let cost = &plan["total"]["cost_usd"];
    cost.as_f64().or_else(|| cost.as_str()?.parse().ok()).unwrap_or_else(|| panic!("no cost: {plan:#}"))
}

fn is(cost: f64, usd: f64) {
    assert!((cost - usd).abs() < 1e-6, "{cost} usd, not {usd}");
}

#[test]
fn sound_is_paid_by_the_minute() {
    is(cost("audio: Audio", "expect audio of 10 min", "hear(audio)"), 0.06);
}

#[test]
fn pictures_are_paid_each_beside_the_request() {
    is(cost("frames: Frames", "expect frames of 8", "look(frames)"), 0.016 + 0.01);
}

#[test]
fn pages_are_paid_each() {
    is(cost("document: Document", "expect document of 3", "leaf(document)"), 4.5);
}

#[test]
fn capacity_that_is_bought_by_the_hour_is_paid_while_it_is_held() {
    // 36 s of 50 units at 2 usd an hour each.
    is(cost("about: Text", "expect about of 20 tok", "say(about)"), 1.0);
    // Under a load it stands ready all the time: 100 runs an hour are busy for 3,600 s, which is two times 50 units at 80 % of their time.
    is(cost("about: Text", "expect about of 20 tok\n  expect 100 requests/h", "say(about)"), 2.0);
}
