//! `/runs/{id}/plan`: what was decided and why; clauses with their slack; the source, where the run came as one.

use super::Shown;
use super::frame::{Page, held, pairs, part, table};
use crate::ask::what_if::proof;
use crate::html::markup::Markup;
use crate::plan::fallback::in_place;
use crate::plan::model::{Plan, PlanClause, PlanStep, Totals};
use crate::plan::render::{self, SLO, carried_out_by, dollars, hardware, metric, percent, seconds, watt_hours};
use crate::run::shown::dag;
use crate::serve::Service;
use crate::serve::api::guard::Caller;
use crate::serve::api::refusal::Refusal;
use crate::serve::api::runs::seen;
use crate::serve::sources;
use crate::serve::store::Accepted;
use crate::{html, html_to};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use rust_decimal::prelude::ToPrimitive;
use std::sync::Arc;

/// The plan of a run.
pub fn of(service: &Service, run: &Accepted) -> Shown<Plan> {
    let text = service.store.plan(&run.tenant, &run.plan)?;
    let plan = text.and_then(|text| serde_json::from_str(&text).ok());
    plan.ok_or_else(|| Refusal::absent("the run's plan cannot be read by this version"))
}

/// Shows the plan of a run.
pub async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<u64>, PathRejection>,
) -> Shown<Response> {
    let run = seen(&service, &caller, id)?;
    super::aside(move || {
        let plan = of(&service, &run)?;
        let (id, job) = (run.id, &run.job);
        let mut main = html!(
            "<p class=\"crumbs\"><a href=\"/\">Runs</a> / <a href=\"/runs/{}\">{} ({})</a> / plan</p><div class=\"head\"><h1>Plan of {}</h1>\
             <div class=\"actions\"><a class=\"button\" href=\"/runs/{}/solve\">Trade-offs</a></div></div>",
            id, id, job, job, id
        );
        html_to!(main, "{}", part("totals", "Predicted for a run", totals(&plan)));
        html_to!(main, "{}", part("clauses", "Clauses", clauses(&plan, true)));
        html_to!(main, "{}", part("flow", "Data flow, by what carries it out", dag::by_choice(&plan)));
        html_to!(main, "{}", part("why", "Steps and reasons", reasons(&plan)));
        if let Some(order) = sources::of(&service.folder, &run.tenant, &run.plan) {
            html_to!(main, "{}", part("source", "Source", html!("<pre tabindex=\"0\">{}</pre>", order.source)));
        }
        let text = render::text(&plan, 140);
        html_to!(
            main,
            "<section class=\"part\"><h2>As text</h2><details id=\"text\"><summary>What <code>mkbc plan</code> prints</summary><pre tabindex=\"0\">{}</pre></details></section>",
            text
        );
        let title = format!("Plan of run {id}: {job}");
        Ok(Page { title: &title, section: "runs", events: None, main }.answer(&service, Some(&caller)))
    })
    .await
}

/// What a plan comes to, what it wishes and how far that is proved.
pub fn totals(plan: &Plan) -> Markup {
    let total = &plan.total;
    let cards = pairs(
        "cards",
        &[
            ("Time", html!("{}", seconds(total.latency_s))),
            ("Cost", html!("{}", dollars(total.cost_usd))),
            ("Energy", html!("{}", energy(total))),
            ("Quality", html!("{}", percent(total.quality))),
            ("GPUs", html!("{}", total.gpus)),
        ],
    );
    let wishes: Vec<&str> = plan.wishes.iter().map(|wish| wish.text.as_str()).collect();
    let rate = plan.rate_per_s.map(|rate| html!("{} runs a second", rate.normalize().to_string()));
    let robust = plan.robust.then(|| html!("every figure is taken at the worst end of its interval"));
    let more = pairs(
        "pairs",
        &[
            ("Wishes", html!("{}", wishes.join(", then "))),
            ("Proof", html!("{}", proof(plan))),
            ("Machines", html!("{}", plan.cluster.name)),
            ("Rate", rate.unwrap_or_default()),
            ("Robust", robust.unwrap_or_default()),
            ("Compiler", html!("{}", plan.compiler)),
        ],
    );
    html!("{}{}", cards, more)
}

/// What a plan says of energy: of some steps, nobody may know it.
pub fn energy(total: &Totals) -> String {
    match (total.energy_known, total.energy_wh.is_zero()) {
        (true, _) => watt_hours(total.energy_wh),
        (false, true) => "unknown".to_owned(),
        (false, false) => format!("≥ {}", watt_hours(total.energy_wh)),
    }
}

/// The clauses of a plan, each with what is left of it; with the lines that they are on, where these are the source's.
pub fn clauses(plan: &Plan, lines: bool) -> Markup {
    if plan.clauses.is_empty() {
        return html!("<p class=\"dim\">The job has no limits.</p>");
    }
    let row = |clause: &PlanClause| {
        let numeric = clause.metric != "rule";
        let (value, slack) = match numeric {
            true => (metric(&clause.metric, clause.value), metric(&clause.metric, clause.slack)),
            false => (String::new(), String::new()),
        };
        let price = clause.price.as_ref().and_then(|price| render::priced(clause, price));
        vec![
            html!("<code>{}</code>", clause.text),
            held(clause.holds, clause.soft),
            html!("{}", value),
            html!("{}", slack),
            if numeric { used(clause) } else { Markup::default() },
            html!("{}", price),
            html!("{}", if clause.line == 0 { SLO.to_string() } else { clause.line.to_string() }),
        ]
    };
    let mut rows: Vec<_> = plan.clauses.iter().map(row).collect();
    let mut head = vec!["Clause", "Holds", "#Value", "#Slack", "Of the limit", "What moving it changes", "#Line"];
    // Columns that say nothing are left out.
    let priced = plan.clauses.iter().any(|clause| clause.price.is_some());
    for (at, shown) in [(6, lines), (5, priced)] {
        if !shown {
            head.remove(at);
            rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
    }
    table("Clauses", &head, &rows)
}

/// How much of a limit is used, as a bar beside the figure that says it.
fn used(clause: &PlanClause) -> Markup {
    let (value, limit) = (clause.value.to_f64().unwrap_or(0.0), clause.limit.to_f64().unwrap_or(0.0));
    // A floor is used up the nearer the value comes to it from above.
    let share = if clause.metric == "quality" { limit / value.max(1e-12) } else { value / limit.max(1e-12) };
    let wide = format!("{:.1}", share.clamp(0.0, 1.0) * 100.0);
    html!(
        "<svg class=\"used\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"whole\" width=\"100\" height=\"8\" \
         rx=\"2\"/><rect class=\"filled\" width=\"{}\" height=\"8\" rx=\"2\"/></svg> {} %",
        wide,
        format!("{:.0}", share * 100.0)
    )
}

fn reasons(plan: &Plan) -> Markup {
    let composed = plan.compositions.iter().map(|c| {
        html!("<p><strong>{}</strong> is composed by <code>{}</code>: {}</p>", c.call, c.composition, c.reason)
    });
    let row = |step: &PlanStep| {
        let p = &step.predicted;
        let label = if step.line == 0 { html!("a fill") } else { html!("line {}", step.line) };
        let others: Vec<String> =
            in_place(step).map(|by| format!("{} on {}", carried_out_by(&by), hardware(&by))).collect();
        let others = (!others.is_empty()).then(|| html!("<br><small>if it fails: {}</small>", others.join(", then ")));
        let evidence = step.evidence.first().map(|e| html!("{} <small>{}</small>", render::kind(e.kind), e.figure));
        vec![
            html!("{}<br><small>{}</small>", step.name, label),
            html!("{}<br><small>on {}</small>", carried_out_by(step), hardware(step)),
            html!("{}{}", step.reason, others),
            html!("{}", seconds(p.latency_s)),
            html!("{}", dollars(p.cost_usd)),
            html!("{}", p.energy_wh.map_or("unknown".to_owned(), watt_hours)),
            html!("{}", percent(p.quality)),
            evidence.unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = plan.steps.iter().map(row).collect();
    let head = ["Step", "Carried out by", "Why", "#Time", "#Cost", "#Energy", "#Quality", "Weakest evidence"];
    html!("{}{}", composed.collect::<Markup>(), table("Steps and reasons", &head, &rows))
}
