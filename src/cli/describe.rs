//! `mkbc describe`

use super::load::{library as load_library, show};
use super::{Failure, print};
use crate::compile::check_tree;
use crate::diag::{Diagnostics, codes};
use crate::doc::document;
use crate::syntax::ast::File;
use crate::units::UNITS;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// The language on a page, for people and for programs that write it.
const LANGUAGE: &str = include_str!("../../docs/language.md");

#[derive(Args)]
pub struct DescribeOptions {
    /// A folder to add to the library (repeatable)
    #[arg(long, value_name = "DIR")]
    pub library: Vec<PathBuf>,
    /// One JSON document: the language, its units, the library with all knobs and figures, every code
    #[arg(long)]
    pub json: bool,
}

/// Prints what somebody must know who writes a job: as a page, or with the whole library as JSON.
pub fn describe(options: &DescribeOptions) -> Result<(), Failure> {
    let texts = load_library(&options.library)?;
    let mut cx = Diagnostics::default();
    let library = check_tree(&texts, File::default(), &mut cx).library;
    if cx.has_errors() {
        show(&cx, &texts, super::args::Format::Text);
        return Err(Failure::Said);
    }
    if !options.json {
        print(LANGUAGE);
        return Ok(());
    }
    let units: Vec<_> = UNITS.iter().map(|u| json!({"unit": u.name, "meaning": u.meaning})).collect();
    let codes: Vec<_> = codes::PAGES
        .iter()
        .map(|(code, page)| json!({"code": code, "title": codes::title(page), "page": page}))
        .collect();
    let all = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "language": LANGUAGE,
        "units": units,
        "library": document(&library),
        "codes": codes,
    });
    print(&format!("{all:#}\n"));
    Ok(())
}
