//! Hole → fills by typed search: every composition of what can be called, to a bounded depth, that gives the hole's type from what
//! is in scope; ranked by how much of the goal their words cover. No model and no network; the same hole gives the same fills.

use super::chart::{ASKING, Ground, MAX_OFFERS, Named, Scope, chart};
use super::meaning::Near;
use super::offer::{Offer, needed, offers, weigh};
use super::reach::{is_place, misreads};
use super::term::Term;
use super::write::write;
use crate::check::program::{Hole, Job, Local, Program};
use crate::library::Library;
use crate::library::place;
use crate::types::Type;
use ecow::EcoString;

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
    let mut offers = offers(job, program, library);
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
    let needed = needed(&hole.ty, &offers);
    offers.iter_mut().for_each(|offer| offer.yields.retain(|(_, ty)| needed.contains(ty)));
    let mut ground = Ground { offers, wanted, goal: &EcoString::from(goal), needed };
    let mut kept: Vec<_> = chart(&ground, &scope).into_iter().collect();
    // What does without effects must not be crowded out by what has some.
    let can_act = |offer: &Offer| offer.has_effects && !offer.yields.is_empty();
    if ground.offers.iter().any(can_act) {
        ground.offers.iter_mut().filter(|offer| can_act(offer)).for_each(|offer| offer.yields.clear());
        kept.extend(chart(&ground, &scope));
    }
    let says = |name: &str| place::named(name);
    let computes = |term: &Term| match term {
        // A name in scope is no computation, and an address is no answer.
        Term::Var(_) => false,
        Term::Field(..) => !(term.calls().is_empty() || hole.ty == Type::Text && is_place(term, &says)),
        _ => true,
    };
    let mut found: Vec<(Reading, Found)> = Vec::new();
    let scoped: Vec<(EcoString, Type)> = scope.iter().map(|n| (n.name.clone(), n.ty.clone())).collect();
    for cand in kept.iter().filter(|(ty, _)| ty.fits(&hole.ty)).flat_map(|(_, cands)| cands) {
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
        let reading = Reading { misread, has_effects };
        let used: Vec<&str> = cand.term.used().into_iter().collect();
        let (words, told) = (ground.wanted.matched(&cand.cover), ground.wanted.told(&cand.cover, asks(&cand.term)));
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
    // What reaches outside or executes something is the last resort: words alone, whoever put them into a goal, do not bring it in.
    let without = found.iter().any(|(reading, _)| *reading == Reading::default());
    let behind = |reading: &Reading| (reading.misread, reading.has_effects && without);
    found.sort_by(|(ar, a), (br, b)| {
        let by_reading = behind(ar).cmp(&behind(br));
        by_reading.then(b.score.total_cmp(&a.score)).then_with(|| a.text.cmp(&b.text))
    });
    let mut found: Vec<Found> = found.into_iter().map(|(_, found)| found).collect();
    found.dedup_by(|a, b| a.text == b.text);
    found.truncate(MAX_FILLS);
    found
}
