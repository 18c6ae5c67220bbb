//! One kind of instance over time: its replicas, the queue in front of them, and what they hold, do and draw.
//!
//! The calls on a replica share its pace: each goes on by [`Pace::speed`](super::model::Pace) of its work in a second, which depends on how
//! many there are. A clock of work that is done on a replica then says who is next to finish, whoever comes and goes meanwhile.

use super::Micros;
use super::model::Kind;
use super::prefix::{Cache, Prefixes};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// What rounding may leave of a call's work, in microseconds.
const NOTHING: f64 = 1e-3;

/// Calls of one step of one run that are carried out one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// The run.
    pub run: u32,
    /// Its step.
    pub step: u16,
    /// How many calls, each times what its service is drawn to be.
    pub share: f64,
    /// Microseconds of work, at the pace with as many calls as a replica takes.
    pub work: f64,
    /// What of it is for reading what goes in, before anything of it was reused.
    pub input: f64,
    /// What is no longer in it, since the replica had read it before.
    pub reused: f64,
    /// When it was sent.
    pub sent: Micros,
}

/// Sums over time, of all replicas; times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Replicas × time held, from when one is asked for until it is given back.
    pub held: f64,
    /// What that costs, in dollars an hour × time.
    pub paid: f64,
    /// Replicas × time with at least one call.
    pub busy: f64,
    /// Calls under way × time.
    pub running: f64,
    /// Calls in the queue × time.
    pub queued: f64,
    /// Work for reading what goes in, of calls that were started, and what of it was reused.
    pub input: f64,
    /// See `input`.
    pub reused: f64,
    /// Work that was sent, at the pace with as many calls as a replica takes.
    pub offered: f64,
    /// Watts × time while busy.
    pub busy_energy: f64,
    /// Watts × time with nothing to do.
    pub idle_energy: f64,
    /// Calls that were started.
    pub started: u64,
    /// Their time in the queue.
    pub waited: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Gone,
    Starting,
    Up,
    Draining,
}

#[derive(Clone, Debug)]
struct Replica {
    state: State,
    /// Grows with each start: what was said of an earlier life means nothing.
    life: u32,
    /// Grows with each change of its calls: an announced end of an earlier set means nothing.
    version: u32,
    /// Work done on each call that is there all the time, microseconds.
    clock: f64,
    since: Micros,
    /// With the clock's reading at which each is done.
    running: Vec<(f64, Call)>,
    cache: Cache,
}

/// An announced end: `(when, replica, version)`.
pub type End = (Micros, u32, u32);

/// All replicas of a kind.
pub struct Station {
    /// What they are.
    pub kind: Rc<Kind>,
    /// Calls that wait, in order.
    pub queue: VecDeque<Call>,
    /// Replicas that take calls.
    pub up: i64,
    /// Replicas on their way.
    pub starting: i64,
    /// Replicas that finish what they have.
    pub draining: i64,
    /// Replicas that are wanted and for which there are no devices.
    pub pending: i64,
    /// The price of a replica, dollars an hour.
    usd_per_hour: f64,
    /// How many blocks of prefixes a replica keeps.
    blocks: usize,
    /// What came of it so far; up to date after [`Station::account`].
    pub totals: Totals,
    /// Work done by job, microseconds.
    pub by_job: Vec<f64>,
    replicas: Vec<Replica>,
    /// Replicas that are up and have room, with the calls that they have.
    room: BTreeSet<(usize, u32)>,
    gone: BTreeSet<u32>,
    since: Micros,
}

impl Station {
    /// Without replicas; one costs so many dollars an hour, and keeps so many blocks of prefixes.
    pub fn new(kind: Rc<Kind>, jobs: usize, (usd_per_hour, blocks): (f64, usize), now: Micros) -> Station {
        Station {
            kind,
            usd_per_hour,
            blocks,
            queue: VecDeque::new(),
            up: 0,
            starting: 0,
            draining: 0,
            pending: 0,
            totals: Totals::default(),
            by_job: vec![0.0; jobs],
            replicas: Vec::new(),
            room: BTreeSet::new(),
            gone: BTreeSet::new(),
            since: now,
        }
    }

    /// How many devices of a pool its replicas hold.
    pub fn holds(&self, pool: usize) -> i64 {
        if self.kind.pool == pool { self.held() * self.kind.units } else { 0 }
    }

    /// Replicas that hold devices.
    pub fn held(&self) -> i64 {
        self.up + self.starting + self.draining
    }

    /// Brings all sums up to date.
    pub fn account(&mut self, now: Micros) {
        self.count(now);
        let Station { kind, replicas, totals, .. } = self;
        replicas.iter_mut().for_each(|replica| replica.pass(kind, totals, now));
    }

    /// Brings what is counted by the kind up to date; to be called before anything of it changes.
    fn count(&mut self, now: Micros) {
        let passed = (now - self.since) as f64;
        self.since = now;
        self.totals.held += self.held() as f64 * passed;
        self.totals.paid += self.held() as f64 * passed * self.usd_per_hour;
        self.totals.queued += self.queue.len() as f64 * passed;
    }

    /// A replica costs so many dollars an hour from now on.
    pub fn priced(&mut self, now: Micros, usd_per_hour: f64) {
        self.count(now);
        self.usd_per_hour = usd_per_hour;
    }

    /// A call arrives.
    pub fn push(&mut self, now: Micros, call: Call) {
        self.count(now);
        self.totals.offered += call.work;
        self.queue.push_back(call);
    }

    /// Takes every call out of the queue.
    pub fn empty(&mut self, now: Micros) -> Vec<Call> {
        self.count(now);
        self.queue.drain(..).collect()
    }

    /// A replica begins to start; its place and life.
    pub fn start(&mut self, now: Micros) -> (u32, u32) {
        self.count(now);
        self.starting += 1;
        let place = self.gone.pop_first().unwrap_or_else(|| {
            self.replicas.push(Replica::gone(now));
            self.replicas.len() as u32 - 1
        });
        let replica = &mut self.replicas[place as usize];
        (replica.state, replica.since) = (State::Starting, now);
        replica.cache = Cache::of(self.blocks);
        replica.life += 1;
        (place, replica.life)
    }

    /// A replica that started takes calls; false where it is no longer wanted.
    pub fn ready(&mut self, now: Micros, place: u32, life: u32) -> bool {
        self.count(now);
        let replica = &mut self.replicas[place as usize];
        if replica.life != life || replica.state != State::Starting {
            return false;
        }
        replica.pass(&self.kind, &mut self.totals, now);
        replica.state = State::Up;
        (self.starting, self.up) = (self.starting - 1, self.up + 1);
        self.room.insert((0, place));
        true
    }

    /// Gives a replica up: one that starts, else the one with the fewest calls, which it still finishes. True where its devices are free.
    pub fn stop(&mut self, now: Micros) -> bool {
        self.count(now);
        let last = |state: State, all: &[Replica]| all.iter().rposition(|replica| replica.state == state);
        if self.starting > 0
            && let Some(place) = last(State::Starting, &self.replicas)
        {
            self.starting -= 1;
            self.release(now, place);
            return true;
        }
        let place = self.room.first().map(|(_, place)| *place as usize).or_else(|| last(State::Up, &self.replicas));
        let Some(place) = place else { return false };
        let calls = self.replicas[place].running.len();
        self.room.remove(&(calls, place as u32));
        self.up -= 1;
        if calls == 0 {
            self.release(now, place);
            return true;
        }
        self.draining += 1;
        self.replicas[place].state = State::Draining;
        false
    }

    fn release(&mut self, now: Micros, place: usize) {
        self.replicas[place].pass(&self.kind, &mut self.totals, now);
        self.replicas[place].state = State::Gone;
        self.gone.insert(place as u32);
    }

    /// The devices of a replica are taken away, of the one at this place among those that hold some: its calls are first in the queue again.
    /// One that was wanted is waited for from now on.
    pub fn lose(&mut self, now: Micros, nth: usize) {
        self.count(now);
        let mut held = self.replicas.iter_mut().enumerate().filter(|(_, replica)| replica.state != State::Gone);
        let Some((place, replica)) = held.nth(nth) else { return };
        replica.pass(&self.kind, &mut self.totals, now);
        let state = replica.state;
        self.room.remove(&(replica.running.len(), place as u32));
        replica.abandon(now, &mut self.queue);
        // What was announced of this life means nothing to the next one.
        replica.life += 1;
        self.release(now, place);
        match state {
            State::Up => self.up -= 1,
            State::Starting => self.starting -= 1,
            State::Draining => self.draining -= 1,
            State::Gone => {}
        }
        self.pending += i64::from(state != State::Draining);
    }

    /// A replica breaks: its calls are first in the queue again. Says whether it was one, and whether it is to be started anew: its
    /// life then; one that was draining is given up instead.
    pub fn fail(&mut self, now: Micros, place: u32, life: u32) -> Option<Option<u32>> {
        self.count(now);
        let replica = &mut self.replicas[place as usize];
        if replica.life != life || !matches!(replica.state, State::Up | State::Draining) {
            return None;
        }
        replica.pass(&self.kind, &mut self.totals, now);
        self.room.remove(&(replica.running.len(), place));
        replica.abandon(now, &mut self.queue);
        if replica.state == State::Draining {
            self.draining -= 1;
            self.release(now, place as usize);
            return Some(None);
        }
        (self.up, self.starting) = (self.up - 1, self.starting + 1);
        replica.state = State::Starting;
        replica.cache = Cache::of(self.blocks);
        replica.life += 1;
        Some(Some(replica.life))
    }

    /// Starts as many waiting calls as there is room for, on the replicas with the fewest calls; the ends that this announces.
    pub fn fill(&mut self, now: Micros, prefixes: &Prefixes, ends: &mut Vec<End>) {
        if self.queue.is_empty() || self.room.is_empty() {
            return;
        }
        self.count(now);
        let slots = self.kind.pace.len();
        while let Some((calls, place)) = self.room.first().copied() {
            let Some(mut call) = self.queue.pop_front() else { break };
            self.room.pop_first();
            let replica = &mut self.replicas[place as usize];
            replica.pass(&self.kind, &mut self.totals, now);
            if self.blocks > 0
                && let Some(blocks) = prefixes(call.run)
            {
                call.reused = call.input * replica.cache.read(blocks);
                call.work -= call.reused;
            }
            self.totals.input += call.input;
            self.totals.reused += call.reused;
            replica.running.push((replica.clock + call.work, call));
            if calls + 1 < slots {
                self.room.insert((calls + 1, place));
            }
            self.totals.started += 1;
            self.totals.waited += (now - call.sent) as f64;
            ends.extend(replica.announce(&self.kind, now, place));
        }
    }

    /// The announced end of a call: those that are done, and whether the replica's devices are free now.
    pub fn finish(&mut self, now: Micros, end: (u32, u32), done: &mut Vec<Call>, ends: &mut Vec<End>) -> bool {
        let (place, version) = end;
        let replica = &mut self.replicas[place as usize];
        if replica.version != version {
            return false;
        }
        replica.pass(&self.kind, &mut self.totals, now);
        let (before, clock) = (replica.running.len(), replica.clock + NOTHING);
        replica.running.retain(|(end, call)| {
            let over = *end <= clock;
            if over {
                done.push(*call);
            }
            !over
        });
        let left = replica.running.len();
        if left == 0 {
            replica.clock = 0.0;
            replica.version += 1;
        }
        ends.extend(replica.announce(&self.kind, now, place));
        match replica.state {
            State::Draining if left == 0 => {
                self.count(now);
                self.draining -= 1;
                self.release(now, place as usize);
                true
            }
            State::Up => {
                if before < self.kind.pace.len() {
                    self.room.remove(&(before, place));
                }
                if left < self.kind.pace.len() {
                    self.room.insert((left, place));
                }
                false
            }
            _ => false,
        }
    }
}

impl Replica {
    fn gone(now: Micros) -> Replica {
        let (running, cache) = (Vec::new(), Cache::default());
        Replica { state: State::Gone, life: 0, version: 0, clock: 0.0, since: now, running, cache }
    }

    /// Gives its calls up: they are first in the queue again, and begin anew.
    fn abandon(&mut self, now: Micros, queue: &mut VecDeque<Call>) {
        self.version += 1;
        self.clock = 0.0;
        for (_, call) in self.running.drain(..).rev() {
            queue.push_front(Call { sent: now, work: call.work + call.reused, reused: 0.0, ..call });
        }
    }

    /// Time passes.
    fn pass(&mut self, kind: &Kind, totals: &mut Totals, now: Micros) {
        let passed = (now - self.since) as f64;
        self.since = now;
        if self.state == State::Gone || passed == 0.0 {
            return;
        }
        let calls = self.running.len();
        if calls == 0 {
            totals.idle_energy += kind.idle_w * passed;
            return;
        }
        let pace = kind.pace[calls - 1];
        self.clock += pace.speed * passed;
        totals.busy += passed;
        totals.running += calls as f64 * passed;
        totals.busy_energy += pace.watts * passed;
    }

    /// When the next of its calls is done, if nothing changes until then.
    fn announce(&mut self, kind: &Kind, now: Micros, place: u32) -> Option<End> {
        let next = self.running.iter().map(|(end, _)| *end).min_by(f64::total_cmp)?;
        self.version += 1;
        let left = ((next - self.clock - NOTHING) / kind.pace[self.running.len() - 1].speed).ceil().max(0.0);
        Some((now + left as Micros, place, self.version))
    }
}
