//! What a run took so far + the job that it was planned for → how the rest is carried out, where the plan does not fit any more.
//!
//! The one place where measurements meet the solver. What has begun is fixed, with what it took; what is left is chosen anew within what
//! remains of money and time, under the same lines: quality is never lowered below its line, and no rule is broken for speed.
//!
//! Of a fleet that serves many runs, [`forecast`] says what load is to come, and [`epochs`] when its joint plan is made anew, and how.

pub mod epochs;
pub mod forecast;
mod makespan;
mod standing;

use self::standing::{Standing, Told};
use crate::ask::names::choice;
use crate::check::program::{Clause, Metric, Pin};
use crate::compile::{Decision, Prepared};
use crate::plan::audit::audit;
use crate::plan::build::{BuildInput, build};
use crate::plan::compose::taken;
use crate::plan::model::{Plan, PlanStep};
use crate::plan::reason::{said, shown};
use crate::plan::render::metric;
use crate::plan::verify::verify_against;
use crate::run::steer::{Now, Stage, Steer, Turn};
use crate::solve::outcome::{Outcome, Solution};
use crate::solve::problem::{self, Bound};
use crate::solve::{Certify, Limits, solve};
use crate::space::encode::{Encoded, Origin, figure, limit, up};
use rust_decimal::Decimal;
use rust_decimal::dec;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Nodes that one search may visit: a run waits for it.
const NODES: u64 = 200_000;

/// What is done where the plan does not fit any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The rest is carried out otherwise.
    Change,
    /// It is said what would be changed.
    Show,
}

/// Plans the rest of one run again.
pub struct Adapt<'p, 'a> {
    prepared: &'p Prepared<'a>,
    decision: &'p Decision,
    mode: Mode,
    limits: Limits<'p>,
    state: RefCell<State>,
}

/// How the times of the rest are told to the solver, which adds up the steps of the longest path.
struct Way {
    told: Told,
    /// Whether a line leaves as much more as items of maps overlap now.
    overlap: bool,
    /// Whether limits are taken as they are, and not looser by what rounding adds.
    strict: bool,
}

/// From the loosest to the safest; what is found is always held against the projection of the run.
const WAYS: [Way; 6] = [
    Way { told: Told::Alone, overlap: true, strict: false },
    Way { told: Told::Alone, overlap: true, strict: true },
    Way { told: Told::Alone, overlap: false, strict: false },
    Way { told: Told::Alone, overlap: false, strict: true },
    Way { told: Told::InTurn, overlap: false, strict: false },
    Way { told: Told::InTurn, overlap: false, strict: true },
];

struct State {
    /// The plan as it is carried out now.
    plan: Plan,
    /// One option per step of the whole workflow.
    choice: Vec<usize>,
    /// Lines of which it was said that they cannot be kept.
    given_up: BTreeSet<String>,
}

impl<'p, 'a> Adapt<'p, 'a> {
    /// For a run of the plan that was decided on.
    pub fn new(prepared: &'p Prepared<'a>, decision: &'p Decision, mode: Mode) -> Adapt<'p, 'a> {
        let limits = Limits { nodes: NODES, out_of_time: None, z3_ms: 0, certify: Certify::Off, judge: None };
        let (plan, choice) = (decision.plan.clone(), decision.solution.choice.clone());
        let state = State { plan, choice, given_up: BTreeSet::new() };
        Adapt { prepared, decision, mode, limits, state: RefCell::new(state) }
    }

    /// The lines on money and time that the rest of a choice breaks, with what they come to.
    fn broken(&self, standing: &Standing, choice: &[usize], tolerant: bool) -> Vec<(&'p Clause, Decimal)> {
        let clauses = self.decision.encoded.origins.iter().filter_map(|origin| match origin {
            Origin::Clause(clause) if bounded(clause.metric) => Some(clause),
            _ => None,
        });
        let late = |(clause, value): &(&Clause, Decimal)| {
            let slack = if tolerant { tolerance(clause) } else { Decimal::ZERO };
            *value > clause.limit + slack
        };
        clauses.map(|c| (c, standing.comes_to(c.metric, choice))).filter(late).collect()
    }

    /// The problem of the rest: what has begun is pinned, with the figures that it has now. Times are told in one of several ways.
    fn rest(&self, standing: &Standing, choice: &[usize], way: &Way) -> Encoded {
        let mut encoded = self.decision.encoded.clone();
        let steps = encoded.problem.steps.len();
        let spoken = BOUNDED.into_iter().filter(|metric| self.decision.plan.speaks_of(metric.name()));
        let spoken: Vec<Metric> = spoken.collect();
        for (step, chosen) in choice.iter().enumerate() {
            let waits = standing.waits(step);
            if !waits {
                // What was begun is as it is, whatever its call asks for: somebody whom it names may stand in.
                let own = |c: &usize| matches!(&encoded.origins[*c], Origin::StepPin(of, _) if *of == step);
                encoded.problem.steps[step].choices[*chosen].breaks.retain(|c| !own(c));
                let rule = encoded.problem.clauses.len();
                encoded.problem.clauses.push(problem::Clause { bound: Bound::Rule });
                encoded.origins.push(Origin::StepPin(step, self.pin(step, *chosen)));
                let others = encoded.problem.steps[step].choices.iter_mut().enumerate().filter(|(o, _)| o != chosen);
                others.for_each(|(_, other)| other.breaks.push(rule));
            }
            for (option, choice) in encoded.problem.steps[step].choices.iter_mut().enumerate() {
                for of in spoken.iter().filter(|_| waits || option == *chosen) {
                    choice.figures[figure(*of).index()] = up(standing.figure(*of, step, option, way.told), *of);
                }
            }
        }
        let slack = if way.strict { 0 } else { steps as i64 };
        for (clause, origin) in encoded.problem.clauses.iter_mut().zip(&encoded.origins) {
            if let (Origin::Clause(said), Bound::AtMost { limit: most, .. }) = (origin, &mut clause.bound)
                && bounded(said.metric)
            {
                let timed = said.metric != Metric::Cost;
                let over = if way.overlap && timed { standing.overlap(said.metric, choice) } else { Decimal::ONE };
                let left = Clause { limit: standing.left(said) * over, ..said.clone() };
                *most = limit(&left, slack).max(0);
            }
        }
        encoded
    }

    /// The choice with those in it who stand in and do worse, and one more: quality that is lost already must be made up for by what is left.
    /// None where there are none, or what stands in is no option of the space.
    fn with_those_who_stand_in(&self, state: &State, now: &Now, more: Option<&PlanStep>) -> Option<Vec<usize>> {
        let stand_in: Vec<PlanStep> =
            now.steps.iter().filter_map(|step| step.worse.clone()).chain(more.cloned()).collect();
        if stand_in.is_empty() {
            return None;
        }
        let mut plan = state.plan.clone();
        plan.replace(&stand_in);
        choice(self.prepared, &plan).ok()
    }

    fn pin(&self, step: usize, option: usize) -> Pin {
        let candidate = self.prepared.space.steps[step].taken(option).0;
        let span = self.prepared.workflow.steps[step].span.unwrap_or(self.prepared.job.span);
        let implementation = Some(candidate.implementation.clone());
        let (knobs, device) = (candidate.knobs.clone(), Some(candidate.device.clone()));
        Pin { implementation, knobs, device, memory_gb: None, units: vec![candidate.units], span }
    }

    /// The best choice for the rest that keeps every line exactly, with a plan of it that passes every check; the lines that clash where there is
    /// none.
    fn choose(&self, standing: &Standing, choice: &[usize]) -> Result<(Solution, Plan), Vec<String>> {
        for (n, way) in WAYS.iter().enumerate() {
            let encoded = self.rest(standing, choice, way);
            match solve(&encoded.problem, &self.limits) {
                Outcome::Solved(found) if self.broken(standing, &found.choice, false).is_empty() => {
                    if let Some(plan) = self.plan(standing, &encoded, &found) {
                        return Ok((found, plan));
                    }
                }
                Outcome::Solved(_) => {}
                // Nothing is looser than the first.
                Outcome::Conflict(conflict) if n == 0 => {
                    let lines = conflict.core.iter().filter_map(|at| encoded.origins.get(*at));
                    let mut clash: Vec<String> =
                        lines.filter(|o| !matches!(o, Origin::StepPin(..))).map(said).collect();
                    clash.dedup();
                    return Err(clash);
                }
                Outcome::Conflict(_) | Outcome::Unknown(_) => {}
            }
        }
        Err(Vec::new())
    }

    /// The plan of a choice for the rest, if it passes every check that a plan passes.
    fn plan(&self, standing: &Standing, encoded: &Encoded, solution: &Solution) -> Option<Plan> {
        let Prepared { compiled, library, machines, space, job, workflow, sizes, hashes, .. } = self.prepared;
        let soft = |origin: &&Origin| match origin {
            Origin::Clause(clause) => job.preferred.iter().any(|soft| soft.span == clause.span),
            Origin::Rule(rule) => rule.soft,
            Origin::Called(..) | Origin::StepPin(..) | Origin::EnergyKnown(..) | Origin::AgentCost(..) => false,
        };
        let kept: Vec<Origin> = encoded.origins.iter().filter(soft).cloned().collect();
        let is_kept = |start: u32| kept.iter().any(|k| place(k) == Some(start));
        let clauses = job.preferred.iter().cloned().map(Origin::Clause);
        let rules = job.rules.iter().filter(|rule| rule.soft).cloned().map(Origin::Rule);
        let broken: Vec<Origin> = clauses.chain(rules).filter(|o| !place(o).is_some_and(is_kept)).collect();
        let input = BuildInput {
            job,
            workflow,
            space,
            encoded,
            solution,
            library,
            machines,
            sizes,
            kept: &kept,
            broken: &broken,
            sources: &compiled.texts.sources,
            file: compiled.file,
            hashes: hashes.clone(),
        };
        let plan = build(&input).ok()?;
        let mut wrong = verify_against(&plan, library);
        // Who stands in was audited as the fallback that it is: its call may pin another.
        let begun = |step: &&PlanStep| !standing.waits(standing.whole(step.id.0 as usize));
        let begun: Vec<PlanStep> = self.decision.plan.steps.iter().filter(begun).cloned().collect();
        let mut chosen = plan.clone();
        chosen.replace(&begun);
        wrong.extend(audit(&chosen, job, &compiled.checked.program, library));
        wrong.is_empty().then_some(plan)
    }

    /// The steps that a choice for the rest changes, as its plan has them, and what is said of them.
    fn changes(&self, now: &Now, from: &[usize], before: &[usize], (after, plan): (&[usize], &Plan)) -> Changes {
        let Prepared { space, workflow, .. } = self.prepared;
        let (mut steps, mut lines) = (Vec::new(), Vec::new());
        for (position, step) in from.iter().enumerate() {
            let (old, new) = (space.steps[*step].taken(before[*step]).0, space.steps[*step].taken(after[*step]).0);
            if old == new || now.steps.get(position).is_none_or(|s| s.stage != Stage::Waiting) {
                continue;
            }
            lines.push(format!("{}: {} instead of {}", workflow.steps[*step].name, shown(new), shown(old)));
            steps.extend(plan.steps.get(position).cloned());
        }
        Changes { steps, said: lines.join("; ") }
    }
}

/// What is changed of the rest.
struct Changes {
    steps: Vec<PlanStep>,
    said: String,
}

impl Steer for Adapt<'_, '_> {
    fn steer(&self, now: &Now) -> Option<Turn> {
        let Prepared { library, space, workflow, .. } = self.prepared;
        // What stands ready for a load is not chosen anew for one run.
        if space.terms.rate.is_some() {
            return None;
        }
        let mut state = self.state.borrow_mut();
        let before = self.with_those_who_stand_in(&state, now, None).unwrap_or_else(|| state.choice.clone());
        let left = taken(workflow, space, &before, library);
        let standing = Standing::new(now, space, &left, library);
        let broken = self.broken(&standing, &before, true);
        let news = broken.iter().any(|(clause, _)| !state.given_up.contains(clause.text.as_str()));
        if broken.is_empty() || !news {
            return None;
        }
        let why = because(&broken, &standing, &left.choice, now, self);
        let (solution, plan) = match self.choose(&standing, &before) {
            Ok(found) => found,
            Err(clash) => return Some(give_up(&mut state, &broken, &why, &clash)),
        };
        let Changes { steps, said } = self.changes(now, &left.from, &before, (&solution.choice, &plan));
        if steps.is_empty() {
            return None;
        }
        let totals = broken.iter().map(|(clause, _)| {
            let value = standing.comes_to(clause.metric, &solution.choice);
            format!("{} {}", clause.metric.name(), metric(clause.metric.name(), value))
        });
        let (change, now) = (said, totals.collect::<Vec<_>>().join(", "));
        Some(match self.mode {
            Mode::Show => {
                state.given_up.extend(broken.iter().map(|(clause, _)| clause.text.to_string()));
                Turn { steps: Vec::new(), message: format!("{why}; the rest could be planned again: {change} ({now})") }
            }
            Mode::Change => {
                state.goes_on(self.prepared, &steps);
                Turn { steps, message: format!("{why}; the rest is planned again: {change} ({now})") }
            }
        })
    }

    fn stand_in(&self, now: &Now, by: &PlanStep) -> Option<Turn> {
        let Prepared { library, space, workflow, .. } = self.prepared;
        if space.terms.rate.is_some() || self.mode == Mode::Show {
            return None;
        }
        let mut state = self.state.borrow_mut();
        let before = self.with_those_who_stand_in(&state, now, Some(by))?;
        let left = taken(workflow, space, &before, library);
        let standing = Standing::new(now, space, &left, library);
        let (solution, plan) = self.choose(&standing, &before).ok()?;
        let Changes { steps, said } = self.changes(now, &left.from, &before, (&solution.choice, &plan));
        state.goes_on(self.prepared, &steps);
        let quality = metric(Metric::Quality.name(), plan.total.quality);
        let message = format!(
            "`{}` stands in for `{}`; so that every line is kept, the rest is planned again: {said} (quality {quality})",
            by.implementation, by.name
        );
        Some(Turn { steps, message })
    }

    fn changed(&self, steps: &[PlanStep]) {
        self.state.borrow_mut().goes_on(self.prepared, steps);
    }
}

impl State {
    /// The rest is carried out otherwise from now on.
    fn goes_on(&mut self, prepared: &Prepared<'_>, steps: &[PlanStep]) {
        self.plan.replace(steps);
        // What cannot be had any more counts with the figures of what was planned first.
        if let Ok(choice) = choice(prepared, &self.plan) {
            self.choice = choice;
        }
    }
}

/// What is used up as a run goes on.
const BOUNDED: [Metric; 4] = [Metric::Cost, Metric::Latency, Metric::LatencyP95, Metric::LatencyP99];

/// Whether a line bounds what is used up as a run goes on.
fn bounded(metric: Metric) -> bool {
    BOUNDED.contains(&metric)
}

/// By how much a prediction may miss a line before anything is changed for it: what starting and waiting take is in no prediction.
fn tolerance(clause: &Clause) -> Decimal {
    match clause.metric {
        Metric::Cost => Decimal::ZERO,
        _ => (clause.limit * dec!(0.02)).max(dec!(0.1)),
    }
}

fn place(origin: &Origin) -> Option<u32> {
    match origin {
        Origin::Clause(clause) => Some(clause.span.start),
        Origin::Rule(rule) | Origin::Called(rule, _) => Some(rule.span.start),
        Origin::StepPin(..) | Origin::EnergyKnown(..) | Origin::AgentCost(..) => None,
    }
}

/// `` `cost <= 1 usd` would be broken ($1.2): draft took $0.9, planned $0.1 ``
fn because(
    broken: &[(&Clause, Decimal)],
    standing: &Standing,
    choice: &[usize],
    now: &Now,
    adapt: &Adapt<'_, '_>,
) -> String {
    let lines = broken.iter().map(|(clause, value)| {
        let name = clause.metric.name();
        let mut worst: Vec<(Decimal, String)> = Vec::new();
        for (position, step) in now.steps.iter().enumerate().filter(|(_, s)| s.stage != Stage::Waiting) {
            let (took, planned) = standing.against(clause.metric, position, choice[position]);
            if took > planned {
                let called = &adapt.prepared.workflow.steps[standing.whole(position)].name;
                let verb = if step.stage == Stage::Done { "took" } else { "takes" };
                let all = standing.added_up(clause.metric, position);
                let all = all.map(|calls| format!(" in {calls} calls together")).unwrap_or_default();
                let text = format!("{called} {verb} {}{all}, planned {}", metric(name, took), metric(name, planned));
                worst.push((took - planned, text));
            }
        }
        worst.sort_by(|a, b| b.cmp(a));
        let mut worst: Vec<String> = worst.into_iter().take(1).map(|(_, text)| text).collect();
        worst.extend(standing.earlier(clause.metric).map(|(took, what)| format!("{} {what}", metric(name, took))));
        let worst = if worst.is_empty() { String::new() } else { format!(": {}", worst.join("; ")) };
        format!("`{}` would be broken ({}){worst}", clause.text, metric(name, *value))
    });
    lines.collect::<Vec<_>>().join(", and ")
}

/// What is said where nothing that is left keeps the lines.
fn give_up(state: &mut State, broken: &[(&Clause, Decimal)], why: &str, clash: &[String]) -> Turn {
    state.given_up.extend(broken.iter().map(|(clause, _)| clause.text.to_string()));
    let what = match clash {
        [] => "nothing better was found for what is left".to_string(),
        lines => format!("nothing that is left keeps {}", lines.join(" and ")),
    };
    let money = broken.iter().any(|(clause, _)| clause.metric == Metric::Cost);
    let end = if money { "no call is made that could cost more than is left" } else { "the run goes on as planned" };
    Turn { steps: Vec::new(), message: format!("{why}; {what}: {end}") }
}
