//! A problem and one choice per step -> the value of every clause and wish, or the first thing that it violates.
//!
//! This is the judge of every plan, whoever found it: it shares no code with the search and reads the problem as stated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::problem::{Aggregate, Bound, Choice, Figure, Problem};

/// The aggregates of one choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values {
    /// The value of each wish, in order.
    pub wishes: Vec<i64>,
    /// The value of each numeric clause, in order; `None` for a rule.
    pub clauses: Vec<Option<i64>>,
}

/// Why a choice is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Not one choice per step.
    Length {
        /// Steps of the problem.
        steps: usize,
        /// Choices given.
        given: usize,
    },
    /// The step has no such option.
    NoSuchOption {
        /// The step.
        step: usize,
    },
    /// The option assumes another class of another step.
    Coupling {
        /// The step whose option assumes it.
        step: usize,
        /// The step that is of another class (or does not exist).
        of: usize,
    },
    /// More units are held at once than exist.
    Capacity {
        /// The resource.
        resource: usize,
        /// Which of its sets of concurrent steps.
        set: usize,
        /// Units held.
        held: i64,
    },
    /// An option names an instance that does not exist, or an instance is loaded beyond its capacity.
    Instance {
        /// The instance.
        instance: usize,
        /// Its load.
        load: i64,
    },
    /// A clause does not hold.
    Clause {
        /// Its index.
        clause: usize,
        /// The value that exceeds its limit; `None` for a rule.
        value: Option<i64>,
    },
    /// The edges are no DAG, so that a path has no length.
    Cycle,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Length { steps, given } => write!(f, "it has {given} options for {steps} steps"),
            Violation::NoSuchOption { step } => write!(f, "step {step} has no such option"),
            Violation::Coupling { step, of } => write!(f, "step {step} assumes another option of step {of}"),
            Violation::Capacity { resource, set, held } => {
                write!(
                    f,
                    "the steps of set {set} hold {held} units of resource {resource}, which are more than there are"
                )
            }
            Violation::Instance { instance, load } => {
                write!(f, "instance {instance} does not exist or cannot carry a load of {load}")
            }
            Violation::Clause { clause, value: Some(value) } => write!(f, "clause {clause} does not hold: {value}"),
            Violation::Clause { clause, value: None } => write!(f, "clause {clause} does not hold"),
            Violation::Cycle => f.write_str("the edges run in a cycle"),
        }
    }
}

/// Checks one choice per step against the whole problem, in exact integers.
pub fn check(problem: &Problem, choice: &[usize]) -> Result<Values, Violation> {
    if choice.len() != problem.steps.len() {
        return Err(Violation::Length { steps: problem.steps.len(), given: choice.len() });
    }
    let mut chosen = Vec::with_capacity(choice.len());
    for (step, &option) in choice.iter().enumerate() {
        chosen.push(problem.steps[step].choices.get(option).ok_or(Violation::NoSuchOption { step })?);
    }
    for (step, option) in chosen.iter().enumerate() {
        for &(of, class) in &option.needs {
            if chosen.get(of).is_none_or(|other| other.class != class) {
                return Err(Violation::Coupling { step, of });
            }
        }
    }
    let used = used(problem, &chosen)?;
    for (resource, capacity) in problem.capacities.iter().enumerate() {
        let on = |uses: &[(usize, i64)]| {
            let of = uses.iter().filter(|used| used.0 == resource);
            of.map(|used| i128::from(used.1)).sum::<i128>()
        };
        let standing: i128 = used.iter().map(|&instance| on(&problem.instances[instance].uses)).sum();
        for (set, together) in capacity.together.iter().enumerate() {
            let members: BTreeSet<usize> = together.iter().copied().collect();
            let held: i128 = members.iter().filter_map(|&step| chosen.get(step)).map(|option| on(&option.uses)).sum();
            let held = held + standing;
            if held > i128::from(capacity.units) {
                return Err(Violation::Capacity { resource, set, held: narrow(held) });
            }
        }
    }
    let mut clauses = Vec::with_capacity(problem.clauses.len());
    for (clause, stated) in problem.clauses.iter().enumerate() {
        let value = match &stated.bound {
            Bound::Rule if chosen.iter().any(|option| option.breaks.contains(&clause)) => {
                return Err(Violation::Clause { clause, value: None });
            }
            Bound::Rule => None,
            Bound::AnyOf(any) => {
                if !any.iter().any(|(step, options)| choice.get(*step).is_some_and(|taken| options.contains(taken))) {
                    return Err(Violation::Clause { clause, value: None });
                }
                None
            }
            &Bound::AtMost { figure, over, limit } => {
                let value = aggregate(problem, choice, figure, over)?;
                if value > i128::from(limit) {
                    return Err(Violation::Clause { clause, value: Some(narrow(value)) });
                }
                Some(narrow(value))
            }
        };
        clauses.push(value);
    }
    let mut wishes = Vec::with_capacity(problem.wishes.len());
    for wish in &problem.wishes {
        wishes.push(narrow(aggregate(problem, choice, wish.figure, wish.over)?));
    }
    Ok(Values { wishes, clauses })
}

/// The instances that the chosen options use, ascending, none loaded beyond its capacity.
fn used(problem: &Problem, chosen: &[&Choice]) -> Result<BTreeSet<usize>, Violation> {
    let mut loads: BTreeMap<usize, i128> = BTreeMap::new();
    for option in chosen {
        if let Some(instance) = option.instance {
            *loads.entry(instance).or_default() += i128::from(option.load);
        }
        option.opens.iter().for_each(|&instance| *loads.entry(instance).or_default() += 0);
    }
    for (&instance, &load) in &loads {
        let known = problem.instances.get(instance);
        if known.is_none_or(|known| known.capacity.is_some_and(|capacity| load > i128::from(capacity))) {
            return Err(Violation::Instance { instance, load: narrow(load) });
        }
    }
    Ok(loads.into_keys().collect())
}

/// One figure of one choice, combined over the steps; nothing combines to 0.
pub fn aggregate(problem: &Problem, choice: &[usize], figure: Figure, over: Aggregate) -> Result<i128, Violation> {
    let (mut weights, mut instances) = (Vec::with_capacity(choice.len()), BTreeSet::new());
    for (step, &option) in choice.iter().enumerate() {
        let options = problem.steps.get(step).map(|s| &s.choices);
        let option = options.and_then(|o| o.get(option)).ok_or(Violation::NoSuchOption { step })?;
        instances.extend(option.instance);
        instances.extend(&option.opens);
        weights.push(i128::from(option.figures[figure.index()]));
    }
    Ok(match over {
        Aggregate::Sum => {
            let once = instances.iter().filter_map(|&instance| problem.instances.get(instance));
            weights.iter().sum::<i128>() + once.map(|i| i128::from(i.figures[figure.index()])).sum::<i128>()
        }
        Aggregate::Max => weights.iter().copied().max().unwrap_or(0),
        Aggregate::Path => longest(problem, &weights).ok_or(Violation::Cycle)?,
    })
}

/// The heaviest path of the DAG: relaxed once per step, since no path of a DAG is longer; `None` when it still grows.
fn longest(problem: &Problem, weights: &[i128]) -> Option<i128> {
    let mut finish = weights.to_vec();
    for _ in 0..=weights.len() {
        let mut grew = false;
        for &(before, after) in &problem.edges {
            let reached = finish.get(before)? + weights.get(after)?;
            if before == after {
                return None;
            }
            if reached > finish[after] {
                finish[after] = reached;
                grew = true;
            }
        }
        if !grew {
            return Some(finish.iter().copied().max().unwrap_or(0));
        }
    }
    None
}

fn narrow(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}
