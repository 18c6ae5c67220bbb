//! `mkbc bench serve`: what a server on this machine takes: submissions a second while event streams are open, and what is left of them when it
//! is killed.

use crate::cli::{Failure, note, print};
use crate::run::block_on;
use crate::run::fault::printable;
use crate::serve::api::types::{RunList, RunStatus};
use crate::serve::listen::allow;
use clap::Args;
use futures_util::{StreamExt, stream};
use reqwest::{Client, StatusCode};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A job that any machine can plan.
const JOB: &str = "/// Says what it was given.\njob echo(text: Text) -> Text {\n  text + \"!\"\n}\n";

#[derive(Args)]
pub struct ServeOptions {
    /// Seconds of load
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    pub seconds: f64,
    /// Clients that submit, each one after the other
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub clients: u32,
    /// Event streams that are open meanwhile
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub streams: u32,
    /// Runs that wait before the load begins
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub queued: u32,
    /// Send the whole plan each time, not its digest
    #[arg(long)]
    pub whole: bool,
    /// Kill the server at the end of the load, start it again, and look for every run that it had accepted
    #[arg(long)]
    pub kill: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    clients: u32,
    streams: usize,
    /// Runs that waited before the load began.
    queued: u32,
    accepted: usize,
    refused: usize,
    seconds: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Processor time of the server for each submission, which does not depend on what else the machine does; milliseconds.
    server_cpu_ms: f64,
    /// The most memory that the server held, bytes.
    rss_bytes: u64,
    /// Accepted runs that the server did not know after it was killed.
    lost: Option<usize>,
    /// Seconds from its start until it knew all of them.
    restart_s: Option<f64>,
}

/// A server in a folder of its own; killed when it is dropped.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(folder: &Path, streams: u32) -> Result<Served, Failure> {
        let program = std::env::current_exe().map_err(|e| format!("this program cannot be found: {e}"))?;
        let connections = (streams + 8_192).to_string();
        let streams = (streams + 1).to_string();
        let mut command = Command::new(program);
        command
            .args(["serve", "--addr", "127.0.0.1:0", "--workers", "0", "--queue", "10000000", "--project"])
            .arg(folder);
        command
            .args(["--streams", &streams, "--connections", &connections])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| format!("the server cannot be started: {e}"))?;
        let mut line = String::new();
        let read = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        let url = line.trim().strip_prefix("serving ").map(str::to_owned);
        match (read, url) {
            (Some(Ok(_)), Some(url)) => Ok(Served { child, url }),
            _ => Err("the server did not start".to_string().into()),
        }
    }

    /// Processor time of it so far, seconds: fields 14 and 15 of `/proc/PID/stat`, hundredths.
    fn busy(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// The most memory that it held, bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).map_or(0, |kb| kb << 10)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures a server of this machine.
pub fn serve(options: &ServeOptions) -> Result<(), Failure> {
    allow((options.streams + options.clients) as usize);
    let folder = tempfile::tempdir_in(".").map_err(|e| format!("cannot make a folder here: {e}"))?;
    let served = Served::start(folder.path(), options.streams)?;
    let load = block_on(load(&served, options)).map_err(|e| format!("cannot start the runtime: {e}"))??;
    let rss_bytes = served.memory();
    let (mut lost, mut restart_s) = (None, None);
    if options.kill {
        drop(served);
        let began = Instant::now();
        let again = Served::start(folder.path(), options.streams)?;
        let there = block_on(all(&again)).map_err(|e| format!("cannot start the runtime: {e}"))??;
        restart_s = Some(began.elapsed().as_secs_f64());
        lost = Some(load.ids.iter().filter(|id| !there.contains(id)).count());
    }
    let mut times = load.times;
    times.sort_by(f64::total_cmp);
    let at =
        |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1))).copied();
    let figures = Figures {
        clients: options.clients,
        streams: load.streams,
        queued: options.queued,
        accepted: times.len(),
        refused: load.refused,
        seconds: load.seconds,
        per_second: times.len() as f64 / load.seconds,
        p50_ms: at(0.5).unwrap_or_default(),
        p99_ms: at(0.99).unwrap_or_default(),
        max_ms: at(1.0).unwrap_or_default(),
        server_cpu_ms: load.server_cpu_s * 1e3 / times.len().max(1) as f64,
        rss_bytes,
        lost,
        restart_s,
    };
    show(&figures, options.json);
    match lost {
        Some(lost) if lost > 0 => Err(format!("{lost} accepted runs are lost").into()),
        _ => Ok(()),
    }
}

fn show(figures: &Figures, as_json: bool) {
    if as_json {
        return print(&format!("{:#}\n", json!(figures)));
    }
    let Figures { clients, streams, queued, accepted, refused, seconds, per_second, .. } = figures;
    let mut text = format!(
        "{accepted} submissions in {seconds:.1} s by {clients} clients: {per_second:.0}/s, p50 {:.1} ms, p99 {:.1} ms, the longest {:.1} ms; {:.2} ms of the server's processor time each\n\
         {refused} refused; {queued} runs waited before, {streams} event streams were open; the server held {:.0} MiB at most\n",
        figures.p50_ms,
        figures.p99_ms,
        figures.max_ms,
        figures.server_cpu_ms,
        figures.rss_bytes as f64 / f64::from(1 << 20),
    );
    if let (Some(lost), Some(took)) = (figures.lost, figures.restart_s) {
        text.push_str(&format!("killed and started again: {lost} accepted runs lost, all known after {took:.2} s\n"));
    }
    print(&text);
}

/// What came of a load.
#[derive(Default)]
struct Load {
    ids: Vec<u64>,
    times: Vec<f64>,
    refused: usize,
    seconds: f64,
    streams: usize,
    server_cpu_s: f64,
}

async fn load(served: &Served, options: &ServeOptions) -> Result<Load, Failure> {
    let client = Client::builder().no_proxy().build().map_err(|e| e.to_string())?;
    let first = submit(&client, &served.url, &json!({"source": JOB, "inputs": {"text": "a"}})).await?;
    let Some(first) = first else { return Err("the first submission was refused".to_string().into()) };
    let plan = if options.whole { whole()? } else { json!(first.plan) };
    let submission = json!({"plan": first.plan, "inputs": {"text": "a"}});
    let waiting = stream::iter(0..options.queued).map(|_| submit(&client, &served.url, &submission));
    let waiting: Vec<_> = waiting.buffer_unordered(options.clients as usize).collect().await;
    waiting.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut streams = Vec::new();
    for _ in 0..options.streams {
        let url = format!("{}/v1/runs/{}/events", served.url, first.id);
        // A client of its own is a connection of its own.
        let own = Client::builder().no_proxy().build().map_err(|e| e.to_string())?;
        match own.get(url).send().await {
            Ok(response) if response.status().is_success() => streams.push(response),
            Ok(response) => return Err(format!("an event stream is refused: {}", response.status()).into()),
            Err(error) => return Err(format!("an event stream cannot be opened: {error}").into()),
        }
    }
    if options.streams > 0 {
        note(&format!("{} event streams are open", streams.len()));
    }
    let busy = served.busy();
    let (began, length) = (Instant::now(), Duration::try_from_secs_f64(options.seconds).unwrap_or_default());
    let clients = (0..options.clients).map(|number| {
        let (client, url, plan) = (client.clone(), served.url.clone(), plan.clone());
        tokio::spawn(async move {
            let mut own = Load::default();
            let mut n = 0_u64;
            while began.elapsed() < length {
                let submission = json!({"plan": plan, "inputs": {"text": "a"}, "key": format!("{number}-{n}")});
                let asked = Instant::now();
                match submit(&client, &url, &submission).await {
                    Ok(Some(run)) => {
                        own.times.push(asked.elapsed().as_secs_f64() * 1e3);
                        own.ids.push(run.id);
                    }
                    Ok(None) => own.refused += 1,
                    Err(_) => break,
                }
                n += 1;
            }
            own
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut all = Load { streams: streams.len(), ..Load::default() };
    for client in clients {
        let own = client.await.map_err(|e| e.to_string())?;
        all.ids.extend(own.ids);
        all.times.extend(own.times);
        all.refused += own.refused;
    }
    all.seconds = began.elapsed().as_secs_f64();
    all.server_cpu_s = served.busy() - busy;
    Ok(all)
}

/// The job's plan, as `mkbc plan` makes it.
fn whole() -> Result<serde_json::Value, Failure> {
    let program = std::env::current_exe().map_err(|e| format!("this program cannot be found: {e}"))?;
    let file = tempfile::Builder::new().suffix(".mkb").tempfile_in(".").map_err(|e| e.to_string())?;
    std::fs::write(file.path(), JOB).map_err(|e| e.to_string())?;
    let made = Command::new(program).arg("plan").arg(file.path()).args(["--cluster", "here", "--json"]).output();
    serde_json::from_slice(&made.map_err(|e| e.to_string())?.stdout)
        .map_err(|e| format!("no plan was made: {e}").into())
}

/// Submits; none where the server refuses because there is too much.
async fn submit(client: &Client, url: &str, submission: &serde_json::Value) -> Result<Option<RunStatus>, Failure> {
    let asked = client.post(format!("{url}/v1/runs")).json(submission).send().await;
    let response = asked.map_err(|e| format!("the server cannot be asked: {e}"))?;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        return Ok(None);
    }
    let (status, text) = (response.status(), response.text().await.map_err(|e| e.to_string())?);
    if !status.is_success() {
        return Err(format!("the server answers with {status}: {}", printable(&text)).into());
    }
    serde_json::from_str(&text).map(Some).map_err(|e| e.to_string().into())
}

/// The numbers of all runs of a server.
async fn all(served: &Served) -> Result<BTreeSet<u64>, Failure> {
    let client = Client::builder().no_proxy().build().map_err(|e| e.to_string())?;
    let (mut found, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let url = format!("{}/v1/runs?limit=500{cursor}", served.url);
        let page = client.get(url).send().await.map_err(|e| e.to_string())?;
        let page: RunList = page.json().await.map_err(|e| e.to_string())?;
        found.extend(page.runs.iter().map(|run| run.id));
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}
