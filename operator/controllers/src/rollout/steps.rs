//! One look at all rollouts of an environment that are under way.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use sower_core::catalog::{Dependency, needs};
use sower_core::conflict::listed;
use sower_core::gate::Moment;
use sower_core::report::Outcome as Ended;
use sower_core::rollout::machine::{Given, looks, step};
use sower_core::rollout::{Rollout, State, Verdict};
use sower_core::select::touches;
use sower_crds::environment::EnvironmentSpec;
use sower_store::{EnvironmentRow, Store, StoreError, Which};

use super::evidence::{Answers, Secrets, ask, judge};
use super::questions::Questions;
use super::writing::{self, Ending};
use crate::metrics::EnvironmentLabels;
use crate::seeding::{Seeder, SeedingError};

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
    /// Something happened to it; else it was only looked at.
    fn moved(&self) -> bool {
        self.after.events.last() != self.before.events.last()
    }

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

impl Steps<'_> {
    pub(super) fn moment(&self) -> Moment {
        Moment { now: Timestamp::now(), freeze_override: self.freeze_override }
    }

    /// What keeps more consumers from getting a new version, in a clause, and until when, where that is known.
    pub(super) fn held(&self, integration: &str, moment: &Moment) -> Option<(String, Option<Timestamp>)> {
        if !touches(self.spec, integration) {
            return Some(("left alone: allowedIntegrations does not name it".to_owned(), None));
        }
        let frozen = moment.freezes_any([integration], self.spec)?;
        Some((frozen.told(moment.now), frozen.opens))
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
    /// Looks at every rollout under way that is due, and moves it. Each end is a seeding of its own. What moved is told although
    /// it fails.
    ///
    /// # Errors
    /// The first of them, where several cannot move: the database does not answer, it is no longer this process that writes, or
    /// somebody else's row holds an id. What moved stays moved.
    pub async fn step_each(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        stepped: &mut Stepped,
    ) -> Result<(), SeedingError> {
        let standing = store.rollouts(Some(steps.environment), Which::Standing).await?;
        let under_way = standing.iter().any(|rollout| !rollout.state.is_over());
        let mut row = match under_way {
            true => steps.row(store).await?,
            false => None,
        };
        if row.is_none() {
            stepped.standing = standing;
            self.see_rollouts(&steps.labels(), stepped);
            return Ok(());
        }
        let mut failed = None;
        let timeout = steps.spec.timeout.duration().unwrap_or(Duration::MAX);
        let questions = Questions::within(timeout);
        let begin = |rollout, moves| look(steps, &questions, rollout, moves);
        let mut looking = FuturesUnordered::new();
        for rollout in standing {
            match rollout.state.is_over() {
                true => stepped.standing.push(rollout),
                false => looking.push(begin(rollout, 0)),
            }
        }
        // Who has nobody to wait for moves at once: a server that does not answer holds up those alone that ask it. What
        // keeps one from moving keeps no other from going back.
        while let Some(Looked { rollout, moves, moment, answers }) = looking.next().await {
            // Whoever waited for an answer may have been overtaken.
            let waited = answers.iter().flat_map(Answers::values).any(|answers| !answers.is_empty());
            row = row.filter(|_| !waited);
            match self.step_rollout(store, steps, &mut row, &rollout, &moment, answers, &mut failed).await {
                Ok(Some(change)) => {
                    let (after, moved) = (change.after.clone(), change.moved());
                    if moved {
                        stepped.changes.push(change);
                    }
                    match moved && !after.state.is_over() && moves + 1 < MOST_MOVES {
                        true => looking.push(begin(after, moves + 1)),
                        false => stepped.standing.push(after),
                    }
                }
                Ok(None) => stepped.standing.push(rollout),
                Err(error) => {
                    failed.get_or_insert(error);
                    stepped.standing.push(rollout);
                }
            }
        }
        stepped.standing.retain(|last| !matches!(last.state, State::Completed | State::Superseded));
        stepped.standing.sort_by(|a, b| a.integration.cmp(&b.integration));
        self.see_rollouts(&steps.labels(), stepped);
        failed.map_or(Ok(()), Err)
    }

    fn see_rollouts(&self, at: &EnvironmentLabels, stepped: &Stepped) {
        for change in &stepped.changes {
            self.count_move(at, &change.after);
        }
        if let Some(metrics) = self.metrics() {
            metrics.rollouts(at, &stepped.standing);
        }
    }

    /// Counts that a rollout moved.
    pub(crate) fn count_move(&self, at: &EnvironmentLabels, after: &Rollout) {
        let Some(metrics) = self.metrics() else { return };
        let [.., left, since] = after.events.as_slice() else { return };
        let lasted = Duration::try_from(since.at.duration_since(left.at)).unwrap_or_default();
        metrics.left_phase(at, left.state, lasted);
        if after.state.is_over() {
            metrics.rollout_ended(at, after.state);
        }
    }

    /// Moves one by one step, where it does. The environment's row is read where it is not at hand, and stays so until a seeding
    /// moves it on. What could not be read for it has `failed`.
    #[expect(clippy::too_many_arguments, reason = "one turn of the loop above")]
    async fn step_rollout(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        row: &mut Option<EnvironmentRow>,
        rollout: &Rollout,
        moment: &Moment,
        answers: Option<Answers>,
        failed: &mut Option<SeedingError>,
    ) -> Result<Option<Change>, SeedingError> {
        let (held, now) = (steps.held(&rollout.integration, moment), moment.now);
        let (verdict, unread): (Option<Verdict>, _) = match answers {
            Some(answers) => judge(store, rollout, answers).await?,
            None => (None, None),
        };
        if let Some(unread) = unread {
            failed.get_or_insert(unread.into());
        }
        if let (Some(verdict), Some(metrics)) = (&verdict, self.metrics()) {
            metrics.analysed(&steps.labels(), verdict.outcome);
        }
        let (frozen, opens) = held.map_or((None, None), |(told, opens)| (Some(told), opens));
        let mut after = step(rollout, Given { now, verdict: verdict.as_ref(), frozen: frozen.as_deref() });
        if let Some(opens) = opens {
            after.opens_at(opens);
        }
        if after == *rollout {
            return Ok(None);
        }
        let after = whole(store, rollout, after).await?;
        let stood_on = match row.take() {
            Some(row) => row,
            None => steps.row(store).await?.ok_or_else(|| gone(steps))?,
        };
        let seeding = self.write_rollout(store, steps, &stood_on, rollout, &after, None).await?;
        *row = Some(stood_on).filter(|_| seeding.is_none());
        Ok(Some(Change { before: rollout.clone(), after, seeding }))
    }

    /// Writes what became of a rollout: an end is a seeding, whose name is the answer.
    pub(super) async fn write_rollout(
        &self,
        store: &Store,
        steps: &Steps<'_>,
        row: &EnvironmentRow,
        before: &Rollout,
        after: &Rollout,
        handled: Option<&sower_store::HandledCommand>,
    ) -> Result<Option<String>, SeedingError> {
        let started = Instant::now();
        let ending = match after.state {
            State::Completed => Ending::ToAll,
            State::Aborted | State::RolledBack | State::Superseded => Ending::Back,
            State::Pending | State::Progressing | State::Paused | State::Completing => {
                let fence = writing::fence(steps, row);
                store.move_rollout(&fence, before, after, handled).await?;
                return Ok(None);
            }
        };
        let written = writing::end(store, self.holder(), steps, row, after, ending, handled, started).await?;
        self.count_seeding(&steps.labels(), Ended::Completed, written.rows, started.elapsed());
        Ok(Some(written.seeding))
    }
}

fn gone(steps: &Steps<'_>) -> StoreError {
    StoreError::Gone { environment: steps.environment.to_owned() }
}

/// With what was counted before its step began, where one begins: that says nothing of this step. Where all get it, with whose
/// stable version wants another one.
pub(super) async fn whole(
    store: &Store,
    before: &Rollout,
    mut after: Rollout,
) -> Result<Rollout, StoreError> {
    if after.state == State::Completed {
        let mut left = Vec::new();
        for (id, version, manifest) in store.mentioning(&after.environment, &after.integration).await? {
            let unmet =
                |need: &Dependency| need.id == after.integration && !need.is_met_by(&after.to.version);
            left.extend(needs(&manifest).iter().any(unmet).then(|| format!("{id} {version}")));
        }
        if let Some(last) = after.events.last_mut().filter(|_| !left.is_empty()) {
            let told = listed(left.iter().map(String::as_str), left.len());
            let want = if left.len() == 1 { "wants" } else { "want" };
            last.reason = format!("{}; {told} {want} another version", last.reason);
        }
    }
    if after.step != before.step && !after.state.is_over() {
        after.progress.before =
            store.usage_in_minute(&after.environment, &after.integration, after.step_started_at).await?;
    }
    Ok(after)
}

/// A rollout whose analysis has what it asks for, where it looks.
struct Looked {
    rollout: Rollout,
    /// How often it moved in this look.
    moves: usize,
    moment: Moment,
    answers: Option<Answers>,
}

async fn look(steps: &Steps<'_>, questions: &Questions, rollout: Rollout, moves: usize) -> Looked {
    let moment = steps.moment();
    let answers = match looks(&rollout, moment.now) {
        true => Some(ask(steps.secrets, questions, &rollout).await),
        false => None,
    };
    Looked { rollout, moves, moment, answers }
}
