//! An approval: exactly the plan of that hash is applied, once, or it is said why not.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sower_core::gate::{Gate, HeldReason, gate_of_approved};
use sower_core::hash::spec_digest;
use sower_store::{EnvironmentRow, Fence, PlanRow, PlanStatus, Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::error::SeedingError;
use super::fetch::Snapshot;
use super::job::Job;
use super::{Planned, Seeded, Seeder, pinned, planned, seeded};

/// As few digits of a hash are taken for it.
const DIGITS: usize = 12;
/// How often an approval is tried again that another seeding came in between of, and how soon.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(100);
/// Characters of a name that are kept.
const LONGEST_NAME: usize = 100;

/// Somebody's word that a plan may be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    plan: String,
    by: String,
}

impl Approval {
    /// `by` approves the plan of this hash, or of these first digits of it; none where that is no hash.
    #[must_use]
    pub fn new(plan: &str, by: &str) -> Option<Self> {
        let plan = plan.trim().to_ascii_lowercase();
        let fits = (DIGITS..=64).contains(&plan.len()) && plan.bytes().all(|byte| byte.is_ascii_hexdigit());
        let by: String = by.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        let by = if by.is_empty() { "somebody".to_owned() } else { by };
        fits.then_some(Self { plan, by })
    }

    /// The digits.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// Who approves.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// Whether it is about the plan of this hash.
    #[must_use]
    pub fn is_of(&self, hash: &str) -> bool {
        hash.starts_with(&self.plan)
    }
}

/// What came of an approval.
#[derive(Debug)]
pub enum Approved {
    /// The plan was applied.
    Applied(Seeded),
    /// It had been applied before: an approval is spent once.
    Before {
        /// Number of the seeding, if it is still known.
        seeding: Option<i64>,
        /// Who approved it then.
        by: String,
    },
    /// The approval is remembered; something else holds the plan.
    Waits(Seeded),
    /// Nothing was written.
    Refused(Refusal),
}

/// Why an approval is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The digits that were approved.
    pub plan: String,
    /// Why.
    pub why: Stale,
    /// The hash of the plan that would be applied instead, where one was made.
    pub current: Option<String>,
}

/// Why a plan is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// Nothing is known of it.
    Unknown,
    /// Another seeding came first.
    Seeded {
        /// Its number.
        number: i64,
        /// When it was committed.
        at: Option<Timestamp>,
    },
    /// The spec is another one.
    Spec,
    /// Its commit is no longer in the history of the source's ref.
    Commit {
        /// The commit, for people.
        revision: String,
        /// Name of the source.
        source: String,
    },
    /// Somebody changed rows that it touches.
    Rows {
        /// The integrations.
        integrations: Vec<String>,
    },
    /// It was found stale earlier.
    Earlier,
}

impl Refusal {
    /// `plan 7c1e09b4d2f8 is stale: seeding 58 came first`.
    #[must_use]
    pub fn told(&self) -> String {
        let plan = self.plan.get(..DIGITS).unwrap_or(&self.plan);
        let why = match &self.why {
            Stale::Unknown => return format!("no plan {plan} waits for an approval"),
            Stale::Seeded { number, at: _ } => format!("seeding {number} came first"),
            Stale::Spec => "the spec changed since".to_owned(),
            Stale::Commit { revision, source } => {
                format!("{revision} is no longer in the history of {source}")
            }
            Stale::Rows { integrations } => {
                let named = sower_core::conflict::listed(integrations.iter().cloned(), integrations.len());
                format!("rows of {named} were changed by somebody else since")
            }
            Stale::Earlier => "it was found stale earlier".to_owned(),
        };
        format!("plan {plan} is stale: {why}")
    }
}

impl Seeder {
    /// Applies exactly the plan that is approved: one that waits as it was pinned, whatever was pushed since; of one that
    /// nobody kept, the plan that is made now, if it is the same.
    ///
    /// # Errors
    /// As [`Seeder::seed`].
    pub async fn approve(
        &self,
        store: &Store,
        job: &Job,
        approval: &Approval,
        cancel: &CancellationToken,
    ) -> Result<Approved, SeedingError> {
        let started = Instant::now();
        let row = store.environment(&job.environment).await?;
        seeded::refuse_other_keeper(row.as_ref(), job)?;
        let applied = async || {
            let plan = store.plan(&job.environment, &approval.plan).await?;
            Ok::<_, StoreError>(plan.filter(|plan| plan.status == PlanStatus::Applied).map(before))
        };
        if let Some(before) = applied().await? {
            return Ok(before);
        }
        let (mut tries, mut now) = (1..=TRIES, row.clone());
        let approved = loop {
            match self.approve_waiting(store, job, approval, now, started, cancel).await {
                Ok(approved @ (Approved::Applied(_) | Approved::Before { .. } | Approved::Waits(_))) => {
                    break approved;
                }
                // Somebody else may have applied it meanwhile, or be about to.
                neither => match (applied().await?, tries.next()) {
                    (Some(before), _) => break before,
                    (None, Some(number)) if neither.as_ref().is_err_and(|error| error.superseded) => {
                        if cancel.run_until_cancelled(tokio::time::sleep(AGAIN * number)).await.is_none() {
                            break neither?;
                        }
                        now = store.environment(&job.environment).await?;
                    }
                    (None, _) => break neither?,
                },
            }
        };
        if let Some(metrics) = &self.metrics {
            metrics.approved(&job.labels(), approved.word());
        }
        if let Approved::Applied(seeded) = &approved {
            self.look_at_retention(store, job, row.as_ref(), seeded).await;
        }
        Ok(approved)
    }

    async fn approve_waiting(
        &self,
        store: &Store,
        job: &Job,
        approval: &Approval,
        row: Option<EnvironmentRow>,
        started: Instant,
        cancel: &CancellationToken,
    ) -> Result<Approved, SeedingError> {
        match store.plan(&job.environment, &approval.plan).await? {
            // It may be the plan that is made now: what made it stale may have been undone.
            Some(plan) if stale(job, row.as_ref(), &plan) == Some(Stale::Earlier) => {
                Ok(match self.apply_made(store, job, approval, row, started, cancel).await? {
                    Approved::Refused(refusal) => {
                        Approved::Refused(Refusal { why: Stale::Earlier, ..refusal })
                    }
                    other => other,
                })
            }
            Some(plan) => self.apply_pinned(store, job, approval, row, plan, started, cancel).await,
            None => self.apply_made(store, job, approval, row, started, cancel).await,
        }
    }

    /// The plan that was approved while something else held it, once nothing does.
    pub(super) async fn remembered_approval(
        &self,
        store: &Store,
        job: &Job,
        row: Option<&EnvironmentRow>,
        cancel: &CancellationToken,
    ) -> Result<Option<Seeded>, SeedingError> {
        let Some(hash) = row.and_then(|row| row.approved.as_ref()) else { return Ok(None) };
        let Some(plan) = store.plan(&job.environment, hash).await? else { return Ok(None) };
        let by = plan.approved_by.clone().unwrap_or_default();
        let Some(approval) = Approval::new(hash, &by) else { return Ok(None) };
        let started = Instant::now();
        match self.apply_pinned(store, job, &approval, row.cloned(), plan, started, cancel).await? {
            Approved::Applied(seeded) | Approved::Waits(seeded) => Ok(Some(seeded)),
            Approved::Refused(refusal) => {
                tracing::warn!(environment = job.environment, "{}", refusal.told());
                // It is said once: with another spec nobody applies it any more.
                if refusal.why == Stale::Spec {
                    let base = row.map_or(0, |row| row.seq);
                    let fence = Fence { as_of: None, ..seeded::claim_at(store, job, base).await? };
                    store.drop_plan(&fence, hash).await?;
                }
                Ok(None)
            }
            Approved::Before { .. } => Ok(None),
        }
    }

    /// Takes the approval of a plan back that waits for something else, unless it is the one that is `said`, by its first
    /// digits.
    ///
    /// # Errors
    /// Where the database does not answer, or it is no longer this process that writes.
    pub async fn withdraw(&self, store: &Store, job: &Job, said: Option<&str>) -> Result<(), SeedingError> {
        let Some(row) = store.environment(&job.environment).await? else { return Ok(()) };
        let ours = row.keeper.as_ref() == Some(&job.keeper);
        if ours && row.approved.is_some() && !said.is_some_and(|said| row.approves(said)) {
            let fence = Fence { as_of: None, ..seeded::claim_at(store, job, row.seq).await? };
            store.withdraw_approval(&fence).await?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "what was read of one approval")]
    async fn apply_pinned(
        &self,
        store: &Store,
        job: &Job,
        approval: &Approval,
        row: Option<EnvironmentRow>,
        plan: PlanRow,
        started: Instant,
        cancel: &CancellationToken,
    ) -> Result<Approved, SeedingError> {
        let refused =
            |why| Ok(Approved::Refused(Refusal { plan: approval.plan.clone(), why, current: None }));
        if let Some(why) = stale(job, row.as_ref(), &plan) {
            return refused(why);
        }
        let commits: Vec<(String, String)> = plan
            .applied
            .iter()
            .filter_map(|(source, held)| Some((source.clone(), held.revision.commit()?.to_owned())))
            .collect();
        let snapshots = self.fetch_with(job, row.as_ref(), commits, cancel).await?;
        let left = left_its_ref(&snapshots, &plan).await?;
        let Some(pinned) = store.pinned(&job.environment, &plan.hash).await? else {
            return refused(Stale::Earlier);
        };
        let planned = pinned::planned(store, row.clone(), &pinned, snapshots).await?;
        let fence = Fence { as_of: None, ..seeded::claim(store, job, &planned).await? };
        if let Some(why) = left {
            store.drop_plan(&fence, &plan.hash).await?;
            return refused(why);
        }
        if let Gate::Held(held) = gate_of_approved(&planned.plan, &job.spec, &[], job.moment()) {
            if plan.status == PlanStatus::Pending {
                store.remember_approval(&fence, &plan.hash, &approval.by).await?;
            }
            return Ok(Approved::Waits(pinned::hold(planned, &pinned, held, started)));
        }
        match pinned::apply(store, job, &self.holder, planned, pinned, &approval.by, started).await {
            Ok((seeded, wrote)) => {
                self.count_written(&job.labels(), wrote.rows, &wrote.ended);
                Ok(Approved::Applied(seeded))
            }
            Err(StoreError::RowsChanged { integrations }) => {
                store.drop_plan(&fence, &plan.hash).await?;
                refused(Stale::Rows { integrations })
            }
            Err(StoreError::Stale { found, .. }) => refused(Stale::Seeded { number: found, at: None }),
            Err(error) => Err(error.into()),
        }
    }

    async fn apply_made(
        &self,
        store: &Store,
        job: &Job,
        approval: &Approval,
        row: Option<EnvironmentRow>,
        started: Instant,
        cancel: &CancellationToken,
    ) -> Result<Approved, SeedingError> {
        // As whoever made the plan did: with what drifted.
        let job = &crate::drift::mending(store, job.clone()).await?;
        let snapshots = self.fetch(job, row.as_ref(), cancel).await?;
        let made = self.plan_snapshots(store, job, row, snapshots).await?;
        let made = pinned::observed(store, made).await?;
        pinned::pin(store, job, &made).await?;
        if !approval.is_of(&made.plan.hash) {
            let current = (!made.plan.is_empty()).then(|| made.plan.hash.clone());
            let why = Stale::Unknown;
            return Ok(Approved::Refused(Refusal { plan: approval.plan.clone(), why, current }));
        }
        let catalogs = made.reading.catalogs();
        match gate_of_approved(&made.plan, &job.spec, &catalogs, job.moment()) {
            Gate::Held(held) => {
                let mut made = made;
                if held.reason == HeldReason::Frozen {
                    made = pinned::with_rows(store, made).await?;
                    pinned::pin_under(store, job, &made, &held).await?;
                    let fence = Fence { as_of: None, ..seeded::claim(store, job, &made).await? };
                    store.remember_approval(&fence, &made.plan.hash, &approval.by).await?;
                }
                Ok(Approved::Waits(seeded::hold(
                    Planned { gate: Gate::Held(held.clone()), ..made },
                    held,
                    started,
                )))
            }
            Gate::Open => {
                let by = Some(approval.by.as_str());
                let (seeded, wrote) = seeded::apply(store, job, &self.holder, made, by, started).await?;
                self.count_written(&job.labels(), wrote.rows, &wrote.ended);
                Ok(Approved::Applied(seeded))
            }
        }
    }
}

impl Approved {
    /// As metrics name it.
    fn word(&self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Before { .. } => "before",
            Self::Waits(_) => "waits",
            Self::Refused(_) => "refused",
        }
    }
}

/// It was applied before.
fn before(plan: PlanRow) -> Approved {
    Approved::Before { seeding: plan.seeding, by: plan.approved_by.unwrap_or_default() }
}

/// What is told without looking at sources.
fn stale(job: &Job, row: Option<&EnvironmentRow>, plan: &PlanRow) -> Option<Stale> {
    let seq = row.map_or(0, |row| row.seq);
    if seq != plan.base {
        return Some(Stale::Seeded { number: seq, at: row.and_then(|row| row.seeded_at) });
    }
    if spec_digest(&job.spec) != plan.spec_digest {
        return Some(Stale::Spec);
    }
    (plan.status == PlanStatus::Stale).then_some(Stale::Earlier)
}

/// The first source whose ref no longer holds the commit that the plan was made of. What lies on disk has no history.
async fn left_its_ref(snapshots: &[Snapshot], plan: &PlanRow) -> Result<Option<Stale>, SeedingError> {
    let asked: Vec<_> = snapshots
        .iter()
        .filter(|snapshot| !snapshot.is_folder)
        .filter_map(|snapshot| {
            let held = plan.applied.get(&snapshot.name)?;
            Some((snapshot.name.clone(), snapshot.git.clone()?, held.revision.clone()))
        })
        .collect();
    planned::blocking(move || {
        asked.into_iter().find_map(|(source, git, revision)| {
            let commit = revision.commit()?;
            let there = git.descends_from(commit);
            (!there).then(|| Stale::Commit { revision: revision.to_string(), source })
        })
    })
    .await
}
