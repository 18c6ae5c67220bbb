//! The workflow: a typed DAG of calls, with regions for maps, branches and loops.

use crate::check::program::{Pin, Reuse, Rule};
use crate::diag::source::Span;
use crate::types::Type;
use ecow::EcoString;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A step: one call of a library task in the source (or in a fill). Index into [`Workflow::steps`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StepId(pub u32);

/// A value that flows between nodes; unique in a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ValueId(pub u32);

/// Where a node takes a value from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// The value that another node, an input or a region parameter defines.
    Value(ValueId),
    /// A constant of the source.
    Literal(serde_json::Value),
}

/// A piece of data flow: nodes in dependency order (a node uses only values defined before it), and a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// The nodes, each after everything it uses.
    pub nodes: Vec<Node>,
    /// What the region yields.
    pub result: Operand,
}

impl Region {
    /// The step whose value the region yields as it is, where one does.
    pub fn given_by(&self) -> Option<StepId> {
        let Operand::Value(result) = self.result else { return None };
        self.nodes.iter().find(|node| node.output() == result).and_then(|node| match node {
            Node::Call { step, .. } => Some(*step),
            _ => None,
        })
    }
}

/// One node of a region. Each defines the value `output`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Node {
    /// A call of a library task.
    Call {
        /// Which step.
        step: StepId,
        /// The arguments, by parameter name; an absent optional argument is left out.
        args: Vec<(String, Operand)>,
        /// What it defines; a task with several named results yields a record.
        output: ValueId,
    },
    /// A call of a task that compositions can carry out too: one of the regions, or one call. Only before a plan is made; a plan
    /// has what was chosen.
    #[serde(skip)]
    Choose {
        /// The step that makes the choice, and carries the call out by itself where no way is chosen.
        step: StepId,
        /// The arguments of the call.
        args: Vec<(String, Operand)>,
        /// The data flow of each of the step's [`Step::ways`].
        ways: Vec<Region>,
        /// What it defines.
        output: ValueId,
    },
    /// The body once per item of a list; items in order, results in the same order.
    Map {
        /// The list.
        over: Operand,
        /// The item, inside the body.
        item: ValueId,
        /// What happens to each item.
        body: Region,
        /// The list of results.
        output: ValueId,
    },
    /// One of two regions.
    Branch {
        /// A Bool.
        when: Operand,
        /// In how large a share of the runs it is true, where the source says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        share: Option<Decimal>,
        /// If true.
        then: Region,
        /// If false.
        otherwise: Region,
        /// The result of the branch taken.
        output: ValueId,
    },
    /// The body again until `until` holds, at most `limit` times; yields the last round's result.
    Repeat {
        /// The largest number of rounds, at least 1.
        limit: u32,
        /// The usual number of rounds, where the job says it.
        expected: Option<u32>,
        /// The value carried from round to round, with where the first round takes it from; later rounds see the result of the
        /// round before.
        carry: Option<(ValueId, Operand)>,
        /// One round.
        body: Region,
        /// A Bool, in the scope of the body.
        until: Operand,
        /// The last round's result.
        output: ValueId,
    },
    /// A pure operation on data.
    Compute {
        /// Which.
        op: Op,
        /// Its operands.
        args: Vec<Operand>,
        /// What it defines.
        output: ValueId,
    },
}

/// A pure operation on data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A field of a record or a size of a medium.
    Field(String),
    /// A list of the operands.
    List,
    /// A record of the operands, with these field names.
    Record(Vec<String>),
    /// `+` on numbers; concatenation on Text and lists.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`; division by zero is a run-time error.
    Div,
    /// Unary minus.
    Neg,
    /// `==`.
    Eq,
    /// `!=`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `and`.
    And,
    /// `or`.
    Or,
    /// `or` behind a value that may be absent: the value, and the other one where it is absent.
    Otherwise,
    /// `not`.
    Not,
    /// An agent's account, of which more is noted: a list, and what comes behind.
    Note {
        /// The rounds of the loop in which it is noted, of which half on average read it; none where all do.
        rounds: Option<u32>,
    },
    /// A part of what a model said, null where it said none; further operands are values that it may have pointed at.
    Said(String),
}

/// A job as data flow.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Inputs: name, type, and the value that the body uses.
    pub inputs: Vec<(EcoString, Type, ValueId)>,
    /// The type of the result.
    pub result: Type,
    /// The data flow.
    pub body: Region,
    /// The calls, indexed by [`StepId`].
    pub steps: Vec<Step>,
}

/// One call of a library task.
#[derive(Clone, Debug)]
pub struct Step {
    /// The task.
    pub task: EcoString,
    /// Its display name, unique in the workflow.
    pub name: EcoString,
    /// Where it is called; `None` when the workflow was read from a plan.
    pub span: Option<Span>,
    /// What was pinned at the call.
    pub pins: Vec<Pin>,
    /// The rules of the called jobs that it comes from; `no pii to closed models` only where its data reaches the step.
    pub rules: Vec<Rule>,
    /// Further attempts.
    pub retries: u32,
    /// The limit of one attempt, in seconds.
    pub timeout: Option<Decimal>,
    /// Implementations that are to stand in where the chosen one fails, in order.
    pub fallbacks: Vec<EcoString>,
    /// Whether its results are kept for other runs, where the job says so.
    pub cache: Option<Reuse>,
    /// The compositions that can carry it out as well, each with its knobs set.
    pub ways: Vec<Way>,
    /// The composition that it is a part of.
    pub part: Option<Part>,
    /// The agent that it is a step or a tool of.
    pub agent: Option<InAgent>,
}

/// What a call is to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InAgent {
    /// Which agent of the job, from 0.
    pub number: u32,
    /// The most steps that it takes in one go.
    pub steps: u32,
    /// The most that all its calls may cost together in a run, in dollars, where the job says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Decimal>,
    /// Where the job says so; none in a plan.
    #[serde(skip)]
    pub cost_at: Option<Span>,
}

/// A composition with its knobs set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The composition.
    pub composition: EcoString,
    /// Its knobs, in order of declaration.
    pub knobs: Vec<(EcoString, EcoString)>,
}

/// What a step is in a composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The composition.
    pub way: Way,
    /// The share of the composition's answers that are this step's; none for a step that does not answer.
    pub answers: Option<Decimal>,
    /// The step that chooses, and which of its ways this is; none in a workflow where everything is chosen.
    pub of: Option<(StepId, usize)>,
}

impl Node {
    /// The value that the node defines.
    pub fn output(&self) -> ValueId {
        match self {
            Node::Call { output, .. }
            | Node::Choose { output, .. }
            | Node::Map { output, .. }
            | Node::Branch { output, .. }
            | Node::Repeat { output, .. }
            | Node::Compute { output, .. } => *output,
        }
    }
}
