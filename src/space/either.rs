//! Tools of an agent, of which each round calls one → what they cost together: of what grows with the calls, the dearest tool's share.

use super::encode::up;
use super::{Figured, Space};
use crate::check::agents::TURN;
use crate::check::program::Metric;
use crate::ir::workflow::Step;
use crate::solve::problem::{Figure, Figures, Instance, Problem};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// The agent that a step is a tool of.
pub fn tool_of(step: &Step) -> Option<u32> {
    step.agent.as_ref().filter(|_| step.task != TURN).map(|agent| agent.number)
}

/// What steps cost in a run together, each with the agent that it is a tool of, its cost and [`either`](super::Figures::either), in dollars. Every round of
/// an agent calls one tool at most, so that of what grows with the calls only the dearest tool's counts.
pub fn cost_together(steps: impl IntoIterator<Item = (Option<u32>, Decimal, Decimal)>) -> Decimal {
    let (mut sum, mut dearest) = (Decimal::ZERO, BTreeMap::new());
    for (tool_of, cost, either) in steps {
        let Some(agent) = tool_of else {
            sum += cost;
            continue;
        };
        sum += cost - either;
        let most: &mut Decimal = dearest.entry(agent).or_default();
        *most = either.max(*most);
    }
    sum + dearest.into_values().sum::<Decimal>()
}

/// What the tools of an agent cost by the call becomes a ladder of instances: the first costs the least of these costs, each further one what
/// the next larger adds, and a choice opens all up to its own. Those that are open then cost what the dearest chosen one does. Returns how
/// many ladders there are.
pub fn ladders(space: &Space, problem: &mut Problem) -> usize {
    let mut agents: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, step) in space.steps.iter().enumerate() {
        if let Some(agent) = step.tool_of {
            agents.entry(agent).or_default().push(index);
        }
    }
    // A tool by itself is the dearest.
    agents.retain(|_, tools| tools.len() > 1);
    for tools in agents.values() {
        let either = |option: &Figured| up(option.figures.either, Metric::Cost);
        let rungs: BTreeSet<i64> = tools.iter().flat_map(|t| &space.steps[*t].options).map(either).collect();
        let rungs: Vec<i64> = rungs.into_iter().filter(|rung| *rung > 0).collect();
        let (first, mut below) = (problem.instances.len(), 0);
        for rung in &rungs {
            let mut figures = Figures::default();
            figures[Figure::Cost.index()] = rung - below;
            problem.instances.push(Instance { figures, ..Instance::default() });
            below = *rung;
        }
        for tool in tools {
            for (option, choice) in space.steps[*tool].options.iter().zip(&mut problem.steps[*tool].choices) {
                let own = option.cost() - option.figures.either;
                choice.figures[Figure::Cost.index()] = up(own, Metric::Cost);
                choice.opens = (first..first + rungs.partition_point(|rung| *rung <= either(option))).collect();
            }
        }
    }
    agents.len()
}
