//! Plan → the figures of the library that it and its close competitors rest on; one of them moved → what becomes of the plan.

use super::Asked;
use super::answer::FigureName;
use super::names::{carrier, line, said, shown};
use super::resolve::{Resolved, Twist, keeps, resolve};
use super::why::{is_soft, otherwise};
use crate::check::program::Metric;
use crate::compile::Prepared;
use crate::diag::source::Span;
use crate::plan::build::{total_of, totals_of};
use crate::plan::model::Totals;
use crate::solve::check::aggregate;
use crate::solve::outcome::{Outcome, Status};
use crate::solve::solve;
use crate::space::Space;
use crate::space::encode::{self, Encoded, Origin, encode, wishes};
use crate::space::ends::{Basis, End, RowId};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// A figure, with where it is used.
#[derive(Clone, Debug)]
pub struct Used {
    /// The row.
    pub basis: Basis,
    /// The value that the plan counts with: the worst end of the interval for a robust plan.
    pub value: Decimal,
    /// Whether the plan itself rests on it, or only a competitor.
    pub used: bool,
}

/// A row in words.
pub fn name(prepared: &Prepared, id: &RowId) -> FigureName {
    let entry = prepared.library.implementations.get(&id.implementation);
    FigureName {
        implementation: id.implementation.to_string(),
        figure: id.figure.to_string(),
        setting: entry.map_or_else(String::new, |e| e.profile.setting(&id.figure, id.row)),
    }
}

/// The figures that a plan rests on, or only one of its competitors does: for each step, the best plans that carry it out
/// otherwise, without the lines that they break. Memory is left out: it decides whether a candidate exists, not how good it is.
pub fn used(asked: &Asked) -> Vec<Used> {
    let mut found: BTreeMap<RowId, Used> = BTreeMap::new();
    let steps = asked.prepared.workflow.steps.len();
    let mut add = |choice: &[usize], used: bool| {
        for (step, option) in choice.iter().enumerate() {
            for basis in asked.prepared.space.rests_on(asked.prepared.library, step, *option) {
                if basis.id.figure != "memory" {
                    let value = counted(asked.prepared, &basis);
                    found.entry(basis.id.clone()).or_insert(Used { basis, value, used: false }).used |= used;
                }
            }
        }
    };
    add(asked.choice, true);
    let mut seen: BTreeSet<Vec<usize>> = BTreeSet::new();
    for step in 0..steps {
        for (_, fits) in otherwise(asked, step, asked.candidate(step, asked.choice)) {
            let mut twist = Twist { only: Some((step, &*fits)), wishes: Some(1), ..Twist::default() };
            let mut plan = resolve(asked, &twist);
            // What breaks a line competes as well: with other figures it might keep it.
            let core = if let Resolved::Conflict(conflict) = &plan { conflict.core.clone() } else { Vec::new() };
            if !core.is_empty() {
                twist.without = &core;
                plan = resolve(asked, &twist);
            }
            if let Resolved::Plan(plan) = plan
                && seen.insert(plan.choice.clone())
            {
                add(&plan.choice, false);
            }
        }
    }
    found.into_values().collect()
}

fn counted(prepared: &Prepared, basis: &Basis) -> Decimal {
    match (prepared.end, basis.id.figure == "quality") {
        (End::Typical, _) => basis.value,
        (End::Worst, false) | (End::Best, true) => basis.high,
        (End::Worst, true) | (End::Best, false) => basis.low,
    }
}

/// What becomes of a plan where a figure is another one.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It stays the best.
    Same,
    /// It breaks a line.
    Breaks(String),
    /// Another one is better: by so much in the first wish, and what it does otherwise.
    Beaten(Decimal, String),
    /// The limits of the search were reached.
    Unknown,
}

/// What becomes of the plan where a row has another value.
pub fn fate(asked: &Asked, id: &RowId, value: Decimal) -> Fate {
    let prepared = asked.prepared;
    let (job, library) = (&prepared.job, prepared.library);
    let space = prepared.space.replacing(library, id, value);
    let total = |choice: &[usize]| totals_of(choice, &space, &job.quality_rule, library);
    let mine = total(asked.choice);
    let limits =
        asked.encoded.origins.iter().filter_map(|o| if let Origin::Clause(c) = o { Some((o, c)) } else { None });
    if let Some((origin, _)) = limits.clone().find(|(_, c)| !keeps(c.metric, c.limit, &mine)) {
        return Fate::Breaks(format!("breaks {}", said(&line(asked, origin))));
    }
    // A line that could not be kept may now be: it comes before every wish.
    for other in broken(asked) {
        let mut kept = kept(asked, place(&other));
        kept.push(other.clone());
        let mut problem = encoding(asked, &space, &kept, asked.strict).problem;
        problem.wishes.truncate(1);
        match solve(&problem, &asked.limits) {
            Outcome::Solved(found) if keeps_line(&other, &total(&found.choice)) => {
                return Fate::Beaten(Decimal::ZERO, format!("a plan that keeps {}", said(&line(asked, &other))));
            }
            Outcome::Solved(_) | Outcome::Conflict(_) => {}
            Outcome::Unknown(_) => return Fate::Unknown,
        }
    }
    let mut strict = asked.strict.clone();
    loop {
        let encoded = encoding(asked, &space, &kept(asked, u32::MAX), &strict);
        let Outcome::Solved(best) = solve(&encoded.problem, &asked.limits) else { return Fate::Unknown };
        if best.proof.status != Status::Optimal {
            return Fate::Unknown;
        }
        let own: Vec<i64> = encoded
            .problem
            .wishes
            .iter()
            .map(|w| aggregate(&encoded.problem, asked.choice, w.figure, w.over).map_or(i64::MAX, |v| v as i64))
            .collect();
        if best.values >= own {
            return Fate::Same;
        }
        let theirs = total(&best.choice);
        let broken = limits.clone().filter(|(_, c)| !keeps(c.metric, c.limit, &theirs)).map(|(_, c)| c.span);
        let new: Vec<_> = broken.filter(|span| !strict.contains(span)).collect();
        if new.is_empty() {
            let metric = wishes(job).first().copied().unwrap_or(Metric::Cost);
            let lost = (total_of(metric, &mine) - total_of(metric, &theirs)).abs();
            return Fate::Beaten(lost, otherwise_said(asked, &best.choice));
        }
        strict.extend(new);
    }
}

/// Whether totals keep a line; what is no limit has been kept by the solver.
fn keeps_line(origin: &Origin, total: &Totals) -> bool {
    if let Origin::Clause(c) = origin { keeps(c.metric, c.limit, total) } else { true }
}

/// The soft lines that the plan keeps and that stand before a place.
fn kept(asked: &Asked, before: u32) -> Vec<Origin> {
    let soft = asked.encoded.origins.iter().filter(|o| is_soft(asked, o));
    soft.filter(|o| place(o) < before).cloned().collect()
}

fn place(origin: &Origin) -> u32 {
    match origin {
        Origin::Clause(c) => c.span.start,
        Origin::Rule(r) | Origin::Called(r, _) => r.span.start,
        Origin::StepPin(_, pin) => pin.span.start,
        Origin::EnergyKnown(_, span) | Origin::AgentCost(_, _, span) => span.start,
    }
}

/// The soft lines that the plan breaks.
fn broken(asked: &Asked) -> Vec<Origin> {
    let job = &asked.prepared.job;
    let clauses = job.preferred.iter().cloned().map(Origin::Clause);
    let soft = clauses.chain(job.rules.iter().filter(|r| r.soft).cloned().map(Origin::Rule));
    let held: Vec<u32> = kept(asked, u32::MAX).iter().map(place).collect();
    soft.filter(|o| !held.contains(&place(o))).collect()
}

/// The problem of the plan's job, over a space with other figures.
fn encoding(asked: &Asked, space: &Space, kept: &[Origin], strict: &BTreeSet<Span>) -> Encoded {
    let Prepared { job, workflow, library, machines, .. } = asked.prepared;
    encode(&encode::Input { job, kept, workflow, space, library, machines, strict })
}

/// `caption: clip on cpu * 1 instead of blip on a100 * 1, and 2 other steps`
fn otherwise_said(asked: &Asked, choice: &[usize]) -> String {
    let steps = asked.prepared.workflow.steps.iter().enumerate();
    let changed: Vec<String> = steps
        .filter(|(at, _)| asked.candidate(*at, choice) != asked.candidate(*at, asked.choice))
        .map(|(at, s)| {
            let (new, old) = (asked.candidate(at, choice), asked.candidate(at, asked.choice));
            format!("{}: {} instead of {}", s.name, shown(&carrier(new)), shown(&carrier(old)))
        })
        .collect();
    match changed.as_slice() {
        [] => "a plan of the same choices".to_string(),
        [one] => one.clone(),
        [one, rest @ ..] => {
            format!("{one}, and {}", crate::units::counted(rest.len(), "other step"))
        }
    }
}
