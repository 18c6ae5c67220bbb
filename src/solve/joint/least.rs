//! A job of a fleet -> what it costs at least, whatever the others do.

use super::best::Chef;
use super::menu::menu;
use super::primal::shares;
use super::problem::Fleet;

/// Nodes of the search before its bound stands in for its optimum.
const NODES: u64 = 200_000;
/// Parts of a limit in the tables that bound it.
const PARTS: usize = 48;

/// What a job costs at least, in micro-dollars an hour, where replicas are paid for by the share of them that it uses and there are as many as it
/// wants. No plan of a fleet costs less than the sum of this over its jobs. `None` where no options keep the job's clauses.
pub fn least(fleet: &Fleet, job: usize) -> Option<i128> {
    let menu = menu(&fleet.jobs[job])?;
    let price = menu.steps.iter().map(|step| {
        let used = shares(fleet, step);
        step.iter().zip(used).map(|(dish, share)| dish.fee.saturating_add(share)).collect()
    });
    let price: Vec<Vec<i64>> = price.collect();
    let found = Chef::new(&menu, NODES, PARTS).best(&price, None);
    (found.bound < i64::MAX).then_some(i128::from(found.bound))
}
