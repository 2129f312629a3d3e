//! The environments beside one: what it is promoted from, and what it waits for.

use futures::future::BoxFuture;
use sower_controllers::reason::Reason;
use sower_controllers::seeding::Upstream;
use sower_core::manifest::LoadedEnvironment;
use sower_core::sentence;
use sower_store::Store;

use super::{Member, Session};
use crate::neighbours::{Found, NOWHERE, Others, unmet};

impl Session {
    /// The environment that one is promoted from, asked as this command asks.
    pub(super) async fn upstream(&self, member: &Member) -> Option<Upstream> {
        let from = &member.loaded.spec.promotion.as_ref()?.from;
        let same = |other: &&Member| other.name() == from && other.namespace() == member.namespace();
        let Some(other) = self.everyone.iter().find(same) else {
            return Some(Upstream::Away(NOWHERE.to_owned()));
        };
        Some(match self.store(other).await {
            Ok(store) => Upstream::Open { environment: from.clone(), store },
            Err(failure) => Upstream::Away(failure.message),
        })
    }

    /// What holds the plan of an environment. One sentence: with files another that is not as `dependsOn` wants it, in a cluster
    /// that or a guard, as the operator said last.
    pub async fn holds(&self, member: &Member) -> Option<String> {
        const HOLDS: [Reason; 4] = [
            Reason::DependencyNotReady,
            Reason::Frozen,
            Reason::ApprovalRequired,
            Reason::PruneLimitExceeded,
        ];
        let Some(resource) = &member.resource else { return self.unmet(member).await };
        let conditions = &resource.status.as_ref()?.conditions;
        let held = |reason: &str| HOLDS.iter().any(|holds| holds.as_str() == reason);
        let ready = conditions.iter().find(|one| one.type_ == "Ready" && held(&one.reason));
        ready.map(|ready| ready.message.clone())
    }

    /// What keeps an environment from being seeded: another that is not as `dependsOn` wants it. One sentence: with files as
    /// of now, in a cluster as the operator said last.
    pub async fn unmet(&self, member: &Member) -> Option<String> {
        let Some(resource) = &member.resource else { return Some(unmet(self, &member.loaded).await?.why) };
        let conditions = &resource.status.as_ref()?.conditions;
        let waits = Reason::DependencyNotReady.as_str();
        let ready = conditions.iter().find(|one| one.type_ == "Ready" && one.reason == waits);
        ready.map(|ready| ready.message.clone())
    }
}

impl Others for Session {
    fn open<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(LoadedEnvironment, Store), String>> {
        Box::pin(async move {
            let other = self.everyone.iter().find(|other| other.name() == name);
            let Some(other) = other else { return Err(NOWHERE.to_owned()) };
            match self.store(other).await {
                Ok(store) => Ok((other.loaded.clone(), store)),
                Err(failure) => Err(sentence::cut(&failure.message)),
            }
        })
    }

    fn found(&self) -> &Found {
        &self.found
    }
}
