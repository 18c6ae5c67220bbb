//! A server that is stopped -> one that has answered, with its memory set aside, its port, its key and its log.

use super::{Instance, Live, Setting, Wanted};
use crate::run::devices::nvml;
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::fault::{Fault, FaultKind};
use crate::run::secret::random;
use crate::run::servers::command::{Launch, Place, command};
use crate::run::servers::ledger::Need;
use crate::run::servers::process::{Process, Start};
use crate::run::servers::{Force, ServerState, Servers, find, health, locked, tell};
use crate::run::store;
use std::time::Instant;

/// What a server needs beside its weights where the plan does not know: a share of them in percent, and bytes.
const BESIDE: (u64, u64) = (120, 500_000_000);

impl Instance {
    /// Bytes that it needs of each device.
    fn need(&self, weights: u64, servers: &Servers) -> Need {
        let Wanted { device, units, memory_gb, alone, placed, .. } = &self.wanted;
        let devices = if self.wanted.on_gpu() { (*units).max(1) } else { 1 };
        let planned = (memory_gb * 1e9) as u64;
        let guessed = weights / 100 * BESIDE.0 + BESIDE.1;
        let mut each = if planned > 0 { planned } else { guessed } / u64::from(devices);
        let ledger = servers.ledger();
        let room = ledger.room(device);
        each = match (self.wanted.on_gpu(), *alone) {
            // A server that has its cards for itself fills them with its cache.
            (true, true) => each.max(room / 100 * 90),
            (true, false) => each,
            // Weights that do not fit are read from the disk again and again: slow, and no error.
            (false, _) => each.min(room),
        };
        let all = ledger.devices(device);
        let chosen: Vec<String> = placed.iter().filter_map(|i| all.get(*i as usize).cloned()).collect();
        let chosen = (!placed.is_empty()).then_some(chosen);
        Need { kind: device.clone(), devices, each, chosen }
    }

    /// Starts it. An error says whether another start may help.
    pub(super) async fn start(&self, setting: &Setting<'_>, force: Force) -> Result<Option<Live>, (Fault, bool)> {
        let Setting { servers, env, folders, watch, .. } = setting;
        let fatal = |fault: Fault| (fault, false);
        let wanted = &self.wanted;
        let program = find::program(&wanted.serve.server, &wanted.url_env, *env).map_err(fatal)?;
        let weights = find::weights(&wanted.serve, *env, folders).map_err(fatal)?;
        let need = self.need(weights.bytes, servers);
        let room = servers.make_room(self.number, &need, force, *watch).await.map_err(fatal)?;
        let Some(devices) = room else { return Ok(None) };
        // Given back wherever this ends without a server.
        let room = servers.room(self.number);
        let share = need.each as f64 / devices.first().map_or(1, |d| servers.ledger().size(d)).max(1) as f64;
        let gpus: &[String] = if wanted.on_gpu() { &devices } else { &[] };
        let sleeps = wanted.serve.server == "vllm" && wanted.on_gpu() && !wanted.alone;
        let launch = Launch {
            serve: &wanted.serve,
            model: &wanted.model,
            api: &wanted.api,
            program: &program,
            weights: &weights.path,
            port: port().map_err(fatal)?,
            gpus,
            threads: if wanted.on_gpu() { 0 } else { wanted.units.clamp(1, crate::run::devices::cpu::cores()) },
            share,
            cache: need.each.saturating_sub(weights.bytes),
            sleeps,
            place: Place::Here,
        };
        let mut line = command(&launch).map_err(fatal)?;
        let key = line.key.map(|name| Ok((name, random::<24>()?))).transpose().map_err(fatal)?;
        if let Some((name, key)) = &key {
            line.env.insert((*name).to_owned(), key.clone());
        }
        for passed in ["LD_LIBRARY_PATH", "OLLAMA_MODELS"] {
            if let Some(value) = env(passed) {
                line.env.insert(passed.to_owned(), value);
            }
        }
        let endpoint = Endpoint::own(launch.port, key.map(|(_, key)| key)).map_err(fatal)?;
        let folder = setting.folder.join(format!("{}-{}", wanted.serve.server, self.number));
        store::folder(&folder).map_err(fatal)?;
        let log = folder.join("server.log");
        {
            let mut known = locked(&self.known);
            known.as_planned = need.chosen.as_ref().is_none_or(|chosen| *chosen == devices);
            known.devices.clone_from(&devices);
            known.reserved = need.each * devices.len() as u64;
            known.log.clone_from(&log);
            known.starts += 1;
            known.used = gpus.iter().map(|gpu| nvml::used(gpu)).sum();
        }
        let begun = Instant::now();
        let start =
            Start { argv: &line.argv, env: &line.env, ours: *env, folder: &folder, log: &log, threads: launch.threads };
        let spawner = servers.spawner().map_err(fatal)?;
        let process = Process::start(&start, &spawner).await.map_err(fatal)?;
        tell(*watch, &self.event(ServerState::Starting, None));
        let within = servers.patience().within(weights.bytes);
        let healthy = health::ready(&process, &endpoint, &line, &wanted.api, &wanted.name, within).await;
        if let Err(fault) = healthy {
            // One that died may have lost its port to somebody else; one that is late or refuses would do so again.
            return Err((fault, !process.runs()));
        }
        locked(&self.known).load_s = begun.elapsed().as_secs_f64();
        let live = Live { process, endpoint, line, devices, sleeps, weights: weights.bytes, _room: room };
        self.weigh(&live);
        Ok(Some(live))
    }
}

/// A port that nobody listens on now.
fn port() -> Result<u16, Fault> {
    let bound = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr());
    bound.map(|a| a.port()).map_err(|e| Fault::new(FaultKind::Process, format!("no port can be had: {e}")))
}
