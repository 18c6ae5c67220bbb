//! `mkbc run --engine ray://…` against a real Ray, in a network and a process namespace of its own: answers, files, killed workers, a
//! killed driver, a killed raylet with a spare node, a name that is taken, resources that are not there, tokens. `bench/ray.py` has machines
//! with networks of their own, kills nodes, and measures.
//!
//! Ray is looked for in `~/.cache/mkbc/ray` (docs/ray.md); where it is missing, or namespaces are not allowed, these tests say that they
//! are skipped.

#[path = "cli/mkbc.rs"]
mod mkbc;
#[path = "ray/pools.rs"]
mod pools;

use mkbc::{BINARY, Done, Mkbc};
use murakkab::ray::jobs::Jobs;
use murakkab::run::block_on;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the namespaces.
const INSIDE: &str = "MKBC_TEST_INSIDE_RAY";
const ADDRESS: &str = "ray://127.0.0.1:8265";
/// What the command line of a worker has in it.
const WORKER: &str = "/mkbc worker";
/// The longest wait for anything: no figure, but the end of a test that hangs.
const LONGEST: Duration = Duration::from_secs(120);

const LIBRARY: &str = r#"
/// Fakes with round figures, made for these tests.
task tell(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
task held(text: Text) -> Text {
  work text.tokens
  size tokens = text.tokens
}
task copied(page: Document) -> Document {
}
task cried(text: Text) -> Text {
  size tokens = text.tokens
}
tool crier implements cried {
  runs on cpu * 1
  engine python { module "words.py", function "cry" }
  profile "fake.csv"
}
task spared(text: Text) -> Text {
}
tool sparer implements spared {
  runs on spare * 1
  engine process { command ["sh", "HOLD", "{text}"] }
  profile "fake.csv"
}
tool teller implements tell {
  runs on cpu * 1
  engine process { command ["sh", "-c", "echo $0 by $PPID", "{text}"] }
  profile "fake.csv"
}
tool holder implements held {
  runs on cpu * 1
  engine process { command ["sh", "HOLD", "{text}"] }
  profile "fake.csv"
}
tool giant implements held {
  runs on abacus * 2
  engine process { command ["true"] }
  profile "fake.csv"
}
tool copier implements copied {
  runs on cpu * 1
  engine process {
    command ["sh", "-c", "cp $0 $1/made.pgm && printf '{\"file\": \"%s/made.pgm\"}' $1", "{page}", "{out}"]
    read json
  }
  profile "fake.csv"
}
device abacus { kind gpu
  memory 16 GB
}
device spare { kind gpu
  memory 16 GB
}
cluster two { cpu * 2 at 1 usd/h }
cluster large {
  cpu * 2 at 1 usd/h
  spare * 2 at 1 usd/h
  abacus * 4 at 1 usd/h
}
"#;
const PROFILE: &str = "device,units,figure,value,unit,low,high,evidence,source\n,,latency,1,s,,,estimated,made for tests\n\
    ,,quality,90,%,,,estimated,made for tests\n,,power,10,W,,,estimated,made for tests\n";
/// Waits for a file beside it, and says how often it was begun.
const HOLD: &str = "echo x >> HERE/begun\nwhile [ ! -e HERE/go ]; do sleep 0.05; done\necho held $1\n";

/// A Python tool, and what it imports from beside it.
const WORDS: &str =
    "import murakkab\n\nimport loud\n\n\n@murakkab.tool\ndef cry(text: str) -> str:\n    return loud.cry(text)\n";
const LOUD: &str = "def cry(text):\n    return text.upper()\n";

/// A picture of one dot.
const PAGE: &str = "P5\n1 1\n255\nA";

fn ray() -> Option<PathBuf> {
    let python = PathBuf::from(std::env::var_os("HOME")?).join(".cache/mkbc/ray/bin/python");
    let works = Command::new(&python).args(["-c", "import ray, aiohttp"]).output().is_ok_and(|d| d.status.success());
    works.then_some(python)
}

/// Runs a test of this file in namespaces of its own, in which it may kill what it likes.
fn in_namespaces(test: &str) {
    if ray().is_none() {
        eprintln!("SKIPPED: no Ray in ~/.cache/mkbc/ray (docs/ray.md)");
        return;
    }
    let namespaces = ["-r", "-n", "-p", "-f", "--mount-proc", "--kill-child"];
    if !Command::new("unshare").args(namespaces).arg("true").status().is_ok_and(|s| s.success()) {
        eprintln!("SKIPPED: this machine allows no namespaces");
        return;
    }
    // The loopback interface of a new namespace is down.
    let up = "import fcntl, socket, struct\n\
              fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 0x41))";
    // Clusters do not share Ray's folder either, and what workers leave behind is seen.
    let own = "mount -t tmpfs tmpfs /tmp";
    let script = format!("{own} && python3 -c \"{up}\" && exec \"$0\" --exact {test} --ignored --nocapture");
    let itself = std::env::current_exe().expect("this test");
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-c", &script]).arg(itself).env(INSIDE, "1");
    assert!(command.status().expect("unshare").success(), "{test}");
}

/// One after the other: of two clusters that start at once on a busy machine, neither is ready in the time that Ray gives itself.
#[test]
fn a_run_on_ray() {
    in_namespaces("inside_without_a_token");
    in_namespaces("inside_with_a_token");
    in_namespaces("inside_by_a_server");
    in_namespaces("pools::inside_with_pools");
    in_namespaces("pools::inside_with_a_node_that_cannot_be_set_up");
}

#[test]
fn another_machine_needs_a_token() {
    let mkbc = house();
    let done = mkbc.run(&run("tell.mkb", &["--text", "a", "--engine", "ray://10.0.0.1:8265"]));
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("RAY_AUTH_TOKEN is not set"), "{}", done.err);
    for wrong in ["http://127.0.0.1:8265", "ray://", "ray"] {
        let done = mkbc.run(&run("tell.mkb", &["--text", "a", "--engine", wrong]));
        assert!(done.code == Some(1) && done.err.contains("ray://127.0.0.1:8265"), "{wrong}: {}", done.err);
    }
    let done = mkbc.run(&["serve", "--addr", "127.0.0.1:0", "--engine", "ray://10.0.0.1:8265"]);
    assert!(done.code == Some(1) && done.err.contains("RAY_AUTH_TOKEN is not set"), "{}", done.err);
    let done = mkbc.run(&run("tell.mkb", &["--text", "a", "--engine", "ray://127.0.0.1:9"]));
    assert!(done.err.contains("127.0.0.1:9 does not answer"), "{}", done.err);
}

/// A head of Ray; it goes with its namespace.
struct Head(Child);

impl Drop for Head {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn head(token: Option<&str>) -> Head {
    let words = ["--head", "--num-cpus=2", "--dashboard-host=127.0.0.1", "--node-ip-address=127.0.0.1"];
    let start = || node("exec \"$0\" \"$@\"", &words, token);
    let mut head = start();
    wait("the dashboard", || {
        // On a busy machine Ray gives its own start up.
        if head.0.try_wait().expect("a status").is_some() {
            head = start();
        }
        std::net::TcpStream::connect("127.0.0.1:8265").is_ok()
    });
    head
}

/// A node, started by a script that is given the command.
fn node(script: &str, words: &[&str], token: Option<&str>) -> Head {
    let python = ray().expect("Ray");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(python.with_file_name("ray"));
    command.args(["start", "--block", "--object-store-memory=100000000", "--disable-usage-stats"]).args(words);
    match token {
        Some(token) => command.env("RAY_AUTH_MODE", "token").env("RAY_AUTH_TOKEN", token),
        None => command.env("RAY_AUTH_MODE", "disabled"),
    };
    let path = std::env::var("PATH").unwrap_or_default();
    let bin = python.parent().expect("a folder").display().to_string();
    command.env("PATH", format!("{bin}:{path}")).stdout(Stdio::null()).stderr(Stdio::null());
    Head(command.spawn().expect("ray"))
}

fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let since = Instant::now();
    while !there() {
        assert!(since.elapsed() < LONGEST, "{what} does not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn house() -> Mkbc {
    let mkbc = Mkbc::new();
    fs::create_dir_all(mkbc.path("lib/profiles")).expect("a folder");
    let here = mkbc.path("").display().to_string();
    mkbc.write("hold.sh", HOLD.replace("HERE", here.trim_end_matches('/')));
    mkbc.write("lib/house.mkb", LIBRARY.replace("HOLD", &mkbc.path("hold.sh").display().to_string()));
    mkbc.write("lib/profiles/fake.csv", PROFILE);
    mkbc.write("lib/words.py", WORDS);
    mkbc.write("lib/loud.py", LOUD);
    // Ray takes 100 MiB, and a debug build has more.
    let slim = Command::new("strip").arg("-o").arg(mkbc.path("mkbc-slim")).arg(BINARY).status();
    assert!(slim.expect("strip").success());
    mkbc.write("page.pgm", PAGE);
    mkbc.write("tell.mkb", "use house\njob told(text: Text) -> Text {\n  tell(text)\n}\n");
    mkbc.write("cry.mkb", "use house\njob told(text: Text) -> Text {\n  tell(cried(text))\n}\n");
    mkbc.write("spare.mkb", "use house\njob kept(text: Text) -> Text {\n  spared(cried(text))\n}\n");
    mkbc.write("copy.mkb", "use house\njob copy(page: Document) -> Document {\n  copied(copied(page))\n}\n");
    mkbc.write("held.mkb", "use house\njob kept(text: Text) -> Text {\n  using holder\n  held(tell(text))\n}\n");
    mkbc.write("giant.mkb", "use house\njob great(text: Text) -> Text {\n  using giant\n  held(text)\n}\n");
    mkbc
}

fn run<'a>(job: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let cluster = if matches!(job, "giant.mkb" | "spare.mkb") { "large" } else { "two" };
    [&["run", job, "--library", "lib", "--cluster", cluster][..], more].concat()
}

fn on_ray(mkbc: &Mkbc, job: &str, inputs: &[&str], token: Option<&str>) -> Done {
    on_cluster(mkbc, &run(job, inputs), token)
}

fn on_cluster(mkbc: &Mkbc, words: &[&str], token: Option<&str>) -> Done {
    let mut command = mkbc.command(words.iter().copied().chain(["--engine", ADDRESS]));
    command.env("MKBC_WORKER", mkbc.path("mkbc-slim"));
    if let Some(token) = token {
        command.env("RAY_AUTH_TOKEN", token);
    }
    mkbc.end(&mut command)
}

/// Processes whose command line has these words.
fn processes(words: &[&str]) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let has = |id: &u32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        words.iter().all(|word| line.contains(word))
    };
    ids.filter(has).collect()
}

/// Folders of workers.
fn folders() -> usize {
    let all = fs::read_dir("/tmp").expect("/tmp").flatten();
    all.filter(|e| e.file_name().to_string_lossy().starts_with("mkbc-worker-")).count()
}

fn kill(ids: &[u32]) {
    assert!(!ids.is_empty(), "nothing to kill");
    for id in ids {
        Command::new("kill").args(["-9", &id.to_string()]).status().expect("kill");
    }
}

fn begun(mkbc: &Mkbc) -> usize {
    fs::read_to_string(mkbc.path("begun")).unwrap_or_default().lines().count()
}

/// Kills something in the middle of a call, and lets the call end. Returns seconds until the call was begun again.
fn killed(job: &str, what: impl Fn() -> Vec<u32>) -> f64 {
    let mkbc = house();
    let mut command = mkbc.command(run(job, &["--text", "abc", "--engine", ADDRESS, "--json"]));
    command.env("MKBC_WORKER", mkbc.path("mkbc-slim"));
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mkbc");
    // A run that has ended begins nothing: what it said is shown below.
    let mut until = |what: &str, calls: usize| {
        wait(what, || begun(&mkbc) == calls || running.try_wait().expect("a status").is_some());
        begun(&mkbc) == calls
    };
    let mut took = 0.0;
    if until("the call", 1) {
        let since = Instant::now();
        kill(&what());
        until("the next attempt", 2);
        took = since.elapsed().as_secs_f64();
    }
    mkbc.write("go", "");
    let done = running.wait_with_output().expect("an end");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(report["result"]["ok"].as_str().is_some_and(|text| text.starts_with("held ")), "{report:#}");
    assert_eq!(begun(&mkbc), 2);
    // What the killed one had begun went with it, and in the end all folders.
    wait("the end of what was begun", || processes(&["hold.sh"]).is_empty());
    wait("the end of the workers' folders", || folders() == 0);
    took
}

#[test]
#[ignore = "runs in namespaces of its own, by a_run_on_ray"]
fn inside_without_a_token() {
    assert!(std::env::var_os(INSIDE).is_some(), "only in namespaces");
    let _head = head(None);
    let mkbc = house();
    let since = Instant::now();
    let done = on_ray(&mkbc, "cry.mkb", &["--text", "abc"], None);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.starts_with("ABC by "), "{}", done.out);
    eprintln!("a run of two steps, one in Python: {:.1} s", since.elapsed().as_secs_f64());
    wait("the driver's end", || processes(&["driver.py"]).is_empty());
    wait("the workers' end", || processes(&[WORKER]).is_empty());
    wait("the end of the workers' folders", || folders() == 0);
    eprintln!("begun again after a worker was killed: {:.2} s", killed("held.mkb", || processes(&[WORKER])));
    eprintln!("begun again after an actor was killed: {:.2} s", killed("held.mkb", || processes(&["ray::Worker"])));
    eprintln!(
        "begun again after the driver was killed: {:.2} s",
        killed("held.mkb", || processes(&["python", "driver.py"]))
    );
    let since = Instant::now();
    let done = on_ray(&mkbc, "giant.mkb", &["--text", "abc"], None);
    eprintln!("refused for its resources: {:.1} s", since.elapsed().as_secs_f64());
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert!(done.err.contains("needs 2 `GPU`, and the Ray cluster has 0"), "{}", done.err);
    a_name_that_is_taken();
    // A file goes there, comes back, and goes again.
    let done = on_ray(&mkbc, "copy.mkb", &["--page", "page.pgm"], None);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let answer: Value = serde_json::from_str(&done.out).expect("JSON");
    let file = answer["file"].as_str().expect("a file");
    assert!(file.contains(".mkbc/runs"), "{file}");
    assert_eq!(fs::read_to_string(file).expect("a copy"), PAGE);
    a_raylet_with_a_spare_node();
}

/// A server whose runs' programs are carried out there. A cluster of its own: jobs that are gone take packages along that a later node needs.
#[test]
#[ignore = "runs in namespaces of its own, by a_run_on_ray"]
fn inside_by_a_server() {
    assert!(std::env::var_os(INSIDE).is_some(), "only in namespaces");
    let _head = head(None);
    let mkbc = house();
    let words = ["serve", "--addr", "127.0.0.1:0", "--library", "lib", "--engine", ADDRESS, "--grace", "0.1"];
    let mut command = mkbc.command(words);
    command.env("MKBC_WORKER", mkbc.path("mkbc-slim")).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Head(command.spawn().expect("it starts"));
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("serving ").expect("an address").to_owned();
    let submit = |job: &str, more: &[&str]| {
        let words = ["submit", job, "--library", "lib", "--to", &url, "--text", "abc"];
        let done = mkbc.run(&[&words, more].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
        done.out.trim().to_owned()
    };
    let run = submit("held.mkb", &[]);
    wait("the call", || begun(&mkbc) == 1);
    assert!(!processes(&[WORKER]).is_empty(), "it is a worker of the cluster that carries it out");
    mkbc.write("go", "");
    assert_eq!(mkbc.run(&["watch", &run]).code, Some(0));
    let done = mkbc.run(&["fetch", &run]);
    assert!(done.code == Some(0) && done.out.starts_with("held abc by "), "{}{}", done.out, done.err);
    wait("the driver's end", || processes(&["driver.py"]).is_empty());
    // One that is stopped takes what it has begun along.
    fs::remove_file(mkbc.path("go")).expect("removed");
    let run = submit("held.mkb", &[]);
    wait("the call", || begun(&mkbc) == 2);
    let path = run.replacen(&url, &format!("{url}/v1/runs"), 1);
    let client = reqwest::Client::new();
    let state = || block_on(async { client.get(&path).send().await?.json::<Value>().await });
    let stop = block_on(async { client.post(format!("{path}/cancel")).send().await });
    assert!(stop.expect("a runtime").expect("an answer").status().is_success());
    wait("the end of the run", || state().expect("a runtime").is_ok_and(|run| run["state"] == "cancelled"));
    wait("the end of what was begun", || processes(&["hold.sh"]).is_empty());
}

/// Two more nodes with a resource that the step needs: the raylet of the one that works on it is killed, and the other takes over.
fn a_raylet_with_a_spare_node() {
    let spare = |address: &str| {
        let address = format!("--node-ip-address={address}");
        let words =
            ["--address=127.0.0.1:6379", &address, "--num-cpus=1", "--num-gpus=1", "--resources={\"spare\": 1}"];
        // On one machine they would share a folder, in which each deletes what it has no use for: packages of the others, too.
        node("mount -t tmpfs tmpfs /tmp/ray && exec \"$0\" \"$@\"", &words, None)
    };
    let mut nodes = Vec::new();
    // One after the other: on one machine they take each other's ports.
    for (address, there) in [("127.0.0.2", 2), ("127.0.0.3", 3)] {
        nodes.push(spare(address));
        wait("the node", || alive() == there);
    }
    let raylet = || {
        let worked = processes(&["sh", "hold.sh"]);
        let raylets = processes(&["raylet/raylet", "--node_ip_address"]);
        raylets.into_iter().filter(|raylet| worked.iter().any(|id| is_below(*id, *raylet))).collect()
    };
    eprintln!("begun again on a spare node after a raylet was killed: {:.2} s", killed("spare.mkb", raylet));
}

/// How many nodes Ray says are alive.
fn alive() -> usize {
    let asked = async { reqwest::get("http://127.0.0.1:8265/nodes?view=summary").await?.text().await };
    block_on(asked).expect("a runtime").unwrap_or_default().matches("\"state\": \"ALIVE\"").count()
}

/// Whether a process comes of another.
fn is_below(id: u32, above: u32) -> bool {
    let parent = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    std::iter::successors(Some(id), |id| parent(*id)).any(|id| id == above)
}

fn a_name_that_is_taken() {
    let url = reqwest::Url::parse("http://127.0.0.1:8265").expect("a URL");
    // An empty zip file.
    let package = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
    let jobs = Jobs::new(url, None, package).expect("jobs");
    let twice = block_on(async {
        jobs.upload("_ray_pkg_0123.zip").await.expect("a package");
        for _ in 0..2 {
            jobs.submit("taken", "sleep 30", "_ray_pkg_0123.zip", &json!({})).await.expect("a job");
        }
        let running = jobs.ended("taken").await.expect("an answer");
        jobs.stop("taken").await.expect("an answer");
        running
    });
    assert_eq!(twice.expect("a runtime"), None);
}

#[test]
#[ignore = "runs in namespaces of its own, by a_run_on_ray"]
fn inside_with_a_token() {
    assert!(std::env::var_os(INSIDE).is_some(), "only in namespaces");
    let token = "0123456789abcdef0123456789abcdef";
    let _head = head(Some(token));
    let mkbc = house();
    for wrong in [None, Some("ffffffffffffffffffffffffffffffff")] {
        let done = on_ray(&mkbc, "tell.mkb", &["--text", "abc"], wrong);
        assert_eq!(done.code, Some(1), "{}", done.out);
        assert!(done.err.contains("refuses the token"), "{}", done.err);
    }
    let done = on_ray(&mkbc, "tell.mkb", &["--text", "abc"], Some(token));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(!done.err.contains(token) && !done.out.contains(token));
}
