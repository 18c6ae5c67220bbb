//! Small language models of the Llama and Qwen2 families, from safetensors or GGUF: prompts -> continuations.
//!
//! One network for both families and both formats (`network`, read from `source`). candle has four, which take one prompt at a time, and of
//! which those for GGUF end at 4096 positions and ignore the frequencies that Llama 3.1 and later bring along (`rope_freqs.weight`).
//! Prompts are taken as they are: no chat template is applied. For a large model, serve it (docs/servers.md).

pub mod network;
pub mod sample;
pub mod source;

use crate::call::Call;
use crate::failure::Failure;
use crate::model::Model;
use crate::tokens;
use crate::weights::Weights;
use crate::whisper::floats;
use candle_core::{D, Device, Tensor};
use network::{Network, Past};
use sample::Chance;
use serde_json::{Value, json};
use source::Source;
use tokenizers::Tokenizer;

/// Prompts at a time.
const ROWS: usize = 16;
/// Tokens that a batch's keys and values may be of.
const CELLS: usize = 32_768;

/// A model that continues texts.
pub struct Llm {
    network: Network,
    tokenizer: Tokenizer,
    stops: Vec<u32>,
    device: Device,
}

/// How a text is continued.
#[derive(Clone, Debug, PartialEq)]
pub struct Manner {
    /// Tokens of an answer, most.
    pub max_tokens: usize,
    /// 0 for the likeliest tokens.
    pub temperature: f32,
    /// The share of the probability that is chosen from.
    pub top_p: f32,
    /// What chance begins with; each prompt has its own.
    pub seed: u64,
    /// Texts that end an answer, and are no part of it.
    pub stop: Vec<String>,
}

impl Manner {
    fn of(call: &Call) -> Result<Manner, Failure> {
        // As it stands: a stop may well be the end of a line.
        let stop = call.options.get("stop").and_then(Value::as_str).filter(|text| !text.is_empty());
        Ok(Manner {
            max_tokens: call.number("max_tokens", 256, 1, 65_536)?,
            temperature: call.number("temperature", 0.0, 0.0, 10.0)?,
            top_p: call.number("top_p", 1.0, 0.0, 1.0)?,
            seed: call.number("seed", 0, 0, u64::MAX)?,
            stop: stop.map(str::to_owned).into_iter().collect(),
        })
    }
}

impl Llm {
    /// Loads it.
    pub fn load(weights: &Weights, device: &Device) -> Result<Llm, Failure> {
        let mut source = Source::open(weights, device)?;
        let tokenizer = source.tokenizer(weights)?;
        let stops = source.stops(weights)?;
        Ok(Llm { network: Network::load(&mut source)?, tokenizer, stops, device: device.clone() })
    }

    /// The network, for who wants logits.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Continuations of prompts.
    pub fn generate(&self, prompts: &[String], manner: &Manner) -> Result<Vec<String>, Failure> {
        let coded: Vec<Vec<u32>> =
            prompts.iter().map(|p| tokens::ids(&self.tokenizer, p)).collect::<Result<_, Failure>>()?;
        for ids in &coded {
            let most = self.network.positions();
            if ids.is_empty() || ids.len() >= most {
                let message = format!("a prompt has {} tokens, and the model takes from 1 to {}", ids.len(), most - 1);
                return Err(Failure::input(message));
            }
        }
        let lengths: Vec<usize> = coded.iter().map(|ids| ids.len() + manner.max_tokens).collect();
        let mut answers = vec![String::new(); prompts.len()];
        for batch in tokens::batches(&lengths, ROWS, CELLS) {
            let rows: Vec<&[u32]> = batch.iter().map(|i| coded[*i].as_slice()).collect();
            let said = self.continued(&rows, &batch, manner)?;
            for (i, ids) in batch.into_iter().zip(said) {
                answers[i] = self.text(&ids, manner)?.0;
            }
        }
        Ok(answers)
    }

    /// The tokens that follow some rows; `numbers` are the prompts' own, from which their chance is drawn.
    fn continued(&self, rows: &[&[u32]], numbers: &[usize], manner: &Manner) -> Result<Vec<Vec<u32>>, Failure> {
        let longest = rows.iter().map(|r| r.len()).max().unwrap_or(0);
        let absent: Vec<usize> = rows.iter().map(|r| longest - r.len()).collect();
        // Filled up at their beginnings, so that all rows go on at the same place.
        let ids =
            rows.iter().zip(&absent).flat_map(|(row, absent)| vec![0; *absent].into_iter().chain(row.iter().copied()));
        let ids = Tensor::from_iter(ids, &self.device)?.reshape((rows.len(), longest))?;
        let mut past = Past::new(&self.network, &absent);
        let mut logits = self.network.last(&ids, &mut past)?;
        let mut chances: Vec<Chance> =
            numbers.iter().map(|n| Chance::new(manner.seed.wrapping_add(*n as u64 * 0x9e37))).collect();
        let mut said: Vec<Vec<u32>> = vec![Vec::new(); rows.len()];
        let mut done = vec![false; rows.len()];
        let room = self.network.positions() - longest;
        for step in 0..manner.max_tokens.min(room + 1) {
            let next = picked(&logits, &mut chances, manner)?;
            for (row, token) in next.iter().copied().enumerate() {
                if !done[row] {
                    done[row] = self.stops.contains(&token);
                    if !done[row] {
                        said[row].push(token);
                        done[row] = !manner.stop.is_empty() && self.text(&said[row], manner)?.1;
                    }
                }
            }
            if done.iter().all(|d| *d) || step + 1 >= manner.max_tokens.min(room + 1) {
                break;
            }
            logits = self.network.last(&Tensor::from_vec(next, (rows.len(), 1), &self.device)?, &mut past)?;
        }
        Ok(said)
    }

    /// Tokens as text up to what ends it, and whether that was found.
    fn text(&self, ids: &[u32], manner: &Manner) -> Result<(String, bool), Failure> {
        let text = self.tokenizer.decode(ids, true).map_err(|e| Failure::model(e.to_string()))?;
        let end = manner.stop.iter().filter(|s| !s.is_empty()).filter_map(|s| text.find(s.as_str())).min();
        Ok((end.map_or(text.clone(), |at| text[..at].to_owned()), end.is_some()))
    }
}

/// A token for each row of logits. The likeliest are found where the logits are: only they leave a GPU.
fn picked(logits: &Tensor, chances: &mut [Chance], manner: &Manner) -> Result<Vec<u32>, Failure> {
    if manner.temperature <= 0.0 {
        return Ok(logits.argmax(D::Minus1)?.to_vec1()?);
    }
    let flat = floats(logits)?;
    let rows = flat.chunks_exact(flat.len() / chances.len().max(1));
    Ok(rows.zip(chances).map(|(row, chance)| chance.pick(row, manner.temperature, manner.top_p)).collect())
}

impl Model for Llm {
    fn functions(&self) -> &'static [&'static str] {
        &["generate"]
    }

    fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        if call.function != "generate" {
            return Err(call.unknown(self.functions()));
        }
        let manner = Manner::of(call)?;
        // One prompt, or many.
        match call.text("prompt")? {
            Some(prompt) => Ok(json!(self.generate(&[prompt], &manner)?.pop())),
            None => Ok(json!(self.generate(&call.texts("prompts")?, &manner)?)),
        }
    }
}
