//! What a run took of the machine beside its steps -> lines and tables: model servers where they were, energy that no step used.

use super::number;
use crate::html;
use crate::html::markup::Markup;
use crate::ir::workflow::StepId;
use crate::run::RunReport;
use crate::run::fault::printable;
use crate::run::meter::energy::DeviceEnergy;
use crate::run::servers::serving::ServerMeasure;
use crate::run::shown::look::table;
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
pub fn tables(report: &RunReport) -> Markup {
    let text = |cells: Vec<String>| cells.iter().map(|cell| html!("{}", cell)).collect::<Vec<_>>();
    let headed = |caption: &str, head: &[&str], rows: Vec<Vec<String>>| {
        let rows: Vec<_> = rows.into_iter().map(text).collect();
        (!rows.is_empty()).then(|| html!("<h3>{}</h3>{}", caption, table(caption, head, &rows)))
    };
    let server = |s: &ServerMeasure| {
        vec![
            s.server.clone(),
            s.model.clone(),
            place(s),
            gb(s.peak_gb),
            gb(Some(s.reserved_gb)),
            gb(s.planned_gb),
            s.starts.to_string(),
            s.crashes.to_string(),
            number(Some(s.load_s)),
        ]
    };
    let device = |d: &DeviceEnergy| {
        let [all, steps, nobody] = [d.total_wh, d.steps_wh, d.idle_wh].map(|wh| number(Some(wh)));
        vec![d.device.clone(), all, steps, nobody, number(d.idle_w)]
    };
    let servers =
        ["Server", "Model", "On", "#GB held", "#Set aside", "#Planned", "#Starts", "#Deaths", "#Ready after s"];
    let energy = ["Device", "#Wh", "#Of steps", "#Of nobody", "#W with no step on it"];
    html!(
        "{}{}{}",
        headed("Model servers that were started", &servers, report.servers.iter().map(server).collect()),
        headed("GPUs of steps", &["Step", "On"], on_gpus(report).map(|(name, on)| vec![name.to_owned(), on]).collect()),
        headed("Energy of devices with a counter", &energy, report.energy.iter().map(device).collect())
    )
}
