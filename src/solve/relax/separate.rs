//! A relaxed point -> the rows that it violates, known ones and new ones.

use super::super::basis::Basis;
use super::super::levels::Support;
use super::super::model::Ceiling;
use super::super::presolve::ANY;
use super::super::price::Goal;
use super::super::simplex::Point;
use super::{Relaxation, Said};

/// Coefficients that the rows found along the way may hold in all: more cost more than they save.
const MOST_COEFFICIENTS: usize = 3_000_000;
/// Known rows that are added at once.
const MOST_ADDED: usize = 3;
/// Rows that points are held against, before those go that were not needed for long; and how long that is.
const MOST_HELD: usize = 80;
const MOST_IDLE: u64 = 300;
/// How often they are looked for.
const SIFT_EVERY: u64 = 50;

impl Relaxation<'_> {
    /// Makes the rows active that the basis violates, new ones among them; says whether there are any. Thick paths are new only where they
    /// are longer than the limit by `least` of it.
    pub fn separate(&mut self, basis: &mut Basis, least: f64) -> bool {
        self.calls += 1;
        basis.rows.iter().for_each(|&row| self.used[row as usize] = self.calls);
        if self.pool.rows().len() > MOST_HELD && self.calls >= self.sifted + SIFT_EVERY {
            self.sift();
        }
        let (point, target) = (self.lp.point(basis), self.lp.target(basis));
        let mut violated: Vec<(f64, u32)> = Vec::new();
        for row in self.pool.suspects(&self.lp, point.all(), target) {
            // Those that are active were used just now.
            if self.used[row as usize] == self.calls {
                continue;
            }
            let slack = self.lp.rows[row as usize].slack(&point, target);
            if slack < -1e-6 {
                violated.push((slack, row));
            }
        }
        // Most of what is violated is so no longer once the worst of it is mended.
        violated.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        violated.truncate(MOST_ADDED);
        let mut added: Vec<u32> = violated.into_iter().map(|pair| pair.1).collect();
        if added.len() < MOST_ADDED {
            let known = self.pool.rows().len();
            self.paths(&point, target, least);
            self.links(point.all());
            added.extend(self.pool.rows()[known..].iter().filter(|row| !basis.rows.contains(row)));
        }
        added.iter().for_each(|&row| self.used[row as usize] = self.calls);
        if !added.is_empty() {
            basis.activate(&self.lp, &added);
        }
        !added.is_empty()
    }

    /// Drops the rows from the pool that have not been needed for long.
    fn sift(&mut self) {
        self.sifted = self.calls;
        let oldest = self.calls.saturating_sub(MOST_IDLE);
        let stays = |row: u32| matches!(self.said[row as usize], Said::Stated(_)) || self.used[row as usize] >= oldest;
        self.pool.retain(&self.lp, &self.root, stays);
    }

    fn paths(&mut self, point: &Point, target: f64, least: f64) {
        let (model, space) = (self.model, self.model.space);
        let on_target = match self.goal {
            Goal::Path(figure) => Some((Ceiling { figure, limit: i64::MAX }, true)),
            Goal::Sum(_) | Goal::Any => None,
        };
        for (ceiling, on_target) in model.ceilings.iter().map(|&ceiling| (ceiling, false)).chain(on_target) {
            let limit = if on_target { target * self.cost_scale } else { ceiling.limit as f64 };
            let too_long = |length: f64, least: f64| length > limit + least * (1.0 + limit.abs());
            let support = Support::new(space, point, ceiling.figure);
            let (length, path) = space.sets().heaviest(&support);
            if too_long(length, least) && path.iter().any(|charges| charges.len() > 1) {
                self.find(Said::Levels(ceiling, path, on_target));
                continue;
            }
            let (length, path) = space.longest(&support.means());
            if too_long(length, 1e-6) {
                self.find(Said::Path(ceiling, path, on_target));
            }
        }
    }

    fn links(&mut self, point: &[(u32, f64)]) {
        let space = self.model.space;
        if space.couplings.is_empty() {
            return;
        }
        let mut weight = vec![0.0; space.columns()];
        point.iter().for_each(|&(column, x)| weight[column as usize] = x);
        let mut of_step = vec![Vec::new(); self.root.steps()];
        point.iter().for_each(|&(column, _)| of_step[space.step[column as usize]].push(column as usize));
        for (place, coupling) in space.couplings.iter().enumerate() {
            let mut excess = [0.0; 8];
            let mut many = vec![0.0; if coupling.classes > excess.len() { coupling.classes } else { 0 }];
            let excess = if many.is_empty() { &mut excess[..coupling.classes] } else { many.as_mut_slice() };
            for &column in &of_step[coupling.up] {
                excess[space.class[column] as usize] -= weight[column];
            }
            for &column in &of_step[coupling.down] {
                let need = coupling.need[column - space.start[coupling.down]];
                if need != ANY {
                    excess[need as usize] += weight[column];
                }
            }
            for (class, &excess) in excess.iter().enumerate() {
                if excess > 1e-6 && !self.link_in[place][class] {
                    self.find(Said::Link(place, class));
                }
            }
        }
    }

    /// Adds a row that is new, where there is room.
    fn find(&mut self, said: Said) {
        match self.places.get(&said) {
            Some(row) if self.pool.rows().contains(row) => (),
            Some(&row) => self.pool.push(row, &self.lp, &self.root),
            None if self.held < MOST_COEFFICIENTS => self.say(said),
            None => (),
        }
    }
}
