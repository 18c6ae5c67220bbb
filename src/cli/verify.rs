//! `mkbc verify`

use super::args::VerifyOptions;
use super::load::{library, read};
use super::plan::read_plan;
use super::{Failure, print};
use crate::compile::{check_tree, library_digest};
use crate::diag::Diagnostics;
use crate::plan::model::Plan;
use crate::plan::verify::{verify as verify_alone, verify_against};
use crate::syntax::ast::File;
use crate::syntax::parse::parse;

/// Checks a plan, without the solver.
pub fn verify(options: &VerifyOptions) -> Result<(), Failure> {
    let plan = read_plan(&options.plan)?;
    let shown = options.plan.display();
    let mut texts = library(&options.library)?;
    let wrong = if options.alone {
        verify_alone(&plan)
    } else {
        if library_digest(&texts) != plan.hashes.library {
            return Err(
                format!("`{shown}` was compiled with another library: plan again, or check it with `--alone`").into()
            );
        }
        let tree = match &options.source {
            None => File::default(),
            Some(path) => {
                let file = texts.sources.add(path.display().to_string(), read(path)?);
                parse(file, &texts.sources, &mut Diagnostics::default())
            }
        };
        let checked = check_tree(&texts, tree, &mut Diagnostics::default());
        verify_against(&plan, &checked.library, tail(&plan))
    };
    match wrong.as_slice() {
        [] => {
            let against = if options.alone { "by itself" } else { "against the library" };
            print(&format!(
                "{shown}: {} steps and {} clauses verified {against}\n",
                plan.steps.len(),
                plan.clauses.len()
            ));
            Ok(())
        }
        wrong => Err(format!("`{shown}` does not hold:\n  {}", wrong.join("\n  ")).into()),
    }
}

/// Whether a plan's latency is the upper end of its figures' intervals.
pub fn tail(plan: &Plan) -> bool {
    plan.clauses.iter().any(|c| c.metric == "latency" && (c.text.contains(".p95") || c.text.contains(".p99")))
}
