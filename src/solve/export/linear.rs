//! A [`Problem`] and a [`Question`] -> a mixed-integer linear program that says the same, in exact integers.
//!
//! One binary per option, of which each step takes one; one binary per instance that an option may use; the end of each step as an
//! integer, at least its own length after the ends of those before it, wherever a longest path is bounded or minimised.

use std::collections::{BTreeMap, BTreeSet};

use super::Question;
use crate::solve::problem::{Aggregate, Bound, Choice, Figure, Problem, Wish};

/// Totals stay below 2^50, so that this is more than any of them, and a double holds it.
const BEYOND: i64 = 1 << 51;

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 0 or 1.
    Binary,
    /// An integer of at least 0, which the rows push up and nothing else does.
    Integer,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Unique; letters, digits and underscores.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// How the two sides of a row compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// At most.
    Le,
    /// Equal.
    Eq,
    /// At least.
    Ge,
}

/// `Σ coefficient · column` compared with a number.
#[derive(Clone, Debug)]
pub struct Row {
    /// Unique; letters, digits and underscores.
    pub name: String,
    /// `(column, coefficient)`, ascending, none of them 0.
    pub terms: Vec<(usize, i64)>,
    /// The comparison.
    pub sense: Sense,
    /// The right-hand side.
    pub rhs: i64,
}

/// The program: minimise the objective so that all rows hold.
#[derive(Clone, Debug, Default)]
pub struct Linear {
    /// The columns; those of options first, by step and option.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
    /// `(column, coefficient)`; empty when any plan will do.
    pub objective: Vec<(usize, i64)>,
}

/// Builds the program.
pub fn linear(problem: &Problem, question: &Question) -> Linear {
    let mut build =
        Build { problem, linear: Linear::default(), first: Vec::new(), used: BTreeMap::new(), ends: BTreeMap::new() };
    build.choose();
    build.couple();
    build.share();
    build.hold();
    for (c, clause) in problem.clauses.iter().enumerate() {
        let name = format!("clause_{c}");
        match &clause.bound {
            &Bound::AtMost { figure, over, limit } => build.at_most(name, figure, over, limit),
            Bound::Rule => build.none_of(name, |choice| choice.breaks.contains(&c)),
            Bound::AnyOf(any) => {
                let listed: BTreeSet<(usize, usize)> =
                    any.iter().flat_map(|(step, options)| options.iter().map(|&option| (*step, option))).collect();
                let terms = listed.iter().map(|&(step, option)| (build.first[step] + option, 1)).collect();
                build.row(name, terms, Sense::Ge, 1);
            }
        }
    }
    for (b, &(wish, value)) in question.bounds.iter().enumerate() {
        build.at_most(format!("wish_{b}"), wish.figure, wish.over, value);
    }
    if let Some(wish) = question.wish {
        build.minimise(wish);
    }
    build.linear
}

struct Build<'a> {
    problem: &'a Problem,
    linear: Linear,
    /// The column of each step's first option.
    first: Vec<usize>,
    /// The column of each instance that an option uses.
    used: BTreeMap<usize, usize>,
    /// The column of the last end, per figure that is followed along paths.
    ends: BTreeMap<Figure, usize>,
}

impl Build<'_> {
    fn column(&mut self, name: String, kind: Kind) -> usize {
        self.linear.columns.push(Column { name, kind });
        self.linear.columns.len() - 1
    }

    /// Adds a row; terms of the same column add up.
    fn row(&mut self, name: String, terms: Vec<(usize, i64)>, sense: Sense, rhs: i64) {
        let mut sum: BTreeMap<usize, i64> = BTreeMap::new();
        for (column, coefficient) in terms {
            *sum.entry(column).or_default() += coefficient;
        }
        let terms = sum.into_iter().filter(|term| term.1 != 0).collect();
        self.linear.rows.push(Row { name, terms, sense, rhs });
    }

    /// `(column, value)` of every option, where the value is not 0.
    fn options(&self, value: impl Fn(usize, &Choice) -> i64) -> Vec<(usize, i64)> {
        (0..self.problem.steps.len()).flat_map(|s| self.options_of(s, |choice| value(s, choice))).collect()
    }

    /// The same for the options of one step.
    fn options_of(&self, step: usize, value: impl Fn(&Choice) -> i64) -> Vec<(usize, i64)> {
        let choices = self.problem.steps[step].choices.iter().enumerate();
        let valued = choices.map(|(o, choice)| (self.first[step] + o, value(choice)));
        valued.filter(|term| term.1 != 0).collect()
    }

    fn choose(&mut self) {
        for (s, step) in self.problem.steps.iter().enumerate() {
            self.first.push(self.linear.columns.len());
            let taken = (0..step.choices.len()).map(|o| (self.column(format!("x_{s}_{o}"), Kind::Binary), 1)).collect();
            self.row(format!("one_{s}"), taken, Sense::Eq, 1);
        }
    }

    /// Options that assume a class of another step are only there with it.
    fn couple(&mut self) {
        let mut assumed: BTreeMap<(usize, usize, u32), Vec<(usize, i64)>> = BTreeMap::new();
        for (s, step) in self.problem.steps.iter().enumerate() {
            for (o, choice) in step.choices.iter().enumerate() {
                let needs: BTreeSet<(usize, u32)> = choice.needs.iter().copied().collect();
                for (up, class) in needs {
                    assumed.entry((s, up, class)).or_default().push((self.first[s] + o, 1));
                }
            }
        }
        for ((s, up, class), mut terms) in assumed {
            let of_class =
                self.problem.steps[up].choices.iter().enumerate().filter(|(_, choice)| choice.class == class);
            terms.extend(of_class.map(|(o, _)| (self.first[up] + o, -1)));
            self.row(format!("needs_{s}_{up}_{class}"), terms, Sense::Le, 0);
        }
    }

    /// An option uses its instance, and an instance carries no more than it can.
    fn share(&mut self) {
        let mut users: BTreeMap<usize, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
        for (s, step) in self.problem.steps.iter().enumerate() {
            for (o, choice) in step.choices.iter().enumerate() {
                for instance in choice.instances() {
                    users.entry(instance).or_default().entry(s).or_default().push(self.first[s] + o);
                }
            }
        }
        for (instance, users) in users {
            let used = self.column(format!("y_{instance}"), Kind::Binary);
            self.used.insert(instance, used);
            for (s, columns) in users {
                let terms = columns.into_iter().map(|column| (column, 1)).chain([(used, -1)]).collect();
                self.row(format!("uses_{s}_{instance}"), terms, Sense::Le, 0);
            }
            if let Some(capacity) = self.problem.instances[instance].capacity {
                let mut terms =
                    self.options(|_, choice| if choice.instance == Some(instance) { choice.load } else { 0 });
                terms.push((used, -capacity.clamp(-1, BEYOND)));
                self.row(format!("load_{instance}"), terms, Sense::Le, 0);
            }
        }
    }

    /// What steps that may run at once hold, with all that instances hold, is there.
    fn hold(&mut self) {
        for (r, capacity) in self.problem.capacities.iter().enumerate() {
            let on = |uses: &[(usize, i64)]| uses.iter().filter(|used| used.0 == r).map(|used| used.1).sum::<i64>();
            for (set, together) in capacity.together.iter().enumerate() {
                let members: BTreeSet<usize> = together.iter().copied().collect();
                let mut terms = self.options(|s, choice| if members.contains(&s) { on(&choice.uses) } else { 0 });
                terms.extend(self.used.iter().map(|(&i, &used)| (used, on(&self.problem.instances[i].uses))));
                self.row(format!("pool_{r}_{set}"), terms, Sense::Le, capacity.units.clamp(-1, BEYOND));
            }
        }
    }

    fn none_of(&mut self, name: String, barred: impl Fn(&Choice) -> bool) {
        let terms = self.options(|_, choice| i64::from(barred(choice)));
        self.row(name, terms, Sense::Le, 0);
    }

    /// The sum of a figure over options and instances.
    fn sum(&self, figure: Figure) -> Vec<(usize, i64)> {
        let mut terms = self.options(|_, choice| choice.figures[figure.index()]);
        terms.extend(self.used.iter().map(|(&i, &used)| (used, self.problem.instances[i].figures[figure.index()])));
        terms
    }

    /// The column that is at least the longest path.
    fn end(&mut self, figure: Figure) -> usize {
        if let Some(&end) = self.ends.get(&figure) {
            return end;
        }
        let end = self.column(format!("end_{figure:?}"), Kind::Integer);
        self.ends.insert(figure, end);
        let ends: Vec<usize> =
            (0..self.problem.steps.len()).map(|s| self.column(format!("end_{figure:?}_{s}"), Kind::Integer)).collect();
        let length = |this: &Self, step| this.options_of(step, |choice| choice.figures[figure.index()]);
        for (s, &own) in ends.iter().enumerate() {
            let mut terms = length(self, s);
            terms.push((own, -1));
            self.row(format!("takes_{figure:?}_{s}"), terms, Sense::Le, 0);
            self.row(format!("last_{figure:?}_{s}"), vec![(own, 1), (end, -1)], Sense::Le, 0);
        }
        let edges: BTreeSet<(usize, usize)> = self.problem.edges.iter().copied().collect();
        for (before, after) in edges {
            let mut terms = length(self, after);
            terms.extend([(ends[before], 1), (ends[after], -1)]);
            self.row(format!("waits_{figure:?}_{before}_{after}"), terms, Sense::Le, 0);
        }
        end
    }

    fn at_most(&mut self, name: String, figure: Figure, over: Aggregate, limit: i64) {
        let limit = limit.clamp(-1, BEYOND);
        match over {
            Aggregate::Sum => {
                let terms = self.sum(figure);
                self.row(name, terms, Sense::Le, limit);
            }
            Aggregate::Max => self.none_of(name, |choice| choice.figures[figure.index()] > limit),
            Aggregate::Path => {
                let end = self.end(figure);
                self.row(name, vec![(end, 1)], Sense::Le, limit);
            }
        }
    }

    fn minimise(&mut self, wish: Wish) {
        self.linear.objective = match wish.over {
            Aggregate::Sum => self.sum(wish.figure),
            Aggregate::Path => vec![(self.end(wish.figure), 1)],
            Aggregate::Max => {
                let most = self.column(format!("most_{:?}", wish.figure), Kind::Integer);
                for step in 0..self.problem.steps.len() {
                    let mut terms = self.options_of(step, |choice| choice.figures[wish.figure.index()]);
                    terms.push((most, -1));
                    self.row(format!("most_{:?}_{step}", wish.figure), terms, Sense::Le, 0);
                }
                vec![(most, 1)]
            }
        };
        self.linear.objective.retain(|term| term.1 != 0);
    }
}
