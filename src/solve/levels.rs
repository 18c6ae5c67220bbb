//! A DAG and a relaxed point -> the heaviest *thick path*: a bound on the longest path that single paths do not give.
//!
//! Steps that nothing orders have to wait for the slowest of them. A position of a thick path is a set of such steps, every one of which
//! comes before every one of the next position, and each moment of the position is charged to one of them: up to some level to
//! one, from there on to another. Charged moments are no more than the slowest step of the position takes, so that their sum along the
//! positions is at most the longest path, for every plan. The relaxation may mix fast and slow options of each step by
//! itself and so promise a join that no plan keeps; charging each level to the step that is most likely still running there says
//! what waiting for all of them takes.

use super::presolve::Space;
use super::problem::{Charges, Figure};
use super::simplex::Point;

/// Sets of steps that are looked at, at most: more take longer than they help.
const MOST_SETS: usize = 400;
/// Steps of a DAG of which sets are looked for, at most; longer ones have their single paths only.
const MOST_STEPS: usize = 200;

/// The sets of steps that positions of thick paths are taken from.
#[derive(Debug, Default)]
pub struct Sets {
    /// The sets, each after those that come before it.
    list: Vec<Vec<usize>>,
    /// The sets that come before a set with none in between.
    before: Vec<Vec<u32>>,
}

/// A set of small numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Bits(Vec<u64>);

impl Bits {
    fn empty(size: usize) -> Self {
        Bits(vec![0; size.div_ceil(64)])
    }

    fn full(size: usize) -> Self {
        let mut bits = Bits::empty(size);
        (0..size).for_each(|place| bits.set(place));
        bits
    }

    fn set(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn has(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    fn join(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    fn meet(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    fn covers(&self, other: &Bits) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| b & !a == 0)
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// Which steps come before and after each step.
struct Orders {
    before: Vec<Bits>,
    after: Vec<Bits>,
}

impl Orders {
    fn new(space: &Space) -> Self {
        let steps = space.stated();
        let (mut before, mut after) = (vec![Bits::empty(steps); steps], vec![Bits::empty(steps); steps]);
        for &step in space.order.iter().filter(|&&step| step < steps) {
            for &from in &space.before[step] {
                let above = before[from].clone();
                before[step].join(&above);
                before[step].set(from);
            }
        }
        for &step in space.order.iter().rev().filter(|&&step| step < steps) {
            for &to in &space.after[step] {
                let below = after[to].clone();
                after[step].join(&below);
                after[step].set(to);
            }
        }
        Orders { before, after }
    }

    fn ordered(&self, a: usize, b: usize) -> bool {
        self.before[a].has(b) || self.after[a].has(b)
    }

    /// The set with every step that nothing orders against it and that leaves it between the same steps: it only gets heavier.
    fn close(&self, set: &[usize]) -> Set {
        let steps = self.before.len();
        let (mut before, mut after) = (Bits::full(steps), Bits::full(steps));
        set.iter().for_each(|&step| before.meet(&self.before[step]));
        set.iter().for_each(|&step| after.meet(&self.after[step]));
        let mut list = set.to_vec();
        for step in 0..steps {
            let free = !list.iter().any(|&other| other == step || self.ordered(step, other));
            if free && self.before[step].covers(&before) && self.after[step].covers(&after) {
                list.push(step);
            }
        }
        list.sort_unstable();
        Set { rank: before.len(), list, before }
    }
}

/// A set of steps, and those that come before all of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Set {
    rank: u32,
    list: Vec<usize>,
    before: Bits,
}

/// The figures that a relaxed point takes of each step, with their weights.
pub struct Support {
    taken: Vec<(i64, f64)>,
    start: Vec<usize>,
}

impl Support {
    /// Reads a point, and the figures of its columns.
    pub fn new(space: &Space, point: &Point, figure: Figure) -> Self {
        let mut start = Vec::with_capacity(space.start.len());
        let mut taken = Vec::with_capacity(point.all().len());
        start.push(0);
        for step in 0..space.start.len() - 1 {
            taken.extend(point.of(step).iter().map(|&(column, x)| (space.figure(column as usize, figure), x)));
            start.push(taken.len());
        }
        Support { taken, start }
    }

    fn of(&self, step: usize) -> &[(i64, f64)] {
        &self.taken[self.start[step]..self.start[step + 1]]
    }

    /// The mean figure of each step.
    pub fn means(&self) -> Vec<f64> {
        let mean = |step: usize| self.of(step).iter().map(|&(figure, x)| figure as f64 * x).sum();
        (0..self.start.len() - 1).map(mean).collect()
    }
}

impl Sets {
    /// The sets of a DAG, small ones first where there are too many.
    pub fn new(space: &Space) -> Self {
        let steps = space.stated();
        if steps > MOST_STEPS {
            return Sets::default();
        }
        let orders = Orders::new(space);
        let mut found: Vec<Set> = Vec::new();
        for step in 0..steps {
            let set = orders.close(&[step]);
            if !found.contains(&set) {
                found.push(set);
            }
        }
        let mut next = 0;
        while next < found.len() && found.len() < MOST_SETS {
            let list = found[next].list.clone();
            next += 1;
            for step in 0..steps {
                if list.contains(&step) || list.iter().any(|&other| orders.ordered(step, other)) {
                    continue;
                }
                let mut wider = list.clone();
                wider.push(step);
                let set = orders.close(&wider);
                if !found.contains(&set) && found.len() < MOST_SETS {
                    found.push(set);
                }
            }
        }
        found.sort();
        let mut all_before: Vec<Bits> = Vec::with_capacity(found.len());
        let mut before: Vec<Vec<u32>> = Vec::with_capacity(found.len());
        for (place, set) in found.iter().enumerate() {
            let (mut all, mut further) = (Bits::empty(found.len()), Bits::empty(found.len()));
            for (other, earlier) in found[..place].iter().enumerate() {
                if earlier.list.iter().all(|&step| set.before.has(step)) {
                    all.set(other);
                    further.join(&all_before[other]);
                }
            }
            before.push((0..place).filter(|&other| all.has(other) && !further.has(other)).map(|o| o as u32).collect());
            all_before.push(all);
        }
        Sets { list: found.into_iter().map(|set| set.list).collect(), before }
    }

    /// The heaviest thick path of a relaxed point, and its weight. The weights of a step sum to 1.
    pub fn heaviest(&self, support: &Support) -> (f64, Vec<Charges>) {
        let mut weight: Vec<f64> = Vec::with_capacity(self.list.len());
        let mut from: Vec<Option<u32>> = Vec::with_capacity(self.list.len());
        let mut last: Option<usize> = None;
        for (place, set) in self.list.iter().enumerate() {
            let heavier = |best: Option<u32>, &other: &u32| match best {
                Some(best) if weight[best as usize] >= weight[other as usize] => Some(best),
                _ => Some(other),
            };
            let best = self.before[place].iter().fold(None, heavier);
            weight.push(weigh(set, support) + best.map_or(0.0, |best| weight[best as usize]));
            from.push(best);
            if last.is_none_or(|last| weight[place] > weight[last]) {
                last = Some(place);
            }
        }
        let mut path = Vec::new();
        let mut at = last;
        while let Some(place) = at {
            let mut charges = Vec::new();
            charge(&self.list[place], support, Some(&mut charges));
            path.push(charges);
            at = from[place].map(|from| from as usize);
        }
        path.reverse();
        (last.map_or(0.0, |last| weight[last]), path)
    }
}

/// What a set weighs: [`charge`] without the charges, for sets that mostly take one option each.
fn weigh(set: &[usize], support: &Support) -> f64 {
    let mut most = 0.0f64;
    for &step in set {
        match support.of(step) {
            &[(figure, x)] => most = most.max(figure as f64 * x),
            _ => return charge(set, support, None),
        }
    }
    most
}

/// Charges every level of a set to the step of which most is above it; how much that is over all levels.
fn charge(set: &[usize], support: &Support, mut charges: Option<&mut Charges>) -> f64 {
    if let [step] = set {
        if let Some(charges) = charges {
            charges.push((0, *step));
        }
        return support.of(*step).iter().map(|&(figure, x)| figure as f64 * x).sum();
    }
    let (mut level, mut sum) = (0, 0.0);
    let mut owner = None;
    loop {
        // What is above the level, and up to where that stays the same.
        let (mut most, mut until): (f64, i64) = (-1.0, 0);
        let mut next = i64::MAX;
        let mut heaviest = None;
        for &step in set {
            let above = support.of(step).iter().filter(|pair| pair.0 > level);
            let (first, weight) = above.fold((i64::MAX, 0.0), |(first, sum), pair| (first.min(pair.0), sum + pair.1));
            if weight <= 1e-9 {
                continue;
            }
            next = next.min(first);
            let same = (weight - most).abs() <= 1e-9;
            if (!same && weight > most) || (same && (Some(step) == owner || (first > until && heaviest != owner))) {
                (most, until, heaviest) = (weight.max(most), first, Some(step));
            }
        }
        let Some(step) = heaviest else { break };
        if owner != heaviest {
            owner = heaviest;
            if let Some(charges) = &mut charges {
                charges.push((level, step));
            }
        }
        sum += most * (next - level) as f64;
        level = next;
    }
    if let (Some(charges), None) = (charges, owner) {
        charges.extend(set.first().map(|&step| (0, step)));
    }
    sum
}
