//! The annotation `sower.dev/approve`: whose word it is, and what comes of it.

use kube::ResourceExt as _;
use serde_json::Value;
use sower_core::gate::Held;
use sower_crds::environment::{ApprovalResult, ApprovalStatus, Environment};
use sower_crds::{APPROVE, APPROVED_BY, REQUESTED_AT};
use sower_store::Store;
use tokio_util::sync::CancellationToken;

use crate::seeding::{Approval, Approved, Job, Refusal, Seeded, Seeder, SeedingError};

/// As much of an annotation as a status holds, in characters.
const LONGEST: usize = 256;

/// Obeys the annotation, after what was there to be seeded was seeded or held: what came of the seeding, or of the
/// approval in its place. The status says what came of an approval; where it says so already, nothing is asked.
///
/// # Errors
/// As the seeding.
pub async fn answer(
    seeder: &Seeder,
    store: &Store,
    environment: &Environment,
    job: &Job,
    seeded: Seeded,
    cancel: &CancellationToken,
) -> Result<(Seeded, Option<ApprovalStatus>), SeedingError> {
    let Some(asked) = environment.annotations().get(APPROVE).map(|asked| asked.trim()) else {
        return Ok((seeded, None));
    };
    let before = environment.status.as_ref().and_then(|status| status.approval.as_ref());
    let before = before.filter(|before| before.plan == cut(asked));
    let waits = |asked: &str| seeded.planned().is_some_and(|planned| planned.plan.hash.starts_with(asked));
    // What was refused is asked for again where the plan was made anew, is the same, and somebody says so again.
    let again = |before: &ApprovalStatus| {
        before.result == ApprovalResult::Refused && asks_anew(environment) && waits(asked)
    };
    // With nothing new there is no new plan either.
    let same =
        |before: &&ApprovalStatus| (is_final(before.result) && !again(before)) || seeded.planned().is_none();
    if let Some(before) = before.filter(same) {
        return Ok((seeded, Some(before.clone())));
    }
    // It is remembered; the seeding, unless it was asked for something of its own, has looked whether anything still holds it.
    if let Some(before) = before.filter(|before| before.result == ApprovalResult::Waiting)
        && job.resolve.is_empty()
        && store.environment(&job.environment).await?.is_some_and(|row| row.approves(asked))
    {
        return Ok((seeded, Some(before.clone())));
    }
    let by = approver(environment);
    let told =
        |result, message: String| Some(ApprovalStatus { plan: cut(asked), result, by: cut(&by), message });
    let Some(approval) = Approval::new(asked, &by) else {
        let message = format!("{APPROVE} is no hash of a plan: those have 12 to 64 hex digits");
        return Ok((seeded, told(ApprovalResult::Refused, message)));
    };
    let by = approval.by().to_owned();
    let plan = asked.get(..12).unwrap_or(asked);
    if let Seeded::Applied { planned, report } = &seeded
        && approval.is_of(&planned.plan.hash)
    {
        let seeding = number(report.seeding.as_deref());
        // Whoever approved it first is who the log names.
        let logged = store.plan(&job.environment, approval.plan()).await?.and_then(|plan| plan.approved_by);
        let by = logged.unwrap_or_else(|| by.clone());
        let message = approved(plan, &by, &seeding);
        let told =
            ApprovalStatus { plan: cut(asked), result: ApprovalResult::Applied, by: cut(&by), message };
        return Ok((seeded, Some(told)));
    }
    let made = seeded.planned().is_some_and(|planned| approval.is_of(&planned.plan.hash));
    if !made && store.plan(&job.environment, approval.plan()).await?.is_none() {
        let message = format!("No plan {plan} waits for an approval");
        return Ok((seeded, told(ApprovalResult::Unknown, message)));
    }
    Ok(match seeder.approve(store, job, &approval, cancel).await? {
        Approved::Applied(applied) => {
            let seeding = number(applied.report().seeding.as_deref());
            (applied, told(ApprovalResult::Applied, approved(plan, &by, &seeding)))
        }
        Approved::Before { seeding, by } => {
            let seeding = seeding.map_or_else(|| "unknown".to_owned(), |seeding| seeding.to_string());
            (seeded, told(ApprovalResult::Applied, approved(plan, &by, &seeding)))
        }
        Approved::Waits(waits) => {
            let (why, frozen) = match &waits {
                Seeded::Held { held, .. } => (held.message.clone(), held.frozen.clone()),
                _ => (String::new(), None),
            };
            let told = told(ApprovalResult::Waiting, format!("Plan {plan} approved by {by}. {why}"));
            // A newer plan waits for a word of its own.
            match seeded {
                Seeded::Held { planned, held, report } if !made => {
                    let held = Held { frozen: held.frozen.or(frozen), ..held };
                    (Seeded::Held { planned, held, report }, told)
                }
                _ => (waits, told),
            }
        }
        Approved::Refused(refusal) => (seeded, told(ApprovalResult::Refused, sentence(&refusal))),
    })
}

/// Whoever takes the annotation away, or puts another hash there, while the plan waits for something else withdraws the
/// approval. Nobody looks where the status tells of nothing that waits.
///
/// # Errors
/// Where the database does not answer.
pub async fn withdraw(
    seeder: &Seeder,
    store: &Store,
    environment: &Environment,
    job: &Job,
) -> Result<(), SeedingError> {
    let Some(status) = &environment.status else { return Ok(()) };
    let approval = status.approval.as_ref().is_some_and(|told| told.result != ApprovalResult::Applied);
    if !approval && status.plan.is_none() {
        return Ok(());
    }
    let said = environment.annotations().get(APPROVE).map(|asked| asked.trim().to_ascii_lowercase());
    seeder.withdraw(store, job, said.as_deref()).await
}

fn approved(plan: &str, by: &str, seeding: &str) -> String {
    format!("Plan {plan} approved by {by}: seeding {seeding}")
}

fn sentence(refusal: &Refusal) -> String {
    let told = refusal.told();
    format!("P{}", told.strip_prefix('p').unwrap_or(&told))
}

/// Whether `sower.dev/requestedAt` is not obeyed yet.
fn asks_anew(environment: &Environment) -> bool {
    let handled = environment.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    environment.annotations().get(REQUESTED_AT).is_some_and(|asked| Some(asked) != handled)
}

/// Nothing else comes of it, whatever happens.
fn is_final(result: ApprovalResult) -> bool {
    matches!(result, ApprovalResult::Applied | ApprovalResult::Refused)
}

fn number(seeding: Option<&str>) -> String {
    seeding.and_then(|id| id.rsplit('-').next()).unwrap_or_default().to_owned()
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// Who approved.
fn approver(environment: &Environment) -> String {
    asker(environment, APPROVE, APPROVED_BY).unwrap_or_default()
}

/// Who asks for something by an annotation: what the one beside it says, where whoever wrote the request wrote that too;
/// else the field manager of the request. A name that was left behind by an earlier request counts for nothing.
pub(super) fn asker(environment: &Environment, request: &str, by: &str) -> Option<String> {
    let named = environment.annotations().get(by);
    let manager = |annotation: &str| {
        let field = format!("f:{annotation}");
        let entries = environment.metadata.managed_fields.iter().flatten();
        let owns = |fields: &Value| fields["f:metadata"]["f:annotations"].get(&field).is_some();
        let mut owners =
            entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| owns(&fields.0)));
        owners.next_back().and_then(|entry| entry.manager.clone())
    };
    let (wrote, says) = (manager(request), manager(by));
    named.filter(|_| wrote.is_none() || wrote == says).cloned().or(wrote)
}

/// Obeys the annotation although nothing could be planned: what waits pins its content, and a newer commit that cannot be
/// planned does not stand in its way. None where nothing was applied.
pub async fn in_spite(
    seeder: &Seeder,
    store: &Store,
    environment: &Environment,
    job: &Job,
    cancel: &CancellationToken,
) -> Option<(Seeded, Option<ApprovalStatus>)> {
    let asked = environment.annotations().get(APPROVE)?.trim();
    let before = environment.status.as_ref().and_then(|status| status.approval.as_ref());
    if before.is_some_and(|before| before.plan == cut(asked) && is_final(before.result)) {
        return None;
    }
    let by = approver(environment);
    let approval = Approval::new(asked, &by)?;
    store.plan(&job.environment, approval.plan()).await.ok()??;
    let Approved::Applied(applied) = seeder.approve(store, job, &approval, cancel).await.ok()? else {
        return None;
    };
    let seeding = number(applied.report().seeding.as_deref());
    let plan = asked.get(..12).unwrap_or(asked);
    let message = approved(plan, approval.by(), &seeding);
    let (result, by) = (ApprovalResult::Applied, cut(&by));
    Some((applied, Some(ApprovalStatus { plan: cut(asked), result, by, message })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_of_whoever_wrote_it() {
        let entry = |manager: &str, fields: &[&str]| {
            let fields: serde_json::Map<String, Value> =
                fields.iter().map(|field| (format!("f:{field}"), serde_json::json!({}))).collect();
            serde_json::json!({ "manager": manager, "fieldsType": "FieldsV1",
                "fieldsV1": { "f:metadata": { "f:annotations": fields } } })
        };
        let of = |named: bool, managed: Vec<Value>| {
            let mut annotations = serde_json::json!({ APPROVE: "7c1e09b4d2f8" });
            if named {
                annotations[APPROVED_BY] = "Ada".into();
            }
            let environment: Environment = serde_json::from_value(serde_json::json!({
                "apiVersion": "sower.dev/v1alpha1", "kind": "Environment", "spec": {},
                "metadata": { "name": "e", "annotations": annotations, "managedFields": managed },
            }))
            .expect("an environment");
            approver(&environment)
        };
        assert_eq!(of(true, vec![entry("sower", &[APPROVE, APPROVED_BY])]), "Ada");
        assert_eq!(
            of(true, vec![entry("sower", &[APPROVED_BY]), entry("kubectl-annotate", &[APPROVE])]),
            "kubectl-annotate"
        );
        assert_eq!(of(false, vec![entry("kustomize-controller", &[APPROVE])]), "kustomize-controller");
        assert_eq!(of(true, Vec::new()), "Ada");
        assert_eq!(of(false, Vec::new()), "");
    }
}
