//! Term → the text of a fill: one `let` a step, equal calls once.

use super::search::Term;
use crate::library::Library;
use crate::types::Type;
use ecow::{EcoString, eco_format};
use std::fmt::Write;

/// Writes a term as statements and a value.
pub(super) fn write(term: &Term, library: &Library, scope: &[(EcoString, Type)]) -> String {
    let mut writer = Writer {
        library,
        taken: scope.iter().map(|(n, _)| n.clone()).collect(),
        done: Vec::new(),
        out: String::new(),
        indent: 0,
    };
    let value = match term {
        Term::Call(task, args) => writer.call(task, args),
        Term::Map(list, item, body) => writer.map(list, item, body),
        other => writer.value(other, "value"),
    };
    writer.line(&value);
    writer.out
}

struct Writer<'a> {
    library: &'a Library,
    taken: Vec<EcoString>,
    /// Calls that have a name already.
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
        while self.taken.contains(&name) {
            name = eco_format!("{wanted}_{n}");
            n += 1;
        }
        self.taken.push(name.clone());
        name
    }

    /// A name or constant for a term; what must be computed gets a `let` first.
    fn value(&mut self, term: &Term, wanted: &str) -> String {
        match term {
            Term::Var(name) => name.to_string(),
            Term::Goal(goal) => quoted(goal),
            Term::Field(inner, field) => match &**inner {
                Term::Call(task, args) => self.parts(task, args, inner, field),
                _ => format!("{}.{field}", self.value(inner, wanted)),
            },
            Term::Call(task, args) => {
                if let Some((_, name)) = self.done.iter().find(|(t, _)| t == term) {
                    return name.to_string();
                }
                let call = self.call(task, args);
                let name = self.fresh(wanted);
                self.line(&format!("let {name} = {call}"));
                self.done.push((term.clone(), name.clone()));
                name.to_string()
            }
            Term::Map(list, item, body) => {
                let map = self.map(list, item, body);
                let name = self.fresh(wanted);
                self.line(&format!("let {name} = {map}"));
                name.to_string()
            }
        }
    }

    /// A task with several results is called once, and all its parts get names.
    fn parts(&mut self, task: &EcoString, args: &[(EcoString, Term)], call: &Term, field: &EcoString) -> String {
        let key = Term::Field(Box::new(call.clone()), field.clone());
        if let Some((_, name)) = self.done.iter().find(|(t, _)| *t == key) {
            return name.to_string();
        }
        let text = self.call(task, args);
        let fields: Vec<EcoString> = match self.library.tasks.get(task).map(|t| &t.result) {
            Some(Type::Record(_, fields)) => fields.iter().map(|(n, _)| n.clone()).collect(),
            _ => vec![field.clone()],
        };
        let names: Vec<EcoString> = fields.iter().map(|f| self.fresh(f)).collect();
        self.line(&format!("let ({}) = {text}", names.join(", ")));
        for (part, name) in fields.iter().zip(&names) {
            self.done.push((Term::Field(Box::new(call.clone()), part.clone()), name.clone()));
        }
        let place = fields.iter().position(|f| f == field).unwrap_or(0);
        names[place].to_string()
    }

    fn call(&mut self, task: &EcoString, args: &[(EcoString, Term)]) -> String {
        let params = self.library.tasks.get(task).map_or(&[][..], |t| &t.params);
        let mut written = Vec::with_capacity(args.len());
        for (i, (param, arg)) in args.iter().enumerate() {
            let value = self.value(arg, param);
            let in_order = params.get(i).is_some_and(|(n, _)| n == param);
            written.push(if in_order { value } else { format!("{param}: {value}") });
        }
        format!("{task}({})", written.join(", "))
    }

    fn map(&mut self, list: &EcoString, item: &EcoString, body: &Term) -> String {
        let (taken, done) = (self.taken.clone(), self.done.clone());
        let outside = std::mem::take(&mut self.out);
        self.taken.push(item.clone());
        self.indent += 1;
        let value = match body {
            Term::Call(task, args) => self.call(task, args),
            Term::Map(list, item, body) => self.map(list, item, body),
            other => self.value(other, "value"),
        };
        self.line(&value);
        self.indent -= 1;
        let inside = std::mem::replace(&mut self.out, outside);
        (self.taken, self.done) = (taken, done);
        format!("for {item} in {list} {{\n{inside}{:indent$}}}", "", indent = self.indent * 2)
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{escaped}\"")
}
