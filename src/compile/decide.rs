//! Prepared job + changes to what it asks → the best plan, verified, or the clauses that clash.

use super::Prepared;
use crate::check::program::{Clause, Job, Metric, Pin, Rule};
use crate::diag::Diagnostic;
use crate::diag::source::Span;
use crate::ir::workflow::Workflow;
use crate::plan::audit::audit;
use crate::plan::build::{BuildInput, build, total_of};
use crate::plan::model::Plan;
use crate::plan::{conflict, verify};
use crate::solve::outcome::{Conflict, Outcome, Solution, Status};
use crate::solve::{Limits, solve};
use crate::space::encode::{self, Encoded, Origin, encode};
use rust_decimal::Decimal;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What a question changes of what a job asks.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Limits that are added; one takes the place of the job's limits on the same figure.
    pub limits: Vec<Clause>,
    /// Lines of the job with another limit, by their places.
    pub moved: Vec<(Span, Decimal)>,
    /// Limits and rules of the job that are left out, by their places.
    pub without: BTreeSet<Span>,
    /// Pins and rules that are added.
    pub rules: Vec<Rule>,
    /// Pins at calls that are added: `(step, pin)`.
    pub pins: Vec<(usize, Pin)>,
}

impl Changes {
    /// The job that a changed one is.
    pub fn job<'j>(&self, job: &'j Job) -> Cow<'j, Job> {
        if self.limits.is_empty() && self.moved.is_empty() && self.without.is_empty() && self.rules.is_empty() {
            return Cow::Borrowed(job);
        }
        let mut changed = job.clone();
        let replaced = |c: &Clause| self.limits.iter().any(|l| l.figure() == c.figure());
        changed.clauses.retain(|c| !replaced(c) && !self.without.contains(&c.span));
        changed.preferred.retain(|c| !self.without.contains(&c.span));
        changed.rules.retain(|r| !self.without.contains(&r.span));
        for clause in changed.clauses.iter_mut().chain(&mut changed.preferred) {
            let moved = self.moved.iter().find(|(span, _)| *span == clause.span);
            clause.limit = moved.map_or(clause.limit, |(_, limit)| *limit);
        }
        changed.clauses.extend(self.limits.iter().cloned());
        changed.rules.extend(self.rules.iter().cloned());
        Cow::Owned(changed)
    }

    fn workflow<'w>(&self, workflow: &'w Workflow) -> Cow<'w, Workflow> {
        let mut changed = Cow::Borrowed(workflow);
        for (step, pin) in &self.pins {
            if let Some(step) = changed.to_mut().steps.get_mut(*step) {
                step.pins.push(pin.clone());
            }
        }
        changed
    }
}

/// A plan, with the problem that it solves.
pub struct Decision {
    /// The plan; it has passed verification.
    pub plan: Plan,
    /// The problem.
    pub encoded: Encoded,
    /// Its solution.
    pub solution: Solution,
    /// The lines whose limits were taken as they are, because the looser ones gave plans that break them.
    pub strict: BTreeSet<Span>,
}

/// Clauses that clash, with the problem in which they do.
pub struct Clash {
    /// Which clash.
    pub found: Conflict,
    /// The problem.
    pub encoded: Encoded,
    /// The lines whose limits were taken as they are, because the looser ones gave plans that break them.
    pub strict: BTreeSet<Span>,
}

impl Clash {
    /// E0710 or E0711, in the source.
    pub fn diagnostic(&self, prepared: &Prepared) -> Diagnostic {
        let Prepared { space, workflow, job, .. } = prepared;
        conflict::explain(&self.found, &self.encoded, space, workflow, job.span)
    }
}

/// Why there is no plan.
pub enum Undecided {
    /// Clauses clash.
    Clash(Box<Clash>),
    /// In words: the limits of the search, or a fault of ours.
    Unknown(String),
}

/// Encodes, solves, keeps what soft lines can be kept, builds the plan and verifies it.
pub fn decide(prepared: &Prepared, changes: &Changes, limits: &Limits) -> Result<Decision, Undecided> {
    let (job, workflow) = (changes.job(&prepared.job), changes.workflow(&prepared.workflow));
    let (job, workflow) = (job.as_ref(), workflow.as_ref());
    let Prepared { compiled, library, machines, space, .. } = prepared;
    // Limits are first looser than written, by what rounding can add; the lines that a plan then breaks are taken as they are.
    let mut strict = BTreeSet::new();
    loop {
        let encoding =
            |kept: &[Origin]| encode(&encode::Input { job, kept, workflow, space, library, machines, strict: &strict });
        let hard = encoding(&[]);
        let first = match solve(&hard.problem, limits) {
            Outcome::Solved(solution) => solution,
            Outcome::Conflict(found) => {
                let all = job.clauses.iter().map(|c| c.span).collect();
                let tight = encode(&encode::Input { job, kept: &[], workflow, space, library, machines, strict: &all });
                let found = offer(found, &tight, limits);
                return Err(Undecided::Clash(Box::new(Clash { found, encoded: hard, strict })));
            }
            Outcome::Unknown(why) => {
                return Err(Undecided::Unknown(format!("the solver found neither a plan nor a conflict: {why}")));
            }
        };
        let (encoded, solution, kept, broken) = prefer(job, hard, first, &encoding, limits);
        let built = build(&BuildInput {
            job,
            workflow,
            space,
            encoded: &encoded,
            solution: &solution,
            library,
            machines,
            sizes: &prepared.sizes,
            kept: &kept,
            broken: &broken,
            sources: &compiled.texts.sources,
            file: compiled.file,
            hashes: prepared.hashes.clone(),
        });
        let plan = built.map_err(Undecided::Unknown)?;
        // The verifier knows nothing of the solver: what else it finds is a fault of ours, and such a plan goes nowhere.
        let mut wrong = verify::verify_against(&plan, library);
        wrong.extend(audit(&plan, job, &compiled.checked.program, library));
        // A soft line that the looser limit kept and the plan breaks is nothing that the verifier minds, and may still be one that can be kept.
        let all = job.clauses.iter().chain(&job.preferred);
        let broken_now = all.filter(|c| !holds(c, &plan)).map(|c| c.span);
        let given_up = |span: &Span| broken.iter().any(|o| matches!(o, Origin::Clause(c) if c.span == *span));
        let new: Vec<Span> = broken_now.filter(|s| !given_up(s) && !strict.contains(s)).collect();
        if !new.is_empty() {
            strict.extend(new);
        } else if wrong.is_empty() {
            return Ok(Decision { plan, encoded, solution, strict });
        } else {
            let wrong = wrong.join("; ");
            return Err(Undecided::Unknown(format!(
                "the plan does not pass verification, which is a fault of mkbc: {wrong}"
            )));
        }
    }
}

/// A conflict with what limits as they are written leave of the others: looser ones would promise what rounding adds.
fn offer(found: Conflict, tight: &Encoded, limits: &Limits) -> Conflict {
    match solve(&tight.problem, limits) {
        Outcome::Conflict(exact) if exact.core == found.core => {
            Conflict { reachable: exact.reachable, alone: exact.alone, repairs: exact.repairs, ..found }
        }
        _ => found,
    }
}

/// Whether a plan keeps a limit, in exact decimals.
fn holds(clause: &Clause, plan: &Plan) -> bool {
    let value = total_of(clause.metric, &plan.total);
    if clause.metric == Metric::Quality { value >= clause.limit } else { value <= clause.limit }
}

type Chosen = (Encoded, Solution, Vec<Origin>, Vec<Origin>);

/// Keeps as many of the soft limits and rules as can be, in the order in which they are written. Where the limits of the search decide of one
/// that it is not kept, the plan is not proved to be the best.
fn prefer(
    job: &Job,
    hard: Encoded,
    first: Solution,
    encoding: &dyn Fn(&[Origin]) -> Encoded,
    limits: &Limits,
) -> Chosen {
    let mut soft: Vec<(u32, Origin)> =
        job.preferred.iter().map(|c| (c.span.start, Origin::Clause(c.clone()))).collect();
    soft.extend(job.rules.iter().filter(|r| r.soft).map(|r| (r.span.start, Origin::Rule(r.clone()))));
    soft.sort_by_key(|(at, _)| *at);
    let (mut chosen, mut kept, mut broken, mut cut) = ((hard, first), Vec::new(), Vec::new(), false);
    let late = || limits.out_of_time.is_some_and(|out| out());
    for (_, wish) in soft {
        if late() {
            broken.push(wish);
            cut = true;
            continue;
        }
        kept.push(wish);
        let with = encoding(&kept);
        match solve(&with.problem, limits) {
            Outcome::Solved(solution) => chosen = (with, solution),
            Outcome::Conflict(_) => broken.extend(kept.pop()),
            Outcome::Unknown(_) => {
                broken.extend(kept.pop());
                cut = true;
            }
        }
    }
    if cut && chosen.1.proof.status == Status::Optimal {
        chosen.1.proof.status = Status::Feasible { wish: 0, bound: 0 };
    }
    (chosen.0, chosen.1, kept, broken)
}
