//! A server that speaks TLS, and one that lets in only clients with a certificate. All certificates are made here.

use crate::hosts::{Worker, closed, hosted, until};
use crate::mkbc::{Done, Mkbc};
use crate::server::{Server, project};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// An authority, whose certificate is in `NAME.pem`.
fn authority(mkbc: &Mkbc, name: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    mkbc.write(&format!("{name}.pem"), params.self_signed(&key).expect("a certificate").pem());
    Issuer::new(params, key)
}

/// A certificate in `NAME.pem` and its key in `NAME.key`.
fn certificate(mkbc: &Mkbc, name: &str, of: &Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("parameters");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    mkbc.write(&format!("{name}.pem"), params.signed_by(&key, of).expect("a certificate").pem());
    mkbc.write(&format!("{name}.key"), key.serialize_pem());
    closed(mkbc, &format!("{name}.key"));
}

fn submit(mkbc: &Mkbc, url: &str, more: &[&str]) -> Done {
    let words = ["submit", "job.mkb", "--library", "lib", "--to", url, "--wait"];
    let words: Vec<&str> = words.iter().chain(more).chain(&["--words", "a"]).copied().collect();
    mkbc.run(&words)
}

const TLS: [&str; 4] = ["--tls-cert", "server.pem", "--tls-key", "server.key"];

#[test]
fn a_server_in_tls_is_asked_by_who_trusts_it_and_by_nobody_in_plain_text() {
    let mkbc = project("0");
    certificate(&mkbc, "server", &authority(&mkbc, "ca"));
    authority(&mkbc, "other");
    let server = Server::start(&mkbc, &TLS);
    let url = server.url();
    assert!(url.starts_with("https://"), "{url}");
    let done = submit(&mkbc, &url, &["--ca", "ca.pem"]);
    assert_eq!((done.code, done.out.trim()), (Some(0), "[\n  \"a!\"\n]"), "{}", done.err);
    let run = format!("{url}/1");
    let done = mkbc.run(&["fetch", &run, "--ca", "ca.pem"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(mkbc.run(&["watch", &run, "--ca", "ca.pem"]).code, Some(0));
    assert_eq!(mkbc.run(&["deploy", "--list", "--to", &url, "--ca", "ca.pem"]).code, Some(0));
    let refused = submit(&mkbc, &url, &["--ca", "other.pem"]);
    assert!(refused.code == Some(1) && refused.err.contains("certificate"), "{refused:?}");
    assert_eq!(submit(&mkbc, &url, &[]).code, Some(1), "no authority that everybody knows has signed it");
    assert_eq!(server.get("/healthz").status, 0, "plain HTTP gets no answer of HTTP");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(mkbc.path("server.key"), mode).expect("opened");
    drop(server);
    let done = mkbc.run(&[&["serve", "--addr", "127.0.0.1:0"], TLS.as_slice()].concat());
    assert!(done.code == Some(1) && done.err.contains("by everybody"), "{done:?}");
}

#[test]
fn with_an_authority_of_clients_only_they_are_let_in() {
    let (mkbc, _) = hosted();
    let ca = authority(&mkbc, "ca");
    ["server", "client"].into_iter().for_each(|name| certificate(&mkbc, name, &ca));
    certificate(&mkbc, "stranger", &authority(&mkbc, "other"));
    let mutual = [TLS.as_slice(), &["--client-ca", "ca.pem"]].concat();
    // Certificates are enough for an address that others reach.
    let server = Server::at(&mkbc, "0.0.0.0:0", &[mutual.as_slice(), &["--host", "127.0.0.1"]].concat());
    let port = server.address.rsplit(':').next().unwrap_or_default();
    let url = format!("https://127.0.0.1:{port}");
    let shown = ["--cert", "client.pem", "--cert-key", "client.key"];
    let done = submit(&mkbc, &url, &[&["--ca", "ca.pem"], shown.as_slice()].concat());
    assert_eq!((done.code, done.out.trim()), (Some(0), "[\n  \"a!\"\n]"), "{}", done.err);
    assert_eq!(submit(&mkbc, &url, &["--ca", "ca.pem"]).code, Some(1), "without a certificate");
    let strange = ["--ca", "ca.pem", "--cert", "stranger.pem", "--cert-key", "stranger.key"];
    assert_eq!(submit(&mkbc, &url, &strange).code, Some(1), "with one of another authority");
    drop(server);
    // A worker shows its certificate and its token.
    let server = Server::start(&mkbc, &[mutual.as_slice(), &["--tokens", "tokens.toml"]].concat());
    let _worker = Worker::start(&mkbc, &server.url(), "a", &[&["--ca", "ca.pem"], shown.as_slice()].concat());
    let audit = || mkbc.read(".mkbc/service/audit.log");
    until("it is registered", || audit().contains("\"what\":\"host\""));
    let done = submit(&mkbc, &server.url(), &[&["--ca", "ca.pem"], shown.as_slice()].concat());
    assert!(done.code == Some(1) && done.err.contains("a token is needed"), "{done:?}");
}
