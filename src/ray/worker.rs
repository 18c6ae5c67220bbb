//! A worker: calls as lines of JSON on standard input, one at a time → their values as lines on standard output.
//!
//! It knows nothing of Ray. A call is run as a plan of one step, so that it is carried out as it would be at home.

use super::files::{GIVEN, MADE};
use crate::ir::workflow::{Node, Operand, Region, StepId, ValueId};
use crate::plan::model::{Conditions, Input, Plan, PlanStep, Pool};
use crate::run::fault::{Fault, FaultKind};
use crate::run::observer::Silent;
use crate::run::probe::Env;
use crate::run::value::{files, with_files};
use crate::run::{RunContext, run};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A call.
#[derive(Deserialize)]
pub struct Request {
    step: PlanStep,
    args: BTreeMap<String, Value>,
    /// The folder with the files of its arguments.
    given: PathBuf,
    /// A folder of its own.
    folder: PathBuf,
}

/// Carries out a call: `{"ok": value, "files": [path, …]}`, with files that it made relative to its folder, or `{"fault": …}`.
pub async fn work(line: &str, env: Env<'_>) -> Value {
    let told = |fault: &Fault| json!({ "fault": fault });
    let request: Request = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => return told(&Fault::plan(format!("a call cannot be read: {error}"))),
    };
    match done(&request, env).await {
        Ok((value, files)) => json!({ "ok": value, "files": files }),
        Err(fault) => told(&fault),
    }
}

async fn done(request: &Request, env: Env<'_>) -> Result<(Value, Vec<String>), Fault> {
    let real = |path: &Path| path.canonicalize().map_err(|e| Fault::storage("find", path, &e));
    let (given, folder) = (real(&request.given)?, real(&request.folder)?);
    let at = |name: &str| given.join(name).to_string_lossy().into_owned();
    let args = request.args.iter().map(|(name, value)| (name.clone(), with_files(value, &at))).collect();
    let cx = RunContext { outputs: false, ..RunContext::new(&folder, &Silent, env) };
    let report = run(&plan(&request.step), args, &cx).await;
    let value = report.result.map_err(|error| error.fault)?;
    let mut made = Vec::new();
    for file in files(&value) {
        let path = real(Path::new(file))?;
        if let Ok(within) = path.strip_prefix(&folder) {
            made.push(within.to_string_lossy().into_owned());
        } else if path.strip_prefix(&given).is_err() {
            let message = format!("the result is a file elsewhere: `{file}`");
            return Err(Fault::new(FaultKind::Answer, message));
        }
    }
    made.sort();
    made.dedup();
    let named = |file: &str| {
        let path = Path::new(file).canonicalize().unwrap_or_default();
        let below = |root: &Path, word: &str| Some(format!("{word}{}", path.strip_prefix(root).ok()?.display()));
        below(&folder, MADE).or_else(|| below(&given, GIVEN)).unwrap_or_default()
    };
    Ok((with_files(&value, &named), made))
}

/// A plan of one step, tried once: how often is for whoever asks to say.
fn plan(step: &PlanStep) -> Plan {
    let inputs: Vec<Input> = step
        .params
        .iter()
        .zip(0..)
        .map(|((name, ty), id)| Input {
            name: name.clone(),
            ty: ty.clone(),
            value: ValueId(id),
            sizes: BTreeMap::new(),
        })
        .collect();
    let output = ValueId(inputs.len() as u32);
    let args = inputs.iter().map(|input| (input.name.clone(), Operand::Value(input.value))).collect();
    let call = Node::Call { step: StepId(0), args, output };
    let pool = Pool { units: step.hardware.units.max(1), usd_per_hour: Decimal::ZERO };
    let pools = BTreeMap::from([(step.hardware.device.clone(), pool)]);
    let conditions = Conditions { retries: 0, ..step.conditions.clone() };
    let step = PlanStep { id: StepId(0), conditions, fallbacks: Vec::new(), ..step.clone() };
    let body = Region { nodes: vec![call], result: Operand::Value(output) };
    Plan::to_measure("call".into(), pools, inputs, body, step.output.clone(), vec![step])
}
