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
use super::{Placed, Refusal, Shared};

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
    let (records, mut problems) = usage_records(&whole(body).await?, Timestamp::now());
    let mut placed = Vec::with_capacity(records.len());
    for (index, record) in records {
        match named(&record.environment, namespace.as_deref()) {
            Ok(named) => {
                let record = Record { environment: named.name.clone(), ..record };
                placed.push(Placed { at: format!("/records/{index}"), named, record });
            }
            Err(why) => problems.push(format!("/records/{index}/environment"), why),
        }
    }
    let count = placed.len();
    if count > 0 || !problems.is_empty() {
        shared.environments.record(placed, problems).await?;
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
