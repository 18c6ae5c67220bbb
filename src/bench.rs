//! Recipes and seeds -> problems to measure the solver with; shapes of nodes -> plans to measure the runtime with.

pub mod families;
pub mod fleet_file;
pub mod instance;
pub mod joint_families;
pub mod limits;
pub mod measure;
pub mod recipe;
pub mod recovery;
pub mod rng;
pub mod runtime;
