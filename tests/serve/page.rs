//! The pages of `mkbc serve` in a real browser, and what they refuse to whoever is none.

use crate::browser::{Page, reach};
use crate::deploy;
use crate::desk;
use crate::server::{self, Server, source};
use crate::tenants::token;
use murakkab::run::journal::Journal;
use murakkab::run::journal::arguments::Past;
use murakkab::run::journal::replay::Replay;
use serde_json::json;
use std::path::Path;

/// Every way in which a call can stand in a data flow.
const FLOW: &str = "use shout

job flow(words: List[Text]) -> List[Text] {
  expect words * 3

  let loud = for word in words {
    shout(word)
  }
  for word in loud {
    let more = if word == \"a!\" {
      shout(word)
    } else {
      word
    }
    repeat x = more up to 3 expect 2 until y == \"b!!!\" {
      let y = shout(x)
      y
    }
  }
}
";
const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>";
const HTML: (&str, &str) = ("Accept", "text/html");

/// Whether the badge of the page's heading says a state.
fn is(state: &str) -> String {
    format!("document.querySelector('h1 .badge')?.textContent === '{state}'")
}

#[tokio::test]
async fn a_run_is_followed_to_its_end_without_a_reload() {
    let mkbc = desk::project("0.3");
    let server = Server::start(&mkbc, &["--workers", "1"]);
    let (reach, out) = (reach(&server), tempfile::tempdir().expect("a folder"));
    let Some(mut page) = Page::start(&server, &reach, out.path()).await else { return };
    page.size(1280, 900).await;
    let first = server.submit(&desk::source(&["a", "b", "c"]), &[]);
    assert_eq!(first.status, 202, "{first:?}");
    let mut hostile = desk::source(&["where is my order?", HOSTILE]);
    hostile["key"] = json!(HOSTILE);
    let id = server.submit(&hostile, &[]).id();
    page.open(&format!("/runs/{id}")).await;
    page.until(&is("queued")).await;
    // What a reload would take away.
    page.look("document.documentElement.dataset.mark = 'here', true").await;
    page.until(&is("running")).await;
    page.until("!!document.querySelector('.flow .is-running')").await;
    page.photograph("running").await;
    page.until(&is("done")).await;
    assert_eq!(page.text("document.documentElement.dataset.mark").await, "here");
    page.until(&format!("document.getElementById('said').textContent === 'Run {id} is done.'")).await;
    page.until("document.querySelectorAll('.flow .is-done').length === 3").await;
    assert_eq!(page.look("!!document.getElementById('cancel')").await, false);
    // Texts are texts, wherever they stand.
    let shown = page.text("document.getElementById('answer').innerText").await;
    assert!(shown.contains(HOSTILE), "{shown}");
    let shown = page.text("document.getElementById('inputs').innerText").await;
    assert!(shown.contains(HOSTILE), "{shown}");
    assert_eq!(page.look("document.querySelectorAll('main script, main img').length").await, 0);
    // The timeline has the attempts that failed, and the table what was predicted and what was measured.
    assert_eq!(page.look("document.querySelectorAll('.timeline .retry').length").await, 2);
    let row = page.text("[...document.querySelectorAll('#steps tbody tr')][0].innerText.replace(/\\s+/g, ' ')").await;
    assert!(row.starts_with("sort_letter done sorter on cpu * 1 2"), "{row}");
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("run").await;

    // A step leads to its calls: what they were given, what went wrong, what they gave.
    page.look("document.querySelector('.flow .is-done').closest('a').dispatchEvent(new MouseEvent('click', {bubbles: true})), true").await;
    page.until(&format!("location.pathname.startsWith('/runs/{id}/steps/') && document.readyState === 'complete'"))
        .await;
    page.look("document.querySelectorAll('details').forEach(e => e.open = true), true").await;
    let shown = page.text("document.getElementById('main').innerText").await;
    assert!(
        shown.contains(HOSTILE) && shown.contains("`sh` ended with status 3") && shown.contains("billing"),
        "{shown}"
    );
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("step").await;

    page.open(&format!("/runs/{id}/plan")).await;
    let clauses = page.text("document.getElementById('clauses').innerText").await;
    assert!(clauses.contains("latency <= 20 s") && clauses.contains("holds"), "{clauses}");
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("plan").await;

    page.open("/compare?run=1&run=2").await;
    let plans = page.text("document.getElementById('answers').innerText").await;
    assert!(plans.contains("They differ."), "{plans}");
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("compare").await;

    // One that fails says why, in its list and on its page.
    let failed = server.submit(&desk::source(&["boom"]), &[]).id();
    page.open(&format!("/runs/{failed}")).await;
    page.until(&is("failed")).await;
    page.until("document.getElementById('error')?.innerText.includes('it went off')").await;
    page.until("!!document.querySelector('.flow .is-failed')").await;
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("failed").await;

    page.open("/").await;
    page.until("document.querySelectorAll('#list tbody tr').length === 3").await;
    let shown = page.text("document.getElementById('list').innerText").await;
    assert!(shown.contains(HOSTILE), "{shown}");
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("runs").await;
    page.open("/?q=onerror").await;
    assert_eq!(page.look("document.querySelectorAll('#list tbody tr').length").await, 1);
    page.open("/?state=failed").await;
    assert_eq!(page.look("document.querySelectorAll('#list tbody tr').length").await, 1);
    page.open("/?state=cancelled").await;
    assert!(page.text("document.getElementById('list').innerText").await.contains("No run fits."));

    // A small window scrolls tables, and not the page.
    page.size(390, 800).await;
    page.open(&format!("/runs/{id}")).await;
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.end().await;
}

#[tokio::test]
async fn the_fleet_is_shown_with_what_runs_on_it() {
    let mkbc = deploy::folder("0.1", 2);
    let server = deploy::start(&mkbc);
    let (reach, out) = (reach(&server), tempfile::tempdir().expect("a folder"));
    let Some(mut page) = Page::start(&server, &reach, out.path()).await else { return };
    page.size(1280, 900).await;
    page.open("/fleet").await;
    page.until("document.getElementById('cluster').innerText.includes('small')").await;
    let shown = page.text("document.getElementById('main').innerText").await;
    assert!(shown.contains("Nothing is deployed."), "{shown}");
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    for (name, limit) in [("loud", "60 s"), ("calls", "1 ms")] {
        let deployed = deploy::deploy(&server, name, limit, "6/min");
        assert_eq!(deployed.status, if limit == "60 s" { 201 } else { 422 }, "{deployed:?}");
    }
    assert_eq!(deploy::run(&server, "loud", "a", 30).status, 200);
    // It looks again by itself.
    page.until("document.querySelector('#workflows tbody')?.innerText.includes('holds')").await;
    let shown = page.text("document.querySelector('#workflows tbody').innerText.replace(/\\s+/g, ' ')").await;
    assert!(shown.contains("loud") && shown.contains("latency <= 60 s") && !shown.contains("calls"), "{shown}");
    let shown = page.text("document.getElementById('instances').innerText").await;
    assert!(shown.contains("shout") && shown.contains("0 of 1"), "{shown}");
    let shown = page.text("document.getElementById('plans').innerText").await;
    assert!(shown.contains("first"), "{shown}");
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("fleet").await;
    page.end().await;
}

#[tokio::test]
async fn the_keyboard_reaches_and_presses_cancel() {
    let mkbc = server::project("0");
    let server = Server::start(&mkbc, &["--workers", "0"]);
    let (reach, out) = (reach(&server), tempfile::tempdir().expect("a folder"));
    let Some(mut page) = Page::start(&server, &reach, out.path()).await else { return };
    let id = server.submit(&source(&["a"]), &[]).id();
    page.open(&format!("/runs/{id}")).await;
    page.key("Tab").await;
    assert_eq!(page.text("document.activeElement.className").await, "skip", "the first is the way past the head");
    assert!(page.tab_to("#cancel").await, "the button is reached, and seen to be");
    page.key("Enter").await;
    page.until(&is("cancelled")).await;
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    assert_eq!(server.get(&format!("/v1/runs/{id}")).json()["state"], "cancelled");
    page.end().await;
}

#[tokio::test]
async fn limits_are_moved_and_solved_again() {
    let mkbc = desk::project("0");
    let server = Server::start(&mkbc, &["--workers", "1"]);
    let (reach, out) = (reach(&server), tempfile::tempdir().expect("a folder"));
    let Some(mut page) = Page::start(&server, &reach, out.path()).await else { return };
    page.size(1280, 900).await;
    let id = server.submit(&desk::source(&["a", "b", "c"]), &[]).id();
    page.open(&format!("/runs/{id}/solve")).await;
    let then = "document.getElementById('then').innerText";
    assert!(page.text(then).await.contains("same plan"), "{}", page.text(then).await);
    assert!(page.look("document.querySelectorAll('.plot .point').length > 1").await == true);
    page.photograph("solve").await;
    // More quality than the quick way has: the careful one is the best then.
    page.look("document.documentElement.dataset.mark = 'here', document.getElementById('s-quality').focus(), true")
        .await;
    for _ in 0..200 {
        page.key("ArrowRight").await;
        let reached = page.look("Number(document.getElementById('s-quality').value) > 0.9").await;
        if reached == true {
            break;
        }
    }
    page.until("document.getElementById('then').innerText.includes('careful_reply')").await;
    assert_eq!(page.text("document.documentElement.dataset.mark").await, "here");
    assert_eq!(page.text("document.activeElement.id").await, "s-quality", "the slider keeps the focus");
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("solved").await;
    // No plan keeps everything; without a script, the form's address is the same.
    page.open(&format!("/runs/{id}/solve?moved=1&on=latency&latency=0.1&on=quality&quality=0.94")).await;
    assert!(page.text(then).await.contains("no plan"), "{}", page.text(then).await);
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    // What came as a plan has nothing to solve again.
    let plan = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "here", "--json", "--letters", "a"]);
    assert_eq!(plan.code, Some(0), "{}", plan.err);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).expect("JSON");
    let submitted = server.submit(&json!({"plan": plan, "inputs": {"letters": ["a"]}}), &[]);
    assert_eq!(submitted.status, 202, "{submitted:?}");
    page.open(&format!("/runs/{}/solve", submitted.id())).await;
    assert!(page.text("document.body.innerText").await.contains("there is no source to plan again"));
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.end().await;
}

#[tokio::test]
async fn a_token_begins_a_session_that_scripts_do_not_see() {
    let mkbc = server::project("0");
    let (vision, _) = (token(&mkbc, "vision", ""), token(&mkbc, "speech", ""));
    let server = Server::start(&mkbc, &["--workers", "0", "--tokens", "tokens.toml"]);
    // Programs are refused as ever; browsers are led to the form.
    assert_eq!(server.get("/").status, 401);
    let led = server.ask("GET", "/runs/7?log=all", &[HTML], "");
    assert_eq!((led.status, led.header("location")), (303, Some("/login?next=%2Fruns%2F7%3Flog%3Dall")));
    assert_eq!(server.ask("GET", "/v1/runs", &[HTML], "").status, 401, "the API has no pages");
    let bearer = format!("Bearer {vision}");
    let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
    assert_eq!(server.ask("POST", "/v1/runs", &headers, &source(&["a"]).to_string()).status, 202);

    let (reach, out) = (reach(&server), tempfile::tempdir().expect("a folder"));
    let Some(mut page) = Page::start(&server, &reach, out.path()).await else { return };
    page.open("/?q=loud").await;
    page.until("location.pathname === '/login'").await;
    page.look("document.getElementById('token').focus(), true").await;
    page.write("mkbc_wrong").await;
    page.key("Enter").await;
    page.until("!!document.querySelector('[role=alert]')").await;
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.photograph("login").await;
    page.look("document.getElementById('token').focus(), true").await;
    page.write(&vision).await;
    page.key("Enter").await;
    page.until("location.pathname === '/' && location.search === '?q=loud' && document.readyState === 'complete'")
        .await;
    assert_eq!(page.look("document.querySelectorAll('#list tbody tr').length").await, 1);
    assert_eq!(page.text("document.cookie").await, "", "no script sees the session");
    assert!(page.text("document.querySelector('.who').innerText").await.contains("vision"));
    page.open("/runs/1").await;
    page.until(&is("queued")).await;
    assert_eq!(page.wrongs().await, Vec::<String>::new());
    page.look("document.querySelector('.who button').click(), true").await;
    page.until("location.pathname === '/login'").await;
    page.open("/runs/1").await;
    page.until("location.pathname === '/login'").await;
    page.end().await;
    assert!(!mkbc.read(".mkbc/service/audit.log").contains(&vision), "no token is written anywhere");
}

#[test]
fn pages_change_nothing_for_who_is_no_page() {
    let mkbc = server::project("0");
    let server = Server::start(&mkbc, &["--workers", "0"]);
    let id = server.submit(&source(&["a"]), &[]).id();
    let page = server.ask("GET", &format!("/runs/{id}"), &[HTML], "");
    assert_eq!(page.status, 200, "{page:?}");
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(!page.body.contains("<style") && page.body.matches("<script").count() == 1, "{}", page.body);
    let cancel = |headers: &[(&str, &str)]| server.ask("POST", &format!("/runs/{id}/cancel"), headers, "").status;
    assert_eq!(cancel(&[]), 403, "a form says where it comes from");
    assert_eq!(cancel(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(cancel(&[("Origin", "null")]), 403);
    assert_eq!(cancel(&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")]), 403);
    assert_eq!(server.get(&format!("/v1/runs/{id}")).json()["state"], "queued");
    for path in
        ["/runs/9", "/runs/x", "/runs/1/steps/99", "/nothing", "/runs/9/plan", "/runs/9/solve", "/compare?run=9&run=1"]
    {
        let page = server.ask("GET", path, &[HTML], "");
        assert_eq!(page.status, 404, "{path}");
        assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{path}: {page:?}");
        assert_eq!(server.get(path).code(), "not_found", "programs are told in JSON: {path}");
    }
    for file in ["page.css", "page.js", "icon.svg"] {
        let asset = server.get(&format!("/assets/{file}"));
        assert!(asset.status == 200 && !asset.body.contains("https://"), "{file}");
    }
    let own = server.url();
    let stopped = server.ask("POST", &format!("/runs/{id}/cancel"), &[("Origin", &own)], "");
    assert_eq!((stopped.status, stopped.header("location")), (303, Some(format!("/runs/{id}").as_str())));
    assert_eq!(server.get(&format!("/v1/runs/{id}")).json()["state"], "cancelled");
    assert!(Path::new(&mkbc.path(".mkbc/service/tenants/local/sources")).is_dir());
}

#[test]
fn what_every_call_was_given_is_made_again_from_the_journal() {
    let mkbc = server::project("0");
    mkbc.write("flow.mkb", FLOW);
    let done = mkbc.run(&["run", "flow.mkb", "--library", "lib", "--words", "a", "b", "c"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let journal = Journal::existing(&mkbc.path(".mkbc")).expect("it can be read").expect("there is one");
    let run = journal.runs().expect("runs").pop().expect("one");
    let (plan, inputs) = (journal.plan(&run.info).expect("a plan"), journal.inputs(&run.info).expect("inputs"));
    let replay = Replay::of(&journal.records(run.id).expect("records"));
    let results = replay.done.iter().map(|(path, done)| (path.as_str(), &done.value)).collect();
    let past = Past { plan: &plan, inputs: &inputs, results, journal: &journal };
    // Three loud ones, one in a branch, and rounds: three of `a` and `c`, two of `b`.
    assert_eq!(replay.done.len(), 3 + 1 + 8, "{:?}", replay.done.keys());
    for (path, done) in &replay.done {
        assert!(past.arguments(path, &done.input).is_some(), "{path}");
        assert!(past.arguments(path, "another").is_none(), "{path}: a digest that does not fit is no proof");
    }
    for wrong in ["", "v99", "m1[0]", "m4[99]/v2", "x", "m4[x]/v2"] {
        assert!(past.arguments(wrong, "").is_none(), "{wrong}");
    }
}
