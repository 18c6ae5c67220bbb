//! A problem and the solver's answer -> HiGHS's word on it, wish by wish: `--cross-check`.
//!
//! HiGHS reads the exported MPS and works in doubles; what it finds is judged by the integer checker, so that its tolerances can hide
//! nothing and add nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::Failure;
use crate::run::preflight::installed;
use crate::run::store::cache;
use crate::solve::check::check;
use crate::solve::export::Question;
use crate::solve::export::mps::mps;
use crate::solve::problem::{Problem, Wish};

/// Solves MODEL within SECONDS and says what came of it as JSON.
const SCRIPT: &str = r#"
import json, sys
import highspy
h = highspy.Highs()
h.silent()
with open(sys.argv[2]) as f:
    for line in f:
        name, value = line.split(" = ")
        value = value.strip()
        h.setOptionValue(name, int(value) if value.isdigit() else float(value))
h.readModel(sys.argv[1])
h.run()
status = h.modelStatusToString(h.getModelStatus())
taken, objective = [], None
if status == "Optimal":
    objective = h.getInfo().objective_function_value
    values = h.getSolution().col_value
    names = h.getLp().col_names_
    taken = [n for n, v in zip(names, values) if v > 0.5 and n.startswith("x_")]
print(json.dumps({"status": status, "objective": objective, "taken": taken}))
"#;

/// Where HiGHS is.
pub enum Highs {
    /// The program on the PATH.
    Program,
    /// The module of this interpreter of Python.
    Module(PathBuf),
}

#[derive(Deserialize)]
struct Said {
    status: String,
    objective: Option<f64>,
    /// The columns of options that are 1: `x_<step>_<option>`.
    taken: Vec<String>,
}

impl Highs {
    /// Looks for HiGHS; the error says how to install it.
    pub fn find() -> Result<Highs, Failure> {
        let env = |name: &str| std::env::var(name).ok();
        if installed("highs", &env) {
            return Ok(Highs::Program);
        }
        // This machine's Python, then the environment that `.ci/setup` makes.
        for python in [PathBuf::from("python3"), cache(&env).join("highs/bin/python")] {
            let import = Command::new(&python).args(["-c", "import highspy"]).stdin(Stdio::null()).output();
            if import.is_ok_and(|done| done.status.success()) {
                return Ok(Highs::Module(python));
            }
        }
        let why =
            "`--cross-check` needs HiGHS, and neither the program `highs` nor the Python module `highspy` is here";
        Err(Failure::Message(format!("{why}\n  help: install it with `python3 -m pip install highspy`")))
    }

    /// Checks the best values of all wishes (`None`: that there is no plan); `seconds` for each question.
    pub fn agree(&self, problem: &Problem, best: Option<&[i64]>, seconds: f64) -> Result<(), Failure> {
        let Some(values) = best else {
            let said = self.ask(problem, &Question::default(), seconds)?;
            return match said.status.as_str() {
                "Infeasible" | "Primal infeasible or unbounded" => Ok(()),
                "Optimal" => match check(problem, &said.choice(problem)?) {
                    Ok(_) => Err(disagree("there is no plan", "there is one")),
                    Err(violation) => {
                        Err(disagree("there is no plan", &format!("one that does not check: {violation:?}")))
                    }
                },
                status => Err(no_answer(status)),
            };
        };
        let bounds: Vec<(Wish, i64)> = problem.wishes.iter().copied().zip(values.iter().copied()).collect();
        for (place, &(wish, ours)) in bounds.iter().enumerate() {
            let question = Question { wish: Some(wish), bounds: &bounds[..place] };
            let said = self.ask(problem, &question, seconds)?;
            let ours_is = format!("wish {}, {:?}, is {ours}", place + 1, wish.figure);
            match said.status.as_str() {
                "Optimal" => {}
                "Infeasible" => return Err(disagree(&ours_is, "there is no plan")),
                status => return Err(no_answer(status)),
            }
            let theirs = said.objective.unwrap_or(f64::NAN);
            match check(problem, &said.choice(problem)?) {
                Ok(found) if found.wishes[place] == ours => {}
                Ok(found) => return Err(disagree(&ours_is, &format!("it is {}", found.wishes[place]))),
                Err(violation) => {
                    let with =
                        format!("it is {theirs}, with a plan that does not check in exact integers: {violation:?}");
                    return Err(disagree(&ours_is, &with));
                }
            }
        }
        Ok(())
    }

    fn ask(&self, problem: &Problem, question: &Question, seconds: f64) -> Result<Said, Failure> {
        let failed = |e: std::io::Error| Failure::Message(format!("cannot have HiGHS solve the problem: {e}"));
        let folder = tempfile::tempdir().map_err(failed)?;
        let (model, options) = (folder.path().join("model.mps"), folder.path().join("options"));
        std::fs::write(&model, mps(problem, question)).map_err(failed)?;
        // As sharp as HiGHS allows: coefficients are large, so that a small part of an option is a large part of a limit.
        let tolerances = "mip_feasibility_tolerance = 1e-9\nprimal_feasibility_tolerance = 1e-9\nmip_rel_gap = 0.0\nmip_abs_gap = 0.0\n";
        std::fs::write(&options, format!("{tolerances}threads = 1\ntime_limit = {seconds:.3}\n")).map_err(failed)?;
        let solution = folder.path().join("solution");
        let mut command = match self {
            Highs::Program => {
                let mut command = Command::new("highs");
                command.arg("--options_file").arg(&options).arg("--solution_file").arg(&solution).arg(&model);
                command
            }
            Highs::Module(python) => {
                let mut command = Command::new(python);
                command.args(["-c", SCRIPT]).arg(&model).arg(&options);
                command
            }
        };
        // HiGHS leaves a log where it runs.
        let done = command.current_dir(folder.path()).stdin(Stdio::null()).output().map_err(failed)?;
        let said = match self {
            Highs::Program => read_solution(&solution),
            // HiGHS may print notes of its own first.
            Highs::Module(_) => {
                done.stdout.trim_ascii_end().rsplit(|b| *b == b'\n').next().and_then(|l| serde_json::from_slice(l).ok())
            }
        };
        said.ok_or_else(|| {
            let error = String::from_utf8_lossy(if done.stderr.is_empty() { &done.stdout } else { &done.stderr });
            let last = error.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").to_owned();
            Failure::Message(format!("HiGHS gave no answer; it said: {last}"))
        })
    }
}

/// What the program wrote: its status, the objective, and a line for each column.
fn read_solution(path: &Path) -> Option<Said> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines().skip_while(|line| line.trim() != "Model status").skip(1);
    let status = lines.next()?.trim().to_owned();
    let objective = text.lines().find_map(|line| line.strip_prefix("Objective ")?.trim().parse().ok());
    let one = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        (name.starts_with("x_") && value.trim().parse::<f64>().ok()? > 0.5).then(|| name.to_owned())
    };
    // Dual values follow under the same names.
    let primal = text.split("# Dual").next().unwrap_or_default();
    Some(Said { status, objective, taken: primal.lines().filter_map(one).collect() })
}

impl Said {
    /// One option per step.
    fn choice(&self, problem: &Problem) -> Result<Vec<usize>, Failure> {
        let mut choice = vec![usize::MAX; problem.steps.len()];
        for name in &self.taken {
            let mut numbers = name.split('_').skip(1).map(str::parse::<usize>);
            if let (Some(Ok(step)), Some(Ok(option))) = (numbers.next(), numbers.next())
                && let Some(place) = choice.get_mut(step)
            {
                *place = option;
            }
        }
        if choice.contains(&usize::MAX) {
            return Err(Failure::Message("HiGHS's answer has no option for some step".to_owned()));
        }
        Ok(choice)
    }
}

fn disagree(ours: &str, theirs: &str) -> Failure {
    Failure::Message(format!("cross-check: mkbc and HiGHS disagree: mkbc says that {ours}, HiGHS that {theirs}"))
}

fn no_answer(status: &str) -> Failure {
    Failure::Message(format!("cross-check: HiGHS did not finish ({status}): the answer is not confirmed"))
}
