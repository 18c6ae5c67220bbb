//! Jobs + arrivals + a policy → an [`Outcome`]: the simulation itself.
//!
//! One heap of events in integer time, ties in the order in which they were announced. Draws (whether one more call is made, how long a
//! call takes) hang on the seed and the number of the run, so that all policies see the same work.

mod books;
mod switch;

use self::books::Books;
use super::arrivals::Arrival;
use super::change::Change;
use super::measure::Outcome;
use super::model::{Deployment, Job, Pool, Tier, To};
use super::policy::{Policy, Seen};
use super::station::{Call, End, Station};
use super::{Micros, SECOND};
use crate::bench::rng::Rng;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// A step's calls in one run are carried out in at most so many pieces, one after the other where there are more calls.
const PIECES: u32 = 64;

/// How long calls take about the time that is planned for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Just as long, for a run's sizes.
    Planned,
    /// Exponentially distributed about it.
    Exponential,
}

/// What a simulation is made under.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When arrivals end.
    pub end: Micros,
    /// How long runs that are open then may go on.
    pub drain: Micros,
    /// The length of the stretches that figures are given for.
    pub epoch: Micros,
    /// The length of the windows in which arrivals are counted for policies.
    pub window: Micros,
    /// What draws hang on.
    pub seed: u64,
    /// How long calls take.
    pub service: Service,
    /// Mean time between failures of a replica.
    pub mtbf: Option<Micros>,
    /// The devices.
    pub pools: Vec<Pool>,
    /// What happens to them, in order of time.
    pub changes: Vec<Change>,
    /// Jobs whose figures are also wanted together.
    pub tiers: Vec<Tier>,
    /// How many blocks of prefixes a replica keeps.
    pub prefix_blocks: usize,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A replica's next call ends, if nothing has changed.
    End { station: u32, replica: u32, version: u32 },
    /// A provider answers.
    Reply { run: u32, step: u16 },
    /// A replica has started.
    Ready { station: u32, replica: u32, life: u32 },
    /// A replica breaks.
    Fail { station: u32, replica: u32, life: u32 },
    /// The policy is asked.
    Ask,
    /// A stretch of time ends.
    Epoch,
    /// A pool changes: the place among the settings' changes.
    Change(u32),
}

/// A run under way.
#[derive(Clone, Debug, Default)]
struct Run {
    job: u32,
    number: u64,
    arrived: Micros,
    input: f32,
    output: f32,
    prefix: Option<Rc<[u64]>>,
    left: u16,
    steps: Vec<Progress>,
}

/// A step of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    waits: u16,
    /// Pieces that are still to be sent.
    unsent: u32,
    /// Pieces that have not ended.
    left: u32,
    /// Calls in a piece.
    share: f32,
}

/// The fleet, in the middle of it.
struct Fleet<'a> {
    settings: &'a Settings,
    jobs: &'a [Job],
    now: Micros,
    heap: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    announced: u64,
    stations: Vec<Option<Station>>,
    /// As they are now.
    pools: Vec<Pool>,
    /// Units that nobody holds, by pool.
    free: Vec<i64>,
    gpus: i64,
    /// By provider's account: when it has taken all that was sent, at the pace of its limit.
    accounts: Vec<Micros>,
    current: Rc<Deployment>,
    next: Option<Rc<Deployment>>,
    runs: Vec<Run>,
    unused: Vec<u32>,
    breaks: Rng,
    books: Books,
    /// Kept to spare allocations.
    ends: Vec<End>,
}

/// Simulates. Arrivals must come in order of time.
pub fn simulate(
    settings: &Settings,
    jobs: &[Job],
    arrivals: &mut dyn Iterator<Item = Result<Arrival, String>>,
    policy: &mut dyn Policy,
) -> Result<Outcome, String> {
    let first = policy.start()?;
    let mut fleet = Fleet {
        settings,
        jobs,
        now: 0,
        heap: BinaryHeap::new(),
        announced: 0,
        stations: Vec::new(),
        pools: settings.pools.clone(),
        free: settings.pools.iter().map(|pool| pool.units).collect(),
        gpus: 0,
        accounts: Vec::new(),
        current: first.clone(),
        next: None,
        runs: Vec::new(),
        unused: Vec::new(),
        breaks: Rng(settings.seed ^ 0xFA11),
        books: Books::new(jobs.len()),
        ends: Vec::new(),
    };
    fleet.boot(&first)?;
    let asked = policy.asked();
    if let Some((first, _)) = asked {
        fleet.announce(first, Event::Ask);
    }
    fleet.announce(settings.epoch.min(settings.end), Event::Epoch);
    for (place, change) in settings.changes.iter().enumerate() {
        fleet.announce(change.at, Event::Change(place as u32));
    }
    let (mut number, until) = (0, settings.end + settings.drain);
    let mut arrival = arrivals.next().transpose()?;
    loop {
        let next = fleet.heap.peek().map(|Reverse((at, ..))| *at);
        // What ends at the moment at which something arrives makes room for it.
        if let Some(came) = &arrival
            && came.at < settings.end
            && next.is_none_or(|next| came.at < next)
        {
            fleet.now = came.at;
            fleet.arrive(came, number);
            number += 1;
            arrival = arrivals.next().transpose()?;
            continue;
        }
        let Some(Reverse((at, _, event))) = fleet.heap.pop() else { break };
        if at > until || at > settings.end && fleet.open() == 0 {
            break;
        }
        fleet.now = at;
        match event {
            Event::Ask => {
                if let Some((_, every)) = asked.filter(|(_, every)| *every > 0) {
                    fleet.announce(at + every, Event::Ask);
                }
                let demand = fleet.demand();
                let ordered = policy.at(&fleet.seen(&demand))?;
                fleet.follow(ordered)?;
            }
            Event::Change(place) => {
                fleet.change(&settings.changes[place as usize]);
                // What happens at one moment is one change.
                let more = settings.changes.get(place as usize + 1).is_some_and(|next| next.at == at);
                if !more {
                    let ordered = policy.changed(&fleet.seen(&[]), &fleet.pools)?;
                    fleet.follow(ordered)?;
                }
            }
            Event::Epoch => {
                // The last stretch goes on for as long as runs that are open may.
                if at == settings.end {
                    if settings.drain == 0 || fleet.open() == 0 {
                        break;
                    }
                    continue;
                }
                fleet.close();
                fleet.announce((at + settings.epoch).min(settings.end), Event::Epoch);
            }
            event => fleet.happen(event),
        }
    }
    let end = if fleet.open() > 0 { until } else { fleet.now.max(settings.end) };
    Ok(fleet.outcome(policy.name(), end))
}

impl Fleet<'_> {
    /// What a policy sees.
    fn seen<'s>(&'s self, demand: &'s [f64]) -> Seen<'s> {
        Seen { now: self.now, window: self.settings.window, counts: &self.books.counts, demand }
    }

    /// Runs that have not ended.
    fn open(&self) -> usize {
        self.runs.len() - self.unused.len()
    }

    /// Does what a policy says, if it says something.
    fn follow(&mut self, ordered: Option<Rc<Deployment>>) -> Result<(), String> {
        let Some(ordered) = ordered else { return Ok(()) };
        self.books.changes += 1;
        self.order(ordered)
    }

    fn announce(&mut self, at: Micros, event: Event) {
        self.heap.push(Reverse((at, self.announced, event)));
        self.announced += 1;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::End { station, replica, version } => {
                let (mut done, mut ends) = (Vec::new(), std::mem::take(&mut self.ends));
                let now = self.now;
                let Some(of) = self.stations[station as usize].as_mut() else { return };
                let released = of.finish(now, (replica, version), &mut done, &mut ends);
                done.iter().for_each(|call| of.by_job[self.runs[call.run as usize].job as usize] += call.work);
                self.ends = ends;
                self.announce_ends(station);
                if released {
                    self.give_back(station as usize, 1);
                }
                for call in done {
                    self.piece_ended(call.run, call.step);
                }
                self.fill(station);
            }
            Event::Reply { run, step } => self.piece_ended(run, step),
            Event::Ready { station, replica, life } => self.ready(station, replica, life),
            Event::Fail { station, replica, life } => self.fail(station, replica, life),
            Event::Ask | Event::Epoch | Event::Change(_) => {}
        }
    }

    /// Starts what waits at a station.
    fn fill(&mut self, station: u32) {
        let now = self.now;
        let mut ends = std::mem::take(&mut self.ends);
        if let Some(of) = self.stations[station as usize].as_mut() {
            let runs = &self.runs;
            of.fill(now, &|run| runs[run as usize].prefix.as_deref(), &mut ends);
        }
        self.ends = ends;
        self.announce_ends(station);
    }

    fn announce_ends(&mut self, station: u32) {
        let mut ends = std::mem::take(&mut self.ends);
        // An end that later ones of the same replica replace is not worth an event.
        for (at, (when, replica, version)) in ends.iter().enumerate() {
            if ends[at + 1..].first().is_none_or(|(_, other, _)| other != replica) {
                self.announce(*when, Event::End { station, replica: *replica, version: *version });
            }
        }
        ends.clear();
        self.ends = ends;
    }

    fn arrive(&mut self, came: &Arrival, number: u64) {
        let jobs = self.jobs;
        let job = &jobs[came.job];
        let quality = self.current.jobs[came.job].quality;
        self.books.arrived(came.job, quality, self.now, self.settings.window);
        let place = self.unused.pop().unwrap_or_else(|| {
            self.runs.push(Run::default());
            self.runs.len() as u32 - 1
        });
        let run = &mut self.runs[place as usize];
        (run.job, run.number, run.arrived) = (came.job as u32, number, self.now);
        (run.input, run.output, run.left) = (came.input, came.output, job.waits.len() as u16);
        run.prefix.clone_from(&came.prefix);
        run.steps.clear();
        run.steps.extend(job.waits.iter().map(|waits| Progress { waits: *waits, ..Progress::default() }));
        if run.left == 0 {
            self.run_ended(place);
        }
        for step in (0..job.waits.len()).filter(|step| job.waits[*step] == 0) {
            self.step_begins(place, step as u16);
        }
    }

    fn step_begins(&mut self, run: u32, step: u16) {
        let of = &self.runs[run as usize];
        let route = &self.current.jobs[of.job as usize].routes[usize::from(step)];
        let whole = route.calls.floor();
        let one_more = route.calls > whole && self.draw(of.number, step, u32::MAX) < route.calls - whole;
        let calls = whole as u64 + u64::from(one_more);
        if calls == 0 {
            return self.step_ended(run, step);
        }
        let pieces = calls.min(u64::from(PIECES)) as u32;
        let window = route.window.clamp(1, pieces);
        let progress = &mut self.runs[run as usize].steps[usize::from(step)];
        (progress.unsent, progress.left) = (pieces, pieces);
        progress.share = calls as f32 / pieces as f32;
        (0..window).for_each(|_| self.send(run, step));
    }

    /// A number from 0 up to 1 that only the seed, the run, its step and the piece decide.
    fn draw(&self, number: u64, step: u16, piece: u32) -> f64 {
        let place = number.wrapping_mul(0xD134_2543_DE82_EF95) ^ (u64::from(step) << 48) ^ (u64::from(piece) << 16);
        let mut rng = Rng(self.settings.seed ^ place);
        rng.bits();
        rng.unit()
    }

    /// Sends the next piece of a step.
    fn send(&mut self, run: u32, step: u16) {
        let progress = &mut self.runs[run as usize].steps[usize::from(step)];
        let (piece, share) = (progress.unsent, f64::from(progress.share));
        progress.unsent -= 1;
        let share = match self.settings.service {
            Service::Planned => share,
            Service::Exponential => share * -(1.0 - self.draw(self.runs[run as usize].number, step, piece)).ln(),
        };
        self.dispatch(run, step, share);
    }

    /// Sends calls to whoever carries their step out now.
    fn dispatch(&mut self, run: u32, step: u16, share: f64) {
        let (now, of) = (self.now, &self.runs[run as usize]);
        let route = &self.current.jobs[of.job as usize].routes[usize::from(step)];
        let micros = |seconds: f64| (share * seconds * SECOND as f64).max(0.0);
        let input = micros(route.input_s * f64::from(of.input));
        let work = input + micros(route.fixed_s + route.output_s * f64::from(of.output));
        self.books.tallies[of.job as usize].fees += route.fee_usd * f64::from(of.steps[usize::from(step)].share);
        match route.to {
            To::Kind(id) => {
                if let Some(station) = self.stations[id].as_mut() {
                    station.push(now, Call { run, step, share, work, input, reused: 0.0, sent: now });
                    self.fill(id as u32);
                }
            }
            To::Account { account, share: taken } => {
                if self.accounts.len() <= account {
                    self.accounts.resize(account + 1, 0);
                }
                let calls = f64::from(of.steps[usize::from(step)].share);
                let until = &mut self.accounts[account];
                // What it takes in a second may come at once.
                let begins = now.max(*until - SECOND);
                *until = (*until).max(now) + (taken * calls * SECOND as f64).round() as Micros;
                self.announce(begins + work.round() as Micros, Event::Reply { run, step });
            }
            To::Free => self.announce(now + work.round() as Micros, Event::Reply { run, step }),
        }
    }

    fn piece_ended(&mut self, run: u32, step: u16) {
        let progress = &mut self.runs[run as usize].steps[usize::from(step)];
        progress.left -= 1;
        if progress.unsent > 0 {
            self.send(run, step);
        } else if progress.left == 0 {
            self.step_ended(run, step);
        }
    }

    fn step_ended(&mut self, run: u32, step: u16) {
        let (jobs, of) = (self.jobs, &mut self.runs[run as usize]);
        of.left -= 1;
        let job = &jobs[of.job as usize];
        if of.left == 0 {
            return self.run_ended(run);
        }
        for next in &job.next[usize::from(step)] {
            let waits = &mut self.runs[run as usize].steps[*next].waits;
            *waits -= 1;
            if *waits == 0 {
                self.step_begins(run, *next as u16);
            }
        }
    }

    fn run_ended(&mut self, run: u32) {
        let of = &self.runs[run as usize];
        let (job, took) = (of.job as usize, self.now - of.arrived);
        let late = self.jobs[job].limit.as_ref().is_some_and(|limit| took > limit.time);
        self.books.ended(job, took, late);
        self.unused.push(run);
    }
}
