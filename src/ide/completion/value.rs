//! Completions that compute: names in scope, tasks, jobs, fields, and fills of holes.

use super::{Completion, CompletionKind, List};
use crate::ide::cursor::Cursor;
use crate::ide::hover::{hole_at, task as task_docs};
use crate::ide::signature::callable;
use crate::syntax::token::Token;
use crate::types::Type;

impl List<'_> {
    /// Whatever has a value: what has the type that is wanted here, names in scope, tasks that fit what is in scope, then the rest.
    pub(super) fn values(&mut self, cursor: &Cursor, words: bool) {
        let wanted = self.wanted(cursor);
        if let Some(Type::Enum(name, values)) = &wanted {
            for value in values {
                self.add(value, CompletionKind::Value, format!("value of `{name}`"), "", 0);
            }
        }
        for (name, span) in self.visible() {
            let ty = self.analysis.type_of(span);
            let fits = wanted.as_ref().zip(ty).is_some_and(|(wanted, ty)| ty.fits(wanted));
            self.add(
                &name,
                CompletionKind::Variable,
                ty.map_or_else(String::new, ToString::to_string),
                "",
                if fits { 5 } else { 10 },
            );
        }
        self.fills();
        for job in &self.analysis.program.jobs {
            if self.analysis.job_at(self.at).is_none_or(|(here, _)| here.name.text != job.name) {
                let params = job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.to_string(), &l.ty));
                let params: Vec<(String, &Type)> = params.collect();
                self.out.push(called(self.span, &job.name, CompletionKind::Job, &params, &job.result, &job.docs, 25));
            }
        }
        let first = self.out.len();
        self.tasks(true);
        let results = self.analysis.library.tasks.values().map(|task| &task.result);
        for (listed, result) in self.out[first..].iter_mut().zip(results) {
            // What gives the type that is wanted comes first.
            if wanted.as_ref().is_some_and(|wanted| result.fits(wanted)) {
                listed.rank = listed.rank / 2 + 2;
            }
        }
        if words {
            for word in ["for", "if", "repeat", "true", "false", "not"] {
                self.add(word, CompletionKind::Keyword, "keyword", "", 70);
            }
        }
    }

    /// The type of what stands behind `let name: Type =`, beside a comparison, or as an argument of a call.
    fn wanted(&self, cursor: &Cursor) -> Option<Type> {
        let analysis = self.analysis;
        match cursor.line() {
            [(_, Token::Let, _), _, (_, Token::Colon, _), name, (_, Token::Eq, _)] => {
                let declared = analysis.library.types.get(cursor.text(name)).map(|(ty, _)| ty.clone());
                declared
                    .or_else(|| Type::BUILT_IN.iter().find(|(n, _)| *n == cursor.text(name)).map(|(_, ty)| ty.clone()))
            }
            [.., name, (_, Token::EqEq | Token::NotEq, _)] => {
                let (_, span) = self.visible().into_iter().rev().find(|(known, _)| known == cursor.text(name))?;
                analysis.type_of(span).cloned()
            }
            _ => {
                let (callee, nth, named) = cursor.call()?;
                let (params, _, _) = callable(analysis, callee)?;
                let param = match named {
                    Some(name) => params.into_iter().find(|(param, _)| param.as_str() == name),
                    None => params.into_iter().nth(nth),
                };
                param.map(|(_, ty)| ty.clone())
            }
        }
    }

    /// The library's tasks, with brackets and the `use` line that they need where they are called.
    pub(super) fn tasks(&mut self, call: bool) {
        let analysis = self.analysis;
        let scope: Vec<&Type> = self.visible().iter().filter_map(|(_, s)| analysis.type_of(*s)).collect();
        let composes: Vec<_> = analysis.library.for_holes().map(|t| t.name.clone()).collect();
        for task in analysis.library.tasks.values() {
            let usual = composes.contains(&task.name);
            let has = |ty: &Type| matches!(ty, Type::Optional(_)) || scope.iter().any(|s| s.fits(ty));
            let fits = usual && !task.params.is_empty() && task.params.iter().all(|(_, ty)| has(ty));
            let rank = if fits { 20 } else { 40 };
            let params: Vec<(String, &Type)> = task.params.iter().map(|(n, t)| (n.to_string(), t)).collect();
            let docs = task_docs(analysis, task);
            let mut completion =
                called(self.span, &task.name, CompletionKind::Task, &params, &task.result, &docs, rank);
            if call {
                completion.more.extend(analysis.use_edit(&[&task.module]));
            } else {
                completion.insert = task.name.to_string();
                completion.snippet = false;
            }
            self.out.push(completion);
        }
    }

    /// The fills of the hole that the cursor stands at.
    fn fills(&mut self) {
        let analysis = self.analysis;
        let Some((job, hole)) = hole_at(analysis, self.at).filter(|(job, h)| h.span != job.span) else { return };
        for (rank, found) in
            crate::expand::search::search(hole, job, &analysis.program, &analysis.library).iter().enumerate()
        {
            // A fill of several lines is a code action: a completion has one place.
            if found.text.trim_end().lines().count() == 1 {
                self.add(
                    found.text.trim_end(),
                    CompletionKind::Fill,
                    format!("fill: {}", hole.ty),
                    &found.because,
                    rank as u32,
                );
                if let Some(last) = self.out.last_mut() {
                    last.span = hole.span;
                }
            }
        }
    }

    /// The parameters that a call takes by name.
    pub(super) fn parameters(&mut self, callee: &str) {
        let Some((params, _, _)) = callable(self.analysis, callee) else { return };
        for (name, ty) in params {
            self.add(&format!("{name}:"), CompletionKind::Knob, ty.to_string(), "", 15);
            if let Some(last) = self.out.last_mut() {
                last.insert = format!("{name}: ");
            }
        }
    }

    /// The inputs of the job.
    pub(super) fn inputs(&mut self) {
        let Some((job, _)) = self.analysis.job_at(self.at) else { return };
        for param in &job.params {
            let ty = self.analysis.type_of(param.name.span).map(ToString::to_string).unwrap_or_default();
            self.add(&param.name.text.clone(), CompletionKind::Variable, ty, "", 0);
        }
    }

    /// Fields and sizes behind a dot.
    pub(super) fn fields(&mut self, cursor: &Cursor) {
        let mut path: Vec<&str> = Vec::new();
        let mut rest = cursor.before;
        while let [before @ .., name, (_, Token::Dot, _)] = rest {
            path.insert(0, cursor.text(name));
            rest = before;
        }
        let Some((first, fields)) = path.split_first() else { return };
        let analysis = self.analysis;
        let Some((_, span)) = self.visible().into_iter().rev().find(|(name, _)| name == first) else {
            // `latency.p95`
            if let ("latency" | "ttft" | "tpot", []) = (*first, fields) {
                self.add("p95", CompletionKind::Metric, "95 % of all runs stay within", "", 0);
                self.add("p99", CompletionKind::Metric, "99 % of all runs stay within", "", 0);
            }
            return;
        };
        let mut ty = analysis.type_of(span).cloned().unwrap_or(Type::Unknown);
        for field in fields {
            let Type::Record(_, inner) = &ty else { return };
            let Some((_, found)) = inner.iter().find(|(n, _)| n == field) else { return };
            ty = found.clone();
        }
        if let Type::Record(_, fields) = &ty {
            fields.iter().for_each(|(name, ty)| self.add(name, CompletionKind::Field, ty.to_string(), "", 0));
        }
        for (name, _) in ty.sizes() {
            self.add(name, CompletionKind::Field, "size", format!("A size of `{ty}`."), 1);
        }
    }
}

fn called(
    span: crate::diag::source::Span,
    name: &str,
    kind: CompletionKind,
    params: &[(String, &Type)],
    result: &Type,
    docs: &str,
    rank: u32,
) -> Completion {
    let shown: Vec<String> = params.iter().map(|(n, ty)| format!("{n}: {ty}")).collect();
    let detail = format!("({}) -> {result}", shown.join(", "));
    let insert = if params.is_empty() { format!("{name}()") } else { format!("{name}($0)") };
    let (label, docs) = (name.to_string(), docs.to_string());
    Completion { label, kind, detail, docs, span, insert, snippet: !params.is_empty(), more: Vec::new(), rank }
}
