//! Job + two or three metrics → the plans that no other one beats in them, each verified and labelled.

use super::Asked;
use super::answer::{Carrier, Front, FrontPoint, Line};
use super::names::{carrier, line};
use super::resolve::{keeps, total};
use crate::check::program::{Job, Metric};
use crate::compile::{Changes, Clash, Prepared, Undecided};
use crate::plan::build::total_of;
use crate::plan::model::Totals;
use crate::solve::check::aggregate;
use crate::solve::outcome::{Outcome, Status};
use crate::solve::pareto::{Answer, Extent, Point, front as solve_front};
use crate::solve::problem::{Bound, Clause, Wish};
use crate::solve::{Limits, solve};
use crate::space::encode::{Encoded, Origin, encode, wishes};
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeSet;

/// More points than this are not asked for.
pub const MOST_POINTS: usize = 10_000;

/// Reads `cost,latency,quality`.
pub fn metrics(text: &str) -> Result<Vec<Metric>, String> {
    let all = || Metric::ALL.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
    let mut metrics = Vec::new();
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let Some((metric, name)) = Metric::ALL.iter().find(|(_, name)| *name == word) else {
            return Err(match crate::diag::nearest(word, Metric::ALL.iter().map(|(_, n)| *n)) {
                Some(near) => format!("there is no metric `{word}`: did you mean `{near}`?"),
                None => format!("there is no metric `{word}`; there are {}", all()),
            });
        };
        if metrics.contains(metric) {
            return Err(format!("`{name}` is given twice: a front needs two or three different metrics"));
        }
        metrics.push(*metric);
    }
    match metrics.len() {
        2 | 3 => Ok(metrics),
        0 => Err(format!("a front needs two or three metrics: `cost,quality`, say; there are {}", all())),
        1 => Err(format!("a front needs two or three metrics, and `{text}` is one: `{text},quality`, say")),
        n => Err(format!("a front over {n} metrics cannot be shown: choose two or three of them")),
    }
}

/// What the front is to be.
pub struct Wanted<'w> {
    /// The metrics, two or three.
    pub metrics: &'w [Metric],
    /// At most so many points.
    pub points: usize,
    /// Whether the job's limits on these metrics are ignored.
    pub beyond: bool,
}

/// Finds the front of a job under its clauses; `chosen` is its plan, where it has one.
pub fn front(prepared: &Prepared, wanted: &Wanted, chosen: Option<Asked>, limits: &Limits) -> Result<Front, Undecided> {
    let traded = |metric: Metric| wanted.beyond && wanted.metrics.contains(&metric);
    let ignored = prepared.job.clauses.iter().filter(|c| traded(c.metric));
    let without: BTreeSet<_> = ignored.map(|c| c.span).collect();
    let changes = Changes { without, ..Changes::default() };
    let job = changes.job(&prepared.job);
    let mut strict = BTreeSet::new();
    loop {
        let encoded = encoding(prepared, &job, wanted.metrics, &strict);
        let metrics = wanted.metrics.len();
        let found = match solve_front(&encoded.problem, metrics, wanted.points, limits) {
            Answer::Front(found) => found,
            Answer::Conflict(found) => return Err(Undecided::Clash(Box::new(Clash { found, encoded, strict }))),
            Answer::Unknown(why) => return Err(Undecided::Unknown(why)),
        };
        let asked = Asked { prepared, encoded: &encoded, strict: &strict, choice: &[], limits: *limits };
        let totals: Vec<Totals> = found.points.iter().map(|p| total(&asked, &p.choice)).collect();
        // As in any plan, a limit holds in exact decimals: where the looser one let a point through, it is taken as it is.
        let broken = job.clauses.iter().filter(|c| totals.iter().any(|t| !keeps(c.metric, c.limit, t))).map(|c| c.span);
        let new: Vec<_> = broken.filter(|span| !strict.contains(span)).collect();
        if !new.is_empty() {
            strict.extend(new);
            continue;
        }
        let ignored: Vec<Line> = prepared
            .job
            .clauses
            .iter()
            .filter(|c| changes.without.contains(&c.span))
            .map(|c| line(&asked, &Origin::Clause(c.clone())))
            .collect();
        let extent = match found.extent {
            Extent::Complete => "complete",
            Extent::Subset => "subset",
            Extent::Cut => "cut",
        };
        let held = asked.prepared.job.clauses.iter().filter(|c| !changes.without.contains(&c.span));
        return Ok(Front {
            limits: held.map(|c| (c.metric.name().to_string(), c.limit)).collect(),
            metrics: wanted.metrics.iter().map(|m| m.name().to_string()).collect(),
            extent: extent.to_string(),
            ignored,
            points: labelled(&asked, wanted.metrics, (&found.points, found.extent == Extent::Complete), totals, chosen),
        });
    }
}

/// The job's problem, with the metrics of the front as its first wishes.
fn encoding(
    prepared: &Prepared,
    job: &Job,
    metrics: &[Metric],
    strict: &BTreeSet<crate::diag::source::Span>,
) -> Encoded {
    let rest = wishes(job).into_iter().filter(|m| !metrics.contains(m));
    let at = job.span;
    let wished = metrics.iter().copied().chain(rest).map(|metric| crate::check::program::Wish { metric, span: at });
    let job = Job { wishes: wished.collect(), ..job.clone() };
    let Prepared { workflow, space, library, machines, .. } = prepared;
    let input = crate::space::encode::Input { job: &job, kept: &[], workflow, space, library, machines, strict };
    encode(&input)
}

/// The points with their labels; the chosen plan among them, or behind them where something beats it.
fn labelled(
    asked: &Asked,
    metrics: &[Metric],
    (points, complete): (&[Point], bool),
    totals: Vec<Totals>,
    chosen: Option<Asked>,
) -> Vec<FrontPoint> {
    let steps = |choice: &[usize]| -> Vec<(String, Carrier)> {
        let steps = asked.prepared.workflow.steps.iter().enumerate();
        steps.map(|(at, s)| (s.name.to_string(), carrier(asked.candidate(at, choice)))).collect()
    };
    let mut made: Vec<FrontPoint> = points
        .iter()
        .zip(totals)
        .map(|(p, total)| FrontPoint { labels: Vec::new(), on_front: true, total, steps: steps(&p.choice) })
        .collect();
    // The search begins with the best of each metric, in their order: a part of a front may not have come to all of them.
    let found = if complete { metrics.len() } else { points.len() };
    for metric in metrics.iter().take(found) {
        let best = made.iter().map(|p| total_of(*metric, &p.total));
        let (best, label) = match metric {
            Metric::Quality => (best.max(), "best"),
            Metric::Cost => (best.min(), "cheapest"),
            Metric::Latency => (best.min(), "fastest"),
            Metric::LatencyP95 => (best.min(), "fastest for 95 %"),
            Metric::LatencyP99 => (best.min(), "fastest for 99 %"),
            Metric::Energy => (best.min(), "least energy"),
            Metric::Gpus => (best.min(), "fewest GPUs"),
            Metric::Ttft | Metric::TtftP95 | Metric::TtftP99 => (best.min(), "first to begin"),
            Metric::Tpot | Metric::TpotP95 | Metric::TpotP99 => (best.min(), "fastest tokens"),
        };
        if let Some(point) = made.iter_mut().find(|p| Some(total_of(*metric, &p.total)) == best) {
            point.labels.push(label.to_string());
        }
    }
    if made.len() > 2
        && let Some(knee) = knee(metrics, &made)
    {
        made[knee].labels.push("knee".to_string());
    }
    let Some(chosen) = chosen else { return made };
    match points.iter().position(|p| p.values == integers(asked, metrics, chosen.choice)) {
        Some(point) => made[point].labels.push("chosen".to_string()),
        None => {
            let (labels, total) = (vec!["chosen".to_string()], total(&chosen, chosen.choice));
            let known = total.energy_known || !metrics.contains(&Metric::Energy);
            let on_front = known && !is_beaten(asked, metrics, chosen.choice);
            made.push(FrontPoint { labels, on_front, total, steps: steps(chosen.choice) });
            made.sort_by_key(|p| (total_of(metrics[0], &p.total), !p.on_front));
        }
    }
    made
}

/// The values of a choice in the solver's units, in the order of the metrics.
fn integers(asked: &Asked, metrics: &[Metric], choice: &[usize]) -> Vec<i64> {
    let problem = &asked.encoded.problem;
    let wishes = problem.wishes.iter().take(metrics.len());
    let value = |w: &Wish| aggregate(problem, choice, w.figure, w.over).ok().and_then(|v| i64::try_from(v).ok());
    wishes.map(|w| value(w).unwrap_or(i64::MAX)).collect()
}

/// Whether a plan may be beaten: nothing is nowhere worse and somewhere better where the best under its own values as
/// ceilings has the same values.
fn is_beaten(asked: &Asked, metrics: &[Metric], choice: &[usize]) -> bool {
    let values = integers(asked, metrics, choice);
    let mut problem = asked.encoded.problem.clone();
    problem.wishes.truncate(metrics.len());
    for (wish, value) in asked.encoded.problem.wishes.iter().zip(&values) {
        let bound = Bound::AtMost { figure: wish.figure, over: wish.over, limit: *value };
        problem.clauses.push(Clause { bound });
    }
    match solve(&problem, &asked.limits) {
        Outcome::Solved(best) => best.proof.status != Status::Optimal || best.values != values,
        _ => true,
    }
}

/// The point nearest to having the best of every metric, each metric counted by its range over the front.
fn knee(metrics: &[Metric], points: &[FrontPoint]) -> Option<usize> {
    let distance = |p: &FrontPoint| -> f64 {
        let far = metrics.iter().map(|metric| {
            let all = points.iter().map(|p| total_of(*metric, &p.total));
            let (least, most) = (all.clone().min().unwrap_or_default(), all.max().unwrap_or_default());
            let best = if *metric == Metric::Quality { most } else { least };
            let off = (total_of(*metric, &p.total) - best).abs().to_f64().unwrap_or(0.0);
            let range = (most - least).to_f64().unwrap_or(0.0);
            if range > 0.0 { (off / range).powi(2) } else { 0.0 }
        });
        far.sum()
    };
    (0..points.len()).min_by(|a, b| distance(&points[*a]).total_cmp(&distance(&points[*b])))
}
