//! The rows that relaxed points are held against -> those that a point violates.
//!
//! Coefficients lie column by column, so that the few columns of a point read what all rows have of them at one stretch. They are
//! rounded, and a row counts as violated only where its own coefficients say so.

use super::super::model::Domain;
use super::super::simplex::Lp;

/// Rows that are looked at one by one: fewer are not worth a copy.
const FEW: usize = 48;
/// Coefficients that a copy may have: larger ones take more room than they save time.
const MOST: usize = 4_000_000;
/// What a rounded row may be off by.
const ROUNDED: f32 = 1e-4;

/// Rows, in the order in which they came.
#[derive(Default)]
pub struct Pool {
    rows: Vec<u32>,
    /// Their coefficients, `stride` for each column, once there are enough.
    coef: Vec<f32>,
    stride: usize,
    left: Vec<f32>,
}

impl Pool {
    /// The rows.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Takes in a row.
    pub fn push(&mut self, row: u32, lp: &Lp, domain: &Domain) {
        self.rows.push(row);
        if self.rows.len() > self.stride.max(FEW) {
            self.stride = 2 * self.rows.len();
            self.coef.clear();
            if self.stride * lp.cost.len() > MOST {
                (self.coef, self.stride) = (Vec::new(), 0);
                return;
            }
            self.coef.resize(self.stride * lp.cost.len(), 0.0);
            (0..self.rows.len()).for_each(|place| self.copy(place, lp, domain));
        } else if self.stride > 0 {
            self.copy(self.rows.len() - 1, lp, domain);
        }
    }

    fn copy(&mut self, place: usize, lp: &Lp, domain: &Domain) {
        let stated = &lp.rows[self.rows[place] as usize];
        for &step in &stated.steps {
            let columns = domain.of(step);
            for (&column, coef) in columns.iter().zip(stated.coef.of(step, columns)) {
                self.coef[column as usize * self.stride + place] = coef as f32;
            }
        }
    }

    /// Forgets every row that does not stay.
    pub fn retain(&mut self, lp: &Lp, domain: &Domain, stays: impl Fn(u32) -> bool) {
        let before = self.rows.len();
        self.rows.retain(|&row| stays(row));
        if self.stride > 0 && self.rows.len() < before {
            self.coef.fill(0.0);
            (0..self.rows.len()).for_each(|place| self.copy(place, lp, domain));
        }
    }

    /// The rows that a point may violate.
    pub fn suspects(&mut self, lp: &Lp, point: &[(u32, f64)], target: f64) -> Vec<u32> {
        if self.stride == 0 {
            return self.rows.clone();
        }
        let taken = &mut self.left;
        taken.clear();
        taken.resize(self.rows.len(), 0.0);
        for &(column, x) in point {
            let place = column as usize * self.stride;
            let coef = &self.coef[place..place + taken.len()];
            taken.iter_mut().zip(coef).for_each(|(taken, &a)| *taken += a * x as f32);
        }
        let suspect = |pair: &(&u32, &f32)| {
            let row = &lp.rows[*pair.0 as usize];
            let most = row.rhs as f32 + if row.on_target { target as f32 } else { 0.0 };
            *pair.1 > most - ROUNDED * (1.0 + most.abs())
        };
        self.rows.iter().zip(taken.iter()).filter(suspect).map(|pair| *pair.0).collect()
    }
}
