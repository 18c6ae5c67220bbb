//! A server at the end of a run -> what it took, beside what the plan said of it.

use crate::ir::workflow::StepId;
use crate::run::servers::instance::Instance;
use serde::Serialize;
use std::path::PathBuf;

/// What a server took in one run, beside what the plan said of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerMeasure {
    /// The server: `vllm of summarise`.
    pub server: String,
    /// The model, as the plan names it.
    pub model: String,
    /// The steps that used it.
    pub steps: Vec<StepId>,
    /// Where the plan places it: `h100 0, h100 1`, or `2 of h100` where it leaves open which.
    pub planned: String,
    /// Where it was: `cpu`, or UUIDs.
    pub devices: Vec<String>,
    /// Whether that is what the plan says.
    pub as_planned: bool,
    /// Gigabytes that the plan counts with; none where it does not know.
    pub planned_gb: Option<f64>,
    /// Gigabytes that were set aside for it.
    pub reserved_gb: f64,
    /// The most that it held; none where nothing could be measured.
    pub peak_gb: Option<f64>,
    /// How often it was started.
    pub starts: u32,
    /// How often it died.
    pub crashes: u32,
    /// Seconds until it answered.
    pub load_s: f64,
    /// The file with what it said.
    pub log: PathBuf,
}

/// What is known of a server that these steps used.
pub(super) fn measure(steps: &[StepId], instance: &Instance) -> ServerMeasure {
    let (wanted, known) = (&instance.wanted, instance.known());
    let planned = if wanted.placed.is_empty() {
        format!("{} of {}", wanted.units, wanted.device)
    } else {
        wanted.placed.iter().map(|i| format!("{} {i}", wanted.device)).collect::<Vec<_>>().join(", ")
    };
    let gb = |bytes: u64| bytes as f64 / 1e9;
    ServerMeasure {
        server: wanted.name.clone(),
        model: wanted.model.clone(),
        steps: steps.to_vec(),
        planned,
        devices: known.devices,
        as_planned: known.as_planned,
        planned_gb: Some(wanted.memory_gb).filter(|gb| *gb > 0.0),
        reserved_gb: gb(known.reserved),
        peak_gb: Some(gb(known.peak)).filter(|gb| *gb > 0.0),
        starts: known.starts,
        crashes: known.crashes,
        load_s: known.load_s,
        log: known.log,
    }
}
