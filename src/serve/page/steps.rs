//! `/runs/{id}/steps/{step}`: a step of a run, with what its calls were given and what they gave.

use super::facts::Facts;
use super::frame::{MOST, Page, badge, part};
use super::{Shown, query, run};
use crate::html::markup::Markup;
use crate::ir::workflow::StepId;
use crate::plan::model::PlanStep;
use crate::run::engines::Args;
use crate::run::journal::arguments::Past;
use crate::run::shown::steps::{Values, asked, call, choice, retries};
use crate::run::shown::story::CallFacts;
use crate::serve::Service;
use crate::serve::api::guard::Caller;
use crate::serve::api::refusal::Refusal;
use crate::serve::api::runs::seen;
use crate::{html, html_to};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::Response;
use std::sync::Arc;

/// Calls on a page.
const PAGE: usize = 20;

/// Shows a step of a run.
pub async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(u64, u32)>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Shown<Response> {
    let absent = || Refusal::absent("the run has no such step");
    let Path((id, step)) = path.map_err(|_| absent())?;
    let run = seen(&service, &caller, Ok(Path(id)))?;
    let all = query(raw.as_deref());
    let from: usize = all.iter().find(|(name, _)| name == "from").and_then(|(_, n)| n.parse().ok()).unwrap_or(0);
    super::aside(move || {
        let facts = Facts::read(&service, run)?;
        let (step, view) = facts.story.step(StepId(step)).ok_or_else(absent)?;
        let state = facts.story.state_of(view);
        let mut main = html!(
            "<p class=\"crumbs\"><a href=\"/\">Runs</a> / <a href=\"/runs/{}\">{} ({})</a> / step</p><div id=\"head\" class=\"head\" data-live>\
             <h1>{} {}</h1></div>",
            id, id, facts.run.job, step.name, badge(state)
        );
        html_to!(main, "{}", part("choice", "Choice", choice(&facts.story, step)));
        if let Some(asked) = asked(step) {
            html_to!(main, "{}", part("prompt", "Prompt", asked));
        }
        if let Some(retries) = retries(&facts.story, step) {
            html_to!(main, "{}", part("retries", "Attempts that failed", retries));
        }
        html_to!(main, "{}", part("calls", "Calls", calls(&service, &facts, step, from)));
        let events = (!facts.run.state.is_final()).then(|| format!("/v1/runs/{id}/events"));
        let title = format!("{} of run {id} ({state})", step.name);
        Ok(Page { title: &title, section: "runs", events, main }.answer(&service, Some(&caller)))
    })
    .await
}

fn calls(service: &Service, facts: &Facts, step: &PlanStep, from: usize) -> Markup {
    let all: Vec<&CallFacts> = facts.story.calls.iter().filter(|call| call.call.step == step.id).collect();
    if all.is_empty() {
        return html!("<p class=\"dim\">None was begun.</p>");
    }
    let shown: Vec<&CallFacts> = all.iter().skip(from).take(PAGE).copied().collect();
    // Values are read from the journal while its lock is held: as few as a page shows.
    let given: Vec<Option<Args>> = service
        .journal(|db| {
            let results =
                facts.story.calls.iter().filter_map(|c| Some((c.call.path.as_str(), &c.done.as_ref()?.0))).collect();
            let Some(plan) = &facts.story.plan else { return Ok(Vec::new()) };
            let past = Past { plan, inputs: &facts.story.inputs, results, journal: db };
            Ok(shown.iter().map(|call| past.arguments(&call.call.path, &call.input)).collect())
        })
        .unwrap_or_default();
    let mut out = html!("<ol class=\"calls\" start=\"{}\">", from + 1);
    for (n, one) in shown.iter().enumerate() {
        let values = Values {
            given: given.get(n).and_then(Option::as_ref),
            gave: one.done.as_ref().map(|(stored, ..)| service.journal(|db| db.blobs().value(stored))),
            files: &|gave| run::links(facts, gave),
            most: MOST,
        };
        html_to!(out, "<li>{}</li>", call(&facts.story, step, one, Some(&values), all.len() == 1));
    }
    html_to!(out, "</ol>");
    let link = |from: usize, words: &str| {
        html!("<a class=\"button\" href=\"/runs/{}/steps/{}?from={}\">{}</a>", facts.run.id, step.id.0, from, words)
    };
    let before = (from > 0).then(|| link(from.saturating_sub(PAGE), "Earlier calls"));
    let after = (from + PAGE < all.len()).then(|| link(from + PAGE, "Later calls"));
    html!(
        "{}<nav class=\"pages\" aria-label=\"Pages of the calls\">{}{}<span class=\"dim\">{} in all</span></nav>",
        out,
        before,
        after,
        all.len()
    )
}
