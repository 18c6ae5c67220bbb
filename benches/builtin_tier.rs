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
    retrieval(&cases(&qa));
    vectors();

    // The share of fields that are right, absent ones included.
    let fields: Value = serde_json::from_str(include_str!("../tests/data/extract_set.json")).expect("the set is JSON");
    let fields =
        cases(&fields).into_iter().map(|c| (json!({"text": c["text"], "schema": c["schema"]}), c["expect"].clone()));
    measure_by("labelled_fields", &[], &fields.collect::<Vec<_>>(), &|answer, wanted| {
        let wanted = wanted.as_object().into_iter().flatten();
        let right: Vec<bool> = wanted.map(|(name, value)| same(&answer[name], value)).collect();
        right.iter().filter(|r| **r).count() as f64 / right.len().max(1) as f64
    });
    let sums = [("(3/4 + 1/8) * 16", "14"), ("2^100", "1267650600228229401496703205376"), ("sqrt(2)", "1.4142135624")];
    let sums = sums.map(|(sum, value)| (json!({"expression": sum}), json!(value)));
    measure("calculator", &[], &sums);
}

/// Every sentence that is said in some video is a passage; a question is right where a passage of its video holds the answer.
fn retrieval(cases: &[Value]) {
    let said = |case: &Value| -> Vec<String> {
        let segments = case["transcript"]["segments"].as_array().into_iter().flatten();
        segments.filter_map(|s| Some(s["text"].as_str()?.to_owned())).collect()
    };
    let mut texts: Vec<String> = Vec::new();
    for text in cases.iter().flat_map(said) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let passages: Vec<Value> = texts.iter().map(|t| json!({"source": "1", "text": t, "score": 0.0})).collect();
    let asked: Vec<(Value, Value)> = cases
        .iter()
        .filter_map(|c| {
            let wanted = c["expect"].as_str()?.to_lowercase();
            let right: Vec<String> = said(c).into_iter().filter(|t| t.to_lowercase().contains(&wanted)).collect();
            (!right.is_empty()).then(|| (json!({"question": c["question"], "passages": passages}), json!(right)))
        })
        .collect();
    let place = |found: &Value, right: &Value| {
        let texts = found.as_array().into_iter().flatten().map(|p| &p["text"]);
        texts.zip(1..).find(|(t, _)| right.as_array().is_some_and(|r| r.contains(t))).map(|(_, place)| f64::from(place))
    };
    for top in ["3", "5", "10"] {
        measure_by("bm25_search", &[("top", top)], &asked, &|found, right| f64::from(place(found, right).is_some()));
    }
    measure_by("bm25_rerank", &[], &asked, &|found, right| place(found, right).map_or(0.0, |place| 1.0 / place));
    measure_by("bm25_passages", &[], &asked, &|said, right| {
        let quoted = said.as_str().unwrap_or_default();
        f64::from(right.as_array().into_iter().flatten().filter_map(Value::as_str).any(|r| quoted.contains(r)))
    });
    let whole = texts.join(". ");
    for words in ["60", "120", "240"] {
        let cut = [(json!({"texts": [whole]}), Value::Null)];
        measure_by("split_passages", &[("words", words)], &cut, &|_, _| 1.0);
    }
}

/// Indices of 100 and 1,000 vectors of 384 numbers.
fn vectors() {
    let vector = |i: usize| -> Vec<f64> { (0..384).map(|k| ((i * 384 + k) as f64 * 0.618).sin()).collect() };
    for n in [100, 1000] {
        let passages: Vec<Value> =
            (0..n).map(|i| json!({"source": "1", "text": i.to_string(), "score": 0.0})).collect();
        let embeddings: Vec<Value> = (0..n).map(|i| json!(vector(i))).collect();
        let index = json!({"passages": passages, "embeddings": embeddings});
        println!("of {n} vectors:");
        measure_by("vector_index", &[], &[(index.clone(), Value::Null)], &|_, _| 1.0);
        let asked = json!({"query": [vector(7)], "index": index});
        measure_by("nearest_vectors", &[], &[(asked, json!("7"))], &|found, right| {
            f64::from(found[0]["text"] == *right)
        });
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-9,
        _ => a == b,
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
        ..Given::default()
    };
    function(&given).unwrap_or(Value::Null)
}

/// Calls a function on every case and prints its latency and the share of right answers.
fn measure(name: &str, options: &[(&str, &str)], cases: &[(Value, Value)]) {
    measure_by(name, options, cases, &|answer, wanted| f64::from(contains(answer, wanted)));
}

/// The same with the quality of an answer, from 0 to 1.
fn measure_by(name: &str, options: &[(&str, &str)], cases: &[(Value, Value)], quality: &dyn Fn(&Value, &Value) -> f64) {
    let mut times = Vec::new();
    let mut right = 0.0;
    for (args, expect) in cases {
        let mut answer = Value::Null;
        for _ in 0..REPEATS {
            let started = Instant::now();
            answer = call(name, options, args);
            times.push(started.elapsed().as_secs_f64());
        }
        right += quality(&answer, expect);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get(((times.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
    let quality = right * 100.0 / cases.len().max(1) as f64;
    let setting: Vec<String> = options.iter().map(|(n, v)| format!("{n}={v} ")).collect();
    println!(
        "{name} {}latency {:.6} s (p5 {:.6}, p95 {:.6}); quality {quality:.1} % ({right:.1} of {} cases)",
        setting.concat(),
        at(0.5),
        at(0.05),
        at(0.95),
        cases.len()
    );
}
