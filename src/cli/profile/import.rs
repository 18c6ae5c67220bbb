//! `mkbc profile import`

use super::super::load::{library as load_library, read, writable, write};
use super::super::{Failure, note};
use super::{declared, declared_as, entry};
use crate::diag::Diagnostic;
use crate::diag::source::{FileId, Span};
use crate::library::Implementation;
use crate::library::audit::supports;
use crate::library::evidence::EvidenceKind;
use crate::profile::import::aiconfigurator::{self, Experts, Question, is_mixture};
use crate::profile::import::{self, Row, Written, csv, mlperf};
use crate::run::engines::child::{self, Command, Limits};
use crate::run::{block_on, preflight};
use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Subcommand)]
pub enum Import {
    /// Estimates of LLM serving from tables measured on silicon, by the program `aiconfigurator` (PyPI)
    Aiconfigurator(AiconfiguratorOptions),
    /// A result of MLPerf Inference: mlperf_log_summary.txt
    Mlperf(MlperfOptions),
    /// A table: say which of its columns is what
    Csv(CsvOptions),
}

/// What every import needs.
#[derive(Args)]
pub struct Target {
    /// The model or tool whose figures these are
    #[arg(long = "for", value_name = "NAME")]
    pub name: String,
    /// A cell that is the same in all rows: a knob, device, units, task, benchmark, reporter, date, input, output, engine, otherwise (repeatable)
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub set: Vec<String>,
    /// Where `measured/NAME.….csv` is kept; `--library DIR` then plans with it
    #[arg(long, short, value_name = "DIR", default_value = ".mkbc/library")]
    pub out: PathBuf,
    /// A folder to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
}

#[derive(Args)]
pub struct AiconfiguratorOptions {
    #[command(flatten)]
    pub target: Target,
    /// The model's name on Hugging Face, or a folder with its config.json
    #[arg(long, value_name = "MODEL")]
    pub model_path: String,
    /// The device in the tool's terms, and in the library's: h100_sxm=h100
    #[arg(long, value_name = "SYSTEM=DEVICE")]
    pub system: String,
    /// The serving engine
    #[arg(long, value_parser = ["vllm", "sglang", "trtllm"], default_value = "vllm")]
    pub backend: String,
    /// Devices that the model is spread over
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub tp: Vec<u32>,
    /// How the experts of a mixture are spread over the devices; `parted` where nothing is said and MODEL is a folder of one
    #[arg(long, value_enum, value_name = "HOW")]
    pub experts: Option<Spread>,
    /// Requests at once; the model's knob `batch`
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub batch: Vec<u32>,
    /// Tokens of the prompt
    #[arg(long, value_delimiter = ',', default_value = "512,2048")]
    pub input: Vec<u32>,
    /// Tokens of the answer
    #[arg(long, default_value_t = 128)]
    pub output: u32,
    /// The program
    #[arg(long, default_value = "aiconfigurator")]
    pub program: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// A part of each on every device
    Parted,
    /// Each whole on one of them
    Whole,
}

#[derive(Args)]
pub struct MlperfOptions {
    /// The summary
    pub file: PathBuf,
    #[command(flatten)]
    pub target: Target,
    /// Where the result is published
    #[arg(long, value_name = "TEXT")]
    pub source: String,
}

#[derive(Args)]
pub struct CsvOptions {
    /// The table
    pub file: PathBuf,
    #[command(flatten)]
    pub target: Target,
    /// A column of a profile and the table's: variant=model (repeatable)
    #[arg(long, value_name = "COLUMN=COLUMN")]
    pub column: Vec<String>,
    /// A figure, the table's column and its unit: ttft=ttft_ms:ms (repeatable)
    #[arg(long, value_name = "FIGURE=COLUMN:UNIT", required = true)]
    pub figure: Vec<String>,
    /// What the library calls a value of the table: variant:Llama-3.1-8B=llama_3_1_8b (repeatable)
    #[arg(long, value_name = "COLUMN:VALUE=VALUE")]
    pub value: Vec<String>,
    /// What the figures rest on
    #[arg(long, value_parser = ["measured", "published", "estimated"])]
    pub evidence: String,
    /// Where they come from: an address, a formula, or machine, date and runs
    #[arg(long, value_name = "TEXT")]
    pub source: String,
}

/// Takes figures over from others.
pub fn import(what: &Import) -> Result<(), Failure> {
    let (target, word) = match what {
        Import::Aiconfigurator(o) => (&o.target, "aiconfigurator"),
        Import::Mlperf(o) => (&o.target, "mlperf"),
        Import::Csv(o) => (&o.target, "imported"),
    };
    let texts = load_library(&target.library)?;
    let library = declared(&texts)?;
    let entry = entry(&library, &target.name)?;
    let mut base = Row::default();
    for given in &target.set {
        let (column, value) = parted(given, '=', "--set COLUMN=VALUE")?;
        base = base.with(column, value);
    }
    let mut table = None;
    let rows = match what {
        Import::Aiconfigurator(options) => ask(options, entry, &base)?,
        Import::Mlperf(options) => {
            let base = base.with("source", &options.source);
            mlperf::read(&read(&options.file)?, &base).map_err(|e| format!("`{}`: {e}", options.file.display()))?
        }
        Import::Csv(options) => {
            let base = base.with("source", &options.source).with("evidence", &options.evidence);
            let text = table.insert((options.file.display().to_string(), read(&options.file)?));
            csv::read(&text.1, &mapping(options)?, &base).map_err(|e| format!("`{}`: {e}", options.file.display()))?
        }
    };
    let folder = target.out.join("measured");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make the folder `{}`: {e}", folder.display()))?;
    let path = folder.join(format!("{}.{word}.csv", entry.name));
    writable(&path)?;
    let earlier = match path.exists() {
        true => import::read(&read(&path)?).map_err(|e| format!("`{}`: {e}", path.display()))?,
        false => Vec::new(),
    };
    let count = rows.len();
    let written = import::written(entry, import::added(earlier, rows))?;
    // What the library would refuse is refused before anything is written.
    let mut trial = load_library(&target.library)?;
    let file = trial.sources.add(path.display().to_string(), written.text.clone());
    trial.add_measured(&format!("{}.csv", entry.name), file);
    match table {
        Some((name, text)) => {
            let table = trial.sources.add(name, text);
            declared_as(&trial, &|d| in_table(d, (file, &written), table))?;
        }
        None => drop(declared(&trial)?),
    }
    let source = match what {
        Import::Aiconfigurator(_) => None,
        Import::Mlperf(options) => Some((EvidenceKind::Published, &options.source)),
        Import::Csv(options) => EvidenceKind::parse(&options.evidence).map(|kind| (kind, &options.source)),
    };
    if let Some((kind, source)) = source.filter(|(kind, source)| !supports(*kind, source)) {
        let wanted = match kind {
            EvidenceKind::Published => "an address where it can be looked up",
            EvidenceKind::Measured => "how many runs, and the command that measures again",
            EvidenceKind::Estimated => "how it was come by",
        };
        note(&format!(
            "warning: `{source}` does not say {wanted}: `mkbc library audit` lists these figures as without evidence"
        ));
    }
    write(&path, &written.text)?;
    note(&format!("{count} figures in {}; plan with them by `--library {}`", path.display(), target.out.display()));
    Ok(())
}

/// What is wrong with rows that are not written yet, said where they were read. Edits of them would be edits of nothing.
fn in_table(diagnostic: &Diagnostic, (file, written): (FileId, &Written), table: FileId) -> Diagnostic {
    let mut moved = diagnostic.clone();
    let span = |span: Span| {
        let bytes = Some(span).filter(|span| span.file == file).and_then(|span| written.origin(span.start as usize));
        bytes.map_or(span, |bytes| Span::new(table, bytes.start as u32, bytes.end as u32))
    };
    let labels = std::iter::once(&mut moved.primary).chain(&mut moved.secondary);
    labels.for_each(|label| label.span = span(label.span));
    if moved.primary.span != diagnostic.primary.span {
        (moved.fix, moved.ways) = (None, Vec::new());
    }
    moved
}

fn parted<'a>(text: &'a str, at: char, form: &str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once(at).ok_or_else(|| Failure::Usage(format!("`{text}` is not of the form `{form}`")))
}

fn mapping(options: &CsvOptions) -> Result<csv::Mapping, Failure> {
    let mut mapping = csv::Mapping::default();
    for text in &options.column {
        let (to, from) = parted(text, '=', "--column COLUMN=COLUMN")?;
        mapping.columns.push((to.into(), from.into()));
    }
    for text in &options.figure {
        let form = "--figure FIGURE=COLUMN:UNIT";
        let (figure, rest) = parted(text, '=', form)?;
        let (column, unit) =
            rest.rsplit_once(':').ok_or_else(|| Failure::Usage(format!("`{text}` is not of the form `{form}`")))?;
        mapping.figures.push((figure.into(), column.into(), unit.into()));
    }
    for text in &options.value {
        let form = "--value COLUMN:VALUE=VALUE";
        let (column, rest) = parted(text, ':', form)?;
        let (from, to) =
            rest.rsplit_once('=').ok_or_else(|| Failure::Usage(format!("`{text}` is not of the form `{form}`")))?;
        mapping.values.push((column.into(), from.into(), to.into()));
    }
    Ok(mapping)
}

/// Asks the tool for every combination.
fn ask(options: &AiconfiguratorOptions, entry: &Implementation, base: &Row) -> Result<Vec<Row>, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    if !preflight::installed(&options.program, &env) {
        let help = "install it with `python3 -m pip install aiconfigurator`, or give its path with `--program`";
        return Err(format!("the program `{}` is not installed\n  help: {help}", options.program).into());
    }
    let (system, device) = parted(&options.system, '=', "--system SYSTEM=DEVICE")?;
    let batches = entry.knobs.iter().any(|(n, _)| n == "batch");
    if !batches && options.batch != [1] {
        return Err(Failure::Usage(format!(
            "`{}` has no knob `batch`: its figures are for one request at a time",
            entry.name
        )));
    }
    let version = said(&options.program, &["version".to_string()])?;
    let version = version.split_whitespace().rfind(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    let version = version.unwrap_or("of unknown version").to_string();
    let config = || std::fs::read_to_string(Path::new(&options.model_path).join("config.json")).ok();
    let experts = match options.experts {
        Some(Spread::Parted) => Some(Experts::Parted),
        Some(Spread::Whole) => Some(Experts::Whole),
        None => config().filter(|config| is_mixture(config)).map(|_| Experts::Parted),
    };
    let mut rows = Vec::new();
    for tp in &options.tp {
        for batch in &options.batch {
            for input in &options.input {
                let question = Question {
                    system: system.to_string(),
                    backend: options.backend.clone(),
                    model: options.model_path.clone(),
                    tp: *tp,
                    batch: *batch,
                    input: *input,
                    output: options.output,
                    experts,
                };
                let arguments = question.arguments();
                // A path of this machine tells nobody anything.
                let shown = arguments.join(" ").replace(
                    &options.model_path,
                    Path::new(&options.model_path).file_name().and_then(|n| n.to_str()).unwrap_or("MODEL"),
                );
                let at = if batches { base.clone().with("batch", batch.to_string()) } else { base.clone() };
                let at = at
                    .with("device", device)
                    .with("date", super::today())
                    .with("source", format!("aiconfigurator {version}: {shown}"));
                let text = said(&options.program, &arguments)?;
                let answer = aiconfigurator::read(&text, &question, &at);
                rows.extend(answer.map_err(|e| format!("`{}` for {shown}: {e}", options.program))?);
            }
        }
    }
    Ok(rows)
}

/// What the tool prints; it is given ten minutes.
fn said(program: &str, arguments: &[String]) -> Result<String, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let argv: Vec<String> = [program.to_string()].into_iter().chain(arguments.iter().cloned()).collect();
    let folder = std::env::current_dir().map_err(|e| format!("there is no current folder: {e}"))?;
    let limits = Limits { output: 4 << 20, ..Limits::default() };
    let run = child::run(Command { argv: &argv, folder: &folder, env: &env, threads: 2, limits });
    let limit = Duration::from_secs(600);
    let done = block_on(async { tokio::time::timeout(limit, run).await }).map_err(|e| e.to_string())?;
    let done = done.map_err(|_| format!("`{program}` took more than {} s", limit.as_secs()))?;
    let done = done.map_err(|fault| {
        let said = fault.detail.as_ref().map_or(String::new(), |d| format!("\n  it said: {d}"));
        format!("{}{said}", fault.message)
    })?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
