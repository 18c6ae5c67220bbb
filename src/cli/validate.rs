//! `mkbc inputs` and `mkbc validate`: what a job takes, and whether values are that.

use super::args::{Format, Source};
use super::inputs::{Inputs, known, missing, object};
use super::load::{load, show};
use super::plan::given;
use super::{Failure, note, print};
use crate::check::program::Job;
use crate::check::select;
use crate::compile::check_file;
use crate::diag::{Diagnostics, nearest};
use crate::eval::dataset;
use crate::inputs::{schema, template};
use crate::run::fault::{Fault, FaultKind};
use crate::run::input::{Cells, admit};
use crate::run::{block_on, probe};
use crate::types::Type;
use crate::units::counted;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Which job it is about.
#[derive(Args)]
pub struct JobOptions {
    /// The job file
    pub file: PathBuf,
    /// A folder of .mkb files and profiles/*.csv to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// The job, where the file has several
    #[arg(long)]
    pub job: Option<String>,
}

#[derive(Args)]
pub struct InputsOptions {
    #[command(flatten)]
    pub job: JobOptions,
    /// The JSON schema (draft 2020-12) of a file of inputs, not a template
    #[arg(long, conflicts_with = "jsonl")]
    pub schema: bool,
    /// The template on one line: a row of a dataset
    #[arg(long)]
    pub jsonl: bool,
}

#[derive(Args)]
pub struct ValidateOptions {
    #[command(flatten)]
    pub job: JobOptions,
    /// The inputs: .json (`-` reads it from standard input), or a row for each run as .jsonl, .csv, .tsv or .parquet; without it they are options, as for `run`
    #[arg(value_name = "INPUTS")]
    pub inputs: Option<PathBuf>,
    /// How it is written what is wrong
    #[arg(long, value_enum, default_value_t = Written::Text)]
    pub format: Written,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Written {
    /// A line each on standard error
    Text,
    /// One JSON array on standard output
    Json,
}

/// Something wrong with a value.
struct Wrong {
    /// The row of a dataset, as it names itself.
    row: Option<String>,
    what: String,
}

/// Prints what a job takes.
pub fn inputs(options: &InputsOptions) -> Result<(), Failure> {
    let job = chosen(&options.job)?;
    let params = params(&job);
    let text = if options.schema {
        format!("{:#}", schema(&job.name, &job.docs, &params))
    } else if options.jsonl {
        template(&params).to_string()
    } else {
        format!("{:#}", template(&params))
    };
    print(&format!("{text}\n"));
    Ok(())
}

/// Says whether values are what a job takes.
pub fn validate(options: &ValidateOptions, flags: &Inputs) -> Result<(), Failure> {
    let job = chosen(&options.job)?;
    let params = params(&job);
    let Some(path) = &options.inputs else {
        let names: Vec<&str> = params.iter().map(|(name, _)| *name).collect();
        known(flags, &names)?;
        missing(params.iter().copied(), &|name| flags.has(name))?;
        given(params.iter().copied(), flags)?;
        return fits(&job, "the options");
    };
    if !flags.is_empty() {
        let names: Vec<&str> = params.iter().map(|(name, _)| *name).collect();
        known(flags, &names)?;
        return Err(Failure::Usage(format!("give the inputs in `{}` or as options, not both", path.display())));
    }
    let shown = path.display().to_string();
    let (rows, wrong) = match path.extension().and_then(|e| e.to_str()) {
        Some("json") => (1, of_file(path, &params)?),
        _ if path == Path::new("-") => (1, of_file(path, &params)?),
        _ => of_dataset(path, &params)?,
    };
    if options.format == Written::Json {
        let all: Vec<Value> = wrong.iter().map(|w| json!({"row": w.row, "message": w.what})).collect();
        print(&format!("{:#}\n", json!(all)));
    }
    if wrong.is_empty() {
        return if options.format == Written::Json { Ok(()) } else { fits(&job, &shown) };
    }
    if options.format == Written::Text {
        for Wrong { row, what } in &wrong {
            let row = row.as_ref().map_or(String::new(), |row| format!(", row `{row}`"));
            note(&format!("{shown}{row}: {what}"));
        }
        note(&format!(
            "`{}` does not take this: {} wrong in {}",
            job.name,
            counted(wrong.len(), "value"),
            counted(rows, "row")
        ));
    }
    Err(Failure::Said)
}

fn fits(job: &Job, what: &str) -> Result<(), Failure> {
    print(&format!("{what}: all that `{}` takes\n", job.name));
    Ok(())
}

/// The job that is meant, checked; its holes may be open.
fn chosen(options: &JobOptions) -> Result<Job, Failure> {
    let source = Source { file: options.file.clone(), library: options.library.clone(), format: Format::Text };
    let (texts, file) = load(&source)?;
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, file, &mut cx);
    if cx.has_errors() {
        show(&cx, &texts, source.format);
        return Err(Failure::Said);
    }
    Ok(select(&checked.program, options.job.as_deref()).map_err(Failure::Usage)?.clone())
}

fn params(job: &Job) -> Vec<(&str, &Type)> {
    job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.as_str(), &l.ty)).collect()
}

/// What is wrong with a file that holds one object.
fn of_file(path: &Path, params: &[(&str, &Type)]) -> Result<Vec<Wrong>, Failure> {
    let given = object(path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut wrong = of_row(&given, params, Cells { folder, plain: false });
    for name in given.keys().filter(|name| !params.iter().any(|(known, _)| known == name)) {
        let near = nearest(name, params.iter().map(|(known, _)| *known));
        let hint = near.map_or(String::new(), |near| format!(": did you mean `{near}`?"));
        wrong.push(format!("at `$.{name}`: the job has no such input{hint}"));
    }
    Ok(wrong.into_iter().map(|what| Wrong { row: None, what }).collect())
}

/// How many rows a dataset has, and what is wrong with them. Columns that are no inputs hold ids and what is expected.
fn of_dataset(path: &Path, params: &[(&str, &Type)]) -> Result<(usize, Vec<Wrong>), Failure> {
    let set = dataset::open(path, None)?;
    let cells = Cells { folder: &set.folder, plain: set.plain };
    let of_item = |item: &dataset::Item| {
        let row = Some(item.id.clone());
        of_row(&item.cells, params, cells).into_iter().map(move |what| Wrong { row: row.clone(), what })
    };
    Ok((set.items.len(), set.items.iter().flat_map(of_item).collect()))
}

/// What is wrong with the values of a row: the first thing of each input.
fn of_row(given: &Map<String, Value>, params: &[(&str, &Type)], cells: Cells<'_>) -> Vec<String> {
    let env = |name: &str| std::env::var(name).ok();
    let mut wrong = Vec::new();
    for (name, ty) in params {
        let at = format!("$.{name}");
        let Some(cell) = given.get(*name) else {
            if !matches!(ty, Type::Optional(_)) {
                wrong.push(format!("at `{at}`: expected {ty}, found nothing"));
            }
            continue;
        };
        let measured = admit(cell, ty, cells, &at).and_then(|mut value| {
            // What is in a file can be told only where the programs that read it are there.
            match block_on(probe::measure(&mut value, ty, &env)) {
                Ok(Err(fault)) if fault.kind != FaultKind::Program => {
                    Err(Fault { message: format!("at `{at}`: {}", fault.message), ..fault })
                }
                _ => Ok(()),
            }
        });
        if let Err(Fault { message, help, .. }) = measured {
            wrong.push(help.map_or(message.clone(), |help| format!("{message}; {help}")));
        }
    }
    wrong
}
