//! A family's name -> a [`Recipe`], and back.

use std::fmt;
use std::str::FromStr;

/// What the options of a step look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Models of several sizes × hardware × batch × a knob, with figures that follow from one another as in real profiles.
    Realistic,
    /// Points of one smooth trade-off of cost, latency and loss: nothing is dominated and bounds are weak.
    Adversarial,
    /// Realistic options on instances that steps share: opening one costs money, energy and GPUs, and its load is bounded.
    Shared,
}

/// Where the limits lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tightness {
    /// Seven tenths of the way from the best to the cheapest plan's value.
    Loose,
    /// A quarter of the way.
    Tight,
    /// As tight, and a cost limit that is proved to be out of reach.
    Infeasible,
}

/// The shape of the DAG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dag {
    /// Layered for even seeds, series-parallel for odd ones.
    Mixed,
    /// Layers of one to four steps, each step after one to three of the layer before.
    Layered,
    /// Series and parallel compositions, at random.
    SeriesParallel,
}

/// Everything about a family of problems but the seed; written and read as `realistic-20x100-tight-coupled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What options look like.
    pub kind: Kind,
    /// How many steps, at least 1.
    pub steps: usize,
    /// How many options each step has, at least 1.
    pub options: usize,
    /// Where the limits lie.
    pub tightness: Tightness,
    /// The shape of the DAG.
    pub dag: Dag,
    /// Whether options assume the classes of upstream knobs.
    pub coupled: bool,
    /// How many clauses ask that one of several steps takes one of some options.
    pub sides: usize,
    /// Whether steps that may run at once share a pool of GPUs.
    pub pools: bool,
    /// Whether cost is the only wish; otherwise latency follows.
    pub single: bool,
}

/// The most steps and options of a recipe.
pub const MOST: usize = 1_000;

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Realistic => "realistic",
            Kind::Adversarial => "adversarial",
            Kind::Shared => "shared",
        };
        let tightness = match self.tightness {
            Tightness::Loose => "loose",
            Tightness::Tight => "tight",
            Tightness::Infeasible => "infeasible",
        };
        write!(f, "{kind}-{}x{}-{tightness}", self.steps, self.options)?;
        f.write_str(match self.dag {
            Dag::Mixed => "",
            Dag::Layered => "-layered",
            Dag::SeriesParallel => "-sp",
        })?;
        f.write_str(if self.coupled { "-coupled" } else { "" })?;
        if self.sides > 0 {
            write!(f, "-side{}", self.sides)?;
        }
        f.write_str(if self.pools { "-pools" } else { "" })?;
        f.write_str(if self.single { "-single" } else { "" })
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut words = name.split('-');
        let kind = match words.next() {
            Some("realistic") => Kind::Realistic,
            Some("adversarial") => Kind::Adversarial,
            Some("shared") => Kind::Shared,
            _ => return Err(format!("`{name}` begins with none of `realistic`, `adversarial`, `shared`")),
        };
        let size = words.next().and_then(|size| size.split_once('x'));
        let size = size.and_then(|(steps, options)| Some((steps.parse().ok()?, options.parse().ok()?)));
        let Some((steps, options)) = size.filter(|size| (1..=MOST).contains(&size.0) && (1..=MOST).contains(&size.1))
        else {
            return Err(format!("`{name}` needs a size such as `20x100`, steps x options, each from 1 to {MOST}"));
        };
        let tightness = match words.next() {
            Some("loose") => Tightness::Loose,
            Some("tight") => Tightness::Tight,
            Some("infeasible") => Tightness::Infeasible,
            _ => return Err(format!("`{name}` has none of `loose`, `tight`, `infeasible` after its size")),
        };
        let (dag, coupled, sides, pools, single) = (Dag::Mixed, false, 0, false, false);
        let mut recipe = Recipe { kind, steps, options, tightness, dag, coupled, sides, pools, single };
        for word in words {
            match (word, word.strip_prefix("side").map(str::parse)) {
                ("layered", _) => recipe.dag = Dag::Layered,
                ("sp", _) => recipe.dag = Dag::SeriesParallel,
                ("coupled", _) if kind != Kind::Adversarial => recipe.coupled = true,
                ("pools", _) if kind != Kind::Shared => recipe.pools = true,
                ("single", _) => recipe.single = true,
                (_, Some(Ok(sides @ 1..=MOST))) => recipe.sides = sides,
                _ => {
                    return Err(format!(
                        "`{name}`: `{word}` is none of its `layered`, `sp`, `coupled`, `sideN`, `pools`, `single`"
                    ));
                }
            }
        }
        Ok(recipe)
    }
}

/// The families that are measured when none is named.
pub const STANDARD: [&str; 24] = [
    "realistic-5x100-tight",
    "realistic-10x100-loose",
    "realistic-10x100-tight",
    "realistic-20x20-tight",
    "realistic-20x100-loose",
    "realistic-20x100-tight",
    "realistic-20x100-tight-single",
    "realistic-20x500-tight",
    "realistic-50x100-tight",
    "realistic-50x500-tight",
    "realistic-10x100-tight-coupled",
    "realistic-20x100-tight-coupled",
    "realistic-20x100-tight-pools",
    "realistic-20x100-tight-side20",
    "realistic-20x100-tight-coupled-side20",
    "realistic-20x100-infeasible",
    "realistic-20x100-infeasible-coupled",
    "adversarial-10x100-tight",
    "adversarial-20x100-tight",
    "adversarial-20x100-tight-side20",
    "adversarial-20x100-infeasible",
    "shared-20x20-tight",
    "shared-20x100-tight",
    "shared-50x20-tight",
];
