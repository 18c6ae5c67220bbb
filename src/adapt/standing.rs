//! What a run took so far, and the options of its plan → what each step still takes, and what the whole comes to.
//!
//! Times are counted from now: a step that is done takes none, of one that runs the calls that are left. What can be under way at once is, as
//! the scheduler has it. Money is counted from the beginning. A step that has more calls than were planned takes so many times as much.

use super::makespan::{Load, Waits, makespan};
use crate::check::program::{Clause, Metric};
use crate::ir::workflow::{Node, Region};
use crate::library::Library;
use crate::plan::compose::Taken;
use crate::plan::engine::lower;
use crate::run::steer::{Now, Stage, StepNow};
use crate::space::tail::Calls;
use crate::space::{Figured, Figures, Space, load};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Where a run stands.
pub struct Standing<'s> {
    now: &'s Now,
    space: &'s Space,
    left: &'s Taken<'s>,
    library: &'s Library,
    elapsed: Decimal,
    /// Units of each pool, in the order of their names.
    pools: Vec<u32>,
    /// By position, what it waits for.
    before: Vec<Vec<(usize, Waits)>>,
    /// What calls hold, by position and option, as far as it was asked for.
    lanes: RefCell<BTreeMap<(usize, usize), Option<Lane>>>,
}

/// How a step's time is told, where the longest path of steps is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// As long as it takes where no other step is in its way.
    Alone,
    /// Its calls one after the other, as plans predict them.
    InTurn,
}

/// What a call holds.
#[derive(Clone, Copy)]
enum Lane {
    /// So many calls at once; nobody else's devices.
    Own(u64),
    /// Units of a pool, each with so many calls that are made as one.
    Pool(usize, u32, u64),
}

impl<'s> Standing<'s> {
    /// Where a run stands; `left` is what is left of the workflow where every composed call has gone its way.
    pub fn new(now: &'s Now, space: &'s Space, left: &'s Taken<'s>, library: &'s Library) -> Standing<'s> {
        let pools = now.pools.values().copied().collect();
        let mut loops = BTreeMap::new();
        around(&left.workflow.body, &mut Vec::new(), &mut loops);
        let mut before = vec![Vec::new(); left.from.len()];
        for (first, then) in left.space.dag.edges() {
            before[then].push((first, waits(&loops, first, then)));
        }
        let (elapsed, lanes) = (decimal(now.elapsed_s), RefCell::default());
        Standing { now, space, left, library, elapsed, pools, before, lanes }
    }

    /// The step of the whole workflow at a position of the plan.
    pub fn whole(&self, position: usize) -> usize {
        self.left.from[position]
    }

    fn position(&self, step: usize) -> Option<usize> {
        self.left.from.iter().position(|whole| *whole == step)
    }

    fn at(&self, position: usize) -> Option<&StepNow> {
        self.now.steps.get(position)
    }

    /// Whether a step of the whole workflow can still be chosen: it is in the plan, none of its calls was begun, and it is no part of a
    /// composition or a call that one could carry out, whose data flow would be another.
    pub fn waits(&self, step: usize) -> bool {
        let stage = self.position(step).and_then(|position| self.at(position)).map(|now| now.stage);
        let plain = self.space.steps[step].role.is_none();
        let composed = self.space.steps[step].candidates.iter().any(|c| c.is_idle());
        stage == Some(Stage::Waiting) && plain && !composed
    }

    /// What a line leaves for the rest.
    pub fn left(&self, clause: &Clause) -> Decimal {
        match clause.metric {
            Metric::Cost => clause.limit - self.lost(),
            _ => clause.limit - self.elapsed,
        }
    }

    fn lost(&self) -> Decimal {
        decimal(self.now.lost_usd)
    }

    /// What earlier runtimes of the run took of a line, beside what its steps did, and what that is; none where that is nothing.
    pub fn earlier(&self, metric: Metric) -> Option<(Decimal, &'static str)> {
        let (took, what) = match metric {
            Metric::Cost => (self.lost(), "went to requests that were lost"),
            _ => (decimal(self.now.earlier_s), "went by before the run was resumed"),
        };
        Some((took, what)).filter(|(took, _)| *took > Decimal::ZERO)
    }

    /// What a line's metric comes to with a choice: money from the beginning; time up to now, and until the last call that is left ends.
    pub fn comes_to(&self, metric: Metric, choice: &[usize]) -> Decimal {
        match metric {
            Metric::Cost => {
                let of = |position: usize| self.cost(self.whole(position), choice[self.whole(position)]);
                self.lost() + (0..self.left.from.len()).map(of).sum::<Decimal>()
            }
            _ => self.elapsed + self.last(metric, choice),
        }
    }

    /// Until the last call that is left ends.
    fn last(&self, metric: Metric, choice: &[usize]) -> Decimal {
        let of = |position: usize| self.load(metric, position, choice[self.whole(position)]);
        let loads: Vec<Load> = (0..self.left.from.len()).map(of).collect();
        seconds(makespan(&loads, &self.before, &self.pools))
    }

    /// How many times as long as the whole the longest path of its steps is, each told alone: items of a map need not wait for one another.
    pub fn overlap(&self, metric: Metric, choice: &[usize]) -> Decimal {
        let of = |position: usize| self.figure(metric, self.whole(position), choice[self.whole(position)], Told::Alone);
        let path = self.left.space.dag.longest(&of).0;
        path.checked_div(self.last(metric, choice)).unwrap_or(Decimal::ONE).max(Decimal::ONE)
    }

    /// What a step of the whole workflow adds with an option: money in all, or time from now on.
    pub fn figure(&self, metric: Metric, step: usize, option: usize, told: Told) -> Decimal {
        let Some(position) = self.position(step).filter(|position| self.at(*position).is_some()) else {
            return of(metric, &self.space.steps[step].options[option].figures);
        };
        match (metric, told) {
            (Metric::Cost, _) => self.cost(step, option),
            (_, Told::Alone) => seconds(makespan(&[self.load(metric, position, option)], &[], &self.pools)),
            (_, Told::InTurn) => self.in_turn(metric, position, option),
        }
    }

    fn cost(&self, step: usize, option: usize) -> Decimal {
        let figures = &self.space.steps[step].options[option].figures;
        let Some(now) = self.position(step).and_then(|position| self.at(position)) else { return figures.cost };
        match now.stage {
            Stage::Waiting => figures.cost * more(now, figures),
            Stage::Done => decimal(now.cost_usd),
            Stage::Begun => projected(figures.cost, now.cost_usd, now, figures),
        }
    }

    /// What a step still takes with its calls one after the other.
    fn in_turn(&self, metric: Metric, position: usize, option: usize) -> Decimal {
        let figures = &self.space.steps[self.whole(position)].options[option].figures;
        let planned = of(metric, figures);
        let Some(now) = self.at(position) else { return planned };
        match now.stage {
            Stage::Waiting => planned * more(now, figures),
            Stage::Done => Decimal::ZERO,
            Stage::Begun => (projected(planned, now.took_s, now, figures) - decimal(now.running_s)).max(Decimal::ZERO),
        }
    }

    /// The calls that are left of a step.
    fn load(&self, metric: Metric, position: usize, option: usize) -> Load {
        let step = &self.space.steps[self.whole(position)];
        let figured = &step.options[option];
        let figures = &figured.figures;
        let whole = || Load {
            left: (1, micros(self.in_turn(metric, position, option))),
            width: 1,
            holds: None,
            ..Load::default()
        };
        let (Some(now), Some(lane)) = (self.at(position), self.lane(position, option)) else { return whole() };
        let (width, together) = match lane {
            Lane::Own(width) => (Decimal::from(width), 1),
            Lane::Pool(_, _, together) => (Decimal::from(together), together),
        };
        let calls = Calls { count: figures.calls, width, in_turn: step.in_turn.max(Decimal::ONE) };
        let once = of(metric, figures).checked_div(calls.rounds()).unwrap_or_default();
        let all = figures.calls.max(Decimal::from(now.known)).max(Decimal::from(now.done)).ceil().to_u64().unwrap_or(0);
        let at_once = (Decimal::from(all) / calls.in_turn).ceil().to_u64().unwrap_or(1).max(1);
        let at_once = at_once.min(self.now.fan_out.max(1) as u64);
        let once = match now.stage {
            Stage::Begun if now.done > 0 => decimal(now.busy_s) * Decimal::from(together) / Decimal::from(now.done),
            Stage::Begun => once.max(decimal(now.running_s)),
            Stage::Waiting | Stage::Done => once,
        };
        let under_way = if now.stage == Stage::Begun { now.under_way.min(all.saturating_sub(now.done)) } else { 0 };
        // Of those that are under way nobody knows since when: on average half of each is over, and of the first ones what has gone by.
        let rest = if now.done > 0 { once / Decimal::TWO } else { once - decimal(now.running_s) };
        let left = if now.stage == Stage::Done { 0 } else { all.saturating_sub(now.done).saturating_sub(under_way) };
        let holds = match lane {
            Lane::Own(_) => None,
            Lane::Pool(pool, units, _) => Some((pool, units)),
        };
        let width = match lane {
            Lane::Own(width) => width.min(at_once),
            Lane::Pool(..) => at_once.div_ceil(together),
        };
        Load {
            done: now.done.div_ceil(together),
            under_way: (under_way.div_ceil(together), micros(rest)),
            left: (left.div_ceil(together), micros(once)),
            width,
            holds,
        }
    }

    /// What a call of a step holds with an option; none where a provider's pace decides when its calls end.
    fn lane(&self, position: usize, option: usize) -> Option<Lane> {
        let found = || self.find_lane(position, option);
        *self.lanes.borrow_mut().entry((position, option)).or_insert_with(found)
    }

    fn find_lane(&self, position: usize, option: usize) -> Option<Lane> {
        let (candidate, figured): (_, &Figured) = self.space.steps[self.whole(position)].taken(option);
        let entry = self.library.implementations.get(&candidate.implementation)?;
        let task = self.library.tasks.get(&candidate.task)?;
        let pace = load::spread((entry, candidate), figured.figures.calls, &figured.work)?;
        if !pace.is_zero() {
            return None;
        }
        let width = load::width(entry, candidate).to_u64()?.max(1);
        let pool = |name: &str| self.now.pools.keys().position(|pool| pool == name);
        match lower(entry, candidate, task).provider() {
            Some(_) if candidate.device == "api" => Some(Lane::Pool(pool("api")?, 1, 1)),
            Some(_) => Some(Lane::Own(width)),
            None => Some(Lane::Pool(pool(&candidate.device)?, candidate.units, width)),
        }
    }

    /// What a step that has begun takes in all, so far as one can tell, and what was planned for it.
    pub fn against(&self, metric: Metric, position: usize, option: usize) -> (Decimal, Decimal) {
        let figures = &self.left.space.steps[position].options[option].figures;
        let planned = of(metric, figures);
        let Some(now) = self.at(position) else { return (planned, planned) };
        let so_far = if metric == Metric::Cost { now.cost_usd } else { now.took_s };
        let took = match now.stage {
            Stage::Waiting => planned,
            Stage::Done => decimal(so_far),
            Stage::Begun => projected(planned, so_far, now, figures),
        };
        (took, planned)
    }

    /// Calls of a step that are known of, where its time is that of all of them added up.
    pub fn added_up(&self, metric: Metric, position: usize) -> Option<u64> {
        let calls = self.at(position)?.known;
        (metric != Metric::Cost && calls > 1).then_some(calls)
    }
}

/// By step, the loops around it, outermost first: whether each is one of items, and which.
fn around(region: &Region, path: &mut Vec<(bool, u32)>, found: &mut BTreeMap<usize, Vec<(bool, u32)>>) {
    for node in &region.nodes {
        let inner = match node {
            Node::Call { step, .. } | Node::Choose { step, .. } => {
                found.insert(step.0 as usize, path.clone());
                continue;
            }
            Node::Compute { .. } => continue,
            Node::Branch { then, otherwise, .. } => {
                around(then, path, found);
                around(otherwise, path, found);
                continue;
            }
            Node::Map { body, .. } | Node::Repeat { body, .. } => body,
        };
        path.push((matches!(node, Node::Map { .. }), node.output().0));
        around(inner, path, found);
        path.pop();
    }
}

/// What a step waits for of another: in a map that both are in, for its own item; rounds of a loop begin when the round before has ended.
fn waits(loops: &BTreeMap<usize, Vec<(bool, u32)>>, first: usize, then: usize) -> Waits {
    let (Some(one), Some(other)) = (loops.get(&first), loops.get(&then)) else { return Waits::All };
    let shared = one.iter().zip(other).take_while(|(a, b)| a == b).map(|(a, _)| a.0);
    let shared: Vec<bool> = shared.collect();
    if !shared.is_empty() && shared.into_iter().all(|items| items) { Waits::Item } else { Waits::All }
}

fn of(metric: Metric, figures: &Figures) -> Decimal {
    match metric {
        Metric::Cost => figures.cost,
        Metric::LatencyP95 => figures.latency_p95,
        Metric::LatencyP99 => figures.latency_p99,
        _ => figures.latency,
    }
}

/// How many times as many calls there are as were planned; once where there are fewer, since more may become known.
fn more(now: &StepNow, figures: &Figures) -> Decimal {
    Decimal::from(now.known).checked_div(figures.calls).unwrap_or(Decimal::ONE).max(Decimal::ONE)
}

/// What all calls of a step come to, from those that are done: as much each; as planned where none is.
fn projected(planned: Decimal, so_far: f64, now: &StepNow, figures: &Figures) -> Decimal {
    let planned = planned * more(now, figures);
    if now.done == 0 {
        return planned.max(decimal(so_far));
    }
    let calls = figures.calls.max(Decimal::from(now.known)).max(Decimal::from(now.done));
    decimal(so_far) * calls / Decimal::from(now.done)
}

/// A measured figure, to a millionth.
fn decimal(measured: f64) -> Decimal {
    Decimal::from_f64_retain(measured.clamp(0.0, 1e12)).unwrap_or_default().round_dp(6)
}

fn micros(seconds: Decimal) -> u64 {
    (seconds.max(Decimal::ZERO) * Decimal::from(1_000_000)).ceil().to_u64().unwrap_or(u64::MAX / 2)
}

fn seconds(micros: u64) -> Decimal {
    Decimal::from(micros) / Decimal::from(1_000_000)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::workflow::{StepId, ValueId};
    use crate::run::tests::samples::{call, value};
    use rust_decimal::dec;

    fn figures(calls: Decimal) -> Figures {
        let zero = Decimal::ZERO;
        Figures {
            calls,
            replicas: 1,
            busy: zero,
            standing: zero,
            latency: dec!(10),
            latency_p95: dec!(20),
            latency_p99: dec!(30),
            streamed: None,
            cost: dec!(1),
            either: zero,
            energy: None,
            quality: Decimal::ONE,
            memory: zero,
        }
    }

    fn now(known: u64, done: u64) -> StepNow {
        StepNow {
            step: StepId(0),
            stage: Stage::Begun,
            known,
            done,
            under_way: 0,
            took_s: 0.0,
            busy_s: 0.0,
            running_s: 0.0,
            cost_usd: 0.0,
            worse: None,
        }
    }

    #[test]
    fn calls_that_are_done_tell_of_those_to_come() {
        let planned = figures(dec!(10));
        // Three of ten calls took six seconds: all take twenty.
        assert_eq!(projected(dec!(10), 6.0, &now(10, 3), &planned), dec!(20));
        // There are twice as many as were planned.
        assert_eq!(projected(dec!(10), 6.0, &now(20, 3), &planned), dec!(40));
        // Nothing is done: as planned, or as long as it runs already.
        assert_eq!(projected(dec!(10), 0.0, &now(10, 0), &planned), dec!(10));
        assert_eq!(projected(dec!(10), 15.0, &now(10, 0), &planned), dec!(15));
        assert_eq!(projected(dec!(10), 0.0, &now(20, 0), &planned), dec!(20));
    }

    #[test]
    fn items_wait_for_their_own_calls_and_rounds_for_all_of_those_before() {
        let pair = || Region { nodes: vec![call(0, value(90), 1), call(1, value(1), 2)], result: value(2) };
        let map = || Node::Map { over: value(0), item: ValueId(90), body: pair(), output: ValueId(3) };
        let of = |nodes: Vec<Node>| {
            let mut loops = BTreeMap::new();
            around(&Region { nodes, result: value(3) }, &mut Vec::new(), &mut loops);
            [waits(&loops, 0, 1), waits(&loops, 1, 2)]
        };
        assert_eq!(of(vec![map(), call(2, value(3), 4)]), [Waits::Item, Waits::All]);
        let body = Region { nodes: vec![map()], result: value(3) };
        let (carry, until) = (None, value(3));
        let rounds = Node::Repeat { limit: 2, expected: None, carry, body, until, output: ValueId(5) };
        assert_eq!(of(vec![rounds, call(2, value(5), 4)]), [Waits::All, Waits::All]);
    }

    #[test]
    fn fewer_calls_so_far_promise_nothing_and_odd_figures_do_no_harm() {
        assert_eq!(more(&now(2, 0), &figures(dec!(10))), Decimal::ONE);
        assert_eq!(more(&now(25, 0), &figures(dec!(10))), dec!(2.5));
        assert_eq!(more(&now(5, 0), &figures(Decimal::ZERO)), Decimal::ONE);
        assert_eq!(decimal(-1.0), Decimal::ZERO);
        assert_eq!(decimal(f64::INFINITY), Decimal::from(1_000_000_000_000_u64));
    }
}
