//! `mkbc submit`

use super::watch::follow;
use super::{Server, TlsOptions, causes, fetch, wait};
use crate::check::select;
use crate::cli::args::{Format, Source};
use crate::cli::expand::{Open, filled_or};
use crate::cli::inputs::{Inputs, known, missing};
use crate::cli::load::{load, lock_path, read, show};
use crate::cli::{Failure, count, note, print};
use crate::compile::check_file;
use crate::diag::{Diagnostics, Severity};
use crate::plan::model::Plan;
use crate::run::fault::printable;
use crate::serve::api::types::{RunStatus, Submission, Uploaded};
use crate::syntax::parse::parse;
use crate::types::Type;
use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct SubmitOptions {
    /// A plan (.json), or a job file, which the server plans
    pub file: PathBuf,
    /// The server [default: $MKBC_SERVER, or http://127.0.0.1:7411]; a token stands in $MKBC_TOKEN
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// The job, where the file has several
    #[arg(long)]
    pub job: Option<String>,
    /// A folder of .mkb files that the job uses; the server plans with its own (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// A line of the language that counts as if the job said it, a limit in place of the job's own: "cost <= 0.10 usd" (repeatable)
    #[arg(long, value_name = "LINE")]
    pub slo: Vec<String>,
    /// Keep every limit of the job even where each figure is at the worst end of its interval
    #[arg(long)]
    pub robust: bool,
    /// The job's inputs as JSON, as `mkbc inputs` prints them; `-` reads standard input
    #[arg(long, value_name = "FILE.json")]
    pub inputs: Option<PathBuf>,
    /// A name for the run: submitted again, it is the same run
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// 0 (lowest) to 9
    #[arg(long, value_name = "N")]
    pub priority: Option<u8>,
    /// What the run may cost at most, whatever its plan allows
    #[arg(long, value_name = "USD")]
    pub max_usd: Option<f64>,
    /// Watch the run until it ends, and print its answer
    #[arg(long)]
    pub wait: bool,
    /// Print the run as JSON; with --wait its answer
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tls: TlsOptions,
}

/// Submits a run.
pub fn submit(options: &SubmitOptions, inputs: &Inputs) -> Result<(), Failure> {
    let server = Server::at(options.to.as_deref(), &options.tls)?;
    let text = read(&options.file)?;
    let (mut submission, params) = if options.file.extension().is_some_and(|ending| ending == "json") {
        of_plan(options, &text)?
    } else {
        of_source(&options.file, &options.library, options.job.as_deref(), text)?
    };
    submission.robust = options.robust;
    submission.slo.clone_from(&options.slo);
    let names: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
    let inputs = &inputs.with(options.inputs.as_deref())?;
    known(inputs, &names)?;
    missing(params.iter().map(|(name, ty)| (name.as_str(), ty)), &|name| inputs.has(name))?;
    submission.key.clone_from(&options.key);
    submission.priority = options.priority;
    submission.max_usd = options.max_usd;
    wait(async {
        for (name, ty) in &params {
            let Some(value) = inputs.value(name, ty)? else { continue };
            let value = uploaded(&server, value, ty).await?;
            submission.inputs.insert(name.clone(), value);
        }
        let run: RunStatus = server.ask(server.request(Method::POST, "/v1/runs").json(&submission)).await?;
        let at = server.url(&format!("/{}", run.id));
        if !options.wait {
            let text = if options.json { format!("{:#}\n", json!(run)) } else { format!("{at}\n") };
            print(&text);
            note(&format!("run {} of `{}` is {}; `mkbc watch {at}`", run.id, printable(&run.job), run.state.text()));
            return Ok(());
        }
        note(&format!("run {} of `{}` is {}: {at}", run.id, printable(&run.job), run.state.text()));
        follow(&server, run.id, false).await?;
        fetch::show(&server, run.id, options.json).await
    })
}

/// What a submission holds, and the types of the job's inputs.
pub(super) type Asked = (Submission, Vec<(String, Type)>);

fn of_plan(options: &SubmitOptions, text: &str) -> Result<Asked, Failure> {
    if options.robust || options.job.is_some() || !options.library.is_empty() || !options.slo.is_empty() {
        return Err(Failure::Usage(
            "a plan is submitted as it is: `--job`, `--library`, `--slo` and `--robust` are for job files".into(),
        ));
    }
    let shown = options.file.display();
    let bad =
        |e: serde_json::Error| format!("`{shown}` is no plan that this mkbc can read: {e}; compile the job again");
    let plan: Plan = serde_json::from_str(text).map_err(bad)?;
    let params = plan.inputs.iter().map(|input| (input.name.clone(), input.ty.clone())).collect();
    // As it stands in the file: the server's digest is of what it gets.
    let plan: Value = serde_json::from_str(text).map_err(bad)?;
    Ok((Submission { plan: Some(plan), ..Submission::default() }, params))
}

/// A submission of a job's source, with its holes filled where this machine's library can do so. Whether the source is right is the server's to
/// say, by its own library: here only a text that cannot be read as the language is refused.
pub(super) fn of_source(file: &Path, library: &[PathBuf], job: Option<&str>, text: String) -> Result<Asked, Failure> {
    let source = Source { file: file.to_path_buf(), library: library.to_vec(), format: Format::Text };
    let (texts, id) = load(&source)?;
    let mut cx = Diagnostics::default();
    parse(id, &texts.sources, &mut cx);
    if cx.has_errors() {
        show(&cx, &texts, source.format);
        return Err(Failure::Said);
    }
    let mut cx = Diagnostics::default();
    let checked = check_file(&texts, id, &mut cx);
    let job = select(&checked.program, job).map_err(Failure::Usage)?;
    let params = job.params.iter().map(|p| job.local(*p)).map(|l| (l.name.to_string(), l.ty.clone())).collect();
    let (name, has_holes) = (job.name.to_string(), !job.holes.is_empty());
    // Holes are filled here, where the fills can be reviewed.
    if (has_holes || cx.has_errors())
        && let Err((cx, _)) = filled_or(&source, (texts, id, checked), cx, Open::Written)?
    {
        note(&format!(
            "by the library on this machine, `{}` has {} (`mkbc check` shows them); the server's decides",
            file.display(),
            count(cx.count(Severity::Error), "error")
        ));
    }
    let path = lock_path(file);
    let lock = if has_holes && path.exists() { Some(read(&path)?) } else { None };
    let job = Some(name);
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let source = Some(text);
    let submission = Submission { source, file: name, job, lock, ..Submission::default() };
    Ok((submission, params))
}

/// A value whose files the server has, and which names them by their digests.
async fn uploaded(server: &Server, value: Value, ty: &Type) -> Result<Value, Failure> {
    match (ty, value) {
        (Type::Bytes | Type::Image | Type::Audio | Type::Video | Type::Document, value) => {
            let Some(file) = value.get("file").and_then(Value::as_str) else { return Ok(value) };
            upload(server, Path::new(file)).await
        }
        (Type::Optional(inner), value) => Box::pin(uploaded(server, value, inner)).await,
        (Type::List(item), Value::Array(items)) => {
            let mut all = Vec::new();
            for value in items {
                all.push(Box::pin(uploaded(server, value, item)).await?);
            }
            Ok(Value::Array(all))
        }
        (Type::Record(_, fields), Value::Object(given)) => {
            let mut object = Map::new();
            for (name, value) in given {
                let ty = fields.iter().find(|(field, _)| *field == name).map_or(&Type::Json, |(_, ty)| ty);
                let value = Box::pin(uploaded(server, value, ty)).await?;
                object.insert(name, value);
            }
            Ok(Value::Object(object))
        }
        (_, value) => Ok(value),
    }
}

async fn upload(server: &Server, path: &Path) -> Result<Value, Failure> {
    let cannot = |e: &dyn std::error::Error| format!("cannot read `{}`: {}", path.display(), causes(e));
    let file = tokio::fs::File::open(path).await.map_err(|e| cannot(&e))?;
    let request = server.request(Method::PUT, "/v1/blobs").header("content-type", "application/octet-stream");
    let kept: Uploaded = server.ask(request.body(file)).await?;
    Ok(json!({"blob": kept.blob}))
}
