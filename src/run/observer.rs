//! Events of a run -> whoever watches: nobody, or bars on a terminal.

use super::fault::{Fault, printable};
use super::servers::ServerEvent;
use crate::ir::workflow::StepId;
use crate::plan::model::PlanStep;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a bar shows.
const TEMPLATE: &str = "{spinner} {prefix:28} {bar:20} {pos:>4}/{len:<4} {elapsed:>4} {wide_msg}";

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A step's first call has its devices and begins.
    StepStarted {
        /// The step.
        step: &'a PlanStep,
        /// Calls known of so far.
        of: u64,
    },
    /// One call of a step is done.
    ItemDone {
        /// The step.
        step: &'a PlanStep,
        /// Calls done.
        done: u64,
        /// Calls known of so far.
        of: u64,
        /// How long this one took.
        wall: Duration,
    },
    /// A call failed and will be tried again.
    Retried {
        /// The step.
        step: &'a PlanStep,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// How long until the next.
        wait: Duration,
        /// Why it failed.
        fault: &'a Fault,
    },
    /// A call failed for good, and a fallback carries it out.
    Left {
        /// The step, in the hands of what failed.
        step: &'a PlanStep,
        /// The step, in the hands of what stands in.
        to: &'a PlanStep,
        /// Why.
        fault: &'a Fault,
    },
    /// The rest of the run was planned again, or cannot be.
    Adapted {
        /// What is said about it.
        message: &'a str,
    },
    /// Somebody wants the run to end: nothing more is begun.
    Draining {
        /// How long what is under way has to end.
        grace: Duration,
    },
    /// A piece of the run's answer came. What a call that fails gave so far is told as well: the next attempt begins anew.
    Piece {
        /// The step whose value is the answer.
        step: &'a PlanStep,
        /// The piece, as the model wrote it.
        text: &'a str,
    },
    /// All calls of a step are done.
    StepFinished {
        /// The step.
        step: &'a PlanStep,
        /// How many.
        calls: u64,
    },
    /// Something happened to a model server that mkbc starts.
    Server(&'a ServerEvent),
    /// A step failed, and the run with it.
    Failed {
        /// The step; none where the run failed outside any.
        step: Option<&'a PlanStep>,
        /// Why.
        fault: &'a Fault,
    },
}

impl fmt::Display for Event<'_> {
    /// What there is to say of a change of the plan, or of its end; nothing of what goes as planned.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Left { step, to, fault } => {
                let why = fault.message.lines().next().unwrap_or_default();
                let text = format!(
                    "{}: {} failed for good ({why}); {} stands in",
                    step.name, step.implementation, to.implementation
                );
                f.write_str(&printable(&text))
            }
            Event::Adapted { message } => f.write_str(&printable(message)),
            Event::Draining { grace } => {
                let s = grace.as_secs_f64();
                write!(
                    f,
                    "stopping: nothing more is begun, and what is under way has {s} s to end; Ctrl-C again stops at once"
                )
            }
            _ => Ok(()),
        }
    }
}

/// What was said of changes of the plan, so that of a step with many calls it is said once who stands in for whom.
#[derive(Debug, Default)]
pub struct Changes(Mutex<BTreeSet<(StepId, String, String)>>);

impl Changes {
    /// What is to be said of an event that changes the plan or how the run goes on; none for other events, and for what was said.
    pub fn said(&self, event: &Event<'_>) -> Option<String> {
        let new = match event {
            Event::Left { step, to, .. } => {
                let change = (step.id, step.implementation.clone(), to.implementation.clone());
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(change)
            }
            Event::Adapted { .. } | Event::Draining { .. } => true,
            _ => false,
        };
        new.then(|| event.to_string())
    }
}

/// Watches a run. Called on the scheduler's thread: must return at once.
pub trait Observer {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// A bar per step on stderr; invisible where stderr is no terminal.
#[derive(Debug, Default)]
pub struct Bars {
    all: MultiProgress,
    steps: Mutex<BTreeMap<StepId, ProgressBar>>,
    changes: Changes,
}

impl Bars {
    /// Bars on stderr.
    pub fn new() -> Bars {
        Bars::default()
    }

    /// A line above the bars, of a change that was not told yet.
    fn change(&self, event: &Event<'_>) {
        if let Some(line) = self.changes.said(event) {
            // A terminal that has gone away is no reason to stop.
            let _ = self.all.println(line);
        }
    }

    fn bar(&self, step: &PlanStep, of: u64) -> ProgressBar {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = steps.entry(step.id).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(of));
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            bar.set_prefix(printable(&step.name));
            bar.set_message(printable(&step.implementation));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        bar.set_length(of.max(bar.length().unwrap_or(0)));
        bar.clone()
    }
}

impl Observer for Bars {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::StepStarted { step, of } => drop(self.bar(step, *of)),
            Event::ItemDone { step, done, of, .. } => self.bar(step, *of).set_position(*done),
            Event::Retried { step, attempt, wait, fault } => {
                let why = printable(&fault.message);
                self.bar(step, 1)
                    .set_message(format!("attempt {attempt}: {why}; again in {:.1} s", wait.as_secs_f64()));
            }
            Event::Left { step, to, .. } => {
                self.bar(step, 1).set_message(printable(&to.implementation));
                self.change(event);
            }
            Event::Adapted { .. } | Event::Draining { .. } => self.change(event),
            Event::StepFinished { step, calls } => {
                let bar = self.bar(step, *calls);
                bar.set_length(*calls);
                bar.finish_with_message(printable(&step.implementation));
            }
            // What waits for it has a bar of its own; an answer is for another place.
            Event::Server(_) | Event::Piece { .. } => {}
            Event::Failed { step, fault } => {
                if let Some(step) = step {
                    self.bar(step, 1).abandon_with_message(printable(&fault.message));
                }
                // The bars of what was cancelled would otherwise go on ticking below the error.
                for bar in self.steps.lock().unwrap_or_else(PoisonError::into_inner).values() {
                    if !bar.is_finished() {
                        bar.abandon();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::model::Engine;
    use crate::run::fault::FaultKind;
    use crate::run::tests::samples::step;
    use crate::types::Type;

    #[test]
    fn who_stands_in_is_said_once_for_all_items() {
        let engine = Engine::Planned { name: "x".into(), options: BTreeMap::new() };
        let (step, changes) = (step(0, engine, &[], Type::Text), Changes::default());
        let (one, other) = (step.clone(), PlanStep { implementation: "other".into(), ..step.clone() });
        let fault = &Fault::new(FaultKind::Data, "bad");
        let left = Event::Left { step: &one, to: &other, fault };
        assert!(changes.said(&left).is_some_and(|said| said.contains("other stands in")));
        assert_eq!(changes.said(&left), None);
        assert!(changes.said(&Event::Left { step: &other, to: &one, fault }).is_some());
        let adapted = Event::Adapted { message: "again" };
        assert_eq!(
            [changes.said(&adapted), changes.said(&adapted)],
            [Some("again".to_owned()), Some("again".to_owned())]
        );
    }

    #[test]
    fn bars_follow_any_order_of_events() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let engine = Engine::Planned { name: "x".into(), options: BTreeMap::new() };
        let step = &step(0, engine, &[], Type::Text);
        let fault = &Fault::new(FaultKind::Data, "bad");
        let bars = Bars::new();
        bars.event(&Event::ItemDone { step, done: 3, of: 2, wall: Duration::ZERO });
        bars.event(&Event::StepStarted { step, of: 1 });
        bars.event(&Event::Retried { step, attempt: 1, wait: Duration::ZERO, fault });
        bars.event(&Event::StepFinished { step, calls: 3 });
        bars.event(&Event::Failed { step: None, fault });
        assert_eq!(bars.bar(step, 1).length(), Some(3));
    }
}
