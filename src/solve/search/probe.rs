//! A bounded node -> its two halves, by looking a few pivots ahead.

use super::super::basis::Basis;
use super::super::branch::{Split, round, splits};
use super::super::model::Domain;
use super::super::price::{Goal, Multipliers};
use super::super::propagate::propagate;
use super::super::simplex::Answer;
use super::{Bounded, Node, Search};

/// Pivots of one side of a split that is only tried.
const PROBE_PIVOTS: usize = 30;
/// Looks at splits of a step after which they are no longer looked at before one is taken.
const RELIABLE: u32 = 2;

/// Looks at parts of the root for z3, which takes as many combinations.
const LOOKS: usize = 40;
/// Parts that are dived into, and more as long as there is no plan.
const DIVES: usize = 8;

/// What became of a node.
pub enum Branching {
    /// Two parts to visit, the more promising one last.
    Open(Vec<Node>),
    /// One side of a split was excluded: the node is the other.
    Narrowed(Box<Node>),
    /// Nothing better is left.
    Closed,
}

/// What a look at one side of a split says.
struct Probe {
    /// Its objective in the relaxation and the node that it would be; `None` when it is proved to hold nothing better.
    open: Option<(f64, Node)>,
    /// What proves its bound, or that it holds nothing better.
    by: Option<Multipliers>,
}

/// What looks at splits of one kind have said.
#[derive(Clone, Copy, Default)]
pub struct Gains {
    sums: [f64; 2],
    looks: u32,
}

impl Gains {
    fn see(&mut self, left: f64, right: f64) {
        self.sums[0] += left;
        self.sums[1] += right;
        self.looks += 1;
    }

    /// The product of the mean gains, once there were enough looks.
    fn expected(&self) -> Option<f64> {
        let looks = f64::from(self.looks);
        (self.looks >= RELIABLE).then(|| self.sums[0] / looks * (self.sums[1] / looks))
    }
}

impl Search<'_> {
    /// Takes the split whose weaker side and stronger side both bound best: as earlier looks at the same step say, where there
    /// were enough, and otherwise as looking at both sides says.
    pub(super) fn branch(&mut self, node: &Node, basis: &Basis, point: &[(u32, f64)]) -> Branching {
        let objective = self.relaxation.lp.objective(basis);
        let mut best: Option<(f64, Split, Option<[Probe; 2]>)> = None;
        for split in splits(&self.relaxation, &node.domain, basis, point) {
            let (score, probes) = match self.gains[split.place()].expected() {
                Some(score) => (score, None),
                None => match self.probe_both(node, &split, basis, objective) {
                    Ok((score, probes)) => (score, Some(probes)),
                    Err(branching) => return branching,
                },
            };
            if best.as_ref().is_none_or(|(most, ..)| score > *most) {
                best = Some((score, split, probes));
            }
        }
        let Some((_, split, probes)) = best else { return Branching::Closed };
        let [left, right] =
            match probes.map_or_else(|| self.probe_both(node, &split, basis, objective), |p| Ok((0.0, p))) {
                Ok((_, probes)) => probes,
                Err(branching) => return branching,
            };
        match (self.settle(node, &split, true, left), self.settle(node, &split, false, right)) {
            (Some(left), Some(right)) if left.0 <= right.0 => Branching::Open(vec![right.1, left.1]),
            (Some(left), Some(right)) => Branching::Open(vec![left.1, right.1]),
            (left, right) => Branching::Open(left.into_iter().chain(right).map(|side| side.1).collect()),
        }
    }

    /// Records what the relaxation says of parts of a node, and of parts of those, that nobody will visit: z3, which goes on from here, is
    /// quicker with it. Plans come along.
    pub(super) fn harvest(&mut self, root: &Bounded) {
        let mut parts = vec![(root.node.domain.clone(), root.basis.clone())];
        let (mut next, mut looks) = (0, 0);
        while next < parts.len() && looks < LOOKS {
            let (domain, basis) = parts[next].clone();
            next += 1;
            let point = self.relaxation.lp.primal(&basis);
            for split in splits(&self.relaxation, &domain, &basis, &point) {
                for left in [true, false] {
                    let (mut side, mut basis) = (split.side(&domain, left), basis.clone());
                    let open = propagate(self.model, &self.cutoff, &mut side) && self.resolve(&mut basis, &side);
                    if let Some(proof) = open.then(|| self.relaxation.round(&basis)).flatten() {
                        self.offer(&round(&self.relaxation.lp.primal(&basis), &side));
                        self.record(root.node.case, proof);
                        parts.push((side, basis));
                        looks += 1;
                    }
                }
            }
        }
        for (place, (side, basis)) in parts.into_iter().skip(1).enumerate() {
            let before = self.limit();
            if place >= DIVES && before.is_some() {
                break;
            }
            self.dive(side, basis);
            if self.goal != Goal::Any && self.limit() != before {
                self.polish(&root.node.domain, &root.basis);
            }
        }
    }

    /// Looks at both sides of a split; where one is excluded, that is all the branching there is.
    fn probe_both(
        &mut self,
        node: &Node,
        split: &Split,
        basis: &Basis,
        from: f64,
    ) -> Result<(f64, [Probe; 2]), Branching> {
        let [left, right] = [true, false].map(|left| self.probe(split.side(&node.domain, left), node.bound, basis));
        if let (Some(a), Some(b)) = (&left.open, &right.open) {
            let (a, b) = ((a.0 - from).max(1e-9), (b.0 - from).max(1e-9));
            self.gains[split.place()].see(a, b);
            return Ok((a * b, [left, right]));
        }
        Err(match (self.settle(node, split, true, left), self.settle(node, split, false, right)) {
            (Some((_, side)), _) | (_, Some((_, side))) => Branching::Narrowed(Box::new(side)),
            (None, None) => Branching::Closed,
        })
    }

    /// Records one side of the split that was taken.
    fn settle(&mut self, node: &Node, split: &Split, left: bool, probe: Probe) -> Option<(f64, Node)> {
        if self.cases.cut {
            return probe.open.map(|(objective, side)| (objective, Node { case: node.case, ..side }));
        }
        let case = self.cases.open(node.case, Some(split.half(left, &self.keep)));
        match (probe.by, &probe.open) {
            (Some(proof), None) => self.record(case, proof),
            (Some(proof), Some(_)) => self.cases.by(case, &proof),
            (None, _) => (),
        }
        if probe.open.is_none() {
            self.cases.close(case);
        }
        probe.open.map(|(objective, side)| (objective, Node { case, ..side }))
    }

    /// A few pivots on one side of a split.
    fn probe(&mut self, mut domain: Domain, bound: i64, basis: &Basis) -> Probe {
        if !propagate(self.model, &self.cutoff, &mut domain) {
            return Probe { open: None, by: None };
        }
        let mut basis = basis.clone();
        let answer = self.relaxation.solve(&mut basis, &domain, self.limit(), PROBE_PIVOTS);
        let proof = match &answer {
            Answer::Infeasible(ray) => Some(self.relaxation.round_ray(ray)),
            Answer::Cutoff => self.relaxation.round(&basis),
            Answer::Optimal | Answer::Stalled => None,
        };
        let objective = self.relaxation.lp.objective(&basis);
        let guess = bound.max(self.relaxation.value(objective));
        let (mut node, mut by) = (Node { domain, basis: None, bound, guess, case: 0 }, None);
        if let Some(proof) = proof {
            let proved = self.relaxation.bound(&proof, &node.domain);
            let excluded = proved.excludes(self.limit());
            node.bound = bound.max(proved.value());
            if excluded || node.bound > bound {
                by = Some(proof);
            }
            if excluded {
                return Probe { open: None, by };
            }
        }
        node.basis = Some(basis);
        Probe { open: Some((objective, node)), by }
    }
}
