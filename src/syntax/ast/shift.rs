//! Every place in a tree moves with its item.

use super::*;
use crate::diag::shift::shifts;

shifts! {
    nothing BinaryOp;
    nothing UnaryOp;
    struct Name { text, span }
    struct Item { span, docs, kind }
    struct Job { name, params, result, body }
    struct Param { name, ty }
    struct TypeExpr { span, kind }
    struct Stmt { span, kind }
    struct Clause { span, metric, op, limit, per }
    struct Wish { maximize, metric, span }
    struct Using { span, implementation, knobs, hardware }
    struct HardwareExpr { device, conditions, units }
    struct Property { span, name, values }
    struct Atom { span, kind }
    struct Quantity { span, number, unit }
    struct Expr { span, kind }
    struct Call { callee, args, suffixes }
    struct If { condition, share, then, otherwise }
    struct Repeat { carry, limit, expected, until, body }
    struct Task { name, params, result, lines }
    struct Implementation { is_model, name, tasks, lines }
    struct Composition { name, task, body }
    struct LibraryLine { span, kind }
    struct Cluster { name, pools, properties }
    struct Device { name, properties }
    enum ItemKind {
        Use(path),
        Job(job),
        Task(task),
        Implementation(implementation),
        Composition(composition),
        Cluster(cluster),
        Device(device),
        Record(name, fields),
        Enum(name, values),
        Error,
    }
    enum TypeKind { Name(name), Applied(name, of), Optional(of), Tuple(fields), Error }
    enum StmtKind {
        Let(names, ty, value),
        Expr(value),
        Goal(text, at),
        Slo(clauses),
        Wish(wishes),
        Prefer(preference),
        Expect(expectation),
        Pin(using),
        On(cluster),
        Rule(rule),
        Knob(name, values),
        Profile(file, at),
        Error,
    }
    enum Preference { Clause(clause), Using(using), Rule(rule) }
    enum Expectation { Input { path, count, each }, Rate(rate), Trace(name, file, at) }
    enum AtomKind { Word(word), Text(text), Quantity(quantity), Bool(value), List(values) }
    enum ExprKind {
        Name(name),
        Number(quantity),
        Text(text),
        Bool(value),
        Hole(goal, ty),
        Field(value, name),
        Call(call),
        List(items),
        Tuple(parts),
        Unary(op, value),
        Binary(op, left, right),
        If(branch),
        For(name, list, body),
        Range(from, to),
        Repeat(repeat),
        Block(body),
        Error,
    }
    enum Suffix { Using(using), Retry(count), Timeout(time), Fallback(name), Cache(how) }
    enum LibraryLineKind {
        Work(name, value),
        Size(path, value),
        Knob(name, values),
        Runs(hardware),
        Engine(name, settings),
        Profile(file, at),
        Property(property),
        Error,
    }
}
