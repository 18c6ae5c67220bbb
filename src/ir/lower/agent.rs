//! An agent → `repeat` with typed calls: each round is one call of the model and one of the tool that it chose.

use super::{Lower, Scope};
use crate::check::agents::{ANSWER, TURN};
use crate::check::program::{Agent, AgentTool, Job, Reuse};
use crate::diag::source::Span;
use crate::ir::agent::{Powers, Tool};
use crate::ir::workflow::{InAgent, Node, Op, Operand, Region, Step, StepId};
use crate::types::Type;
use ecow::{EcoString, eco_format};
use serde_json::{Value, json};

/// What the rounds of an agent share.
struct Round<'a> {
    agent: &'a Agent,
    within: InAgent,
    /// Arguments that the job gives, by tool and parameter.
    bound: Vec<Vec<(String, Operand)>>,
    /// What the agent is given, with types.
    given: Vec<(Operand, Type)>,
    /// The name of the tool that the model chose, and the arguments that it gave.
    tool: Operand,
    args: Operand,
}

impl Lower<'_> {
    pub(super) fn agent(
        &mut self,
        agent: &Agent,
        answer: &Type,
        job: &Job,
        scope: &Scope,
        nodes: &mut Vec<Node>,
    ) -> Option<Operand> {
        let goal = self.expr(&agent.goal, job, scope, nodes)?;
        let given = self.all(agent.given.iter().map(|(_, e)| e), job, scope, nodes)?;
        let mut bound = Vec::new();
        for tool in &agent.tools {
            let args = self.all(tool.bound.iter().map(|(_, e)| e), job, scope, nodes)?;
            bound.push(tool.bound.iter().map(|(n, _)| n.to_string()).zip(args).collect());
        }
        let number = self.agents;
        self.agents += 1;
        let (cost_usd, cost_at) = (agent.cost.map(|(usd, _)| usd), agent.cost.map(|(_, span)| span));
        let within = InAgent { number, steps: agent.steps, cost_usd, cost_at };

        // Before the first round: what is given, and no answer.
        let names = agent.given.iter().map(|(n, _)| n.to_string()).collect();
        let shown = self.compute(Op::Record(names), given.clone(), nodes);
        let shown = self.compute(Op::Record(vec!["given".into()]), vec![shown], nodes);
        let start = self.compute(Op::Note { rounds: None }, vec![Operand::Literal(json!([])), shown], nodes);
        let state = || Op::Record(vec!["so_far".into(), ANSWER.into()]);
        let first = self.compute(state(), vec![start, Operand::Literal(Value::Null)], nodes);

        let carried = self.value();
        let mut inner = Vec::new();
        let so_far = self.compute(Op::Field("so_far".into()), vec![Operand::Value(carried)], &mut inner);
        let turn = self.turn(agent, &within, answer, (goal, so_far.clone()), &mut inner);
        let tool = self.compute(Op::Field("does".into()), vec![turn.clone()], &mut inner);
        let args = self.compute(Op::Field("args".into()), vec![turn.clone()], &mut inner);
        let given = given.into_iter().zip(agent.given.iter().map(|(_, e)| e.ty.clone())).collect();
        let round = Round { agent, within, bound, given, tool: tool.clone(), args };
        let chosen = self.chosen(&round, 0);
        let result = self.splice(chosen, &mut inner);
        let entry =
            self.compute(Op::Record(vec!["turn".into(), "result".into()]), vec![turn.clone(), result], &mut inner);
        let rounds = Some(agent.steps);
        let after = self.compute(Op::Note { rounds }, vec![so_far, entry], &mut inner);
        let said = self.compute(Op::Said(ANSWER.into()), vec![turn], &mut inner);
        let next = self.compute(state(), vec![after, said], &mut inner);
        let until = self.compute(Op::Eq, vec![tool, Operand::Literal(json!(ANSWER))], &mut inner);
        let output = self.value();
        let body = Region { nodes: inner, result: next };
        let (limit, carry) = (agent.steps, Some((carried, first)));
        nodes.push(Node::Repeat { limit, expected: None, carry, body, until, output });
        Some(self.compute(Op::Said(ANSWER.into()), vec![Operand::Value(output)], nodes))
    }

    /// The call of the model.
    fn turn(
        &mut self,
        agent: &Agent,
        within: &InAgent,
        answer: &Type,
        (goal, so_far): (Operand, Operand),
        nodes: &mut Vec<Node>,
    ) -> Operand {
        let tool = |t: &AgentTool| Tool {
            name: t.task.to_string(),
            says: t.says.to_string(),
            params: t.params.iter().map(|(n, ty)| (n.to_string(), ty.clone())).collect(),
            places: t.places.clone(),
            gives_code: t.gives_code,
        };
        let tools = agent.tools.iter().map(tool).collect();
        let powers = Powers { steps: agent.steps, answer: answer.clone(), tools };
        // What is made of names and types alone can be written as JSON.
        let powers = serde_json::to_value(powers).unwrap_or_default();
        let step = self.in_agent(TURN.into(), agent, within, agent.span);
        let args =
            vec![("wanted".into(), goal), ("so_far".into(), so_far), ("powers".into(), Operand::Literal(powers))];
        let output = self.value();
        nodes.push(Node::Call { step, args, output });
        Operand::Value(output)
    }

    /// The call of the chosen tool, of those from a number on; null where it is none of them.
    fn chosen(&mut self, round: &Round, from: usize) -> Region {
        let Some(tool) = round.agent.tools.get(from) else {
            return Region { nodes: Vec::new(), result: Operand::Literal(Value::Null) };
        };
        let mut nodes = Vec::new();
        let name = Operand::Literal(json!(tool.task.as_str()));
        let when = self.compute(Op::Eq, vec![round.tool.clone(), name], &mut nodes);
        let then = self.tool(round, tool, from);
        let otherwise = self.chosen(round, from + 1);
        let output = self.value();
        nodes.push(Node::Branch { when, share: None, then, otherwise, output });
        Region { nodes, result: Operand::Value(output) }
    }

    fn tool(&mut self, round: &Round, tool: &AgentTool, number: usize) -> Region {
        let mut nodes = Vec::new();
        let mut args = round.bound[number].clone();
        for (name, ty) in &tool.params {
            // It may have pointed at what it was given; how large that is, is known.
            let pointed = round.given.iter().filter(|(_, own)| own.fits(ty)).map(|(o, _)| o.clone());
            let operands = std::iter::once(round.args.clone()).chain(pointed).collect();
            args.push((name.to_string(), self.compute(Op::Said(name.to_string()), operands, &mut nodes)));
        }
        let step = self.in_agent(tool.task.clone(), round.agent, &round.within, tool.span);
        let output = self.value();
        nodes.push(Node::Call { step, args, output });
        Region { nodes, result: Operand::Value(output) }
    }

    fn in_agent(&mut self, task: EcoString, agent: &Agent, within: &InAgent, span: Span) -> StepId {
        let id = StepId(self.steps.len() as u32);
        let name = self.unique(eco_format!("agent.{task}"));
        let pins = if task == TURN { agent.pins.clone() } else { Vec::new() };
        self.steps.push(Step {
            task,
            name,
            span: Some(span),
            pins,
            rules: Vec::new(),
            retries: agent.retries,
            timeout: agent.timeout,
            // What a model did in a round is no result that another run could use.
            fallbacks: Vec::new(),
            cache: Some(Reuse::Off),
            ways: Vec::new(),
            part: None,
            agent: Some(within.clone()),
        });
        id
    }

    /// Puts a region's nodes where they stand; its result.
    fn splice(&mut self, region: Region, nodes: &mut Vec<Node>) -> Operand {
        nodes.extend(region.nodes);
        region.result
    }
}
