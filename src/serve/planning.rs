//! What was submitted, a plan or a source -> a plan that this server runs: verified, of its own library, and possible on its machine.
//!
//! A plan or source from elsewhere may name any program. Unless the server says otherwise, steps are carried out by what its library has,
//! as its library has it: [`Planner::trust`] computes every engine and figure again.

pub mod ask;

use super::api::refusal::Refusal;
use super::inputs::{Files, Given, given};
use super::sites::{Needs, Sites};
use crate::ask::question::{self, Unread};
use crate::check::program::Job;
use crate::check::select;
use crate::compile::{self, Checked, Compiled, Target, Texts, check_tree, fill};
use crate::diag::source::FileId;
use crate::diag::{Diagnostics, render};
use crate::digest::digest;
use crate::expand::lock::Lock;
use crate::ir::workflow::{Node, Op, Region};
use crate::library::{Implementation, Library};
use crate::plan::model::Plan;
use crate::plan::verify::{verify, verify_against};
use crate::run::devices::Inventory;
use crate::run::fault::RunError;
use crate::run::{preflight, value};
use crate::solve::judge::Judge;
use crate::solve::{Certify, Limits};
use crate::space::ends::End;
use crate::space::{Machines, Usable};
use crate::syntax::ast::File;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nodes that the search may visit, and milliseconds that one call of z3 may take.
const NODES: u64 = 2_000_000;
const Z3_MS: u32 = 2_000;
/// The longest that a plan is looked for.
pub const LONGEST: f64 = 60.0;
/// Bytes of a file's name.
const FILE_NAME: usize = 255;
/// Plans that are remembered as verified.
const REMEMBERED: usize = 256;

/// What somebody who knows this machine says of it.
#[derive(Clone, Copy)]
pub struct Here {
    /// The machines of a name, as a cluster: this machine's, or one of the library's.
    pub machines: fn(&str, &Library) -> Result<Machines, String>,
    /// What this machine is called there.
    pub name: &'static str,
    /// What some machine has, as a cluster.
    pub has: fn(&Inventory, &Library) -> Machines,
    /// Whether this machine can run an implementation.
    pub usable: fn(&Implementation) -> Result<(), String>,
    /// Who certifies plans, where that is not the z3 in this process.
    pub judge: Option<&'static dyn Judge>,
}

/// A source that is to be planned.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The text of a `.mkb` file.
    pub source: String,
    /// What the file is called, where its owner said so.
    pub file: Option<String>,
    /// The job, where there are several.
    pub job: Option<String>,
    /// The text of its lock file.
    pub lock: Option<String>,
    /// Lines that count as if the job said them, limits in place of its own.
    pub slo: Vec<String>,
    /// Whether every limit is kept at the worst end of each figure.
    pub robust: bool,
    /// Seconds to look for a better plan.
    pub time_limit_s: Option<f64>,
}

impl Order {
    /// What the file is called in what is said about it. A name is shown, and nothing is looked for by it.
    fn file(&self) -> Result<&str, Refusal> {
        let Some(name) = &self.file else { return Ok("job.mkb") };
        let plain = !name.is_empty() && name.len() <= FILE_NAME && !name.contains(|c: char| c.is_control() || c == '/');
        let wrong = || {
            Refusal::invalid(
                "bad_file_name",
                format!("a file's name has 1 to {FILE_NAME} bytes, no `/` and no control characters"),
            )
        };
        plain.then_some(name.as_str()).ok_or_else(wrong)
    }
}

/// A source that was read.
pub struct Opened {
    /// Every text that went in.
    pub texts: Texts,
    /// The source's place among them.
    pub file: FileId,
    /// What it means, its holes filled.
    pub checked: Checked,
    /// The text of its lock file, where there were holes.
    pub lock: Option<String>,
    /// The job.
    pub job: String,
}

/// A plan that may be run, with its text.
#[derive(Debug)]
pub struct Trusted {
    /// It.
    pub plan: Plan,
    /// As JSON.
    pub text: String,
    /// Digest of the text.
    pub digest: String,
    /// What it needs of the machine that carries it out.
    pub needs: Arc<Needs>,
}

/// Makes plans, and says which may be run.
pub struct Planner {
    texts: Texts,
    library: Arc<Library>,
    libraries: Vec<PathBuf>,
    here: Here,
    own_tools: bool,
    sites: Sites,
    /// Plans that were found good, by digest.
    known: Mutex<BTreeMap<String, Arc<Trusted>>>,
}

impl Planner {
    /// A planner for a library; with `own_tools`, sources and plans may bring tools and models along: any program of this machine, that is.
    /// `works` says whether this machine carries runs out.
    pub fn new(
        texts: Texts,
        libraries: Vec<PathBuf>,
        here: Here,
        own_tools: bool,
        works: bool,
    ) -> Result<Planner, String> {
        let mut cx = Diagnostics::default();
        let Checked { library, .. } = check_tree(&texts, File::default(), &mut cx);
        if cx.has_errors() {
            return Err(render::text(&cx, &texts.sources, false));
        }
        let own = works.then(|| (here.machines)(here.name, &library)).transpose()?;
        Ok(Planner { texts, library, libraries, here, own_tools, sites: Sites::new(own), known: Mutex::default() })
    }

    /// The machines that carry runs out.
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// What some machine has, as a cluster.
    pub fn has(&self, inventory: &Inventory) -> Machines {
        (self.here.has)(inventory, &self.library)
    }

    /// What a plan needs of the machine that carries it out; its text is asked for where it is not remembered.
    pub fn needs(&self, digest: &str, text: impl FnOnce() -> Option<String>) -> Arc<Needs> {
        if let Some(known) = self.known(digest) {
            return known.needs.clone();
        }
        let plan = text().and_then(|text| serde_json::from_str::<Plan>(&text).ok());
        // One that cannot be read is a fault of the run, which whoever takes it finds.
        plan.map_or_else(Arc::default, |plan| {
            let lacks = !self.missing(&plan).is_empty();
            Arc::new(Needs { elsewhere: lacks, ..Needs::of(&plan, &self.library) })
        })
    }

    /// The plan of a digest, if it was found good before.
    pub fn known(&self, digest: &str) -> Option<Arc<Trusted>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn remember(&self, trusted: Trusted) -> Arc<Trusted> {
        let trusted = Arc::new(trusted);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.pop_first();
        }
        known.insert(trusted.digest.clone(), trusted.clone());
        trusted
    }

    /// A plan from elsewhere, if it is what this server's library says and this machine can run it.
    pub fn trust(&self, text: String) -> Result<Arc<Trusted>, Refusal> {
        self.trust_by(text, &self.library)
    }

    /// The same by this server's library with other figures.
    pub fn trust_by(&self, text: String, library: &Library) -> Result<Arc<Trusted>, Refusal> {
        let plan: Plan = serde_json::from_str(&text)
            .map_err(|e| Refusal::invalid("bad_plan", format!("this is no plan that the server can read: {e}")))?;
        let wrong = if self.own_tools { verify(&plan) } else { verify_against(&plan, library) };
        if !wrong.is_empty() {
            let message = format!("the plan does not pass verification and is not run: {}", wrong.join("; "));
            return Err(Refusal::invalid("unverified_plan", message)
                .help("submit the job's source, or plan it with the server's library"));
        }
        if !self.own_tools && makes_files(&plan.body) {
            let message = "the plan makes a value that names a file by itself";
            return Err(Refusal::invalid("unverified_plan", message).help("submit the job's source"));
        }
        let needs = Arc::new(self.able(&plan)?);
        let digest = digest([text.as_str()]);
        Ok(self.remember(Trusted { plan, text, digest, needs }))
    }

    /// The library of this server.
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Whether this machine or one of the hosts can run an implementation.
    pub fn usable(&self) -> impl Fn(&Implementation) -> Result<(), String> {
        move |entry: &Implementation| {
            (self.here.usable)(entry).or_else(|why| if self.sites.can(entry) { Ok(()) } else { Err(why) })
        }
    }

    /// Reads a source: checked, its holes filled. Without `own_tools` it brings no tools or models along.
    pub fn open(&self, order: &Order, own_tools: bool) -> Result<Opened, Refusal> {
        let mut texts = self.texts.clone();
        texts.alone = true;
        let file = texts.sources.add(order.file()?, order.source.as_str());
        let mut cx = Diagnostics::default();
        let checked = compile::check_file(&texts, file, &mut cx);
        if cx.has_errors() {
            return Err(Refusal::diagnosed(&cx, &texts.sources));
        }
        if !own_tools {
            own(&checked, file)?;
        }
        let lock = order.lock.as_deref().map(Lock::read).transpose();
        let lock = lock.map_err(|why| Refusal::invalid("bad_lock", format!("the lock file cannot be read: {why}")))?;
        let filled = fill(&mut texts, checked, &lock.unwrap_or_default(), false, &mut cx);
        let Some((mut checked, lock)) = filled else { return Err(Refusal::diagnosed(&cx, &texts.sources)) };
        let lock = (!lock.holes.is_empty()).then(|| lock.write()).transpose();
        let lock = lock.map_err(|why| Refusal::invalid("bad_lock", why))?;
        let job = select(&checked.program, order.job.as_deref()).map_err(|why| Refusal::invalid("no_job", why))?;
        let job = job.name.to_string();
        let changed = checked.program.jobs.iter_mut().filter(|known| known.name == job.as_str());
        for known in changed {
            limited(known, "slo", &order.slo, &checked.library, &mut texts)?;
        }
        Ok(Opened { texts, file, checked, lock, job })
    }

    /// Plans a source for this machine and the inputs that are given. Takes processor time: not for a thread that others wait for.
    pub fn plan(
        &self,
        order: &Order,
        inputs: &Map<String, Value>,
        files: &Files<'_>,
    ) -> Result<(Arc<Trusted>, Given), Refusal> {
        let Opened { texts, file, checked, lock, job } = &self.open(order, self.own_tools)?;
        let file = *file;
        let job = select(&checked.program, Some(job)).map_err(|why| Refusal::invalid("no_job", why))?;
        let params: Vec<_> = job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.as_str(), &l.ty)).collect();
        let given = given(&params, inputs, files)?;
        let limit = Duration::from_secs_f64(order.time_limit_s.unwrap_or(20.0).clamp(0.0, LONGEST));
        let began = Instant::now();
        let out_of_time = move || began.elapsed() >= limit;
        let limits = Limits {
            nodes: NODES,
            out_of_time: Some(&out_of_time),
            z3_ms: Z3_MS,
            certify: Certify::Core,
            judge: self.here.judge,
        };
        let end = if order.robust { End::Worst } else { End::Typical };
        let trusted = self.somewhere(&checked.library, |machines, usable| {
            let mut cx = Diagnostics::default();
            let target = Target { job: Some(&job.name), machines, measured: &given.sizes, usable, limits, end };
            let compiled = Compiled { texts, file, checked, lock: lock.as_deref() };
            let plan = match compile::plan(compiled, &target, &mut cx) {
                Ok((_, decision)) => Plan { beside: order.slo.clone(), ..decision.plan },
                Err(_) if cx.has_errors() => return Err(Refusal::diagnosed(&cx, &texts.sources)),
                Err(why) => return Err(Refusal::invalid("no_plan", why)),
            };
            let needs = Arc::new(self.able(&plan)?);
            let text = serde_json::to_string(&plan).map_err(|e| Refusal::broken(&e.to_string()))?;
            let digest = digest([text.as_str()]);
            Ok(self.remember(Trusted { plan, text, digest, needs }))
        })?;
        Ok((trusted, given))
    }

    /// Plans for one machine after the other until there is a plan, since one carries a run out: this one, or else a host that has what it
    /// takes. A cluster that the job names is for `mkbc plan`. Where there is none, the first refusal counts.
    fn somewhere<T>(
        &self,
        library: &Library,
        mut planned: impl FnMut(&Machines, &Usable<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let own = self.sites.counts_own().then(|| {
            let machines = (self.here.machines)(self.here.name, library);
            machines.map_err(|why| Refusal::invalid("no_cluster", why)).and_then(|own| planned(&own, &self.here.usable))
        });
        let mut why = match own {
            Some(Ok(made)) => return Ok(made),
            other => other.and_then(Result::err),
        };
        for site in self.sites.kinds() {
            let usable = |entry: &Implementation| match site.usable.contains(entry.name.as_str()) {
                true => Ok(()),
                false => (self.here.usable)(entry),
            };
            match planned(&site.machines, &usable) {
                Ok(made) => return Ok(made),
                Err(refusal) => why = why.or(Some(refusal)),
            }
        }
        Err(why.unwrap_or_else(|| Refusal::invalid("no_cluster", "no machine carries runs out")))
    }

    fn missing(&self, plan: &Plan) -> Vec<RunError> {
        let env = |name: &str| std::env::var(name).ok();
        preflight::missing(plan, &env, &self.libraries)
    }

    /// Refuses a plan for which this machine lacks something, unless a host says that it has all of it.
    fn able(&self, plan: &Plan) -> Result<Needs, Refusal> {
        let (missing, needs) = (self.missing(plan), Needs::of(plan, &self.library));
        if missing.is_empty() {
            return Ok(needs);
        }
        if self.sites.can_all(plan, &needs) {
            return Ok(Needs { elsewhere: true, ..needs });
        }
        let lines: Vec<String> = missing.iter().map(|m| m.to_string()).collect();
        Err(Refusal::invalid(
            "cannot_run",
            format!("the server's machine cannot run the plan:\n  {}", lines.join("\n  ")),
        ))
    }
}

/// Changes a job by lines of the language, which diagnostics call by a name.
fn limited(job: &mut Job, name: &str, lines: &[String], library: &Library, texts: &mut Texts) -> Result<(), Refusal> {
    let mut cx = Diagnostics::default();
    for line in lines {
        question::change(name, line, job, library, &mut texts.sources, &mut cx).map_err(|unread| match unread {
            Unread::Because(why) => Refusal::invalid("bad_limit", why),
            Unread::Said => Refusal::diagnosed(&cx, &texts.sources),
        })?;
    }
    Ok(())
}

/// Refuses a source that brings its own tools or models along.
fn own(checked: &Checked, file: FileId) -> Result<(), Refusal> {
    let own = checked.library.implementations.values().filter(|i| i.span.file == file && i.engine.is_some());
    let Some(own) = own.map(|i| &i.name).next() else { return Ok(()) };
    let message = format!("the source declares `{own}`, and this server runs only what its own library has");
    Err(Refusal::forbidden("own_tools", message).help(
        "put it into a folder that the server is started with (`--library`), or start it with `--allow-own-tools`",
    ))
}

/// Whether a data flow holds a value that names a file, or makes one: the compiler writes no such thing, since files come from inputs and
/// steps.
fn makes_files(region: &Region) -> bool {
    let literal = serde_json::to_value(region).is_ok_and(|json| !value::files(&json).is_empty());
    literal
        || region.nodes.iter().any(|node| match node {
            Node::Compute { op: Op::Record(fields), .. } => fields.iter().any(|field| field == "file"),
            Node::Map { body, .. } | Node::Repeat { body, .. } => makes_files(body),
            Node::Branch { then, otherwise, .. } => makes_files(then) || makes_files(otherwise),
            Node::Choose { ways, .. } => ways.iter().any(makes_files),
            Node::Call { .. } | Node::Compute { .. } => false,
        })
}
