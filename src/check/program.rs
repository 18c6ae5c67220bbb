//! The typed program: what a checked file means.

mod shift;

use crate::diag::source::Span;
use crate::library::end_to_end::{EndToEnd, Form, Setting};
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
    /// `cache on`, `cache off`: for the calls that say nothing of it.
    pub cache: Option<bool>,
    /// What is known of its inputs' sizes.
    pub expectations: Vec<Expectation>,
    /// How often it is run: runs a second, from `expect 30 requests/s`.
    pub rate: Option<(Decimal, Span)>,
    /// The cluster that it names.
    pub cluster: Option<(EcoString, Span)>,
}

impl Job {
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
    /// `cache on`, `cache off`.
    pub cache: Option<bool>,
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

/// What can be limited or wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Money for a run.
    Cost,
    /// Wall time of a run.
    Latency,
    /// Wall time that 95 % of all runs stay within.
    LatencyP95,
    /// Wall time that 99 % of all runs stay within.
    LatencyP99,
    /// End-to-end quality.
    Quality,
    /// Energy of a run.
    Energy,
    /// GPUs held.
    Gpus,
    /// Wall time from the start of a run to the first token of its result.
    Ttft,
    /// The same, that 95 % of all runs stay within.
    TtftP95,
    /// The same, that 99 % of all runs stay within.
    TtftP99,
    /// Time for each token of the result after its first one.
    Tpot,
    /// The same, that 95 % of all runs stay within.
    TpotP95,
    /// The same, that 99 % of all runs stay within.
    TpotP99,
}

impl Metric {
    /// All metrics, with their names in the language.
    pub const ALL: [(Metric, &'static str); 13] = [
        (Metric::Cost, "cost"),
        (Metric::Latency, "latency"),
        (Metric::LatencyP95, "latency.p95"),
        (Metric::LatencyP99, "latency.p99"),
        (Metric::Quality, "quality"),
        (Metric::Energy, "energy"),
        (Metric::Gpus, "gpus"),
        (Metric::Ttft, "ttft"),
        (Metric::TtftP95, "ttft.p95"),
        (Metric::TtftP99, "ttft.p99"),
        (Metric::Tpot, "tpot"),
        (Metric::TpotP95, "tpot.p95"),
        (Metric::TpotP99, "tpot.p99"),
    ];

    /// Its name in the language.
    pub fn name(self) -> &'static str {
        Metric::ALL.iter().find(|(m, _)| *m == self).map_or("", |(_, n)| n)
    }

    /// Whether it speaks of the tokens of the result.
    pub fn of_tokens(self) -> bool {
        use Metric::{Tpot, TpotP95, TpotP99, Ttft, TtftP95, TtftP99};
        matches!(self, Ttft | TtftP95 | TtftP99 | Tpot | TpotP95 | TpotP99)
    }
}

/// A limit.
#[derive(Clone, Debug)]
pub struct Clause {
    /// What is limited.
    pub metric: Metric,
    /// The limit in base units (usd, s, ratio, Wh, devices): at least for quality, at most for the rest.
    pub limit: Decimal,
    /// The whole clause.
    pub span: Span,
    /// The limit alone, for repairs.
    pub limit_span: Span,
    /// The unit in which the limit is written, and its size in base units.
    pub unit: (EcoString, Decimal),
    /// As written.
    pub text: EcoString,
}

impl Clause {
    /// What two limits share when one can take the other's place: `latency` and `latency.p95` do not.
    pub fn figure(&self) -> Metric {
        self.metric
    }
}

/// A wish.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What is to be small (large, for quality).
    pub metric: Metric,
    /// Where it stands.
    pub span: Span,
}

/// A pin or rule over choices.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it asks.
    pub kind: RuleKind,
    /// Whether it may be broken.
    pub soft: bool,
    /// The whole rule.
    pub span: Span,
    /// As written.
    pub text: EcoString,
}

/// What a rule asks.
#[derive(Clone, Debug)]
pub enum RuleKind {
    /// `using whisper(variant: small) on a100 * 1`
    Pin(Pin),
    /// `avoid whisper`
    Avoid(EcoString),
    /// `only open_models`
    OnlyOpen,
    /// `region eu`
    Region(EcoString),
    /// `license permissive`
    Permissive,
    /// `no pii to closed models`
    NoPiiToClosed {
        /// The inputs that hold personal data.
        inputs: Vec<LocalId>,
    },
}

/// `using whisper(variant: small) on a100 * 1`
#[derive(Clone, Debug)]
pub struct Pin {
    /// The implementation.
    pub implementation: Option<EcoString>,
    /// Knob values.
    pub knobs: Vec<(EcoString, EcoString)>,
    /// The device; `gpu` for any GPU.
    pub device: Option<EcoString>,
    /// How many.
    pub units: Vec<u32>,
    /// Where it is written.
    pub span: Span,
}

/// How per-step quality becomes the job's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QualityRule {
    /// Every step must be right: the product.
    #[default]
    Product,
    /// The weakest step decides.
    Min,
    /// As a table says that was measured: `quality from "eval.csv"`.
    Measured(Arc<EndToEnd>),
}

impl QualityRule {
    /// What a step contributes, 0 to 1; `None` where a measured rule says nothing of it.
    pub fn contribution(&self, setting: &Setting) -> Option<Decimal> {
        match self {
            QualityRule::Measured(rule) => rule.contribution(setting),
            QualityRule::Product | QualityRule::Min => Some(setting.quality),
        }
    }

    /// How contributions combine.
    pub fn form(&self) -> Form {
        match self {
            QualityRule::Product => Form::Product,
            QualityRule::Min => Form::Min,
            QualityRule::Measured(rule) => rule.form,
        }
    }

    /// The job's quality.
    pub fn total(&self, contributions: impl Iterator<Item = Decimal>) -> Decimal {
        match self.form() {
            Form::Product => contributions.fold(Decimal::ONE, |a, b| a * b),
            Form::Min => contributions.min().unwrap_or(Decimal::ONE),
        }
    }

    /// Its name in a plan.
    pub fn name(&self) -> &'static str {
        match self {
            QualityRule::Product => "product",
            QualityRule::Min => "min",
            QualityRule::Measured(_) => "measured",
        }
    }

    /// The table of a measured one.
    pub fn table(&self) -> Option<&EndToEnd> {
        if let QualityRule::Measured(rule) = self { Some(rule) } else { None }
    }
}

/// What is known of an input's sizes.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The input.
    pub input: LocalId,
    /// A size of it; empty where the type has one main size.
    pub size: EcoString,
    /// How many items.
    pub count: Option<Decimal>,
    /// How large each is, in base units.
    pub each: Option<Decimal>,
    /// Where it stands.
    pub span: Span,
}
