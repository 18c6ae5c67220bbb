//! What this machine does now: how busy its processors and GPUs are, how much memory is in use, what power they draw. What nothing here can
//! tell is absent.

use super::cpu::{POWERCAP, Rapl};
use super::{Gpu, Gpus, inventory, nvml};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a reading is as good as a new one: shares of less time than this are noise.
const FRESH: Duration = Duration::from_millis(500);

/// What a machine does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// The share of the time in which its processors were busy, since the reading before.
    pub cpu_busy: Option<f64>,
    /// Gigabytes of its memory that are in use.
    pub memory_used_gb: Option<f64>,
    /// Watts that its processors drew since the reading before, where the kernel shows their counters.
    pub cpu_power_w: Option<f64>,
    /// Its GPUs, in the driver's order.
    pub gpus: Vec<GpuLoad>,
}

/// What a GPU does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuLoad {
    /// What its driver calls it.
    pub name: String,
    /// The share of the last moment in which something ran on it.
    pub busy: Option<f64>,
    /// Gigabytes of its memory that are in use.
    pub memory_used_gb: Option<f64>,
    /// Gigabytes that it has.
    pub memory_gb: Option<f64>,
    /// Watts that it draws.
    pub power_w: Option<f64>,
    /// Watts that it is kept below.
    pub power_limit_w: Option<f64>,
}

impl Load {
    /// A line for the processors, and one for each GPU; nothing where nothing is known.
    pub fn lines(&self) -> Vec<String> {
        let cpu = GpuLoad {
            name: "processors".to_owned(),
            busy: self.cpu_busy,
            memory_used_gb: self.memory_used_gb,
            power_w: self.cpu_power_w,
            ..GpuLoad::default()
        };
        std::iter::once(&cpu).chain(&self.gpus).filter_map(GpuLoad::line).collect()
    }
}

impl GpuLoad {
    fn line(&self) -> Option<String> {
        let most =
            |most: Option<f64>, digits: usize| most.map(|most| format!(" of {most:.digits$}")).unwrap_or_default();
        let busy = self.busy.map(|busy| format!("{:.0} % busy", busy * 100.0));
        let memory = self.memory_used_gb.map(|used| format!("{used:.1}{} GB in use", most(self.memory_gb, 1)));
        let power = self.power_w.map(|watts| format!("{watts:.0}{} W", most(self.power_limit_w, 0)));
        let all: Vec<String> = [busy, memory, power].into_iter().flatten().collect();
        (!all.is_empty()).then(|| format!("{}: {}", self.name, all.join(", ")))
    }
}

/// Time of all processors since the machine was started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    all: u64,
    idle: u64,
}

impl Ticks {
    /// From the kernel's `/proc/stat`: `cpu user nice system idle iowait irq softirq steal guest guest_nice`, of which the guests' are in the
    /// users' already.
    fn read(stat: &str) -> Option<Ticks> {
        let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let numbers = numbers.map(|n| n.parse::<u64>().ok()).collect::<Option<Vec<u64>>>()?;
        let idle = numbers.get(3)? + numbers.get(4).copied().unwrap_or(0);
        Some(Ticks { all: numbers.iter().sum(), idle })
    }

    fn busy_since(self, before: Ticks) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        // The kernel's idle time may run backwards a little.
        Some(1.0 - self.idle.saturating_sub(before.idle).min(all) as f64 / all as f64)
    }
}

/// When counters were read, and what they said.
#[derive(Debug)]
struct Mark {
    at: Instant,
    ticks: Option<Ticks>,
    joules: Option<f64>,
}

/// What readings are made with.
#[derive(Debug)]
pub struct Sensors(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    rapl: Option<Rapl>,
    /// GPUs, once they were looked for.
    gpus: Option<Vec<Gpu>>,
    mark: Mark,
    last: Option<Load>,
}

impl Default for Sensors {
    fn default() -> Sensors {
        let rapl = Rapl::open(Path::new(POWERCAP));
        let mark = mark(rapl.as_ref());
        Sensors(Mutex::new(Inside { rapl, gpus: None, mark, last: None }))
    }
}

impl Sensors {
    /// What this machine does now.
    pub fn read(&self) -> Load {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &inside.last
            && inside.mark.at.elapsed() < FRESH
        {
            return last.clone();
        }
        let gpus = inside.gpus.get_or_insert_with(|| match inventory().gpus {
            Gpus::Devices(gpus) => gpus,
            Gpus::NoDriver | Gpus::Unusable(_) => Vec::new(),
        });
        let gpus = gpus.iter().map(nvml::load).collect();
        let now = mark(inside.rapl.as_ref());
        let before = std::mem::replace(&mut inside.mark, now);
        let now = &inside.mark;
        let joules = now.joules.zip(before.joules).map(|(now, before)| now - before);
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        let load = Load {
            cpu_busy: now.ticks.zip(before.ticks).and_then(|(now, before)| now.busy_since(before)),
            memory_used_gb: super::cpu::memory_used().map(|bytes| bytes as f64 / 1e9),
            cpu_power_w: joules.filter(|_| seconds > 0.0).map(|joules| joules / seconds),
            gpus,
        };
        inside.last = Some(load.clone());
        load
    }
}

fn mark(rapl: Option<&Rapl>) -> Mark {
    let ticks = std::fs::read_to_string("/proc/stat").ok().and_then(|stat| Ticks::read(&stat));
    Mark { at: Instant::now(), ticks, joules: rapl.and_then(Rapl::joules) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_busy_for_what_they_are_not_idle() {
        let read = |stat: &str| Ticks::read(stat).expect("ticks");
        let before = read("cpu  100 0 50 800 50 0 0 0 70 0\ncpu0 1 2 3 4\n");
        assert_eq!(before, Ticks { all: 1000, idle: 850 });
        let after = read("cpu  160 0 70 900 70 0 0 0 90 0\n");
        assert_eq!(after.busy_since(before), Some(0.4));
        assert_eq!(before.busy_since(before), None, "no time has passed");
        assert_eq!(before.busy_since(after), None, "counters do not go back");
        assert_eq!(Ticks::read("intr 1 2 3"), None);
    }

    #[test]
    fn a_reading_says_what_is_known_and_nothing_else() {
        let gpu = GpuLoad {
            name: "NVIDIA H200".into(),
            busy: Some(0.5),
            memory_used_gb: Some(20.04),
            memory_gb: Some(150.8),
            power_w: Some(420.4),
            power_limit_w: Some(700.0),
        };
        let load = Load { memory_used_gb: Some(3.0), gpus: vec![gpu, GpuLoad::default()], ..Load::default() };
        let lines = ["processors: 3.0 GB in use", "NVIDIA H200: 50 % busy, 20.0 of 150.8 GB in use, 420 of 700 W"];
        assert_eq!(load.lines(), lines);
        assert!(Load::default().lines().is_empty());
    }

    #[test]
    fn this_machine_is_read() {
        let sensors = Sensors::default();
        let load = sensors.read();
        assert!(load.memory_used_gb.is_some_and(|gb| gb > 0.0), "{load:?}");
        assert!(load.cpu_busy.is_none_or(|busy| (0.0..=1.0).contains(&busy)), "{load:?}");
        assert_eq!(sensors.read(), load, "a moment later it is the same reading");
    }
}
