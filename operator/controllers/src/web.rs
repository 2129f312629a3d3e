//! One request to a web server, bounded in size; whoever asks bounds the time.

use http::Request;
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client as Http;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// What a server answered.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body; none where it is longer than was asked for, or broke off.
    pub(crate) body: Option<String>,
}

/// Sends a request. No redirect is followed: what proves who asks goes to whom it was given for.
///
/// # Errors
/// Why there is no answer, in a clause that holds nothing of the request.
pub(crate) async fn ask(
    request: Request<String>,
    ca: Option<&Vec<u8>>,
    longest: usize,
) -> Result<Answer, String> {
    let mut config = kube::Config::new(request.uri().clone());
    config.root_cert = ca.map(|ca| certificates(ca.as_slice())).transpose()?;
    let connector = config.rustls_https_connector().map_err(|error| error.to_string())?;
    let http = Http::builder(TokioExecutor::new()).build::<_, String>(connector);
    let answer = http.request(request).await.map_err(|error| cause(&error))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), longest).collect().await;
    let body = body.ok().map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    Ok(Answer { status, body })
}

/// Percent-encoded, the slash too (RFC 3986, section 2.3: what is unreserved stays).
pub(crate) fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
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
