//! An answer and what was expected → a score from 0 to 1.

use serde_json::Value;
use std::collections::BTreeMap;

/// Words or characters of a text that error rates are computed over; the time grows with the square.
const MOST_UNITS: usize = 20_000;

/// How answers are scored.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// The same text, without case, punctuation, articles and double spaces: 0 or 1.
    Exact,
    /// The same label, without case and outer spaces: 0 or 1.
    Accuracy,
    /// The expected text stands in the answer, normalised as for `exact`: 0 or 1.
    Contains,
    /// F1 of the words.
    F1,
    /// 1 - word error rate, at least 0.
    Wer,
    /// 1 - character error rate, at least 0.
    Cer,
    /// The last number of the answer is within a tolerance: 0 or 1.
    Numeric {
        /// How far it may be off.
        tolerance: f64,
        /// Whether that is a share of the expected number.
        relative: bool,
    },
    /// The share of expected fields that the answer has; of these paths only, where some are given.
    Json(Vec<String>),
    /// A model or task judges.
    Judge,
    /// A program scores.
    Process,
}

impl Metric {
    /// Reads `exact`, `numeric:1%`, `json:person.name,person.age`, …
    pub fn read(text: &str) -> Result<Metric, String> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        Ok(match (name, rest) {
            ("exact", None) => Metric::Exact,
            ("accuracy", None) => Metric::Accuracy,
            ("contains", None) => Metric::Contains,
            ("f1", None) => Metric::F1,
            ("wer", None) => Metric::Wer,
            ("cer", None) => Metric::Cer,
            ("numeric", None) => Metric::Numeric { tolerance: 1e-9, relative: true },
            ("numeric", Some(rest)) => {
                let (number, relative) = rest.strip_suffix('%').map_or((rest, false), |n| (n, true));
                match number.trim().parse::<f64>() {
                    Ok(n) if n.is_finite() && n >= 0.0 => {
                        Metric::Numeric { tolerance: if relative { n / 100.0 } else { n }, relative }
                    }
                    _ => return Err(format!("`{rest}` is no tolerance: write `numeric:0.5` or `numeric:1%`")),
                }
            }
            ("json", None) => Metric::Json(Vec::new()),
            ("json", Some(rest)) => Metric::Json(rest.split(',').map(|p| p.trim().to_string()).collect()),
            ("judge", None) => Metric::Judge,
            ("process", None) => Metric::Process,
            _ => {
                return Err(format!(
                    "there is no metric `{text}`: there are exact, accuracy, contains, f1, wer, cer, numeric[:TOLERANCE], json[:FIELD,…], judge, process"
                ));
            }
        })
    }

    /// Whether each score is 0 or 1, so that the mean is a share.
    pub fn is_share(&self) -> bool {
        matches!(self, Metric::Exact | Metric::Accuracy | Metric::Contains | Metric::Numeric { .. })
    }

    /// Whether something outside scores.
    pub fn is_asked(&self) -> bool {
        matches!(self, Metric::Judge | Metric::Process)
    }
}

/// The score of an answer; an error where what was expected cannot be compared with.
pub fn score(metric: &Metric, answer: &Value, expected: &Value) -> Result<f64, String> {
    let (said, wanted) = (text_of(answer), text_of(expected));
    let yes = |holds: bool| if holds { 1.0 } else { 0.0 };
    Ok(match metric {
        Metric::Exact => yes(normal(&said) == normal(&wanted)),
        Metric::Accuracy => yes(said.trim().to_lowercase() == wanted.trim().to_lowercase()),
        Metric::Contains => {
            let (said, wanted) = (normal(&said), normal(&wanted));
            if wanted.is_empty() {
                return Err("what is expected has no words".into());
            }
            yes(said.windows(wanted.len()).any(|w| w == wanted))
        }
        Metric::F1 => f1(&normal(&said), &normal(&wanted)),
        Metric::Wer => errors(&spoken(&said), &spoken(&wanted))?,
        Metric::Cer => {
            let units = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect::<Vec<char>>();
            errors(&units(&said), &units(&wanted))?
        }
        Metric::Numeric { tolerance, relative } => {
            let number = number(&wanted).ok_or_else(|| format!("the expected `{}` is no number", short(&wanted)))?;
            let most = if *relative { tolerance * number.abs() } else { *tolerance };
            last_number(&said).map_or(0.0, |n| yes((n - number).abs() <= most))
        }
        Metric::Json(paths) => fields(answer, expected, paths)?,
        Metric::Judge | Metric::Process => return Err("this metric is not computed here".into()),
    })
}

/// A value as the text that metrics compare: of a transcript what was said, of a list a line an item.
pub fn text_of(value: &Value) -> String {
    let segments = value.get("segments").and_then(Value::as_array);
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join("\n"),
        _ if let Some(segments) = segments => {
            segments.iter().filter_map(|s| s.get("text")?.as_str()).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// The words that count in an answer: no case, punctuation, articles.
fn normal(text: &str) -> Vec<String> {
    let words = spoken(text);
    let kept: Vec<String> = words.iter().filter(|w| !["a", "an", "the"].contains(&w.as_str())).cloned().collect();
    // An answer of articles alone (a grade, say) is not empty.
    if kept.is_empty() { words } else { kept }
}

/// The words of a text, without case and punctuation.
fn spoken(text: &str) -> Vec<String> {
    let clean: String = text
        .to_lowercase()
        .chars()
        .filter(|c| *c != '\'' && *c != '’')
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    clean.split_whitespace().map(str::to_string).collect()
}

fn f1(said: &[String], wanted: &[String]) -> f64 {
    if said.is_empty() || wanted.is_empty() {
        return if said == wanted { 1.0 } else { 0.0 };
    }
    let mut left: BTreeMap<&String, usize> = BTreeMap::new();
    wanted.iter().for_each(|w| *left.entry(w).or_default() += 1);
    let mut common = 0_usize;
    for word in said {
        if let Some(n) = left.get_mut(word).filter(|n| **n > 0) {
            *n -= 1;
            common += 1;
        }
    }
    2.0 * common as f64 / (said.len() + wanted.len()) as f64
}

/// 1 - the error rate over words or characters.
fn errors<T: PartialEq>(said: &[T], wanted: &[T]) -> Result<f64, String> {
    if wanted.is_empty() {
        return Err("what is expected is empty: an error rate has nothing to divide by".into());
    }
    if said.len().max(wanted.len()) > MOST_UNITS {
        return Err(format!("a text of more than {MOST_UNITS} words or characters: cut the item"));
    }
    let distance = strsim::generic_levenshtein(&Units(said), &Units(wanted));
    Ok((1.0 - distance as f64 / wanted.len() as f64).max(0.0))
}

/// A slice as `strsim` wants to walk it.
struct Units<'a, T>(&'a [T]);

impl<'b, T> IntoIterator for &'b Units<'_, T> {
    type Item = &'b T;
    type IntoIter = std::slice::Iter<'b, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().replace(',', "").parse().ok().filter(|n: &f64| n.is_finite())
}

/// The last number of a text: an answer ends with its result. A sign belongs to a number only where nothing stands before it: a date is
/// three numbers, and a range two.
fn last_number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let digits = |mut at: usize| {
        while digit(at) {
            at += 1;
        }
        at
    };
    let (mut at, mut last) = (0, None);
    while at < bytes.len() {
        let point = |at: usize| bytes.get(at) == Some(&b'.') && digit(at + 1);
        let begins = digit(at) || point(at) && !at.checked_sub(1).is_some_and(digit);
        if !begins {
            at += 1;
            continue;
        }
        let free = |at: usize| at == 0 || !bytes[at - 1].is_ascii_alphanumeric() && bytes[at - 1] != b')';
        let signed = at > 0 && matches!(bytes[at - 1], b'-' | b'+') && free(at - 1);
        let from = at - usize::from(signed);
        at = digits(at);
        // Thousands.
        while bytes.get(at) == Some(&b',') && digits(at + 1) == at + 4 {
            at += 4;
        }
        if point(at) {
            at = digits(at + 1);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'-' | b'+')));
            if digit(at + 1 + sign) {
                at = digits(at + 1 + sign);
            }
        }
        last = number(&text[from..at]).or(last);
    }
    last
}

/// The share of expected leaves that the answer has.
fn fields(answer: &Value, expected: &Value, paths: &[String]) -> Result<f64, String> {
    let parsed = |v: &Value| match v {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    };
    let expected = parsed(expected).ok_or("what is expected is no JSON")?;
    let Some(answer) = parsed(answer) else { return Ok(0.0) };
    let at = |value: &Value, path: &str| {
        path.split('.').try_fold(value.clone(), |v, key| match key.parse::<usize>() {
            Ok(index) if v.is_array() => v.get(index).cloned(),
            _ => v.get(key).cloned(),
        })
    };
    let mut wanted = Vec::new();
    if paths.is_empty() {
        leaves(&expected, String::new(), &mut wanted);
    }
    for path in paths {
        match at(&expected, path) {
            Some(value) => wanted.push((path.clone(), value)),
            None => return Err(format!("what is expected has no field `{path}`")),
        }
    }
    if wanted.is_empty() {
        return Err("what is expected has no fields".into());
    }
    let same = |a: &Value, b: &Value| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
        _ => a == b || (a.is_string() && b.is_string() && normal(&text_of(a)) == normal(&text_of(b))),
    };
    let right = wanted.iter().filter(|(path, value)| {
        let found = if path.is_empty() { Some(answer.clone()) } else { at(&answer, path) };
        found.is_some_and(|found| same(&found, value))
    });
    Ok(right.count() as f64 / wanted.len() as f64)
}

fn leaves(value: &Value, path: String, found: &mut Vec<(String, Value)>) {
    let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, v)| leaves(v, below(key), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| leaves(v, below(&i.to_string()), found)),
        leaf => found.push((path, leaf.clone())),
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(metric: &str, answer: Value, expected: Value) -> f64 {
        score(&Metric::read(metric).expect("a metric"), &answer, &expected).expect("a score")
    }

    #[test]
    fn scores() {
        assert_eq!(of("exact", json!("The  Red-dress!"), json!("red dress")), 1.0);
        assert_eq!(of("exact", json!("A"), json!("B")), 0.0);
        assert_eq!(of("accuracy", json!(" Positive"), json!("positive")), 1.0);
        assert_eq!(of("contains", json!("It is Susan, in red"), json!("Susan")), 1.0);
        assert_eq!(of("contains", json!("It is Susanna"), json!("Susan")), 0.0);
        assert_eq!(of("f1", json!("a cat sat"), json!("the cat ran off")), 2.0 * 1.0 / 5.0);
        assert_eq!(
            of("wer", json!({"segments": [{"text": "Hello"}, {"text": "big world"}]}), json!("hello world")),
            0.5
        );
        assert_eq!(of("wer", json!("a b c d e"), json!("x")), 0.0);
        assert_eq!(of("cer", json!(["ab  c"]), json!("ab d")), 0.75);
        assert_eq!(of("numeric", json!("2 + 2 = 4."), json!(4)), 1.0);
        assert_eq!(of("numeric:1%", json!("about 1,005 euros"), json!("1000")), 1.0);
        assert_eq!(of("numeric:0.1", json!("none"), json!(4)), 0.0);
        for (text, last) in [
            ("on 2025-11-30", 30.0),
            ("10-12", 12.0),
            ("it is -3", -3.0),
            ("x=-.5e1", -5.0),
            ("1, 2,3", 3.0),
            ("1,234,567.5 m2.", 2.0),
            ("12,345", 12_345.0),
            ("30.11.2025", 2025.0),
            ("1e5e", 1e5),
        ] {
            assert_eq!(last_number(text), Some(last), "{text}");
        }
        assert_eq!(of("json", json!({"a": 1, "b": {"c": "X"}}), json!({"a": 1.0, "b": {"c": "x", "d": 2}})), 2.0 / 3.0);
        assert_eq!(of("json:b.c", json!("{\"b\": {\"c\": [1]}}"), json!({"b": {"c": [1]}})), 1.0);
        assert_eq!(of("json", json!("no json"), json!({"a": 1})), 0.0);
    }

    #[test]
    fn what_cannot_be_compared_with_is_an_error() {
        assert!(
            Metric::read("bleu").is_err() && Metric::read("numeric:x").is_err() && Metric::read("numeric:NaN").is_err()
        );
        let long = "x ".repeat(MOST_UNITS + 1);
        for (metric, expected) in [
            ("wer", json!("")),
            ("numeric", json!("inf")),
            ("json", json!("{")),
            ("contains", json!("?")),
            ("wer", json!(long)),
        ] {
            assert!(score(&Metric::read(metric).expect("a metric"), &json!("x"), &expected).is_err(), "{metric}");
        }
    }
}
