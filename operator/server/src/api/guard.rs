//! What every question passes: who asks, how many ask, and how long an answer may take.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{Refusal, Shared};

/// How long an answer may take.
const LONGEST: Duration = Duration::from_secs(30);

pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if let Err(refusal) = shared.access.check(request.headers()) {
        return refusal.into_response();
    }
    if !shared.readiness.get() {
        return Refusal::Unavailable("not ready".to_owned()).into_response();
    }
    let Ok(_permit) = shared.permits.try_acquire() else { return Refusal::TooMany.into_response() };
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Refusal::TooSlow.into_response(),
    }
}
