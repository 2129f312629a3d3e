//! Conditions, as Kubernetes' conventions have them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use sower_core::sentence;

/// The conditions of one object.
pub type Conditions = Vec<Condition>;

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Why, in one word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

impl Said {
    /// It holds, or it does not.
    pub fn new(holds: bool, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: if holds { "True" } else { "False" }, reason: reason.into(), message: message.into() }
    }
}

/// Sets a condition. Its time changes with its status alone.
pub fn set(conditions: &mut Conditions, kind: &str, said: Said, generation: Option<i64>, now: Timestamp) {
    let Said { status, reason, message } = said;
    let before = conditions.iter().find(|condition| condition.type_ == kind);
    let since =
        before.filter(|before| before.status == status).map(|before| before.last_transition_time.clone());
    let condition = Condition {
        last_transition_time: since.unwrap_or_else(|| whole_seconds(now)),
        message: sentence::cut(&message),
        observed_generation: generation,
        reason,
        status: status.to_owned(),
        type_: kind.to_owned(),
    };
    match conditions.iter_mut().find(|condition| condition.type_ == kind) {
        Some(place) => *place = condition,
        None => conditions.push(condition),
    }
}

/// Takes a condition away.
pub fn unset(conditions: &mut Conditions, kind: &str) {
    conditions.retain(|condition| condition.type_ != kind);
}

/// A condition by its type.
#[must_use]
pub fn find<'a>(conditions: &'a Conditions, kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Documents hold seconds: what is read back must equal what was written.
fn whole_seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
