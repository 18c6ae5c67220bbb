//! A text and a JSON schema -> the fields that rules find: values of the right form that stand behind a label of the field's name.
//!
//! `invoice_number: integer` is looked for behind the words "invoice number"; dates, e-mail and web addresses also by their form
//! alone, where there is only one. Nothing is understood: what has no label and no form of its own stays null.

use super::Given;
use crate::run::fault::{Fault, FaultKind};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Number, Value, json};

/// The longest text that is looked at, in bytes.
const LONGEST: usize = 1 << 20;
/// Most properties of a schema.
const MOST_FIELDS: usize = 200;

/// Forms that values have.
const NUMBER: &str = r"[-−]?\d{1,3}(?:[ ,']\d{3})+(?:\.\d+)?|[-−]?\d+(?:[.,]\d+)?";
const MONTH: &str = "(?:January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)";
const EMAIL: &str = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+";
const ADDRESS: &str = r#"https?://[^\s<>"')]+"#;
const PHONE: &str = r"\+?\(?\d[\d ()/-]{5,}\d";
const TIME: &str = r"\b\d{1,2}:\d{2}(?::\d{2})?\b";

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Number,
    Integer,
    Date,
    Time,
    Email,
    Address,
    Phone,
    Words,
}

/// A value that has the form, and where it begins and ends.
struct Candidate {
    value: Value,
    start: usize,
}

/// `text`, `schema` (an object schema, or one as text) -> an object with each property, null where nothing fits.
pub fn extract(given: &Given) -> Result<Value, Fault> {
    let text = given.text("text")?;
    if text.len() > LONGEST {
        return Err(Fault::new(
            FaultKind::Data,
            format!("the text has {} MB, and at most 1 is looked at", text.len() >> 20),
        ));
    }
    let parsed;
    let schema = match given.value("schema") {
        Value::String(written) => {
            parsed = serde_json::from_str::<Value>(written).map_err(|e| bad(format!("the schema is no JSON: {e}")))?;
            &parsed
        }
        other => other,
    };
    let Some(properties) = schema["properties"].as_object() else {
        return Err(bad("the schema has no `properties`"));
    };
    if properties.len() > MOST_FIELDS {
        return Err(bad(format!(
            "the schema has {} properties, and at most {MOST_FIELDS} are looked for",
            properties.len()
        )));
    }
    let mut found = Map::new();
    for (name, about) in properties {
        found.insert(name.clone(), field(text, name, about)?);
    }
    Ok(Value::Object(found))
}

fn bad(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Data, message)
        .help(r#"give a JSON schema: {"type": "object", "properties": {"total": {"type": "number"}}}"#)
}

fn field(text: &str, name: &str, about: &Value) -> Result<Value, Fault> {
    if let Some(values) = about["enum"].as_array() {
        return Ok(one_of(text, values));
    }
    let labels = words(name, about);
    if let Some(pattern) = about["pattern"].as_str() {
        let built =
            RegexBuilder::new(pattern.trim_start_matches('^').trim_end_matches('$')).size_limit(1 << 20).build();
        let built = built.map_err(|e| bad(format!("the pattern of `{name}` cannot be used: {e}")))?;
        return Ok(best(text, &labels, &matches(text, &built, |m| Some(json!(m))), true).unwrap_or(Value::Null));
    }
    let many = kind(about) == Some("array");
    let about = if many { &about["items"] } else { about };
    let form = form(name, about);
    let candidates = candidates(text, form, &labels)?;
    if many {
        let mut values: Vec<Value> = Vec::new();
        for value in candidates.into_iter().map(|c| c.value) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        return Ok(Value::Array(values));
    }
    // A form that little else has needs no label where it stands alone.
    let telling = matches!(form, Form::Date | Form::Time | Form::Email | Form::Address | Form::Phone);
    Ok(best(text, &labels, &candidates, telling).unwrap_or(Value::Null))
}

/// The type of a property; of a union, the first that is not null.
fn kind(about: &Value) -> Option<&str> {
    match &about["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|k| *k != "null"),
        other => other.as_str(),
    }
}

fn form(name: &str, about: &Value) -> Form {
    let named =
        |words: &[&str]| name.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|part| words.contains(&part));
    match (kind(about), about["format"].as_str()) {
        (Some("integer"), _) => Form::Integer,
        (Some("number"), _) => Form::Number,
        (_, Some("date" | "date-time")) => Form::Date,
        (_, Some("time")) => Form::Time,
        (_, Some("email")) => Form::Email,
        (_, Some("uri" | "url")) => Form::Address,
        _ if named(&["date", "day", "due", "birthday"]) => Form::Date,
        _ if named(&["time"]) => Form::Time,
        _ if named(&["email", "mail"]) => Form::Email,
        _ if named(&["url", "website", "link"]) => Form::Address,
        _ if named(&["phone", "telephone", "tel", "mobile", "fax"]) => Form::Phone,
        _ => Form::Words,
    }
}

/// The words of a label: those of the name, without what every name may have.
fn words(name: &str, about: &Value) -> Vec<String> {
    let own = about["title"].as_str().unwrap_or(name);
    let parts = own.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty());
    parts.map(str::to_lowercase).collect()
}

fn one_of(text: &str, values: &[Value]) -> Value {
    let lower = text.to_lowercase();
    let places = values.iter().filter_map(|v| Some((whole_word(&lower, &v.as_str()?.to_lowercase())?, v)));
    places.min_by_key(|(at, _)| *at).map_or(Value::Null, |(_, v)| v.clone())
}

/// Where a word (or words) stands by itself.
fn whole_word(text: &str, word: &str) -> Option<usize> {
    let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let found = |(at, _): &(usize, &str)| {
        apart(text[..*at].chars().next_back()) && apart(text[at + word.len()..].chars().next())
    };
    (!word.is_empty()).then(|| text.match_indices(word).find(found).map(|(at, _)| at)).flatten()
}

fn matches(text: &str, pattern: &Regex, value: impl Fn(&str) -> Option<Value>) -> Vec<Candidate> {
    let found = pattern.find_iter(text).filter_map(|m| Some(Candidate { value: value(m.as_str())?, start: m.start() }));
    found.collect()
}

fn candidates(text: &str, form: Form, labels: &[String]) -> Result<Vec<Candidate>, Fault> {
    let compiled = |pattern: &str| Regex::new(pattern).map_err(|e| bad(e.to_string()));
    let same = |m: &str| Some(json!(m.trim_end_matches(['.', ','])));
    Ok(match form {
        Form::Number => matches(text, &compiled(NUMBER)?, |m| number(m).map(Value::Number)),
        Form::Integer => matches(text, &compiled(NUMBER)?, |m| number(m).and_then(|n| n.as_i64()).map(Value::from)),
        Form::Date => {
            let pattern = format!(
                r"\b\d{{4}}-\d{{2}}-\d{{2}}\b|\b\d{{1,2}}(?:st|nd|rd|th)? {MONTH}\.?,? \d{{4}}\b|\b{MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}\b|\b\d{{1,2}}[./]\d{{1,2}}[./]\d{{4}}\b"
            );
            matches(text, &compiled(&pattern)?, |m| date(m).map(Value::from))
        }
        Form::Time => matches(text, &compiled(TIME)?, same),
        Form::Email => matches(text, &compiled(EMAIL)?, same),
        Form::Address => matches(text, &compiled(ADDRESS)?, same),
        Form::Phone => matches(text, &compiled(PHONE)?, |m| Some(json!(m.trim()))),
        Form::Words => labelled(text, labels),
    })
}

/// `Label: value` and `Label  value` lines whose label is the field's name.
fn labelled(text: &str, labels: &[String]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some((label, value)) = line.split_once(':') {
            let said: Vec<String> =
                label.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()).map(str::to_lowercase).collect();
            let value = value.trim();
            if !value.is_empty() && said.len() <= labels.len() + 2 && labels.iter().all(|l| said.contains(l)) {
                found.push(Candidate { value: json!(value), start: at + label.len() + 1 });
            }
        }
        at += line.len();
    }
    found
}

/// `1,234.50`, `1 234`, `240.00` and `12,5` as a number.
fn number(text: &str) -> Option<Number> {
    let plain: String = text.replace('−', "-").chars().filter(|c| !matches!(c, ' ' | '\'')).collect();
    let comma = plain.find(',');
    let decimal_comma = comma.is_some_and(|at| !plain.contains('.') && plain.len() - at - 1 != 3);
    let plain = if decimal_comma { plain.replace(',', ".") } else { plain.replace(',', "") };
    match plain.parse::<i64>() {
        Ok(n) => Some(n.into()),
        Err(_) => plain.parse::<f64>().ok().and_then(Number::from_f64),
    }
}

/// A date as `2026-03-31`. Of `3/4/2026`, the day is taken to come first, unless that is impossible.
fn date(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|p| !p.is_empty()).collect();
    let [a, b, c] = parts[..] else { return None };
    let digits = |t: &str| t.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse::<u32>().ok();
    let (year, month, day) = match (month(a), month(b)) {
        (Some(m), _) => (digits(c)?, m, digits(b)?),
        (_, Some(m)) => (digits(c)?, m, digits(a)?),
        _ if a.len() == 4 => (digits(a)?, digits(b)?, digits(c)?),
        _ if digits(b)? > 12 => (digits(c)?, digits(a)?, digits(b)?),
        _ => (digits(c)?, digits(b)?, digits(a)?),
    };
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

fn month(text: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = text.get(..3)?.to_lowercase();
    let known = MONTHS.iter().position(|m| *m == start)? as u32 + 1;
    text.chars().all(char::is_alphabetic).then_some(known)
}

/// The candidate whose surroundings hold most of the label: before it on its line counts most, then its line, then the line before.
fn best(text: &str, labels: &[String], candidates: &[Candidate], alone: bool) -> Option<Value> {
    let mut best: Option<(usize, &Candidate)> = None;
    for candidate in candidates {
        let line = text[..candidate.start].rfind('\n').map_or(0, |i| i + 1);
        let before = text[line..candidate.start].to_lowercase();
        // What stands behind the last stop or comma belongs to this value; what is before it may belong to another.
        let clause = before.rsplit(['.', ';', ',']).next().unwrap_or_default();
        let rest = text[candidate.start..].lines().next().unwrap_or_default().to_lowercase();
        let above = text[..line].trim_end().rsplit('\n').next().unwrap_or_default().to_lowercase();
        let weight = |label: &String| {
            let places = [(clause, 8), (before.as_str(), 5), (rest.as_str(), 2), (above.as_str(), 1)];
            places.iter().find(|(place, _)| stem_in(place, label)).map_or(0, |(_, weight)| *weight)
        };
        let score: usize = labels.iter().map(weight).sum();
        // Most words of the label, or the value is another field's.
        let enough = labels.iter().filter(|l| weight(l) > 1).count() * 2 >= labels.len().max(1);
        if enough && score > 0 && best.is_none_or(|(b, _)| score > b) {
            best = Some((score, candidate));
        }
    }
    let single = || {
        let first = candidates.first().filter(|_| alone)?;
        candidates.iter().all(|c| c.value == first.value).then(|| first.value.clone())
    };
    best.map(|(_, c)| c.value.clone()).or_else(single)
}

/// Whether a text has a word that begins as the label does: `paid` is no `pay`, and `payment` is.
fn stem_in(text: &str, label: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn found(text: &str, schema: Value) -> Result<Value, Fault> {
        let args = BTreeMap::from([
            ("text".to_owned(), Arc::new(json!(text))),
            ("schema".to_owned(), Arc::new(json!({"properties": schema}))),
        ]);
        extract(&Given { args, ..Given::default() })
    }

    #[test]
    fn values_are_found_by_label_and_form() {
        let text = "Harbour Street Bakery\n12 March 2026\nInvoice number: 2047\nCustomer number: 318\n\nBread, 30 loaves  75.00 euros\n\
                    Total  1,330.50 euros\nPlease pay by 31 March 2026. Write to office@bakery.example.";
        let schema = json!({
            "invoice_number": {"type": "integer"}, "customer_number": {"type": "integer"}, "total": {"type": "number"},
            "pay_by": {"type": "string", "format": "date"}, "email": {"type": "string"}, "vat": {"type": "number"},
            "currency": {"enum": ["dollars", "euros"]}, "phone": {"type": "string"}, "dates": {"type": "array", "items": {"format": "date"}},
        });
        let wanted = json!({
            "invoice_number": 2047, "customer_number": 318, "total": 1330.5, "pay_by": "2026-03-31", "email": "office@bakery.example",
            "vat": null, "currency": "euros", "phone": null, "dates": ["2026-03-12", "2026-03-31"],
        });
        assert_eq!(found(text, schema), Ok(wanted));
    }

    #[test]
    fn forms_of_numbers_and_dates() {
        let numbers: Vec<Option<Number>> =
            ["1,234.50", "12,5", "1 234", "-3", "240.00"].iter().map(|t| number(t)).collect();
        let wanted = [json!(1234.5), json!(12.5), json!(1234), json!(-3), json!(240.0)];
        assert_eq!(numbers.into_iter().flatten().map(Value::Number).collect::<Vec<_>>(), wanted);
        assert_eq!(date("March 3rd, 2026").as_deref(), Some("2026-03-03"));
        assert_eq!(date("31.12.2026").as_deref(), Some("2026-12-31"));
        assert_eq!(date("12/31/2026").as_deref(), Some("2026-12-31"));
        assert_eq!(date("41.12.2026"), None);
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        let with = |schema: Value| {
            let args =
                BTreeMap::from([("text".to_owned(), Arc::new(json!("x"))), ("schema".to_owned(), Arc::new(schema))]);
            extract(&Given { args, ..Given::default() })
        };
        assert!(with(json!("{")).is_err());
        assert!(with(json!({"type": "object"})).is_err());
        assert!(with(json!({"properties": {"a": {"pattern": "("}}})).is_err());
        assert_eq!(with(json!(r#"{"properties": {"a": {"type": "number"}}}"#)), Ok(json!({"a": null})));
    }

    proptest::proptest! {
        /// Whatever the text, every field is there and nothing breaks down.
        #[test]
        fn every_field_is_answered(text in "\\PC{0,80}[0-9 .,:/-]{0,20}\\PC{0,20}") {
            let schema = json!({"a_date": {"format": "date"}, "n": {"type": "integer"}, "name": {}, "phone": {}, "x": {"type": "array", "items": {"type": "number"}}});
            let value = found(&text, schema);
            proptest::prop_assert!(value.is_ok_and(|v| v.as_object().is_some_and(|o| o.len() == 5)));
        }
    }
}
