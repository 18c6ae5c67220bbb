//! Units and dimensions: the closed table of what may stand behind a number, and exact arithmetic with it.
//!
//! To add a unit, add a line to [`UNITS`].

use rust_decimal::Decimal;
use rust_decimal::dec;
use std::fmt;

/// A dimension: exponents of dollars, euros, seconds, watt-hours, gigabytes and tokens. Counts and ratios have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dimension([i8; 6]);

impl Dimension {
    /// Counts and ratios.
    pub const NONE: Dimension = Dimension([0; 6]);
    /// Money, in dollars.
    pub const MONEY: Dimension = Dimension([1, 0, 0, 0, 0, 0]);
    /// Money in euros: no exchange rate is assumed.
    pub const EURO: Dimension = Dimension([0, 1, 0, 0, 0, 0]);
    /// Time, in seconds.
    pub const TIME: Dimension = Dimension([0, 0, 1, 0, 0, 0]);
    /// Energy, in watt-hours.
    pub const ENERGY: Dimension = Dimension([0, 0, 0, 1, 0, 0]);
    /// Power, in watt-hours a second.
    pub const POWER: Dimension = Dimension([0, 0, -1, 1, 0, 0]);
    /// Memory, in gigabytes (10⁹ bytes).
    pub const BYTES: Dimension = Dimension([0, 0, 0, 0, 1, 0]);
    /// Tokens.
    pub const TOKENS: Dimension = Dimension([0, 0, 0, 0, 0, 1]);

    /// The dimension of a product.
    pub fn times(self, other: Dimension) -> Dimension {
        self.zip(other, i8::saturating_add)
    }

    /// The dimension of a quotient.
    pub fn per(self, other: Dimension) -> Dimension {
        self.zip(other, i8::saturating_sub)
    }

    fn zip(self, other: Dimension, f: fn(i8, i8) -> i8) -> Dimension {
        let mut out = self.0;
        for (a, b) in out.iter_mut().zip(other.0) {
            *a = f(*a, b);
        }
        Dimension(out)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 6] = ["money", "euros", "time", "energy", "memory", "tokens"];
        let part = |sign: i8| -> Vec<String> {
            let used = self.0.iter().zip(NAMES).filter(|(e, _)| **e * sign > 0);
            used.map(|(e, n)| if e.abs() == 1 { n.to_string() } else { format!("{n}^{}", e.abs()) }).collect()
        };
        let (above, below) = (part(1), part(-1));
        match (above.is_empty(), below.is_empty()) {
            (true, true) => f.write_str("a plain number"),
            (false, true) => f.write_str(&above.join("·")),
            (true, false) => write!(f, "1/{}", below.join("·")),
            (false, false) => write!(f, "{}/{}", above.join("·"), below.join("·")),
        }
    }
}

/// A unit of the table.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// As written.
    pub name: &'static str,
    /// What it measures.
    pub dimension: Dimension,
    /// How many base units it is.
    pub factor: Decimal,
    /// For people.
    pub meaning: &'static str,
}

const fn unit(name: &'static str, dimension: Dimension, factor: Decimal, meaning: &'static str) -> Unit {
    Unit { name, dimension, factor, meaning }
}

/// One watt is one watt-hour in 3600 seconds: 1 / 3600, to the last digit that a decimal holds.
const PER_HOUR: Decimal = dec!(0.0002777777777777777777777778);

/// Every unit of the language.
pub const UNITS: &[Unit] = &[
    unit("usd", Dimension::MONEY, dec!(1), "US dollars"),
    unit("eur", Dimension::EURO, dec!(1), "euros"),
    unit("ms", Dimension::TIME, dec!(0.001), "milliseconds"),
    unit("s", Dimension::TIME, dec!(1), "seconds"),
    unit("min", Dimension::TIME, dec!(60), "minutes"),
    unit("h", Dimension::TIME, dec!(3600), "hours"),
    unit("d", Dimension::TIME, dec!(86400), "days"),
    unit("J", Dimension::ENERGY, PER_HOUR, "joules"),
    unit("Wh", Dimension::ENERGY, dec!(1), "watt-hours"),
    unit("kWh", Dimension::ENERGY, dec!(1000), "kilowatt-hours"),
    unit("W", Dimension::POWER, PER_HOUR, "watts"),
    unit("kB", Dimension::BYTES, dec!(0.000001), "kilobytes (10³)"),
    unit("MB", Dimension::BYTES, dec!(0.001), "megabytes (10⁶)"),
    unit("GB", Dimension::BYTES, dec!(1), "gigabytes (10⁹)"),
    unit("KiB", Dimension::BYTES, dec!(0.000001024), "kibibytes (2¹⁰)"),
    unit("MiB", Dimension::BYTES, dec!(0.001048576), "mebibytes (2²⁰)"),
    unit("GiB", Dimension::BYTES, dec!(1.073741824), "gibibytes (2³⁰)"),
    unit("%", Dimension::NONE, dec!(0.01), "per cent"),
    unit("tok", Dimension::TOKENS, dec!(1), "tokens"),
    unit("ktok", Dimension::TOKENS, dec!(1000), "thousand tokens"),
    unit("Mtok", Dimension::TOKENS, dec!(1000000), "million tokens"),
    unit("requests", Dimension::NONE, dec!(1), "requests"),
    unit("request", Dimension::NONE, dec!(1), "requests"),
    unit("items", Dimension::NONE, dec!(1), "items"),
    unit("item", Dimension::NONE, dec!(1), "items"),
];

/// Words that people write for a unit, with the unit.
const NEARLY: &[(&str, &str)] = &[
    ("mins", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
    ("dollar", "usd"),
    ("dollars", "usd"),
    ("USD", "usd"),
    ("euro", "eur"),
    ("euros", "eur"),
    ("EUR", "eur"),
    ("percent", "%"),
    ("pct", "%"),
    ("gb", "GB"),
    ("mb", "MB"),
    ("kb", "kB"),
    ("KB", "kB"),
    ("G", "GB"),
    ("M", "MB"),
    ("wh", "Wh"),
    ("kwh", "kWh"),
    ("KWh", "kWh"),
    ("joules", "J"),
    ("token", "tok"),
    ("tokens", "tok"),
    ("toks", "tok"),
    ("req", "requests"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("watts", "W"),
    ("w", "W"),
];

/// How many days a word for weeks is; the table's longest time is the day.
pub fn days(text: &str) -> Option<u32> {
    matches!(text, "week" | "weeks").then_some(7)
}

/// Words that may stand for a unit or for something else, with the unit.
const MAYBE: &[(&str, &str)] = &[("m", "min")];

/// A single unit by its name.
fn find(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|u| u.name == name)
}

/// The dimension and factor of a unit as written, rates (`usd/h`) included.
pub fn resolve(text: &str) -> Option<(Dimension, Decimal)> {
    match text.split_once('/') {
        None => find(text).map(|u| (u.dimension, u.factor)),
        Some((over, under)) => {
            let (a, b) = (find(over)?, find(under)?);
            Some((a.dimension.per(b.dimension), a.factor / b.factor))
        }
    }
}

/// What was probably meant by a unit that does not exist.
///
/// With it, whether it is the same unit by another name, and no guess.
pub fn suggest(text: &str) -> Option<(String, bool)> {
    if let Some((over, under)) = text.split_once('/') {
        let mend = |part: &str| find(part).map(|u| (u.name.to_string(), true)).or_else(|| suggest(part));
        let ((over, first), (under, second)) = (mend(over)?, mend(under)?);
        return Some((format!("{over}/{under}"), first && second));
    }
    if let Some((_, unit)) = NEARLY.iter().find(|(word, _)| *word == text) {
        return Some((unit.to_string(), true));
    }
    if let Some((_, unit)) = MAYBE.iter().find(|(word, _)| *word == text) {
        return Some((unit.to_string(), false));
    }
    crate::diag::nearest(text, UNITS.iter().map(|u| u.name)).map(|near| (near.to_string(), false))
}

/// A quantity in base units (dollars, seconds, watt-hours, gigabytes, tokens).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// The value, exact.
    pub value: Decimal,
    /// What it measures.
    pub dimension: Dimension,
}

impl Measure {
    /// A plain number.
    pub fn number(value: Decimal) -> Measure {
        Measure { value, dimension: Dimension::NONE }
    }
}

/// So many of something: `1 GPU`, `2 GPUs`.
pub fn counted(count: impl std::fmt::Display, one: &str) -> String {
    let count = count.to_string();
    if count == "1" { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// A decimal for people: no trailing zeros, at most `digits` behind the point.
pub fn shown(value: Decimal, digits: u32) -> String {
    let rounded = value.round_dp(digits).normalize();
    // What would round to nothing keeps two digits that say something.
    let significant = if rounded.is_zero() { value.round_sf(2).unwrap_or(rounded).normalize() } else { rounded };
    significant.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_divide_their_units() {
        let (dimension, factor) = resolve("usd/min").expect("a rate");
        assert_eq!(dimension, Dimension::MONEY.per(Dimension::TIME));
        assert_eq!((factor * dec!(60)).round_dp(20), dec!(1));
    }

    #[test]
    fn near_misses_are_mended() {
        assert_eq!(suggest("m"), Some(("min".into(), false)));
        assert_eq!(suggest("dollars/hour"), Some(("usd/h".into(), true)));
        assert_eq!(suggest("itms"), Some(("items".into(), false)));
        assert_eq!(suggest("zebra"), None);
    }

    #[test]
    fn dimensions_are_named() {
        assert_eq!(Dimension::MONEY.per(Dimension::TIME).to_string(), "money/time");
    }
}
