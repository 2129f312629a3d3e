//! Health, readiness, metrics, and the API over HTTP.
//!
//! Invariant: it opens no database and decides nothing about one: what is live it asks of [`api::Environments`], and what
//! consumers report it hands on to those. Every question is bounded in size, time and number, and no answer of the API is
//! given to whom it is not for. Readiness depends on this process alone, never on a database: a restart would not bring one
//! back.

pub mod api;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Content type of the metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Ports that are tried after the wished one when that is taken.
const NEXT_PORTS: u16 = 20;

/// Whether the process serves: set once its caches are filled.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says that the process is ready, or no longer is.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether it is.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Clone)]
struct Shared {
    readiness: Readiness,
    registry: Arc<Registry>,
}

/// The routes; of the API, where there is one.
fn router(readiness: Readiness, registry: Arc<Registry>, api: Option<api::Api>) -> Router {
    let api = api.map(|api| api::router(api, readiness.clone()));
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Shared { readiness, registry });
    match api {
        Some(api) => router.nest(api::ROOT, api),
        None => router,
    }
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.readiness.get() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &shared.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Binds the wished address, or with `next_free` one of the following ports if that one is taken.
///
/// # Errors
/// Where none can be bound.
pub async fn bind(address: SocketAddr, next_free: bool) -> std::io::Result<TcpListener> {
    let mut wished = address;
    let last = if next_free && address.port() != 0 {
        address.port().saturating_add(NEXT_PORTS)
    } else {
        address.port()
    };
    loop {
        match TcpListener::bind(wished).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && wished.port() < last => {
                wished.set_port(wished.port() + 1);
            }
            other => return other,
        }
    }
}

/// Serves until the token is cancelled; requests under way are finished.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    registry: Arc<Registry>,
    api: Option<api::Api>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = router(readiness, registry, api);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("reads");
        answer
    }

    #[tokio::test]
    async fn readiness_follows_and_a_taken_port_gives_the_next() {
        let first = bind("127.0.0.1:0".parse().expect("an address"), true).await.expect("binds");
        let taken = first.local_addr().expect("an address");
        let listener = bind(taken, true).await.expect("binds the next");
        let address = listener.local_addr().expect("an address");
        assert_ne!(taken, address);
        assert!(bind(taken, false).await.is_err());

        let (readiness, stop) = (Readiness::default(), CancellationToken::new());
        let serving = tokio::spawn(serve(
            listener,
            readiness.clone(),
            Arc::new(Registry::default()),
            None,
            stop.clone(),
        ));
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        readiness.set(true);
        assert!(ask(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/metrics").await.contains("# EOF"));
        stop.cancel();
        serving.await.expect("ends").expect("ends well");
    }
}
