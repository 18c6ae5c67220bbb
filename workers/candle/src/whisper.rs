//! Whisper: a file with speech -> a transcript with times.
//!
//! `audio` reads samples, `mel` makes the spectrogram, `network` is the model, `vocabulary` its marks, `decode` one window of (as a rule)
//! 30 seconds; this file goes through a recording window by window. Own code throughout: candle's spectrogram differs from OpenAI's by up
//! to 1.5, and its network uses the GELU by tanh where the weights were trained with the one by erf.

pub mod audio;
pub mod decode;
pub mod mel;
pub mod network;
pub mod vocabulary;

use crate::call::Call;
use crate::failure::Failure;
use crate::model::Model;
use crate::tokens;
use crate::weights::Weights;
use candle_core::{DType, Device, Tensor};
use decode::{Decoded, Decoder};
use mel::Mel;
use network::{Config, Network};
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use vocabulary::Vocabulary;

/// Frames of a timestamp's step: 0.02 s.
const STEP: usize = 2;
const FRAMES_PER_S: f64 = 100.0;

/// A model that transcribes.
pub struct Whisper {
    network: Network,
    mel: Mel,
    vocabulary: Vocabulary,
    tokenizer: Tokenizer,
    device: Device,
}

/// A piece of a transcript, times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    start: f64,
    end: f64,
    text: String,
}

impl Whisper {
    /// Loads it.
    pub fn load(weights: &Weights, device: &Device) -> Result<Whisper, Failure> {
        let config: Config = weights.needed("config.json")?;
        let generation: Value = weights.json("generation_config.json")?.unwrap_or_default();
        let about: Value = weights.needed("config.json")?;
        let tokenizer = tokens::of(weights)?;
        let vocabulary = Vocabulary::of(&tokenizer, config.vocab_size, &[generation, about])?;
        let mel = Mel::new(config.num_mel_bins)?;
        let network = Network::load(&config, weights.tensors(weights.dtype(device), device)?)?;
        Ok(Whisper { network, mel, vocabulary, tokenizer, device: device.clone() })
    }

    /// The spectrogram of some samples, the network and the marks, for who wants to look inside.
    pub fn parts(&mut self) -> (&Mel, &mut Network, &Vocabulary, &Tokenizer) {
        (&self.mel, &mut self.network, &self.vocabulary, &self.tokenizer)
    }

    /// The segments of a recording, and its language.
    pub fn transcribe(&mut self, samples: &[f32], call: &Call) -> Result<(Vec<Segment>, Option<String>), Failure> {
        let most = self.network.frames();
        let spectrogram = self.mel.of(samples, most)?;
        let frames = samples.len() / mel::HOP;
        let mut language = call.setting("language").map(str::to_owned);
        let translate = match call.setting("mode").unwrap_or("transcribe") {
            "transcribe" => false,
            "translate" => true,
            other => {
                return Err(Failure::input(format!(
                    "the setting `mode` is `transcribe` or `translate`, and not `{other}`"
                )));
            }
        };
        let again = match call.setting("fallback").unwrap_or("on") {
            "on" => true,
            "off" => false,
            other => {
                return Err(Failure::input(format!("the setting `fallback` is `on` or `off`, and not `{other}`")));
            }
        };
        let seed = call.number("seed", 0_u64, 0, u64::MAX)?;
        let (mut segments, mut seek) = (Vec::new(), 0);
        while seek < frames {
            let there = (frames - seek).min(most);
            let heard = self.network.hear(&spectrogram.window(seek, most, self.network.dtype(), &self.device)?)?;
            let mut decoder =
                Decoder { network: &mut self.network, vocabulary: &self.vocabulary, tokenizer: &self.tokenizer };
            if language.is_none() && !self.vocabulary.languages.is_empty() {
                language = Some(decoder.language(&heard)?);
            }
            let prompt = self.vocabulary.prompt(language.as_deref(), translate)?;
            let decoded = decoder.window(&heard, &prompt, seed.wrapping_add(seek as u64), again)?;
            seek += self.told(&decoded, seek, there, &mut segments)?;
        }
        Ok((segments, language))
    }

    /// Adds what was heard in a window of so many frames to the segments; returns how far to go on.
    fn told(
        &self,
        decoded: &Decoded,
        seek: usize,
        there: usize,
        segments: &mut Vec<Segment>,
    ) -> Result<usize, Failure> {
        if decoded.silent() {
            return Ok(there);
        }
        let (pieces, passed) = pieces(&decoded.tokens, self.vocabulary.first_time, there);
        for (from, to, tokens) in pieces {
            let text = self.tokenizer.decode(&tokens, true).map_err(|e| Failure::model(e.to_string()))?;
            let at = |frames: usize| (seek + frames) as f64 / FRAMES_PER_S;
            if !text.trim().is_empty() && to > from {
                segments.push(Segment { start: at(from), end: at(to), text: text.trim().to_owned() });
            }
        }
        Ok(passed)
    }
}

/// A window's tokens cut where two times stand side by side: (first frame, last frame, tokens) each, and how many frames are done with.
/// What follows the last pair is heard again in the next window, unless one time alone ends it all.
fn pieces(tokens: &[u32], first_time: u32, there: usize) -> (Vec<(usize, usize, Vec<u32>)>, usize) {
    let time = |token: u32| token.checked_sub(first_time).map(|steps| steps as usize * STEP);
    let is_time: Vec<bool> = tokens.iter().map(|t| time(*t).is_some()).collect();
    let ends_alone = matches!(is_time.as_slice(), [.., false, true]);
    let mut cuts: Vec<usize> = (1..tokens.len()).filter(|i| is_time[i - 1] && is_time[*i]).collect();
    let text = |part: &[u32]| part.iter().copied().filter(|t| time(*t).is_none()).collect::<Vec<u32>>();
    if cuts.is_empty() {
        let first = tokens.first().and_then(|t| time(*t)).unwrap_or(0);
        let last = tokens.last().filter(|_| tokens.len() > 1).and_then(|t| time(*t)).filter(|last| *last > first);
        return (vec![(first, last.unwrap_or(there).min(there), text(tokens))], there);
    }
    if ends_alone {
        cuts.push(tokens.len());
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    for cut in cuts {
        let part = &tokens[start..cut];
        let edge = |token: Option<&u32>| token.and_then(|t| time(*t)).unwrap_or(0);
        pieces.push((edge(part.first()), edge(part.last()).min(there), text(part)));
        start = cut;
    }
    let passed = if ends_alone { there } else { tokens[..start].last().and_then(|t| time(*t)).unwrap_or(there) };
    // A window that does not get on would be heard without end.
    (pieces, if passed == 0 { there } else { passed.min(there) })
}

impl Model for Whisper {
    fn functions(&self) -> &'static [&'static str] {
        &["transcribe"]
    }

    fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        if call.function != "transcribe" {
            return Err(call.unknown(self.functions()));
        }
        let Some(file) = call.file("audio")? else { return Ok(json!({"segments": []})) };
        let (segments, language) = self.transcribe(&audio::read(&file)?, call)?;
        let told = segments.iter().map(|s| json!({"start": s.start, "end": s.end, "text": s.text}));
        Ok(json!({"segments": told.collect::<Vec<_>>(), "language": language}))
    }
}

/// Numbers of a tensor, whatever type they have there.
pub(crate) fn floats(tensor: &Tensor) -> Result<Vec<f32>, Failure> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times are ids from 100 on, steps of two frames.
    fn cut(tokens: &[u32]) -> (Vec<(usize, usize, Vec<u32>)>, usize) {
        pieces(tokens, 100, 3000)
    }

    #[test]
    fn a_window_is_cut_where_times_stand_side_by_side() {
        assert_eq!(cut(&[100, 1, 2, 150, 150, 3, 200, 200]), (vec![(0, 100, vec![1, 2]), (100, 200, vec![3])], 200));
        // What has no end yet is heard again from where it began.
        assert_eq!(cut(&[100, 1, 150, 150, 2]), (vec![(0, 100, vec![1])], 100));
        assert_eq!(cut(&[100, 1, 150, 160, 2, 200]), (vec![(0, 100, vec![1]), (120, 200, vec![2])], 3000));
    }

    #[test]
    fn a_window_without_pairs_is_one_piece_and_every_window_gets_on() {
        assert_eq!(cut(&[110, 1, 2, 160]), (vec![(20, 120, vec![1, 2])], 3000));
        assert_eq!(cut(&[100, 1, 2]), (vec![(0, 3000, vec![1, 2])], 3000));
        assert_eq!(cut(&[100, 100, 1]).1, 3000);
        assert_eq!(cut(&[]).1, 3000);
    }
}
