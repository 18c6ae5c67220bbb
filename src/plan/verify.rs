//! Plan → what is wrong with it. Knows nothing of the solver: every total and clause is computed again from the plan's data
//! flow and figures, and the figures from the library.

mod fallbacks;
mod flow;
mod placed;
mod quality;
mod totals;

pub use self::fallbacks::{Broken, broken};
use self::flow::follow;
pub use self::quality::quality;
use self::quality::{quality_by, rule_of, shares};
use self::totals::{recompute, times};
use super::build::{gpus, predicted};
use super::fallback::in_place;
use super::model::{
    COMPILER, Hardware, PLAN_VERSION, Plan, PlanInstance, PlanStep, Predicted, PriceChange, ShadowPrice,
};
use crate::check::agents::TURN;
use crate::check::program::Metric;
use crate::diag::Diagnostics;
use crate::ir::dag::Dag;
use crate::ir::workflow::{Step, Workflow};
use crate::library::Library;
use crate::space::ends::End;
use crate::space::load::{BUSY, standing};
use crate::space::{self, Candidate, Figured, Machines, StepSpace};
use ecow::EcoString;
use rust_decimal::Decimal;
use rust_decimal::dec;

/// How far a stored figure may be from the computed one: the last digit that a plan keeps.
const TOLERANCE: Decimal = dec!(0.00000001);

/// Checks a plan by itself: form, data flow, totals, clauses. Empty where all is well.
pub fn verify(plan: &Plan) -> Vec<String> {
    let mut wrong = Vec::new();
    if plan.version != PLAN_VERSION {
        wrong.push(format!(
            "the plan has version {}, and this mkbc reads version {PLAN_VERSION}: compile it again",
            plan.version
        ));
        return wrong;
    }
    if plan.compiler != COMPILER {
        wrong.push(format!(
            "the plan was made by {}, and this is {COMPILER}, for which it may mean something else: compile it again",
            plan.compiler
        ));
        return wrong;
    }
    let (called, mut flow) = follow(plan);
    wrong.append(&mut flow);
    for (index, step) in plan.steps.iter().enumerate() {
        if step.id.0 as usize != index {
            wrong.push(format!("step `{}` has the wrong number", step.name));
        }
        if !called.contains(&index) {
            wrong.push(format!("step `{}` is never called", step.name));
        }
        if strange(step) {
            wrong.push(format!("step `{}` has a figure that is negative or beyond reason", step.name));
        }
        let has = plan.cluster.pools.get(&step.hardware.device).map_or(0, |p| p.units);
        if step.hardware.device != "api" && step.hardware.held() > has {
            let device = &step.hardware.device;
            wrong.push(format!(
                "step `{}` needs {} `{device}`, and `{}` has {has}",
                step.name,
                step.hardware.held(),
                plan.cluster.name
            ));
        }
    }
    wrong.extend(misused(plan));
    wrong.extend(placed::misplaced(plan));
    let Some(rule) = rule_of(plan) else {
        wrong.push(format!("`{}` is no rule of quality", plan.quality_rule));
        return wrong;
    };
    let shares = shares(plan, &rule);
    let Some(shares) = shares.filter(|all| all.iter().all(|s| (Decimal::ZERO..=Decimal::ONE).contains(s))) else {
        wrong.push("the measured rule of quality says nothing of a step, or gives it a quality beyond reason".into());
        return wrong;
    };
    if plan.tail_steps.is_some_and(|steps| steps < plan.steps.len() as u64) {
        wrong.push("the share of late runs is split among fewer steps than there are".to_string());
    }
    let t = &plan.total;
    let totals = [t.latency_s, t.latency_p95_s, t.latency_p99_s, t.cost_usd, t.energy_wh, t.quality];
    let stated =
        plan.clauses.iter().flat_map(|c| [c.limit, c.value, c.slack]).chain(plan.wishes.iter().map(|w| w.value));
    if totals.into_iter().chain(self::times(&t.streamed)).chain(stated).any(|n| n.abs() > dec!(1e18)) {
        wrong.push("a total or clause has a figure beyond reason".to_string());
    }
    // What is broken so far would make the sums below meaningless, or not computable.
    if !wrong.is_empty() {
        return wrong;
    }
    let dag = Dag::of(&plan.body, plan.steps.len());
    wrong.extend(overfull(plan, &dag));
    let total = recompute(plan, &dag, rule.total(shares.into_iter()));
    let pairs = [
        ("latency", total.latency_s, plan.total.latency_s),
        ("latency.p95", total.latency_p95_s, plan.total.latency_p95_s),
        ("latency.p99", total.latency_p99_s, plan.total.latency_p99_s),
        ("cost", total.cost_usd, plan.total.cost_usd),
        ("energy", total.energy_wh, plan.total.energy_wh),
        ("quality", total.quality, plan.total.quality),
    ];
    let names = ["ttft", "ttft.p95", "ttft.p99", "tpot", "tpot.p95", "tpot.p99"];
    let tokens = self::times(&total.streamed).into_iter().zip(self::times(&plan.total.streamed));
    let tokens = names.into_iter().zip(tokens).map(|(name, (computed, stored))| (name, computed, stored));
    for (name, computed, stored) in pairs.into_iter().chain(tokens) {
        if (computed - stored).abs() > TOLERANCE {
            wrong.push(format!("the total {name} is {computed}, and the plan says {stored}"));
        }
    }
    if total.energy_known != plan.total.energy_known {
        wrong.push("whether the energy of every step is known is not what the plan says".to_string());
    }
    for clause in plan.clauses.iter().filter(|c| c.metric != "rule") {
        let Some((metric, _)) = Metric::ALL.iter().find(|(_, n)| *n == clause.metric) else {
            wrong.push(format!("`{}` is no metric", clause.metric));
            continue;
        };
        let value = super::build::total_of(*metric, &total);
        let slack = if clause.metric == "quality" { value - clause.limit } else { clause.limit - value };
        let holds = slack >= Decimal::ZERO;
        if !holds && !clause.soft {
            wrong.push(format!("`{}` does not hold: the plan has {value}", clause.text));
        }
        if holds != clause.holds || (value - clause.value).abs() > TOLERANCE || (slack - clause.slack).abs() > TOLERANCE
        {
            wrong.push(format!("`{}` is not what the plan says of it", clause.text));
        }
        if clause.metric == "energy" && !clause.soft && !total.energy_known {
            wrong.push(format!("`{}` cannot be checked: the energy of a step is not known", clause.text));
        }
    }
    wrong.extend(fallbacks::unfit(plan, &dag, &rule));
    wrong.extend(strange_prices(plan));
    for wish in &plan.wishes {
        let metric =
            Metric::ALL.iter().find(|(_, n)| wish.text.split_once(' ').is_some_and(|(_, wished)| wished == *n));
        if metric.is_none_or(|(m, _)| (super::build::total_of(*m, &total) - wish.value).abs() > TOLERANCE) {
            wrong.push(format!("`{}` is not what the plan says of it", wish.text));
        }
    }
    wrong
}

/// Whether a step has a figure that is negative or beyond reason.
fn strange(step: &PlanStep) -> bool {
    let p = &step.predicted;
    let times = [p.latency_s, p.latency_p95_s, p.latency_p99_s];
    let others = [p.cost_usd, p.energy_wh.unwrap_or_default(), p.quality, p.memory_gb, step.calls];
    let mut numbers = times.into_iter().chain(others).chain(p.streamed.iter().flat_map(self::times));
    let either = Decimal::ZERO..=p.cost_usd;
    let alone = step.agent.is_none() || step.task == TURN;
    !either.contains(&p.either_usd)
        || alone && !p.either_usd.is_zero()
        || p.quality > Decimal::ONE
        || numbers.any(|n| n.is_sign_negative() && !n.is_zero() || n > dec!(1e15))
}

/// Steps whose instance is not there or is another than they say, and instances that are of no use or have a strange cost.
fn misused(plan: &Plan) -> Vec<String> {
    let mut wrong = Vec::new();
    for step in &plan.steps {
        let Some(at) = step.instance else { continue };
        let same = |i: &PlanInstance| {
            i.implementation.as_ref().is_none_or(|name| *name == step.implementation)
                && i.hardware == step.hardware
                && i.knobs.iter().all(|(n, v)| step.knobs.get(n) == Some(v))
        };
        if !plan.instances.get(at).is_some_and(same) || plan.rate_per_s.is_none() {
            wrong.push(format!("step `{}` shares an instance that is not there", step.name));
        }
    }
    for (at, instance) in plan.instances.iter().enumerate() {
        let used = plan.steps.iter().any(|s| s.instance == Some(at));
        if !used
            || instance.cost_usd.is_sign_negative() && !instance.cost_usd.is_zero()
            || instance.cost_usd > dec!(1e15)
        {
            wrong.push(format!("the instance of {} is used by no step, or its cost is beyond reason", named(instance)));
        }
        let Hardware { units, replicas, .. } = instance.hardware;
        if instance.implementation.is_none() && (units != 1 || replicas != 1 || !instance.knobs.is_empty()) {
            wrong.push("what several models share is not one device".to_string());
        }
    }
    wrong
}

/// `` `whisper` ``, or the device that models share.
fn named(instance: &PlanInstance) -> String {
    match &instance.implementation {
        Some(name) => format!("`{name}`"),
        None => format!("several models on `{}`", instance.hardware.device),
    }
}

/// What can be told of prices without the solver: they are of limits, in the first wish, and money is money.
fn strange_prices(plan: &Plan) -> Vec<String> {
    let wished = plan.wishes.first().and_then(|w| w.text.split_once(' ')).map_or("", |(_, metric)| metric);
    let sane = |price: &PriceChange| {
        let money = wished != "cost" || price.change == price.cost_usd;
        let known = [price.change, price.cost_usd].iter().all(|n| n.abs() <= dec!(1e18));
        price.metric == wished && money && known
    };
    let strange = plan.clauses.iter().filter(|c| {
        let stands = |p: &ShadowPrice| {
            c.metric != "rule" && p.step > Decimal::ZERO && p.tighter.iter().chain(&p.looser).all(sane)
        };
        !c.price.as_ref().is_none_or(stands)
    });
    strange.map(|c| format!("the price of `{}` is none", c.text)).collect()
}

/// More than this many sets of concurrent steps are not listed: all steps together stand in for them.
const MAX_SETS: usize = 256;

/// Pools that steps which may run at once overfill.
fn overfull(plan: &Plan, dag: &Dag) -> Vec<String> {
    // Under a load the runs overlap, and so do all steps.
    let sets = dag.antichains(MAX_SETS).filter(|_| plan.rate_per_s.is_none());
    let together = sets.unwrap_or_else(|| vec![(0..plan.steps.len()).collect()]);
    let mut wrong = Vec::new();
    for (device, pool) in &plan.cluster.pools {
        let held = |set: &Vec<usize>| -> u64 {
            let own = set.iter().map(|i| &plan.steps[*i]).filter(|s| s.instance.is_none()).map(|s| &s.hardware);
            let all = own.chain(plan.instances.iter().map(|i| &i.hardware)).filter(|h| h.device == *device);
            all.map(|h| u64::from(h.held())).sum()
        };
        if let Some(most) = together.iter().map(held).max().filter(|h| *h > u64::from(pool.units)) {
            wrong.push(format!(
                "steps that may run at once hold {most} `{device}`, and `{}` has {}",
                plan.cluster.name, pool.units
            ));
        }
    }
    wrong
}

/// What a plan's steps and their fallbacks are, of the space that it was chosen from, built again from the plan's data flow, sizes and
/// machines; a part of a composition that the library lacks is taken for a step by itself.
fn space_of(plan: &Plan, library: &Library) -> space::Space {
    let part = |s: &PlanStep| s.part.as_ref().and_then(|part| super::compose::part(plan, part, library).ok());
    let steps = plan.steps.iter().map(|s| Step {
        task: s.task.as_str().into(),
        name: s.name.as_str().into(),
        span: None,
        pins: Vec::new(),
        rules: Vec::new(),
        retries: s.conditions.retries,
        timeout: None,
        fallbacks: Vec::new(),
        cache: None,
        ways: Vec::new(),
        part: part(s),
        agent: s.agent.clone(),
    });
    let workflow = Workflow {
        inputs: plan.inputs.iter().map(|i| (i.name.as_str().into(), i.ty.clone(), i.value)).collect(),
        result: plan.result.clone(),
        body: plan.body.clone(),
        steps: steps.collect(),
    };
    let machines = Machines {
        name: plan.cluster.name.as_str().into(),
        pools: plan.cluster.pools.iter().map(|(n, p)| (n.as_str().into(), (p.units, p.usd_per_hour))).collect(),
    };
    let sizes = plan.inputs.iter().map(|i| {
        let sizes = i.sizes.iter().map(|(path, size)| (path.as_str().into(), *size)).collect();
        (i.name.as_str().into(), sizes)
    });
    let sizes = sizes.collect();
    let end = if plan.robust { End::Worst } else { End::Typical };
    let (usable, rate): (&space::Usable, _) = (&|_| Ok(()), plan.rate_per_s);
    let (rule, parts, machines, sizes) = (rule_of(plan).unwrap_or_default(), plan.tail_steps, &machines, &sizes);
    let kept: Vec<Vec<PlanStep>> =
        plan.steps.iter().map(|step| in_place(step).chain([step.clone()]).collect()).collect();
    let only = |at: usize, candidate: &Candidate| {
        kept.get(at).is_some_and(|steps: &Vec<PlanStep>| steps.iter().any(|step| is(step, candidate)))
    };
    let input = space::Input {
        workflow: &workflow,
        library,
        machines,
        sizes,
        usable,
        end,
        rate,
        rule: rule.form(),
        parts,
        only: Some(&only),
    };
    let mut space = space::build(&input, &mut Diagnostics::default());
    for (index, step) in plan.steps.iter().enumerate() {
        if let Some(judge) = step.reporters.first() {
            space.judge(index, judge.as_str().into(), library);
        }
    }
    space
}

/// The option of a space that each step of a plan is; `None` where the library has none.
fn options_of<'s>(plan: &Plan, space: &'s space::Space) -> Vec<Option<&'s Figured>> {
    let pairs = || plan.steps.iter().zip(&space.steps);
    let class = |(step, space): (&PlanStep, &StepSpace)| space.candidates.iter().find(|c| is(step, c)).map(|c| c.class);
    let classes: Vec<Option<u32>> = pairs().map(class).collect();
    let option = |(step, space): (&PlanStep, &'s StepSpace)| {
        space
            .options
            .iter()
            .find(|o| is(step, &space.candidates[o.candidate]) && o.needs.iter().all(|(s, c)| classes[*s] == Some(*c)))
    };
    pairs().map(option).collect()
}

/// The work of one call of each step, by dimension, as the library says for the plan's sizes; empty for what the library lacks.
pub fn works(plan: &Plan, library: &Library) -> Vec<Vec<(EcoString, Decimal)>> {
    let space = space_of(plan, library);
    options_of(plan, &space).into_iter().map(|option| option.map_or_else(Vec::new, |o| o.work.clone())).collect()
}

/// Checks a plan against the library that it was compiled with: every figure of every step is computed again.
pub fn verify_against(plan: &Plan, library: &Library) -> Vec<String> {
    let mut wrong = verify(plan);
    if !wrong.is_empty() {
        return wrong;
    }
    if plan.rate_per_s.is_some_and(|r| r <= Decimal::ZERO) {
        return vec!["the job's rate is not more than zero".to_string()];
    }
    for part in plan.steps.iter().filter_map(|s| s.part.as_ref()) {
        if let Err(why) = super::compose::part(plan, part, library) {
            return vec![why];
        }
    }
    let space = space_of(plan, library);
    let taken = options_of(plan, &space);
    let mut loads = vec![Decimal::ZERO; plan.instances.len()];
    for (index, step) in plan.steps.iter().enumerate() {
        let option = taken[index];
        match option {
            None => wrong.push(format!("the library has no `{}` as step `{}` uses it", step.implementation, step.name)),
            Some(option) if expected(&option.figures, step) != step.predicted || *option.evidence != *step.evidence => {
                wrong.push(format!("the figures of step `{}` are not those of the library", step.name));
            }
            Some(option) if step.instance.is_none() && option.figures.replicas != step.hardware.replicas => {
                wrong.push(format!(
                    "step `{}` needs its hardware {} times, and the plan has it {} times",
                    step.name, option.figures.replicas, step.hardware.replicas
                ));
            }
            Some(option) if option.figures.calls != step.calls => {
                wrong.push(format!(
                    "step `{}` is called {} times, and the plan says {}",
                    step.name, option.figures.calls, step.calls
                ));
            }
            Some(_) => {}
        }
        if let (Some(option), Some(at), Some(rate)) = (option, step.instance, plan.rate_per_s) {
            loads[at] += option.figures.busy * rate;
        }
        let task = library.tasks.get(step.task.as_str());
        let same = |t: &crate::library::Task| {
            t.result == step.output
                && t.params.iter().map(|(n, t)| (n.as_str(), t)).eq(step.params.iter().map(|(n, t)| (n.as_str(), t)))
        };
        if !task.is_some_and(same) {
            wrong.push(format!("the types of step `{}` are not those of the task `{}`", step.name, step.task));
        }
        if let (Some(entry), Some(task)) =
            (library.implementations.get(step.implementation.as_str()), library.tasks.get(step.task.as_str()))
            && let Some(candidate) = space.steps[index].candidates.iter().find(|c| is(step, c))
            && (super::engine::lower(entry, candidate, task) != step.engine
                || entry.label.as_deref() != step.label.as_deref())
        {
            wrong.push(format!("the engine or label of step `{}` is not the library's", step.name));
        }
    }
    for (instance, load) in plan.instances.iter().zip(loads) {
        let Hardware { device, units, replicas } = &instance.hardware;
        if load > BUSY * Decimal::from(*replicas) {
            wrong.push(format!("{replicas} of {} cannot keep up with its steps", named(instance)));
        }
        let hourly = plan.cluster.pools.get(device).map_or(Decimal::ZERO, |p| p.usd_per_hour);
        let cost = plan.rate_per_s.and_then(|rate| standing(*units, *replicas, hourly, rate)).unwrap_or_default();
        if (cost - instance.cost_usd).abs() > TOLERANCE {
            wrong.push(format!(
                "the instance of {} costs {cost}, and the plan says {}",
                named(instance),
                instance.cost_usd
            ));
        }
    }
    wrong.extend(fallbacks::unlike(plan, &space, &taken, library));
    wrong.extend(placed::overfilled(plan, library));
    if gpus(&plan.steps, &plan.instances, library) != plan.total.gpus {
        wrong.push("the number of GPUs is not what the steps hold".to_string());
    }
    wrong
}

/// What a plan must say of a step: one that shares an instance has the instance's cost beside it.
fn expected(figures: &space::Figures, step: &PlanStep) -> Predicted {
    let all = predicted(figures);
    if step.instance.is_none() {
        return all;
    }
    Predicted { cost_usd: (figures.cost - figures.standing).round_dp(9).normalize(), ..all }
}

fn is(step: &PlanStep, candidate: &Candidate) -> bool {
    candidate.implementation == step.implementation
        && candidate.device == step.hardware.device
        && candidate.units == step.hardware.units
        && candidate.knobs.len() == step.knobs.len()
        && candidate.knobs.iter().all(|(name, value)| step.knobs.get(name.as_str()).is_some_and(|own| own == value))
}
