//! The one request of a notification, bounded in time and size.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::ConfigExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sower_core::sentence::first_fitting;

use super::due::Due;
use super::request::{is_set, request};
use crate::secrets;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const LONGEST: usize = 64 << 10;

/// Sets the status of a commit.
///
/// # Errors
/// Why it could not, in a clause that holds nothing of the token.
pub(super) async fn send(client: &Client, namespace: &str, due: &Due) -> Result<(), String> {
    let data = secrets::read(client, namespace, &due.secret).await.map_err(|error| error.message)?;
    let token = data.get("token").and_then(|token| std::str::from_utf8(token).ok()).map(str::trim);
    let token = token.filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| format!("the secret {} has no text in its key token", due.secret))?;
    let request = request(due, token)?;
    let host = request.uri().host().unwrap_or_default().to_owned();
    let answer = tokio::time::timeout(PATIENCE, ask(request, data.get("ca.crt"))).await;
    let (status, answer) =
        answer.unwrap_or_else(|_| Err("no answer in time".to_owned())).map_err(|cause| {
            first_fitting([format!("{host} does not answer: {cause}"), format!("{host} does not answer")])
        })?;
    match status {
        _ if is_set(due.provider, status, &answer) => Ok(()),
        401 | 403 => Err(format!("{host} rejected the token of the secret {}", due.secret)),
        404 => Err(format!("{host} knows no {}, or the token may not see it", due.repository)),
        other => Err(format!("{host} answered {other}")),
    }
}

async fn ask(request: Request<String>, ca: Option<&Vec<u8>>) -> Result<(u16, String), String> {
    let mut config = kube::Config::new(request.uri().clone());
    config.root_cert = ca.map(|ca| certificates(ca.as_slice())).transpose()?;
    let connector = config.rustls_https_connector().map_err(|error| error.to_string())?;
    let http = Http::builder(TokioExecutor::new()).build::<_, String>(connector);
    let answer = http.request(request).await.map_err(|error| cause(&error))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    Ok((status, body.unwrap_or_default()))
}

/// What lies beneath an error of the client, which names only where it was met.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let found: Result<Vec<Vec<u8>>, _> =
        CertificateDer::pem_slice_iter(pem).map(|found| found.map(|der| der.to_vec())).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| "ca.crt holds no certificate".to_owned())
}
