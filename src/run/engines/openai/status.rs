//! A status that is no success -> what it means, whether another attempt may help, and when.

use crate::run::fault::{Fault, FaultKind, head};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest wish to wait that is told from a longer one: a year, in seconds.
const LONGEST: f64 = 31_536_000.0;

/// The fault that a status means; `key_env` is where the key came from.
pub fn refusal(key_env: &str, status: u16, origin: &str, text: &str, headers: &HeaderMap) -> Fault {
    let body: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let said = body["error"]["message"].as_str().or(body["message"].as_str()).or(body["error"].as_str());
    let said = head(said.unwrap_or(text), 1000);
    let broke = body["error"]["code"] == "insufficient_quota";
    let fault = |kind, what: &str| Fault::new(kind, format!("{origin}: {what}")).detail(said);
    let key = if key_env.is_empty() { "the key".to_owned() } else { format!("the key in {}", key_env) };
    match status {
        401 => fault(FaultKind::Key, &format!("{key} is not accepted"))
            .help("check the key, and that it is for this provider"),
        403 => fault(FaultKind::Key, &format!("{key} does not allow this"))
            .help("check the rights of the key, and the region"),
        404 => fault(FaultKind::Provider, "no such model or address")
            .help("check the model's name; the address should end in /v1"),
        402 | 429 if broke || status == 402 => {
            fault(FaultKind::Provider, "the account has no credit left").help("top the account up")
        }
        429 => {
            let retry_after = headers.get(RETRY_AFTER).and_then(|v| retry_after(v.to_str().ok()?, SystemTime::now()));
            let fault = fault(FaultKind::Provider, "too many requests").transient();
            Fault { retry_after, ..fault }.help("wait, or allow more `retry`")
        }
        413 => fault(FaultKind::Provider, "the request is too large")
            .help("send less: shorter sound, fewer or smaller pictures"),
        408 | 409 | 425 | 500..=599 => {
            let retry_after = headers.get(RETRY_AFTER).and_then(|v| retry_after(v.to_str().ok()?, SystemTime::now()));
            Fault { retry_after, ..fault(FaultKind::Provider, "the provider failed").transient() }
                .help("try again later, or allow more `retry`")
        }
        300..=399 => fault(FaultKind::Provider, "redirects, which is not followed").help("give the final address"),
        _ => fault(FaultKind::Provider, "the request was refused"),
    }
}

/// How long a `Retry-After` asks to wait: seconds or a date.
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        // More seconds than anybody waits are a wish to wait all the same.
        return Duration::try_from_secs_f64(if seconds.is_finite() { seconds.min(LONGEST) } else { seconds }).ok();
    }
    // `Wed, 21 Oct 2026 07:28:00 GMT`, the one form that servers may send.
    let words: Vec<&str> = text.split([' ', ':']).filter(|w| !w.is_empty()).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = words[..] else {
        return None;
    };
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).filter(|i| i % 3 == 0)? as i64 / 3;
    let (year, day) = (year.parse::<i32>().ok()?, day.parse::<u32>().ok()?);
    let time = |t: &str, most: u64| t.parse::<u64>().ok().filter(|t| *t <= most);
    let of_day = time(hour, 23)? * 3600 + time(minute, 59)? * 60 + time(second, 60)?;
    // Days since 1970 in the Gregorian calendar, counting years from March.
    let (y, m) = if month < 2 { (i64::from(year) - 1, month + 10) } else { (i64::from(year), month - 2) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + i64::from(day)
        - 1
        - 719_468;
    let at = u64::try_from(days).ok()?.checked_mul(86_400)?.checked_add(of_day)?;
    let now = now.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(at).saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(1_792_567_600);
        assert_eq!(retry_after("3", now), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("99999999999999999999", now), Some(Duration::from_secs(31_536_000)));
        assert_eq!(retry_after("Wed, 21 Oct 2026 07:28:00 GMT", now), Some(Duration::from_secs(80)));
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:00:00 GMT", now), Some(Duration::ZERO));
        for wrong in ["", "-1", "soon", "Wed, 21 Oct 2026", "inf"] {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
    }
}
