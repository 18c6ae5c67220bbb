//! What is written down while a simulation goes on, and the figures that this makes.

use super::Fleet;
use crate::simulate::measure::{Epoch, Latency, OfJob, OfKind, Outcome, Spent, Tally, by_hour};
use crate::simulate::sketch::Sketch;
use crate::simulate::station::{Station, Totals};
use crate::simulate::{Micros, hours, seconds};

/// The books.
pub(super) struct Books {
    /// By job.
    pub tallies: Vec<Tally>,
    /// By window of arrivals and job: how many.
    pub counts: Vec<Vec<u32>>,
    /// GPUs held at most, since the epoch began.
    pub gpus_peak: i64,
    /// Deployments ordered.
    pub changes: u64,
    /// Replicas that broke.
    pub failures: u64,
    /// Replicas whose devices were taken away.
    pub lost: u64,
    epochs: Vec<Epoch>,
    /// When the epoch began, and what there was then.
    from: Micros,
    before: Before,
    /// Of the epoch.
    arrived: u64,
    late: u64,
    times: Sketch,
    /// When the policy was asked last, and the work sent to each station up to then.
    asked: (Micros, Vec<f64>),
}

/// Sums up to when an epoch began.
#[derive(Default)]
struct Before {
    totals: Vec<Totals>,
    fees: f64,
}

impl Books {
    pub fn new(jobs: usize) -> Books {
        Books {
            tallies: vec![Tally::default(); jobs],
            counts: Vec::new(),
            gpus_peak: 0,
            changes: 0,
            failures: 0,
            lost: 0,
            epochs: Vec::new(),
            from: 0,
            before: Before::default(),
            arrived: 0,
            late: 0,
            times: Sketch::default(),
            asked: (0, Vec::new()),
        }
    }

    pub fn arrived(&mut self, job: usize, quality: f64, now: Micros, window: Micros) {
        self.tallies[job].arrived += 1;
        self.tallies[job].quality += quality;
        self.arrived += 1;
        let at = (now / window) as usize;
        let jobs = self.tallies.len();
        if self.counts.len() <= at {
            self.counts.resize_with(at + 1, || vec![0; jobs]);
        }
        self.counts[at][job] += 1;
    }

    pub fn ended(&mut self, job: usize, took: Micros, late: bool) {
        self.tallies[job].ended(took, late);
        self.times.add(took as f64);
        self.late += u64::from(late);
    }
}

/// What a station spent between two readings of its totals.
fn spent(station: &Station, gpu: bool, now: &Totals, before: &Totals) -> Spent {
    let held = by_hour(now.held - before.held);
    Spent {
        gpu_hours: if gpu { held * station.kind.units as f64 } else { 0.0 },
        cost_usd: by_hour(now.paid - before.paid),
        fees_usd: 0.0,
        busy_wh: by_hour(now.busy_energy - before.busy_energy),
        idle_wh: by_hour(now.idle_energy - before.idle_energy),
    }
}

fn add(to: &mut Spent, more: &Spent, share: f64) {
    to.gpu_hours += more.gpu_hours * share;
    to.cost_usd += more.cost_usd * share;
    to.fees_usd += more.fees_usd * share;
    to.busy_wh += more.busy_wh * share;
    to.idle_wh += more.idle_wh * share;
}

impl Fleet<'_> {
    /// By kind: the work that was sent since this was asked last, in calls under way all the time.
    pub(super) fn demand(&mut self) -> Vec<f64> {
        let (since, former) = &self.books.asked;
        let passed = (self.now - since).max(1) as f64;
        let offered =
            self.stations.iter().map(|station| station.as_ref().map_or(0.0, |station| station.totals.offered));
        let sums: Vec<f64> = offered.collect();
        let demand = sums.iter().enumerate().map(|(id, sum)| (sum - former.get(id).copied().unwrap_or(0.0)) / passed);
        let demand = demand.collect();
        self.books.asked = (self.now, sums);
        demand
    }

    /// Closes the epoch that ends now.
    pub(super) fn close(&mut self) {
        let now = self.now;
        let Fleet { stations, books, pools, gpus, .. } = self;
        let passed = (now - books.from) as f64;
        if passed <= 0.0 {
            return;
        }
        let mut spent_in = Spent::default();
        let (mut held, mut busy) = (0.0, 0.0);
        let mut totals = Vec::with_capacity(stations.len());
        for (id, station) in stations.iter_mut().enumerate() {
            let Some(station) = station else {
                totals.push(Totals::default());
                continue;
            };
            station.account(now);
            let before = books.before.totals.get(id).copied().unwrap_or_default();
            add(&mut spent_in, &spent(station, pools[station.kind.pool].gpu, &station.totals, &before), 1.0);
            held += station.totals.held - before.held;
            busy += station.totals.busy - before.busy;
            totals.push(station.totals);
        }
        let fees: f64 = books.tallies.iter().map(|tally| tally.fees).sum();
        spent_in.fees_usd = fees - books.before.fees;
        spent_in.cost_usd += spent_in.fees_usd;
        books.epochs.push(Epoch {
            from_h: hours(books.from),
            hours: hours(now - books.from),
            load: books.arrived as f64 / seconds(now - books.from),
            done: books.times.count(),
            late: books.late,
            latency: Latency::of(&books.times),
            replicas: held / passed,
            gpus: spent_in.gpu_hours / hours(now - books.from),
            gpus_peak: books.gpus_peak,
            busy: if held > 0.0 { busy / held } else { 0.0 },
            spent: spent_in,
        });
        books.before = Before { totals, fees };
        (books.from, books.arrived, books.late, books.times) = (now, 0, 0, Sketch::default());
        books.gpus_peak = *gpus;
    }

    /// The figures of all of it, up to a moment.
    pub(super) fn outcome(mut self, policy: &str, end: Micros) -> Outcome {
        self.now = end;
        self.close();
        let mut there = vec![true; self.runs.len()];
        self.unused.iter().for_each(|place| there[*place as usize] = false);
        for (run, _) in self.runs.iter().zip(there).filter(|(_, there)| *there) {
            let tally = &mut self.books.tallies[run.job as usize];
            tally.in_flight += 1;
            let limit = self.jobs[run.job as usize].limit.as_ref();
            tally.late_in_flight += u64::from(limit.is_some_and(|limit| end - run.arrived > limit.time));
        }
        let mut of_jobs = vec![Spent::default(); self.jobs.len()];
        let (mut kinds, mut all) = (Vec::new(), Spent::default());
        let (mut held, mut busy) = (0.0, 0.0);
        let (mut input, mut reused) = (0.0, 0.0);
        for station in self.stations.iter().flatten() {
            let gpu = self.pools[station.kind.pool].gpu;
            let (totals, spent) = (&station.totals, spent(station, gpu, &station.totals, &Totals::default()));
            add(&mut all, &spent, 1.0);
            let work: f64 = station.by_job.iter().sum();
            for (job, own) in of_jobs.iter_mut().zip(&station.by_job).filter(|_| work > 0.0) {
                add(job, &spent, own / work);
            }
            held += totals.held;
            busy += totals.busy;
            input += totals.input;
            reused += totals.reused;
            let ratio = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
            kinds.push(OfKind {
                kind: station.kind.name.clone(),
                replicas: totals.held / end as f64,
                busy: ratio(totals.busy, totals.held),
                batch: ratio(totals.running, totals.busy),
                calls: totals.started,
                waited_s: ratio(totals.waited / 1e6, totals.started as f64),
            });
        }
        let mut whole = Tally::default();
        let mut jobs = Vec::new();
        for ((job, tally), mut spent) in self.jobs.iter().zip(&self.books.tallies).zip(of_jobs) {
            whole.join(tally);
            spent.fees_usd = tally.fees;
            spent.cost_usd += tally.fees;
            let limit = job.limit.as_ref();
            jobs.push(OfJob {
                job: job.name.clone(),
                limit: limit.map(|limit| limit.text.clone()),
                allowed: limit.map_or(1.0, |limit| limit.allowed),
                runs: tally.runs(),
                spent,
            });
        }
        let tiers = self.settings.tiers.iter().map(|tier| {
            let (mut tally, mut spent) = (Tally::default(), Spent::default());
            for job in &tier.jobs {
                tally.join(&self.books.tallies[*job]);
                add(&mut spent, &jobs[*job].spent, 1.0);
            }
            let (job, runs) = (format!("tier {}", tier.name), tally.runs());
            OfJob { job, limit: None, allowed: 1.0, runs, spent }
        });
        let tiers = tiers.collect();
        all.fees_usd = whole.fees;
        all.cost_usd += whole.fees;
        Outcome {
            policy: policy.to_string(),
            hours: hours(end),
            runs: whole.runs(),
            spent: all,
            gpus_mean: all.gpu_hours / hours(end),
            gpus_peak: self.books.epochs.iter().map(|epoch| epoch.gpus_peak).max().unwrap_or(0),
            busy: if held > 0.0 { busy / held } else { 0.0 },
            reused: if input > 0.0 { reused / input } else { 0.0 },
            changes: self.books.changes,
            failures: self.books.failures,
            lost: self.books.lost,
            jobs,
            tiers,
            kinds,
            epochs: self.books.epochs,
        }
    }
}
