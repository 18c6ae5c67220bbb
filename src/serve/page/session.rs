//! A token → a session of a browser: a random name in a cookie that scripts cannot read and other sites cannot send. The token itself is
//! kept nowhere, and sessions end with the server.

use crate::digest::digest;
use crate::run::fault::Fault;
use crate::run::secret::random;
use crate::serve::tenants::{Tenant, Tenants};
use axum::http::{HeaderMap, header};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a session lasts.
const LASTS: Duration = Duration::from_secs(12 * 3600);
/// Sessions that are kept; the one that ends first makes room.
const MOST: usize = 10_000;

/// Whose a session is, and when it ends.
type Signed = (String, Instant);

/// The sessions of a server's pages.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<BTreeMap<String, Signed>>);

impl Sessions {
    /// Begins a session of a tenant's; returns its name, of which only the digest is kept.
    pub fn begin(&self, tenant: &str) -> Result<String, Fault> {
        let (name, now) = (random::<32>()?, Instant::now());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, end)| *end > now);
        if all.len() >= MOST
            && let Some(first) = all.iter().min_by_key(|(_, (_, end))| *end).map(|(name, _)| name.clone())
        {
            all.remove(&first);
        }
        all.insert(digest([name.as_str()]), (tenant.to_owned(), now + LASTS));
        Ok(name)
    }

    /// Ends the session that a browser names.
    pub fn end(&self, headers: &HeaderMap) {
        if let Some(name) = named(headers) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest([name]));
        }
    }

    /// Whose the session is that a browser names.
    pub fn of<'t>(&self, headers: &HeaderMap, tenants: &'t Tenants) -> Option<&'t Arc<Tenant>> {
        let name = digest([named(headers)?]);
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tenant, end) = all.get(&name)?;
        (*end > Instant::now()).then(|| tenants.named(tenant)).flatten()
    }
}

/// The cookie's name: cookies know no ports, and two servers of one machine must not end each other's sessions.
fn cookie(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit(':').next().filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    format!("mkbc_{}", port.unwrap_or_default())
}

/// The session that a browser names.
fn named(headers: &HeaderMap) -> Option<&str> {
    let wanted = cookie(headers);
    let all = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// The header that gives a browser a session, or takes it away. A page that came over TLS gets a cookie that only goes over TLS.
pub fn set(headers: &HeaderMap, session: Option<&str>) -> String {
    let over_tls = headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if over_tls { "; Secure" } else { "" };
    let (value, age) = session.map_or(("", 0), |name| (name, LASTS.as_secs()));
    format!("{}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}", cookie(headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(cookie: &str) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a header");
        HeaderMap::from_iter([(header::HOST, value("localhost:7411")), (header::COOKIE, value(cookie))])
    }

    #[test]
    fn a_session_is_its_tenants_until_it_ends() {
        let (sessions, tenants) = (Sessions::default(), Tenants::local(1));
        let name = sessions.begin("local").expect("a session");
        let with = headers(&format!("a=b; mkbc_7411={name}; mkbc_80=x"));
        assert_eq!(sessions.of(&with, &tenants).map(|tenant| tenant.name.as_str()), Some("local"));
        for wrong in [format!("mkbc_80={name}"), "mkbc_7411=".to_owned(), format!("mkbc_7411={name}0")] {
            assert!(sessions.of(&headers(&wrong), &tenants).is_none(), "{wrong}");
        }
        let line = set(&with, Some(&name));
        assert!(line.contains("HttpOnly") && line.contains("SameSite=Strict") && !line.contains("Secure"), "{line}");
        sessions.end(&with);
        assert!(sessions.of(&with, &tenants).is_none());
    }
}
