//! When each step ran: a bar a call, an outline as long as was planned, ticks where an attempt failed, and what was waited for: the queue,
//! a device, the next attempt.

use super::dag::class;
use super::look::{duration, figure};
use super::story::{CallFacts, Story};
use crate::html::markup::Markup;
use crate::plan::model::PlanStep;
use crate::{html, html_to};
use rust_decimal::prelude::ToPrimitive;

/// The picture's width, where bars begin, and a row's height, in its own units.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 190.0;
const ROW: f64 = 28.0;
/// Bars of one step; those of more calls are one bar.
const BARS: usize = 300;
/// Rows that are drawn.
const ROWS: usize = 80;

/// Seconds → places.
struct Scale {
    from_s: f64,
    per_s: f64,
}

impl Scale {
    fn x(&self, s: f64) -> f64 {
        (LEFT + (s - self.from_s) * self.per_s).clamp(LEFT, WIDTH)
    }

    fn wide(&self, from: f64, to: f64) -> f64 {
        (self.x(to) - self.x(from)).max(2.0)
    }
}

/// A run's timeline; `since` says when its clock began.
pub fn of(story: &Story, since: &str) -> Markup {
    let Some(plan) = story.plan.as_ref().filter(|_| story.begun_ms.is_some()) else {
        let words = if story.ended { "It never began" } else { "It waits in the queue" };
        return html!("<p class=\"dim\">{}: {} so far.</p>", words, duration(story.waited_s));
    };
    let end = story.took_s.max(story.calls.iter().filter_map(|call| call.to_s).fold(0.0, f64::max)).max(1e-3);
    let planned = |step: &PlanStep| step.predicted.latency_s.to_f64().unwrap_or(0.0);
    let first = |step: &PlanStep| {
        let calls = story.calls.iter().filter(|call| call.call.step == step.id);
        calls.map(|call| call.from_s).reduce(f64::min)
    };
    let ends = plan.steps.iter().filter_map(|step| Some(first(step)? + planned(step)));
    // A prediction that is far off must not press what happened into a corner.
    let whole = ends.fold(end, f64::max).min(end * 3.0);
    // So must not a long wait.
    let waited = story.waited_s;
    let drawn_wait = waited > whole * 0.01 && waited <= whole * 2.0;
    let from_s = if drawn_wait { -waited } else { 0.0 };
    let scale = Scale { from_s, per_s: (WIDTH - LEFT - 8.0) / (whole - from_s) };
    let begun = |step: &&PlanStep| story.calls.iter().any(|call| call.call.step == step.id);
    let few = plan.steps.len() <= ROWS;
    let steps: Vec<&PlanStep> = plan.steps.iter().filter(|step| few || begun(step)).take(ROWS).collect();
    let rows = steps.len() + usize::from(drawn_wait);
    let height = ROW * rows as f64 + 34.0;
    let mut out = html!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Timeline\"><svg class=\"timeline\" viewBox=\"0 0 {} {}\" \
         role=\"img\" aria-label=\"When each step ran, and for how long it was planned to; the table of steps has the figures\">",
        WIDTH,
        height
    );
    axis(&mut out, &scale, whole, height - 30.0);
    let mut y = 0.0;
    if drawn_wait {
        row(&mut out, y, "in the queue");
        let wide = format!("{:.1}", scale.wide(from_s, 0.0));
        html_to!(
            out,
            "<rect class=\"queue\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"14\" rx=\"3\"><title>waited {}</title></rect>",
            LEFT,
            y + 7.0,
            wide,
            duration(waited)
        );
        y += ROW;
    }
    for step in &steps {
        row(&mut out, y, &step.name);
        one(&mut out, story, step, &scale, y);
        y += ROW;
    }
    html_to!(out, "</svg></div>");
    let wait = (!drawn_wait && waited >= 0.001).then(|| html!(" It waited {} in the queue before.", duration(waited)));
    let more = (steps.len() == ROWS && plan.steps.len() > ROWS).then(|| html!(" The first {} steps are drawn.", ROWS));
    let tick = (!story.retries().is_empty()).then(|| html!("<li><i class=\"swatch tick\"></i>a failed attempt</li>"));
    let waits =
        steps.iter().any(|step| queued(story, step).is_some()) || story.retries().iter().any(|r| r.wait_s > 0.0);
    let held = waits.then(|| html!("<li><i class=\"swatch queue\"></i>waiting, for a device or to try again</li>"));
    let states = ["done", "running", "failed", "stopped"];
    let there = states.into_iter().filter(|word| story.calls.iter().any(|call| story.state_of_call(call) == *word));
    let signs: Markup = there.map(|word| html!("<li><i class=\"swatch {}\"></i>{}</li>", class(word), word)).collect();
    html!(
        "{}<ul class=\"key\" aria-label=\"Signs\">{}<li><i class=\"swatch planned\"></i>as planned</li>{}{}</ul>\
         <p class=\"note\">Seconds since {}.{}{}</p>",
        out,
        signs,
        tick,
        held,
        since,
        wait,
        more
    )
}

fn row(out: &mut Markup, y: f64, name: &str) {
    let short: String = name.chars().take(26).collect();
    let short = if short.len() < name.len() { format!("{short}…") } else { short };
    html_to!(out, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LEFT - 12.0, y + 18.0, short);
}

fn axis(out: &mut Markup, scale: &Scale, whole: f64, y: f64) {
    // Four to ten ticks, of 1, 2 or 5 times a power of ten.
    let rough = (whole - scale.from_s) / 6.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|n| *n >= rough).unwrap_or(rough);
    for n in (scale.from_s / step).ceil() as i64..=(whole / step).floor() as i64 {
        let x = format!("{:.1}", scale.x(n as f64 * step));
        let at = if n == 0 { "0".to_owned() } else { figure("latency", n as f64 * step) };
        let anchor = if n as f64 * step > whole - step * 0.5 { "end" } else { "middle" };
        html_to!(
            out,
            "<line class=\"rule\" x1=\"{}\" x2=\"{}\" y1=\"0\" y2=\"{}\"/><text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>",
            x,
            x,
            y,
            x,
            y + 20.0,
            anchor,
            at
        );
    }
}

/// How long the one call of a step waited for its device before it began; of several the journal knows the sum alone.
fn queued(story: &Story, step: &PlanStep) -> Option<f64> {
    let measure = story.measures.get(&step.id).filter(|m| m.started == 1 && m.queue_s > 0.001)?;
    Some(measure.queue_s)
}

fn waits(out: &mut Markup, scale: &Scale, (from, to): (f64, f64), y: f64, said: String) {
    let (x, wide) = (format!("{:.1}", scale.x(from)), format!("{:.1}", scale.wide(from, to)));
    html_to!(
        out,
        "<rect class=\"queue\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"8\" rx=\"3\"><title>{}</title></rect>",
        x,
        y + 10.0,
        wide,
        said
    );
}

fn one(out: &mut Markup, story: &Story, step: &PlanStep, scale: &Scale, y: f64) {
    let calls: Vec<&CallFacts> = story.calls.iter().filter(|call| call.call.step == step.id).collect();
    let Some(first) = calls.iter().map(|call| call.from_s).reduce(f64::min) else { return };
    let now = story.took_s;
    if let Some(wait) = queued(story, step) {
        waits(out, scale, (first - wait, first), y, format!("{} waited {} for its device", step.name, duration(wait)));
    }
    let state = |call: &CallFacts| story.state_of_call(call);
    let mut bar = |from: f64, to: f64, state: &str, said: String| {
        let (x, wide) = (format!("{:.1}", scale.x(from)), format!("{:.1}", scale.wide(from, to)));
        html_to!(
            out,
            "<rect class=\"bar {}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"14\" rx=\"3\"><title>{}</title></rect>",
            class(state),
            x,
            y + 7.0,
            wide,
            said
        );
    };
    let end = |call: &CallFacts| call.to_s.unwrap_or(now).max(call.from_s);
    if calls.len() > BARS {
        let to = calls.iter().map(|call| end(call)).fold(first, f64::max);
        let worst =
            ["failed", "running", "stopped"].into_iter().find(|word| calls.iter().any(|call| state(call) == *word));
        bar(first, to, worst.unwrap_or("done"), format!("{}: {} calls", step.name, calls.len()));
    } else {
        for call in &calls {
            let tried = if call.attempts > 1 { format!(", {} attempts", call.attempts) } else { String::new() };
            let took = duration(end(call) - call.from_s);
            bar(
                call.from_s,
                end(call),
                state(call),
                format!("{} {:04}: {}, {took}{tried}", step.name, call.call.number, state(call)),
            );
        }
    }
    let planned = step.predicted.latency_s.to_f64().unwrap_or(0.0);
    if planned > 0.0 {
        let (x, wide) = (format!("{:.1}", scale.x(first)), format!("{:.1}", scale.wide(first, first + planned)));
        html_to!(
            out,
            "<rect class=\"planned\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"20\" rx=\"4\"><title>planned: {}</title></rect>",
            x,
            y + 4.0,
            wide,
            figure("latency", planned)
        );
    }
    for retry in story.retries().iter().filter(|retry| retry.step == step.id) {
        if retry.wait_s > 0.0 {
            let span = (retry.at_s, retry.at_s + retry.wait_s);
            waits(out, scale, span, y, format!("{} until the next attempt", duration(retry.wait_s)));
        }
        let x = format!("{:.1}", scale.x(retry.at_s));
        html_to!(
            out,
            "<g class=\"retry\"><title>failed, again: {}</title><line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/></g>",
            retry.message,
            x,
            x,
            y + 2.0,
            y + 26.0
        );
    }
}
