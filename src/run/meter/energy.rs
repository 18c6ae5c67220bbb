//! Energy counters of devices, and who used these -> joules of each step, and of nobody.
//!
//! A counter tells neither processes nor steps apart. It is read whenever a call begins or ends, and what it rose by since belongs to those
//! that held the device in between: of a processor, the share of its cores that they hold, and the rest to nobody; of a GPU, all of it,
//! in equal parts. What a device takes while nobody holds it is stated apart.

use crate::ir::workflow::StepId;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Seconds within which a counter is not read again: processors' move about once a millisecond, and reading them takes longer than a brief
/// call does.
const LEAST_S: f64 = 0.001;

/// Joules since some moment; none where it cannot be read any more.
pub type Counter = Box<dyn Fn() -> Option<f64>>;

/// The energy of a device during a run, watt-hours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceEnergy {
    /// `cpu`, or a GPU's UUID.
    pub device: String,
    /// All of it.
    pub total_wh: f64,
    /// What the steps of the run get.
    pub steps_wh: f64,
    /// What is nobody's: the device at rest, cores that no step held, other programs.
    pub idle_wh: f64,
    /// Its mean power while no step held it, watts; none where that was never so.
    pub idle_w: Option<f64>,
}

struct Device {
    name: String,
    /// What it is called, in lower case: a step's kind of device is a part of that.
    kind: String,
    counter: Counter,
    /// Cores; none for a device that has no parts.
    cores: Option<u32>,
    last: Option<f64>,
    at: f64,
    /// Parts that steps hold, over all their calls.
    held: BTreeMap<StepId, u32>,
    joules: BTreeMap<StepId, f64>,
    total: f64,
    rest: f64,
    rest_s: f64,
    /// Joules and seconds with nobody there.
    alone: f64,
}

impl Device {
    /// Distributes what the counter rose by since it was read last.
    fn tick(&mut self, now: f64) {
        if now - self.at < LEAST_S {
            return;
        }
        let read = (self.counter)();
        let (from, since) = (self.last, now - self.at);
        (self.last, self.at) = (read, now);
        let Some(rose) = read.zip(from).map(|(to, from)| to - from).filter(|j| *j >= 0.0) else { return };
        self.total += rose;
        let holding: u32 = self.held.values().sum();
        if holding == 0 {
            self.alone += rose;
            self.rest += rose;
            self.rest_s += since;
            return;
        }
        let parts = self.cores.unwrap_or(0).max(holding);
        for (step, held) in &self.held {
            *self.joules.entry(*step).or_default() += rose * f64::from(*held) / f64::from(parts);
        }
        self.rest += rose * f64::from(parts - holding) / f64::from(parts);
    }
}

/// The energy counters of a machine during a run.
#[derive(Default)]
pub struct Energy(RefCell<Vec<Device>>);

/// Which devices a call holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held(Vec<(usize, u32)>);

impl Energy {
    /// Adds a device; counted from now on.
    pub fn add(&self, name: &str, kind: &str, cores: Option<u32>, counter: Counter, now: f64) {
        let last = counter();
        if last.is_none() {
            return;
        }
        self.0.borrow_mut().push(Device {
            name: name.to_owned(),
            kind: kind.to_lowercase(),
            counter,
            cores,
            last,
            at: now,
            held: BTreeMap::new(),
            joules: BTreeMap::new(),
            total: 0.0,
            rest: 0.0,
            rest_s: 0.0,
            alone: 0.0,
        });
    }

    /// A call of a step begins: on these devices, or on whatever there is of a kind.
    pub fn begin(&self, step: StepId, kind: &str, units: u32, on: Option<&[String]>, now: f64) -> Held {
        let mut held = Vec::new();
        for (at, device) in self.0.borrow_mut().iter_mut().enumerate() {
            let its = match on {
                Some(devices) => devices.contains(&device.name),
                None => device.kind.contains(kind),
            };
            if its {
                device.tick(now);
                let parts = device.cores.map_or(1, |cores| units.clamp(1, cores.max(1)));
                *device.held.entry(step).or_default() += parts;
                held.push((at, parts));
            }
        }
        Held(held)
    }

    /// It ended.
    pub fn end(&self, step: StepId, held: &Held, now: f64) {
        let mut devices = self.0.borrow_mut();
        for (at, parts) in &held.0 {
            let Some(device) = devices.get_mut(*at) else { continue };
            device.tick(now);
            if let Some(all) = device.held.get_mut(&step) {
                *all = all.saturating_sub(*parts);
            }
            device.held.retain(|_, parts| *parts > 0);
        }
    }

    /// Joules of a step so far; none where no counter was read for it.
    pub fn joules(&self, step: StepId) -> Option<f64> {
        let devices = self.0.borrow();
        let mut known = devices.iter().filter_map(|d| d.joules.get(&step).filter(|_| d.last.is_some()));
        let first = known.next()?;
        Some(first + known.sum::<f64>())
    }

    /// What each device took until now.
    pub fn devices(&self, now: f64) -> Vec<DeviceEnergy> {
        let wh = |joules: f64| joules / 3600.0;
        let mut devices = self.0.borrow_mut();
        let taken = devices.iter_mut().map(|d| {
            d.tick(now);
            DeviceEnergy {
                device: d.name.clone(),
                total_wh: wh(d.total),
                steps_wh: wh(d.joules.values().sum()),
                idle_wh: wh(d.rest),
                idle_w: (d.rest_s > 0.0).then(|| d.alone / d.rest_s),
            }
        });
        taken.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::rc::Rc;

    fn counter(joules: &Rc<Cell<f64>>) -> Counter {
        let joules = joules.clone();
        Box::new(move || Some(joules.get()).filter(|j| j.is_finite()))
    }

    #[test]
    fn what_a_counter_rises_by_is_parted_among_those_who_hold_the_device() {
        let (energy, cpu, gpu) = (Energy::default(), Rc::new(Cell::new(5.0)), Rc::new(Cell::new(0.0)));
        energy.add("cpu", "cpu", Some(4), counter(&cpu), 0.0);
        energy.add("GPU-1", "NVIDIA H100", None, counter(&gpu), 0.0);
        let (a, b) = (StepId(0), StepId(1));
        // Two seconds with nobody: 20 W.
        cpu.set(45.0);
        let first = energy.begin(a, "cpu", 1, None, 2.0);
        cpu.set(85.0);
        let second = energy.begin(b, "cpu", 2, None, 3.0);
        cpu.set(125.0);
        energy.end(a, &first, 4.0);
        cpu.set(165.0);
        energy.end(b, &second, 5.0);
        assert_eq!((energy.joules(a), energy.joules(b)), (Some(20.0), Some(40.0)));
        let on = ["GPU-1".to_owned()];
        let both = [energy.begin(a, "h100", 1, Some(&on), 5.0), energy.begin(b, "h100", 1, None, 5.0)];
        gpu.set(60.0);
        both.iter().zip([a, b]).for_each(|(held, step)| energy.end(step, held, 6.0));
        assert_eq!((energy.joules(a), energy.joules(b)), (Some(50.0), Some(70.0)));
        let devices = energy.devices(7.0);
        assert_eq!(devices[0].device, "cpu");
        assert_eq!((devices[0].total_wh * 3600.0, devices[0].idle_wh * 3600.0), (160.0, 100.0));
        assert_eq!((devices[0].idle_w, devices[1].idle_w), (Some(10.0), Some(0.0)));
        // Elsewhere, and on what has no counter, nothing is known.
        let none = energy.begin(StepId(7), "l4", 1, None, 7.0);
        energy.end(StepId(7), &none, 8.0);
        assert_eq!(energy.joules(StepId(7)), None);
        // A counter that goes away tells nothing of what was in between.
        gpu.set(f64::NAN);
        let held = energy.begin(a, "h100", 1, None, 9.0);
        energy.end(a, &held, 10.0);
        assert_eq!(energy.joules(b), Some(40.0));
    }

    proptest! {
        /// Whoever comes and goes, the parts and the rest are the whole.
        #[test]
        fn nothing_is_lost_and_nothing_counted_twice(
            steps in prop::collection::vec((0..4_u32, 1..6_u32, any::<bool>(), 0.0..50.0_f64), 1..40)
        ) {
            let (energy, joules) = (Energy::default(), Rc::new(Cell::new(0.0)));
            energy.add("cpu", "cpu", Some(4), counter(&joules), 0.0);
            let mut open: Vec<(StepId, Held)> = Vec::new();
            for (now, (step, units, end, rise)) in steps.into_iter().enumerate() {
                joules.set(joules.get() + rise);
                match open.pop().filter(|_| end) {
                    Some((step, held)) => energy.end(step, &held, now as f64),
                    None => open.push((StepId(step), energy.begin(StepId(step), "cpu", units, None, now as f64))),
                }
            }
            let device = &energy.devices(100.0)[0];
            prop_assert!((device.total_wh * 3600.0 - joules.get()).abs() < 1e-6);
            prop_assert!((device.steps_wh + device.idle_wh - device.total_wh).abs() < 1e-9);
        }
    }
}
