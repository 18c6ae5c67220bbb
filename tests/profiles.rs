//! Profiles: what is wrong in one is said with file, line and column. `tests/profiles/NAME.csv` is a profile (or several, each
//! under a line `--- file`), `NAME.txt` what is said of it; `BLESS=1 cargo test` rewrites the latter.

use murakkab::compile::{Texts, check_file};
use murakkab::diag::{Diagnostics, render};
use murakkab::library::Library;
use murakkab::library::profile::Setting;
use proptest::prelude::*;
use rust_decimal::{Decimal, dec};
use std::fs;
use std::path::Path;

const LIBRARY: &str = "device cpu { kind cpu }
device h100 { kind gpu }
task answer(question: Text) -> Text {
  work input = question.tokens
  work output = 60 tok
  size tokens = 60 tok
  quality from mmlu
}
task prove(claim: Text) -> Text {
  work input = claim.tokens
  work output = 600 tok
  size tokens = 600 tok
  quality from math
}
model chat implements answer, prove {
  knob variant in [large, small]
  knob batch in [1, 8]
  concurrency batch
  runs on cpu * [1, 2]
  runs on h100 * 1
  engine server { serve vllm }
PROFILES}
";

/// The library with these profiles, and what is said of it.
fn load(profiles: &[(&str, &str)]) -> (Library, Texts, Diagnostics) {
    let mut texts = Texts::default();
    let lines: String = profiles.iter().map(|(name, _)| format!("  profile \"{name}\"\n")).collect();
    for (name, text) in profiles {
        let file = texts.sources.add(*name, *text);
        texts.profiles.insert((*name).into(), file);
    }
    let job = texts.sources.add("own.mkb", LIBRARY.replace("PROFILES", &lines));
    let mut cx = Diagnostics::default();
    let library = check_file(&texts, job, &mut cx).library;
    (std::sync::Arc::unwrap_or_clone(library), texts, cx)
}

fn case(text: &str) -> Vec<(&str, &str)> {
    if !text.starts_with("--- ") {
        return vec![("case.csv", text)];
    }
    text.split("--- ").skip(1).filter_map(|part| part.split_once('\n')).collect()
}

#[test]
fn every_mistake_is_said_in_its_place() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/profiles"));
    let mut cases: Vec<_> = fs::read_dir(folder).expect("the cases").map(|e| e.expect("an entry").path()).collect();
    cases.retain(|path| path.extension().is_some_and(|e| e == "csv"));
    cases.sort();
    assert!(cases.len() > 10, "the cases are not there");
    let mut wrong = Vec::new();
    for path in cases {
        let text = fs::read_to_string(&path).expect("a case");
        let (_, texts, cx) = load(&case(&text));
        let said = render::text(&cx, &texts.sources, false);
        let golden = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, said).expect("a golden that can be written");
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const HEAD: &str = "benchmark,task,variant,batch,input,date,device,units,figure,value,unit,low,high,evidence,source\n";

fn value(library: &Library, figure: &str, task: &str, knobs: [&str; 2], work: &[(&str, Decimal)]) -> Option<Decimal> {
    let knobs = [("variant".into(), knobs[0].into()), ("batch".into(), knobs[1].into())];
    let work: Vec<_> = work.iter().map(|(n, amount)| ((*n).into(), *amount)).collect();
    let setting = Setting { task, knobs: &knobs, device: "h100", units: 1, work: &work, by: None };
    library.implementations["chat"].profile.figure(figure, &setting).map(|f| f.value)
}

#[test]
fn rows_of_several_profiles_stand_together_and_the_most_specific_wins() {
    let quality = format!(
        "{HEAD},,,,,,,,quality,10,%,,,estimated,a guess
mmlu,,large,,,2026-11,,,quality,80,%,,,published,a
math,,large,,,,,,quality,60,%,,,published,b
,prove,small,,,,,,quality,40,%,,,published,c
gsm8k,,small,,,,,,quality,99,%,,,published,another benchmark\n"
    );
    let speed = "variant,batch,device,units,figure,value,unit,low,high,evidence,source
large,8,h100,1,tpot,20,ms/tok,,,measured,x
,,,,ttft,300,ms,,,measured,x\n";
    let (library, texts, cx) = load(&[("quality.csv", &quality), ("speed.csv", speed)]);
    assert_eq!(render::text(&cx, &texts.sources, false), "");
    let quality = |task, variant| value(&library, "quality", task, [variant, "8"], &[]);
    assert_eq!(quality("answer", "large"), Some(dec!(0.80)));
    assert_eq!(quality("prove", "large"), Some(dec!(0.60)));
    assert_eq!(quality("prove", "small"), Some(dec!(0.40)));
    assert_eq!(quality("answer", "small"), Some(dec!(0.10)));
    assert_eq!(value(&library, "latency.per.output", "answer", ["large", "8"], &[]), Some(dec!(0.020)));
    assert_eq!(value(&library, "latency.per.output", "answer", ["large", "1"], &[]), None);
    assert_eq!(value(&library, "latency", "answer", ["small", "1"], &[]), Some(dec!(0.3)));
}

#[test]
fn of_rows_for_different_work_the_nearest_is_taken() {
    let text = format!(
        "{HEAD},,,,..1000,,,,tpot,10,ms/tok,,,measured,x
,,,,1001..4000,,,,tpot,20,ms/tok,,,measured,x
,,,,16000,,,,tpot,40,ms/tok,,,measured,x\n"
    );
    let (library, texts, cx) = load(&[("a.csv", &text)]);
    assert_eq!(render::text(&cx, &texts.sources, false), "");
    let at = |input| value(&library, "latency.per.output", "answer", ["large", "1"], &[("input", input)]);
    assert_eq!(at(dec!(10)), Some(dec!(0.010)));
    assert_eq!(at(dec!(3000)), Some(dec!(0.020)));
    assert_eq!(at(dec!(5000)), Some(dec!(0.020)), "1000 over one range, and 3000 under half of the point");
    assert_eq!(at(dec!(7500)), Some(dec!(0.040)));
    assert_eq!(at(dec!(90000)), Some(dec!(0.040)));
}

/// Anything that looks a little like a profile.
fn profile() -> impl Strategy<Value = String> {
    let cell = prop_oneof![
        4 => prop::sample::select(vec![
            "", "device", "units", "figure", "value", "unit", "low", "high", "evidence", "source", "latency", "s", "1", "-1",
            "%", "quality", "measured", "x", "task", "answer", "benchmark", "mmlu", "variant", "large", "batch", "8", "date",
            "2026-11-23", "2026-02-30", "input", "..", "5..1", "1e40", "79228162514264337593543950335", "ttft", "tpot", "h100",
            "\"a,b\"", "\"", "\"\"", "é", "\u{feff}",
        ]).prop_map(str::to_string),
        1 => ".{0,6}",
    ];
    let line = prop::collection::vec(cell, 0..14).prop_map(|cells| cells.join(","));
    let lines = prop::collection::vec(line, 0..8);
    (any::<bool>(), lines).prop_map(|(head, lines)| {
        let head = if head { HEAD } else { "" };
        format!("{head}{}", lines.join("\n"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_profile_breaks_the_compiler(text in prop_oneof![profile(), ".{0,200}", "(.|\n){0,200}"]) {
        let (_, texts, cx) = load(&[("a.csv", &text)]);
        for d in cx.iter() {
            for span in std::iter::once(d.primary.span).chain(d.secondary.iter().map(|l| l.span)) {
                prop_assert!(texts.sources.get(span.file).text.get(span.range()).is_some(), "{} at {span:?}", d.message);
            }
        }
        render::text(&cx, &texts.sources, false);
    }
}

#[test]
fn an_audit_finds_what_is_weak() {
    use murakkab::library::audit::{Named, Weakness, audit};
    use murakkab::library::profile::date::Date;
    let text = "benchmark,reporter,task,variant,date,device,units,figure,value,unit,low,high,evidence,source
,,,,2026-01-01,cpu,,latency,1,s,,,measured,my machine; 3 runs; mkbc profile chat
,,,large,,cpu,,latency,1,s,,,measured,my machine; 3 runs; mkbc profile chat
,,,,2020,,,power,1,W,,,published,table 3 of THEM: v2
,,,,,,,memory,1,GB,,,published,somebody said so
mmlu,them,answer,large,2026-02,,,quality,50,%,,,published,https://example.com/b
mmlu,us,answer,small,2026-02,,,quality,60,%,,,estimated,\"second-hand copy, 2026-02-03\"
,,prove,,2026-02,,,quality,60,%,,,estimated,by a formula
,,,,2026-03-01,cpu,,latency.per.input,1,ms/tok,,,measured,my machine; 3 runs; mkbc profile chat
,,,,,,,context,8,ktok,,,published,arXiv:2310.01798
,,,,,,,idle.power,1,W,,,published,as OURS has it
";
    let (library, texts, cx) = load(&[("a.csv", text)]);
    assert_eq!(render::text(&cx, &texts.sources, false), "");
    let named = |name: &str, date: Option<&str>| Named { name: name.into(), date: date.and_then(Date::parse) };
    let names = [named("THEM", None), named("OURS", Some("2026-02-20"))];
    let audit = audit(&library, &names, Date::parse("2026-03-01").expect("a day"), Some(40));
    let lines = |how| {
        let lines: Vec<usize> = audit.weak(how).map(|f| texts.sources.line_column(f.at).0).collect();
        lines
    };
    assert_eq!(audit.figures.len(), 10);
    assert_eq!(lines(Weakness::Unsupported), [3, 5, 8]);
    assert_eq!(lines(Weakness::SecondHand), [7]);
    assert_eq!(lines(Weakness::Estimated), [7, 8]);
    assert_eq!(lines(Weakness::Undated), [3, 5]);
    // A paper's number says its month, and a name for an address may say when it was published.
    assert_eq!(lines(Weakness::Old), [2, 4, 10]);
    assert_eq!(lines(Weakness::Unbounded), [9]);
    let mixed: Vec<_> = audit.mixed.iter().map(|m| (m.task.as_str(), m.by, m.groups.len())).collect();
    assert_eq!(mixed, [("answer", "reporter", 2)]);
}

#[test]
fn an_audit_reads_what_devices_and_clusters_rest_on() {
    use murakkab::library::audit::{Weakness, audit};
    use murakkab::library::profile::date::Date;
    let text = "device gpu1 {
  kind gpu
  memory 80 GB
  tflops 100
  bandwidth 1000 GB/s
  power 400 W
  published \"github:them/specs@0123abcd:README.md, 2026-02-03\"
  estimated power \"no idea\"
  measured bandwidth \"somewhere\"
}
device gpu2 {
  kind gpu
  idle 20 W
}
cluster mine {
  gpu1 * 2 at 3 usd/h
  gpu2 * 1 at 1 usd/h
  published gpu1 \"https://example.com/prices, 2024-01-02\"
}
cluster free {
  gpu1 * 2 at 0 usd/h
}
";
    let mut texts = Texts::default();
    let file = texts.sources.add("own.mkb", text);
    let mut cx = Diagnostics::default();
    let library = check_file(&texts, file, &mut cx).library;
    assert_eq!(render::text(&cx, &texts.sources, false), "");
    let audit = audit(&library, &[], Date::parse("2026-03-01").expect("a day"), Some(100));
    let lines = |how| {
        let lines: Vec<usize> = audit.weak(how).map(|f| texts.sources.line_column(f.at).0).collect();
        lines
    };
    // What is free rests on nothing, and needs nothing.
    assert_eq!(audit.figures.len(), 7);
    assert_eq!(lines(Weakness::Unsupported), [5, 6, 13, 17]);
    assert_eq!(lines(Weakness::Estimated), [6, 13, 17]);
    assert_eq!(lines(Weakness::Undated), [5, 6, 13, 17]);
    assert_eq!(lines(Weakness::Old), [16]);
    let price = audit.figures.iter().find(|f| f.figure == "price").expect("a price");
    assert_eq!(
        (price.setting.as_str(), price.implementations.iter().next().map(|n| n.as_str())),
        ("one `gpu1` for an hour", Some("mine"))
    );
}

const JOB: &str = "task cut(text: Text) -> Text {
  work input = text.tokens
  size tokens = 5 tok
}
tool scissors implements cut {
  runs on cpu * 1
  engine process { command [\"echo\", \"{text}\"] }
  profile \"scissors.csv\"
}
job shorten(text: Text) -> Text {
  expect text of TOKENS tok
  minimize latency
  cut(text)
}
";
const SCISSORS: &str = "input,device,units,figure,value,unit,low,high,evidence,source
128..1024,cpu,,latency,1,s,,,published,https://example.com
,cpu,,quality,50,%,,,estimated,a guess
";

#[test]
fn what_lies_beyond_a_figure_is_said_or_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("lib/profiles")).expect("folders");
    fs::write(path("lib/profiles/scissors.csv"), SCISSORS).expect("a profile");
    let planned = |tokens: &str, more: &[&str]| {
        fs::write(path("job.mkb"), JOB.replace("TOKENS", tokens)).expect("a job");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mkbc"));
        command.current_dir(folder.path()).args(["plan", "job.mkb", "--library", "lib", "--cluster", "cpu_only"]);
        let output = command.args(more).output().expect("mkbc runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let said = "`latency` of cut is for input 128 to 1024, and a call has 9000";
    let (done, out, err) = planned("9000", &[]);
    assert!(done && out.contains(&format!("extrapolated: {said}")), "{out}{err}");
    let (_, out, _) = planned("9000", &["--json"]);
    let plan: serde_json::Value = serde_json::from_str(&out).expect("a plan");
    let evidence = plan["steps"][0]["evidence"].as_array().expect("evidence");
    let outside: Vec<_> = evidence.iter().filter_map(|e| e["outside"].as_str()).collect();
    assert_eq!(outside, ["for input 128 to 1024, and a call has 9000"]);
    // A time by work that says for how much is inside or outside; one that does not is neither, and that is said.
    let by_work = |condition: &str| {
        let row = format!("{condition},cpu,,latency.per.input,0.001,s/tok,,,measured,x\n");
        fs::write(path("lib/profiles/scissors.csv"), format!("{SCISSORS}{row}")).expect("a profile");
        planned("1000", &[]).1
    };
    assert!(by_work("").contains("for work that is not said: `latency.per.input` of cut"));
    let (done, _, err) = planned("1000", &["--strict-evidence"]);
    assert!(!done && err.contains("its `latency.per.input` is for work that it does not say"), "{err}");
    assert!(!by_work("128..1024").contains("for work that is not said"));
    fs::write(path("lib/profiles/scissors.csv"), SCISSORS).expect("a profile");
    let (done, out, _) = planned("1000", &["--strict-evidence"]);
    assert!(done && !out.contains("extrapolated"), "{out}");
    let (done, _, err) = planned("9000", &["--strict-evidence"]);
    assert!(!done && err.contains("E0701"), "{err}");
    assert!(err.contains("`scissors`: its `latency` is for input 128 to 1024, and a call has 9000"), "{err}");
    let (done, _, err) = planned("1000", &["--evidence", "published"]);
    assert!(
        !done && err.contains("`scissors`: its `quality` is estimated, and at least published is asked for"),
        "{err}"
    );
}

#[test]
fn qualities_are_compared_by_one_reporter() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("lib/profiles")).expect("folders");
    let tool = |name: &str| {
        format!(
            "\n/// Cuts.\ntool {name} implements cut {{\n  runs on cpu * 1\n  engine process {{ command [\"cut\"] }}\n  profile \"{name}.csv\"\n}}\n"
        )
    };
    let task = "/// Cuts a text.\ntask cut(text: Text) -> Text {\n  work input = text.tokens\n}\n";
    fs::write(path("lib/tools.mkb"), ["a", "b", "c"].map(tool).concat() + task).expect("a library");
    for (name, quality, reporter) in [("a", 60, "Ann"), ("b", 50, "Ann"), ("c", 90, "Bob")] {
        let rows = format!(
            "reporter,device,units,figure,value,unit,low,high,evidence,source\n,cpu,,latency,1,s,,,published,https://example.com\n{reporter},cpu,,quality,{quality},%,,,published,https://example.com\n"
        );
        fs::write(path(&format!("lib/profiles/{name}.csv")), rows).expect("a profile");
    }
    let job = |wish: &str| {
        format!(
            "use tools\n\n/// A cut.\njob cuts(text: Text) -> Text {{\n  expect text of 10 tok\n{wish}\n  cut(text)\n}}\n"
        )
    };
    let mkbc = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mkbc"));
        let output = command.current_dir(folder.path()).args(arguments).args(["--library", "lib"]).output();
        let output = output.expect("mkbc runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let planned = |more: &[&str]| mkbc(&[&["plan", "job.mkb", "--cluster", "cpu_only"], more].concat());
    // A job that wishes nothing wants the best quality.
    for wish in ["", "  maximize quality\n", "  slo { quality >= 40 % }\n"] {
        fs::write(path("job.mkb"), job(wish)).expect("a job");
        let (_, out, err) = planned(&["--any-reporter"]);
        assert!(out.contains("reporters differ: the quality of cut is by "), "{wish}: {out}{err}");
        let (_, out, _) = planned(&[]);
        assert!(out.contains("compared by one reporter's qualities: cut by Ann"), "{wish}: {out}");
        assert!(!out.contains("reporters differ") && out.contains(" a ") && !out.contains("Bob"), "{wish}: {out}");
        let (_, out, _) = planned(&["--choices"]);
        let why = "c: its `quality` is by Bob, and those that it would be compared with are by Ann";
        assert!(out.contains(why), "{wish}: {out}");
    }
    // What is pinned is compared with nothing.
    for (wish, call) in
        [("  maximize quality\n", "cut(text) using c"), ("  maximize quality\n  using c\n", "cut(text)")]
    {
        fs::write(path("job.mkb"), job(wish).replace("cut(text)", call)).expect("a job");
        let (done, out, err) = planned(&[]);
        assert!(done && out.contains(" c "), "{wish}{call}: {out}{err}");
    }
    fs::write(path("job.mkb"), job("  minimize latency\n")).expect("a job");
    assert!(!planned(&[]).1.contains("reporter"));
    // A front with an axis of quality compares them, whatever the job says.
    let front = |more: &[&str]| {
        mkbc(&[&["pareto", "job.mkb", "latency,quality", "--cluster", "cpu_only", "--format", "csv"], more].concat()).1
    };
    assert!(front(&[]).contains("0.6") && !front(&[]).contains("0.9"), "{}", front(&[]));
    assert!(front(&["--any-reporter"]).contains("0.9"), "{}", front(&["--any-reporter"]));
    // What a plan says of them is verified.
    fs::write(path("job.mkb"), job("")).expect("a job");
    let verified = || mkbc(&["verify", "plan.json", "--source", "job.mkb"]);
    for more in [&[][..], &["--any-reporter"]] {
        let (_, plan, _) = planned(&[&["--json"], more].concat());
        fs::write(path("plan.json"), &plan).expect("a plan");
        assert!(verified().0, "{}", verified().2);
    }
    let plan = fs::read_to_string(path("plan.json")).expect("a plan");
    fs::write(path("plan.json"), plan.replace("\"Bob\"", "\"Eve\"")).expect("a plan");
    let said = "step `cut` names others than those who judged what was compared for it";
    assert!(verified().2.contains(said), "{}", verified().2);
    // What is measured of one alone compares nothing; of two, it stands before what is published.
    let evaluated = |name: &str, quality: u32| {
        let rows = format!(
            "reporter,device,units,figure,value,unit,low,high,evidence,source\nmkbc eval on set,,,quality,{quality},%,,,measured,\"here; 2026-12-01; 30 runs; mkbc eval cut --data set.jsonl\"\n"
        );
        fs::create_dir_all(path("lib/measured")).expect("folders");
        fs::write(path(&format!("lib/measured/{name}.eval.csv")), rows).expect("a profile");
    };
    evaluated("a", 20);
    let (_, plan, _) = planned(&["--json"]);
    let step = &serde_json::from_str::<serde_json::Value>(&plan).expect("JSON")["steps"][0];
    assert_eq!(
        (&step["reporters"], &step["predicted"]["quality"]),
        (&serde_json::json!(["Ann"]), &serde_json::json!("0.6"))
    );
    fs::write(path("plan.json"), &plan).expect("a plan");
    assert!(verified().0, "{}", verified().2);
    evaluated("c", 70);
    let (_, out, _) = planned(&[]);
    assert!(out.contains("cut by mkbc eval on set") && out.contains(" c "), "{out}");
}

/// What no plan can use, and why: entry, task, variants.
const DEAD: [(&str, &str, &str); 11] = [
    // LiveCodeBench of this model is in none of the sources.
    ("chat", "write_code", "qwen_2_5_14b"),
    ("chat", "review_code", "qwen_2_5_14b"),
    // OCRBench of these is in none of the sources; Video-MME is.
    ("vision_chat", "text_in_frames", "gemma_3_4b gemma_3_12b gemma_3_27b llama_3_2_11b_vision llava_onevision_7b"),
    ("large_vision_chat", "text_in_frames", "llama_3_2_90b_vision"),
    ("openai_vision", "text_in_frames", "gpt-4o-mini"),
    ("azure_vision", "text_in_frames", "gpt-4o-mini"),
    ("azure_eu_vision", "text_in_frames", "gpt-4o-mini"),
    (
        "bedrock_vision",
        "text_in_frames",
        "llama_3_2_11b_vision llama_3_2_90b_vision gemma_3_4b gemma_3_12b gemma_3_27b",
    ),
    ("databricks_vision", "text_in_frames", "gemma_3_12b"),
    // The other way round.
    ("bedrock_vision", "describe_image", "gemma_4_31b"),
    ("bedrock_vision", "question_answer", "gemma_4_31b"),
];

#[test]
fn every_variant_can_be_planned_on_a_cluster_or_is_known_to_be_dead() {
    let mut texts = Texts::with_stdlib();
    let file = texts.sources.add("job.mkb", "");
    let library = check_file(&texts, file, &mut Diagnostics::default()).library;
    let mut dead: Vec<(String, String, String)> = Vec::new();
    for entry in library.implementations.values() {
        let Some((_, variants)) = entry.knobs.iter().find(|(name, _)| name == "variant") else { continue };
        let others: Vec<_> = entry.knobs.iter().filter(|(name, _)| name != "variant").collect();
        let mut settings = vec![Vec::new()];
        for (name, values) in others {
            let with = |set: &Vec<_>| {
                values.iter().map(|v| [set.clone(), vec![(name.clone(), v.clone())]].concat()).collect::<Vec<_>>()
            };
            settings = settings.iter().flat_map(with).collect();
        }
        let devices: Vec<_> = library.devices.values().filter(|d| d.gpu).map(|d| d.name.as_str()).collect();
        for task in &entry.tasks {
            let lacks = |variant: &&ecow::EcoString| {
                let has = |device: &str, units: u32| {
                    settings.iter().any(|set| {
                        let knobs = [set.clone(), vec![("variant".into(), (**variant).clone())]].concat();
                        let setting = Setting { task, knobs: &knobs, device, units, work: &[], by: None };
                        let memory = entry.profile.figure("memory", &setting).map_or(Decimal::ZERO, |f| f.value);
                        let room = library.devices.get(device).filter(|d| d.gpu).and_then(|d| d.memory_gb);
                        let there = |(pool, has, _): &(ecow::EcoString, u32, Decimal)| pool == device && *has >= units;
                        (device == "api" || library.clusters.values().any(|c| c.pools.iter().any(there)))
                            && room.is_none_or(|room| memory <= room * Decimal::from(units))
                            && ["latency", "quality"].iter().all(|f| entry.profile.figure(f, &setting).is_some())
                    })
                };
                !entry.hardware.iter().any(|option| {
                    let own = [option.device.as_str()];
                    let on = if option.device == "gpu" { &devices[..] } else { &own[..] };
                    on.iter().any(|device| option.units.iter().any(|units| has(device, *units)))
                })
            };
            let lacking: Vec<&str> = variants.iter().filter(lacks).map(|v| v.as_str()).collect();
            if !lacking.is_empty() {
                dead.push((entry.name.to_string(), task.to_string(), lacking.join(" ")));
            }
        }
    }
    let mut known: Vec<_> = DEAD.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect();
    dead.sort();
    known.sort();
    assert_eq!(dead, known);
}

#[test]
fn the_audit_of_the_standard_library_finds_no_figure_without_evidence() {
    let audited = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mkbc"));
        let output = command.args(["library", "audit"]).args(args).output().expect("mkbc runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (done, text) = audited(&[]);
    assert!(done && text.contains("\nwithout evidence: 0\n"), "{text}");
    let (done, json) = audited(&["--format", "json", "--older-than", "1"]);
    let audit: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(done && audit["weak"]["old"].as_u64().is_some_and(|old| old > 0));
    let shares = ["measured", "published", "estimated"].map(|kind| audit["evidence"][kind].as_u64().unwrap_or(0));
    assert_eq!(Some(shares.iter().sum::<u64>()), audit["figures"].as_u64());
    assert!(!audited(&["--strict"]).0, "the library has guesses");
}

/// What stands in backticks in the tables of a section of docs/library.md, by row.
fn named(section: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/library.md")).expect("the page");
    let begun = page.split(&format!("\n## {section}\n")).nth(1).expect("the section").to_string();
    let rows = begun.split("\n## ").next().expect("its text").lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.split('`').skip(1).step_by(2).map(str::to_string).collect()).collect()
}

fn standard() -> Library {
    let mut texts = Texts::with_stdlib();
    let file = texts.sources.add("own.mkb", "");
    let mut cx = Diagnostics::default();
    let library = check_file(&texts, file, &mut cx).library;
    std::sync::Arc::unwrap_or_clone(library)
}

#[test]
fn every_name_that_the_library_page_promises_has_an_entry() {
    let library = standard();
    let rows = named("Names");
    assert!(rows.len() > 20, "{} rows", rows.len());
    for name in rows.iter().flatten() {
        let (entry, value) = name.split_once('.').map_or((name.as_str(), None), |(entry, value)| (entry, Some(value)));
        let found = library.implementations.get(entry).unwrap_or_else(|| panic!("no entry `{entry}`"));
        let has = |value: &str| found.knobs.iter().any(|(_, values)| values.iter().any(|v| v == value));
        assert!(value.is_none_or(has), "`{entry}` is never `{}`", value.unwrap_or_default());
        // A model that nobody has a quality of is never chosen.
        let knobs: Vec<_> = found
            .knobs
            .iter()
            .map(|(name, values)| {
                let own = value.filter(|value| values.iter().any(|v| v == value));
                (name.clone(), own.map_or_else(|| values[0].clone(), Into::into))
            })
            .collect();
        let rated = found.hardware.iter().any(|hardware| {
            let setting = |task| Setting {
                task,
                knobs: &knobs,
                device: &hardware.device,
                units: hardware.units[0],
                work: &[],
                by: None,
            };
            found.tasks.iter().any(|task| found.profile.figure("quality", &setting(task)).is_some())
        });
        assert!(rated || found.hardware.is_empty(), "`{name}` has no quality for any of its tasks");
    }
}

#[test]
fn what_runs_on_cores_was_measured_or_the_page_says_why_not() {
    let missing: Vec<String> = named("What runs on cores").into_iter().map(|row| row[0].clone()).collect();
    let measured =
        |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("stdlib/measured/{name}.csv")).exists();
    for (name, entry) in &standard().implementations {
        if entry.hardware.iter().any(|hardware| hardware.device == "cpu") {
            assert_ne!(measured(name), missing.iter().any(|m| m == name.as_str()), "{name}");
        }
    }
}
