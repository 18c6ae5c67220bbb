//! `mkbc verify`

use super::args::{Format, Source, VerifyOptions};
use super::expand::{Open, filled_after};
use super::load::library;
use super::plan::{change_job, read_plan};
use super::{Failure, print};
use crate::check::select;
use crate::compile::{check_tree, library_digest};
use crate::diag::Diagnostics;
use crate::digest::digest;
use crate::plan::audit::audit;
use crate::plan::model::Plan;
use crate::plan::verify::{verify as verify_alone, verify_against};
use crate::syntax::ast::File;
use crate::units::counted;

/// Checks a plan, without the solver.
pub fn verify(options: &VerifyOptions) -> Result<(), Failure> {
    let Some(path) = &options.plan else {
        return no_plan(options);
    };
    if super::fleet::is_joint(path) {
        return super::fleet::verify_joint(path, options);
    }
    let plan = read_plan(path)?;
    let shown = path.display();
    let texts = library(&options.library)?;
    let wrong = if options.alone {
        verify_alone(&plan)
    } else {
        if library_digest(&texts) != plan.hashes.library {
            return Err(
                format!("`{shown}` was compiled with another library: plan again, or check it with `--alone`").into()
            );
        }
        match &options.source {
            None => {
                let checked = check_tree(&texts, File::default(), &mut Diagnostics::default());
                verify_against(&plan, &checked.library)
            }
            Some(path) => {
                let source = Source { file: path.clone(), library: options.library.clone(), format: Format::Text };
                let mut wrong = against_source(&plan, &source)?;
                if !options.slo.is_empty() && options.slo != plan.beside {
                    wrong.push(format!("it was made with {}", beside(&plan)));
                }
                if options.proof.is_some() && !plan.beside.is_empty() {
                    wrong.push(format!("a proof is of the job as it stands, and it was made with {}", beside(&plan)));
                }
                // A proof is about the problem of the same job: another version has nothing to say.
                if let (Some(path), true) = (&options.proof, wrong.is_empty()) {
                    wrong.extend(super::proof::verify(&plan, &source, path)?);
                }
                wrong
            }
        }
    };
    match wrong.as_slice() {
        [] => {
            let against = match (&options.source, options.alone) {
                (_, true) => "by itself",
                (None, false) => "against the library; `--source FILE` also compares them with the job's",
                (Some(_), false) if options.proof.is_some() => {
                    "against the library and the job, and proved to be the best"
                }
                (Some(_), false) => {
                    "against the library and the job; `--proof FILE` also checks that nothing is better"
                }
            };
            // Such a line may loosen what the job says.
            let with = match plan.beside.as_slice() {
                [] => String::new(),
                _ => format!(", with {} in place of the job's own", beside(&plan)),
            };
            print(&format!(
                "{shown}: {} and {} verified {against}{with}\n",
                counted(plan.steps.len(), "step"),
                counted(plan.clauses.len(), "clause")
            ));
            Ok(())
        }
        wrong => Err(format!("`{shown}` does not hold:\n  {}", wrong.join("\n  ")).into()),
    }
}

/// The lines that a plan was made with beside the job's.
pub fn beside(plan: &Plan) -> String {
    let lines: Vec<String> = plan.beside.iter().map(|line| format!("`--slo \"{line}\"`")).collect();
    if lines.is_empty() { "no `--slo`".to_string() } else { lines.join(" and ") }
}

/// Checks a proof that there is no plan.
fn no_plan(options: &VerifyOptions) -> Result<(), Failure> {
    let (Some(file), Some(proof)) = (&options.source, &options.proof) else {
        return Err(Failure::Usage("without a plan, `--source FILE` and `--proof FILE` are needed".to_string()));
    };
    let source = Source { file: file.clone(), library: options.library.clone(), format: Format::Text };
    print(&super::proof::verify_clash(&source, proof)?);
    Ok(())
}

/// Checks a plan against the job that it was made from: its digests, every figure, every clause, rule and pin.
pub fn against_source(plan: &Plan, source: &Source) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::new();
    // Another job's file has nothing to say of the plan, its open holes included.
    let mut filled = filled_after(source, Open::Refused, &|program| {
        let (shown, plan) = (source.file.display(), &plan.job);
        let jobs: Vec<String> = program.jobs.iter().map(|job| format!("`{}`", job.name)).collect();
        match program.jobs.iter().any(|job| job.name == *plan) {
            true => Ok(()),
            false if jobs.is_empty() => {
                Err(format!("the plan is for the job `{plan}`, and `{shown}` has no job").into())
            }
            false => Err(format!("the plan is for the job `{plan}`, and `{shown}` has {}", jobs.join(", ")).into()),
        }
    })?;
    if digest([filled.texts.sources.get(filled.file).text.as_str()]) != plan.hashes.source {
        wrong.push(format!(
            "it was made from another file than `{}`, or from an earlier version: plan again",
            source.file.display()
        ));
    }
    if library_digest(&filled.texts) != plan.hashes.library {
        wrong.push("it was compiled with another library: plan again".to_string());
    }
    if filled.lock.as_ref().map(|text| digest([text.as_str()])) != plan.hashes.lock {
        wrong.push(format!("the lock file of `{}` has changed since: plan again", source.file.display()));
    }
    if !wrong.is_empty() {
        return Ok(wrong);
    }
    if select(&filled.checked.program, Some(&plan.job)).is_ok() {
        // These lines are the plan's.
        change_job(source, &plan.job, &plan.beside, &mut filled).map_err(Failure::of_file)?;
    }
    let checked = &filled.checked;
    match select(&checked.program, Some(&plan.job)) {
        Err(why) => wrong.push(why),
        Ok(job) => {
            wrong.extend(verify_against(plan, &checked.library));
            wrong.extend(audit(plan, job, &checked.program, &checked.library));
        }
    }
    Ok(wrong)
}
