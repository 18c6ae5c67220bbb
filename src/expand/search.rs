//! Hole → fills by typed search: every composition of what can be called, to a bounded depth, that gives the hole's type from what
//! is in scope; ranked by how much of the goal their words cover. No model and no network; the same hole gives the same fills.

use super::chart::{ASKING, Cand, Ground, Named, Scope, composed, is_meant};
use super::meaning::Near;
use super::offer::offers_for;
use super::parts::Parts;
use super::reach::{is_place, misreads};
use super::term::Term;
use super::write::write;
use crate::check::program::{Hole, Job, Local, Program};
use crate::library::Library;
use crate::library::place;
use crate::types::Type;
use ecow::EcoString;
use std::rc::Rc;

/// How many fills are returned.
pub const MAX_FILLS: usize = 5;
/// What it counts against a fill that it leaves out an input that nothing else uses, and one that something else does.
const UNUSED: f64 = 0.6;
const LEFT_OUT: f64 = 0.03;
/// A fill that less than this share of the goal's words speak for is warned of: the largest share below which no right first choice is, in the
/// half of the corpus that is tuned on (`mkbc bench expand --doubts`).
pub const DOUBTFUL: f64 = 0.2;
/// How many names in scope are told apart; further ones count as one.
const MAX_NAMES: usize = 55;

/// A fill.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// In the language.
    pub text: String,
    /// Why it ranks where it ranks.
    pub because: String,
    /// How well its words fit the goal, less what it does that nobody asked for; comparable between fills of one hole.
    pub score: f64,
    /// Calls of calls of what is in scope; `map(list, body)`; constants left out.
    pub shape: String,
    /// The share of the goal's words that speak for it, 0 to 1; 1 where nothing is asked in words, or where a model read the goal.
    pub told: f64,
}

impl Found {
    /// Whether so little of the goal speaks for it that it may be about something else.
    pub fn is_doubtful(&self) -> bool {
        self.told < DOUBTFUL
    }
}

/// Whether something in a term is asked the goal, or the question in scope.
fn asks(term: &Term) -> bool {
    let is_question = |arg: &Term| match arg {
        Term::Text(_) => true,
        Term::Var(name) => ASKING.contains(&name.as_str()),
        _ => false,
    };
    match term {
        Term::Call(_, args, _) => {
            args.iter().any(|(param, arg)| ASKING.contains(&param.as_str()) && is_question(arg) || asks(arg))
        }
        Term::Field(inner, _) | Term::One(inner) => asks(inner),
        Term::Several(parts) => parts.iter().any(|part| asks(part)),
        Term::Or(value, other) => asks(value) || asks(other),
        Term::Map(list, _, body) => asks(list) || asks(body),
        Term::Var(_) | Term::Text(_) | Term::Texts(_) | Term::Value(_) => false,
    }
}

/// What is known of a fill beside its score.
#[derive(Clone, Copy, Default, PartialEq)]
struct Reading {
    /// Whether it reads an address as a text.
    misread: bool,
    /// Whether it reaches outside or executes something.
    has_effects: bool,
    /// How many inputs that nothing else uses it leaves out.
    forgotten: usize,
}

/// The fills of a hole, the best first.
pub fn search(hole: &Hole, job: &Job, program: &Program, library: &Library) -> Vec<Found> {
    search_near(hole, job, program, library, None)
}

/// The same, ranked by meaning as well where it is known what is near to the goal.
pub fn search_near(hole: &Hole, job: &Job, program: &Program, library: &Library, near: Option<&Near>) -> Vec<Found> {
    let locals: Vec<_> = hole.scope.iter().map(|id| job.local(*id)).collect();
    let named =
        |(i, l): (usize, &&Local)| Named::new(l.name.clone(), l.ty.clone(), 1 << i.min(MAX_NAMES), l.name.clone());
    let scope: Scope = locals.iter().enumerate().map(named).collect();
    let whole = job.goal.as_ref().map(|(goal, _)| goal.as_str()).unwrap_or_default();
    let (goal, around) = if hole.goal.is_empty() { (whole, hole.name.as_str()) } else { (hole.goal.as_str(), whole) };
    let around = if around == "result" || around == goal { "" } else { around };
    let offers = offers_for(hole, job, program, library);
    let parts = Parts::of(&hole.ty, &offers, goal, near);
    let mut ground = Ground::new(&hole.ty, offers, (goal, around), near);
    let mut kept = composed(&mut ground, &scope);
    let parts = parts.map(|parts| parts.composed(&ground, &scope)).unwrap_or_default();
    if !parts.is_empty() {
        // Made as a whole, its parts are beside the point.
        let whole =
            |cand: &Rc<Cand>| !cand.last.is_some_and(|last| ground.offers[usize::from(last)].puts_together(&hole.ty));
        kept.iter_mut().for_each(|(_, cands)| cands.retain(whole));
        kept.push((hole.ty.clone(), parts));
    }
    let says = |name: &str| place::named(name);
    let computes = |term: &Term| match term {
        // A name in scope is no computation, and an address is no answer.
        Term::Var(_) | Term::Or(..) => false,
        Term::Field(..) => !(term.calls().is_empty() || hole.ty == Type::Text && is_place(term, &says)),
        _ => true,
    };
    let mut found: Vec<(Reading, Found)> = Vec::new();
    let scoped: Vec<(EcoString, Type)> = scope.iter().map(|n| (n.name.clone(), n.ty.clone())).collect();
    for cand in kept.iter().filter(|(ty, _)| is_meant(ty, &hole.ty)).flat_map(|(_, cands)| cands) {
        if !computes(&cand.term) {
            continue;
        }
        let mut score = cand.score;
        let mut forgotten: Vec<String> = Vec::new();
        for (named, local) in scope.iter().zip(&locals) {
            if cand.uses & named.bit == 0 {
                score -= if local.used { LEFT_OUT } else { UNUSED };
                // What nothing else uses was given for this, or for another hole.
                if !local.used && job.holes.len() == 1 {
                    forgotten.push(format!("`{}`", named.name));
                }
            }
        }
        let has_effects = ground.offers.iter().enumerate().any(|(at, o)| o.has_effects && cand.calls.has(at as u16));
        let misread = misreads(&cand.term, &ground.offers, &says);
        let reading = Reading { misread, has_effects, forgotten: forgotten.len() };
        let used: Vec<&str> = cand.term.used().into_iter().collect();
        // What speaks for a fill is what it does, not what it is given.
        let cover = cand.calls.cover(&ground.offers);
        let (words, told) = (ground.wanted.matched(&cover), ground.wanted.told(&cover, asks(&cand.term)));
        let words = if words.is_empty() { String::new() } else { format!("; the goal's words {}", words.join(", ")) };
        let doubts = match (&*forgotten, misread) {
            ([], false) => String::new(),
            ([], true) => "; it reads an address as a text".to_string(),
            (forgotten, _) => format!("; it does not take {}", forgotten.join(", ")),
        };
        let because =
            format!("score {score:.2}: {} from {}{words}{doubts}", cand.term.calls().join(", "), used.join(", "));
        let told = if doubts.is_empty() { told } else { 0.0 };
        let text = write(&cand.term, library, &scoped);
        found.push((reading, Found { text, because, score, shape: cand.term.shape(), told }));
    }
    // What reaches outside or executes something is the last resort: words alone, whoever put them into a goal, do not bring it in. What takes
    // more of the inputs than all that does without is none: an address is given to be reached.
    let quiet = found.iter().map(|(reading, _)| reading).filter(|reading| !reading.misread && !reading.has_effects);
    let fewest = quiet.map(|reading| reading.forgotten).min();
    let last_resort = |reading: &Reading| reading.has_effects && fewest.is_some_and(|few| few <= reading.forgotten);
    let behind = |reading: &Reading| (reading.misread, last_resort(reading));
    found.sort_by(|(ar, a), (br, b)| {
        let by_reading = behind(ar).cmp(&behind(br));
        by_reading.then(b.score.total_cmp(&a.score)).then_with(|| a.text.cmp(&b.text))
    });
    let mut found: Vec<Found> = found.into_iter().map(|(_, found)| found).collect();
    found.dedup_by(|a, b| a.text == b.text);
    found.truncate(MAX_FILLS);
    found
}
