//! The table of a run's steps; a step in detail: what was chosen and why, attempts that failed, calls with what they were given and gave.

use super::dag;
use super::look::{badge, duration, excerpt, figure, figure_or_dash, pairs, table};
use super::story::{CallFacts, Retry, Story};
use crate::html;
use crate::html::markup::Markup;
use crate::ir::workflow::StepId;
use crate::library::Library;
use crate::plan::fallback::in_place;
use crate::plan::model::{Age, Engine, Plan, PlanStep, Reuse};
use crate::plan::render;
use crate::plan::verify::works;
use crate::run::block_on;
use crate::run::engines::Args;
use crate::run::engines::openai::prompt;
use crate::run::fault::Fault;
use crate::run::journal::record::Source;
use crate::run::meter::{Basis, StepMeasure};
use crate::run::report::percent;
use crate::run::value::files;
use ecow::EcoString;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;
use std::collections::BTreeMap;

/// Tokens that a step's calls were planned to read and write in a run.
pub type Planned = BTreeMap<StepId, (f64, f64)>;

/// The tokens that models are planned to read and write in a run, by step.
pub fn planned(plan: &Plan, library: &Library) -> Planned {
    let works = works(plan, library);
    let of = |(step, work): (&PlanStep, Vec<(EcoString, Decimal)>)| {
        step.engine.provider()?;
        let each = |name: &str| work.iter().find(|(dimension, _)| dimension == name).map(|(_, amount)| *amount);
        let all = |name: &str| each(name)?.checked_mul(step.calls)?.to_f64();
        Some((step.id, (all("input").unwrap_or(0.0), all("output").unwrap_or(0.0))))
    };
    plan.steps.iter().zip(works).filter_map(of).collect()
}

/// Step by step: what was chosen, and what it took beside what was predicted; `link` is where a name leads. Predicted tokens are shown where
/// somebody knows them.
pub fn table_of(story: &Story, link: &dyn Fn(StepId) -> String, tokens: Option<&Planned>) -> Markup {
    let Some(plan) = &story.plan else {
        return html!("<p class=\"dim\">The plan cannot be read.</p>");
    };
    let head = [
        "Step",
        "State",
        "Carried out by",
        "#Calls",
        "#Time",
        "#Off by",
        "#Cost",
        "#Tokens",
        "#Energy",
        "#Memory",
        "#Waited",
    ];
    let row = |step: &PlanStep| {
        let view = story.step(step.id).map(|(_, view)| view);
        let (m, measured) = (story.measures.get(&step.id), story.measured(step));
        let again = view.filter(|v| v.planned_again.is_some());
        let again = again.map(|v| html!("<br><small>instead of {}</small>", v.implementation));
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
        let p = &step.predicted;
        vec![
            html!("<a href=\"{}\">{}</a>{}", link(step.id), step.name, error),
            view.map(|view| badge(story.state_of(view))).unwrap_or_default(),
            html!(
                "{}<br><small>on {}</small>{}{}",
                render::carried_out_by(step),
                render::hardware(step),
                again,
                others
            ),
            html!("{}{}{}", calls, attempts, cached),
            beside(measured.map_or("–".to_owned(), |(s, _)| duration(s)), render::seconds(p.latency_s)),
            html!("{}", measured.and_then(|(_, off)| off).map_or("–".to_owned(), |off| percent(Some(off)))),
            beside(figure_or_dash("cost", m.and_then(|m| m.cost_usd)), render::dollars(p.cost_usd)),
            counted(m.map(|m| (m.tokens_in, m.tokens_out)), tokens.and_then(|all| all.get(&step.id)).copied()),
            beside(energy(m), p.energy_wh.map_or("unknown".to_owned(), render::watt_hours)),
            memory(m.and_then(|m| m.memory_gb), p.memory_gb.to_f64().unwrap_or(0.0)),
            html!("{}", m.map_or("–".to_owned(), |m| duration(m.queue_s))),
        ]
    };
    let mut rows: Vec<_> = plan.steps.iter().map(row).collect();
    rows.push(total(story, tokens));
    let about = story.measures.values().any(|m| m.energy_wh.is_some() && m.energy_basis != Some(Basis::Measured));
    let about = about.then(|| html!("≈ by the plan's power and the measured time, where no counter was read. "));
    html!(
        "{}<p class=\"note\">{}Waited: for devices, all calls together; known once it has ended.</p>",
        table("Steps", &head, &rows),
        about
    )
}

/// All steps together. The time is that of the run, whose steps overlap.
fn total(story: &Story, tokens: Option<&Planned>) -> Vec<Markup> {
    let all = &story.measures;
    let Some(total) = story.plan.as_ref().map(|plan| &plan.total) else { return Vec::new() };
    let sum =
        |of: fn(&StepMeasure) -> Option<f64>| all.values().map(of).sum::<Option<f64>>().filter(|_| !all.is_empty());
    let about = if all.values().any(|m| m.energy_basis != Some(Basis::Measured)) { "≈ " } else { "" };
    let energy = sum(|m| m.energy_wh).map_or("–".to_owned(), |wh| format!("{about}{}", figure("energy", wh)));
    let least = if total.energy_known { "" } else { "at least " };
    let read = all.values().map(|m| m.tokens_in).fold(0, u64::saturating_add);
    let written = all.values().map(|m| m.tokens_out).fold(0, u64::saturating_add);
    let planned = tokens.map(|all| all.values().fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1)));
    vec![
        html!("Whole run"),
        Markup::default(),
        Markup::default(),
        html!("{}", all.values().map(|m| m.calls).sum::<u64>()),
        beside(duration(story.took_s), render::seconds(total.latency_s)),
        Markup::default(),
        beside(figure_or_dash("cost", sum(|m| m.cost_usd)), render::dollars(total.cost_usd)),
        counted(Some((read, written)), planned),
        beside(energy, format!("{least}{}", render::watt_hours(total.energy_wh))),
        Markup::default(),
        html!("{}", duration(all.values().map(|m| m.queue_s).sum())),
    ]
}

fn beside(measured: String, planned: String) -> Markup {
    html!("{}<br><small>planned {}</small>", measured, planned)
}

/// Tokens that were read and written, beside those that were planned.
fn counted(measured: Option<(u64, u64)>, planned: Option<(f64, f64)>) -> Markup {
    let planned = planned.map(|(read, written)| {
        html!("<br><small>planned {} + {}</small>", format!("{read:.0}"), format!("{written:.0}"))
    });
    match measured {
        Some((0, 0)) | None => html!("–{}", planned),
        Some((read, written)) => html!("{} + {}{}", read, written, planned),
    }
}

/// Memory, where it is this machine's or that of a model.
fn memory(measured_gb: Option<f64>, planned_gb: f64) -> Markup {
    let gb = |gb: f64| format!("{gb:.2} GB");
    match measured_gb {
        None if planned_gb <= 0.0 => html!("–"),
        measured => beside(measured.map_or("–".to_owned(), gb), gb(planned_gb)),
    }
}

fn energy(m: Option<&StepMeasure>) -> String {
    match m.map(|m| (m.energy_wh, m.energy_basis)) {
        Some((Some(wh), Some(Basis::Measured))) => figure("energy", wh),
        Some((Some(wh), _)) => format!("≈ {}", figure("energy", wh)),
        _ => "–".to_owned(),
    }
}

/// What a step says of results of other runs.
fn reuse(said: Reuse) -> Markup {
    match said {
        Reuse::Always(true) => html!("taken over"),
        Reuse::Always(false) => html!("not taken over"),
        Reuse::While(Age { at_most_ms }) => {
            html!("taken over for {}", duration(at_most_ms as f64 / 1e3))
        }
    }
}

/// What was chosen, why, and what it is predicted to take.
pub fn choice(story: &Story, step: &PlanStep) -> Markup {
    let p = &step.predicted;
    let measured = story.measured(step);
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
            ("Results of other runs", html!("{}", conditions.cache.map(reuse))),
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

/// What a model is asked with, where one carries the step out.
pub fn asked(step: &PlanStep) -> Option<Markup> {
    let provider = step.engine.provider()?;
    let system =
        (!provider.system.is_empty()).then(|| html!("<h3>System</h3><pre tabindex=\"0\">{}</pre>", provider.system));
    Some(html!("{}<h3>User</h3><pre tabindex=\"0\">{}</pre>", system, provider.prompt))
}

/// Attempts at a step's calls that failed and were followed by others.
pub fn retries(story: &Story, step: &PlanStep) -> Option<Markup> {
    let all: Vec<_> = story.retries().into_iter().filter(|retry| retry.step == step.id).collect();
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

/// What a call was given and what it gave.
pub struct Values<'v> {
    /// Its arguments, where the journal's data flow gives them.
    pub given: Option<&'v Args>,
    /// Its result.
    pub gave: Option<Result<Value, Fault>>,
    /// Links to the files of a result.
    pub files: &'v dyn Fn(&Value) -> Markup,
    /// Characters of a value that are shown.
    pub most: usize,
}

/// A call; without values where they are not to be shown.
pub fn call(story: &Story, step: &PlanStep, call: &CallFacts, values: Option<&Values<'_>>, open: bool) -> Markup {
    let state = story.state_of_call(call);
    let took = call.to_s.unwrap_or(story.took_s) - call.from_s;
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
    let open = if open || call.failed { html!(" open") } else { Markup::default() };
    let troubles: Markup =
        call.troubles.iter().map(|why| html!("<pre class=\"wrong\" tabindex=\"0\">{}</pre>", why)).collect();
    let troubles = (!troubles.is_empty()).then(|| html!("<h3>What went wrong</h3>{}", troubles));
    html!(
        "<details id=\"call-{}-{}\"{}><summary>{} <code>{}</code> <span class=\"dim\">{}</span></summary>{}{}</details>",
        step.id.0,
        call.call.number,
        open,
        dag::inline(state),
        call.call.path,
        about.join(" · "),
        troubles,
        values.map(|values| inside(story, step, values))
    )
}

fn inside(story: &Story, step: &PlanStep, values: &Values<'_>) -> Markup {
    let input = match values.given {
        Some(args) => args
            .iter()
            .map(|(name, given)| html!("<h4>{}</h4>{}", name, excerpt(&story.shown(given), values.most)))
            .collect(),
        None => html!("<p class=\"dim\">It cannot be made again from the journal.</p>"),
    };
    let said = values
        .given
        .and_then(|args| said(step, args))
        .map(|text| html!("<h3>What the model was asked</h3>{}", excerpt(&Value::String(text), values.most)));
    let output = values.gave.as_ref().map(|gave| match gave {
        Ok(gave) => html!("<h3>Output</h3>{}{}", excerpt(&story.shown(gave), values.most), (values.files)(gave)),
        Err(fault) => html!("<h3>Output</h3><p class=\"wrong\">{}</p>", fault.message),
    });
    html!("<h3>Input</h3>{}{}{}", input, said, output)
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
