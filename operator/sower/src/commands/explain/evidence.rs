//! What is known of one integration in one environment: what git offers, what the database holds, and what becomes of it.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sower_controllers::seeding::{Asked, Contents, Planned, Reading, noted_waiting};
use sower_core::catalog::{Found, Place, SourceCatalog, Summary};
use sower_core::compare::{self, Change};
use sower_core::diff::{Wish, diff};
use sower_core::gate::Moment;
use sower_core::hash::spec_digest;
use sower_core::plan::{
    Conflict, ConflictType, Current, Excluded, Kept, KeptWhy, Operation, Plan, Resolution, State,
};
use sower_core::problem::Problem;
use sower_core::promotion::{Admission, LET_IN, Waiting, Why};
use sower_core::report::Failure as Entry;
use sower_core::resolve::resolve;
use sower_core::rollout::Rollout;
use sower_core::select::select;
use sower_core::snapshot::Revision;
use sower_crds::RESOLVE;
use sower_crds::environment::{EnvironmentSpec, WaitingStatus};
use sower_store::{Definition, Logged, Quarantined, Removal, Store, StoreError, Which, document_id};

use crate::failure::Failure;
use crate::job;
use crate::session::{Member, Session};

/// What is known of one integration in one environment.
pub struct Evidence {
    /// Every document of that id, the one that wins first.
    pub offers: Vec<Found>,
    /// The document in the file of its row whose id cannot be read, where no other is offered.
    pub unread: Option<Found>,
    /// What the database holds.
    pub carried: Option<Definition>,
    /// What is left of it where it was taken out.
    pub removed: Option<Removed>,
    /// Why it is left out.
    pub excluded: Option<Excluded>,
    /// What the next seeding does with it.
    pub operation: Option<Operation>,
    /// The version whose rollout ends with that.
    pub ends: Option<String>,
    /// Nothing else becomes of that: everybody keeps what they have.
    pub gives_up: bool,
    /// Until when that has to wait for a freeze window: `frozen until Mon 06:00 UTC`.
    pub frozen: Option<String>,
    /// What keeps the environment from being seeded: another that is not as it wants it, in a cluster a guard, too. One sentence.
    pub unmet: Option<String>,
    /// Why its rows stay although git says otherwise.
    pub kept: Option<Kept>,
    /// What of it waits for another environment.
    pub waiting: Option<Waiting>,
    /// The rollback that keeps out what git says.
    pub quarantined: Option<Quarantined>,
    /// Its last rollout, while it is under way or the one that keeps out what git says.
    pub rollout: Option<Rollout>,
    /// Its conflicts, each with what differs.
    pub conflicts: Vec<(Conflict, Vec<Change>)>,
    /// The seeding that brought what is carried; asked for where the sources, which know their authors, were not read.
    pub brought_by: Option<Logged>,
    /// The sources as they were read; absent where only the database's memory of them was asked.
    pub reading: Option<Arc<Reading>>,
    /// In a cluster: nothing of the sources is remembered, because no operator could read them yet.
    pub unseen: bool,
}

/// What sources and database say of an environment as a whole.
pub struct Ground {
    catalogs: Vec<SourceCatalog>,
    plan: Plan,
    state: State,
    reading: Option<Arc<Reading>>,
    unmet: Option<String>,
}

/// A definition that was taken out and stays: for a while, or for the sake of others' rows.
pub struct Removed {
    /// The row that stays.
    pub row: Current,
    /// What took it out, and what hangs on it still.
    pub by: Option<Removal>,
}

impl Evidence {
    /// Neither a source nor the database knows it.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.offers.is_empty() && self.carried.is_none() && self.removed.is_none() && !self.unseen
    }

    /// The first valid document.
    #[must_use]
    pub fn summary(&self) -> Option<&Summary> {
        self.offers.iter().find_map(|found| found.summary.as_ref())
    }

    /// What says what is done about a conflict of this type.
    #[must_use]
    pub fn said_by(&self, kind: ConflictType) -> String {
        let mut offers = self.offers.iter().filter_map(|found| found.summary.as_ref());
        match offers.find_map(|summary| summary.annotations.resolve.of(kind)) {
            Some(_) => format!("{RESOLVE}: {}", kind.as_str()),
            None => format!("conflicts.{}", kind.as_str()),
        }
    }

    /// The revision that brought this very content, and the seeding that read it.
    #[must_use]
    pub fn brought(&self, checksum: &str) -> Option<(&Revision, &Logged)> {
        let listed = &self.carried.as_ref()?.listed;
        let same = listed.checksum.as_deref() == Some(checksum);
        listed.revision.as_ref().filter(|_| same).zip(self.brought_by.as_ref())
    }

    /// The first thing that is wrong with it.
    #[must_use]
    pub fn first_error(&self) -> Option<&Problem> {
        let mut all = self.offers.iter().chain(&self.unread).flat_map(|found| &found.problems);
        all.find(|problem| problem.is_error())
    }

    /// The document that `explain` shows: the first valid one, else the first.
    #[must_use]
    pub fn shown(&self) -> Option<&Found> {
        self.offers.iter().find(|found| found.is_valid()).or_else(|| self.offers.first())
    }
}

impl Ground {
    /// Asks sources and database about an environment. In a cluster the sources are not read: the database remembers what
    /// was found in them.
    ///
    /// # Errors
    /// Where one of them does not answer.
    pub async fn of(session: &Session, member: &Member, store: &Store) -> Result<Self, Failure> {
        let unmet = session.holds(member).await;
        if session.cluster.is_none() {
            let Planned { reading, plan, state, .. } = session.plan(member).await?;
            let catalogs = reading.catalogs();
            return Ok(Self { catalogs, plan, state, reading: Some(Arc::new(reading)), unmet });
        }
        let (catalogs, plan, state) =
            remembered(store, member).await.map_err(|error| session.trouble(&error.into(), member))?;
        Ok(Self { catalogs, plan, state, reading: None, unmet })
    }

    /// What is known of one integration, of which the database holds `carried`.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn about(
        &self,
        store: &Store,
        member: &Member,
        id: &str,
        carried: Option<Definition>,
    ) -> Result<Evidence, StoreError> {
        let Self { catalogs, plan, state, reading, unmet } = self;
        let offers: Vec<Found> = in_order(&member.loaded.spec, catalogs)
            .into_iter()
            .flat_map(|source| &source.found)
            .filter(|found| found.id.as_deref() == Some(id))
            .cloned()
            .collect();
        let unread = state.rows.get(id).filter(|_| offers.is_empty()).and_then(|row| {
            let all = catalogs.iter().filter(|source| source.name == row.source);
            all.flat_map(|source| &source.found).find(|f| f.id.is_none() && f.place.path == row.path)
        });
        let removed = match state.rows.get(id).filter(|row| row.removed) {
            None => None,
            Some(row) => Some(Removed { row: row.clone(), by: store.removal(member.name(), id).await? }),
        };
        let kept = plan.kept.iter().find(|kept| kept.id == id).cloned();
        let rolled_back = kept.as_ref().is_some_and(|kept| kept.why == KeptWhy::Quarantined);
        let quarantined = match rolled_back {
            true => last_rollback(store, member.name(), id).await?,
            false => None,
        };
        let last = store.rollouts(Some(member.name()), Which::Of(id)).await?.into_iter().next();
        let rollout = last.filter(|last| {
            !last.state.is_over() || quarantined.as_ref().is_some_and(|out| out.checksum == last.to.checksum)
        });
        let operation = plan.operations.iter().find(|operation| operation.id == id);
        let mut evidence = Evidence {
            removed,
            quarantined,
            rollout,
            offers,
            unread: unread.cloned(),
            excluded: plan.excluded.iter().find(|excluded| excluded.id == id).cloned(),
            ends: operation
                .and_then(|operation| state.ends(operation))
                .map(|content| content.version.clone()),
            gives_up: operation.is_some_and(|operation| state.gives_up(operation)),
            operation: operation.cloned(),
            frozen: frozen(member, plan),
            unmet: unmet.clone(),
            waiting: state.admission.as_ref().and_then(|admission| admission.waits.get(id)).cloned(),
            kept,
            conflicts: Vec::new(),
            carried,
            brought_by: None,
            reading: reading.clone(),
            unseen: reading.is_none() && catalogs.is_empty(),
        };
        for conflict in plan.conflicts.iter().filter(|conflict| conflict.integration == id) {
            let changes = changes(store, member, &evidence).await?;
            evidence.conflicts.push((conflict.clone(), changes));
        }
        Ok(evidence)
    }

    /// Every id that is offered or carried.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        let offered =
            self.catalogs.iter().flat_map(|source| &source.found).filter_map(|found| found.id.as_ref());
        offered.chain(self.state.rows.keys())
    }
}

/// What is known of one integration in an environment, and of that environment as a whole.
///
/// # Errors
/// Where sources or database do not answer.
pub async fn gather(session: &Session, member: &Member, id: &str) -> Result<(Ground, Evidence), Failure> {
    let store = session.store(member).await.inspect_err(|_| session.cannot_read())?;
    let failed = |error: StoreError| session.trouble(&error.into(), member);
    let carried = store.integration(member.name(), id).await.map_err(failed)?;
    let ground = Ground::of(session, member, &store).await?;
    if session.cluster.is_some() {
        session.say_from(None, true);
    }
    let mut evidence = ground.about(&store, member, id, carried).await.map_err(failed)?;
    evidence.brought_by = match evidence.carried.as_ref().and_then(|carried| carried.listed.seeding) {
        Some(number) if evidence.reading.is_none() => {
            store.numbered(member.name(), number).await.map_err(failed)?
        }
        _ => None,
    };
    Ok((ground, evidence))
}

/// The last rollback that keeps something of an integration out.
async fn last_rollback(
    store: &Store,
    environment: &str,
    id: &str,
) -> Result<Option<Quarantined>, StoreError> {
    let mut open = store.quarantined(Some(environment)).await?;
    open.retain(|open| open.integration == id && open.asked_back_at.is_none());
    Ok(open.into_iter().max_by_key(|open| open.seeding))
}

/// A plan is held whole: one integration in a freeze window stops all of it.
fn frozen(member: &Member, plan: &Plan) -> Option<String> {
    let moment = Moment { now: Timestamp::now(), freeze_override: member.loaded.freeze_override };
    Some(moment.freezes(plan, &member.loaded.spec)?.told(moment.now))
}

/// The sources in the order in which they win a duplicate in this environment.
fn in_order<'a>(spec: &EnvironmentSpec, catalogs: &'a [SourceCatalog]) -> Vec<&'a SourceCatalog> {
    let mut sources: Vec<&SourceCatalog> = catalogs.iter().collect();
    sources.sort_by_key(|source| Reverse(source.priority));
    if Resolution::from(spec.conflicts.duplicate) == Resolution::Override {
        sources.reverse();
    }
    sources
}

/// What git has otherwise than the database.
async fn changes(store: &Store, member: &Member, evidence: &Evidence) -> Result<Vec<Change>, StoreError> {
    let (Some(carried), Some(found)) = (&evidence.carried, evidence.shown()) else { return Ok(Vec::new()) };
    let manifest = match &evidence.reading {
        Some(reading) => reading.manifest(&found.place),
        None => {
            let document = document_id(&found.place);
            store.remembered(member.name(), &[&document]).await?.remove(&document)
        }
    };
    let Some(manifest) = manifest else { return Ok(Vec::new()) };
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    Ok(compare::compare(&parse(&carried.manifest), &parse(&manifest)))
}

/// What the environment's row notes of the last seeding.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Noted {
    failures: Vec<Entry>,
    /// Not everything was noted.
    look_again: bool,
}

impl Noted {
    /// Whether the row's file was there, without a document in it.
    fn is_mute(&self, row: &Current) -> bool {
        self.failures.iter().any(|failure| {
            failure.integration.as_ref() == Some(&row.id) && failure.location.as_ref() == Some(&row.path)
        })
    }
}

/// The same steps as a plan's, over what the database remembers of the sources. A row that stands although no document
/// of it is remembered was kept by the last seeding: its file was there, or the source was not known whole.
async fn remembered(store: &Store, member: &Member) -> Result<(Vec<SourceCatalog>, Plan, State), StoreError> {
    let (name, spec) = (member.name(), &member.loaded.spec);
    let row = store.environment(name).await?;
    let noted: Noted =
        row.as_ref().and_then(|row| serde_json::from_value(row.summary.clone()).ok()).unwrap_or_default();
    let mut state = store.state(name).await?.state;
    state.take_targets();
    let mut catalogs = Vec::new();
    for (source, applied) in row.iter().flat_map(|row| &row.applied) {
        let rows = state.rows.values().filter(|row| row.source == *source);
        catalogs.push(SourceCatalog {
            name: source.clone(),
            revision: applied.revision.clone(),
            priority: spec
                .sources
                .iter()
                .find(|known| known.name == *source)
                .map_or(0, |known| known.priority),
            found: store.known(name, source).await?,
            complete: !noted.look_again,
            watched: false,
            mute: rows.filter(|row| noted.is_mute(row)).map(|row| row.path.clone()).collect(),
        });
    }
    let listed = |source: &SourceCatalog| spec.sources.iter().position(|known| known.name == source.name);
    catalogs.sort_by_key(|source| listed(source).unwrap_or(usize::MAX));
    let selection = select(name, spec, &job::platform(), &catalogs);
    let asked = Asked {
        environment: name,
        spec,
        catalogs: &catalogs,
        selection: &selection,
        only: None,
        mends: false,
    };
    let contents = kept_contents(store, name, &asked.to_unite()).await?;
    asked.unite(&mut state, &contents);
    // What another environment shows is asked by the operator: what waited then is noted.
    let status = member.resource.as_ref().and_then(|resource| resource.status.as_ref());
    // While something holds the plan, the status alone says what waits on.
    let waits_on = |noted: Waiting| {
        let Some(status) = status else { return Some(noted) };
        let version = noted.version.as_deref().unwrap_or_default();
        let same = |one: &&WaitingStatus| one.integration == noted.integration && one.version == version;
        match status.waiting.iter().find(same) {
            Some(told) => match told.reason.strip_prefix(LET_IN).and_then(|told| told.split_once(", ")) {
                Some((by, _)) => Some(Waiting { why: Why::LetIn { by: by.to_owned() }, ..noted }),
                None => Some(noted),
            },
            None => {
                let all = status.counts.map_or(0, |counts| counts.waiting);
                Some(noted).filter(|_| usize::try_from(all).unwrap_or(0) > status.waiting.len())
            }
        }
    };
    let waits = row.iter().flat_map(noted_waiting).filter_map(waits_on);
    let waits = waits.map(|one| (one.integration.clone(), one)).collect();
    state.admission = Some(Admission { waits, ..Admission::default() });
    state.carried = store.carried(name, &sower_core::resolve::questions(&selection, &state)).await?;
    let merged = asked.to_merge(&state);
    let places: Vec<Place> = merged.iter().map(|wanted| wanted.place.clone()).collect();
    let contents = kept_contents(store, name, &places).await?;
    asked.merge(store, &mut state, &merged, &contents).await?;
    let decide = |state: &State| {
        let settled = resolve(spec, &catalogs, &selection, state, None);
        diff(&spec_digest(spec), &selection, settled, state, Wish::default())
    };
    let plan = decide(&state);
    let plan = asked.agree(store, &mut state, plan, decide).await?;
    Ok((catalogs, plan, state))
}

/// What the database remembers of the contents of some documents.
async fn kept_contents(store: &Store, environment: &str, places: &[Place]) -> Result<Contents, StoreError> {
    let documents: Vec<String> = places.iter().map(document_id).collect();
    let asked: Vec<&str> = documents.iter().map(String::as_str).collect();
    let mut kept = store.remembered(environment, &asked).await?;
    let known = places.iter().zip(&documents);
    Ok(known.filter_map(|(place, document)| Some((place.clone(), kept.remove(document)?))).collect())
}

/// When the seeding that wrote it was committed, with its number.
#[must_use]
pub fn since(carried: &Definition) -> Option<(i64, Timestamp)> {
    Some((carried.listed.seeding?, carried.seeded_at?))
}
