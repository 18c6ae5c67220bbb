//! A problem, the clauses in force and bounds on wishes -> the options that are left of each step and the rows over them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::problem::{Aggregate, Bound, Charges, Choice, Figure, Origin, Problem, Wish};
use super::spoken;

/// Largest total of a figure or use, so that sums of multiplied figures are exact.
const MOST: i128 = 1 << 52;

/// `Σ coef · x <= rhs`, one coefficient per column.
#[derive(Clone)]
pub struct Row {
    pub coef: Vec<i128>,
    pub rhs: i128,
}

/// Columns of `down` go with some columns of `up` only: those listed; a column that is not listed goes with all.
pub struct Need {
    pub down: usize,
    pub up: usize,
    pub of: BTreeMap<u32, Vec<u32>>,
}

/// The problem under clauses and bounds. A *column* is an option of a step, or an instance that is closed or open.
pub struct Rows<'p> {
    pub problem: &'p Problem,
    clauses: BTreeSet<usize>,
    /// The least limits of sums and paths.
    limits: BTreeMap<(Aggregate, Figure), i64>,
    /// Step and option of each column.
    pub columns: Vec<(usize, usize)>,
    /// The columns of each step that single limits and rules leave and no other one replaces.
    pub domain: Vec<Vec<u32>>,
    /// What columns need of other steps.
    pub needs: Vec<Need>,
    /// The steps in an order that follows the edges.
    pub order: Vec<usize>,
}

impl<'p> Rows<'p> {
    pub fn new(problem: &'p Problem, clauses: &[usize], bounds: &[(Wish, i64)]) -> Result<Self, String> {
        sizes(problem)?;
        let order = order(problem).ok_or("the edges are no DAG")?;
        let clauses: BTreeSet<usize> = clauses.iter().copied().collect();
        let mut limits: BTreeMap<(Aggregate, Figure), i64> = BTreeMap::new();
        let stated = clauses.iter().filter_map(|&clause| match problem.clauses.get(clause)?.bound {
            Bound::AtMost { figure, over, limit } => Some(((over, figure), limit)),
            Bound::Rule | Bound::AnyOf(_) => None,
        });
        for (what, limit) in stated.chain(bounds.iter().map(|&(wish, limit)| ((wish.over, wish.figure), limit))) {
            let least = limits.entry(what).or_insert(limit);
            *least = limit.min(*least);
        }
        let mut rows =
            Rows { problem, clauses, limits, columns: Vec::new(), domain: Vec::new(), needs: Vec::new(), order };
        for (step, stated) in problem.steps.iter().enumerate() {
            let allowed = |&option: &usize| rows.allows(&stated.choices[option]);
            let allowed: Vec<usize> = (0..stated.choices.len()).filter(allowed).collect();
            let first = rows.columns.len() as u32;
            let kept = rows.kept(step, &allowed);
            rows.columns.extend((0..stated.choices.len()).map(|option| (step, option)));
            rows.domain.push(kept.into_iter().map(|option| first + option as u32).collect());
        }
        for instance in 0..problem.instances.len() {
            let first = rows.columns.len() as u32;
            rows.columns.extend([0, 1].map(|option| (problem.steps.len() + instance, option)));
            rows.domain.push(vec![first, first + 1]);
        }
        rows.needs = rows.find_needs();
        Ok(rows)
    }

    /// Whether something fails whatever is chosen: a largest figure of nothing below 0.
    pub fn broken(&self) -> bool {
        self.limits.values().any(|&limit| limit < 0)
    }

    fn allows(&self, choice: &Choice) -> bool {
        let under = |figure: &Figure| {
            let limit = self.limits.get(&(Aggregate::Max, *figure));
            limit.is_none_or(|&limit| choice.figures[figure.index()] <= limit)
        };
        Figure::ALL.iter().all(under) && !choice.breaks.iter().any(|clause| self.clauses.contains(clause))
    }

    /// The options of a step that no other one replaces.
    fn kept(&self, step: usize, allowed: &[usize]) -> Vec<usize> {
        let problem = self.problem;
        let choices = &problem.steps[step].choices;
        let mut needed = problem.steps.iter().flat_map(|step| &step.choices).flat_map(|choice| &choice.needs);
        let assumed = needed.any(|need| need.0 == step);
        let read: Vec<usize> = Figure::ALL
            .into_iter()
            .filter(|figure| self.limits.keys().any(|what| what.1 == *figure))
            .map(Figure::index)
            .collect();
        let lists = |option: usize| -> Vec<usize> {
            let lists = |clause: &usize| match problem.clauses.get(*clause).map(|c| &c.bound) {
                Some(Bound::AnyOf(any)) => any.iter().any(|(at, options)| *at == step && options.contains(&option)),
                _ => false,
            };
            self.clauses.iter().copied().filter(lists).collect()
        };
        let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for &option in allowed {
            let choice = &choices[option];
            let mut uses: BTreeMap<usize, i64> = BTreeMap::new();
            for &(resource, units) in choice
                .uses
                .iter()
                .filter(|used| used.1 > 0 && problem.capacities[used.0].together.iter().any(|set| set.contains(&step)))
            {
                *uses.entry(resource).or_default() += units;
            }
            let needs: BTreeSet<(usize, u32)> = choice.needs.iter().copied().collect();
            let class = if assumed { choice.class } else { 0 };
            groups.entry((choice.instance, class, uses, needs, lists(option))).or_default().push(option);
        }
        let no_larger = |a: usize, b: usize| {
            let (a, b) = (&choices[a], &choices[b]);
            let opens = a.opens.iter().all(|instance| b.opens.contains(instance));
            opens && a.load <= b.load && read.iter().all(|&figure| a.figures[figure] <= b.figures[figure])
        };
        let mut kept = Vec::new();
        for group in groups.values() {
            // Of two that replace each other the first stays.
            let replaced = |&b: &usize| group.iter().any(|&a| a != b && no_larger(a, b) && (!no_larger(b, a) || a < b));
            kept.extend(group.iter().copied().filter(|option| !replaced(option)));
        }
        kept.sort_unstable();
        kept
    }

    fn find_needs(&self) -> Vec<Need> {
        let mut found: BTreeMap<(usize, usize), BTreeMap<u32, Vec<u32>>> = BTreeMap::new();
        let mut add = |down: usize, up: usize, column: u32, others: Vec<u32>| {
            let list = found.entry((down, up)).or_default().entry(column).or_insert_with(|| others.clone());
            list.retain(|other| others.contains(other));
        };
        let steps = self.problem.steps.len();
        for (down, domain) in self.domain[..steps].iter().enumerate() {
            for &column in domain {
                let Some(choice) = self.choice(column) else { continue };
                for &(up, class) in &choice.needs {
                    // A step that does not exist is of no class.
                    let fits = |other: &u32| self.choice(*other).is_some_and(|other| other.class == class);
                    let own = |other: &u32| up != down || *other == column;
                    let others = self.domain.get(up).into_iter().flatten().copied();
                    add(down, up.min(self.domain.len() - 1), column, others.filter(|o| fits(o) && own(o)).collect());
                }
                for instance in choice.instances() {
                    add(down, steps + instance, column, self.domain[steps + instance][1..].to_vec());
                }
            }
        }
        found.into_iter().map(|((down, up), of)| Need { down, up, of }).collect()
    }

    pub fn choice(&self, column: u32) -> Option<&'p Choice> {
        let (step, option) = self.columns[column as usize];
        self.problem.steps.get(step)?.choices.get(option)
    }

    fn row(&self, rhs: i128, coef: impl Fn(usize, usize) -> i128) -> Row {
        Row { coef: self.columns.iter().map(|&(step, option)| coef(step, option)).collect(), rhs }
    }

    /// The limits of longest paths.
    pub fn ceilings(&self) -> impl Iterator<Item = (Figure, i64)> {
        self.limits.iter().filter(|limit| limit.0.0 == Aggregate::Path).map(|(what, &limit)| (what.1, limit))
    }

    /// The row of a name; why there is none.
    pub fn named(&self, name: &Origin) -> Result<Row, String> {
        let problem = self.problem;
        let steps = problem.steps.len();
        let choice = |step: usize, option: usize| problem.steps.get(step).and_then(|s| s.choices.get(option));
        let open = |step: usize, option: usize| (step >= steps && option == 1).then(|| step - steps);
        let wrong = || format!("the problem has no row {}", spoken(name));
        Ok(match name {
            &Origin::Sum(figure) => {
                let limit = self.limits.get(&(Aggregate::Sum, figure)).ok_or_else(wrong)?;
                self.row(i128::from(*limit), |step, option| {
                    let figures = choice(step, option).map(|c| &c.figures);
                    let figures = figures.or_else(|| open(step, option).map(|k| &problem.instances[k].figures));
                    figures.map_or(0, |figures| i128::from(figures[figure.index()]))
                })
            }
            Origin::Path(figure, path) => {
                let &limit = self.limits.get(&(Aggregate::Path, *figure)).ok_or_else(wrong)?;
                let follows = |pair: &[usize]| problem.edges.contains(&(pair[0], pair[1]));
                if !path.windows(2).all(follows) || path.iter().any(|&step| step >= steps) {
                    return Err(wrong());
                }
                let on: BTreeSet<usize> = path.iter().copied().collect();
                self.row(i128::from(limit), |step, option| match choice(step, option) {
                    Some(choice) if on.contains(&step) => i128::from(choice.figures[figure.index()]),
                    _ => 0,
                })
            }
            Origin::Levels(figure, path) => {
                let &limit = self.limits.get(&(Aggregate::Path, *figure)).ok_or_else(wrong)?;
                if !self.is_thick(path) {
                    return Err(wrong());
                }
                self.row(i128::from(limit), |step, option| {
                    let value = choice(step, option).map_or(0, |choice| choice.figures[figure.index()]);
                    path.iter().map(|position| i128::from(counted(position, step, value))).sum()
                })
            }
            &Origin::Capacity(resource, set) => {
                let capacity = problem.capacities.get(resource).ok_or_else(wrong)?;
                let set: BTreeSet<usize> = capacity.together.get(set).ok_or_else(wrong)?.iter().copied().collect();
                let of = |uses: &[(usize, i64)]| -> i128 {
                    uses.iter().filter(|used| used.0 == resource).map(|used| i128::from(used.1)).sum()
                };
                self.row(i128::from(capacity.units), |step, option| match choice(step, option) {
                    Some(choice) if set.contains(&step) => of(&choice.uses),
                    Some(_) => 0,
                    None => open(step, option).map_or(0, |k| of(&problem.instances[k].uses)),
                })
            }
            &Origin::Link { up, down, class } if up != down => self.row(0, |step, option| match choice(step, option) {
                Some(choice) if step == up => -i128::from(choice.class == class),
                Some(choice) if step == down => i128::from(choice.needs.contains(&(up, class))),
                _ => 0,
            }),
            &Origin::Uses(instance, user) => self.row(0, |step, option| match choice(step, option) {
                Some(choice) => i128::from(step == user && choice.instances().any(|used| used == instance)),
                None => -i128::from(open(step, option) == Some(instance)),
            }),
            &Origin::Load(instance) => {
                let capacity = problem.instances.get(instance).and_then(|i| i.capacity).ok_or_else(wrong)?;
                self.row(0, |step, option| match choice(step, option) {
                    Some(choice) if choice.instance == Some(instance) => i128::from(choice.load),
                    None if open(step, option) == Some(instance) => -i128::from(capacity).min(MOST),
                    _ => 0,
                })
            }
            Origin::AnyOf(clause) if self.clauses.contains(clause) => {
                let Some(Bound::AnyOf(any)) = problem.clauses.get(*clause).map(|c| &c.bound) else {
                    return Err(wrong());
                };
                let listed: BTreeSet<(usize, usize)> =
                    any.iter().flat_map(|(step, options)| options.iter().map(|&option| (*step, option))).collect();
                self.row(-1, |step, option| -i128::from(listed.contains(&(step, option))))
            }
            Origin::Link { .. } | Origin::AnyOf(_) | Origin::Derived => return Err(wrong()),
        })
    }

    /// Whether all steps of a position come before all of the next one, and its levels ascend from 0.
    fn is_thick(&self, path: &[Charges]) -> bool {
        let levels = |position: &Charges| {
            position.first().is_some_and(|first| first.0 == 0)
                && position.windows(2).all(|pair| pair[0].0 < pair[1].0)
                && position.iter().all(|&(_, step)| step < self.problem.steps.len())
        };
        let follows = |pair: &[Charges]| {
            pair[0].iter().all(|&(_, from)| {
                let below = self.below(from);
                pair[1].iter().all(|&(_, to)| below.contains(&to))
            })
        };
        path.iter().all(levels) && path.windows(2).all(follows)
    }

    /// The steps that wait for a step.
    fn below(&self, from: usize) -> BTreeSet<usize> {
        let mut below = BTreeSet::new();
        let mut open = vec![from];
        while let Some(step) = open.pop() {
            let next = self.problem.edges.iter().filter(|edge| edge.0 == step).map(|edge| edge.1);
            open.extend(next.filter(|&to| below.insert(to)));
        }
        below
    }

    /// The rows that hold whatever a certificate says.
    pub fn own(&self) -> Result<Vec<Row>, String> {
        let problem = self.problem;
        let sums = self.limits.keys().filter(|what| what.0 == Aggregate::Sum).map(|what| Origin::Sum(what.1));
        let any = self
            .clauses
            .iter()
            .filter(|&&clause| matches!(problem.clauses.get(clause).map(|c| &c.bound), Some(Bound::AnyOf(_))));
        let sets = problem.capacities.iter().enumerate();
        let sets =
            sets.flat_map(|(resource, of)| (0..of.together.len()).map(move |set| Origin::Capacity(resource, set)));
        let loads = (0..problem.instances.len()).filter(|&k| problem.instances[k].capacity.is_some()).map(Origin::Load);
        let names = sums.chain(any.map(|&clause| Origin::AnyOf(clause))).chain(sets).chain(loads);
        names.map(|name| self.named(&name)).collect()
    }
}

/// How much of a step's figure a position counts.
fn counted(position: &Charges, step: usize, figure: i64) -> i64 {
    let mut sum = 0;
    for (place, &(from, of)) in position.iter().enumerate() {
        let until = position.get(place + 1).map_or(figure, |next| next.0.min(figure));
        if of == step && until > from {
            sum += until - from;
        }
    }
    sum
}

/// Whether all figures are non-negative and their totals small, and all indices exist.
fn sizes(problem: &Problem) -> Result<(), String> {
    let mut total: i128 = 0;
    let mut add = |value: i64| {
        total += i128::from(value);
        value >= 0 && total <= MOST
    };
    let mut fine = true;
    for choice in problem.steps.iter().flat_map(|step| &step.choices) {
        fine &= choice.figures.iter().all(|&value| add(value)) && add(choice.load);
        fine &= choice.uses.iter().all(|used| used.0 < problem.capacities.len() && add(used.1));
        fine &= choice.instances().all(|instance| instance < problem.instances.len());
    }
    for instance in &problem.instances {
        fine &= instance.figures.iter().all(|&value| add(value)) && instance.capacity.is_none_or(|most| most >= 0);
        fine &= instance.uses.iter().all(|used| used.0 < problem.capacities.len() && add(used.1));
    }
    if fine { Ok(()) } else { Err("a figure is negative or too large, or an index out of range".to_owned()) }
}

/// The steps so that each follows those before it; `None` when the edges are no DAG.
fn order(problem: &Problem) -> Option<Vec<usize>> {
    let steps = problem.steps.len();
    let mut waits = vec![0; steps];
    for &(from, to) in &problem.edges {
        *waits.get_mut(to)? += usize::from(from < steps);
        (from < steps).then_some(())?;
    }
    let mut order: Vec<usize> = (0..steps).filter(|&step| waits[step] == 0).collect();
    let mut next = 0;
    while let Some(&step) = order.get(next) {
        next += 1;
        for &(_, to) in problem.edges.iter().filter(|edge| edge.0 == step) {
            waits[to] -= 1;
            if waits[to] == 0 {
                order.push(to);
            }
        }
    }
    (order.len() == steps).then_some(order)
}
