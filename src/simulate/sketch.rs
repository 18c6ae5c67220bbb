//! Values → their quantiles within 1 %, in memory that does not grow with their number: counts in buckets whose bounds grow by a
//! constant factor (Masson, Rim and Lee, "DDSketch", VLDB 2019).

/// The relative error of a quantile.
pub const ERROR: f64 = 0.01;
/// The ratio of a bucket's bounds.
const GROWTH: f64 = (1.0 + ERROR) / (1.0 - ERROR);

/// Counts of values that are not negative.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    /// Values below 1, which count as 0.
    zeros: u64,
    /// By bucket: those above `GROWTH^(i - 1)` and up to `GROWTH^i`.
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Sketch {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        if value < 1.0 {
            self.zeros += 1;
            return;
        }
        let at = (value.ln() / GROWTH.ln()).ceil() as usize;
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, 0);
        }
        self.buckets[at] += 1;
    }

    /// Adds all of another's values.
    pub fn join(&mut self, other: &Sketch) {
        self.zeros += other.zeros;
        self.count += other.count;
        self.sum += other.sum;
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, more)| *own += more);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their exact mean; 0 of none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }

    /// The value that a share of them do not exceed, within [`ERROR`]; 0 of none.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = self.zeros;
        if rank <= below {
            return 0.0;
        }
        for (at, count) in self.buckets.iter().enumerate() {
            below += count;
            if rank <= below {
                return 2.0 * GROWTH.powi(at as i32) / (GROWTH + 1.0);
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rng::Rng;

    #[test]
    fn quantiles_are_within_the_stated_error() {
        let (mut rng, mut sketch, mut values) = (Rng(7), Sketch::default(), Vec::new());
        for _ in 0..20_000 {
            let value = (rng.unit() * 25.0).exp();
            sketch.add(value);
            values.push(value);
        }
        values.sort_by(f64::total_cmp);
        for share in [0.001, 0.25, 0.5, 0.95, 0.99, 1.0] {
            let exact = values[((values.len() as f64 * share).ceil() as usize).max(1) - 1];
            assert!((sketch.quantile(share) / exact - 1.0).abs() <= ERROR + 1e-9, "{share}");
        }
    }

    #[test]
    fn joined_sketches_are_one_of_all_values() {
        let (mut low, mut high, mut all) = (Sketch::default(), Sketch::default(), Sketch::default());
        for value in [0.0, 0.5, 3.0, 900.0] {
            low.add(value);
            all.add(value);
        }
        for value in [1.0, 1e9] {
            high.add(value);
            all.add(value);
        }
        low.join(&high);
        assert_eq!(low, all);
        assert_eq!(Sketch::default().quantile(0.5), 0.0);
    }
}
