//! Prepared jobs with their rates + a cluster → the joint integer problem, and which instance each of its kinds is.

use super::instance::{Carried, Instance, fees as fees_of, up};
use super::ladder::{self, Rungs, Tool};
use super::model::Switching;
use crate::check::program::Metric;
use crate::compile::{Decision, Prepared};
use crate::diag::source::Span;
use crate::plan::build::predicted;
use crate::solve::joint::problem::{Fleet, Job, Kind, Pool};
use crate::solve::problem::{Bound, Clause, Figure, Problem};
use crate::space::Machines;
use crate::space::encode::{NO_LIMIT, Origin, up as rounded};
use ecow::EcoString;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};

/// A job of the fleet.
pub struct Member<'a> {
    /// Its file, as it was given.
    pub file: String,
    /// Everything that could carry it out.
    pub prepared: Prepared<'a>,
    /// What it is planned like alone.
    pub alone: Decision,
    /// Runs a second.
    pub rate: Decimal,
}

impl Member<'_> {
    /// The places of the soft lines that its plan alone keeps, in order.
    pub fn kept(&self) -> BTreeSet<Span> {
        let job = &self.prepared.job;
        let soft = job.preferred.iter().map(|c| c.span).chain(job.rules.iter().filter(|r| r.soft).map(|r| r.span));
        let soft: BTreeSet<Span> = soft.collect();
        self.alone.encoded.origins.iter().map(Origin::span).filter(|span| soft.contains(span)).collect()
    }
}

/// A soft line: the number of its job, and its place.
pub type Soft = (usize, Span);

/// What a joint plan is made under.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The share of its time that a replica may be busy.
    pub utilisation: Decimal,
    /// What switching costs.
    pub switching: Switching,
    /// Replicas that run now.
    pub running: BTreeMap<Instance, i64>,
}

/// The joint problem, and what it is about.
pub struct Translated {
    /// For the engine.
    pub fleet: Fleet,
    /// By kind.
    pub instances: Vec<Instance>,
    /// The gigabytes that a replica fills, by kind; 0 where starting one does not depend on it.
    pub memory: Vec<Decimal>,
    /// The soft lines that bind nothing.
    pub broken: BTreeSet<Soft>,
}

/// Translates; the soft lines of `broken` bind nothing.
pub fn translate(
    members: &[Member],
    machines: &Machines,
    settings: &Settings,
    broken: &BTreeSet<Soft>,
) -> Result<Translated, String> {
    let pools: Vec<&EcoString> = machines.pools.keys().collect();
    let mut known: BTreeMap<Instance, usize> = BTreeMap::new();
    let mut instances: Vec<Instance> = Vec::new();
    let mut at = |instance: Instance| {
        *known.entry(instance.clone()).or_insert_with(|| {
            instances.push(instance);
            instances.len() - 1
        })
    };
    // What runs now is known even where no job of today could use it: it is stopped then.
    settings.running.keys().for_each(|instance| {
        at(instance.clone());
    });
    let mut jobs = Vec::new();
    let mut memory: BTreeMap<usize, Decimal> = BTreeMap::new();
    for (number, member) in members.iter().enumerate() {
        let Prepared { library, space, job, .. } = &member.prepared;
        let mut problem = member.alone.encoded.problem.clone();
        // Cost is what all jobs are to save together. What a job wishes before it, it gets as if it were alone.
        for (wish, value) in problem.wishes.iter().zip(&member.alone.solution.values) {
            if wish.figure == Figure::Cost {
                break;
            }
            let bound = Bound::AtMost { figure: wish.figure, over: wish.over, limit: *value };
            problem.clauses.push(Clause { bound });
        }
        for (clause, origin) in member.alone.encoded.origins.iter().enumerate() {
            if broken.contains(&(number, origin.span())) {
                unbind(&mut problem, clause);
            }
        }
        problem.wishes.clear();
        problem.capacities.clear();
        let mut fees = Vec::new();
        // Of each agent's tools: what the dearest one adds to a run and to an hour.
        let mut agents: BTreeMap<u32, (Vec<Tool>, Vec<Tool>)> = BTreeMap::new();
        for (at_step, (step, space)) in problem.steps.iter_mut().zip(&space.steps).enumerate() {
            let (mut own, mut by_run, mut by_hour) = (Vec::new(), Vec::new(), Vec::new());
            let mut kinds: BTreeMap<usize, Option<usize>> = BTreeMap::new();
            for (choice, option) in step.choices.iter_mut().zip(&space.options) {
                let candidate = &space.candidates[option.candidate];
                let entry = &library.implementations[&candidate.implementation];
                let predicted = predicted(&option.figures);
                let (calls, work) = (option.figures.calls, option.work.as_slice());
                let carried = Carried { entry, candidate, calls, work, predicted: &predicted };
                let too_much =
                    || format!("the load of `{}` at {} runs/s is too large to plan with", job.name, member.rate);
                choice.uses.clear();
                choice.opens.clear();
                // Options of a candidate differ in what is before them, not in what carries them out.
                choice.instance =
                    *kinds.entry(option.candidate).or_insert_with(|| Instance::of(entry, candidate).map(&mut at));
                if let Some(kind) = choice.instance {
                    choice.load = carried.load(member.rate).ok_or_else(too_much)?;
                    let fills = memory.entry(kind).or_default();
                    *fills = predicted.memory_gb.max(*fills);
                }
                let (fee, either) = fees_of(&candidate.device, &predicted, member.rate).ok_or_else(too_much)?;
                own.push(fee);
                by_run.push(rounded(option.figures.either, Metric::Cost));
                by_hour.push(either);
            }
            fees.push(own);
            if let Some(agent) = space.tool_of {
                let tools = agents.entry(agent).or_default();
                tools.0.push((at_step, by_run));
                tools.1.push((at_step, by_hour));
            }
        }
        let bounded = |clause: &Clause| matches!(clause.bound, Bound::AtMost { figure: Figure::Cost, .. });
        let bounded = problem.clauses.iter().any(bounded);
        let mut joint = Job { name: job.name.to_string(), problem, fees };
        for (by_run, by_hour) in agents.values() {
            // What a run of a tool by itself costs is among its figures already.
            if bounded && by_run.len() > 1 {
                ladder::add(&mut joint, by_run, Rungs::Run);
            }
            ladder::add(&mut joint, by_hour, Rungs::Hour);
        }
        jobs.push(joint);
    }
    let loads = !settings.switching.per_gb.is_zero();
    let filled = |kind: usize| memory.get(&kind).copied().filter(|_| loads).unwrap_or_default();
    let memory: Vec<Decimal> = (0..instances.len()).map(filled).collect();
    let capacity = (settings.utilisation * Decimal::from(1_000_000)).floor().to_i64().unwrap_or(0);
    let kinds = instances.iter().zip(&memory).map(|(instance, memory)| {
        if instance.is_account() {
            return account(instance);
        }
        let device = &instance.device;
        let hourly = machines.pools.get(device.as_str()).map_or(Decimal::ZERO, |(_, price)| *price);
        let price = hourly * Decimal::from(instance.units);
        let money = |value: Decimal| up(value).unwrap_or(crate::solve::joint::problem::MOST);
        let pool = pools.iter().position(|pool| *pool == device);
        Kind {
            name: instance.shown(),
            price: money(price),
            uses: pool.map(|pool| (pool, i64::from(instance.units))).into_iter().collect(),
            capacity,
            // The cluster may no longer have what runs there now.
            most: pool.is_none().then_some(0),
            running: settings.running.get(instance).copied().unwrap_or(0),
            start: if settings.running.is_empty() { 0 } else { money(price * settings.switching.starting(*memory)) },
            stop: if settings.running.is_empty() { 0 } else { money(price * settings.switching.stop) },
        }
    });
    let kinds = kinds.collect();
    let pools =
        machines.pools.iter().map(|(name, (units, _))| Pool { name: name.to_string(), units: i64::from(*units) });
    Ok(Translated { fleet: Fleet { pools: pools.collect(), kinds, jobs }, instances, memory, broken: broken.clone() })
}

/// Takes a clause its force, and leaves it where it is: others are known by their places.
fn unbind(problem: &mut Problem, clause: usize) {
    if let Bound::AtMost { limit, .. } = &mut problem.clauses[clause].bound {
        *limit = NO_LIMIT;
    }
    let choices = problem.steps.iter_mut().flat_map(|step| &mut step.choices);
    choices.for_each(|choice| choice.breaks.retain(|broken| *broken != clause));
}

/// What a provider takes: there is one of it, it costs nothing by itself, and its whole limit may be used.
fn account(instance: &Instance) -> Kind {
    Kind { name: instance.shown(), capacity: 1_000_000, most: Some(1), ..Kind::default() }
}
