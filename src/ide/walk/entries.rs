//! The names in tasks, models and tools: in their clauses, and in braces in what they say to engines.

use super::{Scope, Walk};
use crate::diag::source::Span;
use crate::ide::names::Target;
use crate::library::placeholders;
use crate::syntax::ast::{
    Atom, AtomKind, Expr, ExprKind, Implementation, LibraryLine, LibraryLineKind, Name, Property, Task,
};
use crate::types::Type;
use ecow::EcoString;

impl Walk<'_> {
    pub(super) fn task(&mut self, task: &Task) {
        let name = &task.name.text;
        self.define(task.name.span, Target::Task(name.clone()));
        for param in &task.params {
            self.define(param.name.span, Target::Parameter(name.clone(), param.name.text.clone()));
            self.ty(&param.ty);
        }
        self.ty(&task.result);
        self.scope = self.parameters(name);
        for line in &task.lines {
            self.library_line(line, name);
            if let LibraryLineKind::Property(p) = &line.kind {
                match p.name.text.as_str() {
                    "functions" | "reaches" | "executes" | "plain" => self.words(p),
                    "prompt" | "system" => self.placeholders(&p.values),
                    _ => {}
                }
            }
        }
        self.scope.clear();
    }

    pub(super) fn implementation(&mut self, entry: &Implementation) {
        let name = &entry.name.text;
        self.define(entry.name.span, Target::Implementation(name.clone()));
        entry.tasks.iter().for_each(|t| self.push(t.span, Target::Task(t.text.clone())));
        let mut knobs: Scope = Vec::new();
        for line in &entry.lines {
            if let LibraryLineKind::Knob(knob, _) = &line.kind {
                let target = Target::Knob(name.clone(), knob.text.clone());
                self.define(knob.span, target.clone());
                knobs.push((knob.text.clone(), target));
            }
        }
        let Some(first) = entry.tasks.first() else { return };
        for line in &entry.lines {
            // Work and sizes speak of the first task, an engine of all.
            let tasks =
                if matches!(line.kind, LibraryLineKind::Engine(..)) { &entry.tasks[..] } else { &entry.tasks[..1] };
            self.scope = tasks.iter().flat_map(|t| self.parameters(&t.text)).chain(knobs.iter().cloned()).collect();
            self.library_line(line, &first.text);
            match &line.kind {
                LibraryLineKind::Engine(_, settings) => settings.iter().for_each(|s| self.placeholders(&s.values)),
                LibraryLineKind::Property(p) if p.name.text == "concurrency" => self.words(p),
                _ => {}
            }
        }
        self.scope.clear();
    }

    /// A clause of a task, or of what carries it out.
    fn library_line(&mut self, line: &LibraryLine, task: &EcoString) {
        match &line.kind {
            LibraryLineKind::Work(_, expr) => self.expr(expr),
            LibraryLineKind::Size(path, expr) => {
                self.result_size(path, task);
                self.expr(expr);
            }
            LibraryLineKind::Runs(h) => self.push(h.device.span, Target::Device(h.device.text.clone())),
            _ => {}
        }
    }

    /// `size report.tokens = …`: the fields of a task's result on the way to the size.
    fn result_size(&mut self, path: &[Name], task: &EcoString) {
        let mut ty = self.library.tasks.get(task).map(|t| t.result.clone());
        for name in path {
            let Some((record, field)) = ty.as_ref().and_then(|ty| field(ty, &name.text)) else { return };
            if !record.is_empty() {
                self.push(name.span, Target::Field(record, name.text.clone()));
            }
            ty = Some(field);
        }
    }

    /// The words of a clause that are names in scope.
    fn words(&mut self, clause: &Property) {
        for value in &clause.values {
            if let AtomKind::Word(word) = &value.kind {
                self.named(word, value.span);
            }
        }
    }

    /// The names in braces in texts.
    fn placeholders(&mut self, values: &[Atom]) {
        for value in values {
            match &value.kind {
                AtomKind::List(items) => self.placeholders(items),
                AtomKind::Text(_) => {
                    let text = self.text;
                    let text = text.get(value.span.range()).unwrap_or("");
                    for (at, name) in placeholders::places(text) {
                        let start = value.span.start + at as u32;
                        self.named(name, Span { start, end: start + name.len() as u32, ..value.span });
                    }
                }
                _ => {}
            }
        }
    }

    /// A word that may be a name: all that it means, since an engine of several tasks may say a parameter of each.
    fn named(&mut self, word: &str, span: Span) {
        for target in self.scope.iter().filter(|(n, _)| n == word).map(|(_, t)| t.clone()).collect::<Vec<_>>() {
            self.push(span, target);
        }
    }

    /// The record that a value in a clause is, where it is one: clauses are not in the checked program.
    pub(super) fn record_of(&self, value: &Expr) -> Option<EcoString> {
        match self.type_of(value)? {
            Type::Record(name, _) => Some(name),
            _ => None,
        }
    }

    fn type_of(&self, value: &Expr) -> Option<Type> {
        match &value.kind {
            ExprKind::Name(name) => match self.scope.iter().rev().find(|(n, _)| n == name)?.1.clone() {
                Target::Parameter(task, param) => {
                    let params = &self.library.tasks.get(&task)?.params;
                    params.iter().find(|(n, _)| *n == param).map(|(_, ty)| ty.clone())
                }
                _ => None,
            },
            ExprKind::Field(inner, name) => field(&self.type_of(inner)?, &name.text).map(|(_, ty)| ty),
            _ => None,
        }
    }
}

/// A part of a value of some type: the record that it is a field of, which has no name for an item of a list; and its type.
fn field(ty: &Type, name: &EcoString) -> Option<(EcoString, Type)> {
    match ty {
        Type::Record(record, fields) => {
            fields.iter().find(|(n, _)| n == name).map(|(_, ty)| (record.clone(), ty.clone()))
        }
        Type::Optional(inner) => field(inner, name),
        Type::List(item) if name == "item" => Some((EcoString::new(), (**item).clone())),
        _ => None,
    }
}
