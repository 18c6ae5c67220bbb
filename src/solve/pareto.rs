//! A [`Problem`] whose first wishes are traded against one another -> points that nothing beats in all of them.
//!
//! Zones hold what has not been searched: all values below an upper corner. A zone is asked for the plan that is best in one
//! wish under ceilings on the others, then best in those in turn, which nothing dominates; it splits the zones that it lies
//! in, and a zone that holds nothing goes. Without zones the front is complete. The largest zone is asked first, at half its
//! longer side, so that a front that is cut short is spread evenly.

use super::outcome::Conflict;
use super::presolve::{Space, reduce, value};
use super::problem::{Problem, Wish};
use super::search::Found;
use super::wish::minimise;
use super::{Limits, Session};

/// A plan that no other one beats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The index of the chosen option, per step.
    pub choice: Vec<usize>,
    /// The values of the wishes that are traded off, in order.
    pub values: Vec<i64>,
}

/// How far a front goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// There is no other point.
    Complete,
    /// There are more points; those given are spread over the front.
    Subset,
    /// The search ran out of nodes or time; there may be more points.
    Cut,
}

/// Points that no plan beats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// By their values, ascending.
    pub points: Vec<Point>,
    /// Whether these are all.
    pub extent: Extent,
    /// Nodes that the search visited.
    pub nodes: u64,
}

/// The solver's word on a front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A front with one point or more.
    Front(Front),
    /// No plan keeps the clauses; why.
    Conflict(Conflict),
    /// Not one point was found within the limits, or the problem is no problem; why, in words.
    Unknown(String),
}

/// Finds at most `most` points of the front over the first `metrics` wishes of a problem; its other wishes decide between
/// plans with the same values.
///
/// Every point is exact, by exhaustion of the native search; z3 is not asked.
pub fn front(problem: &Problem, metrics: usize, most: usize, limits: &Limits) -> Answer {
    if metrics == 0 || metrics > problem.wishes.len() {
        return Answer::Unknown(format!("a front over {metrics} of {} wishes", problem.wishes.len()));
    }
    let space = match reduce(problem, &[]) {
        Ok(space) => space,
        Err(words) => return Answer::Unknown(words),
    };
    let session = Session::new(&space, limits);
    let mut walk = Walk { session: &session, space: &space, metrics, points: Vec::new(), zones: Vec::new() };
    let extent = match walk.run(most.max(1)) {
        End::Done(extent) => extent,
        End::Conflict => return Answer::Conflict(session.explain()),
    };
    if walk.points.is_empty() {
        return Answer::Unknown("no point was found within the limits".to_owned());
    }
    let steps = problem.steps.len();
    let option = |columns: &[u32]| columns.iter().take(steps).map(|&column| space.option[column as usize]).collect();
    let mut points: Vec<Point> =
        walk.points.iter().map(|at| Point { choice: option(&at.columns), values: at.values.clone() }).collect();
    points.sort_by(|a, b| a.values.cmp(&b.values));
    Answer::Front(Front { points, extent, nodes: session.budget.spent() })
}

/// A point, as columns of the space.
struct At {
    columns: Vec<u32>,
    values: Vec<i64>,
}

/// Values below `upper` in every wish, that have not been searched.
#[derive(Clone)]
struct Zone {
    upper: Vec<i64>,
    /// The point that set each upper value.
    by: Vec<Option<usize>>,
    /// No point of the zone has a value under this.
    least: Vec<i64>,
    /// Whether half of it has been searched in vain.
    halved: bool,
}

enum End {
    Done(Extent),
    Conflict,
}

enum Lex {
    Best(At),
    Empty,
    Cut,
}

struct Walk<'a> {
    session: &'a Session<'a>,
    space: &'a Space<'a>,
    metrics: usize,
    points: Vec<At>,
    zones: Vec<Zone>,
}

impl Walk<'_> {
    fn run(&mut self, most: usize) -> End {
        let open = vec![i64::MAX; self.metrics];
        let zone =
            Zone { upper: open.clone(), by: vec![None; self.metrics], least: vec![0; self.metrics], halved: true };
        self.zones.push(zone);
        for first in 0..self.metrics {
            match self.least(&open, first) {
                Lex::Empty => return End::Conflict,
                Lex::Cut => return End::Done(Extent::Cut),
                Lex::Best(at) => {
                    let ideal = at.values[first];
                    for zone in &mut self.zones {
                        zone.least[first] = ideal;
                    }
                    if !self.add(at, most) {
                        return End::Done(Extent::Subset);
                    }
                }
            }
        }
        // Half of a zone is asked for first from here on.
        self.zones.iter_mut().for_each(|zone| zone.halved = false);
        while let Some((place, side)) = self.largest() {
            let zone = self.zones[place].clone();
            let mut ceilings: Vec<i64> = zone.upper.iter().map(|&u| if u == i64::MAX { u } else { u - 1 }).collect();
            let low = self.low(&zone, side);
            let half = if zone.halved || ceilings[side] == i64::MAX {
                ceilings[side]
            } else {
                low + (ceilings[side] - low) / 2
            };
            let whole = half == ceilings[side];
            ceilings[side] = half;
            let first = if side == 0 { 1 % self.metrics } else { 0 };
            match self.least(&ceilings, first) {
                Lex::Best(at) if at.values[first] < zone.upper[first] => {
                    if !self.add(at, most) {
                        return End::Done(Extent::Subset);
                    }
                }
                Lex::Best(_) | Lex::Empty if whole => {
                    self.zones.swap_remove(place);
                }
                Lex::Best(_) | Lex::Empty => {
                    self.zones[place].least[side] = half + 1;
                    self.zones[place].halved = true;
                }
                Lex::Cut => return End::Done(Extent::Cut),
            }
        }
        End::Done(Extent::Complete)
    }

    /// The least value of one wish under ceilings, then of the others in order: nothing dominates it, for what would dominate
    /// it keeps the ceilings too. There is no ceiling on `first` itself: a known plan does the same for the search.
    fn least(&self, ceilings: &[i64], first: usize) -> Lex {
        let wishes = &self.space.problem.wishes;
        let others = (0..wishes.len()).filter(|&place| place != first);
        let order: Vec<usize> = std::iter::once(first).chain(others).collect();
        let mut bounds: Vec<(Wish, i64)> = Vec::new();
        for place in (0..self.metrics).filter(|&place| place != first && ceilings[place] != i64::MAX) {
            bounds.push((wishes[place], ceilings[place]));
        }
        let within = |at: &&At| (0..self.metrics).all(|place| place == first || at.values[place] <= ceilings[place]);
        let known = self.points.iter().filter(within).min_by_key(|at| at.values[first]);
        let mut known = known.map(|at| at.columns.clone());
        for (nth, &place) in order.iter().enumerate() {
            let wish = wishes[place];
            let clauses = &self.session.clauses;
            let found = minimise(self.space, clauses, &bounds, Some(wish), known.clone(), &self.session.budget);
            match found {
                Found { best: Some((columns, value)), exhausted: true, .. } => {
                    bounds.retain(|(bounded, _)| *bounded != wish);
                    bounds.push((wish, value));
                    known = Some(columns);
                }
                Found { best: None, exhausted: true, .. } if nth == 0 => return Lex::Empty,
                _ => return Lex::Cut,
            }
            // A point that is known already is not made again.
            if nth == 0
                && let Some(columns) = &known
                && self.points.iter().any(|at| at.columns == *columns)
            {
                break;
            }
        }
        let columns = known.unwrap_or_default();
        let values = wishes[..self.metrics].iter().map(|wish| value(self.space, &columns, wish.figure, wish.over));
        Lex::Best(At { values: values.collect(), columns })
    }

    /// Takes a point and splits the zones that it lies in; `false` when it is one too many.
    fn add(&mut self, at: At, most: usize) -> bool {
        if self.points.iter().any(|known| known.values == at.values) {
            return true;
        }
        if self.points.len() == most {
            return false;
        }
        let (mut outside, mut parts): (Vec<Zone>, Vec<Zone>) = (Vec::new(), Vec::new());
        for zone in self.zones.drain(..) {
            if !at.values.iter().zip(&zone.upper).all(|(value, upper)| value < upper) {
                outside.push(zone);
                continue;
            }
            for place in 0..self.metrics {
                let mut part = Zone { halved: false, ..zone.clone() };
                part.upper[place] = at.values[place];
                part.by[place] = Some(self.points.len());
                if part.least.iter().zip(&part.upper).all(|(least, upper)| least < upper) {
                    parts.push(part);
                }
            }
        }
        // A zone inside another one would be searched twice.
        let inside = |a: &Zone, b: &Zone| a.upper.iter().zip(&b.upper).all(|(a, b)| a <= b);
        for (nth, part) in parts.iter().enumerate() {
            let other = parts
                .iter()
                .enumerate()
                .any(|(other, zone)| other != nth && inside(part, zone) && (part.upper != zone.upper || other < nth));
            if !other && !outside.iter().any(|zone| inside(part, zone)) {
                self.zones.push(part.clone());
            }
        }
        self.zones.append(&mut outside);
        self.points.push(at);
        true
    }

    /// Where a zone seems to begin: proved where nothing is known to lie below, a guess from its neighbours else.
    fn low(&self, zone: &Zone, side: usize) -> i64 {
        let by = zone.by.iter().enumerate().filter(|(place, _)| *place != side);
        let neighbours = by.filter_map(|(_, by)| Some(self.points[(*by)?].values[side]));
        neighbours.chain([zone.least[side]]).max().unwrap_or(0).min(zone.upper[side].saturating_sub(1))
    }

    /// The largest zone and its longest side, by the range of the values so far.
    fn largest(&self) -> Option<(usize, usize)> {
        let range = |side: usize| {
            let values = self.points.iter().map(|at| at.values[side]);
            (values.clone().min().unwrap_or(0), values.max().unwrap_or(0))
        };
        let ranges: Vec<(i64, i64)> = (0..self.metrics).map(range).collect();
        let length = |zone: &Zone, side: usize| {
            let (least, most) = ranges[side];
            let side_length = zone.upper[side].min(most) - self.low(zone, side);
            side_length.max(0) as f64 / (most - least).max(1) as f64
        };
        let size = |zone: &Zone| (0..self.metrics).map(|side| length(zone, side)).sum::<f64>();
        let place = (0..self.zones.len())
            .reduce(|best, next| if size(&self.zones[next]) > size(&self.zones[best]) { next } else { best })?;
        let zone = &self.zones[place];
        let side =
            (0..self.metrics).reduce(|best, next| if length(zone, next) > length(zone, best) { next } else { best });
        Some((place, side?))
    }
}
