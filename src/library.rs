//! Trees and profiles → library: tasks, what implements them, devices, clusters, types; every figure with its evidence.

pub mod audit;
pub mod declare;
pub mod embedded;
pub mod end_to_end;
pub mod errors;
pub mod evidence;
pub mod place;
pub mod placeholders;
pub mod profile;
pub mod reached;
pub mod roofline;
pub mod sheet;
pub mod size;

use crate::diag::source::{FileId, Span};
use crate::syntax::ast::{Name, Stmt};
use crate::types::Type;
use ecow::EcoString;
use evidence::{Demand, EvidenceKind};
use indexmap::IndexMap;
use profile::late::Late;
use roofline::chip::Architecture;
use rust_decimal::Decimal;
use size::SizeExpr;
use std::collections::BTreeMap;

/// Everything that jobs can build on.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// Tasks by name.
    pub tasks: IndexMap<EcoString, Task>,
    /// Models and tools by name.
    pub implementations: IndexMap<EcoString, Implementation>,
    /// Devices by name.
    pub devices: BTreeMap<EcoString, Device>,
    /// Clusters by name.
    pub clusters: BTreeMap<EcoString, Cluster>,
    /// Records and enums by name.
    pub types: BTreeMap<EcoString, (Type, Span)>,
    /// What is said above them, in Markdown.
    pub type_docs: BTreeMap<EcoString, EcoString>,
    /// The modules that exist.
    pub modules: Vec<EcoString>,
    /// What figures must rest on to be used.
    pub demand: Demand,
    /// The tables of quality that jobs may name (`quality from "eval.csv"`), by name.
    pub tables: BTreeMap<EcoString, FileId>,
    /// The traces of arrivals that jobs may name (`expect trace "arrivals.csv"`), by name.
    pub loads: BTreeMap<EcoString, Load>,
    /// Whether the job's text came without the files that lie beside it.
    pub alone: bool,
}

/// What a trace of arrivals says: by job, how many runs a second arrive in its busiest minute, under the empty name where it names no jobs;
/// or why it cannot be read.
pub type Load = Result<BTreeMap<EcoString, Decimal>, String>;

impl Library {
    /// Whether a device has so many gigabytes; none where nothing states its memory.
    pub fn has_memory(&self, device: &str, gb: Decimal) -> Option<bool> {
        Some(self.devices.get(device)?.memory_gb? >= gb)
    }

    /// What implements a task, in order of declaration.
    pub fn implementing<'a>(&'a self, task: &'a str) -> impl Iterator<Item = &'a Implementation> {
        self.implementations.values().filter(move |i| i.tasks.iter().any(|t| t == task))
    }

    /// The data flows of the compositions that carry out a task. Few entries have one: that is looked at first, since every call of a
    /// file that is being typed asks.
    pub fn composing<'a>(&'a self, task: &'a str) -> impl Iterator<Item = &'a Flow> {
        let composed = self.implementations.values().filter_map(|i| Some((i, i.flow.as_ref()?)));
        composed.filter(move |(i, _)| i.tasks.iter().any(|t| t == task)).map(|(_, flow)| flow)
    }

    /// The tasks that holes are filled with: those of modules that compose serve what they compose.
    pub fn for_holes(&self) -> impl Iterator<Item = &Task> {
        let composes = |task: &Task| {
            let mut flows = self.implementations.values().filter_map(|i| i.flow.as_ref());
            !task.module.is_empty() && flows.any(|flow| flow.module == task.module)
        };
        self.tasks.values().filter(move |task| !composes(task) && task.functions.is_empty())
    }
}

/// An interface.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name.
    pub name: EcoString,
    /// The module that declares it; empty for the job's own file.
    pub module: EcoString,
    /// Its documentation.
    pub docs: EcoString,
    /// Where its name stands.
    pub span: Span,
    /// What it takes.
    pub params: Vec<(EcoString, Type)>,
    /// What it yields.
    pub result: Type,
    /// What time, cost and energy scale with, by dimension name.
    pub work: Vec<(EcoString, SizeExpr)>,
    /// Sizes of the result (`frames.count`) in terms of the sizes of the arguments.
    pub sizes: Vec<(EcoString, SizeExpr)>,
    /// What a language model is told, whichever it is: the user prompt, with `{param}` for the arguments.
    pub prompt: EcoString,
    /// The system prompt.
    pub system: EcoString,
    /// The largest number of tokens in a model's answer.
    pub max_tokens: u32,
    /// The parameter that says what the model may call, where it is asked for a call (`functions PARAM`); empty else.
    pub functions: EcoString,
    /// What it declares of its parameters: those that take a place or are executed (`reaches`, `executes`), and those that do not,
    /// whatever they are called (`plain`).
    pub places: place::Places,
    /// Whether what it yields is code (`gives code`), which may be executed.
    pub gives_code: bool,
    /// The benchmark that qualities for it are taken from (`quality from NAME`).
    pub benchmark: Option<EcoString>,
}

/// A model or tool.
#[derive(Clone, Debug)]
pub struct Implementation {
    /// Its name.
    pub name: EcoString,
    /// The tasks that it carries out.
    pub tasks: Vec<EcoString>,
    /// Its documentation.
    pub docs: EcoString,
    /// Where its name stands.
    pub span: Span,
    /// What can be set: name and values.
    pub knobs: Vec<(EcoString, Vec<EcoString>)>,
    /// What it can run on.
    pub hardware: Vec<HardwareOption>,
    /// How it is executed.
    pub engine: Option<Engine>,
    /// Its figures.
    pub profile: Late,
    /// Work in place of the task's, where a knob changes it.
    pub work: Vec<(EcoString, SizeExpr)>,
    /// Sizes of the result in place of the task's, where a knob changes them.
    pub sizes: Vec<(EcoString, SizeExpr)>,
    /// What it must not be taken for more than: `lowest tier`.
    pub label: Option<EcoString>,
    /// Its licence.
    pub license: Option<EcoString>,
    /// Whether its weights or code are open.
    pub open: bool,
    /// Where it runs, for closed endpoints.
    pub region: Option<EcoString>,
    /// How many calls are under way at once.
    pub concurrency: Concurrency,
    /// What a provider takes at most, of all that is sent to it.
    pub limits: Vec<RateLimit>,
    /// What a provider does with what it is sent.
    pub handling: Vec<Handling>,
    /// What that rests on, in the same order.
    pub stated: Vec<Stated>,
    /// The data flow of a composition, which has neither hardware nor an engine.
    pub flow: Option<Flow>,
}

/// The data flow of a composition, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The module that declares it: it is offered to jobs that use this; empty for the job's own file.
    pub module: EcoString,
    /// The task whose calls in it make the answers; its own, where it says no other.
    pub answers: EcoString,
    /// The statements that compute.
    pub stmts: Vec<Stmt>,
}

/// How many calls are under way at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// So many.
    Fixed(u32),
    /// As many as a knob says: a batch.
    Knob(EcoString),
}

/// What a provider does with what it is sent: one of the two is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Handling {
    /// The value of a knob that it is for; `None` for all.
    pub of: Option<EcoString>,
    /// For how many seconds at most it is kept.
    pub kept: Option<Decimal>,
    /// Whether models are trained on it.
    pub trains: Option<bool>,
}

/// What a provider takes at most.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// The value of a knob that it is for; `None` for all.
    pub of: Option<EcoString>,
    /// Whether tokens are counted, not calls.
    pub tokens: bool,
    /// How many a second.
    pub per_second: Decimal,
    /// As written.
    pub text: EcoString,
}

impl Implementation {
    /// One of which nothing is known yet but what it is called and carries out.
    pub(crate) fn named(name: &Name, tasks: Vec<EcoString>, docs: &EcoString) -> Implementation {
        Implementation {
            name: name.text.clone(),
            tasks,
            docs: docs.clone(),
            span: name.span,
            knobs: Vec::new(),
            hardware: Vec::new(),
            engine: None,
            profile: Late::default(),
            work: Vec::new(),
            sizes: Vec::new(),
            label: None,
            license: None,
            open: true,
            region: None,
            concurrency: Concurrency::Fixed(1),
            limits: Vec::new(),
            handling: Vec::new(),
            stated: Vec::new(),
            flow: None,
        }
    }

    /// For how many seconds at most what it is sent on such a device is kept; `None` where nobody says it. Machines of one's own keep nothing for
    /// others.
    pub fn retention(&self, device: &str, knobs: &[(EcoString, EcoString)]) -> Option<Decimal> {
        if device == "api" { self.handles(knobs, |handling| handling.kept) } else { Some(Decimal::ZERO) }
    }

    /// Whether others train models on what it is sent on such a device; `None` where nobody says it.
    pub fn trains(&self, device: &str, knobs: &[(EcoString, EcoString)]) -> Option<bool> {
        if device == "api" { self.handles(knobs, |handling| handling.trains) } else { Some(false) }
    }

    fn handles<T>(&self, knobs: &[(EcoString, EcoString)], what: impl Fn(&Handling) -> Option<T>) -> Option<T> {
        let of = |value: Option<&EcoString>| self.handling.iter().filter(|h| h.of.as_ref() == value).find_map(&what);
        knobs.iter().find_map(|(_, value)| of(Some(value))).or_else(|| of(None))
    }

    /// What a provider takes at most of a setting: what is said of one of its knobs' values stands in the place of what is said of all.
    pub fn limits_at<'a>(&'a self, knobs: &'a [(EcoString, EcoString)]) -> impl Iterator<Item = &'a RateLimit> {
        let own =
            move |limit: &RateLimit| limit.of.as_ref().is_some_and(|of| knobs.iter().any(|(_, value)| value == of));
        let has_own = move |tokens: bool| self.limits.iter().any(|limit| limit.tokens == tokens && own(limit));
        self.limits.iter().filter(move |limit| own(limit) || limit.of.is_none() && !has_own(limit.tokens))
    }

    /// Whether its licence lets anybody use it for anything.
    pub fn is_permissive(&self) -> bool {
        const PERMISSIVE: [&str; 6] = ["apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "permissive"];
        self.license.as_ref().is_some_and(|l| PERMISSIVE.contains(&l.to_lowercase().as_str()))
    }
}

/// Hardware that an implementation can run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareOption {
    /// A device, or `gpu` for any GPU.
    pub device: EcoString,
    /// The least memory of one device, in gigabytes.
    pub memory_gb: Option<Decimal>,
    /// How many.
    pub units: Vec<u32>,
    /// Where it is written.
    pub span: Span,
}

/// The setting of an engine that says how many calls it takes as one.
pub const TOGETHER: &str = "together";

/// Where a command of a process has the file with the calls that it is to carry out.
pub const CALLS: &str = "{calls}";

/// How an implementation is executed: the engine's name and settings, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    /// `process`, `openai`, `builtin`, …
    pub kind: EcoString,
    /// Where it is written.
    pub span: Span,
    /// Its settings: name, values.
    pub settings: Vec<(EcoString, Vec<Setting>)>,
}

/// A value of an engine's setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A word, text or number.
    Text(EcoString),
    /// A list of them.
    List(Vec<EcoString>),
}

impl Engine {
    /// The first value of a setting, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(n, _)| n == name).and_then(|(_, v)| match v.first() {
            Some(Setting::Text(t)) => Some(t.as_str()),
            _ => None,
        })
    }

    /// The first values of all settings of a name, as text.
    pub fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.settings.iter().filter(move |(n, _)| n == name).filter_map(|(_, v)| match v.first() {
            Some(Setting::Text(t)) => Some(t.as_str()),
            _ => None,
        })
    }

    /// The lists that are given under a name, in order (`command [ … ]` twice is two commands).
    pub fn lists(&self, name: &str) -> Vec<Vec<String>> {
        let settings = self.settings.iter().filter(|(n, _)| n == name);
        let lists = settings.flat_map(|(_, v)| v.iter()).filter_map(|v| match v {
            Setting::List(items) => Some(items.iter().map(|i| i.to_string()).collect()),
            Setting::Text(_) => None,
        });
        lists.collect()
    }
}

/// A device.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: EcoString,
    /// What it is for people.
    pub docs: EcoString,
    /// Where its name stands.
    pub span: Span,
    /// Whether it is a GPU.
    pub gpu: bool,
    /// Its memory in gigabytes.
    pub memory_gb: Option<Decimal>,
    /// What its makers say of it.
    pub facts: Facts,
    /// What its numbers rest on, each under the word that states it.
    pub stated: Vec<Stated>,
}

/// A number that a device or a cluster states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// The fact of a device, or the device whose price it is.
    pub name: EcoString,
    /// Where it stands.
    pub at: Span,
    /// What it rests on, the source, and where that is said; `None` where nothing is.
    pub evidence: Option<(EvidenceKind, EcoString, Span)>,
}

impl Stated {
    /// The kind of what it rests on, and the source; `None` where nothing is said.
    pub fn rests(stated: &[Stated], name: &str) -> Option<String> {
        let (kind, source, _) = stated.iter().find(|s| s.name == name)?.evidence.as_ref()?;
        Some(format!("{kind}: {source}"))
    }

    fn unsupported(name: EcoString, at: Span) -> Stated {
        Stated { name, at, evidence: None }
    }
}

/// What the makers of a device say of it; `None` where nothing does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Its architecture.
    pub architecture: Option<Architecture>,
    /// Dense bf16 operations (fp16 where it has no bf16), 10¹² a second.
    pub tflops: Option<Decimal>,
    /// Memory bandwidth, gigabytes a second.
    pub bandwidth: Option<Decimal>,
    /// What it sends directly to another device of its node, gigabytes a second in one direction.
    pub link: Option<Decimal>,
    /// The most that it draws, watts.
    pub power: Option<Decimal>,
    /// What it draws with nothing to do, watts.
    pub idle: Option<Decimal>,
}

/// Machines.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: EcoString,
    /// Where it stands.
    pub span: Span,
    /// Pools: device, how many, dollars an hour.
    pub pools: Vec<(EcoString, u32, Decimal)>,
    /// What its prices rest on, by device; what is free has none.
    pub stated: Vec<Stated>,
}
