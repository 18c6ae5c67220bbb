//! Random small problems -> the same answer as trying every choice.

mod edge;
mod pareto;
mod proofs;
mod stores;

use proptest::prelude::*;

use super::check::{Values, aggregate, check};
use super::outcome::{Conflict, Outcome, Status};
use super::problem::{Aggregate, Bound, Capacity, Choice, Clause, Figure, Instance, Problem, Step, Wish};
use super::{Certify, Limits, solve};

fn figure() -> impl Strategy<Value = Figure> {
    prop::sample::select(Figure::ALL.to_vec())
}

fn over() -> impl Strategy<Value = Aggregate> {
    prop::sample::select(vec![Aggregate::Sum, Aggregate::Max, Aggregate::Path])
}

/// A choice, with its needs drawn from `steps` steps and its rules from 2.
fn choice(steps: usize, most: i64) -> impl Strategy<Value = (Choice, [bool; 2])> {
    let figures = prop::array::uniform13(0..most);
    let uses = prop::collection::vec((0usize..2, 0i64..4), 0..3);
    let needs = prop::collection::vec((0..steps, 0u32..2), 0..2);
    let opens = prop::collection::btree_set(0usize..3, 0..3);
    let instance = (prop::option::weighted(0.6, 0usize..3), 0i64..5, prop::option::weighted(0.4, opens));
    let rules = prop::array::uniform2(prop::bool::weighted(0.15));
    (figures, uses, 0u32..2, prop::bool::weighted(0.4), needs, rules, instance).prop_map(
        |(figures, uses, class, coupled, needs, rules, (instance, load, opens))| {
            let needs = if coupled { needs } else { Vec::new() };
            let opens = opens.into_iter().flatten().filter(|other| Some(*other) != instance).collect();
            (Choice { figures, uses, class, needs, instance, load, opens, ..Choice::default() }, rules)
        },
    )
}

/// Three instances, or none; figures below `most`.
fn instances(most: i64) -> impl Strategy<Value = Vec<Instance>> {
    let figures = prop::array::uniform13(0..most);
    let uses = prop::collection::vec((0usize..2, 0i64..3), 0..2);
    let instance = (figures, uses, prop::option::weighted(0.5, 0i64..12));
    let instance = instance.prop_map(|(figures, uses, capacity)| Instance { figures, uses, capacity });
    (prop::bool::ANY, prop::collection::vec(instance, 3)).prop_map(|(any, list)| if any { list } else { Vec::new() })
}

/// Clauses over several steps, as `(step, option)` that need not exist.
fn any_of(steps: usize) -> impl Strategy<Value = Vec<Vec<(usize, usize)>>> {
    prop::collection::vec(prop::collection::vec((0..steps, 0usize..4), 1..=3), 0..=2)
}

fn small() -> impl Strategy<Value = Problem> {
    (1usize..=5).prop_flat_map(|steps| {
        let options = prop::collection::vec(prop::collection::vec(choice(steps, 12), 1..=5), steps);
        let edges = prop::collection::vec(prop::bool::weighted(0.4), steps * steps);
        let numeric = prop::collection::vec((figure(), over(), 0i64..45), 0..4);
        let wishes = prop::collection::vec((figure(), over()), 0..=3);
        let sets = prop::collection::vec(0..steps, 0..=4);
        let pools = prop::collection::vec((0i64..10, prop::collection::vec(sets, 0..3)), 2);
        (options, edges, numeric, 0usize..=2, wishes, pools, instances(12), any_of(steps)).prop_map(build)
    })
}

/// Figures as large as real ones and limits that bite, so that the search branches.
fn tight() -> impl Strategy<Value = Problem> {
    (4usize..=5).prop_flat_map(|steps| {
        let options = prop::collection::vec(prop::collection::vec(choice(steps, 90_000), 5..=8), steps);
        let edges = prop::collection::vec(prop::bool::weighted(0.4), steps * steps);
        let numeric = prop::collection::vec((figure(), over(), 60_000i64..220_000), 1..4);
        let wishes = prop::collection::vec((figure(), over()), 1..=3);
        let sets = prop::collection::vec(0..steps, 0..=4);
        let pools = prop::collection::vec((6i64..14, prop::collection::vec(sets, 0..2)), 2);
        (options, edges, numeric, 0usize..=1, wishes, pools, instances(40_000), any_of(steps)).prop_map(build)
    })
}

type Parts = (
    Vec<Vec<(Choice, [bool; 2])>>,
    Vec<bool>,
    Vec<(Figure, Aggregate, i64)>,
    usize,
    Vec<(Figure, Aggregate)>,
    Vec<(i64, Vec<Vec<usize>>)>,
    Vec<Instance>,
    Vec<Vec<(usize, usize)>>,
);

fn build((options, edge, numeric, rules, wishes, pools, instances, any): Parts) -> Problem {
    let steps = options.len();
    let first_rule = numeric.len();
    let mut clauses: Vec<Clause> = Vec::new();
    for (figure, over, limit) in numeric {
        clauses.push(Clause { bound: Bound::AtMost { figure, over, limit } });
    }
    clauses.extend((0..rules).map(|_| Clause { bound: Bound::Rule }));
    for listed in any {
        let there = listed.into_iter().filter(|&(step, option)| option < options[step].len());
        let any: Vec<_> = there.map(|(step, option)| (step, vec![option])).collect();
        clauses.extend((!any.is_empty()).then_some(Clause { bound: Bound::AnyOf(any) }));
    }
    let with_rules = |(mut choice, broken): (Choice, [bool; 2])| {
        choice.instance = choice.instance.filter(|_| !instances.is_empty());
        choice.opens.retain(|_| !instances.is_empty());
        choice.breaks = (0..rules).filter(|&rule| broken[rule]).map(|rule| first_rule + rule).collect();
        choice
    };
    let step = |choices: Vec<(Choice, [bool; 2])>| Step { choices: choices.into_iter().map(with_rules).collect() };
    let pairs = (0..steps).flat_map(|from| (from + 1..steps).map(move |to| (from, to)));
    Problem {
        steps: options.into_iter().map(step).collect(),
        edges: pairs.filter(|&(from, to)| edge[from * steps + to]).collect(),
        clauses,
        wishes: wishes.into_iter().map(|(figure, over)| Wish { figure, over }).collect(),
        capacities: pools.into_iter().map(|(units, together)| Capacity { units, together }).collect(),
        instances: instances.clone(),
    }
}

/// Every choice that couples and fits the machine, with the values of its clauses (1 or 0 for a rule) and wishes.
fn structural(problem: &Problem) -> Vec<(Vec<i64>, Vec<i64>)> {
    let mut free = problem.clone();
    free.clauses.clear();
    let mut found = Vec::new();
    let mut choice = vec![0; problem.steps.len()];
    loop {
        if let Ok(Values { wishes, .. }) = check(&free, &choice) {
            let value = |(place, clause): (usize, &Clause)| match &clause.bound {
                &Bound::AtMost { figure, over, .. } => {
                    aggregate(problem, &choice, figure, over).map_or(0, |v| v as i64)
                }
                Bound::Rule => {
                    let breaks =
                        |(step, &option): (usize, &usize)| problem.steps[step].choices[option].breaks.contains(&place);
                    i64::from(choice.iter().enumerate().any(breaks))
                }
                Bound::AnyOf(any) => i64::from(!any.iter().any(|(step, options)| options.contains(&choice[*step]))),
            };
            found.push((problem.clauses.iter().enumerate().map(value).collect(), wishes));
        }
        let Some(step) = (0..choice.len()).find(|&step| choice[step] + 1 < problem.steps[step].choices.len()) else {
            return found;
        };
        choice[step] += 1;
        choice[..step].fill(0);
    }
}

fn limit(clause: &Clause) -> i64 {
    match clause.bound {
        Bound::AtMost { limit, .. } => limit,
        Bound::Rule | Bound::AnyOf(_) => 0,
    }
}

fn holds(problem: &Problem, values: &[i64], clauses: &[usize]) -> bool {
    clauses.iter().all(|&clause| values[clause] <= limit(&problem.clauses[clause]))
}

fn verify(problem: &Problem, limits: &Limits) -> Result<(), TestCaseError> {
    let all: Vec<usize> = (0..problem.clauses.len()).collect();
    let plans = structural(problem);
    let best = plans.iter().filter(|plan| holds(problem, &plan.0, &all)).map(|plan| &plan.1).min();
    match (solve(problem, limits), best) {
        (Outcome::Solved(solution), Some(best)) => {
            prop_assert_eq!(&solution.values, best);
            prop_assert_eq!(solution.proof.status, Status::Optimal);
            prop_assert_eq!(solution.proof.by.starts_with("z3 "), limits.certify != Certify::Off);
            let values = check(problem, &solution.choice).map(|values| values.wishes);
            prop_assert_eq!(values, Ok(solution.values));
        }
        (Outcome::Conflict(conflict), None) => verify_conflict(problem, &plans, &conflict, limits)?,
        (outcome, best) => prop_assert!(false, "solver: {:?}, brute force: {:?}", outcome, best),
    }
    Ok(())
}

fn verify_conflict(
    problem: &Problem,
    plans: &[(Vec<i64>, Vec<i64>)],
    conflict: &Conflict,
    limits: &Limits,
) -> Result<(), TestCaseError> {
    let feasible = |clauses: &[usize]| plans.iter().any(|plan| holds(problem, &plan.0, clauses));
    let numeric = |clause: usize| matches!(problem.clauses[clause].bound, Bound::AtMost { .. });
    let least = |clause: usize, others: &[usize]| {
        let allowed = plans.iter().filter(|plan| holds(problem, &plan.0, others));
        allowed.map(|plan| plan.0[clause]).min().filter(|_| numeric(clause))
    };
    let without = |set: &[usize], dropped: usize| -> Vec<usize> {
        set.iter().copied().filter(|&other| other != dropped).collect()
    };
    // Every set of clauses as bits, smaller ones first where that matters.
    let count = problem.clauses.len();
    let all: Vec<usize> = (0..count).collect();
    let members =
        |bits: usize| -> Vec<usize> { all.iter().copied().filter(|clause| bits >> clause & 1 == 1).collect() };
    let sets: Vec<Vec<usize>> = (0..1 << count).map(members).collect();
    let minimal = |set: &&Vec<usize>| !feasible(set) && set.iter().all(|&clause| feasible(&without(set, clause)));
    let mut cores: Vec<Vec<usize>> = sets.iter().filter(minimal).cloned().collect();
    cores.sort();
    let mut told = conflict.others.clone();
    prop_assert!(told.is_sorted());
    told.push(conflict.core.clone());
    told.sort();
    prop_assert_eq!(&told, &cores);
    // The first core is the one whose last clauses come first.
    let backwards = |core: &Vec<usize>| core.iter().rev().copied().collect::<Vec<usize>>();
    prop_assert_eq!(Some(backwards(&conflict.core)), cores.iter().map(backwards).min());
    prop_assert_eq!(conflict.confirmed, limits.certify != Certify::Off);

    let reach = |clause: usize| (clause, least(clause, &without(&all, clause)));
    let reachable: Vec<_> = conflict.core.iter().copied().filter(|&clause| numeric(clause)).map(reach).collect();
    prop_assert_eq!(&conflict.reachable, &reachable);
    for core in &cores {
        for &clause in core.iter().filter(|&&clause| numeric(clause)) {
            let open = reachable.iter().any(|&(reached, value)| reached == clause && value.is_some());
            let value = conflict.alone.iter().find(|pair| pair.0 == clause).map(|pair| pair.1);
            prop_assert_eq!(value.is_some(), !open);
            let of = |core: &&Vec<usize>| core.contains(&clause) && least(clause, &without(core, clause)) == value;
            prop_assert!(open || cores.iter().any(|core| of(&core)));
        }
    }

    let mends = |set: &&Vec<usize>| feasible(&members(((1 << count) - 1) ^ set.iter().map(|c| 1 << c).sum::<usize>()));
    let size = sets.iter().filter(mends).map(Vec::len).min();
    let mut repairs = Vec::new();
    for set in sets.iter().filter(mends).filter(|set| Some(set.len()) == size) {
        let kept: Vec<usize> = all.iter().copied().filter(|clause| !set.contains(clause)).collect();
        let mut left: Vec<_> = plans.iter().filter(|plan| holds(problem, &plan.0, &kept)).collect();
        let mut changes = Vec::new();
        for &clause in set {
            let limit = left.iter().map(|plan| plan.0[clause]).min().filter(|_| numeric(clause));
            left.retain(|plan| limit.is_none_or(|limit| plan.0[clause] <= limit));
            changes.push((clause, limit.unwrap_or(0)));
        }
        repairs.push(changes);
    }
    repairs.sort_by_key(|changes| changes.iter().map(|change| change.0).collect::<Vec<_>>());
    let told: Vec<_> = conflict.repairs.iter().map(|repair| repair.changes.clone()).collect();
    if conflict.core.is_empty() {
        prop_assert!(told.is_empty());
    } else {
        repairs.truncate(super::conflict::MOST_REPAIRS);
        prop_assert_eq!(told, repairs);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn native_search_agrees_with_brute_force(problem in small()) {
        verify(&problem, &Limits { certify: Certify::Off, ..Limits::default() })?;
    }

    #[test]
    fn z3_certifies_what_brute_force_says(problem in small()) {
        verify(&problem, &Limits::default())?;
    }

    #[test]
    fn z3_certifies_the_whole_of_small_problems(problem in small()) {
        verify(&problem, &Limits { certify: Certify::Full, ..Limits::default() })?;
    }

    #[test]
    fn z3_alone_agrees_with_brute_force(problem in small()) {
        let plans = structural(&problem);
        let all: Vec<usize> = (0..problem.clauses.len()).collect();
        let best = plans.iter().filter(|plan| holds(&problem, &plan.0, &all)).map(|plan| &plan.1).min();
        match (solve(&problem, &Limits { nodes: 0, ..Limits::default() }), best) {
            (Outcome::Solved(solution), Some(best)) => prop_assert_eq!(&solution.values, best),
            (Outcome::Conflict(_), None) => (),
            (outcome, best) => prop_assert!(false, "solver: {:?}, brute force: {:?}", outcome, best),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tight_problems_agree_with_brute_force(problem in tight()) {
        verify(&problem, &Limits::default())?;
        prop_assert_eq!(solve(&problem, &Limits::default()), solve(&problem, &Limits::default()));
    }
}
