//! Problem → outcome.

pub mod outcome;
pub mod problem;
