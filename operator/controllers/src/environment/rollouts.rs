//! The rollouts of an Environment: `sower.dev/rollout` is obeyed once, and whatever is due moves.

use futures::future::BoxFuture;
use kube::{Client, ResourceExt as _};
use sower_core::rollout::{Command, Rollout, command};
use sower_crds::environment::{RolloutCommandStatus, RolloutStatus};
use sower_crds::{Environment, ROLLOUT, ROLLOUT_BY};
use sower_store::{HandledCommand, Store, Which};

use super::approving::asker;
use super::dereference;
use super::rollback::{LONGEST, name_of};
use crate::rollout::{Change, CommandError, SecretData, Secrets, Stepped, Steps};
use crate::secrets;
use crate::seeding::{Seeder, SeedingError};
use crate::status::RolloutCommandOutcome;
use crate::term::Term;

/// The Secrets of an Environment's namespace.
pub struct OfNamespace<'a> {
    /// The cluster.
    pub client: &'a Client,
    /// The namespace.
    pub namespace: &'a str,
}

impl Secrets for OfNamespace<'_> {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, SecretData> {
        Box::pin(async move {
            secrets::read(self.client, self.namespace, name).await.map_err(|error| error.message)
        })
    }
}

/// What the rollouts of an Environment move under.
pub fn steps<'a>(
    environment: &'a Environment,
    name: &'a str,
    keeper: &'a str,
    epoch: Option<i64>,
    secrets: &'a dyn Secrets,
) -> Steps<'a> {
    Steps {
        environment: name,
        spec: &environment.spec,
        keeper,
        epoch,
        freeze_override: dereference::freeze_override(environment).unwrap_or_default(),
        secrets,
    }
}

/// Whether something is rolled out, as far as the status says, or is said to a rollout that is not answered yet.
#[must_use]
pub fn are_under_way(environment: &Environment) -> bool {
    let status = environment.status.as_ref();
    let told = status.and_then(|status| status.rollout_command.as_ref());
    status.and_then(|status| status.counts).is_some_and(|counts| counts.rollouts > 0)
        || asked(environment).is_some_and(|asked| told.is_none_or(|told| told.last_handled != asked))
}

/// What stands, and what came of those that the status speaks of and that stand no more: that they ended well is told once.
///
/// # Errors
/// Where the database does not answer.
pub async fn to_tell(
    environment: &Environment,
    store: &Store,
    stepped: Stepped,
) -> Result<Vec<Rollout>, SeedingError> {
    let mut rollouts = stepped.standing;
    let spoken_of = environment.status.iter().flat_map(|status| &status.rollouts);
    for RolloutStatus { integration, .. } in spoken_of {
        if rollouts.iter().all(|rollout| rollout.integration != *integration) {
            let ends =
                |change: &&Change| change.after.integration == *integration && change.after.state.is_over();
            let last = match stepped.changes.iter().rfind(ends) {
                Some(change) => Some(change.after.clone()),
                None => {
                    let all = store.rollouts(Some(&environment.name_any()), Which::Of(integration)).await?;
                    all.into_iter().next()
                }
            };
            rollouts.extend(last.filter(|last| last.state.is_over() && !last.ended_badly()));
        }
    }
    Ok(rollouts)
}

/// Does what the annotation says, unless it was done; none: there is nothing to tell. What cannot be obeyed is an answer, too.
///
/// # Errors
/// Where the database does not answer, or it is no longer this process that writes: nothing was written then.
pub async fn obey(
    seeder: &Seeder,
    environment: &Environment,
    store: &Store,
    steps: &Steps<'_>,
    term: &Term,
) -> Result<Option<RolloutCommandOutcome>, SeedingError> {
    let told = environment.status.as_ref().and_then(|status| status.rollout_command.as_ref());
    let Some(asked) = asked(environment) else {
        if told.is_none() && term.has_forgotten(store, steps.environment, ROLLOUT) {
            return Ok(None);
        }
        // The same may be said again from now on.
        seeder.forget_command(store, steps).await?;
        term.note_forgotten(store, steps.environment, ROLLOUT, true);
        return Ok(told.map(|_| RolloutCommandOutcome(None)));
    };
    term.note_forgotten(store, steps.environment, ROLLOUT, false);
    if told.is_some_and(|told| told.last_handled == asked) {
        return Ok(None);
    }
    let handled = store.rollout_command(&environment.name_any()).await?;
    if let Some(handled) = handled.filter(|handled| handled.request == asked) {
        return Ok(Some(RolloutCommandOutcome::of(status(handled))));
    }
    let by = name_of(asker(environment, ROLLOUT, ROLLOUT_BY));
    let done = match command(&asked) {
        Ok((integration, command)) => {
            seeder.command_rollout(store, steps, &integration, command, &by, Some(&asked)).await
        }
        Err(why) => seeder.refuse_command(store, steps, &asked, why).await,
    };
    match done {
        Ok(done) => {
            tracing::info!(request = asked, "{}", done.message);
            Ok(Some(RolloutCommandOutcome::of(RolloutCommandStatus {
                last_handled: asked,
                message: done.message,
                failed: false,
            })))
        }
        Err(CommandError::Impossible(why)) => {
            tracing::warn!(request = asked, "not obeyed: {why}");
            Ok(Some(RolloutCommandOutcome::of(RolloutCommandStatus {
                last_handled: asked,
                message: why,
                failed: true,
            })))
        }
        Err(CommandError::Seeding(error)) => Err(error),
    }
}

/// Whether the annotation says something that is obeyed while the environment is suspended, too: what lets fewer have the new
/// version.
#[must_use]
pub fn holds_back(environment: &Environment) -> bool {
    let told = environment.status.as_ref().and_then(|status| status.rollout_command.as_ref());
    let Some(asked) = asked(environment) else { return false };
    let said = command(&asked).is_ok_and(|(_, command)| matches!(command, Command::Pause | Command::Abort));
    said && told.is_none_or(|told| told.last_handled != asked)
}

/// What the annotation holds, if it says anything.
fn asked(environment: &Environment) -> Option<String> {
    let value = environment.annotations().get(ROLLOUT)?.trim();
    (!value.is_empty()).then(|| value.chars().take(LONGEST).collect())
}

fn status(handled: HandledCommand) -> RolloutCommandStatus {
    let HandledCommand { request, message, failed } = handled;
    RolloutCommandStatus { last_handled: request, message, failed }
}
