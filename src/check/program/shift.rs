//! Every place in a checked job moves with its item.

use super::*;
use crate::diag::shift::shifts;
use crate::library::place::Place;

shifts! {
    nothing Type;
    nothing LocalId;
    nothing HoleId;
    nothing Metric;
    nothing Stands;
    nothing QualityRule;
    nothing Decimal;
    nothing Count;
    nothing Reuse;
    nothing Place;
    nothing serde_json::Value;
    struct Job {
        name, span, docs, params, locals, result, goal, body, holes, owners, calls, modules, tasks, broken, clauses, preferred,
        wishes, rules, personal, quality_rule, cache, expectations, rate, cluster,
    }
    struct Local { name, span, ty, hole, used }
    struct Block { lets, result }
    struct Let { names, value }
    struct Expr { span, ty, kind }
    struct TaskCall { task, span, args, pins, retries, timeout, fallbacks, cache }
    struct Agent { span, goal, tools, given, steps, cost, pins, retries, timeout }
    struct AgentTool { task, span, says, params, places, gives_code, bound }
    struct If { condition, share, then, otherwise }
    struct Repeat { carry, limit, expected, body, until }
    struct Hole { name, span, goal, ty, scope }
    struct Clause { metric, limit, stands, span, limit_span, unit, text }
    struct Wish { metric, span }
    struct Rule { kind, soft, span, text }
    struct Rate { per_s, span, trace }
    struct Pin { implementation, knobs, device, memory_gb, units, span }
    struct Expectation { input, size, count, each, span }
    enum ExprKind {
        Local(id),
        Literal(value),
        Hole(id),
        Task(call),
        Job(name, args),
        Record(fields),
        Field(value, name),
        List(items),
        Unary(op, value),
        Binary(op, left, right),
        If(branch),
        For(item, list, body),
        Range(from, to),
        Repeat(repeat),
        Block(block),
        Agent(agent),
        Error,
    }
    enum RuleKind { Pin(pin), Avoid(name), OnlyOpen, Region(name), Permissive, Retention(most), NoTraining, NoPiiToClosed { inputs } }
}
