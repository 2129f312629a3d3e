//! What whoever runs until it is told to end needs: the address to listen on, and the signals that end it.

use std::net::SocketAddr;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::RunArgs;
use crate::failure::{Exit, Failure};

/// The address of health and metrics.
///
/// # Errors
/// Usage, where it is none.
pub fn address(args: &RunArgs) -> Result<SocketAddr, Failure> {
    args.listen
        .parse()
        .map_err(|_| Failure::usage(format!("`{}` is no ADDRESS:PORT, such as 127.0.0.1:8400", args.listen)))
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
