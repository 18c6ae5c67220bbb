//! A composition of library tasks, before it is text: what it takes, what it runs, what shape it has.

use ecow::{EcoString, eco_format};
use std::collections::BTreeSet;
use std::rc::Rc;

/// A value that can be computed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    /// Something in scope; `$1` is the item of a map, whatever it will be called.
    Var(EcoString),
    /// A text.
    Text(EcoString),
    /// Several texts.
    Texts(Vec<EcoString>),
    /// A value of an enum.
    Value(EcoString),
    /// A call: what is called, the arguments that are given, in the order of the parameters, and what it is asked to be carried out by
    /// (`using openai_chat(variant: "gpt-5")`); empty where nothing is asked.
    Call(EcoString, Vec<(EcoString, Rc<Term>)>, EcoString),
    /// A field of a value.
    Field(Rc<Term>, EcoString),
    /// A list of one value.
    One(Rc<Term>),
    /// A list of several values.
    Several(Vec<Rc<Term>>),
    /// What may be absent, and what stands in for it then.
    Or(Rc<Term>, Rc<Term>),
    /// A term for each item of a list: the list, the item's name, the body.
    Map(Rc<Term>, EcoString, Rc<Term>),
}

impl Term {
    /// The names that it takes from the scope.
    pub fn used(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.collect_used(&mut names);
        names
    }

    fn collect_used<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Term::Var(name) => {
                names.insert(name);
            }
            Term::Text(_) | Term::Texts(_) | Term::Value(_) => {}
            Term::Call(_, args, _) => args.iter().for_each(|(_, a)| a.collect_used(names)),
            Term::Field(inner, _) | Term::One(inner) => inner.collect_used(names),
            Term::Several(parts) => parts.iter().for_each(|part| part.collect_used(names)),
            Term::Or(value, other) => [value, other].into_iter().for_each(|part| part.collect_used(names)),
            Term::Map(list, item, body) => {
                names.extend(body.used().into_iter().filter(|n| *n != item.as_str()));
                list.collect_used(names);
            }
        }
    }

    /// What it calls, in the order in which that runs.
    pub fn calls(&self) -> Vec<EcoString> {
        let mut all = Vec::new();
        self.collect_calls(&mut all);
        all
    }

    fn collect_calls(&self, all: &mut Vec<EcoString>) {
        match self {
            Term::Var(_) | Term::Text(_) | Term::Texts(_) | Term::Value(_) => {}
            Term::Call(callee, args, _) => {
                args.iter().for_each(|(_, a)| a.collect_calls(all));
                // A tuple calls nothing.
                if !callee.is_empty() && !all.contains(callee) {
                    all.push(callee.clone());
                }
            }
            Term::Field(inner, _) | Term::One(inner) => inner.collect_calls(all),
            Term::Several(parts) => parts.iter().for_each(|part| part.collect_calls(all)),
            Term::Or(value, other) => [value, other].into_iter().for_each(|part| part.collect_calls(all)),
            Term::Map(list, _, body) => {
                list.collect_calls(all);
                body.collect_calls(all);
            }
        }
    }

    /// Its shape: calls of calls of what is in scope, `map(list, body)` with `it` for the item; constants are left out.
    pub fn shape(&self) -> String {
        match self {
            Term::Var(name) if name.starts_with('$') => "it".to_string(),
            Term::Var(name) => name.to_string(),
            Term::Text(_) | Term::Texts(_) | Term::Value(_) => String::new(),
            Term::Call(callee, args, _) => {
                let args: Vec<String> = args.iter().map(|(_, a)| a.shape()).filter(|a| !a.is_empty()).collect();
                format!("{callee}({})", args.join(", "))
            }
            Term::Field(inner, field) => format!("{}.{field}", inner.shape()),
            Term::One(inner) => format!("[{}]", inner.shape()),
            Term::Several(parts) => format!("[{}]", parts.iter().map(|p| p.shape()).collect::<Vec<_>>().join(", ")),
            Term::Or(value, other) => format!("({} or {})", value.shape(), other.shape()),
            Term::Map(list, _, body) => format!("map({}, {})", list.shape(), body.shape()),
        }
    }
}

/// The name that stands for the item of a map at a depth of maps.
pub(super) fn item(depth: usize) -> EcoString {
    eco_format!("${depth}")
}
