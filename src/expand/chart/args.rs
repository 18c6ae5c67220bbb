//! What is given to a call: the compositions that fit a parameter, what the goal itself says, and how far each is from what the parameter
//! seems to mean.

use super::cand::{Calls, Cand, Given, worth};
use super::{ASKING, BEAM, Chart, NO_PLACE, Named, SETTING, TRIED};
use crate::expand::literals;
use crate::expand::offer::{Offer, Param, unwrapped};
use crate::expand::reach::{may_give, reaching};
use crate::expand::term::Term;
use crate::expand::words::{is_question, words};
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

impl<'a> Chart<'a, '_> {
    /// What can stand where a type is asked for; where there is no such list, lists of one thing that is at hand.
    pub(super) fn of_type(&self, hand: &mut AtHand<'a>, ty: &'a Type) -> Rc<Vec<Rc<Cand>>> {
        if let Some(known) = hand.by_type.get(ty) {
            return known.clone();
        }
        let fitting = |ty: &Type| -> Vec<Rc<Cand>> {
            let of_type = self.kept.iter().filter(|(t, _)| t.fits(ty));
            of_type.flat_map(|(_, c)| c.iter().cloned()).collect()
        };
        let mut all = fitting(ty);
        if let (true, Type::List(of)) = (all.is_empty(), ty) {
            all = fitting(of).iter().filter(|c| c.is_leaf()).map(|c| Rc::new(c.alone())).collect();
        }
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        let all = Rc::new(all);
        hand.by_type.insert(ty, all.clone());
        all
    }

    fn fitting(&self, hand: &mut AtHand<'a>, param: &'a Param) -> Rc<Fitting> {
        let plain = unwrapped(&param.ty);
        if let Some(known) = hand.fitting.get(&(&param.name, plain)) {
            return known.clone();
        }
        let literals = self.literals(&param.name, plain).into_iter().map(Rc::new);
        let at_hand = self.of_type(hand, plain);
        let may_take = |term: &Term| param.reaching.is_none_or(|kind| may_give(kind, term));
        let (mut leaves, mut computed): (Vec<(f64, Rc<Cand>)>, Vec<_>) = at_hand
            .iter()
            .cloned()
            .chain(literals)
            .filter(|c| may_take(&c.term))
            .map(|c| (self.misfit(param, plain, &c), c))
            .partition(|(_, c)| c.is_leaf());
        for list in [&mut leaves, &mut computed] {
            list.sort_by(|a, b| (b.1.score - b.0).total_cmp(&(a.1.score - a.0)).then(a.1.id.cmp(&b.1.id)));
        }
        let fitting = Rc::new(Fitting { leaves, computed });
        hand.fitting.insert((&param.name, plain), fitting.clone());
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
                    let again = option.as_ref().is_some_and(|cand| given.iter().any(|(_, g)| g.id == cand.id));
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
            Type::Text if !goal.is_empty() && (ASKING.contains(&&**param) || SETTING.contains(&&**param)) => {
                vec![Cand::leaf(Term::Text(goal.clone()), 0, 0.0)]
            }
            Type::List(of) if is_text(of) && matches!(&**param, "labels" | "options" | "choices") => {
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
        let texts = matches!(ty, Type::Text) || matches!(ty, Type::List(of) if **of == Type::Text);
        // A parameter that is called after its type takes any text; one with a name of its own means something.
        let strange = if param.words.iter().all(|w| w == "text") { 0.1 } else { 0.35 };
        let term = if let Term::One(inner) = &*cand.term { inner } else { &cand.term };
        match &**term {
            Term::Var(name) => {
                let (name, says) = self.meant(name);
                let alike = !says.is_disjoint(&param.words);
                if param.reaching.is_some() && reaching(name).is_none() && !alike {
                    strange + NO_PLACE
                } else if *name == param.name {
                    0.0
                } else if asking && ASKING.contains(&&**name) {
                    0.05
                } else if alike {
                    0.03
                } else if !texts {
                    0.08
                } else if asking {
                    0.6
                } else if ASKING.contains(&&**name) {
                    0.5
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
            _ if asking => 0.6,
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

    /// What a name means, with its words.
    fn meant<'n>(&'n self, name: &'n EcoString) -> (&'n EcoString, Cow<'n, BTreeSet<String>>) {
        match self.scope.iter().find(|named| named.name == *name) {
            Some(Named { alias, words, .. }) => (alias, Cow::Borrowed(words)),
            None => (name, Cow::Owned(words(name))),
        }
    }
}
