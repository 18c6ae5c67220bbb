//! Library, file and goal → what a fill may call, with what each says of itself; and which types lead to what is wanted.

use super::words::{Said, Wanted, words};
use crate::check::program::{Hole, Job, Program};
use crate::library::place::{Place, Places, taken};
use crate::library::{Library, Task};
use crate::types::Type;
use ecow::EcoString;
use std::collections::BTreeSet;

/// What the names of the standard library's modules begin with.
const STANDARD: &str = "std.";
/// How many words of what others say of a tool count.
const SAID_OF_OTHERS: usize = 24;

/// What comes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Makes {
    /// A value, which may have fields.
    Value,
    /// Several results side by side.
    Parts,
}

/// A parameter of what may be called.
#[derive(Clone)]
pub(super) struct Param {
    pub name: EcoString,
    pub ty: Type,
    /// The words of its name.
    pub words: BTreeSet<String>,
    /// Whether it takes a place, or what is executed.
    pub place: Option<Place>,
    /// Whether other steps make what it is called after: `solution`, where there is `solve_math`.
    pub made: bool,
}

/// Something that a fill may call.
#[derive(Clone)]
pub(super) struct Offer {
    pub name: EcoString,
    pub params: Vec<Param>,
    pub makes: Makes,
    /// Each type that it gives, by itself (`None`) or as a field.
    pub yields: Vec<(Option<EcoString>, Type)>,
    /// What comes of it as a whole.
    result: Type,
    /// How well it covers each word of the goal.
    pub cover: Vec<f32>,
    /// Whether it yields code.
    pub gives_code: bool,
    /// Whether it reaches outside or executes something, other than by telling a model of it.
    pub has_effects: bool,
    /// What the words of its name that the goal does not have count against it.
    pub strange: f64,
    said: Said,
    docs: EcoString,
}

impl Offer {
    fn new(name: &EcoString, docs: &str, params: Vec<(EcoString, Type)>, (places, result): (&Places, &Type)) -> Offer {
        let param = |(name, ty): (EcoString, Type)| {
            let place = if is_textual(&ty) { taken(places, &name) } else { None };
            Param { words: words(&name), place, made: false, name, ty }
        };
        let params: Vec<Param> = params.into_iter().map(param).collect();
        let mut parts = words(&result.to_string());
        parts.extend(params.iter().flat_map(|param| param.words.iter().cloned()));
        let said = Said { name: words(name), docs: words(docs), parts };
        let makes = if matches!(result, Type::Record(n, _) if n.is_empty()) { Makes::Parts } else { Makes::Value };
        let mut yields = if makes == Makes::Value { vec![(None, result.clone())] } else { Vec::new() };
        if let Type::Record(_, fields) = result {
            yields.extend(fields.iter().map(|(n, t)| (Some(n.clone()), t.clone())));
        }
        let (cover, strange, docs) = (Vec::new(), 0.0, docs.into());
        let (gives_code, has_effects) = (false, false);
        let result = result.clone();
        Offer { name: name.clone(), params, makes, yields, result, cover, strange, gives_code, has_effects, said, docs }
    }

    /// What makes a record, or a tuple, of its fields. Putting values side by side does nothing that a goal could ask for.
    pub fn putting_together(ty: &Type) -> Option<Offer> {
        let Type::Record(name, fields) = ty else { return None };
        let offer = Offer::new(name, "", fields.clone(), (&Places::new(), ty));
        Some(Offer { makes: Makes::Value, yields: vec![(None, ty.clone())], said: Said::default(), ..offer })
    }

    /// Whether it makes a record or a tuple of its fields.
    pub fn puts_together(&self, ty: &Type) -> bool {
        matches!(ty, Type::Record(name, _) if *name == self.name && self.result == *ty && self.makes == Makes::Value)
    }

    fn task(task: &Task) -> Offer {
        let own = task.module.is_empty() || task.module.starts_with(STANDARD);
        let end =
            task.docs.match_indices(char::is_whitespace).nth(SAID_OF_OTHERS).map_or(task.docs.len(), |(at, _)| at);
        let docs = if own { &*task.docs } else { &task.docs[..end] };
        let mut offer = Offer::new(&task.name, docs, task.params.clone(), (&task.places, &task.result));
        if !own {
            // Whoever describes a tool of theirs with all that anybody could ask for is outdone by what is called so.
            let said = std::mem::take(&mut offer.said.docs);
            offer.said.parts.extend(said);
        }
        let has_effects = task.prompt.is_empty() && offer.params.iter().any(|param| param.place.is_some());
        Offer { gives_code: task.gives_code, has_effects, ..offer }
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

/// Whether texts can be in a value, so that one of them may be a place.
pub(super) fn is_textual(ty: &Type) -> bool {
    match ty {
        Type::Text | Type::Json => true,
        Type::List(of) | Type::Optional(of) => is_textual(of),
        _ => false,
    }
}

/// What may be called in a fill of a hole; where that is a tuple, what puts it together as well.
pub(super) fn offers_for(hole: &Hole, job: &Job, program: &Program, library: &Library) -> Vec<Offer> {
    let mut all = offers(job, program, library);
    all.extend(Offer::putting_together(&hole.ty).filter(|tuple| tuple.name.is_empty()));
    all
}

/// What may be called in a fill of any hole of a job: the tasks of the standard library, of the modules that the file uses and of the file itself (what
/// others' descriptions say of their tools has no part in a file that does not ask for them); records that the file declares, made of their fields; its jobs
/// without holes, where that makes no circle.
pub(super) fn offers(job: &Job, program: &Program, library: &Library) -> Vec<Offer> {
    let asked_for = |task: &&Task| {
        let module = &task.module;
        module.is_empty() || module.starts_with(STANDARD) || program.used.contains(module)
    };
    let mut all: Vec<Offer> = library.for_holes().filter(asked_for).map(Offer::task).collect();
    let nothing = Places::new();
    for (ty, span) in library.types.values() {
        if span.file == job.span.file {
            all.extend(Offer::putting_together(ty));
        }
    }
    let whole = |other: &&Job| other.holes.is_empty() && other.name != job.name && !reaches(other, &job.name, program);
    for other in program.jobs.iter().filter(whole) {
        let params = other.params.iter().map(|p| other.local(*p)).map(|l| (l.name.clone(), l.ty.clone())).collect();
        let goal = other.goal.as_ref().map(|(goal, _)| goal.as_str()).unwrap_or_default();
        all.push(Offer::new(&other.name, &format!("{} {goal}", other.docs), params, (&nothing, &other.result)));
    }
    let makers: Vec<(EcoString, BTreeSet<String>, Type)> =
        all.iter().map(|o| (o.name.clone(), o.said.name.clone(), o.result.clone())).collect();
    for offer in &mut all {
        for param in &mut offer.params {
            let plain = unwrapped(&param.ty);
            let item = if let Type::List(of) = plain { of.as_ref() } else { plain };
            param.made = makers.iter().any(|(name, words, result)| {
                *name != offer.name && (result == plain || result == item) && !words.is_disjoint(&param.words)
            });
        }
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
