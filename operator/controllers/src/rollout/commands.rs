//! What somebody says to a rollout: obeyed once, whoever leads.

use sower_core::rollout::machine::obey;
use sower_core::rollout::{Command, Rollout, State};
use sower_store::{HandledCommand, Store, StoreError, Which};

use super::steps::{Change, Steps, counted};
use super::writing;
use crate::seeding::{Seeder, SeedingError};

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Commanded {
    /// In a sentence.
    pub message: String,
    /// What moved; none where something is only asked back.
    pub change: Option<Change>,
}

/// Why a command was not obeyed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// There is nothing that it could be said to: in a sentence, fit for a condition.
    #[error("{0}")]
    Impossible(String),
    /// Nothing was written for another reason.
    #[error(transparent)]
    Seeding(#[from] SeedingError),
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::Seeding(error.into())
    }
}

impl Seeder {
    /// Gives a command to the rollout of an integration. Where it is `asked` by an annotation, what came of it is noted in the
    /// same transaction.
    ///
    /// # Errors
    /// [`CommandError::Impossible`] where there is nothing to obey; nothing was written then but the note.
    pub async fn command_rollout(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        integration: &str,
        command: Command,
        by: &str,
        asked: Option<&str>,
    ) -> Result<Commanded, CommandError> {
        let Some(row) = steps.row(store).await? else {
            let row = store.environment(steps.environment).await?;
            return Err(match row.and_then(|row| row.keeper) {
                Some(keeper) => {
                    StoreError::KeptElsewhere { environment: steps.environment.to_owned(), keeper }.into()
                }
                None => CommandError::Impossible(format!("{} was never seeded", steps.environment)),
            });
        };
        let done = self.command(store, steps, integration, command, by, asked).await;
        if let (Some(request), Err(CommandError::Impossible(message))) = (asked, &done) {
            let handled =
                HandledCommand { request: request.to_owned(), message: message.clone(), failed: true };
            store.note_rollout_command(&writing::fence(store, steps, &row).await?, Some(&handled)).await?;
        }
        done
    }

    /// The annotation is gone: the same may be said again.
    ///
    /// # Errors
    /// Where the database does not answer, or it is no longer this process that writes.
    pub async fn forget_command(&self, store: &Store, steps: &Steps<'_>) -> Result<(), SeedingError> {
        if let Some(row) = steps.row(store).await?
            && store.rollout_command(steps.environment).await?.is_some()
        {
            store.note_rollout_command(&writing::fence(store, steps, &row).await?, None).await?;
        }
        Ok(())
    }

    /// Notes that what was asked is no command.
    ///
    /// # Errors
    /// [`CommandError::Impossible`] with why, where the note was written.
    pub async fn refuse_command(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        asked: &str,
        why: String,
    ) -> Result<Commanded, CommandError> {
        if let Some(row) = steps.row(store).await? {
            let handled = HandledCommand { request: asked.to_owned(), message: why.clone(), failed: true };
            store.note_rollout_command(&writing::fence(store, steps, &row).await?, Some(&handled)).await?;
        }
        Err(CommandError::Impossible(why))
    }

    async fn command(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        integration: &str,
        command: Command,
        by: &str,
        asked: Option<&str>,
    ) -> Result<Commanded, CommandError> {
        let all = store.rollouts(Some(steps.environment), Which::Of(integration)).await?;
        let Some(before) = all.into_iter().next() else {
            let environment = steps.environment;
            return Err(CommandError::Impossible(format!("{integration} has no rollout in {environment}")));
        };
        if command == Command::Retry && before.state.is_over() {
            return retry(store, steps, &before, asked).await;
        }
        let moment = steps.moment();
        let frozen = steps.frozen(integration, &moment).map(|frozen| frozen.told(moment.now));
        let after = obey(&before, command, by, moment.now, frozen.as_deref())
            .map_err(|why| CommandError::Impossible(format!("{integration}: {why}")))?;
        let after = counted(store, &before, after).await?;
        let message = after.line();
        let handled = asked.map(|request| HandledCommand {
            request: request.to_owned(),
            message: message.clone(),
            failed: false,
        });
        let seeding = self.write_rollout(store, steps, &before, &after, handled.as_ref()).await?;
        let change = Change { before, after, seeding };
        self.count_change(&steps.labels(), &change);
        Ok(Commanded { message, change: Some(change) })
    }
}

/// Asks back what the rollout left out: the next seeding begins it again.
async fn retry(
    store: &Store,
    steps: &Steps<'_>,
    before: &Rollout,
    asked: Option<&str>,
) -> Result<Commanded, CommandError> {
    let Rollout { integration, to, state, .. } = before;
    if !matches!(state, State::Aborted | State::RolledBack) {
        let state = state.as_str();
        return Err(CommandError::Impossible(format!(
            "the last rollout of {integration} was neither aborted nor rolled back ({state})"
        )));
    }
    let row = steps
        .row(store)
        .await?
        .ok_or_else(|| StoreError::Gone { environment: steps.environment.to_owned() })?;
    let fence = writing::fence(store, steps, &row).await?;
    let back = store.ask_back(&fence, Some(integration), None).await?;
    // Who died before it was noted had asked it back already.
    let asked_back = async || {
        let open = store.quarantined(Some(steps.environment)).await?;
        let ours = |open: &sower_store::Quarantined| {
            open.integration == *integration && open.asked_back_at.is_some()
        };
        Ok::<_, StoreError>(open.iter().any(ours))
    };
    if back.is_empty() && !asked_back().await? {
        return Err(CommandError::Impossible(format!(
            "nothing of {integration} is kept out: the next seeding takes what the sources have"
        )));
    }
    let message =
        format!("{integration} {} is tried again, from the first step, with the next seeding", to.version);
    if let Some(request) = asked {
        let handled = HandledCommand { request: request.to_owned(), message: message.clone(), failed: false };
        store.note_rollout_command(&fence, Some(&handled)).await?;
    }
    Ok(Commanded { message, change: None })
}
