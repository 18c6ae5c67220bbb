//! Joint plans + arrivals → what a fleet would have done: a discrete-event simulation of runs that walk their jobs' DAGs over instances
//! with queues, batches, start-up times and failures, and over providers with limits.
//!
//! [`engine`] is the simulation: integer time, one heap of events, seeded draws, the same bytes each time. It knows nothing of libraries
//! and plans, only [`model`]. [`deploy`] turns joint plans into that model with the figures that they were planned with; [`policy`] decides
//! what is deployed when; [`arrivals`] reads traces and makes processes, one arrival at a time; [`change`] is what happens to devices; [`measure`] is what comes out.
//! What is modelled, and what is not: docs/simulation.md.

pub mod arrivals;
pub mod change;
pub mod compare;
pub mod deploy;
pub mod engine;
pub mod measure;
pub mod model;
pub mod policy;
mod prefix;
pub mod render;
pub mod report;
pub mod sketch;
mod station;
#[cfg(test)]
mod tests;

/// Time since the start of the simulation, in microseconds.
pub type Micros = i64;

/// Microseconds of a second.
pub const SECOND: Micros = 1_000_000;
/// Microseconds of an hour.
pub const HOUR: Micros = 3_600 * SECOND;

/// Seconds of microseconds.
pub fn seconds(time: Micros) -> f64 {
    time as f64 / SECOND as f64
}

/// Hours of microseconds.
pub fn hours(time: Micros) -> f64 {
    time as f64 / HOUR as f64
}

/// Microseconds of seconds, to the nearest one.
pub fn micros(seconds: f64) -> Micros {
    (seconds * SECOND as f64).round() as Micros
}
