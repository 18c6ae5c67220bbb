//! An argument vector -> what the program wrote, with everything bounded; no child outlives the call.

use super::keeper;
use super::sandbox::Sandbox;
use crate::run::devices::cuda;
use crate::run::fault::{Fault, FaultKind, tail};
use crate::run::probe::Env;
use std::cell::Cell;
use std::convert::Infallible;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The variable that holds the key of a call, the same for every attempt at it: a tool with effects can tell a repeated one.
pub const IDEMPOTENCY: &str = "MKBC_IDEMPOTENCY_KEY";

/// A program to run.
pub struct Command<'a> {
    /// The program and its arguments. There is no shell.
    pub argv: &'a [String],
    /// The folder it runs in.
    pub folder: &'a Path,
    /// Where the few variables that it may see come from.
    pub env: Env<'a>,
    /// Threads it may use.
    pub threads: u32,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of a child.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes on standard output; more is an error.
    pub output: usize,
    /// Bytes of standard error that are kept, the last ones.
    pub errors: usize,
    /// Bytes of the largest file it may write.
    pub file: u64,
    /// Bytes of address space; none: as much as there is.
    pub memory: Option<u64>,
    /// Seconds of processor time; none: as many as it takes.
    pub cpu: Option<u64>,
    /// Whether it runs in a sandbox, whose only writable place is its folder; the program is then an absolute path.
    pub sandboxed: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { output: 64 << 20, errors: 8 << 20, file: 16 << 30, memory: None, cpu: None, sandboxed: false }
    }
}

/// What a program wrote.
#[derive(Clone, Debug)]
pub struct Captured {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// The end of standard error.
    pub stderr: Vec<u8>,
    /// The most memory that it and what it started held at once, bytes, as far as looking every few milliseconds tells; 0 where the
    /// system does not say.
    pub peak: u64,
}

impl Captured {
    /// What it wrote, if it ended well.
    pub fn good(self, program: &str) -> Result<Captured, Fault> {
        if self.status.success() {
            return Ok(self);
        }
        let how = ended(self.status);
        let said = if self.stderr.is_empty() { &self.stdout } else { &self.stderr };
        let said = String::from_utf8_lossy(said);
        Err(Fault::new(FaultKind::Process, format!("`{program}` {how}")).detail(tail(&said, 2000)).transient())
    }
}

/// How a program ended, in words that follow its name.
pub fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(9)) => "was killed (signal 9; out of memory?)".to_owned(),
        (None, Some(4)) => {
            "was ended by signal 4: it has instructions that this processor does not (built for AVX-512?)".to_owned()
        }
        (None, signal) => format!("was ended by signal {}", signal.unwrap_or(0)),
    }
}

/// The Debian package that holds a program.
pub fn package(program: &str) -> Option<&'static str> {
    match program {
        "ffmpeg" | "ffprobe" => Some("ffmpeg"),
        "tesseract" => Some("tesseract-ocr"),
        "pdftotext" | "pdftoppm" | "pdfinfo" | "pdfimages" => Some("poppler-utils"),
        "python3" | "python" => Some("python3"),
        "apertium" => Some("apertium apertium-en-es"),
        "chromium" => Some("chromium"),
        "unshare" | "prlimit" => Some("util-linux"),
        "timeout" | "env" => Some("coreutils"),
        p if p.starts_with("pocketsphinx") => Some("pocketsphinx pocketsphinx-en-us"),
        _ => None,
    }
}

/// Runs a program that must end well.
pub async fn run(command: Command<'_>) -> Result<Captured, Fault> {
    let program = command.argv.first().cloned().unwrap_or_default();
    run_any(command).await?.good(&program)
}

/// Runs a program, however it ends. Dropping the future kills it and everything it started.
pub async fn run_any(command: Command<'_>) -> Result<Captured, Fault> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Err(Fault::plan("an empty command"));
    };
    let mut start = prepared(program, arguments, &command);
    start.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if command.limits.sandboxed {
        confine(&mut start, Sandbox::new(command.folder, Path::new(program))?);
    }
    let mut child = start.spawn().map_err(|e| unstarted(program, &e))?;
    let mut group = Group::of(&child);
    let peak = Cell::new(0);
    let watch = watch(child.id(), &peak);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Fault::new(FaultKind::Process, format!("`{program}` has no output")));
    };
    let Limits { output, errors, .. } = command.limits;
    let reading = async { tokio::try_join!(all(stdout, output, program), last(stderr, errors, program)) };
    let unwaited = |e: std::io::Error| Fault::new(FaultKind::Process, format!("`{program}` cannot be waited for: {e}"));
    let work = async {
        tokio::pin!(reading);
        tokio::select! {
            texts = &mut reading => {
                let texts = texts?;
                Ok::<_, Fault>((child.wait().await.map_err(unwaited)?, texts))
            }
            status = child.wait() => {
                // What it left running holds the pipes open, and would keep us waiting for ever.
                group.kill();
                let texts = tokio::time::timeout(Duration::from_secs(5), &mut reading).await;
                let held = || Fault::new(FaultKind::Process, format!("`{program}` ended, and something it started holds its output open"));
                Ok((status.map_err(unwaited)?, texts.map_err(|_| held())??))
            }
        }
    };
    let (status, (stdout, stderr)) = tokio::select! {
        done = work => done?,
        never = watch => match never {},
    };
    group.kill();
    Ok(Captured { status, stdout, stderr, peak: peak.get() })
}

/// Runs a program whose standard output is too much to keep: `take` reads it, on a thread that may block, while the program writes.
pub async fn piped<T: Send + 'static>(
    command: Command<'_>,
    take: impl FnOnce(File) -> Result<T, Fault> + Send + 'static,
) -> Result<(T, Captured), Fault> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Err(Fault::plan("an empty command"));
    };
    let mut start = prepared(program, arguments, &command);
    start.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = start.spawn().map_err(|e| unstarted(program, &e))?;
    // Dropped with this future: the program dies, its output ends, and with it the thread that reads it.
    let mut group = Group::of(&child);
    let peak = Cell::new(0);
    let watch = watch(child.id(), &peak);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Fault::new(FaultKind::Process, format!("`{program}` has no output")));
    };
    let stdout = stdout.into_owned_fd().map_err(|e| unread(program, &e))?;
    let taking = tokio::task::spawn_blocking(move || take(File::from(stdout)));
    let unwaited = |e: std::io::Error| Fault::new(FaultKind::Process, format!("`{program}` cannot be waited for: {e}"));
    let broken = || {
        Fault::new(FaultKind::Process, format!("reading the output of `{program}` broke down; this is a bug in mkbc"))
    };
    let work = async {
        let (taken, stderr) = tokio::join!(taking, last(stderr, command.limits.errors, program));
        Ok::<_, Fault>((taken.map_err(|_| broken())?, stderr?, child.wait().await.map_err(unwaited)?))
    };
    let (taken, stderr, status) = tokio::select! {
        done = work => done?,
        never = watch => match never {},
    };
    group.kill();
    // A reader that gave up ends the program as well: its reason comes first.
    Ok((taken?, Captured { status, stdout: Vec::new(), stderr, peak: peak.get() }))
}

/// Notes the most memory that a process and its descendants hold, until dropped. The kernel's own high-water mark of a process makes
/// up for looking seldom; it is gone once the process has ended.
async fn watch(id: Option<u32>, peak: &Cell<u64>) -> Infallible {
    let mut pause = Duration::from_millis(2);
    loop {
        let held = id.map_or(0, |id| resident(id, 0));
        peak.set(peak.get().max(held));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// High-water marks of a process and its descendants, added up, bytes.
pub fn resident(id: u32, depth: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let mark = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let own = mark.and_then(|m| m.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024;
    if depth >= 8 {
        return own;
    }
    own + children(id).into_iter().map(|c| resident(c, depth + 1)).sum::<u64>()
}

/// The children of a process that its first thread started.
pub fn children(id: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|c| c.parse().ok()).collect()
}

/// A program that is ready to start, in a process group of its own, with its bounds and a clean environment; what it reads and
/// writes is the caller's to say.
pub fn prepared(program: &str, arguments: &[String], command: &Command<'_>) -> tokio::process::Command {
    let mut start = tokio::process::Command::new(program);
    start.args(arguments).current_dir(command.folder).env_clear().kill_on_drop(true).process_group(0);
    // Nothing else is inherited: no key in our environment may reach a program.
    start.env("PATH", (command.env)("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned()));
    // Messages and numbers in one form, whatever the user's language: readers depend on it.
    start.env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8");
    start.env("HOME", (command.env)("HOME").unwrap_or_else(|| "/".to_owned()));
    start.env("TMPDIR", command.folder).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONIOENCODING", "utf-8");
    // Where weights are (addresses of folders, no keys), which GPUs may be used, and which call this is.
    for variable in ["HF_HOME", "MKBC_WEIGHTS", cuda::ORDER, cuda::VISIBLE, IDEMPOTENCY] {
        if let Some(value) = (command.env)(variable) {
            start.env(variable, value);
        }
    }
    for variable in ["OMP_THREAD_LIMIT", "OMP_NUM_THREADS"] {
        start.env(variable, command.threads.max(1).to_string());
    }
    bound(&mut start, command.limits);
    start
}

/// Why a program did not start.
pub fn unstarted(program: &str, error: &std::io::Error) -> Fault {
    if error.kind() != std::io::ErrorKind::NotFound {
        return Fault::new(FaultKind::Process, format!("`{program}` cannot be started: {error}"));
    }
    let fault = Fault::new(FaultKind::Program, format!("the program `{program}` is not installed"));
    match package(program) {
        Some(package) => fault.help(format!("on Debian and Ubuntu: apt-get install {package}")),
        None => fault.help(format!("install `{program}`, or put it on the PATH")),
    }
}

async fn all(mut from: impl AsyncRead + Unpin, limit: usize, program: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 32 << 10];
    loop {
        match from.read(&mut part).await.map_err(|e| unread(program, &e))? {
            0 => return Ok(bytes),
            n if bytes.len() + n > limit => {
                let message = format!("`{program}` wrote more than {} MB to its standard output", limit >> 20);
                return Err(Fault::new(FaultKind::Process, message));
            }
            n => bytes.extend_from_slice(&part[..n]),
        }
    }
}

async fn last(mut from: impl AsyncRead + Unpin, limit: usize, program: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 32 << 10];
    loop {
        match from.read(&mut part).await.map_err(|e| unread(program, &e))? {
            0 => return Ok(bytes),
            n => bytes.extend_from_slice(&part[..n]),
        }
        if bytes.len() > 2 * limit {
            bytes.drain(..bytes.len() - limit);
        }
    }
}

fn unread(program: &str, error: &std::io::Error) -> Fault {
    Fault::new(FaultKind::Process, format!("the output of `{program}` cannot be read: {error}"))
}

/// The process group of a child: dies with its owner, however that ends.
pub struct Group(Option<u32>);

impl Group {
    /// The group that a child of ours leads.
    pub fn of(child: &tokio::process::Child) -> Group {
        let id = child.id();
        id.into_iter().for_each(keeper::begun);
        Group(id)
    }

    /// Kills it and everything in it.
    #[allow(unsafe_code)]
    pub fn kill(&mut self) {
        let Some(group) = self.0.take() else { return };
        if let Some(id) = i32::try_from(group).ok().filter(|id| *id > 1) {
            // SAFETY: kill(2) takes two integers and touches no memory of ours; a group that is gone makes it fail harmlessly.
            let _ = unsafe { libc::kill(-id, libc::SIGKILL) };
        }
        keeper::ended(group);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Has the child die with us even if we are killed, dump no core (it may hold a secret) and stay within its bounds.
#[allow(unsafe_code)]
fn bound(start: &mut tokio::process::Command, limits: Limits) {
    let set = move |resource, most: u64| {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: setrlimit(2) reads one struct that lives on this stack. A bound that cannot be set is not worth failing for.
        let _ = unsafe { libc::setrlimit(resource, &limit) };
    };
    // SAFETY: the closure runs between fork and exec and makes only system calls that are safe there (prctl, setrlimit); it
    // allocates nothing and takes no lock.
    unsafe {
        start.pre_exec(move || {
            #[cfg(target_os = "linux")]
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            set(libc::RLIMIT_CORE, 0);
            set(libc::RLIMIT_FSIZE, limits.file);
            if let Some(memory) = limits.memory {
                set(libc::RLIMIT_AS, memory);
            }
            if let Some(cpu) = limits.cpu {
                set(libc::RLIMIT_CPU, cpu);
            }
            Ok(())
        });
    }
}

/// Has the child enter a sandbox, as the last thing before it becomes the program.
#[allow(unsafe_code)]
fn confine(start: &mut tokio::process::Command, sandbox: Sandbox) {
    let mut sandbox = Some(sandbox);
    // SAFETY: the closure runs between fork and exec and makes only system calls (setrlimit, prctl, close, those of Landlock and
    // seccomp, whose rules were made before); it allocates nothing and takes no lock.
    unsafe {
        start.pre_exec(move || {
            // Few descriptors, each of which could hold memory that no other limit counts.
            let few = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
            let _ = libc::setrlimit(libc::RLIMIT_NOFILE, &few);
            sandbox.take().map_or(Ok(()), Sandbox::enter)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    async fn go(argv: &[&str], limits: Limits) -> Result<Captured, Fault> {
        let argv: Vec<String> = argv.iter().map(|a| (*a).to_owned()).collect();
        let folder = std::env::temp_dir();
        run(Command { argv: &argv, folder: &folder, env: &|name| std::env::var(name).ok(), threads: 1, limits }).await
    }

    #[tokio::test]
    async fn arguments_arrive_as_they_are() {
        let corpus = "; $(touch canary) `touch canary` \n \" ' -rf && | > x";
        let captured = go(&["printf", "%s", corpus], Limits::default()).await.expect("printf runs");
        assert_eq!(captured.stdout, corpus.as_bytes());
    }

    #[tokio::test]
    async fn failures_name_program_and_package() {
        assert_eq!(go(&["false"], Limits::default()).await.expect_err("fails").message, "`false` ended with status 1");
        let missing = go(&["no-such-program"], Limits::default()).await.expect_err("is missing");
        assert_eq!(missing.kind, FaultKind::Program);
        let none = |_: &str| Some("/nonexistent".to_owned());
        let folder = std::env::temp_dir();
        let argv = ["tesseract".to_owned()];
        let command = Command { argv: &argv, folder: &folder, env: &none, threads: 1, limits: Limits::default() };
        let help = run(command).await.expect_err("is missing").help.unwrap_or_default();
        assert!(help.ends_with("apt-get install tesseract-ocr"), "{help}");
    }

    #[tokio::test]
    async fn output_is_capped_and_the_environment_is_clean() {
        let limits = Limits { output: 1 << 20, ..Limits::default() };
        let fault = go(&["yes"], limits).await.expect_err("never ends");
        assert!(fault.message.contains("more than 1 MB"));
        let shown = String::from_utf8(go(&["env"], limits).await.expect("env").stdout).expect("text");
        assert!(!shown.contains("CARGO"), "{shown}");
        assert!(shown.contains("OMP_THREAD_LIMIT=1"));
    }

    #[tokio::test]
    async fn a_dropped_call_leaves_no_child_nor_grandchild() {
        // `env` execs, `timeout` forks: the sleep is a grandchild with a duration nobody else uses.
        let start = Instant::now();
        let call = go(&["timeout", "--foreground", "97.531", "sleep", "97.531"], Limits::default());
        assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!crate::run::tests::samples::running("sleep 97.531"), "a child is left");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
