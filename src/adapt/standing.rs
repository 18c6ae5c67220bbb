//! What a run took so far, and the options of its plan → what each step still takes, and what the whole comes to.
//!
//! Times are counted from now: a step that is done takes none, one that runs what is left of its projected time. Money is counted
//! from the beginning. A step that has more calls than were planned takes so many times as much.

use crate::check::program::{Clause, Metric};
use crate::plan::compose::Taken;
use crate::run::steer::{Now, Stage, StepNow};
use crate::space::{Figures, Space};
use rust_decimal::Decimal;

/// Where a run stands.
pub struct Standing<'s> {
    now: &'s Now,
    space: &'s Space,
    left: &'s Taken<'s>,
    elapsed: Decimal,
}

impl<'s> Standing<'s> {
    /// Where a run stands; `left` is what is left of the workflow where every composed call has gone its way.
    pub fn new(now: &'s Now, space: &'s Space, left: &'s Taken<'s>) -> Standing<'s> {
        Standing { now, space, left, elapsed: decimal(now.elapsed_s) }
    }

    /// The step of the whole workflow at a position of the plan.
    pub fn whole(&self, position: usize) -> usize {
        self.left.from[position]
    }

    fn position(&self, step: usize) -> Option<usize> {
        self.left.from.iter().position(|whole| *whole == step)
    }

    fn at(&self, position: usize) -> Option<&StepNow> {
        self.now.steps.get(position)
    }

    /// Whether a step of the whole workflow can still be chosen: it is in the plan, none of its calls was begun, and it is no part of a
    /// composition or a call that one could carry out, whose data flow would be another.
    pub fn waits(&self, step: usize) -> bool {
        let stage = self.position(step).and_then(|position| self.at(position)).map(|now| now.stage);
        let plain = self.space.steps[step].role.is_none();
        let composed = self.space.steps[step].candidates.iter().any(|c| c.is_idle());
        stage == Some(Stage::Waiting) && plain && !composed
    }

    /// What a line leaves for the rest.
    pub fn left(&self, clause: &Clause) -> Decimal {
        match clause.metric {
            Metric::Cost => clause.limit - self.lost(),
            _ => clause.limit - self.elapsed,
        }
    }

    fn lost(&self) -> Decimal {
        decimal(self.now.lost_usd)
    }

    /// What earlier runtimes of the run took of a line, beside what its steps did, and what that is; none where that is nothing.
    pub fn earlier(&self, metric: Metric) -> Option<(Decimal, &'static str)> {
        let (took, what) = match metric {
            Metric::Cost => (self.lost(), "went to requests that were lost"),
            _ => (decimal(self.now.earlier_s), "went by before the run was resumed"),
        };
        Some((took, what)).filter(|(took, _)| *took > Decimal::ZERO)
    }

    /// What a line's metric comes to with a choice: money from the beginning; time up to now, and the longest path of what is left.
    pub fn comes_to(&self, metric: Metric, choice: &[usize]) -> Decimal {
        let of = |position: usize| {
            let step = self.whole(position);
            self.figure(metric, step, choice[step])
        };
        match metric {
            Metric::Cost => self.lost() + (0..self.left.from.len()).map(of).sum::<Decimal>(),
            _ => self.elapsed + self.left.space.dag.longest(&of).0,
        }
    }

    /// What a step of the whole workflow adds with an option: money in all, or time from now on.
    pub fn figure(&self, metric: Metric, step: usize, option: usize) -> Decimal {
        let figures = &self.space.steps[step].options[option].figures;
        let planned = of(metric, figures);
        let Some(now) = self.position(step).and_then(|position| self.at(position)) else { return planned };
        match (now.stage, metric) {
            (Stage::Waiting, _) => planned * more(now, figures),
            (Stage::Done, Metric::Cost) => decimal(now.cost_usd),
            (Stage::Done, _) => Decimal::ZERO,
            (Stage::Begun, Metric::Cost) => projected(planned, now.cost_usd, now, figures),
            (Stage::Begun, _) => {
                (projected(planned, now.took_s, now, figures) - decimal(now.running_s)).max(Decimal::ZERO)
            }
        }
    }

    /// What a step that has begun takes in all, so far as one can tell, and what was planned for it.
    pub fn against(&self, metric: Metric, position: usize, option: usize) -> (Decimal, Decimal) {
        let figures = &self.left.space.steps[position].options[option].figures;
        let planned = of(metric, figures);
        let Some(now) = self.at(position) else { return (planned, planned) };
        let so_far = if metric == Metric::Cost { now.cost_usd } else { now.took_s };
        let took = match now.stage {
            Stage::Waiting => planned,
            Stage::Done => decimal(so_far),
            Stage::Begun => projected(planned, so_far, now, figures),
        };
        (took, planned)
    }
}

fn of(metric: Metric, figures: &Figures) -> Decimal {
    match metric {
        Metric::Cost => figures.cost,
        Metric::LatencyP95 => figures.latency_p95,
        Metric::LatencyP99 => figures.latency_p99,
        _ => figures.latency,
    }
}

/// How many times as many calls there are as were planned; once where there are fewer, since more may become known.
fn more(now: &StepNow, figures: &Figures) -> Decimal {
    Decimal::from(now.known).checked_div(figures.calls).unwrap_or(Decimal::ONE).max(Decimal::ONE)
}

/// What all calls of a step come to, from those that are done: as much each; as planned where none is.
fn projected(planned: Decimal, so_far: f64, now: &StepNow, figures: &Figures) -> Decimal {
    let planned = planned * more(now, figures);
    if now.done == 0 {
        return planned.max(decimal(so_far));
    }
    let calls = figures.calls.max(Decimal::from(now.known)).max(Decimal::from(now.done));
    decimal(so_far) * calls / Decimal::from(now.done)
}

/// A measured figure, to a millionth.
fn decimal(measured: f64) -> Decimal {
    Decimal::from_f64_retain(measured.clamp(0.0, 1e12)).unwrap_or_default().round_dp(6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::workflow::StepId;
    use rust_decimal::dec;

    fn figures(calls: Decimal) -> Figures {
        let zero = Decimal::ZERO;
        Figures {
            calls,
            replicas: 1,
            busy: zero,
            standing: zero,
            latency: dec!(10),
            latency_p95: dec!(20),
            latency_p99: dec!(30),
            streamed: None,
            cost: dec!(1),
            either: zero,
            energy: None,
            quality: Decimal::ONE,
            memory: zero,
        }
    }

    fn now(known: u64, done: u64) -> StepNow {
        StepNow {
            step: StepId(0),
            stage: Stage::Begun,
            known,
            done,
            took_s: 0.0,
            running_s: 0.0,
            cost_usd: 0.0,
            worse: None,
        }
    }

    #[test]
    fn calls_that_are_done_tell_of_those_to_come() {
        let planned = figures(dec!(10));
        // Three of ten calls took six seconds: all take twenty.
        assert_eq!(projected(dec!(10), 6.0, &now(10, 3), &planned), dec!(20));
        // There are twice as many as were planned.
        assert_eq!(projected(dec!(10), 6.0, &now(20, 3), &planned), dec!(40));
        // Nothing is done: as planned, or as long as it runs already.
        assert_eq!(projected(dec!(10), 0.0, &now(10, 0), &planned), dec!(10));
        assert_eq!(projected(dec!(10), 15.0, &now(10, 0), &planned), dec!(15));
        assert_eq!(projected(dec!(10), 0.0, &now(20, 0), &planned), dec!(20));
    }

    #[test]
    fn fewer_calls_so_far_promise_nothing_and_odd_figures_do_no_harm() {
        assert_eq!(more(&now(2, 0), &figures(dec!(10))), Decimal::ONE);
        assert_eq!(more(&now(25, 0), &figures(dec!(10))), dec!(2.5));
        assert_eq!(more(&now(5, 0), &figures(Decimal::ZERO)), Decimal::ONE);
        assert_eq!(decimal(-1.0), Decimal::ZERO);
        assert_eq!(decimal(f64::INFINITY), Decimal::from(1_000_000_000_000_u64));
    }
}
