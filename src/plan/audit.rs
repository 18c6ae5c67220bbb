//! Plan + the job that it claims to be for → what the plan does not keep of it. Every clause, rule and pin is read from the
//! checked job again and judged on the plan alone; nothing of the solver or of its encoding is used.

use super::model::{Plan, PlanClause, PlanComposition, PlanPart, PlanStep};
use super::{compose, fallback};
use crate::check::program::{Clause, Job, Metric, Pin, Program, Rule, RuleKind};
use crate::diag::Diagnostics;
use crate::ir::lower::lower;
use crate::ir::resolve::{Resolved, resolve};
use crate::ir::workflow::{Node, Operand, Region, ValueId, Way};
use crate::library::Library;
use crate::space::{limits, reporters};
use crate::units::counted;
use ecow::EcoString;
use std::collections::BTreeSet;

/// Checks that a plan is for this job and keeps all that the job asks. Empty where it does.
pub fn audit(plan: &Plan, job: &Job, program: &Program, library: &Library) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(workflow) = lower(job, program) else {
        return vec![format!("`{}` has open holes", job.name)];
    };
    // Where a tier stands for no number, the plan does not state the clause.
    let mut settled = job.clone();
    let sizes = plan.inputs.iter().map(|input| {
        let sizes = input.sizes.iter().map(|(name, value)| (name.as_str().into(), *value));
        (input.name.as_str().into(), sizes.collect())
    });
    limits::settle(&mut settled, &workflow, library, &sizes.collect(), &mut Diagnostics::default());
    let job = &settled;
    let whole = workflow;
    let picked: Result<Vec<Option<usize>>, String> =
        (0..whole.steps.len()).map(|step| compose::pick(plan, &whole, step)).collect();
    let picked = match picked {
        Ok(picked) => picked,
        Err(why) => return vec![why],
    };
    if picked.iter().flatten().count() != plan.compositions.len() {
        return vec!["the plan composes calls that the job does not have".to_string()];
    }
    let Resolved { workflow, from } = resolve(&whole, &|step| picked[step]);
    let tasks = workflow.steps.iter().map(|s| s.task.as_str());
    if workflow.body != plan.body || !tasks.eq(plan.steps.iter().map(|s| s.task.as_str())) {
        return vec![format!("the data flow is not that of `{}`", job.name)];
    }
    let inputs = workflow.inputs.iter().map(|(n, t, v)| (n.as_str(), t, *v));
    if !inputs.eq(plan.inputs.iter().map(|i| (i.name.as_str(), &i.ty, i.value))) || workflow.result != plan.result {
        wrong.push(format!("the inputs or the result are not those of `{}`", job.name));
    }
    let rule = &job.quality_rule;
    if plan.quality_rule != rule.name() || plan.measured_quality.as_ref() != rule.table() {
        let table = rule.table().map_or(String::new(), |t| format!(" of `{}` as it now is", t.table));
        wrong.push(format!("the job's rule of quality is `{}`{table}", rule.name()));
    }
    let rate = job.rate_per_s();
    let trace = job.rate.as_ref().and_then(|rate| rate.trace.as_deref());
    if plan.rate_per_s != rate || plan.rate_from.as_deref() != trace {
        let now = rate.map_or("none".to_string(), |rate| format!("{} requests/s", rate.normalize()));
        let by = trace.map_or(String::new(), |trace| format!(" by `{trace}` as it now is"));
        wrong.push(format!("the job's rate is another: {now}{by}"));
    }
    let mut expected = 0;
    for (clause, soft) in job.clauses.iter().map(|c| (c, false)).chain(job.preferred.iter().map(|c| (c, true))) {
        expected += 1;
        if !plan.clauses.iter().any(|c| states(c, clause, soft)) {
            wrong.push(format!("`{}` of the job is not a clause of the plan", clause.text));
        }
    }
    for rule in &job.rules {
        expected += 1;
        let stated = plan.clauses.iter().find(|c| c.metric == "rule" && c.text == rule.text && c.soft == rule.soft);
        let offers = |s: &PlanStep| from.get(s.id.0 as usize).map_or(&[][..], |old| whole.steps[*old].ways.as_slice());
        let all = plan.steps.iter().flat_map(|s| std::iter::once(s.clone()).chain(fallback::in_place(s)));
        let touched = personal(rule, plan, job);
        let breaking = all.into_iter().find(|s| !keeps(s, offers(s), rule, &touched, library));
        let breaking = breaking.as_ref().map(|s| s.name.as_str());
        let composed = plan.compositions.iter().find(|c| !composes(c, rule, library)).map(|c| c.call.as_str());
        let breaking = breaking.or(composed);
        match (stated, breaking) {
            (None, _) => wrong.push(format!("`{}` of the job is not a clause of the plan", rule.text)),
            (Some(stated), Some(step)) if stated.holds => wrong.push(format!("step `{step}` breaks `{}`", rule.text)),
            _ => {}
        }
    }
    if plan.clauses.len() != expected {
        wrong.push(format!("the job has {}, and the plan {}", counted(expected, "clause"), plan.clauses.len()));
    }
    for (composed, gate) in plan.compositions.iter().zip((0..whole.steps.len()).filter(|step| picked[*step].is_some()))
    {
        let called = &whole.steps[gate];
        if composed.call != called.name.as_str() || composed.task != called.task.as_str() {
            wrong.push(format!("the composition of `{}` is not in the place of its call", composed.call));
        }
        if !called.pins.iter().all(|pin| is_pinned(composed, pin)) {
            wrong.push(format!("the call `{}` is not what it pins", composed.call));
        }
        if let Some(rule) = called.rules.iter().find(|rule| !composes(composed, rule, library)) {
            wrong.push(format!("the call `{}` breaks `{}` of the job that it comes from", composed.call, rule.text));
        }
    }
    for (step, called) in plan.steps.iter().zip(&workflow.steps) {
        if !called.pins.iter().all(|p| fits(step, p, library)) {
            wrong.push(format!("step `{}` is not what its call pins", step.name));
        }
        wrong.extend(misnamed(step, job, library));
        let touched = BTreeSet::from([step.id.0]);
        let offers = from.get(step.id.0 as usize).map_or(&[][..], |old| whole.steps[*old].ways.as_slice());
        let broken = |rule: &&Rule| {
            let mut all = std::iter::once(step.clone()).chain(fallback::in_place(step));
            all.any(|s| !keeps(&s, offers, rule, &touched, library))
        };
        if let Some(rule) = called.rules.iter().find(broken) {
            wrong.push(format!("step `{}` breaks `{}` of the job that it comes from", step.name, rule.text));
        }
        let timeout = called.timeout.map(|t| (t * rust_decimal::Decimal::from(1000)).ceil());
        if step.conditions.retries != called.retries
            || step.conditions.timeout_ms.map(rust_decimal::Decimal::from) != timeout
            || step.conditions.cache != called.cache.map(Into::into)
        {
            wrong.push(format!("step `{}` has other conditions than its call", step.name));
        }
        wrong.extend(fallback::unasked(step, called, library));
        let composition = |part: &PlanPart| plan.compositions.get(part.composition).map(|c| c.call.as_str());
        let stated = step.part.as_ref().map(|part| (composition(part), part.answers));
        let of =
            |old: usize| whole.steps[old].part.as_ref()?.of.map(|(gate, _)| whole.steps[gate.0 as usize].name.as_str());
        let meant = called.part.as_ref().map(|part| (of(from[step.id.0 as usize]), part.answers));
        if stated != meant {
            wrong.push(format!("step `{}` is not the part of a composition that it claims to be", step.name));
        }
    }
    wrong
}

/// What a plan says wrongly of those by whom the qualities are that were compared for a step. Who else was compared with follows from what
/// could be used where it was planned, which is not known here.
fn misnamed(step: &PlanStep, job: &Job, library: &Library) -> Option<String> {
    let (own, others) = step.reporters.split_first()?;
    let entries = || library.implementations.values().filter(|entry| entry.tasks.iter().any(|t| *t == step.task));
    let qualities = || entries().flat_map(|entry| entry.profile.rows("quality"));
    let judges = |by: &String| qualities().any(|row| row.figure.by() == by);
    let is_own = || reporters::reporter(library, &step.candidate(), Some(own)).filter(|by| by == own);
    let right = reporters::compares(job) && is_own().is_some() && !others.contains(own) && others.iter().all(judges);
    (!right).then(|| format!("step `{}` names others than those who judged what was compared for it", step.name))
}

/// Whether a clause of the plan is this one of the job.
fn states(stated: &PlanClause, clause: &Clause, soft: bool) -> bool {
    let text = if soft { format!("prefer {}", clause.text) } else { clause.text.to_string() };
    let metric = Metric::ALL.iter().find(|(m, _)| *m == clause.metric).map(|(_, n)| *n);
    stated.text == text && Some(stated.metric.as_str()) == metric && stated.limit == clause.limit && stated.soft == soft
}

/// Whether a composed call is what a pin asks for.
fn is_pinned(composed: &PlanComposition, pin: &Pin) -> bool {
    pin.implementation.as_ref().is_none_or(|i| i.as_str() == composed.composition)
        && pin.knobs.iter().all(|(n, v)| composed.knobs.get(n.as_str()).is_some_and(|k| k == v.as_str()))
        && pin.device.is_none()
        && pin.units.is_empty()
}

/// Whether a composed call keeps a rule; its parts are judged by themselves.
fn composes(composed: &PlanComposition, rule: &Rule, library: &Library) -> bool {
    let Some(entry) = library.implementations.get(composed.composition.as_str()) else { return false };
    match &rule.kind {
        RuleKind::Avoid(name) => composed.composition != name.as_str(),
        RuleKind::Permissive => entry.is_permissive(),
        RuleKind::Pin(pin) => {
            let named = pin.implementation.as_ref().and_then(|i| library.implementations.get(i));
            let applies =
                named.is_some_and(|i| i.flow.is_some() && i.tasks.iter().any(|t| t.as_str() == composed.task));
            !applies || is_pinned(composed, pin)
        }
        RuleKind::OnlyOpen
        | RuleKind::Region(_)
        | RuleKind::NoPiiToClosed { .. }
        | RuleKind::Retention(_)
        | RuleKind::NoTraining => true,
    }
}

/// The steps that personal data reaches, where a rule of the job is about that.
fn personal(rule: &Rule, plan: &Plan, job: &Job) -> BTreeSet<u32> {
    let RuleKind::NoPiiToClosed { inputs } = &rule.kind else { return BTreeSet::new() };
    let names: Vec<&str> = inputs.iter().map(|id| job.local(*id).name.as_str()).collect();
    let from = plan.inputs.iter().filter(|i| names.contains(&i.name.as_str())).map(|i| i.value);
    touched(&plan.body, from.collect())
}

fn keeps(step: &PlanStep, offers: &[Way], rule: &Rule, touched: &BTreeSet<u32>, library: &Library) -> bool {
    let Some(entry) = library.implementations.get(step.implementation.as_str()) else { return false };
    match &rule.kind {
        RuleKind::Avoid(name) => step.implementation != name.as_str(),
        RuleKind::OnlyOpen => entry.open,
        RuleKind::Region(region) => entry.region.as_ref().is_none_or(|r| r == region),
        RuleKind::Permissive => entry.is_permissive(),
        RuleKind::Retention(most) => {
            entry.retention(&step.hardware.device, &knobs(step)).is_some_and(|kept| kept <= *most)
        }
        RuleKind::NoTraining => entry.trains(&step.hardware.device, &knobs(step)) == Some(false),
        RuleKind::Pin(pin) => {
            let pinned = pin.implementation.as_ref().and_then(|i| library.implementations.get(i));
            let applies = match pinned {
                Some(i) if i.flow.is_some() => offers.iter().any(|way| way.composition == i.name),
                Some(i) => i.tasks.iter().any(|t| t.as_str() == step.task),
                None => true,
            };
            !applies || fits(step, pin, library)
        }
        RuleKind::NoPiiToClosed { .. } => entry.open || !touched.contains(&step.id.0),
    }
}

fn knobs(step: &PlanStep) -> Vec<(EcoString, EcoString)> {
    step.knobs.iter().map(|(knob, value)| (knob.as_str().into(), value.as_str().into())).collect()
}

pub(super) fn fits(step: &PlanStep, pin: &Pin, library: &Library) -> bool {
    let gpu = library.devices.get(step.hardware.device.as_str()).is_some_and(|d| d.gpu);
    let device = pin.device.as_ref().is_none_or(|d| d.as_str() == step.hardware.device || (d == "gpu" && gpu));
    pin.implementation.as_ref().is_none_or(|i| i.as_str() == step.implementation)
        && pin.knobs.iter().all(|(n, v)| step.knobs.get(n.as_str()).is_some_and(|k| k == v.as_str()))
        && device
        && pin.memory_gb.is_none_or(|least| library.has_memory(&step.hardware.device, least) == Some(true))
        && (pin.units.is_empty() || pin.units.contains(&step.hardware.units))
}

/// The steps that take data from some values, by walking the body until nothing new is reached.
fn touched(body: &Region, mut from: BTreeSet<ValueId>) -> BTreeSet<u32> {
    let mut steps = BTreeSet::new();
    loop {
        let before = (from.len(), steps.len());
        spread(body, &mut from, &mut steps);
        if before == (from.len(), steps.len()) {
            return steps;
        }
    }
}

fn spread(region: &Region, from: &mut BTreeSet<ValueId>, steps: &mut BTreeSet<u32>) {
    let has = |operand: &Operand, from: &BTreeSet<ValueId>| matches!(operand, Operand::Value(id) if from.contains(id));
    for node in &region.nodes {
        let reached = match node {
            Node::Call { step, args, .. } => {
                let reached = args.iter().any(|(_, a)| has(a, from));
                if reached {
                    steps.insert(step.0);
                }
                reached
            }
            Node::Choose { .. } => false,
            Node::Compute { args, .. } => args.iter().any(|a| has(a, from)),
            Node::Map { over, item, body, .. } => {
                let over = has(over, from);
                if over {
                    from.insert(*item);
                }
                spread(body, from, steps);
                over || has(&body.result, from)
            }
            Node::Branch { when, then, otherwise, .. } => {
                spread(then, from, steps);
                spread(otherwise, from, steps);
                has(when, from) || has(&then.result, from) || has(&otherwise.result, from)
            }
            Node::Repeat { carry, body, .. } => {
                if let Some((item, first)) = carry
                    && (has(first, from) || has(&body.result, from))
                {
                    from.insert(*item);
                }
                spread(body, from, steps);
                has(&body.result, from)
            }
        };
        if reached {
            from.insert(node.output());
        }
    }
}
