//! Profile CSV → rows with the places of their cells; every problem is reported at its cell.

use super::date::Date;
use super::figure::{Condition, Figure, Unknown, meaning};
use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Span};
use crate::library::errors;
use crate::library::evidence::EvidenceKind;
use crate::library::sheet::{self, Record, Wrong};
use ecow::EcoString;
use rust_decimal::Decimal;

/// The columns that every profile ends with.
pub const COLUMNS: [&str; 9] = ["device", "units", "figure", "value", "unit", "low", "high", "evidence", "source"];

/// The columns in front of them that are no knobs.
pub const RESERVED: [&str; 9] =
    ["task", "benchmark", "reporter", "date", "input", "output", "duration", "engine", "otherwise"];

/// Those of them that say for how much work a figure is.
const CONDITIONS: [&str; 3] = ["input", "output", "duration"];

/// A profile as it is written.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The columns that knobs must have, with their places.
    pub knobs: Vec<(EcoString, Span)>,
    /// Its rows, in order.
    pub rows: Vec<Line>,
}

/// A row of a profile.
#[derive(Clone, Debug)]
pub struct Line {
    /// The values of [`Table::knobs`]; `None` for any.
    pub knobs: Vec<Option<(EcoString, Span)>>,
    /// The only task that it is for.
    pub task: Option<(EcoString, Span)>,
    /// The device.
    pub device: Option<(EcoString, Span)>,
    /// How many of them.
    pub units: Option<(u32, Span)>,
    /// The planner's name of its figure.
    pub name: EcoString,
    /// Where its name stands.
    pub name_at: Span,
    /// Whether it holds the reading of the prompt.
    pub reads_prompt: bool,
    /// The figure.
    pub figure: Figure,
}

/// Reads a profile. Lines that cannot be used are reported and left out.
pub fn read(text: &str, file: FileId, cx: &mut Diagnostics) -> Table {
    let sheet = sheet::read(text, file, cx);
    let mut table = Table::default();
    let Some((_, first)) = sheet.columns.first() else { return table };
    let split = sheet.columns.len().saturating_sub(COLUMNS.len());
    let end = &sheet.columns[split..];
    if end.iter().map(|(name, _)| name.as_str()).ne(COLUMNS) {
        let wrong = end.iter().zip(COLUMNS).find(|((have, _), want)| have != want);
        let wanted = format!("end the header with `{}`", COLUMNS.join(","));
        let span = wrong.map_or(*first, |((_, at), _)| *at);
        cx.push(errors::bad_figure(span, "the profile's columns are wrong".into(), &wanted));
        return table;
    }
    let knobs = sheet.columns[..split].iter().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
    table.knobs = knobs.cloned().collect();
    for record in sheet.iter() {
        match line(&record, &table.knobs) {
            Ok(line) => table.rows.push(line),
            Err((column, message, wanted)) => cx.push(errors::bad_figure(record.at(column), message, &wanted)),
        }
    }
    table
}

fn line(record: &Record, knobs: &[(EcoString, Span)]) -> Result<Line, Wrong> {
    let written = record
        .get("figure")
        .ok_or_else(|| ("figure", "a line without a figure".to_string(), "name the figure".to_string()))?;
    let unit = record.get("unit").map_or("", |unit| unit.as_str());
    let meaning = meaning(written, unit).map_err(|unknown| match unknown {
        Unknown::Name(known) => ("figure", format!("`{written}` is no figure"), format!("write one of {known}")),
        Unknown::NoUnit(known) => ("unit", format!("`{written}` has no unit"), format!("give it in {known}")),
        Unknown::Unit(known) => ("unit", format!("`{written}` cannot be in `{unit}`"), format!("give it in {known}")),
    })?;
    let number = |column: &'static str| -> Result<Option<Decimal>, Wrong> {
        let Some(value) = record.number(column, written)? else { return Ok(None) };
        let large = || (column, format!("`{value}` is too large"), "give a smaller number".to_string());
        value.checked_mul(meaning.factor).map(Some).ok_or_else(large)
    };
    let value = number("value")?
        .ok_or_else(|| ("value", format!("`{written}` has no value"), "give it a value".to_string()))?;
    let interval = (number("low")?.unwrap_or(value), number("high")?.unwrap_or(value));
    let outside = if interval.0 > value { Some("low") } else { (interval.1 < value).then_some("high") };
    if let Some(column) = outside {
        let message = format!("`{written}` lies outside its own interval");
        return Err((column, message, "make sure that low <= value <= high".into()));
    }
    if meaning.name == "quality" && value > Decimal::ONE {
        return Err(("value", "a quality above 100 %".to_string(), "give a quality from 0 to 100 %".into()));
    }
    let kind = record.get("evidence").map_or("", |kind| kind.as_str());
    let evidence = EvidenceKind::parse(kind).ok_or_else(|| {
        ("evidence", format!("`{kind}` is no kind of evidence"), "write `measured`, `published` or `estimated`".into())
    })?;
    let source = record
        .get("source")
        .ok_or_else(|| ("source", format!("`{written}` has no source"), "say where it comes from".to_string()))?;
    let date = match record.get("date") {
        None => None,
        Some(text) => Some(Date::parse(text).ok_or_else(|| {
            ("date", format!("`{text}` is no date"), "write `2026-11-23`, `2026-11` or `2026`".to_string())
        })?),
    };
    let units = match record.get("units") {
        None => None,
        Some(text) => Some((
            text.parse().map_err(|_| {
                ("units", format!("`{text}` is no number of devices"), "write a whole number".to_string())
            })?,
            record.at("units"),
        )),
    };
    let mut conditions = Vec::new();
    for work in CONDITIONS {
        if let Some(text) = record.get(work) {
            conditions.push(Condition::parse(work, text).ok_or_else(|| {
                (work, format!("`{text}` is no amount of `{work}`"), "write `512` or `128..8192`".to_string())
            })?);
        }
    }
    let benchmark = record.get("benchmark").cloned();
    if benchmark.is_some() && meaning.name != "quality" {
        let message = format!("`{written}` is measured by no benchmark");
        return Err(("benchmark", message, "leave the cell empty: only a quality has a benchmark".into()));
    }
    Ok(Line {
        knobs: knobs.iter().map(|(name, _)| record.named(name)).collect(),
        task: record.named("task"),
        device: record.named("device"),
        units,
        name: meaning.name,
        name_at: record.at("figure"),
        reads_prompt: meaning.reads_prompt,
        figure: Figure {
            value,
            unit: meaning.unit,
            interval,
            conditions,
            evidence,
            source: source.clone(),
            date,
            reporter: record.get("reporter").cloned(),
            benchmark,
            engine: record.get("engine").cloned(),
            unchecked: record.get("otherwise").cloned(),
            at: record.at("value"),
        },
    })
}
