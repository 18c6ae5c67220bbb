//! `/runs/{id}`: one run as a whole. What may change stands in parts that the script exchanges when the stream of events says so.

use super::facts::Facts;
use super::frame::{Page, badge, duration, figure, figure_or_dash, moment, pairs, part, value};
use super::{Shown, log, own_page, plan, query};
use crate::html::markup::Markup;
use crate::ir::workflow::StepId;
use crate::plan::model::Plan;
use crate::plan::render;
use crate::run::journal::replay::End;
use crate::run::shown::steps::table_of;
use crate::run::shown::{dag, timeline};
use crate::run::value::files;
use crate::serve::Service;
use crate::serve::api::guard::Caller;
use crate::serve::api::runs::{cancel as stop, seen};
use crate::serve::store::State as RunState;
use crate::{html, html_to};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;
use std::sync::Arc;

/// Shows a run.
pub async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<u64>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Shown<Response> {
    let run = seen(&service, &caller, id)?;
    let whole_log = query(raw.as_deref()).iter().any(|(name, what)| name == "log" && what == "all");
    super::aside(move || {
        let facts = Facts::read(&service, run)?;
        let answer = answer(&service, &facts);
        let (id, state) = (facts.run.id, facts.run.state);
        let mut main = head(&facts);
        let step = |step: StepId| format!("/runs/{id}/steps/{}", step.0);
        main = html!("{}{}", main, part("figures", "Figures", figures(&facts)));
        if let Some(error) = &facts.run.error {
            html_to!(
                main,
                "{}",
                part("error", "Why it failed", html!("<pre class=\"wrong\" tabindex=\"0\">{}</pre>", error))
            );
        }
        html_to!(
            main,
            "<div class=\"beside\">{}<div>{}{}</div></div>",
            part("flow", "Data flow", dag::by_state(&facts.story, &step)),
            part("answer", "Answer", answer),
            part("inputs", "Inputs", inputs(&facts))
        );
        html_to!(main, "{}", part("timeline", "Timeline", timeline::of(&facts.story, "a worker took it")));
        html_to!(main, "{}", part("steps", "Steps, measured and planned", table_of(&facts.story, &step, None)));
        html_to!(main, "{}", part("log", "Log", log::of(&facts, whole_log)));
        let events = (!state.is_final()).then(|| format!("/v1/runs/{id}/events"));
        let title = format!("Run {id}: {} ({})", facts.run.job, state.text());
        Ok(Page { title: &title, section: "runs", events, main }.answer(&service, Some(&caller)))
    })
    .await
}

/// Name, state and what can be done with a run.
fn head(facts: &Facts) -> Markup {
    let (id, state) = (facts.run.id, facts.run.state);
    let cancel = (!state.is_final()).then(|| {
        let words = if state == RunState::Cancelling { "Stop at once" } else { "Cancel run" };
        html!("<form method=\"post\" action=\"/runs/{}/cancel\"><button id=\"cancel\" class=\"danger\">{}</button></form>", id, words)
    });
    let links = html!(
        "<a class=\"button\" href=\"/runs/{}/plan\">Plan</a><a class=\"button\" href=\"/runs/{}/solve\">Trade-offs</a>\
         <a class=\"button\" href=\"/compare?run={}\">Compare</a>",
        id,
        id,
        id
    );
    let still = (!state.is_final()).then(|| {
        html!(
            "<noscript><p class=\"note\">This is how things stood at {}. <a href=\"/runs/{}\">Look again</a></p></noscript>",
            moment(facts.now_ms), id
        )
    });
    html!(
        "<p class=\"crumbs\"><a href=\"/\">Runs</a> / {}</p><div id=\"head\" class=\"head\" data-live><h1>{} {}</h1>\
         <div class=\"actions\">{}{}</div></div>{}",
        id,
        facts.run.job,
        badge(state.text()),
        links,
        cancel,
        still
    )
}

fn figures(facts: &Facts) -> Markup {
    let (run, plan) = (&facts.run, facts.story.plan.as_ref());
    let planned = |of: fn(&Plan) -> String| plan.map(|plan| html!(" <small>planned {}</small>", of(plan)));
    let sum = |of: &dyn Fn(&crate::run::meter::StepMeasure) -> Option<f64>| {
        facts.story.measures.values().map(of).sum::<Option<f64>>()
    };
    let spent = run
        .spent_micro
        .map(|micro| micro as f64 / 1e6)
        .or_else(|| sum(&|m| m.cost_usd))
        .filter(|_| facts.story.begun_ms.is_some());
    let energy = sum(&|m| m.energy_wh).filter(|_| !facts.story.measures.is_empty());
    let about = facts.story.measures.values().any(|m| m.energy_basis != Some(crate::run::meter::Basis::Measured));
    let about = if about && energy.is_some() { "≈ " } else { "" };
    let tokens: u64 = facts.story.measures.values().map(|m| m.tokens_in.saturating_add(m.tokens_out)).sum();
    let took = facts.story.begun_ms.map_or("–".to_owned(), |_| duration(facts.story.took_s));
    let calls = facts.story.calls.iter().filter(|call| call.done.is_some()).count();
    let retries = facts.story.retries().len();
    let retried = (retries > 0).then(|| html!(" <small>{} attempts failed</small>", retries));
    let cards = pairs(
        "cards",
        &[
            ("Time", html!("{}{}", took, planned(|p| render::seconds(p.total.latency_s)))),
            ("Cost", html!("{}{}", figure_or_dash("cost", spent), planned(|p| render::dollars(p.total.cost_usd)))),
            ("Energy", html!("{}{}{}", about, figure_or_dash("energy", energy), planned(|p| plan::energy(&p.total)))),
            ("Tokens", html!("{}", tokens)),
            ("Calls", html!("{}{}", calls, retried)),
            ("Quality", html!("{}", plan.map_or("–".to_owned(), |p| render::percent(p.total.quality)))),
        ],
    );
    let worker =
        facts.story.begun_ms.map(|ms| html!("{} after {} in the queue", moment(ms), duration(facts.story.waited_s)));
    let waits = (facts.story.begun_ms.is_none() && !run.state.is_final())
        .then(|| html!("for {}", duration(facts.story.waited_s)));
    let ended = run.state.is_final().then(|| moment(run.changed_ms));
    let runtimes = (facts.story.replay.runtimes > 1).then(|| html!("{}", facts.story.replay.runtimes));
    let held = (run.held_micro > 0).then(|| html!("{}", figure("cost", run.held_micro as f64 / 1e6)));
    let said: Markup = facts.story.replay.adapted.iter().map(|(_, said)| html!("<p>{}</p>", said)).collect();
    let more = pairs(
        "pairs",
        &[
            ("Submitted", html!("{} by {}, priority {}", moment(run.submitted_ms), run.tenant, run.priority)),
            ("Waits", waits.unwrap_or_default()),
            ("Begun", worker.unwrap_or_default()),
            ("Ended", ended.unwrap_or_default()),
            ("Key", html!("{}", run.key)),
            ("Budget kept", held.unwrap_or_default()),
            ("Workers that took it over", runtimes.unwrap_or_default()),
            ("Planned again", said),
        ],
    );
    html!("{}{}", cards, more)
}

/// The answer, with its files by their addresses.
fn answer(service: &Service, facts: &Facts) -> Markup {
    let End::Answered(stored) = &facts.story.replay.end else {
        let words = match facts.run.state {
            RunState::Queued => "It has not begun.",
            RunState::Running | RunState::Cancelling => "It has none yet.",
            _ => "It has none.",
        };
        return html!("<p class=\"dim\">{}</p>", words);
    };
    match service.journal(|db| db.blobs().value(stored)) {
        Ok(answer) => {
            let links = links(facts, &answer);
            html!("{}{}", value(&facts.story.shown(&answer)), links)
        }
        Err(fault) => html!("<p class=\"wrong\">{}</p>", fault.message),
    }
}

/// The files of a value that lie in the run's folder.
pub fn links(facts: &Facts, value: &Value) -> Markup {
    let within = |file: &&str| {
        let folder = facts.story.folder.as_ref()?;
        std::path::Path::new(file).strip_prefix(folder).ok()?.to_str().map(str::to_owned)
    };
    let names: Vec<String> = files(value).iter().filter_map(within).take(100).collect();
    if names.is_empty() {
        return Markup::default();
    }
    let mut out = html!("<ul class=\"files\">");
    for name in names {
        html_to!(
            out,
            "<li><a href=\"/v1/runs/{}/files/{}\" download>{}</a></li>",
            facts.run.id,
            super::path_of(&name),
            name
        );
    }
    html_to!(out, "</ul>");
    out
}

fn inputs(facts: &Facts) -> Markup {
    if facts.story.inputs.is_empty() {
        return html!("<p class=\"dim\">The job takes none.</p>");
    }
    let one = |(name, given): (&String, &Value)| {
        let ty = facts
            .story
            .plan
            .as_ref()
            .and_then(|plan| plan.inputs.iter().find(|i| i.name == *name))
            .map(|i| i.ty.to_string());
        html!("<h3>{} <small>{}</small></h3>{}", name, ty, value(&facts.story.shown(given)))
    };
    facts.story.inputs.iter().map(one).collect()
}

/// Stops a run, and shows it.
pub async fn cancel(
    service: State<Arc<Service>>,
    caller: Extension<Caller>,
    id: Result<Path<u64>, PathRejection>,
    headers: HeaderMap,
) -> Shown<Response> {
    own_page(&headers)?;
    let Path(number) = id.map_err(|_| crate::serve::api::refusal::Refusal::absent("there is no such run"))?;
    stop(service, caller, Ok(Path(number))).await.map(drop)?;
    Ok(Redirect::to(&format!("/runs/{number}")).into_response())
}

/// A planned figure as a number.
pub fn planned(figure: rust_decimal::Decimal) -> f64 {
    figure.to_f64().unwrap_or(0.0)
}
