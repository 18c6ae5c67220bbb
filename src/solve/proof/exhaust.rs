//! Rows and a stage of a certificate -> whether nothing is left: part by part, by combinations, and by looking.

use super::super::problem::Figure;
use super::rows::{Row, Rows};
use super::{Part, Stage};

/// The columns that each step may still take.
type Domain = Vec<Vec<u32>>;

/// A refutation being checked.
pub struct Exhaust<'a> {
    rows: &'a Rows<'a>,
    stage: &'a Stage,
    /// The rows that the stage names.
    named: Vec<Row>,
    own: Vec<Row>,
    ceilings: Vec<(Figure, i64)>,
    /// The combinations that were needed so far, over the columns that were left at the root.
    combined: Vec<Option<Row>>,
    live: Vec<u32>,
    left: &'a mut u64,
}

impl<'a> Exhaust<'a> {
    pub fn new(rows: &'a Rows<'a>, stage: &'a Stage, left: &'a mut u64) -> Result<Self, String> {
        let named = stage.rows.iter().map(|name| rows.named(name)).collect::<Result<Vec<Row>, String>>()?;
        let combined = vec![None; stage.combinations.len()];
        let (own, ceilings) = (rows.own()?, rows.ceilings().collect());
        Ok(Exhaust { rows, stage, named, own, ceilings, combined, live: Vec::new(), left })
    }

    /// Fails where something is left, or where that takes too long to see.
    pub fn run(&mut self) -> Result<(), String> {
        let mut domain = self.rows.domain.clone();
        if self.rows.broken() || !self.narrow(&mut domain, &[]) {
            return Ok(());
        }
        self.live = domain.iter().flatten().copied().collect();
        if self.stage.parts.is_empty() {
            return self.look(domain, &[]);
        }
        let mut seen = vec![false; self.stage.parts.len()];
        let mut open: Vec<(usize, Domain, Vec<usize>)> = vec![(0, domain, Vec::new())];
        while let Some((place, mut domain, mut by)) = open.pop() {
            // A part has one place in the tree.
            let Some((part, false)) = self.stage.parts.get(place).zip(seen.get(place).copied()) else {
                return Err(format!("part {place} does not exist, or twice"));
            };
            seen[place] = true;
            by.extend(&part.by);
            self.combine(part)?;
            if !self.narrow(&mut domain, &by) {
                continue;
            }
            if place == 0 {
                self.live = domain.iter().flatten().copied().collect();
            }
            let Some(split) = &part.split else {
                self.look(domain, &by)?;
                continue;
            };
            if split.step >= domain.len() {
                return Err(format!("part {place} divides step {}, which does not exist", split.step));
            }
            for (inside, &at) in [true, false].into_iter().zip(&split.parts) {
                let mut half = domain.clone();
                half[split.step].retain(|&c| split.options.contains(&self.rows.columns[c as usize].1) == inside);
                open.push((at, half, by.clone()));
            }
        }
        Ok(())
    }

    /// Adds the combinations of a part up.
    fn combine(&mut self, part: &Part) -> Result<(), String> {
        for &place in &part.by {
            let Some(terms) = self.stage.combinations.get(place) else {
                return Err(format!("there is no combination {place}"));
            };
            if self.combined[place].is_some() {
                continue;
            }
            let mut sum = Row { coef: vec![0; self.rows.columns.len()], rhs: 0 };
            for &(row, times) in terms {
                let row = self.named.get(row).filter(|_| times >= 0);
                let row = row.ok_or_else(|| format!("combination {place} has a wrong term"))?;
                let add = |sum: &mut i128, a: i128| {
                    *sum = a.checked_mul(i128::from(times)).and_then(|product| sum.checked_add(product))?;
                    Some(())
                };
                let live = self.live.iter().map(|&column| column as usize);
                let sums = live.map(|column| add(&mut sum.coef[column], row.coef[column])).collect::<Option<Vec<()>>>();
                if sums.is_none() || add(&mut sum.rhs, row.rhs).is_none() {
                    return Err(format!("combination {place} is too large"));
                }
            }
            self.combined[place] = Some(sum);
        }
        Ok(())
    }

    /// Excludes what single rows and combinations exclude; `false` when nothing is left.
    fn narrow(&self, domain: &mut Domain, by: &[usize]) -> bool {
        loop {
            let before: usize = domain.iter().map(Vec::len).sum();
            let combined = by.iter().rev().filter_map(|&place| self.combined[place].as_ref());
            if domain.iter().any(Vec::is_empty) || !combined.chain(&self.own).all(|row| row.narrow(domain)) {
                return false;
            }
            if !self.ceilings.iter().all(|&(figure, limit)| self.under(domain, figure, limit)) {
                return false;
            }
            self.couple(domain);
            if domain.iter().any(Vec::is_empty) {
                return false;
            }
            if domain.iter().map(Vec::len).sum::<usize>() == before {
                return true;
            }
        }
    }

    /// Excludes what makes some path longer than the limit.
    fn under(&self, domain: &mut Domain, figure: Figure, limit: i64) -> bool {
        let steps = self.rows.problem.steps.len();
        let weight = |column: u32| self.rows.choice(column).map_or(0, |c| i128::from(c.figures[figure.index()]));
        let least = |columns: &Vec<u32>| columns.iter().map(|&column| weight(column)).min().unwrap_or(0);
        let min: Vec<i128> = domain[..steps].iter().map(least).collect();
        let (mut head, mut tail) = (vec![0; steps], vec![0; steps]);
        for &step in &self.rows.order {
            for edge in self.rows.problem.edges.iter().filter(|edge| edge.0 == step) {
                head[edge.1] = head[edge.1].max(head[step] + min[step]);
            }
        }
        for &step in self.rows.order.iter().rev() {
            for edge in self.rows.problem.edges.iter().filter(|edge| edge.1 == step) {
                tail[edge.0] = tail[edge.0].max(tail[step] + min[step]);
            }
        }
        for step in 0..steps {
            let rest = i128::from(limit) - head[step] - tail[step];
            domain[step].retain(|&column| weight(column) <= rest);
        }
        i128::from(limit) >= 0 && domain.iter().all(|columns| !columns.is_empty())
    }

    /// Excludes what finds nothing of what it needs, and what nobody can go with.
    fn couple(&self, domain: &mut Domain) {
        for need in &self.rows.needs {
            let [up, down] = [need.up, need.down].map(|step| domain[step].clone());
            let goes = |column: &u32| need.of.get(column).is_none_or(|others| others.iter().any(|c| up.contains(c)));
            domain[need.down].retain(goes);
            if need.up != need.down && down.iter().all(|column| need.of.contains_key(column)) {
                let wanted = |other: &u32| down.iter().any(|column| need.of[column].contains(other));
                domain[need.up].retain(wanted);
            }
        }
    }

    /// Looks at everything that is left.
    fn look(&mut self, mut domain: Domain, by: &[usize]) -> Result<(), String> {
        *self.left = self.left.checked_sub(1).ok_or("more is left open than the certificate says")?;
        if !self.narrow(&mut domain, by) {
            return Ok(());
        }
        let open = (0..domain.len()).filter(|&step| domain[step].len() > 1);
        let Some(step) = open.min_by_key(|&step| domain[step].len()) else {
            return Err("a choice is left".to_owned());
        };
        for &column in &domain[step] {
            let mut one = domain.clone();
            one[step] = vec![column];
            self.look(one, by)?;
        }
        Ok(())
    }
}

impl Row {
    /// Excludes what the row excludes whatever the other steps take; `false` when it cannot hold.
    fn narrow(&self, domain: &mut Domain) -> bool {
        let least = |columns: &Vec<u32>| columns.iter().map(|&column| self.coef[column as usize]).min().unwrap_or(0);
        let min: Vec<i128> = domain.iter().map(least).collect();
        let slack = self.rhs - min.iter().sum::<i128>();
        for (columns, min) in domain.iter_mut().zip(min) {
            columns.retain(|&column| self.coef[column as usize] - min <= slack);
        }
        slack >= 0
    }
}
