//! Tesseract's table of words -> the lines of text in frames, or the text of pages.

use super::Reading;
use crate::run::fault::Fault;
use crate::types::Type;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A list of observations `{time, text, score}`, one a line of text; a line that stands in frames one after the other is observed once.
/// Pages beyond the frames are their negatives: of the readings of a frame, the one with more certain letters counts.
pub fn tesseract_frames(reading: &Reading<'_>) -> Result<Value, Fault> {
    let least = reading.number("confidence", 60.0)?;
    let frames = reading.args.values().find_map(|v| v.get("frames")?.as_array()).map_or(&[][..], Vec::as_slice);
    let mut by_page: BTreeMap<usize, Vec<Line>> = BTreeMap::new();
    for line in lines(&reading.stdout()?, least) {
        by_page.entry(line.page).or_default().push(line);
    }
    let mut best: BTreeMap<usize, (f64, Vec<Line>)> = BTreeMap::new();
    for (page, lines) in by_page {
        let weight = lines.iter().map(|l| l.confidence * letters(&l.text) as f64).sum::<f64>();
        let frame = page.saturating_sub(1) % frames.len().max(1);
        if best.get(&frame).is_none_or(|(other, _)| weight > *other) {
            best.insert(frame, (weight, lines));
        }
    }
    let mut seen: Vec<Value> = Vec::new();
    let mut before: (usize, Vec<String>) = (0, Vec::new());
    for (frame, (_, lines)) in best {
        let known = if before.0 + 1 == frame { std::mem::take(&mut before.1) } else { Vec::new() };
        for line in &lines {
            // One letter or digit is nearly always a shape taken for one.
            if letters(&line.text) >= 2 && !known.contains(&line.text) {
                let time = frames.get(frame).and_then(|f| f["time"].as_f64()).unwrap_or(0.0);
                seen.push(json!({"time": time, "text": line.text, "score": (line.confidence * 10.0).round() / 1000.0}));
            }
        }
        before = (frame, lines.into_iter().map(|l| l.text).collect());
    }
    Ok(Value::Array(seen))
}

fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

/// The text of each page, as a list of texts or of records `{page, text}`.
pub fn tesseract_pages(reading: &Reading<'_>) -> Result<Value, Fault> {
    let least = reading.number("confidence", 30.0)?;
    let table = reading.stdout()?;
    let mut pages: Vec<String> = vec![String::new(); pages_in(&table)];
    let mut block = (0, 0);
    for line in lines(&table, least) {
        let Some(text) = line.page.checked_sub(1).and_then(|i| pages.get_mut(i)) else {
            continue;
        };
        if !text.is_empty() {
            text.push_str(if block == line.block { "\n" } else { "\n\n" });
        }
        text.push_str(&line.text);
        block = line.block;
    }
    let record = matches!(reading.ty, Type::List(item) if matches!(**item, Type::Record(..)));
    let page = |(i, text): (usize, String)| {
        if record { json!({"page": i + 1, "text": text}) } else { Value::from(text) }
    };
    Ok(match reading.ty {
        Type::Text => Value::from(pages.join("\n\n")),
        _ => pages.into_iter().enumerate().map(page).collect(),
    })
}

/// A line of text.
#[derive(Debug, PartialEq)]
struct Line {
    page: usize,
    block: (usize, usize),
    text: String,
    confidence: f64,
}

fn columns(row: &str) -> Option<[&str; 12]> {
    let columns: Vec<&str> = row.splitn(12, '\t').collect();
    columns.try_into().ok()
}

/// The number of pages: rows of level 1 announce them, also where they are empty.
fn pages_in(table: &str) -> usize {
    let numbers = table.lines().filter_map(columns).filter(|c| c[0] == "1").filter_map(|c| c[1].parse::<usize>().ok());
    // A table cannot announce more pages than it has rows.
    numbers.max().unwrap_or(0).min(table.lines().count())
}

/// The lines of a table, of words that are certain enough.
fn lines(table: &str, least: f64) -> Vec<Line> {
    let mut found: Vec<(Vec<&str>, Line, usize)> = Vec::new();
    for columns in table.lines().filter_map(columns).filter(|c| c[0] == "5") {
        let (Ok(page), Ok(confidence)) = (columns[1].parse::<usize>(), columns[10].parse::<f64>()) else {
            continue;
        };
        let word = columns[11].trim();
        if letters(word) == 0 || confidence < least {
            continue;
        }
        let key = columns[1..5].to_vec();
        match found.last_mut().filter(|(last, ..)| *last == key) {
            Some((_, line, words)) => {
                line.text.push(' ');
                line.text.push_str(word);
                line.confidence += confidence;
                *words += 1;
            }
            None => {
                let number = |i: usize| columns[i].parse().unwrap_or(0);
                let line = Line { page, block: (number(2), number(3)), text: word.to_owned(), confidence };
                found.push((key, line, 1));
            }
        }
    }
    let mean = |(_, line, words): (Vec<&str>, Line, usize)| Line { confidence: line.confidence / words as f64, ..line };
    found.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
        1\t1\t0\t0\t0\t0\t0\t0\t640\t360\t-1\t\n5\t1\t1\t1\t1\t1\t218\t126\t44\t3\t27.8\t—\n5\t1\t2\t1\t1\t1\t0\t0\t0\t0\t95\tMaria\n\
        5\t1\t2\t1\t1\t2\t0\t0\t0\t0\t85\tdress\n1\t2\t0\t0\t0\t0\t0\t0\t640\t360\t-1\t\nrubbish\n1\t3\t0\t0\t0\t0\t0\t0\t640\t360\t-1\t\n\
        5\t3\t1\t1\t1\t1\t0\t0\t0\t0\t90\tExit\n5\t3\t1\t1\t2\t1\t0\t0\t0\t0\t90\there";

    #[test]
    fn words_become_lines() {
        let found = lines(TABLE, 60.0);
        let texts: Vec<(usize, &str, f64)> = found.iter().map(|l| (l.page, l.text.as_str(), l.confidence)).collect();
        assert_eq!(texts, [(1, "Maria dress", 90.0), (3, "Exit", 90.0), (3, "here", 90.0)]);
        assert_eq!(pages_in(TABLE), 3);
        assert_eq!(pages_in("1\t99999999999\t0\t0\t0\t0\t0\t0\t6\t3\t-1\t"), 1);
    }
}
