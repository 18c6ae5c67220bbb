//! The picture of a run's data flow: each step by its state, each leading to its calls.

use super::look::{badge, sign};
use super::story::Story;
use crate::graph::svg::{Mark, svg_marked};
use crate::graph::{Picture, Shape, ShapeKind, of_plan};
use crate::html::markup::Markup;
use crate::ir::workflow::StepId;
use crate::plan::model::Plan;
use crate::{html, html_to};

/// Steps that a page draws; a larger flow is a table alone.
const MOST: usize = 400;

/// By what became of each step; `link` is where a box leads.
pub fn by_state(story: &Story, link: &dyn Fn(StepId) -> String) -> Markup {
    let Some(plan) = &story.plan else {
        return html!("<p class=\"dim\">The plan cannot be read.</p>");
    };
    if plan.steps.len() > MOST {
        return html!("<p class=\"dim\">The plan has {} steps: too many for a picture.</p>", plan.steps.len());
    }
    let state = |name: &str| story.steps.iter().find(|view| view.step == name).map(|view| (view, story.state_of(view)));
    let mut picture = bare(plan);
    for shape in picture.boxes.iter_mut().filter(|shape| shape.kind == ShapeKind::Step) {
        let Some((view, word)) = shape.lines.first().and_then(|name| state(name)) else { continue };
        let begun = view.calls + view.unfinished;
        let calls = match (begun, view.unfinished) {
            (0 | 1, _) => String::new(),
            (all, 0) => format!(" · {all} calls"),
            (all, _) => format!(" · {} of {all} calls", view.calls),
        };
        shape.lines.truncate(2);
        shape.lines.push(format!("{word}{calls}"));
        shape.colour = None;
    }
    let mark = |shape: &Shape| {
        let name = shape.lines.first().map(String::as_str).unwrap_or_default();
        let step = plan.steps.iter().find(|step| step.name == name).filter(|_| shape.kind == ShapeKind::Step);
        let Some((step, (_, word))) = step.zip(state(name)) else { return Mark::default() };
        Mark { class: class(word), link: Some(link(step.id)), place: None }
    };
    let mut key = html!("<ul class=\"key\" aria-label=\"States\">");
    for word in ["done", "running", "failed", "stopped", "waiting", "not begun", "not needed"] {
        if story.steps.iter().any(|view| story.state_of(view) == word) {
            html_to!(key, "<li>{}</li>", badge(word));
        }
    }
    html_to!(key, "</ul>");
    html!("{}{}", key, drawn(&picture, &mark))
}

/// By what carries each step out.
pub fn by_choice(plan: &Plan) -> Markup {
    if plan.steps.len() > MOST {
        return Markup::default();
    }
    let picture = Picture { title: String::new(), summary: String::new(), ..of_plan(plan, &|_| None) };
    drawn(&picture, &|_| Mark::default())
}

/// Names and choices alone: the figures stand in the tables.
fn bare(plan: &Plan) -> Picture {
    Picture { title: String::new(), summary: String::new(), legend: Vec::new(), ..of_plan(plan, &|_| None) }
}

fn drawn(picture: &Picture, mark: &dyn Fn(&Shape) -> Mark) -> Markup {
    // The picture escapes the texts in it.
    let svg = Markup::finished(svg_marked(picture, mark));
    html!(
        "<div class=\"scroll flow\" tabindex=\"0\" role=\"region\" aria-label=\"Picture of the data flow\">{}</div>",
        svg
    )
}

/// The class of a state.
pub fn class(state: &str) -> &'static str {
    match state {
        "done" => "is-done",
        "failed" => "is-failed",
        "running" => "is-running",
        "stopped" => "is-stopped",
        "not needed" | "not begun" => "is-not-needed",
        _ => "is-waiting",
    }
}

/// A state in a line of text.
pub fn inline(state: &str) -> Markup {
    html!("<span class=\"inline {}\">{} {}</span>", class(state), sign(state), state)
}
