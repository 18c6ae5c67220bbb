//! A form → a term, within what a fill may call, take and say.

use super::{Agent, Call, Does, Form, Knob, Map, Step, Using, Value};
use crate::check::agents::AGENT;
use crate::expand::offer::Offer;
use crate::expand::reach::Known;
use crate::expand::term::{Term, item};
use crate::expand::write::quoted;
use crate::legible::hidden;
use crate::library::Library;
use crate::library::place::{self, Place};
use crate::syntax::token;
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The most steps, those in maps included.
const MAX_STEPS: usize = 24;
/// How many maps may stand in each other.
const MAX_MAPS: usize = 2;
/// The most calls when every name is replaced by what it stands for.
const MAX_SIZE: u64 = 400;
/// The longest text, in bytes, and the most texts in a list.
const MAX_TEXT: usize = 2_000;
const MAX_TEXTS: usize = 32;
/// The most steps of an agent, and bytes of a knob's value.
const MAX_AGENT_STEPS: u32 = 16;
const MAX_KNOB: usize = 64;

/// What a fill may be made of.
pub(in crate::expand) struct Allowed<'a> {
    /// What may be called.
    pub offers: &'a [Offer],
    /// What is in scope.
    pub scope: &'a [EcoString],
    /// The library: an agent's tools are tasks of it.
    pub library: &'a Library,
    /// The goal: what it says outright may be repeated anywhere.
    pub goal: &'a str,
}

/// A fill that is within what is allowed, and what its steps are called.
pub(in crate::expand) struct Read {
    pub term: Term,
    pub names: Vec<(Rc<Term>, EcoString)>,
}

/// Turns a form into a term, within what is allowed.
pub(in crate::expand) fn term(form: &Form, allowed: &Allowed) -> Result<Read, String> {
    let names = allowed.scope.iter().map(|n| (n.to_string(), (Rc::new(Term::Var(n.clone())), 1)));
    let says = allowed.scope.iter().map(|n| (n.clone(), place::named(n))).collect();
    let mut reader = Reader { allowed, names: names.collect(), says, said: Vec::new(), steps: 0 };
    let (term, _) = reader.block(&form.steps, &form.result, 0)?;
    if term.calls().is_empty() {
        return Err("the fill calls nothing: it computes no value".to_string());
    }
    Ok(Read { term: (*term).clone(), names: reader.said })
}

struct Reader<'a> {
    allowed: &'a Allowed<'a>,
    /// What each name stands for, and how large that is.
    names: BTreeMap<String, (Rc<Term>, u64)>,
    /// What names in scope and items of maps say that they are.
    says: BTreeMap<EcoString, Option<Place>>,
    /// What steps are called.
    said: Vec<(Rc<Term>, EcoString)>,
    steps: usize,
}

type Sized = (Rc<Term>, u64);

impl Reader<'_> {
    fn block(&mut self, steps: &[Step], result: &Value, maps: usize) -> Result<Sized, String> {
        for step in steps {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(format!("the fill has more than {MAX_STEPS} steps"));
            }
            if self.names.contains_key(&step.name) {
                return Err(format!(
                    "`{}` is the name of two values: give each step a name of its own",
                    head(&step.name)
                ));
            }
            let made = match &step.does {
                Does::Call(call) => self.call(call)?,
                Does::Map(map) => self.map(map, maps)?,
                Does::Agent(agent) => self.agent(agent, maps)?,
            };
            if token::is_name(&step.name) && step.name.len() <= 40 {
                self.said.push((made.0.clone(), step.name.as_str().into()));
            }
            if made.1 > MAX_SIZE {
                return Err(format!("the fill makes more than {MAX_SIZE} calls"));
            }
            self.names.insert(step.name.clone(), made);
        }
        self.value(result)
    }

    fn call(&mut self, call: &Call) -> Result<Sized, String> {
        let task = head(&call.task);
        let Some(offer) = self.allowed.offers.iter().find(|o| o.name == call.task) else {
            return Err(format!("there is no task `{task}` in the list of tasks; only those may be called"));
        };
        let mut given: BTreeMap<&str, Rc<Term>> = BTreeMap::new();
        let mut size = 1u64;
        for arg in &call.args {
            let param = head(&arg.param);
            let Some(declared) = offer.params.iter().find(|p| p.name == arg.param) else {
                return Err(format!("`{task}` has no parameter `{param}`"));
            };
            let (value, of) = self.value(&arg.value)?;
            if let Some(place) = declared.place {
                self.may_reach(place, &arg.param, &value)?;
            }
            size = size.saturating_add(of);
            if given.insert(&arg.param, value).is_some() {
                return Err(format!("`{task}` is given `{param}` twice"));
            }
        }
        // In the order of the parameters, as all calls are written.
        let args = offer.params.iter().filter_map(|p| Some((p.name.clone(), given.get(p.name.as_str())?.clone())));
        let pin = call.using.as_ref().map(using).transpose()?.unwrap_or_default();
        Ok((Rc::new(Term::Call(offer.name.clone(), args.collect(), pin)), size))
    }

    /// An agent, with tasks of the list and in bounds.
    fn agent(&self, agent: &Agent, maps: usize) -> Result<Sized, String> {
        self.may_say(&agent.goal)?;
        if agent.steps == 0 || agent.steps > MAX_AGENT_STEPS {
            return Err(format!("an agent takes from 1 to {MAX_AGENT_STEPS} steps"));
        }
        let tasks = &self.allowed.library.tasks;
        let known =
            |tool: &String| self.allowed.offers.iter().any(|o| o.name == *tool) && tasks.contains_key(tool.as_str());
        if let Some(unknown) = agent.tools.iter().find(|tool| !known(tool)) {
            return Err(format!("there is no task `{}` in the list of tasks; only those may be tools", head(unknown)));
        }
        let constant = |text: String| Rc::new(Term::Value(text.into()));
        let mut args = vec![
            ("goal".into(), Rc::new(Term::Text(agent.goal.as_str().into()))),
            ("tools".into(), constant(format!("[{}]", agent.tools.join(", ")))),
            ("steps".into(), constant(agent.steps.to_string())),
        ];
        if let Some(usd) = agent.usd {
            let usd = Decimal::from_f64(usd).filter(|usd| usd.is_sign_positive() && !usd.is_zero());
            let usd = usd.ok_or_else(|| "an agent's `usd` is more than 0".to_string())?;
            args.push(("cost".into(), constant(format!("{} usd", usd.normalize()))));
        }
        // It is shown what it works on: else it would be the same agent for every item, and stand before the map.
        if maps > 0 {
            args.push(("given".into(), Rc::new(Term::One(Rc::new(Term::Var(item(maps - 1)))))));
        }
        Ok((Rc::new(Term::Call(AGENT.into(), args, EcoString::new())), u64::from(agent.steps)))
    }

    fn map(&mut self, map: &Map, maps: usize) -> Result<Sized, String> {
        if maps >= MAX_MAPS {
            return Err(format!("more than {MAX_MAPS} maps stand in each other"));
        }
        let (over, size) = self.value(&map.over)?;
        if self.names.contains_key(&map.item) {
            return Err(format!("`{}` is the name of two values: give the item a name of its own", head(&map.item)));
        }
        let outside = self.names.clone();
        let name = item(maps);
        self.names.insert(map.item.clone(), (Rc::new(Term::Var(name.clone())), 1));
        // An item is what its list is said to be.
        let says = match &*over {
            Term::Var(list) => self.says.get(list).copied().flatten(),
            Term::Field(_, field) => place::named(field),
            _ => None,
        };
        self.says.insert(name.clone(), says);
        let (body, inner) = self.block(&map.steps, &map.result, maps + 1)?;
        self.names = outside;
        Ok((Rc::new(Term::Map(over, name, body)), size.saturating_add(inner).saturating_add(1)))
    }

    fn value(&self, value: &Value) -> Result<Sized, String> {
        let named = |name: &str| {
            let known = self.names.get(name).cloned();
            known.ok_or_else(|| {
                format!("nothing is called `{}`: only what is in scope and earlier steps can be taken", head(name))
            })
        };
        let constant = |term: Term| Ok((Rc::new(term), 1));
        match value {
            Value::Ref(name) => named(name),
            Value::Part(part) => {
                let (of, size) = named(&part.of)?;
                if !is_name(&part.field) {
                    return Err(format!("`{}` is no field", head(&part.field)));
                }
                Ok((Rc::new(Term::Field(of, part.field.as_str().into())), size))
            }
            Value::Text(text) => {
                self.may_say(text)?;
                constant(Term::Text(text.as_str().into()))
            }
            Value::Texts(texts) if texts.len() > MAX_TEXTS => Err(format!("a list has more than {MAX_TEXTS} texts")),
            Value::Texts(texts) => {
                texts.iter().try_for_each(|t| self.may_say(t))?;
                constant(Term::Texts(texts.iter().map(|t| eco_format!("{t}")).collect()))
            }
            Value::Choice(name) if is_name(name) => constant(Term::Value(name.as_str().into())),
            Value::Choice(name) => Err(format!("`{}` is no value of an enum", head(name))),
        }
    }

    /// A text of the model's own: no address and no file unless the goal names it.
    fn may_say(&self, text: &str) -> Result<(), String> {
        if text.len() > MAX_TEXT {
            return Err(format!("a text has more than {MAX_TEXT} bytes"));
        }
        // Joiners are letters' affair in some scripts.
        let shown = |c: char| !hidden(c) || matches!(c, '\n' | '\t' | '\u{200c}' | '\u{200d}');
        if !text.chars().all(shown) {
            return Err(
                "a text holds characters that nobody sees: controls, or marks that turn the direction".to_string()
            );
        }
        let goal = self.allowed.goal;
        if let Some(unsaid) = place::within(text).find(|place| !place::says_whole(goal, place)) {
            return Err(format!("the text `{}` names an address or a file, which the goal does not", head(unsaid)));
        }
        Ok(())
    }

    /// What reaches outside, or is executed, comes from the job's inputs and from steps that make such values; an address also from the
    /// goal, as a whole.
    fn may_reach(&self, place: Place, param: &str, term: &Term) -> Result<(), String> {
        let says = |name: &str| self.says.get(name).copied().flatten();
        let known = Known { offers: self.allowed.offers, says: &says };
        match term {
            Term::Text(text) if place == Place::Reached && place::says_whole(self.allowed.goal, text) => Ok(()),
            term if known.may_give(place, term) => Ok(()),
            _ => Err(format!(
                "`{param}` takes {}, and this is none by its name: give it an input that is called so, or a step's result that is one",
                if place == Place::Executed { "what is executed" } else { "an address or a file" }
            )),
        }
    }
}

/// `using openai_chat(variant: "gpt-5")`; whether there is such a model, with such a knob, is checked with the fill.
fn using(using: &Using) -> Result<EcoString, String> {
    if !is_name(&using.name) {
        return Err(format!("`{}` is no name of a model or tool", head(&using.name)));
    }
    let mut knobs = Vec::new();
    for Knob { knob, value } in &using.knobs {
        if !is_name(knob) || value.len() > MAX_KNOB || value.chars().any(char::is_control) {
            return Err(format!("`{}: {}` sets no knob", head(knob), head(value)));
        }
        let plain = token::is_name(value) || value.parse::<u32>().is_ok();
        knobs.push(format!("{knob}: {}", if plain { value.clone() } else { quoted(value) }));
    }
    let knobs = if knobs.is_empty() { String::new() } else { format!("({})", knobs.join(", ")) };
    Ok(eco_format!("using {}{knobs}", using.name))
}

fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The beginning of what a model wrote, as it may stand in a message.
fn head(text: &str) -> String {
    text.chars().filter(|c| !hidden(*c)).take(80).collect()
}
