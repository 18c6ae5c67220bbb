//! `mkbc bench recovery`: files with one random edit each, read and counted.

use crate::bench::recovery::{Sum, measure};
use crate::cli::load::{read, sources};
use crate::cli::{Failure, print, width};
use crate::library::embedded;
use crate::plan::render::table;
use clap::Args;
use comfy_table::CellAlignment;
use std::path::PathBuf;

#[derive(Args)]
pub struct RecoveryOptions {
    /// Files, and folders with .mkb files at any depth [default: the library]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How many edited files are read
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub edits: usize,
    /// The seed of the edits
    #[arg(long, default_value_t = 20_260, value_name = "N")]
    pub seed: u64,
}

/// Measures recovery.
pub fn recovery(options: &RecoveryOptions) -> Result<(), Failure> {
    let texts: Vec<String> = match options.files.as_slice() {
        [] => embedded::modules().into_iter().map(|(_, text)| text.to_string()).collect(),
        files => sources(files)?.iter().map(|path| read(path)).collect::<Result<_, _>>()?,
    };
    let (sums, total) = measure(&texts, options.edits, options.seed, &mut |_| {});
    let mut rows = table(width(), &["edit", "files", "kept", "kept as it was", "diagnostics a file", "most"]);
    let mut row = |name: &str, sum: &Sum| {
        rows.add_row([
            name.to_string(),
            sum.files.to_string(),
            format!("{:.2} %", 100.0 * sum.share()),
            format!("{:.2} %", 100.0 * sum.unchanged()),
            format!("{:.2}", sum.mean()),
            sum.most.to_string(),
        ]);
    };
    sums.iter().for_each(|(kind, sum)| row(kind, sum));
    row("all", &total);
    for at in 1..6 {
        if let Some(column) = rows.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    print(&format!("{} sources, {} statements each read again after an edit\n{rows}\n", texts.len(), total.all));
    Ok(())
}
