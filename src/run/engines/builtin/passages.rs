//! A question and texts -> the line that answers it best, quoted with its place and score; or that there is none.
//!
//! Ranking is BM25 over passages: words count by how rare they are. It finds a line that shares words with the question; it does not
//! understand either.

use super::Given;
use crate::run::fault::Fault;
use bm25::{Language, SearchEngineBuilder};
use serde_json::Value;
use std::borrow::Cow;

/// What is said where nothing matches well enough.
pub const NONE: &str = "no answer found";
/// The least score that counts as an answer among [`USUAL`] lines or more, unless the settings say otherwise.
pub const THRESHOLD: f64 = 0.5;
/// Lines from which on a threshold is taken as it is.
const USUAL: usize = 5;
/// Seconds of speech around a line that rank with it: question and answer words are often in neighbouring segments.
const WINDOW: f64 = 8.0;

/// A line that can be quoted.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The text.
    pub text: String,
    /// `speech`, `picture`, `page 3`.
    pub source: String,
    /// Seconds, where it has a time.
    pub time: Option<f64>,
}

/// `question`, `transcript`, `observations` -> the best line of speech or of text in pictures.
pub fn answer(given: &Given) -> Result<Value, Fault> {
    let mut lines = Vec::new();
    let transcripts = given.args.values().filter_map(|v| v.get("segments")).filter_map(Value::as_array).flatten();
    for segment in transcripts {
        push(&mut lines, segment["text"].as_str(), "speech", segment["start"].as_f64());
    }
    // Colours answer no question; a line that names one would beat the line that somebody says.
    let observations = given.args.values().filter_map(|v| v.as_array()).flatten();
    let colours = |seen: &&Value| seen["text"].as_str().is_some_and(|t| t.starts_with(super::colour_regions::LABEL));
    for seen in observations.filter(|seen| !colours(seen)) {
        push(&mut lines, seen["text"].as_str(), "picture", seen["time"].as_f64());
    }
    lines.sort_by(|a, b| a.time.unwrap_or(0.0).total_cmp(&b.time.unwrap_or(0.0)));
    quote(given.text("question")?, &lines, given.number("threshold", THRESHOLD)?)
}

/// `question`, `pages` -> the best line of a document.
pub fn pages(given: &Given) -> Result<Value, Fault> {
    let mut lines = Vec::new();
    let pages = given.value("pages").as_array();
    for (i, page) in pages.into_iter().flatten().enumerate() {
        let number = page["page"].as_u64().unwrap_or(i as u64 + 1);
        let text = page.as_str().or(page["text"].as_str()).unwrap_or_default();
        for line in sentences(text) {
            push(&mut lines, Some(&line), &format!("page {number}"), None);
        }
    }
    quote(given.text("question")?, &lines, given.number("threshold", THRESHOLD)?)
}

/// `question`, `answers` -> the answer with the best score; the first of equals; those that say nothing was found only if all do.
pub fn best(given: &Given) -> Result<Value, Fault> {
    let answers = given.value("answers").as_array();
    let mut best: Option<(&str, f64)> = None;
    for text in answers.into_iter().flatten().filter_map(Value::as_str) {
        let stated = score_in(text);
        if text.trim().is_empty() || text.starts_with(NONE) {
            continue;
        }
        let score = stated.unwrap_or(0.0);
        if best.is_none_or(|(_, b)| score > b) {
            best = Some((text, score));
        }
    }
    Ok(Value::from(best.map_or(NONE, |(text, _)| text)))
}

/// The score at the end of a quoted answer: `… (speech, 0:12, score 3.4)`.
fn score_in(text: &str) -> Option<f64> {
    let (_, end) = text.rsplit_once("score ")?;
    end.strip_suffix(')')?.parse().ok()
}

fn push(lines: &mut Vec<Line>, text: Option<&str>, source: &str, time: Option<f64>) {
    let text = text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.is_empty() {
        lines.push(Line { text, source: source.to_owned(), time });
    }
}

/// What BM25 gives a word at most that stands in one of so many lines.
fn rarest(lines: usize) -> f64 {
    (1.0 + (lines as f64 - 0.5) / 1.5).ln()
}

/// The best line with its place and score, or that there is none good enough. Among few lines no word is rare, and every score is small: the
/// threshold then shrinks as the best score that there can be.
pub fn quote(question: &str, lines: &[Line], threshold: f64) -> Result<Value, Fault> {
    let threshold = threshold * (rarest(lines.len().max(1)) / rarest(USUAL)).min(1.0);
    let Some((line, score)) = find(question, lines).filter(|(_, score)| *score >= threshold) else {
        return Ok(Value::from(NONE));
    };
    let place = match line.time {
        Some(time) => format!("{}, {}", line.source, clock(time)),
        None => line.source.clone(),
    };
    Ok(Value::from(format!("\"{}\" ({place}, score {score:.1})", line.text)))
}

/// The line that matches a question best, with its score. A line's own words count fully; those of its neighbours in time (or, without
/// times, of the lines beside it) a little, so that an answer whose question stands beside it is found.
pub fn find<'l>(question: &str, lines: &'l [Line]) -> Option<(&'l Line, f64)> {
    let own = scores(question, &lines.iter().map(|l| Cow::from(&l.text)).collect::<Vec<_>>());
    let around: Vec<Cow<'_, str>> = (0..lines.len()).map(|i| Cow::from(window(lines, i))).collect();
    let around = scores(question, &around);
    let mut best: Option<(usize, f64)> = None;
    for (i, score) in own.iter().zip(&around).map(|(own, around)| own + 0.3 * around).enumerate() {
        if own[i] > 0.0 && best.is_none_or(|(_, b)| score > b + 1e-9) {
            best = Some((i, score));
        }
    }
    best.map(|(i, score)| (&lines[i], score))
}

fn window(lines: &[Line], i: usize) -> String {
    let near = |other: &Line| match (lines[i].time, other.time) {
        (Some(a), Some(b)) => (a - b).abs() <= WINDOW,
        _ => true,
    };
    let from = i.saturating_sub(2);
    let to = (i + 3).min(lines.len());
    let texts = lines[from..to].iter().filter(|l| near(l)).map(|l| l.text.as_str());
    texts.collect::<Vec<_>>().join(" ")
}

/// The BM25 score of each text, 0 where it shares no word with the question.
pub fn scores(question: &str, texts: &[Cow<'_, str>]) -> Vec<f64> {
    let mut scores = vec![0.0; texts.len()];
    if texts.is_empty() {
        return scores;
    }
    let corpus: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let engine = SearchEngineBuilder::<u32>::with_corpus(Language::English, corpus).build();
    // The crate's order among equals is that of a hash map; scores by index make ours the texts' own.
    for found in engine.search(question, None) {
        if let Some(score) = scores.get_mut(found.document.id as usize) {
            *score = f64::from(found.score);
        }
    }
    scores
}

/// Sentences and lines of a text, in order.
pub fn sentences(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let flat = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut from = 0;
        let mut after_stop = false;
        for (i, c) in flat.char_indices() {
            if after_stop && c == ' ' {
                found.push(flat[from..i].to_owned());
                from = i + 1;
            }
            after_stop = matches!(c, '.' | '!' | '?');
        }
        found.push(flat[from..].to_owned());
    }
    found.retain(|s| !s.is_empty());
    found
}

/// Seconds as `m:ss`.
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    format!("{}:{:02}", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn given(args: Value) -> Given {
        let args = args.as_object().into_iter().flatten().map(|(n, v)| (n.clone(), Arc::new(v.clone()))).collect();
        Given { args, ..Given::default() }
    }

    #[test]
    fn the_best_line_is_quoted_with_time_source_and_score() {
        let transcript = json!({"segments": [
            {"start": 3.0, "end": 5.0, "text": "We drove along the coast all day."},
            {"start": 12.2, "end": 14.0, "text": "The woman in the red dress is Maria."},
            {"start": 30.0, "end": 31.0, "text": "Then we had lunch in the harbour."}]});
        let seen = json!([{"time": 20.0, "text": "WELCOME TO NICE", "score": 0.9}]);
        let question = "What is the name of the person wearing the red dress?";
        let said = answer(&given(json!({"question": question, "transcript": transcript, "observations": seen})))
            .expect("an answer");
        let said = said.as_str().unwrap_or_default();
        assert!(said.starts_with("\"The woman in the red dress is Maria.\" (speech, 0:12, score "), "{said}");
        let city =
            answer(&given(json!({"question": "welcome to where?", "transcript": transcript, "observations": seen})));
        assert!(city.expect("an answer").as_str().is_some_and(|a| a.starts_with("\"WELCOME TO NICE\" (picture, 0:20")));
        let none = answer(&given(json!({"question": "Which rocket?", "transcript": transcript, "observations": null})));
        assert_eq!(none, Ok(json!(NONE)));
        assert_eq!(answer(&given(json!({"question": "", "transcript": {"segments": []}}))), Ok(json!(NONE)));
    }

    #[test]
    fn recognised_speech_with_near_misses() {
        let said = [
            "helen is the woman in the blue coat",
            "the car is red and the bags are brown",
            "david has a green jacket and a red hat",
            "maria is the woman in the red dress",
            "maria is singing the song",
            "emily is the woman in the white dress",
            "there is a red chair on the beach",
        ];
        let segments: Vec<Value> =
            said.iter().zip(0..).map(|(text, i)| json!({"start": 8 * i, "end": 8 * i + 4, "text": text})).collect();
        let question = "What is the name of the person wearing the red dress?";
        let found = answer(&given(json!({"question": question, "t": {"segments": segments}}))).expect("an answer");
        assert!(
            found.as_str().is_some_and(|a| a.starts_with("\"maria is the woman in the red dress\" (speech, 0:24")),
            "{found}"
        );
    }

    #[test]
    fn the_best_of_several_answers() {
        let answers = json!([
            "no answer found",
            "\"a\" (speech, 0:01, score 1.5)",
            "\"b\" (speech, 0:01, score 3.4)",
            "\"c\" (x, score 3.4)"
        ]);
        assert_eq!(
            best(&given(json!({"question": "?", "answers": answers}))),
            Ok(json!("\"b\" (speech, 0:01, score 3.4)"))
        );
        assert_eq!(best(&given(json!({"answers": [NONE, NONE]}))), Ok(json!(NONE)));
        assert_eq!(best(&given(json!({"answers": ["plain"]}))), Ok(json!("plain")));
    }

    #[test]
    fn pages_are_named() {
        let pages_of = json!(["Dear Sir.\n\nThe invoice is due on 3 May. Thank you.", "The garden has roses."]);
        let said =
            pages(&given(json!({"question": "When is the invoice due?", "pages": pages_of}))).expect("an answer");
        assert!(
            said.as_str().is_some_and(|a| a.starts_with("\"The invoice is due on 3 May.\" (page 1, score ")),
            "{said}"
        );
    }

    #[test]
    fn few_lines_hold_answers_too() {
        let asked = |lines: Value| {
            let said = pages(&given(json!({"question": "What do the dogs do?", "pages": lines}))).expect("an answer");
            said.as_str().unwrap_or_default().to_owned()
        };
        // What a search has found is one passage alone.
        assert!(asked(json!(["Dogs bark."])).starts_with("\"Dogs bark.\" (page 1, score "));
        let four = json!(["Cats sleep.", "Dogs bark.", "Cows moo.", "Birds sing."]);
        assert!(asked(four).starts_with("\"Dogs bark.\" (page 2, score "));
        assert_eq!(asked(json!(["Cats sleep."])), NONE);
    }

    #[test]
    fn sentences_split_at_stops_and_paragraphs() {
        assert_eq!(sentences("A b. C\nd! E\n\nF 3.5 g"), ["A b.", "C d!", "E", "F 3.5 g"]);
        assert!(sentences(" \n\n ").is_empty());
    }
}
