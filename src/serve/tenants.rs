//! A tokens file and a token -> whose it is and what they may: priority, share, budget, rate. Tokens themselves are nowhere: the file holds
//! their SHA-256, and a token is compared with all of them in a time that does not depend on it.

use super::queue::{HIGHEST, Share};
use crate::digest::hex;
use crate::run::fault::{Fault, FaultKind};
use crate::run::secret::random;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The tenant of a server without tokens.
pub const LOCAL: &str = "local";
/// The priority that runs have where nobody says one.
pub const USUAL: u8 = 4;

/// What a tokens file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tenant: Vec<Entry>,
    #[serde(default)]
    worker: Vec<WorkerEntry>,
}

/// Hosts that carry runs out, as the file has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkerEntry {
    name: String,
    /// SHA-256 of their tokens, lower-case hex.
    sha256: Vec<String>,
}

/// A tenant, as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// SHA-256 of its tokens, lower-case hex.
    sha256: Vec<String>,
    #[serde(default = "usual")]
    priority: u8,
    #[serde(default = "one")]
    weight: u32,
    queued: Option<usize>,
    budget_usd: Option<f64>,
    requests_per_s: Option<u32>,
    #[serde(default)]
    sees_all: bool,
}

fn usual() -> u8 {
    USUAL
}

fn one() -> u32 {
    1
}

/// Somebody who submits runs, and what they may.
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// The highest priority that its runs may have.
    pub priority: u8,
    /// How many of its runs may wait, and its share of the workers.
    pub share: Share,
    /// What its runs may cost together, millionths of a dollar.
    pub budget_micro: Option<u64>,
    /// Whether it sees the runs and figures of all.
    pub sees_all: bool,
    rate: Option<DefaultDirectRateLimiter>,
    money: Mutex<Money>,
}

/// What a tenant's runs cost, millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Money {
    /// What those that ended cost.
    pub spent: u64,
    /// What is kept for those that have not.
    pub held: u64,
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", self.name)
    }
}

impl Tenant {
    fn new(entry: &Entry, queued: usize) -> Tenant {
        let rate = entry.requests_per_s.and_then(NonZeroU32::new);
        Tenant {
            name: entry.name.clone(),
            priority: entry.priority,
            share: Share { most: entry.queued.unwrap_or(queued), weight: entry.weight },
            budget_micro: entry.budget_usd.map(|usd| (usd * 1e6).floor() as u64),
            sees_all: entry.sees_all,
            // A second's requests may come at once.
            rate: rate.map(|rate| RateLimiter::direct(Quota::per_second(rate))),
            money: Mutex::default(),
        }
    }

    /// Counts a request; how long to wait where there were too many.
    pub fn request(&self) -> Result<(), Duration> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check().map_err(|not| not.wait_time_from(DefaultClock::default().now()))
    }

    /// What its runs cost so far.
    pub fn money(&self) -> Money {
        *self.money.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the store says.
    pub fn restore(&self, money: Money) {
        *self.money.lock().unwrap_or_else(PoisonError::into_inner) = money;
    }

    /// Keeps money for a run; what is left where that is less.
    pub fn hold(&self, micro: u64) -> Result<(), u64> {
        let mut money = self.money.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(budget) = self.budget_micro {
            let left = budget.saturating_sub(money.spent).saturating_sub(money.held);
            if micro > left {
                return Err(left);
            }
        }
        money.held = money.held.saturating_add(micro);
        Ok(())
    }

    /// A run for which money was kept is over, and cost this much.
    pub fn settle(&self, held: u64, spent: u64) {
        let mut money = self.money.lock().unwrap_or_else(PoisonError::into_inner);
        money.held = money.held.saturating_sub(held);
        money.spent = money.spent.saturating_add(spent);
    }
}

/// All tenants of a server.
#[derive(Debug)]
pub struct Tenants {
    by_name: BTreeMap<String, Arc<Tenant>>,
    /// Digests of tokens, with whose they are; none where no token is asked for.
    tokens: Option<Vec<([u8; 32], Arc<Tenant>)>>,
    /// Digests of hosts' tokens, with the names of their entries.
    workers: Vec<([u8; 32], String)>,
}

impl Tenants {
    /// One tenant, of whom no token is asked; `queued` of its runs may wait.
    pub fn local(queued: usize) -> Tenants {
        let share = Share { most: queued, weight: 1 };
        let (name, money) = (LOCAL.to_owned(), Mutex::default());
        let local = Tenant { name, priority: HIGHEST, share, budget_micro: None, sees_all: true, rate: None, money };
        Tenants { by_name: BTreeMap::from([(LOCAL.to_owned(), Arc::new(local))]), tokens: None, workers: Vec::new() }
    }

    /// Those of a file; `queued` runs of each may wait where it does not say how many.
    pub fn read(path: &Path, queued: usize) -> Result<Tenants, Fault> {
        let about = path.metadata().map_err(|e| Fault::storage("read", path, &e))?;
        if about.permissions().mode() & 0o022 != 0 {
            let message = format!("`{}` can be written by others, who could let themselves in", path.display());
            return Err(Fault::new(FaultKind::Input, message).help(format!("chmod 600 {}", path.display())));
        }
        let text = std::fs::read_to_string(path).map_err(|e| Fault::storage("read", path, &e))?;
        Tenants::parse(&text, queued).map_err(|why| {
            Fault::new(FaultKind::Input, format!("`{}`: {why}", path.display()))
                .help("`mkbc serve --new-token NAME` prints an entry")
        })
    }

    fn parse(text: &str, queued: usize) -> Result<Tenants, String> {
        // The parser's own message would show what stands there, which may be a token that was written there by mistake.
        let file: File = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!("it is no list of tenants: line {} cannot be used", before.matches('\n').count() + 1)
        })?;
        let mut all = Tenants { by_name: BTreeMap::new(), tokens: Some(Vec::new()), workers: Vec::new() };
        for entry in &file.tenant {
            check(entry)?;
            let tenant = Arc::new(Tenant::new(entry, queued));
            for digest in digests(&entry.name, &entry.sha256)? {
                all.tokens.get_or_insert_default().push((digest, tenant.clone()));
            }
            if all.by_name.insert(entry.name.clone(), tenant).is_some() {
                return Err(format!("the tenant `{}` is there twice", entry.name));
            }
        }
        for WorkerEntry { name, sha256 } in &file.worker {
            if !plain_name(name) {
                return Err(NO_NAME.to_owned());
            }
            all.workers.extend(digests(name, sha256)?.into_iter().map(|digest| (digest, name.clone())));
        }
        if all.by_name.is_empty() {
            return Err("it names no tenant, and nobody could use the server".to_owned());
        }
        Ok(all)
    }

    /// Whether tokens are asked for.
    pub fn ask_for_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whose a token is. All digests are compared, whether one fits or not.
    pub fn of_token(&self, token: Option<&str>) -> Option<&Arc<Tenant>> {
        let Some(tokens) = &self.tokens else { return self.by_name.get(LOCAL) };
        known(tokens, token?)
    }

    /// The entry of a host's token.
    pub fn of_worker(&self, token: &str) -> Option<&str> {
        known(&self.workers, token).map(String::as_str)
    }

    /// A tenant by its name.
    pub fn named(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.by_name.values()
    }
}

/// What belongs to a token. All digests are compared, whether one fits or not.
fn known<'a, T>(tokens: &'a [([u8; 32], T)], token: &str) -> Option<&'a T> {
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let fits = tokens.iter().filter(|(known, _)| bool::from(known.ct_eq(&digest)));
    // Not the first that fits: looking for it would end there.
    fits.fold(None, |_, (_, whose)| Some(whose))
}

fn digests(name: &str, all: &[String]) -> Result<Vec<[u8; 32]>, String> {
    let bad = || format!("a `sha256` of `{name}` is no SHA-256 in lower-case hex (it must not be the token itself)");
    all.iter().map(|digest| unhex(digest).ok_or_else(bad)).collect()
}

const NO_NAME: &str = "a name has 1 to 64 letters, digits, `-`, `_` and `.`";

/// Whether a text is a name that may stand in paths and logs.
pub fn plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain) && !name.starts_with('.')
}

fn check(entry: &Entry) -> Result<(), String> {
    let Entry { name, priority, weight, budget_usd, .. } = entry;
    if !plain_name(name) {
        return Err(NO_NAME.to_owned());
    }
    if *priority > HIGHEST {
        return Err(format!("`{name}`: a priority is a number from 0 to {HIGHEST}"));
    }
    if !(1..=1_000).contains(weight) {
        return Err(format!("`{name}`: a weight is a number from 1 to 1000"));
    }
    match budget_usd {
        Some(usd) if !(0.0..=1e12).contains(usd) => Err(format!("`{name}`: a budget is dollars, 0 or more")),
        _ if entry.requests_per_s == Some(0) => Err(format!("`{name}`: with 0 requests a second it could ask nothing")),
        _ => Ok(()),
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 64 || !text.bytes().all(digit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// A new token, and the entry of a tokens file for it.
pub fn new_token(name: &str) -> Result<(String, String), Fault> {
    let entry = Entry {
        name: name.to_owned(),
        sha256: Vec::new(),
        priority: USUAL,
        weight: 1,
        queued: None,
        budget_usd: None,
        requests_per_s: None,
        sees_all: false,
    };
    check(&entry).map_err(|why| Fault::new(FaultKind::Input, why))?;
    drawn("tenant", name)
}

/// A new token of hosts, and the entry of a tokens file for it.
pub fn new_worker_token(name: &str) -> Result<(String, String), Fault> {
    if !plain_name(name) {
        return Err(Fault::new(FaultKind::Input, NO_NAME));
    }
    drawn("worker", name)
}

fn drawn(table: &str, name: &str) -> Result<(String, String), Fault> {
    let token = format!("mkbc_{}", random::<32>()?);
    let digest = hex(&Sha256::digest(token.as_bytes()));
    Ok((token, format!("[[{table}]]\nname = \"{name}\"\nsha256 = [\"{digest}\"]\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_tenants_and_the_file_does_not_hold_it() {
        let (token, entry) = new_token("vision").expect("a token");
        assert!(!entry.contains(&token));
        let more = "priority = 7\nweight = 3\nqueued = 5\nbudget_usd = 1.5\nrequests_per_s = 2\n";
        let tenants = Tenants::parse(&format!("{entry}{more}"), 100).expect("tenants");
        let vision = tenants.of_token(Some(&token)).expect("known");
        assert_eq!((vision.name.as_str(), vision.priority, vision.budget_micro), ("vision", 7, Some(1_500_000)));
        assert_eq!(vision.share, Share { most: 5, weight: 3 });
        assert!(tenants.of_token(None).is_none());
        assert!(tenants.of_token(Some("mkbc_")).is_none());
        assert!(vision.request().is_ok() && vision.request().is_ok());
        assert!(vision.request().expect_err("two a second") <= Duration::from_secs(1));
    }

    #[test]
    fn a_hosts_token_is_no_tenants() {
        let (token, entry) = new_token("a").expect("a token");
        let (worker, host) = new_worker_token("site").expect("a token");
        let tenants = Tenants::parse(&format!("{entry}{host}"), 9).expect("tenants");
        assert_eq!(tenants.of_worker(&worker), Some("site"));
        assert!(tenants.of_worker(&token).is_none() && tenants.of_token(Some(&worker)).is_none());
        assert!(Tenants::parse(&host, 9).expect_err("nobody").contains("names no tenant"));
        assert!(Tenants::local(1).of_worker(&worker).is_none());
        assert!(new_worker_token("../a").is_err());
    }

    #[test]
    fn a_budget_is_kept_before_it_is_spent() {
        let (_, entry) = new_token("a").expect("a token");
        let tenants = Tenants::parse(&format!("{entry}budget_usd = 1\n"), 9).expect("tenants");
        let a = tenants.named("a").expect("there");
        assert_eq!(a.hold(700_000), Ok(()));
        assert_eq!(a.hold(400_000), Err(300_000));
        a.settle(700_000, 100_000);
        assert_eq!(a.hold(900_000), Ok(()));
        assert_eq!(a.money(), Money { spent: 100_000, held: 900_000 });
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said_without_what_stands_there() {
        let wrong = |text: &str| Tenants::parse(text, 9).expect_err(text);
        let secret = "mkbc_0123456789";
        assert!(!wrong(&format!("[[tenant]]\nname = \"a\"\nsha256 = [\"{secret}\"]")).contains(secret));
        assert!(!wrong(&format!("[[tenant]]\nname = \"a\"\nsha256 = \"{secret}\"")).contains(secret));
        assert!(!wrong(&format!("[[tenant]]\nname = \"a\"\ntoken = \"{secret}\"")).contains(secret));
        assert!(wrong(&format!("[[tenant]]\nname = \"a\"\nsha256 = \"{secret}\"")).contains("line 3"));
        assert!(wrong("").contains("names no tenant"));
        let (_, entry) = new_token("a").expect("a token");
        assert!(wrong(&format!("{entry}{entry}")).contains("twice"));
        assert!(wrong(&format!("{entry}priority = 10\n")).contains("0 to 9"));
        assert!(wrong(&format!("{entry}budget_usd = -1\n")).contains("dollars"));
        assert!(wrong(&format!("{entry}weight = 0\n")).contains("weight"));
        assert!(new_token("../a").is_err());
    }
}
