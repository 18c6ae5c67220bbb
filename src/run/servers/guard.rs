//! A program that is to start -> the same below a guard: a process that takes everything below it along when the program or mkbc ends.
//!
//! `PR_SET_PDEATHSIG` reaches one process, and a model server starts several, some in sessions of their own. The guard adopts whatever
//! they leave behind (`PR_SET_CHILD_SUBREAPER`) and kills it. It is a fork without an exec, and makes nothing but system calls: another
//! thread of ours may have held the allocator's lock when it was forked.

use libc::{c_int, pid_t, sigset_t};
use std::io;
use std::os::unix::process::CommandExt;
use std::time::Duration;

/// How long a program has to end after it was asked to; everything below the guard is then killed.
pub const GRACE: Duration = Duration::from_secs(10);

/// What is said to a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// End the program gently.
    End,
    /// Kill everything at once.
    Kill,
}

/// Tells a guard.
#[allow(unsafe_code)]
pub fn tell(guard: u32, word: Word) {
    let signal = match word {
        Word::End => libc::SIGTERM,
        Word::Kill => libc::SIGHUP,
    };
    if let Some(id) = i32::try_from(guard).ok().filter(|id| *id > 1) {
        // SAFETY: kill(2) takes two integers and touches no memory of ours; the guard is a child that was not waited for yet, so that
        // its id is nobody else's.
        let _ = unsafe { libc::kill(id, signal) };
    }
}

/// Has a program start below a guard, which is then the child that the caller knows; it ends as the program does.
#[allow(unsafe_code)]
pub fn below_guard(start: &mut std::process::Command) {
    let owner = std::process::id();
    // SAFETY: the closure runs between fork and exec and makes only system calls; it allocates nothing and takes no lock. The guard
    // never returns from it.
    unsafe {
        start.pre_exec(move || {
            let signals = signals();
            let mut before = signals;
            done(libc::sigprocmask(libc::SIG_BLOCK, &raw const signals, &raw mut before))?;
            done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGHUP))?;
            done(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1))?;
            match libc::fork() {
                -1 => Err(io::Error::last_os_error()),
                0 => {
                    done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                    done(libc::sigprocmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()))
                }
                program => guard(program, owner, &signals),
            }
        });
    }
}

fn done(answer: c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a guard waits for.
#[allow(unsafe_code)]
fn signals() -> sigset_t {
    // SAFETY: an all-zero set is a valid place to write one to; the calls write to it and nowhere else.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGHUP, libc::SIGALRM] {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// The guard's life. System calls only.
#[allow(unsafe_code)]
fn guard(program: pid_t, owner: u32, signals: &sigset_t) -> ! {
    // SAFETY: system calls on values of this stack; every descriptor is closed because this process uses none of them, and would
    // otherwise keep locks and pipes of mkbc alive.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0_u32, u32::MAX, 0_u32);
        // mkbc may have ended before the kernel knew that we want to hear of it.
        if u32::try_from(libc::getppid()) != Ok(owner) {
            sweep();
            libc::_exit(1);
        }
        loop {
            let mut signal = 0;
            if libc::sigwait(signals, &raw mut signal) != 0 {
                continue;
            }
            match signal {
                libc::SIGCHLD => {
                    if let Some(status) = ended(program) {
                        sweep();
                        end_like(status);
                    }
                }
                libc::SIGTERM => {
                    libc::kill(program, libc::SIGTERM);
                    libc::alarm(GRACE.as_secs() as u32);
                }
                _ => {
                    sweep();
                    libc::_exit(1);
                }
            }
        }
    }
}

/// Takes leave of all children that ended; the status of the program, if it is one of them.
#[allow(unsafe_code)]
fn ended(program: pid_t) -> Option<c_int> {
    let mut found = None;
    let mut status = 0;
    loop {
        // SAFETY: waitpid(2) writes one int to this stack.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
            id if id <= 0 => return found,
            id if id == program => found = Some(status),
            _ => {}
        }
    }
}

/// Ends as the program did, so that whoever waits for the guard sees how.
#[allow(unsafe_code)]
fn end_like(status: c_int) -> ! {
    // SAFETY: system calls on values of this stack.
    unsafe {
        if libc::WIFEXITED(status) {
            libc::_exit(libc::WEXITSTATUS(status));
        }
        let signal = libc::WTERMSIG(status);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        libc::kill(libc::getpid(), signal);
        libc::_exit(128 + signal)
    }
}

/// Kills every process below this one, also those that come to it when their parents die.
#[allow(unsafe_code)]
fn sweep() {
    const ROUNDS: u32 = 400;
    for _ in 0..ROUNDS {
        // SAFETY: system calls on values of this stack; the path ends in NUL.
        unsafe {
            let file = libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            if file < 0 {
                // Without the list, the group is what can be reached, this process in it.
                libc::kill(0, libc::SIGKILL);
                return;
            }
            let mut text = [0_u8; 4096];
            let mut id: pid_t = 0;
            loop {
                let read = libc::read(file, text.as_mut_ptr().cast(), text.len());
                let Some(part) = usize::try_from(read).ok().filter(|n| *n > 0).and_then(|n| text.get(..n)) else {
                    break;
                };
                for byte in part {
                    if byte.is_ascii_digit() {
                        id = id.saturating_mul(10).saturating_add(pid_t::from(*byte - b'0'));
                    } else if id > 1 {
                        libc::kill(id, libc::SIGKILL);
                        id = 0;
                    }
                }
            }
            libc::close(file);
            let mut status = 0;
            while libc::waitpid(-1, &raw mut status, libc::WNOHANG) > 0 {}
            if libc::waitpid(-1, &raw mut status, libc::WNOHANG) < 0 {
                return;
            }
            let pause = libc::timespec { tv_sec: 0, tv_nsec: 5_000_000 };
            libc::nanosleep(&raw const pause, std::ptr::null_mut());
        }
    }
}
