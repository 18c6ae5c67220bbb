//! `mkbc serve`

mod sharing;

use super::here::{HERE, machines, this_machine, usable_here};
use super::judge::apart;
use super::load::library;
use super::run::program;
use super::{Failure, note, print};
use crate::ray::Ray;
use crate::run::devices::cpu::cores;
use crate::run::fault::Fault;
use crate::run::journal::PROJECT;
use crate::serve::listen::Patience;
use crate::serve::planning::{Here, Planner};
use crate::serve::tenants::{Tenants, new_token, new_worker_token};
use crate::serve::tls::Tls;
use crate::serve::{Service, Settings, serve as work};
use crate::units::counted;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Where a server listens, and is looked for, where nobody says otherwise.
pub const ADDRESS: &str = "127.0.0.1:7411";

#[derive(Args)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes any. An address that others reach needs --tokens or --client-ca
    #[arg(long, value_name = "ADDRESS:PORT", default_value = ADDRESS, value_parser = listening)]
    pub addr: Listening,
    /// A name that the server is asked by, beside its address (repeatable)
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// The folder whose `.mkbc` holds the journal, the queue and the runs
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// Runs at a time; 0 only accepts [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = within::<usize>(0..=1_024))]
    pub workers: Option<usize>,
    /// Who may use the server: tenants with the digests of their tokens
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Print a new token, and the entry of a tokens file for it, and do nothing else
    #[arg(long, value_name = "TENANT")]
    pub new_token: Option<String>,
    /// Print a new token for workers on other hosts, and the entry of a tokens file for it, and do nothing else
    #[arg(long, value_name = "NAME", conflicts_with = "new_token")]
    pub new_worker_token: Option<String>,
    /// Speak TLS with this certificate, and those that lead to its authority behind it (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Let in only clients with a certificate of these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub client_ca: Option<PathBuf>,
    /// Seconds after which a worker that is silent loses its runs to others
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub lease: u32,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// Run tools and models that a submission brings along: any program of this machine, that is
    #[arg(long)]
    pub allow_own_tools: bool,
    /// Let inputs name files below this folder
    #[arg(long, value_name = "DIR")]
    pub allow_files: Option<PathBuf>,
    /// Runs that may wait
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = within::<usize>(1..=10_000_000))]
    pub queue: usize,
    /// Event streams at a time
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = within::<usize>(0..=1_000_000))]
    pub streams: usize,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = within::<usize>(1..=1_000_000))]
    pub connections: usize,
    /// Kilobytes of a submission
    #[arg(long, value_name = "KB", default_value_t = 4_096, value_parser = within::<usize>(1..=4_194_304))]
    pub body: usize,
    /// Megabytes of a file that is uploaded
    #[arg(long, value_name = "MB", default_value_t = 1_024, value_parser = within::<u64>(0..=1_073_741_824))]
    pub blob: u64,
    /// Megabytes of all files that a tenant has uploaded
    #[arg(long, value_name = "MB", default_value_t = 10_240, value_parser = within::<u64>(0..=1_073_741_824))]
    pub blobs: u64,
    /// Seconds that what is under way has to end, where a run or the server is stopped
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::run::seconds)]
    pub grace: Duration,
    /// Have programs and Python tools of runs of this machine run on the Ray cluster with this dashboard; its token is in RAY_AUTH_TOKEN
    #[arg(long, value_name = "ray://HOST:PORT")]
    pub engine: Option<String>,
    #[command(flatten)]
    pub sharing: sharing::SharingOptions,
}

/// Where to listen, and the name that was given for it.
#[derive(Clone, Debug)]
pub struct Listening {
    at: SocketAddr,
    name: Option<String>,
}

/// An address, or a name that has one: of several, one of IPv4.
fn listening(text: &str) -> Result<Listening, String> {
    if let Ok(at) = text.parse() {
        return Ok(Listening { at, name: None });
    }
    let all: Vec<SocketAddr> = text.to_socket_addrs().map_err(|e| e.to_string())?.collect();
    let at = all.iter().find(|at| at.is_ipv4()).or(all.first()).copied();
    let name = text.rsplit_once(':').map(|(name, _)| name.to_owned());
    Ok(Listening { at: at.ok_or("the name has no address")?, name })
}

/// Numbers of which neither the machine nor arithmetic has too few.
fn within<T: TryFrom<u64> + Clone + Send + Sync + 'static>(range: RangeInclusive<u64>) -> RangedU64ValueParser<T> {
    RangedU64ValueParser::new().range(range)
}

/// Serves until it is stopped.
pub fn serve(options: &ServeOptions) -> Result<(), Failure> {
    let drawn = match (&options.new_token, &options.new_worker_token) {
        (Some(name), _) => Some(new_token(name)?),
        (None, Some(name)) => Some(new_worker_token(name)?),
        (None, None) => None,
    };
    if let Some((token, entry)) = drawn {
        // The token is for people, and the entry for the file.
        note(&format!("the token, which is shown only now: {token}"));
        print(&entry);
        return Ok(());
    }
    let absolute = |path: &PathBuf| {
        let cannot = |e| Failure::Message(format!("cannot find the folder `{}`: {e}", path.display()));
        path.canonicalize().map_err(cannot)
    };
    let libraries = options.library.iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
    let tenants = match &options.tokens {
        Some(path) => Tenants::read(path, options.queue)?,
        None => Tenants::local(options.queue),
    };
    let here = Here {
        machines: |name, library| machines(name, library).map_err(|why| why.to_string()),
        name: HERE,
        has: this_machine,
        usable: usable_here,
        judge: apart(),
    };
    let workers = options.workers.unwrap_or(cores() as usize);
    let planner = Planner::new(library(&libraries)?, libraries.clone(), here, options.allow_own_tools, workers > 0)?;
    let fleet = sharing::fleet(&options.sharing, &libraries);
    let ray = options.engine.as_ref().map(|at| Ok::<_, Fault>((at.clone(), program()?))).transpose()?;
    if let Some((at, program)) = &ray {
        // What is wrong with it is said now, and not with the first run.
        Ray::at(at, program, Vec::new(), &|name| std::env::var(name).ok())?;
    }
    let settings = Settings {
        address: options.addr.at,
        hosts: options.host.iter().chain(&options.addr.name).cloned().collect(),
        project: absolute(&options.project)?.join(PROJECT),
        libraries,
        workers,
        queue: options.queue,
        streams: options.streams,
        connections: options.connections,
        planners: (cores() as usize).div_ceil(2),
        body_bytes: options.body << 10,
        blob_bytes: options.blob << 20,
        blobs_bytes: options.blobs << 20,
        ray,
        allow_files: options.allow_files.as_ref().map(absolute).transpose()?,
        grace: options.grace,
        retry_after: Duration::from_secs(2),
        patience: Patience {
            write: Duration::from_secs(30),
            idle: Duration::from_secs(180),
            head: Duration::from_secs(20),
        },
        lease: Duration::from_secs(options.lease.into()),
        tls: match (&options.tls_cert, &options.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::read(certificate, key, options.client_ca.as_deref())?),
            _ => None,
        },
    };
    let (scheme, mutual) = settings.tls.as_ref().map_or(("http", false), |tls| ("https", tls.mutual));
    let service = Service::open(settings, tenants, planner, fleet)?;
    let ready = |address: SocketAddr| {
        // A line for programs: with port 0 nobody knows the address before.
        print(&format!("serving {scheme}://{address}\n"));
        let who = match (options.tokens.is_some(), mutual) {
            (true, true) => "tokens and certificates are asked for",
            (true, false) => "tokens are asked for",
            (false, true) => "certificates are asked for",
            (false, false) => "every program of this user may use it",
        };
        note(&format!("{} at a time; {who}; Ctrl-C ends it", counted(workers, "run")));
    };
    match work(&service, &ready)? {
        143 => Err(Failure::Terminated),
        _ => Err(Failure::Stopped),
    }
}
