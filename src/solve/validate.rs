//! A [`Problem`] -> nothing, or words on what is malformed: an index out of range, a negative figure, totals too large.

use super::problem::{Bound, Choice, Figure, Figures, Problem};

/// Totals above this are refused, so that sums fit in `i64` and sums of priced figures in `i128`.
pub const HUGE: i128 = 1 << 50;

/// Checks everything that the rest of the solver takes for granted.
pub fn validate(problem: &Problem) -> Result<(), String> {
    let mut totals = Totals::new(problem);
    for (s, step) in problem.steps.iter().enumerate() {
        for (o, choice) in step.choices.iter().enumerate() {
            option(problem, choice).map_err(|words| format!("step {s}, option {o}: {words}"))?;
            totals.see(&choice.figures, &choice.uses, choice.load);
        }
        totals.add();
    }
    for (i, instance) in problem.instances.iter().enumerate() {
        let held = figures(&instance.figures).and_then(|()| uses(problem, &instance.uses));
        held.map_err(|words| format!("instance {i}: {words}"))?;
        totals.see(&instance.figures, &instance.uses, 0);
        totals.add();
    }
    totals.check()?;
    let steps = problem.steps.len();
    if let Some(&(from, to)) = problem.edges.iter().find(|edge| edge.0 >= steps || edge.1 >= steps) {
        return Err(format!("edge {from} -> {to}: there are only {steps} steps"));
    }
    for (resource, capacity) in problem.capacities.iter().enumerate() {
        if let Some(step) = capacity.together.iter().flatten().find(|&&step| step >= steps) {
            return Err(format!("resource {resource} is held by step {step}, which does not exist"));
        }
    }
    for (c, clause) in problem.clauses.iter().enumerate() {
        let Bound::AnyOf(any) = &clause.bound else { continue };
        for (step, options) in any {
            let there = problem.steps.get(*step).map(|step| step.choices.len());
            let there = there.ok_or_else(|| format!("clause {c} names step {step}, which does not exist"))?;
            if let Some(option) = options.iter().find(|&&option| option >= there) {
                return Err(format!("clause {c} names option {option} of step {step}, which does not exist"));
            }
        }
    }
    Ok(())
}

fn option(problem: &Problem, choice: &Choice) -> Result<(), String> {
    figures(&choice.figures)?;
    uses(problem, &choice.uses)?;
    if let Some(&(other, _)) = choice.needs.iter().find(|need| need.0 >= problem.steps.len()) {
        return Err(format!("assumes something of step {other}, which does not exist"));
    }
    for &clause in &choice.breaks {
        if !matches!(problem.clauses.get(clause).map(|c| &c.bound), Some(Bound::Rule)) {
            return Err(format!("breaks clause {clause}, which is no rule"));
        }
    }
    if let Some(instance) = choice.instances().find(|&instance| instance >= problem.instances.len()) {
        return Err(format!("uses instance {instance}, which does not exist"));
    }
    let own = choice.instance.is_some_and(|instance| choice.opens.contains(&instance));
    if own || choice.opens.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err("opens an instance twice, or not in ascending order".to_owned());
    }
    if choice.load < 0 {
        return Err(format!("its load is negative ({})", choice.load));
    }
    Ok(())
}

fn figures(figures: &Figures) -> Result<(), String> {
    // The sign of all of them at once: nearly always there is none.
    if figures.iter().fold(0, |signs, value| signs | value) >= 0 {
        return Ok(());
    }
    match Figure::ALL.iter().find(|figure| figures[figure.index()] < 0) {
        Some(figure) => Err(format!("{figure:?} is negative ({})", figures[figure.index()])),
        None => Ok(()),
    }
}

fn uses(problem: &Problem, uses: &[(usize, i64)]) -> Result<(), String> {
    for &(resource, units) in uses {
        if resource >= problem.capacities.len() {
            return Err(format!("there is no resource {resource}"));
        }
        if units < 0 {
            return Err(format!("holds {units} units of resource {resource}"));
        }
    }
    Ok(())
}

/// The largest that the figures, loads and uses of a plan can add up to: figures first, then the load, then resources.
struct Totals {
    sum: Vec<i128>,
    /// The most of the step that is looked at.
    figures: Figures,
    load: i64,
    held: Vec<i128>,
}

const LOAD: usize = Figure::ALL.len();

impl Totals {
    fn new(problem: &Problem) -> Self {
        let places = LOAD + 1 + problem.capacities.len();
        Totals { sum: vec![0; places], figures: Figures::default(), load: 0, held: vec![0; problem.capacities.len()] }
    }

    fn see(&mut self, figures: &Figures, uses: &[(usize, i64)], load: i64) {
        self.figures.iter_mut().zip(figures).for_each(|(most, &value)| *most = (*most).max(value));
        self.load = self.load.max(load);
        for (place, &(resource, _)) in uses.iter().enumerate() {
            // A resource may be listed more than once; the first time counts them all.
            if uses[..place].iter().all(|used| used.0 != resource) {
                let held = uses.iter().filter(|used| used.0 == resource).map(|used| i128::from(used.1)).sum();
                let most = &mut self.held[resource];
                *most = (*most).max(held);
            }
        }
    }

    fn add(&mut self) {
        let most = std::mem::take(&mut self.figures).map(i128::from).into_iter();
        let most =
            most.chain([i128::from(std::mem::take(&mut self.load))]).chain(self.held.iter_mut().map(std::mem::take));
        self.sum.iter_mut().zip(most).for_each(|(sum, most)| *sum += most);
    }

    fn check(&self) -> Result<(), String> {
        let Some(place) = self.sum.iter().position(|&total| total > HUGE) else {
            return Ok(());
        };
        Err(match Figure::ALL.get(place) {
            Some(figure) => format!("the largest {figure:?} figures add up to more than 2^50"),
            None if place == LOAD => "the largest loads add up to more than 2^50".to_owned(),
            None => format!("the largest uses of resource {} add up to more than 2^50", place - LOAD - 1),
        })
    }
}
