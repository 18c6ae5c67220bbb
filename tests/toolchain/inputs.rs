//! `mkbc inputs` and `mkbc validate`.

use crate::mkbc::{Bless, Mkbc, repository};
use serde_json::{Value, json};
use std::fs;

const JOB: &str = "use std.text

enum Tone { dry, warm }

type Person {
  name: Text
  age:  Int?
}

/// A greeting.
job greeting(people: List[Person], tone: Tone, sure: Bool, share: Float, voice: Audio?, more: Json?) -> Text {
  ?
}
";

fn set_up() -> Mkbc {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", JOB);
    mkbc
}

fn good() -> Value {
    json!({"people": [{"name": "Ada", "age": 36}, {"name": "Bob"}], "tone": "warm", "sure": true, "share": 0.5})
}

#[test]
fn a_template_and_a_schema() {
    let (mkbc, bless) = (set_up(), Bless::default());
    let folder = repository().join("tests/toolchain/inputs");
    for (name, arguments) in
        [("template.json", &[][..]), ("template.jsonl", &["--jsonl"]), ("schema.json", &["--schema"])]
    {
        let done = mkbc.run(&[&["inputs", "job.mkb"], arguments].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
        bless.golden(&folder.join(name), &done.out);
    }
    bless.end();
    let schema: Value = serde_json::from_str(&mkbc.run(&["inputs", "job.mkb", "--schema"]).out).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema of draft 2020-12");
    assert!(validator.is_valid(&good()));
    assert!(!validator.is_valid(&json!({"people": []})));
}

#[test]
fn every_example_has_a_template_that_fits_its_schema() {
    let mkbc = Mkbc::new();
    for entry in fs::read_dir(repository().join("examples")).expect("a folder").flatten() {
        let path = entry.path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        if path.extension().is_none_or(|e| e != "mkb") || !text.lines().any(|l| l.starts_with("job ")) {
            continue;
        }
        let path = path.display().to_string();
        let read = |word: &[&str]| -> Value {
            let done = mkbc.run(&[&["inputs", &path], word].concat());
            serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{path}: {e}: {}", done.err))
        };
        let (schema, template) = (read(&["--schema"]), read(&[]));
        jsonschema::validate(&schema, &template).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(read(&["--jsonl"]), template);
    }
}

/// What is said of each wrong value: where, what is expected, what is found.
#[test]
fn wrong_values_are_named() {
    let (mkbc, bless) = (set_up(), Bless::default());
    mkbc.write("text.wav", "no sound");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value = good();
        change(&mut value);
        value
    };
    let wrong = [
        ("fits", good()),
        ("deep", with(&|v| v["people"][1]["age"] = json!("old"))),
        ("no field", with(&|v| v["people"][0]["sex"] = json!(1))),
        ("no name", with(&|v| v["people"][0] = json!({"age": 1}))),
        ("enum", with(&|v| v["tone"] = json!("hot"))),
        ("missing", with(&|v| drop(v.as_object_mut().expect("an object").remove("sure")))),
        ("unknown", with(&|v| v["tones"] = json!(1))),
        ("several", json!({"people": {}, "tone": 1, "sure": "yes", "share": "half", "voice": "none.wav"})),
        ("no medium", with(&|v| v["voice"] = json!(["text.wav"]))),
        ("no object", json!([1])),
    ];
    let mut said = String::new();
    for (name, value) in wrong {
        mkbc.write("inputs.json", value.to_string());
        let done = mkbc.run(&["validate", "job.mkb", "inputs.json"]);
        assert_eq!(done.code, Some(i32::from(name != "fits")), "{name}: {}", done.err);
        said.push_str(&format!("=== {name}\n{}{}", done.out, mkbc.masked(&done.err)));
        if name != "no object" {
            let done = mkbc.run(&["validate", "job.mkb", "inputs.json", "--format", "json"]);
            let all: Vec<Value> = serde_json::from_str(&done.out).expect("JSON");
            assert_eq!(all.is_empty(), name == "fits", "{name}: {all:?}");
        }
    }
    // A row for each run; other columns are allowed.
    let rows = [good(), with(&|v| v["share"] = json!(null)), with(&|v| v["expected"] = json!("hello"))];
    mkbc.write("rows.jsonl", rows.map(|row| row.to_string()).join("\n"));
    let done = mkbc.run(&["validate", "job.mkb", "rows.jsonl"]);
    said.push_str(&format!("=== rows\nexit {:?}\n{}{}", done.code, done.out, mkbc.masked(&done.err)));
    mkbc.write("rows.jsonl", "{\"tone\": \"warm\"}\n\n{\"tone\"\n");
    let done = mkbc.run(&["validate", "job.mkb", "rows.jsonl"]);
    said.push_str(&format!("=== a row that breaks off\nexit {:?}\n{}{}", done.code, done.out, mkbc.masked(&done.err)));
    for (name, mark) in [("inputs.json", "\u{feff}"), ("rows.jsonl", "\u{feff}")] {
        mkbc.write(name, format!("{mark}{}", good()));
        let done = mkbc.run(&["validate", "job.mkb", name]);
        assert_eq!(done.code, Some(0), "a byte order mark in {name}: {}", done.err);
    }
    mkbc.write("inputs.json", "{");
    let done = mkbc.run(&["validate", "job.mkb", "inputs.json"]);
    said.push_str(&format!("=== no JSON\nexit {:?}\n{}{}", done.code, done.out, mkbc.masked(&done.err)));
    bless.golden(&repository().join("tests/toolchain/inputs/wrong.txt"), &said);
    bless.end();
}

#[test]
fn options_are_checked_like_those_of_run() {
    let mkbc = Mkbc::new();
    mkbc.write("job.mkb", "job same(text: Text, times: Int) -> Text {\n  if times > 1 { text } else { \"\" }\n}\n");
    let done = mkbc.run(&["validate", "job.mkb", "--text", "a", "--times", "2"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "the options: all that `same` takes\n"), "{}", done.err);
    for (arguments, code, part) in [
        (&["--text", "a"][..], 2, "the input `times` (Int) is missing"),
        (&["--text", "a", "--times", "many"], 1, "`many` is no Int"),
        (&["--txet", "a", "--times", "1"], 2, "did you mean `--text`?"),
        (&["inputs.json", "--text", "a"], 2, "not both"),
        (&["none.json"], 1, "there is no file"),
        (&["none.jsonl"], 1, "there is no dataset"),
    ] {
        let done = mkbc.run(&[&["validate", "job.mkb"], arguments].concat());
        assert!(done.code == Some(code) && done.err.contains(part), "{arguments:?}: {:?} {}", done.code, done.err);
    }
}
