//! What adaptation does with a fleet: forecasts of its load, and plans that are made again. The models are FAKES that say so
//! (`tests/policy/desk.mkb`), the planner is the real one; goldens beside them (`BLESS=1` rewrites them).

#[path = "cli/mkbc.rs"]
mod mkbc;

#[path = "policy/forecasts.rs"]
mod forecasts;
#[path = "policy/replans.rs"]
mod replans;
