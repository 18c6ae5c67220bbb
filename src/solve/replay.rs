//! What a search recorded, and a bound on its goal -> the cases that cover everything, each excluded in exact integers.
//!
//! The search cut with the bounds that it had at the time; the replay cuts with the final one, and says where nothing is left open.

use super::model::{Domain, Model};
use super::price::{Hints, Price};
use super::propagate::{Cutoff, propagate};

/// A case with nothing in it.
pub struct Leaf {
    /// Its place in the record.
    pub case: usize,
    /// The combination that excluded the rest of it; `None` where single rows did.
    pub by: Option<usize>,
}

/// The cases that a record closes.
pub struct Replay {
    /// The options that are left before any case is told apart.
    pub root: Domain,
    /// The cases that cover the root, all closed.
    pub leaves: Vec<Leaf>,
}

/// Replays a record; `None` when it leaves a case open. The model holds the bound on the goal, which is `value`.
pub fn replay(model: &Model, hints: &Hints, value: Option<i64>) -> Option<Replay> {
    let cases = &hints.cases;
    if cases.cut {
        return None;
    }
    let mut parts = vec![0u32; cases.list.len()];
    cases.list.iter().skip(1).for_each(|case| parts[case.parent] += 1);
    // Each domain is dropped once its last part has been seen.
    let mut open: Vec<Option<Domain>> = Vec::with_capacity(parts.len());
    let mut left = parts.clone();
    let mut replay = Replay { root: model.domain.clone(), leaves: Vec::new() };
    for (place, case) in cases.list.iter().enumerate() {
        let mut domain = match &case.side {
            None => model.domain.clone(),
            Some(side) => {
                left[case.parent] -= 1;
                let taken = if left[case.parent] == 0 { open[case.parent].take() } else { open[case.parent].clone() };
                let Some(mut domain) = taken else {
                    open.push(None);
                    continue;
                };
                domain.retain(|step, column| step != side.step || side.has(column));
                domain
            }
        };
        let closed = close(model, hints, &case.by, value, &mut domain);
        if place == 0 {
            replay.root = domain.clone();
        }
        match closed {
            Some(by) => {
                replay.leaves.push(Leaf { case: place, by });
                open.push(None);
            }
            None if parts[place] == 0 => {
                eprintln!(
                    "open case {place} of {} by {:?} parent {} domain {} lens {:?} value {value:?} goal {:?}",
                    parts.len(),
                    case.by.iter().map(|b| hints.cases.proofs[*b].slope).collect::<Vec<_>>(),
                    case.parent,
                    domain.all().len(),
                    (0..domain.steps()).map(|s| domain.of(s).len()).collect::<Vec<_>>(),
                    hints.goal
                );
                return None;
            }
            None => open.push(Some(domain)),
        }
    }
    (!cases.list.is_empty()).then_some(replay)
}

/// Excludes what the model's rows and the combinations exclude; `Some` when nothing is left, with the combination that did it.
fn close(model: &Model, hints: &Hints, by: &[usize], value: Option<i64>, domain: &mut Domain) -> Option<Option<usize>> {
    if !propagate(model, &Cutoff::default(), domain) {
        return Some(None);
    }
    loop {
        let before = domain.all().len();
        // The latest combination is the one that closed the case, if any did.
        for &place in by.iter().rev() {
            let proof = &hints.cases.proofs[place];
            let Some(value) = value.or((proof.slope == 0).then_some(0)) else { continue };
            let price = hints.price(model.space, proof, domain.all(), value);
            match exclude(&price, domain) {
                None => return Some(Some(place)),
                Some(true) if !propagate(model, &Cutoff::default(), domain) => return Some(None),
                Some(_) => (),
            }
        }
        if domain.all().len() == before {
            return None;
        }
    }
}

/// Drops the columns that a price row over the domain excludes; whether any went, or `None` if nothing is left.
pub fn exclude(price: &Price, domain: &mut Domain) -> Option<bool> {
    let (mut min, mut place) = (Vec::with_capacity(domain.steps()), 0);
    for step in 0..domain.steps() {
        let end = place + domain.of(step).len();
        min.push(price.coef[place..end].iter().copied().min().unwrap_or(0));
        place = end;
    }
    let slack = price.rhs - min.iter().sum::<i128>();
    if slack < 0 {
        return None;
    }
    let mut coef = price.coef.iter();
    Some(domain.retain(|step, _| coef.next().is_none_or(|a| a - min[step] <= slack)))
}
