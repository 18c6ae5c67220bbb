//! `/fleet`: the machines, what the plan in force has on them, the deployed workflows against their limits, and why plans were made.

use super::frame::{Page, badge, figure, figure_or_dash, held, marked, moment, pairs, part, table};
use super::{Shown, aside};
use crate::fleet::load::per_time;
use crate::html::markup::Markup;
use crate::run::devices::sensors::Load;
use crate::serve::Service;
use crate::serve::api::deployed::{
    ClauseStatus, FleetPlan, FleetStatus, HostStatus, InstanceStatus, Replanned, WorkflowState, WorkflowStatus,
};
use crate::serve::api::guard::Caller;
use crate::serve::api::{fleet, workflows};
use crate::{html, html_to};
use axum::extract::{Extension, State};
use axum::response::Response;
use rust_decimal::{Decimal, RoundingStrategy};
use std::sync::Arc;

/// Plans that the page shows.
const PLANS: usize = 30;

/// Shows the fleet.
pub async fn show(State(service): State<Arc<Service>>, Extension(caller): Extension<Caller>) -> Shown<Response> {
    aside(move || {
        let (status, all) = (fleet::whole(&service, &caller), workflows::all(&service, &caller)?);
        // Just started, the server has not looked yet.
        let cluster = if status.cluster.is_empty() { "not looked at yet" } else { status.cluster.as_str() };
        let unseen = status.unseen.as_ref().map(|why| {
            html!("<p class=\"note\">The machines cannot be looked at now ({}): this is what was seen last.</p>", why)
        });
        let mut main = html!("<h1>Fleet</h1>{}", unseen);
        html_to!(main, "{}", part("cluster", "Cluster", html!("<p>{}</p>", cluster)));
        html_to!(main, "{}", part("workflows", "Workflows", deployed(&all)));
        html_to!(main, "{}", part("plan", "The plan in force", in_force(status.plan.as_ref())));
        html_to!(main, "{}", part("devices", "Devices", devices(&status)));
        html_to!(main, "{}", part("instances", "Instances", instances(&status.instances)));
        if caller.tenant.sees_all {
            html_to!(main, "{}", part("load", "The server's machine", load(status.load.as_ref())));
            html_to!(main, "{}", part("hosts", "Hosts", hosts(&status.hosts)));
            html_to!(main, "{}", part("plans", "Why plans were made", made(&status.replans)));
        }
        let page = Page { title: "Fleet", section: "fleet", events: Some("list".to_owned()), main };
        Ok(page.answer(&service, Some(&caller)))
    })
    .await
}

/// Runs a second, as people speak of them.
fn rate(per_second: f64) -> String {
    per_time(Decimal::from_f64_retain(per_second).unwrap_or_default(), RoundingStrategy::MidpointAwayFromZero)
}

fn share(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

fn deployed(all: &[WorkflowStatus]) -> Markup {
    if all.is_empty() {
        return html!(
            "<div class=\"empty\"><p>Nothing is deployed.</p><pre>mkbc deploy job.mkb --rate 30/s --to THIS-SERVER</pre></div>"
        );
    }
    let row = |workflow: &WorkflowStatus| {
        let serving = match workflow.state {
            WorkflowState::Serving => marked("running", "serving"),
            WorkflowState::Draining => marked("stopped", "draining"),
        };
        let measured = workflow.measured_per_s.map_or_else(|| "–".to_owned(), rate);
        let latency = workflow.slo.latency_s;
        vec![
            html!("{}<br><small>{}</small>", workflow.name, workflow.docs),
            serving,
            html!("{}<br><small>admitted for {}</small>", measured, rate(workflow.rate_per_s)),
            html!("{}", workflow.open),
            html!("{}", workflow.slo.runs),
            html!("{}", figure_or_dash("latency", latency.map(|l| l.p50))),
            html!("{}", figure_or_dash("latency", latency.map(|l| l.p95))),
            html!("{}", figure_or_dash("cost", workflow.slo.cost_usd)),
            workflow.slo.clauses.iter().map(clause).collect(),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    let head = ["Workflow", "State", "#Rate", "#Open", "#Runs", "#p50", "#p95", "#Cost a run", "Limits"];
    table("Deployed workflows", &head, &rows)
}

/// A limit and how runs kept it.
fn clause(clause: &ClauseStatus) -> Markup {
    let kept = match (clause.measured, clause.holds) {
        (false, _) => html!("<small>not measured</small>"),
        (true, None) => html!("<small>no run yet</small>"),
        (true, Some(holds)) => held(holds, clause.soft),
    };
    let within = clause.within.map(|within| html!(" <small>{} within</small>", share(within)));
    html!("<div><code>{}</code> {}{}</div>", clause.text, kept, within)
}

fn in_force(plan: Option<&FleetPlan>) -> Markup {
    let Some(plan) = plan else { return html!("<p class=\"dim\">There is none: nothing is deployed.</p>") };
    let by_hour = |usd: f64| format!("{} an hour", figure("cost", usd));
    let saved = 1.0 - plan.usd_per_hour / plan.alone_usd_per_hour.max(1e-12);
    let shared = (plan.alone_usd_per_hour > 0.0)
        .then(|| html!("{}; sharing saves {}", by_hour(plan.alone_usd_per_hour), share(saved.max(0.0))));
    let proved = if plan.optimal { "no plan costs less" } else { "not proved to be the cheapest" };
    let all = [
        ("Plan", html!("{}", plan.number)),
        ("Since", at(&plan.since)),
        ("Cost", html!("{}", by_hour(plan.usd_per_hour))),
        ("Each workflow alone, at least", shared.unwrap_or_default()),
        ("Proof", html!("{}", proved)),
    ];
    pairs("pairs", &all)
}

/// A moment as the API writes it.
fn at(text: &str) -> Markup {
    match text.parse::<jiff::Timestamp>() {
        Ok(at) => moment(at.as_millisecond()),
        Err(_) => html!("{}", text),
    }
}

fn devices(status: &FleetStatus) -> Markup {
    let row = |(name, device): (&String, &crate::serve::api::deployed::DeviceStatus)| {
        vec![
            html!("{}", name),
            html!("{}", device.units),
            html!("{}", device.held),
            html!("{}", i64::from(device.units) - device.held),
            html!("{}", device.memory_gb.map_or_else(|| "–".to_owned(), |gb| format!("{gb} GB"))),
            html!("{} an hour", figure("cost", device.usd_per_hour)),
        ]
    };
    let rows: Vec<_> = status.devices.iter().map(row).collect();
    table("Devices", &["Device", "#There", "#Held", "#Free", "#Memory", "#Price of one"], &rows)
}

fn instances(all: &[InstanceStatus]) -> Markup {
    if all.is_empty() {
        return html!("<p class=\"dim\">There are none.</p>");
    }
    let counted = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), |count| count.to_string());
    let row = |instance: &InstanceStatus| {
        let busy = instance.busy.map_or_else(|| "–".to_owned(), share);
        vec![
            html!("{}", instance.instance),
            html!("{}", instance.replicas),
            html!("{} of {}", counted(instance.under_way), instance.slots),
            html!("{}<br><small>planned {}</small>", busy, share(instance.planned_busy)),
            html!("{}<br><small>{}</small>", counted(instance.calls), pace(instance)),
            html!(
                "{}{}",
                instance.workflows.join(", "),
                instance.shared.then(|| html!(" <small>and other tenants'</small>"))
            ),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    table("Instances", &["Instance", "#Replicas", "#Places taken", "#Busy", "#Calls", "Workflows"], &rows)
}

fn hosts(all: &[HostStatus]) -> Markup {
    if all.is_empty() {
        return html!(
            "<div class=\"empty\"><p>Runs are carried out on the server's own machine.</p><pre>mkbc worker --to THIS-SERVER --token-file FILE</pre></div>"
        );
    }
    let row = |host: &HostStatus| {
        let memory = host.memory_gb.map_or_else(|| "–".to_owned(), |gb| format!("{gb:.0} GB"));
        vec![
            html!("{}<br><small>{}</small>", host.name, host.address),
            if host.lost { marked("failed", "lost") } else { marked("running", "there") },
            html!("{}", host.cores),
            html!("{}", memory),
            html!("{}", if host.gpus.is_empty() { "–".to_owned() } else { host.gpus.join(", ") }),
            load(Some(&host.load)),
            host.runs.iter().map(|run| html!("<a href=\"/runs/{}\">{}</a> ", run, run)).collect(),
            html!("{} of {}", host.runs.len(), host.places),
            at(&host.heard),
        ]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    let head = ["Host", "State", "#Cores", "#Memory", "GPUs", "What it does", "Runs", "#Places taken", "Heard of last"];
    table("Hosts that carry runs out", &head, &rows)
}

/// What a machine does.
fn load(load: Option<&Load>) -> Markup {
    let lines = load.map(Load::lines).unwrap_or_default();
    if lines.is_empty() {
        return html!("<p class=\"dim\">Nothing is known yet.</p>");
    }
    lines.iter().map(|line| html!("<div>{}</div>", line)).collect()
}

/// How calls' times are to those of the plan.
fn pace(instance: &InstanceStatus) -> String {
    match instance.pace {
        None => String::new(),
        Some(1.0) => "as long as planned".to_owned(),
        Some(times) => format!("{times:.2} times as long as planned"),
    }
}

fn made(all: &[Replanned]) -> Markup {
    if all.is_empty() {
        return html!("<p class=\"dim\">None was made yet.</p>");
    }
    let lines = |lines: &[String]| -> Markup { lines.iter().map(|line| html!("<div>{}</div>", line)).collect() };
    let row = |made: &Replanned| {
        let saves =
            made.saves_usd_per_hour.map_or_else(|| "–".to_owned(), |usd| format!("{} an hour", figure("cost", usd)));
        let broken = made.broken.as_ref().map(|why| html!("<div><small>{}</small></div>", why));
        vec![
            at(&made.at),
            html!("{}", made.plan),
            match made.verdict.as_str() {
                "refused" => marked("failed", "refused"),
                verdict => badge(verdict),
            },
            html!("{}{}", lines(&made.because), broken),
            lines(&made.changes),
            html!("{}", saves),
        ]
    };
    let rows: Vec<_> = all.iter().take(PLANS).map(row).collect();
    let head = ["When", "#Plan", "What came of it", "Why", "What it changed", "#Saves"];
    table("Plans that were made, the latest first", &head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_in_the_unit_in_which_people_speak_of_them() {
        assert_eq!([30.0, 0.5, 2.0 / 3600.0, 0.0].map(rate), ["30/s", "30/min", "2/h", "0/s"]);
    }
}
