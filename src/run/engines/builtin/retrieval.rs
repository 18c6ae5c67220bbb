//! Texts, passages, vectors and a question -> passages: cut, indexed, found, put in order.

use super::Given;
use super::passages::{Line, quote, scores, sentences};
use crate::run::fault::{Fault, FaultKind};
use crate::run::kernels::{self, nearest::Rows};
use serde_json::{Value, json};
use std::borrow::Cow;

/// `texts` -> passages of at most so many `words` (120 by default), cut between sentences where that is possible.
pub fn split(given: &Given) -> Result<Value, Fault> {
    let most = given.number("words", 120.0)?.clamp(1.0, 10_000.0) as usize;
    let texts = given.value("texts").as_array().map_or(&[][..], Vec::as_slice);
    let mut found = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let source = (number + 1).to_string();
        let text = text.as_str().unwrap_or_default();
        found.extend(pieces(text, most).into_iter().map(|piece| passage(&source, &piece, 0.0)));
    }
    Ok(Value::Array(found))
}

/// Sentences put together until another one would be too much; a sentence that is too long by itself is cut between words.
fn pieces(text: &str, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut piece: Vec<&str> = Vec::new();
    let sentences = sentences(text);
    for sentence in &sentences {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        if !piece.is_empty() && piece.len() + words.len() > most {
            found.push(piece.join(" "));
            piece.clear();
        }
        piece.extend(words);
        while piece.len() > most {
            let rest = piece.split_off(most);
            found.push(piece.join(" "));
            piece = rest;
        }
    }
    if !piece.is_empty() {
        found.push(piece.join(" "));
    }
    found
}

fn passage(source: &str, text: &str, score: f64) -> Value {
    json!({"source": source, "text": text, "score": score})
}

/// `passages`, `embeddings` -> an index. One vector for each passage, all of one length.
pub fn index(given: &Given) -> Result<Value, Fault> {
    let (passages, embeddings) = (given.value("passages"), given.value("embeddings"));
    let count = |v: &Value| v.as_array().map_or(0, Vec::len);
    if count(passages) != count(embeddings) {
        let message = format!("{} passages have {} embeddings", count(passages), count(embeddings));
        return Err(data(message).help("embed the text of each passage, in their order"));
    }
    Vectors::of(embeddings)?;
    Ok(json!({"passages": passages, "embeddings": embeddings}))
}

/// `query` (the first of its vectors), `index` -> the `top` (5 by default) passages whose vectors have the largest cosine with it. All
/// are compared: nothing is missed, and the time grows with the index.
pub fn nearest(given: &Given) -> Result<Value, Fault> {
    let top = top(given, 5.0)?;
    let index = given.value("index");
    let known = Vectors::of(&index["embeddings"])?;
    let asked = Vectors::of(given.value("query"))?;
    let passages = index["passages"].as_array().map_or(&[][..], Vec::as_slice);
    if passages.len() != known.rows().count() {
        let message = format!("the index has {} passages and {} embeddings", passages.len(), known.rows().count());
        return Err(data(message));
    }
    let Some(query) = asked.values.get(..asked.length).filter(|q| !q.is_empty()) else {
        return Err(data("the query has no vector"));
    };
    if known.length != 0 && known.length != query.len() {
        let message =
            format!("the query's vector has {} numbers, and those of the index {}", query.len(), known.length);
        return Err(data(message).help("embed both with the same model: pin it with `using`"));
    }
    let found = kernels::nearest::at(&given.place, known.rows(), query, top)?;
    Ok(found.into_iter().map(|(i, score)| scored(&passages[i], f64::from(score))).collect())
}

/// `question`, `passages` -> the `top` that share most with the question (BM25), best first; those that share no word are left out.
pub fn search(given: &Given) -> Result<Value, Fault> {
    let top = top(given, 5.0)?;
    let (passages, scores) = bm25(given)?;
    let ranked = ranked(scores.into_iter()).into_iter().filter(|(_, score)| *score > 0.0);
    Ok(ranked.take(top).map(|(i, score)| scored(&passages[i], score)).collect())
}

/// `question`, `passages` -> all passages, those that share most with the question first (BM25).
pub fn rerank(given: &Given) -> Result<Value, Fault> {
    let (passages, scores) = bm25(given)?;
    Ok(ranked(scores.into_iter()).into_iter().map(|(i, score)| scored(&passages[i], score)).collect())
}

/// `question`, `passages` -> the sentence of a passage that fits best, quoted with its source.
pub fn answer(given: &Given) -> Result<Value, Fault> {
    let passages = given.value("passages").as_array().map_or(&[][..], Vec::as_slice);
    let lines = passages.iter().flat_map(|p| {
        let source = format!("passage {}", p["source"].as_str().unwrap_or_default());
        let texts = sentences(p["text"].as_str().unwrap_or_default());
        texts.into_iter().map(move |text| Line { text, source: source.clone(), time: None })
    });
    quote(given.text("question")?, &lines.collect::<Vec<_>>(), given.number("threshold", super::passages::THRESHOLD)?)
}

fn bm25(given: &Given) -> Result<(&[Value], Vec<f64>), Fault> {
    let passages = given.value("passages").as_array().map_or(&[][..], Vec::as_slice);
    let texts: Vec<Cow<'_, str>> = passages.iter().map(|p| Cow::from(p["text"].as_str().unwrap_or_default())).collect();
    Ok((passages, scores(given.text("question")?, &texts)))
}

fn top(given: &Given, otherwise: f64) -> Result<usize, Fault> {
    Ok(given.number("top", otherwise)?.clamp(1.0, 10_000.0) as usize)
}

fn scored(passage: &Value, score: f64) -> Value {
    let mut passage = passage.clone();
    passage["score"] = json!((score * 1e6).round() / 1e6);
    passage
}

/// Positions and scores, the largest first; equals in their order.
fn ranked(scores: impl Iterator<Item = f64>) -> Vec<(usize, f64)> {
    let mut ranked: Vec<(usize, f64)> = scores.enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked
}

/// Vectors of one length, of finite numbers, one after the other.
#[derive(Default)]
struct Vectors {
    values: Vec<f32>,
    length: usize,
}

impl Vectors {
    fn of(value: &Value) -> Result<Vectors, Fault> {
        let rows = value.as_array().map_or(&[][..], Vec::as_slice);
        let mut found = Vectors::default();
        for row in rows {
            let numbers = row.as_array().map_or(&[][..], Vec::as_slice);
            let before = found.values.len();
            let finite = numbers.iter().filter_map(Value::as_f64).map(|n| n as f32).filter(|n| n.is_finite());
            found.values.extend(finite);
            if numbers.is_empty() || found.values.len() - before != numbers.len() {
                return Err(data("an embedding is no list of finite numbers"));
            }
            if before == 0 {
                found.length = numbers.len();
            } else if numbers.len() != found.length {
                return Err(data(format!("embeddings have {} and {} numbers", found.length, numbers.len()))
                    .help("embed all texts with the same model: pin it with `using`"));
            }
        }
        Ok(found)
    }

    fn rows(&self) -> Rows<'_> {
        Rows { values: &self.values, length: self.length }
    }
}

fn data(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Data, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn given(args: Value, options: &[(&str, &str)]) -> Given {
        let args = args.as_object().into_iter().flatten().map(|(n, v)| (n.clone(), Arc::new(v.clone()))).collect();
        let options = options.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect::<BTreeMap<_, _>>();
        Given { args, options, ..Given::default() }
    }

    #[test]
    fn passages_hold_whole_sentences_where_they_fit() {
        let texts = json!({"texts": ["One two three. Four five. Six seven eight nine ten.", "", "a b c d e f g"]});
        let found = split(&given(texts, &[("words", "5")])).expect("passages");
        let shown: Vec<(&str, &str)> = found
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|p| Some((p["source"].as_str()?, p["text"].as_str()?)))
            .collect();
        let wanted =
            [("1", "One two three. Four five."), ("1", "Six seven eight nine ten."), ("3", "a b c d e"), ("3", "f g")];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn the_nearest_by_cosine_whatever_the_length() {
        let passages: Vec<Value> = ["x", "y", "z"].iter().map(|t| passage(t, t, 0.0)).collect();
        let index = index(&given(json!({"passages": passages, "embeddings": [[1, 0], [0, 5], [3, 3]]}), &[]));
        let asked = json!({"query": [[0.1, 0.2]], "index": index.expect("an index")});
        let found = nearest(&given(asked, &[("top", "2")])).expect("passages");
        assert_eq!((found[0]["text"].as_str(), found[1]["text"].as_str()), (Some("z"), Some("y")));
        assert_eq!(found.as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn vectors_of_two_models_do_not_mix() {
        let wrong = json!({"passages": [passage("1", "a", 0.0)], "embeddings": [[1, 0], [0, 1]]});
        assert_eq!(index(&given(wrong, &[])).expect_err("counts").message, "1 passages have 2 embeddings");
        let index = json!({"passages": [passage("1", "a", 0.0)], "embeddings": [[1, 0]]});
        let mixed = nearest(&given(json!({"query": [[1, 0, 0]], "index": index}), &[])).expect_err("lengths");
        assert!(mixed.message.contains("3 numbers") && mixed.help.is_some());
        let nothing = json!({"query": [["x"]], "index": {"passages": [], "embeddings": []}});
        assert!(nearest(&given(nothing, &[])).is_err());
    }

    #[test]
    fn what_shares_no_word_is_not_found_but_kept_in_order() {
        let passages: Vec<Value> =
            ["Roses grow here.", "The bus leaves at nine.", "Tulips."].iter().map(|t| passage("1", t, 0.0)).collect();
        let args = json!({"question": "When does the bus leave?", "passages": passages});
        let found = search(&given(args.clone(), &[])).expect("passages");
        assert_eq!(found.as_array().map(Vec::len), Some(1));
        let ordered = rerank(&given(args.clone(), &[])).expect("passages");
        let texts: Vec<&str> = ordered.as_array().into_iter().flatten().filter_map(|p| p["text"].as_str()).collect();
        assert_eq!(texts, ["The bus leaves at nine.", "Roses grow here.", "Tulips."]);
        let said = answer(&given(args, &[])).expect("an answer");
        assert!(
            said.as_str().is_some_and(|a| a.starts_with("\"The bus leaves at nine.\" (passage 1, score ")),
            "{said}"
        );
    }

    proptest::proptest! {
        /// No word of a text is lost or invented by cutting it, and no passage is too long.
        #[test]
        fn cutting_loses_nothing(text in "([a-z]{1,6}[ .\n]{1,2}){0,60}", most in 1_usize..12) {
            let found = pieces(&text, most);
            let words = |t: &str| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            proptest::prop_assert_eq!(found.iter().flat_map(|p| words(p)).collect::<Vec<_>>(), words(&text));
            proptest::prop_assert!(found.iter().all(|p| words(p).len() <= most));
        }
    }
}
