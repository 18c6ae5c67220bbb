//! How a fleet becomes another one: replicas start, calls go to new places once these are there, and what is no longer wanted finishes
//! its calls and goes.

use super::{Event, Fleet};
use crate::simulate::change::Change;
use crate::simulate::model::Deployment;
use crate::simulate::station::Station;
use std::rc::Rc;

impl Fleet<'_> {
    /// The fleet that is there at the beginning.
    pub(super) fn boot(&mut self, first: &Rc<Deployment>) -> Result<(), String> {
        self.know(first)?;
        for (pool, held) in self.pools.iter().zip(first.held(self.pools.len())) {
            if held > pool.units {
                return Err(format!("its replicas hold {held} `{}`, and there are {}", pool.name, pool.units));
            }
        }
        for (kind, replicas) in &first.placed {
            for _ in 0..*replicas {
                let begun = self.begin(kind.id);
                if let Some((replica, life)) = begun {
                    self.ready(kind.id as u32, replica, life);
                }
            }
        }
        Ok(())
    }

    /// Another deployment is ordered. What it needs more starts at once. Calls go where it says as soon as all of that is there, or at
    /// once where nothing changes in that, or where devices are lacking that only others can free.
    pub(super) fn order(&mut self, ordered: Rc<Deployment>) -> Result<(), String> {
        if let Some(former) = self.next.take() {
            self.take_over(former);
        }
        self.know(&ordered)?;
        for (kind, replicas) in &ordered.placed {
            if let Some(station) = self.stations[kind.id].as_mut() {
                let there = station.up + station.starting + station.pending;
                station.pending += (replicas - there).max(0);
            }
        }
        self.begin_pending();
        let same = Rc::ptr_eq(&ordered.jobs, &self.current.jobs);
        self.next = Some(ordered);
        self.settle(same);
        Ok(())
    }

    /// Takes the ordered deployment over where the time has come.
    fn settle(&mut self, now: bool) {
        let Some(next) = self.next.clone() else { return };
        let stations = next.placed.iter().filter_map(|(kind, _)| self.stations[kind.id].as_ref());
        let (starting, pending) = stations.fold((0, 0), |sum, s| (sum.0 + s.starting, sum.1 + s.pending));
        if now || starting == 0 || pending > 0 {
            self.next = None;
            self.take_over(next);
        }
    }

    fn take_over(&mut self, next: Rc<Deployment>) {
        let mut wanted = vec![0; self.stations.len()];
        next.placed.iter().for_each(|(kind, replicas)| wanted[kind.id] += replicas);
        self.current = next;
        let mut homeless = Vec::new();
        for (id, wanted) in wanted.iter().enumerate() {
            let now = self.now;
            let Some(station) = self.stations[id].as_mut() else { continue };
            let mut more = station.up + station.starting + station.pending - wanted;
            let pending = more.clamp(0, station.pending);
            station.pending -= pending;
            more -= pending;
            let released = (0..more.max(0)).filter(|_| station.stop(now)).count();
            if *wanted == 0 {
                homeless.extend(station.empty(now));
            }
            self.give_back(id, released as i64);
        }
        for call in homeless {
            self.dispatch(call.run, call.step, call.share);
        }
        self.begin_pending();
    }

    /// Makes the kinds of a deployment known.
    fn know(&mut self, deployment: &Deployment) -> Result<(), String> {
        if deployment.jobs.len() != self.jobs.len() {
            return Err("it does not carry out every job".to_string());
        }
        for (job, carried) in self.jobs.iter().zip(deployment.jobs.iter()) {
            if job.waits.len() != carried.routes.len() {
                return Err(format!("it carries out `{}` in {} steps", job.name, carried.routes.len()));
            }
        }
        for (kind, _) in &deployment.placed {
            if self.stations.len() <= kind.id {
                self.stations.resize_with(kind.id + 1, || None);
            }
            let (jobs, now, price) = (self.jobs.len(), self.now, self.pools[kind.pool].price(kind.units));
            self.stations[kind.id].get_or_insert_with(|| {
                let blocks = self.settings.prefix_blocks;
                Station::new(kind.clone(), jobs, (price, blocks), now)
            });
        }
        Ok(())
    }

    /// A replica begins, where its pool has devices: its place and life.
    fn begin(&mut self, id: usize) -> Option<(u32, u32)> {
        let station = self.stations[id].as_mut()?;
        let (pool, units) = (station.kind.pool, station.kind.units);
        if self.free[pool] < units {
            return None;
        }
        self.free[pool] -= units;
        if self.pools[pool].gpu {
            self.gpus += units;
            self.books.gpus_peak = self.books.gpus_peak.max(self.gpus);
        }
        Some(station.start(self.now))
    }

    /// Starts what waits for devices, as far as there are some.
    fn begin_pending(&mut self) {
        for id in 0..self.stations.len() {
            while self.stations[id].as_ref().is_some_and(|station| station.pending > 0) {
                let Some((replica, life)) = self.begin(id) else { break };
                let Some(station) = self.stations[id].as_mut() else { break };
                station.pending -= 1;
                let ready = self.now + station.kind.start;
                self.announce(ready, Event::Ready { station: id as u32, replica, life });
            }
        }
    }

    /// Replicas of a kind have given their devices back.
    pub(super) fn give_back(&mut self, id: usize, replicas: i64) {
        let Some(station) = self.stations[id].as_ref().filter(|_| replicas > 0) else { return };
        let (pool, units) = (station.kind.pool, station.kind.units * replicas);
        self.free[pool] += units;
        if self.pools[pool].gpu {
            self.gpus -= units;
        }
        if self.next.is_none() {
            self.begin_pending();
        }
    }

    /// A pool changes. A device that is taken away may be one that is held; where more are held than there are left, replicas lose theirs,
    /// whichever it hits.
    pub(super) fn change(&mut self, change: &Change) {
        let held = self.held(change.pool);
        let pool = &mut self.pools[change.pool];
        self.free[change.pool] += change.units - pool.units;
        (pool.units, pool.usd_per_hour) = (change.units, change.usd_per_hour);
        let (now, pool) = (self.now, &self.pools[change.pool]);
        for station in self.stations.iter_mut().flatten().filter(|station| station.kind.pool == change.pool) {
            station.priced(now, pool.price(station.kind.units));
        }
        if let Some(which) = change.taken.filter(|which| *which < held) {
            self.lose(change.pool, which);
        }
        while self.free[change.pool] < 0 {
            let held = self.held(change.pool);
            if held == 0 {
                break;
            }
            let hit = self.breaks.below(held as usize) as i64;
            self.lose(change.pool, hit);
        }
        if self.next.is_none() {
            self.begin_pending();
        }
        self.settle(false);
    }

    /// How many devices of a pool somebody holds.
    fn held(&self, pool: usize) -> i64 {
        self.stations.iter().flatten().map(|station| station.holds(pool)).sum()
    }

    /// One of the devices that somebody holds is gone: the replica with it, and its other devices are free.
    fn lose(&mut self, pool: usize, mut hit: i64) {
        for id in 0..self.stations.len() {
            let Some(station) = self.stations[id].as_mut() else { continue };
            let own = station.holds(pool);
            if hit < own {
                station.lose(self.now, (hit / station.kind.units) as usize);
                self.books.lost += 1;
                self.give_back(id, 1);
                self.elsewhere(id as u32);
                return;
            }
            hit -= own;
        }
    }

    pub(super) fn ready(&mut self, id: u32, replica: u32, life: u32) {
        let now = self.now;
        let Some(station) = self.stations[id as usize].as_mut() else { return };
        if !station.ready(now, replica, life) {
            return;
        }
        if let Some(mean) = self.settings.mtbf {
            let after = -(1.0 - self.breaks.unit()).ln() * mean as f64;
            self.announce(now + after.min(1e17) as i64, Event::Fail { station: id, replica, life });
        }
        self.fill(id);
        self.settle(false);
    }

    pub(super) fn fail(&mut self, id: u32, replica: u32, life: u32) {
        let now = self.now;
        let Some(station) = self.stations[id as usize].as_mut() else { return };
        let (ready, broken) = (now + station.kind.start, station.fail(now, replica, life));
        let Some(again) = broken else { return };
        self.books.failures += 1;
        match again {
            Some(life) => self.announce(ready, Event::Ready { station: id, replica, life }),
            None => self.give_back(id as usize, 1),
        }
        self.elsewhere(id);
    }

    /// The calls of a replica that is gone find room on others of its kind or, where none is left or expected, where their steps are
    /// carried out now.
    fn elsewhere(&mut self, id: u32) {
        self.fill(id);
        let now = self.now;
        let Some(station) = self.stations[id as usize].as_mut() else { return };
        if station.up + station.starting + station.pending == 0 {
            for call in station.empty(now) {
                self.dispatch(call.run, call.step, call.share);
            }
        }
    }
}
