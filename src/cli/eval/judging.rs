//! The options → who scores answers that no metric can: a program, or the plan of a judge.

use super::super::Failure;
use super::configurations::{Which, configurations};
use super::{EvalOptions, calling, with_prepared};
use crate::check::select;
use crate::eval::judge::{self, Judge};
use crate::eval::metric::Metric;
use crate::plan::model::Plan;
use crate::space::sizes::InputSizes;
use crate::types::Type;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who scores, where somebody is asked to.
pub fn judging(options: &EvalOptions, metric: &Metric) -> Result<Option<Judge>, Failure> {
    if *metric == Metric::Process {
        let timeout = Duration::from_secs_f64(options.scorer_timeout);
        return Ok(Some(Judge::Process { argv: options.scorer.clone(), timeout }));
    }
    let subject = match (&options.judge, &options.judge_model) {
        (Some(task), _) => calling(task, &options.library, &[])?,
        (None, Some(model)) => {
            let text = judge::module(model, &options.judge_url, &options.judge_key).map_err(Failure::Usage)?;
            calling(judge::JUDGE, &options.library, &[(judge::JUDGE, text)])?
        }
        (None, None) => return Ok(None),
    };
    let job = select(&subject.checked.program, None).map_err(Failure::Message)?;
    let params = job.params.iter().map(|p| job.local(*p));
    let wrong = params.clone().find(|l| !matches!(&l.ty, Type::Text) && !matches!(&l.ty, Type::Optional(_)));
    if let Some(local) = wrong {
        let ty = &local.ty;
        return Err(Failure::Usage(format!("a judge takes texts, and its `{}` is of type {ty}", local.name)));
    }
    if !params.clone().any(|l| l.name == "answer") {
        return Err(Failure::Usage("a judge takes the `answer`, and this task does not".into()));
    }
    // Its texts are as long as they are; the plan's figures are not looked at.
    let size = |name: &ecow::EcoString| (name.clone(), BTreeMap::from([("tokens".into(), Decimal::from(100))]));
    let sizes: InputSizes = params.map(|l| size(&l.name)).collect();
    let plan = with_prepared(&subject, None, &sizes, |prepared, limits| {
        configurations(prepared, Which::Best, &[], 1, "judge", limits)
    })?;
    let plan: Option<Plan> = plan.into_iter().next().map(|c| c.plan);
    Ok(plan.map(|plan| Judge::Model(Box::new(plan))))
}
