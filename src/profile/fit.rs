//! Runs at several amounts of work → seconds = fixed + Σ per · work, nothing negative, with intervals.
//!
//! Least squares of the relative error, since samples differ in size; intervals by resampling the runs of each sample
//! (bootstrap), with a fixed seed, so that the same runs give the same rows.

/// A value within its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The value.
    pub value: f64,
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// All runs of one sample.
#[derive(Clone, Debug)]
pub struct Point {
    /// Work by dimension.
    pub work: Vec<f64>,
    /// Wall time of each run, seconds, at least one.
    pub seconds: Vec<f64>,
}

/// What the runs say.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Seconds whatever the work.
    pub fixed: Range,
    /// Seconds by unit of work, for each dimension.
    pub per: Vec<Range>,
    /// The 95th percentile of runs as a multiple of what is fitted; with [`ENOUGH_FOR_P95`] runs or more.
    pub p95: Option<f64>,
    /// The least and the largest of the samples' times as a multiple of what is fitted, 1 where none is beyond.
    pub off: (f64, f64),
}

/// Below so many runs, a 95th percentile is the largest run and says little.
pub const ENOUGH_FOR_P95: usize = 20;
const RESAMPLES: usize = 400;
/// More dimensions than this are never declared, and each doubles the work.
const MOST_DIMENSIONS: usize = 6;

/// The median; none of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len().checked_sub(1)? / 2;
    Some(if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle] + sorted[middle + 1]) / 2.0 })
}

/// The median with the least and the largest; none of nothing.
pub fn ends(values: &[f64]) -> Option<Range> {
    let low = values.iter().copied().reduce(f64::min)?;
    Some(Range { value: median(values)?, low, high: values.iter().copied().fold(low, f64::max) })
}

/// Fits the runs. None where there are none, or more dimensions than can be told apart.
pub fn fit(points: &[Point]) -> Option<Fitted> {
    let dimensions = points.first()?.work.len();
    if dimensions > MOST_DIMENSIONS {
        return None;
    }
    let medians: Option<Vec<f64>> = points.iter().map(|p| median(&p.seconds)).collect();
    let works: Vec<&[f64]> = points.iter().map(|p| p.work.as_slice()).collect();
    let best = least(&works, &medians?)?;
    let mut draws: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); dimensions + 1];
    let mut random = fastrand::Rng::with_seed(0x6d6b_6263);
    for _ in 0..RESAMPLES {
        let drawn: Option<Vec<f64>> = points
            .iter()
            .map(|p| median(&p.seconds.iter().map(|_| p.seconds[random.usize(..p.seconds.len())]).collect::<Vec<_>>()))
            .collect();
        if let Some(parts) = drawn.and_then(|d| least(&works, &d)) {
            parts.iter().zip(&mut draws).for_each(|(part, all)| all.push(*part));
        }
    }
    let mut ranges = best.iter().zip(&mut draws).map(|(value, all)| {
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all.get((share * all.len().saturating_sub(1) as f64).round() as usize).copied();
        let (low, high) = (at(0.025).unwrap_or(*value), at(0.975).unwrap_or(*value));
        Range { value: *value, low: low.min(*value), high: high.max(*value) }
    });
    let fixed = ranges.next()?;
    Some(Fitted::new(fixed, ranges.collect(), points))
}

impl Fitted {
    /// Parts of the time, and how far the runs are from their sum.
    pub fn new(fixed: Range, per: Vec<Range>, points: &[Point]) -> Fitted {
        let predicted = |p: &Point| fixed.value + p.work.iter().zip(&per).map(|(w, r)| w * r.value).sum::<f64>();
        let ratios = points.iter().flat_map(|p| p.seconds.iter().map(|s| s / predicted(p)));
        let mut ratios: Vec<f64> = ratios.filter(|r| r.is_finite()).collect();
        ratios.sort_by(f64::total_cmp);
        let p95 = (ratios.len() >= ENOUGH_FOR_P95).then(|| ratios[(ratios.len() * 95).div_ceil(100) - 1].max(1.0));
        // Where the time does not follow the work in a line, intervals that hold the runs' noise would still leave whole samples out.
        let off = points.iter().filter_map(|p| Some(median(&p.seconds)? / predicted(p))).filter(|r| r.is_finite());
        let (least, most) = off.fold((1.0, 1.0), |(least, most): (f64, f64), r| (least.min(r), most.max(r)));
        let wide = |r: Range| Range { low: r.low.min(r.value * least), high: r.high.max(r.value * most), ..r };
        Fitted { fixed: wide(fixed), per: per.into_iter().map(wide).collect(), p95, off: (least, most) }
    }
}

/// The parts, none negative, that leave the least squared relative error: over every set of parts that may be positive, since
/// there are few. With fewer sizes than unknowns, the fixed part goes first: work is then taken to be all.
fn least(works: &[&[f64]], seconds: &[f64]) -> Option<Vec<f64>> {
    let unknowns = works.first()?.len() + 1;
    let row = |i: usize, part: usize| if part == 0 { 1.0 } else { works[i][part - 1] };
    let mut best: Option<(f64, usize, Vec<f64>)> = None;
    for set in 1u32..1 << unknowns {
        let parts: Vec<usize> = (0..unknowns).filter(|p| set & (1 << p) != 0).collect();
        if parts.len() > works.len() {
            continue;
        }
        let size = parts.len();
        let mut normal = vec![vec![0.0; size + 1]; size];
        for (i, t) in seconds.iter().enumerate() {
            let weight = 1.0 / (t * t).max(1e-18);
            for (a, &pa) in parts.iter().enumerate() {
                for (b, &pb) in parts.iter().enumerate() {
                    normal[a][b] += weight * row(i, pa) * row(i, pb);
                }
                normal[a][size] += weight * row(i, pa) * t;
            }
        }
        let Some(solved) = eliminate(normal) else { continue };
        if solved.iter().any(|x| *x < 0.0 || !x.is_finite()) {
            continue;
        }
        let mut all = vec![0.0; unknowns];
        parts.iter().zip(solved).for_each(|(p, x)| all[*p] = x);
        let error: f64 = seconds
            .iter()
            .enumerate()
            .map(|(i, t)| ((0..unknowns).map(|p| all[p] * row(i, p)).sum::<f64>() / t.max(1e-9) - 1.0).powi(2))
            .sum();
        // Of equally good fits, the one with fewer parts; of those, the one that lets the work count.
        let better = best.as_ref().is_none_or(|(e, n, held)| {
            error < e - 1e-9 || (error - e).abs() <= 1e-9 && (size < *n || size == *n && held[0] > 0.0 && all[0] == 0.0)
        });
        if better {
            best = Some((error, size, all));
        }
    }
    best.map(|(.., parts)| parts)
}

/// Gaussian elimination with pivoting on a matrix with its right side; none where it is singular.
fn eliminate(mut m: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = m.len();
    let scale = m.iter().flat_map(|r| &r[..n]).fold(0.0f64, |a, x| a.max(x.abs()));
    for column in 0..n {
        let pivot = (column..n).max_by(|a, b| m[*a][column].abs().total_cmp(&m[*b][column].abs()))?;
        if m[pivot][column].abs() <= scale * 1e-12 {
            return None;
        }
        m.swap(column, pivot);
        for row in 0..n {
            if row != column {
                let factor = m[row][column] / m[column][column];
                let source = m[column].clone();
                m[row].iter_mut().zip(source).skip(column).for_each(|(x, y)| *x -= factor * y);
            }
        }
    }
    Some((0..n).map(|i| m[i][n] / m[i][i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(fixed: f64, per: &[f64], works: &[Vec<f64>]) -> Vec<Point> {
        let time = |work: &Vec<f64>| fixed + work.iter().zip(per).map(|(w, p)| w * p).sum::<f64>();
        works.iter().map(|w| Point { work: w.clone(), seconds: vec![time(w); 3] }).collect()
    }

    proptest! {
        // Every part can be told from none: fits whose times differ by less than some 3 in 100,000 count as equal.
        #[test]
        fn what_made_the_times_is_found_again(
            fixed in 0.5..10.0f64,
            a in 0.1..5.0f64,
            b in 0.1..5.0f64,
            size in 1.0..50.0f64,
        ) {
            let works = vec![vec![size, 1.0], vec![size * 2.0, 1.5], vec![size, 7.0], vec![size * 5.0, 3.0]];
            let found = fit(&points(fixed, &[a, b], &works)).expect("times");
            // What is small beside the longest time is lost in its rounding.
            let longest = fixed + a * size * 5.0 + b * 7.0;
            let near = |x: f64, y: f64| (x - y).abs() <= 1e-6 * (1.0 + longest);
            prop_assert!(near(found.fixed.value, fixed) && near(found.per[0].value, a) && near(found.per[1].value, b));
        }

        #[test]
        fn nothing_is_negative_and_every_value_lies_in_its_interval(
            seconds in proptest::collection::vec(proptest::collection::vec(1e-6..1e4f64, 1..6), 1..5),
            works in proptest::collection::vec(proptest::collection::vec(0.0..1e6f64, 2), 5),
        ) {
            let points: Vec<Point> =
                seconds.into_iter().zip(works).map(|(seconds, work)| Point { work, seconds }).collect();
            let found = fit(&points).expect("times");
            for range in found.per.iter().chain([&found.fixed]) {
                prop_assert!(range.low >= 0.0 && range.low <= range.value && range.value <= range.high, "{range:?}");
            }
        }
    }

    #[test]
    fn intervals_hold_samples_that_are_off_the_line() {
        // Twice the work takes ten times as long: no line, and the runs have no noise.
        let point = |work: f64, seconds: f64| Point { work: vec![work], seconds: vec![seconds; 3] };
        let points = [point(1.0, 1.0), point(2.0, 10.0), point(4.0, 100.0)];
        let found = fit(&points).expect("times");
        assert!(found.off.1 > 1.25 || found.off.0 < 0.8, "{:?}", found.off);
        for point in &points {
            let at = |end: fn(&Range) -> f64| end(&found.fixed) + point.work[0] * end(&found.per[0]);
            let time = point.seconds[0];
            assert!(at(|r| r.low) <= time * 1.000_001 && time <= at(|r| r.high) * 1.000_001, "{point:?} in {found:?}");
        }
    }

    #[test]
    fn one_size_says_what_the_work_costs_and_nothing_of_the_rest() {
        let found = fit(&points(0.0, &[0.5], &[vec![10.0]])).expect("times");
        assert_eq!((found.fixed.value, found.per[0].value), (0.0, 0.5));
        assert_eq!(fit(&[]), None);
    }

    #[test]
    fn a_percentile_needs_many_runs() {
        let mut point = Point { work: vec![1.0], seconds: vec![1.0; 19] };
        assert_eq!(fit(&[point.clone()]).expect("times").p95, None);
        point.seconds = (0..100).map(|i| if i < 94 { 1.0 } else { 2.0 }).collect();
        assert_eq!(fit(&[point]).expect("times").p95, Some(2.0));
    }
}
