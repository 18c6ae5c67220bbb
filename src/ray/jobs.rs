//! Ray's Job API: packages, submissions, logs. The token, where there is one, goes with every request.

use crate::run::fault::{Fault, FaultKind, head};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Value, json};
use std::time::Duration;

/// How long an answer may take; a package takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
const UPLOAD: Duration = Duration::from_secs(300);

/// A cluster's jobs.
pub struct Jobs {
    client: Client,
    at: Url,
    token: Option<String>,
    package: Vec<u8>,
}

impl Jobs {
    /// Those of the cluster with this dashboard; the package is what its jobs are made from.
    pub fn new(at: Url, token: Option<String>, package: Vec<u8>) -> Result<Jobs, Fault> {
        let client = Client::builder().no_proxy().connect_timeout(Duration::from_secs(3)).build();
        let client = client.map_err(|e| Fault::new(FaultKind::Provider, e.to_string()))?;
        Ok(Jobs { client, at, token, package })
    }

    fn ask(&self, method: Method, path: &str) -> Result<RequestBuilder, Fault> {
        let url = self.at.join(path).map_err(|e| Fault::plan(e.to_string()))?;
        let request = self.client.request(method, url).timeout(PATIENCE);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let at = format!("{}:{}", self.at.host_str().unwrap_or_default(), self.at.port().unwrap_or(80));
        let away = |e: reqwest::Error| {
            let why = e.without_url();
            Fault::new(FaultKind::Provider, format!("the Ray cluster at {at} does not answer: {why}"))
                .help("is its dashboard running there? `ray start --head --dashboard-host …` starts one")
        };
        let response = request.send().await.map_err(away)?;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let message = format!("the Ray cluster at {at} refuses the token ({})", response.status());
            return Err(Fault::new(FaultKind::Key, message).help("export RAY_AUTH_TOKEN with the cluster's token"));
        }
        Ok(response)
    }

    async fn good(&self, doing: &str, request: RequestBuilder) -> Result<Value, Fault> {
        let response = self.send(request).await?;
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        if !status.is_success() {
            let message = format!("the Ray cluster refuses to {doing} ({status})");
            return Err(Fault::new(FaultKind::Provider, message).detail(head(&text, 2000)));
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Brings the package there.
    pub async fn upload(&self, name: &str) -> Result<(), Fault> {
        let path = format!("api/packages/gcs/{name}");
        let request = self.ask(Method::PUT, &path)?.timeout(UPLOAD).body(self.package.clone());
        self.good("take the package", request).await.map(|_| ())
    }

    /// Submits a job by its own name. A job that is there already is that job: an answer may have been lost.
    pub async fn submit(&self, id: &str, entrypoint: &str, package: &str, env: &Value) -> Result<(), Fault> {
        let runtime = json!({ "working_dir": format!("gcs://{package}"), "env_vars": env });
        let body = json!({ "entrypoint": entrypoint, "submission_id": id, "runtime_env": runtime });
        let submitted = self.good("take the job", self.ask(Method::POST, "api/jobs/")?.json(&body)).await;
        match submitted {
            Ok(_) => Ok(()),
            Err(fault) => match self.about(id).await {
                Ok(Some(_)) => Ok(()),
                _ => Err(fault),
            },
        }
    }

    async fn about(&self, id: &str) -> Result<Option<Value>, Fault> {
        let response = self.send(self.ask(Method::GET, &format!("api/jobs/{id}"))?).await?;
        if !response.status().is_success() {
            return Ok(None);
        }
        Ok(response.json().await.ok())
    }

    /// Why a job is not running any more; none where it may still be.
    pub async fn ended(&self, id: &str) -> Result<Option<String>, Fault> {
        let Some(about) = self.about(id).await? else { return Ok(Some("it is not known".to_owned())) };
        let status = about["status"].as_str().unwrap_or_default();
        let over = matches!(status, "STOPPED" | "SUCCEEDED" | "FAILED");
        Ok(over.then(|| format!("{status}, {}", about["message"].as_str().unwrap_or("no message"))))
    }

    /// What a job has written so far.
    pub async fn logs(&self, id: &str) -> Result<String, Fault> {
        let said = self.good("show logs", self.ask(Method::GET, &format!("api/jobs/{id}/logs"))?).await;
        Ok(said.ok().and_then(|v| v["logs"].as_str().map(str::to_owned)).unwrap_or_default())
    }

    /// Stops a job.
    pub async fn stop(&self, id: &str) -> Result<(), Fault> {
        self.good("stop the job", self.ask(Method::POST, &format!("api/jobs/{id}/stop"))?).await.map(|_| ())
    }
}
