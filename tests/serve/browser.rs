//! A page in a real browser: headless Chromium, driven as the project's own browser tool drives it.

use crate::server::Server;
use base64::Engine as _;
use murakkab::run::engines::browser::launch::{Browser, lacking};
use murakkab::run::engines::browser::reach::Reach;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a page may take for what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes in the document, which the page's world shares with ours, whatever goes wrong in it.
const NOTES: &str = "(() => {
  const note = what => { const e = document.documentElement; if (e) e.dataset.wrong = (e.dataset.wrong ?? '') + what + '; '; };
  addEventListener('error', e => note('error: ' + (e.message ?? e.target.src ?? e.target.href)), true);
  addEventListener('unhandledrejection', e => note('rejected: ' + e.reason));
  addEventListener('securitypolicyviolation', e => note('policy: ' + e.violatedDirective + ' ' + e.blockedURI));
  for (const level of ['error', 'warn']) { const old = console[level]; console[level] = (...all) => { note(level + ': ' + all.join(' ')); old(...all); }; }
  alert = () => note('alert');
})()";

/// A browser with one page open.
pub struct Page<'a> {
    browser: Browser<'a>,
    url: String,
}

/// What pages of a server may reach: that server.
pub fn reach(server: &Server) -> Reach {
    let port = server.address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    Reach::Host { host: "127.0.0.1".to_owned(), port, address: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

impl<'a> Page<'a> {
    /// Starts a browser that may reach a server; none where no browser is installed.
    pub async fn start(server: &Server, reach: &'a Reach, out: &Path) -> Option<Page<'a>> {
        let env = |name: &str| std::env::var(name).ok();
        if let Some(fault) = lacking(&env) {
            eprintln!("skipped: {}", fault.message);
            return None;
        }
        let mut browser = Browser::start(reach, out, &env).expect("a browser");
        browser.client.attach().await.expect("a tab");
        let mut page = Page { browser, url: server.url() };
        page.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": NOTES})).await;
        Some(page)
    }

    pub async fn command(&mut self, method: &str, params: Value) -> Value {
        self.browser.client.command(method, params).await.expect("the browser answers")
    }

    /// The value of an expression; null while a page is being exchanged for another.
    pub async fn look(&mut self, expression: &str) -> Value {
        self.browser.client.evaluate(expression).await.unwrap_or(Value::Null)
    }

    pub async fn text(&mut self, expression: &str) -> String {
        self.look(expression).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true of the page.
    pub async fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.look(expression).await != Value::Bool(true) {
            if begun.elapsed() > PATIENCE {
                let shown = self.look("location.href + ' ' + document.body.innerText").await;
                panic!("`{expression}` did not become true; the page says: {shown}");
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Opens a page of the server.
    pub async fn open(&mut self, path: &str) {
        let url = format!("{}{path}", self.url);
        self.command("Page.navigate", json!({"url": url})).await;
        self.until("document.readyState === 'complete'").await;
    }

    pub async fn key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            "Home" => 36,
            _ => 0,
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.command("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Goes on with the tabulator until an element has the focus; whether it is reached, and is then seen to have it.
    pub async fn tab_to(&mut self, selector: &str) -> bool {
        for _ in 0..60 {
            self.key("Tab").await;
            if self.look(&format!("document.activeElement.matches('{selector}')")).await == true {
                return self.look("getComputedStyle(document.activeElement).outlineStyle !== 'none'").await == true;
            }
        }
        false
    }

    pub async fn write(&mut self, text: &str) {
        self.command("Input.insertText", json!({"text": text})).await;
    }

    /// Everything that is wrong with the page as it is now: errors, what its policy stopped, requests that left the server, and what
    /// people cannot use who do not see it or do not use a pointer.
    pub async fn wrongs(&mut self) -> Vec<String> {
        let found = self
            .look(
                "(() => {
  const wrong = [], all = s => [...document.querySelectorAll(s)];
  const noted = document.documentElement.dataset.wrong;
  if (noted) wrong.push(noted);
  for (const e of performance.getEntriesByType('resource')) if (!e.name.startsWith(location.origin + '/')) wrong.push('left for ' + e.name);
  for (const e of all('[src], link[href], form[action]')) {
    const to = e.src || e.href || e.action;
    if (!String(to).startsWith(location.origin + '/')) wrong.push('names ' + to);
  }
  if (all('script:not([src]), style, [style], [onclick], [onload]').length) wrong.push('script or style in the page');
  if (all('main').length !== 1 || all('h1').length !== 1 || !document.documentElement.lang) wrong.push('no main, heading or language');
  const levels = all('h1, h2, h3, h4').map(e => Number(e.localName[1]));
  levels.forEach((n, i) => { if (i && n > levels[i - 1] + 1) wrong.push('a heading of level ' + n + ' below ' + levels[i - 1]); });
  for (const e of all('th')) if (!e.scope) wrong.push('a header without scope');
  for (const e of all('table')) if (!e.caption) wrong.push('a table without caption');
  for (const e of all('input:not([type=hidden]), select')) if (!e.labels?.length && !e.ariaLabel) wrong.push('no label: ' + e.outerHTML);
  for (const e of all('a[href], button')) if (!e.textContent.trim() && !e.ariaLabel) wrong.push('no name: ' + e.outerHTML);
  for (const e of all('svg[role=img]')) if (!e.ariaLabel && !e.querySelector('title')) wrong.push('a picture without a name');
  const ids = all('[id]').map(e => e.id);
  ids.filter((id, n) => ids.indexOf(id) !== n && id !== 'tip').forEach(id => wrong.push('twice: ' + id));
  for (const e of all('.badge')) if (e.offsetHeight > 30) wrong.push('a sign of a state is ' + e.offsetHeight + ' pixels high');
  if (document.documentElement.scrollWidth > innerWidth + 1) wrong.push('the page is wider than the window');
  return wrong;
})()",
            )
            .await;
        found.as_array().expect("a list").iter().map(|w| w.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The window's width and height.
    pub async fn size(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Pictures of the whole page in light and dark, for people: in `target/tmp`.
    pub async fn photograph(&mut self, name: &str) {
        for scheme in ["light", "dark"] {
            let feature = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            self.command("Emulation.setEmulatedMedia", feature).await;
            let shot =
                self.command("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true})).await;
            let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().expect("a picture"));
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}-{scheme}.png"));
            std::fs::write(&path, bytes.expect("base64")).expect("written");
        }
    }

    pub async fn end(self) {
        self.browser.end().await;
    }
}
