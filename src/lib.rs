//! Murakkab's compiler and runtime.
//!
//! ```text
//! .mkb text ─ syntax ─ tree ─ check ─ typed program ─ expand ─ holes filled ─ ir ─ workflow DAG
//!                                                                                     │
//!      library (tasks, models, tools, clusters, profiles with evidence) ──── space ── candidates per step
//!                                                                                     │
//!                                              verify ◄── plan ◄── solve (presolve, z3, certificate)
//!                                                           │
//!                                                          run (engines, devices, meter)
//! ```
//!
//! A pass is `pub fn verb(input: &In, cx: &mut Diagnostics) -> Out`. The core, up to `plan`, does no IO: it is also built for
//! WebAssembly (`playground/`), where the modules that need an operating system are left out.

#[cfg(not(target_family = "wasm"))]
pub mod adapt;
#[cfg(not(target_family = "wasm"))]
pub mod apart;
#[cfg(not(target_family = "wasm"))]
pub mod ask;
#[cfg(not(target_family = "wasm"))]
pub mod bench;
pub mod check;
#[cfg(not(target_family = "wasm"))]
pub mod cli;
pub mod compile;
pub mod diag;
pub mod digest;
pub mod doc;
#[cfg(not(target_family = "wasm"))]
pub mod eval;
pub mod expand;
#[cfg(not(target_family = "wasm"))]
pub mod fleet;
pub mod graph;
#[cfg(not(target_family = "wasm"))]
pub mod host;
pub mod html;
pub mod ide;
#[cfg(not(target_family = "wasm"))]
pub mod import;
pub mod inputs;
pub mod ir;
#[cfg(not(target_family = "wasm"))]
pub mod kubernetes;
pub mod legible;
pub mod library;
pub mod lsp;
pub mod plan;
#[cfg(not(target_family = "wasm"))]
pub mod profile;
#[cfg(not(target_family = "wasm"))]
pub mod ray;
#[cfg(not(target_family = "wasm"))]
pub mod run;
#[cfg(not(target_family = "wasm"))]
pub mod serve;
#[cfg(not(target_family = "wasm"))]
pub mod simulate;
pub mod solve;
pub mod space;
pub mod syntax;
pub mod types;
pub mod units;
