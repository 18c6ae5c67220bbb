//! A worker: steps and calls of them as lines of JSON → the calls' values as lines, one call at a time, with what they keep between them.
//!
//! It knows nothing of Ray. A call is made by the engine of its step, as it would be at home.

use super::files::{GIVEN, MADE, below};
use crate::ir::workflow::{Operand, Region};
use crate::plan::model::{Engine, Plan, PlanStep};
use crate::run::RunContext;
use crate::run::engines::kept::Kept;
use crate::run::engines::{self, Args, Before, Call, openai};
use crate::run::fault::{Fault, FaultKind};
use crate::run::observer::Silent;
use crate::run::pool::line::Rank;
use crate::run::probe::Env;
use crate::run::store;
use crate::run::value::{files, with_files};
use crate::types::Type;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What calls are of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Definition {
    /// The step.
    step: PlanStep,
    /// Texts of Python files that carry it out, by their paths there.
    texts: BTreeMap<String, String>,
}

/// Python files that go along with a step.
#[derive(Clone, Debug)]
pub struct Modules {
    /// The path of its module.
    pub module: String,
    /// All texts, by their paths.
    pub texts: BTreeMap<String, String>,
}

impl Definition {
    /// The step, tried once and by itself: how often, and who stands in, is for whoever asks to say.
    pub fn of(step: &PlanStep, modules: Option<Modules>) -> Definition {
        let mut step = PlanStep { fallbacks: Vec::new(), ..step.clone() };
        step.conditions.retries = 0;
        let Some(Modules { module: there, texts }) = modules else {
            return Definition { step, texts: BTreeMap::new() };
        };
        if let Engine::Python { module, .. } = &mut step.engine {
            *module = there;
        }
        Definition { step, texts }
    }
}

/// What a line begins with that says what calls are of.
const DEFINE: &str = "{\"define\":";

/// A line that says what calls are of.
#[derive(Deserialize)]
struct Told {
    define: String,
    r#as: Definition,
}

/// A line that is a call.
#[derive(Deserialize)]
struct Request {
    step: String,
    args: BTreeMap<String, Value>,
    /// The folder with the files of its arguments.
    given: PathBuf,
    /// A folder of its own, which is not there yet.
    folder: PathBuf,
}

struct Known {
    step: PlanStep,
    shared: openai::Shared,
}

/// A worker in its folder.
pub struct Worker {
    /// Where Python files are.
    modules: PathBuf,
    kept: Kept,
    /// What it was told, or why that cannot be used.
    known: BTreeMap<String, Result<Known, Fault>>,
}

impl Worker {
    /// One that knows no step yet.
    pub fn new(folder: &Path) -> Worker {
        Worker { modules: folder.join("modules"), kept: Kept::new(folder), known: BTreeMap::new() }
    }

    /// Takes a line. Of a call: `{"ok": value, "files": [path, …]}`, with files that it made relative to its folder, or `{"fault": …}`;
    /// nothing of a step.
    pub async fn take(&mut self, line: &str, env: Env<'_>) -> Option<Value> {
        if line.starts_with(DEFINE) {
            // What cannot be read here is not known to its calls.
            if let Ok(Told { define, r#as }) = serde_json::from_str(line) {
                let known = self.known(r#as);
                self.known.insert(define, known);
            }
            return None;
        }
        let unread = |e: serde_json::Error| Fault::plan(format!("a call cannot be read: {e}"));
        let done = match serde_json::from_str(line).map_err(unread) {
            Ok(request) => self.done(request, env).await,
            Err(fault) => Err(fault),
        };
        Some(match done {
            Ok((value, files)) => json!({ "ok": value, "files": files }),
            Err(fault) => json!({ "fault": fault }),
        })
    }

    fn known(&self, Definition { step, texts }: Definition) -> Result<Known, Fault> {
        for (path, text) in &texts {
            let path = below(&self.modules, path)?;
            path.parent().map_or(Ok(()), store::folder)?;
            store::write(&path, text.as_bytes())?;
        }
        let body = Region { nodes: Vec::new(), result: Operand::Literal(Value::Null) };
        let plan = Plan::to_measure("call".into(), BTreeMap::new(), Vec::new(), body, Type::Json, vec![step.clone()]);
        Ok(Known { step, shared: openai::Shared::new(&plan, None, None) })
    }

    async fn done(&self, request: Request, env: Env<'_>) -> Result<(Value, Vec<String>), Fault> {
        let Request { step, args, given, folder } = request;
        let untold = || Fault::plan("a call is of a step that was not told");
        let known = self.known.get(&step).ok_or_else(untold)?.as_ref().map_err(Fault::clone)?;
        let folder = store::run_folder(&folder)?;
        let given = given.canonicalize().map_err(|e| Fault::storage("find", &given, &e))?;
        let at = |name: &str| given.join(name).to_string_lossy().into_owned();
        let args: Args = args.into_iter().map(|(name, value)| (name, Arc::new(with_files(&value, &at)))).collect();
        let folders = vec![self.modules.clone()];
        let cx = RunContext { outputs: false, folders, ..RunContext::new(&folder, &Silent, env) };
        let call = Call {
            step: &known.step,
            args,
            folder: folder.clone(),
            number: 0,
            asked: None,
            cx: &cx,
            shared: &known.shared,
            kept: &self.kept,
            server: None,
            // Ray shows a worker the devices that its calls hold.
            gpus: &[],
            rank: Rank::default(),
            before: Before::default(),
            answers_run: false,
            usage: Cell::default(),
            answers: Cell::default(),
            under_way: None,
        };
        let done = match engines::call(&call).await {
            Ok(value) => named(value, &given, &folder),
            Err(fault) => Err(fault),
        };
        // Most calls make no files; where one did, whoever fetches them removes the folder.
        if done.as_ref().map_or(true, |(_, files)| files.is_empty()) {
            let _ = std::fs::remove_dir_all(&folder);
        }
        done
    }
}

/// A value whose files are called by where they are, and those that the call made.
fn named(value: Value, given: &Path, folder: &Path) -> Result<(Value, Vec<String>), Fault> {
    let mut made = Vec::new();
    for file in files(&value) {
        let path = Path::new(file).canonicalize().map_err(|e| Fault::storage("find", Path::new(file), &e))?;
        if let Ok(within) = path.strip_prefix(folder) {
            made.push(within.to_string_lossy().into_owned());
        } else if path.strip_prefix(given).is_err() {
            let message = format!("the result is a file elsewhere: `{file}`");
            return Err(Fault::new(FaultKind::Answer, message));
        }
    }
    made.sort();
    made.dedup();
    let named = |file: &str| {
        let path = Path::new(file).canonicalize().unwrap_or_default();
        let inside = |root: &Path, word: &str| Some(format!("{word}{}", path.strip_prefix(root).ok()?.display()));
        inside(folder, MADE).or_else(|| inside(given, GIVEN)).unwrap_or_default()
    };
    Ok((with_files(&value, &named), made))
}
