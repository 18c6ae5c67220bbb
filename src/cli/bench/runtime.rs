//! `mkbc bench runtime`: what the runtime takes for nodes that do nothing.

use crate::bench::runtime::{Kind, Shape, Store, measure, peak};
use crate::cli::{Failure, print};
use clap::{Args, ValueEnum};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde_json::json;

#[derive(Args)]
pub struct RuntimeOptions {
    /// Nodes of a run
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub nodes: u32,
    /// Runs of each kind, of which the median is shown
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Only this shape
    #[arg(long, value_enum)]
    pub shape: Option<ShapeName>,
    /// Only this kind of node
    #[arg(long, value_enum)]
    pub kind: Option<KindName>,
    /// Only this way of recording
    #[arg(long, value_enum)]
    pub store: Option<StoreName>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShapeName {
    /// Each node waits for the one before
    Chain,
    /// No node waits for another
    Fan,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindName {
    /// An operation of the language
    Compute,
    /// A call of a step
    Step,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreName {
    /// Nothing is recorded
    Memory,
    /// The journal, as of a step without cost
    Normal,
    /// The journal, on the disk before it counts
    Full,
}

/// Measures, and shows microseconds a node.
pub fn runtime(options: &RuntimeOptions) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for (shape, shape_name) in [(Shape::Chain, ShapeName::Chain), (Shape::Fan, ShapeName::Fan)] {
        for (kind, kind_name) in [(Kind::Compute, KindName::Compute), (Kind::Step, KindName::Step)] {
            for (store, store_name) in
                [(Store::Memory, StoreName::Memory), (Store::Normal, StoreName::Normal), (Store::Full, StoreName::Full)]
            {
                let wanted = options.shape.is_none_or(|s| s == shape_name)
                    && options.kind.is_none_or(|k| k == kind_name)
                    && options.store.is_none_or(|s| s == store_name);
                // An operation is not recorded: the journal makes no difference to it.
                if !wanted || kind == Kind::Compute && store != Store::Memory {
                    continue;
                }
                let mut times = Vec::new();
                for _ in 0..options.repeat {
                    let folder = tempfile::tempdir_in(".").map_err(|e| format!("cannot make a folder here: {e}"))?;
                    let took = measure(shape, kind, store, options.nodes, folder.path())?;
                    times.push(took.as_secs_f64() * 1e6 / f64::from(options.nodes));
                }
                times.sort_by(f64::total_cmp);
                let median = times[times.len() / 2];
                rows.push((shape, kind, store, median, times[0], times[times.len() - 1], peak()));
            }
        }
    }
    let word = |text: String| text.to_lowercase();
    if options.json {
        let row = |(shape, kind, store, median, least, most, peak): &(
            Shape,
            Kind,
            Store,
            f64,
            f64,
            f64,
            Option<u64>,
        )| {
            json!({
                "shape": word(format!("{shape:?}")), "kind": word(format!("{kind:?}")), "store": word(format!("{store:?}")),
                "nodes": options.nodes, "us": median, "us_least": least, "us_most": most, "peak_bytes": peak,
            })
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        print(&format!("{:#}\n", serde_json::Value::from(rows)));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["shape", "node", "recorded", "us a node", "least", "most", "peak MiB so far"]);
    for column in 3..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (shape, kind, store, median, least, most, peak) in rows {
        table.add_row([
            word(format!("{shape:?}")),
            word(format!("{kind:?}")),
            word(format!("{store:?}")),
            format!("{median:.2}"),
            format!("{least:.2}"),
            format!("{most:.2}"),
            peak.map_or_else(|| "-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / f64::from(1 << 20))),
        ]);
    }
    print(&format!("{} nodes a run, medians of {} runs\n{}\n", options.nodes, options.repeat, table.trim_fmt()));
    Ok(())
}
