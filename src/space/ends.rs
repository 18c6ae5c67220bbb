//! Profile rows → figures read at one end of their intervals, or with one row replaced.

use super::tail::{self, Level, Part};
use super::{Candidate, Figures, Space};
use crate::library::evidence::{Evidence, EvidenceKind};
use crate::library::profile::{Figure, Setting};
use crate::library::{Implementation, Library};
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// The percentiles that a profile may give, by name.
const LEVELS: [(&str, Level); 2] = [("p95", Level::P95), ("p99", Level::P99)];

/// Where in its interval a profile figure is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// At its value.
    #[default]
    Typical,
    /// At the end that is against the user: high, and low for quality.
    Worst,
    /// At the end that is in the user's favour: low, and high for quality.
    Best,
}

/// One row of a profile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowId {
    /// The implementation whose profile it is.
    pub implementation: EcoString,
    /// The figure: `latency.per.output`.
    pub figure: EcoString,
    /// Its place among the profile's rows of this figure.
    pub row: usize,
}

/// How profile figures are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ends {
    /// Where in their intervals.
    pub end: End,
    /// A row that has another value, in base units, whatever the end.
    pub replaced: Option<(RowId, Decimal)>,
}

impl Ends {
    /// Every figure at one end.
    pub fn all(end: End) -> Ends {
        Ends { end, replaced: None }
    }

    /// Whether a row has another value.
    pub fn replaces(&self, id: &RowId) -> bool {
        self.replaced.as_ref().is_some_and(|(replaced, _)| replaced == id)
    }

    /// The value of a row.
    pub fn value(&self, id: &RowId, figure: &Figure) -> Decimal {
        match &self.replaced {
            Some((_, value)) if self.replaces(id) => *value,
            _ => at(figure, self.end, id.figure == "quality"),
        }
    }
}

/// The value of a figure at an end; of `quality`, more is better.
fn at(figure: &Figure, end: End, quality: bool) -> Decimal {
    match (end, quality) {
        (End::Typical, _) => figure.value,
        (End::Worst, false) | (End::Best, true) => figure.interval.1,
        (End::Worst, true) | (End::Best, false) => figure.interval.0,
    }
}

/// A row that the figures of an option rest on.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// The row.
    pub id: RowId,
    /// Its value, in base units (s, usd, W, GB, ratio).
    pub value: Decimal,
    /// The low end of its interval.
    pub low: Decimal,
    /// The high end.
    pub high: Decimal,
    /// What it rests on.
    pub evidence: EvidenceKind,
    /// Where it comes from.
    pub source: EcoString,
}

/// A row with its id.
pub type Row<'a> = (RowId, &'a Figure);

/// A part of a call's time, with its percentiles where the profile has them.
pub struct Timed<'a> {
    /// Its typical value.
    pub typical: Row<'a>,
    /// `latency.p95`, `latency.p99`, with the share of calls that take longer.
    pub percentiles: Vec<(Row<'a>, Level)>,
}

impl<'a> Timed<'a> {
    /// Its distribution, times an amount of work: lognormal about the typical value, and as wide as the widest percentile that the
    /// profile has; without any, the upper end of the interval counts as the 95th.
    pub fn parts(&self, amount: Decimal, ends: &Ends) -> Option<Vec<Part>> {
        let (id, figure) = &self.typical;
        let known: Vec<(Decimal, Level)> =
            self.percentiles.iter().map(|((id, figure), level)| (ends.value(id, figure), *level)).collect();
        let value = ends.value(id, figure);
        if value.is_zero() {
            // About zero nothing is lognormal: the largest that is known stands for all of it.
            let most = known.iter().map(|(at, _)| *at).fold(figure.interval.1, Decimal::max);
            let median = if ends.replaces(id) { value } else { most };
            return Some(vec![Part { median: median.checked_mul(amount)?, sigma: 0.0 }]);
        }
        let of = |at: Decimal, from: Decimal, level: Level| {
            let ratio = at.checked_div(from).and_then(|r| r.to_f64()).unwrap_or(1.0);
            tail::sigma(ratio, level.beyond())
        };
        if known.is_empty() {
            let sigma = of(figure.interval.1, figure.value, Level::P95);
            return Some(vec![Part { median: value.checked_mul(amount)?, sigma }]);
        }
        // With the percentiles fixed, a smaller median means a wider spread: time is convex in the logarithm of the median, so that
        // it is longest at one of the ends.
        let medians = match (ends.end, ends.replaces(id)) {
            (End::Worst, false) if !figure.interval.0.is_zero() => vec![figure.interval.0, figure.interval.1],
            _ => vec![value],
        };
        let part = |median: Decimal| {
            let sigma = known.iter().map(|(at, level)| of(*at, median, *level)).fold(0.0, f64::max);
            Some(Part { median: median.checked_mul(amount)?, sigma })
        };
        medians.into_iter().map(part).collect()
    }

    fn iter(&self) -> impl Iterator<Item = &Row<'a>> {
        std::iter::once(&self.typical).chain(self.percentiles.iter().map(|(row, _)| row))
    }
}

/// The rows of a profile that carry a candidate's figures.
pub struct Rows<'a> {
    /// Seconds of a call.
    pub latency: Timed<'a>,
    /// Seconds for a unit of work, with the amount of work of a call.
    pub latency_per: Vec<(Timed<'a>, Decimal)>,
    /// Dollars of a call.
    pub cost: Option<Row<'a>>,
    /// Dollars for a unit of work, with the amount of work of a call.
    pub cost_per: Vec<(Row<'a>, Decimal)>,
    /// Quality.
    pub quality: Row<'a>,
    /// Gigabytes.
    pub memory: Option<Row<'a>>,
    /// Watts.
    pub power: Option<Row<'a>>,
}

impl<'a> Rows<'a> {
    /// Looks the rows up, the quality by a judge where there is one; `None` where latency or quality is missing.
    pub fn of(
        entry: &'a Implementation,
        candidate: &Candidate,
        work: &[(EcoString, Decimal)],
        judge: Option<&str>,
    ) -> Option<Rows<'a>> {
        let Candidate { task, knobs, device, units, .. } = candidate;
        let setting = Setting { task, knobs, device, units: *units, work, by: None };
        let said = |name: EcoString, setting: &Setting| {
            let (row, figure) = entry.profile.row(&name, setting)?;
            Some((RowId { implementation: entry.name.clone(), figure: name, row }, figure))
        };
        let row = |name: EcoString| said(name, &setting);
        let timed = |per: EcoString| {
            let percentiles =
                LEVELS.iter().filter_map(|(name, l)| Some((row(eco_format!("latency.{name}{per}"))?, *l)));
            Some(Timed { typical: row(eco_format!("latency{per}"))?, percentiles: percentiles.collect() })
        };
        let latency_per = work.iter().filter_map(|(n, amount)| Some((timed(eco_format!(".per.{n}"))?, *amount)));
        let cost_per = work.iter().filter_map(|(n, amount)| Some((row(eco_format!("cost.per.{n}"))?, *amount)));
        Some(Rows {
            latency: timed(EcoString::new())?,
            latency_per: latency_per.collect(),
            cost: row("cost".into()),
            cost_per: cost_per.collect(),
            quality: said("quality".into(), &Setting { by: judge, ..setting })?,
            memory: row("memory".into()),
            power: row("power".into()),
        })
    }

    /// Times that nobody says the spread of, but none at all.
    pub fn spreadless(&self) -> impl Iterator<Item = &RowId> {
        let timed = std::iter::once(&self.latency).chain(self.latency_per.iter().map(|(timed, _)| timed));
        let exact = |timed: &&Timed| {
            let (low, high) = timed.typical.1.interval;
            timed.percentiles.is_empty() && low == high && !high.is_zero()
        };
        timed.filter(exact).map(|timed| &timed.typical.0)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Row<'a>> {
        let timed = std::iter::once(&self.latency).chain(self.latency_per.iter().map(|(timed, _)| timed));
        let cost = self.cost.iter().chain(self.cost_per.iter().map(|(row, _)| row));
        timed.flat_map(Timed::iter).chain(cost).chain([&self.quality]).chain(&self.memory).chain(&self.power)
    }
}

impl Space {
    /// The rows that an option's figures rest on, by id. Empty for an option that does not exist.
    pub fn rests_on(&self, library: &Library, step: usize, option: usize) -> Vec<Basis> {
        let Some((candidate, _)) = self.option(step, option) else { return Vec::new() };
        let rows = self.rows(library, step, option);
        let basis = |(id, figure): &Row| Basis {
            id: id.clone(),
            value: figure.value,
            low: figure.interval.0,
            high: figure.interval.1,
            evidence: figure.evidence,
            source: figure.source.clone(),
        };
        let mut all: Vec<Basis> = rows.iter().flat_map(Rows::iter).map(basis).collect();
        all.extend(self.steps[step].role.as_ref().and_then(|role| role.basis(library, candidate)));
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// What an option's figures rest on, weakest first.
    pub fn evidence(&self, library: &Library, step: usize, option: usize) -> Vec<Evidence> {
        let Some((candidate, figured)) = self.option(step, option) else { return Vec::new() };
        let rows = self.rows(library, step, option);
        let mut all = rows.map_or_else(Vec::new, |rows| super::figures::evidence(&rows, &figured.work));
        all.extend(self.steps[step].role.iter().flat_map(|role| role.evidence(library, candidate)));
        all.sort();
        all
    }

    /// An option's figures, read otherwise; `None` where the option does not exist or a figure leaves the range of exact decimals.
    pub fn figures_at(&self, library: &Library, step: usize, option: usize, ends: &Ends) -> Option<Figures> {
        let (candidate, figured) = self.option(step, option)?;
        let entry = library.implementations.get(&candidate.implementation)?;
        let stated = self.steps.get(step)?;
        let (calls, role) = (figured.figures.calls, self.terms.role(step));
        let (in_turn, share, either) = (stated.in_turn, stated.share, stated.tool_of.is_some());
        let called = super::figures::Called { calls, in_turn, share, role, either };
        let rows = self.rows(library, step, option)?;
        let figures = super::figures::figures((entry, candidate), (&rows, &figured.work), called, &self.terms, ends)?;
        let role = self.steps.get(step).and_then(|step| step.role.as_ref());
        Some(match role {
            Some(role) => role.counted(figures, candidate, library, ends),
            None => figures,
        })
    }

    /// The same space with one row of a profile at another value. What leaves the range of exact decimals stays as it was.
    pub fn replacing(&self, library: &Library, row: &RowId, value: Decimal) -> Space {
        let mut space = self.clone();
        let ends = Ends { end: self.terms.end, replaced: Some((row.clone(), value)) };
        for (index, step) in space.steps.iter_mut().enumerate() {
            for number in 0..step.options.len() {
                let candidate = &step.candidates[step.options[number].candidate];
                let composed = step.role.as_ref().is_some_and(|role| role.way.composition == row.implementation);
                if (composed || candidate.implementation == row.implementation)
                    && let Some(figures) = self.figures_at(library, index, number, &ends)
                {
                    step.options[number].figures = figures;
                }
            }
        }
        space
    }

    /// The rows that carry an option's figures, the quality by the step's judge.
    fn rows<'l>(&self, library: &'l Library, step: usize, option: usize) -> Option<Rows<'l>> {
        let (candidate, figured) = self.option(step, option)?;
        let entry = library.implementations.get(&candidate.implementation)?;
        Rows::of(entry, candidate, &figured.work, self.steps[step].judge.as_deref())
    }

    fn option(&self, step: usize, option: usize) -> Option<(&Candidate, &super::Figured)> {
        let step = self.steps.get(step)?;
        let figured = step.options.get(option)?;
        Some((step.candidates.get(figured.candidate)?, figured))
    }
}
