//! What an Environment's reconcile does about drift, beside the seeding.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::ResourceExt as _;
use sower_crds::{DriftMode, Environment, REQUESTED_AT};
use sower_store::Store;

use super::Context;
use crate::drift::{self, Watch};

/// Hears of other hands from now on, if anybody is to look for them.
pub(super) async fn listen(
    context: &Context,
    environment: &Environment,
    store: &Store,
    watch: &Arc<Mutex<Watch>>,
) {
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let hearing = &context.shared.hearing;
    if environment.spec.drift.mode == DriftMode::Ignore {
        return hearing.forget(&namespace, &name);
    }
    let (scope, of, at) = (context.scope.clone(), namespace.clone(), name.clone());
    let waker = drift::waker(watch, move || scope.environment_queue.wake(&of, &at));
    hearing.follow(&namespace, &name, store, waker).await;
}

/// Somebody asks for a reconcile that was not made yet.
pub(super) fn is_asked(environment: &Environment) -> bool {
    let asked = environment.annotations().get(REQUESTED_AT);
    let handled = environment.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    asked.is_some() && asked != handled
}

/// How long until the next look. None: nobody looks, or one that is due could not be made and waits for what it could not
/// be made for.
pub(super) fn look_in(environment: &Environment, watch: &Mutex<Watch>) -> Option<Duration> {
    let looks = environment.spec.drift.mode != DriftMode::Ignore && !environment.spec.suspend;
    let left = drift::locked(watch).left(Instant::now());
    Some(left).filter(|left| looks && !left.is_zero())
}
