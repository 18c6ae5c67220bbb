//! Questions about plans: every command of `COMMANDS` on the jobs of `tests/ask`, whose library is a fake with round figures,
//! against `tests/ask/<name>.txt`. `BLESS=1 cargo test --test ask` rewrites them.
//!
//! Beyond the text: every answer fits the published schema, and what is said of limits and figures is tried by changing them.

#[path = "cli/mkbc.rs"]
mod mkbc;

use mkbc::{Bless, Mkbc, at_once, repository};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Name, and the words of the command; `note.mkb` and `clash.mkb` are the jobs.
const COMMANDS: &[(&str, &[&str])] = &[
    ("why_decided", &["why", "note.mkb", "draft"]),
    ("why_wish", &["why", "note.mkb", "polish", "--cluster", "office"]),
    ("why_unknown_step", &["why", "note.mkb", "drat"]),
    ("why_unknown_step_no_near_name", &["why", "note.mkb", "zebra"]),
    ("why_clash", &["why", "clash.mkb", "draft"]),
    ("why_plan_missing", &["why", "note.mkb", "draft", "--plan", "none.json"]),
    ("why_not_priced", &["why-not", "note.mkb", "scribe"]),
    ("why_not_step", &["why-not", "note.mkb", "scribe", "--step", "polish"]),
    ("why_not_pinned", &["why-not", "note.mkb", "pen(care: low) on cpu * 2"]),
    ("why_not_conflict", &["why-not", "clash.mkb", "pen", "--cluster", "office"]),
    ("why_not_clash_with_line", &["why-not", "strict.mkb", "pen(care: low)"]),
    ("why_not_chosen", &["why-not", "note.mkb", "rubber"]),
    ("why_not_excluded_machine", &["why-not", "note.mkb", "press"]),
    ("why_not_excluded_hardware", &["why-not", "note.mkb", "pen on big"]),
    ("why_not_excluded_units", &["why-not", "note.mkb", "rubber on cpu * 3"]),
    ("why_not_other_task", &["why-not", "note.mkb", "rubber", "--step", "draft"]),
    ("why_not_no_step", &["why-not", "note.mkb", "whisper"]),
    ("why_not_unknown_model", &["why-not", "note.mkb", "scrbe"]),
    ("why_not_unknown_knob", &["why-not", "note.mkb", "pen(car: low)"]),
    ("why_not_unknown_step", &["why-not", "note.mkb", "pen", "--step", "darft"]),
    ("why_not_no_pin", &["why-not", "note.mkb", ""]),
    ("what_if_tighter", &["what-if", "note.mkb", "quality >= 82 %"]),
    ("what_if_two", &["what-if", "note.mkb", "latency <= 20 s", "minimize latency"]),
    ("what_if_same", &["what-if", "note.mkb", "quality >= 80 %"]),
    ("what_if_drop", &["what-if", "note.mkb", "--drop", "quality"]),
    ("what_if_drop_line", &["what-if", "note.mkb", "--drop", "latency <= 60 s"]),
    ("what_if_drop_unknown", &["what-if", "note.mkb", "--drop", "qualty"]),
    ("what_if_cluster", &["what-if", "note.mkb", "on office"]),
    ("what_if_cluster_unknown", &["what-if", "note.mkb", "on ofice"]),
    ("what_if_pin", &["what-if", "note.mkb", "using pen(care: low)"]),
    ("what_if_avoid", &["what-if", "note.mkb", "avoid rubber"]),
    ("what_if_size", &["what-if", "note.mkb", "expect topic of 200 tok"]),
    ("what_if_conflict", &["what-if", "note.mkb", "latency <= 1 s"]),
    ("what_if_cures", &["what-if", "clash.mkb", "cost <= 1 usd"]),
    ("what_if_no_unit", &["what-if", "note.mkb", "latency <= 30"]),
    ("what_if_no_sign", &["what-if", "note.mkb", "latency 30 s"]),
    ("what_if_wrong_unit", &["what-if", "note.mkb", "latency <= 30 usd"]),
    ("what_if_wrong_way", &["what-if", "note.mkb", "quality <= 80 %"]),
    ("what_if_metric", &["what-if", "note.mkb", "latncy <= 30 s"]),
    ("what_if_syntax", &["what-if", "note.mkb", "latency <="]),
    ("what_if_data_flow", &["what-if", "note.mkb", "using pen\n let x = 3"]),
    ("what_if_braces", &["what-if", "note.mkb", "cost <= 1 usd } minimize cost slo {"]),
    ("what_if_empty", &["what-if", "note.mkb", ""]),
    ("what_if_nothing", &["what-if", "note.mkb"]),
    ("pareto", &["pareto", "note.mkb", "cost,latency"]),
    ("pareto_beyond", &["pareto", "note.mkb", "cost,latency,quality", "--beyond"]),
    ("pareto_subset", &["pareto", "note.mkb", "cost,latency,quality", "--beyond", "--points", "3"]),
    ("pareto_csv", &["pareto", "note.mkb", "cost,quality", "--beyond", "--format", "csv"]),
    ("pareto_svg", &["pareto", "note.mkb", "cost,latency", "--beyond", "--format", "svg"]),
    ("pareto_html", &["pareto", "note.mkb", "cost,latency,quality", "--beyond", "--format", "html"]),
    ("pareto_clash", &["pareto", "clash.mkb", "cost,quality"]),
    ("pareto_clash_beyond", &["pareto", "clash.mkb", "cost,quality", "--beyond"]),
    ("pareto_one_metric", &["pareto", "note.mkb", "cost"]),
    ("pareto_same_metric", &["pareto", "note.mkb", "cost,cost"]),
    ("pareto_no_metric", &["pareto", "note.mkb", ","]),
    ("pareto_four_metrics", &["pareto", "note.mkb", "cost,latency,quality,energy"]),
    ("pareto_unknown_metric", &["pareto", "note.mkb", "cost,qualty"]),
    ("pareto_no_points", &["pareto", "note.mkb", "cost,quality", "--points", "0"]),
    ("pareto_too_many_points", &["pareto", "note.mkb", "cost,quality", "--points", "1000000000"]),
    ("pareto_out_unwritable", &["pareto", "note.mkb", "cost,quality", "-o", "missing/front.csv"]),
    ("pareto_out_of_time", &["pareto", "note.mkb", "cost,quality", "--time-limit", "0"]),
    ("sensitivity", &["sensitivity", "note.mkb"]),
    ("sensitivity_robust", &["sensitivity", "note.mkb", "--robust", "--cluster", "office"]),
    ("sensitivity_bounded", &["sensitivity", "note.mkb", "--solves", "3"]),
    ("sensitivity_clash", &["sensitivity", "clash.mkb"]),
    ("plan_prices", &["plan", "priced.mkb"]),
    ("plan_no_prices", &["plan", "priced.mkb", "--no-prices"]),
    ("plan_robust", &["plan", "note.mkb", "--robust", "--no-prices", "--cluster", "office"]),
];

/// A folder with the jobs; the library is where it is.
fn folder() -> Mkbc {
    let mkbc = Mkbc::new();
    let at = |name: &str| fs::read_to_string(repository().join("tests/ask").join(name)).expect("a job");
    let note = at("note.mkb");
    mkbc.write("note.mkb", &note);
    mkbc.write("clash.mkb", at("clash.mkb"));
    mkbc.write("strict.mkb", note.replace("prefer avoid", "avoid"));
    mkbc.write("priced.mkb", note.replace("75 %", "81 %").replace("60 s", "50 s"));
    mkbc
}

fn library() -> String {
    repository().join("tests/ask/lib").display().to_string()
}

fn run(mkbc: &Mkbc, words: &[&str], more: &[&str]) -> mkbc::Done {
    let library = library();
    let words: Vec<&str> = words.iter().chain(&["--library", &library]).chain(more).copied().collect();
    mkbc.run(&words)
}

/// The version of z3, and how hard the solver worked.
fn masked(text: &str) -> String {
    let mask = |line: &str| {
        let line = match line.split_once(" after presolve, ") {
            Some((head, _)) => format!("{head} after presolve, N nodes, N calls of z3"),
            None => line.to_string(),
        };
        match line.split_once("proved by z3 ") {
            Some((head, tail)) => {
                let rest = tail.find(';').map_or("", |at| &tail[at..]);
                format!("{head}proved by z3 X{rest}")
            }
            None => line,
        }
    };
    text.lines().map(|line| mask(line) + "\n").collect()
}

#[test]
fn golden_answers() {
    let bless = Bless::default();
    at_once(COMMANDS, |(name, words)| {
        let mkbc = folder();
        let done = run(&mkbc, words, &[]);
        let golden = repository().join(format!("tests/ask/{name}.txt"));
        bless.golden(&golden, &masked(&done.shown(&mkbc)));
        let left = fs::read_dir(mkbc.path(".")).expect("a folder").count();
        if left != 4 {
            bless.wrong(format!("{name}: left files behind"));
        }
    });
    let names: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).chain(["note", "clash"]).collect();
    bless.no_strangers(&repository().join("tests/ask"), &names);
    bless.end();
}

#[test]
fn answers_fit_the_published_schema() {
    let bless = Bless::default();
    let schema = Mkbc::new().run(&["schema", "answer"]).out;
    bless.golden(&repository().join("docs/answer.schema.json"), &schema);
    let schema: Value = serde_json::from_str(&schema).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let questions = COMMANDS.iter().filter(|(_, words)| words[0] != "plan" && !words.contains(&"--format"));
    at_once(&questions.collect::<Vec<_>>(), |(name, words)| {
        let mkbc = folder();
        let done = run(&mkbc, words, &["--format", "json"]);
        if done.code == Some(0) {
            let answer: Value = serde_json::from_str(&done.out).unwrap_or_default();
            for error in schema.iter_errors(&answer) {
                bless.wrong(format!("{name}: {error} at {}", error.instance_path()));
            }
            let again = run(&mkbc, words, &["--format", "json"]).out;
            if again != done.out {
                bless.wrong(format!("{name}: the same question has two answers"));
            }
        } else if done.code == Some(1) && !done.out.is_empty() && serde_json::from_str::<Value>(&done.out).is_err() {
            bless.wrong(format!("{name}: what is said is no JSON:\n{}", done.out));
        }
    });
    bless.end();
}

fn plan(mkbc: &Mkbc, file: &str, library: &Path) -> Option<Value> {
    let library = library.display().to_string();
    let done = mkbc.run(&["plan", file, "--json", "--no-prices", "--library", &library]);
    (done.code == Some(0)).then(|| serde_json::from_str(&done.out).expect("a plan"))
}

fn number(value: &Value) -> f64 {
    value.as_str().expect("a decimal").parse().expect("a number")
}

/// The choices of a plan.
fn choices(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().expect("steps");
    steps.iter().map(|s| format!("{} {} {}", s["implementation"], s["knobs"], s["hardware"])).collect()
}

/// Every move of a figure that is said to change the plan does so, and one that is a little smaller does not.
#[test]
fn moved_figures_change_the_plan_where_it_is_said() {
    let mkbc = folder();
    let done = run(&mkbc, &["sensitivity", "note.mkb"], &["--format", "json"]);
    let answer: Value = serde_json::from_str(&done.out).expect("an answer");
    let real = repository().join("tests/ask/lib");
    let before = choices(&plan(&mkbc, "note.mkb", &real).expect("a plan"));
    let mut tried = 0;
    for figure in answer["figures"].as_array().expect("figures") {
        let text = |key: &str| figure[key].as_str().expect("a text").to_string();
        let (file, name, setting) = (format!("{}.csv", text("implementation")), text("figure"), text("setting"));
        for side in ["down", "up"].map(|side| &figure[side]).into_iter().filter(|m| !m.is_null()) {
            let (value, to) = (number(&figure["value"]), number(&side["to"]));
            for (at, changes) in [(to, true), (to - (to - value).signum() * value * 0.004, false)] {
                let folder = tempfile::tempdir().expect("a folder");
                fs::create_dir(folder.path().join("profiles")).expect("a folder");
                fs::copy(real.join("desk.mkb"), folder.path().join("desk.mkb")).expect("a copy");
                for entry in fs::read_dir(real.join("profiles")).expect("profiles").flatten() {
                    let text = fs::read_to_string(entry.path()).expect("a profile");
                    let moved = if *entry.file_name() == *file { edited(&text, &name, &setting, at) } else { text };
                    fs::write(folder.path().join("profiles").join(entry.file_name()), moved).expect("a profile");
                }
                let after = plan(&mkbc, "note.mkb", folder.path()).map(|p| choices(&p));
                assert_eq!(after.as_ref() != Some(&before), changes, "{file} {name} ({setting}) at {at}: {after:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 8, "only {tried} moves were tried");
}

/// A profile with the value of one row replaced; its interval goes.
fn edited(text: &str, figure: &str, setting: &str, value: f64) -> String {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let column = |name: &str| header.iter().position(|h| *h == name).expect("a column");
    let (device, mut found) = (column("device"), 0);
    let mut out = header.join(",") + "\n";
    for line in lines {
        let mut cells: Vec<String> = line.split(',').map(str::to_string).collect();
        let knobs = (0..device).filter(|k| !cells[*k].is_empty()).map(|k| format!("{} {}", header[k], cells[k]));
        let on = Some(cells[device].clone()).filter(|d| !d.is_empty());
        let units = Some(format!("* {}", cells[column("units")])).filter(|u| u != "* ");
        let of: Vec<String> = knobs.chain(on).chain(units).collect();
        if cells[column("figure")] == figure && of.join(", ") == setting {
            let percent = if cells[column("unit")] == "%" { 100.0 } else { 1.0 };
            cells[column("value")] = format!("{:.9}", value * percent);
            (cells[column("low")], cells[column("high")]) = (String::new(), String::new());
            found += 1;
        }
        out += &(cells.join(",") + "\n");
    }
    assert_eq!(found, 1, "{figure} ({setting}) is not one row");
    out
}

/// The price of a limit is what planning with the other limit costs.
#[test]
fn prices_are_those_of_other_plans() {
    let mkbc = folder();
    let done = run(&mkbc, &["plan", "priced.mkb", "--json"], &[]);
    let priced: Value = serde_json::from_str(&done.out).expect("a plan");
    let job = mkbc.read("priced.mkb");
    let mut tried = 0;
    for clause in priced["clauses"].as_array().expect("clauses").iter().filter(|c| !c["price"].is_null()) {
        let (limit, step) = (number(&clause["limit"]), number(&clause["price"]["step"]));
        let (unit, up) = if clause["metric"] == "quality" { (100.0, 1.0) } else { (1.0, -1.0) };
        for (side, by) in [("tighter", up), ("looser", -up)] {
            let text = clause["text"].as_str().expect("a text");
            let old = text.split_whitespace().nth(2).expect("a limit");
            let moved = text.replace(old, &format!("{}", ((limit + by * step) * unit * 1e6).round() / 1e6));
            mkbc.write("moved.mkb", job.replace(text, &moved));
            let other = plan(&mkbc, "moved.mkb", Path::new(&library()));
            let said = &clause["price"][side];
            assert_eq!(other.is_some(), !said.is_null(), "{moved}");
            if let Some(other) = other {
                let by = number(&other["total"]["cost_usd"]) - number(&priced["total"]["cost_usd"]);
                assert!((by - number(&said["cost_usd"])).abs() < 1e-9, "{moved}: {by} and not {said}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 4, "only {tried} prices were tried");
}

/// A plan file can be asked about, as it is, whatever the best plan is now.
#[test]
fn a_plan_that_was_written_can_be_asked_about() {
    let mkbc = folder();
    assert_eq!(run(&mkbc, &["plan", "note.mkb", "-o", "plan.json", "--cluster", "office"], &[]).code, Some(0));
    let asked = run(&mkbc, &["why", "note.mkb", "polish", "--plan", "plan.json"], &["--format", "json"]);
    let answer: Value = serde_json::from_str(&asked.out).expect("an answer");
    assert_eq!((&answer["cluster"], &answer["chosen"]["implementation"]), (&"office".into(), &"press".into()));
    mkbc.write("note.mkb", mkbc.read("note.mkb").replace("75 %", "76 %"));
    let stale = run(&mkbc, &["why", "note.mkb", "polish", "--plan", "plan.json"], &[]);
    assert_eq!(stale.code, Some(1));
    assert!(stale.err.contains("plan again"), "{}", stale.err);
}

/// Files are written whole or not at all, and pages need nothing from elsewhere.
#[test]
fn fronts_are_written_whole_and_stand_alone() {
    let mkbc = folder();
    for format in ["table", "csv", "json", "svg", "html"] {
        let direct = run(&mkbc, &["pareto", "note.mkb", "cost,latency,quality", "--beyond", "--format", format], &[]);
        let file = format!("front.{format}");
        let written = run(
            &mkbc,
            &["pareto", "note.mkb", "cost,latency,quality", "--beyond", "--format", format, "-o", &file],
            &[],
        );
        assert_eq!((direct.code, written.code), (Some(0), Some(0)));
        assert_eq!(mkbc.read(&file), direct.out, "{format}");
        assert!(written.out.contains("written to"), "{}", written.out);
        let elsewhere = direct.out.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http") && !elsewhere.contains("src=") && !elsewhere.contains("@import"));
    }
    let page = mkbc.read("front.html");
    assert_eq!(page.matches("<circle class=\"hit\"").count(), page.matches("<tr data-point").count());
    let csv = mkbc.read("front.csv");
    assert_eq!(csv.lines().count() - 1, page.matches("<tr data-point").count());
}
