//! The table of a run's steps, and `/runs/{id}/steps/{step}`: one of them, with what its calls were given and what they gave.

use super::facts::{CallFacts, Facts, Retry};
use super::frame::{Page, badge, duration, figure, figure_or_dash, pairs, table, value};
use super::markup::Markup;
use super::{Shown, dag, query, run};
use crate::ir::workflow::StepId;
use crate::plan::fallback::in_place;
use crate::plan::model::{Engine, PlanStep};
use crate::plan::render;
use crate::run::block_on;
use crate::run::engines::Args;
use crate::run::engines::openai::prompt;
use crate::run::journal::arguments::Past;
use crate::run::journal::record::Source;
use crate::run::meter::Basis;
use crate::run::report::percent;
use crate::run::value::files;
use crate::serve::Service;
use crate::serve::api::guard::Caller;
use crate::serve::api::refusal::Refusal;
use crate::serve::api::runs::seen;
use crate::{html, html_to};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;

/// Calls on a page.
const PAGE: usize = 20;

/// Step by step: what was chosen, and what it took beside what was predicted.
pub fn table_of(facts: &Facts) -> Markup {
    let Some(plan) = &facts.plan else {
        return html!("<p class=\"dim\">The plan cannot be read.</p>");
    };
    let head =
        ["Step", "State", "Carried out by", "#Calls", "#Time", "#Off by", "#Cost", "#Tokens", "#Energy", "#Waited"];
    let beside = |measured: String, planned: String| html!("{}<br><small>planned {}</small>", measured, planned);
    let row = |step: &PlanStep| {
        let view = facts.step(step.id).map(|(_, view)| view);
        let (m, measured) = (facts.measures.get(&step.id), facts.measured(step));
        let others: Markup = view
            .into_iter()
            .flat_map(|v| v.stood_in.keys())
            .map(|by| html!("<br><small>then {}</small>", by))
            .collect();
        let error = view
            .and_then(|v| v.error.as_ref())
            .map(|why| html!("<div class=\"why\">{}</div>", why.chars().take(200).collect::<String>()));
        let calls = view.map_or(String::new(), |v| match v.unfinished {
            0 => v.calls.to_string(),
            open => format!("{} of {}", v.calls, v.calls + open),
        });
        let cached = m.filter(|m| m.cached > 0).map(|m| html!("<br><small>{} cached</small>", m.cached));
        let attempts = view
            .filter(|v| v.attempts > v.calls + v.unfinished)
            .map(|v| html!("<br><small>{} attempts</small>", v.attempts));
        let energy = match m.map(|m| (m.energy_wh, m.energy_basis)) {
            Some((Some(wh), Some(Basis::Measured))) => figure("energy", wh),
            Some((Some(wh), _)) => format!("≈ {}", figure("energy", wh)),
            _ => "–".to_owned(),
        };
        let p = &step.predicted;
        vec![
            html!("<a href=\"/runs/{}/steps/{}\">{}</a>{}", facts.run.id, step.id.0, step.name, error),
            view.map(|view| badge(facts.state_of(view))).unwrap_or_default(),
            html!("{}<br><small>on {}</small>{}", render::carried_out_by(step), render::hardware(step), others),
            html!("{}{}{}", calls, attempts, cached),
            beside(measured.map_or("–".to_owned(), |(s, _)| duration(s)), render::seconds(p.latency_s)),
            html!("{}", measured.and_then(|(_, off)| off).map_or("–".to_owned(), |off| percent(Some(off)))),
            beside(figure_or_dash("cost", m.and_then(|m| m.cost_usd)), render::dollars(p.cost_usd)),
            html!("{}", m.map_or(0, |m| m.tokens_in.saturating_add(m.tokens_out))),
            beside(energy, p.energy_wh.map_or("unknown".to_owned(), render::watt_hours)),
            html!("{}", m.map_or("–".to_owned(), |m| duration(m.queue_s))),
        ]
    };
    let rows: Vec<_> = plan.steps.iter().map(row).collect();
    html!(
        "{}<p class=\"note\">≈ by the plan's power and the measured time, where no counter was read. Waited: for devices, all calls together; known once it has ended.</p>",
        table("Steps", &head, &rows)
    )
}

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
        let (step, view) = facts.step(StepId(step)).ok_or_else(absent)?;
        let state = facts.state_of(view);
        let mut main = html!(
            "<p class=\"crumbs\"><a href=\"/\">Runs</a> / <a href=\"/runs/{}\">{} ({})</a> / step</p><div id=\"head\" class=\"head\" data-live>\
             <h1>{} {}</h1></div>",
            id, id, facts.run.job, step.name, badge(state)
        );
        html_to!(main, "{}", super::frame::part("choice", "Choice", choice(&facts, step)));
        if let Some(provider) = step.engine.provider() {
            let system = (!provider.system.is_empty()).then(|| html!("<h3>System</h3><pre tabindex=\"0\">{}</pre>", provider.system));
            let body = html!("{}<h3>User</h3><pre tabindex=\"0\">{}</pre>", system, provider.prompt);
            html_to!(main, "{}", super::frame::part("prompt", "Prompt", body));
        }
        if let Some(retries) = retries(&facts, step) {
            html_to!(main, "{}", super::frame::part("retries", "Attempts that failed", retries));
        }
        html_to!(main, "{}", super::frame::part("calls", "Calls", calls(&service, &facts, step, from)));
        let events = (!facts.run.state.is_final()).then(|| format!("/v1/runs/{id}/events"));
        let title = format!("{} of run {id} ({state})", step.name);
        Ok(Page { title: &title, section: "runs", events, main }.answer(&service, Some(&caller)))
    })
    .await
}

/// What was chosen, why, and what it is predicted to take.
fn choice(facts: &Facts, step: &PlanStep) -> Markup {
    let p = &step.predicted;
    let measured = facts.measured(step);
    let off = measured.and_then(|(_, off)| off).map(|off| html!(" ({})", percent(Some(off))));
    let fallbacks: Markup = in_place(step)
        .map(|by| html!("<div>{} on {}</div>", render::carried_out_by(&by), render::hardware(&by)))
        .collect();
    let conditions = &step.conditions;
    let timeout = conditions.timeout_ms.map(|ms| html!("; {} each", duration(ms as f64 / 1e3)));
    let weakest = step.evidence.first().map(|e| html!("{} is {} ({})", e.figure, render::kind(e.kind), e.source));
    pairs(
        "pairs",
        &[
            ("Carried out by", html!("{} on {}", render::carried_out_by(step), render::hardware(step))),
            ("By way of", html!("{}", engine(&step.engine))),
            ("Why", html!("{}", step.reason)),
            ("If it fails", fallbacks),
            ("Attempts", html!("{}{}", conditions.retries.saturating_add(1), timeout)),
            (
                "Time",
                html!(
                    "{} planned{}{}",
                    render::seconds(p.latency_s),
                    measured.map(|(s, _)| html!(", {} measured", duration(s))),
                    off
                ),
            ),
            ("Cost", html!("{} planned", render::dollars(p.cost_usd))),
            ("Quality", html!("{} planned", render::percent(p.quality))),
            ("Weakest evidence", weakest.unwrap_or_default()),
        ],
    )
}

/// Attempts at a step's calls that failed and were followed by others.
fn retries(facts: &Facts, step: &PlanStep) -> Option<Markup> {
    let all: Vec<_> = facts.retries().into_iter().filter(|retry| retry.step == step.id).collect();
    let row = |retry: &Retry<'_>| {
        vec![
            html!("{}", duration(retry.at_s)),
            html!("{}", retry.attempt),
            html!("<span class=\"said\">{}</span>", retry.message),
        ]
    };
    let rows: Vec<_> = all.iter().take(100).map(row).collect();
    let more = (all.len() > rows.len()).then(|| html!("<p class=\"note\">{} more.</p>", all.len() - rows.len()));
    let table = table("Attempts that failed", &["#After", "#Attempt", "Why"], &rows);
    (!rows.is_empty()).then(|| html!("{}{}", table, more))
}

/// How a step is executed, in a few words.
fn engine(engine: &Engine) -> String {
    match engine {
        Engine::Process { commands, .. } => {
            let names: Vec<&str> = commands.iter().filter_map(|c| c.first()).map(String::as_str).collect();
            format!("programs: {}", names.join(", then "))
        }
        Engine::Builtin { function, .. } => format!("the runtime's own `{function}`"),
        Engine::Browser { action } => format!("a browser: {action}"),
        Engine::Openai(provider) | Engine::Anthropic(provider) | Engine::Bedrock(provider) => {
            format!("{} ({})", provider.model, provider.api)
        }
        Engine::Python { module, function, .. } => format!("Python: {function} of {module}"),
        Engine::Worker { worker, model, .. } => format!("{model} in a worker ({worker})"),
        Engine::Mcp { tool, .. } => format!("the tool `{tool}` of a server (MCP)"),
        Engine::Http(call) => format!("HTTP: {} {}", call.method, call.path),
        Engine::Planned { name, .. } => format!("{name}, which cannot be executed"),
    }
}

fn calls(service: &Service, facts: &Facts, step: &PlanStep, from: usize) -> Markup {
    let all: Vec<&CallFacts> = facts.calls.iter().filter(|call| call.call.step == step.id).collect();
    if all.is_empty() {
        return html!("<p class=\"dim\">None was begun.</p>");
    }
    let shown: Vec<&CallFacts> = all.iter().skip(from).take(PAGE).copied().collect();
    // Values are read from the journal while its lock is held: as few as a page shows.
    let given: Vec<Option<Args>> = service
        .journal(|db| {
            let results =
                facts.calls.iter().filter_map(|c| Some((c.call.path.as_str(), &c.done.as_ref()?.0))).collect();
            let Some(plan) = &facts.plan else { return Ok(Vec::new()) };
            let past = Past { plan, inputs: &facts.inputs, results, journal: db };
            Ok(shown.iter().map(|call| past.arguments(&call.call.path, &call.input)).collect())
        })
        .unwrap_or_default();
    let mut out = html!("<ol class=\"calls\" start=\"{}\">", from + 1);
    for (n, call) in shown.iter().enumerate() {
        html_to!(
            out,
            "<li>{}</li>",
            one(service, facts, step, call, given.get(n).and_then(Option::as_ref), all.len() == 1)
        );
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

/// A call, opened where it is the only one or failed.
fn one(
    service: &Service,
    facts: &Facts,
    step: &PlanStep,
    call: &CallFacts,
    given: Option<&Args>,
    only: bool,
) -> Markup {
    let state = facts.state_of_call(call);
    let took = call.to_s.unwrap_or_else(|| facts.took_s()) - call.from_s;
    let mut about = vec![duration(took.max(0.0))];
    about.extend((call.attempts > 1).then(|| format!("{} attempts", call.attempts)));
    about.extend(call.by.as_ref().map(|by| format!("by {by}")));
    if let Some((_, usage, _, source)) = &call.done {
        about.extend((*source == Source::Cached).then(|| "from the cache".to_owned()));
        about.extend((*source == Source::Recovered).then(|| "recovered from its folder".to_owned()));
        let tokens = usage.tokens_in.saturating_add(usage.tokens_out);
        about.extend((tokens > 0).then(|| format!("{} + {} tokens", usage.tokens_in, usage.tokens_out)));
        about.extend(usage.cost_usd.map(render::dollars));
    }
    let open = if only || call.failed { html!(" open") } else { Markup::default() };
    let troubles: Markup =
        call.troubles.iter().map(|why| html!("<pre class=\"wrong\" tabindex=\"0\">{}</pre>", why)).collect();
    let troubles = (!troubles.is_empty()).then(|| html!("<h3>What went wrong</h3>{}", troubles));
    let input = match given {
        Some(args) => {
            args.iter().map(|(name, given)| html!("<h4>{}</h4>{}", name, value(&facts.shown(given)))).collect()
        }
        None => html!("<p class=\"dim\">It cannot be made again from the journal.</p>"),
    };
    let said = given
        .and_then(|args| said(step, args))
        .map(|text| html!("<h3>What the model was asked</h3><pre tabindex=\"0\">{}</pre>", text));
    let output = call.done.as_ref().map(|(stored, ..)| match service.journal(|db| db.blobs().value(stored)) {
        Ok(gave) => html!("<h3>Output</h3>{}{}", value(&facts.shown(&gave)), run::links(facts, &gave)),
        Err(fault) => html!("<h3>Output</h3><p class=\"wrong\">{}</p>", fault.message),
    });
    html!(
        "<details id=\"call-{}\"{}><summary>{} <code>{}</code> <span class=\"dim\">{}</span></summary>{}<h3>Input</h3>{}{}{}</details>",
        call.call.number,
        open,
        dag::inline(state),
        call.call.path,
        about.join(" · "),
        troubles,
        input,
        said,
        output
    )
}

/// The prompt with what was put into it, where that is text alone: pictures are shown with the input.
fn said(step: &PlanStep, args: &Args) -> Option<String> {
    let provider = step.engine.provider()?;
    if args.values().any(|value| !files(value).is_empty()) {
        return None;
    }
    match block_on(prompt::content(&provider.prompt, args)).ok()?.ok()? {
        Value::String(text) => Some(text),
        _ => None,
    }
}
