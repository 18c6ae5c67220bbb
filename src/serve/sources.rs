//! A plan that the server made ↔ the source that it was made of: what can be planned again with other limits. Runs that came as plans have
//! none. Each tenant's are its own; one that is lost costs the pages a view, and nothing else.

use super::planning::Order;
use crate::run::fault::Fault;
use crate::run::store;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The file of a plan's source, in the service's folder.
fn file(service: &Path, tenant: &str, plan: &str) -> PathBuf {
    service.join("tenants").join(tenant).join("sources").join(format!("{plan}.json"))
}

/// Keeps the source of a plan, under the plan's digest.
pub fn keep(service: &Path, tenant: &str, plan: &str, order: &Order) -> Result<(), Fault> {
    let path = file(service, tenant, plan);
    if path.exists() {
        return Ok(());
    }
    store::folder(path.parent().unwrap_or(service))?;
    let Order { source, file, job, lock, slo, robust, .. } = order;
    let kept = json!({"source": source, "file": file, "job": job, "lock": lock, "slo": slo, "robust": robust});
    store::write(&path, kept.to_string().as_bytes())
}

/// The source of a plan, if it is kept.
pub fn of(service: &Path, tenant: &str, plan: &str) -> Option<Order> {
    let kept: Value = serde_json::from_slice(&std::fs::read(file(service, tenant, plan)).ok()?).ok()?;
    let text = |name: &str| kept[name].as_str().map(str::to_owned);
    let (source, robust) = (text("source")?, kept["robust"] == true);
    let lines = kept["slo"].as_array().into_iter().flatten();
    let slo = lines.filter_map(Value::as_str).map(str::to_owned).collect();
    Some(Order { source, file: text("file"), job: text("job"), lock: text("lock"), slo, robust, time_limit_s: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_by_its_plan_and_its_tenant() {
        let folder = tempfile::tempdir().expect("a folder");
        let slo = vec!["cost <= 1 usd".to_owned()];
        let order = Order { source: "job j".into(), job: Some("j".into()), slo, robust: true, ..Order::default() };
        keep(folder.path(), "a", "digest", &order).expect("kept");
        let found = of(folder.path(), "a", "digest").expect("there");
        assert_eq!((found.source.as_str(), found.job.as_deref(), found.robust), ("job j", Some("j"), true));
        assert_eq!(found.slo, order.slo);
        assert!(of(folder.path(), "b", "digest").is_none());
        assert!(of(folder.path(), "a", "other").is_none());
    }
}
