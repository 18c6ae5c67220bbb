//! Weights -> a model of the family that they are of.

use crate::call::Call;
use crate::clip::Clip;
use crate::embedder::Embedder;
use crate::failure::Failure;
use crate::llm::Llm;
use crate::weights::Weights;
use crate::whisper::Whisper;
use candle_core::Device;
use serde_json::Value;

/// What answers calls.
pub trait Model {
    /// The functions that it has.
    fn functions(&self) -> &'static [&'static str];

    /// One call, which may hold many inputs.
    fn call(&mut self, call: &Call) -> Result<Value, Failure>;

    /// Several calls of one function, each with its own value or failure: at once where that is quicker than one after the other. None where
    /// it is not, or where they cannot be told apart.
    fn together(&mut self, _calls: &[Call]) -> Option<Vec<Result<Value, Failure>>> {
        None
    }
}

/// A model from its weights, on a device.
pub fn load(weights: &Weights, device: &Device) -> Result<Box<dyn Model>, Failure> {
    if weights.is_gguf() {
        return Ok(Box::new(Llm::load(weights, device)?));
    }
    let config: Value = weights.needed("config.json")?;
    Ok(match config["model_type"].as_str().unwrap_or_default() {
        "bert" => Box::new(Embedder::load(weights, device)?),
        "clip" => Box::new(Clip::load(weights, device)?),
        "whisper" => Box::new(Whisper::load(weights, device)?),
        "llama" | "qwen2" => Box::new(Llm::load(weights, device)?),
        other => {
            let known = "there are bert, clip, whisper, llama, qwen2, and GGUF files of the last two";
            return Err(Failure::weights(format!("`{}` is a model of the family `{other}`: {known}", weights.name)));
        }
    })
}
