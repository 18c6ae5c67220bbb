//! `mkbc journal`

use super::resume::find;
use super::run::journal as open;
use super::{Failure, print};
use crate::run::journal::{Journal, Run};
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand)]
pub enum JournalCommand {
    /// Check every record, every checksum and every kept value; says what is damaged and what that loses
    Verify,
    /// Print a run and its records, one JSON object a line
    Export {
        /// The run's number
        run: u64,
    },
}

/// Checks the journal, or exports from it.
pub fn journal(what: &JournalCommand) -> Result<(), Failure> {
    let journal = open()?;
    match what {
        JournalCommand::Export { run } => export(&journal, &find(&journal, *run)?),
        JournalCommand::Verify => {
            let found = journal.verify();
            let looked = format!("{} runs, {} records and {} values checked", found.runs, found.records, found.values);
            if found.wrong.is_empty() {
                print(&format!("the journal is whole: {looked}\n"));
                return Ok(());
            }
            let lines: Vec<String> = found.wrong.iter().map(|w| format!("\n  {w}")).collect();
            Err(format!("the journal is damaged ({looked}):{}", lines.concat()).into())
        }
    }
}

/// Prints a run as JSON lines: what it is of, then its records.
pub fn export(journal: &Journal, run: &Run) -> Result<(), Failure> {
    let records = journal.records(run.id)?;
    let mut text = format!("{}\n", json!({ "run": run.id, "info": run.info, "folder": journal.folder(run) }));
    for (n, record) in records.iter().enumerate() {
        text.push_str(&format!("{}\n", json!({ "n": n, "record": record })));
    }
    print(&text);
    Ok(())
}
