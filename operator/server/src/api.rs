//! The API: which version a consumer gets, and what consumers say of their executions.

mod access;
mod guard;
mod question;
mod refusal;
mod resolve;
mod usage;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use sower_core::rollout::bucket::Live;
use sower_core::usage::Record;
use sower_core::usage_report::Problems;
use tokio::sync::Semaphore;

pub use access::Access;
pub use refusal::Refusal;

use crate::Readiness;

/// Where it begins.
pub const ROOT: &str = "/api/v1";

/// Questions that are answered at a time: more are told to come again.
const AT_A_TIME: usize = 64;

/// An answer that is waited for.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// What an environment is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Its namespace, in a cluster; absent: there is one of that name alone.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Named {
    /// `name`, or `namespace/name`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once('/') {
            Some((namespace, name)) => Self { namespace: Some(namespace.to_owned()), name: name.to_owned() },
            None => Self { namespace: None, name: text.to_owned() },
        }
    }
}

/// Who knows the environments and their databases.
pub trait Environments: Send + Sync + 'static {
    /// The versions of an integration that are live in an environment; none where it is not carried.
    fn live<'a>(&'a self, environment: &'a Named, integration: &'a str) -> Answer<'a, Option<Live>>;

    /// Writes what consumers reported, if nothing is wrong with any of it: the problems that are known, and what they name
    /// that is not there.
    fn record<'a>(&'a self, records: Vec<Placed>, problems: Problems) -> Answer<'a, ()>;
}

/// A record of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// A JSON pointer to it.
    pub at: String,
    /// The environment that it names.
    pub named: Named,
    /// The record.
    pub record: Record,
}

/// The API, as far as it is set up by others.
pub struct Api {
    /// Whom it answers.
    pub access: Access,
    /// Whom it asks.
    pub environments: Arc<dyn Environments>,
}

/// What every question is answered with.
struct Shared {
    access: Access,
    environments: Arc<dyn Environments>,
    readiness: Readiness,
    permits: Semaphore,
}

/// The routes below [`ROOT`].
pub(crate) fn router(api: Api, readiness: Readiness) -> Router {
    let Api { access, environments } = api;
    let permits = Semaphore::new(AT_A_TIME);
    let shared = Arc::new(Shared { access, environments, readiness, permits });
    Router::new()
        .route("/environments/{environment}/integrations/{integration}/resolve", get(resolve::answer))
        .route("/usage", post(usage::answer))
        .fallback(|| async { Refusal::NoRoute })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .layer(axum::middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}
