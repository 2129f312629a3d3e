//! `GET /environments/{environment}/integrations/{integration}/resolve?key=`: which version a consumer gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use sower_core::rollout::bucket::{LONGEST_KEY, MOST_LABELS, Resolved};

use super::question::{fields, named, once};
use super::refusal::json_response;
use super::{Refusal, Shared};

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let Path((environment, integration)) =
        path.map_err(|_| Refusal::Bad("the path is no UTF-8".to_owned()))?;
    let fields = fields(&query.unwrap_or_default(), &["key", "label", "namespace"])?;
    let key = once(&fields, "key")?.ok_or_else(|| {
        Refusal::Bad(
            "`key` is missing: whoever asks is called something, such as ?key=customer-42".to_owned(),
        )
    })?;
    if key.len() > LONGEST_KEY {
        return Err(Refusal::Bad(format!("a key of {} bytes: at most {LONGEST_KEY}", key.len())));
    }
    let labels = labels(&fields)?;
    let environment = named(&environment, once(&fields, "namespace")?.as_deref()).map_err(Refusal::Bad)?;
    let live = shared.environments.live(&environment, &integration).await?;
    let live = live
        .ok_or_else(|| Refusal::NotFound(format!("`{}` does not carry `{integration}`", environment.name)))?;
    let Resolved { version, why, bucket } = live.resolve(&key, &labels);
    let body = json!({
        "environment": environment.name,
        "integration": integration,
        "key": key,
        "version": version,
        "reason": why,
        "bucket": bucket,
    });
    Ok(json_response(StatusCode::OK, &body))
}

fn labels(fields: &[(&str, String)]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut labels = BTreeMap::new();
    for (_, text) in fields.iter().filter(|(field, _)| *field == "label") {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Refusal::Bad("a label is name=value, such as label=tier%3Dgold".to_owned()));
        };
        if labels.insert(name.to_owned(), value.to_owned()).is_some_and(|before| before != value) {
            return Err(Refusal::Bad(format!("the label `{name}` is there with two values")));
        }
    }
    match labels.len() {
        0..=MOST_LABELS => Ok(labels),
        many => Err(Refusal::Bad(format!("{many} labels: at most {MOST_LABELS}"))),
    }
}
