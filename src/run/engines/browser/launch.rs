//! What a page may reach -> a headless browser with an empty profile, and its client; it ends with all its processes.

use super::protocol::Client;
use super::reach::Reach;
use crate::run::engines::child::{Command, Group, Limits, prepared, unstarted};
use crate::run::fault::{Fault, FaultKind, tail};
use crate::run::preflight::{absent, found};
use crate::run::probe::Env;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::unix::pipe::{Receiver, Sender};

/// Width of the page, in pixels.
pub const WIDTH: u32 = 1024;
/// Height of the page, in pixels.
pub const HEIGHT: u32 = 768;
/// The variable that names the browser.
const NAME: &str = "MKBC_BROWSER";
/// Programs that are one.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A running browser.
pub struct Browser<'a> {
    /// The way to it.
    pub client: Client<'a>,
    child: tokio::process::Child,
    group: Group,
    profile: TempDir,
    log: PathBuf,
}

/// The browser's program.
fn program(env: Env<'_>) -> String {
    let named = env(NAME).filter(|v| !v.is_empty());
    let there = || PROGRAMS.iter().find(|p| found(p, env).is_some()).map(|p| (*p).to_owned());
    named.or_else(there).unwrap_or_else(|| PROGRAMS[0].to_owned())
}

/// The fault that no browser is installed, if none is.
pub fn lacking(env: Env<'_>) -> Option<Fault> {
    absent(&program(env), env)
}

impl<'a> Browser<'a> {
    /// Starts one for an attempt whose folder is `out`. Its profile is elsewhere: the browser makes a socket in it, whose path may have a
    /// hundred bytes, and folders of runs may lie deep.
    pub fn start(reach: &'a Reach, out: &Path, env: Env<'_>) -> Result<Browser<'a>, Fault> {
        let program = program(env);
        let unusable = |e: std::io::Error| unstarted(&program, &e);
        let (profile, log) = (tempfile::Builder::new().prefix("mkbc-").tempdir(), out.join("browser.log"));
        let profile = profile.map_err(|e| Fault::storage("make a folder in", &std::env::temp_dir(), &e))?;
        let arguments = arguments(reach, profile.path())?;
        let limits = Limits { file: 512 << 20, cpu: Some(300), ..Limits::default() };
        let mut start = prepared(&program, &arguments, &Command { argv: &[], folder: out, env, threads: 1, limits });
        start
            .env("HOME", profile.path())
            .env("XDG_CONFIG_HOME", profile.path())
            .env("XDG_CACHE_HOME", profile.path())
            .env("TMPDIR", profile.path());
        let errors = std::fs::File::create(&log).map_err(|e| Fault::storage("write", &log, &e))?;
        start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let (theirs_in, ours_out) = std::io::pipe().map_err(unusable)?;
        let (ours_in, theirs_out) = std::io::pipe().map_err(unusable)?;
        hand_over(&mut start, theirs_in.as_raw_fd(), theirs_out.as_raw_fd());
        let child = start.spawn().map_err(unusable)?;
        let group = Group::of(&child);
        drop((theirs_in, theirs_out));
        let to = Sender::from_owned_fd(OwnedFd::from(ours_out)).map_err(unusable)?;
        let from = Receiver::from_owned_fd(OwnedFd::from(ours_in)).map_err(unusable)?;
        Ok(Browser { client: Client::new(to, from, reach), child, group, profile, log })
    }

    /// Ends it, and what it kept; the end of what it said.
    pub async fn end(mut self) -> String {
        self.group.kill();
        let _ = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
        let said = std::fs::read(&self.log).unwrap_or_default();
        // What stays costs space and nothing else.
        let _ = std::fs::remove_file(&self.log);
        let _ = self.profile.close();
        tail(&String::from_utf8_lossy(&said), 1000).to_owned()
    }
}

fn arguments(reach: &Reach, profile: &Path) -> Result<Vec<String>, Fault> {
    let profile = profile.to_str();
    let profile = profile
        .ok_or_else(|| Fault::new(FaultKind::Storage, "the path of the folder for temporary files is not UTF-8"))?;
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--remote-debugging-pipe",
        // Frames of others stay in the page's process, so that their requests are seen with the page's.
        "--disable-features=IsolateOrigins,site-per-process,Translate,MediaRouter,OptimizationHints,DialMediaRouteProvider",
        "--disable-site-isolation-trials",
        "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-dev-shm-usage",
        "--disable-breakpad",
        "--disable-extensions",
        "--disable-gpu",
        "--disable-sync",
        "--hide-scrollbars",
        "--metrics-recording-only",
        "--mute-audio",
        "--no-default-browser-check",
        "--no-first-run",
        "--no-pings",
    ]
    .map(String::from)
    .into();
    arguments.push(format!("--window-size={WIDTH},{HEIGHT}"));
    arguments.push(format!("--user-data-dir={profile}"));
    arguments.push(format!("--host-resolver-rules={}", reach.resolver_rules()));
    // Chromium refuses to be sandboxed as root, and only then may it go without.
    if std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0) {
        arguments.push("--no-sandbox".to_owned());
    }
    Ok(arguments)
}

/// Gives the child the two pipes as descriptors 3 and 4, where the browser looks for them.
#[allow(unsafe_code)]
fn hand_over(start: &mut tokio::process::Command, commands: i32, answers: i32) {
    // SAFETY: the closure runs between fork and exec and makes only system calls that are safe there (fcntl, dup2) on descriptors
    // that are open until the child is started; it allocates nothing and takes no lock.
    unsafe {
        start.pre_exec(move || {
            // Away from 3 and 4 first: one of them may be the other's place.
            let commands = libc::fcntl(commands, libc::F_DUPFD_CLOEXEC, 10);
            let answers = libc::fcntl(answers, libc::F_DUPFD_CLOEXEC, 10);
            if commands < 0 || answers < 0 || libc::dup2(commands, 3) < 0 || libc::dup2(answers, 4) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
}
