//! Commit statuses: whoever pushed sees beside the commit what became of it, without access to the cluster.
//!
//! due → send → noted. What was told stands in the status, so it is told once, whoever leads.

mod due;
mod request;
mod send;

use futures::future::join_all;
use kube::{Client, ResourceExt as _};
use sower_crds::environment::{Environment, EnvironmentStatus, NotificationStatus};

use crate::status::{Notice, Outcome, Tone};
pub use due::{CommitState, Due, due};

/// The reason of the Event of a commit that could not be told.
const FAILED: &str = "NotificationFailed";

/// Tells commits what became of them, where that is news. Answers with what their entries in the status are from now on, and
/// with what is worth an Event.
pub async fn tell(
    client: &Client,
    environment: &Environment,
    outcome: &Outcome,
    status: &EnvironmentStatus,
) -> (Vec<NotificationStatus>, Vec<Notice>) {
    let namespace = environment.namespace().unwrap_or_default();
    let due = due(environment, outcome, status);
    let sent = join_all(due.iter().map(|due| send::send(client, &namespace, due))).await;
    let mut entries: Vec<NotificationStatus> =
        status.notifications.iter().filter(|entry| is_wanted(environment, entry)).cloned().collect();
    let mut notices = Vec::new();
    for (due, sent) in due.into_iter().zip(sent) {
        let before = entries.iter().position(|entry| due.is_of(entry)).map(|at| entries.remove(at));
        let entry = due.entry(sent.err());
        if let Some(error) = &entry.error
            && before.and_then(|before| before.error).as_ref() != Some(error)
        {
            let message = format!("{}: {error}", entry.name);
            notices.push(Notice { tone: Tone::Warning, reason: FAILED.to_owned(), message });
        }
        entries.push(entry);
    }
    entries.sort_by(|a, b| (&a.name, &a.source).cmp(&(&b.name, &b.source)));
    (entries, notices)
}

/// The spec still names both.
fn is_wanted(environment: &Environment, entry: &NotificationStatus) -> bool {
    let named = environment.spec.notifications.iter().find(|notification| notification.name == entry.name);
    let about = |source: &Option<String>| source.as_ref().is_none_or(|source| *source == entry.source);
    named.is_some_and(|notification| about(&notification.source))
        && environment.spec.sources.iter().any(|source| source.name == entry.source)
}
