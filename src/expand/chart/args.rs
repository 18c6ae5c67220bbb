//! What is given to a call: the compositions that fit a parameter, what the goal itself says, and how far each is from what the parameter
//! seems to mean.

use super::cand::{Calls, Cand, Given, worth};
use super::{ASKING, BEAM, CHOICES, Chart, NO_PLACE, Named, SETTING, STRANGE_WHERE_MADE, TRIED};
use crate::expand::literals;
use crate::expand::offer::{Offer, Param, unwrapped};
use crate::expand::reach::{Known, is_place};
use crate::expand::term::Term;
use crate::expand::words::{is_question, words};
use crate::library::place::{Place, named};
use crate::types::Type;
use ecow::EcoString;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What there is of each type in a round, the best first; and what of it fits parameters that are called so, of such a type.
#[derive(Default)]
pub(super) struct AtHand<'g> {
    by_type: BTreeMap<&'g Type, Rc<Vec<Rc<Cand>>>>,
    fitting: BTreeMap<(&'g EcoString, &'g Type), Rc<Fitting>>,
}

/// Compositions with how far they are from what a parameter means, the best first. What is computed has covered some of the goal already,
/// and would crowd out what is at hand.
struct Fitting {
    leaves: Vec<(f64, Rc<Cand>)>,
    computed: Vec<(f64, Rc<Cand>)>,
}

/// Whether a goal may say a value of a type outright.
pub(super) fn may_be_said(ty: &Type) -> bool {
    matches!(ty, Type::Text | Type::Enum(..)) || matches!(ty, Type::List(of) if **of == Type::Text)
}

/// Whether a value of a type is meant where another is asked for: every value is JSON, and what asks for JSON means none of them.
pub(in crate::expand) fn is_meant(given: &Type, asked: &Type) -> bool {
    given.fits(asked) && (*unwrapped(asked) != Type::Json || *unwrapped(given) == Type::Json)
}

fn is_text_or_texts(ty: &Type) -> bool {
    matches!(ty, Type::Text) || matches!(ty, Type::List(of) if **of == Type::Text)
}

impl<'a> Chart<'a, '_> {
    /// What can stand where a type is asked for; where no such list is at hand, all things of a kind that are, and where there is none at all, lists
    /// of one thing.
    pub(super) fn of_type(&self, hand: &mut AtHand<'a>, ty: &'a Type) -> Rc<Vec<Rc<Cand>>> {
        if let Some(known) = hand.by_type.get(ty) {
            return known.clone();
        }
        let fitting = |ty: &Type| -> Vec<Rc<Cand>> {
            let of_type = self.kept.iter().filter(|(t, _)| is_meant(t, ty));
            of_type.flat_map(|(_, c)| c.iter().cloned()).collect()
        };
        let mut all = fitting(ty);
        if let (true, Type::List(of)) = (all.iter().all(|c| !c.is_leaf()), unwrapped(ty)) {
            let mut leaves: Vec<Rc<Cand>> = fitting(of).into_iter().filter(|c| c.is_leaf()).collect();
            if all.is_empty() {
                all = leaves.iter().map(|c| Rc::new(c.alone())).collect();
            }
            // All of a kind together, but for what is asked and for places.
            let reads = |c: &Rc<Cand>| match &*c.term {
                Term::Var(name) => !ASKING.contains(&name.as_str()) && self.says(name).is_none(),
                _ => false,
            };
            leaves.retain(reads);
            leaves.sort_by_key(|c| c.uses);
            if leaves.len() > 1 {
                all.push(Rc::new(Cand::several(&leaves)));
            }
        }
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        let all = Rc::new(all);
        hand.by_type.insert(ty, all.clone());
        all
    }

    fn fitting(&self, hand: &mut AtHand<'a>, param: &'a Param) -> Rc<Fitting> {
        let plain = unwrapped(&param.ty);
        if let Some(known) = hand.fitting.get(&(&param.name, &param.ty)) {
            return known.clone();
        }
        let literals = self.literals(&param.name, plain).into_iter().map(Rc::new);
        let at_hand = self.of_type(hand, &param.ty);
        let says = |name: &str| self.says(name);
        let known = Known { offers: &self.ground.offers, says: &says };
        // What is asked, and what may be chosen from, is at hand or said: it is never the outcome of a step.
        let at_hand_only =
            is_text_or_texts(plain) && (ASKING.contains(&&*param.name) || CHOICES.contains(&&*param.name));
        let may_take = |cand: &Cand| {
            param.place.is_none_or(|place| known.may_give(place, &cand.term)) && (cand.is_leaf() || !at_hand_only)
        };
        let (mut leaves, mut computed): (Vec<(f64, Rc<Cand>)>, Vec<_>) = at_hand
            .iter()
            .cloned()
            .chain(literals)
            .filter(|c| may_take(c))
            .map(|c| (self.misfit(param, plain, &c), c))
            .partition(|(_, c)| c.is_leaf());
        for list in [&mut leaves, &mut computed] {
            list.sort_by(|a, b| (b.1.score - b.0).total_cmp(&(a.1.score - a.0)).then(a.1.id.cmp(&b.1.id)));
        }
        let fitting = Rc::new(Fitting { leaves, computed });
        hand.fitting.insert((&param.name, &param.ty), fitting.clone());
        fitting
    }

    /// The calls of an offer with the best arguments.
    pub(super) fn calls(&self, place: u16, offer: &'a Offer, hand: &mut AtHand<'a>) -> Vec<Cand> {
        let mut beam: Vec<(f64, Given)> = vec![(0.0, Vec::new())];
        for param in &offer.params {
            let fitting = self.fitting(hand, param);
            let others = |list: &'_ [(f64, Rc<Cand>)]| -> Vec<(f64, Option<Rc<Cand>>)> {
                let others = list.iter().filter(|(_, c)| !c.calls.has(place)).take(TRIED / 2);
                others.map(|(misfit, c)| (*misfit, Some(c.clone()))).collect()
            };
            let mut options = others(&fitting.leaves);
            options.extend(others(&fitting.computed));
            if matches!(param.ty, Type::Optional(_)) {
                options.push((0.0, None));
            }
            let mut next: Vec<(f64, f64, usize, usize)> = Vec::with_capacity(beam.len() * options.len());
            for (b, (so_far, given)) in beam.iter().enumerate() {
                for (o, (misfit, option)) in options.iter().enumerate() {
                    // The same value a second time adds nothing.
                    let same = |a: &Cand, b: &Cand| a.id == b.id || alone(&a.term) == alone(&b.term);
                    let again = option.as_ref().is_some_and(|cand| given.iter().any(|(_, g)| same(g, cand)));
                    let misfit = so_far + misfit + if again { 0.5 } else { 0.0 };
                    let all = given.iter().map(|(_, c)| c).chain(option);
                    next.push((self.score(place, offer, misfit, all), misfit, b, o));
                }
            }
            next.sort_by(|a, b| b.0.total_cmp(&a.0));
            next.truncate(BEAM);
            let with = |(_, misfit, b, o): (f64, f64, usize, usize)| {
                let mut given = beam[b].1.clone();
                given.extend(options[o].1.iter().map(|cand| (param.name.clone(), cand.clone())));
                (misfit, given)
            };
            beam = next.into_iter().map(with).collect();
        }
        let made =
            beam.into_iter().map(|(misfit, given)| Cand::call((place, offer), misfit, given, &self.ground.wanted));
        // A call that takes nothing from the scope answers something else; in a map, what does not take the item is had outside.
        made.filter(|c| c.uses != 0 && (self.item == 0 || c.uses & self.item != 0)).collect()
    }

    fn score<'c>(
        &self,
        place: u16,
        offer: &'c Offer,
        misfit: f64,
        given: impl Iterator<Item = &'c Rc<Cand>> + Clone,
    ) -> f64 {
        let calls = given.clone().fold(Calls::default().with(place), |calls, c| calls.and(&c.calls));
        let misfit = misfit + offer.strange + given.clone().map(|c| c.misfit).sum::<f64>();
        let covers = std::iter::once(&offer.cover).chain(given.map(|c| &c.cover));
        worth(self.ground.wanted.share_of(covers), &calls, misfit)
    }

    /// What the goal itself says that a parameter could be given.
    fn literals(&self, param: &EcoString, ty: &Type) -> Vec<Cand> {
        let goal = self.ground.goal;
        let is_text = |t: &Type| *t == Type::Text;
        match ty {
            Type::Text if !goal.is_empty() && (ASKING.contains(&&**param) || self.is_setting(param)) => {
                vec![Cand::leaf(Term::Text(goal.into()), 0, 0.0)]
            }
            Type::List(of) if is_text(of) && CHOICES.contains(&&**param) => {
                let options = literals::alternatives(goal);
                if options.is_empty() { Vec::new() } else { vec![Cand::leaf(Term::Texts(options), 0, 0.0)] }
            }
            Type::Enum(..) => {
                let named = literals::named(goal, param, ty);
                named.into_iter().map(|v| Cand::leaf(Term::Value(v), 0, 0.0)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// How far a value is from what a parameter seems to mean.
    fn misfit(&self, param: &Param, ty: &Type, cand: &Cand) -> f64 {
        let asking = ASKING.contains(&&*param.name);
        let texts = is_text_or_texts(ty);
        // A parameter that is called after its type takes any text; one with a name of its own means something.
        let any_text = param.words.iter().all(|w| w == "text");
        let strange = match any_text {
            true => 0.1,
            false if texts && param.made => STRANGE_WHERE_MADE,
            false => 0.35,
        };
        let term = alone(&cand.term);
        if texts && param.place.is_none() && is_place(term, &|name: &str| self.says(name)) {
            return strange + NO_PLACE;
        }
        match term {
            Term::Var(name) => {
                let (name, says) = self.meant(name);
                let alike = !says.is_disjoint(&param.words);
                if *name == param.name {
                    0.0
                } else if asking && ASKING.contains(&&**name) {
                    0.05
                } else if alike {
                    0.03
                } else if !texts {
                    0.08
                } else if CHOICES.contains(&&*param.name) {
                    strange + NO_PLACE
                } else if asking {
                    // A text in scope is hardly what is asked where the goal asks something itself.
                    if is_question(self.ground.goal) { 0.6 + NO_PLACE } else { 0.6 }
                } else if ASKING.contains(&&**name) {
                    if any_text { 0.5 } else { 0.5 + NO_PLACE }
                } else {
                    strange
                }
            }
            Term::Text(_) if asking && self.scope.iter().any(|n| n.name == param.name || n.name == "question") => 0.5,
            Term::Text(goal) if asking => {
                if is_question(goal) {
                    0.05
                } else {
                    0.2
                }
            }
            Term::Text(_) => 0.4,
            Term::Texts(_) | Term::Value(_) => 0.0,
            // Several things at hand are what the goal calls them.
            Term::Several(_) if self.ground.wanted.says(&param.words) => 0.1,
            Term::Field(_, field) if *field == param.name => 0.0,
            _ => {
                let last = cand.last.map(|place| &self.ground.offers[usize::from(place)]);
                if last.is_some_and(|offer| offer.says(&param.words)) {
                    0.02
                } else if texts {
                    strange
                } else {
                    0.05
                }
            }
        }
    }

    /// Whether the goal itself can be meant as the setting of what is done: nothing in scope is.
    fn is_setting(&self, param: &EcoString) -> bool {
        SETTING.contains(&&**param) && !self.scope.iter().any(|n| n.ty == Type::Text && named(&n.alias).is_none())
    }

    /// What a name in scope says that it is.
    fn says(&self, name: &str) -> Option<Place> {
        named(self.scope.iter().find(|n| n.name == *name).map_or(name, |n| &n.alias))
    }

    /// What a name means, with its words.
    fn meant<'n>(&'n self, name: &'n EcoString) -> (&'n EcoString, Cow<'n, BTreeSet<String>>) {
        match self.scope.iter().find(|named| named.name == *name) {
            Some(Named { alias, words, .. }) => (alias, Cow::Borrowed(words)),
            None => (name, Cow::Owned(words(name))),
        }
    }
}

/// A term, the one thing of a list of one, or what may be absent.
fn alone(term: &Term) -> &Term {
    match term {
        Term::One(inner) | Term::Or(inner, _) => alone(inner),
        _ => term,
    }
}
