//! Names and units as a profile writes them → the figures and base units that the planner computes with.

use super::date::Date;
use crate::diag::source::Span;
use crate::library::evidence::EvidenceKind;
use ecow::{EcoString, eco_format};
use rust_decimal::{Decimal, dec};

/// A number, with what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The value, in base units.
    pub value: Decimal,
    /// Its base unit: s, usd, W, GB, ratio, tok, or one of them for a unit of work.
    pub unit: &'static str,
    /// Its interval.
    pub interval: (Decimal, Decimal),
    /// The work that it is for.
    pub conditions: Vec<Condition>,
    /// What it rests on.
    pub evidence: EvidenceKind,
    /// Where it comes from.
    pub source: EcoString,
    /// When it was valid or taken.
    pub date: Option<Date>,
    /// Who says so, where several do.
    pub reporter: Option<EcoString>,
    /// The benchmark behind a quality.
    pub benchmark: Option<EcoString>,
    /// The engine and its version.
    pub engine: Option<EcoString>,
    /// Of an estimate outside of what its formulas were checked on: why. Of what was taken in another set-up than the entry's: which.
    pub unchecked: Option<EcoString>,
    /// Where it is written.
    pub at: Span,
}

impl Figure {
    /// Who says it; empty where nobody is named.
    pub fn by(&self) -> &str {
        self.reporter.as_deref().unwrap_or_default()
    }

    /// Whether it is a time by work, under this name, that somebody took and that does not say for how much work. What a formula gives holds
    /// for any.
    pub fn is_unbounded(&self, name: &str) -> bool {
        let taken = self.evidence != EvidenceKind::Estimated;
        taken && self.conditions.is_empty() && name.starts_with("latency.") && name.contains(".per.")
    }

    /// A time as it was measured: so many times as long as this says.
    pub fn paced(&self, pace: &Pace) -> Figure {
        let times = |value: Decimal| value.saturating_mul(pace.times).normalize();
        let (low, high) = self.interval;
        Figure {
            value: times(self.value),
            interval: (times(low), times(high)),
            evidence: EvidenceKind::Measured,
            source: eco_format!("{}, {} times as long as: {}", pace.source, pace.times, self.source),
            ..self.clone()
        }
    }
}

/// How long calls were measured to take, against what a profile says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many times as long.
    pub times: Decimal,
    /// Who measured it, and over how many calls.
    pub source: EcoString,
}

/// An amount of work that a figure is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The dimension of work: `input`, `output`, `duration`.
    pub work: EcoString,
    /// From, in the work's unit.
    pub from: Decimal,
    /// To; no end where there is none.
    pub to: Option<Decimal>,
}

impl Condition {
    /// Reads `512`, `128..8192`, `..8192` or `128..`; `None` for anything else.
    pub fn parse(work: &str, text: &str) -> Option<Condition> {
        let number = |t: &str| t.trim().parse::<Decimal>().ok().filter(|d| *d >= Decimal::ZERO);
        let (from, to) = match text.split_once("..") {
            None => number(text).map(|n| (n, Some(n)))?,
            Some(("", "")) => return None,
            Some((from, "")) => (number(from)?, None),
            Some(("", to)) => (Decimal::ZERO, Some(number(to)?)),
            Some((from, to)) => (number(from)?, Some(number(to)?)),
        };
        to.is_none_or(|to| from <= to).then(|| Condition { work: work.into(), from, to })
    }

    /// How far an amount lies outside; zero inside. A figure that was taken at one point stands for half to twice of it.
    pub fn beyond(&self, amount: Decimal) -> Decimal {
        let two = Decimal::TWO;
        let point = self.to == Some(self.from);
        let from = if point { self.from / two } else { self.from };
        let to = if point { self.to.and_then(|to| to.checked_mul(two)) } else { self.to };
        let over = to.map_or(Decimal::ZERO, |to| amount.saturating_sub(to));
        from.saturating_sub(amount).max(over).max(Decimal::ZERO)
    }

    /// Whether both speak of some amount.
    pub fn overlaps(&self, other: &Condition) -> bool {
        self.to.is_none_or(|to| other.from <= to) && other.to.is_none_or(|to| self.from <= to)
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.to {
            Some(to) if to == self.from => write!(f, "{} {to}", self.work),
            Some(to) => write!(f, "{} {} to {to}", self.work, self.from),
            None => write!(f, "{} from {}", self.work, self.from),
        }
    }
}

/// What a name and a unit in a profile mean.
pub struct Meaning {
    /// The planner's name of the figure.
    pub name: EcoString,
    /// What the written unit is in base units.
    pub factor: Decimal,
    /// The base unit.
    pub unit: &'static str,
    /// Whether it is a time to first token, which holds the reading of the prompt.
    pub reads_prompt: bool,
}

/// Why a name and unit mean nothing.
pub enum Unknown {
    /// No such figure; the names that there are.
    Name(&'static str),
    /// A figure without a unit; the units that it may have.
    NoUnit(String),
    /// A unit that the figure cannot have; those that it may.
    Unit(String),
}

/// The names of figures, for people.
pub const NAMES: &str = "latency, latency.p95, latency.p99, latency.per.WORK, latency.p95.per.WORK, latency.p99.per.WORK, ttft, tpot, \
                         throughput, power, idle.power, memory, context, quality, errors (of a composition), cost, cost.per.WORK";

/// Written unit, its factor, base unit.
type Units = &'static [(&'static str, Decimal, &'static str)];

const TIME: Units = &[("s", dec!(1), "s"), ("ms", dec!(0.001), "s"), ("min", dec!(60), "s")];
const TIME_PER_WORK: Units = &[
    ("s/s", dec!(1), "s/s"),
    ("s/tok", dec!(1), "s/tok"),
    ("s/item", dec!(1), "s/item"),
    ("ms/tok", dec!(0.001), "s/tok"),
    ("ms/item", dec!(0.001), "s/item"),
];
const TIME_PER_TOKEN: Units = &[("s/tok", dec!(1), "s/tok"), ("ms/tok", dec!(0.001), "s/tok")];
const PER_TIME: Units = &[("tok/s", dec!(1), "tok/s"), ("item/s", dec!(1), "item/s"), ("s/s", dec!(1), "s/s")];
const POWER: Units = &[("W", dec!(1), "W"), ("kW", dec!(1000), "W")];
const MEMORY: Units = &[("GB", dec!(1), "GB"), ("MB", dec!(0.001), "GB"), ("GiB", dec!(1.073741824), "GB")];
const TOKENS: Units = &[("tok", dec!(1), "tok"), ("ktok", dec!(1000), "tok")];
const SHARE: Units = &[("%", dec!(0.01), "ratio")];
const MONEY: Units = &[("usd", dec!(1), "usd")];
const MONEY_PER_WORK: Units = &[
    ("usd/s", dec!(1), "usd/s"),
    ("usd/tok", dec!(1), "usd/tok"),
    ("usd/item", dec!(1), "usd/item"),
    ("usd/min", dec!(0.0166666666666666666666666667), "usd/s"),
    ("usd/h", dec!(0.0002777777777777777777777778), "usd/s"),
    ("usd/ktok", dec!(0.001), "usd/tok"),
    ("usd/Mtok", dec!(0.000001), "usd/tok"),
    ("usd/image", dec!(1), "usd/item"),
    ("usd/page", dec!(1), "usd/item"),
];

/// What a figure of this name in this unit is.
pub fn meaning(written: &str, unit: &str) -> Result<Meaning, Unknown> {
    let (name, reads_prompt) = canonical(written);
    let units = units(&name, written).ok_or(Unknown::Name(NAMES))?;
    let known = || units.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(" or ");
    match units.iter().find(|(name, ..)| *name == unit) {
        Some((_, factor, base)) => Ok(Meaning { name, factor: *factor, unit: base, reads_prompt }),
        None if unit.is_empty() => Err(Unknown::NoUnit(known())),
        None => Err(Unknown::Unit(known())),
    }
}

/// The planner's name: the time to first token is the part of a call's time that no work is counted for, the time per output token
/// that of `output`.
fn canonical(written: &str) -> (EcoString, bool) {
    let (head, level) = match written.split_once('.') {
        Some((head, level @ ("p95" | "p99"))) => (head, eco_format!(".{level}")),
        _ => (written, EcoString::new()),
    };
    match head {
        "ttft" => (eco_format!("latency{level}"), true),
        "tpot" => (eco_format!("latency{level}.per.output"), false),
        _ => (written.into(), false),
    }
}

fn units(name: &str, written: &str) -> Option<Units> {
    let of_work = |prefixes: &[&str]| {
        prefixes.iter().any(|p| name.strip_prefix(p).is_some_and(|work| !work.is_empty() && !work.contains(' ')))
    };
    Some(match name {
        _ if written.starts_with("tpot") && name != written => TIME_PER_TOKEN,
        "latency" | "latency.p95" | "latency.p99" => TIME,
        "power" | "idle.power" => POWER,
        "memory" => MEMORY,
        "context" => TOKENS,
        "quality" | "errors" => SHARE,
        "cost" => MONEY,
        "throughput" => PER_TIME,
        _ if of_work(&["latency.per.", "latency.p95.per.", "latency.p99.per."]) => TIME_PER_WORK,
        _ if of_work(&["cost.per."]) => MONEY_PER_WORK,
        _ => return None,
    })
}
