//! A question, inputs and limits → the text of a job.

use super::AskOptions;
use super::things::Input;
use crate::cli::Failure;
use crate::import::names::quoted;
use std::fmt::Write;

/// The longest question, in bytes.
const MOST: usize = 8 << 10;

/// Writes the job. What was typed stands in quotes in it, or is a number with a unit: it can be nothing else.
pub fn text(options: &AskOptions, inputs: &[Input]) -> Result<String, Failure> {
    let question = options.question.trim();
    if question.is_empty() || question.len() > MOST {
        return Err(Failure::Usage(format!("a question has from 1 to {MOST} bytes")));
    }
    let known = |c: char| c.is_ascii_alphanumeric() || "_[]?".contains(c);
    if !options.result.chars().all(known) {
        return Err(Failure::Usage(format!("`--result {}` is no type: `Text` or `List[Text]`, say", options.result)));
    }
    let params: Vec<String> = inputs.iter().map(|i| format!("{}: {}", i.name, i.ty)).collect();
    let mut out = String::from("/// Asked on the command line.\n");
    let _ = writeln!(out, "job asked({}) -> {} {{", params.join(", "), options.result);
    let _ = writeln!(out, "  goal {}", quoted(question));
    let mut limits = Vec::new();
    for (name, op, given) in
        [("cost", "<=", &options.cost), ("latency", "<=", &options.latency), ("quality", ">=", &options.quality)]
    {
        if let Some(given) = given {
            limits.push(format!("    {name} {op} {}", quantity(name, given)?));
        }
    }
    if !limits.is_empty() {
        let _ = writeln!(out, "  slo {{\n{}\n  }}", limits.join("\n"));
    }
    out.push_str("}\n");
    Ok(out)
}

/// A number and its unit, apart: `2usd` → `2 usd`.
fn quantity(name: &str, given: &str) -> Result<String, Failure> {
    let given = given.trim();
    let end = given.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(given.len());
    let (number, unit) = (&given[..end], given[end..].trim());
    let number_like = number.starts_with(|c: char| c.is_ascii_digit()) && !number.ends_with('.');
    let word = unit == "%" || !unit.is_empty() && unit.chars().all(|c| c.is_ascii_alphabetic());
    if number_like && word && number.matches('.').count() <= 1 {
        return Ok(format!("{number} {unit}"));
    }
    let example = match name {
        "cost" => "2usd",
        "latency" => "60s",
        _ => "80%",
    };
    Err(Failure::Usage(format!("`--{name} {given}`: a number and a unit, as {example}")))
}
