//! What somebody says to a rollout: obeyed once, whoever leads.

use std::time::Duration;

use sower_core::plan::Content;
use sower_core::rollout::machine::obey;
use sower_core::rollout::{Command, Rollout, State};
use sower_store::{Answered, EnvironmentRow, HandledCommand, Store, StoreError, Which};

use super::steps::{Change, Steps, whole};
use super::writing;
use crate::seeding::{Seeder, SeedingError};

/// How often a command is said again that something else came in between of, and how soon.
const TRIES: u32 = 10;
const AGAIN: Duration = Duration::from_millis(20);

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
    /// same transaction. Whoever seeds or moves it at the same time does not keep it from being obeyed.
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
        let mut tries = 1..=TRIES;
        loop {
            match (self.command_once(store, steps, integration, command, by, asked).await, tries.next()) {
                // It is said to what is there by now; but to go on is meant for the step that it was in.
                (Err(CommandError::Seeding(error)), Some(number))
                    if error.superseded && command != Command::Advance =>
                {
                    tokio::time::sleep(AGAIN * number).await;
                }
                (done, _) => return done,
            }
        }
    }

    async fn command_once(
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
        let done = self.command(store, steps, &row, integration, command, by, asked).await;
        if let (Some(request), Err(CommandError::Impossible(message))) = (asked, &done) {
            let handled =
                HandledCommand { request: request.to_owned(), message: message.clone(), failed: true };
            store.note_rollout_command(&writing::fence(steps, &row), Some(&handled)).await?;
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
            store.note_rollout_command(&writing::fence(steps, &row), None).await?;
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
            store.note_rollout_command(&writing::fence(steps, &row), Some(&handled)).await?;
        }
        Err(CommandError::Impossible(why))
    }

    #[expect(clippy::too_many_arguments, reason = "those of the command, and the row")]
    async fn command(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        row: &EnvironmentRow,
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
            return retry(store, steps, row, &before, asked).await;
        }
        let moment = steps.moment();
        let frozen = steps.held(integration, &moment).map(|(told, _)| told);
        let after = obey(&before, command, by, moment.now, frozen.as_deref())
            .map_err(|why| CommandError::Impossible(format!("{integration}: {why}")))?;
        let after = whole(store, &before, after).await?;
        let message = after.line();
        let handled = asked.map(|request| HandledCommand {
            request: request.to_owned(),
            message: message.clone(),
            failed: false,
        });
        let seeding = self.write_rollout(store, steps, row, &before, &after, handled.as_ref()).await?;
        self.count_move(&steps.labels(), &after);
        Ok(Commanded { message, change: Some(Change { before, after, seeding }) })
    }
}

/// Asks back what the rollout left out: the next seeding begins it again.
async fn retry(
    store: &Store,
    steps: &Steps<'_>,
    row: &EnvironmentRow,
    before: &Rollout,
    asked: Option<&str>,
) -> Result<Commanded, CommandError> {
    let Rollout { integration, state, .. } = before;
    if !matches!(state, State::Aborted | State::RolledBack) {
        let state = state.as_str();
        return Err(CommandError::Impossible(format!(
            "the last rollout of {integration} was neither aborted nor rolled back ({state})"
        )));
    }
    let Content { version, checksum } = before.blamed();
    let message = if checksum == before.to.checksum {
        format!("{integration} {version} is tried again, from the first step, with the next seeding")
    } else {
        format!("{integration} {version} takes part in the next comparison again")
    };
    let handled = asked.map(|request| HandledCommand {
        request: request.to_owned(),
        message: message.clone(),
        failed: false,
    });
    let fence = writing::fence(steps, row);
    let answered = handled.as_ref().map(Answered::Command);
    let back = store.ask_back_content(&fence, integration, &checksum, answered).await?;
    if back.is_empty() {
        // Somebody may have asked it back before.
        let open = store.quarantined(Some(steps.environment)).await?;
        let asked_back = open.iter().any(|open| {
            open.integration == *integration && open.checksum == checksum && open.asked_back_at.is_some()
        });
        if !asked_back {
            return Err(CommandError::Impossible(format!(
                "{integration} {version} is not kept out: the next seeding takes what the sources have"
            )));
        }
        if handled.is_some() {
            store.note_rollout_command(&fence, handled.as_ref()).await?;
        }
    }
    Ok(Commanded { message, change: None })
}
