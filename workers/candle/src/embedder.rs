//! Sentence embeddings: BERT and its like (MiniLM, BGE, E5, GTE) as `sentence-transformers` packs them. Texts -> vectors of length 1.
//!
//! The network is candle's; it agrees with transformers. How a text's vector is made of its tokens' stands beside the weights.

use crate::call::Call;
use crate::failure::Failure;
use crate::model::Model;
use crate::tokens::{self, batches, padded};
use crate::weights::Weights;
use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

const ROWS: usize = 64;
const CELLS: usize = 8192;
/// What a norm is at least, so that a vector of zeros stays one.
const LEAST_NORM: f64 = 1e-12;

/// How the vectors of a text's tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    Mean,
    First,
}

/// A model that makes vectors of texts.
pub struct Embedder {
    network: BertModel,
    tokenizer: Tokenizer,
    pooling: Pooling,
    pad: u32,
    device: Device,
}

impl Embedder {
    /// Loads it.
    pub fn load(weights: &Weights, device: &Device) -> Result<Embedder, Failure> {
        let config: Config = weights.needed("config.json")?;
        let about: Value = weights.needed("config.json")?;
        let pooling = pooling(weights.json("1_Pooling/config.json")?.unwrap_or_default())?;
        let positions = about["max_position_embeddings"].as_u64().unwrap_or(512);
        let own: Value = weights.json("sentence_bert_config.json")?.unwrap_or_default();
        let length = own["max_seq_length"].as_u64().unwrap_or(positions).min(positions);
        let mut tokenizer = tokens::of(weights)?;
        tokens::limit(&mut tokenizer, length as usize)?;
        // F32 also on a GPU: these are small, and half the bytes cost digits that a search sees.
        let tensors: VarBuilder = weights.tensors(DType::F32, device)?;
        let pad = about["pad_token_id"].as_u64().unwrap_or(0) as u32;
        Ok(Embedder { network: BertModel::load(tensors, &config)?, tokenizer, pooling, pad, device: device.clone() })
    }

    /// A vector for each text.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Failure> {
        // As others have it: an empty text is a blank, so that it has a vector at all.
        let coded = texts.iter().map(|text| tokens::ids(&self.tokenizer, if text.is_empty() { " " } else { text }));
        let coded: Vec<Vec<u32>> = coded.collect::<Result<_, Failure>>()?;
        let lengths: Vec<usize> = coded.iter().map(Vec::len).collect();
        let mut vectors = vec![Vec::new(); texts.len()];
        for batch in batches(&lengths, ROWS, CELLS) {
            let rows: Vec<&[u32]> = batch.iter().map(|i| coded[*i].as_slice()).collect();
            let (ids, mask) = padded(&rows, self.pad, &self.device)?;
            let found = unit(&self.pooled(&ids, &mask)?)?.to_vec2::<f32>()?;
            for (i, vector) in batch.into_iter().zip(found) {
                vectors[i] = vector;
            }
        }
        Ok(vectors)
    }

    /// Vectors `[rows, width]` of ids `[rows, length]`, of any length.
    fn pooled(&self, ids: &Tensor, mask: &Tensor) -> Result<Tensor, Failure> {
        let hidden = self.network.forward(ids, &ids.zeros_like()?, Some(mask))?;
        Ok(match self.pooling {
            Pooling::First => hidden.i((.., 0))?,
            Pooling::Mean => {
                let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
                hidden.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)?
            }
        })
    }
}

fn pooling(about: Value) -> Result<Pooling, Failure> {
    let on = |name: &str| about[name].as_bool().unwrap_or(false);
    let modes = ["cls_token", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"];
    let others: Vec<&str> = modes.into_iter().filter(|mode| on(&format!("pooling_mode_{mode}"))).collect();
    match (others.as_slice(), on("pooling_mode_mean_tokens")) {
        ([], _) => Ok(Pooling::Mean),
        (["cls_token"], false) => Ok(Pooling::First),
        _ => Err(Failure::weights("the weights want a pooling of tokens other than the mean or the first one")),
    }
}

/// Rows of length 1.
pub fn unit(rows: &Tensor) -> Result<Tensor, Failure> {
    let norms = rows.sqr()?.sum_keepdim(1)?.sqrt()?.clamp(LEAST_NORM, f64::INFINITY)?;
    Ok(rows.broadcast_div(&norms)?)
}

impl Model for Embedder {
    fn functions(&self) -> &'static [&'static str] {
        &["embed"]
    }

    fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        match call.function.as_str() {
            "embed" => Ok(json!(self.embed(&call.texts("texts")?)?)),
            _ => Err(call.unknown(self.functions())),
        }
    }

    fn together(&mut self, calls: &[Call]) -> Option<Vec<Result<Value, Failure>>> {
        if calls.iter().any(|call| call.function != "embed") {
            return None;
        }
        let texts: Vec<_> = calls.iter().map(|call| call.texts("texts")).collect();
        let all: Vec<String> = texts.iter().flatten().flatten().cloned().collect();
        let mut vectors = self.embed(&all).ok()?.into_iter();
        let own = |texts: Result<Vec<String>, Failure>| {
            texts.map(|texts| json!(vectors.by_ref().take(texts.len()).collect::<Vec<_>>()))
        };
        Some(texts.into_iter().map(own).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_poolings_that_are_known_are_taken() {
        assert_eq!(pooling(Value::Null), Ok(Pooling::Mean));
        assert_eq!(
            pooling(json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})),
            Ok(Pooling::First)
        );
        assert!(pooling(json!({"pooling_mode_max_tokens": true})).is_err());
        assert!(pooling(json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true})).is_err());
    }
}
