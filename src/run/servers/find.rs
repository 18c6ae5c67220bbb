//! A server of a plan -> its program and its weights on this machine, or what is missing and how to get it. Nothing is ever fetched.

use super::command::PROGRAMS;
use crate::plan::model::{Hardware, Provider, Serve};
use crate::run::devices::{Gpus, Inventory};
use crate::run::engines::kept::find;
use crate::run::fault::{Fault, FaultKind};
use crate::run::preflight::found;
use crate::run::probe::Env;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Weights on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// A file, a folder, or Ollama's name.
    pub path: String,
    /// Bytes on disk.
    pub bytes: u64,
}

/// The server of a provider that is ours to start: there is one, and nobody gave its address.
pub fn managed<'a>(provider: &'a Provider, env: Env<'_>) -> Option<&'a Serve> {
    provider.serve.as_ref().filter(|_| !given(&address(&provider.url_env, &provider.model, env), env))
}

/// The variable that holds a model's address: its own (`VLLM_BASE_URL_QWEN_QWEN3_8B`) where that is set, else the one that all models of its
/// entry share.
pub fn address(url_env: &str, model: &str, env: Env<'_>) -> String {
    let own = own_address(url_env, model);
    if given(&own, env) { own } else { url_env.to_owned() }
}

/// The variable for the address of one model alone.
pub fn own_address(url_env: &str, model: &str) -> String {
    if url_env.is_empty() || model.is_empty() {
        return url_env.to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{url_env}_{}", model.chars().map(plain).collect::<String>())
}

/// Whether an address was given.
pub fn given(url_env: &str, env: Env<'_>) -> bool {
    set(url_env, env).is_some()
}

fn set(name: &str, env: Env<'_>) -> Option<String> {
    (!name.is_empty()).then(|| env(name)).flatten().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
}

/// The variable that names a server's program: `MKBC_VLLM`.
pub fn variable(server: &str) -> String {
    format!("MKBC_{}", server.to_uppercase())
}

/// What a server lacks on this machine.
pub fn lacks(provider: &Provider, env: Env<'_>, folders: &[PathBuf]) -> Vec<Fault> {
    let Some(serve) = managed(provider, env) else { return Vec::new() };
    let program = program(&serve.server, &provider.url_env, env).err();
    program.into_iter().chain(weights(serve, env, folders).err()).collect()
}

/// The fault that a machine lacks the devices of a server.
pub fn lacking(hardware: &Hardware, machine: &Inventory) -> Option<Fault> {
    let Hardware { device, units, .. } = hardware;
    let has = match &machine.gpus {
        Gpus::Devices(gpus) => gpus.iter().filter(|g| g.is(device)).count(),
        _ => 0,
    };
    let message = || format!("the plan places a model on {units} `{device}`, and this machine has {has}");
    let help = "plan for this machine (`--cluster here`), or give the address of a server that runs elsewhere";
    (has < *units as usize).then(|| Fault::new(FaultKind::Unsupported, message()).help(help))
}

/// The program that a server is.
pub fn program(server: &str, url_env: &str, env: Env<'_>) -> Result<String, Fault> {
    let Some((_, usual)) = PROGRAMS.iter().find(|(name, _)| *name == server) else {
        let message = format!("this version cannot start the server `{server}`");
        return Err(Fault::new(FaultKind::Unsupported, message).help(format!("give its address in {url_env}")));
    };
    let variable = variable(server);
    let named = set(&variable, env);
    let wanted = named.as_deref().unwrap_or(usual);
    if let Some(path) = found(wanted, env) {
        return Ok(path.to_string_lossy().into_owned());
    }
    let message = match named {
        Some(named) => format!("{variable} names `{named}`, which is no program here"),
        None => format!("the model server `{usual}` is not installed"),
    };
    let how = match server {
        "llama_cpp" => "build llama.cpp, or install `llama-cpp-python[server]` and name its Python interpreter",
        "ollama" => "see ollama.com",
        "transformers" => "pip install 'transformers[serving]'",
        "sglang" => "pip install 'sglang[all]'",
        _ => "pip install vllm",
    };
    let address = if url_env.is_empty() { String::new() } else { format!("; or give the address of one in {url_env}") };
    Err(Fault::new(FaultKind::Program, message).help(format!("{how}; {variable} names a program elsewhere{address}")))
}

/// The weights of a server.
pub fn weights(serve: &Serve, env: Env<'_>, folders: &[PathBuf]) -> Result<Weights, Fault> {
    weights_of(&serve.server, &serve.weights, env, folders)
}

/// The weights of this name, as a server wants them.
pub fn weights_of(server: &str, name: &str, env: Env<'_>, folders: &[PathBuf]) -> Result<Weights, Fault> {
    match server {
        "ollama" => ollama(name, env),
        "llama_cpp" => gguf(name, env, folders),
        "candle" if name.ends_with(".gguf") => gguf(name, env, folders),
        _ => folder(name, env, folders),
    }
}

fn absent(name: &str, looked: &str, how: String) -> Fault {
    Fault::new(FaultKind::Program, format!("the weights of `{name}` are not on this machine ({looked})")).help(how)
}

/// The user's home folder.
fn home(env: Env<'_>) -> PathBuf {
    PathBuf::from(set("HOME", env).unwrap_or_else(|| "/".to_owned()))
}

/// The folder of Hugging Face's cache that holds a model's newest fetched version.
fn snapshot(name: &str, env: Env<'_>) -> Option<PathBuf> {
    let hub = set("HF_HUB_CACHE", env).map(PathBuf::from);
    let hub = hub.or_else(|| set("HF_HOME", env).map(|home| Path::new(&home).join("hub")));
    let hub = hub.unwrap_or_else(|| home(env).join(".cache/huggingface/hub"));
    let model = hub.join(format!("models--{}", name.replace('/', "--")));
    let version = std::fs::read_to_string(model.join("refs/main")).ok()?;
    Some(model.join("snapshots").join(version.trim())).filter(|folder| folder.is_dir())
}

/// Where a model lies whole: as a path, below MKBC_WEIGHTS, or in Hugging Face's cache.
fn places(name: &str, env: Env<'_>, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from(name)];
    places.extend(folders.iter().map(|folder| folder.join(name)));
    places.extend(set("MKBC_WEIGHTS", env).map(|own| Path::new(&own).join(name)));
    places.extend(snapshot(name, env));
    places
}

fn text(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).to_string_lossy().into_owned()
}

fn folder(name: &str, env: Env<'_>, folders: &[PathBuf]) -> Result<Weights, Fault> {
    // A tokenizer alone makes no model; a folder that was fetched half has no configuration.
    let whole = |place: &PathBuf| place.join("config.json").is_file() || place.join("params.json").is_file();
    if let Some(place) = places(name, env, folders).into_iter().find(whole) {
        let bytes = size(&place, &["safetensors", "bin", "gguf", "pt"]);
        return Ok(Weights { path: text(&place), bytes });
    }
    let how =
        format!("`huggingface-cli download {name}` fetches them; or MKBC_WEIGHTS names a folder with `{name}` in it");
    Err(absent(name, "neither in MKBC_WEIGHTS nor in the Hugging Face cache", how))
}

/// Bytes of the files of a folder that end in one of these.
fn size(folder: &Path, ends: &[&str]) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    let wanted = files.filter(|p| p.extension().and_then(|e| e.to_str()).is_some_and(|e| ends.contains(&e)));
    wanted.filter_map(|p| Some(p.metadata().ok()?.len())).sum()
}

/// The GGUF files of a folder; of one in parts, the first.
fn ggufs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    let model = |p: &PathBuf| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        let later = name.contains("-of-") && !name.contains("-00001-of-");
        name.ends_with(".gguf") && !name.starts_with("mmproj") && !later
    };
    let mut found: Vec<PathBuf> = entries.filter(model).collect();
    found.sort();
    found
}

fn gguf(name: &str, env: Env<'_>, folders: &[PathBuf]) -> Result<Weights, Fault> {
    let weighed = |path: PathBuf| {
        let parts = path.file_name().is_some_and(|n| n.to_string_lossy().contains("-00001-of-"));
        let bytes = match path.parent().filter(|_| parts) {
            Some(folder) => size(folder, &["gguf"]),
            None => path.metadata().map_or(0, |m| m.len()),
        };
        Weights { path: text(&path), bytes }
    };
    if name.ends_with(".gguf") {
        let own = set("MKBC_WEIGHTS", env).map(|own| Path::new(&own).join(name)).filter(|p| p.is_file());
        let here = find(name, folders).or_else(|| Some(PathBuf::from(name)).filter(|p| p.is_file()));
        let how = format!("put the file `{name}` beside the job, or into the folder that MKBC_WEIGHTS names");
        return here.or(own).map(weighed).ok_or_else(|| absent(name, "there is no such file", how));
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for place in places(name, env, folders).into_iter().chain(snapshot(&format!("{name}-GGUF"), env)) {
        found = ggufs(&place);
        if !found.is_empty() {
            break;
        }
    }
    match found.as_slice() {
        [one] => Ok(weighed(one.clone())),
        [] => {
            let how = format!(
                "put one GGUF file of it into the folder `{name}` of the folder that MKBC_WEIGHTS names, or give `weights FILE.gguf` in the model's engine"
            );
            Err(absent(name, "there is no GGUF file in MKBC_WEIGHTS or the Hugging Face cache", how))
        }
        several => {
            let names: Vec<String> = several.iter().map(|p| format!("`{}`", p.display())).collect();
            let message = format!("`{name}` has several GGUF files: {}", names.join(", "));
            Err(Fault::new(FaultKind::Program, message)
                .help("say which with `weights FILE.gguf` in the model's engine"))
        }
    }
}

fn ollama(name: &str, env: Env<'_>) -> Result<Weights, Fault> {
    let models = set("OLLAMA_MODELS", env).map_or_else(|| home(env).join(".ollama/models"), PathBuf::from);
    let (model, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let space = if model.contains('/') { "" } else { "library/" };
    let manifest = models.join(format!("manifests/registry.ollama.ai/{space}{model}/{tag}"));
    let Ok(manifest) = std::fs::read_to_string(&manifest) else {
        return Err(absent(name, "Ollama has not fetched them", format!("`ollama pull {name}` fetches them")));
    };
    let about: Value = serde_json::from_str(&manifest).unwrap_or_default();
    let layers = about["layers"].as_array().into_iter().flatten();
    Ok(Weights { path: name.to_owned(), bytes: layers.filter_map(|l| l["size"].as_u64()).sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(server: &str, weights: &str) -> Serve {
        Serve { server: server.into(), weights: weights.into(), context: 0, parallel: 1, arguments: Vec::new() }
    }

    #[test]
    fn weights_are_found_where_they_lie_and_named_where_they_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |path: &str| folder.path().join(path);
        let put = |path: &str, text: &str| {
            std::fs::create_dir_all(at(path).parent().expect("a folder")).expect("a folder");
            std::fs::write(at(path), text).expect("a file");
        };
        let root = folder.path().to_string_lossy().into_owned();
        let env = |name: &str| match name {
            "HOME" => Some(root.clone()),
            "MKBC_WEIGHTS" => Some(format!("{root}/own")),
            _ => None,
        };
        let of = |server: &str, name: &str| weights(&serve(server, name), &env, &[]);
        let fault = of("vllm", "org/m").expect_err("nowhere");
        assert!(fault.message.contains("`org/m`"), "{}", fault.message);
        assert!(fault.help.is_some_and(|h| h.contains("huggingface-cli download org/m")));
        put(".cache/huggingface/hub/models--org--m/refs/main", "abc\n");
        put(".cache/huggingface/hub/models--org--m/snapshots/abc/config.json", "{}");
        put(".cache/huggingface/hub/models--org--m/snapshots/abc/model.safetensors", "1234");
        let found = of("sglang", "org/m").expect("in the cache");
        assert!(found.path.ends_with("snapshots/abc") && found.bytes == 4, "{found:?}");
        put("own/org/m/config.json", "{}");
        assert!(of("vllm", "org/m").expect("one's own first").path.ends_with("own/org/m"));
        assert!(of("llama_cpp", "org/m").is_err());
        put("own/org/m/m-q4-00001-of-00002.gguf", "12");
        put("own/org/m/m-q4-00002-of-00002.gguf", "345");
        let found = of("llama_cpp", "org/m").expect("in parts");
        assert!(found.path.ends_with("00001-of-00002.gguf") && found.bytes == 5, "{found:?}");
        put("own/org/m/m-q8.gguf", "1");
        assert!(of("llama_cpp", "org/m").expect_err("which").message.contains("m-q8.gguf"));
        assert_eq!(of("llama_cpp", "org/m/m-q8.gguf").expect("named").bytes, 1);
        assert!(
            of("ollama", "qwen3:4b").expect_err("not pulled").help.is_some_and(|h| h.contains("ollama pull qwen3:4b"))
        );
        put(
            ".ollama/models/manifests/registry.ollama.ai/library/qwen3/4b",
            r#"{"layers": [{"size": 7}, {"size": 5}]}"#,
        );
        assert_eq!(of("ollama", "qwen3:4b"), Ok(Weights { path: "qwen3:4b".into(), bytes: 12 }));
    }

    #[test]
    fn a_model_may_have_an_address_of_its_own() {
        let own = |name: &str| (name == "VLLM_BASE_URL_ORG_M_1_5").then(|| "http://there/v1".to_owned());
        assert_eq!(address("VLLM_BASE_URL", "org/m-1.5", &own), "VLLM_BASE_URL_ORG_M_1_5");
        assert_eq!(address("VLLM_BASE_URL", "org/other", &own), "VLLM_BASE_URL");
        assert_eq!(address("", "org/m", &own), "");
    }

    #[test]
    fn a_program_that_is_missing_is_named_with_how_to_get_it() {
        let none = |_: &str| None;
        let nowhere = |name: &str| (name == "PATH").then(|| "/nonexistent".to_owned());
        let fault = program("vllm", "VLLM_BASE_URL", &nowhere).expect_err("not there");
        assert_eq!(fault.message, "the model server `vllm` is not installed");
        assert!(fault.help.is_some_and(|h| h.contains("pip install vllm") && h.contains("VLLM_BASE_URL")));
        let named = |name: &str| (name == "MKBC_LLAMA_CPP").then(|| "/bin/sh".to_owned());
        assert_eq!(program("llama_cpp", "", &named), Ok("/bin/sh".into()));
        let wrong = |name: &str| (name == "MKBC_OLLAMA").then(|| "/nonexistent/ollama".to_owned());
        assert!(program("ollama", "", &wrong).expect_err("wrong").message.contains("MKBC_OLLAMA"));
        assert!(program("triton", "T", &none).is_err());
    }
}
