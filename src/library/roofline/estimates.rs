//! `estimate "architectures.csv"` → figures of any setting, computed when they are first asked for and kept.

use super::architecture::Transformer;
use super::chip::Chip;
use super::family::Constants;
use super::trust::{self, Trust};
use super::{PROMPTS, Serving};
use crate::library::evidence::EvidenceKind;
use crate::library::profile::{Condition, Figure, Pace, Setting};
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// The figures that are estimated.
pub const NAMES: [&str; 5] = ["latency", "latency.per.input", "latency.per.output", "power", "memory"];
/// The knob whose values are the variants of the architectures.
pub const VARIANT: &str = "variant";

/// Amounts of tokens, each a factor √2 above the one before: what is computed for one stands for all from the one before on.
const STEPS: [u32; 24] = [
    128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096, 5793, 8192, 11585, 16384, 23170, 32768, 46341, 65536,
    92682, 131_072, 185_364, 262_144, 370_728,
];
/// Activations and what a server keeps beside weights and cache are said to take at most this factor. A guess.
const ROOM: f64 = 1.2;
/// The step that stands for any work where the work is not known yet.
const USUAL: usize = 6;

/// What is estimated with.
#[derive(Clone, Debug)]
pub struct Basis {
    /// The models.
    pub models: Vec<Transformer>,
    /// The devices, or the fact that the library lacks of them, and how many of them may share a model.
    pub chips: Vec<(EcoString, Result<Chip, &'static str>, BTreeSet<u32>)>,
    /// How many of any device may.
    pub units: Vec<u32>,
    /// How many requests are under way at once: the knob that says it, and its values.
    pub batch: (Option<EcoString>, Vec<u32>),
    /// The server, as in `serve vllm`.
    pub serve: EcoString,
    /// The constants that there are.
    pub constants: Vec<Constants>,
}

/// Figures by setting.
#[derive(Clone, Debug)]
pub struct Estimates {
    basis: Basis,
    /// What calls were measured to take against these.
    pace: Option<Pace>,
    /// By model, device, units and batch.
    slots: Vec<OnceLock<Box<Slot>>>,
}

/// The figures of a setting.
#[derive(Clone, Debug)]
struct Slot {
    trust: Trust,
    /// By step of the prompt: until the first token, without and for each token of the prompt.
    reading: Vec<OnceLock<[Figure; 2]>>,
    /// By step of the context: time per token, power and memory.
    writing: Vec<OnceLock<[Figure; 3]>>,
}

/// The place of a setting.
#[derive(Clone, Copy)]
struct Place {
    model: usize,
    chip: usize,
    units: usize,
    batch: usize,
}

impl Estimates {
    /// Computes nothing yet.
    pub fn new(basis: Basis) -> Estimates {
        let count = basis.models.len() * basis.chips.len() * basis.units.len() * basis.batch.1.len();
        Estimates { basis, pace: None, slots: (0..count).map(|_| OnceLock::new()).collect() }
    }

    /// The same at a pace that was measured.
    pub fn paced(self, pace: Pace) -> Estimates {
        Estimates { pace: Some(pace), ..Estimates::new(self.basis) }
    }

    fn at_pace(&self, time: Figure) -> Figure {
        self.pace.as_ref().map_or_else(|| time.clone(), |pace| time.paced(pace))
    }

    /// What they are estimated with.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// A figure with its place among all of its name; `None` where nothing can be said ([`Estimates::refusal`] says why).
    pub fn figure(&self, name: &str, setting: &Setting) -> Option<(usize, &Figure)> {
        let which = NAMES.iter().position(|n| *n == name)?;
        let place = self.place(setting)?;
        if self.refused(place, setting).is_some() {
            return None;
        }
        let at = if which < 2 { step(prompt(setting)) } else { step(context(setting)) }?;
        let slot = self.slot(place)?;
        let estimate = Estimate {
            serving: self.serving(place)?,
            device: &self.basis.chips[place.chip].0,
            batch: self.basis.batch.1[place.batch],
            trust: &slot.trust,
        };
        let figure = match which {
            0 | 1 => &slot.reading[at].get_or_init(|| estimate.reading(at).map(|time| self.at_pace(time)))[which],
            _ => {
                let written = || {
                    let [step, power, memory] = estimate.writing(at);
                    [self.at_pace(step), power, memory]
                };
                &slot.writing[at].get_or_init(written)[which - 2]
            }
        };
        Some((self.index(place) * STEPS.len() + at, figure))
    }

    /// Why there is no estimate for a setting whose model is known.
    pub fn refusal(&self, setting: &Setting) -> Option<EcoString> {
        let device = self.basis.chips.iter().find(|(name, ..)| name == setting.device)?;
        if let Err(fact) = device.1 {
            return Some(eco_format!("`{}` does not say its `{fact}`", device.0));
        }
        self.refused(self.place(setting)?, setting)
    }

    /// The most tokens that the model of a setting holds, whatever it runs on.
    pub fn context(&self, setting: &Setting) -> Option<u32> {
        let (_, variant) = setting.knobs.iter().find(|(name, _)| name == VARIANT)?;
        self.basis.models.iter().find(|m| m.variant == *variant).map(|m| m.context)
    }

    /// How far an estimate may be trusted; `None` for a setting that is not estimated.
    pub fn trust(&self, setting: &Setting) -> Option<&Trust> {
        Some(&self.slot(self.place(setting)?)?.trust)
    }

    /// How far each setting may be trusted, of devices whose facts are known.
    pub fn judged(&self) -> impl Iterator<Item = &Trust> {
        let Basis { models, chips, units, batch, .. } = &self.basis;
        let counts = (models.len(), chips.len(), units.len(), batch.1.len());
        let places = (0..counts.0).flat_map(move |model| {
            (0..counts.1).flat_map(move |chip| {
                (0..counts.2).flat_map(move |units| (0..counts.3).map(move |batch| Place { model, chip, units, batch }))
            })
        });
        let may = |place: &Place| chips[place.chip].2.contains(&units[place.units]);
        places.filter(may).filter_map(|place| self.slot(place)).map(|slot| &slot.trust)
    }

    /// The setting and work of a place, in words.
    pub fn describe(&self, name: &str, index: usize) -> String {
        let (slot, at) = (index / STEPS.len(), index % STEPS.len());
        let Basis { models, chips, units, batch, .. } = &self.basis;
        let (rest, b) = (slot / batch.1.len().max(1), slot % batch.1.len().max(1));
        let (rest, u) = (rest / units.len().max(1), rest % units.len().max(1));
        let (m, c) = (rest / chips.len().max(1), rest % chips.len().max(1));
        let (Some(model), Some((chip, ..)), Some(units), Some(calls)) =
            (models.get(m), chips.get(c), units.get(u), batch.1.get(b))
        else {
            return String::new();
        };
        let batch = batch.0.as_ref().map_or(String::new(), |knob| format!(", {knob} {calls}"));
        let of = if name == NAMES[0] || name == NAMES[1] { "input" } else { "context" };
        format!("{VARIANT} {}{batch}, {chip}, * {units}, {}", model.variant, condition(of, at))
    }

    fn place(&self, setting: &Setting) -> Option<Place> {
        let knob = |name: &str| setting.knobs.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        let variant = knob(VARIANT)?;
        let Basis { models, chips, units, batch, .. } = &self.basis;
        let calls: Option<u32> = match &batch.0 {
            Some(name) => knob(name).and_then(|v| v.parse().ok()),
            None => batch.1.first().copied(),
        };
        Some(Place {
            model: models.iter().position(|m| m.variant == *variant)?,
            chip: chips.iter().position(|(name, ..)| name == setting.device)?,
            units: units.iter().position(|u| *u == setting.units)?,
            batch: batch.1.iter().position(|b| Some(*b) == calls)?,
        })
    }

    fn index(&self, place: Place) -> usize {
        let Basis { chips, units, batch, .. } = &self.basis;
        ((place.model * chips.len() + place.chip) * units.len() + place.units) * batch.1.len() + place.batch
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        let chip = self.basis.chips[place.chip].1.as_ref().ok()?;
        let slot = self.slots.get(self.index(place))?.get_or_init(|| {
            let (model, units) = (&self.basis.models[place.model], self.basis.units[place.units]);
            let batch = self.basis.batch.1[place.batch];
            let constants = trust::constants(&self.basis.constants, &self.basis.serve, chip);
            let trust = trust::judge(model, chip, units, batch, &self.basis.serve, constants);
            let reading = STEPS.iter().map(|_| OnceLock::new()).collect();
            Box::new(Slot { trust, reading, writing: STEPS.iter().map(|_| OnceLock::new()).collect() })
        });
        Some(slot)
    }

    fn refused(&self, place: Place, setting: &Setting) -> Option<EcoString> {
        if let Trust::Refused(why) = &self.slot(place)?.trust {
            return Some(why.clone());
        }
        let model = &self.basis.models[place.model];
        let batch = self.basis.batch.1[place.batch];
        let (asked, answered) = (tokens(setting, "input"), tokens(setting, "output"));
        if asked.unwrap_or(0.0) + answered.unwrap_or(0.0) > f64::from(model.context) {
            return Some(eco_format!("its context holds {} tokens", model.context));
        }
        let longest = asked.unwrap_or(f64::from(STEPS[USUAL])) + answered.unwrap_or(0.0);
        let serving = self.serving(place)?;
        if !serving.fits(f64::from(batch), longest) {
            let gb = serving.memory(f64::from(batch), longest) / 1e9;
            let filled = super::FILLED * 100.0;
            return Some(eco_format!("{gb:.1} GB are more than the {filled:.0} % of the memory that a server fills"));
        }
        step(context(setting)).is_none().then(|| "nobody has computed with so many tokens".into())
    }

    fn serving(&self, place: Place) -> Option<Serving<'_>> {
        let chip = self.basis.chips[place.chip].1.as_ref().ok()?;
        let constants = trust::constants(&self.basis.constants, &self.basis.serve, chip)?;
        let (model, units) = (&self.basis.models[place.model], self.basis.units[place.units]);
        Some(Serving { model, chip, units, constants })
    }
}

/// A setting that is estimated.
struct Estimate<'a> {
    serving: Serving<'a>,
    device: &'a str,
    batch: u32,
    trust: &'a Trust,
}

impl Estimate<'_> {
    /// The time to the first token is convex in the prompt: a line through two lengths is never below it between them.
    fn reading(&self, at: usize) -> [Figure; 2] {
        let (from, to) = (if at == 0 { 0.0 } else { f64::from(STEPS[at - 1]) }, f64::from(STEPS[at]));
        let seconds = |prompt| self.serving.reading(self.batch, prompt);
        let slope = (seconds(to) - seconds(from)) / (to - from);
        let passes = if self.batch > PROMPTS { format!(" in passes of {PROMPTS}") } else { String::new() };
        let what = format!("formula 2: prompts of {} requests read{passes}", self.batch);
        let figure = |value, unit| self.figure(value, unit, condition("input", at), &what);
        // Where the quadratic part is steep, the line meets the axis below zero: less than nothing is not waited.
        [figure((seconds(from) - slope * from).max(0.0), "s"), figure(slope, "s/tok")]
    }

    fn writing(&self, at: usize) -> [Figure; 3] {
        let (s, batch, context) = (&self.serving, f64::from(self.batch), f64::from(STEPS[at]));
        let figure = |value, unit, what: &str| self.figure(value, unit, condition("context", at), what);
        let watts = s.power(batch, context);
        let mut power = figure(watts, "W", "power: the share of bandwidth and operations in use");
        let most = decimal(f64::from(s.units) * s.chip.power);
        // The formula of power was fitted to vLLM's.
        let fitted = s.constants.serve == "vllm";
        let spread = if fitted { self.spread() } else { trust::UNCHECKED };
        power.interval = (decimal(watts / spread), decimal(watts * spread).min(most).max(power.value));
        let bytes = s.memory(batch, context);
        let mut memory = figure(bytes / 1e9, "GB", "formula 7: weights and KV cache");
        memory.interval = (decimal(s.weights() / 1e9).min(memory.value), decimal(bytes / 1e9 * ROOM));
        let what = format!("formula 4: a step of {} sequences", self.batch);
        [figure(s.step(batch, context), "s/tok", &what), power, memory]
    }

    /// The factor of an interval: what the constants were checked to keep, or more outside of that.
    fn spread(&self) -> f64 {
        let checked = self.serving.constants.spread;
        if matches!(self.trust, Trust::Outside(_)) { checked.max(trust::UNCHECKED) } else { checked }
    }

    fn figure(&self, value: f64, unit: &'static str, of: Condition, what: &str) -> Figure {
        let Serving { model, chip, units, constants } = self.serving;
        let spread = self.spread();
        let unchecked: Option<EcoString> = match self.trust {
            Trust::Outside(why) => Some(why.join(", ").into()),
            Trust::Checked | Trust::Refused(_) => None,
        };
        let outside = unchecked.as_ref().map_or(String::new(), |why| format!("; not checked: {why}"));
        let mixture = if model.is_mixture() { format!(" ({:.1}e9 used)", model.active / 1e9) } else { String::new() };
        let source = eco_format!(
            "roofline, {what}, {of}; constants {}; {:.1}e9 parameters{mixture}, {} bit, on {} * {units}: {} TFLOP/s, {} GB/s{outside}; architecture: {}",
            constants.family,
            model.parameters / 1e9,
            self.serving.bits(),
            self.device,
            decimal(chip.flops / 1e12),
            decimal(chip.bandwidth / 1e9),
            model.source,
        );
        Figure {
            value: decimal(value),
            unit,
            interval: (decimal(value / spread), decimal(value * spread)),
            conditions: vec![of],
            evidence: EvidenceKind::Estimated,
            source,
            date: None,
            reporter: Some("roofline".into()),
            benchmark: None,
            engine: Some(constants.family.clone()),
            unchecked,
            at: model.at,
        }
    }
}

/// What the figure of a step is for.
fn condition(work: &str, at: usize) -> Condition {
    let from = if at == 0 { Decimal::ZERO } else { Decimal::from(STEPS[at - 1]) };
    Condition { work: work.into(), from, to: Some(Decimal::from(STEPS[at])) }
}

/// Four digits: more would say more than the formula knows.
fn decimal(value: f64) -> Decimal {
    Decimal::from_f64(value).and_then(|d| d.round_sf(4)).map_or(Decimal::ZERO, |d| d.normalize())
}

fn tokens(setting: &Setting, work: &str) -> Option<f64> {
    setting.work.iter().find(|(n, _)| n == work).and_then(|(_, amount)| amount.to_f64())
}

fn prompt(setting: &Setting) -> f64 {
    tokens(setting, "input").unwrap_or(f64::from(STEPS[USUAL]))
}

/// Half of the answer stands in the context, on the mean over the answer.
fn context(setting: &Setting) -> f64 {
    prompt(setting) + tokens(setting, "output").unwrap_or(0.0) / 2.0
}

/// The first step that is not below.
fn step(tokens: f64) -> Option<usize> {
    STEPS.iter().position(|s| tokens <= f64::from(*s))
}
