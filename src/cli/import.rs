//! `mkbc import mcp`, `mkbc import openapi`, `mkbc import python`

use super::load::{read, show, write};
use super::{Failure, note, print};
use crate::compile::{Texts, check_tree};
use crate::diag::Diagnostics;
use crate::import::changes::changes;
use crate::import::mcp::{Listed, stubs};
use crate::import::names::{is_name, snake};
use crate::import::openapi::{Wanted, stubs as operations};
use crate::import::stub::{Assumed, Stub, profile, profile_name};
use crate::plan::model::McpServer;
use crate::run::block_on;
use crate::run::engines::child::{self, Command, Limits};
use crate::run::engines::mcp::pin::digest;
use crate::run::engines::mcp::session::Session;
use crate::run::engines::openai::endpoint::Endpoint;
use crate::run::engines::openai::http::Clients;
use crate::run::engines::python::write_package;
use crate::run::fault::{Fault, FaultKind};
use crate::units::counted;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Write stubs for tools of others, so that jobs can use them
#[derive(Subcommand)]
pub enum Import {
    /// The tools of a server that speaks the Model Context Protocol: a command that starts it, or its address
    Mcp(McpOptions),
    /// The operations of an HTTP interface, from its OpenAPI document (3.0 or 3.1, JSON or YAML): a file or an address
    Openapi(OpenapiOptions),
    /// The functions of a Python module that have @murakkab.tool; the module is imported, which runs it
    Python(PythonOptions),
}

/// Where stubs go.
#[derive(Args)]
pub struct Target {
    /// Write the stubs to this file, and an empty profile for each new tool into `profiles` beside it
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What every name begins with [default: the name of FILE]
    #[arg(long = "as", value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// Write nothing; say what is no longer as FILE has it, and fail if anything is
    #[arg(long, requires = "out")]
    pub check: bool,
    /// Seconds to assume for a call, as long as nobody has measured it
    #[arg(long, value_name = "SECONDS")]
    pub assume_latency: Option<f64>,
    /// Share of right answers to assume, in per cent
    #[arg(long, value_name = "PERCENT")]
    pub assume_quality: Option<f64>,
}

#[derive(Args)]
pub struct McpOptions {
    #[command(flatten)]
    pub target: Target,
    /// An environment variable that the server may see, such as its key (repeatable)
    #[arg(long, value_name = "NAME")]
    pub env: Vec<String>,
    /// The environment variable that holds the key for an address
    #[arg(long, value_name = "NAME")]
    pub key_env: Option<String>,
    /// The environment variable that may hold another address than the one given
    #[arg(long, value_name = "NAME")]
    pub url_env: Option<String>,
    /// Seconds that the server may take to start
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub timeout: f64,
    /// The command with its arguments, or an http(s) address; options of mkbc stand before it
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND|URL")]
    pub server: Vec<String>,
}

#[derive(Args)]
pub struct OpenapiOptions {
    #[command(flatten)]
    pub target: Target,
    /// The address that paths are relative to, in place of the document's
    #[arg(long)]
    pub url: Option<String>,
    /// The environment variable that may hold another address
    #[arg(long, value_name = "NAME")]
    pub url_env: Option<String>,
    /// The environment variable that holds the key
    #[arg(long, value_name = "NAME")]
    pub key_env: Option<String>,
    /// Only operations whose id begins so (repeatable)
    #[arg(long, value_name = "ID")]
    pub only: Vec<String>,
    /// The document: a file, or an http(s) address
    pub document: String,
}

#[derive(Args)]
pub struct PythonOptions {
    #[command(flatten)]
    pub target: Target,
    /// The interpreter
    #[arg(long, default_value = "python3", value_name = "PROGRAM")]
    pub interpreter: String,
    /// The module: a file, or the name of an importable one
    pub module: String,
}

/// Imports.
pub fn import(what: &Import) -> Result<(), Failure> {
    match what {
        Import::Mcp(options) => mcp(options),
        Import::Openapi(options) => openapi(options),
        Import::Python(options) => python(options),
    }
}

fn mcp(options: &McpOptions) -> Result<(), Failure> {
    let target = &options.target;
    let server = server(options)?;
    let env = |name: &str| std::env::var(name).ok();
    let limit = match options.timeout {
        seconds @ 0.0..=86_400.0 => Duration::from_secs_f64(seconds),
        _ => return Err(Failure::Usage("`--timeout` takes seconds, from 0 to 86400".into())),
    };
    let scratch = scratch()?;
    let tools = block_on(async {
        let session = Session::open(&server, scratch.path(), &[PathBuf::from(".")], &env, limit).await?;
        session.tools().await
    });
    let tools = tools.map_err(|e| format!("cannot start the runtime: {e}"))?.map_err(|fault| said(&fault))?;
    if tools.is_empty() {
        return Err("the server has no tools".to_string().into());
    }
    let listed = |tool: &rmcp::model::Tool| Listed {
        name: tool.name.to_string(),
        docs: tool.description.as_deref().unwrap_or_default().to_string(),
        input: tool.input_schema.as_ref().clone(),
        output: tool.output_schema.as_ref().map(|s| s.as_ref().clone()),
        digest: digest(tool),
    };
    let tools: Vec<Listed> = tools.iter().map(listed).collect();
    let words = server.command.iter().map(|word| beside(word, target.out.as_deref()));
    let shown = McpServer { command: words.collect(), ..server };
    let stub = stubs(&shown, &tools, &prefix(target, "mcp")?, "mkbc import mcp".to_string());
    put(target, &stub)
}

fn server(options: &McpOptions) -> Result<McpServer, Failure> {
    let address = |word: &String| word.starts_with("http://") || word.starts_with("https://");
    let mut server = McpServer {
        command: Vec::new(),
        env: options.env.clone(),
        url: String::new(),
        url_env: options.url_env.clone().unwrap_or_default(),
        key_env: options.key_env.clone().unwrap_or_default(),
    };
    options.env.iter().chain(&options.key_env).chain(&options.url_env).try_for_each(variable)?;
    match options.server.as_slice() {
        [url] if address(url) => server.url = url.clone(),
        words => server.command = words.to_vec(),
    }
    if server.url.contains('@') {
        return Err(Failure::Usage(
            "the address holds a user name or a key: name a variable with `--key-env NAME`".into(),
        ));
    }
    Ok(server)
}

fn openapi(options: &OpenapiOptions) -> Result<(), Failure> {
    let target = &options.target;
    options.key_env.iter().chain(&options.url_env).try_for_each(variable)?;
    let from = &options.document;
    let remote = from.starts_with("http://") || from.starts_with("https://");
    let text = if remote { fetched(from)? } else { read(Path::new(from))? };
    // JSON is YAML, but its own reader has the better messages.
    let document: serde_json::Value = match serde_json::from_str(&text) {
        Ok(document) => document,
        Err(e) if text.trim_start().starts_with(['{', '[']) => return Err(format!("`{from}` is no JSON: {e}").into()),
        Err(_) => yaml_serde::from_str(&text).map_err(|e| format!("`{from}` is no YAML: {e}"))?,
    };
    let prefix = prefix(target, "api")?;
    let wanted = Wanted {
        prefix: &prefix,
        url: options.url.as_deref(),
        url_env: options.url_env.as_deref().unwrap_or_default(),
        key_env: options.key_env.as_deref().unwrap_or_default(),
        only: &options.only,
    };
    let (stub, left_out) = operations(&document, &wanted, "mkbc import openapi".to_string())?;
    left_out.iter().for_each(|line| note(&format!("left out {line}")));
    if stub.tools.is_empty() {
        return Err(format!("`{from}` has no operations to import").into());
    }
    put(target, &stub)
}

/// A document at an address, bounded; redirects are not followed.
fn fetched(url: &str) -> Result<String, Failure> {
    let endpoint = Endpoint::find(&|_| None, "", url, "").map_err(|fault| said(&fault))?;
    let clients = Clients::default();
    let got = block_on(async {
        let request = clients.request(&endpoint, reqwest::Method::GET, endpoint.url.clone())?;
        let text = tokio::time::timeout(Duration::from_secs(60), clients.text(&endpoint, request)).await;
        let late = || Fault::new(FaultKind::Timeout, format!("{} did not answer within 60 s", endpoint.host()));
        text.map_err(|_| late())?.map_err(|refused| refused.fault)
    });
    let (text, _) = got.map_err(|e| e.to_string())?.map_err(|fault| said(&fault))?;
    Ok(text)
}

fn variable(name: &String) -> Result<(), Failure> {
    if is_name(name) {
        return Ok(());
    }
    Err(Failure::Usage(format!("`{name}` is no name of an environment variable: give the name, not the value")))
}

fn python(options: &PythonOptions) -> Result<(), Failure> {
    let target = &options.target;
    let scratch = scratch()?;
    write_package(scratch.path()).map_err(|fault| said(&fault))?;
    let file = options.module.ends_with(".py");
    if file && !Path::new(&options.module).is_file() {
        read(Path::new(&options.module))?;
    }
    let absolute = |path: &str| std::path::absolute(path).map(|p| p.to_string_lossy().into_owned());
    let module = if file { absolute(&options.module).map_err(|e| e.to_string())? } else { options.module.clone() };
    let shown = if file { beside(&options.module, target.out.as_deref()) } else { options.module.clone() };
    // `env` sets what the clean environment of our children lacks.
    let here = std::env::current_dir().map_err(|e| e.to_string())?;
    let path = format!("PYTHONPATH={}:{}", scratch.path().display(), here.display());
    let words = ["env", path.as_str(), "PYTHONSAFEPATH=1", &options.interpreter, "-m", "murakkab.stub"];
    let mut argv: Vec<String> = words.map(str::to_string).to_vec();
    let prefix = target.prefix.clone().unwrap_or_default();
    if !prefix.is_empty() {
        argv.extend(["--as".to_string(), prefix]);
    }
    argv.extend(["--module".to_string(), shown, "--".to_string(), module]);
    let env = |name: &str| std::env::var(name).ok();
    if let Some(fault) = crate::run::preflight::absent(&options.interpreter, &env) {
        return Err(said(&fault).into());
    }
    let limits = Limits { output: 8 << 20, ..Limits::default() };
    let run = block_on(async {
        let command = Command { argv: &argv, folder: scratch.path(), env: &env, threads: 1, limits };
        tokio::time::timeout(Duration::from_secs(120), child::run_any(command)).await
    });
    let done = run.map_err(|e| e.to_string())?;
    let done = done.map_err(|_| format!("`{}` took more than 120 s to import", options.module))?;
    let done = done.map_err(|fault| said(&fault))?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr);
        let text = crate::run::fault::printable(crate::run::fault::tail(text.trim(), 4000));
        return Err(text.trim_start_matches("murakkab.stub: ").to_string().into());
    }
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let names = text.lines().filter_map(|l| l.strip_prefix("tool ")?.split(' ').next()).map(str::to_string);
    finish(target, &text, &names.collect::<Vec<_>>())
}

/// Checks the stubs as the language does, and writes them with the profiles that are not there yet.
fn finish(target: &Target, text: &str, tools: &[String]) -> Result<(), Failure> {
    let assumed = assumed(target)?;
    let Some(out) = &target.out else {
        print(text);
        return Ok(());
    };
    if target.check {
        let found = changes(&read(out)?, text);
        return match found.is_empty() {
            true => {
                note(&format!("`{}` is as it would be written now", out.display()));
                Ok(())
            }
            false => Err(format!("`{}` is out of date:\n  {}", out.display(), found.join("\n  ")).into()),
        };
    }
    correct(text, out, tools)?;
    let folder = out.parent().unwrap_or(Path::new("")).join("profiles");
    std::fs::create_dir_all(&folder).map_err(|e| format!("cannot make the folder `{}`: {e}", folder.display()))?;
    let old = if out.exists() { read(out)? } else { String::new() };
    write(out, text)?;
    let mut without = Vec::new();
    for tool in tools {
        let path = folder.join(profile_name(tool));
        // What somebody measured stays.
        let rows = |text: String| text.lines().count().saturating_sub(1);
        let empty = !path.exists() || rows(read(&path)?) == 0;
        let now = profile(assumed);
        if empty {
            write(&path, &now)?;
        }
        if empty && rows(now) == 0 {
            without.push(tool.as_str());
        }
    }
    if !old.is_empty() {
        changes(&old, text).iter().for_each(|line| note(line));
    }
    note(&format!("`{}` has {}", out.display(), counted(tools.len(), "tool")));
    if !without.is_empty() {
        note(&format!(
            "no figures yet, so that no plan uses them: {}; import again with --assume-latency and --assume-quality, or measure both: `mkbc profile` for latency, `mkbc eval` for quality",
            without.join(", ")
        ));
    }
    Ok(())
}

/// Stubs that do not pass the checks of the language are not written: a name may be taken by the standard library, say.
fn correct(text: &str, out: &Path, tools: &[String]) -> Result<(), Failure> {
    let mut texts = Texts::with_stdlib();
    let file = texts.sources.add(out.display().to_string(), text.to_string());
    texts.modules.push(("stub".into(), file));
    for tool in tools {
        let empty = texts.sources.add(profile_name(tool), profile(Assumed::default()));
        texts.profiles.insert(profile_name(tool).into(), empty);
    }
    let mut cx = Diagnostics::default();
    check_tree(&texts, crate::syntax::ast::File::default(), &mut cx);
    if cx.has_errors() {
        show(&cx, &texts, super::args::Format::Text);
        return Err("the stubs do not go with the standard library, and are not written: give another prefix (`--as`)"
            .to_string()
            .into());
    }
    Ok(())
}

fn assumed(target: &Target) -> Result<Assumed, Failure> {
    let good = |n: Option<f64>, most: f64| n.is_none_or(|n| n.is_finite() && (0.0..=most).contains(&n));
    if !good(target.assume_latency, 1e6) {
        return Err(Failure::Usage("`--assume-latency` takes seconds".into()));
    }
    if !good(target.assume_quality, 100.0) {
        return Err(Failure::Usage("`--assume-quality` takes per cent, from 0 to 100".into()));
    }
    Ok(Assumed { latency_s: target.assume_latency, quality: target.assume_quality })
}

/// What every name begins with: as given, else the name of the file.
fn prefix(target: &Target, otherwise: &str) -> Result<String, Failure> {
    match (&target.prefix, &target.out) {
        (Some(prefix), _) if prefix.is_empty() || snake(prefix) == *prefix => Ok(prefix.clone()),
        (Some(prefix), _) => {
            Err(Failure::Usage(format!("`{prefix}` is no beginning of a name: try `--as {}`", snake(prefix))))
        }
        (None, Some(out)) => Ok(snake(&out.file_stem().unwrap_or_default().to_string_lossy())),
        (None, None) => Ok(otherwise.to_string()),
    }
}

/// A word of a command as a stub has it: the relative path of a file becomes one from the stub's folder, where files of a library are
/// looked for; other words stay as they are.
fn beside(word: &str, out: Option<&Path>) -> String {
    let path = Path::new(word);
    let Some(out) = out.filter(|_| word.contains(['.', '/']) && path.is_relative() && path.is_file()) else {
        return word.to_string();
    };
    let folder = out.parent().unwrap_or(Path::new(""));
    let (Some(path), Some(folder)) = (whole(path), whole(folder)) else { return word.to_string() };
    let shared = path.iter().zip(&folder).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", folder.len() - shared).map(str::to_string);
    up.chain(path.into_iter().skip(shared)).collect::<Vec<_>>().join("/")
}

/// The parts of a path from the root, by its text: a link in it stays one.
fn whole(path: &Path) -> Option<Vec<String>> {
    let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let mut parts: Vec<String> = Vec::new();
    for part in std::path::absolute(here).ok()?.components() {
        match part {
            std::path::Component::Normal(part) => parts.push(part.to_str()?.to_string()),
            std::path::Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    Some(parts)
}

fn scratch() -> Result<tempfile::TempDir, Failure> {
    Ok(tempfile::Builder::new().prefix("mkbc-import-").tempdir().map_err(|e| format!("cannot make a folder: {e}"))?)
}

fn said(fault: &Fault) -> String {
    crate::run::fault::RunError::from(fault.clone()).to_string()
}

/// Writes stubs that were made here.
fn put(target: &Target, stub: &Stub) -> Result<(), Failure> {
    let names: Vec<String> = stub.tools.iter().map(|t| t.tool.clone()).collect();
    finish(target, &stub.text(), &names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_from_the_folder_of_the_stub() {
        assert_eq!(beside("Cargo.toml", Some(Path::new("out.mkb"))), "Cargo.toml");
        assert_eq!(beside("Cargo.toml", Some(Path::new("examples/out.mkb"))), "../Cargo.toml");
        assert_eq!(beside("./src/lib.rs", Some(Path::new("src/out.mkb"))), "lib.rs");
        assert_eq!(beside("/etc/passwd", Some(Path::new("out.mkb"))), "/etc/passwd");
        assert_eq!(beside("no/such.py", Some(Path::new("out.mkb"))), "no/such.py");
        assert_eq!(beside("-y", Some(Path::new("out.mkb"))), "-y");
    }
}
