//! `mkbc bench ray`: what a node of a run takes whose calls a Ray cluster carries out.

use crate::bench::runtime::{Kind, PYTHON, Shape, Store, runtime, timed};
use crate::cli::run::program;
use crate::cli::{Failure, print};
use crate::ray::Ray;
use clap::Args;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde_json::json;
use std::time::Instant;

#[derive(Args)]
pub struct RayOptions {
    /// The cluster: the address of its dashboard
    #[arg(long, default_value = "ray://127.0.0.1:8265", value_name = "ADDRESS")]
    pub at: String,
    /// Nodes of a run
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub nodes: u32,
    /// Runs of each kind, of which the median is shown
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Measures, and shows milliseconds a node: with the journal, once workers are there.
pub fn ray(options: &RayOptions) -> Result<(), Failure> {
    let runtime = runtime()?;
    let folder = || tempfile::tempdir_in(".").map_err(|e| format!("cannot make a folder here: {e}"));
    let modules = folder()?;
    std::fs::write(modules.path().join(PYTHON.0), PYTHON.1).map_err(|e| format!("cannot write the module: {e}"))?;
    let env = |name: &str| std::env::var(name).ok();
    let ray = Ray::at(&options.at, &program()?, vec![modules.path().to_path_buf()], &env)?;
    let mut rows = Vec::new();
    let mut failed = None;
    'all: for kind in [Kind::Python, Kind::Process] {
        for shape in [Shape::Fan, Shape::Chain] {
            let mut times = Vec::new();
            let begun = Instant::now();
            for run in 0..=options.repeat {
                let folder = folder()?;
                // The first one starts workers.
                let of = (shape, kind, Store::Normal);
                match timed(of, options.nodes, folder.path(), (&runtime, Some(&ray))) {
                    Ok(_) if run == 0 => {}
                    Ok(took) => times.push(took.as_secs_f64() * 1e3 / f64::from(options.nodes)),
                    Err(why) => {
                        failed = Some(why);
                        break 'all;
                    }
                }
            }
            times.sort_by(f64::total_cmp);
            rows.push((shape, kind, times, begun.elapsed().as_secs_f64()));
        }
    }
    runtime.block_on(ray.stop());
    if let Some(why) = failed {
        return Err(why.into());
    }
    let word = |text: String| text.to_lowercase();
    if options.json {
        let rows = rows.iter().map(|(shape, kind, times, all_s)| {
            json!({
                "shape": word(format!("{shape:?}")), "kind": word(format!("{kind:?}")), "nodes": options.nodes,
                "ms": times[times.len() / 2], "ms_least": times[0], "ms_most": times[times.len() - 1], "all_s": all_s,
            })
        });
        print(&format!("{:#}\n", serde_json::Value::from_iter(rows)));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["shape", "node", "ms a node", "least", "most"]);
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (shape, kind, times, _) in rows {
        let figure = |ms: f64| format!("{ms:.3}");
        let (median, least, most) = (times[times.len() / 2], times[0], times[times.len() - 1]);
        let words = [word(format!("{shape:?}")), word(format!("{kind:?}"))];
        table.add_row(words.into_iter().chain([median, least, most].map(figure)));
    }
    print(&format!("{} nodes a run, medians of {} runs\n{}\n", options.nodes, options.repeat, table.trim_fmt()));
    Ok(())
}
