//! Recipes and seeds -> problems to measure the solver with.

pub mod families;
pub mod limits;
pub mod recipe;
pub mod rng;
