//! A plan as programs read it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use sower_controllers::seeding::UNDERSTATED;
use sower_core::compare::What;
use sower_core::compatibility::{Compatibility, Judged};
use sower_core::plan::{Conflict, Exclusion, Verb};
use sower_core::promotion::Waiting;
use sower_core::report::Failure as Entry;

use super::Made;
use crate::output::changes;
use crate::trouble::Trouble;

/// What programs read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    environment: String,
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<Vec<String>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reseed: bool,
    revision: Option<String>,
    create: usize,
    update: usize,
    /// Rollouts that end while everybody keeps what they have.
    #[serde(skip_serializing_if = "is_none")]
    given_up: usize,
    delete: usize,
    unchanged: usize,
    conflicts: Vec<Conflict>,
    changes: Vec<ChangeDocument>,
    excluded: Vec<ExcludedDocument>,
    /// What waits for another environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
    guard: Option<Cow<'static, str>>,
    /// Which environment it waits for, and why: a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
    errors: Vec<Entry>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

#[derive(Serialize)]
struct ChangeDocument {
    integration: String,
    kind: &'static str,
    from: Option<String>,
    to: Option<String>,
    compatibility: Option<Compatibility>,
    /// It was taken out, and comes back as it was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
    /// It begins a rollout.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    staged: bool,
    /// The version whose rollout ends with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
    /// The variants of the comparison that begins with it which nobody gets: no such version is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
    fields: Vec<FieldDocument>,
}

/// One field that differs.
#[derive(Serialize)]
pub struct FieldDocument {
    pointer: String,
    from: Option<Value>,
    to: Option<Value>,
    compatibility: Compatibility,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Serialize)]
struct ExcludedDocument {
    integration: String,
    version: String,
    #[serde(flatten)]
    why: Exclusion,
    message: String,
}

impl Document {
    /// The document of one environment.
    pub fn of(name: &str, made: &Result<Made, Trouble>) -> Self {
        let empty = Self {
            environment: name.to_owned(),
            hash: None,
            only: None,
            reseed: false,
            revision: None,
            create: 0,
            update: 0,
            given_up: 0,
            delete: 0,
            unchanged: 0,
            conflicts: Vec::new(),
            changes: Vec::new(),
            excluded: Vec::new(),
            waiting: Vec::new(),
            guard: None,
            waits_for: None,
            errors: Vec::new(),
        };
        match made {
            Err(trouble) => Self { errors: vec![trouble.entry()], ..empty },
            Ok(made) => Self::made(made, empty),
        }
    }

    fn made(made: &Made, empty: Self) -> Self {
        let Made { planned, updates: _, unknown, guard, unmet, reseed } = made;
        let plan = &planned.plan;
        let changes = changes::in_order(&plan.operations).into_iter().map(|operation| ChangeDocument {
            integration: operation.id.clone(),
            kind: if operation.verb == Verb::Remove { "delete" } else { operation.verb.as_str() },
            from: operation.from.as_ref().map(|content| content.version.clone()),
            to: operation.to.as_ref().map(|content| content.version.clone()),
            compatibility: made.means(operation),
            restored: operation.verb == Verb::Create
                && planned.state.rows.get(&operation.id).is_some_and(|row| row.removed),
            staged: operation.staged,
            ends: planned.state.ends(operation).map(|content| content.version.clone()),
            unknown: unknown.get(&operation.id).cloned().unwrap_or_default(),
            fields: made.inside(&operation.id).unwrap_or_default().iter().map(field).collect(),
        });
        let excluded = plan.excluded.iter().map(|excluded| ExcludedDocument {
            integration: excluded.id.clone(),
            version: excluded.version.clone(),
            why: excluded.why.clone(),
            message: excluded.why.message(),
        });
        let denied = planned.state.denied.iter().map(|(id, denied)| Entry {
            integration: Some(id.clone()),
            code: UNDERSTATED.to_owned(),
            location: Some(denied.path.clone()),
            message: denied.why.clone(),
        });
        let errors =
            planned.reading.problems().into_iter().filter(|problem| problem.is_error()).map(|problem| {
                Entry {
                    location: Some(problem.location()),
                    integration: problem.integration,
                    code: problem.code.to_string(),
                    message: problem.message,
                }
            });
        Self {
            hash: Some(plan.short_hash().to_owned()),
            reseed: *reseed,
            only: plan.scope.as_ref().map(|ids| ids.iter().cloned().collect()),
            revision: Some(planned.reading.revision_full()),
            create: plan.created(),
            update: plan.updated() - made.given_up(),
            given_up: made.given_up(),
            delete: plan.deleted(),
            unchanged: plan.unchanged,
            conflicts: plan.conflicts.clone(),
            changes: changes.collect(),
            excluded: excluded.collect(),
            waiting: made.waiting(),
            guard: guard.clone(),
            waits_for: unmet.clone(),
            errors: errors.chain(denied).collect(),
            ..empty
        }
    }
}

/// What differs in one field, and what it means.
pub fn field(judged: &Judged) -> FieldDocument {
    let Judged { change, compatibility, why } = judged;
    let (from, to) = match &change.what {
        What::Added(value) => (None, Some(value.clone())),
        What::Removed(value) => (Some(value.clone()), None),
        What::Changed { from, to } => (Some(from.clone()), Some(to.clone())),
        What::Reordered => (None, None),
    };
    FieldDocument { pointer: change.path(), from, to, compatibility: *compatibility, why: why.clone() }
}
