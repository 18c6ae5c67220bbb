//! Scores → an estimate with its 95 % interval: Wilson's for shares, a bootstrap with a fixed seed for means.

use serde::Serialize;

/// The normal quantile of a two-sided 95 % interval.
const Z: f64 = 1.959_963_984_540_054;
/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;

/// An estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// The low end of its 95 % interval.
    pub low: f64,
    /// The high end.
    pub high: f64,
}

/// The share of successes among `n` weighted trials, by Wilson's score interval; `n` may be an effective number.
pub fn wilson(share: f64, n: f64) -> Estimate {
    if n <= 0.0 {
        return Estimate { value: share, low: 0.0, high: 1.0 };
    }
    let z2 = Z * Z;
    let centre = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    Estimate { value: share, low: (centre - half).clamp(0.0, share), high: (centre + half).clamp(share, 1.0) }
}

/// The mean of scores, by the bootstrap's percentiles. One score, or scores that are all the same, say nothing of their spread:
/// the interval is then Wilson's, which is never empty.
pub fn mean(scores: &[f64], seed: u64) -> Estimate {
    let value = average(scores);
    if scores.iter().all(|s| *s == scores[0]) {
        return wilson(value.clamp(0.0, 1.0), scores.len() as f64);
    }
    resampled(scores, seed)
}

/// The mean of any values, by the bootstrap's percentiles; of values that are all the same, that value.
pub fn resampled(scores: &[f64], seed: u64) -> Estimate {
    let value = average(scores);
    let mut random = Random(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..scores.len()).map(|_| scores[random.below(scores.len())]).sum::<f64>() / scores.len() as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    Estimate { value, low: at(0.025).min(value), high: at(0.975).max(value) }
}

/// The plain mean; zero of nothing.
pub fn average(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// SplitMix64: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(bits ^ (bits >> 31)) * n as u128) >> 64) as usize
    }

    /// The numbers below `n`, in some order.
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_the_textbook_one() {
        // Newcombe 1998, table I, method 3: 81 of 263 is 0.2553 to 0.3662; 0 of 20 is 0 to 0.1611.
        let e = wilson(81.0 / 263.0, 263.0);
        assert!((e.low - 0.2553).abs() < 5e-5 && (e.high - 0.3662).abs() < 5e-5, "{e:?}");
        let e = wilson(0.0, 20.0);
        assert!(e.low == 0.0 && (e.high - 0.1611).abs() < 5e-5, "{e:?}");
    }

    #[test]
    fn a_bootstrap_agrees_with_the_normal_interval() {
        let mut random = Random(7);
        let scores: Vec<f64> = (0..400).map(|_| random.below(1000) as f64 / 999.0).collect();
        let e = mean(&scores, 1);
        let variance = scores.iter().map(|s| (s - e.value).powi(2)).sum::<f64>() / 399.0;
        let half = Z * (variance / 400.0).sqrt();
        assert!((e.high - e.value - half).abs() < 0.15 * half && (e.value - e.low - half).abs() < 0.15 * half, "{e:?}");
        assert_eq!(e, mean(&scores, 1));
        assert!(mean(&[1.0], 1).low < 0.5);
        // Times are no shares.
        assert_eq!(resampled(&[34.8], 1), Estimate { value: 34.8, low: 34.8, high: 34.8 });
        let times = resampled(&[1.5, 2.5, 3.5], 1);
        assert!(times.value == 2.5 && times.low < 2.5 && times.high > 2.5);
    }

    #[test]
    fn an_order_is_a_permutation() {
        let mut order = Random(3).order(50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
