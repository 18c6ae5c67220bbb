//! A [`Space`], the clauses in force and bounds on wishes -> a [`Model`]: the options that each step may still take, linear
//! rows over them, and ceilings on the longest path.
//!
//! The native search and z3 both read this model, so that they decide the same question.

use super::presolve::{Coupling, Space};
pub use super::problem::Origin;
use super::problem::{Aggregate, Bound, Charges, Figure, Wish};
use super::validate::HUGE;

/// The columns that each step may take.
#[derive(Clone, Debug)]
pub struct Domain {
    columns: Vec<u32>,
    start: Vec<u32>,
}

impl Default for Domain {
    /// No steps.
    fn default() -> Self {
        Domain { columns: Vec::new(), start: vec![0] }
    }
}

impl Domain {
    /// All columns.
    pub fn full(space: &Space) -> Self {
        let columns = (0..space.columns() as u32).collect();
        Domain { columns, start: space.start.iter().map(|&place| place as u32).collect() }
    }

    /// The columns of a step, ascending.
    pub fn of(&self, step: usize) -> &[u32] {
        &self.columns[self.start[step] as usize..self.start[step + 1] as usize]
    }

    /// Where the columns of a step are among those of all steps.
    pub fn range(&self, step: usize) -> std::ops::Range<usize> {
        self.start[step] as usize..self.start[step + 1] as usize
    }

    /// The columns of all steps, ascending.
    pub fn all(&self) -> &[u32] {
        &self.columns
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        self.start.len() - 1
    }

    /// The columns of the steps that have more than one.
    pub fn free(&self) -> usize {
        self.start.windows(2).map(|pair| (pair[1] - pair[0]) as usize).filter(|&size| size > 1).sum()
    }

    /// Whether some step has nothing left.
    pub fn is_empty(&self) -> bool {
        self.start.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// The one column of each step, when each has one.
    pub fn single(&self) -> Option<Vec<u32>> {
        self.start.windows(2).all(|pair| pair[0] + 1 == pair[1]).then(|| self.columns.clone())
    }

    /// Keeps the columns `(step, column)` that pass; says whether any went.
    pub fn retain(&mut self, keep: impl FnMut(usize, u32) -> bool) -> bool {
        self.retain_of(|_| true, keep)
    }

    /// Keeps the columns `(step, column)` of some steps that pass, and all of the others; says whether any went.
    pub fn retain_of(&mut self, some: impl Fn(usize) -> bool, mut keep: impl FnMut(usize, u32) -> bool) -> bool {
        let before = self.columns.len();
        let (mut read, mut write) = (0, 0);
        for step in 0..self.steps() {
            let end = self.start[step + 1] as usize;
            if some(step) {
                while read < end {
                    let column = self.columns[read];
                    self.columns[write] = column;
                    write += usize::from(keep(step, column));
                    read += 1;
                }
            } else {
                if write < read {
                    self.columns.copy_within(read..end, write);
                }
                write += end - read;
                read = end;
            }
            self.start[step + 1] = write as u32;
        }
        self.columns.truncate(write);
        write != before
    }

    /// The same in less room; there are `columns` in all.
    pub fn pack(self, columns: usize) -> Packed {
        let mut words = vec![0; columns.div_ceil(64)];
        self.columns.iter().for_each(|&column| words[column as usize / 64] |= 1 << (column % 64));
        Packed(words)
    }

    /// The domain that was packed; `start` says where the columns of each step start, and where the last ones end.
    pub fn unpack(packed: &Packed, start: &[usize]) -> Self {
        let mut domain = Domain { columns: Vec::new(), start: Vec::with_capacity(start.len()) };
        domain.start.push(0);
        let mut bounds = start.iter().skip(1).peekable();
        for (place, &word) in packed.0.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                let column = 64 * place + left.trailing_zeros() as usize;
                while bounds.next_if(|&&end| end <= column).is_some() {
                    domain.start.push(domain.columns.len() as u32);
                }
                domain.columns.push(column as u32);
                left &= left - 1;
            }
        }
        domain.start.extend(bounds.map(|_| domain.columns.len() as u32));
        domain
    }
}

/// A domain with one bit a column.
pub struct Packed(Vec<u64>);

impl Packed {
    /// The room that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}

/// `Σ coef · x <= rhs` over the chosen columns.
#[derive(Clone, Debug)]
pub struct Row {
    /// One coefficient per column.
    pub coef: Vec<i64>,
    /// The limit.
    pub rhs: i64,
    /// The steps with a coefficient other than 0, ascending.
    pub steps: Vec<usize>,
    /// What a proof calls it.
    pub origin: Origin,
}

impl Row {
    /// A row with the given coefficient on the columns of the given steps.
    pub fn new(space: &Space, steps: &[usize], rhs: i64, coef_of: impl Fn(usize) -> i64) -> Self {
        let mut coef = vec![0; space.columns()];
        let mut touched = Vec::new();
        for &step in steps {
            let columns = space.start[step]..space.start[step + 1];
            columns.clone().for_each(|column| coef[column] = coef_of(column));
            if columns.clone().any(|column| coef[column] != 0) {
                touched.push(step);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        Row { coef, rhs, steps: touched, origin: Origin::Derived }
    }

    /// The row under the name that a proof gives it.
    pub fn named(self, origin: Origin) -> Self {
        Row { origin, ..self }
    }

    /// `Σ figure over the path <= limit`, implied by a ceiling on the longest path.
    pub fn along(space: &Space, path: &[usize], figure: Figure, limit: i64) -> Self {
        let row = Row::new(space, path, limit, |column| space.figure(column, figure));
        row.named(Origin::Path(figure, path.to_vec()))
    }

    /// `Σ what the positions charge of the figure <= limit`, implied by a ceiling on the longest path.
    pub fn thick(space: &Space, path: &[Charges], figure: Figure, limit: i64) -> Self {
        let steps: Vec<usize> = path.iter().flatten().map(|charge| charge.1).collect();
        let mut of_step = vec![Vec::new(); space.stated()];
        for charges in path {
            let ends = charges.iter().skip(1).map(|next| next.0).chain([i64::MAX]);
            charges.iter().zip(ends).for_each(|(&(from, step), end)| of_step[step].push((from, end)));
        }
        let row = Row::new(space, &steps, limit, |column| {
            let figure = space.figure(column, figure);
            of_step[space.step[column]].iter().map(|&(from, end)| (figure.min(end) - from).max(0)).sum()
        });
        row.named(Origin::Levels(figure, path.to_vec()))
    }

    /// `Σ (options that assume the class) <= Σ (options of the class)`, implied by a coupling.
    pub fn link(space: &Space, coupling: &Coupling, class: u32) -> Self {
        let first = space.start[coupling.down];
        let row = Row::new(space, &[coupling.up, coupling.down], 0, |column| {
            if space.step[column] == coupling.up {
                -i64::from(space.class[column] == class)
            } else {
                i64::from(coupling.need[column - first] == class)
            }
        });
        let (up, down) = (coupling.up, coupling.down);
        if let Some(&instance) = up.checked_sub(space.stated()).and_then(|place| space.instances.get(place)) {
            return row.named(Origin::Uses(instance, down));
        }
        let assumes = coupling.need.iter().position(|&need| need == class);
        let choice = assumes.and_then(|place| space.choice(first + place));
        let stated = choice.and_then(|choice| choice.needs.iter().find(|need| need.0 == up));
        row.named(stated.map_or(Origin::Derived, |&(_, class)| Origin::Link { up, down, class }))
    }

    /// The left-hand side for one column per step.
    pub fn at(&self, columns: &[u32]) -> i64 {
        self.steps.iter().map(|&step| self.coef[columns[step] as usize]).sum()
    }

    fn most(&self, domain: &Domain) -> i64 {
        let of = |&step: &usize| domain.of(step).iter().map(|&column| self.coef[column as usize]).max().unwrap_or(0);
        self.steps.iter().map(of).sum()
    }
}

/// The longest path of a figure is at most a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ceiling {
    /// What a path adds up.
    pub figure: Figure,
    /// The largest allowed sum.
    pub limit: i64,
}

/// The question: one column per step, of the domain, under every row, ceiling and coupling.
pub struct Model<'s> {
    /// The space.
    pub space: &'s Space<'s>,
    /// The columns that no rule and no bound on a single step excludes.
    pub domain: Domain,
    /// Sums of figures and capacities.
    pub rows: Vec<Row>,
    /// Bounds on the longest path.
    pub ceilings: Vec<Ceiling>,
    /// A clause fails whatever is chosen.
    pub broken: bool,
}

impl<'s> Model<'s> {
    /// The model of the given clauses (indices, ascending) and upper bounds on wishes.
    pub fn new(space: &'s Space<'s>, clauses: &[usize], bounds: &[(Wish, i64)]) -> Self {
        let mut domain = Domain::full(space);
        let stated = &space.problem.clauses;
        let rule = |clause: &usize| clauses.binary_search(clause).is_ok();
        domain.retain(|_, column| space.choice(column as usize).is_none_or(|c| !c.breaks.iter().any(rule)));
        let mut model = Model { space, domain, rows: Vec::new(), ceilings: Vec::new(), broken: false };
        for &clause in clauses {
            match &stated[clause].bound {
                &Bound::AtMost { figure, over, limit } => model.bound(Wish { figure, over }, limit),
                Bound::AnyOf(any) => model.any_of(clause, any),
                Bound::Rule => (),
            }
        }
        for &(wish, limit) in bounds {
            model.bound(wish, limit);
        }
        for (resource, capacity) in space.problem.capacities.iter().enumerate() {
            for (set, together) in capacity.together.iter().enumerate() {
                let mut held = together.clone();
                held.extend(space.stated()..model.domain.steps());
                let row = Row::new(space, &held, capacity.units, |column| space.units(column, resource));
                model.add(row.named(Origin::Capacity(resource, set)));
            }
        }
        model.load();
        model
    }

    /// What loads an instance fits its capacity, and nothing loads it while it is closed.
    fn load(&mut self) {
        let space = self.space;
        for (step, &instance) in (space.stated()..).zip(&space.instances) {
            let Some(capacity) = space.problem.instances[instance].capacity else { continue };
            let mut steps: Vec<usize> =
                space.couplings.iter().filter(|coupling| coupling.up == step).map(|coupling| coupling.down).collect();
            steps.push(step);
            let row = Row::new(space, &steps, 0, |column| match space.choice(column) {
                Some(choice) if choice.instance == Some(instance) => choice.load,
                Some(_) => 0,
                None => -capacity.min(HUGE as i64) * i64::from(space.class[column]),
            });
            self.add(row.named(Origin::Load(instance)));
        }
    }

    /// One of the listed options is taken.
    fn any_of(&mut self, clause: usize, any: &[(usize, Vec<usize>)]) {
        let (space, mut steps) = (self.space, Vec::new());
        let mut listed = vec![false; space.columns()];
        for (step, options) in any {
            steps.push(*step);
            let columns = space.start[*step]..space.start[*step + 1];
            for (listed, option) in listed[columns.clone()].iter_mut().zip(&space.option[columns]) {
                *listed |= options.contains(option);
            }
        }
        let row = Row::new(space, &steps, -1, |column| -i64::from(listed[column]));
        self.add(row.named(Origin::AnyOf(clause)));
    }

    /// The model with only the given columns, which `space` has.
    pub fn restrict<'t>(&self, space: &'t Space<'t>, keep: &[u32]) -> Model<'t> {
        let pick = |row: &Row| Row {
            coef: keep.iter().map(|&column| row.coef[column as usize]).collect(),
            steps: row.steps.clone(),
            origin: row.origin.clone(),
            rhs: row.rhs,
        };
        Model {
            space,
            domain: Domain::full(space),
            rows: self.rows.iter().map(pick).collect(),
            ceilings: self.ceilings.clone(),
            broken: self.broken,
        }
    }

    /// Adds an upper bound on an aggregate.
    fn bound(&mut self, wish: Wish, limit: i64) {
        let space = self.space;
        match wish.over {
            Aggregate::Sum => {
                let steps: Vec<usize> = (0..self.domain.steps()).collect();
                let row = Row::new(space, &steps, limit, |column| space.sum(column, wish.figure));
                self.add(row.named(Origin::Sum(wish.figure)));
            }
            Aggregate::Max => {
                self.broken |= limit < 0;
                self.domain.retain(|_, column| space.figure(column as usize, wish.figure) <= limit);
            }
            Aggregate::Path => {
                self.broken |= limit < 0;
                match self.ceilings.iter_mut().find(|ceiling| ceiling.figure == wish.figure) {
                    Some(ceiling) => ceiling.limit = ceiling.limit.min(limit),
                    None => self.ceilings.push(Ceiling { figure: wish.figure, limit }),
                }
            }
        }
    }

    fn add(&mut self, row: Row) {
        self.broken |= row.steps.is_empty() && row.rhs < 0;
        if row.most(&self.domain) <= row.rhs {
            return;
        }
        match self.rows.iter_mut().find(|other| other.steps == row.steps && other.coef == row.coef) {
            Some(other) if other.rhs <= row.rhs => (),
            Some(other) => *other = row,
            None => self.rows.push(row),
        }
    }

    /// Whether one column per step satisfies every row, ceiling and coupling.
    pub fn admits(&self, columns: &[u32]) -> bool {
        let space = self.space;
        let coupled = |coupling: &Coupling| {
            let need = coupling.need[columns[coupling.down] as usize - space.start[coupling.down]];
            need == super::presolve::ANY || need == space.class[columns[coupling.up] as usize]
        };
        let under = |ceiling: &Ceiling| {
            super::presolve::value(space, columns, ceiling.figure, Aggregate::Path) <= ceiling.limit
        };
        !self.broken
            && columns.iter().enumerate().all(|(step, column)| self.domain.of(step).binary_search(column).is_ok())
            && space.couplings.iter().all(coupled)
            && self.rows.iter().all(|row| row.at(columns) <= row.rhs)
            && self.ceilings.iter().all(under)
    }
}
