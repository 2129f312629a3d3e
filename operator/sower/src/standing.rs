//! How an environment stands: in a cluster as its status says, with files as its rows say.

mod rows;
mod status;

use std::collections::BTreeSet;

use jiff::Timestamp;
use sower_controllers::reason::Reason;
use sower_core::report::Failure as Entry;
use sower_crds::environment::{Counts, EnvironmentSpec, PlanStatus, RolloutStatus, WaitingStatus};
use sower_store::{Listed, Logged};

use crate::commands::seed::{FOREIGN_ROW, is_whole_file};
use crate::failure::Failure;
use crate::neighbours::Unmet;
use crate::output::document::Fields;
use crate::session::{Member, Session};

pub use rows::{of_broken, read};
pub use status::{add_events, add_seedings};

/// Seedings that are looked at.
const LAST: u32 = 5;

/// How an environment stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Its name.
    pub environment: String,
    /// Its namespace; empty with files.
    pub namespace: String,
    /// True, False or Unknown.
    pub ready: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// What is applied, for people; `-` for nothing.
    pub revision: String,
    /// What is applied, for programs.
    pub full_revision: Option<String>,
    /// Somebody else seeds it than files do.
    pub kept_elsewhere: bool,
    /// Number of integrations; `-` where it is not known.
    pub integrations: String,
    /// Number of open conflicts.
    pub conflicts: String,
    /// When rows were written last.
    pub seeded_at: Option<Timestamp>,
    /// What holds of it, worst first.
    pub conditions: Vec<Condition>,
    /// What was refused.
    pub failures: Vec<Entry>,
    /// The plan that waits.
    pub plan: Option<PlanStatus>,
    /// Rollouts that are under way, or were rolled back or aborted.
    pub rollouts: Vec<RolloutStatus>,
    /// What it holds, and what it does not.
    pub counts: Option<Counts>,
    /// What waits for another environment, and for what: integration, version, and one clause.
    pub waiting: Vec<WaitingStatus>,
    /// What it waits for as a whole, and what is promoted from where, for the drawing of all of them.
    pub stage: Stage,
    /// What to type, and what for.
    pub needs: Vec<(String, String)>,
    /// The last seedings, where the database can be read.
    pub seedings: Vec<Logged>,
}

/// Where an environment stands among those that wait for each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stage {
    /// The environment that it is promoted from, and how long what comes from there soaks.
    pub from: Option<(String, Option<String>)>,
    /// The environments that it depends on.
    pub on: Vec<String>,
}

impl Stage {
    /// As a spec says it.
    #[must_use]
    pub fn of(spec: &EnvironmentSpec) -> Self {
        let soak = |promotion: &sower_crds::Promotion| promotion.soak.as_ref().map(ToString::to_string);
        Self {
            from: spec.promotion.as_ref().map(|promotion| (promotion.from.clone(), soak(promotion))),
            on: spec.depends_on.iter().map(|on| on.name.clone()).collect(),
        }
    }
}

/// Something that holds, or does not.
#[derive(Debug, Clone)]
pub struct Condition {
    /// What.
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// Since when, where it is known.
    pub since: Option<Timestamp>,
}

/// What to type about a plan that waits for an approval, with the flags that lead to it.
fn to_approve(reason: &str, name: &str, plan: Option<&PlanStatus>, flags: &str) -> Vec<(String, String)> {
    let see = if reason == "PruneLimitExceeded" { "see what would go" } else { "see what waits" };
    let allow =
        plan.map(|plan| (format!("sower apply {} -e {name}{flags}", plan.hash), "allow it".to_owned()));
    let see = (format!("sower plan -e {name}{flags}"), see.to_owned());
    std::iter::once(see).chain(allow).collect()
}

impl Condition {
    /// The worst first: what stalls, what is not ready, what is being tried, what is well.
    fn rank(&self) -> u8 {
        match (self.kind.as_str(), self.status.as_str()) {
            ("Ready", "True") => 4,
            ("Ready", _) => 0,
            ("Stalled", "True") => 1,
            ("Reconciling", "True") => 2,
            ("Drifted", "True") => 3,
            ("Drifted", _) => 5,
            (_, "False") => 3,
            _ => 5,
        }
    }
}

/// How one environment stands.
///
/// # Errors
/// With files, where the database does not answer.
pub async fn of(session: &Session, member: &Member) -> Result<Standing, Failure> {
    let mut standing = match &member.resource {
        Some(resource) => {
            session.say_from(None, false);
            status::of(session, member, resource.status.clone().unwrap_or_default())
        }
        None => rows::of(session, member).await?,
    };
    standing.stage = Stage::of(&member.loaded.spec);
    standing.conditions.sort_by_key(Condition::rank);
    Ok(standing)
}

/// Sower wrote the row, and keeps it.
#[must_use]
pub fn is_ours(row: &Listed) -> bool {
    row.checksum.is_some()
}

/// Most problems that the status of a resource lists.
pub const IN_A_STATUS: usize = 20;
/// Most problems that the row of an environment notes.
const IN_A_ROW: usize = 100;

/// What a list of at most so many problems leaves out of the invalid manifests. Each is told by its integration, code and
/// location.
pub fn unlisted<'a>(
    listed: impl Clone + Iterator<Item = (Option<&'a str>, &'a str, Option<&'a str>)>,
    invalid: i32,
    most: usize,
) -> Option<String> {
    let ended = listed.clone().count() >= most;
    // What was refused otherwise is no invalid manifest.
    let listed = listed.filter(|(_, code, at)| *code != FOREIGN_ROW && !is_whole_file(*at));
    let file = |at: &'a str| at.split(':').next().unwrap_or(at);
    let manifests: BTreeSet<_> = listed.map(|(integration, _, at)| (integration, at.map(file))).collect();
    let beyond = match usize::try_from(invalid).unwrap_or(0).saturating_sub(manifests.len()) {
        0 if !ended => return None,
        0 => "and what else is wrong in these".to_owned(),
        1 => "and 1 more invalid manifest".to_owned(),
        several => format!("and {several} more invalid manifests"),
    };
    Some(format!("{beyond}: `sower validate` beside the manifests lists every problem"))
}

impl Standing {
    /// Another environment is not as this one wants it: it is not seeded, whatever its rows say. Who else keeps it says what
    /// it waits for.
    pub fn waits_for(&mut self, Unmet { on, why }: &Unmet) {
        if self.kept_elsewhere || self.reason == Reason::Suspended.as_str() {
            return;
        }
        self.ready = "False".to_owned();
        self.reason = Reason::DependencyNotReady.as_str().to_owned();
        self.message.clone_from(why);
        self.needs = vec![match on {
            Some(on) => (format!("sower status -e {on}"), "see what it waits for".to_owned()),
            None => ("sower validate".to_owned(), "see what is wrong".to_owned()),
        }];
        for ready in self.conditions.iter_mut().filter(|condition| condition.kind == "Ready") {
            ready.status.clone_from(&self.ready);
            ready.reason.clone_from(&self.reason);
            ready.message.clone_from(&self.message);
            ready.since = None;
        }
    }

    /// What its failures leave out.
    #[must_use]
    pub fn unlisted(&self) -> Option<String> {
        let listed =
            self.failures.iter().map(|f| (f.integration.as_deref(), f.code.as_str(), f.location.as_deref()));
        let most = if self.namespace.is_empty() { IN_A_ROW } else { IN_A_STATUS };
        unlisted(listed, self.counts.map_or(0, |counts| counts.invalid), most)
    }

    /// For programs.
    #[must_use]
    pub fn described(&self) -> Fields {
        let conditions: Vec<Fields> = self
            .conditions
            .iter()
            .map(|condition| {
                Fields::default()
                    .with("type", &condition.kind)
                    .with("status", &condition.status)
                    .with("reason", &condition.reason)
                    .with("message", &condition.message)
                    .with("lastTransitionTime", condition.since)
            })
            .collect();
        let next: Vec<&str> = self.needs.iter().map(|(command, _)| command.as_str()).collect();
        Fields::default()
            .with("environment", &self.environment)
            .with("namespace", Some(&self.namespace).filter(|namespace| !namespace.is_empty()))
            .with("ready", &self.ready)
            .with("reason", &self.reason)
            .with("status", &self.message)
            .with("revision", &self.full_revision)
            .with("integrations", self.integrations.parse::<u64>().ok())
            .with("conflicts", self.conflicts.parse::<u64>().ok())
            .with("seededAt", self.seeded_at)
            .with("counts", self.counts)
            .with("plan", &self.plan)
            .with("rollouts", &self.rollouts)
            .with("conditions", conditions)
            .with("failures", &self.failures)
            .with_some("waiting", Some(&self.waiting).filter(|waiting| !waiting.is_empty()))
            .with("next", next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(problems: usize, per_manifest: usize, invalid: i32) -> Option<String> {
        let places: Vec<String> = (0..problems)
            .map(|n| format!("integrations/i{}/integration.yaml:{}:1", n / per_manifest, n + 1))
            .collect();
        let more =
            unlisted(places.iter().map(|at| (None, "bad-version", Some(at.as_str()))), invalid, IN_A_STATUS);
        more.map(|more| more.split(": ").next().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_list_that_ends_early_says_so() {
        assert_eq!(told(3, 1, 3), None);
        assert_eq!(told(6, 3, 2), None);
        assert_eq!(told(20, 1, 30).as_deref(), Some("and 10 more invalid manifests"));
        assert_eq!(told(20, 2, 11).as_deref(), Some("and 1 more invalid manifest"));
        assert_eq!(told(20, 5, 4).as_deref(), Some("and what else is wrong in these"));
    }
}
