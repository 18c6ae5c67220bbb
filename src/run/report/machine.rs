//! What a run took of the machine beside its steps -> lines and tables: model servers where they were, energy that no step used.

use super::number;
use crate::html::escaped;
use crate::ir::workflow::StepId;
use crate::run::RunReport;
use crate::run::fault::printable;
use crate::run::meter::energy::DeviceEnergy;
use crate::run::servers::serving::ServerMeasure;
use serde::Serialize;
use std::fmt::Write;

fn gb(bytes: Option<f64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |gb| format!("{gb:.2}"))
}

fn at_rest(device: &DeviceEnergy) -> String {
    device.idle_w.map_or_else(String::new, |w| format!(", {} W with no step on it", number(Some(w))))
}

/// Where a server was, and whether that is what the plan says.
fn place(server: &ServerMeasure) -> String {
    let on = server.devices.join(", ");
    if server.as_planned { on } else { format!("{on}, and not on {}", server.planned) }
}

/// Lines for a terminal.
pub fn lines<A: Serialize>(report: &RunReport<A>) -> String {
    let mut text = String::new();
    for s in &report.servers {
        let again = if s.crashes > 0 { format!(", started {} times", s.starts) } else { String::new() };
        let held = gb(s.peak_gb);
        let line = format!(
            "{} on {}: {held} GB held, {} set aside, {} planned; ready after {} s{again}",
            s.server,
            place(s),
            gb(Some(s.reserved_gb)),
            gb(s.planned_gb),
            number(Some(s.load_s))
        );
        let _ = write!(text, "\n{}", printable(&line));
    }
    for (name, on) in on_gpus(report) {
        let _ = write!(text, "\n{} on {on}", printable(name));
    }
    for d in &report.energy {
        let (all, nobody) = (number(Some(d.total_wh)), number(Some(d.idle_wh)));
        let _ =
            write!(text, "\n{}: {all} Wh by its counter, {nobody} Wh of nobody{}", printable(&d.device), at_rest(d));
    }
    text
}

/// Steps that were on GPUs of this machine without a server of mkbc's, and on which.
fn on_gpus<A: Serialize>(report: &RunReport<A>) -> impl Iterator<Item = (&str, String)> {
    let served = |step: &StepId| report.servers.iter().any(|s| s.steps.contains(step));
    let steps = report.steps.iter().filter(move |s| !s.devices.is_empty() && !served(&s.step));
    steps.map(|s| {
        let elsewhere = if s.as_planned == Some(false) { ", and not where the plan places it" } else { "" };
        (s.name.as_str(), format!("{}{elsewhere}", s.devices.join(", ")))
    })
}

/// Tables for a page.
pub fn tables(out: &mut String, report: &RunReport) {
    if !report.servers.is_empty() {
        let heads = ["server", "model", "on", "GB held", "set aside", "planned", "starts", "deaths", "ready after s"];
        head(out, "Model servers that were started", &heads);
        for s in &report.servers {
            let cells = [
                s.server.clone(),
                s.model.clone(),
                place(s),
                gb(s.peak_gb),
                gb(Some(s.reserved_gb)),
                gb(s.planned_gb),
                s.starts.to_string(),
                s.crashes.to_string(),
                number(Some(s.load_s)),
            ];
            row(out, &cells);
        }
        out.push_str("</tbody></table>");
    }
    let steps: Vec<(&str, String)> = on_gpus(report).collect();
    if !steps.is_empty() {
        head(out, "GPUs of steps", &["step", "on"]);
        steps.into_iter().for_each(|(name, on)| row(out, &[name.to_owned(), on]));
        out.push_str("</tbody></table>");
    }
    if !report.energy.is_empty() {
        head(
            out,
            "Energy of devices with a counter",
            &["device", "", "Wh", "of steps", "of nobody", "W with no step on it"],
        );
        for d in &report.energy {
            let wh = [d.total_wh, d.steps_wh, d.idle_wh].map(|wh| number(Some(wh)));
            let [all, steps, nobody] = wh;
            row(out, &[d.device.clone(), String::new(), all, steps, nobody, number(d.idle_w)]);
        }
        out.push_str("</tbody></table>");
    }
}

fn head(out: &mut String, caption: &str, heads: &[&str]) {
    let _ = write!(out, "<table><caption>{caption}</caption><thead><tr>");
    heads.iter().for_each(|h| {
        let _ = write!(out, "<th scope=\"col\">{h}</th>");
    });
    out.push_str("</tr></thead><tbody>");
}

fn row(out: &mut String, cells: &[String]) {
    out.push_str("<tr>");
    cells.iter().for_each(|cell| {
        let _ = write!(out, "<td>{}</td>", escaped(cell));
    });
    out.push_str("</tr>");
}
