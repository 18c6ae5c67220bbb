//! The typed program: what a checked file means.

mod asked;
mod shift;

pub use asked::*;

use crate::diag::source::Span;
use crate::library::place::Places;
use crate::syntax::ast::{BinaryOp, UnaryOp};
use crate::types::Type;
use ecow::EcoString;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A checked file.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Its jobs, in order.
    pub jobs: Vec<Job>,
    /// The compositions that its jobs may be carried out by, by name.
    pub compositions: BTreeMap<EcoString, Arc<Composition>>,
    /// The modules that its file uses.
    pub used: BTreeSet<EcoString>,
}

/// A checked composition.
#[derive(Clone, Debug)]
pub struct Composition {
    /// Its data flow: the parameters and the result are those of its task.
    pub job: Job,
    /// The task that it carries out.
    pub task: EcoString,
    /// The task whose calls in it make the answers.
    pub answers: EcoString,
    /// Its knobs, in order of declaration: name, value in the data flow, and what it can be.
    pub knobs: Vec<(EcoString, LocalId, Vec<EcoString>)>,
}

/// A value with a name; unique in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalId(pub u32);

/// A hole; index into [`Job::holes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoleId(pub u32);

/// A checked job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: EcoString,
    /// Where its name stands.
    pub span: Span,
    /// Its documentation.
    pub docs: EcoString,
    /// Its inputs.
    pub params: Vec<LocalId>,
    /// Everything that has a name in it.
    pub locals: Vec<Local>,
    /// Its result.
    pub result: Type,
    /// Its goal in words.
    pub goal: Option<(EcoString, Span)>,
    /// Its data flow.
    pub body: Block,
    /// Its holes.
    pub holes: Vec<Hole>,
    /// The record of each field that is read, and the enum of each value that is named, by the place of the name.
    pub owners: BTreeMap<Span, EcoString>,
    /// The jobs that it calls, each with the place of its first call.
    pub calls: BTreeMap<EcoString, Span>,
    /// The modules that it takes tasks from.
    pub modules: BTreeSet<EcoString>,
    /// The tasks that its steps carry out, those of the jobs that it calls aside.
    pub tasks: BTreeSet<EcoString>,
    /// Whether names in it mean nothing or parts did not parse, so that what seems unused may not be.
    pub broken: bool,
    /// Its hard limits.
    pub clauses: Vec<Clause>,
    /// Soft limits, in order.
    pub preferred: Vec<Clause>,
    /// What it minimises, most important first.
    pub wishes: Vec<Wish>,
    /// Its pins and rules.
    pub rules: Vec<Rule>,
    /// The inputs that `pii` names.
    pub personal: Vec<LocalId>,
    /// How per-step quality becomes the job's.
    pub quality_rule: QualityRule,
    /// `cache on`, `cache off`, `cache 24 h`: for the calls that say nothing of it.
    pub cache: Option<Reuse>,
    /// What is known of its inputs' sizes.
    pub expectations: Vec<Expectation>,
    /// How often it is run.
    pub rate: Option<Rate>,
    /// The cluster that it names.
    pub cluster: Option<(EcoString, Span)>,
}

impl Job {
    /// How often it is run: runs a second.
    pub fn rate_per_s(&self) -> Option<Decimal> {
        self.rate.as_ref().map(|rate| rate.per_s)
    }

    /// The inputs that hold personal data: those that it names, else all.
    pub fn holding_personal_data(&self) -> Vec<LocalId> {
        if self.personal.is_empty() { self.params.clone() } else { self.personal.clone() }
    }

    /// A named value.
    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.0 as usize]
    }
}

/// A named value.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its name.
    pub name: EcoString,
    /// Where it is named.
    pub span: Span,
    /// Its type.
    pub ty: Type,
    /// The hole that defines it, so that its type follows from its use.
    pub hole: Option<HoleId>,
    /// Whether it is used.
    pub used: bool,
}

/// Statements and a result.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// `let` and values nobody uses, in order.
    pub lets: Vec<Let>,
    /// The result.
    pub result: Option<Box<Expr>>,
}

/// `let names = value`
#[derive(Clone, Debug)]
pub struct Let {
    /// One name for the value, or one for each field of a record; none for a value that is not used.
    pub names: Vec<LocalId>,
    /// The value.
    pub value: Expr,
}

/// A typed expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Where it stands.
    pub span: Span,
    /// Its type.
    pub ty: Type,
    /// What it is.
    pub kind: ExprKind,
}

/// The kinds of typed expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A named value.
    Local(LocalId),
    /// A constant.
    Literal(serde_json::Value),
    /// A hole.
    Hole(HoleId),
    /// A call of a library task.
    Task(Box<TaskCall>),
    /// A call of another job of the file, with its arguments in order.
    Job(EcoString, Vec<Expr>),
    /// A record, its fields in order.
    Record(Vec<(EcoString, Expr)>),
    /// A field, or a size of a medium.
    Field(Box<Expr>, EcoString),
    /// A list.
    List(Vec<Expr>),
    /// An operation on one value.
    Unary(UnaryOp, Box<Expr>),
    /// An operation on two values.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// One of two blocks.
    If(Box<If>),
    /// A block for each item of a list.
    For(LocalId, Box<Expr>, Block),
    /// The whole numbers from one to another, both included.
    Range(Count, Count),
    /// A block until it is good.
    Repeat(Box<Repeat>),
    /// A block of its own (the fill of a hole).
    Block(Block),
    /// A model that calls tools until it can answer.
    Agent(Box<Agent>),
    /// Something that did not check.
    Error,
}

/// A call of a library task.
#[derive(Clone, Debug)]
pub struct TaskCall {
    /// The task.
    pub task: EcoString,
    /// Where its name stands.
    pub span: Span,
    /// The arguments by parameter; an optional one may be absent.
    pub args: Vec<(EcoString, Expr)>,
    /// `using …`, `on …`.
    pub pins: Vec<Pin>,
    /// `retry 2`.
    pub retries: u32,
    /// `timeout 30 s`, in seconds.
    pub timeout: Option<Decimal>,
    /// `fallback pocketsphinx`: the implementations, in order.
    pub fallbacks: Vec<EcoString>,
    /// `cache on`, `cache off`, `cache 24 h`.
    pub cache: Option<Reuse>,
}

/// A model that calls tools until it can answer: a bounded number of steps, a declared set of tools.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Where it stands.
    pub span: Span,
    /// What is wanted, in words.
    pub goal: Expr,
    /// What it may call.
    pub tools: Vec<AgentTool>,
    /// What it is shown, by name.
    pub given: Vec<(EcoString, Expr)>,
    /// The most calls of the model.
    pub steps: u32,
    /// The most that its calls may cost together in a run, in dollars, and where that is written.
    pub cost: Option<(Decimal, Span)>,
    /// `using …`: which model.
    pub pins: Vec<Pin>,
    /// `retry 2`, of each of its calls.
    pub retries: u32,
    /// `timeout 30 s`, of each of its calls, in seconds.
    pub timeout: Option<Decimal>,
}

/// A task that an agent may call.
#[derive(Clone, Debug)]
pub struct AgentTool {
    /// The task.
    pub task: EcoString,
    /// Where it is named.
    pub span: Span,
    /// What the library says of it.
    pub says: EcoString,
    /// The parameters that the model gives.
    pub params: Vec<(EcoString, Type)>,
    /// What the task declares of them.
    pub places: Places,
    /// Whether its result is code.
    pub gives_code: bool,
    /// The arguments that the job gives.
    pub bound: Vec<(EcoString, Expr)>,
}

/// A whole number that is known before a run.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// As written.
    Number(u32),
    /// What a knob of the composition says.
    Knob(LocalId),
}

/// One of two blocks.
#[derive(Clone, Debug)]
pub struct If {
    /// Which.
    pub condition: Expr,
    /// In how large a share of the runs the first is taken, where the source says it: 0 to 1.
    pub share: Option<Decimal>,
    /// If true.
    pub then: Block,
    /// If false.
    pub otherwise: Block,
}

/// A loop.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// What is carried from round to round, and where the first round takes it from.
    pub carry: Option<(LocalId, Expr)>,
    /// The largest number of rounds, at least 1.
    pub limit: Count,
    /// The usual number of rounds.
    pub expected: Option<u32>,
    /// One round.
    pub body: Block,
    /// When to stop, in the scope of the body.
    pub until: Expr,
}

/// A hole.
#[derive(Clone, Debug)]
pub struct Hole {
    /// Its name in the lock file: `people`, `result`, or a number.
    pub name: EcoString,
    /// Where it stands.
    pub span: Span,
    /// What is wanted, in words.
    pub goal: EcoString,
    /// Its type; [`Type::Unknown`] where nothing says it.
    pub ty: Type,
    /// What is in scope, innermost last.
    pub scope: Vec<LocalId>,
}
