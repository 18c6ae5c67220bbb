//! Certificates and keys in files → TLS on the server's connections; with a client's authority, only for clients with a certificate of it.

use crate::run::fault::{Fault, FaultKind};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::io::{self, IoSlice};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// How a server speaks TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// Whether every client shows a certificate.
    pub mutual: bool,
}

impl Tls {
    /// With the certificate and key of two files (PEM). With a third, of authorities, clients must have a certificate of one of them.
    pub fn read(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Tls, Fault> {
        let about = key.metadata().map_err(|e| Fault::storage("read", key, &e))?;
        if about.permissions().mode() & 0o007 != 0 {
            let message = format!("the key `{}` can be read or written by everybody", key.display());
            return Err(Fault::new(FaultKind::Input, message).help(format!("chmod 600 {}", key.display())));
        }
        let chain = certificates(certificate)?;
        // What stands in a key file is shown to nobody.
        let key = PrivateKeyDer::from_pem_file(key).map_err(|_| bad(key, "there is no private key in PEM in it"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |e: rustls::Error| bad(certificate, &e.to_string());
        let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let config = config.map_err(unusable)?;
        let config = match client_ca {
            None => config.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|e| bad(path, &e.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                config.with_client_cert_verifier(verifier.map_err(|e| bad(path, &e.to_string()))?)
            }
        };
        let mut config = config.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), mutual: client_ca.is_some() })
    }

    /// A connection that begins with a handshake.
    pub fn wire(&self, stream: TcpStream) -> Wire {
        Wire::Greeting(Box::new(TlsAcceptor::from(self.config.clone()).accept(stream)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = std::fs::read(path).map_err(|e| Fault::storage("read", path, &e))?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|e| bad(path, &e.to_string()))?;
    if all.is_empty() { Err(bad(path, "there is no certificate in PEM in it")) } else { Ok(all) }
}

fn bad(path: &Path, why: &str) -> Fault {
    Fault::new(FaultKind::Input, format!("`{}` cannot be used for TLS: {why}", path.display()))
}

/// The bytes of a connection, as they are or in TLS.
pub enum Wire {
    /// As they are.
    Plain(TcpStream),
    /// The handshake is not over. It goes on when something is read or written, so that whoever is slow keeps nobody else waiting.
    Greeting(Box<Accept<TcpStream>>),
    /// In TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake failed.
    Broken,
}

impl Wire {
    /// Ready once the handshake is over.
    fn greet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Wire::Greeting(accept) = self {
            match ready!(Pin::new(accept.as_mut()).poll(cx)) {
                Ok(stream) => *self = Wire::Tls(Box::new(stream)),
                Err(error) => {
                    *self = Wire::Broken;
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn broken<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.greet(cx))?;
        match wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
            Wire::Greeting(_) | Wire::Broken => broken(),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        ready!(wire.greet(cx))?;
        match wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            Wire::Greeting(_) | Wire::Broken => broken(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        ready!(wire.greet(cx))?;
        match wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bytes),
            Wire::Greeting(_) | Wire::Broken => broken(),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.greet(cx))?;
        match wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Wire::Greeting(_) | Wire::Broken => broken(),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            // There is nobody to say good-bye to.
            Wire::Greeting(_) | Wire::Broken => Poll::Ready(Ok(())),
        }
    }
}
