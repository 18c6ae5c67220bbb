//! What must hold of every text and of every plan: nothing panics, every place is a place, and a plan that was tampered with
//! does not pass.

use murakkab::check::hole::report_holes;
use murakkab::compile::{Texts, check_file};
use murakkab::diag::source::{FileId, Sources};
use murakkab::diag::{Diagnostics, render};
use murakkab::library::Library;
use murakkab::plan::model::Plan;
use murakkab::plan::verify::{verify, verify_against};
use murakkab::syntax::parse::parse;
use murakkab::syntax::token::{Token, lex};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rust_decimal::{Decimal, dec};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() }
}

// ---- texts ----

/// Every place that is reported is in its text, on the bounds of characters, and all of it can be shown.
fn shown(cx: &Diagnostics, sources: &Sources) {
    for d in cx.iter() {
        let fix = d.fix.iter().map(|f| f.span);
        for span in std::iter::once(d.primary.span).chain(d.secondary.iter().map(|l| l.span)).chain(fix) {
            let text = &sources.get(span.file).text;
            assert!(text.get(span.range()).is_some(), "{} at {span:?} of {} bytes: {}", d.code, text.len(), d.message);
        }
    }
    render::text(cx, sources, false);
    render::json(cx, sources);
}

fn parses(text: &str) {
    let mut sources = Sources::default();
    let file = sources.add("any.mkb", text);
    let mut cx = Diagnostics::default();
    let tree = parse(file, &sources, &mut cx);
    for item in &tree.items {
        assert!(text.get(item.span.range()).is_some(), "an item at {:?}", item.span);
    }
    shown(&cx, &sources);
}

/// Checks a text that stands in the place of a module, or beside all of them.
fn checks(module: Option<usize>, text: &str) {
    let all = Texts::with_stdlib();
    let mut texts = Texts::default();
    for (i, (name, file)) in all.modules.iter().enumerate() {
        let of = if module == Some(i) { text } else { all.sources.get(*file).text.as_str() };
        let file = texts.sources.add(format!("{name}.mkb"), of);
        texts.modules.push((name.clone(), file));
    }
    for (name, file) in &all.profiles {
        let file = texts.sources.add(name.to_string(), all.sources.get(*file).text.as_str());
        texts.profiles.insert(name.clone(), file);
    }
    let main = if module.is_some() { sources()[0].1.as_str() } else { text };
    let file = texts.sources.add("any.mkb", main);
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    for job in &checked.program.jobs {
        report_holes(job, &checked.library, &mut cx);
    }
    shown(&cx, &texts.sources);
}

/// The examples, then the modules of the library with their number.
fn sources() -> &'static [(Option<usize>, String)] {
    static SOURCES: OnceLock<Vec<(Option<usize>, String)>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let mut paths: Vec<_> = fs::read_dir(folder).expect("examples").map(|e| e.expect("an entry").path()).collect();
        paths.retain(|p| p.extension().is_some_and(|e| e == "mkb"));
        paths.sort();
        let mut sources: Vec<_> = paths.iter().map(|p| (None, fs::read_to_string(p).expect("a text"))).collect();
        let library = Texts::with_stdlib();
        let modules = library.modules.iter().enumerate();
        sources.extend(modules.map(|(i, (_, file))| (Some(i), library.sources.get(*file).text.clone())));
        sources
    })
}

/// Words of the language, and what stands between them.
const WORDS: &str = "use job task model tool implements cluster device type enum let for in if else repeat up to until goal slo \
     minimize then prefer expect of using on at per retry timeout fallback cache not work size knob runs engine profile { } ( ) [ ] \
     -> == <= = : , . ? \"x\" 12 name";

fn tokens() -> Vec<&'static str> {
    WORDS.split_whitespace().chain(["\n", "80 %"]).collect()
}

#[derive(Clone, Debug)]
enum Edit {
    Delete,
    Duplicate,
    Insert(&'static str),
    CutFile,
    CutLine,
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => Just(Edit::Delete),
        2 => Just(Edit::Duplicate),
        3 => select(tokens()).prop_map(Edit::Insert),
        1 => Just(Edit::CutFile),
        1 => Just(Edit::CutLine),
    ]
}

fn edited(text: &str, edit: &Edit, at: &Index) -> String {
    let tokens = lex(text, FileId(0), &mut Diagnostics::default()).tokens;
    let Some(&(start, _, end)) = tokens.get(at.index(tokens.len().max(1))) else { return text.to_string() };
    let (start, end) = (start as usize, end as usize);
    let (before, token, after) = (&text[..start], &text[start..end], &text[end..]);
    match edit {
        Edit::Delete => format!("{before}{after}"),
        Edit::Duplicate => format!("{before}{token} {token}{after}"),
        Edit::Insert(new) => format!("{before} {new} {token}{after}"),
        Edit::CutFile => before.to_string(),
        Edit::CutLine => {
            let from = before.rfind('\n').map_or(0, |i| i + 1);
            let to = after.find('\n').map_or(text.len(), |i| end + i + 1);
            format!("{}{}", &text[..from], &text[to..])
        }
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_bytes_parse(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parses(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_parses(text in "(\\PC|[\\r\\n\\t\"{}()\\[\\]/?.]){0,200}") {
        parses(&text);
        parses(&format!("\u{feff}{text}"));
        parses(&format!("job a(x: Text) -> Text {{\n  {text}\n}}\n"));
    }

    #[test]
    fn any_tokens_parse(words in proptest::collection::vec(select(tokens()), 0..150)) {
        parses(&words.join(" "));
        parses(&format!("job a(x: Text) -> Text {{ {} }}", words.join(" ")));
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn an_edited_file_is_checked(
        file in any::<Index>(),
        edits in proptest::collection::vec((edits(), any::<Index>()), 1..4),
    ) {
        let (module, source) = &sources()[file.index(sources().len())];
        let text = edits.iter().fold(source.clone(), |text, (edit, at)| edited(&text, edit, at));
        checks(*module, &text);
    }

    #[test]
    fn any_tokens_are_checked(words in proptest::collection::vec(select(tokens()), 0..60)) {
        checks(None, &format!("use std.llm\njob name(x: Text, xs: List[Text]) -> Text {{\n  {}\n}}\n", words.join(" ")));
    }
}

#[test]
fn tokens_are_what_the_edits_take_them_for() {
    let read = lex(&tokens().join(" "), FileId(0), &mut Diagnostics::default()).tokens;
    assert_eq!(read.len(), tokens().len() + 1, "`80 %` is two");
    assert!(read.iter().all(|t| t.1 != Token::OpenStr));
}

// ---- plans ----

/// A real plan, made once by the program.
fn plan() -> &'static Value {
    static PLAN: OnceLock<Value> = OnceLock::new();
    PLAN.get_or_init(|| {
        let made = Command::new(env!("CARGO_BIN_EXE_mkbc"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["plan", "examples/document_qa.mkb", "--cluster", "cpu_only", "--json"])
            .stdin(Stdio::null())
            .output()
            .expect("mkbc runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        serde_json::from_slice(&made.stdout).expect("a plan is JSON")
    })
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Arc<Library>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut texts = Texts::with_stdlib();
        let file = texts.sources.add("none.mkb", "");
        check_file(&texts, file, &mut Diagnostics::default()).library
    })
}

fn read(plan: &Value) -> Result<Plan, String> {
    serde_json::from_str(&plan.to_string()).map_err(|e| e.to_string())
}

/// What is wrong with a plan, its form included.
fn wrong(plan: &Value) -> Vec<String> {
    match read(plan) {
        Err(why) => vec![why],
        Ok(plan) => verify_against(&plan, library()),
    }
}

/// The paths of all values in a document.
fn paths(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_string());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, v)| paths(v, &format!("{at}/{key}"), out)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| paths(v, &format!("{at}/{i}"), out)),
        _ => {}
    }
}

fn every_path() -> &'static [String] {
    static PATHS: OnceLock<Vec<String>> = OnceLock::new();
    PATHS.get_or_init(|| {
        let mut out = Vec::new();
        paths(plan(), "", &mut out);
        out
    })
}

fn with(path: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut changed = plan().clone();
    change(changed.pointer_mut(path).unwrap_or_else(|| panic!("no {path} in the plan")));
    changed
}

fn strange() -> &'static [Value] {
    static STRANGE: OnceLock<Vec<Value>> = OnceLock::new();
    let read = || {
        serde_json::from_str(
            r#"[null, true, [], {}, "", "zebra", "🦓", 0, -1, 1, 7, 4294967295, 18446744073709551615, -9223372036854775808, 1e308,
            "0", "1", "-1", "0.5", "99999999999999999999", "-99999999999999999999", "0.0000000000000000000000000001", "1e9999",
            {"value": 0}, {"value": 4294967295}, {"literal": [[[[]]]]}, {"list": "text"},
            {"kind": "map", "over": {"value": 0}, "item": 77, "body": {"nodes": [], "result": {"value": 77}}, "output": 78},
            {"kind": "repeat", "limit": 0, "expected": null, "carry": null, "body": {"nodes": [], "result": {"value": 0}},
             "until": {"value": 0}, "output": 79}]"#,
        )
    };
    STRANGE.get_or_init(|| read().expect("strange values are JSON"))
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn any_change_of_a_plan_is_read_and_verified(
        changes in proptest::collection::vec((any::<Index>(), any::<Index>(), 0..6u8), 1..4),
    ) {
        let mut changed = plan().clone();
        for (at, what, how) in &changes {
            let path = &every_path()[at.index(every_path().len())];
            let other = &every_path()[what.index(every_path().len())];
            let copied = changed.pointer(other).cloned().unwrap_or_default();
            let Some(place) = changed.pointer_mut(path) else { continue };
            match (how, place) {
                (0, Value::Array(items)) if !items.is_empty() => drop(items.remove(what.index(items.len()))),
                (1, Value::Array(items)) if !items.is_empty() => items.push(items[what.index(items.len())].clone()),
                (2, Value::Array(items)) => items.reverse(),
                (0 | 1, Value::Object(fields)) => {
                    let key = fields.keys().nth(what.index(fields.len().max(1))).cloned();
                    key.into_iter().for_each(|k| drop(fields.remove(&k)));
                }
                (3, place) => *place = copied,
                (_, place) => *place = strange()[what.index(strange().len())].clone(),
            }
        }
        if let Ok(plan) = read(&changed) {
            verify(&plan);
        }
    }

    #[test]
    fn any_text_is_no_plan(text in "\\PC{0,100}") {
        prop_assert!(serde_json::from_str::<Plan>(&text).is_err());
    }
}

#[test]
fn every_value_of_a_plan_may_be_strange() {
    for path in every_path() {
        for value in strange() {
            if let Ok(plan) = read(&with(path, |place| *place = value.clone())) {
                verify(&plan);
                verify_against(&plan, library());
            }
        }
    }
}

#[test]
fn deeply_nested_plans_are_refused() {
    for n in [100, 1_000, 100_000] {
        let nested = format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(serde_json::from_str::<Plan>(&nested).is_err());
        let literal = plan().to_string().replacen("\"question\"", &nested, 1);
        let _ = serde_json::from_str::<Plan>(&literal).map(|plan| verify(&plan));
        let ty = format!("{}\"text\"{}", "{\"list\":".repeat(n), "}".repeat(n));
        let _ = serde_json::from_str::<murakkab::types::Type>(&ty);
    }
}

#[test]
fn the_plan_itself_is_sound() {
    assert_eq!(wrong(plan()), [""; 0]);
    assert_eq!(verify(&read(plan()).expect("a plan")), [""; 0]);
}

/// A decimal in a plan, changed.
fn decimal(path: &str, change: impl FnOnce(Decimal) -> Decimal) -> Value {
    with(path, |v| {
        let old: Decimal =
            v.as_str().unwrap_or_else(|| panic!("{path} is no decimal: {v}")).parse().expect("a decimal");
        *v = json!(change(old).to_string());
    })
}

fn alone(plan: &Value) -> Vec<String> {
    read(plan).map_or_else(|e| vec![e], |p| verify(&p))
}

#[test]
fn a_changed_figure_is_found() {
    for figure in ["latency_s", "cost_usd", "energy_wh", "quality"] {
        for step in 0..2 {
            let path = format!("/steps/{step}/predicted/{figure}");
            let changed = decimal(&path, |d| if figure == "quality" { d * dec!(0.9) } else { d + dec!(0.001) });
            assert!(!alone(&changed).is_empty() && !wrong(&changed).is_empty(), "{path}");
        }
    }
    assert!(!wrong(&decimal("/steps/0/predicted/memory_gb", |d| d + dec!(1))).is_empty());
}

#[test]
fn a_changed_total_is_found() {
    for total in ["latency_s", "cost_usd", "energy_wh", "quality"] {
        let path = format!("/total/{total}");
        assert!(!alone(&decimal(&path, |d| d + dec!(0.0001))).is_empty(), "{path}");
    }
    assert!(!wrong(&with("/total/gpus", |v| *v = json!(3))).is_empty());
}

#[test]
fn a_broken_clause_is_found() {
    for (i, clause) in plan()["clauses"].as_array().expect("clauses").iter().enumerate() {
        assert_eq!(clause["soft"], json!(false));
        let value: Decimal = clause["value"].as_str().expect("a decimal").parse().expect("a decimal");
        for holds in [true, false] {
            let changed = with(&format!("/clauses/{i}"), |c| {
                c["limit"] = json!((value / dec!(2)).to_string());
                c["slack"] = json!((-value / dec!(2)).to_string());
                c["holds"] = json!(holds);
            });
            assert!(!alone(&changed).is_empty(), "clause {i}");
        }
        let denied = with(&format!("/clauses/{i}/holds"), |h| *h = json!(false));
        assert!(!alone(&denied).is_empty(), "clause {i}");
    }
}

#[test]
fn swapped_steps_are_found() {
    let swap = |a: &str, b: &str| {
        let mut changed = plan().clone();
        let (x, y) = (changed.pointer(a).cloned().expect("a"), changed.pointer(b).cloned().expect("b"));
        *changed.pointer_mut(a).expect("a") = y;
        *changed.pointer_mut(b).expect("b") = x;
        wrong(&changed)
    };
    assert!(!swap("/steps/0/id", "/steps/1/id").is_empty());
    assert!(!swap("/steps/0", "/steps/1").is_empty());
    assert!(!swap("/body/nodes/0", "/body/nodes/1").is_empty());
    assert!(!swap("/body/nodes/0/step", "/body/nodes/1/step").is_empty());
    assert!(!swap("/body/nodes/0/output", "/body/nodes/1/output").is_empty());
    for id in ["/body/nodes/0/step", "/steps/0/id"] {
        for other in [1, 2, u32::MAX] {
            assert!(!wrong(&with(id, |v| *v = json!(other))).is_empty(), "{id} = {other}");
        }
    }
}

/// What a plan says and nothing checks, against the library or not: words for people, digests, what the job alone knows, and how far
/// a limit was moved for its price.
const UNSEEN: &str = "/compiler /job /hashes/source /hashes/library /cluster/name /cluster/pools/cpu/units /inputs/#/name
    /inputs/#/sizes/tokens /steps/#/name /steps/#/line /steps/#/conditions/retries /steps/#/conditions/timeout_ms /steps/#/reason
    /clauses/#/text /clauses/#/line /clauses/#/soft /clauses/#/price/step /wishes/#/text /proof/by /proof/z3_checks /proof/nodes /proof/kept/#";

/// Known: these are not checked either, and could be.
const UNSEEN_YET: &str =
    "/body/nodes/#/args/#/# /steps/#/params/#/# /steps/#/calls /steps/#/label /steps/#/evidence/#/figure
    /steps/#/evidence/#/source /wishes/#/value /total/energy_known";

#[test]
fn any_changed_value_is_found() {
    let mut unseen = Vec::new();
    for path in every_path() {
        let new = match plan().pointer(path) {
            Some(Value::String(old)) => match old.parse::<Decimal>() {
                Ok(number) => json!((number + dec!(0.01)).to_string()),
                Err(_) => json!(format!("{old}x")),
            },
            Some(Value::Number(old)) => json!(old.as_u64().map_or(0, |n| n + 1)),
            Some(Value::Bool(old)) => json!(!old),
            Some(Value::Null) => json!(5),
            _ => continue,
        };
        let kind: Vec<&str> =
            path.split('/').map(|part| if part.parse::<usize>().is_ok() { "#" } else { part }).collect();
        let kind = kind.join("/");
        let known = UNSEEN.split_whitespace().chain(UNSEEN_YET.split_whitespace()).any(|k| k == kind);
        if !known && wrong(&with(path, |place| *place = new.clone())).is_empty() {
            unseen.push(format!("{path} → {new}"));
        }
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
}

#[test]
fn figures_at_the_ends_of_decimal_are_refused() {
    for path in every_path() {
        for value in [Decimal::MIN, Decimal::MAX] {
            if let Ok(plan) = read(&with(path, |place| *place = json!(value.to_string()))) {
                verify(&plan);
                verify_against(&plan, library());
            }
        }
    }
}
