//! A plan that was made again → text for people: why, what changes, what that saves.

use super::{Busy, Cause, Change, Replan, Verdict};
use crate::fleet::render::money;
use crate::plan::render::percent;
use crate::units::{counted, shown};
use rust_decimal::Decimal;
use std::fmt;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Schedule => write!(f, "an epoch is over"),
            Cause::Rate { job, planned, measured, busy } => {
                write!(f, "`{job}` runs {} times a second, planned for {}", shown(*measured, 3), shown(*planned, 3))?;
                busy.as_ref().map_or(Ok(()), |busy| write!(f, ": {busy}"))
            }
            Cause::Pace { times, busy: Some(busy), .. } => {
                write!(f, "calls take {} times as long as planned: {busy}", shown(*times, 2))
            }
            Cause::Pace { instance, times, busy: None } => {
                write!(f, "calls of {} take {} times as long as planned", instance.shown(), shown(*times, 2))
            }
            Cause::Idle { usd_per_hour, of } => {
                write!(f, "replicas for {} of {} usd/h stand idle", money(*usd_per_hour), money(*of))
            }
            Cause::Lost { device, had, has } => {
                write!(f, "{} `{device}` are gone, {has} are left", had.saturating_sub(*has))
            }
            Cause::Gained { device, had, has } => {
                write!(f, "there are {} more `{device}`, now {has}", has.saturating_sub(*had))
            }
            Cause::Price { device, was, is } => {
                write!(f, "`{device}` costs {} usd/h instead of {}", money(*is), money(*was))
            }
            Cause::Jobs { came, went } => {
                let named = |jobs: &[String]| jobs.iter().map(|job| format!("`{job}`")).collect::<Vec<_>>().join(", ");
                match (came.as_slice(), went.as_slice()) {
                    (came, []) => write!(f, "{} came", named(came)),
                    ([], went) => write!(f, "{} went", named(went)),
                    (came, went) => write!(f, "{} came, {} went", named(came), named(went)),
                }
            }
        }
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} would be busy {} of its time, and may be {}", self.instance, percent(self.is), percent(self.may))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Replicas { instance, from, to } => {
                write!(f, "{instance}: {} instead of {from}", counted(to, "replica"))
            }
            Change::Step { job, step, from, to } => write!(f, "{step} of `{job}`: {to} instead of {from}"),
        }
    }
}

impl fmt::Display for Replan {
    /// In lines: the causes, the changes, the money.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cause in &self.causes {
            writeln!(f, "because {cause}")?;
        }
        for change in &self.changes {
            writeln!(f, "  {change}")?;
        }
        let saves = &self.saves;
        if let Some(broken) = saves.no_going_on() {
            writeln!(f, "{broken}")?;
        }
        let taken = money(saves.taken);
        match (self.verdict, saves.going_on) {
            (Verdict::Kept, _) => {
                writeln!(
                    f,
                    "the plan is kept: {taken} usd/h, and the cheapest one found costs {} usd/h",
                    money(saves.cheapest)
                )
            }
            (_, Some(going_on)) => {
                let saved = going_on - saves.taken;
                let share = percent(saved.checked_div(going_on).unwrap_or_default());
                write!(f, "saves {} of {} usd/h ({share})", money(saved), money(going_on))?;
                writeln!(f, "{}", switching(saves.switching))
            }
            (_, None) => writeln!(f, "costs {taken} usd/h{}", switching(saves.switching)),
        }
    }
}

/// What switching is of what was said before it.
fn switching(usd: Decimal) -> String {
    if usd.is_zero() { String::new() } else { format!("; switching takes {} usd/h of it, over the epoch", money(usd)) }
}
