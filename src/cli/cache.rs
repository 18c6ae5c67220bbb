//! `mkbc cache`, and how a run uses results of other runs.

use super::{Failure, print};
use crate::run::cache::{Cache, MOST, Policy};
use crate::run::fault::printable;
use crate::run::journal::PROJECT;
use crate::units::counted;
use clap::{Args, Subcommand};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use jiff::Timestamp;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Whose results a run takes over.
#[derive(Args)]
pub struct Reuse {
    /// Take over and keep results of all models and tools, not only of the standard library's programs and of calls with `cache on`
    #[arg(long, conflicts_with = "no_cache")]
    pub cache: bool,
    /// Take over no result of another run, and keep none
    #[arg(long)]
    pub no_cache: bool,
}

impl Reuse {
    /// The project's cache, as far as it is to be used.
    pub fn open(&self) -> Option<Cache> {
        let policy = if self.cache { Policy::All } else { Policy::Usual };
        (!self.no_cache).then(|| Cache::of(Path::new(PROJECT), policy))
    }
}

#[derive(Subcommand)]
pub enum CacheCommand {
    /// List the results that are kept, the least recently used first
    List(ListOptions),
    /// Remove results: damaged ones, and the least recently used beyond a size
    Gc(GcOptions),
}

#[derive(Args)]
pub struct ListOptions {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct GcOptions {
    /// Megabytes that may stay
    #[arg(long, default_value_t = MOST >> 20, value_name = "MB")]
    pub most: u64,
    /// Remove also what nobody used for so many days
    #[arg(long, value_name = "DAYS")]
    pub unused: Option<u32>,
}

/// Lists or removes results of runs.
pub fn cache(what: &CacheCommand) -> Result<(), Failure> {
    let cache = Cache::of(Path::new(PROJECT), Policy::Usual);
    match what {
        CacheCommand::List(options) => list(&cache, options),
        CacheCommand::Gc(options) => {
            let unused = options.unused.map(|days| Duration::from_secs(u64::from(days) * 86_400));
            let (gone, bytes) = cache.collect(options.most.saturating_mul(1 << 20), unused, SystemTime::now());
            print(&format!("{} removed, {bytes} bytes\n", counted(gone, "result")));
        }
    }
    Ok(())
}

fn list(cache: &Cache, options: &ListOptions) {
    let all = cache.list();
    let used = |at: SystemTime| Timestamp::try_from(at).map_or_else(|_| "-".to_owned(), |at| format!("{at:.0}"));
    let made = |at: Option<SystemTime>| at.map_or_else(|| "-".to_owned(), used);
    if options.json {
        let rows = all.iter().map(|e| {
            json!({"key": e.key, "task": e.task, "implementation": e.implementation, "bytes": e.bytes, "made": made(e.made), "used": used(e.used)})
        });
        print(&format!("{:#}\n", serde_json::Value::Array(rows.collect())));
        return;
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["key", "task", "by", "bytes", "made", "used last"]);
    for entry in &all {
        let text = |part: &Option<String>| part.as_deref().map_or_else(|| "(damaged)".to_owned(), printable);
        let key = entry.key.chars().take(12).collect::<String>();
        table.add_row([
            key,
            text(&entry.task),
            text(&entry.implementation),
            entry.bytes.to_string(),
            made(entry.made),
            used(entry.used),
        ]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let total: u64 = all.iter().map(|e| e.bytes).sum();
    print(&format!("{}\n{}, {total} bytes\n", table.trim_fmt(), counted(all.len(), "result")));
}
