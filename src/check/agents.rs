//! `agent("goal", tools: […], steps: 8, cost: 0.5 usd)`: a model that calls tools until it can answer.

use super::body::BodyPass;
use super::program::{Agent, AgentTool, Expr, ExprKind, Reuse};
use super::{errors, quantity};
use crate::diag::nearest;
use crate::diag::source::Span;
use crate::library::Task;
use crate::syntax::ast;
use crate::types::Type;
use crate::units::Dimension;
use ecow::{EcoString, eco_format};
use rust_decimal::Decimal;

/// What an agent is called in the language; a task or job of that name hides it.
pub const AGENT: &str = "agent";
/// The task of the library that is one step of an agent.
pub const TURN: &str = "next_turn";
/// What an agent calls to say its answer.
pub const ANSWER: &str = "answer";
/// The most steps and tools of an agent.
const MOST_STEPS: u32 = 100;
const MOST_TOOLS: usize = 32;
/// What it takes.
const PARAMS: [&str; 4] = ["tools", "steps", "cost", "given"];

impl<'a> BodyPass<'a> {
    /// Whether a call is one of an agent.
    pub(super) fn is_agent(&self, call: &ast::Call) -> bool {
        let name = &call.callee.text;
        name == AGENT && !self.context.library.tasks.contains_key(name) && !self.signatures.contains_key(name)
    }

    pub(super) fn agent(&mut self, call: &ast::Call, wanted: Option<&Type>, span: Span) -> Expr {
        let at = call.callee.span;
        let ty = wanted.filter(|ty| **ty != Type::Unknown).cloned().unwrap_or(Type::Text);
        if !ty.is_data() {
            let label = format!("`{ty}` is no value that a model can say");
            self.cx.push(errors::bad_agent(at, "an agent answers with data", &label, "let a tool make the medium"));
        }
        let (mut goal, mut tools, mut steps, mut cost, mut given) = (None, None, None, None, None);
        for (index, (name, value)) in call.args.iter().enumerate() {
            match name.as_ref().map(|n| n.text.as_str()) {
                None if index == 0 => goal = Some(value),
                Some("tools") if tools.is_none() => tools = Some(value),
                Some("steps") if steps.is_none() => steps = Some(value),
                Some("cost") if cost.is_none() => cost = Some(value),
                Some("given") if given.is_none() => given = Some(value),
                Some(other) => {
                    let span = name.as_ref().map_or(value.span, |n| n.span);
                    self.cx.push(errors::unknown_argument(span, AGENT, other, nearest(other, PARAMS)));
                }
                None => {
                    let params = ["goal: Text", "tools: […]", "steps: Int", "cost: usd", "given: […]"];
                    self.cx.push(errors::wrong_arity(span, AGENT, &params.map(String::from), call.args.len()));
                }
            }
        }
        for (missing, name, ty) in [
            (goal.is_none(), "goal", Type::Text),
            (tools.is_none(), "tools", Type::List(Box::new(Type::Unknown))),
            (steps.is_none(), "steps", Type::Int),
        ] {
            if missing {
                self.cx.push(errors::missing_argument(at, AGENT, name, &ty));
            }
        }
        let broken = Expr { span, ty: ty.clone(), kind: ExprKind::Error };
        let (Some(goal), Some(tools), Some(steps)) = (goal, tools, steps) else {
            self.job.broken = true;
            return broken;
        };
        let goal = self.expr(goal, Some(&Type::Text));
        let given = self.given(given);
        let tools = self.tools(tools, &given);
        let cost = cost.and_then(|value| Some((self.agents_cost(value)?, value.span)));
        let Some(steps) = self.steps(steps) else {
            self.job.broken = true;
            return broken;
        };
        let conditions = self.conditions(&call.suffixes, TURN);
        for suffix in &call.suffixes {
            let unkept = match suffix {
                ast::Suffix::Fallback(name) => {
                    let why = "one model carries on what it has begun";
                    Some((name.span, "a fallback of an agent's model", why, "remove it, or write `retry 2`"))
                }
                ast::Suffix::Cache(how) if !matches!(conditions.cache, None | Some(Reuse::Off)) => {
                    let why = "what its tools find and do may be otherwise the next time";
                    Some((how.span, "keeping what an agent did", why, "remove it: each run asks the model anew"))
                }
                _ => None,
            };
            if let Some((at, what, why, instead)) = unkept {
                self.cx.push(errors::unsupported(at, what, why, instead));
            }
        }
        self.job
            .modules
            .extend(tools.iter().filter_map(|t| self.context.library.tasks.get(&t.task)).map(|t| t.module.clone()));
        self.job.tasks.extend(tools.iter().map(|t| t.task.clone()).chain([TURN.into()]));
        let (pins, retries, timeout) = (conditions.pins, conditions.retries, conditions.timeout);
        let agent = Agent { span: at, goal, tools, given, steps, cost, pins, retries, timeout };
        Expr { span, ty, kind: ExprKind::Agent(Box::new(agent)) }
    }

    fn steps(&mut self, value: &ast::Expr) -> Option<u32> {
        let number = match &value.kind {
            ast::ExprKind::Number(q) => quantity::whole(q, "the number of steps", self.cx)?,
            _ => {
                self.cx.push(errors::not_known_before(value.span, "the number of steps"));
                return None;
            }
        };
        if number == 0 || number > MOST_STEPS {
            let label = format!("from 1 to {MOST_STEPS}");
            self.cx.push(errors::bad_agent(
                value.span,
                "an agent takes a bounded number of steps",
                &label,
                "write `steps: 8`, say",
            ));
            return None;
        }
        Some(number)
    }

    fn agents_cost(&mut self, value: &ast::Expr) -> Option<Decimal> {
        match &value.kind {
            ast::ExprKind::Number(q) => {
                quantity::of_dimension(q, Dimension::MONEY, "an agent's cost", "0.5 usd", self.cx)
            }
            _ => {
                self.cx.push(errors::not_known_before(value.span, "an agent's cost"));
                None
            }
        }
    }

    /// What the agent is shown: the named values, else all that are in scope.
    fn given(&mut self, value: Option<&ast::Expr>) -> Vec<(EcoString, Expr)> {
        let names: Vec<ast::Expr> = match value.map(|v| &v.kind) {
            None => {
                let known = self.scope.ids().map(|id| self.job.local(id)).filter(|l| l.ty != Type::Unknown);
                let names = known.map(|l| (l.name.clone(), l.span));
                names.map(|(name, span)| ast::Expr { span, kind: ast::ExprKind::Name(name) }).collect()
            }
            Some(ast::ExprKind::List(items)) => items.clone(),
            Some(_) => value.cloned().into_iter().collect(),
        };
        let mut given = Vec::new();
        for item in names {
            let ast::ExprKind::Name(name) = &item.kind else {
                let help = "give the value a name with `let`, and name it here";
                self.cx.push(errors::bad_agent(item.span, "an agent is given values by their names", "no name", help));
                continue;
            };
            let value = self.expr(&item, None);
            if given.iter().all(|(known, _)| known != name) && !matches!(value.kind, ExprKind::Error) {
                given.push((name.clone(), value));
            }
        }
        given
    }

    fn tools(&mut self, value: &ast::Expr, given: &[(EcoString, Expr)]) -> Vec<AgentTool> {
        let items: &[ast::Expr] = match &value.kind {
            ast::ExprKind::List(items) => items,
            _ => std::slice::from_ref(value),
        };
        let mut tools: Vec<AgentTool> = Vec::new();
        for item in items {
            let (name, args): (ast::Name, &[(Option<ast::Name>, ast::Expr)]) = match &item.kind {
                ast::ExprKind::Name(name) => (ast::Name { text: name.clone(), span: item.span }, &[]),
                ast::ExprKind::Call(call) if call.suffixes.is_empty() => (call.callee.clone(), &call.args),
                _ => {
                    let help = "name tasks: `tools: [open_page, search(passages: passages)]`";
                    self.cx.push(errors::bad_agent(item.span, "a tool of an agent is a task", "no task", help));
                    continue;
                }
            };
            let Some(task) = self.tool_task(&name) else { continue };
            if tools.iter().any(|t| t.task == name.text) || name.text == ANSWER || name.text == TURN {
                let help = format!("name each task once; `{ANSWER}` is how an agent ends, and `{TURN}` how it goes on");
                self.cx.push(errors::bad_agent(
                    name.span,
                    &format!("`{}` cannot be a tool here", name.text),
                    "taken",
                    &help,
                ));
                continue;
            }
            let bound = self.bound(&name, args, task);
            let open = |(param, _): &&(EcoString, Type)| bound.iter().all(|(n, _)| n != param);
            let params = task.params.iter().filter(open).cloned().collect();
            let (says, places, gives_code) = (task.docs.clone(), task.places.clone(), task.gives_code);
            let task = name.text.clone();
            tools.push(AgentTool { task, span: name.span, says, params, places, gives_code, bound });
        }
        if items.is_empty() || tools.len() > MOST_TOOLS {
            let label = format!("from 1 to {MOST_TOOLS}");
            self.cx.push(errors::bad_agent(
                value.span,
                "an agent has tools",
                &label,
                "without tools, call a task of a model",
            ));
        }
        self.unsayable(&tools, given);
        tools
    }

    fn tool_task(&mut self, name: &ast::Name) -> Option<&'a Task> {
        let library = self.context.library;
        let Some(task) = library.tasks.get(&name.text) else {
            let names = library.tasks.keys().map(|k| k.as_str());
            self.job.broken = true;
            self.cx.push(errors::unknown_task(name.span, &name.text, nearest(&name.text, names)));
            return None;
        };
        if !(task.module.is_empty() || self.used.contains(&task.module) || self.free_imports) {
            let source = &self.context.sources.get(name.span.file).text;
            self.cx.push(errors::not_imported(name.span, &name.text, &task.module, source));
        }
        Some(task)
    }

    /// The parameters that the job gives, and not the model.
    fn bound(
        &mut self,
        name: &ast::Name,
        args: &[(Option<ast::Name>, ast::Expr)],
        task: &Task,
    ) -> Vec<(EcoString, Expr)> {
        let mut bound: Vec<(EcoString, Expr)> = Vec::new();
        for (index, (param, value)) in args.iter().enumerate() {
            let place = match param {
                Some(param) => task.params.iter().position(|(n, _)| *n == param.text),
                None => Some(index).filter(|i| *i < task.params.len()),
            };
            let Some((param_name, ty)) =
                place.map(|i| &task.params[i]).filter(|(n, _)| bound.iter().all(|(b, _)| b != n))
            else {
                let (span, text) =
                    param.as_ref().map_or((value.span, eco_format!("{index}")), |p| (p.span, p.text.clone()));
                let near = nearest(&text, task.params.iter().map(|(n, _)| n.as_str()));
                self.cx.push(errors::unknown_argument(span, &name.text, &text, near));
                continue;
            };
            let why = (name.span, format!("`{}` takes `{param_name}: {ty}`", name.text));
            bound.push((param_name.clone(), self.expr_because(value, Some(ty), Some(why))));
        }
        bound
    }

    /// A model says data; media come from what it is given or from another tool.
    fn unsayable(&mut self, tools: &[AgentTool], given: &[(EcoString, Expr)]) {
        for tool in tools {
            for (param, ty) in tool.params.iter().filter(|(_, ty)| !matches!(ty, Type::Optional(_)) && !ty.is_data()) {
                let made = tools.iter().filter_map(|t| self.context.library.tasks.get(&t.task)).map(|t| &t.result);
                let mut sources = given.iter().map(|(_, e)| &e.ty).chain(made);
                if !sources.any(|source| source.fits(ty)) {
                    let label = format!("needs `{param}: {ty}`");
                    let help = format!(
                        "give it: `{}({param}: …)`, or let the agent have a value or tool that makes one",
                        tool.task
                    );
                    self.cx.push(errors::bad_agent(
                        tool.span,
                        "a model cannot say what this tool takes",
                        &label,
                        &help,
                    ));
                }
            }
        }
    }
}
