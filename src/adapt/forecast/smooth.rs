//! One method over one history: its forecasts beside what came, and the next one.

use super::Method;

/// A method that was tried.
pub struct Trial {
    /// Which one.
    pub method: Method,
    /// What it forecasts after the whole history.
    pub next: f64,
    /// Forecast and rate of each epoch of the back-test.
    pub pairs: Vec<(f64, f64)>,
    /// The mean absolute error, as a share of the mean rate; 0 where all rates are 0.
    pub error: f64,
}

/// Tries a method: every epoch from `from` on is forecast from those that lie `ahead` or more before it.
pub fn trial(rates: &[f64], method: Method, ahead: usize, from: usize) -> Trial {
    let (period, level, offset) = match method {
        Method::Highest => (1, 1.0, 0.0),
        Method::Smoothed { level } => (1, level, 0.0),
        Method::Seasonal { period, level, offset } => (period, level, offset),
    };
    let mut state = State::new(&rates[..period], level, offset);
    let mut pairs = Vec::with_capacity(rates.len() - from);
    for seen in period..=rates.len() {
        if let Some(rate) = rates.get(seen + ahead - 1).filter(|_| seen + ahead > from) {
            pairs.push((state.forecast(ahead), *rate));
        }
        if let Some(rate) = rates.get(seen) {
            state.see(*rate);
        }
    }
    let off: f64 = pairs.iter().map(|(forecast, rate)| (forecast - rate).abs()).sum();
    let all: f64 = pairs.iter().map(|(_, rate)| rate).sum();
    let error = if all > 0.0 { off / all } else { off };
    Trial { method, next: state.forecast(ahead), pairs, error }
}

/// What is known after some epochs.
struct State {
    level: f64,
    /// By phase; a level alone has one phase, which stays at 0.
    offsets: Vec<f64>,
    /// The phase of the next epoch.
    phase: usize,
    /// Shares of what is new that level and offsets take over.
    shares: (f64, f64),
    /// The least and the highest rate so far.
    range: (f64, f64),
}

impl State {
    /// After the first period.
    fn new(first: &[f64], level: f64, offset: f64) -> State {
        let mean = first.iter().sum::<f64>() / first.len() as f64;
        let range = first.iter().fold((f64::MAX, 0.0f64), |(low, high), rate| (rate.min(low), rate.max(high)));
        let offsets = first.iter().map(|rate| rate - mean).collect();
        State { level: mean, offsets, phase: 0, shares: (level, offset), range }
    }

    fn forecast(&self, ahead: usize) -> f64 {
        let offset = self.offsets[(self.phase + ahead - 1) % self.offsets.len()];
        (self.level + offset).clamp(self.range.0, self.range.1)
    }

    fn see(&mut self, rate: f64) {
        let offset = &mut self.offsets[self.phase];
        self.level += self.shares.0 * (rate - *offset - self.level);
        *offset += self.shares.1 * (rate - self.level - *offset);
        self.phase = (self.phase + 1) % self.offsets.len();
        self.range = (self.range.0.min(rate), self.range.1.max(rate));
    }
}
