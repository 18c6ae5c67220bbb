//! A call of an HTTP interface's operation -> its typed answer. Arguments fill places of the request and can become no other part of it.

use super::openai::endpoint::Endpoint;
use super::openai::http::IDEMPOTENCY;
use super::typed::conform;
use super::{Args, Call};
use crate::plan::model::HttpCall;
use crate::run::fault::{Fault, FaultKind, head};
use crate::run::probe::Env;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Map, Value};

/// Where the interface is, with the key.
pub fn endpoint(request: &HttpCall, env: Env<'_>) -> Result<Endpoint, Fault> {
    Endpoint::find(env, &request.url_env, &request.url, &request.key_env)
}

/// One attempt of a call.
pub async fn call(call: &Call<'_>, request: &HttpCall) -> Result<Value, Fault> {
    let endpoint = endpoint(request, call.cx.env)?;
    let method = Method::from_bytes(request.method.to_uppercase().as_bytes())
        .map_err(|_| Fault::plan(format!("`{}` is no method", request.method)))?;
    let mut url = address(&endpoint.url, &request.path, &call.args)?;
    for (param, name) in &request.query {
        let values = match argument(&call.args, param) {
            Some(Value::Array(items)) => items.iter().map(text).collect(),
            Some(value) => vec![text(value)],
            None => continue,
        };
        url.query_pairs_mut().extend_pairs(values.iter().map(|value| (name, value)));
    }
    let clients = &call.shared.clients;
    let (place, key_name) = request.key_in.split_once(' ').unwrap_or_default();
    if let ("query", Some(key)) = (place, endpoint.key()) {
        url.query_pairs_mut().append_pair(key_name, key);
    }
    let mut sent = clients.request(&endpoint, method, url)?;
    for (param, name) in &request.headers {
        if let Some(value) = argument(&call.args, param) {
            sent = sent.header(named(name)?, valued(&text(value), param)?);
        }
    }
    if let Some(key) = endpoint.key().filter(|_| place != "query") {
        let (name, value) = if place == "header" {
            (named(key_name)?, key.to_owned())
        } else {
            (AUTHORIZATION, format!("Bearer {key}"))
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            Fault::new(FaultKind::Key, format!("the key in {} holds characters that no key has", request.key_env))
        })?;
        value.set_sensitive(true);
        sent = sent.header(name, value);
    }
    if !request.body.is_empty() {
        if let Some(body) = argument(&call.args, &request.body) {
            sent = sent.json(body);
        }
    } else if !request.fields.is_empty() {
        let fields = request
            .fields
            .iter()
            .filter_map(|(param, name)| Some((name.clone(), argument(&call.args, param)?.clone())));
        sent = sent.json(&fields.collect::<Map<_, _>>());
    }
    if request.method != "get"
        && let Some(key) = call.idempotency(&[&request.method, &request.path])
    {
        sent = sent.header(IDEMPOTENCY, key);
    }
    let (said, origin) = clients.text(&endpoint, sent).await.map_err(|refused| match refused.status {
        Some(404) => Fault {
            message: format!("{}: there is nothing at this address", endpoint.host()),
            help: None,
            ..refused.fault
        },
        _ => refused.fault,
    })?;
    if request.text {
        return Ok(Value::String(said));
    }
    // An operation that answers nothing answers null.
    let value = if said.trim().is_empty() { Ok(Value::Null) } else { serde_json::from_str(&said) };
    let value = value.map_err(|e| {
        Fault::new(FaultKind::Answer, format!("{origin} sent no valid JSON ({e})")).detail(head(&said, 500)).transient()
    })?;
    Ok(conform(value, &call.step.output))
}

fn argument<'a>(args: &'a Args, name: &str) -> Option<&'a Value> {
    args.get(name).map(AsRef::as_ref).filter(|v| !v.is_null())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The address of an operation; each argument is (part of) one segment of the path, whatever stands in it.
fn address(base: &Url, path: &str, args: &Args) -> Result<Url, Fault> {
    let mut url = base.clone();
    let whole = || Fault::plan("the address cannot have a path");
    let mut segments = url.path_segments_mut().map_err(|()| whole())?;
    segments.pop_if_empty();
    for template in path.split('/').filter(|s| !s.is_empty()) {
        let mut segment = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| Fault::plan("a brace that nothing closes"))?;
            let value =
                argument(args, name).ok_or_else(|| Fault::plan(format!("no argument `{name}` for the path")))?;
            segment.push_str(before);
            segment.push_str(&text(value));
            rest = after;
        }
        segment.push_str(rest);
        // These would be another place, not a name in this one.
        if segment.is_empty() || matches!(segment.trim(), "." | "..") {
            let message = format!("`{}` cannot be part of an address", crate::run::fault::printable(&segment));
            return Err(Fault::new(FaultKind::Input, message));
        }
        segments.push(&segment);
    }
    drop(segments);
    Ok(url)
}

fn named(name: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Fault::plan(format!("`{name}` is no header")))
}

fn valued(text: &str, param: &str) -> Result<HeaderValue, Fault> {
    HeaderValue::from_str(text)
        .map_err(|_| Fault::new(FaultKind::Input, format!("`{param}` holds characters that a header cannot have")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn an_argument_stays_one_segment() {
        let base = Url::parse("http://host/v1/").expect("a URL");
        let at = |value: &str| {
            let args: Args = [("id".to_owned(), Arc::new(json!(value)))].into();
            address(&base, "/things/{id}.json/all", &args).map(|u| u.to_string())
        };
        assert_eq!(at("7").as_deref(), Ok("http://host/v1/things/7.json/all"));
        assert_eq!(at("../../admin?x=1#y").as_deref(), Ok("http://host/v1/things/..%2F..%2Fadmin%3Fx=1%23y.json/all"));
        assert_eq!(at("@evil.example/").as_deref(), Ok("http://host/v1/things/@evil.example%2F.json/all"));
        let alone = |value: &str| {
            let args: Args = [("id".to_owned(), Arc::new(json!(value)))].into();
            address(&base, "/{id}", &args)
        };
        for wrong in ["..", ".", "", " .. "] {
            assert_eq!(alone(wrong).expect_err("refused").kind, FaultKind::Input, "{wrong:?}");
        }
        assert_eq!(alone("%2e%2e").map(|u| u.to_string()).as_deref(), Ok("http://host/v1/%252e%252e"));
    }
}
