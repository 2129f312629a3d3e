//! What whoever runs until it is told to end needs: the address to listen on, and the signals that end it.

use std::net::SocketAddr;
use std::sync::Arc;

use sower_server::api::{Access, Api, Environments};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::RunArgs;
use crate::failure::{Exit, Failure};

/// The address of health, metrics and the API.
///
/// # Errors
/// Usage, where it is none.
pub fn address(args: &RunArgs) -> Result<SocketAddr, Failure> {
    args.listen
        .parse()
        .map_err(|_| Failure::usage(format!("`{}` is no ADDRESS:PORT, such as 127.0.0.1:8400", args.listen)))
}

/// The API over these environments.
///
/// # Errors
/// Where its token cannot be read.
pub fn answers(
    args: &RunArgs,
    listener: &TcpListener,
    environments: Arc<dyn Environments>,
) -> Result<Api, Failure> {
    let listening = listener.local_addr().map_err(|error| Failure::failed(error.to_string()))?;
    let access = Access::new(listening, args.api_token_file.clone()).map_err(|error| {
        let file = args.api_token_file.as_deref().unwrap_or_else(|| std::path::Path::new("")).display();
        Failure::failed(format!("the token of the API, {file}: {error}"))
            .next("make one", "openssl rand -hex 32 > FILE")
    })?;
    Ok(Api { access, environments })
}

/// A token that the first SIGTERM or SIGINT cancels. The second ends the process: nothing half-written is committed by
/// that.
///
/// # Errors
/// Where signals cannot be received.
pub fn stop_at_signals(told: impl FnOnce() + Send + 'static) -> Result<CancellationToken, Failure> {
    let no_signals = |error: std::io::Error| Failure::failed(format!("signals cannot be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let stop = CancellationToken::new();
    let first = stop.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        told();
        first.cancel();
        either(&mut terminate, &mut interrupt).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(stop)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
