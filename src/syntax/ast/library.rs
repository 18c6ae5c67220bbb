//! The items of a library: tasks, what implements them, clusters, devices.

use super::{Atom, Expr, HardwareExpr, Name, Param, Property, Quantity, Stmt, TypeExpr};
use crate::diag::source::Span;
use ecow::EcoString;

/// A task: an interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its name.
    pub name: Name,
    /// What it takes.
    pub params: Vec<Param>,
    /// What it yields.
    pub result: TypeExpr,
    /// Its clauses.
    pub lines: Vec<LibraryLine>,
}

/// A model or tool: what carries out a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Implementation {
    /// `model`, not `tool`.
    pub is_model: bool,
    /// Its name.
    pub name: Name,
    /// The tasks that it carries out.
    pub tasks: Vec<Name>,
    /// Its clauses.
    pub lines: Vec<LibraryLine>,
}

/// A way to carry out a task by several calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Composition {
    /// Its name.
    pub name: Name,
    /// The task.
    pub task: Name,
    /// Its knobs, its profile and its data flow.
    pub body: Vec<Stmt>,
}

/// A clause of a task or an implementation.
#[derive(Clone, Debug, PartialEq)]
pub struct LibraryLine {
    /// The whole clause.
    pub span: Span,
    /// What it is.
    pub kind: LibraryLineKind,
}

/// The kinds of library clauses.
#[derive(Clone, Debug, PartialEq)]
pub enum LibraryLineKind {
    /// `work audio.duration`, `work input = question.tokens`
    Work(Option<Name>, Expr),
    /// `size frames.count = …`
    Size(Vec<Name>, Expr),
    /// `knob variant in [tiny, base]`
    Knob(Name, Vec<Atom>),
    /// `runs on cpu * [1, 2]`
    Runs(HardwareExpr),
    /// `engine process { … }`
    Engine(Name, Vec<Property>),
    /// `profile "whisper.csv"`
    Profile(EcoString, Span),
    /// Any other word: `license "MIT"`, `label "lowest tier"`, `quality from wer`
    Property(Property),
    /// Did not parse.
    Error,
}

/// `cluster azure_mixed { h100 * 8 at 6.88 usd/h }`
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: Name,
    /// Its pools: device, how many, price.
    pub pools: Vec<(Name, Quantity, Option<Quantity>)>,
    /// What its prices rest on.
    pub properties: Vec<Property>,
}

/// `device h100 { memory 80 GB }`
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its name.
    pub name: Name,
    /// What it has.
    pub properties: Vec<Property>,
}

/// A line of a cluster, on its way into it.
pub enum ClusterLine {
    /// `h100 * 8 at 6.88 usd/h`
    Pool(Name, Quantity, Option<Quantity>),
    /// `published "https://…"`
    Property(Property),
    /// Something that did not parse.
    Error,
}
