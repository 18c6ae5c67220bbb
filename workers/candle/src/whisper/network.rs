//! The network: a spectrogram -> what was heard -> logits of the next token, with the keys and values of earlier tokens kept.

use crate::failure::Failure;
use candle_core::{D, DType, Device, IndexOp, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{Conv1d, Conv1dConfig, Embedding, LayerNorm, Linear, Module, VarBuilder};
use serde::Deserialize;

type Result<T> = candle_core::Result<T>;

/// What `config.json` says.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Width of the network.
    pub d_model: usize,
    /// Bands of the spectrogram.
    pub num_mel_bins: usize,
    /// Tokens, times included.
    pub vocab_size: usize,
    /// Pairs of frames in a window.
    pub max_source_positions: usize,
    /// Tokens of a window, its prompt included.
    pub max_target_positions: usize,
    encoder_layers: usize,
    encoder_attention_heads: usize,
    encoder_ffn_dim: usize,
    decoder_layers: usize,
    decoder_attention_heads: usize,
    decoder_ffn_dim: usize,
    #[serde(default)]
    activation_function: Option<String>,
}

const EPSILON: f64 = 1e-5;

/// Whisper's encoder and decoder.
pub struct Network {
    convolutions: [Conv1d; 2],
    /// `[frames / 2, width]`.
    places: Tensor,
    encoder: Vec<Layer>,
    encoder_norm: LayerNorm,
    embeddings: Embedding,
    /// `[tokens, width]`.
    positions: Tensor,
    decoder: Vec<Layer>,
    decoder_norm: LayerNorm,
}

/// What a window sounds like, ready to be looked at by every layer of the decoder.
pub struct Heard {
    /// Keys and values of each layer, `[1, heads, frames / 2, width / heads]`.
    layers: Vec<(Tensor, Tensor)>,
}

/// Keys and values of the tokens so far, a pair for each layer of the decoder.
#[derive(Clone, Default)]
pub struct Past {
    layers: Vec<(Tensor, Tensor)>,
    length: usize,
}

impl Network {
    /// Loads it.
    pub fn load(config: &Config, tensors: VarBuilder) -> std::result::Result<Network, Failure> {
        if let Some(other) = config.activation_function.as_deref().filter(|a| *a != "gelu") {
            return Err(Failure::weights(format!("a Whisper with the activation `{other}` is not supported")));
        }
        let width = config.d_model;
        let root = tensors.pp("model");
        let (enc, dec) = (root.pp("encoder"), root.pp("decoder"));
        let convolution = |name: &str, from: usize, stride: usize| -> Result<Conv1d> {
            let settings = Conv1dConfig { padding: 1, stride, ..Conv1dConfig::default() };
            candle_nn::conv1d(from, width, 3, settings, enc.pp(name))
        };
        let layers =
            |count: usize, heads: usize, inner: usize, crossing: bool, at: &VarBuilder| -> Result<Vec<Layer>> {
                let shape = Shape { width, heads, inner };
                (0..count).map(|i| Layer::load(&shape, crossing, at.pp("layers").pp(i))).collect()
            };
        let Config { encoder_layers, encoder_attention_heads, encoder_ffn_dim, .. } = *config;
        let Config { decoder_layers, decoder_attention_heads, decoder_ffn_dim, .. } = *config;
        Ok(Network {
            convolutions: [convolution("conv1", config.num_mel_bins, 1)?, convolution("conv2", width, 2)?],
            places: enc.get((config.max_source_positions, width), "embed_positions.weight")?,
            encoder: layers(encoder_layers, encoder_attention_heads, encoder_ffn_dim, false, &enc)?,
            encoder_norm: candle_nn::layer_norm(width, EPSILON, enc.pp("layer_norm"))?,
            embeddings: candle_nn::embedding(config.vocab_size, width, dec.pp("embed_tokens"))?,
            positions: dec.get((config.max_target_positions, width), "embed_positions.weight")?,
            decoder: layers(decoder_layers, decoder_attention_heads, decoder_ffn_dim, true, &dec)?,
            decoder_norm: candle_nn::layer_norm(width, EPSILON, dec.pp("layer_norm"))?,
        })
    }

    /// What its numbers are.
    pub fn dtype(&self) -> DType {
        self.places.dtype()
    }

    /// Frames of a window: 3000, 30 s, in those that OpenAI trained.
    pub fn frames(&self) -> usize {
        2 * self.places.dims()[0]
    }

    /// Tokens of a window, most.
    pub fn most_tokens(&self) -> usize {
        self.positions.dims()[0]
    }

    /// What the encoder makes of a spectrogram `[1, bands, frames]`: `[1, frames / 2, width]`.
    pub fn encoded(&self, window: &Tensor) -> std::result::Result<Tensor, Failure> {
        let mut sound = window.clone();
        for convolution in &self.convolutions {
            sound = convolution.forward(&sound)?.gelu_erf()?;
        }
        let mut sound = sound.transpose(1, 2)?.contiguous()?.broadcast_add(&self.places)?;
        for layer in &self.encoder {
            sound = layer.forward(&sound, None, &mut None, None)?;
        }
        Ok(self.encoder_norm.forward(&sound)?)
    }

    /// Listens to a window.
    pub fn hear(&self, window: &Tensor) -> std::result::Result<Heard, Failure> {
        let sound = self.encoded(window)?;
        let layers = self.decoder.iter().filter_map(|layer| layer.crossing.as_ref());
        let layers: Result<Vec<_>> = layers.map(|(attention, _)| attention.seen(&sound)).collect();
        Ok(Heard { layers: layers? })
    }

    /// Logits `[tokens, vocabulary]` after each of some tokens that follow those of the past.
    pub fn say(&self, tokens: &[u32], past: &mut Past, heard: &Heard) -> std::result::Result<Tensor, Failure> {
        let device = self.positions.device();
        let count = tokens.len();
        if past.length + count > self.most_tokens() {
            return Err(Failure::model("a window has more tokens than the model can take"));
        }
        let ids = Tensor::new(tokens, device)?.unsqueeze(0)?;
        let positions = self.positions.narrow(0, past.length, count)?;
        let mut state = self.embeddings.forward(&ids)?.broadcast_add(&positions)?;
        let mask = if count > 1 { Some(causal(count, past.length, self.dtype(), device)?) } else { None };
        for (i, layer) in self.decoder.iter().enumerate() {
            let mut kept = past.layers.get(i).cloned();
            state = layer.forward(&state, mask.as_ref(), &mut kept, heard.layers.get(i))?;
            match (kept, past.layers.get_mut(i)) {
                (Some(kept), Some(old)) => *old = kept,
                (Some(kept), None) => past.layers.push(kept),
                (None, _) => {}
            }
        }
        past.length += count;
        let state = self.decoder_norm.forward(&state)?.i(0)?;
        Ok(state.matmul(&self.embeddings.embeddings().t()?)?.to_dtype(DType::F32)?)
    }
}

/// What a token may not look at: `[count, past + count]`, minus infinity there.
fn causal(count: usize, past: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let mask =
        (0..count).flat_map(|i| (0..past + count).map(move |j| if j > past + i { f32::NEG_INFINITY } else { 0.0 }));
    Tensor::from_iter(mask, device)?.reshape((count, past + count))?.to_dtype(dtype)
}

struct Shape {
    width: usize,
    heads: usize,
    inner: usize,
}

struct Layer {
    own: Attention,
    own_norm: LayerNorm,
    /// What was heard, for a decoder.
    crossing: Option<(Attention, LayerNorm)>,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

impl Layer {
    fn load(shape: &Shape, crossing: bool, at: VarBuilder) -> Result<Layer> {
        let norm = |name: &str| candle_nn::layer_norm(shape.width, EPSILON, at.pp(name));
        let crossing = match crossing {
            true => Some((Attention::load(shape, at.pp("encoder_attn"))?, norm("encoder_attn_layer_norm")?)),
            false => None,
        };
        Ok(Layer {
            own: Attention::load(shape, at.pp("self_attn"))?,
            own_norm: norm("self_attn_layer_norm")?,
            crossing,
            up: candle_nn::linear(shape.width, shape.inner, at.pp("fc1"))?,
            down: candle_nn::linear(shape.inner, shape.width, at.pp("fc2"))?,
            norm: norm("final_layer_norm")?,
        })
    }

    /// One layer. `kept` is what earlier tokens left, and takes in these; an encoder keeps nothing.
    fn forward(
        &self,
        x: &Tensor,
        mask: Option<&Tensor>,
        kept: &mut Option<(Tensor, Tensor)>,
        heard: Option<&(Tensor, Tensor)>,
    ) -> Result<Tensor> {
        let input = self.own_norm.forward(x)?;
        let (mut keys, mut values) = self.own.seen(&input)?;
        if let Some((old_keys, old_values)) = kept.take() {
            keys = Tensor::cat(&[&old_keys, &keys], 2)?;
            values = Tensor::cat(&[&old_values, &values], 2)?;
        }
        let mut x = (x + self.own.look(&input, &keys, &values, mask)?)?;
        if self.crossing.is_some() {
            *kept = Some((keys, values));
        }
        if let (Some((attention, norm)), Some((keys, values))) = (&self.crossing, heard) {
            x = (&x + attention.look(&norm.forward(&x)?, keys, values, None)?)?;
        }
        let inner = self.up.forward(&self.norm.forward(&x)?)?.gelu_erf()?;
        &x + self.down.forward(&inner)?
    }
}

struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

impl Attention {
    fn load(shape: &Shape, at: VarBuilder) -> Result<Attention> {
        let linear = |name: &str| candle_nn::linear(shape.width, shape.width, at.pp(name));
        Ok(Attention {
            query: linear("q_proj")?,
            key: candle_nn::linear_no_bias(shape.width, shape.width, at.pp("k_proj"))?,
            value: linear("v_proj")?,
            out: linear("out_proj")?,
            heads: shape.heads,
        })
    }

    fn parted(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, length, width) = x.dims3()?;
        x.reshape((rows, length, self.heads, width / self.heads))?.transpose(1, 2)?.contiguous()
    }

    /// Keys and values of what may be looked at.
    fn seen(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((self.parted(&self.key.forward(x)?)?, self.parted(&self.value.forward(x)?)?))
    }

    fn look(&self, x: &Tensor, keys: &Tensor, values: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let queries = self.parted(&self.query.forward(x)?)?;
        let scale = (queries.dim(D::Minus1)? as f64).powf(-0.5);
        let mut scores = (queries * scale)?.matmul(&keys.transpose(2, 3)?)?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(mask)?;
        }
        let found = softmax_last_dim(&scores)?.matmul(values)?;
        self.out.forward(&found.transpose(1, 2)?.flatten_from(2)?.contiguous()?)
    }
}
