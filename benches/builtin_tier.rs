//! Figures of the built-in tier, as rows of its profiles: `cargo bench --bench builtin_tier`.
//!
//! Quality is the share of cases whose answer contains what a right answer must contain (tests/data/qa_set.json,
//! tests/data/summarise_set.json); latency is the median over the cases. Names of functions choose what is measured.

use murakkab::run::engines::builtin::{FUNCTIONS, Given};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

const REPEATS: u32 = 20;

fn main() {
    let qa: Value = serde_json::from_str(include_str!("../tests/data/qa_set.json")).expect("the set is JSON");
    let texts: Value = serde_json::from_str(include_str!("../tests/data/summarise_set.json")).expect("the set is JSON");
    let cases = |set: &Value| set["cases"].as_array().cloned().unwrap_or_default();

    let answers = cases(&qa).into_iter().map(|c| {
        let args = json!({"question": c["question"], "transcript": c["transcript"], "observations": c["observations"]});
        (args, c["expect"].clone())
    });
    measure("bm25_answer", &[], &answers.collect::<Vec<_>>());

    let pages = cases(&qa).into_iter().map(|c| {
        let segments = c["transcript"]["segments"].as_array().cloned().unwrap_or_default();
        let page: Vec<&str> = segments.iter().filter_map(|s| s["text"].as_str()).collect();
        (json!({"question": c["question"], "pages": [page.join(".\n")]}), c["expect"].clone())
    });
    // Only what is said stands on these pages: cases whose answer is seen are left out.
    let said = |(args, expect): &(Value, Value)| {
        let wanted = expect.as_str().unwrap_or_default().to_lowercase();
        wanted.starts_with("no answer") || args["pages"][0].as_str().is_some_and(|p| p.to_lowercase().contains(&wanted))
    };
    measure("bm25_pages", &[], &pages.filter(said).collect::<Vec<_>>());

    // One question to four videos, of which one holds the answer: does the best score come from it? Cases that the tier does
    // not answer from the right video are left out, since nothing right is among the answers then.
    let all = cases(&qa);
    let asked = |question: &Value, about: &Value| {
        let args =
            json!({"question": question, "transcript": about["transcript"], "observations": about["observations"]});
        call("bm25_answer", &[], &args)
    };
    let four = (0..all.len()).map(|i| {
        let answers: Vec<Value> = (1..5).map(|k| asked(&all[i]["question"], &all[(i + k * 5) % all.len()])).collect();
        let mut answers = answers;
        answers[i % 4] = asked(&all[i]["question"], &all[i]);
        (json!({"question": all[i]["question"], "answers": answers}), all[i]["expect"].clone(), answers[i % 4].clone())
    });
    let answered = four.filter(|(_, expect, own)| !contains(expect, &json!("no answer")) && contains(own, expect));
    measure("best_answer", &[], &answered.map(|(args, expect, _)| (args, expect)).collect::<Vec<_>>());

    for sentences in ["1", "2", "3"] {
        let summaries = cases(&texts).into_iter().map(|c| {
            let expect = c.get("expect").or(c.get("keep")).cloned().unwrap_or_default();
            (json!({"text": c["text"]}), expect)
        });
        measure("extractive_summary", &[("sentences", sentences)], &summaries.collect::<Vec<_>>());
    }
}

/// Whether an answer contains what it must contain, whatever the case.
fn contains(answer: &Value, wanted: &Value) -> bool {
    let lower = |v: &Value| v.as_str().unwrap_or_default().to_lowercase();
    lower(answer).contains(&lower(wanted))
}

fn call(name: &str, options: &[(&str, &str)], args: &Value) -> Value {
    let Some((_, function)) = FUNCTIONS.iter().find(|(n, _)| *n == name) else { return Value::Null };
    let args = args.as_object().into_iter().flatten();
    let given = Given {
        args: args.map(|(n, v)| (n.clone(), Arc::new(v.clone()))).collect(),
        options: options.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect::<BTreeMap<_, _>>(),
    };
    function(&given).unwrap_or(Value::Null)
}

/// Calls a function on every case and prints its latency and quality.
fn measure(name: &str, options: &[(&str, &str)], cases: &[(Value, Value)]) {
    let mut times = Vec::new();
    let mut right = 0;
    for (args, expect) in cases {
        let mut answer = Value::Null;
        for _ in 0..REPEATS {
            let started = Instant::now();
            answer = call(name, options, args);
            times.push(started.elapsed().as_secs_f64());
        }
        right += u32::from(contains(&answer, expect));
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get(((times.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
    let quality = f64::from(right) * 100.0 / cases.len().max(1) as f64;
    let setting: Vec<String> = options.iter().map(|(n, v)| format!("{n}={v} ")).collect();
    println!(
        "{name} {}latency {:.6} s (p5 {:.6}, p95 {:.6}); quality {quality:.1} % ({right} of {} cases)",
        setting.concat(),
        at(0.5),
        at(0.05),
        at(0.95),
        cases.len()
    );
}
