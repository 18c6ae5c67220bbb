//! Choice → plan.

pub mod model;
