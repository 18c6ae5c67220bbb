//! An action on a page (open, click, screenshot) -> the page as a reader sees it, or its picture, by a headless Chromium of its own.
//!
//! Every call starts a browser with an empty profile and ends it with all its processes: no page sees what another one left. A page
//! names its start and the clicks since, which a later call makes again. The protocol is spoken over a pipe (`--remote-debugging-pipe`):
//! no port is open that others could use. What comes from a page is data, bounded and checked like any program's output.

pub mod launch;
pub mod protocol;
pub mod reach;

use super::Call;
use crate::run::fault::{Fault, FaultKind};
use crate::run::store;
use base64::Engine as _;
use launch::Browser;
use protocol::Client;
use reach::Reach;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long a page may load; what is there then is read.
const MOST_LOADING: Duration = Duration::from_secs(20);
/// How long a page may go on changing after that, before it is read.
const MOST_SETTLING: Duration = Duration::from_secs(5);
/// The most clicks on the way to a page.
const MOST_CLICKS: usize = 20;

/// What is read of a page: 200,000 characters, 500 links.
const READ: &str = r"(() => {
  const clean = (t, most) => String(t ?? '').replace(/\s+/g, ' ').trim().slice(0, most);
  const links = [...document.querySelectorAll('a[href]')].slice(0, 500)
    .map(a => ({ text: clean(a.innerText, 200), url: String(a.href).slice(0, 2000) })).filter(l => l.text);
  const text = document.body ? String(document.body.innerText).slice(0, 200000) : '';
  const status = performance.getEntriesByType('navigation')[0]?.responseStatus ?? 0;
  return { url: String(location.href), title: clean(document.title, 500), text, links, status };
})()";

/// Where what bears a text is: its middle, after it was scrolled into view; else what could be clicked.
const FIND: &str = r"((wanted) => {
  const clean = t => String(t ?? '').replace(/\s+/g, ' ').trim().toLowerCase();
  const all = [...document.querySelectorAll('a, button, input[type=submit], input[type=button], summary, label, [role=button], [role=link], [onclick]')]
    .filter(e => e.getClientRects().length).slice(0, 5000);
  const said = e => [e.innerText, e.value, e.getAttribute('aria-label'), e.title].map(clean).filter(t => t);
  const rules = [t => t === wanted, t => t.startsWith(wanted), t => t.includes(wanted)];
  for (const rule of rules) {
    const found = all.find(e => said(e).some(rule));
    if (found) {
      found.closest('a')?.removeAttribute('target');
      found.scrollIntoView({ block: 'center', behavior: 'instant' });
      const box = found.getBoundingClientRect();
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    }
  }
  return { there: all.map(e => said(e)[0]).filter(t => t).slice(0, 10) };
})";

/// Carries out an action.
pub async fn call(call: &Call<'_>, action: &str, out: &Path) -> Result<Value, Fault> {
    let argument = |name: &str| call.args.get(name).map_or(&Value::Null, AsRef::as_ref);
    let text = |value: &Value, what: &str| {
        value.as_str().map(str::to_owned).ok_or_else(|| Fault::plan(format!("`{what}` is no text")))
    };
    let page = argument("page");
    let clicked = || page["clicks"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let (start, mut clicks) = match action {
        "open" => (text(argument("url"), "url")?, Vec::new()),
        "click" | "screenshot" => (text(&page["start_url"], "page.start_url")?, clicked().collect()),
        other => return Err(Fault::new(FaultKind::Unsupported, format!("a browser has no action `{other}`"))),
    };
    if action == "click" {
        clicks.push(text(argument("target"), "target")?);
    }
    if clicks.len() > MOST_CLICKS {
        let message = format!("the page is {} clicks away, and at most {MOST_CLICKS} are made", clicks.len());
        return Err(Fault::new(FaultKind::Data, message).help("open the page where the clicks lead"));
    }
    let reach = Reach::of(&start, call.cx.env).await?;
    let mut browser = Browser::start(&reach, out, call.cx.env)?;
    let done = act(&mut browser.client, &start, &clicks, action, out).await;
    // Before anything is said of it: its log and profile go with it.
    let log = browser.end().await;
    done.map_err(|fault| if fault.kind == FaultKind::Process { fault.detail(&log) } else { fault })
}

async fn act(
    client: &mut Client<'_>,
    start: &str,
    clicks: &[String],
    action: &str,
    out: &Path,
) -> Result<Value, Fault> {
    client.attach().await?;
    open(client, start).await?;
    for target in clicks {
        click(client, target).await?;
    }
    if action == "screenshot" {
        let shot = client.command("Page.captureScreenshot", json!({"format": "png"})).await?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap_or_default());
        let bytes = bytes.map_err(|_| Fault::new(FaultKind::Process, "the browser sent no picture"))?;
        let file = out.join("page.png");
        store::write(&file, &bytes)?;
        return Ok(json!({"file": file, "pixels": launch::WIDTH * launch::HEIGHT}));
    }
    let mut page = client.evaluate(READ).await?;
    let status = page.as_object_mut().and_then(|p| p.shift_remove("status")).and_then(|s| s.as_u64()).unwrap_or(0);
    if status >= 400 {
        let message = format!("`{}` answers with status {status}", page["url"].as_str().unwrap_or(start));
        let fault = Fault::new(FaultKind::Provider, message);
        return Err(if status >= 500 || status == 429 { fault.transient() } else { fault });
    }
    page["start_url"] = json!(start);
    page["clicks"] = json!(clicks);
    Ok(page)
}

async fn open(client: &mut Client<'_>, url: &str) -> Result<(), Fault> {
    let answer = client.command("Page.navigate", json!({"url": url})).await?;
    client.elsewhere()?;
    if let Some(why) = answer["errorText"].as_str().filter(|w| !w.is_empty()) {
        return Err(Fault::new(FaultKind::Provider, format!("`{url}` cannot be opened: {why}")).transient());
    }
    client.settled(MOST_LOADING, MOST_SETTLING).await?;
    client.elsewhere()
}

async fn click(client: &mut Client<'_>, target: &str) -> Result<(), Fault> {
    let wanted = target.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    if wanted.is_empty() {
        return Err(Fault::new(FaultKind::Data, "what is to be clicked has no text"));
    }
    // As JSON, a text is one literal of the script, whatever it holds.
    let place = client.evaluate(&format!("{FIND}({})", json!(wanted))).await?;
    let (Some(x), Some(y)) = (place["x"].as_f64(), place["y"].as_f64()) else {
        let there: Vec<&str> = place["there"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let fault = Fault::new(FaultKind::Data, format!("nothing that can be clicked bears the text `{target}`"));
        return Err(fault.help(format!("there are: {}", there.join("; "))));
    };
    for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
        let pressed = kind != "mouseMoved";
        let event = json!({"type": kind, "x": x, "y": y, "button": if pressed { "left" } else { "none" }, "clickCount": u8::from(pressed)});
        client.command("Input.dispatchMouseEvent", event).await?;
    }
    client.settled(MOST_LOADING, MOST_SETTLING).await?;
    client.elsewhere()
}
