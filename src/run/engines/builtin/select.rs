//! Several answers to one question -> one of them, or all of them as one text. Exact rules, no model.

use super::Given;
use crate::run::fault::{Fault, FaultKind};
use rust_decimal::Decimal;
use serde_json::Value;

/// `answers` -> the first of those whose final answer most have; of equally many, the one that was given first.
pub fn majority(given: &Given) -> Result<Value, Fault> {
    let answers = texts(given, "answers")?;
    let finals: Vec<String> = answers.iter().map(|answer| final_answer(answer)).collect();
    let votes = |key: &String| finals.iter().filter(|other| *other == key).count();
    let mut best: Option<usize> = None;
    for (at, key) in finals.iter().enumerate() {
        if best.is_none_or(|b| votes(key) > votes(&finals[b])) {
            best = Some(at);
        }
    }
    best.map(|at| Value::from(answers[at])).ok_or_else(|| nothing("answers"))
}

/// `answers` -> how many in a hundred of them come to the final answer that most have, rounded down.
pub fn agreement(given: &Given) -> Result<Value, Fault> {
    let answers = texts(given, "answers")?;
    let finals: Vec<String> = answers.iter().map(|answer| final_answer(answer)).collect();
    let most = finals.iter().map(|key| finals.iter().filter(|other| *other == key).count()).max();
    most.map(|most| Value::from(100 * most / finals.len())).ok_or_else(|| nothing("answers"))
}

/// `candidates`, `reports` -> the first candidate whose report says that its tests passed; the first of all where none did.
pub fn first_passing(given: &Given) -> Result<Value, Fault> {
    let candidates = texts(given, "candidates")?;
    let reports = list(given, "reports")?;
    if reports.len() != candidates.len() {
        let (c, r) = (candidates.len(), reports.len());
        return Err(Fault::new(FaultKind::Data, format!("{c} candidates and {r} reports: each needs its own")));
    }
    let passed = reports.iter().position(|report| report["passed"] == Value::Bool(true));
    candidates.get(passed.unwrap_or(0)).map(|c| Value::from(*c)).ok_or_else(|| nothing("candidates"))
}

/// `texts` -> one text: each with its number, in order.
pub fn join(given: &Given) -> Result<Value, Fault> {
    let texts = texts(given, "texts")?;
    let numbered: Vec<String> = texts.iter().enumerate().map(|(i, text)| format!("{}. {text}", i + 1)).collect();
    Ok(Value::from(numbered.join("\n\n")))
}

/// `transcript` -> its words as one text, a segment a line.
pub fn transcript_text(given: &Given) -> Result<Value, Fault> {
    let segments = given.value("transcript")["segments"].as_array();
    let segments = segments.ok_or_else(|| Fault::plan("the parameter `transcript` is no transcript"))?;
    let lines: Vec<&str> = segments.iter().filter_map(|s| s["text"].as_str()).map(str::trim).collect();
    Ok(Value::from(lines.join("\n")))
}

fn list<'g>(given: &'g Given, name: &str) -> Result<&'g Vec<Value>, Fault> {
    given.value(name).as_array().ok_or_else(|| Fault::plan(format!("the parameter `{name}` is no list")))
}

fn texts<'g>(given: &'g Given, name: &str) -> Result<Vec<&'g str>, Fault> {
    let texts = list(given, name)?.iter().map(|v| v.as_str());
    texts.collect::<Option<_>>().ok_or_else(|| Fault::plan(format!("the parameter `{name}` is no list of texts")))
}

fn nothing(name: &str) -> Fault {
    Fault::new(FaultKind::Data, format!("`{name}` is empty: there is nothing to choose from"))
}

/// What a solution comes to, so that equal answers are equal texts: what the last `\boxed{…}` holds; else the last number, without
/// thousands separators and trailing zeros; else the last line that is not empty, in lower case and without the full stop.
fn final_answer(text: &str) -> String {
    let boxed = text.rfind("\\boxed{").and_then(|at| braced(&text[at + "\\boxed{".len()..]));
    if let Some(inner) = boxed {
        return number(inner).unwrap_or_else(|| plain(inner));
    }
    last_number(text).unwrap_or_else(|| plain(text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("")))
}

/// The text up to the brace that closes one that is open.
fn braced(text: &str) -> Option<&str> {
    let mut depth = 1usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(&text[..at]),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches(['.', '!', '。']).to_lowercase()
}

fn number(text: &str) -> Option<String> {
    let digits: String = text.trim().trim_start_matches('$').chars().filter(|c| *c != ',').collect();
    let number: Decimal = digits.parse().ok()?;
    Some(number.normalize().to_string())
}

/// The last run of digits, with its sign, separators and decimals.
fn last_number(text: &str) -> Option<String> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let end = chars.iter().rposition(|(_, c)| c.is_ascii_digit())?;
    let belongs = |at: usize| {
        let (_, c) = chars[at];
        // A separator stands between digits.
        c.is_ascii_digit() || (matches!(c, '.' | ',') && at > 0 && chars[at - 1].1.is_ascii_digit())
    };
    let mut start = end;
    while start > 0 && belongs(start - 1) {
        start -= 1;
    }
    // A minus is a sign where no number and no word stands before it.
    let signed = start > 0 && chars[start - 1].1 == '-' && (start < 2 || !chars[start - 2].1.is_alphanumeric());
    let from = chars[start - usize::from(signed)].0;
    number(&text[from..=chars[end].0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn given(args: &[(&str, Value)]) -> Given {
        let args = args.iter().map(|(n, v)| (n.to_string(), Arc::new(v.clone()))).collect();
        Given { args, ..Given::default() }
    }

    fn vote(answers: &[&str]) -> Value {
        majority(&given(&[("answers", json!(answers))])).expect("a majority")
    }

    #[test]
    fn final_answers() {
        for (text, key) in [
            (r"So $x = \boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
            (r"\boxed{1} no, \boxed{ 2.50 }", "2.5"),
            ("12 apples, hence 1,234.50.", "1234.5"),
            ("It is -7", "-7"),
            ("3-7", "7"),
            ("The answer is:\n\n Blue  sky. \n", "blue sky"),
            ("$42", "42"),
            (r"open \boxed{5", "5"),
            ("", ""),
        ] {
            assert_eq!(final_answer(text), key, "{text}");
        }
    }

    #[test]
    fn a_transcripts_words_are_its_text() {
        let segments = json!({"segments": [{"start": 0, "end": 1, "text": " Good morning."}, {"start": 1, "end": 2, "text": "Bye."}]});
        assert_eq!(transcript_text(&given(&[("transcript", segments)])), Ok(json!("Good morning.\nBye.")));
        assert!(transcript_text(&given(&[("transcript", json!("Bye."))])).is_err());
    }

    #[test]
    fn most_votes_win_and_the_first_of_them_is_quoted() {
        assert_eq!(vote(&["it is 3", "so 4.0", "hence 4"]), json!("so 4.0"));
        assert_eq!(vote(&["3", "4", "4", "3"]), json!("3"));
        assert_eq!(vote(&["yes", "No.", "no"]), json!("No."));
        assert!(majority(&given(&[("answers", json!([]))])).is_err());
        let agreed = |answers: &[&str]| agreement(&given(&[("answers", json!(answers))]));
        assert_eq!(agreed(&["it is 3", "so 4.0", "hence 4"]), Ok(json!(66)));
        assert_eq!((agreed(&["No.", "no"]), agreed(&[]).is_err()), (Ok(json!(100)), true));
    }

    #[test]
    fn the_first_that_passes() {
        let reports = |passed: [bool; 3]| json!(passed.map(|p| json!({ "passed": p, "report": "" })));
        let pick =
            |passed| first_passing(&given(&[("candidates", json!(["a", "b", "c"])), ("reports", reports(passed))]));
        assert_eq!(pick([false, true, true]), Ok(json!("b")));
        assert_eq!(pick([false, false, false]), Ok(json!("a")));
        assert!(first_passing(&given(&[("candidates", json!(["a"])), ("reports", json!([]))])).is_err());
    }

    #[test]
    fn texts_are_numbered() {
        assert_eq!(join(&given(&[("texts", json!(["a", "b"]))])), Ok(json!("1. a\n\n2. b")));
    }
}
