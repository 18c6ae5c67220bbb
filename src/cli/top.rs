//! `mkbc top`: the project's runs, live, from what the journal holds.

use super::run::journal;
use super::runs::{figure, one_line};
use super::{Failure, print};
use crate::run::fault::printable;
use crate::run::journal::view::RunView;
use crate::run::journal::{Journal, Run};
use clap::Args;
use ratatui::Frame;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Table};
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

/// Runs that are shown beside those that are live.
const OTHERS: usize = 10;

#[derive(Args)]
pub struct TopOptions {
    /// Seconds between two looks at the journal
    #[arg(long, default_value_t = 0.5, value_name = "SECONDS")]
    pub every: f64,
    /// Print what there is to see once, as text
    #[arg(long)]
    pub once: bool,
}

/// Shows the project's runs until somebody presses q.
pub fn top(options: &TopOptions) -> Result<(), Failure> {
    let every = Duration::try_from_secs_f64(options.every).ok().filter(|d| !d.is_zero());
    let every = every.ok_or_else(|| Failure::Usage("`--every` takes seconds, more than 0".to_string()))?;
    let journal = journal()?;
    if options.once || !std::io::stdout().is_terminal() {
        print(&picture(&look(&journal)?, 0, (super::width(), 40)));
        return Ok(());
    }
    let mut terminal = ratatui::try_init().map_err(|e| format!("the terminal cannot be drawn on: {e}"))?;
    let done = watch(&mut terminal, &journal, every);
    ratatui::restore();
    done
}

fn watch(terminal: &mut ratatui::DefaultTerminal, journal: &Journal, every: Duration) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::from(format!("the terminal cannot be drawn on: {e}"));
    let mut selected = 0_usize;
    loop {
        let seen = look(journal)?;
        selected = selected.min(seen.runs.len().saturating_sub(1));
        terminal.draw(|frame| draw(frame, &seen, selected)).map_err(failed)?;
        if !event::poll(every).map_err(failed)? {
            continue;
        }
        let Event::Key(key) = event::read().map_err(failed)? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
            KeyCode::Down | KeyCode::Char('j') => selected += 1,
            KeyCode::Up | KeyCode::Char('k') => selected = selected.saturating_sub(1),
            _ => {}
        }
    }
}

/// What there is to see.
struct Seen {
    /// The runs that are live, then the last of the others, newest first.
    runs: Vec<RunView>,
    /// Those of them in which some step is carried out otherwise than planned at first.
    planned_again: BTreeSet<u64>,
    /// Runs among these that are damaged, and have no picture.
    damaged: usize,
}

fn look(journal: &Journal) -> Result<Seen, Failure> {
    let (all, unreadable) = journal.readable()?;
    let mut seen = Seen { runs: Vec::new(), planned_again: BTreeSet::new(), damaged: unreadable.len() };
    let mut others = 0;
    for run in all.iter().rev() {
        let live = crate::run::journal::lock::Lock::held(&journal.folder(run)).is_some();
        if !live && others >= OTHERS {
            continue;
        }
        others += usize::from(!live);
        match journal.view(run) {
            Ok(view) => {
                // That nothing fits better is said as well, and changes nothing.
                if !view.adapted.is_empty() && changed(journal, run)? {
                    seen.planned_again.insert(view.id);
                }
                seen.runs.push(view);
            }
            Err(_) => seen.damaged += 1,
        }
    }
    seen.runs.sort_by_key(|run| (run.state != "running", std::cmp::Reverse(run.id)));
    Ok(seen)
}

fn changed(journal: &Journal, run: &Run) -> Result<bool, Failure> {
    let replay = journal.replay(run, &journal.records(run.id)?);
    Ok(!replay.changes(journal.blobs())?.is_empty())
}

fn colour(state: &str) -> Style {
    Style::new().fg(match state {
        "running" => Color::Cyan,
        "done" => Color::Green,
        "failed" | "interrupted" => Color::Red,
        "stopped" | "unfinished" => Color::Yellow,
        _ => Color::Reset,
    })
}

/// Draws the runs, and the steps of the selected one.
fn draw(frame: &mut Frame<'_>, Seen { runs, planned_again, damaged }: &Seen, selected: usize) {
    let most = frame.area().height / 2;
    let height = (runs.len() as u16 + 3).min(most.max(4));
    let [above, below, foot] =
        Layout::vertical([Constraint::Length(height), Constraint::Min(3), Constraint::Length(1)]).areas(frame.area());
    let live = runs.iter().filter(|run| run.state == "running").count();
    // The selected run stays in sight.
    let from = selected.saturating_sub(usize::from(height.saturating_sub(4)));
    let rows = runs.iter().enumerate().skip(from).map(|(n, run)| {
        let (done, all) = progress(run);
        let style = if n == selected { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        Row::new([
            Cell::new(run.id.to_string()),
            Cell::new(printable(&run.job)),
            Cell::new(run.state).style(colour(run.state)),
            Cell::new(format!("{done}/{all}")),
            Cell::new(figure(Some(run.took_s), 1)),
            Cell::new(figure(cost(run), 6)),
            Cell::new(if planned_again.contains(&run.id) { "adapted" } else { "" }),
        ])
        .style(style)
    });
    let widths = [6, 24, 12, 9, 10, 12, 8].map(Constraint::Length);
    let head = Row::new(["run", "job", "state", "steps", "took s", "usd", ""]).style(Style::new().bold());
    let out = if *damaged == 0 { String::new() } else { format!(", {damaged} damaged: `mkbc journal verify`") };
    let title = format!(" mkbc: {live} live, {} shown{out} ", runs.len());
    frame.render_widget(Table::new(rows, widths).header(head).block(Block::bordered().title(title)), above);
    match runs.get(selected) {
        Some(run) => steps(frame, run, below),
        None => frame.render_widget(Paragraph::new("no runs here yet").block(Block::bordered()), below),
    }
    frame.render_widget(Paragraph::new(Line::from("q quits, up and down select").dim()), foot);
}

fn steps(frame: &mut Frame<'_>, run: &RunView, area: Rect) {
    let block = Block::bordered().title(format!(" run {}: {} ", run.id, printable(&run.job)));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [bar, table, said] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(inner);
    let (done, all) = progress(run);
    let share = if all == 0 { 0.0 } else { (done as f64 / all as f64).clamp(0.0, 1.0) };
    frame.render_widget(Gauge::default().ratio(share).label(format!("{done} of {all} steps")), bar);
    let rows = run.steps.iter().map(|step| {
        Row::new([
            Cell::new(printable(&step.step)),
            Cell::new(printable(&step.by())),
            Cell::new(step.state).style(colour(step.state)),
            Cell::new(if step.unfinished == 0 {
                step.calls.to_string()
            } else {
                format!("{}+{}", step.calls, step.unfinished)
            }),
            Cell::new(figure(step.busy_s, 2)),
            Cell::new(figure(step.cost_usd, 6)),
            Cell::new(step.tokens_in.saturating_add(step.tokens_out).to_string()),
            Cell::new(step.error.as_deref().map(one_line).unwrap_or_default()),
        ])
    });
    let widths = [
        Constraint::Length(24),
        Constraint::Length(24),
        Constraint::Length(11),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(11),
        Constraint::Length(9),
        Constraint::Min(10),
    ];
    let head =
        Row::new(["step", "by", "state", "calls", "time s", "usd", "tokens", "error"]).style(Style::new().bold());
    frame.render_widget(Table::new(rows, widths).header(head), table);
    let last = run.adapted.last().or(run.error.as_ref());
    frame.render_widget(Paragraph::new(last.map(|said| one_line(said)).unwrap_or_default()), said);
}

/// Steps that are done, and all that may be needed.
fn progress(run: &RunView) -> (usize, usize) {
    let needed = run.steps.iter().filter(|s| s.state != "not needed");
    (needed.clone().filter(|s| s.state == "done").count(), needed.count())
}

/// What a run cost so far: of one that runs, what its steps did.
fn cost(run: &RunView) -> Option<f64> {
    run.cost_usd.or_else(|| {
        let known: Vec<f64> = run.steps.iter().filter_map(|s| s.cost_usd).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    })
}

/// A picture of the runs as text, so many columns wide and rows high at most.
fn picture(seen: &Seen, selected: usize, (width, height): (u16, u16)) -> String {
    let Ok(mut terminal) = ratatui::Terminal::new(TestBackend::new(width.max(40), height));
    let Ok(drawn) = terminal.draw(|frame| draw(frame, seen, selected));
    text(drawn.buffer)
}

fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let row = |y: u16| {
        let cells: String = (0..area.width).filter_map(|x| buffer.cell((x, y))).map(|cell| cell.symbol()).collect();
        cells.trim_end().to_owned()
    };
    (0..area.height).map(|y| format!("{}\n", row(y))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::journal::view::StepView;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn step(name: &str, state: &'static str, calls: u64, unfinished: u64) -> StepView {
        StepView {
            step: name.into(),
            implementation: "tool".into(),
            planned_again: None,
            state,
            calls,
            unfinished,
            attempts: calls + unfinished,
            recovered: 0,
            cached: 0,
            stood_in: BTreeMap::new(),
            busy_s: (calls > 0).then_some(1.25),
            cost_usd: (calls > 0).then_some(0.5),
            tokens_in: 10,
            tokens_out: 5,
            error: None,
        }
    }

    fn run(id: u64, state: &'static str) -> RunView {
        RunView {
            id,
            job: format!("job_{id}"),
            key: None,
            state,
            started: "2026-01-01T00:00:00Z".into(),
            took_s: 2.0,
            cost_usd: None,
            unsettled: None,
            runtimes: 1,
            error: None,
            adapted: Vec::new(),
            clauses: Vec::new(),
            folder: PathBuf::from("runs"),
            steps: vec![step("read", "done", 2, 0), step("answer", "unfinished", 1, 3), step("check", "waiting", 0, 0)],
        }
    }

    fn seen(runs: Vec<RunView>) -> Seen {
        Seen { runs, planned_again: BTreeSet::new(), damaged: 0 }
    }

    #[test]
    fn only_a_run_that_was_planned_again_is_marked_so() {
        let said = |id| {
            let mut run = run(id, "running");
            run.adapted.push("nothing keeps the limit".into());
            run
        };
        let seen = Seen { planned_again: [7].into(), ..seen(vec![said(8), said(7)]) };
        let shown = picture(&seen, 0, (120, 24));
        let marked: Vec<&str> = shown.lines().filter(|line| line.contains("adapted")).collect();
        assert!(matches!(marked.as_slice(), [line] if line.contains("job_7")), "{shown}");
    }

    #[test]
    fn a_picture_shows_runs_and_the_steps_of_the_selected_one() {
        let mut live = run(7, "running");
        live.adapted.push("the rest is planned again".into());
        live.steps[1].error = Some("\u{1b}[2Jbad\nnews".into());
        live.steps[1].stood_in.insert("other".into(), 1);
        let shown = picture(&seen(vec![live, run(6, "done")]), 0, (120, 24));
        for part in [
            "mkbc: 1 live, 2 shown",
            "job_7",
            "running",
            "1/3",
            "1 of 3 steps",
            "tool, then other",
            "1+3",
            "[2Jbad news",
            "the rest is planned again",
            "q quits",
        ] {
            assert!(shown.contains(part), "{part}:\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "no escape of somebody's reaches the terminal");
        let second = picture(&seen(vec![run(7, "running"), run(6, "done")]), 1, (120, 24));
        assert!(second.contains("run 6: job_6"), "{second}");
    }

    #[test]
    fn any_size_can_be_drawn_on_and_the_selected_run_is_in_sight() {
        let runs = seen((0..40).rev().map(|id| run(id, "done")).collect());
        for (width, height) in [(40, 1), (40, 5), (200, 60), (60, 12)] {
            let _ = picture(&runs, 39, (width, height));
        }
        assert!(picture(&runs, 39, (100, 24)).contains("job_0 "), "{}", picture(&runs, 39, (100, 24)));
        assert!(picture(&seen(Vec::new()), 0, (80, 20)).contains("no runs here yet"));
        let damaged = Seen { damaged: 16, ..seen(vec![run(3, "done")]) };
        let shown = picture(&damaged, 0, (100, 24));
        assert!(shown.contains("0 live, 1 shown, 16 damaged: `mkbc journal verify`"), "{shown}");
    }
}
