//! Text → stems that can be compared; a library's words and how telling each is.

use crate::library::place;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Words that say nothing of what is wanted.
const EMPTY: [&str; 44] = [
    "the", "an", "of", "in", "on", "to", "is", "are", "and", "or", "for", "from", "what", "which", "that", "it", "its",
    "with", "by", "all", "each", "they", "them", "be", "can", "does", "do", "as", "at", "this", "these", "those",
    "one", "how", "who", "when", "where", "every", "has", "have", "will", "not", "than", "then",
];

/// The stems of what answers questions.
const ANSWERING: [&str; 2] = ["answ", "quest"];

/// How many words of a goal say what is to be done, at most.
const FIRST_WORDS: usize = 24;

/// What meaning weighs for each word of the goal of which nothing tells: so often what a word that is told of weighs on average.
const MEANING: f64 = 2.0;

/// Words that people use for one another; the first of a row stands for all.
static SAME: [&[&str]; 23] = [
    &["person", "people", "man", "woman", "someone", "anybody"],
    &["wear", "dress", "clothes", "shirt", "jacket", "hat"],
    &[
        "summary",
        "summarise",
        "summarize",
        "summaries",
        "short",
        "brief",
        "digest",
        "gist",
        "shorten",
        "condense",
        "recap",
        "overview",
        "outline",
    ],
    &["picture", "image", "photo", "screenshot", "pictures"],
    &["speech", "said", "say", "says", "spoken", "transcribe", "transcript", "talk"],
    &["sound", "audio", "recording"],
    &["translate", "translation", "language", "english", "german", "french", "spanish", "italian"],
    &["label", "classify", "classification", "category", "kind", "sort", "categorise"],
    &["find", "detect", "detection", "seen", "see", "visible"],
    &["mistake", "bug", "error", "wrong", "fault"],
    &["solve", "solution", "solved"],
    &["write", "implement", "program", "generate"],
    &["extract", "extraction", "fields", "pull"],
    &["caption", "subtitle", "sign", "written"],
    &["document", "pdf", "contract", "invoice", "paper", "manual"],
    &["open", "visit", "address", "url", "website"],
    &["cut", "split", "chunk", "pieces"],
    &["vector", "embed", "embedding"],
    &["check", "verify", "judge", "judgement"],
    &["better", "improve", "rerank"],
    &["expression", "formula", "arithmetic"],
    &["exact", "exactly", "precise", "precisely"],
    &["problem", "exercise"],
];

/// The stems of a text, without words that say nothing.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    let split = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    let telling = split.filter(|w| w.chars().count() > 1 && !EMPTY.contains(&w.as_str()));
    telling.map(|w| canonical(&w)).collect()
}

fn canonical(word: &str) -> String {
    /// The stems of [`SAME`], each with what stands for it.
    static ROWS: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| {
        let rows = SAME.iter().rev().flat_map(|row| row.iter().map(|word| (stem(word), stem(row[0]))));
        rows.collect()
    });
    let stemmed = stem(word);
    ROWS.get(stemmed).copied().unwrap_or(stemmed).to_string()
}

/// A word without the endings that English hangs on.
fn stem(word: &str) -> &str {
    for ending in ["ations", "ation", "ings", "ing", "ions", "ion", "ers", "er", "ed", "es", "s", "e"] {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.chars().count() >= 3
        {
            return stem;
        }
    }
    word
}

/// The words of a goal, each with its weight: how much of what is wanted it says.
pub(super) struct Wanted {
    words: Vec<(String, f64)>,
    total: f64,
    /// The goal's own words, whether anything tells of them or not.
    own: BTreeSet<String>,
}

/// What an offered step says of itself.
#[derive(Clone, Default)]
pub(super) struct Said {
    /// The words of its name.
    pub name: BTreeSet<String>,
    /// Those of its description.
    pub docs: BTreeSet<String>,
    /// Those of its parameters and of what it yields.
    pub parts: BTreeSet<String>,
}

impl Said {
    fn weight(&self, word: &str) -> f64 {
        if self.name.contains(word) {
            1.0
        } else if self.docs.contains(word) {
            0.8
        } else if self.parts.contains(word) {
            0.4
        } else {
            0.0
        }
    }
}

impl Wanted {
    /// Weighs the words of a goal (and, with less weight, those around it) by how few steps they tell of. Words that tell of none
    /// are left out: nothing in the library could fit them better.
    pub fn new(goal: &str, around: &str, said: &[Said]) -> Wanted {
        let mut weights: BTreeMap<String, f64> = words(around).into_iter().map(|w| (w, 0.3)).collect();
        // An address names what is to be reached, not what is to be done.
        let goal = &place::within(goal).fold(goal.to_string(), |goal, place| goal.replace(place, " "));
        let own = words(goal);
        weights.extend(words(task(goal)).into_iter().map(|w| (w, 1.0)));
        if is_question(goal) {
            // What answers questions is meant, in whichever words the question is put.
            weights.extend(ANSWERING.map(|w| (w.to_string(), 1.0)));
        }
        let mut telling = Vec::new();
        for (word, weight) in weights {
            let known = said.iter().filter(|s| s.weight(&word) > 0.0).count();
            if known > 0 {
                telling.push((word, weight * (1.0 + said.len() as f64 / known as f64).ln()));
            }
        }
        let total = telling.iter().map(|(_, w)| w).sum();
        Wanted { words: telling, total, own }
    }

    /// Counts the meaning of the whole as one more word, behind the others, in the place of those of the goal of which nothing in the library
    /// tells. Where all words tell of something, they say enough.
    pub fn mean(&mut self) {
        let untold = self.own.iter().filter(|own| self.words.iter().all(|(word, _)| word != *own)).count();
        let each = if self.words.is_empty() { 1.0 } else { self.total / self.words.len() as f64 };
        let weight = MEANING * untold as f64 * each;
        self.words.push((String::new(), weight));
        self.total += weight;
    }

    /// How well a step covers each word, 0 to 1.
    pub fn covered_by(&self, said: &Said) -> Vec<f32> {
        self.words.iter().map(|(word, _)| said.weight(word) as f32).collect()
    }

    /// What the name of an input covers: the words of the goal that say it. What answers questions is for steps.
    pub fn named_by(&self, name: &BTreeSet<String>) -> Vec<f32> {
        let says =
            |word: &String| name.contains(word) && self.own.contains(word) && !ANSWERING.contains(&word.as_str());
        self.words.iter().map(|(word, _)| if says(word) { 1.0 } else { 0.0 }).collect()
    }

    /// Whether the goal itself has one of some words.
    pub fn says(&self, words: &BTreeSet<String>) -> bool {
        !self.own.is_disjoint(words)
    }

    /// How much of the goal is covered, 0 to 1.
    pub fn share(&self, covered: &[f32]) -> f64 {
        if self.total == 0.0 {
            return 0.0;
        }
        self.words.iter().zip(covered).map(|((_, w), c)| w * f64::from(*c)).sum::<f64>() / self.total
    }

    /// The same for what several cover together.
    pub fn share_of<'c>(&self, covers: impl Iterator<Item = &'c Vec<f32>> + Clone) -> f64 {
        if self.total == 0.0 {
            return 0.0;
        }
        let best = |i: usize| covers.clone().filter_map(|c| c.get(i)).fold(0.0f32, |a, b| a.max(*b));
        self.words.iter().enumerate().map(|(i, (_, w))| w * f64::from(best(i))).sum::<f64>() / self.total
    }

    /// The share of the goal's own words that speak for what covers these; 1 where it has none. Of what is asked a question, what answers
    /// questions is spoken for as well.
    pub fn told(&self, covered: &[f32], asked: bool) -> f64 {
        let answering = |word: &str| asked && ANSWERING.contains(&word);
        let speaks = |word: &&str| self.own.contains(*word) || answering(word);
        let told = self.matched(covered).into_iter().filter(speaks).count();
        let all = self.own.len() + if asked { ANSWERING.len() } else { 0 };
        if all == 0 { 1.0 } else { told as f64 / all as f64 }
    }

    /// The words of the goal that are covered.
    pub fn matched(&self, covered: &[f32]) -> Vec<&str> {
        self.words
            .iter()
            .zip(covered)
            .filter(|((w, _), c)| **c > 0.0 && !w.is_empty())
            .map(|((w, _), _)| w.as_str())
            .collect()
    }
}

/// What a goal says is to be done: its first words, up to the end of its first sentence. What stands behind them, whoever put it there, brings
/// no step in.
fn task(goal: &str) -> &str {
    let ends = |(at, end): &(usize, &str)| goal[at + end.len()..].starts_with(char::is_whitespace);
    let sentence = goal.match_indices(['.', '!', '?', ';']).find(ends).map_or(goal.len(), |(at, _)| at + 1);
    // Marks of other languages are no words of a sentence.
    let sentence = goal.find(['<', '{', '[', '|', '`', '\n']).map_or(sentence, |at| sentence.min(at));
    let words = goal.match_indices(char::is_whitespace).nth(FIRST_WORDS).map_or(goal.len(), |(at, _)| at);
    &goal[..sentence.min(words)]
}

/// The parts of what a goal says is to be done.
pub(super) fn clauses(goal: &str) -> Vec<&str> {
    let parts = task(goal).split([',', ';']).flat_map(|part| part.split(" and "));
    let parts = parts.map(|part| part.trim().trim_start_matches("and ").trim_end_matches(['.', '!', '?']).trim());
    parts.filter(|part| !part.is_empty()).collect()
}

/// Whether a goal asks something.
pub(super) fn is_question(goal: &str) -> bool {
    const ASKS: [&str; 10] = ["who", "what", "which", "when", "where", "why", "how", "whose", "is", "does"];
    let goal = goal.trim();
    let first = goal.split_whitespace().next().unwrap_or_default().to_lowercase();
    goal.ends_with('?') && (ASKS.contains(&first.as_str()) || goal.split_whitespace().count() > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_one() {
        assert_eq!(words("wearing"), words("what they wear"));
        assert_eq!(words("Summarise each page"), words("a summary of the pages"));
        assert_eq!(words("answers"), words("answer"));
        assert!(words("the of an").is_empty());
    }
}
