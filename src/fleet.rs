//! Jobs at their rates + one cluster → a joint plan: instances that the jobs share, replicas of each, and every job's choices.
//!
//! [`translate`] turns prepared jobs into the integer problem of [`crate::solve::joint`]; [`give_way`] solves it, with as many soft
//! lines as leave a plan, and [`join`] has every job's plan made from its part of the answer by the ordinary pipeline; [`verify`]
//! recomputes all of it from the library; [`proof`] proves its bound; [`refuse`] says what stands in the way where there is none; [`split`] makes it for a part of
//! the jobs at a time; [`paces`] puts times that a service measured in the place of a library's.

pub mod give_way;
pub mod instance;
pub mod join;
pub mod ladder;
pub mod load;
pub mod member;
pub mod model;
pub mod paces;
pub mod proof;
pub mod refuse;
pub mod render;
pub mod split;
pub mod trace;
pub mod translate;
pub mod verify;
