//! Rates of past epochs → the rate to provision for in a coming one.
//!
//! One family of methods, additive exponential smoothing without a trend: a level follows the measured rate and, where there is a
//! period, each phase of it has an offset (the method of Holt and Winters; with a level that stands still and offsets that are taken over
//! whole it is the seasonal naive one). The history itself decides which member of the family is taken: each forecasts the later half of it, epoch
//! by epoch from what came before, and the one with the least mean absolute error wins. How far the rates lay above those forecasts
//! is the headroom. Everything scales with the rates, and no forecast leaves the range of the history.

mod smooth;

use self::smooth::{Trial, trial};
use crate::plan::render::percent;
use crate::units::{counted, shown};
use rust_decimal::prelude::FromPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;
use std::fmt;

/// Of a longer history only the latest epochs count.
const LATEST: usize = 4096;
/// Rates beyond this, in runs a second, are taken as this.
const MOST: f64 = 1e9;
/// Headroom is in proportion to what is forecast, but for forecasts below this share of the mean rate: in proportion to that.
const FLOOR: f64 = 0.05;
/// A season has more to be wrong about than a level: it must be better by this share.
const BETTER: f64 = 0.05;
/// A lag counts as a period where the history resembles itself so well at it.
const ALIKE: f64 = 0.3;
/// Shares of a new rate that a level takes over.
const LEVELS: [f64; 4] = [0.2, 0.5, 0.8, 1.0];
/// The same beside a season, and shares that an offset takes over.
const BESIDE: [f64; 3] = [0.0, 0.2, 0.5];
const OFFSETS: [f64; 3] = [0.2, 0.5, 1.0];

/// What is asked of a forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecasting {
    /// Which epoch is forecast: 1 is the one that follows the history.
    pub ahead: usize,
    /// Periods to try, in epochs. The one that the history shows by itself is tried as well.
    pub periods: Vec<usize>,
    /// The share of epochs whose rate is to stay within what is provisioned.
    pub within: f64,
}

impl Default for Forecasting {
    /// For epochs of an hour: the next one, days and weeks, 95 % of the epochs.
    fn default() -> Self {
        Forecasting { ahead: 1, periods: vec![24, 168], within: 0.95 }
    }
}

/// A member of the family.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The highest rate so far: there is too little to test anything on.
    Highest,
    /// A level alone.
    Smoothed {
        /// The share of a new rate that the level takes over; 1: the rate of the last epoch.
        level: f64,
    },
    /// A level, and an offset for each phase of a period.
    Seasonal {
        /// Epochs of the period.
        period: usize,
        /// The share of what is new that the level takes over.
        level: f64,
        /// The share of what is new that an offset takes over.
        offset: f64,
    },
}

/// A rate that is expected, and the one to provision for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// How it was made.
    pub method: Method,
    /// Runs a second that are expected.
    pub expected: f64,
    /// Runs a second to provision for: what is expected with the headroom.
    pub provision: f64,
    /// How many times what is expected that is; at least 1.
    pub headroom: f64,
    /// The mean absolute error of the method over the epochs of the back-test, as a share of their mean rate.
    pub error: f64,
    /// Epochs of the back-test.
    pub tested: usize,
    /// The best method of the other kind, with its error; none where there is no period to try.
    pub other: Option<(Method, f64)>,
}

impl Forecast {
    /// Runs a second to provision for, to a millionth and rounded up.
    pub fn rate(&self) -> Decimal {
        let exact = Decimal::from_f64(self.provision).unwrap_or_default();
        exact.round_dp_with_strategy(6, RoundingStrategy::ToPositiveInfinity).normalize()
    }
}

/// Forecasts from the rates of past epochs, oldest first, in runs a second. A rate that is negative or no number was not measured:
/// the one before it counts. `None` for a history without any rate.
pub fn forecast(history: &[f64], asked: &Forecasting) -> Option<Forecast> {
    let rates = measured(history);
    let highest = rates.iter().copied().reduce(f64::max)?;
    let (ahead, from) = (asked.ahead.max(1), rates.len() / 2);
    if from <= ahead {
        let (expected, provision) = (highest, highest);
        let method = Method::Highest;
        return Some(Forecast { method, expected, provision, headroom: 1.0, error: 0.0, tested: 0, other: None });
    }
    let tried = |method: Method| trial(&rates, method, ahead, from);
    let level = best(LEVELS.iter().map(|level| tried(Method::Smoothed { level: *level })))?;
    // The first half must hold a whole period, or there is nothing to begin with.
    let periods = asked.periods.iter().copied().chain(own_period(&rates));
    let periods = periods.filter(|period| *period > 1 && period.saturating_add(ahead) <= from + 1);
    let shares = BESIDE.iter().flat_map(|level| OFFSETS.iter().map(move |offset| (*level, *offset)));
    let seasonal = periods
        .flat_map(|period| shares.clone().map(move |(level, offset)| Method::Seasonal { period, level, offset }));
    let season = best(seasonal.map(tried));
    let (taken, other) = match season {
        Some(season) if season.error < (1.0 - BETTER) * level.error => (season, Some(level)),
        season => (level, season),
    };
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let headroom = headroom(&taken, FLOOR * mean, asked.within);
    Some(Forecast {
        method: taken.method,
        expected: taken.next,
        provision: (taken.next.max(FLOOR * mean) * headroom).min(MOST),
        headroom,
        error: taken.error,
        tested: taken.pairs.len(),
        other: other.map(|other| (other.method, other.error)),
    })
}

/// The latest rates, with the one before it where one was not measured.
fn measured(history: &[f64]) -> Vec<f64> {
    let mut last = None;
    let seen = history[history.len().saturating_sub(LATEST)..].iter().filter_map(|rate| {
        last = if rate.is_finite() && *rate >= 0.0 { Some(rate.min(MOST)) } else { last };
        last
    });
    seen.collect()
}

/// The one with the least error; of equals the first.
fn best(tried: impl Iterator<Item = Trial>) -> Option<Trial> {
    tried.reduce(|best, next| if next.error < best.error { next } else { best })
}

/// What the rates came to as a share of what had been forecast for them, where so many of them are not above it. The rank counts one
/// epoch more than there were, since the one to come is not among them.
fn headroom(taken: &Trial, floor: f64, within: f64) -> f64 {
    let ratio = |(forecast, rate): &(f64, f64)| {
        let of = forecast.max(floor);
        if of > 0.0 { rate / of } else { 1.0 }
    };
    let mut ratios: Vec<f64> = taken.pairs.iter().map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let rank = (within * (ratios.len() + 1) as f64).ceil() as usize;
    let at = rank.saturating_sub(1).min(ratios.len().saturating_sub(1));
    ratios.get(at).copied().unwrap_or(1.0).max(1.0)
}

/// The lag at which the history resembles itself best, if it does.
fn own_period(rates: &[f64]) -> Option<usize> {
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let off: Vec<f64> = rates.iter().map(|rate| rate - mean).collect();
    let all: f64 = off.iter().map(|x| x * x).sum();
    if all <= 0.0 {
        return None;
    }
    let at = |lag: usize| off.iter().zip(&off[lag..]).map(|(a, b)| a * b).sum::<f64>() / all;
    let alike: Vec<f64> = (0..=rates.len() / 2).map(at).collect();
    let peaks = (2..alike.len().saturating_sub(1))
        .filter(|lag| alike[*lag] >= ALIKE && alike[*lag] >= alike[lag - 1] && alike[*lag] >= alike[lag + 1]);
    peaks.reduce(|best, next| if alike[next] > alike[best] { next } else { best })
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Highest => write!(f, "the highest so far"),
            Method::Smoothed { level } if *level == 1.0 => write!(f, "as in the last epoch"),
            Method::Smoothed { level } => write!(f, "smoothed by {level}"),
            Method::Seasonal { period, level, offset } => {
                write!(f, "seasonal over {} (level {level}, offsets {offset})", counted(period, "epoch"))
            }
        }
    }
}

impl fmt::Display for Forecast {
    /// `38.2 runs/s expected, 44.1 to provision for (headroom 15.4 %): seasonal over 24 epochs …, off by 4.1 % over 84 epochs`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One huge epoch makes an error that no decimal holds.
        let decimal = |value: f64| Decimal::from_f64(value.min(MOST)).unwrap_or_default();
        let rate = |value: f64| shown(decimal(value), 3);
        let share = |value: f64| percent(decimal(value));
        write!(f, "{} runs/s expected, {} to provision for", rate(self.expected), rate(self.provision))?;
        if self.tested == 0 {
            return write!(f, ": {}, too few epochs for a test", self.method);
        }
        write!(f, " (headroom {}): {}", share(self.headroom - 1.0), self.method)?;
        write!(f, ", off by {} over {}", share(self.error), counted(self.tested, "epoch"))?;
        match &self.other {
            Some((method, error)) => write!(f, "; {method}: {}", share(*error)),
            None => Ok(()),
        }
    }
}
