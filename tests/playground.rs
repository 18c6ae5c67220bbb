//! The playground in a real browser: headless Chromium opens the built page from a local server, types, fixes, hovers, fills a hole, and
//! looks at the picture of the data flow. `playground/build.sh` builds the page; without it, or without Chromium, the test says so.

use murakkab::run::engines::browser::launch::{Browser, lacking};
use murakkab::run::engines::browser::reach::Reach;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the page may take for what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves a folder on a port of this machine, for as long as the test runs.
fn serve(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let folder = folder.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let name = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
                let name = if name.is_empty() { "index.html" } else { name };
                let kind = match Path::new(name).extension().and_then(|e| e.to_str()) {
                    Some("html") => "text/html",
                    Some("css") => "text/css",
                    Some("js") => "text/javascript",
                    Some("svg") => "image/svg+xml",
                    Some("json") => "application/json",
                    _ => "application/wasm",
                };
                // Only names of the folder itself: no path leads out of it.
                let body = std::fs::read(folder.join(name.replace('/', "_")));
                let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            });
        }
    });
    port
}

/// The page, as a person uses it.
struct Page<'a> {
    browser: Browser<'a>,
}

impl Page<'_> {
    async fn command(&mut self, method: &str, params: Value) -> Value {
        self.browser.client.command(method, params).await.expect("the browser answers")
    }

    async fn look(&mut self, expression: &str) -> Value {
        self.browser.client.evaluate(expression).await.expect("the page can be read")
    }

    /// Waits until an expression is true of the page, which may not be there yet.
    async fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.browser.client.evaluate(expression).await.ok() != Some(Value::Bool(true)) {
            if begun.elapsed() > PATIENCE {
                let shown = self.look("document.body.innerText").await;
                panic!("`{expression}` did not become true; the page says: {shown}");
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    async fn key(&mut self, key: &str, code: &str, modifiers: u32) {
        let virtual_code = match key {
            "Enter" => 13,
            "." => 190,
            " " => 32,
            _ => 0,
        };
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": code, "modifiers": modifiers, "windowsVirtualKeyCode": virtual_code});
            self.command("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types a text in place of all that is there.
    async fn write(&mut self, text: &str) {
        self.look("document.getElementById('text').focus(), document.getElementById('text').select(), true").await;
        self.command("Input.insertText", json!({"text": text})).await;
    }

    async fn text(&mut self) -> String {
        self.look("document.getElementById('text').value").await.as_str().expect("a text").to_owned()
    }

    /// Puts the pointer on the first painted word that is this one.
    async fn point_at(&mut self, word: &str) {
        let place = format!(
            "(() => {{ const e = [...document.querySelectorAll('.paint span')].find(e => e.textContent === {word:?}); \
             const b = e.getBoundingClientRect(); return {{ x: b.x + b.width / 2, y: b.y + b.height / 2 }}; }})()"
        );
        let at = self.look(&place).await;
        let (x, y) = (&at["x"], &at["y"]);
        self.command("Input.dispatchMouseEvent", json!({"type": "mouseMoved", "x": x, "y": y})).await;
    }

    async fn photograph(&mut self, name: &str) {
        let shot = self.command("Page.captureScreenshot", json!({"format": "png"})).await;
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().expect("a picture"));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes.expect("base64")).expect("written");
    }
}

const WRONG: &str = "use std.speech\n\njob who(audio: Audio) -> Transcript {\n  speech_to_txt(audio)\n}\n";
const HOLE: &str = "job who(audio: Audio) -> Transcript {\n  ?\n}\n";
const CALM: &str = "document.getElementById('state').textContent.startsWith('no problems')";

#[tokio::test]
async fn a_job_is_written_mended_filled_and_drawn_in_a_browser() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/dist");
    if !dist.join("core.wasm").is_file() {
        eprintln!("skipped: playground/dist is not built; playground/build.sh builds it");
        return;
    }
    let env = |name: &str| std::env::var(name).ok();
    if let Some(fault) = lacking(&env) {
        eprintln!("skipped: {}", fault.message);
        return;
    }
    let port = serve(dist);
    let reach = Reach::Host { host: "127.0.0.1".to_owned(), port, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let out = tempfile::tempdir().expect("a folder");
    let mut browser = Browser::start(&reach, out.path(), &env).expect("a browser");
    browser.client.attach().await.expect("a tab");
    let mut page = Page { browser };
    let size = json!({"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": false});
    page.command("Emulation.setDeviceMetricsOverride", size).await;
    let address = format!("http://127.0.0.1:{port}/");
    page.command("Page.navigate", json!({"url": address})).await;

    // The first example is there, checked, planned and drawn.
    page.until(CALM).await;
    page.until("document.querySelectorAll('#graph .box.step').length === 5").await;
    let drawn =
        page.look("[...document.querySelectorAll('#graph .box')].map(n => n.querySelector('title').textContent)").await;
    let nodes: Vec<&str> = drawn.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(nodes.iter().any(|n| n.starts_with("combine_answers\n")), "{nodes:?}");
    assert!(nodes.iter().any(|n| n.starts_with("videos\nList[Video]")), "{nodes:?}");
    let summary = page.look("document.getElementById('summary').textContent").await;
    assert!(summary.as_str().is_some_and(|s| s.starts_with('$') && s.ends_with(" on azure_mixed")), "{summary}");
    page.photograph("playground-light.png").await;
    // A step leads to its call.
    let step = "[...document.querySelectorAll('#graph .step')].find(n => n.textContent.startsWith('combine_answers'))";
    page.look(&format!("{step}.dispatchEvent(new MouseEvent('click')), true")).await;
    let behind = "(t => t.value.slice(t.selectionStart))(document.getElementById('text'))";
    let behind = page.look(behind).await;
    assert!(behind.as_str().is_some_and(|text| text.starts_with("combine_answers(")), "{behind}");

    // A mistake is underlined and said, and its fix mends it.
    page.write(WRONG).await;
    page.until("!!document.querySelector('#problems .error')").await;
    assert_eq!(page.look("document.querySelector('.paint .p-error').textContent").await, "speech_to_txt");
    let said = page.look("document.querySelector('#problems .error').innerText").await;
    assert!(said.as_str().is_some_and(|s| s.contains("E0204") || s.contains("speech_to_txt")), "{said}");
    page.look("document.querySelector('#problems .preferred').click(), true").await;
    page.until(CALM).await;
    assert_eq!(page.text().await, WRONG.replace("txt", "text"));

    // The pointer rests on a task: what it is.
    page.until("!!document.querySelector('.paint .t-function.library')").await;
    page.point_at("speech_to_text").await;
    page.until("!document.getElementById('hover').hidden").await;
    let hover = page.look("document.getElementById('hover').innerText").await;
    assert!(hover.as_str().is_some_and(|s| s.contains("Turns speech into text.")), "{hover}");

    // A hole is filled from the keyboard, `use` line and all; then it is planned.
    page.write(HOLE).await;
    page.until("!!document.querySelector('#problems .info .preferred')").await;
    page.look(&format!(
        "document.getElementById('text').setSelectionRange({0}, {0}), true",
        HOLE.find('?').expect("a hole")
    ))
    .await;
    page.key(".", "Period", 2).await;
    page.until("document.getElementById('text').value.includes('speech_to_text')").await;
    assert_eq!(page.text().await, format!("use std.speech\n\n{}", HOLE.replace('?', "speech_to_text(audio)")));
    page.until("document.querySelectorAll('#graph .box').length === 3").await;
    page.until("!!document.querySelector('.paint i')").await;

    // A name is completed.
    page.write("use std.llm\n\njob a(text: Text) -> Text {\n  summ").await;
    page.until("!document.getElementById('completions').hidden").await;
    assert_eq!(
        page.look("document.querySelector('#completions [aria-selected=true] b').textContent").await,
        "summarise"
    );
    page.key("Enter", "Enter", 0).await;
    assert!(page.text().await.contains("  summarise("), "{}", page.text().await);

    // A file travels in an address.
    page.write(WRONG).await;
    page.look("document.getElementById('share').click(), true").await;
    page.until("location.hash.startsWith('#job=')").await;
    page.command("Page.reload", json!({})).await;
    page.until("!!document.querySelector('#problems .error')").await;
    assert_eq!(page.text().await, WRONG);
    page.look("document.getElementById('theme').click(), true").await;
    page.photograph("playground-dark.png").await;
    page.browser.end().await;
}
