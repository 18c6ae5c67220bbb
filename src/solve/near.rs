//! The active rows of a linear program and a domain -> their coefficients as a pivot reads them: row after row without a gap, for the
//! columns at hand. They are kept for the next solve, whose domain lacks few of those columns more often than not.

use super::basis::Basis;
use super::model::Domain;
use super::simplex::LpRow;

/// Rows that may be at hand without being active, beside as many as are.
const SPARE: usize = 32;

/// Coefficients at hand.
#[derive(Default)]
pub struct Near {
    /// The columns at hand: all of the domain, and some that it lacks.
    columns: Domain,
    /// Where those are that it lacks.
    lacking: Vec<u32>,
    /// Where the coefficients of each row are, if it is at hand.
    place: Vec<Option<u32>>,
    coef: Vec<f64>,
    /// Where the coefficients of each row at hand start, and the columns that they are of, as ranges.
    touched: Vec<(usize, Vec<(u32, u32)>)>,
    /// The rows that are active, as places.
    active: Vec<u32>,
    /// The rows at hand, and their coefficients of the keys, by row and step.
    rows: Vec<u32>,
    at_keys: Vec<f64>,
    keys: Vec<u32>,
}

impl Near {
    /// The columns at hand.
    pub fn columns(&self) -> &Domain {
        &self.columns
    }

    /// Where those are that the domain lacks.
    pub fn lacking(&self) -> &[u32] {
        &self.lacking
    }

    /// Brings the active rows of a basis to hand, for a domain.
    pub fn gather(&mut self, rows: &[LpRow], basis: &Basis, domain: &Domain) {
        let spare = self.touched.len() > 2 * basis.size() + SPARE;
        if spare || !self.covers(domain) {
            self.columns.clone_from(domain);
            self.lacking.clear();
            self.rows.clear();
            self.place.clear();
            self.touched.clear();
            self.coef.clear();
            self.at_keys.clear();
            self.keys.clone_from(&basis.key);
        }
        for step in 0..basis.key.len() {
            self.rekey(rows, basis, step);
        }
        self.place.resize(rows.len(), None);
        self.active.clear();
        for &row in &basis.rows {
            let place = match self.place[row as usize] {
                Some(place) => place,
                None => self.copy(row, &rows[row as usize]),
            };
            self.active.push(place);
        }
    }

    /// Whether the columns at hand are those of a domain and few others; finds those.
    fn covers(&mut self, domain: &Domain) -> bool {
        let (wide, narrow) = (self.columns.all(), domain.all());
        if self.columns.steps() != domain.steps() || narrow.len() > wide.len() || 10 * narrow.len() < 9 * wide.len() {
            return false;
        }
        self.lacking.clear();
        if narrow == wide {
            return true;
        }
        let mut narrow = narrow.iter().peekable();
        for (place, column) in (0..).zip(wide) {
            if narrow.next_if_eq(&column).is_none() {
                self.lacking.push(place);
            }
        }
        narrow.next().is_none()
    }

    fn copy(&mut self, row: u32, stated: &LpRow) -> u32 {
        let (place, start) = (self.touched.len(), self.coef.len());
        let mut touched: Vec<(u32, u32)> = Vec::new();
        for &step in &stated.steps {
            let (columns, range) = (self.columns.of(step), self.columns.range(step));
            match touched.last_mut() {
                Some(last) if last.1 as usize == range.start => last.1 = range.end as u32,
                _ => touched.push((range.start as u32, range.end as u32)),
            }
            match stated.coef.run(step, columns) {
                Some(run) => self.coef.extend_from_slice(run),
                None => self.coef.extend(stated.coef.of(step, columns)),
            }
        }
        let steps = self.columns.steps();
        self.at_keys.resize((place + 1) * steps, 0.0);
        let at_keys = &mut self.at_keys[place * steps..];
        stated.steps.iter().for_each(|&step| at_keys[step] = stated.coef.at(step, self.keys[step]));
        self.touched.push((start, touched));
        self.rows.push(row);
        self.place[row as usize] = Some(place as u32);
        place as u32
    }

    /// Takes note of the key of a step.
    pub fn rekey(&mut self, rows: &[LpRow], basis: &Basis, step: usize) {
        let key = basis.key[step];
        if std::mem::replace(&mut self.keys[step], key) != key {
            let at_keys = self.at_keys.iter_mut().skip(step).step_by(self.columns.steps());
            at_keys.zip(&self.rows).for_each(|(at, &row)| *at = rows[row as usize].coef.at(step, key));
        }
    }

    /// Adds `factor · (a_j − a_key)` to every column at hand.
    pub fn combine(&self, factor: &[f64], out: &mut [f64]) {
        let steps = self.columns.steps();
        let mut sums = vec![0.0; steps];
        for (&place, &factor) in self.active.iter().zip(factor) {
            if factor.abs() <= 1e-14 {
                continue;
            }
            let place = place as usize;
            let at_keys = &self.at_keys[place * steps..(place + 1) * steps];
            sums.iter_mut().zip(at_keys).for_each(|(sum, key)| *sum += factor * key);
            let (mut start, touched) = (self.touched[place].0, &self.touched[place].1);
            for &(from, to) in touched {
                let out = &mut out[from as usize..to as usize];
                let coef = &self.coef[start..start + out.len()];
                start += out.len();
                out.iter_mut().zip(coef).for_each(|(sum, a)| *sum += factor * a);
            }
        }
        for (step, sum) in sums.into_iter().enumerate() {
            out[self.columns.range(step)].iter_mut().for_each(|out| *out -= sum);
        }
    }
}
