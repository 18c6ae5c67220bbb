//! Candidate + shape → figures: latency, cost, energy, quality and memory of a step for all its calls in one run.

use super::compose::{self, Chooser, idle, possible};
use super::encode::beyond;
use super::ends::{Ends, Row, RowId, Rows, Timed};
use super::load;
use super::shape::{Missing, Shape, StepShape, evaluate, knob};
use super::table::{Table, assignments, union};
use super::tail::{self, Calls, Level, Part};
use super::{Candidate, Figured, Figures, Input, StepSpace, Streamed, Terms};
use crate::ir::stream::Role;
use crate::library::Implementation;
use crate::library::evidence::{Evidence, EvidenceKind};
use crate::library::profile::{Figure, Setting};
use crate::library::size::SizeExpr;
use crate::units::shown;
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Digits behind which a number of calls that was divided is taken for the whole number next to it.
const SETTLED: u32 = 12;
const HOUR: Decimal = Decimal::from_parts(3600, 0, 0, false, 0);

/// Computes the figures of every candidate of a step, for every combination of the upstream classes that reach it.
pub fn fill(
    index: usize,
    step: &mut StepSpace,
    shapes: &[Option<StepShape>],
    choosers: &BTreeMap<usize, Chooser>,
    terms: &Terms,
    input: &Input,
) {
    let Some(shape) = shapes.get(index).and_then(Option::as_ref) else { return };
    let task = &input.workflow.steps[index].task;
    let chooser = choosers.get(&index);
    let own = chooser.map(|c| [(c.step, c.classes)]);
    let (role, in_turn, share, either) = (terms.role(index), step.in_turn, step.share, step.tool_of.is_some());
    let mut options = Vec::new();
    let mut excluded = Vec::new();
    let mut rests_on = BTreeSet::new();
    for (number, candidate) in step.candidates.iter().enumerate() {
        let Some(entry) = input.library.implementations.get(&candidate.implementation) else { continue };
        // What does nothing itself has no figures; its options come behind.
        if candidate.is_idle() {
            continue;
        }
        let work = match work(task, entry, candidate, &shape.args, input) {
            Ok(work) => work,
            Err(missing) => {
                step.missing = Some(missing);
                continue;
            }
        };
        let mut all: Vec<&[(usize, u32)]> = work.iter().map(|(_, t)| t.deps()).collect();
        all.push(shape.calls.deps());
        all.extend(own.as_ref().map(|own| own.as_slice()));
        let deps = union(&all);
        let Some(assignments) = assignments(&deps) else {
            excluded.push((entry.name.clone(), "too many upstream knobs change its work".to_string()));
            continue;
        };
        for classes in assignments {
            let there = chooser.is_none_or(|c| classes.get(&c.step).copied() == c.here);
            if !there || !possible(&classes, choosers) {
                continue;
            }
            let amounts: Vec<(EcoString, Decimal)> = work.iter().map(|(n, t)| (n.clone(), t.at(&classes))).collect();
            let called = Called { calls: shape.calls.at(&classes), in_turn, share, role, either };
            let Candidate { task, knobs, device, units, .. } = candidate;
            let context =
                entry.profile.context(&Setting { task, knobs, device, units: *units, work: &amounts, by: None });
            if let Some(most) = context.filter(|most| tokens(&amounts) > *most) {
                let reason = (entry.name.clone(), format!("its context holds {most} tokens"));
                if !excluded.contains(&reason) {
                    excluded.push(reason);
                }
                continue;
            }
            let alone = option(number, entry, candidate, amounts, called, terms);
            // What a composition leaves of the errors is evidence like any other: it may be refused.
            match alone.map(|figured| as_part(figured, step.role.as_ref(), candidate, terms, input)) {
                Some(figured) if let Some(why) = overloaded(entry, candidate, &figured, terms, input) => {
                    excluded.push((entry.name.clone(), why));
                }
                Some(figured)
                    if let Some(why) = beyond(&figured.figures, figured.cost(), input.workflow.steps.len()) =>
                {
                    let reason = (entry.name.clone(), why);
                    if !excluded.contains(&reason) {
                        excluded.push(reason);
                    }
                }
                Some(figured) if let Some(why) = input.library.demand.refuses(&figured.evidence) => {
                    let reason = (entry.name.clone(), why);
                    if !excluded.contains(&reason) {
                        excluded.push(reason);
                    }
                }
                Some(figured) => {
                    let evidence = shared(&mut rests_on, figured.evidence);
                    options.push(Figured { needs: classes.into_iter().collect(), evidence, ..figured });
                }
                None => {
                    let amounts: Vec<_> = work.iter().map(|(n, t)| (n.clone(), t.at(&classes))).collect();
                    let Candidate { task, knobs, device, units, .. } = candidate;
                    let setting = Setting { task, knobs, device, units: *units, work: &amounts, by: None };
                    let too_large = || "its figures are too large to compute with".to_string();
                    let why = entry.profile.refusal(&setting).map_or_else(too_large, |why| why.to_string());
                    excluded.push((entry.name.clone(), why));
                }
            }
        }
    }
    options.extend(idle(step, chooser.copied()));
    step.options = options;
    step.excluded.extend(excluded);
}

/// The one copy of what options rest on: most of a step's rest on the same rows, and their sources are long.
fn shared(known: &mut BTreeSet<Arc<[Evidence]>>, evidence: Arc<[Evidence]>) -> Arc<[Evidence]> {
    if let Some(same) = known.get(&evidence) {
        return same.clone();
    }
    known.insert(evidence.clone());
    evidence
}

/// An option with its quality as it counts in the composition that the step is a part of.
fn as_part(
    option: Figured,
    role: Option<&compose::Role>,
    candidate: &Candidate,
    terms: &Terms,
    input: &Input,
) -> Figured {
    let Some(role) = role else { return option };
    let mut evidence = option.evidence.to_vec();
    evidence.extend(role.evidence(input.library, candidate));
    evidence.sort();
    let figures = role.counted(option.figures, candidate, input.library, &Ends::all(terms.end));
    Figured { figures, evidence: evidence.into(), ..option }
}

/// Why a candidate does not keep up with the job's rate; `None` where it does.
fn overloaded(
    entry: &Implementation,
    candidate: &Candidate,
    figured: &Figured,
    terms: &Terms,
    input: &Input,
) -> Option<String> {
    let rate = terms.rate?;
    if candidate.device == "api" {
        return load::refused((entry, candidate), rate, figured.figures.calls, &figured.work);
    }
    let (has, _) = terms.pools.get(&candidate.device)?;
    let needed = u64::from(figured.figures.replicas) * u64::from(candidate.units);
    let (device, machines) = (&candidate.device, &input.machines.name);
    (needed > u64::from(*has)).then(|| format!("the load needs {needed} `{device}`, and `{machines}` has {has}"))
}

/// How a step is called in one run.
#[derive(Clone, Copy, Debug)]
pub struct Called {
    /// How often.
    pub calls: Decimal,
    /// Into how many parts loops divide these, of which each waits for the one before.
    pub in_turn: Decimal,
    /// The share of runs in which it is called at all.
    pub share: Decimal,
    /// What it is to the job's result.
    pub role: Role,
    /// Whether each call is one that another tool of an agent does not have.
    pub either: bool,
}

/// A candidate with its figures, for so much work a call and so many calls.
fn option(
    number: usize,
    entry: &Implementation,
    candidate: &Candidate,
    work: Vec<(EcoString, Decimal)>,
    called: Called,
    terms: &Terms,
) -> Option<Figured> {
    let rows = Rows::of(entry, candidate, &work, None)?;
    let figures = figures((entry, candidate), (&rows, &work), called, terms, &Ends::all(terms.end))?;
    let evidence = evidence(&rows, &work).into();
    Some(Figured { candidate: number, needs: Vec::new(), shared: None, work, figures, evidence })
}

/// The work of one call by dimension; the implementation's own rule before the task's.
fn work(
    task: &str,
    entry: &Implementation,
    candidate: &Candidate,
    args: &BTreeMap<EcoString, Shape>,
    input: &Input,
) -> Result<Vec<(EcoString, Table)>, Missing> {
    let of_task = input.library.tasks.get(task).map_or(&[][..], |t| &t.work);
    let mut rules: Vec<&(EcoString, SizeExpr)> = entry.work.iter().collect();
    rules.extend(of_task.iter().filter(|(n, _)| !entry.work.iter().any(|(own, _)| own == n)));
    let mut out = Vec::with_capacity(rules.len());
    for (name, expr) in rules {
        out.push((name.clone(), evaluate(expr, args, &|n| knob(candidate, n))?));
    }
    Ok(out)
}

/// The figures of a candidate for so much work a call and so many calls, read as `ends` says; `None` where they leave the range
/// of exact decimals.
pub fn figures_with(
    entry: &Implementation,
    candidate: &Candidate,
    work: &[(EcoString, Decimal)],
    called: Called,
    terms: &Terms,
    ends: &Ends,
) -> Option<Figures> {
    figures((entry, candidate), (&Rows::of(entry, candidate, work, None)?, work), called, terms, ends)
}

/// The same from the rows of its profile.
pub fn figures(
    (entry, candidate): (&Implementation, &Candidate),
    (rows, work): (&Rows, &[(EcoString, Decimal)]),
    Called { calls, in_turn, share, role, either }: Called,
    terms: &Terms,
    ends: &Ends,
) -> Option<Figures> {
    let value = |(id, figure): &Row| ends.value(id, figure);
    let optional = |row: &Option<Row>| row.as_ref().map(value);
    let mut once = value(&rows.latency.typical);
    for (timed, amount) in &rows.latency_per {
        once = once.checked_add(value(&timed.typical).checked_mul(*amount)?)?;
    }
    let mut fee = optional(&rows.cost).unwrap_or_default();
    for (row, amount) in &rows.cost_per {
        fee = fee.checked_add(value(row).checked_mul(*amount)?)?;
    }
    let calls_at_once = Calls { count: calls, width: load::width(entry, candidate), in_turn };
    // A provider that takes only so many calls a minute puts the last one off, however many may be under way.
    let spread = load::spread((entry, candidate), calls, work)?;
    let least = if spread.is_zero() { Decimal::ZERO } else { spread.checked_add(once)? };
    let latency = once.checked_mul(calls_at_once.rounds())?.max(least);
    let late = |level| Some(late(rows, calls_at_once, level, terms, ends)?.max(least));
    let (latency_p95, latency_p99) = (late(Level::P95)?, late(Level::P99)?);
    let streamed = match role {
        Role::Gives { .. } => streamed(rows, calls_at_once, (once, spread), terms, ends)?,
        Role::Before | Role::Aside => None,
    };
    // Calls that are under way at once keep the hardware busy once; under a load, other runs' calls fill a batch.
    let busy = match terms.rate {
        Some(_) => once.checked_mul(calls)?.checked_div(calls_at_once.width)?,
        None if share == Decimal::ONE || calls.is_zero() => latency,
        // Of all runs, so many keep it busy for as long as the calls take where there are any.
        None => {
            let count = calls.checked_div(share)?.round_dp(SETTLED);
            once.checked_mul(Calls { count, ..calls_at_once }.rounds())?.checked_mul(share)?
        }
    };
    let own = candidate.device != "api";
    let replicas = if own { load::replicas(terms.rate, busy)? } else { 1 };
    let hourly = terms.pools.get(&candidate.device).map_or(Decimal::ZERO, |(_, price)| *price);
    // Under a load the hardware stands ready, and a run pays its part of all the time.
    let standing = match terms.rate {
        Some(rate) => load::standing(candidate.units, replicas, hourly, rate)?,
        None => Decimal::ZERO,
    };
    let rent = match terms.rate {
        Some(_) => standing,
        None => busy.checked_mul(hourly)?.checked_mul(Decimal::from(candidate.units))? / HOUR,
    };
    let fees = fee.checked_mul(calls)?;
    let cost = fees.checked_add(rent)?;
    // Calls that are under way at once share their rent, and then it does not grow with each of them.
    let by_call = terms.rate.is_none() && calls_at_once.at_once() == Decimal::ONE;
    let either = if !either {
        Decimal::ZERO
    } else if by_call {
        cost
    } else {
        fees
    };
    let energy = match optional(&rows.power) {
        Some(watts) => Some(watts.checked_mul(busy)? / HOUR),
        None => None,
    };
    let quality = value(&rows.quality).min(Decimal::ONE);
    let memory = optional(&rows.memory).unwrap_or_default();
    Some(Figures {
        calls,
        replicas,
        busy,
        standing,
        latency,
        latency_p95,
        latency_p99,
        streamed,
        cost,
        either,
        energy,
        quality,
        memory,
    })
}

/// What a call reads and writes, in tokens.
fn tokens(work: &[(EcoString, Decimal)]) -> Decimal {
    let of = work.iter().filter(|(name, _)| name == "input" || name == TOKENS);
    of.fold(Decimal::ZERO, |sum, (_, amount)| sum.saturating_add(*amount))
}

/// The time of all calls that a share of the runs stays within.
fn late(rows: &Rows, calls: Calls, level: Level, terms: &Terms, ends: &Ends) -> Option<Decimal> {
    let parts: Option<Vec<Vec<Part>>> = timed(rows).map(|(timed, amount)| timed.parts(amount, ends)).collect();
    tail::step(&parts?, calls, level, terms.combine)
}

/// The work whose amount is the tokens of an answer.
const TOKENS: &str = "output";

/// The times of a step whose tokens are the result's: all calls but the last ones in full, and those up to their first token; the last one
/// begins no sooner than a provider's limits let it. `None` inside where its profile does not tell tokens apart; outside beyond the range
/// of exact decimals.
fn streamed(
    rows: &Rows,
    calls: Calls,
    (once, spread): (Decimal, Decimal),
    terms: &Terms,
    ends: &Ends,
) -> Option<Option<Streamed>> {
    let each = |t: &Timed| t.typical.0.figure == format!("latency.per.{TOKENS}");
    let Some((token, tokens)) = rows.latency_per.iter().find(|(timed, _)| each(timed)) else { return Some(None) };
    if tokens.is_zero() || calls.rounds().is_zero() {
        return Some(None);
    }
    let tpot = ends.value(&token.typical.0, token.typical.1);
    let first = once.checked_sub(tpot.checked_mul(*tokens)?)?;
    // A plan of composed calls is held to the same share as the space that it was chosen from.
    let giving = || terms.roles.iter().filter(|r| matches!(r, Role::Gives { .. })).count() as u64;
    let gives = terms.parts.unwrap_or_else(giving).max(1);
    let parts: Option<Vec<Vec<Part>>> = timed(rows).map(|(timed, amount)| timed.parts(amount, ends)).collect();
    let firsts = timed(rows).filter(|(timed, _)| !each(timed));
    let firsts: Option<Vec<Vec<Part>>> = firsts.map(|(timed, amount)| timed.parts(amount, ends)).collect();
    let (parts, firsts, token) = (parts?, firsts?, token.parts(Decimal::ONE, ends)?);
    let least = if spread.is_zero() { Decimal::ZERO } else { spread.checked_add(first)? };
    let late = |level| Some(tail::until(&parts, &firsts, calls, level, terms.combine)?.max(least));
    let slow = |level| tail::largest(&token, calls, level, gives);
    Some(Some(Streamed {
        ttft_s: once.checked_mul(calls.rounds() - Decimal::ONE)?.checked_add(first)?.max(least),
        ttft_p95_s: late(Level::P95)?,
        ttft_p99_s: late(Level::P99)?,
        tpot_s: tpot,
        tpot_p95_s: slow(Level::P95)?,
        tpot_p99_s: slow(Level::P99)?,
    }))
}

/// The parts of a call's time, each with its amount of work.
fn timed<'r>(rows: &'r Rows<'r>) -> impl Iterator<Item = (&'r Timed<'r>, Decimal)> {
    std::iter::once((&rows.latency, Decimal::ONE)).chain(rows.latency_per.iter().map(|(t, a)| (t, *a)))
}

/// What rows rest on, weakest first.
pub fn evidence(rows: &Rows, work: &[(EcoString, Decimal)]) -> Vec<Evidence> {
    let outside = |f: &Figure| {
        let said = f.outside(work).map(|(at, amount)| format!("for {at}, and a call has {}", shown(amount, 0)));
        let how = if f.evidence == EvidenceKind::Estimated { "outside of what was checked" } else { "taken otherwise" };
        said.or_else(|| Some(format!("{how}: {}", f.unchecked.as_ref()?)))
    };
    let exact: Vec<&RowId> = rows.spreadless().collect();
    let mut all: Vec<Evidence> = rows
        .iter()
        .map(|(id, f)| Evidence {
            kind: f.evidence,
            figure: id.figure.to_string(),
            source: f.source.to_string(),
            outside: outside(f),
            unbounded: f.is_unbounded(&id.figure),
            exact: exact.contains(&id),
        })
        .collect();
    all.sort();
    all
}
