//! A process that holds one model and answers mkbc's calls: weights -> model, calls -> values.
//!
//! `serve` speaks the framed pipe that the runtime's Python workers speak (`frame` has the format); `model` finds out which family some
//! weights are of; each family is a file that reads alone. Nothing here chooses, plans or downloads by itself.

pub mod call;
pub mod clip;
pub mod device;
pub mod embedder;
pub mod failure;
pub mod frame;
pub mod llm;
pub mod model;
pub mod picture;
pub mod serve;
pub mod tokens;
pub mod weights;
pub mod whisper;
