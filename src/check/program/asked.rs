//! What a job asks of its plan: limits, wishes, rules, and what is known of its inputs.

use super::LocalId;
use crate::diag::source::Span;
use crate::library::end_to_end::{EndToEnd, Form, Setting};
use ecow::EcoString;
use rust_decimal::Decimal;
use std::sync::Arc;

/// What can be limited or wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Money for a run.
    Cost,
    /// Wall time of a run.
    Latency,
    /// Wall time that 95 % of all runs stay within.
    LatencyP95,
    /// Wall time that 99 % of all runs stay within.
    LatencyP99,
    /// End-to-end quality.
    Quality,
    /// Energy of a run.
    Energy,
    /// GPUs held.
    Gpus,
    /// Wall time from the start of a run to the first token of its result.
    Ttft,
    /// The same, that 95 % of all runs stay within.
    TtftP95,
    /// The same, that 99 % of all runs stay within.
    TtftP99,
    /// Time for each token of the result after its first one.
    Tpot,
    /// The same, that 95 % of all runs stay within.
    TpotP95,
    /// The same, that 99 % of all runs stay within.
    TpotP99,
}

impl Metric {
    /// All metrics, with their names in the language.
    pub const ALL: [(Metric, &'static str); 13] = [
        (Metric::Cost, "cost"),
        (Metric::Latency, "latency"),
        (Metric::LatencyP95, "latency.p95"),
        (Metric::LatencyP99, "latency.p99"),
        (Metric::Quality, "quality"),
        (Metric::Energy, "energy"),
        (Metric::Gpus, "gpus"),
        (Metric::Ttft, "ttft"),
        (Metric::TtftP95, "ttft.p95"),
        (Metric::TtftP99, "ttft.p99"),
        (Metric::Tpot, "tpot"),
        (Metric::TpotP95, "tpot.p95"),
        (Metric::TpotP99, "tpot.p99"),
    ];

    /// Its name in the language.
    pub fn name(self) -> &'static str {
        Metric::ALL.iter().find(|(m, _)| *m == self).map_or("", |(_, n)| n)
    }

    /// Whether it speaks of the tokens of the result.
    pub fn of_tokens(self) -> bool {
        use Metric::{Tpot, TpotP95, TpotP99, Ttft, TtftP95, TtftP99};
        matches!(self, Ttft | TtftP95 | TtftP99 | Tpot | TpotP95 | TpotP99)
    }
}

/// A limit.
#[derive(Clone, Debug)]
pub struct Clause {
    /// What is limited.
    pub metric: Metric,
    /// The limit of a run in base units (usd, s, ratio, Wh, devices): at least for quality, at most for the rest.
    pub limit: Decimal,
    /// What is written in place of it.
    pub stands: Stands,
    /// The whole clause.
    pub span: Span,
    /// The limit alone, for repairs.
    pub limit_span: Span,
    /// The unit in which the limit is written, and its size in base units.
    pub unit: (EcoString, Decimal),
    /// As written.
    pub text: EcoString,
}

impl Clause {
    /// What two limits share when one can take the other's place: `latency` and `latency.p95` do not.
    pub fn figure(&self) -> Metric {
        self.metric
    }
}

/// What a line says of a run's limit. Where it does not say it itself, `space::limits` sets it for the job's data flow and sizes.
#[derive(Clone, Debug)]
pub enum Stands {
    /// The limit itself.
    Itself,
    /// The tier that the quality is to be in.
    Tier(Tier),
    /// The limit for each item of the job's list.
    PerItem {
        /// The list's name.
        input: EcoString,
        /// The limit for an item, in base units.
        limit: Decimal,
        /// The unit that it is written in, and its size in base units.
        unit: (EcoString, Decimal),
        /// As written.
        text: EcoString,
    },
}

/// A tier of quality: a share of all ways to carry a job out that the library knows, the best ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// None is better.
    Best,
    /// One in twenty is as good or better.
    Good,
    /// One in five.
    Fair,
    /// Every second one.
    Basic,
}

impl Tier {
    /// All of them, the best first.
    pub const ALL: [Tier; 4] = [Tier::Best, Tier::Good, Tier::Fair, Tier::Basic];

    /// The tier of a name.
    pub fn named(name: &str) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// Its name in a job.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Best => "best",
            Tier::Good => "good",
            Tier::Fair => "fair",
            Tier::Basic => "basic",
        }
    }

    /// What it is, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Tier::Best => "No way to carry the job out that the library knows is better.",
            Tier::Good => "One in twenty of the ways to carry the job out that the library knows is as good or better.",
            Tier::Fair => "One in five of the ways to carry the job out that the library knows is as good or better.",
            Tier::Basic => {
                "Every second one of the ways to carry the job out that the library knows is as good or better."
            }
        }
    }

    /// The share of all ways that are in it; `None` for the best alone.
    pub fn share(self) -> Option<f64> {
        match self {
            Tier::Best => None,
            Tier::Good => Some(0.05),
            Tier::Fair => Some(0.20),
            Tier::Basic => Some(0.50),
        }
    }
}

/// A wish.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What is to be small (large, for quality).
    pub metric: Metric,
    /// Where it stands.
    pub span: Span,
}

/// A pin or rule over choices.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it asks.
    pub kind: RuleKind,
    /// Whether it may be broken.
    pub soft: bool,
    /// The whole rule.
    pub span: Span,
    /// As written.
    pub text: EcoString,
}

/// What a rule asks.
#[derive(Clone, Debug)]
pub enum RuleKind {
    /// `using whisper(variant: small) on a100 * 1`
    Pin(Pin),
    /// `avoid whisper`
    Avoid(EcoString),
    /// `only open_models`
    OnlyOpen,
    /// `region eu`
    Region(EcoString),
    /// `license permissive`
    Permissive,
    /// `retention 30 d`: for how many seconds at most providers keep what they are sent.
    Retention(Decimal),
    /// `no training on inputs`
    NoTraining,
    /// `no pii to closed models`
    NoPiiToClosed {
        /// The inputs that hold personal data.
        inputs: Vec<LocalId>,
    },
}

/// `using whisper(variant: small) on a100 * 1`
#[derive(Clone, Debug)]
pub struct Pin {
    /// The implementation.
    pub implementation: Option<EcoString>,
    /// Knob values.
    pub knobs: Vec<(EcoString, EcoString)>,
    /// The device; `gpu` for any GPU.
    pub device: Option<EcoString>,
    /// The least memory of one device, in gigabytes; one whose memory nothing states is not taken to have it.
    pub memory_gb: Option<Decimal>,
    /// How many.
    pub units: Vec<u32>,
    /// Where it is written.
    pub span: Span,
}

/// How often a job is run: `expect 30 requests/s`, `expect trace "arrivals.csv"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// Runs a second.
    pub per_s: Decimal,
    /// The statement.
    pub span: Span,
    /// The trace whose busiest minute that is.
    pub trace: Option<EcoString>,
}

/// Whether results of a call are taken over from other runs, and how old they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// `cache off`: none is.
    Off,
    /// `cache on`: of any age.
    On,
    /// `cache 24 h`: at most so many milliseconds old.
    For(u64),
}

/// How per-step quality becomes the job's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QualityRule {
    /// Every step must be right: the product.
    #[default]
    Product,
    /// The weakest step decides.
    Min,
    /// As a table says that was measured: `quality from "eval.csv"`.
    Measured(Arc<EndToEnd>),
}

impl QualityRule {
    /// What a step contributes, 0 to 1; `None` where a measured rule says nothing of it.
    pub fn contribution(&self, setting: &Setting) -> Option<Decimal> {
        match self {
            QualityRule::Measured(rule) => rule.contribution(setting),
            QualityRule::Product | QualityRule::Min => Some(setting.quality),
        }
    }

    /// How contributions combine.
    pub fn form(&self) -> Form {
        match self {
            QualityRule::Product => Form::Product,
            QualityRule::Min => Form::Min,
            QualityRule::Measured(rule) => rule.form,
        }
    }

    /// The job's quality.
    pub fn total(&self, contributions: impl Iterator<Item = Decimal>) -> Decimal {
        match self.form() {
            Form::Product => contributions.fold(Decimal::ONE, |a, b| a * b),
            Form::Min => contributions.min().unwrap_or(Decimal::ONE),
        }
    }

    /// Its name in a plan.
    pub fn name(&self) -> &'static str {
        match self {
            QualityRule::Product => "product",
            QualityRule::Min => "min",
            QualityRule::Measured(_) => "measured",
        }
    }

    /// The table of a measured one.
    pub fn table(&self) -> Option<&EndToEnd> {
        if let QualityRule::Measured(rule) = self { Some(rule) } else { None }
    }
}

/// What is known of an input's sizes.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The input.
    pub input: LocalId,
    /// A size of it; empty where the type has one main size.
    pub size: EcoString,
    /// How many items.
    pub count: Option<Decimal>,
    /// How large each is, in base units.
    pub each: Option<Decimal>,
    /// Where it stands.
    pub span: Span,
}
