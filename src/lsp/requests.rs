//! Requests → answers: the method's name, its parameters, and the feature of [`crate::ide`] that it asks.

use super::convert::symbol_kind;
use super::{Refusal, Server};
use crate::diag::source::FileId;
use crate::graph::{Shape, svg::svg_at};
use crate::ide::actions::{Action, ActionKind};
use crate::ide::calls::Calls;
use crate::ide::folding::FoldKind;
use crate::ide::names::Target;
use crate::ide::outline::Entry;
use crate::ide::planning::JobPlan;
use crate::ide::{
    Analysis, actions, calls, completion, definition, folding, formatting, hints, hover, links, outline, references,
    rename, selection, signature,
};
use gen_lsp_types::{Position, Range};
use lsp_server::ErrorCode;
use serde_json::{Value, json};
use std::rc::Rc;

type Answer = Result<Value, Refusal>;

/// How many symbols of the workspace are answered.
const MAX_SYMBOLS: usize = 200;

impl Server {
    pub(super) fn answer(&mut self, method: &str, params: &Value) -> Answer {
        match method {
            "workspace/symbol" => Ok(self.workspace_symbols(params["query"].as_str().unwrap_or_default())),
            "callHierarchy/incomingCalls" => self.calls(params, true),
            "callHierarchy/outgoingCalls" => self.calls(params, false),
            "mkbc/graph" => {
                let (uri, analysis) = self.of(&params["textDocument"]["uri"])?;
                Ok(self.graphs(&uri, analysis.file))
            }
            "textDocument/references" => {
                let (uri, analysis) = self.of(&params["textDocument"]["uri"])?;
                let at = self.offset(&uri, &params["position"])?;
                let definition = params["context"]["includeDeclaration"].as_bool().unwrap_or(true);
                Ok(self.references(&uri, &analysis, at, definition))
            }
            "textDocument/rename" => {
                let (uri, analysis) = self.of(&params["textDocument"]["uri"])?;
                let at = self.offset(&uri, &params["position"])?;
                let to = params["newName"].as_str().ok_or_else(|| wrong("no `newName`"))?;
                self.rename(&uri, &analysis, at, to).map_err(|why| (ErrorCode::RequestFailed, why))
            }
            _ if method.starts_with("textDocument/") => {
                // What shows fills shows those of today, whether or not the editor watches files.
                if let ("textDocument/hover" | "textDocument/codeAction", Some(uri)) =
                    (method, params["textDocument"]["uri"].as_str())
                {
                    self.look_at_lock(uri);
                }
                let (uri, analysis) = self.of(&params["textDocument"]["uri"])?;
                self.of_document(method, params, &uri, &analysis)
            }
            _ => Err((ErrorCode::MethodNotFound, format!("there is no `{method}`"))),
        }
    }

    /// The document that a request is about.
    fn of(&mut self, uri: &Value) -> Result<(String, Rc<Analysis>), Refusal> {
        let uri = uri.as_str().ok_or_else(|| wrong("no `textDocument.uri`"))?.to_string();
        let analysis = self.analysis(&uri).ok_or_else(|| wrong(&format!("`{uri}` is not open")))?;
        Ok((uri, analysis))
    }

    fn offset(&self, uri: &str, position: &Value) -> Result<u32, Refusal> {
        let position: Position =
            serde_json::from_value(position.clone()).map_err(|e| wrong(&format!("no position: {e}")))?;
        let document = self.documents.get(uri).ok_or_else(|| wrong("not open"))?;
        Ok(document.lines.offset(&position, self.encoding) as u32)
    }

    fn part(&self, uri: &str, range: &Value, analysis: &Analysis) -> Result<crate::diag::source::Span, Refusal> {
        let range: Range = serde_json::from_value(range.clone()).map_err(|e| wrong(&format!("no range: {e}")))?;
        let document = self.documents.get(uri).ok_or_else(|| wrong("not open"))?;
        let (start, end) =
            (document.lines.offset(&range.start, self.encoding), document.lines.offset(&range.end, self.encoding));
        Ok(analysis.span(start.min(end), start.max(end)))
    }

    fn of_document(&mut self, method: &str, params: &Value, uri: &str, analysis: &Analysis) -> Answer {
        let at = || self.offset(uri, &params["position"]);
        let plans = self.documents.get(uri).and_then(|d| d.current_plans().cloned());
        let plans = plans.as_deref();
        Ok(match method {
            "textDocument/hover" => hover::hover(analysis, at()?).map_or(
                Value::Null,
                |(span, text)| json!({"contents": {"kind": "markdown", "value": text}, "range": self.range(uri, span)}),
            ),
            "textDocument/completion" => {
                let items = completion::completions(analysis, at()?);
                json!({"isIncomplete": false, "items": items.iter().map(|c| self.completion(uri, c)).collect::<Vec<_>>()})
            }
            "textDocument/signatureHelp" => signature::signature(analysis, at()?).map_or(Value::Null, |s| {
                let params: Vec<Value> = s.params.iter().map(|(a, b)| json!({"label": [a, b]})).collect();
                json!({"signatures": [{"label": s.label, "documentation": s.docs, "parameters": params}],
                    "activeSignature": 0, "activeParameter": s.active})
            }),
            "textDocument/definition" => {
                let found = definition::definition(analysis, &self.shelf.base, at()?);
                found
                    .and_then(|(_, to)| self.location(uri, to))
                    .map_or(Value::Null, |(uri, range)| json!({"uri": uri, "range": range}))
            }
            "textDocument/documentHighlight" => {
                let found = references::references(analysis, at()?, true);
                found
                    .iter()
                    .map(|o| json!({"range": self.range(uri, o.span), "kind": if o.definition { 3 } else { 2 }}))
                    .collect()
            }
            "textDocument/prepareRename" => match rename::prepare(analysis, &self.shelf.base, at()?) {
                Ok(span) => json!({"range": self.range(uri, span), "placeholder": analysis.slice(span)}),
                Err(why) => return Err((ErrorCode::RequestFailed, why)),
            },
            "textDocument/documentSymbol" => outline::outline(analysis).iter().map(|e| self.symbol(uri, e)).collect(),
            "textDocument/foldingRange" => self.folds(uri, analysis),
            "textDocument/selectionRange" => {
                let places = params["positions"].as_array().ok_or_else(|| wrong("no `positions`"))?;
                let places: Result<Vec<u32>, Refusal> = places.iter().map(|p| self.offset(uri, p)).collect();
                places?.into_iter().map(|at| self.selection(uri, analysis, at)).collect()
            }
            "textDocument/semanticTokens/full" => self.semantic_since(uri, analysis, None),
            "textDocument/semanticTokens/full/delta" => {
                self.semantic_since(uri, analysis, params["previousResultId"].as_str())
            }
            "textDocument/semanticTokens/range" => {
                let part = self.part(uri, &params["range"], analysis)?;
                json!({"data": self.semantic(uri, analysis, Some(part))})
            }
            "textDocument/documentLink" => self.links(uri, analysis),
            "textDocument/inlayHint" => {
                let part = self.part(uri, &params["range"], analysis)?;
                let list = hints::hints(analysis, plans);
                list.iter().filter(|h| part.start <= h.at && h.at <= part.end).map(|h| self.hint(uri, h)).collect()
            }
            "textDocument/codeAction" => {
                let part = self.part(uri, &params["range"], analysis)?;
                let only = params["context"]["only"].as_array();
                let list = actions::actions(analysis, plans, part);
                let list = list.iter().map(|a| self.action(uri, a));
                let wanted = |a: &Value| {
                    let kind = a["kind"].as_str().unwrap_or_default();
                    only.is_none_or(|o| {
                        o.iter().filter_map(Value::as_str).any(|k| kind == k || kind.starts_with(&format!("{k}.")))
                    })
                };
                list.filter(wanted).collect()
            }
            "textDocument/codeLens" => self.lenses(uri, plans),
            "textDocument/formatting" => json!(self.edits(uri, &formatting::formatting(analysis, None))),
            "textDocument/rangeFormatting" => {
                let part = self.part(uri, &params["range"], analysis)?;
                json!(self.edits(uri, &formatting::formatting(analysis, Some(part))))
            }
            "textDocument/onTypeFormatting" => {
                let typed = params["ch"].as_str().unwrap_or_default();
                json!(self.edits(uri, &formatting::typed(analysis, at()?, typed)))
            }
            "textDocument/prepareCallHierarchy" => {
                let found = calls::prepare(analysis, at()?);
                found.and_then(|c| self.call_item(uri, analysis, &c)).map_or(Value::Null, |item| json!([item]))
            }
            _ => return Err((ErrorCode::MethodNotFound, format!("there is no `{method}`"))),
        })
    }

    fn folds(&self, uri: &str, analysis: &Analysis) -> Value {
        let folds = folding::folds(analysis);
        let fold = |(span, kind): &(crate::diag::source::Span, FoldKind)| {
            let range = self.range(uri, *span)?;
            // The line of a closing bracket stays in sight.
            let end = if *kind == FoldKind::Region { range.end.line.saturating_sub(1) } else { range.end.line };
            let kind = match kind {
                FoldKind::Region => "region",
                FoldKind::Comment => "comment",
                FoldKind::Imports => "imports",
            };
            (end > range.start.line).then(|| json!({"startLine": range.start.line, "endLine": end, "kind": kind}))
        };
        folds.iter().filter_map(fold).collect()
    }

    fn selection(&self, uri: &str, analysis: &Analysis, at: u32) -> Value {
        let mut out = Value::Null;
        for span in selection::selections(analysis, at).into_iter().rev() {
            let range = self.range(uri, span);
            out = if out.is_null() { json!({"range": range}) } else { json!({"range": range, "parent": out}) };
        }
        if out.is_null() { json!({"range": self.range(uri, analysis.span(at as usize, at as usize))}) } else { out }
    }

    fn links(&self, uri: &str, analysis: &Analysis) -> Value {
        let link = |link: &links::Link| {
            let embedded = || {
                let file = self.shelf.base.texts().profiles.get(link.paths.last()?.as_str())?;
                self.setup.files.library(self.shelf.base.texts(), *file)
            };
            let target = self.setup.files.beside(uri, &link.paths).or_else(embedded)?;
            Some(json!({"range": self.range(uri, link.span), "target": target}))
        };
        links::links(analysis).iter().filter_map(link).collect()
    }

    fn hint(&self, uri: &str, hint: &hints::Hint) -> Value {
        let position = self.documents.get(uri).map(|d| d.lines.position(hint.at, self.encoding));
        let mut out = json!({"position": position, "label": hint.label, "paddingLeft": !hint.is_type});
        if hint.is_type {
            out["kind"] = 1.into();
        } else {
            out["tooltip"] = json!({"kind": "markdown", "value": hint.tooltip});
        }
        out
    }

    fn action(&self, uri: &str, action: &Action) -> Value {
        let kind = match action.kind {
            ActionKind::Fix | ActionKind::Fill => "quickfix",
            ActionKind::Refactor => "refactor.rewrite",
        };
        let mut out = json!({
            "title": action.title,
            "kind": kind,
            "isPreferred": action.preferred,
            "edit": {"changes": {uri: self.edits(uri, &action.edits)}},
        });
        if let Some(problem) = &action.mends {
            out["diagnostics"] = json!([self.diagnostic(uri, problem, "mkbc")]);
        }
        out
    }

    fn lenses(&self, uri: &str, plans: Option<&crate::ide::planning::Plans>) -> Value {
        let known = |name: &str| self.client.commands.iter().any(|c| c == name);
        let mut out = Vec::new();
        for plan in plans.into_iter().flat_map(|p| &p.jobs) {
            let range = self.range(uri, plan.span);
            let mut lens = |title: &str, command: &str| {
                let command = if known(command) { command } else { "" };
                let run = json!({"title": title, "command": command, "arguments": [uri, plan.job]});
                out.push(json!({"range": range, "command": run}));
            };
            lens(&plan.summary, "mkbc.plan");
            if known("mkbc.run") {
                lens("run", "mkbc.run");
            }
        }
        out.into()
    }

    /// The pictures of a document's jobs, in order; null until this version of it is planned.
    fn graphs(&self, uri: &str, file: FileId) -> Value {
        let Some(plans) = self.documents.get(uri).and_then(|d| d.current_plans()) else { return Value::Null };
        // In the client's units, as everywhere, but from 1, as in any picture.
        let place = |shape: &Shape| {
            let start = self.range(uri, shape.call.filter(|call| call.file == file)?)?.start;
            Some((start.line + 1, Some(start.character + 1)))
        };
        let job = |p: &JobPlan| {
            let drawn = p.graph.as_ref().map(|picture| svg_at(picture, &place));
            json!({"job": p.job, "range": self.range(uri, p.span), "summary": p.summary, "svg": drawn})
        };
        plans.jobs.iter().map(job).collect()
    }

    fn workspace_symbols(&mut self, query: &str) -> Value {
        let query = query.to_lowercase();
        let mut out = Vec::new();
        for uri in self.documents.keys().cloned().collect::<Vec<_>>() {
            let Some(analysis) = self.analysis(&uri).filter(|a| !a.is_library) else { continue };
            for entry in outline::outline(&analysis).iter().filter(|e| found(&e.name, &query)) {
                out.extend(self.workspace_symbol(&uri, entry, ""));
            }
        }
        // The library's own items, once a document is open that shows where to look from.
        if let Some((uri, analysis)) = self.documents.iter().find_map(|(u, d)| Some((u.clone(), d.analysis.clone()?))) {
            self.turn_to(&uri);
            let tasks = analysis.library.tasks.values().map(|t| (&t.name, t.span, 11, t.module.as_str()));
            let entries = analysis.library.implementations.values().map(|i| (&i.name, i.span, 5, ""));
            for (name, span, kind, container) in tasks.chain(entries).filter(|(name, ..)| found(name, &query)) {
                if span.file == analysis.file || out.len() >= MAX_SYMBOLS {
                    continue;
                }
                if let Some((uri, range)) = self.location(&uri, span) {
                    out.push(json!({"name": name, "kind": kind, "containerName": container, "location": {"uri": uri, "range": range}}));
                }
            }
        }
        out.truncate(MAX_SYMBOLS);
        out.into()
    }

    fn workspace_symbol(&self, uri: &str, entry: &Entry, container: &str) -> Option<Value> {
        let range = self.range(uri, entry.name_span)?;
        let kind = symbol_kind(entry.kind);
        Some(
            json!({"name": entry.name, "kind": kind, "containerName": container, "location": {"uri": uri, "range": range}}),
        )
    }

    /// A job of a document, or a task where it is declared; `data` is the document whose calls are meant.
    fn call_item(&self, uri: &str, analysis: &Analysis, calls: &Calls) -> Option<Value> {
        let kind = if calls.is_job { 12 } else { 11 };
        let task = || definition::defined(analysis, &self.shelf.base, &Target::Task(calls.name.clone()));
        let declared = if calls.is_job { None } else { task().and_then(|at| self.location(uri, at)) };
        let (at, range, selection) = match declared {
            Some((at, range)) => (at, json!(range), json!(range)),
            None => (uri.to_string(), json!(self.range(uri, calls.span)?), json!(self.range(uri, calls.name_span)?)),
        };
        Some(json!({
            "name": calls.name, "kind": kind, "uri": at, "range": range, "selectionRange": selection, "data": uri,
        }))
    }

    fn calls(&mut self, params: &Value, incoming: bool) -> Answer {
        let item = &params["item"];
        let (uri, analysis) = self.of(if item["data"].is_string() { &item["data"] } else { &item["uri"] })?;
        let name = params["item"]["name"].as_str().ok_or_else(|| wrong("no `item.name`"))?;
        let list = if incoming { calls::incoming(&analysis, name) } else { calls::outgoing(&analysis, name) };
        let side = if incoming { "from" } else { "to" };
        let call = |c: &Calls| {
            let ranges: Vec<_> = c.places.iter().map(|p| self.range(&uri, *p)).collect();
            Some(json!({side: self.call_item(&uri, &analysis, c)?, "fromRanges": ranges}))
        };
        Ok(list.iter().filter_map(call).collect())
    }
}

fn wrong(why: &str) -> Refusal {
    (ErrorCode::InvalidParams, why.to_string())
}

/// Whether the letters of a query stand in a name in their order.
fn found(name: &str, query: &str) -> bool {
    let name = name.to_lowercase();
    let mut letters = name.chars();
    query.chars().all(|q| letters.any(|l| l == q))
}
