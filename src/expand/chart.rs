//! Scope → the best compositions of each type, round by round: what can be called with what the rounds before gave. Maps have a
//! chart of their own, of the scope and the list's item.

mod args;
mod cand;

pub(super) use args::is_meant;
pub(super) use cand::Cand;

use super::meaning::Near;
use super::offer::{Offer, needed, unwrapped, weigh};
use super::term::{Term, item};
use super::words::{Wanted, words};
use crate::types::Type;
use args::{AtHand, may_be_said};
use cand::hash;
use ecow::EcoString;
use std::collections::{BTreeMap, BTreeSet};
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
const MAX_OFFERS: usize = 640;
/// What a step costs in the score: each costs time and money, so that it needs a reason.
const STEP: f64 = 0.2;
/// What covering all of the goal is worth.
const COVERAGE: f64 = 3.0;

/// How much worse a thing fits where several are asked for, and several things that nobody put side by side.
const ONE: f64 = 0.15;
const SEVERAL: f64 = 0.1;
/// How much worse a thing fits that may be absent.
const ABSENT: f64 = 0.1;
/// How much worse a thing fits that is another by its name: an address where a text is meant, running text where there is a question or a choice.
const NO_PLACE: f64 = 1.5;
/// How far a text is from a parameter with a name of its own, where other steps make what that name says.
const STRANGE_WHERE_MADE: f64 = 0.6;

/// Parameters that may be given the goal as a text.
pub(super) const ASKING: [&str; 5] = ["question", "looking_for", "goal", "query", "instructions"];
/// Parameters that are chosen from.
pub(super) const CHOICES: [&str; 3] = ["labels", "options", "choices"];
/// Parameters that may be where nothing in scope can be meant.
const SETTING: [&str; 2] = ["problem", "task_text"];

/// What a search looks through.
pub(super) struct Ground<'a> {
    /// What may be called, each with those of its results alone that can become part of what is wanted.
    pub offers: Vec<Offer>,
    pub wanted: Wanted,
    pub goal: &'a str,
    /// The types that can become part of what is wanted.
    pub needed: BTreeSet<Type>,
}

impl<'a> Ground<'a> {
    /// What leads to a type: offers, by what they cover of a goal and of what stands around it.
    pub fn new(ty: &Type, mut offers: Vec<Offer>, (goal, around): (&'a str, &str), near: Option<&Near>) -> Ground<'a> {
        let mut wanted = weigh(&mut offers, goal, around);
        if let Some(near) = near {
            wanted.mean();
            for offer in &mut offers {
                offer.cover.push(near.get(&offer.name).copied().unwrap_or_default());
            }
        }
        if offers.len() > MAX_OFFERS {
            offers.sort_by(|a, b| wanted.share(&b.cover).total_cmp(&wanted.share(&a.cover)));
            offers.truncate(MAX_OFFERS);
        }
        let needed = needed(ty, &offers);
        offers.iter_mut().for_each(|offer| offer.yields.retain(|(_, ty)| needed.contains(ty)));
        Ground { offers, wanted, goal, needed }
    }
}

/// The best compositions of every type that can be reached; what does without effects is not crowded out by what has some.
pub(super) fn composed(ground: &mut Ground, scope: &Scope) -> Vec<(Type, Vec<Rc<Cand>>)> {
    let mut kept: Vec<_> = chart(ground, scope).into_iter().collect();
    let can_act = |offer: &Offer| offer.has_effects && !offer.yields.is_empty();
    if ground.offers.iter().any(can_act) {
        ground.offers.iter_mut().filter(|offer| can_act(offer)).for_each(|offer| offer.yields.clear());
        kept.extend(chart(ground, scope));
    }
    kept
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
    alias: EcoString,
    /// The words of that.
    pub words: BTreeSet<String>,
}

impl Named {
    /// A name; `alias` is what it means.
    pub fn new(name: EcoString, ty: Type, bit: u64, alias: EcoString) -> Named {
        let words = words(&alias);
        Named { name, ty, bit, alias, words }
    }
}

pub(super) type Scope = Vec<Named>;

/// The best compositions of every type that can be reached.
fn chart(ground: &Ground, scope: &Scope) -> Kept {
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
        let cover = self.ground.wanted.named_by(&named.words);
        let leaf = Cand::leaf(Term::Var(named.name.clone()), named.bit, 0.0);
        self.keep(&named.ty, Rc::new(Cand { cover, ..leaf }));
        if let Type::Record(record, fields) = &named.ty {
            for (field, of) in fields {
                let term = Term::Field(Rc::new(Term::Var(named.name.clone())), field.clone());
                // Part of a thing is rarely meant where the thing itself is at hand.
                let misfit = if record.is_empty() { 0.02 } else { 0.12 };
                let cover = self.ground.wanted.named_by(&words(field));
                self.keep(of, Rc::new(Cand { cover, ..Cand::leaf(term, named.bit, misfit) }));
            }
        }
        if let Type::Optional(of) = &named.ty {
            self.standing_in(named, of);
        }
    }

    /// What may be absent, with what stands in for it: an empty list, or what else in scope is of its type.
    fn standing_in(&mut self, named: &Named, of: &Type) {
        let or = |other: Term| Term::Or(Rc::new(Term::Var(named.name.clone())), Rc::new(other));
        if let Type::List(_) = of {
            self.keep(of, Rc::new(Cand::leaf(or(Term::Several(Vec::new())), named.bit, ABSENT)));
            return;
        }
        for other in self.scope.iter().filter(|other| other.ty.fits(of)) {
            let uses = named.bit | other.bit;
            self.keep(of, Rc::new(Cand::leaf(or(Term::Var(other.name.clone())), uses, ABSENT)));
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
        let mut hand = AtHand::default();
        let mut done = std::mem::take(&mut self.done);
        for (place, offer) in ground.offers.iter().enumerate().filter(|(_, offer)| !offer.yields.is_empty()) {
            let (mut with, mut takes_item, mut lacks) = (Vec::new(), self.item == 0, false);
            for param in &offer.params {
                let plain = unwrapped(&param.ty);
                let given = self.of_type(&mut hand, &param.ty);
                takes_item |= given.iter().any(|c| c.uses & self.item != 0);
                with.extend(given.iter().map(|c| c.id));
                lacks |= given.is_empty() && *plain == param.ty && !may_be_said(plain);
            }
            // What has been tried gives the same again.
            if lacks || !takes_item || done.insert(place, hash(&with)) == Some(hash(&with)) {
                continue;
            }
            for made in self.calls(place as u16, offer, &mut hand) {
                found.extend(offer.yields.iter().map(|(field, ty)| (ty.clone(), made.part(offer, field.as_ref()))));
            }
        }
        self.done = done;
        for (ty, cand) in found {
            self.keep(&ty, Rc::new(cand));
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
                        let map = Cand::map(&list, body, item(self.maps), bit, &self.ground.wanted);
                        found.push((Type::List(Box::new((*ty).clone())), map));
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
        let item = Named::new(item(self.maps), of, bit, alias);
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
            Term::Var(name) => self.scope.iter().find(|n| n.name == *name).map_or(name, |n| &n.alias).clone(),
            Term::Field(_, field) => field.clone(),
            _ => of.to_string().to_lowercase().into(),
        }
    }
}
