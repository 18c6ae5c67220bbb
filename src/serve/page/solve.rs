//! `/runs/{id}/solve`: limits to move, the plan there is then, and what is to be had for what. Everything is solved again by the planner: the
//! script only sends the form when a slider comes to rest.

use super::frame::{Page, marked, pairs, part, table};
use super::{Shown, plan as plans, plot, query};
use crate::ask::answer::{Change, Front, changes};
use crate::ask::names::shown;
use crate::ask::render::front::{extent, labels, value};
use crate::ask::what_if::proof;
use crate::check::program::Metric;
use crate::html::markup::Markup;
use crate::plan::build::total_of;
use crate::plan::diff::diff;
use crate::plan::model::{Plan, Totals};
use crate::plan::render::metric;
use crate::serve::Service;
use crate::serve::api::guard::Caller;
use crate::serve::api::runs::seen;
use crate::serve::api::submit::turn;
use crate::serve::planning::ask::{Answer, Question};
use crate::serve::sources;
use crate::serve::store::Accepted;
use crate::space::sizes::InputSizes;
use crate::{html, html_to};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::response::Response;
use rust_decimal::{Decimal, dec};
use std::sync::Arc;

/// Points of a front at most.
const POINTS: usize = 40;

/// The metrics that can be traded off here, and the unit of each in a limit; quality is written in hundredths.
pub const METRICS: [(Metric, &str, &str); 4] = [
    (Metric::Latency, "latency", "s"),
    (Metric::Cost, "cost", "usd"),
    (Metric::Quality, "quality", "%"),
    (Metric::Energy, "energy", "Wh"),
];

/// A limit, as the form has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Of what.
    pub metric: Metric,
    /// Its name.
    pub name: &'static str,
    /// Its value in the metric's unit; none where there is no limit.
    pub limit: Option<Decimal>,
}

impl Limit {
    /// As a line of the language.
    fn line(&self) -> Option<String> {
        let unit = METRICS.iter().find(|(metric, ..)| *metric == self.metric).map(|(_, _, unit)| *unit)?;
        let (sign, times) = if self.metric == Metric::Quality { (">=", dec!(100)) } else { ("<=", dec!(1)) };
        Some(format!("{} {sign} {} {unit}", self.name, (self.limit? * times).normalize()))
    }

    /// Whether totals keep it.
    pub fn keeps(&self, total: &Totals) -> bool {
        let value = total_of(self.metric, total);
        self.limit.is_none_or(|limit| if self.metric == Metric::Quality { value >= limit } else { value <= limit })
    }
}

/// What the form asks for.
struct Wanted {
    limits: Vec<Limit>,
    /// The axes of the plot.
    axes: [usize; 2],
    /// Whether the limits are those of the form, and not the plan's own.
    moved: bool,
}

impl Wanted {
    fn of(raw: Option<&str>, plan: &Plan) -> Wanted {
        let all = query(raw);
        let said = |name: &str| all.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let moved = said("moved").is_some();
        let limit = |(metric, name, _): (Metric, &'static str, &str)| {
            let own = plan.clauses.iter().find(|c| c.metric == name && !c.soft).map(|c| c.limit);
            let on = all.iter().any(|(key, value)| key == "on" && value == name);
            // As many digits as a slider can mean: what comes is anybody's text.
            let given = said(name).and_then(|text| text.parse::<Decimal>().ok()).map(|n| n.round_dp(9));
            let given = given.filter(|n| *n >= Decimal::ZERO && *n < dec!(1e9));
            Limit { metric, name, limit: if moved { given.filter(|_| on) } else { own } }
        };
        let axis = |name: &str, usual: usize| {
            said(name).and_then(|word| METRICS.iter().position(|(_, name, _)| *name == word)).unwrap_or(usual)
        };
        let axes = match [axis("x", 1), axis("y", 0)] {
            [x, y] if x == y => [x, usize::from(x == 0)],
            axes => axes,
        };
        Wanted { limits: METRICS.map(limit).into(), axes, moved }
    }
}

/// Shows the trade-offs of a run's job.
pub async fn show(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<u64>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Shown<Response> {
    let run = seen(&service, &caller, id)?;
    let turn = turn(&service).await?;
    super::aside(move || {
        let _turn = turn;
        let plan = plans::of(&service, &run)?;
        let order = sources::of(&service.folder, &run.tenant, &run.plan);
        let mut main = head(&run);
        match order {
            None => html_to!(
                main,
                "<div class=\"empty\"><p>This run was submitted as a finished plan: there is no source to plan again.</p>\
                 <p>Submit the job's source (<code>mkbc submit job.mkb</code>), and its limits can be moved here.</p>\
                 <p><a class=\"button\" href=\"/runs/{}/plan\">Its plan</a></p></div>",
                run.id
            ),
            Some(order) => {
                let wanted = Wanted::of(raw.as_deref(), &plan);
                let sizes: InputSizes = plan
                    .inputs
                    .iter()
                    .map(|i| (i.name.as_str().into(), i.sizes.iter().map(|(n, v)| (n.as_str().into(), *v)).collect()))
                    .collect();
                let limits: Vec<String> = wanted.limits.iter().filter(|_| wanted.moved).filter_map(Limit::line).collect();
                let off = |limit: &&Limit| wanted.moved && limit.limit.is_none();
                let dropped: Vec<Metric> = wanted.limits.iter().filter(off).map(|limit| limit.metric).collect();
                let mut metrics: Vec<Metric> = wanted.axes.map(|axis| METRICS[axis].0).into();
                metrics.extend(Some(Metric::Quality).filter(|quality| !metrics.contains(quality)));
                let question = Question {
                    order: &order,
                    job: &plan.job,
                    sizes: &sizes,
                    dropped: &dropped,
                    limits: &limits,
                    metrics: &metrics,
                    points: POINTS,
                };
                let answer = service.planner.ask(&question)?;
                html_to!(main, "{}", body(&run, &plan, &wanted, &answer));
            }
        }
        let title = format!("Trade-offs of run {}: {}", run.id, run.job);
        Ok(Page { title: &title, section: "runs", events: None, main }.answer(&service, Some(&caller)))
    })
    .await
}

fn head(run: &Accepted) -> Markup {
    html!(
        "<p class=\"crumbs\"><a href=\"/\">Runs</a> / <a href=\"/runs/{}\">{} ({})</a> / trade-offs</p><div class=\"head\"><h1>Trade-offs of {}</h1>\
         <div class=\"actions\"><a class=\"button\" href=\"/runs/{}/plan\">Plan</a></div></div>",
        run.id,
        run.job,
        run.id,
        run.job,
        run.id
    )
}

fn body(run: &Accepted, plan: &Plan, wanted: &Wanted, answer: &Answer) -> Markup {
    let front = answer.front.as_ref();
    let plotted = match front.filter(|front| !front.points.is_empty()) {
        Some(front) => html!(
            "{}<p class=\"note\">{}. Limits on what is traded off are drawn, and do not hide what lies beyond them.</p>",
            plot::of(front, wanted.axes, &wanted.limits, answer.plan.as_ref().ok().map(|plan| &plan.total)),
            extent(front)
        ),
        None => html!("<p class=\"dim\">No front was found in the time that a page has.</p>"),
    };
    html!(
        "<div class=\"solve\">{}<div>{}{}</div></div>{}",
        form(run, plan, wanted, front),
        part("plot", "What is to be had for what", plotted),
        part("then", "The plan under these limits", then(plan, &answer.plan)),
        part("points", "Points", front.map(|front| points(front, &wanted.limits)).unwrap_or_default())
    )
}

/// The sliders. What they reach is what the front has, and a little beyond.
fn form(run: &Accepted, plan: &Plan, wanted: &Wanted, front: Option<&Front>) -> Markup {
    let mut out = html!(
        "<form id=\"limits\" class=\"limits\" action=\"/runs/{}/solve\" data-solve><input type=\"hidden\" name=\"moved\" value=\"1\"><h2>Limits</h2>",
        run.id
    );
    for limit in &wanted.limits {
        let now = total_of(limit.metric, &plan.total);
        let of_points = front.into_iter().flat_map(|f| &f.points).map(|p| total_of(limit.metric, &p.total));
        let known: Vec<Decimal> = of_points.chain([now]).chain(limit.limit).collect();
        // A figure that no plan has is nothing to limit.
        if known.iter().all(Decimal::is_zero) {
            continue;
        }
        let (least, most) =
            (known.iter().min().copied().unwrap_or_default(), known.iter().max().copied().unwrap_or_default());
        let room = ((most - least) * dec!(0.1)).max(most * dec!(0.05)).max(dec!(0.000001));
        let top = if limit.metric == Metric::Quality { (most + room).min(dec!(1)) } else { most + room };
        let low = (least - room).max(Decimal::ZERO);
        let at = limit.limit.unwrap_or(if limit.metric == Metric::Quality { low } else { top });
        let checked = if limit.limit.is_some() { html!(" checked") } else { Markup::default() };
        let sign = if limit.metric == Metric::Quality { "at least" } else { "at most" };
        // A slider with steps of its own would move a limit that nobody moved.
        let text = |n: Decimal| n.normalize().to_string();
        html_to!(
            out,
            "<fieldset><legend><label><input type=\"checkbox\" name=\"on\" value=\"{}\"{}> {} {}</label> <output for=\"s-{}\">{}</output></legend>\
             <input id=\"s-{}\" type=\"range\" name=\"{}\" aria-label=\"Limit on {}\" aria-valuetext=\"{}\" min=\"{}\" max=\"{}\" step=\"any\" value=\"{}\" data-metric=\"{}\">\
             <p class=\"note\">now {}</p></fieldset>",
            limit.name,
            checked,
            limit.name,
            sign,
            limit.name,
            metric(limit.name, at),
            limit.name,
            limit.name,
            limit.name,
            metric(limit.name, at),
            text(low),
            text(top),
            text(at),
            limit.name,
            metric(limit.name, now)
        );
    }
    html_to!(out, "<div class=\"axes\">");
    for (name, words, axis) in [("x", "Across", wanted.axes[0]), ("y", "Upwards", wanted.axes[1])] {
        html_to!(out, "<label>{} <select name=\"{}\">", words, name);
        for (at, (_, metric, _)) in METRICS.iter().enumerate() {
            let chosen = if at == axis { html!(" selected") } else { Markup::default() };
            html_to!(out, "<option value=\"{}\"{}>{}</option>", metric, chosen, metric);
        }
        html_to!(out, "</select></label>");
    }
    html_to!(
        out,
        "</div><p class=\"actions\"><button class=\"primary\">Solve again</button><a class=\"button\" href=\"/runs/{}/solve\">As submitted</a></p></form>",
        run.id
    );
    out
}

/// The plan under other limits, beside the one that the run has.
fn then(before: &Plan, after: &Result<Plan, String>) -> Markup {
    let after = match after {
        Ok(after) => after,
        Err(why) => {
            return html!(
                "<p class=\"verdict\">{} keeps all of these limits.</p><pre class=\"wrong\" tabindex=\"0\">{}</pre>",
                marked("failed", "no plan"),
                why
            );
        }
    };
    let row = |change: &Change| {
        let name = change.metric.as_str();
        let by = change.after - change.before;
        let sign = if by.is_sign_negative() { "−" } else { "+" };
        let by = if by.is_zero() { "same".to_owned() } else { format!("{sign}{}", metric(name, by.abs())) };
        vec![
            html!("{}", name),
            html!("{}", metric(name, change.before)),
            html!("{}", metric(name, change.after)),
            html!("{}", by),
        ]
    };
    let rows: Vec<_> = changes(&before.total, &after.total).iter().map(row).collect();
    let lines = diff(before, after);
    let changed: Markup = lines.iter().map(|line| html!("<li>{}</li>", line)).collect();
    let changed = match lines.is_empty() {
        true => html!("<p class=\"verdict\">{} as the run has.</p>", marked("done", "same plan")),
        false => html!("<h3>What changes</h3><ul class=\"changes\">{}</ul>", changed),
    };
    let about = pairs("pairs", &[("Proof", html!("{}", proof(after)))]);
    html!(
        "{}{}{}<h3>Clauses</h3>{}",
        changed,
        table("The run's plan and this one", &["Metric", "#The run's plan", "#This one", "#Change"], &rows),
        about,
        plans::clauses(after, false)
    )
}

fn points(front: &Front, limits: &[Limit]) -> Markup {
    if front.points.is_empty() {
        return html!("<p class=\"dim\">There are none.</p>");
    }
    let names: Vec<String> = front.metrics.iter().map(|name| format!("#{name}")).collect();
    let mut head = vec!["Point"];
    head.extend(names.iter().map(String::as_str));
    head.extend(["Limits", "Carried out by"]);
    let rows = front.points.iter().enumerate().map(|(n, point)| {
        let kept = limits.iter().all(|limit| limit.keeps(&point.total));
        let labels = labels(point);
        let mut cells = vec![html!("{}{}", n + 1, (!labels.is_empty()).then(|| html!(" <small>{}</small>", labels)))];
        cells.extend(front.metrics.iter().map(|m| html!("{}", metric(m, value(point, m)))));
        cells.push(html!("{}", if kept { "keeps them" } else { "beyond" }));
        let steps =
            point.steps.iter().map(|(name, carrier)| html!("<div><small>{}:</small> {}</div>", name, shown(carrier)));
        cells.push(steps.collect());
        cells
    });
    table("Points of the front", &head, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slider_is_a_line_of_the_language() {
        let limit = |metric, name, limit| Limit { metric, name, limit };
        assert_eq!(limit(Metric::Latency, "latency", Some(dec!(1.50))).line().as_deref(), Some("latency <= 1.5 s"));
        assert_eq!(limit(Metric::Quality, "quality", Some(dec!(0.9))).line().as_deref(), Some("quality >= 90 %"));
        assert_eq!(limit(Metric::Cost, "cost", None).line(), None);
    }
}
