//! `mkbc graph`

use super::args::{EvidenceOptions, Format, Planning, Source};
use super::expand::{Open, filled};
use super::inputs::Inputs;
use super::load::{show, writable, write};
use super::plan::{Extras, make_and};
use super::{Failure, note, print};
use crate::check::select;
use crate::diag::source::Span;
use crate::graph::{Picture, dot::dot, mermaid::mermaid, of_plan, of_workflow, svg::svg};
use crate::ir::lower::lower;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// As [`Planning`], but for the format: a picture is drawn in other ways than a plan.
#[derive(Args)]
pub struct GraphOptions {
    /// The job file
    pub file: PathBuf,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// The job, where the file has several
    #[arg(long)]
    pub job: Option<String>,
    /// The cluster to plan for: its name, `FILE.mkb` or `FILE.mkb:NAME`; `here` is this machine
    #[arg(long)]
    pub cluster: Option<String>,
    /// Fail where the lock file does not hold every fill
    #[arg(long)]
    pub locked: bool,
    /// Seconds to look for a better plan
    #[arg(long, default_value_t = 20.0, value_name = "SECONDS")]
    pub time_limit: f64,
    /// Keep every limit even where each figure is at the worst end of its interval
    #[arg(long)]
    pub robust: bool,
    #[command(flatten)]
    pub evidence: EvidenceOptions,
    /// Draw what the job says, without choices and figures
    #[arg(long, conflicts_with_all = ["cluster", "time_limit", "robust", "evidence", "strict_evidence"])]
    pub no_plan: bool,
    /// How it is drawn [default: as the file's ending says, else dot]
    #[arg(long, value_enum)]
    pub format: Option<Drawn>,
    /// Write it to this file
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drawn {
    /// For Graphviz
    Dot,
    /// For Markdown pages
    Mermaid,
    /// A picture that needs nothing else
    Svg,
}

/// Draws a job's steps: with the plan's choices where there is a plan.
pub fn graph(options: &GraphOptions, inputs: &Inputs) -> Result<(), Failure> {
    if let Some(out) = &options.out {
        writable(out)?;
    }
    let format = format(options)?;
    let drawn = unplanned(options)?;
    let picture = match options.no_plan {
        true => drawn,
        false => planned(options, inputs)?.unwrap_or_else(|| {
            note("there is no plan: drawn without choices and figures");
            drawn
        }),
    };
    let text = match format {
        Drawn::Dot => dot(&picture),
        Drawn::Mermaid => mermaid(&picture),
        Drawn::Svg => svg(&picture),
    };
    match &options.out {
        Some(out) => {
            write(out, &text)?;
            note(&format!("written to {}", out.display()));
        }
        None => print(&text),
    }
    Ok(())
}

fn format(options: &GraphOptions) -> Result<Drawn, Failure> {
    let Some(out) = options.out.as_deref() else { return Ok(options.format.unwrap_or(Drawn::Dot)) };
    match (options.format, out.extension().and_then(|e| e.to_str())) {
        (Some(format), _) => Ok(format),
        (None, Some("svg")) => Ok(Drawn::Svg),
        (None, Some("mmd" | "mermaid" | "md")) => Ok(Drawn::Mermaid),
        (None, Some("dot" | "gv") | None) => Ok(Drawn::Dot),
        (None, Some(ending)) => {
            let png = "Graphviz makes other pictures of it: `dot -Tpng FILE.dot -o FILE.png`";
            Err(Failure::Usage(format!(
                "`{}`: nothing is drawn that ends in `.{ending}`: end it in .dot, .svg or .mmd, or say `--format`; {png}",
                out.display()
            )))
        }
    }
}

fn source(options: &GraphOptions) -> Source {
    Source { file: options.file.clone(), library: options.library.clone(), format: Format::Text }
}

/// A picture changes no file but its own.
fn open(options: &GraphOptions) -> Open {
    if options.locked { Open::Refused } else { Open::InMemory }
}

/// The picture of the plan; none where the job has no plan, which is then said.
fn planned(options: &GraphOptions, inputs: &Inputs) -> Result<Option<Picture>, Failure> {
    let GraphOptions { job, cluster, locked, time_limit, robust, evidence, .. } = options;
    let planning = Planning {
        source: source(options),
        job: job.clone(),
        cluster: cluster.clone(),
        locked: *locked,
        time_limit: *time_limit,
        robust: *robust,
        evidence: *evidence,
    };
    let extras = Extras { open: open(options), ..Extras::default() };
    match make_and(&planning, inputs, None, extras, |planned, _, _| Ok(of_plan(&planned.plan, &|_| None))) {
        Ok(picture) => Ok(Some(picture)),
        Err(Failure::Said) => Ok(None),
        Err(other) => Err(other),
    }
}

/// The picture of what the job says.
fn unplanned(options: &GraphOptions) -> Result<Picture, Failure> {
    let source = source(options);
    let filled = filled(&source, open(options))?;
    if options.no_plan {
        // With a plan, planning says it.
        show(&filled.cx, &filled.texts, source.format);
    }
    let program = &filled.checked.program;
    let job = select(program, options.job.as_deref()).map_err(Failure::Usage)?;
    let workflow =
        lower(job, program).ok_or_else(|| format!("`{}` still has holes: `mkbc expand` fills them", job.name))?;
    let line = |span: Span| match span.file == filled.file {
        true => filled.texts.sources.line_column(span).0 as u32,
        false => 0,
    };
    Ok(of_workflow(&job.name, &workflow, &line))
}
