//! The decoder of Llama and Qwen2: ids -> logits of the next token, a batch of rows at once, with keys and values kept.

use super::source::{Matrix, Source};
use crate::failure::Failure;
use candle_core::{D, DType, Device, IndexOp, Tensor};
use candle_nn::kv_cache::KvCache;
use candle_nn::ops::{silu, softmax_last_dim};
use candle_nn::rotary_emb::{rope, rope_i};
use candle_nn::{Embedding, Module, RmsNorm};

type Result<T> = candle_core::Result<T>;

/// Positions that keys and values have room for at first; more are added as they are needed.
const ROOM: usize = 512;
/// Positions of a prompt at once: what each of them may look at is a matrix, which must not grow with the square of a prompt.
const CHUNK: usize = 512;
/// Positions that are computed for, most: what configurations say may be more than fits anywhere.
const MOST_POSITIONS: usize = 131_072;

/// The shape of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Width.
    pub hidden: usize,
    /// Width inside of a layer.
    pub inner: usize,
    /// Layers.
    pub layers: usize,
    /// Heads that ask.
    pub heads: usize,
    /// Heads that are asked: each serves several of the others.
    pub kv_heads: usize,
    /// Width of a head.
    pub head: usize,
    /// Tokens.
    pub vocabulary: usize,
    /// What norms add.
    pub epsilon: f64,
    /// Positions, most.
    pub positions: usize,
    /// Whether queries, keys and values have a bias.
    pub bias: bool,
    /// Whether the numbers of a head that turn together stand side by side, and not half a head apart.
    pub side_by_side: bool,
    /// How fast they turn, by position: `head / 2`.
    pub frequencies: Vec<f32>,
}

/// The network.
pub struct Network {
    shape: Shape,
    embeddings: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
    out: Matrix,
    dtype: DType,
    device: Device,
}

/// Keys and values of the tokens so far, and which rows began later.
pub struct Past {
    layers: Vec<KvCache>,
    /// By row, how many of the first positions are none of its.
    absent: Vec<usize>,
    length: usize,
}

impl Past {
    /// Nothing yet.
    pub fn new(network: &Network, absent: &[usize]) -> Past {
        let layers = network.layers.iter().map(|_| KvCache::new(2, ROOM)).collect();
        Past { layers, absent: absent.to_vec(), length: 0 }
    }
}

impl Network {
    /// Loads it.
    pub fn load(source: &mut Source) -> std::result::Result<Network, Failure> {
        let shape = source.shape()?;
        let embeddings = source.embeddings(shape.vocabulary, shape.hidden)?;
        let out = source.head(&shape, &embeddings)?;
        let layers: std::result::Result<Vec<Layer>, Failure> =
            (0..shape.layers).map(|i| Layer::load(source, &shape, i)).collect();
        Ok(Network {
            embeddings: Embedding::new(embeddings, shape.hidden),
            layers: layers?,
            norm: source.norm("model.norm.weight", "output_norm.weight", &shape)?,
            out,
            dtype: source.dtype(),
            device: source.device().clone(),
            shape,
        })
    }

    /// Positions, most.
    pub fn positions(&self) -> usize {
        self.shape.positions.min(MOST_POSITIONS)
    }

    /// Logits `[rows, vocabulary]` behind the last of some ids `[rows, length]`.
    pub fn last(&self, ids: &Tensor, past: &mut Past) -> std::result::Result<Tensor, Failure> {
        let length = ids.dim(1)?;
        let mut state = Err(Failure::input("there is nothing to go on with"));
        for first in (0..length).step_by(CHUNK) {
            let some = ids.narrow(1, first, CHUNK.min(length - first))?.contiguous()?;
            state = Ok(self.state(&some, past)?);
        }
        let state = state?;
        let last = state.i((.., state.dim(1)? - 1))?.contiguous()?;
        Ok(self.out.forward(&last)?.to_dtype(DType::F32)?)
    }

    fn state(&self, ids: &Tensor, past: &mut Past) -> std::result::Result<Tensor, Failure> {
        let (rows, length) = ids.dims2()?;
        if past.length + length > self.positions() {
            return Err(Failure::input(format!("the model takes {} tokens at most", self.positions())));
        }
        let turns = self.turns(past, rows, length)?;
        let mask = self.mask(past, rows, length)?;
        let mut state = self.embeddings.forward(ids)?;
        for (layer, kept) in self.layers.iter().zip(&mut past.layers) {
            state = layer.forward(&state, &self.shape, &turns, mask.as_ref(), kept)?;
        }
        past.length += length;
        Ok(self.norm.forward(&state)?)
    }

    /// Cosines and sines by row and position: `[rows, length, head / 2]` each. A row's positions begin where its text does.
    fn turns(&self, past: &Past, rows: usize, length: usize) -> Result<(Tensor, Tensor)> {
        let frequencies = &self.shape.frequencies;
        let positions =
            past.absent.iter().flat_map(|absent| (0..length).map(|i| (past.length + i).saturating_sub(*absent)));
        let angles: Vec<f32> = positions.flat_map(|p| frequencies.iter().map(move |f| p as f32 * f)).collect();
        let angles = Tensor::from_vec(angles, (rows, length, frequencies.len()), &Device::Cpu)?;
        let there = |t: Tensor| t.to_dtype(self.dtype)?.to_device(&self.device);
        Ok((there(angles.cos()?)?, there(angles.sin()?)?))
    }

    /// What must not be looked at, minus infinity there: `[rows, 1, length, all]`; none where everything may be.
    fn mask(&self, past: &Past, rows: usize, length: usize) -> Result<Option<Tensor>> {
        if length == 1 && past.absent.iter().all(|absent| *absent == 0) {
            return Ok(None);
        }
        let all = past.length + length;
        let value = |row: usize, i: usize, j: usize| {
            let at = past.length + i;
            // What fills a row up looks at itself, since it has to look at something; nothing looks at it.
            if j == at || (j < at && j >= past.absent[row]) { 0.0 } else { f32::NEG_INFINITY }
        };
        let values: Vec<f32> = (0..rows)
            .flat_map(|row| (0..length).flat_map(move |i| (0..all).map(move |j| (row, i, j))))
            .map(|(r, i, j)| value(r, i, j))
            .collect();
        Tensor::from_vec(values, (rows, 1, length, all), &self.device)?.to_dtype(self.dtype).map(Some)
    }
}

struct Layer {
    query: Matrix,
    key: Matrix,
    value: Matrix,
    out: Matrix,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    before: RmsNorm,
    between: RmsNorm,
}

impl Layer {
    fn load(source: &mut Source, shape: &Shape, i: usize) -> std::result::Result<Layer, Failure> {
        let (asking, asked) = (shape.heads * shape.head, shape.kv_heads * shape.head);
        let mut matrix = |name: &str, gguf: &str, from: usize, to: usize, bias: bool| {
            source.matrix(&format!("model.layers.{i}.{name}"), &format!("blk.{i}.{gguf}"), from, to, bias)
        };
        let (hidden, inner) = (shape.hidden, shape.inner);
        Ok(Layer {
            query: matrix("self_attn.q_proj", "attn_q", hidden, asking, shape.bias)?,
            key: matrix("self_attn.k_proj", "attn_k", hidden, asked, shape.bias)?,
            value: matrix("self_attn.v_proj", "attn_v", hidden, asked, shape.bias)?,
            out: matrix("self_attn.o_proj", "attn_output", asking, hidden, false)?,
            gate: matrix("mlp.gate_proj", "ffn_gate", hidden, inner, false)?,
            up: matrix("mlp.up_proj", "ffn_up", hidden, inner, false)?,
            down: matrix("mlp.down_proj", "ffn_down", inner, hidden, false)?,
            before: source.norm(
                &format!("model.layers.{i}.input_layernorm.weight"),
                &format!("blk.{i}.attn_norm.weight"),
                shape,
            )?,
            between: source.norm(
                &format!("model.layers.{i}.post_attention_layernorm.weight"),
                &format!("blk.{i}.ffn_norm.weight"),
                shape,
            )?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        shape: &Shape,
        turns: &(Tensor, Tensor),
        mask: Option<&Tensor>,
        kept: &mut KvCache,
    ) -> Result<Tensor> {
        let x = (x + self.attention(&self.before.forward(x)?, shape, turns, mask, kept)?)?;
        let input = self.between.forward(&x)?;
        let inner = (silu(&self.gate.forward(&input)?)? * self.up.forward(&input)?)?;
        &x + self.down.forward(&inner)?
    }

    fn attention(
        &self,
        x: &Tensor,
        shape: &Shape,
        turns: &(Tensor, Tensor),
        mask: Option<&Tensor>,
        kept: &mut KvCache,
    ) -> Result<Tensor> {
        let (rows, length, _) = x.dims3()?;
        let parted =
            |x: Tensor, heads: usize| x.reshape((rows, length, heads, shape.head))?.transpose(1, 2)?.contiguous();
        let turned =
            |x: Tensor| if shape.side_by_side { rope_i(&x, &turns.0, &turns.1) } else { rope(&x, &turns.0, &turns.1) };
        let queries = turned(parted(self.query.forward(x)?, shape.heads)?)?;
        let keys = turned(parted(self.key.forward(x)?, shape.kv_heads)?)?;
        let values = parted(self.value.forward(x)?, shape.kv_heads)?;
        let (keys, values) = kept.append(&keys, &values)?;
        // The heads that ask one head stand behind each other, so that no key is copied for each of them.
        let group = shape.heads / shape.kv_heads;
        let queries = queries.reshape((rows, shape.kv_heads, group * length, shape.head))?;
        let scores = (queries.matmul(&keys.transpose(2, 3)?)? * (shape.head as f64).powf(-0.5))?;
        let scores = scores.reshape((rows, shape.heads, length, ()))?;
        let scores = match mask {
            Some(mask) => scores.broadcast_add(mask)?,
            None => scores,
        };
        let shares = softmax_last_dim(&scores)?;
        let all = shares.dim(D::Minus1)?;
        let found = shares.reshape((rows, shape.kv_heads, group * length, all))?.matmul(&values)?;
        let found = found.reshape((rows, shape.heads, length, shape.head))?.transpose(1, 2)?.contiguous()?;
        self.out.forward(&found.reshape((rows, length, shape.heads * shape.head))?)
    }
}
