//! CLIP: pictures and texts -> how well they fit each other.
//!
//! The networks are candle's. They know one activation (quick GELU) and find a text's end by the largest id; weights that want something else
//! are refused here, where candle would compute something else in silence.

use crate::call::{Call, file_of};
use crate::embedder::unit;
use crate::failure::Failure;
use crate::model::Model;
use crate::picture::{Picture, Preparation};
use crate::tokens::{self, padded};
use crate::weights::Weights;
use candle_core::{DType, Device, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_transformers::models::clip::text_model::{Activation, ClipTextConfig};
use candle_transformers::models::clip::vision_model::ClipVisionConfig;
use candle_transformers::models::clip::{ClipConfig, ClipModel};
use serde_json::{Value, json};
use std::path::PathBuf;
use tokenizers::Tokenizer;

/// Pictures at a time.
const PICTURES: usize = 16;
/// Texts at a time.
const TEXTS: usize = 64;
/// Phrases that are asked for, and their length in characters, most.
const MOST_PHRASES: usize = 16;
const LONGEST_PHRASE: usize = 80;
/// Labels of one frame that are told, most.
const MOST_LABELS: usize = 8;

/// A model that compares pictures with texts.
pub struct Clip {
    network: ClipModel,
    /// What cosines are multiplied with.
    scale: f64,
    tokenizer: Tokenizer,
    preparation: Preparation,
    device: Device,
    /// The labels of the last call and their vectors: a video's frames come in many calls with the same ones.
    known: Option<(Vec<String>, Tensor)>,
}

impl Clip {
    /// Loads it.
    pub fn load(weights: &Weights, device: &Device) -> Result<Clip, Failure> {
        let about: Value = weights.needed("config.json")?;
        let config = config(&about)?;
        let preparation = Preparation::of(weights.needed("preprocessor_config.json")?)?;
        if preparation.shape() != (config.image_size, config.image_size) {
            return Err(Failure::weights(
                "`preprocessor_config.json` and `config.json` disagree on the size of pictures",
            ));
        }
        let mut tokenizer = tokens::of(weights)?;
        let last = config.text_config.vocab_size.checked_sub(1).and_then(|id| tokenizer.id_to_token(id as u32));
        if last.as_deref() != Some("<|endoftext|>") {
            return Err(Failure::weights(
                "the tokenizer's last token is not the end of a text: its end would not be found",
            ));
        }
        tokens::limit(&mut tokenizer, config.text_config.max_position_embeddings)?;
        let tensors = weights.tensors(DType::F32, device)?;
        let scale = f64::from(tensors.get((), "logit_scale")?.to_scalar::<f32>()?.exp());
        let network = ClipModel::new(tensors, &config)?;
        Ok(Clip { network, scale, tokenizer, preparation, device: device.clone(), known: None })
    }

    /// Vectors `[texts, width]` of length 1.
    pub fn texts(&self, texts: &[String]) -> Result<Tensor, Failure> {
        let mut vectors = Vec::new();
        for some in texts.chunks(TEXTS) {
            let coded: Vec<Vec<u32>> =
                some.iter().map(|t| tokens::ids(&self.tokenizer, t)).collect::<Result<_, Failure>>()?;
            let rows: Vec<&[u32]> = coded.iter().map(Vec::as_slice).collect();
            // A text sees nothing behind its end, so what fills it up does not matter, as long as it is no end.
            let (ids, _) = padded(&rows, 0, &self.device)?;
            vectors.push(unit(&self.network.get_text_features(&ids)?)?);
        }
        Ok(Tensor::cat(&vectors, 0)?)
    }

    /// Vectors `[pictures, width]` of length 1.
    pub fn pictures(&self, files: &[PathBuf]) -> Result<Tensor, Failure> {
        let (height, width) = self.preparation.shape();
        let mut vectors = Vec::new();
        for some in files.chunks(PICTURES) {
            let mut numbers = Vec::with_capacity(some.len() * 3 * height * width);
            for file in some {
                numbers.extend(self.preparation.prepared(&Picture::read(file)?));
            }
            let pixels = Tensor::from_vec(numbers, (some.len(), 3, height, width), &self.device)?;
            vectors.push(unit(&self.network.get_image_features(&pixels)?)?);
        }
        Ok(Tensor::cat(&vectors, 0)?)
    }

    /// The cosine of each picture with each text, times the model's scale: `[pictures, texts]`.
    fn logits(&self, pictures: &Tensor, texts: &Tensor) -> Result<Tensor, Failure> {
        Ok((pictures.matmul(&texts.t()?)? * self.scale)?)
    }

    fn labelled(&mut self, call: &Call) -> Result<Value, Failure> {
        let frames = match call.arguments.get("frames").and_then(|f| f["frames"].as_array()) {
            Some(frames) if frames.len() <= crate::call::MOST_ITEMS => frames,
            Some(_) => return Err(Failure::input("`frames` are too many")),
            None => return Err(Failure::input("`frames` must be frames")),
        };
        if frames.is_empty() {
            return Ok(json!([]));
        }
        let files: Vec<PathBuf> = frames.iter().map(file_of).collect::<Result<_, Failure>>()?;
        let least = call.number("least", 0.1_f32, 0.0, 1.0)?;
        let labels = labels(&call.text("looking_for")?.unwrap_or_default(), call.setting("labels").unwrap_or_default());
        if labels.is_empty() {
            return Err(Failure::input("nothing is looked for: give `looking_for`, or the engine `labels`"));
        }
        let texts = match self.known.take().filter(|(known, _)| *known == labels) {
            Some((_, texts)) => texts,
            None => self.texts(&labels.iter().map(|l| prompt(l)).collect::<Vec<_>>())?,
        };
        let shares = softmax_last_dim(&self.logits(&self.pictures(&files)?, &texts)?)?.to_vec2::<f32>()?;
        let mut seen = Vec::new();
        for (frame, shares) in frames.iter().zip(shares) {
            let mut found: Vec<(&String, f32)> =
                labels.iter().zip(shares).filter(|(_, share)| *share >= least).collect();
            found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
            let told = found.into_iter().take(MOST_LABELS);
            seen.extend(told.map(|(text, score)| json!({"time": frame["time"], "text": text, "score": score})));
        }
        self.known = Some((labels, texts));
        Ok(json!(seen))
    }

    fn similarity(&self, call: &Call) -> Result<Value, Failure> {
        let files: Vec<PathBuf> = call.list("images")?.iter().map(file_of).collect::<Result<_, Failure>>()?;
        let texts = call.texts("texts")?;
        if files.is_empty() || texts.is_empty() {
            return Ok(json!(vec![Vec::<f32>::new(); files.len()]));
        }
        // Cosines: the scale is for telling texts apart, not for comparing pictures.
        let cosines = (self.logits(&self.pictures(&files)?, &self.texts(&texts)?)? / self.scale)?;
        Ok(json!(cosines.to_vec2::<f32>()?))
    }
}

impl Model for Clip {
    fn functions(&self) -> &'static [&'static str] {
        &["label", "similarity"]
    }

    fn call(&mut self, call: &Call) -> Result<Value, Failure> {
        match call.function.as_str() {
            "label" => self.labelled(call),
            "similarity" => self.similarity(call),
            _ => Err(call.unknown(self.functions())),
        }
    }
}

/// The phrases that are looked for, then the usual labels, each once.
fn labels(asked: &str, usual: &str) -> Vec<String> {
    let phrases = |text: &str| -> Vec<String> {
        let parts = text.split([',', ';', '\n']).map(|p| p.trim().to_lowercase()).filter(|p| !p.is_empty());
        parts.map(|p| p.chars().take(LONGEST_PHRASE).collect()).collect()
    };
    let mut labels: Vec<String> = Vec::new();
    for label in phrases(asked).into_iter().take(MOST_PHRASES).chain(phrases(usual)) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

fn prompt(label: &str) -> String {
    if label.starts_with("a ") || label.starts_with("the ") {
        format!("a photo of {label}")
    } else {
        format!("a photo of a {label}")
    }
}

/// The configuration; what it leaves out is what transformers takes then.
fn config(about: &Value) -> Result<ClipConfig, Failure> {
    let (text, vision) = (&about["text_config"], &about["vision_config"]);
    for part in [text, vision] {
        if let Some(other) = part["hidden_act"].as_str().filter(|a| *a != "quick_gelu") {
            return Err(Failure::weights(format!("a CLIP with the activation `{other}` is not supported")));
        }
        if part["layer_norm_eps"].as_f64().is_some_and(|eps| (eps - 1e-5).abs() > 1e-9) {
            return Err(Failure::weights("a CLIP whose norms have another epsilon than 1e-5 is not supported"));
        }
    }
    let number = |part: &Value, name: &str, usual: u64| part[name].as_u64().unwrap_or(usual) as usize;
    let projection_dim = number(about, "projection_dim", 512);
    let text_config = ClipTextConfig {
        vocab_size: number(text, "vocab_size", 49408),
        embed_dim: number(text, "hidden_size", 512),
        activation: Activation::QuickGelu,
        intermediate_size: number(text, "intermediate_size", 2048),
        max_position_embeddings: number(text, "max_position_embeddings", 77),
        pad_with: None,
        num_hidden_layers: number(text, "num_hidden_layers", 12),
        num_attention_heads: number(text, "num_attention_heads", 8),
        projection_dim,
    };
    let vision_config = ClipVisionConfig {
        embed_dim: number(vision, "hidden_size", 768),
        activation: Activation::QuickGelu,
        intermediate_size: number(vision, "intermediate_size", 3072),
        num_hidden_layers: number(vision, "num_hidden_layers", 12),
        num_attention_heads: number(vision, "num_attention_heads", 12),
        projection_dim,
        num_channels: number(vision, "num_channels", 3),
        image_size: number(vision, "image_size", 224),
        patch_size: number(vision, "patch_size", 32),
    };
    let image_size = vision_config.image_size;
    Ok(ClipConfig { text_config, vision_config, logit_scale_init_value: 2.6592, image_size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_asked_for_and_then_the_usual_ones() {
        assert_eq!(labels("A boat; a  dog,\n", "person, a boat"), ["a boat", "a  dog", "person"]);
        assert_eq!(prompt("a boat"), "a photo of a boat");
        assert_eq!(prompt("person"), "a photo of a person");
    }

    #[test]
    fn what_candle_would_compute_otherwise_is_refused() {
        assert!(config(&json!({"text_config": {}, "vision_config": {}})).is_ok());
        let other = json!({"vision_config": {"hidden_act": "gelu"}});
        assert!(config(&other).is_err_and(|f| f.message.contains("`gelu`")));
    }
}
