//! Compositions, each with what it covers of the goal, what it calls and what it takes; and how they go together.

use super::{COVERAGE, MAX_OFFERS, ONE, SEVERAL, STEP};
use crate::expand::offer::{Makes, Offer};
use crate::expand::term::Term;
use crate::expand::words::Wanted;
use ecow::EcoString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// A composition.
#[derive(Clone, Debug)]
pub(in crate::expand) struct Cand {
    pub term: Rc<Term>,
    /// What tells it from others of the same type.
    pub id: u64,
    /// How well each word of the goal is covered.
    pub cover: Vec<f32>,
    /// What it calls, by place in the offers.
    pub calls: Calls,
    /// What it calls last.
    pub last: Option<u16>,
    /// What it takes of the scope, a bit a name.
    pub uses: u64,
    /// How far arguments are from what parameters seem to mean.
    pub misfit: f64,
    pub score: f64,
}

/// Arguments by parameter.
pub(super) type Given = Vec<(EcoString, Rc<Cand>)>;

impl Cand {
    /// Something that is at hand.
    pub fn leaf(term: Term, uses: u64, misfit: f64) -> Cand {
        let id = hash(&(0u8, format!("{term:?}")));
        let (term, calls) = (Rc::new(term), Calls::default());
        Cand { term, id, cover: Vec::new(), calls, last: None, uses, misfit, score: -misfit }
    }

    /// Whether nothing is called for it.
    pub fn is_leaf(&self) -> bool {
        self.calls.count() == 0
    }

    /// A list of it alone.
    pub fn alone(&self) -> Cand {
        let (term, id, misfit) = (Rc::new(Term::One(self.term.clone())), hash(&(2u8, self.id)), self.misfit + ONE);
        Cand { term, id, misfit, score: self.score - ONE, ..self.clone() }
    }

    /// The call of an offer; `misfit` is that of the arguments to their parameters.
    pub fn call((place, offer): (u16, &Offer), misfit: f64, given: Given, wanted: &Wanted) -> Cand {
        let (mut cover, mut calls) = (offer.cover.clone(), Calls::default().with(place));
        let mut key = vec![u64::from(place)];
        let (mut misfit, mut uses) = (misfit + offer.strange, 0);
        for (param, cand) in &given {
            cover.iter_mut().zip(&cand.cover).for_each(|(a, b)| *a = a.max(*b));
            calls = calls.and(&cand.calls);
            misfit += cand.misfit;
            uses |= cand.uses;
            key.extend([hash(&param.as_str()), cand.id]);
        }
        let score = worth(wanted.share(&cover), &calls, misfit);
        let args = given.into_iter().map(|(param, c)| (param, c.term.clone())).collect();
        let term = Rc::new(Term::Call(offer.name.clone(), args, EcoString::new()));
        Cand { term, id: hash(&key), cover, calls, last: Some(place), uses, misfit, score }
    }

    /// A composition by what it calls alone.
    pub fn of(term: Term, uses: u64, misfit: f64, (offers, wanted): (&[Offer], &Wanted)) -> Cand {
        let called = term.calls();
        let (mut calls, mut last) = (Calls::default(), None);
        for (place, offer) in offers.iter().enumerate().filter(|(_, offer)| called.contains(&offer.name)) {
            calls = calls.with(place as u16);
            if called.last() == Some(&offer.name) {
                last = Some(place as u16);
            }
        }
        let cover = calls.cover(offers);
        let score = worth(wanted.share(&cover), &calls, misfit);
        Cand { id: hash(&format!("{term:?}")), term: Rc::new(term), cover, calls, last, uses, misfit, score }
    }

    /// A list of several things that are at hand, in their order.
    pub fn several(parts: &[Rc<Cand>]) -> Cand {
        let term = Term::Several(parts.iter().map(|part| part.term.clone()).collect());
        let uses = parts.iter().fold(0, |uses, part| uses | part.uses);
        Cand::leaf(term, uses, SEVERAL)
    }

    /// What a call gives: itself, or a field of it.
    pub fn part(&self, offer: &Offer, field: Option<&EcoString>) -> Cand {
        let Some(field) = field else { return self.clone() };
        // Results that stand side by side are each meant; a field of a thing is one of many.
        let misfit = if offer.makes == Makes::Parts { 0.0 } else { 0.12 };
        Cand {
            term: Rc::new(Term::Field(self.term.clone(), field.clone())),
            id: hash(&(self.id, field.as_str())),
            misfit: self.misfit + misfit,
            score: self.score - misfit,
            ..self.clone()
        }
    }

    /// A body for each item of a list; `bit` is the item's.
    pub fn map(list: &Cand, body: &Cand, item: EcoString, bit: u64, wanted: &Wanted) -> Cand {
        let calls = list.calls.and(&body.calls);
        let mut cover = if list.cover.is_empty() { body.cover.clone() } else { list.cover.clone() };
        cover.iter_mut().zip(&body.cover).for_each(|(a, b)| *a = a.max(*b));
        let misfit = list.misfit + body.misfit + 0.02;
        let score = worth(wanted.share(&cover), &calls, misfit);
        let term = Rc::new(Term::Map(list.term.clone(), item, body.term.clone()));
        let (uses, last) = (list.uses | (body.uses & !bit), body.last.or(list.last));
        Cand { term, id: hash(&(1u8, list.id, body.id)), cover, calls, last, uses, misfit, score }
    }
}

/// The score of what covers a share of the goal with so many calls.
pub(super) fn worth(share: f64, calls: &Calls, misfit: f64) -> f64 {
    COVERAGE * share - STEP * f64::from(calls.count()) - misfit
}

/// A set of offers, by place.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::expand) struct Calls([u64; MAX_OFFERS / 64]);

impl Calls {
    pub fn with(mut self, place: u16) -> Calls {
        self.0[usize::from(place) / 64] |= 1 << (place % 64);
        self
    }

    pub fn and(mut self, other: &Calls) -> Calls {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
        self
    }

    pub fn has(&self, place: u16) -> bool {
        self.0[usize::from(place) / 64] & (1 << (place % 64)) != 0
    }

    /// What they cover of the goal.
    pub fn cover(&self, offers: &[Offer]) -> Vec<f32> {
        let mut cover = Vec::new();
        for (_, offer) in offers.iter().enumerate().filter(|(place, _)| self.has(*place as u16)) {
            cover.resize(offer.cover.len(), 0.0f32);
            cover.iter_mut().zip(&offer.cover).for_each(|(a, b)| *a = a.max(*b));
        }
        cover
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }
}

pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
