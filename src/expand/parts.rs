//! A record or a tuple → its parts, each searched for by the words of its name and by the part of the goal that is about it.

use super::chart::{Cand, Ground, Scope, composed, is_meant};
use super::meaning::Near;
use super::offer::Offer;
use super::reach::misreads;
use super::term::Term;
use super::words::{clauses, words};
use crate::library::place;
use crate::types::Type;
use ecow::EcoString;
use std::collections::BTreeSet;
use std::rc::Rc;

/// How many compositions of a part are looked at.
const TRIED: usize = 2;
/// What it counts against a composition of a part that it leaves out something that this part of the goal names.
const NAMED: f64 = 0.6;
/// By how much what has another part than the best is behind it, at least.
const BEHIND: f64 = 0.05;
/// What stands for one part while it is looked for; no name that a file could declare.
const PART: &str = "$part";

/// What is put together.
pub(super) struct Parts<'a> {
    name: &'a EcoString,
    fields: &'a [(EcoString, Type)],
    offers: Vec<Offer>,
    goal: &'a str,
    near: Option<&'a Near>,
}

/// A part: what it is made by, what that takes of the scope, how far arguments are from what parameters mean.
struct Part {
    term: Rc<Term>,
    uses: u64,
    misfit: f64,
    score: f64,
}

impl<'a> Parts<'a> {
    /// A type that one of these offers puts together of several parts.
    pub fn of(ty: &'a Type, offers: &[Offer], goal: &'a str, near: Option<&'a Near>) -> Option<Parts<'a>> {
        let Type::Record(name, fields) = ty else { return None };
        let made = fields.len() > 1 && offers.iter().any(|offer| offer.puts_together(ty));
        made.then(|| Parts { name, fields, offers: offers.to_vec(), goal, near })
    }

    /// The best that can be put together, and what has one other part; none where a part cannot be had.
    pub fn composed(&self, ground: &Ground, scope: &Scope) -> Vec<Rc<Cand>> {
        let (name, fields) = (self.name, self.fields);
        let about = self.about();
        let parts: Vec<Vec<Part>> =
            fields.iter().zip(&about).map(|(field, about)| self.part(field, about.as_deref(), scope)).collect();
        if parts.iter().any(Vec::is_empty) {
            return Vec::new();
        }
        let others = parts.iter().enumerate().flat_map(|(at, tried)| (1..tried.len()).map(move |n| (at, n)));
        let mut others: Vec<(usize, usize)> = others.collect();
        let loss = |(at, n): &(usize, usize)| parts[*at][0].score - parts[*at][*n].score;
        others.sort_by(|a, b| loss(a).total_cmp(&loss(b)).then(a.cmp(b)));
        let mut all: Vec<Rc<Cand>> = Vec::new();
        for choice in std::iter::once(None).chain(others.into_iter().map(Some)) {
            let chosen = |at: usize| &parts[at][choice.filter(|(other, _)| *other == at).map_or(0, |(_, n)| n)];
            let chosen: Vec<&Part> = (0..parts.len()).map(chosen).collect();
            let args =
                fields.iter().zip(&chosen).map(|((field, _), part)| (field.clone(), part.term.clone())).collect();
            let uses = chosen.iter().fold(0, |uses, part| uses | part.uses);
            let misfit = chosen.iter().map(|part| part.misfit).sum();
            let term = Term::Call(name.clone(), args, EcoString::new());
            let mut cand = Cand::of(term, uses, misfit, (&ground.offers, &ground.wanted));
            // Words of the whole say less of a part than those of its own.
            if let Some(before) = all.last() {
                cand.score = cand.score.min(before.score - BEHIND);
            }
            all.push(Rc::new(cand));
        }
        all
    }

    /// The part of the goal that is about each field: the one that has most of its words; in order where none has any and there are as many.
    fn about(&self) -> Vec<Option<String>> {
        let fields = self.fields;
        let clauses = clauses(self.goal);
        let of = |(name, ty): &(EcoString, Type)| -> BTreeSet<String> { words(&format!("{name} {ty}")) };
        let mut about: Vec<Option<usize>> = vec![None; fields.len()];
        let mut shared: Vec<(usize, usize, usize)> = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            for (n, clause) in clauses.iter().enumerate() {
                shared.push((of(field).intersection(&words(clause)).count(), at, n));
            }
        }
        shared.sort_by_key(|(count, at, n)| (std::cmp::Reverse(*count), *at, *n));
        for (count, at, n) in shared {
            let fits = count > 0 || (fields.len() == clauses.len() && at == n);
            if fits && about[at].is_none() && !about.contains(&Some(n)) {
                about[at] = Some(n);
            }
        }
        about.into_iter().map(|n| n.map(|n| clauses[n].to_string())).collect()
    }

    /// The best compositions of a part.
    fn part(&self, (field, ty): &(EcoString, Type), about: Option<&str>, scope: &Scope) -> Vec<Part> {
        let part = Type::Record(PART.into(), vec![(field.clone(), ty.clone())]);
        let mut offers = self.offers.clone();
        offers.extend(Offer::putting_together(&part));
        let name = field.replace("_", " ");
        let (goal, around) = about.map_or((name.as_str(), self.goal), |about| (about, name.as_str()));
        let mut ground = Ground::new(&part, offers, (goal, around), self.near);
        // What it is asked is the whole where no part of that is about it.
        ground.goal = about.unwrap_or(self.goal);
        let kept = composed(&mut ground, scope);
        let named = words(goal);
        let says = |name: &str| place::named(name);
        let mut found: Vec<Part> = Vec::new();
        for cand in kept.iter().filter(|(ty, _)| is_meant(ty, &part)).flat_map(|(_, cands)| cands) {
            let given = match &*cand.term {
                Term::Call(callee, args, _) if callee == PART => args.first(),
                _ => None,
            };
            let Some((_, term)) = given.filter(|(_, term)| !misreads(term, &ground.offers, &says)) else { continue };
            let left_out = scope.iter().filter(|n| cand.uses & n.bit == 0 && !n.words.is_disjoint(&named)).count();
            let score = cand.score - NAMED * left_out as f64;
            found.push(Part { term: term.clone(), uses: cand.uses, misfit: cand.misfit, score });
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.term.shape().cmp(&b.term.shape())));
        found.truncate(TRIED);
        found
    }
}
