//! Calls that are left of a run → when the last of them ends, as the scheduler makes them: at once what devices, loops and data allow, and of
//! those that wait for the same the longest way first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Calls that are told apart in one projection: of more, several count as one that takes as long as they do one after the other.
const MOST: u64 = 4096;
/// The same for one step, however many steps there are: enough that nothing is lost of what a map makes at once.
const LEAST: u64 = 256;

/// What is left of a step: calls that are alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Calls that are done.
    pub done: u64,
    /// Calls that are being made, and how long each of them still takes, microseconds.
    pub under_way: (u64, u64),
    /// Calls that are to be begun, and how long each takes, microseconds.
    pub left: (u64, u64),
    /// How many can be under way at once, whatever devices there are.
    pub width: u64,
    /// The pool that a call takes units of, and how many; none where nobody else uses what it holds.
    pub holds: Option<(usize, u32)>,
}

/// What a step waits for of a step before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// All of its calls.
    All,
    /// The call for the same item.
    Item,
}

/// Where a step stands in a projection.
struct At {
    load: Load,
    /// Calls that count as one.
    grain: u64,
    total: u64,
    begun: u64,
    ended: u64,
    running: u64,
}

impl At {
    fn of(load: &Load, most: u64) -> At {
        let begun = load.done + load.under_way.0;
        let total = begun + load.left.0;
        let grain = load.left.0.div_ceil(most).max(1);
        At { load: load.clone(), grain, total, begun, ended: load.done, running: 0 }
    }

    /// How long it takes where it has all that it can use.
    fn alone(&self) -> u64 {
        let rounds = self.load.left.0.div_ceil(self.load.width.max(1));
        rounds.saturating_mul(self.load.left.1).saturating_add(self.load.under_way.1)
    }
}

/// Microseconds until all is done; `before` says by step which it waits for, each of a lower number, and `pools` how many units there are.
pub fn makespan(loads: &[Load], before: &[Vec<(usize, Waits)>], pools: &[u32]) -> u64 {
    let most = (MOST / loads.len().max(1) as u64).max(LEAST);
    let mut steps: Vec<At> = loads.iter().map(|load| At::of(load, most)).collect();
    let mut order: Vec<(Reverse<u64>, usize)> =
        behind(&steps, before).into_iter().enumerate().map(|(step, way)| (Reverse(way), step)).collect();
    order.sort_unstable();
    let mut free: Vec<u64> = pools.iter().map(|units| u64::from(*units).max(1)).collect();
    let all = free.clone();
    let units = |load: &Load| load.holds.map(|(pool, units)| (pool, u64::from(units).clamp(1, all[pool])));
    // When calls end, of which step, and how many.
    let mut ends: BinaryHeap<Reverse<(u64, usize, u64)>> = BinaryHeap::new();
    for (i, step) in steps.iter_mut().enumerate() {
        let (calls, rest) = step.load.under_way;
        step.running = calls;
        (0..calls).for_each(|_| ends.push(Reverse((rest, i, 1))));
        if let Some((pool, units)) = units(&step.load) {
            free[pool] = free[pool].saturating_sub(calls.saturating_mul(units));
        }
    }
    let mut now = 0_u64;
    loop {
        let mut short = vec![false; pools.len()];
        for (_, i) in &order {
            let ready = ready(*i, &steps, before);
            let step = &mut steps[*i];
            while step.running < step.load.width.max(1) && step.begun < step.total {
                let calls = step.grain.min(step.total - step.begun);
                if step.begun + calls > ready {
                    break;
                }
                if let Some((pool, units)) = units(&step.load) {
                    // Who needs many is not passed by who needs few and ranks behind.
                    if short[pool] || free[pool] < units {
                        short[pool] = true;
                        break;
                    }
                    free[pool] -= units;
                }
                step.begun += calls;
                step.running += 1;
                let takes = step.load.left.1.saturating_mul(calls);
                ends.push(Reverse((now.saturating_add(takes), *i, calls)));
            }
        }
        let Some(Reverse((at, ..))) = ends.peek().copied() else { return now };
        now = at;
        while let Some(Reverse((end, i, calls))) = ends.peek().copied()
            && end == now
        {
            ends.pop();
            let step = &mut steps[i];
            step.ended += calls;
            step.running -= 1;
            if let Some((pool, units)) = units(&step.load) {
                free[pool] = (free[pool] + units).min(all[pool]);
            }
        }
    }
}

/// How many calls of a step have what they need.
fn ready(step: usize, steps: &[At], before: &[Vec<(usize, Waits)>]) -> u64 {
    let total = steps[step].total;
    let of = |(other, waits): &(usize, Waits)| {
        let other = &steps[*other];
        match waits {
            _ if other.ended >= other.total => total,
            Waits::All => 0,
            // Of so many items as the step before has dealt with.
            Waits::Item => (u128::from(total) * u128::from(other.ended) / u128::from(other.total.max(1))) as u64,
        }
    };
    before.get(step).into_iter().flatten().map(of).min().unwrap_or(total)
}

/// By step, how long it and the longest way behind it take.
fn behind(steps: &[At], before: &[Vec<(usize, Waits)>]) -> Vec<u64> {
    let mut ways = vec![0_u64; steps.len()];
    for step in (0..steps.len()).rev() {
        ways[step] = ways[step].saturating_add(steps[step].alone());
        for (other, _) in before.get(step).into_iter().flatten() {
            ways[*other] = ways[*other].max(ways[step]);
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(left: u64, each: u64) -> Load {
        Load { left: (left, each), width: 64, holds: Some((0, 1)), ..Load::default() }
    }

    #[test]
    fn as_many_are_made_at_once_as_there_are_devices_for() {
        assert_eq!(makespan(&[calls(4, 4)], &[], &[2]), 8);
        assert_eq!(makespan(&[calls(5, 4)], &[], &[2]), 12);
        // A loop whose rounds wait for one another, and calls that take all there is.
        assert_eq!(makespan(&[Load { width: 1, ..calls(4, 4) }], &[], &[2]), 16);
        assert_eq!(makespan(&[Load { holds: Some((0, 9)), ..calls(4, 4) }], &[], &[2]), 16);
        // What nobody else uses.
        assert_eq!(makespan(&[Load { holds: None, width: 4, ..calls(4, 4) }], &[], &[1]), 4);
    }

    #[test]
    fn what_is_under_way_holds_its_devices_until_it_ends() {
        let begun = [Load { done: 1, under_way: (2, 3), ..calls(1, 4) }];
        assert_eq!(makespan(&begun, &[], &[2]), 7);
        assert_eq!(makespan(&begun, &[], &[3]), 4);
        assert_eq!(makespan(&[Load { done: 5, width: 1, ..Load::default() }], &[], &[1]), 0);
    }

    #[test]
    fn an_items_next_call_waits_for_that_item_alone() {
        let two = [calls(4, 4), Load { holds: Some((1, 1)), ..calls(4, 4) }];
        let of = |waits| makespan(&two, &[vec![], vec![(0, waits)]], &[1, 1]);
        assert_eq!((of(Waits::All), of(Waits::Item)), (32, 20));
        // On one device the order changes nothing.
        let same = [calls(4, 4), calls(4, 4)];
        for waits in [Waits::All, Waits::Item] {
            assert_eq!(makespan(&same, &[vec![], vec![(0, waits)]], &[2]), 16);
        }
    }

    #[test]
    fn branches_share_what_there_is_and_the_longest_goes_first() {
        let branches = [calls(2, 1), calls(1, 4)];
        assert_eq!(makespan(&branches, &[], &[2]), 4);
        assert_eq!(makespan(&branches, &[], &[1]), 6);
    }

    #[test]
    fn a_million_calls_are_projected_in_a_few_steps() {
        let many = makespan(&[calls(1_000_000, 10)], &[], &[8]);
        let exact = 1_000_000 * 10 / 8;
        assert!((exact..exact + exact / 100).contains(&many), "{many}");
    }
}
