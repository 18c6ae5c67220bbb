//! The tree of a `.mkb` file. Every node knows its place; what did not parse is an `Error` node in its place.

mod library;
mod shift;

use crate::diag::source::Span;
use ecow::EcoString;

pub use library::{Cluster, ClusterLine, Composition, Device, Implementation, LibraryLine, LibraryLineKind, Task};

/// A file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// Its items, in order.
    pub items: Vec<Item>,
}

/// A name in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: EcoString,
    /// Where it stands.
    pub span: Span,
}

/// A top-level item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The whole item.
    pub span: Span,
    /// Its doc comment, without the slashes.
    pub docs: EcoString,
    /// What it is.
    pub kind: ItemKind,
}

/// The kinds of items.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use std.video`
    Use(Vec<Name>),
    /// `job …`
    Job(Job),
    /// `task …`
    Task(Task),
    /// `model …` or `tool …`
    Implementation(Implementation),
    /// `compose …`
    Composition(Composition),
    /// `cluster …`
    Cluster(Cluster),
    /// `device …`
    Device(Device),
    /// `type Name { … }`
    Record(Name, Vec<Param>),
    /// `enum Name { … }`
    Enum(Name, Vec<Name>),
    /// Something that did not parse.
    Error,
}

/// A job: what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name.
    pub name: Name,
    /// Its inputs.
    pub params: Vec<Param>,
    /// Its result.
    pub result: TypeExpr,
    /// Its body; none, or one without statements that compute, is one hole.
    pub body: Vec<Stmt>,
}

/// A parameter or field.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: TypeExpr,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    /// Where it stands.
    pub span: Span,
    /// What it says.
    pub kind: TypeKind,
}

/// The kinds of types.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// A name.
    Name(EcoString),
    /// `Name[T]`; only `List` takes an argument.
    Applied(Name, Box<TypeExpr>),
    /// `T?`
    Optional(Box<TypeExpr>),
    /// `(name: T, …)`
    Tuple(Vec<Param>),
    /// Did not parse.
    Error,
}

/// A statement of a job's body.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// The whole statement.
    pub span: Span,
    /// What it is.
    pub kind: StmtKind,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `let pattern: T = value`
    Let(Vec<Name>, Option<TypeExpr>, Expr),
    /// A value; the last one is the block's result.
    Expr(Expr),
    /// `goal "…"`
    Goal(EcoString, Span),
    /// `slo { … }`
    Slo(Vec<Clause>),
    /// `minimize a, then maximize b`
    Wish(Vec<Wish>),
    /// `prefer …`
    Prefer(Preference),
    /// `expect …`
    Expect(Expectation),
    /// `using …` for every step that it can carry out
    Pin(Using),
    /// `on cluster`
    On(Name),
    /// `word …`: a rule of the job (`only open_models`, `no pii to closed models`, `avoid whisper`)
    Rule(Property),
    /// `knob n in [3, 5]`; only a composition has knobs of its own
    Knob(Name, Vec<Atom>),
    /// `profile "best_of_n.csv"`, in a composition
    Profile(EcoString, Span),
    /// Did not parse.
    Error,
}

/// A line of `slo { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// The whole line.
    pub span: Span,
    /// `cost`, `latency.p95`; empty where the line did not parse.
    pub metric: Vec<Name>,
    /// The comparison, with its place.
    pub op: (BinaryOp, Span),
    /// The limit.
    pub limit: Expr,
    /// `per item`, `per run`
    pub per: Option<Name>,
}

/// One wish.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// `maximize`?
    pub maximize: bool,
    /// The metric.
    pub metric: Vec<Name>,
    /// Where it stands.
    pub span: Span,
}

/// What `prefer` prefers.
#[derive(Clone, Debug, PartialEq)]
pub enum Preference {
    /// A limit.
    Clause(Clause),
    /// An implementation.
    Using(Using),
    /// A rule.
    Rule(Property),
}

/// `expect …`
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// `expect videos * 10 of 300 s`, `expect question.tokens of 20 tok`
    Input {
        /// The input, and a size of it.
        path: Vec<Name>,
        /// How many items.
        count: Option<Quantity>,
        /// How large each is.
        each: Option<Quantity>,
    },
    /// `expect 30 requests/s`
    Rate(Quantity),
    /// `expect trace "arrivals.csv"`
    Trace(Name, EcoString, Span),
}

/// `using whisper(variant: small) on a100 * 1`
#[derive(Clone, Debug, PartialEq)]
pub struct Using {
    /// The whole of it.
    pub span: Span,
    /// The implementation; none for `on …` alone.
    pub implementation: Option<Name>,
    /// Knobs that are pinned.
    pub knobs: Vec<(Name, Atom)>,
    /// Hardware that is pinned.
    pub hardware: Option<HardwareExpr>,
}

/// `gpu(memory >= 6 GB) * [1, 2]`
#[derive(Clone, Debug, PartialEq)]
pub struct HardwareExpr {
    /// The device or the kind of device.
    pub device: Name,
    /// What it must have.
    pub conditions: Vec<Clause>,
    /// How many; one where nothing is said.
    pub units: Vec<Quantity>,
}

/// A word and what follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// The whole line.
    pub span: Span,
    /// The first word.
    pub name: Name,
    /// The rest.
    pub values: Vec<Atom>,
}

/// A value that needs no computing.
#[derive(Clone, Debug, PartialEq)]
pub struct Atom {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: AtomKind,
}

/// The kinds of atoms.
#[derive(Clone, Debug, PartialEq)]
pub enum AtomKind {
    /// A word.
    Word(EcoString),
    /// A text.
    Text(EcoString),
    /// A quantity.
    Quantity(Quantity),
    /// A truth value.
    Bool(bool),
    /// A list.
    List(Vec<Atom>),
}

/// A number, with its unit where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Both.
    pub span: Span,
    /// The digits as written.
    pub number: EcoString,
    /// The unit as written, and its place.
    pub unit: Option<Name>,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A name.
    Name(EcoString),
    /// A number with or without unit.
    Number(Quantity),
    /// A text.
    Text(EcoString),
    /// A truth value.
    Bool(bool),
    /// `? "description" : T`
    Hole(Option<EcoString>, Option<TypeExpr>),
    /// `value.field`
    Field(Box<Expr>, Name),
    /// `task(a, name: b) using …`
    Call(Box<Call>),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `(seen: a, said: b)`: several values side by side
    Tuple(Vec<(Name, Expr)>),
    /// `-a`, `not a`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `if c { … } else { … }`, `if c expect 30 % { … } else { … }`
    If(Box<If>),
    /// `for x in xs { … }`
    For(Name, Box<Expr>, Vec<Stmt>),
    /// `1 to n`: the whole numbers from one to the other, both included
    Range(Box<Expr>, Box<Expr>),
    /// `repeat x = first up to 4 until c { … }`
    Repeat(Box<Repeat>),
    /// Statements and a value, in the place of a hole that was filled; never parsed as such.
    Block(Vec<Stmt>),
    /// Did not parse.
    Error,
}

/// A call and its conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is called.
    pub callee: Name,
    /// The arguments; named ones with their name.
    pub args: Vec<(Option<Name>, Expr)>,
    /// `using …`, `retry 2`, …
    pub suffixes: Vec<Suffix>,
}

/// A condition on one call.
#[derive(Clone, Debug, PartialEq)]
pub enum Suffix {
    /// `using whisper(variant: small) on cpu * 4`, `on cpu`
    Using(Using),
    /// `retry 2`
    Retry(Quantity),
    /// `timeout 30 s`
    Timeout(Quantity),
    /// `fallback pocketsphinx`
    Fallback(Name),
    /// `cache off`, `cache 24 h`
    Cache(Atom),
}

/// One of two blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// Which.
    pub condition: Expr,
    /// `expect 30 %`: in how large a share of the runs the first is taken.
    pub share: Option<Quantity>,
    /// If true.
    pub then: Vec<Stmt>,
    /// If false.
    pub otherwise: Option<Vec<Stmt>>,
}

/// A loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// `x = first`: what is carried from round to round.
    pub carry: Option<(Name, Expr)>,
    /// The largest number of rounds: a number, or a knob of the composition.
    pub limit: Expr,
    /// `expect 2`: how many rounds are usual.
    pub expected: Option<Quantity>,
    /// When to stop, in the scope of the body.
    pub until: Expr,
    /// One round.
    pub body: Vec<Stmt>,
}

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
}

impl BinaryOp {
    /// As written.
    pub fn text(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
        }
    }
}
