//! Library, file and goal → what a fill may call, with what each says of itself; and which types lead to what is wanted.

use super::reach::reaching;
use super::words::{Said, Wanted, words};
use crate::check::program::{Job, Program};
use crate::library::Library;
use crate::types::Type;
use ecow::EcoString;
use std::collections::BTreeSet;

/// What comes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Makes {
    /// A value, which may have fields.
    Value,
    /// Several results side by side.
    Parts,
}

/// A parameter of what may be called.
pub(super) struct Param {
    pub name: EcoString,
    pub ty: Type,
    /// The words of its name.
    pub words: BTreeSet<String>,
    /// Which kind of place, or of what is executed, it takes.
    pub reaching: Option<&'static str>,
}

/// Something that a fill may call.
pub(super) struct Offer {
    pub name: EcoString,
    pub params: Vec<Param>,
    pub makes: Makes,
    /// Each type that it gives, by itself (`None`) or as a field.
    pub yields: Vec<(Option<EcoString>, Type)>,
    /// How well it covers each word of the goal.
    pub cover: Vec<f32>,
    /// What the words of its name that the goal does not have count against it.
    pub strange: f64,
    said: Said,
    docs: EcoString,
}

impl Offer {
    fn new(name: &EcoString, docs: &str, params: Vec<(EcoString, Type)>, result: &Type) -> Offer {
        let param = |(name, ty): (EcoString, Type)| Param { words: words(&name), reaching: reaching(&name), name, ty };
        let params: Vec<Param> = params.into_iter().map(param).collect();
        let mut parts = words(&result.to_string());
        parts.extend(params.iter().flat_map(|param| param.words.iter().cloned()));
        let said = Said { name: words(name), docs: words(docs), parts };
        let makes = if matches!(result, Type::Record(n, _) if n.is_empty()) { Makes::Parts } else { Makes::Value };
        let mut yields = if makes == Makes::Value { vec![(None, result.clone())] } else { Vec::new() };
        if let Type::Record(_, fields) = result {
            yields.extend(fields.iter().map(|(n, t)| (Some(n.clone()), t.clone())));
        }
        Offer { name: name.clone(), params, makes, yields, cover: Vec::new(), strange: 0.0, said, docs: docs.into() }
    }
}

impl Offer {
    /// What it says of itself, as a sentence.
    pub fn spoken(&self) -> String {
        let sentence = self.docs.split_inclusive(". ").next().unwrap_or_default().trim();
        format!("{}: {sentence}", self.name.replace("_", " "))
    }

    /// Whether its name or description has one of some words.
    pub fn says(&self, words: &BTreeSet<String>) -> bool {
        !words.is_disjoint(&self.said.name) || !words.is_disjoint(&self.said.docs)
    }
}

/// What may be called in a fill of a hole: the library's tasks; records that the file declares, made of their fields; its jobs
/// without holes, where that makes no circle.
pub(super) fn offers(job: &Job, program: &Program, library: &Library) -> Vec<Offer> {
    let mut all: Vec<Offer> =
        library.for_holes().map(|t| Offer::new(&t.name, &t.docs, t.params.clone(), &t.result)).collect();
    for (name, (ty, span)) in &library.types {
        if let Type::Record(_, fields) = ty
            && span.file == job.span.file
        {
            let mut offer = Offer::new(name, "", fields.clone(), ty);
            // Its fields are what it is made from.
            offer.yields.truncate(1);
            // Putting values side by side does nothing that a goal could ask for.
            offer.said = Said::default();
            all.push(offer);
        }
    }
    let whole = |other: &&Job| other.holes.is_empty() && other.name != job.name && !reaches(other, &job.name, program);
    for other in program.jobs.iter().filter(whole) {
        let params = other.params.iter().map(|p| other.local(*p)).map(|l| (l.name.clone(), l.ty.clone())).collect();
        let goal = other.goal.as_ref().map(|(goal, _)| goal.as_str()).unwrap_or_default();
        all.push(Offer::new(&other.name, &format!("{} {goal}", other.docs), params, &other.result));
    }
    all
}

fn reaches(from: &Job, to: &EcoString, program: &Program) -> bool {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&EcoString> = from.calls.keys().collect();
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            open.extend(program.jobs.iter().filter(|j| j.name == *name).flat_map(|j| j.calls.keys()));
        }
    }
    false
}

/// Weighs the goal's words against what is offered.
pub(super) fn weigh(offers: &mut [Offer], goal: &str, around: &str) -> Wanted {
    let said: Vec<Said> = offers
        .iter()
        .map(|o| Said { name: o.said.name.clone(), docs: o.said.docs.clone(), parts: o.said.parts.clone() })
        .collect();
    let wanted = Wanted::new(goal, around, &said);
    let mut goal = words(goal);
    goal.extend(words(around));
    for offer in offers {
        offer.cover = wanted.covered_by(&offer.said);
        let strange = offer.said.name.difference(&goal).count() as f64;
        offer.strange = 0.1 * strange / offer.said.name.len().max(1) as f64;
    }
    wanted
}

/// The types that can become part of a value of a type.
pub(super) fn needed(ty: &Type, offers: &[Offer]) -> BTreeSet<Type> {
    let given: BTreeSet<&Type> = offers.iter().flat_map(|o| o.yields.iter().map(|(_, t)| t)).collect();
    let mut needed = BTreeSet::from([ty.clone()]);
    let mut open = vec![ty.clone()];
    while let Some(wanted) = open.pop() {
        let mut more: Vec<Type> = Vec::new();
        match &wanted {
            Type::List(of) => more.push((**of).clone()),
            Type::Optional(of) => more.push((**of).clone()),
            _ => {}
        }
        more.extend(given.iter().filter(|t| t.fits(&wanted)).map(|t| (*t).clone()));
        let makes = |o: &&Offer| o.yields.iter().any(|(_, t)| t.fits(&wanted));
        more.extend(offers.iter().filter(makes).flat_map(|o| &o.params).map(|param| unwrapped(&param.ty).clone()));
        for ty in more {
            if needed.insert(ty.clone()) {
                open.push(ty);
            }
        }
    }
    // What is mapped over is wanted as well: any list whose item leads on.
    let lists: Vec<Type> = given.iter().filter(|t| matches!(t, Type::List(_))).map(|t| (*t).clone()).collect();
    for list in lists {
        if !needed.contains(&list) {
            let makers: Vec<Type> = offers
                .iter()
                .filter(|o| o.yields.iter().any(|(_, t)| *t == list))
                .flat_map(|o| o.params.iter().map(|param| unwrapped(&param.ty).clone()))
                .collect();
            needed.insert(list);
            needed.extend(makers);
        }
    }
    needed
}

/// The type of what is given, where it may be left out.
pub(super) fn unwrapped(ty: &Type) -> &Type {
    if let Type::Optional(of) = ty { of } else { ty }
}
