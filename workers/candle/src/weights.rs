//! A model's name -> its files on this machine, checked; nothing is fetched unless that is asked for.
//!
//! A name is a path, or a folder below `MKBC_WEIGHTS`, or a repository in the Hugging Face cache, in this order. What ends in `.gguf` is
//! one file; anything else is a folder with `config.json` and safetensors.

use crate::failure::Failure;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use hf_hub::Cache;
use hf_hub::api::sync::ApiBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest JSON file that is read (vocabularies of 250,000 pieces have 17 MB).
const MOST_JSON: u64 = 64 << 20;
/// What is fetched besides the weights, as far as a repository has it.
const SMALL: [&str; 7] = [
    "tokenizer.json",
    "generation_config.json",
    "preprocessor_config.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

/// Where weights are looked for.
pub struct Places {
    /// The folder that `MKBC_WEIGHTS` names.
    pub own: Option<PathBuf>,
    /// The Hugging Face cache.
    pub hub: Cache,
}

impl Places {
    /// As the environment says.
    pub fn from_env() -> Places {
        let own = std::env::var_os("MKBC_WEIGHTS").filter(|v| !v.is_empty()).map(PathBuf::from);
        let hub = std::env::var_os("HF_HUB_CACHE").filter(|v| !v.is_empty());
        Places { own, hub: hub.map_or_else(Cache::from_env, |path| Cache::new(path.into())) }
    }
}

/// The files of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// The name that it was found by.
    pub name: String,
    /// The folder that holds its small files.
    pub folder: PathBuf,
    /// The files with its numbers, in the order of their names: one `.gguf`, or safetensors.
    pub files: Vec<PathBuf>,
    /// Whether a GPU computes in 32 bits as well: slower, and comparable with a processor to the last digits.
    pub exact: bool,
}

impl Weights {
    /// Finds a model's files.
    pub fn find(name: &str, places: &Places) -> Result<Weights, Failure> {
        let path = PathBuf::from(name);
        let own = places.own.as_ref().map(|own| own.join(name));
        if name.ends_with(".gguf") {
            let file = [Some(path), own].into_iter().flatten().find(|p| p.is_file()).ok_or_else(|| absent(name))?;
            let folder = file.parent().unwrap_or(Path::new(".")).to_path_buf();
            return Ok(Weights { name: name.to_owned(), folder, files: vec![file], exact: false });
        }
        let cached = places.hub.model(name.to_owned()).get("config.json").and_then(|p| Some(p.parent()?.to_path_buf()));
        let whole = |folder: &PathBuf| folder.join("config.json").is_file();
        let folder = [Some(path), own, cached].into_iter().flatten().find(whole).ok_or_else(|| absent(name))?;
        let files = numbers(&folder)?;
        Ok(Weights { name: name.to_owned(), folder, files, exact: false })
    }

    /// Fetches a repository of the Hugging Face hub into the cache, as far as it is not there.
    pub fn download(name: &str) -> Result<(), Failure> {
        let failed = |e: hf_hub::api::sync::ApiError| Failure::weights(format!("`{name}` cannot be fetched: {e}"));
        let hub = ApiBuilder::from_env().with_progress(false).build().map_err(failed)?.model(name.to_owned());
        hub.get("config.json").map_err(failed)?;
        // What a repository does not have is missed by the family that needs it.
        for file in SMALL {
            let _ = hub.get(file);
        }
        match hub.get(INDEX) {
            Ok(index) => parts(&index)?.iter().try_for_each(|part| hub.get(part).map(drop).map_err(failed)),
            Err(_) => hub.get(SINGLE).map(drop).map_err(failed),
        }
    }

    /// What a model's numbers are on a device: a processor computes in what it is exact and quick in, a GPU in half the bytes.
    pub fn dtype(&self, device: &Device) -> DType {
        if device.is_cpu() || self.exact { DType::F32 } else { DType::BF16 }
    }

    /// Whether the numbers are one GGUF file.
    pub fn is_gguf(&self) -> bool {
        self.files.first().is_some_and(|file| file.extension().is_some_and(|e| e == "gguf"))
    }

    /// Holds the numbers against a digest (SHA-256, lower-case hex) of the files one after the other.
    pub fn verify(&self, wanted: &str) -> Result<(), Failure> {
        let found = self.digest()?;
        if found.eq_ignore_ascii_case(wanted.trim_start_matches("sha256:")) {
            return Ok(());
        }
        let files: Vec<String> = self.files.iter().map(|f| f.display().to_string()).collect();
        let message = format!("the weights of `{}` are others than expected ({})", self.name, files.join(", "));
        Err(Failure::weights(format!("{message}: their SHA-256 is {found}, and the library says {wanted}")))
    }

    /// The digest of the numbers: `cat model-*.safetensors | sha256sum`.
    pub fn digest(&self) -> Result<String, Failure> {
        let mut sum = Sha256::new();
        for path in &self.files {
            let copied = File::open(path).and_then(|mut file| io::copy(&mut file, &mut sum));
            copied.map_err(|e| unread(path, &e))?;
        }
        Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A small file, where it is there.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let path = self.folder.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let text = small(&path)?;
        let read = serde_json::from_slice(&text);
        read.map(Some).map_err(|e| Failure::weights(format!("`{}` cannot be used: {e}", path.display())))
    }

    /// A small file that must be there.
    pub fn needed<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        let absent = || Failure::weights(format!("`{}` has no `{name}`", self.folder.display()));
        self.json(name)?.ok_or_else(absent)
    }

    /// The numbers of safetensors files, read as they are needed.
    #[allow(unsafe_code)]
    pub fn tensors(&self, dtype: DType, device: &Device) -> Result<VarBuilder<'static>, Failure> {
        // SAFETY: the files are mapped for reading. Changing weights while a model is loaded from them is undefined; they are put in
        // place whole by those who fetch them, and replaced by renaming.
        Ok(unsafe { VarBuilder::from_mmaped_safetensors(&self.files, dtype, device)? })
    }
}

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

fn absent(name: &str) -> Failure {
    let how = match name.ends_with(".gguf") {
        true => format!("put the file `{name}` into the folder that MKBC_WEIGHTS names"),
        false => format!(
            "`mkbc-candle check {name} --download` or `huggingface-cli download {name}` fetches them into the Hugging Face cache; or \
             MKBC_WEIGHTS names a folder with `{name}` in it"
        ),
    };
    Failure::weights(format!("the weights of `{name}` are not on this machine: {how}"))
}

fn unread(path: &Path, error: &io::Error) -> Failure {
    Failure::weights(format!("`{}` cannot be read: {error}", path.display()))
}

fn small(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|e| unread(path, &e))?;
    file.take(MOST_JSON + 1).read_to_end(&mut text).map_err(|e| unread(path, &e))?;
    if text.len() as u64 > MOST_JSON {
        return Err(Failure::weights(format!("`{}` has more than {} MB", path.display(), MOST_JSON >> 20)));
    }
    Ok(text)
}

/// The files with the numbers of a folder.
fn numbers(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let index = folder.join(INDEX);
    let names = if index.is_file() { parts(&index)? } else { BTreeSet::from([SINGLE.to_owned()]) };
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    match files.iter().find(|file| !file.is_file()) {
        None => Ok(files),
        Some(file) => {
            let help = "weights in PyTorch's own format are not read, since loading those runs code";
            Err(Failure::weights(format!("there is no `{}` ({help})", file.display())))
        }
    }
}

/// The names of the files that an index parts the numbers into; none of them leads out of its folder.
fn parts(index: &Path) -> Result<BTreeSet<String>, Failure> {
    let broken = || Failure::weights(format!("`{}` is no index of weights", index.display()));
    let index: Value = serde_json::from_slice(&small(index)?).map_err(|_| broken())?;
    let map = index["weight_map"].as_object().ok_or_else(broken)?;
    let names: Option<BTreeSet<String>> = map.values().map(|v| v.as_str().map(str::to_owned)).collect();
    names
        .filter(|names| names.iter().all(|n| !n.contains(['/', '\\']) && n.ends_with(".safetensors")))
        .ok_or_else(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(folder: &Path) -> Places {
        Places { own: Some(folder.join("own")), hub: Cache::new(folder.join("hub")) }
    }

    fn put(path: PathBuf, text: &str) {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    #[test]
    fn weights_are_found_where_they_lie_and_named_where_they_do_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = places(folder.path());
        let said = Weights::find("org/m", &places).expect_err("nowhere").message;
        assert!(said.contains("mkbc-candle check org/m --download") && said.contains("MKBC_WEIGHTS"), "{said}");
        let hub = folder.path().join("hub/models--org--m");
        put(hub.join("refs/main"), "abc");
        put(hub.join("snapshots/abc/config.json"), "{}");
        let said = Weights::find("org/m", &places).expect_err("no numbers").message;
        assert!(said.contains("model.safetensors"), "{said}");
        put(hub.join("snapshots/abc/model.safetensors"), "1");
        assert_eq!(Weights::find("org/m", &places).expect("cached").folder, hub.join("snapshots/abc"));
        let own = folder.path().join("own/org/m");
        put(own.join("config.json"), "{}");
        put(
            own.join("model.safetensors.index.json"),
            r#"{"weight_map": {"a": "b.safetensors", "c": "a.safetensors"}}"#,
        );
        put(own.join("a.safetensors"), "1");
        put(own.join("b.safetensors"), "2");
        let found = Weights::find("org/m", &places).expect("one's own first");
        assert_eq!(found.files, [own.join("a.safetensors"), own.join("b.safetensors")]);
        // printf 12 | sha256sum
        let sum = "6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918";
        assert_eq!(found.verify(sum), Ok(()));
        assert!(found.verify(&sum.replace('6', "7")).expect_err("another").message.contains(sum));
        put(own.join("model.safetensors.index.json"), r#"{"weight_map": {"a": "../a.safetensors"}}"#);
        assert!(Weights::find("org/m", &places).is_err());
        assert!(Weights::find("org/m.gguf", &places).is_err());
        put(folder.path().join("own/org/m.gguf"), "1");
        assert!(Weights::find("org/m.gguf", &places).expect("a file").is_gguf());
    }
}
