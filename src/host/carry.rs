//! A run that was granted → carried out here, and what came of it said to the service.

use super::Machine;
use super::fetch::{ANSWER, Fetch, below};
use super::mirror::{Out, mirror};
use super::paths::Paths;
use super::places::AtService;
use super::tie::{No, insist};
use crate::plan::model::Plan;
use crate::run::cache::{Cache, MOST, Policy};
use crate::run::cancel::Cancel;
use crate::run::fault::{Fault, RunError, printable};
use crate::run::journal::recorder::{Names, Recording};
use crate::run::journal::{Journal, Run, RunInfo};
use crate::run::observer::Silent;
use crate::run::places::Places;
use crate::run::preflight::missing;
use crate::run::store::{fresh_folder, run_folder, write};
use crate::run::value::with_files;
use crate::run::{RunContext, block_on, run};
use crate::serve::execute::{End, ended, most_usd, stop_late};
use crate::serve::hosts::protocol::{Ended, Grant, Outcome, ReportFile, SMALL};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Carries a run out, and says to the service how it ended. Nothing of it stays here.
pub fn carry(machine: &Machine, grant: &Grant, cancel: &Cancel) -> Outcome {
    let folder = machine.folder.join("leases").join(format!("{}-{}", grant.journal, grant.fence));
    let worked = catch_unwind(AssertUnwindSafe(|| work(machine, grant, &folder, cancel)));
    let failed = |why: String| Ended { outcome: Outcome::Failed(why), spent_micro: None, reports: BTreeMap::new() };
    let ended = match worked {
        Ok(Ok(ended)) => ended,
        Ok(Err(fault)) => failed(RunError::from(fault).to_string()),
        Err(_) => failed("the worker's own fault: the run's thread panicked".to_owned()),
    };
    let said = block_on(say(machine, grant, &ended));
    // A run that was given to another host in the meantime ends there.
    let lost = matches!(&said, Ok(Err(No::Refused { code, .. })) if code == "lease_lost");
    let _ = std::fs::remove_dir_all(&folder);
    if lost { Outcome::Stopped } else { ended.outcome }
}

async fn say(machine: &Machine, grant: &Grant, ended: &Ended) -> Result<(), No> {
    let tie = machine.service.tie().map_err(|fault| No::Away(fault.message))?;
    let path = below(grant, "end");
    // Nobody can want this no longer: until it is said, the run waits for this host.
    let never = Cancel::new();
    insist(&never, || tie.send(tie.request(Method::POST, &path).json(ended).timeout(ANSWER))).await.map(drop)
}

fn work(machine: &Machine, grant: &Grant, folder: &Path, cancel: &Cancel) -> Result<Ended, Fault> {
    let plan: Plan =
        serde_json::from_str(&grant.plan).map_err(|e| Fault::plan(format!("the plan cannot be read: {e}")))?;
    let env = |name: &str| std::env::var(name).ok();
    let lacking = missing(&plan, &env, &machine.libraries);
    if !lacking.is_empty() {
        let all: Vec<String> = lacking.iter().map(|error| error.fault.message.clone()).collect();
        let outcome = Outcome::Refused(printable(&all.join("; ")));
        return Ok(Ended { outcome, spent_micro: Some(0), reports: BTreeMap::new() });
    }
    fresh_folder(folder)?;
    // What counts is on the service's disk; what stands here is gone with this process.
    let mut journal = Journal::passing(folder)?;
    let info = RunInfo { folder: None, folders: machine.libraries.clone(), ..grant.info.clone() };
    let begun = Run { id: grant.journal, info, fence: grant.fence.saturating_sub(1), count: grant.count };
    let here = run_folder(&journal.folder(&begun))?;
    let mut paths = Paths::new(&grant.folder, &here);
    let blobs = journal.blobs().clone();
    let fetched = block_on(async {
        let tie = machine.service.tie()?;
        let fetch = Fetch { tie: &tie, grant, cancel, blobs: &blobs };
        let inputs = fetch.inputs(&folder.join("inputs"), &mut paths).await?;
        Ok::<_, Fault>((inputs, fetch.records(&paths).await?))
    });
    let (inputs, records) = fetched.map_err(|e| Fault::storage("fetch files below", folder, &e))??;
    journal.import(&begun, &records)?;
    let paths = Arc::new(paths);
    let names = paths.clone();
    let mirror = mirror(&machine.service, grant, &paths, &blobs, cancel)?;
    let recorder = journal.mirrored(mirror).attach(&begun, jiff::Timestamp::now().to_string())?;
    let recorder = recorder.naming(Names(Arc::new(move |file| names.there(file))));
    let recording = Recording { recorder: &recorder, inner: &Silent };
    let places = AtService::of(&machine.service, grant, cancel)?;
    let cache = Cache::of(&machine.folder.join("tenants").join(&grant.tenant), Policy::Usual);
    let cx = RunContext {
        cancel: cancel.clone(),
        folders: machine.libraries.clone(),
        recorder: Some(&recorder),
        cache: Some(&cache),
        servers: Some(machine.servers.clone()),
        most_usd: most_usd(grant.held_micro),
        places: places.as_ref().map(|places| places as &dyn Places),
        ..RunContext::new(recorder.folder(), &recording, &env)
    };
    let grace = Duration::try_from_secs_f64(grant.grace_s).unwrap_or_default();
    let report = block_on(async {
        tokio::select! {
            report = run(&plan, inputs, &cx) => report,
            never = stop_late(cancel.clone(), grace) => match never {},
        }
    });
    let report = report.map_err(|e| Fault::storage("carry out the run in", folder, &e))?;
    cache.collect(MOST, None, SystemTime::now());
    // What nobody waited for is sent before the end is.
    drop(recorder);
    // They are for people; the answer is in the records.
    let (reports, large): (BTreeMap<_, _>, BTreeMap<_, _>) = ReportFile::ALL
        .into_iter()
        .filter_map(|file| Some((file, reported(&here.join(file.name()), grant, &paths)?)))
        .partition(|(_, text)| text.len() <= SMALL);
    if !large.is_empty() {
        let _ = block_on(async {
            let tie = machine.service.tie()?;
            let out = Out { tie: &tie, grant, paths: &paths, blobs: &blobs, cancel };
            for (file, text) in large {
                write(&here.join(file.name()), text.as_bytes())?;
                out.file(&here.join(file.name()), &grant.folder.join(file.name()).to_string_lossy()).await?;
            }
            Ok::<_, Fault>(())
        });
    }
    let (end, spent_micro) = ended(&report);
    let outcome = match end {
        End::Done => Outcome::Done,
        End::Failed(why) => Outcome::Failed(why),
        End::Stopped | End::Back(_) => Outcome::Stopped,
    };
    Ok(Ended { outcome, spent_micro, reports })
}

/// A report with the names that files have there, if there is one.
fn reported(here: &Path, grant: &Grant, paths: &Paths) -> Option<String> {
    let value: Value = serde_json::from_str(&std::fs::read_to_string(here).ok()?).ok()?;
    let mut value = with_files(&value, &|file| paths.there(file));
    if let Some(folder) = value.get_mut("folder").filter(|folder| folder.is_string()) {
        *folder = grant.folder.to_string_lossy().into();
    }
    Some(format!("{value:#}\n"))
}
