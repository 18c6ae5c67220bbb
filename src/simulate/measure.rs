//! What comes out of a simulation: figures by job, by epoch, by kind of instance, and in all.

use super::sketch::Sketch;
use super::{HOUR, Micros, SECOND};
use serde::Serialize;

/// Times of runs from their arrival to their end, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Exact.
    pub mean_s: f64,
    /// The median, within 1 %.
    pub p50_s: f64,
    /// Within 1 %.
    pub p95_s: f64,
    /// Within 1 %.
    pub p99_s: f64,
}

impl Latency {
    /// Of times in microseconds.
    pub fn of(times: &Sketch) -> Latency {
        let seconds = |time: f64| time / SECOND as f64;
        let at = |share| seconds(times.quantile(share));
        Latency { mean_s: seconds(times.mean()), p50_s: at(0.5), p95_s: at(0.95), p99_s: at(0.99) }
    }
}

/// Runs of a job, or of all jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Runs {
    /// Runs that arrived.
    pub arrived: u64,
    /// Runs that ended.
    pub done: u64,
    /// Runs that had not ended when the simulation did.
    pub in_flight: u64,
    /// Runs that took longer than the job's limit, those that did so already when the simulation ended among them.
    pub late: u64,
    /// Their share of the runs that ended, and of those among them.
    pub late_share: f64,
    /// Times of the runs that ended.
    pub latency: Latency,
    /// The mean quality of the runs that arrived, as planned.
    pub quality: f64,
}

/// What was held and spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spent {
    /// GPUs × time held.
    pub gpu_hours: f64,
    /// Money: instances while they were held, and providers' charges.
    pub cost_usd: f64,
    /// What is paid to providers, within the cost.
    pub fees_usd: f64,
    /// Energy of replicas with calls.
    pub busy_wh: f64,
    /// Energy of replicas with nothing to do.
    pub idle_wh: f64,
}

impl Spent {
    /// All energy that is known.
    pub fn energy_wh(&self) -> f64 {
        self.busy_wh + self.idle_wh
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfJob {
    /// Its name.
    pub job: String,
    /// The limit that counts, as written.
    pub limit: Option<String>,
    /// The share of its runs that may take longer.
    pub allowed: f64,
    /// Its runs.
    pub runs: Runs,
    /// Its part of what was spent: of an instance, the part of the work done that was its own.
    pub spent: Spent,
}

/// A kind of instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OfKind {
    /// What it is.
    pub kind: String,
    /// Replicas held, on average over all the time.
    pub replicas: f64,
    /// The share of the time held with at least one call.
    pub busy: f64,
    /// Calls under way while busy, on average.
    pub batch: f64,
    /// Calls that were started.
    pub calls: u64,
    /// Seconds that a call waited for a replica, on average.
    pub waited_s: f64,
}

/// A stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Epoch {
    /// When it begins, hours.
    pub from_h: f64,
    /// How long it is, hours.
    pub hours: f64,
    /// Arrivals a second, of all jobs.
    pub load: f64,
    /// Runs that ended in it.
    pub done: u64,
    /// Of these, those that took longer than their job's limit.
    pub late: u64,
    /// Times of the runs that ended in it.
    pub latency: Latency,
    /// Replicas held, on average.
    pub replicas: f64,
    /// GPUs held, on average.
    pub gpus: f64,
    /// GPUs held, at most.
    pub gpus_peak: i64,
    /// The share of the replicas' time with at least one call.
    pub busy: f64,
    /// What was spent in it.
    pub spent: Spent,
}

/// What a policy's fleet did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The policy.
    pub policy: String,
    /// Hours simulated.
    pub hours: f64,
    /// Of all jobs.
    pub runs: Runs,
    /// By all.
    pub spent: Spent,
    /// GPUs held, on average.
    pub gpus_mean: f64,
    /// GPUs held, at most.
    pub gpus_peak: i64,
    /// The share of the replicas' time with at least one call.
    pub busy: f64,
    /// The share of what calls on instances read that their replica had read before.
    pub reused: f64,
    /// How often another deployment was ordered.
    pub changes: u64,
    /// Replicas that broke.
    pub failures: u64,
    /// Replicas whose devices were taken away.
    pub lost: u64,
    /// By job.
    pub jobs: Vec<OfJob>,
    /// By tier.
    pub tiers: Vec<OfJob>,
    /// By kind of instance.
    pub kinds: Vec<OfKind>,
    /// Over time.
    pub epochs: Vec<Epoch>,
}

/// Watts × microseconds in watt-hours, replicas × microseconds in replica-hours.
pub fn by_hour(sum: f64) -> f64 {
    sum / HOUR as f64
}

/// Counts of a job while the simulation goes on.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs that arrived.
    pub arrived: u64,
    /// Runs above the limit.
    pub late: u64,
    /// Runs above it that have not ended.
    pub late_in_flight: u64,
    /// Runs that have not ended.
    pub in_flight: u64,
    /// Planned quality, summed over arrivals.
    pub quality: f64,
    /// Times of runs that ended, microseconds.
    pub times: Sketch,
    /// Providers' charges, dollars.
    pub fees: f64,
}

impl Tally {
    /// A run ends.
    pub fn ended(&mut self, took: Micros, late: bool) {
        self.times.add(took as f64);
        self.late += u64::from(late);
    }

    /// Another's runs as well.
    pub fn join(&mut self, other: &Tally) {
        self.arrived += other.arrived;
        self.late += other.late;
        self.late_in_flight += other.late_in_flight;
        self.in_flight += other.in_flight;
        self.quality += other.quality;
        self.times.join(&other.times);
        self.fees += other.fees;
    }

    /// The figures.
    pub fn runs(&self) -> Runs {
        let (done, late) = (self.times.count(), self.late + self.late_in_flight);
        let share = |part: f64, of: u64| if of == 0 { 0.0 } else { part / of as f64 };
        Runs {
            arrived: self.arrived,
            done,
            in_flight: self.in_flight,
            late,
            late_share: share(late as f64, done + self.late_in_flight),
            latency: Latency::of(&self.times),
            quality: share(self.quality, self.arrived),
        }
    }
}
