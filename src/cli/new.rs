//! `mkbc new`

use super::load::write;
use super::{Failure, note};
use crate::syntax::token::Token;
use clap::{Args, ValueEnum};
use logos::Logos;
use std::path::PathBuf;

#[derive(Args)]
pub struct NewOptions {
    /// The job's name; the file is NAME.mkb
    pub name: String,
    /// What the job does to begin with
    #[arg(long, value_enum, default_value_t = Template::Goal)]
    pub template: Template,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// A goal, videos, one limit; the compiler finds the steps
    Goal,
    /// A question to each video, the data flow written down
    Video,
    /// A question to a scanned document
    Document,
    /// A question to a long text: passages, search, rerank
    Retrieval,
    /// Open a page, follow a link, answer
    Web,
    /// Write code until its tests pass
    Code,
}

impl Template {
    /// The example that it is, and the name of its job.
    fn text(self) -> (&'static str, &'static str) {
        match self {
            Template::Goal => (include_str!("../../examples/road_trip.mkb"), "road_trip"),
            Template::Video => (include_str!("../../examples/video_qa.mkb"), "video_qa"),
            Template::Document => (include_str!("../../examples/document_qa.mkb"), "document_qa"),
            Template::Retrieval => (include_str!("../../examples/retrieval_qa.mkb"), "retrieval_qa"),
            Template::Web => (include_str!("../../examples/web_qa.mkb"), "web_qa"),
            Template::Code => (include_str!("../../examples/code_generation.mkb"), "code_generation"),
        }
    }
}

/// Writes a job from a template; a file that is there stays as it is.
pub fn new(options: &NewOptions) -> Result<(), Failure> {
    let name = options.name.as_str();
    let mut words = Token::lexer(name).spanned();
    let whole = words.next() == Some((Ok(Token::Ident), 0..name.len()));
    if !whole {
        let why = "a job's name is a word of letters, digits and `_` that the language does not keep for itself";
        return Err(Failure::Usage(format!("`{name}` cannot name a job: {why}")));
    }
    let path = PathBuf::from(format!("{name}.mkb"));
    if path.exists() {
        return Err(format!("`{}` is there already; choose another name", path.display()).into());
    }
    let (text, old) = options.template.text();
    write(&path, &text.replacen(&format!("job {old}("), &format!("job {name}("), 1))?;
    note(&format!("wrote {0}: mkbc check {0}, then mkbc plan {0}", path.display()));
    Ok(())
}
