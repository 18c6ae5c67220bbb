//! Plan → by how much each figure must move until the plan is another one, and which measurement is worth most.

use super::Asked;
use super::answer::{FigureMoves, Move, Sensitivity, Value};
use super::figures::{Fate, Used, fate, name, used};
use crate::check::program::Metric;
use crate::space::encode::wishes;
use rust_decimal::{Decimal, dec};
use std::cell::Cell;

/// Figures are moved to this many times their value at most.
const UP_TO: Decimal = dec!(10);
/// Where a figure of the plan is tried, as multiples of its value: nearest first, since what happens first is what is looked for.
const UP: [Decimal; 4] = [dec!(1.2), dec!(1.7), dec!(3), UP_TO];
const DOWN: [Decimal; 4] = [dec!(0.8), dec!(0.5), dec!(0.1), dec!(0)];
/// A move is known to this part of the figure.
const FINE: Decimal = dec!(0.002);

/// Counts re-solves, so that the work stays bounded.
pub struct Work {
    left: Cell<usize>,
}

impl Work {
    /// At most so many re-solves.
    pub fn of(most: usize) -> Work {
        Work { left: Cell::new(most) }
    }

    fn take(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

/// By how much each figure must move, and which to measure first.
pub fn sensitivity(asked: &Asked, work: &Work) -> Sensitivity {
    let all = used(asked);
    let (measure_first, mut cut) = measure(asked, &all, work);
    let mut figures = Vec::new();
    for figure in &all {
        let (Ok(down), Ok(up)) = (first(asked, figure, &DOWN, work), first(asked, figure, &UP, work)) else {
            cut += 1;
            continue;
        };
        figures.push(FigureMoves {
            name: name(asked.prepared, &figure.basis.id),
            value: figure.value.normalize(),
            evidence: figure.basis.evidence,
            source: figure.basis.source.to_string(),
            used: figure.used,
            down,
            up,
        });
    }
    let smallest = |f: &FigureMoves| f.down.iter().chain(&f.up).map(|m| m.ratio.abs()).min().unwrap_or(Decimal::MAX);
    figures.sort_by(|a, b| smallest(a).cmp(&smallest(b)).then_with(|| a.name.cmp(&b.name)));
    Sensitivity {
        wish: wish(asked).name().to_string(),
        figures,
        measure_first,
        up_to: UP_TO,
        bounded: (cut > 0).then(|| format!("{cut} questions were not answered within the limits of the search")),
    }
}

fn wish(asked: &Asked) -> Metric {
    wishes(&asked.prepared.job).first().copied().unwrap_or(Metric::Cost)
}

/// Figures with an interval, by what is lost at an end of it if the plan is kept; and how many questions had no answer.
pub fn measure(asked: &Asked, all: &[Used], work: &Work) -> (Vec<Value>, usize) {
    let (mut found, mut cut) = (Vec::new(), 0);
    for figure in all.iter().filter(|f| f.basis.low < f.basis.high) {
        let mut worst: Option<Value> = None;
        for at in [figure.basis.low, figure.basis.high].into_iter().filter(|at| *at != figure.value) {
            if cannot_matter(figure, at) {
                continue;
            }
            let (regret, then) = match asked_at(asked, figure, at, work) {
                Fate::Same => continue,
                Fate::Unknown => {
                    cut += 1;
                    continue;
                }
                Fate::Breaks(then) => (None, then),
                Fate::Beaten(lost, then) => (Some(lost.normalize()), then),
            };
            if worst.as_ref().is_none_or(|w| w.regret.is_some() && (regret.is_none() || regret > w.regret)) {
                worst = Some(Value {
                    name: name(asked.prepared, &figure.basis.id),
                    interval: (figure.basis.low.normalize(), figure.basis.high.normalize()),
                    evidence: figure.basis.evidence,
                    source: figure.basis.source.to_string(),
                    regret,
                    at: at.normalize(),
                    then,
                });
            }
        }
        found.extend(worst);
    }
    // A plan that may break a line is worth more to know of than one that is merely beaten.
    found.sort_by(|a, b| {
        let key = |v: &Value| (v.regret.is_some(), std::cmp::Reverse(v.regret.unwrap_or_default()));
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    (found, cut)
}

fn asked_at(asked: &Asked, figure: &Used, at: Decimal, work: &Work) -> Fate {
    if work.take() { fate(asked, &figure.basis.id, at) } else { Fate::Unknown }
}

/// What only competitors rest on can move against them as far as it likes.
fn cannot_matter(figure: &Used, to: Decimal) -> bool {
    let worse = (to > figure.value) != (figure.basis.id.figure == "quality");
    !figure.used && worse
}

/// The first of some moves that changes the plan, brought near by bisection; `Err` where the search was cut short.
fn first(asked: &Asked, figure: &Used, moves: &[Decimal], work: &Work) -> Result<Option<Move>, ()> {
    let most = if figure.basis.id.figure == "quality" { Decimal::ONE } else { Decimal::MAX };
    let mut last = figure.value;
    // A competitor only gains as its figure gets better: where it gains nothing at the end, it gains nothing before.
    let moves = if figure.used { moves } else { &moves[moves.len() - 1..] };
    for multiple in moves {
        let Some(to) = figure.value.checked_mul(*multiple).map(|to| to.min(most)) else { break };
        if to == last || cannot_matter(figure, to) {
            continue;
        }
        match asked_at(asked, figure, to, work) {
            Fate::Unknown => return Err(()),
            Fate::Same => last = to,
            fate => return nearer(asked, figure, last, to, fate, work).map(Some),
        }
    }
    Ok(None)
}

/// Between a value that keeps the plan and one that does not: the first that does not.
fn nearer(asked: &Asked, figure: &Used, keeps: Decimal, changes: Decimal, then: Fate, work: &Work) -> Result<Move, ()> {
    let (mut keeps, mut changes, mut then) = (keeps, changes, then);
    let fine = figure.value * FINE;
    while (changes - keeps).abs() > fine {
        let middle = (keeps + changes) / Decimal::TWO;
        match asked_at(asked, figure, middle, work) {
            Fate::Unknown => return Err(()),
            Fate::Same => keeps = middle,
            fate => (changes, then) = (middle, fate),
        }
    }
    let then = match then {
        Fate::Breaks(line) => line,
        Fate::Beaten(_, otherwise) => otherwise,
        Fate::Same | Fate::Unknown => String::new(),
    };
    let ratio = (changes - figure.value).checked_div(figure.value).unwrap_or_default().round_dp(4).normalize();
    Ok(Move { to: changes.round_sf(6).unwrap_or(changes).normalize(), ratio, then })
}
