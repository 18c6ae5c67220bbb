//! A plan -> what it lacks on this machine (programs, keys, engines), known before anything is spent.

use super::devices::inventory;
use super::engines::child::unstarted;
use super::engines::process::TESTS;
use super::engines::{browser, builtin, http, interpreter, mcp, openai, python, sandbox, worker};
use super::fault::{Fault, FaultKind, RunError, Site};
use super::kernels::Place;
use super::probe::Env;
use super::servers::find;
use super::servers::ledger::RAM;
use crate::plan::model::{Engine, Plan, PlanStep};
use std::cell::OnceCell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Everything that is missing, step by step; empty if the plan can start. `folders` is where files of a library are looked for.
pub fn missing(plan: &Plan, env: Env<'_>, folders: &[PathBuf]) -> Vec<RunError> {
    let mut found: Vec<RunError> = Vec::new();
    let machine = OnceCell::new();
    for step in &plan.steps {
        let serves = step.engine.provider().is_some_and(|p| find::managed(p, env).is_some());
        let loads = matches!(step.engine, Engine::Worker { .. });
        let gpu = (serves || loads) && step.hardware.device != RAM;
        let device = gpu.then(|| find::lacking(&step.hardware, machine.get_or_init(inventory))).flatten();
        let faults = lacks(step, env, folders)
            .into_iter()
            .chain(device)
            .map(|fault| RunError { site: Some(Box::new(Site::of(step))), fault });
        found.extend(faults);
    }
    found
}

fn lacks(step: &PlanStep, env: Env<'_>, folders: &[PathBuf]) -> Vec<Fault> {
    match &step.engine {
        Engine::Process { commands, options, reader } => {
            let packages = options.get(PACKAGES).map_or("", String::as_str);
            let programs = commands.iter().filter_map(|c| c.first()).filter_map(|p| lacking(p, packages, env));
            programs.chain((reader == TESTS).then(|| sandbox::lacking(env)).flatten()).collect()
        }
        Engine::Openai(p) if find::managed(p, env).is_some() => find::lacks(p, env, folders),
        Engine::Openai(p) | Engine::Anthropic(p) | Engine::Bedrock(p) => {
            openai::endpoint(p, env).err().into_iter().collect()
        }
        Engine::Planned { name, .. } => {
            vec![Fault::new(
                FaultKind::Unsupported,
                format!("this version can plan for the engine `{name}`, and not execute it"),
            )]
        }
        Engine::Python { module, interpreter, .. } => {
            python::lacks(&python::Module { module, interpreter }, folders, env).into_iter().collect()
        }
        Engine::Worker { worker, model, function, options } => {
            worker::lacks(&worker::Local { worker, model, function, options }, folders, env)
        }
        Engine::Http(request) => http::endpoint(request, env).err().into_iter().collect(),
        Engine::Mcp { server, .. } => mcp::lacks(server, env),
        Engine::Browser { .. } => browser::launch::lacking(env).into_iter().collect(),
        Engine::Builtin { function, .. } => builtin::lacks(function, &Place::of(&step.hardware), env),
    }
}

/// The fault that a program is, where it is not installed.
pub fn absent(program: &str, env: Env<'_>) -> Option<Fault> {
    let missing = || unstarted(program, &std::io::Error::from(std::io::ErrorKind::NotFound));
    (!installed(program, env)).then(missing)
}

/// The setting of a process that names the Python packages it needs.
pub const PACKAGES: &str = "packages";

/// What is missing to start a program, if anything is; `packages` are what it needs of the offline tools' Python.
pub fn lacking(program: &str, packages: &str, env: Env<'_>) -> Option<Fault> {
    if program == interpreter::NAME { interpreter::lacking(packages, env) } else { absent(program, env) }
}

/// Whether a program is on the PATH.
pub fn installed(program: &str, env: Env<'_>) -> bool {
    found(program, env).is_some()
}

/// Where a program is.
pub fn found(program: &str, env: Env<'_>) -> Option<PathBuf> {
    let runs = |p: &Path| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|p| runs(p));
    }
    let path = env("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|p| runs(p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::tests::samples::{environment, plan, process, step, value};
    use crate::types::Type;

    #[test]
    fn what_is_missing_is_known_beforehand() {
        let steps = |programs: &[&[&str]]| vec![step(0, process(programs, "lines"), &[], Type::Text)];
        let with = |programs: &[&[&str]]| plan(Type::Text, Vec::new(), (value(0), Type::Text), steps(programs));
        assert!(missing(&with(&[&["echo"], &["/bin/sh"]]), &environment, &[]).is_empty());
        let found = missing(&with(&[&["echo"], &["no-such-program"]]), &environment, &[]);
        assert!(
            found[0]
                .to_string()
                .starts_with("step `step_0` (tool, line 10) failed: the program `no-such-program` is not installed")
        );
    }
}
