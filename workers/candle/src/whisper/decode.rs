//! One window of 30 seconds -> its tokens: greedily, and where that fails by OpenAI's own tests, again with chance at rising temperatures.
//!
//! The rules for times are OpenAI's: they stand in pairs but for the first and the last, never go back, begin within the first second, and one
//! is said as soon as all of them together are likelier than any word. Each window stands alone: what was said before is not in its prompt.

use super::floats;
use super::network::{Heard, Network, Past};
use super::vocabulary::Vocabulary;
use crate::failure::Failure;
use crate::llm::sample::Chance;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;
use tokenizers::Tokenizer;

/// Greedy, then with more and more chance.
const TEMPERATURES: [f32; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
/// A text that shrinks by more repeats itself.
const MOST_SHRINKING: f64 = 2.4;
/// Below this, the model does not believe what it says.
const LEAST_CERTAIN: f64 = -1.0;
/// From here on, nobody speaks, if it does not believe what it says either.
const SILENCE: f64 = 0.6;

/// What decodes windows.
pub struct Decoder<'a> {
    /// The model.
    pub network: &'a mut Network,
    /// Its marks.
    pub vocabulary: &'a Vocabulary,
    /// Its words.
    pub tokenizer: &'a Tokenizer,
}

/// A window's tokens, without prompt and end.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Text and times.
    pub tokens: Vec<u32>,
    /// The mean logarithm of the tokens' probabilities.
    pub certainty: f64,
    /// The probability that nobody speaks.
    pub no_speech: f64,
    /// The temperature that it was said at.
    pub temperature: f32,
}

impl Decoded {
    /// Whether there is nothing to hear.
    pub fn silent(&self) -> bool {
        self.no_speech > SILENCE && self.certainty < LEAST_CERTAIN
    }
}

impl Decoder<'_> {
    /// The language that is spoken, as far as the model can tell.
    pub fn language(&mut self, heard: &Heard) -> Result<String, Failure> {
        let logits = floats(&self.network.say(&[self.vocabulary.start], &mut Past::default(), heard)?)?;
        let likeliest =
            self.vocabulary.languages.iter().max_by(|a, b| logits[*a.1 as usize].total_cmp(&logits[*b.1 as usize]));
        likeliest.map(|(code, _)| code.clone()).ok_or_else(|| Failure::model("the model knows no languages"))
    }

    /// The tokens of a window, after a prompt; `again` where what is no good is tried again with chance.
    pub fn window(&mut self, heard: &Heard, prompt: &[u32], seed: u64, again: bool) -> Result<Decoded, Failure> {
        let mut last = None;
        for temperature in TEMPERATURES.into_iter().take(if again { TEMPERATURES.len() } else { 1 }) {
            let decoded = self.once(heard, prompt, temperature, seed)?;
            let text = self.tokenizer.decode(&decoded.tokens, true).map_err(|e| Failure::model(e.to_string()))?;
            let good = decoded.silent() || (shrinking(&text) <= MOST_SHRINKING && decoded.certainty >= LEAST_CERTAIN);
            last = Some(decoded);
            if good {
                break;
            }
        }
        last.ok_or_else(|| Failure::model("nothing was decoded"))
    }

    /// One attempt at a temperature; at 0 the likeliest tokens.
    pub fn once(&mut self, heard: &Heard, prompt: &[u32], temperature: f32, seed: u64) -> Result<Decoded, Failure> {
        let vocabulary = self.vocabulary;
        let mut chance = Chance::new(seed);
        let mut past = Past::default();
        let first = floats(&self.network.say(prompt, &mut past, heard)?)?;
        let no_speech = match vocabulary.no_speech {
            // Behind `<|startoftranscript|>`, which is the prompt's first.
            Some(token) => f64::from(log_shares(&first[..vocabulary.size])[token as usize]).exp(),
            None => 0.0,
        };
        let mut logits = first[(prompt.len() - 1) * vocabulary.size..].to_vec();
        let (mut tokens, mut sum) = (Vec::new(), 0.0);
        // OpenAI's bound: the other half of the positions is for what was said before.
        let most = self.network.most_tokens() / 2;
        loop {
            allow(&mut logits, &tokens, vocabulary);
            let shares = log_shares(&logits);
            let token = chance.pick(&logits, temperature, 1.0);
            sum += f64::from(shares[token as usize]);
            if token == vocabulary.end || tokens.len() + 1 >= most {
                break;
            }
            tokens.push(token);
            logits = floats(&self.network.say(&[token], &mut past, heard)?)?;
        }
        let certainty = sum / (tokens.len() + 1) as f64;
        Ok(Decoded { tokens, certainty, no_speech, temperature })
    }
}

/// Takes away what must not follow some tokens.
pub fn allow(logits: &mut [f32], tokens: &[u32], vocabulary: &Vocabulary) {
    let Vocabulary { end, no_times, first_time, .. } = *vocabulary;
    let ban = |logits: &mut [f32], from: u32, to: u32| {
        let to = (to as usize).min(logits.len());
        logits[(from as usize).min(to)..to].fill(f32::NEG_INFINITY);
    };
    let all = logits.len() as u32;
    for token in
        vocabulary.suppressed.iter().chain(tokens.is_empty().then_some(&vocabulary.not_first).into_iter().flatten())
    {
        ban(logits, *token, token + 1);
    }
    ban(logits, no_times, no_times + 1);
    match tokens {
        [] => {
            ban(logits, 0, first_time);
            ban(logits, first_time + vocabulary.latest_start + 1, all);
        }
        [.., last] if vocabulary.is_time(*last) => {
            let alone = tokens.len() >= 2 && !vocabulary.is_time(tokens[tokens.len() - 2]);
            // A time that ends a piece is followed by one that begins the next, or by the end; any other by text.
            if alone { ban(logits, 0, end) } else { ban(logits, first_time, all) }
        }
        _ => {}
    }
    if let Some(latest) = tokens.iter().rev().find(|t| vocabulary.is_time(**t)) {
        let ends = tokens.last() == Some(latest) && tokens.len() >= 2 && !vocabulary.is_time(tokens[tokens.len() - 2]);
        // A piece may begin where the one before it ends, and takes some time itself.
        ban(logits, first_time, if ends { *latest } else { latest + 1 });
    }
    let shares = log_shares(logits);
    let (words, times) = shares.split_at(first_time as usize);
    let likeliest = words.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if sum_of_shares(times) > likeliest {
        ban(logits, 0, first_time);
    }
}

/// The logarithms of the shares that some logits mean.
fn log_shares(logits: &[f32]) -> Vec<f32> {
    let sum = sum_of_shares(logits);
    logits.iter().map(|l| l - sum).collect()
}

/// log(Σ exp(x)).
fn sum_of_shares(logits: &[f32]) -> f32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if most == f32::NEG_INFINITY {
        return most;
    }
    let sum: f64 = logits.iter().map(|l| f64::from(l - most).exp()).sum();
    most + sum.ln() as f32
}

/// How many times smaller zlib makes a text.
fn shrinking(text: &str) -> f64 {
    let mut small = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let written = small.write_all(text.as_bytes()).and_then(|()| small.finish());
    written.map_or(1.0, |bytes| text.len() as f64 / bytes.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Words are 0 to 9, the end is 10, times are 12 to 19.
    fn vocabulary() -> Vocabulary {
        Vocabulary {
            size: 20,
            start: 0,
            end: 10,
            no_times: 11,
            first_time: 12,
            no_speech: None,
            languages: BTreeMap::new(),
            tasks: None,
            suppressed: vec![3],
            not_first: vec![4],
            latest_start: 2,
        }
    }

    fn allowed(tokens: &[u32]) -> Vec<u32> {
        let mut logits: Vec<f32> = (0..20).map(|i| if i < 12 { 5.0 } else { 0.0 }).collect();
        allow(&mut logits, tokens, &vocabulary());
        (0..20).filter(|i| logits[*i as usize] > f32::NEG_INFINITY).collect()
    }

    #[test]
    fn times_stand_in_pairs_and_never_go_back() {
        assert_eq!(allowed(&[]), [12, 13, 14]);
        let words: Vec<u32> = (0..11).filter(|w| *w != 3).collect();
        assert_eq!(allowed(&[12]), words);
        let later = |from: u32| words.iter().copied().chain(from..20).collect::<Vec<_>>();
        assert_eq!(allowed(&[12, 1]), later(13));
        assert_eq!(allowed(&[12, 1, 15]), [10, 15, 16, 17, 18, 19]);
        assert_eq!(allowed(&[12, 1, 15, 15]), words);
        assert_eq!(allowed(&[12, 1, 15, 15, 2]), later(16));
    }

    #[test]
    fn a_time_is_said_where_all_of_them_are_likelier_than_any_word() {
        let mut logits = vec![0.0; 20];
        allow(&mut logits, &[12, 1], &vocabulary());
        assert!(logits[..12].iter().all(|l| *l == f32::NEG_INFINITY));
    }

    #[test]
    fn a_text_that_repeats_itself_is_known_by_its_size() {
        assert!(shrinking(&"and so on ".repeat(40)) > MOST_SHRINKING);
        assert!(shrinking("The quick brown fox jumps over the lazy dog.") < MOST_SHRINKING);
    }
}
