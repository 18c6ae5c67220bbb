//! A [`Model`] and what a search learned -> z3's word: refuted, satisfied by a plan, or neither.
//!
//! What z3 is given to refute:
//! - [`Certify::Core`]: that a plan is in none of the cases that the search closed (`cover.rs`). That each of them is closed
//!   rests on the search's exact integers. A search that closed everything without dividing it has its rows refuted instead: those of
//!   the model and the price rows, over the options that each of them leaves.
//! - [`Certify::Full`]: the model itself, with every option that presolve left, and the price rows as a help (`question.rs`). z3 then
//!   excludes everything itself; what it takes on trust is that price rows add rows of the model up.
//!
//! Where the search stopped early, z3 searches: the question is as at its level, and a model that it finds is a plan only if it
//! checks in exact integers. A check is limited in work, which is the same on every machine, in memory and, as a safety net, in
//! time; past a limit the word is *unknown*, which is never taken for a proof. Contexts are reused (a new one costs 8 ms), except where
//! z3 may find models, whose order depends on what a context has seen.

mod cover;
mod here;
mod question;

use std::sync::atomic::{AtomicU32, Ordering};

pub use self::here::{Here, isolated};
use self::question::Question;
use super::budget::Clock;
use super::judge::{Judge, Terms, Trial};
use super::model::{Domain, Model, Row};
use super::price::{Hints, Multipliers, Price};
use super::propagate::{Cutoff, propagate};
use super::{Certify, Limits};

/// z3's word on a model.
pub enum Verdict {
    /// No plan exists.
    Refuted,
    /// A plan, one column per step, that the model admits in exact integers.
    Satisfied(Vec<u32>),
    /// No answer in time.
    Unknown,
}

/// How often somebody may be asked, and how it was.
pub struct Oracle<'a> {
    judge: &'a dyn Judge,
    ms: u32,
    clock: Clock<'a>,
    certify: Certify,
    checks: AtomicU32,
}

/// Steps of work that one check may take: the same on every machine, so that the word does not depend on its speed.
const MOST_WORK: u32 = 40_000_000;
/// Megabytes that a solver may take.
const MOST_MEMORY: u32 = 512;
/// Models of rounded rows that are shut out before giving up.
const MOST_ROUNDS: u32 = 400;
/// Price rows of a search that a question about the whole model gets.
const MOST_PRICES: usize = 40;
/// z3's sums stay within 31 bits.
const BITS: u32 = 30;

/// z3's name and version, as it is written into plans.
pub fn name() -> String {
    let version = z3::full_version();
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    format!("z3 {}", number.unwrap_or(version).trim_end_matches(".0"))
}

impl<'a> Oracle<'a> {
    /// The oracle that limits want; none where nothing is to be certified.
    pub fn of(limits: &Limits<'a>) -> Option<Oracle<'a>> {
        let Limits { z3_ms: ms, out_of_time: clock, certify, judge, .. } = *limits;
        let judge = judge.unwrap_or(&Here);
        (certify != Certify::Off).then(|| Oracle { judge, ms, clock, certify, checks: AtomicU32::new(0) })
    }

    fn begin(&self, fresh: bool) -> Option<Box<dyn Trial + '_>> {
        self.judge.begin(Terms { ms: self.ms, work: MOST_WORK, megabytes: MOST_MEMORY, fresh })
    }

    /// Checks made.
    pub fn checks(&self) -> u32 {
        self.checks.load(Ordering::Relaxed)
    }
}

impl Oracle<'_> {
    /// Asks z3 to refute what a search has excluded. `hints` are what the search for the goal learned, `value` is the bound of
    /// the goal that the model holds, if it has one, and `carried` are rows that every plan satisfies.
    pub fn refute(&self, model: &Model, hints: &Hints, carried: &[Price], value: Option<i64>) -> Verdict {
        let leaves = if self.certify == Certify::Core { hints.record.cases.leaves() } else { None };
        match leaves {
            // Rows alone exclude everything. Whether the first check says so does not depend on what a context has seen.
            Some(leaves) if leaves.len() == 1 => {
                if let Verdict::Refuted = self.rounds(model, hints, carried, value, 1) {
                    return Verdict::Refuted;
                }
            }
            Some(leaves) => {
                self.checks.fetch_add(1, Ordering::Relaxed);
                let covered = |mut trial: Box<dyn Trial + '_>| {
                    cover::covered(&hints.record.cases, &leaves, trial.as_mut()) == Some(true)
                };
                if self.begin(false).is_some_and(covered) {
                    return Verdict::Refuted;
                }
            }
            None => (),
        }
        isolated(|| self.search(model, hints, carried, value))
    }

    /// Asks whether the model has a plan.
    pub fn search(&self, model: &Model, hints: &Hints, carried: &[Price], value: Option<i64>) -> Verdict {
        self.rounds(model, hints, carried, value, MOST_ROUNDS)
    }

    fn rounds(&self, model: &Model, hints: &Hints, carried: &[Price], value: Option<i64>, most: u32) -> Verdict {
        let proofs = &hints.record.cases.proofs;
        let latest = proofs.len().saturating_sub(MOST_PRICES - 1).max(1).min(proofs.len());
        let chosen: Vec<&Multipliers> = proofs[..proofs.len().min(1)].iter().chain(&proofs[latest..]).collect();
        let mut domain = model.domain.clone();
        if self.certify == Certify::Core {
            // What contradicts itself is left to z3.
            thin(model, hints, carried, &chosen, value, &mut domain);
        }
        let mut rows: Vec<Linear> = prices(model, hints, &chosen, value, &domain);
        rows.extend(carried.iter().map(|price| on(price, &domain)));
        let paths = paths(model, hints, &domain);
        let Some(trial) = self.begin(most > 1) else {
            return Verdict::Unknown;
        };
        let mut question = Question::new(model, domain, &paths, &rows, trial);
        let (verdict, checks) = question.answer(self.clock, most);
        self.checks.fetch_add(checks, Ordering::Relaxed);
        verdict
    }
}

/// `Σ coef · x <= rhs` over the columns of a domain, in their order.
struct Linear {
    coef: Vec<i128>,
    rhs: i128,
}

/// The paths that were critical to the search, and those that are longest with the least of every step.
fn paths(model: &Model, hints: &Hints, domain: &Domain) -> Vec<Row> {
    let mut rows = Vec::new();
    for ceiling in &model.ceilings {
        let weight = |&column: &u32| model.space.figure(column as usize, ceiling.figure);
        let least = |step: usize| domain.of(step).iter().map(weight).min().unwrap_or(0);
        let (length, path) = model.space.longest(&(0..domain.steps()).map(least).collect::<Vec<i64>>());
        if length > ceiling.limit {
            rows.push(Row::along(model.space, &path, ceiling.figure, ceiling.limit));
        }
        let paths = hints.paths.iter().filter(|path| path.0 == ceiling.figure);
        rows.extend(paths.map(|path| Row::along(model.space, &path.1, ceiling.figure, ceiling.limit)));
    }
    rows
}

/// Combinations as rows over the domain; those that need a bound of the goal only where there is one.
fn prices(model: &Model, hints: &Hints, proofs: &[&Multipliers], value: Option<i64>, domain: &Domain) -> Vec<Linear> {
    let bounded = |proof: &&&Multipliers| value.is_some() || proof.slope == 0;
    let row = |proof: &&Multipliers| {
        let (coef, rhs) = hints.record.price(model.space, proof, domain.all(), value.unwrap_or(0));
        Linear { coef, rhs }
    };
    proofs.iter().filter(bounded).map(row).collect()
}

fn on(price: &Price, domain: &Domain) -> Linear {
    let coef = domain.all().iter().map(|&column| price.coef[column as usize]).collect();
    Linear { coef, rhs: price.rhs }
}

/// Drops from the domain what the model's rows, the combinations and the carried rows each exclude, in exact integers; `false`
/// when nothing is left.
fn thin(
    model: &Model,
    hints: &Hints,
    carried: &[Price],
    proofs: &[&Multipliers],
    value: Option<i64>,
    domain: &mut Domain,
) -> bool {
    loop {
        let before = domain.all().len();
        if !propagate(model, &Cutoff::default(), domain) || !carried.iter().all(|price| price.fix(domain)) {
            return false;
        }
        for proof in proofs {
            if prices(model, hints, &[proof], value, domain).iter().any(|row| !row.exclude(domain)) {
                return false;
            }
        }
        if domain.all().len() == before {
            return true;
        }
    }
}

impl Linear {
    /// Drops the columns of the domain that the row excludes; `false` when it cannot hold.
    fn exclude(&self, domain: &mut Domain) -> bool {
        let (mut min, mut place) = (Vec::with_capacity(domain.steps()), 0);
        for step in 0..domain.steps() {
            let end = place + domain.of(step).len();
            min.push(self.coef[place..end].iter().copied().min().unwrap_or(0));
            place = end;
        }
        let slack = self.rhs - min.iter().sum::<i128>();
        let mut coef = self.coef.iter();
        domain.retain(|step, _| coef.next().is_none_or(|a| a - min[step] <= slack));
        slack >= 0
    }
}

/// A row in integers that z3 can hold: shifted by the least of every group, of which one member is taken, clamped, divided and
/// floored on both sides.
struct Scaled {
    coef: Vec<i32>,
    /// Below 0 when the row excludes everything.
    limit: i32,
}

impl Scaled {
    fn new(coef: &[i128], rhs: i128, groups: &[usize]) -> Self {
        let (mut shifted, mut slack, mut place) = (Vec::with_capacity(coef.len()), rhs, 0);
        for &size in groups {
            let group = &coef[place..place + size];
            let min = group.iter().copied().min().unwrap_or(0);
            shifted.extend(group.iter().map(|a| a - min));
            slack -= min;
            place += size;
        }
        if slack < 0 {
            return Scaled { coef: Vec::new(), limit: -1 };
        }
        let room = BITS - (groups.len() as u64 + 1).next_power_of_two().trailing_zeros().min(20);
        // A power of two, since z3's integers are short and divisions long.
        let shift = (128 - slack.leading_zeros()).saturating_sub(room.min(24));
        let limit = slack >> shift;
        // What exceeds the limit alone is forbidden alone, whatever its size.
        let scale = |a: i128| i32::try_from(if a > slack { limit + 1 } else { a >> shift }).unwrap_or(i32::MAX);
        Scaled { coef: shifted.into_iter().map(scale).collect(), limit: i32::try_from(limit).unwrap_or(i32::MAX) }
    }
}
