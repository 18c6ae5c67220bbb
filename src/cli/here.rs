//! The machines that a plan is for: a cluster of the library, or this machine with what is installed on it.

use super::Failure;
use super::args::Source;
use super::load::{load, show};
use crate::compile::check_file;
use crate::diag::Diagnostics;
use crate::library::{Device, Implementation, Library};
use crate::plan::engine::{EXECUTABLE, http, key_env, mcp_server, serves, weights_of};
use crate::run::devices::{Gpu, Gpus, Inventory, inventory};
use crate::run::engines::browser::launch;
use crate::run::engines::http::endpoint;
use crate::run::engines::mcp::lacks;
use crate::run::engines::openai::sign;
use crate::run::engines::worker;
use crate::run::preflight::{PACKAGES, installed, lacking};
use crate::run::probe::Env;
use crate::run::servers::find;
use crate::space::Machines;
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The name of this machine as a cluster.
pub const HERE: &str = "here";

/// The machines of a name.
pub fn machines(name: &str, library: &Library) -> Result<Machines, Failure> {
    if name == HERE {
        return Ok(this_machine(&inventory(), library));
    }
    match library.clusters.get(name) {
        Some(cluster) => Ok(Machines::of(cluster)),
        None => {
            let names: Vec<&str> = library.clusters.keys().map(|k| k.as_str()).chain([HERE]).collect();
            let hint = crate::diag::nearest(name, names.iter().copied())
                .map_or_else(|| format!("there are {}", names.join(", ")), |n| format!("did you mean `{n}`?"));
            Err(Failure::Usage(format!("there is no cluster `{name}`: {hint}")))
        }
    }
}

/// The machines that `--cluster` says: a name that the library or the job's file knows, or `FILE.mkb`, `FILE.mkb:NAME`.
pub fn machines_of(given: &str, source: &Source, library: &Library) -> Result<Machines, Failure> {
    let (path, name) = match given.rsplit_once(".mkb:") {
        Some((path, name)) => (format!("{path}.mkb"), Some(name)),
        None if given.ends_with(".mkb") => (given.to_string(), None),
        None => return machines(given, library),
    };
    let Source { library: folders, format, .. } = source;
    let (texts, file) = load(&Source { file: path.clone().into(), library: folders.clone(), format: *format })?;
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    // A cluster that is in order is nothing to speak of: what is printed is the plan.
    if !cx.sorted().is_empty() {
        show(&cx, &texts, *format);
    }
    if cx.has_errors() {
        return Err(Failure::Said);
    }
    let own = checked.library.clusters.values().filter(|c| c.span.file == file).map(|c| c.name.as_str());
    let own: Vec<&str> = own.collect();
    let machines = match (name, own.as_slice()) {
        (Some(HERE), _) => return Err(Failure::Usage(format!("`{path}` cannot say what is here: `--cluster {HERE}`"))),
        (Some(name), _) => machines(name, &checked.library)?,
        (None, [only]) => machines(only, &checked.library)?,
        (None, []) => return Err(Failure::Message(format!("`{path}` has no cluster"))),
        (None, own) => {
            return Err(Failure::Usage(format!("`{path}` has several clusters: `--cluster {path}:{}`", own[0])));
        }
    };
    // What a device is stands in the library that its figures come from.
    match machines.pools.keys().find(|device| !library.devices.contains_key(*device)) {
        Some(device) => {
            let help = "declare it in the job's file, or in a folder that `--library` adds";
            Err(Failure::Message(format!("the job knows no device `{device}` of `{path}`: {help}")))
        }
        None => Ok(machines),
    }
}

/// A machine as a cluster, this one unless it is another's inventory, at the library's prices: what a step costs here is what it would cost to rent.
pub fn this_machine(inventory: &Inventory, library: &Library) -> Machines {
    let price = |device: &str| {
        let pools = library.clusters.values().flat_map(|c| &c.pools);
        pools.filter(|(name, ..)| name == device).map(|(.., price)| *price).min().unwrap_or(Decimal::ZERO)
    };
    let mut pools: BTreeMap<EcoString, (u32, Decimal)> = BTreeMap::new();
    pools.insert("cpu".into(), (inventory.cpu.cores, price("cpu")));
    if let Gpus::Devices(gpus) = &inventory.gpus {
        for gpu in gpus {
            if let Some(device) = known(gpu, library) {
                pools.entry(device.name.clone()).or_insert((0, price(&device.name))).0 += 1;
            }
        }
    }
    Machines { name: HERE.into(), pools }
}

/// What the library calls a GPU: the device whose name stands in the driver's.
pub fn known<'a>(gpu: &Gpu, library: &'a Library) -> Option<&'a Device> {
    library.devices.values().find(|d| d.gpu && gpu.is(d.name.as_str()))
}

/// Whether this machine can run an implementation: the engine is one of ours, its program is installed, its key is set.
pub fn usable_here(entry: &Implementation) -> Result<(), String> {
    let Some(engine) = &entry.engine else { return Err("it has no engine".into()) };
    let env = |name: &str| std::env::var(name).ok();
    let set = |name: Option<&str>| name.is_some_and(|n| env(n).is_some_and(|v| !v.is_empty()));
    match engine.kind.as_str() {
        "process" => {
            let packages = engine.text(PACKAGES).unwrap_or_default();
            let programs = engine.lists("command").into_iter().filter_map(|c| c.into_iter().next());
            let missing = programs.filter_map(|p| lacking(&p, packages, &env)).next();
            missing.map_or(Ok(()), |fault| Err(fault.message))
        }
        "browser" => launch::lacking(&env).map_or(Ok(()), |fault| Err(fault.message)),
        "openai" | "anthropic" | "bedrock" if set(key_env(engine)) || set(engine.text("url_env")) => Ok(()),
        "bedrock" if sign::given(&env) => Ok(()),
        "openai" | "anthropic" | "bedrock" => Err(match key_env(engine) {
            Some(key) => format!("`{key}` is not set"),
            None => "no key and no address are set".into(),
        }),
        "python" => match engine.text("interpreter").unwrap_or("python3") {
            own if own.contains('/') || installed(own, &env) => Ok(()),
            missing => Err(format!("the program `{missing}` is not installed")),
        },
        "mcp" => match lacks(&mcp_server(engine), &env).into_iter().next() {
            None => Ok(()),
            Some(fault) => Err(fault.message),
        },
        "worker" => local(engine, &env),
        "http" => endpoint(&http(engine), &env).map(|_| ()).map_err(|fault| fault.message),
        "server" if serves(engine) => served(engine, &env),
        kind if EXECUTABLE.contains(&kind) => Ok(()),
        other => Err(format!("this version plans for the engine `{other}` and cannot execute it")),
    }
}

/// Whether a model's worker and some weights of it are here.
fn local(engine: &crate::library::Engine, env: Env<'_>) -> Result<(), String> {
    let worker = engine.text("serve").unwrap_or_default();
    worker::program(worker, env).map_err(|fault| fault.message)?;
    weights_here(worker, engine, env)
}

/// Whether a model server has an address, or can be started here with some weights of its model.
fn served(engine: &crate::library::Engine, env: Env<'_>) -> Result<(), String> {
    let url_env = engine.text("url_env").unwrap_or_default();
    let names = weights_of(engine);
    let own = |name: &String| find::given(&find::own_address(url_env, name), env);
    if find::given(url_env, env) || names.iter().any(own) {
        return Ok(());
    }
    let unset = |why: String| format!("`{url_env}` is not set, and {why}");
    let server = engine.text("serve").unwrap_or_default();
    find::program(server, url_env, env).map_err(|fault| unset(fault.message))?;
    weights_here(server, engine, env).map_err(unset)
}

/// Whether any of the weights that an engine may be asked for are here.
fn weights_here(server: &str, engine: &crate::library::Engine, env: Env<'_>) -> Result<(), String> {
    let (folders, names) = ([PathBuf::from(".")], weights_of(engine));
    let there = |name: &String| find::weights_of(server, name, env, &folders).is_ok();
    if names.iter().any(there) { Ok(()) } else { Err(format!("no weights of it are here: {}", names.join(", "))) }
}
