//! A fleet in which not all jobs fit → which do, which clash, what blocks (a pool, or a clause of a job), and the smallest
//! single changes that let them fit.

use super::load::per_time;
use super::translate::{Member, Translated};
use crate::diag::Diagnostic;
use crate::plan::conflict::in_unit;
use crate::solve::joint::problem::Fleet;
use crate::solve::joint::{Limits, Outcome, solve};
use crate::solve::problem::{Bound, Figure};
use crate::space::encode::Origin;
use rust_decimal::{Decimal, RoundingStrategy};
use std::cell::Cell;
use std::fmt::Write;

/// Rounds of search for one question. Beyond them the answer is not known, which is said.
const ROUNDS: u64 = 1_000;
/// Parts that a rate is made of, where less of it is looked for.
const WHOLE: i64 = 1_000_000;

/// E0621: why the jobs do not fit together, at the first job that is not admitted; its place among the jobs says whose source that is.
/// `late` ends the search for changes, not the answer.
pub fn explain(
    members: &[Member],
    translated: &Translated,
    cluster: &str,
    late: &(dyn Fn() -> bool + Sync),
) -> (usize, Diagnostic) {
    let fleet = &translated.fleet;
    let asker = Asker { late, cut: Cell::new(false) };
    let name = |job: usize| format!("`{}` ({})", fleet.jobs[job].name, members[job].file);
    let names = |jobs: &[usize]| jobs.iter().map(|job| name(*job)).collect::<Vec<_>>().join(", ");
    let (mut admitted, mut blocked, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for job in 0..fleet.jobs.len() {
        let with: Vec<usize> = admitted.iter().copied().chain([job]).collect();
        match asker.fits(&part(fleet, &with)) {
            Some(true) => admitted.push(job),
            Some(false) => blocked.push(job),
            None => open.push(job),
        }
    }
    let refused = |job: usize, what: &str| {
        let message = match fleet.jobs.len() {
            _ if blocked.is_empty() => {
                format!("no plan for all jobs on `{cluster}` was found in the time that there was")
            }
            1 => format!("the job does not fit on `{cluster}` at its load"),
            _ => format!("the jobs do not fit on `{cluster}` together"),
        };
        Diagnostic::error("E0621", message, members[job].prepared.job.span, what)
    };
    let listed = if admitted.is_empty() { "none".to_string() } else { names(&admitted) };
    let mut out = format!("admitted, in the order given: {listed}");
    if !blocked.is_empty() {
        let _ = write!(out, "\n  not admitted: {}", names(&blocked));
    }
    if !open.is_empty() {
        let _ = write!(out, "\n  not decided in the time that there was: {}", names(&open));
    }
    let Some(&first) = blocked.first() else {
        let _ = write!(out, "\n  give the search more time with `--time-limit`");
        let at = open.first().copied().unwrap_or(0);
        let what =
            if open.is_empty() { "each fits when they are added one by one" } else { "with this one none was found" };
        return (at, refused(at, what).help(out));
    };
    // A minimal set: without any one of its jobs the others fit.
    let mut minimal = true;
    let mut core: Vec<usize> = admitted.iter().copied().filter(|job| *job < first).chain([first]).collect();
    for job in core.clone() {
        let without: Vec<usize> = core.iter().copied().filter(|other| *other != job).collect();
        let left = if without.is_empty() { Some(true) } else { asker.fits(&part(fleet, &without)) };
        match left {
            Some(true) => (),
            Some(false) => core = without,
            None => minimal = false,
        }
    }
    let verb = match core.len() {
        1 => "does not fit even alone",
        _ if minimal => "do not fit together, and without any one of them the others do",
        _ => "do not fit together; whether fewer of them clash was not decided in the time that there was",
    };
    let _ = write!(out, "\n  {}: {verb}", names(&core));
    let clash = part(fleet, &core);
    asker.cut.set(false);
    let mut changes = Vec::new();
    for (at, pool) in clash.pools.iter().enumerate() {
        let larger = |more: i64| {
            let mut changed = clash.clone();
            changed.pools[at].units = pool.units + more;
            changed
        };
        if let Some(more) = asker.least(1, 1 << 20, &larger) {
            changes.push(format!("{more} more `{}`", pool.name));
        }
    }
    for (at, instance) in translated.instances.iter().enumerate().filter(|(_, i)| i.is_account()) {
        let larger = |percent: i64| {
            let mut changed = clash.clone();
            changed.kinds[at].capacity = changed.kinds[at].capacity.saturating_mul(percent) / 100;
            changed
        };
        if let Some(percent) = asker.least(100, 100_000, &larger) {
            changes.push(format!("{percent} % of what `{}` takes", instance.implementation));
        }
    }
    for (place, &job) in core.iter().enumerate() {
        let rarer = |parts: i64| {
            let mut changed = clash.clone();
            let choices = changed.jobs[place].problem.steps.iter_mut().flat_map(|step| &mut step.choices);
            choices.for_each(|choice| choice.load = part_of(choice.load, parts));
            changed
        };
        if let Some(parts) = asker.most(1, WHOLE - 1, &rarer) {
            let shown = |rate| per_time(rate, RoundingStrategy::ToZero);
            let (now, rate) = (members[job].rate, members[job].rate * Decimal::from(parts) / Decimal::from(WHOLE));
            changes.push(format!("{} at {}, instead of {}", name(job), shown(rate), shown(now)));
        }
        for (clause, stated) in clash.jobs[place].problem.clauses.iter().enumerate() {
            let &Bound::AtMost { figure, over, limit } = &stated.bound else { continue };
            let looser = |limit: i64| {
                let mut changed = clash.clone();
                changed.jobs[place].problem.clauses[clause].bound = Bound::AtMost { figure, over, limit };
                changed
            };
            let most: i64 = clash.jobs[place]
                .problem
                .steps
                .iter()
                .map(|step| step.choices.iter().map(|c| c.figures[figure.index()]).max().unwrap_or(0))
                .fold(0, i64::saturating_add);
            let Some(needed) = asker.least(limit, most, &looser) else { continue };
            let origin = members[job].alone.encoded.origins.get(clause);
            changes.push(match origin {
                Some(Origin::Clause(limit)) => {
                    let needed = in_unit(limit, needed, clash.jobs[place].problem.steps.len());
                    format!("`{}` of {} at {needed}", limit.text, name(job))
                }
                _ => {
                    let figure =
                        if figure == Figure::Loss { "quality".into() } else { format!("{figure:?}").to_lowercase() };
                    format!("less of the {figure} that {} wishes before cost", name(job))
                }
            });
        }
    }
    let cut = asker.cut.get();
    match changes.as_slice() {
        [] => out.push_str("\n  no single change of a pool, a rate or a limit was found that lets them fit"),
        changes => {
            out.push_str("\n  any one of these lets them fit:");
            changes.iter().for_each(|change| {
                let _ = write!(out, "\n    {change}");
            });
        }
    }
    if cut {
        out.push_str("\n  not every change was tried to its end in the time that there was: less of one, or another one, may be enough");
    }
    (first, refused(first, "is not admitted").help(out))
}

/// A fleet with some of its jobs.
fn part(fleet: &Fleet, jobs: &[usize]) -> Fleet {
    Fleet { jobs: jobs.iter().map(|job| fleet.jobs[*job].clone()).collect(), ..fleet.clone() }
}

/// So many of the [`WHOLE`] parts of a load, and no less.
fn part_of(load: i64, parts: i64) -> i64 {
    let part = (i128::from(load) * i128::from(parts) + i128::from(WHOLE) - 1) / i128::from(WHOLE);
    i64::try_from(part).unwrap_or(load)
}

struct Asker<'a> {
    late: &'a (dyn Fn() -> bool + Sync),
    /// Whether some answer was not found.
    cut: Cell<bool>,
}

impl Asker<'_> {
    /// Whether all jobs fit; `None` where that was not found out.
    fn fits(&self, fleet: &Fleet) -> Option<bool> {
        let limits = Limits { rounds: ROUNDS, out_of_time: Some(self.late), any: true, enough: 0 };
        match solve(fleet, &limits) {
            Outcome::Planned(_) => Some(true),
            Outcome::Refused(_) => Some(false),
            Outcome::Unknown(_) => {
                self.cut.set(true);
                None
            }
        }
    }

    fn surely(&self, fleet: &Fleet) -> bool {
        self.fits(fleet) == Some(true)
    }

    /// The least value from `low` to `high` with which a fleet fits, to within 1 %; `None` where not even `high` does.
    fn least(&self, low: i64, high: i64, with: &dyn Fn(i64) -> Fleet) -> Option<i64> {
        if high < low || !self.surely(&with(high)) {
            return None;
        }
        let (mut low, mut high) = (low, high);
        while low < high && high - low > high / 100 {
            let middle = low + (high - low) / 2;
            if self.surely(&with(middle)) { high = middle } else { low = middle + 1 }
        }
        Some(high)
    }

    /// The most from `low` to `high` with which a fleet fits, to within a thousandth; `None` where not even `low` does.
    fn most(&self, low: i64, high: i64, with: &dyn Fn(i64) -> Fleet) -> Option<i64> {
        if high < low || !self.surely(&with(low)) {
            return None;
        }
        let (mut low, mut high) = (low, high);
        while low < high && high - low > low / 1_000 {
            let middle = high - (high - low) / 2;
            if self.surely(&with(middle)) { low = middle } else { high = middle - 1 }
        }
        Some(low)
    }
}
