//! A job's problem and its solution -> files for other solvers, and their word on it: `--export`, `--cross-check`.

use std::path::{Path, PathBuf};

use super::highs::Highs;
use super::load::write;
use super::{Failure, note};
use crate::bench::instance::Instance;
use crate::solve::export::Question;
use crate::solve::export::mps::mps;
use crate::solve::export::smtlib::smtlib;
use crate::solve::outcome::{Solution, Status};
use crate::solve::problem::{Problem, Wish};

/// What a job became for the solver, and what that made of it; no solution where clauses clash.
pub struct Decided {
    pub problem: Problem,
    pub solution: Option<Solution>,
}

/// How a problem is written.
#[derive(Clone, Copy)]
enum Form {
    Json,
    Smtlib,
    Mps,
}

fn form(path: &Path) -> Result<Form, Failure> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Ok(Form::Json),
        Some("smt2") => Ok(Form::Smtlib),
        Some("mps") => Ok(Form::Mps),
        _ => Err(Failure::Usage(format!("`--export {}`: a file ends in .json, .smt2 or .mps", path.display()))),
    }
}

/// Refuses a file whose form nobody knows, before work is done for it.
pub fn known(path: &Path) -> Result<(), Failure> {
    form(path).map(drop)
}

/// Writes the problem; returns the files. JSON holds all wishes. The other forms ask for one: a job with several gets a file each,
/// `FILE.1.mps` and so on, in which the wishes before are bounded by their best values, as far as those are proved.
pub fn export(name: &str, decided: &Decided, path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let form = form(path)?;
    let problem = &decided.problem;
    let texts: Vec<String> = match form {
        Form::Json => vec![Instance::new(name, None, problem.clone()).write()],
        Form::Smtlib => questions(decided, |question| smtlib(problem, question)),
        Form::Mps => questions(decided, |question| mps(problem, question)),
    };
    let several = texts.len() > 1;
    let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let file =
        |place: usize| if several { path.with_extension(format!("{}.{ending}", place + 1)) } else { path.into() };
    let mut files = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        write(&file(place), text)?;
        files.push(file(place));
    }
    Ok(files)
}

fn questions(decided: &Decided, text: impl Fn(&Question) -> String) -> Vec<String> {
    let Decided { problem, solution } = decided;
    if problem.wishes.is_empty() {
        return vec![text(&Question::default())];
    }
    let bounds: Vec<(Wish, i64)> = proved(problem, solution.as_ref());
    let wishes = problem.wishes.iter().enumerate().take(bounds.len() + 1);
    wishes.map(|(place, &wish)| text(&Question { wish: Some(wish), bounds: &bounds[..place] })).collect()
}

/// The wishes whose best values are proved, with those.
fn proved(problem: &Problem, solution: Option<&Solution>) -> Vec<(Wish, i64)> {
    let Some(solution) = solution else { return Vec::new() };
    let proved = match solution.proof.status {
        Status::Optimal => problem.wishes.len(),
        Status::Feasible { wish, .. } => wish,
    };
    problem.wishes.iter().copied().zip(solution.values.iter().copied()).take(proved).collect()
}

/// Has HiGHS solve the problem, wish by wish, and fails where it finds another optimum.
pub fn cross_check(decided: &Decided, seconds: f64) -> Result<(), Failure> {
    let highs = Highs::find()?;
    let Decided { problem, solution } = decided;
    let values: Vec<i64> = proved(problem, solution.as_ref()).into_iter().map(|bound| bound.1).collect();
    highs.agree(problem, solution.as_ref().map(|_| values.as_slice()), seconds)?;
    let what = match solution {
        None => "that no plan satisfies the clauses".to_owned(),
        Some(_) if values.len() < problem.wishes.len() => {
            format!("on {} of {} wishes; the rest is not proved", values.len(), problem.wishes.len())
        }
        Some(_) => "on the best value of every wish".to_owned(),
    };
    note(&format!("cross-check: HiGHS agrees {what}"));
    Ok(())
}
