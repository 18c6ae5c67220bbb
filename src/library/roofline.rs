//! Architecture of a language model + device + constants of a server → seconds, watts and gigabytes of serving it.
//!
//! A roofline: what moves and what is computed, at the share of the peak that a server reaches, plus what it adds for each layer,
//! sequence and step. The numbers of the formulas are those of docs/profiles.md, which also says where they may be trusted.

pub mod architecture;
pub mod chip;
pub mod estimates;
pub mod family;
pub mod trust;

use architecture::Transformer;
use chip::Chip;
use family::Constants;

/// Bytes of one element of the KV cache.
const KV_BYTES: f64 = 2.0;
/// The share of a device's memory that a server fills.
pub const FILLED: f64 = 0.9;
/// So many prompts are read in one pass at most: beyond, servers read them one after the other.
pub const PROMPTS: u32 = 8;

/// A model on so many devices of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Serving<'a> {
    /// The model.
    pub model: &'a Transformer,
    /// The device.
    pub chip: &'a Chip,
    /// How many share each layer.
    pub units: u32,
    /// What the server adds, and how near it comes to the peak.
    pub constants: &'a Constants,
}

impl Serving<'_> {
    fn n(&self) -> f64 {
        f64::from(self.units)
    }

    /// Operations a second at the peak, with these weights.
    fn peak(&self) -> f64 {
        self.n() * self.chip.flops * self.chip.architecture.speedup(self.model.weight_bits)
    }

    /// Bits of a weight.
    pub fn bits(&self) -> f64 {
        self.constants.bits.unwrap_or(f64::from(self.model.weight_bits))
    }

    /// Bytes of all weights.
    pub fn weights(&self) -> f64 {
        self.model.weight_bytes(self.bits())
    }

    fn bandwidth(&self) -> f64 {
        self.n() * self.chip.bandwidth
    }

    /// Formula 1: operations of reading prompts.
    fn reading_flops(&self, sequences: f64, prompt: f64) -> f64 {
        let m = self.model;
        2.0 * m.multiplied() * sequences * prompt + 2.0 * m.layers * m.heads * m.head_dim * sequences * prompt * prompt
    }

    /// Formula 2: seconds in which so many prompts of so many tokens are read together.
    pub fn prefill(&self, sequences: f64, prompt: f64) -> f64 {
        let c = self.constants;
        let computing = self.reading_flops(sequences, prompt) / (self.peak() * c.compute);
        let moving = self.weights() / (self.bandwidth() * c.memory);
        let seconds = computing.max(moving) + self.exchange(sequences * prompt) + self.model.layers * c.layer + c.step;
        seconds * self.mixture()
    }

    /// What routing tokens to experts adds: the formulas have no part of their own for it.
    fn mixture(&self) -> f64 {
        if self.model.is_mixture() { self.constants.mixture } else { 1.0 }
    }

    /// Seconds until the prompts of so many requests that came together are read: in passes of at most [`PROMPTS`].
    pub fn reading(&self, requests: u32, prompt: f64) -> f64 {
        let rest = requests % PROMPTS;
        let last = if rest > 0 { self.prefill(f64::from(rest), prompt) } else { 0.0 };
        f64::from(requests / PROMPTS) * self.prefill(f64::from(PROMPTS), prompt) + last
    }

    /// Formula 3, first half: bytes that a step of so many sequences with so much context moves.
    fn step_bytes(&self, sequences: f64, context: f64) -> f64 {
        self.model.touched(sequences, self.bits()) + self.model.kv_bytes(KV_BYTES) * context * sequences
    }

    /// Formula 3, second half: its operations.
    fn step_flops(&self, sequences: f64, context: f64) -> f64 {
        let m = self.model;
        2.0 * m.multiplied() * sequences + 4.0 * m.layers * m.heads * m.head_dim * context * sequences
    }

    /// Formula 4: seconds of a step, which writes one token of each sequence.
    pub fn step(&self, sequences: f64, context: f64) -> f64 {
        let c = self.constants;
        let moving = self.step_bytes(sequences, context) / (self.bandwidth() * c.memory);
        let computing = self.step_flops(sequences, context) / (self.peak() * c.compute);
        let added = self.model.layers * c.layer + sequences * c.sequence + c.step;
        (moving.max(computing) + self.exchange(sequences) + added) * self.mixture()
    }

    /// Formula 5: seconds in which the devices exchange what they computed of so many tokens, twice a layer.
    fn exchange(&self, tokens: f64) -> f64 {
        let Some(link) = self.chip.link.filter(|_| self.units > 1) else { return 0.0 };
        let n = self.n();
        let sent = 2.0 * (n - 1.0) / n * tokens * self.model.hidden * 2.0 / link;
        2.0 * self.model.layers * (self.constants.allreduce * n.log2() + sent)
    }

    /// Formula 7: bytes of the weights and of the KV cache of so many sequences.
    pub fn memory(&self, sequences: f64, context: f64) -> f64 {
        self.weights() * self.constants.copies + self.model.kv_bytes(KV_BYTES) * context * sequences
    }

    /// Whether that fits the devices; whether it fits the machine of cores is the plan's to see.
    pub fn fits(&self, sequences: f64, context: f64) -> bool {
        self.chip.memory.is_none_or(|memory| self.memory(sequences, context) <= self.n() * memory * FILLED)
    }

    /// Watts of all devices while they write, from the share of bandwidth and of operations that is in use.
    pub fn power(&self, sequences: f64, context: f64) -> f64 {
        let seconds = self.step(sequences, context);
        let moving = self.step_bytes(sequences, context) / seconds / self.bandwidth();
        let computing = self.step_flops(sequences, context) / seconds / (self.n() * self.chip.flops);
        let least = self.chip.idle.unwrap_or(0.0) / self.chip.power;
        self.n() * self.chip.power * (0.53 + 0.28 * moving + 0.95 * computing).clamp(least.min(1.0), 1.0)
    }
}
