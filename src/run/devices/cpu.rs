//! `/proc` and `/sys` -> cores, memory, and the energy counter of the processor where it can be read.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

/// The processors of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The model, where the kernel names it.
    pub model: Option<String>,
    /// Cores that this process may use.
    pub cores: u32,
    /// Memory that this process may use, bytes.
    pub memory: Option<u64>,
}

/// Cores that this process may use: affinity and the container's quota are respected. Asked once: the answer takes several files of the
/// kernel's, which is longer than a brief call takes in all.
pub fn cores() -> u32 {
    static CORES: LazyLock<u32> = LazyLock::new(|| {
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
    });
    *CORES
}

/// Looks at the processors.
pub fn cpu() -> Cpu {
    let model = read("/proc/cpuinfo").and_then(|text| field(&text, "model name"));
    let installed = read("/proc/meminfo").and_then(|text| bytes(&text, "MemTotal"));
    let allowed = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    let memory = match (installed, allowed) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    Cpu { model, cores: cores(), memory }
}

/// Bytes of the machine's memory that are in use, by whomever.
pub fn memory_used() -> Option<u64> {
    let text = read("/proc/meminfo")?;
    bytes(&text, "MemTotal")?.checked_sub(bytes(&text, "MemAvailable")?)
}

/// A line of `/proc/meminfo`, which counts in kB.
fn bytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.trim_end_matches("kB").trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

/// Mean number of processes that ran or wanted to over the last minute.
pub fn load() -> Option<f64> {
    read("/proc/loadavg")?.split(' ').next()?.parse().ok()
}

/// Processor time of all children that ended so far, seconds; none where the kernel does not say.
pub fn children_seconds() -> Option<f64> {
    spent(libc::RUSAGE_CHILDREN)
}

/// The same with this process's own.
pub fn processor_seconds() -> Option<f64> {
    Some(spent(libc::RUSAGE_SELF)? + children_seconds()?)
}

fn spent(by: libc::c_int) -> Option<f64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes a whole `rusage` behind the pointer, which stays valid for the call; zeroes are a valid one.
    #[allow(unsafe_code)]
    let usage = unsafe {
        if libc::getrusage(by, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    Some(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.map(|value| value.trim().to_owned())
}

/// Where the kernel shows the counters.
pub const POWERCAP: &str = "/sys/class/powercap";

/// The energy counters of the processor packages (RAPL). Mostly readable by root only.
#[derive(Debug)]
pub struct Rapl(Mutex<Vec<Package>>);

#[derive(Debug)]
struct Package {
    counter: PathBuf,
    range: u64,
    last: u64,
    total: u64,
}

impl Rapl {
    /// The counters in the kernel's folder for them, where they can be read.
    pub fn open(powercap: &Path) -> Option<Rapl> {
        let zones = std::fs::read_dir(powercap).ok()?;
        let mut packages = Vec::new();
        for zone in zones.filter_map(Result::ok) {
            let name = zone.file_name();
            // `intel-rapl:0` is a package; `intel-rapl:0:0` is a part of it, and would be counted twice.
            let name = name.to_string_lossy();
            if !name.starts_with("intel-rapl:") || name.matches(':').count() != 1 {
                continue;
            }
            let number = |file: &str| read(&zone.path().join(file).to_string_lossy())?.trim().parse::<u64>().ok();
            if let (Some(last), Some(range)) = (number("energy_uj"), number("max_energy_range_uj")) {
                packages.push(Package { counter: zone.path().join("energy_uj"), range, last, total: 0 });
            }
        }
        (!packages.is_empty()).then(|| Rapl(Mutex::new(packages)))
    }

    /// Joules of all packages since the counters were opened.
    pub fn joules(&self) -> Option<f64> {
        let mut packages = self.0.lock().ok()?;
        let mut total = 0;
        for p in packages.iter_mut() {
            let now: u64 = std::fs::read_to_string(&p.counter).ok()?.trim().parse().ok()?;
            // The counter starts again at its range.
            p.total += if now >= p.last { now - p.last } else { p.range.saturating_sub(p.last) + now };
            p.last = now;
            total += p.total;
        }
        Some(total as f64 / 1e6)
    }
}
