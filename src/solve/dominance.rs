//! The options of each step -> those that no other one replaces, whatever the other steps take.
//!
//! An option replaces another one when nothing outside the step can tell them apart (the same holdings, class, needs, broken
//! rules, instance and membership of clauses) and none of its figures is larger.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::problem::{Bound, Choice, Figure, Problem, Step};

/// What the options of a problem are compared by.
pub struct Keys<'p> {
    problem: &'p Problem,
    /// The figures that a clause or wish reads.
    pub figures: Vec<Figure>,
    /// The steps whose class another step assumes.
    assumed: Vec<bool>,
    /// The steps that a resource counts, per resource.
    counted: Vec<Vec<bool>>,
    /// The clauses over several steps that list an option, per step and option.
    listed: Vec<BTreeMap<usize, Vec<usize>>>,
    /// The steps whose options open instances that are rungs of one ladder: of two options, one opens what the other does and no more.
    ladders: Vec<bool>,
}

/// What two options must share to be compared by their figures alone.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'c> {
    instance: Option<usize>,
    class: u32,
    uses: Cow<'c, [(usize, i64)]>,
    needs: Cow<'c, [(usize, u32)]>,
    breaks: Cow<'c, [usize]>,
    listed: &'c [usize],
    opens: &'c [usize],
}

impl<'p> Keys<'p> {
    /// The keys of a problem; `asked` are figures that only later questions will read.
    pub fn new(problem: &'p Problem, asked: &[Figure]) -> Self {
        let bounded = problem.clauses.iter().filter_map(|clause| match clause.bound {
            Bound::AtMost { figure, .. } => Some(figure),
            Bound::Rule | Bound::AnyOf(_) => None,
        });
        let wished = problem.wishes.iter().map(|wish| wish.figure);
        let mut figures: Vec<Figure> = bounded.chain(wished).chain(asked.iter().copied()).collect();
        figures.sort_unstable();
        figures.dedup();
        let steps = problem.steps.len();
        let mut assumed = vec![false; steps];
        for &(of, _) in problem.steps.iter().flat_map(|step| &step.choices).flat_map(|choice| &choice.needs) {
            assumed[of] = true;
        }
        let mut counted = vec![vec![false; steps]; problem.capacities.len()];
        for (counts, capacity) in counted.iter_mut().zip(&problem.capacities) {
            capacity.together.iter().flatten().for_each(|&step| counts[step] = true);
        }
        let mut listed = vec![BTreeMap::new(); steps];
        for (place, clause) in problem.clauses.iter().enumerate() {
            let Bound::AnyOf(any) = &clause.bound else { continue };
            for (step, options) in any {
                for &option in options {
                    let clauses: &mut Vec<usize> = listed[*step].entry(option).or_default();
                    if clauses.last() != Some(&place) {
                        clauses.push(place);
                    }
                }
            }
        }
        let ladder = |step: &Step| {
            let longest = step.choices.iter().map(|choice| choice.opens.as_slice()).max_by_key(|opens| opens.len());
            longest.is_some_and(|longest| {
                longest.is_empty() || step.choices.iter().all(|choice| longest.starts_with(&choice.opens))
            })
        };
        let ladders = problem.steps.iter().map(ladder).collect();
        Keys { problem, figures, assumed, counted, listed, ladders }
    }

    fn key<'c>(&'c self, step: usize, option: usize, choice: &'c Choice) -> Key<'c> {
        let kept = |used: &(usize, i64)| used.1 > 0 && self.counted[used.0][step];
        let uses = if choice.uses.iter().all(kept) && choice.uses.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            Cow::Borrowed(choice.uses.as_slice())
        } else {
            let mut sums: BTreeMap<usize, i64> = BTreeMap::new();
            choice.uses.iter().filter(|used| kept(used)).for_each(|used| *sums.entry(used.0).or_default() += used.1);
            Cow::Owned(sums.into_iter().collect())
        };
        Key {
            instance: choice.instance,
            class: if self.assumed[step] { choice.class } else { 0 },
            uses,
            needs: ascending(&choice.needs),
            breaks: ascending(&choice.breaks),
            listed: self.listed[step].get(&option).map_or(&[], Vec::as_slice),
            opens: if self.ladders[step] { &[] } else { choice.opens.as_slice() },
        }
    }

    /// Whether an option can be taken at all.
    fn possible(&self, step: usize, choice: &Choice, key: &Key) -> bool {
        let two_classes = key.needs.windows(2).any(|pair| pair[0].0 == pair[1].0);
        let denied = key.needs.iter().any(|&(of, need)| of == step && need != choice.class);
        let room = choice.instance.and_then(|instance| self.problem.instances[instance].capacity);
        !two_classes && !denied && room.is_none_or(|room| choice.load <= room)
    }

    /// The options of a step that no other one replaces, ascending. Of equal ones the first stays.
    pub fn undominated(&self, step: usize) -> Vec<usize> {
        let choices = &self.problem.steps[step].choices;
        let loaded = choices
            .iter()
            .any(|choice| choice.instance.is_some_and(|instance| self.problem.instances[instance].capacity.is_some()));
        // On a ladder, who opens less opens nothing that the other does not.
        let opening = choices.iter().any(|choice| !choice.opens.is_empty());
        let width = self.figures.len() + usize::from(loaded) + usize::from(opening);
        let plain_step = !self.assumed[step] && self.listed[step].is_empty();
        let mut numbers: BTreeMap<Option<Key>, u32> = BTreeMap::new();
        let (mut same, mut last): (Option<Option<Key>>, u32) = (None, 0);
        // Group, first figure and option of what is possible, and all figures.
        let mut items: Vec<(u32, i64, u32)> = Vec::with_capacity(choices.len());
        let mut flat: Vec<i64> = Vec::with_capacity(choices.len() * width);
        for (o, choice) in choices.iter().enumerate() {
            // Most options are told apart by their figures alone, which needs no key.
            let on_ladder = self.ladders[step] || choice.opens.is_empty();
            let plain = plain_step && choice.instance.is_none() && on_ladder && choice.uses.is_empty();
            let key = if plain && choice.needs.is_empty() && choice.breaks.is_empty() {
                None
            } else {
                Some(self.key(step, o, choice))
            };
            if key.as_ref().is_none_or(|key| self.possible(step, choice, key)) {
                if same.as_ref() != Some(&key) {
                    let next = numbers.len() as u32;
                    last = match &key {
                        None => *numbers.entry(None).or_insert(next),
                        Some(_) => *numbers.entry(Some(self.key(step, o, choice))).or_insert(next),
                    };
                    same = Some(key);
                }
                let first = flat.len();
                flat.extend(self.figures.iter().map(|figure| choice.figures[figure.index()]));
                flat.extend(loaded.then_some(choice.load));
                flat.extend(opening.then_some(choice.opens.len() as i64));
                items.push((last, flat.get(first).copied().unwrap_or(0), o as u32));
            } else {
                flat.extend(std::iter::repeat_n(0, width));
            }
        }
        let row = |option: u32| &flat[option as usize * width..(option as usize + 1) * width];
        // In lexicographic order only an earlier option can replace a later one.
        items.sort_unstable_by(|a, b| {
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| row(a.2).cmp(row(b.2))).then_with(|| a.2.cmp(&b.2))
        });
        let mut kept = Vec::with_capacity(items.len());
        for group in items.chunk_by(|a, b| a.0 == b.0) {
            front(group.iter().map(|item| item.2), row, width, &mut kept);
        }
        kept.sort_unstable();
        kept
    }
}

/// Adds the options that no earlier one is at most as large as in every figure.
fn front<'f>(options: impl Iterator<Item = u32>, row: impl Fn(u32) -> &'f [i64], width: usize, kept: &mut Vec<usize>) {
    if width < 3 {
        // The first figure ascends, so that only the last one counts.
        let mut least = i64::MAX;
        for option in options {
            let last = row(option).last().copied().unwrap_or(0);
            if last < least {
                least = last;
                kept.push(option as usize);
            }
        }
        return;
    }
    if width == 3 {
        // The first figures ascend; the other two of the front make a staircase: the second ascends, the third descends.
        let mut stairs: Vec<(i64, i64)> = Vec::new();
        for option in options {
            let &[_, second, third] = row(option) else { continue };
            let place = stairs.partition_point(|stair| stair.0 <= second);
            if place > 0 && stairs[place - 1].1 <= third {
                continue;
            }
            let first = stairs[..place].partition_point(|stair| stair.0 < second);
            let end = first + stairs[first..].partition_point(|stair| stair.1 >= third);
            stairs.splice(first..end, [(second, third)]);
            kept.push(option as usize);
        }
        return;
    }
    // The first figure ascends: the others decide.
    match width {
        4 => minima(options, |option| <[i64; 3]>::try_from(&row(option)[1..]).unwrap_or_default(), kept),
        _ => minima(options, |option| &row(option)[1..], kept),
    }
}

/// Adds the options that no earlier one is at most as large as in every figure, whatever their order.
fn minima<F: AsRef<[i64]>>(options: impl Iterator<Item = u32>, figures: impl Fn(u32) -> F, kept: &mut Vec<usize>) {
    let mut least: Vec<F> = Vec::new();
    for option in options {
        let figures = figures(option);
        let more = |other: &F| other.as_ref().iter().zip(figures.as_ref()).fold(false, |any, (a, b)| any | (a > b));
        // What replaced the last option is likely to replace the next.
        match least.iter().position(|other| !more(other)) {
            Some(place) => least.swap(0, place),
            None => {
                least.push(figures);
                kept.push(option as usize);
            }
        }
    }
}

fn ascending<T: Copy + Ord>(list: &[T]) -> Cow<'_, [T]> {
    if list.windows(2).all(|pair| pair[0] < pair[1]) {
        return Cow::Borrowed(list);
    }
    let mut sorted = list.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    Cow::Owned(sorted)
}
