//! One look at all rollouts of an environment that are under way.

use std::time::Instant;

use jiff::Timestamp;
use sower_core::freeze::Frozen;
use sower_core::gate::Moment;
use sower_core::report::Outcome as Ended;
use sower_core::rollout::machine::{Given, looks, step};
use sower_core::rollout::{Rollout, State, Verdict};
use sower_crds::environment::EnvironmentSpec;
use sower_store::{EnvironmentRow, Store, StoreError, Which};

use super::evidence::{Secrets, look};
use super::writing::{self, Ending};
use crate::metrics::EnvironmentLabels;
use crate::seeding::{Job, Seeder, SeedingError};

/// Moves of one rollout in one look at most: through every step, and an end. What is left is done with the next.
const MOST_MOVES: usize = 20;

/// Whose rollouts are looked at, and under what they move.
#[derive(Clone)]
pub struct Steps<'a> {
    /// The environment.
    pub environment: &'a str,
    /// Its spec: the freeze windows are its own by now, the strategy is what it was when the rollout began.
    pub spec: &'a EnvironmentSpec,
    /// Who seeds it.
    pub keeper: &'a str,
    /// The epoch to write under; none: the current one.
    pub epoch: Option<i64>,
    /// Until when the freeze windows do not count.
    pub freeze_override: Option<Timestamp>,
    /// Where the secrets of Prometheus servers are.
    pub secrets: &'a dyn Secrets,
}

/// A rollout that moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// As it was.
    pub before: Rollout,
    /// As it is.
    pub after: Rollout,
    /// The seeding that it came with: `production-58`; none where it only moved.
    pub seeding: Option<String>,
}

impl Change {
    /// On one line, with the seeding that it came with.
    #[must_use]
    pub fn line(&self) -> String {
        let number = self.seeding.as_deref().and_then(|seeding| seeding.rsplit('-').next());
        let number = number.map(|number| format!(" (seeding {number})")).unwrap_or_default();
        format!("{}{number}", self.after.line())
    }
}

/// What came of a look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stepped {
    /// What moved, in its order.
    pub changes: Vec<Change>,
    /// What is under way now, and what ended last and left the stable version in place; by integration.
    pub standing: Vec<Rollout>,
}

impl Stepped {
    /// When something is to be looked at next.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.standing.iter().filter_map(|rollout| rollout.due_at).min()
    }

    /// With what a later look found.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.changes.extend(later.changes);
        Self { standing: later.standing, ..self }
    }
}

impl<'a> Steps<'a> {
    /// Those of the environment that a job seeds.
    #[must_use]
    pub fn of(job: &'a Job, secrets: &'a dyn Secrets) -> Self {
        Self {
            environment: &job.environment,
            spec: &job.spec,
            keeper: &job.keeper,
            epoch: job.epoch,
            freeze_override: job.freeze_override,
            secrets,
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { now: Timestamp::now(), freeze_override: self.freeze_override }
    }

    pub(super) fn frozen(&self, integration: &str, moment: &Moment) -> Option<Frozen> {
        moment.freezes_any([integration], self.spec)
    }

    pub(super) fn labels(&self) -> EnvironmentLabels {
        EnvironmentLabels::of(self.keeper, self.environment)
    }

    /// The environment's row, if it is this keeper's.
    pub(super) async fn row(&self, store: &Store) -> Result<Option<EnvironmentRow>, StoreError> {
        let row = store.environment(self.environment).await?;
        Ok(row.filter(|row| row.keeper.as_deref() == Some(self.keeper)))
    }
}

impl Seeder {
    /// Looks at every rollout under way that is due, and moves it. Each end is a seeding of its own.
    ///
    /// # Errors
    /// The first of them, where several cannot move: the database does not answer, it is no longer this process that writes, or
    /// somebody else's row holds an id. What moved stays moved.
    pub async fn step_rollouts(&self, store: &Store, steps: &Steps<'_>) -> Result<Stepped, SeedingError> {
        let mut stepped = Stepped::default();
        let standing = store.rollouts(Some(steps.environment), Which::Standing).await?;
        let under_way = standing.iter().any(|rollout| !rollout.state.is_over());
        if !under_way || steps.row(store).await?.is_none() {
            let stepped = Stepped { standing, ..stepped };
            self.see_rollouts(&steps.labels(), &stepped);
            return Ok(stepped);
        }
        let mut failed = None;
        for rollout in standing {
            let last = match rollout.state.is_over() {
                true => rollout,
                // What keeps one from moving keeps no other from going back.
                false => match self.step_rollout(store, steps, rollout.clone(), &mut stepped.changes).await {
                    Ok(last) => last,
                    Err(error) => {
                        failed.get_or_insert(error);
                        rollout
                    }
                },
            };
            let stands = !matches!(last.state, State::Completed | State::Superseded);
            stepped.standing.extend(stands.then_some(last));
        }
        self.see_rollouts(&steps.labels(), &stepped);
        match failed {
            Some(error) => Err(error),
            None => Ok(stepped),
        }
    }

    fn see_rollouts(&self, at: &EnvironmentLabels, stepped: &Stepped) {
        for change in &stepped.changes {
            self.count_change(at, change);
        }
        if let Some(metrics) = self.metrics() {
            metrics.rollouts(at, &stepped.standing);
        }
    }

    /// Counts that a rollout moved.
    pub(super) fn count_change(&self, at: &EnvironmentLabels, Change { before, after, .. }: &Change) {
        let Some(metrics) = self.metrics() else { return };
        let (Some(left), Some(since)) = (before.events.last(), after.events.last()) else { return };
        let lasted = std::time::Duration::try_from(since.at.duration_since(left.at)).unwrap_or_default();
        metrics.left_phase(at, before.state, lasted);
        if after.state.is_over() {
            metrics.rollout_ended(at, after.state);
        }
    }

    /// Moves one as far as it goes now.
    async fn step_rollout(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        mut rollout: Rollout,
        changes: &mut Vec<Change>,
    ) -> Result<Rollout, SeedingError> {
        for _ in 0..MOST_MOVES {
            let moment = steps.moment();
            let (frozen, now) = (steps.frozen(&rollout.integration, &moment), moment.now);
            let verdict: Option<Verdict> = match looks(&rollout, now) {
                true => look(store, steps.secrets, &rollout).await?,
                false => None,
            };
            if let (Some(verdict), Some(metrics)) = (&verdict, self.metrics()) {
                metrics.analysed(&steps.labels(), verdict.outcome);
            }
            let told = frozen.as_ref().map(|frozen| frozen.told(now));
            let mut after = step(&rollout, Given { now, verdict: verdict.as_ref(), frozen: told.as_deref() });
            if let Some(opens) = frozen.and_then(|frozen| frozen.opens) {
                after.opens_at(opens);
            }
            if after == rollout {
                break;
            }
            let after = counted(store, &rollout, after).await?;
            let moved = after.events.last() != rollout.events.last();
            let seeding = self.write_rollout(store, steps, &rollout, &after, None).await?;
            let before = std::mem::replace(&mut rollout, after);
            if moved {
                changes.push(Change { before, after: rollout.clone(), seeding });
            }
            if rollout.state.is_over() || !moved {
                break;
            }
        }
        Ok(rollout)
    }

    /// Writes what became of a rollout: an end is a seeding, whose name is the answer.
    pub(super) async fn write_rollout(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        before: &Rollout,
        after: &Rollout,
        handled: Option<&sower_store::HandledCommand>,
    ) -> Result<Option<String>, SeedingError> {
        let started = Instant::now();
        let Some(row) = steps.row(store).await? else {
            return Err(StoreError::Gone { environment: steps.environment.to_owned() }.into());
        };
        let ending = match after.state {
            State::Completed => Ending::ToAll,
            State::Aborted | State::RolledBack | State::Superseded => Ending::Back,
            State::Pending | State::Progressing | State::Paused | State::Completing => {
                let fence = writing::fence(store, steps, &row).await?;
                store.move_rollout(&fence, before, after, handled).await?;
                return Ok(None);
            }
        };
        let written =
            writing::end(store, self.holder(), steps, &row, after, ending, handled, started).await?;
        self.count_seeding(&steps.labels(), Ended::Completed, written.rows, started.elapsed());
        Ok(Some(written.seeding))
    }
}

/// With what was counted before its step began, where one begins: that says nothing of this step.
pub(super) async fn counted(
    store: &Store,
    before: &Rollout,
    mut after: Rollout,
) -> Result<Rollout, StoreError> {
    if after.step != before.step && !after.state.is_over() {
        after.progress.before =
            store.usage_in_minute(&after.environment, &after.integration, after.step_started_at).await?;
    }
    Ok(after)
}
