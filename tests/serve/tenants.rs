//! Several tenants of one server: nobody sees, takes or spends what is another's.

use crate::mkbc::Mkbc;
use crate::server::{Server, plan, project};
use serde_json::{Value, json};

/// A new token, whose entry goes into the tokens file with more lines.
pub fn token(mkbc: &Mkbc, name: &str, more: &str) -> String {
    let done = mkbc.run(&["serve", "--new-token", name]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let token = done.err.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    assert!(token.starts_with("mkbc_") && !done.out.contains(&token), "{}", done.out);
    let before = std::fs::read_to_string(mkbc.path("tokens.toml")).unwrap_or_default();
    mkbc.write("tokens.toml", format!("{before}{}{more}\n", done.out));
    token
}

#[test]
fn an_address_that_others_reach_needs_tokens() {
    let mkbc = project("0");
    for address in ["0.0.0.0:0", "[::]:0"] {
        let done = mkbc.run(&["serve", "--addr", address]);
        assert_eq!(done.code, Some(1));
        assert!(done.err.contains("--tokens FILE"), "{}", done.err);
    }
    mkbc.write("tokens.toml", "[[tenant]]\nname = \"a\"\nsha256 = [\"mkbc_secret\"]\n");
    let done = mkbc.run(&["serve", "--addr", "0.0.0.0:0", "--tokens", "tokens.toml"]);
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("no SHA-256") && !done.err.contains("mkbc_secret"), "{}", done.err);
}

#[test]
fn tenants_see_and_spend_only_their_own() {
    let mkbc = project("0");
    let plan = plan(&mkbc);
    let a = token(&mkbc, "a", "queued = 2\npriority = 5\nrequests_per_s = 1000");
    let b = token(&mkbc, "b", "budget_usd = 0.5");
    let c = token(&mkbc, "c", "requests_per_s = 1");
    let root = token(&mkbc, "root", "sees_all = true");
    let server = Server::start(&mkbc, &["--workers", "0", "--tokens", "tokens.toml"]);
    let bearer = |token: &str| format!("Bearer {token}");
    let get = |token: &str, path: &str| server.ask("GET", path, &[("Authorization", &bearer(token))], "");
    let submit = |token: &str, more: Value| {
        let mut submission = json!({"plan": plan, "inputs": {"words": ["a"]}});
        for (name, value) in more.as_object().expect("an object") {
            submission[name] = value.clone();
        }
        server.submit(&submission, &[("Authorization", &bearer(token))])
    };
    for wrong in ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer mkbc_0"] {
        let refused = server.ask("GET", "/v1/runs", &[("Authorization", wrong)], "");
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{wrong}");
    }
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!(server.get("/healthz").status, 200);
    // Runs, and everything below them.
    let id = submit(&a, json!({"key": "k"})).id();
    assert_eq!(get(&a, &format!("/v1/runs/{id}")).status, 200);
    for path in ["", "/events", "/result", "/files/report.json"] {
        let refused = get(&root.replace("mkbc_", "mkbc_0"), &format!("/v1/runs/{id}{path}"));
        assert_eq!(refused.status, 401);
    }
    assert_eq!(get(&root, &format!("/v1/runs/{id}")).json()["tenant"], "a");
    assert_eq!(get(&b, &format!("/v1/runs/{id}")).status, 404);
    let stop = server.ask("POST", &format!("/v1/runs/{id}/cancel"), &[("Authorization", &bearer(&b))], "");
    assert_eq!(stop.status, 404);
    assert_eq!(get(&b, "/v1/runs").json()["runs"], json!([]));
    let many = (0..50).map(|_| get(&c, "/v1/runs")).find(|answer| answer.status == 429).expect("one a second");
    assert_eq!(many.code(), "too_many_requests");
    assert!(many.header("retry-after").is_some());
    // Money is kept before anything is run.
    assert_eq!(submit(&b, json!({"max_usd": 0.6})).status, 402);
    assert_eq!(submit(&b, json!({"max_usd": 0.4, "key": "k"})).status, 202, "another tenant's key is another key");
    assert_eq!(submit(&b, json!({"max_usd": 0.4})).status, 402);
    // Priorities and places.
    assert_eq!(submit(&a, json!({"priority": 6})).status, 403);
    let second = submit(&a, json!({"priority": 5}));
    assert_eq!((second.status, &second.json()["priority"]), (202, &json!(5)));
    let full = submit(&a, json!({}));
    assert_eq!((full.status, full.code().as_str()), (429, "tenant_queue_full"));
    // A plan's digest is of no use to who has not submitted it, and a blob's to who has not uploaded it.
    let known = json!({"plan": second.json()["plan"], "inputs": {"words": ["a"]}});
    assert_eq!(server.submit(&known, &[("Authorization", &bearer(&root))]).status, 422);
    let metrics = get(&a, "/metrics").body;
    assert!(metrics.contains("mkbc_queue_tenant{tenant=\"a\"} 2") && !metrics.contains("tenant=\"b\""), "{metrics}");
    // No token is anywhere, and who did what is.
    let audit = mkbc.read(".mkbc/service/audit.log");
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|l| l["what"] == "submit" && l["tenant"] == "a" && l["run"] == id), "{audit}");
    assert!(lines.iter().any(|l| l["what"] == "refuse" && l["note"] == "no_token"), "{audit}");
    drop(server);
    for entry in walk(&mkbc.path(".mkbc")) {
        let bytes = std::fs::read(&entry).expect("a file");
        for token in [&a, &b, &c, &root] {
            let found = bytes.windows(token.len()).any(|part| part == token.as_bytes());
            assert!(!found, "{} holds a token", entry.display());
        }
        let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().expect("there").permissions());
        assert_eq!(mode & 0o077, 0, "{} is open to others", entry.display());
    }
}

#[test]
fn another_user_of_the_machine_is_refused_without_a_token() {
    let mkbc = project("0");
    let server = Server::start(&mkbc, &["--workers", "0"]);
    let (host, port) = server.address.rsplit_once(':').expect("a port");
    let request = format!("GET /v1/runs HTTP/1.1\\r\\nHost: {}\\r\\nConnection: close\\r\\n\\r\\n", server.address);
    let script = format!("exec 3<>/dev/tcp/{host}/{port}; printf '{request}' >&3; cat <&3");
    let words = ["--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", &script];
    // Where the test may become somebody else.
    if let Ok(said) = std::process::Command::new("setpriv").args(words).output()
        && said.status.success()
    {
        let said = String::from_utf8_lossy(&said.stdout);
        assert!(said.starts_with("HTTP/1.1 403") && said.contains("other_user"), "{said}");
    }
    assert_eq!(server.get("/v1/runs").status, 200);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
