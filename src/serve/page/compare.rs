//! `/compare?run=1&run=2`: two runs, figure by figure and step by step; what differs between their plans and between their answers.

use super::facts::Facts;
use super::frame::{Page, badge, duration, figure, figure_or_dash, moment, part, table};
use super::{Shown, query};
use crate::html::markup::Markup;
use crate::plan::diff::diff;
use crate::plan::render;
use crate::run::journal::replay::End;
use crate::run::meter::StepMeasure;
use crate::serve::Service;
use crate::serve::api::guard::Caller;
use crate::serve::api::runs::seen;
use crate::{html, html_to};
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::Response;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use std::sync::Arc;

/// Characters of answers that are compared line by line.
const MOST: usize = 200_000;

/// Shows the form, and the comparison where two runs are named.
pub async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    RawQuery(raw): RawQuery,
) -> Shown<Response> {
    let all = query(raw.as_deref());
    let named: Vec<String> =
        all.into_iter().filter(|(name, _)| name == "run").map(|(_, n)| n.trim().to_owned()).collect();
    let given = |at: usize| named.get(at).map_or("", String::as_str);
    let form = html!(
        "<form class=\"filter\" action=\"/compare\"><label>One run <input name=\"run\" inputmode=\"numeric\" value=\"{}\" required></label>\
         <label>Another run <input name=\"run\" inputmode=\"numeric\" value=\"{}\" required></label><button class=\"primary\">Compare</button></form>",
        given(0),
        given(1)
    );
    let main = html!("<h1>Compare runs</h1>{}", form);
    let wanted: Vec<u64> = named.iter().filter(|n| !n.is_empty()).filter_map(|n| n.parse().ok()).collect();
    let [one, other] = wanted[..] else {
        let said = match named.iter().filter(|n| !n.is_empty()).count() {
            0 | 1 => "Give the numbers of two runs, or tick two in the list of runs.",
            _ => "Two numbers are needed: a comparison is of two runs.",
        };
        let main = html!("{}<p class=\"dim\">{}</p>", main, said);
        return Ok(
            Page { title: "Compare runs", section: "compare", events: None, main }.answer(&service, Some(&caller))
        );
    };
    let (one, other) = (seen(&service, &caller, Ok(Path(one)))?, seen(&service, &caller, Ok(Path(other)))?);
    super::aside(move || {
        let sides = [Facts::read(&service, one)?, Facts::read(&service, other)?];
        let [a, b] = &sides;
        let title = format!("Runs {} and {}", a.run.id, b.run.id);
        let mut main = main;
        html_to!(main, "{}", part("figures", "Figures", figures(a, b)));
        html_to!(main, "{}", part("steps", "Step by step", steps(a, b)));
        html_to!(main, "{}", part("plans", "Plans", plans(a, b)));
        html_to!(main, "{}", part("answers", "Answers", answers(&service, a, b)));
        Ok(Page { title: &title, section: "compare", events: None, main }.answer(&service, Some(&caller)))
    })
    .await
}

fn figures(a: &Facts, b: &Facts) -> Markup {
    let sum = |facts: &Facts, of: fn(&StepMeasure) -> Option<f64>| {
        Some(&facts.story.measures)
            .filter(|all| !all.is_empty())
            .and_then(|all| all.values().map(of).sum::<Option<f64>>())
    };
    let cost = |f: &Facts| f.run.spent_micro.map(|micro| micro as f64 / 1e6).or_else(|| sum(f, |m| m.cost_usd));
    let took = |f: &Facts| f.story.begun_ms.map(|_| f.story.took_s);
    let tokens = |f: &Facts| f.story.measures.values().map(|m| m.tokens_in.saturating_add(m.tokens_out)).sum::<u64>();
    let both = |name: &'static str, what: &dyn Fn(&Facts) -> Markup| {
        vec![html!("{}", name), what(a), what(b), Markup::default()]
    };
    let number = |name: &'static str, metric: &str, of: &dyn Fn(&Facts) -> Option<f64>| {
        let change = of(a).zip(of(b)).map(|(a, b)| {
            if a == b {
                return "same".to_owned();
            }
            let sign = if b < a { "−" } else { "+" };
            let share = if a > 0.0 { format!(" ({sign}{:.0} %)", ((b - a) / a * 100.0).abs()) } else { String::new() };
            format!("{sign}{}{share}", figure(metric, (b - a).abs()))
        });
        vec![
            html!("{}", name),
            html!("{}", figure_or_dash(metric, of(a))),
            html!("{}", figure_or_dash(metric, of(b))),
            html!("{}", change.unwrap_or("–".to_owned())),
        ]
    };
    let rows = [
        both("Job", &|f| html!("{}", f.run.job)),
        both("State", &|f| badge(f.run.state.text())),
        both("Submitted", &|f| moment(f.run.submitted_ms)),
        number("Time", "latency", &took),
        number("Cost", "cost", &cost),
        number("Energy", "energy", &|f| sum(f, |m| m.energy_wh)),
        both("Tokens", &|f| html!("{}", tokens(f))),
        both("Waited in the queue", &|f| html!("{}", duration(f.story.waited_s))),
        number("Quality, as planned", "quality", &|f| {
            f.story.plan.as_ref().map(|p| super::run::planned(p.total.quality))
        }),
    ];
    let names = [a, b].map(|f| format!("#Run {}", f.run.id));
    let links = html!(
        "<p><a href=\"/runs/{}\">Run {}</a> · <a href=\"/runs/{}\">Run {}</a></p>",
        a.run.id,
        a.run.id,
        b.run.id,
        b.run.id
    );
    html!("{}{}", links, table("Figures of both runs", &["Figure", &names[0], &names[1], "#Change"], &rows))
}

fn steps(a: &Facts, b: &Facts) -> Markup {
    let of = |facts: &Facts| facts.story.steps.iter().map(|view| view.step.clone()).collect::<Vec<_>>();
    let (first, second) = (of(a), of(b));
    let names = first.iter().chain(second.iter().filter(|name| !first.contains(name)));
    let cells = |facts: &Facts, name: &str| {
        let found = facts.story.plan.as_ref().and_then(|plan| plan.steps.iter().find(|step| step.name == name));
        let Some((step, view)) = found.and_then(|step| facts.story.step(step.id)) else {
            return vec![html!("–"), Markup::default(), Markup::default(), Markup::default()];
        };
        vec![
            html!("{}<br><small>on {}</small>", render::carried_out_by(step), render::hardware(step)),
            badge(facts.story.state_of(view)),
            html!("{}", facts.story.measured(step).map_or("–".to_owned(), |(s, _)| duration(s))),
            html!("{}", figure_or_dash("cost", facts.story.measures.get(&step.id).and_then(|m| m.cost_usd))),
        ]
    };
    let row = |name: &String| [vec![html!("{}", name)], cells(a, name), cells(b, name)].concat();
    let rows: Vec<_> = names.map(row).collect();
    let (x, y) = (a.run.id, b.run.id);
    let head = [
        "Step".to_owned(),
        format!("{x}: carried out by"),
        format!("{x}: state"),
        format!("#{x}: time"),
        format!("#{x}: cost"),
        format!("{y}: carried out by"),
        format!("{y}: state"),
        format!("#{y}: time"),
        format!("#{y}: cost"),
    ];
    table("Steps of both runs", &head.each_ref().map(String::as_str), &rows)
}

fn plans(a: &Facts, b: &Facts) -> Markup {
    let (Some(before), Some(after)) = (&a.story.plan, &b.story.plan) else {
        return html!("<p class=\"dim\">One of the plans cannot be read.</p>");
    };
    let lines = diff(before, after);
    if lines.is_empty() {
        return html!("<p>They are the same.</p>");
    }
    let lines: Markup = lines.iter().map(|line| html!("<li>{}</li>", line)).collect();
    html!("<ul class=\"changes\">{}</ul>", lines)
}

fn answers(service: &Service, a: &Facts, b: &Facts) -> Markup {
    let text = |facts: &Facts| match &facts.story.replay.end {
        End::Answered(stored) => {
            service.journal(|db| db.blobs().value(stored)).ok().map(|value| match facts.story.shown(&value) {
                Value::String(text) => text,
                other => format!("{other:#}"),
            })
        }
        _ => None,
    };
    let (Some(before), Some(after)) = (text(a), text(b)) else {
        return html!("<p class=\"dim\">Not both of them have one.</p>");
    };
    if before == after {
        return html!("<p>They are the same.</p>");
    }
    if before.len().max(after.len()) > MOST {
        return html!("<p>They differ, and are too long to be shown here.</p>");
    }
    let mut out = html!("<p>They differ.</p><pre class=\"diff\" tabindex=\"0\">");
    for change in TextDiff::from_lines(&before, &after).iter_all_changes() {
        let (class, sign) = match change.tag() {
            ChangeTag::Delete => ("gone", "− "),
            ChangeTag::Insert => ("new", "+ "),
            ChangeTag::Equal => ("", "  "),
        };
        html_to!(out, "<span class=\"{}\">{}{}</span>", class, sign, change.value().trim_end_matches('\n'));
    }
    html_to!(out, "</pre>");
    out
}
