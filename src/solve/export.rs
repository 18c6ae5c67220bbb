//! A [`Problem`](super::problem::Problem), one of its wishes and the values of earlier ones -> text that other solvers read.
//!
//! Nothing here is shared with the search or with z3's encoding, so that a solver that reads an export checks those as well.

mod linear;
pub mod mps;
pub mod reduced;
pub mod smtlib;
#[cfg(test)]
mod tests;

use super::problem::Wish;

/// What is asked of a problem, besides its clauses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    /// What is minimised; without it any plan will do.
    pub wish: Option<Wish>,
    /// Earlier wishes and what each may come to at most: their best values, for wishes in order.
    pub bounds: &'a [(Wish, i64)],
}
