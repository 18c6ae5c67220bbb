//! A [`Space`] whose clauses clash -> the minimal sets that clash, what their clauses could reach, and the smallest repairs.
//!
//! The native search answers whether a set of clauses has a plan, for z3's own cores are not minimal and slow near the edge; z3
//! then confirms the one core that comes first. A plan answers for every set of clauses that it keeps, a core for every set
//! that holds it, so that few sets are searched. Sets are visited as in MARCO (Liffiton and others, 2016): everything but a hitting
//! set of the known cores either has a plan, and grows until what is left out is a smallest repair, or shrinks to a new core.

use super::budget::Budget;
use super::model::Model;
use super::outcome::{Conflict, Repair};
use super::presolve::{Space, value};
use super::problem::{Bound, Wish};
use super::search::Found;
use super::smt::{Oracle, Verdict};
use super::wish::minimise;

/// Cores that are listed at most.
pub const MOST_CORES: usize = 16;
/// Repairs that are listed at most.
pub const MOST_REPAIRS: usize = 8;
/// Sets of clauses that are searched at most after the first core, so that many clauses do not take forever.
const MOST_SETS: u32 = 200;
/// Partial hitting sets that are visited at most on the way to the next one.
const MOST_HITS: u32 = 20_000;

/// Explains why no plan exists under the clauses.
///
/// A budget that runs out leaves the core a conflict, but perhaps not a minimal one, and the lists perhaps not complete.
pub fn explain(space: &Space, clauses: &[usize], budget: &Budget, oracle: Option<&Oracle>) -> Conflict {
    let mut known =
        Known { space, clauses, budget, plans: Vec::new(), cores: Vec::new(), repairs: Vec::new(), sets: 0 };
    let core = known.shrink(clauses.to_vec());
    known.cores.push(core.clone());
    let hints = known.search(&core, None).hints;
    let refuted = |oracle: &Oracle| oracle.refute(&Model::new(space, &core, &[]), &hints, &[], None);
    let confirmed = oracle.is_some_and(|oracle| matches!(refuted(oracle), Verdict::Refuted));
    known.explore();
    let reachable = known.reachable(&core);
    let repairs = known.repairs(&reachable);
    let mut others = known.cores.split_off(1);
    others.sort();
    let mut alone = Vec::new();
    for core in std::iter::once(&core).chain(&others) {
        for &clause in core {
            if known.is_out(core.len()) {
                break;
            }
            let told = |list: &[(usize, i64)]| list.iter().any(|pair| pair.0 == clause);
            let reached = reachable.contains(&(clause, None)) || !reachable.iter().any(|pair| pair.0 == clause);
            if reached && !told(&alone) {
                alone.extend(known.best(clause, &except(core, clause)).map(|best| (clause, best)));
            }
        }
    }
    Conflict { core, others, confirmed, reachable, alone, repairs }
}

/// What is known of the sets of clauses.
struct Known<'a> {
    space: &'a Space<'a>,
    clauses: &'a [usize],
    budget: &'a Budget<'a>,
    /// Plans, and the clauses that each keeps.
    plans: Vec<(Vec<u32>, Vec<usize>)>,
    /// Sets without a plan, each of whose parts has one.
    cores: Vec<Vec<usize>>,
    /// Sets whose complement has a plan, and no part of which has such a complement.
    repairs: Vec<Vec<usize>>,
    sets: u32,
}

impl Known<'_> {
    fn search(&mut self, set: &[usize], wish: Option<Wish>) -> Found {
        self.sets += 1;
        let figure = |columns: &[u32]| wish.map_or(0, |wish| value(self.space, columns, wish.figure, wish.over));
        let keeps = self.plans.iter().filter(|plan| within(set, &plan.1)).map(|plan| &plan.0);
        let start = keeps.min_by_key(|columns| figure(columns)).cloned();
        let found = minimise(self.space, set, &[], wish, start, self.budget);
        if let Some((columns, _)) = &found.best {
            let kept = self.clauses.iter().copied().filter(|&clause| self.holds(clause, columns)).collect();
            self.plans.push((columns.clone(), kept));
        }
        found
    }

    /// Whether a plan keeps all clauses of the set; `None` when the budget is out.
    fn feasible(&mut self, set: &[usize]) -> Option<bool> {
        if self.plans.iter().any(|plan| within(set, &plan.1)) {
            return Some(true);
        }
        if self.cores.iter().any(|core| within(core, set)) {
            return Some(false);
        }
        let found = self.search(set, None);
        if found.best.is_some() { Some(true) } else { found.exhausted.then_some(false) }
    }

    fn holds(&self, clause: usize, columns: &[u32]) -> bool {
        let space = self.space;
        match &space.problem.clauses[clause].bound {
            &Bound::AtMost { figure, over, limit } => value(space, columns, figure, over) <= limit,
            Bound::Rule => {
                let mut options = columns.iter().filter_map(|&column| space.choice(column as usize));
                !options.any(|option| option.breaks.contains(&clause))
            }
            Bound::AnyOf(any) => {
                let choice = space.choices(columns);
                any.iter().any(|(step, options)| choice.get(*step).is_some_and(|taken| options.contains(taken)))
            }
        }
    }

    /// A minimal core of a set without a plan. Drops from the last clause on, so that those stated first stay.
    fn shrink(&mut self, mut set: Vec<usize>) -> Vec<usize> {
        // As many at once as went at once before, twice: most of many clauses have nothing to do with it.
        let (mut end, mut size) = (set.len(), 1);
        while end > 0 && !self.is_out(set.len()) {
            let start = end - size.min(end);
            let mut rest = set.clone();
            rest.drain(start..end);
            if self.feasible(&rest) == Some(false) {
                set = rest;
                (end, size) = (start, 2 * size);
            } else if size > 1 {
                size /= 2;
            } else {
                end -= 1;
            }
        }
        set
    }

    /// Finds the other cores, and the smallest repairs.
    fn explore(&mut self) {
        let before = self.sets;
        while self.cores.len() < MOST_CORES && self.sets - before < MOST_SETS && !self.budget.out_of_time() {
            let Some(hit) = self.next() else { return };
            let seed: Vec<usize> = self.clauses.iter().copied().filter(|clause| !hit.contains(clause)).collect();
            match self.feasible(&seed) {
                None => return,
                Some(false) => {
                    let core = self.shrink(seed);
                    self.cores.push(core);
                }
                Some(true) => {
                    let Some(repair) = self.grow(&seed) else { return };
                    self.repairs.push(repair);
                }
            }
        }
    }

    /// What a set with a plan leaves out, once nothing can be added to it; `None` when that takes too long to see.
    fn grow(&mut self, set: &[usize]) -> Option<Vec<usize>> {
        let plan = self.plans.iter().filter(|plan| within(set, &plan.1)).max_by_key(|plan| plan.1.len());
        let mut kept = plan.map_or_else(|| set.to_vec(), |plan| plan.1.clone());
        let before = self.sets;
        for &clause in self.clauses {
            let Err(place) = kept.binary_search(&clause) else { continue };
            if self.is_out(kept.len()) || self.sets - before > MOST_SETS {
                return None;
            }
            let mut more = kept.clone();
            more.insert(place, clause);
            if self.feasible(&more) == Some(true) {
                kept = more;
            }
        }
        Some(self.clauses.iter().copied().filter(|clause| kept.binary_search(clause).is_err()).collect())
    }

    /// Whether time is out and there are too many clauses for what takes no time with a few.
    fn is_out(&self, clauses: usize) -> bool {
        clauses > MOST_SETS as usize && self.budget.out_of_time()
    }

    /// A smallest set of clauses that hits every known core and holds no known repair.
    fn next(&self) -> Option<Vec<usize>> {
        let mut left = MOST_HITS;
        (0..=self.clauses.len()).find_map(|size| self.hit(&mut Vec::new(), size, &mut left))
    }

    fn hit(&self, taken: &mut Vec<usize>, size: usize, left: &mut u32) -> Option<Vec<usize>> {
        *left = left.checked_sub(1)?;
        if self.repairs.iter().any(|repair| repair.iter().all(|clause| taken.contains(clause))) {
            return None;
        }
        let Some(core) = self.cores.iter().find(|core| !core.iter().any(|clause| taken.contains(clause))) else {
            return Some(taken.clone());
        };
        if taken.len() >= size {
            return None;
        }
        for &clause in core {
            taken.push(clause);
            let found = self.hit(taken, size, left);
            taken.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The least value of a numeric clause under others; `None` for another clause, and where there is none.
    fn best(&mut self, clause: usize, others: &[usize]) -> Option<i64> {
        let Bound::AtMost { figure, over, .. } = self.space.problem.clauses[clause].bound else { return None };
        if self.cores.iter().any(|core| within(core, others)) {
            return None;
        }
        let found = self.search(others, Some(Wish { figure, over }));
        found.best.filter(|_| found.exhausted).map(|best| best.1)
    }

    fn reachable(&mut self, core: &[usize]) -> Vec<(usize, Option<i64>)> {
        let numeric = |&clause: &usize| matches!(self.space.problem.clauses[clause].bound, Bound::AtMost { .. });
        let numeric: Vec<usize> = core.iter().copied().filter(numeric).collect();
        numeric.into_iter().map(|clause| (clause, self.best(clause, &except(self.clauses, clause)))).collect()
    }

    /// The smallest repairs with their limits: what stays is kept, and of what goes each clause in turn is best.
    fn repairs(&mut self, reachable: &[(usize, Option<i64>)]) -> Vec<Repair> {
        let Some(least) = self.repairs.iter().map(Vec::len).min() else { return Vec::new() };
        let mut sets: Vec<Vec<usize>> = self.repairs.iter().filter(|repair| repair.len() == least).cloned().collect();
        sets.sort();
        sets.truncate(MOST_REPAIRS);
        let mut repairs = Vec::new();
        for set in sets {
            let kept: Vec<usize> = self.clauses.iter().copied().filter(|clause| !set.contains(clause)).collect();
            let (mut bounds, mut changes) = (Vec::new(), Some(Vec::new()));
            for &clause in &set {
                let limit = match self.space.problem.clauses[clause].bound {
                    Bound::AtMost { figure, over, .. } => {
                        let wish = Wish { figure, over };
                        let told = reachable.iter().find(|pair| pair.0 == clause && set.len() == 1);
                        let best = told.and_then(|pair| pair.1).or_else(|| self.under(&kept, &bounds, wish));
                        bounds.extend(best.map(|best| (wish, best)));
                        best
                    }
                    Bound::Rule | Bound::AnyOf(_) => Some(0),
                };
                changes = changes.zip(limit).map(|(mut changes, limit)| {
                    changes.push((clause, limit));
                    changes
                });
            }
            repairs.extend(changes.map(|changes| Repair { changes }));
        }
        repairs
    }

    fn under(&self, clauses: &[usize], bounds: &[(Wish, i64)], wish: Wish) -> Option<i64> {
        let found = minimise(self.space, clauses, bounds, Some(wish), None, self.budget);
        found.best.filter(|_| found.exhausted).map(|best| best.1)
    }
}

/// Whether all of the first are among the second; both ascend.
fn within(some: &[usize], of: &[usize]) -> bool {
    let mut of = of.iter();
    some.len() <= of.len() && some.iter().all(|clause| of.by_ref().find(|other| *other >= clause) == Some(clause))
}

fn except(clauses: &[usize], dropped: usize) -> Vec<usize> {
    clauses.iter().copied().filter(|&clause| clause != dropped).collect()
}
