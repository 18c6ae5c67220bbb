//! A number that depends on the classes of some upstream steps: one value for each combination of them.

use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// More combinations than this are not tabulated.
pub const MAX_CELLS: usize = 4096;

/// A function from the classes of some steps to numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The steps it depends on, ascending, each with the number of its classes.
    deps: Vec<(usize, u32)>,
    /// One value for each combination, the last step's class counting fastest.
    cells: Vec<Decimal>,
}

impl Table {
    /// The same value always.
    pub fn constant(value: Decimal) -> Table {
        Table { deps: Vec::new(), cells: vec![value] }
    }

    /// The steps it depends on.
    pub fn deps(&self) -> &[(usize, u32)] {
        &self.deps
    }

    /// The value under an assignment of classes to steps (at least to those that it depends on).
    pub fn at(&self, classes: &BTreeMap<usize, u32>) -> Decimal {
        let mut index = 0usize;
        for (step, n) in &self.deps {
            index = index * *n as usize + classes.get(step).copied().unwrap_or(0) as usize;
        }
        self.cells.get(index).copied().unwrap_or_default()
    }

    /// A function of two tables; `None` where it has no value or the table would be too large.
    pub fn zip(&self, other: &Table, f: &dyn Fn(Decimal, Decimal) -> Option<Decimal>) -> Option<Table> {
        let deps = union(&[&self.deps, &other.deps]);
        let cells: Option<Vec<Decimal>> =
            assignments(&deps)?.iter().map(|classes| f(self.at(classes), other.at(classes))).collect();
        Some(Table { deps, cells: cells? })
    }

    /// A function of one table.
    pub fn map(&self, f: &dyn Fn(Decimal) -> Option<Decimal>) -> Option<Table> {
        let cells: Option<Vec<Decimal>> = self.cells.iter().map(|c| f(*c)).collect();
        Some(Table { deps: self.deps.clone(), cells: cells? })
    }

    /// The table that is `by_class[c]` where `step` has class `c`.
    pub fn choose(step: usize, by_class: &[Table]) -> Option<Table> {
        if by_class.windows(2).all(|w| w[0] == w[1]) {
            return by_class.first().cloned();
        }
        let own = [(step, by_class.len() as u32)];
        let mut all: Vec<&[(usize, u32)]> = by_class.iter().map(|t| t.deps.as_slice()).collect();
        all.push(&own);
        let deps = union(&all);
        let cells = assignments(&deps)?.iter().map(|classes| by_class[classes[&step] as usize].at(classes)).collect();
        Some(Table { deps, cells })
    }
}

/// The steps of several tables.
pub fn union(all: &[&[(usize, u32)]]) -> Vec<(usize, u32)> {
    let merged: BTreeMap<usize, u32> = all.iter().flat_map(|d| d.iter().copied()).collect();
    merged.into_iter().collect()
}

/// Every combination of classes, the last step's counting fastest; `None` where they are too many.
pub fn assignments(deps: &[(usize, u32)]) -> Option<Vec<BTreeMap<usize, u32>>> {
    let total = deps.iter().try_fold(1usize, |t, (_, n)| t.checked_mul(*n as usize).filter(|t| *t <= MAX_CELLS))?;
    let mut all = Vec::with_capacity(total);
    for mut index in 0..total {
        let mut classes = BTreeMap::new();
        for (step, n) in deps.iter().rev() {
            classes.insert(*step, (index % *n as usize) as u32);
            index /= *n as usize;
        }
        all.push(classes);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    #[test]
    fn tables_over_different_steps_combine_over_both() {
        let a = Table::choose(0, &[Table::constant(dec!(1)), Table::constant(dec!(2))]).expect("small");
        let b = Table::choose(1, &[Table::constant(dec!(10)), Table::constant(dec!(20))]).expect("small");
        let sum = a.zip(&b, &|x, y| x.checked_add(y)).expect("small");
        assert_eq!(sum.deps(), [(0, 2), (1, 2)]);
        assert_eq!(sum.at(&BTreeMap::from([(0, 1), (1, 0)])), dec!(12));
    }

    #[test]
    fn a_choice_without_difference_is_no_dependency() {
        let same = Table::choose(3, &[Table::constant(dec!(1)), Table::constant(dec!(1))]).expect("small");
        assert!(same.deps().is_empty());
    }
}
