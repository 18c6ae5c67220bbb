//! What is deployed when: a policy is asked at the start and then from time to time, and sees only what has happened.

mod adaptive;
mod autoscaled;

pub use adaptive::{Adaptive, Forecast, Prepare, Watched, foreseen};
pub use autoscaled::Autoscaled;

use super::model::{Deployment, Pool};
use super::{Micros, seconds};
use std::rc::Rc;

/// Decides what is deployed.
pub trait Policy {
    /// Its name.
    fn name(&self) -> &str;

    /// What is there when the simulation begins.
    fn start(&mut self) -> Result<Rc<Deployment>, String>;

    /// When it is asked first, and how long after that again; none where it never changes anything.
    fn asked(&self) -> Option<(Micros, Micros)>;

    /// What is to be deployed from now on; none where nothing is to change.
    fn at(&mut self, seen: &Seen) -> Result<Option<Rc<Deployment>>, String>;

    /// The devices have become these, or cost this: the same answer. Whoever takes no notice leaves it as it is.
    fn changed(&mut self, _seen: &Seen, _pools: &[Pool]) -> Result<Option<Rc<Deployment>>, String> {
        Ok(None)
    }
}

/// What a policy sees.
pub struct Seen<'a> {
    /// The time.
    pub now: Micros,
    /// The length of the windows in which arrivals are counted.
    pub window: Micros,
    /// Arrivals by window and job; the last one may not be over, and those after the last arrival are not there.
    pub counts: &'a [Vec<u32>],
    /// By kind: the work that was sent since it was asked last, in calls under way all the time at the pace of a full replica.
    pub demand: &'a [f64],
}

impl Seen<'_> {
    /// A job's rate in the busiest window of each stretch of time, runs a second: the last stretch ends with the last whole window, and the
    /// first one may be shorter.
    pub fn peaks(&self, job: usize, stretch: Micros) -> Vec<f64> {
        let whole = (self.now / self.window) as usize;
        let length = ((stretch / self.window) as usize).max(1);
        let count = |at: usize| self.count(at, job);
        let first = whole % length;
        let bounds = std::iter::once(0..first).chain((first..whole).step_by(length).map(|at| at..at + length));
        let most = |windows: std::ops::Range<usize>| windows.map(count).max();
        bounds.filter_map(most).map(|count| f64::from(count) / seconds(self.window)).collect()
    }

    /// A job's rate on average over the last whole windows of so long a stretch, runs a second; none before there was so much time.
    pub fn rate(&self, job: usize, stretch: Micros) -> Option<f64> {
        let whole = (self.now / self.window) as usize;
        let length = ((stretch / self.window) as usize).max(1);
        let first = whole.checked_sub(length)?;
        let arrived: u64 = (first..whole).map(|at| u64::from(self.count(at, job))).sum();
        Some(arrived as f64 / seconds(self.window * length as Micros))
    }

    /// How many runs of a job arrived in a window.
    fn count(&self, window: usize, job: usize) -> u32 {
        self.counts.get(window).and_then(|jobs| jobs.get(job)).copied().unwrap_or(0)
    }
}

/// One deployment for all the time.
pub struct Fixed {
    /// Its name.
    pub name: String,
    /// What it deploys.
    pub deployment: Rc<Deployment>,
}

impl Policy for Fixed {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self) -> Result<Rc<Deployment>, String> {
        Ok(self.deployment.clone())
    }

    fn asked(&self) -> Option<(Micros, Micros)> {
        None
    }

    fn at(&mut self, _: &Seen) -> Result<Option<Rc<Deployment>>, String> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_of_stretches_that_end_now() {
        let counts: Vec<Vec<u32>> = [6, 0, 60, 120, 3, 0, 30].iter().map(|count| vec![*count]).collect();
        let seen = Seen { now: 7 * 60_000_000, window: 60_000_000, counts: &counts, demand: &[] };
        assert_eq!(seen.peaks(0, 180_000_000), [0.1, 2.0, 0.5]);
        assert_eq!((seen.rate(0, 180_000_000), seen.rate(0, 120_000_000)), (Some(33.0 / 180.0), Some(0.25)));
        let early = Seen { now: 30_000_000, ..seen };
        assert!(early.peaks(0, 180_000_000).is_empty() && early.rate(0, 180_000_000).is_none());
    }
}
