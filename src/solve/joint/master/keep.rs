//! The relaxation of a master → the cuts that it breaks are kept; cuts that do not bind and columns far from use are not.

use super::super::cut::separate;
use super::super::menu::OWN;
use super::{Lean, Master, Role};

impl Master<'_> {
    /// Adds the cuts that the relaxation breaks.
    pub(super) fn cut(&mut self, lean: &Lean) -> bool {
        let cuts = separate(self.fleet, self.menus, lean);
        let mut any = false;
        for cut in cuts {
            if self.cuts.iter().any(|(_, known)| *known == cut) {
                continue;
            }
            let mut entries = Vec::new();
            for (at, role) in self.roles.iter().enumerate() {
                match role {
                    Role::Replica(kind) if *kind as usize == cut.kind => entries.push((at as u32, 1.0)),
                    Role::Config(job, dishes) => {
                        let sum: i64 = (dishes.iter().enumerate())
                            .map(|(place, dish)| (place, &self.menus[*job as usize].steps[place][*dish as usize]))
                            .filter(|(_, dish)| dish.kind as usize == cut.kind && dish.kind != OWN)
                            .map(|(place, dish)| cut.coefficient((*job, place as u32), dish.load))
                            .sum();
                        if sum > 0 {
                            entries.push((at as u32, -(sum as f64) / cut.over as f64));
                        }
                    }
                    _ => {}
                }
            }
            let row = self.row(cut.rhs as f64 / cut.over as f64, &entries);
            self.cuts.push((row, cut));
            any = true;
        }
        any
    }

    /// Throws out cuts that do not bind.
    pub(super) fn forget_cuts(&mut self) {
        let slack: Vec<u32> = self.cuts.iter().map(|(row, _)| *row).filter(|row| self.lp.is_slack(*row)).collect();
        if slack.is_empty() {
            return;
        }
        let (rows, columns) = self.lp.remove(&slack);
        let at = |row: u32| rows[row as usize].unwrap_or(0);
        self.cuts.retain_mut(|(row, _)| match rows[*row as usize] {
            Some(place) => {
                *row = place;
                true
            }
            None => false,
        });
        for row in self.kind_rows.iter_mut().flatten().chain(&mut self.pool_rows).chain(&mut self.job_rows) {
            *row = at(*row);
        }
        for row in self.least_rows.iter_mut().chain(&mut self.most_rows).flatten() {
            *row = at(*row);
        }
        let mut stays = columns.iter();
        self.roles.retain(|_| stays.next().is_some_and(Option::is_some));
    }

    /// Throws out columns of configurations that are far from being used.
    pub(super) fn purge(&mut self) {
        let mut worst: Vec<f64> = (0..self.roles.len() as u32)
            .filter(|c| matches!(self.roles[*c as usize], Role::Config(..)))
            .map(|c| self.lp.reduced(c))
            .collect();
        worst.sort_by(f64::total_cmp);
        let line = worst.get(worst.len() / 2).copied().unwrap_or(f64::MAX);
        let stays: Vec<bool> = (0..self.roles.len() as u32)
            .map(|c| !matches!(self.roles[c as usize], Role::Config(..)) || self.lp.reduced(c) <= line)
            .collect();
        let moved = self.lp.purge(&|column| stays[column as usize]);
        let old = std::mem::take(&mut self.roles);
        for (role, to) in old.into_iter().zip(&moved) {
            match (role, to) {
                (role, Some(_)) => self.roles.push(role),
                (Role::Config(job, dishes), None) => {
                    self.seen[job as usize].remove(&dishes);
                }
                _ => {}
            }
        }
    }
}
