//! A small domain and rows that every better plan satisfies -> all plans that satisfy them, or word that there are too many.
//!
//! Depth-first over the steps, the fewest columns first. Every row keeps what it leaves above the least of the steps that are
//! still open, so that a column costs one subtraction a row and goes as soon as one is below zero.

use super::model::Domain;
use super::presolve::{ANY, Space};

/// A row over the columns of a domain, in the order of [`Domain::all`], and its right-hand side.
pub struct Line {
    /// One coefficient per column.
    pub coef: Vec<i64>,
    /// The limit.
    pub rhs: i64,
}

impl Line {
    /// A row in wide integers, divided until its sums fit: what it excludes, the wide row excludes as well.
    pub fn shrink(excess: &[i128], slack: i128) -> Self {
        let bits = 128 - slack.max(1).leading_zeros();
        let shift = bits.saturating_sub(40);
        let most = (slack >> shift) + 1;
        Line { coef: excess.iter().map(|&e| (e >> shift).min(most) as i64).collect(), rhs: (slack >> shift) as i64 }
    }
}

/// How an enumeration ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Every plan was seen.
    Complete,
    /// The visitor had enough.
    Stopped,
    /// There were more columns to try than allowed.
    TooMany,
}

/// Most rows that are walked with.
const WIDTH: usize = 12;

/// The rows that some plan breaks, with what they leave above the least of every step: the first where it is, then the tightest.
fn binding<'l>(domain: &Domain, lines: &'l [Line]) -> Vec<(&'l Line, i64)> {
    let mut found: Vec<(f64, &Line, i64)> = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let (mut left, mut most) = (line.rhs, 0i64);
        for step in 0..domain.steps() {
            let coef = &line.coef[domain.range(step)];
            let (least, largest) = coef.iter().fold((i64::MAX, i64::MIN), |(l, m), &a| (l.min(a), m.max(a)));
            left -= least;
            most += largest - least;
        }
        if most > left {
            let share = if place == 0 { f64::NEG_INFINITY } else { left as f64 / most as f64 };
            found.push((share, line, left));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().map(|(_, line, left)| (line, left)).collect()
}

/// A step that is still open.
struct Level {
    step: usize,
    columns: Vec<u32>,
    /// By column, what it takes of each row.
    takes: Vec<[i64; WIDTH]>,
    /// The couplings with steps of earlier levels.
    coupled: Vec<usize>,
}

/// Plans of a domain, one column after another.
pub struct Walk<'s> {
    space: &'s Space<'s>,
    levels: Vec<Level>,
    taken: Vec<u32>,
    left: u64,
    slack: [i64; WIDTH],
    empty: bool,
}

impl<'s> Walk<'s> {
    /// Prepares to walk over a domain with at most `allowed` columns tried; the first row should be the strongest.
    pub fn new(space: &'s Space<'s>, domain: &Domain, lines: &[Line], allowed: u64) -> Self {
        let mut slack = [i64::MAX / 2; WIDTH];
        let mut takes = vec![[0; WIDTH]; domain.all().len()];
        for (width, &(line, left)) in binding(domain, lines).iter().take(WIDTH).enumerate() {
            slack[width] = left;
            for step in 0..domain.steps() {
                let range = domain.range(step);
                let coef = &line.coef[range.clone()];
                let least = coef.iter().copied().min().unwrap_or(0);
                takes[range].iter_mut().zip(coef).for_each(|(takes, a)| takes[width] = a - least);
            }
        }
        let (mut levels, mut place) = (Vec::new(), 0);
        let mut taken = vec![0; domain.steps()];
        for (step, taken) in taken.iter_mut().enumerate() {
            let columns = domain.of(step);
            *taken = columns.first().copied().unwrap_or(0);
            let takes = &takes[place..place + columns.len()];
            place += columns.len();
            if columns.len() > 1 {
                let mut order: Vec<usize> = (0..columns.len()).collect();
                order.sort_by_key(|&c| (takes[c][0], columns[c]));
                levels.push(Level {
                    step,
                    columns: order.iter().map(|&c| columns[c]).collect(),
                    takes: order.iter().map(|&c| takes[c]).collect(),
                    coupled: Vec::new(),
                });
            }
        }
        levels.sort_by_key(|level| (level.columns.len(), level.step));
        let mut depth = vec![0; domain.steps()];
        levels.iter().zip(1..).for_each(|(level, place)| depth[level.step] = place);
        for (place, coupling) in space.couplings.iter().enumerate() {
            let (up, down) = (depth[coupling.up], depth[coupling.down]);
            if up.max(down) > 0 {
                levels[up.max(down) - 1].coupled.push(place);
            }
        }
        let empty = domain.is_empty() || slack.iter().any(|&slack| slack < 0);
        Walk { space, levels, taken, left: allowed, slack, empty }
    }

    /// Shows every plan that satisfies the rows, until `visit` gives back `false`.
    pub fn run(&mut self, visit: &mut impl FnMut(&[u32]) -> bool) -> Ended {
        if self.empty { Ended::Complete } else { self.descend(0, self.slack, visit) }
    }

    fn descend(&mut self, depth: usize, slack: [i64; WIDTH], visit: &mut impl FnMut(&[u32]) -> bool) -> Ended {
        if depth == self.levels.len() {
            self.left = self.left.saturating_sub(20);
            return if visit(&self.taken) { Ended::Complete } else { Ended::Stopped };
        }
        for c in 0..self.levels[depth].columns.len() {
            if self.left == 0 {
                return Ended::TooMany;
            }
            self.left -= 1;
            let level = &self.levels[depth];
            let takes = &level.takes[c];
            // Columns are in the order of the first row.
            if takes[0] > slack[0] {
                break;
            }
            let mut rest = slack;
            let mut broken = 0;
            for (rest, take) in rest.iter_mut().zip(takes) {
                *rest -= take;
                broken |= *rest;
            }
            if broken < 0 {
                continue;
            }
            let step = level.step;
            self.taken[step] = level.columns[c];
            if !level.coupled.is_empty() && !self.couples(depth) {
                continue;
            }
            match self.descend(depth + 1, rest, visit) {
                Ended::Complete => (),
                ended => return ended,
            }
        }
        Ended::Complete
    }

    /// Whether a level's column fits those of earlier levels.
    fn couples(&self, depth: usize) -> bool {
        self.levels[depth].coupled.iter().all(|&place| {
            let coupling = &self.space.couplings[place];
            let down = self.taken[coupling.down] as usize;
            let need = coupling.need[down - self.space.start[coupling.down]];
            need == ANY || need == self.space.class[self.taken[coupling.up] as usize]
        })
    }
}
