//! `mkbc deploy`

use super::submit::of_source;
use super::{Server, TlsOptions, wait};
use crate::cli::load::read;
use crate::cli::{Failure, note, print, width};
use crate::plan::render::table;
use crate::run::devices::sensors::Load;
use crate::run::fault::printable;
use crate::serve::api::deployed::{Deployment, FleetStatus, WorkflowList, WorkflowState, WorkflowStatus};
use crate::units::{counted, shown};
use clap::Args;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct DeployOptions {
    /// The job's file
    #[arg(required_unless_present_any = ["list", "remove", "fleet"], conflicts_with_all = ["list", "remove", "fleet"])]
    pub file: Option<PathBuf>,
    /// How often it is run: 30/s, 5/min, 2/h [default: what the job expects]
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// The server [default: $MKBC_SERVER, or http://127.0.0.1:7411]; a token stands in $MKBC_TOKEN
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// What the workflow is called [default: the job's name]
    #[arg(long)]
    pub name: Option<String>,
    /// The job, where the file has several
    #[arg(long)]
    pub job: Option<String>,
    /// A folder of .mkb files that the job uses; the server plans with its own (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// List what is deployed, and how its limits were kept
    #[arg(long)]
    pub list: bool,
    /// Take a workflow down: what it has accepted is carried out
    #[arg(long, value_name = "NAME", conflicts_with = "list")]
    pub remove: Option<String>,
    /// Show the machines, what runs on them, and why plans were made
    #[arg(long, conflicts_with_all = ["list", "remove"])]
    pub fleet: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tls: TlsOptions,
}

/// Deploys a workflow, or shows or takes down what is deployed.
pub fn deploy(options: &DeployOptions) -> Result<(), Failure> {
    let server = Server::at(options.to.as_deref(), &options.tls)?;
    match (&options.file, &options.remove) {
        (Some(file), _) => deployed(&server, options, file),
        (None, Some(name)) => removed(&server, options, name),
        (None, None) if options.fleet => wait(async {
            let fleet: FleetStatus = server.ask(server.request(Method::GET, "/v1/fleet")).await?;
            print(&if options.json { format!("{:#}\n", json!(fleet)) } else { machines(&fleet) });
            Ok(())
        }),
        (None, None) => wait(async {
            let all: WorkflowList = server.ask(server.request(Method::GET, "/v1/workflows")).await?;
            print(&if options.json { format!("{:#}\n", json!(all)) } else { list(&all.workflows) });
            Ok(())
        }),
    }
}

fn deployed(server: &Server, options: &DeployOptions, file: &Path) -> Result<(), Failure> {
    let (submission, _) = of_source(file, &options.library, options.job.as_deref(), read(file)?)?;
    let deployment = Deployment {
        source: submission.source.unwrap_or_default(),
        file: submission.file,
        job: submission.job,
        lock: submission.lock,
        name: options.name.clone(),
        rate: options.rate.clone(),
    };
    wait(async {
        let request = server.request(Method::POST, "/v1/workflows").json(&deployment);
        let workflow: WorkflowStatus = server.ask(request).await?;
        let at = server.url(&workflow.endpoint);
        print(&if options.json { format!("{:#}\n", json!(workflow)) } else { format!("{at}\n") });
        let name = printable(&workflow.name);
        note(&format!(
            "`{name}` takes {} runs/s; POST its inputs there; `mkbc deploy --list`",
            figure(workflow.rate_per_s)
        ));
        Ok(())
    })
}

fn removed(server: &Server, options: &DeployOptions, name: &str) -> Result<(), Failure> {
    let mut url = reqwest::Url::parse(&server.url("/v1/workflows")).map_err(|e| e.to_string())?;
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.push(name);
    }
    let base = server.base.path().trim_end_matches('/');
    let path = url.path().strip_prefix(base).unwrap_or_else(|| url.path()).to_owned();
    wait(async {
        let workflow: WorkflowStatus = server.ask(server.request(Method::DELETE, &path)).await?;
        if options.json {
            print(&format!("{:#}\n", json!(workflow)));
        }
        note(&match workflow.open {
            0 => format!("`{}` is gone", printable(name)),
            open => format!("`{}` takes no more, and has {} to carry out", printable(name), counted(open, "run")),
        });
        Ok(())
    })
}

fn list(all: &[WorkflowStatus]) -> String {
    if all.is_empty() {
        return "nothing is deployed\n".to_owned();
    }
    let mut rows =
        table(width(), &["workflow", "runs/s", "planned", "measured", "runs", "failed", "p50", "p95", "p99"]);
    let mut limits = String::new();
    for workflow in all {
        let (slo, seconds) =
            (&workflow.slo, |value: Option<f64>| value.map_or("-".to_owned(), |s| format!("{} s", figure(s))));
        let latency = slo.latency_s.as_ref();
        let draining = if workflow.state == WorkflowState::Draining { " (draining)" } else { "" };
        rows.add_row(vec![
            format!("{}{draining}", printable(&workflow.name)),
            figure(workflow.rate_per_s),
            figure(workflow.planned_per_s),
            workflow.measured_per_s.map_or("-".to_owned(), figure),
            slo.runs.to_string(),
            slo.failed.to_string(),
            seconds(latency.map(|l| l.p50)),
            seconds(latency.map(|l| l.p95)),
            seconds(latency.map(|l| l.p99)),
        ]);
        for clause in &slo.clauses {
            let held = match (clause.measured, clause.within) {
                (false, _) => "not measured here".to_owned(),
                (true, None) => "no runs yet".to_owned(),
                (true, Some(within)) => {
                    let verdict = if clause.holds == Some(false) { ", broken" } else { "" };
                    format!("{} % of runs within, {} broke it{verdict}", figure(within * 100.0), clause.broken)
                }
            };
            let _ = writeln!(limits, "{}: {}: {held}", printable(&workflow.name), printable(&clause.text));
        }
    }
    format!("{rows}\n\n{limits}")
}

fn machines(fleet: &FleetStatus) -> String {
    let mut out = format!("fleet `{}`\n\n", printable(&fleet.cluster));
    if let Some(why) = &fleet.unseen {
        let _ = writeln!(out, "the machines cannot be looked at now: {}\n", printable(why));
    }
    let mut devices = table(width(), &["device", "there are", "held", "usd/h each", "memory"]);
    for (name, device) in &fleet.devices {
        let memory = device.memory_gb.map_or("-".to_owned(), |gb| format!("{} GB", figure(gb)));
        let (units, held) = (device.units.to_string(), device.held.to_string());
        devices.add_row(vec![printable(name), units, held, figure(device.usd_per_hour), memory]);
    }
    let mut instances =
        table(width(), &["instance", "replicas", "under way", "slots", "planned", "busy", "pace", "calls"]);
    let (share, hidden) = (|share: f64| format!("{} %", figure(share * 100.0)), || "-".to_owned());
    for used in &fleet.instances {
        instances.add_row(vec![
            printable(&used.instance),
            used.replicas.to_string(),
            used.under_way.map_or(hidden(), |calls| calls.to_string()),
            used.slots.to_string(),
            share(used.planned_busy),
            used.busy.map_or("-".to_owned(), share),
            used.pace.map_or("-".to_owned(), |times| format!("× {}", figure(times))),
            used.calls.map_or(hidden(), |calls| calls.to_string()),
        ]);
    }
    let _ = writeln!(out, "{devices}\n\n{instances}\n");
    for line in fleet.load.iter().flat_map(Load::lines) {
        let _ = writeln!(out, "the server's machine, {}", printable(&line));
    }
    for host in &fleet.hosts {
        let (name, state) = (printable(&host.name), if host.lost { "lost" } else { "there" });
        let _ = writeln!(
            out,
            "host {name} is {state}: {} of {}, {} cores, heard of {}",
            host.runs.len(),
            counted(u64::from(host.places), "run"),
            host.cores,
            host.heard
        );
        for line in host.load.lines() {
            let _ = writeln!(out, "  {}", printable(&line));
        }
    }
    if let Some(plan) = &fleet.plan {
        let (cost, alone) = (figure(plan.usd_per_hour), figure(plan.alone_usd_per_hour));
        let _ = writeln!(
            out,
            "plan {} since {}: {cost} usd/h; alone they would cost {alone} usd/h or more",
            plan.number, plan.since
        );
    }
    for made in &fleet.replans {
        let why = if made.because.is_empty() { String::new() } else { format!(" because {}", made.because.join(", ")) };
        let _ = writeln!(out, "{} plan {} {}{}", made.at, made.plan, made.verdict, printable(&why));
        let broken = made.broken.iter().flat_map(|why| why.lines());
        for line in made.changes.iter().map(String::as_str).chain(broken) {
            let _ = writeln!(out, "  {}", printable(line));
        }
        if let Some(saves) = made.saves_usd_per_hour {
            let _ = writeln!(out, "  {} usd/h, saves {} usd/h", figure(made.usd_per_hour), figure(saves));
        }
    }
    out
}

/// A figure for people.
fn figure(value: f64) -> String {
    shown(Decimal::from_f64_retain(value).unwrap_or_default(), 3)
}
