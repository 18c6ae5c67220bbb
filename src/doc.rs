//! Library → its documentation: every task with what carries it out, every figure with its evidence; as data and as pages.

pub mod html;

use crate::library::evidence::EvidenceKind;
use crate::library::roofline::trust::Trust;
use crate::library::size::{SizeExpr, SizeOp};
use crate::library::{
    Concurrency, Device, Engine, Facts, Handling, HardwareOption, Implementation, Library, Setting, Stated, Task,
};
use crate::types::Type;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeMap;

/// All that the pages show.
#[derive(Clone, Debug, Serialize)]
pub struct Docs {
    /// Tasks, in order of their modules.
    pub tasks: Vec<TaskDoc>,
    /// What carries them out, by name.
    pub implementations: BTreeMap<String, ImplementationDoc>,
    /// Records and enums, by name: as the language writes them.
    pub types: BTreeMap<String, String>,
    /// Clusters, by name: their pools.
    pub clusters: BTreeMap<String, Vec<String>>,
    /// Devices, by name.
    pub devices: BTreeMap<String, DeviceDoc>,
}

/// A device.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceDoc {
    /// Its documentation.
    pub docs: String,
    /// `gpu` or `cpu`.
    pub kind: &'static str,
    /// What its makers say of it, as the language writes it: name and value.
    pub facts: Vec<(&'static str, String)>,
    /// What these rest on, by name.
    pub evidence: BTreeMap<String, String>,
}

/// A task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskDoc {
    /// Its name.
    pub name: String,
    /// The module that declares it.
    pub module: String,
    /// Its documentation.
    pub docs: String,
    /// Parameters: name and type.
    pub params: Vec<(String, String)>,
    /// The type of the result.
    pub result: String,
    /// What time and cost scale with.
    pub work: Vec<(String, String)>,
    /// Sizes of the result.
    pub sizes: Vec<(String, String)>,
    /// The benchmark that qualities are taken from.
    pub benchmark: Option<String>,
    /// The prompt for language models.
    pub prompt: String,
    /// The system prompt.
    pub system: String,
    /// What carries it out.
    pub implementations: Vec<String>,
}

/// A model or tool.
#[derive(Clone, Debug, Serialize)]
pub struct ImplementationDoc {
    /// Its name.
    pub name: String,
    /// Its documentation.
    pub docs: String,
    /// What it must not be taken for more than.
    pub label: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// `open` or `closed`.
    pub access: &'static str,
    /// Where a closed one runs.
    pub region: Option<String>,
    /// Calls under way at once.
    pub concurrency: String,
    /// What a provider takes at most.
    pub limits: Vec<String>,
    /// What a provider does with what it is sent, and what that rests on.
    pub handling: Vec<String>,
    /// The tasks that it carries out.
    pub tasks: Vec<String>,
    /// What can be set.
    pub knobs: Vec<(String, Vec<String>)>,
    /// What it runs on.
    pub hardware: Vec<String>,
    /// Its engine, with the settings.
    pub engine: Option<EngineDoc>,
    /// Its figures.
    pub figures: Vec<FigureDoc>,
    /// What is computed from its architecture where it has no figure: settings.
    pub estimated: Option<EstimatedDoc>,
}

/// How many settings a roofline gives figures for.
#[derive(Clone, Debug, Serialize)]
pub struct EstimatedDoc {
    /// Inside of what its formulas were checked on.
    pub checked: usize,
    /// Outside of it.
    pub outside: usize,
    /// Given none.
    pub refused: usize,
}

/// How something is executed.
#[derive(Clone, Debug, Serialize)]
pub struct EngineDoc {
    /// `process`, `openai`, `mcp`, …
    pub kind: String,
    /// Settings: name and values. Keys are named, never held.
    pub settings: Vec<(String, String)>,
}

/// A figure of a profile.
#[derive(Clone, Debug, Serialize)]
pub struct FigureDoc {
    /// `latency`, `quality`, …
    pub figure: String,
    /// The knobs, device and units that it is for; empty for all.
    pub setting: String,
    /// The value, in base units.
    pub value: Decimal,
    /// The unit.
    pub unit: String,
    /// Its interval.
    pub interval: (Decimal, Decimal),
    /// What it rests on.
    pub evidence: EvidenceKind,
    /// Where it comes from.
    pub source: String,
    /// When it was valid or taken.
    pub date: Option<String>,
    /// The benchmark, reporter and engine, where they are named.
    pub about: Vec<String>,
}

/// The documentation of a library.
pub fn document(library: &Library) -> Docs {
    let mut tasks: Vec<TaskDoc> = library.tasks.values().map(|task| of_task(task, library)).collect();
    tasks.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
    let implementations = library.implementations.values().map(|entry| (entry.name.to_string(), of_entry(entry)));
    let clusters = library.clusters.values().map(|cluster| {
        let pools = cluster
            .pools
            .iter()
            .map(|(device, units, price)| format!("{device} * {units} at {} usd/h", price.normalize()));
        (cluster.name.to_string(), pools.collect())
    });
    Docs {
        tasks,
        implementations: implementations.collect(),
        types: library.types.iter().map(|(name, (ty, _))| (name.to_string(), declared(ty))).collect(),
        clusters: clusters.collect(),
        devices: library.devices.values().map(|device| (device.name.to_string(), of_device(device))).collect(),
    }
}

/// `gpt-5: kept for 30 d at most (published: …)`
fn handled(handling: &Handling, stated: &Stated) -> String {
    let of = handling.of.as_ref().map_or(String::new(), |of| format!("{of}: "));
    let told = match (handling.kept, handling.trains) {
        (Some(kept), _) if kept.is_zero() => "keeps nothing that it is sent".to_owned(),
        (Some(kept), _) => {
            let days = (kept / Decimal::from(86_400)).round_dp(2).normalize();
            format!("keeps what it is sent for at most {days} d")
        }
        (None, Some(true)) => "trains on what it is sent".to_owned(),
        (None, _) => "does not train on what it is sent".to_owned(),
    };
    let rests = stated.evidence.as_ref().map_or(String::new(), |(kind, source, _)| format!(" ({kind}: {source})"));
    format!("{of}{told}{rests}")
}

/// The documentation of a device.
fn of_device(device: &Device) -> DeviceDoc {
    let Facts { architecture, tflops, bandwidth, link, power, idle } = &device.facts;
    let number = |value: &Option<Decimal>, unit: &str| value.map(|value| format!("{}{unit}", value.normalize()));
    let facts = [
        ("architecture", architecture.map(|a| a.name().to_string())),
        ("memory", number(&device.memory_gb, " GB")),
        ("tflops", number(tflops, "")),
        ("bandwidth", number(bandwidth, " GB/s")),
        ("link", number(link, " GB/s")),
        ("power", number(power, " W")),
        ("idle", number(idle, " W")),
    ];
    DeviceDoc {
        docs: device.docs.to_string(),
        kind: if device.gpu { "gpu" } else { "cpu" },
        facts: facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        evidence: device
            .stated
            .iter()
            .filter_map(|stated| Some((stated.name.to_string(), Stated::rests(&device.stated, &stated.name)?)))
            .collect(),
    }
}

/// The documentation of a task.
pub fn of_task(task: &Task, library: &Library) -> TaskDoc {
    let sizes = |all: &[(ecow::EcoString, SizeExpr)]| all.iter().map(|(n, e)| (n.to_string(), written(e))).collect();
    TaskDoc {
        name: task.name.to_string(),
        module: task.module.to_string(),
        docs: task.docs.to_string(),
        params: task.params.iter().map(|(n, ty)| (n.to_string(), ty.to_string())).collect(),
        result: task.result.to_string(),
        work: sizes(&task.work),
        sizes: sizes(&task.sizes),
        benchmark: task.benchmark.as_ref().map(ToString::to_string),
        prompt: task.prompt.to_string(),
        system: task.system.to_string(),
        implementations: library.implementing(&task.name).map(|i| i.name.to_string()).collect(),
    }
}

/// The documentation of a model or tool.
pub fn of_entry(entry: &Implementation) -> ImplementationDoc {
    let text = |t: &Option<ecow::EcoString>| t.as_ref().map(ToString::to_string);
    let figures = entry.profile.names().flat_map(|name| {
        let row = move |(place, row): (usize, &crate::library::profile::Row)| {
            let figure = &row.figure;
            let about = [("benchmark", &figure.benchmark), ("by", &figure.reporter), ("engine", &figure.engine)];
            let about = about.into_iter().filter_map(|(word, text)| Some(format!("{word} {}", text.as_ref()?)));
            FigureDoc {
                figure: name.to_string(),
                setting: entry.profile.setting(name, place),
                value: figure.value.normalize(),
                unit: figure.unit.to_string(),
                interval: (figure.interval.0.normalize(), figure.interval.1.normalize()),
                evidence: figure.evidence,
                source: figure.source.to_string(),
                date: figure.date.map(|d| d.to_string()),
                about: about.collect(),
            }
        };
        entry.profile.rows(name).iter().enumerate().map(row)
    });
    let estimated = entry.profile.estimates.as_ref().map(|estimates| {
        let mut counts = EstimatedDoc { checked: 0, outside: 0, refused: 0 };
        for trust in estimates.judged() {
            match trust {
                Trust::Checked => counts.checked += 1,
                Trust::Outside(_) => counts.outside += 1,
                Trust::Refused(_) => counts.refused += 1,
            }
        }
        counts
    });
    ImplementationDoc {
        name: entry.name.to_string(),
        docs: entry.docs.to_string(),
        label: text(&entry.label),
        license: text(&entry.license),
        access: if entry.open { "open" } else { "closed" },
        region: text(&entry.region),
        concurrency: match &entry.concurrency {
            Concurrency::Fixed(calls) => calls.to_string(),
            Concurrency::Knob(name) => name.to_string(),
        },
        limits: entry
            .limits
            .iter()
            .map(|l| l.of.iter().chain([&l.text]).map(|t| t.as_str()).collect::<Vec<_>>().join(": "))
            .collect(),
        handling: entry
            .handling
            .iter()
            .zip(&entry.stated)
            .map(|(handling, stated)| handled(handling, stated))
            .collect(),
        tasks: entry.tasks.iter().map(ToString::to_string).collect(),
        knobs: entry.knobs.iter().map(|(n, v)| (n.to_string(), v.iter().map(ToString::to_string).collect())).collect(),
        hardware: entry.hardware.iter().map(hardware).collect(),
        engine: entry.engine.as_ref().map(engine),
        figures: figures.collect(),
        estimated,
    }
}

fn hardware(option: &HardwareOption) -> String {
    let memory = option.memory_gb.map_or(String::new(), |gb| format!(" (memory >= {gb} GB)"));
    let units: Vec<String> = option.units.iter().filter(|u| **u > 0).map(u32::to_string).collect();
    let units = if units.is_empty() { String::new() } else { format!(" * {}", units.join(" or ")) };
    format!("{}{memory}{units}", option.device)
}

fn engine(engine: &Engine) -> EngineDoc {
    let value = |setting: &Setting| match setting {
        Setting::Text(text) => text.to_string(),
        Setting::List(items) => format!("[{}]", items.iter().map(|i| i.as_str()).collect::<Vec<_>>().join(", ")),
    };
    let settings = engine
        .settings
        .iter()
        .map(|(name, values)| (name.to_string(), values.iter().map(value).collect::<Vec<_>>().join(" ")));
    EngineDoc { kind: engine.kind.to_string(), settings: settings.collect() }
}

/// A record or enum as the language writes it.
pub fn declared(ty: &Type) -> String {
    match ty {
        Type::Record(name, fields) => {
            let fields: Vec<String> = fields.iter().map(|(n, ty)| format!("{n}: {ty}")).collect();
            format!("type {name} {{ {} }}", fields.join(", "))
        }
        Type::Enum(name, values) => format!("enum {name} {{ {} }}", values.join(", ")),
        other => other.to_string(),
    }
}

/// A size expression as the language writes it.
fn written(expr: &SizeExpr) -> String {
    let infix = |word: &str, args: &[SizeExpr]| {
        let part = |e: &SizeExpr| match e {
            SizeExpr::Apply(SizeOp::Add | SizeOp::Sub | SizeOp::Mul | SizeOp::Div, _) => format!("({})", written(e)),
            _ => written(e),
        };
        args.iter().map(part).collect::<Vec<_>>().join(&format!(" {word} "))
    };
    match expr {
        SizeExpr::Number(n) => n.normalize().to_string(),
        SizeExpr::Size(param, path) => format!("{param}.{path}"),
        SizeExpr::Knob(name) => name.to_string(),
        SizeExpr::Apply(op, args) => match op {
            SizeOp::Add => infix("+", args),
            SizeOp::Sub => infix("-", args),
            SizeOp::Mul => infix("*", args),
            SizeOp::Div => infix("/", args),
            SizeOp::Min | SizeOp::Max | SizeOp::Ceil => {
                let name = match op {
                    SizeOp::Min => "min",
                    SizeOp::Max => "max",
                    _ => "ceil",
                };
                format!("{name}({})", args.iter().map(written).collect::<Vec<_>>().join(", "))
            }
        },
    }
}
