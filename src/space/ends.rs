//! Profile rows → figures read at one end of their intervals, or with one row replaced.

use super::{Candidate, Figures, Space};
use crate::library::evidence::EvidenceKind;
use crate::library::profile::{Figure, Setting};
use crate::library::{Implementation, Library};
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;

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

    /// The value of a row.
    pub fn value(&self, id: &RowId, figure: &Figure) -> Decimal {
        match &self.replaced {
            Some((replaced, value)) if replaced == id => *value,
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

/// The rows of a profile that carry a candidate's figures.
pub struct Rows<'a> {
    /// Seconds of a call.
    pub latency: Row<'a>,
    /// Seconds for a unit of work, with the amount of work of a call.
    pub latency_per: Vec<(Row<'a>, Decimal)>,
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
    /// Looks the rows up; `None` where latency or quality is missing.
    pub fn of(entry: &'a Implementation, candidate: &Candidate, work: &[(EcoString, Decimal)]) -> Option<Rows<'a>> {
        let setting = Setting { knobs: &candidate.knobs, device: &candidate.device, units: candidate.units };
        let row = |name: EcoString| {
            let (row, figure) = entry.profile.row(&name, &setting)?;
            Some((RowId { implementation: entry.name.clone(), figure: name, row }, figure))
        };
        let per = |figure: &str| {
            let rows = work.iter().filter_map(|(n, amount)| Some((row(eco_format!("{figure}.per.{n}"))?, *amount)));
            rows.collect()
        };
        Some(Rows {
            latency: row("latency".into())?,
            latency_per: per("latency"),
            cost: row("cost".into()),
            cost_per: per("cost"),
            quality: row("quality".into())?,
            memory: row("memory".into()),
            power: row("power".into()),
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Row<'a>> {
        let per = self.latency_per.iter().chain(&self.cost_per).map(|(row, _)| row);
        [&self.latency, &self.quality].into_iter().chain(per).chain(&self.cost).chain(&self.memory).chain(&self.power)
    }
}

impl Space {
    /// The rows that an option's figures rest on, by id. Empty for an option that does not exist.
    pub fn rests_on(&self, library: &Library, step: usize, option: usize) -> Vec<Basis> {
        let Some((candidate, figured)) = self.option(step, option) else { return Vec::new() };
        let entry = library.implementations.get(&candidate.implementation);
        let rows = entry.and_then(|entry| Rows::of(entry, candidate, &figured.work));
        let basis = |(id, figure): &Row| Basis {
            id: id.clone(),
            value: figure.value,
            low: figure.interval.0,
            high: figure.interval.1,
            evidence: figure.evidence,
            source: figure.source.clone(),
        };
        let mut all: Vec<Basis> = rows.iter().flat_map(Rows::iter).map(basis).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// An option's figures, read otherwise; `None` where the option does not exist or a figure leaves the range of exact decimals.
    pub fn figures_at(&self, library: &Library, step: usize, option: usize, ends: &Ends) -> Option<Figures> {
        let (candidate, figured) = self.option(step, option)?;
        let entry = library.implementations.get(&candidate.implementation)?;
        super::figures::figures_with(entry, candidate, &figured.work, figured.figures.calls, &self.terms, ends)
    }

    /// The same space with one row of a profile at another value. What leaves the range of exact decimals stays as it was.
    pub fn replacing(&self, library: &Library, row: &RowId, value: Decimal) -> Space {
        let mut space = self.clone();
        let ends = Ends { end: self.terms.end, replaced: Some((row.clone(), value)) };
        for (index, step) in space.steps.iter_mut().enumerate() {
            for number in 0..step.options.len() {
                let candidate = &step.candidates[step.options[number].candidate];
                if candidate.implementation == row.implementation
                    && let Some(figures) = self.figures_at(library, index, number, &ends)
                {
                    step.options[number].figures = figures;
                }
            }
        }
        space
    }

    fn option(&self, step: usize, option: usize) -> Option<(&Candidate, &super::Figured)> {
        let step = self.steps.get(step)?;
        let figured = step.options.get(option)?;
        Some((step.candidates.get(figured.candidate)?, figured))
    }
}
