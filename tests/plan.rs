//! Golden plans: `tests/plan/<name>.mkb` says in its first line how it is planned (`// mkbc plan --cluster azure_mixed`), and
//! `<name>.txt` holds what `mkbc` writes. `BLESS=1 cargo test --test plan` rewrites them. The examples are planned where they are.
//!
//! Beyond the text, every plan is made twice with the same bytes, fits the published schema, and passes `mkbc verify`; every
//! repair that a conflict offers makes a plan.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Bless, Mkbc, at_once, repository};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One golden plan.
struct Case {
    name: String,
    source: PathBuf,
    arguments: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut found = Vec::new();
    for source in files(&repository().join("tests/plan"), "mkb") {
        let text = fs::read_to_string(&source).expect("a case");
        let first = text.lines().next().unwrap_or_default();
        let arguments =
            first.strip_prefix("// mkbc plan").unwrap_or_else(|| panic!("{}: no `// mkbc plan`", source.display()));
        let arguments = arguments.split_whitespace().map(str::to_string).collect();
        found.push(Case { name: stem(&source), source, arguments });
    }
    for source in files(&repository().join("examples"), "mkb") {
        // A file of machines alone is planned for, not planned.
        if !fs::read_to_string(&source).expect("an example").lines().any(|l| l.starts_with("job ")) {
            continue;
        }
        for cluster in ["azure_mixed", "cpu_only"] {
            let name = format!("example_{}_{cluster}", stem(&source));
            found.push(Case { name, source: source.clone(), arguments: vec!["--cluster".into(), cluster.into()] });
        }
    }
    found
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|e| e.path());
    let mut files: Vec<PathBuf> = entries.filter(|p| p.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// What a plan's text says of how long the solver worked changes with the solver.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        match line.find(" after presolve, ").filter(|_| line.ends_with(" of z3\n")) {
            None => out.push_str(line),
            Some(at) => {
                let proof = mask_z3(&line[..at]);
                out.push_str(&format!("{proof} after presolve, N nodes, N calls of z3\n"));
            }
        }
    }
    out
}

/// `proved by z3 4.8.12;` without the version.
fn mask_z3(text: &str) -> String {
    match text.split_once("proved by z3 ").and_then(|(head, tail)| Some((head, tail.split_once(';')?.1))) {
        Some((head, tail)) => format!("{head}proved by z3 X;{tail}"),
        None => text.to_string(),
    }
}

/// Plans a case in every way and compares; the JSON of its plan, where there is one.
fn check(case: &Case, schema: &jsonschema::Validator, bless: &Bless) -> Option<Value> {
    let mkbc = Mkbc::new();
    let file = format!("{}.mkb", case.name.strip_prefix("example_").map_or(case.name.clone(), |_| stem(&case.source)));
    fs::copy(&case.source, mkbc.path(&file)).expect("a copy");
    let lock = PathBuf::from(format!("{}.lock", case.source.display()));
    if lock.exists() {
        fs::copy(&lock, mkbc.path(&format!("{file}.lock"))).expect("a copy");
    }
    let beside = case.source.with_extension("csv");
    if beside.exists() {
        fs::copy(&beside, mkbc.path(&format!("{}.csv", case.name))).expect("a copy");
    }
    let base: Vec<&str> = ["plan", &file].into_iter().chain(case.arguments.iter().map(String::as_str)).collect();
    let with = |more: &[&str]| mkbc.run(&base.iter().chain(more).copied().collect::<Vec<_>>());
    let done = mkbc.run(&base);
    bless.golden(&repository().join(format!("tests/plan/{}.txt", case.name)), &masked(&done.shown(&mkbc)));
    if done.code != Some(0) {
        repairs_work(case, &mkbc, &file, &base, bless);
        return None;
    }
    let first = with(&["--json"]);
    let second = with(&["--json", "--out", "made.plan.json"]);
    if first.out != second.out || fs::read_to_string(mkbc.path("made.plan.json")).ok().as_ref() != Some(&first.out) {
        bless.wrong(format!("{}: the same job gives different plans", case.name));
    }
    let plan: Value = serde_json::from_str(&first.out).expect("a plan is JSON");
    for error in schema.iter_errors(&plan) {
        bless.wrong(format!("{}: the plan does not fit the schema: {error} at {}", case.name, error.instance_path()));
    }
    let verified = mkbc.run(&["verify", "made.plan.json"]);
    if verified.code != Some(0) {
        bless.wrong(format!("{}: the plan does not pass `mkbc verify`: {}", case.name, verified.err));
    }
    Some(plan)
}

/// Every change that a conflict offers is made, by itself or with the other one that it needs; there must be a plan each time.
fn repairs_work(case: &Case, mkbc: &Mkbc, file: &str, base: &[&str], bless: &Bless) {
    let found = mkbc.run(&base.iter().copied().chain(["--format", "json"]).collect::<Vec<_>>());
    let found: Value = serde_json::from_str(&found.out).expect("diagnostics are JSON");
    let text = fs::read_to_string(mkbc.path(file)).expect("the case");
    let mut mended: Vec<(String, String)> = Vec::new();
    for diagnostic in found.as_array().into_iter().flatten().filter(|d| d["code"] == "E0710") {
        let fix = &diagnostic["fix"];
        let (start, end) = (fix["place"]["start"].as_u64(), fix["place"]["end"].as_u64());
        if let (Some(start), Some(end), Some(insert)) = (start, end, fix["insert"].as_str()) {
            let way = format!("{}{insert}{}", &text[..start as usize], &text[end as usize..]);
            mended.push((insert.to_string(), way));
        }
        let help = diagnostic["help"].as_str().unwrap_or_default();
        let help = help.split("; these clash as well").next().unwrap_or_default();
        let ways = help.strip_prefix("one change is enough: ").into_iter().flat_map(|ways| ways.split(", or "));
        mended.extend(ways.filter_map(|way| Some((way.to_string(), changed(way, &text)?))));
        let pairs = help.strip_prefix("no single change is enough, 2 together are: ").into_iter();
        for pair in pairs.flat_map(|ways| ways.split(", or ")) {
            let both = pair.split(" and ").try_fold(text.clone(), |text, way| changed(way, &text));
            mended.extend(both.map(|both| (pair.to_string(), both)));
        }
    }
    for (way, mended) in mended {
        fs::write(mkbc.path(file), mended).expect("the mended case");
        let again = mkbc.run(base);
        if again.code != Some(0) {
            bless.wrong(format!("{}: with the change {way} there is still no plan:\n{}", case.name, again.err));
        }
    }
}

/// The source with one change made: "`cost <= 1 usd` → `2 usd`" or "drop `only open_models`". `None` for what stands in no line of
/// its own (a pin at a call).
fn changed(way: &str, text: &str) -> Option<String> {
    let quoted: Vec<&str> = way.split('`').skip(1).step_by(2).collect();
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let place = text.lines().position(|line| {
        let line = plain(line);
        quoted.first().is_some_and(|old| line == *old || line == format!("slo {{ {old} }}"))
    })?;
    let lines = text.lines().enumerate().filter_map(|(n, line)| match quoted.as_slice() {
        [_] if n == place => None,
        [old, limit] if n == place => {
            let (metric, operator) = (old.split_whitespace().next()?, old.split_whitespace().nth(1)?);
            let clause = format!("{metric} {operator} {limit}");
            Some(if line.contains("slo {") { format!("slo {{ {clause} }}") } else { clause })
        }
        _ => Some(line.to_string()),
    });
    Some(lines.collect::<Vec<_>>().join("\n") + "\n")
}

#[test]
fn golden_plans() {
    let schema: Value = serde_json::from_str(&Mkbc::new().run(&["schema"]).out).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let (cases, bless) = (cases(), Bless::default());
    assert!(cases.len() > 40, "the cases are gone");
    let plans = at_once(&cases, |case| (case.name.clone(), check(case, &schema, &bless)));
    let plans: BTreeMap<String, Value> = plans.into_iter().filter_map(|(name, plan)| Some((name, plan?))).collect();
    coupling(&plans, &bless);
    bless.no_strangers(&repository().join("tests/plan"), &cases.iter().map(|c| c.name.as_str()).collect::<Vec<_>>());
    bless.end();
}

/// More frames upstream are dearer and slower in every step that works on frames.
fn coupling(plans: &BTreeMap<String, Value>, bless: &Bless) {
    let (Some(few), Some(many)) = (plans.get("few_frames"), plans.get("many_frames")) else {
        bless.wrong("`few_frames` and `many_frames` have no plan".to_string());
        return;
    };
    // A provider's latency is published per answer, whatever the question's length; what it costs is not.
    for (name, figures) in [("object_detection", &["cost_usd", "latency_s"][..]), ("question_answer", &["cost_usd"])] {
        let figure = |plan: &Value, figure: &str| {
            let steps = plan["steps"].as_array().into_iter().flatten();
            let step = steps.into_iter().find(|s| s["name"] == name).expect("the step");
            step["predicted"][figure].as_str().expect("a figure").parse::<f64>().expect("a number")
        };
        for f in figures {
            if figure(many, f) <= figure(few, f) {
                bless.wrong(format!("`{name}` has no more {f} for ten times the frames"));
            }
        }
    }
}

#[test]
fn the_published_schema_is_that_of_this_version() {
    let bless = Bless::default();
    bless.golden(&repository().join("docs/plan.schema.json"), &Mkbc::new().run(&["schema"]).out);
    bless.end();
}

/// All plans of a small job, one by one through pins: none is better than the one that was found.
#[test]
fn no_pinned_alternative_is_better() {
    const JOB: &str = "tests/plan/brute_force.template";
    let template = fs::read_to_string(repository().join(JOB)).expect("the template");
    let mkbc = Mkbc::new();
    let plan = |name: &str, first: &str, second: &str| -> Option<(f64, f64)> {
        let file = format!("{name}.mkb");
        let text = template.replace("/* first */", first).replace("/* second */", second);
        fs::write(mkbc.path(&file), text).expect("a job");
        let done = mkbc.run(&["plan", &file, "--cluster", "cpu_only", "--json"]);
        if done.code == Some(1) {
            assert!(done.err.contains("E0710"), "{first} {second}: {}", done.err);
            return None;
        }
        let plan: Value = serde_json::from_str(&done.out).expect("a plan");
        let number = |key: &str| plan["total"][key].as_str().expect("a figure").parse().expect("a number");
        Some((number("cost_usd"), number("quality")))
    };
    let (best, quality) = plan("free", "", "").expect("a plan");
    assert!(quality >= LEAST_QUALITY);
    let mut all: Vec<(String, String)> = Vec::new();
    for dpi in [60, 100, 150, 300] {
        for psm in [3, 6] {
            let first = format!("using tesseract_pages(dpi: {dpi}, psm: {psm}) on cpu * 1");
            all.push((first.clone(), "using bm25_pages on cpu * 1".to_string()));
            for variant in OPENAI {
                all.push((first.clone(), format!("using openai_chat(variant: \"{variant}\") on api")));
            }
        }
    }
    let numbered: Vec<(usize, &(String, String))> = all.iter().enumerate().collect();
    let pinned =
        at_once(&numbered, |(n, (first, second))| (first, second, plan(&format!("pinned_{n}"), first, second)));
    let possible: Vec<_> = pinned.into_iter().filter_map(|(a, b, p)| Some((a, b, p?))).collect();
    assert!(possible.len() > 5, "only {} alternatives can be planned", possible.len());
    assert!(possible.len() < all.len(), "the limit on quality excludes nothing, so that the check says little");
    for (first, second, (cost, quality)) in &possible {
        assert!(*quality >= LEAST_QUALITY, "{first}, {second}: {quality}");
        // The solver counts in millionths of a dollar, rounded up at each of the two steps.
        assert!(*cost >= best - 2e-6, "{first}, {second} costs {cost}, and the optimum {best}");
    }
    let least = possible.iter().map(|(.., (cost, _))| *cost).fold(f64::INFINITY, f64::min);
    assert!((least - best).abs() <= 2e-6, "the best alternative costs {least}, and the optimum {best}");
}

/// The variants of `openai_chat`. The template of the brute-force check avoids all other models.
const OPENAI: [&str; 25] = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "o3",
    "o4-mini-high",
    "gpt-5",
    "gpt-5-medium",
    "gpt-5-mini",
    "gpt-5-mini-medium",
    "gpt-5-nano",
    "gpt-5-nano-medium",
    "gpt-5.1",
    "gpt-5.2",
    "gpt-5.2-xhigh",
    "gpt-5.4",
    "gpt-5.4-low",
    "gpt-5.4-mini",
    "gpt-5.4-mini-medium",
    "gpt-5.4-nano",
    "gpt-5.4-nano-medium",
    "gpt-5.5",
    "gpt-5.5-low",
    "gpt-5.5-medium",
];

/// The limit on quality in the template of the brute-force check.
const LEAST_QUALITY: f64 = 0.7;
