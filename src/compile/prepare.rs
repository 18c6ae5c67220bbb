//! Checked job + machines → everything that can be asked of it before the solver is: data flow, sizes, space, digests.

use super::{Checked, Target, Texts, library_digest};
use crate::check::program::Job;
use crate::check::select;
use crate::diag::Diagnostics;
use crate::diag::source::FileId;
use crate::digest::digest;
use crate::ir::lower::lower;
use crate::ir::stream::Role;
use crate::ir::workflow::Workflow;
use crate::library::Library;
use crate::plan::model::Hashes;
use crate::space::ends::End;
use crate::space::sizes::{InputSizes, settle};
use crate::space::{self, Machines, Space, Usable, limits, quality, reporters};

/// A file that is checked, with its holes filled.
#[derive(Clone, Copy)]
pub struct Compiled<'a> {
    /// Every text that went in.
    pub texts: &'a Texts,
    /// The job's file.
    pub file: FileId,
    /// What it means.
    pub checked: &'a Checked,
    /// The text of its lock file, where holes were filled.
    pub lock: Option<&'a str>,
}

/// A job on its machines, ready to be decided; many questions may be asked of one.
#[derive(Clone)]
pub struct Prepared<'a> {
    /// Where it comes from.
    pub compiled: Compiled<'a>,
    /// The library that its figures are from.
    pub library: &'a Library,
    /// The machines.
    pub machines: &'a Machines,
    /// What can be used.
    pub usable: &'a Usable<'a>,
    /// The job, as it is to be decided.
    pub job: Job,
    /// Its data flow.
    pub workflow: Workflow,
    /// The sizes of its inputs.
    pub sizes: InputSizes,
    /// Where in their intervals figures are taken.
    pub end: End,
    /// Candidates with figures.
    pub space: Space,
    /// Digests of what went in.
    pub hashes: Hashes,
}

impl<'a> Prepared<'a> {
    /// The same job with one option of each step settled.
    pub fn narrowed(&self, choice: &[usize]) -> Prepared<'a> {
        Prepared {
            job: self.job.clone(),
            workflow: self.workflow.clone(),
            sizes: self.sizes.clone(),
            space: self.space.narrowed(choice),
            hashes: self.hashes.clone(),
            ..*self
        }
    }

    /// The same job where qualities are compared, though it says nothing of them; `None` where it does.
    pub fn comparing(&self) -> Option<Prepared<'a>> {
        if reporters::compares(&self.job) {
            return None;
        }
        let mut prepared = self.clone();
        reporters::restrict(&mut prepared.space, &self.job, &self.workflow, self.library);
        Some(prepared)
    }
}

/// Prepares the job that a target names.
pub fn prepare<'a>(compiled: Compiled<'a>, target: &Target<'a>, cx: &mut Diagnostics) -> Result<Prepared<'a>, String> {
    let job = select(&compiled.checked.program, target.job)?;
    prepare_job(compiled, job.clone(), target, cx)
}

/// Prepares a job that may differ from the file's in its clauses, wishes, rules and expectations, not in its data flow.
pub fn prepare_job<'a>(
    compiled: Compiled<'a>,
    mut job: Job,
    target: &Target<'a>,
    cx: &mut Diagnostics,
) -> Result<Prepared<'a>, String> {
    if cx.has_errors() {
        return Err(nothing());
    }
    let Compiled { texts, file, checked, lock } = compiled;
    let workflow = lower(&job, &checked.program)
        .ok_or_else(|| format!("`{}` still has holes: `mkbc expand` fills them", job.name))?;
    let sizes = settle(&job, target.measured, cx);
    limits::settle(&mut job, &workflow, &checked.library, &sizes, cx);
    let hashes = Hashes {
        source: digest([texts.sources.get(file).text.as_str()]),
        library: library_digest(texts),
        lock: lock.map(|l| digest([l])),
    };
    let (library, machines, usable) = (&checked.library, target.machines, target.usable);
    let (end, rate) = (target.end, job.rate_per_s());
    let (rule, parts) = (job.quality_rule.form(), None);
    let input = space::Input {
        workflow: &workflow,
        library,
        machines,
        sizes: &sizes,
        usable,
        end,
        rate,
        rule,
        parts,
        only: None,
    };
    let mut space = space::build(&input, cx);
    quality::restrict(&mut space, &job.quality_rule, job.span, cx);
    if reporters::compares(&job) {
        reporters::restrict(&mut space, &job, &workflow, library);
    }
    if cx.has_errors() {
        return Err(nothing());
    }
    of_tokens(&job, &workflow, &space, cx);
    Ok(Prepared { compiled, library, machines, usable, job, workflow, sizes, end, space, hashes })
}

/// Warns of lines about tokens where nothing gives the result token by token.
fn of_tokens(job: &Job, workflow: &Workflow, space: &Space, cx: &mut Diagnostics) {
    if space.steps.iter().flat_map(|s| &s.options).any(|o| o.figures.streamed.is_some()) {
        return;
    }
    let gives = |step: usize| matches!(space.terms.role(step), Role::Gives { .. });
    let named = (0..space.steps.len()).filter(|s| gives(*s)).map(|s| format!("`{}`", workflow.steps[s].name));
    let named: Vec<String> = named.collect();
    let what = match named.as_slice() {
        [] => "no step's text is the result as it is".to_string(),
        named => format!("nothing that can carry out {} has a time for each token", named.join(", ")),
    };
    let limits = job.clauses.iter().chain(&job.preferred).map(|c| (c.metric, c.span));
    for (metric, span) in limits.chain(job.wishes.iter().map(|w| (w.metric, w.span))).filter(|(m, _)| m.of_tokens()) {
        cx.push(space::errors::no_tokens(span, metric, &what));
    }
}

/// What a command says when diagnostics have said the rest.
pub(super) fn nothing() -> String {
    "no plan was made".to_string()
}
