//! A plan's devices -> permits, so that steps that run at the same time never hold more than there is.

use super::fault::Fault;
use crate::plan::model::{ClusterSpec, Hardware};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The devices of a run.
#[derive(Debug)]
pub struct Pools(BTreeMap<String, (Arc<Semaphore>, u32)>);

impl Pools {
    /// The pools of a cluster; `api_calls` bounds the calls to providers at one time. Cores are those of this machine at most: a
    /// plan for a larger one must not oversubscribe it.
    pub fn new(cluster: &ClusterSpec, cores: u32, api_calls: u32) -> Pools {
        let mut units: BTreeMap<String, u32> =
            cluster.pools.iter().map(|(name, pool)| (name.clone(), pool.units)).collect();
        let cpu = units.entry("cpu".to_owned()).or_insert(cores);
        *cpu = (*cpu).min(cores);
        units.insert("api".to_owned(), api_calls);
        let pool = |n: u32| (Arc::new(Semaphore::new(n.max(1) as usize)), n.max(1));
        Pools(units.into_iter().map(|(name, n)| (name, pool(n))).collect())
    }

    /// Waits for a step's devices; they are free again when the permit is dropped. First come, first served, so that a step that
    /// needs many is not starved by those that need few.
    pub async fn hold(&self, hardware: &Hardware) -> Result<OwnedSemaphorePermit, Fault> {
        let unknown = || Fault::plan(format!("the plan's cluster has no `{}`", hardware.device));
        let (pool, size) = self.0.get(&hardware.device).ok_or_else(unknown)?;
        let held = pool.clone().acquire_many_owned(hardware.units.clamp(1, *size)).await;
        held.map_err(|_| Fault::plan("a pool of devices was closed"))
    }
}
