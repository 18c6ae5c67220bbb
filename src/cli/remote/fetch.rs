//! `mkbc fetch`

use super::{Server, TlsOptions, causes, wait};
use crate::cli::load::{writable, write};
use crate::cli::run::shown;
use crate::cli::{Failure, note, print};
use crate::serve::api::types::RunResult;
use clap::Args;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Component, Path, PathBuf};
use tokio::io::AsyncWriteExt;

#[derive(Args)]
pub struct FetchOptions {
    /// The run: URL/ID, or ID alone for $MKBC_SERVER
    pub run: String,
    /// Write the answer to this file: a text as it is, an answer that is a file as that file, anything else as JSON
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the files that are named in the answer to this folder
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// Seconds to wait for the run to end, 60 at most
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u32,
    /// Print the answer, and what it took, as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tls: TlsOptions,
}

/// Fetches a run's answer.
pub fn fetch(options: &FetchOptions) -> Result<(), Failure> {
    let (server, id) = Server::of_run(&options.run, &options.tls)?;
    if let Some(path) = &options.out {
        writable(path)?;
    }
    wait(async {
        let answer = result(&server, id, options.wait).await?;
        if let Some(folder) = &options.files {
            let mut names = Vec::new();
            files(&answer.result, &mut names);
            for name in &names {
                let to = beneath(folder, name)?;
                download(&server, id, name, &to).await?;
            }
            note(&format!("{} files are in {}", names.len(), folder.display()));
        }
        match (&options.out, &answer.result) {
            (None, _) => print(&text(&answer, options.json)),
            (Some(path), Value::Object(fields)) if fields.contains_key("url") && !options.json => {
                let name = fields.get("file").and_then(Value::as_str).unwrap_or_default();
                download(&server, id, name, path).await?;
            }
            (Some(path), Value::String(text)) if !options.json => write(path, text)?,
            (Some(path), _) => write(path, &text(&answer, options.json))?,
        }
        Ok(())
    })
}

/// Prints a run's answer.
pub async fn show(server: &Server, id: u64, json: bool) -> Result<(), Failure> {
    let answer = result(server, id, 0).await?;
    print(&text(&answer, json));
    Ok(())
}

async fn result(server: &Server, id: u64, wait: u32) -> Result<RunResult, Failure> {
    let path = if wait == 0 { format!("/v1/runs/{id}/result") } else { format!("/v1/runs/{id}/result?wait_s={wait}") };
    server.ask(server.request(Method::GET, &path)).await
}

fn text(answer: &RunResult, json: bool) -> String {
    if json { format!("{:#}\n", json!(answer)) } else { format!("{}\n", shown(&answer.result)) }
}

/// The files of the run that an answer names.
fn files(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| files(item, names)),
        Value::Object(fields) => {
            if let (Some(Value::String(file)), true) = (fields.get("file"), fields.contains_key("url")) {
                names.push(file.clone());
            }
            fields.values().for_each(|field| files(field, names));
        }
        _ => {}
    }
}

/// Where a file goes: below the folder, whatever the server calls it.
fn beneath(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(name);
    if name.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!("the server names a file `{}`, which could be anywhere", name.escape_debug()).into());
    }
    let to = folder.join(path);
    let parent = to.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(|e| format!("cannot make the folder `{}`: {e}", parent.display()))?;
    Ok(to)
}

async fn download(server: &Server, id: u64, name: &str, to: &Path) -> Result<(), Failure> {
    let mut url = reqwest::Url::parse(&server.url(&format!("/v1/runs/{id}/files"))).map_err(|e| e.to_string())?;
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.extend(name.split('/'));
    }
    let path = url.path().to_owned();
    let base = server.base.path().trim_end_matches('/');
    let request = server.request(Method::GET, path.strip_prefix(base).unwrap_or(&path));
    let mut parts = server.send(request).await?.bytes_stream();
    let cannot = |e: std::io::Error| format!("cannot write `{}`: {e}", to.display());
    let mut file = tokio::fs::File::create(to).await.map_err(cannot)?;
    while let Some(part) = parts.next().await {
        let part = part.map_err(|e| format!("the file `{}` broke off: {}", name.escape_debug(), causes(&e)))?;
        file.write_all(&part).await.map_err(cannot)?;
    }
    Ok(file.flush().await.map_err(cannot)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_does_not_choose_where_files_go() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["../x", "/etc/x", "a/../../x", "", "./x"] {
            assert!(beneath(folder.path(), name).is_err(), "{name}");
        }
        assert!(beneath(folder.path(), "steps/a.png").is_ok());
    }
}
