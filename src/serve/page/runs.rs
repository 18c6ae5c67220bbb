//! `/`: the runs, the latest first, by state, job and text.

use super::frame::{Page, badge, duration, figure, moment, part, table};
use super::{Shown, query};
use crate::html::markup::Markup;
use crate::run::fault::Fault;
use crate::serve::api::guard::Caller;
use crate::serve::store::{Accepted, Filter, State as RunState};
use crate::serve::{Service, now_ms};
use crate::{html, html_to};
use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use std::sync::Arc;

/// Runs on a page.
const PAGE: usize = 50;
/// Runs that are looked through for a text before a page ends.
const LOOKED: usize = 2_000;

/// What is wanted of the list.
struct Wanted {
    state: Option<RunState>,
    job: String,
    text: String,
    before: Option<u64>,
}

impl Wanted {
    fn of(raw: Option<&str>) -> Wanted {
        let all = query(raw);
        let of =
            |name: &str| all.iter().find(|(key, _)| key == name).map(|(_, v)| v.trim().to_owned()).unwrap_or_default();
        let state = RunState::ALL.into_iter().find(|state| state.text() == of("state"));
        Wanted { state, job: of("job"), text: of("q"), before: of("before").parse().ok() }
    }

    /// The address of the list with another state and beginning.
    fn address(&self, state: Option<RunState>, before: Option<u64>) -> String {
        let mut pairs = Vec::new();
        pairs.extend(state.map(|state| ("state", state.text().to_owned())));
        pairs.extend((!self.job.is_empty()).then(|| ("job", self.job.clone())));
        pairs.extend((!self.text.is_empty()).then(|| ("q", self.text.clone())));
        pairs.extend(before.map(|before| ("before", before.to_string())));
        super::address("/", &pairs)
    }

    fn filtered(&self) -> bool {
        self.state.is_some() || !self.job.is_empty() || !self.text.is_empty()
    }
}

/// Lists runs.
pub async fn list(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    RawQuery(raw): RawQuery,
) -> Shown<Response> {
    let wanted = Wanted::of(raw.as_deref());
    let tenant = (!caller.tenant.sees_all).then_some(caller.tenant.name.as_str());
    let (runs, more) = found(&service, tenant, &wanted)?;
    let counts = service.store.counts(tenant)?;
    let count = |state: Option<RunState>| match state {
        Some(state) => counts.get(state.text()).copied().unwrap_or(0),
        None => counts.values().sum(),
    };
    let mut tabs = html!("<nav class=\"tabs\" aria-label=\"Runs by state\"><ul>");
    for state in std::iter::once(None).chain(RunState::ALL.map(Some)) {
        let here = if wanted.state == state { html!(" aria-current=\"true\"") } else { Markup::default() };
        let word = state.map_or("all", RunState::text);
        let (address, count) = (wanted.address(state, None), count(state));
        html_to!(tabs, "<li><a href=\"{}\"{}>{} <span class=\"count\">{}</span></a></li>", address, here, word, count);
    }
    html_to!(tabs, "</ul></nav>");
    let state = wanted.state.map(|s| html!("<input type=\"hidden\" name=\"state\" value=\"{}\">", s.text()));
    let clear = wanted.filtered().then(|| html!("<a class=\"button quiet\" href=\"/\">Clear</a>"));
    let filter = html!(
        "<form class=\"filter\" role=\"search\" action=\"/\">{}<label>Text <input type=\"search\" name=\"q\" value=\"{}\" \
         placeholder=\"job, key, error or number\"></label><label>Job <input name=\"job\" value=\"{}\" placeholder=\"exact name\"></label>\
         <button>Filter</button>{}</form>",
        state,
        wanted.text,
        wanted.job,
        clear
    );
    let open = runs.iter().any(|run| !run.state.is_final());
    let newest =
        wanted.before.map(|_| html!("<a class=\"button\" href=\"{}\">Latest</a>", wanted.address(wanted.state, None)));
    let older = more.map(|id| {
        html!("<a class=\"button\" rel=\"next\" href=\"{}\">Older runs</a>", wanted.address(wanted.state, Some(id)))
    });
    let rows = if runs.is_empty() { nothing(&wanted) } else { rows(&service, &caller, &runs) };
    let pages = html!("<nav class=\"pages\" aria-label=\"Pages of the list\">{}{}</nav>", newest, older);
    let main = html!(
        "<h1>Runs</h1>{}{}{}",
        part("states", "By state", tabs),
        filter,
        part("list", "List of runs", html!("{}{}", rows, pages))
    );
    // A list has no stream of its own: the script asks again as long as something in it can change.
    let events = open.then(|| "list".to_owned());
    Ok(Page { title: "Runs", section: "runs", events, main }.answer(&service, Some(&caller)))
}

/// Runs of a page, and where the next one begins.
fn found(service: &Service, tenant: Option<&str>, wanted: &Wanted) -> Result<(Vec<Accepted>, Option<u64>), Fault> {
    let text = wanted.text.to_lowercase();
    let fits = |run: &Accepted| {
        let has = |field: &str| field.to_lowercase().contains(&text);
        let texts = [Some(&run.job), run.key.as_ref(), run.error.as_ref(), Some(&run.tenant)];
        text.is_empty() || run.id.to_string() == text || texts.into_iter().flatten().any(|field| has(field))
    };
    let (mut found, mut before, mut looked) = (Vec::new(), wanted.before, 0);
    loop {
        let job = Some(wanted.job.as_str()).filter(|job| !job.is_empty());
        let page = service.store.list(&Filter { tenant, state: wanted.state, job, before, most: PAGE + 1 })?;
        let (last, full) = (page.last().map(|run| run.id), page.len() > PAGE);
        looked += page.len();
        for run in page.into_iter().filter(|run| fits(run)) {
            if found.len() == PAGE {
                let next = found.last().map(|run: &Accepted| run.id);
                return Ok((found, next));
            }
            found.push(run);
        }
        if !full || looked >= LOOKED {
            return Ok((found, last.filter(|_| full)));
        }
        before = last;
    }
}

fn nothing(wanted: &Wanted) -> Markup {
    match wanted.filtered() || wanted.before.is_some() {
        true => html!("<div class=\"empty\"><p>No run fits.</p><p><a href=\"/\">All runs</a></p></div>"),
        false => html!(
            "<div class=\"empty\"><p>Nothing was submitted yet.</p><pre>mkbc submit job.mkb --to THIS-SERVER</pre></div>"
        ),
    }
}

fn rows(service: &Service, caller: &Caller, runs: &[Accepted]) -> Markup {
    let tenants = caller.tenant.sees_all && service.tenants.ask_for_tokens();
    let mut head = vec!["Run", "State", "Job", "Submitted", "#Took", "#Cost", "Key"];
    head.extend(tenants.then_some("Tenant"));
    head.push("Compare");
    let now = now_ms();
    let row = |run: &Accepted| {
        let took = match run.state {
            RunState::Queued => html!("<span class=\"dim\">waits</span>"),
            state => {
                let from = service.store.changes(run.id).ok().and_then(|all| {
                    all.iter().find(|change| change.state == RunState::Running).map(|change| change.at_ms)
                });
                let to = if state.is_final() { run.changed_ms } else { now };
                html!("{}", from.map_or("–".to_owned(), |from| duration((to - from).max(0) as f64 / 1e3)))
            }
        };
        let cost = run.spent_micro.map_or("–".to_owned(), |micro| figure("cost", micro as f64 / 1e6));
        let error = run.error.as_ref().map(|why| {
            html!(
                "<div class=\"why\">{}</div>",
                why.lines().next().unwrap_or_default().chars().take(160).collect::<String>()
            )
        });
        let mut cells = vec![
            html!("<a href=\"/runs/{}\">{}</a>", run.id, run.id),
            badge(run.state.text()),
            html!("<a href=\"/runs/{}\" class=\"job\">{}</a>{}", run.id, run.job, error),
            moment(run.submitted_ms),
            took,
            html!("{}", cost),
            html!("{}", run.key.as_deref().unwrap_or("–")),
        ];
        cells.extend(tenants.then(|| html!("{}", run.tenant)));
        cells.push(html!(
            "<input type=\"checkbox\" form=\"compare\" name=\"run\" value=\"{}\" aria-label=\"Compare run {}\">",
            run.id,
            run.id
        ));
        cells
    };
    let rows: Vec<_> = runs.iter().map(row).collect();
    html!(
        "{}<form id=\"compare\" action=\"/compare\" class=\"below\"><button>Compare the two that are ticked</button></form>",
        table("Runs", &head, &rows)
    )
}
