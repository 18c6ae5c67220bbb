//! A text -> its most central sentences, in their order. Nothing is rephrased.

use super::Given;
use super::passages::sentences;
use crate::run::fault::Fault;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most sentences that are compared with each other: the comparison is quadratic.
const MOST: usize = 2000;

/// `text` (a Text, a Transcript or a list of texts) -> its `sentences` (3 by default) most central sentences.
pub fn summary(given: &Given) -> Result<Value, Fault> {
    let wanted = given.number("sentences", 3.0)?.clamp(1.0, 100.0) as usize;
    let text = given.args.values().map(|v| plain(v)).collect::<Vec<_>>().join("\n\n");
    Ok(Value::from(central(&text, wanted).join(" ")))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("\n\n"),
        Value::Object(o) => o.get("segments").or(o.get("text")).map(plain).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The sentences that have most in common with all others: words weighed by rarity, cosine, summed.
fn central(text: &str, wanted: usize) -> Vec<String> {
    let mut all = sentences(text);
    all.truncate(MOST);
    let bags: Vec<BTreeSet<String>> = all.iter().map(|s| words(s)).collect();
    let mut spread: BTreeMap<&str, f64> = BTreeMap::new();
    for word in bags.iter().flatten() {
        *spread.entry(word).or_default() += 1.0;
    }
    let n = bags.len() as f64;
    let weight = |word: &String| (1.0 + n / spread.get(word.as_str()).copied().unwrap_or(1.0)).ln();
    let norms: Vec<f64> = bags.iter().map(|b| b.iter().map(|w| weight(w).powi(2)).sum::<f64>().sqrt()).collect();
    let score = |i: usize| {
        let likeness = |j: usize| {
            let shared: f64 = bags[i].intersection(&bags[j]).map(|w| weight(w).powi(2)).sum();
            if shared > 0.0 { shared / (norms[i] * norms[j]) } else { 0.0 }
        };
        (0..bags.len()).filter(|j| *j != i).map(likeness).sum::<f64>()
    };
    let mut ranked: Vec<(usize, f64)> = (0..all.len()).map(|i| (i, score(i))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut kept: Vec<usize> = ranked.into_iter().take(wanted).map(|(i, _)| i).collect();
    kept.sort_unstable();
    kept.into_iter().map(|i| all[i].clone()).collect()
}

/// Words that carry meaning: three letters or more is a crude filter, and enough here.
fn words(sentence: &str) -> BTreeSet<String> {
    let words = sentence.split(|c: char| !c.is_alphanumeric()).filter(|w| w.chars().count() > 2);
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn central_sentences_in_their_order() {
        let text = "Bees make honey in the hive. My sister likes trains. Honey from the hive is sold in spring. \
                    The hive needs bees, and bees need flowers for honey.";
        assert_eq!(
            central(text, 2),
            ["Bees make honey in the hive.", "The hive needs bees, and bees need flowers for honey."]
        );
        assert_eq!(central("One.", 3), ["One."]);
        assert!(central("", 3).is_empty());
    }
}
