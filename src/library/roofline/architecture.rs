//! CSV of architectures → transformers, by the variant that they are.

use crate::diag::Diagnostics;
use crate::diag::source::{FileId, Span};
use crate::library::errors;
use crate::library::sheet::{self, Record, Wrong};
use ecow::EcoString;
use rust_decimal::prelude::ToPrimitive;

/// The columns of a file of architectures. Beside them it may have [`WIDTH`].
pub const COLUMNS: [&str; 13] = [
    "variant",
    "params_b",
    "active_b",
    "layers",
    "hidden",
    "heads",
    "kv_heads",
    "head_dim",
    "vocab",
    "tied",
    "weight_bits",
    "context",
    "source",
];

/// Of a model whose cache holds something else than the keys and values of its heads: how many numbers of a token and layer.
pub const WIDTH: &str = "kv_width";

/// A decoder of text.
#[derive(Clone, Debug, PartialEq)]
pub struct Transformer {
    /// The value of the knob `variant` that means it.
    pub variant: EcoString,
    /// Parameters.
    pub parameters: f64,
    /// Parameters that one token uses; all of them unless it is a mixture of experts.
    pub active: f64,
    /// Parameters that are only looked up: the embeddings of the input, unless the output uses the same.
    pub looked_up: f64,
    /// Layers.
    pub layers: f64,
    /// Numbers in the state of a token.
    pub hidden: f64,
    /// Query heads.
    pub heads: f64,
    /// Heads of keys and values.
    pub kv_heads: f64,
    /// Numbers in a head.
    pub head_dim: f64,
    /// Numbers that the cache holds of a token and layer, where these are no keys and values.
    pub latent: Option<f64>,
    /// Bits of a weight.
    pub weight_bits: u32,
    /// The most tokens of prompt and answer together.
    pub context: u32,
    /// Where these numbers come from.
    pub source: EcoString,
    /// Where it is written.
    pub at: Span,
}

impl Transformer {
    /// Whether a token uses only a part of it.
    pub fn is_mixture(&self) -> bool {
        self.active < self.parameters
    }

    /// Parameters that a token is multiplied with.
    pub fn multiplied(&self) -> f64 {
        (self.active - self.looked_up).max(0.0)
    }

    /// Bytes of all weights of so many bits.
    pub fn weight_bytes(&self, bits: f64) -> f64 {
        self.parameters * bits / 8.0
    }

    /// Bytes of the weights, of so many bits, that a step of so many sequences reads: of a mixture, the experts that any of them uses,
    /// as if each token drew its share of the weights by itself.
    pub fn touched(&self, sequences: f64, bits: f64) -> f64 {
        let all = self.parameters - self.looked_up;
        let share = self.multiplied() / all;
        let used = if self.is_mixture() { 1.0 - (1.0 - share).powf(sequences) } else { 1.0 };
        all * used * bits / 8.0
    }

    /// Bytes that the KV cache holds of a token.
    pub fn kv_bytes(&self, element: f64) -> f64 {
        self.layers * self.latent.unwrap_or(2.0 * self.kv_heads * self.head_dim) * element
    }
}

/// Reads architectures; lines that cannot be used are reported at their cells and left out.
pub fn read(text: &str, file: FileId, cx: &mut Diagnostics) -> Vec<Transformer> {
    let sheet = sheet::read(text, file, cx);
    let Some((_, first)) = sheet.columns.first() else { return Vec::new() };
    if let Some(missing) = COLUMNS.iter().find(|c| !sheet.columns.iter().any(|(name, _)| name == *c)) {
        let wanted = format!("give the columns {}", COLUMNS.join(","));
        cx.push(errors::bad_figure(*first, format!("the column `{missing}` is missing"), &wanted));
        return Vec::new();
    }
    let mut all: Vec<Transformer> = Vec::new();
    for record in sheet.iter() {
        match transformer(&record) {
            Ok(read) => match all.iter().find(|t| t.variant == read.variant) {
                Some(first) => cx.push(errors::declared_twice(read.at, "variant", &read.variant, first.at)),
                None => all.push(read),
            },
            Err((column, message, wanted)) => cx.push(errors::bad_figure(record.at(column), message, &wanted)),
        }
    }
    all
}

fn transformer(record: &Record) -> Result<Transformer, Wrong> {
    let needed = |column: &'static str| -> Result<f64, Wrong> {
        let value = record.number(column, column)?.and_then(|d| d.to_f64()).filter(|v| *v > 0.0);
        value.ok_or_else(|| (column, format!("`{column}` is missing"), "give it a number above zero".to_string()))
    };
    let text = |column: &'static str| {
        record.get(column).ok_or_else(|| (column, format!("`{column}` is missing"), "fill the cell".to_string()))
    };
    let whole = |column: &'static str| -> Result<f64, Wrong> {
        let value = needed(column)?;
        let wrong = || (column, format!("`{column}` is no whole number"), "write a whole number".to_string());
        if value.fract() == 0.0 && value < 1e9 { Ok(value) } else { Err(wrong()) }
    };
    let parameters = needed("params_b")? * 1e9;
    let active = match record.get("active_b") {
        None => parameters,
        Some(_) => needed("active_b")? * 1e9,
    };
    if active > parameters {
        return Err(("active_b", "more parameters are used than there are".into(), "give at most `params_b`".into()));
    }
    let tied = match text("tied")?.as_str() {
        "true" => true,
        "false" => false,
        other => {
            return Err(("tied", format!("`{other}` is neither true nor false"), "write `true` or `false`".into()));
        }
    };
    let weight_bits = whole("weight_bits")? as u32;
    if ![4, 8, 16].contains(&weight_bits) {
        return Err(("weight_bits", format!("no weights of {weight_bits} bits are known"), "write 16, 8 or 4".into()));
    }
    let (hidden, vocab) = (whole("hidden")?, whole("vocab")?);
    let looked_up = if tied { 0.0 } else { hidden * vocab };
    if looked_up >= active {
        let message = "the embeddings alone are larger than what a token uses".to_string();
        return Err(("vocab", message, "correct `params_b`, `active_b`, `hidden` or `vocab`".into()));
    }
    Ok(Transformer {
        variant: text("variant")?.clone(),
        parameters,
        active,
        looked_up,
        layers: whole("layers")?,
        hidden,
        heads: whole("heads")?,
        kv_heads: whole("kv_heads")?,
        head_dim: whole("head_dim")?,
        latent: record.get(WIDTH).map(|_| whole(WIDTH)).transpose()?,
        weight_bits,
        context: whole("context")? as u32,
        source: text("source")?.clone(),
        at: record.at("variant"),
    })
}
