//! z3 in a process of its own: what it does not survive, this one does.
//!
//! That process is this program again, as `mkbc judge`. It reads orders and writes words, a line of JSON each, and bounds its own memory and
//! processor time. Where it ends, or is silent for too long, the word is *unknown*, which is never taken for a proof, and how it
//! ended is kept for who tells people.

use crate::solve::judge::{Constraint, Judge, Terms, Trial, Word};
use crate::solve::{isolated, z3_here};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Bytes of address space: z3's own bound on its memory is far below.
const MOST_BYTES: u64 = 4 << 30;
/// How much longer than it may look z3 may be silent.
const GRACE: Duration = Duration::from_secs(5);

/// What the other process is told.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Begin(Terms),
    Assert(Constraint),
    Decide,
    End,
}

/// z3 in processes of their own, which are started when they are needed and used again.
pub struct Apart {
    program: PathBuf,
    args: Vec<String>,
    idle: Mutex<Vec<Running>>,
    ended: Mutex<Option<String>>,
}

struct Running {
    child: Child,
    orders: BufWriter<ChildStdin>,
    words: Receiver<String>,
}

/// Constraints in another process. `None`: it is gone.
struct Away<'a> {
    apart: &'a Apart,
    running: Option<Running>,
    patience: Duration,
}

impl Apart {
    /// A program that answers as [`answer`] does.
    pub fn new(program: impl Into<PathBuf>, args: &[&str]) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Apart { program: program.into(), args, idle: Mutex::default(), ended: Mutex::default() }
    }

    /// How the first process ended that did so without being asked, in words.
    pub fn ended(&self) -> Option<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn start(&self) -> io::Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (Some(orders), Some(words)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("it has no pipes"));
        };
        let (send, received) = channel();
        // It ends with the process, whose last word it waits for.
        std::thread::spawn(move || {
            for line in BufReader::new(words).lines() {
                if line.ok().is_none_or(|line| send.send(line).is_err()) {
                    break;
                }
            }
        });
        Ok(Running { child, orders: BufWriter::new(orders), words: received })
    }

    fn note(&self, how: String) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(how);
    }
}

impl Judge for Apart {
    fn begin(&self, terms: Terms) -> Option<Box<dyn Trial + '_>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let running = match idle.map_or_else(|| self.start(), Ok) {
            Ok(running) => running,
            Err(e) => {
                self.note(format!("did not start: {e}"));
                return None;
            }
        };
        let patience = GRACE + 2 * Duration::from_millis(u64::from(terms.ms));
        let mut away = Away { apart: self, running: Some(running), patience };
        away.tell(&Order::Begin(terms));
        Some(Box::new(away))
    }

    fn warm_up(&self) {
        let Ok(running) = self.start() else { return };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(running);
    }
}

impl Away<'_> {
    /// Writes an order. What cannot be written shows when a word is waited for.
    fn tell(&mut self, order: &Order) {
        let Some(running) = &mut self.running else { return };
        if let Ok(line) = serde_json::to_string(order) {
            let _ = writeln!(running.orders, "{line}");
        }
    }

    fn word(&mut self) -> Option<Word> {
        let running = self.running.as_mut()?;
        let _ = running.orders.flush();
        let said = running.words.recv_timeout(self.patience);
        said.ok().and_then(|line| serde_json::from_str(&line).ok())
    }
}

impl Trial for Away<'_> {
    fn assert(&mut self, constraint: Constraint) {
        self.tell(&Order::Assert(constraint));
    }

    fn decide(&mut self) -> Word {
        self.tell(&Order::Decide);
        if let Some(word) = self.word() {
            return word;
        }
        if let Some(mut running) = self.running.take() {
            // One that is merely silent is ended.
            let _ = running.child.kill();
            self.apart.note(running.child.wait().map_or_else(|e| e.to_string(), how));
        }
        Word::Unknown
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.tell(&Order::End);
        if let Some(running) = self.running.take() {
            self.apart.idle.lock().unwrap_or_else(PoisonError::into_inner).push(running);
        }
    }
}

/// How a process ended, in words.
fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(9), _) => "gave no word and was stopped".to_owned(),
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("ended with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Answers orders from standard input on standard output until there are no more.
pub fn answer() -> io::Result<()> {
    let bytes = Rlimit { current: Some(MOST_BYTES), maximum: Some(MOST_BYTES) };
    setrlimit(Resource::As, bytes)?;
    let judge = z3_here();
    judge.warm_up();
    while let Some(order) = next()? {
        match order {
            // What a context has seen sways which model it finds.
            Order::Begin(terms) if terms.fresh => isolated(|| hear(&judge, terms))?,
            Order::Begin(terms) => hear(&judge, terms)?,
            Order::Assert(_) | Order::Decide | Order::End => (),
        }
    }
    Ok(())
}

/// One trial.
fn hear(judge: &dyn Judge, terms: Terms) -> io::Result<()> {
    let mut trial = judge.begin(terms);
    while let Some(order) = next()? {
        match order {
            Order::Assert(constraint) => trial.iter_mut().for_each(|trial| trial.assert(constraint.clone())),
            Order::Decide => {
                let word = trial.as_mut().map_or(Word::Unknown, |trial| trial.decide());
                let mut out = io::stdout().lock();
                writeln!(out, "{}", serde_json::to_string(&word)?)?;
                out.flush()?;
            }
            Order::Begin(_) | Order::End => return Ok(()),
        }
    }
    Ok(())
}

fn next() -> io::Result<Option<Order>> {
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}
