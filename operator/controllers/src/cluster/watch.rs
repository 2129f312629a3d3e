//! One watch: fills a store, and tells what is new.

use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;

use futures::StreamExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::seen::{Change, Seen};

/// Objects per page of a listing.
const PAGE: u32 = 500;

/// Watches until stopped. Failures are tried again with backoff; the store keeps what it held.
pub async fn watch<K, M>(
    api: Api<K>,
    labels: Option<&str>,
    mut store: Option<Writer<K>>,
    memo: impl Fn(&K) -> M,
    mut tell: impl FnMut(Change<M>),
    stop: &CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash,
    M: Clone + PartialEq,
{
    let config = watcher::Config::default().page_size(PAGE);
    let config = labels.map_or(config.clone(), |labels| config.labels(labels));
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut seen = Seen::default();
    let mut failing = false;
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Err(error)) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, kind = %K::kind(&()), "the watch is broken; trying again");
                }
            }
            Some(Ok(event)) => {
                if std::mem::replace(&mut failing, false) {
                    tracing::info!(kind = %K::kind(&()), "the watch goes on");
                }
                let event = event.modify(|object| object.managed_fields_mut().clear());
                if let Some(store) = &mut store {
                    store.apply_watcher_event(&event);
                }
                seen.notice(&event, &memo).into_iter().for_each(&mut tell);
            }
        }
    }
}
