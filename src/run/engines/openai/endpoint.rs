//! The environment + what the library says -> where a provider is, with its key; a text without the key.

use super::sign::{self, Signer};
use crate::run::fault::{Fault, FaultKind};
use crate::run::probe::Env;
use base64::Engine as _;
use reqwest::Url;

/// Where a provider is.
#[derive(Clone)]
pub struct Endpoint {
    /// The base URL: what stands in front of an API's path.
    pub url: Url,
    host: String,
    key: Option<String>,
    key_env: String,
    signer: Option<Signer>,
}

impl Endpoint {
    /// The endpoint of a step: the address in `url_env` where it is set, else `url`; the key in `key_env`, which may be missing only
    /// for an address that the user gave (a server of their own).
    pub fn find(env: Env<'_>, url_env: &str, url: &str, key_env: &str) -> Result<Endpoint, Fault> {
        Endpoint::locate(env, [url_env, url, key_env], false)
    }

    /// The endpoint of a step at AWS: without a bearer token in `key_env`, requests are signed by the account whose access key is given.
    pub fn at_aws(env: Env<'_>, url_env: &str, url: &str, key_env: &str) -> Result<Endpoint, Fault> {
        let signs = env(key_env).is_none_or(|key| key.trim().is_empty()) && sign::given(env);
        let mut found = Endpoint::locate(env, [url_env, url, key_env], signs)?;
        if signs {
            let own = env(url_env).is_some_and(|url| !url.trim().is_empty());
            found.signer = match Signer::find(env, found.url.host_str().unwrap_or_default()) {
                // A server of the user's own in no region of AWS wants no signature.
                Err(_) if own => None,
                signer => signer?,
            };
        }
        if found.signer.is_some() {
            found.key_env = sign::ACCESS_KEY.to_owned();
        }
        Ok(found)
    }

    fn locate(env: Env<'_>, [url_env, url, key_env]: [&str; 3], signs: bool) -> Result<Endpoint, Fault> {
        let set = |name: &str| {
            if name.is_empty() { None } else { env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()) }
        };
        let own = set(url_env);
        let key = set(key_env);
        if key.is_none() && own.is_none() && !key_env.is_empty() && !signs {
            let mut help = format!("export {key_env}=… with the provider's key");
            if !url_env.is_empty() {
                help.push_str(&format!(", or {url_env}=http://… for a server that needs none"));
            }
            return Err(Fault::new(FaultKind::Key, format!("the environment variable {key_env} is not set")).help(help));
        }
        let from = if own.is_some() { url_env } else { "the plan" };
        let wrong = |why: &str| Fault::new(FaultKind::Provider, format!("the provider's address in {from} {why}"));
        let url = Url::parse(own.as_deref().unwrap_or(url)).map_err(|e| wrong(&format!("is no URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a user name or password").help(format!("put the key into {key_env}")));
        }
        let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Endpoint { url, host, key, key_env: key_env.to_owned(), signer: None })
    }

    /// The endpoint of a server that we started on this machine.
    pub fn own(port: u16, key: Option<String>) -> Result<Endpoint, Fault> {
        let host = format!("127.0.0.1:{port}");
        let url = Url::parse(&format!("http://{host}/v1")).map_err(|e| Fault::plan(e.to_string()))?;
        Ok(Endpoint { url, host, key, key_env: String::new(), signer: None })
    }

    /// The address of an API's path.
    pub fn at(&self, path: &str) -> Result<Url, Fault> {
        let base = self.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{path}"))
            .map_err(|e| Fault::new(FaultKind::Provider, format!("the provider's address: {e}")))
    }

    /// Host and port, for messages.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The key, for a request and nothing else.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The variable that names its secret, for messages.
    pub fn key_env(&self) -> &str {
        &self.key_env
    }

    /// Who signs its requests, where it wants them signed.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// Whether it is on this machine.
    pub fn local(&self) -> bool {
        matches!(self.url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
    }

    /// A text without the key, also where a provider returns it in another form.
    pub fn redact(&self, text: &str) -> String {
        self.forms().iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), "[key]"))
    }

    /// How many bytes of a text that goes on may be told once they are redacted: all but its longest end that the beginning of a key is.
    pub fn settled(&self, text: &str) -> usize {
        let forms = self.forms();
        let end = text.len() - forms.iter().map(|form| begun(text, form)).max().unwrap_or(0);
        // A whole key goes with what is told, though its own end may look like the beginning of one.
        let keys = forms.iter().flat_map(|form| text.match_indices(form.as_str()));
        keys.filter(|(from, _)| *from < end).map(|(from, key)| from + key.len()).fold(end, usize::max)
    }

    /// The forms in which a provider may return the key.
    fn forms(&self) -> Vec<String> {
        let secrets = self.key.iter().chain(self.signer.iter().flat_map(Signer::secrets));
        let forms = |key: &String| {
            let encoded: String = key
                .bytes()
                .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
                .collect();
            // Some servers write `\/` for `/` in JSON.
            let escaped = key.replace('/', "\\/");
            [key.clone(), escaped, base64::engine::general_purpose::STANDARD.encode(key), encoded]
        };
        secrets.filter(|k| k.len() >= 4).flat_map(forms).collect()
    }
}

/// Bytes of the longest end of a text with which a key begins, all of the key excepted.
fn begun(text: &str, key: &str) -> usize {
    let ends = text.char_indices().map(|(from, _)| &text[from..]).rev().take_while(|end| end.len() < key.len());
    ends.filter(|end| key.starts_with(end)).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_key_may_begin_with_is_held_back() {
        let env = |name: &str| (name == "K").then(|| "sk-proj-aé/b".to_owned());
        let to = Endpoint::find(&env, "", "https://example.org", "K").expect("an endpoint");
        let held = |text: &str| text.len() - to.settled(text);
        assert_eq!(held("a word and another"), 0);
        assert_eq!(held("a task"), "sk".len(), "the key may follow");
        assert_eq!(held("a task that"), 0);
        assert_eq!(held("ask sk-proj-a"), "sk-proj-a".len());
        assert_eq!(held("ask sk-proj-aé"), "sk-proj-aé".len());
        assert_eq!(held("ask sk-proj-aé\\"), "sk-proj-aé\\".len(), "with `/` as some write it in JSON");
        assert_eq!(held("ask sk-proj-aé/b"), 0, "a whole key is redacted");
        assert_eq!(held("ask sk-proj-b"), 0);
        // Whatever the pieces, what is told joins to what would be told of the whole.
        let whole = "ssk-proj-aé/bsk-proj-aé/b and sk-proj-a, sk-sk-proj-a\u{e9}%C3, c2stcHJvai1hw6kvYg==".to_owned();
        let chars: Vec<char> = whole.chars().collect();
        for size in 1..9 {
            let (mut said, mut come, mut told) = (String::new(), String::new(), 0);
            for piece in chars.chunks(size) {
                come.extend(piece);
                let settled = to.settled(&come[told..]);
                said.push_str(&to.redact(&come[told..told + settled]));
                told += settled;
            }
            said.push_str(&to.redact(&come[told..]));
            assert_eq!(said, to.redact(&whole), "pieces of {size}");
        }
    }

    #[test]
    fn a_missing_key_is_named_and_may_be_missing_for_an_own_server() {
        let nothing = |_: &str| None;
        let fault = Endpoint::find(&nothing, "OPENAI_BASE_URL", "https://api.openai.com/v1", "OPENAI_API_KEY")
            .err()
            .expect("no key");
        assert!(fault.message.contains("OPENAI_API_KEY"));
        let own = |name: &str| (name == "OPENAI_BASE_URL").then(|| "http://127.0.0.1:8080/v1".to_owned());
        assert!(Endpoint::find(&own, "OPENAI_BASE_URL", "https://api.openai.com/v1", "OPENAI_API_KEY").is_ok());
        for wrong in ["file:///etc/passwd", "nonsense", "http://user:pass@host/v1"] {
            let env = |_: &str| Some(wrong.to_owned());
            assert!(Endpoint::find(&env, "U", "", "K").is_err(), "{wrong}");
        }
    }
}
