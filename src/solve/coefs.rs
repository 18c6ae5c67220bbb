//! The coefficients of a row, kept for the steps that it touches only: rows along paths are many, and touch few steps.

/// One coefficient per column of some steps, and nothing for the others.
pub struct Coefs<T> {
    /// By step, where the coefficient of its column 0 would be, were it there.
    shift: Vec<Option<u32>>,
    values: Vec<T>,
}

impl<T: Copy + Default> Coefs<T> {
    /// The coefficients of the columns of `steps`, that `fill` adds; `start` says where the columns of each step start, and where
    /// the last ones end.
    pub fn new(start: &[usize], steps: &[usize], mut fill: impl FnMut(&mut Vec<T>, std::ops::Range<usize>)) -> Self {
        let mut shift = vec![None; start.len() - 1];
        let mut values = Vec::with_capacity(steps.iter().map(|&step| start[step + 1] - start[step]).sum());
        for &step in steps {
            shift[step] = Some((values.len() as u32).wrapping_sub(start[step] as u32));
            fill(&mut values, start[step]..start[step + 1]);
        }
        Coefs { shift, values }
    }

    /// The coefficient of a column of a step.
    pub fn at(&self, step: usize, column: u32) -> T {
        self.shift[step].map_or_else(T::default, |shift| self.values[column.wrapping_add(shift) as usize])
    }

    /// The coefficients of some columns of a step, in their order.
    pub fn of<'c>(&'c self, step: usize, columns: &'c [u32]) -> impl Iterator<Item = T> + 'c {
        let (values, shift): (&[T], u32) = self.shift[step].map_or((&[], 0), |shift| (&self.values, shift));
        columns.iter().map(move |column| values.get(column.wrapping_add(shift) as usize).copied().unwrap_or_default())
    }

    /// The coefficients of some columns of a step, ascending, where they lie side by side: most steps have lost columns here and there,
    /// or none.
    pub fn run(&self, step: usize, columns: &[u32]) -> Option<&[T]> {
        let &[first, .., last] = columns else { return None };
        let from = first.wrapping_add(self.shift[step]?) as usize;
        ((last - first) as usize + 1 == columns.len()).then(|| &self.values[from..from + columns.len()])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }
}

impl Coefs<f64> {
    /// The scalar product with weights of columns of a step.
    pub fn dot(&self, step: usize, weights: &[(u32, f64)]) -> f64 {
        let Some(shift) = self.shift[step] else { return 0.0 };
        weights.iter().map(|&(column, x)| self.values[column.wrapping_add(shift) as usize] * x).sum()
    }
}
