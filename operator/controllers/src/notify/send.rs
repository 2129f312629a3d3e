//! The one request of a notification, bounded in time and size.

use std::time::Duration;

use kube::Client;
use sower_core::sentence::first_fitting;

use super::due::Due;
use super::request::{is_set, request};
use crate::{secrets, web};

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
    let answer = tokio::time::timeout(PATIENCE, web::ask(request, data.get("ca.crt"), LONGEST)).await;
    let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned())).map_err(|cause| {
        first_fitting([format!("{host} does not answer: {cause}"), format!("{host} does not answer")])
    })?;
    match answer.status {
        status if is_set(due.provider, status, &answer.body.unwrap_or_default()) => Ok(()),
        401 | 403 => Err(format!("{host} rejected the token of the secret {}", due.secret)),
        404 => Err(format!("{host} knows no {}, or the token may not see it", due.repository)),
        other => Err(format!("{host} answered {other}")),
    }
}
