//! Typed program → workflow.

pub mod workflow;
