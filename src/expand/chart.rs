//! Scope → the best compositions of each type, round by round: what can be called with what the rounds before gave. Maps have a
//! chart of their own, of the scope and the list's item.

use super::literals;
use super::offer::{Makes, Offer};
use super::reach::{may_give, reaching};
use super::term::{Term, item};
use super::words::{Wanted, is_question, words};
use crate::types::Type;
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// How many calls may stand behind each other in a fill.
const MAX_DEPTH: usize = 6;
/// The same within a map.
const MAX_DEPTH_INSIDE: usize = 4;
/// How many maps may stand in each other.
const MAX_MAPS: usize = 2;
/// How many compositions of a type are kept.
const KEPT: usize = 8;
/// How many are tried for each argument, and how many sets of arguments for each call.
const TRIED: usize = 6;
const BEAM: usize = 8;
/// How many offers a search looks at: those that fit the goal best, where there are more.
pub(super) const MAX_OFFERS: usize = 640;
/// What a step costs in the score: each costs time and money, so that it needs a reason.
const STEP: f64 = 0.2;
/// What covering all of the goal is worth.
const COVERAGE: f64 = 3.0;

/// How much worse a thing fits where several are asked for.
const ONE: f64 = 0.15;
/// How much worse a text fits where a place is asked for, or something that is executed, and nothing says that it is one.
const NO_PLACE: f64 = 1.0;

/// Parameters that may be given the goal as a text.
pub(super) const ASKING: [&str; 5] = ["question", "looking_for", "goal", "query", "instructions"];
/// Parameters that may be where nothing in scope can be meant.
const SETTING: [&str; 2] = ["problem", "task_text"];

/// A composition.
#[derive(Clone, Debug)]
pub(super) struct Cand {
    pub term: Rc<Term>,
    /// What tells it from others of the same type.
    id: u64,
    /// How well each word of the goal is covered.
    pub cover: Vec<f32>,
    /// What it calls, by place in the offers.
    calls: Calls,
    /// What it takes of the scope, a bit a name.
    pub uses: u64,
    /// How far arguments are from what parameters seem to mean.
    misfit: f64,
    pub score: f64,
}

impl Cand {
    fn leaf(term: Term, uses: u64, misfit: f64) -> Cand {
        let id = hash(&(0u8, format!("{term:?}")));
        Cand { term: Rc::new(term), id, cover: Vec::new(), calls: Calls::default(), uses, misfit, score: -misfit }
    }

    fn is_leaf(&self) -> bool {
        self.calls.count() == 0
    }
}

/// A set of offers, by place.
#[derive(Clone, Copy, Debug, Default)]
struct Calls([u64; MAX_OFFERS / 64]);

impl Calls {
    fn with(mut self, place: u16) -> Calls {
        self.0[usize::from(place) / 64] |= 1 << (place % 64);
        self
    }

    fn and(mut self, other: &Calls) -> Calls {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
        self
    }

    fn has(&self, place: u16) -> bool {
        self.0[usize::from(place) / 64] & (1 << (place % 64)) != 0
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|w| w.count_ones()).sum()
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What a search looks through.
pub(super) struct Ground<'a> {
    pub offers: Vec<Offer>,
    pub wanted: Wanted,
    pub goal: &'a EcoString,
    /// The types that can become part of what is wanted.
    pub needed: BTreeSet<Type>,
}

impl Ground<'_> {
    /// Whether what is called says one of some words of itself.
    fn says(&self, callee: &str, words: &BTreeSet<String>) -> bool {
        self.offers.iter().find(|o| o.name == callee).is_some_and(|o| o.says(words))
    }
}

/// The compositions of each type.
type Kept = BTreeMap<Type, Vec<Rc<Cand>>>;

/// A name in scope.
#[derive(Clone)]
pub(super) struct Named {
    pub name: EcoString,
    pub ty: Type,
    /// Its bit in [`Cand::uses`].
    pub bit: u64,
    /// What its name means: for the item of a map, what the list is called.
    pub alias: EcoString,
}

pub(super) type Scope = Vec<Named>;

/// The best compositions of every type that can be reached.
pub(super) fn chart(ground: &Ground, scope: &Scope) -> Kept {
    let mut chart =
        Chart { ground, scope, maps: 0, within: BTreeMap::new(), kept: Kept::new(), item: 0, done: BTreeMap::new() };
    scope.iter().for_each(|named| chart.name(named));
    chart.grow();
    // Maps come when there is all that they could take from outside; what they give may be mapped over again.
    for _ in 0..MAX_MAPS {
        for (ty, cand) in chart.mapped() {
            chart.keep(&ty, Rc::new(cand));
        }
        chart.grow();
    }
    chart.kept
}

struct Chart<'a, 'g> {
    ground: &'a Ground<'g>,
    scope: &'a Scope,
    /// How many maps this stands in.
    maps: usize,
    kept: Kept,
    /// The charts of maps, by the item's type, the list's bit and what the list is called.
    within: BTreeMap<(Type, u64, EcoString), Kept>,
    /// The bit of the map's item, which every new call takes; 0 outside of maps.
    item: u64,
    /// What each offer was last tried with.
    done: BTreeMap<usize, u64>,
}

impl Chart<'_, '_> {
    fn name(&mut self, named: &Named) {
        self.keep(&named.ty, Rc::new(Cand::leaf(Term::Var(named.name.clone()), named.bit, 0.0)));
        if let Type::Record(record, fields) = &named.ty {
            for (field, of) in fields {
                let term = Term::Field(Rc::new(Term::Var(named.name.clone())), field.clone());
                // Part of a thing is rarely meant where the thing itself is at hand.
                let misfit = if record.is_empty() { 0.02 } else { 0.12 };
                self.keep(of, Rc::new(Cand::leaf(term, named.bit, misfit)));
            }
        }
    }

    /// Rounds of calls until none brings anything new.
    fn grow(&mut self) {
        for _ in 0..if self.item == 0 { MAX_DEPTH } else { MAX_DEPTH_INSIDE } {
            let before = self.ids();
            self.round();
            if self.ids() == before {
                break;
            }
        }
    }

    fn ids(&self) -> Vec<u64> {
        self.kept.values().flatten().map(|c| c.id).collect()
    }

    fn keep(&mut self, ty: &Type, cand: Rc<Cand>) {
        let list = self.kept.entry(ty.clone()).or_default();
        if list.iter().any(|c| c.id == cand.id) {
            return;
        }
        let at = list.partition_point(|c| (c.score, cand.id) >= (cand.score, c.id));
        list.insert(at, cand);
        if list.len() > KEPT {
            // The worst goes that is not the only one to take what it takes, so that no input is lost.
            let lone = |i: usize| list.iter().filter(|c| c.uses == list[i].uses).count() == 1;
            let leaves = list.iter().filter(|c| c.is_leaf()).count();
            let out = (0..list.len()).rev().find(|i| !lone(*i) && (leaves >= KEPT || !list[*i].is_leaf()));
            list.remove(out.unwrap_or(list.len() - 1));
        }
    }

    fn round(&mut self) {
        let ground = self.ground;
        let mut found: Vec<(Type, Cand)> = Vec::new();
        let fitting = |ty: &Type| -> Vec<Rc<Cand>> {
            let of_type = self.kept.iter().filter(|(t, _)| t.fits(ty));
            let mut all: Vec<Rc<Cand>> = of_type.flat_map(|(_, c)| c.iter().cloned()).collect();
            all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
            all
        };
        let mut by_type: BTreeMap<&Type, Vec<Rc<Cand>>> = BTreeMap::new();
        let mut done = std::mem::take(&mut self.done);
        for (place, offer) in ground.offers.iter().enumerate() {
            if !offer.yields.iter().any(|(_, ty)| ground.needed.contains(ty)) {
                continue;
            }
            let (mut with, mut takes_item, mut lacks) = (Vec::new(), self.item == 0, false);
            for (_, ty) in &offer.params {
                let plain = unwrapped(ty);
                let given = by_type.entry(plain).or_insert_with(|| fitting(plain));
                let mut any = !given.is_empty();
                takes_item |= given.iter().any(|c| c.uses & self.item != 0);
                with.extend(given.iter().map(|c| c.id));
                if let Type::List(of) = plain {
                    let single = by_type.entry(of).or_insert_with(|| fitting(of));
                    let single = single.iter().filter(|c| c.is_leaf());
                    any |= single.clone().next().is_some();
                    takes_item |= single.clone().any(|c| c.uses & self.item != 0);
                    with.extend(single.map(|c| c.id));
                }
                lacks |= !any && *plain == *ty && !may_be_said(plain);
            }
            // What has been tried gives the same again.
            if lacks || !takes_item || done.insert(place, hash(&with)) == Some(hash(&with)) {
                continue;
            }
            for made in self.calls(place as u16, offer, &by_type) {
                for (field, ty) in offer.yields.iter().filter(|(_, ty)| ground.needed.contains(ty)) {
                    found.push((ty.clone(), self.part(&made, offer, field)));
                }
            }
        }
        self.done = done;
        for (ty, cand) in found {
            self.keep(&ty, Rc::new(cand));
        }
    }

    /// The calls of an offer with the best arguments.
    fn calls(&self, place: u16, offer: &Offer, by_type: &BTreeMap<&Type, Vec<Rc<Cand>>>) -> Vec<Cand> {
        type Given = Vec<(EcoString, Rc<Cand>)>;
        let mut beam: Vec<(f64, Given)> = vec![(0.0, Vec::new())];
        for (param, ty) in &offer.params {
            let plain = unwrapped(ty);
            let literals = self.literals(param, plain).into_iter().map(Rc::new);
            let singles: Vec<Rc<Cand>> = match plain {
                Type::List(of) => by_type.get(&**of).into_iter().flatten().filter(|c| c.is_leaf()).map(one).collect(),
                _ => Vec::new(),
            };
            let at_hand = by_type.get(plain).into_iter().flatten().cloned().chain(literals).chain(singles);
            let may_take = |term: &Term| reaching(param).is_none_or(|kind| may_give(kind, term));
            let of_it = |c: Rc<Cand>| (self.misfit(param, plain, &c), c);
            // What is computed has covered some of the goal already, and would crowd out what is at hand.
            let (mut tried, mut computed): (Vec<(f64, Rc<Cand>)>, Vec<_>) =
                at_hand.filter(|c| !c.calls.has(place) && may_take(&c.term)).map(of_it).partition(|(_, c)| c.is_leaf());
            let by_worth = |a: &(f64, Rc<Cand>), b: &(f64, Rc<Cand>)| {
                (b.1.score - b.0).total_cmp(&(a.1.score - a.0)).then(a.1.id.cmp(&b.1.id))
            };
            tried.sort_by(by_worth);
            computed.sort_by(by_worth);
            tried.truncate(TRIED / 2);
            tried.extend(computed.into_iter().take(TRIED / 2));
            let mut options: Vec<(f64, Option<Rc<Cand>>)> = tried.into_iter().map(|(m, c)| (m, Some(c))).collect();
            if matches!(ty, Type::Optional(_)) {
                options.push((0.0, None));
            }
            let mut next = Vec::new();
            for (so_far, given) in &beam {
                for (misfit, option) in &options {
                    let mut misfit = so_far + misfit;
                    let mut given = given.clone();
                    if let Some(cand) = option {
                        // The same value a second time adds nothing.
                        misfit += if given.iter().any(|(_, g)| g.id == cand.id) { 0.5 } else { 0.0 };
                        given.push((param.clone(), cand.clone()));
                    }
                    next.push((self.score(place, offer, misfit, &given), (misfit, given)));
                }
            }
            next.sort_by(|a, b| b.0.total_cmp(&a.0));
            next.truncate(BEAM);
            beam = next.into_iter().map(|(_, n)| n).collect();
        }
        let made = beam.into_iter().map(|(misfit, given)| self.merged(place, offer, misfit, given));
        // A call that takes nothing from the scope answers something else; in a map, what does not take the item is had outside.
        made.filter(|c| c.uses != 0 && (self.item == 0 || c.uses & self.item != 0)).collect()
    }

    fn score(&self, place: u16, offer: &Offer, misfit: f64, given: &[(EcoString, Rc<Cand>)]) -> f64 {
        let calls = given.iter().fold(Calls::default().with(place), |calls, (_, c)| calls.and(&c.calls));
        let misfit = misfit + offer.strange + given.iter().map(|(_, c)| c.misfit).sum::<f64>();
        let covers = std::iter::once(&offer.cover).chain(given.iter().map(|(_, c)| &c.cover));
        COVERAGE * self.ground.wanted.share_of(covers) - STEP * f64::from(calls.count()) - misfit
    }

    fn worth(&self, cover: &[f32], calls: &Calls, misfit: f64) -> f64 {
        COVERAGE * self.ground.wanted.share(cover) - STEP * f64::from(calls.count()) - misfit
    }

    fn merged(&self, place: u16, offer: &Offer, misfit: f64, given: Vec<(EcoString, Rc<Cand>)>) -> Cand {
        let (cover, calls) = together(&offer.cover, place, &given);
        let misfit = misfit + offer.strange + given.iter().map(|(_, c)| c.misfit).sum::<f64>();
        let uses = given.iter().fold(0, |uses, (_, c)| uses | c.uses);
        let mut key = vec![u64::from(place)];
        key.extend(given.iter().flat_map(|(param, c)| [hash(&param.as_str()), c.id]));
        let score = self.worth(&cover, &calls, misfit);
        let args = given.iter().map(|(param, c)| (param.clone(), c.term.clone())).collect();
        let term = Rc::new(Term::Call(offer.name.clone(), args, EcoString::new()));
        Cand { term, id: hash(&key), cover, calls, uses, misfit, score }
    }

    fn part(&self, made: &Cand, offer: &Offer, field: &Option<EcoString>) -> Cand {
        let Some(field) = field else { return made.clone() };
        // Results that stand side by side are each meant; a field of a thing is one of many.
        let misfit = if offer.makes == Makes::Parts { 0.0 } else { 0.12 };
        Cand {
            term: Rc::new(Term::Field(made.term.clone(), field.clone())),
            id: hash(&(made.id, field.as_str())),
            misfit: made.misfit + misfit,
            score: made.score - misfit,
            ..made.clone()
        }
    }

    /// Maps over what lists there are.
    fn mapped(&mut self) -> Vec<(Type, Cand)> {
        let wanted: BTreeSet<&Type> =
            self.ground.needed.iter().filter_map(|t| if let Type::List(of) = t { Some(&**of) } else { None }).collect();
        let mut found = Vec::new();
        for (of, list) in self.lists() {
            // A list is not mapped over itself.
            let own = if list.is_leaf() { list.uses } else { 0 };
            let bit = 1 << (63 - self.maps);
            let alias = self.called(&list.term, &of);
            let key = (of.clone(), own, alias.clone());
            if !self.within.contains_key(&key) {
                self.within.insert(key.clone(), self.inside(of.clone(), own, alias, bit));
            }
            for ty in &wanted {
                for (_, bodies) in self.within[&key].iter().filter(|(t, _)| t.fits(ty)) {
                    let takes = |c: &&Rc<Cand>| c.uses & bit != 0 && !matches!(*c.term, Term::Var(_));
                    for body in bodies.iter().filter(takes).take(TRIED) {
                        found.push((Type::List(Box::new((*ty).clone())), self.map(&list, body, bit)));
                    }
                }
            }
        }
        found
    }

    /// The lists to map over; in a map, its item and that item's fields.
    fn lists(&self) -> Vec<(Type, Rc<Cand>)> {
        let of_lists =
            self.kept.iter().filter_map(|(t, c)| if let Type::List(of) = t { Some((&**of, c)) } else { None });
        let mut lists = Vec::new();
        for (of, cands) in of_lists {
            let own = cands.iter().filter(|c| self.item == 0 || c.is_leaf() && c.uses & self.item != 0);
            lists.extend(own.take(2).map(|c| (of.clone(), c.clone())));
        }
        lists
    }

    /// The chart of a map's body: all that is outside but the list, and the item.
    fn inside(&self, of: Type, own: u64, alias: EcoString, bit: u64) -> Kept {
        let item = Named { name: item(self.maps), ty: of, bit, alias };
        let mut scope: Scope = self.scope.iter().filter(|n| n.bit != own).cloned().collect();
        scope.push(item.clone());
        let mut kept = Kept::new();
        for (ty, cands) in &self.kept {
            let without: Vec<_> = cands.iter().filter(|c| c.uses & own == 0).collect();
            let computed = without.iter().filter(|c| !c.is_leaf()).take(2);
            let at_hand = without.iter().filter(|c| c.is_leaf());
            kept.insert(ty.clone(), computed.chain(at_hand).map(|c| (*c).clone()).collect());
        }
        let (ground, maps) = (self.ground, self.maps + 1);
        let mut chart =
            Chart { ground, scope: &scope, maps, within: BTreeMap::new(), kept, item: bit, done: BTreeMap::new() };
        chart.name(&item);
        chart.grow();
        if maps < MAX_MAPS {
            for (ty, cand) in chart.mapped() {
                chart.keep(&ty, Rc::new(cand));
            }
            chart.grow();
        }
        chart.kept
    }

    /// What a list is called.
    fn called(&self, list: &Term, of: &Type) -> EcoString {
        match list {
            Term::Var(name) => self.alias(name).clone(),
            Term::Field(_, field) => field.clone(),
            _ => of.to_string().to_lowercase().into(),
        }
    }

    fn alias<'n>(&'n self, name: &'n EcoString) -> &'n EcoString {
        self.scope.iter().find(|n| n.name == *name).map_or(name, |n| &n.alias)
    }

    fn map(&self, list: &Cand, body: &Cand, bit: u64) -> Cand {
        let calls = list.calls.and(&body.calls);
        let mut cover = if list.cover.is_empty() { body.cover.clone() } else { list.cover.clone() };
        cover.iter_mut().zip(&body.cover).for_each(|(a, b)| *a = a.max(*b));
        let misfit = list.misfit + body.misfit + 0.02;
        let score = self.worth(&cover, &calls, misfit);
        let term = Rc::new(Term::Map(list.term.clone(), item(self.maps), body.term.clone()));
        let uses = list.uses | (body.uses & !bit);
        Cand { term, id: hash(&(1u8, list.id, body.id)), cover, calls, uses, misfit, score }
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
    fn misfit(&self, param: &EcoString, ty: &Type, cand: &Cand) -> f64 {
        let asking = ASKING.contains(&&**param);
        let texts = matches!(ty, Type::Text) || matches!(ty, Type::List(of) if **of == Type::Text);
        // A parameter that is called after its type takes any text; one with a name of its own means something.
        let strange = if words(param).iter().all(|w| w == "text") { 0.1 } else { 0.35 };
        let term = if let Term::One(inner) = &*cand.term { inner } else { &cand.term };
        match &**term {
            Term::Var(name) => {
                let name = self.alias(name);
                let place = |name: &str| reaching(name).is_some();
                if place(param) && !place(name) && words(name).is_disjoint(&words(param)) {
                    strange + NO_PLACE
                } else if name == param {
                    0.0
                } else if asking && ASKING.contains(&&**name) {
                    0.05
                } else if !words(name).is_disjoint(&words(param)) {
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
            Term::Text(_) if asking && self.scope.iter().any(|n| n.name == *param || n.name == "question") => 0.5,
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
            Term::Field(_, field) if field == param => 0.0,
            term => {
                let last = term.calls().pop().unwrap_or_default();
                if self.ground.says(&last, &words(param)) {
                    0.02
                } else if texts {
                    strange
                } else {
                    0.05
                }
            }
        }
    }
}

/// A list of what is at hand.
fn one(cand: &Rc<Cand>) -> Rc<Cand> {
    let (term, id, misfit) = (Rc::new(Term::One(cand.term.clone())), hash(&(2u8, cand.id)), cand.misfit + ONE);
    Rc::new(Cand { term, id, misfit, score: cand.score - ONE, ..(**cand).clone() })
}

/// What a call and its arguments cover together, and all that they call.
fn together(cover: &[f32], place: u16, given: &[(EcoString, Rc<Cand>)]) -> (Vec<f32>, Calls) {
    let (mut cover, mut calls) = (cover.to_vec(), Calls::default().with(place));
    for (_, cand) in given {
        cover.iter_mut().zip(&cand.cover).for_each(|(a, b)| *a = a.max(*b));
        calls = calls.and(&cand.calls);
    }
    (cover, calls)
}

/// Whether a goal may say a value of a type outright.
fn may_be_said(ty: &Type) -> bool {
    matches!(ty, Type::Text | Type::Enum(..)) || matches!(ty, Type::List(of) if **of == Type::Text)
}

/// The type of what is given, where it may be left out.
fn unwrapped(ty: &Type) -> &Type {
    if let Type::Optional(of) = ty { of } else { ty }
}
