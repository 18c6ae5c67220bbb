//! Term → the text of a fill: one `let` a step, equal calls once, outside of maps what does not change within.

use super::term::Term;
use crate::check::agents::AGENT;
use crate::check::scope::NOBODY;
use crate::library::Library;
use crate::syntax::token::has_word;
use crate::types::Type;
use ecow::{EcoString, eco_format};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

/// Writes a term as statements and a value.
pub(super) fn write(term: &Term, library: &Library, scope: &[(EcoString, Type)]) -> String {
    write_named(term, library, scope, &[])
}

/// The same with names for some of its steps.
pub(super) fn write_named(
    term: &Term,
    library: &Library,
    scope: &[(EcoString, Type)],
    names: &[(Rc<Term>, EcoString)],
) -> String {
    let mut writer = Writer {
        library,
        names,
        taken: scope.iter().map(|(n, _)| n.clone()).collect(),
        items: BTreeMap::new(),
        done: Vec::new(),
        out: String::new(),
        indent: 0,
    };
    let value = writer.last(term);
    writer.line(&value);
    parts_in_use(&writer.out)
}

/// A fill that names of the parts of a value only those that it uses.
fn parts_in_use(fill: &str) -> String {
    let mut out = String::with_capacity(fill.len());
    for line in fill.split_inclusive('\n') {
        let parts = line.trim_start().strip_prefix("let (").and_then(|rest| rest.split_once(") = "));
        let Some((names, _)) = parts else {
            out.push_str(line);
            continue;
        };
        let used =
            |name: &&str| fill.lines().any(|other| other != line.trim_end_matches('\n') && has_word(other, name));
        let kept: Vec<&str> = names.split(", ").map(|name| if used(&name) { name } else { NOBODY }).collect();
        out.push_str(&line.replacen(names, &kept.join(", "), 1));
    }
    out
}

struct Writer<'a> {
    library: &'a Library,
    /// What steps are to be called.
    names: &'a [(Rc<Term>, EcoString)],
    taken: Vec<EcoString>,
    /// What the items of maps are called.
    items: BTreeMap<EcoString, EcoString>,
    /// Terms that have a name already.
    done: Vec<(Term, EcoString)>,
    out: String,
    indent: usize,
}

impl Writer<'_> {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{:indent$}{text}", "", indent = self.indent * 2);
    }

    fn fresh(&mut self, wanted: &str) -> EcoString {
        let mut name: EcoString = wanted.into();
        let mut n = 2;
        while self.taken.contains(&name) || self.library.tasks.contains_key(&name) {
            name = eco_format!("{wanted}_{n}");
            n += 1;
        }
        self.taken.push(name.clone());
        name
    }

    fn known(&self, term: &Term) -> Option<EcoString> {
        self.done.iter().find(|(t, _)| t == term).map(|(_, name)| name.clone())
    }

    /// A value that stands where a block ends.
    fn last(&mut self, term: &Term) -> String {
        match term {
            _ if self.known(term).is_some() => self.known(term).unwrap_or_default().to_string(),
            Term::Call(callee, args, pin) => self.call(callee, args, pin),
            Term::Map(list, item, body) => self.map(list, item, body),
            other => self.value(other, "value"),
        }
    }

    /// A name or constant for a term; what must be computed gets a `let` first.
    fn value(&mut self, term: &Term, wanted: &str) -> String {
        if let Some(name) = self.known(term) {
            return name.to_string();
        }
        let text = match term {
            Term::Var(name) => return self.items.get(name).unwrap_or(name).to_string(),
            Term::Text(text) => return quoted(text),
            Term::Texts(texts) => {
                return format!("[{}]", texts.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", "));
            }
            Term::Value(text) => return text.to_string(),
            Term::One(inner) => return format!("[{}]", self.value(inner, &singular(wanted))),
            Term::Several(parts) => {
                let parts: Vec<String> = parts.iter().map(|part| self.value(part, &singular(wanted))).collect();
                return format!("[{}]", parts.join(", "));
            }
            Term::Or(value, other) => return format!("{} or {}", self.value(value, wanted), self.value(other, wanted)),
            Term::Field(inner, field) => {
                return match &**inner {
                    Term::Call(callee, args, pin) if self.has_parts(callee) => {
                        let text = self.call(callee, args, pin);
                        self.parts(callee, text, inner, field)
                    }
                    Term::Call(callee, ..) => {
                        let wanted = callee.rsplit('_').next().unwrap_or(callee).to_string();
                        format!("{}.{field}", self.value(inner, &wanted))
                    }
                    _ => format!("{}.{field}", self.value(inner, wanted)),
                };
            }
            Term::Call(callee, args, pin) => self.call(callee, args, pin),
            Term::Map(list, item, body) => self.map(list, item, body),
        };
        let given = self.names.iter().find(|(named, _)| **named == *term).map(|(_, name)| name.clone());
        let name = self.fresh(given.as_deref().unwrap_or(wanted));
        self.line(&format!("let {name} = {text}"));
        self.done.push((term.clone(), name.clone()));
        name.to_string()
    }

    fn has_parts(&self, callee: &EcoString) -> bool {
        let result = self.library.tasks.get(callee).map(|t| &t.result);
        matches!(result, Some(Type::Record(name, _)) if name.is_empty())
    }

    /// A task with several results is called once, and all its parts get names; what nobody takes is marked so.
    fn parts(&mut self, callee: &EcoString, text: String, call: &Rc<Term>, field: &EcoString) -> String {
        let fields: Vec<EcoString> = match self.library.tasks.get(callee).map(|t| &t.result) {
            Some(Type::Record(_, fields)) => fields.iter().map(|(n, _)| n.clone()).collect(),
            _ => vec![field.clone()],
        };
        let names: Vec<EcoString> = fields.iter().map(|f| self.fresh(f)).collect();
        self.line(&format!("let ({}) = {text}", names.join(", ")));
        for (part, name) in fields.iter().zip(&names) {
            self.done.push((Term::Field(call.clone(), part.clone()), name.clone()));
        }
        let place = fields.iter().position(|f| f == field).unwrap_or(0);
        names[place].to_string()
    }

    fn call(&mut self, callee: &EcoString, args: &[(EcoString, Rc<Term>)], pin: &EcoString) -> String {
        let params: Vec<EcoString> = match (self.library.tasks.get(callee), self.library.types.get(callee)) {
            (Some(task), _) => task.params.iter().map(|(n, _)| n.clone()).collect(),
            (None, Some((Type::Record(..), _))) => Vec::new(),
            // The parts of a tuple have names alone.
            (None, None) if callee.is_empty() => Vec::new(),
            (None, _) if callee == AGENT => vec!["goal".into()],
            // Jobs take their arguments in order.
            (None, _) => args.iter().map(|(n, _)| n.clone()).collect(),
        };
        let mut written = Vec::with_capacity(args.len());
        for (i, (param, arg)) in args.iter().enumerate() {
            let value = self.value(arg, param);
            let in_order = params.get(i).is_some_and(|n| n == param);
            written.push(if in_order { value } else { format!("{param}: {value}") });
        }
        let space = if pin.is_empty() { "" } else { " " };
        format!("{callee}({}){space}{pin}", written.join(", "))
    }

    fn map(&mut self, list: &Rc<Term>, item: &EcoString, body: &Rc<Term>) -> String {
        let wanted = match &**list {
            Term::Call(callee, ..) => self.plural(callee),
            _ => "items".to_string(),
        };
        let over = self.value(list, &wanted);
        self.hoist(body, item);
        let (taken, done, items) = (self.taken.clone(), self.done.clone(), self.items.clone());
        let outside = std::mem::take(&mut self.out);
        let singular = singular(&over);
        let name = self.fresh(&singular);
        self.items.insert(item.clone(), name.clone());
        self.indent += 1;
        let value = self.last(body);
        self.line(&value);
        self.indent -= 1;
        let inside = std::mem::replace(&mut self.out, outside);
        (self.taken, self.done, self.items) = (taken, done, items);
        format!("for {name} in {over} {{\n{inside}{:indent$}}}", "", indent = self.indent * 2)
    }

    /// Names what stands in a map and does not change with its item.
    fn hoist(&mut self, term: &Rc<Term>, item: &EcoString) {
        let used = term.used();
        if !used.contains(item.as_str()) && matches!(**term, Term::Call(..) | Term::Map(..)) {
            let wanted = match &**term {
                Term::Call(callee, ..) => callee.rsplit('_').next().unwrap_or(callee).to_string(),
                _ => "values".to_string(),
            };
            self.value(term, &wanted);
            return;
        }
        match &**term {
            Term::Call(_, args, _) => args.iter().for_each(|(_, a)| self.hoist(a, item)),
            Term::One(inner) => self.hoist(inner, item),
            Term::Several(parts) => parts.iter().for_each(|part| self.hoist(part, item)),
            // The parts of a call get their names together.
            Term::Field(inner, _) if used.contains(item.as_str()) => self.hoist(inner, item),
            Term::Field(inner, _) if matches!(**inner, Term::Call(..)) => {
                self.value(term, "value");
            }
            _ => {}
        }
    }

    /// What a list that a task gives is called.
    fn plural(&self, callee: &EcoString) -> String {
        match self.library.tasks.get(callee).map(|t| &t.result) {
            Some(Type::List(of)) => match &**of {
                Type::Record(name, _) if !name.is_empty() => format!("{}s", name.to_lowercase()),
                Type::Text if callee.contains("text") => "pages".to_string(),
                Type::Text => "texts".to_string(),
                other => format!("{}s", other.to_string().to_lowercase()),
            },
            _ => "items".to_string(),
        }
    }
}

fn singular(list: &str) -> String {
    // Of `videos or []`, the first says what it is a list of.
    let list = list.split(' ').next().unwrap_or(list);
    let last = list.rsplit('.').next().unwrap_or(list);
    let hisses = |stem: &&str| ["ch", "sh", "ss", "x"].iter().any(|end| stem.ends_with(end));
    match (last.strip_suffix("ies"), last.strip_suffix("es").filter(hisses)) {
        (Some(stem), _) if stem.len() > 1 => format!("{stem}y"),
        (_, Some(stem)) => stem.to_string(),
        _ => last.strip_suffix('s').filter(|n| n.len() > 1).unwrap_or("item").to_string(),
    }
}

/// A text as the language writes it.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{escaped}\"")
}
