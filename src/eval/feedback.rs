//! Verdicts of users ↔ a JSONL file beside the runs; verdicts, weighted by age → what they say of each implementation.

use super::interval::{Estimate, wilson};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A verdict on a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The run's folder, as it is named beside this file.
    pub run: String,
    /// The digest of the plan that was run.
    pub plan: String,
    /// The digest of its report, so that another run in the same folder is not taken for it.
    pub report: String,
    /// The job.
    pub job: String,
    /// When, UTC.
    pub at: String,
    /// 0 to 1.
    pub score: f64,
    /// How much it counts, beside its age.
    pub weight: f64,
    /// Why, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What carried the steps out.
    pub steps: Vec<Carried>,
}

/// A step of a judged run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The task.
    pub task: String,
    /// The model or tool.
    pub implementation: String,
    /// Its knobs.
    pub knobs: BTreeMap<String, String>,
    /// The quality that the plan counted with.
    pub quality: f64,
}

/// Reads 👍, 👎, `good`, `bad`, `0.8` or `80%`.
pub fn score(text: &str) -> Result<f64, String> {
    let plain = text.trim().trim_end_matches('\u{fe0f}');
    match plain {
        "👍" | "up" | "good" | "yes" => return Ok(1.0),
        "👎" | "down" | "bad" | "no" => return Ok(0.0),
        _ => {}
    }
    let (number, scale) = plain.strip_suffix('%').map_or((plain, 1.0), |n| (n.trim_end(), 100.0));
    match number.parse::<f64>() {
        Ok(n) if (0.0..=1.0).contains(&(n / scale)) => Ok(n / scale),
        _ => Err(format!("`{text}` is no verdict: give 👍, 👎, a score from 0 to 1, or a percentage")),
    }
}

/// Reads the file; the error names the line.
pub fn read(text: &str) -> Result<Vec<Verdict>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let read: Verdict = serde_json::from_str(line).map_err(|e| format!("line {}: {e}", number + 1))?;
            let inside = |n: f64| (0.0..=1.0).contains(&n);
            let sane = inside(read.score) && read.weight > 0.0 && read.weight <= 1000.0;
            if !sane || !read.steps.iter().all(|s| inside(s.quality)) || seconds(&read.at).is_none() {
                return Err(format!("line {}: a score, weight or time that is out of range", number + 1));
            }
            Ok(read)
        })
        .collect()
}

fn seconds(at: &str) -> Option<i64> {
    at.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}

/// What verdicts say of an implementation with its knobs in a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// The task.
    pub task: String,
    /// The implementation.
    pub implementation: String,
    /// Its knobs.
    pub knobs: BTreeMap<String, String>,
    /// Its quality.
    pub quality: Estimate,
    /// Verdicts that it rests on.
    pub verdicts: usize,
    /// What they are worth together: verdicts of today.
    pub worth: f64,
}

/// How many verdicts what was expected of a plan counts for: a single one says little.
const EXPECTED: f64 = 5.0;

/// Folds verdicts into qualities as of `now` (UTC). A verdict counts half after `half_life` days, and what the plan expected counts for
/// [`EXPECTED`] verdicts.
///
/// A verdict is about a whole run. Where several steps took part, each gets of the loss what the plan expected of it: with
/// `Q = Π qᵢ` expected and `V` judged, step i is taken for `qᵢ ^ (ln V / ln Q)`, so that the product is the verdict again.
pub fn fold(verdicts: &[Verdict], now: &str, half_life: f64) -> Vec<Folded> {
    let now = seconds(now).unwrap_or_default();
    let mut plans: BTreeMap<Vec<String>, Vec<(&Verdict, f64)>> = BTreeMap::new();
    for verdict in verdicts {
        // A verdict that claims to come from the future is one of today.
        let days = (now - seconds(&verdict.at).unwrap_or(now)).max(0) as f64 / 86_400.0;
        let worth = verdict.weight * 0.5_f64.powf(days / half_life);
        let key = verdict.steps.iter().map(|s| format!("{} {} {:?}", s.task, s.implementation, s.knobs)).collect();
        plans.entry(key).or_default().push((verdict, worth));
    }
    /// A task, an implementation and its knobs.
    type Part = (String, String, Vec<(String, String)>);
    let mut parts: BTreeMap<Part, Vec<(Estimate, f64, usize)>> = BTreeMap::new();
    for verdicts in plans.values() {
        let Some((first, _)) = verdicts.first() else { continue };
        let (sum, squares) = verdicts.iter().fold((0.0, 0.0), |(s, q), (_, w)| (s + w, q + w * w));
        let losses: Vec<f64> = first.steps.iter().map(|s| -s.quality.clamp(1e-6, 1.0).ln()).collect();
        let total: f64 = losses.iter().sum();
        let said = verdicts.iter().map(|(v, w)| v.score * w).sum::<f64>();
        let judged = (said + EXPECTED * (-total).exp()) / (sum + EXPECTED);
        // The number of equal verdicts that would say as much; old ones say less however many they are.
        let whole = wilson(judged, (sum * sum / squares).min(sum) + EXPECTED);
        let mut own: BTreeMap<Part, Vec<Estimate>> = BTreeMap::new();
        for (step, loss) in first.steps.iter().zip(&losses) {
            let share = if total > 1e-9 { loss / total } else { 1.0 / losses.len() as f64 };
            let part = |quality: f64| quality.max(1e-6).powf(share);
            let estimate = Estimate { value: part(whole.value), low: part(whole.low), high: part(whole.high) };
            let key = (step.task.clone(), step.implementation.clone(), step.knobs.clone().into_iter().collect());
            own.entry(key).or_default().push(estimate);
        }
        // What several steps have in common rests on these verdicts once.
        for (key, estimates) in own {
            let mean = |of: fn(&Estimate) -> f64| estimates.iter().map(of).sum::<f64>() / estimates.len() as f64;
            let estimate = Estimate { value: mean(|e| e.value), low: mean(|e| e.low), high: mean(|e| e.high) };
            parts.entry(key).or_default().push((estimate, sum, verdicts.len()));
        }
    }
    let folded = parts.into_iter().map(|((task, implementation, knobs), all)| {
        let worth: f64 = all.iter().map(|(_, w, _)| w).sum();
        let mean = |of: fn(&Estimate) -> f64| all.iter().map(|(e, w, _)| of(e) * w).sum::<f64>() / worth;
        let quality = Estimate { value: mean(|e| e.value), low: mean(|e| e.low), high: mean(|e| e.high) };
        let verdicts = all.iter().map(|(.., n)| n).sum();
        Folded { task, implementation, knobs: knobs.into_iter().collect(), quality, verdicts, worth }
    });
    folded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_once_however_many_steps_are_alike() {
        let mut twice = verdict(1.0, "2026-11-24T00:00:00Z", &[0.8, 0.8]);
        twice.steps[1].task = twice.steps[0].task.clone();
        let folded = fold(&[twice.clone(), twice], "2026-11-24T00:00:00Z", 30.0);
        assert_eq!(folded.len(), 1);
        assert_eq!((folded[0].verdicts, folded[0].worth), (2, 2.0));
    }

    fn verdict(score: f64, at: &str, qualities: &[f64]) -> Verdict {
        let steps = qualities.iter().enumerate().map(|(i, quality)| Carried {
            task: format!("t{i}"),
            implementation: "x".into(),
            knobs: BTreeMap::new(),
            quality: *quality,
        });
        Verdict {
            run: "1".into(),
            plan: "p".into(),
            report: "r".into(),
            job: "j".into(),
            at: at.into(),
            score,
            weight: 1.0,
            note: None,
            steps: steps.collect(),
        }
    }

    #[test]
    fn verdicts_are_read() {
        for (text, wanted) in [("👍", 1.0), ("👎\u{fe0f}", 0.0), ("0.25", 0.25), ("80%", 0.8), ("good", 1.0)] {
            assert_eq!(score(text), Ok(wanted));
        }
        for text in ["", "NaN", "1.5", "-1", "101%", "👌", "inf"] {
            assert!(score(text).is_err(), "{text}");
        }
    }

    #[test]
    fn old_verdicts_count_less() {
        let now = "2026-11-24T00:00:00Z";
        let all = [verdict(1.0, "2026-11-24T00:00:00Z", &[0.9]), verdict(0.0, "2026-10-25T00:00:00Z", &[0.9])];
        let found = fold(&all, now, 30.0);
        let wanted = (1.0 + EXPECTED * 0.9) / (1.5 + EXPECTED);
        assert!((found[0].quality.value - wanted).abs() < 1e-9 && (found[0].worth - 1.5).abs() < 1e-9, "{found:?}");
        let fresh = fold(&[verdict(1.0, now, &[0.9]), verdict(0.0, now, &[0.9])], now, 30.0);
        let stale = [verdict(1.0, "2026-01-01T00:00:00Z", &[0.9]), verdict(0.0, "2026-01-01T00:00:00Z", &[0.9])];
        let stale = fold(&stale, now, 30.0);
        // What is worth nothing any more leaves what was expected.
        let (stale, fresh) = (stale[0].quality.value, fresh[0].quality.value);
        assert!(fresh < 0.8 && stale > 0.88 && stale < 0.9, "{stale} {fresh}");
    }

    #[test]
    fn the_parts_multiply_to_the_verdict() {
        let all: Vec<Verdict> =
            (0..4).map(|i| verdict(f64::from(i % 2), "2026-11-24T00:00:00Z", &[0.9, 0.5, 1.0])).collect();
        let found = fold(&all, "2026-11-24T00:00:00Z", 30.0);
        let product: f64 = found.iter().map(|f| f.quality.value).product();
        assert!(
            (product - (2.0 + EXPECTED * 0.45) / (4.0 + EXPECTED)).abs() < 1e-9
                && found[2].quality.value == 1.0
                && found[1].quality.value < found[0].quality.value
        );
    }

    #[test]
    fn bad_lines_are_named() {
        let good = serde_json::to_string(&verdict(1.0, "2026-11-24T00:00:00Z", &[0.9])).expect("JSON");
        assert_eq!(read(&format!("{good}\n\n")).map(|v| v.len()), Ok(1));
        for bad in
            [good.replace("1.0,\"weight\"", "3.0,\"weight\""), good.replace("2026-11-24T", "long ago"), "{}".into()]
        {
            assert!(read(&format!("{good}\n{bad}\n")).expect_err("bad").starts_with("line 2"), "{bad}");
        }
    }
}
