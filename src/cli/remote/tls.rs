//! Whom a client trusts over TLS, and as whom it shows itself.

use crate::cli::Failure;
use clap::Args;
use reqwest::{Certificate, Client, Identity};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args, Clone, Debug, Default)]
pub struct TlsOptions {
    /// Trust servers with certificates of these authorities, and no others (PEM)
    #[arg(long, value_name = "FILE", env = "MKBC_CA", hide_env_values = true)]
    pub ca: Option<PathBuf>,
    /// The certificate to show to the server (PEM)
    #[arg(long, value_name = "FILE", env = "MKBC_CERT", hide_env_values = true, requires = "cert_key")]
    pub cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", env = "MKBC_CERT_KEY", hide_env_values = true, requires = "cert")]
    pub cert_key: Option<PathBuf>,
}

impl TlsOptions {
    /// Makes a client. What is asked of this machine (`here`) is for no proxy.
    pub fn client(&self, here: bool) -> Result<Client, Failure> {
        let client =
            Client::builder().connect_timeout(Duration::from_secs(10)).redirect(reqwest::redirect::Policy::none());
        let mut client = if here { client.no_proxy() } else { client };
        if let Some(path) = &self.ca {
            let all = Certificate::from_pem_bundle(&bytes(path)?).map_err(|_| bad(path, "certificates"))?;
            if all.is_empty() {
                return Err(bad(path, "certificates"));
            }
            client = all
                .into_iter()
                .fold(client.tls_built_in_root_certs(false), |client, one| client.add_root_certificate(one));
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.cert_key) {
            let both = [bytes(key)?, bytes(cert)?].join(&b'\n');
            // What stands in a key file is shown to nobody.
            client = client.identity(Identity::from_pem(&both).map_err(|_| bad(cert, "a certificate and its key"))?);
        }
        client.build().map_err(|e| format!("no connection can be made: {e}").into())
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| format!("cannot read `{}`: {e}", path.display()).into())
}

fn bad(path: &Path, what: &str) -> Failure {
    format!("`{}` holds no {what} in PEM that can be used", path.display()).into()
}
