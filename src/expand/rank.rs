//! Fills with predicted figures → the order in which they are offered: the limits choose the workflow too.

use super::lock::Foreseen;
use super::search::Found;
use crate::check::program::Metric;
use rust_decimal::Decimal;

/// By how much a fill's words may fit worse for its figures to count.
const CLOSE: f64 = 0.3;

/// A fill that checks.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The fill.
    pub found: Found,
    /// Who made it.
    pub by: String,
    /// What the solver says of it, where machines are known.
    pub predicted: Predicted,
}

/// What the solver says of a fill.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicted {
    /// Nobody asked.
    Unknown,
    /// There is a plan that keeps all limits: the figure that the job wishes for, and its figures.
    Plan(Decimal, Foreseen),
    /// There is none.
    NoPlan(String),
}

/// Puts fills in order: those that the goal speaks for; of these, those with a plan first; among those whose words fit about as well as the
/// best one's, what the job wishes for decides; then the words.
pub fn rank(candidates: &mut [Candidate], wish: Metric) {
    let feasible = |c: &Candidate| !matches!(c.predicted, Predicted::NoPlan(_));
    let best = candidates.iter().filter(|c| feasible(c)).map(|c| c.found.score).fold(f64::NEG_INFINITY, f64::max);
    let figure = |c: &Candidate| match &c.predicted {
        Predicted::Plan(figure, _) if c.found.score >= best - CLOSE => {
            Some(if wish == Metric::Quality { -*figure } else { *figure })
        }
        _ => None,
    };
    candidates.sort_by(|a, b| {
        // A plan of what nobody asked for is no help.
        let by_plan = a.found.is_doubtful().cmp(&b.found.is_doubtful()).then(feasible(b).cmp(&feasible(a)));
        let by_figure = match (figure(a), figure(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => std::cmp::Ordering::Equal,
        };
        by_plan.then(by_figure).then(b.found.score.total_cmp(&a.found.score)).then(a.found.text.cmp(&b.found.text))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::dec;

    #[test]
    fn limits_and_wishes_choose_among_fills_that_fit() {
        let candidate = |text: &str, score, predicted| Candidate {
            found: Found { text: text.into(), because: String::new(), score, shape: String::new(), told: 1.0 },
            by: "typed search".into(),
            predicted,
        };
        let of = |_: &str| String::new();
        let figures =
            || Foreseen { on: of("on"), cost_usd: of("cost"), latency_s: of("latency"), quality: of("quality") };
        let plan = |figure| Predicted::Plan(figure, figures());
        let mut all = [
            candidate("best words, no plan", 2.0, Predicted::NoPlan("cost".into())),
            candidate("dear", 1.5, plan(dec!(3))),
            candidate("cheap", 1.4, plan(dec!(1))),
            candidate("cheapest, and beside the point", 0.2, plan(dec!(0))),
            candidate("only its type fits", 1.6, plan(dec!(0))),
        ];
        all[4].found.told = 0.0;
        rank(&mut all, Metric::Cost);
        let order: Vec<&str> = all.iter().map(|c| c.found.text.as_str()).collect();
        let wanted = ["cheap", "dear", "cheapest, and beside the point", "best words, no plan", "only its type fits"];
        assert_eq!(order, wanted);
    }
}
