//! outcome + what was told before → what is to be told. Pure.

use kube::ResourceExt as _;
use sower_crds::environment::{Environment, EnvironmentStatus, NotificationStatus};
use sower_crds::notification::Provider;
use sower_source::Web;

use crate::reason::Reason;
use crate::status::{Outcome, Verdict, kind};

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    /// It waits.
    Pending,
    /// The database holds what it says.
    Success,
    /// Somebody has to change something.
    Failure,
    /// It could not be tried; it will be again.
    Error,
    /// It waited, and a newer commit took its place.
    Superseded,
}

impl CommitState {
    /// As a status names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error | Self::Superseded => "error",
        }
    }

    /// None where nothing became of it yet.
    fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Seeded => Some(Self::Success),
            Verdict::Invalid { .. } => Some(Self::Failure),
            Verdict::Held { reason: Reason::Frozen | Reason::ApprovalRequired, .. } => Some(Self::Pending),
            Verdict::Held { .. } => Some(Self::Failure),
            Verdict::Failed { .. } => Some(Self::Error),
            Verdict::Suspended => None,
        }
    }
}

/// A commit that is to be told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Name of the notification.
    pub name: String,
    /// Name of the source.
    pub source: String,
    /// Who takes it.
    pub provider: Provider,
    /// The address of its API, or why none is known.
    pub api: Result<String, String>,
    /// `platform/catalog`.
    pub repository: String,
    /// The Secret with the token.
    pub secret: String,
    /// What the status is called.
    pub context: String,
    /// The commit.
    pub commit: String,
    /// What became of it.
    pub state: CommitState,
    /// In a sentence of at most 140 characters.
    pub message: String,
}

impl Due {
    /// Whether an entry is of the same notification and source.
    pub(super) fn is_of(&self, entry: &NotificationStatus) -> bool {
        entry.name == self.name && entry.source == self.source
    }

    /// Its entry once it was told, or why it was not.
    pub(super) fn entry(self, error: Option<String>) -> NotificationStatus {
        NotificationStatus {
            name: self.name,
            source: self.source,
            commit: self.commit,
            state: self.state.as_str().to_owned(),
            message: self.message,
            error,
        }
    }

    /// What the commit before is told, where it was told last that it waits: nobody reads it any more.
    fn supersedes(&self, entries: &[NotificationStatus]) -> Option<Self> {
        let waited = |entry: &&NotificationStatus| {
            self.is_of(entry)
                && entry.error.is_none()
                && entry.commit != self.commit
                && entry.state == CommitState::Pending.as_str()
        };
        let before = entries.iter().find(waited)?;
        let message = format!("Superseded by {}", &self.commit[..self.commit.len().min(7)]);
        Some(Self { commit: before.commit.clone(), state: CommitState::Superseded, message, ..self.clone() })
    }

    fn is_told(&self, entries: &[NotificationStatus]) -> bool {
        let told = |entry: &NotificationStatus| {
            entry.error.is_none()
                && entry.commit == self.commit
                && entry.state == self.state.as_str()
                && entry.message == self.message
        };
        entries.iter().any(|entry| self.is_of(entry) && told(entry))
    }
}

/// What commits are to be told of an outcome, whose status this is. What was told already is not due.
#[must_use]
pub fn due(environment: &Environment, outcome: &Outcome, status: &EnvironmentStatus) -> Vec<Due> {
    let Some(state) = CommitState::of(&outcome.verdict) else { return Vec::new() };
    let ready = status.conditions.iter().find(|condition| condition.type_ == kind::READY);
    let message: String = ready.map(|ready| ready.message.chars().take(140).collect()).unwrap_or_default();
    let mut due = Vec::new();
    for notification in &environment.spec.notifications {
        let about = |name: &str| notification.source.as_ref().is_none_or(|source| source == name);
        for source in environment.spec.sources.iter().filter(|source| about(&source.name)) {
            let Some(git) = &source.git else { continue };
            // Another source's failure is no news of this one's commit.
            if matches!(&outcome.verdict, Verdict::Failed { source: Some(failed), .. } if *failed != source.name)
            {
                continue;
            }
            let read = outcome.sources.iter().find(|read| read.name == source.name);
            let attempted = read.and_then(|read| read.attempted.as_ref());
            let Some(commit) = attempted.and_then(|attempted| attempted.commit()) else { continue };
            let web = Web::of(&git.url);
            let newest = Due {
                name: notification.name.clone(),
                source: source.name.clone(),
                provider: notification.provider,
                api: match (&notification.url, &web) {
                    (_, None) => Err(format!("the source {} has no web address", source.name)),
                    (Some(url), _) => Ok(url.trim_end_matches('/').to_owned()),
                    (None, Some(web)) => Ok(api_of(notification.provider, &web.server)),
                },
                repository: web.map(|web| web.path).unwrap_or_default(),
                secret: notification.secret_ref.name.clone(),
                context: match &notification.context {
                    Some(context) => context.clone(),
                    None => format!("sower/{}", environment.name_any()),
                },
                commit: commit.to_owned(),
                state,
                message: message.clone(),
            };
            // What was approved need not be the newest.
            if !outcome.was_approved() {
                due.extend(newest.supersedes(&status.notifications));
            }
            due.push(newest);
        }
    }
    due.retain(|due| !due.is_told(&status.notifications));
    due
}

/// Where the API of a server is, as its makers document it.
fn api_of(provider: Provider, server: &str) -> String {
    match provider {
        Provider::GitHub if server == "https://github.com" => "https://api.github.com".to_owned(),
        Provider::GitHub => format!("{server}/api/v3"),
        Provider::GitLab => format!("{server}/api/v4"),
        Provider::Gitea => format!("{server}/api/v1"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use sower_core::snapshot::Revision;

    use super::*;
    use crate::status::{SourceOutcome, compose};

    fn environment(notification: &serde_json::Value, url: &str) -> Environment {
        serde_json::from_value(json!({
            "apiVersion": "sower.dev/v1alpha1", "kind": "Environment",
            "metadata": { "namespace": "sower", "name": "production", "generation": 1 },
            "spec": {
                "sources": [{ "name": "catalog", "git": { "url": url } }, { "name": "local", "cluster": {} }],
                "notifications": [notification],
            },
        }))
        .expect("an environment")
    }

    fn revision_of(label: &str) -> Revision {
        Revision { label: label.into(), digest: format!("sha1:{:a<40}", 1), dirty: false }
    }

    fn outcome(verdict: Verdict) -> Outcome {
        let revision = revision_of("main");
        let source = |name: &str| SourceOutcome {
            name: name.into(),
            applied: Some(revision.clone()),
            attempted: Some(revision.clone()),
        };
        Outcome {
            sources: vec![source("catalog"), source("local")],
            database_read: true,
            ..Outcome::of(verdict)
        }
    }

    #[test]
    fn a_commit_is_told_once_what_became_of_it() {
        let spec = json!({ "name": "hub", "provider": "github", "secretRef": { "name": "hub" } });
        let mut environment = environment(&spec, "https://github.com/platform/catalog.git");
        let seeded = outcome(Verdict::Seeded);
        let mut status = compose(&environment, &seeded, Timestamp::UNIX_EPOCH);
        let first = due(&environment, &seeded, &status);
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].api.as_deref(), Ok("https://api.github.com"));
        assert_eq!(
            (first[0].repository.as_str(), first[0].state),
            ("platform/catalog", CommitState::Success)
        );
        assert_eq!((first[0].context.as_str(), first[0].source.as_str()), ("sower/production", "catalog"));
        assert_eq!(first[0].message, "Seeded catalog=main@1aaaaaa,local=main@1aaaaaa");

        let told = first[0].clone();
        status.notifications = vec![told.clone().entry(None)];
        assert_eq!(due(&environment, &seeded, &status), []);
        // What could not be told is due again.
        status.notifications = vec![told.entry(Some("no answer".into()))];
        assert_eq!(due(&environment, &seeded, &status).len(), 1);

        // What is read is another commit, or becomes something else.
        environment.status = Some(status);
        let held = outcome(Verdict::Held {
            reason: Reason::Frozen,
            message: "Frozen until Mon 06:00 UTC: plan 7c1e09b4d2f8 waits".into(),
            opens: None,
            deleted: Vec::new(),
            because: None,
            besides: Vec::new(),
        });
        let status = compose(&environment, &held, Timestamp::UNIX_EPOCH);
        let waits = due(&environment, &held, &status).remove(0);
        assert_eq!(waits.state, CommitState::Pending);
        // What waited and is read no more is told so, once.
        let newer = EnvironmentStatus { notifications: vec![waits.clone().entry(None)], ..status.clone() };
        let mut read = outcome(Verdict::Seeded);
        read.sources[0].attempted =
            Some(Revision { digest: format!("sha1:{:b<40}", 2), ..revision_of("main") });
        let both = due(&environment, &read, &newer);
        let told: Vec<(&str, CommitState, &str)> =
            both.iter().map(|due| (due.commit.as_str(), due.state, due.message.as_str())).collect();
        assert_eq!(told[0], (waits.commit.as_str(), CommitState::Superseded, "Superseded by 2bbbbbb"));
        assert_eq!((told.len(), told[1].1), (2, CommitState::Success));
        let suspended = Outcome::of(Verdict::Suspended);
        assert_eq!(due(&environment, &suspended, &status), []);
    }

    #[test]
    fn the_api_is_where_its_makers_put_it() {
        for (provider, url, expect) in [
            ("github", "git@github.com:platform/catalog.git", Ok("https://api.github.com")),
            ("github", "https://git.example.com/platform/catalog", Ok("https://git.example.com/api/v3")),
            ("gitlab", "ssh://git@git.example.com:2222/a/b/c.git", Ok("https://git.example.com/api/v4")),
            ("gitea", "http://127.0.0.1:3000/a/b.git", Ok("http://127.0.0.1:3000/api/v1")),
            ("gitea", "file:///srv/git/a.git", Err("the source catalog has no web address".to_owned())),
        ] {
            let spec = json!({ "name": "n", "provider": provider, "secretRef": { "name": "n" } });
            let environment = environment(&spec, url);
            let seeded = outcome(Verdict::Seeded);
            let status = compose(&environment, &seeded, Timestamp::UNIX_EPOCH);
            let due = due(&environment, &seeded, &status);
            assert_eq!(due[0].api, expect.map(str::to_owned), "{url}");
        }
    }
}
