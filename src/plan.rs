//! Choice → plan: the compiled artefact; verified, rendered, compared.

pub mod audit;
pub mod build;
pub mod compose;
pub mod conflict;
pub mod diff;
pub mod engine;
pub mod fallback;
pub mod model;
pub mod place;
pub mod reason;
pub mod render;
pub mod schema;
pub mod verify;
