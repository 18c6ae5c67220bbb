//! A plan and what its run took -> one page that needs nothing else: the answer, a timeline, predicted against measured.

use super::{error, machine, measured_s, median_error, number, percent};
use crate::html::escaped;
use crate::plan::model::{Plan, PlanStep};
use crate::run::RunReport;
use crate::run::meter::{Basis, StepMeasure};
use rust_decimal::prelude::ToPrimitive;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1b1b;background:#fff}\
table{border-collapse:collapse;width:100%;margin:1rem 0}caption{text-align:left;font-weight:600;padding:.3rem 0}\
th,td{padding:.3rem .6rem;border-bottom:1px solid #d5d5d5;text-align:right;white-space:nowrap}th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}\
pre{background:#f4f4f4;padding:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}.bar{fill:#2f6fb0}.plan{fill:none;stroke:#8a4b00;stroke-width:1.5}\
text{font:12px system-ui,sans-serif}@media(prefers-color-scheme:dark){body{background:#161616;color:#e8e8e8}th,td{border-color:#444}pre{background:#242424}text{fill:#e8e8e8}.bar{fill:#6aa5e0}.plan{stroke:#e0a050}}";

/// The page. Everything that came from outside is escaped.
pub fn page(plan: &Plan, report: &RunReport) -> String {
    let mut out = String::new();
    let job = escaped(&plan.job);
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{job}</title><style>{STYLE}</style></head><body><h1>{job}</h1>"
    );
    let (label, answer) = match &report.result {
        Ok(serde_json::Value::String(text)) => ("Answer", text.clone()),
        Ok(value) => ("Answer", format!("{value:#}")),
        Err(error) => ("Failed", error.to_string()),
    };
    let _ = write!(out, "<h2>{label}</h2><pre>{}</pre>", escaped(&answer));
    let planned = number(plan.total.latency_s.to_f64());
    let _ = write!(out, "<p>{} s, planned {planned} s", number(Some(report.wall_s + report.earlier_s)));
    if let Some(off) = median_error(plan, report) {
        let _ = write!(out, "; the latency of steps is {:.0} % off in the median", off * 100.0);
    }
    out.push_str("</p>");
    let steps: Vec<(&StepMeasure, &PlanStep)> =
        report.steps.iter().filter_map(|m| Some((m, plan.steps.iter().find(|s| s.id == m.step)?))).collect();
    for message in &report.adapted {
        let _ = write!(out, "<p>{}</p>", escaped(message));
    }
    for (m, _) in &steps {
        for (by, calls) in &m.stood_in {
            let (name, first) = (escaped(&m.name), escaped(&m.implementation));
            let _ = write!(out, "<p>{name}: {} stood in for {first}, which failed for good: {calls}</p>", escaped(by));
        }
    }
    if !report.clauses.is_empty() {
        let items = report.clauses.iter().map(|kept| format!("<li>{}</li>", escaped(&kept.to_string())));
        let _ = write!(out, "<h2>What the job demands</h2><ul>{}</ul>", items.collect::<String>());
    }
    timeline(&mut out, &steps, report.wall_s);
    table(&mut out, &steps);
    machine::tables(&mut out, report);
    out.push_str("</body></html>\n");
    out
}

/// When each step ran: a bar from its first call to its last; an outline as long as was planned.
fn timeline(out: &mut String, steps: &[(&StepMeasure, &PlanStep)], wall_s: f64) {
    const LEFT: f64 = 220.0;
    const WIDE: f64 = 700.0;
    const ROW: f64 = 26.0;
    let ends = steps.iter().map(|(m, s)| m.from_s + s.predicted.latency_s.to_f64().unwrap_or(0.0));
    let whole = ends.fold(wall_s, f64::max).max(1e-6);
    let height = ROW * steps.len() as f64 + 24.0;
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 960 {height}\" role=\"img\" aria-label=\"when each step ran, and for how long it was planned to\">"
    );
    for (i, (m, step)) in steps.iter().enumerate() {
        let y = ROW * i as f64;
        let x = LEFT + m.from_s / whole * WIDE;
        let width = |seconds: f64| (seconds / whole * WIDE).max(1.0);
        let planned = step.predicted.latency_s.to_f64().unwrap_or(0.0);
        let _ = write!(
            out,
            "<text x=\"0\" y=\"{:.1}\">{}</text><rect class=\"bar\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\"/>\
             <rect class=\"plan\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"18\"/>",
            y + 15.0,
            escaped(&m.name.chars().take(32).collect::<String>()),
            y + 4.0,
            width(m.wall_s),
            y + 2.0,
            width(planned),
        );
    }
    let _ = write!(
        out,
        "<text x=\"{LEFT}\" y=\"{:.1}\">0 s</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{} s</text></svg>",
        height - 6.0,
        LEFT + WIDE,
        height - 6.0,
        number(Some(whole))
    );
}

fn table(out: &mut String, steps: &[(&StepMeasure, &PlanStep)]) {
    out.push_str(
        "<table><caption>Measured, and planned</caption><thead><tr><th scope=\"col\">step</th><th scope=\"col\">by</th>\
         <th scope=\"col\">calls</th><th scope=\"col\">s</th><th scope=\"col\">planned</th><th scope=\"col\">off</th>\
         <th scope=\"col\">usd</th><th scope=\"col\">planned</th><th scope=\"col\">Wh</th><th scope=\"col\">planned</th>\
         <th scope=\"col\">GB</th><th scope=\"col\">planned</th></tr></thead><tbody>",
    );
    for (m, step) in steps {
        let planned = &step.predicted;
        let about = if m.energy_basis == Some(Basis::Estimated) { "~" } else { "" };
        let cells = [
            m.calls.to_string(),
            number(Some(measured_s(m, step))),
            number(planned.latency_s.to_f64()),
            percent(error(m, step)),
            number(m.cost_usd),
            number(planned.cost_usd.to_f64()),
            format!("{about}{}", number(m.energy_wh)),
            number(planned.energy_wh.and_then(|wh| wh.to_f64())),
            number(m.memory_gb),
            number(planned.memory_gb.to_f64()),
        ];
        let _ = write!(out, "<tr><td>{}</td><td>{}</td>", escaped(&m.name), escaped(&m.implementation));
        cells.iter().for_each(|cell| {
            let _ = write!(out, "<td>{cell}</td>");
        });
        out.push_str("</tr>");
    }
    out.push_str(
        "</tbody></table><p>~ by the plan's power and the measured time: no energy counter could be read.</p>",
    );
}
