//! Typed program → workflow: a DAG of library calls with regions for maps, branches and loops; other jobs inlined, dead
//! steps dropped, equal steps merged.

pub mod agent;
pub mod answers;
pub mod dag;
pub mod lower;
pub mod passes;
pub mod reach;
pub mod resolve;
pub mod stream;
pub mod workflow;
