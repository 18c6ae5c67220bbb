//! AWS' signature of a request (SigV4): an account's access key in the place of a bearer token.

use crate::digest::hex;
use crate::run::fault::{Fault, FaultKind};
use crate::run::probe::Env;
use jiff::Timestamp;
use reqwest::Url;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The variable that names the access key; the others are those that AWS' own programs read.
pub const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION: &str = "AWS_SESSION_TOKEN";
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const SERVICE: &str = "bedrock";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs, for which region.
#[derive(Clone)]
pub struct Signer {
    access: String,
    secret: String,
    session: Option<String>,
    region: String,
}

/// Whether an access key is given.
pub fn given(env: Env<'_>) -> bool {
    set(env, ACCESS_KEY).is_some() && set(env, SECRET_KEY).is_some()
}

fn set(env: Env<'_>, name: &str) -> Option<String> {
    env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

impl Signer {
    /// The account whose access key is given, for the region that a host of AWS names, or else the environment.
    pub fn find(env: Env<'_>, host: &str) -> Result<Option<Signer>, Fault> {
        let (Some(access), Some(secret)) = (set(env, ACCESS_KEY), set(env, SECRET_KEY)) else { return Ok(None) };
        let named =
            host.strip_suffix(".amazonaws.com").and_then(|name| name.split_once('.')).map(|(_, r)| r.to_owned());
        let region = named.or_else(|| REGIONS.iter().find_map(|name| set(env, name))).ok_or_else(|| {
            let what = format!("`{host}` names no region of AWS, for which a request could be signed");
            Fault::new(FaultKind::Key, what).help(format!("export {}=… with the region", REGIONS[0]))
        })?;
        Ok(Some(Signer { access, secret, session: set(env, SESSION), region }))
    }

    /// What must appear nowhere.
    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.secret).chain(&self.session)
    }

    /// The headers that sign a POST of a body at a moment.
    pub fn headers(&self, url: &Url, body: &[u8], at: Timestamp) -> Vec<(&'static str, String)> {
        let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = time.split('T').next().unwrap_or_default();
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut headers = vec![("host", host), ("x-amz-date", time.clone())];
        headers.extend(self.session.iter().map(|token| ("x-amz-security-token", token.clone())));
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut request = format!("POST\n{}\n{}\n", encoded(url.path()), url.query().unwrap_or_default());
        for (name, value) in &headers {
            let _ = writeln!(request, "{name}:{value}");
        }
        let _ = write!(request, "\n{names}\n{}", hex(&Sha256::digest(body)));
        let scope = format!("{date}/{}/{SERVICE}/aws4_request", self.region);
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&Sha256::digest(request.as_bytes())));
        let first = format!("AWS4{}", self.secret).into_bytes();
        let parts = [date, &self.region, SERVICE, "aws4_request", &text];
        let signature = parts.iter().fold(first, |key, part| hmac(&key, part.as_bytes()).to_vec());
        let (access, signature) = (&self.access, hex(&signature));
        // The client writes the host by itself.
        headers.remove(0);
        let said = format!("{ALGORITHM} Credential={access}/{scope}, SignedHeaders={names}, Signature={signature}");
        headers.push(("authorization", said));
        headers
    }
}

/// A path as it is signed: encoded once more than it is sent.
fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut padded = [0u8; BLOCK];
    if key.len() > BLOCK {
        padded[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| padded.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(url: &str, body: &str, session: Option<&str>) -> String {
        let env = |name: &str| match name {
            ACCESS_KEY => Some("AKIDEXAMPLE".to_owned()),
            SECRET_KEY => Some("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            SESSION => session.map(str::to_owned),
            "AWS_REGION" => Some("us-east-1".to_owned()),
            _ => None,
        };
        let url = Url::parse(url).expect("an address");
        let signer = Signer::find(&env, url.host_str().expect("a host")).expect("a region").expect("a key");
        let at = "2015-08-30T12:36:00Z".parse().expect("a moment");
        let headers = signer.headers(&url, body.as_bytes(), at);
        assert_eq!(headers[0], ("x-amz-date", "20150830T123600Z".to_owned()));
        headers.last().expect("a signature").1.clone()
    }

    // What botocore 1.44.8 signs for the same requests, accounts and moment.
    #[test]
    fn requests_are_signed_as_aws_own_library_signs_them() {
        let say = |region: &str, headers: &str, signature: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/{region}/bedrock/aws4_request, SignedHeaders={headers}, Signature={signature}"
            )
        };
        let model = "us.anthropic.claude-haiku-4-5-20251001-v1%3A0";
        let url = format!("https://bedrock-runtime.us-east-1.amazonaws.com/model/{model}/converse-stream");
        let found = signed(&url, r#"{"messages":[]}"#, None);
        let known = "f6f26ad95355e9ec6ea5acbb7f732bf589338816348cd5fd8e2ee47c074f5838";
        assert_eq!(found, say("us-east-1", "host;x-amz-date", known));
        let url = "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m/converse";
        let found = signed(url, r#"{"messages":[]}"#, Some("TOKEN/of+a=session"));
        let known = "810bc2cb1ed020967a89459b02fbcc23109dcd72da7e951b6d84588054587241";
        assert_eq!(found, say("eu-central-1", "host;x-amz-date;x-amz-security-token", known));
        let found = signed("http://127.0.0.1:8080/model/m/converse", "{}", None);
        let known = "a32e506659f8906f763bcca1bc780e84d536a7b62120e2f54b9462bab826c592";
        assert_eq!(found, say("us-east-1", "host;x-amz-date", known));
    }

    // RFC 4231, cases 2 and 6.
    #[test]
    fn codes_are_those_of_the_standard() {
        let code = hex(&hmac(b"Jefe", b"what do ya want for nothing?"));
        assert_eq!(code, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let code = hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"));
        assert_eq!(code, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn a_region_is_named_by_the_host_or_the_environment() {
        let env = |name: &str| (name != SESSION && !name.contains("REGION")).then(|| "x".to_owned());
        let fault = Signer::find(&env, "proxy.example").err().expect("no region");
        assert!(fault.message.contains("names no region of AWS"), "{}", fault.message);
        assert!(Signer::find(&|_| None, "proxy.example").expect("nobody asks").is_none());
    }
}
