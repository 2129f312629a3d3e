//! Fetching over ssh from a real sshd, and over https with a certificate of one's own.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod kit;

use std::process::Command;
use std::sync::Arc;

use kit::http::Server;
use kit::ssh::Sshd;
use kit::{Fetch, Repository};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sower_source::{Credentials, ErrorKind, FetchError, FetchRequest, Fetched, Reference};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Not a test: what the fetches below start.
#[test]
#[ignore = "the process of a fetch"]
fn fetch_child() {
    std::process::exit(sower_source::fetch_child_main());
}

async fn ask(fetch: &Fetch, request: &FetchRequest) -> Result<Fetched, FetchError> {
    fetch.fetcher.fetch(request, &CancellationToken::new()).await
}

#[tokio::test]
async fn a_key_opens_the_repository_and_the_host_has_to_be_known() {
    let (repository, sshd, fetch) = (Repository::new(), Sshd::start(), Fetch::new());
    let mut request = FetchRequest::new(sshd.url(repository.path()), Reference::Default);
    let mut with = |identity: Option<&str>, password: Option<&str>, known_hosts: Option<String>| {
        request.credentials = Credentials {
            identity: identity.map(|name| sshd.key(name)),
            password: password.map(Into::into),
            known_hosts,
            ..Credentials::default()
        };
        request.clone()
    };
    let known = || Some(sshd.known_hosts("host"));
    for (name, request) in [
        ("a key", with(Some("user"), None, known())),
        ("hashed hosts", with(Some("user"), None, Some(sshd.hashed_known_hosts()))),
        ("a locked key", with(Some("locked"), Some("passphrase-secret"), known())),
    ] {
        let fetched = ask(&fetch, &request).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(fetched.revision.label, "main");
    }
    let unknown = "127.0.0.1 shows an ssh host key that known_hosts does not hold";
    for (request, text) in [
        (with(Some("user"), None, None), unknown),
        (with(Some("user"), None, Some(sshd.known_hosts("other_host"))), unknown),
        (with(Some("stranger"), None, known()), "127.0.0.1 rejected the credentials"),
        (with(None, None, known()), "127.0.0.1 asks for credentials, and none were given"),
    ] {
        let error = ask(&fetch, &request).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (text, ErrorKind::Stalled));
    }
    let wrong = with(Some("locked"), Some("other-secret"), known());
    let error = ask(&fetch, &wrong).await.unwrap_err();
    assert!(matches!(error, FetchError::AuthenticationFailed { .. }), "{error:?}");
    assert!(!format!("{error:?}{wrong:?}").contains("secret"), "{error:?}");

    let mut absent = with(Some("user"), None, known());
    absent.url.push_str("-absent");
    let error = ask(&fetch, &absent).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_only_where_it_is_given() {
    let dir = TempDir::new().unwrap();
    let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=git", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&certificate).unwrap()],
            PrivateKeyDer::from_pem_file(&key).unwrap(),
        )
        .unwrap();
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let server = Server::start_tls(repository.path(), Arc::new(config));
    let mut request = FetchRequest::new(server.url(".git"), Reference::Default);
    let error = ask(&fetch, &request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "127.0.0.1 does not answer: its certificate is not trusted (ca.crt adds one)"
    );
    request.credentials.ca_crt = Some(std::fs::read_to_string(&certificate).unwrap());
    assert_eq!(ask(&fetch, &request).await.unwrap().revision.label, "main");
}
