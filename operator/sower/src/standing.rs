//! How an environment stands: in a cluster as its status says, with files as its rows say.

mod rows;
mod status;

use jiff::Timestamp;
use sower_core::report::Failure as Entry;
use sower_crds::environment::{Counts, PlanStatus};
use sower_store::{Listed, Logged};

use crate::failure::Failure;
use crate::output::document::Fields;
use crate::session::{Member, Session};

pub use rows::of_broken;
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
    /// What it holds, and what it does not.
    pub counts: Option<Counts>,
    /// What to type, and what for.
    pub needs: Vec<(String, String)>,
    /// The last seedings, where the database can be read.
    pub seedings: Vec<Logged>,
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

impl Condition {
    /// The worst first: what stalls, what is not ready, what is being tried, what is well.
    fn rank(&self) -> u8 {
        match (self.kind.as_str(), self.status.as_str()) {
            ("Ready", "True") => 4,
            ("Ready", _) => 0,
            ("Stalled", "True") => 1,
            ("Reconciling", "True") => 2,
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
    standing.conditions.sort_by_key(Condition::rank);
    Ok(standing)
}

/// Sower wrote the row, and keeps it.
#[must_use]
pub fn is_ours(row: &Listed) -> bool {
    row.checksum.is_some()
}

impl Standing {
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
            .with("conditions", conditions)
            .with("failures", &self.failures)
            .with("next", next)
    }
}
