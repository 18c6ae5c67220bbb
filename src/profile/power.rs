//! Power where no counter can be read: what the library says of the device, by how much of it was busy.

use super::fit::Range;
use super::{Measured, Subject, plain};
use crate::library::Device;
use crate::library::evidence::EvidenceKind;
use crate::library::profile::Setting;
use crate::space::Candidate;
use rust_decimal::prelude::ToPrimitive;

/// An estimated power.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Watts of all units.
    pub watts: Range,
    /// How it was computed.
    pub formula: String,
}

/// The power of a setting by its load. None where it was counted, where somebody measured it, or where nothing says what the device draws.
pub fn estimate(subject: Subject, setting: &Candidate, measured: &Measured, device: &Device) -> Option<Estimate> {
    let Candidate { knobs, device: name, units, .. } = setting;
    let at = Setting { task: subject.task.name.as_str(), knobs, device: name, units: *units, work: &[], by: None };
    let known = subject.entry.profile.figure("power", &at).is_some_and(|f| f.evidence != EvidenceKind::Estimated);
    let each = device.facts.power?.to_f64()?;
    if measured.power.is_some() || known {
        return None;
    }
    let units = f64::from(*units);
    let (busy, how) = match measured.busy.filter(|_| !device.gpu) {
        // A program may start more threads than it was given cores.
        Some(busy) => (busy, "processor time / wall time of the runs"),
        None => {
            (Range { value: units, low: 0.0, high: units }, "all of them, since what the server spent is not known")
        }
    };
    let watts = |busy: f64| busy.min(units) * each;
    let range = Range { value: watts(busy.value), low: watts(busy.low), high: watts(busy.high) };
    let formula = format!(
        "no energy counter: {} W of each `{name}` as the library declares it x {} of {units} busy ({how})",
        plain(each),
        plain(busy.value.min(units)),
    );
    Some(Estimate { watts: range, formula })
}
