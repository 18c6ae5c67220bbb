//! The integer problem that a space and its clauses become: one choice per step, so that every clause holds and the
//! wishes are best, in order.
//!
//! Every figure is a non-negative integer of which less is better, rounded against the user where a clause is hard.

use serde::{Deserialize, Serialize};

/// What a choice contributes to; also what a clause bounds and a wish minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Money for the whole run, in micro-dollars.
    Cost,
    /// Energy for the whole run, in milliwatt-hours.
    Energy,
    /// Quality loss: ⌈−10⁷ ln quality⌉.
    Loss,
    /// Time for the whole run, in milliseconds.
    Latency,
    /// GPUs held.
    Gpus,
    /// Time for the whole run that 95 % of runs stay within, in milliseconds.
    LatencyP95,
    /// Time for the whole run that 99 % of runs stay within, in milliseconds.
    LatencyP99,
    /// Time to the first token of the result, in milliseconds.
    Ttft,
    /// The same, that 95 % of runs stay within.
    TtftP95,
    /// The same, that 99 % of runs stay within.
    TtftP99,
    /// Time for a token of the result, in microseconds.
    Tpot,
    /// The same, that 95 % of runs stay within.
    TpotP95,
    /// The same, that 99 % of runs stay within.
    TpotP99,
}

/// How many figures there are.
pub const FIGURES: usize = 13;

/// How many are always written, so that problems without the later ones keep their bytes.
pub const WRITTEN: usize = 7;

/// One value per [`Figure`], in the order of [`Figure::ALL`].
pub type Figures = [i64; FIGURES];

impl Figure {
    /// All figures, in the order in which [`Choice::figures`] holds them.
    pub const ALL: [Figure; FIGURES] = [
        Figure::Cost,
        Figure::Energy,
        Figure::Loss,
        Figure::Latency,
        Figure::Gpus,
        Figure::LatencyP95,
        Figure::LatencyP99,
        Figure::Ttft,
        Figure::TtftP95,
        Figure::TtftP99,
        Figure::Tpot,
        Figure::TpotP95,
        Figure::TpotP99,
    ];

    /// The place of this figure in [`Choice::figures`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Figures that begin with these; those behind are zero.
pub fn beginning(values: [i64; WRITTEN]) -> Figures {
    let mut figures = Figures::default();
    figures[..WRITTEN].copy_from_slice(&values);
    figures
}

/// Figures as a list of at least [`WRITTEN`] numbers: those behind are zero where they are not written.
mod list {
    use super::{FIGURES, Figures, WRITTEN};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub fn serialize<S: Serializer>(figures: &Figures, to: S) -> Result<S::Ok, S::Error> {
        let last = figures.iter().rposition(|value| *value != 0).map_or(0, |at| at + 1);
        figures[..last.max(WRITTEN)].serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Figures, D::Error> {
        let values = Vec::<i64>::deserialize(from)?;
        if !(WRITTEN..=FIGURES).contains(&values.len()) {
            let wanted = format!("{WRITTEN} to {FIGURES} figures");
            return Err(de::Error::invalid_length(values.len(), &wanted.as_str()));
        }
        let mut figures = Figures::default();
        figures[..values.len()].copy_from_slice(&values);
        Ok(figures)
    }
}

/// How the figures of the chosen options combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The sum over all steps.
    Sum,
    /// The largest of any step.
    Max,
    /// The largest sum along any path of the DAG (the makespan, when the figure is latency).
    Path,
}

impl Choice {
    /// The instances that are there with this choice.
    pub fn instances(&self) -> impl Iterator<Item = usize> {
        self.instance.into_iter().chain(self.opens.iter().copied())
    }
}

/// One way to carry out a step.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What it contributes.
    #[serde(with = "list")]
    pub figures: Figures,
    /// Units of each resource that this choice holds while its step runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<(usize, i64)>,
    /// What downstream steps see of this choice (its output sizes), as a class of the step.
    #[serde(default)]
    pub class: u32,
    /// The classes of other steps that the figures above assume: `(step, class)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<(usize, u32)>,
    /// The rules (clauses of kind [`Bound::Rule`]) that this choice breaks, as indices into [`Problem::clauses`], sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaks: Vec<usize>,
    /// The shared instance that carries this choice out, as an index into [`Problem::instances`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<usize>,
    /// What it takes of that instance's capacity.
    #[serde(default)]
    pub load: i64,
    /// Instances that are there with this choice, beside the one that carries it out, and that it does not load, ascending: what several
    /// steps cost at most together is a ladder of these, each with what a rung adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opens: Vec<usize>,
}

/// Something that several choices may use and that is there once: a model held on GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Added to every sum (never to a path) once, when at least one chosen option uses it.
    #[serde(with = "list")]
    pub figures: Figures,
    /// Units of each resource that it holds for the whole run, once it is used.
    #[serde(default)]
    pub uses: Vec<(usize, i64)>,
    /// What its users may load it with in all; `None` for any load.
    #[serde(default)]
    pub capacity: Option<i64>,
}

/// A step and everything that could carry it out.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What could carry it out; exactly one is chosen.
    pub choices: Vec<Choice>,
}

/// What a clause asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The aggregate of the figure is at most the limit.
    AtMost {
        /// What is bounded.
        figure: Figure,
        /// How steps combine.
        over: Aggregate,
        /// The largest allowed value.
        limit: i64,
    },
    /// No chosen option may list this clause in its `breaks`.
    Rule,
    /// At least one of these steps takes one of its listed options: `(step, options)`.
    AnyOf(Vec<(usize, Vec<usize>)>),
}

/// A hard clause; its index in [`Problem::clauses`] is its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// What it asks.
    pub bound: Bound,
}

/// Something to minimise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// What is minimised.
    pub figure: Figure,
    /// How steps combine.
    pub over: Aggregate,
}

/// A pool of a resource (cores, GPUs of a kind). Never a clause: the machine is not negotiable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Units that exist.
    pub units: i64,
    /// Sets of steps that may run at once; within each, the units held by its steps and by all used instances may not
    /// exceed `units`.
    pub together: Vec<Vec<usize>>,
}

/// One choice per step such that every clause holds and the wishes, in order, are smallest.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Problem {
    /// The steps.
    pub steps: Vec<Step>,
    /// The DAG: `(before, after)`, acyclic.
    pub edges: Vec<(usize, usize)>,
    /// The hard clauses.
    pub clauses: Vec<Clause>,
    /// The wishes, most important first.
    pub wishes: Vec<Wish>,
    /// The pools, indexed by the first part of [`Choice::uses`].
    pub capacities: Vec<Capacity>,
    /// What choices may share, indexed by [`Choice::instance`] and [`Choice::opens`].
    pub instances: Vec<Instance>,
}

/// Which step each moment of a position counts for: `(from, step)`, the first from 0 and then ascending, each up to where the next one
/// begins and the last one without end.
pub type Charges = Vec<(i64, usize)>;

/// The row of the stated problem that a row is, so that a proof can name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The sum of a figure is at most the least of what the clauses and the settled wishes allow.
    Sum(Figure),
    /// So is the sum along a path of the DAG, by steps.
    Path(Figure, Vec<usize>),
    /// What the longest path is at least: positions one after the other, of each of which all steps come before all of the next, and the
    /// moments of which are counted for one step each.
    Levels(Figure, Vec<Charges>),
    /// What a set of concurrent steps holds of a resource, with the used instances: `(resource, set)`.
    Capacity(usize, usize),
    /// The options of `down` that assume a class of `up` are taken at most as often as options of that class.
    Link {
        /// The step that is assumed about.
        up: usize,
        /// The step whose options assume.
        down: usize,
        /// The class, as the problem numbers it.
        class: u32,
    },
    /// The options of a step that use an instance are taken at most as often as the instance is: `(instance, step)`.
    Uses(usize, usize),
    /// What loads an instance, less its capacity where it is open, is at most 0.
    Load(usize),
    /// A clause over several steps: one of its options is taken.
    AnyOf(usize),
    /// No row of the problem: it must not take part in a proof.
    Derived,
}
