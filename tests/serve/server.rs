//! A server of the real binary, and a client that sends exactly what it is told.

use crate::mkbc::Mkbc;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tool that notes each call in a file; the second argument is how long it takes, the third what it says.
const NOTE: &str = "#!/bin/sh\necho \"begin $MKBC_IDEMPOTENCY_KEY\" >> \"$1\"\nsleep \"$2\"\necho \"end $MKBC_IDEMPOTENCY_KEY\" >> \"$1\"\necho \"$3!\"\n";

const PROFILE: &str = "device,units,figure,value,unit,low,high,evidence,source
cpu,,latency,0.01,s,,,estimated,made for this test
,,quality,99,%,,,estimated,made for this test
";

/// The job: as many calls as there are words, one after the other.
pub const JOB: &str = "use shout\n\n/// Says it loud.\njob loud(words: List[Text]) -> List[Text] {\n  expect words * 3\n  for word in words {\n    shout(word)\n  }\n}\n";

/// A folder with a library of one tool, which takes so long, and the job.
pub fn project(pause: &str) -> Mkbc {
    let mkbc = Mkbc::new();
    std::fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    mkbc.write("note.sh", NOTE);
    mkbc.write("lib/profiles/shout.csv", PROFILE);
    let (script, file) = (mkbc.path("note.sh"), mkbc.path("notes.txt"));
    mkbc.write(
        "lib/shout.mkb",
        format!(
            "task shout(word: Text) -> Text\ntool shouter implements shout {{\n  runs on cpu * 1\n  \
             engine process {{ command [\"sh\", \"{}\", \"{}\", \"{pause}\", \"{{word}}\"] }}\n  profile \"shout.csv\"\n}}\n\
             task size(file: Bytes) -> Text\ntool counter implements size {{\n  runs on cpu * 1\n  \
             engine process {{ command [\"cat\", \"{{file}}\"] }}\n  profile \"shout.csv\"\n}}\n",
            script.display(),
            file.display(),
        ),
    );
    mkbc.write("job.mkb", JOB);
    mkbc
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }

    pub fn id(&self) -> u64 {
        self.json()["id"].as_u64().unwrap_or_else(|| panic!("{self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// A server at work; killed when it is dropped.
pub struct Server {
    pub address: String,
    scheme: String,
    child: Child,
}

impl Server {
    /// Starts one in a folder, on any port.
    pub fn start(mkbc: &Mkbc, more: &[&str]) -> Server {
        Server::at(mkbc, "127.0.0.1:0", more)
    }

    /// Starts one in a folder, at an address.
    pub fn at(mkbc: &Mkbc, address: &str, more: &[&str]) -> Server {
        let words = ["serve", "--addr", address, "--library", "lib"].into_iter().chain(more.iter().copied());
        let mut command = mkbc.command(words);
        let log = std::fs::OpenOptions::new().append(true).create(true).open(mkbc.path("serve.log")).expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let said = line.trim().strip_prefix("serving ").and_then(|url| url.split_once("://"));
        let (scheme, address) = said.unwrap_or_else(|| panic!("{line:?}"));
        Server { address: address.to_owned(), scheme: scheme.to_owned(), child }
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Ends it as nothing should end.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks it to end; its exit status.
    pub fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    /// Sends bytes as they are, and reads all that comes.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that has seen enough may hang up before all is sent.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Answer { status, head: head.to_owned(), body }
    }

    /// A request with these headers and this body.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let own = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !own("host") {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        if !body.is_empty() || method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.raw(format!("{head}\r\n{body}").as_bytes())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// Submits.
    pub fn submit(&self, submission: &Value, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> =
            [("Content-Type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
        self.ask("POST", "/v1/runs", &headers, &submission.to_string())
    }

    /// Waits until a run is in a state.
    pub fn until(&self, id: u64, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let run = self.get(&format!("/v1/runs/{id}")).json();
            if run["state"] == state {
                return run;
            }
            assert!(began.elapsed() < PATIENCE, "run {id} does not become {state}: {run}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The events of a run behind a place: all until the stream ends, or the first few.
    pub fn events(&self, id: u64, last: Option<&str>, most: usize) -> Vec<(String, Value)> {
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        let mut stream = self.connect();
        let request =
            format!("GET /v1/runs/{id}/events HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{last}\r\n", self.address);
        stream.write_all(request.as_bytes()).expect("sent");
        let (mut events, mut place) = (Vec::new(), String::new());
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            if let Some(id) = line.strip_prefix("id: ") {
                place = id.to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                events.push((place.clone(), serde_json::from_str(data).expect("JSON")));
            }
            // The end of the chunks.
            if events.len() == most || line == "0" {
                break;
            }
        }
        events
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// A submission of the job's source for some words.
pub fn source(words: &[&str]) -> Value {
    json!({"source": JOB, "inputs": {"words": words}})
}

/// The job's plan, as `mkbc plan` makes it.
pub fn plan(mkbc: &Mkbc) -> Value {
    let done = mkbc.run(&["plan", "job.mkb", "--library", "lib", "--cluster", "here", "--json", "--words", "a", "b"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    serde_json::from_str(&done.out).expect("a plan")
}

/// How often calls began, and how often they ended, by key.
pub fn notes(mkbc: &Mkbc) -> std::collections::BTreeMap<String, (usize, usize)> {
    let mut counts: std::collections::BTreeMap<String, (usize, usize)> = Default::default();
    for line in std::fs::read_to_string(mkbc.path("notes.txt")).unwrap_or_default().lines() {
        match line.split_once(' ') {
            Some(("begin", key)) => counts.entry(key.to_owned()).or_default().0 += 1,
            Some(("end", key)) => counts.entry(key.to_owned()).or_default().1 += 1,
            other => panic!("{other:?}"),
        }
    }
    counts
}
