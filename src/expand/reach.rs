//! What a fill may give a parameter that takes a place, or something that is executed. Holds for whoever fills.

use super::offer::{Offer, is_textual};
use super::term::Term;
use crate::library::place::{Place, named};

/// What is known of the values that a fill can give.
pub(super) struct Known<'a> {
    /// What may be called.
    pub offers: &'a [Offer],
    /// What a name in scope says that it is.
    pub says: &'a dyn Fn(&str) -> Option<Place>,
}

impl Known<'_> {
    /// Whether a term may go there: what is in scope and called such a thing, a part of a value that is, and code from a task that gives code.
    /// A text that is none by its name is none, whatever it holds.
    pub fn may_give(&self, place: Place, term: &Term) -> bool {
        match term {
            Term::Value(_) => true,
            Term::Var(name) => (self.says)(name) == Some(place),
            Term::Field(_, field) => named(field) == Some(place),
            Term::One(inner) => self.may_give(place, inner),
            Term::Several(parts) => parts.iter().all(|part| self.may_give(place, part)),
            Term::Or(value, other) => self.may_give(place, value) && self.may_give(place, other),
            Term::Map(_, _, body) => self.may_give(place, body),
            Term::Call(callee, ..) => {
                place == Place::Executed && self.offers.iter().any(|o| o.name == *callee && o.gives_code)
            }
            Term::Text(_) | Term::Texts(_) => false,
        }
    }
}

/// Whether a value is a place by its name, and so no text to be read.
pub(super) fn is_place(term: &Term, says: &dyn Fn(&str) -> Option<Place>) -> bool {
    let place = match term {
        Term::Var(name) => says(name),
        Term::Field(_, field) => named(field),
        Term::One(inner) => return is_place(inner, says),
        Term::Several(parts) => return parts.iter().any(|part| is_place(part, says)),
        Term::Or(value, other) => return is_place(value, says) || is_place(other, says),
        _ => None,
    };
    place == Some(Place::Reached)
}

/// Whether a call in a term reads a place as a text.
pub(super) fn misreads(term: &Term, offers: &[Offer], says: &dyn Fn(&str) -> Option<Place>) -> bool {
    match term {
        Term::Call(callee, args, _) => {
            let offer = offers.iter().find(|o| o.name == *callee);
            args.iter().any(|(name, arg)| {
                let plain = offer.is_some_and(|o| {
                    o.params.iter().any(|p| p.name == *name && p.place.is_none() && is_textual(&p.ty))
                });
                plain && is_place(arg, says) || misreads(arg, offers, says)
            })
        }
        Term::Field(inner, _) | Term::One(inner) => misreads(inner, offers, says),
        Term::Several(parts) => parts.iter().any(|part| misreads(part, offers, says)),
        Term::Or(value, other) => misreads(value, offers, says) || misreads(other, offers, says),
        Term::Map(list, _, body) => misreads(list, offers, says) || misreads(body, offers, says),
        Term::Var(_) | Term::Text(_) | Term::Texts(_) | Term::Value(_) => false,
    }
}
