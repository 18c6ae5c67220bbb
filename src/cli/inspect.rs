//! `mkbc library`, `mkbc schema`

use super::args::{Format, LibraryOptions, Schema, SchemaOptions};
use super::here::usable_here;
use super::load::{library as load_library, show};
use super::{Failure, print, width};
use crate::ask::answer::schema as answer_schema;
use crate::compile::check_tree;
use crate::diag::Diagnostics;
use crate::fleet::model::schema as joint_schema;
use crate::plan::render::table;
use crate::plan::schema::schema as plan_schema;
use crate::syntax::ast::File;
use serde_json::json;

/// Lists tasks and what implements them.
pub fn library(options: &LibraryOptions) -> Result<(), Failure> {
    let texts = load_library(&options.library)?;
    let mut cx = Diagnostics::default();
    let library = check_tree(&texts, File::default(), &mut cx).library;
    if cx.has_errors() {
        show(&cx, &texts, Format::Text);
        return Err(Failure::Said);
    }
    if options.json {
        let tasks: Vec<_> = library
            .tasks
            .values()
            .map(|t| {
                let entries: Vec<_> = library
                    .implementing(&t.name)
                    .map(|i| {
                        let knobs: serde_json::Map<String, serde_json::Value> =
                            i.knobs.iter().map(|(n, v)| (n.to_string(), json!(v.iter().map(|v| v.as_str()).collect::<Vec<_>>()))).collect();
                        json!({"name": i.name.as_str(), "docs": i.docs.as_str(), "knobs": knobs, "label": i.label.as_deref(),
                               "license": i.license.as_deref(), "open": i.open, "usable_here": usable_here(i).err()})
                    })
                    .collect();
                let params: Vec<_> = t.params.iter().map(|(n, ty)| json!({"name": n.as_str(), "type": ty.to_string()})).collect();
                json!({"name": t.name.as_str(), "module": t.module.as_str(), "docs": t.docs.as_str(), "params": params,
                       "result": t.result.to_string(), "implementations": entries})
            })
            .collect();
        print(&format!("{:#}\n", json!(tasks)));
        return Ok(());
    }
    for task in library.tasks.values() {
        let params: Vec<String> = task.params.iter().map(|(n, t)| format!("{n}: {t}")).collect();
        let module = if task.module.is_empty() { String::new() } else { format!("  (use {})", task.module) };
        print(&format!(
            "{}({}) -> {}{module}\n  {}\n",
            task.name,
            params.join(", "),
            task.result,
            task.docs.replace("\n", "\n  ")
        ));
        let mut rows = table(width(), &["carried out by", "knobs", "on", "here"]);
        for entry in library.implementing(&task.name) {
            let knobs: Vec<String> = entry.knobs.iter().map(|(n, v)| format!("{n}: {}", v.join(" "))).collect();
            let hardware: Vec<String> = entry
                .hardware
                .iter()
                .map(|h| {
                    let units: Vec<String> = h.units.iter().filter(|u| **u > 0).map(u32::to_string).collect();
                    if units.is_empty() { h.device.to_string() } else { format!("{} * {}", h.device, units.join("/")) }
                })
                .collect();
            let here = usable_here(entry).err().unwrap_or_else(|| "yes".to_string());
            rows.add_row(vec![entry.name.to_string(), knobs.join("; "), hardware.join(", "), here]);
        }
        print(&format!("{rows}\n\n"));
    }
    let clusters: Vec<&str> = library.clusters.keys().map(|k| k.as_str()).collect();
    print(&format!("clusters: {}, here\n", clusters.join(", ")));
    Ok(())
}

/// Prints the schema of plans or of answers.
pub fn schema(options: &SchemaOptions) -> Result<(), Failure> {
    let schema = match options.of {
        Schema::Plan => plan_schema(),
        Schema::Joint => joint_schema(),
        Schema::Answer => answer_schema(),
    };
    print(&format!("{schema:#}\n"));
    Ok(())
}
