//! A fleet in which not all jobs fit → which do, which clash, what blocks (a pool, or a clause of a job), and the smallest
//! single changes that let them fit.

use super::load::per_time;
use super::translate::{Member, Translated};
use crate::diag::Diagnostic;
use crate::plan::conflict::in_unit;
use crate::solve::joint::problem::Fleet;
use crate::solve::joint::{Limits, Outcome, solve};
use crate::solve::problem::Bound;
use crate::space::encode::Origin;
use rust_decimal::{Decimal, RoundingStrategy};
use std::fmt::Write;

/// Rounds of search for one question. Beyond them the answer is not known, and counts as no.
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
    let asker = Asker { late };
    let name = |job: usize| format!("`{}` ({})", fleet.jobs[job].name, members[job].file);
    let names = |jobs: &[usize]| jobs.iter().map(|job| name(*job)).collect::<Vec<_>>().join(", ");
    let (mut admitted, mut blocked) = (Vec::new(), Vec::new());
    for job in 0..fleet.jobs.len() {
        let with: Vec<usize> = admitted.iter().copied().chain([job]).collect();
        if asker.fits(&part(fleet, &with)) { admitted.push(job) } else { blocked.push(job) }
    }
    let refused = |job: usize, what: &str| {
        let message = match fleet.jobs.len() {
            1 => format!("the job does not fit on `{cluster}` at its load"),
            _ => format!("the jobs do not fit on `{cluster}` together"),
        };
        Diagnostic::error("E0621", message, members[job].prepared.job.span, what)
    };
    let Some(&first) = blocked.first() else {
        let help = "each fits when they are added one by one: give the search more time with `--time-limit`";
        return (0, refused(0, "no plan was found for all of them").help(help));
    };
    let mut out = String::new();
    // A minimal set: without any one of its jobs the others fit.
    let mut core: Vec<usize> = admitted.iter().copied().filter(|job| *job < first).chain([first]).collect();
    for job in core.clone() {
        let without: Vec<usize> = core.iter().copied().filter(|other| *other != job).collect();
        if !without.is_empty() && !asker.fits(&part(fleet, &without)) {
            core = without;
        }
    }
    let _ = write!(
        out,
        "admitted, in the order given: {}",
        if admitted.is_empty() { "none".to_string() } else { names(&admitted) }
    );
    let _ = write!(out, "\n  not admitted: {}", names(&blocked));
    let verb = if core.len() == 1 {
        "does not fit even alone"
    } else {
        "do not fit together, and without any one of them the others do"
    };
    let _ = write!(out, "\n  {}: {verb}", names(&core));
    let clash = part(fleet, &core);
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
                _ => format!("less of what {} wishes before cost ({figure:?})", name(job)),
            });
        }
    }
    match changes.as_slice() {
        [] => out.push_str("\n  no single change of a pool, a rate or a limit was found that lets them fit"),
        changes => {
            out.push_str("\n  any one of these lets them fit:");
            changes.iter().for_each(|change| {
                let _ = write!(out, "\n    {change}");
            });
        }
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
}

impl Asker<'_> {
    fn fits(&self, fleet: &Fleet) -> bool {
        let limits = Limits { rounds: ROUNDS, out_of_time: Some(self.late), any: true, enough: 0 };
        matches!(solve(fleet, &limits), Outcome::Planned(_))
    }

    /// The least value from `low` to `high` with which a fleet fits, to within 1 %; `None` where not even `high` does.
    fn least(&self, low: i64, high: i64, with: &dyn Fn(i64) -> Fleet) -> Option<i64> {
        if high < low || !self.fits(&with(high)) {
            return None;
        }
        let (mut low, mut high) = (low, high);
        while low < high && high - low > high / 100 {
            let middle = low + (high - low) / 2;
            if self.fits(&with(middle)) { high = middle } else { low = middle + 1 }
        }
        Some(high)
    }

    /// The most from `low` to `high` with which a fleet fits, to within a thousandth; `None` where not even `low` does.
    fn most(&self, low: i64, high: i64, with: &dyn Fn(i64) -> Fleet) -> Option<i64> {
        if high < low || !self.fits(&with(low)) {
            return None;
        }
        let (mut low, mut high) = (low, high);
        while low < high && high - low > low / 1_000 {
            let middle = high - (high - low) / 2;
            if self.fits(&with(middle)) { low = middle } else { high = middle - 1 }
        }
        Some(low)
    }
}
