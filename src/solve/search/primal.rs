//! Heuristics of a search -> better plans: dives, and enumerations of what is small. An enumeration that ends is also a proof.

use super::super::basis::Basis;
use super::super::branch::round;
use super::super::enumerate::{Ended, Line, Walk};
use super::super::model::Domain;
use super::super::price::{Bound, Goal, Multipliers};
use super::super::propagate::propagate;
use super::super::simplex::Answer;
use super::{Bounded, LEAST, PIVOTS, Search};

/// Columns that an enumeration may try before the search branches instead.
const WALK: u64 = 4_000;
/// Free columns from which a node is not enumerated, until the search learns better.
pub const FREE: usize = 120;
/// Steps of a window around the best plan, and columns tried in it.
const WINDOW: usize = 5;
const WINDOW_WALK: u64 = 1_500;
/// Free columns at which a dive tries all that is left.
const DIVE_FREE: usize = 100;
/// Columns that a dive takes back.
const MOST_WRONG: usize = 6;

impl Search<'_> {
    /// Enumerates a node that is small; `None` when it is not.
    pub(super) fn walk(&mut self, bounded: &Bounded) -> Option<Ended> {
        let domain = &bounded.node.domain;
        let free = domain.free();
        if free > self.free {
            return None;
        }
        let ended = self.walk_on(domain, &bounded.proved, WALK);
        match ended {
            Ended::Complete => {
                self.free = self.free.max(free + free / 8);
                if let Some((proof, _)) = &bounded.proved {
                    self.record(bounded.node.case, proof.clone());
                }
            }
            Ended::TooMany => self.free = self.free.min(free - free / 8),
            Ended::Stopped => (),
        }
        Some(ended)
    }

    /// Enumerates a domain until a better plan is found.
    fn walk_on(&mut self, domain: &Domain, proved: &Option<(Multipliers, Bound)>, allowed: u64) -> Ended {
        let mut lines = Vec::new();
        if let (Some((proof, bound)), Some(limit)) = (proved, self.limit()) {
            if bound.excess.len() == domain.all().len() {
                lines.push(Line::shrink(&bound.excess, bound.slope * i128::from(limit) - bound.least));
            } else {
                let bound = self.relaxation.bound(proof, domain);
                let slack = bound.slope * i128::from(limit) - bound.least;
                if slack < 0 {
                    return Ended::Complete;
                }
                lines.push(Line::shrink(&bound.excess, slack));
            }
        }
        lines.extend(self.relaxation.plain(domain));
        if let Some(row) = &self.cutoff.row {
            let coef = domain.all().iter().map(|&column| row.coef[column as usize]).collect();
            lines.push(Line { coef, rhs: row.rhs });
        }
        let mut walk = Walk::new(self.model.space, domain, &lines, allowed);
        walk.run(&mut |columns| {
            let before = self.best.as_ref().map(|best| best.1);
            self.offer(columns);
            self.best.as_ref().map(|best| best.1) == before
        })
    }

    /// Fixes one step after another to where the relaxation leans, to find a first plan; takes back what turns out wrong.
    pub(super) fn dive(&mut self, mut domain: Domain, mut basis: Basis) {
        let (mut wrong, mut before): (usize, Option<(Domain, Basis, u32)>) = (0, None);
        for _ in 0..3 * domain.steps() {
            if let Some(columns) = domain.single() {
                let value = self.limit();
                self.offer(&columns);
                if self.limit() != value || wrong == MOST_WRONG {
                    return;
                }
            }
            let lp = &self.relaxation.lp;
            let point = lp.primal(&basis);
            let open = |pair: &&(u32, f64)| domain.of(lp.step[pair.0 as usize] as usize).len() > 1;
            let lean = point.iter().filter(open).fold(None, |best: Option<(u32, f64)>, &pair| match best {
                Some(best) if best.1 >= pair.1 => Some(best),
                _ => Some(pair),
            });
            let ahead = lean.map(|(column, _)| {
                let at = lp.step[column as usize] as usize;
                let mut fixed = domain.clone();
                fixed.retain(|step, other| step != at || other == column);
                (column, propagate(self.model, &self.cutoff, &mut fixed).then_some(fixed))
            });
            let taken = match ahead {
                Some((column, Some(fixed))) => {
                    before = Some((std::mem::replace(&mut domain, fixed), basis.clone(), column));
                    true
                }
                Some((column, None)) => {
                    before = Some((domain.clone(), basis.clone(), column));
                    false
                }
                None => false,
            };
            let mut solved = taken && self.resolve(&mut basis, &domain);
            if solved && domain.free() <= DIVE_FREE {
                // The rest is small enough to try it all.
                match self.finish(&basis, &domain) {
                    Ended::Stopped => return,
                    Ended::Complete => solved = false,
                    Ended::TooMany => (),
                }
            }
            if !solved {
                // The column that was taken last is not part of a better plan of what was left then.
                let Some((left, last, column)) = before.take().filter(|_| wrong < MOST_WRONG) else { return };
                (domain, basis) = (left, last);
                wrong += 1;
                domain.retain(|_, other| other != column);
                if !propagate(self.model, &self.cutoff, &mut domain) || !self.resolve(&mut basis, &domain) {
                    return;
                }
            }
        }
    }

    /// Solves the relaxation with the rows that are violated; `false` when nothing better is left.
    pub(super) fn resolve(&mut self, basis: &mut Basis, domain: &Domain) -> bool {
        for _ in 0..4 {
            match self.relaxation.solve(basis, domain, self.limit(), PIVOTS) {
                Answer::Optimal if self.relaxation.separate(basis, LEAST) => (),
                Answer::Optimal => break,
                Answer::Infeasible(_) | Answer::Cutoff | Answer::Stalled => return false,
            }
        }
        true
    }

    /// Enumerates the end of a dive, plan after better plan; `Stopped` when there is one.
    fn finish(&mut self, basis: &Basis, domain: &Domain) -> Ended {
        let before = self.limit();
        loop {
            let proved = self.relaxation.round(basis).map(|proof| {
                let bound = self.relaxation.bound(&proof, domain);
                (proof, bound)
            });
            if proved.as_ref().is_some_and(|(_, bound)| bound.excludes(self.limit())) {
                break;
            }
            match self.walk_on(domain, &proved, WALK) {
                Ended::Stopped if self.goal != Goal::Any => (),
                Ended::TooMany if self.limit() == before => return Ended::TooMany,
                Ended::Stopped | Ended::TooMany | Ended::Complete => break,
            }
        }
        if self.limit() == before && !(self.goal == Goal::Any && self.best.is_some()) {
            Ended::Complete
        } else {
            Ended::Stopped
        }
    }

    /// Looks for better plans that differ from the best so far in a few steps only, window by window: the relaxation of each says
    /// whether there may be one, and where.
    pub(super) fn polish(&mut self, domain: &Domain, basis: &Basis) {
        let steps = domain.steps();
        let mut order: Vec<usize> = (0..steps).filter(|&step| domain.of(step).len() > 1).collect();
        let size = WINDOW.min(order.len());
        let mut seed = 0x9E37_79B9_7F4A_7C15u64;
        let mut idle = 0;
        while 2 * idle < order.len() && size > 0 && !self.budget.out_of_time() {
            // Numbers that do not repeat soon; the same on every machine.
            for place in 0..size {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let other = place + (seed >> 33) as usize % (order.len() - place);
                order.swap(place, other);
            }
            let Some(best) = self.best.as_ref().map(|best| best.0.clone()) else { return };
            let mut window = domain.clone();
            let free = &order[..size];
            window.retain(|step, column| free.contains(&step) || self.keep[column as usize] == best[step]);
            // A step of the best plan may have lost its option to the bound; then only windows with that step are full.
            idle += 1;
            if !window.is_empty() && self.improve(window, basis.clone()) {
                idle = 0;
            }
        }
    }

    /// Looks for a better plan in a window.
    fn improve(&mut self, mut window: Domain, mut basis: Basis) -> bool {
        let before = self.limit();
        if !propagate(self.model, &self.cutoff, &mut window) || !self.resolve(&mut basis, &window) {
            return false;
        }
        let Some(proof) = self.relaxation.round(&basis) else { return false };
        let bound = self.relaxation.bound(&proof, &window);
        if bound.excludes(self.limit()) {
            return false;
        }
        let point = self.relaxation.lp.primal(&basis);
        self.offer(&round(&point, &window));
        bound.fix(&mut window, self.limit());
        if self.limit() == before && self.walk_on(&window, &Some((proof, bound)), WINDOW_WALK) == Ended::TooMany {
            self.dive(window, basis);
        }
        self.limit() != before
    }
}
