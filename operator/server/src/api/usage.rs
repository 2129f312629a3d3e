//! `POST /usage`: what consumers say of their executions.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use http_body_util::LengthLimitError;
use jiff::Timestamp;
use serde_json::json;
use sower_core::usage::Record;
use sower_core::usage_report::usage_records;

use super::question::{fields, named, once};
use super::refusal::json_response;
use super::{Named, Refusal, Shared};

/// Bytes of the largest report.
const LARGEST: usize = 1 << 20;
/// How long a body may take to come.
const COMES_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    if !is_json(&headers) {
        return Err(Refusal::NoJson);
    }
    let fields = fields(&query.unwrap_or_default(), &["namespace"])?;
    let namespace = once(&fields, "namespace")?;
    let records = usage_records(&whole(body).await?, Timestamp::now()).map_err(Refusal::BadReport)?;
    let count = records.len();
    let placed = records.into_iter().map(|record| {
        let named: Named = named(&record.environment, namespace.as_deref())?;
        Ok((named.clone(), Record { environment: named.name, ..record }))
    });
    let placed = placed.collect::<Result<Vec<_>, Refusal>>()?;
    if count > 0 {
        shared.environments.record(placed).await?;
    }
    Ok(json_response(StatusCode::OK, &json!({ "recorded": count })))
}

/// A page of somebody else's cannot send JSON without being asked first, which is not answered.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

async fn whole(body: Body) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(COMES_WITHIN, to_bytes(body, LARGEST)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.source().is_some_and(|source| source.is::<LengthLimitError>()) => {
            Err(Refusal::TooLarge(LARGEST))
        }
        Ok(Err(_)) => Err(Refusal::Bad("the body broke off".to_owned())),
        Err(_) => Err(Refusal::Idle),
    }
}
