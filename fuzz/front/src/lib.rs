//! Diagnostics and syntax of the compiler (links to its sources) by themselves, for what needs no more: what is fuzzed is then all
//! that is instrumented, and a benchmark against others builds little else.

pub mod diag;
pub mod syntax;
