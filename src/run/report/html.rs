//! A run that has ended → one page in one file that needs nothing else: the answer, the data flow by state, when each step ran and what it waited
//! for, predicted against measured, and every step's calls.

use super::{machine, median_error, otherwise};
use crate::html::markup::Markup;
use crate::ir::workflow::StepId;
use crate::plan::model::{Plan, PlanStep};
use crate::plan::render;
use crate::plan::verify::quality;
use crate::run::RunReport;
use crate::run::engines::Args;
use crate::run::fault::{Fault, FaultKind};
use crate::run::journal::arguments::Past;
use crate::run::journal::record::Stored;
use crate::run::journal::{Journal, Run};
use crate::run::meter::StepMeasure;
use crate::run::shown::look::{badge, duration, figure_or_dash, moment, pairs, part, value};
use crate::run::shown::steps::{self, Planned, Values, choice, retries, table_of};
use crate::run::shown::story::{CallFacts, Story};
use crate::run::shown::{STYLE, dag, timeline};
use crate::{html, html_to};
use base64::Engine as _;
use sha2::{Digest, Sha256};

/// Records of a run that are read at most.
const MOST: usize = 200_000;
/// Calls of a step that are shown one by one; those that failed come first.
const CALLS: usize = 20;
/// Characters of what a call was given, and of what it gave, that are shown.
const EXCERPT: usize = 1_500;

/// Which run it was, and what the journal knows of it.
pub struct Recorded<'a> {
    /// The journal.
    pub journal: &'a Journal,
    /// The run.
    pub run: &'a Run,
    /// Tokens that its steps were planned to read and write, where that is known.
    pub tokens: Option<&'a Planned>,
}

/// The page of a run of the journal.
pub fn of_run(recorded: &Recorded<'_>, plan: &Plan, report: &RunReport) -> Result<String, Fault> {
    let Recorded { journal, run, .. } = recorded;
    let records = journal.records_from(run.id, 0, MOST)?;
    let (inputs, folder) = (journal.inputs(&run.info)?, journal.folder(run));
    let mut story = Story::of(Some(plan.clone()), &report.changes, inputs, records, Some(folder));
    // What the run measured itself is more than its records tell: counters, what was waited for, time without pauses between runtimes.
    story.measures = report.steps.iter().map(|measure| (measure.step, measure.clone())).collect();
    Ok(page(&story, plan, report, Some(recorded)))
}

/// The page; calls are shown where they are recorded.
pub fn page(story: &Story, plan: &Plan, report: &RunReport, recorded: Option<&Recorded<'_>>) -> String {
    let tokens = recorded.and_then(|recorded| recorded.tokens);
    let link = |step: StepId| format!("#step-{}", step.0);
    let mut main = head(story, plan, report, recorded);
    html_to!(main, "{}", part("figures", "Figures", figures(story, plan, report, tokens)));
    let (id, heading, answer) = match &report.result {
        Ok(answer) => ("answer", "Answer", value(answer)),
        Err(error) => {
            ("error", "Why it failed", html!("<pre class=\"wrong\" tabindex=\"0\">{}</pre>", error.to_string()))
        }
    };
    html_to!(
        main,
        "<div class=\"beside\">{}{}</div>",
        part("flow", "Data flow", dag::by_state(story, &link)),
        part(id, heading, answer)
    );
    if story.begun_ms.is_some() {
        html_to!(main, "{}", part("timeline", "Timeline", timeline::of(story, "the run began")));
    }
    html_to!(main, "{}", part("steps", "Steps, measured and planned", table_of(story, &link, tokens)));
    let said = report.adapted.iter().cloned().chain(report.steps.iter().flat_map(otherwise));
    let said: Markup = said.map(|line| html!("<li>{}</li>", line)).collect();
    if !said.is_empty() {
        html_to!(main, "{}", part("otherwise", "Otherwise than planned", html!("<ul>{}</ul>", said)));
    }
    if !report.clauses.is_empty() {
        let kept: Markup = report.clauses.iter().map(|kept| html!("<li>{}</li>", kept.to_string())).collect();
        html_to!(main, "{}", part("clauses", "What the job demands", html!("<ul>{}</ul>", kept)));
    }
    let machine = machine::tables(report);
    if !machine.is_empty() {
        html_to!(main, "{}", part("machine", "What it took of the machine", machine));
    }
    for step in story.plan.iter().flat_map(|plan| &plan.steps) {
        let inside = detail(story, step, plan, recorded);
        html_to!(main, "{}", part(&format!("step-{}", step.id.0), &step.name, inside));
    }
    let sheet = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!("default-src 'none'; style-src 'sha256-{sheet}'; base-uri 'none'; form-action 'none'");
    html!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n\
         <main id=\"main\">\n{}\n</main>\n</body>\n</html>\n",
        policy,
        title(report, recorded),
        Markup::finished(STYLE.to_owned()),
        main
    )
    .into_string()
}

fn title(report: &RunReport, recorded: Option<&Recorded<'_>>) -> String {
    match recorded {
        Some(recorded) => format!("Run {}: {}", recorded.run.id, report.job),
        None => report.job.clone(),
    }
}

/// Which run of what it was, when, and how it ended.
fn head(story: &Story, plan: &Plan, report: &RunReport, recorded: Option<&Recorded<'_>>) -> Markup {
    let state = match &report.result {
        Ok(_) => "done",
        Err(error) if error.fault.kind == FaultKind::Cancelled => "stopped",
        Err(_) => "failed",
    };
    let begun = story.begun_ms.map(|ms| html!("begun {}, ", moment(ms)));
    let run = recorded.map(|recorded| html!("Run {}, ", recorded.run.id));
    let key = recorded.and_then(|recorded| recorded.run.info.key.as_ref());
    let key = key.map(|key| html!(", key <code>{}</code>", key));
    html!(
        "<p class=\"crumbs\">{}{}on {}{}, mkbc {}</p><div class=\"head\"><h1>{} {}</h1></div>",
        run,
        begun,
        plan.cluster.name,
        key,
        env!("CARGO_PKG_VERSION"),
        report.job,
        badge(state)
    )
}

fn figures(story: &Story, plan: &Plan, report: &RunReport, tokens: Option<&Planned>) -> Markup {
    let total = &plan.total;
    // That of who was to carry it out last.
    let quality = story.plan.as_ref().and_then(quality).unwrap_or(total.quality);
    let planned = |text: String| html!(" <small>planned {}</small>", text);
    let sum = |of: fn(&StepMeasure) -> Option<f64>| {
        report.steps.iter().map(of).sum::<Option<f64>>().filter(|_| !report.steps.is_empty())
    };
    let all: u64 = report.steps.iter().map(|m| m.tokens_in.saturating_add(m.tokens_out)).fold(0, u64::saturating_add);
    let of_plan = tokens.map(|all| all.values().map(|(read, written)| read + written).sum::<f64>());
    let attempts = story.retries().len();
    let off = median_error(plan, report).map(|off| format!("{:.0} % off in the median", off * 100.0));
    let energy_planned = if total.energy_known { "" } else { "at least " };
    let unsettled = report.unsettled.map(|unsettled| html!("{}", unsettled.to_string()));
    let cards = pairs(
        "cards",
        &[
            (
                "Time",
                html!("{}{}", duration(report.wall_s + report.earlier_s), planned(render::seconds(total.latency_s))),
            ),
            (
                "Cost",
                html!("{}{}", figure_or_dash("cost", sum(|m| m.cost_usd)), planned(render::dollars(total.cost_usd))),
            ),
            (
                "Energy",
                html!(
                    "{}{}",
                    figure_or_dash("energy", sum(|m| m.energy_wh)),
                    planned(format!("{energy_planned}{}", render::watt_hours(total.energy_wh)))
                ),
            ),
            ("Tokens", html!("{}{}", all, of_plan.map(|n| planned(format!("{n:.0}"))))),
            (
                "Calls",
                html!(
                    "{}{}",
                    report.steps.iter().map(|m| m.calls).sum::<u64>(),
                    (attempts > 0).then(|| html!(" <small>{} attempts failed</small>", attempts))
                ),
            ),
            ("Quality, as planned", html!("{}", render::percent(quality))),
        ],
    );
    let more = pairs(
        "pairs",
        &[
            ("Latency of steps", html!("{}", off)),
            ("Not in the cost", unsettled.unwrap_or_default()),
            ("Outputs", html!("<code>{}</code>", report.folder.display().to_string())),
        ],
    );
    html!("{}{}", cards, more)
}

/// What was chosen for a step, what failed, and its calls.
fn detail(story: &Story, step: &PlanStep, plan: &Plan, recorded: Option<&Recorded<'_>>) -> Markup {
    let mut out = choice(story, step);
    if let Some(retries) = retries(story, step) {
        html_to!(out, "<h3>Attempts that failed</h3>{}", retries);
    }
    let Some(Recorded { journal, .. }) = recorded else { return out };
    let all: Vec<&CallFacts> = story.calls.iter().filter(|call| call.call.step == step.id).collect();
    let failed = all.iter().filter(|call| call.failed);
    let shown: Vec<&CallFacts> = failed.chain(all.iter().filter(|call| !call.failed)).take(CALLS).copied().collect();
    let results = story.calls.iter().filter_map(|c| Some((c.call.path.as_str(), &c.done.as_ref()?.0))).collect();
    let past = Past { plan, inputs: &story.inputs, results, journal };
    let secret = personal(plan);
    let calls: Markup = shown
        .iter()
        .map(|call| {
            let given: Option<Args> = (!secret).then(|| past.arguments(&call.call.path, &call.input)).flatten();
            let gave = |(stored, ..): &(Stored, _, _, _)| journal.blobs().value(stored);
            let values = Values {
                given: given.as_ref(),
                gave: call.done.as_ref().map(gave),
                files: &|_| Markup::default(),
                most: EXCERPT,
            };
            html!("<li>{}</li>", steps::call(story, step, call, Some(&values).filter(|_| !secret), false))
        })
        .collect();
    if !calls.is_empty() {
        html_to!(out, "<h3>Calls</h3><ol class=\"calls\">{}</ol>", calls);
    }
    if secret && !shown.is_empty() {
        html_to!(
            out,
            "<p class=\"note\">What they were given and gave is not shown: the job says that its inputs hold personal data.</p>"
        );
    }
    if all.len() > shown.len() {
        html_to!(out, "<p class=\"note\">{} more calls; `mkbc logs` has them all.</p>", all.len() - shown.len());
    }
    out
}

/// Whether a rule of the job speaks of personal data in its inputs.
fn personal(plan: &Plan) -> bool {
    plan.clauses
        .iter()
        .any(|clause| clause.metric == "rule" && clause.text.split_whitespace().any(|word| word == "pii"))
}
