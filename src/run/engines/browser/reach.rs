//! The address that a job opens -> what its page may reach: its own host at the address that was looked up, or its own folder.
//!
//! Addresses may come from data, so they are not trusted: private addresses and files are refused unless the user's environment
//! allows them, a name is looked up once and pinned, and everything else on the page is blocked.

use crate::run::fault::{Fault, FaultKind};
use crate::run::probe::Env;
use reqwest::Url;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The variable that allows hosts (`intranet`, `127.0.0.1:8080`) and folders (`/srv/pages`), parted by commas.
pub const ALLOW: &str = "MKBC_WEB_ALLOW";

/// What a page may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A host, and the address that it has for as long as the browser runs.
    Host {
        /// The host as it stands in the address.
        host: String,
        /// The port.
        port: u16,
        /// The address.
        address: IpAddr,
    },
    /// Files in a folder, and no network.
    Folder(PathBuf),
}

impl Reach {
    /// What the page at an address may reach.
    pub async fn of(url: &str, env: Env<'_>) -> Result<Reach, Fault> {
        let refuse = |why: &str| Fault::new(FaultKind::Input, format!("`{url}` is not opened: {why}"));
        let parsed = Url::parse(url).map_err(|_| refuse("it is no web address").help("begin it with https://"))?;
        let allowed = env(ALLOW).unwrap_or_default();
        let allowed: Vec<&str> = allowed.split(',').map(str::trim).filter(|a| !a.is_empty()).collect();
        match parsed.scheme() {
            "http" | "https" => {}
            "file" => return folder(&parsed, &allowed, &refuse),
            _ => return Err(refuse("only http, https and file addresses are")),
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refuse("it holds a user name or password"));
        }
        let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
            return Err(refuse("it has no host"));
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port)).await;
        let found: Vec<IpAddr> = found.map(|f| f.map(|a| a.ip()).collect()).unwrap_or_default();
        let Some(address) = found.iter().find(|a| a.is_ipv4()).or(found.first()) else {
            return Err(refuse("its host is not known").transient());
        };
        let named = [host.to_owned(), format!("{host}:{port}")];
        // All of its addresses: one that is private makes the name one that leads inside.
        if !found.iter().all(is_public) && !allowed.iter().any(|a| named.iter().any(|n| n == a)) {
            let help = format!("to open a machine of your own, set {ALLOW}={host}:{port}");
            return Err(refuse("its host has a private address").help(help));
        }
        Ok(Reach::Host { host: host.to_owned(), port, address: *address })
    }

    /// Whether a request of the page may be made.
    pub fn allows(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        match (url.scheme(), self) {
            ("about" | "data" | "blob", _) => true,
            ("http" | "https" | "ws" | "wss", Reach::Host { host, port, .. }) => {
                let usual = |p: u16| p == 80 || p == 443;
                let same = |p: u16| p == *port || (usual(p) && usual(*port));
                url.host_str() == Some(host) && url.port_or_known_default().is_some_and(same)
            }
            ("file", Reach::Folder(folder)) => {
                let file = url.to_file_path().ok().and_then(|f| f.canonicalize().ok());
                file.is_some_and(|f| f.starts_with(folder))
            }
            _ => false,
        }
    }

    /// The browser's rules for looking names up: one name, to one address; no other is found, nor any other address.
    pub fn resolver_rules(&self) -> String {
        match self {
            Reach::Host { host, address: IpAddr::V4(address), .. } => format!("MAP {host} {address}, MAP * ~NOTFOUND"),
            Reach::Host { host, address: IpAddr::V6(address), .. } => {
                format!("MAP {host} [{address}], MAP * ~NOTFOUND")
            }
            Reach::Folder(_) => "MAP * ~NOTFOUND".to_owned(),
        }
    }
}

fn folder(url: &Url, allowed: &[&str], refuse: &dyn Fn(&str) -> Fault) -> Result<Reach, Fault> {
    let file = url.to_file_path().ok().and_then(|f| f.canonicalize().ok()).filter(|f| f.is_file());
    let Some(file) = file else { return Err(refuse("there is no such file")) };
    let folders = allowed.iter().filter(|a| a.starts_with('/')).filter_map(|a| Path::new(a).canonicalize().ok());
    match folders.into_iter().find(|folder| file.starts_with(folder)) {
        Some(folder) => Ok(Reach::Folder(folder)),
        None => {
            let own = file.parent().unwrap_or(Path::new("/")).display();
            Err(refuse("files are opened only in folders that you allow").help(format!("set {ALLOW}={own}")))
        }
    }
}

/// Whether an address belongs to the public internet.
pub fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            let [b0, b1, b2, _] = a.octets();
            let special =
                a.is_private() || a.is_loopback() || a.is_link_local() || a.is_unspecified() || a.is_documentation();
            // Shared (100.64/10), protocol assignments (192.0.0/24), benchmarks (198.18/15), multicast and what is above; 0/8.
            let reserved = b0 == 0 || b0 >= 224 || (b0 == 100 && b1 & 0xc0 == 64) || (b0 == 198 && b1 & 0xfe == 18);
            !(special || reserved || (b0, b1, b2) == (192, 0, 0))
        }
        IpAddr::V6(a) => {
            let segments = a.segments();
            if let Some(inner) = a.to_ipv4_mapped() {
                return is_public(&IpAddr::V4(inner));
            }
            // Global unicast is 2000::/3; of it, 6to4 and Teredo hold other addresses, 2001:db8::/32 is for documents.
            let global = segments[0] & 0xe000 == 0x2000;
            global && segments[0] != 0x2002 && !(segments[0] == 0x2001 && (segments[1] == 0xdb8 || segments[1] == 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Env<'static> = &|_| None;

    #[tokio::test]
    async fn private_addresses_and_files_are_refused_however_they_are_written() {
        let addresses = [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://0.0.0.0/",
            "http://0/",
            "http://10.0.0.1/",
            "http://192.168.1.1/",
            "http://172.16.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://100.64.0.1/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[::]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://255.255.255.255/",
            "http://224.0.0.1/",
            "http://198.18.0.1/",
            "http://127.0.0.1:22/",
            "http://127.0.0.1./",
            "http://0177.0.0.1/",
            "http://127.0.1/",
            "http://%31%32%37.0.0.1/",
            "http://\u{2460}\u{2461}\u{2466}.0.0.1/",
            "http://127\u{3002}0\u{3002}0\u{3002}1/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[0:0:0:0:0:ffff:10.0.0.1]/",
            "http://user:x@1.1.1.1/",
            "file:///etc/passwd",
            "file:///dev/zero",
            "ftp://1.1.1.1/",
            "javascript:alert(1)",
            "chrome://version",
            "data:text/html,x",
            "view-source:http://1.1.1.1",
            "1.1.1.1",
            "",
            "http://",
            "https://nowhere.invalid/",
        ];
        for address in addresses {
            let refused = Reach::of(address, NONE).await.expect_err(address);
            assert_eq!(refused.kind, FaultKind::Input, "{address}");
        }
        assert!(Reach::of("https://1.1.1.1/", NONE).await.is_ok());
    }

    #[tokio::test]
    async fn what_the_user_allows_is_reached_and_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let page = folder.path().join("a.html");
        std::fs::write(&page, "x").expect("a file");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).expect("a link");
        let allow = format!("127.0.0.1:8080, {}", folder.path().display());
        let env = |name: &str| (name == ALLOW).then(|| allow.clone());
        let host = Reach::of("http://127.0.0.1:8080/a?b", &env).await.expect("allowed");
        assert!(host.allows("http://127.0.0.1:8080/c") && host.allows("data:text/plain,x"));
        for other in [
            "http://127.0.0.1:8081/",
            "http://localhost:8080/",
            "http://127.0.0.1/",
            "file:///etc/passwd",
            "chrome://x",
            "x",
        ] {
            assert!(!host.allows(other), "{other}");
        }
        assert!(Reach::of("http://127.0.0.1:22/", &env).await.is_err());
        let files = Reach::of(&format!("file://{}", page.display()), &env).await.expect("allowed");
        assert!(files.allows(&format!("file://{}", page.display())));
        for other in [
            format!("file://{}/link", folder.path().display()),
            "file:///etc/passwd".into(),
            "http://127.0.0.1:8080/".into(),
        ] {
            assert!(!files.allows(&other), "{other}");
        }
        assert_eq!(files.resolver_rules(), "MAP * ~NOTFOUND");
    }
}
