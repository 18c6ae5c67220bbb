//! A plan in force + the joint problem of now → what going on with it comes to, as it runs and with other numbers of replicas.

use crate::fleet::instance::millionths;
use crate::fleet::join::pinned;
use crate::fleet::ladder::completed;
use crate::fleet::model::JointPlan;
use crate::fleet::translate::{Member, Translated};
use crate::plan::model::PlanStep;
use crate::plan::reason::said;
use crate::solve::check::Violation as Broken;
use crate::solve::joint::Planned;
use crate::solve::joint::check::{Violation, check};
use crate::space::{Candidate, Figured, Space, StepSpace};
use crate::units::{counted, shown};

/// The options that carry out every step as today; why there are none.
pub fn choices(today: &JointPlan, members: &[Member]) -> Result<Vec<Vec<usize>>, String> {
    let choice = |member: &Member| {
        let name = &member.prepared.job.name;
        let job = today.jobs.iter().find(|job| job.plan.job == name.as_str());
        let job = job.ok_or_else(|| format!("`{name}` is not in it"))?;
        if job.plan.steps.len() != member.prepared.space.steps.len() {
            return Err(format!("`{name}` has other steps"));
        }
        let candidates: Vec<Candidate> = job.plan.steps.iter().map(PlanStep::candidate).collect();
        if let Some(choice) = only(&member.prepared.space, &candidates) {
            return Ok(choice);
        }
        let decided = pinned(&member.prepared, candidates.into_iter());
        decided.map(|decision| decision.solution.choice).map_err(|_| format!("`{name}` cannot be carried out as it is"))
    };
    members.iter().map(choice).collect()
}

/// The only options that are these candidates; `None` where there are none or several, among which a search must choose.
fn only(space: &Space, candidates: &[Candidate]) -> Option<Vec<usize>> {
    let set_up = |step: &StepSpace, wanted: &Candidate| {
        let same = |c: &Candidate| {
            (&c.implementation, &c.device, c.units) == (&wanted.implementation, &wanted.device, wanted.units)
                && wanted.knobs.iter().all(|knob| c.knobs.contains(knob))
        };
        let mut found = (0..step.candidates.len()).filter(|at| same(&step.candidates[*at]));
        found.next().filter(|_| found.next().is_none())
    };
    let found: Option<Vec<usize>> = space.steps.iter().zip(candidates).map(|(s, wanted)| set_up(s, wanted)).collect();
    let found = found?;
    let class = |step: usize| space.steps[step].candidates[found[step]].class;
    let option = |(at, step): (usize, &StepSpace)| {
        let fits = |option: &Figured| {
            option.candidate == found[at] && option.needs.iter().all(|(of, needed)| class(*of) == *needed)
        };
        let mut options = (0..step.options.len()).filter(|option| fits(&step.options[*option]));
        options.next().filter(|_| options.next().is_none())
    };
    space.steps.iter().enumerate().map(option).collect()
}

/// The plan of some options on as many replicas as run.
pub fn as_it_runs(choice: &[Vec<usize>], translated: &Translated, members: &[Member]) -> Result<Planned, String> {
    let mut replicas = fewest(choice, translated);
    for ((replicas, kind), of) in replicas.iter_mut().zip(&translated.fleet.kinds).zip(&translated.instances) {
        // An account is no replica that somebody starts.
        if !of.is_account() {
            *replicas = kind.running;
        }
    }
    planned(choice, replicas, translated, members)
}

/// The plan of some options on as few replicas as carry the load: stopping one never costs more than keeping it.
pub fn scaled(choice: &[Vec<usize>], translated: &Translated, members: &[Member]) -> Result<Planned, String> {
    planned(choice, fewest(choice, translated), translated, members)
}

/// The replicas of each kind that the load of some options needs.
fn fewest(choice: &[Vec<usize>], translated: &Translated) -> Vec<i64> {
    let mut loads = vec![0i64; translated.fleet.kinds.len()];
    for (job, chosen) in translated.fleet.jobs.iter().zip(choice) {
        for (step, option) in job.problem.steps.iter().zip(chosen) {
            let option = &step.choices[*option];
            if let Some(load) = option.instance.and_then(|kind| loads.get_mut(kind)) {
                *load = load.saturating_add(option.load);
            }
        }
    }
    let kinds = translated.fleet.kinds.iter().zip(loads);
    kinds.map(|(kind, load)| load.saturating_add(kind.capacity - 1).div_euclid(kind.capacity.max(1)).max(0)).collect()
}

/// A plan without a bound, or what is broken, in words.
fn planned(
    choice: &[Vec<usize>],
    replicas: Vec<i64>,
    translated: &Translated,
    members: &[Member],
) -> Result<Planned, String> {
    let jobs = translated.fleet.jobs.iter().zip(choice);
    let choice: Vec<Vec<usize>> = jobs.map(|(job, chosen)| completed(&job.problem, chosen)).collect();
    match check(&translated.fleet, &choice, &replicas) {
        Ok(value) => Ok(Planned { choice, replicas, cost: value.cost, bound: 0, nodes: 0, solves: 0 }),
        Err(violation) => Err(words(&violation, &replicas, translated, members)),
    }
}

fn words(violation: &Violation, replicas: &[i64], translated: &Translated, members: &[Member]) -> String {
    let fleet = &translated.fleet;
    match violation {
        Violation::Overloaded(kind, load, carried) => {
            let share = |millionth: i128| shown(millionths(millionth), 2);
            let (name, replicas) = (&fleet.kinds[*kind].name, counted(replicas[*kind], "replica"));
            format!("{name} would have a load of {}, and {replicas} may carry {}", share(*load), share(*carried))
        }
        Violation::Pool(pool, held) => {
            let pool = &fleet.pools[*pool];
            format!("its replicas hold {held} `{}`, and there are {}", pool.name, pool.units)
        }
        Violation::Job(job, Broken::Clause { clause, .. }) => {
            let member = &members[*job];
            let name = &member.prepared.job.name;
            match member.alone.encoded.origins.get(*clause) {
                Some(origin) => format!("`{name}` would break {}", said(origin)),
                None => format!("`{name}` can have more of what it wishes before cost"),
            }
        }
        Violation::Replicas(kind, _) => format!("{} cannot run any more", fleet.kinds[*kind].name),
        Violation::Job(job, _) => format!("`{}` cannot be carried out as it is", members[*job].prepared.job.name),
        Violation::Length => "it is for other jobs".to_string(),
    }
}
