//! Safetensors with `config.json`, or one GGUF file -> shape, matrices, tokenizer and stops of a decoder.

use super::network::Shape;
use crate::failure::Failure;
use crate::tokens;
use crate::weights::Weights;
use candle_core::quantized::gguf_file::{Content, Value as Meta};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, RmsNorm, VarBuilder};
use serde_json::Value;
use std::f32::consts::PI;
use std::fs::File;
use std::io::BufReader;
use tokenizers::Tokenizer;

/// Where a decoder comes from.
pub enum Source {
    /// Safetensors.
    Tensors {
        /// `config.json`.
        config: Value,
        /// The numbers.
        tensors: VarBuilder<'static>,
    },
    /// A GGUF file.
    Gguf {
        /// Its head.
        content: Content,
        /// The file, for its numbers.
        file: BufReader<File>,
        /// Where they go.
        device: Device,
    },
}

/// A matrix of a layer.
pub enum Matrix {
    /// Plain numbers.
    Plain(Linear),
    /// Quantised, with a bias that is not.
    Quantised(QMatMul, Option<Tensor>),
}

impl Matrix {
    /// Multiplies.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Matrix::Plain(linear) => linear.forward(x),
            Matrix::Quantised(matrix, None) => matrix.forward(x),
            Matrix::Quantised(matrix, Some(bias)) => matrix.forward(x)?.broadcast_add(bias),
        }
    }
}

impl Source {
    /// Opens it.
    pub fn open(weights: &Weights, device: &Device) -> Result<Source, Failure> {
        let Some(path) = weights.files.first().filter(|_| weights.is_gguf()) else {
            let tensors = weights.tensors(weights.dtype(device), device)?;
            return Ok(Source::Tensors { config: weights.needed("config.json")?, tensors });
        };
        let broken = |e: &dyn std::fmt::Display| Failure::weights(format!("`{}` cannot be used: {e}", path.display()));
        let mut file = BufReader::new(File::open(path).map_err(|e| broken(&e))?);
        let content = Content::read(&mut file).map_err(|e| broken(&e))?;
        Ok(Source::Gguf { content, file, device: device.clone() })
    }

    /// What the numbers are computed in.
    pub fn dtype(&self) -> DType {
        match self {
            Source::Tensors { tensors, .. } => tensors.dtype(),
            // Products with quantised matrices are in 32 bits.
            Source::Gguf { .. } => DType::F32,
        }
    }

    /// Where they are.
    pub fn device(&self) -> &Device {
        match self {
            Source::Tensors { tensors, .. } => tensors.device(),
            Source::Gguf { device, .. } => device,
        }
    }

    /// The model's shape.
    pub fn shape(&mut self) -> Result<Shape, Failure> {
        match self {
            Source::Tensors { config, .. } => of_config(config),
            Source::Gguf { content, file, device } => {
                let factors = match content.tensor_infos.contains_key("rope_freqs.weight") {
                    true => Some(
                        content
                            .tensor(file, "rope_freqs.weight", device)?
                            .dequantize(device)?
                            .flatten_all()?
                            .to_vec1()?,
                    ),
                    false => None,
                };
                of_gguf(content, factors)
            }
        }
    }

    fn quantised(&mut self, name: &str) -> Result<Option<QTensor>, Failure> {
        match self {
            Source::Gguf { content, file, device } if content.tensor_infos.contains_key(name) => {
                Ok(Some(content.tensor(file, name, device)?))
            }
            _ => Ok(None),
        }
    }

    /// A matrix, by its name in either format.
    pub fn matrix(&mut self, name: &str, gguf: &str, from: usize, to: usize, bias: bool) -> Result<Matrix, Failure> {
        if let Source::Tensors { tensors, .. } = self {
            let at = tensors.pp(name);
            let bias = if bias { Some(at.get(to, "bias")?) } else { None };
            return Ok(Matrix::Plain(Linear::new(at.get((to, from), "weight")?, bias)));
        }
        let missing = || Failure::weights(format!("the GGUF file has no `{gguf}.weight`"));
        let matrix = self.quantised(&format!("{gguf}.weight"))?.ok_or_else(missing)?;
        if matrix.shape().dims() != [to, from] {
            return Err(Failure::weights(format!(
                "`{gguf}.weight` has the shape {:?}, and not {to} by {from}",
                matrix.shape()
            )));
        }
        let device = self.device().clone();
        let bias = match self.quantised(&format!("{gguf}.bias"))? {
            Some(bias) => Some(bias.dequantize(&device)?),
            None if bias => return Err(Failure::weights(format!("the GGUF file has no `{gguf}.bias`"))),
            None => None,
        };
        Ok(Matrix::Quantised(QMatMul::from_qtensor(matrix)?, bias))
    }

    /// A norm's factors.
    pub fn norm(&mut self, name: &str, gguf: &str, shape: &Shape) -> Result<RmsNorm, Failure> {
        let factors = match self {
            Source::Tensors { tensors, .. } => tensors.get(shape.hidden, name)?,
            Source::Gguf { .. } => self.plain(gguf)?,
        };
        Ok(RmsNorm::new(factors, shape.epsilon))
    }

    /// The tokens' vectors `[vocabulary, hidden]`.
    pub fn embeddings(&mut self, vocabulary: usize, hidden: usize) -> Result<Tensor, Failure> {
        match self {
            Source::Tensors { tensors, .. } => Ok(tensors.get((vocabulary, hidden), "model.embed_tokens.weight")?),
            Source::Gguf { .. } => self.plain("token_embd.weight"),
        }
    }

    /// The matrix from states to logits: one of its own, or the tokens' vectors.
    pub fn head(&mut self, shape: &Shape, embeddings: &Tensor) -> Result<Matrix, Failure> {
        let tied = match self {
            Source::Tensors { tensors, config } => {
                config["tie_word_embeddings"].as_bool().unwrap_or(false) || !tensors.contains_tensor("lm_head.weight")
            }
            Source::Gguf { content, .. } => !content.tensor_infos.contains_key("output.weight"),
        };
        match (tied, &*self) {
            (true, Source::Tensors { .. }) => Ok(Matrix::Plain(Linear::new(embeddings.clone(), None))),
            (true, Source::Gguf { .. }) => self.matrix("", "token_embd", shape.hidden, shape.vocabulary, false),
            (false, _) => self.matrix("lm_head", "output", shape.hidden, shape.vocabulary, false),
        }
    }

    fn plain(&mut self, name: &str) -> Result<Tensor, Failure> {
        let device = self.device().clone();
        let found = self.quantised(name)?.ok_or_else(|| Failure::weights(format!("the GGUF file has no `{name}`")))?;
        Ok(found.dequantize(&device)?)
    }

    /// The tokenizer: `tokenizer.json` where there is one, else the vocabulary of a GGUF file, if it is of a kind that is read rightly.
    pub fn tokenizer(&self, weights: &Weights) -> Result<Tokenizer, Failure> {
        let beside = weights.folder.join("tokenizer.json").is_file();
        let content = match self {
            Source::Gguf { content, .. } if !beside => content,
            _ => return tokens::of(weights),
        };
        let text = |name: &str| content.metadata.get(name).and_then(|v| v.to_string().ok()).map_or("", String::as_str);
        // candle reads Llama 3's `llama-bpe` as GPT-2's, which parts words elsewhere; SentencePiece it does not read at all.
        match (text("tokenizer.ggml.model"), text("tokenizer.ggml.pre")) {
            ("gpt2", "qwen2" | "gpt-2" | "default") => Ok(Tokenizer::from_gguf(content)?),
            (kind, pre) => {
                let message = format!("a vocabulary of the kind `{kind}` (`{pre}`) is not read from a GGUF file");
                Err(Failure::weights(message + ": put the model's `tokenizer.json` beside it"))
            }
        }
    }

    /// The tokens that end an answer.
    pub fn stops(&self, weights: &Weights) -> Result<Vec<u32>, Failure> {
        let ids = |value: &Value| -> Vec<u32> {
            let one = |v: &Value| v.as_u64().map(|id| id as u32);
            one(value).map_or_else(|| value.as_array().into_iter().flatten().filter_map(one).collect(), |id| vec![id])
        };
        if let Source::Gguf { content, .. } = self {
            let names = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"];
            return Ok(names.iter().filter_map(|n| content.metadata.get(*n)).filter_map(|v| v.to_u32().ok()).collect());
        }
        let generation: Value = weights.json("generation_config.json")?.unwrap_or_default();
        let own = ids(&generation["eos_token_id"]);
        Ok(if own.is_empty() { ids(&weights.needed::<Value>("config.json")?["eos_token_id"]) } else { own })
    }
}

fn of_config(config: &Value) -> Result<Shape, Failure> {
    let refused = |what: &str| Err(Failure::weights(format!("{what} is not supported")));
    let number = |name: &str| {
        let number = config[name].as_u64().map(|n| n as usize);
        number.filter(|n| *n > 0).ok_or_else(|| Failure::weights(format!("`config.json` has no `{name}`")))
    };
    if config["hidden_act"].as_str().is_some_and(|act| act != "silu") {
        return refused("another activation than `silu`");
    }
    if config["use_sliding_window"].as_bool() == Some(true) {
        return refused("a sliding window");
    }
    if config["mlp_bias"].as_bool() == Some(true) {
        return refused("a bias in the feed-forward layers");
    }
    let qwen = config["model_type"] == "qwen2";
    if !qwen && config["attention_bias"].as_bool() == Some(true) {
        return refused("a bias of a Llama's attention");
    }
    let (hidden, heads) = (number("hidden_size")?, number("num_attention_heads")?);
    let head = number("head_dim").unwrap_or(hidden / heads);
    let theta =
        config["rope_theta"].as_f64().or_else(|| config["rope_parameters"]["rope_theta"].as_f64()).unwrap_or(10_000.0);
    let scaling = [&config["rope_scaling"], &config["rope_parameters"]].into_iter().find(|v| v.is_object());
    Ok(Shape {
        hidden,
        inner: number("intermediate_size")?,
        layers: number("num_hidden_layers")?,
        heads,
        kv_heads: number("num_key_value_heads").unwrap_or(heads),
        head,
        vocabulary: number("vocab_size")?,
        epsilon: config["rms_norm_eps"].as_f64().unwrap_or(1e-6),
        positions: number("max_position_embeddings")?,
        bias: qwen,
        side_by_side: false,
        frequencies: scaled(frequencies(theta, head), scaling.unwrap_or(&Value::Null))?,
    })
}

fn frequencies(theta: f64, head: usize) -> Vec<f32> {
    (0..head).step_by(2).map(|i| 1.0 / (theta as f32).powf(i as f32 / head as f32)).collect()
}

/// The frequencies as a model for longer texts has them.
fn scaled(frequencies: Vec<f32>, scaling: &Value) -> Result<Vec<f32>, Failure> {
    let kind = scaling["rope_type"].as_str().or_else(|| scaling["type"].as_str()).unwrap_or("default");
    let number = |name: &str| {
        let missing = || Failure::weights(format!("the scaling of positions has no `{name}`"));
        scaling[name].as_f64().map(|n| n as f32).filter(|n| *n > 0.0).ok_or_else(missing)
    };
    match kind {
        "default" => Ok(frequencies),
        "linear" => {
            let factor = number("factor")?;
            Ok(frequencies.into_iter().map(|f| f / factor).collect())
        }
        "llama3" => {
            let (factor, trained) = (number("factor")?, number("original_max_position_embeddings")?);
            let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
            let slower = |frequency: f32| {
                let wave = 2.0 * PI / frequency;
                // Quick waves stay, slow ones are stretched, and between them it goes from one to the other.
                let kept = ((trained / wave - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - kept) * frequency / factor + kept * frequency
            };
            Ok(frequencies.into_iter().map(slower).collect())
        }
        other => Err(Failure::weights(format!("positions scaled by `{other}` are not supported"))),
    }
}

fn of_gguf(content: &Content, factors: Option<Vec<f32>>) -> Result<Shape, Failure> {
    let family =
        content.metadata.get("general.architecture").and_then(|v| v.to_string().ok()).cloned().unwrap_or_default();
    if !["llama", "qwen2"].contains(&family.as_str()) {
        return Err(Failure::weights(format!(
            "a GGUF file of the family `{family}` is not supported; those of llama and qwen2 are"
        )));
    }
    let meta = |name: &str| content.metadata.get(&format!("{family}.{name}"));
    let number = |name: &str| {
        let number = meta(name).and_then(whole);
        number
            .filter(|n| *n > 0)
            .ok_or_else(|| Failure::weights(format!("the GGUF file does not say its `{family}.{name}`")))
    };
    if meta("expert_count").and_then(whole).is_some_and(|n| n > 0) {
        return Err(Failure::weights("a mixture of experts is not supported"));
    }
    let (hidden, heads) = (number("embedding_length")?, number("attention.head_count")?);
    let head = number("attention.key_length").unwrap_or(hidden / heads);
    let scaling = meta("rope.scaling.type").and_then(|v| v.to_string().ok()).map_or("none", String::as_str);
    let theta = meta("rope.freq_base").and_then(|v| v.to_f32().ok()).unwrap_or(10_000.0);
    let mut turning = frequencies(f64::from(theta), head);
    match (scaling, factors) {
        ("none" | "linear", Some(factors)) if factors.len() == turning.len() => {
            turning.iter_mut().zip(factors).for_each(|(f, factor)| *f /= factor);
        }
        ("none", None) => {}
        ("linear", None) => {
            let factor = meta("rope.scaling.factor").and_then(|v| v.to_f32().ok()).filter(|f| *f > 0.0).unwrap_or(1.0);
            turning.iter_mut().for_each(|f| *f /= factor);
        }
        (other, _) => return Err(Failure::weights(format!("positions scaled by `{other}` are not supported"))),
    }
    let vocabulary = content.tensor_infos.get("token_embd.weight").and_then(|t| t.shape.dims().first().copied());
    Ok(Shape {
        hidden,
        inner: number("feed_forward_length")?,
        layers: number("block_count")?,
        heads,
        kv_heads: number("attention.head_count_kv").unwrap_or(heads),
        head,
        vocabulary: vocabulary.ok_or_else(|| Failure::weights("the GGUF file has no `token_embd.weight`"))?,
        epsilon: meta("attention.layer_norm_rms_epsilon").and_then(|v| v.to_f32().ok()).map_or(1e-6, f64::from),
        positions: number("context_length")?,
        bias: family == "qwen2",
        // llama.cpp's converter turns the numbers of a Llama's heads around; a Qwen's it leaves.
        side_by_side: family == "llama",
        frequencies: turning,
    })
}

fn whole(value: &Meta) -> Option<usize> {
    match value {
        Meta::U64(n) => usize::try_from(*n).ok(),
        Meta::I32(n) => usize::try_from(*n).ok(),
        other => other.to_u32().ok().map(|n| n as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_would_be_computed_wrongly_is_refused() {
        let plain = json!({"model_type": "llama", "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                           "vocab_size": 9, "max_position_embeddings": 32, "rope_theta": 10000.0});
        let shape = of_config(&plain).expect("a Llama");
        assert_eq!((shape.head, shape.kv_heads, shape.frequencies), (4, 2, vec![1.0, 0.01]));
        for (name, value) in [
            ("hidden_act", json!("gelu")),
            ("use_sliding_window", json!(true)),
            ("attention_bias", json!(true)),
            ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
            ("vocab_size", json!(null)),
        ] {
            let mut other = plain.clone();
            other[name] = value;
            assert!(of_config(&other).is_err(), "{name}");
        }
    }

    #[test]
    fn quick_waves_stay_and_slow_ones_are_stretched() {
        let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                             "original_max_position_embeddings": 8192});
        let found = scaled(vec![1.0, 1e-5], &scaling).expect("known");
        assert_eq!(found, [1.0, 1e-5 / 8.0]);
    }
}
